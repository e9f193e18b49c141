//! What each stage of the pipeline costs, in process: no socket, no other thread.

use std::hint::black_box;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use tollgate_core::Stage;
use tollgate_core::rig::Stopwatch;

use crate::instructions::{self, Counts};
use crate::report::Part;
use crate::report::{Plot, Section, State, Verdict};

use crate::statistics::Spread;
use crate::workload::{BATCH, Kind, Macs, Workload, limit_order};
use crate::{Mac, cores, machine};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Batches of 64 commands for each kind; a tenth more is run first and thrown away.
    #[arg(long, default_value_t = 400)]
    batches: usize,
    /// The session's MAC.
    #[arg(long, value_enum, default_value = "blake3")]
    mac: Mac,
    /// Only this kind of command; without it, each, and what a venue says of an order.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Count the instructions of each stage, too, as `instructions` does: with valgrind, in ten seconds.
    #[arg(long)]
    instructions: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Goals for a new order without the MAC, and for a precision check, in nanoseconds.
const PIPELINE_NS: (f64, f64) = (500.0, 300.0);
const PRECISION_NS: f64 = 20.0;

/// Nanoseconds a command, batch by batch.
#[derive(Default)]
struct Samples {
    whole: Vec<f64>,
    mac: Vec<f64>,
    stages: [Vec<f64>; Stage::ALL.len()],
    bytes: (usize, usize),
}

impl Samples {
    fn without_mac(&self) -> Spread {
        Spread::of(self.whole.iter().zip(&self.mac).map(|(whole, mac)| whole - mac))
    }
}

pub(crate) fn run(options: &Options) -> Result<bool, String> {
    if options.batches < 10 {
        return Err(format!("--batches {}: give 10 at least", options.batches));
    }
    let look_ns = look_at_the_clock_ns();
    let (rows, precision) = measure_all(options, look_ns)?;
    let counts = if options.instructions { instructions::by_stage()? } else { Counts::default() };
    if options.json {
        println!("{}", document(options, &rows, &counts, precision));
    } else {
        print(options, &rows, &counts, precision, look_ns);
    }
    Ok(new_order(&rows).is_none_or(|new| new.without_mac().median <= PIPELINE_NS.0))
}

/// What is measured, by name: the kinds of commands, and what a venue says of an order.
type Rows = Vec<(&'static str, Samples)>;

/// The row of what a venue says: that it has an order, and that it cancelled it; one of the two.
const REPORT: &str = "report";

fn new_order(rows: &Rows) -> Option<&Samples> {
    rows.iter().find(|(name, _)| *name == Kind::New.name()).map(|(_, samples)| samples)
}

fn measure_all(options: &Options, look_ns: f64) -> Result<(Rows, Spread), String> {
    cores::pin(cores::server())?;
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut workload = Workload::new(directory.path(), options.mac.algorithm())?;
    let kinds = Kind::ALL.into_iter().filter(|kind| options.kind.is_none_or(|wanted| wanted == *kind));
    let kinds: Vec<Kind> = kinds.collect();
    let mut rows: Rows = kinds.iter().map(|kind| (kind.name(), Samples::default())).collect();
    if options.kind.is_none() {
        rows.push((REPORT, Samples::default()));
    }
    for batch in 0..options.batches + options.batches / 10 {
        if batch == options.batches / 10 {
            rows.iter_mut().for_each(|(_, samples)| *samples = Samples::default());
        }
        for (at, (_, samples)) in rows.iter_mut().enumerate() {
            match kinds.get(at) {
                Some(kind) => measure(&mut workload, *kind, options.mac, look_ns, samples)?,
                None => measure_reports(&mut workload, options.mac, samples)?,
            }
        }
    }
    let precision = precision_ns(&mut workload, options.batches);
    Ok((rows, precision))
}

/// Two reports of every order of a batch.
fn measure_reports(workload: &mut Workload, mac: Mac, samples: &mut Samples) -> Result<(), String> {
    workload.prepare(Kind::New);
    workload.run();
    let orders = workload.take_orders();
    if orders.len() != BATCH {
        return Err(format!("of {BATCH} new orders {} reached the venue", orders.len()));
    }
    let began = Instant::now();
    workload.end_all(&orders);
    let whole_ns = began.elapsed().as_nanos() as f64;
    let reports = 2 * orders.len();
    samples.bytes = (0, workload.discard() / reports);
    samples.whole.push(whole_ns / reports as f64);
    samples.mac.push(mac_ns(mac, samples.bytes)?);
    Ok(())
}

fn measure(
    workload: &mut Workload,
    kind: Kind,
    mac: Mac,
    look_ns: f64,
    samples: &mut Samples,
) -> Result<(), String> {
    let whole = workload.batch(kind, |workload| {
        let began = Instant::now();
        black_box(workload.run());
        began.elapsed()
    })?;
    samples.whole.push(each(whole.as_nanos() as f64));
    samples.bytes = workload.bytes;
    samples.mac.push(mac_ns(mac, samples.bytes)?);
    let watch = workload.batch(kind, |workload| {
        let mut watch = Stopwatch::start();
        black_box(workload.run_watched(&mut watch));
        watch
    })?;
    for (stage, nanoseconds) in watch.stages_ns.iter().enumerate() {
        if *nanoseconds > 0 {
            samples.stages[stage].push((each(*nanoseconds as f64) - look_ns).max(0.0));
        }
    }
    Ok(())
}

fn each(batch_ns: f64) -> f64 {
    batch_ns / BATCH as f64
}

/// What checking the tag of one frame and making that of another costs.
fn mac_ns(mac: Mac, bytes: (usize, usize)) -> Result<f64, String> {
    let mut macs = Macs::new(mac.algorithm(), bytes);
    let began = Instant::now();
    let right = macs.run();
    let took = began.elapsed();
    if right {
        Ok(each(took.as_nanos() as f64))
    } else {
        Err("a tag that was made just now is wrong".to_owned())
    }
}

/// What the probe between two stages costs.
fn look_at_the_clock_ns() -> f64 {
    let looks = 100_000;
    let began = Instant::now();
    for _ in 0..looks {
        black_box(Instant::now());
    }
    began.elapsed().as_nanos() as f64 / f64::from(looks)
}

fn precision_ns(workload: &mut Workload, batches: usize) -> Spread {
    let order = limit_order();
    Spread::of((0..batches).map(|_| {
        let began = Instant::now();
        for _ in 0..1000 {
            black_box(workload.rig.precision(black_box(&order)));
        }
        began.elapsed().as_nanos() as f64 / 1000.0
    }))
}

fn median(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| Spread::of(values.iter().copied()).median)
}

fn print(options: &Options, rows: &Rows, counts: &Counts, precision: Spread, look_ns: f64) {
    for (name, value) in machine::describe() {
        println!("{name:<11}{value}");
    }
    println!("MAC        {}, both ways", options.mac.argument());
    println!("batches    {} of {BATCH} commands for each kind, in turn; medians\n", options.batches);
    print!("{:<11}{:>7}{:>7}{:>10}{:>7}{:>9} │", "ns", "bytes", "back", "whole", "MAC", "without");
    for stage in Stage::ALL.map(Stage::name) {
        print!("{stage:>13}");
    }
    println!();
    for (name, samples) in rows {
        let whole = Spread::of(samples.whole.iter().copied());
        let (there, back) = samples.bytes;
        let mac = Spread::of(samples.mac.iter().copied()).median;
        let without = samples.without_mac().median;
        print!("{name:<11}{there:>7}{back:>7}{:>10.0}{mac:>7.0}{without:>9.0} │", whole.median);
        for stage in &samples.stages {
            print!("{:>13}", median(stage).map_or_else(|| "–".to_owned(), |median| format!("{median:.0}")));
        }
        println!();
    }
    if options.instructions {
        instructions::print_by_stage(counts);
    }
    println!(
        "\nStages are timed apart, less {look_ns:.0} ns for each look at the clock: read them as shares."
    );
    if let Some(new) = new_order(rows) {
        let it = new.without_mac();
        let verdict = match it.median {
            value if value <= PIPELINE_NS.1 => "goal met".to_owned(),
            value if value <= PIPELINE_NS.0 => format!("first release met, goal {} not met", PIPELINE_NS.1),
            _ => format!("first release {} NOT met", PIPELINE_NS.0),
        };
        println!("new without the MAC: {:.0} ns ({:.0}–{:.0}): {verdict}", it.median, it.low, it.high);
    }
    let verdict = if precision.median <= PRECISION_NS { "goal met" } else { "goal 20 NOT met" };
    println!(
        "precision of a limit order: {:.1} ns ({:.1}–{:.1}): {verdict}",
        precision.median, precision.low, precision.high
    );
}

fn document(options: &Options, rows: &Rows, counts: &Counts, precision: Spread) -> serde_json::Value {
    let machine: serde_json::Map<_, _> =
        machine::describe().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let kinds: serde_json::Map<_, _> = rows
        .iter()
        .map(|(name, samples)| {
            let stages: serde_json::Map<_, _> = Stage::ALL
                .iter()
                .zip(&samples.stages)
                .filter_map(|(stage, values)| Some((stage.name().to_owned(), json!(median(values)?))))
                .collect();
            let document = json!({
                "request_bytes": samples.bytes.0,
                "answer_bytes": samples.bytes.1,
                "whole_ns": Spread::of(samples.whole.iter().copied()).json(),
                "mac_ns": Spread::of(samples.mac.iter().copied()).json(),
                "without_mac_ns": samples.without_mac().json(),
                "stages_ns": stages,
            });
            ((*name).to_owned(), document)
        })
        .collect();
    json!({
        "machine": machine,
        "mac": options.mac.argument(),
        "batches": options.batches,
        "batch_commands": BATCH,
        "kinds": kinds,
        "precision_ns": precision.json(),
        "instructions": instructions::by_stage_json(counts),
    })
}

/// The same measurement for the page.
pub(crate) fn part(batches: usize) -> Result<Part, String> {
    let options = Options { batches, mac: Mac::Blake3, kind: None, instructions: false, json: false };
    let (rows, precision) = measure_all(&options, look_at_the_clock_ns())?;
    let mut verdicts = Vec::new();
    let mut plots = Vec::new();
    if let Some(new) = new_order(&rows) {
        let it = new.without_mac();
        let state = match it.median {
            median if median <= PIPELINE_NS.1 => State::Met,
            median if median <= PIPELINE_NS.0 => State::FirstRelease,
            _ => State::NotMet,
        };
        let (first, goal) = PIPELINE_NS;
        let text = format!(
            "a new order takes {:.0} ns without its MACs; goal {goal}, first release {first}",
            it.median
        );
        verdicts.push(Verdict { state, text });
        let bars = Stage::ALL.iter().map(|stage| stage.name()).zip(&new.stages);
        plots.push(Plot::Bars {
            title: "Stages of a new order, its MACs included".to_owned(),
            unit: "ns".to_owned(),
            bars: bars.filter_map(|(stage, values)| Some(((*stage).to_owned(), median(values)?))).collect(),
            mark: None,
        });
    }
    let state = if precision.median <= PRECISION_NS { State::Met } else { State::NotMet };
    let text = format!("a precision check takes {:.1} ns; goal {PRECISION_NS}", precision.median);
    verdicts.push(Verdict { state, text });
    let kinds = rows.iter().map(|(name, samples)| ((*name).to_owned(), samples.without_mac().median));
    plots.push(Plot::Bars {
        title: "Kinds of commands, and a venue's report, without their MACs".to_owned(),
        unit: "ns".to_owned(),
        bars: kinds.collect(),
        mark: Some(("first release, new".to_owned(), PIPELINE_NS.0)),
    });
    let section = Section {
        title: "Stages of the pipeline".to_owned(),
        explanation: "In process, without a socket, in batches of 64. Stages are timed apart, less what looking at the \
                      clock costs: read them as shares."
            .to_owned(),
        verdicts,
        plots,
        table: Vec::new(),
    };
    Ok(Part { section, distributions: Vec::new() })
}
