//! Venues and the rough ways to them. A venue is a [`Model`]; the [`Link`] before it loses, doubles, delays and reorders,
//! within what the contract lets a venue do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tollgate_bridge::paper::{Engine, Faults, PaperSettings};
use tollgate_config::Settings;
use tollgate_contract::venue::{Quote, ReportBody, VenueOrderState, VenueReport, VenueRequest};
use tollgate_protocol::identity::{AccountIndex, OrderId};
use tollgate_protocol::instrument::{Instrument, InstrumentIndex};
use tollgate_protocol::text::Remark;

use crate::random::Random;
use crate::setup::{Hazard, Hazards, Roughness, Setup};

/// A venue behind an adapter: hears requests, prices and the time, says reports at once. What makes the ways to it rough
/// is not its business.
pub trait Model {
    /// Hears a request.
    fn request(&mut self, now_ns: u64, request: VenueRequest, out: &mut Vec<VenueReport>);
    /// Hears a price.
    fn quote(&mut self, now_ns: u64, quote: Quote, out: &mut Vec<VenueReport>);
    /// Hears the time.
    fn tick(&mut self, now_ns: u64, out: &mut Vec<VenueReport>);
    /// What it holds of an account, in steps; below 0 when short.
    fn position_steps(&self, account: AccountIndex, instrument: InstrumentIndex) -> i64;
    /// How often an order came whose id was used before.
    fn duplicates(&self) -> u64;
}

/// The paper venue.
pub struct Paper(Engine);

impl Paper {
    /// The venue at this place of the settings.
    pub fn new(setup: &Setup, venue: u16, seed: u64) -> Result<Self, String> {
        let settings = PaperSettings {
            venue,
            seed,
            liquidity_steps: vec![30, 40, 0],
            fee_maker_ppm: -50,
            fee_taker_ppm: 200,
            faults: Faults { reject_per_million: setup.venue_refusals_per_million, ..Faults::default() },
            ..PaperSettings::default()
        };
        let engine =
            Engine::new(settings, instruments(&setup.settings)).map_err(|error| error.to_string())?;
        Ok(Self(engine))
    }
}

fn instruments(settings: &Settings) -> Arc<[Instrument]> {
    settings.instruments.iter().map(|entry| entry.instrument).collect()
}

impl Model for Paper {
    fn request(&mut self, now_ns: u64, request: VenueRequest, out: &mut Vec<VenueReport>) {
        self.0.request(now_ns, request, &mut |report| out.push(report));
    }

    fn quote(&mut self, now_ns: u64, quote: Quote, out: &mut Vec<VenueReport>) {
        self.0.quote(now_ns, quote, &mut |report| out.push(report));
    }

    fn tick(&mut self, now_ns: u64, out: &mut Vec<VenueReport>) {
        self.0.tick(now_ns, &mut |report| out.push(report));
    }

    fn position_steps(&self, account: AccountIndex, instrument: InstrumentIndex) -> i64 {
        self.0.position_steps(account, instrument)
    }

    fn duplicates(&self) -> u64 {
        self.0.statistics().duplicates
    }
}

/// How an order stands at its venue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Total quantity, in steps.
    pub quantity_steps: i64,
    /// Filled, in steps.
    pub filled_steps: i64,
    /// Where it stands.
    pub state: VenueOrderState,
}

/// The way to a venue, and the venue.
pub struct Link {
    model: Box<dyn Model>,
    roughness: Roughness,
    hazards: Hazards,
    /// When a broken connection comes back; `None` while it stands.
    down_until_ns: Option<u64>,
    /// Requests that are on their way.
    inbound: VecDeque<(u64, VenueRequest)>,
    /// Reports that are on their way; and whether a break of the connection cannot take them.
    waiting: BTreeMap<(u64, u64), (VenueReport, bool)>,
    /// When the last report of an order comes that keeps its order.
    last_due_ns: BTreeMap<OrderId, u64>,
    sequence: u64,
    /// What the lane had no room for yet.
    pub outgoing: VecDeque<VenueReport>,
    /// The last price of each instrument that it trades.
    quotes: BTreeMap<u16, Quote>,
    /// Fills that were told late: their orders may count as final, and nobody asks for them again.
    late_fills: Vec<VenueReport>,
    /// Ids of orders that arrived.
    pub arrived: BTreeSet<OrderId>,
    now_ns: u64,
}

impl Link {
    /// A connection that comes up at the first tick.
    pub fn new(model: Box<dyn Model>, setup: &Setup) -> Self {
        Self {
            model,
            roughness: setup.roughness,
            hazards: setup.hazards,
            down_until_ns: Some(0),
            inbound: VecDeque::new(),
            waiting: BTreeMap::new(),
            last_due_ns: BTreeMap::new(),
            sequence: 0,
            outgoing: VecDeque::new(),
            quotes: BTreeMap::new(),
            late_fills: Vec::new(),
            arrived: BTreeSet::new(),
            now_ns: 0,
        }
    }

    /// From now on nothing goes wrong.
    pub fn smooth(&mut self) {
        self.roughness = Roughness::default();
        if let Some(until) = &mut self.down_until_ns {
            *until = 0;
        }
    }

    /// True while the connection stands.
    pub fn is_up(&self) -> bool {
        self.down_until_ns.is_none()
    }

    /// True when nothing is on its way.
    pub fn is_quiet(&self) -> bool {
        self.is_up() && self.inbound.is_empty() && self.waiting.is_empty() && self.outgoing.is_empty()
    }

    /// The venue itself.
    pub fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// Takes a request off the gateway's lane.
    pub fn take(&mut self, now_ns: u64, request: VenueRequest, random: &mut Random) {
        let slow = if random.percent(self.roughness.slow_requests) { random.below(300_000_000) } else { 0 };
        let earliest = self.inbound.back().map_or(0, |(due_ns, _)| *due_ns);
        self.inbound.push_back(((now_ns + slow).max(earliest), request));
    }

    /// Lets what is due happen.
    pub fn tick(&mut self, now_ns: u64, random: &mut Random) {
        self.now_ns = self.now_ns.max(now_ns);
        if self.down_until_ns.is_some_and(|until_ns| until_ns <= self.now_ns) {
            self.down_until_ns = None;
            self.outgoing.push_back(VenueReport::Connected);
            self.outgoing.extend(self.quotes.values().map(|quote| VenueReport::Quote(*quote)));
        }
        let mut out = Vec::new();
        self.model.tick(self.now_ns, &mut out);
        self.say(out, random);
        // What is due by now keeps its order: the requests that come first are heard first.
        while self.inbound.front().is_some_and(|(due_ns, _)| *due_ns <= self.now_ns) {
            if let Some((_, request)) = self.inbound.pop_front() {
                self.arrive(request, random);
            }
        }
        while self.is_up()
            && let Some(first) = self.waiting.first_entry()
            && first.key().0 <= self.now_ns
        {
            self.outgoing.push_back(first.remove().0);
        }
    }

    fn arrive(&mut self, request: VenueRequest, random: &mut Random) {
        let order_id = order_id_of(&request);
        let is_question = matches!(request, VenueRequest::Query(_));
        if !self.is_up() {
            if !is_question && random.percent(50) {
                self.carry_out(request);
            }
            self.outgoing.push_back(unknown(order_id, "the connection is broken"));
            return;
        }
        let mut out = self.carry_out(request);
        if !is_question && random.percent(self.roughness.lost_replies) {
            let due_ns = self.now_ns + random.below(1_000_000_000);
            self.send_at(due_ns, unknown(order_id, "no answer came in time"), true);
            return;
        }
        if is_question && random.percent(self.roughness.unsure_answers) {
            // It may be behind, and says so: the order may stand there all the same.
            let body = ReportBody::NotFound { definitive: false };
            out = vec![VenueReport::Order { order_id, body }];
        }
        self.say(out, random);
    }

    fn carry_out(&mut self, request: VenueRequest) -> Vec<VenueReport> {
        if let VenueRequest::New(order) = &request {
            self.arrived.insert(order.order_id);
        }
        let mut out = Vec::new();
        self.model.request(self.now_ns, request, &mut out);
        out
    }

    /// A price comes.
    pub fn quote(&mut self, now_ns: u64, quote: Quote, random: &mut Random) {
        self.now_ns = self.now_ns.max(now_ns);
        self.quotes.insert(quote.instrument.0, quote);
        let mut out = Vec::new();
        self.model.quote(self.now_ns, quote, &mut out);
        self.say(out, random);
    }

    fn say(&mut self, reports: Vec<VenueReport>, random: &mut Random) {
        for report in reports {
            match report {
                VenueReport::Quote(_) if self.is_up() => self.outgoing.push_back(report),
                VenueReport::Order { body, .. } if self.is_up() => self.send(report, &body, random),
                // The connection is the link's.
                _ => {}
            }
        }
    }

    fn send(&mut self, report: VenueReport, body: &ReportBody, random: &mut Random) {
        let rough = self.roughness;
        let is_fill = matches!(body, ReportBody::Filled { .. });
        let may_overtake = is_fill || self.hazards.has(Hazard::StateReorder) && !is_answer(body);
        if may_overtake && random.percent(rough.overtaken_fills) {
            self.sequence += 1;
            let due_ns = self.now_ns + random.below(3_000_000_000);
            if is_fill {
                self.late_fills.push(report);
            }
            self.waiting.insert((due_ns, self.sequence), (report, true));
            return;
        }
        let late = if random.percent(rough.late) { random.below(1_500_000_000) } else { 0 };
        self.send_at(self.now_ns + late, report, false);
        if !is_answer(body) && random.percent(rough.doubled) {
            if is_fill {
                self.sequence += 1;
                let due_ns = self.now_ns + late + random.below(5_000_000_000);
                self.waiting.insert((due_ns, self.sequence), (report, true));
            } else {
                self.send_at(self.now_ns + late, report, false);
            }
        }
    }

    /// Sends at `due_ns`, or later when an earlier report of the order is still on its way.
    fn send_at(&mut self, due_ns: u64, report: VenueReport, survives: bool) {
        let VenueReport::Order { order_id, .. } = report else { return };
        let due_ns = self.last_due_ns.get(&order_id).map_or(due_ns, |last_ns| due_ns.max(*last_ns));
        self.last_due_ns.insert(order_id, due_ns);
        self.sequence += 1;
        self.waiting.insert((due_ns, self.sequence), (report, survives));
    }

    /// The connection breaks: what is on its way may arrive, and what is said of it does not.
    pub fn break_for(&mut self, nanoseconds: u64, random: &mut Random) {
        if !self.is_up() {
            return;
        }
        self.down_until_ns = Some(self.now_ns + nanoseconds);
        self.lose(random, true);
        let reason = Remark::truncated("the connection is lost");
        self.outgoing.push_back(VenueReport::Disconnected { reason });
    }

    /// The gateway's process has ended: so has the connection. `lane` is what it had sent off.
    pub fn orphan(&mut self, lane: Vec<VenueRequest>, random: &mut Random) {
        let sent = random.below(lane.len() as u64 + 1) as usize;
        self.inbound.extend(lane.into_iter().take(sent).map(|request| (0, request)));
        self.outgoing.clear();
        self.lose(random, false);
        for report in &self.late_fills {
            self.sequence += 1;
            self.waiting.insert((self.now_ns + random.below(1_000_000_000), self.sequence), (*report, true));
        }
        self.down_until_ns = Some(self.now_ns + random.below(20_000_000));
    }

    fn lose(&mut self, random: &mut Random, is_told: bool) {
        self.waiting.retain(|_, (_, survives)| *survives);
        self.last_due_ns.clear();
        // Of one stream, a beginning arrives.
        let mut arrives = true;
        while let Some((_, request)) = self.inbound.pop_front() {
            arrives &= random.percent(70);
            let order_id = order_id_of(&request);
            if arrives {
                self.carry_out(request);
            }
            if is_told {
                self.outgoing.push_back(unknown(order_id, "the connection is lost"));
            }
        }
    }

    /// How an order stands, asked past every fault; `None` when it never arrived.
    pub fn standing(&mut self, order_id: OrderId) -> Option<Standing> {
        let mut out = Vec::new();
        self.model.request(self.now_ns, VenueRequest::Query(order_id), &mut out);
        out.into_iter().find_map(|report| match report {
            VenueReport::Order {
                body: ReportBody::Status { quantity_steps, filled_steps, state, .. },
                ..
            } => Some(Standing { quantity_steps, filled_steps, state }),
            _ => None,
        })
    }
}

fn unknown(order_id: OrderId, reason: &str) -> VenueReport {
    VenueReport::Order { order_id, body: ReportBody::Unknown { reason: Remark::truncated(reason) } }
}

/// What answers a request, and is no state of the order: it comes once.
fn is_answer(body: &ReportBody) -> bool {
    matches!(
        body,
        ReportBody::Unknown { .. }
            | ReportBody::Status { .. }
            | ReportBody::NotFound { .. }
            | ReportBody::CancelRejected { .. }
            | ReportBody::ReplaceRejected { .. }
    )
}

/// The order that a request is about.
pub fn order_id_of(request: &VenueRequest) -> OrderId {
    match request {
        VenueRequest::New(order) => order.order_id,
        VenueRequest::Cancel(order_id)
        | VenueRequest::Replace { order_id, .. }
        | VenueRequest::Query(order_id) => *order_id,
    }
}
