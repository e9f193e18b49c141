//! Connections that have not logged on yet: a bounded table in which the oldest make room.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::rc::Rc;

use tokio::sync::Notify;

use super::address::network;

/// The table. A full one never turns a newcomer away: whoever is quick to prove himself gets in, however many
/// connections others hold open.
pub(super) struct Waiting {
    limit: usize,
    per_address_limit: usize,
    /// In order of arrival.
    entries: BTreeMap<u64, Entry>,
    /// The same by address.
    by_address: HashMap<IpAddr, BTreeSet<u64>>,
    next: u64,
}

struct Entry {
    address: IpAddr,
    evicted: Rc<Notify>,
}

/// A place in the table.
pub(super) struct Place {
    /// Its number.
    pub(super) number: u64,
    /// Notified once when the place is lost.
    pub(super) evicted: Rc<Notify>,
}

impl Waiting {
    /// An empty table of `limit` places, at most `per_address_limit` of them for one address.
    pub(super) fn new(limit: usize, per_address_limit: usize) -> Self {
        assert!(limit > 0 && per_address_limit > 0, "the settings allow at least one of each");
        Self { limit, per_address_limit, entries: BTreeMap::new(), by_address: HashMap::new(), next: 0 }
    }

    /// Places taken.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Gives a place. When the address has all of its places, its own oldest connection loses one; else, when the
    /// table is full, the oldest of all.
    pub(super) fn enter(&mut self, address: IpAddr) -> Place {
        let address = network(address);
        let own_oldest = self
            .by_address
            .get(&address)
            .filter(|own| own.len() >= self.per_address_limit)
            .and_then(|own| own.first().copied());
        let oldest = || self.entries.first_key_value().map(|(number, _)| *number);
        let loser = own_oldest.or_else(|| if self.entries.len() >= self.limit { oldest() } else { None });
        if let Some(loser) = loser {
            self.evict(loser);
        }
        let number = self.next;
        self.next += 1;
        let evicted = Rc::new(Notify::new());
        self.entries.insert(number, Entry { address, evicted: Rc::clone(&evicted) });
        self.by_address.entry(address).or_default().insert(number);
        Place { number, evicted }
    }

    /// Gives a place back. Nothing happens when it was lost already.
    pub(super) fn leave(&mut self, number: u64) {
        let _ = self.remove(number);
    }

    /// Everybody loses his place.
    pub(super) fn evict_all(&mut self) {
        let numbers: Vec<u64> = self.entries.keys().copied().collect();
        for number in numbers {
            self.evict(number);
        }
    }

    fn evict(&mut self, number: u64) {
        if let Some(entry) = self.remove(number) {
            entry.evicted.notify_one();
        }
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        if let Some(own) = self.by_address.get_mut(&entry.address) {
            own.remove(&number);
            if own.is_empty() {
                self.by_address.remove(&entry.address);
            }
        }
        Some(entry)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn numbers(waiting: &Waiting) -> Vec<u64> {
        waiting.entries.keys().copied().collect()
    }

    #[test]
    fn the_oldest_of_all_makes_room() {
        let mut waiting = Waiting::new(3, 2);
        for last in 1..=4 {
            waiting.enter(address(last));
        }
        assert_eq!(numbers(&waiting), [1, 2, 3]);
    }

    #[test]
    fn an_address_with_all_its_places_loses_its_own_oldest() {
        let mut waiting = Waiting::new(4, 2);
        for last in [1, 2, 2, 2, 2] {
            waiting.enter(address(last));
        }
        assert_eq!(numbers(&waiting), [0, 3, 4]);
    }

    #[test]
    fn leaving_after_an_eviction_takes_nothing_from_others() {
        let mut waiting = Waiting::new(1, 1);
        let first = waiting.enter(address(1));
        let second = waiting.enter(address(2));
        waiting.leave(first.number);
        assert_eq!(waiting.len(), 1);
        waiting.leave(second.number);
        assert_eq!((waiting.len(), waiting.by_address.len()), (0, 0));
    }

    proptest! {
        #[test]
        fn both_limits_always_hold(
            steps in proptest::collection::vec((0_u8..6, any::<bool>(), 0_u64..64), 1..200),
        ) {
            let mut waiting = Waiting::new(8, 3);
            for (last, enters, number) in steps {
                if enters { waiting.enter(address(last)); } else { waiting.leave(number); }
                prop_assert!(waiting.len() <= 8);
                prop_assert!(waiting.by_address.values().all(|own| own.len() <= 3 && !own.is_empty()));
                prop_assert_eq!(waiting.by_address.values().map(BTreeSet::len).sum::<usize>(), waiting.len());
            }
        }
    }
}
