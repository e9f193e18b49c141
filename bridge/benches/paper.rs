//! How many requests a second the paper venue's engine serves, with and without its ledger. Run by
//! `cargo bench -p tollgate-bridge --bench paper`.
#![allow(clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::Instant;

use common::{instruments, limit, market};
use tollgate_bridge::paper::{Engine, Ledger, PaperSettings};
use tollgate_contract::venue::{Quote, VenueRequest};
use tollgate_protocol::command::Side;
use tollgate_protocol::identity::OrderId;
use tollgate_protocol::instrument::InstrumentIndex;

const REQUESTS: u64 = 1_000_000;
/// Requests whose entries go to the ledger by one write.
const BATCH: u64 = 64;

fn main() {
    measure("market orders", false, |at| VenueRequest::New(market(at)));
    measure("market orders, ledger", true, |at| VenueRequest::New(market(at)));
    let placed_and_cancelled = |at: u64| {
        if at.is_multiple_of(2) {
            VenueRequest::New(limit(at, Side::Buy, 1 + (at * 7919 % 90) as i64))
        } else {
            VenueRequest::Cancel(OrderId(at - 1))
        }
    };
    measure("limit orders, cancelled", false, placed_and_cancelled);
    measure("limit orders, cancelled, ledger", true, placed_and_cancelled);
    measure("limit orders, all resting", false, |at| {
        VenueRequest::New(limit(at, Side::Buy, 1 + (at * 7919 % 90) as i64))
    });
}

fn measure(name: &str, has_ledger: bool, request: impl Fn(u64) -> VenueRequest) {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = Engine::new(PaperSettings::default(), instruments()).unwrap();
    let mut ledger =
        has_ledger.then(|| Ledger::load(&folder.path().join("venue.ledger"), &mut engine).unwrap());
    let quote = Quote { instrument: InstrumentIndex(0), bid_ticks: 100, ask_ticks: 101 };
    engine.quote(0, quote, &mut |_| {});
    engine.clear_entries();
    let (start, mut reports) = (Instant::now(), 0_u64);
    for at in 0..REQUESTS {
        engine.request(at, request(at), &mut |report| {
            black_box(report);
            reports += 1;
        });
        if let Some(ledger) = &mut ledger {
            ledger.add(engine.entries());
            engine.clear_entries();
            if at % BATCH == 0 {
                ledger.write().unwrap();
            }
        }
    }
    let taken = start.elapsed();
    let a_second = u128::from(REQUESTS) * 1_000_000_000 / taken.as_nanos().max(1);
    println!("{name:<34} {a_second:>10} requests/s {reports:>9} reports");
}
