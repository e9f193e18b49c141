//! What a trader does, end to end.

use tollgate_client::Reply;
use tollgate_protocol::Decimal;
use tollgate_protocol::command::{Action, Close, Scope, Side, Target};
use tollgate_protocol::event::ReportKind;
use tollgate_protocol::reject::{Code, Owner};
use tollgate_protocol::text::Symbol;

use crate::support::{House, PATIENCE, acknowledged, command, decimal, limit, order, rejected, report_of};

#[test]
fn a_market_order_is_acknowledged_accepted_and_filled() {
    let house = House::new(|_| {});
    let mut client = house.client(0);
    let acknowledgement = acknowledged(&mut client, Action::New(order("BTCUSDT", Side::Buy, "0.5")));
    let id = acknowledgement.command_id;
    report_of(&mut client, id, |kind| matches!(kind, ReportKind::Accepted { .. }));
    let filled = report_of(&mut client, id, |kind| matches!(kind, ReportKind::Filled(_)));
    assert_eq!((filled.filled_quantity, filled.open_quantity), (decimal("0.50000"), Decimal::new(0, 5)));
    assert_eq!(filled.order_id, acknowledgement.order_id);
}

#[test]
fn a_limit_order_rests_is_replaced_and_cancelled() {
    let house = House::new(|_| {});
    let mut client = house.client(1);
    let id = acknowledged(&mut client, Action::New(limit("BTCUSDT", Side::Buy, "0.5", "64000"))).command_id;
    report_of(&mut client, id, |kind| matches!(kind, ReportKind::Accepted { .. }));
    let replace = tollgate_protocol::command::Replace {
        target: Target::Command(id),
        quantity: Some(decimal("0.7")),
        price: Some(decimal("64100")),
        stop_price: None,
    };
    acknowledged(&mut client, Action::Replace(replace));
    let replaced = report_of(&mut client, id, |kind| matches!(kind, ReportKind::Replaced { .. }));
    assert_eq!(replaced.open_quantity, decimal("0.70000"));
    acknowledged(&mut client, Action::Cancel(Target::Command(id)));
    let cancelled = report_of(&mut client, id, |kind| *kind == ReportKind::Cancelled);
    assert_eq!(cancelled.open_quantity, Decimal::new(0, 5));
    assert_eq!(rejected(&mut client, Action::Cancel(Target::Command(id))).code, Code::OrderFinal);
}

#[test]
fn a_price_off_its_tick_names_its_neighbours_or_is_rounded() {
    let house = House::new(|_| {});
    let off_tick = Action::New(limit("BTCUSDT", Side::Buy, "0.5", "64000.005"));
    let reject = rejected(&mut house.client(0), off_tick);
    assert_eq!((reject.code, reject.owner), (Code::PriceNotOnTick, Owner::Symbol));
    assert_eq!((reject.limit, reject.above), (decimal("64000.00"), decimal("64000.01")));
    // Client 5 wants rounding.
    acknowledged(&mut house.client(4), off_tick);
}

#[test]
fn a_position_is_closed_and_cannot_be_closed_twice() {
    let house = House::new(|_| {});
    let mut client = house.client(0);
    let id = acknowledged(&mut client, Action::New(order("ETHUSDT", Side::Sell, "2"))).command_id;
    report_of(&mut client, id, |kind| matches!(kind, ReportKind::Filled(_)));
    let close = Close { symbol: Symbol::new("ETHUSDT").unwrap(), position_ticket: 0, quantity: None };
    let id = acknowledged(&mut client, Action::Close(close)).command_id;
    let filled = report_of(&mut client, id, |kind| matches!(kind, ReportKind::Filled(_)));
    assert_eq!((filled.side, filled.filled_quantity), (Side::Buy, decimal("2.0000")));
    assert_eq!(rejected(&mut client, Action::Close(close)).code, Code::PositionNone);
}

#[test]
fn cancel_all_and_close_all_reach_everything() {
    let house = House::new(|_| {});
    let mut client = house.client(0);
    let mut resting = Vec::new();
    for step in 0..50 {
        let price = format!("{}", 60_000 + step);
        resting.push(
            acknowledged(&mut client, Action::New(limit("BTCUSDT", Side::Buy, "0.1", &price))).command_id,
        );
    }
    for symbol in ["BTCUSDT", "ETHUSDT", "EURUSD"] {
        let id = acknowledged(&mut client, Action::New(order(symbol, Side::Buy, "1"))).command_id;
        report_of(&mut client, id, |kind| matches!(kind, ReportKind::Filled(_)));
    }
    acknowledged(&mut client, Action::CancelAll(Scope { symbol: None }));
    for id in resting {
        report_of(&mut client, id, |kind| *kind == ReportKind::Cancelled);
    }
    let id = acknowledged(&mut client, Action::CloseAll(Scope { symbol: None })).command_id;
    for _ in 0..3 {
        let filled = report_of(&mut client, id, |kind| matches!(kind, ReportKind::Filled(_)));
        assert_eq!(filled.side, Side::Sell);
    }
}

#[test]
fn one_command_in_so_many_has_its_stages_timed_however_few_come_at_once() {
    let house = House::new(|settings| settings.hot.stage_sample_every = 4);
    let mut client = house.client(0);
    for _ in 0..20 {
        assert!(matches!(
            client.execute(&command(Action::Heartbeat), PATIENCE).unwrap(),
            Reply::Heartbeat { .. }
        ));
    }
    assert_eq!(house.gateway().metrics().stages[0].count(), 5);
}
