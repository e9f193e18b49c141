//! Failed logons, counted by key and address and by address alone, and what follows: the answer to a wrong proof comes
//! late. A right proof is never refused or kept waiting for what others did: behind a tunnel all clients have one address.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tollgate_protocol::text::KeyId;

use super::address::network;

/// Failures are counted within windows of this length.
const WINDOW: Duration = Duration::from_secs(60);
/// The most keys and addresses that are remembered.
const ENTRIES_MAX: usize = 4096;
/// The shortest delay of an answer, after the first failure too many; each further one doubles it.
const DELAY_MIN: Duration = Duration::from_millis(250);
/// The longest.
const DELAY_MAX: Duration = Duration::from_secs(4);

/// Who has failed lately: tables of fixed size.
pub(super) struct Failures {
    limit: u32,
    block: Duration,
    /// By the name that was given, whether there is such a key or not, and where from.
    pairs: Table<(KeyId, IpAddr)>,
    addresses: Table<IpAddr>,
}

/// What follows from a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    /// The answer waits for so long.
    pub(super) delay: Duration,
    /// There were too many of this key from this address: how long that is held against it.
    pub(super) blocked: Option<Duration>,
    /// Failures of the key from this address in the present window.
    pub(super) failures: u32,
}

impl Failures {
    /// Up to `limit` failures within a minute are answered at once; what comes then is answered late until nothing
    /// has failed for `block`.
    pub(super) fn new(limit: u32, block: Duration) -> Self {
        Self { limit, block, pairs: Table::new(), addresses: Table::new() }
    }

    /// Counts a failure.
    pub(super) fn failed(&mut self, key: KeyId, address: IpAddr, now: Instant) -> Verdict {
        let address = network(address);
        let pair = self.pairs.count((key, address), now, self.limit, self.block);
        let from_address = self.addresses.count(address, now, self.limit, self.block);
        let blocked = (pair > self.limit).then_some(self.block);
        Verdict { delay: self.delay(pair.max(from_address)), blocked, failures: pair }
    }

    fn delay(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.limit) {
            None | Some(0) => Duration::ZERO,
            Some(beyond) => (DELAY_MIN * (1 << (beyond - 1).min(8))).min(DELAY_MAX),
        }
    }

    /// Addresses from which wrong proofs are answered late.
    pub(super) fn late_addresses(&self, now: Instant) -> usize {
        self.addresses.records.values().filter(|it| it.failures > self.limit && it.ends > now).count()
    }
}

/// Counts of failures. A full table forgets whom it has known longest: a constant amount of work, whoever floods it.
struct Table<K> {
    records: HashMap<K, Record>,
    /// Every key once, in the order in which they came.
    order: VecDeque<K>,
}

#[derive(Clone, Copy)]
struct Record {
    failures: u32,
    ends: Instant,
}

impl<K: Copy + Eq + Hash> Table<K> {
    fn new() -> Self {
        Self { records: HashMap::new(), order: VecDeque::new() }
    }

    /// One more; the failures in the present window. The window of who has failed too often goes on with each failure.
    fn count(&mut self, key: K, now: Instant, limit: u32, block: Duration) -> u32 {
        if !self.records.contains_key(&key) {
            if self.order.len() >= ENTRIES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.records.remove(&oldest);
            }
            self.order.push_back(key);
        }
        let fresh = Record { failures: 0, ends: now + WINDOW };
        let record = self.records.entry(key).or_insert(fresh);
        if record.ends <= now {
            *record = fresh;
        }
        record.failures = record.failures.saturating_add(1);
        if record.failures > limit {
            record.ends = now + block;
        }
        record.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn key(name: &str) -> KeyId {
        KeyId::truncated(name)
    }

    #[test]
    fn answers_come_later_and_later_until_nothing_failed_for_a_while() {
        let mut failures = Failures::new(2, Duration::from_secs(10));
        let begin = Instant::now();
        let mut at = |ms| failures.failed(key("a"), ADDRESS, begin + Duration::from_millis(ms));
        let delays: Vec<u64> = (0..8).map(|ms| at(ms).delay.as_millis() as u64).collect();
        assert_eq!(delays, [0, 0, 250, 500, 1000, 2000, 4000, 4000]);
        assert_eq!(at(9).blocked, Some(Duration::from_secs(10)));
        assert_eq!(at(9_000).failures, 10, "the window goes on with each failure");
        let after = at(19_001);
        assert_eq!((after.delay, after.blocked, after.failures), (Duration::ZERO, None, 1));
    }

    #[test]
    fn keys_are_counted_apart_and_their_address_together() {
        let mut failures = Failures::new(2, Duration::from_secs(10));
        let now = Instant::now();
        for _ in 0..3 {
            failures.failed(key("a"), ADDRESS, now);
        }
        let other = failures.failed(key("b"), ADDRESS, now);
        assert_eq!((other.failures, other.blocked), (1, None), "another key is not held responsible");
        assert!(other.delay > Duration::ZERO, "but wrong proofs from this address wait");
        assert_eq!(failures.late_addresses(now), 1);
        let elsewhere = failures.failed(key("a"), IpAddr::from([192, 0, 2, 1]), now);
        assert_eq!((elsewhere.delay, elsewhere.blocked), (Duration::ZERO, None));
        assert_eq!(failures.late_addresses(now + Duration::from_secs(11)), 0);
    }

    #[test]
    fn failures_far_apart_are_answered_at_once() {
        let mut failures = Failures::new(1, Duration::from_secs(10));
        let begin = Instant::now();
        for minute in 0..10 {
            assert_eq!(failures.failed(key("a"), ADDRESS, begin + WINDOW * minute).delay, Duration::ZERO);
        }
    }

    #[test]
    fn the_tables_are_bounded_and_a_flood_of_names_does_not_hide_its_address() {
        let mut failures = Failures::new(2, Duration::from_secs(600));
        let now = Instant::now();
        for number in 0..2 * ENTRIES_MAX {
            failures.failed(key(&number.to_string()), ADDRESS, now);
        }
        assert_eq!((failures.pairs.records.len(), failures.pairs.order.len()), (ENTRIES_MAX, ENTRIES_MAX));
        assert_eq!(failures.addresses.records.len(), 1);
        assert_eq!(failures.failed(key("new"), ADDRESS, now).delay, DELAY_MAX);
    }
}
