//! From the proof to the hot thread: the welcome, the events of the past, the handover.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tollgate_protocol::Event;
use tollgate_protocol::frame::{self, FrameKind};
use tollgate_protocol::logon::{Goodbye, SessionMacs, Welcome};
use tollgate_protocol::reject::Code;

use super::connection::{Connection, End};
use super::history::{History, HistoryError, Past};
use super::keys::Key;
use super::logon::FRAME_BYTES_MAX;
use super::reception::{LoggedOn, RETRY_AFTER, Reception, now_ns};
use crate::hot_thread::ClientSocket;
use crate::link::{Handover, Watermark};
use tollgate_core::metrics::{Counter, Metrics};

/// Events that are read and sent at a time.
const BATCH_EVENTS: usize = 128;
/// How long a session waits for room in the lane to the hot thread.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(2);
const HANDOVER_PAUSE: Duration = Duration::from_millis(5);
/// Between two attempts to catch up in which there was nothing new: the record is not durable yet.
const BEHIND_PAUSE: Duration = Duration::from_millis(5);
/// After so long without anything new it is given up: a client without a session can cancel nothing.
const BEHIND_TIMEOUT: Duration = Duration::from_secs(5);
/// A goodbye that does not go out within this time is given up.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(250);

/// A session that is on its way to the hot thread.
struct Leaving {
    stream: TcpStream,
    address: IpAddr,
    macs: SessionMacs,
    sequence_in: u64,
    sequence_out: u64,
    received: Vec<u8>,
    key: Arc<Key>,
    next_event_sequence: u64,
    place: SessionPlace,
    watermark: Watermark,
    behind_since: Option<Instant>,
}

/// A session's place, which is free again when this is dropped.
struct SessionPlace {
    number: u64,
    reception: Option<Rc<Reception>>,
}

impl SessionPlace {
    /// The hot thread will say when the session has ended.
    fn keep(mut self) {
        self.reception = None;
    }
}

impl Drop for SessionPlace {
    fn drop(&mut self) {
        if let Some(reception) = &self.reception {
            reception.sessions.borrow_mut().end(self.number);
        }
    }
}

/// Why a replay broke off.
enum Failure {
    /// The client is told.
    Part(Code),
    /// The client did not take what was sent: half a frame may be on its way, and nothing can follow it.
    Drop,
}

impl Reception {
    /// Gives a client that has proved himself his session.
    pub(super) async fn admit(self: Rc<Self>, connection: Connection, logged_on: LoggedOn) {
        match self.prepare(&logged_on).await {
            Ok((place, past)) => self.welcome(connection, logged_on, place, past).await,
            Err(end) => self.turn_away(connection, end).await,
        }
    }

    /// What can still be refused: places, room, and events that are gone.
    async fn prepare(self: &Rc<Self>, logged_on: &LoggedOn) -> Result<(SessionPlace, Option<Past>), End> {
        if self.stopping.get() || self.hot.borrow().is_abandoned() {
            return Err(End::refused(Code::SessionShutdown, RETRY_AFTER));
        }
        let key = &logged_on.key;
        let busy = End::refused(Code::SessionLimit, RETRY_AFTER);
        let begun = self.sessions.borrow_mut().begin(key.client, Arc::clone(key));
        let number = begun.map_err(|full| {
            let client = self.client_name(key.client);
            self.log(|suppressed| tracing::warn!(client, ?full, suppressed, "no session is free"));
            busy
        })?;
        let place = SessionPlace { number, reception: Some(Rc::clone(self)) };
        if !self.hot.borrow_mut().has_room() {
            return Err(busy);
        }
        let past = match (logged_on.hello.resume_after, &self.history) {
            // Without a journal nothing is replayed; whether there was anything, the hot thread knows.
            (None, _) | (Some(0), None) => None,
            (Some(_), None) => return Err(Code::ResumeUnavailable.into()),
            (Some(resume_after), Some(history)) => {
                let found = self.find(history, key.client, resume_after).await;
                Some(found.map_err(|code| End::from(self.explain(key.client, code)))?)
            }
        };
        Ok((place, past))
    }

    async fn welcome(
        self: Rc<Self>,
        connection: Connection,
        logged_on: LoggedOn,
        place: SessionPlace,
        past: Option<Past>,
    ) {
        let LoggedOn { hello, key, macs, signature } = logged_on;
        let limits = &self.settings.sessions;
        // Without a wish: what happens from now on. The hot thread fills what happens until it has the session.
        let last = self.metrics.event_sequences.get(usize::from(key.client)).map_or(0, Counter::get);
        let next_event_sequence = hello.resume_after.unwrap_or(last).saturating_add(1);
        let body = Welcome {
            session_id: place.number,
            time_ns: now_ns(),
            heartbeat_interval_ms: limits.heartbeat_interval_ms,
            heartbeat_timeout_ms: limits.heartbeat_timeout_ms,
            next_event_sequence,
            durability: self.settings.journal.durability,
            signature,
        };
        let mut out = [0; FRAME_BYTES_MAX];
        let length = frame::encode(FrameKind::Welcome, 2, &body, Some(&macs.gateway_to_client), &mut out);
        assert!(length.is_some(), "a welcome fits FRAME_BYTES_MAX");
        let address = connection.address;
        let (stream, received) = connection.into_parts();
        let client = self.client_name(key.client);
        let mut leaving = Leaving {
            stream,
            address,
            macs,
            sequence_in: 3,
            sequence_out: 3,
            received,
            key: Arc::clone(&key),
            next_event_sequence,
            place,
            watermark: Watermark::default(),
            behind_since: None,
        };
        if self.write(&mut leaving.stream, &out[..length.unwrap_or_default()]).await.is_err() {
            return;
        }
        self.metrics.door_logons.add(1);
        let (session_id, key_id) = (leaving.place.number, key.grant.key_id);
        let software = hello.software.as_str();
        tracing::info!(session_id, client, key = %key_id, %address, ?software, "logged on");
        self.replay_and_hand_over(leaving, past).await;
    }

    /// Replays what the hot thread no longer remembers, and hands the session over again.
    pub(super) async fn catch_up(self: Rc<Self>, handover: Box<Handover>) {
        let Handover { stream, address, macs, sequence_in, sequence_out, received, client, .. } = *handover;
        let Handover { session_id, next_event_sequence, watermark, behind_since, .. } = *handover;
        let place = SessionPlace { number: session_id, reception: Some(Rc::clone(&self)) };
        let key = self.sessions.borrow().key(session_id).cloned();
        let stream = stream.0.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream.0));
        let (Some(key), Ok(stream)) = (key, stream) else { return };
        let leaving = Leaving {
            stream,
            address,
            macs,
            sequence_in,
            sequence_out,
            received,
            key,
            next_event_sequence,
            place,
            watermark,
            behind_since: behind_since.or_else(|| Some(Instant::now())),
        };
        let seen = next_event_sequence.checked_sub(1);
        let found = match (seen, &self.history) {
            (Some(seen), Some(history)) => self.find(history, client, seen).await,
            _ => Err(None),
        };
        match found {
            Ok(past) => self.replay_and_hand_over(leaving, Some(past)).await,
            Err(error) => {
                let code = self.explain(client, error);
                self.part(leaving, code).await;
            }
        }
    }

    async fn replay_and_hand_over(self: Rc<Self>, mut leaving: Leaving, past: Option<Past>) {
        let before = leaving.next_event_sequence;
        let replayed = match (past, &self.history) {
            (Some(past), Some(history)) => self.replay(&mut leaving, history, past).await,
            _ => Ok(()),
        };
        match replayed {
            Ok(()) => {
                if leaving.next_event_sequence > before {
                    leaving.behind_since = None;
                }
                self.hand_over(leaving).await;
            }
            Err(Failure::Part(code)) => self.part(leaving, code).await,
            Err(Failure::Drop) => {
                let session_id = leaving.place.number;
                let client = self.client_name(leaving.key.client);
                Metrics::code(&self.metrics.door_refused, Code::SessionSlowReader);
                tracing::info!(
                    session_id,
                    client,
                    "session dropped: it does not take the events it asked for"
                );
            }
        }
    }

    async fn replay(
        &self,
        leaving: &mut Leaving,
        history: &Arc<History>,
        mut past: Past,
    ) -> Result<(), Failure> {
        let client = leaving.key.client;
        loop {
            if self.stopping.get() {
                return Err(Failure::Part(Code::SessionShutdown));
            }
            let known = self.metrics.journal_durable_sequence.get();
            leaving.watermark.sequence = leaving.watermark.sequence.max(known);
            let watermark = leaving.watermark;
            let reader = Arc::clone(history);
            let read = self.blocking(move || {
                let events = reader.read(&mut past, watermark, BATCH_EVENTS);
                (past, events)
            });
            let (returned, events) = read.await.ok_or(Failure::Part(Code::ResumeUnavailable))?;
            past = returned;
            let events = events.map_err(|error| Failure::Part(self.explain(client, Some(error))))?;
            let frames = seal(leaving, &events);
            self.write(&mut leaving.stream, &frames).await.map_err(|_| Failure::Drop)?;
            self.metrics.door_events_replayed.add(events.len() as u64);
            if events.len() < BATCH_EVENTS {
                return Ok(());
            }
        }
    }

    /// Gives the session to the hot thread. Nothing is waited for between the last look at the key and the lane,
    /// so that the end of a key finds every session of it.
    async fn hand_over(self: Rc<Self>, leaving: Leaving) {
        if let Some(since) = leaving.behind_since {
            if since.elapsed() > BEHIND_TIMEOUT.min(self.patience()) {
                return self.part(leaving, Code::ResumeUnavailable).await;
            }
            tokio::time::sleep(BEHIND_PAUSE).await;
        }
        let begin = Instant::now();
        loop {
            if self.stopping.get() || self.hot.borrow().is_abandoned() {
                return self.part(leaving, Code::SessionShutdown).await;
            }
            if !self.is_current(&leaving.key) {
                return self.part(leaving, Code::SessionKeyEnded).await;
            }
            if self.hot.borrow_mut().has_room() {
                break;
            }
            if begin.elapsed() > HANDOVER_TIMEOUT {
                return self.part(leaving, Code::SessionLimit).await;
            }
            tokio::time::sleep(HANDOVER_PAUSE).await;
        }
        let Leaving { stream, address, macs, sequence_in, sequence_out, received, key, .. } = leaving;
        let Ok(stream) = stream.into_std() else { return };
        let handover = Handover {
            stream: ClientSocket(stream),
            address,
            macs,
            sequence_in,
            sequence_out,
            received,
            client: key.client,
            grant: key.grant,
            next_event_sequence: leaving.next_event_sequence,
            session_id: leaving.place.number,
            watermark: leaving.watermark,
            behind_since: leaving.behind_since,
        };
        self.hot.borrow_mut().hand_over(Box::new(handover));
        leaving.place.keep();
    }

    /// Ends a session that was welcomed already.
    async fn part(&self, mut leaving: Leaving, code: Code) {
        let session_id = leaving.place.number;
        let client = self.client_name(leaving.key.client);
        tracing::info!(session_id, client, %code, "session ended at the door");
        let waits = matches!(code, Code::SessionShutdown | Code::SessionLimit);
        let retry_after_ms = if waits { RETRY_AFTER.as_millis() as u32 } else { 0 };
        let body = Goodbye { code, retry_after_ms };
        let mut out = [0; FRAME_BYTES_MAX];
        let mac = Some(&leaving.macs.gateway_to_client);
        let length = frame::encode(FrameKind::Goodbye, leaving.sequence_out, &body, mac, &mut out);
        let farewell = async {
            leaving.stream.write_all(&out[..length.unwrap_or_default()]).await?;
            leaving.stream.shutdown().await
        };
        // A client that does not take it finds out by itself.
        let _ = tokio::time::timeout(GOODBYE_TIMEOUT, farewell).await;
    }

    /// The time in which a client must show that it lives.
    fn patience(&self) -> Duration {
        Duration::from_millis(u64::from(self.settings.sessions.heartbeat_timeout_ms))
    }

    /// Writes all of `bytes` within the time in which a client must show that it lives.
    async fn write(&self, stream: &mut TcpStream, bytes: &[u8]) -> Result<(), End> {
        match tokio::time::timeout(self.patience(), stream.write_all(bytes)).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(End::Gone),
        }
    }

    /// Searches on a thread that may block. No error when the search itself broke off.
    async fn find(
        &self,
        history: &Arc<History>,
        client: u16,
        resume_after: u64,
    ) -> Result<Past, Option<HistoryError>> {
        let history = Arc::clone(history);
        match self.blocking(move || history.find(client, resume_after)).await {
            Some(found) => found.map_err(Some),
            None => Err(None),
        }
    }

    /// Reads the journal on a thread that may block; `None` when it broke off.
    async fn blocking<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _permit = self.readers.acquire().await.ok()?;
        let done = tokio::task::spawn_blocking(read).await;
        done.inspect_err(|error| tracing::error!(%error, "reading the journal broke off")).ok()
    }

    /// Logs why events cannot be replayed.
    fn explain(&self, client: u16, error: Option<HistoryError>) -> Code {
        let client = self.client_name(client);
        match error {
            Some(error @ (HistoryError::Read(_) | HistoryError::Record(_))) => {
                tracing::error!(client, %error, "cannot read events from the journal");
            }
            Some(error) => {
                self.log(|suppressed| tracing::info!(client, %error, suppressed, "cannot resume"));
            }
            None => {}
        }
        Code::ResumeUnavailable
    }
}

/// The frames of `events`, and the session as it stands after them.
fn seal(leaving: &mut Leaving, events: &[Event]) -> Vec<u8> {
    let mut frames = Vec::with_capacity(events.len() * FRAME_BYTES_MAX);
    let mut out = [0; frame::FRAME_BYTES_MAX];
    for event in events {
        let mac = Some(&leaving.macs.gateway_to_client);
        let length = frame::encode(FrameKind::Event, leaving.sequence_out, event, mac, &mut out);
        assert!(length.is_some(), "every event fits frame::FRAME_BYTES_MAX");
        frames.extend_from_slice(&out[..length.unwrap_or_default()]);
        leaving.sequence_out += 1;
        leaving.next_event_sequence = event.event_sequence + 1;
    }
    frames
}
