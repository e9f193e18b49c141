//! Bodies of frames: decoding never panics, and what decodes is encoded again to something that decodes equal.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_protocol::answer::Answer;
use tollgate_protocol::command::Command;
use tollgate_protocol::event::Event;
use tollgate_protocol::frame::BODY_BYTES_MAX;
use tollgate_protocol::logon::{Challenge, Goodbye, Hello, Proof, Welcome};

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok((decoded, _)) = postcard::take_from_bytes::<T>(bytes) else { return };
    let mut buffer = [0; BODY_BYTES_MAX];
    let encoded = postcard::to_slice(&decoded, &mut buffer).expect("every body fits a frame");
    let again: T = postcard::from_bytes(encoded).expect("what was encoded decodes");
    assert_eq!(again, decoded);
    let _ = format!("{decoded:?}");
}

fuzz_target!(|bytes: &[u8]| {
    let Some((selector, body)) = bytes.split_first() else { return };
    match selector % 8 {
        0 => round_trip::<Command>(body),
        1 => round_trip::<Event>(body),
        2 => round_trip::<Answer>(body),
        3 => round_trip::<Hello>(body),
        4 => round_trip::<Challenge>(body),
        5 => round_trip::<Proof>(body),
        6 => round_trip::<Welcome>(body),
        _ => round_trip::<Goodbye>(body),
    }
});
