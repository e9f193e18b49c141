//! Risk: whether an order that is well formed may go. Pure: reads the state, changes nothing. Each check names the
//! owner of the limit, the limit, and what the order would lead to.

use tollgate_config::SelfTradeMode;
use tollgate_protocol::command::{OrderType, Side, TradingState};
use tollgate_protocol::decimal::Decimal;
use tollgate_protocol::instrument::Instrument;
use tollgate_protocol::money::Money;
use tollgate_protocol::reject::{Code, Owner, Reject};

use super::exposure::{HOUR_NS, MINUTE_NS, Mark, Totals};
use super::limits;
use super::orders::Order;
use super::repeat;
use super::rules::{InstrumentRule, Owners, Rules, each};
use super::state::State;
use crate::record::{OrderTerms, VenueState};

/// An order under judgement: a new one, or what a replace adds to one that works.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Whose.
    pub client: u16,
    /// Its terms as they would be.
    pub terms: &'a OrderTerms,
    /// What it adds to the working quantity, in steps.
    pub added_steps: i64,
    /// Its price times its quantity.
    pub notional: Money,
    /// What it adds to the working notional.
    pub added_notional: Money,
    /// The order it replaces.
    pub replaces: Option<&'a Order>,
}

/// Every check of an entry, cheap ones first. Closes and cancels never come here.
#[inline]
pub fn check(state: &State, candidate: &Candidate<'_>, now_ns: u64) -> Result<(), Reject> {
    let terms = candidate.terms;
    let rule = &state.rules.instruments[usize::from(terms.instrument.0)];
    let owners = state.rules.owners(terms.account.0, candidate.client, terms.instrument.0);
    let mark = state.exposure.marks[usize::from(terms.instrument.0)];

    if rule.restricted {
        return Err(Reject::new(Code::SymbolNotAllowed, Owner::Firm));
    }
    venue(state, terms)?;
    if !rule.hours.is_open(now_ns) {
        return Err(Reject::new(Code::OutsideTradingHours, Owner::Symbol));
    }
    trading_state(state, candidate)?;
    reduce_only(state, candidate)?;
    if limits::keeps(state, candidate, &owners, rule, mark, now_ns) {
        let verdict = unlimited(state, candidate, now_ns);
        debug_assert_eq!(verdict, limited(state, candidate, &owners, now_ns));
        return verdict;
    }
    limited(state, candidate, &owners, now_ns)
}

/// What is left to ask of an order that keeps every limit.
#[inline]
fn unlimited(state: &State, candidate: &Candidate<'_>, now_ns: u64) -> Result<(), Reject> {
    repeated(state, candidate, now_ns)?;
    match self_trade(state, candidate) {
        // Asked last, for it seldom matters.
        Err(_) if is_reducing(state, candidate) => Ok(()),
        verdict => verdict,
    }
}

/// The same limit by limit, with a reason.
#[cold]
fn limited(state: &State, candidate: &Candidate<'_>, owners: &Owners, now_ns: u64) -> Result<(), Reject> {
    let terms = candidate.terms;
    let rule = &state.rules.instruments[usize::from(terms.instrument.0)];
    let instrument = &rule.instrument;
    let mark = state.exposure.marks[usize::from(terms.instrument.0)];
    throttle(state, owners, now_ns)?;
    repeated(state, candidate, now_ns)?;
    order_counts(state, candidate, owners, now_ns)?;
    size(&state.rules, owners, candidate, rule)?;
    price(&state.rules, owners, terms, instrument, mark, now_ns)?;
    if is_reducing(state, candidate) {
        return Ok(());
    }
    losses(state, owners)?;
    slowed(state, owners, now_ns)?;
    position(state, candidate, owners, rule)?;
    notional(state, candidate, owners)?;
    self_trade(state, candidate)
}

fn venue(state: &State, terms: &OrderTerms) -> Result<(), Reject> {
    let venue = state.rules.accounts[usize::from(terms.account.0)].venue;
    match state.venues[usize::from(venue)] {
        VenueState::Up => Ok(()),
        VenueState::Reconciling => Err(Reject::new(Code::StreamReconciling, Owner::Venue)),
        VenueState::Down => Err(Reject::new(Code::VenueDown, Owner::Venue)),
    }
}

/// True when the order makes the position smaller whatever else works, and makes no other.
#[inline]
fn is_reducing(state: &State, candidate: &Candidate<'_>) -> bool {
    let terms = candidate.terms;
    let only_smaller = |order: &Order| {
        let old = &order.terms;
        candidate.added_steps == 0
            && (old.price_ticks, old.stop_price_ticks) == (terms.price_ticks, terms.stop_price_ticks)
    };
    if terms.reduce_only || candidate.replaces.is_some_and(only_smaller) {
        return true;
    }
    let cell = state.exposure.account(terms.account.0, terms.instrument.0);
    candidate.added_steps <= cell.surely_reducing(terms.side)
        && candidate.added_steps
            <= state.exposure.client(candidate.client, terms.instrument.0).surely_reducing(terms.side)
}

#[inline]
fn trading_state(state: &State, candidate: &Candidate<'_>) -> Result<(), Reject> {
    let terms = candidate.terms;
    match state.halts.strictest(terms.account.0, terms.instrument.0) {
        (TradingState::Reducing, owner) if !is_reducing(state, candidate) => {
            Err(Reject::new(Code::TradingStateReducing, owner))
        }
        (TradingState::Active | TradingState::Reducing, _) => Ok(()),
        (TradingState::Halted, owner) => Err(Reject::new(Code::TradingHalted, owner)),
    }
}

/// A reduce-only order must fit into what the others leave of the position.
#[inline]
fn reduce_only(state: &State, candidate: &Candidate<'_>) -> Result<(), Reject> {
    let terms = candidate.terms;
    if !terms.reduce_only {
        return Ok(());
    }
    let left = state.exposure.account(terms.account.0, terms.instrument.0).reducible(terms.side);
    if candidate.added_steps <= left {
        return Ok(());
    }
    let grid = state.rules.instruments[usize::from(terms.instrument.0)].instrument.quantity;
    let (value, limit) = (grid.decimal_lossy(candidate.added_steps), grid.decimal_lossy(left));
    Err(Reject::limit(Code::ReduceOnlyWouldIncreasePosition, Owner::Account, value, limit))
}

/// Orders a second of every owner.
#[inline]
fn throttle(state: &State, owners: &Owners, now_ns: u64) -> Result<(), Reject> {
    for (owner, kind) in each(owners) {
        // GCRA: the time used up may run ahead of the clock by all but one order of the burst.
        let latest_ns = now_ns.saturating_add(state.rules.figures[owner].rate_ahead_ns);
        if state.exposure.totals[owner].rate_used_until_ns > latest_ns {
            let limit = Decimal::new(i64::from(state.rules.limits[owner].orders_per_second), 0);
            return Err(Reject { limit, ..Reject::new(Code::RateLimitExceeded, kind) });
        }
    }
    Ok(())
}

/// Slower orders for who is near a loss limit. What makes a position smaller is never slowed.
#[inline]
fn slowed(state: &State, owners: &Owners, now_ns: u64) -> Result<(), Reject> {
    for (owner, kind) in each(owners) {
        let since_ns = now_ns.saturating_sub(state.exposure.totals[owner].last_order_ns);
        if since_ns < state.rules.slow_interval_ns && is_slowed(state, owner) {
            let limit = Decimal::new(i64::from(state.rules.slow_orders_per_second), 0);
            return Err(Reject { limit, ..Reject::new(Code::RateLimitExceeded, kind) });
        }
    }
    Ok(())
}

/// True when an owner has used so much of a loss limit that its orders are slowed.
fn is_slowed(state: &State, owner: usize) -> bool {
    let figures = &state.rules.figures[owner];
    let totals = &state.exposure.totals[owner];
    let result = totals.day_result();
    Money(result.0.saturating_neg()) >= figures.slow_loss
        || totals.peak.saturating_sub(result) >= figures.slow_fall
}

/// The share of its loss limits that an owner has used, in percent.
pub fn loss_percent(state: &State, owner: usize) -> u64 {
    let limits = &state.rules.limits[owner];
    let totals = &state.exposure.totals[owner];
    let result = totals.day_result();
    let share = |used: Money, limit: Money| {
        if limit == Money::MAX || used.0 <= 0 { 0 } else { (used.0 / (limit.0 / 100).max(1)) as u64 }
    };
    share(Money(-result.0), limits.max_daily_loss)
        .max(share(totals.peak.saturating_sub(result), limits.max_drawdown))
}

#[inline]
fn repeated(state: &State, candidate: &Candidate<'_>, now_ns: u64) -> Result<(), Reject> {
    let window_ns = state.rules.repeat_window_ns;
    if window_ns == 0 || candidate.replaces.is_some() {
        return Ok(());
    }
    let since_ns = now_ns.saturating_sub(window_ns);
    if state.repeats.contains(candidate.client, repeat::content(candidate.terms), since_ns) {
        return Err(Reject::new(Code::RepeatedOrder, Owner::Client));
    }
    Ok(())
}

#[inline]
fn order_counts(
    state: &State,
    candidate: &Candidate<'_>,
    owners: &Owners,
    now_ns: u64,
) -> Result<(), Reject> {
    if candidate.replaces.is_some() {
        // It makes no order; the rate counts it.
        return Ok(());
    }
    for (owner, kind) in each(owners) {
        let limits = &state.rules.limits[owner];
        let totals = &state.exposure.totals[owner];
        let counts = [
            (totals.minute.get(now_ns, MINUTE_NS), limits.max_orders_per_minute),
            (totals.hour.get(now_ns, HOUR_NS), limits.max_orders_per_hour),
            (totals.day, limits.max_orders_per_day),
        ];
        for (count, limit) in counts {
            if count >= limit {
                return Err(count_reject(Code::OrderCountExceedsLimit, kind, count + 1, limit));
            }
        }
        if totals.open_orders >= limits.max_open_orders {
            let (count, limit) = (u64::from(totals.open_orders) + 1, u64::from(limits.max_open_orders));
            return Err(count_reject(Code::OpenOrdersExceedLimit, kind, count, limit));
        }
    }
    Ok(())
}

fn count_reject(code: Code, owner: Owner, count: u64, limit: u64) -> Reject {
    let decimal = |count| Decimal::new(i64::try_from(count).unwrap_or(i64::MAX), 0);
    Reject::limit(code, owner, decimal(count), decimal(limit))
}

/// Quantity and notional of one order.
#[inline]
fn size(
    rules: &Rules,
    owners: &Owners,
    candidate: &Candidate<'_>,
    rule: &InstrumentRule,
) -> Result<(), Reject> {
    let terms = candidate.terms;
    let (limit, owner) = rules.least(each(owners), |limits| limits.max_quantity);
    let quantity = attos(rule, terms.quantity_steps);
    if quantity > limit {
        let (value, limit) = (Decimal::from_attos_lossy(quantity), Decimal::from_attos_lossy(limit));
        return Err(Reject::limit(Code::QuantityExceedsMaximum, owner, value, limit));
    }
    let (limit, owner) = rules.least(each(owners), |limits| limits.max_notional);
    if candidate.notional > limit && !terms.reduce_only {
        let value = candidate.notional.to_decimal();
        return Err(Reject::limit(Code::NotionalExceedsMaxPerOrder, owner, value, limit.to_decimal()));
    }
    Ok(())
}

#[inline]
pub fn attos(rule: &InstrumentRule, steps: i64) -> i128 {
    rule.step.saturating_mul(i128::from(steps)).0
}

/// The price against the reference price: its age, the firm's collar, the venue's percent rule.
#[inline]
fn price(
    rules: &Rules,
    owners: &Owners,
    terms: &OrderTerms,
    instrument: &Instrument,
    mark: Mark,
    now_ns: u64,
) -> Result<(), Reject> {
    let (age_limit_ms, owner) = rules.least(each(owners), |limits| limits.max_price_age_ms);
    let age_ms = now_ns.saturating_sub(mark.observed_ns) / 1_000_000;
    if mark.bid_ticks == 0 || age_ms > u64::from(age_limit_ms) {
        if terms.reduce_only {
            return Ok(());
        }
        let age = if mark.bid_ticks == 0 { 0 } else { i64::try_from(age_ms).unwrap_or(i64::MAX) };
        let limit = Decimal::new(i64::from(age_limit_ms), 3);
        return Err(Reject::limit(Code::PriceStale, owner, Decimal::new(age, 3), limit));
    }
    if terms.price_ticks == 0 {
        return Ok(());
    }
    let reference = reference_ticks(terms, mark);
    let (collar_ppm, owner) = rules.least(each(owners), |limits| limits.collar_ppm);
    let bound = match terms.side {
        Side::Buy => scaled(reference, 1_000_000_u64.saturating_add(collar_ppm)),
        Side::Sell => scaled(reference, 1_000_000_u64.saturating_sub(collar_ppm)),
    };
    collar(
        terms,
        instrument,
        owner,
        (terms.side == Side::Sell).then_some(bound),
        (terms.side == Side::Buy).then_some(bound),
    )?;
    percent_collar(terms, instrument, mark)
}

/// What the owners' collars count from: for a stop-limit, where its limit will be when it works, which is its trigger.
#[inline]
pub fn reference_ticks(terms: &OrderTerms, mark: Mark) -> i64 {
    if terms.order_type == OrderType::StopLimit { terms.stop_price_ticks } else { mark.touch(terms.side) }
}

/// The venue's percent rule of prices.
#[inline]
pub fn percent_collar(terms: &OrderTerms, instrument: &Instrument, mark: Mark) -> Result<(), Reject> {
    let percent = &instrument.percent_collar;
    let (up, down) = match terms.side {
        Side::Buy => (percent.buy_up_ppm, percent.buy_down_ppm),
        Side::Sell => (percent.sell_up_ppm, percent.sell_down_ppm),
    };
    if terms.price_ticks == 0 || (up, down) == (0, 0) {
        return Ok(());
    }
    let side_bound = |ppm: u64| (ppm != 0).then(|| scaled(mark.touch(terms.side), ppm));
    collar(terms, instrument, Owner::Symbol, side_bound(down), side_bound(up))
}

/// `ticks × ppm / 1,000,000`, in millionths of a tick.
#[inline]
pub fn scaled(ticks: i64, ppm: u64) -> i128 {
    i128::from(ticks) * i128::from(ppm)
}

/// The price must lie between two bounds in millionths of a tick.
#[inline]
fn collar(
    terms: &OrderTerms,
    instrument: &Instrument,
    owner: Owner,
    lowest: Option<i128>,
    highest: Option<i128>,
) -> Result<(), Reject> {
    let price = i128::from(terms.price_ticks) * 1_000_000;
    let passed = lowest.filter(|lowest| price < *lowest).map(|lowest| (lowest + 999_999) / 1_000_000);
    let passed = passed.or(highest.filter(|highest| price > *highest).map(|highest| highest / 1_000_000));
    let Some(bound) = passed else { return Ok(()) };
    let shown = |ticks| instrument.price.decimal_lossy(ticks);
    let bound = i64::try_from(bound).unwrap_or(i64::MAX);
    Err(Reject::limit(Code::PriceOutsideCollar, owner, shown(terms.price_ticks), shown(bound)))
}

#[inline]
fn losses(state: &State, owners: &Owners) -> Result<(), Reject> {
    for (owner, kind) in each(owners) {
        let limits = &state.rules.limits[owner];
        let totals = &state.exposure.totals[owner];
        let result = totals.day_result();
        let loss = Money(result.0.saturating_neg());
        if limits.max_daily_loss != Money::MAX && loss >= limits.max_daily_loss {
            let limit = limits.max_daily_loss.to_decimal();
            return Err(Reject::limit(Code::DailyLossExceeded, kind, loss.to_decimal(), limit));
        }
        let fall = totals.peak.saturating_sub(result);
        if limits.max_drawdown != Money::MAX && fall >= limits.max_drawdown {
            let limit = limits.max_drawdown.to_decimal();
            return Err(Reject::limit(Code::DrawdownExceeded, kind, fall.to_decimal(), limit));
        }
    }
    Ok(())
}

/// Position and working orders of one symbol, long and short apart: as if every working order of the side filled.
#[inline]
fn position(
    state: &State,
    candidate: &Candidate<'_>,
    owners: &Owners,
    rule: &InstrumentRule,
) -> Result<(), Reject> {
    for (owner, kind) in each(owners) {
        let (held, limit) = held(state, candidate, owner, kind);
        let would_be = attos(rule, held.saturating_add(candidate.added_steps));
        if would_be > limit {
            let (value, limit) = (Decimal::from_attos_lossy(would_be), Decimal::from_attos_lossy(limit));
            return Err(Reject::limit(Code::PositionExceedsLimit, kind, value, limit));
        }
    }
    Ok(())
}

/// What an owner has of the symbol on the order's side if every working order of it fills, in steps, and its limit.
#[inline]
pub fn held(state: &State, candidate: &Candidate<'_>, owner: usize, kind: Owner) -> (i64, i128) {
    let terms = candidate.terms;
    let index = terms.instrument.0;
    let cell = match kind {
        Owner::Client => state.exposure.client(candidate.client, index),
        _ => state.exposure.account(terms.account.0, index),
    };
    let limits = &state.rules.limits[owner];
    match terms.side {
        Side::Buy => (cell.position.saturating_add(cell.buy_steps), limits.max_long),
        Side::Sell => (cell.sell_steps.saturating_sub(cell.position), limits.max_short),
    }
}

/// Gross and net notional of an owner over all symbols, with its working orders and this one.
#[inline]
pub fn exposures(candidate: &Candidate<'_>, totals: &Totals) -> [Money; 2] {
    let added = candidate.added_notional;
    let gross = totals.gross.saturating_add(totals.buy).saturating_add(totals.sell).saturating_add(added);
    let net = match candidate.terms.side {
        Side::Buy => totals.net.saturating_add(totals.buy).saturating_add(added),
        Side::Sell => totals.sell.saturating_add(added).saturating_sub(totals.net),
    };
    [gross, net]
}

/// Gross and net notional over all symbols, working orders included.
#[inline]
fn notional(state: &State, candidate: &Candidate<'_>, owners: &Owners) -> Result<(), Reject> {
    for (owner, kind) in each(owners) {
        let limits = &state.rules.limits[owner];
        let [gross, net] = exposures(candidate, &state.exposure.totals[owner]);
        if gross > limits.max_gross {
            let limit = limits.max_gross.to_decimal();
            return Err(Reject::limit(Code::ExposureExceedsLimit, kind, gross.to_decimal(), limit));
        }
        if net > limits.max_net {
            let limit = limits.max_net.to_decimal();
            return Err(Reject::limit(Code::ExposureExceedsLimit, kind, net.to_decimal(), limit));
        }
    }
    Ok(())
}

/// Refuses an order that would trade with one of its own account's, where the account wants that.
#[inline]
fn self_trade(state: &State, candidate: &Candidate<'_>) -> Result<(), Reject> {
    let terms = candidate.terms;
    let mode = state.rules.accounts[usize::from(terms.account.0)].self_trade;
    if matches!(mode, SelfTradeMode::Allow | SelfTradeMode::CancelResting) {
        return Ok(());
    }
    match crossing(state, terms).next() {
        Some(_) => Err(Reject::new(Code::SelfTrade, Owner::Account)),
        None => Ok(()),
    }
}

/// The account's own resting orders that an order would trade with.
#[inline]
pub fn crossing<'a>(state: &'a State, terms: &'a OrderTerms) -> impl Iterator<Item = &'a Order> + 'a {
    let market = terms.order_type == OrderType::Market;
    let works_at_once = matches!(terms.order_type, OrderType::Market | OrderType::Limit);
    state
        .orders
        .on_book(terms.account, terms.instrument, terms.side.opposite())
        .map(|slot| state.orders.get(slot))
        .filter(move |order| {
            let crosses = match terms.side {
                Side::Buy => terms.price_ticks >= order.terms.price_ticks,
                Side::Sell => terms.price_ticks <= order.terms.price_ticks,
            };
            works_at_once && order.terms.order_type == OrderType::Limit && (market || crosses)
        })
}
