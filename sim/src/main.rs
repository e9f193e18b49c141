//! `tollgate-sim`: runs seeds, and shows what it finds.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tollgate_sim::coverage::Coverage;
use tollgate_sim::fault::Fault;
use tollgate_sim::moves::Step;
use tollgate_sim::run::{self, Options};
use tollgate_sim::setup::{Hazard, Hazards};

const ABOUT: &str =
    "Simulates the Tollgate gateway: one seed, one thread, every way to lose or double an order";

const MANUAL: &str = "\
Every seed is one life of a gateway: the real hot path, its recovery and its replay, with clients that sign real frames, two
paper venues, and a disk, a network and clocks that lie. Everything random comes from the seed, so a seed is the same run on
every machine. At the end nothing goes wrong any more, everything settles, and clients, journal and venues must agree.

Examples:
  tollgate-sim --seeds 100000              100,000 new seeds, then rates and what was reached
  tollgate-sim --seconds 60                as many as fit in a minute
  tollgate-sim --seed 4711 --trace         one seed, every happening, cut down to what matters when it fails
  tollgate-sim --seeds-file sim/seeds.txt  every seed that ever failed

Exit codes: 0 no fault; 1 a fault, with its repro on the last line; 2 the command line is wrong.";

/// What is run, and how.
#[derive(Parser)]
#[command(name = "tollgate-sim", about = ABOUT, after_help = MANUAL, version)]
struct Arguments {
    /// Runs so many seeds, from --start on [default: 1000, unless seconds, a seed or a file are given]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Runs seeds from --start on for so long
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: Option<u64>,
    /// The first seed; "clock" takes one from the time of day, for seeds that nobody has run
    #[arg(long, value_name = "SEED", default_value = "1", value_parser = first_seed)]
    start: u64,
    /// Runs this seed alone
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Runs the seeds of a file: one a line, with what follows a # left out
    #[arg(long, value_name = "FILE")]
    seeds_file: Option<PathBuf>,
    /// Prints what happens in the seed; when it fails, in the shortest run that fails alike
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Prints the trace of the whole run, not cut down
    #[arg(long, requires = "trace")]
    whole: bool,
    /// Turns a hazard on that is known to break the gateway as it stands; may be given several times
    #[arg(long = "with", value_name = "HAZARD", value_parser = hazard)]
    hazards: Vec<Hazard>,
    /// Leaves the table of what was reached out
    #[arg(long)]
    quiet: bool,
}

fn hazard(name: &str) -> Result<Hazard, String> {
    let found = Hazard::ALL.iter().find(|(_, known)| *known == name);
    let names: Vec<&str> = Hazard::ALL.iter().map(|(_, name)| *name).collect();
    found
        .map(|(hazard, _)| *hazard)
        .ok_or_else(|| format!("no such hazard; give one of: {}", names.join(", ")))
}

fn first_seed(text: &str) -> Result<u64, String> {
    if text == "clock" {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        return Ok(since.map_or(1, |since| since.as_millis() as u64));
    }
    text.parse().map_err(|_| "give a number, or \"clock\"".to_owned())
}

/// The seeds of a file.
fn read_seeds(path: &PathBuf) -> Result<Vec<u64>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text.lines().enumerate();
    let seeds = lines.filter_map(|(at, line)| {
        let line = line.split('#').next().unwrap_or_default().trim();
        let wrong = || format!("{}, line {}: {line:?} is no seed: give a number", path.display(), at + 1);
        (!line.is_empty()).then(|| line.parse().map_err(|_| wrong()))
    });
    seeds.collect()
}

/// What several runs came to.
#[derive(Default)]
struct Tally {
    coverage: Coverage,
    seeds: u64,
    faults: Vec<(u64, Fault)>,
}

impl Tally {
    fn run(&mut self, seed: u64, options: Options) {
        let report = run::run(seed, options);
        self.seeds += 1;
        self.coverage.merge(&report.coverage);
        if let Some(fault) = report.fault {
            self.faults.push((seed, fault));
        }
    }
}

/// Faults after which no further seeds are run.
const FAULTS_MAX: usize = 20;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let hazards = arguments.hazards.iter().fold(Hazards::default(), |all, hazard| all.with(*hazard));
    let options = Options { hazards, ..Options::default() };
    if let Some(seed) = arguments.seed {
        return show(seed, options, &arguments);
    }
    // What a run panics of is its fault, and is told with its seed; alone, it may say where.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let mut tally = Tally::default();
    if let Some(path) = &arguments.seeds_file {
        match read_seeds(path) {
            Ok(seeds) => seeds.into_iter().for_each(|seed| tally.run(seed, options)),
            Err(words) => {
                eprintln!("error: {words}");
                return ExitCode::from(2);
            }
        }
    }
    let has_other = arguments.seeds_file.is_some() || arguments.seconds.is_some();
    let count = arguments.seeds.unwrap_or(if has_other { 0 } else { 1_000 });
    let long = Duration::from_secs(arguments.seconds.unwrap_or(0));
    let mut at = 0;
    while (at < count || began.elapsed() < long) && tally.faults.len() < FAULTS_MAX {
        tally.run(arguments.start.wrapping_add(at), options);
        at += 1;
    }
    print(&tally, began.elapsed(), &arguments)
}

fn print(tally: &Tally, elapsed: Duration, arguments: &Arguments) -> ExitCode {
    let coverage = &tally.coverage;
    let milliseconds = elapsed.as_millis().max(1) as u64;
    if !arguments.quiet {
        print!("{coverage}");
    }
    println!(
        "{} seeds from {} in {} s, {} a minute: {} moves, {} turns, {} records, {} orders at venues, {} starts, {} h of \
         virtual time",
        tally.seeds,
        arguments.start,
        milliseconds / 1_000,
        tally.seeds * 60_000 / milliseconds,
        coverage.moves,
        coverage.turns,
        coverage.records,
        coverage.orders,
        coverage.starts,
        coverage.virtual_ns / 3_600_000_000_000,
    );
    if tally.faults.is_empty() {
        println!("no fault");
        return ExitCode::SUCCESS;
    }
    for (seed, fault) in &tally.faults {
        println!("FAULT seed {seed}: {fault}");
    }
    let with: String = arguments
        .hazards
        .iter()
        .filter_map(|hazard| Hazard::ALL.iter().find(|(known, _)| known == hazard))
        .map(|(_, name)| format!(" --with {name}"))
        .collect();
    if let Some((seed, _)) = tally.faults.first() {
        println!("repro: cargo run --release -p tollgate-sim -- --seed {seed} --trace{with}");
    }
    ExitCode::FAILURE
}

/// One seed, with its trace when it is wanted.
fn show(seed: u64, options: Options, arguments: &Arguments) -> ExitCode {
    let report = run::run(seed, options);
    if arguments.trace {
        let mut steps: Vec<Step> = tollgate_sim::moves::plan(seed);
        let all = steps.len();
        if let Some(fault) = &report.fault
            && !arguments.whole
        {
            steps = run::cut_down(seed, fault.kind, options);
        }
        let traced = run::run_steps(seed, &steps, Options { traces: true, ..options });
        let mut out = std::io::stdout().lock();
        for line in &traced.trace {
            // Whoever closes the pipe has read enough.
            if writeln!(out, "{line}").is_err() {
                break;
            }
        }
        println!("{} of {all} steps, fingerprint {:016x}", steps.len(), traced.fingerprint.0);
        if let Some(fault) = &traced.fault {
            println!("cut down: {fault}");
        }
    }
    match report.fault {
        None => {
            println!("seed {seed}: no fault, fingerprint {:016x}", report.fingerprint.0);
            ExitCode::SUCCESS
        }
        Some(fault) => {
            println!("FAULT seed {seed}: {fault}");
            ExitCode::FAILURE
        }
    }
}
