//! `tollgate status`: what the side port says, on one page.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::check::load;
use super::connection::resolve;
use super::failure::{Exit, Failure};
use super::http::{self, Response};
use super::moment;
use super::output::{Output, Tone};

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
            output.document(&json!({
                "address": address.to_string(),
                "ready": ready,
                "health": health_document(&health),
                "metrics": samples(&metrics.body).map(|(name, value)| (name.to_owned(), Value::from(value)))
                    .collect::<serde_json::Map<_, _>>(),
            }))?;
        } else {
            self.page(&health, &metrics, output)?;
        }
        if ready { Ok(()) } else { Err(Failure::silent(Exit::Operating)) }
    }

    fn page(&self, health: &Response, metrics: &Response, output: &Output) -> Result<(), Failure> {
        let (word, tone) =
            if health.status == 200 { ("ready", Tone::Good) } else { ("NOT READY", Tone::Bad) };
        output.line(output.paint(tone, word))?;
        for (name, value) in flattened(&health_document(health)) {
            output.line(format_args!("  {name:<36}  {value}"))?;
        }
        output.line(output.paint(Tone::Heading, "metrics"))?;
        let telling = samples(&metrics.body).filter(|(name, value)| is_telling(name) && *value != "0");
        for (name, value) in telling {
            output.line(format_args!("  {name:<60}  {value:>14}"))?;
        }
        Ok(())
    }
}

/// The health page as JSON, whatever it was.
pub(crate) fn health_document(health: &Response) -> Value {
    serde_json::from_str(&health.body).unwrap_or_else(|_| json!({"text": health.body.trim()}))
}

/// The members of a document, with paths for names.
fn flattened(document: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    flatten("", document, &mut found);
    found
}

fn flatten(path: &str, value: &Value, found: &mut Vec<(String, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| flatten(&below(name), value, found))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| flatten(&below(&at.to_string()), value, found));
        }
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        other => found.push((path.to_owned(), other.to_string())),
    }
}

/// The samples of a page in Prometheus' text format.
fn samples(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        // Label values may hold spaces: the value stands behind the last.
        line.rsplit_once(' ').map(|(name, value)| (name.trim(), value))
    })
}

/// Buckets are for machines.
fn is_telling(name: &str) -> bool {
    !name.contains("_bucket{") && !name.contains("quantile=")
}
