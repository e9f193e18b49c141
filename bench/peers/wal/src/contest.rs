//! Logs that take turns, and what their rounds have shown.

use crate::log::{Log, Outcome};
use crate::spread::{Spread, percentile};

/// A log, or the control, with its name and what it does for a record.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) does: &'static str,
    pub(crate) log: Box<dyn Log>,
}

/// How a round goes.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Turns of each side in a round; each time in random order.
    pub(crate) turns: usize,
    /// Timed batches of a turn.
    pub(crate) batches: usize,
    /// Records of a batch.
    pub(crate) records: usize,
}

/// Nanoseconds a record in one round, over its batches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// What a side has shown: a [`Figures`] a round, paired with the other sides' by its place.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) does: &'static str,
    pub(crate) rounds: Vec<Figures>,
}

/// One of the figures.
pub(crate) type Pick = fn(&Figures) -> f64;

/// Sides that do the same thing: the control first, the journal second, then the others.
pub(crate) struct Contest {
    sides: Vec<Side>,
    plan: Plan,
}

impl Contest {
    pub(crate) fn new(sides: Vec<Side>, plan: Plan) -> Self {
        Self { sides, plan }
    }

    /// No rounds yet.
    pub(crate) fn measured(&self) -> Vec<Measured> {
        let measured = |side: &Side| Measured { name: side.name, does: side.does, rounds: Vec::new() };
        self.sides.iter().map(measured).collect()
    }

    /// One round of every side.
    pub(crate) fn round(&mut self) -> Outcome<Vec<Figures>> {
        let Plan { turns, batches, records } = self.plan;
        let mut taken_ns = vec![Vec::with_capacity(turns * batches); self.sides.len()];
        for _ in 0..turns {
            for at in shuffled(self.sides.len())? {
                let Side { name, log, .. } = &mut self.sides[at];
                let turn = turn(log.as_mut(), batches, records, &mut taken_ns[at]);
                turn.map_err(|error| format!("{name}: {error}"))?;
            }
        }
        Ok(taken_ns.into_iter().map(|taken_ns| Figures::of(&taken_ns, records)).collect())
    }

    /// Ends all of them.
    pub(crate) fn finish(self) -> Outcome<()> {
        self.sides.into_iter().try_for_each(|side| side.log.finish())
    }
}

fn turn(log: &mut dyn Log, batches: usize, records: usize, taken_ns: &mut Vec<u64>) -> Outcome<()> {
    log.prepare()?;
    for _ in 0..batches {
        taken_ns.push(log.batch(records)?);
    }
    log.rest()
}

impl Figures {
    /// From the nanoseconds of every batch.
    fn of(taken_ns: &[u64], records: usize) -> Self {
        let mut each: Vec<f64> = taken_ns.iter().map(|ns| *ns as f64 / records as f64).collect();
        each.sort_by(f64::total_cmp);
        let mean = each.iter().sum::<f64>() / each.len() as f64;
        Self { mean, p50: percentile(&each, 0.5), p99: percentile(&each, 0.99) }
    }
}

impl Measured {
    /// In nanoseconds.
    pub(crate) fn spread(&self, pick: Pick) -> Spread {
        Spread::of(self.rounds.iter().map(pick))
    }

    /// How many times as long as `other` this side took, round by round.
    pub(crate) fn ratio(&self, other: &Self, pick: Pick) -> Spread {
        let pairs = self.rounds.iter().zip(&other.rounds);
        Spread::of(pairs.map(|(one, other)| pick(one) / pick(other)))
    }
}

/// The numbers below `count`, at most 256, in random order.
pub(crate) fn shuffled(count: usize) -> Outcome<Vec<usize>> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut random = vec![0; count];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    for at in (1..count).rev() {
        order.swap(at, usize::from(random[at]) % (at + 1));
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_order_comes_up() {
        let orders: BTreeSet<_> = (0..1000).map(|_| shuffled(3).unwrap()).collect();
        assert_eq!(orders.len(), 6);
    }

    #[test]
    fn a_batch_counts_by_the_record() {
        let figures = Figures::of(&[90_000, 20_000, 10_000], 1000);
        assert_eq!(figures, Figures { mean: 40.0, p50: 20.0, p99: 90.0 });
    }

    /// A ratio of the medians would be 20 / 10 = 2; round by round it is 1, 10 and 1.
    #[test]
    fn ratios_are_paired_round_by_round() {
        let measured = |means: [f64; 3]| Measured {
            name: "",
            does: "",
            rounds: means.map(|mean| Figures { mean, p50: 0.0, p99: 0.0 }).into(),
        };
        let (one, other) = (measured([10.0, 100.0, 20.0]), measured([10.0, 10.0, 20.0]));
        assert_eq!(one.ratio(&other, |it| it.mean).median as u64, 1);
        assert_eq!(one.spread(|it| it.mean).median as u64, 20);
    }
}
