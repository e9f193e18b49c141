//! How the paper venue treats each kind of order.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, fill, limit, market, stop, words};
use tollgate_bridge::paper::{Faults, PaperSettings};
use tollgate_contract::venue::{ReportBody, VenueOrder, VenueOrderState, VenueReport, VenueRequest};
use tollgate_protocol::command::{OrderType, Side, TimeInForce};
use tollgate_protocol::identity::OrderId;
use tollgate_protocol::instrument::InstrumentIndex;
use tollgate_protocol::money::Money;

use ReportBody::{Accepted, Cancelled, Expired};

fn plain() -> Bench {
    Bench::new(PaperSettings::default())
}

fn is_accepted(body: &ReportBody) -> bool {
    matches!(body, Accepted { .. })
}

fn status(reports: &[ReportBody]) -> (i64, i64, VenueOrderState) {
    match reports.last() {
        Some(ReportBody::Status { quantity_steps, filled_steps, state, .. }) => {
            (*quantity_steps, *filled_steps, *state)
        }
        other => panic!("no status: {other:?}"),
    }
}

#[test]
fn market_orders_trade_at_the_other_side() {
    let mut bench = plain();
    let bought = bench.place(market(1));
    assert!(is_accepted(&bought[0]));
    assert_eq!(bought[1..].iter().map(fill).collect::<Vec<_>>(), [Some((101, 10, false))]);
    let sold = bench.place(VenueOrder { side: Side::Sell, quantity_steps: 4, ..market(2) });
    assert_eq!(fill(&sold[1]), Some((100, 4, false)));
    assert_eq!(bench.position(), 6);
}

#[test]
fn market_orders_wait_for_liquidity() {
    let mut bench = Bench::with_liquidity(4);
    let reports = bench.place(market(1));
    assert_eq!(reports.iter().filter_map(fill).collect::<Vec<_>>(), [(101, 4, false)]);
    assert_eq!(
        bench.quote(102, 103).iter().filter_map(|(_, body)| fill(body)).collect::<Vec<_>>(),
        [(103, 4, false)]
    );
    assert_eq!(
        bench.quote(98, 99).iter().filter_map(|(_, body)| fill(body)).collect::<Vec<_>>(),
        [(99, 2, false)]
    );
    assert_eq!(status(&bench.query(1)), (10, 10, VenueOrderState::Filled));
}

#[test]
fn without_a_quote_there_is_no_market() {
    let mut bench = plain();
    let order = VenueOrder { instrument: InstrumentIndex(1), ..market(1) };
    assert_eq!(words(&bench.place(order)[0]), "no market: there was no quote of EURUSD yet");
}

#[test]
fn limits_that_cross_take_and_others_make() {
    let mut bench = plain();
    assert_eq!(fill(&bench.place(limit(1, Side::Buy, 105))[1]), Some((101, 10, false)));
    assert_eq!(bench.place(limit(2, Side::Buy, 99)).len(), 1);
    assert_eq!(bench.place(limit(3, Side::Sell, 103)).len(), 1);
    assert_eq!(bench.quote(98, 100), []);
    // The quote gaps through the limit: a resting order trades at its own price.
    let reports = bench.quote(96, 97);
    assert_eq!(
        reports.iter().map(|(id, body)| (*id, fill(body))).collect::<Vec<_>>(),
        [(2, Some((99, 10, true)))]
    );
    let reports = bench.quote(104, 106);
    assert_eq!(
        reports.iter().map(|(id, body)| (*id, fill(body))).collect::<Vec<_>>(),
        [(3, Some((103, 10, true)))]
    );
}

#[test]
fn a_taker_that_ran_out_of_liquidity_trades_at_the_next_quote() {
    let mut bench = Bench::with_liquidity(4);
    bench.place(limit(1, Side::Buy, 105));
    let reports = bench.quote(101, 102);
    assert_eq!(reports.iter().map(|(_, body)| fill(body)).collect::<Vec<_>>(), [Some((102, 4, false))]);
    // The quote moves away, so that it rests; when it comes back, it is a maker.
    assert_eq!(bench.quote(109, 110), []);
    let reports = bench.quote(103, 104);
    assert_eq!(reports.iter().map(|(_, body)| fill(body)).collect::<Vec<_>>(), [Some((105, 2, true))]);
}

#[test]
fn resting_orders_trade_by_price_then_time() {
    let mut bench = Bench::with_liquidity(25);
    for (id, price) in [(1, 98), (2, 99), (3, 98), (4, 99)] {
        bench.place(limit(id, Side::Buy, price));
    }
    let reports = bench.quote(96, 97);
    let fills: Vec<_> = reports.iter().filter_map(|(id, body)| Some((*id, fill(body)?.1))).collect();
    assert_eq!(fills, [(2, 10), (4, 10), (1, 5)]);
    // A change of price puts an order behind the others.
    bench.replace(1, 10, 97, 0);
    bench.replace(1, 10, 98, 0);
    let reports = bench.quote(96, 97);
    let fills: Vec<_> = reports.iter().filter_map(|(id, body)| Some((*id, fill(body)?.1))).collect();
    assert_eq!(fills[0].0, 3);
}

#[test]
fn immediate_orders_take_what_there_is() {
    let mut bench = Bench::with_liquidity(4);
    let order = VenueOrder { time_in_force: TimeInForce::ImmediateOrCancel, ..market(1) };
    let reports = bench.place(order);
    assert_eq!(fill(&reports[1]), Some((101, 4, false)));
    assert_eq!(reports[2..], [Cancelled]);
    let order = VenueOrder { time_in_force: TimeInForce::ImmediateOrCancel, ..limit(2, Side::Sell, 101) };
    assert_eq!(bench.place(order)[1..], [Cancelled]);
    assert_eq!(status(&bench.query(1)), (10, 4, VenueOrderState::Cancelled));
}

#[test]
fn fill_or_kill_is_all_or_nothing() {
    let mut bench = Bench::with_liquidity(10);
    let order = VenueOrder { time_in_force: TimeInForce::FillOrKill, quantity_steps: 11, ..market(1) };
    assert_eq!(bench.place(order)[1..], [Cancelled]);
    let order = VenueOrder { order_id: OrderId(2), quantity_steps: 10, ..order };
    let reports = bench.place(order);
    assert_eq!((reports.len(), fill(&reports[1])), (2, Some((101, 10, false))));
}

#[test]
fn post_only_never_takes() {
    let mut bench = Bench::with_liquidity(4);
    let post_only =
        |id, price| VenueOrder { time_in_force: TimeInForce::PostOnly, ..limit(id, Side::Buy, price) };
    assert_eq!(words(&bench.place(post_only(1, 101))[0]), "post-only at 101 would trade at once");
    assert_eq!(bench.place(post_only(2, 100)).len(), 1);
    assert_eq!(words(&bench.replace(2, 10, 102, 0)[0]), "post-only at 102 would trade at once");
    for expected in [4, 4, 2] {
        let reports = bench.quote(98, 99);
        assert_eq!(fill(&reports[0].1), Some((100, expected, true)));
    }
    let order = VenueOrder { time_in_force: TimeInForce::PostOnly, ..market(3) };
    assert_eq!(words(&bench.place(order)[0]), "post-only needs a limit order");
}

#[test]
fn stops_wait_for_their_trigger() {
    let mut bench = plain();
    assert_eq!(bench.place(stop(1, Side::Buy, 105)).len(), 1);
    let stop_limit =
        VenueOrder { order_type: OrderType::StopLimit, price_ticks: 94, ..stop(2, Side::Sell, 95) };
    assert_eq!(bench.place(stop_limit).len(), 1);
    assert_eq!(bench.quote(103, 104), []);
    let reports = bench.quote(104, 106);
    assert_eq!((reports.len(), reports[0].0, fill(&reports[0].1)), (1, 1, Some((106, 10, false))));
    // Triggered below its limit: it rests, and makes.
    assert_eq!(bench.quote(93, 94), []);
    assert_eq!(status(&bench.query(2)), (10, 0, VenueOrderState::Working));
    let reports = bench.quote(97, 98);
    assert_eq!((reports[0].0, fill(&reports[0].1)), (2, Some((94, 10, true))));
    // Reached already: it trades at once.
    assert_eq!(fill(&bench.place(stop(3, Side::Sell, 99))[1]), Some((97, 10, false)));
}

#[test]
fn stops_change_until_they_are_triggered() {
    let mut bench = plain();
    bench.place(stop(1, Side::Buy, 105));
    assert!(matches!(bench.replace(1, 12, 0, 107)[..], [ReportBody::Replaced { stop_price_ticks: 107, .. }]));
    assert_eq!(bench.quote(105, 106), []);
    assert_eq!(fill(&bench.replace(1, 12, 0, 106)[1]), Some((106, 12, false)));
    let stop_limit =
        VenueOrder { order_type: OrderType::StopLimit, price_ticks: 100, ..stop(2, Side::Buy, 106) };
    bench.place(stop_limit);
    assert_eq!(words(&bench.replace(2, 10, 100, 108)[0]), "stop price: the order is triggered already");
    assert!(matches!(bench.replace(2, 9, 99, 106)[..], [ReportBody::Replaced { quantity_steps: 9, .. }]));
}

#[test]
fn good_till_date_ends_at_its_time() {
    let mut bench = plain();
    let order = VenueOrder {
        time_in_force: TimeInForce::GoodTillDate,
        expire_at_ns: 5_000,
        ..limit(1, Side::Buy, 90)
    };
    bench.place(order);
    assert_eq!(bench.engine.next_deadline_ns(), Some(5_000));
    bench.now_ns = 4_999;
    assert_eq!(bench.tick(), []);
    bench.now_ns = 5_000;
    assert_eq!(bench.tick(), [VenueReport::Order { order_id: OrderId(1), body: Expired }]);
    assert_eq!(bench.engine.next_deadline_ns(), None);
    assert_eq!(words(&bench.cancel(1)[0]), "order is expired");
    let order = VenueOrder { order_id: OrderId(2), ..order };
    assert_eq!(words(&bench.place(order)[0]), "end date 5000 ns is past");
}

#[test]
fn an_order_that_is_over_by_time_trades_no_more() {
    let mut bench = plain();
    let order = VenueOrder {
        time_in_force: TimeInForce::GoodTillDate,
        expire_at_ns: 5_000,
        ..limit(1, Side::Buy, 90)
    };
    bench.place(order);
    bench.now_ns = 5_000;
    assert_eq!(bench.quote(80, 81), [(1, Expired)]);
}

#[test]
fn reduce_only_never_turns_a_position() {
    let mut bench = plain();
    let reduce = |id, side| VenueOrder { side, reduce_only: true, quantity_steps: 100, ..market(id) };
    assert_eq!(words(&bench.place(reduce(1, Side::Sell))[0]), "reduce-only: there is no position to reduce");
    bench.place(market(2));
    assert!(words(&bench.place(reduce(3, Side::Buy))[0]).starts_with("reduce-only"));
    let resting = VenueOrder { reduce_only: true, ..limit(4, Side::Sell, 110) };
    assert_eq!(bench.place(resting).len(), 1);
    let reports = bench.place(reduce(5, Side::Sell));
    assert_eq!((fill(&reports[1]), reports[2..].to_vec()), (Some((100, 10, false)), vec![Cancelled]));
    assert_eq!(bench.position(), 0);
    // The position is gone, so the resting one ends instead of trading.
    assert_eq!(bench.quote(111, 112), [(4, Cancelled)]);
    assert_eq!(bench.position(), 0);
}

#[test]
fn reduce_only_fill_or_kill_counts_what_can_be_reduced() {
    let mut bench = Bench::with_liquidity(20);
    bench.place(market(1));
    let order = VenueOrder {
        side: Side::Sell,
        reduce_only: true,
        quantity_steps: 100,
        time_in_force: TimeInForce::FillOrKill,
        ..market(2)
    };
    let reports = bench.place(order);
    assert_eq!((fill(&reports[1]), reports[2..].to_vec()), (Some((100, 10, false)), vec![Cancelled]));
}

#[test]
fn an_id_is_served_once_for_ever() {
    let mut bench = plain();
    bench.place(market(1));
    bench.place(limit(2, Side::Buy, 90));
    bench.place(VenueOrder { quantity_steps: 0, ..market(3) });
    bench.place(limit(4, Side::Buy, 90));
    bench.cancel(4);
    let before = bench.engine.statistics();
    for id in 1..=4 {
        assert_eq!(words(&bench.place(market(id))[0]), "duplicate order id");
    }
    let after = bench.engine.statistics();
    assert_eq!((after.duplicates, after.orders, after.fills), (4, before.orders, before.fills));
    assert_eq!(bench.position(), 10);
    // The one that works still does.
    assert_eq!(bench.cancel(2), [Cancelled]);
}

#[test]
fn cancels_and_changes_of_others_are_refused() {
    let mut bench = plain();
    assert_eq!(words(&bench.cancel(1)[0]), "unknown order");
    assert_eq!(words(&bench.replace(1, 1, 1, 0)[0]), "unknown order");
    bench.place(market(1));
    assert_eq!(words(&bench.cancel(1)[0]), "order is filled");
    bench.place(limit(2, Side::Buy, 90));
    assert_eq!(words(&bench.replace(2, 10, 0, 0)[0]), "limit price 0.0 is below 0.1");
    assert_eq!(words(&bench.replace(2, 0, 90, 0)[0]), "quantity 0.000 is below 0.001");
    assert_eq!(words(&bench.replace(2, 10, 90, 5)[0]), "stop price 0.5 given, the type has none");
    assert_eq!(status(&bench.query(2)), (10, 0, VenueOrderState::Working));
}

#[test]
fn a_change_to_what_is_filled_cancels_the_rest() {
    let mut bench = Bench::with_liquidity(4);
    bench.place(limit(1, Side::Buy, 101));
    assert_eq!(bench.replace(1, 4, 101, 0), [Cancelled]);
    assert_eq!(status(&bench.query(1)), (10, 4, VenueOrderState::Cancelled));
}

#[test]
fn a_change_that_crosses_trades() {
    let mut bench = plain();
    bench.place(limit(1, Side::Buy, 90));
    let reports = bench.replace(1, 20, 103, 0);
    assert!(matches!(reports[0], ReportBody::Replaced { quantity_steps: 20, price_ticks: 103, .. }));
    assert_eq!(fill(&reports[1]), Some((101, 20, false)));
}

#[test]
fn a_query_reports_every_fill_again() {
    let mut bench = Bench::with_liquidity(4);
    let mut told = bench.place(market(1));
    told.extend(bench.quote(101, 102).into_iter().map(|(_, body)| body));
    let again = bench.query(1);
    assert_eq!(again[..2], told[1..]);
    assert_eq!(status(&again), (10, 8, VenueOrderState::Working));
    assert_eq!(bench.query(9), [ReportBody::NotFound { definitive: true }]);
    bench.place(VenueOrder { quantity_steps: -1, ..market(2) });
    assert_eq!(status(&bench.query(2)), (-1, 0, VenueOrderState::Rejected));
}

#[test]
fn old_orders_are_never_denied() {
    let mut bench = Bench::new(PaperSettings { history_orders: 2, ..PaperSettings::default() });
    for id in 1..=3 {
        bench.place(market(id));
    }
    assert_eq!(bench.query(1), [ReportBody::NotFound { definitive: false }]);
    assert_eq!(words(&bench.cancel(1)[0]), "order is over");
    assert_eq!(words(&bench.place(market(1))[0]), "duplicate order id");
    assert_eq!(status(&bench.query(2)), (10, 10, VenueOrderState::Filled));
}

#[test]
fn fees_are_exact_and_rounded_up() {
    let settings = PaperSettings {
        fee_maker_ppm: -100,
        fee_taker_ppm: 400,
        liquidity_steps: vec![7],
        ..PaperSettings::default()
    };
    let mut bench = Bench::new(settings);
    let fee = |body: &ReportBody| match body {
        ReportBody::Filled { fee, .. } => *fee,
        other => panic!("no fill: {other:?}"),
    };
    // 101 ticks × 7 steps × 10^6 units of 10^-18, times 400 millionths.
    assert_eq!(fee(&bench.place(VenueOrder { quantity_steps: 7, ..market(1) })[1]), Money(282_800));
    bench.place(VenueOrder { quantity_steps: 7, ..limit(2, Side::Buy, 90) });
    assert_eq!(fee(&bench.quote(88, 89)[0].1), Money(-63_000));
}

#[test]
fn what_the_venue_does_not_have_is_refused_in_words() {
    let mut bench = plain();
    let refused = [
        (VenueOrder { stop_loss_ticks: 90, ..market(1) }, "stop loss and take profit are not supported here"),
        (
            VenueOrder { take_profit_ticks: 90, ..market(2) },
            "stop loss and take profit are not supported here",
        ),
        (
            VenueOrder { position_ticket: 7, ..market(3) },
            "position tickets are not supported here: one net position",
        ),
        (VenueOrder { instrument: InstrumentIndex(2), ..market(4) }, "instrument 2 is not traded here"),
        (VenueOrder { instrument: InstrumentIndex(9), ..market(5) }, "instrument 9 is not traded here"),
        (VenueOrder { quantity_steps: 0, ..market(6) }, "quantity 0.000 is below 0.001"),
        (
            VenueOrder { quantity_steps: i64::MAX, ..market(7) },
            "quantity 9223372036854775.807 is above 9007199254740.992",
        ),
        (VenueOrder { price_ticks: 5, ..market(8) }, "limit price 0.5 given, the type has none"),
        (limit(9, Side::Buy, 0), "limit price 0.0 is below 0.1"),
        (stop(10, Side::Buy, -3), "stop price -0.3 is below 0.1"),
        (
            VenueOrder { quantity_steps: 1 << 53, ..limit(11, Side::Buy, i64::MAX) },
            "price times quantity is beyond any amount of money",
        ),
    ];
    for (order, expected) in refused {
        let reports = bench.place(order);
        assert_eq!(reports.len(), 1, "{order:?}");
        assert_eq!(words(&reports[0]), expected);
    }
    assert_eq!(bench.engine.statistics().rejected, 11);
}

#[test]
fn senseless_quotes_are_left_out() {
    let mut bench = plain();
    for (bid, ask) in [(0, 5), (-1, 5), (5, 4)] {
        assert_eq!(bench.quote(bid, ask), []);
    }
    assert_eq!(bench.engine.statistics().quotes_refused, 3);
    assert_eq!(fill(&bench.place(market(1))[1]), Some((101, 10, false)));
}

fn faulty(faults: Faults) -> Bench {
    Bench::new(PaperSettings { faults, ..PaperSettings::default() })
}

#[test]
fn an_injected_reject_uses_the_id() {
    let mut bench = faulty(Faults { reject_per_million: 1_000_000, ..Faults::default() });
    assert_eq!(words(&bench.place(market(1))[0]), "injected fault: order refused");
    assert_eq!(status(&bench.query(1)).2, VenueOrderState::Rejected);
    assert_eq!(words(&bench.place(market(1))[0]), "duplicate order id");
}

#[test]
fn a_lost_reply_hides_an_order_that_was_carried_out() {
    let mut bench = faulty(Faults { lost_reply_per_million: 1_000_000, delay_ns: 500, ..Faults::default() });
    assert_eq!(bench.place(market(1)), []);
    assert_eq!(bench.position(), 10);
    assert_eq!(bench.engine.next_deadline_ns(), Some(1_500));
    bench.now_ns = 1_500;
    let late = bench.tick();
    assert!(matches!(late[..], [VenueReport::Order { body: ReportBody::Unknown { .. }, .. }]));
    let truth = bench.query(1);
    assert_eq!(fill(&truth[0]), Some((101, 10, false)));
    assert_eq!(status(&truth), (10, 10, VenueOrderState::Filled));
}

#[test]
fn duplicated_reports_are_the_same() {
    let mut bench =
        faulty(Faults { duplicate_report_per_million: 1_000_000, delay_ns: 500, ..Faults::default() });
    let reports = bench.place(market(1));
    assert_eq!(reports[0], reports[1]);
    assert_eq!(reports.len(), 3);
    bench.now_ns = 1_500;
    assert_eq!(bench.tick(), [VenueReport::Order { order_id: OrderId(1), body: reports[2] }]);
    assert_eq!(bench.position(), 10);
}

#[test]
fn delayed_reports_keep_their_order() {
    let faults = Faults { delay_per_million: 400_000, delay_ns: 500, ..Faults::default() };
    let mut bench = Bench::new(PaperSettings { faults, seed: 5, ..PaperSettings::default() });
    let mut by_order: Vec<Vec<ReportBody>> = vec![Vec::new(); 100];
    for id in 0..100 {
        bench.now_ns += 100;
        let mut reports = bench.request(VenueRequest::New(limit(id, Side::Buy, 90)));
        reports.extend(bench.request(VenueRequest::Cancel(OrderId(id))));
        for (id, body) in common::orders(&reports) {
            by_order[id as usize].push(body);
        }
    }
    bench.now_ns += 1_000;
    for (id, body) in common::orders(&bench.tick()) {
        by_order[id as usize].push(body);
    }
    assert!(by_order.iter().all(|bodies| matches!(bodies[..], [Accepted { .. }, Cancelled])));
}

#[test]
fn latency_holds_reports_back_in_order() {
    let settings = PaperSettings { latency_ns_min: 10, latency_ns_max: 50, ..PaperSettings::default() };
    let mut bench = Bench::new(settings);
    for id in 0..50 {
        assert_eq!(bench.place(limit(id, Side::Buy, 90)), []);
    }
    assert_eq!(bench.engine.reports_waiting(), 50);
    bench.now_ns += 9;
    assert_eq!(bench.tick(), []);
    bench.now_ns += 41;
    let ids: Vec<u64> = common::orders(&bench.tick()).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, (0..50).collect::<Vec<_>>());
}

#[test]
fn a_broken_connection_leaves_orders_in_doubt() {
    let faults = Faults { disconnect_every_orders: 2, disconnect_ns: 1_000, ..Faults::default() };
    let mut bench = Bench::new(PaperSettings { faults, seed: 3, ..PaperSettings::default() });
    assert_eq!(bench.place(limit(1, Side::Buy, 99)).len(), 1);
    let reports = bench.request(VenueRequest::New(market(2)));
    assert!(matches!(reports[0], VenueReport::Disconnected { .. }));
    assert!(matches!(reports[1], VenueReport::Order { body: ReportBody::Unknown { .. }, .. }));
    for id in 3..40 {
        assert_eq!(words(&bench.place(market(id))[0]), "the connection is broken");
    }
    assert_eq!(words(&bench.query(2)[0]), "the connection is broken");
    // The market goes on without us; what it does is told when the connection is back.
    assert_eq!(bench.quote(97, 98), []);
    bench.now_ns += 1_000;
    let reports = bench.tick();
    assert_eq!(reports[0], VenueReport::Connected);
    assert!(matches!(reports[1], VenueReport::Quote(quote) if quote.bid_ticks == 97));
    let fills: Vec<_> =
        common::orders(&reports).iter().filter_map(|(id, body)| Some((*id, fill(body)?))).collect();
    assert_eq!(fills, [(1, (99, 10, true))]);
    let arrived =
        (2..40).filter(|id| matches!(bench.query(*id)[0], ReportBody::Filled { .. })).count() as i64;
    assert!((5..35).contains(&arrived), "{arrived}");
    assert_eq!(bench.position(), 10 * (arrived + 1));
}
