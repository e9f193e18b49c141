//! QuickFIX C++ beside the gateway: a NewOrderSingle to its ExecutionReport, the rounds interleaved with the gateway's
//! and the echo's.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use crate::statistics::Rounds;
use crate::turns::{Peer, end, take_turns, warm_up};
use crate::{Class, Idle, Mac, cores, machine};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// The acceptor, as `make -C bench/peers/quickfix` builds it.
    #[arg(long, value_name = "FILE", default_value = "bench/peers/quickfix/acceptor")]
    acceptor: PathBuf,
    /// Rounds that count; one more is run first and thrown away.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Commands of a round.
    #[arg(long, default_value_t = 2000)]
    commands: usize,
    /// The gateway's MAC; QuickFIX has none.
    #[arg(long, value_enum, default_value = "hmac-sha256")]
    mac: Mac,
    /// How the gateway waits. QuickFIX sleeps in the kernel until something comes, as `park` does; the client spins.
    #[arg(long, value_enum, default_value = "spin")]
    idle: Idle,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The peer that keeps its messages in files, which the goals are for.
const FILE: &str = "quickfix-file";
/// The peers, and the stores that the acceptor is told to use.
const STORES: [(&str, &str); 2] = [(FILE, "file"), ("quickfix-memory", "memory")];
/// QuickFIX with files against the gateway, which spins: at p50 and p99, for the first release, and the goal.
const GOALS: [(&str, f64, f64, f64); 2] = [("p50", 0.5, 6.0, 8.0), ("p99", 0.99, 4.0, 5.0)];
/// Where these stand among the peers of this measurement; QuickFIX stands behind them.
const ECHO: usize = 0;
const GATEWAY: usize = 1;

/// QuickFIX with each of its stores.
pub(crate) fn peers(acceptor: &Path) -> Result<Vec<Peer>, String> {
    if !acceptor.exists() {
        return Err(format!("{}: not there; run: make -C bench/peers/quickfix", acceptor.display()));
    }
    STORES.iter().map(|(name, store)| Peer::fix(name, acceptor, store)).collect()
}

/// How both sides wait, and what QuickFIX does not do.
pub(crate) fn explanation(idle: Idle) -> String {
    let compared = match idle {
        Idle::Spin | Idle::Yield => "unlike the gateway here; --idle park compares sleep with sleep",
        Idle::Park => "as the gateway here; the goals are for a gateway that spins",
    };
    format!(
        "QuickFIX   sleeps in select, in a thread of its own, until something comes:\n           \
         {compared}\n           \
         no MAC, no deduplication, no risk; its file store is flushed to the page cache, never synced"
    )
}

/// How many times as long as the gateway each peer took, a line each, with the goals where they apply. Where the echo,
/// which does nothing, would miss the first release's at the median too, no gateway can reach it on the machine, and the
/// line says so. The echo's tail is no bound: it moves more than a gateway adds.
pub(crate) fn verdicts(idle: Idle, echo: &Rounds, gateway: &Rounds, quickfix: &[Rounds]) -> Vec<String> {
    let mut lines = Vec::new();
    for peer in quickfix {
        for (label, share, first, goal) in GOALS {
            let it = peer.ratio(gateway, share);
            let bound = match peer.ratio(echo, share).median {
                bound if bound < first && share < 0.9 => {
                    format!(": it takes {bound:.2} × a bare echo here, no gateway can")
                }
                _ => String::new(),
            };
            let verdict = match it.median {
                _ if peer.name != FILE || idle != Idle::Spin => String::new(),
                median if median >= goal => format!("  goal {goal} met"),
                median if median >= first => format!("  first release {first} met, goal {goal} not met"),
                _ => format!("  first release {first} NOT met, nor goal {goal}{bound}"),
            };
            lines.push(format!("{:<17}{label} {} × gateway{verdict}", peer.name, it.shown()));
        }
    }
    lines
}

/// The same figures by peer.
pub(crate) fn ratios(gateway: &Rounds, quickfix: &[Rounds]) -> Map<String, Value> {
    let row = |peer: &Rounds| {
        let over = GOALS.map(|(label, share, ..)| (label.to_owned(), peer.ratio(gateway, share).json()));
        (peer.name.to_owned(), Value::Object(over.into_iter().collect()))
    };
    quickfix.iter().map(row).collect()
}

pub(crate) fn run(options: &Options) -> Result<bool, String> {
    if options.rounds == 0 || options.commands < 100 {
        return Err("give one round at least, of 100 commands at least".to_owned());
    }
    cores::take_client()?;
    let quickfix = peers(&options.acceptor)?;
    let (gateway, sizes) = Peer::gateway(Class::Process, options.idle, options.mac.algorithm(), 200)?;
    let mut peers = vec![Peer::echo("echo", sizes, options.mac)?, gateway];
    peers.extend(quickfix);
    warm_up(&mut peers, options.commands)?;
    let measured = take_turns(&mut peers, options.rounds, options.commands, options.mac.argument());
    end(peers);
    let measured = measured?;
    if options.json {
        println!("{}", document(options, &measured));
    } else {
        print(options, &measured);
    }
    let is_met = |(_, share, first, _): &(&str, f64, f64, f64)| {
        let file = measured.iter().find(|peer| peer.name == FILE);
        file.is_some_and(|file| file.ratio(&measured[GATEWAY], *share).median >= *first)
    };
    Ok(options.idle != Idle::Spin || GOALS.iter().all(is_met))
}

fn print(options: &Options, measured: &[Rounds]) {
    for (name, value) in machine::describe() {
        println!("{name:<11}{value}");
    }
    println!("pinned     servers on core {}, client on core {}", cores::server(), cores::client());
    println!("waiting    the gateway by {}; echo and client spin", options.idle.argument());
    println!("{}", explanation(options.idle));
    println!("gateway    {} both ways, risk, journal in the page cache", options.mac.argument());
    println!("rounds     {} of {} commands\n", options.rounds, options.commands);
    println!("{:<17}{:>24}{:>24}{:>12}", "µs", "p50", "p99", "p99.9*");
    for peer in measured {
        let [half, tail] = [0.5, 0.99].map(|share| peer.spread(share).shown());
        println!("{:<17}{half:>24}{tail:>24}{:>12.1}", peer.name, peer.spread(0.999).median);
    }
    println!("* printed, not claimed\n");
    for line in verdicts(options.idle, &measured[ECHO], &measured[GATEWAY], &measured[GATEWAY + 1..]) {
        println!("{line}");
    }
}

fn document(options: &Options, measured: &[Rounds]) -> Value {
    let microseconds: Map<_, _> = measured
        .iter()
        .map(|peer| {
            let figures = json!({ "p50": peer.spread(0.5).json(), "p99": peer.spread(0.99).json() });
            (peer.name.to_owned(), figures)
        })
        .collect();
    json!({
        "mac": options.mac.argument(),
        "idle": options.idle.argument(),
        "microseconds": microseconds,
        "quickfix_over_gateway": ratios(&measured[GATEWAY], &measured[GATEWAY + 1..]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Round;

    fn rounds(name: &'static str, microseconds: u64) -> Rounds {
        Rounds { name, rounds: vec![Round::new(vec![microseconds * 1000; 100])] }
    }

    #[test]
    fn goals_are_for_files_beside_a_gateway_that_spins() {
        let (echo, gateway) = (rounds("echo", 9), rounds("gateway", 10));
        let lines = |idle, microseconds| {
            let quickfix = [rounds(FILE, microseconds), rounds("quickfix-memory", microseconds)];
            verdicts(idle, &echo, &gateway, &quickfix)
        };
        let [p50, p99, memory, _] = lines(Idle::Spin, 45).try_into().unwrap_or_default();
        assert_eq!(
            p50,
            "quickfix-file    p50 4.50 (4.50–4.50) × gateway  first release 6 NOT met, nor goal 8: it takes 5.00 × a \
             bare echo here, no gateway can"
        );
        assert_eq!(
            p99,
            "quickfix-file    p99 4.50 (4.50–4.50) × gateway  first release 4 met, goal 5 not met"
        );
        assert_eq!(memory, "quickfix-memory  p50 4.50 (4.50–4.50) × gateway");
        assert!(lines(Idle::Spin, 80)[0].ends_with("goal 8 met"));
        assert!(lines(Idle::Spin, 57)[0].ends_with("nor goal 8"), "the echo is 6.33 times as fast");
        assert!(lines(Idle::Park, 80).iter().all(|line| line.ends_with("gateway")));
    }
}
