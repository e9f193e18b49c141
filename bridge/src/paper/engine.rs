//! The matching engine: deterministic, without input, output, clock or threads of its own.

use std::sync::Arc;

use tollgate_protocol::command::{OrderType, TimeInForce};
use tollgate_protocol::identity::{AccountIndex, OrderId};
use tollgate_protocol::instrument::{Instrument, InstrumentIndex};
use tollgate_protocol::text::Remark;

use super::delivery::{Delivery, Output};
use super::entry::LedgerEntry;
use super::order::FinalOrder;
use super::rules::{check_kind, check_totals, words};
use super::settings::{PaperSettings, SettingsError};
use super::state::{Contradiction, State};
use tollgate_contract::venue::{Quote, ReportBody, VenueOrder, VenueOrderState, VenueReport, VenueRequest};

/// What a venue has done since its engine was made. `duplicates` counts over the ledger's whole life.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Statistics {
    /// Requests that arrived, or were sent into a broken connection.
    pub requests: u64,
    /// New orders with an id of their own that arrived, refused ones included.
    pub orders: u64,
    /// Trades.
    pub fills: u64,
    /// New orders whose id was used before; none was carried out.
    pub duplicates: u64,
    /// Orders refused, duplicates not included.
    pub rejected: u64,
    /// Quotes taken.
    pub quotes: u64,
    /// Quotes left out: no such instrument here, or prices that are not 0 < bid ≤ ask.
    pub quotes_refused: u64,
    /// Orders that work.
    pub working_orders: u64,
}

/// A paper venue without its thread: hears requests, quotes and the time, says reports.
///
/// Times are nanoseconds since the Unix epoch and should not run backwards; one that does counts as the latest.
///
/// Buys trade at the ask and sells at the bid, each for at most the liquidity of the quote; every quote is good
/// for the whole of it again. A resting order trades at its own limit as maker when a quote crosses it. An order
/// that already crossed the quote before and only lacked liquidity trades at the new quote, as taker; post-only
/// orders always trade as maker. A market order waits for the next quotes until it is filled, unless it is
/// immediate-or-cancel or fill-or-kill. A reduce-only order trades no more than the position; its rest is
/// cancelled.
pub struct Engine {
    pub(super) settings: PaperSettings,
    pub(super) instruments: Arc<[Instrument]>,
    pub(super) state: State,
    pub(super) delivery: Delivery,
    pub(super) statistics: Statistics,
    pub(super) now_ns: u64,
    /// What the request or quote at hand led to, before faults.
    pub(super) reports: Vec<(OrderId, ReportBody)>,
    /// What it changed; kept only for a ledger.
    entries: Vec<LedgerEntry>,
    keeps_entries: bool,
}

impl Engine {
    /// An empty venue.
    pub fn new(settings: PaperSettings, instruments: Arc<[Instrument]>) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self {
            state: State::new(instruments.len(), settings.history_orders),
            delivery: Delivery::new(&settings),
            statistics: Statistics::default(),
            now_ns: 0,
            reports: Vec::new(),
            entries: Vec::new(),
            keeps_entries: false,
            settings,
            instruments,
        })
    }

    /// Carries out an entry of the ledger of an earlier run: before the first request only.
    pub fn restore(&mut self, entry: &LedgerEntry) -> Result<(), Contradiction> {
        assert!(self.statistics.requests == 0, "a venue is restored before it trades");
        self.state.apply(entry)
    }

    /// From now on, keeps what changes for [`Engine::entries`].
    pub fn keep_entries(&mut self) {
        self.keeps_entries = true;
    }

    /// What has changed since [`Engine::clear_entries`], oldest first. Everything of one call belongs together.
    pub fn entries(&self) -> &[LedgerEntry] {
        &self.entries
    }

    /// Forgets the entries: they are in the ledger.
    pub fn clear_entries(&mut self) {
        self.entries.clear();
    }

    /// Hears a request.
    pub fn request(&mut self, now_ns: u64, request: VenueRequest, out: &mut impl FnMut(VenueReport)) {
        self.advance(now_ns, out);
        self.statistics.requests += 1;
        if matches!(request, VenueRequest::New(_)) {
            self.delivery.count_order(self.now_ns, out);
        }
        let order_id = order_id_of(&request);
        if !self.delivery.is_up() {
            if !matches!(request, VenueRequest::Query(_)) && self.delivery.arrives_while_down() {
                self.handle(request);
                self.reports.clear();
            }
            Delivery::send_unconnected(order_id, out);
            return;
        }
        let is_lost = !matches!(request, VenueRequest::Query(_)) && self.delivery.loses_reply();
        self.handle(request);
        if is_lost {
            self.reports.clear();
            self.delivery.send_lost(self.now_ns, order_id, out);
        }
        self.deliver(out);
    }

    /// Hears a quote: sends it on, then fills what it reaches.
    pub fn quote(&mut self, now_ns: u64, quote: Quote, out: &mut impl FnMut(VenueReport)) {
        self.advance(now_ns, out);
        let is_traded_here = self.instrument(quote.instrument).is_some();
        if !is_traded_here || quote.bid_ticks <= 0 || quote.ask_ticks < quote.bid_ticks {
            self.statistics.quotes_refused += 1;
            return;
        }
        self.statistics.quotes += 1;
        self.delivery.send_quote(VenueReport::Quote(quote), out);
        self.match_quote(quote);
        self.deliver(out);
    }

    /// Hears the time: ends good-till-date orders, sends delayed reports, restores a broken connection.
    pub fn tick(&mut self, now_ns: u64, out: &mut impl FnMut(VenueReport)) {
        self.advance(now_ns, out);
    }

    /// When [`Engine::tick`] has something to do; `None` for never.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let expiry_ns = self.state.first_expiry().map(|(at_ns, _)| at_ns);
        [expiry_ns, self.delivery.next_deadline_ns()].into_iter().flatten().min()
    }

    /// Reports that are delayed.
    pub fn reports_waiting(&self) -> usize {
        self.delivery.waiting()
    }

    /// What it has done.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            duplicates: self.state.duplicates(),
            working_orders: self.state.working_orders() as u64,
            ..self.statistics
        }
    }

    /// The net position, in steps; negative when short.
    pub fn position_steps(&self, account: AccountIndex, instrument: InstrumentIndex) -> i64 {
        self.state.position(account, instrument)
    }

    /// A hash of orders, positions and used ids; equal for equal ones within one process.
    pub fn fingerprint(&self) -> u64 {
        self.state.fingerprint()
    }

    /// True when the order's id was used and its fills are no longer in memory: a query of it is answered by
    /// `NotFound { definitive: false }` unless it is recalled from the ledger.
    pub(super) fn is_archived(&self, order_id: OrderId) -> bool {
        self.state.is_used(order_id)
            && self.state.working(order_id).is_none()
            && self.state.final_order(order_id).is_none()
    }

    /// Keeps a final order in memory again.
    pub(super) fn recall(&mut self, order: FinalOrder) {
        assert!(self.is_archived(order.order_id), "only what is missing is recalled");
        self.state.recall(order);
    }

    /// The instrument, when it is traded here.
    pub(super) fn instrument(&self, instrument: InstrumentIndex) -> Option<Instrument> {
        let instrument = self.instruments.get(usize::from(instrument.0))?;
        (instrument.venue == self.settings.venue).then_some(*instrument)
    }

    /// Carries out a decision and notes it for the ledger.
    pub(super) fn commit(&mut self, entry: LedgerEntry) {
        let applied = self.state.apply(&entry);
        assert!(applied.is_ok(), "the engine contradicts its state: {applied:?} by {entry:?}");
        if self.keeps_entries {
            self.entries.push(entry);
        }
    }

    pub(super) fn report(&mut self, order_id: OrderId, body: ReportBody) {
        self.reports.push((order_id, body));
    }

    fn advance(&mut self, now_ns: u64, out: Output<'_>) {
        self.now_ns = self.now_ns.max(now_ns);
        if self.delivery.reconnect(self.now_ns, out) {
            for (instrument, book) in self.state.books() {
                if let Some((bid_ticks, ask_ticks)) = book.quote() {
                    out(VenueReport::Quote(Quote { instrument, bid_ticks, ask_ticks }));
                }
            }
        }
        self.delivery.release(self.now_ns, out);
        while let Some((expire_at_ns, order_id)) = self.state.first_expiry()
            && expire_at_ns <= self.now_ns
        {
            self.commit(LedgerEntry::Expired { at_ns: self.now_ns, order_id });
            self.report(order_id, ReportBody::Expired);
        }
        self.deliver(out);
    }

    fn deliver(&mut self, out: Output<'_>) {
        for (order_id, body) in self.reports.drain(..) {
            self.delivery.send(self.now_ns, order_id, body, out);
        }
    }

    fn handle(&mut self, request: VenueRequest) {
        match request {
            VenueRequest::New(order) => self.new_order(order),
            VenueRequest::Cancel(order_id) => self.cancel(order_id),
            VenueRequest::Replace { order_id, quantity_steps, price_ticks, stop_price_ticks } => {
                self.replace(order_id, quantity_steps, price_ticks, stop_price_ticks);
            }
            VenueRequest::Query(order_id) => self.query(order_id),
        }
    }

    fn new_order(&mut self, order: VenueOrder) {
        let (at_ns, order_id) = (self.now_ns, order.order_id);
        if self.state.is_used(order_id) {
            self.commit(LedgerEntry::Duplicate { at_ns, order_id });
            self.report(order_id, ReportBody::Rejected { reason: Remark::truncated("duplicate order id") });
            return;
        }
        self.statistics.orders += 1;
        let venue_order_id = self.state.next_venue_order_id();
        if let Err(reason) = self.check_new(&order) {
            self.statistics.rejected += 1;
            self.commit(LedgerEntry::Refused { at_ns, venue_order_id, order, reason });
            self.report(order_id, ReportBody::Rejected { reason });
            return;
        }
        self.commit(LedgerEntry::Received { at_ns, venue_order_id, order });
        self.report(order_id, ReportBody::Accepted { venue_order_id });
        self.arrive(order_id);
    }

    fn check_new(&mut self, order: &VenueOrder) -> Result<(), Remark> {
        let Some(instrument) = self.instrument(order.instrument) else {
            return Err(words(format_args!("instrument {} is not traded here", order.instrument.0)));
        };
        check_kind(order, &instrument, self.now_ns)?;
        let book = self.state.book(order.instrument);
        if order.order_type == OrderType::Market && book.quote().is_none() {
            return Err(words(format_args!("no market: there was no quote of {} yet", instrument.symbol)));
        }
        if order.time_in_force == TimeInForce::PostOnly && book.crosses(order.side, order.price_ticks) {
            return Err(words(format_args!("post-only at {} would trade at once", order.price_ticks)));
        }
        if order.reduce_only && self.reducible_steps(order) == 0 {
            return Err(words(format_args!("reduce-only: there is no position to reduce")));
        }
        if self.delivery.refuses() {
            return Err(words(format_args!("injected fault: order refused")));
        }
        Ok(())
    }

    fn cancel(&mut self, order_id: OrderId) {
        if self.state.working(order_id).is_some() {
            self.end_rest(order_id);
        } else {
            let reason = self.why_not_working(order_id);
            self.report(order_id, ReportBody::CancelRejected { reason });
        }
    }

    /// Cancels what is left of a working order.
    pub(super) fn end_rest(&mut self, order_id: OrderId) {
        self.commit(LedgerEntry::Cancelled { at_ns: self.now_ns, order_id });
        self.report(order_id, ReportBody::Cancelled);
    }

    fn replace(&mut self, order_id: OrderId, quantity_steps: i64, price_ticks: i64, stop_price_ticks: i64) {
        match self.check_replace(order_id, quantity_steps, price_ticks, stop_price_ticks) {
            Err(reason) => self.report(order_id, ReportBody::ReplaceRejected { reason }),
            Ok(true) => self.end_rest(order_id),
            Ok(false) => {
                let at_ns = self.now_ns;
                self.commit(LedgerEntry::Replaced {
                    at_ns,
                    order_id,
                    quantity_steps,
                    price_ticks,
                    stop_price_ticks,
                });
                self.report(order_id, ReportBody::Replaced { quantity_steps, price_ticks, stop_price_ticks });
                self.arrive(order_id);
            }
        }
    }

    /// True when the new quantity is filled already, so that only a rest to cancel is left.
    fn check_replace(
        &mut self,
        order_id: OrderId,
        quantity_steps: i64,
        price_ticks: i64,
        stop_price_ticks: i64,
    ) -> Result<bool, Remark> {
        let Some(working) = self.state.working(order_id) else {
            return Err(self.why_not_working(order_id));
        };
        let order = VenueOrder { quantity_steps, price_ticks, stop_price_ticks, ..working.order };
        if quantity_steps > 0 && quantity_steps <= working.filled_steps {
            return Ok(true);
        }
        if working.triggered && stop_price_ticks != working.order.stop_price_ticks {
            return Err(words(format_args!("stop price: the order is triggered already")));
        }
        let Some(instrument) = self.instrument(order.instrument) else {
            return Err(words(format_args!("instrument {} is not traded here", order.instrument.0)));
        };
        check_totals(&order, &instrument)?;
        let book = self.state.book(order.instrument);
        if order.time_in_force == TimeInForce::PostOnly && book.crosses(order.side, price_ticks) {
            return Err(words(format_args!("post-only at {price_ticks} would trade at once")));
        }
        if self.delivery.refuses() {
            return Err(words(format_args!("injected fault: change refused")));
        }
        Ok(false)
    }

    fn why_not_working(&self, order_id: OrderId) -> Remark {
        let state = self.state.final_order(order_id).map(|order| match order.state {
            VenueOrderState::Working => "working",
            VenueOrderState::Filled => "filled",
            VenueOrderState::Cancelled => "cancelled",
            VenueOrderState::Rejected => "rejected",
            VenueOrderState::Expired => "expired",
        });
        match state {
            Some(state) => words(format_args!("order is {state}")),
            None if self.state.is_used(order_id) => words(format_args!("order is over")),
            None => words(format_args!("unknown order")),
        }
    }

    fn query(&mut self, order_id: OrderId) {
        let (fills, status) = if let Some(order) = self.state.working(order_id) {
            (order.fills.as_slice(), order.status())
        } else if let Some(order) = self.state.final_order(order_id) {
            (order.fills.as_slice(), order.status())
        } else {
            // This venue is the authority on what arrived; only of the fills of old orders may it know nothing.
            let definitive = !self.state.is_used(order_id);
            self.reports.push((order_id, ReportBody::NotFound { definitive }));
            return;
        };
        self.reports.extend(fills.iter().map(|fill| (order_id, fill.report())));
        self.reports.push((order_id, status));
    }
}

fn order_id_of(request: &VenueRequest) -> OrderId {
    match request {
        VenueRequest::New(order) => order.order_id,
        VenueRequest::Cancel(order_id)
        | VenueRequest::Replace { order_id, .. }
        | VenueRequest::Query(order_id) => *order_id,
    }
}
