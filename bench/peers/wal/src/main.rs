//! Measures the gateway's journal beside write-ahead logs of others, and beside what the machine itself can do.
// Statistics are not orders: ratios and nanoseconds are shown as floating point.
#![allow(clippy::float_arithmetic)]

mod commit;
mod contest;
mod direct;
mod log;
mod okay;
mod raft;
mod report;
mod spread;
mod tollgate;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap::builder::RangedU64ValueParser;
use core_affinity::CoreId;
use tollgate_journal::Durability;

use commit::Commit;
use contest::{Contest, Measured, Plan, Side, shuffled};
use direct::Direct;
use log::Outcome;
use okay::OkayWal;
use raft::RaftEngine;
use tollgate::{Copy, Journal, SEGMENT_BYTES};

/// Whoever is timed runs here.
const HOT_CORE: usize = 0;
/// Threads that the logs start, and the journal's cold half, run here.
const COLD_CORE: usize = 1;

/// Without sync: 120 batches of 1,000 records, which is more than a segment of the journal. A turn, of 3.2 MB, is less
/// than the journal touches ahead.
const BUFFERED: Plan = Plan { turns: 6, batches: 20, records: 1000 };
/// With sync: 300 records, one by one.
const DURABLE: Plan = Plan { turns: 5, batches: 60, records: 1 };

const _: () = assert!((BUFFERED.turns * BUFFERED.batches * BUFFERED.records * 160) as u64 > SEGMENT_BYTES);
const _: () = assert!(BUFFERED.batches * BUFFERED.records * 160 < 8 << 20);

/// Measures the gateway's journal beside write-ahead logs of others.
///
/// Records of 128 bytes are appended to each log, one after the other, by one thread: first without sync, where a record
/// counts once a crash of the process cannot take it back, then with sync, where it counts once it is on the disk. A
/// control beside each shows what the machine itself takes: a copy of as many bytes into memory, and one direct write of
/// a block of 4 KiB.
///
/// The logs take turns in random order, round by round. Ratios are paired within a round; medians over the rounds are
/// printed with their quartiles. One round more is run first and thrown away. What is dirty is written to the disk between
/// turns, outside the timed intervals. At the end the last record of each log is read back.
///
/// Two cores are needed, an idle machine, and a file system on a disk.
#[derive(Parser)]
#[command(version, after_help = EXIT, after_long_help = EXIT)]
struct Options {
    /// Rounds that count, from 1 to 100; each takes about a second and 80 MB of disk.
    #[arg(long, default_value_t = 15, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100))]
    rounds: usize,
    /// Where to write, on the disk to be measured; a directory made there is removed at the end. Without it, the
    /// current directory.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Print JSON: nanoseconds a record, by log.
    #[arg(long)]
    json: bool,
}

const EXIT: &str = "\
Exit codes: 0 the goal is met; 1 the goal is not met, a log failed, or a record was not what was appended; 2 the \
command line is wrong. A run that is interrupted leaves its tollgate-bench-wal-… directory behind.";

/// What both contests have shown, and where.
struct Results {
    buffered: Vec<Measured>,
    durable: Vec<Measured>,
    directory: PathBuf,
    in_memory: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the goal is met.
fn run(options: &Options) -> Outcome<bool> {
    if core_affinity::get_core_ids().map_or(0, |cores| cores.len()) < 2 {
        return Err("two cores are needed: one to append, one for the logs' own threads".into());
    }
    let base = options.directory.clone().unwrap_or_else(|| PathBuf::from("."));
    let base = base.canonicalize().map_err(|error| format!("--directory {}: {error}", base.display()))?;
    let directory = tempfile::Builder::new()
        .prefix("tollgate-bench-wal-")
        .tempdir_in(&base)
        .map_err(|error| format!("cannot write to {}: {error}", base.display()))?;
    let (buffered, durable) = measure(directory.path(), options.rounds)?;
    let results = Results { buffered, durable, in_memory: is_in_memory(&base)?, directory: base };
    directory.close()?;
    if options.json {
        println!("{}", report::document(&results));
    } else {
        report::print(&results);
    }
    Ok(report::is_goal_met(&results))
}

fn measure(directory: &Path, rounds: usize) -> Outcome<(Vec<Measured>, Vec<Measured>)> {
    // Threads that a log starts stay on the core of the thread that opened it.
    pin(COLD_CORE)?;
    let mut contests = [buffered(directory)?, durable(directory)?];
    pin(HOT_CORE)?;
    let mut measured = [contests[0].measured(), contests[1].measured()];
    for number in 0..=rounds {
        for which in shuffled(2)? {
            let figures = contests[which].round()?;
            if number > 0 {
                let pairs = measured[which].iter_mut().zip(figures);
                pairs.for_each(|(side, figures)| side.rounds.push(figures));
            }
        }
        eprint!("\rround {number} of {rounds}");
    }
    eprintln!();
    contests.into_iter().try_for_each(Contest::finish)?;
    let [buffered, durable] = measured;
    Ok((buffered, durable))
}

/// Without sync. okaywal is not among them: it has no append that does not sync.
fn buffered(directory: &Path) -> Outcome<Contest> {
    let place = |name: &str| directory.join("buffered").join(name);
    let sides = vec![
        Side {
            name: "copy",
            does: "copies 160 bytes, which a record of the journal occupies, into memory of a mapped file; no log",
            log: Box::new(Copy::open(&place("copy"))?),
        },
        Side {
            name: "tollgate",
            does: "class process: CRC-32C, into a mapped file touched before; no system call; segments of 16 MiB",
            log: Box::new(Journal::open(place("tollgate"), Durability::Process)?),
        },
        Side {
            name: "commitlog",
            does: "CRC-32C, write(2) into the page cache, and an index in a mapped file; it cannot sync messages at all",
            log: Box::new(Commit::open(place("commitlog"))?),
        },
        Side {
            name: "raft-engine",
            does: "CRC-32, pwrite(2) into the page cache, and an index in memory; sync = false",
            log: Box::new(RaftEngine::open(place("raft-engine"), false)?),
        },
    ];
    Ok(Contest::new(sides, BUFFERED))
}

/// With sync. commitlog is not among them: its flush syncs the index at most, and never the messages.
fn durable(directory: &Path) -> Outcome<Contest> {
    let place = |name: &str| directory.join("durable").join(name);
    std::fs::create_dir_all(directory.join("durable"))?;
    let sides = vec![
        Side {
            name: "direct",
            does: "one O_DIRECT|O_DSYNC write of 4 KiB into a file written before; no log",
            log: Box::new(Direct::open(place("direct"))?),
        },
        Side {
            name: "tollgate",
            does: "class disk: CRC-32C, synced by its own thread on the other core; the appender spins until then",
            log: Box::new(Journal::open(place("tollgate"), Durability::Disk)?),
        },
        Side {
            name: "okaywal",
            does: "CRC-32C, write(2) and fdatasync; files of 1 MiB, recycled by checkpoints that have nothing to do",
            log: Box::new(OkayWal::open(&place("okaywal"))?),
        },
        Side {
            name: "raft-engine",
            does: "CRC-32, pwrite(2) and fdatasync, and an index in memory; sync = true",
            log: Box::new(RaftEngine::open(place("raft-engine"), true)?),
        },
    ];
    Ok(Contest::new(sides, DURABLE))
}

fn pin(core: usize) -> Outcome<()> {
    let pinned = core_affinity::set_for_current(CoreId { id: core });
    if pinned { Ok(()) } else { Err(format!("this process may not run on core {core}").into()) }
}

/// Whether a file system has no disk, so that figures with sync mean nothing.
fn is_in_memory(directory: &Path) -> Outcome<bool> {
    /// Magic numbers of tmpfs and ramfs.
    const MAGIC: [u64; 2] = [0x0102_1994, 0x8584_58f6];
    Ok(MAGIC.contains(&(rustix::fs::statfs(directory)?.f_type as u64)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Each log takes, and keeps, what the contests give it.
    #[test]
    fn every_side_appends_and_reads_back() {
        let directory = tempfile::tempdir_in(".").unwrap();
        for mut contest in [buffered(directory.path()).unwrap(), durable(directory.path()).unwrap()] {
            let figures = contest.round().unwrap();
            assert_eq!(figures.len(), 4);
            assert!(figures.iter().all(|it| it.mean > 0.0 && it.p99 >= it.p50));
            contest.finish().unwrap();
        }
    }
}
