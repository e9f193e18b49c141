//! Arbitrary records come back as they were appended.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Kept, open_keeping, settings, wait_until};
use proptest::prelude::*;
use tollgate_journal::{Durability, FlusherOptions, Reader, Room};

fn records() -> impl Strategy<Value = Vec<(u16, u64, Vec<u8>, usize)>> {
    let payload = proptest::collection::vec(any::<u8>(), 0..3_000);
    proptest::collection::vec((any::<u16>(), any::<u64>(), payload, 0..100_usize), 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn records_come_back(first in records(), second in records(), disk in any::<bool>()) {
        let directory = tempfile::tempdir().unwrap();
        let durability = if disk { Durability::Disk } else { Durability::Process };
        let settings = settings(directory.path(), durability);
        let mut expected: Vec<(u16, u64, Vec<u8>)> = Vec::new();
        for batch in [first, second] {
            let (opened, kept) = open_keeping(&settings).unwrap();
            prop_assert_eq!(contents(&kept), expected.clone());
            let handle = opened.flusher.spawn(&FlusherOptions::default()).unwrap();
            let mut appender = opened.appender;
            for (kind, time_ns, payload, spare) in batch {
                // The maximum announced may exceed what is written.
                let maximum = payload.len() + spare;
                wait_until("appended", || {
                    let fill = |slot: &mut [u8]| {
                        slot[..payload.len()].copy_from_slice(&payload);
                        payload.len()
                    };
                    appender.append(Room::Ordinary, kind, time_ns, maximum, fill).is_ok()
                });
                expected.push((kind, time_ns, payload));
            }
            handle.stop().unwrap();
        }
        let (opened, kept) = open_keeping(&settings).unwrap();
        prop_assert_eq!(contents(&kept), expected);
        prop_assert_eq!(opened.recovery.cut, None);
        let mut reader = Reader::open(directory.path()).unwrap();
        for record in &kept {
            let read = reader.next().unwrap().unwrap();
            prop_assert_eq!((read.sequence, read.offset), (record.sequence, record.offset));
            prop_assert_eq!(read.payload, &record.payload);
        }
        prop_assert!(reader.next().unwrap().is_none());
    }
}

fn contents(kept: &[Kept]) -> Vec<(u16, u64, Vec<u8>)> {
    kept.iter().map(|record| (record.kind, record.time_ns, record.payload.clone())).collect()
}
