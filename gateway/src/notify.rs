//! What the service manager is told, by the protocol of `sd_notify(3)`: ready, stopping, a line of status, and that
//! the hot thread turns.
//!
//! The watchdog is fed by the hot thread's turns and by nothing else: a datagram leaves only when the thread has
//! turned since the last one. A parked thread turns too, twenty times a second.
//!
//! Without a service manager all of this does nothing. The gateway starts no processes, so nobody inherits the
//! variables that name the socket.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::{Duration, Instant};

use tollgate_core::metrics::Metrics;

/// Names the manager's socket: a path, or `@` and an abstract name.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// The watchdog's time in microseconds, and the process that it holds for.
const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";
const WATCHDOG_PROCESS_VARIABLE: &str = "WATCHDOG_PID";
/// The status changes at most this often.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// The watchdog is fed so many times in its time, so that one late look does not end the process.
const FEEDS: u32 = 4;
/// Looks at the hot thread between two feeds.
const LOOKS: u32 = 2;
/// Between two looks at the hot thread.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(5);
const LOOK_INTERVAL_MAX: Duration = Duration::from_millis(250);
/// The hot thread counts as stuck in the status line after so long; only the watchdog acts.
const STUCK: Duration = Duration::from_secs(1);

/// Why the service manager cannot be told anything.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The socket's name is none.
    #[error(
        "{SOCKET_VARIABLE} is {value:?}: give an absolute path, or @ and the name of an abstract socket; unset it \
         where no service manager waits"
    )]
    Socket {
        /// What it is.
        value: OsString,
    },
    /// The watchdog's time is no number.
    #[error(
        "{WATCHDOG_VARIABLE} is {value:?}: give microseconds from 1 to 18446744073709551615, or unset it"
    )]
    Watchdog {
        /// What it is.
        value: OsString,
    },
    /// The system refused a socket.
    #[error("cannot make a socket for the service manager: {0}")]
    System(#[from] io::Error),
}

/// The turns of the hot thread, as they were seen.
#[derive(Clone, Copy)]
struct Seen {
    turns: u64,
    /// When they were first seen to be so many.
    at: Instant,
}

/// The way to the service manager, if there is one.
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How long the watchdog waits.
    watchdog: Option<Duration>,
    ready: bool,
    seen: Option<Seen>,
    /// Turns at the last feed, and when it was.
    fed: Option<Seen>,
    status: String,
    status_at: Option<Instant>,
    warned: bool,
}

impl Notifier {
    /// As the environment says.
    pub fn from_environment() -> Result<Self, NotifyError> {
        Self::new(|name| std::env::var_os(name), std::process::id())
    }

    fn new(variable: impl Fn(&str) -> Option<OsString>, process: u32) -> Result<Self, NotifyError> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let socket = match given(SOCKET_VARIABLE) {
            Some(value) => {
                let address = address(&value)?;
                let socket = UnixDatagram::unbound()?;
                // A manager that does not read is not waited for.
                socket.set_nonblocking(true)?;
                Some((socket, address))
            }
            None => None,
        };
        let for_this = given(WATCHDOG_PROCESS_VARIABLE)
            .is_none_or(|value| value.to_str().and_then(|text| text.parse().ok()) == Some(process));
        let watchdog = match given(WATCHDOG_VARIABLE).filter(|_| for_this) {
            Some(value) => Some(microseconds(&value)?),
            None => None,
        };
        Ok(Self {
            socket,
            watchdog,
            ready: false,
            seen: None,
            fed: None,
            status: String::new(),
            status_at: None,
            warned: false,
        })
    }

    /// How long after this [`observe`](Self::observe) wants to be called: 5 to 250 ms, shortest until it is ready.
    pub fn interval(&self) -> Duration {
        if !self.ready {
            return LOOK_INTERVAL_MIN;
        }
        let wanted = self.watchdog.map_or(LOOK_INTERVAL_MAX, |time| time / (FEEDS * LOOKS));
        wanted.clamp(LOOK_INTERVAL_MIN, LOOK_INTERVAL_MAX)
    }

    /// Says what the start is at, in one line.
    pub fn starting(&mut self, what: &str) {
        self.send(&format!("STATUS={what}"));
    }

    /// Says that the end has begun.
    pub fn stopping(&mut self) {
        self.send("STOPPING=1\nSTATUS=stopping: sessions are told, then the journal is made durable");
    }

    /// Looks at the hot thread: tells that the gateway is ready once it has turned, feeds the watchdog while it turns,
    /// and keeps the status up to date.
    pub fn observe(&mut self, metrics: &Metrics, now: Instant) {
        let turns = metrics.turns.get();
        if turns == 0 {
            return;
        }
        let seen = match self.seen {
            Some(seen) if seen.turns == turns => seen,
            _ => Seen { turns, at: now },
        };
        self.seen = Some(seen);
        let stuck = now.saturating_duration_since(seen.at);

        let mut lines = Vec::new();
        if !self.ready {
            lines.push("READY=1".to_owned());
        }
        let feeds = self.is_feed_due(turns, now);
        if feeds {
            lines.push("WATCHDOG=1".to_owned());
        }
        let status = status(metrics, stuck);
        let tells = status != self.status
            && self.status_at.is_none_or(|at| now.saturating_duration_since(at) >= STATUS_INTERVAL);
        if tells {
            lines.push(format!("STATUS={status}"));
        }
        // What could not be sent is sent with the next look.
        if lines.is_empty() || !self.send(&lines.join("\n")) {
            return;
        }
        self.ready = true;
        if feeds {
            self.fed = Some(Seen { turns, at: now });
        }
        if tells {
            (self.status, self.status_at) = (status, Some(now));
        }
    }

    fn is_feed_due(&self, turns: u64, now: Instant) -> bool {
        let Some(watchdog) = self.watchdog else { return false };
        self.fed
            .is_none_or(|fed| fed.turns != turns && now.saturating_duration_since(fed.at) >= watchdog / FEEDS)
    }

    /// True when it is on its way, or nobody is there to be told.
    fn send(&mut self, lines: &str) -> bool {
        let Some((socket, address)) = &self.socket else { return true };
        match socket.send_to_addr(lines.as_bytes(), address) {
            Ok(_) => true,
            Err(error) => {
                if !self.warned {
                    tracing::warn!("the service manager cannot be told ({lines:?}): {error}");
                    self.warned = true;
                }
                false
            }
        }
    }
}

fn address(value: &OsString) -> Result<SocketAddr, NotifyError> {
    let wrong = |_| NotifyError::Socket { value: value.clone() };
    match value.as_bytes() {
        [b'@', name @ ..] if !name.is_empty() => SocketAddr::from_abstract_name(name).map_err(wrong),
        path @ [b'/', _, ..] => {
            SocketAddr::from_pathname(Path::new(&OsString::from_vec(path.to_vec()))).map_err(wrong)
        }
        _ => Err(NotifyError::Socket { value: value.clone() }),
    }
}

fn microseconds(value: &OsString) -> Result<Duration, NotifyError> {
    match value.to_str().and_then(|text| text.parse().ok()) {
        None | Some(0) => Err(NotifyError::Watchdog { value: value.clone() }),
        Some(time) => Ok(Duration::from_micros(time)),
    }
}

/// One line for whoever asks the service manager.
fn status(metrics: &Metrics, stuck: Duration) -> String {
    if stuck >= STUCK {
        return format!("the hot thread has not turned for {} s", stuck.as_secs());
    }
    let trading = match metrics.trading_state.get() {
        0 => "trading",
        1 => "reducing",
        _ => "halted",
    };
    let journal = match metrics.journal_state.get() {
        0 => "",
        1 => "; journal low on space",
        _ => "; JOURNAL FAILED",
    };
    let up = metrics.venues.iter().filter(|venue| venue.state.get() == 2).count();
    format!(
        "{trading}; {up} of {} venues up; {} sessions; {} orders open, {} unknown{journal}",
        metrics.venues.len(),
        metrics.sessions.get(),
        metrics.orders_open.get(),
        metrics.orders_unknown.get(),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A service manager: its socket, and what a process that it starts is told.
    struct Manager {
        socket: UnixDatagram,
        _directory: Option<tempfile::TempDir>,
        name: OsString,
        begin: Instant,
    }

    impl Manager {
        fn with_path() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            Self::new(socket, Some(directory), path.into_os_string())
        }

        fn with_abstract_name(name: &str) -> Self {
            let address = SocketAddr::from_abstract_name(name).unwrap();
            let socket = UnixDatagram::bind_addr(&address).unwrap();
            Self::new(socket, None, format!("@{name}").into())
        }

        fn new(socket: UnixDatagram, directory: Option<tempfile::TempDir>, name: OsString) -> Self {
            socket.set_nonblocking(true).unwrap();
            Self { socket, _directory: directory, name, begin: Instant::now() }
        }

        fn start(&self, watchdog: &str) -> Notifier {
            Notifier::new(
                |variable| match variable {
                    SOCKET_VARIABLE => Some(self.name.clone()),
                    WATCHDOG_VARIABLE => Some(watchdog.into()),
                    _ => None,
                },
                1,
            )
            .unwrap()
        }

        fn at(&self, milliseconds: u64) -> Instant {
            self.begin + Duration::from_millis(milliseconds)
        }

        /// Every datagram that has come.
        fn heard(&self) -> Vec<String> {
            let mut heard = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(length) = self.socket.recv(&mut buffer) {
                heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
            }
            heard
        }
    }

    fn lines(datagrams: &[String]) -> Vec<&str> {
        datagrams.iter().flat_map(|datagram| datagram.lines()).collect()
    }

    fn feeds(datagrams: &[String]) -> usize {
        lines(datagrams).into_iter().filter(|line| *line == "WATCHDOG=1").count()
    }

    #[test]
    fn ready_is_told_once_and_not_before_the_hot_thread_has_turned() {
        for manager in
            [Manager::with_path(), Manager::with_abstract_name(&format!("tollgate-{}", std::process::id()))]
        {
            let mut notifier = manager.start("");
            let metrics = Metrics::new(1, 1);
            notifier.starting("recovering");
            notifier.observe(&metrics, manager.at(0));
            assert_eq!(manager.heard(), ["STATUS=recovering"]);

            metrics.turns.set(1);
            notifier.observe(&metrics, manager.at(1));
            let heard = manager.heard();
            assert_eq!(
                lines(&heard),
                ["READY=1", "STATUS=trading; 0 of 1 venues up; 0 sessions; 0 orders open, 0 unknown"]
            );
            metrics.turns.set(2);
            notifier.observe(&metrics, manager.at(2));
            assert!(manager.heard().is_empty());

            notifier.stopping();
            assert_eq!(lines(&manager.heard())[0], "STOPPING=1");
        }
    }

    #[test]
    fn a_watchdog_is_fed_by_turns_and_not_by_time() {
        let manager = Manager::with_path();
        let mut notifier = manager.start("1000000");
        let metrics = Metrics::new(0, 1);
        assert_eq!(notifier.interval(), LOOK_INTERVAL_MIN);
        let interval = 125;

        let mut turning = 0;
        for look in 0..80 {
            metrics.turns.add(1);
            notifier.observe(&metrics, manager.at(look * interval));
            turning += feeds(&manager.heard());
            assert_eq!(notifier.interval(), Duration::from_millis(interval));
        }
        // Ten seconds, four feeds a second.
        assert_eq!(turning, 40);

        let stalled = 80;
        let mut heard = Vec::new();
        for look in stalled..stalled + 80 {
            notifier.observe(&metrics, manager.at(look * interval));
            heard.extend(manager.heard());
        }
        // The last turn before the stall may not have been told yet.
        assert!(feeds(&heard) <= 1, "{heard:?}");
        assert!(lines(&heard).contains(&"STATUS=the hot thread has not turned for 9 s"), "{heard:?}");

        metrics.turns.add(1);
        notifier.observe(&metrics, manager.at((stalled + 80) * interval));
        assert_eq!(feeds(&manager.heard()), 1);
    }

    #[test]
    fn a_parked_thread_that_no_longer_wakes_starves_the_watchdog_too() {
        let manager = Manager::with_path();
        let mut notifier = manager.start("1000000");
        let metrics = Metrics::new(0, 1);
        metrics.turns.set(7);
        notifier.observe(&metrics, manager.at(0));
        metrics.parked.set(1);
        assert_eq!(feeds(&manager.heard()), 1);
        for look in 1..100 {
            notifier.observe(&metrics, manager.at(look * 125));
        }
        assert_eq!(feeds(&manager.heard()), 0);
    }

    #[test]
    fn status_follows_the_counters_once_a_second() {
        let manager = Manager::with_path();
        let mut notifier = manager.start("");
        let metrics = Metrics::new(2, 1);
        for look in 0..40 {
            metrics.turns.add(1);
            metrics.sessions.set(look);
            notifier.observe(&metrics, manager.at(look * 250));
        }
        let heard = manager.heard();
        assert_eq!(lines(&heard).iter().filter(|line| line.starts_with("STATUS=")).count(), 10);

        metrics.turns.add(1);
        metrics.venues[1].state.set(2);
        metrics.trading_state.set(2);
        metrics.journal_state.set(2);
        metrics.orders_open.set(5);
        metrics.orders_unknown.set(1);
        notifier.observe(&metrics, manager.at(20_000));
        let status = "STATUS=halted; 1 of 2 venues up; 39 sessions; 5 orders open, 1 unknown; JOURNAL FAILED"
            .to_owned();
        assert_eq!(manager.heard(), [status]);
    }

    #[test]
    fn what_a_full_socket_did_not_take_is_sent_again() {
        let manager = Manager::with_path();
        let mut notifier = manager.start("1000000");
        let metrics = Metrics::new(0, 1);
        let mut full = 0;
        while notifier.send("STATUS=x") {
            full += 1;
        }
        metrics.turns.set(1);
        notifier.observe(&metrics, manager.at(0));
        assert_eq!(manager.heard(), vec!["STATUS=x"; full]);
        notifier.observe(&metrics, manager.at(1));
        let heard = manager.heard();
        assert_eq!(lines(&heard)[..2], ["READY=1", "WATCHDOG=1"]);
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        let mut notifier = Notifier::new(|_| None, 1).unwrap();
        let metrics = Metrics::new(0, 1);
        metrics.turns.set(1);
        notifier.starting("recovering");
        notifier.observe(&metrics, Instant::now());
        notifier.stopping();
        assert_eq!(notifier.interval(), LOOK_INTERVAL_MAX);
    }

    #[test]
    fn a_watchdog_for_another_process_is_not_ours() {
        let with = |process: &'static str| {
            let variable = move |name: &str| match name {
                WATCHDOG_VARIABLE => Some("1000000".into()),
                WATCHDOG_PROCESS_VARIABLE => Some(process.into()),
                _ => None,
            };
            Notifier::new(variable, 42).unwrap().watchdog
        };
        assert_eq!(with("42"), Some(Duration::from_secs(1)));
        assert_eq!(with("41"), None);
        assert_eq!(with("x"), None);
    }

    #[test]
    fn wrong_variables_are_told_with_their_value() {
        let error = |name: &'static str, value: &'static str| {
            Notifier::new(|asked| (asked == name).then(|| value.into()), 1).err().unwrap().to_string()
        };
        for value in ["notify", "@", "/", "vsock:2:1"] {
            assert!(error(SOCKET_VARIABLE, value).contains(&format!("{value:?}")), "{value}");
        }
        let long: &'static str = Box::leak(format!("/{}", "x".repeat(200)).into_boxed_str());
        assert!(error(SOCKET_VARIABLE, long).contains("absolute path"));
        for value in ["0", "-1", "1s", "18446744073709551616"] {
            assert!(error(WATCHDOG_VARIABLE, value).contains(&format!("{value:?}")), "{value}");
        }
    }
}
