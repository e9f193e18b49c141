//! What time brings: silences, dead man's switches, questions asked again, prices sampled, the journal watched.

use tollgate_contract::venue::{VenueReport, VenueRequest};
use tollgate_journal::Append;
use tollgate_protocol::answer::OrderStatus;
use tollgate_protocol::event::{Durability, ReportKind};
use tollgate_protocol::identity::OrderId;
use tollgate_protocol::reject::Code;
use tollgate_protocol::text::Remark;

use super::Hot;
use crate::halts::HaltPlace;
use crate::record::{Origin, VenueState};
use crate::world::World;
use crate::{reports, risk};

/// How often timers are looked at.
const TIMERS_NS: u64 = 10_000_000;
/// An order whose fate is unknown is asked for again after this time.
const ASK_AGAIN_NS: u64 = 2_000_000_000;

/// How often it is looked for orders to ask for again.
const ASKS_NS: u64 = 100_000_000;

impl<W: World> Hot<W> {
    /// What time brings.
    #[inline]
    pub(super) fn timers(&mut self) {
        if self.core.now_ns.saturating_sub(self.timers_ns) < TIMERS_NS {
            return;
        }
        self.timers_ns = self.core.now_ns;
        self.end_silent_sessions();
        self.dead_man();
        self.ask_again();
        self.sample_prices();
        self.watch_journal();
        if self.core.now_ns.saturating_sub(self.published_ns) >= ASKS_NS {
            self.published_ns = self.core.now_ns;
            self.publish_metrics();
        }
    }

    fn end_silent_sessions(&mut self) {
        let now_ns = self.core.now_ns;
        let mut at = 0;
        while at < self.sessions.active().len() {
            let slot = self.sessions.active()[at];
            at += 1;
            let Some(session) = self.sessions.get(slot) else { continue };
            let silent = now_ns.saturating_sub(session.heard_ns) > self.heartbeat_timeout_ns;
            let slow = session.frame_began_ns != 0
                && now_ns.saturating_sub(session.frame_began_ns) > self.frame_timeout_ns
                && session.asking.is_none();
            let expired = now_ns >= session.home.grant.expires_at_ns;
            let code = if slow {
                Code::SessionSlowSender
            } else if silent {
                Code::SessionHeartbeatMissed
            } else if expired {
                Code::SessionKeyEnded
            } else {
                continue;
            };
            if session.ending.is_some() {
                // It was told, and does not read: it ends without having heard.
                self.end_session(slot, Some(code));
                at -= 1;
                continue;
            }
            session.goodbye(code);
            session.heard_ns = now_ns;
            self.sessions.touch(slot);
        }
    }

    fn dead_man(&mut self) {
        for client in 0..self.dead.len() {
            let dead_man_ns = self.core.state.rules.clients[client].dead_man_ns;
            let silent_ns = self.core.now_ns.saturating_sub(self.heard_ns[client]);
            if dead_man_ns != 0 && silent_ns > dead_man_ns && !self.dead[client] {
                self.dead[client] = true;
                self.cancel_all_of(client as u16, Origin::DeadMan, false);
            }
        }
    }

    /// Asks again for orders whose fate is unknown, and for questions that nobody answered. A venue is up when none is
    /// left.
    fn ask_again(&mut self) {
        let now_ns = self.core.now_ns;
        if now_ns.saturating_sub(self.asks_ns) < ASKS_NS {
            return;
        }
        self.asks_ns = now_ns;
        let mut unknown = 0;
        for at in 0..self.core.state.orders.open_count() {
            let slot = self.core.state.orders.open_slots()[at];
            let order = self.core.state.orders.get(slot);
            let is_unknown = order.status == OrderStatus::Unknown;
            unknown += u64::from(is_unknown);
            let venue = self.core.venue_of(order);
            let asked = self.core.asked[slot as usize];
            let is_up = self.core.state.venues[venue] != VenueState::Down;
            let is_late = now_ns.saturating_sub(asked.at_ns) > ASK_AGAIN_NS;
            if is_up && is_late && (is_unknown || asked.waiting) {
                self.core.ask(slot);
            }
        }
        self.core.metrics.orders_unknown.set(unknown);
        for venue in 0..self.core.venues.len() {
            if self.core.venues[venue].requests.is_abandoned()
                && self.core.state.venues[venue] != VenueState::Down
            {
                let gone =
                    VenueReport::Disconnected { reason: Remark::truncated("the venue's thread has ended") };
                let _ = reports::take(&mut self.core, &mut self.sessions, venue, &gone);
            }
            // Without room in the journal the venue stays as it is until there is.
            let _ = reports::settle(&mut self.core, venue);
        }
    }

    /// Positions are valued at prices that the journal has.
    fn sample_prices(&mut self) {
        if self.core.now_ns.saturating_sub(self.samples_ns) < self.core.state.rules.price_sample_ns {
            return;
        }
        self.samples_ns = self.core.now_ns;
        for instrument in 0..self.core.state.rules.instruments.len() as u16 {
            let held = (0..self.core.state.rules.accounts.len() as u16)
                .any(|account| self.core.state.exposure.account(account, instrument).position != 0);
            if held {
                self.core.refresh_price(instrument);
            }
        }
    }

    /// The disk has failed: what was not durable never will be. New orders that waited for it do not leave; everything
    /// else goes on, with the class that is true now.
    fn watch_journal(&mut self) {
        if self.journal_failed || self.core.journal_state() != 2 {
            return;
        }
        self.journal_failed = true;
        let durable = self.core.journal.durable_sequence();
        if self.core.durability == Durability::Disk {
            self.core.durability = Durability::Process;
        }
        for venue in 0..self.core.venues.len() {
            while let Some(request) = self.core.venues[venue].outbox.take_undurable(durable) {
                if let VenueRequest::New(order) = request {
                    self.refuse_undurable(order.order_id);
                }
            }
            self.core.venues[venue].outbox.ungate();
        }
        self.core.recent.weaken(durable, self.core.durability);
        // Acknowledgements that promised the disk cannot be kept: their sessions end, and resume with the truth.
        for at in 0..self.sessions.active().len() {
            let slot = self.sessions.active()[at];
            if let Some(session) = self.sessions.get(slot)
                && session.waits_for_journal()
            {
                session.ending = Some(Code::JournalFailed);
                self.sessions.touch(slot);
            }
        }
    }

    fn refuse_undurable(&mut self, order_id: OrderId) {
        let Some(slot) = self.core.state.orders.find(order_id) else { return };
        let order = *self.core.state.orders.get(slot);
        let reason = Remark::truncated("JOURNAL_FAILED: it never left the gateway");
        let _ = reports::tell(&mut self.core, &mut self.sessions, &order, ReportKind::Rejected { reason });
    }

    pub(super) fn publish_metrics(&mut self) {
        let (core, metrics) = (&self.core, &self.core.metrics);
        let status = core.journal.status();
        metrics.journal_state.set(core.journal_state());
        metrics.journal_sequence.set(core.journal.next_sequence() - 1);
        metrics.journal_durable_sequence.set(core.journal.durable_sequence());
        metrics.journal_free_bytes.set(status.free_bytes);
        metrics.journal_segment.set(status.segment_index);
        metrics.orders_open.set(core.state.orders.open_count() as u64);
        metrics.dedupe_entries.set(core.state.dedupe.remembered());
        metrics.trading_state.set(core.state.halts.get(HaltPlace::Whole) as u64);
        metrics.halts.set(core.state.halts.count() as u64);
        let loss =
            (0..core.state.rules.limits.len()).map(|owner| risk::loss_percent(&core.state, owner)).max();
        metrics.loss_percent.set(loss.unwrap_or(0));
        for (venue, link) in metrics.venues.iter().zip(&core.venues) {
            venue.outbox.set(link.outbox.len() as u64);
            venue.lane_free.set(link.requests.free() as u64);
        }
        for (at, venue) in metrics.venues.iter().enumerate() {
            venue.state.set(core.state.venues[at] as u64);
        }
    }
}
