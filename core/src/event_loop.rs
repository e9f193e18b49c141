//! The hot thread's turn, as a list of steps. Nothing in it blocks: waiting is the business of who turns.

mod timers;
mod waiting;

pub use waiting::Readiness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tollgate_config::Settings;
use tollgate_contract::lane::{Receiver, Sender};
use tollgate_contract::venue::{VenueReport, VenueRequest};
use tollgate_journal::{Append, Room};
use tollgate_protocol::command::{Action, Scope};
use tollgate_protocol::event::Durability;
use tollgate_protocol::reject::Code;
use tollgate_protocol::text::Remark;

use super::core::{Asked, Core, LiveQuote, VenueLink};
use super::memory;
use super::outbox::Outbox;
use super::pipeline::{self, Taken};
use super::recent::Recent;
use super::reports;
use super::sample::Sample;
use super::sessions::{Reading, Sessions};
use super::stage::Unwatched;
use super::state::State;
use super::world::World;
use crate::link::{FromHot, Handover, ToHot, Watermark};
use crate::metrics::Metrics;
use crate::record::{Digest, Effect, Origin, Record};

/// Frames of one session in one turn, so that no client keeps the others waiting.
const FRAMES_A_TURN: usize = 64;
/// Forgotten commands taken out of the index in one turn: more than come in one.
const TIDIED_A_TURN: u64 = 256;
/// Reports of one venue in one turn.
const REPORTS_A_TURN: usize = 256;

/// How many milliseconds the end waits for the disk, at most.
const END_WAITS: usize = 1000;

/// Ends the loop from outside.
pub type StopFlag = Arc<AtomicBool>;

/// One venue's ends of its lanes.
pub struct VenueParts {
    /// To the venue.
    pub requests: Sender<VenueRequest>,
    /// From the venue.
    pub reports: Receiver<VenueReport>,
}

/// What the hot thread is made of.
pub struct HotParts<W: World> {
    /// The recovered state.
    pub state: State,
    /// The journal's hot half.
    pub journal: W::Journal,
    /// The venues, in the order of the settings.
    pub venues: Vec<VenueParts>,
    /// From the door.
    pub from_cold: Receiver<ToHot<W::Socket>>,
    /// To the door.
    pub to_cold: Sender<FromHot<W::Socket>>,
    /// Sockets and clocks.
    pub world: W,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Ends the loop.
    pub stop: StopFlag,
}

/// The hot thread.
pub struct Hot<W: World> {
    core: Core<W>,
    sessions: Sessions<W>,
    from_cold: Receiver<ToHot<W::Socket>>,
    to_cold: Sender<FromHot<W::Socket>>,
    /// What the lane to the door had no room for yet.
    farewells: std::collections::VecDeque<FromHot<W::Socket>>,
    world: W,
    stop: StopFlag,
    timers_ns: u64,
    samples_ns: u64,
    asks_ns: u64,
    published_ns: u64,
    heartbeat_timeout_ns: u64,
    frame_timeout_ns: u64,
    stage_sample_every: u32,
    until_sample: u32,
    /// By client: when it was last heard.
    heard_ns: Box<[u64]>,
    /// By client: its dead man's switch has acted, until it is heard again.
    dead: Box<[bool]>,
    journal_failed: bool,
    /// The watermark that the last write went by.
    written_durable: u64,
    stopping: bool,
    /// Commands of this turn.
    commands_in_turn: usize,
    reports_in_turn: u64,
    /// The poll may have slept since the last turn.
    slept: bool,
}

impl<W: World> Hot<W> {
    /// Puts the parts together. Everything that is ever needed is made here.
    pub fn new(settings: &Settings, parts: HotParts<W>) -> Self {
        let capacity = settings.capacity.open_orders_max;
        // Twice what one cancel, one replace and one question for every open order take: see `Outbox::push`.
        let outbox = 2 * (settings.capacity.lane_messages + 3 * capacity);
        let slots = capacity + settings.capacity.finished_orders_remembered.max(1);
        let clients = parts.state.rules.clients.len();
        let venues = parts.venues.into_iter().map(|venue| VenueLink {
            outbox: Outbox::new(outbox),
            requests: venue.requests,
            reports: venue.reports,
            held: None,
            reserved: settings.capacity.lane_reserved,
            unrung: false,
        });
        let session_settings = &settings.sessions;
        let core = Core {
            quotes: vec![LiveQuote::default(); parts.state.rules.instruments.len()].into_boxed_slice(),
            state: parts.state,
            journal: parts.journal,
            durability: settings.journal.durability,
            venues: venues.collect(),
            recent: Recent::new(),
            sent_ns: memory::filled(0, slots),
            asked: memory::filled(Asked::default(), slots),
            metrics: parts.metrics,
            now_ns: 0,
        };
        Self {
            core,
            sessions: Sessions::new(
                session_settings.sessions_max,
                session_settings.sessions_per_client_max,
                clients,
                session_settings.receive_buffer_bytes,
                session_settings.send_buffer_bytes,
            ),
            from_cold: parts.from_cold,
            to_cold: parts.to_cold,
            farewells: std::collections::VecDeque::with_capacity(4 * session_settings.sessions_max),
            world: parts.world,
            stop: parts.stop,
            timers_ns: 0,
            samples_ns: 0,
            asks_ns: 0,
            published_ns: 0,
            heartbeat_timeout_ns: u64::from(session_settings.heartbeat_timeout_ms) * 1_000_000,
            frame_timeout_ns: u64::from(session_settings.frame_timeout_ms) * 1_000_000,
            stage_sample_every: settings.hot.stage_sample_every,
            until_sample: settings.hot.stage_sample_every,
            heard_ns: vec![0; clients].into_boxed_slice(),
            dead: vec![false; clients].into_boxed_slice(),
            journal_failed: false,
            written_durable: 0,
            stopping: false,
            commands_in_turn: 0,
            reports_in_turn: 0,
            slept: false,
        }
    }

    /// What the pipeline works on: for measurements of it alone.
    pub(crate) fn parts(&mut self) -> (&mut Core<W>, &mut Sessions<W>) {
        (&mut self.core, &mut self.sessions)
    }

    /// Takes a session over, outside of any turn.
    pub(crate) fn adopt(&mut self, home: Box<Handover<W::Socket>>) {
        self.begin_session(home);
    }

    /// What a crash left in flight is unknown until its venue has been asked.
    pub fn begin(&mut self) {
        self.core.now_ns = self.world.wall_ns();
        for venue in 0..self.core.venues.len() {
            let reason = Remark::truncated("the gateway stopped before the venue answered");
            // Without room in the journal they are told when the venue connects.
            let _ = reports::lost_in_flight(&mut self.core, &mut self.sessions, venue, reason);
        }
        self.heard_ns.fill(self.core.now_ns);
    }

    /// One turn.
    #[inline]
    pub fn turn(&mut self) {
        self.begin_turn();
        self.take_control();
        self.take_reports();
        self.read_sessions();
        self.core.flush_outboxes();
        self.core.journal.publish();
        self.write_sessions();
        self.core.wake_venues();
        self.core.state.dedupe.tidy(TIDIED_A_TURN);
        self.timers();
        self.say_farewells();
        if self.commands_in_turn as u64 + self.reports_in_turn > 0 {
            self.core.prefetch_next();
        }
    }

    /// The one look at the clock. How long the last turn took is known here, without a second look.
    #[inline]
    fn begin_turn(&mut self) {
        let now_ns = self.core.now_ns.max(self.world.wall_ns());
        let metrics = &self.core.metrics;
        let commands = self.commands_in_turn as u64;
        if commands + self.reports_in_turn > 0 && !self.slept {
            let length_ns = now_ns - self.core.now_ns;
            metrics.turn_time.record(length_ns);
            metrics.command_latency.record_times(length_ns, commands);
        }
        self.commands_in_turn = 0;
        self.reports_in_turn = 0;
        self.slept = false;
        metrics.turns.add(1);
        metrics.last_turn_ns.set(now_ns);
        self.core.now_ns = now_ns;
        self.core.state.advance(now_ns);
    }

    /// Sessions that begin, keys that end, the end of the process.
    #[inline]
    fn take_control(&mut self) {
        while let Some(message) = self.from_cold.receive() {
            match message {
                ToHot::Session(home) => self.begin_session(home),
                ToHot::EndKey(key_id) => {
                    for at in 0..self.sessions.active().len() {
                        let slot = self.sessions.active()[at];
                        if let Some(session) = self.sessions.get(slot)
                            && session.home.grant.key_id == key_id
                        {
                            session.goodbye(Code::SessionKeyEnded);
                            self.sessions.touch(slot);
                        }
                    }
                }
                ToHot::Digest => self.write_digest(),
                ToHot::Stop => self.stop.store(true, Ordering::Relaxed),
            }
        }
        if self.stop.load(Ordering::Relaxed) {
            self.stopping = true;
        }
    }

    fn begin_session(&mut self, home: Box<Handover<W::Socket>>) {
        let session_id = home.session_id;
        match self.sessions.insert(home, &mut self.world, self.core.now_ns) {
            Ok(slot) => {
                if self.core.catch_up(&mut self.sessions, slot) {
                    self.core.metrics.sessions_begun.add(1);
                    self.hear(slot);
                } else if let Some(mut home) = self.sessions.remove(slot, &mut self.world) {
                    // Nothing of it was heard: its dead man's switch runs on.
                    let sequence = self.core.journal.durable_sequence();
                    home.watermark = Watermark { sequence, is_final: self.journal_failed };
                    self.farewells.push_back(FromHot::Behind(home));
                }
            }
            Err(home) => {
                let client = home.client;
                let code = Some(Code::SessionLimit);
                self.farewells.push_back(FromHot::Ended {
                    session_id,
                    client,
                    code,
                    is_lost: false,
                    remains: home,
                });
            }
        }
        self.core.metrics.sessions.set(self.sessions.active().len() as u64);
    }

    /// The client of a session shows that it lives.
    fn hear(&mut self, slot: u16) {
        if let Some(session) = self.sessions.get(slot) {
            let client = usize::from(session.home.client);
            (self.heard_ns[client], self.dead[client]) = (self.core.now_ns, false);
        }
    }

    fn write_digest(&mut self) {
        let hash = self.core.state.digest();
        if let Ok(sequence) =
            self.core.commit(Room::Ordinary, &Record::Digest(Digest { shape: self.core.state.shape(), hash }))
        {
            self.farewells.push_back(FromHot::Digest { hash, sequence });
        }
    }

    /// What the venues say.
    #[inline]
    fn take_reports(&mut self) {
        for venue in 0..self.core.venues.len() {
            for _ in 0..REPORTS_A_TURN {
                let link = &mut self.core.venues[venue];
                let Some(report) = link.held.take().or_else(|| link.reports.receive()) else { break };
                if reports::take(&mut self.core, &mut self.sessions, venue, &report).is_err() {
                    // The journal is full to the end of its reserve: nothing of what venues say may be lost.
                    self.core.venues[venue].held = Some(report);
                    break;
                }
                self.reports_in_turn += 1;
            }
        }
    }

    /// What the clients say.
    #[inline]
    fn read_sessions(&mut self) {
        let mut at = 0;
        while at < self.sessions.active().len() {
            let slot = self.sessions.active()[at];
            at += 1;
            if self.sessions.get(slot).is_some_and(|session| session.readable && session.ending.is_none()) {
                self.commands_in_turn += self.read_session(slot);
            }
        }
    }

    #[inline]
    fn read_session(&mut self, slot: u16) -> usize {
        let Some(session) = self.sessions.get(slot) else { return 0 };
        let (reading, length) = session.read(self.core.now_ns);
        if reading == Reading::Drained && session.received().is_empty() && session.asking.is_none() {
            session.readable = false;
            return 0;
        }
        self.core.metrics.bytes_received.add(length as u64);
        let mut frames = 0;
        let verdict = loop {
            if frames == FRAMES_A_TURN {
                break Ok(true);
            }
            match self.take_frame(slot) {
                Ok(Taken::Frame) => frames += 1,
                Ok(Taken::Incomplete) => break Ok(reading == Reading::More),
                Ok(Taken::Answering) => break Ok(true),
                Ok(Taken::Goodbye) => {
                    self.end_session(slot, None);
                    return frames;
                }
                Err(code) => break Err(code),
            }
        };
        if frames > 0 {
            self.hear(slot);
        }
        let Some(session) = self.sessions.get(slot) else { return frames };
        match verdict {
            Ok(more) => session.readable = more,
            Err(code) => {
                session.goodbye(code);
                self.sessions.touch(slot);
            }
        }
        // Frames that came before the end are served first: the last of them may be a goodbye.
        if reading == Reading::Closed
            && verdict.is_ok()
            && frames < FRAMES_A_TURN
            && self.sessions.get(slot).is_none_or(|s| s.asking.is_none())
        {
            self.lose_session(slot);
        }
        frames
    }

    #[inline]
    fn take_frame(&mut self, slot: u16) -> Result<Taken, Code> {
        let (core, sessions) = (&mut self.core, &mut self.sessions);
        let is_sampled = self.until_sample == 1;
        let taken = if is_sampled {
            let metrics = Arc::clone(&core.metrics);
            pipeline::run(core, sessions, slot, &mut Sample::new(&metrics, &self.world))
        } else {
            pipeline::run(core, sessions, slot, &mut Unwatched)
        };
        // Frames are counted, not looks for one: every read ends with a look that finds none.
        if matches!(taken, Ok(Taken::Frame)) {
            self.until_sample = if is_sampled { self.stage_sample_every } else { self.until_sample - 1 };
        }
        taken
    }

    /// Answers and events into the sockets, as far as they may go.
    #[inline]
    fn write_sessions(&mut self) {
        let durable = self.core.journal.durable_sequence();
        self.written_durable = durable;
        if self.core.durability == Durability::Disk {
            self.touch_released();
        }
        let mut written = 0;
        while let Some(slot) = self.sessions.next_dirty() {
            let Some(session) = self.sessions.get(slot) else { continue };
            match session.write(durable) {
                Some(length) => {
                    written += length;
                    let done = !session.has_outgoing() || session.waits_for_journal() && self.journal_failed;
                    if let Some(code) = session.ending
                        && (done || code == Code::SessionSlowReader)
                    {
                        self.end_session(slot, Some(code));
                    }
                }
                None => match session.ending {
                    Some(code) => self.end_session(slot, Some(code)),
                    None => self.lose_session(slot),
                },
            }
        }
        self.core.metrics.bytes_sent.add(written as u64);
    }

    /// In the disk class, sessions whose bytes waited for the watermark have something to send again.
    fn touch_released(&mut self) {
        for at in 0..self.sessions.active().len() {
            let slot = self.sessions.active()[at];
            if self.sessions.get(slot).is_some_and(|session| session.waits_for_journal()) {
                self.sessions.touch(slot);
            }
        }
    }

    fn end_session(&mut self, slot: u16, code: Option<Code>) {
        self.remove_session(slot, code, false);
    }

    /// The connection broke: there is nobody to say goodbye to.
    fn lose_session(&mut self, slot: u16) {
        self.remove_session(slot, None, true);
    }

    fn remove_session(&mut self, slot: u16, code: Option<Code>, is_lost: bool) {
        let Some(home) = self.sessions.remove(slot, &mut self.world) else { return };
        let (session_id, client) = (home.session_id, home.client);
        if let Some(code) = code {
            Metrics::code(&self.core.metrics.sessions_ended, code);
        }
        if is_lost {
            self.core.metrics.sessions_lost.add(1);
        }
        if is_lost || code.is_some() {
            self.cancel_on_disconnect(client);
        }
        self.core.metrics.sessions.set(self.sessions.active().len() as u64);
        self.farewells.push_back(FromHot::Ended { session_id, client, code, is_lost, remains: home });
    }

    /// A client whose last connection was lost, not closed, may want its orders cancelled.
    fn cancel_on_disconnect(&mut self, client: u16) {
        let rule = &self.core.state.rules.clients[usize::from(client)];
        if rule.cancel_on_disconnect && self.sessions.of_client(client) == 0 {
            self.cancel_all_of(client, Origin::Disconnect, rule.keep_good_till_cancel);
        }
    }

    fn cancel_all_of(&mut self, client: u16, origin: Origin, keep_good_till_cancel: bool) {
        let orders = &self.core.state.orders;
        if !orders.open_slots().iter().any(|slot| orders.get(*slot).client == client) {
            return;
        }
        let effect =
            Effect::Sweep { account: None, instrument: None, client: Some(client), keep_good_till_cancel };
        let action = Action::CancelAll(Scope { symbol: None });
        // Without even reserved room there is nothing that could be done; the journal's state says so.
        let _ = self.core.own_command(client, origin, action, effect);
    }

    #[inline]
    fn say_farewells(&mut self) {
        if self.farewells.is_empty() {
            return;
        }
        while let Some(message) = self.farewells.pop_front() {
            if let Err(message) = self.to_cold.send_reserved(message) {
                self.farewells.push_front(message);
                break;
            }
        }
        self.to_cold.ring();
    }

    /// What was promised to be on the disk is told if it gets there soon.
    fn wait_for_disk(&mut self) {
        for _ in 0..END_WAITS {
            if self.core.journal.durable_sequence() + 1 >= self.core.journal.next_sequence()
                || self.journal_failed
            {
                return;
            }
            self.world.pause();
        }
    }

    /// The last turn: every session hears goodbye, and what may go, goes. Gives the state back for who wants to look at
    /// it.
    pub fn end(mut self) -> State {
        for at in 0..self.sessions.active().len() {
            let slot = self.sessions.active()[at];
            if let Some(session) = self.sessions.get(slot) {
                session.goodbye(Code::SessionShutdown);
                self.sessions.touch(slot);
            }
        }
        self.core.flush_outboxes();
        self.core.wake_venues();
        self.core.journal.publish();
        self.wait_for_disk();
        let durable = self.core.journal.durable_sequence();
        while let Some(slot) = self.sessions.next_dirty() {
            if let Some(session) = self.sessions.get(slot) {
                let _ = session.write(durable);
            }
        }
        self.publish_metrics();
        self.say_farewells();
        self.core.state
    }
}
