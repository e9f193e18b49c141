//! Instruments from an exchange's rule file, whose form others know.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use tollgate_config::files::{FileError, Privacy};
use tollgate_config::{Exchange, Files, ListedSymbol, Settings};

const TEXT: &str = "[[venue]]\nname = \"paper\"\nkind = \"paper\"\nexchange_info = \"rules\"\n\
                    [[account]]\nname = \"main\"\nvenue = \"paper\"\n\
                    [[client]]\nname = \"c\"\naccounts = [\"main\"]\n";

/// A file that nobody knows how to read.
struct Unread;

impl Files for Unread {
    fn read(&self, path: &Path, _: Privacy, _: u64) -> Result<String, FileError> {
        if path == Path::new("/rules") { Ok("AAA".to_owned()) } else { Err(FileError::Missing) }
    }
}

/// A file with one name a line, and a tick and step for each.
struct Names;

impl Files for Names {
    fn read(&self, path: &Path, privacy: Privacy, limit_bytes: u64) -> Result<String, FileError> {
        Unread.read(path, privacy, limit_bytes)
    }

    fn listing(&self, exchange: Exchange, text: &str) -> Result<Vec<ListedSymbol>, String> {
        assert_eq!(exchange, Exchange::Binance);
        let table =
            "base_asset = \"A\"\nquote_asset = \"U\"\ntick = \"0.1\"\nstep = \"1\"\ninitial_price = \"1\"";
        let symbol = |name: &str| {
            let mut table: toml::Table = table.parse().unwrap();
            table.insert("symbol".to_owned(), toml::Value::String(name.to_owned()));
            ListedSymbol {
                symbol: name.to_owned(),
                status: "TRADING".to_owned(),
                table,
                unknown_rules: vec!["ODD".to_owned()],
            }
        };
        Ok(text.lines().map(symbol).collect())
    }
}

#[test]
fn the_form_is_known_to_whoever_loads() {
    let settings = Settings::parse_with(TEXT, Path::new("/"), &|_| None, &Names).unwrap();
    let symbols: Vec<_> = settings.instruments.iter().map(|it| it.instrument.symbol.as_str()).collect();
    assert_eq!(symbols, ["AAA"]);
    let warnings: Vec<String> = settings.warnings.iter().map(ToString::to_string).collect();
    let expected = "venue[0].exchange_info = \"rules\": /rules has rules that are not known here: ODD of AAA; only the \
                    exchange holds them, and refuses what they forbid: compare with its documentation";
    assert!(warnings.iter().any(|warning| warning.ends_with(expected)), "{warnings:?}");
}

#[test]
fn a_form_that_nobody_knows_is_a_mistake_beside_the_others() {
    let text = format!("{TEXT}[risk]\nmax_pnl = 1\n");
    let told = Settings::parse_with(&text, Path::new("/"), &|_| None, &Unread).map(|_| ()).unwrap_err();
    let told = told.to_string();
    let expected = "line 4: venue[0].exchange_info = \"rules\": /rules: rule files of Binance cannot be read by \
                    this program";
    assert!(told.contains(expected), "{told}");
    assert!(told.contains("risk.max_pnl"), "{told}");
}
