//! One value of every variant of every enum that travels. A new variant does not compile until it is listed.

use tollgate_protocol::answer::{
    AccountState, AnswerBody, InstrumentState, LimitState, OrderState, OrderStatus, PositionState,
};
use tollgate_protocol::command::{
    Action, Close, Halt, HaltScope, NewOrder, OrderType, Query, Replace, Resume, Scope, Side, Target,
    TimeInForce, TradingState,
};
use tollgate_protocol::event::{
    Acknowledgement, Durability, Event, EventBody, Fill, Rejection, Report, ReportKind,
};
use tollgate_protocol::logon::{Proof, Signature};
use tollgate_protocol::mac::MacAlgorithm;
use tollgate_protocol::reject::{Code, Owner, Reject};
use tollgate_protocol::{CommandId, Decimal, OrderId, Symbol};

use super::counting;

/// 2025-10-09 08:53:20 UTC, in nanoseconds.
pub const TIME_NS: u64 = 1_760_000_000_000_000_000;

/// A list of values, checked to name every variant.
macro_rules! every {
    ($name:ident: $type:ident { $($pattern:pat => $value:expr),+ $(,)? }) => {
        pub fn $name() -> Vec<$type> {
            fn is_listed(value: &$type) {
                use $type::*;
                match value { $($pattern => ()),+ }
            }
            use $type::*;
            let all = vec![$($value),+];
            all.iter().for_each(is_listed);
            all
        }
    };
}

pub fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub fn symbol(text: &str) -> Symbol {
    Symbol::new(text).unwrap()
}

pub const BITCOIN: &str = "BTCUSDT";
pub const EURO: &str = "EURUSD.r";

every!(sides: Side { Buy => Buy, Sell => Sell });
every!(order_types: OrderType { Market => Market, Limit => Limit, Stop => Stop, StopLimit => StopLimit });
every!(times_in_force: TimeInForce {
    GoodTillCancel => GoodTillCancel,
    ImmediateOrCancel => ImmediateOrCancel,
    FillOrKill => FillOrKill,
    GoodTillDate => GoodTillDate,
    PostOnly => PostOnly,
});
every!(trading_states: TradingState { Active => Active, Reducing => Reducing, Halted => Halted });
every!(durabilities: Durability { None => None, Process => Process, Disk => Disk });
every!(statuses: OrderStatus {
    Sent => Sent,
    Working => Working,
    PartiallyFilled => PartiallyFilled,
    Filled => Filled,
    Cancelled => Cancelled,
    Rejected => Rejected,
    Expired => Expired,
    Unknown => Unknown,
});
every!(owners: Owner {
    Gateway => Gateway,
    Firm => Firm,
    Account => Account,
    Client => Client,
    Symbol => Symbol,
    Venue => Venue,
    Session => Session,
});
every!(mac_algorithms: MacAlgorithm { HmacSha256 => HmacSha256, Blake3 => Blake3 });
every!(proofs: Proof {
    Hmac(_) => Hmac(counting(0x40)),
    Ed25519(_) => Ed25519(Signature { r: counting(0x60), s: counting(0x80) }),
});
every!(targets: Target {
    Command(_) => Command(CommandId(0x9f2c_1d34_0000_4000_8000_0000_0000_002a)),
    Order(_) => Order(OrderId(1001)),
});
every!(halt_scopes: HaltScope {
    Whole => Whole,
    Account(_) => Account("main".parse().unwrap()),
    Symbol(_) => Symbol(symbol(EURO)),
});
every!(queries: Query {
    Order(_) => Order(Target::Command(CommandId(42))),
    OpenOrders(_) => OpenOrders(Scope { symbol: None }),
    Positions(_) => Positions(scope_one()),
    Account => Account,
    Limits(_) => Limits(scope_one()),
    Instruments(_) => Instruments(Scope { symbol: None }),
});
every!(actions: Action {
    New(_) => New(limit_order()),
    Cancel(_) => Cancel(Target::Command(CommandId(42))),
    Replace(_) => Replace(replace()),
    Close(_) => Close(close()),
    CancelAll(_) => CancelAll(scope_one()),
    CloseAll(_) => CloseAll(Scope { symbol: None }),
    Halt(_) => Halt(halt(HaltScope::Whole, TradingState::Halted)),
    Resume(_) => Resume(resume()),
    Query(_) => Query(self::Query::Account),
    Heartbeat => Heartbeat,
});
every!(report_kinds: ReportKind {
    Accepted { .. } => Accepted { venue_order_id: 28_457 },
    Filled(_) => Filled(fill()),
    Rejected { .. } => Rejected { reason: "Account has insufficient balance for requested action.".parse().unwrap() },
    Cancelled => Cancelled,
    CancelRejected { .. } => CancelRejected { reason: "Unknown order sent.".parse().unwrap() },
    Replaced { .. } => Replaced {
        quantity: decimal("0.020"),
        price: Some(decimal("58700.00")),
        stop_price: Option::None,
    },
    ReplaceRejected { .. } => ReplaceRejected { reason: "Market closed".parse().unwrap() },
    Expired => Expired,
    Unknown { .. } => Unknown { reason: "no answer within 1000 ms".parse().unwrap() },
});
every!(event_bodies: EventBody {
    Acknowledged(_) => Acknowledged(acknowledgement(Durability::Disk)),
    Rejected(_) => Rejected(Rejection { command_id: CommandId(43), reject: reject(Owner::Symbol) }),
    Report(_) => Report(report(ReportKind::Cancelled)),
});
every!(answer_bodies: AnswerBody {
    Heartbeat { .. } => Heartbeat { time_ns: TIME_NS },
    Repeated(_) => Repeated(Event {
        event_sequence: 7,
        time_ns: TIME_NS,
        body: EventBody::Acknowledged(acknowledgement(Durability::Process)),
    }),
    Refused(_) => Refused(Reject::new(Code::DuplicateCommand, Owner::Client)),
    Order(_) => Order(order_state(OrderStatus::PartiallyFilled)),
    Position(_) => Position(position()),
    Account(_) => Account(account()),
    Limit(_) => Limit(limit()),
    Instrument(_) => Instrument(instrument()),
    End { .. } => End { rows: 3 },
});

pub fn scope_one() -> Scope {
    Scope { symbol: Some(symbol(BITCOIN)) }
}

pub fn limit_order() -> NewOrder {
    NewOrder {
        symbol: symbol(BITCOIN),
        side: Side::Buy,
        order_type: OrderType::Limit,
        quantity: decimal("0.010"),
        price: Some(decimal("58710.20")),
        stop_price: None,
        time_in_force: TimeInForce::GoodTillCancel,
        expire_at_ns: 0,
        reduce_only: false,
        position_ticket: 0,
        stop_loss: None,
        take_profit: None,
    }
}

/// An order of each type and each time in force, with the fields that it needs.
pub fn order(order_type: OrderType, time_in_force: TimeInForce) -> NewOrder {
    let has_price = matches!(order_type, OrderType::Limit | OrderType::StopLimit);
    let has_stop = matches!(order_type, OrderType::Stop | OrderType::StopLimit);
    NewOrder {
        order_type,
        time_in_force,
        side: Side::Sell,
        price: has_price.then(|| decimal("58710.20")),
        stop_price: has_stop.then(|| decimal("58700")),
        expire_at_ns: if time_in_force == TimeInForce::GoodTillDate {
            TIME_NS + 3_600_000_000_000
        } else {
            0
        },
        ..limit_order()
    }
}

/// An order with every field in use.
pub fn hedging_order() -> NewOrder {
    NewOrder {
        symbol: symbol(EURO),
        side: Side::Sell,
        order_type: OrderType::StopLimit,
        quantity: decimal("1.25"),
        price: Some(decimal("1.08450")),
        stop_price: Some(decimal("1.08500")),
        time_in_force: TimeInForce::GoodTillDate,
        expire_at_ns: TIME_NS + 3_600_000_000_000,
        reduce_only: true,
        position_ticket: 50_123_456_789,
        stop_loss: Some(decimal("1.09000")),
        take_profit: Some(decimal("1.07000")),
    }
}

pub fn replace() -> Replace {
    Replace {
        target: Target::Order(OrderId(1001)),
        quantity: Some(decimal("0.020")),
        price: Some(decimal("58700.00")),
        stop_price: None,
    }
}

pub fn close() -> Close {
    Close { symbol: symbol(EURO), position_ticket: 50_123_456_789, quantity: Some(decimal("0.5")) }
}

pub fn halt(scope: HaltScope, state: TradingState) -> Halt {
    Halt { scope, state, cancel_working: true, flatten: false, reason: "drawdown".parse().unwrap() }
}

pub fn resume() -> Resume {
    Resume { scope: HaltScope::Whole, reason: "checked by the desk – all clear".parse().unwrap() }
}

pub fn acknowledgement(durability: Durability) -> Acknowledgement {
    Acknowledgement { command_id: CommandId(42), order_id: OrderId(1001), durability }
}

pub fn reject(owner: Owner) -> Reject {
    Reject {
        code: Code::PriceNotOnTick,
        owner,
        value: decimal("58710.205"),
        limit: decimal("58710.20"),
        above: decimal("58710.21"),
    }
}

pub fn report(kind: ReportKind) -> Report {
    Report {
        command_id: CommandId(42),
        order_id: OrderId(1001),
        account: "main".parse().unwrap(),
        symbol: symbol(BITCOIN),
        side: Side::Buy,
        filled_quantity: decimal("0.010"),
        open_quantity: Decimal::ZERO,
        kind,
    }
}

pub fn fill() -> Fill {
    Fill {
        trade_id: 3_141_592_653,
        price: decimal("58710.20"),
        quantity: decimal("0.010"),
        fee: decimal("-0.0587101"),
        maker: true,
    }
}

pub fn order_state(status: OrderStatus) -> OrderState {
    OrderState {
        order_id: OrderId(1001),
        command_id: CommandId(42),
        account: "main".parse().unwrap(),
        symbol: symbol(BITCOIN),
        side: Side::Buy,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        quantity: decimal("0.010"),
        filled_quantity: decimal("0.004"),
        price: Some(decimal("58710.20")),
        stop_price: None,
        status,
        venue_order_id: 28_457,
    }
}

pub fn position() -> PositionState {
    PositionState {
        account: "main".parse().unwrap(),
        symbol: symbol(BITCOIN),
        quantity: decimal("0.010"),
        average_price: decimal("58710.20"),
        working_buy_quantity: Decimal::ZERO,
        working_sell_quantity: decimal("0.005"),
        realised_today: decimal("-12.5"),
        unrealised: decimal("-0.001"),
    }
}

pub fn account() -> AccountState {
    AccountState {
        account: "main".parse().unwrap(),
        trading_state: TradingState::Reducing,
        realised_today: decimal("-12.5"),
        unrealised: decimal("-0.001"),
        gross_notional: decimal("587.101"),
        net_notional: decimal("-587.101"),
        open_orders: 2,
        orders_today: 300,
        daily_reset_at_ns: TIME_NS + 54_400_000_000_000,
    }
}

pub fn limit() -> LimitState {
    LimitState {
        name: "max_long".parse().unwrap(),
        symbol: symbol(BITCOIN),
        owner: Owner::Firm,
        limit: decimal("2"),
        used: decimal("0.010"),
    }
}

pub fn instrument() -> InstrumentState {
    InstrumentState {
        symbol: symbol(BITCOIN),
        tick: decimal("0.01"),
        step: decimal("0.00001"),
        quantity_minimum: decimal("0.00001"),
        quantity_maximum: decimal("9000"),
        price_minimum: decimal("0.01"),
        price_maximum: decimal("1000000"),
        notional_minimum: decimal("5"),
        bid: decimal("58710.10"),
        ask: decimal("58710.20"),
    }
}
