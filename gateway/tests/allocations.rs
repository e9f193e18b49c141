//! The hot thread neither allocates nor frees: a million commands of every kind over TCP, counted on that thread alone.
#![allow(clippy::unwrap_used, missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_client::now_ns;
use tollgate_gateway::gateway::{Gateway, StartOptions};
use tollgate_protocol::Command;
use tollgate_protocol::client::Incoming;
use tollgate_protocol::command::{Action, NewOrder, Query, Scope, Side, Target, TimeInForce};
use tollgate_protocol::event::EventBody;
use tollgate_protocol::identity::CommandId;

#[allow(dead_code)]
#[path = "gateway/support.rs"]
mod support;

use support::{PATIENCE, command, limit, logon, order, settings, wait_for};

thread_local! {
    static IS_HOT: Cell<bool> = const { Cell::new(false) };
}

static CALLS: AtomicU64 = AtomicU64::new(0);

struct Counting;

fn count() {
    // A thread that is ending has no such value any more, and is not the hot one.
    if IS_HOT.try_with(Cell::get).unwrap_or(false) {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory that it hands out.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: the pointer came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the pointer came from `System.alloc` with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const COMMANDS: usize = 1_000_000;
const WARM_UP: usize = 1_000;
const WINDOW: usize = 256;

fn action(number: usize) -> Action {
    let ioc =
        |order: NewOrder| Action::New(NewOrder { time_in_force: TimeInForce::ImmediateOrCancel, ..order });
    let side = if number.is_multiple_of(2) { Side::Buy } else { Side::Sell };
    match number % 16 {
        0..2 => Action::New(order("BTCUSDT", side, "0.01")),
        2 => ioc(limit("BTCUSDT", Side::Buy, "0.01", "64000")),
        3 => Action::New(limit("ETHUSDT", Side::Buy, "0.01", "3000")),
        4 => Action::CancelAll(Scope { symbol: None }),
        5..8 => Action::Cancel(Target::Command(CommandId(number as u128))),
        8 => Action::New(limit("BTCUSDT", side, "0.01", "64000.001")),
        9 => Action::New(order("BTCUSDT", side, "1000000")),
        10 => Action::Query(Query::Positions(Scope { symbol: None })),
        11 => Action::Query(Query::Account),
        12 if number % 1024 == 12 => Action::CloseAll(Scope { symbol: None }),
        _ => Action::Heartbeat,
    }
}

/// True when `incoming` is the one answer to a command.
fn is_answer(incoming: &Incoming) -> bool {
    use tollgate_protocol::answer::AnswerBody;
    match incoming {
        Incoming::Event(event) => !matches!(event.body, EventBody::Report(_)),
        Incoming::Answer(answer) => {
            matches!(
                answer.body,
                AnswerBody::Heartbeat { .. } | AnswerBody::End { .. } | AnswerBody::Refused(_)
            )
        }
        Incoming::Goodbye(goodbye) => panic!("{goodbye:?}"),
    }
}

#[test]
fn a_million_commands_without_an_allocation() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.journal.segment_bytes = 16 << 20;
    settings.risk.firm.orders_per_second = u32::MAX;
    let options = StartOptions { on_hot_thread: Some(|| IS_HOT.set(true)), ..StartOptions::default() };
    let gateway = Gateway::start(settings, options).unwrap();
    wait_for("the venue to be up", || gateway.metrics().venues[0].state.get() == 2);
    let (client, _) = tollgate_client::Client::connect(gateway.address(), logon(0, None), PATIENCE).unwrap();
    let (mut sender, mut receiver) = client.split().unwrap();

    let mut answered = 0;
    let mut sent = 0;
    let mut steady = 0;
    while answered < COMMANDS + WARM_UP {
        if sent < answered + WINDOW / 2 {
            while sent < answered + WINDOW {
                sender.push(&Command { created_at_ns: now_ns(), ..command(action(sent)) });
                sent += 1;
            }
            sender.flush().unwrap();
        }
        let incoming = receiver.receive(PATIENCE).unwrap().expect("an answer comes");
        answered += usize::from(is_answer(&incoming));
        if answered == WARM_UP && steady == 0 {
            steady = CALLS.load(Ordering::Relaxed);
        }
    }
    let calls = CALLS.load(Ordering::Relaxed);
    assert!(gateway.metrics().journal_segment.get() > 4, "segments rolled meanwhile");
    gateway.stop().unwrap();
    // That counting works at all: the end of a thread frees what the hot thread had.
    assert!(CALLS.load(Ordering::Relaxed) > calls, "nothing was ever counted");
    assert_eq!(calls - steady, 0, "calls of the allocator on the hot thread");
}
