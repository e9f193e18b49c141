//! A connection while the door has it: frames of a logon in, challenge, welcome or refusal out.

use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate_protocol::frame::{self, FrameKind, HEADER_BYTES, Header};
use tollgate_protocol::logon::Goodbye;
use tollgate_protocol::reject::Code;

use super::logon::{BODY_BYTES_MAX, FRAME_BYTES_MAX};

/// Bytes that are taken from a client before it has proved itself.
const BUFFER_BYTES: usize = 512;
/// How long a refused client may take to close, so that it gets to read why.
const LINGER: Duration = Duration::from_millis(250);
/// Bytes that are taken from it meanwhile.
const LINGER_BYTES_MAX: usize = 16 * 1024;
/// A refusal fits into any socket's buffer; when it does not go out at once, it never will.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(100);

/// Why a connection ended at the door.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// It is refused.
    Refused(Goodbye),
    /// The proof is wrong, as too many before it: it is refused after so long.
    RefusedLate(Goodbye, Duration),
    /// The client is gone.
    Gone,
}

impl End {
    /// A refusal after which waiting `retry_after` helps.
    pub(super) fn refused(code: Code, retry_after: Duration) -> Self {
        let retry_after_ms = u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX);
        Self::Refused(Goodbye { code, retry_after_ms })
    }
}

/// A refusal that waiting does not change.
impl From<Code> for End {
    fn from(code: Code) -> Self {
        Self::refused(code, Duration::ZERO)
    }
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

/// A connection with its small buffer.
pub(super) struct Connection {
    stream: TcpStream,
    /// Where from.
    pub(super) address: IpAddr,
    buffer: Box<[u8; BUFFER_BYTES]>,
    filled: usize,
    /// The sequence of the next frame out.
    sequence_out: u64,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, address: IpAddr) -> Self {
        Self { stream, address, buffer: Box::new([0; BUFFER_BYTES]), filled: 0, sequence_out: 1 }
    }

    /// Waits for a whole frame of a logon, of `kind` and with `sequence`, and returns its length: it stands at the
    /// start of [`Connection::bytes`].
    pub(super) async fn receive(&mut self, kind: FrameKind, sequence: u64) -> Result<usize, End> {
        loop {
            if let Some(length) = self.complete(kind, sequence)? {
                return Ok(length);
            }
            match self.stream.read(&mut self.buffer[self.filled..]).await? {
                0 => return Err(End::Gone),
                count => self.filled += count,
            }
        }
    }

    /// The length of the first frame when it is whole. What is wrong with it is told by as few bytes as possible.
    fn complete(&self, kind: FrameKind, sequence: u64) -> Result<Option<usize>, Code> {
        let bytes = self.bytes();
        if let Some(header) = bytes.first_chunk::<HEADER_BYTES>() {
            let header = Header::parse(header)?;
            if header.kind != kind {
                return Err(Code::FrameKind);
            }
            if header.body_bytes > BODY_BYTES_MAX {
                return Err(Code::FrameTooLarge);
            }
            if header.sequence != sequence {
                return Err(Code::FrameSequence);
            }
        }
        Ok(frame::Frame::split(bytes)?.map(|frame| frame.header.frame_bytes()))
    }

    /// What was received and not yet taken.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Takes `count` bytes from the front.
    pub(super) fn take(&mut self, count: usize) {
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, frame: &[u8]) -> Result<(), End> {
        self.stream.write_all(frame).await?;
        self.sequence_out += 1;
        Ok(())
    }

    /// The connection, and what was received beyond the logon.
    pub(super) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        let received = self.bytes().to_vec();
        (self.stream, received)
    }

    /// Says why and closes. With `linger` it waits a moment for the client to read it: a connection that is
    /// closed with bytes unread is reset, which can overtake the refusal.
    pub(super) async fn refuse(mut self, goodbye: Goodbye, linger: bool) {
        let mut out = [0; FRAME_BYTES_MAX];
        let length = frame::encode(FrameKind::Refusal, self.sequence_out, &goodbye, None, &mut out);
        let write = self.stream.write_all(&out[..length.unwrap_or_default()]);
        let Ok(Ok(())) = tokio::time::timeout(REFUSAL_TIMEOUT, write).await else { return };
        if self.stream.shutdown().await.is_ok() && linger {
            // Whatever comes of it, the connection ends here.
            let _ = tokio::time::timeout(LINGER, self.drain()).await;
        }
    }

    async fn drain(&mut self) {
        let mut left = LINGER_BYTES_MAX;
        while left > 0 {
            match self.stream.read(&mut self.buffer[..]).await {
                Ok(0) | Err(_) => return,
                Ok(count) => left = left.saturating_sub(count),
            }
        }
    }
}
