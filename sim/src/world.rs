//! The clocks, and the world that the hot path runs in.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tollgate_core::World;

use crate::journal::{SharedDisk, SimJournal};
use crate::socket::{SharedPipe, SimSocket};

/// When every run begins, nanoseconds since the Unix epoch.
pub const START_NS: u64 = 1_700_000_000_000_000_000;

/// Both clocks. They stand still but for who moves them.
#[derive(Clone, Default)]
pub struct Clock(Arc<Hands>);

#[derive(Default)]
struct Hands {
    wall_ns: AtomicU64,
    wall_ns_max: AtomicU64,
    monotonic_ns: AtomicU64,
}

impl Clock {
    /// At the beginning of a run.
    pub fn new() -> Self {
        let clock = Self::default();
        clock.set_wall(START_NS);
        clock
    }

    /// The wall clock.
    pub fn wall_ns(&self) -> u64 {
        self.0.wall_ns.load(Ordering::Relaxed)
    }

    /// The latest that the wall clock has ever shown.
    pub fn wall_ns_max(&self) -> u64 {
        self.0.wall_ns_max.load(Ordering::Relaxed)
    }

    /// The clock that only goes forward.
    pub fn monotonic_ns(&self) -> u64 {
        self.0.monotonic_ns.load(Ordering::Relaxed)
    }

    /// Time passes.
    pub fn pass(&self, nanoseconds: u64) {
        self.0.monotonic_ns.fetch_add(nanoseconds, Ordering::Relaxed);
        self.set_wall(self.wall_ns() + nanoseconds);
    }

    /// Somebody sets the wall clock.
    pub fn set_wall(&self, wall_ns: u64) {
        self.0.wall_ns.store(wall_ns, Ordering::Relaxed);
        self.0.wall_ns_max.fetch_max(wall_ns, Ordering::Relaxed);
    }
}

/// The connections that the hot path has asked to hear of, by session slot.
#[derive(Clone, Default)]
pub struct Watched(Arc<Mutex<Vec<(u16, SharedPipe)>>>);

impl Watched {
    /// All of them.
    pub fn all(&self) -> Vec<(u16, SharedPipe)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The world.
pub struct SimWorld {
    /// Its clocks.
    pub clock: Clock,
    /// Its disk: while the hot path waits, syncs come back.
    pub disk: SharedDisk,
    /// Its poll.
    pub watched: Watched,
}

impl World for SimWorld {
    type Socket = SimSocket;
    type Journal = SimJournal;

    fn wall_ns(&mut self) -> u64 {
        self.clock.wall_ns()
    }

    fn monotonic_ns(&self) -> u64 {
        self.clock.monotonic_ns()
    }

    fn watch(&mut self, socket: &SimSocket, slot: u16) -> io::Result<()> {
        self.watched.0.lock().unwrap_or_else(PoisonError::into_inner).push((slot, socket.0.clone()));
        Ok(())
    }

    fn unwatch(&mut self, socket: &SimSocket) {
        let mut watched = self.watched.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|(_, pipe)| !pipe.is(&socket.0));
    }

    fn pause(&mut self) {
        self.clock.pass(1_000_000);
        let mut disk = self.disk.lock();
        let last = disk.last();
        disk.sync(last);
    }
}
