//! Client sessions: their sockets, their frames in both directions, and what they may not see yet.

use std::io;
use std::ops::Range;

use tollgate_protocol::answer::{Answer, AnswerBody};
use tollgate_protocol::command::Command;
use tollgate_protocol::event::Event;
use tollgate_protocol::frame::{self, FRAME_BYTES_MAX, Frame, FrameKind, HEADER_BYTES};
use tollgate_protocol::identity::CommandId;
use tollgate_protocol::logon::Goodbye;
use tollgate_protocol::mac::FrameMac;
use tollgate_protocol::reject::Code;
use tollgate_protocol::wire::{Wire, Writer};

use super::progress::Progress;
use super::world::{Socket, World};
use crate::link::{Grant, Handover};

/// How many commits a session's unsent bytes may wait for apart; more wait together.
const GATES: usize = 64;

/// Bytes on their way to a client. The first part may go; the rest waits until the journal is durable so far.
struct Outgoing {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    /// From here on frames have no tag yet.
    unsigned: usize,
    /// Up to here bytes may go.
    released: usize,
    /// `(journal sequence, end of the bytes that wait for it)`, oldest first: a ring.
    gates: [(u64, usize); GATES],
    first_gate: usize,
    gate_count: usize,
}

impl Outgoing {
    fn new(size: usize) -> Self {
        Self {
            bytes: vec![0; size].into_boxed_slice(),
            start: 0,
            end: 0,
            unsigned: 0,
            released: 0,
            gates: [(0, 0); GATES],
            first_gate: 0,
            gate_count: 0,
        }
    }

    fn clear(&mut self) {
        (self.start, self.end, self.unsigned, self.released, self.gate_count) = (0, 0, 0, 0, 0);
    }

    /// Room for one frame, or `None` when the client reads too slowly.
    fn room(&mut self) -> Option<&mut [u8]> {
        if self.bytes.len() - self.end < FRAME_BYTES_MAX {
            let moved = self.start;
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= moved;
            self.unsigned -= moved;
            self.released -= moved;
            self.start = 0;
            for at in 0..self.gate_count {
                self.gates[(self.first_gate + at) % GATES].1 -= moved;
            }
            if self.bytes.len() - self.end < FRAME_BYTES_MAX {
                return None;
            }
        }
        Some(&mut self.bytes[self.end..])
    }

    /// Takes the frame that was written into the room; it waits for `gate` (0: for nothing but what waits already).
    fn commit(&mut self, length: usize, gate: u64) {
        self.end += length;
        if gate == 0 && self.gate_count == 0 {
            self.released = self.end;
            return;
        }
        let last = (self.first_gate + self.gate_count + GATES - 1) % GATES;
        if self.gate_count > 0 && (gate == 0 || self.gates[last].0 == gate || self.gate_count == GATES) {
            self.gates[last] = (self.gates[last].0.max(gate), self.end);
            return;
        }
        self.gates[(self.first_gate + self.gate_count) % GATES] = (gate, self.end);
        self.gate_count += 1;
    }

    /// Makes the tags of the frames that have none: of several at once, which is faster than of each when it is made.
    fn sign(&mut self, mac: &FrameMac) {
        frame::sign_all(&mut self.bytes[self.unsigned..self.end], mac);
        self.unsigned = self.end;
    }

    fn release(&mut self, durable_sequence: u64) {
        while self.gate_count > 0 && self.gates[self.first_gate].0 <= durable_sequence {
            self.released = self.gates[self.first_gate].1;
            self.first_gate = (self.first_gate + 1) % GATES;
            self.gate_count -= 1;
        }
    }
}

/// What reading a socket came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// There may be more.
    More,
    /// There is no more for now.
    Drained,
    /// The client is gone.
    Closed,
}

/// A session.
pub struct Session<S> {
    /// What the door handed over: socket, keys, client, sequences.
    pub home: Box<Handover<S>>,
    incoming: Box<[u8]>,
    incoming_start: usize,
    incoming_end: usize,
    /// So many of the received bytes are whole frames with the right tag.
    authenticated: usize,
    outgoing: Outgoing,
    /// When the first byte of a frame that is not whole came; 0 when there is none.
    pub frame_began_ns: u64,
    /// When the last frame came.
    pub heard_ns: u64,
    /// There may be bytes to read.
    pub readable: bool,
    /// The other side has ended, or the connection is broken.
    pub read_closed: bool,
    /// The socket takes no more bytes until it says so.
    pub blocked: bool,
    /// The session ends when what may go has gone.
    pub ending: Option<Code>,
    /// A query that is not answered whole yet; frames behind it wait.
    pub asking: Option<(Command, Progress)>,
}

impl<S: Socket> Session<S> {
    /// The received bytes that are not consumed.
    #[inline]
    pub fn received(&self) -> &[u8] {
        &self.incoming[self.incoming_start..self.incoming_end]
    }

    /// Checks the tags of the next frames received, of several at once, unless it has been done; each is shown to `meet`
    /// before.
    #[inline]
    pub fn authenticate(&mut self, meet: impl FnMut(&Frame<'_>)) {
        if self.authenticated == 0 {
            let received = &self.incoming[self.incoming_start..self.incoming_end];
            let mac = &self.home.macs.client_to_gateway;
            self.authenticated = frame::authenticated_bytes(received, mac, meet);
        }
    }

    /// Whether the next frame received is the client's, and the one that is due.
    #[inline]
    pub fn check(&self, frame: &Frame<'_>) -> Result<(), Code> {
        if frame.tag.is_none() {
            return Err(Code::FrameKind);
        }
        if frame.header.frame_bytes() > self.authenticated {
            return Err(Code::FrameMac);
        }
        if frame.header.sequence != self.home.sequence_in {
            return Err(Code::FrameSequence);
        }
        Ok(())
    }

    /// Where the body of the frame is that begins the received bytes: it stays there until the next read.
    #[inline]
    pub fn body(&self, body_bytes: usize) -> Range<usize> {
        let start = self.incoming_start + HEADER_BYTES;
        start..start + body_bytes
    }

    /// Drops consumed bytes.
    #[inline]
    fn consume(&mut self, length: usize, now_ns: u64) {
        self.incoming_start += length;
        self.authenticated -= length;
        if self.incoming_start == self.incoming_end {
            (self.incoming_start, self.incoming_end, self.frame_began_ns) = (0, 0, 0);
        } else {
            self.frame_began_ns = now_ns;
        }
    }

    /// Takes bytes as if they had been read: for measurements without a socket. They must fit the buffer.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.incoming[self.incoming_end..][..bytes.len()].copy_from_slice(bytes);
        self.incoming_end += bytes.len();
    }

    /// Forgets what waits to be sent, and returns how many bytes it was: for measurements without a socket.
    pub fn discard(&mut self) -> usize {
        let bytes = self.outgoing.end - self.outgoing.start;
        self.outgoing.clear();
        bytes
    }

    /// A frame was taken whole.
    #[inline]
    pub fn take(&mut self, length: usize, now_ns: u64) {
        self.home.sequence_in += 1;
        self.heard_ns = now_ns;
        self.consume(length, now_ns);
    }

    /// Reads what there is, once.
    #[inline]
    pub fn read(&mut self, now_ns: u64) -> (Reading, usize) {
        if self.incoming_start > 0 {
            self.incoming.copy_within(self.incoming_start..self.incoming_end, 0);
            self.incoming_end -= self.incoming_start;
            self.incoming_start = 0;
        }
        let room = &mut self.incoming[self.incoming_end..];
        if room.is_empty() {
            return (Reading::More, 0);
        }
        let size = room.len();
        match self.home.stream.read(room) {
            Ok(0) => (Reading::Closed, 0),
            Ok(length) => {
                self.incoming_end += length;
                if self.frame_began_ns == 0 {
                    self.frame_began_ns = now_ns;
                }
                // A short read has emptied the socket: with edge-triggered readiness the next bytes are announced.
                // After the other side's end nothing is announced any more: then it is read until it says so.
                (if length == size || self.read_closed { Reading::More } else { Reading::Drained }, length)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (Reading::Drained, 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (Reading::More, 0),
            Err(_) => (Reading::Closed, 0),
        }
    }

    /// Makes the tags of what waits to be sent. The write does it; alone it is for measurements.
    #[inline]
    pub fn sign(&mut self) {
        self.outgoing.sign(&self.home.macs.gateway_to_client);
    }

    /// Writes what may go; returns how many bytes went, or `None` when the client is gone.
    #[inline]
    pub fn write(&mut self, durable_sequence: u64) -> Option<usize> {
        self.sign();
        let out = &mut self.outgoing;
        out.release(durable_sequence);
        let mut sent = 0;
        while out.start < out.released && !self.blocked {
            match self.home.stream.write(&out.bytes[out.start..out.released]) {
                Ok(0) => return None,
                Ok(length) => {
                    out.start += length;
                    sent += length;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.blocked = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        if out.start == out.end {
            out.clear();
        }
        Some(sent)
    }

    /// True when bytes wait to be sent, allowed or not.
    #[inline]
    pub fn has_outgoing(&self) -> bool {
        self.outgoing.start < self.outgoing.end
    }

    /// True when rows of a long answer may be written: half of the buffer is kept for events.
    pub fn has_room_for_rows(&self) -> bool {
        self.ending.is_none() && self.outgoing.end - self.outgoing.start < self.outgoing.bytes.len() / 2
    }

    /// True when there is room for these events while nothing else is sent.
    pub fn takes<'a>(&self, events: impl Iterator<Item = &'a Event>) -> bool {
        let mut out = [0; FRAME_BYTES_MAX];
        let frames = events.map(|event| {
            frame::lay_out(FrameKind::Event, 0, |out| event.write(out), &mut out).unwrap_or_default()
        });
        // One more, for there must be room for the longest.
        frames.sum::<usize>() + FRAME_BYTES_MAX <= self.outgoing.bytes.len() - self.outgoing.end
    }

    /// True when bytes wait for the journal.
    pub fn waits_for_journal(&self) -> bool {
        self.outgoing.gate_count > 0
    }

    #[inline]
    fn lay_out(
        &mut self,
        kind: FrameKind,
        gate: u64,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Result<(), Code> {
        let sequence = self.home.sequence_out;
        let room = self.outgoing.room().ok_or(Code::SessionSlowReader)?;
        let length = frame::lay_out(kind, sequence, write, room);
        assert!(length.is_some(), "every body fits a frame");
        self.outgoing.commit(length.unwrap_or_default(), gate);
        self.home.sequence_out += 1;
        Ok(())
    }

    /// Sends an event, which `write` writes, once the journal is durable up to `gate`.
    #[inline]
    pub fn event(
        &mut self,
        event_sequence: u64,
        gate: u64,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Result<(), Code> {
        if event_sequence < self.home.next_event_sequence {
            return Ok(());
        }
        self.home.next_event_sequence = event_sequence + 1;
        self.lay_out(FrameKind::Event, gate, write)
    }

    /// Sends a direct answer.
    #[inline]
    pub fn answer(&mut self, command_id: CommandId, body: AnswerBody, gate: u64) -> Result<(), Code> {
        self.lay_out(FrameKind::Answer, gate, |out| Answer { command_id, body }.write(out))
    }

    /// Says goodbye; the session ends when it is sent.
    pub fn goodbye(&mut self, code: Code) {
        if self.ending.is_none() {
            // A full buffer means that nothing more can be said.
            let _ = self.lay_out(FrameKind::Goodbye, 0, |out| Goodbye { code, retry_after_ms: 0 }.write(out));
            self.ending = Some(code);
        }
    }
}

/// All sessions, in slots that are made once.
pub struct Sessions<W: World> {
    slots: Box<[Option<Session<W::Socket>>]>,
    free: Vec<u16>,
    buffers: Vec<(Box<[u8]>, Outgoing)>,
    /// Sessions in use, as slots: for turns that visit all.
    active: Vec<u16>,
    /// By client: its sessions' slots.
    by_client: Box<[Vec<u16>]>,
    /// Sessions with something to send.
    dirty: Vec<u16>,
}

impl<W: World> Sessions<W> {
    /// Room for `maximum` sessions, at most `per_client` of one client.
    pub fn new(
        maximum: usize,
        per_client: usize,
        clients: usize,
        incoming_bytes: usize,
        outgoing_bytes: usize,
    ) -> Self {
        Self {
            slots: (0..maximum).map(|_| None).collect(),
            free: (0..maximum as u16).rev().collect(),
            buffers: (0..maximum)
                .map(|_| (vec![0; incoming_bytes].into_boxed_slice(), Outgoing::new(outgoing_bytes)))
                .collect(),
            active: Vec::with_capacity(maximum),
            by_client: (0..clients).map(|_| Vec::with_capacity(per_client)).collect(),
            dirty: Vec::with_capacity(maximum),
        }
    }

    /// Takes a session over; gives it back when there is no room.
    pub fn insert(
        &mut self,
        home: Box<Handover<W::Socket>>,
        world: &mut W,
        now_ns: u64,
    ) -> Result<u16, Box<Handover<W::Socket>>> {
        let client = usize::from(home.client);
        if self.by_client[client].len() == self.by_client[client].capacity() || self.free.is_empty() {
            return Err(home);
        }
        let (Some(slot), Some((mut incoming, outgoing))) = (self.free.pop(), self.buffers.pop()) else {
            return Err(home);
        };
        if world.watch(&home.stream, slot).is_err() {
            self.free.push(slot);
            self.buffers.push((incoming, outgoing));
            return Err(home);
        }
        let incoming_end = home.received.len().min(incoming.len());
        incoming[..incoming_end].copy_from_slice(&home.received[..incoming_end]);
        self.active.push(slot);
        self.by_client[client].push(slot);
        self.slots[usize::from(slot)] = Some(Session {
            home,
            incoming,
            incoming_start: 0,
            incoming_end,
            authenticated: 0,
            outgoing,
            frame_began_ns: if incoming_end > 0 { now_ns } else { 0 },
            heard_ns: now_ns,
            readable: true,
            read_closed: false,
            blocked: false,
            ending: None,
            asking: None,
        });
        Ok(slot)
    }

    /// Takes a session out.
    pub fn remove(&mut self, slot: u16, world: &mut W) -> Option<Box<Handover<W::Socket>>> {
        let session = self.slots[usize::from(slot)].take()?;
        let Session { home, incoming, mut outgoing, .. } = session;
        world.unwatch(&home.stream);
        outgoing.clear();
        self.buffers.push((incoming, outgoing));
        self.active.retain(|other| *other != slot);
        self.dirty.retain(|other| *other != slot);
        self.by_client[usize::from(home.client)].retain(|other| *other != slot);
        self.free.push(slot);
        Some(home)
    }

    /// The session in a slot.
    #[inline]
    pub fn get(&mut self, slot: u16) -> Option<&mut Session<W::Socket>> {
        self.slots.get_mut(usize::from(slot))?.as_mut()
    }

    /// What the key of the session in a slot may do.
    #[inline]
    pub fn grant(&self, slot: u16) -> Option<&Grant> {
        self.slots.get(usize::from(slot))?.as_ref().map(|session| &session.home.grant)
    }

    /// Bytes that a session received, where [`Session::body`] said.
    #[inline]
    pub fn bytes(&self, slot: u16, place: &Range<usize>) -> &[u8] {
        let session = self.slots[usize::from(slot)].as_ref();
        assert!(session.is_some(), "a session stands while its command is judged");
        session.map_or(&[], |session| &session.incoming[place.clone()])
    }

    /// The slots in use.
    #[inline]
    pub fn active(&self) -> &[u16] {
        &self.active
    }

    /// How many sessions a client has.
    #[inline]
    pub fn of_client(&self, client: u16) -> usize {
        self.by_client[usize::from(client)].len()
    }

    /// Marks a session as having something to send.
    #[inline]
    pub fn touch(&mut self, slot: u16) {
        if !self.dirty.contains(&slot) {
            self.dirty.push(slot);
        }
    }

    /// The next session that has something to send; each is given once.
    #[inline]
    pub fn next_dirty(&mut self) -> Option<u16> {
        self.dirty.pop()
    }

    /// True when nothing is to be sent.
    #[inline]
    pub fn is_clean(&self) -> bool {
        self.dirty.is_empty()
    }

    /// Sends an event, which `write` writes, to every session of a client; who cannot take it, reads too slowly and ends.
    #[inline]
    pub fn publish(&mut self, client: u16, event_sequence: u64, gate: u64, write: impl Fn(&mut Writer<'_>)) {
        for at in 0..self.by_client[usize::from(client)].len() {
            let slot = self.by_client[usize::from(client)][at];
            if let Some(session) = self.get(slot)
                && session.ending.is_none()
                && let Err(code) = session.event(event_sequence, gate, &write)
            {
                session.ending = Some(code);
            }
            self.touch(slot);
        }
    }

    /// Sends a direct answer to one session.
    #[inline]
    pub fn answer(&mut self, slot: u16, command_id: CommandId, body: AnswerBody) {
        self.answer_after(slot, command_id, body, 0);
    }

    /// Sends a direct answer to one session once the journal is durable up to `gate`.
    #[inline]
    pub fn answer_after(&mut self, slot: u16, command_id: CommandId, body: AnswerBody, gate: u64) {
        if let Some(session) = self.get(slot)
            && session.ending.is_none()
            && let Err(code) = session.answer(command_id, body, gate)
        {
            session.ending = Some(code);
        }
        self.touch(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_protocol::mac::MacAlgorithm;

    fn lay_out(out: &mut Outgoing, sequence: u64, gate: u64) -> bool {
        let Some(room) = out.room() else { return false };
        let write = |out: &mut Writer<'_>| out.bytes(&[7; 500]);
        let length = frame::lay_out(FrameKind::Event, sequence, write, room);
        out.commit(length.unwrap_or_default(), gate);
        true
    }

    /// Frames that are taken are right and in order, whatever waited, moved or was signed between.
    #[test]
    fn every_frame_is_signed_once_wherever_it_is_moved_to() {
        let mac = FrameMac::new(MacAlgorithm::Blake3, &[5; 32]);
        let mut out = Outgoing::new(16_384);
        let (mut next, mut taken) = (1, 0);
        for round in 0..200_u64 {
            for _ in 0..round % 9 {
                if !lay_out(&mut out, next, if next % 3 == 0 { next } else { 0 }) {
                    break;
                }
                next += 1;
            }
            if round % 4 != 0 {
                out.sign(&mac);
                out.release(next - 1 - round % 2);
            }
            // The socket takes some.
            for _ in 0..round % 7 {
                let Ok(Some(frame)) = Frame::split(&out.bytes[out.start..out.released.min(out.unsigned)])
                else {
                    break;
                };
                taken += 1;
                assert_eq!(frame.authenticate(&mac, taken), Ok(()), "frame {taken} in round {round}");
                out.start += frame.header.frame_bytes();
            }
        }
        assert!(taken > 300, "{taken} frames were taken");
    }
}
