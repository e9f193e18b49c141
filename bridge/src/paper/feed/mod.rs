//! Price feeds of the paper venue: made up, or recorded.
//!
//! A feed has no thread and no clock: it is asked for the quote that is due. Recorded feeds read their files as
//! they go, a line at a time, and never hold more than one.

mod binance;
mod csv;
mod error;
mod examination;
mod lines;
mod record;
mod recorded;
mod settings;
mod statistics;
mod synthetic;

use std::path::Path;

use tollgate_protocol::instrument::{Instrument, InstrumentIndex};

use recorded::{Format, Recorded};
use synthetic::Synthetic;
use tollgate_contract::venue::Quote;

pub use error::FeedError;
pub use examination::Examination;
pub use settings::{FeedSettings, Pace, Walk};
pub use statistics::{BadLine, BadLines, Fault, FeedStatistics};

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

/// The path, pace and form of a recording; `None` when the prices are made up.
fn recording<'a>(
    settings: &'a FeedSettings,
    instruments: &[Instrument],
    venue: u16,
) -> Result<Option<(&'a Path, Pace, Format)>, FeedError> {
    Ok(match settings {
        FeedSettings::Synthetic { .. } => None,
        FeedSettings::CsvQuotes { path, instrument, pace } => {
            let grid = known(*instrument, instruments, venue)?.price;
            Some((path, *pace, Format::Csv(csv::Csv::new(*instrument, grid))))
        }
        FeedSettings::BinanceStream { path, pace } => {
            Some((path, *pace, Format::Binance(binance::Binance::new(instruments, venue))))
        }
    })
}

/// Looks through a recording, as [`Feed::open`] does before it plays one: an error when it cannot be played, `None`
/// when the prices are made up.
pub fn examine(
    settings: &FeedSettings,
    instruments: &[Instrument],
    venue: u16,
) -> Result<Option<Examination>, FeedError> {
    let Some((path, _, format)) = recording(settings, instruments, venue)? else { return Ok(None) };
    examination::examine(path, format).map(Some)
}

fn known(
    instrument: InstrumentIndex,
    instruments: &[Instrument],
    venue: u16,
) -> Result<&Instrument, FeedError> {
    let found = instruments.get(usize::from(instrument.0)).filter(|found| found.venue == venue);
    found.ok_or(FeedError::UnknownInstrument { instrument })
}

impl Source {
    fn open(settings: &FeedSettings, instruments: &[Instrument], venue: u16) -> Result<Self, FeedError> {
        if let FeedSettings::Synthetic { seed, interval_ns, volatility_ppm, walks } = settings {
            for walk in walks {
                known(walk.instrument, instruments, venue)?;
            }
            let synthetic = Synthetic::new(*seed, *interval_ns, *volatility_ppm, walks, instruments)?;
            return Ok(Self::Synthetic(synthetic));
        }
        examine(settings, instruments, venue)?;
        match recording(settings, instruments, venue)? {
            Some((path, pace, format)) => Ok(Self::Recorded(Box::new(Recorded::open(path, pace, format)?))),
            None => unreachable!("what is not made up is recorded"),
        }
    }

    fn next_due_ns(&self, now_ns: u64) -> Option<u64> {
        match self {
            Self::Synthetic(synthetic) => synthetic.next_due_ns(),
            Self::Recorded(recorded) => recorded.next_due_ns(now_ns),
        }
    }
}
