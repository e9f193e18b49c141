//! Plots as SVG.

use std::fmt::Write;

use hdrhistogram::Histogram;

use super::escape;
use super::{Plot, Series};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
/// Names of series stand here.
const RIGHT: f64 = 130.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 46.0;
const COLOURS: usize = 6;

/// A figure element with its caption.
pub(super) fn draw(plot: &Plot) -> String {
    let (title, body, height) = match plot {
        Plot::Percentiles { title, series } => (title, percentiles(series), HEIGHT),
        Plot::Lines { title, across, upward, logarithmic, series } => {
            (title, lines(across, upward, *logarithmic, series, None), HEIGHT)
        }
        Plot::Bars { title, unit, bars, mark } => {
            (title, self::bars(unit, bars, mark.as_ref()), rows_height(bars.len()))
        }
        Plot::Spreads { title, unit, rows, marks } => {
            (title, spreads(unit, rows, marks), rows_height(rows.len()))
        }
    };
    let title = escape(title);
    format!(
        "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{title}\"><title>{title}</title>{body}</svg></figure>\n"
    )
}

fn rows_height(rows: usize) -> f64 {
    rows as f64 * 34.0 + TOP + BOTTOM
}

/// Where values lie on an axis.
#[derive(Clone, Copy)]
struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    is_logarithmic: bool,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64, is_logarithmic: bool) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite() && (!is_logarithmic || *value > 0.0)) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        if is_logarithmic {
            (low, high) = (low / 1.15, high * 1.15);
        } else {
            (low, high) = (0.0_f64.min(low), if high > 0.0 { high * 1.06 } else { 1.0 });
        }
        Self { low, high, from, to, is_logarithmic }
    }

    fn place(&self, value: f64) -> f64 {
        let share = if self.is_logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share * (self.to - self.from)
    }

    /// Round numbers within the scale.
    fn ticks(&self) -> Vec<f64> {
        if self.is_logarithmic {
            let decades = (self.high / self.low).log10();
            let steps: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let first = self.low.log10().floor() as i32;
            let last = self.high.log10().ceil() as i32;
            let all =
                (first..=last).flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
            return all.filter(|tick| (self.low..=self.high).contains(tick)).collect();
        }
        let rough = (self.high - self.low) / 6.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .iter()
            .map(|step| step * power)
            .find(|step| *step >= rough)
            .unwrap_or(rough);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|number| number as f64 * step).collect()
    }
}

/// As few digits as tell a number from its neighbours.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{} M", trim(value / 1e6)),
        size if size >= 10_000.0 => format!("{} k", trim(value / 1e3)),
        _ => trim(value),
    }
}

fn trim(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn upward_axis(out: &mut String, scale: &Scale, label: &str) {
    for tick in scale.ticks() {
        let y = scale.place(tick);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
            number(tick)
        );
    }
    let middle = f64::midpoint(scale.from, scale.to);
    let _ = write!(
        out,
        "<text class=\"soft\" transform=\"translate(16 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        escape(label)
    );
}

fn across_axis(out: &mut String, scale: &Scale, ticks: &[(f64, String)], label: &str, bottom: f64) {
    for (tick, name) in ticks {
        let x = scale.place(*tick);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>\
             <text class=\"soft\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>",
            bottom + 17.0
        );
    }
    let _ = write!(
        out,
        "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        f64::midpoint(scale.from, scale.to),
        bottom + 38.0,
        escape(label)
    );
}

/// Latency over 1/(1 − p), so that every nine takes the same room.
fn percentiles(series: &[(String, Histogram<u64>)]) -> String {
    let points: Vec<Series> = series
        .iter()
        .map(|(name, histogram)| {
            let worst = (histogram.len() as f64).max(10.0);
            let steps = (0..=120).map(|step| 1.0 - worst.powf(-f64::from(step) / 120.0));
            let curve = steps.filter(|_| !histogram.is_empty()).map(|quantile| {
                (1.0 / (1.0 - quantile), histogram.value_at_quantile(quantile) as f64 / 1000.0)
            });
            (name.clone(), curve.collect())
        })
        .collect();
    let nines =
        [(1.0, "0 %"), (2.0, "50 %"), (10.0, "90 %"), (100.0, "99 %"), (1e3, "99.9 %"), (1e4, "99.99 %")];
    lines("percentile", "µs", (true, true), &points, Some(&nines))
}

fn lines(
    across: &str,
    upward: &str,
    logarithmic: (bool, bool),
    series: &[Series],
    names: Option<&[(f64, &str)]>,
) -> String {
    let all = || series.iter().flat_map(|(_, points)| points.iter().copied());
    let x = Scale::new(all().map(|(x, _)| x), LEFT, WIDTH - RIGHT, logarithmic.0);
    let y = Scale::new(all().map(|(_, y)| y), HEIGHT - BOTTOM, TOP, logarithmic.1);
    let mut out = String::new();
    upward_axis(&mut out, &y, upward);
    let ticks: Vec<(f64, String)> = match names {
        Some(names) => names
            .iter()
            .filter(|(tick, _)| (x.low..=x.high).contains(tick))
            .map(|(tick, name)| (*tick, (*name).to_owned()))
            .collect(),
        None => x.ticks().into_iter().map(|tick| (tick, number(tick))).collect(),
    };
    across_axis(&mut out, &x, &ticks, across, HEIGHT - BOTTOM);
    let mut labels: Vec<(f64, usize)> = Vec::new();
    for (at, (name, points)) in series.iter().enumerate() {
        let Some((_, last)) = points.last() else { continue };
        labels.push((y.place(*last), at));
        let mut path = String::new();
        for (step, (across, upward)) in points.iter().enumerate() {
            let command = if step == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", x.place(*across), y.place(*upward));
        }
        let colour = at % COLOURS;
        let _ = write!(
            out,
            "<path d=\"{path}\" fill=\"none\" stroke=\"var(--s{colour})\" stroke-width=\"2.2\"/>"
        );
        if names.is_none() {
            dots(&mut out, &x, &y, name, points, colour);
        }
    }
    name_lines(&mut out, series, labels);
    out
}

fn dots(out: &mut String, x: &Scale, y: &Scale, name: &str, points: &[(f64, f64)], colour: usize) {
    for (across, upward) in points {
        let _ = write!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"var(--s{colour})\"><title>{}: {} at {}</title></circle>",
            x.place(*across),
            y.place(*upward),
            escape(name),
            number(*upward),
            number(*across)
        );
    }
}

/// The names of series at their lines' ends, moved apart where they would overlap.
fn name_lines(out: &mut String, series: &[Series], mut labels: Vec<(f64, usize)>) {
    labels.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut lowest = TOP;
    for (y, at) in labels {
        let y = y.max(lowest);
        lowest = y + 15.0;
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" style=\"fill:var(--s{});font-weight:600\">{}</text>",
            WIDTH - RIGHT + 8.0,
            y + 4.0,
            at % COLOURS,
            escape(&series[at].0)
        );
    }
}

/// Room for the names of rows.
const NAMES: f64 = 210.0;

fn bars(unit: &str, bars: &[(String, f64)], mark: Option<&(String, f64)>) -> String {
    let values = bars.iter().map(|(_, value)| *value).chain(mark.map(|(_, value)| *value));
    let x = Scale::new(values, NAMES, WIDTH - RIGHT, false);
    let bottom = rows_height(bars.len()) - BOTTOM;
    let mut out = String::new();
    let ticks: Vec<_> = x.ticks().into_iter().map(|tick| (tick, number(tick))).collect();
    across_axis(&mut out, &x, &ticks, unit, bottom);
    for (at, (name, value)) in bars.iter().enumerate() {
        let y = TOP + at as f64 * 34.0 + 6.0;
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{NAMES}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"22\" rx=\"2\" fill=\"var(--s0)\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{} {}</text>",
            NAMES - 10.0,
            y + 15.0,
            escape(name),
            x.place(*value) - NAMES,
            x.place(*value) + 7.0,
            y + 15.0,
            number(*value),
            escape(unit)
        );
    }
    if let Some(mark) = mark {
        goal(&mut out, &x, mark, bottom, "middle");
    }
    out
}

fn goal(out: &mut String, x: &Scale, (name, value): &(String, f64), bottom: f64, anchor: &str) {
    let at = x.place(*value);
    let _ = write!(
        out,
        "<line class=\"goal\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>\
         <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" style=\"fill:var(--not)\">{}</text>",
        TOP - 1.0,
        escape(name)
    );
}

fn spreads(unit: &str, rows: &[(String, [f64; 5])], marks: &[(String, f64)]) -> String {
    let values = rows.iter().flat_map(|(_, figures)| *figures).chain(marks.iter().map(|(_, value)| *value));
    let x = Scale::new(values, NAMES, WIDTH - RIGHT, false);
    let bottom = rows_height(rows.len()) - BOTTOM;
    let mut out = String::new();
    let ticks: Vec<_> = x.ticks().into_iter().map(|tick| (tick, number(tick))).collect();
    across_axis(&mut out, &x, &ticks, unit, bottom);
    for (at, (name, [lowest, low, median, high, highest])) in rows.iter().enumerate() {
        let y = TOP + at as f64 * 34.0 + 17.0;
        let place = |value: &f64| x.place(*value);
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"var(--s0)\" stroke-width=\"1.5\"/>\
             <rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"18\" fill=\"var(--s0)\" opacity=\".55\"/>\
             <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"var(--front)\" stroke-width=\"2.5\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            NAMES - 10.0,
            y + 4.0,
            escape(name),
            place(lowest),
            place(highest),
            place(low),
            y - 9.0,
            (place(high) - place(low)).max(1.0),
            place(median),
            place(median),
            y - 11.0,
            y + 11.0,
            place(highest) + 8.0,
            y + 4.0,
            number(*median)
        );
    }
    for (at, mark) in marks.iter().enumerate() {
        // Two marks lie close together: their names go apart.
        goal(&mut out, &x, mark, bottom, if at % 2 == 0 { "end" } else { "start" });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_hold_what_they_show() {
        for is_logarithmic in [false, true] {
            for values in [vec![], vec![5.0], vec![0.0, 0.0], vec![3.0, 1e6], vec![f64::NAN, 2.0]] {
                let scale = Scale::new(values.iter().copied(), 10.0, 110.0, is_logarithmic);
                for value in
                    values.iter().filter(|value| value.is_finite() && (!is_logarithmic || **value > 0.0))
                {
                    let place = scale.place(*value);
                    assert!((9.9..=110.1).contains(&place), "{values:?} {value} {place}");
                }
                let ticks = scale.ticks();
                assert!(ticks.len() < 20 && ticks.is_sorted(), "{values:?} {ticks:?}");
            }
        }
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 1.5, 12.34, 123.4, 20_000.0, 1_250_000.0].map(number);
        assert_eq!(shown, ["0", "1.5", "12.3", "123", "20 k", "1.25 M"]);
    }
}
