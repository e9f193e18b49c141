//! One page that a person would rather look at than read: verdicts, plots, tables, nothing from elsewhere.

mod hgrm;
mod page;
mod plot;

pub(crate) use hgrm::hgrm;
pub(crate) use page::page;

use hdrhistogram::Histogram;

/// How a figure stands to its goal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// The goal is met.
    Met,
    /// The goal of the first release is, the goal is not.
    FirstRelease,
    /// Neither is.
    NotMet,
}

/// A figure beside its goal, in words.
pub(crate) struct Verdict {
    pub(crate) state: State,
    pub(crate) text: String,
}

/// A part of the page.
pub(crate) struct Section {
    pub(crate) title: String,
    /// What was measured, and how to read it.
    pub(crate) explanation: String,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) plots: Vec<Plot>,
    /// The first row is the header; the first column is text.
    pub(crate) table: Vec<Vec<String>>,
}

/// What a measurement gives to the page.
pub(crate) struct Part {
    pub(crate) section: Section,
    /// Distributions, each with its file's name.
    pub(crate) distributions: Vec<(String, Histogram<u64>)>,
}

/// Text from elsewhere, as it may stand in a page.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Named points.
pub(crate) type Series = (String, Vec<(f64, f64)>);

/// A picture.
pub(crate) enum Plot {
    /// Latency by percentile, microseconds upward.
    Percentiles { title: String, series: Vec<(String, Histogram<u64>)> },
    /// Points joined by lines; both axes may be logarithmic.
    Lines { title: String, across: String, upward: String, logarithmic: (bool, bool), series: Vec<Series> },
    /// Horizontal bars, and a mark that they should stay below.
    Bars { title: String, unit: String, bars: Vec<(String, f64)>, mark: Option<(String, f64)> },
    /// For each row its lowest, its quartiles and its highest, and marks.
    Spreads { title: String, unit: String, rows: Vec<(String, [f64; 5])>, marks: Vec<(String, f64)> },
}

/// The values of several rounds as one histogram, three digits exact.
pub(crate) fn histogram<'a>(rounds: impl Iterator<Item = &'a [u64]>) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap_or_else(|_| {
        // The bounds above are valid.
        unreachable!("a histogram of one nanosecond to one minute")
    });
    for value in rounds.flatten() {
        histogram.saturating_record(*value);
    }
    histogram
}
