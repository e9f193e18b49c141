//! A full disk, a broken one, a stuck one; a full lane, a dead venue, a venue that loses replies.

use std::sync::Arc;
use std::time::Duration;

use tollgate_client::{Client, Reply};
use tollgate_core::record::{Origin, Record};
use tollgate_gateway::gateway::StartOptions;
use tollgate_journal::testing::FaultyStorage;
use tollgate_protocol::client::Incoming;
use tollgate_protocol::command::{Action, Close, Side, Target};
use tollgate_protocol::event::{Durability, Event, EventBody, ReportKind};
use tollgate_protocol::identity::CommandId;
use tollgate_protocol::reject::Code;
use tollgate_protocol::text::Symbol;

use crate::support::{
    House, PATIENCE, acknowledged, command, decimal, limit, order, paper, rejected, report_of, wait_for,
};

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

fn with_storage(change: impl FnOnce(&mut tollgate_config::Settings)) -> (House, Arc<FaultyStorage>) {
    let storage = Arc::new(FaultyStorage::default());
    let options = StartOptions { storage: Some(storage.clone()), ..StartOptions::default() };
    (House::with_options(change, options), storage)
}

/// What a new order is refused with, whether in the journal or not.
fn refused(client: &mut Client) -> Option<Code> {
    match client
        .execute(&command(Action::New(limit("BTCUSDT", Side::Buy, "0.01", "60000"))), PATIENCE)
        .unwrap()
    {
        Reply::Refused(reject) => Some(reject.code),
        Reply::Event(Event { body: EventBody::Rejected(rejection), .. }) => Some(rejection.reject.code),
        _ => None,
    }
}

fn close() -> Action {
    Action::Close(Close {
        symbol: Symbol::new("ETHUSDT").unwrap(),
        position_ticket: 0,
        quantity: Some(decimal("0.001")),
    })
}

#[test]
fn a_full_disk_refuses_orders_and_serves_cancels_and_closes_until_it_has_room_again() {
    let (house, storage) = with_storage(|settings| {
        settings.journal.segment_bytes = 1 << 20;
        settings.journal.reserve_bytes = 256 << 10;
    });
    let mut client = house.client(0);
    let resting =
        acknowledged(&mut client, Action::New(limit("BTCUSDT", Side::Buy, "0.01", "60000"))).command_id;
    let held = acknowledged(&mut client, Action::New(order("ETHUSDT", Side::Buy, "5"))).command_id;
    report_of(&mut client, held, |kind| matches!(kind, ReportKind::Filled(_)));

    storage.fail_preparing(ENOSPC);
    let mut taken = 0;
    let code = loop {
        match refused(&mut client) {
            Some(code) => break code,
            None => taken += 1,
        }
        assert!(taken < 100_000, "the journal never filled");
    };
    assert_eq!(code, Code::JournalFull);
    let metrics = house.gateway().metrics().clone();
    wait_for("the journal to be low on space", || metrics.journal_state.get() == 1);
    acknowledged(&mut client, Action::Cancel(Target::Command(resting)));
    let closing = acknowledged(&mut client, close()).command_id;
    report_of(&mut client, closing, |kind| matches!(kind, ReportKind::Filled(_)));

    storage.fail_preparing(0);
    wait_for("room in the journal", || metrics.journal_state.get() == 0);
    wait_for("orders to be taken again", || refused(&mut client).is_none());
}

#[test]
fn a_failed_disk_is_never_trusted_again_and_cancels_say_what_they_are_worth() {
    let (house, storage) = with_storage(|settings| settings.journal.durability = Durability::Disk);
    let mut client = house.client(0);
    let first = acknowledged(&mut client, Action::New(limit("BTCUSDT", Side::Buy, "0.01", "60000")));
    assert_eq!(first.durability, Durability::Disk);
    storage.fail_syncs(EIO);
    // This one can never be durable: its session ends without an answer that would be a lie.
    let lost = command(Action::New(limit("BTCUSDT", Side::Buy, "0.02", "60000")));
    client.send(&lost).unwrap();
    let metrics = house.gateway().metrics().clone();
    wait_for("the journal to have failed", || metrics.journal_state.get() == 2);
    storage.fail_syncs(0);

    // The answer to the same command, asked again: what is true now.
    wait_for("the session to end", || metrics.sessions.get() == 0);
    let mut client = house.client(0);
    match client.execute(&lost, PATIENCE).unwrap() {
        Reply::Repeated(Event { body: EventBody::Acknowledged(it), .. }) => {
            assert_eq!(it.durability, Durability::Process);
        }
        Reply::Refused(reject) => assert_eq!(reject.code, Code::JournalFailed),
        other => panic!("{other:?}"),
    }
    assert_eq!(refused(&mut client), Some(Code::JournalFailed));
    let cancelled = acknowledged(&mut client, Action::Cancel(Target::Order(first.order_id)));
    assert_eq!(cancelled.durability, Durability::Process);
    assert_eq!(metrics.journal_state.get(), 2, "a disk that failed once stays failed");
}

#[test]
fn a_stuck_disk_holds_back_acknowledgements_and_orders_and_the_rest_goes_on() {
    let (house, storage) = with_storage(|settings| settings.journal.durability = Durability::Disk);
    let mut client = house.client(0);
    let first =
        acknowledged(&mut client, Action::New(limit("BTCUSDT", Side::Buy, "0.01", "60000"))).command_id;
    report_of(&mut client, first, |kind| matches!(kind, ReportKind::Accepted { .. }));
    storage.hold_syncs();
    let waiting = command(Action::New(limit("BTCUSDT", Side::Buy, "0.02", "60000")));
    client.send(&waiting).unwrap();
    wait_for("the flusher to be stuck", || storage.waiting_syncs() > 0);
    assert!(
        client.receive(Duration::from_millis(300)).unwrap().is_none(),
        "nothing is acknowledged before it is durable"
    );
    let venue = house.paper().statistics().requests.load(std::sync::atomic::Ordering::Relaxed);
    // Nobody else is held up by it: a new session logs on and is answered.
    let mut other = house.client(2);
    let heartbeat = command(Action::Heartbeat);
    assert!(matches!(other.execute(&heartbeat, PATIENCE).unwrap(), Reply::Heartbeat { .. }));
    let after = house.paper().statistics().requests.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(venue, after, "nothing leaves for the venue before its intent is durable");
    storage.release_syncs();
    report_of(&mut client, waiting.command_id, |kind| matches!(kind, ReportKind::Accepted { .. }));
}

/// More orders than the hot thread tells a session that has come back of by itself, none of them on the disk.
fn send_undurable(house: &House, storage: &FaultyStorage, client: &mut Client) -> Vec<CommandId> {
    storage.hold_syncs();
    let ids = (0..300).map(|_| {
        let order = command(Action::New(limit("BTCUSDT", Side::Buy, "0.001", "60000")));
        client.send(&order).unwrap();
        order.command_id
    });
    let ids = ids.collect();
    let metrics = house.gateway().metrics();
    wait_for("the orders to be in the journal", || {
        metrics.orders_open.get() == 301 && metrics.journal_sequence.get() > 300
    });
    wait_for("the flusher to be stuck", || storage.waiting_syncs() > 0);
    ids
}

fn next_event(client: &mut Client) -> Event {
    loop {
        match client.receive(PATIENCE).unwrap().expect("an event comes") {
            Incoming::Event(event) => return event,
            Incoming::Answer(_) => {}
            Incoming::Goodbye(goodbye) => panic!("the session ended: {goodbye:?}"),
        }
    }
}

#[test]
fn who_comes_back_when_the_disk_has_failed_hears_everything_and_can_cancel() {
    let (house, storage) = with_storage(|settings| settings.journal.durability = Durability::Disk);
    let mut client = house.client(0);
    let first = resting(&mut client);
    let seen = client.last_event_sequence();
    let mut waiting = send_undurable(&house, &storage, &mut client).into_iter();
    storage.fail_syncs(EIO);
    storage.release_syncs();
    let metrics = house.gateway().metrics();
    wait_for("the session to end", || metrics.sessions.get() == 0);

    let mut client = house.resume(0, seen);
    for number in 0..300 {
        let event = next_event(&mut client);
        assert_eq!(event.event_sequence, seen + 1 + number);
        match event.body {
            EventBody::Acknowledged(it) => {
                assert_eq!(Some(it.command_id), waiting.next());
                assert_eq!(it.durability, Durability::Process, "it never got to the disk");
            }
            other => panic!("{other:?}"),
        }
    }
    for number in 300..600 {
        let event = next_event(&mut client);
        assert_eq!(event.event_sequence, seen + 1 + number);
        let EventBody::Report(report) = event.body else { panic!("{event:?}") };
        assert!(matches!(report.kind, ReportKind::Rejected { .. }), "it never left: {:?}", report.kind);
    }
    let cancelled = acknowledged(&mut client, Action::Cancel(Target::Command(first)));
    assert_eq!(cancelled.durability, Durability::Process);
    report_of(&mut client, first, |kind| *kind == ReportKind::Cancelled);
}

#[test]
fn who_comes_back_while_the_disk_is_stuck_can_cancel() {
    let (house, storage) = with_storage(|settings| settings.journal.durability = Durability::Disk);
    let mut client = house.client(0);
    let first = resting(&mut client);
    let seen = client.last_event_sequence();
    let waiting = send_undurable(&house, &storage, &mut client);
    drop(client);
    let metrics = house.gateway().metrics();
    wait_for("the session to end", || metrics.sessions.get() == 0);

    let mut client = house.resume(0, seen);
    let before = metrics.journal_sequence.get();
    let cancel = command(Action::Cancel(Target::Command(first)));
    client.send(&cancel).unwrap();
    wait_for("the cancel to be in the journal", || metrics.journal_sequence.get() > before);
    assert_eq!(metrics.sessions.get(), 1);
    assert!(storage.waiting_syncs() > 0, "the disk is stuck all the while");

    storage.release_syncs();
    for id in waiting {
        let event = next_event(&mut client);
        let EventBody::Acknowledged(it) = event.body else { panic!("{event:?}") };
        assert_eq!((it.command_id, it.durability), (id, Durability::Disk));
    }
    report_of(&mut client, first, |kind| *kind == ReportKind::Cancelled);
}

#[test]
fn who_lacks_more_than_is_at_hand_while_the_disk_is_stuck_logs_on_without_it_and_can_cancel() {
    let (house, storage) = with_storage(|settings| {
        settings.journal.durability = Durability::Disk;
        settings.sessions.send_buffer_bytes = 16_384;
        settings.sessions.heartbeat_interval_ms = 500;
        settings.sessions.heartbeat_timeout_ms = 1_000;
        settings.clients[0].dead_man_ms = 300;
    });
    let mut client = house.client(0);
    let first = resting(&mut client);
    let seen = client.last_event_sequence();
    storage.hold_syncs();
    let metrics = house.gateway().metrics();
    // Until what waits for the disk fills the session's buffer.
    let order = || command(Action::New(limit("BTCUSDT", Side::Buy, "0.001", "60000")));
    while metrics.sessions.get() == 1 && client.send(&order()).is_ok() {}
    wait_for("the session to end", || metrics.sessions.get() == 0);
    drop(client);

    let mut client = house.resume(0, seen);
    match client.receive(PATIENCE) {
        Ok(Some(Incoming::Goodbye(goodbye))) => assert_eq!(goodbye.code, Code::ResumeUnavailable),
        other => panic!("{other:?}"),
    }
    let of_dead_man =
        |record: &Record| matches!(record, Record::Intent(intent) if intent.origin == Origin::DeadMan);
    assert!(house.records().iter().any(|(_, record)| of_dead_man(record)), "nobody heard of the client");

    let mut client = house.client(0);
    let cancel = command(Action::Cancel(Target::Command(first)));
    client.send(&cancel).unwrap();
    let is_its = |record: &Record| {
        matches!(record, Record::Intent(it) if it.command.command_id == cancel.command_id)
            || matches!(record, Record::Rejection(it) if it.command.command_id == cancel.command_id)
    };
    wait_for("the cancel to be judged", || house.records().iter().any(|(_, record)| is_its(record)));
    storage.release_syncs();
}

#[test]
fn a_full_lane_refuses_orders_and_passes_cancels() {
    let house = House::new(|settings| {
        settings.capacity.lane_messages = 128;
        settings.capacity.lane_reserved = 64;
    });
    let mut client = house.client(0);
    let resting = resting(&mut client);
    house.paper().pause();
    let mut taken = 0;
    let code = loop {
        match refused(&mut client) {
            Some(code) => break code,
            None => taken += 1,
        }
    };
    assert_eq!((code, taken), (Code::QueueFull, 64));
    acknowledged(&mut client, Action::Cancel(Target::Command(resting)));
    house.paper().resume();
    report_of(&mut client, resting, |kind| *kind == ReportKind::Cancelled);
    acknowledged(&mut client, Action::New(limit("BTCUSDT", Side::Buy, "0.01", "60000")));
}

#[test]
fn a_venue_that_goes_down_leaves_orders_unknown_until_it_is_back() {
    let house = House::new(|settings| {
        let faults = &mut paper(settings).faults;
        faults.disconnect_every_orders = 20;
        faults.disconnect_ms = 200;
    });
    let mut client = house.client(0);
    let metrics = house.gateway().metrics().clone();
    let mut open = std::collections::HashSet::new();
    let mut down = 0;
    for _ in 0..200 {
        let command = command(Action::New(limit("BTCUSDT", Side::Buy, "0.01", "60000")));
        match client.execute(&command, PATIENCE).unwrap() {
            Reply::Event(Event { body: EventBody::Acknowledged(it), .. }) => {
                open.insert(it.order_id);
            }
            Reply::Event(Event { body: EventBody::Rejected(it), .. }) => {
                assert!(matches!(it.reject.code, Code::VenueDown | Code::StreamReconciling), "{}", it.reject);
                down += 1;
                wait_for("the venue to be back", || metrics.venues[0].state.get() == 2);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(metrics.venues[0].disconnects.get() > 3 && down > 3, "{down} refusals");
    wait_for("every order to be known", || {
        metrics.venues[0].state.get() == 2 && metrics.orders_unknown.get() == 0
    });
    let unknown = house.records().iter().filter(|(_, record)| is_unknown(record)).count();
    assert!(unknown > 0, "no order was unknown");
}

fn is_unknown(record: &Record) -> bool {
    matches!(record, Record::Report(report) if matches!(report.report.kind, ReportKind::Unknown { .. }))
}

#[test]
fn lost_replies_are_asked_for_and_never_sent_again() {
    let mut house = House::new(|settings| {
        let faults = &mut paper(settings).faults;
        faults.lost_reply_per_million = 300_000;
        faults.duplicate_report_per_million = 300_000;
    });
    let mut client = house.client(0);
    for turn in 0..100 {
        let side = if turn % 2 == 0 { Side::Buy } else { Side::Sell };
        let id = acknowledged(&mut client, Action::New(order("BTCUSDT", side, "0.01"))).command_id;
        let filled = report_of(&mut client, id, |kind| matches!(kind, ReportKind::Filled(_)));
        assert_eq!(filled.filled_quantity, decimal("0.01000"), "a report that comes twice counts once");
    }
    let ledger = house.ledger();
    house.gateway.take().unwrap().stop().unwrap();
    assert_eq!(crate::storm::venue_orders(&ledger).len(), 100);
}

#[test]
fn lost_connections_cancel_orders_where_the_client_wants_it() {
    let house = House::new(|_| {});
    let metrics = house.gateway().metrics().clone();
    // Client 3 of the settings (index 2) wants its orders cancelled; index 0 does not.
    for (index, wanted) in [(2, true), (0, false)] {
        let mut client = house.client(index);
        let id = resting(&mut client);
        let last = client.last_event_sequence();
        drop(client);
        // A client that is back before its loss is noticed has never been without a session.
        wait_for("the loss to be noticed", || metrics.sessions.get() == 0);
        let mut client = house.resume(index, last);
        if wanted {
            report_of(&mut client, id, |kind| *kind == ReportKind::Cancelled);
        } else {
            acknowledged(&mut client, Action::Cancel(Target::Command(id)));
        }
        client.goodbye().unwrap();
    }
    let missed = Code::ALL.iter().position(|code| *code == Code::SessionHeartbeatMissed).unwrap();
    assert_eq!((metrics.sessions_lost.get(), metrics.sessions_ended[missed].get()), (2, 0));
}

#[test]
fn a_lost_connection_cancels_nothing_while_its_client_has_another_session() {
    let house = House::new(|_| {});
    let metrics = house.gateway().metrics().clone();
    let mut lost = house.client(2);
    let mut other = house.client(2);
    let id = resting(&mut lost);
    wait_for("both sessions to stand", || metrics.sessions.get() == 2);
    drop(lost);
    wait_for("the loss to be noticed", || metrics.sessions.get() == 1);
    let cancelled = |(_, record): &(u64, Record)| matches!(record, Record::Intent(intent) if intent.origin == Origin::Disconnect);
    assert!(!house.records().iter().any(cancelled), "what a loss leads to is journaled when it is noticed");
    acknowledged(&mut other, Action::Cancel(Target::Command(id)));
    other.goodbye().unwrap();
}

/// The command id of an order that the venue has accepted.
fn resting(client: &mut Client) -> CommandId {
    let id = acknowledged(client, Action::New(limit("BTCUSDT", Side::Buy, "0.01", "60000"))).command_id;
    report_of(client, id, |kind| matches!(kind, ReportKind::Accepted { .. }));
    id
}

#[test]
fn a_silent_client_is_cancelled_by_its_dead_mans_switch() {
    let house = House::new(|settings| settings.clients[0].dead_man_ms = 300);
    let mut client = house.client(0);
    let id = acknowledged(&mut client, Action::New(limit("BTCUSDT", Side::Buy, "0.01", "60000"))).command_id;
    report_of(&mut client, id, |kind| *kind == ReportKind::Cancelled);
}

#[test]
fn a_restart_keeps_orders_halts_and_answers() {
    let house = House::new(|_| {});
    let mut client = house.client(0);
    let new = command(Action::New(limit("BTCUSDT", Side::Buy, "0.01", "60000")));
    let Reply::Event(first) = client.execute(&new, PATIENCE).unwrap() else { panic!() };
    let halt = tollgate_protocol::command::Halt {
        scope: tollgate_protocol::command::HaltScope::Whole,
        state: tollgate_protocol::command::TradingState::Halted,
        cancel_working: false,
        flatten: false,
        reason: tollgate_protocol::text::Remark::new("a test").unwrap(),
    };
    let operator =
        house.settings.clients.iter().position(|it| it.name.as_str() == "operator").unwrap() as u16;
    acknowledged(&mut house.client(operator), Action::Halt(halt));
    let house = house.restart();
    let mut client = house.client(0);
    match client.execute(&new, PATIENCE).unwrap() {
        Reply::Repeated(event) => assert_eq!(event, first),
        other => panic!("{other:?}"),
    }
    let another = Action::New(limit("BTCUSDT", Side::Buy, "0.02", "60000"));
    assert_eq!(rejected(&mut client, another).code, Code::TradingHalted);
    acknowledged(&mut client, Action::Cancel(Target::Command(new.command_id)));
    let resume = tollgate_protocol::command::Resume {
        scope: tollgate_protocol::command::HaltScope::Whole,
        reason: tollgate_protocol::text::Remark::new("over").unwrap(),
    };
    acknowledged(&mut house.client(operator), Action::Resume(resume));
    acknowledged(&mut client, another);
}
