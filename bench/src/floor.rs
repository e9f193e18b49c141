//! What no gateway can leave out: MACs, copies, reads and writes that never sleep.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use tollgate_protocol::mac::{FrameMac, TAG_BYTES, TOGETHER_MAX};

/// Bytes that the floor copies its records into.
const FLOOR_BYTES: usize = 64 << 20;

/// What a floor keeps of its requests: memory that is written from end to end, and again.
pub(crate) struct Records {
    bytes: Vec<u8>,
    at: usize,
}

impl Records {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![1; FLOOR_BYTES], at: 0 }
    }

    pub(crate) fn keep(&mut self, record: &[u8]) {
        if self.at + record.len() > self.bytes.len() {
            self.at = 0;
        }
        self.bytes[self.at..self.at + record.len()].copy_from_slice(record);
        self.at += record.len();
    }
}

/// What no gateway can leave out: MACs to check, MACs to make, records to keep. As many answers as requests, one behind
/// the other.
pub(crate) fn work(
    mac: &FrameMac,
    (requests, request_bytes): (&[u8], usize),
    (answers, answer_bytes): (&mut [u8], usize),
    records: &mut Records,
) {
    check_tags(requests, request_bytes, mac);
    for request in requests.chunks_exact(request_bytes) {
        records.keep(&request[..request_bytes - TAG_BYTES]);
    }
    make_tags(answers, answer_bytes, mac);
}

/// Messages with their tags, several at once.
struct Together<'a> {
    covered: [&'a [u8]; TOGETHER_MAX],
    tags: [&'a [u8; TAG_BYTES]; TOGETHER_MAX],
    count: usize,
}

impl<'a> Together<'a> {
    fn of(messages: &'a [u8], message_bytes: usize) -> Self {
        let mut out = Self { covered: [&[]; TOGETHER_MAX], tags: [&[0; TAG_BYTES]; TOGETHER_MAX], count: 0 };
        for message in messages.chunks_exact(message_bytes).take(TOGETHER_MAX) {
            if let Some((covered, tag)) = message.split_last_chunk() {
                (out.covered[out.count], out.tags[out.count]) = (covered, tag);
                out.count += 1;
            }
        }
        out
    }
}

/// Checks the tags of messages of these bytes each, several at once as the gateway does; what it finds out is nobody's
/// affair.
pub(crate) fn check_tags(messages: &[u8], message_bytes: usize, mac: &FrameMac) {
    for batch in messages.chunks(message_bytes * TOGETHER_MAX) {
        let batch = Together::of(batch, message_bytes);
        std::hint::black_box(mac.verify_together(&batch.covered[..batch.count], &batch.tags[..batch.count]));
    }
}

fn make_tags(messages: &mut [u8], message_bytes: usize, mac: &FrameMac) {
    for batch in messages.chunks_mut(message_bytes * TOGETHER_MAX) {
        let mut tags = [[0; TAG_BYTES]; TOGETHER_MAX];
        let together = Together::of(batch, message_bytes);
        mac.sign_together(&together.covered[..together.count], &mut tags);
        for (message, tag) in batch.chunks_exact_mut(message_bytes).zip(&tags) {
            message[message_bytes - TAG_BYTES..].copy_from_slice(tag);
        }
    }
}

/// Reads a whole message without ever sleeping; false when the other side is gone.
pub(crate) fn read_spinning(stream: &mut TcpStream, message: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < message.len() {
        match stream.read(&mut message[filled..]) {
            Ok(0) => return Ok(false),
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::hint::spin_loop(),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

pub(crate) fn write_spinning(stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::hint::spin_loop(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
