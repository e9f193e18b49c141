//! What a journal is opened with.

use crate::format::{HEADER_BYTES, PAGE_BYTES, SEGMENT_BYTES_MAXIMUM, SEGMENT_BYTES_MINIMUM};
use std::path::PathBuf;
use std::time::Duration;

/// What an appended record survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Nothing: records live in anonymous memory, there is no file, readers cannot follow.
    None,
    /// A crash of the process: records stand in the page cache and are synced every flush interval.
    Process,
    /// A crash of the machine, once [`durable_sequence`](crate::Appender::durable_sequence) has reached the
    /// record: the flusher syncs whatever has gathered, as one group.
    Disk,
}

/// Which part of the journal an append may use while no next segment can be prepared. In rising order: each has a slice
/// of the reserve that those before it cannot touch, and may use theirs when its own is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Room {
    /// No reserve: for records that may be refused, such as new orders.
    Ordinary,
    /// For commands of clients that only reduce risk, such as cancels and closes.
    Reserved,
    /// For what venues say: it has happened, whether it is written down or not.
    Report,
    /// For commands of an operator, such as a halt, whatever clients and venues have used up.
    Operator,
    /// For the records of a start: without them no process could come up to cancel anything.
    Start,
}

impl Room {
    /// How many there are.
    pub(crate) const COUNT: usize = 5;
}

/// How the reserve is divided, in percent of it. What is left is for [`Room::Reserved`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReserveSplit {
    /// For [`Room::Report`].
    pub report_percent: u8,
    /// For [`Room::Operator`].
    pub operator_percent: u8,
    /// For [`Room::Start`].
    pub start_percent: u8,
}

impl Default for ReserveSplit {
    /// Half of it for reports, 10 % each for operators and starts, which leaves 30 % for cancels and closes.
    fn default() -> Self {
        Self { report_percent: 50, operator_percent: 10, start_percent: 10 }
    }
}

impl ReserveSplit {
    fn percent(self) -> u32 {
        u32::from(self.report_percent) + u32::from(self.operator_percent) + u32::from(self.start_percent)
    }
}

/// Settings of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Directory of the segment files; created when missing. Not used by [`Durability::None`].
    pub directory: PathBuf,
    /// A second head of the journal, outside of its directory: with it the next open notices that the whole directory
    /// is gone, empty, or another journal's. Give each journal its own. `None`: only the one in the directory.
    pub head_file: Option<PathBuf>,
    /// Size of each new segment: a multiple of 4096 from 64 KiB to 2 GiB. Segments that exist keep theirs.
    pub segment_bytes: u64,
    /// Part of the last segment kept from [`Room::Ordinary`]: at most half a segment.
    pub reserve_bytes: u64,
    /// How it is divided among the others.
    pub reserve_split: ReserveSplit,
    /// What an appended record survives.
    pub durability: Durability,
    /// 1 ms to 1 hour. `Process`: time between syncs. `Disk`: time between syncs of the segment header, which
    /// notes how far the segment is durable.
    pub flush_interval: Duration,
    /// 10 ms to 1 hour: a sync that has not returned after so long fails the journal, as one that returns an error does.
    pub sync_timeout: Duration,
}

/// Everything that is wrong with some [`Settings`], one entry a problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("journal settings are not valid: {}", .problems.join("; "))]
pub struct SettingsError {
    /// What is wrong, each with the value, the limit, and what to do.
    pub problems: Vec<String>,
}

impl Settings {
    /// Segments of 64 MiB, 1 MiB of reserve, the process class, a sync a second.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            head_file: None,
            segment_bytes: 64 * 1024 * 1024,
            reserve_bytes: 1024 * 1024,
            reserve_split: ReserveSplit::default(),
            durability: Durability::Process,
            flush_interval: Duration::from_secs(1),
            sync_timeout: Duration::from_secs(10),
        }
    }

    /// Checks every setting and lists all that is wrong.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let mut problems = Vec::new();
        let segment = self.segment_bytes;
        if !(SEGMENT_BYTES_MINIMUM..=SEGMENT_BYTES_MAXIMUM).contains(&segment) {
            problems.push(format!(
                "segment_bytes is {segment}, use {SEGMENT_BYTES_MINIMUM} to {SEGMENT_BYTES_MAXIMUM}"
            ));
        }
        if !segment.is_multiple_of(PAGE_BYTES as u64) {
            problems.push(format!("segment_bytes is {segment}, use a multiple of {PAGE_BYTES}"));
        }
        if self.reserve_bytes > segment / 2 {
            problems.push(format!(
                "reserve_bytes is {}, use at most {}, half of segment_bytes",
                self.reserve_bytes,
                segment / 2
            ));
        }
        if self.reserve_split.percent() > 100 {
            problems.push(format!(
                "reserve_split adds up to {} percent, use at most 100",
                self.reserve_split.percent()
            ));
        }
        let (shortest, longest) = (Duration::from_millis(1), Duration::from_secs(3600));
        if !(shortest..=longest).contains(&self.flush_interval) {
            problems.push(format!("flush_interval is {:?}, use 1 ms to 1 hour", self.flush_interval));
        }
        if !(Duration::from_millis(10)..=longest).contains(&self.sync_timeout) {
            problems.push(format!("sync_timeout is {:?}, use 10 ms to 1 hour", self.sync_timeout));
        }
        if self.durability != Durability::None && self.directory.as_os_str().is_empty() {
            problems.push("directory is empty, name the directory of the journal".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(SettingsError { problems }) }
    }

    /// Bytes at the end of a segment that each room must leave to those above it.
    pub(crate) fn kept_from(&self) -> [usize; Room::COUNT] {
        let ReserveSplit { report_percent, operator_percent, start_percent } = self.reserve_split;
        let slice = |percent: u8| (self.reserve_bytes * u64::from(percent) / 100) as usize;
        let start = slice(start_percent);
        let operator = start + slice(operator_percent);
        let report = operator + slice(report_percent);
        [self.reserve_bytes as usize, report, operator, start, 0]
    }

    /// Largest padded record that fits beside the reserve in an empty segment.
    pub(crate) fn largest_record_bytes(&self) -> usize {
        let usable = self.segment_bytes - self.reserve_bytes;
        usable as usize - HEADER_BYTES - crate::record::RECORD_HEADER_BYTES
    }
}
