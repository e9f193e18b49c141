//! The orders that the gateway knows: every open one, and the last finished ones for who asks late.

use tollgate_protocol::answer::OrderStatus;
use tollgate_protocol::command::Side;
use tollgate_protocol::identity::{AccountIndex, CommandId, OrderId};
use tollgate_protocol::instrument::InstrumentIndex;

use super::memory;
use super::table::{IndexTable, hash_pair};
use crate::record::OrderTerms;

/// What a replace asks for, until the venue has answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Totals {
    /// Total quantity, in steps.
    pub quantity_steps: i64,
    /// Limit price, in ticks; 0 without one.
    pub price_ticks: i64,
    /// Trigger price, in ticks; 0 without one.
    pub stop_price_ticks: i64,
}

/// An order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// The gateway's id.
    pub order_id: OrderId,
    /// The command that made it.
    pub command_id: CommandId,
    /// Whose it is.
    pub client: u16,
    /// Its terms as they are now.
    pub terms: OrderTerms,
    /// Filled so far, in steps.
    pub filled_steps: i64,
    /// Where it stands.
    pub status: OrderStatus,
    /// A cancel is on its way.
    pub cancel_pending: bool,
    /// The journal sequence of what asked for that cancel.
    pub cancel_sequence: u64,
    /// A replace is on its way.
    pub replace_pending: Option<Totals>,
    /// The venue's own id; 0 before it is known.
    pub venue_order_id: u64,
}

impl Order {
    /// What still works, in steps.
    #[inline]
    pub fn open_steps(&self) -> i64 {
        if self.status.is_final() { 0 } else { self.terms.quantity_steps - self.filled_steps }
    }

    /// What exposure counts, in steps: the larger of what stands and what a replace on its way would make of it.
    #[inline]
    pub fn counted_steps(&self) -> i64 {
        let open = self.open_steps();
        match self.replace_pending {
            Some(totals) if !self.status.is_final() => open.max(totals.quantity_steps - self.filled_steps),
            _ => open,
        }
    }

    /// The price at which exposure counts it, in ticks.
    #[inline]
    pub fn counted_ticks(&self) -> i64 {
        match self.replace_pending {
            Some(totals) => self.terms.value_ticks.max(self.terms.value_after(totals)),
            None => self.terms.value_ticks,
        }
    }
}

impl OrderTerms {
    /// The price at which exposure counts the order after a replace, in ticks.
    #[inline]
    pub fn value_after(&self, totals: Totals) -> i64 {
        [totals.price_ticks, totals.stop_price_ticks, self.value_ticks]
            .into_iter()
            .find(|ticks| *ticks != 0)
            .unwrap_or(0)
    }
}

const NONE: u32 = u32::MAX;
/// How many orders ahead what will be forgotten is fetched.
const PREFETCHED_AHEAD: usize = 8;
/// Trades of open orders that are kept by one that comes, at most: the ring has several places for every order.
const TRADES_KEPT_A_TIME: usize = 16;

#[derive(Clone, Copy)]
struct Slot {
    order: Order,
    /// Its place among the open orders, or `NONE`.
    open_at: u32,
    /// The open order before it on the same book (account, instrument and side), or `NONE`.
    previous: u32,
    /// The open order behind it on the same book, or `NONE`.
    next: u32,
}

/// All orders, in slots that are made once.
pub struct Orders {
    slots: Vec<Slot>,
    capacity: usize,
    by_id: IndexTable,
    by_command: IndexTable,
    open: Vec<u32>,
    /// The first open order of each account, instrument and side, or `NONE`.
    books: Box<[u32]>,
    accounts: usize,
    /// Slots of finished orders, oldest first: a ring.
    finished: std::collections::VecDeque<u32>,
    finished_max: usize,
    /// Slots of no order; the one that was left last is taken first, while it is still near the processor.
    free: Vec<u32>,
    trades: Trades,
    seed: u64,
}

impl Orders {
    /// Room for `open` open orders and at least `finished` finished ones.
    pub fn new(open: usize, finished: usize, accounts: usize, instruments: usize, seed: u64) -> Self {
        let capacity = open + finished.max(1);
        Self {
            slots: memory::room(capacity),
            capacity,
            by_id: IndexTable::new(capacity),
            by_command: IndexTable::new(capacity),
            open: memory::room(open),
            books: vec![NONE; accounts * instruments * 2].into_boxed_slice(),
            accounts,
            finished: memory::room(finished.max(1) + 1).into(),
            finished_max: finished.max(1),
            free: memory::room(capacity),
            trades: Trades::new((4 * capacity).next_power_of_two(), seed),
            seed,
        }
    }

    /// Ids only grow: 64 that follow one another lie side by side in the index, and in few cache lines.
    #[inline]
    fn id_hash(&self, order_id: OrderId) -> u64 {
        let together = hash_pair(self.seed, order_id.0 >> 6, 0) & !(63 << 32);
        together | (order_id.0 & 63) << 32
    }

    #[inline]
    fn command_hash(&self, client: u16, command_id: CommandId) -> u64 {
        hash_pair(self.seed, command_id.0 as u64, (command_id.0 >> 64) as u64 ^ u64::from(client) << 48)
    }

    /// Open orders.
    #[inline]
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// True when `reserve` more open orders would still fit after one more.
    #[inline]
    pub fn has_room(&self, reserve: usize) -> bool {
        self.open.len() + reserve < self.open.capacity()
    }

    /// The order with the gateway's id, while it is remembered.
    #[inline]
    pub fn find(&self, order_id: OrderId) -> Option<u32> {
        self.by_id.find(self.id_hash(order_id), |slot| self.slots[slot as usize].order.order_id == order_id)
    }

    /// The order that a client's command made, while it is remembered.
    #[inline]
    pub fn find_command(&self, client: u16, command_id: CommandId) -> Option<u32> {
        self.by_command.find(self.command_hash(client, command_id), |slot| {
            let order = &self.slots[slot as usize].order;
            order.command_id == command_id && order.client == client
        })
    }

    /// A command with this id is coming: it may make an order.
    #[inline]
    pub fn prefetch(&self, client: u16, command_id: CommandId) {
        self.by_command.prefetch(self.command_hash(client, command_id));
    }

    /// Has the place brought near that the next order takes, and where its id leads to.
    #[inline]
    pub fn prefetch_next(&self, order_id: OrderId) {
        if let Some(slot) = self.free.last() {
            memory::prefetch(&self.slots, *slot as usize);
        }
        self.by_id.prefetch(self.id_hash(order_id));
    }

    /// The order in a slot that `find` or `open_slots` gave.
    #[inline]
    pub fn get(&self, slot: u32) -> &Order {
        &self.slots[slot as usize].order
    }

    /// The same, to be changed. Status goes through [`Orders::finish`].
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> &mut Order {
        &mut self.slots[slot as usize].order
    }

    /// Orders that can be remembered, open or finished.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Slots in use, by open orders and finished ones.
    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// The slots of the open orders, in no promised but in a reproducible order.
    #[inline]
    pub fn open_slots(&self) -> &[u32] {
        &self.open
    }

    /// Adds an open order. `children` share their parent's command id and are not
    /// found by it.
    #[inline]
    pub fn insert(&mut self, order: Order, child: bool) -> u32 {
        assert!(
            self.open.len() < self.open.capacity(),
            "the room for open orders is checked before an intent"
        );
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        let entry = Slot { order, open_at: self.open.len() as u32, previous: NONE, next: NONE };
        if slot as usize == self.slots.len() {
            // capacity = open + finished, and neither is exceeded.
            self.slots.push(entry);
        } else {
            self.slots[slot as usize] = entry;
        }
        self.by_id.insert(self.id_hash(order.order_id), slot);
        if !child {
            self.by_command.insert(self.command_hash(order.client, order.command_id), slot);
        }
        self.open.push(slot);
        self.link(slot);
        slot
    }

    #[inline]
    fn book(&self, account: AccountIndex, instrument: InstrumentIndex, side: Side) -> usize {
        (usize::from(instrument.0) * self.accounts + usize::from(account.0)) * 2 + side as usize
    }

    #[inline]
    fn link(&mut self, slot: u32) {
        let terms = &self.slots[slot as usize].order.terms;
        let book = self.book(terms.account, terms.instrument, terms.side);
        let first = std::mem::replace(&mut self.books[book], slot);
        self.slots[slot as usize].previous = NONE;
        self.slots[slot as usize].next = first;
        if first != NONE {
            self.slots[first as usize].previous = slot;
        }
    }

    #[inline]
    fn unlink(&mut self, slot: u32) {
        let Slot { previous, next, order, .. } = self.slots[slot as usize];
        if previous == NONE {
            let book = self.book(order.terms.account, order.terms.instrument, order.terms.side);
            self.books[book] = next;
        } else {
            self.slots[previous as usize].next = next;
        }
        if next != NONE {
            self.slots[next as usize].previous = previous;
        }
    }

    /// The slots of the open orders of one account, instrument and side, newest first.
    #[inline]
    pub fn on_book(
        &self,
        account: AccountIndex,
        instrument: InstrumentIndex,
        side: Side,
    ) -> impl Iterator<Item = u32> + '_ {
        let mut at = self.books[self.book(account, instrument, side)];
        std::iter::from_fn(move || {
            let slot = (at != NONE).then_some(at)?;
            at = self.slots[slot as usize].next;
            Some(slot)
        })
    }

    /// Makes an order final. The oldest finished one is forgotten when there are too many: here, and not when the next
    /// order wants its place, for nobody waits for what a report leads to as one waits for an acknowledgement.
    #[inline]
    pub fn finish(&mut self, slot: u32, status: OrderStatus) {
        debug_assert!(status.is_final());
        let open_at = self.slots[slot as usize].open_at;
        assert!(open_at != NONE, "an order finishes once");
        let entry = &mut self.slots[slot as usize];
        entry.order.status = status;
        entry.order.cancel_pending = false;
        entry.order.replace_pending = None;
        entry.open_at = NONE;
        self.unlink(slot);
        self.open.swap_remove(open_at as usize);
        if let Some(moved) = self.open.get(open_at as usize) {
            self.slots[*moved as usize].open_at = open_at;
        }
        self.finished.push_back(slot);
        if self.finished.len() > self.finished_max {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(slot) = self.finished.pop_front() else { return };
        self.prefetch_oldest();
        let old = &self.slots[slot as usize].order;
        let (id_hash, command_hash) =
            (self.id_hash(old.order_id), self.command_hash(old.client, old.command_id));
        self.by_id.remove(id_hash, slot);
        self.by_command.remove(command_hash, slot);
        self.free.push(slot);
    }

    /// Nobody looked for long at what is forgotten next, and its slot is the next that an order takes: both are brought
    /// near some orders ahead, first the order, then what its ids lead to.
    #[inline]
    fn prefetch_oldest(&self) {
        if let Some(slot) = self.finished.get(2 * PREFETCHED_AHEAD) {
            memory::prefetch(&self.slots, *slot as usize);
        }
        if let Some(slot) = self.finished.get(PREFETCHED_AHEAD) {
            let old = &self.slots[*slot as usize].order;
            self.by_command.prefetch(self.command_hash(old.client, old.command_id));
        }
    }

    /// Remembers a trade; false when it was known.
    #[inline]
    pub fn is_new_trade(&self, order_id: OrderId, trade_id: u64) -> bool {
        !self.trades.contains(order_id, trade_id)
    }

    /// Remembers a trade of an order.
    #[inline]
    pub fn remember_trade(&mut self, order_id: OrderId, trade_id: u64) {
        // A trade of an open order stays: its venue may report it again whenever it is asked.
        for _ in 0..TRADES_KEPT_A_TIME {
            let Some(oldest) = self.trades.oldest() else { break };
            let is_open = self.find(oldest.0).is_some_and(|slot| !self.get(slot).status.is_final());
            if !is_open {
                break;
            }
            self.trades.insert(oldest.0, oldest.1);
        }
        self.trades.insert(order_id, trade_id);
    }

    /// Every remembered order, by id, for digests and tests. Allocates.
    pub fn sorted(&self) -> Vec<&Order> {
        let mut orders: Vec<_> = self.slots.iter().map(|slot| &slot.order).collect();
        orders.sort_by_key(|order| order.order_id);
        orders
    }
}

/// The last trades seen, so that a report that comes again is not counted again. An order that is filled takes no
/// more trades anyway; the ring holds several for each order that can be remembered.
struct Trades {
    entries: Vec<(OrderId, u64)>,
    next: usize,
    table: IndexTable,
    seed: u64,
}

impl Trades {
    fn new(capacity: usize, seed: u64) -> Self {
        Self { entries: memory::room(capacity), next: 0, table: IndexTable::new(capacity), seed }
    }

    #[inline]
    fn contains(&self, order_id: OrderId, trade_id: u64) -> bool {
        let hash = hash_pair(self.seed, order_id.0, trade_id);
        self.table.find(hash, |entry| self.entries[entry as usize] == (order_id, trade_id)).is_some()
    }

    /// The trade that makes room for the next one; `None` while there is room.
    #[inline]
    fn oldest(&self) -> Option<(OrderId, u64)> {
        (self.entries.len() == self.entries.capacity()).then(|| self.entries[self.next])
    }

    #[inline]
    fn insert(&mut self, order_id: OrderId, trade_id: u64) {
        if self.entries.len() < self.entries.capacity() {
            self.entries.push((order_id, trade_id));
        } else {
            let (old_order, old_trade) = self.entries[self.next];
            self.table.remove(hash_pair(self.seed, old_order.0, old_trade), self.next as u32);
            self.entries[self.next] = (order_id, trade_id);
        }
        self.table.insert(hash_pair(self.seed, order_id.0, trade_id), self.next as u32);
        self.next = (self.next + 1) % self.entries.capacity();
    }
}
