//! Many commands on their way at once: signed beforehand, sent as fast as a window lets them or at their own times,
//! answers counted while they come and checked when all have come.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tollgate_client::{fresh_command_id, now_ns};
use tollgate_protocol::client::{ClientSession, Incoming};
use tollgate_protocol::command::{Action, TimeInForce};
use tollgate_protocol::event::EventBody;
use tollgate_protocol::frame::{FRAME_BYTES_MAX, Frame, FrameKind, HEADER_BYTES};
use tollgate_protocol::mac::MacAlgorithm;
use tollgate_protocol::{Command, Decimal};

use crate::peer::{self, logon};
use crate::subject::load_key;
use crate::workload::{Kind, limit_order, new_order};

/// Nothing on a loopback takes so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Orders that the venue may still have to end: fewer than the gateway's table holds.
const UNSETTLED_MAX: u64 = 8192;
/// What the venue reports of an order that is immediate-or-cancel and far from the market: accepted, cancelled.
const REPORTS_AN_ORDER: u64 = 2;

/// How answers are told apart.
enum Talk {
    /// Of one size, one for each request.
    Fixed { answer_bytes: usize },
    /// The gateway's frames, checked by the session afterwards.
    Frames { session: Box<ClientSession>, kind: Kind },
    /// The frames that the gateway has for new orders, from a server without sessions: they are counted.
    Counted,
}

/// One connection.
struct Connection {
    stream: TcpStream,
    talk: Talk,
    /// Requests one behind the other.
    requests: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    /// Requests that were begun to be written, and bytes that were.
    sent: usize,
    sent_bytes: usize,
    /// Everything that came; parsed up to `parsed`, of which everything before `checked` has been checked.
    received: Vec<u8>,
    end: usize,
    parsed: usize,
    answered: usize,
    reports: u64,
}

/// Connections to one server.
pub(crate) struct Load {
    connections: Vec<Connection>,
}

/// What a run at a rate came to.
pub(crate) struct Paced {
    /// From the intended time of sending to the answer, in nanoseconds, in the order of the answers.
    pub(crate) latencies_ns: Vec<u64>,
    /// The latest that a request left after its time, in nanoseconds.
    pub(crate) latest_ns: u64,
    pub(crate) took: Duration,
}

impl Connection {
    fn new(stream: TcpStream, talk: Talk) -> Self {
        Self {
            stream,
            talk,
            requests: Vec::new(),
            ends: Vec::new(),
            sent: 0,
            sent_bytes: 0,
            received: Vec::new(),
            end: 0,
            parsed: 0,
            answered: 0,
            reports: 0,
        }
    }

    /// Lays so many requests ready.
    fn prepare(&mut self, requests: usize, request_bytes: usize) -> Result<(), String> {
        (self.sent, self.sent_bytes, self.end, self.parsed, self.answered, self.reports) = (0, 0, 0, 0, 0, 0);
        self.requests.clear();
        self.ends.clear();
        match &mut self.talk {
            Talk::Fixed { .. } | Talk::Counted => {
                self.requests.resize(requests * request_bytes, 7);
                self.ends.extend((1..=requests).map(|request| request * request_bytes));
            }
            Talk::Frames { session, kind } => {
                let mut frame = [0; FRAME_BYTES_MAX];
                for _ in 0..requests {
                    let length = session.sign(&command(*kind)?, &mut frame);
                    self.requests.extend_from_slice(&frame[..length]);
                    self.ends.push(self.requests.len());
                }
            }
        }
        let answers_bytes = match self.talk {
            Talk::Fixed { answer_bytes } => requests * answer_bytes,
            // An answer and two reports, each shorter than this.
            Talk::Frames { .. } | Talk::Counted => requests * 3 * 192 + (1 << 16),
        };
        // Touched, so that no page is missing later.
        if self.received.len() < answers_bytes {
            self.received = vec![1; answers_bytes];
        }
        Ok(())
    }

    /// Writes requests up to number `until`; what the socket does not take waits.
    fn send(&mut self, until: usize) -> Result<(), String> {
        let until = until.min(self.ends.len());
        if until == 0 {
            return Ok(());
        }
        let end = self.ends[until - 1];
        while self.sent_bytes < end {
            match self.stream.write(&self.requests[self.sent_bytes..end]) {
                Ok(length) => self.sent_bytes += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        while self.sent < until && self.ends[self.sent] <= self.sent_bytes {
            self.sent += 1;
        }
        Ok(())
    }

    /// Reads once; returns how many answers came.
    fn receive(&mut self) -> Result<usize, String> {
        match self.stream.read(&mut self.received[self.end..]) {
            Ok(0) => {
                return Err(
                    "the server closed the connection, or its answers are longer than known".to_owned()
                );
            }
            Ok(length) => self.end += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error.to_string()),
        }
        let before = self.answered;
        match self.talk {
            Talk::Fixed { answer_bytes } => {
                self.answered = self.end / answer_bytes;
                self.parsed = self.answered * answer_bytes;
            }
            Talk::Frames { .. } | Talk::Counted => self.count_frames()?,
        }
        Ok(self.answered - before)
    }

    /// Tells answers from reports without decoding or checking them: that comes afterwards.
    fn count_frames(&mut self) -> Result<(), String> {
        while let Some(frame) =
            Frame::split(&self.received[self.parsed..self.end]).map_err(|code| code.to_string())?
        {
            self.parsed += frame.header.frame_bytes();
            match frame.header.kind {
                FrameKind::Event if is_report(&frame.covered[HEADER_BYTES..]) => self.reports += 1,
                FrameKind::Event | FrameKind::Answer => self.answered += 1,
                _ => return Err("the gateway ended the session".to_owned()),
            }
        }
        Ok(())
    }

    fn unsettled(&self) -> u64 {
        match self.talk {
            Talk::Frames { kind: Kind::New, .. } | Talk::Counted => {
                (self.sent as u64).saturating_sub(self.reports / REPORTS_AN_ORDER)
            }
            _ => 0,
        }
    }

    fn is_done(&self) -> bool {
        self.answered == self.ends.len() && self.unsettled() == 0
    }

    /// Every MAC is right, every answer is the one that its kind of command gets, none came twice.
    fn check(&mut self) -> Result<(), String> {
        let Talk::Frames { session, kind } = &mut self.talk else { return Ok(()) };
        let (mut at, mut answers) = (0, 0);
        while let Some(frame) = Frame::split(&self.received[at..self.end]).map_err(|code| code.to_string())? {
            at += frame.header.frame_bytes();
            match (session.open(&frame).map_err(|error| error.to_string())?, &kind) {
                (Incoming::Event(event), _) if matches!(event.body, EventBody::Report(_)) => {}
                (Incoming::Event(event), Kind::Refused) if matches!(event.body, EventBody::Rejected(_)) => {
                    answers += 1;
                }
                (Incoming::Event(event), Kind::New) if matches!(event.body, EventBody::Acknowledged(_)) => {
                    answers += 1;
                }
                (Incoming::Answer(_), Kind::Heartbeat) => answers += 1,
                (other, _) => return Err(format!("not the answer to a {}: {other:?}", kind.name())),
            }
        }
        if answers == self.ends.len() {
            Ok(())
        } else {
            Err(format!("{answers} answers to {}", self.ends.len()))
        }
    }
}

/// The third field of an event's body says what it is; the two before it are numbers of one or more bytes.
fn is_report(body: &[u8]) -> bool {
    let after = |body: &[u8]| body.iter().position(|byte| byte & 0x80 == 0).map_or(0, |last| last + 1);
    let first = after(body);
    let second = first + after(&body[first..]);
    body.get(second) == Some(&2)
}

fn command(kind: Kind) -> Result<Command, String> {
    let order = limit_order();
    let action = match kind {
        Kind::Heartbeat => Action::Heartbeat,
        Kind::Refused => Action::New(tollgate_protocol::command::NewOrder {
            price: Some(Decimal::new(60_000_001, 3)),
            ..order
        }),
        _ => Action::New(tollgate_protocol::command::NewOrder {
            time_in_force: TimeInForce::ImmediateOrCancel,
            ..order
        }),
    };
    let command_id = fresh_command_id().map_err(|error| error.to_string())?;
    Ok(Command { command_id, created_at_ns: now_ns(), action, ..new_order() })
}

impl Load {
    /// Connections to a server whose requests and answers have one size.
    pub(crate) fn fixed(
        address: SocketAddr,
        connections: usize,
        answer_bytes: usize,
    ) -> Result<Self, String> {
        Self::plain(address, connections, || Talk::Fixed { answer_bytes })
    }

    /// Connections to a server that answers as the gateway does new orders.
    pub(crate) fn counted(address: SocketAddr, connections: usize) -> Result<Self, String> {
        Self::plain(address, connections, || Talk::Counted)
    }

    fn plain(address: SocketAddr, connections: usize, talk: impl Fn() -> Talk) -> Result<Self, String> {
        let connect = |_| {
            let stream = peer::connect(address)?;
            stream.set_nonblocking(true).map_err(|error| error.to_string())?;
            Ok(Connection::new(stream, talk()))
        };
        Ok(Self { connections: (0..connections).map(connect).collect::<Result<_, String>>()? })
    }

    /// Sessions with a gateway, each of a client of its own.
    pub(crate) fn gateway(
        address: SocketAddr,
        connections: usize,
        mac: MacAlgorithm,
        kind: Kind,
    ) -> Result<Self, String> {
        let connect = |number| {
            let (stream, session, buffer) = logon(address, &load_key(number), mac)?;
            if buffer.end > 0 {
                return Err("the gateway had something to tell before the first command".to_owned());
            }
            Ok(Connection::new(stream, Talk::Frames { session: Box::new(session), kind }))
        };
        Ok(Self { connections: (0..connections).map(connect).collect::<Result<_, String>>()? })
    }

    /// Lays requests ready, spread over the connections.
    pub(crate) fn prepare(&mut self, requests: usize, request_bytes: usize) -> Result<(), String> {
        let each = requests.div_ceil(self.connections.len());
        self.connections.iter_mut().try_for_each(|connection| connection.prepare(each, request_bytes))
    }

    /// Bytes of the last request that was laid ready.
    pub(crate) fn request_bytes(&self) -> usize {
        match self.connections[0].ends[..] {
            [.., before, last] => last - before,
            _ => self.connections[0].requests.len(),
        }
    }

    /// Bytes of the first answer of the last run.
    pub(crate) fn answer_bytes(&self) -> usize {
        let connection = &self.connections[0];
        match connection.talk {
            Talk::Fixed { answer_bytes } => answer_bytes,
            Talk::Frames { .. } | Talk::Counted => {
                let frame = Frame::split(&connection.received[..connection.end]);
                frame.ok().flatten().map_or(0, |frame| frame.header.frame_bytes())
            }
        }
    }

    /// Sends with at most `window` requests of each connection unanswered; returns from the first byte to the last
    /// answer.
    pub(crate) fn run(&mut self, window: usize) -> Result<Duration, String> {
        let began = Instant::now();
        let mut took = began.elapsed();
        let mut answered = 0;
        let total: usize = self.connections.iter().map(|connection| connection.ends.len()).sum();
        while !self.connections.iter().all(Connection::is_done) {
            let mut moved = false;
            for connection in &mut self.connections {
                if connection.unsettled() < UNSETTLED_MAX {
                    connection.send(connection.answered + window)?;
                }
                let came = connection.receive()?;
                answered += came;
                moved |= came > 0;
            }
            if answered < total || moved {
                took = began.elapsed();
            }
            if !moved {
                std::thread::yield_now();
            }
            if began.elapsed() > PATIENCE * 6 {
                return Err(format!("answers were lost: {answered} of {total} came"));
            }
        }
        self.connections.iter_mut().try_for_each(Connection::check)?;
        Ok(took)
    }

    /// Sends every request at its own time, `interval_ns` apart, whatever has been answered.
    pub(crate) fn run_paced(&mut self, interval_ns: f64) -> Result<Paced, String> {
        let total: usize = self.connections.iter().map(|connection| connection.ends.len()).sum();
        let count = self.connections.len();
        let mut paced = Paced { latencies_ns: Vec::with_capacity(total), latest_ns: 0, took: Duration::ZERO };
        let mut due: Vec<VecDeque<u64>> = vec![VecDeque::with_capacity(total); count];
        let mut next = 0;
        let began = Instant::now();
        let mut heard_ns = 0;
        while !self.connections.iter().all(Connection::is_done) {
            let now_ns = began.elapsed().as_nanos() as u64;
            while next < total && (next as f64 * interval_ns) as u64 <= now_ns {
                let due_ns = (next as f64 * interval_ns) as u64;
                let connection = &mut self.connections[next % count];
                due[next % count].push_back(due_ns);
                connection.send(next / count + 1)?;
                paced.latest_ns = paced.latest_ns.max(now_ns - due_ns);
                next += 1;
            }
            for (connection, due) in self.connections.iter_mut().zip(&mut due) {
                if connection.sent_bytes
                    < connection.ends.get(due.len() + connection.answered).copied().unwrap_or(0)
                {
                    connection.send(due.len() + connection.answered)?;
                }
                let came = connection.receive()?;
                let now_ns = began.elapsed().as_nanos() as u64;
                for due_ns in due.drain(..came) {
                    paced.latencies_ns.push(now_ns - due_ns);
                    heard_ns = now_ns;
                }
            }
            if began.elapsed().as_nanos() as f64 > total as f64 * interval_ns + PATIENCE.as_nanos() as f64 {
                return Err(format!("answers were lost: {} of {total} came", paced.latencies_ns.len()));
            }
        }
        paced.took = Duration::from_nanos(heard_ns);
        self.connections.iter_mut().try_for_each(Connection::check)?;
        Ok(paced)
    }
}
