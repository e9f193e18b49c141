//! Percentiles of a round, and medians of rounds.

/// A round's latencies, in nanoseconds, sorted.
pub(crate) struct Round(Vec<u64>);

impl Round {
    pub(crate) fn new(mut latencies: Vec<u64>) -> Self {
        latencies.sort_unstable();
        Self(latencies)
    }

    /// All of them, in nanoseconds, sorted.
    pub(crate) fn values(&self) -> &[u64] {
        &self.0
    }

    /// The value below which `share` of the round lies, in microseconds.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let at = ((self.0.len() as f64 * share).ceil() as usize).clamp(1, self.0.len()) - 1;
        self.0[at] as f64 / 1000.0
    }
}

/// The rounds of one peer, paired with the other peers' by their place.
pub(crate) struct Rounds {
    pub(crate) name: &'static str,
    pub(crate) rounds: Vec<Round>,
}

impl Rounds {
    /// None yet.
    pub(crate) fn of(name: &'static str) -> Self {
        Self { name, rounds: Vec::new() }
    }

    /// The percentile at `share`, in microseconds, over the rounds.
    pub(crate) fn spread(&self, share: f64) -> Spread {
        Spread::of(self.rounds.iter().map(|round| round.percentile(share)))
    }

    /// How many times as long as `other` this peer took, round by round.
    pub(crate) fn ratios(&self, other: &Self, share: f64) -> impl Iterator<Item = f64> {
        let pairs = self.rounds.iter().zip(&other.rounds);
        pairs.map(move |(one, other)| one.percentile(share) / other.percentile(share))
    }

    /// The same as median and quartiles.
    pub(crate) fn ratio(&self, other: &Self, share: f64) -> Spread {
        Spread::of(self.ratios(other, share))
    }
}

/// Median and quartiles of one figure over the rounds.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }

    /// Lowest, quartiles and highest.
    pub(crate) fn five(values: impl Iterator<Item = f64>) -> [f64; 5] {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| values[((values.len() - 1) as f64 * share).round() as usize])
    }

    /// Microseconds, or a ratio, with two digits: median and quartiles.
    pub(crate) fn shown(self) -> String {
        format!("{:.2} ({:.2}–{:.2})", self.median, self.low, self.high)
    }

    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::json!({ "p25": self.low, "median": self.median, "p75": self.high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_round() {
        let round = Round::new((1..=100).rev().map(|value| value * 1000).collect());
        let shares = [0.5, 0.99, 1.0].map(|share| round.percentile(share) as u64);
        assert_eq!(shares, [50, 99, 100]);
        let spread = Spread::of([3.0, 1.0, 2.0, 5.0, 4.0].into_iter());
        assert_eq!([spread.low, spread.median, spread.high].map(|it| it as u64), [2, 3, 4]);
    }
    /// A ratio of the medians would be 20 / 10 = 2; round by round it is 1, 10 and 1.
    #[test]
    fn ratios_are_paired_round_by_round() {
        let rounds = |name, values: [u64; 3]| Rounds {
            name,
            rounds: values.map(|value| Round::new(vec![value * 1000])).into(),
        };
        let (one, other) = (rounds("one", [20, 100, 10]), rounds("other", [20, 10, 10]));
        assert_eq!(one.ratio(&other, 0.5).median as u64, 1);
        assert_eq!(one.ratios(&other, 0.5).map(|it| it as u64).collect::<Vec<_>>(), [1, 10, 1]);
        assert_eq!(one.spread(0.5).shown(), "20.00 (20.00–100.00)");
    }
}
