//! The decision on a command: what it leads to, or why not. Pure: the same state, command, key and time give the same
//! decision, which is what makes a journal replayable.

use tollgate_config::{PositionMode, PrecisionMode};
use tollgate_protocol::answer::OrderStatus;
use tollgate_protocol::command::{
    Action, Close, Command, HaltScope, NewOrder, OrderType, Replace, Scope, Side, Target, TimeInForce,
    TradingState,
};
use tollgate_protocol::decimal::Decimal;
use tollgate_protocol::identity::AccountIndex;
use tollgate_protocol::instrument::InstrumentIndex;
use tollgate_protocol::reject::{Code, Owner, Reject};
use tollgate_protocol::text::Symbol;

use super::halts::HaltPlace;
use super::orders::{Order, Totals};
use super::precision;
use super::risk::{self, Candidate};
use super::state::State;
use crate::link::Grant;
use crate::mutation::{self, Mutation};
use crate::record::{Effect, OrderTerms, VenueState};

/// Who asks.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The client.
    pub client: u16,
    /// What its key may do.
    pub grant: &'a Grant,
}

/// Decides on a command that has passed deduplication. Queries and heartbeats never come here.
#[inline]
pub fn judge(state: &State, asker: Asker<'_>, command: &Command, now_ns: u64) -> Result<Effect, Reject> {
    decide(state, asker, command, named(state, asker.client, command), now_ns)
}

/// The instrument that a command is about, as far as one can tell before it is judged.
#[inline]
pub fn named(state: &State, client: u16, command: &Command) -> Option<u16> {
    match &command.action {
        Action::New(order) => state.rules.find_symbol(&order.symbol),
        Action::Close(close) => state.rules.find_symbol(&close.symbol),
        Action::Replace(replace) => {
            let slot = match replace.target {
                Target::Order(order_id) => state.orders.find(order_id),
                Target::Command(command_id) => state.orders.find_command(client, command_id),
            };
            slot.map(|slot| state.orders.get(slot).terms.instrument.0)
        }
        _ => None,
    }
}

/// The same with the instrument that [`named`] gives.
#[inline]
pub fn decide(
    state: &State,
    asker: Asker<'_>,
    command: &Command,
    named: Option<u16>,
    now_ns: u64,
) -> Result<Effect, Reject> {
    scope(asker.grant, &command.action)?;
    on_time(state, command, now_ns)?;
    match &command.action {
        Action::New(order) => new(state, asker, command, order, named, now_ns),
        Action::Cancel(target) => cancel(state, asker, *target),
        Action::Replace(replace) => self::replace(state, asker, replace, now_ns),
        Action::Close(close) => self::close(state, asker, command, close),
        Action::CancelAll(scope) => cancel_all(state, asker, command, *scope),
        Action::CloseAll(scope) => close_all(state, asker, command, *scope),
        Action::Halt(halt) => {
            if halt.state == TradingState::Active {
                return Err(Reject::new(Code::HaltInvalid, Owner::Gateway));
            }
            halt_sweep(state, halt.scope)
        }
        Action::Resume(resume) => {
            let place = place(state, resume.scope)?;
            if state.halts.get(place) == TradingState::Active {
                return Err(Reject::new(Code::HaltNone, Owner::Gateway));
            }
            halt_sweep(state, resume.scope)
        }
        Action::Query(_) | Action::Heartbeat => Err(Reject::new(Code::OrderInvalid, Owner::Gateway)),
    }
}

/// The key's scopes.
#[inline]
pub fn scope(grant: &Grant, action: &Action) -> Result<(), Reject> {
    let allowed = match action {
        Action::New(_) | Action::Replace(_) => grant.trade,
        Action::Close(_) | Action::CloseAll(_) => grant.trade || grant.operate,
        Action::Cancel(_) | Action::CancelAll(_) => grant.trade || grant.cancel || grant.operate,
        Action::Halt(_) | Action::Resume(_) => grant.operate,
        Action::Query(_) => grant.read || grant.trade || grant.operate,
        Action::Heartbeat => true,
    };
    if allowed { Ok(()) } else { Err(Reject::new(Code::ScopeNotAllowed, Owner::Client)) }
}

/// Deadline, and clocks that differ too much. Neither stops a cancel, a close or a halt that reached us.
#[inline]
fn on_time(state: &State, command: &Command, now_ns: u64) -> Result<(), Reject> {
    let seconds =
        |nanoseconds: u64| Decimal::new(i64::try_from(nanoseconds / 1_000_000).unwrap_or(i64::MAX), 3);
    let ahead_ns = command.created_at_ns.saturating_sub(now_ns);
    let opens = matches!(command.action, Action::New(_) | Action::Replace(_));
    if opens && ahead_ns > state.rules.clock_difference_ns {
        let limit = seconds(state.rules.clock_difference_ns);
        return Err(Reject::limit(Code::CommandFromFuture, Owner::Gateway, seconds(ahead_ns), limit));
    }
    let entry = matches!(command.action, Action::New(_) | Action::Replace(_) | Action::Resume(_));
    if entry && command.deadline_ns != 0 && now_ns > command.deadline_ns {
        let late = seconds(now_ns - command.deadline_ns);
        return Err(Reject::limit(Code::CommandExpired, Owner::Client, late, Decimal::ZERO));
    }
    Ok(())
}

/// The account that a command names, or the only one of its key.
#[inline]
pub fn account(state: &State, asker: Asker<'_>, command: &Command) -> Result<AccountIndex, Reject> {
    let allowed = asker.grant.accounts;
    if command.account.is_empty() {
        return match allowed.count_ones() {
            1 => Ok(AccountIndex(allowed.trailing_zeros() as u16)),
            _ => Err(Reject::new(Code::AccountMissing, Owner::Client)),
        };
    }
    match state.rules.find_account(&command.account) {
        Some(index) if allowed >> index & 1 == 1 => Ok(AccountIndex(index)),
        _ => Err(Reject::new(Code::AccountNotAllowed, Owner::Client)),
    }
}

/// The instrument that a command names, if the key may trade it.
#[inline]
pub fn instrument(state: &State, asker: Asker<'_>, symbol: &Symbol) -> Result<InstrumentIndex, Reject> {
    tradable(state, asker, state.rules.find_symbol(symbol))
}

/// The same for one that was looked for.
#[inline]
fn tradable(state: &State, asker: Asker<'_>, index: Option<u16>) -> Result<InstrumentIndex, Reject> {
    let index = index.ok_or(Reject::new(Code::SymbolUnknown, Owner::Gateway))?;
    if !may_trade(state, asker, index) {
        return Err(Reject::new(Code::SymbolNotAllowed, Owner::Client));
    }
    Ok(InstrumentIndex(index))
}

/// True when both the client and its key may trade the instrument.
#[inline]
pub fn may_trade(state: &State, asker: Asker<'_>, instrument: u16) -> bool {
    state.rules.clients[usize::from(asker.client)].symbols.contains(instrument)
        && asker.grant.names(instrument)
}

fn same_venue(state: &State, account: AccountIndex, instrument: InstrumentIndex) -> Result<(), Reject> {
    let account = &state.rules.accounts[usize::from(account.0)];
    if account.venue == state.rules.instruments[usize::from(instrument.0)].instrument.venue {
        return Ok(());
    }
    Err(Reject::new(Code::SymbolNotAllowed, Owner::Account))
}

#[inline]
fn new(
    state: &State,
    asker: Asker<'_>,
    command: &Command,
    order: &NewOrder,
    named: Option<u16>,
    now_ns: u64,
) -> Result<Effect, Reject> {
    let account = account(state, asker, command)?;
    let index = tradable(state, asker, named)?;
    same_venue(state, account, index)?;
    let instrument = &state.rules.instruments[usize::from(index.0)].instrument;
    let mark = state.exposure.marks[usize::from(index.0)];
    let mode = state.rules.clients[usize::from(asker.client)].precision;
    let (terms, notional) = precision::check(order, account, index, instrument, mark, mode)?;
    if order.expire_at_ns != 0 && order.expire_at_ns <= now_ns {
        return Err(Reject::new(Code::OrderInvalid, Owner::Client));
    }
    if order.position_ticket != 0
        && state.rules.accounts[usize::from(account.0)].position_mode == PositionMode::Netting
    {
        return Err(Reject::new(Code::OrderInvalid, Owner::Account));
    }
    let candidate = Candidate {
        client: asker.client,
        terms: &terms,
        added_steps: terms.quantity_steps,
        notional,
        added_notional: notional,
        replaces: None,
    };
    risk::check(state, &candidate, now_ns)?;
    if !state.orders.has_room(state.rules.orders_reserved) {
        return Err(Reject::new(Code::OrderTableFull, Owner::Gateway));
    }
    Ok(Effect::Order(terms))
}

/// The open order that is meant. An operator may mean anybody's.
#[inline]
fn target<'a>(state: &'a State, asker: Asker<'_>, target: Target) -> Result<&'a Order, Reject> {
    let slot = match target {
        Target::Order(order_id) => state.orders.find(order_id),
        Target::Command(command_id) => state.orders.find_command(asker.client, command_id),
    };
    let order = slot.map(|slot| state.orders.get(slot));
    let order = order.filter(|order| may_see(state, asker, order));
    let order = order.ok_or(Reject::new(Code::OrderUnknown, Owner::Client))?;
    if order.status.is_final() {
        return Err(Reject::new(Code::OrderFinal, Owner::Gateway));
    }
    Ok(order)
}

/// True when the order is the client's own, or the key operates, on an account and a symbol of the key.
#[inline]
pub fn may_see(state: &State, asker: Asker<'_>, order: &Order) -> bool {
    let own = order.client == asker.client || asker.grant.operate;
    let account = asker.grant.accounts >> order.terms.account.0 & 1 == 1;
    own && account && (asker.grant.operate || may_trade(state, asker, order.terms.instrument.0))
}

#[inline]
fn cancel(state: &State, asker: Asker<'_>, which: Target) -> Result<Effect, Reject> {
    let order = target(state, asker, which)?;
    if mutation::is(Mutation::HaltStopsCancels)
        && state.halts.account(order.terms.account.0) == TradingState::Halted
    {
        return Err(Reject::new(Code::TradingHalted, Owner::Account));
    }
    Ok(Effect::Cancel(order.order_id))
}

fn replace(state: &State, asker: Asker<'_>, replace: &Replace, now_ns: u64) -> Result<Effect, Reject> {
    let order = target(state, asker, replace.target)?;
    if order.cancel_pending || order.replace_pending.is_some() {
        return Err(Reject::new(Code::OrderPending, Owner::Gateway));
    }
    if order.status == OrderStatus::Unknown {
        return Err(Reject::new(Code::OrderUnknownAtVenue, Owner::Venue));
    }
    let totals = replaced_totals(state, asker, replace, order)?;
    let old = &order.terms;
    let terms = OrderTerms {
        quantity_steps: totals.quantity_steps,
        price_ticks: totals.price_ticks,
        stop_price_ticks: totals.stop_price_ticks,
        value_ticks: old.value_after(totals),
        ..*old
    };
    let instrument = &state.rules.instruments[usize::from(old.instrument.0)].instrument;
    precision::check_quantity(&terms, instrument)?;
    let notional = precision::check_notional(&terms, instrument)?;
    let open = totals.quantity_steps - order.filled_steps;
    let range = || Reject::new(Code::NumberOutOfRange, Owner::Symbol);
    let after = instrument.notional(terms.value_ticks.max(old.value_ticks), open.max(order.open_steps()));
    let before = instrument.notional(old.value_ticks, order.open_steps());
    let candidate = Candidate {
        client: order.client,
        terms: &terms,
        added_steps: (open - order.open_steps()).max(0),
        notional,
        added_notional: after
            .zip(before)
            .and_then(|(after, before)| after.checked_sub(before))
            .ok_or_else(range)?,
        replaces: Some(order),
    };
    risk::check(state, &candidate, now_ns)?;
    let Totals { quantity_steps, price_ticks, stop_price_ticks } = totals;
    Ok(Effect::Replace { order_id: order.order_id, quantity_steps, price_ticks, stop_price_ticks })
}

fn replaced_totals(
    state: &State,
    asker: Asker<'_>,
    replace: &Replace,
    order: &Order,
) -> Result<Totals, Reject> {
    let old = &order.terms;
    let instrument = &state.rules.instruments[usize::from(old.instrument.0)].instrument;
    let mode = state.rules.clients[usize::from(asker.client)].precision;
    let invalid = Reject::new(Code::ReplaceInvalid, Owner::Client);
    if (replace.price.is_some() && old.price_ticks == 0)
        || (replace.stop_price.is_some() && old.stop_price_ticks == 0)
    {
        return Err(invalid);
    }
    let quantity_steps = match replace.quantity {
        Some(quantity) => precision::quantity(quantity, instrument, mode)?,
        None => old.quantity_steps,
    };
    if quantity_steps <= order.filled_steps {
        let shown = |steps| instrument.quantity.decimal_lossy(steps);
        return Err(Reject::limit(
            Code::ReplaceInvalid,
            Owner::Client,
            shown(quantity_steps),
            shown(order.filled_steps),
        ));
    }
    let or_old = |ticks: i64, old: i64| if ticks == 0 { old } else { ticks };
    let totals = Totals {
        quantity_steps,
        price_ticks: or_old(
            precision::limit_price(replace.price, old.side, instrument, mode)?,
            old.price_ticks,
        ),
        stop_price_ticks: or_old(
            precision::stop_price(replace.stop_price, old.side, instrument, mode)?,
            old.stop_price_ticks,
        ),
    };
    let unchanged = Totals {
        quantity_steps: old.quantity_steps,
        price_ticks: old.price_ticks,
        stop_price_ticks: old.stop_price_ticks,
    };
    if totals == unchanged { Err(invalid) } else { Ok(totals) }
}

/// A close passes every check but those that make it impossible: nothing to close, no venue, no room at all.
fn close(state: &State, asker: Asker<'_>, command: &Command, close: &Close) -> Result<Effect, Reject> {
    let account = account(state, asker, command)?;
    let index = instrument(state, asker, &close.symbol)?;
    reachable(state, account)?;
    let terms =
        closing_terms(state, account, index).ok_or(Reject::new(Code::PositionNone, Owner::Account))?;
    let instrument = &state.rules.instruments[usize::from(index.0)].instrument;
    let quantity_steps = match close.quantity {
        // Rounding down keeps a close inside its position, so it is never refused for its grid.
        Some(quantity) => {
            precision::quantity(quantity, instrument, PrecisionMode::Round)?.min(terms.quantity_steps)
        }
        None => terms.quantity_steps,
    };
    Ok(Effect::Order(OrderTerms { quantity_steps, position_ticket: close.position_ticket, ..terms }))
}

/// A venue that is down cannot close anything; said at once, the client can do something about it.
fn reachable(state: &State, account: AccountIndex) -> Result<(), Reject> {
    let venue = state.rules.accounts[usize::from(account.0)].venue;
    if state.venues[usize::from(venue)] == VenueState::Down {
        return Err(Reject::new(Code::VenueDown, Owner::Venue));
    }
    if !state.orders.has_room(0) {
        return Err(Reject::new(Code::OrderTableFull, Owner::Gateway));
    }
    Ok(())
}

/// The order that closes what is left of a position beside the closes that work already: as much of it as the
/// instrument takes in one market order.
pub fn closing_terms(
    state: &State,
    account: AccountIndex,
    instrument: InstrumentIndex,
) -> Option<OrderTerms> {
    let cell = state.exposure.account(account.0, instrument.0);
    let side = if cell.position > 0 { Side::Sell } else { Side::Buy };
    let rules = &state.rules.instruments[usize::from(instrument.0)].instrument;
    let largest =
        [rules.quantity_maximum, rules.market_quantity_maximum].into_iter().filter(|steps| *steps != 0).min();
    let quantity_steps = cell.closable().min(largest.unwrap_or(i64::MAX));
    let mark = state.exposure.marks[usize::from(instrument.0)];
    (quantity_steps > 0).then_some(OrderTerms {
        account,
        instrument,
        side,
        order_type: OrderType::Market,
        time_in_force: TimeInForce::ImmediateOrCancel,
        reduce_only: true,
        quantity_steps,
        price_ticks: 0,
        stop_price_ticks: 0,
        stop_loss_ticks: 0,
        take_profit_ticks: 0,
        expire_at_ns: 0,
        position_ticket: 0,
        value_ticks: mark.touch(side),
    })
}

fn optional_instrument(
    state: &State,
    asker: Asker<'_>,
    scope: Scope,
) -> Result<Option<InstrumentIndex>, Reject> {
    scope.symbol.map(|symbol| instrument(state, asker, &symbol)).transpose()
}

fn cancel_all(state: &State, asker: Asker<'_>, command: &Command, scope: Scope) -> Result<Effect, Reject> {
    // Without a name, every account of the client; a key that has not all of them must say which it means.
    let whole = state.rules.clients[usize::from(asker.client)].accounts;
    let every =
        command.account.is_empty() && asker.grant.accounts & whole == whole && whole.count_ones() != 1;
    let account = if every { None } else { Some(account(state, asker, command)?) };
    let client = (!asker.grant.operate).then_some(asker.client);
    let instrument = optional_instrument(state, asker, scope)?;
    Ok(Effect::Sweep { account, instrument, client, keep_good_till_cancel: false })
}

fn close_all(state: &State, asker: Asker<'_>, command: &Command, scope: Scope) -> Result<Effect, Reject> {
    let account = account(state, asker, command)?;
    if scope.symbol.is_none() && asker.grant.symbols_restricted {
        return Err(Reject::new(Code::SymbolNotAllowed, Owner::Client));
    }
    let instrument = optional_instrument(state, asker, scope)?;
    reachable(state, account)?;
    Ok(Effect::Sweep { account: Some(account), instrument, client: None, keep_good_till_cancel: true })
}

fn place(state: &State, scope: HaltScope) -> Result<HaltPlace, Reject> {
    state.place(scope).ok_or(match scope {
        HaltScope::Account(_) => Reject::new(Code::AccountNotAllowed, Owner::Gateway),
        _ => Reject::new(Code::SymbolUnknown, Owner::Gateway),
    })
}

fn halt_sweep(state: &State, scope: HaltScope) -> Result<Effect, Reject> {
    let (account, instrument) = match place(state, scope)? {
        HaltPlace::Whole => (None, None),
        HaltPlace::Account(account) => (Some(AccountIndex(account)), None),
        HaltPlace::Symbol(symbol) => (None, Some(InstrumentIndex(symbol))),
    };
    Ok(Effect::Sweep { account, instrument, client: None, keep_good_till_cancel: false })
}

/// The positions that a close-all, or a halt that flattens, reaches: `(account, instrument)`, one after another from
/// `from` on. Returns where to go on.
pub fn next_to_close(
    state: &State,
    effect: &Effect,
    mut from: usize,
) -> Option<(AccountIndex, InstrumentIndex, usize)> {
    let Effect::Sweep { account, instrument, .. } = effect else { return None };
    let accounts = state.rules.accounts.len();
    while from < accounts * state.rules.instruments.len() {
        let (at_account, at_instrument) = ((from % accounts) as u16, (from / accounts) as u16);
        from += 1;
        let wanted = account.is_none_or(|account| account.0 == at_account)
            && instrument.is_none_or(|instrument| instrument.0 == at_instrument);
        if wanted && state.exposure.account(at_account, at_instrument).position != 0 {
            return Some((AccountIndex(at_account), InstrumentIndex(at_instrument), from));
        }
    }
    None
}
