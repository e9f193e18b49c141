//! `tollgate run`: the gateway until it is told to stop.

use std::time::Instant;

use clap::Args;
use tollgate_journal::OpenError;

use crate::check::{ConfigOption, load_to_run};
use crate::failure::{Exit, Failure};
use crate::log::Log;
use crate::output::Output;
use crate::secrecy;
use crate::signals::Stop;
use tollgate_gateway::gateway::{Gateway, StartError, StartOptions};
use tollgate_gateway::inherited::Inherited;
use tollgate_gateway::notify::Notifier;
use tollgate_gateway::venues::VenueError;

/// Options of `run`.
#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    config: ConfigOption,
}

impl RunArguments {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let settings = load_to_run(&self.config.config)?;
        let log = Log::start(output)?;
        secrecy::lock_memory();
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        // Before anything is open, so that a signal during the start is not lost.
        let stop = Stop::install_for_service()?;
        let mut notifier = Notifier::from_environment().map_err(Failure::usage)?;
        notifier.starting("starting: the journal is read");
        let inherited = Inherited::from_environment(settings.gateway.listen, settings.side.listen)
            .map_err(|error| Failure::new(Exit::Configuration, error))?;
        let options = StartOptions { inherited, log: Some(log.statistics()), ..StartOptions::default() };
        let gateway = Gateway::start(settings, options).map_err(|error| start_failure(&error))?;
        report_start(&gateway);
        while !stop.wait_timeout(notifier.interval()) && gateway.is_running() {
            if stop.take_reload() {
                tracing::info!(
                    "the keys file is read again, as SIGHUP asked; settings are read at a start alone"
                );
                gateway.read_keys();
            }
            notifier.observe(gateway.metrics(), Instant::now());
        }
        notifier.stopping();
        if stop.requested() {
            tracing::info!("stopping, as a signal asked; another one ends it at once");
        } else {
            tracing::error!("stopping, as a part of the gateway ended by a defect");
        }
        gateway.stop().map_err(Failure::operating)?;
        tracing::info!("stopped; the journal is whole");
        Ok(())
    }
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
