//! The venue's orders and positions, as the sum of its ledger: the same entries give the same state.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::discriminant;

use tollgate_protocol::command::TimeInForce;
use tollgate_protocol::identity::{AccountIndex, OrderId};
use tollgate_protocol::instrument::InstrumentIndex;

use super::book::Book;
use super::entry::LedgerEntry;
use super::id_map::IdMap;
use super::memory::{History, UsedIds};
use super::order::{Fill, FinalOrder, WorkingOrder};
use tollgate_contract::venue::{VenueOrder, VenueOrderState};

/// Ledger entries that contradict each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("order {order_id}: {what}")]
pub struct Contradiction {
    /// The order that they are about.
    pub order_id: OrderId,
    /// What does not fit.
    pub what: &'static str,
}

/// Everything that a ledger can rebuild.
pub(super) struct State {
    books: Vec<Book>,
    working: IdMap<WorkingOrder>,
    /// Good-till-date orders by end, in nanoseconds.
    expiries: BTreeSet<(u64, OrderId)>,
    positions: HashMap<(AccountIndex, InstrumentIndex), i64>,
    used: UsedIds,
    history: History,
    duplicates: u64,
    last_venue_order_id: u64,
    last_trade_id: u64,
    last_sequence: u64,
}

impl State {
    /// No orders yet.
    pub(super) fn new(instruments: usize, history_orders: usize) -> Self {
        Self {
            books: std::iter::repeat_with(Book::default).take(instruments).collect(),
            working: IdMap::default(),
            expiries: BTreeSet::new(),
            positions: HashMap::new(),
            used: UsedIds::default(),
            history: History::new(history_orders),
            duplicates: 0,
            last_venue_order_id: 0,
            last_trade_id: 0,
            last_sequence: 0,
        }
    }

    /// Carries out one entry. After an error the state is as before.
    pub(super) fn apply(&mut self, entry: &LedgerEntry) -> Result<(), Contradiction> {
        match *entry {
            LedgerEntry::Instrument { .. } => Ok(()),
            LedgerEntry::Received { venue_order_id, order, .. } => self.receive(venue_order_id, order),
            LedgerEntry::Refused { venue_order_id, order, .. } => self.refuse(venue_order_id, order),
            LedgerEntry::Duplicate { .. } => {
                self.duplicates += 1;
                Ok(())
            }
            LedgerEntry::Triggered { order_id, .. } => self.trigger(order_id),
            LedgerEntry::Traded { order_id, trade_id, price_ticks, quantity_steps, fee, maker, .. } => {
                self.trade(order_id, Fill { trade_id, price_ticks, quantity_steps, fee, maker })
            }
            LedgerEntry::Replaced { order_id, quantity_steps, price_ticks, stop_price_ticks, .. } => {
                self.replace(order_id, quantity_steps, price_ticks, stop_price_ticks)
            }
            LedgerEntry::Cancelled { order_id, .. } => self.finish(order_id, VenueOrderState::Cancelled),
            LedgerEntry::Expired { order_id, .. } => self.finish(order_id, VenueOrderState::Expired),
        }
    }

    fn receive(&mut self, venue_order_id: u64, order: VenueOrder) -> Result<(), Contradiction> {
        if usize::from(order.instrument.0) >= self.books.len() {
            return Err(Contradiction { order_id: order.order_id, what: "its instrument does not exist" });
        }
        self.use_id(order.order_id, venue_order_id)?;
        self.last_sequence += 1;
        let working = WorkingOrder {
            venue_order_id,
            order,
            filled_steps: 0,
            triggered: false,
            sequence: self.last_sequence,
            fills: Vec::new(),
        };
        self.book_mut(order.instrument).insert(&working);
        if order.time_in_force == TimeInForce::GoodTillDate {
            self.expiries.insert((order.expire_at_ns, order.order_id));
        }
        self.working.insert(order.order_id, working);
        Ok(())
    }

    fn refuse(&mut self, venue_order_id: u64, order: VenueOrder) -> Result<(), Contradiction> {
        self.use_id(order.order_id, venue_order_id)?;
        self.history.add(FinalOrder {
            order_id: order.order_id,
            venue_order_id,
            quantity_steps: order.quantity_steps,
            filled_steps: 0,
            price_ticks: order.price_ticks,
            stop_price_ticks: order.stop_price_ticks,
            state: VenueOrderState::Rejected,
            fills: Vec::new(),
        });
        Ok(())
    }

    fn use_id(&mut self, order_id: OrderId, venue_order_id: u64) -> Result<(), Contradiction> {
        if !self.used.insert(order_id) {
            return Err(Contradiction { order_id, what: "its id was used before" });
        }
        self.last_venue_order_id = self.last_venue_order_id.max(venue_order_id);
        Ok(())
    }

    fn trigger(&mut self, order_id: OrderId) -> Result<(), Contradiction> {
        self.requeue(order_id, |order| {
            if !order.awaits_trigger() {
                return Err("it waits for no trigger price");
            }
            order.triggered = true;
            Ok(())
        })
    }

    fn replace(
        &mut self,
        order_id: OrderId,
        quantity_steps: i64,
        price_ticks: i64,
        stop_price_ticks: i64,
    ) -> Result<(), Contradiction> {
        self.requeue(order_id, |order| {
            if quantity_steps <= order.filled_steps {
                return Err("its new quantity is filled already");
            }
            order.order.quantity_steps = quantity_steps;
            order.order.price_ticks = price_ticks;
            order.order.stop_price_ticks = stop_price_ticks;
            Ok(())
        })
    }

    /// Changes an order and puts it behind the others of its new price.
    fn requeue(
        &mut self,
        order_id: OrderId,
        change: impl FnOnce(&mut WorkingOrder) -> Result<(), &'static str>,
    ) -> Result<(), Contradiction> {
        let order = self.working.get_mut(&order_id).ok_or(not_working(order_id))?;
        let book = &mut self.books[usize::from(order.order.instrument.0)];
        book.remove(order);
        let changed = change(order).map_err(|what| Contradiction { order_id, what });
        if changed.is_ok() {
            self.last_sequence += 1;
            order.sequence = self.last_sequence;
        }
        book.insert(order);
        changed
    }

    fn trade(&mut self, order_id: OrderId, fill: Fill) -> Result<(), Contradiction> {
        let order = self.working.get_mut(&order_id).ok_or(not_working(order_id))?;
        if fill.quantity_steps <= 0 || fill.quantity_steps > order.remaining_steps() {
            return Err(Contradiction { order_id, what: "it trades more than is left of it, or nothing" });
        }
        order.filled_steps += fill.quantity_steps;
        order.fills.push(fill);
        let is_filled = order.remaining_steps() == 0;
        let (side, place) = (order.order.side, (order.order.account, order.order.instrument));
        let position = self.positions.entry(place).or_default();
        // Order quantities end far below the range, so only an absurd run of them could reach its end.
        *position = position.saturating_add(side.sign() * fill.quantity_steps);
        self.last_trade_id = self.last_trade_id.max(fill.trade_id);
        if is_filled { self.finish(order_id, VenueOrderState::Filled) } else { Ok(()) }
    }

    fn finish(&mut self, order_id: OrderId, state: VenueOrderState) -> Result<(), Contradiction> {
        let order = self.working.remove(&order_id).ok_or(not_working(order_id))?;
        self.book_mut(order.order.instrument).remove(&order);
        if order.order.time_in_force == TimeInForce::GoodTillDate {
            self.expiries.remove(&(order.order.expire_at_ns, order_id));
        }
        self.history.add(order.into_final(state));
        Ok(())
    }

    pub(super) fn book(&self, instrument: InstrumentIndex) -> &Book {
        &self.books[usize::from(instrument.0)]
    }

    pub(super) fn book_mut(&mut self, instrument: InstrumentIndex) -> &mut Book {
        &mut self.books[usize::from(instrument.0)]
    }

    pub(super) fn books(&self) -> impl Iterator<Item = (InstrumentIndex, &Book)> {
        self.books.iter().enumerate().map(|(at, book)| (InstrumentIndex(at as u16), book))
    }

    pub(super) fn working(&self, order_id: OrderId) -> Option<&WorkingOrder> {
        self.working.get(&order_id)
    }

    pub(super) fn final_order(&self, order_id: OrderId) -> Option<&FinalOrder> {
        self.history.get(order_id)
    }

    /// Keeps a final order in full again.
    pub(super) fn recall(&mut self, order: FinalOrder) {
        self.history.add(order);
    }

    pub(super) fn is_used(&self, order_id: OrderId) -> bool {
        self.used.contains(order_id)
    }

    /// Net position, in steps; negative when short.
    pub(super) fn position(&self, account: AccountIndex, instrument: InstrumentIndex) -> i64 {
        self.positions.get(&(account, instrument)).copied().unwrap_or_default()
    }

    /// The earliest end of a good-till-date order.
    pub(super) fn first_expiry(&self) -> Option<(u64, OrderId)> {
        self.expiries.first().copied()
    }

    pub(super) fn working_orders(&self) -> usize {
        self.working.len()
    }

    pub(super) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    pub(super) fn next_venue_order_id(&self) -> u64 {
        self.last_venue_order_id + 1
    }

    pub(super) fn next_trade_id(&self) -> u64 {
        self.last_trade_id + 1
    }

    /// A hash of everything that a ledger rebuilds; equal for equal states within one process.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut working: Vec<&WorkingOrder> = self.working.values().collect();
        working.sort_unstable_by_key(|order| order.order.order_id);
        for order in working {
            (order.venue_order_id, order.filled_steps, order.triggered, order.sequence).hash(&mut hasher);
            hash_order(&order.order, &mut hasher);
            hash_fills(&order.fills, &mut hasher);
        }
        let mut positions: Vec<_> = self.positions.iter().collect();
        positions.sort_unstable();
        positions.hash(&mut hasher);
        self.used.sorted_words().hash(&mut hasher);
        for order in self.history.orders() {
            (order.order_id, order.venue_order_id, order.quantity_steps, order.filled_steps)
                .hash(&mut hasher);
            (order.price_ticks, order.stop_price_ticks, discriminant(&order.state)).hash(&mut hasher);
            hash_fills(&order.fills, &mut hasher);
        }
        self.expiries.hash(&mut hasher);
        (self.duplicates, self.last_venue_order_id, self.last_trade_id, self.last_sequence).hash(&mut hasher);
        hasher.finish()
    }
}

fn not_working(order_id: OrderId) -> Contradiction {
    Contradiction { order_id, what: "it does not work" }
}

fn hash_order(order: &VenueOrder, hasher: &mut DefaultHasher) {
    (order.order_id, order.account, order.instrument, order.side, order.order_type).hash(hasher);
    (order.time_in_force, order.quantity_steps, order.price_ticks, order.stop_price_ticks).hash(hasher);
    (order.expire_at_ns, order.reduce_only, order.position_ticket).hash(hasher);
}

fn hash_fills(fills: &[Fill], hasher: &mut DefaultHasher) {
    fills.len().hash(hasher);
    for fill in fills {
        (fill.trade_id, fill.price_ticks, fill.quantity_steps, fill.fee, fill.maker).hash(hasher);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tollgate_protocol::command::{OrderType, Side};
    use tollgate_protocol::money::Money;

    fn received(id: u64) -> LedgerEntry {
        LedgerEntry::Received {
            at_ns: 1,
            venue_order_id: id + 100,
            order: VenueOrder {
                order_id: OrderId(id),
                account: AccountIndex(0),
                instrument: InstrumentIndex(0),
                side: Side::Sell,
                order_type: OrderType::Limit,
                time_in_force: TimeInForce::GoodTillCancel,
                quantity_steps: 10,
                price_ticks: 50,
                stop_price_ticks: 0,
                expire_at_ns: 0,
                reduce_only: false,
                position_ticket: 0,
                stop_loss_ticks: 0,
                take_profit_ticks: 0,
            },
        }
    }

    fn traded(id: u64, quantity_steps: i64) -> LedgerEntry {
        LedgerEntry::Traded {
            at_ns: 1,
            order_id: OrderId(id),
            trade_id: 1,
            price_ticks: 50,
            quantity_steps,
            fee: Money::ZERO,
            maker: true,
        }
    }

    #[test]
    fn contradictions_are_named_and_change_nothing() {
        let mut state = State::new(1, 10);
        state.apply(&received(1)).unwrap();
        let before = state.fingerprint();
        let replaced = LedgerEntry::Replaced {
            at_ns: 1,
            order_id: OrderId(1),
            quantity_steps: 0,
            price_ticks: 50,
            stop_price_ticks: 0,
        };
        let LedgerEntry::Received { order, .. } = received(7) else { unreachable!() };
        let elsewhere = VenueOrder { instrument: InstrumentIndex(1), ..order };
        for entry in [
            received(1),
            traded(1, 11),
            traded(1, 0),
            traded(2, 1),
            replaced,
            LedgerEntry::Triggered { at_ns: 1, order_id: OrderId(1) },
            LedgerEntry::Cancelled { at_ns: 1, order_id: OrderId(2) },
            LedgerEntry::Received { at_ns: 1, venue_order_id: 1, order: elsewhere },
        ] {
            assert!(state.apply(&entry).is_err(), "{entry:?}");
            assert_eq!(state.fingerprint(), before, "{entry:?}");
        }
    }

    #[test]
    fn a_filled_order_is_over() {
        let mut state = State::new(1, 10);
        for entry in [received(1), traded(1, 4), traded(1, 6)] {
            state.apply(&entry).unwrap();
        }
        assert!(state.working(OrderId(1)).is_none());
        assert_eq!(state.final_order(OrderId(1)).unwrap().state, VenueOrderState::Filled);
        assert_eq!(state.position(AccountIndex(0), InstrumentIndex(0)), -10);
        assert!(state.apply(&LedgerEntry::Cancelled { at_ns: 1, order_id: OrderId(1) }).is_err());
    }
}
