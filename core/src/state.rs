//! Everything that a decision rests on. It changes by journal records alone ([`State::apply`]), the same way while
//! running, while recovering and while replaying.

use tollgate_config::Settings;
use tollgate_protocol::answer::OrderStatus;
use tollgate_protocol::command::{Action, HaltScope, TradingState};
use tollgate_protocol::event::{Fill, ReportKind};
use tollgate_protocol::identity::OrderId;
use tollgate_protocol::money::Money;
use tollgate_protocol::reject::{Code, Owner};

use super::dedupe::{Dedupe, FirstAnswer};
use super::exposure::{Exposure, Mark};
use super::halts::{HaltPlace, Halts};
use super::orders::{Order, Orders, Totals};
use super::repeat::Repeats;
use super::rules::Rules;
use super::table::hash_bytes;
use crate::mutation::{self, Mutation};
use crate::record::{
    Child, Effect, Intent, OrderTerms, Origin, Price, Record, RejectionRecord, ReportRecord, VenueState,
};

/// The state of one gateway.
pub struct State {
    /// The settings.
    pub rules: Rules,
    /// Deduplication.
    pub dedupe: Dedupe,
    /// Orders.
    pub orders: Orders,
    /// Positions, working orders, results, counters.
    pub exposure: Exposure,
    /// Halts.
    pub halts: Halts,
    /// Orders of the last moments, by content.
    pub repeats: Repeats,
    /// How each venue stands.
    pub venues: Box<[VenueState]>,
    /// The last event number of each client.
    pub event_sequences: Box<[u64]>,
    /// When the daily counters start anew; 0 before the first record.
    pub day_ends_ns: u64,
}

/// Fixed sizes of a [`State`].
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Open orders at most.
    pub open_orders: usize,
    /// Finished orders that are remembered at least.
    pub finished_orders: usize,
    /// Commands in the deduplication window.
    pub window_commands: usize,
    /// Length of the deduplication window.
    pub window_ns: u64,
    /// Keeps hash indexes from being steered from outside; changes no decision.
    pub seed: u64,
}

impl State {
    /// The state before the first record, as settings ask for it. `seed` keeps hash indexes from being steered from
    /// outside: it should be random.
    pub fn empty(settings: &Settings, seed: u64) -> Self {
        let sizes = Sizes {
            open_orders: settings.capacity.open_orders_max,
            finished_orders: settings.capacity.finished_orders_remembered,
            window_commands: settings.dedupe.window_commands,
            window_ns: settings.dedupe.window_seconds.saturating_mul(1_000_000_000),
            seed,
        };
        Self::new(Rules::new(settings), sizes)
    }

    /// The state before the first record.
    pub fn new(rules: Rules, sizes: Sizes) -> Self {
        let (accounts, instruments) = (rules.accounts.len(), rules.instruments.len());
        Self {
            dedupe: Dedupe::new(sizes.window_commands, sizes.window_ns, rules.clients.len(), sizes.seed),
            orders: Orders::new(sizes.open_orders, sizes.finished_orders, accounts, instruments, sizes.seed),
            exposure: Exposure::new(&rules),
            halts: Halts::new(accounts, instruments),
            repeats: Repeats::new(rules.clients.len()),
            venues: vec![VenueState::Down; rules.venues.len()].into_boxed_slice(),
            event_sequences: vec![0; rules.clients.len()].into_boxed_slice(),
            day_ends_ns: 0,
            rules,
        }
    }

    /// Lets time pass: at the daily reset the counters start anew. Called before every decision and every record.
    #[inline]
    pub fn advance(&mut self, now_ns: u64) {
        if now_ns >= self.day_ends_ns {
            if self.day_ends_ns != 0 {
                self.exposure.reset_day();
            }
            self.day_ends_ns = self.rules.next_reset_ns(now_ns);
        }
    }

    /// The number of the next event of a client.
    #[inline]
    pub fn next_event_sequence(&self, client: u16) -> u64 {
        self.event_sequences[usize::from(client)] + 1
    }

    /// Takes one journal record.
    #[inline]
    pub fn apply(&mut self, sequence: u64, time_ns: u64, record: &Record) {
        self.advance(time_ns);
        match record {
            Record::Name(_) | Record::Digest(_) | Record::Loss(_) => {}
            // What a venue was before the process began says nothing of what it is.
            Record::Start(_) => self.venues.fill(VenueState::Down),
            Record::Price(price) => self.apply_price(price),
            Record::Intent(intent) => self.apply_intent(sequence, time_ns, intent),
            Record::Rejection(rejection) => self.apply_rejection(sequence, time_ns, rejection),
            Record::Child(child) => self.apply_child(sequence, time_ns, child),
            Record::Report(report) => self.apply_report(report),
            Record::Venue(venue) => self.venues[usize::from(venue.venue)] = venue.state,
        }
    }

    fn apply_price(&mut self, price: &Price) {
        let mark =
            Mark { bid_ticks: price.bid_ticks, ask_ticks: price.ask_ticks, observed_ns: price.observed_ns };
        self.exposure.mark(&self.rules, price.instrument.0, mark);
    }

    /// Takes the journal's record of an intent.
    #[inline]
    pub fn apply_intent(&mut self, sequence: u64, time_ns: u64, intent: &Intent) {
        let client = intent.client;
        if intent.event_sequence != 0 {
            self.event_sequences[usize::from(client)] = intent.event_sequence;
        }
        if intent.origin == Origin::Client {
            self.remember(
                sequence,
                time_ns,
                client,
                intent.event_sequence,
                &intent.command,
                intent.content_hash,
                None,
            );
        }
        match (&intent.effect, &intent.command.action) {
            (Effect::Order(terms), action) => {
                let entry = matches!(action, Action::New(_));
                if entry && self.rules.repeat_window_ns != 0 {
                    self.repeats.remember(client, super::repeat::content(terms), time_ns);
                }
                self.open(
                    OrderId(sequence),
                    time_ns,
                    client,
                    intent.command.command_id,
                    *terms,
                    entry,
                    false,
                );
            }
            (Effect::Cancel(order_id), _) => {
                if let Some(slot) = self.orders.find(*order_id) {
                    mark_cancel(self.orders.get_mut(slot), sequence);
                }
            }
            (Effect::Replace { order_id, quantity_steps, price_ticks, stop_price_ticks }, _) => {
                let totals = Totals {
                    quantity_steps: *quantity_steps,
                    price_ticks: *price_ticks,
                    stop_price_ticks: *stop_price_ticks,
                };
                self.apply_replace(*order_id, totals, time_ns);
            }
            (Effect::Sweep { .. }, Action::Halt(halt)) => self.set_halt(halt.scope, halt.state),
            (Effect::Sweep { .. }, Action::Resume(resume)) => {
                self.set_halt(resume.scope, TradingState::Active);
            }
            (Effect::Sweep { .. }, _) => {}
        }
        self.mark_swept(sequence, intent);
    }

    /// A sweep's cancels are on their way.
    fn mark_swept(&mut self, sequence: u64, intent: &Intent) {
        if !cancels_many(intent) {
            return;
        }
        for at in 0..self.orders.open_count() {
            let slot = self.orders.open_slots()[at];
            if sweeps(intent, self.orders.get(slot)) {
                mark_cancel(self.orders.get_mut(slot), sequence);
            }
        }
    }

    fn apply_replace(&mut self, order_id: OrderId, totals: Totals, time_ns: u64) {
        let Some(slot) = self.orders.find(order_id) else { return };
        let before = *self.orders.get(slot);
        if before.status.is_final() {
            return;
        }
        self.exposure.count(&self.rules, &before, -1);
        self.orders.get_mut(slot).replace_pending = Some(totals);
        self.exposure.count(&self.rules, self.orders.get(slot), 1);
        let terms = &before.terms;
        let owners = self.rules.owners(terms.account.0, before.client, terms.instrument.0);
        self.exposure.use_rate(&self.rules, owners, time_ns);
    }

    /// Takes the journal's record of a rejection.
    #[inline]
    pub fn apply_rejection(&mut self, sequence: u64, time_ns: u64, rejection: &RejectionRecord) {
        let client = rejection.client;
        self.event_sequences[usize::from(client)] = rejection.event_sequence;
        let reject = rejection.reject;
        let command = &rejection.command;
        self.remember(
            sequence,
            time_ns,
            client,
            rejection.event_sequence,
            command,
            rejection.content_hash,
            Some(reject),
        );
        if reject.code == Code::RateLimitExceeded && reject.owner != Owner::Session {
            let [_, _, owner, _] = self.rules.owners(0, client, 0);
            self.exposure.count_breach(owner, time_ns);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn remember(
        &mut self,
        sequence: u64,
        time_ns: u64,
        client: u16,
        event_sequence: u64,
        command: &tollgate_protocol::Command,
        content_hash: u64,
        reject: Option<tollgate_protocol::Reject>,
    ) {
        let answer = FirstAnswer { sequence, event_sequence, time_ns, reject };
        // A clock that runs ahead must not raise the client's floor above what it may still send.
        let created_at_ns = command.created_at_ns.min(time_ns.saturating_add(self.rules.clock_difference_ns));
        self.dedupe.remember(client, command.command_id, content_hash, created_at_ns, answer);
    }

    fn apply_child(&mut self, sequence: u64, time_ns: u64, child: &Child) {
        self.open(OrderId(sequence), time_ns, child.client, child.command_id, child.terms, false, true);
    }

    #[allow(clippy::too_many_arguments)]
    fn open(
        &mut self,
        order_id: OrderId,
        time_ns: u64,
        client: u16,
        command_id: tollgate_protocol::CommandId,
        terms: OrderTerms,
        entry: bool,
        child: bool,
    ) {
        let order = Order {
            order_id,
            command_id,
            client,
            terms,
            filled_steps: 0,
            status: OrderStatus::Sent,
            cancel_pending: false,
            cancel_sequence: 0,
            replace_pending: None,
            venue_order_id: 0,
        };
        self.orders.insert(order, child);
        self.exposure.open(&self.rules, &order, entry.then_some(time_ns));
    }

    fn set_halt(&mut self, scope: HaltScope, state: TradingState) {
        if let Some(place) = self.place(scope) {
            self.halts.set(place, state);
        }
    }

    /// What a halt's scope means here; `None` when there is no such account or symbol.
    pub fn place(&self, scope: HaltScope) -> Option<HaltPlace> {
        Some(match scope {
            HaltScope::Whole => HaltPlace::Whole,
            HaltScope::Account(name) => HaltPlace::Account(self.rules.find_account(&name)?),
            HaltScope::Symbol(symbol) => HaltPlace::Symbol(self.rules.find_symbol(&symbol)?),
        })
    }

    /// Takes the journal's record of a report.
    #[inline]
    pub fn apply_report(&mut self, record: &ReportRecord) {
        self.event_sequences[usize::from(record.client)] = record.event_sequence;
        let Some(slot) = self.orders.find(record.report.order_id) else { return };
        let before = *self.orders.get(slot);
        if before.status.is_final() {
            return self.late_fill(slot, &before, &record.report.kind);
        }
        self.change(slot, &before, &record.report.kind);
        let after = self.orders.get(slot);
        let counted = |order: &Order| (order.counted_steps(), order.counted_ticks());
        if after.status.is_final() {
            self.exposure.close(&self.rules, &before);
        } else if counted(&before) != counted(after) {
            self.exposure.count(&self.rules, &before, -1);
            self.exposure.count(&self.rules, after, 1);
        }
    }

    /// A fill that is told after its order's end is a trade all the same.
    fn late_fill(&mut self, slot: u32, before: &Order, kind: &ReportKind) {
        let ReportKind::Filled(fill) = kind else { return };
        let (price, steps, fee) = self.fill_numbers(before, fill);
        self.orders.get_mut(slot).filled_steps += steps;
        self.orders.remember_trade(before.order_id, fill.trade_id);
        self.exposure.trade(&self.rules, before, price, steps, fee);
    }

    /// Price in ticks, quantity in steps, fee: the gateway wrote them from whole numbers of the same grid.
    fn fill_numbers(&self, order: &Order, fill: &Fill) -> (i64, i64, Money) {
        let grids = &self.rules.instruments[usize::from(order.terms.instrument.0)].instrument;
        let price = grids.price.units(fill.price).unwrap_or_default();
        let steps = grids.quantity.units(fill.quantity).unwrap_or_default();
        (price, steps, Money::from_decimal(fill.fee).unwrap_or_default())
    }

    /// Changes an order as a report says.
    fn change(&mut self, slot: u32, before: &Order, kind: &ReportKind) {
        let grids = &self.rules.instruments[usize::from(before.terms.instrument.0)].instrument;
        let order = self.orders.get_mut(slot);
        match kind {
            ReportKind::Accepted { venue_order_id } => {
                order.venue_order_id = *venue_order_id;
                order.status = standing(order.filled_steps);
            }
            ReportKind::Filled(fill) => {
                let (price, steps, fee) = self.fill_numbers(before, fill);
                let order = self.orders.get_mut(slot);
                order.filled_steps += steps;
                let filled = order.filled_steps >= order.terms.quantity_steps;
                // A fill says nothing of a change or a cancel whose fate is unknown: that is still asked for.
                let is_unknown = before.status == OrderStatus::Unknown;
                if !is_unknown {
                    order.status = OrderStatus::PartiallyFilled;
                }
                self.orders.remember_trade(before.order_id, fill.trade_id);
                if filled && !(is_unknown && before.replace_pending.is_some()) {
                    self.orders.finish(slot, OrderStatus::Filled);
                }
                self.exposure.trade(&self.rules, before, price, steps, fee);
            }
            ReportKind::Rejected { .. } => self.orders.finish(slot, OrderStatus::Rejected),
            ReportKind::Cancelled => self.orders.finish(slot, OrderStatus::Cancelled),
            ReportKind::Expired => self.orders.finish(slot, OrderStatus::Expired),
            ReportKind::CancelRejected { .. } => order.cancel_pending = false,
            ReportKind::Replaced { quantity, price, stop_price } => {
                let ticks =
                    |value: &Option<_>| value.map_or(0, |value| grids.price.units(value).unwrap_or_default());
                let totals = Totals {
                    quantity_steps: grids.quantity.units(*quantity).unwrap_or_default(),
                    price_ticks: ticks(price),
                    stop_price_ticks: ticks(stop_price),
                };
                order.terms.value_ticks = order.terms.value_after(totals);
                order.terms.quantity_steps = totals.quantity_steps;
                order.terms.price_ticks = totals.price_ticks;
                order.terms.stop_price_ticks = totals.stop_price_ticks;
                order.replace_pending = None;
                order.status = standing(order.filled_steps);
                if order.filled_steps >= order.terms.quantity_steps {
                    self.orders.finish(slot, OrderStatus::Filled);
                }
            }
            ReportKind::ReplaceRejected { .. } if mutation::is(Mutation::KeepPending) => {}
            ReportKind::ReplaceRejected { .. } => order.replace_pending = None,
            ReportKind::Unknown { .. } => order.status = OrderStatus::Unknown,
        }
    }

    /// What a digest depends on beside the records: the tables and sizes of the settings.
    pub fn shape(&self) -> u64 {
        let mut shape = self.dedupe.window_commands() as u64 ^ self.rules.daily_reset_seconds << 32;
        let mut take = |bytes: &[u8]| shape = hash_bytes(shape, bytes);
        take(&(self.orders.capacity() as u64).to_le_bytes());
        self.rules.clients.iter().for_each(|client| take(client.name.as_bytes()));
        self.rules.accounts.iter().for_each(|account| take(account.name.as_bytes()));
        for rule in &self.rules.instruments {
            take(rule.instrument.symbol.as_bytes());
            take(&rule.instrument.unit_value.0.to_le_bytes());
        }
        self.rules.limits.iter().for_each(|limits| take(&limits.orders_per_second.to_le_bytes()));
        shape
    }

    /// The hash of everything that decides. Slow and allocating: for audits and tests.
    pub fn digest(&self) -> [u8; 32] {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        let mut hash = |bytes: &[u8]| context.update(bytes);
        self.dedupe.digest(&mut hash);
        for order in self.orders.sorted().into_iter().filter(|order| !order.status.is_final()) {
            super::digest::order(order, &mut hash);
        }
        self.exposure.digest(&mut hash);
        self.halts.digest(&mut hash);
        self.event_sequences.iter().for_each(|sequence| hash(&sequence.to_le_bytes()));
        hash(&self.day_ends_ns.to_le_bytes());
        let mut out = [0; 32];
        out.copy_from_slice(context.finish().as_ref());
        out
    }
}

/// The status of an order that stands at its venue.
fn standing(filled_steps: i64) -> OrderStatus {
    if filled_steps == 0 { OrderStatus::Working } else { OrderStatus::PartiallyFilled }
}

/// A cancel of an open order is on its way; one that is on its way already stays as it is, and is not sent again.
fn mark_cancel(order: &mut Order, sequence: u64) {
    if !order.status.is_final() && !order.cancel_pending {
        order.cancel_pending = true;
        order.cancel_sequence = sequence;
    }
}

/// True when the intent cancels a set of orders.
pub fn cancels_many(intent: &Intent) -> bool {
    match intent.command.action {
        Action::CancelAll(_) => true,
        Action::Halt(halt) => halt.cancel_working,
        _ => false,
    }
}

/// True when the intent, a sweep that cancels, reaches this open order.
pub fn sweeps(intent: &Intent, order: &Order) -> bool {
    let Effect::Sweep { account, instrument, client, keep_good_till_cancel } = intent.effect else {
        return false;
    };
    let keeps = keep_good_till_cancel
        && matches!(
            order.terms.time_in_force,
            tollgate_protocol::command::TimeInForce::GoodTillCancel
                | tollgate_protocol::command::TimeInForce::PostOnly
        );
    cancels_many(intent)
        && !keeps
        && account.is_none_or(|account| account == order.terms.account)
        && instrument.is_none_or(|instrument| instrument == order.terms.instrument)
        && client.is_none_or(|client| client == order.client)
}
