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

use crate::error::{ConfigError, ConfigErrors};
use crate::expand::Environment;
use crate::files::{Disk, FileError, Files, Privacy};
use crate::reader::{Context, Secrecy, Section, TEXT_BYTES_MAX, wipe};
use crate::settings::Settings;
use crate::value::{decode_hex, encode_hex, nearest, quoted};

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

/// A key as the gateway uses it: names resolved to positions in [`Settings`].
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// Its public name.
    pub key_id: KeyId,
    /// The position of its client in [`Settings::clients`].
    pub client: u16,
    /// What a proof is checked against.
    pub verifier: Verifier,
    /// What it may do.
    pub scopes: Scopes,
    /// The accounts it may use, in [`Settings::accounts`]; `None` for all of the client's.
    pub accounts: Option<Vec<u16>>,
    /// The instruments it may trade, in [`Settings::instruments`]; `None` for all of the client's.
    pub symbols: Option<Vec<u16>>,
    /// Not good from this time on, nanoseconds since the Unix epoch.
    pub expires_at_ns: Option<u64>,
    /// Not good any more.
    pub revoked: bool,
    /// When it was made, for showing; may be empty.
    pub created: Text<31>,
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

/// Resolves the names in `entries`. Every name that is not in `settings`, and every key that its client could not
/// use, is a mistake.
pub fn resolve(entries: &[Entry], settings: &Settings) -> Result<Vec<KeySettings>, ConfigErrors> {
    let mut resolver = Resolver { settings, errors: Vec::new() };
    let keys: Vec<_> =
        entries.iter().enumerate().filter_map(|(index, entry)| resolver.resolve(index, entry)).collect();
    match ConfigErrors::new(resolver.errors) {
        Some(errors) => Err(errors.in_file(&settings.gateway.keys_file)),
        None => Ok(keys),
    }
}

struct Resolver<'a> {
    settings: &'a Settings,
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
        let settings = self.settings;
        if matches!(entry.verifier, Verifier::Ed25519(_)) && settings.gateway.identity.is_none() {
            let problem = "an Ed25519 key needs the gateway to have an identity, and it has none".to_owned();
            let advice = "make gateway.identity_file: 64 random hexadecimal digits, mode 0600".to_owned();
            self.wrong(format!("key[{index}].kind"), "ed25519", problem, advice);
        }
        let names: Vec<&str> = settings.clients.iter().map(|client| client.name.as_str()).collect();
        let Some(position) = names.iter().position(|name| *name == entry.client.as_str()) else {
            let advice = near_or_list(entry.client.as_str(), &names);
            let problem = "there is no client of this name".to_owned();
            self.wrong(format!("key[{index}].client"), entry.client.as_str(), problem, advice);
            return None;
        };
        let client = &settings.clients[position];
        let accounts: Vec<(u16, &str)> = client
            .accounts
            .iter()
            .filter_map(|at| Some((*at, settings.accounts.get(usize::from(*at))?.name.as_str())))
            .collect();
        let symbols: Vec<(u16, &str)> = settings
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

fn shown_time(time_ns: u64) -> String {
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
