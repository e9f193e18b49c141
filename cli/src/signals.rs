//! SIGTERM and SIGINT, turned into something that can be asked and waited for.

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
    requested: Arc<AtomicBool>,
    told: Receiver<()>,
}

impl Stop {
    /// From here on SIGTERM and SIGINT do not end the process.
    pub(crate) fn install() -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::operating(format_args!("cannot watch for signals: {error}"));
        let requested = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        let (ready, is_ready) = mpsc::channel();
        let flag = Arc::clone(&requested);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || watch(&ready, &tell, &flag))
            .map_err(failed)?;
        match is_ready.recv() {
            Ok(result) => result.map_err(failed)?,
            Err(error) => return Err(failed(io::Error::other(error))),
        }
        Ok(Self { requested, told })
    }

    /// True when a signal has come.
    pub(crate) fn requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// Waits for a signal.
    pub(crate) fn wait(&self) {
        // The thread that tells lives until it has told.
        let _ = self.told.recv();
    }

    /// Waits for a signal or for the time to pass; true when a signal has come.
    pub(crate) fn wait_timeout(&self, timeout: Duration) -> bool {
        match self.told.recv_timeout(timeout) {
            Err(RecvTimeoutError::Timeout) => self.requested(),
            _ => true,
        }
    }
}

fn watch(ready: &Sender<io::Result<()>>, tell: &Sender<()>, requested: &AtomicBool) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async {
        let registered = signal(SignalKind::interrupt())
            .and_then(|interrupt| signal(SignalKind::terminate()).map(|terminate| (interrupt, terminate)));
        let (mut interrupt, mut terminate) = match registered {
            Ok(signals) => {
                let _ = ready.send(Ok(()));
                signals
            }
            Err(error) => return drop(ready.send(Err(error))),
        };
        any(&mut interrupt, &mut terminate).await;
        requested.store(true, Ordering::Relaxed);
        let _ = tell.send(());
        any(&mut interrupt, &mut terminate).await;
        std::process::exit(1);
    });
}

async fn any(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
