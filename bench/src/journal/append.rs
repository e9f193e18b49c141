//! Appends in the process class, against a copy of as many bytes into memory of the same file.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use tollgate_journal::{Durability, Room, Settings};

use super::live::Live;
use super::{Outcome, PAYLOAD_BYTES, RECORD_BYTES, coin};
use crate::machine::minor_faults;

/// Records of a batch: one look at the clock for all of them.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = BATCH * RECORD_BYTES;
/// Pairs of batches between two pauses: 3.2 MB, which is less than the journal touches ahead.
const BURST: usize = 10;
/// Bursts of a round: more than a segment, so that each round has a roll.
const BURSTS: usize = 6;
/// Appends timed one by one between two pauses.
const SINGLES: usize = 10_000;
/// A quarter of the default, and a quarter of its reserve.
const SEGMENT_BYTES: u64 = 16 << 20;
const RESERVE_BYTES: u64 = 256 << 10;

// Each round goes through a whole segment, and no burst outruns the 8 MiB that the journal touches ahead.
const _: () = assert!((2 * BURSTS * BURST * BATCH_BYTES) as u64 > SEGMENT_BYTES);
const _: () = assert!(2 * BURST * BATCH_BYTES < 8 << 20);

/// What a round has shown.
#[derive(Default)]
pub(super) struct Figures {
    /// Mean of all batches, with the rolls that fell into them.
    pub(super) record_ns: f64,
    pub(super) copy_ns: f64,
    /// The median batch.
    pub(super) record_median_ns: f64,
    pub(super) copy_median_ns: f64,
    /// The longest append timed by itself, rolls included.
    pub(super) longest_ns: f64,
    /// The append that went to the next segment.
    pub(super) roll_ns: f64,
    /// Page faults taken in timed batches.
    pub(super) record_faults: u64,
    pub(super) copy_faults: u64,
}

pub(super) struct Append {
    live: Live,
    /// As many bytes as a record occupies; a payload is the first part.
    source: [u8; RECORD_BYTES],
}

/// Batches of one side: nanoseconds of each, page faults of all.
#[derive(Default)]
struct Batches {
    taken_ns: Vec<u64>,
    faults: u64,
}

impl Append {
    pub(super) fn new(directory: &Path) -> Outcome<Self> {
        let settings = Settings {
            segment_bytes: SEGMENT_BYTES,
            reserve_bytes: RESERVE_BYTES,
            durability: Durability::Process,
            flush_interval: Duration::from_millis(100),
            ..Settings::new(directory.join("append"))
        };
        Ok(Self { live: Live::open(&settings)?, source: [7; RECORD_BYTES] })
    }

    pub(super) fn round(&mut self) -> Outcome<Figures> {
        let (mut records, mut copies) = (Batches::default(), Batches::default());
        for _ in 0..BURSTS {
            self.live.settle()?;
            for _ in 0..BURST {
                if coin()? {
                    self.record_batch(&mut records)?;
                    self.copy_batch(&mut copies)?;
                } else {
                    self.copy_batch(&mut copies)?;
                    self.record_batch(&mut records)?;
                }
            }
        }
        let (longest_ns, roll_ns) = self.singles_until_roll()?;
        // What is dirty must not be written while something else is measured.
        self.live.wait_synced()?;
        Ok(Figures {
            record_ns: records.mean_ns(),
            copy_ns: copies.mean_ns(),
            record_median_ns: records.median_ns(),
            copy_median_ns: copies.median_ns(),
            longest_ns: longest_ns as f64,
            roll_ns: roll_ns as f64,
            record_faults: records.faults,
            copy_faults: copies.faults,
        })
    }

    pub(super) fn stop(self) -> Outcome<()> {
        self.live.stop()
    }

    fn record_batch(&mut self, records: &mut Batches) -> Outcome<()> {
        let Some(payload) = self.source.first_chunk::<PAYLOAD_BYTES>() else { unreachable!() };
        let faults = minor_faults()?;
        let began = Instant::now();
        for _ in 0..BATCH {
            self.live.append(black_box(payload))?;
        }
        records.taken_ns.push(began.elapsed().as_nanos() as u64);
        records.faults += minor_faults()? - faults;
        Ok(())
    }

    /// The memory that a large record is filled in is that of the mapped file, touched before: copies are timed
    /// there. The header and checksum of that record, and a roll before it, are outside the timed interval.
    fn copy_batch(&mut self, copies: &mut Batches) -> Outcome<()> {
        let source = &self.source;
        let mut measured = Ok(0);
        self.live.appender.append(Room::Ordinary, 2, 0, BATCH_BYTES, |slot| {
            measured = minor_faults().and_then(|faults| {
                let began = Instant::now();
                for place in slot.chunks_exact_mut(RECORD_BYTES) {
                    place.copy_from_slice(black_box(source));
                }
                copies.taken_ns.push(began.elapsed().as_nanos() as u64);
                Ok(minor_faults()? - faults)
            });
            BATCH_BYTES
        })?;
        copies.faults += measured?;
        Ok(())
    }

    /// Appends timed one by one up to and with the next roll: the longest, and that with the roll.
    fn singles_until_roll(&mut self) -> Outcome<(u64, u64)> {
        let segment = self.live.appender.status().segment_index;
        let payload = [7; PAYLOAD_BYTES];
        let mut longest_ns = 0;
        loop {
            self.live.settle()?;
            for _ in 0..SINGLES {
                let began = Instant::now();
                self.live.append(black_box(&payload))?;
                let taken_ns = began.elapsed().as_nanos() as u64;
                longest_ns = longest_ns.max(taken_ns);
                if self.live.appender.status().segment_index != segment {
                    return Ok((longest_ns, taken_ns));
                }
            }
        }
    }
}

impl Batches {
    /// Of one record.
    fn mean_ns(&self) -> f64 {
        self.taken_ns.iter().sum::<u64>() as f64 / (self.taken_ns.len() * BATCH) as f64
    }

    fn median_ns(&self) -> f64 {
        let mut sorted = self.taken_ns.clone();
        sorted.sort_unstable();
        sorted[sorted.len() / 2] as f64 / BATCH as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_counts_by_the_record() {
        let batches = Batches { taken_ns: vec![90_000, 20_000, 10_000], faults: 0 };
        assert_eq!((batches.mean_ns() as u64, batches.median_ns() as u64), (40, 20));
    }
}
