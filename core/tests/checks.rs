//! Precision and risk against a plain reference, and the limits against every sequence of events: without sockets, on the
//! state alone, as the pipeline drives it.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)]
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;

use proptest::prelude::*;
mod house;

use house::{House, SYMBOL, limit, settings};
use tollgate_config::{OwnerLimits, PrecisionMode, Settings};
use tollgate_core::record::{Record, VenueRecord, VenueState};
use tollgate_protocol::command::{
    Action, Close, Halt, HaltScope, NewOrder, Replace, Scope, Side, Target, TradingState,
};
use tollgate_protocol::event::{Fill, ReportKind};
use tollgate_protocol::instrument::Grid;
use tollgate_protocol::money::Money;
use tollgate_protocol::reject::Code;
use tollgate_protocol::text::{AccountName, Remark, Symbol};
use tollgate_protocol::{Decimal, OrderId};

/// The multiple of `increment` at or below `value`, and whether it is `value`, by plain decimal arithmetic; `None` when
/// a multiple next to `value` does not fit a decimal of the wire.
fn reference(value: Decimal, increment: Decimal) -> Option<(i64, bool)> {
    let (exact_value, exact_increment) = (value.to_rust_decimal()?, increment.to_rust_decimal()?);
    let below = exact_value.checked_div(exact_increment)?.floor();
    let below = i64::try_from(below.mantissa() / 10_i128.pow(below.scale())).ok()?;
    let is_exact = exact_value.checked_rem(exact_increment)?.is_zero();
    let highest = if is_exact { below } else { below.checked_add(1)? };
    highest.checked_mul(increment.normalized().mantissa)?;
    Some((below, is_exact))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Prices and quantities: refused with both neighbours, or rounded to the passive side, as the reference says.
    #[test]
    fn precision_agrees_with_decimal_arithmetic(
        price in 1_i64..100_000_000_000, price_scale in 0_u8..8, quantity in 1_i64..1_000_000_000,
        quantity_scale in 0_u8..10, tick in prop_oneof![Just("0.01"), Just("0.05"), Just("0.00000012"), Just("110")],
        buy: bool, rounds: bool,
    ) {
        let tick: Decimal = tick.parse().unwrap();
        let mode = if rounds { PrecisionMode::Round } else { PrecisionMode::Reject };
        let settings = settings(|settings| {
            let instrument = &mut settings.instruments[0].instrument;
            instrument.price = Grid::new(tick).unwrap();
            (instrument.quantity_minimum, instrument.quantity_maximum) = (0, 0);
            (instrument.notional_minimum, instrument.unit_value) = (Money::ZERO, Money(1));
            instrument.percent_collar = tollgate_protocol::instrument::PercentCollar::default();
            settings.clients[0].precision = mode;
            settings.risk.firm = OwnerLimits::NONE;
        });
        let mut house = House::new(&settings);
        let side = if buy { Side::Buy } else { Side::Sell };
        let (price, quantity) = (Decimal::new(price, price_scale), Decimal::new(quantity, quantity_scale));
        let order = NewOrder { price: Some(price), quantity, ..limit(side, 1, 1) };
        let step = Decimal::new(1, 5);
        let verdict = house.command(0, Action::New(order));
        let code = verdict.map_err(|reject| reject.code);
        let (steps, on_step) = reference(quantity, step).unwrap();
        let at = reference(price, tick);
        let (ticks, on_tick) = at.unwrap_or_default();
        if !on_step && !rounds {
            prop_assert_eq!(code, Err(Code::QuantityNotOnStep));
            let reject = verdict.unwrap_err();
            prop_assert_eq!((reject.limit.rescaled(5), reject.above.rescaled(5)), (Some(steps), Some(steps + 1)));
        } else if steps == 0 {
            prop_assert_eq!(code, Err(Code::QuantityBelowMinimum));
        } else if at.is_none() {
            prop_assert_eq!(code, Err(Code::NumberOutOfRange));
        } else if !on_tick && !rounds {
            prop_assert_eq!(code, Err(Code::PriceNotOnTick));
            let reject = verdict.unwrap_err();
            prop_assert_eq!(reference(reject.limit, tick), Some((ticks, true)));
            prop_assert_eq!(reference(reject.above, tick), Some((ticks + 1, true)));
        } else if let Ok(sequence) = verdict {
            let order = house.state.orders.get(house.state.orders.find(OrderId(sequence)).unwrap());
            let passive = if buy || on_tick { ticks } else { ticks + 1 };
            prop_assert_eq!((order.terms.price_ticks, order.terms.quantity_steps), (passive, steps));
        } else {
            prop_assert!(matches!(code, Err(Code::PriceBelowMinimum | Code::NumberOutOfRange)) , "{:?}", code);
        }
    }
}

/// What an independent book keeper knows of one order.
#[derive(Clone, Copy)]
struct Entry {
    client: u16,
    side: Side,
    open: i64,
    pending: Option<i64>,
}

#[derive(Clone, Debug)]
enum Step {
    New { client: u16, buy: bool, steps: i64 },
    Replace { which: usize, steps: i64 },
    Replaced { which: usize, accepted: bool },
    Fill { which: usize, steps: i64 },
    Cancel { which: usize },
    Cancelled { which: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_u16..2, any::<bool>(), 1_i64..400_000).prop_map(|(client, buy, steps)| Step::New { client, buy, steps }),
        2 => (any::<usize>(), 1_i64..400_000).prop_map(|(which, steps)| Step::Replace { which, steps }),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(which, accepted)| Step::Replaced { which, accepted }),
        3 => (any::<usize>(), 1_i64..400_000).prop_map(|(which, steps)| Step::Fill { which, steps }),
        1 => any::<usize>().prop_map(|which| Step::Cancel { which }),
        1 => any::<usize>().prop_map(|which| Step::Cancelled { which }),
    ];
    proptest::collection::vec(step, 1..120)
}

/// Runs one step in both books.
fn run(house: &mut House, book: &mut HashMap<OrderId, Entry>, position: &mut i64, step: &Step) {
    let mut ids: Vec<OrderId> = book.keys().copied().collect();
    ids.sort_unstable();
    let pick = |which: usize| (!ids.is_empty()).then(|| ids[which % ids.len()]);
    match *step {
        Step::New { client, buy, steps } => {
            let side = if buy { Side::Buy } else { Side::Sell };
            let ticks = if buy { 6_400_000 } else { 6_600_000 };
            if let Ok(sequence) = house.command(client, Action::New(limit(side, steps, ticks))) {
                book.insert(OrderId(sequence), Entry { client, side, open: steps, pending: None });
            }
        }
        Step::Replace { which, steps } => {
            let Some(id) = pick(which) else { return };
            let client = book[&id].client;
            let (target, quantity) = (Target::Order(id), Some(Decimal::new(steps, 5)));
            let replace = Replace { target, quantity, price: None, stop_price: None };
            let filled = house.state.orders.get(house.state.orders.find(id).unwrap()).filled_steps;
            if house.command(client, Action::Replace(replace)).is_ok() {
                book.get_mut(&id).unwrap().pending = Some(steps - filled);
            }
        }
        Step::Replaced { which, accepted } => {
            let Some(id) = pick(which) else { return };
            let entry = book.get_mut(&id).unwrap();
            let Some(open) = entry.pending.take() else { return };
            let order = *house.state.orders.get(house.state.orders.find(id).unwrap());
            if !accepted {
                house.report(order.client, id, ReportKind::ReplaceRejected { reason: Remark::EMPTY });
            } else if open > 0 {
                entry.open = open;
                let quantity = Decimal::new(open + order.filled_steps, 5);
                let price = Some(Decimal::new(order.terms.price_ticks, 2));
                house.report(order.client, id, ReportKind::Replaced { quantity, price, stop_price: None });
            }
        }
        Step::Fill { which, steps } => {
            let Some(id) = pick(which) else { return };
            let entry = book.get_mut(&id).unwrap();
            let steps = steps.min(entry.open);
            entry.open -= steps;
            entry.pending = entry.pending.map(|open| open - steps);
            *position += entry.side.sign() * steps;
            let (client, ended) = (entry.client, entry.open == 0);
            let order = *house.state.orders.get(house.state.orders.find(id).unwrap());
            house.sequence += 1;
            let fill = Fill {
                trade_id: house.sequence,
                price: Decimal::new(order.terms.price_ticks, 2),
                quantity: Decimal::new(steps, 5),
                fee: Decimal::ZERO,
                maker: true,
            };
            house.report(client, id, ReportKind::Filled(fill));
            if ended {
                book.remove(&id);
            }
        }
        Step::Cancel { which } => {
            let Some(id) = pick(which) else { return };
            assert!(
                house.command(book[&id].client, Action::Cancel(Target::Order(id))).is_ok(),
                "a cancel passes"
            );
        }
        Step::Cancelled { which } => {
            let Some(id) = pick(which) else { return };
            let entry = book.remove(&id).unwrap();
            house.report(entry.client, id, ReportKind::Cancelled);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// No limits and no order of events let position and working orders past a limit; and nothing is left behind.
    #[test]
    fn exposure_never_passes_its_limits(
        long in 0_i64..2_000_000, short in 0_i64..2_000_000, client_long in 0_i64..2_000_000, open in 1_u32..20,
        steps in steps(),
    ) {
        const STEP: i128 = 10_i128.pow(13);
        let settings = settings(|settings| {
            let wide = OwnerLimits { max_open_orders: open, ..OwnerLimits::NONE };
            let account = OwnerLimits {
                max_long: i128::from(long) * STEP,
                max_short: i128::from(short) * STEP,
                ..OwnerLimits::NONE
            };
            settings.risk.firm = wide;
            settings.accounts[0].limits = account;
            settings.accounts[0].self_trade = tollgate_config::SelfTradeMode::Allow;
            settings.clients[0].limits = OwnerLimits { max_long: i128::from(client_long) * STEP, ..OwnerLimits::NONE };
        });
        let mut house = House::new(&settings);
        let (mut book, mut position) = (HashMap::new(), 0);
        for step in &steps {
            run(&mut house, &mut book, &mut position, step);
            let working = |side: Side| -> i64 {
                book.values().filter(|it: &&Entry| it.side == side).map(|it| it.open.max(it.pending.unwrap_or(0))).sum()
            };
            prop_assert!(position + working(Side::Buy) <= long.max(position), "long {position} of {long}");
            prop_assert!(working(Side::Sell) - position <= short.max(-position), "short {position} of {short}");
            prop_assert!(book.len() <= open as usize);
            let cell = house.state.exposure.account(0, 0);
            prop_assert_eq!((cell.position, cell.buy_steps, cell.sell_steps),
                (position, working(Side::Buy), working(Side::Sell)));
        }
        for id in book.keys().copied().collect::<Vec<_>>() {
            house.report(book[&id].client, id, ReportKind::Cancelled);
        }
        let cell = house.state.exposure.account(0, 0);
        prop_assert_eq!((cell.buy_steps, cell.sell_steps, cell.closing_steps), (0, 0, 0));
        for totals in &house.state.exposure.totals {
            prop_assert_eq!((totals.buy, totals.sell, totals.open_orders), (Money::ZERO, Money::ZERO, 0));
        }
    }
}

/// Every way to make an entry fail: its name, the settings, what happens before, and the code.
type Failing = (&'static str, fn(&mut Settings), fn(&mut House), Code);

fn halt(house: &mut House, scope: HaltScope, state: TradingState) {
    let halt = Halt { scope, state, cancel_working: false, flatten: false, reason: Remark::EMPTY };
    house.command(8, Action::Halt(halt)).unwrap();
}

const FAILING: [Failing; 16] = [
    ("halted", |_| {}, |house| halt(house, HaltScope::Whole, TradingState::Halted), Code::TradingHalted),
    (
        "account halted",
        |_| {},
        |house| halt(house, HaltScope::Account(AccountName::new("main").unwrap()), TradingState::Halted),
        Code::TradingHalted,
    ),
    (
        "symbol halted",
        |_| {},
        |house| halt(house, HaltScope::Symbol(Symbol::new(SYMBOL).unwrap()), TradingState::Halted),
        Code::TradingHalted,
    ),
    (
        "reducing",
        |_| {},
        |house| halt(house, HaltScope::Whole, TradingState::Reducing),
        Code::TradingStateReducing,
    ),
    ("size", |it| it.clients[0].limits.max_quantity = 1, |_| {}, Code::QuantityExceedsMaximum),
    ("notional", |it| it.clients[0].limits.max_notional = Money(1), |_| {}, Code::NotionalExceedsMaxPerOrder),
    ("collar", |it| it.risk.firm.collar_ppm = 1, |house| house.price(5_000_000), Code::PriceOutsideCollar),
    ("long", |it| it.accounts[0].limits.max_long = 10_i128.pow(18) * 2, |_| {}, Code::PositionExceedsLimit),
    (
        "gross",
        |it| it.instruments[0].limits.max_gross = Money(10_i128.pow(18) * 140_000),
        |_| {},
        Code::ExposureExceedsLimit,
    ),
    ("open orders", |it| it.clients[0].limits.max_open_orders = 1, |_| {}, Code::OpenOrdersExceedLimit),
    ("count", |it| it.clients[0].limits.max_orders_per_day = 2, |_| {}, Code::OrderCountExceedsLimit),
    (
        "rate",
        |it| (it.clients[0].limits.orders_per_second, it.clients[0].limits.orders_burst) = (1, 2),
        |_| {},
        Code::RateLimitExceeded,
    ),
    (
        "loss",
        |it| it.accounts[0].limits.max_daily_loss = Money(10_i128.pow(18)),
        |house| house.price(6_400_000),
        Code::DailyLossExceeded,
    ),
    ("restricted", |_| {}, |_| {}, Code::SymbolNotAllowed),
    (
        "stale",
        |it| it.risk.firm.max_price_age_ms = 1_000,
        |house| house.now_ns += 5_000_000_000,
        Code::PriceStale,
    ),
    (
        "reconciling",
        |_| {},
        |house| {
            let (venue, state, reason) = (0, VenueState::Reconciling, Remark::EMPTY);
            house.apply(&Record::Venue(VenueRecord { venue, state, reason }));
        },
        Code::StreamReconciling,
    ),
];

/// A position of one coin and a resting order; then everything fails but cancels, closes and halts.
#[test]
fn cancels_closes_and_halts_pass_where_every_entry_fails() {
    for (name, change, before, code) in FAILING {
        let settings = settings(|settings| {
            settings.accounts[0].self_trade = tollgate_config::SelfTradeMode::Allow;
            change(settings);
        });
        let loose = matches!(name, "size" | "notional");
        let mut house = House::new(&settings);
        // What stands already was made by another client where this one's own limits are what fails.
        let maker = u16::from(loose);
        let held = house.command(maker, Action::New(limit(Side::Buy, 100_000, 6_500_000))).unwrap();
        let fill = Fill {
            trade_id: 1,
            price: Decimal::new(6_500_000, 2),
            quantity: Decimal::new(100_000, 5),
            fee: Decimal::ZERO,
            maker: false,
        };
        house.report(maker, OrderId(held), ReportKind::Filled(fill));
        let resting = house.command(maker, Action::New(limit(Side::Buy, 50_000, 6_400_000))).unwrap();
        before(&mut house);
        if name == "restricted" {
            house.grant.symbols_restricted = true;
        }
        let entry = house.command(0, Action::New(limit(Side::Buy, 100_000, 6_450_000)));
        assert_eq!(entry.unwrap_err().code, code, "{name}");

        house.grant.symbols_restricted = false;
        let close = Close { symbol: Symbol::new(SYMBOL).unwrap(), position_ticket: 0, quantity: None };
        assert!(house.command(maker, Action::Close(close)).is_ok(), "{name}: a close passes");
        assert!(
            house.command(maker, Action::Cancel(Target::Order(OrderId(resting)))).is_ok(),
            "{name}: a cancel passes"
        );
        assert!(
            house.command(0, Action::CancelAll(Scope { symbol: None })).is_ok(),
            "{name}: a cancel-all passes"
        );
        assert!(
            house.command(0, Action::CloseAll(Scope { symbol: None })).is_ok(),
            "{name}: a close-all passes"
        );
        halt(&mut house, HaltScope::Whole, TradingState::Halted);
    }
}

#[test]
fn the_next_day_begins_with_counters_at_zero() {
    let settings = settings(|settings| settings.clients[0].limits.max_orders_per_day = 1);
    let mut house = House::new(&settings);
    let order = Action::New(limit(Side::Buy, 10_000, 6_400_000));
    house.command(0, order).unwrap();
    assert_eq!(house.command(0, order).unwrap_err().code, Code::OrderCountExceedsLimit);
    house.now_ns += 86_400_000_000_000;
    house.price(6_500_000);
    house.command(0, order).unwrap();
}

/// A resting exit does not keep a position from being closed.
#[test]
fn a_close_counts_other_closes_and_not_resting_exits() {
    let mut house = House::new(&settings(|_| {}));
    let held = house.command(0, Action::New(limit(Side::Buy, 100_000, 6_500_001))).unwrap();
    let (price, quantity) = (Decimal::new(6_500_001, 2), Decimal::new(100_000, 5));
    let fill = Fill { trade_id: 1, price, quantity, fee: Decimal::ZERO, maker: false };
    house.report(0, OrderId(held), ReportKind::Filled(fill));
    let exit = NewOrder { reduce_only: true, ..limit(Side::Sell, 100_000, 6_600_000) };
    house.command(0, Action::New(exit)).unwrap();
    let close = Close { symbol: Symbol::new(SYMBOL).unwrap(), position_ticket: 0, quantity: None };
    let closing = house.command(0, Action::Close(close)).unwrap();
    let Some(slot) = house.state.orders.find(OrderId(closing)) else { panic!("no order") };
    assert_eq!(house.state.orders.get(slot).terms.quantity_steps, 100_000);
    assert_eq!(house.command(0, Action::Close(close)).unwrap_err().code, Code::PositionNone);
}
