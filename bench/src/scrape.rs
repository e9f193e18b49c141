//! What a gateway says of itself on its side port.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::peer::{PATIENCE, Process};

/// Between two looks at a page that is still the old one.
const RETRY: Duration = Duration::from_millis(5);

/// The text of all metrics at one moment.
pub(crate) struct Page(String);

impl Page {
    /// As they are now: the side port may show a page again that it has shown a moment before.
    pub(crate) fn of(gateway: &Process) -> Result<Self, String> {
        let (asked, began) = (SystemTime::now(), Instant::now());
        let asked_s = asked.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        while began.elapsed() < PATIENCE {
            let page = gateway.metrics().map(Self);
            let page = page.map_err(|error| format!("no metrics from the side port: {error}"))?;
            if page.value("tollgate_last_turn_timestamp_seconds")? >= asked_s {
                return Ok(page);
            }
            std::thread::sleep(RETRY);
        }
        Err("the metrics of the side port are older than 10 s".to_owned())
    }

    /// The same of a gateway that is stopped, and is again afterwards.
    pub(crate) fn of_stopped(gateway: &Process) -> Result<Self, String> {
        gateway.go_on();
        let page = Self::of(gateway);
        gateway.pause();
        page
    }

    /// The value of a metric without labels.
    pub(crate) fn value(&self, name: &str) -> Result<f64, String> {
        self.0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
            .ok_or_else(|| format!("the metrics name no {name}"))
    }

    /// A histogram without labels.
    pub(crate) fn buckets(&self, name: &str) -> Result<Buckets, String> {
        let buckets: Vec<(f64, f64)> = self
            .0
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix("_bucket{le=\"")?.split_once("\"} "))
            .filter_map(|(bound, count)| Some((bound.parse().ok()?, count.parse().ok()?)))
            .collect();
        if buckets.is_empty() {
            Err(format!("the metrics have no buckets of {name}"))
        } else {
            Ok(Buckets(buckets))
        }
    }
}

/// Upper bounds, in seconds, and how many values are at most so large.
#[derive(Debug, PartialEq)]
pub(crate) struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    /// What has been counted since `earlier`, a look at the same histogram.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let pairs = self.0.iter().zip(&earlier.0);
        Self(pairs.map(|(now, before)| (now.0, now.1 - before.1)).collect())
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.last().map_or(0, |(_, count)| *count as u64)
    }

    /// The bucket that the median lies in, in microseconds: above, and up to.
    pub(crate) fn median_us(&self) -> Option<(f64, f64)> {
        let half = self.0.last()?.1 / 2.0;
        let at = self.0.iter().position(|(_, count)| *count >= half && *count > 0.0)?;
        let above = at.checked_sub(1).map_or(0.0, |before| self.0[before].0);
        Some((above * 1e6, self.0[at].0 * 1e6))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_and_buckets_are_found() {
        let page = Page(
            "# TYPE t_seconds histogram\nt_seconds_total 9\nt_seconds_bucket{le=\"0.000001\"} 1\n\
             t_seconds_bucket{le=\"0.000002\"} 3\nt_seconds_bucket{le=\"+Inf\"} 4\nt_seconds_count 4\nt 7\n"
                .to_owned(),
        );
        assert_eq!(page.value("t").unwrap() as u64, 7);
        assert!(page.value("t_seconds").unwrap_err().contains("no t_seconds"));
        let buckets = page.buckets("t_seconds").unwrap();
        assert_eq!((buckets.count(), buckets.median_us().unwrap()), (4, (1.0, 2.0)));
        assert!(page.buckets("t").is_err());
    }

    /// Of four values in all, two were there before: the median is of the two later ones.
    #[test]
    fn what_was_counted_before_is_taken_off() {
        let of = |counts: [u32; 3]| {
            Buckets([0.001, 0.002, f64::INFINITY].into_iter().zip(counts.map(f64::from)).collect())
        };
        let (earlier, later) = (of([2, 2, 2]), of([2, 4, 4]));
        assert_eq!(later.since(&earlier), of([0, 2, 2]));
        assert_eq!(later.since(&earlier).median_us().unwrap(), (1000.0, 2000.0));
        assert_eq!(later.since(&later).median_us(), None);
    }
}
