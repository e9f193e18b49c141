//! A small blocking client over TCP: logon, signed commands out, events and answers in.
//!
//! One thread may use [`Client`] alone; [`Client::split`] gives a half that sends and a half that receives, for
//! load and for programs that do both at once. Nothing here starts a thread: the caller drives heartbeats with
//! [`Client::heartbeat_if_due`].

mod buffers;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tollgate_protocol::answer::{Answer, AnswerBody};
use tollgate_protocol::client::{ClientSession, Incoming, LogonRequest, SessionError};
use tollgate_protocol::frame::FRAME_BYTES_MAX;
use tollgate_protocol::logon::{Goodbye, Welcome};
use tollgate_protocol::reject::{Code, Reject};
use tollgate_protocol::{Command, CommandId, Event, EventBody};

use buffers::{Heartbeats, Inbox, Outbox};

/// How long a failed send waits for the gateway's own words about it.
const FAREWELL_TIMEOUT: Duration = Duration::from_millis(200);

/// Why a connection could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection came about.
    #[error("cannot connect to {address}: {source}; is the gateway running, and is this its gateway.listen?")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The connection failed while it was used.
    #[error("the connection failed: {0}; connect again and resume after the last event seen")]
    Lost(io::Error),
    /// The gateway closed the connection without a word.
    #[error("the gateway closed the connection; connect again and resume after the last event seen")]
    Closed,
    /// Nothing came in time.
    #[error(
        "no answer within {} ms: the outcome is unknown; send the same command again with the same id, or query \
         the order", .0.as_millis()
    )]
    TimedOut(Duration),
    /// Logon or session ended by the rules of the protocol.
    #[error("{text}", text = session_text(*.0))]
    Session(#[from] SessionError),
    /// The system has no random numbers.
    #[error("the system gives no random numbers: {0}; no logon is safe without them")]
    Randomness(getrandom::Error),
}

impl ClientError {
    /// True when a command that was sent may or may not have reached the gateway.
    pub fn leaves_outcome_unknown(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Closed | Self::TimedOut(_) | Self::Session(_))
    }
}

/// Why it ended, what that means, and what can be done.
fn session_text(error: SessionError) -> String {
    let SessionError::Ended(Goodbye { code, retry_after_ms }) = error else { return error.to_string() };
    let what = match code {
        Code::LogonTimeout
        | Code::LogonFailed
        | Code::LogonBlocked
        | Code::LogonBusy
        | Code::SessionLimit => "refused the logon",
        _ => "ended the session",
    };
    let advice = match (code, retry_after_ms) {
        (Code::LogonFailed, _) => " Check the key file, and the gateway's list of keys.".to_owned(),
        (_, 0) => String::new(),
        (_, wait_ms) => format!(" Try again after {wait_ms} ms."),
    };
    format!("the gateway {what}: {code}: {}{advice}", code.meaning())
}

/// The one answer to a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Acknowledged or rejected: a numbered, journaled event.
    Event(Event),
    /// The command came before: its first answer again.
    Repeated(Event),
    /// Refused without a place in the journal.
    Refused(Reject),
    /// A heartbeat's answer: the gateway's time, nanoseconds since the Unix epoch.
    Heartbeat {
        /// The gateway's time.
        time_ns: u64,
    },
    /// A query's rows.
    Rows(Vec<AnswerBody>),
}

/// A logged-on connection.
pub struct Client {
    stream: TcpStream,
    session: ClientSession,
    outbox: Outbox,
    inbox: Inbox,
    queue: VecDeque<Incoming>,
    heartbeats: Heartbeats,
    last_event_sequence: u64,
}

impl Client {
    /// Connects and logs on, within `timeout` for each of connection, challenge and welcome.
    pub fn connect(
        address: SocketAddr,
        request: LogonRequest,
        timeout: Duration,
    ) -> Result<(Self, Welcome), ClientError> {
        let connect = |source| ClientError::Connect { address, source };
        let stream = TcpStream::connect_timeout(&address, timeout).map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        stream.set_write_timeout(Some(timeout)).map_err(connect)?;
        Self::log_on(stream, request, timeout)
    }

    /// Logs on over a connection that stands.
    pub fn log_on(
        stream: TcpStream,
        request: LogonRequest,
        timeout: Duration,
    ) -> Result<(Self, Welcome), ClientError> {
        let mut random = zeroize::Zeroizing::new([0; 64]);
        getrandom::fill(&mut random[..]).map_err(ClientError::Randomness)?;
        let mut inbox = Inbox::new();
        let (hello, frame) = request.start(&random);
        (&stream).write_all(&frame).map_err(ClientError::Lost)?;
        let (proof, frame) = hello.challenged(&inbox.require(&stream, timeout)?)?;
        // A refusal may be under way already: it says more than the broken pipe does.
        let written = (&stream).write_all(&frame);
        let welcome = match (inbox.require(&stream, timeout), written) {
            (Ok(welcome), _) => welcome,
            (Err(_), Err(error)) => return Err(ClientError::Lost(error)),
            (Err(error), Ok(())) => return Err(error),
        };
        let (session, welcome) = proof.welcomed(&welcome)?;
        let client = Self {
            stream,
            session,
            outbox: Outbox::new(),
            inbox,
            queue: VecDeque::new(),
            heartbeats: Heartbeats::new(&welcome),
            last_event_sequence: welcome.next_event_sequence.saturating_sub(1),
        };
        Ok((client, welcome))
    }

    /// Signs and sends a command.
    pub fn send(&mut self, command: &Command) -> Result<(), ClientError> {
        self.outbox.push(&mut self.session, command);
        self.heartbeats.note_sent();
        self.outbox.flush(&self.stream).map_err(|error| self.explain(error))
    }

    /// The next event or answer; `None` when none came within `timeout`. With a timeout of zero it only looks.
    /// Timeouts are the system's: a few milliseconds coarse.
    pub fn receive(&mut self, timeout: Duration) -> Result<Option<Incoming>, ClientError> {
        match self.queue.pop_front() {
            Some(incoming) => Ok(Some(incoming)),
            None => self.receive_new(timeout),
        }
    }

    /// Sends a command and waits for its one answer; whatever else comes meanwhile is kept for
    /// [`Client::receive`].
    pub fn execute(&mut self, command: &Command, timeout: Duration) -> Result<Reply, ClientError> {
        self.send(command)?;
        let started = Instant::now();
        let mut rows = Vec::new();
        loop {
            let left = timeout.saturating_sub(started.elapsed());
            match self.receive_new(left)? {
                Some(Incoming::Goodbye(goodbye)) => return Err(SessionError::Ended(goodbye).into()),
                Some(incoming) => match answer_to(command.command_id, &incoming) {
                    Some(Progress::Whole(reply)) => return Ok(reply),
                    Some(Progress::Row(row)) => rows.push(row),
                    Some(Progress::End) => return Ok(Reply::Rows(rows)),
                    None => self.queue.push_back(incoming),
                },
                None if left.is_zero() => return Err(ClientError::TimedOut(timeout)),
                None => {}
            }
        }
    }

    /// Sends a heartbeat when nothing was sent for the agreed time. Call it more often than the interval; its
    /// answers are taken out by `receive`. True when one was sent.
    pub fn heartbeat_if_due(&mut self) -> Result<bool, ClientError> {
        let Some(command) = self.heartbeats.due() else { return Ok(false) };
        self.send(&command)?;
        Ok(true)
    }

    /// The number of the last event received: what to resume after.
    pub fn last_event_sequence(&self) -> u64 {
        self.last_event_sequence
    }

    /// The connection itself: to set its options, or to see what a gateway says to bytes of one's own making.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Ends the session with a word: orders stay as they are, whatever cancel-on-disconnect says.
    pub fn goodbye(mut self) -> Result<(), ClientError> {
        let mut frame = [0; FRAME_BYTES_MAX];
        let length = self.session.goodbye(&mut frame);
        (&self.stream).write_all(&frame[..length]).map_err(ClientError::Lost)
    }

    /// A half that sends and a half that receives, each for its own thread. What was received already goes with
    /// the receiving half.
    pub fn split(self) -> Result<(Sender, Receiver), ClientError> {
        let stream = self.stream.try_clone().map_err(ClientError::Lost)?;
        let session = Arc::new(Mutex::new(self.session));
        let sender = Sender { stream, session: Arc::clone(&session), outbox: self.outbox };
        let receiver = Receiver {
            stream: self.stream,
            session,
            inbox: self.inbox,
            queue: self.queue,
            last_event_sequence: self.last_event_sequence,
        };
        Ok((sender, receiver))
    }

    fn receive_new(&mut self, timeout: Duration) -> Result<Option<Incoming>, ClientError> {
        let started = Instant::now();
        loop {
            let left = timeout.saturating_sub(started.elapsed());
            let Some(frame) = self.inbox.next(&self.stream, left)? else { return Ok(None) };
            let incoming = self.session.open(&frame)?;
            if let Some(incoming) = Heartbeats::keep(incoming) {
                note_event(&incoming, &mut self.last_event_sequence);
                return Ok(Some(incoming));
            }
        }
    }

    /// A send that fails has a reason, and the gateway often has said it before it closed.
    fn explain(&mut self, error: io::Error) -> ClientError {
        while let Ok(Some(incoming)) = self.receive_new(FAREWELL_TIMEOUT) {
            if let Incoming::Goodbye(goodbye) = incoming {
                return SessionError::Ended(goodbye).into();
            }
            self.queue.push_back(incoming);
        }
        ClientError::Lost(error)
    }
}

/// The half that sends.
pub struct Sender {
    stream: TcpStream,
    session: Arc<Mutex<ClientSession>>,
    outbox: Outbox,
}

impl Sender {
    /// Signs and sends a command.
    pub fn send(&mut self, command: &Command) -> Result<(), ClientError> {
        self.push(command);
        self.flush()
    }

    /// Signs a command and keeps it until [`Sender::flush`]: many commands in one system call.
    pub fn push(&mut self, command: &Command) {
        self.outbox.push(&mut locked(&self.session), command);
    }

    /// Sends what was pushed.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.outbox.flush(&self.stream).map_err(ClientError::Lost)
    }

    /// Ends the session with a word: orders stay as they are, whatever cancel-on-disconnect says.
    pub fn goodbye(self) -> Result<(), ClientError> {
        let mut frame = [0; FRAME_BYTES_MAX];
        let length = locked(&self.session).goodbye(&mut frame);
        (&self.stream).write_all(&frame[..length]).map_err(ClientError::Lost)
    }
}

/// The half that receives.
pub struct Receiver {
    stream: TcpStream,
    session: Arc<Mutex<ClientSession>>,
    inbox: Inbox,
    queue: VecDeque<Incoming>,
    last_event_sequence: u64,
}

impl Receiver {
    /// The next event or answer; `None` when none came within `timeout`. With a timeout of zero it only looks.
    pub fn receive(&mut self, timeout: Duration) -> Result<Option<Incoming>, ClientError> {
        if let Some(incoming) = self.queue.pop_front() {
            return Ok(Some(incoming));
        }
        let Some(frame) = self.inbox.next(&self.stream, timeout)? else { return Ok(None) };
        let incoming = locked(&self.session).open(&frame)?;
        let Some(incoming) = Heartbeats::keep(incoming) else { return Ok(None) };
        note_event(&incoming, &mut self.last_event_sequence);
        Ok(Some(incoming))
    }

    /// The number of the last event received: what to resume after.
    pub fn last_event_sequence(&self) -> u64 {
        self.last_event_sequence
    }
}

/// A panic of the other half leaves no frame half signed: the sequence moves last.
fn locked(session: &Mutex<ClientSession>) -> MutexGuard<'_, ClientSession> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note_event(incoming: &Incoming, last_event_sequence: &mut u64) {
    if let Incoming::Event(event) = incoming {
        *last_event_sequence = event.event_sequence;
    }
}

/// A part of the answer to one command.
enum Progress {
    Whole(Reply),
    Row(AnswerBody),
    End,
}

fn answer_to(command_id: CommandId, incoming: &Incoming) -> Option<Progress> {
    match incoming {
        Incoming::Event(event) if event.body.command_id() == command_id => {
            (!matches!(event.body, EventBody::Report(_))).then_some(Progress::Whole(Reply::Event(*event)))
        }
        Incoming::Answer(Answer { command_id: id, body }) if *id == command_id => Some(match *body {
            AnswerBody::Heartbeat { time_ns } => Progress::Whole(Reply::Heartbeat { time_ns }),
            AnswerBody::Repeated(event) => Progress::Whole(Reply::Repeated(event)),
            AnswerBody::Refused(reject) => Progress::Whole(Reply::Refused(reject)),
            AnswerBody::End { .. } => Progress::End,
            row => Progress::Row(row),
        }),
        _ => None,
    }
}

/// The time, nanoseconds since the Unix epoch.
pub fn now_ns() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// A command id that nobody has used: a UUID of version 7, of the time and 74 random bits.
pub fn fresh_command_id() -> Result<CommandId, ClientError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(ClientError::Randomness)?;
    Ok(command_id(now_ns() / 1_000_000, u128::from_le_bytes(random)))
}

fn command_id(time_ms: u64, random: u128) -> CommandId {
    const VERSION_AND_VARIANT: u128 = 0x7 << 76 | 0b10 << 62;
    const RANDOM_BITS: u128 = (0xfff << 64) | ((1 << 62) - 1);
    CommandId(u128::from(time_ms) << 80 | VERSION_AND_VARIANT | random & RANDOM_BITS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::buffers::HEARTBEAT_IDS;
    use std::io::Read;
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};
    use tollgate_protocol::frame::Frame;
    use tollgate_protocol::{AccountName, Action};

    use tollgate_protocol::event::{Acknowledgement, Durability};
    use tollgate_protocol::frame::{self, FrameKind};
    use tollgate_protocol::logon::{
        Challenge, Credential, Hello, Proof, Secret, SessionMacs, Transcript, session_macs,
    };
    use tollgate_protocol::mac::MacAlgorithm;
    use tollgate_protocol::{OrderId, Text};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(20);

    /// A gateway's side of one connection.
    struct Peer {
        stream: TcpStream,
        macs: SessionMacs,
        sequence: u64,
    }

    impl Peer {
        fn frame(stream: &mut TcpStream) -> Vec<u8> {
            let mut bytes = vec![0; frame::HEADER_BYTES];
            stream.read_exact(&mut bytes).unwrap();
            let header = frame::Header::parse(bytes.first_chunk().unwrap()).unwrap();
            bytes.resize(header.frame_bytes(), 0);
            stream.read_exact(&mut bytes[frame::HEADER_BYTES..]).unwrap();
            bytes
        }

        fn accept(listener: &TcpListener) -> Self {
            let mut stream = listener.accept().unwrap().0;
            let hello_bytes = Self::frame(&mut stream);
            let hello: Hello = Frame::split(&hello_bytes).unwrap().unwrap().body().unwrap();
            let challenge = Challenge { nonce: [9; 32], ephemeral: None, gateway: Text::EMPTY };
            let mut out = [0; FRAME_BYTES_MAX];
            let length = frame::encode(FrameKind::Challenge, 1, &challenge, None, &mut out).unwrap();
            stream.write_all(&out[..length]).unwrap();
            let transcript = Transcript::new(&hello_bytes, &out[..length]);
            let proof: Proof = Frame::split(&Self::frame(&mut stream)).unwrap().unwrap().body().unwrap();
            let secret = Secret::new(vec![7; 32]);
            assert!(Credential::Hmac(secret.clone()).verifier().unwrap().verify(&transcript, &proof));
            let macs = session_macs(hello.mac, &secret, &hello.nonce, &challenge.nonce, &transcript);
            let mut peer = Self { stream, macs, sequence: 1 };
            peer.tell(
                FrameKind::Welcome,
                &Welcome {
                    session_id: 1,
                    time_ns: 5,
                    heartbeat_interval_ms: 1,
                    heartbeat_timeout_ms: 3,
                    next_event_sequence: 41,
                    durability: Durability::Process,
                    signature: None,
                },
            );
            peer
        }

        fn tell<T: tollgate_protocol::wire::Wire>(&mut self, kind: FrameKind, body: &T) {
            self.sequence += 1;
            let mut out = [0; FRAME_BYTES_MAX];
            let mac = Some(&self.macs.gateway_to_client);
            let length = frame::encode(kind, self.sequence, body, mac, &mut out).unwrap();
            self.stream.write_all(&out[..length]).unwrap();
        }

        fn hear(&mut self, sequence: u64) -> Command {
            let bytes = Self::frame(&mut self.stream);
            let frame = Frame::split(&bytes).unwrap().unwrap();
            frame.authenticate(&self.macs.client_to_gateway, sequence).unwrap();
            frame.body().unwrap()
        }
    }

    fn request() -> LogonRequest {
        LogonRequest {
            key_id: Text::new("key").unwrap(),
            credential: Credential::Hmac(Secret::new(vec![7; 32])),
            mac: MacAlgorithm::Blake3,
            resume_after: Some(40),
            gateway_public_key: None,
            software: Text::EMPTY,
        }
    }

    /// Runs `gateway` against a client that has logged on.
    fn against(gateway: impl FnOnce(Peer) + Send + 'static) -> (Client, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peer = thread::spawn(move || gateway(Peer::accept(&listener)));
        (Client::connect(address, request(), TIMEOUT).unwrap().0, peer)
    }

    fn command(id: u128, action: Action) -> Command {
        let command_id = CommandId(id);
        Command { command_id, created_at_ns: now_ns(), deadline_ns: 0, account: AccountName::EMPTY, action }
    }

    fn acknowledged(event_sequence: u64, command_id: CommandId) -> Event {
        let acknowledgement =
            Acknowledgement { command_id, order_id: OrderId(3), durability: Durability::Process };
        Event { event_sequence, time_ns: 1, body: EventBody::Acknowledged(acknowledgement) }
    }

    const QUERY: Action = Action::Query(tollgate_protocol::command::Query::Account);

    #[test]
    fn the_answer_is_returned_and_other_events_wait() {
        let (mut client, peer) = against(|mut peer| {
            let heard = peer.hear(3);
            peer.tell(FrameKind::Event, &acknowledged(41, CommandId(99)));
            peer.tell(FrameKind::Event, &acknowledged(42, heard.command_id));
        });
        let reply = client.execute(&command(8, QUERY), TIMEOUT).unwrap();
        assert_eq!(reply, Reply::Event(acknowledged(42, CommandId(8))));
        assert_eq!(client.last_event_sequence(), 42);
        let waited = client.receive(Duration::ZERO).unwrap();
        assert_eq!(waited, Some(Incoming::Event(acknowledged(41, CommandId(99)))));
        peer.join().unwrap();
        assert!(matches!(client.receive(TIMEOUT), Err(ClientError::Closed)));
    }

    #[test]
    fn rows_are_collected_to_their_end() {
        let (mut client, peer) = against(|mut peer| {
            let command_id = peer.hear(3).command_id;
            for body in [AnswerBody::Heartbeat { time_ns: 1 }, AnswerBody::End { rows: 0 }] {
                peer.tell(FrameKind::Answer, &Answer { command_id: CommandId(5), body });
                peer.tell(FrameKind::Answer, &Answer { command_id, body: AnswerBody::End { rows: 0 } });
            }
        });
        assert_eq!(client.execute(&command(8, QUERY), TIMEOUT).unwrap(), Reply::Rows(Vec::new()));
        peer.join().unwrap();
    }

    #[test]
    fn a_goodbye_ends_the_wait_with_its_code() {
        let (mut client, peer) = against(|mut peer| {
            peer.hear(3);
            let goodbye = Goodbye { code: Code::SessionShutdown, retry_after_ms: 250 };
            peer.tell(FrameKind::Goodbye, &goodbye);
        });
        let error = client.execute(&command(8, QUERY), TIMEOUT).unwrap_err();
        assert!(error.leaves_outcome_unknown());
        let text = error.to_string();
        assert!(text.contains("SESSION_SHUTDOWN") && text.contains("after 250 ms."), "{text}");
        peer.join().unwrap();
    }

    #[test]
    fn heartbeats_are_due_after_silence_and_their_answers_are_not_shown() {
        let (mut client, peer) = against(|mut peer| {
            let heartbeat = peer.hear(3);
            assert_eq!(heartbeat.action, Action::Heartbeat);
            let body = AnswerBody::Heartbeat { time_ns: 1 };
            peer.tell(FrameKind::Answer, &Answer { command_id: heartbeat.command_id, body });
            peer.tell(FrameKind::Event, &acknowledged(41, CommandId(1)));
        });
        client.heartbeats.last_sent = Instant::now().checked_sub(Duration::from_millis(2)).unwrap();
        assert!(client.heartbeat_if_due().unwrap());
        client.heartbeats.interval = TIMEOUT;
        assert!(!client.heartbeat_if_due().unwrap());
        let shown = client.receive(TIMEOUT).unwrap();
        assert_eq!(shown, Some(Incoming::Event(acknowledged(41, CommandId(1)))));
        peer.join().unwrap();
    }

    #[test]
    fn both_halves_work_from_two_threads() {
        const COMMANDS: u64 = 2_000;
        let (client, peer) = against(|mut peer| {
            for number in 0..COMMANDS {
                let heard = peer.hear(3 + number);
                peer.tell(FrameKind::Event, &acknowledged(41 + number, heard.command_id));
            }
        });
        let (mut sender, mut receiver) = client.split().unwrap();
        let sending = thread::spawn(move || {
            for number in 0..COMMANDS {
                sender.push(&command(u128::from(number), QUERY));
                if number % 7 == 0 {
                    sender.flush().unwrap();
                }
            }
            sender.flush().unwrap();
            sender
        });
        for number in 0..COMMANDS {
            let received = receiver.receive(TIMEOUT).unwrap();
            let expected = acknowledged(41 + number, CommandId(u128::from(number)));
            assert_eq!(received, Some(Incoming::Event(expected)));
        }
        assert_eq!(receiver.last_event_sequence(), 40 + COMMANDS);
        sending.join().unwrap();
        peer.join().unwrap();
    }

    #[test]
    fn nobody_listening_says_where_and_what_to_do() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = Client::connect(address, request(), TIMEOUT).err().unwrap().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("gateway.listen"), "{error}");
    }

    #[test]
    fn fresh_ids_are_uuids_of_version_seven_and_differ() {
        assert_eq!(command_id(0, 0).to_string(), "00000000-0000-7000-8000-000000000000");
        assert_eq!(command_id(u64::MAX >> 16, u128::MAX).to_string(), "ffffffff-ffff-7fff-bfff-ffffffffffff");
        assert_ne!(fresh_command_id().unwrap(), fresh_command_id().unwrap());
        // No fresh id is ever taken for one of our heartbeats.
        assert_ne!(command_id(u64::MAX >> 16, u128::MAX).0 & HEARTBEAT_IDS, HEARTBEAT_IDS);
    }
}
