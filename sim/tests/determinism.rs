//! The same seed is the same run, and what is told of the simulator is true of it.

use tollgate_sim::fault::Kind;
use tollgate_sim::moves::{self, Move, Step};
use tollgate_sim::run::{self, Options};
use tollgate_sim::setup::{Hazard, Hazards};

/// What the seed came to when this was written: a run is the same on every machine, in every build.
#[test]
fn a_seed_is_the_same_run_twice() {
    for seed in 1..=20 {
        let [first, second] =
            [false, true].map(|traces| run::run(seed, Options { traces, ..Options::default() }));
        assert_eq!(first.fingerprint, second.fingerprint, "seed {seed}");
        assert_eq!(first.fault, None, "seed {seed}");
        assert!(first.trace.is_empty() && !second.trace.is_empty());
    }
}

#[test]
fn different_seeds_are_different_runs() {
    let one = run::run(1, Options::default()).fingerprint;
    assert_ne!(one, run::run(2, Options::default()).fingerprint);
}

#[test]
fn bytes_choose_moves() {
    let (seed, steps) = moves::plan_of_bytes(&[7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1, 3, 4, 9]);
    assert_eq!((seed, steps.len(), steps[0].action, steps[1].action), (7, 2, Move::New, Move::Cancel));
    assert_eq!(moves::plan_of_bytes(&[]), (0, Vec::new()));
    assert_eq!(run::run_steps(seed, &steps, Options::default()).fault, None);
}

#[test]
fn steps_that_do_not_matter_are_left_out() {
    let options = Options { hazards: Hazards::default().with(Hazard::LostTail), ..Options::default() };
    let (seed, fault) = (1..3_000)
        .find_map(|seed| Some(seed).zip(run::run(seed, options).fault))
        .expect("a lost tail is found");
    let steps: Vec<Step> = run::cut_down(seed, fault.kind, options);
    assert!(steps.len() < moves::plan(seed).len() / 2, "{} steps are left", steps.len());
    assert_eq!(run::run_steps(seed, &steps, options).fault.map(|it| it.kind), Some(fault.kind));
}

/// Each known hazard is found when it is on. When the gateway holds against one, it belongs into every run.
#[test]
fn known_hazards_are_found() {
    for (hazard, name) in Hazard::ALL {
        let options = Options { hazards: Hazards::default().with(hazard), ..Options::default() };
        let found = (1..6_000).find_map(|seed| Some(seed).zip(run::run(seed, options).fault));
        let (seed, fault) = found.unwrap_or_else(|| panic!("{name} breaks nothing: turn it on for good"));
        println!("{name}: seed {seed}, {fault}");
        assert_ne!(fault.kind, Kind::Panic, "{name}: {fault}");
    }
}
