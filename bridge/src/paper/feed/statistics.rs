//! What a price feed has done.

use std::path::PathBuf;
use std::sync::Arc;

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
    /// Lines that should be quotes and are skipped, by what is wrong with them.
    pub bad_lines: BadLines,
    /// The first of them.
    pub first_bad_line: Option<Arc<BadLine>>,
    /// How often recordings have begun again at their end.
    pub repeats: u64,
    /// Feeds that have ended: their last price stays.
    pub ended: u32,
}

/// What is wrong with a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// The file cannot be read any further.
    Unreadable,
    /// Not UTF-8 text.
    Encoding,
    /// Too long.
    Length,
    /// Not the fields or the message that are expected.
    Form,
    /// No time, or one in another unit.
    Time,
    /// A time before that of an earlier line.
    TimeBack,
    /// No price, none above 0, or an ask below its bid.
    Price,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Unreadable, Self::Encoding, Self::Length, Self::Form, Self::Time, Self::TimeBack, Self::Price];

    /// Its name in figures: a word or two, joined by `_`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Encoding => "encoding",
            Self::Length => "length",
            Self::Form => "form",
            Self::Time => "time",
            Self::TimeBack => "time_back",
            Self::Price => "price",
        }
    }

    /// What is said of lines with it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unreadable => "cannot be read",
            Self::Encoding => "not UTF-8 text",
            Self::Length => "too long",
            Self::Form => "of another form",
            Self::Time => "with a bad time",
            Self::TimeBack => "with a time before that of an earlier line",
            Self::Price => "with bad prices",
        }
    }
}

/// Counts by [`Fault`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct BadLines([u64; Fault::ALL.len()]);

impl BadLines {
    /// Lines with this fault.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The faults that lines have, and how many.
    pub fn iter(&self) -> impl Iterator<Item = (Fault, u64)> + '_ {
        Fault::ALL.into_iter().map(|fault| (fault, self.of(fault))).filter(|(_, count)| *count > 0)
    }

    pub(super) fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }
}

/// A line that could not be used.
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
    pub(super) fn add(&mut self, other: &Self) {
        self.quotes += other.quotes;
        self.lines += other.lines;
        self.lines_skipped += other.lines_skipped;
        self.unknown_symbols += other.unknown_symbols;
        self.repeats += other.repeats;
        self.ended += other.ended;
        for (sum, count) in self.bad_lines.0.iter_mut().zip(other.bad_lines.0) {
            *sum += count;
        }
        if self.first_bad_line.is_none() {
            self.first_bad_line.clone_from(&other.first_bad_line);
        }
    }
}
