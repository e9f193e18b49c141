//! The vocabulary in a line of text.

use tollgate_protocol::answer::AnswerBody;
use tollgate_protocol::command::{Action, HaltScope, NewOrder, Query, Scope, Target, TradingState};
use tollgate_protocol::event::{Event, EventBody, Report, ReportKind};
use tollgate_protocol::reject::Reject;
use tollgate_protocol::{Decimal, Symbol};

use crate::document::{durability, order_type, side, time_in_force, trading_state};
use crate::output::{Output, Tone};
use crate::table::{Table, one_line};

/// What happened, as one word, and how it is to be taken.
pub(crate) fn event_word(event: &Event) -> (&'static str, Tone) {
    match &event.body {
        EventBody::Acknowledged(_) => ("acknowledged", Tone::Good),
        EventBody::Rejected(_) => ("rejected", Tone::Bad),
        EventBody::Report(report) => (report.kind.name(), report_tone(&report.kind)),
    }
}

fn report_tone(kind: &ReportKind) -> Tone {
    match kind {
        ReportKind::Filled(_) => Tone::Good,
        ReportKind::Rejected { .. } => Tone::Bad,
        ReportKind::Unknown { .. }
        | ReportKind::CancelRejected { .. }
        | ReportKind::ReplaceRejected { .. } => Tone::Warning,
        _ => Tone::Plain,
    }
}

/// What an event says beyond its word and its command.
pub(crate) fn event(event: &Event) -> String {
    match &event.body {
        EventBody::Acknowledged(acknowledgement) => {
            format!(
                "record {}, durable: {}",
                acknowledgement.order_id,
                durability(acknowledgement.durability)
            )
        }
        EventBody::Rejected(rejection) => reject(&rejection.reject),
        EventBody::Report(report) => self::report(report),
    }
}

/// A refusal with what its code means.
pub(crate) fn reject(reject: &Reject) -> String {
    format!("{reject}: {}", reject.code.meaning())
}

/// What a venue said, with the order it is about.
pub(crate) fn report(report: &Report) -> String {
    let order = format!("order {} {} {}", report.order_id, side(report.side), report.symbol);
    let filled = format!("filled {}, open {}", report.filled_quantity, report.open_quantity);
    let text = match &report.kind {
        ReportKind::Accepted { venue_order_id } => format!("{order}, venue order {venue_order_id}"),
        ReportKind::Filled(fill) => {
            format!("{order} {} @ {}, fee {}; {filled}", fill.quantity, fill.price, fill.fee)
        }
        ReportKind::Replaced { quantity, price, stop_price } => {
            let prices = prices(*price, *stop_price);
            format!("{order}, now {quantity}{prices}; {filled}")
        }
        ReportKind::Rejected { reason }
        | ReportKind::CancelRejected { reason }
        | ReportKind::ReplaceRejected { reason }
        | ReportKind::Unknown { reason } => format!("{order}: {reason}"),
        ReportKind::Cancelled | ReportKind::Expired => format!("{order}; {filled}"),
    };
    one_line(&text)
}

fn prices(price: Option<Decimal>, stop_price: Option<Decimal>) -> String {
    let price = price.map(|price| format!(" @ {price}")).unwrap_or_default();
    let stop = stop_price.map(|stop| format!(" stop {stop}")).unwrap_or_default();
    price + &stop
}

/// What a command asks for.
pub(crate) fn action(action: &Action) -> String {
    let text = match action {
        Action::New(order) => new_order(order),
        Action::Cancel(target) => format!("cancel {}", self::target(target)),
        Action::Replace(replace) => {
            let quantity =
                replace.quantity.map(|quantity| format!(" quantity {quantity}")).unwrap_or_default();
            let prices = prices(replace.price, replace.stop_price);
            format!("replace {}{quantity}{prices}", target(&replace.target))
        }
        Action::Close(close) => {
            let quantity = close.quantity.map_or("the whole".to_owned(), |quantity| quantity.to_string());
            let ticket = match close.position_ticket {
                0 => String::new(),
                ticket => format!(" {ticket}"),
            };
            format!("close {quantity} {} position{ticket}", close.symbol)
        }
        Action::CancelAll(scope) => format!("cancel all orders{}", scoped(scope)),
        Action::CloseAll(scope) => format!("close all positions{}", scoped(scope)),
        Action::Halt(halt) => {
            let cancel = if halt.cancel_working { ", cancel working orders" } else { "" };
            let flatten = if halt.flatten { ", close positions" } else { "" };
            let verb = if halt.state == TradingState::Reducing { "only reduce" } else { "halt" };
            format!("{verb} {}{cancel}{flatten}: {}", halt_scope(&halt.scope), halt.reason)
        }
        Action::Resume(resume) => format!("resume {}: {}", halt_scope(&resume.scope), resume.reason),
        Action::Query(query) => format!("query {}", self::query(query)),
        Action::Heartbeat => "heartbeat".to_owned(),
    };
    one_line(&text)
}

fn new_order(order: &NewOrder) -> String {
    let reduce_only = if order.reduce_only { " reduce-only" } else { "" };
    format!(
        "{} {} {} {}{} {}{reduce_only}",
        order_type(order.order_type),
        side(order.side),
        order.quantity,
        order.symbol,
        prices(order.price, order.stop_price),
        time_in_force(order.time_in_force),
    )
}

fn target(target: &Target) -> String {
    match target {
        Target::Command(command_id) => format!("the order of command {command_id}"),
        Target::Order(order_id) => format!("order {order_id}"),
    }
}

fn scoped(scope: &Scope) -> String {
    scope.symbol.map(|symbol: Symbol| format!(" of {symbol}")).unwrap_or_default()
}

fn halt_scope(scope: &HaltScope) -> String {
    match scope {
        HaltScope::Whole => "everything".to_owned(),
        HaltScope::Account(account) => format!("account {account}"),
        HaltScope::Symbol(symbol) => format!("symbol {symbol}"),
    }
}

fn query(query: &Query) -> String {
    match query {
        Query::Order(target) => self::target(target),
        Query::OpenOrders(scope) => format!("open orders{}", scoped(scope)),
        Query::Positions(scope) => format!("positions{}", scoped(scope)),
        Query::Account => "account".to_owned(),
        Query::Limits(scope) => format!("limits{}", scoped(scope)),
        Query::Instruments(scope) => format!("instruments{}", scoped(scope)),
    }
}

/// Rows of one kind as a table; `none` when there are none.
pub(crate) fn rows(rows: &[AnswerBody], none: &str, output: &Output) -> String {
    let Some(first) = rows.first() else { return format!("{none}\n") };
    let mut table = Table::new(headings(first));
    for row in rows {
        table.row(cells(row));
    }
    table.render(output)
}

fn headings(row: &AnswerBody) -> &'static [&'static str] {
    match row {
        AnswerBody::Order(_) => &[
            ">order",
            "account",
            "symbol",
            "side",
            "type",
            "force",
            ">quantity",
            ">filled",
            ">price",
            ">stop",
            "status",
            "command",
        ],
        AnswerBody::Position(_) => &[
            "account",
            "symbol",
            ">quantity",
            ">average price",
            ">working buy",
            ">working sell",
            ">realised today",
            ">unrealised",
        ],
        AnswerBody::Account(_) => &[
            "account",
            "state",
            ">realised today",
            ">unrealised",
            ">gross",
            ">net",
            ">open orders",
            ">orders today",
            "daily reset",
        ],
        AnswerBody::Limit(_) => &["limit", "symbol", "owner", ">value", ">used"],
        AnswerBody::Instrument(_) => &[
            "symbol",
            ">tick",
            ">step",
            ">min quantity",
            ">max quantity",
            ">min price",
            ">max price",
            ">min notional",
            ">bid",
            ">ask",
        ],
        _ => &["answer"],
    }
}

fn cells(row: &AnswerBody) -> Vec<String> {
    let or_dash = |value: Option<Decimal>| value.map_or("-".to_owned(), |value| value.to_string());
    let bound = |value: Decimal| if value.mantissa == 0 { "-".to_owned() } else { value.to_string() };
    match row {
        AnswerBody::Order(order) => vec![
            order.order_id.to_string(),
            order.account.to_string(),
            order.symbol.to_string(),
            side(order.side).to_owned(),
            order_type(order.order_type).to_owned(),
            time_in_force(order.time_in_force).to_owned(),
            order.quantity.to_string(),
            order.filled_quantity.to_string(),
            or_dash(order.price),
            or_dash(order.stop_price),
            order.status.name().to_owned(),
            order.command_id.to_string(),
        ],
        AnswerBody::Position(position) => vec![
            position.account.to_string(),
            position.symbol.to_string(),
            position.quantity.to_string(),
            position.average_price.to_string(),
            position.working_buy_quantity.to_string(),
            position.working_sell_quantity.to_string(),
            position.realised_today.to_string(),
            position.unrealised.to_string(),
        ],
        AnswerBody::Account(account) => vec![
            account.account.to_string(),
            trading_state(account.trading_state).to_owned(),
            account.realised_today.to_string(),
            account.unrealised.to_string(),
            account.gross_notional.to_string(),
            account.net_notional.to_string(),
            account.open_orders.to_string(),
            account.orders_today.to_string(),
            crate::moment::seconds(account.daily_reset_at_ns),
        ],
        AnswerBody::Limit(limit) => vec![
            limit.name.to_string(),
            if limit.symbol.is_empty() { "-".to_owned() } else { limit.symbol.to_string() },
            limit.owner.name().to_owned(),
            limit.limit.to_string(),
            limit.used.to_string(),
        ],
        AnswerBody::Instrument(instrument) => vec![
            instrument.symbol.to_string(),
            instrument.tick.to_string(),
            instrument.step.to_string(),
            bound(instrument.quantity_minimum),
            bound(instrument.quantity_maximum),
            bound(instrument.price_minimum),
            bound(instrument.price_maximum),
            bound(instrument.notional_minimum),
            bound(instrument.bid),
            bound(instrument.ask),
        ],
        other => vec![format!("{other:?}")],
    }
}
