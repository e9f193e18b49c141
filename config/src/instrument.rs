//! Instruments: from `[[instrument]]` tables, from a venue's exchange information, or the one over the other.

use std::collections::BTreeMap;

use tollgate_protocol::decimal::POWERS_OF_TEN;
use tollgate_protocol::instrument::{Capabilities, Grid, OffGrid, PercentCollar};
use tollgate_protocol::{Decimal, Instrument, Money};

use crate::hours::TradingHours;
use crate::limits::OwnerLimits;
use crate::reader::{Section, Sign};

/// An instrument, the firm's limits for it, and when it trades.
#[derive(Clone, Debug)]
pub struct InstrumentSettings {
    /// The instrument.
    pub instrument: Instrument,
    /// The instrument's own limits.
    pub limits: OwnerLimits,
    /// When it trades.
    pub hours: TradingHours,
    /// Where a synthetic feed starts; a whole number of ticks.
    pub initial_price: Option<Decimal>,
}

/// An instrument, and what must be compared with others.
pub(crate) struct InstrumentRead {
    pub(crate) settings: InstrumentSettings,
    pub(crate) path: String,
    /// The file says what the quote asset is worth.
    pub(crate) has_rate: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Bound {
    Lowest,
    Highest,
}

/// A number of increments inside the bound: lowest up, highest down; 0 for no bound.
fn bound(section: &Section<'_>, key: &'static str, grid: Grid, which: Bound) -> i64 {
    let value = section.decimal_or(key, Some(Decimal::ZERO), Sign::NotNegative).unwrap_or_default();
    match grid.units(value) {
        Ok(units) => units,
        Err(OffGrid::Between { above, .. }) if which == Bound::Lowest => above,
        Err(OffGrid::Between { below: 0, .. }) => {
            section.wrong(key, "is smaller than one increment", "raise it, or give 0 for no bound");
            0
        }
        Err(OffGrid::Between { below, .. }) => below,
        Err(OffGrid::OutOfRange) => {
            let advice =
                "at most about 9.2e18 ticks or steps can be counted: lower it, or give 0 for no bound";
            section.wrong(key, "is too large for the increment", advice);
            0
        }
    }
}

fn grid(section: &Section<'_>, key: &'static str, advice: &str) -> Grid {
    let increment = section.required_decimal(key, Sign::Positive, advice);
    let one = Grid::new(Decimal::new(1, 0));
    let grid = increment.and_then(Grid::new).or(one);
    let Some(grid) = grid else { unreachable!("1 is an increment") };
    grid
}

/// `tick × step × contract size × rate` in `10^-18`, when it is exact.
fn unit_value(factors: [Decimal; 4]) -> Option<Money> {
    let mut mantissa: i128 = 1;
    let mut scale: u32 = 0;
    for factor in factors.map(Decimal::normalized) {
        mantissa = mantissa.checked_mul(i128::from(factor.mantissa))?;
        scale += u32::from(factor.scale);
        // Early, so that the product of long but even factors fits.
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
    }
    let missing = 18_u32.checked_sub(scale)?;
    let power = i128::from(*POWERS_OF_TEN.get(missing as usize)?);
    mantissa.checked_mul(power).filter(|value| *value > 0).map(Money)
}

impl InstrumentRead {
    pub(crate) fn read(
        section: &Section<'_>,
        path: String,
        venues: &[String],
        hours: &mut BTreeMap<String, TradingHours>,
    ) -> Self {
        let instrument = read_instrument(section, venues);
        let initial_price = section.decimal_or("initial_price", None, Sign::Positive);
        if initial_price.is_some_and(|price| instrument.price.units(price).is_err()) {
            let problem = format!("is not a multiple of tick, which is {}", instrument.price.increment());
            section.wrong("initial_price", &problem, "give a price that the venue would take");
        }
        let hours = TradingHours::read(section, hours);
        let has_rate = section.has("quote_to_account_rate");
        let limits = section.section("limits");
        let read = OwnerLimits::read(&limits, &OwnerLimits::NONE);
        limits.close();
        Self {
            settings: InstrumentSettings { instrument, limits: read, hours, initial_price },
            path,
            has_rate,
        }
    }
}

fn read_instrument(section: &Section<'_>, venues: &[String]) -> Instrument {
    let symbol = section.symbol("symbol");
    let venue = section.reference("venue", "venue", venues);
    let (base_asset, quote_asset) = (section.symbol("base_asset"), section.symbol("quote_asset"));
    let price = grid(section, "tick", "give the smallest change of the price, as in \"0.01\"");
    let quantity = grid(section, "step", "give the smallest change of the quantity, as in \"0.001\"");
    let lowest = |key, grid| bound(section, key, grid, Bound::Lowest);
    let highest = |key, grid| bound(section, key, grid, Bound::Highest);
    let amount = |key| section.decimal_or(key, Some(Decimal::ZERO), Sign::NotNegative).unwrap_or_default();
    let one = Some(Decimal::new(1, 0));
    let factor = |key| section.decimal_or(key, one, Sign::Positive).unwrap_or(Decimal::new(1, 0));
    let mut instrument = Instrument {
        symbol,
        base_asset,
        quote_asset,
        venue,
        price,
        quantity,
        price_minimum: lowest("min_price", price),
        price_maximum: highest("max_price", price),
        quantity_minimum: lowest("min_quantity", quantity),
        quantity_maximum: highest("max_quantity", quantity),
        market_quantity_minimum: lowest("market_min_quantity", quantity),
        market_quantity_maximum: highest("market_max_quantity", quantity),
        market_quantity_multiple: market_multiple(section, quantity),
        notional_minimum: Money::ZERO,
        notional_maximum: Money::ZERO,
        notional_minimum_for_market: section.flag("min_notional_for_market", true),
        notional_maximum_for_market: section.flag("max_notional_for_market", true),
        notional_exempts_reduce_only: section.flag("notional_exempts_reduce_only", false),
        percent_collar: PercentCollar {
            buy_up_ppm: multiple(section, "percent_buy_up"),
            buy_down_ppm: multiple(section, "percent_buy_down"),
            sell_up_ppm: multiple(section, "percent_sell_up"),
            sell_down_ppm: multiple(section, "percent_sell_down"),
        },
        unit_value: Money(1),
        capabilities: Capabilities {
            stop_orders: section.flag("stop_orders", true),
            protection: section.flag("protection", false),
            hedging: section.flag("hedging", true),
            good_till_date: section.flag("good_till_date", true),
        },
    };
    let (min_notional, max_notional) = (amount("min_notional"), amount("max_notional"));
    let (contract_size, rate) = (factor("contract_size"), factor("quote_to_account_rate"));
    instrument.notional_minimum = notional(section, "min_notional", min_notional, rate, Bound::Lowest);
    instrument.notional_maximum = notional(section, "max_notional", max_notional, rate, Bound::Highest);
    check_bounds(section, &instrument);
    let factors = [price.increment(), quantity.increment(), contract_size, rate];
    let Some(unit_value) = unit_value(factors) else {
        let problem = format!(
            "tick × step × contract_size × quote_to_account_rate = {} × {} × {contract_size} × {rate} has more than 18 \
             digits behind the point, or is too large",
            price.increment(),
            quantity.increment()
        );
        let key = if section.has("quote_to_account_rate") { "quote_to_account_rate" } else { "tick" };
        let advice =
            "amounts are counted in 10^-18: give a coarser tick or step, or a rate with fewer digits";
        section.wrong(key, &problem, advice);
        return instrument;
    };
    Instrument { unit_value, ..instrument }
}

/// A bound in the quote asset, in the accounts' currency: the lowest rounded up, the highest down.
fn notional(section: &Section<'_>, key: &'static str, amount: Decimal, rate: Decimal, which: Bound) -> Money {
    let attos = amount.to_attos().unwrap_or_default();
    let divisor = POWERS_OF_TEN.get(usize::from(rate.scale)).map_or(1, |power| i128::from(*power));
    let rounding = if which == Bound::Lowest { divisor - 1 } else { 0 };
    let product = attos.checked_mul(i128::from(rate.mantissa)).and_then(|it| it.checked_add(rounding));
    let Some(product) = product else {
        section.wrong(key, "times quote_to_account_rate is too large", "lower it, or give 0 for no bound");
        return Money::ZERO;
    };
    match product / divisor {
        0 if attos > 0 => Money(1),
        notional => Money(notional),
    }
}

fn check_bounds(section: &Section<'_>, instrument: &Instrument) {
    let ordered = |lower: &str, upper: &str, low: i128, high: i128| {
        if high > 0 && low > high {
            section.wrong(lower, &format!("is above {upper}"), "no order could pass both: correct one");
        }
    };
    let (low, high) = (instrument.price_minimum, instrument.price_maximum);
    ordered("min_price", "max_price", low.into(), high.into());
    let (low, high) = (instrument.quantity_minimum, instrument.quantity_maximum);
    ordered("min_quantity", "max_quantity", low.into(), high.into());
    let (low, high) = (instrument.market_quantity_minimum, instrument.market_quantity_maximum);
    ordered("market_min_quantity", "market_max_quantity", low.into(), high.into());
    let (low, high) = (instrument.notional_minimum, instrument.notional_maximum);
    ordered("min_notional", "max_notional", low.0, high.0);
    let collar = instrument.percent_collar;
    ordered("percent_buy_down", "percent_buy_up", collar.buy_down_ppm.into(), collar.buy_up_ppm.into());
    ordered("percent_sell_down", "percent_sell_up", collar.sell_down_ppm.into(), collar.sell_up_ppm.into());
}

/// A multiple of the reference price in millionths; 0 for no bound.
fn multiple(section: &Section<'_>, key: &'static str) -> u64 {
    let value = section.decimal_or(key, Some(Decimal::ZERO), Sign::NotNegative).unwrap_or_default();
    let ppm = value.rescaled(6).filter(|ppm| *ppm <= 1_000_000_000_000);
    if ppm.is_none() {
        section.wrong(
            key,
            "is out of range",
            "give a multiple of the price, as in \"1.1\", with 6 digits at most",
        );
    }
    ppm.unwrap_or_default().unsigned_abs()
}

fn market_multiple(section: &Section<'_>, quantity: Grid) -> i64 {
    let value = section.decimal_or("market_step", Some(Decimal::ZERO), Sign::NotNegative).unwrap_or_default();
    if value.mantissa == 0 {
        return 1;
    }
    let finer = Grid::new(value).is_some_and(|market| market.units(quantity.increment()).is_ok());
    match quantity.units(value) {
        Ok(multiple) => multiple.max(1),
        // Every multiple of the step is one of the market step too.
        Err(_) if finer => 1,
        Err(_) => {
            let problem = format!("is not a multiple of step, which is {}", quantity.increment());
            section.wrong("market_step", &problem, "give a multiple of it, or 0 for no rule of its own");
            1
        }
    }
}
