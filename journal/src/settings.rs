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

/// Which part of the journal an append may use while no next segment can be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// Everything but the last `reserve_bytes`: for records that may be refused, such as new orders.
    Ordinary,
    /// Everything: for records that must go through, such as cancels and reports of venues.
    Reserved,
}

/// Settings of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Directory of the segment files; created when missing. Not used by [`Durability::None`].
    pub directory: PathBuf,
    /// Size of each new segment: a multiple of 4096 from 64 KiB to 2 GiB. Segments that exist keep theirs.
    pub segment_bytes: u64,
    /// Part of the last segment kept for [`Room::Reserved`]: at most half a segment.
    pub reserve_bytes: u64,
    /// What an appended record survives.
    pub durability: Durability,
    /// 1 ms to 1 hour. `Process`: time between syncs. `Disk`: time between syncs of the segment header, which
    /// notes how far the segment is durable.
    pub flush_interval: Duration,
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
            segment_bytes: 64 * 1024 * 1024,
            reserve_bytes: 1024 * 1024,
            durability: Durability::Process,
            flush_interval: Duration::from_secs(1),
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
        let (shortest, longest) = (Duration::from_millis(1), Duration::from_secs(3600));
        if !(shortest..=longest).contains(&self.flush_interval) {
            problems.push(format!("flush_interval is {:?}, use 1 ms to 1 hour", self.flush_interval));
        }
        if self.durability != Durability::None && self.directory.as_os_str().is_empty() {
            problems.push("directory is empty, name the directory of the journal".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(SettingsError { problems }) }
    }

    /// Largest padded record that fits beside the reserve in an empty segment.
    pub(crate) fn largest_record_bytes(&self) -> usize {
        let usable = self.segment_bytes - self.reserve_bytes;
        usable as usize - HEADER_BYTES - crate::record::RECORD_HEADER_BYTES
    }
}
