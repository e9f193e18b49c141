//! The side port: probes, metrics, the page, and those who would hold it up.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;
use tollgate_config::Settings;
use tollgate_core::metrics::{Metrics, Outcome};
use tollgate_gateway::side::{Phase, Side, SideHandle, Status};
use tollgate_protocol::reject::Code;

use crate::support::{PATIENCE, eventually, settings};

struct House {
    side: Option<SideHandle>,
    address: SocketAddr,
    metrics: Arc<Metrics>,
    status: Arc<Status>,
    settings: Arc<Settings>,
    _directory: TempDir,
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

impl House {
    /// A process that starts.
    fn starting() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = Arc::new(settings(directory.path()));
        let metrics = Arc::new(Metrics::new(settings.venues.len(), settings.clients.len()));
        let status = Arc::new(Status::new(settings.gateway.instance));
        let side = Side::start(Arc::clone(&settings), Arc::clone(&metrics), Arc::clone(&status)).unwrap();
        let address = side.address();
        Self { side: Some(side), address, metrics, status, settings, _directory: directory }
    }

    /// A process that serves, and with which all is well.
    fn running() -> Self {
        let house = Self::starting();
        house.status.set_phase(Phase::Running);
        house.metrics.venues[0].state.set(2);
        house.turn();
        house
    }

    /// The hot thread turns; it need not do so again for the rest of a test.
    fn turn(&self) {
        self.metrics.last_turn_ns.set(now_ns() + 60_000_000_000);
    }

    fn get(&self, path: &str) -> Answer {
        ask(self.address, "GET", path)
    }

    fn ready(&self) -> (u16, String) {
        let answer = self.get("/readyz");
        (answer.status, answer.body)
    }

    /// The value of a sample, by its name with labels.
    fn sample(&self, name: &str) -> String {
        let body = self.get("/metrics").body;
        let line = body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).to_owned()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.side.take().unwrap().stop();
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let wanted = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&wanted)).unwrap_or("")
    }

    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_str(&self.body).unwrap()
    }
}

fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

#[test]
fn a_process_that_starts_lives_and_is_not_ready() {
    let house = House::starting();
    assert_eq!((house.get("/livez").status, house.get("/health/live").status), (200, 200));
    let (status, body) = house.ready();
    assert_eq!(status, 503);
    assert!(body.contains("[-]gateway failed: starting\n"), "{body}");
    house.status.set_phase(Phase::Recovering);
    house.status.set_recovered_records(12_000);
    let (status, body) = house.ready();
    assert_eq!(status, 503);
    assert!(body.contains("[-]gateway failed: recovering: 12000 journal records read so far\n"), "{body}");
    house.status.set_phase(Phase::Stopping);
    assert!(house.ready().1.contains("[-]gateway failed: stopping\n"));
    assert_eq!(house.get("/livez").status, 200);
}

#[test]
fn a_process_that_serves_is_ready_and_names_its_checks_when_asked() {
    let house = House::running();
    assert_eq!(house.ready(), (200, "ok\n".to_owned()));
    let verbose = house.get("/readyz?verbose");
    let expected = "[+]gateway ok\n[+]hot ok\n[+]journal ok\n[+]trading ok\n[+]venue_paper ok\n\
                    readyz check passed\n";
    assert_eq!((verbose.status, verbose.body.as_str()), (200, expected));
    assert_eq!(house.get("/readyz?a=b&verbose=1").body, expected);
}

#[test]
fn every_reason_not_to_be_ready_is_named() {
    let house = House::running();
    let metrics = &house.metrics;
    let failing = |reason: &str| {
        let (status, body) = house.ready();
        assert_eq!(status, 503, "{body}");
        assert_eq!(body.matches("[-]").count(), 1, "{body}");
        assert!(body.contains(reason), "{body}");
        assert!(body.ends_with("readyz check failed\n"), "{body}");
    };
    let passing = || assert_eq!(house.ready(), (200, "ok\n".to_owned()));

    metrics.trading_state.set(2);
    failing("[-]trading failed: halted by the operator\n");
    metrics.trading_state.set(1);
    passing();
    metrics.trading_state.set(0);

    metrics.journal_state.set(2);
    failing("[-]journal failed: failed;");
    metrics.journal_state.set(1);
    failing("[-]journal failed: full but for its reserve;");
    metrics.journal_free_bytes.set(house.settings.journal.reserve_bytes + 1);
    passing();
    metrics.journal_state.set(0);

    metrics.venues[0].state.set(0);
    failing("[-]venue_paper failed: down\n");
    metrics.venues[0].state.set(1);
    failing("[-]venue_paper failed: reconciling");
    metrics.venues[0].state.set(2);

    metrics.last_turn_ns.set(now_ns() - 5_000_000_000);
    failing("[-]hot failed: the hot thread has not turned for 50");
    metrics.parked.set(1);
    failing("[-]hot failed: the hot thread has not turned for 50");
    metrics.last_turn_ns.set(0);
    failing("[-]hot failed: the hot thread has not turned yet");
    house.turn();
    passing();
}

#[test]
fn a_sleeping_hot_thread_is_given_the_time_that_it_sleeps() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.hot.stall_timeout_ms = 100;
    let settings = Arc::new(settings);
    let metrics = Arc::new(Metrics::new(settings.venues.len(), settings.clients.len()));
    let status = Arc::new(Status::new(settings.gateway.instance));
    let side = Side::start(settings, Arc::clone(&metrics), status).unwrap();
    let hot = || {
        metrics.last_turn_ns.set(now_ns() - 200_000_000);
        ask(side.address(), "GET", "/readyz").body.contains("[+]hot ok\n")
    };
    assert!(!hot());
    metrics.parked.set(1);
    // A machine may take long between two lines.
    eventually("the grace", || hot().then_some(()));
    side.stop();
}

#[test]
fn health_is_the_same_as_json() {
    let house = House::running();
    let answer = house.get("/health");
    assert_eq!(answer.status, 200);
    let health = answer.json();
    assert_eq!(
        (&health["status"], &health["version"]),
        (&"healthy".into(), &env!("CARGO_PKG_VERSION").into())
    );
    let timestamp = health["timestamp"].as_str().unwrap();
    assert!(timestamp.ends_with('Z') && timestamp.starts_with("20"), "{timestamp}");
    let checks = health["checks"].as_object().unwrap();
    assert_eq!(checks.len(), 5);
    for check in checks.values() {
        assert_eq!(check["status"], "healthy");
        assert!(
            check["duration_ms"].as_f64().is_some_and(|it| it < 1000.0) && check.get("message").is_none()
        );
    }
    assert_eq!(house.get("/health/ready").json()["status"], "healthy");

    house.metrics.venues[0].state.set(0);
    let answer = house.get("/health");
    assert_eq!(answer.status, 503);
    let health = answer.json();
    assert_eq!(
        (&health["status"], &health["checks"]["venue_paper"]["status"]),
        (&"unhealthy".into(), &"unhealthy".into())
    );
    assert_eq!(health["checks"]["venue_paper"]["message"], "down");
    let ready = house.get("/health/ready");
    assert_eq!((ready.status, &ready.json()["status"]), (503, &"unhealthy".into()));
    assert_eq!(house.get("/health/live").json()["status"], "healthy");
}

#[test]
fn metrics_are_in_base_units_and_agree() {
    let house = House::running();
    let metrics = &house.metrics;
    metrics.commands[0][Outcome::Rejected as usize].add(3);
    Metrics::code(&metrics.rejects, Code::PriceNotOnTick);
    metrics.reports[1].add(9);
    for value_ns in [400, 1_500, 2_500_000, 20_000_000_000] {
        metrics.command_latency.record(value_ns);
    }
    metrics.loss_percent.set(42);
    metrics.sessions.set(7);
    metrics.venues[0].requests.add(11);
    assert_eq!(house.sample("tollgate_commands_total{action=\"new\",outcome=\"rejected\"}"), "3");
    assert_eq!(house.sample("tollgate_rejects_total{code=\"PRICE_NOT_ON_TICK\"}"), "1");
    assert_eq!(house.sample("tollgate_reports_total{kind=\"filled\"}"), "9");
    assert_eq!(house.sample("tollgate_loss_limit_used_ratio"), "0.42");
    assert_eq!(house.sample("tollgate_sessions"), "7");
    assert_eq!(house.sample("tollgate_venue_requests_total{venue=\"paper\"}"), "11");
    let bucket =
        |bound: &str| house.sample(&format!("tollgate_command_latency_seconds_bucket{{le=\"{bound}\"}}"));
    let buckets = ["0.000001", "0.000002", "0.002", "0.005", "10", "+Inf"].map(bucket);
    assert_eq!(buckets, ["1", "2", "2", "3", "3", "4"]);
    assert_eq!(house.sample("tollgate_command_latency_seconds_count"), "4");
    assert_eq!(house.sample("tollgate_command_latency_seconds_sum"), "20.0025019");
    assert!(house.sample("process_resident_memory_bytes").parse::<u64>().unwrap() > 1_000_000);
    assert_eq!(house.sample("tollgate_ready"), "1");
}

#[test]
fn the_journals_own_counters_come_when_it_is_open() {
    let house = House::running();
    assert!(!house.get("/metrics").body.contains("tollgate_journal_syncs_total"));
    house.status.set_journal(Arc::default());
    eventually("the counters", || {
        house.get("/metrics").body.contains("\ntollgate_journal_syncs_total 0\n").then_some(())
    });
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let house = House::running();
    house.status.set_journal(Arc::default());
    house.metrics.command_latency.record(5_000);
    let answer = house.get("/metrics");
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = promtool.expect("promtool checks the metrics: install Debian's `prometheus` package");
    promtool.stdin.take().unwrap().write_all(answer.body.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn unknown_paths_and_methods_are_told_what_there_is() {
    let house = House::running();
    let lost = house.get("/heatlh");
    assert_eq!(lost.status, 404);
    for path in ["/livez", "/readyz", "/health", "/health/live", "/health/ready", "/metrics"] {
        assert!(lost.body.contains(path), "{}", lost.body);
        for method in ["POST", "DELETE", "PUT", "OPTIONS", "BREW"] {
            let refused = ask(house.address, method, path);
            assert_eq!(refused.status, 405, "{method} {path}");
            assert!(refused.header("allow").contains("get"), "{}", refused.head);
        }
        let (head, get) = (ask(house.address, "HEAD", path), house.get(path));
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
    }
}

#[test]
fn the_page_is_whole_and_takes_nothing_from_elsewhere() {
    let house = House::running();
    let page = house.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    for (path, content_type) in [("page.js", "text/javascript"), ("page.css", "text/css")] {
        assert!(page.body.contains(&format!("\"{path}\"")));
        let part = house.get(&format!("/{path}"));
        assert!(part.status == 200 && part.header("content-type").starts_with(content_type));
        assert!(!part.body.contains("http://") && !part.body.contains("https://"));
    }
    assert!(
        !page.body.contains("http://") && !page.body.contains("https://") && !page.body.contains("style=")
    );
    // Whatever the script reads must be there to be read.
    let (script, metrics) = (house.get("/page.js").body, house.get("/metrics").body);
    let names = script.split('"').filter(|part| part.starts_with("tollgate_") && !part.ends_with('_'));
    for name in names {
        let named = name == "tollgate_journal_syncs_total"
            || name == "tollgate_journal_sync_seconds_total"
            || metrics.contains(&format!("\n{name}"));
        assert!(named, "{name}");
    }
}

#[test]
fn connections_that_say_nothing_hold_nobody_up() {
    let house = House::running();
    let mut idle: Vec<TcpStream> = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(house.address).unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: ").unwrap();
        }
        idle.push(stream);
        if number % 50 == 49 {
            let begin = Instant::now();
            assert_eq!(house.get("/livez").status, 200);
            assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
        }
    }
    // The oldest made room.
    idle[0].set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(idle[0].read(&mut [0; 1024]), Ok(0) | Err(_)));
}

#[test]
fn a_connection_that_says_too_much_ends() {
    let house = House::running();
    let mut stream = TcpStream::connect(house.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n").unwrap();
    let line = format!("x-padding: {}\r\n", "x".repeat(1000));
    let ended = (0..10_000).any(|_| stream.write_all(line.as_bytes()).is_err());
    assert!(ended, "ten megabytes of headers were taken");
    assert_eq!(house.get("/livez").status, 200);
}

#[test]
fn several_requests_may_share_a_connection() {
    let house = House::running();
    let mut stream = TcpStream::connect(house.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..20 {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut received = Vec::new();
        while !received.ends_with(b"\r\n\r\nok\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            received.push(byte[0]);
        }
        assert!(received.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn stopping_waits_for_nobody() {
    let mut house = House::running();
    let mut half = TcpStream::connect(house.address).unwrap();
    half.write_all(b"GET /livez HTTP/1.1\r\nhost: ").unwrap();
    assert_eq!(house.get("/livez").status, 200);
    let begin = Instant::now();
    let address = house.address;
    house.side.take().unwrap().stop();
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(TcpStream::connect(address).is_err());
    let settings = Arc::clone(&house.settings);
    house.side = Some(Side::start(settings, Arc::clone(&house.metrics), Arc::clone(&house.status)).unwrap());
}

#[test]
fn an_address_in_use_is_named() {
    let house = House::running();
    let mut settings = (*house.settings).clone();
    settings.side.listen = house.address;
    let status = Arc::new(Status::new(settings.gateway.instance));
    let error = Side::start(settings.into(), Arc::clone(&house.metrics), status).err().unwrap();
    assert!(error.to_string().contains(&house.address.to_string()), "{error}");
}

#[test]
fn who_asks_for_another_name_is_refused_with_words() {
    let house = House::running();
    let asked = |lines: &str| {
        let mut stream = TcpStream::connect(house.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\n{lines}connection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let refused = asked("host: evil.example:9091\r\n");
    assert!(refused.starts_with("HTTP/1.1 421 "), "{refused}");
    assert!(refused.contains("\"evil.example:9091\" is no name of this side port"), "{refused}");
    assert!(refused.contains("side.hosts") && !refused.contains("tollgate_build_info"), "{refused}");
    assert!(asked("host: localhost\r\nhost: evil.example\r\n").starts_with("HTTP/1.1 4"));
    assert!(asked(&format!("host: {}\r\n", house.address)).starts_with("HTTP/1.1 200 "));
}

#[test]
fn the_door_and_its_keys_are_in_readiness_and_metrics() {
    let side = House::running();
    let mut path = std::path::PathBuf::new();
    let door = crate::support::House::new(|settings| {
        path.clone_from(&settings.gateway.keys_file);
        tollgate_config::keys::write(&path, &[]).unwrap();
        settings.keys.clear();
    });
    let state = Arc::clone(door.door.as_ref().unwrap().state());
    side.status.set_door(Arc::clone(&state));
    let verbose = side.get("/readyz?verbose").body;
    assert!(verbose.contains("[+]door ok\n[+]keys ok\n"), "{verbose}");
    assert_eq!(side.sample("tollgate_door_keys_unread_seconds"), "0");

    std::fs::remove_file(&path).unwrap();
    eventually("the problem", || state.keys_problem().filter(|(words, _)| words.contains("it is gone")));
    let (status, body) = side.ready();
    assert_eq!(status, 503);
    assert!(body.contains("[-]keys failed: not read for") && body.contains("it is gone"), "{body}");

    drop(door);
    let (status, body) = side.ready();
    assert_eq!(status, 503);
    assert!(body.contains("[-]door failed: its thread has ended"), "{body}");
    eventually("the metric", || (side.sample("tollgate_door_up") == "0").then_some(()));
}
