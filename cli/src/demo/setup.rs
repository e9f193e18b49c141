//! The demonstration's directory, settings and keys.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tollgate_config::keys::Entry;
use tollgate_config::{DEMO, Scopes, Settings};
use tollgate_protocol::{AccountName, Symbol};
use toml::{Table, Value};

use super::super::check::{invalid, load_to_run};
use super::super::failure::Failure;
use super::super::fresh_key::{KeyRequest, fresh_secret};
use super::super::key_file::{KeyFile, Kind, Mac, create_private, encode_hex};
use super::DemoArguments;
use tollgate_client::fresh_command_id;

/// Between two quotes of a recording there may be more time than a live feed would take.
const RECORDED_PRICE_AGE_MS: i64 = 3_600_000;

/// What the demonstration runs on.
pub(crate) struct Setup {
    pub(crate) directory: PathBuf,
    pub(crate) settings_file: PathBuf,
    pub(crate) settings: Settings,
    /// The symbol that a recording is of.
    pub(crate) symbol: Option<Symbol>,
    entries: Vec<Entry>,
    keys: Vec<(PathBuf, KeyFile)>,
}

/// A client's key and where its file will be.
pub(crate) struct DemoKey {
    pub(crate) path: PathBuf,
    pub(crate) file: KeyFile,
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::operating(format_args!("cannot {what} {}: {error}", path.display()))
}

impl Setup {
    pub(crate) fn make(arguments: &DemoArguments) -> Result<Self, Failure> {
        let directory = make_directory(arguments.directory.as_deref())?;
        let settings_file = directory.join("tollgate.toml");
        if settings_file.exists() {
            return Err(Failure::operating(format_args!(
                "{} is there already: give --directory a new or an empty one",
                settings_file.display()
            )));
        }
        let mut table: Table = DEMO.parse().map_err(Failure::operating)?;
        place(&mut table, &directory, arguments.port)?;
        share_accounts(&mut table);
        let symbol = match &arguments.prices {
            Some(prices) => Some(record_feed(&mut table, prices, arguments)?),
            None => None,
        };
        let head = "# Settings of a demonstration.\n\n";
        let text = [head, &toml::to_string(&table).map_err(Failure::operating)?].concat();
        create_private(&settings_file, text.as_bytes())
            .map_err(|error| cannot("write", &settings_file, &error))?;
        let identity_file = directory.join("identity.key");
        let identity = zeroize::Zeroizing::new(encode_hex(fresh_secret()?.expose()) + "\n");
        create_private(&identity_file, identity.as_bytes())
            .map_err(|error| cannot("write", &identity_file, &error))?;
        let settings = load_to_run(&settings_file)?;
        let mut setup =
            Self { directory, settings_file, settings, symbol, entries: Vec::new(), keys: Vec::new() };
        setup.make_keys()?;
        Ok(setup)
    }

    /// A key for each client: HMAC and Ed25519, BLAKE3 and HMAC-SHA256 sessions by turns.
    fn make_keys(&mut self) -> Result<(), Failure> {
        for (index, client) in self.settings.clients.iter().enumerate() {
            let operator = client.name.as_str() == super::OPERATOR;
            let request = KeyRequest {
                key_id: client.name,
                client: client.name,
                kind: if index % 3 == 2 { Kind::Ed25519 } else { Kind::Hmac },
                scopes: Scopes { trade: !operator, cancel: true, read: true, operate: operator },
                mac: if index % 2 == 0 { Mac::Blake3 } else { Mac::HmacSha256 },
                gateway_address: String::new(),
                settings: &self.settings,
            };
            let (entry, file) = request.make()?;
            self.entries.push(entry);
            self.keys.push((self.directory.join("clients").join(format!("{}.toml", client.name)), file));
        }
        let path = &self.settings.gateway.keys_file;
        tollgate_config::keys::write(path, &self.entries).map_err(|error| cannot("write", path, &error))?;
        self.settings.keys = self
            .settings
            .resolve_keys(&self.entries)
            .map_err(|errors| invalid(&self.settings_file, &errors))?;
        Ok(())
    }

    /// Writes the clients' files, now that the gateway's address is known.
    pub(crate) fn write_client_files(
        &mut self,
        address: std::net::SocketAddr,
    ) -> Result<Vec<DemoKey>, Failure> {
        let directory = self.directory.join("clients");
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(|error| cannot("make", &directory, &error))?;
        let mut written = Vec::new();
        for (path, mut file) in self.keys.drain(..) {
            file.gateway_address = address.to_string();
            file.create(&path).map_err(|error| cannot("write", &path, &error))?;
            written.push(DemoKey { path, file });
        }
        Ok(written)
    }

    pub(crate) fn accounts(&self) -> Vec<AccountName> {
        self.settings.accounts.iter().map(|account| account.name).collect()
    }
}

fn make_directory(wanted: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = match wanted {
        Some(path) => path.to_owned(),
        None => std::env::temp_dir().join(format!("tollgate-demo-{}", fresh_command_id()?)),
    };
    // In a directory that everybody may write to, the name must be nobody's yet.
    DirBuilder::new()
        .recursive(wanted.is_some())
        .mode(0o700)
        .create(&path)
        .map_err(|error| cannot("make the directory", &path, &error))?;
    path.canonicalize().map_err(|error| cannot("find", &path, &error))
}

fn text(value: &str) -> Value {
    Value::String(value.replace('$', "$$"))
}

fn path_text(path: &Path) -> Result<Value, Failure> {
    let name = path.to_str();
    name.map(text).ok_or_else(|| Failure::operating(format_args!("{} is not UTF-8", path.display())))
}

/// The demonstration's settings have the shape that is walked here; a test holds that.
fn table<'a>(parent: &'a mut Table, key: &str) -> &'a mut Table {
    let value = parent.entry(key).or_insert_with(|| Value::Table(Table::new()));
    if !value.is_table() {
        *value = Value::Table(Table::new());
    }
    match value {
        Value::Table(table) => table,
        _ => unreachable!("made a table just above"),
    }
}

fn tables<'a>(parent: &'a mut Table, key: &str) -> impl Iterator<Item = &'a mut Table> {
    let items = parent.get_mut(key).and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_table_mut)
}

fn place(root: &mut Table, directory: &Path, port: u16) -> Result<(), Failure> {
    let gateway = table(root, "gateway");
    gateway.insert("directory".to_owned(), path_text(directory)?);
    gateway.insert("listen".to_owned(), text(&format!("127.0.0.1:{port}")));
    table(root, "side").insert("listen".to_owned(), text("127.0.0.1:0"));
    Ok(())
}

/// Eight clients with opposite views share the accounts. On the first their orders may meet, or most would be
/// refused; on the second they may not.
fn share_accounts(root: &mut Table) {
    for (account, mode) in tables(root, "account").zip(["allow", "cancel_aggressor"]) {
        account.insert("self_trade".to_owned(), text(mode));
    }
}

/// Puts a recording in place of the synthetic prices; with the symbol that it is of.
fn record_feed(root: &mut Table, prices: &Path, arguments: &DemoArguments) -> Result<Symbol, Failure> {
    let file = prices.canonicalize().map_err(|error| cannot("read", prices, &error))?;
    let name = prices.file_name().map(|name| name.to_string_lossy().to_ascii_uppercase()).unwrap_or_default();
    let known = ["BTCUSDT", "EURUSD", "USDJPY"];
    let symbol = known.into_iter().find(|symbol| name.contains(symbol)).ok_or_else(|| {
        Failure::usage(format_args!(
            "the name of {} does not say what its prices are of: it must contain one of {}",
            prices.display(),
            known.join(", ")
        ))
    })?;
    let quotes =
        name.trim_end_matches(".GZ").rsplit_once('.').is_some_and(|(_, extension)| extension == "CSV");
    let mut feed = Table::new();
    feed.insert("kind".to_owned(), text(if quotes { "csv_quotes" } else { "binance_stream" }));
    feed.insert("file".to_owned(), path_text(&file)?);
    feed.insert("speed".to_owned(), Value::Integer(i64::from(arguments.speed)));
    if quotes {
        feed.insert("instrument".to_owned(), text(symbol));
    }
    for venue in tables(root, "venue") {
        table(venue, "paper").insert("feed".to_owned(), Value::Table(feed.clone()));
    }
    table(table(root, "risk"), "firm")
        .insert("max_price_age_ms".to_owned(), Value::Integer(RECORDED_PRICE_AGE_MS));
    if symbol == "USDJPY" {
        let instruments = root.entry("instrument").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(instruments) = instruments {
            instruments.push(Value::Table(usdjpy()));
        }
    }
    for client in tables(root, "client").filter(|client| client.contains_key("symbols")) {
        client.insert("symbols".to_owned(), Value::Array(vec![text(symbol)]));
    }
    Ok(Symbol::truncated(symbol))
}

fn usdjpy() -> Table {
    let texts = [
        ("symbol", "USDJPY"),
        ("venue", "paper"),
        ("base_asset", "USD"),
        ("quote_asset", "JPY"),
        ("tick", "0.001"),
        ("step", "0.01"),
        ("min_quantity", "0.01"),
        ("max_quantity", "50"),
        ("contract_size", "100000"),
        ("quote_to_account_rate", "0.01"),
    ];
    texts.into_iter().map(|(key, value)| (key.to_owned(), text(value))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_demonstrations_settings_have_the_shape_that_is_changed() {
        let mut root: Table = DEMO.parse().unwrap();
        assert_eq!(tables(&mut root, "venue").count(), 1);
        assert!(tables(&mut root, "venue").all(|venue| venue["paper"].is_table()));
        assert!(root["gateway"].is_table() && root["side"].is_table() && root["risk"]["firm"].is_table());
        let names: Vec<String> =
            tables(&mut root, "client").map(|client| client["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names.len(), 9);
        assert_eq!(names[8], super::super::OPERATOR);
        let rounding = tables(&mut root, "client").position(|client| client.contains_key("precision"));
        assert_eq!(rounding, Some(super::super::ROUNDING_CLIENT as usize));
    }
}
