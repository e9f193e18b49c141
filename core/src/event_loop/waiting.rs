//! Between turns: what whoever turns must know to wait, and what it tells when it has waited.

use std::sync::atomic::Ordering;

use tollgate_journal::Append;
use tollgate_protocol::event::Durability;

use super::Hot;
use crate::metrics::Metrics;
use crate::world::World;

/// What a poll said of a session's socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Readiness {
    /// There may be bytes to read.
    pub readable: bool,
    /// It takes bytes again.
    pub writable: bool,
    /// The other side has ended, or the connection is broken.
    pub closed: bool,
}

impl<W: World> Hot<W> {
    /// True when it was told to stop: [`end`](Self::end) is next.
    #[inline]
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// How many sessions there are.
    #[inline]
    pub fn session_count(&self) -> usize {
        self.sessions.active().len()
    }

    /// The next turn reads every session, without a poll before.
    #[inline]
    pub fn read_all(&mut self) {
        for at in 0..self.sessions.active().len() {
            let slot = self.sessions.active()[at];
            if let Some(session) = self.sessions.get(slot) {
                session.readable = true;
            }
        }
    }

    /// A poll has something to say of the socket of the session in `slot`.
    #[inline]
    pub fn ready(&mut self, slot: u16, readiness: Readiness) {
        let Some(session) = self.sessions.get(slot) else { return };
        session.read_closed |= readiness.closed;
        session.readable |= readiness.readable || session.read_closed;
        if readiness.writable && session.blocked {
            session.blocked = false;
            self.sessions.touch(slot);
        }
    }

    /// Time has passed since the last turn in which there was nothing to do: it is no part of the turn's length.
    #[inline]
    pub fn slept(&mut self) {
        self.slept = true;
    }

    /// True when the next turn has something to do.
    pub fn has_work(&mut self) -> bool {
        !self.from_cold.is_empty()
            || !self.farewells.is_empty()
            || !self.sessions.is_clean()
            || self.core.venues.iter().any(|venue| !venue.reports.is_empty() || venue.held.is_some())
            || self.has_readable()
            || self.waits_for_lane()
            || self.stop.load(Ordering::Relaxed)
    }

    /// The watermark that the last write went by, when what became durable since may go now.
    #[inline]
    pub fn awaits_watermark(&self) -> Option<u64> {
        (self.core.durability == Durability::Disk).then_some(self.written_durable)
    }

    /// The journal.
    #[inline]
    pub fn journal(&self) -> &W::Journal {
        &self.core.journal
    }

    /// The counters.
    #[inline]
    pub fn metrics(&self) -> &Metrics {
        &self.core.metrics
    }

    fn has_readable(&mut self) -> bool {
        (0..self.sessions.active().len()).any(|at| {
            let slot = self.sessions.active()[at];
            self.sessions.get(slot).is_some_and(|session| session.readable && session.ending.is_none())
        })
    }

    fn waits_for_lane(&self) -> bool {
        let durable = self.core.journal.durable_sequence();
        self.core
            .venues
            .iter()
            .any(|venue| venue.outbox.is_ready(durable) && venue.requests.fits_more_than(0))
    }
}
