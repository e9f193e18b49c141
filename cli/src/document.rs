//! The vocabulary as JSON. Numbers that must stay exact (prices, quantities, command ids) are strings; times are
//! RFC 3339 with nanoseconds.

use serde_json::{Map, Value, json};
use tollgate_protocol::answer::{AnswerBody, OrderState};
use tollgate_protocol::command::{
    Action, Command, HaltScope, NewOrder, OrderType, Query, Scope, Side, Target, TimeInForce, TradingState,
};
use tollgate_protocol::event::{Durability, Event, EventBody, Report, ReportKind};
use tollgate_protocol::reject::Reject;
use tollgate_protocol::{Decimal, Symbol};

use crate::moment;
use tollgate_client::Reply;

/// A time, or nothing for 0.
pub(crate) fn time(time_ns: u64) -> Value {
    if time_ns == 0 { Value::Null } else { Value::from(moment::full(time_ns)) }
}

fn decimal(value: Decimal) -> Value {
    Value::from(value.to_string())
}

fn optional(value: Option<Decimal>) -> Value {
    value.map_or(Value::Null, decimal)
}

pub(crate) fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

pub(crate) fn order_type(order_type: OrderType) -> &'static str {
    match order_type {
        OrderType::Market => "market",
        OrderType::Limit => "limit",
        OrderType::Stop => "stop",
        OrderType::StopLimit => "stop-limit",
    }
}

pub(crate) fn time_in_force(time_in_force: TimeInForce) -> &'static str {
    match time_in_force {
        TimeInForce::GoodTillCancel => "gtc",
        TimeInForce::ImmediateOrCancel => "ioc",
        TimeInForce::FillOrKill => "fok",
        TimeInForce::GoodTillDate => "gtd",
        TimeInForce::PostOnly => "post-only",
    }
}

pub(crate) fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::None => "none",
        Durability::Process => "process",
        Durability::Disk => "disk",
    }
}

pub(crate) fn trading_state(state: TradingState) -> &'static str {
    match state {
        TradingState::Active => "active",
        TradingState::Reducing => "reducing",
        TradingState::Halted => "halted",
    }
}

/// Puts the members of `more` behind those of `object`.
pub(crate) fn joined(mut object: Value, more: Value) -> Value {
    if let (Value::Object(members), Value::Object(more)) = (&mut object, more) {
        members.extend(more);
    }
    object
}

pub(crate) fn reject(reject: &Reject) -> Value {
    json!({
        "code": reject.code.name(),
        "number": reject.code.number(),
        "owner": reject.owner.name(),
        "value": decimal(reject.value),
        "limit": decimal(reject.limit),
        "above": decimal(reject.above),
        "meaning": reject.code.meaning(),
    })
}

/// An event with its number and time.
pub(crate) fn event(event: &Event) -> Value {
    let head = json!({"event_sequence": event.event_sequence, "time": time(event.time_ns)});
    let body = match &event.body {
        EventBody::Acknowledged(acknowledgement) => json!({
            "event": "acknowledged",
            "command_id": acknowledgement.command_id.to_string(),
            "order_id": acknowledgement.order_id.0,
            "durability": durability(acknowledgement.durability),
        }),
        EventBody::Rejected(rejection) => json!({
            "event": "rejected",
            "command_id": rejection.command_id.to_string(),
            "reject": reject(&rejection.reject),
        }),
        EventBody::Report(report) => joined(json!({"event": "report"}), self::report(report)),
    };
    joined(head, body)
}

/// A venue's report.
pub(crate) fn report(report: &Report) -> Value {
    let head = json!({
        "report": report.kind.name(),
        "command_id": report.command_id.to_string(),
        "order_id": report.order_id.0,
        "account": report.account.as_str(),
        "symbol": report.symbol.as_str(),
        "side": side(report.side),
        "filled_quantity": decimal(report.filled_quantity),
        "open_quantity": decimal(report.open_quantity),
    });
    let more = match &report.kind {
        ReportKind::Accepted { venue_order_id } => json!({"venue_order_id": venue_order_id}),
        ReportKind::Filled(fill) => json!({
            "trade_id": fill.trade_id,
            "price": decimal(fill.price),
            "quantity": decimal(fill.quantity),
            "fee": decimal(fill.fee),
            "maker": fill.maker,
        }),
        ReportKind::Replaced { quantity, price, stop_price } => json!({
            "quantity": decimal(*quantity),
            "price": optional(*price),
            "stop_price": optional(*stop_price),
        }),
        ReportKind::Rejected { reason }
        | ReportKind::CancelRejected { reason }
        | ReportKind::ReplaceRejected { reason }
        | ReportKind::Unknown { reason } => json!({"reason": reason.as_str()}),
        ReportKind::Cancelled | ReportKind::Expired => Value::Null,
    };
    joined(head, more)
}

/// The one answer to a command.
pub(crate) fn reply(reply: &Reply) -> Value {
    match reply {
        Reply::Event(event) => self::event(event),
        Reply::Repeated(first) => joined(json!({"repeated": true}), event(first)),
        Reply::Refused(reject) => json!({"event": "refused", "reject": self::reject(reject)}),
        Reply::Heartbeat { time_ns } => json!({"event": "heartbeat", "time": time(*time_ns)}),
        Reply::Rows(rows) => json!({"event": "rows", "rows": rows.iter().map(row).collect::<Vec<_>>()}),
    }
}

/// A row of a query's answer.
pub(crate) fn row(row: &AnswerBody) -> Value {
    match row {
        AnswerBody::Order(order) => self::order(order),
        AnswerBody::Position(position) => json!({
            "account": position.account.as_str(),
            "symbol": position.symbol.as_str(),
            "quantity": decimal(position.quantity),
            "average_price": decimal(position.average_price),
            "working_buy_quantity": decimal(position.working_buy_quantity),
            "working_sell_quantity": decimal(position.working_sell_quantity),
            "realised_today": decimal(position.realised_today),
            "unrealised": decimal(position.unrealised),
        }),
        AnswerBody::Account(account) => json!({
            "account": account.account.as_str(),
            "trading_state": trading_state(account.trading_state),
            "realised_today": decimal(account.realised_today),
            "unrealised": decimal(account.unrealised),
            "gross_notional": decimal(account.gross_notional),
            "net_notional": decimal(account.net_notional),
            "open_orders": account.open_orders,
            "orders_today": account.orders_today,
            "daily_reset_at": time(account.daily_reset_at_ns),
        }),
        AnswerBody::Limit(limit) => json!({
            "name": limit.name.as_str(),
            "symbol": limit.symbol.as_str(),
            "owner": limit.owner.name(),
            "limit": decimal(limit.limit),
            "used": decimal(limit.used),
        }),
        AnswerBody::Instrument(instrument) => json!({
            "symbol": instrument.symbol.as_str(),
            "tick": decimal(instrument.tick),
            "step": decimal(instrument.step),
            "quantity_minimum": decimal(instrument.quantity_minimum),
            "quantity_maximum": decimal(instrument.quantity_maximum),
            "price_minimum": decimal(instrument.price_minimum),
            "price_maximum": decimal(instrument.price_maximum),
            "notional_minimum": decimal(instrument.notional_minimum),
            "bid": decimal(instrument.bid),
            "ask": decimal(instrument.ask),
        }),
        AnswerBody::Heartbeat { time_ns } => json!({"time": time(*time_ns)}),
        AnswerBody::Repeated(first) => event(first),
        AnswerBody::Refused(reject) => self::reject(reject),
        AnswerBody::End { rows } => json!({"rows": rows}),
    }
}

fn order(order: &OrderState) -> Value {
    json!({
        "order_id": order.order_id.0,
        "command_id": order.command_id.to_string(),
        "account": order.account.as_str(),
        "symbol": order.symbol.as_str(),
        "side": side(order.side),
        "order_type": order_type(order.order_type),
        "time_in_force": time_in_force(order.time_in_force),
        "quantity": decimal(order.quantity),
        "filled_quantity": decimal(order.filled_quantity),
        "price": optional(order.price),
        "stop_price": optional(order.stop_price),
        "status": order.status.name(),
        "venue_order_id": order.venue_order_id,
    })
}

/// A command as its client signed it.
pub(crate) fn command(command: &Command) -> Value {
    let head = json!({
        "action": command.action.name(),
        "command_id": command.command_id.to_string(),
        "created_at": time(command.created_at_ns),
        "deadline": time(command.deadline_ns),
        "account": command.account.as_str(),
    });
    joined(head, action(&command.action))
}

fn symbol(symbol: Option<Symbol>) -> Value {
    symbol.map_or(Value::Null, |symbol| Value::from(symbol.as_str()))
}

fn target(target: &Target) -> Value {
    match target {
        Target::Command(command_id) => json!({"target_command_id": command_id.to_string()}),
        Target::Order(order_id) => json!({"target_order_id": order_id.0}),
    }
}

fn halt_scope(scope: &HaltScope) -> Value {
    match scope {
        HaltScope::Whole => json!({"scope": "whole"}),
        HaltScope::Account(account) => json!({"scope": "account", "scope_name": account.as_str()}),
        HaltScope::Symbol(symbol) => json!({"scope": "symbol", "scope_name": symbol.as_str()}),
    }
}

fn action(action: &Action) -> Value {
    match action {
        Action::New(order) => new_order(order),
        Action::Cancel(target) => self::target(target),
        Action::Replace(replace) => joined(
            target(&replace.target),
            json!({
                "quantity": optional(replace.quantity),
                "price": optional(replace.price),
                "stop_price": optional(replace.stop_price),
            }),
        ),
        Action::Close(close) => json!({
            "symbol": close.symbol.as_str(),
            "position_ticket": close.position_ticket,
            "quantity": optional(close.quantity),
        }),
        Action::CancelAll(scope) | Action::CloseAll(scope) => json!({"symbol": symbol(scope.symbol)}),
        Action::Halt(halt) => joined(
            halt_scope(&halt.scope),
            json!({
                "state": trading_state(halt.state),
                "cancel_working": halt.cancel_working,
                "flatten": halt.flatten,
                "reason": halt.reason.as_str(),
            }),
        ),
        Action::Resume(resume) => {
            joined(halt_scope(&resume.scope), json!({"reason": resume.reason.as_str()}))
        }
        Action::Query(query) => self::query(query),
        Action::Heartbeat => Value::Object(Map::new()),
    }
}

fn query(query: &Query) -> Value {
    let of = |what: &str, scope: &Scope| json!({"query": what, "symbol": symbol(scope.symbol)});
    match query {
        Query::Order(target) => joined(json!({"query": "order"}), self::target(target)),
        Query::OpenOrders(scope) => of("open_orders", scope),
        Query::Positions(scope) => of("positions", scope),
        Query::Account => json!({"query": "account"}),
        Query::Limits(scope) => of("limits", scope),
        Query::Instruments(scope) => of("instruments", scope),
    }
}

fn new_order(order: &NewOrder) -> Value {
    json!({
        "symbol": order.symbol.as_str(),
        "side": side(order.side),
        "order_type": order_type(order.order_type),
        "quantity": decimal(order.quantity),
        "price": optional(order.price),
        "stop_price": optional(order.stop_price),
        "time_in_force": time_in_force(order.time_in_force),
        "expire_at": time(order.expire_at_ns),
        "reduce_only": order.reduce_only,
        "position_ticket": order.position_ticket,
        "stop_loss": optional(order.stop_loss),
        "take_profit": optional(order.take_profit),
    })
}
