//! Keys as the gateway uses them: the names in the keys file resolved against the settings.

use tollgate_protocol::Text;
use tollgate_protocol::logon::Verifier;
use tollgate_protocol::text::KeyId;

use crate::account::AccountSettings;
use crate::client::ClientSettings;
use crate::error::{ConfigError, ConfigErrors};
use crate::instrument::InstrumentSettings;
use crate::keys::{Entry, Scopes, shown_time};
use crate::value::{nearest, quoted};

/// A key as the gateway uses it: names resolved to positions in [`crate::Settings`].
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// Its public name.
    pub key_id: KeyId,
    /// The position of its client in [`crate::Settings::clients`].
    pub client: u16,
    /// What a proof is checked against.
    pub verifier: Verifier,
    /// What it may do.
    pub scopes: Scopes,
    /// The accounts it may use, in [`crate::Settings::accounts`]; `None` for all of the client's.
    pub accounts: Option<Vec<u16>>,
    /// The instruments it may trade, in [`crate::Settings::instruments`]; `None` for all of the client's.
    pub symbols: Option<Vec<u16>>,
    /// Not good from this time on, nanoseconds since the Unix epoch.
    pub expires_at_ns: Option<u64>,
    /// Not good any more.
    pub revoked: bool,
    /// When it was made, for showing; may be empty.
    pub created: Text<31>,
}

/// What keys may name.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    /// The gateway can sign logons of Ed25519 keys.
    pub(crate) has_identity: bool,
    pub(crate) clients: &'a [ClientSettings],
    pub(crate) accounts: &'a [AccountSettings],
    pub(crate) instruments: &'a [InstrumentSettings],
}

/// Resolves the names in `entries`. Every name that is not known, and every key that its client could not use, is a
/// mistake.
pub(crate) fn resolve(entries: &[Entry], known: Known<'_>) -> Result<Vec<KeySettings>, ConfigErrors> {
    let mut resolver = Resolver { known, errors: Vec::new() };
    let keys: Vec<_> =
        entries.iter().enumerate().filter_map(|(index, entry)| resolver.resolve(index, entry)).collect();
    match ConfigErrors::new(resolver.errors) {
        Some(errors) => Err(errors),
        None => Ok(keys),
    }
}

struct Resolver<'a> {
    known: Known<'a>,
    errors: Vec<ConfigError>,
}

impl Resolver<'_> {
    fn wrong(&mut self, key: String, value: &str, problem: String, advice: String) {
        self.errors.push(ConfigError {
            file: None,
            key,
            line: None,
            value: Some(quoted(value)),
            problem,
            advice,
        });
    }

    fn resolve(&mut self, index: usize, entry: &Entry) -> Option<KeySettings> {
        let known = self.known;
        if matches!(entry.verifier, Verifier::Ed25519(_)) && !known.has_identity {
            let problem = "an Ed25519 key needs the gateway to have an identity, and it has none".to_owned();
            let advice = "make gateway.identity_file: 64 random hexadecimal digits, mode 0600".to_owned();
            self.wrong(format!("key[{index}].kind"), "ed25519", problem, advice);
        }
        let names: Vec<&str> = known.clients.iter().map(|client| client.name.as_str()).collect();
        let Some(position) = names.iter().position(|name| *name == entry.client.as_str()) else {
            let advice = near_or_list(entry.client.as_str(), &names);
            let problem = "there is no client of this name".to_owned();
            self.wrong(format!("key[{index}].client"), entry.client.as_str(), problem, advice);
            return None;
        };
        let client = &known.clients[position];
        let accounts: Vec<(u16, &str)> = client
            .accounts
            .iter()
            .filter_map(|at| Some((*at, known.accounts.get(usize::from(*at))?.name.as_str())))
            .collect();
        let symbols: Vec<(u16, &str)> = known
            .instruments
            .iter()
            .enumerate()
            .map(|(at, it)| (at as u16, it.instrument.symbol.as_str()))
            .filter(|(at, _)| client.symbols.as_ref().is_none_or(|allowed| allowed.contains(at)))
            .collect();
        let prefix = format!("key[{index}]");
        Some(KeySettings {
            key_id: entry.id,
            client: position as u16,
            verifier: entry.verifier.clone(),
            scopes: entry.scopes,
            accounts: self.positions(&prefix, "accounts", entry.accounts.as_deref(), &accounts),
            symbols: self.positions(&prefix, "symbols", entry.symbols.as_deref(), &symbols),
            expires_at_ns: entry.expires_at_ns,
            revoked: entry.revoked_at_ns.is_some(),
            created: Text::truncated(&entry.created_at_ns.map(shown_time).unwrap_or_default()),
        })
    }

    fn positions<const N: usize>(
        &mut self,
        prefix: &str,
        key: &str,
        names: Option<&[Text<N>]>,
        known: &[(u16, &str)],
    ) -> Option<Vec<u16>> {
        let names = names?;
        let mut positions = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let found = known.iter().filter(|(_, it)| *it == name.as_str()).map(|(at, _)| *at);
            let before = positions.len();
            positions.extend(found);
            if positions.len() == before {
                let known: Vec<&str> = known.iter().map(|(_, name)| *name).collect();
                let problem = "is not among the client's".to_owned();
                let advice = near_or_list(name.as_str(), &known);
                self.wrong(format!("{prefix}.{key}[{index}]"), name.as_str(), problem, advice);
            }
        }
        Some(positions)
    }
}

fn near_or_list(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("there are: {}", known.join(", ")),
    }
}
