//! Every body is written and read as the `postcard` crate does, fits a frame, and wrong bytes are refused.

#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Debug;

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde::Serialize;
use serde::de::DeserializeOwned;
use support::variants;
use tollgate_protocol::answer::{
    AccountState, Answer, AnswerBody, InstrumentState, LimitState, OrderState, PositionState,
};
use tollgate_protocol::command::{
    Action, Close, Command, Halt, HaltScope, NewOrder, Query, Replace, Resume, Scope, Target,
};
use tollgate_protocol::event::{Acknowledgement, Event, EventBody, Fill, Rejection, Report, ReportKind};
use tollgate_protocol::frame::{BODY_BYTES_MAX, FRAME_BYTES_MAX, Frame, FrameKind, HEADER_BYTES, encode};
use tollgate_protocol::logon::{Challenge, Goodbye, Hello, Proof, Signature, Welcome};
use tollgate_protocol::mac::{FrameMac, MacAlgorithm};
use tollgate_protocol::reject::{Code, Reject};
use tollgate_protocol::wire::{self, Wire};
use tollgate_protocol::{CommandId, Decimal, OrderId, Symbol, Text};

fn text<const N: usize>() -> impl Strategy<Value = Text<N>> {
    proptest::collection::vec(any::<char>(), 0..=N)
        .prop_map(|characters| Text::truncated(&characters.into_iter().collect::<String>()))
}

/// Every scale a byte can say: what is too large is refused where it is used, not where it is decoded.
fn decimal() -> impl Strategy<Value = Decimal> {
    any::<(i64, u8)>().prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale))
}

fn command_id() -> impl Strategy<Value = CommandId> {
    any::<u128>().prop_map(CommandId)
}

fn order_id() -> impl Strategy<Value = OrderId> {
    any::<u64>().prop_map(OrderId)
}

fn symbol() -> impl Strategy<Value = Symbol> {
    text()
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![command_id().prop_map(Target::Command), order_id().prop_map(Target::Order)]
}

fn scope() -> impl Strategy<Value = Scope> {
    option::of(symbol()).prop_map(|symbol| Scope { symbol })
}

fn halt_scope() -> impl Strategy<Value = HaltScope> {
    prop_oneof![
        Just(HaltScope::Whole),
        text().prop_map(HaltScope::Account),
        symbol().prop_map(HaltScope::Symbol)
    ]
}

prop_compose! {
    fn new_order()(
        (symbol, side, order_type) in
            (symbol(), select(variants::sides()), select(variants::order_types())),
        (quantity, price, stop_price) in (decimal(), option::of(decimal()), option::of(decimal())),
        (time_in_force, expire_at_ns) in (select(variants::times_in_force()), any::<u64>()),
        (reduce_only, position_ticket) in any::<(bool, u64)>(),
        (stop_loss, take_profit) in (option::of(decimal()), option::of(decimal())),
    ) -> NewOrder {
        NewOrder {
            symbol, side, order_type, quantity, price, stop_price, time_in_force, expire_at_ns, reduce_only,
            position_ticket, stop_loss, take_profit,
        }
    }
}

prop_compose! {
    fn replace()(
        target in target(),
        quantity in option::of(decimal()),
        price in option::of(decimal()),
        stop_price in option::of(decimal()),
    ) -> Replace {
        Replace { target, quantity, price, stop_price }
    }
}

prop_compose! {
    fn close()(symbol in symbol(), position_ticket: u64, quantity in option::of(decimal())) -> Close {
        Close { symbol, position_ticket, quantity }
    }
}

prop_compose! {
    fn halt()(
        scope in halt_scope(),
        state in select(variants::trading_states()),
        (cancel_working, flatten) in any::<(bool, bool)>(),
        reason in text(),
    ) -> Halt {
        Halt { scope, state, cancel_working, flatten, reason }
    }
}

fn query() -> impl Strategy<Value = Query> {
    prop_oneof![
        target().prop_map(Query::Order),
        scope().prop_map(Query::OpenOrders),
        scope().prop_map(Query::Positions),
        Just(Query::Account),
        scope().prop_map(Query::Limits),
        scope().prop_map(Query::Instruments),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        new_order().prop_map(Action::New),
        target().prop_map(Action::Cancel),
        replace().prop_map(Action::Replace),
        close().prop_map(Action::Close),
        scope().prop_map(Action::CancelAll),
        scope().prop_map(Action::CloseAll),
        halt().prop_map(Action::Halt),
        (halt_scope(), text()).prop_map(|(scope, reason)| Action::Resume(Resume { scope, reason })),
        query().prop_map(Action::Query),
        Just(Action::Heartbeat),
    ]
}

prop_compose! {
    fn command()(
        command_id in command_id(),
        (created_at_ns, deadline_ns) in any::<(u64, u64)>(),
        account in text(),
        action in action(),
    ) -> Command {
        Command { command_id, created_at_ns, deadline_ns, account, action }
    }
}

prop_compose! {
    fn reject()(
        code in select(Code::ALL),
        owner in select(variants::owners()),
        (value, limit, above) in (decimal(), decimal(), decimal()),
    ) -> Reject {
        Reject { code, owner, value, limit, above }
    }
}

prop_compose! {
    fn fill()(
        (trade_id, maker) in any::<(u64, bool)>(),
        (price, quantity, fee) in (decimal(), decimal(), decimal()),
    ) -> Fill {
        Fill { trade_id, price, quantity, fee, maker }
    }
}

fn report_kind() -> impl Strategy<Value = ReportKind> {
    prop_oneof![
        any::<u64>().prop_map(|venue_order_id| ReportKind::Accepted { venue_order_id }),
        fill().prop_map(ReportKind::Filled),
        text().prop_map(|reason| ReportKind::Rejected { reason }),
        Just(ReportKind::Cancelled),
        text().prop_map(|reason| ReportKind::CancelRejected { reason }),
        (decimal(), option::of(decimal()), option::of(decimal()))
            .prop_map(|(quantity, price, stop_price)| ReportKind::Replaced { quantity, price, stop_price }),
        text().prop_map(|reason| ReportKind::ReplaceRejected { reason }),
        Just(ReportKind::Expired),
        text().prop_map(|reason| ReportKind::Unknown { reason }),
    ]
}

prop_compose! {
    fn report()(
        (command_id, order_id) in (command_id(), order_id()),
        (account, symbol, side) in (text(), symbol(), select(variants::sides())),
        (filled_quantity, open_quantity) in (decimal(), decimal()),
        kind in report_kind(),
    ) -> Report {
        Report { command_id, order_id, account, symbol, side, filled_quantity, open_quantity, kind }
    }
}

fn event_body() -> impl Strategy<Value = EventBody> {
    let acknowledgement = (command_id(), order_id(), select(variants::durabilities()))
        .prop_map(|(command_id, order_id, durability)| Acknowledgement { command_id, order_id, durability });
    prop_oneof![
        acknowledgement.prop_map(EventBody::Acknowledged),
        (command_id(), reject())
            .prop_map(|(command_id, reject)| EventBody::Rejected(Rejection { command_id, reject })),
        report().prop_map(EventBody::Report),
    ]
}

prop_compose! {
    fn event()((event_sequence, time_ns) in any::<(u64, u64)>(), body in event_body()) -> Event {
        Event { event_sequence, time_ns, body }
    }
}

prop_compose! {
    fn order_state()(
        (order_id, command_id, venue_order_id) in (order_id(), command_id(), any::<u64>()),
        (account, symbol) in (text(), symbol()),
        (side, order_type, time_in_force, status) in (
            select(variants::sides()), select(variants::order_types()), select(variants::times_in_force()),
            select(variants::statuses()),
        ),
        (quantity, filled_quantity) in (decimal(), decimal()),
        (price, stop_price) in (option::of(decimal()), option::of(decimal())),
    ) -> OrderState {
        OrderState {
            order_id, command_id, account, symbol, side, order_type, time_in_force, quantity, filled_quantity,
            price, stop_price, status, venue_order_id,
        }
    }
}

prop_compose! {
    fn position_state()(
        (account, symbol) in (text(), symbol()),
        figures in proptest::array::uniform6(decimal()),
    ) -> PositionState {
        let [quantity, average_price, working_buy_quantity, working_sell_quantity, realised_today, unrealised] =
            figures;
        PositionState {
            account, symbol, quantity, average_price, working_buy_quantity, working_sell_quantity, realised_today,
            unrealised,
        }
    }
}

prop_compose! {
    fn account_state()(
        (account, trading_state) in (text(), select(variants::trading_states())),
        figures in proptest::array::uniform4(decimal()),
        (open_orders, orders_today, daily_reset_at_ns) in any::<(u32, u64, u64)>(),
    ) -> AccountState {
        let [realised_today, unrealised, gross_notional, net_notional] = figures;
        AccountState {
            account, trading_state, realised_today, unrealised, gross_notional, net_notional, open_orders,
            orders_today, daily_reset_at_ns,
        }
    }
}

prop_compose! {
    fn limit_state()(
        (name, symbol, owner) in (text(), symbol(), select(variants::owners())),
        (limit, used) in (decimal(), decimal()),
    ) -> LimitState {
        LimitState { name, symbol, owner, limit, used }
    }
}

prop_compose! {
    fn instrument_state()(symbol in symbol(), rules in proptest::array::uniform9(decimal())) -> InstrumentState {
        let [
            tick, step, quantity_minimum, quantity_maximum, price_minimum, price_maximum, notional_minimum, bid, ask,
        ] = rules;
        InstrumentState {
            symbol, tick, step, quantity_minimum, quantity_maximum, price_minimum, price_maximum, notional_minimum,
            bid, ask,
        }
    }
}

fn answer_body() -> impl Strategy<Value = AnswerBody> {
    prop_oneof![
        any::<u64>().prop_map(|time_ns| AnswerBody::Heartbeat { time_ns }),
        event().prop_map(AnswerBody::Repeated),
        reject().prop_map(AnswerBody::Refused),
        order_state().prop_map(AnswerBody::Order),
        position_state().prop_map(AnswerBody::Position),
        account_state().prop_map(AnswerBody::Account),
        limit_state().prop_map(AnswerBody::Limit),
        instrument_state().prop_map(AnswerBody::Instrument),
        any::<u32>().prop_map(|rows| AnswerBody::End { rows }),
    ]
}

prop_compose! {
    fn answer()(command_id in command_id(), body in answer_body()) -> Answer {
        Answer { command_id, body }
    }
}

fn signature() -> impl Strategy<Value = Signature> {
    any::<([u8; 32], [u8; 32])>().prop_map(|(r, s)| Signature { r, s })
}

prop_compose! {
    fn hello()(
        (key_id, software) in (text(), text()),
        mac in select(variants::mac_algorithms()),
        (nonce, ephemeral, resume_after) in any::<([u8; 32], Option<[u8; 32]>, Option<u64>)>(),
    ) -> Hello {
        Hello { key_id, mac, nonce, ephemeral, resume_after, software }
    }
}

prop_compose! {
    fn challenge()((nonce, ephemeral) in any::<([u8; 32], Option<[u8; 32]>)>(), gateway in text()) -> Challenge {
        Challenge { nonce, ephemeral, gateway }
    }
}

prop_compose! {
    fn welcome()(
        (session_id, time_ns, next_event_sequence) in any::<(u64, u64, u64)>(),
        (heartbeat_interval_ms, heartbeat_timeout_ms) in any::<(u32, u32)>(),
        durability in select(variants::durabilities()),
        signature in option::of(signature()),
    ) -> Welcome {
        Welcome {
            session_id, time_ns, heartbeat_interval_ms, heartbeat_timeout_ms, next_event_sequence, durability,
            signature,
        }
    }
}

/// Through a frame and back; cut or lengthened by a byte it is refused.
fn round_trips<T>(kind: FrameKind, body: &T)
where
    T: Wire + Serialize + DeserializeOwned + PartialEq + Debug,
{
    let mac = FrameMac::new(MacAlgorithm::Blake3, &[3; 32]);
    let mut out = [0; FRAME_BYTES_MAX];
    let length = encode(kind, 9, body, kind.has_mac().then_some(&mac), &mut out).unwrap();
    let frame = Frame::split(&out[..length]).unwrap().unwrap();
    assert_eq!(frame.body::<T>().as_ref(), Ok(body));

    let bytes = postcard::to_allocvec(body).unwrap();
    assert!(bytes.len() <= BODY_BYTES_MAX);
    assert_eq!(&frame.covered[HEADER_BYTES..], bytes);
    fits_where_there_is_room(body, &bytes);
    assert!(wire::decode::<T>(&bytes[..bytes.len() - 1]).is_err(), "a byte short, and it decodes");
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(wire::decode::<T>(&longer).unwrap().1, [0]);
    for at in 0..bytes.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = byte;
            reads_as_postcard::<T>(&changed);
        }
    }
}

/// A slice that is a byte too short is refused, one that is just long enough is not.
fn fits_where_there_is_room<T: Wire>(body: &T, bytes: &[u8]) {
    let mut room = [0xee; BODY_BYTES_MAX];
    assert!(wire::encode(body, &mut room[..bytes.len() - 1]).is_err());
    assert_eq!(wire::encode(body, &mut room[..bytes.len()]), Ok(bytes.len()));
    assert_eq!(&room[..bytes.len()], bytes);
}

/// The same value and the same bytes left, or a refusal by both.
fn reads_as_postcard<T>(bytes: &[u8])
where
    T: Wire + DeserializeOwned + PartialEq + Debug,
{
    assert_eq!(wire::decode::<T>(bytes).ok(), postcard::take_from_bytes(bytes).ok(), "{bytes:02x?}");
}

proptest! {
    #[test]
    fn commands(body in command()) {
        round_trips(FrameKind::Command, &body);
    }

    #[test]
    fn events(body in event()) {
        round_trips(FrameKind::Event, &body);
    }

    #[test]
    fn answers(body in answer()) {
        round_trips(FrameKind::Answer, &body);
    }

    #[test]
    fn logons(hello in hello(), challenge in challenge(), welcome in welcome(), signature in signature(), tag: [u8; 32]) {
        round_trips(FrameKind::Hello, &hello);
        round_trips(FrameKind::Challenge, &challenge);
        round_trips(FrameKind::Proof, &Proof::Hmac(tag));
        round_trips(FrameKind::Proof, &Proof::Ed25519(signature));
        round_trips(FrameKind::Welcome, &welcome);
    }

    #[test]
    fn goodbyes(code in select(Code::ALL), retry_after_ms: u32) {
        round_trips(FrameKind::Goodbye, &Goodbye { code, retry_after_ms });
        round_trips(FrameKind::Refusal, &Goodbye { code, retry_after_ms });
    }

    /// What any bytes decode to is written as it should have been, and then reads the same.
    #[test]
    fn any_bytes_that_decode_round_trip(bytes in proptest::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..120)) {
        if let Ok((body, _)) = wire::decode::<Command>(&bytes) {
            round_trips(FrameKind::Command, &body);
        }
        if let Ok((body, _)) = wire::decode::<Event>(&bytes) {
            round_trips(FrameKind::Event, &body);
        }
        if let Ok((body, _)) = wire::decode::<Answer>(&bytes) {
            round_trips(FrameKind::Answer, &body);
        }
    }

    /// Among other things, numbers that are longer than they need to be, too long, or out of range.
    #[test]
    fn any_bytes_are_taken_as_postcard_takes_them(
        bytes in proptest::collection::vec(prop_oneof![0_u8..4, Just(0x80), Just(0xff), any::<u8>()], 0..60)
    ) {
        reads_as_postcard::<Command>(&bytes);
        reads_as_postcard::<Event>(&bytes);
        reads_as_postcard::<Answer>(&bytes);
        reads_as_postcard::<Hello>(&bytes);
        reads_as_postcard::<Welcome>(&bytes);
        reads_as_postcard::<Goodbye>(&bytes);
    }
}

fn refused<T: Wire + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let decoded = wire::decode::<T>(bytes);
    assert!(decoded.is_err(), "{bytes:02x?} decoded to {decoded:?}");
    reads_as_postcard::<T>(bytes);
}

#[test]
fn bytes_that_the_encoding_forbids_are_refused() {
    refused::<bool>(&[2]);
    refused::<Option<u8>>(&[2, 0]);
    refused::<u16>(&[0xff, 0xff, 0x04]);
    refused::<u16>(&[0x80, 0x80, 0x80, 0x00]);
    refused::<u64>(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]);
    refused::<u64>(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]);
    refused::<Symbol>(&[2, 0xc3, 0x28]);
    refused::<Symbol>(&[[32].as_slice(), &[b'x'; 32]].concat());
    refused::<Code>(&[1]);
    refused::<Action>(&[10]);
    refused::<ReportKind>(&[9]);
    refused::<AnswerBody>(&[9, 0]);
}
