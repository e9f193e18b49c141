//! Risk against a plain reference: what is refused, and why, is what decimal arithmetic says.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)]
#![allow(clippy::unwrap_used, missing_docs)]

mod house;

use house::{House, limit, settings};
use proptest::prelude::*;
use rust_decimal::Decimal as Exact;
use rust_decimal::prelude::ToPrimitive;
use tollgate_config::{OwnerLimits, SelfTradeMode};
use tollgate_contract::venue::{ReportBody, VenueRequest};
use tollgate_core::rig::Rig;
use tollgate_protocol::command::{Action, NewOrder, OrderType, Replace, Side, Target, TimeInForce};
use tollgate_protocol::event::{Fill, ReportKind};
use tollgate_protocol::frame::FRAME_BYTES_MAX;
use tollgate_protocol::mac::MacAlgorithm;
use tollgate_protocol::money::Money;
use tollgate_protocol::reject::{Code, Owner};
use tollgate_protocol::text::AccountName;
use tollgate_protocol::{Command, CommandId, Decimal, OrderId};

/// An order of the decimal reference.
struct Working {
    id: OrderId,
    side: Side,
    price: Exact,
    quantity: Exact,
}

/// Limits and one party's book, in plain decimals: no ticks, no steps, nothing of the gateway's.
struct Reference {
    max_notional: Exact,
    collar: Exact,
    max_long: Exact,
    max_short: Exact,
    max_gross: Exact,
    max_net: Exact,
    bid: Exact,
    ask: Exact,
    position: Exact,
    working: Vec<Working>,
}

fn exact(mantissa: i64, scale: u32) -> Exact {
    Exact::new(mantissa, scale)
}

impl Reference {
    fn sum(&self, side: Side, of: impl Fn(&Working) -> Exact) -> Exact {
        self.working.iter().filter(|order| order.side == side).map(of).sum()
    }

    /// What an order gets, by the definitions of the limits alone.
    fn verdict(&self, side: Side, price: Exact, quantity: Exact) -> Result<(), Code> {
        let notional = price * quantity;
        if notional > self.max_notional {
            return Err(Code::NotionalExceedsMaxPerOrder);
        }
        let is_outside = match side {
            Side::Buy => price > self.ask * (Exact::ONE + self.collar),
            Side::Sell => price < self.bid * (Exact::ONE - self.collar),
        };
        if is_outside {
            return Err(Code::PriceOutsideCollar);
        }
        let quantity_of = |side| self.sum(side, |order| order.quantity);
        let notional_of = |side| self.sum(side, |order| order.price * order.quantity);
        let signed = if side == Side::Buy { self.position } else { -self.position };
        if quantity <= -signed - quantity_of(side) {
            return Ok(());
        }
        let limit = if side == Side::Buy { self.max_long } else { self.max_short };
        if signed + quantity_of(side) + quantity > limit {
            return Err(Code::PositionExceedsLimit);
        }
        let net = self.position * if self.position > Exact::ZERO { self.bid } else { self.ask };
        let gross = net.abs() + notional_of(Side::Buy) + notional_of(Side::Sell) + notional;
        let net = if side == Side::Buy { net } else { -net };
        if gross > self.max_gross || net + notional_of(side) + notional > self.max_net {
            return Err(Code::ExposureExceedsLimit);
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Move {
    New { buy: bool, ticks: i64, steps: i64 },
    Fill { which: usize, steps: i64 },
    Cancelled { which: usize },
    Price { ticks: i64 },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let price = 6_300_000_i64..6_700_000;
    let one = prop_oneof![
        5 => (any::<bool>(), price.clone(), 1_i64..300_000).prop_map(|(buy, ticks, steps)| Move::New { buy, ticks, steps }),
        3 => (any::<usize>(), 1_i64..300_000).prop_map(|(which, steps)| Move::Fill { which, steps }),
        1 => any::<usize>().prop_map(|which| Move::Cancelled { which }),
        2 => price.prop_map(|ticks| Move::Price { ticks }),
    ];
    proptest::collection::vec(one, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Notional, collar, position, gross and net: what is refused, and why, is what decimal arithmetic says.
    #[test]
    fn risk_agrees_with_decimal_arithmetic(
        max_notional in 10_000_i64..300_000, collar_ppm in 0_u64..60_000, max_long in 0_i64..600_000,
        max_short in 0_i64..600_000, max_gross in 0_i64..900_000, max_net in 0_i64..500_000, owners in 0_usize..4,
        moves in moves(),
    ) {
        let attos = 10_i128.pow(18);
        let limits = OwnerLimits {
            max_notional: Money(i128::from(max_notional) * attos),
            collar_ppm,
            max_long: i128::from(max_long) * 10_i128.pow(13),
            max_short: i128::from(max_short) * 10_i128.pow(13),
            max_gross: Money(i128::from(max_gross) * attos),
            max_net: Money(i128::from(max_net) * attos),
            ..OwnerLimits::NONE
        };
        let settings = settings(|settings| {
            settings.risk.firm = OwnerLimits::NONE;
            // Whoever sets them, one party trades one symbol on one account: they mean the same.
            match owners {
                0 => settings.risk.firm = limits,
                1 => settings.accounts[0].limits = limits,
                2 => settings.clients[0].limits = limits,
                _ => settings.instruments[0].limits = limits,
            }
            settings.accounts[0].self_trade = tollgate_config::SelfTradeMode::Allow;
            let instrument = &mut settings.instruments[0].instrument;
            (instrument.quantity_minimum, instrument.quantity_maximum) = (0, 0);
            (instrument.notional_minimum, instrument.notional_maximum) = (Money::ZERO, Money::ZERO);
            instrument.percent_collar = tollgate_protocol::instrument::PercentCollar::default();
        });
        let mut house = House::new(&settings);
        let mut reference = Reference {
            max_notional: exact(max_notional, 0),
            collar: exact(collar_ppm as i64, 6),
            max_long: exact(max_long, 5),
            max_short: exact(max_short, 5),
            max_gross: exact(max_gross, 0),
            max_net: exact(max_net, 0),
            bid: exact(6_500_000, 2),
            ask: exact(6_500_001, 2),
            position: Exact::ZERO,
            working: Vec::new(),
        };
        for one in &moves {
            let pick = |which: usize| (!reference.working.is_empty()).then(|| which % reference.working.len());
            match *one {
                Move::New { buy, ticks, steps } => {
                    let side = if buy { Side::Buy } else { Side::Sell };
                    let (price, quantity) = (exact(ticks, 2), exact(steps, 5));
                    let expected = reference.verdict(side, price, quantity);
                    let verdict = house.command(0, Action::New(limit(side, steps, ticks)));
                    prop_assert_eq!(verdict.map(|_| ()).map_err(|reject| reject.code), expected);
                    if let Ok(sequence) = verdict {
                        reference.working.push(Working { id: OrderId(sequence), side, price, quantity });
                    }
                }
                Move::Fill { which, steps } => {
                    let Some(at) = pick(which) else { continue };
                    let order = &mut reference.working[at];
                    let quantity = exact(steps, 5).min(order.quantity);
                    let fill = Fill {
                        trade_id: house.sequence + 1,
                        price: Decimal::new(i64::try_from((order.price * exact(100, 0)).to_i128().unwrap()).unwrap(), 2),
                        quantity: Decimal::new(i64::try_from((quantity * exact(100_000, 0)).to_i128().unwrap()).unwrap(), 5),
                        fee: Decimal::ZERO,
                        maker: true,
                    };
                    house.report(0, order.id, ReportKind::Filled(fill));
                    reference.position += if order.side == Side::Buy { quantity } else { -quantity };
                    order.quantity -= quantity;
                    if order.quantity.is_zero() {
                        reference.working.remove(at);
                    }
                }
                Move::Cancelled { which } => {
                    let Some(at) = pick(which) else { continue };
                    let order = reference.working.remove(at);
                    house.report(0, order.id, ReportKind::Cancelled);
                }
                Move::Price { ticks } => {
                    house.price(ticks);
                    (reference.bid, reference.ask) = (exact(ticks, 2), exact(ticks + 1, 2));
                }
            }
        }
    }
}

/// One order after the other with the same content.
fn twice(house: &mut House, side: Side) -> Result<u64, tollgate_protocol::reject::Reject> {
    house.command(0, Action::New(limit(side, 1_000, 6_400_000)))
}

#[test]
fn the_same_order_again_is_refused_within_the_window() {
    let settings = settings(|settings| settings.risk.repeat_window_ms = 1_000);
    let mut house = House::new(&settings);
    let first = twice(&mut house, Side::Buy).unwrap();
    let reject = twice(&mut house, Side::Buy).unwrap_err();
    assert_eq!((reject.code, reject.owner), (Code::RepeatedOrder, Owner::Client));
    assert!(house.command(1, Action::New(limit(Side::Buy, 1_000, 6_400_000))).is_ok(), "another client's");
    assert!(house.command(0, Action::New(limit(Side::Buy, 1_001, 6_400_000))).is_ok(), "another quantity");
    assert!(house.command(0, Action::Cancel(Target::Order(OrderId(first)))).is_ok());
    house.now_ns += 1_000_000_000;
    assert!(twice(&mut house, Side::Buy).is_ok(), "the window has passed");
}

/// Near a loss limit orders are slowed, at it they are refused; neither stops a cancel, or what makes the position smaller.
#[test]
fn losses_slow_orders_and_then_stop_them() {
    let settings = settings(|settings| {
        settings.risk.firm = OwnerLimits::NONE;
        settings.accounts[0].limits.max_daily_loss = Money(100 * 10_i128.pow(18));
        (settings.risk.slow_percent, settings.risk.slow_orders_per_second) = (50, 1);
    });
    let mut house = House::new(&settings);
    let id = OrderId(house.command(0, Action::New(limit(Side::Buy, 100_000, 6_500_000))).unwrap());
    let (price, quantity) = (Decimal::new(6_500_000, 2), Decimal::new(100_000, 5));
    house.report(
        0,
        id,
        ReportKind::Filled(Fill { trade_id: 1, price, quantity, fee: Decimal::ZERO, maker: true }),
    );
    let entry = || Action::New(limit(Side::Buy, 1_000, 6_400_000));
    house.price(6_495_100);
    let resting = OrderId(house.command(0, entry()).unwrap());
    assert!(house.command(0, entry()).is_ok(), "a loss of 49 of 100 slows nothing");
    house.price(6_494_900);
    let reject = house.command(0, entry()).unwrap_err();
    assert_eq!((reject.code, reject.owner), (Code::RateLimitExceeded, Owner::Account));
    assert!(house.command(0, Action::New(limit(Side::Sell, 1_000, 6_600_000))).is_ok(), "a smaller position");
    assert!(house.command(0, Action::Cancel(Target::Order(resting))).is_ok());
    house.now_ns += 1_000_000_000;
    assert!(house.command(0, entry()).is_ok(), "one a second");
    house.price(6_489_900);
    house.now_ns += 1_000_000_000;
    let reject = house.command(0, entry()).unwrap_err();
    assert_eq!((reject.code, reject.owner), (Code::DailyLossExceeded, Owner::Account));
    assert_eq!((reject.limit.to_string(), reject.value.to_string()), ("100".to_owned(), "101".to_owned()));
    assert!(house.command(0, Action::New(limit(Side::Sell, 1_000, 6_600_000))).is_ok(), "a smaller position");
}

/// What goes to the venue when a sell rests and a buy comes that would trade with it, and whether the buy passed.
fn self_trade(mode: SelfTradeMode) -> (Vec<&'static str>, bool) {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(|settings| settings.accounts[0].self_trade = mode);
    let journal = tollgate_journal::Settings::new(directory.path());
    let opened = tollgate_journal::open(&journal, |_| {}).unwrap();
    let mut rig = Rig::new(&settings, opened.appender, MacAlgorithm::Blake3);
    let mut sent = Vec::new();
    for (number, side) in [Side::Sell, Side::Buy].into_iter().enumerate() {
        let command = Command {
            command_id: CommandId(number as u128 + 1),
            created_at_ns: rig.now_ns(),
            deadline_ns: 0,
            account: AccountName::new("main").unwrap(),
            action: Action::New(limit(side, 1_000, 6_500_000)),
        };
        let mut frame = [0; FRAME_BYTES_MAX];
        let length = rig.sign(&command, &mut frame);
        rig.offer(&frame[..length]);
        assert!(rig.run());
        rig.drain(|rig, request| match request {
            VenueRequest::New(order) => {
                sent.push(if order.side == Side::Sell { "sell" } else { "buy" });
                rig.report_order(order.order_id, ReportBody::Accepted { venue_order_id: order.order_id.0 });
            }
            VenueRequest::Cancel(_) => sent.push("cancel"),
            VenueRequest::Replace { .. } | VenueRequest::Query(_) => sent.push("else"),
        });
    }
    (sent, rig.outcomes()[0] == 2)
}

#[test]
fn orders_of_one_account_do_not_trade_with_each_other() {
    assert_eq!(self_trade(SelfTradeMode::Allow), (vec!["sell", "buy"], true));
    assert_eq!(self_trade(SelfTradeMode::CancelResting), (vec!["sell", "cancel", "buy"], true));
    assert_eq!(self_trade(SelfTradeMode::CancelAggressor), (vec!["sell"], false));
    assert_eq!(self_trade(SelfTradeMode::CancelBoth), (vec!["sell", "cancel"], false));
}

/// A way out must not wait for the account's own bids.
#[test]
fn what_makes_a_position_smaller_may_cross_its_own_orders() {
    let settings = settings(|settings| settings.accounts[0].self_trade = SelfTradeMode::CancelAggressor);
    let mut house = House::new(&settings);
    let id = OrderId(house.command(0, Action::New(limit(Side::Buy, 3_000, 6_500_000))).unwrap());
    let (price, quantity) = (Decimal::new(6_500_000, 2), Decimal::new(3_000, 5));
    house.report(
        0,
        id,
        ReportKind::Filled(Fill { trade_id: 1, price, quantity, fee: Decimal::ZERO, maker: true }),
    );
    let bid = Action::New(limit(Side::Buy, 1_000, 6_495_000));
    assert!(house.command(0, bid).is_ok());
    let reject = house.command(0, Action::New(limit(Side::Sell, 5_000, 6_495_000))).unwrap_err();
    assert_eq!(reject.code, Code::SelfTrade, "it would turn the position round");

    let smaller = limit(Side::Sell, 1_000, 6_495_000);
    let resting = OrderId(house.command(0, Action::New(smaller)).unwrap());
    let market = NewOrder {
        order_type: OrderType::Market,
        price: None,
        time_in_force: TimeInForce::ImmediateOrCancel,
        reduce_only: true,
        ..smaller
    };
    assert!(house.command(0, Action::New(market)).is_ok());
    let quantity = Some(Decimal::new(500, 5));
    let (target, price, stop_price) = (Target::Order(resting), None, None);
    let shrink = Action::Replace(Replace { target, quantity, price, stop_price });
    assert!(house.command(0, shrink).is_ok());
}

/// A clock may have been set back before a restart: that is no rate that somebody keeps breaking.
#[test]
fn who_has_no_rate_is_not_refused_for_one() {
    let settings = settings(|settings| {
        settings.risk.firm.orders_per_second = u32::MAX;
        settings.accounts[0].limits.max_long = 1_000_000_000_000_000_000_000;
    });
    let mut house = House::new(&settings);
    assert!(house.command(0, Action::New(limit(Side::Buy, 1_000, 6_400_000))).is_ok());
    house.now_ns -= 500_000_000;
    assert_eq!(house.command(0, Action::New(limit(Side::Buy, 1_000, 6_400_100))).map(|_| ()), Ok(()));
}
