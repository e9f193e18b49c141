//! The architecture, where neither Cargo nor clippy hold it: which crate may know which, where unsafe code is, how large
//! a file may be. What the hot path may not do is in `core/clippy.toml`. Every failure says what to do instead.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each crate may depend on, by folder. Its own tests may use more.
const EDGES: [(&str, &[&str]); 11] = [
    ("protocol", &[]),
    ("journal", &[]),
    ("config", &["protocol"]),
    ("bridge/contract", &["protocol"]),
    ("bridge", &["protocol", "contract"]),
    ("core", &["protocol", "journal", "config", "contract"]),
    ("gateway", &["protocol", "journal", "config", "contract", "bridge", "core"]),
    ("clients/rust", &["protocol"]),
    ("cli", &["protocol", "journal", "config", "core", "gateway", "client"]),
    ("sim", &["protocol", "journal", "config", "contract", "bridge", "core"]),
    ("bench", &["protocol", "journal", "config", "contract", "bridge", "core", "gateway", "client"]),
];

/// Modules with unsafe code, each with its reason at its head; and the allocators that count, in tests.
const UNSAFE_ALLOWED: [&str; 6] = [
    "protocol/src/mac/lanes.rs",
    "core/src/memory.rs",
    "journal/src/map.rs",
    "journal/src/checksum.rs",
    "journal/tests/allocation.rs",
    "gateway/tests/allocations.rs",
];

/// Tests that another test starts as a process of its own.
const IGNORE_ALLOWED: [&str; 2] = ["journal/tests/reading.rs", "journal/tests/crash.rs"];

const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("cli/tests/tidy.rs")
        {
            let shown = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            found.push((shown, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Every Rust source but this one: its path from the root, and its text.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    assert!(found.len() > 100, "the sources are not where they are looked for");
    found
}

fn report(failures: &[String]) {
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

/// The crates of the workspace that a manifest's dependencies name.
fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let tables =
        ["dependencies", "build-dependencies"].iter().filter_map(|key| manifest.get(*key)?.as_table());
    tables
        .flat_map(toml::Table::keys)
        .filter_map(|name| name.strip_prefix("tollgate-").map(str::to_owned))
        .collect()
}

fn manifest(path: &str) -> toml::Table {
    fs::read_to_string(root().join(path)).unwrap().parse().unwrap()
}

#[test]
fn crates_depend_on_each_other_in_one_direction() {
    let mut failures = Vec::new();
    let workspace = manifest("Cargo.toml");
    for member in workspace["workspace"]["members"].as_array().unwrap() {
        if !EDGES.iter().any(|(folder, _)| member.as_str() == Some(folder)) {
            failures.push(format!("{member} is a new crate: say in tidy.rs what it may depend on"));
        }
    }
    for (folder, allowed) in EDGES {
        for dependency in dependencies(&manifest(&format!("{folder}/Cargo.toml"))) {
            if !allowed.contains(&dependency.as_str()) {
                failures.push(format!(
                    "{folder}/Cargo.toml: may not depend on {dependency}, only on {allowed:?}: move what both need to \
                     protocol, or pass it in from gateway"
                ));
            }
        }
    }
    report(&failures);
}

#[test]
fn files_are_short() {
    let long = sources().into_iter().map(|(path, text)| (path, text.lines().count()));
    let failures: Vec<String> = long
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| {
            format!(
                "{path} has {lines} lines, {LINES_MAX} are the limit: give one of its nouns a file of its own"
            )
        })
        .collect();
    report(&failures);
}

#[test]
fn unsafe_code_and_ignored_tests_have_their_places() {
    let mut failures = Vec::new();
    for (path, text) in sources() {
        if text.contains("(unsafe_code") && !UNSAFE_ALLOWED.contains(&path.as_str()) {
            failures
                .push(format!("{path} allows unsafe code: only the modules in tidy.rs have a reason for it"));
        }
        if text.contains("#[ignore") && !IGNORE_ALLOWED.contains(&path.as_str()) {
            failures.push(format!("{path} ignores a test: make it pass, or remove it"));
        }
    }
    report(&failures);
}
