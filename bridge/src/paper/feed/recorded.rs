//! A recording played at its pace.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::binance::{Binance, Message};
use super::csv::Csv;
use super::error::FeedError;
use super::lines::{Line, Lines};
use super::record::Record;
use super::settings::Pace;
use super::statistics::{BadLine, FeedStatistics};
use tollgate_contract::venue::Quote;

/// Lines read at most for one quote that is asked for.
const LINES_A_CALL: usize = 1024;
/// Bytes of a line that an error shows.
const SHOWN_BYTES: usize = 80;

/// How a file is read.
pub(super) enum Format {
    Csv(Csv),
    Binance(Binance),
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
    quotes_this_time: u64,
    statistics: FeedStatistics,
}

impl Recorded {
    /// Opens the file and looks at its first line.
    pub(super) fn open(path: &Path, pace: Pace, mut format: Format) -> Result<Self, FeedError> {
        let io_error = |source| FeedError::Io { path: path.to_path_buf(), source };
        if let Format::Csv(csv) = &mut format {
            let mut lines = Lines::open(path).map_err(io_error)?;
            let first = match lines.next().map_err(io_error)? {
                Some(Line::Text(text)) => text,
                Some(Line::Bad(reason)) => reason,
                None => "",
            };
            if !csv.learn(first) {
                let shown = first.chars().take(SHOWN_BYTES).collect();
                return Err(FeedError::UnknownFormat { path: path.to_path_buf(), line: shown });
            }
        }
        let lines = Lines::open(path).map_err(io_error)?;
        Ok(Self {
            path: path.to_path_buf(),
            pace,
            format,
            lines: Some(lines),
            next: None,
            start: None,
            line_number: 0,
            quotes_this_time: 0,
            statistics: FeedStatistics::default(),
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
        self.next = self.read();
        Some(record.quote)
    }

    pub(super) fn statistics(&self) -> &FeedStatistics {
        &self.statistics
    }

    /// The next quote of the file, within [`LINES_A_CALL`] lines.
    fn read(&mut self) -> Option<Record> {
        for _ in 0..LINES_A_CALL {
            let lines = self.lines.as_mut()?;
            let decoded = match lines.next() {
                Ok(Some(Line::Text(line))) => decode(&self.format, line, &mut self.statistics),
                Ok(Some(Line::Bad(reason))) => Err(reason.to_owned()),
                Ok(None) => {
                    self.end();
                    continue;
                }
                Err(error) => {
                    self.note_bad(self.line_number + 1, format!("cannot be read: {error}"));
                    self.end();
                    continue;
                }
            };
            self.line_number += 1;
            self.statistics.lines += 1;
            match decoded {
                Ok(Some(record)) => {
                    self.quotes_this_time += 1;
                    return Some(record);
                }
                Ok(None) => {}
                Err(reason) => self.note_bad(self.line_number, reason),
            }
        }
        None
    }

    /// Starts the file again, or leaves it.
    fn end(&mut self) {
        // A file without quotes would be read for ever.
        let again = (self.pace.repeat && self.quotes_this_time > 0).then(|| Lines::open(&self.path));
        self.lines = match again {
            Some(Ok(lines)) => Some(lines),
            Some(Err(error)) => {
                self.note_bad(0, format!("cannot be opened again: {error}"));
                None
            }
            None => None,
        };
        if self.lines.is_none() {
            self.statistics.ended = 1;
        }
        (self.line_number, self.quotes_this_time, self.start) = (0, 0, None);
    }

    fn note_bad(&mut self, number: u64, reason: String) {
        self.statistics.bad_lines += 1;
        if self.statistics.first_bad_line.is_none() {
            self.statistics.first_bad_line =
                Some(Arc::new(BadLine { path: self.path.clone(), number, reason }));
        }
    }
}

fn decode(format: &Format, line: &str, statistics: &mut FeedStatistics) -> Result<Option<Record>, String> {
    let record = match format {
        Format::Csv(csv) => csv.decode(line)?,
        Format::Binance(binance) => match binance.decode(line)? {
            Message::Quote(record) => Some(record),
            Message::UnknownSymbol => {
                statistics.unknown_symbols += 1;
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
