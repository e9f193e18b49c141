//! The hot thread's only looks at a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::metrics::Metrics;

/// Wall time that never goes back. Read once a turn.
#[derive(Default)]
pub struct Clock {
    last_ns: u64,
}

impl Clock {
    /// Nanoseconds since the Unix epoch.
    #[inline]
    pub fn now_ns(&mut self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        self.last_ns = self.last_ns.max(now);
        self.last_ns
    }
}

/// Notes when stages end. The common one does nothing and costs nothing.
pub trait Probe {
    /// A stage, by its place in [`crate::metrics::STAGES`], has ended.
    fn stage(&mut self, stage: usize);
}

/// Measures nothing.
pub struct NoProbe;

impl Probe for NoProbe {
    #[inline(always)]
    fn stage(&mut self, _stage: usize) {}
}

/// Measures every stage of one sampled command.
pub struct StageProbe<'a> {
    metrics: &'a Metrics,
    last: Instant,
}

impl<'a> StageProbe<'a> {
    /// Begins now.
    pub fn new(metrics: &'a Metrics) -> Self {
        Self { metrics, last: Instant::now() }
    }
}

impl Probe for StageProbe<'_> {
    fn stage(&mut self, stage: usize) {
        let now = Instant::now();
        self.metrics.stages[stage].record(now.duration_since(self.last).as_nanos() as u64);
        self.last = now;
    }
}
