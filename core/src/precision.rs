//! Precision: the order's numbers onto the instrument's grids, and the instrument's own rules. Integers only.

use tollgate_config::PrecisionMode;
use tollgate_protocol::command::{NewOrder, OrderType, Side, TimeInForce};
use tollgate_protocol::decimal::Decimal;
use tollgate_protocol::identity::AccountIndex;
use tollgate_protocol::instrument::{Grid, Instrument, InstrumentIndex, OffGrid};
use tollgate_protocol::money::Money;
use tollgate_protocol::reject::{Code, Owner, Reject};

use super::exposure::Mark;
use crate::record::OrderTerms;

/// Which way a number goes that lies between two multiples, when the client wants rounding.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Toward {
    Below,
    Above,
}

/// Puts a new order's numbers on the grid and checks the instrument's rules; gives its notional too.
#[inline]
pub fn check(
    order: &NewOrder,
    account: AccountIndex,
    index: InstrumentIndex,
    instrument: &Instrument,
    mark: Mark,
    mode: PrecisionMode,
) -> Result<(OrderTerms, Money), Reject> {
    check_shape(order)?;
    check_capabilities(order, instrument)?;
    let quantity_steps = quantity(order.quantity, instrument, mode)?;
    let mut terms = OrderTerms {
        account,
        instrument: index,
        side: order.side,
        order_type: order.order_type,
        time_in_force: order.time_in_force,
        reduce_only: order.reduce_only,
        quantity_steps,
        price_ticks: limit_price(order.price, order.side, instrument, mode)?,
        stop_price_ticks: stop_price(order.stop_price, order.side, instrument, mode)?,
        stop_loss_ticks: stop_price(order.stop_loss, order.side.opposite(), instrument, mode)?,
        take_profit_ticks: limit_price(order.take_profit, order.side.opposite(), instrument, mode)?,
        expire_at_ns: order.expire_at_ns,
        position_ticket: order.position_ticket,
        value_ticks: 0,
    };
    terms.value_ticks = value_ticks(&terms, mark);
    check_quantity(&terms, instrument)?;
    let notional = check_notional(&terms, instrument)?;
    Ok((terms, notional))
}

/// The price at which an order counts: its limit, its trigger, or what the market asks for now; 0 when there is none.
#[inline]
pub fn value_ticks(terms: &OrderTerms, mark: Mark) -> i64 {
    match terms.order_type {
        OrderType::Limit | OrderType::StopLimit => terms.price_ticks,
        OrderType::Stop => terms.stop_price_ticks,
        OrderType::Market => mark.touch(terms.side),
    }
}

/// The fields must fit the order's type.
#[inline]
fn check_shape(order: &NewOrder) -> Result<(), Reject> {
    let (wants_price, wants_stop) = match order.order_type {
        OrderType::Market => (false, false),
        OrderType::Limit => (true, false),
        OrderType::Stop => (false, true),
        OrderType::StopLimit => (true, true),
    };
    if order.price.is_some() != wants_price || order.stop_price.is_some() != wants_stop {
        return Err(Reject::new(Code::PriceInvalid, Owner::Symbol));
    }
    let has_end = order.time_in_force == TimeInForce::GoodTillDate;
    let post_only_without_limit =
        order.time_in_force == TimeInForce::PostOnly && order.order_type != OrderType::Limit;
    if has_end != (order.expire_at_ns != 0) || post_only_without_limit {
        return Err(Reject::new(Code::OrderInvalid, Owner::Symbol));
    }
    Ok(())
}

#[inline]
fn check_capabilities(order: &NewOrder, instrument: &Instrument) -> Result<(), Reject> {
    let can = instrument.capabilities;
    let is_stop = matches!(order.order_type, OrderType::Stop | OrderType::StopLimit);
    let has_protection = order.stop_loss.is_some() || order.take_profit.is_some();
    if (is_stop && !can.stop_orders)
        || (has_protection && !can.protection)
        || (order.position_ticket != 0 && !can.hedging)
        || (order.time_in_force == TimeInForce::GoodTillDate && !can.good_till_date)
    {
        return Err(Reject::new(Code::NotSupportedByVenue, Owner::Venue));
    }
    Ok(())
}

/// A quantity in steps; rounded down where the client wants rounding.
#[inline]
pub fn quantity(value: Decimal, instrument: &Instrument, mode: PrecisionMode) -> Result<i64, Reject> {
    let steps = on_grid(value, instrument.quantity, Toward::Below, mode, Code::QuantityNotOnStep)?;
    if steps <= 0 {
        let minimum = instrument.quantity.decimal_lossy(instrument.quantity_minimum.max(1));
        return Err(Reject::limit(Code::QuantityBelowMinimum, Owner::Symbol, value, minimum));
    }
    Ok(steps)
}

/// A limit price in ticks, rounded toward the passive side: a buy's down, a sell's up. 0 for none.
#[inline]
pub fn limit_price(
    value: Option<Decimal>,
    side: Side,
    instrument: &Instrument,
    mode: PrecisionMode,
) -> Result<i64, Reject> {
    let toward = if side == Side::Buy { Toward::Below } else { Toward::Above };
    price(value, toward, instrument, mode)
}

/// A trigger price in ticks, rounded away from the market: a buy's up, a sell's down. 0 for none.
#[inline]
pub fn stop_price(
    value: Option<Decimal>,
    side: Side,
    instrument: &Instrument,
    mode: PrecisionMode,
) -> Result<i64, Reject> {
    let toward = if side == Side::Buy { Toward::Above } else { Toward::Below };
    price(value, toward, instrument, mode)
}

#[inline]
fn price(
    value: Option<Decimal>,
    toward: Toward,
    instrument: &Instrument,
    mode: PrecisionMode,
) -> Result<i64, Reject> {
    match value {
        None => Ok(0),
        Some(value) => ticks(value, toward, instrument, mode),
    }
}

#[inline]
fn ticks(
    value: Decimal,
    toward: Toward,
    instrument: &Instrument,
    mode: PrecisionMode,
) -> Result<i64, Reject> {
    let ticks = on_grid(value, instrument.price, toward, mode, Code::PriceNotOnTick)?;
    let lowest = instrument.price_minimum.max(1);
    if ticks < lowest {
        let lowest = instrument.price.decimal_lossy(lowest);
        return Err(Reject::limit(Code::PriceBelowMinimum, Owner::Symbol, value, lowest));
    }
    if instrument.price_maximum != 0 && ticks > instrument.price_maximum {
        let highest = instrument.price.decimal_lossy(instrument.price_maximum);
        return Err(Reject::limit(Code::PriceExceedsMaximum, Owner::Symbol, value, highest));
    }
    Ok(ticks)
}

#[inline]
fn on_grid(
    value: Decimal,
    grid: Grid,
    toward: Toward,
    mode: PrecisionMode,
    code: Code,
) -> Result<i64, Reject> {
    match grid.units(value) {
        Ok(units) => Ok(units),
        Err(off) => off_grid(value, grid, off, toward, mode, code),
    }
}

#[cold]
fn off_grid(
    value: Decimal,
    grid: Grid,
    off: OffGrid,
    toward: Toward,
    mode: PrecisionMode,
    code: Code,
) -> Result<i64, Reject> {
    match (off, mode, toward) {
        (OffGrid::OutOfRange, ..) => {
            Err(Reject { value, ..Reject::new(Code::NumberOutOfRange, Owner::Symbol) })
        }
        (OffGrid::Between { below, .. }, PrecisionMode::Round, Toward::Below) => Ok(below),
        (OffGrid::Between { above, .. }, PrecisionMode::Round, Toward::Above) => Ok(above),
        (OffGrid::Between { below, above }, PrecisionMode::Reject, _) => {
            let (limit, above) = (grid.decimal_lossy(below), grid.decimal_lossy(above));
            Err(Reject { code, owner: Owner::Symbol, value, limit, above })
        }
    }
}

/// The instrument's bounds of quantity.
#[inline]
pub fn check_quantity(terms: &OrderTerms, instrument: &Instrument) -> Result<(), Reject> {
    let market = matches!(terms.order_type, OrderType::Market | OrderType::Stop);
    let steps = terms.quantity_steps;
    let lowest = if market {
        instrument.quantity_minimum.max(instrument.market_quantity_minimum)
    } else {
        instrument.quantity_minimum
    };
    let shown = |steps| instrument.quantity.decimal_lossy(steps);
    if steps < lowest {
        return Err(Reject::limit(Code::QuantityBelowMinimum, Owner::Symbol, shown(steps), shown(lowest)));
    }
    let market_maximum = if market { instrument.market_quantity_maximum } else { 0 };
    for highest in [instrument.quantity_maximum, market_maximum] {
        if highest != 0 && steps > highest {
            return Err(Reject::limit(
                Code::QuantityExceedsMaximum,
                Owner::Symbol,
                shown(steps),
                shown(highest),
            ));
        }
    }
    let multiple = instrument.market_quantity_multiple.max(1);
    if market && steps % multiple != 0 {
        let below = steps - steps % multiple;
        return Err(Reject {
            above: shown(below.saturating_add(multiple)),
            ..Reject::limit(Code::QuantityNotOnStep, Owner::Symbol, shown(steps), shown(below))
        });
    }
    Ok(())
}

/// The instrument's bounds of price times quantity, which is given back.
#[inline]
pub fn check_notional(terms: &OrderTerms, instrument: &Instrument) -> Result<Money, Reject> {
    let market = terms.order_type == OrderType::Market;
    let notional = instrument.notional(terms.value_ticks, terms.quantity_steps);
    let notional = notional.ok_or(Reject::new(Code::NumberOutOfRange, Owner::Symbol))?;
    let minimum_holds = (!market || instrument.notional_minimum_for_market)
        && !(terms.reduce_only && instrument.notional_exempts_reduce_only)
        && terms.value_ticks != 0;
    if minimum_holds && notional < instrument.notional_minimum {
        let minimum = instrument.notional_minimum.to_decimal();
        return Err(Reject::limit(Code::NotionalBelowMinimum, Owner::Symbol, notional.to_decimal(), minimum));
    }
    let maximum = instrument.notional_maximum;
    let maximum_holds = maximum != Money::ZERO && (!market || instrument.notional_maximum_for_market);
    if maximum_holds && notional > maximum {
        let value = notional.to_decimal();
        return Err(Reject::limit(
            Code::NotionalExceedsMaxPerOrder,
            Owner::Symbol,
            value,
            maximum.to_decimal(),
        ));
    }
    Ok(notional)
}
