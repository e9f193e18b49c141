//! The command line as its users meet it.
#![allow(clippy::unwrap_used)]

mod cli_support;

use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

use cli_support::{Home, Running, mode, program, tollgate, until};

#[test]
fn help_reads_like_a_manual() {
    let help = tollgate("--help").exits(0).says("Exit codes:").says("TOLLGATE_KEY_FILE").says("Examples:");
    for command in [
        "demo",
        "run",
        "init",
        "check",
        "doctor",
        "keys",
        "send",
        "watch",
        "orders",
        "positions",
        "account",
        "limits",
        "instruments",
        "status",
        "journal",
        "completion",
    ] {
        assert!(
            help.out.lines().any(|line| line.trim_start().starts_with(command)),
            "{command}:\n{}",
            help.out
        );
        tollgate(&format!("{command} --help")).exits(0).says("Usage: tollgate");
    }
    for command in ["send new", "send halt", "keys add", "journal list", "journal repair", "journal export"] {
        tollgate(&format!("{command} --help")).exits(0).says("Usage: tollgate");
    }
    tollgate("--version").exits(0).says("tollgate 0.");
}

#[test]
fn nonsense_is_a_usage_error() {
    for line in [
        "",
        "dance",
        "send",
        "send new BTCUSDT buy",
        "send new BTCUSDT keep 1",
        "send cancel",
        "send cancel --order 1 --of 2",
        "run",
        "journal verify",
        "demo --commands 1",
        "demo --speed 3",
        "send new BTCUSDT buy 1e5",
        "send halt --scope nowhere",
        "journal list x --since yesterday",
        "keys add --config x trend --scope everything",
    ] {
        let ran = tollgate(line).exits(2);
        assert!(!ran.err.is_empty() || !ran.out.is_empty(), "{line:?} says nothing");
    }
    tollgate("send heartbeat").exits(2).complains("--key FILE");
    tollgate("send new X buy 1 --force gtd").exits(2).complains("--expire-at");
}

#[test]
fn init_writes_what_check_accepts_and_never_overwrites() {
    let home = Home::new();
    let gate = home.path("gate");
    for (name, bits) in [
        ("tollgate.toml", 0o600),
        ("keys.toml", 0o600),
        ("identity.key", 0o600),
        ("clients", 0o700),
        ("clients/trend-trade.toml", 0o600),
        ("clients/trend-read.toml", 0o600),
        ("clients/operator.toml", 0o600),
    ] {
        assert_eq!(mode(&gate.join(name)), bits, "{name}");
    }
    tollgate(&format!("check {}", home.config())).exits(0).says("[gateway]").says("is valid:").says("3 keys");
    let document = tollgate(&format!("check --json {}", home.config())).exits(0).json();
    assert_eq!((&document["valid"], &document["keys"]), (&true.into(), &3.into()));
    let before = fs::read_to_string(gate.join("keys.toml")).unwrap();
    tollgate(&format!("init {}", gate.display())).exits(1).complains("nothing is overwritten");
    assert_eq!(fs::read_to_string(gate.join("keys.toml")).unwrap(), before);
    // No secret is shown by anything that shows settings or keys.
    let secret =
        before.lines().find_map(|line| line.strip_prefix("secret = \"")).unwrap().trim_end_matches('"');
    for line in [format!("check {}", home.config()), format!("keys list --config {}", home.config())] {
        assert!(!tollgate(&line).exits(0).out.contains(secret));
    }
}

#[test]
fn check_tells_every_mistake_at_once() {
    let home = Home::new();
    let path = home.path("bad.toml");
    fs::write(&path, "[gateway]\nlisten = \"nowhere\"\n\n[journal]\ndurability = \"eternal\"\nsegment_bytes = 5\n\n[oops]\n")
        .unwrap();
    let ran = tollgate(&format!("check {}", path.display())).exits(3);
    let keys: Vec<&str> = ran
        .err
        .lines()
        .skip(1)
        .filter_map(|line| line.trim_start().strip_prefix("line ")?.split(": ").nth(1)?.split(" = ").next())
        .collect();
    for key in ["gateway.listen", "journal.durability", "journal.segment_bytes", "oops"] {
        assert!(keys.contains(&key), "{key} is not in {keys:?}:\n{}", ran.err);
    }
    let golden = "line 2: gateway.listen = \"nowhere\": ";
    assert!(ran.err.contains(golden), "{}", ran.err);
    let document = tollgate(&format!("check --json {}", path.display())).exits(3).json();
    assert_eq!(document["valid"], false);
    let errors = document["errors"].as_array().unwrap();
    assert!(errors.len() >= 4, "{document}");
    assert!(errors.iter().all(|error| !error["problem"].as_str().unwrap().is_empty()));
    tollgate(&format!("run --config {}", path.display())).exits(3).complains("gateway.listen");
    tollgate("check /nonexistent/tollgate.toml").exits(3).complains("/nonexistent/tollgate.toml");
}

#[test]
fn doctor_tells_the_state_of_this_machine() {
    let home = Home::new();
    let line = format!("doctor {}", home.config());
    let ran = tollgate(&format!("{line} --json"));
    let document = ran.json();
    let findings = document["findings"].as_array().unwrap();
    let order = ["bad", "could_be_better", "unknown", "good"];
    let mut worst_first = Vec::new();
    for finding in findings {
        for key in ["name", "found", "right", "why"] {
            assert!(!finding[key].as_str().unwrap().is_empty(), "{key}: {finding}");
        }
        assert!(
            finding["commands"].as_array().unwrap().iter().all(serde_json::Value::is_string),
            "{finding}"
        );
        let state = finding["state"].as_str().unwrap();
        worst_first.push(order.iter().position(|known| *known == state).unwrap());
    }
    assert!(worst_first.is_sorted(), "{worst_first:?}");
    for (at, state) in order.iter().enumerate() {
        let count = worst_first.iter().filter(|found| **found == at).count();
        assert_eq!(document["summary"][state].as_u64(), Some(count as u64), "{state}: {document}");
    }
    let ran = ran.exits(i32::from(document["summary"]["bad"] != 0));
    // The same findings are on the page, whose lines fit a terminal.
    let page = tollgate(&line).exits(ran.code).says("Nothing was changed");
    for finding in findings {
        assert!(page.out.contains(finding["name"].as_str().unwrap()), "{finding}:\n{}", page.out);
    }
}

#[test]
fn doctor_fails_where_something_is_bad() {
    let home = Home::new();
    let settings = fs::read_to_string(home.config()).unwrap();
    let changed = settings.replace("# core = 1\n", "core = 4095\n");
    assert_ne!(settings, changed);
    // Written anew, its keys are still beside it: the machine is judged without them.
    fs::write(home.config(), changed).unwrap();
    fs::write(home.path("gate/keys.toml"), "no keys at all").unwrap();
    let line = format!("doctor {}", home.config());
    tollgate(&line).exits(1).says("bad (").says("hot.core = 4095 is not online");
    let document = tollgate(&format!("{line} --json")).exits(1).json();
    assert_eq!(document["hot_core"], 4095);
    assert_eq!(document["findings"][0]["state"], "bad");
    fs::write(home.config(), "[oops]\n").unwrap();
    tollgate(&line).exits(3).complains("oops");
    tollgate("doctor one two").exits(2).complains("two");
}

#[test]
fn keys_are_made_listed_rotated_and_revoked() {
    let home = Home::new();
    let config = home.config();
    tollgate(&format!("keys add --config {config} carry --scope trade,read --expires 30d"))
        .exits(0)
        .says("carry-1");
    tollgate(&format!("keys add --config {config} carry --scope read --kind ed25519 --id second")).exits(0);
    assert_eq!((mode(&home.key("carry-1")), mode(&home.key("second"))), (0o600, 0o600));
    let list = |state: &str, id: &str| {
        let keys = tollgate(&format!("keys list --json --config {config}")).exits(0).json();
        let found = keys.as_array().unwrap().iter().find(|key| key["key_id"] == id).unwrap().clone();
        assert_eq!(found["state"], state, "{found}");
    };
    list("good", "carry-1");
    let before = fs::read_to_string(home.key("carry-1")).unwrap();
    tollgate(&format!("keys rotate --config {config} carry-1")).exits(0);
    assert_ne!(fs::read_to_string(home.key("carry-1")).unwrap(), before);
    tollgate(&format!("keys revoke --config {config} carry-1")).exits(0).says("revoked carry-1");
    list("revoked", "carry-1");
    list("good", "second");
    tollgate(&format!("keys rotate --config {config} carry-1")).exits(1).complains("is revoked");
    tollgate(&format!("keys revoke --config {config} nobody")).exits(1).complains("there are: ");
    tollgate(&format!("keys add --config {config} stranger --scope read"))
        .exits(3)
        .complains("no client of this name");
    assert!(!home.key("stranger-1").exists());
    tollgate(&format!("keys add --config {config} carry --id second --scope read"))
        .exits(1)
        .complains("already");
    tollgate(&format!("keys list --config {config}")).exits(0).says("trend-trade").says("ed25519");
}

#[test]
fn commands_reach_a_running_gateway() {
    let home = Home::new();
    let running = Running::start(&home);
    let trade = |line: &str| running.with_key(&home, "trend-trade", line);
    let filled = trade("send new BTCUSDT buy 0.001 --wait").exits(0).says("acknowledged").says("filled");
    assert!(filled.out.contains("BTCUSDT"), "{}", filled.out);
    let resting = trade("send new BTCUSDT buy 0.01 --price 64000.00 --command-id 77 --json").exits(0).json();
    assert_eq!((&resting["event"], &resting["command_id"]), (&"acknowledged".into(), &"77".into()));
    trade("orders").exits(0).says("64000.00").says("77");
    let orders = trade("orders --json").exits(0).json();
    assert_eq!(orders[0]["order_id"], resting["order_id"]);
    trade("send query order --of 77").exits(0).says("64000.00");
    trade("send replace --of 77 --price 63900.00 --wait").exits(0).says("replaced").says("63900.00");
    trade("send cancel --of 77 --wait").exits(0).says("cancelled");
    trade("orders").exits(0).says("no open orders");
    trade("positions").exits(0).says("0.00100");
    let position = trade("positions --json").exits(0).json();
    assert_eq!(position[0]["quantity"], "0.00100");
    trade("account").exits(0).says("active");
    trade("limits --symbol BTCUSDT").exits(0).says("max_long");
    trade("instruments").exits(0).says("ETHUSDT").says("0.00001");
    trade("send heartbeat").exits(0).says("alive");
    trade("send close BTCUSDT --wait").exits(0).says("filled");
    assert_eq!(trade("positions --json").exits(0).json()[0]["quantity"], "0.00000");
    let (code, log) = running.stop("-TERM");
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("the journal is whole"), "{log}");
}

#[test]
fn refusals_have_codes_numbers_and_an_exit_code() {
    let home = Home::new();
    let running = Running::start(&home);
    let trade = |line: &str| running.with_key(&home, "trend-trade", line);
    trade("send new BTCUSDT buy 0.001 --price 64000.005")
        .exits(5)
        .says("PRICE_NOT_ON_TICK owner=symbol value=64000.005 below=64000.00 above=64000.01");
    let reject = trade("send new BTCUSDT buy 0.0000001 --json").exits(5).json();
    assert_eq!(reject["reject"]["code"], "QUANTITY_NOT_ON_STEP");
    assert_eq!(reject["reject"]["above"], "0.00001");
    trade("send new NOSUCH buy 1").exits(5).says("SYMBOL_UNKNOWN");
    trade("send new BTCUSDT buy -1").exits(5).says("QUANTITY_BELOW_MINIMUM");
    trade("send cancel --order 1").exits(5).says("ORDER_UNKNOWN");
    trade("send halt").exits(5).says("SCOPE_NOT_ALLOWED");
    running.with_key(&home, "trend-read", "send new BTCUSDT buy 0.001").exits(5).says("SCOPE_NOT_ALLOWED");
    // The same command again is not executed again, and one with its id and other content is refused.
    let line = "send new BTCUSDT buy 0.001 --command-id 5 --created-at";
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let first = trade(&format!("{line} {now} --json")).exits(0).json();
    let again = trade(&format!("{line} {now} --json")).exits(0).json();
    assert_eq!((&again["repeated"], &again["order_id"]), (&true.into(), &first["order_id"]));
    trade("send new BTCUSDT buy 0.002 --command-id 5").exits(5).says("DUPLICATE_COMMAND");
    // The operator's halt holds for everybody, until it is lifted.
    let operate = |line: &str| running.with_key(&home, "operator", line).exits(0);
    operate("send halt --reason test");
    trade("send new BTCUSDT buy 0.001").exits(5).says("TRADING_HALTED");
    // The side port's figures are published by a timer: soon, not at once.
    until("status tells the halt", || tollgate(&format!("status {}", running.side)).code == 1);
    tollgate(&format!("status {}", running.side)).exits(1).says("NOT READY").says("halted");
    operate("send resume");
    trade("send new BTCUSDT buy 0.001").exits(0);
    until("status tells the resume", || tollgate(&format!("status {}", running.side)).code == 0);
    tollgate(&format!("status {}", running.side)).exits(0).says("ready").says("SCOPE_NOT_ALLOWED");
    let status = tollgate(&format!("status {} --json", running.side)).exits(0).json();
    assert_eq!((&status["ready"], &status["health"]["status"]), (&true.into(), &"healthy".into()));
}

/// Keys change under a running gateway: the old secret ends, the new one works, a revoked key is nobody's.
#[test]
fn keys_are_rotated_and_revoked_under_a_running_gateway() {
    let home = Home::new();
    let running = Running::start(&home);
    let config = home.config();
    let heartbeat = |key: &str| running.with_key(&home, key, "send heartbeat");
    heartbeat("trend-trade").exits(0);
    fs::copy(home.key("trend-trade"), home.key("old")).unwrap();
    tollgate(&format!("keys rotate --config {config} trend-trade")).exits(0);
    until("the keys are loaded again", || metric(&running.side, "tollgate_keys_reloads_total") == 1);
    heartbeat("trend-trade").exits(0);
    heartbeat("old").exits(1).complains("LOGON_FAILED");

    let watching = running.spawn_with_key(&home, "trend-read", "watch --json");
    until("the watcher is there", || metric(&running.side, "tollgate_sessions") == 1);
    tollgate(&format!("keys revoke --config {config} trend-read")).exits(0);
    until("its session has ended", || metric(&running.side, "tollgate_sessions") == 0);
    drop(watching);
    heartbeat("trend-read").exits(1).complains("LOGON_FAILED");
    heartbeat("trend-trade").exits(0);
}

/// A figure of `/metrics`.
fn metric(side: &str, name: &str) -> u64 {
    let mut stream = std::net::TcpStream::connect(side).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let found = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    found.unwrap_or_else(|| panic!("no {name}: {page}"))
}

#[test]
fn an_order_without_an_end_is_unknown_to_who_waits_for_it() {
    let home = Home::new();
    let running = Running::start(&home);
    running
        .with_key(&home, "trend-trade", "send new BTCUSDT buy 0.01 --price 64000.00 --wait=200ms")
        .exits(6)
        .says("acknowledged")
        .complains("no final report within 200 ms");
}

#[test]
fn events_are_watched_and_replayed() {
    let home = Home::new();
    let running = Running::start(&home);
    running.with_key(&home, "trend-trade", "send new BTCUSDT buy 0.001 --wait").exits(0);
    let events =
        running.with_key(&home, "trend-read", "watch --from 1 --count 3 --json").exits(0).json_lines();
    let sequences: Vec<u64> = events.iter().map(|event| event["event_sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, [1, 2, 3]);
    assert_eq!(events[0]["event"], "acknowledged");
    running.with_key(&home, "trend-read", "watch --from 3 --count 1").exits(0).says("command ");
}

#[test]
fn nobody_home_and_wrong_keys_are_told_apart() {
    let home = Home::new();
    let running = Running::start(&home);
    let port_of_nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let key = home.key("trend-trade").display().to_string();
    tollgate(&format!("send heartbeat --key {key} --address {port_of_nobody}"))
        .exits(1)
        .complains("cannot connect");
    tollgate(&format!("status {port_of_nobody}")).exits(1).complains("side.listen");
    tollgate(&format!("status {}", running.clients)).exits(1);
    tollgate("send heartbeat --key /nonexistent").exits(1).complains("no such file");
    let other = Home::new();
    let wrong = running.with_key(&other, "trend-trade", "send heartbeat").exits(1).complains("LOGON_FAILED");
    assert!(wrong.err.contains("key file"), "{}", wrong.err);
    let json = running.with_key(&other, "trend-trade", "send heartbeat --json").exits(1);
    let error: serde_json::Value = serde_json::from_str(&json.err).unwrap();
    assert_eq!(error["exit_code"], 1);
}

#[test]
fn the_journal_is_read_checked_exported_and_repaired() {
    let home = Home::new();
    let running = Running::start(&home);
    for line in ["send new BTCUSDT buy 0.001 --wait", "send new BTCUSDT buy 0.0000001", "send heartbeat"] {
        running.with_key(&home, "trend-trade", line);
    }
    let config = home.config();
    let refusals =
        tollgate(&format!("journal list --config {config} --kind refusal --client trend --json")).exits(0);
    assert_eq!(refusals.json_lines()[0]["reject"]["code"], "QUANTITY_NOT_ON_STEP");
    assert_eq!(refusals.json_lines().len(), 1);
    let followed =
        tollgate(&format!("journal follow --config {config} --kind intent --count 1 --json")).exits(0);
    assert_eq!(followed.json_lines()[0]["command"]["symbol"], "BTCUSDT");
    tollgate(&format!("journal repair --config {config} --dry-run")).exits(1).complains("in use");
    let (code, _) = running.stop("-INT");
    assert_eq!(code, 0);

    let journal = home.path("gate/journal");
    let place = journal.display().to_string();
    let all = tollgate(&format!("journal list {place} --json")).exits(0).json_lines();
    let verified = tollgate(&format!("journal verify {place} --json")).exits(0).json();
    assert_eq!((&verified["intact"], verified["records"].as_u64()), (&true.into(), Some(all.len() as u64)));
    let stats = tollgate(&format!("journal stats {place} --json")).exits(0).json();
    assert_eq!(stats["records"].as_u64(), Some(all.len() as u64));
    let last = tollgate(&format!("journal list {place} --last 2 --json")).exits(0).json_lines();
    assert_eq!(last, all[all.len() - 2..]);
    let some = tollgate(&format!("journal list {place} --from 3 --to 5 --json")).exits(0).json_lines();
    assert_eq!(some, all[2..5]);
    assert!(tollgate(&format!("journal list {place} --until 1h")).exits(0).out.is_empty());

    let csv = home.path("out.csv");
    let export = format!("journal export {place} --format csv --output {}", csv.display());
    tollgate(&export).exits(0).says(&format!("wrote {} records", all.len()));
    let text = fs::read_to_string(&csv).unwrap();
    assert_eq!(text.lines().count(), all.len() + 1);
    assert!(text.starts_with("sequence,time,") && text.contains("QUANTITY_NOT_ON_STEP"), "{text}");
    tollgate(&export).exits(1).complains("cannot write");
    let exported = tollgate(&format!("journal export {place}")).exits(0).json_lines();
    assert_eq!(exported, all);
    tollgate(&format!("journal verify {}", home.path("gate").display()))
        .exits(1)
        .complains("holds no journal");

    damage_middle(&journal);
    tollgate(&format!("journal verify {place}")).exits(4).says("damaged").says("repair");
    tollgate(&format!("run --config {config}")).exits(4).complains("repair");
    tollgate(&format!("journal repair {place} --dry-run")).exits(0).says("would keep");
    tollgate(&format!("journal verify {place}")).exits(4);
    tollgate(&format!("journal repair {place}")).exits(0).says("kept").says("set aside");
    tollgate(&format!("journal verify {place}")).exits(0).says("intact");
    tollgate(&format!("journal repair {place}")).exits(0).says("nothing to repair");
}

/// Changes a byte in the payload of the fourth record.
fn damage_middle(journal: &std::path::Path) {
    let mut segments: Vec<_> = fs::read_dir(journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| tollgate_journal::segment_index(path.file_name().unwrap().to_str().unwrap()).is_some())
        .collect();
    segments.sort();
    let mut reader = tollgate_journal::Reader::open(journal).unwrap();
    reader.seek(4).unwrap();
    let offset = reader.next().unwrap().unwrap().offset as usize + tollgate_journal::RECORD_HEADER_BYTES;
    let mut bytes = fs::read(&segments[0]).unwrap();
    bytes[offset] ^= 0xff;
    fs::write(&segments[0], bytes).unwrap();
}

#[test]
fn completion_scripts_are_printed() {
    tollgate("completion bash").exits(0).says("_tollgate()").says("cancel-all");
    tollgate("completion zsh").exits(0).says("#compdef tollgate");
    tollgate("completion fish").exits(0).says("complete -c tollgate");
    tollgate("completion tcsh").exits(2).complains("bash");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child =
        program().args(["completion", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // More than a pipe holds: the program is still writing when its reader leaves.
    let mut first = [0; 16];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!((child.wait().unwrap().code(), complaint.as_str()), (Some(0), ""));
}

#[test]
fn the_demonstration_accounts_for_every_command() {
    let home = Home::new();
    let directory = home.path("demo");
    let line = format!("demo --once --commands 600 --rate 0 --json --directory {}", directory.display());
    let report = tollgate(&line).exits(0).json();
    assert_eq!(report["passed"], true, "{report}");
    assert_eq!(report["sent"], report["answered"]);
    assert!(report["sent"].as_u64().unwrap() >= 600);
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["holds"], true, "{check}");
    }
    for action in ["new", "cancel", "cancel_all", "halt", "resume"] {
        assert!(report["actions"][action]["acknowledged"].as_u64().unwrap() > 0, "{action}: {report}");
    }
    let latency = |name: &str| report["latency_ns"][name].as_u64().unwrap();
    assert!(0 < latency("p50") && latency("p50") <= latency("p99") && latency("p99") <= latency("max"));
    // What it left behind is what it told.
    let journal = directory.join("journal").display().to_string();
    let stats = tollgate(&format!("journal stats {journal} --json")).exits(0).json();
    assert!(stats["records"].as_u64() >= report["journal"]["records"].as_u64());
    tollgate(&format!("check {}", directory.join("tollgate.toml").display())).exits(0);
    tollgate(&line).exits(1).complains("is there already");
}

#[test]
fn the_demonstration_reads_recorded_prices() {
    let home = Home::new();
    let quotes = home.path("eurusd-quotes.csv");
    let lines: String = (0..2_000)
        .map(|at| format!("20240101 1200{:02}{:03},1.1{:04},1.1{:04}\n", at / 1000, at % 1000, at, at + 2))
        .collect();
    fs::write(&quotes, lines).unwrap();
    let line = format!(
        "demo --once --commands 200 --rate 0 --prices {} --speed 1 --directory {}",
        quotes.display(),
        home.path("demo").display()
    );
    tollgate(&line).exits(0).says("EURUSD").says("Checks").says("ok    every command answered exactly once");
    let unnamed = home.path("quotes.csv");
    fs::write(&unnamed, "x").unwrap();
    tollgate(&format!("demo --once --prices {}", unnamed.display())).exits(2).complains("EURUSD");
}

#[test]
fn check_says_what_is_wrong_with_recorded_prices_and_keys_do_not_mind() {
    let home = Home::new();
    let directory = home.path("gateway");
    tollgate(&format!("init {}", directory.display())).exits(0);
    let settings = directory.join("tollgate.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let recorded = "kind = \"csv_quotes\"\nfile = \"quotes.csv\"\ninstrument = \"EURUSD\"";
    let text = text.replace("kind = \"synthetic\"\n", &format!("{recorded}\n"));
    let text: String = text
        .lines()
        .filter(|line| {
            !["interval_ms", "volatility_bps", "spread_ticks"].iter().any(|key| line.starts_with(key))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&settings, &text).unwrap();
    let check = format!("check {}", settings.display());
    let quotes = directory.join("quotes.csv");
    for (content, expected) in [
        ("", "is empty"),
        ("time;bid;ask\n", "expected the header timestamp,bid,ask"),
        ("timestamp,bid,ask\n1577898000065,1.1,1.2\n", "is a bare number"),
        ("timestamp,bid,ask\n2024-01-01 00:00:00,1.1,1.2\n", "of one moment alone"),
    ] {
        fs::write(&quotes, content).unwrap();
        tollgate(&check).exits(3).complains("venue[0].paper.feed.file").complains(expected);
        tollgate(&format!("run --config {}", settings.display())).exits(3).complains(expected);
    }
    tollgate(&format!("keys list --config {}", settings.display())).exits(0);
    let lines = [
        "timestamp,bid,ask",
        "2024-01-01 00:00:00,1.1,1.2",
        "2024-01-01 00:00:01,x,1.2",
        "2024-01-01 00:00:02,1.1,1.2",
    ];
    fs::write(&quotes, lines.map(|line| format!("{line}\n")).concat()).unwrap();
    tollgate(&check)
        .exits(0)
        .says("1 of its 4 lines cannot be played and is skipped: 1 with bad prices; the first is line 3");
}

#[test]
fn json_is_json_where_the_command_line_is_wrong() {
    for line in ["check --json", "check --json a b", "check --json --nonsense x"] {
        tollgate(line).exits(2).complains("{\"error\":").complains("\"exit_code\":2");
    }
    tollgate("check --json /nowhere/tollgate.toml").exits(3).says("\"valid\":false");
}
