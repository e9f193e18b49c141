//! `tollgate keys`: who may log on.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rustix::fs::FlockOperation;
use serde_json::json;
use tollgate_config::keys::{self, Entry};
use tollgate_config::{Scopes, Settings};
use tollgate_protocol::logon::Verifier;
use tollgate_protocol::text::{KeyId, Text};
use tollgate_protocol::{AccountName, Symbol};

use super::{document, moment};
use crate::check::{ConfigOption, invalid, load};
use crate::failure::Failure;
use crate::fresh_key::{KeyRequest, gateway_address};
use crate::init::make_directory;
use crate::key_file::{Kind, Mac};
use crate::output::{Output, Tone};
use crate::table::Table;
use tollgate_client::now_ns;

/// What to do with keys.
#[derive(Subcommand, Debug)]
pub(crate) enum KeysArguments {
    /// Make a key, and the file that its client logs on with.
    #[command(
        after_help = "Examples:\n  tollgate keys add --config tollgate.toml trend --scope trade --scope read\n  \
        tollgate keys add --config tollgate.toml carry --id carry-laptop --kind ed25519 --scope read --expires 30d"
    )]
    Add(AddArguments),
    /// List the keys. Secrets are not shown.
    List(ConfigOption),
    /// Give a key a new secret. The old one is not good any more as soon as the gateway has read the file.
    Rotate(ChangeArguments),
    /// End a key for good. Its sessions end as soon as the gateway has read the file.
    Revoke(RevokeArguments),
}

#[derive(Args, Debug)]
pub(crate) struct AddArguments {
    #[command(flatten)]
    config: ConfigOption,
    /// The client that the key is of, as the settings name it.
    client: Text<31>,
    /// The key's public name. Default: the client's name and a number.
    #[arg(long, value_name = "KEY_ID")]
    id: Option<KeyId>,
    /// What the key may do; repeat it for more.
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',',
          value_parser = Scopes::WORDS)]
    scopes: Vec<String>,
    /// How the key proves itself.
    #[arg(long, value_enum, default_value = "hmac")]
    kind: Kind,
    /// The MAC of its sessions.
    #[arg(long, value_enum, default_value = "blake3")]
    mac: Mac,
    /// Only these of the client's accounts.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    accounts: Option<Vec<AccountName>>,
    /// Only these of the client's symbols.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    symbols: Option<Vec<Symbol>>,
    /// When the key ceases to be good: a time, or in so long (`30d`).
    #[arg(long, value_name = "TIME", value_parser = moment::parse_to_come)]
    expires: Option<u64>,
    #[command(flatten)]
    file: FileArguments,
}

#[derive(Args, Debug)]
struct FileArguments {
    /// Where to write the client's file. Default: clients/KEY_ID.toml beside the keys file.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The address that the client shall use. Default: where the gateway listens.
    #[arg(long, value_name = "HOST:PORT")]
    gateway_address: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ChangeArguments {
    #[command(flatten)]
    config: ConfigOption,
    /// The key.
    key_id: KeyId,
    /// The MAC of its sessions.
    #[arg(long, value_enum, default_value = "blake3")]
    mac: Mac,
    #[command(flatten)]
    file: FileArguments,
}

#[derive(Args, Debug)]
pub(crate) struct RevokeArguments {
    #[command(flatten)]
    config: ConfigOption,
    /// The key.
    key_id: KeyId,
}

impl KeysArguments {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run(output),
            Self::List(config) => list(&KeyRing::open(&config.config)?, output),
            Self::Rotate(change) => change.run(output),
            Self::Revoke(revoke) => revoke.run(output),
        }
    }
}

/// The keys file, held against others that would change it at the same time.
struct KeyRing {
    settings: Settings,
    entries: Vec<Entry>,
    _lock: Option<File>,
}

impl KeyRing {
    fn open(config: &Path) -> Result<Self, Failure> {
        let settings = load(config)?;
        let path = &settings.gateway.keys_file;
        let lock = path.parent().map(lock_directory).transpose()?;
        let entries = if path.exists() {
            keys::load(path).map_err(|errors| invalid(path, &errors))?
        } else {
            Vec::new()
        };
        Ok(Self { settings, entries, _lock: lock })
    }

    fn path(&self) -> &Path {
        &self.settings.gateway.keys_file
    }

    fn find(&mut self, key_id: KeyId) -> Result<&mut Entry, Failure> {
        let known: Vec<String> = self.entries.iter().map(|entry| entry.id.to_string()).collect();
        self.entries.iter_mut().find(|entry| entry.id == key_id).ok_or_else(|| {
            Failure::operating(format_args!("there is no key {key_id}; there are: {}", known.join(", ")))
        })
    }

    /// Checks all entries against the settings, then writes them.
    fn write(&self) -> Result<(), Failure> {
        self.settings.resolve_keys(&self.entries).map_err(|errors| invalid(self.path(), &errors))?;
        keys::write(self.path(), &self.entries).map_err(|error| {
            Failure::operating(format_args!("cannot write {}: {error}", self.path().display()))
        })
    }

    fn client_file(&self, key_id: KeyId, arguments: &FileArguments) -> Result<PathBuf, Failure> {
        if let Some(path) = &arguments.output {
            return Ok(path.clone());
        }
        let directory = self.path().parent().unwrap_or(Path::new(".")).join("clients");
        make_directory(&directory)?;
        Ok(directory.join(format!("{key_id}.toml")))
    }

    fn unused_id(&self, client: Text<31>) -> KeyId {
        (1..=u32::MAX)
            .map(|number| Text::truncated(&format!("{client}-{number}")))
            .find(|id| self.entries.iter().all(|entry| entry.id != *id))
            .unwrap_or_else(|| unreachable!("there are more numbers than keys"))
    }
}

fn lock_directory(path: &Path) -> Result<File, Failure> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let failed =
        |error: std::io::Error| Failure::operating(format_args!("cannot lock {}: {error}", path.display()));
    let directory = File::open(path).map_err(failed)?;
    rustix::fs::flock(&directory, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
    Ok(directory)
}

impl AddArguments {
    fn run(self, output: &Output) -> Result<(), Failure> {
        let mut ring = KeyRing::open(&self.config.config)?;
        let key_id = self.id.unwrap_or_else(|| ring.unused_id(self.client));
        if ring.entries.iter().any(|entry| entry.id == key_id) {
            return Err(Failure::operating(format_args!("key {key_id} is there already: give another --id")));
        }
        let scopes = self.scopes.iter().filter_map(|word| Scopes::from_word(word));
        let request = KeyRequest {
            key_id,
            client: self.client,
            kind: self.kind,
            scopes: scopes.fold(Scopes::default(), Scopes::with),
            mac: self.mac,
            gateway_address: self
                .file
                .gateway_address
                .clone()
                .unwrap_or_else(|| gateway_address(&ring.settings)),
            settings: &ring.settings,
        };
        let (mut entry, file) = request.make()?;
        entry.accounts = self.accounts;
        entry.symbols = self.symbols;
        entry.expires_at_ns = self.expires;
        ring.entries.push(entry);
        // Checked first: a file for a key that is refused would be of no use.
        ring.settings.resolve_keys(&ring.entries).map_err(|errors| invalid(ring.path(), &errors))?;
        let path = ring.client_file(key_id, &self.file)?;
        file.create(&path)
            .map_err(|error| Failure::operating(format_args!("cannot write {}: {error}", path.display())))?;
        ring.write()?;
        tell_file("added", key_id, &path, output)
    }
}

impl ChangeArguments {
    fn run(self, output: &Output) -> Result<(), Failure> {
        let mut ring = KeyRing::open(&self.config.config)?;
        let old = ring.find(self.key_id)?.clone();
        if old.revoked_at_ns.is_some() {
            return Err(Failure::operating(format_args!(
                "key {} is revoked, for good: add another with `tollgate keys add`",
                self.key_id
            )));
        }
        let request = KeyRequest {
            key_id: old.id,
            client: old.client,
            kind: kind_of(&old),
            scopes: old.scopes,
            mac: self.mac,
            gateway_address: self
                .file
                .gateway_address
                .clone()
                .unwrap_or_else(|| gateway_address(&ring.settings)),
            settings: &ring.settings,
        };
        let (made, file) = request.make()?;
        let entry = ring.find(self.key_id)?;
        entry.verifier = made.verifier;
        entry.secret_reference = None;
        entry.created_at_ns = made.created_at_ns;
        let path = ring.client_file(self.key_id, &self.file)?;
        file.replace(&path)
            .map_err(|error| Failure::operating(format_args!("cannot write {}: {error}", path.display())))?;
        ring.write()?;
        tell_file("rotated", self.key_id, &path, output)
    }
}

impl RevokeArguments {
    fn run(self, output: &Output) -> Result<(), Failure> {
        let mut ring = KeyRing::open(&self.config.config)?;
        let entry = ring.find(self.key_id)?;
        let revoked_at_ns = *entry.revoked_at_ns.get_or_insert_with(now_ns);
        ring.write()?;
        if output.json {
            return output.document(&json!({
                "revoked": self.key_id.as_str(),
                "revoked_at": document::time(revoked_at_ns),
            }));
        }
        output.line(format_args!("revoked {}", self.key_id))
    }
}

fn tell_file(what: &str, key_id: KeyId, path: &Path, output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.document(&json!({what: key_id.as_str(), "client_file": path}));
    }
    output.line(format_args!(
        "{what} {key_id}; its client logs on with {} (mode 0600): move it there, and keep no copy",
        path.display()
    ))
}

fn kind_of(entry: &Entry) -> Kind {
    match entry.verifier {
        Verifier::Hmac(_) => Kind::Hmac,
        Verifier::Ed25519(_) => Kind::Ed25519,
    }
}

/// Whether a key is good now, as one word.
fn state_of(entry: &Entry) -> (&'static str, Tone) {
    match (entry.revoked_at_ns, entry.expires_at_ns) {
        (Some(_), _) => ("revoked", Tone::Bad),
        (None, Some(end)) if end <= now_ns() => ("expired", Tone::Warning),
        _ => ("good", Tone::Good),
    }
}

fn list(ring: &KeyRing, output: &Output) -> Result<(), Failure> {
    if output.json {
        let keys: Vec<_> = ring.entries.iter().map(entry_document).collect();
        return output.document(&json!(keys));
    }
    if ring.entries.is_empty() {
        return output
            .line(format_args!("no keys in {}; make one with `tollgate keys add`", ring.path().display()));
    }
    let mut table = Table::new(&[
        "key", "client", "kind", "state", "scopes", "accounts", "symbols", "created", "expires",
    ]);
    for entry in &ring.entries {
        let (state, tone) = state_of(entry);
        let plain = |text: String| (text, Tone::Plain);
        let time = |time: Option<u64>| time.map_or("-".to_owned(), moment::seconds);
        table.toned_row([
            plain(entry.id.to_string()),
            plain(entry.client.to_string()),
            plain(kind_name(entry).to_owned()),
            (state.to_owned(), tone),
            plain(entry.scopes.words().join(" ")),
            plain(names(entry.accounts.as_deref())),
            plain(names(entry.symbols.as_deref())),
            plain(time(entry.created_at_ns)),
            plain(time(entry.expires_at_ns)),
        ]);
    }
    output.text(&table.render(output))
}

fn kind_name(entry: &Entry) -> &'static str {
    match kind_of(entry) {
        Kind::Hmac => "hmac",
        Kind::Ed25519 => "ed25519",
    }
}

fn names<const N: usize>(names: Option<&[Text<N>]>) -> String {
    names.map_or("all".to_owned(), |names| names.iter().map(Text::as_str).collect::<Vec<_>>().join(" "))
}

fn entry_document(entry: &Entry) -> serde_json::Value {
    json!({
        "key_id": entry.id.as_str(),
        "client": entry.client.as_str(),
        "kind": kind_name(entry),
        "state": state_of(entry).0,
        "scopes": entry.scopes.words(),
        "accounts": entry.accounts,
        "symbols": entry.symbols,
        "created_at": entry.created_at_ns.map(document::time),
        "expires_at": entry.expires_at_ns.map(document::time),
        "revoked_at": entry.revoked_at_ns.map(document::time),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::flags;

    use super::*;

    fn add(line: &str) -> Result<AddArguments, clap::Error> {
        flags::arguments(&format!("--config a.toml trend {line}"))
    }

    #[test]
    fn scope_is_needed_and_may_be_repeated_or_listed() {
        assert!(add("").is_err());
        assert!(add("--scope everything").is_err());
        assert_eq!(add("--scope trade --scope read").unwrap().scopes, ["trade", "read"]);
        assert_eq!(add("--scope trade,read").unwrap().scopes, ["trade", "read"]);
    }

    #[test]
    fn id_kind_and_mac_have_defaults() {
        let plain = add("--scope read").unwrap();
        assert_eq!(plain.id, None);
        assert!(matches!((plain.kind, plain.mac), (Kind::Hmac, Mac::Blake3)));
        let given = add("--scope read --id laptop --kind ed25519 --mac hmac-sha256").unwrap();
        assert_eq!(given.id.unwrap().as_str(), "laptop");
        assert!(matches!((given.kind, given.mac), (Kind::Ed25519, Mac::HmacSha256)));
    }

    #[test]
    fn accounts_symbols_and_expires_narrow_a_key() {
        let given = add("--scope read --accounts main,second --symbols EURUSD --expires 30d").unwrap();
        assert_eq!(given.accounts.unwrap().len(), 2);
        assert_eq!(given.symbols.unwrap()[0].as_str(), "EURUSD");
        assert!(given.expires.unwrap() > now_ns() + 29 * 86_400 * 1_000_000_000);
        assert!(add("--scope read --expires 2001-01-01T00:00:00Z").is_err(), "a key that never was good");
    }

    #[test]
    fn output_and_gateway_address_are_for_the_client_s_file() {
        let given = add("--scope read --output a/b.toml --gateway-address example.org:7000").unwrap();
        assert_eq!(given.file.output.unwrap().to_str(), Some("a/b.toml"));
        assert_eq!(given.file.gateway_address.as_deref(), Some("example.org:7000"));
    }
}
