//! What a run of the closed loop has shown, for people and as JSON.

use serde_json::json;

use super::{Agreement, ECHO, FLOOR, GATEWAY, Measured, Options, SHARES, goals};
use crate::peer::THINK;

use crate::statistics::Rounds;
use crate::{Idle, cores, machine, quickfix};

pub(super) fn print(options: &Options, measured: &Measured) {
    for (name, value) in machine::describe() {
        println!("{name:<11}{value}");
    }
    println!(
        "pinned     server on core {}, client and cold threads on core {}",
        cores::server(),
        cores::client()
    );
    println!("waiting    the gateway by {}; echo, floor and client spin", options.idle.argument());
    if options.quickfix.is_some() {
        println!("{}", quickfix::explanation(options.idle));
    }
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
    print_table(&measured.peers);
    print_ratios(measured);
    if options.quickfix.is_some() {
        println!();
        let peers = &measured.peers;
        for line in quickfix::verdicts(options.idle, &peers[ECHO], &peers[GATEWAY], &peers[GATEWAY + 1..]) {
            println!("{line}");
        }
    }
    match Agreement::of(measured) {
        _ if options.idle == Idle::Park => {
            println!("\nthe gateway's own histogram leaves out turns that it slept before: not compared");
        }
        Some(it) => println!(
            "\nthe gateway's own histogram has {} of {} commands, its p50 between {:.1} and {:.1} µs; the client waited \
             {:.2} µs, {:.2} of them above the echo: {}",
            it.commands_inside,
            it.commands,
            it.inside_us.0,
            it.inside_us.1,
            it.client_us,
            it.above_echo_us,
            if it.holds() { "they agree" } else { "FAIL: they do not agree" }
        ),
        None => println!("\nFAIL: the gateway's own histogram has no turns of these commands"),
    }
    println!("every command was acknowledged once, every MAC was right\n");
}

fn print_table(peers: &[Rounds]) {
    let width = width(peers);
    println!("{:<width$}{:>22}{:>22}{:>22}{:>12}{:>12}", "µs", "p50", "p90", "p99", "p99.9*", "max*");
    for peer in peers {
        print!("{:<width$}", peer.name);
        for (at, (_, share)) in SHARES.iter().enumerate() {
            let it = peer.spread(*share);
            if at < 3 {
                print!("{:>22}", it.shown());
            } else {
                print!("{:>12}", format!("{:.1}", it.median));
            }
        }
        println!();
    }
    println!("* printed, not claimed: a shared machine cannot defend them\n");
}

/// Every peer against the echo.
fn print_ratios(measured: &Measured) {
    let width = width(&measured.peers);
    for (at, peer) in measured.peers.iter().enumerate().skip(FLOOR) {
        for (label, share, first, goal) in goals(measured.mac) {
            let it = peer.ratio(&measured.peers[ECHO], share);
            let verdict = match at {
                GATEWAY if it.median <= goal => format!("  goal {goal} met"),
                GATEWAY if it.median <= first => format!("  first release {first} met, goal {goal} not met"),
                GATEWAY => format!("  first release {first} NOT met"),
                _ => String::new(),
            };
            println!(
                "{:<width$}{label} {:.3} × echo ({:.3}–{:.3}){verdict}",
                peer.name, it.median, it.low, it.high
            );
        }
    }
}

/// Columns for the names.
fn width(peers: &[Rounds]) -> usize {
    peers.iter().map(|peer| peer.name.len()).max().unwrap_or(0) + 2
}

/// The same as JSON.
pub(super) fn document(measured: &Measured) -> serde_json::Value {
    let [echo, floor, gateway] = [ECHO, FLOOR, GATEWAY].map(|at| &measured.peers[at]);
    let microseconds: serde_json::Map<_, _> = (measured.peers.iter())
        .map(|peer| {
            let figures =
                SHARES.iter().map(|(label, share)| ((*label).to_owned(), peer.spread(*share).json()));
            (peer.name.to_owned(), serde_json::Value::Object(figures.collect()))
        })
        .collect();
    let over =
        |one: &Rounds| json!({ "p50": one.ratio(echo, 0.5).json(), "p99": one.ratio(echo, 0.99).json() });
    let mut document = json!({
        "mac": measured.mac.argument(),
        "request_bytes": measured.sizes.0,
        "answer_bytes": measured.sizes.1,
        "steal_ms": measured.steal * 10,
        "microseconds": microseconds,
        "gateway_over_echo": over(gateway),
        "floor_over_echo": over(floor),
    });
    let quickfix = &measured.peers[GATEWAY + 1..];
    if !quickfix.is_empty() {
        document["quickfix_over_gateway"] = json!(quickfix::ratios(gateway, quickfix));
    }
    document
}
