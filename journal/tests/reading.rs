//! Following a journal: in the same process, in another, across segments.
#![allow(clippy::unwrap_used)]

mod common;

use common::{append, payload_of, settings, spawn, wait_until};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tollgate_journal::{Durability, ReadError, Reader, Room, open, statistics};

const RECORDS: u64 = 20_000;

/// Set for the child process that follows.
const FOLLOW: &str = "TOLLGATE_JOURNAL_TEST_FOLLOW";

fn follow(directory: PathBuf, until: u64) {
    let mut reader = Reader::open(directory).unwrap();
    let mut expected = 1;
    wait_until("the reader sees everything", || {
        while let Some(record) = reader.next().unwrap() {
            assert_eq!(record.sequence, expected);
            assert_eq!(record.payload, payload_of(expected));
            expected += 1;
        }
        expected > until
    });
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn reader_follows_live_across_segments() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let following = std::thread::spawn(move || follow(path, RECORDS));
    let (mut appender, handle) = spawn(&settings(directory.path(), Durability::Process));
    for sequence in 1..=RECORDS {
        append(&mut appender, &payload_of(sequence));
    }
    following.join().unwrap();
    handle.stop().unwrap();
    assert!(appender.status().segment_index > 10);
}

#[test]
fn reader_in_another_process_follows() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "follower", "--ignored"])
        .env(FOLLOW, directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (mut appender, handle) = spawn(&settings(directory.path(), Durability::Disk));
    for sequence in 1..=RECORDS {
        append(&mut appender, &payload_of(sequence));
        appender.publish();
    }
    assert!(child.wait().unwrap().success());
    handle.stop().unwrap();
}

#[test]
#[ignore = "the child of another test"]
fn follower() {
    follow(std::env::var_os(FOLLOW).unwrap().into(), RECORDS);
}

#[test]
fn reader_sees_nothing_before_there_is_a_journal() {
    let directory = tempfile::tempdir().unwrap();
    let mut reader = Reader::open(directory.path()).unwrap();
    assert!(reader.next().unwrap().is_none());
    let mut appender = open(&settings(directory.path(), Durability::Process), |_| {}).unwrap().appender;
    assert!(reader.next().unwrap().is_none());
    common::try_append(&mut appender, Room::Ordinary, b"now").unwrap();
    assert_eq!(reader.next().unwrap().unwrap().payload, b"now");
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn seek_finds_every_sequence() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    let (mut appender, handle) = spawn(&settings);
    for sequence in 1..=5_000 {
        append(&mut appender, &payload_of(sequence));
    }
    let mut reader = Reader::open(directory.path()).unwrap();
    for sequence in (1..=5_000).rev().step_by(37).chain([1, 5_000]) {
        reader.seek(sequence).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().sequence, sequence);
    }
    reader.seek(0).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().sequence, 1);
    reader.seek(5_002).unwrap();
    assert!(reader.next().unwrap().is_none());
    append(&mut appender, b"passed over");
    assert!(reader.next().unwrap().is_none());
    append(&mut appender, b"wanted");
    assert_eq!(reader.next().unwrap().unwrap().payload, b"wanted");
    handle.stop().unwrap();
    drop(appender);

    // Retention: the oldest segment goes, the journal still opens and reads.
    std::fs::remove_file(common::segment_path(directory.path(), 1)).unwrap();
    let (opened, kept) = common::open_keeping(&settings).unwrap();
    assert_eq!(opened.recovery.first_sequence, kept[0].sequence);
    assert_eq!(opened.appender.next_sequence(), 5_003);
    let error = reader.seek(1).unwrap_err();
    assert!(matches!(error, ReadError::Gone { sequence: 1, first } if first == kept[0].sequence));
}

#[test]
fn reader_opens_behind_any_record_and_reads_only_that_again() {
    let directory = tempfile::tempdir().unwrap();
    let (mut appender, handle) = spawn(&settings(directory.path(), Durability::Process));
    for sequence in 1..=3_000 {
        append(&mut appender, &payload_of(sequence));
    }
    let mut walking = Reader::open(directory.path()).unwrap();
    let mut expected = 1;
    while let Some(place) = walking.next().unwrap().map(|record| record.place()) {
        expected += 1;
        let mut reader = Reader::open_after(directory.path(), place).unwrap();
        let next = reader.next().unwrap().map(|record| record.sequence);
        assert_eq!(next, (expected <= 3_000).then_some(expected));
        assert_eq!(reader.records_read(), 1 + u64::from(next.is_some()));
    }
    assert_eq!(walking.records_read(), 3_000);
    handle.stop().unwrap();
}

#[test]
fn damage_stops_the_reader_and_a_torn_tail_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    let mut appender = open(&settings, |_| {}).unwrap().appender;
    for _ in 0..3 {
        common::try_append(&mut appender, Room::Ordinary, &[1; 16]).unwrap();
    }
    drop(appender);
    let path = common::segment_path(directory.path(), 1);
    let healthy = std::fs::read(&path).unwrap();
    let with_flip = |offset: usize| {
        let mut bytes = healthy.clone();
        bytes[offset] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        Reader::open(directory.path()).unwrap()
    };
    let mut reader = with_flip(4096 + 2 * 48 + 33);
    assert_eq!(reader.next().unwrap().unwrap().sequence, 1);
    assert_eq!(reader.next().unwrap().unwrap().sequence, 2);
    assert!(reader.next().unwrap().is_none());
    // Recovery cuts the tail and the same reader goes on.
    let mut appender = open(&settings, |_| {}).unwrap().appender;
    assert!(reader.next().unwrap().is_none());
    common::try_append(&mut appender, Room::Ordinary, b"again").unwrap();
    assert_eq!(reader.next().unwrap().unwrap().payload, b"again");
    drop(appender);

    let mut reader = with_flip(4096 + 48 + 33);
    assert_eq!(reader.next().unwrap().unwrap().sequence, 1);
    for _ in 0..2 {
        let Err(ReadError::Damaged(damage)) = reader.next() else { panic!("damage passed") };
        assert_eq!((damage.segment, damage.offset), (1, 4096 + 48));
    }
}

#[test]
fn reader_goes_on_after_a_shortened_file_is_filled_up() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), Durability::Process);
    let mut appender = open(&settings, |_| {}).unwrap().appender;
    for _ in 0..2 {
        common::try_append(&mut appender, Room::Ordinary, &[1; 16]).unwrap();
    }
    drop(appender);
    let path = common::segment_path(directory.path(), 1);
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(4096 + 48).unwrap();
    let mut reader = Reader::open(directory.path()).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().sequence, 1);
    assert!(reader.next().unwrap().is_none());
    let mut appender = open(&settings, |_| {}).unwrap().appender;
    common::try_append(&mut appender, Room::Ordinary, b"second again").unwrap();
    assert_eq!(reader.next().unwrap().unwrap().payload, b"second again");
}

#[test]
fn statistics_count_by_kind() {
    let directory = tempfile::tempdir().unwrap();
    let (mut appender, handle) = spawn(&settings(directory.path(), Durability::Process));
    for number in 0..3_000_u64 {
        wait_until("appended", || {
            let kind = (number % 3) as u16;
            appender.append(Room::Ordinary, kind, 100 + number, 40, |_| 40).is_ok()
        });
    }
    handle.stop().unwrap();
    let counted = statistics(directory.path()).unwrap();
    assert_eq!((counted.records, counted.payload_bytes), (3_000, 120_000));
    assert_eq!(counted.kinds.len(), 3);
    assert!(counted.kinds.values().all(|kind| kind.records == 1_000 && kind.payload_bytes == 40_000));
    let (first, last) = (counted.first.unwrap(), counted.last.unwrap());
    assert_eq!((first.sequence, first.time_ns, last.sequence, last.time_ns), (1, 100, 3_000, 3_099));
    assert!(counted.segments >= 4 && counted.file_bytes == counted.segments * 64 * 1024);
}
