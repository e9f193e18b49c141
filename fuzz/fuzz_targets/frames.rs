//! A stream of bytes as either side of a connection reads it: split into frames, each decoded as its kind says, and
//! put before a client at every stage of its logon and session. A frame that is whole is also sealed with the
//! session's key, so that what lies behind the MAC is reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_protocol::answer::Answer;
use tollgate_protocol::client::{ClientSession, HelloSent, LogonRequest};
use tollgate_protocol::command::Command;
use tollgate_protocol::event::{Durability, Event};
use tollgate_protocol::frame::{self, FRAME_BYTES_MAX, Frame, FrameKind, HEADER_BYTES};
use tollgate_protocol::logon::{
    Challenge, Credential, Ephemeral, Goodbye, Hello, Proof, Secret, SessionMacs, Transcript, Welcome,
    session_macs,
};
use tollgate_protocol::mac::{FrameMac, MacAlgorithm};
use tollgate_protocol::text::{KeyId, Text};

const SECRET: [u8; 32] = [7; 32];

fn decode(frame: &Frame<'_>) {
    match frame.header.kind {
        FrameKind::Hello => drop(frame.body::<Hello>()),
        FrameKind::Challenge => drop(frame.body::<Challenge>()),
        FrameKind::Proof => drop(frame.body::<Proof>()),
        FrameKind::Welcome => drop(frame.body::<Welcome>()),
        FrameKind::Refusal | FrameKind::Goodbye => drop(frame.body::<Goodbye>()),
        FrameKind::Command => drop(frame.body::<Command>()),
        FrameKind::Event => drop(frame.body::<Event>()),
        FrameKind::Answer => drop(frame.body::<Answer>()),
    }
}

fn hello(ed25519: bool) -> (HelloSent, Vec<u8>) {
    let secret = Secret::new(SECRET.to_vec());
    let request = LogonRequest {
        key_id: KeyId::new("fuzz").expect("a valid name"),
        credential: if ed25519 { Credential::Ed25519(secret) } else { Credential::Hmac(secret) },
        mac: if ed25519 { MacAlgorithm::Blake3 } else { MacAlgorithm::HmacSha256 },
        resume_after: Some(1),
        gateway_public_key: ed25519.then_some([9; 32]),
        software: Text::new("fuzz").expect("a valid text"),
    };
    request.start(&[5; 64])
}

/// A session as both sides see it: the client's, and the keys of the gateway.
fn session() -> (ClientSession, SessionMacs) {
    let (sent, hello_frame) = hello(false);
    let mut buffer = [0; FRAME_BYTES_MAX];
    let body =
        Challenge { nonce: [3; 32], ephemeral: None, gateway: Text::new("fuzz").expect("a valid text") };
    let length = frame::encode(FrameKind::Challenge, 1, &body, None, &mut buffer).expect("it fits");
    let challenge = whole(&buffer[..length]);
    let transcript = Transcript::new(&hello_frame, challenge.covered);
    let nonce = whole(&hello_frame).body::<Hello>().expect("the client's own").nonce;
    let secret = Secret::new(SECRET.to_vec());
    let macs = session_macs(MacAlgorithm::HmacSha256, &secret, &nonce, &[3; 32], &transcript);
    let (proof_sent, _) = sent.challenged(&challenge).expect("a valid challenge");
    let body = Welcome {
        session_id: 1,
        time_ns: 1,
        heartbeat_interval_ms: 1000,
        heartbeat_timeout_ms: 3000,
        next_event_sequence: 1,
        durability: Durability::Process,
        signature: None,
    };
    let length = frame::encode(FrameKind::Welcome, 2, &body, Some(&macs.gateway_to_client), &mut buffer)
        .expect("it fits");
    let (session, _) = proof_sent.welcomed(&whole(&buffer[..length])).expect("a valid welcome");
    (session, macs)
}

fn whole(bytes: &[u8]) -> Frame<'_> {
    Frame::split(bytes).expect("a valid frame").expect("a whole frame")
}

/// The frame again, as a gateway with the session's key would have sent it.
fn sealed(frame: &Frame<'_>, macs: &SessionMacs, sequence: u64) -> Vec<u8> {
    let mut bytes = frame.covered.to_vec();
    bytes[8..HEADER_BYTES].copy_from_slice(&sequence.to_le_bytes());
    let mut tag = [0; 32];
    macs.gateway_to_client.sign(&bytes, &mut tag);
    bytes.extend_from_slice(&tag);
    bytes
}

/// What is said of several frames at once is what is said of each.
fn several_at_once(bytes: &[u8], mac: &FrameMac) {
    let mut found = frame::authenticated_bytes(bytes, mac, |_| {});
    let mut rest = bytes;
    while found > 0 {
        let frame = whole(rest);
        assert!(frame.tag.is_some_and(|tag| mac.verify(frame.covered, tag)));
        found -= frame.header.frame_bytes();
        rest = &rest[frame.header.frame_bytes()..];
    }
    // The frames again, all signed at once, and then as many are authenticated as are looked at.
    let mut frames = Vec::new();
    let mut rest = bytes;
    while let Ok(Some(frame)) = Frame::split(rest) {
        if frame.tag.is_some() {
            frames.extend_from_slice(&rest[..frame.header.frame_bytes()]);
        }
        rest = &rest[frame.header.frame_bytes()..];
    }
    frame::sign_all(&mut frames, mac);
    let mut rest = frames.as_slice();
    while !rest.is_empty() {
        let authenticated = frame::authenticated_bytes(rest, mac, |_| {});
        assert!(authenticated > 0);
        rest = &rest[authenticated..];
    }
}

fuzz_target!(|bytes: &[u8]| {
    for algorithm in [MacAlgorithm::HmacSha256, MacAlgorithm::Blake3] {
        several_at_once(bytes, &FrameMac::new(algorithm, &SECRET));
    }
    let mut rest = bytes;
    let (mut client, macs) = session();
    let mut sequence = 3;
    while let Ok(Some(frame)) = Frame::split(rest) {
        let length = frame.header.frame_bytes();
        assert!((HEADER_BYTES..=FRAME_BYTES_MAX).contains(&length) && length <= rest.len());
        decode(&frame);
        assert!(client.open(&frame).is_err(), "nobody has the key");
        if frame.header.kind.has_mac() {
            let frame = sealed(&frame, &macs, sequence);
            let _ = client.open(&whole(&frame));
            sequence += 1;
        }
        for ed25519 in [false, true] {
            let (sent, _) = hello(ed25519);
            if let Ok((proof_sent, proof)) = sent.challenged(&frame) {
                assert!(whole(&proof).body::<Proof>().is_ok());
                assert!(proof_sent.welcomed(&frame).is_err());
            }
        }
        rest = &rest[length..];
    }
    if let Some(public) = bytes.first_chunk::<32>() {
        let _ = Ephemeral::new([1; 32]).agree(public);
    }
});
