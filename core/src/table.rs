//! A hash index of fixed size over entries that live elsewhere: it never allocates after it is made, never rehashes,
//! and leaves no tombstones.

use super::memory;

/// Maps hashes to entry numbers by linear probing with backward-shift deletion.
pub struct IndexTable {
    /// Tag (upper half) and entry number + 1 (lower half); 0 is empty.
    slots: Box<[u64]>,
    mask: usize,
}

impl IndexTable {
    /// For up to `entries` entries, at a load of at most one half.
    pub fn new(entries: usize) -> Self {
        let size = (entries.max(4) * 2).next_power_of_two();
        assert!(u32::try_from(size).is_ok(), "an index table holds fewer than 2^31 entries");
        Self { slots: memory::filled(0, size), mask: size - 1 }
    }

    /// The entry with this hash for which `is_it` holds.
    #[inline]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let tag = hash >> 32;
        let mut at = tag as usize & self.mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let entry = (slot as u32) - 1;
            if slot >> 32 == tag && is_it(entry) {
                return Some(entry);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Has the place that the hash leads to brought near, for who will ask for it soon.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        memory::prefetch(&self.slots, (hash >> 32) as usize & self.mask);
    }

    /// Adds an entry. The caller keeps to the number of entries that the table was made for.
    #[inline]
    pub fn insert(&mut self, hash: u64, entry: u32) {
        let tag = hash >> 32;
        let mut at = tag as usize & self.mask;
        while self.slots[at] != 0 {
            at = (at + 1) & self.mask;
        }
        self.slots[at] = tag << 32 | (u64::from(entry) + 1);
    }

    /// Takes an entry out; nothing happens when it is not there.
    #[inline]
    pub fn remove(&mut self, hash: u64, entry: u32) {
        let wanted = (hash >> 32) << 32 | (u64::from(entry) + 1);
        let mut hole = (hash >> 32) as usize & self.mask;
        while self.slots[hole] != wanted {
            if self.slots[hole] == 0 {
                return;
            }
            hole = (hole + 1) & self.mask;
        }
        // Close the gap: an entry moves up when its home is not between the hole and where it stands.
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask;
            let slot = self.slots[at];
            if slot == 0 {
                break;
            }
            let home = (slot >> 32) as usize & self.mask;
            if at.wrapping_sub(home) & self.mask >= at.wrapping_sub(hole) & self.mask {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = 0;
    }
}

/// A keyed hash of two words: fast, and not to be steered by who does not know the seed.
#[inline]
pub fn hash_pair(seed: u64, first: u64, second: u64) -> u64 {
    // Without the seed in both, a word that makes one factor 0 would be known.
    mix(first ^ seed, second ^ seed.rotate_left(32))
}

/// A hash of bytes, the same in every process: it goes into the journal.
#[inline]
pub fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(16);
    for chunk in &mut chunks {
        let (low, high) = chunk.split_at(8);
        hash = mix(hash ^ word(low), word(high) ^ 0x8bb8_4b93_962e_acc9);
    }
    let rest = chunks.remainder();
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    let (low, high) = last.split_at(8);
    mix(hash ^ word(low), word(high) ^ 0x2d35_8dcc_aa6c_78a5)
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[inline]
fn mix(first: u64, second: u64) -> u64 {
    let product = u128::from(first ^ 0xa076_1d64_78bd_642f) * u128::from(second ^ 0xe703_7ed1_a0b4_28db);
    (product as u64) ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        /// Against the library's map, with hashes that collide often.
        #[test]
        fn behaves_like_a_map(steps in proptest::collection::vec((any::<bool>(), 0_u32..24), 1..300)) {
            let mut table = IndexTable::new(24);
            let mut model = HashSet::new();
            let hash = |entry: u32| u64::from(entry % 5) << 32;
            for (insert, entry) in steps {
                if insert && !model.contains(&entry) {
                    table.insert(hash(entry), entry);
                    model.insert(entry);
                } else if !insert {
                    table.remove(hash(entry), entry);
                    model.remove(&entry);
                }
                for entry in 0..24 {
                    let found = table.find(hash(entry), |candidate| candidate == entry);
                    prop_assert_eq!(found.is_some(), model.contains(&entry));
                }
            }
        }
    }

    #[test]
    fn content_hashes_differ_by_every_bit_and_by_length() {
        let mut bytes = [0_u8; 40];
        let plain = hash_bytes(1, &bytes);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(hash_bytes(1, &bytes), plain);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_ne!(hash_bytes(1, &bytes[..39]), plain);
    }
}
