//! Appending, reopening, rolling, and what is refused.
#![allow(clippy::unwrap_used)]

mod common;

use common::{append, open_keeping, payload_of, settings, spawn, try_append};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tollgate_journal::{AppendError, Durability, FlusherOptions, OpenError, Room, Settings, open};

#[test]
fn records_of_every_class_roll_and_come_back() {
    for durability in [Durability::Process, Durability::Disk] {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), durability);
        let mut expected = Vec::new();
        for round in 0..3_u64 {
            let (opened, kept) = open_keeping(&settings).unwrap();
            let seen: Vec<_> = kept.into_iter().map(|record| (record.sequence, record.payload)).collect();
            assert_eq!(seen, expected);
            assert_eq!(opened.recovery.last_sequence, round * 2_000);
            assert_eq!(opened.recovery.cut, None);
            let handle = opened.flusher.spawn(&FlusherOptions::default()).unwrap();
            let mut appender = opened.appender;
            for number in 1..=2_000 {
                let sequence = round * 2_000 + number;
                assert_eq!(append(&mut appender, &payload_of(sequence)), sequence);
                expected.push((sequence, payload_of(sequence)));
            }
            assert!(appender.status().segment_index > round + 1);
            appender.publish();
            handle.stop().unwrap();
            assert_eq!(appender.durable_sequence(), (round + 1) * 2_000);
        }
    }
}

#[test]
fn anonymous_journal_rolls_without_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let (mut appender, handle) = spawn(&settings(directory.path(), Durability::None));
    for number in 1..=5_000_u64 {
        assert_eq!(append(&mut appender, &[1; 100]), number);
    }
    assert!(appender.status().segment_index > 5);
    handle.stop().unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn two_openers_do_not_meet() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    let first = open(&settings, |_| {}).unwrap();
    let error = open(&settings, |_| {}).err().unwrap();
    assert!(matches!(&error, OpenError::Locked { directory: named } if named == directory.path()));
    assert!(error.to_string().contains("in use by another process"));
    drop(first.flusher);
    assert!(open(&settings, |_| {}).is_err(), "the appender alone still holds the lock");
    drop(first.appender);
    assert!(open(&settings, |_| {}).is_ok());
}

#[test]
fn lock_is_free_after_closing_though_children_are_being_started() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                assert!(std::process::Command::new("true").status().unwrap().success());
            }
        });
        let opened = (0..300).map(|_| open(&settings, |_| {}).map(drop)).find(Result::is_err);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(opened.is_none(), "{opened:?}");
    });
}

#[test]
fn settings_list_every_problem() {
    let settings = Settings {
        segment_bytes: 1_000,
        reserve_bytes: 900,
        flush_interval: std::time::Duration::ZERO,
        ..Settings::new("")
    };
    let Err(OpenError::Settings(error)) = open(&settings, |_| {}) else { panic!("settings were accepted") };
    assert_eq!(error.problems.len(), 5, "{error}");
}

#[test]
fn record_beside_the_reserve_is_the_largest() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    let mut appender = open(&settings, |_| {}).unwrap().appender;
    let largest = 64 * 1024 - 4096 - 4096 - 2 * 32;
    for room in [Room::Ordinary, Room::Reserved] {
        assert_eq!(try_append(&mut appender, room, &vec![1; largest + 1]), Err(AppendError::TooLarge));
    }
    assert_eq!(try_append(&mut appender, Room::Ordinary, &vec![1; largest]), Ok(1));
}

#[test]
fn unused_room_is_given_back_and_zeroed() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    let mut appender = open(&settings, |_| {}).unwrap().appender;
    let scribble = |slot: &mut [u8]| {
        slot.fill(0xff);
        3
    };
    appender.append(Room::Ordinary, 1, 2, 500, scribble).unwrap();
    let used = appender.status().used_bytes;
    assert_eq!(used, 4096 + 48);
    drop(appender);
    let bytes = std::fs::read(common::segment_path(directory.path(), 1)).unwrap();
    assert!(bytes[4096 + 35..].iter().all(|&byte| byte == 0));
    let (opened, kept) = open_keeping(&settings).unwrap();
    assert_eq!(opened.recovery.cut, None);
    assert_eq!(kept[0].payload, [0xff; 3]);
}

#[test]
fn panic_while_filling_appends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    let mut appender = open(&settings, |_| {}).unwrap().appender;
    let failing = |slot: &mut [u8]| -> usize {
        slot.fill(0xff);
        panic!("on purpose")
    };
    let appending = AssertUnwindSafe(|| appender.append(Room::Ordinary, 1, 2, 100, failing));
    assert!(catch_unwind(appending).is_err());
    let excessive = AssertUnwindSafe(|| appender.append(Room::Ordinary, 1, 2, 100, |_| 101));
    assert!(catch_unwind(excessive).is_err());
    assert_eq!(try_append(&mut appender, Room::Ordinary, b"good"), Ok(1));
    drop(appender);
    let (opened, kept) = open_keeping(&settings).unwrap();
    assert_eq!((opened.recovery.cut, kept.len()), (None, 1));
    assert_eq!(kept[0].payload, b"good");
}

#[test]
fn segment_size_can_change_between_runs() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path(), Durability::Process);
    let mut sequence = 0;
    for segment_bytes in [64 * 1024, 256 * 1024, 128 * 1024] {
        settings.segment_bytes = segment_bytes;
        let (mut appender, handle) = spawn(&settings);
        for _ in 0..3_000 {
            sequence += 1;
            assert_eq!(append(&mut appender, &payload_of(sequence)), sequence);
        }
        handle.stop().unwrap();
    }
    let (opened, kept) = open_keeping(&settings).unwrap();
    assert_eq!(opened.recovery.records, sequence);
    assert!(kept.iter().all(|record| record.payload == payload_of(record.sequence)));
}

#[test]
fn empty_journal_states_where_it_starts() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Disk);
    for _ in 0..2 {
        let opened = open(&settings, |_| panic!("there are no records")).unwrap();
        assert_eq!(opened.appender.next_sequence(), 1);
        assert_eq!((opened.recovery.first_sequence, opened.recovery.last_sequence), (1, 0));
    }
}

#[test]
fn both_halves_can_move_to_their_threads() {
    fn is_send<T: Send>() {}
    is_send::<tollgate_journal::Appender>();
    is_send::<tollgate_journal::Flusher>();
    is_send::<tollgate_journal::FlusherHandle>();
    is_send::<tollgate_journal::Reader>();
}

#[test]
fn segment_prepared_before_a_restart_is_used_after_it() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    let next = common::segment_path(directory.path(), 2);
    let (mut appender, handle) = spawn(&settings);
    append(&mut appender, b"first");
    common::wait_until("the next segment is ready", || appender.status().next_ready);
    handle.stop().unwrap();
    drop(appender);
    let inode = std::fs::metadata(&next).unwrap().ino();

    let opened = open(&settings, |_| {}).unwrap();
    assert!(opened.appender.status().next_ready, "before any thread runs");
    assert_eq!(opened.recovery.discarded.len(), 0);
    let mut appender = opened.appender;
    while appender.status().segment_index == 1 {
        try_append(&mut appender, Room::Ordinary, &[1; 500]).unwrap();
    }
    assert_eq!(std::fs::metadata(&next).unwrap().ino(), inode);
    let last = appender.next_sequence() - 1;
    drop((appender, opened.flusher));
    let (opened, kept) = open_keeping(&settings).unwrap();
    assert_eq!((opened.recovery.last_sequence, kept.len() as u64), (last, last));
}

#[test]
fn nested_directory_is_created() {
    let directory = tempfile::tempdir().unwrap();
    let nested = directory.path().join("a/b/c");
    let settings = settings(&nested, Durability::Disk);
    assert!(open(&settings, |_| {}).is_ok());
    assert!(common::segment_path(&nested, 1).exists());
}
