//! Repeated orders: the same content again within a short time, under another command id.

use super::table::hash_bytes;
use crate::record::OrderTerms;

/// How many orders of a client are remembered.
const REMEMBERED: usize = 32;

/// The last orders of each client, by content.
pub struct Repeats {
    rings: Box<[Ring]>,
}

#[derive(Clone, Copy)]
struct Ring {
    entries: [(u64, u64); REMEMBERED],
    next: usize,
}

/// The hash of what makes two orders the same: everything but their ids.
pub fn content(terms: &OrderTerms) -> u64 {
    let mut bytes = [0_u8; 64];
    let numbers = [
        u64::from(terms.account.0) << 32 | u64::from(terms.instrument.0) << 8 | terms.side as u64,
        (terms.order_type as u64) << 16 | (terms.time_in_force as u64) << 8 | u64::from(terms.reduce_only),
        terms.quantity_steps as u64,
        terms.price_ticks as u64,
        terms.stop_price_ticks as u64,
        terms.stop_loss_ticks as u64,
        terms.take_profit_ticks as u64,
        terms.position_ticket,
    ];
    for (chunk, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        chunk.copy_from_slice(&number.to_le_bytes());
    }
    hash_bytes(0x7265_7065_6174, &bytes)
}

impl Repeats {
    /// For this many clients.
    pub fn new(clients: usize) -> Self {
        Self { rings: vec![Ring { entries: [(0, 0); REMEMBERED], next: 0 }; clients].into_boxed_slice() }
    }

    /// True when the client sent the same content after `since_ns`.
    #[inline]
    pub fn contains(&self, client: u16, content: u64, since_ns: u64) -> bool {
        self.rings[usize::from(client)]
            .entries
            .iter()
            .any(|(hash, time_ns)| *hash == content && *time_ns > since_ns)
    }

    /// Remembers an order.
    #[inline]
    pub fn remember(&mut self, client: u16, content: u64, time_ns: u64) {
        let ring = &mut self.rings[usize::from(client)];
        ring.entries[ring.next] = (content, time_ns);
        ring.next = (ring.next + 1) % REMEMBERED;
    }
}
