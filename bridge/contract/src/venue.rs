//! The contract between the gateway and a venue: plain messages, `Copy`, in whole ticks and steps.

use tollgate_protocol::command::{OrderType, Side, TimeInForce};
use tollgate_protocol::identity::{AccountIndex, OrderId};
use tollgate_protocol::instrument::InstrumentIndex;
use tollgate_protocol::money::Money;
use tollgate_protocol::text::Remark;

/// An order for a venue. Every number is on the instrument's grid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VenueOrder {
    /// The gateway's id; the venue's client order id is made from it, and it is never used twice.
    pub order_id: OrderId,
    /// The account.
    pub account: AccountIndex,
    /// The instrument.
    pub instrument: InstrumentIndex,
    /// The side.
    pub side: Side,
    /// The type.
    pub order_type: OrderType,
    /// How long it works.
    pub time_in_force: TimeInForce,
    /// Total quantity, in steps, above 0.
    pub quantity_steps: i64,
    /// Limit price, in ticks; 0 without one.
    pub price_ticks: i64,
    /// Trigger price, in ticks; 0 without one.
    pub stop_price_ticks: i64,
    /// End of a good-till-date order, nanoseconds since the Unix epoch; 0 without one.
    pub expire_at_ns: u64,
    /// May only make the position smaller.
    pub reduce_only: bool,
    /// On a hedging account, the position to act on; 0 for none.
    pub position_ticket: u64,
    /// Stop loss, in ticks; 0 without one.
    pub stop_loss_ticks: i64,
    /// Take profit, in ticks; 0 without one.
    pub take_profit_ticks: i64,
}

/// What the gateway asks of a venue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VenueRequest {
    /// Place this order, once.
    New(VenueOrder),
    /// Cancel the order.
    Cancel(OrderId),
    /// Change the order to these totals; all three are given, changed or not.
    Replace {
        /// Which order.
        order_id: OrderId,
        /// New total quantity, in steps.
        quantity_steps: i64,
        /// New limit price, in ticks; 0 without one.
        price_ticks: i64,
        /// New trigger price, in ticks; 0 without one.
        stop_price_ticks: i64,
    },
    /// What became of this order? Answered by [`ReportBody::Status`] after every fill of it has been reported
    /// (again), or by [`ReportBody::NotFound`].
    Query(OrderId),
}

/// What a venue tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VenueReport {
    /// Something about an order.
    Order {
        /// Which order.
        order_id: OrderId,
        /// What.
        body: ReportBody,
    },
    /// The best prices of an instrument.
    Quote(Quote),
    /// The venue can be traded on.
    Connected,
    /// It cannot. Orders that were on their way may or may not have arrived.
    Disconnected {
        /// Why.
        reason: Remark,
    },
}

/// The best prices of an instrument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quote {
    /// Which instrument.
    pub instrument: InstrumentIndex,
    /// Best bid, in ticks.
    pub bid_ticks: i64,
    /// Best ask, in ticks.
    pub ask_ticks: i64,
}

/// What a venue tells of an order. Reports may come twice and late; the gateway drops what it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportBody {
    /// The venue has it.
    Accepted {
        /// The venue's own id.
        venue_order_id: u64,
    },
    /// A trade.
    Filled {
        /// The venue's id of the trade. It is compared within its order alone: the two sides of one trade may share it.
        trade_id: u64,
        /// Price, in ticks.
        price_ticks: i64,
        /// Quantity, in steps.
        quantity_steps: i64,
        /// Fee in the account's currency; negative for a rebate.
        fee: Money,
        /// True when the order rested.
        maker: bool,
    },
    /// Refused, definitely: it does not stand at the venue.
    Rejected {
        /// The venue's words.
        reason: Remark,
    },
    /// Cancelled; what was not filled is gone.
    Cancelled,
    /// Not cancelled; the order stands as it was, or was final before.
    CancelRejected {
        /// The venue's words.
        reason: Remark,
    },
    /// Changed to these totals.
    Replaced {
        /// Total quantity, in steps.
        quantity_steps: i64,
        /// Limit price, in ticks.
        price_ticks: i64,
        /// Trigger price, in ticks.
        stop_price_ticks: i64,
    },
    /// Not changed.
    ReplaceRejected {
        /// The venue's words.
        reason: Remark,
    },
    /// Its time ran out.
    Expired,
    /// The request was sent and no answer came in time: it may or may not have arrived.
    Unknown {
        /// What happened.
        reason: Remark,
    },
    /// The answer to a query: the order is known and stands like this.
    Status {
        /// The venue's own id.
        venue_order_id: u64,
        /// Total quantity, in steps.
        quantity_steps: i64,
        /// Filled so far, in steps.
        filled_steps: i64,
        /// Limit price, in ticks; 0 without one.
        price_ticks: i64,
        /// Trigger price, in ticks; 0 without one.
        stop_price_ticks: i64,
        /// Where it stands.
        state: VenueOrderState,
    },
    /// The answer to a query: the venue does not know the order.
    NotFound {
        /// True when that proves that the order never arrived and never will; false when the venue may be behind.
        definitive: bool,
    },
}

/// Where an order stands at its venue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VenueOrderState {
    /// It works, perhaps partly filled.
    Working,
    /// All of it is filled.
    Filled,
    /// Cancelled.
    Cancelled,
    /// Refused.
    Rejected,
    /// Its time ran out.
    Expired,
}

/// What the gateway connects to a venue's thread.
pub struct VenuePort {
    /// What the gateway asks.
    pub requests: crate::lane::Receiver<VenueRequest>,
    /// What the venue tells. Full: the venue keeps the report and tries again; it never drops one.
    pub reports: crate::lane::Sender<VenueReport>,
}
