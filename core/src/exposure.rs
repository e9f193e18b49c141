//! Positions, working orders and results: per account and instrument, per client and instrument, and summed for
//! every owner of limits. All in integers, kept from reports alone.

use tollgate_protocol::command::{OrderType, Side};
use tollgate_protocol::money::Money;

use super::orders::Order;
use super::rules::Rules;

/// The reference price of an instrument, as the journal has it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Mark {
    /// Best bid, in ticks; 0 before the first.
    pub bid_ticks: i64,
    /// Best ask, in ticks; 0 before the first.
    pub ask_ticks: i64,
    /// When the gateway received it, nanoseconds since the Unix epoch.
    pub observed_ns: u64,
}

impl Mark {
    /// What a taker pays or gets, in ticks; 0 before the first price.
    #[inline]
    pub fn touch(&self, side: Side) -> i64 {
        match side {
            Side::Buy => self.ask_ticks,
            Side::Sell => self.bid_ticks,
        }
    }
}

/// What one party (an account or a client) has in one instrument.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cell {
    /// The position, in steps: above 0 long.
    pub position: i64,
    /// Working buys, in steps.
    pub buy_steps: i64,
    /// Working sells, in steps.
    pub sell_steps: i64,
    /// Of them, reduce-only buys.
    pub reduce_buy_steps: i64,
    /// Of them, reduce-only sells.
    pub reduce_sell_steps: i64,
    /// Of the working orders, those that close at the market: reduce-only market orders, in steps.
    pub closing_steps: i64,
    /// What the open position cost: ticks × steps, with the position's sign.
    pub cost: i128,
    /// Result of closed quantity since the daily reset, after fees.
    pub realised: Money,
    value: Valuation,
}

/// What a position is worth at the reference price.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Valuation {
    gross: Money,
    net: Money,
    unrealised: Money,
}

impl Cell {
    /// How much an order of `side` may reduce, in steps, beside the reduce-only orders that work already.
    #[inline]
    pub fn reducible(&self, side: Side) -> i64 {
        match side {
            Side::Sell => (self.position - self.reduce_sell_steps).max(0),
            Side::Buy => (-self.position - self.reduce_buy_steps).max(0),
        }
    }

    /// What is left to close beside the market orders that are closing it already, in steps. Resting reduce-only
    /// orders do not count: they may never fill, and their venue lets nothing reduce-only flip a position.
    #[inline]
    pub fn closable(&self) -> i64 {
        (self.position.saturating_abs() - self.closing_steps).max(0)
    }

    /// How much an order of `side` reduces even if every working order of its side is filled first, in steps; below 0
    /// when those would already flip the position.
    #[inline]
    pub fn surely_reducing(&self, side: Side) -> i64 {
        match side {
            Side::Sell => self.position - self.sell_steps,
            Side::Buy => -self.position - self.buy_steps,
        }
    }

    /// Result of the open quantity at the last reference price.
    pub fn unrealised(&self) -> Money {
        self.value.unrealised
    }

    /// Adds a trade; returns what it realised, in ticks × steps.
    fn trade(&mut self, side: Side, price_ticks: i64, quantity_steps: i64) -> i128 {
        let signed = i128::from(side.sign()) * i128::from(quantity_steps);
        let position = i128::from(self.position);
        let price = i128::from(price_ticks);
        let closing =
            if position.signum() * signed.signum() < 0 { position.abs().min(signed.abs()) } else { 0 };
        let mut realised = 0;
        if closing > 0 {
            // The closed part takes its share of the cost; what the division leaves stays with the open part.
            let share = self.cost * closing / position.abs();
            realised = price * closing * position.signum() - share;
            self.cost -= share;
        }
        self.cost += price * (signed.abs() - closing) * signed.signum();
        self.position = self.position.saturating_add((signed) as i64);
        if self.position == 0 {
            self.cost = 0;
        }
        realised
    }

    fn valuation(&self, mark: Mark, unit: Money) -> Valuation {
        if self.position == 0 {
            return Valuation::default();
        }
        let exit = if self.position > 0 { mark.bid_ticks } else { mark.ask_ticks };
        // Before the first price, a position is worth what it cost.
        let worth = if exit == 0 { self.cost } else { i128::from(exit) * i128::from(self.position) };
        let money = |units: i128| unit.saturating_mul(units);
        Valuation { gross: money(worth.abs()), net: money(worth), unrealised: money(worth - self.cost) }
    }
}

/// A count that starts anew with every window of time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct WindowCount {
    window: u64,
    count: u64,
}

impl WindowCount {
    /// The count in the window that `now_ns` lies in.
    #[inline]
    pub fn get(&self, now_ns: u64, window_ns: u64) -> u64 {
        if self.window == now_ns / window_ns { self.count } else { 0 }
    }

    #[inline]
    fn add(&mut self, window: u64) {
        let before = if self.window == window { self.count } else { 0 };
        *self = Self { window, count: before + 1 };
    }
}

/// Nanoseconds of a minute.
pub const MINUTE_NS: u64 = 60_000_000_000;
/// Nanoseconds of an hour.
pub const HOUR_NS: u64 = 3_600_000_000_000;

/// What one owner of limits uses of them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Totals {
    /// Absolute notional of all positions.
    pub gross: Money,
    /// Signed notional of all positions.
    pub net: Money,
    /// Notional of working buys.
    pub buy: Money,
    /// Notional of working sells.
    pub sell: Money,
    /// Result of closed quantity since the daily reset, after fees.
    pub realised: Money,
    /// Result of open quantity at the last reference prices.
    pub unrealised: Money,
    /// What `unrealised` was at the daily reset.
    pub unrealised_at_reset: Money,
    /// The day's best result.
    pub peak: Money,
    /// Working, sent and unknown orders.
    pub open_orders: u32,
    /// Orders of this minute.
    pub minute: WindowCount,
    /// Orders of this hour.
    pub hour: WindowCount,
    /// Orders since the daily reset.
    pub day: u64,
    /// Rate rejections of this minute.
    pub breaches: WindowCount,
    /// Until when the rate is used up, in nanoseconds since the Unix epoch (GCRA).
    pub rate_used_until_ns: u64,
    /// When the last order that counts for the rate came.
    pub last_order_ns: u64,
}

impl Totals {
    /// The day's result.
    #[inline]
    pub fn day_result(&self) -> Money {
        self.realised.saturating_add(self.unrealised).saturating_sub(self.unrealised_at_reset)
    }

    #[inline]
    fn count(&mut self, side: Side, notional: Money) {
        let sum = match side {
            Side::Buy => &mut self.buy,
            Side::Sell => &mut self.sell,
        };
        *sum = sum.saturating_add(notional);
    }

    #[inline]
    fn use_rate(&mut self, now_ns: u64, interval_ns: u64) {
        self.last_order_ns = now_ns;
        self.rate_used_until_ns = self.rate_used_until_ns.max(now_ns).saturating_add(interval_ns);
    }

    fn touch_peak(&mut self) {
        self.peak = self.peak.max(self.day_result());
    }
}

/// All of it.
pub struct Exposure {
    /// Instrument by instrument: the accounts' cells, then the clients'.
    cells: Box<[Cell]>,
    /// By owner, as [`Rules::limits`].
    pub totals: Box<[Totals]>,
    /// By instrument.
    pub marks: Box<[Mark]>,
    accounts: usize,
    row: usize,
}

impl Exposure {
    /// Empty, for these rules.
    pub fn new(rules: &Rules) -> Self {
        let row = rules.accounts.len() + rules.clients.len();
        Self {
            cells: vec![Cell::default(); row * rules.instruments.len()].into_boxed_slice(),
            totals: vec![Totals::default(); rules.limits.len()].into_boxed_slice(),
            marks: vec![Mark::default(); rules.instruments.len()].into_boxed_slice(),
            accounts: rules.accounts.len(),
            row,
        }
    }

    #[inline]
    fn account_at(&self, account: u16, instrument: u16) -> usize {
        usize::from(instrument) * self.row + usize::from(account)
    }

    #[inline]
    fn client_at(&self, client: u16, instrument: u16) -> usize {
        usize::from(instrument) * self.row + self.accounts + usize::from(client)
    }

    /// What an account has in an instrument.
    #[inline]
    pub fn account(&self, account: u16, instrument: u16) -> &Cell {
        &self.cells[self.account_at(account, instrument)]
    }

    /// What a client's own orders made of an instrument.
    #[inline]
    pub fn client(&self, client: u16, instrument: u16) -> &Cell {
        &self.cells[self.client_at(client, instrument)]
    }

    /// Counts an order among the working ones, or takes it out with `sign` −1. Between, nothing that
    /// [`Order::counted_steps`] and [`Order::counted_ticks`] rest on may change.
    pub fn count(&mut self, rules: &Rules, order: &Order, sign: i64) {
        let notional = self.count_steps(rules, order, sign);
        for owner in rules.owners(order.terms.account.0, order.client, order.terms.instrument.0) {
            self.totals[owner].count(order.terms.side, notional);
        }
    }

    /// Counts an order that was opened just now; `entered_ns` is when, for one that its owners' rates count.
    pub fn open(&mut self, rules: &Rules, order: &Order, entered_ns: Option<u64>) {
        let notional = self.count_steps(rules, order, 1);
        let [minute, hour] = [MINUTE_NS, HOUR_NS].map(|window_ns| entered_ns.unwrap_or(0) / window_ns);
        for owner in rules.owners(order.terms.account.0, order.client, order.terms.instrument.0) {
            let totals = &mut self.totals[owner];
            totals.count(order.terms.side, notional);
            totals.open_orders = totals.open_orders.saturating_add(1);
            if let Some(now_ns) = entered_ns {
                totals.minute.add(minute);
                totals.hour.add(hour);
                totals.day += 1;
                totals.use_rate(now_ns, rules.figures[owner].rate_interval_ns);
            }
        }
    }

    /// Counts an open order less: `order` is what it was before its end.
    pub fn close(&mut self, rules: &Rules, order: &Order) {
        let notional = self.count_steps(rules, order, -1);
        for owner in rules.owners(order.terms.account.0, order.client, order.terms.instrument.0) {
            let totals = &mut self.totals[owner];
            totals.count(order.terms.side, notional);
            totals.open_orders = totals.open_orders.saturating_sub(1);
        }
    }

    /// Counts the steps of a working order; gives its notional, with the sign.
    #[inline]
    fn count_steps(&mut self, rules: &Rules, order: &Order, sign: i64) -> Money {
        let terms = &order.terms;
        let steps = order.counted_steps() * sign;
        let (account, instrument) = (terms.account.0, terms.instrument.0);
        for at in [self.account_at(account, instrument), self.client_at(order.client, instrument)] {
            let cell = &mut self.cells[at];
            let (working, reducing) = match terms.side {
                Side::Buy => (&mut cell.buy_steps, &mut cell.reduce_buy_steps),
                Side::Sell => (&mut cell.sell_steps, &mut cell.reduce_sell_steps),
            };
            *working += steps;
            if terms.reduce_only {
                *reducing += steps;
                if terms.order_type == OrderType::Market {
                    cell.closing_steps += steps;
                }
            }
        }
        let unit = rules.instruments[usize::from(instrument)].instrument.unit_value;
        unit.saturating_mul(i128::from(order.counted_ticks()) * i128::from(steps))
    }

    /// Uses the rate of these owners once.
    pub fn use_rate(&mut self, rules: &Rules, owners: super::rules::Owners, now_ns: u64) {
        for owner in owners {
            self.totals[owner].use_rate(now_ns, rules.figures[owner].rate_interval_ns);
        }
    }

    /// Counts a rate rejection of an owner.
    pub fn count_breach(&mut self, owner: usize, now_ns: u64) {
        self.totals[owner].breaches.add(now_ns / MINUTE_NS);
    }

    /// Adds a trade of an order.
    pub fn trade(&mut self, rules: &Rules, order: &Order, price_ticks: i64, quantity_steps: i64, fee: Money) {
        let terms = &order.terms;
        let (account, instrument) = (terms.account.0, terms.instrument.0);
        let unit = rules.instruments[usize::from(instrument)].instrument.unit_value;
        let mark = self.marks[usize::from(instrument)];
        let [firm, account_owner, client_owner, symbol] = rules.owners(account, order.client, instrument);
        let account_cell = self.account_at(account, instrument);
        let client_cell = self.client_at(order.client, instrument);
        for (at, owners) in
            [(account_cell, &[firm, account_owner, symbol][..]), (client_cell, &[client_owner])]
        {
            let cell = &mut self.cells[at];
            let units = cell.trade(terms.side, price_ticks, quantity_steps);
            let realised = unit.saturating_mul(units).saturating_sub(fee);
            cell.realised = cell.realised.saturating_add(realised);
            for owner in owners {
                let totals = &mut self.totals[*owner];
                totals.realised = totals.realised.saturating_add(realised);
            }
            self.revalue(at, owners, mark, unit);
            for owner in owners {
                self.totals[*owner].touch_peak();
            }
        }
    }

    /// Takes a new reference price.
    pub fn mark(&mut self, rules: &Rules, instrument: u16, mark: Mark) {
        self.marks[usize::from(instrument)] = mark;
        let unit = rules.instruments[usize::from(instrument)].instrument.unit_value;
        let first = usize::from(instrument) * self.row;
        for party in 0..self.row {
            if self.cells[first + party].position == 0 {
                continue;
            }
            if party < self.accounts {
                let [firm, account, _, symbol] = rules.owners(party as u16, 0, instrument);
                self.revalue(first + party, &[firm, account, symbol], mark, unit);
            } else {
                let client = (party - self.accounts) as u16;
                let [_, _, client, _] = rules.owners(0, client, instrument);
                self.revalue(first + party, &[client], mark, unit);
            }
        }
        // Only now: in between, sums are those of a moment that never was.
        self.totals.iter_mut().for_each(Totals::touch_peak);
    }

    fn revalue(&mut self, at: usize, owners: &[usize], mark: Mark, unit: Money) {
        let cell = &mut self.cells[at];
        let new = cell.valuation(mark, unit);
        let old = std::mem::replace(&mut cell.value, new);
        for owner in owners {
            let totals = &mut self.totals[*owner];
            totals.gross = totals.gross.saturating_add(new.gross.saturating_sub(old.gross));
            totals.net = totals.net.saturating_add(new.net.saturating_sub(old.net));
            totals.unrealised =
                totals.unrealised.saturating_add(new.unrealised.saturating_sub(old.unrealised));
        }
    }

    /// Starts a new trading day.
    pub fn reset_day(&mut self) {
        for cell in &mut self.cells {
            cell.realised = Money::ZERO;
        }
        for totals in &mut self.totals {
            totals.realised = Money::ZERO;
            totals.unrealised_at_reset = totals.unrealised;
            totals.peak = Money::ZERO;
            totals.day = 0;
        }
    }

    /// Feeds everything that decides a check to `hash`.
    pub fn digest(&self, hash: &mut impl FnMut(&[u8])) {
        for cell in &self.cells {
            for number in [
                cell.position,
                cell.buy_steps,
                cell.sell_steps,
                cell.reduce_buy_steps,
                cell.reduce_sell_steps,
            ] {
                hash(&number.to_le_bytes());
            }
            hash(&cell.closing_steps.to_le_bytes());
            for number in
                [cell.cost, cell.realised.0, cell.value.gross.0, cell.value.net.0, cell.value.unrealised.0]
            {
                hash(&number.to_le_bytes());
            }
        }
        for totals in &self.totals {
            let money = [
                totals.gross,
                totals.net,
                totals.buy,
                totals.sell,
                totals.realised,
                totals.unrealised,
                totals.unrealised_at_reset,
                totals.peak,
            ];
            money.iter().for_each(|money| hash(&money.0.to_le_bytes()));
            hash(&totals.open_orders.to_le_bytes());
            for window in [totals.minute, totals.hour, totals.breaches] {
                hash(&window.window.to_le_bytes());
                hash(&window.count.to_le_bytes());
            }
            hash(&totals.day.to_le_bytes());
            hash(&totals.rate_used_until_ns.to_le_bytes());
            hash(&totals.last_order_ns.to_le_bytes());
        }
        for mark in &self.marks {
            hash(&mark.bid_ticks.to_le_bytes());
            hash(&mark.ask_ticks.to_le_bytes());
            hash(&mark.observed_ns.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trades(list: &[(Side, i64, i64)]) -> (Cell, i128) {
        let mut cell = Cell::default();
        let realised = list.iter().map(|(side, price, steps)| cell.trade(*side, *price, *steps)).sum();
        (cell, realised)
    }

    #[test]
    fn a_position_is_averaged_closed_and_flipped() {
        let (cell, realised) = trades(&[(Side::Buy, 100, 10), (Side::Buy, 110, 10), (Side::Sell, 120, 5)]);
        assert_eq!((cell.position, cell.cost, realised), (15, 1575, 75));
        let (cell, realised) = trades(&[(Side::Sell, 100, 10), (Side::Buy, 90, 25)]);
        assert_eq!((cell.position, cell.cost, realised), (15, 1350, 100));
    }

    proptest! {
        /// Whatever is traded: money that moved = result realised − what the open position cost.
        #[test]
        fn nothing_is_lost_by_division(
            list in proptest::collection::vec((any::<bool>(), 1_i64..1_000_000, 1_i64..1_000_000), 1..60)
        ) {
            let list: Vec<_> =
                list.into_iter().map(|(buy, p, q)| (if buy { Side::Buy } else { Side::Sell }, p, q)).collect();
            let (cell, realised) = trades(&list);
            let signed = |side: Side, value: i128| i128::from(side.sign()) * value;
            let paid: i128 = list.iter().map(|(side, p, q)| signed(*side, i128::from(*p) * i128::from(*q))).sum();
            let held: i128 = list.iter().map(|(side, _, q)| signed(*side, i128::from(*q))).sum();
            prop_assert_eq!(realised, cell.cost - paid);
            prop_assert_eq!(i128::from(cell.position), held);
        }
    }
}
