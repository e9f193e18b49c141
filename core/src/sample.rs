//! How long the stages of one command in so many take.

use crate::metrics::Metrics;
use crate::stage::{Probe, Stage};
use crate::world::World;

/// Measures every stage of one sampled command.
pub(crate) struct Sample<'a, W: World> {
    metrics: &'a Metrics,
    world: &'a W,
    last_ns: u64,
}

impl<'a, W: World> Sample<'a, W> {
    /// Begins now.
    pub(crate) fn new(metrics: &'a Metrics, world: &'a W) -> Self {
        Self { metrics, world, last_ns: world.monotonic_ns() }
    }
}

impl<W: World> Probe for Sample<'_, W> {
    fn ended(&mut self, stage: Stage) {
        let now_ns = self.world.monotonic_ns();
        self.metrics.stages[stage as usize].record(now_ns.saturating_sub(self.last_ns));
        self.last_ns = now_ns;
    }
}
