//! Checking a journal while it is written.
#![allow(clippy::unwrap_used)]

mod common;

use common::{append, payload_of, settings, spawn};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tollgate_journal::{Durability, Reader, verify};

/// Segments that the writer fills while others look.
const SEGMENTS: u64 = 60;
const LOOKS: u64 = 40;

#[test]
fn a_journal_being_written_is_never_called_damaged() {
    for durability in [Durability::Process, Durability::Disk] {
        let directory = tempfile::tempdir().unwrap();
        let (mut appender, handle) = spawn(&settings(directory.path(), durability));
        append(&mut appender, &payload_of(1));
        let (ended, looks) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let verifying = scope.spawn(|| {
                while !ended.load(Ordering::Acquire) {
                    let verification = verify(directory.path(), |_| {}).unwrap();
                    assert!(verification.is_intact(), "{:?}", verification.damages);
                    assert_eq!(verification.last_sequence, Some(verification.records));
                    assert_eq!(verification.torn_tail, None);
                    looks.fetch_add(1, Ordering::AcqRel);
                }
            });
            let reading = scope.spawn(|| {
                while !ended.load(Ordering::Acquire) {
                    let mut reader = Reader::open(directory.path()).unwrap();
                    let mut expected = 1;
                    while let Some(record) = reader.next().unwrap() {
                        assert_eq!(record.sequence, expected);
                        assert_eq!(record.payload, payload_of(expected));
                        expected += 1;
                    }
                }
            });
            let watched = || !verifying.is_finished() && !reading.is_finished();
            while watched()
                && (appender.status().segment_index < SEGMENTS || looks.load(Ordering::Acquire) < LOOKS)
            {
                let payload = payload_of(appender.next_sequence());
                append(&mut appender, &payload);
                appender.publish();
            }
            ended.store(true, Ordering::Release);
        });
        handle.stop().unwrap();
        let last = appender.next_sequence() - 1;
        assert_eq!(verify(directory.path(), |_| {}).unwrap().records, last);
    }
}
