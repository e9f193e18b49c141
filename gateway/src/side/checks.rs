//! Whether the gateway can do its work, check by check.

use std::time::Instant;

use super::Source;
use super::status::{Phase, now_ns};

/// A sleeping hot thread wakes several times within this, whatever happens.
const SLEEP_NS_MAX: u64 = 1_000_000_000;

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// All is well.
    Good,
    /// It works, and somebody should know this.
    Noted(String),
    /// It does not work, because of this.
    Failed(String),
}

/// A check that was made.
pub(super) struct Check {
    /// What was looked at.
    pub(super) name: String,
    /// What was found.
    pub(super) finding: Finding,
    /// How long it took.
    pub(super) duration_ns: u64,
}

impl Check {
    /// False when it failed.
    pub(super) fn passed(&self) -> bool {
        !matches!(self.finding, Finding::Failed(_))
    }

    pub(super) fn make(name: &str, look: impl FnOnce() -> Finding) -> Self {
        let begin = Instant::now();
        let finding = look();
        Self { name: name.to_owned(), finding, duration_ns: begin.elapsed().as_nanos() as u64 }
    }
}

/// Makes every check.
pub(super) fn all(source: &Source) -> Vec<Check> {
    let mut checks = vec![
        Check::make("gateway", || gateway(source)),
        Check::make("hot", || hot(source, now_ns())),
        Check::make("journal", || journal(source)),
        Check::make("trading", || trading(source)),
    ];
    checks.extend(super::door::checks(source));
    for (index, venue) in source.settings.venues.iter().enumerate() {
        let name = format!("venue_{}", venue.name);
        checks.push(Check::make(&name, || venue_state(source, index)));
    }
    checks
}

fn gateway(source: &Source) -> Finding {
    match source.status.phase() {
        Phase::Running => Finding::Good,
        Phase::Recovering => {
            let records = source.status.recovered_records();
            Finding::Failed(format!("recovering: {records} journal records read so far"))
        }
        phase => Finding::Failed(phase.name().to_owned()),
    }
}

fn hot(source: &Source, now_ns: u64) -> Finding {
    let last_turn_ns = source.metrics.last_turn_ns.get();
    if last_turn_ns == 0 {
        return Finding::Failed("the hot thread has not turned yet".to_owned());
    }
    let stall_ns = u64::from(source.settings.hot.stall_timeout_ms) * 1_000_000;
    let parked = source.metrics.parked.get() != 0;
    let allowed_ns = if parked { stall_ns.max(SLEEP_NS_MAX) } else { stall_ns };
    let age_ns = now_ns.saturating_sub(last_turn_ns);
    if age_ns <= allowed_ns {
        return Finding::Good;
    }
    let (age_ms, allowed_ms) = (age_ns / 1_000_000, allowed_ns / 1_000_000);
    Finding::Failed(format!("the hot thread has not turned for {age_ms} ms, {allowed_ms} ms are allowed"))
}

fn journal(source: &Source) -> Finding {
    let metrics = &source.metrics;
    let last_error = || source.status.journal().and_then(tollgate_journal::FlusherStatistics::last_error);
    let because = |what: &str| match last_error() {
        Some(error) => format!("{what}: {error}"),
        None => what.to_owned(),
    };
    match metrics.journal_state.get() {
        0 => Finding::Good,
        1 if metrics.journal_free_bytes.get() > source.settings.journal.reserve_bytes => {
            Finding::Noted(because("no next segment can be prepared; the present one still has room"))
        }
        1 => Finding::Failed(because("full but for its reserve; new orders are refused")),
        _ => Finding::Failed(because("failed; only cancels, closes and reports are journaled")),
    }
}

fn trading(source: &Source) -> Finding {
    match source.metrics.trading_state.get() {
        0 => match source.metrics.halts.get() {
            0 => Finding::Good,
            count => Finding::Noted(format!("{count} accounts or symbols are halted or reducing")),
        },
        1 => Finding::Noted("reducing: only what makes positions smaller is served".to_owned()),
        _ => Finding::Failed("halted by the operator".to_owned()),
    }
}

fn venue_state(source: &Source, index: usize) -> Finding {
    match source.metrics.venues.get(index).map_or(0, |venue| venue.state.get()) {
        0 => Finding::Failed("down".to_owned()),
        1 => Finding::Failed("reconciling: open orders are being asked about".to_owned()),
        _ => Finding::Good,
    }
}
