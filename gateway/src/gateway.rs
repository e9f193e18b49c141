//! The gateway put together: recovery, venues, the hot thread, the door, the side port.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Poll, Token, Waker};
use tollgate_config::Settings;
use tollgate_contract::lane::{Bell, lane};
use tollgate_journal::{FlusherHandle, FlusherOptions, Room};
use tollgate_protocol::Text;
use tollgate_protocol::event::Durability;

use crate::door::{Digest, Door, DoorBell, DoorError, DoorHandle, DoorLinks, HistoryIndex};
use crate::hot_thread::{HotThread, System};
use crate::inherited::Inherited;
use crate::log_queue::LogStatistics;
use crate::side::{Phase, Side, SideError, SideHandle, Status};
use crate::venues::{self, VenueError, VenueHandle};
use tollgate_core::metrics::Metrics;
use tollgate_core::record::{Loss, PAYLOAD_BYTES_MAX, Record, Start};
use tollgate_core::recovery::{Recovery, RecoveryError};
use tollgate_core::{Hot, HotParts, State, StopFlag};

/// Messages between the hot thread and the door.
const DOOR_LANE: usize = 1024;

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal cannot be opened.
    #[error("{0}")]
    Journal(#[from] tollgate_journal::OpenError),
    /// The journal does not fit the settings.
    #[error("{0}")]
    Recovery(#[from] RecoveryError),
    /// The journal was written under another instance's name.
    #[error(
        "the journal in {} was written by instance {found:?}, and gateway.instance is {wanted:?}: set journal.directory to \
         the journal of {wanted:?}, or gateway.instance to {found:?}; to rename an instance, begin a new journal in an \
         empty directory once it is flat",
        .directory.display()
    )]
    OtherInstance {
        /// The journal's directory.
        directory: std::path::PathBuf,
        /// The journal's instance.
        found: String,
        /// The settings' instance.
        wanted: String,
    },
    /// The journal has no room for the records of a start.
    #[error("the journal takes no records: {0:?}; free some space on its disk")]
    JournalFull(tollgate_journal::AppendError),
    /// A venue cannot start.
    #[error("venue {name}: {source}")]
    Venue {
        /// Which.
        name: String,
        /// Why.
        source: VenueError,
    },
    /// The door cannot open.
    #[error("{0}")]
    Door(#[from] DoorError),
    /// The side port cannot open.
    #[error("{0}")]
    Side(#[from] SideError),
    /// The system refused a thread, a poll or random numbers.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// What a stop left undone.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The journal could not be made durable.
    #[error("{0}")]
    Journal(#[from] tollgate_journal::StopError),
    /// The hot thread ended by a broken invariant.
    #[error("the hot thread ended by a defect; the journal is whole, start again")]
    HotThread,
    /// The door's thread ended by a broken invariant.
    #[error("the door ended by a defect, so nobody could log on; the journal is whole, start again")]
    Door,
}

/// What can be chosen at a start beside the settings.
#[derive(Clone, Default)]
pub struct StartOptions {
    /// The journal's file system; tests put a failing one here.
    pub storage: Option<Arc<dyn tollgate_journal::testing::Storage>>,
    /// Called on the hot thread once everything it needs is made, before its first turn.
    pub on_hot_thread: Option<fn()>,
    /// Listeners that are open already.
    pub inherited: Inherited,
    /// What becomes of the log's lines, for metrics.
    pub log: Option<Arc<LogStatistics>>,
}

/// What a start found.
#[derive(Clone, Debug, Default)]
pub struct StartReport {
    /// Records in the journal.
    pub records: u64,
    /// Digests in the journal that the rebuilt state agreed with.
    pub digests: u64,
    /// How long recovery took.
    pub recovery_time: Duration,
    /// Orders that were open.
    pub open_orders: usize,
    /// The torn tail that was cut, in words.
    pub cut: Option<String>,
}

/// A running gateway.
pub struct Gateway {
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    status: Arc<Status>,
    report: StartReport,
    hot: JoinHandle<State>,
    stop: StopFlag,
    wake: Bell,
    door: DoorHandle,
    side: SideHandle,
    flusher: FlusherHandle,
    venues: Vec<Box<dyn VenueHandle>>,
}

impl Gateway {
    /// Starts everything; returns when clients can log on. The side port answers before recovery begins.
    pub fn start(settings: Settings, options: StartOptions) -> Result<Self, StartError> {
        let settings = Arc::new(settings);
        let metrics = Arc::new(Metrics::new(settings.venues.len(), settings.clients.len()));
        let status = Arc::new(Status::new(settings.gateway.instance));
        let Inherited { clients: door_listener, side: side_listener } = options.inherited.clone();
        if let Some(log) = &options.log {
            status.set_log(Arc::clone(log));
        }
        let side = Side::start_on(
            side_listener.as_deref(),
            Arc::clone(&settings),
            Arc::clone(&metrics),
            Arc::clone(&status),
        )?;
        status.set_phase(Phase::Recovering);

        let on_hot_thread = options.on_hot_thread;
        let Recovered { mut recovery, mut journal, flusher, mut report, history, accepted_loss } =
            recover(&settings, options)?;
        let names = recovery.names();
        let start = Record::Start(start_record(&settings));
        let loss = accepted_loss.map(loss_record);
        for record in loss.iter().chain(&names).chain([&start]) {
            let now_ns = wall_ns();
            let written = journal
                .append(Room::Start, record.kind(), now_ns, PAYLOAD_BYTES_MAX, |out| record.encode(out));
            let sequence = written.map_err(StartError::JournalFull)?;
            recovery.state.apply(sequence, now_ns, record);
        }
        for (counter, sequence) in metrics.event_sequences.iter().zip(&recovery.state.event_sequences) {
            counter.set(*sequence);
        }
        report.open_orders = recovery.state.orders.open_count();
        status.set_recovered_records(report.records);
        status.set_journal(flusher.statistics());

        let poll = Poll::new().map_err(|source| StartError::System { what: "cannot make a poll", source })?;
        let waker = Waker::new(poll.registry(), Token(0));
        let waker = waker.map_err(|source| StartError::System { what: "cannot make a waker", source })?;
        let waker = Arc::new(waker);
        let woken = Arc::clone(&waker);
        // A waker whose poll is gone has nobody to wake.
        let bell = Bell::new(Arc::new(move || drop(woken.wake())));
        flusher.set_watermark_waker(Box::new(move || drop(waker.wake())));

        let world =
            System::new(&poll).map_err(|source| StartError::System { what: "cannot make a poll", source })?;
        let (venue_parts, venues) = venues::start(&settings, &bell)?;
        let door_bell = DoorBell::new();
        let (to_hot, from_cold) = lane(DOOR_LANE, 16, bell.clone());
        let (to_cold, from_hot) = lane(DOOR_LANE, 16, door_bell.bell.clone());
        let stop: StopFlag = Arc::new(AtomicBool::new(false));
        let parts = HotParts {
            state: recovery.state,
            journal,
            venues: venue_parts,
            from_cold,
            to_cold,
            world,
            metrics: Arc::clone(&metrics),
            stop: Arc::clone(&stop),
        };
        let links = DoorLinks { to_hot, from_hot, bell: door_bell, history: Some(history) };
        let door =
            Door::start_on(door_listener.as_deref(), Arc::clone(&settings), Arc::clone(&metrics), links)?;
        status.set_door(Arc::clone(door.state()));
        let hot = spawn_hot(&settings, parts, poll, bell.clone(), on_hot_thread)?;
        status.set_phase(Phase::Running);
        Ok(Self { settings, metrics, status, report, hot, stop, wake: bell, door, side, flusher, venues })
    }

    /// Where clients log on.
    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// Where health and metrics are.
    pub fn side_address(&self) -> SocketAddr {
        self.side.address()
    }

    /// The counters.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The settings.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// What the start found.
    pub fn report(&self) -> &StartReport {
        &self.report
    }

    /// The venue at this position in the settings; `None` when there is none, or when it is of another kind.
    pub fn venue<V: VenueHandle>(&self, position: usize) -> Option<&V> {
        let venue: &dyn Any = self.venues.get(position)?.as_ref();
        venue.downcast_ref()
    }

    /// Writes the state's digest into the journal; `None` when the hot thread does not answer in time.
    pub fn digest(&self, timeout: Duration) -> Option<Digest> {
        self.door.digest(timeout)
    }

    /// The keys file is read now, whether it has changed or not. Returns at once.
    pub fn read_keys(&self) {
        self.door.read_keys();
    }

    /// True while the gateway does what it is for. Without its door it must stop: nobody could log on to cancel, and no
    /// key could be revoked.
    pub fn is_running(&self) -> bool {
        !self.hot.is_finished() && self.door.is_running()
    }

    /// Stops in order: no more logons, sessions told, venues, journal. Gives back the state as it ended.
    pub fn stop(self) -> Result<State, StopError> {
        self.status.set_phase(Phase::Stopping);
        let had_door = self.door.is_running();
        self.stop.store(true, Ordering::Release);
        self.wake.ring();
        let state = self.hot.join().map_err(|_| StopError::HotThread);
        self.door.stop();
        for (venue, settings) in self.venues.into_iter().zip(&self.settings.venues) {
            if !venue.stop() {
                tracing::error!(venue = settings.name.as_str(), "the venue's thread ended by a defect");
            }
        }
        self.side.stop();
        let flushed = self.flusher.stop();
        let state = state?;
        flushed?;
        if had_door { Ok(state) } else { Err(StopError::Door) }
    }
}

fn wall_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

fn loss_record(loss: tollgate_journal::AcceptedLoss) -> Record {
    Record::Loss(Loss {
        expected_identity: loss.expected_identity,
        lost_sequence: loss.lost_sequence,
        kept_sequence: loss.kept_sequence,
        accepted_ns: loss.accepted_ns,
    })
}

fn start_record(settings: &Settings) -> Start {
    Start {
        version: Text::truncated(env!("CARGO_PKG_VERSION")),
        instance: settings.gateway.instance,
        durability: settings.journal.durability,
    }
}

/// The empty state that settings ask for.
pub fn empty_state(settings: &Settings) -> State {
    let mut seed = [0; 8];
    // The seed only keeps hash indexes from being steered; without randomness they still work.
    let _ = getrandom::fill(&mut seed);
    State::empty(settings, u64::from_le_bytes(seed))
}

/// The journal's settings.
pub fn journal_settings(settings: &Settings) -> tollgate_journal::Settings {
    let journal = &settings.journal;
    let mut out = tollgate_journal::Settings::new(&journal.directory);
    out.segment_bytes = journal.segment_bytes;
    out.reserve_bytes = journal.reserve_bytes;
    out.durability = match journal.durability {
        Durability::None => tollgate_journal::Durability::None,
        Durability::Process => tollgate_journal::Durability::Process,
        Durability::Disk => tollgate_journal::Durability::Disk,
    };
    out.flush_interval = Duration::from_millis(u64::from(journal.flush_interval_ms));
    out.sync_timeout = Duration::from_millis(u64::from(journal.sync_timeout_ms));
    out.head_file = Some(journal_head_file(settings));
    out
}

/// The journal's head outside of its directory: among the gateway's other files, so that a journal is missed that is gone.
pub fn journal_head_file(settings: &Settings) -> std::path::PathBuf {
    let mut name = settings.journal.directory.file_name().unwrap_or_default().to_owned();
    name.push(".head");
    settings.gateway.directory.join(name)
}

/// What a start continues from.
struct Recovered {
    recovery: Recovery,
    journal: tollgate_journal::Appender,
    flusher: FlusherHandle,
    report: StartReport,
    history: HistoryIndex,
    /// To be recorded first.
    accepted_loss: Option<tollgate_journal::AcceptedLoss>,
}

fn recover(settings: &Settings, options: StartOptions) -> Result<Recovered, StartError> {
    let began = Instant::now();
    let mut recovery = Recovery::new(empty_state(settings));
    let mut history = HistoryIndex::new(settings);
    let mut failed = None;
    let visit = |record: tollgate_journal::Record<'_>| {
        if failed.is_some() {
            return;
        }
        match recovery.take(&record) {
            Ok(taken) => history.take(&record, &taken),
            Err(error) => failed = Some(error),
        }
    };
    let journal = journal_settings(settings);
    let opened = match options.storage {
        Some(storage) => tollgate_journal::testing::open_with(&journal, storage, visit)?,
        None => tollgate_journal::open(&journal, visit)?,
    };
    if let Some(error) = failed {
        return Err(error.into());
    }
    check_instance(&recovery, settings)?;
    for warning in &opened.recovery.warnings {
        tracing::warn!("{warning}");
    }
    let flusher = opened.flusher.spawn(&FlusherOptions { name: "tollgate-flush".to_owned(), core: None });
    let flusher =
        flusher.map_err(|source| StartError::System { what: "cannot start the flusher", source })?;
    let report = StartReport {
        records: recovery.records,
        digests: recovery.digests,
        recovery_time: began.elapsed(),
        open_orders: 0,
        cut: opened.recovery.cut.as_ref().map(|cut| {
            format!(
                "{} bytes at offset {} of segment {}, saved to {}",
                cut.bytes,
                cut.offset,
                cut.segment,
                cut.saved_to.display()
            )
        }),
    };
    let accepted_loss = opened.recovery.accepted_loss;
    Ok(Recovered { recovery, journal: opened.appender, flusher, report, history, accepted_loss })
}

/// Orders carry the instance's name at their venues: under another name nothing that is open would be known again.
fn check_instance(recovery: &Recovery, settings: &Settings) -> Result<(), StartError> {
    let wanted = settings.gateway.instance;
    match recovery.instance {
        Some(found) if found != wanted => Err(StartError::OtherInstance {
            directory: settings.journal.directory.clone(),
            found: found.to_string(),
            wanted: wanted.to_string(),
        }),
        _ => Ok(()),
    }
}

fn spawn_hot(
    settings: &Arc<Settings>,
    parts: HotParts<System>,
    poll: Poll,
    bell: Bell,
    on_hot_thread: Option<fn()>,
) -> Result<JoinHandle<State>, StartError> {
    let settings = Arc::clone(settings);
    let thread = std::thread::Builder::new().name("tollgate-hot".to_owned());
    let spawned = thread.spawn(move || {
        if let Some(core) = settings.hot.core
            && !core_affinity::set_for_current(core_affinity::CoreId { id: core })
        {
            tracing::warn!(
                core,
                "the hot thread could not be pinned to hot.core; it runs where the system puts it"
            );
        }
        let thread = HotThread::new(Hot::new(&settings, parts), poll, bell, settings.hot.idle);
        if let Some(call) = on_hot_thread {
            call();
        }
        thread.run()
    });
    spawned.map_err(|source| StartError::System { what: "cannot start the hot thread", source })
}
