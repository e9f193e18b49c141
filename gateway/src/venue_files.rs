//! Files of settings together with what only venues know of them: how an exchange's rule file is read, and whether
//! recorded prices can be played.

use std::path::Path;

use tollgate_bridge::binance::exchange_info::{self, Rule};
use tollgate_bridge::paper::feed::{self, Pace};
use tollgate_config::files::{FileError, Privacy};
use tollgate_config::{Exchange, FeedSettings, Files, ListedSymbol};
use tollgate_protocol::instrument::{Instrument, InstrumentIndex};

/// The files of `F`, those of venues in their own forms included.
#[derive(Clone, Copy, Debug)]
pub struct VenueFiles<F> {
    files: F,
    looks_at_recordings: bool,
}

impl<F> VenueFiles<F> {
    /// Rule files are read, recorded prices are not looked at: for whoever will not play them.
    pub fn new(files: F) -> Self {
        Self { files, looks_at_recordings: false }
    }

    /// Settings are read to run by them, or to say whether they can be.
    pub fn is_to_run(&self) -> bool {
        self.looks_at_recordings
    }

    /// Recorded prices are looked through too.
    #[must_use]
    pub fn with_recordings(self) -> Self {
        Self { looks_at_recordings: true, ..self }
    }
}

impl<F: Files> Files for VenueFiles<F> {
    fn read(&self, path: &Path, privacy: Privacy, limit_bytes: u64) -> Result<String, FileError> {
        self.files.read(path, privacy, limit_bytes)
    }

    fn listing(&self, exchange: Exchange, text: &str) -> Result<Vec<ListedSymbol>, String> {
        match exchange {
            Exchange::Binance => Ok(exchange_info::parse(text)?.into_iter().map(listed).collect()),
        }
    }

    fn recording(
        &self,
        feed: &FeedSettings,
        instruments: &[Instrument],
        venue: u16,
    ) -> Result<Vec<String>, String> {
        if !self.looks_at_recordings {
            return Ok(Vec::new());
        }
        let Some((settings, pace)) = recorded(feed) else { return Ok(Vec::new()) };
        let found = feed::examine(&settings, instruments, venue).map_err(|error| error.to_string())?;
        let own = instruments.iter().enumerate().filter(|(_, instrument)| instrument.venue == venue);
        let quoted = match feed {
            // One instrument's quotes are all that they can be.
            FeedSettings::CsvQuotes { .. } => Vec::new(),
            _ => own.map(|(at, instrument)| (at as u16, instrument.symbol.as_str())).collect(),
        };
        Ok(found.map(|found| found.warnings(pace.speed, &quoted)).unwrap_or_default())
    }
}

/// A recording as the paper venue takes it: begun again at its end. `None` when the prices are made up.
pub(crate) fn recorded(feed: &FeedSettings) -> Option<(feed::FeedSettings, Pace)> {
    match feed {
        FeedSettings::Synthetic { .. } => None,
        FeedSettings::CsvQuotes { file, instrument, speed } => {
            let pace = Pace { speed: *speed, repeat: true };
            let (path, instrument) = (file.clone(), InstrumentIndex(*instrument));
            Some((feed::FeedSettings::CsvQuotes { path, instrument, pace }, pace))
        }
        FeedSettings::BinanceStream { file, speed } => {
            let pace = Pace { speed: *speed, repeat: true };
            Some((feed::FeedSettings::BinanceStream { path: file.clone(), pace }, pace))
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
