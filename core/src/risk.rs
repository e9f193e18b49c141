//! Risk: whether an order that is well formed may go. Pure: reads the state, changes nothing. Each check names the
//! owner of the limit, the limit, and what the order would lead to.

use tollgate_config::SelfTradeMode;
use tollgate_protocol::command::{OrderType, Side, TradingState};
use tollgate_protocol::instrument::Instrument;
use tollgate_protocol::money::Money;
use tollgate_protocol::reject::{Code, Owner, Reject};

use super::exposure::Mark;
use super::limits::{self, Addition, Broken, Case, Limit, Place};
use super::orders::Order;
use super::repeat;
use super::rules::Owners;
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
    let place = place(candidate);
    let case = case(state, candidate, now_ns);
    let keeps_all = percent_collar(terms, &rule.instrument, mark).is_ok()
        && limits::first_broken(state, &case, &owners, place, |_| false).is_none();
    if !keeps_all {
        return explained(state, candidate, &case, &owners, now_ns);
    }
    repeated(state, candidate, now_ns)?;
    match self_trade(state, candidate) {
        // Asked last, for it seldom matters.
        Err(_) if is_reducing(state, candidate) => Ok(()),
        verdict => verdict,
    }
}

fn place(candidate: &Candidate<'_>) -> Place {
    let (account, instrument) = (candidate.terms.account.0, candidate.terms.instrument.0);
    Place { client: candidate.client, account, instrument }
}

/// An order beside what limits are compared with.
#[inline]
fn case<'a>(state: &'a State, candidate: &Candidate<'_>, now_ns: u64) -> Case<'a> {
    let terms = candidate.terms;
    let rule = &state.rules.instruments[usize::from(terms.instrument.0)];
    let mark = state.exposure.marks[usize::from(terms.instrument.0)];
    Case {
        addition: Addition {
            side: Some(terms.side),
            orders: u64::from(candidate.replaces.is_none()),
            quantity: rule.step.saturating_mul(i128::from(terms.quantity_steps)).0,
            notional: candidate.notional,
            steps: candidate.added_steps,
            working_notional: candidate.added_notional,
            price_ticks: terms.price_ticks,
        },
        rule,
        has_price: mark.bid_ticks != 0,
        price_age_ms: now_ns.saturating_sub(mark.observed_ns) / 1_000_000,
        reference_ticks: reference_ticks(terms, mark),
        slow_interval_ns: state.rules.slow_interval_ns,
        now_ns,
    }
}

/// The same for an order that breaks a limit or the venue's rule of prices, unless it is spared: the first reason why not.
#[cold]
fn explained(
    state: &State,
    candidate: &Candidate<'_>,
    case: &Case<'_>,
    owners: &Owners,
    now_ns: u64,
) -> Result<(), Reject> {
    let (terms, place) = (candidate.terms, place(candidate));
    let is_reducing = is_reducing(state, candidate);
    let first = |spared: &dyn Fn(Limit) -> bool| limits::first_broken(state, case, owners, place, spared);
    let is_stale = first(&|limit| limit != Limit::PriceAge).is_some();
    // A price that is old, or not there, holds up nothing that only closes, and is no reference for anything.
    let spares_prices = terms.reduce_only && is_stale;
    let broken = first(&|limit| match limit {
        Limit::Notional => terms.reduce_only,
        Limit::PriceAge | Limit::Collar => spares_prices,
        limit => is_reducing && limit.spares_reducing(),
    });
    let rejected = |broken: Broken| Err(broken.reject(state, case, place));
    match broken {
        Some(broken) if broken.limit == Limit::OrdersPerSecond => return rejected(broken),
        _ => repeated(state, candidate, now_ns)?,
    }
    if let Some(broken) = broken
        && broken.limit.comes_before_venue_prices()
    {
        return rejected(broken);
    }
    if !spares_prices {
        let mark = state.exposure.marks[usize::from(terms.instrument.0)];
        percent_collar(terms, &case.rule.instrument, mark)?;
    }
    match broken {
        Some(broken) => rejected(broken),
        None if is_reducing => Ok(()),
        None => self_trade(state, candidate),
    }
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

/// What the owners' collars count from: for a stop-limit, where its limit will be when it works, which is its trigger.
#[inline]
fn reference_ticks(terms: &OrderTerms, mark: Mark) -> i64 {
    if terms.order_type == OrderType::StopLimit { terms.stop_price_ticks } else { mark.touch(terms.side) }
}

/// The venue's percent rule of prices.
#[inline]
fn percent_collar(terms: &OrderTerms, instrument: &Instrument, mark: Mark) -> Result<(), Reject> {
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
fn scaled(ticks: i64, ppm: u64) -> i128 {
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
