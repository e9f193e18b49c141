//! Failed logons by address, and the blocks that follow.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::address::network;

/// Failures are counted within windows of this length.
const WINDOW: Duration = Duration::from_secs(60);
/// The most addresses that are remembered.
const ADDRESSES_MAX: usize = 4096;

/// Which addresses have failed lately: a bounded table.
pub(super) struct Failures {
    limit: u32,
    block: Duration,
    addresses: HashMap<IpAddr, Record>,
}

#[derive(Clone, Copy)]
struct Record {
    window_began: Instant,
    failures: u32,
    blocked_until: Option<Instant>,
}

impl Record {
    /// When nothing of it matters any more.
    fn ends(&self) -> Instant {
        self.blocked_until.unwrap_or(self.window_began + WINDOW)
    }
}

impl Failures {
    /// `limit` failures within a minute block an address for `block`.
    pub(super) fn new(limit: u32, block: Duration) -> Self {
        Self { limit, block, addresses: HashMap::new() }
    }

    /// How long the address is still blocked; `None` when it is not.
    pub(super) fn blocked(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let until = self.addresses.get(&network(address))?.blocked_until?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Addresses that are blocked.
    pub(super) fn blocked_addresses(&self, now: Instant) -> usize {
        self.addresses.values().filter(|record| record.blocked_until.is_some_and(|until| until > now)).count()
    }

    /// Counts a failure; true when it is the one that blocks the address.
    pub(super) fn failed(&mut self, address: IpAddr, now: Instant) -> bool {
        let address = network(address);
        if !self.addresses.contains_key(&address) {
            self.make_room(now);
        }
        let fresh = Record { window_began: now, failures: 0, blocked_until: None };
        let record = self.addresses.entry(address).or_insert(fresh);
        if record.ends() <= now {
            *record = fresh;
        }
        record.failures = record.failures.saturating_add(1);
        let blocks = record.failures >= self.limit && record.blocked_until.is_none();
        if blocks {
            record.blocked_until = Some(now + self.block);
        }
        blocks
    }

    /// Forgets what is over; when that is not enough, an address that is not blocked, or else the one whose block
    /// ends first.
    fn make_room(&mut self, now: Instant) {
        if self.addresses.len() < ADDRESSES_MAX {
            return;
        }
        self.addresses.retain(|_, record| record.ends() > now);
        if self.addresses.len() < ADDRESSES_MAX {
            return;
        }
        let first = self.addresses.iter().min_by_key(|(_, it)| (it.blocked_until.is_some(), it.ends()));
        if let Some(address) = first.map(|(address, _)| *address) {
            self.addresses.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn so_many_failures_within_a_minute_block() {
        let mut failures = Failures::new(3, Duration::from_secs(10));
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert!(!failures.failed(ADDRESS, at(0)) && !failures.failed(ADDRESS, at(1)));
        assert_eq!(failures.blocked(ADDRESS, at(1)), None);
        assert!(failures.failed(ADDRESS, at(2)));
        assert_eq!(failures.blocked(ADDRESS, at(5)), Some(Duration::from_secs(7)));
        assert_eq!(failures.blocked_addresses(at(5)), 1);
        assert_eq!(failures.blocked(ADDRESS, at(12)), None);
        assert!(!failures.failed(ADDRESS, at(12)), "counting begins anew after a block");
    }

    #[test]
    fn failures_far_apart_do_not_block() {
        let mut failures = Failures::new(2, Duration::from_secs(10));
        let begin = Instant::now();
        for minute in 0..10 {
            assert!(!failures.failed(ADDRESS, begin + WINDOW * minute));
        }
    }

    #[test]
    fn the_table_is_bounded_and_keeps_blocks() {
        let mut failures = Failures::new(2, Duration::from_secs(600));
        let now = Instant::now();
        failures.failed(ADDRESS, now);
        assert!(failures.failed(ADDRESS, now));
        for number in 0..2 * ADDRESSES_MAX as u32 {
            failures.failed(IpAddr::V4((0x0a00_0000 + number).into()), now + Duration::from_millis(1));
        }
        assert_eq!(failures.addresses.len(), ADDRESSES_MAX);
        assert!(failures.blocked(ADDRESS, now).is_some());
    }
}
