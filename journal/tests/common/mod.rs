//! What the integration tests share.
#![allow(dead_code, clippy::unwrap_used, unreachable_pub)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tollgate_journal::{
    AppendError, Appender, Durability, FlusherHandle, FlusherOptions, OpenError, Opened, Room, Settings,
    open, segment_name,
};

/// A record as tests compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub sequence: u64,
    pub time_ns: u64,
    pub kind: u16,
    pub payload: Vec<u8>,
    pub segment: u64,
    pub offset: u64,
}

/// Small segments, fast flushes.
pub fn settings(directory: &Path, durability: Durability) -> Settings {
    Settings {
        segment_bytes: 64 * 1024,
        reserve_bytes: 4096,
        durability,
        flush_interval: Duration::from_millis(5),
        ..Settings::new(directory)
    }
}

pub fn open_keeping(settings: &Settings) -> Result<(Opened, Vec<Kept>), OpenError> {
    let mut kept = Vec::new();
    let opened = open(settings, |record| {
        kept.push(Kept {
            sequence: record.sequence,
            time_ns: record.time_ns,
            kind: record.kind,
            payload: record.payload.to_vec(),
            segment: record.segment,
            offset: record.offset,
        });
    })?;
    Ok((opened, kept))
}

pub fn spawn(settings: &Settings) -> (Appender, FlusherHandle) {
    let opened = open(settings, |_| {}).unwrap();
    let handle = opened.flusher.spawn(&FlusherOptions::default()).unwrap();
    (opened.appender, handle)
}

pub fn try_append(appender: &mut Appender, room: Room, payload: &[u8]) -> Result<u64, AppendError> {
    appender.append(room, 7, 1_000, payload.len(), |slot| {
        slot.copy_from_slice(payload);
        payload.len()
    })
}

/// Appends, waiting for the preparer when the writer is ahead of it.
pub fn append(appender: &mut Appender, payload: &[u8]) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match try_append(appender, Room::Ordinary, payload) {
            Ok(sequence) => return sequence,
            Err(AppendError::Full) if Instant::now() < deadline => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Waits until something holds; the time limit only ends a test that has failed.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::yield_now();
    }
}

/// A payload that only its sequence determines.
pub fn payload_of(sequence: u64) -> Vec<u8> {
    (0..sequence % 97).map(|byte| (sequence.wrapping_mul(31) + byte) as u8).collect()
}

pub fn segment_path(directory: &Path, index: u64) -> PathBuf {
    directory.join(segment_name(index))
}
