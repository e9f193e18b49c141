//! What appends and syncs cost the system: page faults and bytes written. One test, since the counters are those
//! of the whole process.
#![allow(clippy::unwrap_used)]

mod common;

use common::{append, spawn, wait_until};
use std::time::Duration;
use tollgate_journal::{Durability, Settings};

fn settings(directory: &std::path::Path, durability: Durability) -> Settings {
    Settings {
        segment_bytes: 16 * 1024 * 1024,
        durability,
        flush_interval: Duration::from_secs(3600),
        ..Settings::new(directory)
    }
}

/// Bytes this process has made dirty in the page cache or written directly.
fn written_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    text.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
}

/// Minor page faults of this thread.
fn faults() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    text.rsplit(')').next().unwrap().split_whitespace().nth(7).unwrap().parse().unwrap()
}

#[test]
fn appends_take_no_page_faults_and_syncs_write_single_pages() {
    let directory = tempfile::tempdir().unwrap();
    let (mut appender, handle) = spawn(&settings(directory.path(), Durability::Process));
    append(&mut appender, &[1; 96]);
    faults();
    let before = faults();
    for _ in 0..20_000 {
        append(&mut appender, &[1; 96]);
    }
    // 625 pages were written.
    let taken = faults() - before;
    assert!(taken <= 10, "{taken} page faults in 20000 appends");
    handle.stop().unwrap();

    let directory = tempfile::tempdir().unwrap();
    let (mut appender, handle) = spawn(&settings(directory.path(), Durability::Disk));
    wait_until("the next segment is ready", || appender.status().next_ready);
    append(&mut appender, &[1; 96]);
    appender.publish();
    wait_until("durable", || appender.durable_sequence() == 1);
    let (before, syncs_before) = (written_bytes(), handle.statistics().syncs());
    for _ in 0..300 {
        let sequence = append(&mut appender, &[1; 96]);
        appender.publish();
        wait_until("durable", || appender.durable_sequence() == sequence);
    }
    let syncs = handle.statistics().syncs() - syncs_before;
    let bytes = written_bytes() - before;
    // One page a sync, and the pages that the preparer makes writable ahead.
    assert!(syncs >= 300 && bytes <= syncs * 2 * 4096 + 256 * 1024, "{bytes} bytes in {syncs} syncs");
    handle.stop().unwrap();
}
