//! The bytes on disk: constants of the format and the segment header. `FORMAT.md` has the tables.
//!
//! Pure functions over byte slices: no files, no mapped memory.

use crate::record::RECORD_HEADER_BYTES;

/// First eight bytes of every segment file.
pub(crate) const MAGIC: [u8; 8] = *b"TGJOURN\0";
/// Version of the format this crate writes and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;
/// Size of the segment header; the first record starts here.
pub const HEADER_BYTES: usize = 4096;
/// Every record starts on a multiple of this.
pub const RECORD_ALIGNMENT: usize = 16;
/// Smallest segment that can be configured.
pub const SEGMENT_BYTES_MINIMUM: u64 = 64 * 1024;
/// Largest segment that can be configured.
pub const SEGMENT_BYTES_MAXIMUM: u64 = 2 * 1024 * 1024 * 1024;
/// Segment sizes are multiples of this.
pub(crate) const PAGE_BYTES: usize = 4096;

pub(crate) const FIXED_BYTES: usize = 64;
pub(crate) const OPENING_OFFSET: usize = 64;
pub(crate) const OPENING_BYTES: usize = 16;
pub(crate) const HINT_OFFSETS: [usize; 2] = [128, 192];
pub(crate) const HINT_BYTES: usize = 24;

const _: () = assert!(HEADER_BYTES.is_multiple_of(PAGE_BYTES));
const _: () = assert!(RECORD_HEADER_BYTES.is_multiple_of(RECORD_ALIGNMENT));
const _: () = assert!(SEGMENT_BYTES_MAXIMUM <= u32::MAX as u64);

/// The immutable part of a segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) index: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) created_ns: u64,
    pub(crate) identity: [u8; 16],
}

/// Written when the appender enters the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) first_sequence: u64,
    pub(crate) previous_checksum: u32,
}

/// How far the segment is known to have reached the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DurableHint {
    pub(crate) bytes: u64,
    pub(crate) sequence: u64,
}

/// Why a segment header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// The file ends before the header does.
    #[error("the file has {bytes} bytes, fewer than the {HEADER_BYTES} of a header")]
    Short {
        /// Size of the file.
        bytes: u64,
    },
    /// The first bytes are not those of a segment.
    #[error("the file does not start with the mark of a journal segment")]
    Magic,
    /// Written by a newer release.
    #[error("format version {version} is not {FORMAT_VERSION}, the one this release reads")]
    Version {
        /// Version found.
        version: u32,
    },
    /// The header checksum does not match.
    #[error("header checksum is {found:#010x}, its bytes give {computed:#010x}")]
    Checksum {
        /// Checksum stored in the header.
        found: u32,
        /// Checksum of the header's bytes.
        computed: u32,
    },
    /// The header is intact but says something impossible or belongs to another file.
    #[error("header field {field} is {found}, expected {expected}")]
    Field {
        /// Name of the field, as in `FORMAT.md`.
        field: &'static str,
        /// Value found.
        found: u64,
        /// Value expected.
        expected: u64,
    },
    /// The journal identity differs from the other segments'.
    #[error("the segment belongs to another journal (its identity differs)")]
    Identity,
    /// The opening part (first sequence, previous checksum) does not match its checksum.
    #[error("the opening part of the header (first sequence and previous checksum) is damaged")]
    Opening,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; FIXED_BYTES] {
        let mut bytes = [0; FIXED_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.index.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.segment_bytes.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.created_ns.to_le_bytes());
        bytes[40..56].copy_from_slice(&self.identity);
        let checksum = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        if bytes.len() < HEADER_BYTES {
            return Err(HeaderFault::Short { bytes: bytes.len() as u64 });
        }
        if bytes[0..8] != MAGIC {
            return Err(HeaderFault::Magic);
        }
        let version = u32_at(bytes, 8);
        if version != FORMAT_VERSION {
            return Err(HeaderFault::Version { version });
        }
        let (found, computed) = (u32_at(bytes, 60), crc32c::crc32c(&bytes[..60]));
        if found != computed {
            return Err(HeaderFault::Checksum { found, computed });
        }
        let header_bytes = u64::from(u32_at(bytes, 12));
        if header_bytes != HEADER_BYTES as u64 {
            return Err(HeaderFault::Field {
                field: "header bytes",
                found: header_bytes,
                expected: HEADER_BYTES as u64,
            });
        }
        let segment_bytes = u64_at(bytes, 24);
        let bounded = segment_bytes.clamp(SEGMENT_BYTES_MINIMUM, SEGMENT_BYTES_MAXIMUM);
        let expected = bounded - bounded % PAGE_BYTES as u64;
        if segment_bytes != expected {
            return Err(HeaderFault::Field { field: "segment bytes", found: segment_bytes, expected });
        }
        let mut identity = [0; 16];
        identity.copy_from_slice(&bytes[40..56]);
        Ok(Self { index: u64_at(bytes, 16), segment_bytes, created_ns: u64_at(bytes, 32), identity })
    }

    /// Seed of every record checksum in this segment: a record of another journal or of another segment
    /// never passes, wherever its bytes turn up.
    pub(crate) fn seed(&self) -> u32 {
        segment_seed(&self.identity, self.index)
    }
}

pub(crate) fn segment_seed(identity: &[u8; 16], index: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(identity), &index.to_le_bytes())
}

impl Opening {
    pub(crate) fn encode(&self, seed: u32) -> [u8; OPENING_BYTES] {
        let mut bytes = [0; OPENING_BYTES];
        bytes[0..8].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.previous_checksum.to_le_bytes());
        let checksum = crc32c::crc32c_append(seed, &bytes[..12]);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `None` when the appender has not entered the segment yet.
    pub(crate) fn decode(header: &[u8], seed: u32) -> Result<Option<Self>, HeaderFault> {
        let bytes = &header[OPENING_OFFSET..OPENING_OFFSET + OPENING_BYTES];
        let opening = Self { first_sequence: u64_at(bytes, 0), previous_checksum: u32_at(bytes, 8) };
        if opening.first_sequence == 0 {
            return Ok(None);
        }
        if u32_at(bytes, 12) != crc32c::crc32c_append(seed, &bytes[..12]) {
            return Err(HeaderFault::Opening);
        }
        Ok(Some(opening))
    }
}

impl DurableHint {
    pub(crate) fn encode(&self, seed: u32) -> [u8; HINT_BYTES] {
        let mut bytes = [0; HINT_BYTES];
        bytes[0..8].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        let checksum = crc32c::crc32c_append(seed, &bytes[..16]);
        bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The further of the two slots that are intact; a slot torn by a crash is ignored.
    pub(crate) fn decode(header: &[u8], seed: u32) -> Self {
        let mut furthest = Self::default();
        for offset in HINT_OFFSETS {
            let bytes = &header[offset..offset + HINT_BYTES];
            let hint = Self { bytes: u64_at(bytes, 0), sequence: u64_at(bytes, 8) };
            let intact = u32_at(bytes, 16) == crc32c::crc32c_append(seed, &bytes[..16]);
            if intact && hint.bytes > furthest.bytes {
                furthest = hint;
            }
        }
        furthest
    }
}

/// Name of a segment file, `journal-00000001.tgj`.
pub fn segment_name(index: u64) -> String {
    format!("journal-{index:08}.tgj")
}

/// Index in a segment file's name; `None` for any other name.
pub fn segment_index(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("journal-")?.strip_suffix(".tgj")?;
    let index = digits.parse::<u64>().ok()?;
    (segment_name(index) == name && index > 0).then_some(index)
}

pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([bytes[offset], bytes[offset + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(word)
}

pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const HEADER: Header = Header {
        index: 3,
        segment_bytes: 65_536,
        created_ns: 0x1122_3344_5566_7788,
        identity: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
    };
    const OPENING: Opening = Opening { first_sequence: 41, previous_checksum: 0xa1b2_c3d4 };
    const HINT: DurableHint = DurableHint { bytes: 4_144, sequence: 41 };

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    fn page() -> Vec<u8> {
        let mut page = vec![0; HEADER_BYTES];
        page[..FIXED_BYTES].copy_from_slice(&HEADER.encode());
        page[OPENING_OFFSET..OPENING_OFFSET + OPENING_BYTES].copy_from_slice(&OPENING.encode(HEADER.seed()));
        page[HINT_OFFSETS[1]..HINT_OFFSETS[1] + HINT_BYTES].copy_from_slice(&HINT.encode(HEADER.seed()));
        page
    }

    /// Computed from `FORMAT.md` by another program: a change of these bytes is a change of the format.
    #[test]
    fn golden_header() {
        let expected = "54474a4f55524e00010000000010000003000000000000000000010000000000\
         88776655443322110102030405060708090a0b0c0d0e0f10000000001a12435a";
        assert_eq!(hex(&HEADER.encode()), expected);
        assert_eq!(hex(&OPENING.encode(HEADER.seed())), "2900000000000000d4c3b2a1ba7e7d3c");
        assert_eq!(hex(&HINT.encode(HEADER.seed())), "3010000000000000290000000000000025a59cac00000000");
    }

    #[test]
    fn header_comes_back() {
        let page = page();
        assert_eq!(Header::decode(&page), Ok(HEADER));
        assert_eq!(Opening::decode(&page, HEADER.seed()), Ok(Some(OPENING)));
        assert_eq!(DurableHint::decode(&page, HEADER.seed()), HINT);
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        for bit in 0..(OPENING_OFFSET + OPENING_BYTES) * 8 {
            let mut page = page();
            page[bit / 8] ^= 1 << (bit % 8);
            let header = Header::decode(&page);
            let noticed = header.is_err() || Opening::decode(&page, HEADER.seed()).is_err();
            assert!(noticed, "bit {bit}");
        }
        for bit in 0..20 * 8 {
            let mut page = page();
            page[HINT_OFFSETS[1] + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(DurableHint::decode(&page, HEADER.seed()), DurableHint::default(), "bit {bit}");
        }
    }

    #[test]
    fn further_hint_counts() {
        let mut page = page();
        let further = DurableHint { bytes: 8_192, sequence: 90 };
        page[HINT_OFFSETS[0]..HINT_OFFSETS[0] + HINT_BYTES].copy_from_slice(&further.encode(HEADER.seed()));
        assert_eq!(DurableHint::decode(&page, HEADER.seed()), further);
    }

    #[test]
    fn unusable_headers_say_why() {
        assert_eq!(Header::decode(&[0; 100]), Err(HeaderFault::Short { bytes: 100 }));
        assert_eq!(Header::decode(&[0; HEADER_BYTES]), Err(HeaderFault::Magic));
        let mut newer = page();
        newer[8] = 2;
        assert_eq!(Header::decode(&newer), Err(HeaderFault::Version { version: 2 }));
        let mut odd = vec![0; HEADER_BYTES];
        odd[..FIXED_BYTES].copy_from_slice(&Header { segment_bytes: 70_000, ..HEADER }.encode());
        let expected = HeaderFault::Field { field: "segment bytes", found: 70_000, expected: 69_632 };
        assert_eq!(Header::decode(&odd), Err(expected));
    }

    #[test]
    fn names_and_indexes_agree() {
        for index in [1, 42, 99_999_999, 100_000_000] {
            assert_eq!(segment_index(&segment_name(index)), Some(index));
        }
        let others = ["journal-1.tgj", "journal-00000000.tgj", "journal-00000001.tgj.torn-1", "LOCK"];
        for name in others.into_iter().chain(["journal-+0000001.tgj", "journal-000000001.tgj"]) {
            assert_eq!(segment_index(name), None, "{name}");
        }
    }
}
