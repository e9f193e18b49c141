//! All settings together.

use std::collections::BTreeMap;
use std::path::Path;

use tollgate_protocol::Text;

use crate::account::AccountSettings;
use crate::client::ClientSettings;
use crate::error::{ConfigError, ConfigErrors};
use crate::expand::Environment;
use crate::files::{Disk, Files, Privacy};
use crate::gateway::{
    CapacitySettings, DedupeSettings, GatewaySettings, HotSettings, JournalSettings, SessionSettings,
    SideSettings,
};
use crate::instrument::{InstrumentRead, InstrumentSettings};
use crate::key_settings::{self, KeySettings};
use crate::keys::{self, Entry};
use crate::listing::{Exchange, ListedSymbol};
use crate::reader::{Context, Findings, Secrecy, Section, TEXT_BYTES_MAX};
use crate::risk::RiskSettings;
use crate::value::quoted;
use crate::venue::{FeedSettings, VenueKind, VenueRead, VenueSettings};

/// Every key with its unit, range and default. Loads as it is.
pub const EXAMPLE: &str = include_str!("../example.toml");

/// Settings for a demonstration: eight clients and an operator on a paper venue. Wants `TOLLGATE_DIRECTORY`.
pub const DEMO: &str = include_str!("../demo.toml");

/// Bytes of an exchange's rule file.
const LISTING_BYTES_MAX: u64 = 64 << 20;

/// Positions are 16 bits wide.
const COUNT_MAX: usize = u16::MAX as usize;

/// Everything that is read at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the gateway is and where it lives.
    pub gateway: GatewaySettings,
    /// The hot thread.
    pub hot: HotSettings,
    /// Client connections.
    pub sessions: SessionSettings,
    /// The side port.
    pub side: SideSettings,
    /// The journal.
    pub journal: JournalSettings,
    /// Deduplication of commands.
    pub dedupe: DedupeSettings,
    /// What is reserved at start and never grows.
    pub capacity: CapacitySettings,
    /// Checks that hold for the whole gateway.
    pub risk: RiskSettings,
    /// Venues, in the order of the file.
    pub venues: Vec<VenueSettings>,
    /// Instruments: the file's tables in their order, then what else the venues' exchange information has.
    pub instruments: Vec<InstrumentSettings>,
    /// Accounts, in the order of the file.
    pub accounts: Vec<AccountSettings>,
    /// Clients, in the order of the file.
    pub clients: Vec<ClientSettings>,
    /// Keys, in the order of their file. Empty after [`Settings::parse`].
    pub keys: Vec<KeySettings>,
    /// What can be lived with, but is hardly meant.
    pub warnings: Vec<ConfigError>,
    description: String,
}

impl Settings {
    /// Reads settings and keys from the file at `path` and the keys file that it names. A keys file that does not
    /// exist is a warning: nobody can log on until there is one.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        Self::load_with(path, &|name| std::env::var(name).ok(), &Disk)
    }

    /// [`Settings::load`], with another environment and other files.
    pub fn load_with(
        path: &Path,
        environment: &Environment<'_>,
        files: &dyn Files,
    ) -> Result<Self, ConfigErrors> {
        let text = files.read(path, Privacy::Public, TEXT_BYTES_MAX).map_err(|error| {
            ConfigErrors::of_file(error.to_string(), "name the settings file".to_owned()).in_file(path)
        })?;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let base = absolute.parent().unwrap_or(Path::new("/"));
        let (mut settings, mut findings) = Self::examine(&text, base, environment, files)?;
        settings.load_keys(environment, files, &mut findings);
        settings.finish(findings)
    }

    fn load_keys(&mut self, environment: &Environment<'_>, files: &dyn Files, findings: &mut Findings) {
        let path = &self.gateway.keys_file;
        // With a mistake in the gateway's table this may be the path of something else.
        if findings.errors.iter().any(|error| error.key.starts_with("gateway")) {
            return;
        }
        let entries = match keys::load_if_there(path, environment, files) {
            Ok(Some(entries)) => entries,
            Ok(None) => {
                findings.warnings.push(ConfigError {
                    file: None,
                    key: "gateway.keys_file".to_owned(),
                    line: None,
                    value: Some(quoted(&path.to_string_lossy())),
                    problem: "there is no such file: nobody can log on".to_owned(),
                    advice: "add a key".to_owned(),
                });
                return;
            }
            Err(errors) => return findings.errors.extend(errors.into_vec()),
        };
        // Names that mistakes have kept out of the settings would be missed here.
        if findings.errors.is_empty() {
            match self.resolve_keys(&entries) {
                Ok(keys) => self.keys = keys,
                Err(errors) => findings.errors.extend(errors.into_vec()),
            }
        }
    }

    /// Resolves the names in `entries`. Every name that is not in these settings, and every key that its client could
    /// not use, is a mistake.
    pub fn resolve_keys(&self, entries: &[Entry]) -> Result<Vec<KeySettings>, ConfigErrors> {
        let known = key_settings::Known {
            has_identity: self.gateway.identity.is_some(),
            clients: &self.clients,
            accounts: &self.accounts,
            instruments: &self.instruments,
        };
        key_settings::resolve(entries, known).map_err(|errors| errors.in_file(&self.gateway.keys_file))
    }

    /// Reads settings from a text; relative paths in it start at `base`. Reads the files that the text names, but
    /// no keys.
    pub fn parse(text: &str, base: &Path, environment: &Environment<'_>) -> Result<Self, ConfigErrors> {
        Self::parse_with(text, base, environment, &Disk)
    }

    /// [`Settings::parse`], with other files.
    pub fn parse_with(
        text: &str,
        base: &Path,
        environment: &Environment<'_>,
        files: &dyn Files,
    ) -> Result<Self, ConfigErrors> {
        let (settings, findings) = Self::examine(text, base, environment, files)?;
        settings.finish(findings)
    }

    /// Settings, good or bad, and what was found; an error only when the text is not TOML.
    fn examine(
        text: &str,
        base: &Path,
        environment: &Environment<'_>,
        files: &dyn Files,
    ) -> Result<(Self, Findings), ConfigErrors> {
        let (context, table) = Context::new(text, base, environment, files, Secrecy::Settings)?;
        let settings = read(&Section::root(&context, &table));
        Ok((settings, context.finish()))
    }

    fn finish(self, findings: Findings) -> Result<Self, ConfigErrors> {
        match ConfigErrors::new(findings.errors) {
            Some(errors) => Err(errors),
            None => Ok(Self { warnings: findings.warnings, description: findings.description, ..self }),
        }
    }

    /// The settings in effect as TOML, what is default marked. Holds no secrets: what looks like one is masked, wherever
    /// it stands. Loads to the same settings when nothing is masked.
    pub fn describe(&self) -> &str {
        self.description.trim_start()
    }
}

/// Reads a table that nothing outside it can make wrong.
fn section<T>(root: &Section<'_>, key: &'static str, read: impl FnOnce(&Section<'_>) -> T) -> T {
    let section = root.section(key);
    let settings = read(&section);
    section.close();
    settings
}

fn read(root: &Section<'_>) -> Settings {
    let gateway = section(root, "gateway", GatewaySettings::read);
    let hot = section(root, "hot", HotSettings::read);
    let sessions = section(root, "session", SessionSettings::read);
    let side = section(root, "side", SideSettings::read);
    if side.listen == gateway.listen && side.listen.port() != 0 {
        let path = "side.listen";
        root.context().wrong(path, None, "is the address of gateway.listen", "give another port");
    }
    let journal = section(root, "journal", |section| JournalSettings::read(section, &gateway.directory));
    let dedupe = section(root, "dedupe", DedupeSettings::read);
    let capacity = section(root, "capacity", CapacitySettings::read);
    let risk = section(root, "risk", RiskSettings::read);
    let mut lists = Lists::default();
    lists.read_venues(root, &gateway.directory);
    lists.read_instruments(root);
    lists.read_accounts(root);
    lists.read_clients(root, sessions.heartbeat_interval_ms);
    lists.check(root, &risk);
    root.note_unknown();
    Settings {
        gateway,
        hot,
        sessions,
        side,
        journal,
        dedupe,
        capacity,
        risk,
        venues: lists.venues,
        instruments: lists.instruments.into_iter().map(|read| read.settings).collect(),
        accounts: lists.accounts,
        clients: lists.clients,
        keys: Vec::new(),
        warnings: Vec::new(),
        description: String::new(),
    }
}

/// What a venue says besides its settings, for the checks that need all lists.
struct VenueNotes {
    path: String,
    feed_instrument: Option<(String, String)>,
    exchange: Vec<ListedSymbol>,
}

#[derive(Default)]
struct Lists {
    venues: Vec<VenueSettings>,
    notes: Vec<VenueNotes>,
    instruments: Vec<InstrumentRead>,
    accounts: Vec<AccountSettings>,
    clients: Vec<ClientSettings>,
}

fn names<const N: usize>(names: impl Iterator<Item = Text<N>>) -> Vec<String> {
    names.map(|name| name.as_str().to_owned()).collect()
}

/// The tables of `[[key]]`, at most as many as can be counted.
fn tables(root: &Section<'_>, key: &'static str) -> Vec<(String, toml::Table)> {
    let mut tables = root.tables(key);
    if tables.len() > COUNT_MAX {
        let problem = format!("{} tables are more than the {COUNT_MAX} that can be counted", tables.len());
        root.context().wrong(key, None, &problem, "use several gateways");
        tables.truncate(COUNT_MAX);
    }
    tables
}

fn check_unique<const N: usize>(
    section: &Section<'_>,
    name: &Text<N>,
    mut earlier: impl Iterator<Item = Text<N>>,
) {
    if !name.is_empty() && earlier.any(|earlier| earlier == *name) {
        section.wrong("name", "is there twice", "give each a name of its own");
    }
}

impl Lists {
    fn read_venues(&mut self, root: &Section<'_>, directory: &Path) {
        for (path, table) in tables(root, "venue") {
            let section = Section::of_array(root.context(), "venue", path.clone(), table);
            let venue = VenueRead::read(&section, directory);
            check_unique(&section, &venue.settings.name, self.venues.iter().map(|venue| venue.name));
            let exchange = read_exchange_info(&section, &venue);
            section.close();
            self.notes.push(VenueNotes { path, feed_instrument: venue.feed_instrument, exchange });
            self.venues.push(venue.settings);
        }
        if !root.has("venue") {
            root.context().wrong("venue", None, "is missing", "give one [[venue]] at least");
        }
    }

    fn read_instruments(&mut self, root: &Section<'_>) {
        let venues = names(self.venues.iter().map(|venue| venue.name));
        let mut given = tables(root, "instrument");
        for (_, table) in &mut given {
            self.fill_from_exchange_info(&venues, table);
        }
        for (notes, venue) in self.notes.iter_mut().zip(&venues) {
            for symbol in notes.exchange.drain(..) {
                let mut table = symbol.table;
                table.insert("venue".to_owned(), toml::Value::String(venue.clone()));
                given.push((format!("{}.exchange_info[{}]", notes.path, symbol.symbol), table));
            }
        }
        if given.is_empty() {
            let advice = "give one [[instrument]] at least, or a venue's exchange_info";
            root.context().wrong("instrument", None, "is missing", advice);
        }
        if given.len() > COUNT_MAX {
            let problem =
                format!("{} instruments are more than the {COUNT_MAX} that can be counted", given.len());
            root.context().wrong("instrument", None, &problem, "pick some by the venue's symbols = [..]");
            given.truncate(COUNT_MAX);
        }
        let mut hours = BTreeMap::new();
        let mut known = std::collections::BTreeSet::new();
        for (path, table) in given {
            let section = Section::of_array(root.context(), "instrument", path.clone(), table);
            let read = InstrumentRead::read(&section, path, &venues, &mut hours);
            let instrument = &read.settings.instrument;
            if !instrument.symbol.is_empty() && !known.insert((instrument.venue, instrument.symbol)) {
                section.wrong("symbol", "is there twice at this venue", "give each instrument once");
            }
            section.close();
            self.instruments.push(read);
        }
    }

    /// What `table` leaves out comes from its venue's exchange information.
    fn fill_from_exchange_info(&mut self, venues: &[String], table: &mut toml::Table) {
        let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
        let (Some(venue), Some(symbol)) = (text("venue"), text("symbol")) else { return };
        let Some(at) = venues.iter().position(|name| name == venue) else { return };
        let Some(notes) = self.notes.get_mut(at) else { return };
        let Some(found) = notes.exchange.iter().position(|it| it.symbol == symbol) else { return };
        for (key, value) in notes.exchange.remove(found).table {
            table.entry(key).or_insert(value);
        }
    }

    fn read_accounts(&mut self, root: &Section<'_>) {
        let venues = names(self.venues.iter().map(|venue| venue.name));
        for (path, table) in tables(root, "account") {
            let section = Section::of_array(root.context(), "account", path, table);
            let account = AccountSettings::read(&section, &venues);
            check_unique(&section, &account.name, self.accounts.iter().map(|account| account.name));
            section.close();
            self.accounts.push(account);
        }
        if !root.has("account") {
            root.context().wrong("account", None, "is missing", "give one [[account]] at least");
        }
    }

    fn read_clients(&mut self, root: &Section<'_>, heartbeat_interval_ms: u32) {
        let accounts = names(self.accounts.iter().map(|account| account.name));
        let symbols = names(self.instruments.iter().map(|read| read.settings.instrument.symbol));
        for (path, table) in tables(root, "client") {
            let section = Section::of_array(root.context(), "client", path, table);
            let client = ClientSettings::read(&section, &accounts, &symbols);
            if client.dead_man_ms > 0 && client.dead_man_ms <= heartbeat_interval_ms {
                section.wrong(
                    "dead_man_ms",
                    &format!("is not above session.heartbeat_interval_ms, which is {heartbeat_interval_ms}"),
                    "a client that lives would lose its orders: set it to two or three intervals",
                );
            }
            check_unique(&section, &client.name, self.clients.iter().map(|client| client.name));
            section.close();
            self.clients.push(client);
        }
        if !root.has("client") {
            root.context().wrong("client", None, "is missing", "give one [[client]] at least");
        }
    }

    /// What is wrong or odd with recorded prices. With a mistake in venues or instruments it could not be told.
    fn check_recordings(&self, root: &Section<'_>) {
        if root.context().has_errors(&["venue", "instrument"]) {
            return;
        }
        let instruments: Vec<_> = self.instruments.iter().map(|read| read.settings.instrument).collect();
        for (index, (venue, notes)) in self.venues.iter().zip(&self.notes).enumerate() {
            let VenueKind::Paper(paper) = &venue.kind;
            let (FeedSettings::CsvQuotes { file, .. } | FeedSettings::BinanceStream { file, .. }) =
                &paper.feed
            else {
                continue;
            };
            let (key, value) = (format!("{}.paper.feed.file", notes.path), quoted(&file.to_string_lossy()));
            match root.context().files().recording(&paper.feed, &instruments, index as u16) {
                Ok(warnings) => {
                    for warning in warnings {
                        root.context().warn(&key, Some(&value), &warning, "");
                    }
                }
                Err(problem) => root.context().wrong(&key, Some(&value), &problem, ""),
            }
        }
    }

    /// What needs all lists.
    fn check(&mut self, root: &Section<'_>, risk: &RiskSettings) {
        self.check_quote_assets(root);
        self.check_feeds(root, risk.firm.max_price_age_ms);
        self.check_recordings(root);
        for (index, symbol) in risk.restricted_symbols.iter().enumerate() {
            if self.instruments.iter().all(|read| read.settings.instrument.symbol != *symbol) {
                let key = format!("risk.restricted_symbols[{index}]");
                let value = quoted(symbol.as_str());
                root.context().warn(&key, Some(&value), "there is no instrument of this name", "check it");
            }
        }
    }

    /// Notionals are summed: without a rate, all must be of one asset.
    fn check_quote_assets(&self, root: &Section<'_>) {
        let mut assets: BTreeMap<&str, &str> = BTreeMap::new();
        for read in self.instruments.iter().filter(|read| !read.has_rate) {
            let asset = read.settings.instrument.quote_asset.as_str();
            if !asset.is_empty() {
                assets.entry(asset).or_insert(&read.path);
            }
        }
        if assets.len() > 1 {
            let listed: Vec<String> =
                assets.iter().map(|(asset, path)| format!("{asset} ({path})")).collect();
            let problem = format!(
                "instruments have different quote assets and no quote_to_account_rate: {}",
                listed.join(", ")
            );
            let advice = "give quote_to_account_rate, the worth of one of the quote asset in the accounts' \
                          currency, to all but those of one asset";
            root.context().wrong("instrument", None, &problem, advice);
        }
    }

    fn check_feeds(&mut self, root: &Section<'_>, max_price_age_ms: u32) {
        let symbols = names(self.instruments.iter().map(|read| read.settings.instrument.symbol));
        for (index, notes) in self.notes.iter().enumerate() {
            let of_venue = |read: &&InstrumentRead| usize::from(read.settings.instrument.venue) == index;
            let VenueKind::Paper(paper) = &mut self.venues[index].kind;
            if let FeedSettings::Synthetic { interval_ms, .. } = paper.feed {
                if interval_ms > max_price_age_ms {
                    let key = format!("{}.paper.feed.interval_ms", notes.path);
                    let problem = format!("is above risk.firm.max_price_age_ms, which is {max_price_age_ms}");
                    let advice = "orders will be refused for stale prices: shorten it";
                    root.context().warn(&key, Some(&interval_ms.to_string()), &problem, advice);
                }
                let without = |read: &&InstrumentRead| read.settings.initial_price.is_none();
                for read in self.instruments.iter().filter(of_venue).filter(without) {
                    let key = format!("{}.initial_price", read.path);
                    let advice = "the venue's synthetic feed starts there: give a price";
                    root.context().wrong(&key, None, "is missing", advice);
                }
            }
            let Some((path, symbol)) = &notes.feed_instrument else { continue };
            let positions = root.context().positions(path, symbol, "instrument", &symbols);
            let known = !positions.is_empty();
            let here = positions
                .into_iter()
                .find(|at| self.instruments.get(usize::from(*at)).is_some_and(|read| of_venue(&read)));
            match (here, &mut paper.feed) {
                (Some(at), FeedSettings::CsvQuotes { instrument, .. }) => *instrument = at,
                (None, _) if known => {
                    let advice = "name an instrument of this venue";
                    root.context().wrong(path, Some(&quoted(symbol)), "is traded at another venue", advice);
                }
                _ => {}
            }
        }
    }
}

/// The symbols that a venue's exchange information gives: the picked ones, or all that trade.
fn read_exchange_info(section: &Section<'_>, venue: &VenueRead) -> Vec<ListedSymbol> {
    let Some(path) = &venue.exchange_info else { return Vec::new() };
    let (files, exchange) = (section.context().files(), Exchange::Binance);
    let text = files.read(path, Privacy::Public, LISTING_BYTES_MAX);
    let parsed = text.map_err(|error| error.to_string()).and_then(|text| files.listing(exchange, &text));
    let mut found = match parsed {
        Ok(found) => found,
        Err(problem) => {
            section.wrong("exchange_info", &format!("{}: {problem}", path.display()), exchange.advice());
            return Vec::new();
        }
    };
    let Some(picked) = &venue.symbols else {
        found.retain(|symbol| symbol.status == "TRADING");
        warn_of_unknown_rules(section, path, &found);
        return found;
    };
    let known: Vec<String> = found.iter().map(|symbol| symbol.symbol.clone()).collect();
    let positions = section.context().positions_of(picked, "symbol", &known);
    for (path, name) in picked {
        if let Some(symbol) = found.iter().find(|it| it.symbol == *name && it.status != "TRADING") {
            let problem = format!("does not trade: its status is {}", symbol.status);
            section.context().wrong(path, Some(&quoted(name)), &problem, "leave it out");
        }
    }
    let mut index = 0;
    found.retain(|_| {
        index += 1;
        positions.contains(&((index - 1) as u16))
    });
    warn_of_unknown_rules(section, path, &found);
    found
}

/// Names the rules that only the exchange holds, and of which symbols they are.
fn warn_of_unknown_rules(section: &Section<'_>, path: &Path, symbols: &[ListedSymbol]) {
    let mut of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for symbol in symbols {
        for rule in &symbol.unknown_rules {
            of.entry(rule).or_default().push(&symbol.symbol);
        }
    }
    if of.is_empty() {
        return;
    }
    let listed: Vec<String> =
        of.iter().map(|(rule, symbols)| format!("{rule} of {}", first_few(symbols))).collect();
    let problem = format!("{} has rules that are not known here: {}", path.display(), listed.join("; "));
    let advice = "only the exchange holds them, and refuses what they forbid: compare with its documentation";
    section.warn("exchange_info", &problem, advice);
}

/// Some names, and how many there are besides.
fn first_few(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
