//! What a trader of the demonstration knows of an instrument.

use tollgate_protocol::answer::InstrumentState;
use tollgate_protocol::command::{NewOrder, OrderType, Side, TimeInForce};
use tollgate_protocol::instrument::Grid;
use tollgate_protocol::{Decimal, Symbol};

/// Grids and last prices, from the answer to a query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Market {
    pub(crate) symbol: Symbol,
    tick: Grid,
    step: Grid,
    minimum_steps: i64,
    pub(crate) bid_ticks: i64,
    pub(crate) ask_ticks: i64,
}

impl Market {
    /// `None` before the first price.
    pub(crate) fn new(state: &InstrumentState) -> Option<Self> {
        let (tick, step) = (Grid::new(state.tick)?, Grid::new(state.step)?);
        let (bid_ticks, ask_ticks) = (tick.units(state.bid).ok()?, tick.units(state.ask).ok()?);
        let minimum_steps = step.units(state.quantity_minimum).ok()?.max(1);
        let market = Self { symbol: state.symbol, tick, step, minimum_steps, bid_ticks, ask_ticks };
        // The smallest notional too must be reached: its price is near the bid.
        let notional = state.notional_minimum.to_attos()?;
        let a_step_costs = state.step.to_attos()?.checked_mul(i128::from(bid_ticks))?;
        let enough = match tick.increment().to_attos()? / 1_000_000_000 * (a_step_costs / 1_000_000_000) {
            0 => 1,
            cost => i64::try_from(notional / cost + 1).ok()?,
        };
        (bid_ticks > 0 && ask_ticks > 0)
            .then_some(Self { minimum_steps: minimum_steps.max(enough * 2), ..market })
    }

    pub(crate) fn price(&self, ticks: i64) -> Decimal {
        self.tick.decimal_lossy(ticks.max(1))
    }

    /// A price between two ticks.
    pub(crate) fn price_off_tick(&self, ticks: i64) -> Decimal {
        between(self.price(ticks))
    }

    /// `lots` times the smallest sensible quantity.
    pub(crate) fn quantity(&self, lots: i64) -> Decimal {
        self.step.decimal_lossy(self.minimum_steps * lots)
    }

    /// A quantity between two steps.
    pub(crate) fn quantity_off_step(&self) -> Decimal {
        between(self.quantity(1))
    }

    /// A market order.
    pub(crate) fn order(&self, side: Side, lots: i64) -> NewOrder {
        NewOrder {
            symbol: self.symbol,
            side,
            order_type: OrderType::Market,
            quantity: self.quantity(lots),
            price: None,
            stop_price: None,
            time_in_force: TimeInForce::ImmediateOrCancel,
            expire_at_ns: 0,
            reduce_only: false,
            position_ticket: 0,
            stop_loss: None,
            take_profit: None,
        }
    }

    /// A limit order, `away_ticks` from the best price of its own side; below 0 it reaches across.
    pub(crate) fn limit(&self, side: Side, lots: i64, away_ticks: i64) -> NewOrder {
        NewOrder {
            order_type: OrderType::Limit,
            price: Some(self.price(self.near_ticks(side) - side.sign() * away_ticks)),
            time_in_force: TimeInForce::GoodTillCancel,
            ..self.order(side, lots)
        }
    }

    /// A stop order, `away_ticks` beyond the price that it would trade at now.
    pub(crate) fn stop(&self, side: Side, lots: i64, away_ticks: i64) -> NewOrder {
        NewOrder {
            order_type: OrderType::Stop,
            stop_price: Some(self.price(self.near_ticks(side.opposite()) + side.sign() * away_ticks)),
            time_in_force: TimeInForce::GoodTillCancel,
            ..self.order(side, lots)
        }
    }

    pub(crate) fn near_ticks(&self, side: Side) -> i64 {
        match side {
            Side::Buy => self.bid_ticks,
            Side::Sell => self.ask_ticks,
        }
    }

    /// One part in so many of the price, in ticks.
    pub(crate) fn part_ticks(&self, parts: i64) -> i64 {
        (self.bid_ticks / parts).max(2)
    }
}

/// Half an increment more: between two multiples, whatever the increment is.
fn between(value: Decimal) -> Decimal {
    Decimal::new(value.mantissa.saturating_mul(10).saturating_add(5), value.scale + 1)
}
