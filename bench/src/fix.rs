//! A FIX 4.2 session as initiator, by hand: nothing between the clock and the socket.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::peer::{PATIENCE, connect, think};

/// Between two fields.
const SOH: u8 = 1;
/// What every message begins with, up to the value of its BodyLength.
const HEAD: &[u8] = b"8=FIX.4.2\x019=";
/// `10=`, three digits, SOH.
const TRAILER_BYTES: usize = 7;
/// Larger messages are refused; the buffer holds many of them.
const BODY_BYTES_MAX: usize = 9999;

/// A whole message, with the fields behind SendingTime, each ended by SOH.
fn message(kind: &str, sequence: u64, time: &str, fields: &str) -> Vec<u8> {
    let body = format!("35={kind}\x0134={sequence}\x0149=BENCH\x0152={time}\x0156=PEER\x01{fields}");
    let mut out = format!("8=FIX.4.2\x019={}\x01{body}", body.len());
    let sum = checksum(out.as_bytes());
    let _ = write!(out, "10={sum:03}\x01");
    out.into_bytes()
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// The first message in `bytes` when it is there whole, its BodyLength and its CheckSum tried.
fn split(bytes: &[u8]) -> Result<Option<&[u8]>, String> {
    let known = bytes.len().min(HEAD.len());
    if bytes[..known] != HEAD[..known] {
        return Err(format!("not a FIX 4.2 message: {}", text(bytes)));
    }
    let behind = &bytes[known..];
    let Some(digits) = behind.iter().position(|byte| *byte == SOH) else {
        return if behind.len() < 5 {
            Ok(None)
        } else {
            Err(format!("a BodyLength without an end: {}", text(bytes)))
        };
    };
    let body_bytes = std::str::from_utf8(&behind[..digits])
        .ok()
        .and_then(|digits| digits.parse::<usize>().ok())
        .filter(|length| *length <= BODY_BYTES_MAX)
        .ok_or_else(|| format!("a BodyLength that is no number up to {BODY_BYTES_MAX}: {}", text(bytes)))?;
    let covered = HEAD.len() + digits + 1 + body_bytes;
    let Some(message) = bytes.get(..covered + TRAILER_BYTES) else { return Ok(None) };
    let sum = checksum(&message[..covered]);
    let trailer = format!("10={sum:03}\x01");
    if message[covered..] == *trailer.as_bytes() {
        Ok(Some(message))
    } else {
        let there = text(&message[covered..]);
        Err(format!("a message of BodyLength {body_bytes} ends with {there}, not with CheckSum {sum:03}"))
    }
}

/// The value of a field.
fn field<'a>(message: &'a [u8], tag: &str) -> Option<&'a [u8]> {
    message
        .split(|byte| *byte == SOH)
        .find_map(|field| field.strip_prefix(tag.as_bytes())?.strip_prefix(b"="))
}

/// A message as it can be read.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\x01', "|")
}

/// UTC as FIX writes it, from seconds since 1970. The date is reckoned by Howard Hinnant's algorithm.
fn fix_time(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}:{minute:02}:{second:02}")
}

fn now() -> String {
    fix_time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) as i64)
}

/// A client that has logged on: orders made before the measured interval, reports checked behind it.
pub(crate) struct FixClient {
    stream: TcpStream,
    /// MsgSeqNum of the last message sent.
    sequence: u64,
    orders: u64,
    received: Box<[u8]>,
    end: usize,
    /// When the last bytes were there.
    arrived: Instant,
}

impl FixClient {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, String> {
        let stream = connect(address)?;
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        let began = Instant::now();
        let received = vec![0; 1 << 16].into();
        let mut client = Self { stream, sequence: 0, orders: 0, received, end: 0, arrived: began };
        client.send("A", "98=0\x01108=3600\x01141=Y\x01")?;
        let answer = client.receive(began)?.0;
        match field(&answer, "35") {
            Some(b"A") => Ok(client),
            _ => Err(format!("no logon: {}", text(&answer))),
        }
    }

    pub(crate) fn round(&mut self, commands: usize) -> Result<Vec<u64>, String> {
        self.attend()?;
        let mut latencies = Vec::with_capacity(commands);
        for _ in 0..commands {
            let (id, order) = self.order();
            let began = Instant::now();
            self.stream.write_all(&order).map_err(|error| error.to_string())?;
            let (report, arrived) = self.reported(began)?;
            latencies.push(arrived.duration_since(began).as_nanos() as u64);
            let expected = [("35", "8"), ("11", id.as_str()), ("150", "0"), ("39", "0")];
            if expected.iter().any(|(tag, value)| field(&report, tag) != Some(value.as_bytes())) {
                return Err(format!("not the report that {id} is new: {}", text(&report)));
            }
            think(arrived);
        }
        Ok(latencies)
    }

    /// The next NewOrderSingle, and its ClOrdID: what the gateway's client orders.
    fn order(&mut self) -> (String, Vec<u8>) {
        self.sequence += 1;
        self.orders += 1;
        let (id, time) = (format!("order-{}", self.orders), now());
        let fields = format!(
            "11={id}\x0121=1\x0155=BTCUSDT\x0154=1\x0160={time}\x0138=0.01\x0140=2\x0144=60000\x0159=3\x01"
        );
        let order = message("D", self.sequence, &time, &fields);
        (id, order)
    }

    fn send(&mut self, kind: &str, fields: &str) -> Result<(), String> {
        self.sequence += 1;
        let message = message(kind, self.sequence, &now(), fields);
        self.stream.write_all(&message).map_err(|error| error.to_string())
    }

    /// The next message that is not the session's own, and when it was there.
    fn reported(&mut self, began: Instant) -> Result<(Vec<u8>, Instant), String> {
        loop {
            let (message, arrived) = self.receive(began)?;
            if !self.is_of_the_session(&message)? {
                return Ok((message, arrived));
            }
        }
    }

    /// Answers what the session has asked since the last report.
    fn attend(&mut self) -> Result<(), String> {
        while self.fill()? {}
        while let Some(message) = self.next()? {
            if !self.is_of_the_session(&message)? {
                return Err(format!("nothing was asked, and yet: {}", text(&message)));
            }
        }
        Ok(())
    }

    /// Whether a message was a Heartbeat or a TestRequest, which is answered.
    fn is_of_the_session(&mut self, message: &[u8]) -> Result<bool, String> {
        match field(message, "35") {
            Some(b"0") => Ok(true),
            Some(b"1") => {
                let id = field(message, "112").map(text).unwrap_or_default();
                self.send("0", &format!("112={id}\x01")).map(|()| true)
            }
            Some(b"2" | b"3" | b"4" | b"5") => Err(format!("the FIX session failed: {}", text(message))),
            _ => Ok(false),
        }
    }

    /// The next message, and when it was there; spins until then.
    fn receive(&mut self, began: Instant) -> Result<(Vec<u8>, Instant), String> {
        loop {
            if let Some(message) = self.next()? {
                return Ok((message, self.arrived));
            }
            while !self.fill()? {
                if began.elapsed() > PATIENCE {
                    return Err("QuickFIX did not answer within 10 s".to_owned());
                }
            }
        }
    }

    /// Reads what there is; false when there is nothing.
    fn fill(&mut self) -> Result<bool, String> {
        match self.stream.read(&mut self.received[self.end..]) {
            Ok(0) => Err("QuickFIX closed the connection".to_owned()),
            Ok(length) => {
                self.arrived = Instant::now();
                self.end += length;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Takes the first whole message out of what was read.
    fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        let Some(message) = split(&self.received[..self.end])?.map(<[u8]>::to_vec) else { return Ok(None) };
        self.received.copy_within(message.len()..self.end, 0);
        self.end -= message.len();
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use super::*;

    /// The body's length and the sum were worked out by hand.
    #[test]
    fn messages_are_well_formed() {
        let heartbeat = message("0", 2, "20260101-00:00:00", "");
        assert_eq!(
            text(&heartbeat),
            "8=FIX.4.2|9=48|35=0|34=2|49=BENCH|52=20260101-00:00:00|56=PEER|10=129|"
        );
        assert_eq!((field(&heartbeat, "34"), field(&heartbeat, "4")), (Some(&b"2"[..]), None));
    }

    #[test]
    fn a_message_is_taken_when_it_is_whole() {
        let mut two = b"8=FIX.4.2\x019=5\x0135=0\x0110=161\x01".to_vec();
        let first = two.clone();
        for cut in 0..first.len() {
            assert_eq!(split(&first[..cut]).unwrap(), None, "{cut}");
        }
        two.extend(message("8", 7, "20260101-00:00:00", "58=10=000\x01"));
        assert_eq!(split(&two).unwrap(), Some(&first[..]));
        assert_eq!(split(&two[first.len()..]).unwrap(), Some(&two[first.len()..]));
    }

    #[test]
    fn no_changed_byte_goes_unnoticed() {
        let right = message("8", 3, "20260101-00:00:00", "11=order-1\x01");
        for at in 0..right.len() {
            let mut wrong = right.clone();
            wrong[at] ^= 4;
            // A BodyLength that has grown waits for bytes that do not come.
            assert_ne!(split(&wrong), Ok(Some(&wrong[..])), "{at}");
        }
        assert!(split(b"8=FIX.4.2\x019=5\x0135=0\x0110=162\x01").unwrap_err().contains("CheckSum 161"));
        assert!(split(b"8=FIX.4.2\x019=4\x0135=0\x0110=160\x01").unwrap_err().contains("BodyLength 4"));
        assert!(split(b"8=FIX.4.2\x019=10000\x01").unwrap_err().contains("up to 9999"));
        assert!(split(b"8=FIX.4.4").is_err());
    }

    #[test]
    fn time_is_in_utc() {
        assert_eq!(fix_time(0), "19700101-00:00:00");
        assert_eq!(fix_time(951_827_696), "20000229-12:34:56");
        assert_eq!(fix_time(1_735_689_599), "20241231-23:59:59");
    }

    /// An acceptor's side of a connection, read with this module's own functions.
    struct Acceptor {
        stream: TcpStream,
        received: Vec<u8>,
    }

    impl Acceptor {
        fn next(&mut self) -> Vec<u8> {
            loop {
                if let Some(message) = split(&self.received).unwrap().map(<[u8]>::to_vec) {
                    self.received.drain(..message.len());
                    return message;
                }
                let mut bytes = [0; 1024];
                let length = self.stream.read(&mut bytes).unwrap();
                assert!(length > 0, "the client is gone");
                self.received.extend_from_slice(&bytes[..length]);
            }
        }

        fn send(&mut self, messages: &[(&str, &str)]) {
            let bytes: Vec<u8> = messages
                .iter()
                .flat_map(|(kind, fields)| message(kind, 1, "20260101-00:00:00", fields))
                .collect();
            self.stream.write_all(&bytes).unwrap();
        }
    }

    /// A client that has logged on at an acceptor that then does `what`.
    fn session<T: Send + 'static>(
        behind_logon: &'static [(&str, &str)],
        what: impl FnOnce(&mut Acceptor) -> T + Send + 'static,
    ) -> (FixClient, JoinHandle<T>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = thread::spawn(move || {
            let mut acceptor = Acceptor { stream: listener.accept().unwrap().0, received: Vec::new() };
            assert_eq!(field(&acceptor.next(), "35"), Some(&b"A"[..]));
            let mut messages = vec![("A", "")];
            messages.extend(behind_logon);
            acceptor.send(&messages);
            what(&mut acceptor)
        });
        (FixClient::connect(address).unwrap(), acceptor)
    }

    #[test]
    fn a_test_request_is_answered_and_the_report_is_timed() {
        let (mut client, acceptor) = session(&[("1", "112=are you there\x01")], |acceptor| {
            let messages = [acceptor.next(), acceptor.next()];
            let sequences = messages.each_ref().map(|message| field(message, "34").unwrap().to_vec());
            acceptor.send(&[("0", ""), ("8", "11=order-1\x01150=0\x0139=0\x01")]);
            let of = |kind: &[u8]| messages.iter().find(|it| field(it, "35") == Some(kind)).unwrap();
            assert_eq!(field(of(b"0"), "112"), Some(&b"are you there"[..]));
            assert_eq!(field(of(b"D"), "11"), Some(&b"order-1"[..]));
            sequences
        });
        assert_eq!(client.round(1).unwrap().len(), 1);
        assert_eq!(acceptor.join().unwrap(), [b"2", b"3"]);
    }

    #[test]
    fn only_the_report_of_the_order_counts() {
        let others: [(&str, &str, &str); 4] = [
            ("8", "11=order-2\x01150=0\x0139=0\x01", "not the report"),
            ("8", "11=order-1\x01150=8\x0139=8\x01", "not the report"),
            ("5", "58=go away\x01", "go away"),
            ("3", "58=no such tag\x01", "no such tag"),
        ];
        for (kind, fields, expected) in others {
            let (mut client, acceptor) = session(&[], move |acceptor| {
                acceptor.next();
                acceptor.send(&[(kind, fields)]);
            });
            let error = client.round(1).unwrap_err();
            assert!(error.contains(expected), "{error}");
            acceptor.join().unwrap();
        }
    }
}
