//! Making keys: what the gateway keeps of them, and the file that the client gets.

use tollgate_config::keys::Entry;
use tollgate_config::{Scopes, Settings};
use tollgate_protocol::logon::{Credential, Secret, public_key};
use tollgate_protocol::text::{KeyId, Text};

use crate::failure::Failure;
use crate::key_file::{KeyFile, Kind, Mac};
use tollgate_client::{ClientError, now_ns};

/// Bytes of every secret that is made here.
const SECRET_BYTES: usize = 32;

/// What a new key shall be.
pub(crate) struct KeyRequest<'a> {
    pub(crate) key_id: KeyId,
    pub(crate) client: Text<31>,
    pub(crate) kind: Kind,
    pub(crate) scopes: Scopes,
    pub(crate) mac: Mac,
    /// Where the client finds the gateway.
    pub(crate) gateway_address: String,
    pub(crate) settings: &'a Settings,
}

/// Fresh random bytes for a secret.
pub(crate) fn fresh_secret() -> Result<Secret, Failure> {
    let mut bytes = vec![0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(ClientError::Randomness)?;
    Ok(Secret::new(bytes))
}

impl KeyRequest<'_> {
    /// Makes the key.
    pub(crate) fn make(self) -> Result<(Entry, KeyFile), Failure> {
        let secret = fresh_secret()?;
        let credential = match self.kind {
            Kind::Hmac => Credential::Hmac(secret),
            Kind::Ed25519 => Credential::Ed25519(secret),
        };
        let verifier =
            credential.verifier().ok_or_else(|| Failure::operating("a seed of 32 bytes was refused"))?;
        let mut entry = Entry::new(self.key_id, self.client, verifier, self.scopes);
        entry.created_at_ns = Some(now_ns());
        let file = KeyFile {
            key_id: self.key_id,
            credential,
            gateway_address: self.gateway_address,
            gateway_public_key: self.settings.gateway.identity.as_ref().and_then(public_key),
            mac: self.mac,
        };
        Ok((entry, file))
    }
}

/// Where a client on this machine finds the gateway: a listener on every address is reached by the loopback's.
pub(crate) fn gateway_address(settings: &Settings) -> String {
    let mut address = settings.gateway.listen;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    address.to_string()
}
