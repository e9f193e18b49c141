//! A process killed while it appends loses nothing it has committed.
#![allow(clippy::unwrap_used)]

mod common;

use common::{append, open_keeping, payload_of, settings};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use tollgate_journal::{Durability, FlusherOptions, verify};

const DIRECTORY: &str = "TOLLGATE_JOURNAL_TEST_CRASH";
const CLASS: &str = "TOLLGATE_JOURNAL_TEST_CLASS";
const ROUNDS: u64 = 25;
const PREFIX: &str = "committed ";

#[test]
fn killed_process_loses_nothing_committed() {
    for durability in [Durability::Process, Durability::Disk] {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), durability);
        let mut recovered = 0;
        for round in 0..ROUNDS {
            let committed = run_child_and_kill(directory.path(), durability, recovered + 40 + round * 397);
            let (opened, kept) = open_keeping(&settings).unwrap();
            assert!(kept.len() as u64 >= committed, "round {round}: {} < {committed}", kept.len());
            for (record, sequence) in kept.iter().zip(1..) {
                assert_eq!(record.sequence, sequence);
                assert_eq!(record.payload, payload_of(sequence));
            }
            recovered = opened.recovery.last_sequence;
            drop(opened);
            assert!(verify(directory.path(), |_| {}).unwrap().is_intact());
        }
        assert!(verify(directory.path(), |_| {}).unwrap().segments > 3);
    }
}

/// Kills the child once it has committed a certain sequence; returns the last one it reported.
fn run_child_and_kill(directory: &std::path::Path, durability: Durability, until: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "appending_child", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(CLASS, if durability == Durability::Disk { "disk" } else { "process" })
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut committed = 0;
    let mut killed = false;
    // Reading goes on after the kill: everything the child has reported counts.
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(number) = line.rsplit(PREFIX).next().and_then(|text| text.parse::<u64>().ok()) {
            committed = committed.max(number);
        }
        if committed >= until && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    assert!(!child.wait().unwrap().success(), "the child ended by itself");
    assert!(killed && committed >= until);
    committed
}

#[test]
#[ignore = "the child of another test"]
fn appending_child() {
    let directory = std::path::PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    let disk = std::env::var(CLASS).unwrap() == "disk";
    let durability = if disk { Durability::Disk } else { Durability::Process };
    let opened = tollgate_journal::open(&settings(&directory, durability), |_| {}).unwrap();
    let _handle = opened.flusher.spawn(&FlusherOptions::default()).unwrap();
    let mut appender = opened.appender;
    let mut output = std::io::stdout().lock();
    loop {
        let payload = payload_of(appender.next_sequence());
        let sequence = append(&mut appender, &payload);
        if sequence.is_multiple_of(7) {
            appender.publish();
            writeln!(output, "{PREFIX}{}", appender.durable_sequence()).unwrap();
            output.flush().unwrap();
        }
    }
}
