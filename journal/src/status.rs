//! What the halves of the journal share, and what they say about themselves.

use crate::directory::DirectoryLock;
use crate::head::HeadFiles;
use crate::segment::Segment;
use crate::settings::Durability;
use crate::storage::Storage;
use crossbeam_utils::CachePadded;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

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
    /// A sync has not returned within the sync timeout: the disk does not answer. Its late success changes nothing.
    SyncTimeout = 9,
    /// Somebody has shortened a segment that was in use.
    SegmentTruncated = 10,
    /// Somebody has removed, moved or replaced a segment that was in use.
    SegmentRemoved = 11,
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
            Self::SyncTimeout => "SYNC_TIMEOUT",
            Self::SegmentTruncated => "SEGMENT_TRUNCATED",
            Self::SegmentRemoved => "SEGMENT_REMOVED",
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

    /// Whether records may be lost that were appended.
    pub(crate) fn is_of_the_disk(self) -> bool {
        matches!(self, Self::SyncFailed | Self::SyncTimeout | Self::SegmentTruncated | Self::SegmentRemoved)
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
            9 => Self::SyncTimeout,
            10 => Self::SegmentTruncated,
            11 => Self::SegmentRemoved,
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
    /// Bytes of it left for the records of a start, and less for others; the next segment, when ready, comes on top.
    pub free_bytes: u64,
    /// Bytes of it left for ordinary records; the next segment, when ready, comes on top.
    pub ordinary_free_bytes: u64,
    /// Whether the next segment is ready.
    pub next_ready: bool,
    /// Records in the journal, those recovered included.
    pub records: u64,
    /// Records appended and not on disk yet, whatever the class: how far the watermark of the disk class lags.
    pub unsynced_records: u64,
    /// How long the sync that is running has been running, milliseconds, as of a look at most 50 ms ago; 0 when none is.
    pub sync_running_ms: u64,
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

/// The sync that is running, if any. Flusher and watch decide here which of them ends it: who comes second has lost.
#[derive(Debug)]
pub(crate) struct SyncClock {
    epoch: Instant,
    /// When it began, nanoseconds after `epoch`; or one of the constants.
    began_ns: AtomicU64,
    /// For the appender, which does not look at the clock.
    running_ms: AtomicU64,
}

/// A sync that is running.
pub(crate) struct RunningSync {
    began_ns: u64,
    pub(crate) elapsed: Duration,
}

impl SyncClock {
    const NONE: u64 = 0;
    const GIVEN_UP: u64 = u64::MAX;

    fn new() -> Self {
        let (began_ns, running_ms) = (AtomicU64::new(Self::NONE), AtomicU64::new(0));
        Self { epoch: Instant::now(), began_ns, running_ms }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(Self::GIVEN_UP - 1).max(1)
    }

    /// Called by the flusher before a sync; gives what `end` wants.
    pub(crate) fn begin(&self) -> u64 {
        let began_ns = self.now_ns();
        self.began_ns.store(began_ns, Ordering::SeqCst);
        began_ns
    }

    /// Called by the flusher after a sync: how long it took; `None` when it was given up meanwhile.
    pub(crate) fn end(&self, began_ns: u64) -> Option<u64> {
        let swapped =
            self.began_ns.compare_exchange(began_ns, Self::NONE, Ordering::SeqCst, Ordering::SeqCst);
        if swapped.is_err() {
            self.began_ns.store(Self::NONE, Ordering::SeqCst);
            return None;
        }
        Some(self.now_ns() - began_ns)
    }

    pub(crate) fn running(&self) -> Option<RunningSync> {
        let began_ns = self.began_ns.load(Ordering::SeqCst);
        let elapsed = Duration::from_nanos(self.now_ns().saturating_sub(began_ns));
        (began_ns != Self::NONE && began_ns != Self::GIVEN_UP).then_some(RunningSync { began_ns, elapsed })
    }

    /// Called by the watch; false when the sync has just ended.
    pub(crate) fn give_up(&self, running: &RunningSync) -> bool {
        let (from, to) = (running.began_ns, Self::GIVEN_UP);
        self.began_ns.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// A sync was given up and has not returned yet.
    pub(crate) fn is_given_up(&self) -> bool {
        self.began_ns.load(Ordering::SeqCst) == Self::GIVEN_UP
    }

    pub(crate) fn publish(&self, running: Duration) {
        self.running_ms.store(u64::try_from(running.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn running_ms(&self) -> u64 {
        self.running_ms.load(Ordering::Relaxed)
    }
}

/// Which of the cold threads have ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) flusher: bool,
    pub(crate) preparer: bool,
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
    /// Flusher and watch.
    pub(crate) sync: SyncClock,
    /// Each cold thread sets its own as the last thing it does.
    ended: Mutex<Ended>,
    ended_changed: Condvar,
    /// Preparer and flusher write: what the next open compares the journal with.
    pub(crate) head: Option<Mutex<HeadFiles>>,
    /// Held until both halves are gone.
    pub(crate) _lock: Option<DirectoryLock>,
}

impl Shared {
    pub(crate) fn new(
        durability: Durability,
        last_sequence: u64,
        directory: Option<DirectoryLock>,
        head: Option<HeadFiles>,
    ) -> Self {
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
            sync: SyncClock::new(),
            ended: Mutex::default(),
            ended_changed: Condvar::new(),
            head: head.map(Mutex::new),
            _lock: directory,
        }
    }

    /// Notes that a cold thread has ended.
    pub(crate) fn end(&self, which: impl FnOnce(&mut Ended)) {
        which(&mut lock(&self.ended));
        self.ended_changed.notify_all();
    }

    /// Waits at most so long; true when the flusher has ended.
    pub(crate) fn wait_for_flusher(&self, timeout: Duration) -> bool {
        self.wait(timeout, |ended| ended.flusher).flusher
    }

    /// Waits at most so long until both are over.
    pub(crate) fn wait_for_both(&self, timeout: Duration) -> Ended {
        self.wait(timeout, |ended| ended.flusher && ended.preparer)
    }

    fn wait(&self, timeout: Duration, over: impl Fn(&Ended) -> bool) -> Ended {
        let waited = self.ended_changed.wait_timeout_while(lock(&self.ended), timeout, |ended| !over(ended));
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Brings the heads up to what is on disk. Blocks for as long as the disk takes.
    pub(crate) fn advance_head(&self, storage: &dyn Storage) {
        let Some(head) = &self.head else { return };
        let mut head = lock(head);
        let synced = self.synced.load(Ordering::Acquire);
        if synced > head.sequence()
            && let Err(error) = head.advance(storage, synced)
        {
            self.statistics.set_last_error(format!("cannot write the head of the journal: {error}"));
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
