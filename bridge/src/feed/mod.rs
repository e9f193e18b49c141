//! Price feeds of the paper venue: made up, or recorded.
//!
//! A feed has no thread and no clock: it is asked for the quote that is due. Recorded feeds read their files as
//! they go, a line at a time, and never hold more than one.

mod binance;
mod csv;
mod lines;
mod recorded;
mod synthetic;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tollgate_protocol::decimal::Decimal;
use tollgate_protocol::instrument::{Grid, Instrument, InstrumentIndex, OffGrid};

use recorded::Recorded;
use synthetic::Synthetic;
use tollgate_contract::venue::Quote;

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
    /// is, is seen by the first line. A file name that ends in `.gz` is decompressed.
    CsvQuotes {
        /// The file.
        path: PathBuf,
        /// The instrument.
        instrument: InstrumentIndex,
        /// How fast.
        pace: Pace,
    },
    /// A recorded Binance stream, `<local nanoseconds> <json>` a line. Its `bookTicker` messages become quotes of
    /// the instruments with their symbols; everything else is skipped. A file name that ends in `.gz` is
    /// decompressed.
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

/// Why a feed cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The system refused.
    #[error("cannot read the price file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The first line is of neither known form.
    #[error(
        "the price file {} starts with {line:?}: expected the header timestamp,bid,ask or a line such as \
         20200101 170000065,1.1212,1.1217,0",
        path.display()
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The beginning of its first line.
        line: String,
    },
    /// The instrument is not one of the venue's.
    #[error("a price feed names instrument {}, which is not traded at its venue", instrument.0)]
    UnknownInstrument {
        /// What it names.
        instrument: InstrumentIndex,
    },
    /// A number out of its range.
    #[error("{name} of a synthetic feed is {value}: {hint}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What was given.
        value: i64,
        /// What to give.
        hint: &'static str,
    },
}

/// What a feed has done.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FeedStatistics {
    /// Quotes given.
    pub quotes: u64,
    /// Lines read, bad and skipped ones included.
    pub lines: u64,
    /// Lines that are no quote and need not be: other messages, empty lines.
    pub lines_skipped: u64,
    /// Quotes of symbols that no instrument has.
    pub unknown_symbols: u64,
    /// Lines that could not be read.
    pub bad_lines: u64,
    /// The first of them.
    pub first_bad_line: Option<Arc<BadLine>>,
    /// Feeds that have ended: their last price stays.
    pub ended: u32,
}

/// A line that could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadLine {
    /// The file.
    pub path: PathBuf,
    /// Counted from 1.
    pub number: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl FeedStatistics {
    fn add(&mut self, other: &Self) {
        self.quotes += other.quotes;
        self.lines += other.lines;
        self.lines_skipped += other.lines_skipped;
        self.unknown_symbols += other.unknown_symbols;
        self.bad_lines += other.bad_lines;
        self.ended += other.ended;
        if self.first_bad_line.is_none() {
            self.first_bad_line.clone_from(&other.first_bad_line);
        }
    }
}

/// The feeds of one venue.
pub struct Feed {
    sources: Vec<Source>,
    /// Which of them gave the last quote.
    last: usize,
}

enum Source {
    Synthetic(Synthetic),
    Recorded(Box<Recorded>),
}

impl Feed {
    /// Opens the feeds of the venue at position `venue` of the settings. No feeds are fine: there are no quotes then.
    pub fn open(
        settings: &[FeedSettings],
        instruments: &[Instrument],
        venue: u16,
    ) -> Result<Self, FeedError> {
        let sources = settings.iter().map(|settings| Source::open(settings, instruments, venue));
        Ok(Self { sources: sources.collect::<Result<_, _>>()?, last: 0 })
    }

    /// The next quote that is due at `now_ns`, nanoseconds since the Unix epoch; `None` when none is. Bounded work:
    /// in a recording full of other lines, `None` may come while [`Feed::next_due_ns`] says now.
    pub fn next(&mut self, now_ns: u64) -> Option<Quote> {
        let count = self.sources.len();
        let after_last = (1..=count).map(|ahead| (self.last + ahead) % count);
        let due = after_last.filter_map(|at| Some((self.sources[at].next_due_ns(now_ns)?, at)));
        // The first of equals: sources that are always due take turns.
        let (_, at) = due.filter(|(due_ns, _)| *due_ns <= now_ns).min_by_key(|(due_ns, _)| *due_ns)?;
        self.last = at;
        match &mut self.sources[at] {
            Source::Synthetic(synthetic) => synthetic.next(now_ns),
            Source::Recorded(recorded) => recorded.next(now_ns),
        }
    }

    /// When the next quote is due, nanoseconds since the Unix epoch; `None` when all feeds have ended.
    pub fn next_due_ns(&self, now_ns: u64) -> Option<u64> {
        self.sources.iter().filter_map(|source| source.next_due_ns(now_ns)).min()
    }

    /// What they have done together.
    pub fn statistics(&self) -> FeedStatistics {
        let mut sum = FeedStatistics::default();
        for source in &self.sources {
            match source {
                Source::Synthetic(synthetic) => sum.quotes += synthetic.quotes(),
                Source::Recorded(recorded) => sum.add(recorded.statistics()),
            }
        }
        sum
    }
}

impl Source {
    fn open(settings: &FeedSettings, instruments: &[Instrument], venue: u16) -> Result<Self, FeedError> {
        let known = |instrument: InstrumentIndex| {
            let found = instruments.get(usize::from(instrument.0)).filter(|found| found.venue == venue);
            found.ok_or(FeedError::UnknownInstrument { instrument })
        };
        Ok(match settings {
            FeedSettings::Synthetic { seed, interval_ns, volatility_ppm, walks } => {
                for walk in walks {
                    known(walk.instrument)?;
                }
                Self::Synthetic(Synthetic::new(*seed, *interval_ns, *volatility_ppm, walks, instruments)?)
            }
            FeedSettings::CsvQuotes { path, instrument, pace } => {
                let decoder = csv::Csv::new(*instrument, known(*instrument)?.price);
                Self::Recorded(Box::new(Recorded::open(path, *pace, recorded::Format::Csv(decoder))?))
            }
            FeedSettings::BinanceStream { path, pace } => {
                let decoder = binance::Binance::new(instruments, venue);
                Self::Recorded(Box::new(Recorded::open(path, *pace, recorded::Format::Binance(decoder))?))
            }
        })
    }

    fn next_due_ns(&self, now_ns: u64) -> Option<u64> {
        match self {
            Self::Synthetic(synthetic) => synthetic.next_due_ns(),
            Self::Recorded(recorded) => recorded.next_due_ns(now_ns),
        }
    }
}

/// A quote on the grid: what lies between two ticks is rounded away from the spread, bids down and asks up.
fn quote_on_grid(instrument: InstrumentIndex, grid: Grid, bid: &str, ask: &str) -> Result<Quote, String> {
    let ticks = |name: &str, text: &str, is_ask: bool| {
        let price: Decimal = text.parse().map_err(|error| format!("{name} {text:?}: {error}"))?;
        match grid.units(price) {
            Ok(ticks) => Ok(ticks),
            Err(OffGrid::Between { below, above }) => Ok(if is_ask { above } else { below }),
            Err(OffGrid::OutOfRange) => Err(format!("{name} {text:?} is too large or has too many digits")),
        }
    };
    let (bid_ticks, ask_ticks) = (ticks("bid", bid, false)?, ticks("ask", ask, true)?);
    if bid_ticks <= 0 {
        return Err(format!("bid {bid:?} is not at least one tick of {}", grid.increment()));
    }
    if ask_ticks < bid_ticks {
        return Err(format!("ask {ask:?} is below bid {bid:?}"));
    }
    Ok(Quote { instrument, bid_ticks, ask_ticks })
}
