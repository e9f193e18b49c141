//! Payloads of journal records: decoding never panics, and what decodes is encoded again to something that decodes
//! equal and fits its room.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::record::{PAYLOAD_BYTES_MAX, Record};
use tollgate_protocol::event::Durability;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, payload)) = bytes.split_first() else { return };
    let kind = u16::from(kind % 12);
    let Ok(record) = Record::decode(7, kind, payload) else { return };
    assert_eq!(record.kind(), kind);
    let mut buffer = [0; PAYLOAD_BYTES_MAX];
    let length = record.encode(&mut buffer);
    let again = Record::decode(7, kind, &buffer[..length]).expect("what was encoded decodes");
    assert_eq!(again, record);
    let _ = record.event(7, 1, Durability::Disk);
    let _ = format!("{record:?} {}", Record::kind_name(kind));
});
