//! Risk against a plain reference: what is refused, and why, is what decimal arithmetic says.
#![allow(clippy::unwrap_used, missing_docs)]

mod house;

use house::{House, limit, settings};
use proptest::prelude::*;
use rust_decimal::Decimal as Exact;
use rust_decimal::prelude::ToPrimitive;
use tollgate_config::OwnerLimits;
use tollgate_protocol::command::{Action, Side};
use tollgate_protocol::event::{Fill, ReportKind};
use tollgate_protocol::money::Money;
use tollgate_protocol::reject::Code;
use tollgate_protocol::{Decimal, OrderId};

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
