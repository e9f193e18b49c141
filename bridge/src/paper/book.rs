//! One instrument's market: the quote, what is left of it, and the orders that wait for a better one.

use std::collections::BTreeMap;

use tollgate_protocol::command::Side;
use tollgate_protocol::identity::OrderId;

use super::order::WorkingOrder;

/// Orders by place: the smallest key trades first, then the earliest sequence.
type Queue = BTreeMap<(i64, u64), OrderId>;

/// One instrument's market. Buys trade at the ask, sells at the bid.
#[derive(Default)]
pub(super) struct Book {
    bid_ticks: i64,
    ask_ticks: i64,
    previous_bid_ticks: i64,
    previous_ask_ticks: i64,
    /// By side of the order, what the quote is still good for, in steps.
    left_steps: [i64; 2],
    resting: [Queue; 2],
    stops: [Queue; 2],
}

impl Book {
    /// Takes a new quote, good for `liquidity_steps` on each side.
    pub(super) fn set_quote(&mut self, bid_ticks: i64, ask_ticks: i64, liquidity_steps: i64) {
        (self.previous_bid_ticks, self.previous_ask_ticks) = (self.bid_ticks, self.ask_ticks);
        (self.bid_ticks, self.ask_ticks) = (bid_ticks, ask_ticks);
        self.left_steps = [liquidity_steps; 2];
    }

    /// Best bid and ask, in ticks, if there was a quote.
    pub(super) fn quote(&self) -> Option<(i64, i64)> {
        (self.ask_ticks > 0).then_some((self.bid_ticks, self.ask_ticks))
    }

    /// The price at which an order of `side` trades, in ticks, and for how many steps.
    pub(super) fn offer(&self, side: Side) -> Option<(i64, i64)> {
        let (bid_ticks, ask_ticks) = self.quote()?;
        let price_ticks = if side == Side::Buy { ask_ticks } else { bid_ticks };
        Some((price_ticks, self.left_steps[side as usize]))
    }

    /// Takes `quantity_steps` from what is left.
    pub(super) fn take(&mut self, side: Side, quantity_steps: i64) {
        let left_steps = &mut self.left_steps[side as usize];
        assert!(quantity_steps <= *left_steps, "no more is traded than the quote is good for");
        *left_steps -= quantity_steps;
    }

    /// True when an order with this limit would trade at the quote.
    pub(super) fn crosses(&self, side: Side, limit_ticks: i64) -> bool {
        self.quote().is_some_and(|(bid_ticks, ask_ticks)| reaches(side, limit_ticks, bid_ticks, ask_ticks))
    }

    /// True when an order with this limit would have traded at the quote before this one too.
    pub(super) fn crossed_before(&self, side: Side, limit_ticks: i64) -> bool {
        self.previous_ask_ticks > 0
            && reaches(side, limit_ticks, self.previous_bid_ticks, self.previous_ask_ticks)
    }

    /// True when the market has reached a trigger price.
    pub(super) fn has_reached(&self, side: Side, stop_price_ticks: i64) -> bool {
        self.quote().is_some_and(|(bid_ticks, ask_ticks)| match side {
            Side::Buy => ask_ticks >= stop_price_ticks,
            Side::Sell => bid_ticks <= stop_price_ticks,
        })
    }

    /// The first order of `side` that trades at the quote, if anything of the quote is left.
    pub(super) fn first_crossing(&self, side: Side) -> Option<OrderId> {
        let (bid_ticks, ask_ticks) = self.quote()?;
        let (key, order_id) = self.resting[side as usize].first_key_value()?;
        let bound = if side == Side::Buy { -ask_ticks } else { bid_ticks };
        (self.left_steps[side as usize] > 0 && key.0 <= bound).then_some(*order_id)
    }

    /// The first order of `side` whose trigger price is reached.
    pub(super) fn first_triggered(&self, side: Side) -> Option<OrderId> {
        let (bid_ticks, ask_ticks) = self.quote()?;
        let (key, order_id) = self.stops[side as usize].first_key_value()?;
        let bound = if side == Side::Buy { ask_ticks } else { -bid_ticks };
        (key.0 <= bound).then_some(*order_id)
    }

    /// Puts the order into the queue that it belongs to.
    pub(super) fn insert(&mut self, order: &WorkingOrder) {
        let before = self.queue(order).insert(key(order), order.order.order_id);
        assert!(before.is_none(), "places are never shared");
    }

    /// Takes the order out of its queue.
    pub(super) fn remove(&mut self, order: &WorkingOrder) {
        let removed = self.queue(order).remove(&key(order));
        assert!(removed == Some(order.order.order_id), "a working order is in its queue");
    }

    fn queue(&mut self, order: &WorkingOrder) -> &mut Queue {
        let queues = if order.awaits_trigger() { &mut self.stops } else { &mut self.resting };
        &mut queues[order.order.side as usize]
    }
}

/// True when an order with this limit trades at these prices.
fn reaches(side: Side, limit_ticks: i64, bid_ticks: i64, ask_ticks: i64) -> bool {
    match side {
        Side::Buy => limit_ticks >= ask_ticks,
        Side::Sell => limit_ticks <= bid_ticks,
    }
}

/// The place of an order in its queue. Signs make the order that trades first the smallest.
fn key(order: &WorkingOrder) -> (i64, u64) {
    let place = match (order.awaits_trigger(), order.order.side) {
        (true, Side::Buy) => order.order.stop_price_ticks,
        (true, Side::Sell) => -order.order.stop_price_ticks,
        (false, Side::Buy) => -order.limit_ticks(),
        (false, Side::Sell) => order.limit_ticks(),
    };
    (place, order.sequence)
}
