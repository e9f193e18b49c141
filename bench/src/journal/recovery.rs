//! Opening and scanning a journal, against reading and checking its bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tollgate_journal::{Reader, Settings, open, segment_name};

use super::live::Live;
use super::{Outcome, PAYLOAD_BYTES, RECORD_BYTES};
use crate::turns::random_order;

/// Bytes that the control reads at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Records between two pauses while the journal is written.
const BURST: u64 = 10_000;

/// What a round has shown: seconds for the whole journal.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) open_s: f64,
    pub(super) scan_s: f64,
    pub(super) checksum_s: f64,
}

pub(super) struct Recovery {
    settings: Settings,
    records: u64,
    /// Segment files with the bytes of each up to the end of its last record.
    files: Vec<(PathBuf, u64)>,
    chunk: Vec<u8>,
}

impl Recovery {
    /// Writes the journal that is recovered.
    pub(super) fn new(directory: &Path, records: u64) -> Outcome<Self> {
        let settings = Settings::new(directory.join("recovery"));
        let mut live = Live::open(&settings)?;
        for written in 0..records {
            if written % BURST == 0 {
                live.settle()?;
            }
            live.append(&[7; PAYLOAD_BYTES])?;
        }
        live.stop()?;
        let mut ends = BTreeMap::new();
        let mut reader = Reader::open(&settings.directory)?;
        while let Some(record) = reader.next()? {
            ends.insert(record.segment, record.offset + RECORD_BYTES as u64);
        }
        let file = |(segment, end)| (settings.directory.join(segment_name(segment)), end);
        let files = ends.into_iter().map(file).collect();
        Ok(Self { settings, records, files, chunk: vec![0; CHUNK_BYTES] })
    }

    /// Bytes from the start of each segment to the end of its last record.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }

    pub(super) fn round(&mut self) -> Outcome<Figures> {
        let mut figures = Figures::default();
        for side in random_order(3)? {
            let began = Instant::now();
            match side {
                0 => figures.open_s = self.open(began)?,
                1 => figures.scan_s = self.scan(began)?,
                _ => figures.checksum_s = self.checksum(began)?,
            }
        }
        Ok(figures)
    }

    fn open(&self, began: Instant) -> Outcome<f64> {
        let mut bytes = 0;
        let opened = open(&self.settings, |record| bytes += record.payload.len() as u64)?;
        let taken_s = began.elapsed().as_secs_f64();
        self.check("recovery visited", opened.recovery.records, bytes)?;
        Ok(taken_s)
    }

    fn scan(&self, began: Instant) -> Outcome<f64> {
        let (mut records, mut bytes) = (0, 0);
        let mut reader = Reader::open(&self.settings.directory)?;
        while let Some(record) = reader.next()? {
            records += 1;
            bytes += record.payload.len() as u64;
        }
        let taken_s = began.elapsed().as_secs_f64();
        self.check("the reader saw", records, bytes)?;
        Ok(taken_s)
    }

    fn checksum(&mut self, began: Instant) -> Outcome<f64> {
        let mut checksum = 0;
        for (path, bytes) in &self.files {
            let mut rest = File::open(path)?.take(*bytes);
            loop {
                let length = rest.read(&mut self.chunk)?;
                if length == 0 {
                    break;
                }
                checksum = crc32c::crc32c_append(checksum, &self.chunk[..length]);
            }
        }
        black_box(checksum);
        Ok(began.elapsed().as_secs_f64())
    }

    fn check(&self, what: &str, records: u64, bytes: u64) -> Outcome<()> {
        if (records, bytes) == (self.records, self.records * PAYLOAD_BYTES as u64) {
            return Ok(());
        }
        Err(format!("{what} {records} records with {bytes} bytes of payload, {} were written", self.records)
            .into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_side_goes_over_the_whole_journal() {
        let directory = tempfile::tempdir().unwrap();
        let mut recovery = Recovery::new(directory.path(), 100).unwrap();
        // One segment: its header and the records.
        assert_eq!(recovery.bytes(), 4096 + 100 * RECORD_BYTES as u64);
        let figures = recovery.round().unwrap();
        assert!([figures.open_s, figures.scan_s, figures.checksum_s].iter().all(|taken| *taken > 0.0));
        recovery.records = 101;
        let error = recovery.scan(Instant::now()).unwrap_err().to_string();
        assert!(error.contains("saw 100 records") && error.contains("101 were written"), "{error}");
    }
}
