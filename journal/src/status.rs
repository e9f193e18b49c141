//! What the halves of the journal share, and what they say about themselves.

use crate::directory::DirectoryLock;
use crate::segment::Segment;
use crate::settings::Durability;
use crossbeam_utils::CachePadded;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

/// Whether the journal takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Every record is taken.
    Writable,
    /// No next segment can be prepared at the moment: ordinary records are taken until only the reserve is
    /// left. Ends by itself.
    LowSpace,
    /// The journal can no longer become durable: only reserved records are taken. Ends with the process.
    Failed,
}

/// Why the journal is not [`Condition::Writable`]. The codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// Nothing is wrong.
    None = 0,
    /// The file system has no space left.
    NoSpace = 1,
    /// The file system is read-only.
    ReadOnly = 2,
    /// The disk quota is used up.
    Quota = 3,
    /// The process or the system has too many files open.
    TooManyFiles = 4,
    /// The next segment cannot be prepared for another reason; the statistics have the error.
    PrepareFailed = 5,
    /// Too many segments wait to be synced: the disk does not answer.
    SyncBacklog = 6,
    /// A sync failed, so appended records may have been lost from the page cache.
    SyncFailed = 7,
    /// The flusher has stopped.
    FlusherStopped = 8,
}

impl Reason {
    /// The stable code, such as `NO_SPACE`.
    pub fn code(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::NoSpace => "NO_SPACE",
            Self::ReadOnly => "READ_ONLY",
            Self::Quota => "QUOTA",
            Self::TooManyFiles => "TOO_MANY_FILES",
            Self::PrepareFailed => "PREPARE_FAILED",
            Self::SyncBacklog => "SYNC_BACKLOG",
            Self::SyncFailed => "SYNC_FAILED",
            Self::FlusherStopped => "FLUSHER_STOPPED",
        }
    }

    pub(crate) fn of_prepare_error(error: &io::Error) -> Self {
        use rustix::io::Errno;
        match Errno::from_io_error(error) {
            Some(Errno::NOSPC) => Self::NoSpace,
            Some(Errno::ROFS) => Self::ReadOnly,
            Some(Errno::DQUOT) => Self::Quota,
            Some(Errno::MFILE | Errno::NFILE) => Self::TooManyFiles,
            _ => Self::PrepareFailed,
        }
    }

    fn from_u8(code: u8) -> Self {
        match code {
            0 => Self::None,
            1 => Self::NoSpace,
            2 => Self::ReadOnly,
            3 => Self::Quota,
            4 => Self::TooManyFiles,
            6 => Self::SyncBacklog,
            7 => Self::SyncFailed,
            8 => Self::FlusherStopped,
            _ => Self::PrepareFailed,
        }
    }
}

/// State of the journal as its appender sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether records are taken.
    pub condition: Condition,
    /// Why the condition is not `Writable`.
    pub reason: Reason,
    /// Index of the segment being written.
    pub segment_index: u64,
    /// Bytes of it in use, header included.
    pub used_bytes: u64,
    /// Bytes of it left for reserved records; the next segment, when ready, comes on top.
    pub free_bytes: u64,
    /// Bytes of it left for ordinary records; the next segment, when ready, comes on top.
    pub ordinary_free_bytes: u64,
    /// Whether the next segment is ready.
    pub next_ready: bool,
    /// Records in the journal, those recovered included.
    pub records: u64,
}

/// Counters of the cold half. Written by its threads, read by anyone.
#[derive(Debug, Default)]
pub struct FlusherStatistics {
    pub(crate) syncs: AtomicU64,
    pub(crate) sync_ns_total: AtomicU64,
    pub(crate) sync_ns_max: AtomicU64,
    pub(crate) sync_errors: AtomicU64,
    pub(crate) prepare_errors: AtomicU64,
    pub(crate) segments_prepared: AtomicU64,
    pub(crate) segments_released: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl FlusherStatistics {
    /// Syncs that succeeded.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Time spent in them, nanoseconds.
    pub fn sync_ns_total(&self) -> u64 {
        self.sync_ns_total.load(Ordering::Relaxed)
    }

    /// The longest of them, nanoseconds.
    pub fn sync_ns_max(&self) -> u64 {
        self.sync_ns_max.load(Ordering::Relaxed)
    }

    /// Syncs that failed; one is enough to fail the journal.
    pub fn sync_errors(&self) -> u64 {
        self.sync_errors.load(Ordering::Relaxed)
    }

    /// Attempts at preparing a segment that failed.
    pub fn prepare_errors(&self) -> u64 {
        self.prepare_errors.load(Ordering::Relaxed)
    }

    /// Segments prepared.
    pub fn segments_prepared(&self) -> u64 {
        self.segments_prepared.load(Ordering::Relaxed)
    }

    /// Segments closed, synced and unmapped.
    pub fn segments_released(&self) -> u64 {
        self.segments_released.load(Ordering::Relaxed)
    }

    /// Text of the last error. Takes a lock: not for the hot thread.
    pub fn last_error(&self) -> Option<String> {
        lock(&self.last_error).clone()
    }

    pub(crate) fn set_last_error(&self, text: String) {
        *lock(&self.last_error) = Some(text);
    }
}

/// Called when the watermark has moved.
pub type WatermarkWaker = Box<dyn Fn() + Send>;

/// Everything the appender, the flusher and the preparer share. Each field names its writer.
pub(crate) struct Shared {
    /// Appender: last sequence appended.
    pub(crate) appended: CachePadded<AtomicU64>,
    /// Flusher: last sequence known to be on disk.
    pub(crate) synced: CachePadded<AtomicU64>,
    /// Flusher: about to sleep and must be woken (disk class). The appender clears it.
    pub(crate) sleeping: CachePadded<AtomicBool>,
    /// Appender: wants the waker called; the flusher clears it.
    pub(crate) interest: CachePadded<AtomicBool>,
    /// Whoever fails first: a [`Reason`].
    pub(crate) failure: AtomicU8,
    /// Preparer: why the last attempt failed, a [`Reason`].
    pub(crate) shortage: AtomicU8,
    /// Handle: both cold threads must end.
    pub(crate) stop: AtomicBool,
    /// Handle, once: the flusher's thread.
    pub(crate) flusher_thread: OnceLock<Thread>,
    /// Preparer adds, flusher removes: segments that may still hold unsynced records, oldest first.
    pub(crate) live: Mutex<VecDeque<Arc<Segment>>>,
    /// Handle sets, flusher calls.
    pub(crate) waker: Mutex<Option<WatermarkWaker>>,
    pub(crate) statistics: Arc<FlusherStatistics>,
    pub(crate) durability: Durability,
    /// Held until both halves are gone.
    pub(crate) _lock: Option<DirectoryLock>,
}

impl Shared {
    pub(crate) fn new(durability: Durability, last_sequence: u64, directory: Option<DirectoryLock>) -> Self {
        Self {
            appended: CachePadded::new(AtomicU64::new(last_sequence)),
            synced: CachePadded::new(AtomicU64::new(last_sequence)),
            sleeping: CachePadded::new(AtomicBool::new(false)),
            interest: CachePadded::new(AtomicBool::new(false)),
            failure: AtomicU8::new(Reason::None as u8),
            shortage: AtomicU8::new(Reason::None as u8),
            stop: AtomicBool::new(false),
            flusher_thread: OnceLock::new(),
            live: Mutex::new(VecDeque::new()),
            waker: Mutex::new(None),
            statistics: Arc::default(),
            durability,
            _lock: directory,
        }
    }

    pub(crate) fn failure(&self) -> Reason {
        Reason::from_u8(self.failure.load(Ordering::Acquire))
    }

    pub(crate) fn shortage(&self) -> Reason {
        Reason::from_u8(self.shortage.load(Ordering::Acquire))
    }

    /// Fails the journal for good; the first reason stays.
    pub(crate) fn fail(&self, reason: Reason) {
        let _ = self.failure.compare_exchange(
            Reason::None as u8,
            reason as u8,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        self.notify();
    }

    /// Calls the waker if the appender has asked for it.
    pub(crate) fn notify(&self) {
        if self.interest.swap(false, Ordering::SeqCst)
            && let Some(waker) = &*lock(&self.waker)
        {
            waker();
        }
    }

    pub(crate) fn durable_sequence(&self) -> u64 {
        match self.durability {
            Durability::None | Durability::Process => self.appended.load(Ordering::Acquire),
            Durability::Disk => self.synced.load(Ordering::SeqCst),
        }
    }

    pub(crate) fn condition(&self) -> (Condition, Reason) {
        match (self.failure(), self.shortage()) {
            (Reason::None, Reason::None) => (Condition::Writable, Reason::None),
            (Reason::None, shortage) => (Condition::LowSpace, shortage),
            (failure, _) => (Condition::Failed, failure),
        }
    }
}

/// A panic elsewhere leaves nothing half-done behind these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
