//! What became of the demonstration's commands.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use hdrhistogram::Histogram;
use tollgate_protocol::event::{Event, EventBody, ReportKind};
use tollgate_protocol::reject::Code;
use tollgate_protocol::{Action, Command, CommandId};

use tollgate_client::Reply;
use tollgate_core::metrics::Outcome;

/// The longest latency that is told apart: a minute.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// How often a command was sent and answered.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Exchange {
    sent: u32,
    answered: u32,
}

/// Commands that were wrong on purpose, of one kind.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wrong {
    pub(crate) sent: u64,
    pub(crate) refused: u64,
}

/// Counts of one client, or of all.
pub(crate) struct Tally {
    /// Answers by action and [`Outcome`].
    pub(crate) outcomes: [[u64; 5]; 10],
    pub(crate) codes: BTreeMap<Code, u64>,
    pub(crate) wrong: BTreeMap<&'static str, Wrong>,
    pub(crate) reports: BTreeMap<&'static str, u64>,
    pub(crate) latency: Histogram<u64>,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    /// Commands that were not answered exactly as often as they were sent.
    pub(crate) unaccounted: u64,
    /// Repeats whose answer was not the first one.
    pub(crate) different_repeats: u64,
    /// Events that are missing or came twice.
    pub(crate) event_gaps: u64,
    /// From the first command sent to the last answer.
    pub(crate) busy: Duration,
    /// What ended a client before its time.
    pub(crate) problems: Vec<String>,
    exchanges: HashMap<CommandId, Exchange>,
    /// The number of the first event that was to come.
    first_event: u64,
    events: HashSet<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3);
        Self {
            outcomes: [[0; 5]; 10],
            codes: BTreeMap::new(),
            wrong: BTreeMap::new(),
            reports: BTreeMap::new(),
            latency: latency.unwrap_or_else(|_| unreachable!("the bounds are constants, and valid")),
            sent: 0,
            answered: 0,
            unaccounted: 0,
            different_repeats: 0,
            event_gaps: 0,
            busy: Duration::ZERO,
            problems: Vec::new(),
            exchanges: HashMap::new(),
            first_event: 1,
            events: HashSet::new(),
        }
    }
}

impl Tally {
    /// Of a client whose first event has this number.
    pub(crate) fn starting_at(first_event: u64) -> Self {
        Self { first_event, ..Self::default() }
    }

    pub(crate) fn note_sent(&mut self, command: &Command) {
        self.sent += 1;
        self.exchanges.entry(command.command_id).or_default().sent += 1;
    }

    /// The answer that a command was waiting for.
    pub(crate) fn note_reply(&mut self, command: &Command, reply: &Reply, latency_ns: u64) {
        self.note_answer(command.command_id);
        self.latency.saturating_record(latency_ns.max(1));
        let outcome = outcome(reply);
        self.outcomes[command.action.index()][outcome as usize] += 1;
        match reply {
            Reply::Event(event) => {
                self.note_number(event);
                if let EventBody::Rejected(rejection) = &event.body {
                    *self.codes.entry(rejection.reject.code).or_default() += 1;
                }
            }
            Reply::Refused(reject) => *self.codes.entry(reject.code).or_default() += 1,
            Reply::Repeated(_) | Reply::Heartbeat { .. } | Reply::Rows(_) => {}
        }
    }

    /// An answer beyond the one that was waited for: it makes the command unaccounted.
    pub(crate) fn note_answer(&mut self, command_id: CommandId) {
        self.answered += 1;
        self.exchanges.entry(command_id).or_default().answered += 1;
    }

    /// An event that was no answer.
    pub(crate) fn note_event(&mut self, event: &Event) {
        self.note_number(event);
        match &event.body {
            EventBody::Report(report) => {
                let partial =
                    matches!(report.kind, ReportKind::Filled(_)) && report.open_quantity.mantissa != 0;
                let name = if partial { "partially filled" } else { report.kind.name() };
                *self.reports.entry(name).or_default() += 1;
            }
            EventBody::Acknowledged(_) | EventBody::Rejected(_) => self.note_answer(event.body.command_id()),
        }
    }

    fn note_number(&mut self, event: &Event) {
        if !self.events.insert(event.event_sequence) {
            self.event_gaps += 1;
        }
    }

    /// Ends the counting of one client.
    pub(crate) fn close(&mut self) {
        self.unaccounted = self.exchanges.values().filter(|it| it.sent != it.answered).count() as u64;
        self.exchanges.clear();
        // Numbered from the first one without gaps: as many as the last number says, or some are missing.
        let last = self.events.iter().max().copied().unwrap_or(self.first_event.saturating_sub(1));
        let expected = (last + 1).saturating_sub(self.first_event);
        self.event_gaps += expected.abs_diff(self.events.len() as u64);
        self.events.clear();
    }

    /// Adds a closed tally.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.outcomes.iter_mut().flatten().zip(other.outcomes.iter().flatten()) {
            *mine += theirs;
        }
        for (code, count) in &other.codes {
            *self.codes.entry(*code).or_default() += count;
        }
        for (name, wrong) in &other.wrong {
            let sum = self.wrong.entry(name).or_default();
            sum.sent += wrong.sent;
            sum.refused += wrong.refused;
        }
        for (name, count) in &other.reports {
            *self.reports.entry(name).or_default() += count;
        }
        // Both have the same bounds.
        let _ = self.latency.add(&other.latency);
        self.sent += other.sent;
        self.answered += other.answered;
        self.unaccounted += other.unaccounted;
        self.different_repeats += other.different_repeats;
        self.event_gaps += other.event_gaps;
        // Clients work at the same time.
        self.busy = self.busy.max(other.busy);
        self.problems.extend(other.problems.iter().cloned());
    }

    /// Answers with this outcome, over all actions.
    pub(crate) fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes.iter().map(|by_outcome| by_outcome[outcome as usize]).sum()
    }

    /// Sent commands of an action.
    pub(crate) fn of_action(&self, action: usize) -> u64 {
        self.outcomes[action].iter().sum()
    }
}

pub(crate) fn outcome(reply: &Reply) -> Outcome {
    match reply {
        Reply::Event(event) if matches!(event.body, EventBody::Rejected(_)) => Outcome::Rejected,
        Reply::Event(_) => Outcome::Acknowledged,
        Reply::Repeated(_) => Outcome::Repeated,
        Reply::Refused(_) => Outcome::Refused,
        Reply::Heartbeat { .. } | Reply::Rows(_) => Outcome::Answered,
    }
}

/// True when the gateway or its venue had none of the command.
pub(crate) fn is_refusal(reply: &Reply) -> bool {
    matches!(outcome(reply), Outcome::Rejected | Outcome::Refused)
}

/// The number of actions.
pub(crate) const ACTIONS: usize = Action::NAMES.len();
