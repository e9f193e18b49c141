//! Whether an order keeps every limit of its owners, which nearly every order does: one question, without a reason for
//! the answer. Where it is no, [`super::risk`] asks again, limit by limit, and says which.

use tollgate_protocol::command::Side;
use tollgate_protocol::money::Money;
use tollgate_protocol::reject::Owner;

use super::exposure::{HOUR_NS, MINUTE_NS, Mark, Totals};
use super::risk::{self, Candidate};
use super::rules::{InstrumentRule, Owners, each};
use super::state::State;
use crate::record::OrderTerms;

/// An order beside what limits are compared with, worked out once for all owners.
struct Measured<'a> {
    candidate: &'a Candidate<'a>,
    rule: &'a InstrumentRule,
    /// In `10^-18` of the unit.
    quantity: i128,
    /// Age of the reference price.
    price_age_ms: u64,
    /// What the price is compared with, in ticks.
    reference_ticks: i64,
    now_ns: u64,
}

/// True when none of the owners has a limit that refuses the order, and the instrument has no rule of prices that does.
#[inline]
pub fn keeps(
    state: &State,
    candidate: &Candidate<'_>,
    owners: &Owners,
    rule: &InstrumentRule,
    mark: Mark,
    now_ns: u64,
) -> bool {
    let terms = candidate.terms;
    let measured = Measured {
        candidate,
        rule,
        quantity: risk::attos(rule, terms.quantity_steps),
        price_age_ms: now_ns.saturating_sub(mark.observed_ns) / 1_000_000,
        reference_ticks: risk::reference_ticks(terms, mark),
        now_ns,
    };
    mark.bid_ticks != 0
        && risk::percent_collar(terms, &rule.instrument, mark).is_ok()
        && each(owners).all(|(owner, kind)| keeps_one(state, &measured, owner, kind))
}

#[inline]
fn keeps_one(state: &State, measured: &Measured<'_>, owner: usize, kind: Owner) -> bool {
    let rules = &state.rules;
    if rules.figures[owner].is_free {
        return true;
    }
    let totals = &state.exposure.totals[owner];
    keeps_pace(state, measured, owner, totals)
        && keeps_size(state, measured, owner)
        && keeps_losses(state, measured, owner, totals)
        && keeps_position(state, measured, owner, kind)
        && keeps_exposure(state, measured, owner, totals)
}

/// Orders of a second, a minute, an hour and a day, and open ones.
#[inline]
fn keeps_pace(state: &State, measured: &Measured<'_>, owner: usize, totals: &Totals) -> bool {
    let (limits, now_ns) = (&state.rules.limits[owner], measured.now_ns);
    let latest_ns = now_ns.saturating_add(state.rules.figures[owner].rate_ahead_ns);
    // A replace makes no order; the rate counts it.
    let makes_none = measured.candidate.replaces.is_some();
    totals.rate_used_until_ns <= latest_ns
        && (makes_none
            || totals.minute.get(now_ns, MINUTE_NS) < limits.max_orders_per_minute
                && totals.hour.get(now_ns, HOUR_NS) < limits.max_orders_per_hour
                && totals.day < limits.max_orders_per_day
                && totals.open_orders < limits.max_open_orders)
}

/// Quantity, notional and price of the one order.
#[inline]
fn keeps_size(state: &State, measured: &Measured<'_>, owner: usize) -> bool {
    let limits = &state.rules.limits[owner];
    measured.quantity <= limits.max_quantity
        && measured.candidate.notional <= limits.max_notional
        && measured.price_age_ms <= u64::from(limits.max_price_age_ms)
        && keeps_collar(measured.candidate.terms, measured.reference_ticks, limits.collar_ppm)
}

#[inline]
fn keeps_collar(terms: &OrderTerms, reference_ticks: i64, collar_ppm: u64) -> bool {
    let price = risk::scaled(terms.price_ticks, 1_000_000);
    match terms.side {
        _ if terms.price_ticks == 0 => true,
        Side::Buy => price <= risk::scaled(reference_ticks, 1_000_000_u64.saturating_add(collar_ppm)),
        Side::Sell => price >= risk::scaled(reference_ticks, 1_000_000_u64.saturating_sub(collar_ppm)),
    }
}

/// Loss of the day and fall from its best, and the slower pace of who is near either.
#[inline]
fn keeps_losses(state: &State, measured: &Measured<'_>, owner: usize, totals: &Totals) -> bool {
    let (limits, figures) = (&state.rules.limits[owner], &state.rules.figures[owner]);
    let result = totals.day_result();
    let (loss, fall) = (Money(result.0.saturating_neg()), totals.peak.saturating_sub(result));
    let paced = measured.now_ns.saturating_sub(totals.last_order_ns) >= state.rules.slow_interval_ns;
    loss < limits.max_daily_loss
        && fall < limits.max_drawdown
        && (paced || loss < figures.slow_loss && fall < figures.slow_fall)
}

/// Quantity of the symbol, held and working.
#[inline]
fn keeps_position(state: &State, measured: &Measured<'_>, owner: usize, kind: Owner) -> bool {
    let (held, limit) = risk::held(state, measured.candidate, owner, kind);
    risk::attos(measured.rule, held.saturating_add(measured.candidate.added_steps)) <= limit
}

/// Notional over all symbols, held and working.
#[inline]
fn keeps_exposure(state: &State, measured: &Measured<'_>, owner: usize, totals: &Totals) -> bool {
    let limits = &state.rules.limits[owner];
    let [gross, net] = risk::exposures(measured.candidate, totals);
    gross <= limits.max_gross && net <= limits.max_net
}
