//! The commands that clients think of: mostly sensible ones, at times not.

use tollgate_protocol::command::{
    Action, Close, Command, Halt, HaltScope, NewOrder, OrderType, Query, Replace, Resume, Scope, Side,
    Target, TimeInForce, TradingState,
};
use tollgate_protocol::decimal::Decimal;
use tollgate_protocol::identity::OrderId;
use tollgate_protocol::text::{AccountName, Remark, Symbol};

use crate::random::Random;
use crate::sim::Sim;

const TIMES_IN_FORCE: [TimeInForce; 8] = [
    TimeInForce::GoodTillCancel,
    TimeInForce::GoodTillCancel,
    TimeInForce::GoodTillCancel,
    TimeInForce::GoodTillCancel,
    TimeInForce::ImmediateOrCancel,
    TimeInForce::FillOrKill,
    TimeInForce::GoodTillDate,
    TimeInForce::PostOnly,
];

const ORDER_TYPES: [OrderType; 10] = [
    OrderType::Limit,
    OrderType::Limit,
    OrderType::Limit,
    OrderType::Limit,
    OrderType::Limit,
    OrderType::Market,
    OrderType::Market,
    OrderType::Market,
    OrderType::Stop,
    OrderType::StopLimit,
];

impl Sim {
    /// A command of a client with a fresh id.
    pub(crate) fn command(
        &mut self,
        client: usize,
        account: AccountName,
        action: Action,
        random: &mut Random,
    ) -> Command {
        let now_ns = self.clock.wall_ns();
        let created_at_ns = match random.below(30) {
            0 => now_ns + random.below(3_000_000_000),
            1 => now_ns - random.below(60_000_000_000),
            _ => now_ns,
        };
        let deadline_ns = match random.below(20) {
            0 => now_ns - random.below(1_000_000_000),
            1..3 => now_ns + random.below(50_000_000),
            _ => 0,
        };
        Command { command_id: self.clients[client].fresh_id(), created_at_ns, deadline_ns, account, action }
    }

    /// An account of the client's, at times another, or none.
    pub(crate) fn any_account(&self, client: usize, random: &mut Random) -> AccountName {
        let settings = &self.setup.settings;
        match random.below(25) {
            0 => AccountName::EMPTY,
            1 => AccountName::truncated("nobody"),
            2 => random.pick(&settings.accounts).map_or(AccountName::EMPTY, |account| account.name),
            _ => {
                let own = random.pick(&settings.clients[client].accounts).copied().unwrap_or(0);
                settings.accounts[usize::from(own)].name
            }
        }
    }

    /// An instrument of the account's venue, mostly.
    fn any_instrument(&self, account: &AccountName, random: &mut Random) -> u16 {
        let settings = &self.setup.settings;
        let venue = settings.accounts.iter().find(|it| it.name == *account).map_or(0, |it| it.venue);
        let fits = |at: &u16| self.venue_of(*at) == usize::from(venue) || random_percent(*at, account);
        let all: Vec<u16> = (0..settings.instruments.len() as u16).filter(fits).collect();
        random.pick(&all).copied().unwrap_or(0)
    }

    fn symbol(&self, instrument: u16) -> Symbol {
        self.setup.settings.instruments[usize::from(instrument)].instrument.symbol
    }

    fn price(&self, instrument: u16, ticks: i64) -> Decimal {
        self.setup.settings.instruments[usize::from(instrument)].instrument.price.decimal_lossy(ticks)
    }

    fn quantity(&self, instrument: u16, steps: i64) -> Decimal {
        self.setup.settings.instruments[usize::from(instrument)].instrument.quantity.decimal_lossy(steps)
    }

    /// A price near the market, in ticks.
    fn near(&self, instrument: u16, random: &mut Random) -> i64 {
        let mid = self.mids[usize::from(instrument)];
        match random.below(20) {
            0 => mid + random.between(-mid / 10, mid / 10),
            1..6 => mid + random.between(-3, 3),
            _ => mid + random.between(-mid / 50, mid / 50),
        }
    }

    /// A new order.
    pub(crate) fn new_order(&self, client: usize, random: &mut Random) -> (AccountName, Action) {
        let account = self.any_account(client, random);
        let instrument = self.any_instrument(&account, random);
        let order_type = random.pick(&ORDER_TYPES).copied().unwrap_or(OrderType::Limit);
        let time_in_force = random.pick(&TIMES_IN_FORCE).copied().unwrap_or(TimeInForce::GoodTillCancel);
        let has_price = matches!(order_type, OrderType::Limit | OrderType::StopLimit);
        let has_stop = matches!(order_type, OrderType::Stop | OrderType::StopLimit);
        let steps = if random.percent(5) { random.between(0, 2_000) } else { random.between(1, 40) };
        let mut order = NewOrder {
            symbol: self.symbol(instrument),
            side: if random.percent(50) { Side::Buy } else { Side::Sell },
            order_type,
            quantity: self.quantity(instrument, steps),
            price: has_price.then(|| self.price(instrument, self.near(instrument, random))),
            stop_price: has_stop.then(|| self.price(instrument, self.near(instrument, random))),
            time_in_force,
            expire_at_ns: 0,
            reduce_only: random.percent(10),
            position_ticket: 0,
            stop_loss: None,
            take_profit: None,
        };
        if time_in_force == TimeInForce::GoodTillDate {
            order.expire_at_ns = self.clock.wall_ns() + random.below(4_000_000_000);
        }
        self.spoil(&mut order, random);
        (account, Action::New(order))
    }

    /// At times an order is one that cannot be.
    fn spoil(&self, order: &mut NewOrder, random: &mut Random) {
        match random.below(60) {
            0 => order.symbol = Symbol::truncated("NOBODY"),
            1 => order.quantity = Decimal::new(random.between(1, 99_999), 6),
            2 => order.price = Some(Decimal::new(random.between(1, 9_999_999), 5)),
            3 => order.stop_price = Some(Decimal::new(1, 0)),
            4 => order.stop_loss = Some(Decimal::new(900, 0)),
            5 => order.position_ticket = 77,
            6 => order.quantity = Decimal::new(random.between(-5, i64::MAX - 1), 0),
            7 => order.price = Some(Decimal::new(random.between(0, 900_000), 1)),
            8 => order.expire_at_ns = 5,
            _ => {}
        }
    }

    /// One of the client's orders, mostly.
    pub(crate) fn target(&self, client: usize, random: &mut Random) -> Target {
        let of = if random.percent(10) { random.below(self.clients.len() as u64) as usize } else { client };
        let orders = &self.shadow.recovery.state.orders;
        let open = orders.open_slots().iter().map(|slot| orders.get(*slot));
        let open: Vec<_> = open.filter(|order| usize::from(order.client) == of).collect();
        if random.percent(75)
            && let Some(order) = random.pick(&open)
        {
            return if random.percent(60) {
                Target::Order(order.order_id)
            } else {
                Target::Command(order.command_id)
            };
        }
        let sent = &self.clients[of].sent;
        let recent = sent.len().saturating_sub(12);
        match random.pick(&sent[recent..]) {
            Some(sent) if random.percent(95) => Target::Command(sent.command.command_id),
            _ => Target::Order(OrderId(random.below(500))),
        }
    }

    /// A change of an order.
    pub(crate) fn change(&self, client: usize, random: &mut Random) -> Action {
        let target = self.target(client, random);
        let orders = &self.shadow.recovery.state.orders;
        let slot = match target {
            Target::Order(order_id) => orders.find(order_id),
            Target::Command(command_id) => orders.find_command(client as u16, command_id),
        };
        let (instrument, total, has_price) = slot.map_or((0, 10, true), |slot| {
            let terms = &orders.get(slot).terms;
            (terms.instrument.0, terms.quantity_steps, terms.price_ticks != 0)
        });
        let quantity = random.percent(60).then(|| {
            let steps =
                if random.percent(50) { random.between(1, total.max(1)) } else { random.between(2, 50) };
            self.quantity(instrument, steps)
        });
        let price = (has_price ^ random.percent(5) && random.percent(70))
            .then(|| self.price(instrument, self.near(instrument, random)));
        let stop_price = random.percent(8).then(|| self.price(instrument, self.near(instrument, random)));
        Action::Replace(Replace { target, quantity, price, stop_price })
    }

    /// A close of a position.
    pub(crate) fn close(&self, client: usize, random: &mut Random) -> (AccountName, Action) {
        let account = self.any_account(client, random);
        let instrument = self.any_instrument(&account, random);
        let quantity = random.percent(40).then(|| self.quantity(instrument, random.between(1, 30)));
        (account, Action::Close(Close { symbol: self.symbol(instrument), position_ticket: 0, quantity }))
    }

    /// One symbol, or all.
    pub(crate) fn any_scope(&self, account: &AccountName, random: &mut Random) -> Scope {
        let symbol = random.percent(40).then(|| self.symbol(self.any_instrument(account, random)));
        Scope { symbol }
    }

    fn any_halt_scope(&self, client: usize, random: &mut Random) -> HaltScope {
        match random.below(10) {
            0..3 => HaltScope::Whole,
            3..7 => HaltScope::Account(self.any_account(client, random)),
            _ => HaltScope::Symbol(self.symbol(random.below(self.mids.len() as u64) as u16)),
        }
    }

    /// A halt.
    pub(crate) fn halt(&self, client: usize, random: &mut Random) -> Action {
        let states =
            [TradingState::Halted, TradingState::Reducing, TradingState::Halted, TradingState::Active];
        Action::Halt(Halt {
            scope: self.any_halt_scope(client, random),
            state: random.pick(&states).copied().unwrap_or(TradingState::Halted),
            cancel_working: random.percent(50),
            flatten: random.percent(30),
            reason: Remark::truncated("simulated"),
        })
    }

    /// A resume: of what is halted, mostly.
    pub(crate) fn resume(&self, client: usize, random: &mut Random) -> Action {
        let mut scope = self.any_halt_scope(client, random);
        let halted = self.halted();
        if random.percent(85)
            && let Some(found) = random.pick(&halted)
        {
            scope = *found;
        }
        Action::Resume(Resume { scope, reason: Remark::truncated("simulated") })
    }

    /// What is halted now.
    pub(crate) fn halted(&self) -> Vec<HaltScope> {
        let state = &self.shadow.recovery.state;
        let settings = &self.setup.settings;
        let accounts = settings.accounts.iter().map(|account| HaltScope::Account(account.name));
        let symbols = (0..settings.instruments.len() as u16).map(|at| HaltScope::Symbol(self.symbol(at)));
        let all = std::iter::once(HaltScope::Whole).chain(accounts).chain(symbols);
        all.filter(|scope| {
            state.place(*scope).is_some_and(|place| state.halts.get(place) != TradingState::Active)
        })
        .collect()
    }

    /// A question.
    pub(crate) fn query(&self, client: usize, random: &mut Random) -> (AccountName, Action) {
        let account = self.any_account(client, random);
        let scope = self.any_scope(&account, random);
        let query = match random.below(6) {
            0 => Query::Order(self.target(client, random)),
            1 => Query::OpenOrders(scope),
            2 => Query::Positions(scope),
            3 => Query::Account,
            4 => Query::Limits(scope),
            _ => Query::Instruments(scope),
        };
        (account, Action::Query(query))
    }
}

/// Some instruments of other venues are tried with some accounts, so that this is refused too.
fn random_percent(instrument: u16, account: &AccountName) -> bool {
    usize::from(instrument) == account.as_bytes().len() % 7
}
