//! What the venue remembers of orders that are over: every id for ever, the last ones in full.

use std::collections::{HashMap, VecDeque};

use tollgate_protocol::identity::OrderId;

use super::id_map::IdMap;
use super::order::FinalOrder;

/// Ids of a page.
const PAGE_IDS: u64 = 4096;

/// The ids that were ever used, a bit for each. Ids come from one counter, so pages are full but for what else it counts:
/// half a byte an order.
#[derive(Default)]
pub(super) struct UsedIds {
    pages: HashMap<u64, Box<[u64; (PAGE_IDS / 64) as usize]>>,
}

impl UsedIds {
    /// Adds `id`; false when it was there.
    pub(super) fn insert(&mut self, id: OrderId) -> bool {
        let page = self.pages.entry(id.0 / PAGE_IDS).or_insert_with(|| Box::new([0; _]));
        let (word, bit) = place(id);
        let is_new = page[word] & bit == 0;
        page[word] |= bit;
        is_new
    }

    /// True when `id` was ever used.
    pub(super) fn contains(&self, id: OrderId) -> bool {
        let (word, bit) = place(id);
        self.pages.get(&(id.0 / PAGE_IDS)).is_some_and(|page| page[word] & bit != 0)
    }

    /// All of them in words of 64, by number: for comparing.
    pub(super) fn sorted_words(&self) -> Vec<(u64, u64)> {
        let words_of = |page: u64| (page * (PAGE_IDS / 64)..).zip(self.pages[&page].iter().copied());
        let mut pages: Vec<u64> = self.pages.keys().copied().collect();
        pages.sort_unstable();
        pages.into_iter().flat_map(words_of).filter(|(_, word)| *word != 0).collect()
    }
}

/// The word of its page, and the bit in it.
fn place(id: OrderId) -> (usize, u64) {
    ((id.0 % PAGE_IDS / 64) as usize, 1 << (id.0 % 64))
}

/// The last final orders, at most `limit` of them.
pub(super) struct History {
    limit: usize,
    /// How many have been dropped from the front.
    dropped: u64,
    orders: VecDeque<FinalOrder>,
    /// By id, the position counted from the first order ever added.
    positions: IdMap<u64>,
}

impl History {
    /// Room for `limit` orders.
    pub(super) fn new(limit: usize) -> Self {
        assert!(limit > 0, "checked with the settings");
        Self { limit, dropped: 0, orders: VecDeque::new(), positions: IdMap::default() }
    }

    /// Adds an order that is not there, and drops the oldest when there is no room.
    pub(super) fn add(&mut self, order: FinalOrder) {
        if self.orders.len() == self.limit
            && let Some(oldest) = self.orders.pop_front()
        {
            self.positions.remove(&oldest.order_id);
            self.dropped += 1;
        }
        let position = self.dropped + self.orders.len() as u64;
        let before = self.positions.insert(order.order_id, position);
        assert!(before.is_none(), "an order becomes final once");
        self.orders.push_back(order);
    }

    /// The order, if it is among the last.
    pub(super) fn get(&self, id: OrderId) -> Option<&FinalOrder> {
        let position = self.positions.get(&id)?;
        self.orders.get((position - self.dropped) as usize)
    }

    /// All that are kept, oldest first.
    pub(super) fn orders(&self) -> impl Iterator<Item = &FinalOrder> {
        self.orders.iter()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tollgate_contract::venue::VenueOrderState;

    fn final_order(id: u64) -> FinalOrder {
        FinalOrder {
            order_id: OrderId(id),
            venue_order_id: id + 1000,
            quantity_steps: 1,
            filled_steps: 0,
            price_ticks: 0,
            stop_price_ticks: 0,
            state: VenueOrderState::Cancelled,
            fills: Vec::new(),
        }
    }

    #[test]
    fn history_keeps_the_last_ones() {
        let mut history = History::new(3);
        for id in 0..10 {
            history.add(final_order(id));
        }
        assert!((0..7).all(|id| history.get(OrderId(id)).is_none()));
        assert!((7..10).all(|id| history.get(OrderId(id)).unwrap().venue_order_id == id + 1000));
    }

    proptest! {
        #[test]
        fn used_ids_are_a_set(ids in proptest::collection::vec(prop_oneof![0_u64..300, any::<u64>()], 0..200)) {
            let (mut used, mut reference) = (UsedIds::default(), std::collections::HashSet::new());
            for id in &ids {
                prop_assert_eq!(used.contains(OrderId(*id)), reference.contains(id));
                prop_assert_eq!(used.insert(OrderId(*id)), reference.insert(*id));
            }
            prop_assert!(ids.iter().all(|id| used.contains(OrderId(*id))));
            prop_assert_eq!(
                used.sorted_words().iter().map(|(_, word)| word.count_ones() as usize).sum::<usize>(),
                reference.len()
            );
        }
    }
}
