//! Logon: who the client is, and fresh session keys bound to everything both sides said.
//!
//! `hello → challenge → proof → welcome`. The transcript is the SHA-256 of the hello and challenge frames, whole.
//! An HMAC key proves itself by HMAC over the transcript, an Ed25519 key by a signature over it; the session keys
//! come by HKDF-SHA256 from the HMAC secret, or from X25519 of both ephemeral keys, with both nonces as salt and
//! the transcript in the info. Randomness is given by the caller.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use ring::{digest, hkdf, hmac};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::event::Durability;
use crate::mac::{FrameMac, MacAlgorithm};
use crate::reject::Code;
use crate::text::{KeyId, Text};
use crate::{wire_enum, wire_struct};

const PROOF_CONTEXT: &[u8] = b"tollgate v1 client proof";
const GATEWAY_CONTEXT: &[u8] = b"tollgate v1 gateway proof";
const CLIENT_TO_GATEWAY: &[u8] = b"tollgate v1 client to gateway";
const GATEWAY_TO_CLIENT: &[u8] = b"tollgate v1 gateway to client";

/// The shortest HMAC secret that is taken, in bytes.
pub const SECRET_BYTES_MIN: usize = 32;

/// Client → gateway, sequence 1: who I am and what I want.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The key's public name.
    pub key_id: KeyId,
    /// The MAC for the session.
    pub mac: MacAlgorithm,
    /// 32 fresh random bytes.
    pub nonce: [u8; 32],
    /// With an Ed25519 key, a fresh X25519 public key; with an HMAC key absent.
    pub ephemeral: Option<[u8; 32]>,
    /// The last event sequence seen: what came after it is sent first. Absent: only what happens from now on.
    pub resume_after: Option<u64>,
    /// The client's software, for the operator's page.
    pub software: Text<31>,
}

wire_struct!(Hello { key_id, mac, nonce, ephemeral, resume_after, software });

/// Gateway → client, sequence 1: prove it. Looks the same whether the key exists or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Challenge {
    /// 32 fresh random bytes.
    pub nonce: [u8; 32],
    /// A fresh X25519 public key, when the hello had one.
    pub ephemeral: Option<[u8; 32]>,
    /// The gateway's instance name.
    pub gateway: Text<31>,
}

wire_struct!(Challenge { nonce, ephemeral, gateway });

/// An Ed25519 signature, its two halves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Signature {
    /// Bytes 0 to 31.
    pub r: [u8; 32],
    /// Bytes 32 to 63.
    pub s: [u8; 32],
}

wire_struct!(Signature { r, s });

impl Signature {
    fn from_dalek(signature: &ed25519_dalek::Signature) -> Self {
        Self { r: *signature.r_bytes(), s: *signature.s_bytes() }
    }

    fn to_dalek(self) -> ed25519_dalek::Signature {
        ed25519_dalek::Signature::from_components(self.r, self.s)
    }
}

/// Client → gateway, sequence 2: the proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Proof {
    /// HMAC-SHA256 of context and transcript under the secret.
    Hmac([u8; 32]),
    /// Ed25519 over context and transcript.
    Ed25519(Signature),
}

wire_enum!(Proof { 0 = Hmac(part), 1 = Ed25519(part) });

/// Gateway → client, sequence 2, with a MAC: the session stands. That the MAC is right proves the gateway to
/// a client with an HMAC key; to one with an Ed25519 key the signature does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The session's number, for logs.
    pub session_id: u64,
    /// The gateway's time, nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// Send something at least this often.
    pub heartbeat_interval_ms: u32,
    /// After this much silence the session ends; if the client is configured so, its orders are cancelled.
    pub heartbeat_timeout_ms: u32,
    /// The sequence of the first event that will be sent: the one after `resume_after`, or the next new one.
    pub next_event_sequence: u64,
    /// The class of the journal.
    pub durability: Durability,
    /// With an Ed25519 key: the gateway's signature over its context and the transcript.
    pub signature: Option<Signature>,
}

wire_struct!(Welcome {
    session_id,
    time_ns,
    heartbeat_interval_ms,
    heartbeat_timeout_ms,
    next_event_sequence,
    durability,
    signature,
});

/// The end of a session, or none in the first place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Goodbye {
    /// Why.
    pub code: Code,
    /// Come back after this long; 0 when waiting changes nothing.
    pub retry_after_ms: u32,
}

wire_struct!(Goodbye { code, retry_after_ms });

/// The hash of everything both sides said before the proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transcript([u8; 32]);

impl Transcript {
    /// Of the hello and challenge frames, header and body.
    pub fn new(hello_frame: &[u8], challenge_frame: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(hello_frame);
        context.update(challenge_frame);
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        Self(hash)
    }

    fn message(&self, context: &[u8]) -> Vec<u8> {
        [context, &self.0[..]].concat()
    }
}

/// A client's secret, or an Ed25519 private key's seed. Zeroed when dropped, never shown.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. Never to be logged or written but to a file of mode 0600.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(masked)")
    }
}

/// What a client proves itself with.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A secret shared with the gateway, at least [`SECRET_BYTES_MIN`] bytes.
    Hmac(Secret),
    /// The seed (32 bytes) of an Ed25519 private key.
    Ed25519(Secret),
}

/// What the gateway checks a proof against.
#[derive(Clone, Debug)]
pub enum Verifier {
    /// The shared secret.
    Hmac(Secret),
    /// The Ed25519 public key.
    Ed25519([u8; 32]),
}

impl Credential {
    /// The proof for `transcript`; `None` when an Ed25519 seed is not 32 bytes.
    pub fn prove(&self, transcript: &Transcript) -> Option<Proof> {
        match self {
            Self::Hmac(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
                let mut tag = [0; 32];
                tag.copy_from_slice(hmac::sign(&key, &transcript.message(PROOF_CONTEXT)).as_ref());
                Some(Proof::Hmac(tag))
            }
            Self::Ed25519(seed) => {
                let signature = signing_key(seed)?.sign(&transcript.message(PROOF_CONTEXT));
                Some(Proof::Ed25519(Signature::from_dalek(&signature)))
            }
        }
    }

    /// What the gateway needs to know of this credential.
    pub fn verifier(&self) -> Option<Verifier> {
        match self {
            Self::Hmac(secret) => Some(Verifier::Hmac(secret.clone())),
            Self::Ed25519(seed) => Some(Verifier::Ed25519(signing_key(seed)?.verifying_key().to_bytes())),
        }
    }
}

impl Verifier {
    /// True when `proof` is right for `transcript`. Constant time in the secret.
    pub fn verify(&self, transcript: &Transcript, proof: &Proof) -> bool {
        match (self, proof) {
            (Self::Hmac(secret), Proof::Hmac(tag)) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
                hmac::verify(&key, &transcript.message(PROOF_CONTEXT), tag).is_ok()
            }
            (Self::Ed25519(public), Proof::Ed25519(signature)) => {
                VerifyingKey::from_bytes(public).is_ok_and(|key| {
                    key.verify_strict(&transcript.message(PROOF_CONTEXT), &signature.to_dalek()).is_ok()
                })
            }
            _ => false,
        }
    }
}

fn signing_key(seed: &Secret) -> Option<SigningKey> {
    let seed: &[u8; 32] = seed.expose().try_into().ok()?;
    Some(SigningKey::from_bytes(seed))
}

/// The gateway's signature over the transcript, with its identity key's seed.
pub fn sign_as_gateway(seed: &Secret, transcript: &Transcript) -> Option<Signature> {
    Some(Signature::from_dalek(&signing_key(seed)?.sign(&transcript.message(GATEWAY_CONTEXT))))
}

/// True when `signature` is the gateway's, by its identity's public key.
pub fn verify_gateway(public: &[u8; 32], transcript: &Transcript, signature: &Signature) -> bool {
    VerifyingKey::from_bytes(public).is_ok_and(|key| {
        key.verify_strict(&transcript.message(GATEWAY_CONTEXT), &signature.to_dalek()).is_ok()
    })
}

/// The public key of an Ed25519 seed.
pub fn public_key(seed: &Secret) -> Option<[u8; 32]> {
    Some(signing_key(seed)?.verifying_key().to_bytes())
}

/// A fresh X25519 key pair, from 32 random bytes.
pub struct Ephemeral(x25519_dalek::StaticSecret);

impl Ephemeral {
    /// From 32 random bytes that are used for nothing else.
    pub fn new(random: [u8; 32]) -> Self {
        Self(x25519_dalek::StaticSecret::from(random))
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        x25519_dalek::PublicKey::from(&self.0).to_bytes()
    }

    /// The shared secret with the other side's public half; `None` when that is a point of low order.
    pub fn agree(&self, other: &[u8; 32]) -> Option<Secret> {
        let shared = self.0.diffie_hellman(&x25519_dalek::PublicKey::from(*other));
        shared.was_contributory().then(|| Secret::new(shared.as_bytes().to_vec()))
    }
}

/// The MACs of both directions, keys prepared.
pub struct SessionMacs {
    /// Frames that the client sends.
    pub client_to_gateway: FrameMac,
    /// Frames that the gateway sends.
    pub gateway_to_client: FrameMac,
}

/// Derives the session's keys from the shared `secret` (the HMAC key's, or the agreed one).
pub fn session_macs(
    algorithm: MacAlgorithm,
    secret: &Secret,
    client_nonce: &[u8; 32],
    gateway_nonce: &[u8; 32],
    transcript: &Transcript,
) -> SessionMacs {
    let salt = [&client_nonce[..], &gateway_nonce[..]].concat();
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &salt).extract(secret.expose());
    let direction = |context: &[u8]| {
        let mut key = Zeroizing::new([0_u8; 32]);
        let info = [context, &transcript.0[..]];
        // 32 bytes are one block of HKDF-SHA256: neither call has a way to fail.
        let filled = extracted.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut key[..]));
        assert!(filled.is_ok(), "one block of HKDF always fits");
        FrameMac::new(algorithm, &key)
    };
    SessionMacs {
        client_to_gateway: direction(CLIENT_TO_GATEWAY),
        gateway_to_client: direction(GATEWAY_TO_CLIENT),
    }
}
