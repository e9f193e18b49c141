//! What must be refused: values that do not decode, and frames that end a session. As data, for every client's tests.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::session::{self, Example};
use support::{bless, compare_with_file, counting, hex, path, unhex};
use tollgate_protocol::client::{ClientSession, LogonRequest, SessionError};
use tollgate_protocol::command::{Action, Command, Side, Target};
use tollgate_protocol::event::{Event, ReportKind};
use tollgate_protocol::frame::{Frame, HEADER_BYTES};
use tollgate_protocol::logon::{Credential, Goodbye, Hello, Proof, Secret};
use tollgate_protocol::mac::{FrameMac, MacAlgorithm, TAG_BYTES};
use tollgate_protocol::reject::Code;
use tollgate_protocol::wire::{self, Wire};
use tollgate_protocol::{Decimal, Text};

const FILE: &str = "golden/malformed.json";

/// Name, what is wrong, type as in types.json, bytes.
fn values() -> Vec<(&'static str, &'static str, Value, String)> {
    let text = || json!({ "text": 31 });
    let bytes32 = || json!({ "bytes": 32 });
    let optional = || json!({ "optional": "u64" });
    let body = |number: u8| {
        let example = session::hmac_session();
        let frame = example.block(&format!("frame.{number}")).bytes();
        hex(session::body_of(&frame, number > 3))
    };
    let (command, hello, proof) = (body(5), body(1), body(3));
    vec![
        ("u8_missing", "no byte", json!("u8"), String::new()),
        ("bool_2", "a bool is 00 or 01", json!("bool"), "02".into()),
        ("bool_255", "a bool is 00 or 01", json!("bool"), "ff".into()),
        ("bool_missing", "no byte", json!("bool"), String::new()),
        ("u16_overlong", "0 in 4 bytes, where 3 are the most", json!("u16"), "80808000".into()),
        ("u16_too_large", "65536", json!("u16"), "808004".into()),
        ("u16_cut", "the last byte says that more follow", json!("u16"), "80".into()),
        ("u32_overlong", "0 in 6 bytes, where 5 are the most", json!("u32"), "808080808000".into()),
        ("u32_too_large", "2^32", json!("u32"), "8080808010".into()),
        ("u64_overlong", "0 in 11 bytes, where 10 are the most", json!("u64"), "80".repeat(10) + "00"),
        ("u64_too_large", "2^64", json!("u64"), "80".repeat(9) + "02"),
        ("u64_cut", "nine bytes that all say that more follow", json!("u64"), "80".repeat(9)),
        ("u128_overlong", "0 in 20 bytes, where 19 are the most", json!("u128"), "80".repeat(19) + "00"),
        ("u128_too_large", "2^128", json!("u128"), "80".repeat(18) + "04"),
        ("i64_too_large", "a zigzag number of 65 bits", json!("i64"), "80".repeat(9) + "02"),
        ("bytes32_short", "31 bytes", bytes32(), "00".repeat(31)),
        ("text_too_long", "32 bytes, where 31 are the most", text(), "20".to_owned() + &"41".repeat(32)),
        ("text_cut", "5 bytes are announced, 1 is there", text(), "0541".into()),
        ("text_length_huge", "2^64 - 1 bytes are announced", text(), "ff".repeat(9) + "01"),
        ("text_not_utf8", "c3 begins a character that 28 does not end", text(), "02c328".into()),
        ("text_utf8_overlong", "NUL in two bytes", text(), "02c080".into()),
        ("text_utf8_surrogate", "half of a UTF-16 pair", text(), "03eda080".into()),
        ("text_utf8_cut", "the length ends in the middle of a character", text(), "02e282ac".into()),
        ("optional_mark_2", "the mark is 00 or 01", optional(), "0201".into()),
        ("optional_value_missing", "present, but there is no value", optional(), "01".into()),
        ("decimal_without_scale", "the mantissa alone", json!("Decimal"), "02".into()),
        ("side_2", "there are two sides", json!("Side"), "02".into()),
        (
            "variant_overlong",
            "variant 0 in 6 bytes, where 5 are the most",
            json!("Side"),
            "808080808000".into(),
        ),
        ("target_without_value", "Order, and no order id", json!("Target"), "01".into()),
        ("report_kind_9", "there are nine kinds of reports, from 0", json!("ReportKind"), "09".into()),
        ("action_10", "there are ten actions, from 0", json!("Action"), "0a".into()),
        ("command_empty", "an empty body", json!("Command"), String::new()),
        ("command_left_over", "a byte behind the last field", json!("Command"), command.clone() + "00"),
        ("command_cut", "the last byte is missing", json!("Command"), command[..command.len() - 2].into()),
        ("hello_left_over", "a byte behind the last field", json!("Hello"), hello + "00"),
        ("proof_cut", "31 bytes of an HMAC", json!("Proof"), proof[..proof.len() - 2].into()),
        ("goodbye_without_wait", "the code alone", json!("Goodbye"), "7c".into()),
        ("event_without_body", "number and time alone", json!("Event"), "0102".into()),
    ]
}

/// True when all of `bytes` are a value of `T`.
fn decodes<T: Wire>(bytes: &[u8]) -> bool {
    wire::decode::<T>(bytes).is_ok_and(|(_, rest)| rest.is_empty())
}

fn is_value(kind: &Value, bytes: &[u8]) -> bool {
    match kind.as_str() {
        Some("u8") => decodes::<u8>(bytes),
        Some("bool") => decodes::<bool>(bytes),
        Some("u16") => decodes::<u16>(bytes),
        Some("u32") => decodes::<u32>(bytes),
        Some("u64") => decodes::<u64>(bytes),
        Some("u128") => decodes::<u128>(bytes),
        Some("i64") => decodes::<i64>(bytes),
        Some("Decimal") => decodes::<Decimal>(bytes),
        Some("Side") => decodes::<Side>(bytes),
        Some("Target") => decodes::<Target>(bytes),
        Some("ReportKind") => decodes::<ReportKind>(bytes),
        Some("Action") => decodes::<Action>(bytes),
        Some("Command") => decodes::<Command>(bytes),
        Some("Hello") => decodes::<Hello>(bytes),
        Some("Proof") => decodes::<Proof>(bytes),
        Some("Goodbye") => decodes::<Goodbye>(bytes),
        Some("Event") => decodes::<Event>(bytes),
        _ if *kind == json!({ "text": 31 }) => decodes::<Text<31>>(bytes),
        _ if *kind == json!({ "bytes": 32 }) => decodes::<[u8; 32]>(bytes),
        _ if *kind == json!({ "optional": "u64" }) => decodes::<Option<u64>>(bytes),
        _ => panic!("{kind}: no such type in this test"),
    }
}

fn gateway_key(example: &Example) -> [u8; 32] {
    let derived = example.block("derived");
    let (key, _) = derived.pieces.iter().find(|(_, label)| label == "gateway_to_client_key").unwrap();
    key.clone().try_into().unwrap()
}

/// A frame with the gateway's tag over whatever it holds.
fn sealed(key: &[u8; 32], kind: u8, sequence: u64, body: &[u8]) -> Vec<u8> {
    let mut frame =
        [&b"TG"[..], &[1, kind], &(body.len() as u32).to_le_bytes(), &sequence.to_le_bytes(), body].concat();
    let mut tag = [0; TAG_BYTES];
    FrameMac::new(MacAlgorithm::HmacSha256, key).sign(&frame, &mut tag);
    frame.extend(tag);
    frame
}

/// Name, what is wrong, frame, code.
fn frames() -> Vec<(&'static str, &'static str, Vec<u8>, Code)> {
    let example = session::hmac_session();
    let key = gateway_key(&example);
    let right = example.block("frame.6").bytes();
    let body = session::body_of(&right, true).to_vec();
    let fill = example.block("frame.7").bytes();
    let fill = session::body_of(&fill, true).to_vec();
    let with = |at: usize, value: u8| {
        let mut frame = right.clone();
        frame[at] = value;
        frame
    };
    let flipped = |at: usize| with(at, right[at] ^ 1);
    let event = |body: &[u8]| sealed(&key, 32, 3, body);
    let mut bad_bool = fill.clone();
    *bad_bool.last_mut().unwrap() = 2;
    let mut bad_text = fill.clone();
    let at = fill.windows(4).position(|bytes| bytes == b"main").unwrap();
    bad_text[at] = 0xff;
    let mut client_key = key;
    client_key[0] ^= 1;
    vec![
        ("magic", "begins with XG", with(0, b'X'), Code::FrameMagic),
        ("version", "version 2", with(2, 2), Code::FrameVersion),
        ("kind_unknown", "kind 77", with(3, 77), Code::FrameKind),
        (
            "kind_of_a_client",
            "a command, which a client never gets",
            sealed(&key, 16, 3, &body),
            Code::FrameKind,
        ),
        (
            "too_large",
            "a body of 1025 bytes is announced",
            sealed(&key, 32, 3, &[0; 1025]),
            Code::FrameTooLarge,
        ),
        ("mac_flipped", "one bit of the MAC", flipped(right.len() - 1), Code::FrameMac),
        ("body_flipped", "one bit of the body", flipped(HEADER_BYTES), Code::FrameMac),
        (
            "sequence_flipped",
            "one bit of the sequence, under the MAC of the right one",
            flipped(8),
            Code::FrameMac,
        ),
        ("mac_of_another_key", "another key", sealed(&client_key, 32, 3, &body), Code::FrameMac),
        (
            "sequence_again",
            "sequence 2 again, rightly signed",
            sealed(&key, 32, 2, &body),
            Code::FrameSequence,
        ),
        (
            "sequence_skipped",
            "sequence 4 where 3 is due, rightly signed",
            sealed(&key, 32, 4, &body),
            Code::FrameSequence,
        ),
        ("body_empty", "an event without a byte", event(&[]), Code::FrameBody),
        (
            "body_left_over",
            "a byte behind the last field",
            event(&[&body[..], &[0]].concat()),
            Code::FrameBody,
        ),
        ("body_cut", "the last byte is missing", event(&body[..body.len() - 1]), Code::FrameBody),
        ("body_bool", "maker is 02", event(&bad_bool), Code::FrameBody),
        ("body_text", "the account is not UTF-8", event(&bad_text), Code::FrameBody),
    ]
}

fn document() -> String {
    let values = values().into_iter().map(|(name, description, kind, bytes)| {
        format!(
            "  {{\"name\": {}, \"description\": {}, \"type\": {kind},\n   \"bytes\": {}}}",
            json!(name),
            json!(description),
            json!(bytes)
        )
    });
    let frames = frames().into_iter().map(|(name, description, frame, code)| {
        format!(
            "  {{\"name\": {}, \"description\": {}, \"code\": {},\n   \"frame\": {}}}",
            json!(name),
            json!(description),
            json!(code.name()),
            json!(hex(&frame))
        )
    });
    let key = hex(&gateway_key(&session::hmac_session()));
    format!(
        "{{\n \"values\": [\n{}\n ],\n \"key\": \"{key}\",\n \"sequence\": 3,\n \"frames\": [\n{}\n ]\n}}\n",
        values.collect::<Vec<_>>().join(",\n"),
        frames.collect::<Vec<_>>().join(",\n"),
    )
}

#[test]
fn the_file_holds_what_the_code_makes() {
    compare_with_file(FILE, &document());
}

#[test]
fn names_are_unique() {
    let names: Vec<&str> =
        values().iter().map(|value| value.0).chain(frames().iter().map(|frame| frame.0)).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

fn read() -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(FILE)).unwrap()).unwrap()
}

#[test]
fn no_value_of_the_file_decodes() {
    if bless() {
        return;
    }
    for value in read()["values"].as_array().unwrap() {
        let bytes = unhex(value["bytes"].as_str().unwrap());
        assert!(!is_value(&value["type"], &bytes), "{}", value["name"]);
    }
}

/// The client of the worked session, with the welcome behind it.
fn standing() -> ClientSession {
    let example = session::hmac_session();
    let frame = |number: u8| example.block(&format!("frame.{number}")).bytes();
    let request = LogonRequest {
        key_id: "desk-1".parse().unwrap(),
        credential: Credential::Hmac(Secret::new(counting(session::HMAC_SECRET_FIRST).to_vec())),
        mac: MacAlgorithm::HmacSha256,
        resume_after: None,
        gateway_public_key: None,
        software: "example/1".parse().unwrap(),
    };
    let (sent, _) = request.start(&[counting(0xa0), counting(0)].concat().try_into().unwrap());
    let (sent, _) = sent.challenged(&Frame::split(&frame(2)).unwrap().unwrap()).unwrap();
    sent.welcomed(&Frame::split(&frame(4)).unwrap().unwrap()).unwrap().0
}

#[test]
fn every_frame_of_the_file_ends_a_session_with_its_code() {
    if bless() {
        return;
    }
    for golden in read()["frames"].as_array().unwrap() {
        let bytes = unhex(golden["frame"].as_str().unwrap());
        let found = match Frame::split(&bytes) {
            Err(code) => code,
            Ok(frame) => match standing().open(&frame.unwrap()) {
                Err(SessionError::Invalid(code)) => code,
                other => panic!("{}: {other:?}", golden["name"]),
            },
        };
        assert_eq!(golden["code"], found.name(), "{}", golden["name"]);
    }
}

/// The same session takes the right frame: what the others are refused for is what is wrong with them.
#[test]
fn the_right_frame_is_taken() {
    let frame = session::hmac_session().block("frame.6").bytes();
    assert!(standing().open(&Frame::split(&frame).unwrap().unwrap()).is_ok());
}
