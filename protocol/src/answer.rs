//! Direct answers: to one session alone, not journaled, not numbered.

use serde::{Deserialize, Serialize};

use crate::command::{OrderType, Side, TimeInForce, TradingState};
use crate::decimal::Decimal;
use crate::event::Event;
use crate::identity::{CommandId, OrderId};
use crate::reject::{Owner, Reject};
use crate::text::{AccountName, Symbol, Text};
use crate::{wire_enum, wire_struct};

/// The body of an answer frame. A query is answered by as many frames as it has rows, then one with
/// [`AnswerBody::End`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The command that is answered.
    pub command_id: CommandId,
    /// The answer.
    pub body: AnswerBody,
}

wire_struct!(Answer { command_id, body });

/// One answer. The order of the variants is the wire's discriminant: append only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AnswerBody {
    /// To a heartbeat: the gateway's time, nanoseconds since the Unix epoch.
    Heartbeat {
        /// The gateway's time.
        time_ns: u64,
    },
    /// The command came before, with the same content: the first answer again, with its event number.
    Repeated(Event),
    /// Refused without a place in the journal: a query that cannot be answered, a command id with other
    /// content, a command older than the deduplication window.
    Refused(Reject),
    /// An order, to the queries order and open orders.
    Order(OrderState),
    /// A position, to the query positions.
    Position(PositionState),
    /// The account, to the query account.
    Account(AccountState),
    /// A limit, to the query limits.
    Limit(LimitState),
    /// An instrument, to the query instruments.
    Instrument(InstrumentState),
    /// All rows are sent.
    End {
        /// How many rows there were.
        rows: u32,
    },
}

wire_enum!(AnswerBody {
    0 = Heartbeat { time_ns },
    1 = Repeated(part),
    2 = Refused(part),
    3 = Order(part),
    4 = Position(part),
    5 = Account(part),
    6 = Limit(part),
    7 = Instrument(part),
    8 = End { rows },
});

/// Where an order stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum OrderStatus {
    /// On its way to the venue; no report yet.
    Sent,
    /// The venue has it.
    Working,
    /// Part of it is filled, the rest works.
    PartiallyFilled,
    /// All of it is filled; final.
    Filled,
    /// Cancelled; final.
    Cancelled,
    /// Refused by the venue; final.
    Rejected,
    /// Its time ran out; final.
    Expired,
    /// May or may not be at the venue; being asked.
    Unknown,
}

wire_enum!(OrderStatus {
    0 = Sent,
    1 = Working,
    2 = PartiallyFilled,
    3 = Filled,
    4 = Cancelled,
    5 = Rejected,
    6 = Expired,
    7 = Unknown,
});

impl OrderStatus {
    /// True when nothing more can happen to the order.
    #[inline]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Filled | Self::Cancelled | Self::Rejected | Self::Expired)
    }

    /// The status's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Working => "working",
            Self::PartiallyFilled => "partially_filled",
            Self::Filled => "filled",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }
}

/// An order as the gateway knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderState {
    /// The gateway's id.
    pub order_id: OrderId,
    /// The command that made it.
    pub command_id: CommandId,
    /// Its account.
    pub account: AccountName,
    /// Its instrument.
    pub symbol: Symbol,
    /// Its side.
    pub side: Side,
    /// Its type.
    pub order_type: OrderType,
    /// How long it works.
    pub time_in_force: TimeInForce,
    /// Total quantity.
    pub quantity: Decimal,
    /// Filled so far.
    pub filled_quantity: Decimal,
    /// Limit price.
    pub price: Option<Decimal>,
    /// Trigger price.
    pub stop_price: Option<Decimal>,
    /// Where it stands.
    pub status: OrderStatus,
    /// The venue's own id; 0 before it is known.
    pub venue_order_id: u64,
}

wire_struct!(OrderState {
    order_id,
    command_id,
    account,
    symbol,
    side,
    order_type,
    time_in_force,
    quantity,
    filled_quantity,
    price,
    stop_price,
    status,
    venue_order_id,
});

/// A position as the gateway knows it, from the venue's reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PositionState {
    /// The account.
    pub account: AccountName,
    /// The instrument.
    pub symbol: Symbol,
    /// How much: above 0 long, below 0 short.
    pub quantity: Decimal,
    /// Mean price of the open quantity, shown with up to 8 digits more than the tick, rounded toward zero.
    pub average_price: Decimal,
    /// Working quantity to buy.
    pub working_buy_quantity: Decimal,
    /// Working quantity to sell.
    pub working_sell_quantity: Decimal,
    /// Result of closed quantity since the daily reset, after fees, in the account's currency.
    pub realised_today: Decimal,
    /// Result of the open quantity at the last reference price, in the account's currency.
    pub unrealised: Decimal,
}

wire_struct!(PositionState {
    account,
    symbol,
    quantity,
    average_price,
    working_buy_quantity,
    working_sell_quantity,
    realised_today,
    unrealised,
});

/// An account's figures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountState {
    /// The account.
    pub account: AccountName,
    /// Whether it may trade: the strictest of whole, account.
    pub trading_state: TradingState,
    /// Result of closed quantity since the daily reset, after fees.
    pub realised_today: Decimal,
    /// Result of the open quantity at the last reference prices.
    pub unrealised: Decimal,
    /// Sum of the absolute positions' and working orders' notional.
    pub gross_notional: Decimal,
    /// Sum of the positions' signed notional.
    pub net_notional: Decimal,
    /// Working, sent and unknown orders.
    pub open_orders: u32,
    /// Orders accepted by the gateway since the daily reset.
    pub orders_today: u64,
    /// When the daily counters start anew, nanoseconds since the Unix epoch.
    pub daily_reset_at_ns: u64,
}

wire_struct!(AccountState {
    account,
    trading_state,
    realised_today,
    unrealised,
    gross_notional,
    net_notional,
    open_orders,
    orders_today,
    daily_reset_at_ns,
});

/// One effective limit: the minimum over all owners.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LimitState {
    /// Its name in the configuration, such as `max_long`.
    pub name: Text<31>,
    /// The symbol it is for; empty when it is for the account.
    pub symbol: Symbol,
    /// Whose limit is the lowest.
    pub owner: Owner,
    /// The limit.
    pub limit: Decimal,
    /// How much of it is used now.
    pub used: Decimal,
}

wire_struct!(LimitState { name, symbol, owner, limit, used });

/// An instrument's rules as the gateway holds them. A bound of 0 is no bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InstrumentState {
    /// Its name.
    pub symbol: Symbol,
    /// Prices are multiples of this.
    pub tick: Decimal,
    /// Quantities are multiples of this.
    pub step: Decimal,
    /// The smallest quantity.
    pub quantity_minimum: Decimal,
    /// The largest quantity of one order.
    pub quantity_maximum: Decimal,
    /// The lowest price.
    pub price_minimum: Decimal,
    /// The highest price.
    pub price_maximum: Decimal,
    /// The smallest price times quantity.
    pub notional_minimum: Decimal,
    /// The last bid seen; 0 before the first.
    pub bid: Decimal,
    /// The last ask seen; 0 before the first.
    pub ask: Decimal,
}

wire_struct!(InstrumentState {
    symbol,
    tick,
    step,
    quantity_minimum,
    quantity_maximum,
    price_minimum,
    price_maximum,
    notional_minimum,
    bid,
    ask,
});
