//! The worked examples of the specification: every byte of a session, and every value on the way to it.
//!
//! The keys are derived here by hand, from HMAC alone, so that the example checks the crate and not itself.

use ring::{digest, hmac};
use serde::Serialize;
use tollgate_protocol::answer::{Answer, AnswerBody};
use tollgate_protocol::command::{Action, Command, NewOrder, Query, Target};
use tollgate_protocol::event::{Acknowledgement, Durability, Event, EventBody, Report, ReportKind};
use tollgate_protocol::frame::{FRAME_BYTES_MAX, FrameKind, HEADER_BYTES, encode};
use tollgate_protocol::logon::{
    Challenge, Credential, Ephemeral, Goodbye, Hello, Proof, Secret, Transcript, Welcome, public_key,
    sign_as_gateway,
};
use tollgate_protocol::mac::{FrameMac, MacAlgorithm, TAG_BYTES};
use tollgate_protocol::reject::Code;
use tollgate_protocol::{CommandId, OrderId};

use super::counting;
use super::variants::{self, TIME_NS};

/// Pieces of hex, each with what it is.
pub struct Block {
    /// Its name, without spaces.
    pub name: String,
    /// What a reader sees above it.
    pub title: String,
    /// Bytes and their label.
    pub pieces: Vec<(Vec<u8>, String)>,
}

impl Block {
    pub fn bytes(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|(bytes, _)| bytes.clone()).collect()
    }

    fn values(name: &str, title: &str, pieces: Vec<(Vec<u8>, &str)>) -> Self {
        let pieces = pieces.into_iter().map(|(bytes, label)| (bytes, label.to_owned())).collect();
        Self { name: name.to_owned(), title: title.to_owned(), pieces }
    }
}

/// Pieces of a body: its fields in order, each encoded alone.
pub type Pieces = Vec<(Vec<u8>, String)>;

pub fn piece<T: Serialize>(value: &T, label: &str) -> (Vec<u8>, String) {
    (postcard::to_allocvec(value).unwrap(), label.to_owned())
}

/// The fields of a struct. That none is missing shows when the pieces are compared with the whole.
macro_rules! fields {
    ($value:expr; $($field:ident),+) => { vec![$(piece(&$value.$field, stringify!($field))),+] };
}

fn variant(number: u8, label: &str) -> Pieces {
    vec![(vec![number], label.to_owned())]
}

/// The example's two sides: frames in the order in which they travel.
pub struct Example {
    pub prefix: &'static str,
    pub blocks: Vec<Block>,
    client_to_gateway: Option<FrameMac>,
    gateway_to_client: Option<FrameMac>,
}

impl Example {
    fn new(prefix: &'static str) -> Self {
        Self { prefix, blocks: Vec::new(), client_to_gateway: None, gateway_to_client: None }
    }

    /// Adds a frame whose body's pieces must be its whole body.
    fn frame<T: Serialize + tollgate_protocol::wire::Wire>(
        &mut self,
        kind: FrameKind,
        sequence: u64,
        from_client: bool,
        what: &str,
        body: &T,
        pieces: Pieces,
    ) {
        let mac = if from_client { &self.client_to_gateway } else { &self.gateway_to_client };
        let mut out = [0; FRAME_BYTES_MAX];
        let length = encode(kind, sequence, body, mac.as_ref().filter(|_| kind.has_mac()), &mut out).unwrap();
        let frame = &out[..length];
        let mut all = vec![
            (frame[..2].to_vec(), "magic".to_owned()),
            (frame[2..3].to_vec(), "version".to_owned()),
            (frame[3..4].to_vec(), format!("kind {}", kind as u8)),
            (frame[4..8].to_vec(), "length".to_owned()),
            (frame[8..16].to_vec(), format!("sequence {sequence}")),
        ];
        all.extend(pieces);
        if kind.has_mac() {
            all.push((frame[length - TAG_BYTES..].to_vec(), "MAC".to_owned()));
        }
        let direction = if from_client { "client → gateway" } else { "gateway → client" };
        let number = self.blocks.iter().filter(|block| block.name.contains("frame")).count() + 1;
        let block = Block {
            name: format!("{}.frame.{number}", self.prefix),
            title: format!("**Frame {number}, {direction}: {what}**"),
            pieces: all,
        };
        assert_eq!(block.bytes(), frame, "the pieces of {} are not the frame", block.name);
        self.blocks.push(block);
    }

    pub fn block(&self, name: &str) -> &Block {
        let name = format!("{}.{name}", self.prefix);
        self.blocks.iter().find(|block| block.name == name).unwrap()
    }
}

pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

/// The values between challenge and welcome.
pub struct Derived {
    pub transcript: Vec<u8>,
    pub proof_message: Vec<u8>,
    pub gateway_message: Vec<u8>,
    pub salt: Vec<u8>,
    pub prk: Vec<u8>,
    pub client_key: [u8; 32],
    pub gateway_key: [u8; 32],
}

pub fn derive(hello: &[u8], challenge: &[u8], salt: Vec<u8>, ikm: &[u8]) -> Derived {
    let transcript = digest::digest(&digest::SHA256, &[hello, challenge].concat()).as_ref().to_vec();
    let prk = hmac_sha256(&salt, ikm);
    let expand = |context: &[u8]| {
        <[u8; 32]>::try_from(hmac_sha256(&prk, &[context, &transcript, &[1]].concat())).unwrap()
    };
    Derived {
        proof_message: [&b"tollgate v1 client proof"[..], &transcript].concat(),
        gateway_message: [&b"tollgate v1 gateway proof"[..], &transcript].concat(),
        client_key: expand(b"tollgate v1 client to gateway"),
        gateway_key: expand(b"tollgate v1 gateway to client"),
        transcript,
        salt,
        prk,
    }
}

impl Example {
    fn derived(&mut self, derived: &Derived, extra: Vec<(Vec<u8>, &str)>, algorithm: MacAlgorithm) {
        let mut pieces = vec![
            (derived.transcript.clone(), "transcript"),
            (derived.proof_message[..24].to_vec(), "proof_context"),
            (derived.salt[..32].to_vec(), "salt, first half"),
            (derived.salt[32..].to_vec(), "salt, second half"),
        ];
        pieces.extend(extra);
        pieces.extend([
            (derived.prk.clone(), "prk"),
            (derived.client_key.to_vec(), "client_to_gateway_key"),
            (derived.gateway_key.to_vec(), "gateway_to_client_key"),
        ]);
        let name = format!("{}.derived", self.prefix);
        self.blocks.push(Block::values(&name, "**What both sides derive**", pieces));
        self.client_to_gateway = Some(FrameMac::new(algorithm, &derived.client_key));
        self.gateway_to_client = Some(FrameMac::new(algorithm, &derived.gateway_key));
    }
}

pub const HMAC_SECRET_FIRST: u8 = 0x00;

pub fn hmac_session() -> Example {
    let mut example = Example::new("hmac");
    let secret = counting(HMAC_SECRET_FIRST);
    let title = "**What the sides begin with**";
    let given = vec![
        (secret.to_vec(), "secret"),
        (counting(0xa0).to_vec(), "client_nonce"),
        (counting(0xc0).to_vec(), "gateway_nonce"),
    ];
    example.blocks.push(Block::values("hmac.given", title, given));

    let hello = Hello {
        key_id: "desk-1".parse().unwrap(),
        mac: MacAlgorithm::HmacSha256,
        nonce: counting(0xa0),
        ephemeral: None,
        resume_after: None,
        software: "example/1".parse().unwrap(),
    };
    let challenge = Challenge { nonce: counting(0xc0), ephemeral: None, gateway: "gate-1".parse().unwrap() };
    logon_frames(&mut example, &hello, &challenge);
    let (hello_frame, challenge_frame) = (example.block("frame.1").bytes(), example.block("frame.2").bytes());
    let salt = [hello.nonce, challenge.nonce].concat();
    let derived = derive(&hello_frame, &challenge_frame, salt, &secret);
    let tag = hmac_sha256(&secret, &derived.proof_message);
    example.derived(&derived, vec![(secret.to_vec(), "ikm")], MacAlgorithm::HmacSha256);

    let proof = Proof::Hmac(tag.clone().try_into().unwrap());
    let pieces =
        [variant(0, "Hmac"), vec![(tag, "HMAC-SHA256(secret, proof_context ‖ transcript)".to_owned())]];
    example.frame(FrameKind::Proof, 2, true, "proof", &proof, pieces.concat());
    welcome_frame(&mut example, 7, 1, None);
    trading(&mut example);
    example
}

/// The same client logs on again: it has seen one event, gets the other, places an order and cancels it.
pub fn resumed_session() -> Example {
    let mut example = Example::new("resumed");
    let secret = counting(HMAC_SECRET_FIRST);
    let given = vec![
        (secret.to_vec(), "secret"),
        (counting(0x50).to_vec(), "client_nonce"),
        (counting(0x70).to_vec(), "gateway_nonce"),
    ];
    example.blocks.push(Block::values("resumed.given", "**What the sides begin with**", given));
    let hello = Hello {
        key_id: "desk-1".parse().unwrap(),
        mac: MacAlgorithm::HmacSha256,
        nonce: counting(0x50),
        ephemeral: None,
        resume_after: Some(1),
        software: "example/1".parse().unwrap(),
    };
    let challenge = Challenge { nonce: counting(0x70), ephemeral: None, gateway: "gate-1".parse().unwrap() };
    logon_frames(&mut example, &hello, &challenge);
    let (hello_frame, challenge_frame) = (example.block("frame.1").bytes(), example.block("frame.2").bytes());
    let derived = derive(&hello_frame, &challenge_frame, [hello.nonce, challenge.nonce].concat(), &secret);
    let tag = hmac_sha256(&secret, &derived.proof_message);
    example.derived(&derived, vec![(secret.to_vec(), "ikm")], MacAlgorithm::HmacSha256);
    let proof = Proof::Hmac(tag.clone().try_into().unwrap());
    let pieces =
        [variant(0, "Hmac"), vec![(tag, "HMAC-SHA256(secret, proof_context ‖ transcript)".to_owned())]];
    example.frame(FrameKind::Proof, 2, true, "proof", &proof, pieces.concat());
    welcome_frame(&mut example, 8, 2, None);
    fill_event(&mut example, 3, "what was missed: event 2, as it came the first time");
    place_and_cancel(&mut example);
    example
}

/// What a report says of an order of which nothing is filled.
fn unfilled(open: &str, kind: ReportKind) -> Report {
    Report {
        command_id: CommandId(44),
        order_id: OrderId(1002),
        filled_quantity: variants::decimal("0"),
        open_quantity: variants::decimal(open),
        ..variants::report(kind)
    }
}

fn place_and_cancel(example: &mut Example) {
    let order = NewOrder { price: Some(variants::decimal("57000.00")), ..variants::limit_order() };
    let command = |id: u128, after_ns: u64, action: Action| Command {
        command_id: CommandId(id),
        created_at_ns: TIME_NS + after_ns,
        deadline_ns: 0,
        account: "main".parse().unwrap(),
        action,
    };
    let placed = command(44, 20_000_000, Action::New(order));
    let pieces = [command_pieces(&placed), variant(0, "action: New"), order_pieces(&order)];
    example.frame(FrameKind::Command, 3, true, "buy 0.010 BTCUSDT at 57000.00", &placed, pieces.concat());
    let acknowledged = |example: &mut Example, sequence, event_sequence, command_id, order_id, what| {
        let acknowledgement = Acknowledgement {
            command_id: CommandId(command_id),
            order_id: OrderId(order_id),
            durability: Durability::Process,
        };
        let time_ns = TIME_NS + event_sequence * 10_000_000;
        let event = Event { event_sequence, time_ns, body: EventBody::Acknowledged(acknowledgement) };
        let pieces = [
            fields!(event; event_sequence, time_ns),
            variant(0, "body: Acknowledged"),
            fields!(acknowledgement; command_id, order_id, durability),
        ];
        example.frame(FrameKind::Event, sequence, false, what, &event, pieces.concat());
    };
    let reported = |example: &mut Example, sequence, event_sequence, report: Report, kind: Pieces, what| {
        let time_ns = TIME_NS + event_sequence * 10_000_000;
        let event = Event { event_sequence, time_ns, body: EventBody::Report(report) };
        let pieces = [
            fields!(event; event_sequence, time_ns),
            variant(2, "body: Report"),
            fields!(report; command_id, order_id, account, symbol, side, filled_quantity, open_quantity),
            kind,
        ];
        example.frame(FrameKind::Event, sequence, false, what, &event, pieces.concat());
    };
    acknowledged(example, 4, 3, 44, 1002, "acknowledged as order 1002");
    let accepted = unfilled("0.010", ReportKind::Accepted { venue_order_id: 28_458 });
    let kind = [variant(0, "kind: Accepted"), vec![piece(&28_458_u64, "venue_order_id")]].concat();
    reported(example, 5, 4, accepted, kind, "the venue has it");

    let cancel = command(45, 45_000_000, Action::Cancel(Target::Command(CommandId(44))));
    let target = [variant(0, "Command"), vec![piece(&CommandId(44), "command_id")]].concat();
    let pieces = [command_pieces(&cancel), variant(1, "action: Cancel"), target];
    example.frame(FrameKind::Command, 4, true, "cancel the order of command 44", &cancel, pieces.concat());
    acknowledged(example, 6, 5, 45, 1004, "the cancel is on its way; 1004 is its own record, and no order");
    let cancelled = unfilled("0", ReportKind::Cancelled);
    reported(
        example,
        7,
        6,
        cancelled,
        variant(3, "kind: Cancelled"),
        "cancelled, by the id of the order's command",
    );
}

fn logon_frames(example: &mut Example, hello: &Hello, challenge: &Challenge) {
    let optional = |mut pieces: Pieces| {
        // A present key is its option byte and then 32 bytes: two lines are easier to read.
        if let Some(at) = pieces.iter().position(|(bytes, label)| label == "ephemeral" && bytes.len() == 33) {
            let (bytes, label) = pieces.remove(at);
            pieces.insert(at, (bytes[1..].to_vec(), label));
            pieces.insert(at, (bytes[..1].to_vec(), "ephemeral: present".to_owned()));
        }
        pieces
    };
    let pieces = fields!(hello; key_id, mac, nonce, ephemeral, resume_after, software);
    example.frame(FrameKind::Hello, 1, true, "hello", hello, optional(pieces));
    let pieces = fields!(challenge; nonce, ephemeral, gateway);
    example.frame(FrameKind::Challenge, 1, false, "challenge", challenge, optional(pieces));
}

fn welcome_frame(
    example: &mut Example,
    session_id: u64,
    next_event_sequence: u64,
    signature: Option<tollgate_protocol::logon::Signature>,
) {
    let welcome = Welcome {
        session_id,
        // Each session a little later.
        time_ns: TIME_NS + (session_id - 7) * 15_000_000,
        heartbeat_interval_ms: 1000,
        heartbeat_timeout_ms: 3000,
        next_event_sequence,
        durability: Durability::Process,
        signature,
    };
    let mut pieces = fields!(welcome; session_id, time_ns, heartbeat_interval_ms, heartbeat_timeout_ms,
        next_event_sequence, durability);
    match signature {
        None => pieces.push(piece(&signature, "signature: absent")),
        Some(signature) => {
            pieces.extend(variant(1, "signature: present"));
            pieces.extend(fields!(signature; r, s));
        }
    }
    example.frame(FrameKind::Welcome, 2, false, "welcome", &welcome, pieces);
}

fn command_pieces(command: &Command) -> Pieces {
    fields!(command; command_id, created_at_ns, deadline_ns, account)
}

fn order_pieces(order: &NewOrder) -> Pieces {
    fields!(order; symbol, side, order_type, quantity, price, stop_price, time_in_force, expire_at_ns, reduce_only,
        position_ticket, stop_loss, take_profit)
}

fn trading(example: &mut Example) {
    let order = variants::limit_order();
    let command = Command {
        command_id: CommandId(42),
        created_at_ns: TIME_NS + 1_000_000,
        deadline_ns: 0,
        account: "main".parse().unwrap(),
        action: Action::New(order),
    };
    let pieces = [command_pieces(&command), variant(0, "action: New"), order_pieces(&order)];
    example.frame(FrameKind::Command, 3, true, "buy 0.010 BTCUSDT at 58710.20", &command, pieces.concat());

    let acknowledgement = variants::acknowledgement(Durability::Process);
    let body = EventBody::Acknowledged(acknowledgement);
    let event = Event { event_sequence: 1, time_ns: TIME_NS + 1_050_000, body };
    let pieces = [
        fields!(event; event_sequence, time_ns),
        variant(0, "body: Acknowledged"),
        fields!(acknowledgement; command_id, order_id, durability),
    ];
    example.frame(FrameKind::Event, 3, false, "acknowledged as order 1001", &event, pieces.concat());

    fill_event(example, 4, "filled");
    query_and_goodbye(example);
}

fn fill_event(example: &mut Example, sequence: u64, what: &str) {
    let fill = variants::fill();
    let report = variants::report(ReportKind::Filled(fill));
    let event = Event { event_sequence: 2, time_ns: TIME_NS + 5_000_000, body: EventBody::Report(report) };
    let pieces = [
        fields!(event; event_sequence, time_ns),
        variant(2, "body: Report"),
        fields!(report; command_id, order_id, account, symbol, side, filled_quantity, open_quantity),
        variant(1, "kind: Filled"),
        fields!(fill; trade_id, price, quantity, fee, maker),
    ];
    example.frame(FrameKind::Event, sequence, false, what, &event, pieces.concat());
}

fn query_and_goodbye(example: &mut Example) {
    let scope = variants::scope_one();
    let command = Command {
        command_id: CommandId(43),
        created_at_ns: TIME_NS + 9_000_000,
        deadline_ns: 0,
        account: "main".parse().unwrap(),
        action: Action::Query(Query::Positions(scope)),
    };
    let pieces = [
        command_pieces(&command),
        variant(8, "action: Query"),
        variant(2, "Positions"),
        fields!(scope; symbol),
    ];
    example.frame(FrameKind::Command, 4, true, "which position in BTCUSDT?", &command, pieces.concat());

    let position = variants::position();
    let answer = Answer { command_id: CommandId(43), body: AnswerBody::Position(position) };
    let pieces = [
        fields!(answer; command_id),
        variant(4, "body: Position"),
        fields!(position; account, symbol, quantity, average_price, working_buy_quantity, working_sell_quantity,
            realised_today, unrealised),
    ];
    example.frame(FrameKind::Answer, 5, false, "long 0.010", &answer, pieces.concat());

    let answer = Answer { command_id: CommandId(43), body: AnswerBody::End { rows: 1 } };
    let pieces = [fields!(answer; command_id), variant(8, "body: End"), vec![piece(&1_u32, "rows")]];
    example.frame(FrameKind::Answer, 6, false, "that was all, one row", &answer, pieces.concat());

    let goodbye = Goodbye { code: Code::SessionShutdown, retry_after_ms: 0 };
    let pieces = fields!(goodbye; code, retry_after_ms);
    example.frame(FrameKind::Goodbye, 5, true, "goodbye", &goodbye, pieces);
}

pub const CLIENT_SEED_FIRST: u8 = 0x40;
pub const GATEWAY_SEED_FIRST: u8 = 0x60;
pub const CLIENT_EPHEMERAL_FIRST: u8 = 0x80;

pub fn ed25519_logon(mac: MacAlgorithm) -> Example {
    let mut example = Example::new("ed25519");
    let (client, gateway) = (
        Secret::new(counting(CLIENT_SEED_FIRST).to_vec()),
        Secret::new(counting(GATEWAY_SEED_FIRST).to_vec()),
    );
    let (client_ephemeral, gateway_ephemeral) =
        (Ephemeral::new(counting(CLIENT_EPHEMERAL_FIRST)), Ephemeral::new(counting(0xe0)));
    let given = vec![
        (client.expose().to_vec(), "client_seed"),
        (public_key(&client).unwrap().to_vec(), "client_public"),
        (gateway.expose().to_vec(), "gateway_identity_seed"),
        (public_key(&gateway).unwrap().to_vec(), "gateway_identity_public"),
        (counting(CLIENT_EPHEMERAL_FIRST).to_vec(), "client_ephemeral_private"),
        (client_ephemeral.public().to_vec(), "client_ephemeral_public"),
        (counting(0xe0).to_vec(), "gateway_ephemeral_private"),
        (gateway_ephemeral.public().to_vec(), "gateway_ephemeral_public"),
        (counting(0xa0).to_vec(), "client_nonce"),
        (counting(0xc0).to_vec(), "gateway_nonce"),
    ];
    example.blocks.push(Block::values("ed25519.given", "**What the sides begin with**", given));

    let hello = Hello {
        key_id: "desk-2".parse().unwrap(),
        mac,
        nonce: counting(0xa0),
        ephemeral: Some(client_ephemeral.public()),
        resume_after: Some(0),
        software: "example/1".parse().unwrap(),
    };
    let challenge = Challenge {
        nonce: counting(0xc0),
        ephemeral: Some(gateway_ephemeral.public()),
        gateway: "gate-1".parse().unwrap(),
    };
    logon_frames(&mut example, &hello, &challenge);
    let (hello_frame, challenge_frame) = (example.block("frame.1").bytes(), example.block("frame.2").bytes());
    let shared = gateway_ephemeral.agree(&client_ephemeral.public()).unwrap();
    let salt = [hello.nonce, challenge.nonce].concat();
    let derived = derive(&hello_frame, &challenge_frame, salt, shared.expose());
    let extra = vec![
        (derived.gateway_message[..25].to_vec(), "gateway_context"),
        (shared.expose().to_vec(), "ikm: the X25519 shared secret"),
    ];
    example.derived(&derived, extra, mac);

    let transcript = Transcript::new(&hello_frame, &challenge_frame);
    let proof = Credential::Ed25519(client).prove(&transcript).unwrap();
    let Proof::Ed25519(signature) = proof else { panic!("an Ed25519 key makes an Ed25519 proof") };
    let pieces = [variant(1, "Ed25519"), fields!(signature; r, s)];
    example.frame(FrameKind::Proof, 2, true, "proof", &proof, pieces.concat());
    welcome_frame(&mut example, 7, 1, sign_as_gateway(&gateway, &transcript));
    example
}

/// The body of a frame without a header and, if `has_mac`, without its MAC.
pub fn body_of(frame: &[u8], has_mac: bool) -> &[u8] {
    &frame[HEADER_BYTES..frame.len() - if has_mac { TAG_BYTES } else { 0 }]
}
