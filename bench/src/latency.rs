//! Closed-loop latency: gateway, bare echo and floor in turn, ratios paired round by round.

use clap::Args;
use serde_json::json;

use crate::overview::Part;
use crate::peer::{EchoClient, GatewayClient, Process, THINK};
use crate::report::{Plot, Section, State, Verdict, histogram};
use crate::serve::{CLIENT_CORE, SERVER_CORE, pin};
use crate::statistics::{Round, Spread};
use crate::{Class, Idle, Mac, machine};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds that count; one more is run first and thrown away.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Commands of a round, and requests of an echo's.
    #[arg(long, default_value_t = 4000)]
    commands: usize,
    /// The session's MAC; without it, both, one after the other.
    #[arg(long, value_enum)]
    mac: Option<Mac>,
    /// The journal's durability class.
    #[arg(long, value_enum, default_value = "process")]
    durability: Class,
    /// How the gateway waits; echo, floor and client spin.
    #[arg(long, value_enum, default_value = "spin")]
    idle: Idle,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const NAMES: [&str; 3] = ["echo", "floor", "gateway"];
const SHARES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// The rounds of one MAC, by peer in the order of [`NAMES`].
struct Measured {
    mac: Mac,
    rounds: [Vec<Round>; 3],
    sizes: (usize, usize),
    steal: u64,
    inside: Option<(f64, f64)>,
}

pub(crate) fn run(options: &Options) -> Result<bool, String> {
    if options.rounds == 0 || options.commands < 100 {
        return Err("give one round at least, of 100 commands at least".to_owned());
    }
    if core_affinity::get_core_ids().map_or(0, |cores| cores.len()) < 2 {
        return Err("two cores are needed: one for the server, one for the client".to_owned());
    }
    pin(CLIENT_CORE);
    let macs = options.mac.map_or_else(|| vec![Mac::HmacSha256, Mac::Blake3], |mac| vec![mac]);
    let mut documents = Vec::new();
    let mut agreed = true;
    for mac in macs {
        let measured = measure(options, mac)?;
        agreed &= options.idle == Idle::Park || Agreement::of(&measured).is_some_and(|it| it.holds());
        if options.json {
            documents.push(document(&measured));
        } else {
            print(options, &measured);
        }
    }
    if options.json {
        let machine: serde_json::Map<_, _> =
            machine::describe().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        println!(
            "{}",
            json!({
                "machine": machine,
                "durability": options.durability.argument(),
                "idle": options.idle.argument(),
                "runs": documents,
            })
        );
    }
    Ok(agreed)
}

fn measure(options: &Options, mac: Mac) -> Result<Measured, String> {
    let (durability, idle) = (options.durability.argument(), options.idle.argument());
    let gateway = Process::start(&["gateway", "--durability", durability, "--idle", idle])?;
    let mut client = GatewayClient::connect(gateway.address, mac.algorithm())?;
    client.round(options.commands / 10)?;
    let (request, answer) = client.sizes;
    gateway.pause();
    let (request_text, answer_text) = (request.to_string(), answer.to_string());
    let sizes = ["--request-bytes", &request_text, "--answer-bytes", &answer_text, "--mac", mac.argument()];
    let start = |name: &'static str| {
        let mut arguments = vec![name];
        arguments.extend(sizes);
        let process = Process::start(&arguments)?;
        let client = EchoClient::connect(process.address, request, answer)?;
        process.pause();
        Ok::<_, String>((process, client))
    };
    let mut echoes = [start("echo")?, start("floor")?];

    let steal = machine::steal();
    let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=options.rounds {
        for peer in order()? {
            let latencies = if peer == 2 {
                gateway.go_on();
                let latencies = client.round(options.commands)?;
                gateway.pause();
                latencies
            } else {
                let (process, client) = &mut echoes[peer];
                process.go_on();
                let latencies = client.round(options.commands)?;
                process.pause();
                latencies
            };
            if round > 0 {
                rounds[peer].push(Round::new(latencies));
            }
        }
        eprint!("\r{}: round {round} of {}", mac.argument(), options.rounds);
    }
    eprintln!();
    let steal = machine::steal() - steal;
    gateway.go_on();
    let inside = median_inside(&gateway);
    gateway.stop();
    Ok(Measured { mac, rounds, sizes: (request, answer), steal, inside })
}

/// The three peers in random order.
fn order() -> Result<[usize; 3], String> {
    let mut random = [0; 1];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    Ok([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]][usize::from(random[0]) % 6])
}

/// The bucket of the gateway's own histogram that its median lies in, in microseconds: above, and up to.
fn median_inside(gateway: &Process) -> Option<(f64, f64)> {
    let page = gateway.metrics().ok()?;
    let buckets: Vec<(f64, f64)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("tollgate_command_latency_seconds_bucket{le=\""))
        .filter_map(|line| line.split_once("\"} "))
        .filter_map(|(bound, count)| Some((bound.parse().ok()?, count.parse().ok()?)))
        .collect();
    let total = buckets.last()?.1;
    let at = buckets.iter().position(|(_, count)| *count * 2.0 >= total)?;
    let above = at.checked_sub(1).map_or(0.0, |before| buckets[before].0);
    Some((above * 1e6, buckets[at].0 * 1e6))
}

/// What the gateway says of itself, beside what the client saw. The two must not lie further apart than the wire's share,
/// which the echo shows: the gateway's histogram has whole turns, what comes after the answer too, and its warm-up.
struct Agreement {
    inside: (f64, f64),
    client: f64,
    above_echo: f64,
}

impl Agreement {
    fn of(measured: &Measured) -> Option<Self> {
        let client = spread(&measured.rounds[2], 0.5).median;
        let above_echo = client - spread(&measured.rounds[0], 0.5).median;
        Some(Self { inside: measured.inside?, client, above_echo })
    }

    fn holds(&self) -> bool {
        let wire = self.client - self.above_echo;
        self.inside.0 <= self.client + wire && self.inside.1 >= self.above_echo
    }
}

fn spread(rounds: &[Round], share: f64) -> Spread {
    Spread::of(rounds.iter().map(|round| round.percentile(share)))
}

/// The ratio of a peer to the echo, round by round.
fn ratio(measured: &Measured, peer: usize, share: f64) -> Spread {
    let pairs = measured.rounds[peer].iter().zip(&measured.rounds[0]);
    Spread::of(pairs.map(|(one, echo)| one.percentile(share) / echo.percentile(share)))
}

/// Goals of the first release, and goals: p50 and p99 against the echo.
fn goals(mac: Mac) -> [(&'static str, f64, f64, f64); 2] {
    match mac {
        Mac::HmacSha256 => [("p50", 0.5, 1.6, 1.4), ("p99", 0.99, 1.75, 1.45)],
        Mac::Blake3 => [("p50", 0.5, 1.3, 1.15), ("p99", 0.99, 1.4, 1.2)],
    }
}

fn print(options: &Options, measured: &Measured) {
    for (name, value) in machine::describe() {
        println!("{name:<11}{value}");
    }
    println!("pinned     server on core {SERVER_CORE}, client and cold threads on core {CLIENT_CORE}");
    println!("waiting    the gateway by {}; echo, floor and client spin", options.idle.argument());
    println!(
        "command    new order, limit IOC far from the market: checked, journaled, sent, cancelled by the venue"
    );
    println!("journal    {}", options.durability.argument());
    println!("MAC        {}, both ways", measured.mac.argument());
    println!("messages   {} bytes there, {} back", measured.sizes.0, measured.sizes.1);
    println!(
        "rounds     {} of {} requests, {} µs of thought between",
        options.rounds,
        options.commands,
        THINK.as_micros()
    );
    println!("steal      {} ms in all\n", measured.steal * 10);
    println!("{:<9}{:>22}{:>22}{:>22}{:>12}{:>12}", "µs", "p50", "p90", "p99", "p99.9*", "max*");
    for (peer, name) in NAMES.iter().enumerate() {
        print!("{name:<9}");
        for (at, (_, share)) in SHARES.iter().enumerate() {
            let it = spread(&measured.rounds[peer], *share);
            if at < 3 {
                print!("{:>22}", format!("{:.2} ({:.2}–{:.2})", it.median, it.low, it.high));
            } else {
                print!("{:>12}", format!("{:.1}", it.median));
            }
        }
        println!();
    }
    println!("* printed, not claimed: a shared machine cannot defend them\n");
    for (peer, name) in NAMES.iter().enumerate().skip(1) {
        for (label, share, first, goal) in goals(measured.mac) {
            let it = ratio(measured, peer, share);
            let verdict = match peer {
                2 if it.median <= goal => format!("  goal {goal} met"),
                2 if it.median <= first => format!("  first release {first} met, goal {goal} not met"),
                2 => format!("  first release {first} NOT met"),
                _ => String::new(),
            };
            println!("{name:<9}{label} {:.3} × echo ({:.3}–{:.3}){verdict}", it.median, it.low, it.high);
        }
    }
    match Agreement::of(measured) {
        _ if options.idle == Idle::Park => {
            println!("\nthe gateway's own histogram leaves out turns that it slept before: not compared");
        }
        Some(it) => println!(
            "\nthe gateway's own histogram puts its p50 between {:.1} and {:.1} µs; the client waited {:.2} µs, {:.2} of \
             them above the echo: {}",
            it.inside.0,
            it.inside.1,
            it.client,
            it.above_echo,
            if it.holds() { "they agree" } else { "FAIL: they do not agree" }
        ),
        None => println!("\nFAIL: the gateway's own histogram could not be read"),
    }
    println!("every command was acknowledged once, every MAC was right\n");
}

fn document(measured: &Measured) -> serde_json::Value {
    let peers: serde_json::Map<_, _> = NAMES
        .iter()
        .enumerate()
        .map(|(peer, name)| {
            let figures: serde_json::Map<_, _> = SHARES
                .iter()
                .map(|(label, share)| ((*label).to_owned(), spread(&measured.rounds[peer], *share).json()))
                .collect();
            ((*name).to_owned(), json!(figures))
        })
        .collect();
    json!({
        "mac": measured.mac.argument(),
        "request_bytes": measured.sizes.0,
        "answer_bytes": measured.sizes.1,
        "steal_ms": measured.steal * 10,
        "microseconds": peers,
        "gateway_over_echo": { "p50": ratio(measured, 2, 0.5).json(), "p99": ratio(measured, 2, 0.99).json() },
        "floor_over_echo": { "p50": ratio(measured, 1, 0.5).json(), "p99": ratio(measured, 1, 0.99).json() },
    })
}

/// The same measurement for the page.
pub(crate) fn part(rounds: usize, mac: Mac, durability: Class, idle: Idle) -> Result<Part, String> {
    let options = Options { rounds, commands: 4000, mac: Some(mac), durability, idle, json: false };
    pin(CLIENT_CORE);
    let measured = measure(&options, mac)?;
    let name = mac.argument();
    let distributions: Vec<(String, hdrhistogram::Histogram<u64>)> = NAMES
        .iter()
        .zip(&measured.rounds)
        .map(|(peer, rounds)| (format!("latency-{name}-{peer}"), histogram(rounds.iter().map(Round::values))))
        .collect();
    let mut verdicts = Vec::new();
    let mut rows = Vec::new();
    let mut marks = Vec::new();
    for (label, share, first, goal) in goals(mac) {
        let it = ratio(&measured, 2, share);
        let state = match it.median {
            median if median <= goal => State::Met,
            median if median <= first => State::FirstRelease,
            _ => State::NotMet,
        };
        let text = format!(
            "{label} {:.2} × the echo ({:.2}–{:.2}); goal {goal}, first release {first}",
            it.median, it.low, it.high
        );
        verdicts.push(Verdict { state, text });
        for (peer, name) in NAMES.iter().enumerate().skip(1) {
            let pairs = measured.rounds[peer].iter().zip(&measured.rounds[0]);
            let ratios = pairs.map(|(one, echo)| one.percentile(share) / echo.percentile(share));
            rows.push((format!("{name}, {label}"), Spread::five(ratios)));
        }
        marks.push((format!("{label} goal"), goal));
    }
    let series =
        NAMES.iter().zip(&distributions).map(|(name, (_, it))| ((*name).to_owned(), it.clone())).collect();
    let mut table = vec![["µs", "p50", "p90", "p99", "p99.9 *", "max *"].map(str::to_owned).to_vec()];
    for (peer, name) in NAMES.iter().enumerate() {
        let figures =
            SHARES.iter().map(|(_, share)| format!("{:.2}", spread(&measured.rounds[peer], *share).median));
        table.push(std::iter::once((*name).to_owned()).chain(figures).collect());
    }
    let section = Section {
        title: format!("Latency, {name}"),
        explanation: "Signed command to signed acknowledgement over TCP, one connection, one command at a time. The echo \
                      and the floor (echo, MACs, a copied record) take turns with the gateway; ratios are paired within \
                      a round. * printed, not claimed: a shared machine cannot defend it."
            .to_owned(),
        verdicts,
        plots: vec![
            Plot::Percentiles { title: "Latency by percentile".to_owned(), series },
            Plot::Spreads { title: "Times the echo, over the rounds".to_owned(), unit: "×".to_owned(), rows, marks },
        ],
        table,
    };
    Ok(Part { section, distributions })
}
