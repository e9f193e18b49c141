//! The golden frames: a frame of every kind, every variant of every enum in some body, byte for byte.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fmt::Debug;

use serde::Serialize;
use support::variants::{self, TIME_NS};
use support::{compare_with_file, counting, hex};
use tollgate_protocol::answer::{Answer, AnswerBody};
use tollgate_protocol::command::{Action, Command, Query};
use tollgate_protocol::event::{Event, EventBody, Rejection};
use tollgate_protocol::frame::{FRAME_BYTES_MAX, Frame, FrameKind, encode};
use tollgate_protocol::logon::{Challenge, Goodbye, Hello, Signature, Welcome};
use tollgate_protocol::mac::{FrameMac, MacAlgorithm};
use tollgate_protocol::reject::{Code, Owner, Reject};
use tollgate_protocol::wire::Wire;
use tollgate_protocol::{CommandId, Decimal};

const CLIENT_KEY_FIRST: u8 = 0x00;
const GATEWAY_KEY_FIRST: u8 = 0x20;

struct Golden {
    name: String,
    json: String,
}

/// Frames in the making; the sequence counts up, so that each is different in its header too.
struct Book {
    algorithm: MacAlgorithm,
    frames: Vec<Golden>,
}

impl Book {
    fn add<T>(&mut self, kind: FrameKind, name: &str, description: &str, body: &T)
    where
        T: Wire + Serialize + PartialEq + Debug,
    {
        let from_client = kind == FrameKind::Command || name.starts_with("client_");
        let key = counting(if from_client { CLIENT_KEY_FIRST } else { GATEWAY_KEY_FIRST });
        let sequence = match kind {
            FrameKind::Hello | FrameKind::Challenge | FrameKind::Refusal => 1,
            FrameKind::Proof | FrameKind::Welcome => 2,
            _ => 3 + self.frames.len() as u64 * 50,
        };
        let mac = FrameMac::new(self.algorithm, &key);
        let mut out = [0; FRAME_BYTES_MAX];
        let length = encode(kind, sequence, body, kind.has_mac().then_some(&mac), &mut out).unwrap();
        let frame = Frame::split(&out[..length]).unwrap().unwrap();
        assert_eq!(&frame.body::<T>().unwrap(), body, "{name}");
        assert!(!kind.has_mac() || frame.authenticate(&mac, sequence) == Ok(()), "{name}");

        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let optional = |text: String| if kind.has_mac() { quoted(&text) } else { "null".to_owned() };
        let json = format!(
            " {{\n  \"name\": {},\n  \"description\": {},\n  \"kind\": {},\n  \"sequence\": {sequence},\n  \
             \"mac\": {},\n  \"key\": {},\n  \"frame\": {},\n  \"body\": {}\n }}",
            quoted(name),
            quoted(description),
            kind as u8,
            optional(self.algorithm.name().to_owned()),
            optional(hex(&key)),
            quoted(&hex(&out[..length])),
            with_large_integers_quoted(&serde_json::to_string(body).unwrap()),
        );
        self.frames.push(Golden { name: name.to_owned(), json });
    }

    fn command(&mut self, name: &str, description: &str, action: Action) {
        let command_id = CommandId(42 + self.frames.len() as u128);
        let account = "main".parse().unwrap();
        let command = Command { command_id, created_at_ns: TIME_NS, deadline_ns: 0, account, action };
        self.add(FrameKind::Command, name, description, &command);
    }

    fn event(&mut self, name: &str, description: &str, body: EventBody) {
        let event_sequence = 1 + self.frames.len() as u64;
        self.add(FrameKind::Event, name, description, &Event { event_sequence, time_ns: TIME_NS, body });
    }

    fn answer(&mut self, name: &str, description: &str, body: AnswerBody) {
        let command_id = CommandId(42 + self.frames.len() as u128);
        self.add(FrameKind::Answer, name, description, &Answer { command_id, body });
    }
}

/// Integers that a double cannot hold become strings, for readers whose numbers are doubles.
fn with_large_integers_quoted(json: &str) -> String {
    let (mut out, mut digits, mut in_string, mut escaped) = (String::new(), String::new(), false, false);
    for character in json.chars().chain([' ']) {
        if !in_string && (character.is_ascii_digit() || character == '-') {
            digits.push(character);
            continue;
        }
        let large = digits.parse::<i128>().is_ok_and(|value| value.unsigned_abs() >= 1 << 53);
        let large = large || digits.parse::<u128>().is_ok_and(|value| value >= 1 << 53);
        let quote = if large { "\"" } else { "" };
        out.extend([quote, &digits, quote]);
        digits.clear();
        in_string ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        out.push(character);
    }
    out.truncate(out.len() - 1);
    out
}

/// The variant's name in lower case, for the name of a frame.
fn name_of<T: Serialize>(prefix: &str, value: &T) -> String {
    let json = serde_json::to_string(value).unwrap();
    let variant: String =
        json.chars().filter(|c| !"{\"".contains(*c)).take_while(|c| c.is_alphanumeric()).collect();
    let mut name = prefix.to_owned();
    for character in variant.chars() {
        if character.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(character.to_ascii_lowercase());
    }
    name
}

fn logon(book: &mut Book) {
    let hello = Hello {
        key_id: "desk-1".parse().unwrap(),
        mac: MacAlgorithm::HmacSha256,
        nonce: counting(0xa0),
        ephemeral: None,
        resume_after: None,
        software: "example/1".parse().unwrap(),
    };
    book.add(FrameKind::Hello, "hello_hmac", "HMAC key, no resume", &hello);
    let other = Hello {
        mac: MacAlgorithm::Blake3,
        ephemeral: Some(counting(0x80)),
        resume_after: Some(300),
        software: "".parse().unwrap(),
        ..hello
    };
    book.add(FrameKind::Hello, "hello_ed25519", "Ed25519 key, BLAKE3, resume after event 300", &other);
    let challenge = Challenge { nonce: counting(0xc0), ephemeral: None, gateway: "gate-1".parse().unwrap() };
    book.add(FrameKind::Challenge, "challenge_hmac", "no ephemeral key", &challenge);
    let challenge = Challenge { ephemeral: Some(counting(0xe0)), ..challenge };
    book.add(FrameKind::Challenge, "challenge_ed25519", "with an ephemeral key", &challenge);
    for proof in variants::proofs() {
        book.add(FrameKind::Proof, &name_of("proof", &proof), "fixed bytes, not a proof of anything", &proof);
    }
    for durability in variants::durabilities() {
        let signature = Signature { r: counting(0x60), s: counting(0x80) };
        let welcome = Welcome {
            session_id: 7,
            time_ns: TIME_NS,
            heartbeat_interval_ms: 1000,
            heartbeat_timeout_ms: 3000,
            next_event_sequence: 301,
            durability,
            signature: (durability as u8 > 0).then_some(signature),
        };
        let description = "signature of fixed bytes, absent with the first";
        book.add(FrameKind::Welcome, &name_of("welcome", &durability), description, &welcome);
    }
    let refusal = Goodbye { code: Code::LogonFailed, retry_after_ms: 0 };
    book.add(FrameKind::Refusal, "refusal", "a goodbye's body, no MAC", &refusal);
}

fn commands(book: &mut Book) {
    for action in variants::actions() {
        book.command(&name_of("command", &action), "one of each action", action);
    }
    for order_type in variants::order_types() {
        let order = variants::order(order_type, variants::times_in_force()[0]);
        book.command(&name_of("new", &order_type), "one of each order type", Action::New(order));
    }
    for time_in_force in variants::times_in_force() {
        let order = variants::order(variants::order_types()[1], time_in_force);
        book.command(&name_of("new", &time_in_force), "one of each time in force", Action::New(order));
    }
    book.command("new_every_field", "every field in use", Action::New(variants::hedging_order()));
    for target in variants::targets() {
        book.command(&name_of("cancel", &target), "one of each target", Action::Cancel(target));
    }
    for scope in variants::halt_scopes() {
        for state in variants::trading_states() {
            let name = name_of(&name_of("halt", &scope), &state);
            book.command(&name, "each scope with each state", Action::Halt(variants::halt(scope, state)));
        }
    }
    for query in variants::queries() {
        book.command(&name_of("query", &query), "one of each query", Action::Query(query));
    }
    let command = Command {
        command_id: CommandId(u128::MAX),
        created_at_ns: u64::MAX,
        deadline_ns: TIME_NS,
        account: "twelve bytes€".parse().unwrap(),
        action: Action::Query(Query::Account),
    };
    book.add(FrameKind::Command, "command_largest_numbers", "the longest varints", &command);
}

fn events(book: &mut Book) {
    for body in variants::event_bodies() {
        book.event(&name_of("event", &body), "one of each event", body);
    }
    for durability in variants::durabilities() {
        let body = EventBody::Acknowledged(variants::acknowledgement(durability));
        book.event(&name_of("acknowledged", &durability), "one of each durability", body);
    }
    for kind in variants::report_kinds() {
        let body = EventBody::Report(variants::report(kind));
        book.event(&name_of("report", &kind), "one of each kind of report", body);
    }
    for owner in variants::owners() {
        let rejection = Rejection { command_id: CommandId(43), reject: variants::reject(owner) };
        book.event(&name_of("rejected", &owner), "one of each owner", EventBody::Rejected(rejection));
    }
    for code in Code::ALL {
        let reject =
            Reject::limit(*code, Owner::Account, Decimal::new(i64::MAX, 18), Decimal::new(i64::MIN, 0));
        let rejection = Rejection { command_id: CommandId(43), reject };
        let name = format!("rejected_{}", code.name().to_lowercase());
        book.event(&name, "one of each code, with the largest decimals", EventBody::Rejected(rejection));
    }
}

fn answers(book: &mut Book) {
    for body in variants::answer_bodies() {
        book.answer(&name_of("answer", &body), "one of each answer", body);
    }
    for status in variants::statuses() {
        let body = AnswerBody::Order(variants::order_state(status));
        book.answer(&name_of("order", &status), "one of each status", body);
    }
    let goodbye = Goodbye { code: Code::SessionShutdown, retry_after_ms: 0 };
    book.add(FrameKind::Goodbye, "client_goodbye", "the client leaves, its orders stay", &goodbye);
    let goodbye = Goodbye { code: Code::SessionHeartbeatMissed, retry_after_ms: 1500 };
    book.add(FrameKind::Goodbye, "gateway_goodbye", "the gateway ends the session", &goodbye);
}

fn all() -> Vec<Golden> {
    let mut book = Book { algorithm: MacAlgorithm::HmacSha256, frames: Vec::new() };
    logon(&mut book);
    commands(&mut book);
    events(&mut book);
    answers(&mut book);
    book.algorithm = MacAlgorithm::Blake3;
    book.command("command_blake3", "a session with BLAKE3", Action::New(variants::limit_order()));
    let body = EventBody::Acknowledged(variants::acknowledgement(variants::durabilities()[1]));
    book.event("event_blake3", "a session with BLAKE3", body);
    book.answer("answer_blake3", "a session with BLAKE3", AnswerBody::Heartbeat { time_ns: TIME_NS });
    book.frames
}

#[test]
fn the_file_holds_what_the_code_makes() {
    let frames: Vec<String> = all().into_iter().map(|golden| golden.json).collect();
    compare_with_file("golden/frames.json", &format!("[\n{}\n]\n", frames.join(",\n")));
}

#[test]
fn names_are_unique() {
    let frames = all();
    let names: BTreeSet<&str> = frames.iter().map(|golden| golden.name.as_str()).collect();
    assert_eq!(names.len(), frames.len());
}

#[test]
fn large_integers_are_quoted_and_nothing_else() {
    let quoted = with_large_integers_quoted(
        r#"{"a":9007199254740991,"b":9007199254740992,"c":-9223372036854775808,"d":"\"9007199254740993","e":[1,-1]}"#,
    );
    assert_eq!(
        quoted,
        r#"{"a":9007199254740991,"b":"9007199254740992","c":"-9223372036854775808","d":"\"9007199254740993","e":[1,-1]}"#
    );
    assert_eq!(with_large_integers_quoted(&u128::MAX.to_string()), format!("\"{}\"", u128::MAX));
}
