//! The specification is true: its examples, its tables of codes and of variants are what the code does.

#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write as _;

use support::session::{self, Example};
use support::{bless, compare_with_file, counting, hex, path, unhex, variants};
use tollgate_protocol::client::{ClientSession, Incoming, LogonRequest, SessionError};
use tollgate_protocol::command::Command;
use tollgate_protocol::event::{EventBody, ReportKind};
use tollgate_protocol::frame::{BODY_BYTES_MAX, FRAME_BYTES_MAX, Frame};
use tollgate_protocol::logon::{Credential, Proof, Secret, Verifier, Welcome, public_key, verify_gateway};
use tollgate_protocol::mac::MacAlgorithm;
use tollgate_protocol::reject::Code;

const WIRE: &str = "WIRE.md";
const EXAMPLES: &str = "EXAMPLES.md";

fn wire() -> String {
    std::fs::read_to_string(path(WIRE)).unwrap()
}

fn examples() -> String {
    std::fs::read_to_string(path(EXAMPLES)).unwrap()
}

/// The text between `<!-- name -->` and the next `<!-- end -->`.
fn marked<'a>(text: &'a str, name: &str) -> (usize, &'a str) {
    let start_mark = format!("<!-- {name} -->\n");
    let start =
        text.find(&start_mark).unwrap_or_else(|| panic!("there is no mark {name}")) + start_mark.len();
    let end = text[start..].find("<!-- end -->").unwrap();
    (start, &text[start..start + end])
}

fn written(example: &Example) -> String {
    let mut out = String::new();
    for block in &example.blocks {
        write!(out, "\n{}\n\n```text\n# {}\n", block.title, block.name).unwrap();
        for (bytes, label) in &block.pieces {
            writeln!(out, "{}  {label}", hex(bytes)).unwrap();
        }
        out += "```\n";
    }
    out + "\n"
}

/// The frames of a first order, whole, in lines that fit a page.
fn quick_start(example: &Example) -> String {
    const LINE_BYTES: usize = 50;
    let mut out = "\n```text\n".to_owned();
    for number in 1..=7 {
        let block = example.block(&format!("frame.{number}"));
        writeln!(out, "{}", block.title.trim_matches('*')).unwrap();
        block.bytes().chunks(LINE_BYTES).for_each(|line| writeln!(out, "  {}", hex(line)).unwrap());
    }
    out + "```\n\n"
}

fn codes() -> String {
    let mut out = "\nNumber | Name | Meaning\n------:|------|--------\n".to_owned();
    for code in Code::ALL {
        writeln!(out, "{} | `{}` | {}", code.number(), code.name(), code.meaning()).unwrap();
    }
    out + "\n"
}

fn check_generated(file: &str, parts: &[(&str, String)]) {
    let mut expected = std::fs::read_to_string(path(file)).unwrap();
    for (name, part) in parts {
        let (start, old) = marked(&expected, name);
        let range = start..start + old.len();
        expected.replace_range(range, part);
    }
    compare_with_file(file, &expected);
}

#[test]
fn generated_parts_are_what_the_code_makes() {
    check_generated(WIRE, &[("codes", codes()), ("first order", quick_start(&session::hmac_session()))]);
    let examples = [
        ("hmac session", written(&session::hmac_session())),
        ("resumed session", written(&session::resumed_session())),
        ("ed25519 logon", written(&session::ed25519_logon(MacAlgorithm::Blake3))),
    ];
    check_generated(EXAMPLES, &examples);
}

/// Rows `value | type | hex` of the encoding chapter.
#[test]
fn examples_of_the_encoding_are_right() {
    let text = wire();
    let shown = |value: &str, kind: &str, bytes: Vec<u8>| {
        let row = format!(
            "{value} | {kind} | `{}`",
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
        );
        assert!(text.contains(&row), "{WIRE} lacks the row {row}");
    };
    macro_rules! encoded {
        ($value:expr) => {
            postcard::to_allocvec(&$value).unwrap()
        };
    }
    shown("0", "`u64`", encoded!(0_u64));
    shown("127", "`u64`", encoded!(127_u64));
    shown("128", "`u64`", encoded!(128_u64));
    shown("300", "`u16`", encoded!(300_u16));
    shown("2^64 − 1", "`u64`", encoded!(u64::MAX));
    shown("2^128 − 1", "`u128`", encoded!(u128::MAX));
    shown("−1", "`i64`", encoded!(-1_i64));
    shown("1", "`i64`", encoded!(1_i64));
    shown("−64", "`i64`", encoded!(-64_i64));
    shown("64", "`i64`", encoded!(64_i64));
    shown("5871020", "`i64`", encoded!(5_871_020_i64));
    shown("`EURUSD`", "`text(31)`", encoded!(variants::symbol("EURUSD")));
    shown("empty", "`text(15)`", encoded!(""));
    shown("absent", "`u64?`", encoded!(None::<u64>));
    shown("300", "`u64?`", encoded!(Some(300_u64)));
    shown("58710.20", "[decimal](#decimal)", encoded!(variants::decimal("58710.20")));
    shown("`Sell`", "[Side](#side)", encoded!(variants::sides()[1]));
    shown("`Target::Order(1001)`", "[Target](#target)", encoded!(variants::targets()[1]));
    assert!(text.contains(&format!("body of a frame | {BODY_BYTES_MAX} bytes")));
    assert!(text.contains(&format!("frame | {FRAME_BYTES_MAX} bytes")));
}

/// Blocks of hex as a reader takes them from the document.
fn block_of_document(text: &str, name: &str) -> Vec<(Vec<u8>, String)> {
    let mark = format!("```text\n# {name}\n");
    let start = text.find(&mark).unwrap_or_else(|| panic!("{EXAMPLES} has no block {name}")) + mark.len();
    let block = &text[start..start + text[start..].find("```").unwrap()];
    block
        .lines()
        .map(|line| line.split_once("  ").unwrap())
        .map(|(hex, label)| (unhex(hex), label.to_owned()))
        .collect()
}

fn frame_of_document(text: &str, name: &str) -> Vec<u8> {
    block_of_document(text, name).into_iter().flat_map(|(bytes, _)| bytes).collect()
}

fn random(nonce: u8, ephemeral: u8) -> [u8; 64] {
    [counting(nonce), counting(ephemeral)].concat().try_into().unwrap()
}

/// Runs the crate's client against the gateway's frames of the document.
fn log_on(
    text: &str,
    prefix: &str,
    request: LogonRequest,
    random: &[u8; 64],
) -> Result<(ClientSession, Welcome), SessionError> {
    let read = |number: u8| frame_of_document(text, &format!("{prefix}.frame.{number}"));
    let (sent, hello) = request.start(random);
    assert_eq!(hello, read(1));
    let challenge = read(2);
    let (sent, proof) = sent.challenged(&Frame::split(&challenge).unwrap().unwrap())?;
    assert_eq!(proof, read(3));
    let welcome = read(4);
    sent.welcomed(&Frame::split(&welcome).unwrap().unwrap())
}

fn hmac_request() -> LogonRequest {
    LogonRequest {
        key_id: "desk-1".parse().unwrap(),
        credential: Credential::Hmac(Secret::new(counting(session::HMAC_SECRET_FIRST).to_vec())),
        mac: MacAlgorithm::HmacSha256,
        resume_after: None,
        gateway_public_key: None,
        software: "example/1".parse().unwrap(),
    }
}

fn ed25519_request() -> LogonRequest {
    let gateway = Secret::new(counting(session::GATEWAY_SEED_FIRST).to_vec());
    LogonRequest {
        key_id: "desk-2".parse().unwrap(),
        credential: Credential::Ed25519(Secret::new(counting(session::CLIENT_SEED_FIRST).to_vec())),
        mac: MacAlgorithm::Blake3,
        resume_after: Some(0),
        gateway_public_key: public_key(&gateway),
        ..hmac_request()
    }
}

#[test]
fn the_client_lives_through_the_session_of_the_document() {
    if bless() {
        return;
    }
    let text = examples();
    let read = |number: u8| frame_of_document(&text, &format!("hmac.frame.{number}"));
    let (mut session, welcome) = log_on(&text, "hmac", hmac_request(), &random(0xa0, 0)).unwrap();
    assert_eq!((welcome.session_id, welcome.next_event_sequence), (7, 1));

    let mut out = [0; FRAME_BYTES_MAX];
    let mut signs = |session: &mut ClientSession, frame: &[u8]| {
        let command: Command = Frame::split(frame).unwrap().unwrap().body().unwrap();
        let length = session.sign(&command, &mut out);
        assert_eq!(&out[..length], frame);
    };
    signs(&mut session, &read(5));
    let Incoming::Event(event) = open(&mut session, &read(6)) else { panic!("an event") };
    assert!(matches!(event.body, EventBody::Acknowledged(_)));
    let Incoming::Event(event) = open(&mut session, &read(7)) else { panic!("an event") };
    assert!(matches!(event.body, EventBody::Report(report) if matches!(report.kind, ReportKind::Filled(_))));
    signs(&mut session, &read(8));
    assert!(matches!(open(&mut session, &read(9)), Incoming::Answer(_)));
    assert!(matches!(open(&mut session, &read(10)), Incoming::Answer(_)));
    let length = session.goodbye(&mut out);
    assert_eq!(&out[..length], read(11));
}

#[test]
fn the_client_lives_through_the_resumed_session_of_the_document() {
    if bless() {
        return;
    }
    let text = examples();
    let read = |number: u8| frame_of_document(&text, &format!("resumed.frame.{number}"));
    let request = LogonRequest { resume_after: Some(1), ..hmac_request() };
    let (mut session, welcome) = log_on(&text, "resumed", request, &random(0x50, 0)).unwrap();
    assert_eq!(welcome.next_event_sequence, 2);
    // What was missed comes as it came the first time: only the frame around it is new.
    let first = frame_of_document(&text, "hmac.frame.7");
    assert_eq!(session::body_of(&read(5), true), session::body_of(&first, true));
    for number in 5..=11 {
        let frame = read(number);
        let mut out = [0; FRAME_BYTES_MAX];
        if number == 6 || number == 9 {
            let command: Command = Frame::split(&frame).unwrap().unwrap().body().unwrap();
            let length = session.sign(&command, &mut out);
            assert_eq!(&out[..length], frame);
        } else {
            assert!(matches!(open(&mut session, &frame), Incoming::Event(_)), "frame {number}");
        }
    }
}

fn open(session: &mut ClientSession, frame: &[u8]) -> Incoming {
    session.open(&Frame::split(frame).unwrap().unwrap()).unwrap()
}

#[test]
fn a_replayed_or_reordered_frame_of_the_document_is_refused() {
    if bless() {
        return;
    }
    let text = examples();
    let read = |number: u8| frame_of_document(&text, &format!("hmac.frame.{number}"));
    let (mut session, _) = log_on(&text, "hmac", hmac_request(), &random(0xa0, 0)).unwrap();
    let skipped = read(7);
    let refused = session.open(&Frame::split(&skipped).unwrap().unwrap()).unwrap_err();
    assert_eq!(refused, SessionError::Invalid(Code::FrameSequence));
    let first = read(6);
    session.open(&Frame::split(&first).unwrap().unwrap()).unwrap();
    let refused = session.open(&Frame::split(&first).unwrap().unwrap()).unwrap_err();
    assert_eq!(refused, SessionError::Invalid(Code::FrameSequence));
    let own = read(5);
    let refused = session.open(&Frame::split(&own).unwrap().unwrap()).unwrap_err();
    assert_eq!(refused, SessionError::Invalid(Code::FrameMac), "the client's own frame, sent back to it");
}

#[test]
fn the_ed25519_logon_of_the_document_proves_both_sides() {
    if bless() {
        return;
    }
    let text = examples();
    log_on(&text, "ed25519", ed25519_request(), &random(0xa0, session::CLIENT_EPHEMERAL_FIRST)).unwrap();

    let mut mistaken = ed25519_request();
    mistaken.gateway_public_key = Some(counting(9));
    let refused = log_on(&text, "ed25519", mistaken, &random(0xa0, session::CLIENT_EPHEMERAL_FIRST));
    assert!(matches!(refused, Err(SessionError::GatewayUnverified)));

    let read = |number: u8| frame_of_document(&text, &format!("ed25519.frame.{number}"));
    let transcript = tollgate_protocol::logon::Transcript::new(&read(1), &read(2));
    let proof: Proof = postcard::from_bytes(session::body_of(&read(3), false)).unwrap();
    let given = block_of_document(&text, "ed25519.given");
    let value = |label: &str| {
        let (bytes, _) = given.iter().find(|(_, found)| found == label).unwrap();
        <[u8; 32]>::try_from(&bytes[..]).unwrap()
    };
    assert!(Verifier::Ed25519(value("client_public")).verify(&transcript, &proof));
    assert!(!Verifier::Ed25519(value("gateway_identity_public")).verify(&transcript, &proof));
    let welcome: Welcome = postcard::from_bytes(session::body_of(&read(4), true)).unwrap();
    assert!(verify_gateway(&value("gateway_identity_public"), &transcript, &welcome.signature.unwrap()));
}
