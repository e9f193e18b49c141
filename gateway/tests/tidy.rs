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

/// The only files that see the hot and the cold threads at once: they build them, or feed what a journal or a
/// measurement holds to the hot thread's state.
const JOINTS: [&str; 4] =
    ["gateway/src/gateway.rs", "gateway/src/recovery.rs", "gateway/src/replay.rs", "gateway/src/rig.rs"];

/// Modules with unsafe code, each with its reason at its head; and the allocators that count, in tests.
const UNSAFE_ALLOWED: [&str; 6] = [
    "protocol/src/mac/lanes.rs",
    "gateway/src/hot/memory.rs",
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
    (
        &["Mutex", "RwLock", "Condvar", "OnceLock", "LazyLock"],
        "state has one writer: send a message by a lane",
    ),
    (
        &["format!", "write!", "writeln!", "String", "to_string", "to_owned"],
        "return a code and numbers: whoever reads them makes the words; text is a `Text<N>`",
    ),
    (
        &["println!", "eprintln!", "print!", "eprint!", "dbg!", "tracing", "log"],
        "count it in `metrics`, or write a record: a cold thread logs",
    ),
    (
        &["HashMap", "HashSet", "BTreeMap", "BTreeSet"],
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
const ALLOCATING: [&str; 11] = [
    "memory::filled",
    "memory::room",
    "vec!",
    "Vec::new",
    "Vec::with_capacity",
    "VecDeque::new",
    "VecDeque::with_capacity",
    "Box::new",
    "Arc::new",
    "collect",
    "to_vec",
];

/// Functions besides `new` that may allocate, as `file::name`: they run in no turn.
const MAY_ALLOCATE: [&str; 3] = [
    // For those that may.
    "gateway/src/hot/memory.rs::filled",
    "gateway/src/hot/memory.rs::room",
    // For whoever compares the state of two runs.
    "gateway/src/hot/orders.rs::sorted",
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
    for member in workspace["workspace"]["members"].as_array().unwrap() {
        if !CRATES.contains(&member.as_str().unwrap()) {
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

/// What a path of a module names, `super` and `self` resolved: `["hot", "risk"]` for `crate::hot::risk`.
fn resolved(module: &[&str], path: &str) -> Vec<String> {
    let mut at: Vec<String> = module.iter().map(|part| (*part).to_owned()).collect();
    for (position, part) in path.split("::").map(str::trim).enumerate() {
        match part {
            "crate" | "tollgate_gateway" if position == 0 => at.clear(),
            "super" => drop(at.pop()),
            "self" => {}
            other => at.push(other.to_owned()),
        }
    }
    at
}

/// The modules of a source of the gateway: `["hot", "risk"]` for `gateway/src/hot/risk.rs`.
fn module_of(path: &str) -> Vec<&str> {
    let inner = path.trim_start_matches("gateway/src/").trim_end_matches(".rs");
    inner.split('/').filter(|part| !["mod", "lib", "main"].contains(part)).collect()
}

/// The side that each path in the code names, with its offset. Braces are opened: `crate::{cold, hot}` names both.
fn sides_named(source: &Source) -> Vec<(usize, String)> {
    let module = module_of(&source.path);
    let mut named = Vec::new();
    for head in ["crate", "super", "tollgate_gateway"] {
        for start in words(&source.code, head) {
            if source.code[..start].ends_with("super::") {
                continue;
            }
            let rest = &source.code[start..];
            let is_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
            let end = rest.find(|letter| !is_path(letter)).unwrap_or(rest.len());
            let (path, after) = rest.split_at(end);
            let group = if after.starts_with('{') && path.ends_with("::") {
                &source.code[start + end..end_of_block(&source.code, start + end)]
            } else {
                ""
            };
            let members = group.split(['{', '}', ',']);
            for member in members {
                let path = format!("{path}{}", member.trim());
                named.extend(
                    resolved(&module, path.trim_end_matches(':')).first().map(|side| (start, side.clone())),
                );
            }
        }
    }
    named
}

#[test]
fn hot_and_cold_never_see_each_other() {
    let mut failures = Vec::new();
    for source in sources("gateway/src", true) {
        if JOINTS.contains(&source.path.as_str()) {
            continue;
        }
        let own = module_of(&source.path).first().copied().unwrap_or_default().to_owned();
        let forbidden: &[&str] = match own.as_str() {
            "hot" => &["cold"],
            "cold" => &["hot"],
            _ => &["hot", "cold"],
        };
        for (offset, side) in sides_named(&source) {
            if forbidden.contains(&side.as_str()) {
                failures.push(format!(
                    "{} names {side}: hot and cold talk by the lanes of link.rs and the counters of metrics.rs; only \
                     {JOINTS:?} see them",
                    source.place(offset)
                ));
            }
        }
    }
    report(&failures);
}

#[test]
fn the_hot_thread_does_nothing_that_is_banned() {
    let mut failures = Vec::new();
    for source in sources("gateway/src/hot", false) {
        for (banned, instead) in HOT_BANS {
            for word in *banned {
                if source.path == CLOCK && ["Instant", "SystemTime"].contains(word) {
                    continue;
                }
                let found = words(&source.code, word).map(|at| format!("{} {instead}", source.place(at)));
                failures.extend(found);
            }
        }
    }
    report(&failures);
}

#[test]
fn the_hot_thread_allocates_only_when_it_is_made() {
    let mut failures = Vec::new();
    for source in sources("gateway/src/hot", false) {
        if source.path == RULES {
            continue;
        }
        for word in ALLOCATING {
            for at in words(&source.code, word) {
                let function = function_around(&source.code, at).unwrap_or_default();
                if function != "new"
                    && !MAY_ALLOCATE.contains(&format!("{}::{function}", source.path).as_str())
                {
                    failures.push(format!(
                        "{} in `{function}`: reserve it in `new`, with a size from the settings",
                        source.place(at)
                    ));
                }
            }
        }
    }
    report(&failures);
}

#[test]
fn files_are_short() {
    let mut failures = Vec::new();
    for folder in CRATES {
        for source in sources(folder, true).iter().filter(|source| !source.is_test()) {
            let lines = source.text.lines().count();
            if lines > LINES_MAX {
                failures.push(format!(
                    "{} has {lines} lines, {LINES_MAX} are the limit: give one of its nouns a file of its own",
                    source.path
                ));
            }
        }
    }
    report(&failures);
}

#[test]
fn nothing_is_left_for_later_or_taken_on_trust() {
    let mut failures = Vec::new();
    for folder in CRATES {
        for source in sources(folder, true) {
            let mut check = |word: &str, allowed: bool, instead: &str| {
                if !allowed {
                    failures.extend(
                        words(&source.code, word).map(|at| format!("{} {instead}", source.place(at))),
                    );
                }
            };
            let path = source.path.as_str();
            check("todo!", false, "write it, or leave its caller out");
            check("unimplemented!", false, "write it, or leave its caller out");
            check(
                "unsafe",
                UNSAFE_ALLOWED.contains(&path),
                "only the modules in tidy.rs have a reason for it",
            );
            let ignored = source.code.match_indices("#[ignore").map(|(at, _)| at);
            if !IGNORE_ALLOWED.contains(&path) {
                failures.extend(ignored.map(|at| format!("{} make it pass, or remove it", source.place(at))));
            }
        }
    }
    report(&failures);
}

#[test]
fn unwrap_is_for_tests() {
    let mut failures = Vec::new();
    for folder in CRATES {
        for source in sources(folder, false).iter().filter(|source| !source.is_test()) {
            let calls = words(&source.code, "unwrap").filter(|at| source.code[..*at].ends_with('.'));
            failures.extend(
                calls.map(|at| format!("{} return the error, or assert what must hold", source.place(at))),
            );
        }
    }
    report(&failures);
}

#[test]
fn no_text_names_a_machine() {
    let machines = [["/wo", "rk/"].concat(), ["/tmp/br", "ief"].concat()];
    let mut paths = Vec::new();
    for extension in ["rs", "md", "toml", "py", "json"] {
        files(&root(), extension, &mut paths);
    }
    let mut failures = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        for (line, content) in text.lines().enumerate() {
            for machine in machines.iter().filter(|machine| content.contains(machine.as_str())) {
                let shown = path.strip_prefix(root()).unwrap().display();
                failures.push(format!("{shown}:{}: {machine} is there on one machine only", line + 1));
            }
        }
    }
    report(&failures);
}

/// The rules above rest on these.
mod the_rules_themselves {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        let code = blank_test_modules(&blank_comments_and_literals(text));
        Source { path: path.to_owned(), text: text.to_owned(), code }
    }

    #[test]
    fn comments_literals_and_test_modules_do_not_count() {
        let text = "// Mutex\nlet a = \"Mutex \\\" Mutex\"; let b = r#\"Mutex \" \"#; /* Mutex */ let c = '\"'; \
                    let d = b'\\''; let e = 'é'; fn f<'a>() {}\n#[cfg(test)]\nmod tests { use Mutex; mod a { Mutex } }\nRwLock";
        let source = source("gateway/src/hot/risk.rs", text);
        assert_eq!(words(&source.code, "Mutex").count(), 0, "{}", source.code);
        assert_eq!(words(&source.code, "RwLock").count(), 1, "{}", source.code);
        assert_eq!(source.code.len(), text.len());
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(words("log catalog log_at log! log", "log").count(), 3);
        assert_eq!(words("vec![1] my_vec![1]", "vec!").count(), 1);
    }

    #[test]
    fn paths_lead_to_their_side() {
        let sides = |path: &str, text: &str| -> BTreeSet<String> {
            sides_named(&source(path, text)).into_iter().map(|(_, side)| side).collect()
        };
        let named = |path, text, side: &str| sides(path, text).contains(side);
        assert!(named("gateway/src/hot/risk.rs", "use crate::cold::door::Door;", "cold"));
        assert!(named("gateway/src/hot/risk.rs", "use super::super::cold;", "cold"));
        assert!(named("gateway/src/hot/event_loop/timers.rs", "use super::super::super::cold;", "cold"));
        assert!(named("gateway/src/hot/risk.rs", "use crate::{link, cold::door};", "cold"));
        assert!(named("gateway/src/cold/side/mod.rs", "let x = super::super::hot::judge();", "hot"));
        assert!(named("gateway/src/hot/risk.rs", "use crate::{link, cold::{door, side}};", "cold"));
        assert!(!named("gateway/src/hot/risk.rs", "use crate::{link, lane};\nfn f() { g(a, cold) }", "cold"));
        assert!(!named("gateway/src/hot/risk.rs", "use super::orders; use crate::link;", "cold"));
        assert!(!named("gateway/src/hot/risk.rs", "let hot = 1; let cold = crate::link::lane(hot);", "cold"));
    }

    #[test]
    fn the_function_around_is_the_innermost() {
        let code = "fn new() { fn inner() { vec![] } } fn other() { vec![] }";
        let found: Vec<_> = words(code, "vec!").map(|at| function_around(code, at)).collect();
        assert_eq!(found, [Some("inner"), Some("other")]);
    }

    #[test]
    fn dependencies_are_found_in_every_table() {
        let text = "[dependencies]\na = { path = \"x\", package = \"tollgate-config\" }\n[target.'cfg(unix)'.dev-dependencies]\n\
                    tollgate-journal.workspace = true\n[build-dependencies]\nserde = \"1\"";
        let found = workspace_dependencies(&text.parse().unwrap());
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["config", "journal"]);
    }
}
