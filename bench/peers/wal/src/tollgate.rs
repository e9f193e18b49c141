//! The journal, and a copy of as many bytes into memory of such a journal's file.

use std::hint::{black_box, spin_loop};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tollgate_journal::{
    Appender, Durability, FlusherHandle, FlusherOptions, RECORD_HEADER_BYTES, Reader, Room, Settings, open,
};

use crate::COLD_CORE;
use crate::log::{Log, Outcome, PAYLOAD_BYTES, Payloads, timed};

/// Bytes that a record occupies.
const RECORD_BYTES: usize = RECORD_HEADER_BYTES + PAYLOAD_BYTES;
/// A quarter of the default, so that every round goes to the next segment once at least.
pub(crate) const SEGMENT_BYTES: u64 = 16 << 20;
const RESERVE_BYTES: u64 = 256 << 10;
/// Nothing that works takes so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// The journal's cold half looks every 10 ms at what to prepare: this is long enough for two looks.
const TWO_LOOKS: Duration = Duration::from_millis(25);

/// A journal open for writing, its cold threads on the other core.
struct Live {
    appender: Appender,
    handle: FlusherHandle,
}

impl Live {
    fn open(directory: &Path, durability: Durability) -> Outcome<Self> {
        let settings = Settings {
            segment_bytes: SEGMENT_BYTES,
            reserve_bytes: RESERVE_BYTES,
            durability,
            flush_interval: Duration::from_millis(100),
            ..Settings::new(directory)
        };
        let opened = open(&settings, |_| {})?;
        let options = FlusherOptions { core: Some(COLD_CORE), ..FlusherOptions::default() };
        Ok(Self { appender: opened.appender, handle: opened.flusher.spawn(&options)? })
    }

    /// Waits until the next segment is ready and the pages ahead are touched.
    fn settle(&self) -> Outcome<()> {
        let began = Instant::now();
        sleep(TWO_LOOKS);
        while !self.appender.status().next_ready {
            self.patient(began, "no next segment was prepared")?;
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Waits until every record is on the disk, whatever the class.
    fn wait_synced(&self) -> Outcome<()> {
        let began = Instant::now();
        while self.handle.synced_sequence() + 1 < self.appender.next_sequence() {
            self.patient(began, "a record did not reach the disk")?;
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    #[inline]
    fn append(&mut self, payload: &[u8; PAYLOAD_BYTES]) -> Outcome<u64> {
        let time_ns = self.appender.next_sequence();
        Ok(self.appender.append(Room::Ordinary, 1, time_ns, PAYLOAD_BYTES, |slot| {
            slot.copy_from_slice(payload);
            PAYLOAD_BYTES
        })?)
    }

    /// Spins until the watermark has reached the sequence, as the gateway's hot thread does.
    #[inline]
    fn wait_durable(&self, sequence: u64) -> Outcome<()> {
        let began = Instant::now();
        while self.appender.durable_sequence() < sequence {
            self.patient(began, "a record did not become durable")?;
            spin_loop();
        }
        Ok(())
    }

    fn patient(&self, began: Instant, what: &str) -> Outcome<()> {
        if began.elapsed() < PATIENCE {
            return Ok(());
        }
        let reason = self.appender.status().reason.code();
        Err(format!("tollgate: {what} within {} s: {reason}", PATIENCE.as_secs()).into())
    }
}

/// The journal in one of its classes.
pub(crate) struct Journal {
    live: Live,
    durability: Durability,
    directory: PathBuf,
    payloads: Payloads,
}

impl Journal {
    pub(crate) fn open(directory: PathBuf, durability: Durability) -> Outcome<Self> {
        Ok(Self {
            live: Live::open(&directory, durability)?,
            durability,
            directory,
            payloads: Payloads::new(),
        })
    }
}

impl Log for Journal {
    fn prepare(&mut self) -> Outcome<()> {
        self.live.settle()
    }

    fn batch(&mut self, records: usize) -> Outcome<u64> {
        let Self { live, payloads, .. } = self;
        if self.durability != Durability::Disk {
            return timed(records, || live.append(black_box(payloads.next())).map(|_| ()));
        }
        timed(records, || {
            let sequence = live.append(black_box(payloads.next()))?;
            live.appender.publish();
            live.wait_durable(sequence)
        })
    }

    fn rest(&mut self) -> Outcome<()> {
        self.live.wait_synced()
    }

    fn finish(self: Box<Self>) -> Outcome<()> {
        self.live.handle.stop()?;
        let mut reader = Reader::open(&self.directory)?;
        reader.seek(self.payloads.number())?;
        let record = reader.next()?;
        self.payloads.compare("tollgate", record.map(|record| record.payload))
    }
}

/// The memory that a large record is filled in is that of the mapped file, touched before: copies are timed there. The
/// header and checksum of that record, and a roll before it, are outside the timed interval.
pub(crate) struct Copy {
    live: Live,
    source: [u8; RECORD_BYTES],
}

impl Copy {
    pub(crate) fn open(directory: &Path) -> Outcome<Self> {
        Ok(Self { live: Live::open(directory, Durability::Process)?, source: [7; RECORD_BYTES] })
    }
}

impl Log for Copy {
    fn prepare(&mut self) -> Outcome<()> {
        self.live.settle()
    }

    fn batch(&mut self, records: usize) -> Outcome<u64> {
        let (source, mut taken_ns) = (&self.source, 0);
        let bytes = records * RECORD_BYTES;
        self.live.appender.append(Room::Ordinary, 2, 0, bytes, |slot| {
            let began = Instant::now();
            for place in slot.chunks_exact_mut(RECORD_BYTES) {
                place.copy_from_slice(black_box(source));
            }
            taken_ns = began.elapsed().as_nanos() as u64;
            bytes
        })?;
        Ok(taken_ns)
    }

    fn rest(&mut self) -> Outcome<()> {
        self.live.wait_synced()
    }

    fn finish(self: Box<Self>) -> Outcome<()> {
        Ok(self.live.handle.stop()?)
    }
}
