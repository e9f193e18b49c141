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
    pub(super) fn add(&mut self, other: &Self) {
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
