//! Journals in any state: verified, read, repaired and opened. None of it panics or hangs, and the four agree on
//! what the journal holds.
//!
//! The first byte chooses how the rest becomes files: the whole of a segment file, what follows an intact header, or
//! a script that lays out records with right checksums and then damages them. The bytes are laid out here from
//! `FORMAT.md`, without the journal's own code.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tollgate_journal::{
    Durability, OpenError, Reader, RepairError, RepairOptions, Settings, open, repair, segment_name,
    statistics, verify,
};

const SEGMENT_BYTES: usize = 64 * 1024;
const SEGMENTS_MAX: usize = 4;
const HEADER_BYTES: usize = 4096;
const IDENTITY: [u8; 16] = *b"fuzzed journal\0\0";
/// The smallest record has 32 bytes, so no journal here has more.
const RECORDS_MAX: u64 = (SEGMENTS_MAX * SEGMENT_BYTES / 32) as u64;

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
}

fn seed(index: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&IDENTITY), &index.to_le_bytes())
}

/// An empty segment, entered at `first_sequence`.
fn segment(index: u64, first_sequence: u64, previous: u32) -> Vec<u8> {
    let mut bytes = vec![0; SEGMENT_BYTES];
    put(&mut bytes, 0, b"TGJOURN\0");
    put(&mut bytes, 8, &1_u32.to_le_bytes());
    put(&mut bytes, 12, &(HEADER_BYTES as u32).to_le_bytes());
    put(&mut bytes, 16, &index.to_le_bytes());
    put(&mut bytes, 24, &(SEGMENT_BYTES as u64).to_le_bytes());
    put(&mut bytes, 40, &IDENTITY);
    let checksum = crc32c::crc32c(&bytes[..60]);
    put(&mut bytes, 60, &checksum.to_le_bytes());
    put(&mut bytes, 64, &first_sequence.to_le_bytes());
    put(&mut bytes, 72, &previous.to_le_bytes());
    let checksum = crc32c::crc32c_append(seed(index), &bytes[64..76]);
    put(&mut bytes, 76, &checksum.to_le_bytes());
    bytes
}

/// Segments written by a script of the fuzzer's.
struct Layout<'a> {
    script: &'a [u8],
    segments: Vec<Vec<u8>>,
    offset: usize,
    sequence: u64,
    previous: u32,
}

impl<'a> Layout<'a> {
    fn new(script: &'a [u8]) -> Self {
        Self { script, segments: vec![segment(1, 1, 0)], offset: HEADER_BYTES, sequence: 1, previous: 0 }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.script.split_first()?;
        self.script = rest;
        Some(*first)
    }

    fn word(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    fn current(&mut self) -> (u64, &mut Vec<u8>) {
        let index = self.segments.len() as u64;
        (index, self.segments.last_mut().expect("there is always one"))
    }

    /// Lays out a record; `false` when it does not fit.
    fn record(&mut self, kind: u16, flags: u16, payload_bytes: usize) -> bool {
        let length = 32 + payload_bytes;
        let end = self.offset + length.next_multiple_of(16);
        if end > SEGMENT_BYTES {
            return false;
        }
        let (offset, sequence, previous) = (self.offset, self.sequence, self.previous);
        let (index, bytes) = self.current();
        let record = &mut bytes[offset..end];
        record.fill(0);
        record[32..length].fill(sequence as u8);
        put(record, 12, &kind.to_le_bytes());
        put(record, 14, &flags.to_le_bytes());
        put(record, 16, &sequence.to_le_bytes());
        let checksum = crc32c::crc32c_append(seed(index) ^ length as u32, &record[8..]) ^ previous;
        put(record, 0, &(length as u32).to_le_bytes());
        put(record, 4, &checksum.to_le_bytes());
        put(record, 8, &previous.to_le_bytes());
        (self.offset, self.previous) = (end, checksum);
        true
    }

    fn close(&mut self) {
        if self.segments.len() == SEGMENTS_MAX || !self.record(0, 1 << 15 | 0x7fff, 0) {
            return;
        }
        let index = self.segments.len() as u64 + 1;
        self.segments.push(segment(index, self.sequence, self.previous));
        self.offset = HEADER_BYTES;
    }

    fn hint(&mut self, slot: u8, bytes: u64, durable_sequence: u64) {
        let (index, segment) = self.current();
        let at = 128 + usize::from(slot % 2) * 64;
        put(segment, at, &bytes.to_le_bytes());
        put(segment, at + 8, &durable_sequence.to_le_bytes());
        let checksum = crc32c::crc32c_append(seed(index), &segment[at..at + 16]);
        put(segment, at + 16, &checksum.to_le_bytes());
    }

    /// A record that was laid out takes a sequence.
    fn advance(&mut self, laid_out: bool) {
        self.sequence = self.sequence.wrapping_add(u64::from(laid_out)).max(1);
    }

    fn step(&mut self) -> Option<()> {
        match self.byte()? % 10 {
            0..=2 => {
                let (kind, payload_bytes) = (self.byte()?, self.byte()?);
                let laid_out = self.record(u16::from(kind), 0x7fff, usize::from(payload_bytes));
                self.advance(laid_out);
            }
            3 => {
                let (flags, payload_bytes) = (self.word()?, self.word()?);
                let laid_out = self.record(1, flags, usize::from(payload_bytes));
                self.advance(laid_out);
            }
            4 => self.close(),
            5 => {
                let (at, value) = (self.word()?, self.byte()?);
                self.current().1[usize::from(at) % SEGMENT_BYTES] ^= value;
            }
            6 => self.offset = (self.offset + 16 * usize::from(self.byte()?)).min(SEGMENT_BYTES),
            7 => {
                let (slot, back) = (self.byte()?, self.byte()?);
                let bytes = self.offset.saturating_sub(usize::from(back) * 16) as u64;
                self.hint(slot, bytes, self.sequence.saturating_sub(1 + u64::from(back)));
            }
            8 => self.sequence = self.sequence.wrapping_add_signed(i64::from(self.byte()? as i8)).max(1),
            _ => {
                let length = usize::from(self.word()?);
                let which = usize::from(self.byte()?) % self.segments.len();
                // Later records of a cut segment have no place: only earlier ones, and the last at the end, are cut.
                if which + 1 < self.segments.len() || self.script.is_empty() {
                    self.segments[which].truncate(length);
                }
            }
        }
        Some(())
    }
}

fn files(bytes: &[u8]) -> Vec<Vec<u8>> {
    let Some((selector, rest)) = bytes.split_first() else { return Vec::new() };
    match selector % 4 {
        0 => vec![rest.to_vec()],
        1 => {
            let mut segment = segment(1, 1, 0);
            let length = rest.len().min(SEGMENT_BYTES - HEADER_BYTES);
            put(&mut segment, HEADER_BYTES, &rest[..length]);
            vec![segment]
        }
        _ => {
            let mut layout = Layout::new(rest);
            while layout.step().is_some() {}
            layout.segments
        }
    }
}

/// Reads to the end or to damage and returns how many records there were.
fn read_all(directory: &Path) -> (u64, bool) {
    let mut reader = match Reader::open(directory) {
        Ok(reader) => reader,
        Err(_) => return (0, false),
    };
    let mut records = 0;
    loop {
        match reader.next() {
            Ok(Some(record)) => {
                std::hint::black_box(record.payload.iter().fold(0_u8, |sum, byte| sum ^ byte));
                records += 1;
                assert!(records <= RECORDS_MAX, "a reader that never ends");
            }
            Ok(None) => return (records, true),
            Err(_) => return (records, false),
        }
    }
}

fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(directory).expect("the directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut contents: Vec<_> = paths.filter(|path| !path.ends_with("LOCK")).collect();
    contents.sort();
    contents.into_iter().map(|path| (path.clone(), fs::read(path).expect("a file"))).collect()
}

/// Opens and returns how many records there were, and whether files were removed that never were segments.
fn open_counting(settings: &Settings) -> Result<(u64, bool), OpenError> {
    let mut records = 0;
    let opened = open(settings, |_| records += 1)?;
    assert_eq!(opened.recovery.records, records);
    Ok((records, !opened.recovery.discarded.is_empty()))
}

/// After a successful open everything agrees.
fn check_recovered(directory: &Path, records: u64) {
    let verification = verify(directory, |_| {}).expect("what opens can be verified");
    assert!(verification.is_intact() && verification.torn_tail.is_none(), "{verification:?}");
    assert_eq!(verification.records, records);
    assert_eq!(read_all(directory), (records, true));
}

fn examine(directory: &Path) {
    let settings = Settings {
        segment_bytes: SEGMENT_BYTES as u64,
        reserve_bytes: 4096,
        durability: Durability::Process,
        flush_interval: Duration::from_secs(1),
        ..Settings::new(directory)
    };
    let before = contents(directory);
    let verification = verify(directory, |_| {});
    let _ = statistics(directory);
    let (read, read_to_end) = read_all(directory);
    let planned = repair(directory, &RepairOptions { dry_run: true, ..RepairOptions::default() });
    assert!(contents(directory) == before, "looking changes nothing");

    match open_counting(&settings) {
        Ok((records, discarded)) => {
            assert!(
                verification.is_ok_and(|found| found.is_intact()),
                "what verify calls damaged does not open"
            );
            // A file that was never a segment is removed by opening. A reader changes nothing, and stops there.
            let agreed = read == records && (read_to_end || discarded);
            assert!(agreed, "read {read}, to the end: {read_to_end}; opened {records}");
            assert!(planned.is_ok_and(|report| report.damage.is_none()));
            check_recovered(directory, records);
        }
        Err(OpenError::Damaged(damage)) => {
            assert!(contents(directory) == before, "a journal that does not open is not changed");
            let listed = verification.as_ref().is_ok_and(|found| !found.is_intact());
            assert!(listed, "open found {damage}; verify: {verification:?}; planned: {planned:?}");
            match repair(directory, &RepairOptions { dry_run: false, ..RepairOptions::default() }) {
                Ok(report) => {
                    assert!(report.damage.is_some());
                    assert_eq!(planned.ok().map(|plan| plan.kept_records), Some(report.kept_records));
                    let (records, _) = open_counting(&settings).expect("a repaired journal opens");
                    assert_eq!(records, report.kept_records);
                    check_recovered(directory, records);
                }
                Err(error @ RepairError::StillDamaged(_)) => panic!("{error}"),
                Err(RepairError::Open(_)) => {}
            }
        }
        Err(_) => assert!(contents(directory) == before, "a journal that does not open is not changed"),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (position, content) in files(bytes).iter().enumerate() {
        fs::write(directory.path().join(segment_name(position as u64 + 1)), content).expect("a segment file");
    }
    examine(directory.path());
});
