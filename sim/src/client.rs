//! Clients with real frames, and what each of them has been told.

use std::collections::BTreeMap;

use tollgate_protocol::answer::{Answer, AnswerBody};
use tollgate_protocol::command::Command;
use tollgate_protocol::event::{Event, EventBody, ReportKind};
use tollgate_protocol::frame::{self, FRAME_BYTES_MAX, Frame, FrameKind};
use tollgate_protocol::identity::{CommandId, OrderId};
use tollgate_protocol::logon::{Goodbye, SessionMacs};
use tollgate_protocol::mac::{FrameMac, MacAlgorithm};
use tollgate_protocol::reject::Code;
use tollgate_protocol::wire::Wire;

use crate::fault::{Fault, Kind};
use crate::random::Random;
use crate::setup::{Hazard, Hazards};
use crate::socket::SharedPipe;

/// A session, as its client sees it.
pub struct Session {
    /// Its number.
    pub session_id: u64,
    /// The connection.
    pub pipe: SharedPipe,
    macs: SessionMacs,
    sequence_out: u64,
    sequence_in: u64,
    /// The next event that must come.
    pub next_event: u64,
    /// Bytes that were read and are no frame yet.
    received: Vec<u8>,
    /// It does not read for now.
    pub is_slow: bool,
    /// The last frame that was sent.
    pub last_frame: Vec<u8>,
}

/// The keys of a session: both ends work them out alike.
pub fn session_keys(session_id: u64) -> SessionMacs {
    let algorithm =
        if session_id.is_multiple_of(4) { MacAlgorithm::HmacSha256 } else { MacAlgorithm::Blake3 };
    let mut random = Random::new(session_id);
    let mut key = || {
        let mut key = [0; 32];
        key.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&random.bits().to_le_bytes()));
        FrameMac::new(algorithm, &key)
    };
    SessionMacs { client_to_gateway: key(), gateway_to_client: key() }
}

impl Session {
    /// A session behind its logon: two frames went each way.
    pub fn new(session_id: u64, pipe: SharedPipe, next_event: u64) -> Self {
        Self {
            session_id,
            pipe,
            macs: session_keys(session_id),
            sequence_out: 3,
            sequence_in: 3,
            next_event,
            received: Vec::new(),
            is_slow: false,
            last_frame: Vec::new(),
        }
    }

    /// True while something that is sent may be read.
    pub fn is_open(&self) -> bool {
        let pipe = self.pipe.lock();
        !pipe.is_broken && !pipe.client_ended && !pipe.gateway_ended
    }

    /// Signs and sends.
    pub fn send<T: Wire>(&mut self, kind: FrameKind, body: &T) {
        let mut out = [0; FRAME_BYTES_MAX];
        let mac = Some(&self.macs.client_to_gateway);
        let length = frame::encode(kind, self.sequence_out, body, mac, &mut out).unwrap_or_default();
        self.sequence_out += 1;
        self.last_frame.clear();
        self.last_frame.extend_from_slice(&out[..length]);
        self.send_bytes(&out[..length]);
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&self, bytes: &[u8]) {
        self.pipe.lock().to_gateway.extend(bytes);
    }

    /// The frame of a command, signed with the right key or a wrong one, without its being sent.
    pub fn frame(&self, command: &Command, is_forged: bool) -> Vec<u8> {
        let mut out = vec![0; FRAME_BYTES_MAX];
        let mac = if is_forged { &self.macs.gateway_to_client } else { &self.macs.client_to_gateway };
        let length = frame::encode(FrameKind::Command, self.sequence_out, command, Some(mac), &mut out)
            .unwrap_or_default();
        out.truncate(length);
        out
    }

    /// The next thing that was received, if it is whole.
    fn next(&mut self) -> Result<Option<Incoming>, Fault> {
        let wrong = |code: Code| Fault {
            kind: Kind::AnswerWrong,
            words: format!("a frame of the gateway is not valid: {}", code.name()),
        };
        let Some(frame) = Frame::split(&self.received).map_err(wrong)? else { return Ok(None) };
        frame.authenticate(&self.macs.gateway_to_client, self.sequence_in).map_err(wrong)?;
        self.sequence_in += 1;
        let incoming = match frame.header.kind {
            FrameKind::Event => Incoming::Event(frame.body().map_err(wrong)?),
            FrameKind::Answer => Incoming::Answer(frame.body().map_err(wrong)?),
            FrameKind::Goodbye => Incoming::Goodbye(frame.body().map_err(wrong)?),
            _ => return Err(wrong(Code::FrameKind)),
        };
        let length = frame.header.frame_bytes();
        self.received.drain(..length);
        Ok(Some(incoming))
    }
}

/// What a client reads.
#[derive(Clone, Copy, Debug)]
pub enum Incoming {
    /// An event.
    Event(Event),
    /// An answer.
    Answer(Answer),
    /// The end.
    Goodbye(Goodbye),
}

/// A command that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// The command.
    pub command: Command,
}

/// A client.
pub struct Client {
    /// Its place in the settings.
    pub index: u16,
    /// Its sessions.
    pub sessions: Vec<Session>,
    /// What it has sent, oldest first.
    pub sent: Vec<Sent>,
    /// The commands by their ids.
    by_id: BTreeMap<CommandId, Command>,
    next_command: u128,
    /// Every event that it was told, by number.
    pub events: BTreeMap<u64, Event>,
    /// The orders that it was told of, with the event that ended each; 0 while there is none.
    pub orders: BTreeMap<OrderId, u64>,
    /// The first outcome of each command.
    outcomes: BTreeMap<CommandId, u64>,
    /// Rows of answers that are not whole yet.
    rows: BTreeMap<(u64, CommandId), u32>,
}

impl Client {
    /// One that has done nothing.
    pub fn new(index: u16) -> Self {
        Self {
            index,
            sessions: Vec::new(),
            sent: Vec::new(),
            by_id: BTreeMap::new(),
            next_command: 1,
            events: BTreeMap::new(),
            orders: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            rows: BTreeMap::new(),
        }
    }

    /// The last event that it was told.
    pub fn last_event(&self) -> u64 {
        self.events.last_key_value().map_or(0, |(sequence, _)| *sequence)
    }

    /// A command id that was never used.
    pub fn fresh_id(&mut self) -> CommandId {
        self.next_command += 1;
        CommandId(self.next_command << 8 | u128::from(self.index))
    }

    /// Remembers a command; the first with its id counts.
    pub fn remember(&mut self, command: Command) {
        self.by_id.entry(command.command_id).or_insert(command);
        self.sent.push(Sent { command });
    }

    /// A session that stands.
    pub fn session(&mut self, random: &mut Random) -> Option<&mut Session> {
        let open: Vec<usize> = (0..self.sessions.len()).filter(|at| self.sessions[*at].is_open()).collect();
        random.pick(&open).copied().and_then(|at| self.sessions.get_mut(at))
    }

    /// A new gateway whose journal is empty: what was is no more.
    pub fn forget(&mut self) {
        self.events.clear();
        self.orders.clear();
        self.outcomes.clear();
        self.rows.clear();
    }

    /// Reads what has come to the session at this place, and hands each thing to `meet`, checked.
    pub fn read(
        &mut self,
        at: usize,
        hazards: Hazards,
        mut meet: impl FnMut(u64, Incoming) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let session = &mut self.sessions[at];
        if session.is_slow {
            return Ok(());
        }
        let mut pipe = session.pipe.lock();
        if pipe.is_broken {
            pipe.to_client.clear();
        }
        session.received.extend(pipe.to_client.drain(..));
        drop(pipe);
        while let Some(incoming) = self.sessions[at].next()? {
            let session_id = self.sessions[at].session_id;
            match &incoming {
                Incoming::Event(event) => self.event(at, event, hazards)?,
                Incoming::Answer(answer) => self.answer(session_id, answer)?,
                Incoming::Goodbye(_) => {}
            }
            meet(session_id, incoming)?;
        }
        Ok(())
    }

    fn event(&mut self, at: usize, event: &Event, hazards: Hazards) -> Result<(), Fault> {
        let broken = |words| Err(Fault { kind: Kind::EventsBroken, words });
        let (client, number) = (self.index, event.event_sequence);
        let session = &mut self.sessions[at];
        if number != session.next_event {
            return broken(format!(
                "client {client}, session {}: event {number} came where {} was due",
                session.session_id, session.next_event
            ));
        }
        session.next_event += 1;
        if let Some(known) = self.events.get(&number) {
            if !same(known, event) {
                return broken(format!("client {client}: event {number} was {known:?} and now is {event:?}"));
            }
            return Ok(());
        }
        self.events.insert(number, *event);
        self.outcome(event)?;
        self.order(event, hazards)
    }

    fn outcome(&mut self, event: &Event) -> Result<(), Fault> {
        let command_id = match &event.body {
            EventBody::Acknowledged(it) => it.command_id,
            EventBody::Rejected(it) => it.command_id,
            EventBody::Report(_) => return Ok(()),
        };
        if !self.by_id.contains_key(&command_id) {
            let words = format!("client {}: an outcome of {command_id}, which it never sent", self.index);
            return Err(Fault { kind: Kind::AnswerWrong, words });
        }
        if let Some(first) = self.outcomes.insert(command_id, event.event_sequence)
            && !hazards_exempt(self.by_id.get(&command_id))
        {
            let words = format!(
                "client {}: command {command_id} has two outcomes, events {first} and {}",
                self.index, event.event_sequence
            );
            return Err(Fault { kind: Kind::OutcomeTwice, words });
        }
        Ok(())
    }

    fn order(&mut self, event: &Event, hazards: Hazards) -> Result<(), Fault> {
        let EventBody::Report(report) = &event.body else { return Ok(()) };
        let ended = self.orders.entry(report.order_id).or_insert(0);
        // Events of before may come later, when a client asks for them again.
        let is_over = *ended != 0 && event.event_sequence > *ended;
        if is_over && !matches!(report.kind, ReportKind::Filled(_)) {
            let words = format!(
                "client {}: order {} was over, and then {} came, event {}",
                self.index,
                report.order_id.0,
                report.kind.name(),
                event.event_sequence
            );
            return Err(Fault { kind: Kind::FinalChanged, words });
        }
        let ends =
            matches!(report.kind, ReportKind::Rejected { .. } | ReportKind::Cancelled | ReportKind::Expired);
        let is_filled = hazards.has(Hazard::FinalAgain) && report.open_quantity.to_attos() == Some(0);
        if ends || is_filled {
            *ended = event.event_sequence;
        }
        Ok(())
    }

    fn answer(&mut self, session_id: u64, answer: &Answer) -> Result<(), Fault> {
        let wrong = |words| Err(Fault { kind: Kind::AnswerWrong, words });
        let command_id = answer.command_id;
        if !self.by_id.contains_key(&command_id) {
            return wrong(format!("client {}: an answer to {command_id}, which it never sent", self.index));
        }
        match &answer.body {
            AnswerBody::Repeated(event) => {
                let number = event.event_sequence;
                if self.events.get(&number).is_some_and(|known| !same(known, event)) {
                    return wrong(format!("client {}: event {number} is repeated otherwise", self.index));
                }
            }
            AnswerBody::End { rows } => {
                let counted = self.rows.remove(&(session_id, command_id)).unwrap_or(0);
                if counted != *rows {
                    return wrong(format!("client {}: {counted} rows of {rows} came", self.index));
                }
            }
            AnswerBody::Heartbeat { .. } | AnswerBody::Refused(_) => {}
            _ => *self.rows.entry((session_id, command_id)).or_insert(0) += 1,
        }
        Ok(())
    }
}

/// True for commands that may have more than one outcome once they have left the window: they create no order.
fn hazards_exempt(command: Option<&Command>) -> bool {
    use tollgate_protocol::command::Action;
    command.is_some_and(|command| match &command.action {
        Action::Cancel(_) | Action::CancelAll(_) => true,
        Action::Halt(halt) => !halt.flatten,
        _ => false,
    })
}

/// The same event: how durable it is may be told weaker, after a disk has failed.
pub fn same(left: &Event, right: &Event) -> bool {
    let mut left = *left;
    if let (EventBody::Acknowledged(ours), EventBody::Acknowledged(theirs)) = (&mut left.body, &right.body) {
        ours.durability = theirs.durability;
    }
    left == *right
}
