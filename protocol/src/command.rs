//! What a client signs.

use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::identity::{CommandId, OrderId};
use crate::text::{AccountName, Remark, Symbol};
use crate::wire;
use crate::{wire_enum, wire_struct};

/// A signed command: the body of a command frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Command {
    /// The client's id of the command, the key of deduplication.
    pub command_id: CommandId,
    /// When the client made it, nanoseconds since the Unix epoch. Part of the content: a resend keeps it.
    /// Commands made before the deduplication window are refused, for they cannot be proved new.
    pub created_at_ns: u64,
    /// Reject it after this time, nanoseconds since the Unix epoch; 0 for no deadline. For new, replace and resume alone.
    pub deadline_ns: u64,
    /// The account it is for; empty for the key's only account.
    pub account: AccountName,
    /// What to do.
    pub action: Action,
}

wire_struct!(Command { command_id, created_at_ns, deadline_ns, account, action });

impl Command {
    /// The id at the head of an encoded command, before anything else of it is looked at.
    #[inline]
    pub fn peek_id(body: &[u8]) -> Option<CommandId> {
        Some(wire::decode(body).ok()?.0)
    }
}

/// What to do. The order of the variants is the wire's discriminant: append only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Action {
    /// Place an order.
    New(NewOrder),
    /// Cancel one order.
    Cancel(Target),
    /// Change price or quantity of one order.
    Replace(Replace),
    /// Close a position, whole or in part, with a reduce-only market order.
    Close(Close),
    /// Cancel every working order of this client on the account, or of one of its symbols; with the scope operate, of
    /// every client.
    CancelAll(Scope),
    /// Close every position of the account, whichever client opened it, or that of one symbol.
    CloseAll(Scope),
    /// Stop trading (scope operate).
    Halt(Halt),
    /// Let trading go on (scope operate).
    Resume(Resume),
    /// Ask; changes nothing, is not journaled.
    Query(Query),
    /// Say that the client lives; changes nothing, is not journaled.
    Heartbeat,
}

wire_enum!(Action {
    0 = New(part),
    1 = Cancel(part),
    2 = Replace(part),
    3 = Close(part),
    4 = CancelAll(part),
    5 = CloseAll(part),
    6 = Halt(part),
    7 = Resume(part),
    8 = Query(part),
    9 = Heartbeat,
});

/// Buy or sell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Side {
    /// Buy.
    Buy,
    /// Sell.
    Sell,
}

wire_enum!(Side { 0 = Buy, 1 = Sell });

impl Side {
    /// The other side.
    #[inline]
    pub fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// +1 for buy, −1 for sell.
    #[inline]
    pub fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }
}

/// How an order is priced.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum OrderType {
    /// At the best price there is.
    Market,
    /// At `price` or better.
    Limit,
    /// Becomes a market order when the market reaches `stop_price`.
    Stop,
    /// Becomes a limit order at `price` when the market reaches `stop_price`.
    StopLimit,
}

wire_enum!(OrderType { 0 = Market, 1 = Limit, 2 = Stop, 3 = StopLimit });

/// How long an order works.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum TimeInForce {
    /// Until cancelled.
    GoodTillCancel,
    /// What can be filled at once; the rest is cancelled.
    ImmediateOrCancel,
    /// All at once or nothing.
    FillOrKill,
    /// Until `expire_at_ns`.
    GoodTillDate,
    /// Until cancelled, and refused by the venue if it would trade at once.
    PostOnly,
}

wire_enum!(TimeInForce {
    0 = GoodTillCancel,
    1 = ImmediateOrCancel,
    2 = FillOrKill,
    3 = GoodTillDate,
    4 = PostOnly,
});

/// An order to place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewOrder {
    /// What to trade.
    pub symbol: Symbol,
    /// Which way.
    pub side: Side,
    /// How it is priced.
    pub order_type: OrderType,
    /// How much, in the instrument's unit (lots, coins, contracts).
    pub quantity: Decimal,
    /// Limit price: with `Limit` and `StopLimit`, and with them only.
    pub price: Option<Decimal>,
    /// Trigger price: with `Stop` and `StopLimit`, and with them only.
    pub stop_price: Option<Decimal>,
    /// How long it works.
    pub time_in_force: TimeInForce,
    /// End of a `GoodTillDate` order, nanoseconds since the Unix epoch; 0 with every other.
    pub expire_at_ns: u64,
    /// May only make a position smaller.
    pub reduce_only: bool,
    /// On a hedging account, the position to act on (MT5 position ticket); 0 for a new one, and on a netting one.
    pub position_ticket: u64,
    /// Stop loss to attach, where the venue keeps one.
    pub stop_loss: Option<Decimal>,
    /// Take profit to attach, where the venue keeps one.
    pub take_profit: Option<Decimal>,
}

wire_struct!(NewOrder {
    symbol,
    side,
    order_type,
    quantity,
    price,
    stop_price,
    time_in_force,
    expire_at_ns,
    reduce_only,
    position_ticket,
    stop_loss,
    take_profit,
});

/// Which order is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Target {
    /// The order made by this client's command.
    Command(CommandId),
    /// The order with the gateway's id.
    Order(OrderId),
}

wire_enum!(Target { 0 = Command(part), 1 = Order(part) });

/// A change of one working order. What is `None` stays; at least one must be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Replace {
    /// Which order.
    pub target: Target,
    /// The new total quantity, what is filled already included.
    pub quantity: Option<Decimal>,
    /// The new limit price.
    pub price: Option<Decimal>,
    /// The new trigger price.
    pub stop_price: Option<Decimal>,
}

wire_struct!(Replace { target, quantity, price, stop_price });

/// A position to close.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Close {
    /// Of which instrument.
    pub symbol: Symbol,
    /// On a hedging account, which position (MT5 position ticket); 0 on a netting one.
    pub position_ticket: u64,
    /// How much of it; `None` for all.
    pub quantity: Option<Decimal>,
}

wire_struct!(Close { symbol, position_ticket, quantity });

/// What a cancel-all or close-all reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Scope {
    /// One symbol of the account, or all of them.
    pub symbol: Option<Symbol>,
}

wire_struct!(Scope { symbol });

/// What a halt or a resume reaches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum HaltScope {
    /// The whole gateway.
    Whole,
    /// One account.
    Account(AccountName),
    /// One symbol, in every account.
    Symbol(Symbol),
}

wire_enum!(HaltScope { 0 = Whole, 1 = Account(part), 2 = Symbol(part) });

/// Whether trading goes on. Ordered from free to stopped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub enum TradingState {
    /// Every command is served.
    #[default]
    Active,
    /// Only what makes a position smaller, and cancels.
    Reducing,
    /// No new orders and no replaces; cancels and closes are served.
    Halted,
}

wire_enum!(TradingState { 0 = Active, 1 = Reducing, 2 = Halted });

/// Stop trading. Who did it is the key that signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Halt {
    /// What stops.
    pub scope: HaltScope,
    /// `Reducing` or `Halted`.
    pub state: TradingState,
    /// Cancel the working orders in the scope.
    pub cancel_working: bool,
    /// Close the positions in the scope.
    pub flatten: bool,
    /// Why, for the journal and the operator's page.
    pub reason: Remark,
}

wire_struct!(Halt { scope, state, cancel_working, flatten, reason });

/// Let trading go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Resume {
    /// What goes on: the scope must be one that was halted.
    pub scope: HaltScope,
    /// Why, for the journal.
    pub reason: Remark,
}

wire_struct!(Resume { scope, reason });

/// A question.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Query {
    /// The state of one order.
    Order(Target),
    /// The working and the unknown orders, all or of one symbol.
    OpenOrders(Scope),
    /// The positions, all or of one symbol.
    Positions(Scope),
    /// The account's figures.
    Account,
    /// The effective limits of this client on this account, all symbols or one.
    Limits(Scope),
    /// The instruments that the key may trade, with their rules.
    Instruments(Scope),
}

wire_enum!(Query {
    0 = Order(part),
    1 = OpenOrders(part),
    2 = Positions(part),
    3 = Account,
    4 = Limits(part),
    5 = Instruments(part),
});

impl Action {
    /// The action's name in tables, metrics and the journal.
    pub fn name(&self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// The names of all actions, by wire discriminant.
    pub const NAMES: [&str; 10] = [
        "new",
        "cancel",
        "replace",
        "close",
        "cancel_all",
        "close_all",
        "halt",
        "resume",
        "query",
        "heartbeat",
    ];

    /// The wire discriminant, an index into [`Action::NAMES`].
    #[inline]
    pub fn index(&self) -> usize {
        match self {
            Self::New(_) => 0,
            Self::Cancel(_) => 1,
            Self::Replace(_) => 2,
            Self::Close(_) => 3,
            Self::CancelAll(_) => 4,
            Self::CloseAll(_) => 5,
            Self::Halt(_) => 6,
            Self::Resume(_) => 7,
            Self::Query(_) => 8,
            Self::Heartbeat => 9,
        }
    }
}
