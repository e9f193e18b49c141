//! Mistakes in settings are all told, with key, value and advice.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;

use tollgate_config::{ConfigErrors, EXAMPLE, NoFiles, Settings};

fn parse(text: &str) -> Result<Settings, ConfigErrors> {
    Settings::parse_with(text, Path::new("/etc/tollgate"), &|_| None, &NoFiles)
}

fn mistakes(text: &str) -> String {
    parse(text).map(|_| ()).unwrap_err().to_string()
}

/// The one mistake in the example after `from` is replaced by `to`.
fn mistake(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "{from}");
    let errors = parse(&EXAMPLE.replacen(from, to, 1)).map(|_| ()).unwrap_err();
    assert_eq!(errors.as_slice().len(), 1, "{errors}");
    let error = &errors.as_slice()[0];
    let mut text = error.key.clone();
    if let Some(value) = &error.value {
        write!(text, " = {value}").unwrap();
    }
    write!(text, ": {}; {}", error.problem, error.advice).unwrap();
    text
}

#[test]
fn every_mistake_is_told_at_once() {
    let told = mistakes(include_str!("data/mistakes.toml"));
    let expected = include_str!("data/mistakes.txt");
    assert_eq!(told, expected.trim_end(), "told:\n{told}");
}

#[test]
fn every_syntax_error_is_told() {
    let told = mistakes("[gateway]\ninstance = \nlisten = \"x\n[hot]\nidle = 'park'\n");
    let lines: Vec<&str> = told.lines().map(|line| &line[..line.find(" not TOML").unwrap()]).collect();
    assert_eq!(lines, ["line 2:", "line 3:"], "{told}");
}

#[test]
fn an_empty_file_lacks_what_has_no_default() {
    let told = mistakes("");
    for key in ["venue", "instrument", "account", "client"] {
        assert!(told.contains(&format!("{key}: is missing; give one [[{key}]] at least")), "{told}");
    }
    assert_eq!(told.lines().count(), 4, "{told}");
}

#[test]
fn relations_between_settings_hold() {
    assert_eq!(
        mistake("lane_reserved = 1024", "lane_reserved = 8192"),
        "capacity.lane_reserved = 8192: is not below lane_messages, which is 8192; leave room for new orders: an \
         eighth is usual"
    );
    assert_eq!(
        mistake("listen = \"127.0.0.1:9091\"", "listen = \"127.0.0.1:7000\""),
        "side.listen: is the address of gateway.listen; give another port"
    );
    assert_eq!(
        mistake("quote_to_account_rate = 1\ninitial", "initial"),
        "instrument: instruments have different quote assets and no quote_to_account_rate: USD (instrument[2]), \
         USDT (instrument[1]); give quote_to_account_rate, the worth of one of the quote asset in the accounts' \
         currency, to all but those of one asset"
    );
    assert_eq!(
        mistake("initial_price = \"3200\"", ""),
        "instrument[1].initial_price: is missing; the venue's synthetic feed starts there: give a price"
    );
    assert_eq!(
        mistake("warn_percent = 80", "warn_percent = 91"),
        "risk.warn_percent = 91: is above slow_percent, which is 90; warn before slowing: set it to slow_percent \
         at most"
    );
    assert_eq!(
        mistake("quote_to_account_rate = 1\n\n", "quote_to_account_rate = \"0.000000000001\"\n\n"),
        "instrument[0].quote_to_account_rate = \"0.000000000001\": tick × step × contract_size × \
         quote_to_account_rate = 0.01 × 0.00001 × 1 × 0.000000000001 has more than 18 digits behind the point, or \
         is too large; amounts are counted in 10^-18: give a coarser tick or step, or a rate with fewer digits"
    );
    assert_eq!(
        mistake("max_orders_per_hour = 20000", "max_orders_per_hour = 999"),
        "risk.firm.max_orders_per_minute = 1000: is above max_orders_per_hour of the same owner, and could never \
         be reached; set it to max_orders_per_hour at most, or raise max_orders_per_hour"
    );
}

#[test]
fn a_float_is_told_how_to_be_written() {
    assert_eq!(
        mistake("max_gross = \"500000\"", "max_gross = 0.1"),
        "account[0].limits.max_gross = 0.1: a float is not exact; write it in quotes: \"0.1\""
    );
}

#[test]
fn a_long_value_is_shortened() {
    let told = mistake("idle = \"park\"", &format!("idle = \"{}\"", "x".repeat(10_000)));
    assert!(told.len() < 300, "{told}");
}

#[test]
fn what_can_be_lived_with_is_a_warning() {
    let text = EXAMPLE.replace("restricted_symbols = []", "restricted_symbols = [\"GME\"]");
    let settings = parse(&text.replace("interval_ms = 100\n", "interval_ms = 6000\n")).unwrap();
    let told: Vec<&str> = settings.warnings.iter().map(|warning| warning.key.as_str()).collect();
    assert_eq!(told, ["venue[0].paper.feed.interval_ms", "risk.restricted_symbols[0]"]);
}

#[test]
fn mistakes_are_machine_readable() {
    let errors =
        parse(&EXAMPLE.replace("lane_reserved = 1024", "lane_reserved = 1")).map(|_| ()).unwrap_err();
    let json: serde_json::Value = serde_json::to_value(&errors).unwrap();
    assert_eq!(json[0]["key"], "capacity.lane_reserved");
    assert_eq!(json[0]["value"], "1");
    assert_eq!(json[0]["problem"], "is out of range");
    assert_eq!(json[0]["advice"], "give 16 to 524288");
    assert!(json[0]["line"].is_u64());
}
