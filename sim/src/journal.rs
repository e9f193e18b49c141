//! A disk in memory, and the journal on it: what survives what is under control, to the record.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tollgate_journal::{Append, AppendError, Condition, Durability, Reason, Room, Status};

/// What a record takes beside its payload, in bytes.
const HEADER_BYTES: u64 = tollgate_journal::RECORD_HEADER_BYTES as u64;

/// Thrown where the process ends: no panic, and nobody but the simulator catches it.
pub struct ProcessEnds;

/// A record as it stands in the journal.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// Its sequence, from 1.
    pub sequence: u64,
    /// When, nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// What it is.
    pub kind: u16,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl StoredRecord {
    /// The record as a reader of the journal sees it.
    pub fn view(&self) -> tollgate_journal::Record<'_> {
        tollgate_journal::Record {
            sequence: self.sequence,
            time_ns: self.time_ns,
            kind: self.kind,
            payload: &self.payload,
            segment: 1,
            offset: 0,
        }
    }
}

/// Ends the process at a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CrashPoint {
    /// How many more records are written before.
    pub records: u64,
    /// The last of them is written whole; else the process ends before it.
    pub is_written: bool,
}

/// The disk.
pub struct Disk {
    /// What was appended, oldest first.
    pub records: Vec<StoredRecord>,
    /// What a record must survive.
    pub durability: Durability,
    /// The last record that is on the disk.
    pub synced: u64,
    /// Syncs do not come back.
    pub is_hung: bool,
    /// A sync has failed: nothing becomes durable any more until the process ends.
    pub has_failed: bool,
    /// Bytes that are left; `None` for as many as one wants.
    pub free_bytes: Option<u64>,
    /// Bytes of them that ordinary records may not have.
    pub reserve_bytes: u64,
    /// Where the process ends.
    pub crash: Option<CrashPoint>,
    /// The kind of the record at which it did.
    pub crashed_at: Option<(u16, bool)>,
}

impl Disk {
    /// An empty one.
    pub fn new(durability: Durability) -> Self {
        Self {
            records: Vec::new(),
            durability,
            synced: 0,
            is_hung: false,
            has_failed: false,
            free_bytes: None,
            reserve_bytes: 0,
            crash: None,
            crashed_at: None,
        }
    }

    /// The last record appended.
    pub fn last(&self) -> u64 {
        self.records.len() as u64
    }

    /// The watermark: everything up to it has the configured durability.
    pub fn durable(&self) -> u64 {
        match self.durability {
            Durability::None | Durability::Process => self.last(),
            Durability::Disk => self.synced,
        }
    }

    /// A sync comes back: everything up to `sequence` is on the disk.
    pub fn sync(&mut self, sequence: u64) {
        if !self.is_hung && !self.has_failed {
            self.synced = self.synced.max(sequence.min(self.last()));
        }
    }

    /// What is behind `sequence` is lost.
    pub fn truncate(&mut self, sequence: u64) {
        self.records.truncate(sequence as usize);
        self.synced = self.synced.min(sequence);
    }

    fn room(&mut self, room: Room, bytes: u64) -> Result<(), AppendError> {
        if room == Room::Ordinary && self.has_failed {
            return Err(AppendError::Failed);
        }
        let Some(free) = self.free_bytes else { return Ok(()) };
        match room {
            Room::Ordinary if free < bytes + self.reserve_bytes => Err(AppendError::Full),
            _ if free < bytes => Err(AppendError::ReserveFull),
            _ => {
                self.free_bytes = Some(free - bytes);
                Ok(())
            }
        }
    }
}

/// A handle to a [`Disk`], which outlives every process.
#[derive(Clone)]
pub struct SharedDisk(Arc<Mutex<Disk>>);

impl SharedDisk {
    /// An empty one.
    pub fn new(durability: Durability) -> Self {
        Self(Arc::new(Mutex::new(Disk::new(durability))))
    }

    /// The disk.
    pub fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The journal's hot half.
pub struct SimJournal(pub SharedDisk);

impl Append for SimJournal {
    fn append(
        &mut self,
        room: Room,
        kind: u16,
        time_ns: u64,
        maximum_payload_bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<u64, AppendError> {
        let mut payload = vec![0; maximum_payload_bytes];
        let length = fill(&mut payload);
        payload.truncate(length);
        let mut disk = self.0.lock();
        disk.room(room, HEADER_BYTES + maximum_payload_bytes as u64)?;
        let mut ends = None;
        if let Some(crash) = &mut disk.crash {
            crash.records = crash.records.saturating_sub(1);
            ends = (crash.records == 0).then_some(crash.is_written);
        }
        let sequence = disk.last() + 1;
        if ends != Some(false) {
            disk.records.push(StoredRecord { sequence, time_ns, kind, payload });
        }
        if let Some(is_written) = ends {
            disk.crash = None;
            disk.crashed_at = Some((kind, is_written));
            drop(disk);
            std::panic::resume_unwind(Box::new(ProcessEnds));
        }
        Ok(sequence)
    }

    fn publish(&mut self) {}

    fn next_sequence(&self) -> u64 {
        self.0.lock().last() + 1
    }

    fn durable_sequence(&self) -> u64 {
        self.0.lock().durable()
    }

    fn status(&self) -> Status {
        let disk = self.0.lock();
        let (condition, reason) = match (disk.has_failed, disk.free_bytes) {
            (true, _) => (Condition::Failed, Reason::SyncFailed),
            (false, Some(_)) => (Condition::LowSpace, Reason::NoSpace),
            (false, None) => (Condition::Writable, Reason::None),
        };
        let free = disk.free_bytes.unwrap_or(1 << 30);
        Status {
            sync_running_ms: 0,
            unsynced_records: 0,
            condition,
            reason,
            segment_index: 1,
            used_bytes: 0,
            free_bytes: free,
            ordinary_free_bytes: free.saturating_sub(disk.reserve_bytes),
            next_ready: disk.free_bytes.is_none(),
            records: disk.last(),
        }
    }

    fn prefetch_next(&self) {}
}
