//! What others hold of a paper venue's thread: its statistics, and the means to pause and stop it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::engine::Engine;
use super::feed::{BadLine, Feed};

/// What the thread is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    Run,
    Pause,
    Stop,
}

/// Between the handle and the thread. The thread looks at `wish` every turn and at the rest only when it pauses.
#[derive(Default)]
pub(super) struct Control {
    /// Written by the handle: 0 run, 1 pause, 2 stop.
    wish: AtomicU8,
    /// Written by the thread: true while it stands still, or has ended.
    stands: Mutex<bool>,
    changed: Condvar,
}

impl Control {
    pub(super) fn wish(&self) -> Wish {
        match self.wish.load(Ordering::Acquire) {
            0 => Wish::Run,
            1 => Wish::Pause,
            _ => Wish::Stop,
        }
    }

    /// Called by the thread: stands still until there is another wish.
    pub(super) fn pause_here(&self) {
        let mut stands = self.lock();
        *stands = true;
        self.changed.notify_all();
        while self.wish() == Wish::Pause {
            stands = self.changed.wait(stands).unwrap_or_else(PoisonError::into_inner);
        }
        *stands = false;
    }

    /// Held by the thread: says at its end, a panic included, that it stands still.
    pub(super) fn end_guard(self: &Arc<Self>) -> EndGuard {
        EndGuard(Arc::clone(self))
    }

    fn set_wish(&self, wish: Wish) {
        let _stands = self.lock();
        self.wish.store(wish as u8, Ordering::Release);
        self.changed.notify_all();
    }

    fn wait_until_it_stands(&self) {
        let mut stands = self.lock();
        while !*stands {
            stands = self.changed.wait(stands).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets nobody wait for a thread that has ended.
pub(super) struct EndGuard(Arc<Control>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        *self.0.lock() = true;
        self.0.changed.notify_all();
    }
}

/// A venue's figures, written by its thread once a turn; each is right by itself, all together only when it rests.
#[derive(Default, Debug)]
pub struct PaperStatistics {
    /// Requests taken.
    pub requests: AtomicU64,
    /// New orders with an id of their own, refused ones included.
    pub orders: AtomicU64,
    /// Trades.
    pub fills: AtomicU64,
    /// New orders whose id was used before, over the ledger's whole life; none was carried out.
    pub duplicates: AtomicU64,
    /// Orders refused, duplicates not included.
    pub rejected: AtomicU64,
    /// Orders that work.
    pub working_orders: AtomicU64,
    /// Reports that wait for room in their lane.
    pub reports_waiting: AtomicU64,
    /// Reports delayed by latency or fault.
    pub reports_delayed: AtomicU64,
    /// Quotes taken from the feeds.
    pub quotes: AtomicU64,
    /// Lines read by recorded feeds.
    pub feed_lines: AtomicU64,
    /// Lines that could not be read.
    pub feed_bad_lines: AtomicU64,
    /// Recorded quotes of symbols that no instrument has.
    pub feed_unknown_symbols: AtomicU64,
    /// How often recordings have begun again at their end.
    pub feed_repeats: AtomicU64,
    /// Feeds that have ended: their last price stays.
    pub feeds_ended: AtomicU64,
    /// The first bad line.
    first_bad_line: Mutex<Option<Arc<BadLine>>>,
}

impl PaperStatistics {
    /// The first line of a recorded feed that could not be read.
    pub fn first_bad_line(&self) -> Option<Arc<BadLine>> {
        self.first_bad_line.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn publish(&self, engine: &Engine, feed: &Feed, pending: usize) {
        let done = engine.statistics();
        let read = feed.statistics();
        for (figure, value) in [
            (&self.requests, done.requests),
            (&self.orders, done.orders),
            (&self.fills, done.fills),
            (&self.duplicates, done.duplicates),
            (&self.rejected, done.rejected),
            (&self.working_orders, done.working_orders),
            (&self.reports_waiting, pending as u64),
            (&self.reports_delayed, engine.reports_waiting() as u64),
            (&self.quotes, done.quotes),
            (&self.feed_lines, read.lines),
            (&self.feed_unknown_symbols, read.unknown_symbols),
            (&self.feed_repeats, read.repeats),
            (&self.feeds_ended, u64::from(read.ended)),
        ] {
            figure.store(value, Ordering::Relaxed);
        }
        let bad_lines = read.bad_lines.total();
        if self.feed_bad_lines.swap(bad_lines, Ordering::Relaxed) == 0 && bad_lines > 0 {
            *self.first_bad_line.lock().unwrap_or_else(PoisonError::into_inner) = read.first_bad_line;
        }
    }
}

/// A running paper venue. Dropped, it lets the venue end by itself.
pub struct PaperHandle {
    joined: Option<JoinHandle<()>>,
    control: Arc<Control>,
    statistics: Arc<PaperStatistics>,
}

impl PaperHandle {
    pub(super) fn new(
        joined: JoinHandle<()>,
        control: Arc<Control>,
        statistics: Arc<PaperStatistics>,
    ) -> Self {
        Self { joined: Some(joined), control, statistics }
    }

    /// The venue's figures.
    pub fn statistics(&self) -> &Arc<PaperStatistics> {
        &self.statistics
    }

    /// Makes the venue a dead one: when this returns, it takes no request and tells nothing until
    /// [`PaperHandle::resume`]. Its lanes stay as they are.
    pub fn pause(&self) {
        self.tell(Wish::Pause);
        self.control.wait_until_it_stands();
    }

    /// Lets a paused venue go on.
    pub fn resume(&self) {
        self.tell(Wish::Run);
    }

    /// True when the venue's thread has ended.
    pub fn is_finished(&self) -> bool {
        self.joined.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the venue and waits for it. Requests that are in their lane are still carried out and recorded; reports
    /// that find no room are lost, as by a cut connection. False when its thread panicked.
    pub fn stop(mut self) -> bool {
        self.tell(Wish::Stop);
        self.joined.take().is_none_or(|joined| joined.join().is_ok())
    }

    fn tell(&self, wish: Wish) {
        self.control.set_wish(wish);
        if let Some(joined) = &self.joined {
            joined.thread().unpark();
        }
    }
}

impl Drop for PaperHandle {
    fn drop(&mut self) {
        self.tell(Wish::Stop);
    }
}
