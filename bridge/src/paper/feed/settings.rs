//! What a price feed is told at its start.

use std::path::PathBuf;

use tollgate_protocol::instrument::InstrumentIndex;

/// A price feed's settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FeedSettings {
    /// A seeded random walk.
    Synthetic {
        /// Seed of the walk.
        seed: u64,
        /// Time between the quotes of one instrument, in nanoseconds, above 0.
        interval_ns: u64,
        /// The largest step, in millionths of the price, at least a tick; 0 for a price that stands. At most 1,000,000.
        volatility_ppm: u32,
        /// What is quoted.
        walks: Vec<Walk>,
    },
    /// Quotes of one instrument: `YYYYMMDD HHMMSSmmm,bid,ask,volume` without a header, or `timestamp,bid,ask` with
    /// it and times such as `2013-01-01 22:00:00.295000+00:00`. Times without an offset are UTC. Which of the two it
    /// is, is seen by the first line. Files compressed with gzip are decompressed, whatever their names.
    CsvQuotes {
        /// The file.
        path: PathBuf,
        /// The instrument.
        instrument: InstrumentIndex,
        /// How fast.
        pace: Pace,
    },
    /// A recorded Binance stream, `<local nanoseconds> <json>` a line. Its `bookTicker` messages become quotes of
    /// the instruments with their symbols; everything else is skipped. Files compressed with gzip are
    /// decompressed, whatever their names.
    BinanceStream {
        /// The file.
        path: PathBuf,
        /// How fast.
        pace: Pace,
    },
}

/// One instrument of a synthetic feed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Walk {
    /// The instrument.
    pub instrument: InstrumentIndex,
    /// The first bid, in ticks, above 0. The walk stays between half of it and twice it.
    pub start_ticks: i64,
    /// The ask above the bid, in ticks, 0 or more.
    pub spread_ticks: i64,
}

/// How fast a recording is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// How many times as fast as recorded; 0 for one quote whenever the feed is asked, which keeps
    /// the venue's thread busy until the end.
    pub speed: u32,
    /// At the end, start again; else the last price stays.
    pub repeat: bool,
}
