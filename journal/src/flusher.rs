//! The cold half: makes appended records durable, moves the watermark, releases closed segments.

use crate::format::{DurableHint, HEADER_BYTES, PAGE_BYTES};
use crate::prepare::{BUSY_INTERVAL, Preparer};
use crate::segment::Segment;
use crate::settings::Durability;
use crate::status::{Condition, Ended, FlusherStatistics, Reason, Shared, WatermarkWaker, lock};
use crate::storage::Storage;
use crate::watch::Watch;
use rtrb::Consumer;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two looks of a stop at the flusher.
const STOP_LOOK: Duration = Duration::from_millis(100);
/// How long a stop waits for the preparer.
const PREPARER_PATIENCE: Duration = Duration::from_secs(10);
/// Pages made writable again after a sync: the one being filled and those a batch may reach.
const PAGES_GIVEN_BACK: usize = 4;

/// The cold half before its threads run. Until it is spawned nothing is synced and no segment prepared.
pub struct Flusher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) retired: Consumer<Arc<Segment>>,
    pub(crate) preparer: Preparer,
    pub(crate) watch: Watch,
    pub(crate) flush_interval: Duration,
}

/// How the cold half's threads run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlusherOptions {
    /// Name of the flusher's thread; that of the preparer gets `-prepare` appended, that of the watch `-watch`. Linux
    /// shows 15 bytes.
    pub name: String,
    /// Core the threads are bound to; `None` leaves it to the system.
    pub core: Option<usize>,
}

impl Default for FlusherOptions {
    fn default() -> Self {
        Self { name: "journal".to_owned(), core: None }
    }
}

/// Why the flusher did not end well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopError {
    /// A sync failed, now or earlier: records after the watermark may be lost.
    #[error("journal is durable only to sequence {durable_sequence}: {error}")]
    NotDurable {
        /// Last sequence known to be on disk.
        durable_sequence: u64,
        /// The error of the sync.
        error: String,
    },
    /// A thread of the cold half panicked.
    #[error("a thread of the journal's cold half panicked; this is a defect")]
    Panicked,
}

/// The running cold half. Dropping it tells the threads to end without waiting for them.
pub struct FlusherHandle {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Flusher {
    /// Starts the three threads of the cold half. Fails when the system refuses a thread.
    pub fn spawn(self, options: &FlusherOptions) -> io::Result<FlusherHandle> {
        let Self { shared, storage, retired, mut preparer, mut watch, flush_interval } = self;
        let mut handle = FlusherHandle { shared: Arc::clone(&shared), threads: Vec::with_capacity(3) };
        let core = options.core;
        let longest_sleep = preparer.longest_interval();
        let guard = StopGuard { shared: Arc::clone(&shared), ended: |ended| ended.preparer = true };
        let preparing = std::thread::Builder::new().name(format!("{}-prepare", options.name));
        handle.threads.push(preparing.spawn(move || {
            let _guard = guard;
            bind(core, &preparer.shared);
            preparer.run();
        })?);
        let watch_shared = Arc::clone(&shared);
        let guard = StopGuard { shared: Arc::clone(&shared), ended: |ended| ended.flusher = true };
        let flushing = std::thread::Builder::new().name(options.name.clone());
        let mut flush = Flush {
            shared,
            storage,
            retired,
            interval: flush_interval,
            longest_sleep,
            segments: Vec::new(),
            last_sync: Instant::now(),
            hint_slot: 0,
            header_dirty: false,
        };
        handle.threads.push(flushing.spawn(move || {
            let _guard = guard;
            bind(core, &flush.shared);
            let _ = flush.shared.flusher_thread.set(std::thread::current());
            flush.run();
        })?);
        let guard = StopGuard { shared: watch_shared, ended: |_| () };
        let watching = std::thread::Builder::new().name(format!("{}-watch", options.name));
        handle.threads.push(watching.spawn(move || {
            bind(core, &guard.shared);
            watch.run();
        })?);
        Ok(handle)
    }
}

/// Once a cold thread has ended, for whatever reason, nothing becomes durable any more.
struct StopGuard {
    shared: Arc<Shared>,
    /// Notes which thread it was.
    ended: fn(&mut Ended),
}

impl Drop for StopGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.statistics.set_last_error("a thread of the cold half panicked".to_owned());
            self.shared.fail(Reason::FlusherStopped);
        }
        self.shared.end(self.ended);
    }
}

fn bind(core: Option<usize>, shared: &Shared) {
    let Some(core) = core else { return };
    let bound = if core < CpuSet::MAX_CPU {
        let mut cores = CpuSet::new();
        cores.set(core);
        sched_setaffinity(None, &cores).map_err(io::Error::from)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    };
    if let Err(error) = bound {
        shared.statistics.set_last_error(format!("cannot bind a cold thread to core {core}: {error}"));
    }
}

/// The flusher thread's state.
struct Flush {
    shared: Arc<Shared>,
    storage: Arc<dyn Storage>,
    retired: Consumer<Arc<Segment>>,
    interval: Duration,
    /// How long closed segments may wait.
    longest_sleep: Duration,
    /// Copy of the live list, kept to reuse its memory.
    segments: Vec<Arc<Segment>>,
    last_sync: Instant,
    hint_slot: usize,
    /// A hint was written after the header page was synced.
    header_dirty: bool,
}

impl Flush {
    fn run(&mut self) {
        loop {
            let stop = self.shared.stop.load(Ordering::Acquire);
            if self.healthy() && self.shared.durability != Durability::None {
                self.sync_due(stop);
            }
            self.release_closed();
            if stop {
                if self.healthy() {
                    self.shared.advance_head(&*self.storage);
                }
                self.shared.fail(Reason::FlusherStopped);
                return;
            }
            self.sleep();
        }
    }

    fn healthy(&self) -> bool {
        self.shared.failure() == Reason::None
    }

    fn behind(&self) -> bool {
        self.shared.appended.load(Ordering::Acquire) != self.shared.synced.load(Ordering::Relaxed)
    }

    fn sync_due(&mut self, stop: bool) {
        let elapsed = self.last_sync.elapsed() >= self.interval;
        let due = match self.shared.durability {
            Durability::Disk => true,
            Durability::None | Durability::Process => elapsed || stop || self.has_closed(),
        };
        if due && self.behind() {
            self.sync_records();
        }
        if self.header_dirty && self.healthy() && (elapsed || stop) {
            self.sync_headers();
        }
        if elapsed {
            self.last_sync = Instant::now();
        }
    }

    /// Closed segments are synced at the next look, to release their memory.
    fn has_closed(&self) -> bool {
        lock(&self.shared.live).front().is_some_and(|segment| segment.closed.load(Ordering::Acquire))
    }

    /// Syncs everything appended so far and moves the watermark.
    fn sync_records(&mut self) {
        // Read before the commit points: every record up to here is below them.
        let target = self.shared.appended.load(Ordering::Acquire);
        self.segments.clear();
        self.segments.extend(lock(&self.shared.live).iter().map(Arc::clone));
        let segments = std::mem::take(&mut self.segments);
        let done = segments.iter().all(|segment| self.sync_segment(segment, target));
        if done {
            self.shared.synced.store(target, Ordering::SeqCst);
            self.shared.notify();
            self.give_back_pages(&segments);
        }
        self.segments = segments;
        self.segments.clear();
    }

    /// A sync takes the write permission of the pages it writes. Taking the fault here spares the appender it.
    fn give_back_pages(&self, segments: &[Arc<Segment>]) {
        if let Some(segment) = segments.iter().find(|segment| !segment.closed.load(Ordering::Acquire)) {
            let start = segment.used.load(Ordering::Acquire) as usize / PAGE_BYTES * PAGE_BYTES;
            // Best effort: where it fails, the appender takes the fault.
            let _ = self.storage.populate(&segment.mapping, start..start + PAGES_GIVEN_BACK * PAGE_BYTES);
        }
    }

    fn sync_segment(&mut self, segment: &Segment, target: u64) -> bool {
        let closed = segment.closed.load(Ordering::Acquire);
        let used = segment.used.load(Ordering::Acquire);
        let synced = segment.synced.load(Ordering::Relaxed);
        if used <= synced.max(HEADER_BYTES as u64) {
            return true;
        }
        // The first sync of a segment takes the header along, which says where its sequence starts.
        let start = synced as usize / PAGE_BYTES * PAGE_BYTES;
        if !self.sync(segment, start..used as usize) {
            return false;
        }
        segment.synced.store(used, Ordering::Relaxed);
        self.hint_slot ^= 1;
        segment.write_hint(DurableHint { bytes: used, sequence: target }, self.hint_slot);
        self.header_dirty = true;
        !closed || self.sync(segment, 0..HEADER_BYTES)
    }

    fn sync_headers(&mut self) {
        let current = lock(&self.shared.live)
            .iter()
            .rfind(|segment| segment.synced.load(Ordering::Relaxed) > 0)
            .map(Arc::clone);
        if let Some(segment) = current {
            self.sync(&segment, 0..HEADER_BYTES);
        }
        self.header_dirty = false;
    }

    /// A failed sync is final: the kernel may already have dropped the pages it could not write, and a second
    /// attempt would succeed without them.
    fn sync(&self, segment: &Segment, range: Range<usize>) -> bool {
        let statistics = &self.shared.statistics;
        let began = self.shared.sync.begin();
        let synced = self.storage.sync_range(&segment.mapping, range.clone());
        // Given up meanwhile, and the journal has failed: it does not live again by an answer that comes too late.
        let Some(elapsed_ns) = self.shared.sync.end(began) else { return false };
        if let Err(error) = synced {
            let index = segment.header.index;
            statistics.sync_errors.fetch_add(1, Ordering::Relaxed);
            statistics.set_last_error(format!("cannot sync segment {index} at {range:?}: {error}"));
            self.shared.fail(Reason::SyncFailed);
            return false;
        }
        statistics.syncs.fetch_add(1, Ordering::Relaxed);
        statistics.sync_ns_total.fetch_add(elapsed_ns, Ordering::Relaxed);
        statistics.sync_ns_max.fetch_max(elapsed_ns, Ordering::Relaxed);
        true
    }

    /// Unmaps segments the appender has left, once they are on disk or can no longer get there.
    fn release_closed(&mut self) {
        while self.retired.pop().is_ok() {}
        let waits = self.shared.durability != Durability::None && self.healthy();
        let mut live = lock(&self.shared.live);
        while let Some(segment) = live.front() {
            let closed = segment.closed.load(Ordering::Acquire);
            let used = segment.used.load(Ordering::Acquire);
            if !closed || (waits && segment.synced.load(Ordering::Relaxed) < used) {
                break;
            }
            live.pop_front();
            self.shared.statistics.segments_released.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sleep(&self) {
        if self.shared.durability != Durability::Disk || !self.healthy() {
            let until_due = self.interval.saturating_sub(self.last_sync.elapsed());
            std::thread::park_timeout(until_due.clamp(BUSY_INTERVAL, self.longest_sleep));
            return;
        }
        self.shared.sleeping.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if !self.behind() && !self.shared.stop.load(Ordering::Acquire) {
            std::thread::park_timeout(BUSY_INTERVAL);
        }
        self.shared.sleeping.store(false, Ordering::SeqCst);
    }
}

impl FlusherHandle {
    /// Syncs what has been appended so far, ends the threads, and waits for them; not for one that the disk does not
    /// let go. Later ordinary appends are refused.
    pub fn stop(mut self) -> Result<(), StopError> {
        self.signal();
        // The watch gives a sync up that does not return.
        while !self.shared.wait_for_flusher(STOP_LOOK) && self.shared.failure() != Reason::SyncTimeout {}
        // A segment that cannot be prepared is missed by nobody any more.
        let has_ended = self.shared.wait_for_flusher(Duration::ZERO)
            && self.shared.wait_for_both(PREPARER_PATIENCE).preparer;
        let mut panicked = false;
        if has_ended {
            for thread in self.threads.drain(..) {
                panicked |= thread.join().is_err();
            }
        }
        if panicked {
            return Err(StopError::Panicked);
        }
        if self.shared.failure().is_of_the_disk() {
            return Err(StopError::NotDurable {
                durable_sequence: self.shared.synced.load(Ordering::Acquire),
                error: self.shared.statistics.last_error().unwrap_or_default(),
            });
        }
        Ok(())
    }

    /// Counters of the cold half.
    pub fn statistics(&self) -> Arc<FlusherStatistics> {
        Arc::clone(&self.shared.statistics)
    }

    /// Sets what is called when the watermark has moved or the journal has failed, each time after the
    /// appender has asked for it with [`request_watermark_wake`](crate::Appender::request_watermark_wake).
    /// It runs on the flusher's thread: let it do no more than wake the hot thread.
    pub fn set_watermark_waker(&self, waker: WatermarkWaker) {
        *lock(&self.shared.waker) = Some(waker);
    }

    /// How long the sync that is running has been running; `None` when none is.
    pub fn sync_running(&self) -> Option<Duration> {
        self.shared.sync.running().map(|running| running.elapsed)
    }

    /// Last sequence known to be on disk, whatever the class.
    pub fn synced_sequence(&self) -> u64 {
        self.shared.synced.load(Ordering::Acquire)
    }

    /// Whether records are taken, and why not.
    pub fn condition(&self) -> (Condition, Reason) {
        self.shared.condition()
    }

    fn signal(&self) {
        self.shared.stop.store(true, Ordering::Release);
        for thread in &self.threads {
            thread.thread().unpark();
        }
    }
}

impl Drop for FlusherHandle {
    fn drop(&mut self) {
        self.signal();
    }
}
