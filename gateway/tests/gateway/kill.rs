//! `kill -9` at random moments under load: nothing acknowledged is lost, no order is doubled, and the state after is
//! the state before.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tollgate_bridge::paper::{LedgerEntry, read_ledger};
use tollgate_client::Reply;
use tollgate_gateway::gateway::{Gateway, StartOptions};
use tollgate_protocol::answer::AnswerBody;
use tollgate_protocol::command::{Action, Query, Scope, Side};
use tollgate_protocol::text::AccountName;

use crate::storm::{check_books, journaled_orders, venue_orders};
use crate::support::{House, PATIENCE, command, records, settings, wait_for};
use crate::trader::Trader;

const ROUNDS: usize = 50;
const DIRECTORY: &str = "TOLLGATE_TEST_DIRECTORY";
const ADDRESS_FILE: &str = "address";
const STARTS_FILE: &str = "digests-checked";

/// The gateway that is killed: this test program, run again. It journals its digest all the time, and each start checks
/// the state that it rebuilt against every digest.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let gateway = Gateway::start(settings(&directory), StartOptions::default()).unwrap();
    write_whole(&directory.join(STARTS_FILE), &gateway.report().digests.to_string());
    write_whole(&directory.join(ADDRESS_FILE), &gateway.address().to_string());
    let parent = std::os::unix::process::parent_id();
    // Ends with who started it.
    while std::os::unix::process::parent_id() == parent {
        gateway.digest(Duration::from_secs(1));
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A file that is there is whole.
fn write_whole(path: &Path, text: &str) {
    let part = path.with_extension("part");
    std::fs::write(&part, text).unwrap();
    std::fs::rename(part, path).unwrap();
}

struct Running {
    child: Child,
    address: SocketAddr,
}

fn start(directory: &Path) -> Running {
    let address_file = directory.join(ADDRESS_FILE);
    let _ = std::fs::remove_file(&address_file);
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["kill::child", "--exact", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut child = child;
    wait_for("the gateway's address", || {
        assert!(child.try_wait().unwrap().is_none(), "the gateway did not start");
        address_file.exists()
    });
    let address = std::fs::read_to_string(&address_file).unwrap().parse().unwrap();
    Running { child, address }
}

#[test]
fn fifty_kills_lose_and_double_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut traders: Vec<Trader> = (0..3).map(|client| Trader::new(client, u64::from(client) + 5)).collect();
    let mut moments = Trader::new(9, 42);
    let mut digests_checked = 0_u64;
    for _ in 0..ROUNDS {
        let Running { mut child, address } = start(directory.path());
        digests_checked = checked(directory.path());
        let life = Duration::from_millis(20 + moments.random(150));
        let alive = AtomicBool::new(true);
        std::thread::scope(|scope| {
            for trader in &mut traders {
                let alive = &alive;
                scope.spawn(move || trader.trade(address, usize::MAX, 200, || alive.load(Ordering::Relaxed)));
            }
            let began = Instant::now();
            while began.elapsed() < life {
                std::thread::park_timeout(life.checked_sub(began.elapsed()).unwrap());
            }
            child.kill().unwrap();
            child.wait().unwrap();
            alive.store(false, Ordering::Relaxed);
        });
        traders.iter_mut().for_each(Trader::disconnect);
    }
    assert!(digests_checked > ROUNDS as u64, "only {digests_checked} digests were checked");
    settle_and_compare(directory, traders);
}

fn checked(directory: &Path) -> u64 {
    std::fs::read_to_string(directory.join(STARTS_FILE)).unwrap().parse().unwrap()
}

/// The last start: everybody gets the answers he lacks, and all books agree.
fn settle_and_compare(directory: tempfile::TempDir, mut traders: Vec<Trader>) {
    let settings = settings(directory.path());
    let gateway = Gateway::start(settings.clone(), StartOptions::default()).unwrap();
    let mut house = House { gateway: Some(gateway), _directory: directory, settings }.ready();
    let address = house.gateway().address();
    traders.iter_mut().for_each(|trader| trader.settle(address));
    let metrics = house.gateway().metrics().clone();
    wait_for("no order to be unknown", || {
        metrics.orders_unknown.get() == 0 && metrics.venues[0].outbox.get() == 0
    });
    let positions = positions(&house);
    let ledger = house.ledger();
    house.gateway.take().unwrap().stop().unwrap();

    let records = records(&house.journal());
    check_books(&traders, &records);
    let (_, orders) = journaled_orders(&records);
    let venue = venue_orders(&ledger);
    assert!(venue.is_subset(&orders), "the venue has no order that is not in the journal");
    assert!(orders.len() > 500, "{} orders", orders.len());
    assert_eq!(positions, traded(&ledger), "positions are the sums of the venue's trades");
    eprintln!(
        "{} commands, {} orders, {} of them at the venue, {} records",
        traders.iter().map(|trader| trader.sent).sum::<usize>(),
        orders.len(),
        venue.len(),
        records.len()
    );
}

/// Positions as the gateway tells them, in steps.
fn positions(house: &House) -> Vec<(String, i64)> {
    let mut client = house.client(0);
    let mut query = command(Action::Query(Query::Positions(Scope { symbol: None })));
    query.account = AccountName::new("main").unwrap();
    let Reply::Rows(rows) = client.execute(&query, PATIENCE).unwrap() else { panic!("no rows") };
    let mut positions: Vec<_> = rows
        .into_iter()
        .filter_map(|row| match row {
            AnswerBody::Position(position) => Some((position.symbol.to_string(), position.quantity)),
            _ => None,
        })
        .filter(|(_, quantity)| quantity.mantissa != 0)
        .map(|(symbol, quantity)| {
            let entry =
                house.settings.instruments.iter().find(|it| it.instrument.symbol.as_str() == symbol).unwrap();
            (symbol, entry.instrument.quantity.units(quantity).unwrap())
        })
        .collect();
    positions.sort();
    positions
}

/// The same from the venue's own ledger.
fn traded(ledger: &Path) -> Vec<(String, i64)> {
    let mut symbols = std::collections::HashMap::new();
    let mut orders = std::collections::HashMap::new();
    let mut sums = std::collections::BTreeMap::new();
    for entry in read_ledger(ledger).unwrap() {
        match entry {
            LedgerEntry::Instrument { instrument, symbol, .. } => {
                symbols.insert(instrument, symbol.to_string());
            }
            LedgerEntry::Received { order, .. } => {
                orders.insert(order.order_id, (symbols[&order.instrument].clone(), order.side));
            }
            LedgerEntry::Traded { order_id, quantity_steps, .. } => {
                let (symbol, side) = &orders[&order_id];
                let signed = if *side == Side::Buy { quantity_steps } else { -quantity_steps };
                *sums.entry(symbol.clone()).or_insert(0) += signed;
            }
            _ => {}
        }
    }
    sums.into_iter().filter(|(_, steps)| *steps != 0).collect()
}
