//! How the loop waits for something to do.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tollgate_config::Idle;
use tollgate_protocol::event::Durability;

use super::Hot;
use crate::hot::sessions::Sessions;

/// How long the loop sleeps at most when it parks: the side port tells a sleeping thread from a stuck one by this.
const PARK: Duration = Duration::from_millis(50);
/// At most so many sessions are read every turn without a poll before.
const SESSIONS_READ_DIRECTLY: usize = 2;
/// Turns without a poll, in a row.
const TURNS_WITHOUT_POLL: u32 = 31;

impl Hot {
    /// Waits for something to do, as the idle strategy says.
    #[inline]
    pub(super) fn wait(&mut self) {
        if self.idle == Idle::Spin && self.reads_directly() {
            return;
        }
        let timeout = match self.idle {
            Idle::Spin => Duration::ZERO,
            Idle::Yield => {
                std::thread::yield_now();
                Duration::ZERO
            }
            Idle::Park => self.park_timeout(),
        };
        // An interrupted poll is a turn without events.
        let _ = self.poll.poll(&mut self.events, Some(timeout));
        if timeout > Duration::ZERO {
            self.bell.sleeping(false);
            self.core.metrics.parked.set(0);
            self.slept = true;
        }
        for event in &self.events {
            let Some(slot) = Sessions::slot_of(event.token()) else { continue };
            let Some(session) = self.sessions.get(slot) else { continue };
            session.read_closed |= event.is_read_closed() || event.is_error();
            session.readable |= event.is_readable() || session.read_closed;
            if event.is_writable() && session.blocked {
                session.blocked = false;
                self.sessions.touch(slot);
            }
        }
    }

    /// With a session or two it costs less to read them than to ask which can be read. The poll still has its turn: it
    /// knows which sockets can be written again.
    #[inline]
    fn reads_directly(&mut self) -> bool {
        if self.sessions.active().len() > SESSIONS_READ_DIRECTLY
            || self.turns_without_poll == TURNS_WITHOUT_POLL
        {
            self.turns_without_poll = 0;
            return false;
        }
        self.turns_without_poll += 1;
        for at in 0..self.sessions.active().len() {
            let slot = self.sessions.active()[at];
            if let Some(session) = self.sessions.get(slot) {
                session.readable = true;
            }
        }
        true
    }

    /// How long the poll may sleep: not at all when something waits. Announces the sleep to who rings the bell.
    fn park_timeout(&mut self) -> Duration {
        self.bell.sleeping(true);
        let waiting = !self.from_cold.is_empty()
            || !self.farewells.is_empty()
            || !self.sessions.is_clean()
            || self.core.venues.iter().any(|venue| !venue.reports.is_empty() || venue.held.is_some())
            || self.has_readable()
            || self.waits_for_lane()
            || self.stop.load(Ordering::Relaxed);
        if waiting {
            self.bell.sleeping(false);
            return Duration::ZERO;
        }
        // What became durable since the last write may go now; what becomes so later rings.
        if self.core.durability == Durability::Disk
            && self.core.journal.request_watermark_wake() != self.written_durable
        {
            self.bell.sleeping(false);
            return Duration::ZERO;
        }
        self.core.metrics.parked.set(1);
        PARK
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
