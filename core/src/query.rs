//! Answers to queries: rows from the state, then an end. Nothing is journaled.

use tollgate_protocol::answer::{
    AccountState, AnswerBody, InstrumentState, LimitState, OrderState, PositionState,
};
use tollgate_protocol::command::{Command, Query, Scope, Target};
use tollgate_protocol::decimal::Decimal;
use tollgate_protocol::identity::{AccountIndex, CommandId};
use tollgate_protocol::instrument::InstrumentIndex;
use tollgate_protocol::money::Money;
use tollgate_protocol::reject::{Code, Owner, Reject};
use tollgate_protocol::text::Text;

use super::core::Core;
use super::judge::{self, Asker};
use super::limits::{self, Addition, Case, LISTED, Place};
use super::orders::Order;
use super::progress::Progress;
use super::sessions::Sessions;
use super::state::State;
use super::world::World;

/// Rows on their way to one session.
struct Rows<'a, W: World> {
    sessions: &'a mut Sessions<W>,
    slot: u16,
    command_id: CommandId,
    progress: Progress,
}

impl<W: World> Rows<'_, W> {
    fn push(&mut self, body: AnswerBody) {
        self.sessions.answer(self.slot, self.command_id, body);
        self.progress.rows += 1;
    }

    /// The places from where it goes on to `end`, as long as the session has room; true when all are done.
    fn each(&mut self, end: usize, mut row: impl FnMut(&mut Self, usize)) -> bool {
        while self.progress.next < end {
            if !self.sessions.get(self.slot).is_some_and(|session| session.has_room_for_rows()) {
                return false;
            }
            row(self, self.progress.next);
            self.progress.next += 1;
        }
        true
    }
}

/// Answers a query as far as the session has room, from `progress` on. Returns where to go on, `None` when it is
/// answered.
pub fn answer<W: World>(
    core: &Core<W>,
    sessions: &mut Sessions<W>,
    slot: u16,
    asker: Asker<'_>,
    command: &Command,
    query: &Query,
    progress: Progress,
) -> Result<Option<Progress>, Reject> {
    judge::scope(asker.grant, &command.action)?;
    let mut rows = Rows { sessions, slot, command_id: command.command_id, progress };
    let done = match query {
        Query::Order(target) => order(core, asker, *target, &mut rows).map(|()| true)?,
        Query::OpenOrders(scope) => open_orders(core, asker, command, *scope, &mut rows)?,
        Query::Positions(scope) => positions(core, asker, command, *scope, &mut rows)?,
        Query::Account => {
            account(core, judge::account(&core.state, asker, command)?, &mut rows);
            true
        }
        Query::Limits(scope) => {
            limit_rows(core, asker, judge::account(&core.state, asker, command)?, *scope, &mut rows)?
        }
        Query::Instruments(scope) => instruments(core, asker, *scope, &mut rows)?,
    };
    if !done {
        return Ok(Some(rows.progress));
    }
    let end = AnswerBody::End { rows: rows.progress.rows };
    rows.sessions.answer(slot, command.command_id, end);
    Ok(None)
}

fn order<W: World>(
    core: &Core<W>,
    asker: Asker<'_>,
    target: Target,
    rows: &mut Rows<'_, W>,
) -> Result<(), Reject> {
    let slot = match target {
        Target::Order(order_id) => core.state.orders.find(order_id),
        Target::Command(command_id) => core.state.orders.find_command(asker.client, command_id),
    };
    let order = slot.map(|slot| core.state.orders.get(slot));
    let order = order.filter(|order| judge::may_see(&core.state, asker, order));
    let order = order.ok_or(Reject::new(Code::OrderUnknown, Owner::Client))?;
    rows.push(AnswerBody::Order(order_state(&core.state, order)));
    Ok(())
}

fn order_state(state: &State, order: &Order) -> OrderState {
    let terms = &order.terms;
    let instrument = &state.rules.instruments[usize::from(terms.instrument.0)].instrument;
    let price = |ticks: i64| (ticks != 0).then(|| instrument.price.decimal_lossy(ticks));
    OrderState {
        order_id: order.order_id,
        command_id: order.command_id,
        account: state.rules.accounts[usize::from(terms.account.0)].name,
        symbol: instrument.symbol,
        side: terms.side,
        order_type: terms.order_type,
        time_in_force: terms.time_in_force,
        quantity: instrument.quantity.decimal_lossy(terms.quantity_steps),
        filled_quantity: instrument.quantity.decimal_lossy(order.filled_steps),
        price: price(terms.price_ticks),
        stop_price: price(terms.stop_price_ticks),
        status: order.status,
        venue_order_id: order.venue_order_id,
    }
}

/// The instruments of a scope that the key may see.
fn scoped(state: &State, asker: Asker<'_>, scope: Scope) -> Result<(u16, u16), Reject> {
    match scope.symbol {
        Some(symbol) => judge::instrument(state, asker, &symbol).map(|index| (index.0, index.0 + 1)),
        None => Ok((0, state.rules.instruments.len() as u16)),
    }
}

/// The account that a query names; without a name, every one of the key's.
fn scoped_accounts(state: &State, asker: Asker<'_>, command: &Command) -> Result<u64, Reject> {
    if command.account.is_empty() {
        return Ok(asker.grant.accounts);
    }
    judge::account(state, asker, command).map(|index| 1 << index.0)
}

fn open_orders<W: World>(
    core: &Core<W>,
    asker: Asker<'_>,
    command: &Command,
    scope: Scope,
    rows: &mut Rows<'_, W>,
) -> Result<bool, Reject> {
    let (first, end) = scoped(&core.state, asker, scope)?;
    let accounts = scoped_accounts(&core.state, asker, command)?;
    // By slot, which an order keeps while it is open: rows that come and go meanwhile move no other.
    Ok(rows.each(core.state.orders.slot_count(), |rows, at| {
        let order = core.state.orders.get(at as u32);
        let own = order.client == asker.client || asker.grant.operate;
        let in_scope =
            (first..end).contains(&order.terms.instrument.0) && accounts >> order.terms.account.0 & 1 == 1;
        if own && in_scope && !order.status.is_final() {
            rows.push(AnswerBody::Order(order_state(&core.state, order)));
        }
    }))
}

fn positions<W: World>(
    core: &Core<W>,
    asker: Asker<'_>,
    command: &Command,
    scope: Scope,
    rows: &mut Rows<'_, W>,
) -> Result<bool, Reject> {
    let (first, end) = scoped(&core.state, asker, scope)?;
    let accounts = scoped_accounts(&core.state, asker, command)?;
    let count = core.state.rules.accounts.len();
    Ok(rows.each(count * core.state.rules.instruments.len(), |rows, at| {
        let (account, instrument) = ((at % count) as u16, (at / count) as u16);
        let in_scope = accounts >> account & 1 == 1 && (first..end).contains(&instrument);
        let cell = core.state.exposure.account(account, instrument);
        let something =
            cell.position != 0 || cell.buy_steps != 0 || cell.sell_steps != 0 || cell.realised != Money::ZERO;
        if in_scope && something && judge::may_trade(&core.state, asker, instrument) {
            rows.push(AnswerBody::Position(position(core, account, instrument)));
        }
    }))
}

fn position<W: World>(core: &Core<W>, account: u16, index: u16) -> PositionState {
    let cell = core.state.exposure.account(account, index);
    let instrument = &core.state.rules.instruments[usize::from(index)].instrument;
    let quantity = |steps| instrument.quantity.decimal_lossy(steps);
    let tick = instrument.price.increment().to_attos().unwrap_or_default();
    let average = if cell.position == 0 {
        0
    } else {
        // To a hundred-millionth of a tick: enough to show, and cost × 10^8 cannot overflow what exposure allows.
        let fine = cell.cost.saturating_mul(100_000_000) / i128::from(cell.position);
        fine.saturating_mul(tick) / 100_000_000
    };
    PositionState {
        account: core.state.rules.accounts[usize::from(account)].name,
        symbol: instrument.symbol,
        quantity: quantity(cell.position),
        average_price: Decimal::from_attos_lossy(average),
        working_buy_quantity: quantity(cell.buy_steps),
        working_sell_quantity: quantity(cell.sell_steps),
        realised_today: cell.realised.to_decimal(),
        unrealised: cell.unrealised().to_decimal(),
    }
}

fn account<W: World>(core: &Core<W>, account: AccountIndex, rows: &mut Rows<'_, W>) {
    let totals = &core.state.exposure.totals[1 + usize::from(account.0)];
    let gross = totals.gross.saturating_add(totals.buy).saturating_add(totals.sell);
    rows.push(AnswerBody::Account(AccountState {
        account: core.state.rules.accounts[usize::from(account.0)].name,
        trading_state: core.state.halts.account(account.0),
        realised_today: totals.realised.to_decimal(),
        unrealised: totals.unrealised.to_decimal(),
        gross_notional: gross.to_decimal(),
        net_notional: totals.net.to_decimal(),
        open_orders: totals.open_orders,
        orders_today: totals.day,
        daily_reset_at_ns: core.state.day_ends_ns,
    }));
}

fn limit_rows<W: World>(
    core: &Core<W>,
    asker: Asker<'_>,
    account: AccountIndex,
    scope: Scope,
    rows: &mut Rows<'_, W>,
) -> Result<bool, Reject> {
    let (first, end) = scoped(&core.state, asker, scope)?;
    Ok(rows.each(core.state.rules.instruments.len(), |rows, at| {
        let index = at as u16;
        if (first..end).contains(&index) && judge::may_trade(&core.state, asker, index) {
            symbol_limits(core, asker.client, account, InstrumentIndex(index), rows);
        }
    }))
}

fn symbol_limits<W: World>(
    core: &Core<W>,
    client: u16,
    account: AccountIndex,
    index: InstrumentIndex,
    rows: &mut Rows<'_, W>,
) {
    let state = &core.state;
    let owners = state.rules.owners(account.0, client, index.0);
    let rule = &state.rules.instruments[usize::from(index.0)];
    let place = Place { client, account: account.0, instrument: index.0 };
    // No order at all: what is used is what stands.
    let case = Case {
        addition: Addition::default(),
        rule,
        has_price: false,
        price_age_ms: 0,
        reference_ticks: 0,
        slow_interval_ns: state.rules.slow_interval_ns,
        now_ns: core.now_ns,
    };
    for limit in LISTED {
        let (owner, allowed, used) = limits::strictest(state, &case, &owners, place, limit);
        let (name, symbol) = (Text::truncated(limit.name()), rule.instrument.symbol);
        rows.push(AnswerBody::Limit(LimitState { name, symbol, owner, limit: allowed, used }));
    }
}

fn instruments<W: World>(
    core: &Core<W>,
    asker: Asker<'_>,
    scope: Scope,
    rows: &mut Rows<'_, W>,
) -> Result<bool, Reject> {
    let (first, end) = scoped(&core.state, asker, scope)?;
    Ok(rows.each(core.state.rules.instruments.len(), |rows, at| {
        if (first..end).contains(&(at as u16)) && judge::may_trade(&core.state, asker, at as u16) {
            rows.push(AnswerBody::Instrument(instrument(core, at)));
        }
    }))
}

fn instrument<W: World>(core: &Core<W>, index: usize) -> InstrumentState {
    let instrument = &core.state.rules.instruments[index].instrument;
    let quote = core.quotes[index];
    let price = |ticks| instrument.price.decimal_lossy(ticks);
    let quantity = |steps| instrument.quantity.decimal_lossy(steps);
    InstrumentState {
        symbol: instrument.symbol,
        tick: instrument.price.increment(),
        step: instrument.quantity.increment(),
        quantity_minimum: quantity(instrument.quantity_minimum),
        quantity_maximum: quantity(instrument.quantity_maximum),
        price_minimum: price(instrument.price_minimum),
        price_maximum: price(instrument.price_maximum),
        notional_minimum: instrument.notional_minimum.to_decimal(),
        bid: price(quote.bid_ticks),
        ask: price(quote.ask_ticks),
    }
}
