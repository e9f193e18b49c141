//! What can happen. A run is a list of steps; each is a move and a number from which everything random in it comes, so
//! that steps can be left out without changing the others.

use crate::random::Random;

macro_rules! moves {
    ($($(#[doc = $doc:literal])+ $name:ident = $weight:literal, $text:literal;)+) => {
        /// A move.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Move { $($(#[doc = $doc])+ $name,)+ }

        impl Move {
            /// Every move.
            pub const ALL: &[Move] = &[$(Move::$name,)+];

            /// How often each comes.
            const WEIGHTS: &[u64] = &[$($weight,)+];

            /// The name in traces and tables.
            pub const fn name(self) -> &'static str {
                match self { $(Move::$name => $text,)+ }
            }
        }
    };
}

moves! {
    /// A client places an order.
    New = 80, "new";
    /// A client cancels one of its orders, or another's.
    Cancel = 14, "cancel";
    /// A client changes an order.
    Replace = 24, "replace";
    /// A client closes a position.
    Close = 6, "close";
    /// A client cancels all of an account or symbol.
    CancelAll = 3, "cancel-all";
    /// A client closes all of an account or symbol.
    CloseAll = 3, "close-all";
    /// The operator (or somebody who may not) halts.
    Halt = 3, "halt";
    /// The operator (or somebody who may not) resumes.
    Resume = 5, "resume";
    /// A client asks.
    Query = 6, "query";
    /// A client says that it lives.
    Heartbeat = 4, "heartbeat";
    /// A client sends a command again, byte for byte.
    ResendSame = 12, "resend-same";
    /// A client sends other content under a used id.
    ResendChanged = 3, "resend-changed";
    /// A frame with a wrong tag comes.
    Forge = 2, "forge";
    /// A frame that was sent before comes again as it is.
    RepeatFrame = 2, "repeat-frame";
    /// Bytes that are no frame come.
    Garbage = 1, "garbage";
    /// Half a frame comes, and the rest does not.
    HalfFrame = 2, "half-frame";
    /// A client connects once more.
    Connect = 5, "connect";
    /// A connection breaks.
    Break = 4, "break";
    /// A client ends its half of a connection.
    HalfClose = 2, "half-close";
    /// A client says goodbye.
    Goodbye = 1, "goodbye";
    /// A client stops reading, or goes on.
    SlowReader = 3, "slow-reader";
    /// A connection splits what it carries.
    Split = 3, "split";
    /// A client sends many commands at once.
    Flood = 2, "flood";
    /// Time passes.
    Wait = 12, "wait";
    /// The wall clock is set forward.
    ClockForward = 2, "clock-forward";
    /// The wall clock is set back.
    ClockBack = 2, "clock-back";
    /// The price moves.
    Price = 30, "price";
    /// A venue's connection breaks, or comes back.
    VenueBreak = 5, "venue-break";
    /// The process is killed.
    Crash = 1, "crash";
    /// The process is killed at a record.
    CrashAtRecord = 3, "crash-at-record";
    /// The power fails.
    PowerCut = 1, "power-cut";
    /// The process is told to stop.
    Stop = 1, "stop";
    /// The disk is full.
    DiskFull = 1, "disk-full";
    /// Syncs hang.
    DiskHang = 2, "disk-hang";
    /// A sync fails.
    DiskFail = 1, "disk-fail";
    /// The disk is well again.
    DiskHeal = 10, "disk-heal";
    /// The operator asks for the state's digest.
    Digest = 3, "digest";
    /// A key is revoked.
    EndKey = 1, "end-key";
}

/// A step of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// What happens.
    pub action: Move,
    /// Where everything random in it comes from.
    pub noise: u64,
}

/// The steps of a seed. Each run has its own taste: some moves come often in it, and some never.
pub fn plan(seed: u64) -> Vec<Step> {
    let mut random = Random::new(seed ^ 0x0074_6f6c_6c67);
    let weights: Vec<u64> = Move::WEIGHTS
        .iter()
        .map(|weight| match random.below(10) {
            0 | 1 => 0,
            2 => weight * 4,
            _ => *weight,
        })
        .collect();
    let weights = if weights.iter().sum::<u64>() == 0 { Move::WEIGHTS.to_vec() } else { weights };
    let length = 40 + random.below(160);
    (0..length).map(|_| Step { action: Move::ALL[random.weighted(&weights)], noise: random.bits() }).collect()
}

/// The steps that some bytes mean: for a fuzzer. The first eight are the seed of everything else.
pub fn plan_of_bytes(bytes: &[u8]) -> (u64, Vec<Step>) {
    let (head, tail) = bytes.split_at(bytes.len().min(8));
    let mut word = [0; 8];
    word[..head.len()].copy_from_slice(head);
    let steps = tail.chunks_exact(3).map(|chunk| Step {
        action: Move::ALL[usize::from(chunk[0]) % Move::ALL.len()],
        noise: Random::new(u64::from(u16::from_le_bytes([chunk[1], chunk[2]]))).bits(),
    });
    (u64::from_le_bytes(word), steps.take(512).collect())
}
