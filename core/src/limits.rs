//! The limits of owners, each in one place: what it is called, what it counts, how far that may go. The check of an order,
//! the numbers of a rejection and the rows of `tollgate limits` are all made from it.

// The walk is one chain of comparisons only where every question is asked in place: each limit is known there.
#![allow(clippy::inline_always)]

use tollgate_config::OwnerLimits;
use tollgate_protocol::command::Side;
use tollgate_protocol::decimal::Decimal;
use tollgate_protocol::money::Money;
use tollgate_protocol::reject::{Code, Owner, Reject};

use super::exposure::{Cell, HOUR_NS, MINUTE_NS, Totals};
use super::rules::{InstrumentRule, OwnerFigures, Owners, each};
use super::state::State;

/// Lists the limits once: for the walk, which asks them one by one, and for who wants them all.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $limit:ident, $name:literal, $code:ident, $stage:ident;)+) => {
        /// What an owner may limit, in the order in which a broken one is named.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Limit { $($(#[doc = $doc])+ $limit,)+ }

        impl Limit {
            /// Every limit.
            #[cfg(test)]
            pub const ALL: &[Limit] = &[$(Limit::$limit,)+];

            /// Its key in the settings.
            pub const fn name(self) -> &'static str {
                match self { $(Limit::$limit => $name,)+ }
            }

            /// What an order that breaks it is rejected with.
            pub const fn code(self) -> Code {
                match self { $(Limit::$limit => Code::$code,)+ }
            }

            const fn stage(self) -> Stage {
                match self { $(Limit::$limit => Stage::$stage,)+ }
            }
        }

        /// The first limit of one owner that the order breaks, of those that are not spared.
        #[inline(always)]
        fn first_of(case: &Case<'_>, standing: &Standing<'_>, spared: impl Fn(Limit) -> bool) -> Option<Limit> {
            $(if Limit::$limit.is_broken(case, standing) && !spared(Limit::$limit) {
                return Some(Limit::$limit);
            })+
            None
        }
    };
}

limits! {
    /// Orders a second, in the long run.
    OrdersPerSecond, "orders_per_second", RateLimitExceeded, Rate;
    /// Orders in a minute.
    OrdersPerMinute, "max_orders_per_minute", OrderCountExceedsLimit, Count;
    /// Orders in an hour.
    OrdersPerHour, "max_orders_per_hour", OrderCountExceedsLimit, Count;
    /// Orders in a day.
    OrdersPerDay, "max_orders_per_day", OrderCountExceedsLimit, Count;
    /// Orders that work at once.
    OpenOrders, "max_open_orders", OpenOrdersExceedLimit, Count;
    /// Quantity of one order.
    Quantity, "max_quantity", QuantityExceedsMaximum, Quantity;
    /// Notional of one order.
    Notional, "max_notional", NotionalExceedsMaxPerOrder, Notional;
    /// Age of the reference price; one that never came is older than any.
    PriceAge, "max_price_age_ms", PriceStale, PriceAge;
    /// Distance of the price from the reference price, on the side that costs.
    Collar, "collar_bps", PriceOutsideCollar, Collar;
    /// Loss since the daily reset.
    DailyLoss, "max_daily_loss", DailyLossExceeded, Loss;
    /// Fall from the day's best result.
    Drawdown, "max_drawdown", DrawdownExceeded, Loss;
    /// Orders a second of who is near one of the two.
    SlowedOrders, "slow_orders_per_second", RateLimitExceeded, Slowed;
    /// Long position and working buys of the symbol.
    Long, "max_long", PositionExceedsLimit, Position;
    /// Short position and working sells of the symbol.
    Short, "max_short", PositionExceedsLimit, Position;
    /// Notional of all positions and working orders.
    Gross, "max_gross", ExposureExceedsLimit, Exposure;
    /// Difference between long and short notional, working orders included.
    Net, "max_net", ExposureExceedsLimit, Exposure;
}

/// Limits that are asked of all owners before those of the next stage are asked of any.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Rate,
    Count,
    Quantity,
    Notional,
    PriceAge,
    Collar,
    Loss,
    Slowed,
    Position,
    Exposure,
}

/// The limits that `tollgate limits` lists, in its order.
pub const LISTED: [Limit; 13] = [
    Limit::Quantity,
    Limit::Notional,
    Limit::Long,
    Limit::Short,
    Limit::Gross,
    Limit::Net,
    Limit::OpenOrders,
    Limit::DailyLoss,
    Limit::Drawdown,
    Limit::OrdersPerMinute,
    Limit::OrdersPerHour,
    Limit::OrdersPerDay,
    Limit::OrdersPerSecond,
];

/// What an order would add to what limits count.
#[derive(Clone, Copy, Default)]
pub struct Addition {
    /// Which way; `None` for no order at all.
    pub side: Option<Side>,
    /// Orders: a replace makes none.
    pub orders: u64,
    /// Its quantity, in `10^-18` of the unit.
    pub quantity: i128,
    /// Its price times its quantity.
    pub notional: Money,
    /// What it adds to the working quantity, in steps.
    pub steps: i64,
    /// What it adds to the working notional.
    pub working_notional: Money,
    /// Its limit price, in ticks; 0 without one.
    pub price_ticks: i64,
}

/// An order beside what limits are compared with, worked out once for all owners.
pub struct Case<'a> {
    /// What it adds.
    pub addition: Addition,
    /// Its instrument.
    pub rule: &'a InstrumentRule,
    /// There is a reference price.
    pub has_price: bool,
    /// Its age, in milliseconds.
    pub price_age_ms: u64,
    /// What the order's price is compared with, in ticks.
    pub reference_ticks: i64,
    /// Between two orders of who is slowed.
    pub slow_interval_ns: u64,
    /// The time.
    pub now_ns: u64,
}

/// How one owner stands.
struct Standing<'a> {
    limits: &'a OwnerLimits,
    figures: &'a OwnerFigures,
    totals: &'a Totals,
    /// The symbol, as the owner holds it: a client its own, all others the account's.
    cell: &'a Cell,
    /// The day's result so far, with its sign turned.
    loss: Money,
    /// The fall from the day's best result.
    fall: Money,
}

impl<'a> Standing<'a> {
    #[inline]
    fn of(state: &'a State, (owner, kind): (usize, Owner), place: Place) -> Self {
        let cell = match kind {
            Owner::Client => state.exposure.client(place.client, place.instrument),
            _ => state.exposure.account(place.account, place.instrument),
        };
        let totals = &state.exposure.totals[owner];
        let result = totals.day_result();
        Self {
            limits: &state.rules.limits[owner],
            figures: &state.rules.figures[owner],
            totals,
            cell,
            loss: Money(result.0.saturating_neg()),
            fall: totals.peak.saturating_sub(result),
        }
    }
}

/// Whose orders, and of what.
#[derive(Clone, Copy)]
pub struct Place {
    /// The client, by its position in the settings.
    pub client: u16,
    /// The account, likewise.
    pub account: u16,
    /// The instrument, likewise.
    pub instrument: u16,
}

impl Limit {
    /// What it counts for an owner, with the order: a count, nanoseconds, millionths of a tick, or `10^-18` of a unit or of
    /// the reporting currency.
    #[inline(always)]
    fn used(self, case: &Case<'_>, standing: &Standing<'_>) -> i128 {
        let (totals, added, now_ns) = (standing.totals, &case.addition, case.now_ns);
        let steps =
            |steps: i64| case.rule.step.saturating_mul(i128::from(steps.saturating_add(added.steps))).0;
        match self {
            Self::OrdersPerSecond => i128::from(totals.rate_used_until_ns) - i128::from(now_ns),
            Self::OrdersPerMinute => i128::from(totals.minute.get(now_ns, MINUTE_NS) + added.orders),
            Self::OrdersPerHour => i128::from(totals.hour.get(now_ns, HOUR_NS) + added.orders),
            Self::OrdersPerDay => i128::from(totals.day + added.orders),
            Self::OpenOrders => i128::from(u64::from(totals.open_orders) + added.orders),
            Self::Quantity => added.quantity,
            Self::Notional => added.notional.0,
            Self::PriceAge => i128::from(case.price_age_ms),
            Self::Collar => match added.side {
                Some(Side::Sell) => -(i128::from(added.price_ticks) * 1_000_000),
                _ => i128::from(added.price_ticks) * 1_000_000,
            },
            Self::DailyLoss => standing.loss.0,
            Self::Drawdown => standing.fall.0,
            Self::SlowedOrders => i128::from(totals.last_order_ns) - i128::from(now_ns),
            Self::Long => steps(standing.cell.position.saturating_add(standing.cell.buy_steps)),
            Self::Short => steps(standing.cell.sell_steps.saturating_sub(standing.cell.position)),
            Self::Gross => {
                let working = totals.buy.saturating_add(totals.sell).saturating_add(added.working_notional);
                totals.gross.saturating_add(working).0
            }
            Self::Net => {
                let long = totals.net.saturating_add(totals.buy).saturating_add(added.working_notional).0;
                let short = totals.sell.saturating_add(added.working_notional).saturating_sub(totals.net).0;
                match added.side {
                    Some(Side::Buy) => long,
                    Some(Side::Sell) => short,
                    None => long.max(short),
                }
            }
        }
    }

    /// How far that may go, in the same unit.
    #[inline(always)]
    fn allowed(self, case: &Case<'_>, standing: &Standing<'_>) -> i128 {
        let (limits, figures) = (standing.limits, standing.figures);
        match self {
            Self::OrdersPerSecond => i128::from(figures.rate_ahead_ns),
            Self::OrdersPerMinute => i128::from(limits.max_orders_per_minute),
            Self::OrdersPerHour => i128::from(limits.max_orders_per_hour),
            Self::OrdersPerDay => i128::from(limits.max_orders_per_day),
            Self::OpenOrders => i128::from(limits.max_open_orders),
            Self::Quantity => limits.max_quantity,
            Self::Notional => limits.max_notional.0,
            Self::PriceAge if case.has_price => i128::from(limits.max_price_age_ms),
            Self::PriceAge => -1,
            Self::Collar => {
                let of = |ppm: u64| i128::from(case.reference_ticks) * i128::from(ppm);
                match case.addition.side {
                    Some(Side::Sell) => -of(1_000_000_u64.saturating_sub(limits.collar_ppm)),
                    _ => of(1_000_000_u64.saturating_add(limits.collar_ppm)),
                }
            }
            // It is reached, not passed.
            Self::DailyLoss => limits.max_daily_loss.0.saturating_sub(1),
            Self::Drawdown => limits.max_drawdown.0.saturating_sub(1),
            Self::SlowedOrders => -i128::from(case.slow_interval_ns),
            Self::Long => limits.max_long,
            Self::Short => limits.max_short,
            Self::Gross => limits.max_gross.0,
            Self::Net => limits.max_net.0,
        }
    }

    /// True where the limit has something to say of the order.
    #[inline(always)]
    fn concerns(self, case: &Case<'_>, standing: &Standing<'_>) -> bool {
        let added = &case.addition;
        match self {
            Self::OrdersPerMinute | Self::OrdersPerHour | Self::OrdersPerDay | Self::OpenOrders => {
                added.orders > 0
            }
            Self::Collar => added.price_ticks != 0,
            Self::SlowedOrders => {
                standing.loss >= standing.figures.slow_loss || standing.fall >= standing.figures.slow_fall
            }
            Self::Long => added.side == Some(Side::Buy),
            Self::Short => added.side == Some(Side::Sell),
            _ => true,
        }
    }

    #[inline(always)]
    fn is_broken(self, case: &Case<'_>, standing: &Standing<'_>) -> bool {
        self.used(case, standing) > self.allowed(case, standing) && self.concerns(case, standing)
    }

    /// True where of several owners the one that allows least is named; else the first of them is.
    const fn names_the_strictest(self) -> bool {
        matches!(self.stage(), Stage::Quantity | Stage::Notional | Stage::PriceAge | Stage::Collar)
    }

    /// True for what an order that makes the position smaller is spared.
    pub const fn spares_reducing(self) -> bool {
        matches!(self.stage(), Stage::Loss | Stage::Slowed | Stage::Position | Stage::Exposure)
    }

    /// True for what is asked before the venue's own rule of prices.
    pub const fn comes_before_venue_prices(self) -> bool {
        !self.spares_reducing()
    }

    /// What an owner's settings say, as `tollgate limits` and rejections show it.
    fn stated(self, state: &State, limits: &OwnerLimits) -> Decimal {
        let count = |count: u64| Decimal::new(i64::try_from(count).unwrap_or(i64::MAX), 0);
        match self {
            Self::OrdersPerSecond => count(u64::from(limits.orders_per_second)),
            Self::SlowedOrders => count(u64::from(state.rules.slow_orders_per_second)),
            Self::OrdersPerMinute => count(limits.max_orders_per_minute),
            Self::OrdersPerHour => count(limits.max_orders_per_hour),
            Self::OrdersPerDay => count(limits.max_orders_per_day),
            Self::OpenOrders => count(u64::from(limits.max_open_orders)),
            Self::Quantity => Decimal::from_attos_lossy(limits.max_quantity),
            Self::Long => Decimal::from_attos_lossy(limits.max_long),
            Self::Short => Decimal::from_attos_lossy(limits.max_short),
            Self::Notional => limits.max_notional.to_decimal(),
            Self::DailyLoss => limits.max_daily_loss.to_decimal(),
            Self::Drawdown => limits.max_drawdown.to_decimal(),
            Self::Gross => limits.max_gross.to_decimal(),
            Self::Net => limits.max_net.to_decimal(),
            Self::PriceAge => Decimal::new(i64::from(limits.max_price_age_ms), 3),
            Self::Collar => Decimal::new(i64::try_from(limits.collar_ppm).unwrap_or(i64::MAX), 2),
        }
    }

    /// What it counts, as a decimal.
    fn shown(self, case: &Case<'_>, standing: &Standing<'_>) -> Decimal {
        let used = self.used(case, standing);
        // Of no order, only what is used of a limit counts: a long position uses nothing of what may be short.
        let used = if case.addition.side.is_none() { used.max(0) } else { used };
        let whole = |scale| Decimal::new(i64::try_from(used).unwrap_or(i64::MAX), scale);
        match self {
            Self::OrdersPerSecond | Self::SlowedOrders => Decimal::ZERO,
            Self::OrdersPerMinute | Self::OrdersPerHour | Self::OrdersPerDay | Self::OpenOrders => whole(0),
            Self::PriceAge if !case.has_price => Decimal::new(0, 3),
            Self::PriceAge => whole(3),
            Self::Collar => case.rule.instrument.price.decimal_lossy(case.addition.price_ticks),
            Self::Quantity | Self::Long | Self::Short => Decimal::from_attos_lossy(used),
            Self::Notional | Self::DailyLoss | Self::Drawdown | Self::Gross | Self::Net => {
                Money(used).to_decimal()
            }
        }
    }

    /// The bound of a collar as a price: one that the order could have.
    fn collar_price(case: &Case<'_>, standing: &Standing<'_>) -> Decimal {
        let bound = Self::Collar.allowed(case, standing);
        let ticks = match case.addition.side {
            Some(Side::Sell) => (999_999 - bound) / 1_000_000,
            _ => bound / 1_000_000,
        };
        case.rule.instrument.price.decimal_lossy(i64::try_from(ticks).unwrap_or(i64::MAX))
    }
}

/// A limit that an order breaks, and whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Which limit.
    pub limit: Limit,
    /// The owner's place in the rules.
    owner: usize,
    /// Who that is.
    kind: Owner,
}

/// The one walk over the limits of all owners: the first that the order breaks, of those that are not spared.
#[inline]
pub fn first_broken(
    state: &State,
    case: &Case<'_>,
    owners: &Owners,
    place: Place,
    spared: impl Fn(Limit) -> bool + Copy,
) -> Option<Broken> {
    let mut first: Option<Broken> = None;
    for (owner, kind) in each(owners) {
        if state.rules.figures[owner].is_free {
            continue;
        }
        let standing = Standing::of(state, (owner, kind), place);
        if let Some(limit) = first_of(case, &standing, spared) {
            first = Some(named(state, case, place, first, Broken { limit, owner, kind }));
        }
    }
    first
}

/// Of two broken limits the one that is named.
#[cold]
fn named(state: &State, case: &Case<'_>, place: Place, first: Option<Broken>, other: Broken) -> Broken {
    let Some(first) = first else { return other };
    let allowed = |it: Broken| it.limit.allowed(case, &Standing::of(state, (it.owner, it.kind), place));
    let is_earlier = other.limit.stage() < first.limit.stage();
    let is_stricter =
        other.limit == first.limit && other.limit.names_the_strictest() && allowed(other) < allowed(first);
    if is_earlier || is_stricter { other } else { first }
}

impl Broken {
    /// The rejection, with the numbers behind it.
    #[cold]
    pub fn reject(self, state: &State, case: &Case<'_>, place: Place) -> Reject {
        let standing = Standing::of(state, (self.owner, self.kind), place);
        let limit = self.limit.stated(state, standing.limits);
        let value = self.limit.shown(case, &standing);
        match self.limit {
            Limit::OrdersPerSecond | Limit::SlowedOrders => {
                Reject { limit, ..Reject::new(self.limit.code(), self.kind) }
            }
            Limit::Collar => {
                Reject::limit(self.limit.code(), self.kind, value, Limit::collar_price(case, &standing))
            }
            limited => Reject::limit(limited.code(), self.kind, value, limit),
        }
    }
}

/// A limit as it stands: whose is the strictest, what that owner allows, and how much of it is used.
pub fn strictest(
    state: &State,
    case: &Case<'_>,
    owners: &Owners,
    place: Place,
    limit: Limit,
) -> (Owner, Decimal, Decimal) {
    let mut least = ((0, Owner::Firm), i128::MAX);
    for owner in each(owners) {
        // A rate is the stricter the less it allows; how far it may run ahead says how many come at once.
        let allowed = match limit {
            Limit::OrdersPerSecond => i128::from(state.rules.limits[owner.0].orders_per_second),
            _ => limit.allowed(case, &Standing::of(state, owner, place)),
        };
        if allowed < least.1 {
            least = (owner, allowed);
        }
    }
    let standing = Standing::of(state, least.0, place);
    (least.0.1, limit.stated(state, standing.limits), limit.shown(case, &standing))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A limit of the settings that the walk does not ask for would be no limit. A new one does not compile here until it
    /// is named, and does not pass until it is in the walk.
    #[test]
    fn every_limit_of_the_settings_is_in_the_walk() {
        let OwnerLimits {
            max_quantity: _,
            max_notional: _,
            collar_ppm: _,
            max_long: _,
            max_short: _,
            max_gross: _,
            max_net: _,
            max_open_orders: _,
            max_daily_loss: _,
            max_drawdown: _,
            orders_per_second: _,
            orders_burst: _,
            max_orders_per_minute: _,
            max_orders_per_hour: _,
            max_orders_per_day: _,
            max_price_age_ms: _,
        } = OwnerLimits::NONE;
        let keys = [
            "max_quantity",
            "max_notional",
            "collar_bps",
            "max_long",
            "max_short",
            "max_gross",
            "max_net",
            "max_open_orders",
            "max_daily_loss",
            "max_drawdown",
            "orders_per_second",
            "max_orders_per_minute",
            "max_orders_per_hour",
            "max_orders_per_day",
            "max_price_age_ms",
        ];
        for key in keys {
            assert_eq!(Limit::ALL.iter().filter(|limit| limit.name() == key).count(), 1, "{key}");
        }
        // The one besides is of the whole table of risk, and no owner's.
        assert_eq!(Limit::ALL.len(), keys.len() + 1);
    }

    #[test]
    fn stages_come_in_the_order_of_the_limits() {
        assert!(Limit::ALL.is_sorted_by_key(|limit| limit.stage()));
        assert!(LISTED.iter().all(|listed| LISTED.iter().filter(|limit| *limit == listed).count() == 1));
    }
}
