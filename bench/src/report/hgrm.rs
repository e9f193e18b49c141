//! Percentiles in the text format that the HdrHistogram plotters read.

use std::fmt::Write;

use hdrhistogram::Histogram;

/// The distribution in microseconds.
pub(crate) fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut out =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let total = histogram.len();
    let mut seen = 0;
    let mut last = None;
    for step in histogram.iter_quantiles(5) {
        seen += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        if last == Some(seen) && quantile < 1.0 {
            continue;
        }
        last = Some(seen);
        let value = step.value_iterated_to() as f64 / 1000.0;
        let _ = match 1.0 - quantile {
            rest if rest > 0.0 => {
                writeln!(out, "{value:>12.3} {quantile:>14.12} {seen:>10} {:>14.2}", 1.0 / rest)
            }
            _ => writeln!(out, "{value:>12.3} {quantile:>14.12} {seen:>10}"),
        };
    }
    let (mean, deviation) = (histogram.mean() / 1000.0, histogram.stdev() / 1000.0);
    let _ = writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
    let _ =
        writeln!(out, "#[Max     = {:>12.3}, Total count    = {total:>12}]", histogram.max() as f64 / 1000.0);
    let _ = writeln!(out, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", 27, 2048);
    out
}

#[cfg(test)]
mod tests {
    use super::super::histogram;
    use super::*;

    #[test]
    fn says_what_it_holds() {
        let values: Vec<u64> = (1..=1000).map(|value| value * 1000).collect();
        let text = hgrm(&histogram([values.as_slice()].into_iter()));
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().filter_map(|field| field.parse().ok()).collect())
            .collect();
        let half = rows.iter().find(|row| row[1] >= 0.5).map(|row| row[0]);
        assert!(half.is_some_and(|half| (half - 500.0).abs() < 1.0), "{half:?}");
        assert_eq!(rows.last().map(|row| row[2] as u64), Some(1000));
        assert!(text.contains("Total count    =         1000"), "{text}");
    }
}
