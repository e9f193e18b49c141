//! What holds for every run of the paper venue.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use common::{instruments, market};
use proptest::prelude::*;
use tollgate_bridge::paper::{Engine, Faults, Ledger, LedgerEntry, LedgerError, PaperSettings, read_ledger};
use tollgate_contract::venue::{Quote, ReportBody, VenueOrder, VenueReport, VenueRequest};
use tollgate_protocol::command::{OrderType, Side, TimeInForce};
use tollgate_protocol::identity::{AccountIndex, OrderId};
use tollgate_protocol::instrument::InstrumentIndex;

/// One thing that happens to a venue.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Request(VenueRequest),
    Quote(Quote),
    Tick,
}

fn order() -> impl Strategy<Value = VenueOrder> {
    let kind = prop_oneof![
        Just(OrderType::Market),
        Just(OrderType::Limit),
        Just(OrderType::Stop),
        Just(OrderType::StopLimit)
    ];
    let time_in_force = prop_oneof![
        3 => Just(TimeInForce::GoodTillCancel),
        1 => Just(TimeInForce::ImmediateOrCancel),
        1 => Just(TimeInForce::FillOrKill),
        1 => Just(TimeInForce::GoodTillDate),
        1 => Just(TimeInForce::PostOnly),
    ];
    let prices = (90_i64..110, 90_i64..110);
    (0_u64..60, 0_u16..2, any::<bool>(), kind, time_in_force, 1_i64..50, prices, 0_u64..5_000, any::<bool>())
        .prop_map(
            |(
                id,
                account,
                is_sell,
                order_type,
                time_in_force,
                quantity_steps,
                (price, stop),
                end,
                reduce_only,
            )| {
                let (has_limit, has_stop) = match order_type {
                    OrderType::Market => (0, 0),
                    OrderType::Limit => (1, 0),
                    OrderType::Stop => (0, 1),
                    OrderType::StopLimit => (1, 1),
                };
                VenueOrder {
                    order_id: OrderId(id),
                    account: AccountIndex(account),
                    side: if is_sell { Side::Sell } else { Side::Buy },
                    order_type,
                    time_in_force,
                    quantity_steps,
                    price_ticks: price * has_limit,
                    stop_price_ticks: stop * has_stop,
                    expire_at_ns: end,
                    reduce_only: reduce_only && id % 3 == 0,
                    ..market(id)
                }
            },
        )
}

fn happening() -> impl Strategy<Value = Happening> {
    let id = || (0_u64..60).prop_map(OrderId);
    prop_oneof![
        4 => order().prop_map(|order| Happening::Request(VenueRequest::New(order))),
        1 => id().prop_map(|id| Happening::Request(VenueRequest::Cancel(id))),
        1 => (id(), 1_i64..50, 90_i64..110, any::<bool>()).prop_map(|(order_id, quantity_steps, price, has_stop)| {
            let stop_price_ticks = if has_stop { price } else { 0 };
            Happening::Request(VenueRequest::Replace { order_id, quantity_steps, price_ticks: price, stop_price_ticks })
        }),
        1 => id().prop_map(|id| Happening::Request(VenueRequest::Query(id))),
        3 => (90_i64..110, 0_i64..3).prop_map(|(bid_ticks, spread)| Happening::Quote(Quote {
            instrument: InstrumentIndex(0),
            bid_ticks,
            ask_ticks: bid_ticks + spread,
        })),
        1 => Just(Happening::Tick),
    ]
}

fn settings() -> PaperSettings {
    PaperSettings {
        liquidity_steps: vec![20],
        fee_taker_ppm: 7,
        fee_maker_ppm: -3,
        ..PaperSettings::default()
    }
}

fn faulty_settings(seed: u64) -> PaperSettings {
    let faults = Faults {
        reject_per_million: 100_000,
        lost_reply_per_million: 100_000,
        duplicate_report_per_million: 100_000,
        delay_per_million: 100_000,
        delay_ns: 300,
        disconnect_every_orders: 20,
        disconnect_ns: 400,
    };
    PaperSettings { seed, faults, latency_ns_min: 5, latency_ns_max: 70, ..settings() }
}

/// Lets everything happen, 37 ns apart; `after` sees the venue after each.
fn run(
    engine: &mut Engine,
    happenings: &[Happening],
    mut after: impl FnMut(&mut Engine, &[VenueReport]),
) -> Vec<VenueReport> {
    let mut all = Vec::new();
    for (at, happening) in happenings.iter().enumerate() {
        let (now_ns, mut reports) = (37 * (at as u64 + 1), Vec::new());
        let mut out = |report| reports.push(report);
        match happening {
            Happening::Request(request) => engine.request(now_ns, *request, &mut out),
            Happening::Quote(quote) => engine.quote(now_ns, *quote, &mut out),
            Happening::Tick => engine.tick(now_ns, &mut out),
        }
        after(engine, &reports);
        all.extend(reports);
    }
    all
}

/// What a client that hears everything knows of an order.
#[derive(Default, Debug)]
struct Known {
    quantity_steps: i64,
    limit_ticks: i64,
    fills: HashMap<u64, i64>,
    is_over: bool,
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_made_up(happenings in prop::collection::vec(happening(), 1..200)) {
        let mut engine = Engine::new(settings(), instruments()).unwrap();
        let mut sent: HashMap<OrderId, VenueOrder> = HashMap::new();
        for happening in &happenings {
            if let Happening::Request(VenueRequest::New(order)) = happening {
                sent.entry(order.order_id).or_insert(*order);
            }
        }
        let mut known: HashMap<OrderId, Known> = HashMap::new();
        let mut queried = Vec::new();
        let reports = run(&mut engine, &happenings, |_, _| {});
        for report in &reports {
            let VenueReport::Order { order_id, body } = report else { continue };
            let order = known.entry(*order_id).or_default();
            match *body {
                ReportBody::Accepted { .. } => {
                    prop_assert_eq!(order.quantity_steps, 0, "accepted once");
                    order.quantity_steps = sent[order_id].quantity_steps;
                    order.limit_ticks = sent[order_id].price_ticks;
                }
                ReportBody::Replaced { quantity_steps, price_ticks, .. } => {
                    order.quantity_steps = quantity_steps;
                    order.limit_ticks = price_ticks;
                }
                ReportBody::Filled { trade_id, quantity_steps, price_ticks, maker, .. } => {
                    let before = order.fills.insert(trade_id, quantity_steps);
                    prop_assert!(before.is_none_or(|before| before == quantity_steps));
                    prop_assert!(before.is_some() || !order.is_over, "{:?} trades after its end", order_id);
                    let original = sent[order_id];
                    prop_assert!(!maker || original.order_type != OrderType::Market);
                    let worse = original.side.sign() * (price_ticks - order.limit_ticks);
                    prop_assert!(before.is_some() || order.limit_ticks == 0 || worse <= 0, "{report:?} {order:?}");
                    prop_assert!(!maker || before.is_some() || worse == 0, "{report:?} {order:?}");
                }
                ReportBody::Cancelled | ReportBody::Expired => order.is_over = true,
                ReportBody::Status { filled_steps, quantity_steps, .. } => {
                    prop_assert_eq!(filled_steps, order.fills.values().sum::<i64>());
                    prop_assert!(filled_steps <= quantity_steps);
                    queried.push(*order_id);
                }
                _ => {}
            }
            let filled: i64 = order.fills.values().sum();
            prop_assert!(filled <= order.quantity_steps, "{:?} fills {filled} of {order:?}", order_id);
        }
        for account in [AccountIndex(0), AccountIndex(1)] {
            let of_account = known.iter().filter(|(id, _)| sent.get(id).is_some_and(|sent| sent.account == account));
            let position: i64 =
                of_account.map(|(id, order)| sent[id].side.sign() * order.fills.values().sum::<i64>()).sum();
            prop_assert_eq!(engine.position_steps(account, InstrumentIndex(0)), position);
        }
    }

    #[test]
    fn immediate_orders_end_at_once_and_killed_ones_whole(
        happenings in prop::collection::vec(happening(), 1..150)
    ) {
        let mut engine = Engine::new(settings(), instruments()).unwrap();
        let mut failed = None;
        for (at, happening) in happenings.iter().enumerate() {
            let used = engine.statistics().duplicates;
            let reports = run_one(&mut engine, at, *happening);
            let Happening::Request(VenueRequest::New(order)) = happening else { continue };
            let own: Vec<ReportBody> = reports.iter().filter_map(|report| match report {
                VenueReport::Order { order_id, body } if *order_id == order.order_id => Some(*body),
                _ => None,
            }).collect();
            let is_new = engine.statistics().duplicates == used && matches!(own.first(), Some(ReportBody::Accepted { .. }));
            let is_plain = matches!(order.order_type, OrderType::Market | OrderType::Limit);
            let is_immediate =
                matches!(order.time_in_force, TimeInForce::ImmediateOrCancel | TimeInForce::FillOrKill);
            if !is_new || !is_plain || !is_immediate {
                continue;
            }
            let filled: i64 = own.iter().filter_map(|body| Some(common::fill(body)?.1)).sum();
            let is_over = filled == order.quantity_steps || own.last() == Some(&ReportBody::Cancelled);
            let is_whole = order.time_in_force != TimeInForce::FillOrKill
                || order.reduce_only
                || filled == 0
                || filled == order.quantity_steps;
            if !is_over || !is_whole {
                failed = Some((*order, own));
            }
        }
        prop_assert!(failed.is_none(), "{failed:?}");
    }

    #[test]
    fn an_id_is_carried_out_once_whatever_goes_wrong(
        seed: u64, happenings in prop::collection::vec(happening(), 1..200)
    ) {
        let mut engine = Engine::new(faulty_settings(seed), instruments()).unwrap();
        engine.keep_entries();
        run(&mut engine, &happenings, |_, _| {});
        let (mut taken, mut duplicates, mut orders) = (HashMap::new(), 0, 0);
        let mut filled: HashMap<OrderId, i64> = HashMap::new();
        let mut total: HashMap<OrderId, i64> = HashMap::new();
        for entry in engine.entries() {
            match *entry {
                LedgerEntry::Received { order, .. } | LedgerEntry::Refused { order, .. } => {
                    orders += 1;
                    prop_assert!(taken.insert(order.order_id, order).is_none());
                    total.insert(order.order_id, order.quantity_steps);
                }
                LedgerEntry::Duplicate { .. } => duplicates += 1,
                LedgerEntry::Replaced { order_id, quantity_steps, .. } => {
                    total.insert(order_id, quantity_steps);
                }
                LedgerEntry::Traded { order_id, quantity_steps, .. } => {
                    *filled.entry(order_id).or_default() += quantity_steps;
                    prop_assert!(filled[&order_id] <= total[&order_id]);
                }
                _ => {}
            }
        }
        let statistics = engine.statistics();
        prop_assert_eq!((statistics.orders, statistics.duplicates), (orders, duplicates));
        for account in [AccountIndex(0), AccountIndex(1)] {
            let own = filled.iter().filter(|(id, _)| taken[id].account == account);
            let position: i64 = own.map(|(id, filled)| taken[id].side.sign() * filled).sum();
            prop_assert_eq!(engine.position_steps(account, InstrumentIndex(0)), position);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_reports(seed: u64, happenings in prop::collection::vec(happening(), 1..200)) {
        let [first, second] = [(); 2].map(|()| {
            let mut engine = Engine::new(faulty_settings(seed), instruments()).unwrap();
            let reports = run(&mut engine, &happenings, |_, _| {});
            (format!("{reports:?}"), engine.fingerprint())
        });
        prop_assert_eq!(first, second);
    }

    #[test]
    fn reports_of_one_order_come_in_their_order(seed: u64, happenings in prop::collection::vec(happening(), 1..200)) {
        // Without lost replies and second copies, what arrives late is what would have arrived at once.
        let mut late = faulty_settings(seed);
        late.faults = Faults { delay_per_million: 300_000, delay_ns: 300, ..Faults::default() };
        let per_order = |settings: PaperSettings| {
            let mut engine = Engine::new(settings, instruments()).unwrap();
            let mut reports = run(&mut engine, &happenings, |_, _| {});
            // Long after the last expiry could be too late for one run only, so only the reports are let out.
            engine.tick(37 * happenings.len() as u64 + 1_000, &mut |report| reports.push(report));
            let mut by_order: HashMap<u64, Vec<ReportBody>> = HashMap::new();
            for (id, body) in common::orders(&reports) {
                by_order.entry(id).or_default().push(body);
            }
            by_order
        };
        let (at_once, late) = (per_order(settings()), per_order(late));
        for (id, bodies) in &late {
            prop_assert_eq!(&at_once[id][..bodies.len()], &bodies[..]);
        }
    }
}

fn run_one(engine: &mut Engine, at: usize, happening: Happening) -> Vec<VenueReport> {
    let (now_ns, mut reports) = (37 * (at as u64 + 1), Vec::new());
    let mut out = |report| reports.push(report);
    match happening {
        Happening::Request(request) => engine.request(now_ns, request, &mut out),
        Happening::Quote(quote) => engine.quote(now_ns, quote, &mut out),
        Happening::Tick => engine.tick(now_ns, &mut out),
    }
    reports
}

fn loaded(path: &Path) -> Result<(Ledger, Engine), LedgerError> {
    let mut engine = Engine::new(settings(), instruments()).unwrap();
    Ok((Ledger::load(path, &mut engine)?, engine))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_cut_ledger_gives_the_venue_as_it_was(happenings in prop::collection::vec(happening(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("venue.ledger");
        let (mut ledger, mut engine) = loaded(&path).unwrap();
        let mut states = vec![(0, engine.fingerprint()), (ledger.length_bytes(), engine.fingerprint())];
        run(&mut engine, &happenings, |engine, _| {
            ledger.add(engine.entries());
            engine.clear_entries();
            ledger.write().unwrap();
            states.push((ledger.length_bytes(), engine.fingerprint()));
        });
        drop(ledger);
        let whole = fs::read(&path).unwrap();
        let cut = folder.path().join("cut.ledger");
        for length in 0..=whole.len() {
            fs::write(&cut, &whole[..length]).unwrap();
            let (_, expected) = states.iter().rev().find(|(end, _)| *end <= length as u64).unwrap();
            let (ledger, engine) = loaded(&cut).unwrap();
            prop_assert_eq!(engine.fingerprint(), *expected, "cut at {}", length);
            drop(ledger);
            // What was cut is gone for good, so that the next frame follows a whole one.
            prop_assert_eq!(loaded(&cut).unwrap().1.fingerprint(), *expected);
        }
    }

    #[test]
    fn a_changed_byte_never_passes(
        happenings in prop::collection::vec(happening(), 10..40), place: prop::sample::Index, change in 1_u8..
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("venue.ledger");
        let (mut ledger, mut engine) = loaded(&path).unwrap();
        let mut frames = vec![ledger.length_bytes()];
        run(&mut engine, &happenings, |engine, _| {
            ledger.add(engine.entries());
            engine.clear_entries();
            ledger.write().unwrap();
            frames.push(ledger.length_bytes());
        });
        drop(ledger);
        let mut bytes = fs::read(&path).unwrap();
        let at = place.index(bytes.len());
        bytes[at] ^= change;
        fs::write(&path, &bytes).unwrap();
        frames.dedup();
        let is_last = frames.len() < 2 || at as u64 >= frames[frames.len() - 2];
        match loaded(&path) {
            // In the last frame it is taken for a torn end; the header's spare bytes mean nothing.
            Ok(_) => prop_assert!(is_last || (12..16).contains(&at), "byte {at}"),
            Err(LedgerError::Damaged { offset, .. }) => prop_assert!(offset <= at as u64 && !is_last),
            Err(LedgerError::NotALedger { .. }) => prop_assert!(at < 8),
            Err(LedgerError::Version { .. }) => prop_assert!((8..12).contains(&at)),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

#[test]
fn a_ledger_tells_what_happened_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("venue.ledger");
    let (mut ledger, mut engine) = loaded(&path).unwrap();
    let quote = Quote { instrument: InstrumentIndex(0), bid_ticks: 100, ask_ticks: 101 };
    let happenings = [
        Happening::Quote(quote),
        Happening::Request(VenueRequest::New(market(1))),
        Happening::Request(VenueRequest::New(market(1))),
    ];
    run(&mut engine, &happenings, |_, _| {});
    ledger.add(engine.entries());
    ledger.write().unwrap();
    // The file is read while the venue has it.
    let entries = read_ledger(&path).unwrap();
    let of_order: Vec<_> = entries.iter().filter(|entry| entry.order_id() == Some(OrderId(1))).collect();
    assert!(matches!(
        of_order[..],
        [
            LedgerEntry::Received { venue_order_id: 1, .. },
            LedgerEntry::Traded { trade_id: 1, quantity_steps: 10, .. },
            LedgerEntry::Duplicate { .. }
        ]
    ));
    assert!(matches!(loaded(&path), Err(LedgerError::InUse { .. })));
    drop(ledger);
    assert_eq!(loaded(&path).unwrap().1.statistics().duplicates, 1);
}

#[test]
fn instruments_may_move_but_not_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("venue.ledger");
    let (mut ledger, mut engine) = loaded(&path).unwrap();
    let quote = Quote { instrument: InstrumentIndex(0), bid_ticks: 100, ask_ticks: 101 };
    let happenings = [Happening::Quote(quote), Happening::Request(VenueRequest::New(market(1)))];
    run(&mut engine, &happenings, |_, _| {});
    ledger.add(engine.entries());
    ledger.write().unwrap();
    drop(ledger);
    let with = |instruments: Vec<_>| {
        let mut engine = Engine::new(settings(), instruments.into()).unwrap();
        Ledger::load(&path, &mut engine).map(|_| engine)
    };
    let moved = with(vec![common::instrument("EURUSD", 5), common::instrument("BTCUSDT", 1)]).unwrap();
    assert_eq!(moved.position_steps(AccountIndex(0), InstrumentIndex(1)), 10);
    // The names of that run are in the file now, and the first run's orders still mean what they meant.
    assert_eq!(loaded(&path).unwrap().1.position_steps(AccountIndex(0), InstrumentIndex(0)), 10);
    for instruments in [vec![common::instrument("EURUSD", 5)], vec![common::instrument("BTCUSDT", 2)]] {
        let error = with(instruments).err().unwrap();
        assert!(matches!(error, LedgerError::Instrument { .. }), "{error}");
        assert!(error.to_string().contains("BTCUSDT"), "{error}");
    }
}
