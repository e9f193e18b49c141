//! Latency at chosen rates, from the time at which a command was meant to be sent: what waits in a queue counts.

use clap::Args;
use serde_json::json;

use crate::loaded::Loaded;
use crate::report::Part;
use crate::report::{Plot, Section, histogram};
use crate::statistics::{Round, Spread};
use crate::subject::CONNECTIONS_MAX;
use crate::turns::random_order;
use crate::workload::Kind;
use crate::{Class, Idle, Mac, cores, machine};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Rates, in commands a second, one after the other.
    #[arg(long, value_delimiter = ',', default_value = "1000,5000,20000,50000,100000")]
    rates: Vec<u32>,
    /// Rounds that count at each rate; one more is run first and thrown away.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a round is, in milliseconds.
    #[arg(long, default_value_t = 500)]
    round_ms: u32,
    /// Connections, each of a client of its own; commands take them in turn.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// The session's MAC.
    #[arg(long, value_enum, default_value = "hmac-sha256")]
    mac: Mac,
    /// The journal's durability class.
    #[arg(long, value_enum, default_value = "process")]
    durability: Class,
    /// How the gateway waits.
    #[arg(long, value_enum, default_value = "spin")]
    idle: Idle,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A round's rate counts as kept when it took at most so much longer than it should.
const LATE_SHARE: f64 = 1.05;
const NAMES: [&str; 3] = ["echo", "floor", "gateway"];

/// One rate, by server in the order of [`NAMES`].
struct Point {
    rate: u32,
    rounds: [Vec<Round>; 3],
    /// The latest that a command left after its time, over all rounds, in microseconds.
    latest_us: [f64; 3],
    /// Rounds that took longer than they should have.
    missed: [usize; 3],
}

pub(crate) fn run(options: &Options) -> Result<bool, String> {
    if options.connections == 0 || options.connections > CONNECTIONS_MAX {
        return Err(format!("--connections {}: give 1 to {CONNECTIONS_MAX}", options.connections));
    }
    if let Some(rate) = options.rates.iter().find(|rate| **rate < 100 || **rate > 2_000_000) {
        return Err(format!("--rates {rate}: give 100 to 2000000 commands a second"));
    }
    if options.rounds == 0 || options.round_ms < 50 {
        return Err("give one round at least, of 50 ms at least".to_owned());
    }
    cores::take_client()?;
    let steal = machine::steal();
    let points = sweep(options)?;
    let steal = machine::steal() - steal;
    let kept = points.iter().all(|point| point.missed == [0; 3]);
    if options.json {
        println!("{}", document(options, &points, steal));
    } else {
        print(options, &points, steal);
    }
    Ok(kept)
}

fn start(options: &Options) -> Result<[Loaded; 3], String> {
    let Options { mac, connections, .. } = *options;
    let mut gateway = Loaded::gateway(options.durability, options.idle, mac, connections, Kind::New)?;
    let sizes = gateway.sizes(connections * 500)?;
    let fixed = |server| Loaded::fixed(server, sizes, mac, connections);
    Ok([fixed("echo-many")?, fixed("floor-many")?, gateway])
}

fn sweep(options: &Options) -> Result<Vec<Point>, String> {
    let mut subjects = start(options)?;
    let points = options.rates.iter().map(|rate| measure(options, *rate, &mut subjects)).collect();
    eprintln!();
    subjects.into_iter().for_each(Loaded::end);
    points
}

fn measure(options: &Options, rate: u32, subjects: &mut [Loaded; 3]) -> Result<Point, String> {
    let interval_ns = 1e9 / f64::from(rate);
    let commands = (u64::from(rate) * u64::from(options.round_ms) / 1000).max(50) as usize;
    let mut point = Point { rate, rounds: Default::default(), latest_us: [0.0; 3], missed: [0; 3] };
    for round in 0..=options.rounds {
        for at in random_order(subjects.len())? {
            let paced = subjects[at].turn(commands, |load, _| load.run_paced(interval_ns))?;
            if round == 0 {
                continue;
            }
            let should_take_s = paced.latencies_ns.len() as f64 * interval_ns / 1e9;
            point.missed[at] += usize::from(paced.took.as_secs_f64() > should_take_s * LATE_SHARE + 0.001);
            point.latest_us[at] = point.latest_us[at].max(paced.latest_ns as f64 / 1000.0);
            point.rounds[at].push(Round::new(paced.latencies_ns));
        }
        eprint!("\r{rate} a second: round {round} of {}    ", options.rounds);
    }
    Ok(point)
}

impl Point {
    fn figure(&self, subject: usize, share: f64) -> Spread {
        Spread::of(self.rounds[subject].iter().map(|round| round.percentile(share)))
    }

    /// Against the echo, round by round.
    fn ratio(&self, subject: usize, share: f64) -> Spread {
        let pairs = self.rounds[subject].iter().zip(&self.rounds[0]);
        Spread::of(pairs.map(|(one, echo)| one.percentile(share) / echo.percentile(share)))
    }
}

fn print(options: &Options, points: &[Point], steal: u64) {
    for (name, value) in machine::describe() {
        println!("{name:<11}{value}");
    }
    println!(
        "pinned     server on core {}; client, venue and cold threads on core {}",
        cores::server(),
        cores::client()
    );
    println!(
        "MAC        {}, both ways; journal {}; the gateway waits by {}, echo, floor and client spin",
        options.mac.argument(),
        options.durability.argument(),
        options.idle.argument()
    );
    println!(
        "load       {} connection(s), {} rounds of {} ms at each rate; latency from the intended time of sending",
        options.connections, options.rounds, options.round_ms
    );
    println!("steal      {} ms in all\n", steal * 10);
    println!(
        "{:>9}  {:<9}{:>10}{:>10}{:>10}{:>11}{:>14}{:>14}{:>16}",
        "a second", "µs", "p50", "p90", "p99", "p99.9*", "p50 × echo", "p99 × echo", "sent late, max"
    );
    for point in points {
        for (subject, name) in NAMES.iter().enumerate() {
            let missed = match point.missed[subject] {
                0 => String::new(),
                missed => format!("  FAIL: the rate was missed in {missed} of {} rounds", options.rounds),
            };
            println!(
                "{:>9}  {name:<9}{:>10.2}{:>10.2}{:>10.2}{:>11.1}{:>14.3}{:>14.3}{:>16.0}{missed}",
                point.rate,
                point.figure(subject, 0.5).median,
                point.figure(subject, 0.9).median,
                point.figure(subject, 0.99).median,
                point.figure(subject, 0.999).median,
                point.ratio(subject, 0.5).median,
                point.ratio(subject, 0.99).median,
                point.latest_us[subject],
            );
        }
    }
    println!("* printed, not claimed: a shared machine cannot defend it");
    println!("every command was acknowledged once, every MAC was right\n");
}

fn document(options: &Options, points: &[Point], steal: u64) -> serde_json::Value {
    let machine: serde_json::Map<_, _> =
        machine::describe().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let rows: Vec<_> = points
        .iter()
        .map(|point| {
            let servers: serde_json::Map<_, _> = NAMES
                .iter()
                .enumerate()
                .map(|(subject, name)| {
                    let document = json!({
                        "p50_us": point.figure(subject, 0.5).json(),
                        "p90_us": point.figure(subject, 0.9).json(),
                        "p99_us": point.figure(subject, 0.99).json(),
                        "p99.9_us": point.figure(subject, 0.999).json(),
                        "p50_ratio": point.ratio(subject, 0.5).json(),
                        "p99_ratio": point.ratio(subject, 0.99).json(),
                        "sent_late_max_us": point.latest_us[subject],
                        "rounds_missed": point.missed[subject],
                    });
                    ((*name).to_owned(), document)
                })
                .collect();
            json!({ "rate": point.rate, "servers": servers })
        })
        .collect();
    json!({
        "machine": machine,
        "mac": options.mac.argument(),
        "durability": options.durability.argument(),
        "idle": options.idle.argument(),
        "connections": options.connections,
        "steal_ms": steal * 10,
        "points": rows,
    })
}

/// The same measurement for the page.
pub(crate) fn part(rounds: usize, durability: Class, idle: Idle) -> Result<Part, String> {
    let rates = vec![1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];
    let mac = Mac::HmacSha256;
    let options =
        Options { rates, rounds, round_ms: 250, connections: 1, mac, durability, idle, json: false };
    cores::take_client()?;
    let points = sweep(&options)?;
    let lines = |share: f64| {
        let line = |(subject, name): (usize, &&str)| {
            let figures =
                points.iter().map(|point| (f64::from(point.rate), point.figure(subject, share).median));
            ((*name).to_owned(), figures.collect())
        };
        NAMES.iter().enumerate().map(line).collect()
    };
    let plot = |title: &str, share| Plot::Lines {
        title: title.to_owned(),
        across: "commands a second".to_owned(),
        upward: "µs".to_owned(),
        logarithmic: (true, true),
        series: lines(share),
    };
    let mut table =
        vec![["a second", "server", "p50", "p90", "p99", "rate kept"].map(str::to_owned).to_vec()];
    let mut distributions = Vec::new();
    for point in &points {
        for (subject, name) in NAMES.iter().enumerate() {
            let figure = |share| format!("{:.2}", point.figure(subject, share).median);
            let kept = if point.missed[subject] == 0 { "yes".to_owned() } else { "no: FAIL".to_owned() };
            let rate = point.rate.to_string();
            table.push(vec![rate, (*name).to_owned(), figure(0.5), figure(0.9), figure(0.99), kept]);
        }
        let gateway = histogram(point.rounds[2].iter().map(Round::values));
        distributions.push((format!("rate-{}-gateway", point.rate), gateway));
    }
    let section = Section {
        title: "Latency at a rate, hmac-sha256".to_owned(),
        explanation: "From the time at which a command was meant to be sent to its acknowledgement: what waits in a queue \
                      counts. Every order also comes back as two reports of the venue, whose thread shares the client's \
                      core."
            .to_owned(),
        verdicts: Vec::new(),
        plots: vec![plot("p50 by rate", 0.5), plot("p99 by rate", 0.99)],
        table,
    };
    Ok(Part { section, distributions })
}
