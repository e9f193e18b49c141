//! The gateway's side of a logon, without I/O.

use tollgate_protocol::frame::{self, FrameKind};
use tollgate_protocol::logon::{
    Challenge, Ephemeral, Hello, Proof, Secret, SessionMacs, Signature, Transcript, Verifier, public_key,
    session_macs, sign_as_gateway,
};
use tollgate_protocol::text::Text;

/// The longest body of a hello or a proof. What is longer is not a logon, and is refused by its header alone.
pub(super) const BODY_BYTES_MAX: usize = 192;
/// The longest frame of a logon, either way; a welcome is the longest.
pub(super) const FRAME_BYTES_MAX: usize = 256;

/// A logon between challenge and proof.
pub(super) struct Challenged {
    hello: Hello,
    nonce: [u8; 32],
    ephemeral: Option<Ephemeral>,
    transcript: Transcript,
}

/// Whom the proof of a key that does not exist is checked against, so that it takes as long.
pub(super) struct Nobody {
    hmac: Verifier,
    ed25519: Verifier,
}

/// Fresh randomness, or the system's error.
pub(super) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

impl Nobody {
    /// From 64 random bytes that nobody keeps.
    pub(super) fn new(random: &[u8; 64]) -> Self {
        let (secret, seed) = random.split_at(32);
        let public = public_key(&Secret::new(seed.to_vec())).unwrap_or_default();
        Self { hmac: Verifier::Hmac(Secret::new(secret.to_vec())), ed25519: Verifier::Ed25519(public) }
    }
}

impl Challenged {
    /// Answers `hello`, whose whole frame is `hello_frame`, with 64 fresh random bytes; writes the challenge into
    /// `out` and returns its length.
    pub(super) fn new(
        hello: Hello,
        hello_frame: &[u8],
        gateway: Text<31>,
        random: &[u8; 64],
        out: &mut [u8; FRAME_BYTES_MAX],
    ) -> (Self, usize) {
        let (mut nonce, mut seed) = ([0; 32], [0; 32]);
        nonce.copy_from_slice(&random[..32]);
        seed.copy_from_slice(&random[32..]);
        let ephemeral = hello.ephemeral.is_some().then(|| Ephemeral::new(seed));
        let body = Challenge { nonce, ephemeral: ephemeral.as_ref().map(Ephemeral::public), gateway };
        let length = frame::encode(FrameKind::Challenge, 1, &body, None, out);
        assert!(length.is_some(), "a challenge fits FRAME_BYTES_MAX");
        let length = length.unwrap_or_default();
        let transcript = Transcript::new(hello_frame, &out[..length]);
        (Self { hello, nonce, ephemeral, transcript }, length)
    }

    /// What the client said.
    pub(super) fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The session's keys when `proof` is right by `verifier`. Without a verifier, or with one of another kind, as
    /// much work is done before the answer is no.
    pub(super) fn prove(
        &self,
        proof: &Proof,
        verifier: Option<&Verifier>,
        nobody: &Nobody,
    ) -> Option<SessionMacs> {
        let stand_in = match proof {
            Proof::Hmac(_) => &nobody.hmac,
            Proof::Ed25519(_) => &nobody.ed25519,
        };
        let fitting = verifier.filter(|it| {
            matches!(
                (it, proof),
                (Verifier::Hmac(_), Proof::Hmac(_)) | (Verifier::Ed25519(_), Proof::Ed25519(_))
            )
        });
        if !fitting.unwrap_or(stand_in).verify(&self.transcript, proof) {
            return None;
        }
        match fitting? {
            // An ephemeral key is what a client with an Ed25519 key has; here it would be agreed on with nobody.
            Verifier::Hmac(_) if self.hello.ephemeral.is_some() => None,
            Verifier::Hmac(secret) => Some(self.macs(secret)),
            Verifier::Ed25519(_) => {
                let agreed = self.ephemeral.as_ref()?.agree(&self.hello.ephemeral?)?;
                Some(self.macs(&agreed))
            }
        }
    }

    /// The gateway's own proof, for a client with an Ed25519 key.
    pub(super) fn sign(&self, identity: &Secret) -> Option<Signature> {
        self.hello.ephemeral.and_then(|_| sign_as_gateway(identity, &self.transcript))
    }

    fn macs(&self, secret: &Secret) -> SessionMacs {
        session_macs(self.hello.mac, secret, &self.hello.nonce, &self.nonce, &self.transcript)
    }
}
