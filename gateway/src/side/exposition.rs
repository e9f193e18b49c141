//! The Prometheus text format, version 0.0.4.

use std::fmt::{self, Display, Write as _};

use tollgate_core::metrics::Histogram;

/// The format's content type.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds for times between threads and machines, in nanoseconds: 1 µs to 10 s.
pub(super) const LATENCY_BOUNDS_NS: &[u64] = &[
    1_000,
    2_000,
    3_000,
    5_000,
    7_000,
    10_000,
    20_000,
    30_000,
    50_000,
    70_000,
    100_000,
    200_000,
    300_000,
    500_000,
    700_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Upper bounds for the stages of one command, in nanoseconds: 10 ns to 10 ms.
pub(super) const STAGE_BOUNDS_NS: &[u64] = &[
    10, 20, 30, 50, 70, 100, 200, 300, 500, 700, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000,
    1_000_000, 10_000_000,
];

/// A label's name and value.
pub(super) type Label<'a> = (&'a str, &'a str);

/// Nanoseconds, shown as seconds.
pub(super) struct Seconds(pub(super) u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:09}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// Hundredths, shown as a ratio.
pub(super) struct Percent(pub(super) u64);

impl Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// A text of metrics in the making.
#[derive(Default)]
pub(super) struct Exposition {
    text: String,
}

/// One metric's samples in the making.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.text
    }

    /// A metric that only grows. Its name ends with `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        debug_assert!(name.ends_with("_total"), "{name}");
        self.family(name, "counter", help)
    }

    /// A metric that goes up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// A distribution of times. Its name ends with `_seconds`.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        debug_assert!(name.ends_with("_seconds"), "{name}");
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        // Writing to a string does not fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text: &mut self.text, name }
    }
}

impl Family<'_> {
    /// A sample without labels.
    pub(super) fn value(&mut self, value: impl Display) {
        self.labelled(&[], value);
    }

    /// A sample with labels.
    pub(super) fn labelled(&mut self, labels: &[Label<'_>], value: impl Display) {
        self.sample("", labels, None, value);
    }

    /// A distribution. What lies in a fine bucket that reaches beyond a bound counts above it, so a bound may
    /// tell up to an eighth too few, and never too many. One pass over the counts makes all lines, so that they
    /// agree with each other whatever is counted meanwhile.
    pub(super) fn distribution(&mut self, labels: &[Label<'_>], histogram: &Histogram, bounds_ns: &[u64]) {
        let sum_ns = histogram.sum();
        let mut counts = histogram.counts().peekable();
        let mut cumulative = 0;
        for bound_ns in bounds_ns {
            while let Some((_, count)) = counts.next_if(|(upper_ns, _)| upper_ns <= bound_ns) {
                cumulative += count;
            }
            self.sample("_bucket", labels, Some(&Seconds(*bound_ns).to_string()), cumulative);
        }
        cumulative += counts.map(|(_, count)| count).sum::<u64>();
        self.sample("_bucket", labels, Some("+Inf"), cumulative);
        self.sample("_sum", labels, None, Seconds(sum_ns));
        self.sample("_count", labels, None, cumulative);
    }

    fn sample(&mut self, suffix: &str, labels: &[Label<'_>], bound: Option<&str>, value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let bound = bound.map(|bound| ("le", bound));
        for (index, (name, value)) in labels.iter().copied().chain(bound).enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{name}=\"{}\"", Escaped(value));
        }
        if !labels.is_empty() || bound.is_some() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_shown_in_base_units() {
        let shown = [0, 1, 1_000, 1_500_000_000, 10_000_000_000].map(|it| Seconds(it).to_string());
        assert_eq!(shown, ["0", "0.000000001", "0.000001", "1.5", "10"]);
        assert_eq!([0, 7, 100, 250].map(|it| Percent(it).to_string()), ["0.00", "0.07", "1.00", "2.50"]);
    }

    #[test]
    fn labels_are_escaped() {
        let mut out = Exposition::default();
        out.gauge("g", "A gauge.").labelled(&[("a", "x\"y\\z\nw"), ("b", "")], 1);
        assert_eq!(out.finish(), "# HELP g A gauge.\n# TYPE g gauge\ng{a=\"x\\\"y\\\\z\\nw\",b=\"\"} 1\n");
    }

    fn numbers(text: &str, suffix: &str) -> Vec<u64> {
        let name = format!("t_seconds{suffix}");
        let lines = text.lines().filter(|line| line.starts_with(&name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect()
    }

    proptest! {
        #[test]
        fn buckets_grow_and_never_tell_too_many(values in proptest::collection::vec(0_u64..1 << 41, 0..200)) {
            let histogram = Histogram::default();
            for value in &values {
                histogram.record(*value);
            }
            for bounds in [LATENCY_BOUNDS_NS, STAGE_BOUNDS_NS] {
                let mut out = Exposition::default();
                out.histogram("t_seconds", "Times.").distribution(&[], &histogram, bounds);
                let text = out.finish();
                let buckets = numbers(&text, "_bucket");
                prop_assert_eq!(buckets.len(), bounds.len() + 1);
                prop_assert!(buckets.is_sorted());
                for (bound, told) in bounds.iter().zip(&buckets) {
                    let below = |limit: u64| values.iter().filter(|value| **value <= limit).count() as u64;
                    prop_assert!(*told <= below(*bound), "{} {}", bound, told);
                    prop_assert!(*told >= below(bound - bound / 8 - 1), "{} {}", bound, told);
                }
                let count = numbers(&text, "_count");
                prop_assert_eq!((buckets.last(), count[0]), (Some(&count[0]), values.len() as u64));
            }
        }
    }
}
