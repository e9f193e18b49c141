//! Runs of seeds, and cutting down what fails.

use crate::coverage::Coverage;
use crate::fault::{Fault, Kind};
use crate::moves::{self, Step};
use crate::mutation::Mutation;
use crate::random::Fingerprint;
use crate::setup::{Hazards, Setup};
use crate::sim::Sim;

/// How a run is made.
#[derive(Clone, Copy, Default, Debug)]
pub struct Options {
    /// Known hazards that are on.
    pub hazards: Hazards,
    /// A mistake to plant.
    pub mutation: Option<Mutation>,
    /// Whether to write down what happens.
    pub traces: bool,
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// What it was found guilty of.
    pub fault: Option<Fault>,
    /// What was reached.
    pub coverage: Coverage,
    /// What two runs are compared by.
    pub fingerprint: Fingerprint,
    /// What happened, when it was written down.
    pub trace: Vec<String>,
}

/// Runs a seed.
pub fn run(seed: u64, options: Options) -> Report {
    run_steps(seed, &moves::plan(seed), options)
}

/// Runs these steps on a seed's settings.
pub fn run_steps(seed: u64, steps: &[Step], options: Options) -> Report {
    let made = Setup::new(seed, options.hazards).and_then(|setup| Sim::new(setup, seed));
    let mut sim = match made {
        Ok(sim) => sim,
        Err(words) => {
            return Report {
                fault: Some(Fault { kind: Kind::Panic, words }),
                coverage: Coverage::default(),
                fingerprint: Fingerprint::new(),
                trace: Vec::new(),
            };
        }
    };
    sim.mutation = options.mutation;
    sim.trace = options.traces.then(Vec::new);
    let outcome = sim.start().and_then(|()| steps.iter().try_for_each(|step| sim.step(*step)));
    let outcome = outcome.and_then(|()| sim.settle());
    Report {
        fault: outcome.err(),
        fingerprint: sim.fingerprint,
        trace: sim.trace.take().unwrap_or_default(),
        coverage: sim.coverage,
    }
}

/// Leaves out steps as long as the same promise is broken.
pub fn cut_down(seed: u64, kind: Kind, options: Options) -> Vec<Step> {
    let mut steps = moves::plan(seed);
    let quiet = Options { traces: false, ..options };
    let fails = |steps: &[Step]| run_steps(seed, steps, quiet).fault.is_some_and(|fault| fault.kind == kind);
    let mut size = steps.len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        let mut has_cut = false;
        while from < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + size).min(steps.len()));
            if fails(&fewer) {
                steps = fewer;
                has_cut = true;
            } else {
                from += size;
            }
        }
        size = if size == 1 && has_cut { 1 } else { size / 2 };
    }
    steps
}
