//! The keys in force, and the watch over their file.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use tollgate_config::{ConfigErrors, KeySettings, Settings, keys};
use tollgate_protocol::logon::Verifier;
use tollgate_protocol::text::KeyId;

use crate::link::{ACCOUNTS_MAX, Grant, INSTRUMENTS_MAX, SymbolSet};

/// The keys in force. Never changed: a new one takes its place.
pub(super) struct KeyTable {
    keys: HashMap<KeyId, Arc<Key>>,
}

/// A key.
pub(super) struct Key {
    /// Its client.
    pub(super) client: u16,
    /// What a proof is checked against.
    pub(super) verifier: Verifier,
    /// What it may do.
    pub(super) grant: Grant,
    revoked: bool,
}

impl Key {
    fn new(key: &KeySettings, settings: &Settings) -> Self {
        let client = settings.clients.get(usize::from(key.client));
        let client_accounts = client.map(|client| &client.accounts[..]).unwrap_or_default();
        let accounts = client_accounts
            .iter()
            .filter(|account| key.accounts.as_ref().is_none_or(|own| own.contains(account)))
            .filter(|account| usize::from(**account) < ACCOUNTS_MAX)
            .fold(0, |set, account| set | 1 << account);
        let mut symbols = SymbolSet::EMPTY;
        let client_symbols = client.and_then(|client| client.symbols.as_ref());
        for symbol in key.symbols.iter().flatten() {
            let the_clients = client_symbols.is_none_or(|it| it.contains(symbol));
            if the_clients && usize::from(*symbol) < INSTRUMENTS_MAX {
                symbols.insert(*symbol);
            }
        }
        let grant = Grant {
            key_id: key.key_id,
            trade: key.scopes.trade,
            cancel: key.scopes.cancel,
            read: key.scopes.read,
            operate: key.scopes.operate,
            accounts,
            symbols_restricted: key.symbols.is_some(),
            symbols,
            expires_at_ns: key.expires_at_ns.unwrap_or(u64::MAX),
        };
        Self { client: key.client, verifier: key.verifier.clone(), grant, revoked: key.revoked }
    }

    /// True while sessions of the key may stand.
    pub(super) fn is_good(&self, now_ns: u64) -> bool {
        !self.revoked && now_ns < self.grant.expires_at_ns
    }

    /// True when sessions that logged on with `other` may go on under this key.
    pub(super) fn continues(&self, other: &Self) -> bool {
        let same_verifier = match (&self.verifier, &other.verifier) {
            (Verifier::Hmac(own), Verifier::Hmac(others)) => own.expose() == others.expose(),
            (Verifier::Ed25519(own), Verifier::Ed25519(others)) => own == others,
            _ => false,
        };
        same_verifier
            && self.client == other.client
            && self.grant == other.grant
            && self.revoked == other.revoked
    }
}

impl KeyTable {
    /// Of resolved keys.
    pub(super) fn new(keys: &[KeySettings], settings: &Settings) -> Self {
        Self { keys: keys.iter().map(|key| (key.key_id, Arc::new(Key::new(key, settings)))).collect() }
    }

    /// Reads the file again. Blocks.
    pub(super) fn load(settings: &Settings) -> Result<Self, ConfigErrors> {
        let entries = keys::load(&settings.gateway.keys_file)?;
        Ok(Self::new(&settings.resolve_keys(&entries)?, settings))
    }

    /// Keys.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key of this name, good or not.
    pub(super) fn get(&self, key_id: &KeyId) -> Option<&Arc<Key>> {
        self.keys.get(key_id)
    }

    /// Keys whose sessions end when `next` takes this table's place: those that are gone or differ in anything.
    pub(super) fn ended_by(&self, next: &Self) -> Vec<KeyId> {
        let goes_on = |id: &KeyId, key: &Key| next.get(id).is_some_and(|next| next.continues(key));
        self.keys.iter().filter(|(id, key)| !goes_on(id, key)).map(|(id, _)| *id).collect()
    }

    /// The same keys with these revoked; `None` when none of them is in force.
    pub(super) fn with_revoked(&self, revoked: &[KeyId]) -> Option<Self> {
        let in_force = |id: &&KeyId| self.get(id).is_some_and(|key| !key.revoked);
        let mut keys = self.keys.clone();
        for id in revoked.iter().filter(in_force) {
            if let Some(key) = keys.get_mut(id) {
                let Key { client, verifier, grant, .. } = &**key;
                *key = Arc::new(Key {
                    client: *client,
                    verifier: verifier.clone(),
                    grant: *grant,
                    revoked: true,
                });
            }
        }
        revoked.iter().any(|id| in_force(&id)).then_some(Self { keys })
    }

    /// Keys that expired after `from_ns` and up to `to_ns`.
    pub(super) fn expired_between(&self, from_ns: u64, to_ns: u64) -> Vec<KeyId> {
        let expired = |key: &Key| key.grant.expires_at_ns > from_ns && key.grant.expires_at_ns <= to_ns;
        self.keys.iter().filter(|(_, key)| expired(key)).map(|(id, _)| *id).collect()
    }
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    modified: (i64, i64),
    changed: (i64, i64),
    size_bytes: u64,
    file: (u64, u64),
}

impl Stamp {
    /// Of the file as it stands; `None` when there is none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            size_bytes: metadata.size(),
            file: (metadata.dev(), metadata.ino()),
        })
    }
}
