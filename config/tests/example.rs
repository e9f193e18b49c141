//! The settings that come with the product load, and name every key.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use tollgate_config::{DEMO, EXAMPLE, FeedSettings, NoFiles, OwnerLimits, Settings, VenueKind};

fn load(text: &str) -> Settings {
    let environment = |name: &str| (name == "TOLLGATE_DIRECTORY").then(|| "/tmp/tollgate".to_owned());
    match Settings::parse_with(text, Path::new("/etc/tollgate"), &environment, &NoFiles) {
        Ok(settings) => settings,
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn the_example_loads_as_it_is() {
    let settings = load(EXAMPLE);
    let symbols: Vec<&str> = settings.instruments.iter().map(|it| it.instrument.symbol.as_str()).collect();
    assert_eq!(symbols, ["BTCUSDT", "ETHUSDT", "EURUSD"]);
    assert_eq!(settings.accounts.len(), 2);
    assert_eq!(settings.clients.len(), 3);
    assert_eq!(settings.gateway.directory, Path::new("/tmp/tollgate"));
    assert_eq!(settings.journal.directory, Path::new("/tmp/tollgate/journal"));
    assert_eq!(settings.gateway.keys_file, Path::new("/tmp/tollgate/keys.toml"));
    assert_eq!(settings.clients[0].symbols, Some(vec![0, 1]));
    assert_eq!(settings.clients[1].accounts, [0, 1]);
    assert_eq!(settings.warnings, []);
}

/// The values in the example are the defaults that it says they are.
#[test]
fn the_example_states_the_defaults() {
    let example = load(EXAMPLE);
    assert_eq!(example.risk.firm, OwnerLimits::FIRM);
    let tables =
        ["[gateway]", "[hot]", "[session]", "[side]", "[journal]", "[dedupe]", "[capacity]", "[risk]"];
    let tables = tables.map(|table| format!("\n{table}\n"));
    let rest = EXAMPLE.find("[[venue]]").unwrap();
    let bare = load(&EXAMPLE[rest..]);
    for table in tables {
        let of = |settings: &Settings| {
            let text = format!("\n{}", settings.describe())
                .replace(" # default", "")
                .replace("# restricted_symbols is not set", "restricted_symbols = []");
            let start = text.find(&table).unwrap();
            let end = text[start + 2..].find("\n[").unwrap() + start;
            text[start..end].replace("/tmp/tollgate", "/var/lib/tollgate")
        };
        assert_eq!(of(&example), of(&bare));
    }
}

#[test]
fn the_demonstration_loads() {
    let settings = load(DEMO);
    let names: Vec<&str> = settings.clients.iter().map(|client| client.name.as_str()).collect();
    let expected = ["1", "2", "3", "4", "5", "6", "7", "8"].map(|number| format!("client-{number}"));
    assert_eq!(names[..8], expected);
    assert_eq!(names[8], "operator");
    assert_eq!(settings.gateway.listen.port(), 0);
    assert_eq!(settings.side.listen.port(), 0);
    assert_eq!(settings.clients[7].limits.max_short, 0);
    assert_eq!(settings.clients[7].limits.collar_ppm, 2_000);
    assert_eq!(settings.clients[6].limits.orders_burst, 40);
}

#[test]
fn the_demonstration_wants_a_directory() {
    let result = Settings::parse_with(DEMO, Path::new("/"), &|_| None, &NoFiles);
    let errors = result.map(|_| ()).unwrap_err();
    assert_eq!(errors.as_slice().len(), 1, "{errors}");
    assert_eq!(errors.as_slice()[0].key, "gateway.directory");
}

/// What is described is the settings themselves: read again, it says the same.
#[test]
fn the_description_loads_to_itself() {
    for text in [EXAMPLE, DEMO] {
        let settings = load(text);
        let again = load(settings.describe());
        let bare = |settings: &Settings| settings.describe().replace(" # default", "");
        assert_eq!(bare(&settings), bare(&again));
        let all = |settings: Settings| (settings.risk, settings.venues, settings.accounts, settings.clients);
        assert_eq!(format!("{:?}", all(settings)), format!("{:?}", all(again)));
    }
}

#[test]
fn a_description_with_dollars_loads_to_itself() {
    let settings = load(&EXAMPLE.replace("${TOLLGATE_DIRECTORY:-/var/lib/tollgate}", "/srv/$$a"));
    assert_eq!(settings.gateway.directory, Path::new("/srv/$a"));
    assert_eq!(load(settings.describe()).gateway.directory, Path::new("/srv/$a"));
}

/// Recorded quotes in place of the synthetic feed.
fn recorded(kind: &str) -> String {
    let start = EXAMPLE.find("[venue.paper.feed]").unwrap();
    let end = EXAMPLE.find("# What goes wrong").unwrap();
    let feed = format!("[venue.paper.feed]\nkind = \"{kind}\"\nfile = \"quotes.csv\"\nspeed = 0\n");
    let instrument = if kind == "csv_quotes" { "instrument = \"EURUSD\"\n" } else { "" };
    format!("{}{feed}{instrument}\n{}", &EXAMPLE[..start], &EXAMPLE[end..])
}

#[test]
fn recorded_feeds_load() {
    let settings = load(&recorded("csv_quotes"));
    let VenueKind::Paper(paper) = &settings.venues[0].kind;
    let FeedSettings::CsvQuotes { file, instrument, speed } = &paper.feed else { panic!("{paper:?}") };
    assert_eq!((file.as_path(), *instrument, *speed), (Path::new("/etc/tollgate/quotes.csv"), 2, 0));
    let settings = load(&recorded("binance_stream"));
    let VenueKind::Paper(paper) = &settings.venues[0].kind;
    assert!(matches!(paper.feed, FeedSettings::BinanceStream { speed: 0, .. }));
}

/// `table.key` of every line that gives a key, in a comment or not.
fn keys(text: &str) -> BTreeSet<String> {
    let mut table = String::new();
    let mut keys = BTreeSet::new();
    for line in text.lines() {
        if let Some(header) = line.strip_prefix('[') {
            header.trim_matches(['[', ']']).clone_into(&mut table);
            // All owners' limits have the same keys.
            if table == "risk.firm" || table.ends_with(".limits") {
                "limits".clone_into(&mut table);
            }
        }
        let line = line.strip_prefix("# ").unwrap_or(line);
        let key = line.split_once(" = ").or_else(|| line.split_once(" is not set"));
        if let Some((key, _)) =
            key.filter(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        {
            keys.insert(format!("{table}.{key}"));
        }
    }
    keys
}

#[test]
fn the_example_has_every_key_and_no_other() {
    let known: BTreeSet<String> = [EXAMPLE.to_owned(), recorded("csv_quotes")]
        .iter()
        .flat_map(|text| keys(load(text).describe()))
        .collect();
    let shown = keys(EXAMPLE);
    assert!(known.len() > 100, "{known:?}");
    let absent: Vec<_> = known.difference(&shown).collect();
    assert!(absent.is_empty(), "not in the example: {absent:?}");
    let unknown: Vec<_> = shown.difference(&known).collect();
    assert!(unknown.is_empty(), "in the example, but nobody reads it: {unknown:?}");
}

#[test]
fn names_of_the_side_port_are_names_alone() {
    let with = |hosts: &str| EXAMPLE.replace("# hosts = [\"gateway.internal\"]", hosts);
    assert_eq!(load(&with("hosts = [\"gate.internal\"]")).side.hosts, ["gate.internal"]);
    assert!(load(EXAMPLE).side.hosts.is_empty());
    let wrong = with("hosts = [\"gate.internal:9091\"]");
    let told = Settings::parse(&wrong, Path::new("/tmp/tollgate"), &|_| None).unwrap_err().to_string();
    assert!(told.contains("side.hosts[0] = \"gate.internal:9091\": is not the name of a host"), "{told}");
}
