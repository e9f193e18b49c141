//! The probes.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Source;
use super::checks::{self, Check, Finding};

/// What `/readyz` says: whether everything passed, and a line for each check when asked for or when not.
pub(super) fn ready(source: &Source, verbose: bool) -> (bool, String) {
    let checks = checks::all(source);
    let passed = checks.iter().all(Check::passed);
    if passed && !verbose {
        return (true, "ok\n".to_owned());
    }
    let mut text = String::new();
    for Check { name, finding, .. } in &checks {
        // Writing to a string does not fail.
        let _ = match finding {
            Finding::Good => writeln!(text, "[+]{name} ok"),
            Finding::Noted(note) => writeln!(text, "[+]{name} ok: {note}"),
            Finding::Failed(reason) => writeln!(text, "[-]{name} failed: {reason}"),
        };
    }
    text.push_str(if passed { "readyz check passed\n" } else { "readyz check failed\n" });
    (passed, text)
}

/// What `/health` says, and whether everything passed.
pub(super) fn health(source: &Source) -> (bool, String) {
    let checks = checks::all(source);
    let passed = checks.iter().all(Check::passed);
    let details: Map<String, Value> =
        checks.iter().map(|check| (check.name.clone(), detail(check))).collect();
    let body = json!({
        "status": word(passed),
        "timestamp": Timestamp::now().to_string(),
        "version": source.status.version(),
        "instance": source.status.instance(),
        "phase": source.status.phase().name(),
        "checks": details,
    });
    (passed, format!("{body}\n"))
}

/// What `/health/live` and `/health/ready` say.
pub(super) fn brief(source: &Source, passed: bool) -> String {
    let timestamp = Timestamp::now().to_string();
    let body = json!({"status": word(passed), "timestamp": timestamp, "version": source.status.version()});
    format!("{body}\n")
}

/// True when every check passes.
pub(super) fn is_ready(source: &Source) -> bool {
    checks::all(source).iter().all(Check::passed)
}

fn word(passed: bool) -> &'static str {
    if passed { "healthy" } else { "unhealthy" }
}

fn detail(check: &Check) -> Value {
    let mut detail = Map::new();
    detail.insert("status".to_owned(), word(check.passed()).into());
    if let Finding::Noted(message) | Finding::Failed(message) = &check.finding {
        detail.insert("message".to_owned(), message.as_str().into());
    }
    // Milliseconds with their fraction, read from their decimal digits.
    let milliseconds = format!("{}.{:06}", check.duration_ns / 1_000_000, check.duration_ns % 1_000_000);
    let number = milliseconds.parse().ok().and_then(serde_json::Number::from_f64);
    detail.insert("duration_ms".to_owned(), number.map_or(Value::Null, Value::Number));
    Value::Object(detail)
}
