//! What the venue takes, and in which words it refuses the rest.

use std::fmt;

use tollgate_protocol::command::{OrderType, TimeInForce};
use tollgate_protocol::instrument::{Grid, Instrument};
use tollgate_protocol::money::Money;
use tollgate_protocol::text::Remark;

use tollgate_contract::venue::VenueOrder;

/// The largest quantity of one order, in steps: sums of many orders stay within 64 bits.
const QUANTITY_STEPS_MAX: i64 = 1 << 53;

/// The venue's words for a refusal.
pub(super) fn words(text: fmt::Arguments<'_>) -> Remark {
    Remark::truncated(&text.to_string())
}

/// Refuses what this venue does not have at all.
pub(super) fn check_kind(order: &VenueOrder, instrument: &Instrument, now_ns: u64) -> Result<(), Remark> {
    if order.stop_loss_ticks != 0 || order.take_profit_ticks != 0 {
        return Err(words(format_args!("stop loss and take profit are not supported here")));
    }
    if order.position_ticket != 0 {
        return Err(words(format_args!("position tickets are not supported here: one net position")));
    }
    if order.time_in_force == TimeInForce::PostOnly && order.order_type != OrderType::Limit {
        return Err(words(format_args!("post-only needs a limit order")));
    }
    if order.time_in_force == TimeInForce::GoodTillDate && order.expire_at_ns <= now_ns {
        return Err(words(format_args!("end date {} ns is past", order.expire_at_ns)));
    }
    check_totals(order, instrument)
}

/// Refuses a quantity or prices out of bounds, or which do not fit the type.
pub(super) fn check_totals(order: &VenueOrder, instrument: &Instrument) -> Result<(), Remark> {
    let quantity_minimum = if order.reduce_only { 1 } else { instrument.quantity_minimum.max(1) };
    let steps = instrument.quantity;
    check_bounds("quantity", order.quantity_steps, quantity_minimum, instrument.quantity_maximum, steps)?;
    check_bounds("quantity", order.quantity_steps, 1, QUANTITY_STEPS_MAX, steps)?;
    let (has_limit, has_stop) = match order.order_type {
        OrderType::Market => (false, false),
        OrderType::Limit => (true, false),
        OrderType::Stop => (false, true),
        OrderType::StopLimit => (true, true),
    };
    check_price("limit price", order.price_ticks, has_limit, instrument)?;
    check_price("stop price", order.stop_price_ticks, has_stop, instrument)?;
    let worst_price_ticks = order.price_ticks.max(order.stop_price_ticks);
    if instrument.notional(worst_price_ticks, order.quantity_steps).is_none() {
        return Err(words(format_args!("price times quantity is beyond any amount of money")));
    }
    Ok(())
}

fn check_price(name: &str, ticks: i64, is_expected: bool, instrument: &Instrument) -> Result<(), Remark> {
    if is_expected {
        let (lowest, highest) = (instrument.price_minimum.max(1), instrument.price_maximum);
        return check_bounds(name, ticks, lowest, highest, instrument.price);
    }
    if ticks != 0 {
        let price = instrument.price.decimal_lossy(ticks);
        return Err(words(format_args!("{name} {price} given, the type has none")));
    }
    Ok(())
}

/// In increments of `grid`, told as the numbers that they are; `maximum` 0 is no bound.
fn check_bounds(name: &str, value: i64, minimum: i64, maximum: i64, grid: Grid) -> Result<(), Remark> {
    let shown = |increments| grid.decimal_lossy(increments);
    if value < minimum {
        return Err(words(format_args!("{name} {} is below {}", shown(value), shown(minimum))));
    }
    if maximum > 0 && value > maximum {
        return Err(words(format_args!("{name} {} is above {}", shown(value), shown(maximum))));
    }
    Ok(())
}

/// The fee of a trade: `notional × ppm / 1,000,000`, rounded up to the next 10^-18 of the currency, so that no fee
/// is too low and no rebate too high. Past the range of money it is held at the end.
pub(super) fn fee(instrument: &Instrument, price_ticks: i64, quantity_steps: i64, ppm: i64) -> Money {
    let notional = instrument.notional(price_ticks, quantity_steps).unwrap_or(Money::MAX).abs();
    let (whole, rest) = (notional.0.div_euclid(1_000_000), notional.0.rem_euclid(1_000_000));
    // Divided first, so that the product fits: |ppm| is at most a million.
    let of_rest = rest * i128::from(ppm);
    Money(whole * i128::from(ppm) + of_rest.div_euclid(1_000_000) + i128::from(of_rest % 1_000_000 != 0))
}
