//! Keeps the next segment ready and the pages ahead of the appender writable. Runs on its own thread, so that
//! filling a segment never delays a sync.

use crate::format::{HEADER_BYTES, Header, PAGE_BYTES};
use crate::segment::{self, Segment};
use crate::settings::Durability;
use crate::status::{Reason, Shared, lock};
use crate::storage::Storage;
use rtrb::Producer;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time between two looks at an appender that writes much.
pub(crate) const BUSY_INTERVAL: Duration = Duration::from_millis(10);
/// The same while it does not, and between two looks of the flusher outside of the class `disk`: every look takes a core from
/// somebody, best seldom. A burst that begins right behind a look finds pages ready until the next, up to 200 MB a second
/// (`AHEAD_BYTES`); a faster one takes page faults until then.
pub(crate) const IDLE_INTERVAL: Duration = Duration::from_millis(40);
/// More than this between two looks is much.
const BUSY_BYTES: u64 = 512 * 1024;
/// Smaller segments may be full before an idle thread looks again.
const IDLE_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Time between two attempts at preparing a segment.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Time between two updates of the heads of a journal that stays in one segment.
const HEAD_INTERVAL: Duration = Duration::from_secs(10);
/// Pages are made writable this far ahead of the appender: what 200 MB a second write until an idle thread looks again.
pub(crate) const AHEAD_BYTES: usize = 8 * 1024 * 1024;
/// A sync takes the write permission of the pages it writes; this much is given back each interval.
const NEAR_BYTES: usize = 64 * 1024;
/// Segments that may wait for the disk, those in use included. More means that the disk does not answer.
pub(crate) const LIVE_SEGMENTS_MAXIMUM: usize = 8;
/// Room for every live segment in the ring of closed ones.
pub(crate) const RETIRED_CAPACITY: usize = 2 * LIVE_SEGMENTS_MAXIMUM;

/// Makes segments.
pub(crate) struct Maker {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) directory: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) segment_bytes: u64,
    pub(crate) identity: [u8; 16],
}

impl Maker {
    pub(crate) fn make(&self, index: u64) -> io::Result<Segment> {
        let header = Header {
            index,
            segment_bytes: self.segment_bytes,
            created_ns: now_ns(),
            identity: self.identity,
        };
        match self.durability {
            Durability::None => segment::prepare_anonymous(header),
            Durability::Process | Durability::Disk => {
                segment::prepare(&*self.storage, &self.directory, header, AHEAD_BYTES)
            }
        }
    }
}

pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The thread's state.
pub(crate) struct Preparer {
    pub(crate) maker: Maker,
    pub(crate) prepared: Producer<Arc<Segment>>,
    pub(crate) next_index: u64,
    pub(crate) shared: Arc<Shared>,
    pub(crate) retry_at: Option<Instant>,
    /// Segment and commit point at the last look.
    pub(crate) last_seen: (u64, u64),
    /// When the heads were last brought up to date, and in which segment.
    pub(crate) head_written: (Instant, u64),
}

impl Preparer {
    pub(crate) fn run(&mut self) {
        while !self.shared.stop.load(Ordering::Acquire) {
            let seen = self.last_seen;
            self.turn();
            std::thread::park_timeout(self.interval(seen));
        }
    }

    /// How long to leave the appender alone, which the look before this one found at `before`.
    fn interval(&self, before: (u64, u64)) -> Duration {
        let (segment, used) = self.last_seen;
        let is_idle = segment == before.0 && used - before.1 <= BUSY_BYTES && self.is_ready();
        if is_idle { self.longest_interval() } else { BUSY_INTERVAL }
    }

    /// How long segments of this size may be left alone at most.
    pub(crate) fn longest_interval(&self) -> Duration {
        if self.maker.segment_bytes >= IDLE_SEGMENT_BYTES { IDLE_INTERVAL } else { BUSY_INTERVAL }
    }

    /// Whether the next segment waits for the appender.
    fn is_ready(&self) -> bool {
        self.prepared.slots() < self.prepared.buffer().capacity()
    }

    /// Brings the heads up to date with every new segment, and now and then in between: a sync of a small file, which
    /// the flusher's must not wait for more often than that.
    fn write_head(&mut self) {
        let (at, segment) = self.head_written;
        let is_healthy = self.shared.failure() == Reason::None;
        if is_healthy && (self.last_seen.0 != segment || at.elapsed() >= HEAD_INTERVAL) {
            self.shared.advance_head(&*self.maker.storage);
            self.head_written = (Instant::now(), self.last_seen.0);
        }
    }

    fn turn(&mut self) {
        self.touch_ahead();
        self.write_head();
        if self.is_ready() {
            self.shared.shortage.store(Reason::None as u8, Ordering::Release);
            return;
        }
        if self.retry_at.is_some_and(|retry_at| Instant::now() < retry_at) {
            return;
        }
        if lock(&self.shared.live).len() >= LIVE_SEGMENTS_MAXIMUM {
            self.shared.shortage.store(Reason::SyncBacklog as u8, Ordering::Release);
            return;
        }
        self.prepare_next();
    }

    fn prepare_next(&mut self) {
        let statistics = Arc::clone(&self.shared.statistics);
        match self.maker.make(self.next_index) {
            Ok(segment) => {
                self.retry_at = None;
                self.next_index += 1;
                self.hand_over(Arc::new(segment));
                statistics.segments_prepared.fetch_add(1, Ordering::Relaxed);
                self.shared.shortage.store(Reason::None as u8, Ordering::Release);
            }
            Err(error) => {
                self.retry_at = Some(Instant::now() + RETRY_INTERVAL);
                statistics.prepare_errors.fetch_add(1, Ordering::Relaxed);
                statistics.set_last_error(format!("cannot prepare segment {}: {error}", self.next_index));
                self.shared.shortage.store(Reason::of_prepare_error(&error) as u8, Ordering::Release);
            }
        }
    }

    /// Gives a segment to the flusher's list first and to the appender second, so that nothing is appended
    /// that the flusher does not know of.
    pub(crate) fn hand_over(&mut self, segment: Arc<Segment>) {
        lock(&self.shared.live).push_back(Arc::clone(&segment));
        let pushed = self.prepared.push(segment);
        assert!(pushed.is_ok(), "a segment is prepared only when the ring has room");
    }

    /// Makes the pages writable that the appender comes to next, so that it takes no page faults.
    fn touch_ahead(&mut self) {
        let current = {
            let live = lock(&self.shared.live);
            live.iter().find(|segment| !segment.closed.load(Ordering::Acquire)).map(Arc::clone)
        };
        let Some(segment) = current.filter(|_| self.maker.durability != Durability::None) else { return };
        let used = segment.used.load(Ordering::Acquire);
        let touched = segment.touched.load(Ordering::Relaxed) as usize;
        let wanted = (used as usize + AHEAD_BYTES).min(segment.mapping.len());
        let storage = &*self.maker.storage;
        // Best effort: where pages cannot be touched now, the appender takes the fault.
        if touched < wanted {
            let _ = storage.populate(&segment.mapping, touched / PAGE_BYTES * PAGE_BYTES..wanted);
            segment.touched.store(wanted as u64, Ordering::Relaxed);
        }
        let seen = (segment.header.index, used);
        if seen != self.last_seen && used > HEADER_BYTES as u64 {
            let start = used as usize / PAGE_BYTES * PAGE_BYTES;
            let _ = storage.populate(&segment.mapping, start..start + NEAR_BYTES);
        }
        self.last_seen = seen;
    }
}
