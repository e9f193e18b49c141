//! The clients' keys: a TOML file of their own, mode 0600, that can be read again while the gateway runs.

use std::fmt::Write as _;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use jiff::Timestamp;
use tollgate_protocol::logon::{SECRET_BYTES_MIN, Verifier};
use tollgate_protocol::text::KeyId;
use tollgate_protocol::{AccountName, Symbol, Text};
use zeroize::Zeroizing;

use crate::error::ConfigErrors;
use crate::expand::Environment;
use crate::files::{Disk, FileError, Files, Privacy};
use crate::reader::{Context, Secrecy, Section, TEXT_BYTES_MAX, wipe};
use crate::value::{decode_hex, encode_hex, quoted};

/// What a key may do.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Scopes {
    /// Everything an order needs: place, change, cancel, close.
    pub trade: bool,
    /// Cancel. Not close: that is a trade.
    pub cancel: bool,
    /// Ask.
    pub read: bool,
    /// Halt and resume.
    pub operate: bool,
}

impl Scopes {
    /// Every scope's word, in the order of the fields.
    pub const WORDS: [&str; 4] = ["trade", "cancel", "read", "operate"];

    /// The scope of a word; `None` when there is none of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        let mut scopes = Self::default();
        match word {
            "trade" => scopes.trade = true,
            "cancel" => scopes.cancel = true,
            "read" => scopes.read = true,
            "operate" => scopes.operate = true,
            _ => return None,
        }
        Some(scopes)
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            trade: self.trade || other.trade,
            cancel: self.cancel || other.cancel,
            read: self.read || other.read,
            operate: self.operate || other.operate,
        }
    }

    /// The words of the scopes that are given.
    pub fn words(self) -> Vec<&'static str> {
        let given = [self.trade, self.cancel, self.read, self.operate];
        Self::WORDS.into_iter().zip(given).filter(|(_, given)| *given).map(|(word, _)| word).collect()
    }
}

/// A key as the file has it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its public name.
    pub id: KeyId,
    /// The client it is of.
    pub client: Text<31>,
    /// The shared secret, or the client's public key.
    pub verifier: Verifier,
    /// Where the secret comes from, when it does not stand in the file: a text with `${NAME}` or `file:PATH`.
    /// [`write()`] writes this in place of the secret.
    pub secret_reference: Option<String>,
    /// What it may do.
    pub scopes: Scopes,
    /// The accounts it may use; `None` for all of the client's.
    pub accounts: Option<Vec<AccountName>>,
    /// The symbols it may trade; `None` for all of the client's.
    pub symbols: Option<Vec<Symbol>>,
    /// When it was made, nanoseconds since the Unix epoch.
    pub created_at_ns: Option<u64>,
    /// When it ceases to be good.
    pub expires_at_ns: Option<u64>,
    /// When it was revoked; whatever the time says, it is not good any more.
    pub revoked_at_ns: Option<u64>,
}

impl Entry {
    /// A key without restrictions beyond its client's.
    pub fn new(id: KeyId, client: Text<31>, verifier: Verifier, scopes: Scopes) -> Self {
        Self {
            id,
            client,
            verifier,
            secret_reference: None,
            scopes,
            accounts: None,
            symbols: None,
            created_at_ns: None,
            expires_at_ns: None,
            revoked_at_ns: None,
        }
    }
}

/// Reads the keys at `path`, which must be readable by its owner alone.
pub fn load(path: &Path) -> Result<Vec<Entry>, ConfigErrors> {
    load_with(path, &|name| std::env::var(name).ok(), &Disk)
}

/// [`load`], with another environment and other files.
pub fn load_with(
    path: &Path,
    environment: &Environment<'_>,
    files: &dyn Files,
) -> Result<Vec<Entry>, ConfigErrors> {
    load_if_there(path, environment, files)?.ok_or_else(|| unreadable(path, &FileError::Missing))
}

/// `None` when there is no file at `path`.
pub(crate) fn load_if_there(
    path: &Path,
    environment: &Environment<'_>,
    files: &dyn Files,
) -> Result<Option<Vec<Entry>>, ConfigErrors> {
    let text = match files.read(path, Privacy::Private, TEXT_BYTES_MAX) {
        Ok(text) => Zeroizing::new(text),
        Err(FileError::Missing) => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let base = path.parent().unwrap_or(Path::new(""));
    parse(&text, base, environment, files).map(Some).map_err(|errors| errors.in_file(path))
}

/// The keys that the file at `path` says are revoked, whatever else is wrong with it; none when it cannot be read or is no
/// TOML.
pub fn revoked_in(path: &Path) -> Vec<KeyId> {
    let Ok(text) = Disk.read(path, Privacy::Private, TEXT_BYTES_MAX) else { return Vec::new() };
    let text = Zeroizing::new(text);
    let Ok(mut table) = text.parse::<toml::Table>() else { return Vec::new() };
    let tables = table.get("key").and_then(toml::Value::as_array).into_iter().flatten();
    let revoked = tables
        .filter_map(toml::Value::as_table)
        .filter(|key| key.contains_key("revoked_at"))
        .filter_map(|key| KeyId::new(key.get("id")?.as_str()?).ok())
        .collect();
    wipe(&mut table);
    revoked
}

fn unreadable(path: &Path, error: &FileError) -> ConfigErrors {
    let advice = "gateway.keys_file names the keys, readable by their owner alone".to_owned();
    ConfigErrors::of_file(error.to_string(), advice).in_file(path)
}

/// Reads keys from a text; relative paths in it start at `base`.
pub fn parse(
    text: &str,
    base: &Path,
    environment: &Environment<'_>,
    files: &dyn Files,
) -> Result<Vec<Entry>, ConfigErrors> {
    let (context, mut table) = Context::new(text, base, environment, files, Secrecy::Keys)?;
    let root = Section::root(&context, &table);
    let mut entries: Vec<Entry> = Vec::new();
    for (path, table) in root.tables("key") {
        let section = Section::of_array(&context, "key", path, table);
        let entry = read_entry(&section);
        if entry.as_ref().is_some_and(|entry| entries.iter().any(|earlier| earlier.id == entry.id)) {
            section.wrong("id", "is there twice", "give each key an id of its own");
        }
        section.close();
        entries.extend(entry);
    }
    root.close();
    wipe(&mut table);
    match ConfigErrors::new(context.finish().errors) {
        Some(errors) => Err(errors),
        None => Ok(entries),
    }
}

const SCOPES_ADVICE: &str = "give some of: trade, cancel, read, operate";

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Hmac,
    Ed25519,
}

fn read_entry(section: &Section<'_>) -> Option<Entry> {
    let (id, client) = (section.name("id"), section.name("client"));
    section.missing("kind", "give \"hmac\" or \"ed25519\"");
    let verifier =
        match section.choice("kind", Kind::Hmac, &[("hmac", Kind::Hmac), ("ed25519", Kind::Ed25519)]) {
            Kind::Hmac => read_secret(section),
            Kind::Ed25519 => read_public_key(section),
        };
    section.missing("scopes", SCOPES_ADVICE);
    let mut scopes = Scopes::default();
    for (path, word) in section.names("scopes").unwrap_or_default() {
        if let Some(scope) = Scopes::from_word(&word) {
            scopes = scopes.with(scope);
        } else {
            section.context().wrong(&path, Some(&quoted(&word)), "is not a scope", SCOPES_ADVICE);
        }
    }
    if scopes == Scopes::default() && section.has("scopes") {
        section.wrong("scopes", "allows nothing", SCOPES_ADVICE);
    }
    let secret_reference = section.context().original(&section.key_path("secret")).map(str::to_owned);
    // Every key is asked for before a mistake in one of them ends it.
    let (accounts, symbols) = (texts(section, "accounts"), texts(section, "symbols"));
    let (created_at_ns, expires_at_ns) = (time(section, "created_at"), time(section, "expires_at"));
    let revoked_at_ns = time(section, "revoked_at");
    Some(Entry {
        id,
        client,
        verifier: verifier?,
        secret_reference,
        scopes,
        accounts,
        symbols,
        created_at_ns,
        expires_at_ns,
        revoked_at_ns,
    })
}

fn read_secret(section: &Section<'_>) -> Option<Verifier> {
    let advice = format!("give at least {SECRET_BYTES_MIN} random bytes as hexadecimal digits");
    section.missing("secret", &advice);
    let secret = section.secret("secret")?;
    if secret.expose().len() < SECRET_BYTES_MIN {
        section.wrong("secret", &format!("has {} bytes", secret.expose().len()), &advice);
        return None;
    }
    Some(Verifier::Hmac(secret))
}

fn read_public_key(section: &Section<'_>) -> Option<Verifier> {
    let advice = "give the 32 bytes of the Ed25519 public key as 64 hexadecimal digits";
    let text = section.required_text("public_key", advice)?;
    let key = decode_hex(&text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    if key.is_none() {
        section.wrong("public_key", "is not a public key", advice);
    }
    key.map(Verifier::Ed25519)
}

fn texts<const N: usize>(section: &Section<'_>, key: &'static str) -> Option<Vec<Text<N>>> {
    let names = section.names(key)?;
    Some(names.iter().filter_map(|(path, name)| section.context().text(path, name)).collect())
}

fn time(section: &Section<'_>, key: &'static str) -> Option<u64> {
    let text = section.time_text(key)?;
    let time = text.parse::<Timestamp>().ok().and_then(|time| u64::try_from(time.as_nanosecond()).ok());
    if time.is_none() {
        section.wrong(key, "is not a time", "give it with its offset, as in \"2027-01-01T00:00:00Z\"");
    }
    time
}

pub(crate) fn shown_time(time_ns: u64) -> String {
    Timestamp::from_nanosecond(i128::from(time_ns)).map(|time| time.to_string()).unwrap_or_default()
}

/// Writes the keys to `path`, mode 0600: whole or not at all, and durable when it returns. The file stays its
/// owner's, also when another user (root) writes it.
pub fn write(path: &Path, entries: &[Entry]) -> io::Result<()> {
    // Through a link, so that it stays one.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().ok_or_else(|| io::Error::other("the path has no file name"))?;
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = directory.join(format!(".{}.{}.new", name.to_string_lossy(), std::process::id()));
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let owner = std::fs::metadata(&path).or_else(|_| std::fs::metadata(directory))?;
    let written = write_new(&temporary, &render(entries), &owner);
    let result = written.and_then(|()| std::fs::rename(&temporary, &path));
    if result.is_err() {
        // What went wrong first is what matters.
        let _ = std::fs::remove_file(&temporary);
    }
    result?;
    File::open(directory)?.sync_all()
}

fn write_new(path: &Path, text: &str, owner: &Metadata) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let writer = file.metadata()?;
    // Only root may give files away; anybody else's are their own.
    if writer.uid() == 0 && (owner.uid(), owner.gid()) != (writer.uid(), writer.gid()) {
        fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn render(entries: &[Entry]) -> Zeroizing<String> {
    // Sized at once: a text that grows would leave copies of secrets behind.
    let size = entries.len() * 16_384 + 1024;
    let mut text = Zeroizing::new(String::with_capacity(size));
    text.push_str("# Keys of clients. Holds secrets: readable by its owner alone.\n");
    for entry in entries {
        render_entry(&mut text, entry);
    }
    text
}

fn render_entry(text: &mut String, entry: &Entry) {
    let line = |text: &mut String, key: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{key} = {value}");
    };
    text.push_str("\n[[key]]\n");
    line(text, "id", &quoted(entry.id.as_str()));
    line(text, "client", &quoted(entry.client.as_str()));
    match &entry.verifier {
        Verifier::Hmac(secret) => {
            line(text, "kind", "\"hmac\"");
            if let Some(reference) = &entry.secret_reference {
                line(text, "secret", &toml::Value::String(reference.clone()).to_string());
            } else {
                let digits = Zeroizing::new(encode_hex(secret.expose()));
                text.extend(["secret = \"", &digits, "\"\n"]);
            }
        }
        Verifier::Ed25519(key) => {
            line(text, "kind", "\"ed25519\"");
            line(text, "public_key", &format!("\"{}\"", encode_hex(key)));
        }
    }
    line(text, "scopes", &list(entry.scopes.words().into_iter()));
    if let Some(accounts) = &entry.accounts {
        line(text, "accounts", &list(accounts.iter().map(Text::as_str)));
    }
    if let Some(symbols) = &entry.symbols {
        line(text, "symbols", &list(symbols.iter().map(Text::as_str)));
    }
    let times = [
        ("created_at", entry.created_at_ns),
        ("expires_at", entry.expires_at_ns),
        ("revoked_at", entry.revoked_at_ns),
    ];
    for (key, time) in times {
        if let Some(time) = time {
            line(text, key, &format!("\"{}\"", shown_time(time)));
        }
    }
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.map(quoted).collect();
    format!("[{}]", items.join(", "))
}
