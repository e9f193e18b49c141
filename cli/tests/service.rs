//! `tollgate run` as a service manager runs it: signals, and a standard error that is gone, full or unread.
#![allow(clippy::unwrap_used)]

mod cli_support;

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cli_support::{Home, Ran, Running, program, tollgate, until};

/// A gateway whose log nobody here reads.
struct Mute {
    child: Child,
    home: Home,
    clients: String,
    side: String,
}

/// A port that was free a moment ago.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

impl Mute {
    /// Starts it, and waits until its side port says that it is ready.
    fn start(stderr: Stdio) -> Self {
        let home = Home::new();
        let (clients, side) = (free_address(), free_address());
        let text = fs::read_to_string(home.config()).unwrap();
        let mut addresses = [clients.clone(), side.clone()].into_iter();
        let lines: Vec<String> = text
            .lines()
            .map(|line| match line.strip_prefix("listen = ").and_then(|_| addresses.next()) {
                Some(address) => format!("listen = \"{address}\""),
                None => line.to_owned(),
            })
            .collect();
        fs::write(home.config(), lines.join("\n")).unwrap();
        let child = program().args(["run", "--config", &home.config()]).stderr(stderr).spawn().unwrap();
        let mute = Self { child, home, clients, side };
        until("it is ready", || mute.status().code == 0);
        mute
    }

    fn status(&self) -> Ran {
        tollgate(&format!("status {}", self.side))
    }

    fn with_key(&self, key: &str, line: &str) -> Ran {
        let mut command = program();
        command.args(line.split_whitespace()).args(["--address", &self.clients]);
        command.env("TOLLGATE_KEY_FILE", self.home.key(key));
        Ran::of(&mut command)
    }

    fn metric(&self, name: &str) -> u64 {
        let text = get(&self.side, "/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}:\n{text}")).parse().unwrap()
    }

    /// Logons, a revocation and the end, as with any other log.
    fn serves_and_revokes_and_stops(mut self) {
        for _ in 0..3 {
            self.with_key("trend-trade", "send heartbeat").exits(0);
        }
        tollgate(&format!("keys revoke --config {} trend-trade", self.home.config())).exits(0);
        until("the key is revoked", || self.with_key("trend-trade", "send heartbeat").code != 0);
        self.with_key("trend-read", "send heartbeat").exits(0);
        assert_eq!(self.status().code, 0, "{}", self.status().out);
        signal(&self.child, "-TERM");
        assert_eq!(self.ends(), Some(0));
    }

    /// Its exit code; it must end soon.
    fn ends(&mut self) -> Option<i32> {
        ends(&mut self.child)
    }
}

fn ends(child: &mut Child) -> Option<i32> {
    let mut status = None;
    until("it ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap().code()
}

impl Drop for Mute {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

fn get(address: &str, path: &str) -> String {
    use std::io::Read;
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_full_disk_behind_the_log_stops_nothing() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mute = Mute::start(full.into());
    until("lines are lost", || mute.metric("tollgate_log_lines_lost_total") > 0);
    assert_eq!(mute.metric("tollgate_log_lines_total"), 0);
    mute.serves_and_revokes_and_stops();
}

#[test]
fn a_log_whose_reader_is_gone_stops_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    Mute::start(writer.into()).serves_and_revokes_and_stops();
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    // It fills the pipe, and stays in it until this process ends.
    let (full, filled) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while filler.write_all(&[b'x'; 4096]).is_ok() {
            let _ = full.send(());
        }
    });
    while filled.recv_timeout(Duration::from_millis(300)).is_ok() {}
    let mute = Mute::start(writer.into());
    until("lines wait", || mute.metric("tollgate_log_lines_waiting") > 0);
    mute.serves_and_revokes_and_stops();
    drop(reader);
}

#[test]
fn hangups_read_the_keys_and_user_signals_do_nothing() {
    let home = Home::new();
    let running = Running::start(&home);
    for name in ["-USR1", "-USR2", "-HUP"] {
        signal(running.child(), name);
    }
    running.with_key(&home, "trend-read", "send heartbeat").exits(0);
    let (code, rest) = running.stop("-TERM");
    assert_eq!(code, 0, "{rest}");
    assert!(rest.contains("the keys file is read again, as SIGHUP asked"), "{rest}");
    assert_eq!(rest.matches("is ignored: SIGHUP reads the keys again").count(), 2, "{rest}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut mute = Mute::start(Stdio::null());
    let began = Instant::now();
    signal(&mute.child, "-STOP");
    for name in ["-TERM", "-INT", "-CONT"] {
        signal(&mute.child, name);
    }
    assert!(matches!(mute.ends(), Some(0 | 1)));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_gateway_leaves_no_core_dump() {
    let mute = Mute::start(Stdio::null());
    let limits = fs::read_to_string(format!("/proc/{}/limits", mute.child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    // What is not dumpable is root's.
    let owner =
        std::os::unix::fs::MetadataExt::uid(&fs::metadata(format!("/proc/{}/mem", mute.child.id())).unwrap());
    assert_eq!(owner, 0);
}

#[test]
fn words_are_true_for_cancels_and_for_events_to_come() {
    let home = Home::new();
    let running = Running::start(&home);
    let ran = running.with_key(&home, "trend-trade", "send cancel-all --account main").exits(0);
    assert!(ran.out.contains("acknowledged  record ") && !ran.out.contains("order "), "{}", ran.out);
    let ran = running.with_key(&home, "trend-read", "watch --from 1000000 --count 1").exits(1);
    assert!(ran.err.contains("event 1000000 has not happened yet: the client's next is "), "{}", ran.err);
}
