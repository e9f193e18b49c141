//! Replay: every decision of a journal made again, from the same inputs, and compared.

use tollgate_protocol::command::Command;
use tollgate_protocol::reject::{Code, Owner, Reject};

use crate::link::Grant;
use crate::record::{Authority, Effect, Origin, Record};
use crate::recovery::{Recovery, RecoveryError};
use crate::{Asker, State, judge};

/// A decision that came out otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The record.
    pub sequence: u64,
    /// What the journal says.
    pub recorded: Result<Effect, Reject>,
    /// What the replay says.
    pub replayed: Result<Effect, Reject>,
}

/// What a replay has seen so far.
#[derive(Default, Debug)]
pub struct Tally {
    /// Decisions made again, and the same.
    pub same: u64,
    /// Rejections for what the journal does not hold: room in lanes and tables of that moment, symbols of the key.
    pub by_surroundings: u64,
    /// Digests that were right.
    pub digests: u64,
    /// Decisions that came out otherwise: the first few.
    pub differences: Vec<Difference>,
    /// How many came out otherwise.
    pub different: u64,
}

/// How many differences are kept.
const DIFFERENCES_KEPT: usize = 20;

/// Replays a journal, record by record.
pub struct Replay {
    recovery: Recovery,
    tally: Tally,
}

impl Replay {
    /// From an empty state of the settings that the journal was written under.
    pub fn new(state: State) -> Self {
        Self { recovery: Recovery::new(state), tally: Tally::default() }
    }

    /// Takes the next record.
    pub fn take(&mut self, record: &tollgate_journal::Record<'_>) -> Result<(), RecoveryError> {
        let decoded = self.recovery.read(record)?;
        self.recovery.state.advance(record.time_ns);
        match &decoded {
            Record::Intent(intent) if intent.origin == Origin::Client => {
                let recorded = Ok(intent.effect);
                self.decide(record, intent.client, intent.authority, &intent.command, recorded);
            }
            Record::Rejection(rejection) => {
                let recorded = Err(rejection.reject);
                self.decide(record, rejection.client, rejection.authority, &rejection.command, recorded);
            }
            _ => {}
        }
        self.recovery.state.apply(record.sequence, record.time_ns, &decoded);
        self.recovery.check(record.sequence, &decoded)?;
        self.tally.digests = self.recovery.digests;
        Ok(())
    }

    fn decide(
        &mut self,
        record: &tollgate_journal::Record<'_>,
        client: u16,
        authority: Authority,
        command: &Command,
        recorded: Result<Effect, Reject>,
    ) {
        if let Err(reject) = recorded
            && from_surroundings(&reject)
        {
            self.tally.by_surroundings += 1;
            return;
        }
        let grant = Grant::replayed(authority);
        let replayed = judge(&self.recovery.state, Asker { client, grant: &grant }, command, record.time_ns);
        if replayed == recorded {
            self.tally.same += 1;
            return;
        }
        self.tally.different += 1;
        if self.tally.differences.len() < DIFFERENCES_KEPT {
            self.tally.differences.push(Difference { sequence: record.sequence, recorded, replayed });
        }
    }

    /// The result, and the state at the end.
    pub fn finish(self) -> (Tally, State) {
        (self.tally, self.recovery.state)
    }
}

/// Rejections that rest on something outside the journal.
fn from_surroundings(reject: &Reject) -> bool {
    matches!(reject.code, Code::QueueFull | Code::JournalFull | Code::JournalFailed)
        || reject.code == Code::SymbolNotAllowed && reject.owner == Owner::Client
}
