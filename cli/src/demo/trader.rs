//! One client of the demonstration: it signs commands of every kind, some of them wrong on purpose, and keeps book
//! of every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tollgate_protocol::answer::AnswerBody;
use tollgate_protocol::client::Incoming;
use tollgate_protocol::command::{
    Action, Close, NewOrder, OrderType, Query, Replace, Scope, Side, Target, TimeInForce,
};
use tollgate_protocol::event::EventBody;
use tollgate_protocol::{AccountName, Command, CommandId, Symbol};

use super::market::Market;
use super::random::Random;
use super::tally::{Tally, is_refusal};
use tollgate_client::{Client, ClientError, Reply, now_ns};

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long prices may take to come.
const PRICES_TIMEOUT: Duration = Duration::from_secs(20);
/// When nothing more was heard for so long, reports are over.
const QUIET: Duration = Duration::from_millis(400);
/// How long reports may take in all.
const REPORTS_TIMEOUT: Duration = Duration::from_secs(20);
/// Prices are asked for again after so many commands.
const PRICES_EVERY: u64 = 40;

/// What all traders share.
pub(crate) struct Shared {
    /// Commands answered so far.
    pub(crate) answered: AtomicU64,
    /// Reports heard so far.
    pub(crate) reports: AtomicU64,
    /// Somebody wants to stop.
    pub(crate) stop: AtomicBool,
}

/// An order that may still work.
#[derive(Clone, Copy)]
struct Open {
    command_id: CommandId,
    target: Target,
    account: AccountName,
    market: usize,
    side: Side,
    order_type: OrderType,
}

/// What one client shall do.
pub(crate) struct Plan {
    /// How many commands it sends, roughly.
    pub(crate) commands: u64,
    /// The upper half of all its command ids: must differ between clients and between runs.
    pub(crate) identity: u64,
    /// Of its random numbers.
    pub(crate) seed: u64,
    /// Its accounts.
    pub(crate) accounts: Vec<AccountName>,
    /// The one symbol that it trades; all when absent.
    pub(crate) symbol: Option<Symbol>,
    /// Between two of its commands.
    pub(crate) interval: Duration,
}

/// One client.
pub(crate) struct Trader {
    client: Client,
    shared: Arc<Shared>,
    plan: Plan,
    random: Random,
    commands: u64,
    markets: Vec<Market>,
    open: Vec<Open>,
    last: Option<(Command, Reply)>,
    /// What happened.
    pub(crate) tally: Tally,
}

impl Trader {
    /// A client that has logged on.
    pub(crate) fn new(client: Client, shared: Arc<Shared>, plan: Plan) -> Self {
        let tally = Tally::starting_at(client.last_event_sequence() + 1);
        Self {
            client,
            shared,
            random: Random::new(plan.seed),
            plan,
            commands: 0,
            markets: Vec::new(),
            open: Vec::new(),
            last: None,
            tally,
        }
    }

    /// Sends its commands, or fewer when somebody wants to stop, and waits for what becomes of them.
    pub(crate) fn trade(&mut self) {
        if let Err(error) = self.trade_all() {
            self.tally.problems.push(error);
        }
        self.tally.close();
    }

    fn trade_all(&mut self) -> Result<(), String> {
        self.wait_for_prices()?;
        let began = Instant::now();
        let mut due = began;
        while self.tally.sent < self.plan.commands && !self.stopping() {
            if self.tally.sent.is_multiple_of(PRICES_EVERY) {
                self.ask_prices()?;
            }
            self.step()?;
            due += self.plan.interval;
            self.drain(Duration::ZERO)?;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        for account in self.plan.accounts.clone() {
            self.perform(account, Action::CancelAll(Scope { symbol: None }))?;
        }
        self.tally.busy = began.elapsed();
        let started = Instant::now();
        while self.drain(QUIET)? > 0 && started.elapsed() < REPORTS_TIMEOUT && !self.stopping() {}
        Ok(())
    }

    /// Ends the session with a word.
    pub(crate) fn leave(self) -> Tally {
        // The connection is of no more use either way.
        let _ = self.client.goodbye();
        self.tally
    }

    fn stopping(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    fn wait_for_prices(&mut self) -> Result<(), String> {
        let started = Instant::now();
        self.ask_prices()?;
        while self.markets.is_empty() && !self.stopping() {
            if started.elapsed() > PRICES_TIMEOUT {
                return Err(format!("no prices within {} s", PRICES_TIMEOUT.as_secs()));
            }
            self.drain(Duration::from_millis(50))?;
            self.ask_prices()?;
        }
        Ok(())
    }

    fn ask_prices(&mut self) -> Result<(), String> {
        let query = Query::Instruments(Scope { symbol: self.plan.symbol });
        if let Reply::Rows(rows) = self.perform(self.plan.accounts[0], Action::Query(query))? {
            let markets = rows.iter().filter_map(|row| match row {
                AnswerBody::Instrument(state) => Market::new(state),
                _ => None,
            });
            self.markets = markets.collect();
        }
        Ok(())
    }

    /// One thing that a client does.
    fn step(&mut self) -> Result<(), String> {
        if self.markets.is_empty() {
            return self.ask_prices();
        }
        match self.random.between(0, 999) {
            0..=849 => self.right(),
            850..=899 => self.repeat(),
            _ => self.wrong(),
        }
    }

    fn right(&mut self) -> Result<(), String> {
        match self.random.between(0, 99) {
            0..=64 => self.place(),
            65..=77 => self.cancel(),
            78..=85 => self.replace(),
            86..=89 => self.close(),
            90 => self.sweep(),
            91..=96 => self.ask(),
            _ => self.perform(self.plan.accounts[0], Action::Heartbeat).map(|_| ()),
        }
    }

    fn side(&mut self) -> Side {
        if self.random.once_in(2) { Side::Buy } else { Side::Sell }
    }

    /// Most trade on the first account.
    fn account(&mut self) -> AccountName {
        let at = if self.random.once_in(6) { self.random.index(self.plan.accounts.len()) } else { 0 };
        self.plan.accounts[at]
    }

    fn place(&mut self) -> Result<(), String> {
        let at = self.random.index(self.markets.len());
        let market = self.markets[at];
        let (side, lots) = (self.side(), self.random.between(1, 5));
        let order = self.order(&market, side, lots);
        let account = self.account();
        let command = self.command(account, Action::New(order));
        let reply = self.exchange(&command)?;
        let rests = !matches!(order.order_type, OrderType::Market)
            && !matches!(order.time_in_force, TimeInForce::ImmediateOrCancel | TimeInForce::FillOrKill);
        if let (true, Reply::Event(event)) = (rests, &reply)
            && let EventBody::Acknowledged(acknowledgement) = &event.body
        {
            let target = if self.random.once_in(2) {
                Target::Order(acknowledgement.order_id)
            } else {
                Target::Command(command.command_id)
            };
            let command_id = command.command_id;
            self.open.push(Open {
                command_id,
                target,
                account,
                market: at,
                side,
                order_type: order.order_type,
            });
        }
        self.last = Some((command, reply));
        Ok(())
    }

    fn order(&mut self, market: &Market, side: Side, lots: i64) -> NewOrder {
        let away = self.random.between(market.part_ticks(5_000), market.part_ticks(800));
        match self.random.between(0, 99) {
            0..=34 => market.order(side, lots),
            35..=64 => market.limit(side, lots, away),
            65..=74 => market.limit(side, lots, -away),
            75..=82 => market.stop(side, lots, away),
            83..=86 => NewOrder {
                order_type: OrderType::StopLimit,
                price: Some(market.price(market.near_ticks(side.opposite()) + side.sign() * away * 2)),
                ..market.stop(side, lots, away)
            },
            87..=90 => NewOrder { time_in_force: TimeInForce::PostOnly, ..market.limit(side, lots, away) },
            91..=94 => {
                NewOrder { time_in_force: TimeInForce::ImmediateOrCancel, ..market.limit(side, lots, -away) }
            }
            95..=97 => NewOrder { time_in_force: TimeInForce::FillOrKill, ..market.limit(side, lots, -away) },
            _ => NewOrder {
                time_in_force: TimeInForce::GoodTillDate,
                expire_at_ns: now_ns() + 2_000_000_000,
                ..market.limit(side, lots, away)
            },
        }
    }

    /// One of the orders that may still work; those that do not are as likely as in life.
    fn take_open(&mut self) -> Option<Open> {
        let length = self.open.len();
        (length > 0).then(|| self.open.swap_remove(self.random.index(length)))
    }

    fn cancel(&mut self) -> Result<(), String> {
        let Some(open) = self.take_open() else { return self.place() };
        self.perform(open.account, Action::Cancel(open.target)).map(|_| ())
    }

    fn replace(&mut self) -> Result<(), String> {
        let Some(open) = self.take_open() else { return self.place() };
        let Some(market) = self.markets.get(open.market).copied() else { return Ok(()) };
        let away = self.random.between(market.part_ticks(4_000), market.part_ticks(900));
        let has_price = matches!(open.order_type, OrderType::Limit | OrderType::StopLimit);
        let replace = Replace {
            target: open.target,
            quantity: Some(market.quantity(self.random.between(6, 9))),
            price: (has_price && open.order_type == OrderType::Limit)
                .then(|| market.price(market.near_ticks(open.side) - open.side.sign() * away)),
            stop_price: None,
        };
        self.perform(open.account, Action::Replace(replace))?;
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let symbol = self.markets[self.random.index(self.markets.len())].symbol;
        self.perform(
            self.plan.accounts[0],
            Action::Close(Close { symbol, position_ticket: 0, quantity: None }),
        )
        .map(|_| ())
    }

    fn sweep(&mut self) -> Result<(), String> {
        let symbol = self.markets[self.random.index(self.markets.len())].symbol;
        let scope = Scope { symbol: (!self.random.once_in(3)).then_some(symbol) };
        let account = self.account();
        let action = if self.random.once_in(3) { Action::CloseAll(scope) } else { Action::CancelAll(scope) };
        self.perform(account, action).map(|_| ())
    }

    fn ask(&mut self) -> Result<(), String> {
        let scope = Scope { symbol: None };
        let target = self.last.as_ref().map(|(command, _)| Target::Command(command.command_id));
        let query = match (self.random.between(0, 5), target) {
            (0, Some(target)) => Query::Order(target),
            (1, _) => Query::Positions(scope),
            (2, _) => Query::Account,
            (3, _) => Query::Limits(scope),
            (4, _) => Query::Instruments(scope),
            _ => Query::OpenOrders(scope),
        };
        let account = self.account();
        self.perform(account, Action::Query(query)).map(|_| ())
    }

    /// The last order again, bit for bit: a lost answer makes clients do this.
    fn repeat(&mut self) -> Result<(), String> {
        let Some((command, first)) = self.last.clone() else { return self.place() };
        let repeat = self.exchange(&command)?;
        let same = match (&first, &repeat) {
            (Reply::Event(first) | Reply::Repeated(first), Reply::Repeated(again)) => first == again,
            (Reply::Refused(_), Reply::Refused(_)) => true,
            _ => false,
        };
        self.tally.different_repeats += u64::from(!same);
        Ok(())
    }

    /// A command that must be refused.
    fn wrong(&mut self) -> Result<(), String> {
        let market = self.markets[self.random.index(self.markets.len())];
        let (side, account) = (self.side(), self.plan.accounts[0]);
        let near = market.limit(side, 1, market.part_ticks(2_000));
        let new = |trader: &mut Self, order| trader.command(account, Action::New(order));
        let (what, command) = match self.random.between(0, 8) {
            0 if !self.rounds() => {
                let price = market.price_off_tick(market.near_ticks(side));
                ("price off the tick", new(self, NewOrder { price: Some(price), ..near }))
            }
            1 if !self.rounds() => (
                "quantity off the step",
                new(self, NewOrder { quantity: market.quantity_off_step(), ..near }),
            ),
            2 => {
                let quantity = tollgate_protocol::Decimal::new(1_000_000_000, 0);
                ("too large", new(self, NewOrder { quantity, ..near }))
            }
            3 => ("unknown symbol", new(self, NewOrder { symbol: Symbol::truncated("NOSUCHPAIR"), ..near })),
            4 => {
                let command = new(self, near);
                ("deadline passed", Command { deadline_ns: command.created_at_ns - 1_000_000, ..command })
            }
            5 => match &self.last {
                Some((first, _)) => {
                    let command_id = first.command_id;
                    (
                        "id used before, other content",
                        Command { command_id, ..new(self, market.order(side, 7)) },
                    )
                }
                None => return self.place(),
            },
            6 => {
                let order = NewOrder { reduce_only: true, ..market.order(side, 20_000) };
                ("reduce-only, larger than the position", new(self, order))
            }
            7 => {
                let order = NewOrder { price: None, ..near };
                ("limit order without a price", new(self, order))
            }
            _ => {
                let account = AccountName::truncated("nobody");
                ("account of somebody else", self.command(account, Action::New(near)))
            }
        };
        let reply = self.exchange(&command)?;
        let wrong = self.tally.wrong.entry(what).or_default();
        wrong.sent += 1;
        wrong.refused += u64::from(is_refusal(&reply));
        Ok(())
    }

    /// Its values off the grid are rounded, not refused.
    fn rounds(&self) -> bool {
        self.plan.identity & 0xff == super::ROUNDING_CLIENT
    }

    fn command(&mut self, account: AccountName, action: Action) -> Command {
        self.commands += 1;
        let command_id = CommandId(u128::from(self.plan.identity) << 64 | u128::from(self.commands));
        Command { command_id, created_at_ns: now_ns(), deadline_ns: 0, account, action }
    }

    fn perform(&mut self, account: AccountName, action: Action) -> Result<Reply, String> {
        let command = self.command(account, action);
        self.exchange(&command)
    }

    /// Signs, sends, waits for the answer, and keeps book of it.
    fn exchange(&mut self, command: &Command) -> Result<Reply, String> {
        self.tally.note_sent(command);
        let sent = Instant::now();
        let reply = self.client.execute(command, ANSWER_TIMEOUT);
        let latency_ns = u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let reply = reply.map_err(|error: ClientError| format!("{}: {error}", command.action.name()))?;
        self.tally.note_reply(command, &reply, latency_ns);
        self.shared.answered.fetch_add(1, Ordering::Relaxed);
        Ok(reply)
    }

    /// Takes what has come; with the number of events. Waits for the first one at most for `patience`.
    fn drain(&mut self, patience: Duration) -> Result<u64, String> {
        let mut events = 0;
        let mut wait = patience;
        while let Some(incoming) = self.client.receive(wait).map_err(|error| error.to_string())? {
            wait = Duration::ZERO;
            match incoming {
                Incoming::Event(event) => {
                    events += 1;
                    self.tally.note_event(&event);
                    if let EventBody::Report(report) = &event.body {
                        self.shared.reports.fetch_add(1, Ordering::Relaxed);
                        if report.open_quantity.mantissa == 0 && self.random.once_in(2) {
                            self.open.retain(|open| open.command_id != report.command_id);
                        }
                    }
                }
                Incoming::Answer(answer) => self.tally.note_answer(answer.command_id),
                Incoming::Goodbye(goodbye) => {
                    return Err(format!("the gateway ended the session: {}", goodbye.code));
                }
            }
        }
        Ok(events)
    }
}
