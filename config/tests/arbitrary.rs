//! No text makes reading settings panic, whatever it says.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;
use tollgate_config::{EXAMPLE, NoFiles, Settings, keys};

const KEYS: &str = "[[key]]\nid = \"a\"\nclient = \"trend\"\nkind = \"hmac\"\nscopes = [\"trade\"]\n\
    secret = \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"\n\
    expires_at = \"2027-01-01T00:00:00Z\"\n";

/// What stands after `=`, in every type and at every edge.
const VALUES: &[&str] = &[
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "65536",
    "4294967296",
    "0.1",
    "nan",
    "inf",
    "true",
    "\"\"",
    "\"0\"",
    "\"-0\"",
    "\"0.000000000000000001\"",
    "\"9223372036854775807\"",
    "\"1e5\"",
    "\"é€\"",
    "\"${A}\"",
    "\"${A:-1}\"",
    "\"${\"",
    "\"$\"",
    "\"file:x\"",
    "\"24:00\"",
    "\"00:00\"",
    "\"mon-sun\"",
    "\"paper\"",
    "[]",
    "[1]",
    "[[]]",
    "[\"BTCUSDT\"]",
    "{}",
    "{ a = 1 }",
    "[{}]",
    "2026-01-01",
    "07:32:00",
    "\"\\u0000\"",
    "[{ days = \"mon\", open = \"23:59:59\", close = \"00:00\" }]",
    "\"America/New_York\"",
    "1000000000000000000",
];

/// The only sessions in the example.
const HOURS: &str = "time_zone = \"America/New_York\"\nholidays = [\"2025-12-25\", \"2026-01-01\"]\n\
    hours = [{ days = \"sun-thu\", open = \"17:00\", close = \"17:00\" }]";

/// Parses, and if it loads, describes and loads again.
fn read(text: &str) {
    let load = |text: &str| Settings::parse_with(text, Path::new("/etc"), &|_| None, &NoFiles);
    match load(text) {
        Ok(settings) => {
            let again = load(settings.describe()).map(|_| ());
            assert!(again.is_ok(), "{}\n{}", settings.describe(), again.unwrap_err());
        }
        Err(errors) => assert!(!errors.as_slice().is_empty() && !errors.to_string().is_empty()),
    }
}

/// The example with the values of some lines replaced.
fn mutated(changes: &[(usize, usize)]) -> String {
    let mut lines: Vec<String> = EXAMPLE.lines().map(str::to_owned).collect();
    for (line, value) in changes {
        let at = line % lines.len();
        let Some((key, _)) = lines[at].split_once(" = ") else { continue };
        let key = key.trim_start_matches("# ").to_owned();
        lines[at] = format!("{key} = {}", VALUES[value % VALUES.len()]);
    }
    let text = lines.join("\n");
    // To lay sessions out over the years takes most of the time: only where they are what is changed.
    text.replace(HOURS, "")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn settings_with_other_values(changes in prop::collection::vec(any::<(usize, usize)>(), 1..12)) {
        read(&mutated(&changes));
    }

    #[test]
    fn settings_cut_and_joined(from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(), put in ".{0,20}") {
        let boundary = |at: usize| (0..=at).rev().find(|at| EXAMPLE.is_char_boundary(*at)).unwrap();
        let (from, to) = (boundary(from.index(EXAMPLE.len())), boundary(to.index(EXAMPLE.len())));
        read(&format!("{}{put}{}", &EXAMPLE[..from], &EXAMPLE[to..]));
    }

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        read(&text);
        let _ = keys::parse(&text, Path::new("/"), &|_| None, &NoFiles);
    }

    #[test]
    fn keys_with_other_values(line in 1_usize..8, value in 0..VALUES.len(), environment in ".{0,80}") {
        let mut lines: Vec<String> = KEYS.lines().map(str::to_owned).collect();
        if let Some((key, _)) = lines[line % 7].split_once(" = ") {
            lines[line % 7] = format!("{key} = {}", VALUES[value]);
        }
        let _ = keys::parse(&lines.join("\n"), Path::new("/"), &|_| Some(environment.clone()), &NoFiles);
    }
}

/// Every key of the example with every value.
#[test]
fn every_key_with_every_value() {
    for line in (0..EXAMPLE.lines().count()).filter(|at| EXAMPLE.lines().nth(*at).unwrap().contains(" = ")) {
        for value in 0..VALUES.len() {
            read(&mutated(&[(line, value)]));
        }
    }
}

#[test]
fn the_example_has_these_sessions() {
    assert!(EXAMPLE.contains(HOURS));
}

#[test]
fn what_nests_deep_is_refused() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}1{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("[{}a]", "a.".repeat(10_000)),
        format!("{}a = 1", "a.".repeat(10_000)),
        format!("a = {}", "{a = ".repeat(10_000)),
    ] {
        read(&text);
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let told = Settings::parse_with(&"#".repeat(5 << 20), Path::new("/"), &|_| None, &NoFiles);
    assert!(told.map(|_| ()).unwrap_err().to_string().contains("bytes are more than"));
}
