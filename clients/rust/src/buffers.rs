//! What a client keeps beside its keys: bytes on their way, and when it last spoke.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::net::RecvFlags;
use tollgate_protocol::client::{ClientSession, Incoming, SessionError};
use tollgate_protocol::frame::{FRAME_BYTES_MAX, Frame};
use tollgate_protocol::logon::Welcome;
use tollgate_protocol::{AccountName, Action, Command, CommandId};

use super::{ClientError, now_ns};

/// Bytes of the buffer that received frames stand in.
const RECEIVE_BYTES: usize = 64 * 1024;

/// Frames that are signed and not yet sent.
pub(super) struct Outbox {
    bytes: Vec<u8>,
    frame: Box<[u8; FRAME_BYTES_MAX]>,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::with_capacity(4 * FRAME_BYTES_MAX), frame: Box::new([0; FRAME_BYTES_MAX]) }
    }

    pub(super) fn push(&mut self, session: &mut ClientSession, command: &Command) {
        let length = session.sign(command, &mut self.frame[..]);
        self.bytes.extend_from_slice(&self.frame[..length]);
    }

    pub(super) fn flush(&mut self, mut stream: &TcpStream) -> io::Result<()> {
        let written = stream.write_all(&self.bytes);
        self.bytes.clear();
        written
    }
}

/// Bytes that were received and not yet read as frames.
pub(super) struct Inbox {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    /// What the socket's own timeout is set to.
    socket_timeout: Option<Duration>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; RECEIVE_BYTES].into(), start: 0, end: 0, socket_timeout: None }
    }

    /// The next frame; running out of time is an error.
    pub(super) fn require(
        &mut self,
        stream: &TcpStream,
        timeout: Duration,
    ) -> Result<Frame<'_>, ClientError> {
        self.next(stream, timeout)?.ok_or(ClientError::TimedOut(timeout))
    }

    /// The next frame, or `None` when it did not come within `timeout`.
    pub(super) fn next(
        &mut self,
        stream: &TcpStream,
        timeout: Duration,
    ) -> Result<Option<Frame<'_>>, ClientError> {
        let started = Instant::now();
        let mut left = timeout;
        while !self.has_frame()? {
            match self.fill(stream, left) {
                Ok(0) => return Err(ClientError::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(error) => return Err(ClientError::Lost(error)),
            }
            left = timeout.saturating_sub(started.elapsed());
        }
        let (start, end) = (self.start, self.end);
        let frame = Frame::split(&self.bytes[start..end]).map_err(SessionError::Invalid)?;
        if let Some(frame) = &frame {
            self.start += frame.header.frame_bytes();
        }
        Ok(frame)
    }

    fn has_frame(&self) -> Result<bool, ClientError> {
        let frame = Frame::split(&self.bytes[self.start..self.end]).map_err(SessionError::Invalid)?;
        Ok(frame.is_some())
    }

    fn fill(&mut self, stream: &TcpStream, timeout: Duration) -> io::Result<usize> {
        if self.bytes.len() - self.end < FRAME_BYTES_MAX {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let flags = if timeout.is_zero() { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
        if !timeout.is_zero() && self.socket_timeout != Some(timeout) {
            stream.set_read_timeout(Some(timeout))?;
            self.socket_timeout = Some(timeout);
        }
        let (length, _) = rustix::net::recv(stream, &mut self.bytes[self.end..], flags)?;
        self.end += length;
        Ok(length)
    }
}

/// When to say that the client lives, and which answers were to that.
pub(super) struct Heartbeats {
    pub(super) interval: Duration,
    pub(super) last_sent: Instant,
    sent: u64,
}

/// Ids of heartbeats: the highest half of the number space, which no UUID with a version 1 to 8 falls into.
pub(super) const HEARTBEAT_IDS: u128 = u128::MAX << 64;

impl Heartbeats {
    pub(super) fn new(welcome: &Welcome) -> Self {
        let interval = Duration::from_millis(u64::from(welcome.heartbeat_interval_ms.max(1)));
        Self { interval, last_sent: Instant::now(), sent: 0 }
    }

    pub(super) fn note_sent(&mut self) {
        self.last_sent = Instant::now();
    }

    pub(super) fn due(&mut self) -> Option<Command> {
        (self.last_sent.elapsed() >= self.interval).then(|| {
            self.sent += 1;
            Command {
                command_id: CommandId(HEARTBEAT_IDS | u128::from(self.sent)),
                created_at_ns: now_ns(),
                deadline_ns: 0,
                account: AccountName::EMPTY,
                action: Action::Heartbeat,
            }
        })
    }

    /// Everything but the answers to our own heartbeats.
    pub(super) fn keep(incoming: Incoming) -> Option<Incoming> {
        match &incoming {
            Incoming::Answer(answer) if answer.command_id.0 & HEARTBEAT_IDS == HEARTBEAT_IDS => None,
            _ => Some(incoming),
        }
    }
}
