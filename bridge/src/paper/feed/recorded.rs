//! A recording played at its pace.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::binance::{Binance, Message};
use super::csv::Csv;
use super::error::FeedError;
use super::lines::{Line, Lines};
use super::record::{Record, Unusable};
use super::settings::Pace;
use super::statistics::{BadLine, Fault, FeedStatistics};
use tollgate_contract::venue::Quote;

/// Lines read at most for one quote that is asked for.
const LINES_A_CALL: usize = 1024;
/// Characters of a file that an error shows.
const SHOWN_CHARACTERS: usize = 80;
/// Names of symbols without an instrument that are kept.
const NAMES_KEPT: usize = 8;

/// How a file is read.
pub(super) enum Format {
    Csv(Csv),
    Binance(Binance),
}

/// One passage through the file.
#[derive(Clone, Copy, Default)]
struct Round {
    quotes: u64,
    first_ns: u64,
    last_ns: u64,
}

impl Round {
    /// Counts a quote; false when its time lies before that of an earlier one.
    fn take(&mut self, at_ns: u64) -> bool {
        if self.quotes == 0 {
            self.first_ns = at_ns;
        } else if at_ns < self.last_ns {
            return false;
        }
        self.last_ns = at_ns;
        self.quotes += 1;
        true
    }

    fn mean_gap_ns(&self) -> u64 {
        (self.last_ns - self.first_ns) / self.quotes.saturating_sub(1).max(1)
    }
}

/// What is said of a file without a line.
pub(super) const EMPTY: &str = "is empty";

/// A file that can be read and not played.
pub(super) fn unplayable(path: &Path, problem: impl Into<String>) -> FeedError {
    FeedError::Unplayable { path: path.to_path_buf(), problem: problem.into() }
}

/// A recording.
pub(super) struct Recorded {
    path: PathBuf,
    pace: Pace,
    format: Format,
    lines: Option<Lines>,
    /// The quote that is due next.
    next: Option<Record>,
    /// What is recorded then is due when.
    start: Option<(u64, u64)>,
    line_number: u64,
    round: Round,
    statistics: FeedStatistics,
    unknown_names: Vec<String>,
}

impl Recorded {
    /// Opens the file and looks at its first line.
    pub(super) fn open(path: &Path, pace: Pace, mut format: Format) -> Result<Self, FeedError> {
        if let Format::Csv(csv) = &mut format {
            let mut lines = Lines::open(path)?;
            let io_error = |source| FeedError::Io { path: path.to_path_buf(), source };
            let first = match lines.next().map_err(io_error)? {
                Some(Line::Text(text)) => text,
                Some(Line::Bad(_, reason)) => reason,
                None => return Err(unplayable(path, EMPTY)),
            };
            if !csv.learn(first) {
                let shown = first.chars().take(SHOWN_CHARACTERS).collect();
                return Err(FeedError::UnknownFormat { path: path.to_path_buf(), line: shown });
            }
        }
        let lines = Lines::open(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            pace,
            format,
            lines: Some(lines),
            next: None,
            start: None,
            line_number: 0,
            round: Round::default(),
            statistics: FeedStatistics::default(),
            unknown_names: Vec::new(),
        })
    }

    /// When the next quote is due; now while it has not been read yet, `None` after the end.
    pub(super) fn next_due_ns(&self, now_ns: u64) -> Option<u64> {
        match (&self.next, self.start) {
            (Some(record), Some(start)) if self.pace.speed > 0 => {
                Some(due_ns(start, record, self.pace.speed))
            }
            (None, _) if self.lines.is_none() => None,
            _ => Some(now_ns),
        }
    }

    /// The next quote, if it is due.
    pub(super) fn next(&mut self, now_ns: u64) -> Option<Quote> {
        if self.next.is_none() {
            self.next = self.read();
        }
        let record = self.next?;
        let start = *self.start.get_or_insert((record.at_ns, now_ns));
        if self.pace.speed > 0 && due_ns(start, &record, self.pace.speed) > now_ns {
            return None;
        }
        self.statistics.quotes += 1;
        // Read ahead, so that the time of the next one is known.
        let pause_ns = self.round.mean_gap_ns();
        self.next = self.read();
        if let (Some(first), None) = (&self.next, self.start) {
            // Begun again: a recording of two quotes must not become a storm of them.
            let pause_ns = pause_ns / u64::from(self.pace.speed.max(1));
            self.start = Some((first.at_ns, now_ns.saturating_add(pause_ns)));
        }
        Some(record.quote)
    }

    /// The first symbols that no instrument has.
    pub(super) fn unknown_names(&self) -> &[String] {
        &self.unknown_names
    }

    pub(super) fn statistics(&self) -> &FeedStatistics {
        &self.statistics
    }

    /// Where the last line that was read is, counted from 1.
    pub(super) fn line_number(&self) -> u64 {
        self.line_number
    }

    /// True when the file has been read to its end, or as far as it can be.
    pub(super) fn is_at_end(&self) -> bool {
        self.lines.is_none()
    }

    /// The next quote of the file, within [`LINES_A_CALL`] lines.
    pub(super) fn read(&mut self) -> Option<Record> {
        for _ in 0..LINES_A_CALL {
            let lines = self.lines.as_mut()?;
            let decoded = match lines.next() {
                Ok(Some(Line::Text(line))) => {
                    decode(&self.format, line, &mut self.statistics, &mut self.unknown_names)
                }
                Ok(Some(Line::Bad(fault, reason))) => Err(Unusable::new(fault, reason)),
                Ok(None) => {
                    self.end();
                    continue;
                }
                Err(error) => {
                    let reason = format!("cannot be read: {error}");
                    self.note_bad(self.line_number + 1, Unusable::new(Fault::Unreadable, reason));
                    // What was read before would be played again and again.
                    self.pace.repeat = false;
                    self.end();
                    continue;
                }
            };
            self.line_number += 1;
            self.statistics.lines += 1;
            match decoded {
                Ok(Some(record)) if self.round.take(record.at_ns) => return Some(record),
                Ok(Some(record)) => {
                    let back = self.round.last_ns.saturating_sub(record.at_ns);
                    let reason = format!("the time is {back} ns before that of an earlier line");
                    self.note_bad(self.line_number, Unusable::new(Fault::TimeBack, reason));
                }
                Ok(None) => {}
                Err(unusable) => self.note_bad(self.line_number, unusable),
            }
        }
        None
    }

    /// Starts the file again, or leaves it.
    fn end(&mut self) {
        // A file without quotes, or with those of one moment alone, would be read without a pause.
        let again =
            (self.pace.repeat && self.round.last_ns > self.round.first_ns).then(|| Lines::open(&self.path));
        self.lines = match again {
            Some(Ok(lines)) => {
                self.statistics.repeats += 1;
                Some(lines)
            }
            Some(Err(error)) => {
                let reason = format!("cannot be opened again: {error}");
                self.note_bad(0, Unusable::new(Fault::Unreadable, reason));
                None
            }
            None => None,
        };
        if self.lines.is_none() {
            self.statistics.ended = 1;
        }
        self.start = None;
        if self.lines.is_some() {
            (self.line_number, self.round) = (0, Round::default());
        }
    }

    fn note_bad(&mut self, number: u64, unusable: Unusable) {
        self.statistics.bad_lines.count(unusable.fault);
        if self.statistics.first_bad_line.is_none() {
            self.statistics.first_bad_line =
                Some(Arc::new(BadLine { path: self.path.clone(), number, reason: unusable.reason }));
        }
    }
}

fn decode(
    format: &Format,
    line: &str,
    statistics: &mut FeedStatistics,
    unknown_names: &mut Vec<String>,
) -> Result<Option<Record>, Unusable> {
    let record = match format {
        Format::Csv(csv) => csv.decode(line)?,
        Format::Binance(binance) => match binance.decode(line)? {
            Message::Quote(record) => Some(record),
            Message::UnknownSymbol(symbol) => {
                statistics.unknown_symbols += 1;
                if unknown_names.len() < NAMES_KEPT && !unknown_names.iter().any(|known| *known == symbol) {
                    unknown_names.push(symbol.chars().take(SHOWN_CHARACTERS).collect());
                }
                return Ok(None);
            }
            Message::Other => None,
        },
    };
    statistics.lines_skipped += u64::from(record.is_none());
    Ok(record)
}

/// When the record is due: what is recorded at `start.0` is due at `start.1`.
fn due_ns(start: (u64, u64), record: &Record, speed: u32) -> u64 {
    start.1.saturating_add(record.at_ns.saturating_sub(start.0) / u64::from(speed))
}
