//! How orders meet quotes.

use tollgate_protocol::command::{OrderType, Side, TimeInForce};
use tollgate_protocol::identity::OrderId;

use super::engine::Engine;
use super::entry::LedgerEntry;
use super::order::{Fill, WorkingOrder};
use super::rules::fee;
use tollgate_contract::venue::{Quote, VenueOrder};

/// The trade that an order makes now, before fees.
struct Match {
    price_ticks: i64,
    quantity_steps: i64,
    maker: bool,
}

impl Engine {
    /// Serves an order that has just come, or was just changed.
    pub(super) fn arrive(&mut self, order_id: OrderId) {
        let Some(working) = self.state.working(order_id) else {
            return;
        };
        if working.awaits_trigger() {
            let order = working.order;
            if self.state.book(order.instrument).has_reached(order.side, order.stop_price_ticks) {
                self.trigger(order_id);
            }
            return;
        }
        self.take(order_id);
    }

    /// Sets the quote, fills the resting orders that it reaches, then the stops that it sets off.
    pub(super) fn match_quote(&mut self, quote: Quote) {
        let liquidity = self.settings.liquidity_steps.get(usize::from(quote.instrument.0)).copied();
        let liquidity_steps = liquidity.filter(|steps| *steps > 0).unwrap_or(i64::MAX);
        self.state.book_mut(quote.instrument).set_quote(quote.bid_ticks, quote.ask_ticks, liquidity_steps);
        for side in [Side::Buy, Side::Sell] {
            // Each turn ends an order or uses up the liquidity.
            while let Some(order_id) = self.state.book(quote.instrument).first_crossing(side) {
                self.fill_resting(order_id);
            }
        }
        for side in [Side::Buy, Side::Sell] {
            while let Some(order_id) = self.state.book(quote.instrument).first_triggered(side) {
                self.trigger(order_id);
            }
        }
    }

    fn trigger(&mut self, order_id: OrderId) {
        self.commit(LedgerEntry::Triggered { at_ns: self.now_ns, order_id });
        self.take(order_id);
    }

    /// How many steps a reduce-only order may trade; for every other order, all that is left of it.
    pub(super) fn reducible_steps(&self, order: &VenueOrder) -> i64 {
        let position_steps = self.state.position(order.account, order.instrument);
        position_steps.saturating_mul(-order.side.sign()).max(0)
    }

    /// What the order may still trade, in steps.
    fn wanted_steps(&self, working: &WorkingOrder) -> i64 {
        let remaining_steps = working.remaining_steps();
        if working.order.reduce_only {
            remaining_steps.min(self.reducible_steps(&working.order))
        } else {
            remaining_steps
        }
    }

    /// Trades at the quote as taker, and ends what may not wait.
    fn take(&mut self, order_id: OrderId) {
        let working = self.state.working(order_id);
        assert!(working.is_some(), "only working orders trade");
        let Some(working) = working else { return };
        let order = working.order;
        let wanted_steps = self.wanted_steps(working);
        let book = self.state.book(order.instrument);
        let crosses = book.crosses(order.side, working.limit_ticks());
        let offer = book.offer(order.side).filter(|_| crosses);
        if let Some((price_ticks, left_steps)) = offer {
            let quantity_steps = wanted_steps.min(left_steps);
            let is_killed = order.time_in_force == TimeInForce::FillOrKill && quantity_steps < wanted_steps;
            if quantity_steps > 0 && !is_killed {
                self.trade(&order, &Match { price_ticks, quantity_steps, maker: false });
            }
        }
        let may_wait =
            !matches!(order.time_in_force, TimeInForce::ImmediateOrCancel | TimeInForce::FillOrKill);
        self.end_unless(may_wait, &order);
    }

    /// Fills a resting order that the quote crosses, as far as the liquidity goes.
    fn fill_resting(&mut self, order_id: OrderId) {
        let working = self.state.working(order_id);
        assert!(working.is_some(), "only working orders are in the book");
        let Some(working) = working else { return };
        let order = working.order;
        let book = self.state.book(order.instrument);
        let Some((quote_ticks, left_steps)) = book.offer(order.side) else { return };
        // What only lacked liquidity before is no maker: it trades at the quote, not at its limit.
        let maker = order.time_in_force == TimeInForce::PostOnly
            || (working.has_limit() && !book.crossed_before(order.side, working.limit_ticks()));
        let price_ticks = if maker { order.price_ticks } else { quote_ticks };
        let quantity_steps = self.wanted_steps(working).min(left_steps);
        if quantity_steps > 0 {
            self.trade(&order, &Match { price_ticks, quantity_steps, maker });
        }
        self.end_unless(true, &order);
    }

    /// Cancels the rest of an order that may not wait, or has no position left to reduce.
    fn end_unless(&mut self, may_wait: bool, order: &VenueOrder) {
        let Some(working) = self.state.working(order.order_id) else {
            return;
        };
        if !may_wait || self.wanted_steps(working) == 0 {
            self.end_rest(order.order_id);
        }
    }

    fn trade(&mut self, order: &VenueOrder, found: &Match) {
        let Match { price_ticks, quantity_steps, maker } = *found;
        let ppm = if maker { self.settings.fee_maker_ppm } else { self.settings.fee_taker_ppm };
        let instrument = &self.instruments[usize::from(order.instrument.0)];
        let fee = fee(instrument, price_ticks, quantity_steps, ppm);
        let trade_id = self.state.next_trade_id();
        let (at_ns, order_id) = (self.now_ns, order.order_id);
        self.state.book_mut(order.instrument).take(order.side, quantity_steps);
        self.statistics.fills += 1;
        self.commit(LedgerEntry::Traded {
            at_ns,
            order_id,
            trade_id,
            price_ticks,
            quantity_steps,
            fee,
            maker,
        });
        self.report(order_id, Fill { trade_id, price_ticks, quantity_steps, fee, maker }.report());
        debug_assert!(order.order_type != OrderType::Market || !maker, "market orders take");
    }
}
