//! Bodies of frames: any bytes are taken as the `postcard` crate takes them, and what decodes is encoded as it encodes.
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
use tollgate_protocol::wire::{self, Wire};

fn round_trip<T: Wire + Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let taken = wire::decode::<T>(bytes).ok();
    assert_eq!(taken, postcard::take_from_bytes(bytes).ok());
    let Some((decoded, _)) = taken else { return };
    let mut buffers = [[0; BODY_BYTES_MAX]; 2];
    let [ours, theirs] = &mut buffers;
    let length = wire::encode(&decoded, ours).expect("every body fits a frame");
    let expected = postcard::to_slice(&decoded, theirs).expect("every body fits a frame");
    assert_eq!(&ours[..length], expected);
    let _ = format!("{decoded:?}");
    assert_eq!(wire::decode::<T>(&ours[..length]), Ok((decoded, &[][..])));
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
