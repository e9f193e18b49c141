//! Instructions of the pipeline, by kind of command: what no noise blurs. Counted by valgrind's callgrind.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

use clap::{Args, ValueEnum};
use serde_json::json;
use tollgate_core::Probe;
use tollgate_core::Stage;
use tollgate_protocol::event::Event;
use tollgate_protocol::frame::{self, FRAME_BYTES_MAX, FrameKind};
use tollgate_protocol::mac::{FrameMac, MacAlgorithm};

use crate::workload::{BATCH, Kind, Macs, Workload, acknowledgement, limit_order, new_order};

/// Batches that are counted, after as many that are not.
const BATCHES: usize = 8;
/// The ceilings, as the file beside this crate states them.
const CEILINGS: &str = include_str!("../ceilings.json");
/// The function in which callgrind counts.
const COUNTED: &str = "*tollgate_bench*counted*";
/// The function that stands between two stages.
const MARK: &str = "*stage_mark*";

/// What to count.
#[derive(Args)]
pub(crate) struct Options {
    /// Write what was counted, with three twentieths more, to this file: bench/ceilings.json, to raise the ceilings.
    #[arg(long, value_name = "FILE")]
    bless: Option<std::path::PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A process that callgrind watches.
#[derive(Args)]
pub(crate) struct Count {
    #[arg(value_enum)]
    subject: Subject,
    /// Its MACs, and nothing else.
    #[arg(long)]
    macs_alone: bool,
    /// One batch, with a mark behind every stage.
    #[arg(long)]
    by_stage: bool,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
enum Subject {
    New,
    Refused,
    Cancel,
    Replace,
    Query,
    Heartbeat,
    /// What a venue says of an order: that it has it, and that it cancelled it; one of the two.
    Report,
    /// Decoding the body of a new order, and encoding its acknowledgement.
    Codec,
    /// A limit order's numbers onto the grid.
    Precision,
}

impl Subject {
    const ALL: [Self; 9] = [
        Self::New,
        Self::Refused,
        Self::Cancel,
        Self::Replace,
        Self::Query,
        Self::Heartbeat,
        Self::Report,
        Self::Codec,
        Self::Precision,
    ];

    fn kind(self) -> Option<Kind> {
        Some(match self {
            Self::New => Kind::New,
            Self::Refused => Kind::Refused,
            Self::Cancel => Kind::Cancel,
            Self::Replace => Kind::Replace,
            Self::Query => Kind::Query,
            Self::Heartbeat => Kind::Heartbeat,
            Self::Report | Self::Codec | Self::Precision => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Codec => "codec",
            Self::Precision => "precision",
            _ => self.kind().map_or("", Kind::name),
        }
    }
}

/// Counts every subject, each in a process of its own, and compares with the ceilings.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let ceilings: BTreeMap<String, u64> =
        serde_json::from_str(CEILINGS).map_err(|error| format!("bench/ceilings.json: {error}"))?;
    // With ceilings of 0 everything is counted as often as it may be.
    let is_blessing = options.bless.is_some();
    let ceiling =
        |subject: Subject| ceilings.get(subject.name()).copied().filter(|_| !is_blessing).unwrap_or(0);
    let mut counts = BTreeMap::new();
    for subject in Subject::ALL {
        counts.insert(subject, least(subject, ceiling(subject), directory.path())?);
    }
    if let Some(path) = &options.bless {
        return write_ceilings(path, &counts).map(|()| true);
    }
    let stages = by_stage()?;
    let is_over = |(subject, found): (&Subject, &u64)| *found > ceiling(*subject);
    if options.json {
        let rows: serde_json::Map<_, _> = counts
            .iter()
            .map(|(subject, found)| {
                (subject.name().to_owned(), json!({ "instructions": found, "ceiling": ceiling(*subject) }))
            })
            .collect();
        println!("{}", json!({ "instructions": rows, "by_stage": by_stage_json(&stages) }));
    } else {
        println!("{:<11}{:>14}{:>10}", "", "instructions", "ceiling");
        for (subject, found) in &counts {
            let verdict = if is_over((subject, found)) { "  OVER" } else { "" };
            println!("{:<11}{found:>14}{:>10}{verdict}", subject.name(), ceiling(*subject));
        }
        println!("\na command through the whole pipeline without its MACs, {} times each", BATCHES * BATCH);
        print_by_stage(&stages);
    }
    let over = counts.iter().filter(|row| is_over(*row)).count();
    if over > 0 {
        eprintln!(
            "error: {over} counts are over their ceilings. Make the path as short as it was; or, when the change is \
             worth it, say so in CHANGELOG.md and raise them: cargo run --release -p tollgate-bench -- instructions \
             --bless bench/ceilings.json"
        );
    }
    Ok(over == 0)
}

fn write_ceilings(path: &Path, counts: &BTreeMap<Subject, u64>) -> Result<(), String> {
    let rows: serde_json::Map<_, _> = counts
        .iter()
        .map(|(subject, found)| (subject.name().to_owned(), json!(found + found * 3 / 20)))
        .collect();
    let text = format!("{:#}\n", serde_json::Value::Object(rows));
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The least of up to three counts, of which the first that keeps the ceiling is the last. Where a thread beside the one
/// that is counted lags, which it does under callgrind now and then, that one does some of its work.
fn least(subject: Subject, ceiling: u64, directory: &Path) -> Result<u64, String> {
    let mut least = u64::MAX;
    for _ in 0..3 {
        let whole = count(subject, false, directory)?;
        // The MACs alone, over messages of the same lengths: how long they take is the processor's affair.
        let has_macs = subject.kind().is_some() || subject == Subject::Report;
        let macs = if has_macs { count(subject, true, directory)? } else { 0 };
        least = least.min(whole.saturating_sub(macs));
        if least <= ceiling {
            break;
        }
    }
    Ok(least)
}

/// Runs this program again under callgrind; returns the instructions of one command.
fn count(subject: Subject, macs_alone: bool, directory: &Path) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let out = directory.join(format!("callgrind.{}", subject.name()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(["count", subject.name()])
        .args(macs_alone.then_some("--macs-alone"))
        .output()
        .map_err(|error| format!("valgrind: {error}; run: sudo apt-get install valgrind"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected =
        said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
    match collected {
        Some(instructions) if output.status.success() && instructions > 0 => {
            Ok(instructions / (BATCHES * BATCH) as u64)
        }
        _ => Err(format!("valgrind did not count {}:\n{said}", subject.name())),
    }
}

/// Instructions of each stage of a command, by kind, in the order of [`Stage::ALL`]; `None` for a stage that commands of this
/// kind do not come to.
pub(crate) type Counts = Vec<(&'static str, [Option<u64>; Stage::ALL.len()])>;

/// Counts the stages of commands of every kind.
pub(crate) fn by_stage() -> Result<Counts, String> {
    Kind::ALL.into_iter().map(|kind| Ok((kind.name(), stages_of(kind)?))).collect()
}

/// Prints them.
pub(crate) fn print_by_stage(counts: &Counts) {
    print!("\n{:<11}", "by stage");
    Stage::ALL.iter().for_each(|stage| print!("{:>14}", stage.name()));
    println!();
    for (name, stages) in counts {
        print!("{name:<11}");
        for count in stages {
            print!("{:>14}", count.map_or_else(|| "–".to_owned(), |count| count.to_string()));
        }
        println!();
    }
    println!("with the MAC of the command, made of eight commands at once; without that of the answer");
}

/// The same as JSON.
pub(crate) fn by_stage_json(counts: &Counts) -> serde_json::Value {
    let of = |stages: &[Option<u64>; Stage::ALL.len()]| {
        let counted = Stage::ALL
            .iter()
            .zip(stages)
            .filter_map(|(stage, count)| Some((stage.name().to_owned(), json!((*count)?))));
        serde_json::Value::Object(counted.collect())
    };
    serde_json::Value::Object(counts.iter().map(|(name, stages)| ((*name).to_owned(), of(stages))).collect())
}

fn stages_of(kind: Kind) -> Result<[Option<u64>; Stage::ALL.len()], String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let out = directory.path().join("callgrind.stages");
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    // One part for what lies between two marks, all in one file.
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--combine-dumps=yes"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--dump-before={MARK}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(["count", kind.name(), "--by-stage"])
        .output()
        .map_err(|error| format!("valgrind: {error}; run: sudo apt-get install valgrind"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let passed: Vec<usize> = said.split_whitespace().filter_map(|stage| stage.parse().ok()).collect();
    let parts = std::fs::read_to_string(&out).unwrap_or_default();
    let parts: Vec<u64> =
        parts.lines().filter_map(|line| line.strip_prefix("totals:")?.trim().parse().ok()).collect();
    if !output.status.success() || passed.is_empty() || parts.len() < passed.len() * BATCH {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("valgrind did not count the stages of {}:\n{said}", kind.name()));
    }
    let mut stages = [None; Stage::ALL.len()];
    for (at, stage) in passed.iter().enumerate() {
        let sum: u64 = parts[..passed.len() * BATCH].iter().skip(at).step_by(passed.len()).sum();
        stages[*stage] = Some(sum / BATCH as u64);
    }
    Ok(stages)
}

/// The inside of [`stages_of`]: prints the stages that a command comes to.
fn count_stages_here(workload: &mut Workload, kind: Kind) -> Result<(), String> {
    let mut passed = Passed(Vec::new());
    for _ in 0..BATCHES {
        passed.0.clear();
        workload.batch(kind, |workload| workload.run_watched(&mut passed))?;
    }
    passed.0.truncate(passed.0.len() / BATCH);
    println!("{}", passed.0.iter().map(usize::to_string).collect::<Vec<_>>().join(" "));
    workload.batch(kind, |workload| counted(|| workload.run_watched(&mut Marks)))?;
    Ok(())
}

/// Notes the stages that are passed.
struct Passed(Vec<usize>);

impl Probe for Passed {
    fn ended(&mut self, stage: Stage) {
        self.0.push(stage as usize);
    }
}

/// Lets callgrind know of every stage's end.
struct Marks;

impl Probe for Marks {
    fn ended(&mut self, stage: Stage) {
        stage_mark(stage as usize);
    }
}

/// Callgrind ends a part whenever this is called.
#[inline(never)]
fn stage_mark(stage: usize) {
    black_box(stage);
}

/// The inside of [`count`].
pub(crate) fn count_here(options: &Count) -> Result<bool, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut workload = Workload::new(directory.path(), MacAlgorithm::Blake3)?;
    match (options.subject, options.subject.kind()) {
        (Subject::Codec, _) => codec(),
        (Subject::Report, _) => reports(&mut workload, options.macs_alone),
        (_, None) => precision(&mut workload),
        (_, Some(kind)) if options.by_stage => count_stages_here(&mut workload, kind)?,
        (_, Some(kind)) => {
            for batch in 0..2 * BATCHES {
                let is_counted = batch >= BATCHES;
                let counts_run = is_counted && !options.macs_alone;
                workload.batch(
                    kind,
                    |workload| if counts_run { counted(|| workload.run()) } else { workload.run() },
                )?;
                if is_counted && options.macs_alone {
                    macs(workload.bytes);
                }
            }
        }
    }
    Ok(true)
}

/// What happens in here is counted.
#[inline(never)]
fn counted<T>(call: impl FnOnce() -> T) -> T {
    black_box(call())
}

/// A report for every command, half of them of one kind and half of the other.
fn reports(workload: &mut Workload, macs_alone: bool) {
    for batch in 0..2 * BATCHES {
        workload.prepare(Kind::New);
        workload.run();
        let orders = workload.take_orders();
        let mut run = || workload.end_all(&orders);
        let is_counted = batch >= BATCHES;
        // Two reports of each order: every other batch counts.
        if is_counted && batch % 2 == 0 && !macs_alone {
            counted(&mut run);
        } else {
            run();
        }
        let report_bytes = workload.discard() / (2 * orders.len()).max(1);
        if is_counted && macs_alone {
            macs((0, report_bytes));
        }
    }
}

/// A batch's MACs: one checked, one made, for every command.
fn macs(bytes: (usize, usize)) {
    let mut macs = Macs::new(MacAlgorithm::Blake3, bytes);
    counted(|| macs.run());
}

fn codec() {
    let mac = FrameMac::new(MacAlgorithm::Blake3, &[7; 32]);
    let (mut there, mut back) = ([0; FRAME_BYTES_MAX], [0; FRAME_BYTES_MAX]);
    let command = new_order();
    let bytes = frame::encode(FrameKind::Command, 1, &command, Some(&mac), &mut there).unwrap_or_default();
    let event = acknowledgement();
    // What is found out once, such as the processor's features, is found out here.
    decode_and_encode(&there[..bytes], &event, &mut back);
    counted(|| {
        for _ in 0..BATCHES * BATCH {
            decode_and_encode(black_box(&there[..bytes]), black_box(&event), &mut back);
        }
    });
}

fn decode_and_encode(bytes: &[u8], event: &Event, out: &mut [u8]) {
    if let Ok(Some(frame)) = frame::Frame::split(bytes) {
        black_box(frame.body::<tollgate_protocol::Command>().is_ok());
    }
    black_box(frame::encode(FrameKind::Hello, 1, event, None, out));
}

fn precision(workload: &mut Workload) {
    let order = limit_order();
    counted(|| {
        for _ in 0..BATCHES * BATCH {
            black_box(workload.rig.precision(black_box(&order)));
        }
    });
}
