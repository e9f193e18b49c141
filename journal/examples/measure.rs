//! Measures the journal on this machine: append against a sequential copy, bytes written per sync, page faults
//! in steady state, and the speed of recovery. Figures of one run compare with each other only.
//!
//! `cargo run --release -p tollgate-journal --example measure [directory]`

use std::error::Error;
use std::fs::read_to_string;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tollgate_journal::{Appender, Durability, FlusherOptions, Room, Settings, open};

fn main() -> Result<(), Box<dyn Error>> {
    let base = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = base.join(format!("tollgate-journal-measure-{}", std::process::id()));
    append_against_copy(&directory)?;
    for durability in [Durability::Disk, Durability::Process] {
        sync_cost(&directory, durability)?;
        std::fs::remove_dir_all(&directory)?;
    }
    recovery_speed(&directory)?;
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

/// Rounds interleave all sides; the first is dropped and the medians are compared. A record is 32 bytes larger
/// than its payload.
fn append_against_copy(directory: &Path) -> Result<(), Box<dyn Error>> {
    const BATCH: u64 = 10_000;
    const ROUNDS: usize = 150;
    let settings = |durability| Settings {
        segment_bytes: 512 * 1024 * 1024,
        durability,
        ..Settings::new(directory.join("append"))
    };
    let mut memory = open(&settings(Durability::None), |_| {})?.appender;
    let mut larger = open(&settings(Durability::None), |_| {})?.appender;
    let mut file = open(&settings(Durability::Process), |_| {})?.appender;
    let mut target = vec![1_u8; 128 * BATCH as usize * ROUNDS];
    let mut slots = target.chunks_exact_mut(128);
    let payload = [7_u8; 128];
    let mut taken_ps = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let copy = || {
            for slot in slots.by_ref().take(BATCH as usize) {
                slot.copy_from_slice(black_box(&payload));
            }
            Ok(())
        };
        taken_ps[0].push(per_operation_ps(BATCH, copy)?);
        let payload = black_box(&payload);
        let shorter = payload.first_chunk::<96>().ok_or("payload is shorter than 96")?;
        taken_ps[1].push(per_operation_ps(BATCH, || append_batch(&mut memory, shorter, BATCH))?);
        taken_ps[2].push(per_operation_ps(BATCH, || append_batch(&mut larger, payload, BATCH))?);
        taken_ps[3].push(per_operation_ps(BATCH, || append_batch(&mut file, shorter, BATCH))?);
    }
    let [copy, memory, larger, file] = taken_ps.each_mut().map(|taken| median(taken));
    println!("copy of 128 B: {copy} ps");
    let sides =
        [("128 B in memory", memory), ("160 B in memory", larger), ("128 B in a file, first touch", file)];
    for (name, side) in sides {
        println!("append, record of {name}: {side} ps, {} % of the copy", side * 100 / copy.max(1));
    }
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

fn append_batch<const BYTES: usize>(
    appender: &mut Appender,
    payload: &[u8; BYTES],
    count: u64,
) -> Result<(), Box<dyn Error>> {
    for number in 0..count {
        appender.append(Room::Ordinary, 1, number, BYTES, |slot| {
            slot.copy_from_slice(black_box(payload));
            BYTES
        })?;
    }
    Ok(())
}

/// One record a sync: time, bytes written, page faults of the appending thread.
fn sync_cost(directory: &Path, durability: Durability) -> Result<(), Box<dyn Error>> {
    const SYNCS: u64 = 2_000;
    let settings = Settings {
        durability,
        flush_interval: Duration::from_millis(if durability == Durability::Disk { 1_000 } else { 1 }),
        ..Settings::new(directory)
    };
    let mut opened = open(&settings, |_| {})?;
    let handle = opened.flusher.spawn(&FlusherOptions::default())?;
    while !opened.appender.status().next_ready {
        std::thread::yield_now();
    }
    let mut latencies_ns = Vec::new();
    let mut appends_ns = Vec::new();
    let (written, faults) = (written_bytes()?, minor_faults()?);
    for _ in 0..SYNCS {
        let started = Instant::now();
        append_batch(&mut opened.appender, &[7; 96], 1)?;
        appends_ns.push(u64::try_from(started.elapsed().as_nanos())?);
        opened.appender.publish();
        let last = opened.appender.next_sequence() - 1;
        while handle.synced_sequence() < last {
            std::hint::spin_loop();
        }
        latencies_ns.push(u64::try_from(started.elapsed().as_nanos())?);
    }
    let faults = minor_faults()? - faults;
    let written = written_bytes()? - written;
    let statistics = handle.statistics();
    let mean_ns = statistics.sync_ns_total() / statistics.syncs().max(1);
    println!(
        "{durability:?}: append to synced p50 {} ns, append p50 {} ns, sync mean {mean_ns} ns, \
         {} B dirtied a sync, {faults} faults of the appender in {SYNCS} appends",
        median(&mut latencies_ns),
        median(&mut appends_ns),
        written / statistics.syncs().max(1),
    );
    let (syncs, sync_ns) = (statistics.syncs(), statistics.sync_ns_total());
    group_commit(&mut opened.appender)?;
    let (syncs, sync_ns) = (statistics.syncs() - syncs, statistics.sync_ns_total() - sync_ns);
    println!("  {syncs} syncs, mean {} ns, longest {} ns", sync_ns / syncs.max(1), statistics.sync_ns_max());
    handle.stop()?;
    Ok(())
}

/// Bursts of 64 records, each published once.
fn group_commit(appender: &mut Appender) -> Result<(), Box<dyn Error>> {
    const BURSTS: u64 = 2_000;
    let started = Instant::now();
    for _ in 0..BURSTS {
        append_batch(appender, &[7; 96], 64)?;
        appender.publish();
        while appender.durable_sequence() + 64 < appender.next_sequence() {
            std::hint::spin_loop();
        }
    }
    let elapsed_us = started.elapsed().as_micros().max(1);
    println!("  group commit: {} records/s", u128::from(BURSTS) * 64 * 1_000_000 / elapsed_us);
    Ok(())
}

fn recovery_speed(directory: &Path) -> Result<(), Box<dyn Error>> {
    const RECORDS: u64 = 2_000_000;
    let settings = Settings::new(directory);
    let mut opened = open(&settings, |_| {})?;
    let handle = opened.flusher.spawn(&FlusherOptions::default())?;
    for _ in 0..RECORDS {
        while append_batch(&mut opened.appender, &[7; 96], 1).is_err() {
            std::thread::yield_now();
        }
    }
    handle.stop()?;
    drop(opened.appender);
    let started = Instant::now();
    let mut bytes = 0_usize;
    let opened = open(&settings, |record| bytes += record.payload.len())?;
    let elapsed_us = started.elapsed().as_micros().max(1);
    println!(
        "recovery: {} records ({bytes} B) in {elapsed_us} us, {} records/s",
        opened.recovery.records,
        u128::from(opened.recovery.records) * 1_000_000 / elapsed_us
    );
    Ok(())
}

fn per_operation_ps(
    operations: u64,
    work: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<u64, Box<dyn Error>> {
    let started = Instant::now();
    work()?;
    Ok(u64::try_from(started.elapsed().as_nanos())? * 1_000 / operations)
}

fn median(values: &mut [u64]) -> u64 {
    let values = &mut values[1..];
    values.sort_unstable();
    values[values.len() / 2]
}

fn written_bytes() -> Result<u64, Box<dyn Error>> {
    let text = read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: ")).ok_or("no write_bytes")?;
    Ok(line.parse()?)
}

/// Minor faults of the calling thread.
fn minor_faults() -> Result<u64, Box<dyn Error>> {
    let text = read_to_string("/proc/thread-self/stat")?;
    let fields = text.rsplit(')').next().ok_or("no fields")?;
    Ok(fields.split_whitespace().nth(7).ok_or("no fault count")?.parse()?)
}
