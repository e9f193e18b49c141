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
        // Below the last number: `decode` refuses that one.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::record::{Fields, UNSYNCED_NOT_STATED, padded, seal};

    const SEED: u32 = 77;

    /// A small segment in memory, with the offsets of its records.
    struct Built {
        bytes: Vec<u8>,
        offsets: Vec<usize>,
        end: usize,
    }

    fn build(payloads: &[&[u8]], unsynced: impl Fn(u64) -> u16, closed: bool) -> Built {
        let mut built = Built { bytes: vec![0; HEADER_BYTES + 1024], offsets: Vec::new(), end: HEADER_BYTES };
        let mut previous = 3;
        let ends = closed.then_some((&[][..], true));
        for ((payload, end), sequence) in
            payloads.iter().map(|payload| (*payload, false)).chain(ends).zip(1..)
        {
            let length = RECORD_HEADER_BYTES + payload.len();
            let slot = &mut built.bytes[built.end..built.end + padded(length)];
            slot[RECORD_HEADER_BYTES..length].copy_from_slice(payload);
            let fields = Fields { sequence, time_ns: 5, kind: 1, end, unsynced: unsynced(sequence) };
            previous = seal(slot, length, fields, SEED, previous);
            slot[..4].copy_from_slice(&(length as u32).to_le_bytes());
            built.offsets.push(built.end);
            built.end += padded(length);
        }
        built
    }

    fn walk(bytes: &[u8], durable_bytes: usize) -> (usize, Cursor, Ending) {
        let mut cursor = Cursor::start(1, 3, SEED);
        let mut records = 0;
        loop {
            match cursor.step(bytes) {
                Step::Record(_) => records += 1,
                step => {
                    let ending = judge_last(bytes, &cursor, step, durable_bytes as u64);
                    return (records, cursor, ending);
                }
            }
        }
    }

    const PAYLOADS: [&[u8]; 4] = [b"one", b"", b"the third record is longer", b"four"];

    fn not_stated(_: u64) -> u16 {
        UNSYNCED_NOT_STATED
    }

    #[test]
    fn row_clean_and_closed() {
        let open = build(&PAYLOADS, not_stated, false);
        assert_eq!(walk(&open.bytes, 0).2, Ending::Clean);
        assert_eq!(walk(&open.bytes, open.end).2, Ending::Clean);
        let closed = build(&PAYLOADS, not_stated, true);
        let (records, cursor, ending) = walk(&closed.bytes, closed.end);
        assert_eq!((records, cursor.sequence, ending), (4, 5, Ending::Closed));
    }

    #[test]
    fn row_zeros_inside_the_durable_part() {
        let open = build(&PAYLOADS, not_stated, false);
        let (_, _, ending) = walk(&open.bytes, open.end + 16);
        assert_eq!(ending, Ending::Damaged { fault: RecordFault::Uncommitted, next_valid: None });
    }

    #[test]
    fn row_bytes_after_the_end() {
        let mut closed = build(&PAYLOADS, not_stated, true);
        closed.bytes[closed.end + 100] = 1;
        let (_, _, ending) = walk(&closed.bytes, 0);
        assert_eq!(ending, Ending::Damaged { fault: RecordFault::AfterEnd, next_valid: None });
    }

    #[test]
    fn row_uncommitted_bytes_are_torn() {
        let mut open = build(&PAYLOADS, not_stated, false);
        open.bytes[open.end + 33..open.end + 40].fill(9);
        let (records, cursor, ending) = walk(&open.bytes, open.end);
        assert_eq!((records, cursor.position), (4, open.end));
        assert_eq!(ending, Ending::Torn { fault: RecordFault::Uncommitted, until: open.end + 40 });
    }

    /// Every record times every bit of it, below and beyond the durable part, with and without a statement that
    /// the batch was not durable.
    #[test]
    fn rows_for_every_bit() {
        for stated in [false, true] {
            let unsynced = |sequence: u64| if stated { sequence as u16 - 1 } else { UNSYNCED_NOT_STATED };
            let healthy = build(&PAYLOADS, unsynced, false);
            for (number, &start) in healthy.offsets.iter().enumerate() {
                let end = healthy.offsets.get(number + 1).copied().unwrap_or(healthy.end);
                let step = if cfg!(miri) { 13 } else { 1 };
                for bit in (start * 8..end * 8).step_by(step) {
                    let mut bytes = healthy.bytes.clone();
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    for durable_bytes in [start, start + 1, end] {
                        let (records, cursor, ending) = walk(&bytes, durable_bytes);
                        assert_eq!((records, cursor.position), (number, start));
                        let last = number + 1 == healthy.offsets.len();
                        let torn = durable_bytes <= start && (last || stated);
                        match ending {
                            Ending::Torn { until, .. } => assert!(torn && until <= healthy.end),
                            Ending::Damaged { next_valid, .. } => {
                                assert!(!torn);
                                assert_eq!(next_valid, healthy.offsets.get(number + 1).copied());
                            }
                            other => panic!("bit {bit}: {other:?}"),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn later_record_that_saw_this_one_durable_makes_it_damage() {
        // The fourth record was appended when the second was durable already, not yet the third.
        let healthy = build(&PAYLOADS, |sequence| u16::from(sequence == 4), false);
        for (number, torn) in [(1, false), (2, true)] {
            let mut bytes = healthy.bytes.clone();
            bytes[healthy.offsets[number] + 20] ^= 1;
            let (_, _, ending) = walk(&bytes, 0);
            assert_eq!(matches!(ending, Ending::Torn { .. }), torn, "record {number}: {ending:?}");
        }
    }

    #[test]
    fn sequence_and_chain_are_checked() {
        let healthy = build(&PAYLOADS, not_stated, false);
        let mut cursor = Cursor::start(2, 3, SEED);
        let expected = RecordFault::Sequence { found: 1, expected: 2 };
        assert_eq!(cursor.step(&healthy.bytes), Step::Fault(expected));
        let mut cursor = Cursor::start(1, 4, SEED);
        let expected = RecordFault::Chain { found: 3, expected: 4 };
        assert_eq!(cursor.step(&healthy.bytes), Step::Fault(expected));
        let (_, _, ending) = {
            let step = cursor.step(&healthy.bytes);
            (0, 0, judge_last(&healthy.bytes, &cursor, step, 0))
        };
        // The record is intact, so it is no torn write.
        assert!(matches!(ending, Ending::Damaged { next_valid: Some(HEADER_BYTES), .. }));
    }

    #[test]
    fn last_nonzero_byte_is_found_everywhere() {
        for size in [0_usize, 1, 4_095, 4_096, 4_097, 13_000] {
            let mut bytes = vec![0; size];
            for start in [0, size / 2, size] {
                assert_eq!(last_nonzero_end(&bytes, start), start);
            }
            assert_eq!(last_nonzero_end(&bytes, size + 5), size);
            for position in (0..size).step_by(if cfg!(miri) { 997 } else { 61 }) {
                bytes[position] = 1;
                for start in [0, position, position + 1] {
                    assert_eq!(
                        last_nonzero_end(&bytes, start),
                        (position + 1).max(start),
                        "{position} {start}"
                    );
                }
                bytes[position] = 0;
            }
        }
    }

    #[cfg(not(miri))]
    mod arbitrary {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            /// Whatever happens to the bytes, what is walked is a prefix of what was written.
            #[test]
            fn damage_never_invents_or_reorders(
                payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..10),
                writes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6),
                moved in proptest::option::of((any::<u16>(), any::<u16>(), 1..200_usize)),
                durable_bytes in HEADER_BYTES..HEADER_BYTES + 1024,
            ) {
                let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
                let healthy = build(&payloads, not_stated, false);
                let mut bytes = healthy.bytes.clone();
                let within = |number: u16| HEADER_BYTES + usize::from(number) % 1024;
                for (place, value) in writes {
                    bytes[within(place)] = value;
                }
                if let Some((from, to, length)) = moved {
                    let (from, to) = (within(from), within(to));
                    let length = length.min(bytes.len() - from).min(bytes.len() - to);
                    bytes.copy_within(from..from + length, to);
                }
                let mut cursor = Cursor::start(1, 3, SEED);
                let mut number = 0;
                while let Step::Record(decoded) = {
                    let offset = cursor.position;
                    let step = cursor.step(&bytes);
                    if let Step::Record(decoded) = step {
                        prop_assert_eq!(offset, healthy.offsets[number]);
                        let payload = &bytes[offset + RECORD_HEADER_BYTES..offset + decoded.length];
                        prop_assert_eq!(payload, payloads[number]);
                    }
                    step
                } {
                    number += 1;
                    prop_assert_eq!(decoded.fields.sequence, number as u64);
                }
                let (records, position, ending) = walk(&bytes, durable_bytes);
                prop_assert_eq!(records, number);
                if position.position < durable_bytes {
                    let cut = matches!(ending, Ending::Torn { .. } | Ending::Clean);
                    prop_assert!(!cut, "durable bytes were cut");
                }
            }
        }
    }
}
