//! Maps by order id. Ids come from one counter, so the library's hash, which is made for keys that an enemy chooses, would
//! cost more than all else that the venue does, and lay what belongs together far apart.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use tollgate_protocol::identity::OrderId;

/// A map by order id.
pub(super) type IdMap<T> = HashMap<OrderId, T, BuildHasherDefault<IdHasher>>;

/// The library's maps take their place from the low bits, and tell neighbours apart by the highest.
const HIGHEST: u64 = 0x7f << 57;

/// Leaves ids side by side.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, id: u64) {
        self.0 = id ^ id.wrapping_mul(0x9e37_79b9_7f4a_7c15) & HIGHEST;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, Hash};

    #[test]
    fn ids_lie_side_by_side_and_are_told_apart() {
        let hash = |id: u64| BuildHasherDefault::<IdHasher>::default().hash_one(OrderId(id));
        for id in 0..10_000 {
            assert_eq!(hash(id) & !HIGHEST, id);
            assert_ne!(hash(id) & HIGHEST, hash(id + 1) & HIGHEST);
        }
    }

    #[test]
    fn other_keys_are_spread_too() {
        let hash = |key: &[u8]| {
            let mut hasher = IdHasher::default();
            key.hash(&mut hasher);
            hasher.finish()
        };
        assert_ne!(hash(b"ab"), hash(b"ba"));
    }
}
