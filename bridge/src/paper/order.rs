//! Orders as the venue keeps them.

use tollgate_protocol::command::{OrderType, Side};
use tollgate_protocol::identity::OrderId;
use tollgate_protocol::money::Money;

use tollgate_contract::venue::{ReportBody, VenueOrder, VenueOrderState};

/// A trade of one order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fill {
    pub(super) trade_id: u64,
    pub(super) price_ticks: i64,
    pub(super) quantity_steps: i64,
    pub(super) fee: Money,
    pub(super) maker: bool,
}

impl Fill {
    /// The fill as it is reported, at once or again.
    pub(super) fn report(&self) -> ReportBody {
        ReportBody::Filled {
            trade_id: self.trade_id,
            price_ticks: self.price_ticks,
            quantity_steps: self.quantity_steps,
            fee: self.fee,
            maker: self.maker,
        }
    }
}

/// An order that works: in the book, or waiting for its trigger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct WorkingOrder {
    pub(super) venue_order_id: u64,
    /// As received, with the totals of the last change.
    pub(super) order: VenueOrder,
    pub(super) filled_steps: i64,
    /// True when the market has reached the trigger price.
    pub(super) triggered: bool,
    /// Its place among orders of the same price.
    pub(super) sequence: u64,
    pub(super) fills: Vec<Fill>,
}

impl WorkingOrder {
    /// What is still to be filled, in steps.
    pub(super) fn remaining_steps(&self) -> i64 {
        self.order.quantity_steps - self.filled_steps
    }

    /// True while it waits for its trigger price.
    pub(super) fn awaits_trigger(&self) -> bool {
        !self.triggered && matches!(self.order.order_type, OrderType::Stop | OrderType::StopLimit)
    }

    /// True when it has a limit price.
    pub(super) fn has_limit(&self) -> bool {
        matches!(self.order.order_type, OrderType::Limit | OrderType::StopLimit)
    }

    /// The worst price at which it trades, in ticks; beyond every price for one without a limit.
    pub(super) fn limit_ticks(&self) -> i64 {
        match (self.has_limit(), self.order.side) {
            (true, _) => self.order.price_ticks,
            (false, Side::Buy) => i64::MAX,
            (false, Side::Sell) => -i64::MAX,
        }
    }

    /// What is kept of it when nothing can happen to it any more.
    pub(super) fn into_final(self, state: VenueOrderState) -> FinalOrder {
        FinalOrder {
            order_id: self.order.order_id,
            venue_order_id: self.venue_order_id,
            quantity_steps: self.order.quantity_steps,
            filled_steps: self.filled_steps,
            price_ticks: self.order.price_ticks,
            stop_price_ticks: self.order.stop_price_ticks,
            state,
            fills: self.fills,
        }
    }

    /// The answer to a query, after the fills.
    pub(super) fn status(&self) -> ReportBody {
        ReportBody::Status {
            venue_order_id: self.venue_order_id,
            quantity_steps: self.order.quantity_steps,
            filled_steps: self.filled_steps,
            price_ticks: self.order.price_ticks,
            stop_price_ticks: self.order.stop_price_ticks,
            state: VenueOrderState::Working,
        }
    }
}

/// An order to which nothing can happen any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FinalOrder {
    pub(super) order_id: OrderId,
    pub(super) venue_order_id: u64,
    pub(super) quantity_steps: i64,
    pub(super) filled_steps: i64,
    pub(super) price_ticks: i64,
    pub(super) stop_price_ticks: i64,
    pub(super) state: VenueOrderState,
    pub(super) fills: Vec<Fill>,
}

impl FinalOrder {
    /// The answer to a query, after the fills.
    pub(super) fn status(&self) -> ReportBody {
        ReportBody::Status {
            venue_order_id: self.venue_order_id,
            quantity_steps: self.quantity_steps,
            filled_steps: self.filled_steps,
            price_ticks: self.price_ticks,
            stop_price_ticks: self.stop_price_ticks,
            state: self.state,
        }
    }
}
