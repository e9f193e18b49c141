//! `tollgate init`: a directory with everything that a first start needs.

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use tollgate_config::keys::Entry;
use tollgate_config::{EXAMPLE, Scopes, Settings};
use tollgate_protocol::text::Text;

use crate::check::load;
use crate::failure::Failure;
use crate::fresh_key::{KeyRequest, fresh_secret, gateway_address};
use crate::key_file::{KeyFile, Kind, Mac, create_private, encode_hex};
use crate::output::{Output, Tone};

/// Options of `init`.
#[derive(Args, Debug)]
pub(crate) struct InitArguments {
    /// Where to write; made when it is missing.
    #[arg(default_value = ".", value_name = "DIR")]
    directory: PathBuf,
    /// Where the gateway shall listen for clients.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Where health, metrics and the operator's page shall be served.
    #[arg(long, value_name = "ADDRESS:PORT")]
    side_listen: Option<SocketAddr>,
}

/// The keys that are made: id, client, scopes.
const KEYS: [(&str, &str, Scopes); 3] = [
    ("trend-trade", "trend", Scopes { trade: true, cancel: true, read: true, operate: false }),
    ("trend-read", "trend", Scopes { trade: false, cancel: false, read: true, operate: false }),
    ("operator", "operator", Scopes { trade: false, cancel: false, read: true, operate: true }),
];

struct Paths {
    directory: PathBuf,
    settings: PathBuf,
    keys: PathBuf,
    identity: PathBuf,
    clients: PathBuf,
}

impl Paths {
    fn new(directory: &Path) -> Result<Self, Failure> {
        make_directory(directory)?;
        // Absolute, since it is written into the settings and shown in commands to copy.
        let directory = directory.canonicalize().map_err(|error| cannot("find", directory, &error))?;
        Ok(Self {
            settings: directory.join("tollgate.toml"),
            keys: directory.join("keys.toml"),
            identity: directory.join("identity.key"),
            clients: directory.join("clients"),
            directory,
        })
    }

    fn client(&self, key_id: &str) -> PathBuf {
        self.clients.join(format!("{key_id}.toml"))
    }

    /// Nothing is ever overwritten: keys that are lost cannot be had again.
    fn require_absent(&self) -> Result<(), Failure> {
        let clients = KEYS.map(|(id, ..)| self.client(id));
        let all = [&self.settings, &self.keys, &self.identity].into_iter().chain(&clients);
        let present: Vec<String> = all
            .filter(|path| path.symlink_metadata().is_ok())
            .map(|path| path.display().to_string())
            .collect();
        if present.is_empty() {
            return Ok(());
        }
        Err(Failure::operating(format_args!(
            "{} is there already, and nothing is overwritten: name another directory, or use `tollgate keys`",
            present.join(", ")
        )))
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::operating(format_args!("cannot {what} {}: {error}", path.display()))
}

/// Makes a directory for secrets, where there is none: whatever the umask says, others have no way in.
pub(crate) fn make_directory(path: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| cannot("make the directory", path, &error))
}

impl InitArguments {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let paths = Paths::new(&self.directory)?;
        paths.require_absent()?;
        make_directory(&paths.clients)?;
        let identity = fresh_secret()?;
        let digits = zeroize::Zeroizing::new(encode_hex(identity.expose()) + "\n");
        create(&paths.identity, digits.as_bytes())?;
        create(&paths.settings, self.settings(&paths)?.as_bytes())?;
        // From here on the settings' own words decide, not ours.
        let settings = load(&paths.settings)?;
        let files = write_keys(&paths, &settings)?;
        let settings = load(&paths.settings)?;
        report(&paths, &settings, &files, output)
    }

    fn settings(&self, paths: &Paths) -> Result<String, Failure> {
        let directory = paths
            .directory
            .to_str()
            .ok_or_else(|| Failure::operating("the directory's name is not UTF-8: choose another"))?;
        let mut text = with_value(EXAMPLE, "gateway", "directory", directory);
        if let Some(listen) = self.listen {
            text = with_value(&text, "gateway", "listen", &listen.to_string());
            text = with_remote(&text, "gateway", listen);
        }
        if let Some(listen) = self.side_listen {
            text = with_value(&text, "side", "listen", &listen.to_string());
            text = with_remote(&text, "side", listen);
        }
        Ok(text)
    }
}

fn create(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    create_private(path, bytes).map_err(|error| cannot("write", path, &error))
}

/// `text` with another value of a key of a table; comments stay as they are.
fn with_value(text: &str, table: &str, key: &str, value: &str) -> String {
    with_toml(text, table, key, &toml::Value::String(value.replace('$', "$$")).to_string())
}

/// An address that other machines reach is asked for on the command line: the settings say so too.
fn with_remote(text: &str, table: &str, listen: SocketAddr) -> String {
    with_toml(text, table, "allow_remote", &(!listen.ip().is_loopback()).to_string())
}

fn with_toml(text: &str, table: &str, key: &str, value: &str) -> String {
    let mut here = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            here = line == format!("[{table}]");
        }
        let is_key = line.split('=').next().is_some_and(|name| name.trim_end() == key);
        lines.push(if here && is_key { format!("{key} = {value}") } else { line.to_owned() });
    }
    lines.join("\n") + "\n"
}

fn write_keys(paths: &Paths, settings: &Settings) -> Result<Vec<PathBuf>, Failure> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut files: Vec<(PathBuf, KeyFile)> = Vec::new();
    for (id, client, scopes) in KEYS {
        let request = KeyRequest {
            key_id: Text::truncated(id),
            client: Text::truncated(client),
            kind: Kind::Hmac,
            scopes,
            // In every language's standard library; whoever has BLAKE3 may ask for it in the hello all the same.
            mac: Mac::HmacSha256,
            gateway_address: gateway_address(settings),
            settings,
        };
        let (entry, file) = request.make()?;
        entries.push(entry);
        files.push((paths.client(id), file));
    }
    for (path, file) in &files {
        file.create(path).map_err(|error| cannot("write", path, &error))?;
    }
    tollgate_config::keys::write(&paths.keys, &entries)
        .map_err(|error| cannot("write", &paths.keys, &error))?;
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

fn report(paths: &Paths, settings: &Settings, files: &[PathBuf], output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.document(&json!({
            "settings": paths.settings,
            "keys": paths.keys,
            "identity": paths.identity,
            "client_files": files,
            "listen": settings.gateway.listen.to_string(),
            "side_listen": settings.side.listen.to_string(),
        }));
    }
    let heading = |text: &str| output.paint(Tone::Heading, text);
    let (directory, trade) = (shell_word(&paths.directory), shell_word(&paths.client(KEYS[0].0)));
    output.text(&format!(
        "{written} {directory}
  tollgate.toml             settings, every key explained: a paper venue to begin with
  keys.toml                 what the gateway knows of its clients' keys (mode 0600)
  identity.key              the gateway's own key (mode 0600)
  clients/trend-trade.toml  a key that may trade (mode 0600)
  clients/trend-read.toml   a key that may only ask (mode 0600)
  clients/operator.toml     a key that may halt and resume trading (mode 0600)

{next}
  1. Look the settings over, and check them:  tollgate check {directory}/tollgate.toml
  2. Start the gateway:                       tollgate run --config {directory}/tollgate.toml
  3. In another terminal, send an order:      tollgate send --key {trade} new BTCUSDT buy 0.001 --wait
  4. Look at the result:                      tollgate positions --key {trade}
  5. Add keys of your own:                    tollgate keys add --help

Client files hold secrets. Move each to the machine that uses it, and keep no copy.
",
        written = heading("Wrote to"),
        next = heading("Next"),
    ))
}

/// A path as it can be copied into a shell.
pub(crate) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |character: char| character.is_alphanumeric() || "/._-+:@,".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::flags;

    #[test]
    fn listen_and_side_listen_are_addresses() {
        let given: InitArguments =
            flags::arguments("here --listen 10.0.0.1:7000 --side-listen 127.0.0.1:9").unwrap();
        assert_eq!(given.listen, "10.0.0.1:7000".parse().ok());
        assert_eq!(given.side_listen, "127.0.0.1:9".parse().ok());
        assert_eq!(given.directory, PathBuf::from("here"));
        assert!(flags::arguments::<InitArguments>("--listen localhost").is_err(), "an address and a port");
    }

    #[test]
    fn values_of_the_example_are_replaced_where_they_stand() {
        let text = with_value(EXAMPLE, "gateway", "directory", "/a/$b \"c\"");
        assert!(text.contains("directory = '/a/$$b \"c\"'\n"), "{text}");
        let changed = text.lines().zip(EXAMPLE.lines()).filter(|(new, old)| new != old).count();
        assert_eq!((changed, text.lines().count()), (1, EXAMPLE.lines().count()));
        let text = with_value(EXAMPLE, "side", "listen", "127.0.0.1:1");
        let changed: Vec<_> = text.lines().zip(EXAMPLE.lines()).filter(|(new, old)| new != old).collect();
        assert_eq!(changed, [("listen = \"127.0.0.1:1\"", "listen = \"127.0.0.1:9091\"")]);
    }

    #[test]
    fn an_address_for_other_machines_is_allowed_where_it_is_asked_for() {
        let text = with_remote(EXAMPLE, "gateway", "0.0.0.0:7000".parse().unwrap());
        let allowed: Vec<_> = text.lines().filter(|line| line.starts_with("allow_remote")).collect();
        assert_eq!(allowed, ["allow_remote = true", "allow_remote = false"]);
    }

    #[test]
    fn paths_survive_a_shell() {
        assert_eq!(shell_word(Path::new("/a/b-1.toml")), "/a/b-1.toml");
        assert_eq!(shell_word(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
