//! The hot thread: it turns the hot path, and waits between turns as the settings say.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use tollgate_config::Idle;
use tollgate_contract::lane::Bell;
use tollgate_core::{Hot, Readiness, Socket, State, World};
use tollgate_journal::Appender;

/// How long the thread sleeps at most when it parks: the side port tells a sleeping thread from a stuck one by this.
const PARK: Duration = Duration::from_millis(50);
/// At most so many sessions are read every turn without a poll before.
const SESSIONS_READ_DIRECTLY: usize = 2;
/// Turns without a poll, in a row.
const TURNS_WITHOUT_POLL: u32 = 31;
/// The token of the first session; smaller ones are the poll's own.
const FIRST_TOKEN: usize = 16;

/// A client's TCP connection.
#[derive(Debug)]
pub struct ClientSocket(pub TcpStream);

impl Socket for ClientSocket {
    #[inline]
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
}

/// The operating system, as the hot path sees it.
pub struct System {
    registry: Registry,
    began: Instant,
}

impl World for System {
    type Socket = ClientSocket;
    type Journal = Appender;

    #[inline]
    fn wall_ns(&mut self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
    }

    #[inline]
    fn monotonic_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn watch(&mut self, socket: &ClientSocket, slot: u16) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(usize::from(slot) + FIRST_TOKEN);
        self.registry.register(&mut SourceFd(&socket.0.as_raw_fd()), token, interest)
    }

    fn unwatch(&mut self, socket: &ClientSocket) {
        // A socket that is being closed leaves the poll by itself; an error here changes nothing.
        let _ = self.registry.deregister(&mut SourceFd(&socket.0.as_raw_fd()));
    }

    fn pause(&mut self) {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

impl System {
    /// Sockets are watched by `poll`.
    pub fn new(poll: &Poll) -> io::Result<Self> {
        Ok(Self { registry: poll.registry().try_clone()?, began: Instant::now() })
    }
}

/// The hot thread's loop.
pub struct HotThread {
    hot: Hot<System>,
    poll: Poll,
    events: Events,
    /// What other threads ring.
    bell: Bell,
    idle: Idle,
    turns_without_poll: u32,
}

impl HotThread {
    /// The bell must wake the poll.
    pub fn new(hot: Hot<System>, poll: Poll, bell: Bell, idle: Idle) -> Self {
        Self { hot, poll, events: Events::with_capacity(1024), bell, idle, turns_without_poll: 0 }
    }

    /// Turns until it is told to stop; gives the state back for who wants to look at it.
    pub fn run(mut self) -> State {
        self.hot.begin();
        while !self.hot.is_stopping() {
            self.wait();
            self.hot.turn();
        }
        self.hot.end()
    }

    /// Waits for something to do, as the idle strategy says.
    #[inline]
    fn wait(&mut self) {
        if self.idle == Idle::Spin && self.reads_directly() {
            return;
        }
        let timeout = match self.idle {
            Idle::Spin => Duration::ZERO,
            Idle::Yield => {
                std::thread::yield_now();
                Duration::ZERO
            }
            Idle::Park => self.park_timeout(),
        };
        // An interrupted poll is a turn without events.
        let _ = self.poll.poll(&mut self.events, Some(timeout));
        if timeout > Duration::ZERO {
            self.bell.sleeping(false);
            self.hot.metrics().parked.set(0);
            self.hot.slept();
        }
        for event in &self.events {
            let Some(slot) = event.token().0.checked_sub(FIRST_TOKEN) else { continue };
            let readiness = Readiness {
                readable: event.is_readable(),
                writable: event.is_writable(),
                closed: event.is_read_closed() || event.is_error(),
            };
            self.hot.ready(slot as u16, readiness);
        }
    }

    /// With a session or two it costs less to read them than to ask which can be read. The poll still has its turn: it
    /// knows which sockets can be written again.
    #[inline]
    fn reads_directly(&mut self) -> bool {
        if self.hot.session_count() > SESSIONS_READ_DIRECTLY || self.turns_without_poll == TURNS_WITHOUT_POLL
        {
            self.turns_without_poll = 0;
            return false;
        }
        self.turns_without_poll += 1;
        self.hot.read_all();
        true
    }

    /// How long the poll may sleep: not at all when something waits. Announces the sleep to who rings the bell.
    fn park_timeout(&mut self) -> Duration {
        self.bell.sleeping(true);
        // What became durable since the last write may go now; what becomes so later rings.
        let has_work = self.hot.has_work()
            || self
                .hot
                .awaits_watermark()
                .is_some_and(|written| self.hot.journal().request_watermark_wake() != written);
        if has_work {
            self.bell.sleeping(false);
            return Duration::ZERO;
        }
        self.hot.metrics().parked.set(1);
        PARK
    }
}
