//! The pipeline alone, driven by hand: no thread, no socket, no venue. For measurements and for counting instructions.

// A stopwatch reads a clock.
#![allow(clippy::disallowed_methods)]

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use tollgate_config::{PrecisionMode, Settings};
use tollgate_contract::lane::{Bell, Receiver, Sender, lane};
use tollgate_contract::venue::{Quote, ReportBody, VenueReport, VenueRequest};
use tollgate_journal::Append;
use tollgate_protocol::command::NewOrder;
use tollgate_protocol::frame::{self, FrameKind};
use tollgate_protocol::identity::AccountIndex;
use tollgate_protocol::logon::SessionMacs;
use tollgate_protocol::mac::{FrameMac, MacAlgorithm};
use tollgate_protocol::text::KeyId;
use tollgate_protocol::{Command, InstrumentIndex, OrderId};

use crate::event_loop::{Hot, HotParts, VenueParts};
use crate::link::{FromHot, Grant, Handover, SymbolSet, ToHot, Watermark};
use crate::metrics::Metrics;
use crate::sessions::Session;
use crate::stage::{Probe, Stage, Unwatched};
use crate::state::State;
use crate::world::{Socket, World};
use crate::{pipeline, precision, reports};

/// A time that no test run ever sees go by: nanoseconds since the Unix epoch.
const START_NS: u64 = 1_700_000_000_000_000_000;
const KEYS: [[u8; 32]; 2] = [[0x11; 32], [0x22; 32]];

/// Notes the time at the end of every stage.
pub struct Stopwatch {
    last: Instant,
    /// Nanoseconds by stage, in the order of [`Stage::ALL`].
    pub stages_ns: [u64; Stage::ALL.len()],
}

impl Stopwatch {
    /// Begins now.
    pub fn start() -> Self {
        Self { last: Instant::now(), stages_ns: [0; Stage::ALL.len()] }
    }
}

impl Probe for Stopwatch {
    #[inline]
    fn ended(&mut self, stage: Stage) {
        let now = Instant::now();
        self.stages_ns[stage as usize] += now.duration_since(self.last).as_nanos() as u64;
        self.last = now;
    }
}

/// A socket that nobody is at the other end of.
struct Nobody;

impl Socket for Nobody {
    fn read(&mut self, _out: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// A world in which nothing happens by itself.
struct Still<J> {
    journal: std::marker::PhantomData<J>,
}

impl<J: Append> World for Still<J> {
    type Socket = Nobody;
    type Journal = J;

    fn wall_ns(&mut self) -> u64 {
        START_NS
    }

    fn monotonic_ns(&self) -> u64 {
        0
    }

    fn watch(&mut self, _socket: &Nobody, _slot: u16) -> io::Result<()> {
        Ok(())
    }

    fn unwatch(&mut self, _socket: &Nobody) {}

    fn pause(&mut self) {}
}

/// One client's session before the pipeline, and the test's hands at the other ends of all its lanes.
pub struct Rig<J: Append> {
    hot: Hot<Still<J>>,
    /// The client's keys.
    macs: SessionMacs,
    sequence: u64,
    requests: Receiver<VenueRequest>,
    _reports: Sender<VenueReport>,
    _to_hot: Sender<ToHot<Nobody>>,
    _from_hot: Receiver<FromHot<Nobody>>,
}

fn macs(algorithm: MacAlgorithm) -> SessionMacs {
    let [client_to_gateway, gateway_to_client] = KEYS.map(|key| FrameMac::new(algorithm, &key));
    SessionMacs { client_to_gateway, gateway_to_client }
}

fn grant() -> Grant {
    Grant {
        key_id: KeyId::truncated("rig"),
        trade: true,
        cancel: true,
        read: true,
        operate: true,
        accounts: u64::MAX,
        symbols_restricted: false,
        symbols: SymbolSet::EMPTY,
        expires_at_ns: u64::MAX,
    }
}

impl<J: Append> Rig<J> {
    /// A gateway's inside on an empty journal, with the first venue up and a price for the first instrument.
    pub fn new(settings: &Settings, journal: J, algorithm: MacAlgorithm) -> Self {
        let silent = || Bell::new(Arc::new(|| {}));
        let messages = settings.capacity.lane_messages;
        let (to_venue, requests) = lane(messages, settings.capacity.lane_reserved, silent());
        let (reports, from_venue) = lane(messages, 1, silent());
        let (to_hot, from_cold) = lane(16, 1, silent());
        let (to_cold, from_hot) = lane(16, 1, silent());
        let parts = HotParts {
            state: State::empty(settings, 0),
            journal,
            venues: vec![VenueParts { requests: to_venue, reports: from_venue }],
            from_cold,
            to_cold,
            world: Still { journal: std::marker::PhantomData },
            metrics: Arc::new(Metrics::new(settings.venues.len(), settings.clients.len())),
            stop: Arc::new(AtomicBool::new(false)),
        };
        let mut hot = Hot::new(settings, parts);
        hot.parts().0.now_ns = START_NS;
        hot.adopt(Box::new(Handover {
            stream: Nobody,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            macs: macs(algorithm),
            sequence_in: 1,
            sequence_out: 1,
            received: Vec::new(),
            client: 0,
            grant: grant(),
            next_event_sequence: 1,
            session_id: 1,
            watermark: Watermark::default(),
            behind_since: None,
        }));
        let macs = macs(algorithm);
        let mut rig = Self {
            hot,
            macs,
            sequence: 0,
            requests,
            _reports: reports,
            _to_hot: to_hot,
            _from_hot: from_hot,
        };
        rig.report(&VenueReport::Connected);
        rig.quote(6_500_000, 6_500_001);
        rig
    }

    /// The time of the turn, nanoseconds since the Unix epoch.
    pub fn now_ns(&mut self) -> u64 {
        self.hot.parts().0.now_ns
    }

    /// A turn begins, so much later.
    pub fn advance(&mut self, nanoseconds: u64) {
        let core = self.hot.parts().0;
        core.now_ns += nanoseconds;
        core.state.advance(core.now_ns);
    }

    /// The frame of the client's next command: it must be offered in this order.
    pub fn sign(&mut self, command: &Command, out: &mut [u8]) -> usize {
        self.sequence += 1;
        let mac = Some(&self.macs.client_to_gateway);
        frame::encode(FrameKind::Command, self.sequence, command, mac, out).unwrap_or_default()
    }

    /// Puts a frame where the socket's bytes come to lie.
    pub fn offer(&mut self, frame: &[u8]) {
        if let Some(session) = self.hot.parts().1.get(0) {
            session.feed(frame);
        }
    }

    /// Takes the offered frame through the whole pipeline; false when that ended the session.
    #[inline]
    pub fn run(&mut self) -> bool {
        let (core, sessions) = self.hot.parts();
        pipeline::run(core, sessions, 0, &mut Unwatched).is_ok()
    }

    /// The same, with `probe` told of the end of every stage.
    #[inline]
    pub fn run_watched(&mut self, probe: &mut impl Probe) -> bool {
        let (core, sessions) = self.hot.parts();
        pipeline::run(core, sessions, 0, probe).is_ok()
    }

    /// Makes the answers' tags, as the end of a turn does.
    #[inline]
    pub fn sign_answers(&mut self) {
        if let Some(session) = self.hot.parts().1.get(0) {
            session.sign();
        }
    }

    /// Forgets the answers and hands out the requests that went to the venue. Returns the bytes of the answers.
    pub fn drain(&mut self, mut take: impl FnMut(&mut Self, VenueRequest)) -> usize {
        let (core, sessions) = self.hot.parts();
        core.flush_outboxes();
        core.state.dedupe.tidy(u64::MAX);
        while sessions.next_dirty().is_some() {}
        let bytes = sessions.get(0).map_or(0, Session::discard);
        while let Some(request) = self.requests.receive() {
            take(self, request);
        }
        bytes
    }

    /// What the venue says, at once.
    pub fn report(&mut self, report: &VenueReport) {
        let (core, sessions) = self.hot.parts();
        let _ = reports::take(core, sessions, 0, report);
    }

    /// The venue says this of an order.
    pub fn report_order(&mut self, order_id: OrderId, body: ReportBody) {
        self.report(&VenueReport::Order { order_id, body });
    }

    /// The first instrument's best prices, in ticks.
    pub fn quote(&mut self, bid_ticks: i64, ask_ticks: i64) {
        let instrument = InstrumentIndex(0);
        self.report(&VenueReport::Quote(Quote { instrument, bid_ticks, ask_ticks }));
    }

    /// How many commands had each outcome, in the order of [`Outcome`](crate::metrics::Outcome).
    pub fn outcomes(&mut self) -> [u64; 5] {
        let metrics = &self.hot.parts().0.metrics;
        std::array::from_fn(|outcome| metrics.commands.iter().map(|counters| counters[outcome].get()).sum())
    }

    /// Precision alone: the order's numbers onto the first instrument's grids. True when they are.
    #[inline]
    pub fn precision(&mut self, order: &NewOrder) -> bool {
        let state = &self.hot.parts().0.state;
        let instrument = &state.rules.instruments[0].instrument;
        let (index, mark) = (InstrumentIndex(0), state.exposure.marks[0]);
        precision::check(order, AccountIndex(0), index, instrument, mark, PrecisionMode::Reject).is_ok()
    }
}
