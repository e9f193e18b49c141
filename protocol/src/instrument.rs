//! Instruments: the grids of price and quantity, and the venue's rules in integers of them.

use crate::decimal::{Decimal, POWERS_OF_TEN, SCALE_MAX};
use crate::money::Money;
use crate::text::{Symbol, Text};
use crate::wire_struct;

/// An instrument's position in the gateway's settings.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, serde::Serialize, serde::Deserialize,
)]
pub struct InstrumentIndex(pub u16);

wire_struct!(InstrumentIndex { 0 });

/// The multiples of an increment: ticks of price or steps of quantity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grid {
    mantissa: i64,
    scale: u8,
}

/// Why a decimal is not on a [`Grid`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffGrid {
    /// It lies between two multiples: these, in increments.
    Between {
        /// The nearest multiple toward −∞.
        below: i64,
        /// The nearest multiple toward +∞.
        above: i64,
    },
    /// It is too large or has too many digits.
    OutOfRange,
}

impl Grid {
    /// The multiples of `increment`, which must be above 0 and of scale ≤ 18; `None` otherwise.
    pub fn new(increment: Decimal) -> Option<Self> {
        let increment = increment.normalized();
        (increment.mantissa > 0 && increment.scale <= SCALE_MAX)
            .then_some(Self { mantissa: increment.mantissa, scale: increment.scale })
    }

    /// The increment.
    pub fn increment(self) -> Decimal {
        Decimal::new(self.mantissa, self.scale)
    }

    /// `value` as a whole number of increments. What it answers, the neighbours too, [`Self::decimal`] can write.
    #[inline]
    pub fn units(self, value: Decimal) -> Result<i64, OffGrid> {
        // The common case: no more digits than the increment has, and no overflow on the way.
        if value.scale <= self.scale {
            let factor = POWERS_OF_TEN[usize::from(self.scale - value.scale)];
            if let Some(scaled) = value.mantissa.checked_mul(factor) {
                if self.mantissa == 1 {
                    return Ok(scaled);
                }
                // One division: `%` would be a second one.
                let units = scaled / self.mantissa;
                return if units * self.mantissa == scaled { Ok(units) } else { self.units_slow(value) };
            }
        }
        self.units_slow(value)
    }

    #[cold]
    fn units_slow(self, value: Decimal) -> Result<i64, OffGrid> {
        let value = value.to_attos().ok_or(OffGrid::OutOfRange)?;
        let increment = self.increment().to_attos().ok_or(OffGrid::OutOfRange)?;
        let below = i64::try_from(value.div_euclid(increment)).map_err(|_| OffGrid::OutOfRange)?;
        let above = below.checked_add(1).ok_or(OffGrid::OutOfRange)?;
        let is_exact = value.rem_euclid(increment) == 0;
        let highest = if is_exact { below } else { above };
        if self.decimal(below).is_none() || self.decimal(highest).is_none() {
            return Err(OffGrid::OutOfRange);
        }
        if is_exact { Ok(below) } else { Err(OffGrid::Between { below, above }) }
    }

    /// `units` increments as a decimal. `None` when the digits do not fit.
    #[inline]
    pub fn decimal(self, units: i64) -> Option<Decimal> {
        units.checked_mul(self.mantissa).map(|mantissa| Decimal::new(mantissa, self.scale))
    }

    /// `units` increments for showing, with fewer digits where they would not fit.
    pub fn decimal_lossy(self, units: i64) -> Decimal {
        self.decimal(units).unwrap_or_else(|| {
            let attos = self.increment().to_attos().unwrap_or_default().saturating_mul(i128::from(units));
            Decimal::from_attos_lossy(attos)
        })
    }
}

/// The venue's percent rule: a price must lie within these multiples of the reference price, in millionths;
/// 0 for no bound.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PercentCollar {
    /// A buy's highest price.
    pub buy_up_ppm: u64,
    /// A buy's lowest price.
    pub buy_down_ppm: u64,
    /// A sell's highest price.
    pub sell_up_ppm: u64,
    /// A sell's lowest price.
    pub sell_down_ppm: u64,
}

/// Which kinds of orders the instrument's venue takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Stop and stop-limit orders.
    pub stop_orders: bool,
    /// Stop loss and take profit attached to an order.
    pub protection: bool,
    /// Several positions per symbol (hedging).
    pub hedging: bool,
    /// Orders with an end date.
    pub good_till_date: bool,
}

/// An instrument as every part of the gateway sees it. Prices are whole ticks, quantities whole steps; a bound of
/// 0 is no bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instrument {
    /// The venue's name of it.
    pub symbol: Symbol,
    /// What is traded.
    pub base_asset: Text<15>,
    /// What it is paid with.
    pub quote_asset: Text<15>,
    /// The position of its venue in the settings.
    pub venue: u16,
    /// The grid of prices.
    pub price: Grid,
    /// The grid of quantities.
    pub quantity: Grid,
    /// Lowest price, in ticks.
    pub price_minimum: i64,
    /// Highest price, in ticks.
    pub price_maximum: i64,
    /// Smallest quantity, in steps.
    pub quantity_minimum: i64,
    /// Largest quantity of one order, in steps.
    pub quantity_maximum: i64,
    /// Smallest quantity of a market order, in steps.
    pub market_quantity_minimum: i64,
    /// Largest quantity of a market order, in steps.
    pub market_quantity_maximum: i64,
    /// A market order's quantity is a multiple of this many steps; 1 for no further rule.
    pub market_quantity_multiple: i64,
    /// Smallest price times quantity.
    pub notional_minimum: Money,
    /// Largest price times quantity of one order.
    pub notional_maximum: Money,
    /// The minimum notional holds for market orders too (valued at the reference price).
    pub notional_minimum_for_market: bool,
    /// The maximum notional holds for market orders too.
    pub notional_maximum_for_market: bool,
    /// Reduce-only orders are exempt from the minimum notional.
    pub notional_exempts_reduce_only: bool,
    /// The venue's percent rule.
    pub percent_collar: PercentCollar,
    /// The worth of one tick times one step in the account's currency: tick × step × contract size × rate.
    pub unit_value: Money,
    /// What the venue takes.
    pub capabilities: Capabilities,
}

impl Instrument {
    /// Price times quantity in the account's currency; `None` past the range of [`Money`].
    #[inline]
    pub fn notional(&self, price_ticks: i64, quantity_steps: i64) -> Option<Money> {
        self.unit_value.checked_mul(i128::from(price_ticks) * i128::from(quantity_steps))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid(text: &str) -> Grid {
        Grid::new(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn values_on_the_grid_become_whole_numbers() {
        assert_eq!(grid("0.05").units("1.25".parse().unwrap()), Ok(25));
        assert_eq!(grid("0.05").units("1.2500000".parse().unwrap()), Ok(25));
        assert_eq!(grid("100").units("1500".parse().unwrap()), Ok(15));
        assert_eq!(grid("0.05").decimal(25).unwrap().to_string(), "1.25");
    }

    #[test]
    fn values_between_name_their_neighbours() {
        assert_eq!(
            grid("0.05").units("1.27".parse().unwrap()),
            Err(OffGrid::Between { below: 25, above: 26 })
        );
        assert_eq!(
            grid("110").units("-165".parse().unwrap()),
            Err(OffGrid::Between { below: -2, above: -1 })
        );
        assert_eq!(grid("1").units(Decimal::new(1, 19)), Err(OffGrid::OutOfRange));
        assert_eq!(grid("0.000000000000000001").units("100".parse().unwrap()), Err(OffGrid::OutOfRange));
    }

    /// What has more digits than a decimal holds could not be told to a venue as it is.
    #[test]
    fn multiples_that_cannot_be_written_are_out_of_range() {
        let grid = grid("0.00000012");
        assert_eq!(grid.units(Decimal::new(92_305_493_617, 0)), Err(OffGrid::OutOfRange));
        let highest = i64::MAX / 12;
        assert_eq!(grid.units(Decimal::new(highest * 12, 8)), Ok(highest));
        assert_eq!(
            grid.units(Decimal::new(highest * 12 - 1, 8)).unwrap_err(),
            OffGrid::Between { below: highest - 1, above: highest }
        );
        assert_eq!(grid.units(Decimal::new(highest * 12 + 1, 8)), Err(OffGrid::OutOfRange));
    }

    #[test]
    fn increments_must_be_positive() {
        assert_eq!(Grid::new(Decimal::ZERO), None);
        assert_eq!(Grid::new(Decimal::new(-1, 2)), None);
        assert_eq!(Grid::new(Decimal::new(1, 19)), None);
    }

    proptest! {
        #[test]
        fn agrees_with_rust_decimal(
            mantissa in -10_i64.pow(15)..10_i64.pow(15), scale in 0_u8..10,
            increment in 1_i64..100_000, increment_scale in 0_u8..10,
        ) {
            let grid = Grid::new(Decimal::new(increment, increment_scale)).unwrap();
            let value = Decimal::new(mantissa, scale);
            let exact = value.to_rust_decimal().unwrap() / grid.increment().to_rust_decimal().unwrap();
            let below = i64::try_from(exact.floor().mantissa() / 10_i128.pow(exact.floor().scale()));
            let on_grid = (value.to_rust_decimal().unwrap() % grid.increment().to_rust_decimal().unwrap()).is_zero();
            match grid.units(value) {
                Ok(units) => {
                    prop_assert!(on_grid);
                    prop_assert_eq!(Ok(units), below);
                    prop_assert_eq!(grid.decimal(units).unwrap().normalized(), value.normalized());
                }
                Err(OffGrid::Between { below: lower, above }) => {
                    prop_assert!(!on_grid);
                    prop_assert_eq!(Ok(lower), below);
                    prop_assert_eq!(above, lower + 1);
                }
                Err(OffGrid::OutOfRange) => {
                    let next = below.map(|below| below + 1);
                    prop_assert!(next.is_err() || next.is_ok_and(|next| grid.decimal(next).is_none()));
                }
            }
        }
    }
}
