//! The servers that are measured: the gateway, a bare echo, and an echo that does what no gateway can leave out.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tollgate_config::{ClientSettings, FeedSettings, KeySettings, PaperFaults, Scopes, Settings, VenueKind};
use tollgate_gateway::gateway::{Gateway, StartOptions};
use tollgate_protocol::logon::{Credential, Secret};
use tollgate_protocol::mac::{FrameMac, TAG_BYTES, TOGETHER_MAX};
use tollgate_protocol::text::{KeyId, Text};

use crate::{Class, Idle, Mac, cores, order_floor};

/// A secret for this machine's loopback alone, for as long as a measurement runs.
const SECRET: [u8; 32] = *b"a secret of the benchmark alone.";
/// Connections that a load may have.
pub(crate) const CONNECTIONS_MAX: usize = 16;
/// Bytes that the floor copies its records into.
const FLOOR_BYTES: usize = 64 << 20;

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Server {
    /// The gateway.
    Gateway,
    /// Reads a request, writes an answer.
    Echo,
    /// The same with the MAC checked, an answer signed, and a record copied.
    Floor,
    /// Echo for many requests at once: reads what there is, answers all of it with one write.
    EchoMany,
    /// The same with the floor's work for every request.
    FloorMany,
    /// The same with an order's whole way: to a venue's thread, and back as two reports.
    FloorOrders,
}

/// How to serve.
#[derive(Args)]
pub(crate) struct Options {
    #[arg(value_enum)]
    server: Server,
    #[arg(long, value_enum, default_value = "hmac-sha256")]
    mac: Mac,
    #[arg(long, value_enum, default_value = "process")]
    durability: Class,
    #[arg(long, value_enum, default_value = "spin")]
    idle: Idle,
    #[arg(long, default_value_t = 0)]
    request_bytes: usize,
    #[arg(long, default_value_t = 0)]
    answer_bytes: usize,
    #[arg(long, default_value_t = 1)]
    connections: usize,
}

pub(crate) fn credential() -> Credential {
    Credential::Hmac(Secret::new(SECRET.to_vec()))
}

/// Serves until the client's end of standard input closes.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    match options.server {
        Server::Gateway => gateway(options),
        Server::Echo | Server::Floor => echo(options).map(|()| true).map_err(|error| error.to_string()),
        Server::EchoMany | Server::FloorMany => {
            echo_many(options).map(|()| true).map_err(|error| error.to_string())
        }
        Server::FloorOrders => {
            let mac = FrameMac::new(options.mac.algorithm(), &SECRET);
            let served = order_floor::serve(options.connections, options.request_bytes, &mac);
            served.map(|()| true).map_err(|error| error.to_string())
        }
    }
}

pub(crate) fn settings(directory: &Path, durability: Class) -> Result<Settings, String> {
    let text = directory.display().to_string();
    let environment = move |name: &str| (name == "TOLLGATE_DIRECTORY").then(|| text.clone());
    let mut settings = Settings::parse(tollgate_config::DEMO, Path::new("/"), &environment)
        .map_err(|errors| errors.to_string())?;
    for venue in &mut settings.venues {
        let VenueKind::Paper(paper) = &mut venue.kind;
        paper.latency_ms_max = 0;
        paper.faults = PaperFaults::default();
        paper.feed = FeedSettings::Synthetic { interval_ms: 100, volatility_ppm: 0, spread_ticks: 1 };
        paper.ledger_file = None;
    }
    settings.hot.core = Some(cores::server());
    settings.hot.idle = Idle::Spin.strategy();
    settings.journal.durability = durability.durability();
    settings.journal.segment_bytes = 64 << 20;
    settings.sessions.heartbeat_timeout_ms = 3_600_000;
    settings.risk.firm.orders_per_second = u32::MAX;
    settings.risk.firm.max_open_orders = u32::MAX;
    settings.keys.clear();
    add_key(&mut settings, "bench", 0)?;
    // Every session hears all events of its client: so that each hears its own alone, each has a client.
    for number in 0..CONNECTIONS_MAX {
        let name = Text::truncated(&load_key(number));
        settings.clients.push(ClientSettings { name, ..settings.clients[0].clone() });
        let client = settings.clients.len() as u16 - 1;
        add_key(&mut settings, &load_key(number), client)?;
    }
    settings.sessions.sessions_max = settings.sessions.sessions_max.max(CONNECTIONS_MAX + 1);
    Ok(settings)
}

fn add_key(settings: &mut Settings, key: &str, client: u16) -> Result<(), String> {
    settings.keys.push(KeySettings {
        key_id: KeyId::truncated(key),
        client,
        verifier: credential().verifier().ok_or("the secret is unusable")?,
        scopes: Scopes { trade: true, read: true, ..Scopes::default() },
        accounts: None,
        symbols: None,
        expires_at_ns: None,
        revoked: false,
        created: Text::EMPTY,
    });
    Ok(())
}

/// The key of a connection under load.
pub(crate) fn load_key(number: usize) -> String {
    format!("load-{number}")
}

fn gateway(options: &Options) -> Result<bool, String> {
    // Every thread inherits this; the hot one then pins itself to its own core.
    cores::pin(cores::client())?;
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut settings = settings(directory.path(), options.durability)?;
    settings.hot.idle = options.idle.strategy();
    let gateway = Gateway::start(settings, StartOptions::default()).map_err(|error| error.to_string())?;
    while gateway.metrics().venues[0].state.get() != 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("{} {}", gateway.address(), gateway.side_address());
    // Until whoever started this closes the other end.
    let _ = io::stdin().read(&mut [0]);
    gateway.stop().map_err(|error| error.to_string())?;
    Ok(true)
}

fn echo(options: &Options) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{0} {0}", listener.local_addr()?);
    cores::pin(cores::server()).map_err(io::Error::other)?;
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let mut request = vec![0; options.request_bytes];
    let mut answer = vec![0; options.answer_bytes];
    let mac = FrameMac::new(options.mac.algorithm(), &SECRET);
    let mut records = Records::new();
    while read_spinning(&mut stream, &mut request)? {
        if options.server == Server::Floor {
            let (request_bytes, answer_bytes) = (request.len(), answer.len());
            work(&mac, (&request, request_bytes), (&mut answer, answer_bytes), &mut records);
        }
        stream.write_all(&answer)?;
    }
    Ok(())
}

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
fn work(
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

/// Serves every connection in turn without ever sleeping, until all are gone.
fn echo_many(options: &Options) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{0} {0}", listener.local_addr()?);
    cores::pin(cores::server()).map_err(io::Error::other)?;
    let mut streams = Vec::new();
    for _ in 0..options.connections {
        let stream = listener.accept()?.0;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        streams.push((stream, vec![0; 1 << 16], 0));
    }
    let mac = FrameMac::new(options.mac.algorithm(), &SECRET);
    let mut records = Records::new();
    let (request_bytes, answer_bytes) = (options.request_bytes, options.answer_bytes);
    let mut answers = Vec::with_capacity(1 << 18);
    while !streams.is_empty() {
        let mut closed = None;
        for (number, (stream, buffer, end)) in streams.iter_mut().enumerate() {
            match stream.read(&mut buffer[*end..]) {
                Ok(0) => closed = Some(number),
                Ok(length) => *end += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => closed = Some(number),
            }
            let count = *end / request_bytes;
            let whole = count * request_bytes;
            answers.resize(count * answer_bytes, 0);
            if options.server == Server::FloorMany {
                work(&mac, (&buffer[..whole], request_bytes), (&mut answers, answer_bytes), &mut records);
            }
            buffer.copy_within(whole..*end, 0);
            *end -= whole;
            write_spinning(stream, &answers)?;
        }
        if let Some(number) = closed {
            streams.swap_remove(number);
        }
    }
    Ok(())
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
