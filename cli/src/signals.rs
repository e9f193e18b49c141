//! Signals, turned into something that can be asked and waited for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// Says when somebody wants the process to stop. A second signal ends it at once.
pub(crate) struct Stop {
    shared: Arc<Shared>,
    told: Receiver<()>,
}

struct Shared {
    /// SIGHUP asks for something to be read again, in place of the end of a terminal.
    is_service: bool,
    stop: AtomicBool,
    reload: AtomicBool,
}

impl Stop {
    /// From here on SIGTERM, SIGINT and SIGHUP do not end the process, and SIGUSR1 and SIGUSR2 do nothing.
    pub(crate) fn install() -> Result<Self, Failure> {
        Self::install_as(false)
    }

    /// The same for a process without a terminal: SIGHUP asks it to read again what can change while it runs.
    pub(crate) fn install_for_service() -> Result<Self, Failure> {
        Self::install_as(true)
    }

    fn install_as(is_service: bool) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::operating(format_args!("cannot watch for signals: {error}"));
        let stop = AtomicBool::new(false);
        let shared = Arc::new(Shared { is_service, stop, reload: AtomicBool::new(false) });
        let (tell, told) = mpsc::channel();
        let (ready, is_ready) = mpsc::channel();
        let own = Arc::clone(&shared);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || watch(&ready, &tell, &own))
            .map_err(failed)?;
        match is_ready.recv() {
            Ok(result) => result.map_err(failed)?,
            Err(error) => return Err(failed(io::Error::other(error))),
        }
        Ok(Self { shared, told })
    }

    /// True when somebody wants the process to stop.
    pub(crate) fn requested(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// True once for each time that somebody wants something read again.
    pub(crate) fn take_reload(&self) -> bool {
        self.shared.reload.swap(false, Ordering::Relaxed)
    }

    /// Waits until somebody wants the process to stop.
    pub(crate) fn wait(&self) {
        // The thread that tells lives as long as the process.
        while !self.requested() && self.told.recv().is_ok() {}
    }

    /// Waits for a signal or for the time to pass; true when the process is to stop.
    pub(crate) fn wait_timeout(&self, timeout: Duration) -> bool {
        match self.told.recv_timeout(timeout) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => self.requested(),
            Err(RecvTimeoutError::Disconnected) => true,
        }
    }
}

/// The signals that are watched for.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` where it is to be ignored.
    hangup: Option<Signal>,
    user_1: Signal,
    user_2: Signal,
}

impl Signals {
    fn register(is_service: bool) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            // Whoever started it by `nohup` does not want it to end with his terminal.
            hangup: if is_service || !ignores_hangup() { Some(signal(SignalKind::hangup())?) } else { None },
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            () = received(self.hangup.as_mut()) => SignalKind::hangup(),
            _ = self.user_1.recv() => SignalKind::user_defined1(),
            _ = self.user_2.recv() => SignalKind::user_defined2(),
        }
    }
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// True when this process was started with SIGHUP ignored.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

fn watch(ready: &Sender<io::Result<()>>, tell: &Sender<()>, shared: &Shared) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async {
        let mut signals = match Signals::register(shared.is_service) {
            Ok(signals) => {
                let _ = ready.send(Ok(()));
                signals
            }
            Err(error) => return drop(ready.send(Err(error))),
        };
        loop {
            let kind = signals.next().await;
            if kind == SignalKind::user_defined1() || kind == SignalKind::user_defined2() {
                let number = kind.as_raw_value();
                tracing::warn!(
                    "signal {number} is ignored: SIGHUP reads the keys again, SIGTERM and SIGINT stop"
                );
            } else if kind == SignalKind::hangup() && shared.is_service {
                shared.reload.store(true, Ordering::Relaxed);
                // Whoever waits has gone when this fails, and stops.
                let _ = tell.send(());
            } else if shared.stop.swap(true, Ordering::Relaxed) {
                std::process::exit(1);
            } else {
                let _ = tell.send(());
            }
        }
    });
}
