//! Counters that the hot thread writes and the side port reads.
//!
//! Every field names its one writer. A counter has a single writer, so that an increment is a load and a store and
//! no locked instruction.

use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_protocol::command::Action;
use tollgate_protocol::reject::Code;

use crate::stage::Stage;

/// A number with one writing thread and any number of readers.
#[derive(Default, Debug)]
#[repr(transparent)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `amount`. Only from the writing thread.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Sets the value. Only from the writing thread.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sub-buckets of one power of two, as a power of two.
const PRECISION_BITS: u32 = 3;
/// Buckets: up to 2^40 ns (18 minutes), with an error of at most an eighth.
const BUCKETS: usize = (40 - PRECISION_BITS as usize + 1) << PRECISION_BITS;

/// A histogram of nanoseconds with one writing thread: log-linear, an eighth of a power of two a bucket.
pub struct Histogram {
    buckets: Box<[Counter]>,
    sum: Counter,
    maximum: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| Counter::default()).collect(),
            sum: Counter::default(),
            maximum: Counter::default(),
        }
    }
}

impl Histogram {
    /// Counts `nanoseconds`. Only from the writing thread.
    #[inline]
    pub fn record(&self, nanoseconds: u64) {
        self.record_times(nanoseconds, 1);
    }

    /// The same so many times, which may be none.
    #[inline]
    pub fn record_times(&self, nanoseconds: u64, times: u64) {
        self.buckets[Self::bucket(nanoseconds)].add(times);
        self.sum.add(nanoseconds * times);
        if times > 0 && nanoseconds > self.maximum.get() {
            self.maximum.set(nanoseconds);
        }
    }

    #[inline]
    fn bucket(nanoseconds: u64) -> usize {
        let exponent = nanoseconds.max(1).ilog2();
        if exponent < PRECISION_BITS {
            return nanoseconds as usize;
        }
        let within = (nanoseconds >> (exponent - PRECISION_BITS)) as usize & ((1 << PRECISION_BITS) - 1);
        ((((exponent - PRECISION_BITS + 1) as usize) << PRECISION_BITS) + within).min(BUCKETS - 1)
    }

    /// The highest value that falls into the bucket, in nanoseconds.
    fn upper_bound(bucket: usize) -> u64 {
        let within = (bucket & ((1 << PRECISION_BITS) - 1)) as u64;
        let power = (bucket >> PRECISION_BITS) as u32;
        if power == 0 {
            return within;
        }
        (((1 << PRECISION_BITS) + within + 1) << (power - 1)) - 1
    }

    /// `(upper bound in nanoseconds, count)` of every bucket that has counts, in order.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.buckets
            .iter()
            .enumerate()
            .map(|(bucket, count)| (Self::upper_bound(bucket), count.get()))
            .filter(|(_, n)| *n > 0)
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::get).sum()
    }

    /// The sum of all values, in nanoseconds.
    pub fn sum(&self) -> u64 {
        self.sum.get()
    }

    /// The highest value, in nanoseconds.
    pub fn maximum(&self) -> u64 {
        self.maximum.get()
    }

    /// The value below which `per_mille` thousandths of the counts lie, in nanoseconds; 0 without counts.
    pub fn quantile(&self, per_mille: u64) -> u64 {
        let wanted = (self.count() * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bound, count) in self.counts() {
            seen += count;
            if seen >= wanted {
                return bound.min(self.maximum());
            }
        }
        0
    }
}

/// What a command came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Acknowledged.
    Acknowledged,
    /// Refused and journaled.
    Rejected,
    /// A repeat: the first answer was given again.
    Repeated,
    /// Refused without a place in the journal.
    Refused,
    /// Answered (query, heartbeat).
    Answered,
}

impl Outcome {
    /// The names, in order of the variants.
    pub const NAMES: [&str; 5] = ["acknowledged", "rejected", "repeated", "refused", "answered"];
}

/// What a venue's link does, written by the hot thread.
#[derive(Default)]
pub struct VenueMetrics {
    /// 0 down, 1 reconciling, 2 up.
    pub state: Counter,
    /// Requests sent.
    pub requests: Counter,
    /// Reports taken.
    pub reports: Counter,
    /// Reports dropped because they said nothing new.
    pub reports_repeated: Counter,
    /// Quotes taken.
    pub quotes: Counter,
    /// Requests that wait in the outbox.
    pub outbox: Counter,
    /// Free places of the request lane.
    pub lane_free: Counter,
    /// From the request on its way to the first report, in nanoseconds.
    pub round_trip: Histogram,
    /// Times the venue went down.
    pub disconnects: Counter,
}

/// Everything that is counted. Written by the hot thread, unless a field says otherwise.
pub struct Metrics {
    /// Commands by action ([`Action::NAMES`]) and outcome ([`Outcome::NAMES`]).
    pub commands: [[Counter; 5]; 10],
    /// Rejections by code, in the order of [`Code::ALL`].
    pub rejects: Box<[Counter]>,
    /// Reports by kind ([`ReportKind::NAMES`](tollgate_protocol::event::ReportKind::NAMES)).
    pub reports: [Counter; 9],
    /// Stage times of sampled commands, in nanoseconds, by [`Stage`].
    pub stages: [Histogram; Stage::ALL.len()],
    /// Length of the turn that took a frame, once for each, in nanoseconds.
    pub command_latency: Histogram,
    /// Length of turns that took frames or reports, in nanoseconds.
    pub turn_time: Histogram,
    /// Turns of the hot loop.
    pub turns: Counter,
    /// When the last turn began, nanoseconds since the Unix epoch.
    pub last_turn_ns: Counter,
    /// 1 when the hot thread is about to sleep until something happens, 0 while it turns.
    pub parked: Counter,
    /// Sessions that stand.
    pub sessions: Counter,
    /// Sessions begun.
    pub sessions_begun: Counter,
    /// Sessions ended by a code, in the order of [`Code::ALL`].
    pub sessions_ended: Box<[Counter]>,
    /// Sessions whose connection broke.
    pub sessions_lost: Counter,
    /// Events replayed to a session from the hot thread's memory.
    pub events_replayed: Counter,
    /// Bytes received.
    pub bytes_received: Counter,
    /// Bytes sent.
    pub bytes_sent: Counter,
    /// Orders that are open, unknown ones included.
    pub orders_open: Counter,
    /// Orders whose outcome is unknown.
    pub orders_unknown: Counter,
    /// 0 active, 1 reducing, 2 halted: the whole gateway.
    pub trading_state: Counter,
    /// Accounts and symbols that are halted or reducing.
    pub halts: Counter,
    /// Highest share of a loss limit that is used, in percent, over all owners.
    pub loss_percent: Counter,
    /// Journal: sequence of the last record.
    pub journal_sequence: Counter,
    /// Journal: the watermark.
    pub journal_durable_sequence: Counter,
    /// Journal: 0 writable, 1 low on space, 2 failed.
    pub journal_state: Counter,
    /// Journal: bytes free in the present segment.
    pub journal_free_bytes: Counter,
    /// Journal: the present segment.
    pub journal_segment: Counter,
    /// Entries of the deduplication window.
    pub dedupe_entries: Counter,
    /// Venues, in the order of the settings.
    pub venues: Vec<VenueMetrics>,
    /// By client: the number of its last event.
    pub event_sequences: Vec<Counter>,
    /// Written by the door: connections that have not logged on.
    pub door_waiting: Counter,
    /// Written by the door: connections accepted.
    pub door_accepted: Counter,
    /// Written by the door: logons that succeeded.
    pub door_logons: Counter,
    /// Written by the door: rejections and drops before a logon, by code, in the order of [`Code::ALL`].
    pub door_refused: Box<[Counter]>,
    /// Written by the door: events replayed from the journal.
    pub door_events_replayed: Counter,
    /// Written by the door: addresses with so many failed logons that wrong proofs from them are answered late.
    pub door_blocked_addresses: Counter,
    /// Written by the door: keys in force, revoked and expired ones included.
    pub door_keys: Counter,
    /// Written by the door: times the keys changed.
    pub door_keys_reloads: Counter,
    /// Written by the door: times the keys file changed and was not valid.
    pub door_keys_errors: Counter,
}

impl Metrics {
    /// All zero, with room for `venues` venues and `clients` clients.
    pub fn new(venues: usize, clients: usize) -> Self {
        let by_code = || Code::ALL.iter().map(|_| Counter::default()).collect();
        Self {
            commands: Default::default(),
            rejects: by_code(),
            reports: Default::default(),
            stages: Default::default(),
            command_latency: Histogram::default(),
            turn_time: Histogram::default(),
            turns: Counter::default(),
            last_turn_ns: Counter::default(),
            parked: Counter::default(),
            sessions: Counter::default(),
            sessions_begun: Counter::default(),
            sessions_ended: by_code(),
            sessions_lost: Counter::default(),
            events_replayed: Counter::default(),
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
            orders_open: Counter::default(),
            orders_unknown: Counter::default(),
            trading_state: Counter::default(),
            halts: Counter::default(),
            loss_percent: Counter::default(),
            journal_sequence: Counter::default(),
            journal_durable_sequence: Counter::default(),
            journal_state: Counter::default(),
            journal_free_bytes: Counter::default(),
            journal_segment: Counter::default(),
            dedupe_entries: Counter::default(),
            venues: (0..venues).map(|_| VenueMetrics::default()).collect(),
            event_sequences: (0..clients).map(|_| Counter::default()).collect(),
            door_waiting: Counter::default(),
            door_accepted: Counter::default(),
            door_logons: Counter::default(),
            door_refused: by_code(),
            door_events_replayed: Counter::default(),
            door_blocked_addresses: Counter::default(),
            door_keys: Counter::default(),
            door_keys_reloads: Counter::default(),
            door_keys_errors: Counter::default(),
        }
    }

    /// Counts a command.
    #[inline]
    pub fn command(&self, action: &Action, outcome: Outcome) {
        self.commands[action.index()][outcome as usize].add(1);
    }

    /// Counts a code in one of the tables that are ordered like [`Code::ALL`].
    #[inline]
    pub fn code(table: &[Counter], code: Code) {
        if let Ok(at) = Code::ALL.binary_search(&code) {
            table[at].add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_lies_in_its_bucket(nanoseconds in 0_u64..1 << 39) {
            let bucket = Histogram::bucket(nanoseconds);
            prop_assert!(nanoseconds <= Histogram::upper_bound(bucket));
            if bucket > 0 {
                prop_assert!(nanoseconds > Histogram::upper_bound(bucket - 1));
            }
        }
    }

    #[test]
    fn quantiles_are_within_an_eighth() {
        let histogram = Histogram::default();
        (1..=10_000).for_each(|value| histogram.record(value));
        for (per_mille, exact) in [(500, 5_000_u64), (990, 9_900), (1000, 10_000)] {
            let found = histogram.quantile(per_mille);
            assert!(found >= exact && found <= exact + exact / 8, "{per_mille}: {found}");
        }
        assert_eq!((histogram.count(), histogram.maximum()), (10_000, 10_000));
    }
}
