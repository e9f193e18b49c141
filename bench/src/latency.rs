//! Closed-loop latency: gateway, bare echo, floor and, where it is asked for, QuickFIX in turn; ratios paired round by
//! round.

mod print;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::report::Part;
use crate::report::{Plot, Section, State, Verdict, histogram};
use crate::scrape::{Buckets, Page};

use crate::statistics::{Round, Rounds, Spread};
use crate::turns::{Peer, end, take_turns, warm_up};
use crate::{Class, Idle, Mac, cores, machine, quickfix};
use print::{document, print};

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
    /// A QuickFIX acceptor to measure beside them, as `make -C bench/peers/quickfix` builds it. It sleeps in the kernel
    /// until something comes, as the gateway does with `--idle park`.
    #[arg(long, value_name = "FILE")]
    quickfix: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Where these stand among the peers; QuickFIX, when it is measured, stands behind them.
const ECHO: usize = 0;
const FLOOR: usize = 1;
const GATEWAY: usize = 2;
const SHARES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// The rounds of one MAC.
struct Measured {
    mac: Mac,
    peers: Vec<Rounds>,
    sizes: (usize, usize),
    steal: u64,
    /// The gateway's own histogram of the same rounds.
    inside: Buckets,
}

pub(crate) fn run(options: &Options) -> Result<bool, String> {
    if options.rounds == 0 || options.commands < 100 {
        return Err("give one round at least, of 100 commands at least".to_owned());
    }
    cores::take_client()?;
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
    let quickfix = options.quickfix.as_deref().map(quickfix::peers).transpose()?.unwrap_or_default();
    let algorithm = mac.algorithm();
    let (gateway, sizes) = Peer::gateway(options.durability, options.idle, algorithm, options.commands / 10)?;
    let mut peers = vec![Peer::echo("echo", sizes, mac)?, Peer::echo("floor", sizes, mac)?, gateway];
    peers.extend(quickfix);
    let steal = machine::steal();
    warm_up(&mut peers, options.commands)?;
    let before = inside(&peers[GATEWAY])?;
    let measured = take_turns(&mut peers, options.rounds, options.commands, mac.argument())?;
    let inside = inside(&peers[GATEWAY])?.since(&before);
    let steal = machine::steal() - steal;
    end(peers);
    Ok(Measured { mac, peers: measured, sizes, steal, inside })
}

/// The gateway's own histogram up to now.
fn inside(gateway: &Peer) -> Result<Buckets, String> {
    Page::of_stopped(&gateway.process)?.buckets("tollgate_command_latency_seconds")
}

/// What the gateway says of itself, beside what the client saw: of the same commands, in turns that lie no further apart
/// than the wire's share, which the echo shows. A turn also has what comes after the answer.
struct Agreement {
    commands: u64,
    commands_inside: u64,
    inside_us: (f64, f64),
    client_us: f64,
    above_echo_us: f64,
}

impl Agreement {
    fn of(measured: &Measured) -> Option<Self> {
        let [echo, gateway] = [ECHO, GATEWAY].map(|at| &measured.peers[at]);
        let client_us = gateway.spread(0.5).median;
        Some(Self {
            commands: gateway.rounds.iter().map(|round| round.values().len() as u64).sum(),
            commands_inside: measured.inside.count(),
            inside_us: measured.inside.median_us()?,
            client_us,
            above_echo_us: client_us - echo.spread(0.5).median,
        })
    }

    fn holds(&self) -> bool {
        let wire = self.client_us - self.above_echo_us;
        self.commands == self.commands_inside
            && self.inside_us.0 <= self.client_us + wire
            && self.inside_us.1 >= self.above_echo_us
    }
}

/// Goals of the first release, and goals: p50 and p99 against the echo.
fn goals(mac: Mac) -> [(&'static str, f64, f64, f64); 2] {
    match mac {
        Mac::HmacSha256 => [("p50", 0.5, 1.6, 1.4), ("p99", 0.99, 1.75, 1.45)],
        Mac::Blake3 => [("p50", 0.5, 1.3, 1.15), ("p99", 0.99, 1.4, 1.2)],
    }
}

/// The same measurement for the page.
pub(crate) fn part(rounds: usize, mac: Mac, durability: Class, idle: Idle) -> Result<Part, String> {
    let options =
        Options { rounds, commands: 4000, mac: Some(mac), durability, idle, quickfix: None, json: false };
    cores::take_client()?;
    let measured = measure(&options, mac)?;
    let name = mac.argument();
    let distributions: Vec<(String, hdrhistogram::Histogram<u64>)> = measured
        .peers
        .iter()
        .map(|it| (format!("latency-{name}-{}", it.name), histogram(it.rounds.iter().map(Round::values))))
        .collect();
    let mut verdicts = Vec::new();
    let mut rows = Vec::new();
    let mut marks = Vec::new();
    for (label, share, first, goal) in goals(mac) {
        let it = measured.peers[GATEWAY].ratio(&measured.peers[ECHO], share);
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
        for peer in &measured.peers[FLOOR..] {
            let ratios = peer.ratios(&measured.peers[ECHO], share);
            rows.push((format!("{}, {label}", peer.name), Spread::five(ratios)));
        }
        marks.push((format!("{label} goal"), goal));
    }
    let series = (measured.peers.iter().zip(&distributions))
        .map(|(peer, (_, it))| (peer.name.to_owned(), it.clone()))
        .collect();
    let mut table = vec![["µs", "p50", "p90", "p99", "p99.9 *", "max *"].map(str::to_owned).to_vec()];
    for peer in &measured.peers {
        let figures = SHARES.iter().map(|(_, share)| format!("{:.2}", peer.spread(*share).median));
        table.push(std::iter::once(peer.name.to_owned()).chain(figures).collect());
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
