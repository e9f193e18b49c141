//! A recording looked through before it is played: whether it can be, and what of it is left out.

use std::collections::BTreeSet;
use std::path::Path;

use super::error::FeedError;
use super::record::Record;
use super::recorded::{EMPTY, Format, Recorded, unplayable};
use super::settings::Pace;
use super::statistics::{Fault, FeedStatistics};

/// Lines that are looked at. What lies behind them is counted as it is played.
const LINES_MAX: u64 = 500_000;
/// Pauses of the market are rarely longer, but for nights and weekends; prices that stand so long are told.
const PAUSE_TOLD_NS: u64 = 3_600_000_000_000;

/// What a recording holds, as far as it was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Examination {
    /// Its lines and quotes, each counted once.
    pub statistics: FeedStatistics,
    /// Some symbols that no instrument of the venue has.
    pub unknown_names: Vec<String>,
    /// Positions of the instruments that it has quotes of.
    pub instruments: BTreeSet<u16>,
    /// From the first quote to the last, in nanoseconds as recorded.
    pub span_ns: u64,
    /// The longest time between two quotes, in nanoseconds as recorded, and the line that ends it.
    pub pause_ns: u64,
    /// See `pause_ns`; 0 for none.
    pub pause_line: u64,
    /// False when only its beginning was looked at.
    pub is_whole: bool,
}

/// Looks through a recording. An error when it cannot be played.
pub(super) fn examine(path: &Path, format: Format) -> Result<Examination, FeedError> {
    let mut recorded = Recorded::open(path, Pace { speed: 0, repeat: false }, format)?;
    let mut found = Examination {
        statistics: FeedStatistics::default(),
        unknown_names: Vec::new(),
        instruments: BTreeSet::new(),
        span_ns: 0,
        pause_ns: 0,
        pause_line: 0,
        is_whole: false,
    };
    let mut times_ns: Option<(u64, u64)> = None;
    while !recorded.is_at_end() && recorded.line_number() < LINES_MAX {
        let Some(Record { at_ns, quote }) = recorded.read() else { continue };
        found.statistics.quotes += 1;
        found.instruments.insert(quote.instrument.0);
        let (first_ns, last_ns) = times_ns.unwrap_or((at_ns, at_ns));
        if at_ns - last_ns > found.pause_ns {
            (found.pause_ns, found.pause_line) = (at_ns - last_ns, recorded.line_number());
        }
        times_ns = Some((first_ns, at_ns));
    }
    found.is_whole = recorded.is_at_end();
    found.span_ns = times_ns.map_or(0, |(first_ns, last_ns)| last_ns - first_ns);
    found.unknown_names = recorded.unknown_names().to_vec();
    found.statistics = FeedStatistics { quotes: found.statistics.quotes, ..recorded.statistics().clone() };
    match found.problem() {
        Some(problem) => Err(unplayable(path, problem)),
        None => Ok(found),
    }
}

impl Examination {
    /// Why it cannot be played.
    fn problem(&self) -> Option<String> {
        let statistics = &self.statistics;
        if let Some(line) = &statistics.first_bad_line
            && statistics.bad_lines.of(Fault::Unreadable) > 0
        {
            let first = statistics.bad_lines.total() == 1;
            let reason = if first { line.reason.as_str() } else { "cannot be read" };
            return Some(format!(
                "is damaged: behind line {} of it, {reason}; fetch it again",
                statistics.lines
            ));
        }
        if statistics.lines == 0 {
            return Some(EMPTY.to_owned());
        }
        if statistics.quotes == 0 {
            let why = if let Some(line) = &statistics.first_bad_line {
                format!("line {}: {}", line.number, line.reason)
            } else if statistics.unknown_symbols > 0 {
                format!(
                    "its {} are of {}, and no instrument of this venue has that symbol",
                    counted(statistics.unknown_symbols, "quote"),
                    self.unknown_names.join(", ")
                )
            } else {
                "bookTicker messages, or lines of time,bid,ask, are needed".to_owned()
            };
            let problem = format!("has no quote that can be played in {}; {why}", self.looked_at());
            return Some(problem);
        }
        if self.span_ns == 0 {
            return Some(format!(
                "has {} of one moment alone: it would be played again and again without a pause; two different \
                 times are needed",
                counted(statistics.quotes, "quote")
            ));
        }
        None
    }

    /// What is left out or odd, each in a sentence of its own. `speed` is that of [`Pace`], `instruments` names those
    /// that should have quotes, by their position.
    pub fn warnings(&self, speed: u32, instruments: &[(u16, &str)]) -> Vec<String> {
        let mut warnings = Vec::new();
        let statistics = &self.statistics;
        if let Some(line) = &statistics.first_bad_line {
            let parts: Vec<String> = statistics
                .bad_lines
                .iter()
                .map(|(fault, count)| format!("{count} {}", fault.words()))
                .collect();
            warnings.push(format!(
                "{} of its {} cannot be played and {} skipped: {}; the first is line {}: {}",
                statistics.bad_lines.total(),
                self.looked_at(),
                if statistics.bad_lines.total() == 1 { "is" } else { "are" },
                parts.join(", "),
                line.number,
                line.reason
            ));
        }
        if statistics.unknown_symbols > 0 {
            warnings.push(format!(
                "{} of symbols that no instrument of this venue has are skipped, as of {}",
                counted(statistics.unknown_symbols, "quote"),
                self.unknown_names.join(", ")
            ));
        }
        let missing: Vec<&str> = instruments
            .iter()
            .filter(|(position, _)| !self.instruments.contains(position))
            .map(|(_, symbol)| *symbol)
            .collect();
        if self.is_whole && !missing.is_empty() {
            let shown = missing[..missing.len().min(5)].join(", ");
            let more = if missing.len() > 5 { ", …" } else { "" };
            warnings.push(format!(
                "there is no quote of {} of this venue's {}: orders in {shown}{more} are refused for want of a price",
                missing.len(),
                counted(instruments.len() as u64, "instrument"),
            ));
        }
        let pause_ns = self.pause_ns / u64::from(speed.max(1));
        if speed > 0 && pause_ns > PAUSE_TOLD_NS {
            warnings.push(format!(
                "prices stand still for {} minutes before line {}, at speed {speed}",
                pause_ns / 60_000_000_000,
                self.pause_line
            ));
        }
        if !self.is_whole {
            warnings.push(format!("only its first {} were looked at", counted(LINES_MAX, "line")));
        }
        warnings
    }

    fn looked_at(&self) -> String {
        let lines = counted(self.statistics.lines, "line");
        if self.is_whole { lines } else { format!("first {lines}") }
    }
}

fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
