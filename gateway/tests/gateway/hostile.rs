//! What an enemy with a connection may try, and a client that must not notice.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tollgate_protocol::client::{ClientSession, Incoming, SessionError};
use tollgate_protocol::command::{Action, Side};
use tollgate_protocol::frame::{FRAME_BYTES_MAX, Frame};
use tollgate_protocol::reject::Code;

use crate::support::{House, PATIENCE, acknowledged, command, logon, order};

/// A connection whose bytes the test makes itself.
struct Raw {
    stream: TcpStream,
    session: ClientSession,
    received: Vec<u8>,
}

fn next_frame(stream: &mut TcpStream, received: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(frame) = Frame::split(received).unwrap() {
            let length = frame.header.frame_bytes();
            return Some(received.drain(..length).collect());
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(length) => received.extend_from_slice(&chunk[..length]),
        }
    }
}

impl Raw {
    fn new(house: &House, client: u16) -> Self {
        let mut stream = TcpStream::connect(house.gateway().address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut received = Vec::new();
        let (hello, frame) = logon(client, None).start(&[client as u8 + 3; 64]);
        stream.write_all(&frame).unwrap();
        let challenge = next_frame(&mut stream, &mut received).unwrap();
        let (proof, frame) = hello.challenged(&Frame::split(&challenge).unwrap().unwrap()).unwrap();
        stream.write_all(&frame).unwrap();
        let welcome = next_frame(&mut stream, &mut received).unwrap();
        let (session, _) = proof.welcomed(&Frame::split(&welcome).unwrap().unwrap()).unwrap();
        Self { stream, session, received }
    }

    fn signed(&mut self) -> Vec<u8> {
        let mut frame = vec![0; FRAME_BYTES_MAX];
        let length =
            self.session.sign(&command(Action::New(order("BTCUSDT", Side::Buy, "0.01"))), &mut frame);
        frame.truncate(length);
        frame
    }

    /// Everything until the gateway closes: how many events, and the code of the goodbye.
    fn end(mut self) -> (usize, Option<Code>) {
        let mut events = 0;
        while let Some(bytes) = next_frame(&mut self.stream, &mut self.received) {
            match self.session.open(&Frame::split(&bytes).unwrap().unwrap()) {
                Ok(Incoming::Goodbye(goodbye)) => return (events, Some(goodbye.code)),
                Ok(_) => events += 1,
                Err(SessionError::Invalid(code)) => panic!("the gateway's own frame is invalid: {code}"),
                Err(error) => panic!("{error}"),
            }
        }
        (events, None)
    }
}

/// An honest client trades before, while and after `attack`, and notices nothing.
fn undisturbed(house: &House, attack: impl FnOnce()) {
    let mut honest = house.client(0);
    acknowledged(&mut honest, Action::New(order("BTCUSDT", Side::Buy, "0.01")));
    attack();
    acknowledged(&mut honest, Action::New(order("BTCUSDT", Side::Sell, "0.01")));
}

#[test]
fn every_wrong_frame_ends_its_session_with_its_code() {
    type Change = fn(&mut Raw) -> Vec<u8>;
    let attacks: [(&str, Change, Code); 8] = [
        ("forged MAC", |raw| flip(raw.signed(), |frame| frame.len() - 1), Code::FrameMac),
        ("changed body", |raw| flip(raw.signed(), |_| 40), Code::FrameMac),
        (
            "replayed",
            |raw| {
                let frame = raw.signed();
                [frame.clone(), frame].concat()
            },
            Code::FrameSequence,
        ),
        (
            "left out",
            |raw| {
                raw.signed();
                raw.signed()
            },
            Code::FrameSequence,
        ),
        (
            "oversized",
            |raw| {
                let mut frame = raw.signed();
                frame[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
                frame
            },
            Code::FrameTooLarge,
        ),
        ("garbage", |_| vec![0xff; 5000], Code::FrameMagic),
        ("another protocol", |_| b"GET / HTTP/1.1\r\n\r\n".to_vec(), Code::FrameMagic),
        (
            "a frame of a logon",
            |raw| {
                let mut frame = raw.signed();
                frame[3] = 1;
                frame
            },
            Code::FrameKind,
        ),
    ];
    let house = House::new(|_| {});
    for (name, attack, code) in attacks {
        undisturbed(&house, || {
            let mut raw = Raw::new(&house, 1);
            let bytes = attack(&mut raw);
            // The gateway may close while garbage is still being written.
            let _ = raw.stream.write_all(&bytes);
            assert_eq!(raw.end().1, Some(code), "{name}");
        });
    }
}

fn flip(mut frame: Vec<u8>, at: impl Fn(&[u8]) -> usize) -> Vec<u8> {
    let at = at(&frame);
    frame[at] ^= 1;
    frame
}

#[test]
fn a_frame_that_is_never_completed_ends_the_session() {
    let house = House::new(|settings| settings.sessions.frame_timeout_ms = 200);
    undisturbed(&house, || {
        let mut raw = Raw::new(&house, 1);
        let frame = raw.signed();
        raw.stream.write_all(&frame[..frame.len() - 1]).unwrap();
        assert_eq!(raw.end().1, Some(Code::SessionSlowSender));
    });
}

#[test]
fn frames_in_single_bytes_are_frames_all_the_same() {
    let house = House::new(|_| {});
    let mut raw = Raw::new(&house, 1);
    for byte in raw.signed() {
        raw.stream.write_all(&[byte]).unwrap();
    }
    let event = next_frame(&mut raw.stream, &mut raw.received).unwrap();
    assert!(matches!(raw.session.open(&Frame::split(&event).unwrap().unwrap()), Ok(Incoming::Event(_))));
}

#[test]
fn who_does_not_read_is_disconnected_and_nobody_waits() {
    let house = House::new(|settings| settings.sessions.send_buffer_bytes = 16_384);
    undisturbed(&house, || {
        let mut raw = Raw::new(&house, 1);
        raw.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        // Reads nothing, sends on: the answers fill the gateway's buffer and the system's.
        loop {
            let frame = raw.signed();
            if raw.stream.write_all(&frame).is_err() {
                break;
            }
        }
    });
    let slow = Code::ALL.iter().position(|code| *code == Code::SessionSlowReader).unwrap();
    assert_eq!(house.gateway().metrics().sessions_ended[slow].get(), 1);
}

#[test]
fn silence_ends_the_session() {
    let house = House::new(|settings| {
        settings.sessions.heartbeat_interval_ms = 100;
        settings.sessions.heartbeat_timeout_ms = 300;
    });
    assert_eq!(Raw::new(&house, 1).end(), (0, Some(Code::SessionHeartbeatMissed)));
}

#[test]
fn frames_that_come_cut_anywhere_are_frames_all_the_same() {
    let house = House::new(|_| {});
    for client in [0, 1] {
        let mut raw = Raw::new(&house, client);
        let mut answered = 0;
        for cut in [1, 15, 16, 17, 60, 66, 67, 600, 1_000] {
            let mut bytes = Vec::new();
            for _ in 0..20 {
                let mut frame = vec![0; FRAME_BYTES_MAX];
                let length = raw.session.sign(&command(Action::Heartbeat), &mut frame);
                bytes.extend_from_slice(&frame[..length]);
            }
            let (first, second) = bytes.split_at(cut);
            raw.stream.write_all(first).unwrap();
            // What is whole is answered before the rest comes.
            let whole = cut * 20 / bytes.len();
            for number in 0..20 {
                if number == whole {
                    raw.stream.write_all(second).unwrap();
                }
                let frame = next_frame(&mut raw.stream, &mut raw.received).unwrap();
                let answer = raw.session.open(&Frame::split(&frame).unwrap().unwrap());
                assert!(matches!(answer, Ok(Incoming::Answer(_))), "{answer:?}");
                answered += 1;
            }
        }
        assert_eq!(answered, 9 * 20);
    }
}

#[test]
fn frames_that_came_together_with_a_wrong_one_are_answered_up_to_it() {
    let house = House::new(|_| {});
    for client in [0, 1] {
        for wrong in [1, 7, 8, 9, 20] {
            let mut raw = Raw::new(&house, client);
            let frames: Vec<Vec<u8>> = (0..wrong + 3)
                .map(|number| {
                    let mut frame = vec![0; FRAME_BYTES_MAX];
                    let length = raw.session.sign(&command(Action::Heartbeat), &mut frame);
                    frame.truncate(length);
                    if number == wrong { flip(frame, |frame| frame.len() - 1) } else { frame }
                })
                .collect();
            raw.stream.write_all(&frames.concat()).unwrap();
            assert_eq!(raw.end(), (wrong, Some(Code::FrameMac)), "client {client}");
        }
    }
}
