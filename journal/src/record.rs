//! One record: its bytes, its checksum, and what can be wrong with it. Pure functions over byte slices.

use crate::checksum::crc32c_words;
use crate::format::{RECORD_ALIGNMENT, u16_at, u32_at, u64_at};

/// Bytes before the payload of every record.
pub const RECORD_HEADER_BYTES: usize = 32;

/// Set in the flags of the record that closes a segment.
const FLAG_END: u16 = 1 << 15;
/// The low bits count the earlier records that were not yet on disk when this one was appended.
const UNSYNCED_MASK: u16 = FLAG_END - 1;
/// The count is not stated: too large, or the journal was not of the disk class.
pub(crate) const UNSYNCED_NOT_STATED: u16 = UNSYNCED_MASK;

/// A record as it stands in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Position in the journal: 1 for the first record, contiguous over segments.
    pub sequence: u64,
    /// Time given by whoever appended it, nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// Meaning of the payload; the journal does not interpret it.
    pub kind: u16,
    /// The bytes appended.
    pub payload: &'a [u8],
    /// Index of the segment that holds the record.
    pub segment: u64,
    /// Offset of the record in the segment file.
    pub offset: u64,
}

/// Where a record stands, for whoever wants to go on after it (see [`Reader::open_after`](crate::Reader::open_after)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) sequence: u64,
}

impl Record<'_> {
    /// Where it stands.
    pub fn place(&self) -> Place {
        Place { segment: self.segment, offset: self.offset, sequence: self.sequence }
    }
}

/// Why the bytes at some offset are not the record expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The length is impossible at this place.
    #[error("record length {length} is not between {RECORD_HEADER_BYTES} and {limit}")]
    Length {
        /// Length found.
        length: u32,
        /// Bytes left in the segment.
        limit: usize,
    },
    /// The length is zero but other bytes follow.
    #[error("no record is committed here, yet bytes that are not zero follow")]
    Uncommitted,
    /// The checksum does not match.
    #[error("record checksum is {found:#010x}, its bytes give {computed:#010x}")]
    Checksum {
        /// Checksum stored in the record.
        found: u32,
        /// Checksum of the record's bytes.
        computed: u32,
    },
    /// The record does not continue the one before it.
    #[error("record follows checksum {found:#010x}, the one before it has {expected:#010x}")]
    Chain {
        /// Previous checksum stored in the record.
        found: u32,
        /// Checksum of the record before.
        expected: u32,
    },
    /// The sequence is not the next one.
    #[error("record sequence is {found}, expected {expected}")]
    Sequence {
        /// Sequence found.
        found: u64,
        /// Sequence expected.
        expected: u64,
    },
    /// Bytes follow the record that closes the segment.
    #[error("bytes that are not zero follow the end of the segment")]
    AfterEnd,
    /// A segment that others follow stops without its closing record.
    #[error("the segment stops here without a closing record, though another segment follows")]
    NoEnd,
}

/// The fields of a record apart from payload and chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) sequence: u64,
    pub(crate) time_ns: u64,
    pub(crate) kind: u16,
    pub(crate) end: bool,
    /// Earlier records not yet on disk at the time of the append, or [`UNSYNCED_NOT_STATED`].
    pub(crate) unsynced: u16,
}

/// A record that passed its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) fields: Fields,
    pub(crate) previous: u32,
    pub(crate) checksum: u32,
    /// Header and payload, without padding.
    pub(crate) length: usize,
}

impl Decoded {
    pub(crate) fn padded(&self) -> usize {
        padded(self.length)
    }

    /// Highest sequence known to be durable when this record was appended, when it states that.
    pub(crate) fn durable_before(&self) -> Option<u64> {
        (self.fields.unsynced != UNSYNCED_NOT_STATED)
            .then(|| (self.fields.sequence - 1).saturating_sub(u64::from(self.fields.unsynced)))
    }
}

/// Bytes a record of `length` (header and payload) takes in the segment.
#[inline]
pub(crate) fn padded(length: usize) -> usize {
    length.next_multiple_of(RECORD_ALIGNMENT)
}

/// Completes the record whose payload already stands in `slot[32..length]` and whose padding is zero, except
/// for the length word, which commits it. Returns the checksum.
#[inline]
pub(crate) fn seal(slot: &mut [u8], length: usize, fields: Fields, seed: u32, previous: u32) -> u32 {
    let slot = &mut slot[..padded(length)];
    let flags = fields.unsynced | if fields.end { FLAG_END } else { 0 };
    let word = u64::from(fields.kind) << 32 | u64::from(flags) << 48;
    slot[8..16].copy_from_slice(&word.to_le_bytes());
    slot[16..24].copy_from_slice(&fields.sequence.to_le_bytes());
    slot[24..32].copy_from_slice(&fields.time_ns.to_le_bytes());
    // The previous checksum joins at the end, so that the checksum of one record does not have to wait for
    // that of the one before.
    let checksum = crc32c_words(seed ^ length as u32, &slot[8..]) ^ previous;
    slot[8..12].copy_from_slice(&previous.to_le_bytes());
    slot[4..8].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

/// Checks a length word against the bytes left in the segment.
#[inline]
pub(crate) fn check_length(length: u32, limit: usize) -> Result<usize, RecordFault> {
    let bytes = length as usize;
    if bytes < RECORD_HEADER_BYTES || bytes > limit || padded(bytes) > limit {
        return Err(RecordFault::Length { length, limit });
    }
    Ok(bytes)
}

/// Decodes the record at the start of `bytes`, which reach at least to its padded end, checking everything
/// that can be checked without knowing the record before it.
#[inline]
pub(crate) fn decode(bytes: &[u8], length: usize, seed: u32) -> Result<Decoded, RecordFault> {
    let bytes = &bytes[..padded(length)];
    let previous = u32_at(bytes, 8);
    let found = u32_at(bytes, 4);
    let mut word = [0; 8];
    word[4..8].copy_from_slice(&bytes[12..16]);
    let checksum = crc32c_words(seed ^ length as u32, &word);
    let computed = crc32c_words(checksum, &bytes[16..]) ^ previous;
    if found != computed {
        return Err(RecordFault::Checksum { found, computed });
    }
    let flags = u16_at(bytes, 14);
    let fields = Fields {
        sequence: u64_at(bytes, 16),
        time_ns: u64_at(bytes, 24),
        kind: u16_at(bytes, 12),
        end: flags & FLAG_END != 0,
        unsynced: flags & UNSYNCED_MASK,
    };
    if fields.sequence == u64::MAX {
        // No journal lives to see the last number: only a forged record has it, and nothing could follow.
        return Err(RecordFault::Sequence { found: u64::MAX, expected: 0 });
    }
    Ok(Decoded { fields, previous, checksum: found, length })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::format::segment_seed;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    fn record(payload: &[u8], fields: Fields, seed: u32, previous: u32) -> (Vec<u8>, u32) {
        let length = RECORD_HEADER_BYTES + payload.len();
        let mut slot = vec![0; padded(length)];
        slot[RECORD_HEADER_BYTES..length].copy_from_slice(payload);
        let checksum = seal(&mut slot, length, fields, seed, previous);
        slot[..4].copy_from_slice(&(length as u32).to_le_bytes());
        (slot, checksum)
    }

    /// Computed from `FORMAT.md` by another program: a change of these bytes is a change of the format.
    #[test]
    fn golden_records() {
        let identity: [u8; 16] = std::array::from_fn(|number| number as u8 + 1);
        let seed = segment_seed(&identity, 3);
        let time_ns = 1_700_000_000_000_000_000;
        let fields = Fields { sequence: 41, time_ns, kind: 7, end: false, unsynced: 2 };
        let (bytes, checksum) = record(b"tollgate", fields, seed, 0xa1b2_c3d4);
        let expected = "28000000c9fd7716d4c3b2a107000200290000000000000000002a36fe9c9717\
         746f6c6c676174650000000000000000";
        assert_eq!(hex(&bytes), expected);
        let fields = Fields { sequence: 42, time_ns: 0, kind: 0, end: true, unsynced: UNSYNCED_NOT_STATED };
        let (bytes, _) = record(b"", fields, seed, checksum);
        let expected = "20000000a93ce6dec9fd77160000ffff2a000000000000000000000000000000";
        assert_eq!(hex(&bytes), expected);
    }

    #[test]
    fn fields_come_back_at_every_length() {
        for length in 0..100_usize {
            let payload: Vec<u8> = (0..length as u8).collect();
            let fields = Fields {
                sequence: u64::MAX - 1 - length as u64,
                time_ns: length as u64,
                kind: 0xfffe,
                end: length % 2 == 0,
                unsynced: length as u16,
            };
            let (bytes, checksum) = record(&payload, fields, 5, 6);
            let decoded = decode(&bytes, RECORD_HEADER_BYTES + length, 5).unwrap();
            let expected = Decoded { fields, previous: 6, checksum, length: RECORD_HEADER_BYTES + length };
            assert_eq!(decoded, expected);
        }
    }

    #[test]
    fn last_sequence_is_refused() {
        let fields = Fields { sequence: u64::MAX, time_ns: 0, kind: 1, end: false, unsynced: 0 };
        let (bytes, _) = record(b"", fields, 5, 6);
        let fault = RecordFault::Sequence { found: u64::MAX, expected: 0 };
        assert_eq!(decode(&bytes, RECORD_HEADER_BYTES, 5).err(), Some(fault));
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let fields = Fields { sequence: 9, time_ns: 8, kind: 7, end: false, unsynced: 0 };
        let (bytes, _) = record(b"eleven byte", fields, 1, 2);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let decoded = check_length(u32_at(&damaged, 0), damaged.len())
                .and_then(|length| decode(&damaged, length, 1));
            assert!(decoded.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for length in [0, 1, 31, 65, 100, u32::MAX] {
            assert_eq!(check_length(length, 64), Err(RecordFault::Length { length, limit: 64 }));
        }
        assert_eq!(check_length(33, 47), Err(RecordFault::Length { length: 33, limit: 47 }));
        assert_eq!(check_length(64, 64), Ok(64));
    }

    #[test]
    fn statement_about_durability() {
        let stated = |sequence, unsynced| Decoded {
            fields: Fields { sequence, time_ns: 0, kind: 0, end: false, unsynced },
            previous: 0,
            checksum: 0,
            length: RECORD_HEADER_BYTES,
        };
        assert_eq!(stated(10, 0).durable_before(), Some(9));
        assert_eq!(stated(10, 9).durable_before(), Some(0));
        assert_eq!(stated(10, UNSYNCED_NOT_STATED).durable_before(), None);
    }
}
