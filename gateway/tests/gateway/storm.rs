//! Many clients, many commands, lost connections: every command exactly one answer, and every book the same.

use std::collections::{HashMap, HashSet};

use tollgate_bridge::paper::{LedgerEntry, read_ledger};
use tollgate_core::record::{Effect, Origin, Record};
use tollgate_core::replay::Replay;
use tollgate_gateway::gateway::empty_state;
use tollgate_protocol::identity::{CommandId, OrderId};

use crate::support::{House, wait_for};
use crate::trader::{Answer, Trader};

const CLIENTS: u16 = 8;

/// The orders of the journal: of clients' commands, and all.
pub(crate) fn journaled_orders(records: &[(u64, Record)]) -> (HashMap<CommandId, OrderId>, HashSet<OrderId>) {
    let (mut by_command, mut all) = (HashMap::new(), HashSet::new());
    for (sequence, record) in records {
        match record {
            Record::Intent(intent) if intent.origin == Origin::Client => {
                let before = by_command.insert(intent.command.command_id, OrderId(*sequence));
                assert_eq!(before, None, "one intent for one command");
                if matches!(intent.effect, Effect::Order(_)) {
                    all.insert(OrderId(*sequence));
                }
            }
            Record::Child(_) => {
                all.insert(OrderId(*sequence));
            }
            _ => {}
        }
    }
    (by_command, all)
}

/// The orders that the venue took or refused; each once.
pub(crate) fn venue_orders(ledger: &std::path::Path) -> HashSet<OrderId> {
    let mut orders = HashSet::new();
    for entry in read_ledger(ledger).unwrap() {
        match entry {
            LedgerEntry::Received { order, .. } | LedgerEntry::Refused { order, .. } => {
                assert!(orders.insert(order.order_id), "the venue got order {} twice", order.order_id);
            }
            LedgerEntry::Duplicate { order_id, .. } => panic!("order {order_id} was sent twice"),
            _ => {}
        }
    }
    orders
}

pub(crate) fn check_books(traders: &[Trader], records: &[(u64, Record)]) {
    let (intents, _) = journaled_orders(records);
    let mut acknowledged = HashMap::new();
    for trader in traders {
        assert_eq!(trader.answers.len(), trader.sent, "every command has one answer");
        for (id, answer) in &trader.answers {
            if let Answer::Acknowledged(order_id) = answer {
                acknowledged.insert(*id, *order_id);
            }
        }
    }
    assert_eq!(acknowledged, intents, "acknowledgements and intents are the same");
}

#[test]
fn ten_thousand_commands_of_eight_clients_with_lost_connections() {
    let mut house = House::new(|_| {});
    let address = house.gateway().address();
    let traders: Vec<Trader> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    // Client 3 trades one symbol alone, client 7 few orders: their refusals are part of it.
                    let mut trader = Trader::new(client, u64::from(client) * 77 + 1);
                    while trader.sent < 10_000 / usize::from(CLIENTS) {
                        trader.trade(address, 10_000 / usize::from(CLIENTS), 12, || true);
                    }
                    trader.settle(address);
                    trader
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(traders.iter().map(|trader| trader.reconnects).sum::<usize>() > 80, "connections were lost");

    let metrics = house.gateway().metrics().clone();
    wait_for("no order to be on its way", || metrics.venues[0].outbox.get() == 0);
    let ledger = house.ledger();
    house.gateway.take().unwrap().stop().unwrap();
    let records = house.records();
    check_books(&traders, &records);
    let (_, orders) = journaled_orders(&records);
    let venue = venue_orders(&ledger);
    assert!(venue.is_subset(&orders), "the venue has no order that is not in the journal");
    // The gateway was stopped in order: what was still in the lane stays there and is asked for at the next start.
    assert!(
        orders.len() - venue.len() < 64,
        "{} of {} orders never left",
        orders.len() - venue.len(),
        orders.len()
    );
    assert!(orders.len() > 1000, "{} orders", orders.len());

    replays_the_same(&house);
}

/// Every decision made again from the journal alone, bit for bit.
fn replays_the_same(house: &House) {
    let mut replay = Replay::new(empty_state(&house.settings));
    let mut reader = tollgate_journal::Reader::open(house.journal()).unwrap();
    while let Some(record) = reader.next().unwrap() {
        replay.take(&record).unwrap();
    }
    let (tally, _) = replay.finish();
    assert_eq!(tally.different, 0, "{:#?}", tally.differences);
    assert!(tally.same > 9_000, "{tally:?}");
}
