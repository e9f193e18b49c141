//! A client's side of logon and session, without I/O: bytes in, bytes out.

use crate::answer::Answer;
use crate::command::Command;
use crate::event::Event;
use crate::frame::{self, FRAME_BYTES_MAX, Frame, FrameKind};
use crate::logon::{
    Challenge, Credential, Ephemeral, Goodbye, Hello, SessionMacs, Transcript, Welcome, session_macs,
    verify_gateway,
};
use crate::mac::MacAlgorithm;
use crate::reject::Code;
use crate::text::{KeyId, Text};
use crate::wire::Wire;

/// Why a logon or a session ended, seen from the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SessionError {
    /// The gateway said so.
    #[error("the gateway ended the session: {} ({})", .0.code, .0.code.meaning())]
    Ended(Goodbye),
    /// What came is not a valid frame of a gateway.
    #[error("not a valid frame from the gateway: {0}")]
    Invalid(Code),
    /// The gateway could not prove who it is.
    #[error("the gateway's identity could not be verified: check the pinned public key")]
    GatewayUnverified,
    /// The credential cannot be used.
    #[error("the credential is unusable: an Ed25519 seed has 32 bytes")]
    CredentialInvalid,
}

/// What a client logs on with.
#[derive(Clone, Debug)]
pub struct LogonRequest {
    /// The key's public name.
    pub key_id: KeyId,
    /// Its secret.
    pub credential: Credential,
    /// The MAC wanted.
    pub mac: MacAlgorithm,
    /// The last event seen, or only what is new.
    pub resume_after: Option<u64>,
    /// For Ed25519 keys: the gateway's public identity key. Without it the gateway is not verified.
    pub gateway_public_key: Option<[u8; 32]>,
    /// The client's software, shown to the operator.
    pub software: Text<31>,
}

/// A logon between hello and challenge.
pub struct HelloSent {
    request: LogonRequest,
    hello: Hello,
    ephemeral: Option<Ephemeral>,
    frame: Vec<u8>,
}

/// A logon between proof and welcome.
pub struct ProofSent {
    macs: SessionMacs,
    transcript: Transcript,
    gateway_public_key: Option<[u8; 32]>,
}

/// A session that stands.
pub struct ClientSession {
    macs: SessionMacs,
    sequence_out: u64,
    sequence_in: u64,
}

/// What a gateway sends in a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incoming {
    /// A numbered event.
    Event(Event),
    /// A direct answer.
    Answer(Answer),
    /// The session ends.
    Goodbye(Goodbye),
}

impl LogonRequest {
    /// Begins a logon with 64 fresh random bytes; the second value is the frame to send.
    pub fn start(self, random: &[u8; 64]) -> (HelloSent, Vec<u8>) {
        let (nonce, ephemeral_seed) = halves(random);
        let ephemeral =
            matches!(self.credential, Credential::Ed25519(_)).then(|| Ephemeral::new(ephemeral_seed));
        let hello = Hello {
            key_id: self.key_id,
            mac: self.mac,
            nonce,
            ephemeral: ephemeral.as_ref().map(Ephemeral::public),
            resume_after: self.resume_after,
            software: self.software,
        };
        let frame = encoded(FrameKind::Hello, 1, &hello);
        (HelloSent { request: self, hello, ephemeral, frame: frame.clone() }, frame)
    }
}

fn halves(random: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let (mut first, mut second) = ([0; 32], [0; 32]);
    first.copy_from_slice(&random[..32]);
    second.copy_from_slice(&random[32..]);
    (first, second)
}

fn encoded<T: Wire>(kind: FrameKind, sequence: u64, body: &T) -> Vec<u8> {
    let mut out = vec![0; FRAME_BYTES_MAX];
    let length = frame::encode(kind, sequence, body, None, &mut out);
    out.truncate(length.unwrap_or_default());
    out
}

/// A frame that must be of `kind`, where a refusal may stand in its place.
fn expect(frame: &Frame<'_>, kind: FrameKind, sequence: u64) -> Result<(), SessionError> {
    if frame.header.kind == FrameKind::Refusal {
        return Err(SessionError::Ended(frame.body().map_err(SessionError::Invalid)?));
    }
    if frame.header.kind != kind {
        return Err(SessionError::Invalid(Code::FrameKind));
    }
    if frame.header.sequence != sequence {
        return Err(SessionError::Invalid(Code::FrameSequence));
    }
    Ok(())
}

impl HelloSent {
    /// Answers the challenge; the second value is the frame to send.
    pub fn challenged(self, challenge: &Frame<'_>) -> Result<(ProofSent, Vec<u8>), SessionError> {
        expect(challenge, FrameKind::Challenge, 1)?;
        let body: Challenge = challenge.body().map_err(SessionError::Invalid)?;
        let transcript = Transcript::new(&self.frame, challenge.covered);
        let agreed = match (&self.request.credential, &self.ephemeral, &body.ephemeral) {
            (Credential::Hmac(secret), _, _) => secret.clone(),
            (Credential::Ed25519(_), Some(own), Some(theirs)) => {
                own.agree(theirs).ok_or(SessionError::Invalid(Code::FrameBody))?
            }
            _ => return Err(SessionError::Invalid(Code::FrameBody)),
        };
        let proof = self.request.credential.prove(&transcript).ok_or(SessionError::CredentialInvalid)?;
        let macs = session_macs(self.request.mac, &agreed, &self.hello.nonce, &body.nonce, &transcript);
        let sent = ProofSent { macs, transcript, gateway_public_key: self.request.gateway_public_key };
        Ok((sent, encoded(FrameKind::Proof, 2, &proof)))
    }
}

impl ProofSent {
    /// Takes the welcome: from here on the session stands.
    pub fn welcomed(self, welcome: &Frame<'_>) -> Result<(ClientSession, Welcome), SessionError> {
        expect(welcome, FrameKind::Welcome, 2)?;
        welcome.authenticate(&self.macs.gateway_to_client, 2).map_err(SessionError::Invalid)?;
        let body: Welcome = welcome.body().map_err(SessionError::Invalid)?;
        if let Some(public) = &self.gateway_public_key {
            let verified =
                body.signature.is_some_and(|signature| verify_gateway(public, &self.transcript, &signature));
            if !verified {
                return Err(SessionError::GatewayUnverified);
            }
        }
        Ok((ClientSession { macs: self.macs, sequence_out: 3, sequence_in: 3 }, body))
    }
}

impl ClientSession {
    /// Signs `command` into `out`, which must have [`FRAME_BYTES_MAX`] bytes, and returns the frame's length.
    pub fn sign(&mut self, command: &Command, out: &mut [u8]) -> usize {
        self.seal(FrameKind::Command, command, out)
    }

    /// Signs a goodbye into `out`: orders stay as they are, whatever cancel-on-disconnect says.
    pub fn goodbye(&mut self, out: &mut [u8]) -> usize {
        self.seal(FrameKind::Goodbye, &Goodbye { code: Code::SessionShutdown, retry_after_ms: 0 }, out)
    }

    fn seal<T: Wire>(&mut self, kind: FrameKind, body: &T, out: &mut [u8]) -> usize {
        let length = frame::encode(kind, self.sequence_out, body, Some(&self.macs.client_to_gateway), out);
        self.sequence_out += 1;
        assert!(length.is_some(), "the buffer has FRAME_BYTES_MAX bytes, and every body fits");
        length.unwrap_or_default()
    }

    /// Checks and decodes a frame of the gateway.
    pub fn open(&mut self, frame: &Frame<'_>) -> Result<Incoming, SessionError> {
        frame.authenticate(&self.macs.gateway_to_client, self.sequence_in).map_err(SessionError::Invalid)?;
        self.sequence_in += 1;
        let incoming = match frame.header.kind {
            FrameKind::Event => frame.body().map(Incoming::Event),
            FrameKind::Answer => frame.body().map(Incoming::Answer),
            FrameKind::Goodbye => frame.body().map(Incoming::Goodbye),
            _ => Err(Code::FrameKind),
        };
        incoming.map_err(SessionError::Invalid)
    }
}
