//! Appends in the disk class, one by one and in groups, against direct writes of one block.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use tollgate_journal::{Durability, Settings};

use super::live::Live;
use super::{Outcome, PAYLOAD_BYTES, RECORD_BYTES};
use crate::machine::{waited_for_core_ns, written_bytes};
use crate::statistics;
use crate::turns::random_order;

const BLOCK_BYTES: usize = 4096;
/// A block of the control is written so often, as a page of the journal is.
const WRITES_A_BLOCK: u64 = (BLOCK_BYTES / RECORD_BYTES) as u64;
const BLOCKS: u64 = 4096;
/// Sides take turns so often in a round, in random order.
const TURNS: usize = 5;
/// Operations of a turn.
const OPERATIONS: usize = 60;
/// Before an operation that finds the flusher asleep; with the direct write too.
pub(super) const PAUSE: Duration = Duration::from_micros(200);
/// Records that may wait for the disk at once.
pub(super) const PENDING: [u64; 3] = [64, 256, 1024];
/// Records of one measurement of a group commit.
const GROUP_RECORDS: u64 = 32_768;

/// Latencies of a round, in microseconds.
#[derive(Default, Clone, Copy)]
pub(super) struct Latency {
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

/// What a round has shown.
#[derive(Default)]
pub(super) struct Figures {
    /// One after the other without a pause.
    pub(super) busy: Latency,
    pub(super) busy_direct: Latency,
    /// Each after a pause.
    pub(super) paused: Latency,
    pub(super) paused_direct: Latency,
    /// Bytes that the disk was given for one append.
    pub(super) written_bytes: f64,
    /// Milliseconds for which this thread or a cold one was ready and another program had its core.
    pub(super) waited_ms: f64,
    /// Records a second, in the order of [`PENDING`].
    pub(super) group: [f64; 3],
}

pub(super) struct Durable {
    live: Live,
    direct: Direct,
    payload: [u8; PAYLOAD_BYTES],
}

impl Durable {
    pub(super) fn new(directory: &Path) -> Outcome<Self> {
        let settings = Settings {
            durability: Durability::Disk,
            flush_interval: Duration::from_millis(100),
            ..Settings::new(directory.join("durable"))
        };
        Ok(Self {
            live: Live::open(&settings)?,
            direct: Direct::new(&directory.join("direct"))?,
            payload: [7; PAYLOAD_BYTES],
        })
    }

    pub(super) fn round(&mut self) -> Outcome<Figures> {
        self.live.settle()?;
        let waited_ns = waited_for_core_ns()?;
        let mut taken_ns = [const { Vec::new() }; 4];
        let mut written = 0;
        for _ in 0..TURNS {
            for side in random_order(4)? {
                let pause = if side < 2 { Duration::ZERO } else { PAUSE };
                let before = written_bytes()?;
                for _ in 0..OPERATIONS {
                    spin(pause);
                    let began = Instant::now();
                    if side % 2 == 0 {
                        self.append()?;
                    } else {
                        self.direct.write()?;
                    }
                    taken_ns[side].push(began.elapsed().as_nanos() as u64);
                }
                if side % 2 == 0 {
                    written += written_bytes()? - before;
                }
            }
        }
        let written_bytes = written as f64 / (2 * TURNS * OPERATIONS) as f64;
        let mut figures = Figures::default();
        for which in random_order(3)? {
            figures.group[which] = self.group(PENDING[which])?;
        }
        let waited_ms = (waited_for_core_ns()? - waited_ns) as f64 / 1e6;
        let [busy, busy_direct, paused, paused_direct] = taken_ns.map(latency);
        Ok(Figures { busy, busy_direct, paused, paused_direct, written_bytes, waited_ms, ..figures })
    }

    pub(super) fn stop(self) -> Outcome<()> {
        self.live.stop()
    }

    fn append(&mut self) -> Outcome<()> {
        let sequence = self.live.append(black_box(&self.payload))?;
        self.live.appender.publish();
        self.live.wait_durable(sequence)
    }

    /// Records a second when at most `pending` of them wait for the disk: a turn appends half of that, and the
    /// next begins when no more than the other half waits.
    fn group(&mut self, pending: u64) -> Outcome<f64> {
        self.live.settle()?;
        let turn = pending / 2;
        let began = Instant::now();
        for _ in 0..GROUP_RECORDS / turn {
            for _ in 0..turn {
                self.live.append(black_box(&self.payload))?;
            }
            self.live.appender.publish();
            self.live.wait_durable((self.live.appender.next_sequence() - 1).saturating_sub(turn))?;
        }
        self.live.wait_durable(self.live.appender.next_sequence() - 1)?;
        Ok(GROUP_RECORDS as f64 / began.elapsed().as_secs_f64())
    }
}

fn spin(pause: Duration) {
    let began = Instant::now();
    while began.elapsed() < pause {
        std::hint::spin_loop();
    }
}

fn latency(taken_ns: Vec<u64>) -> Latency {
    let round = statistics::Round::new(taken_ns);
    Latency { p50_us: round.percentile(0.5), p99_us: round.percentile(0.99) }
}

/// Memory as direct writes want it.
#[repr(align(4096))]
struct Block([u8; BLOCK_BYTES]);

/// A preallocated file that is written past the page cache, each write durable when it returns.
struct Direct {
    file: File,
    block: Box<Block>,
    writes: u64,
}

impl Direct {
    fn new(path: &Path) -> Outcome<Self> {
        let block = Box::new(Block([7; BLOCK_BYTES]));
        let file = File::create(path)?;
        // Written, not only reserved: a first write to reserved space has metadata to change.
        for at in 0..BLOCKS {
            file.write_all_at(&block.0, at * BLOCK_BYTES as u64)?;
        }
        file.sync_all()?;
        let flags = (OFlags::DIRECT | OFlags::DSYNC).bits() as i32;
        let opened = OpenOptions::new().write(true).custom_flags(flags).open(path);
        let file = opened.map_err(|error| {
            format!(
                "{} cannot be written past the page cache ({error}): name a --directory on a disk",
                path.display()
            )
        })?;
        Ok(Self { file, block, writes: 0 })
    }

    fn write(&mut self) -> Outcome<()> {
        let block = self.writes / WRITES_A_BLOCK % BLOCKS;
        self.writes += 1;
        self.block.0[..8].copy_from_slice(&self.writes.to_le_bytes());
        Ok(self.file.write_all_at(&self.block.0, block * BLOCK_BYTES as u64)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_turns_make_up_a_group_measurement() {
        for pending in PENDING {
            assert_eq!(GROUP_RECORDS % (pending / 2), 0, "{pending} pending leaves a part of a turn");
        }
    }
}
