//! The limits that one owner sets: the firm, an instrument, an account or a client.

use tollgate_protocol::{Decimal, Money};

use crate::reader::{Section, Sign};

/// What one owner allows. The effective limit is the smallest of all owners'; a limit that an owner does not set is
/// the greatest value of its type. The firm's always have a value, so that none is ever absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnerLimits {
    /// Largest quantity of one order, in `10^-18` of the instrument's unit.
    pub max_quantity: i128,
    /// Largest price times quantity of one order.
    pub max_notional: Money,
    /// How far a price may lie from the reference price, in millionths of it.
    pub collar_ppm: u64,
    /// Largest long position and working buys together, per account and symbol, in `10^-18` of the unit.
    pub max_long: i128,
    /// Largest short position and working sells together, per account and symbol, in `10^-18` of the unit.
    pub max_short: i128,
    /// Largest sum of the notionals of all positions and working orders.
    pub max_gross: Money,
    /// Largest difference between long and short notional.
    pub max_net: Money,
    /// Most orders that work at once.
    pub max_open_orders: u32,
    /// Largest loss since the daily reset, realised and unrealised.
    pub max_daily_loss: Money,
    /// Largest fall from the highest equity.
    pub max_drawdown: Money,
    /// Orders a second, in the long run.
    pub orders_per_second: u32,
    /// Orders that may come at once; when only the rate is set, as many as the rate.
    pub orders_burst: u32,
    /// Orders in a minute.
    pub max_orders_per_minute: u64,
    /// Orders in an hour.
    pub max_orders_per_hour: u64,
    /// Orders in a day.
    pub max_orders_per_day: u64,
    /// Oldest reference price that checks may use, in milliseconds.
    pub max_price_age_ms: u32,
}

const fn units(count: i128) -> i128 {
    count * 1_000_000_000_000_000_000
}

impl OwnerLimits {
    /// No limit of this owner.
    pub const NONE: Self = Self {
        max_quantity: i128::MAX,
        max_notional: Money::MAX,
        collar_ppm: u64::MAX,
        max_long: i128::MAX,
        max_short: i128::MAX,
        max_gross: Money::MAX,
        max_net: Money::MAX,
        max_open_orders: u32::MAX,
        max_daily_loss: Money::MAX,
        max_drawdown: Money::MAX,
        orders_per_second: u32::MAX,
        orders_burst: u32::MAX,
        max_orders_per_minute: u64::MAX,
        max_orders_per_hour: u64::MAX,
        max_orders_per_day: u64::MAX,
        max_price_age_ms: u32::MAX,
    };

    /// The firm's, where it does not set its own.
    pub const FIRM: Self = Self {
        max_quantity: units(100),
        max_notional: Money(units(100_000)),
        collar_ppm: 50_000,
        max_long: units(1_000),
        max_short: units(1_000),
        max_gross: Money(units(1_000_000)),
        max_net: Money(units(500_000)),
        max_open_orders: 200,
        max_daily_loss: Money(units(10_000)),
        max_drawdown: Money(units(20_000)),
        orders_per_second: 50,
        orders_burst: 100,
        max_orders_per_minute: 1_000,
        max_orders_per_hour: 20_000,
        max_orders_per_day: 100_000,
        max_price_age_ms: 5_000,
    };

    pub(crate) fn read(section: &Section<'_>, default: &Self) -> Self {
        let attos = |key, sign, default: i128| {
            let shown = (default != i128::MAX).then(|| Decimal::from_attos_lossy(default));
            let value = section.decimal_or(key, shown, sign).and_then(Decimal::to_attos);
            value.unwrap_or(default)
        };
        let money = |key, default: Money| Money(attos(key, Sign::Positive, default.0));
        let short = |key, default| section.limit(key, default, 1_000_000_000);
        let long = |key, default| section.limit(key, default, 4_000_000_000);
        let mut limits = Self {
            max_quantity: attos("max_quantity", Sign::Positive, default.max_quantity),
            max_notional: money("max_notional", default.max_notional),
            collar_ppm: read_collar(section, default.collar_ppm),
            max_long: attos("max_long", Sign::NotNegative, default.max_long),
            max_short: attos("max_short", Sign::NotNegative, default.max_short),
            max_gross: money("max_gross", default.max_gross),
            max_net: money("max_net", default.max_net),
            max_open_orders: short("max_open_orders", default.max_open_orders),
            max_daily_loss: money("max_daily_loss", default.max_daily_loss),
            max_drawdown: money("max_drawdown", default.max_drawdown),
            orders_per_second: short("orders_per_second", default.orders_per_second),
            orders_burst: default.orders_burst,
            max_orders_per_minute: long("max_orders_per_minute", default.max_orders_per_minute),
            max_orders_per_hour: long("max_orders_per_hour", default.max_orders_per_hour),
            max_orders_per_day: long("max_orders_per_day", default.max_orders_per_day),
            max_price_age_ms: short("max_price_age_ms", default.max_price_age_ms),
        };
        let rated = section.has("orders_per_second");
        let burst = if rated { limits.orders_per_second } else { default.orders_burst };
        limits.orders_burst = short("orders_burst", burst);
        limits.check(section);
        limits
    }

    /// Only between limits that this owner sets itself: a default that is the looser one does no harm.
    fn check(&self, section: &Section<'_>) {
        let ordered = |lower: &str, upper: &str, holds: bool| {
            if !holds && section.has(lower) && section.has(upper) {
                let problem = format!("is above {upper} of the same owner, and could never be reached");
                section.wrong(lower, &problem, &format!("set it to {upper} at most, or raise {upper}"));
            }
        };
        ordered("max_notional", "max_gross", self.max_notional <= self.max_gross);
        ordered("max_net", "max_gross", self.max_net <= self.max_gross);
        let (minute, hour) = (self.max_orders_per_minute, self.max_orders_per_hour);
        ordered("max_orders_per_minute", "max_orders_per_hour", minute <= hour);
        ordered("max_orders_per_hour", "max_orders_per_day", hour <= self.max_orders_per_day);
    }
}

fn read_collar(section: &Section<'_>, default_ppm: u64) -> u64 {
    let shown = (default_ppm != u64::MAX).then(|| Decimal::new(default_ppm as i64, 2).normalized());
    section.ppm_from_bps("collar_bps", shown, 1..=100_000_000).unwrap_or(default_ppm)
}
