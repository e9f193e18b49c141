//! The door: where clients connect and log on.
//!
//! One thread with its own event loop. It accepts connections, does the whole logon, replays events of the past
//! from the journal, and hands what stands then to the hot thread by a lane. Whoever has not proved himself costs
//! a bounded amount of work and memory, and can keep nobody else out.

mod address;
mod connection;
mod failures;
mod history;
mod hot_link;
mod key_watch;
mod keys;
mod logon;
mod quiet;
mod reception;
mod replay;
mod sessions;
mod state;
mod waiting;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::sync::mpsc as async_mpsc;
use tollgate_config::Settings;
use tollgate_contract::lane::{Bell, Receiver, Sender};

use crate::link::{ACCOUNTS_MAX, FromHot, INSTRUMENTS_MAX, ToHot};
use tollgate_core::metrics::Metrics;

pub use history::HistoryIndex;
use reception::Reception;
use state::EndGuard;
pub use state::{DoorState, Task};

/// Threads that read the journal for clients that resume.
const READERS_MAX: usize = 2;
/// Threads that may block: the readers, and one that looks at the keys, whatever the readers do.
const BLOCKING_THREADS_MAX: usize = READERS_MAX + 1;
/// Connections that the system completes before they are accepted; it may have a lower limit of its own.
const CONNECTIONS_QUEUED_MAX: u32 = 4096;

/// The bell of the lane from the hot thread, made before the lane.
pub struct DoorBell {
    /// For the lane's sender.
    pub bell: Bell,
    notify: Arc<Notify>,
}

impl DoorBell {
    /// A bell that wakes the door's event loop.
    pub fn new() -> Self {
        let notify = Arc::new(Notify::new());
        let woken = Arc::clone(&notify);
        Self { bell: Bell::new(Arc::new(move || woken.notify_one())), notify }
    }
}

impl Default for DoorBell {
    fn default() -> Self {
        Self::new()
    }
}

/// The door's ends of the lanes.
pub struct DoorLinks {
    /// To the hot thread. The reserve is for the ends of keys and for the stop.
    pub to_hot: Sender<ToHot>,
    /// From the hot thread.
    pub from_hot: Receiver<FromHot>,
    /// The bell that `from_hot` was made with.
    pub bell: DoorBell,
    /// What recovery has seen of the journal; without it the first resume reads it from the beginning.
    pub history: Option<HistoryIndex>,
}

/// Why the door could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The address cannot be listened on.
    #[error("cannot listen on gateway.listen = {address}: {source}; free it, or give another")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// The event loop or the thread could not be made.
    #[error("cannot start the door's thread: {0}")]
    Thread(io::Error),
    /// No random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// There are more accounts or instruments than a key's grant can name.
    #[error("there are {found} {what}, and a gateway takes {limit} at most: use several gateways")]
    TooMany {
        /// Accounts or instruments.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many are allowed.
        limit: usize,
    },
}

/// What the outside asks of the door.
enum Control {
    /// No more logons, and the hot thread is to stop.
    Close,
    /// Ask the hot thread for its digest.
    Digest(mpsc::Sender<Digest>),
    /// Read the keys file now.
    ReadKeys,
}

/// The hash of the hot thread's state, as it was journaled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest {
    /// SHA-256 of the state.
    pub hash: [u8; 32],
    /// The journal sequence of its record.
    pub sequence: u64,
}

/// The door.
pub struct Door;

/// A door that is open. Dropping it closes the door without waiting.
pub struct DoorHandle {
    address: SocketAddr,
    control: async_mpsc::UnboundedSender<Control>,
    state: Arc<DoorState>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Listens on `settings.gateway.listen` (port 0 for any) and opens the door. The journal must be open already:
    /// events are replayed from it.
    pub fn start(
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
        links: DoorLinks,
    ) -> Result<DoorHandle, DoorError> {
        Self::start_on(None, settings, metrics, links)
    }

    /// The same on a listener that is open already, if there is one.
    pub fn start_on(
        open: Option<&std::net::TcpListener>,
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
        links: DoorLinks,
    ) -> Result<DoorHandle, DoorError> {
        check_sizes(&settings)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_name("tollgate-reader")
            .build()
            .map_err(DoorError::Thread)?;
        let wanted = settings.gateway.listen;
        let listen = |source| DoorError::Listen { address: wanted, source };
        let listener = runtime
            .block_on(async {
                match open {
                    Some(open) => TcpListener::from_std(open.try_clone()?),
                    None => bind(wanted),
                }
            })
            .map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (control, controls) = async_mpsc::unbounded_channel();
        let random = logon::random().map_err(DoorError::Random)?;
        let state = Arc::new(DoorState::default());
        if settings.gateway.keys_file.exists() {
            state.set_had_keys_file();
        }
        let shown = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("tollgate-door".to_owned())
            .spawn(move || {
                let _end = EndGuard(Arc::clone(&shown));
                tokio::task::LocalSet::new().block_on(&runtime, async move {
                    let DoorLinks { to_hot, from_hot, bell, history } = links;
                    let reception = Reception::new(settings, metrics, to_hot, history, shown, &random);
                    reception.run(listener, from_hot, bell, controls).await;
                });
            })
            .map_err(DoorError::Thread)?;
        Ok(DoorHandle { address, control, state, thread: Some(thread) })
    }
}

/// Listens with a queue long enough that a burst of connections makes nobody wait for his handshake's repetition.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(CONNECTIONS_QUEUED_MAX)
}

fn check_sizes(settings: &Settings) -> Result<(), DoorError> {
    let sizes = [
        ("accounts", settings.accounts.len(), ACCOUNTS_MAX),
        ("instruments", settings.instruments.len(), INSTRUMENTS_MAX),
    ];
    for (what, found, limit) in sizes {
        if found > limit {
            return Err(DoorError::TooMany { what, found, limit });
        }
    }
    Ok(())
}

impl DoorHandle {
    /// Where the door listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How the door does.
    pub fn state(&self) -> &Arc<DoorState> {
        &self.state
    }

    /// The keys file is read now, whether it has changed or not. Returns at once.
    pub fn read_keys(&self) {
        // A door that is gone reads nothing, and readiness says that it is gone.
        let _ = self.control.send(Control::ReadKeys);
    }

    /// True while the door's thread runs.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Asks the hot thread to journal the digest of its state, and waits for it; `None` when it does not come
    /// within `timeout`.
    pub fn digest(&self, timeout: Duration) -> Option<Digest> {
        let (sender, receiver) = mpsc::channel();
        self.control.send(Control::Digest(sender)).ok()?;
        receiver.recv_timeout(timeout).ok()
    }

    /// No more logons; the hot thread is told to stop. Returns at once.
    pub fn close(&self) {
        // A door that is gone is closed.
        let _ = self.control.send(Control::Close);
    }

    /// Closes the door, and waits until the hot thread has ended every session and dropped its end of the lane:
    /// at most ten seconds.
    pub fn stop(mut self) {
        self.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the door's thread panicked");
        }
    }
}
