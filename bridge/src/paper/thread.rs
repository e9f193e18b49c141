//! The venue's thread: lanes on one side, engine, ledger and feeds on the other.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tollgate_protocol::identity::OrderId;
use tollgate_protocol::instrument::Instrument;
use tollgate_protocol::text::Remark;

use super::engine::Engine;
use super::feed::{Feed, FeedError, FeedSettings};
use super::handle::{Control, PaperHandle, PaperStatistics, Wish};
use super::ledger::{Ledger, LedgerError};
use super::settings::{PaperSettings, SettingsError};
use tollgate_contract::lane::{Bell, Receiver, Sender, lane};
use tollgate_contract::venue::{VenuePort, VenueReport, VenueRequest};

/// Requests taken before their reports go out and the rest of the work gets its turn.
const REQUESTS_A_TURN: usize = 256;
/// Quotes taken before requests get their turn.
const QUOTES_A_TURN: usize = 64;
/// With this many reports that do not fit their lane, neither requests nor quotes are taken.
const REPORTS_PENDING_MAX: usize = 4096;
/// With this many delayed reports, neither requests nor quotes are taken.
const REPORTS_DELAYED_MAX: usize = 1 << 16;
/// The reports' lane has no bell toward the venue: this is how soon a full one is tried again.
const LANE_RETRY: Duration = Duration::from_micros(100);
/// How soon a ledger that could not be written is tried again.
const LEDGER_RETRY: Duration = Duration::from_millis(100);
/// The longest sleep.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// The sizes of the lanes between the gateway and a venue, in messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LaneCapacities {
    /// Requests in all.
    pub requests: usize,
    /// Of these, what only [`Sender::send_reserved`] may use; less than all.
    pub requests_reserved: usize,
    /// Reports.
    pub reports: usize,
}

/// A paper venue that runs.
pub struct Started {
    /// What the gateway asks; its bell wakes the venue.
    pub requests: Sender<VenueRequest>,
    /// What the venue tells; it rings the bell given to [`start`].
    pub reports: Receiver<VenueReport>,
    /// Stops it, and knows what it did.
    pub handle: PaperHandle,
}

/// Why a paper venue cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Its price feeds.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// Its ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Its thread.
    #[error("cannot start the thread {name}: {source}")]
    Thread {
        /// The thread's name.
        name: String,
        /// The system's words.
        source: io::Error,
    },
}

/// Starts a paper venue on a thread called `name` (Linux shows 15 bytes of it). `hot_bell` wakes the receiver of the
/// reports. The ledger, if there is one, is read before this returns.
pub fn start(
    name: &str,
    settings: PaperSettings,
    feeds: &[FeedSettings],
    instruments: Arc<[Instrument]>,
    hot_bell: Bell,
    capacities: LaneCapacities,
) -> Result<Started, StartError> {
    let feed = Feed::open(feeds, &instruments, settings.venue)?;
    let ledger_file = settings.ledger_file.clone();
    let mut engine = Engine::new(settings, instruments)?;
    let ledger = ledger_file.map(|path| Ledger::load(&path, &mut engine)).transpose()?;

    // The lane needs the bell before there is a thread to wake; the thread puts itself in before it ever sleeps.
    let thread: Arc<OnceLock<Thread>> = Arc::default();
    let sleeper = Arc::clone(&thread);
    let bell = Bell::new(Arc::new(move || {
        if let Some(thread) = sleeper.get() {
            thread.unpark();
        }
    }));
    let (requests, request_receiver) = lane(capacities.requests, capacities.requests_reserved, bell.clone());
    let (report_sender, reports) = lane(capacities.reports, 0, hot_bell);
    let control = Arc::new(Control::default());
    let statistics = Arc::new(PaperStatistics::default());
    let venue = Venue {
        engine,
        ledger,
        is_ledger_down: false,
        is_ledger_down_told: false,
        feed,
        port: VenuePort { requests: request_receiver, reports: report_sender },
        bell,
        pending: VecDeque::new(),
        control: Arc::clone(&control),
        statistics: Arc::clone(&statistics),
    };
    let run = move || {
        let _ = thread.set(thread::current());
        venue.run();
    };
    let joined = thread::Builder::new().name(name.to_owned()).spawn(run);
    let joined = joined.map_err(|source| StartError::Thread { name: name.to_owned(), source })?;
    Ok(Started { requests, reports, handle: PaperHandle::new(joined, control, statistics) })
}

struct Venue {
    engine: Engine,
    ledger: Option<Ledger>,
    /// True while the ledger cannot be written: nothing is taken and no order's report sent until it can.
    is_ledger_down: bool,
    /// True when the gateway was told so.
    is_ledger_down_told: bool,
    feed: Feed,
    port: VenuePort,
    bell: Bell,
    /// Reports that wait for the ledger, or for room in their lane.
    pending: VecDeque<VenueReport>,
    control: Arc<Control>,
    statistics: Arc<PaperStatistics>,
}

impl Venue {
    fn run(mut self) {
        let _end = self.control.end_guard();
        loop {
            match self.control.wish() {
                Wish::Run => {}
                Wish::Pause => {
                    self.control.pause_here();
                    continue;
                }
                Wish::Stop => break,
            }
            let is_busy = self.turn();
            if self.port.requests.is_abandoned() && self.port.requests.is_empty() {
                break;
            }
            if !is_busy {
                self.sleep();
            }
        }
        self.finish();
    }

    /// One round; true when there may be more to do at once.
    fn turn(&mut self) -> bool {
        let now_ns = now_ns();
        let mut is_busy = false;
        if self.can_tell() {
            self.engine.tick(now_ns, &mut |report| self.pending.push_back(report));
            self.note();
            let requests =
                (0..REQUESTS_A_TURN).take_while(|_| self.is_open() && self.take_request(now_ns)).count();
            let quotes = (0..QUOTES_A_TURN).take_while(|_| self.is_open() && self.take_quote(now_ns)).count();
            is_busy = requests == REQUESTS_A_TURN || quotes == QUOTES_A_TURN;
        }
        self.write();
        self.send();
        self.statistics.publish(&self.engine, &self.feed, self.pending.len());
        is_busy
    }

    /// True when there is room for more reports.
    fn can_tell(&self) -> bool {
        !self.is_ledger_down && self.pending.len() < REPORTS_PENDING_MAX
    }

    /// True when there is room for what more requests and quotes lead to.
    fn is_open(&self) -> bool {
        self.can_tell() && self.engine.reports_waiting() < REPORTS_DELAYED_MAX
    }

    /// True when there was one.
    fn take_request(&mut self, now_ns: u64) -> bool {
        let Some(request) = self.port.requests.receive() else {
            return false;
        };
        if let VenueRequest::Query(order_id) = request
            && self.engine.is_archived(order_id)
        {
            self.recall(order_id);
        }
        self.engine.request(now_ns, request, &mut |report| self.pending.push_back(report));
        self.note();
        true
    }

    /// True when there was one.
    fn take_quote(&mut self, now_ns: u64) -> bool {
        let Some(quote) = self.feed.next(now_ns) else {
            return false;
        };
        self.engine.quote(now_ns, quote, &mut |report| self.pending.push_back(report));
        self.note();
        true
    }

    /// Fetches an old order from the ledger. Where that fails, the engine says that it cannot tell.
    fn recall(&mut self, order_id: OrderId) {
        self.write();
        let Some(ledger) = self.ledger.as_ref().filter(|_| !self.is_ledger_down) else {
            return;
        };
        if let Ok(Some(order)) = ledger.find(order_id, &self.engine) {
            self.engine.recall(order);
        }
    }

    /// Hands what changed to the ledger, as one frame.
    fn note(&mut self) {
        if let Some(ledger) = &mut self.ledger {
            ledger.add(self.engine.entries());
        }
        self.engine.clear_entries();
    }

    /// Writes the ledger: nothing is told before.
    fn write(&mut self) {
        let Some(ledger) = &mut self.ledger else {
            return;
        };
        let error = ledger.write().err();
        self.is_ledger_down = error.is_some();
        if let Some(error) = error.filter(|_| !self.is_ledger_down_told) {
            let reason = Remark::truncated(&format!("ledger cannot be written: {error}"));
            // What waits is kept back until it is written; this needs no record. A full lane: the next turn tells.
            self.is_ledger_down_told = self.port.reports.send(VenueReport::Disconnected { reason }).is_ok();
            self.port.reports.ring();
        }
        if !self.is_ledger_down && self.is_ledger_down_told {
            self.is_ledger_down_told = false;
            self.pending.push_front(VenueReport::Connected);
        }
    }

    /// Sends what fits, and wakes the receiver once.
    fn send(&mut self) {
        if self.is_ledger_down {
            return;
        }
        let mut is_sent = false;
        while let Some(report) = self.pending.front() {
            if self.port.reports.send(*report).is_err() {
                break;
            }
            self.pending.pop_front();
            is_sent = true;
        }
        if is_sent {
            self.port.reports.ring();
        }
    }

    fn sleep(&self) {
        self.bell.sleeping(true);
        let has_work = self.is_open() && !self.port.requests.is_empty();
        if !has_work && self.control.wish() == Wish::Run {
            thread::park_timeout(self.sleep_time());
        }
        self.bell.sleeping(false);
    }

    fn sleep_time(&self) -> Duration {
        if self.is_ledger_down {
            return LEDGER_RETRY;
        }
        if !self.pending.is_empty() {
            return LANE_RETRY;
        }
        let now_ns = now_ns();
        let quote_ns = self.feed.next_due_ns(now_ns).filter(|_| self.is_open());
        let deadline_ns = [self.engine.next_deadline_ns(), quote_ns].into_iter().flatten().min();
        let until = deadline_ns.map(|at_ns| Duration::from_nanos(at_ns.saturating_sub(now_ns)));
        until.unwrap_or(SLEEP_MAX).min(SLEEP_MAX)
    }

    /// Carries out what was asked before the end, and tells what still fits.
    fn finish(mut self) {
        let now_ns = now_ns();
        for _ in 0..self.port.requests.waiting() {
            self.take_request(now_ns);
        }
        self.write();
        self.send();
        self.statistics.publish(&self.engine, &self.feed, self.pending.len());
    }
}

/// The time, in nanoseconds since the Unix epoch; 0 before it.
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs::File;
    use tollgate_contract::venue::ReportBody;

    #[test]
    fn nothing_is_told_of_orders_while_the_ledger_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("venue.ledger");
        let mut engine = Engine::new(PaperSettings::default(), Arc::from([])).unwrap();
        let ledger = Ledger::load(&path, &mut engine).unwrap();
        let bell = Bell::for_this_thread();
        let (mut requests, request_receiver) = lane(8, 1, bell.clone());
        let (report_sender, mut reports) = lane(8, 0, bell.clone());
        let mut venue = Venue {
            engine,
            ledger: Some(ledger),
            is_ledger_down: false,
            is_ledger_down_told: false,
            feed: Feed::open(&[], &[], 0).unwrap(),
            port: VenuePort { requests: request_receiver, reports: report_sender },
            bell,
            pending: VecDeque::new(),
            control: Arc::default(),
            statistics: Arc::default(),
        };
        let mut told = || std::iter::from_fn(|| reports.receive()).collect::<Vec<_>>();
        venue.turn();
        assert_eq!(told(), [VenueReport::Connected]);

        let order = crate::paper::entry::tests::order();
        let mut file = File::open(&path).unwrap();
        venue.ledger.as_mut().unwrap().swap_file(&mut file);
        requests.send(VenueRequest::New(order)).unwrap();
        venue.turn();
        assert!(matches!(told()[..], [VenueReport::Disconnected { .. }]));
        requests.send(VenueRequest::Query(order.order_id)).unwrap();
        venue.turn();
        assert_eq!((told(), requests.free()), (Vec::new(), 7));
        assert_eq!(venue.sleep_time(), LEDGER_RETRY);

        venue.ledger.as_mut().unwrap().swap_file(&mut file);
        venue.turn();
        assert!(matches!(
            told()[..],
            [VenueReport::Connected, VenueReport::Order { body: ReportBody::Rejected { .. }, .. }]
        ));
        venue.turn();
        assert!(matches!(told()[..], [VenueReport::Order { body: ReportBody::Status { .. }, .. }]));
    }
}
