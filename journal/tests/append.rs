//! Appending, reopening, rolling.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;
use tollgate_journal::{
    AppendError, Appender, Durability, FlusherHandle, FlusherOptions, Room, Settings, open,
};

fn settings(directory: &Path, durability: Durability) -> Settings {
    Settings {
        segment_bytes: 64 * 1024,
        reserve_bytes: 4096,
        durability,
        flush_interval: Duration::from_millis(5),
        ..Settings::new(directory)
    }
}

fn start(settings: &Settings) -> (Appender, FlusherHandle, Vec<(u64, u16, Vec<u8>)>) {
    let mut seen = Vec::new();
    let opened = open(settings, |record| {
        seen.push((record.sequence, record.kind, record.payload.to_vec()));
    })
    .unwrap();
    let handle = opened.flusher.spawn(&FlusherOptions::default()).unwrap();
    (opened.appender, handle, seen)
}

fn append(appender: &mut Appender, payload: &[u8]) -> u64 {
    loop {
        let result = appender.append(Room::Ordinary, 7, 1, payload.len(), |slot| {
            slot.copy_from_slice(payload);
            payload.len()
        });
        match result {
            Ok(sequence) => return sequence,
            Err(AppendError::Full) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn records_of_every_class_roll_and_come_back() {
    for durability in [Durability::Process, Durability::Disk] {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), durability);
        let mut expected = Vec::new();
        for round in 0..3_u64 {
            let (mut appender, handle, seen) = start(&settings);
            assert_eq!(seen, expected);
            for number in 0..2_000_u64 {
                let payload = vec![number as u8; (number % 200) as usize];
                let sequence = append(&mut appender, &payload);
                assert_eq!(sequence, round * 2_000 + number + 1);
                expected.push((sequence, 7, payload));
            }
            appender.publish();
            handle.stop().unwrap();
            assert_eq!(appender.durable_sequence(), (round + 1) * 2_000);
        }
    }
}

#[test]
fn anonymous_journal_rolls_without_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let (mut appender, handle, _) = start(&settings(directory.path(), Durability::None));
    for number in 1..=5_000_u64 {
        assert_eq!(append(&mut appender, &[1; 100]), number);
    }
    assert!(appender.status().segment_index > 5);
    handle.stop().unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
