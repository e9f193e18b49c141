//! Venues: where orders go.

use std::path::{Path, PathBuf};

use tollgate_protocol::{Decimal, Text};

use crate::reader::{Section, Sign};

/// A venue.
#[derive(Clone, Debug)]
pub struct VenueSettings {
    /// Its name; unique.
    pub name: Text<15>,
    /// What it is.
    pub kind: VenueKind,
}

/// The kinds of venues.
#[derive(Clone, Debug)]
pub enum VenueKind {
    /// Simulated inside the gateway.
    Paper(PaperSettings),
}

/// The paper venue.
#[derive(Clone, Debug)]
pub struct PaperSettings {
    /// Of its random numbers: the same seed makes the same faults and prices.
    pub seed: u64,
    /// The venue's own record of its orders, so that they survive the gateway's death as a real venue's would.
    pub ledger_file: Option<PathBuf>,
    /// Where its prices come from.
    pub feed: FeedSettings,
    /// The quantity offered at the best price: an order larger than it fills in parts.
    pub liquidity: Decimal,
    /// What a resting order pays, in hundredths of a percent of the notional; negative for a rebate.
    pub fee_maker_bps: Decimal,
    /// What an order that comes to it pays.
    pub fee_taker_bps: Decimal,
    /// The shortest time until it answers.
    pub latency_ms_min: u32,
    /// The longest.
    pub latency_ms_max: u32,
    /// What goes wrong.
    pub faults: PaperFaults,
}

/// Where a paper venue's prices come from.
#[derive(Clone, Debug)]
pub enum FeedSettings {
    /// Random steps from each instrument's `initial_price`.
    Synthetic {
        /// Between two prices of an instrument.
        interval_ms: u32,
        /// The largest step, in millionths of the price.
        volatility_ppm: u64,
        /// Between bid and ask, in ticks.
        spread_ticks: u32,
    },
    /// Recorded quotes of one instrument, lines of `time,bid,ask`: behind the header
    /// `timestamp,bid,ask` with times such as `2013-01-01 22:00:00.295+00:00`, or without one and with times
    /// such as `20130101 220000295`. More columns are passed over.
    CsvQuotes {
        /// The file.
        file: PathBuf,
        /// The position of the instrument in [`crate::Settings::instruments`].
        instrument: u16,
        /// Times real time; 0 for as fast as it can be read.
        speed: u32,
    },
    /// Recorded Binance market streams, lines of `<local ns> <json>`.
    BinanceStream {
        /// The file.
        file: PathBuf,
        /// Times real time; 0 for as fast as it can be read.
        speed: u32,
    },
}

/// What goes wrong at a paper venue, on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PaperFaults {
    /// Orders refused.
    pub reject_per_million: u32,
    /// Answers that never come.
    pub lost_reply_per_million: u32,
    /// Reports that come twice.
    pub duplicate_report_per_million: u32,
    /// Answers that come late.
    pub delay_per_million: u32,
    /// How late.
    pub delay_ms: u32,
    /// The connection breaks after every so many orders; 0 for never.
    pub disconnect_every_orders: u32,
    /// For how long.
    pub disconnect_ms: u32,
}

/// A venue, and the instrument that its feed names: known only when all instruments are read.
pub(crate) struct VenueRead {
    pub(crate) settings: VenueSettings,
    /// Key path and symbol.
    pub(crate) feed_instrument: Option<(String, String)>,
    pub(crate) exchange_info: Option<PathBuf>,
    pub(crate) symbols: Option<Vec<(String, String)>>,
}

impl VenueRead {
    pub(crate) fn read(section: &Section<'_>, directory: &Path) -> Self {
        let name: Text<15> = section.name("name");
        section.choice("kind", (), &[("paper", ())]);
        let exchange_info = section.optional_path("exchange_info");
        let symbols = section.names("symbols");
        if symbols.is_some() && exchange_info.is_none() {
            let advice = "name the file, or leave this out and write [[instrument]] tables";
            section.wrong("symbols", "picks from exchange_info, which is not given", advice);
        }
        let paper = section.section("paper");
        let (paper_settings, feed_instrument) = read_paper(&paper, directory, &name);
        paper.close();
        Self {
            settings: VenueSettings { name, kind: VenueKind::Paper(paper_settings) },
            feed_instrument,
            exchange_info,
            symbols,
        }
    }
}

fn read_paper(
    section: &Section<'_>,
    directory: &Path,
    name: &Text<15>,
) -> (PaperSettings, Option<(String, String)>) {
    let fee = |key| section.decimal_between(key, 0, -1_000..=1_000);
    let mut settings = PaperSettings {
        seed: section.integer("seed", 1, 0..=i64::MAX as u64),
        ledger_file: Some(section.path("ledger_file", &directory.join(format!("paper-{name}.ledger")))),
        feed: FeedSettings::Synthetic { interval_ms: 0, volatility_ppm: 0, spread_ticks: 0 },
        liquidity: section
            .decimal_or("liquidity", Some(Decimal::new(1_000_000, 0)), Sign::Positive)
            .unwrap_or_default(),
        fee_maker_bps: fee("fee_maker_bps"),
        fee_taker_bps: fee("fee_taker_bps"),
        latency_ms_min: section.integer("latency_ms_min", 0, 0..=60_000),
        latency_ms_max: section.integer("latency_ms_max", 0, 0..=60_000),
        faults: PaperFaults::default(),
    };
    if settings.latency_ms_min > settings.latency_ms_max {
        let problem = format!("is above latency_ms_max, which is {}", settings.latency_ms_max);
        section.wrong("latency_ms_min", &problem, "set latency_ms_max to it at least");
    }
    let feed = section.section("feed");
    let (feed_settings, feed_instrument) = read_feed(&feed);
    settings.feed = feed_settings;
    feed.close();
    let faults = section.section("faults");
    settings.faults = read_faults(&faults);
    faults.close();
    (settings, feed_instrument)
}

#[derive(Clone, Copy, PartialEq)]
enum FeedKind {
    Synthetic,
    CsvQuotes,
    BinanceStream,
}

fn read_feed(section: &Section<'_>) -> (FeedSettings, Option<(String, String)>) {
    let kinds = [
        ("synthetic", FeedKind::Synthetic),
        ("csv_quotes", FeedKind::CsvQuotes),
        ("binance_stream", FeedKind::BinanceStream),
    ];
    match section.choice("kind", FeedKind::Synthetic, &kinds) {
        FeedKind::Synthetic => {
            let interval_ms = section.integer("interval_ms", 100, 1..=3_600_000);
            let volatility = section.ppm_from_bps("volatility_bps", Some(Decimal::new(1, 0)), 0..=100_000);
            let spread_ticks = section.integer("spread_ticks", 1, 1..=1_000_000);
            let volatility_ppm = volatility.unwrap_or(100);
            (FeedSettings::Synthetic { interval_ms, volatility_ppm, spread_ticks }, None)
        }
        FeedKind::CsvQuotes => {
            let file = section.required_path("file", "name the recorded quotes");
            let symbol = section.required_text("instrument", "name the symbol that the quotes are of");
            let speed = section.integer("speed", 1, 0..=1_000_000);
            let pending = symbol.map(|symbol| (section.key_path("instrument"), symbol));
            (FeedSettings::CsvQuotes { file, instrument: 0, speed }, pending)
        }
        FeedKind::BinanceStream => {
            let file = section.required_path("file", "name the recorded streams");
            let speed = section.integer("speed", 1, 0..=1_000_000);
            (FeedSettings::BinanceStream { file, speed }, None)
        }
    }
}

fn read_faults(section: &Section<'_>) -> PaperFaults {
    let share = |key| section.integer(key, 0, 0..=1_000_000);
    PaperFaults {
        reject_per_million: share("reject_per_million"),
        lost_reply_per_million: share("lost_reply_per_million"),
        duplicate_report_per_million: share("duplicate_report_per_million"),
        delay_per_million: share("delay_per_million"),
        delay_ms: section.integer("delay_ms", 0, 0..=600_000),
        disconnect_every_orders: section.integer("disconnect_every_orders", 0, 0..=1_000_000_000),
        disconnect_ms: section.integer("disconnect_ms", 0, 0..=600_000),
    }
}
