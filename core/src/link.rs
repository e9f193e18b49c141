//! What passes between the hot thread and the cold ones, by lanes.

use std::net::IpAddr;
use std::time::Instant;

use tollgate_protocol::logon::SessionMacs;
use tollgate_protocol::reject::Code;
use tollgate_protocol::text::{KeyId, Text};

/// A session that has logged on, handed from the door to the hot thread.
///
/// The door has sent the welcome and every event up to `next_event_sequence − 1`; the hot thread sends the rest.
pub struct Handover<S> {
    /// The connection, non-blocking.
    pub stream: S,
    /// Where from.
    pub address: IpAddr,
    /// The keys of both directions.
    pub macs: SessionMacs,
    /// The next frame sequence to be received.
    pub sequence_in: u64,
    /// The next frame sequence to be sent.
    pub sequence_out: u64,
    /// Bytes received already and not yet a frame: the client may have sent commands right behind its proof.
    pub received: Vec<u8>,
    /// The client, by its position in the settings.
    pub client: u16,
    /// The key it logged on with.
    pub grant: Grant,
    /// The next event that the session must get.
    pub next_event_sequence: u64,
    /// The session's number.
    pub session_id: u64,
    /// What the door may tell from the journal.
    pub watermark: Watermark,
    /// Since when the hot thread has given the session back, and there was nothing more to tell it.
    pub behind_since: Option<Instant>,
}

/// How far the journal is on the disk, as the hot thread last said. It matters for the class `disk` alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Watermark {
    /// The last record that is.
    pub sequence: u64,
    /// The disk has failed: it will never be more, and what is behind it is worth what the process is.
    pub is_final: bool,
}

/// What a key may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The key.
    pub key_id: KeyId,
    /// Place, replace and close.
    pub trade: bool,
    /// Cancel.
    pub cancel: bool,
    /// Query.
    pub read: bool,
    /// Halt and resume.
    pub operate: bool,
    /// Accounts, a bit for each position in the settings.
    pub accounts: u64,
    /// The key's own list of symbols is consulted; `false` when it may trade every one of its client's.
    pub symbols_restricted: bool,
    /// Symbols, a bit for each position in the settings.
    pub symbols: SymbolSet,
    /// The key ends at this time, nanoseconds since the Unix epoch; `u64::MAX` for never.
    pub expires_at_ns: u64,
}

impl Grant {
    /// True when the key's own list, if it has one, names the instrument.
    #[inline]
    pub fn names(&self, instrument: u16) -> bool {
        !self.symbols_restricted || self.symbols.contains(instrument)
    }

    /// What the journal keeps of it.
    pub fn authority(&self) -> crate::record::Authority {
        let bits = [self.trade, self.cancel, self.read, self.operate];
        let scopes = bits.iter().enumerate().fold(0, |scopes, (at, bit)| scopes | u8::from(*bit) << at);
        crate::record::Authority { scopes, accounts: self.accounts }
    }

    /// A grant for replays: what the journal kept, and every symbol of the client.
    pub fn replayed(authority: crate::record::Authority) -> Self {
        let bit = |at: u8| authority.scopes >> at & 1 == 1;
        Self {
            key_id: KeyId::EMPTY,
            trade: bit(0),
            cancel: bit(1),
            read: bit(2),
            operate: bit(3),
            accounts: authority.accounts,
            symbols_restricted: false,
            symbols: SymbolSet::EMPTY,
            expires_at_ns: u64::MAX,
        }
    }
}

/// The most instruments that a gateway may have.
pub const INSTRUMENTS_MAX: usize = 1024;
/// The most accounts that a gateway may have.
pub const ACCOUNTS_MAX: usize = 64;

/// A set of instruments, by their positions in the settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SymbolSet([u64; INSTRUMENTS_MAX / 64]);

impl SymbolSet {
    /// No instrument.
    pub const EMPTY: Self = Self([0; INSTRUMENTS_MAX / 64]);

    /// Adds an instrument.
    pub fn insert(&mut self, index: u16) {
        self.0[usize::from(index) / 64] |= 1 << (index % 64);
    }

    /// True when the instrument is in the set.
    #[inline]
    pub fn contains(&self, index: u16) -> bool {
        self.0.get(usize::from(index) / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }
}

/// What cold threads tell the hot one.
pub enum ToHot<S> {
    /// A session begins.
    Session(Box<Handover<S>>),
    /// A key was revoked, rotated or has expired: its sessions end.
    EndKey(KeyId),
    /// Write the state's digest into the journal, and tell it.
    Digest,
    /// Stop: end every session, write what is left.
    Stop,
}

/// What the hot thread tells cold ones.
pub enum FromHot<S> {
    /// A session ended; what it held is dropped on a cold thread.
    Ended {
        /// The session.
        session_id: u64,
        /// Its client.
        client: u16,
        /// Why, when the gateway ended it.
        code: Option<Code>,
        /// The connection broke: nobody said goodbye, and nobody was told anything.
        is_lost: bool,
        /// What it held.
        remains: Box<dyn std::any::Any + Send>,
    },
    /// The hot thread no longer remembers the events that a session still lacks: read them from the journal and
    /// hand it over again.
    Behind(Box<Handover<S>>),
    /// The digest that was asked for.
    Digest {
        /// The hash.
        hash: [u8; 32],
        /// The journal sequence of its record.
        sequence: u64,
    },
    /// Something for the log: rare, and already counted in the metrics.
    Notice(Text<127>),
}
