//! QuickFIX C++ beside the gateway: a NewOrderSingle to its ExecutionReport, the rounds interleaved with the gateway's
//! and the echo's.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::json;

use crate::peer::{EchoClient, GatewayClient, Process, think};
use crate::serve::{CLIENT_CORE, SERVER_CORE, pin};
use crate::statistics::{Round, Spread};
use crate::{Idle, Mac, machine};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// The acceptor, as `make -C bench/peers/quickfix` builds it.
    #[arg(long, value_name = "FILE", default_value = "bench/peers/quickfix/acceptor")]
    acceptor: PathBuf,
    /// Rounds that count; one more is run first and thrown away.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Commands of a round.
    #[arg(long, default_value_t = 2000)]
    commands: usize,
    /// The gateway's MAC; QuickFIX has none.
    #[arg(long, value_enum, default_value = "hmac-sha256")]
    mac: Mac,
    /// How the gateway waits. QuickFIX sleeps in the kernel until something comes, as `park` does; the client spins.
    #[arg(long, value_enum, default_value = "spin")]
    idle: Idle,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const PATIENCE: Duration = Duration::from_secs(10);
const NAMES: [&str; 4] = ["echo", "gateway", "quickfix, files", "quickfix, memory"];
/// QuickFIX with files against the gateway, which spins: at p50 and p99, for the first release, and the goal.
const GOALS: [(&str, f64, f64, f64); 2] = [("p50", 0.5, 6.0, 8.0), ("p99", 0.99, 4.0, 5.0)];

/// A FIX 4.2 session as initiator, by hand: nothing between the clock and the socket.
struct FixClient {
    stream: TcpStream,
    sequence: u64,
    orders: u64,
    received: Vec<u8>,
    end: usize,
}

/// Body and trailer of a message with the fields behind MsgType, each ended by SOH.
fn message(kind: &str, sequence: u64, time: &str, fields: &str) -> Vec<u8> {
    let body = format!("35={kind}\x0134={sequence}\x0149=BENCH\x0152={time}\x0156=PEER\x01{fields}");
    let mut out = format!("8=FIX.4.2\x019={}\x01{body}", body.len());
    let checksum = out.bytes().fold(0_u8, u8::wrapping_add);
    let _ = write!(out, "10={checksum:03}\x01");
    out.into_bytes()
}

/// The first whole message in `bytes`, its checksum tried.
fn split(bytes: &[u8]) -> Result<Option<&[u8]>, String> {
    let Some(at) = bytes.windows(4).position(|four| four == b"\x0110=") else { return Ok(None) };
    let Some(message) = bytes.get(..at + 8) else { return Ok(None) };
    let sum = message[..=at].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let stated = std::str::from_utf8(&message[at + 4..at + 7]).ok().and_then(|text| text.parse::<u8>().ok());
    if stated == Some(sum) { Ok(Some(message)) } else { Err("a FIX message has a wrong checksum".to_owned()) }
}

fn field<'a>(message: &'a [u8], tag: &str) -> Option<&'a [u8]> {
    message.split(|byte| *byte == 1).find_map(|field| field.strip_prefix(tag.as_bytes())?.strip_prefix(b"="))
}

/// UTC as FIX writes it. Days are counted from the epoch (Howard Hinnant's algorithm).
fn fix_time() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) as i64;
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

impl FixClient {
    fn connect(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        let mut client = Self { stream, sequence: 1, orders: 0, received: vec![0; 1 << 16], end: 0 };
        let logon = message("A", 1, &fix_time(), "98=0\x01108=3600\x01141=Y\x01");
        client.stream.write_all(&logon).map_err(|error| error.to_string())?;
        let answer = client.receive(Instant::now())?.0;
        match field(&answer, "35") {
            Some(b"A") => Ok(client),
            _ => Err(format!("no logon: {}", String::from_utf8_lossy(&answer))),
        }
    }

    /// The next message, and when it was there.
    fn receive(&mut self, began: Instant) -> Result<(Vec<u8>, Instant), String> {
        loop {
            match self.stream.read(&mut self.received[self.end..]) {
                Ok(0) => return Err("QuickFIX closed the connection".to_owned()),
                Ok(length) => self.end += length,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::hint::spin_loop(),
                Err(error) => return Err(error.to_string()),
            }
            if self.end > 0 && self.received[self.end - 1] == 1 {
                let arrived = Instant::now();
                if let Some(message) = split(&self.received[..self.end])? {
                    let message = message.to_vec();
                    self.received.copy_within(message.len()..self.end, 0);
                    self.end -= message.len();
                    return Ok((message, arrived));
                }
            }
            if began.elapsed() > PATIENCE {
                return Err("QuickFIX did not answer within 10 s".to_owned());
            }
        }
    }

    fn round(&mut self, commands: usize) -> Result<Vec<u64>, String> {
        let mut latencies = Vec::with_capacity(commands);
        let time = fix_time();
        for _ in 0..commands {
            self.sequence += 1;
            self.orders += 1;
            let id = format!("order-{}", self.orders);
            let fields = format!(
                "11={id}\x0121=1\x0155=BTCUSDT\x0154=1\x0160={time}\x0138=0.01\x0140=2\x0144=60000\x0159=3\x01"
            );
            let order = message("D", self.sequence, &time, &fields);
            let began = Instant::now();
            self.stream.write_all(&order).map_err(|error| error.to_string())?;
            let (answer, arrived) = self.receive(began)?;
            if field(&answer, "35") != Some(b"8") || field(&answer, "11") != Some(id.as_bytes()) {
                return Err(format!("not the report of {id}: {}", String::from_utf8_lossy(&answer)));
            }
            latencies.push(arrived.duration_since(began).as_nanos() as u64);
            think(arrived);
        }
        Ok(latencies)
    }
}

enum Client {
    Echo(EchoClient),
    Gateway(Box<GatewayClient>),
    Fix(FixClient),
}

pub(crate) fn run(options: &Options) -> Result<bool, String> {
    if options.rounds == 0 || options.commands < 100 {
        return Err("give one round at least, of 100 commands at least".to_owned());
    }
    if !options.acceptor.exists() {
        return Err(format!("{}: not there; run: make -C bench/peers/quickfix", options.acceptor.display()));
    }
    pin(CLIENT_CORE);
    let directory = tempfile::tempdir_in(".").map_err(|error| error.to_string())?;
    let mut peers = start(options, directory.path())?;
    let mut rounds: [Vec<Round>; 4] = Default::default();
    for round in 0..=options.rounds {
        for turn in 0..peers.len() {
            let at = (turn + round) % peers.len();
            let (process, client) = &mut peers[at];
            process.go_on();
            let latencies = match client {
                Client::Echo(client) => client.round(options.commands)?,
                Client::Gateway(client) => client.round(options.commands)?,
                Client::Fix(client) => client.round(options.commands)?,
            };
            process.pause();
            if round > 0 {
                rounds[at].push(Round::new(latencies));
            }
        }
        eprint!("\rround {round} of {}", options.rounds);
    }
    eprintln!();
    if options.json {
        println!("{}", document(options, &rounds));
    } else {
        print(options, &rounds);
    }
    Ok(options.idle != Idle::Spin
        || GOALS.iter().all(|(_, share, first, _)| ratio(&rounds, 2, *share).median >= *first))
}

fn start(options: &Options, directory: &std::path::Path) -> Result<Vec<(Process, Client)>, String> {
    let gateway = Process::start(&["gateway", "--idle", options.idle.argument()])?;
    let mut client = GatewayClient::connect(gateway.address, options.mac.algorithm())?;
    client.round(200)?;
    let (request, answer) = client.sizes;
    gateway.pause();
    let (request_text, answer_text) = (request.to_string(), answer.to_string());
    let echo = Process::start(&["echo", "--request-bytes", &request_text, "--answer-bytes", &answer_text])?;
    let echo_client = EchoClient::connect(echo.address, request, answer)?;
    echo.pause();
    let mut peers = vec![(echo, Client::Echo(echo_client)), (gateway, Client::Gateway(Box::new(client)))];
    for store in ["file", "memory"] {
        let directory = directory.join(store).display().to_string();
        let port = free_port()?.to_string();
        let core = SERVER_CORE.to_string();
        let process = Process::start_program(&options.acceptor, &[store, &directory, &core, &port])?;
        let client = FixClient::connect(process.address)?;
        process.pause();
        peers.push((process, Client::Fix(client)));
    }
    Ok(peers)
}

/// A port that nobody listens on now.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

/// How many times as long as the gateway a peer takes, round by round.
fn ratio(rounds: &[Vec<Round>; 4], peer: usize, share: f64) -> Spread {
    let pairs = rounds[peer].iter().zip(&rounds[1]);
    Spread::of(pairs.map(|(one, gateway)| one.percentile(share) / gateway.percentile(share)))
}

fn print(options: &Options, rounds: &[Vec<Round>; 4]) {
    for (name, value) in machine::describe() {
        println!("{name:<11}{value}");
    }
    println!("pinned     servers on core {SERVER_CORE}, client on core {CLIENT_CORE}");
    println!(
        "waiting    the gateway by {}, QuickFIX in the kernel; echo and client spin",
        options.idle.argument()
    );
    println!(
        "gateway    {} both ways, risk, journal in the page cache; QuickFIX: none of these,",
        options.mac.argument()
    );
    println!("           its files are written and flushed to the page cache");
    println!("rounds     {} of {} commands\n", options.rounds, options.commands);
    println!("{:<18}{:>24}{:>24}{:>12}", "µs", "p50", "p99", "p99.9*");
    for (peer, name) in NAMES.iter().enumerate() {
        let figure = |share| Spread::of(rounds[peer].iter().map(|round| round.percentile(share)));
        let shown = |it: Spread| format!("{:.2} ({:.2}–{:.2})", it.median, it.low, it.high);
        let (half, tail) = (shown(figure(0.5)), shown(figure(0.99)));
        println!("{name:<18}{half:>24}{tail:>24}{:>12.1}", figure(0.999).median);
    }
    println!("* printed, not claimed\n");
    for (peer, name) in NAMES.iter().enumerate().skip(2) {
        for (label, share, first, goal) in GOALS {
            let it = ratio(rounds, peer, share);
            let verdict = match it.median {
                _ if peer != 2 || options.idle != Idle::Spin => String::new(),
                median if median >= goal => format!("  goal {goal} met"),
                median if median >= first => format!("  first release {first} met, goal {goal} not met"),
                _ => format!("  first release {first} NOT met"),
            };
            println!(
                "{name:<18}{label} {:.2} × the gateway ({:.2}–{:.2}){verdict}",
                it.median, it.low, it.high
            );
        }
    }
}

fn document(options: &Options, rounds: &[Vec<Round>; 4]) -> serde_json::Value {
    let peers: serde_json::Map<_, _> = NAMES
        .iter()
        .enumerate()
        .map(|(peer, name)| {
            let figure = |share| Spread::of(rounds[peer].iter().map(|round| round.percentile(share))).json();
            let over = |share| ratio(rounds, peer, share).json();
            let row = json!({
                "p50_us": figure(0.5), "p99_us": figure(0.99),
                "p50_over_gateway": over(0.5), "p99_over_gateway": over(0.99),
            });
            ((*name).to_owned(), row)
        })
        .collect();
    json!({ "mac": options.mac.argument(), "idle": options.idle.argument(), "peers": peers })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The body's length and the sum were worked out by hand.
    #[test]
    fn messages_are_well_formed() {
        let bytes = message("0", 2, "20260101-00:00:00", "");
        let text = String::from_utf8(bytes.clone()).unwrap().replace('\x01', "|");
        assert_eq!(text, "8=FIX.4.2|9=48|35=0|34=2|49=BENCH|52=20260101-00:00:00|56=PEER|10=129|");
        assert_eq!(split(&bytes).unwrap(), Some(bytes.as_slice()));
        assert_eq!((field(&bytes, "34"), field(&bytes, "4")), (Some(&b"2"[..]), None));
        for cut in 0..bytes.len() {
            assert_eq!(split(&bytes[..cut]).unwrap(), None, "{cut}");
        }
        let mut wrong = bytes;
        wrong[20] ^= 1;
        assert!(split(&wrong).is_err());
    }
}
