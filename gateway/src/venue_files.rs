//! Files of settings together with what only venues know of them: how an exchange's rule file is read.

use std::path::Path;

use tollgate_bridge::binance::exchange_info::{self, Rule};
use tollgate_config::files::{FileError, Privacy};
use tollgate_config::{Exchange, Files, ListedSymbol};

/// The files of `F`, those of venues in their own forms included.
#[derive(Clone, Copy, Debug)]
pub struct VenueFiles<F>(pub F);

impl<F: Files> Files for VenueFiles<F> {
    fn read(&self, path: &Path, privacy: Privacy, limit_bytes: u64) -> Result<String, FileError> {
        self.0.read(path, privacy, limit_bytes)
    }

    fn listing(&self, exchange: Exchange, text: &str) -> Result<Vec<ListedSymbol>, String> {
        match exchange {
            Exchange::Binance => Ok(exchange_info::parse(text)?.into_iter().map(listed).collect()),
        }
    }
}

fn listed(symbol: exchange_info::ExchangeSymbol) -> ListedSymbol {
    let value = |rule| match rule {
        Rule::Text(text) => toml::Value::String(text),
        Rule::Flag(flag) => toml::Value::Boolean(flag),
    };
    let table = symbol.rules.into_iter().map(|(key, rule)| (key.to_owned(), value(rule))).collect();
    let unknown_rules = symbol.unknown_filters;
    ListedSymbol { symbol: symbol.symbol, status: symbol.status, table, unknown_rules }
}
