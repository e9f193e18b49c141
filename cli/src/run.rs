//! `tollgate run`: the gateway until it is told to stop.

use std::io::{self, IsTerminal};
use std::time::Instant;

use clap::Args;
use tollgate_journal::OpenError;
use tracing_subscriber::EnvFilter;

use crate::check::{ConfigOption, load_to_run};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::signals::Stop;
use tollgate_gateway::gateway::{Gateway, StartError, StartOptions};
use tollgate_gateway::inherited::Inherited;
use tollgate_gateway::notify::Notifier;
use tollgate_gateway::venues::VenueError;

/// The variable that says what is logged.
const LOG_VARIABLE: &str = "TOLLGATE_LOG";

/// Options of `run`.
#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    config: ConfigOption,
}

impl RunArguments {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let settings = load_to_run(&self.config.config)?;
        start_log(output)?;
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        // Before anything is open, so that a signal during the start is not lost.
        let stop = Stop::install()?;
        let mut notifier = Notifier::from_environment().map_err(Failure::usage)?;
        notifier.starting("starting: the journal is read");
        let inherited = Inherited::from_environment(settings.gateway.listen, settings.side.listen)
            .map_err(|error| Failure::new(Exit::Configuration, error))?;
        let options = StartOptions { inherited, ..StartOptions::default() };
        let gateway = Gateway::start(settings, options).map_err(|error| start_failure(&error))?;
        report_start(&gateway);
        while !stop.wait_timeout(notifier.interval()) && gateway.is_running() {
            notifier.observe(gateway.metrics(), Instant::now());
        }
        notifier.stopping();
        if stop.requested() {
            tracing::info!("stopping, as a signal asked");
        }
        gateway.stop().map_err(Failure::operating)?;
        tracing::info!("stopped; the journal is whole");
        Ok(())
    }
}

fn start_log(output: &Output) -> Result<(), Failure> {
    let directives = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(&directives).map_err(|error| {
        Failure::usage(format_args!("{LOG_VARIABLE} is {directives:?}: {error}; as in info"))
    })?;
    let color = output.color && io::stderr().is_terminal();
    // Only a second subscriber is refused, and there is none.
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(color).try_init();
    Ok(())
}

fn report_start(gateway: &Gateway) {
    let report = gateway.report();
    if let Some(cut) = &report.cut {
        tracing::warn!("the journal ended in a torn record, as after a crash: cut {cut}");
    }
    tracing::info!(
        records = report.records,
        open_orders = report.open_orders,
        recovery_ms = u64::try_from(report.recovery_time.as_millis()).unwrap_or(u64::MAX),
        "recovered"
    );
    tracing::info!(clients = %gateway.address(), side = %gateway.side_address(), "ready");
}

/// Each kind of failed start has its exit code.
pub(crate) fn start_failure(error: &StartError) -> Failure {
    let exit = match error {
        StartError::Journal(OpenError::Damaged(_)) => Exit::Damaged,
        StartError::Journal(OpenError::Settings(_))
        | StartError::Venue { source: VenueError::Settings(_), .. } => Exit::Configuration,
        _ => Exit::Operating,
    };
    Failure::new(exit, error)
}
