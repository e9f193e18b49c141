//! The paper venue on its thread, by its lanes alone.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{fill, instruments, limit, market, words};
use tollgate_bridge::paper::feed::{FeedSettings, Pace, Walk};
use tollgate_bridge::paper::{
    LaneCapacities, LedgerEntry, PaperHandle, PaperSettings, StartError, read_ledger, start,
};
use tollgate_contract::lane::Bell;
use tollgate_contract::venue::{ReportBody, VenueReport, VenueRequest};
use tollgate_protocol::command::Side;
use tollgate_protocol::identity::OrderId;
use tollgate_protocol::instrument::InstrumentIndex;

/// Longer than any of this takes on a busy machine; reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The gateway's side of a venue.
struct Client {
    requests: tollgate_contract::lane::Sender<VenueRequest>,
    reports: tollgate_contract::lane::Receiver<VenueReport>,
    handle: PaperHandle,
    bell: Bell,
}

impl Client {
    fn start(settings: PaperSettings, reports: usize) -> Self {
        Self::start_with(settings, LaneCapacities { requests: 256, requests_reserved: 16, reports })
    }

    /// A venue whose first instrument stands at 100 to 101, seen connected and quoted.
    fn start_with(settings: PaperSettings, capacities: LaneCapacities) -> Self {
        let bell = Bell::for_this_thread();
        let walk = Walk { instrument: InstrumentIndex(0), start_ticks: 100, spread_ticks: 1 };
        let feed =
            FeedSettings::Synthetic { seed: 0, interval_ns: u64::MAX, volatility_ppm: 0, walks: vec![walk] };
        let started = start("paper", settings, &[feed], instruments(), bell.clone(), capacities).unwrap();
        let mut client =
            Self { requests: started.requests, reports: started.reports, handle: started.handle, bell };
        assert_eq!(client.next(), VenueReport::Connected);
        assert!(matches!(client.next(), VenueReport::Quote(_)));
        client
    }

    fn send(&mut self, request: VenueRequest) {
        let mut waiting = Err(request);
        while let Err(request) = waiting {
            waiting = self.requests.send(request);
            self.requests.ring();
        }
    }

    /// The next report, asleep until it comes.
    fn next(&mut self) -> VenueReport {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(report) = self.reports.receive() {
                return report;
            }
            assert!(Instant::now() < end, "no report came");
            self.bell.sleeping(true);
            if self.reports.is_empty() {
                std::thread::park_timeout(PATIENCE);
            }
            self.bell.sleeping(false);
        }
    }

    fn body(&mut self) -> (u64, ReportBody) {
        match self.next() {
            VenueReport::Order { order_id, body } => (order_id.0, body),
            other => panic!("not about an order: {other:?}"),
        }
    }
}

fn with_ledger(path: &Path) -> PaperSettings {
    PaperSettings { ledger_file: Some(path.to_path_buf()), history_orders: 4, ..PaperSettings::default() }
}

#[test]
fn requests_are_served_and_counted() {
    let mut client = Client::start(PaperSettings::default(), 64);
    client.send(VenueRequest::New(market(1)));
    assert!(matches!(client.body(), (1, ReportBody::Accepted { .. })));
    assert_eq!(fill(&client.body().1), Some((101, 10, false)));
    client.send(VenueRequest::New(market(1)));
    assert_eq!(words(&client.body().1), "duplicate order id");
    let statistics = client.handle.statistics().clone();
    assert!(client.handle.stop());
    let count = |figure: &std::sync::atomic::AtomicU64| figure.load(Ordering::Relaxed);
    assert_eq!((count(&statistics.requests), count(&statistics.orders)), (2, 1));
    assert_eq!((count(&statistics.fills), count(&statistics.duplicates)), (1, 1));
    assert_eq!((count(&statistics.quotes), count(&statistics.reports_waiting)), (1, 0));
}

#[test]
fn a_paused_venue_is_dead_until_it_is_resumed() {
    let mut client = Client::start(PaperSettings::default(), 64);
    client.handle.pause();
    for id in 0..100 {
        client.send(VenueRequest::New(limit(id, Side::Buy, 90)));
    }
    client.handle.pause();
    assert_eq!(client.handle.statistics().requests.load(Ordering::Relaxed), 0);
    assert!(client.reports.is_empty());
    client.handle.resume();
    for id in 0..100 {
        assert!(matches!(client.body(), (found, ReportBody::Accepted { .. }) if found == id));
    }
}

#[test]
fn a_paused_venue_can_be_stopped() {
    let mut client = Client::start(PaperSettings::default(), 64);
    client.handle.pause();
    client.send(VenueRequest::New(market(1)));
    let statistics = client.handle.statistics().clone();
    assert!(client.handle.stop());
    // What was in the lane has arrived all the same.
    assert_eq!(statistics.fills.load(Ordering::Relaxed), 1);
    assert!(matches!(client.reports.receive(), Some(VenueReport::Order { .. })));
}

#[test]
fn a_full_lane_loses_nothing() {
    let mut client = Client::start(PaperSettings::default(), 2);
    for id in 0..200 {
        client.send(VenueRequest::New(market(id)));
    }
    for id in 0..200 {
        assert!(matches!(client.body(), (found, ReportBody::Accepted { .. }) if found == id));
        assert!(matches!(client.body(), (found, ReportBody::Filled { .. }) if found == id));
    }
}

#[test]
fn more_delayed_reports_than_the_venue_holds_come_all_the_same() {
    let latency_ns = 300_000_000;
    let settings =
        PaperSettings { latency_ns_min: latency_ns, latency_ns_max: latency_ns, ..PaperSettings::default() };
    let orders = 40_000;
    let capacities = LaneCapacities { requests: 65_536, requests_reserved: 1, reports: 1_024 };
    let mut client = Client::start_with(settings, capacities);
    for id in 0..orders {
        client.send(VenueRequest::New(market(id)));
    }
    for id in 0..orders {
        assert!(matches!(client.body(), (found, ReportBody::Accepted { .. }) if found == id));
        assert!(matches!(client.body(), (found, ReportBody::Filled { .. }) if found == id));
    }
}

#[test]
fn a_venue_ends_when_its_gateway_is_gone() {
    let Client { requests, reports, handle, .. } = Client::start(PaperSettings::default(), 64);
    drop(requests);
    drop(reports);
    let end = Instant::now() + PATIENCE;
    while !handle.is_finished() {
        assert!(Instant::now() < end, "it lives on");
        std::thread::yield_now();
    }
    // Nobody waits for a thread that has ended.
    handle.pause();
}

#[test]
fn the_ledger_outlives_the_venue() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("venue.ledger");
    let mut client = Client::start(with_ledger(&path), 64);
    let orders = (1..=10).map(|id| if id == 10 { limit(id, Side::Buy, 90) } else { market(id) });
    for order in orders {
        client.send(VenueRequest::New(order));
    }
    let told: Vec<_> = (0..19).map(|_| client.body()).collect();
    // The first orders are no longer in memory: the ledger answers.
    client.send(VenueRequest::Query(OrderId(1)));
    assert_eq!(client.body(), told[1]);
    assert!(matches!(client.body().1, ReportBody::Status { filled_steps: 10, .. }));
    assert!(client.handle.stop());

    let mut client = Client::start(with_ledger(&path), 64);
    client.send(VenueRequest::Query(OrderId(2)));
    assert_eq!(client.body(), told[3]);
    assert!(matches!(client.body().1, ReportBody::Status { filled_steps: 10, .. }));
    for id in 1..=10 {
        client.send(VenueRequest::New(market(id)));
        assert_eq!(words(&client.body().1), "duplicate order id");
    }
    client.send(VenueRequest::Cancel(OrderId(10)));
    assert_eq!(client.body(), (10, ReportBody::Cancelled));
    client.send(VenueRequest::New(market(11)));
    assert!(matches!(client.body(), (11, ReportBody::Accepted { venue_order_id: 11 })));
}

/// Says in the child's environment where its ledger is.
const CHILD_LEDGER: &str = "TOLLGATE_TEST_PAPER_LEDGER";

/// A venue that trades until it is killed; every order whose fill was reported is printed.
fn trade_for_ever(path: PathBuf) {
    let mut client = Client::start(PaperSettings { ledger_file: Some(path), ..PaperSettings::default() }, 64);
    let mut output = std::io::stdout();
    for id in 1.. {
        client.send(VenueRequest::New(market(id)));
        while !matches!(client.body().1, ReportBody::Filled { .. }) {}
        if writeln!(output, "\nfilled {id}").and_then(|()| output.flush()).is_err() {
            return;
        }
    }
}

#[test]
fn what_was_told_survives_a_kill() {
    if let Some(path) = std::env::var_os(CHILD_LEDGER) {
        return trade_for_ever(path.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("venue.ledger");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "what_was_told_survives_a_kill", "--nocapture"])
        .env(CHILD_LEDGER, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told =
        lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("filled ")?.parse::<u64>().ok());
    let mut filled: Vec<u64> = told.by_ref().take(500).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    filled.extend(told);
    assert!(filled.len() >= 500);

    let traded: HashSet<u64> = read_ledger(&path)
        .unwrap()
        .iter()
        .filter(|entry| matches!(entry, LedgerEntry::Traded { .. }))
        .filter_map(|entry| Some(entry.order_id()?.0))
        .collect();
    assert!(filled.iter().all(|id| traded.contains(id)));
    let mut client = Client::start(with_ledger(&path), 64);
    client.send(VenueRequest::New(market(filled[filled.len() - 1])));
    assert_eq!(words(&client.body().1), "duplicate order id");
}

#[test]
fn mistakes_are_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let capacities = LaneCapacities { requests: 8, requests_reserved: 1, reports: 8 };
    let try_start = |settings: PaperSettings, feeds: &[FeedSettings]| {
        start("paper", settings, feeds, instruments(), Bell::for_this_thread(), capacities)
            .map(|_| ())
            .unwrap_err()
    };
    let settings = PaperSettings { history_orders: 0, ..PaperSettings::default() };
    assert!(matches!(try_start(settings, &[]), StartError::Settings(_)));
    let settings =
        PaperSettings { ledger_file: Some(folder.path().to_path_buf()), ..PaperSettings::default() };
    assert!(matches!(try_start(settings, &[]), StartError::Ledger(_)));
    let feed = FeedSettings::BinanceStream {
        path: folder.path().join("none"),
        pace: Pace { speed: 1, repeat: false },
    };
    assert!(matches!(try_start(PaperSettings::default(), &[feed]), StartError::Feed(_)));
}
