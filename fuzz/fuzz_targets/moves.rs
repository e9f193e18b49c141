//! The simulator with moves that bytes choose: no run breaks a promise.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_sim::moves;
use tollgate_sim::run::{self, Options};

fuzz_target!(|bytes: &[u8]| {
    let (seed, steps) = moves::plan_of_bytes(bytes);
    let report = run::run_steps(seed, &steps, Options::default());
    if let Some(fault) = report.fault {
        panic!("seed {seed}, {} steps: {fault}", steps.len());
    }
});
