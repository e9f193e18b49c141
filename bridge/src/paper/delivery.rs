//! How reports leave the venue: at once, late, twice, or not before the connection is back.

use std::collections::BTreeMap;

use tollgate_protocol::identity::OrderId;
use tollgate_protocol::text::Remark;

use super::id_map::IdMap;
use super::random::Random;
use super::settings::{Faults, PaperSettings};
use tollgate_contract::venue::{ReportBody, VenueReport};

/// Where reports go.
pub(super) type Output<'a> = &'a mut dyn FnMut(VenueReport);

/// The way from the venue to its client.
pub(super) struct Delivery {
    random: Random,
    faults: Faults,
    latency_ns_min: u64,
    latency_ns_max: u64,
    /// While the connection is broken: when it comes back, in nanoseconds.
    down_until_ns: Option<u64>,
    orders_since_disconnect: u64,
    /// By time and sequence, what is on its way.
    waiting: BTreeMap<(u64, u64), VenueReport>,
    /// Of orders with reports on their way, when the last of them arrives: no later report overtakes it.
    last_due_ns: IdMap<u64>,
    /// When the last report arrives that was not delayed by a fault.
    latest_ns: u64,
    sequence: u64,
}

impl Delivery {
    /// The connection comes up at the first [`Delivery::advance`].
    pub(super) fn new(settings: &PaperSettings) -> Self {
        Self {
            random: Random::new(settings.seed),
            faults: settings.faults,
            latency_ns_min: settings.latency_ns_min,
            latency_ns_max: settings.latency_ns_max,
            down_until_ns: Some(0),
            orders_since_disconnect: 0,
            waiting: BTreeMap::new(),
            last_due_ns: IdMap::default(),
            latest_ns: 0,
            sequence: 0,
        }
    }

    /// True while the connection stands.
    pub(super) fn is_up(&self) -> bool {
        self.down_until_ns.is_none()
    }

    /// Reports on their way.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// When there is something to do, in nanoseconds.
    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        self.down_until_ns.or_else(|| self.waiting.first_key_value().map(|((due_ns, _), _)| *due_ns))
    }

    /// Brings the connection back when it is time; true when it did.
    pub(super) fn reconnect(&mut self, now_ns: u64, out: Output<'_>) -> bool {
        if self.down_until_ns.is_none_or(|until_ns| until_ns > now_ns) {
            return false;
        }
        self.down_until_ns = None;
        out(VenueReport::Connected);
        true
    }

    /// Sends what has arrived by now.
    pub(super) fn release(&mut self, now_ns: u64, out: Output<'_>) {
        while self.is_up()
            && let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now_ns
        {
            let due_ns = first.key().0;
            let report = first.remove();
            if let VenueReport::Order { order_id, .. } = report
                && self.last_due_ns.get(&order_id) == Some(&due_ns)
            {
                self.last_due_ns.remove(&order_id);
            }
            out(report);
        }
    }

    /// Counts a new order and breaks the connection when it is time.
    pub(super) fn count_order(&mut self, now_ns: u64, out: Output<'_>) {
        if self.faults.disconnect_every_orders == 0 || !self.is_up() {
            return;
        }
        self.orders_since_disconnect += 1;
        if self.orders_since_disconnect == self.faults.disconnect_every_orders {
            self.orders_since_disconnect = 0;
            self.down_until_ns = Some(now_ns.saturating_add(self.faults.disconnect_ns));
            out(VenueReport::Disconnected { reason: Remark::truncated("injected fault: connection lost") });
        }
    }

    /// Whether a request that was sent into a broken connection arrives all the same.
    pub(super) fn arrives_while_down(&mut self) -> bool {
        self.random.chance(500_000)
    }

    /// Whether an order or change is to be refused without need.
    pub(super) fn refuses(&mut self) -> bool {
        self.random.chance(self.faults.reject_per_million)
    }

    /// Whether the reports of a request get lost.
    pub(super) fn loses_reply(&mut self) -> bool {
        self.random.chance(self.faults.lost_reply_per_million)
    }

    /// Sends a quote: never late, and not at all while the connection is broken.
    pub(super) fn send_quote(&mut self, report: VenueReport, out: Output<'_>) {
        if self.is_up() {
            out(report);
        }
    }

    /// Sends one report of an order.
    pub(super) fn send(&mut self, now_ns: u64, order_id: OrderId, body: ReportBody, out: Output<'_>) {
        let mut due_ns = now_ns;
        if self.latency_ns_max > 0 {
            let latency_ns = self.random.between(self.latency_ns_min, self.latency_ns_max);
            self.latest_ns = self.latest_ns.max(now_ns.saturating_add(latency_ns));
            due_ns = self.latest_ns;
        }
        if self.random.chance(self.faults.delay_per_million) {
            due_ns = due_ns.saturating_add(self.faults.delay_ns);
        }
        let due_ns = self.send_at(now_ns, due_ns, order_id, body, out);
        if may_repeat(&body) && self.random.chance(self.faults.duplicate_report_per_million) {
            if matches!(body, ReportBody::Filled { .. }) {
                // An old fill delivered again: outside the order of the order's reports, for its id tells.
                self.wait_or_send(now_ns, due_ns.saturating_add(self.faults.delay_ns), order_id, body, out);
            } else {
                self.send_at(now_ns, due_ns, order_id, body, out);
            }
        }
    }

    /// Says that no answer came to a request whose reports got lost.
    pub(super) fn send_lost(&mut self, now_ns: u64, order_id: OrderId, out: Output<'_>) {
        let body =
            ReportBody::Unknown { reason: Remark::truncated("injected fault: no answer came in time") };
        self.send_at(now_ns, now_ns.saturating_add(self.faults.delay_ns), order_id, body, out);
    }

    /// Says that a request was sent into a broken connection: known at once, without the venue.
    pub(super) fn send_unconnected(order_id: OrderId, out: Output<'_>) {
        let body = ReportBody::Unknown { reason: Remark::truncated("the connection is broken") };
        out(VenueReport::Order { order_id, body });
    }

    /// Sends at `due_ns`, or later when an earlier report of the order is still on its way. Gives the time.
    fn send_at(
        &mut self,
        now_ns: u64,
        due_ns: u64,
        order_id: OrderId,
        body: ReportBody,
        out: Output<'_>,
    ) -> u64 {
        let due_ns = self.last_due_ns.get(&order_id).map_or(due_ns, |last_ns| due_ns.max(*last_ns));
        if self.wait_or_send(now_ns, due_ns, order_id, body, out) {
            self.last_due_ns.insert(order_id, due_ns);
        }
        due_ns
    }

    /// True when it waits.
    fn wait_or_send(
        &mut self,
        now_ns: u64,
        due_ns: u64,
        order_id: OrderId,
        body: ReportBody,
        out: Output<'_>,
    ) -> bool {
        let report = VenueReport::Order { order_id, body };
        if due_ns <= now_ns && self.is_up() {
            out(report);
            return false;
        }
        self.sequence += 1;
        self.waiting.insert((due_ns, self.sequence), report);
        true
    }
}

/// What a venue's stream may deliver twice. Answers to a question, and our own `Unknown`, come once.
fn may_repeat(body: &ReportBody) -> bool {
    !matches!(
        body,
        ReportBody::Unknown { .. }
            | ReportBody::Status { .. }
            | ReportBody::NotFound { .. }
            | ReportBody::CancelRejected { .. }
            | ReportBody::ReplaceRejected { .. }
    )
}
