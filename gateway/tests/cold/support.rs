//! A door with a hot side that the test plays, and a client.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tollgate_config::{KeySettings, Scopes, Settings};
use tollgate_contract::lane::{Bell, Receiver, Sender, lane};
use tollgate_core::metrics::Metrics;
use tollgate_gateway::door::{Door, DoorBell, DoorHandle, DoorLinks};
use tollgate_gateway::link::{FromHot, Handover, ToHot};
use tollgate_protocol::client::{ClientSession, Incoming, LogonRequest, SessionError};
use tollgate_protocol::frame::{FRAME_BYTES_MAX, Frame};
use tollgate_protocol::logon::{Credential, Secret, Welcome};
use tollgate_protocol::mac::MacAlgorithm;
use tollgate_protocol::reject::Code;
use tollgate_protocol::text::{KeyId, Text};

/// Nothing that is waited for takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Settings of the demonstration, kept in `directory`, with one HMAC key "good" of client 1.
pub(crate) fn settings(directory: &Path) -> Settings {
    let directory = directory.to_str().unwrap().to_owned();
    let environment = move |name: &str| (name == "TOLLGATE_DIRECTORY").then(|| directory.clone());
    let mut settings = Settings::parse(tollgate_config::DEMO, Path::new("/"), &environment).unwrap();
    settings.keys = vec![key("good", 1, &hmac_credential(1))];
    // Blocks have tests of their own; in the others one address may fail as it likes.
    settings.sessions.logon_failures_max = 1_000_000;
    settings
}

pub(crate) fn hmac_credential(number: u8) -> Credential {
    Credential::Hmac(Secret::new(vec![number; 32]))
}

pub(crate) fn ed25519_credential(number: u8) -> Credential {
    Credential::Ed25519(Secret::new(vec![number; 32]))
}

/// A key that may trade and read.
pub(crate) fn key(name: &str, client: u16, credential: &Credential) -> KeySettings {
    KeySettings {
        key_id: KeyId::new(name).unwrap(),
        client,
        verifier: credential.verifier().unwrap(),
        scopes: Scopes { trade: true, read: true, ..Scopes::default() },
        accounts: None,
        symbols: None,
        expires_at_ns: None,
        revoked: false,
        created: Text::EMPTY,
    }
}

pub(crate) fn request(name: &str, credential: Credential) -> LogonRequest {
    LogonRequest {
        key_id: KeyId::new(name).unwrap(),
        credential,
        mac: MacAlgorithm::HmacSha256,
        resume_after: None,
        gateway_public_key: None,
        software: Text::new("test 1.0").unwrap(),
    }
}

/// A logon request of the key that the settings have.
pub(crate) fn good() -> LogonRequest {
    request("good", hmac_credential(1))
}

/// A door, and the other ends of its lanes.
pub(crate) struct House {
    pub(crate) door: Option<DoorHandle>,
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) from_door: Receiver<ToHot>,
    pub(crate) to_door: Option<Sender<FromHot>>,
    pub(crate) directory: Option<TempDir>,
}

impl House {
    /// With settings that `change` has changed.
    pub(crate) fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(directory.path());
        change(&mut settings);
        let mut house = Self::open(settings, 64);
        house.directory = Some(directory);
        house
    }

    pub(crate) fn open(settings: Settings, lane_messages: usize) -> Self {
        let metrics = Arc::new(Metrics::new(settings.venues.len(), settings.clients.len()));
        let (to_hot, from_door) = lane(lane_messages, 1, Bell::new(Arc::new(|| {})));
        let bell = DoorBell::new();
        let (to_door, from_hot) = lane(64, 1, bell.bell.clone());
        let links = DoorLinks { to_hot, from_hot, bell, history: None };
        let door = Door::start(Arc::new(settings), Arc::clone(&metrics), links).unwrap();
        let address = door.address();
        Self { door: Some(door), address, metrics, from_door, to_door: Some(to_door), directory: None }
    }

    /// The next message to the hot thread.
    pub(crate) fn heard(&mut self) -> ToHot {
        eventually("a message to the hot thread", || self.from_door.receive())
    }

    pub(crate) fn session(&mut self) -> Handover {
        match self.heard() {
            ToHot::Session(handover) => *handover,
            ToHot::EndKey(key_id) => panic!("the end of key {key_id}"),
            ToHot::Digest => panic!("digest"),
            ToHot::Stop => panic!("stop"),
        }
    }

    pub(crate) fn tell(&mut self, message: FromHot) {
        let lane = self.to_door.as_mut().unwrap();
        assert!(lane.send(message).is_ok());
        lane.ring();
    }

    pub(crate) fn refused(&self, code: Code) -> u64 {
        let at = Code::ALL.iter().position(|it| *it == code).unwrap();
        self.metrics.door_refused[at].get()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.to_door = None;
        if let Some(door) = self.door.take() {
            door.stop();
        }
    }
}

/// Asks until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "{what} did not come");
        std::thread::yield_now();
    }
}

/// A client's connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

/// A session of a client.
pub(crate) struct Standing {
    pub(crate) session: ClientSession,
    pub(crate) welcome: Welcome,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new() }
    }

    /// The next frame, whole; `None` at the end of the connection.
    pub(crate) fn frame(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = Frame::split(&self.received).unwrap() {
                let length = frame.header.frame_bytes();
                return Some(self.received.drain(..length).collect());
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn log_on(&mut self, request: LogonRequest) -> Result<Standing, SessionError> {
        self.log_on_with(request, &[])
    }

    /// Logs on, and sends `more` right behind the proof.
    pub(crate) fn log_on_with(
        &mut self,
        request: LogonRequest,
        more: &[u8],
    ) -> Result<Standing, SessionError> {
        let mut random = [0; 64];
        getrandom::fill(&mut random).unwrap();
        let (hello_sent, hello) = request.start(&random);
        self.stream.write_all(&hello).unwrap();
        let challenge = self.frame().expect("a challenge or a refusal");
        let (proof_sent, mut proof) = hello_sent.challenged(&whole(&challenge))?;
        proof.extend_from_slice(more);
        self.stream.write_all(&proof).unwrap();
        let welcome = self.frame().expect("a welcome or a refusal");
        let (session, welcome) = proof_sent.welcomed(&whole(&welcome))?;
        Ok(Standing { session, welcome })
    }

    /// The code and the waiting time of the refusal that comes, and the end of the connection after it.
    pub(crate) fn refusal(&mut self) -> (Code, u32) {
        let frame = self.frame().expect("a refusal");
        let goodbye: tollgate_protocol::logon::Goodbye = whole(&frame).body().unwrap();
        assert_eq!(whole(&frame).header.kind, tollgate_protocol::frame::FrameKind::Refusal);
        assert_eq!(self.frame(), None);
        (goodbye.code, goodbye.retry_after_ms)
    }

    pub(crate) fn incoming(&mut self, session: &mut ClientSession) -> Option<Incoming> {
        let frame = self.frame()?;
        Some(session.open(&whole(&frame)).unwrap())
    }
}

pub(crate) fn whole(bytes: &[u8]) -> Frame<'_> {
    assert!(bytes.len() <= FRAME_BYTES_MAX);
    Frame::split(bytes).unwrap().unwrap()
}

/// The code that a logon was refused with.
pub(crate) fn code(result: Result<Standing, SessionError>) -> Code {
    match result {
        Err(SessionError::Ended(goodbye)) => goodbye.code,
        Err(error) => panic!("{error}"),
        Ok(standing) => panic!("session {} stands", standing.welcome.session_id),
    }
}
