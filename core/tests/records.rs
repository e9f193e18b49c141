//! Journal records are written and read as the `postcard` crate does, and each fits its place.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)]
#![allow(clippy::unwrap_used)]

use std::fmt::Debug;

use serde::Serialize;
use tollgate_core::record::{
    Authority, BESIDE_COMMAND_BYTES_MAX, COMMAND_BYTES_MAX, Child, Digest, Effect, Intent, Loss, Name,
    NameTable, OrderTerms, Origin, PAYLOAD_BYTES_MAX, Price, Record, RejectionRecord, ReportRecord, Start,
    VenueRecord, VenueState,
};
use tollgate_protocol::command::{
    Action, Close, Halt, HaltScope, NewOrder, OrderType, Replace, Resume, Scope, Side, Target, TimeInForce,
    TradingState,
};
use tollgate_protocol::event::{Durability, Event, Fill, REPORT_BYTES_MAX, Report, ReportKind};
use tollgate_protocol::identity::AccountIndex;
use tollgate_protocol::reject::{Code, Owner, Reject};
use tollgate_protocol::wire::{self, Wire, Writer};
use tollgate_protocol::{Command, CommandId, Decimal, InstrumentIndex, OrderId, Text};

/// As long as any, whether it counts as 64 bits, as 16, or with a sign.
const LONGEST: u64 = 1 << 63 | 0xffff;
/// Numbers of every length, and the longest.
const NUMBERS: [u64; 8] = [0, 1, 0x7f, 0x80, 1 << 40, i64::MAX as u64, u64::MAX, LONGEST];

/// As long as it can be where the number is large.
fn text<const N: usize>(number: u64) -> Text<N> {
    Text::truncated(&"x".repeat(usize::try_from(number.min(255)).unwrap()))
}

fn decimal(number: u64) -> Decimal {
    Decimal::new(number as i64, number as u8)
}

fn some<T>(number: u64, value: T) -> Option<T> {
    (number > 1).then_some(value)
}

fn actions(number: u64) -> Vec<Action> {
    let target = [Target::Command(command_id(number)), Target::Order(OrderId(number))];
    let (symbol, price) = (text(number), some(number, decimal(number)));
    let scopes = [HaltScope::Whole, HaltScope::Account(text(number)), HaltScope::Symbol(symbol)];
    let scope = Scope { symbol: some(number, symbol) };
    let mut actions = vec![
        Action::New(NewOrder {
            symbol,
            side: Side::Sell,
            order_type: OrderType::StopLimit,
            quantity: decimal(number),
            price,
            stop_price: price,
            time_in_force: TimeInForce::PostOnly,
            expire_at_ns: number,
            reduce_only: true,
            position_ticket: number,
            stop_loss: price,
            take_profit: price,
        }),
        Action::Close(Close { symbol, position_ticket: number, quantity: price }),
        Action::CancelAll(scope),
        Action::CloseAll(scope),
    ];
    for target in target {
        actions.push(Action::Cancel(target));
        actions.push(Action::Replace(Replace { target, quantity: price, price, stop_price: price }));
    }
    for scope in scopes {
        let (state, reason) = (TradingState::Halted, text(number));
        actions.push(Action::Halt(Halt { scope, state, cancel_working: true, flatten: true, reason }));
        actions.push(Action::Resume(Resume { scope, reason }));
    }
    actions
}

fn command_id(number: u64) -> CommandId {
    CommandId(u128::from(number) << 64 | u128::from(number))
}

fn commands(number: u64) -> impl Iterator<Item = Command> {
    actions(number).into_iter().map(move |action| Command {
        command_id: command_id(number),
        created_at_ns: number,
        deadline_ns: number,
        account: text(number),
        action,
    })
}

fn terms(number: u64) -> OrderTerms {
    OrderTerms {
        account: AccountIndex(number as u16),
        instrument: InstrumentIndex(number as u16),
        side: Side::Sell,
        order_type: OrderType::StopLimit,
        time_in_force: TimeInForce::PostOnly,
        reduce_only: true,
        quantity_steps: number as i64,
        price_ticks: number as i64,
        stop_price_ticks: number as i64,
        stop_loss_ticks: number as i64,
        take_profit_ticks: number as i64,
        expire_at_ns: number,
        position_ticket: number,
        value_ticks: number as i64,
    }
}

fn effects(number: u64) -> [Effect; 4] {
    [
        Effect::Order(terms(number)),
        Effect::Cancel(OrderId(number)),
        Effect::Replace {
            order_id: OrderId(number),
            quantity_steps: number as i64,
            price_ticks: number as i64,
            stop_price_ticks: number as i64,
        },
        Effect::Sweep {
            account: some(number, AccountIndex(number as u16)),
            instrument: some(number, InstrumentIndex(number as u16)),
            client: some(number, number as u16),
            keep_good_till_cancel: true,
        },
    ]
}

fn intents(number: u64) -> impl Iterator<Item = Intent> {
    commands(number).flat_map(move |command| {
        effects(number).map(|effect| Intent {
            client: number as u16,
            origin: Origin::Risk,
            event_sequence: number,
            content_hash: number,
            authority: authority(number),
            command,
            effect,
        })
    })
}

fn authority(number: u64) -> Authority {
    Authority { scopes: number as u8, accounts: number }
}

fn refusals(number: u64) -> impl Iterator<Item = RejectionRecord> {
    let numbers = decimal(number);
    let reject = Reject {
        code: *Code::ALL.last().unwrap(),
        owner: Owner::Session,
        value: numbers,
        limit: numbers,
        above: numbers,
    };
    commands(number).map(move |command| RejectionRecord {
        client: number as u16,
        event_sequence: number,
        content_hash: number,
        authority: authority(number),
        command,
        reject,
    })
}

fn reports(number: u64) -> impl Iterator<Item = ReportRecord> {
    let (numbers, reason) = (decimal(number), text(number));
    let fill = Fill { trade_id: number, price: numbers, quantity: numbers, fee: numbers, maker: true };
    let price = some(number, numbers);
    [
        ReportKind::Accepted { venue_order_id: number },
        ReportKind::Filled(fill),
        ReportKind::Rejected { reason },
        ReportKind::Cancelled,
        ReportKind::CancelRejected { reason },
        ReportKind::Replaced { quantity: numbers, price, stop_price: price },
        ReportKind::ReplaceRejected { reason },
        ReportKind::Expired,
        ReportKind::Unknown { reason },
    ]
    .into_iter()
    .map(move |kind| ReportRecord {
        client: number as u16,
        event_sequence: number,
        report: Report {
            command_id: command_id(number),
            order_id: OrderId(number),
            account: text(number),
            symbol: text(number),
            side: Side::Sell,
            filled_quantity: numbers,
            open_quantity: numbers,
            kind,
        },
    })
}

/// Written as postcard writes it, and read back as a record of its kind.
fn is_postcard<T: Wire + Serialize + Copy + Debug>(part: T, whole: impl Fn(T) -> Record) {
    let record = whole(part);
    let mut out = [0; PAYLOAD_BYTES_MAX];
    let length = record.encode(&mut out);
    assert_eq!(&out[..length], postcard::to_allocvec(&part).unwrap(), "{part:?}");
    assert_eq!(Record::decode(1, record.kind(), &out[..length]), Ok(record));
    assert!(Record::decode(1, record.kind(), &out[..length - 1]).is_err(), "a byte short: {part:?}");
}

#[test]
fn records_are_written_and_read_as_postcard_does() {
    for number in NUMBERS {
        let (index, name) = (number as u16, text(number));
        let (tick, step) = (decimal(number), decimal(number));
        is_postcard(Name { table: NameTable::Venue, index, name, tick, step }, Record::Name);
        let durability = Durability::Disk;
        is_postcard(Start { version: text(number), instance: text(number), durability }, Record::Start);
        let (bid_ticks, ask_ticks) = (number as i64, number as i64);
        let instrument = InstrumentIndex(index);
        is_postcard(Price { instrument, bid_ticks, ask_ticks, observed_ns: number }, Record::Price);
        intents(number).for_each(|intent| is_postcard(intent, Record::Intent));
        refusals(number).for_each(|refusal| is_postcard(refusal, Record::Rejection));
        let (command_id, terms) = (command_id(number), terms(number));
        is_postcard(Child { client: index, command_id, parent: number, terms }, Record::Child);
        reports(number).for_each(|report| is_postcard(report, Record::Report));
        let (state, reason) = (VenueState::Up, text(number));
        is_postcard(VenueRecord { venue: index, state, reason }, Record::Venue);
        let (lost_sequence, kept_sequence, accepted_ns) = (number, number, number);
        let loss = Loss { expected_identity: [index as u8; 16], lost_sequence, kept_sequence, accepted_ns };
        is_postcard(loss, Record::Loss);
        is_postcard(Digest { shape: number, hash: [number as u8; 32] }, Record::Digest);
    }
}

/// The bytes that a command came in are those that would be worked out again.
#[test]
fn a_received_command_makes_the_same_record() {
    let encoded = |command: &Command| {
        let mut out = [0; COMMAND_BYTES_MAX];
        let length = wire::encode(command, &mut out).unwrap();
        out[..length].to_vec()
    };
    let (mut whole, mut received) = ([0; PAYLOAD_BYTES_MAX], [0; PAYLOAD_BYTES_MAX]);
    for number in NUMBERS {
        for intent in intents(number) {
            let length = Record::Intent(intent).encode(&mut whole);
            let again = intent.encode_received(&encoded(&intent.command), &mut received);
            assert_eq!(whole[..length], received[..again]);
        }
        for refusal in refusals(number) {
            let length = Record::Rejection(refusal).encode(&mut whole);
            let again = refusal.encode_received(&encoded(&refusal.command), &mut received);
            assert_eq!(whole[..length], received[..again]);
        }
    }
}

/// A report's bytes are worked out once; the record and the event that they are put into are the same as if they had been
/// worked out again, and the longest has its place.
#[test]
fn a_written_report_makes_the_same_record_and_the_same_event() {
    let encoded = |write: &dyn Fn(&mut Writer<'_>)| {
        let mut out = [0; PAYLOAD_BYTES_MAX];
        let mut writer = Writer::new(&mut out);
        write(&mut writer);
        let length = writer.finish().unwrap();
        out[..length].to_vec()
    };
    for number in NUMBERS {
        for record in reports(number) {
            let mut bytes = [0; REPORT_BYTES_MAX];
            let length = wire::encode(&record.report, &mut bytes).unwrap();
            let bytes = &bytes[..length];
            let mut payload = vec![0; length + ReportRecord::HEAD_BYTES_MAX];
            let payload_bytes = record.encode_written(bytes, &mut payload);
            assert_eq!(payload[..payload_bytes], encoded(&|out| record.write(out)));
            let event = record.event(number);
            assert_eq!(
                encoded(&|out| Event::write_report(event.event_sequence, event.time_ns, bytes, out)),
                encoded(&|out| event.write(out))
            );
        }
    }
}

/// A number, a length and a variant may come in more bytes than they need. An encoding that is as long as any may be
/// has its place, and so has the record of it.
#[test]
fn the_longest_record_fits() {
    let length = |value: &dyn Fn(&mut [u8]) -> usize| value(&mut [0; 2 * PAYLOAD_BYTES_MAX]);
    let of = |command: &Command| length(&|out| wire::encode(command, out).unwrap());
    let longest = commands(LONGEST).map(|command| of(&command)).max().unwrap();
    // Four variants of five bytes instead of one, two texts whose length has ten instead of one.
    assert!(longest + 4 * 4 + 2 * 9 <= COMMAND_BYTES_MAX, "{longest}");
    let rest = intents(LONGEST)
        .map(|intent| length(&|out| wire::encode(&intent, out).unwrap()) - of(&intent.command))
        .chain(
            refusals(LONGEST)
                .map(|refusal| length(&|out| wire::encode(&refusal, out).unwrap()) - of(&refusal.command)),
        );
    let rest = rest.max().unwrap();
    assert!(rest <= BESIDE_COMMAND_BYTES_MAX, "{rest}");
}
