//! A server process and the client's connection to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tollgate_client::{fresh_command_id, now_ns};
use tollgate_protocol::client::{ClientSession, Incoming, LogonRequest};
use tollgate_protocol::command::{Action, NewOrder, OrderType, Side, TimeInForce};
use tollgate_protocol::event::{Event, EventBody, ReportKind};
use tollgate_protocol::frame::{FRAME_BYTES_MAX, Frame};
use tollgate_protocol::mac::MacAlgorithm;
use tollgate_protocol::text::{AccountName, KeyId, Symbol, Text};
use tollgate_protocol::{Command as Signed, CommandId, Decimal};

use crate::cores;
use crate::floor::read_spinning;
use crate::subject::credential;

/// Nothing on a loopback takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Between an answer and the next request, with every peer: the venue needs it, and the echo gets it too.
pub(crate) const THINK: Duration = Duration::from_micros(50);

/// A server in a process of its own, stopped while it is not measured, so that nothing else spins.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    side: SocketAddr,
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let cores = cores::arguments();
        let arguments: Vec<&str> = std::iter::once("serve")
            .chain(arguments.iter().copied())
            .chain(cores.iter().map(String::as_str))
            .collect();
        Self::start_program(&program, &arguments)
    }

    /// The same for a program that speaks as `serve` does: an address twice on its first line, and an end when its
    /// input ends.
    pub(crate) fn start_program(program: &Path, arguments: &[&str]) -> Result<Self, String> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start a server: {error}"))?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("the server has no output")?;
        BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
        let mut addresses = line.split_whitespace().filter_map(|text| text.parse().ok());
        match (addresses.next(), addresses.next()) {
            (Some(address), Some(side)) => Ok(Self { child, address, side }),
            _ => Err(format!("the server {arguments:?} did not start")),
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // A server that is gone is noticed by the next request.
            let _ = kill_process(pid, signal);
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The metrics that a gateway's side port shows.
    pub(crate) fn metrics(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.side)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    }

    /// Ends a gateway so that it removes its directory; one that does not end by itself is killed.
    pub(crate) fn stop(mut self) {
        self.go_on();
        drop(self.child.stdin.take());
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.go_on();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits `THINK` without sleeping, and lets others have the core.
pub(crate) fn think(since: Instant) {
    while since.elapsed() < THINK {
        std::thread::yield_now();
    }
}

/// The client of an echo.
pub(crate) struct EchoClient {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl EchoClient {
    pub(crate) fn connect(
        address: SocketAddr,
        request_bytes: usize,
        answer_bytes: usize,
    ) -> Result<Self, String> {
        let stream = connect(address)?;
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        Ok(Self { stream, request: vec![7; request_bytes], answer: vec![0; answer_bytes] })
    }

    pub(crate) fn round(&mut self, requests: usize) -> Result<Vec<u64>, String> {
        let mut latencies = Vec::with_capacity(requests);
        for _ in 0..requests {
            let began = Instant::now();
            self.stream.write_all(&self.request).map_err(|error| error.to_string())?;
            if !read_spinning(&mut self.stream, &mut self.answer).map_err(|error| error.to_string())? {
                return Err("the echo ended".to_owned());
            }
            latencies.push(began.elapsed().as_nanos() as u64);
            think(Instant::now());
        }
        Ok(latencies)
    }
}

/// A connection without Nagle's delay.
pub(crate) fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// The client of the gateway: frames signed before the measured interval, answers checked behind it.
pub(crate) struct GatewayClient {
    stream: TcpStream,
    session: ClientSession,
    received: Box<[u8]>,
    end: usize,
    /// Bytes of the last request and of its acknowledgement.
    pub(crate) sizes: (usize, usize),
}

impl GatewayClient {
    pub(crate) fn connect(address: SocketAddr, mac: MacAlgorithm) -> Result<Self, String> {
        let (stream, session, buffer) = logon(address, "bench", mac)?;
        Ok(Self { stream, session, received: buffer.bytes, end: buffer.end, sizes: (0, 0) })
    }

    pub(crate) fn round(&mut self, commands: usize) -> Result<Vec<u64>, String> {
        let mut latencies = Vec::with_capacity(commands);
        let mut frame = [0; FRAME_BYTES_MAX];
        for _ in 0..commands {
            let command = far_order()?;
            let length = self.session.sign(&command, &mut frame);
            let began = Instant::now();
            self.stream.write_all(&frame[..length]).map_err(|error| error.to_string())?;
            let answered = self.acknowledged(command.command_id, began)?;
            self.sizes.0 = length;
            latencies.push(answered.duration_since(began).as_nanos() as u64);
            self.settled(command.command_id)?;
            think(answered);
        }
        Ok(latencies)
    }

    /// When the acknowledgement had arrived whole.
    fn acknowledged(&mut self, id: CommandId, began: Instant) -> Result<Instant, String> {
        loop {
            let arrived = self.fill(began)?;
            while let Some((event, bytes)) = self.next()? {
                match event.body {
                    EventBody::Acknowledged(it) if it.command_id == id => {
                        self.sizes.1 = bytes;
                        return Ok(arrived);
                    }
                    EventBody::Rejected(it) => return Err(format!("a command was refused: {}", it.reject)),
                    _ => {}
                }
            }
        }
    }

    /// Waits for the order's end at the venue, so that no table ever fills.
    fn settled(&mut self, id: CommandId) -> Result<(), String> {
        let began = Instant::now();
        loop {
            while let Some((event, _)) = self.next()? {
                if let EventBody::Report(report) = event.body
                    && report.command_id == id
                    && matches!(report.kind, ReportKind::Cancelled)
                {
                    return Ok(());
                }
            }
            std::thread::yield_now();
            self.fill(began)?;
        }
    }

    /// Reads what there is; returns when it was there.
    fn fill(&mut self, began: Instant) -> Result<Instant, String> {
        match self.stream.read(&mut self.received[self.end..]) {
            Ok(0) => return Err("the gateway closed the connection".to_owned()),
            Ok(length) => self.end += length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if began.elapsed() > PATIENCE {
                    return Err("an answer was lost: none came within 10 s".to_owned());
                }
            }
            Err(error) => return Err(error.to_string()),
        }
        Ok(Instant::now())
    }

    fn next(&mut self) -> Result<Option<(Event, usize)>, String> {
        let Some(frame) = Frame::split(&self.received[..self.end]).map_err(|code| code.to_string())? else {
            return Ok(None);
        };
        let length = frame.header.frame_bytes();
        let incoming = self.session.open(&frame).map_err(|error| error.to_string())?;
        self.received.copy_within(length..self.end, 0);
        self.end -= length;
        match incoming {
            Incoming::Event(event) => Ok(Some((event, length))),
            other => Err(format!("unexpected: {other:?}")),
        }
    }
}

/// Logs on with a key of the benchmark's; the stream does not block. The buffer may hold what came behind the welcome.
pub(crate) fn logon(
    address: SocketAddr,
    key: &str,
    mac: MacAlgorithm,
) -> Result<(TcpStream, ClientSession, Buffer), String> {
    let mut stream = connect(address)?;
    stream.set_nonblocking(true).map_err(|error| error.to_string())?;
    let mut random = [0; 64];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    let request = LogonRequest {
        key_id: KeyId::truncated(key),
        credential: credential(),
        mac,
        resume_after: None,
        gateway_public_key: None,
        software: Text::truncated("tollgate-bench"),
    };
    let (hello, frame) = request.start(&random);
    stream.write_all(&frame).map_err(|error| error.to_string())?;
    let mut buffer = Buffer { bytes: vec![0; 1 << 16].into(), end: 0 };
    let bytes = buffer.frame(&mut stream)?;
    let challenge = Frame::split(&bytes).map_err(|code| code.to_string())?.ok_or("no challenge")?;
    let (proof, frame) = hello.challenged(&challenge).map_err(|error| error.to_string())?;
    stream.write_all(&frame).map_err(|error| error.to_string())?;
    let bytes = buffer.frame(&mut stream)?;
    let welcome = Frame::split(&bytes).map_err(|code| code.to_string())?.ok_or("no welcome")?;
    let (session, _) = proof.welcomed(&welcome).map_err(|error| error.to_string())?;
    Ok((stream, session, buffer))
}

/// Whole frames of a logon.
pub(crate) struct Buffer {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) end: usize,
}

impl Buffer {
    fn frame(&mut self, stream: &mut TcpStream) -> Result<Vec<u8>, String> {
        loop {
            if let Some(frame) = Frame::split(&self.bytes[..self.end]).map_err(|code| code.to_string())? {
                let length = frame.header.frame_bytes();
                let frame = self.bytes[..length].to_vec();
                self.bytes.copy_within(length..self.end, 0);
                self.end -= length;
                return Ok(frame);
            }
            match stream.read(&mut self.bytes[self.end..]) {
                Ok(0) => return Err("the gateway refused the logon".to_owned()),
                Ok(length) => self.end += length,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// A limit order far below the market that is taken, journaled, sent, and cancelled by the venue at once.
fn far_order() -> Result<Signed, String> {
    let order = NewOrder {
        symbol: Symbol::truncated("BTCUSDT"),
        side: Side::Buy,
        order_type: OrderType::Limit,
        quantity: Decimal::new(1, 2),
        price: Some(Decimal::new(60_000, 0)),
        stop_price: None,
        time_in_force: TimeInForce::ImmediateOrCancel,
        expire_at_ns: 0,
        reduce_only: false,
        position_ticket: 0,
        stop_loss: None,
        take_profit: None,
    };
    Ok(Signed {
        command_id: fresh_command_id().map_err(|error| error.to_string())?,
        created_at_ns: now_ns(),
        deadline_ns: 0,
        account: AccountName::truncated("main"),
        action: Action::New(order),
    })
}
