//! Walking the records of one segment and judging how it ends: the decision table of `FORMAT.md`.
//!
//! Pure functions over byte slices, so that every row can be tested without files.

use crate::format::{HEADER_BYTES, RECORD_ALIGNMENT, u32_at, u64_at};
use crate::record::{Decoded, RECORD_HEADER_BYTES, RecordFault, check_length, decode};

/// Where the next record is expected and what it has to continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) position: usize,
    pub(crate) sequence: u64,
    pub(crate) previous: u32,
    pub(crate) seed: u32,
}

/// What stands at the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A record; the cursor has moved past it.
    Record(Decoded),
    /// The closing record of the segment; the cursor has moved past it.
    End,
    /// Nothing is committed here.
    Blank,
    /// Something that is not the record expected.
    Fault(RecordFault),
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Zeros to the end of the file.
    Clean,
    /// Closed by its end record.
    Closed,
    /// An unfinished append or an unsynced batch: bytes from the cursor to `until` can be cut.
    Torn { fault: RecordFault, until: usize },
    /// Records that had been kept are damaged.
    Damaged { fault: RecordFault, next_valid: Option<usize> },
}

impl Cursor {
    pub(crate) fn start(first_sequence: u64, previous: u32, seed: u32) -> Self {
        Self { position: HEADER_BYTES, sequence: first_sequence, previous, seed }
    }

    /// Reads the record at the cursor in `bytes`, the whole segment from offset 0, and moves past it.
    #[inline]
    pub(crate) fn step(&mut self, bytes: &[u8]) -> Step {
        let limit = bytes.len().saturating_sub(self.position);
        if limit < RECORD_HEADER_BYTES {
            return Step::Blank;
        }
        let rest = &bytes[self.position..];
        let length = u32_at(rest, 0);
        if length == 0 {
            return Step::Blank;
        }
        match check_length(length, limit).and_then(|length| decode(rest, length, self.seed)) {
            Ok(decoded) => self.accept(&decoded),
            Err(fault) => Step::Fault(fault),
        }
    }

    /// Checks that a decoded record continues the one before it, and moves past it.
    #[inline]
    pub(crate) fn accept(&mut self, decoded: &Decoded) -> Step {
        if decoded.fields.sequence != self.sequence {
            return Step::Fault(RecordFault::Sequence {
                found: decoded.fields.sequence,
                expected: self.sequence,
            });
        }
        if decoded.previous != self.previous {
            return Step::Fault(RecordFault::Chain { found: decoded.previous, expected: self.previous });
        }
        self.position += decoded.padded();
        self.previous = decoded.checksum;
        if decoded.fields.end {
            return Step::End;
        }
        self.sequence += 1;
        Step::Record(*decoded)
    }
}

/// Judges the end of the last segment. `cursor` stands after the last good record, `step` is what was found
/// there, `durable_bytes` is how much of the segment is known to have been on disk.
pub(crate) fn judge_last(bytes: &[u8], cursor: &Cursor, step: Step, durable_bytes: u64) -> Ending {
    let fault = match step {
        Step::Record(_) => unreachable!("a scan stops at something that is not a record"),
        Step::End if is_zero_from(bytes, cursor.position) => return Ending::Closed,
        Step::End => {
            return Ending::Damaged { fault: RecordFault::AfterEnd, next_valid: None };
        }
        Step::Blank if is_zero_from(bytes, cursor.position) => {
            if cursor.position as u64 >= durable_bytes {
                return Ending::Clean;
            }
            RecordFault::Uncommitted
        }
        Step::Blank => RecordFault::Uncommitted,
        Step::Fault(fault) => fault,
    };
    let later = LaterRecords::after(bytes, cursor);
    let next_valid = later.clone().next().map(|(position, _)| position);
    if (cursor.position as u64) < durable_bytes {
        return Ending::Damaged { fault, next_valid };
    }
    // A batch that was being written when the power failed may have reached the disk in any order. Later
    // records then all state that this one was not on disk yet when they were appended.
    let proven_unsynced = |decoded: Decoded| {
        decoded.durable_before().is_some_and(|durable_sequence| durable_sequence < cursor.sequence)
    };
    if !later.into_iter().all(|(_, decoded)| proven_unsynced(decoded)) {
        return Ending::Damaged { fault, next_valid };
    }
    Ending::Torn { fault, until: last_nonzero_end(bytes, cursor.position) }
}

/// Finds intact records at or after the cursor that plausibly belong to the rest of the segment.
#[derive(Clone)]
pub(crate) struct LaterRecords<'a> {
    bytes: &'a [u8],
    start: Cursor,
    position: usize,
}

impl<'a> LaterRecords<'a> {
    pub(crate) fn after(bytes: &'a [u8], cursor: &Cursor) -> Self {
        Self { bytes, start: *cursor, position: cursor.position }
    }

    /// A sequence a record at `position` can have: at most one record for every smallest record before it.
    fn plausible(&self, sequence: u64, position: usize) -> bool {
        let most = ((position - self.start.position) / RECORD_HEADER_BYTES) as u64;
        sequence >= self.start.sequence && sequence - self.start.sequence <= most
    }
}

impl Iterator for LaterRecords<'_> {
    type Item = (usize, Decoded);

    fn next(&mut self) -> Option<Self::Item> {
        while self.position + RECORD_HEADER_BYTES <= self.bytes.len() {
            let position = self.position;
            let rest = &self.bytes[position..];
            let length = u32_at(rest, 0);
            if length != 0
                && self.plausible(u64_at(rest, 16), position)
                && let Ok(length) = check_length(length, rest.len())
                && let Ok(decoded) = decode(rest, length, self.start.seed)
            {
                self.position += decoded.padded();
                return Some((position, decoded));
            }
            self.position += RECORD_ALIGNMENT;
        }
        None
    }
}

pub(crate) fn is_zero_from(bytes: &[u8], position: usize) -> bool {
    last_nonzero_end(bytes, position) == position.min(bytes.len())
}

/// End of the last byte that is not zero at or after `position`; `position` when all are zero.
pub(crate) fn last_nonzero_end(bytes: &[u8], position: usize) -> usize {
    const BLOCK: usize = 4096;
    let position = position.min(bytes.len());
    let mut end = bytes.len();
    while end > position {
        let start = end.saturating_sub(BLOCK).max(position);
        if let Some(last) = bytes[start..end].iter().rposition(|&byte| byte != 0) {
            // Whole blocks of zeros are skipped by the comparison below, which vectorises.
            return start + last + 1;
        }
        end = start;
        while end >= position + BLOCK && bytes[end - BLOCK..end] == [0; BLOCK] {
            end -= BLOCK;
        }
    }
    position
}
