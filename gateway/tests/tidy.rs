//! The architecture, held: which crate may know which, what the hot thread may not do, and how large a file may be.
//! Every failure names the place and what to do instead.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const CRATES: [&str; 6] = ["protocol", "journal", "config", "bridge", "gateway", "bench"];

/// What each crate may depend on; `protocol ← {journal, config, bridge} ← gateway ← bench`.
const EDGES: [(&str, &[&str]); 6] = [
    ("protocol", &[]),
    ("journal", &["protocol"]),
    ("config", &["protocol"]),
    ("bridge", &["protocol"]),
    ("gateway", &["protocol", "journal", "config", "bridge"]),
    ("bench", &["protocol", "journal", "config", "bridge", "gateway"]),
];

/// The only files that see the hot and the cold threads at once: they build them, or feed what a journal holds to the
/// hot thread's state.
const JOINTS: [&str; 3] = ["gateway/src/gateway.rs", "gateway/src/recovery.rs", "gateway/src/replay.rs"];

/// Modules with unsafe code, each with its reason at its head; and the allocators that count, in tests.
const UNSAFE_ALLOWED: [&str; 4] = [
    "journal/src/map.rs",
    "journal/src/checksum.rs",
    "journal/tests/allocation.rs",
    "gateway/tests/allocations.rs",
];

/// Tests that another test starts as a process of its own.
const IGNORE_ALLOWED: [&str; 2] = ["journal/tests/reading.rs", "journal/tests/crash.rs"];

const LINES_MAX: usize = 600;

/// What the hot thread may not do, and what it does instead. Words are compared whole.
const HOT_BANS: &[(&[&str], &str)] = &[
    (&["Mutex", "RwLock", "Condvar", "OnceLock", "LazyLock"], "state has one writer: send a message by a lane"),
    (
        &["format!", "write!", "writeln!", "String", "to_string", "to_owned"],
        "return a code and numbers: whoever reads them makes the words; text is a `Text<N>`",
    ),
    (
        &["println!", "eprintln!", "print!", "eprint!", "dbg!", "tracing", "log"],
        "count it in `metrics`, or write a record: a cold thread logs",
    ),
    (
        &["HashMap", "HashSet", "BTreeMap", "BTreeSet", "VecDeque"],
        "use a table of fixed size, as `table.rs` and `dedupe.rs` do",
    ),
    (&["Instant", "SystemTime"], "take the turn's time as an argument: `clock.rs` reads it once a turn"),
    (&["fs", "File"], "append to the journal: files are for cold threads"),
    (&["sleep", "spawn", "park"], "wait in the poll of `event_loop.rs` alone"),
    (&["f32", "f64"], "use integers of tick and step, or `Money`"),
    (&["unwrap", "expect"], "return a `Reject`, or assert what must hold"),
    (&["block_on", "await"], "the hot thread never waits"),
];

/// Reads the clock so that nothing else has to.
const CLOCK: &str = "gateway/src/hot/clock.rs";

/// What allocates: only while the gateway is put together. These functions do that.
const ALLOCATING: [&str; 8] =
    ["vec!", "Vec::new", "Vec::with_capacity", "Box::new", "Arc::new", "collect", "to_vec", "into_boxed_slice"];

/// Functions that run before the first command or after the last, by `file::name`: any `new`, the rules that are
/// computed from settings, and these.
const MAY_ALLOCATE: &[&str] = &[
    // The hash of the whole state is for whoever compares two runs, never in a turn.
    "gateway/src/hot/orders.rs::hash",
];

/// All of it is computed from settings at start.
const RULES: &str = "gateway/src/hot/rules.rs";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A source file: its path from the root, and its lines without what comments and literals say.
struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    fn is_test(&self) -> bool {
        ["/tests/", "/benches/", "/examples/"].iter().any(|folder| self.path.contains(folder))
    }

    fn place(&self, offset: usize) -> String {
        let line = self.code[..offset].matches('\n').count() + 1;
        let shown = self.text.lines().nth(line - 1).unwrap_or_default().trim();
        format!("{}:{line}: `{shown}`", self.path)
    }
}

/// Every file below `folder` with this extension, by path.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') && !name.starts_with("__") {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// The Rust sources below a folder of the root. Test modules are blanked unless wanted.
fn sources(folder: &str, with_tests: bool) -> Vec<Source> {
    let mut paths = Vec::new();
    files(&root().join(folder), "rs", &mut paths);
    assert!(!paths.is_empty(), "there are no sources in {folder}");
    let source = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let mut code = blank_comments_and_literals(&text);
        if !with_tests {
            code = blank_test_modules(&code);
        }
        Source { path: path.strip_prefix(root()).unwrap().to_string_lossy().into_owned(), text, code }
    };
    paths.into_iter().map(source).collect()
}

/// Replaces what comments and literals say by spaces; lines and offsets stay.
fn blank_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = end_of_blank(bytes, at);
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).unwrap()
}

/// Where the comment or literal that starts at `at` ends; `at` itself when none does.
fn end_of_blank(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let find = |from: usize, end: &[u8]| {
        let found = rest[from..].windows(end.len()).position(|window| window == end);
        at + found.map_or(rest.len(), |found| from + found + end.len())
    };
    let word_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest.starts_with(b"//") {
        return find(2, b"\n") - usize::from(rest.contains(&b'\n'));
    }
    if rest.starts_with(b"/*") {
        return find(2, b"*/");
    }
    if rest[0] == b'r' && !word_before {
        let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
        if rest.get(1 + hashes) == Some(&b'"') {
            return find(2 + hashes, &[b"\"", &b"#".repeat(hashes)[..]].concat());
        }
    }
    match rest {
        [b'"', ..] => at + end_of_quoted(rest, b'"'),
        // A lifetime has no closing quote right after its one character.
        [b'\'', b'\\', ..] => at + end_of_quoted(rest, b'\''),
        [b'\'', _, b'\'', ..] => at + 3,
        // A character of several bytes.
        [b'\'', first, ..] if !first.is_ascii() => find(1, b"'"),
        _ => at,
    }
}

fn end_of_quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += 1 + usize::from(rest[at] == b'\\');
    }
    (at + 1).min(rest.len())
}

/// The offset after the bracket that closes the first `{` at or after `from`.
fn end_of_block(code: &str, from: usize) -> usize {
    let mut depth = 0;
    for (offset, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return offset + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

fn blank_test_modules(code: &str) -> String {
    let mut out = code.to_owned();
    for (start, attribute) in code.match_indices("#[cfg(test)]") {
        let after = start + attribute.len();
        let (block, line) = (code[after..].find('{'), code[after..].find(';'));
        let end = match (block, line) {
            (Some(block), Some(line)) if line < block => after + line + 1,
            _ => end_of_block(code, after),
        };
        let blank: String =
            code[start..end].chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }).collect();
        if code.is_char_boundary(end) && blank.len() == end - start {
            out.replace_range(start..end, &blank);
        }
    }
    out
}

/// Where `word` stands as a whole word.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    code.match_indices(word).map(|(offset, _)| offset).filter(move |offset| {
        let bytes = code.as_bytes();
        let before = offset.checked_sub(1).and_then(|before| bytes.get(before));
        !is_part(before) && (word.ends_with('!') || !is_part(bytes.get(offset + word.len())))
    })
}

/// The name of the innermost function around an offset.
fn function_around(code: &str, offset: usize) -> Option<&str> {
    let around = words(code, "fn").filter(|start| *start < offset && end_of_block(code, *start) > offset);
    let name = around.last().map(|start| code[start + 2..].trim_start())?;
    name.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()
}

fn report(failures: &[String]) {
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

/// The crates of the workspace that a manifest names, in every table of dependencies.
fn workspace_dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (key, value) in manifest {
        let Some(table) = value.as_table() else { continue };
        if key.ends_with("dependencies") {
            for (name, details) in table {
                let real = details.get("package").and_then(toml::Value::as_str).unwrap_or(name);
                found.extend(real.strip_prefix("tollgate-").map(str::to_owned));
            }
        } else {
            found.extend(workspace_dependencies(table));
        }
    }
    found
}

fn manifest(path: &str) -> toml::Table {
    fs::read_to_string(root().join(path)).unwrap().parse().unwrap()
}

#[test]
fn crates_depend_on_each_other_in_one_direction() {
    let mut failures = Vec::new();
    let workspace = manifest("Cargo.toml");
    let members: BTreeSet<_> = workspace["workspace"]["members"].as_array().unwrap().iter().collect();
    let known: BTreeSet<_> = EDGES.iter().map(|(name, _)| toml::Value::from(*name)).collect::<Vec<_>>().into_iter()
        .map(|name| name.as_str().unwrap().to_owned()).collect();
    for member in members {
        if !known.contains(member.as_str().unwrap()) {
            failures.push(format!("{member} is a new crate: say in tidy.rs what it may depend on"));
        }
    }
    for (name, allowed) in EDGES {
        for dependency in workspace_dependencies(&manifest(&format!("{name}/Cargo.toml"))) {
            if !allowed.contains(&dependency.as_str()) {
                failures.push(format!(
                    "{name}/Cargo.toml: {name} may not depend on {dependency}, only on {allowed:?}: move what both \
                     need to protocol, or pass it in from gateway"
                ));
            }
        }
    }
    report(&failures);
}
