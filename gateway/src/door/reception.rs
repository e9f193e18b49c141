//! What the door's tasks share, and the tasks.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tollgate_config::Settings;
use tollgate_contract::lane::{Receiver, Sender};
use tollgate_protocol::event::Durability;
use tollgate_protocol::frame::{Frame, FrameKind};
use tollgate_protocol::logon::{Hello, Proof, SessionMacs, Signature};
use tollgate_protocol::reject::Code;
use tollgate_protocol::text::KeyId;

use super::connection::{Connection, End};
use super::failures::{Failures, Verdict};
use super::history::{History, HistoryIndex};
use super::hot_link::HotLink;
use super::keys::{Key, KeyTable};
use super::logon::{Challenged, FRAME_BYTES_MAX, Nobody, random};
use super::quiet::Quiet;
use super::sessions::Sessions;
use super::state::{DoorState, Task};
use super::waiting::Waiting;
use super::{Control, Digest, DoorBell, READERS_MAX};
use crate::link::{FromHot, ToHot};
use tollgate_core::metrics::Metrics;

/// A client that is refused for lack of room may come back after this.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often it is looked for keys that have expired.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long the hot thread may take to end its sessions.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// A pause after a failure to accept: most often there is no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Before a task that ended by a defect begins again.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// What the tasks share. They all run on one thread, and none holds a borrow while it waits.
pub(super) struct Reception {
    pub(super) settings: Arc<Settings>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) history: Option<Arc<History>>,
    pub(super) hot: RefCell<HotLink>,
    pub(super) sessions: RefCell<Sessions<Arc<Key>>>,
    pub(super) stopping: Cell<bool>,
    /// A permit for each thread that may read the journal.
    pub(super) readers: Semaphore,
    pub(super) keys: RefCell<Arc<KeyTable>>,
    /// How the door does, for others to see.
    pub(super) state: Arc<DoorState>,
    /// Somebody wants the keys file to be read now.
    pub(super) keys_wanted: Notify,
    /// Keys that had expired by then have been ended, nanoseconds since the Unix epoch.
    expiry_seen_ns: Cell<u64>,
    waiting: RefCell<Waiting>,
    failures: RefCell<Failures>,
    quiet: RefCell<Quiet>,
    nobody: Nobody,
    /// Refused connections that are still given time to read why.
    lingering: Cell<usize>,
    digests: RefCell<Vec<std::sync::mpsc::Sender<Digest>>>,
}

/// A client that has proved who he is.
pub(super) struct LoggedOn {
    pub(super) hello: Hello,
    pub(super) key: Arc<Key>,
    pub(super) macs: SessionMacs,
    pub(super) signature: Option<Signature>,
}

/// Nanoseconds since the Unix epoch.
pub(super) fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// A number that no earlier process gave a session: milliseconds since the epoch and 10 bits to count in, which
/// stays exact even where numbers are floating point.
fn first_session_number() -> u64 {
    (now_ns() / 1_000_000) << 10
}

impl Reception {
    pub(super) fn new(
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
        to_hot: Sender<ToHot>,
        history: Option<HistoryIndex>,
        state: Arc<DoorState>,
        random: &[u8; 64],
    ) -> Rc<Self> {
        let limits = &settings.sessions;
        let block = Duration::from_secs(u64::from(limits.logon_block_seconds));
        let history = (settings.journal.durability != Durability::None).then(|| {
            let index = history.unwrap_or_else(|| HistoryIndex::new(&settings));
            Arc::new(History::new(settings.journal.directory.clone(), index))
        });
        let sessions =
            Sessions::new(limits.sessions_max, limits.sessions_per_client_max, first_session_number());
        let keys = KeyTable::new(&settings.keys, &settings);
        metrics.door_keys.set(keys.len() as u64);
        Rc::new(Self {
            waiting: RefCell::new(Waiting::new(
                limits.unauthenticated_max,
                limits.unauthenticated_per_address_max,
            )),
            failures: RefCell::new(Failures::new(limits.logon_failures_max, block)),
            quiet: RefCell::new(Quiet::new()),
            nobody: Nobody::new(random),
            keys: RefCell::new(Arc::new(keys)),
            state,
            keys_wanted: Notify::new(),
            expiry_seen_ns: Cell::new(now_ns()),
            hot: RefCell::new(HotLink::new(to_hot)),
            sessions: RefCell::new(sessions),
            lingering: Cell::new(0),
            stopping: Cell::new(false),
            readers: Semaphore::new(READERS_MAX),
            digests: RefCell::new(Vec::new()),
            history,
            settings,
            metrics,
        })
    }

    /// Runs until the door is closed and the hot thread gone.
    pub(super) async fn run(
        self: Rc<Self>,
        listener: TcpListener,
        from_hot: Receiver<FromHot>,
        bell: DoorBell,
        mut controls: UnboundedReceiver<Control>,
    ) {
        let (listener, from_hot) = (Rc::new(listener), Rc::new(RefCell::new(from_hot)));
        let bell = Rc::new(bell);
        let accepting =
            self.supervise(Task::Accept, move |own: &Rc<Self>| Rc::clone(own).accept(Rc::clone(&listener)));
        let expiring = self.supervise(Task::Expiry, |own: &Rc<Self>| Rc::clone(own).expire());
        let watching = self.supervise(Task::Keys, |own: &Rc<Self>| Rc::clone(own).watch_keys());
        let mut listening = self.supervise(Task::Listen, move |own: &Rc<Self>| {
            Rc::clone(own).listen_to_hot(Rc::clone(&from_hot), Rc::clone(&bell))
        });
        // Until it is told to close, or there is nobody left to tell it.
        loop {
            match controls.recv().await {
                Some(Control::Digest(sender)) => {
                    self.digests.borrow_mut().push(sender);
                    self.hot.borrow_mut().digest();
                }
                Some(Control::ReadKeys) => self.keys_wanted.notify_one(),
                Some(Control::Close) | None => break,
            }
        }
        accepting.abort();
        self.stopping.set(true);
        self.waiting.borrow_mut().evict_all();
        self.hot.borrow_mut().stop();
        if tokio::time::timeout(STOP_TIMEOUT, &mut listening).await.is_err() {
            tracing::error!(sessions = self.sessions.borrow().len(), "the hot thread does not stop");
        }
        watching.abort();
        expiring.abort();
    }

    /// Runs a task that the door cannot do without: when it ends by a defect it begins again, and readiness tells.
    fn supervise<F: Future<Output = ()> + 'static>(
        self: &Rc<Self>,
        task: Task,
        begin: impl Fn(&Rc<Self>) -> F + 'static,
    ) -> JoinHandle<()> {
        let own = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let mut running = AbortOnDrop(tokio::task::spawn_local(begin(&own)));
            while let Err(error) = (&mut running.0).await {
                if error.is_cancelled() {
                    return;
                }
                own.state.restarted(task);
                tracing::error!(task = task.name(), "a task of the door ended by a defect and begins again");
                tokio::time::sleep(RESTART_PAUSE).await;
                running = AbortOnDrop(tokio::task::spawn_local(begin(&own)));
            }
        })
    }

    async fn accept(self: Rc<Self>, listener: Rc<TcpListener>) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    self.metrics.door_accepted.add(1);
                    tokio::task::spawn_local(Rc::clone(&self).serve(stream, address.ip().to_canonical()));
                }
                Err(error) => {
                    self.log(|suppressed| {
                        tracing::warn!(%error, suppressed, "cannot accept a connection");
                    });
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(self: Rc<Self>, stream: TcpStream, address: IpAddr) {
        // Without it a session is slower, not wrong.
        let _ = stream.set_nodelay(true);
        let mut connection = Connection::new(stream, address);
        match self.log_on_in_time(&mut connection).await {
            Ok(logged_on) => self.admit(connection, logged_on).await,
            Err(end) => self.turn_away(connection, end).await,
        }
    }

    async fn log_on_in_time(&self, connection: &mut Connection) -> Result<LoggedOn, End> {
        let place = self.waiting.borrow_mut().enter(connection.address);
        self.count_waiting();
        let timeout = Duration::from_millis(u64::from(self.settings.sessions.logon_timeout_ms));
        let result = tokio::select! {
            biased;
            () = place.evicted.notified() => {
                let code = if self.stopping.get() { Code::SessionShutdown } else { Code::LogonBusy };
                Err(End::refused(code, RETRY_AFTER))
            }
            result = tokio::time::timeout(timeout, self.log_on(connection)) => {
                result.unwrap_or(Err(End::refused(Code::LogonTimeout, RETRY_AFTER)))
            }
        };
        self.waiting.borrow_mut().leave(place.number);
        self.count_waiting();
        result
    }

    async fn log_on(&self, connection: &mut Connection) -> Result<LoggedOn, End> {
        let length = connection.receive(FrameKind::Hello, 1).await?;
        let hello: Hello = body(&connection.bytes()[..length])?;
        let random = random().map_err(|error| {
            self.log(|suppressed| tracing::error!(%error, suppressed, "the system gives no random numbers"));
            End::refused(Code::LogonBusy, RETRY_AFTER)
        })?;
        let mut out = [0; FRAME_BYTES_MAX];
        let instance = self.settings.gateway.instance;
        let (challenged, out_length) =
            Challenged::new(hello, &connection.bytes()[..length], instance, &random, &mut out);
        connection.take(length);
        connection.send(&out[..out_length]).await?;

        let length = connection.receive(FrameKind::Proof, 2).await?;
        let proof: Proof = body(&connection.bytes()[..length])?;
        connection.take(length);
        self.check(&challenged, &proof, connection.address)
    }

    fn check(&self, challenged: &Challenged, proof: &Proof, address: IpAddr) -> Result<LoggedOn, End> {
        let hello = challenged.hello();
        let key = self.keys.borrow().get(&hello.key_id).cloned();
        let good = key.as_ref().filter(|key| key.is_good(now_ns()));
        let macs = challenged.prove(proof, good.map(|key| &key.verifier), &self.nobody);
        if let (Some(key), Some(macs)) = (good, macs) {
            let signature = self.settings.gateway.identity.as_ref().and_then(|it| challenged.sign(it));
            return Ok(LoggedOn { hello: *hello, key: Arc::clone(key), macs, signature });
        }
        let reason = match (&key, good) {
            (None, _) => "there is no such key",
            (Some(_), None) => "the key is revoked or has expired",
            (Some(_), Some(_)) => "the proof is wrong",
        };
        let verdict = self.failures.borrow_mut().failed(hello.key_id, address, Instant::now());
        let Verdict { delay, blocked, failures } = verdict;
        self.log(|suppressed| {
            let key = hello.key_id.as_str();
            tracing::warn!(?key, %address, reason, failures, ?delay, suppressed, "logon failed");
        });
        let end = match blocked {
            Some(retry_after) => End::refused(Code::LogonBlocked, retry_after),
            None => Code::LogonFailed.into(),
        };
        Err(match end {
            End::Refused(goodbye) if !delay.is_zero() => End::RefusedLate(goodbye, delay),
            end => end,
        })
    }

    /// Refuses, counts, and closes.
    pub(super) async fn turn_away(&self, connection: Connection, end: End) {
        let (goodbye, delay) = match end {
            End::Refused(goodbye) => (goodbye, Duration::ZERO),
            End::RefusedLate(goodbye, delay) => (goodbye, delay),
            End::Gone => return,
        };
        Metrics::code(&self.metrics.door_refused, goodbye.code);
        let address = connection.address;
        if !matches!(goodbye.code, Code::LogonFailed | Code::LogonBlocked) {
            self.log(|suppressed| {
                tracing::info!(%address, code = %goodbye.code, suppressed, "connection refused");
            });
        }
        // Whoever floods the door with connections is not waited for.
        let lingers = self.lingering.get() < self.settings.sessions.unauthenticated_max;
        self.lingering.set(self.lingering.get() + 1);
        if lingers && !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        connection.refuse(goodbye, lingers).await;
        self.lingering.set(self.lingering.get() - 1);
    }

    fn count_waiting(&self) {
        self.metrics.door_waiting.set(self.waiting.borrow().len() as u64);
    }

    /// Writes a log line that outsiders can cause, unless there were too many; it is given the count of those
    /// that were not written.
    pub(super) fn log(&self, line: impl FnOnce(u64)) {
        let suppressed = self.quiet.borrow_mut().line(Instant::now());
        if let Some(suppressed) = suppressed {
            line(suppressed);
        }
    }

    /// True while sessions of `key` may stand.
    pub(super) fn is_current(&self, key: &Key) -> bool {
        key.is_good(now_ns())
            && self.keys.borrow().get(&key.grant.key_id).is_some_and(|present| present.continues(key))
    }

    /// Takes what the hot thread says, until it is gone.
    async fn listen_to_hot(self: Rc<Self>, lane: Rc<RefCell<Receiver<FromHot>>>, bell: Rc<DoorBell>) {
        let receive = || lane.borrow_mut().receive();
        loop {
            // Asked before the lane is emptied: what was sent before the end is taken.
            let abandoned = lane.borrow().is_abandoned();
            while let Some(message) = receive() {
                self.hear(message);
            }
            if abandoned {
                return;
            }
            bell.bell.sleeping(true);
            let is_empty = lane.borrow().is_empty();
            if is_empty {
                // The end of the hot thread rings no bell.
                let _ = tokio::time::timeout(Duration::from_millis(100), bell.notify.notified()).await;
            }
            bell.bell.sleeping(false);
        }
    }

    fn hear(self: &Rc<Self>, message: FromHot) {
        match message {
            FromHot::Ended { session_id, client, code, is_lost, remains } => {
                self.sessions.borrow_mut().end(session_id);
                drop(remains);
                let client = self.client_name(client);
                let goodbye = if is_lost { "the connection broke" } else { "the client's own goodbye" };
                let code = code.map_or(goodbye, Code::name);
                tracing::info!(session_id, client, code, "session ended");
            }
            FromHot::Behind(handover) => {
                tokio::task::spawn_local(Rc::clone(self).catch_up(handover));
            }
            FromHot::Digest { hash, sequence } => {
                let digest = Digest { hash, sequence };
                for asked in self.digests.borrow_mut().drain(..) {
                    // Whoever asked may have given up waiting.
                    let _ = asked.send(digest);
                }
            }
            FromHot::Notice(text) => tracing::warn!("{text}"),
        }
    }

    pub(super) fn client_name(&self, client: u16) -> &str {
        self.settings.clients.get(usize::from(client)).map_or("?", |client| client.name.as_str())
    }

    /// Ends the sessions of keys that expire, and shows that the door's thread turns.
    async fn expire(self: Rc<Self>) {
        let mut interval = tokio::time::interval(EXPIRY_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.state.turned();
            let seen_ns = self.expiry_seen_ns.get();
            let now = now_ns().max(seen_ns);
            let expired = self.keys.borrow().expired_between(seen_ns, now);
            self.expiry_seen_ns.set(now);
            self.end_keys(&expired);
            for key_id in expired {
                tracing::info!(key = %key_id, "key expired");
            }
            self.hot.borrow_mut().flush();
            let late = self.failures.borrow().late_addresses(Instant::now());
            self.metrics.door_blocked_addresses.set(late as u64);
        }
    }

    /// Ends the sessions of keys. Whoever tells of it does so afterwards.
    pub(super) fn end_keys(&self, keys: &[KeyId]) {
        for key_id in keys {
            self.hot.borrow_mut().end_key(*key_id);
        }
    }
}

/// A task that ends with whoever holds this.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn body<T: tollgate_protocol::wire::Wire>(frame: &[u8]) -> Result<T, Code> {
    Frame::split(frame)?.map_or(Err(Code::FrameBody), |frame| frame.body())
}
