//! Commands a second, pipelined, beside servers that do less.

use clap::Args;
use serde_json::json;

use crate::load::Load;
use crate::overview::Part;
use crate::peer::Process;
use crate::report::{Plot, Section, State, Verdict};
use crate::serve::{CLIENT_CORE, CONNECTIONS_MAX, SERVER_CORE, pin};
use crate::statistics::Spread;
use crate::workload::Kind;
use crate::{Class, Mac, machine};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds that count; one more is run first and thrown away.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Commands of a round.
    #[arg(long, default_value_t = 100_000)]
    commands: usize,
    /// Commands on their way at once, on each connection.
    #[arg(long, default_value_t = 256)]
    window: usize,
    /// Connections, each of a client of its own.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// The session's MAC; without it, both, one after the other.
    #[arg(long, value_enum)]
    mac: Option<Mac>,
    /// The journal's durability class.
    #[arg(long, value_enum, default_value = "process")]
    durability: Class,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is measured beside one another: two servers that show what the machine can do, and three kinds of commands.
const KINDS: [Kind; 3] = [Kind::New, Kind::Refused, Kind::Heartbeat];

struct Subject {
    name: String,
    process: Process,
    load: Load,
    per_second: Vec<f64>,
}

pub(crate) fn run(options: &Options) -> Result<bool, String> {
    if options.connections == 0 || options.connections > CONNECTIONS_MAX {
        return Err(format!("--connections {}: give 1 to {CONNECTIONS_MAX}", options.connections));
    }
    if options.rounds == 0 || options.commands < 1000 || options.window == 0 {
        return Err(
            "give one round at least, of 1000 commands at least, and a window of 1 at least".to_owned()
        );
    }
    pin(CLIENT_CORE);
    let macs = options.mac.map_or_else(|| vec![Mac::HmacSha256, Mac::Blake3], |mac| vec![mac]);
    let mut documents = Vec::new();
    let mut met = true;
    for mac in macs {
        let steal = machine::steal();
        let subjects = measure(options, mac)?;
        let steal = machine::steal() - steal;
        met &= spread(&subjects[2]).median >= goal(mac);
        if options.json {
            documents.push(document(mac, &subjects, steal));
        } else {
            print(options, mac, &subjects, steal);
        }
    }
    if options.json {
        let machine: serde_json::Map<_, _> =
            machine::describe().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        println!("{}", json!({ "machine": machine, "runs": documents }));
    }
    Ok(met)
}

fn measure(options: &Options, mac: Mac) -> Result<Vec<Subject>, String> {
    let mut gateways = Vec::new();
    for kind in KINDS {
        let process = Process::start(&["gateway", "--durability", options.durability.argument()])?;
        let load = Load::gateway(process.address, options.connections, mac.algorithm(), kind)?;
        process.pause();
        gateways.push(Subject {
            name: format!("gateway: {}", kind.name()),
            process,
            load,
            per_second: Vec::new(),
        });
    }
    let (request, answer) = sizes(&mut gateways[0])?;
    let mut subjects = vec![
        fixed("echo-many", "echo", options, mac, request, answer)?,
        fixed("floor-many", "floor", options, mac, request, answer)?,
    ];
    subjects.append(&mut gateways);
    for round in 0..=options.rounds {
        // In another order each time: whoever comes behind a greedy one is not always the same.
        let first = round % subjects.len();
        for at in 0..subjects.len() {
            let number = (first + at) % subjects.len();
            let subject = &mut subjects[number];
            subject.load.prepare(options.commands, request)?;
            subject.process.go_on();
            let took = subject.load.run(options.window)?;
            subject.process.pause();
            if round > 0 {
                subject.per_second.push(options.commands as f64 / took.as_secs_f64());
            }
        }
        eprint!("\r{}: round {round} of {}", mac.argument(), options.rounds);
    }
    eprintln!();
    Ok(subjects)
}

fn sizes(gateway: &mut Subject) -> Result<(usize, usize), String> {
    gateway.process.go_on();
    gateway.load.prepare(1000, 0)?;
    gateway.load.run(64)?;
    gateway.process.pause();
    Ok((gateway.load.request_bytes(), gateway.load.answer_bytes()))
}

fn fixed(
    server: &str,
    name: &str,
    options: &Options,
    mac: Mac,
    request: usize,
    answer: usize,
) -> Result<Subject, String> {
    let (request, answer_text) = (request.to_string(), answer.to_string());
    let connections = options.connections.to_string();
    let process = Process::start(&[
        server,
        "--request-bytes",
        &request,
        "--answer-bytes",
        &answer_text,
        "--mac",
        mac.argument(),
        "--connections",
        &connections,
    ])?;
    let load = Load::fixed(process.address, options.connections, answer)?;
    process.pause();
    Ok(Subject { name: name.to_owned(), process, load, per_second: Vec::new() })
}

fn goal(mac: Mac) -> f64 {
    match mac {
        Mac::HmacSha256 => 300_000.0,
        Mac::Blake3 => 700_000.0,
    }
}

fn spread(subject: &Subject) -> Spread {
    Spread::of(subject.per_second.iter().copied())
}

fn print(options: &Options, mac: Mac, subjects: &[Subject], steal: u64) {
    for (name, value) in machine::describe() {
        println!("{name:<11}{value}");
    }
    println!("pinned     server on core {SERVER_CORE}; client, venue and cold threads on core {CLIENT_CORE}");
    println!("MAC        {}, both ways; journal {}", mac.argument(), options.durability.argument());
    println!(
        "load       {} commands a round, {} connection(s), {} on their way on each; {} rounds",
        options.commands, options.connections, options.window, options.rounds
    );
    println!("steal      {} ms in all\n", steal * 10);
    println!("{:<20}{:>12}{:>26}{:>12}", "", "a second", "quartiles", "of floor");
    let floor = &subjects[1];
    for subject in subjects {
        let it = spread(subject);
        let ratios = subject.per_second.iter().zip(&floor.per_second).map(|(one, floor)| one / floor);
        println!(
            "{:<20}{:>12.0}{:>26}{:>12.3}",
            subject.name,
            it.median,
            format!("{:.0}–{:.0}", it.low, it.high),
            Spread::of(ratios).median
        );
    }
    let new = spread(&subjects[2]).median;
    let verdict = if new >= goal(mac) { "met" } else { "NOT met" };
    println!("\ngateway: new: goal {:.0} commands a second {verdict}", goal(mac));
    println!("every command was answered once, every MAC was right\n");
}

fn document(mac: Mac, subjects: &[Subject], steal: u64) -> serde_json::Value {
    let rows: serde_json::Map<_, _> =
        subjects.iter().map(|subject| (subject.name.clone(), spread(subject).json())).collect();
    json!({ "mac": mac.argument(), "commands_per_second": rows, "goal": goal(mac), "steal_ms": steal * 10 })
}

/// The same measurement for the page.
pub(crate) fn part(rounds: usize, mac: Mac, durability: Class) -> Result<Part, String> {
    let options = Options {
        rounds,
        commands: 100_000,
        window: 256,
        connections: 1,
        mac: Some(mac),
        durability,
        json: false,
    };
    pin(CLIENT_CORE);
    let subjects = measure(&options, mac)?;
    let new = spread(&subjects[2]).median;
    let state = if new >= goal(mac) { State::Met } else { State::NotMet };
    let text = format!("{new:.0} new orders a second; goal {:.0}", goal(mac));
    let bars = subjects[1..].iter().map(|subject| (subject.name.clone(), spread(subject).median)).collect();
    let mut table = vec![["", "a second", "lower quartile", "upper quartile"].map(str::to_owned).to_vec()];
    for subject in &subjects {
        let it = spread(subject);
        let figures = [it.median, it.low, it.high].map(|figure| format!("{figure:.0}"));
        table.push(std::iter::once(subject.name.clone()).chain(figures).collect());
    }
    let section = Section {
        title: format!("Throughput, {}", mac.argument()),
        explanation: "Commands on their way 256 at once, on one connection. New orders go the whole way: checked, \
                      journaled, sent to the venue, which reports twice; the venue's thread and the client share a core. \
                      Refused ones end at the journal, heartbeats at the session."
            .to_owned(),
        verdicts: vec![Verdict { state, text }],
        plots: vec![Plot::Bars {
            title: "Commands a second".to_owned(),
            unit: "a second".to_owned(),
            bars,
            mark: Some(("goal".to_owned(), goal(mac))),
        }],
        table,
    };
    Ok(Part { section, distributions: Vec::new() })
}
