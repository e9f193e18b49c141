//! Median and quartiles.

use serde_json::{Value, json};

/// The value below which `share` of the values lies.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len()) - 1;
    sorted[at]
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

    /// The same in a unit of so many.
    pub(crate) fn divided_by(self, unit: f64) -> Self {
        Self { low: self.low / unit, median: self.median / unit, high: self.high / unit }
    }

    /// Median and quartiles, with as many decimals as they can bear.
    pub(crate) fn shown(self) -> String {
        let decimals = match self.median {
            median if median >= 1000.0 => 0,
            median if median >= 100.0 => 1,
            _ => 2,
        };
        format!("{:.decimals$} ({:.decimals$}–{:.decimals$})", self.median, self.low, self.high)
    }

    pub(crate) fn json(self) -> Value {
        json!({ "p25": self.low, "median": self.median, "p75": self.high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_values() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|share| percentile(&sorted, share) as u64), [50, 99, 100]);
        let spread = Spread::of([3.0, 1.0, 2.0, 5.0, 4.0].into_iter());
        assert_eq!(spread.shown(), "3.00 (2.00–4.00)");
    }
}
