//! What the side port tells beside the counters.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use tollgate_journal::FlusherStatistics;
use tollgate_protocol::text::Text;

use crate::door::DoorState;
use crate::log_queue::LogStatistics;

/// What the process is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Phase {
    /// Settings are read, nothing is open yet.
    Starting = 0,
    /// The journal is read.
    Recovering = 1,
    /// Commands are served.
    Running = 2,
    /// Sessions are ended.
    Stopping = 3,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 4] = [Self::Starting, Self::Recovering, Self::Running, Self::Stopping];

    /// The phase's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Recovering => "recovering",
            Self::Running => "running",
            Self::Stopping => "stopping",
        }
    }
}

/// How the process stands. Written by the thread that starts and stops it, but for what is noted.
pub struct Status {
    phase: AtomicU8,
    /// Journal records that recovery has read so far.
    recovered_records: AtomicU64,
    instance: Text<31>,
    started_ns: u64,
    journal: OnceLock<Arc<FlusherStatistics>>,
    door: OnceLock<Arc<DoorState>>,
    log: OnceLock<Arc<LogStatistics>>,
}

impl Status {
    /// Of a process that starts now.
    pub fn new(instance: Text<31>) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Starting as u8),
            recovered_records: AtomicU64::new(0),
            instance,
            started_ns: now_ns(),
            journal: OnceLock::new(),
            door: OnceLock::new(),
            log: OnceLock::new(),
        }
    }

    /// The phase.
    pub fn phase(&self) -> Phase {
        let number = self.phase.load(Ordering::Acquire);
        Phase::ALL.get(usize::from(number)).copied().unwrap_or(Phase::Stopping)
    }

    /// Another phase begins.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Journal records that recovery has read so far.
    pub fn recovered_records(&self) -> u64 {
        self.recovered_records.load(Ordering::Relaxed)
    }

    /// Recovery has read so many journal records. Cheap enough for every thousandth.
    pub fn set_recovered_records(&self, count: u64) {
        self.recovered_records.store(count, Ordering::Relaxed);
    }

    /// The journal is open. Only the first call counts.
    pub fn set_journal(&self, statistics: Arc<FlusherStatistics>) {
        // A second journal in one process would be a mistake, and the first is the one that counts.
        let _ = self.journal.set(statistics);
    }

    /// The journal's own counters, once it is open.
    pub fn journal(&self) -> Option<&FlusherStatistics> {
        self.journal.get().map(Arc::as_ref)
    }

    /// The door is open. Only the first call counts.
    pub fn set_door(&self, state: Arc<DoorState>) {
        let _ = self.door.set(state);
    }

    /// How the door does, once it is open.
    pub fn door(&self) -> Option<&DoorState> {
        self.door.get().map(Arc::as_ref)
    }

    /// The log has begun. Only the first call counts.
    pub fn set_log(&self, statistics: Arc<LogStatistics>) {
        let _ = self.log.set(statistics);
    }

    /// What became of the log's lines, where there is a log.
    pub fn log(&self) -> Option<&LogStatistics> {
        self.log.get().map(Arc::as_ref)
    }

    /// The instance's name.
    pub fn instance(&self) -> &str {
        self.instance.as_str()
    }

    /// The program's version.
    pub fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// When the process started, nanoseconds since the Unix epoch.
    pub fn started_ns(&self) -> u64 {
        self.started_ns
    }
}

/// Nanoseconds since the Unix epoch.
pub(super) fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
