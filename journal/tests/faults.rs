//! A disk that is full, read-only, broken, or does not answer.
#![allow(clippy::unwrap_used)]

mod common;

use common::{append, open_keeping, settings, try_append, wait_until};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tollgate_journal::testing::{FaultyStorage, open_with};
use tollgate_journal::{
    AppendError, Appender, Condition, Durability, FlusherHandle, FlusherOptions, Reason, Room, Settings,
    StopError,
};

const NO_SPACE: i32 = 28;
const INPUT_OUTPUT: i32 = 5;

fn spawn_faulty(directory: &Path, durability: Durability) -> (Appender, FlusherHandle, Arc<FaultyStorage>) {
    spawn_with(&settings(directory, durability))
}

fn spawn_with(settings: &Settings) -> (Appender, FlusherHandle, Arc<FaultyStorage>) {
    let storage = Arc::new(FaultyStorage::default());
    let shared: Arc<FaultyStorage> = Arc::clone(&storage);
    let opened = open_with(settings, shared, |_| {}).unwrap();
    let handle = opened.flusher.spawn(&FlusherOptions::default()).unwrap();
    (opened.appender, handle, storage)
}

/// Appends until the room is used up; returns how many records went in and the error.
fn fill_up(appender: &mut Appender, room: Room, payload: &[u8]) -> (u64, AppendError) {
    let mut count = 0;
    loop {
        match try_append(appender, room, payload) {
            Ok(_) => count += 1,
            Err(error) => return (count, error),
        }
    }
}

#[test]
fn shortage_of_any_kind_refuses_ordinary_records_keeps_the_reserve_and_heals() {
    let kinds =
        [(28, Reason::NoSpace), (30, Reason::ReadOnly), (122, Reason::Quota), (24, Reason::TooManyFiles)];
    for (number, reason) in kinds.into_iter().chain([(13, Reason::PrepareFailed)]) {
        let directory = tempfile::tempdir().unwrap();
        let (mut appender, handle, storage) = spawn_faulty(directory.path(), Durability::Process);
        wait_until("the next segment is ready", || appender.status().next_ready);
        storage.fail_preparing(number);
        while appender.status().segment_index == 1 {
            append(&mut appender, &[1; 100]);
        }
        wait_until("the shortage shows", || appender.status().condition == Condition::LowSpace);
        assert_eq!(appender.status().reason, reason);
        let (_, error) = fill_up(&mut appender, Room::Ordinary, &[1; 100]);
        assert_eq!(error, AppendError::Full);
        let status = appender.status();
        assert!(status.ordinary_free_bytes < 144 && status.free_bytes >= 4096, "{status:?}");
        // Each room has a slice of the reserve that those before it leave alone, and the last reaches to the end.
        for (room, percent) in
            [(Room::Reserved, 30), (Room::Report, 50), (Room::Operator, 10), (Room::Start, 10)]
        {
            let (taken, error) = fill_up(&mut appender, room, &[2; 10]);
            assert_eq!(error, AppendError::ReserveFull);
            assert!(taken + 2 >= 4096 * percent / 100 / 48, "{room:?}: {taken}");
            assert_eq!(try_append(&mut appender, Room::Ordinary, &[2; 10]), Err(AppendError::Full));
        }
        assert!(appender.status().free_bytes < 48);
        assert!(handle.statistics().prepare_errors() > 0);
        assert!(handle.statistics().last_error().unwrap().contains("cannot prepare segment 3"));

        storage.fail_preparing(0);
        wait_until("the journal recovers", || appender.status().condition == Condition::Writable);
        let last = append(&mut appender, &[3; 100]);
        handle.stop().unwrap();
        drop(appender);
        let (_, kept) = open_keeping(&settings(directory.path(), Durability::Process)).unwrap();
        assert_eq!(kept.len() as u64, last);
    }
}

#[test]
fn lower_rooms_cannot_starve_a_start_on_a_full_disk() {
    let directory = tempfile::tempdir().unwrap();
    let (mut appender, handle, storage) = spawn_faulty(directory.path(), Durability::Process);
    storage.fail_preparing(NO_SPACE);
    for room in [Room::Ordinary, Room::Reserved, Room::Report, Room::Operator] {
        wait_until("the room is used up", || match try_append(&mut appender, room, &[1; 10]) {
            Err(AppendError::Full | AppendError::ReserveFull) => !appender.status().next_ready,
            _ => false,
        });
    }
    // The process is killed, and started again while the disk is still full.
    std::mem::forget(handle);
    let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap()).collect();
    let copy = tempfile::tempdir().unwrap();
    for file in files {
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let storage = Arc::new(FaultyStorage::default());
    storage.fail_preparing(NO_SPACE);
    let mut opened = open_with(&settings(copy.path(), Durability::Process), storage, |_| {}).unwrap();
    for room in [Room::Ordinary, Room::Reserved, Room::Report, Room::Operator] {
        assert!(try_append(&mut opened.appender, room, &[1; 10]).is_err(), "{room:?}");
    }
    for _ in 0..5 {
        try_append(&mut opened.appender, Room::Start, &[1; 10]).unwrap();
    }
}

#[test]
fn failed_sync_is_final() {
    for durability in [Durability::Disk, Durability::Process] {
        let directory = tempfile::tempdir().unwrap();
        let (mut appender, handle, storage) = spawn_faulty(directory.path(), durability);
        let first = append(&mut appender, &[1; 50]);
        appender.publish();
        wait_until("the first record is synced", || handle.synced_sequence() == first);

        let called = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&called);
        handle.set_watermark_waker(Box::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        }));
        appender.request_watermark_wake();
        storage.fail_syncs(INPUT_OUTPUT);
        append(&mut appender, &[2; 50]);
        appender.publish();
        wait_until("the journal fails", || appender.status().condition == Condition::Failed);
        wait_until("the hot thread is told", || called.load(Ordering::SeqCst) == 1);
        assert_eq!(appender.status().reason, Reason::SyncFailed);
        storage.fail_syncs(0);
        assert_eq!(try_append(&mut appender, Room::Ordinary, &[3; 50]), Err(AppendError::Failed));
        // Reserved records go on, over the end of the segment.
        wait_until("reserved records roll", || {
            let _ = try_append(&mut appender, Room::Reserved, &[4; 500]);
            appender.publish();
            appender.status().segment_index > 9
        });
        assert_eq!(handle.synced_sequence(), first);
        if durability == Durability::Disk {
            assert_eq!(appender.durable_sequence(), first);
        }
        assert_eq!(handle.statistics().sync_errors(), 1);
        let Err(StopError::NotDurable { durable_sequence, error }) = handle.stop() else {
            panic!("the failure was not reported")
        };
        assert_eq!(durable_sequence, first);
        assert!(error.contains("os error 5"), "{error}");
        let last = appender.next_sequence() - 1;
        drop(appender);
        let (_, kept) = open_keeping(&settings(directory.path(), durability)).unwrap();
        assert_eq!(kept.len() as u64, last, "a process crash still loses nothing");
    }
}

#[test]
fn stuck_disk_holds_the_watermark_and_in_the_end_ordinary_records() {
    let directory = tempfile::tempdir().unwrap();
    let (mut appender, handle, storage) = spawn_faulty(directory.path(), Durability::Disk);
    storage.hold_syncs();
    append(&mut appender, &[1; 100]);
    appender.publish();
    wait_until("the flusher is stuck", || storage.waiting_syncs() == 1);
    wait_until("the backlog is full", || {
        while try_append(&mut appender, Room::Ordinary, &[1; 100]).is_ok() {}
        appender.status().reason == Reason::SyncBacklog && !appender.status().next_ready
    });
    assert_eq!(fill_up(&mut appender, Room::Ordinary, &[1; 100]), (0, AppendError::Full));
    assert!(try_append(&mut appender, Room::Reserved, &[1; 100]).is_ok());
    assert_eq!(appender.durable_sequence(), 0);
    storage.release_syncs();
    let last = append(&mut appender, &[1; 100]);
    appender.publish();
    wait_until("everything is durable", || appender.durable_sequence() == last);
    handle.stop().unwrap();
}

#[test]
fn sync_that_hangs_fails_the_journal_and_a_late_success_does_not_revive_it() {
    for durability in [Durability::Disk, Durability::Process] {
        let directory = tempfile::tempdir().unwrap();
        let settings =
            Settings { sync_timeout: Duration::from_millis(150), ..settings(directory.path(), durability) };
        let (mut appender, handle, storage) = spawn_with(&settings);
        let first = append(&mut appender, &[1; 50]);
        appender.publish();
        wait_until("the first record is synced", || handle.synced_sequence() == first);
        wait_until("no sync runs", || handle.sync_running().is_none());
        assert_eq!(appender.status().unsynced_records, 0);

        let called = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&called);
        handle.set_watermark_waker(Box::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        }));
        appender.request_watermark_wake();
        storage.hold_syncs();
        for _ in 0..3 {
            append(&mut appender, &[2; 50]);
        }
        appender.publish();
        wait_until("a sync hangs", || storage.waiting_syncs() == 1 && handle.sync_running().is_some());
        wait_until("its age shows", || appender.status().sync_running_ms > 0);
        assert_eq!(appender.status().unsynced_records, 3);
        wait_until("the journal fails", || appender.status().condition == Condition::Failed);
        wait_until("the hot thread is told", || called.load(Ordering::SeqCst) == 1);
        assert_eq!(appender.status().reason, Reason::SyncTimeout);
        let error = handle.statistics().last_error().unwrap();
        assert!(error.contains("has not returned") && error.contains("150ms"), "{error}");
        assert_eq!(try_append(&mut appender, Room::Ordinary, &[3; 50]), Err(AppendError::Failed));
        assert!(try_append(&mut appender, Room::Reserved, &[3; 50]).is_ok());
        wait_until("its age goes on", || appender.status().sync_running_ms > 200);

        storage.release_syncs();
        wait_until("the sync returns", || storage.waiting_syncs() == 0);
        wait_until("it is over", || appender.status().sync_running_ms == 0);
        assert_eq!((handle.synced_sequence(), appender.status().reason), (first, Reason::SyncTimeout));
        let Err(StopError::NotDurable { durable_sequence, .. }) = handle.stop() else {
            panic!("the failure was not reported")
        };
        assert_eq!(durable_sequence, first);
    }
}

#[test]
fn stop_does_not_wait_for_a_disk_that_does_not_answer() {
    let directory = tempfile::tempdir().unwrap();
    let settings =
        Settings { sync_timeout: Duration::from_millis(100), ..settings(directory.path(), Durability::Disk) };
    let (mut appender, handle, storage) = spawn_with(&settings);
    storage.hold_syncs();
    append(&mut appender, &[1; 50]);
    appender.publish();
    wait_until("a sync hangs", || storage.waiting_syncs() == 1);
    let Err(StopError::NotDurable { durable_sequence: 0, error }) = handle.stop() else {
        panic!("the records were called durable")
    };
    assert!(error.contains("does not answer"), "{error}");
    assert_eq!(storage.waiting_syncs(), 1, "it still hangs");
    storage.release_syncs();
}

#[test]
fn segment_shortened_under_the_process_fails_the_journal_and_not_the_process() {
    for kept_bytes in [0, 4096, 4096 + 100] {
        let directory = tempfile::tempdir().unwrap();
        let (mut appender, handle, _storage) = spawn_faulty(directory.path(), Durability::Process);
        append(&mut appender, &[1; 500]);
        wait_until("it is synced", || handle.synced_sequence() == 1);
        let path = common::segment_path(directory.path(), 1);
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(kept_bytes).unwrap();
        wait_until("the journal fails", || appender.status().condition == Condition::Failed);
        assert_eq!(appender.status().reason, Reason::SegmentTruncated);
        let error = handle.statistics().last_error().unwrap();
        assert!(error.contains(&format!("was shortened from 65536 to {kept_bytes} bytes")), "{error}");
        wait_until("there is no hole to fall into", || std::fs::metadata(&path).unwrap().len() == 64 * 1024);
        assert_eq!(try_append(&mut appender, Room::Ordinary, &[3; 50]), Err(AppendError::Failed));
        for _ in 0..300 {
            try_append(&mut appender, Room::Reserved, &[2; 400]).unwrap_or_default();
        }
        assert!(matches!(handle.stop(), Err(StopError::NotDurable { .. })));
        drop(appender);
        assert!(open_keeping(&settings(directory.path(), Durability::Process)).is_err());
    }
}

#[test]
fn segment_removed_or_replaced_under_the_process_fails_the_journal() {
    for replaced in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (mut appender, handle, _storage) = spawn_faulty(directory.path(), Durability::Process);
        append(&mut appender, &[1; 500]);
        let path = common::segment_path(directory.path(), 1);
        let copy = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        if replaced {
            std::fs::write(&path, copy).unwrap();
        }
        wait_until("the journal fails", || appender.status().condition == Condition::Failed);
        assert_eq!(appender.status().reason, Reason::SegmentRemoved);
        assert!(handle.statistics().last_error().unwrap().contains("removed, moved or replaced"));
        assert!(try_append(&mut appender, Room::Reserved, &[2; 400]).is_ok());
        assert!(handle.stop().is_err());
    }
}

#[test]
fn watermark_never_exceeds_what_was_synced() {
    let directory = tempfile::tempdir().unwrap();
    let (mut appender, handle, storage) = spawn_faulty(directory.path(), Durability::Disk);
    let mut ends = vec![4096];
    for round in 0..200_usize {
        for _ in 0..round % 4 {
            append(&mut appender, &[9; 20]);
            ends.push(appender.status().used_bytes as usize);
        }
        appender.publish();
        // The watermark first: what was synced can only have grown since.
        let durable = appender.durable_sequence() as usize;
        let synced = storage.synced_ranges().iter().map(|&(_, end)| end).max().unwrap_or(0);
        assert!(durable == 0 || ends[durable] <= synced, "{durable} is durable, {synced} bytes are synced");
    }
    assert_eq!(appender.status().segment_index, 1);
    let last = ends.len() as u64 - 1;
    wait_until("everything is durable", || appender.durable_sequence() == last);
    // No byte of a record was left out.
    let mut ranges = storage.synced_ranges();
    ranges.sort_unstable();
    let mut covered = 0;
    for (start, end) in ranges {
        assert!(start <= covered.max(4096), "bytes {covered} to {start} were never synced");
        covered = covered.max(end);
    }
    assert!(covered >= ends[ends.len() - 1]);
    handle.stop().unwrap();
}

#[test]
fn waker_is_called_once_for_each_request() {
    let directory = tempfile::tempdir().unwrap();
    let (mut appender, handle, _storage) = spawn_faulty(directory.path(), Durability::Disk);
    let called = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&called);
    handle.set_watermark_waker(Box::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    let mut requests = 0;
    for _ in 0..200 {
        let last = append(&mut appender, &[1; 10]);
        appender.publish();
        if appender.request_watermark_wake() < last {
            requests += 1;
            wait_until("the waker is called", || called.load(Ordering::SeqCst) == requests);
        } else {
            // Durable before the request: it stays open and is answered by the next sync.
            let last = append(&mut appender, &[1; 10]);
            appender.publish();
            wait_until("durable", || appender.durable_sequence() == last);
            requests += 1;
            wait_until("the waker is called", || called.load(Ordering::SeqCst) == requests);
        }
    }
    // Nobody asked: nobody is called.
    let last = append(&mut appender, &[1; 10]);
    appender.publish();
    wait_until("durable", || appender.durable_sequence() == last);
    handle.stop().unwrap();
    assert_eq!(called.load(Ordering::SeqCst), requests);
}

#[test]
fn stopped_flusher_refuses_ordinary_records() {
    let directory = tempfile::tempdir().unwrap();
    let (mut appender, handle, _storage) = spawn_faulty(directory.path(), Durability::Process);
    append(&mut appender, b"kept");
    handle.stop().unwrap();
    assert_eq!(try_append(&mut appender, Room::Ordinary, b"no"), Err(AppendError::Failed));
    assert_eq!(appender.status().reason, Reason::FlusherStopped);
    assert_eq!(try_append(&mut appender, Room::Reserved, b"yes"), Ok(2));
}

/// A file system of 200 KiB, when this process may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=200k", "tollgate-journal-test"]).arg(directory.path());
        command.stderr(std::process::Stdio::null());
        command.status().is_ok_and(|status| status.success()).then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg(self.0.path()).status().unwrap();
        assert!(unmounted.success());
    }
}

#[test]
fn full_disk_refuses_and_recovers_when_space_is_back() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("not run: this process may not mount a file system");
        return;
    };
    let directory = disk.0.path();
    let ballast = directory.join("ballast");
    std::fs::write(&ballast, vec![1; 60 * 1024]).unwrap();
    let settings = settings(directory, Durability::Process);
    let opened = tollgate_journal::open(&settings, |_| {}).unwrap();
    let handle = opened.flusher.spawn(&FlusherOptions::default()).unwrap();
    let mut appender = opened.appender;
    wait_until("the shortage shows", || {
        while try_append(&mut appender, Room::Ordinary, &[1; 100]).is_ok() {}
        appender.status().reason == Reason::NoSpace
    });
    assert_eq!(io_number(&handle), NO_SPACE);
    assert!(fill_up(&mut appender, Room::Start, &[2; 100]).0 > 20);
    std::fs::remove_file(ballast).unwrap();
    wait_until("space is noticed", || try_append(&mut appender, Room::Ordinary, &[3; 100]).is_ok());
    let last = appender.next_sequence() - 1;
    handle.stop().unwrap();
    drop(appender);
    let (opened, kept) = open_keeping(&settings).unwrap();
    assert_eq!(kept.len() as u64, last);
    drop(opened);
}

fn io_number(handle: &FlusherHandle) -> i32 {
    let text = handle.statistics().last_error().unwrap();
    if text.contains("os error 28") { NO_SPACE } else { panic!("{text}") }
}
