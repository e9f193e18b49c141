//! The log of `tollgate run`: lines to standard error, which may be gone, full or unread without holding anything up.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use tollgate_gateway::log_queue::{LogQueue, LogStatistics};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::output::Output;

/// The variable that says what is logged.
const LOG_VARIABLE: &str = "TOLLGATE_LOG";
/// How long the end of the process waits for the last lines to be taken.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// The log; when this is dropped, its last lines are written, or given up after a moment.
pub(crate) struct Log(LogQueue);

impl Log {
    /// Everything that is traced from here on goes to standard error, panics too.
    pub(crate) fn start(output: &Output) -> Result<Self, Failure> {
        let directives = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| "info".to_owned());
        let filter = EnvFilter::try_new(&directives).map_err(|error| {
            Failure::usage(format_args!("{LOG_VARIABLE} is {directives:?}: {error}; as in info"))
        })?;
        let queue = LogQueue::start(io::stderr())
            .map_err(|error| Failure::operating(format_args!("cannot start the log's thread: {error}")))?;
        let lines = queue.clone();
        // Only a second subscriber is refused, and there is none.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(move || lines.line())
            .with_ansi(output.color && io::stderr().is_terminal())
            .log_internal_errors(false)
            .try_init();
        // The usual hook writes to standard error itself, and would wait there for ever.
        std::panic::set_hook(Box::new(|panic| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("unnamed");
            tracing::error!(thread = name, "a defect: {panic}");
        }));
        Ok(Self(queue))
    }

    /// What became of the lines.
    pub(crate) fn statistics(&self) -> Arc<LogStatistics> {
        Arc::clone(self.0.statistics())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Whoever does not read his log in time does without its end.
        let _ = self.0.finish(FINISH_TIMEOUT);
    }
}
