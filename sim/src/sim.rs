//! One run: the gateway, its clients, its venues, its disk and its clocks on one thread.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tollgate_contract::venue::{Quote, VenueReport, VenueRequest};
use tollgate_core::record::Record;
use tollgate_core::recovery::Recovery;
use tollgate_core::{State, link::FromHot};
use tollgate_journal::Durability;
use tollgate_protocol::event::Event;
use tollgate_protocol::identity::{CommandId, OrderId};
use tollgate_protocol::instrument::InstrumentIndex;

use crate::client::{Client, Incoming, Session};
use crate::coverage::Coverage;
use crate::fault::{Fault, Kind};
use crate::gateway::{Gateway, StartFailure};
use crate::journal::{ProcessEnds, SharedDisk};
use crate::mutation::Mutation;
use crate::random::{Fingerprint, Random};
use crate::setup::{Hazard, Setup};
use crate::socket::SimSocket;
use crate::venue::{Link, Paper};
use crate::world::Clock;

/// What happened, and why.
pub type Outcome = Result<(), Fault>;

/// A handover that the door has got back.
pub(crate) type Home = Box<tollgate_core::link::Handover<SimSocket>>;

/// The records so far, as a reader of the journal takes them.
pub struct Shadow {
    /// The state that they give.
    pub recovery: Recovery,
    /// How many of them were taken.
    pub taken: usize,
    /// By client, the events that they tell, each with its record.
    pub events: Vec<Vec<(u64, Event)>>,
    /// The record of each client's command.
    pub commands: BTreeMap<(u16, CommandId), u64>,
}

/// A run.
pub struct Sim {
    /// What it began with.
    pub setup: Setup,
    /// Its number.
    pub seed: u64,
    /// The clocks.
    pub clock: Clock,
    /// The disk.
    pub disk: SharedDisk,
    /// The ways to the venues, and the venues.
    pub links: Vec<Link>,
    /// The clients.
    pub clients: Vec<Client>,
    /// The process, while it runs.
    pub gateway: Option<Gateway>,
    /// What the journal says.
    pub shadow: Shadow,
    /// Sessions that the hot path gave back.
    pub(crate) behind: Vec<Home>,
    /// Orders that left for a venue.
    pub(crate) placed: BTreeMap<OrderId, (u16, CommandId)>,
    /// The order that each client's command placed.
    pub(crate) placed_by: BTreeMap<(u16, CommandId), OrderId>,
    /// The middle price of each instrument, in ticks.
    pub mids: Vec<i64>,
    pub(crate) next_session: u64,
    /// A mistake that is planted in what surrounds the core.
    pub mutation: Option<Mutation>,
    pub(crate) reports_seen: u64,
    /// What was reached.
    pub coverage: Coverage,
    /// What two runs are compared by.
    pub fingerprint: Fingerprint,
    /// What happened, in words; `None` when nobody wants to know.
    pub trace: Option<Vec<String>>,
}

/// Notes a line of the trace, whose words are made only when somebody wants them.
macro_rules! note {
    ($sim:expr, $($words:tt)+) => {
        if $sim.trace.is_some() {
            let line = format!($($words)+);
            $sim.write_down(&line);
        }
    };
}
pub(crate) use note;

impl Shadow {
    fn new(setup: &Setup) -> Self {
        let clients = setup.settings.clients.len();
        Self {
            recovery: Recovery::new(State::empty(&setup.settings, 1)),
            taken: 0,
            events: vec![Vec::new(); clients],
            commands: BTreeMap::new(),
        }
    }
}

impl Sim {
    /// Before anything has happened.
    pub fn new(setup: Setup, seed: u64) -> Result<Self, String> {
        let mut sim = Self {
            clock: Clock::new(),
            disk: SharedDisk::new(setup.durability),
            links: Vec::new(),
            clients: (0..setup.settings.clients.len() as u16).map(Client::new).collect(),
            gateway: None,
            shadow: Shadow::new(&setup),
            behind: Vec::new(),
            placed: BTreeMap::new(),
            placed_by: BTreeMap::new(),
            mids: vec![10_000, 10_000, 5_000],
            next_session: 1,
            mutation: None,
            reports_seen: 0,
            coverage: Coverage::default(),
            fingerprint: Fingerprint::new(),
            trace: None,
            seed,
            setup,
        };
        sim.open_venues()?;
        Ok(sim)
    }

    fn open_venues(&mut self) -> Result<(), String> {
        self.links.clear();
        for venue in 0..self.setup.settings.venues.len() as u16 {
            let model = Paper::new(&self.setup, venue, self.seed ^ u64::from(venue))?;
            let mut link = Link::new(Box::new(model), &self.setup);
            let mut random = Random::new(self.seed);
            for instrument in 0..self.mids.len() as u16 {
                link.quote(self.clock.wall_ns(), self.quote_of(instrument), &mut random);
            }
            self.links.push(link);
        }
        Ok(())
    }

    pub(crate) fn write_down(&mut self, line: &str) {
        let (wall, monotonic) = (self.clock.wall_ns(), self.clock.monotonic_ns());
        let ahead = wall as i128 - i128::from(crate::world::START_NS) - i128::from(monotonic);
        let clock = if ahead == 0 { String::new() } else { format!(" (wall {:+} ms)", ahead / 1_000_000) };
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>12.3} ms{clock} {line}", Milliseconds(monotonic)));
        }
    }

    pub(crate) fn quote_of(&self, instrument: u16) -> Quote {
        let mid = self.mids[usize::from(instrument)];
        Quote { instrument: InstrumentIndex(instrument), bid_ticks: mid - 1, ask_ticks: mid + 1 }
    }

    /// The venue of an instrument.
    pub(crate) fn venue_of(&self, instrument: u16) -> usize {
        usize::from(self.setup.settings.instruments[usize::from(instrument)].instrument.venue)
    }

    /// A price goes to its venue.
    pub(crate) fn send_quote(&mut self, instrument: u16, random: &mut Random) {
        let (venue, quote, now_ns) =
            (self.venue_of(instrument), self.quote_of(instrument), self.clock.wall_ns());
        self.links[venue].quote(now_ns, quote, random);
    }

    /// Starts the process: recovery from what the disk has, then the first records of its life.
    pub fn start(&mut self) -> Outcome {
        if self.gateway.is_some() {
            return Ok(());
        }
        self.coverage.starts += 1;
        note!(self, "start: {} records", self.disk.lock().last());
        let started = catch_unwind(AssertUnwindSafe(|| {
            Gateway::start(&self.setup, &self.clock, &self.disk, self.links.len(), self.seed)
        }));
        match started {
            Ok(Ok((mut gateway, digest))) => {
                let known = self.shadow.recovery.state.digest();
                if digest != known {
                    return self.fail(
                        Kind::StateDiffers,
                        "recovery gives another state than the records did one by one",
                    );
                }
                let begun = catch_unwind(AssertUnwindSafe(|| gateway.hot.begin()));
                self.gateway = Some(gateway);
                match begun {
                    Ok(()) => self.scan(),
                    Err(thrown) => self.thrown(&*thrown),
                }
            }
            Ok(Err(StartFailure::JournalFull)) => {
                note!(self, "the start finds no room in the journal");
                self.scan()
            }
            Ok(Err(StartFailure::Recovery(words))) => self.fail(Kind::RecoveryFailed, &words),
            Err(thrown) => self.thrown(&*thrown),
        }
    }

    pub(crate) fn fail<T>(&self, kind: Kind, words: &str) -> Result<T, Fault> {
        Err(Fault { kind, words: words.to_owned() })
    }

    /// Something was thrown: the end of the process that was asked for, or a panic.
    pub(crate) fn thrown(&mut self, thrown: &(dyn std::any::Any + Send)) -> Outcome {
        if thrown.is::<ProcessEnds>() {
            let point = self.disk.lock().crashed_at.take();
            if let Some((kind, is_written)) = point {
                let when = if is_written { "after" } else { "before" };
                note!(self, "the process ends {when} a record of kind {}", Record::kind_name(kind));
                self.coverage.crashed(kind, is_written);
            }
            return self.crash(false, &mut Random::new(self.clock.monotonic_ns() ^ self.seed));
        }
        let words = thrown
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| thrown.downcast_ref::<&str>().map(|words| (*words).to_owned()))
            .unwrap_or_default();
        self.gateway = None;
        self.fail(Kind::Panic, &words)
    }

    /// The process ends, and the machine too when the power fails.
    pub fn crash(&mut self, power_fails: bool, random: &mut Random) -> Outcome {
        let scanned = self.scan();
        let lanes = self.gateway.take().map(Gateway::into_lanes);
        self.behind.clear();
        for request in lanes.iter().flatten().flatten() {
            if let VenueRequest::New(order) = request {
                self.check_order(order)?;
            }
        }
        let mut disk = self.disk.lock();
        let last = disk.last();
        let lost_tail = self.setup.hazards.has(Hazard::LostTail);
        let kept = match disk.durability {
            Durability::None => 0,
            Durability::Disk if power_fails && !disk.has_failed => {
                disk.synced + random.below(last - disk.synced + 1)
            }
            Durability::Process if power_fails && lost_tail => last - random.below(last.min(30) + 1),
            _ => last,
        };
        disk.truncate(kept);
        // What a process left in the page cache, the next one finds on the disk sooner or later.
        disk.synced = kept;
        (disk.crash, disk.has_failed, disk.is_hung) = (None, false, false);
        drop(disk);
        note!(
            self,
            "the process is gone{}; {kept} of {last} records are left",
            if power_fails { ", the power too" } else { "" }
        );
        for (venue, lane) in lanes.into_iter().flatten().enumerate() {
            self.links[venue].orphan(lane, random);
        }
        self.lose_connections(random)?;
        if kept < last {
            self.rebuild_shadow()?;
        }
        if self.setup.durability == Durability::None {
            self.begin_anew().map_err(|words| Fault { kind: Kind::RecoveryFailed, words })?;
        }
        scanned
    }

    /// Without a journal nothing is left: a new gateway, clients that begin anew, and a venue to match.
    fn begin_anew(&mut self) -> Result<(), String> {
        self.clients.iter_mut().for_each(Client::forget);
        if !self.setup.hazards.has(Hazard::LostTail) {
            self.placed.clear();
            self.placed_by.clear();
            self.open_venues()?;
        }
        Ok(())
    }

    /// What was on its way to clients arrives as far as it does.
    fn lose_connections(&mut self, random: &mut Random) -> Outcome {
        for client in &mut self.clients {
            for session in &mut client.sessions {
                let mut pipe = session.pipe.lock();
                let arrives = random.below(pipe.to_client.len() as u64 + 1) as usize;
                if random.percent(70) {
                    pipe.to_client.truncate(arrives);
                }
                drop(pipe);
                session.is_slow = false;
            }
        }
        let read = self.read_clients();
        self.clients.iter_mut().for_each(|client| client.sessions.clear());
        read
    }

    fn rebuild_shadow(&mut self) -> Outcome {
        self.shadow = Shadow::new(&self.setup);
        let coverage = std::mem::take(&mut self.coverage);
        let fingerprint = self.fingerprint;
        let scanned = self.scan();
        (self.coverage, self.fingerprint) = (coverage, fingerprint);
        scanned
    }

    /// One turn of the gateway, and what belongs to it.
    pub fn pump(&mut self, random: &mut Random) -> Outcome {
        self.tick_links(random);
        if let Some(gateway) = &mut self.gateway {
            self.coverage.turns += 1;
            gateway.poll();
            let turned = catch_unwind(AssertUnwindSafe(|| gateway.hot.turn()));
            if let Err(thrown) = turned {
                self.scan()?;
                return self.thrown(&*thrown);
            }
            if gateway.hot.is_stopping() {
                return self.stop(random);
            }
        }
        self.scan()?;
        self.take_requests(random)?;
        self.take_farewells();
        self.read_clients()?;
        self.catch_up();
        if random.percent(self.setup.syncs) {
            let mut disk = self.disk.lock();
            let last = disk.last();
            let upto =
                if random.percent(20) { disk.synced + random.below(last - disk.synced + 1) } else { last };
            disk.sync(upto);
        }
        Ok(())
    }

    fn tick_links(&mut self, random: &mut Random) {
        let now_ns = self.clock.wall_ns_max();
        for venue in 0..self.links.len() {
            self.links[venue].tick(now_ns, random);
            let Some(gateway) = &mut self.gateway else { continue };
            while let Some(report) = self.links[venue].outgoing.pop_front() {
                if let VenueReport::Order { order_id, body } = &report {
                    self.reports_seen += 1;
                    if Mutation::LoseReport.is(self.mutation) && self.reports_seen.is_multiple_of(16) {
                        continue;
                    }
                    if self.trace.is_some() {
                        let line = format!("venue {venue} says of order {}: {body:?}", order_id.0);
                        let monotonic = self.clock.monotonic_ns();
                        if let Some(trace) = &mut self.trace {
                            trace.push(format!("{:>12.3} ms {line}", Milliseconds(monotonic)));
                        }
                    }
                }
                if let Err(report) = gateway.reports[venue].send_reserved(report) {
                    self.links[venue].outgoing.push_front(report);
                    break;
                }
            }
        }
    }

    /// Takes what the gateway asks of venues off the lanes.
    fn take_requests(&mut self, random: &mut Random) -> Outcome {
        for venue in 0..self.links.len() {
            while let Some(request) =
                self.gateway.as_mut().and_then(|gateway| gateway.requests[venue].receive())
            {
                note!(self, "to venue {venue}: {request:?}");
                if let VenueRequest::New(order) = &request {
                    self.check_order(order)?;
                }
                self.links[venue].take(self.clock.wall_ns_max(), request, random);
            }
        }
        Ok(())
    }

    fn take_farewells(&mut self) {
        while let Some(message) = self.gateway.as_mut().and_then(|gateway| gateway.from_hot.receive()) {
            match message {
                FromHot::Ended { session_id, code, .. } => {
                    note!(self, "session {session_id} ended: {}", code.map_or("goodbye", |code| code.name()));
                    if let Some(code) = code {
                        self.coverage.ended(code);
                    }
                }
                FromHot::Behind(home) => self.behind.push(home),
                // Its record was compared where it stands.
                FromHot::Digest { .. } | FromHot::Notice(_) => {}
            }
        }
    }

    /// Clients read what has come.
    pub(crate) fn read_clients(&mut self) -> Outcome {
        for at in 0..self.clients.len() {
            for session in 0..self.clients[at].sessions.len() {
                self.read_session(at, session)?;
            }
            self.clients[at].sessions.retain(|session| !is_over(session));
        }
        Ok(())
    }

    fn read_session(&mut self, at: usize, session: usize) -> Outcome {
        let (gate, events) = (self.told_up_to(), &self.shadow.events[at]);
        let mut lines = Vec::new();
        let wants_lines = self.trace.is_some();
        let (coverage, fingerprint) = (&mut self.coverage, &mut self.fingerprint);
        let read = self.clients[at].read(session, self.setup.hazards, |session_id, incoming| {
            if wants_lines {
                lines.push(format!("client {at}, session {session_id} reads {incoming:?}"));
            }
            match incoming {
                Incoming::Event(event) => {
                    fingerprint.number(event.event_sequence);
                    crate::check::told(at, &event, events, gate)
                }
                Incoming::Answer(answer) => {
                    fingerprint.number(answer.command_id.0 as u64);
                    if let tollgate_protocol::answer::AnswerBody::Refused(reject) = answer.body {
                        coverage.refused(reject.code);
                    }
                    Ok(())
                }
                Incoming::Goodbye(goodbye) => {
                    coverage.ended(goodbye.code);
                    fingerprint.number(u64::from(goodbye.code.number()));
                    Ok(())
                }
            }
        });
        for line in lines {
            self.write_down(&line);
        }
        read
    }

    /// Up to which record clients may have been told.
    fn told_up_to(&self) -> u64 {
        let disk = self.disk.lock();
        if disk.has_failed || disk.durability != Durability::Disk { u64::MAX } else { disk.synced }
    }

    /// The process is told to stop, and does.
    fn stop(&mut self, random: &mut Random) -> Outcome {
        self.scan()?;
        self.take_requests(random)?;
        self.take_farewells();
        let Some(gateway) = self.gateway.take() else { return Ok(()) };
        note!(self, "the process ends in order");
        let ended = catch_unwind(AssertUnwindSafe(|| gateway.end()));
        self.scan()?;
        let (state, lanes) = match ended {
            Ok(ended) => ended,
            Err(thrown) => return self.thrown(&*thrown),
        };
        // A day that has ended since the last record has ended for the running state alone.
        let known = &self.shadow.recovery.state;
        if state.day_ends_ns == known.day_ends_ns && state.digest() != known.digest() {
            return self.fail(Kind::StateDiffers, "the state at the end is not what its records give");
        }
        for (venue, lane) in lanes.into_iter().enumerate() {
            for request in &lane {
                if let VenueRequest::New(order) = request {
                    self.check_order(order)?;
                }
            }
            self.links[venue].orphan(lane, random);
        }
        self.clients
            .iter_mut()
            .flat_map(|client| &mut client.sessions)
            .for_each(|session| session.is_slow = false);
        self.read_clients()?;
        self.crash(false, random)
    }
}

/// Nothing more comes of it.
fn is_over(session: &Session) -> bool {
    let pipe = session.pipe.lock();
    (pipe.gateway_ended || pipe.is_broken) && pipe.to_client.is_empty()
}

/// Nanoseconds, shown in milliseconds.
pub(crate) struct Milliseconds(pub(crate) u64);

impl std::fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1_000_000, self.0 / 1_000 % 1_000);
        f.pad_integral(true, "", &text)
    }
}
