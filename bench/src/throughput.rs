//! Commands a second, pipelined, beside servers that do less.

use clap::Args;
use serde_json::json;

use crate::loaded::Loaded;
use crate::peer::Process;
use crate::report::Part;
use crate::report::{Plot, Section, State, Verdict};
use crate::scrape::Page;
use crate::statistics::Spread;
use crate::subject::CONNECTIONS_MAX;
use crate::turns::random_order;
use crate::workload::Kind;
use crate::{Class, Idle, Mac, cores, machine};

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

/// What is measured beside one another: servers that show what the machine can do, and three kinds of commands.
const KINDS: [Kind; 3] = [Kind::New, Kind::Refused, Kind::Heartbeat];
/// Where the floors stand: of a message and its answer, and of an order's whole way.
const FLOOR: usize = 1;
const ORDER_FLOOR: usize = 2;
/// Where the gateways stand behind the servers that do less; new orders, which the goals are for, come first.
const GATEWAY: usize = 3;

struct Subject {
    name: String,
    per_second: Vec<f64>,
    /// How long a gateway's hot thread worked for a command, its reports too, in nanoseconds; 0 for other servers.
    work_ns: Vec<f64>,
}

impl Subject {
    fn work(&self) -> Spread {
        Spread::of(self.work_ns.iter().copied())
    }
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
    cores::take_client()?;
    let macs = options.mac.map_or_else(|| vec![Mac::HmacSha256, Mac::Blake3], |mac| vec![mac]);
    let mut documents = Vec::new();
    let mut met = true;
    for mac in macs {
        let steal = machine::steal();
        let subjects = measure(options, mac)?;
        let steal = machine::steal() - steal;
        met &= spread(&subjects[GATEWAY]).median >= goal(mac);
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

/// Ends the servers behind the rounds.
fn measure(options: &Options, mac: Mac) -> Result<Vec<Subject>, String> {
    let mut servers = start(options, mac)?;
    let names = ["echo", "floor", "floor: new"].map(str::to_owned).into_iter();
    let mut subjects: Vec<Subject> = names
        .chain(KINDS.map(|kind| format!("gateway: {}", kind.name())))
        .map(|name| Subject { name, per_second: Vec::new(), work_ns: Vec::new() })
        .collect();
    for round in 0..=options.rounds {
        for at in random_order(servers.len())? {
            let (took, work_s) = servers[at].turn(options.commands, |load, server| {
                if at < GATEWAY {
                    return Ok((load.run(options.window)?, 0.0));
                }
                let before_s = work_s(server)?;
                let took = load.run(options.window)?;
                Ok((took, settled_work_s(server)? - before_s))
            })?;
            if round > 0 {
                subjects[at].per_second.push(options.commands as f64 / took.as_secs_f64());
                subjects[at].work_ns.push(work_s / options.commands as f64 * 1e9);
            }
        }
        eprint!("\r{}: round {round} of {}", mac.argument(), options.rounds);
    }
    eprintln!();
    servers.into_iter().for_each(Loaded::end);
    Ok(subjects)
}

/// The servers that do less, and a gateway for each kind of command.
fn start(options: &Options, mac: Mac) -> Result<Vec<Loaded>, String> {
    let mut gateways = Vec::new();
    for kind in KINDS {
        gateways.push(Loaded::gateway(options.durability, Idle::Spin, mac, options.connections, kind)?);
    }
    let sizes = gateways[0].sizes(1000)?;
    let fixed = |server| Loaded::fixed(server, sizes, mac, options.connections);
    let mut servers = vec![fixed("echo-many")?, fixed("floor-many")?, fixed("floor-orders")?];
    servers.append(&mut gateways);
    Ok(servers)
}

/// How long the hot thread has worked: its turns that found something to do.
fn work_s(server: &Process) -> Result<f64, String> {
    Page::of(server)?.value("tollgate_turn_seconds_sum")
}

/// The same when the venue's reports have come, too.
fn settled_work_s(server: &Process) -> Result<f64, String> {
    let mut earlier_s = -1.0;
    loop {
        let now_s = work_s(server)?;
        if now_s <= earlier_s {
            return Ok(now_s);
        }
        earlier_s = now_s;
    }
}

/// The floor that a subject is compared with.
fn floor_of(subject: usize) -> usize {
    if subject == GATEWAY { ORDER_FLOOR } else { FLOOR }
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
    println!(
        "pinned     server on core {}; client, venue and cold threads on core {}",
        cores::server(),
        cores::client()
    );
    println!("MAC        {}, both ways; journal {}", mac.argument(), options.durability.argument());
    println!(
        "load       {} commands a round, {} connection(s), {} on their way on each; {} rounds",
        options.commands, options.connections, options.window, options.rounds
    );
    println!("steal      {} ms in all\n", steal * 10);
    println!("{:<20}{:>12}{:>26}{:>12}{:>14}", "", "a second", "quartiles", "of floor", "hot thread*");
    for (at, subject) in subjects.iter().enumerate() {
        let it = spread(subject);
        let floor = &subjects[floor_of(at)];
        let ratios = subject.per_second.iter().zip(&floor.per_second).map(|(one, floor)| one / floor);
        let work = if at < GATEWAY { String::new() } else { format!("{:.0} ns", subject.work().median) };
        println!(
            "{:<20}{:>12.0}{:>26}{:>12.3}{work:>14}",
            subject.name,
            it.median,
            format!("{:.0}–{:.0}", it.low, it.high),
            Spread::of(ratios).median
        );
    }
    println!(
        "* its work for one command, what the venue reports of it included; the rest of the time it had nothing to do\n\
         floor: new   MACs, records and lanes of a new order and of its two reports, and no more"
    );
    let new = &subjects[GATEWAY];
    let (per_second, work_ns) = (spread(new).median, new.work().median);
    let verdict = if per_second >= goal(mac) { "met" } else { "NOT met" };
    println!("\ngateway: new: goal {:.0} commands a second {verdict}", goal(mac));
    let floor = spread(&subjects[ORDER_FLOOR]).median;
    if floor < goal(mac) {
        println!(
            "no gateway can here, with this load: its floor does {floor:.0}, {:.2} of the goal",
            floor / goal(mac)
        );
    }
    println!(
        "the hot thread worked for {:.0} % of the time: it could serve {:.0} a second",
        per_second * work_ns / 1e7,
        1e9 / work_ns
    );
    println!("every command was answered once, every MAC was right\n");
}

fn document(mac: Mac, subjects: &[Subject], steal: u64) -> serde_json::Value {
    let rows: serde_json::Map<_, _> =
        subjects.iter().map(|subject| (subject.name.clone(), spread(subject).json())).collect();
    let work: serde_json::Map<_, _> =
        subjects[GATEWAY..].iter().map(|subject| (subject.name.clone(), subject.work().json())).collect();
    json!({
        "mac": mac.argument(),
        "commands_per_second": rows,
        "hot_thread_ns": work,
        "goal": goal(mac),
        "steal_ms": steal * 10,
    })
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
    cores::take_client()?;
    let subjects = measure(&options, mac)?;
    let new = spread(&subjects[GATEWAY]).median;
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
                      Refused ones end at the journal, heartbeats at the session. The floor has the MACs and a record of \
                      a message and its answer, \"floor: new\" those of an order's whole way with its lanes, and no more."
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
