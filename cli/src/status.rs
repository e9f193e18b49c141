//! `tollgate status`: what the side port says, on one page.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::check::load;
use crate::connection::resolve;
use crate::failure::{Exit, Failure};
use crate::http::{self, Response};
use crate::moment;
use crate::output::{Output, Tone};
use crate::table::one_line;

/// Options of `status`.
#[derive(Args, Debug)]
pub(crate) struct StatusArguments {
    /// The side port.
    #[arg(value_name = "HOST:PORT")]
    address: Option<String>,
    /// The gateway's settings, which name the side port. Without either, 127.0.0.1:9091 is asked.
    #[arg(long, env = "TOLLGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long to wait for the answer.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = moment::parse_duration)]
    timeout: Duration,
}

impl StatusArguments {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let address = match (&self.address, &self.config) {
            (Some(address), _) => resolve(address)?,
            (None, Some(config)) => load(config)?.side.listen,
            (None, None) => resolve("127.0.0.1:9091")?,
        };
        let health = http::get(address, "/health", self.timeout).map_err(Failure::operating)?;
        let metrics = http::get(address, "/metrics", self.timeout).map_err(Failure::operating)?;
        let ready = health.status == 200;
        if output.json {
            let metrics: serde_json::Map<_, _> =
                lines(&metrics.body).map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
            output.document(&json!({
                "address": address.to_string(),
                "ready": ready,
                "health": health_document(&health),
                "metrics": metrics,
            }))?;
        } else {
            let (word, tone) = if ready { ("ready", Tone::Good) } else { ("NOT READY", Tone::Bad) };
            let document = health_document(&health);
            let named = |key: &str| one_line(document[key].as_str().unwrap_or("?"));
            let (instance, version, phase) = (named("instance"), named("version"), named("phase"));
            output.line(format_args!(
                "{}  {instance}, version {version}, {phase}, at {address}",
                output.paint(tone, word)
            ))?;
            tell_checks(&document, output)?;
            output.text(&figures(&Samples::read(&metrics.body)))?;
        }
        if ready { Ok(()) } else { Err(Failure::silent(Exit::Operating)) }
    }
}

/// The health page as JSON, whatever it was.
fn health_document(health: &Response) -> Value {
    serde_json::from_str(&health.body).unwrap_or_else(|_| json!({"text": health.body.trim()}))
}

fn tell_checks(health: &Value, output: &Output) -> Result<(), Failure> {
    for (name, check) in health["checks"].as_object().into_iter().flatten() {
        let passed = check["status"] == "healthy";
        let message = check["message"].as_str().map(one_line);
        let (word, tone) = match (passed, &message) {
            (true, None) => ("ok  ", Tone::Good),
            (true, Some(_)) => ("note", Tone::Warning),
            (false, _) => ("FAIL", Tone::Bad),
        };
        let message = message.map(|message| format!(": {message}")).unwrap_or_default();
        output.line(format_args!("  {}  {}{message}", output.paint(tone, word), one_line(name)))?;
    }
    Ok(())
}

/// The lines of a page in Prometheus' text format: name with labels, and value.
fn lines(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        // Label values may hold spaces: the value stands behind the last.
        line.rsplit_once(' ').map(|(name, value)| (name.trim(), value))
    })
}

/// Metrics by name: the first label's value of interest, and the value.
struct Samples<'a> {
    by_name: BTreeMap<&'a str, Vec<(&'a str, &'a str)>>,
}

impl<'a> Samples<'a> {
    fn read(page: &'a str) -> Self {
        let mut by_name: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for (name, value) in lines(page) {
            let (name, labels) = name.split_once('{').unwrap_or((name, ""));
            by_name.entry(name).or_default().push((labels.trim_end_matches('}'), value));
        }
        Self { by_name }
    }

    fn all(&self, name: &str) -> &[(&'a str, &'a str)] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The sum over all labels of a whole-numbered metric.
    fn sum(&self, name: &str) -> u64 {
        self.all(name).iter().filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
    }

    /// A metric without labels, as it stands there.
    fn value(&self, name: &str) -> &'a str {
        self.all(name).first().map_or("?", |(_, value)| *value)
    }

    /// Sums by the value of one label, the largest first, without those that are 0.
    fn by_label(&self, name: &str, label: &str) -> Vec<(String, u64)> {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for (labels, value) in self.all(name) {
            let key = labels.split(',').find_map(|pair| pair.strip_prefix(label)?.strip_prefix("=\""));
            if let (Some(key), Ok(value)) = (key, value.parse::<u64>()) {
                *sums.entry(one_line(key.trim_end_matches('"'))).or_default() += value;
            }
        }
        let mut sums: Vec<(String, u64)> = sums.into_iter().filter(|(_, sum)| *sum > 0).collect();
        sums.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        sums
    }
}

/// More refusal codes than this are left to `--json`.
const CODES_SHOWN: usize = 6;

fn figures(samples: &Samples<'_>) -> String {
    let listed = |counts: Vec<(String, u64)>| {
        let texts: Vec<String> = counts.into_iter().map(|(name, count)| format!("{count} {name}")).collect();
        if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
    };
    let value = |name: &str| samples.value(name);
    let mut codes = samples.by_label("tollgate_rejects_total", "code");
    codes.truncate(CODES_SHOWN);
    let venues = samples.all("tollgate_venue_state").iter().map(|(label, state)| {
        let name = label.strip_prefix("venue=\"").map_or(*label, |name| name.trim_end_matches('"'));
        let state = match *state {
            "0" => "down",
            "1" => "reconciling",
            _ => "up",
        };
        format!("{} {state}", one_line(name))
    });
    let rows = [
        ("commands", listed(samples.by_label("tollgate_commands_total", "outcome"))),
        ("refusals", listed(codes)),
        ("reports", listed(samples.by_label("tollgate_reports_total", "kind"))),
        (
            "orders",
            format!(
                "{} open of {} at most, {} of unknown outcome",
                value("tollgate_orders_open"),
                value("tollgate_orders_open_limit"),
                value("tollgate_orders_unknown")
            ),
        ),
        (
            "sessions",
            format!(
                "{} of {} at most, {} begun, {} logons refused",
                value("tollgate_sessions"),
                value("tollgate_sessions_limit"),
                value("tollgate_sessions_begun_total"),
                samples.sum("tollgate_door_refused_total")
            ),
        ),
        (
            "journal",
            format!(
                "record {}, durable up to {}, segment {}, {} bytes free in it",
                value("tollgate_journal_sequence"),
                value("tollgate_journal_durable_sequence"),
                value("tollgate_journal_segment"),
                value("tollgate_journal_free_bytes")
            ),
        ),
        ("venues", venues.collect::<Vec<_>>().join(", ")),
        ("memory", format!("{} bytes resident", value("process_resident_memory_bytes"))),
    ];
    let lines = rows.iter().map(|(name, text)| format!("  {name:<9} {text}\n"));
    lines.collect::<Vec<_>>().concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::flags;

    #[test]
    fn config_or_an_address_name_the_side_port() {
        let given: StatusArguments = flags::arguments("10.0.0.5:9091 --timeout 1s").unwrap();
        assert_eq!(
            (given.address.as_deref(), given.timeout),
            (Some("10.0.0.5:9091"), Duration::from_secs(1))
        );
        let given: StatusArguments = flags::arguments("--config a.toml").unwrap();
        assert_eq!((given.config, given.timeout), (Some(PathBuf::from("a.toml")), Duration::from_secs(2)));
    }

    const PAGE: &str = "# HELP a_total X.\n# TYPE a_total counter\na_total{action=\"new\",outcome=\"ok\"} 3\n\
        a_total{action=\"query\",outcome=\"ok\"} 4\na_total{action=\"new\",outcome=\"no\"} 9\n\
        a_total{action=\"new\",outcome=\"never\"} 0\nb 1.5\n";

    #[test]
    fn metrics_are_summed_by_a_label() {
        let samples = Samples::read(PAGE);
        let sums = samples.by_label("a_total", "outcome");
        assert_eq!(sums, [("no".to_owned(), 9), ("ok".to_owned(), 7)]);
        assert_eq!((samples.sum("a_total"), samples.value("b"), samples.value("c")), (16, "1.5", "?"));
    }
}
