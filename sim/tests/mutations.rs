//! The simulator finds mistakes of the kind that a developer makes: each is planted, and seeds are run until one fails.

use tollgate_core::mutation::{Mutation as Core, plant};
use tollgate_sim::fault::Kind;
use tollgate_sim::mutation::Mutation;
use tollgate_sim::run::{self, Options};

/// Seeds that a mistake may take at most.
const SEEDS_MAX: u64 = 3_000;

/// Every mistake, with the promises that it may be seen to break.
const PLANTED: [(Mutation, &[Kind]); 14] = [
    (Mutation::Core(Core::SkipDedupe), &[Kind::OutcomeTwice, Kind::OrderTwice]),
    (Mutation::Core(Core::FillTwice), &[Kind::PositionDiffers, Kind::OrderUnsettled, Kind::StateDiffers]),
    (Mutation::Core(Core::SendBeforeJournal), &[Kind::LeftEarly]),
    (Mutation::Core(Core::TellBeforeJournal), &[Kind::LeftEarly]),
    (Mutation::Core(Core::ForgetInFlight), &[Kind::OrderUnsettled]),
    (Mutation::Core(Core::SendUnknownAgain), &[Kind::OrderTwice]),
    (Mutation::Core(Core::BelieveUnsure), &[Kind::OrderUnsettled]),
    (Mutation::Core(Core::DropLateFill), &[Kind::OrderUnsettled, Kind::PositionDiffers]),
    (Mutation::Core(Core::ForgetRejection), &[Kind::StateDiffers, Kind::OutcomeTwice]),
    (Mutation::Core(Core::SkipFirstEvent), &[Kind::EventsBroken]),
    (Mutation::Core(Core::KeepPending), &[Kind::OrderUnsettled]),
    (Mutation::Core(Core::HaltStopsCancels), &[Kind::CancelRefused]),
    (Mutation::LoseReport, &[Kind::OrderUnsettled, Kind::PositionDiffers]),
    (Mutation::SkipEvent, &[Kind::EventsBroken]),
];

#[test]
fn every_planted_mistake_is_found() {
    let mut missed = Vec::new();
    for (mutation, kinds) in PLANTED {
        plant(match mutation {
            Mutation::Core(core) => Some(core),
            _ => None,
        });
        let options = Options { mutation: Some(mutation), ..Options::default() };
        let found = (1..=SEEDS_MAX).find_map(|seed| Some(seed).zip(run::run(seed, options).fault));
        match found {
            Some((seed, fault)) if kinds.contains(&fault.kind) => {
                println!("{mutation:?}: found after {seed} seeds, {}", fault.kind.name());
            }
            Some((seed, fault)) => {
                missed.push(format!("{mutation:?}: seed {seed} found something else: {fault}"))
            }
            None => missed.push(format!("{mutation:?}: not found in {SEEDS_MAX} seeds")),
        }
    }
    plant(None);
    assert!(missed.is_empty(), "\n{}\n", missed.join("\n"));
}
