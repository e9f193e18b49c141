//! The door's part: sessions that have logged on are told what they missed, from the journal, and handed over.

use std::net::{IpAddr, Ipv4Addr};

use tollgate_core::link::{Handover, ToHot, Watermark};
use tollgate_journal::Durability;
use tollgate_protocol::frame::{self, FRAME_BYTES_MAX, FrameKind};

use crate::client::{Session, session_keys};
use crate::mutation::Mutation;
use crate::random::Random;
use crate::setup;
use crate::sim::{Home, Sim, note};
use crate::socket::{SharedPipe, SimSocket};

impl Sim {
    /// A client logs on. With `resume_after` it wants every event behind that one; else what happens from now on.
    pub(crate) fn connect(&mut self, client: usize, resume_after: Option<u64>, random: &mut Random) {
        let Some(gateway) = &self.gateway else { return };
        if self.clients[client].sessions.len() >= 3 || !gateway.to_hot.has_room() {
            return;
        }
        let last = gateway.hot.metrics().event_sequences[client].get();
        // Without a journal nothing is told again; and nothing that was lost can be.
        let has_history = self.setup.durability != Durability::None;
        let resume_after = resume_after.filter(|after| *after <= last && (has_history || *after == last));
        let next_event = resume_after.unwrap_or(last) + 1;
        let session_id = self.next_session;
        self.next_session += 1;
        note!(self, "client {client} logs on: session {session_id}, from event {next_event}");
        let pipe = SharedPipe::new();
        pipe.lock().room_bytes = if random.percent(20) { 600 } else { 8_192 };
        let mut home = Box::new(Handover {
            stream: SimSocket(pipe.clone()),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            macs: session_keys(session_id),
            sequence_in: 3,
            sequence_out: 3,
            received: Vec::new(),
            client: client as u16,
            grant: setup::grant(&self.setup, client as u16, random),
            next_event_sequence: next_event,
            session_id,
            watermark: Watermark::default(),
            behind_since: None,
        });
        self.clients[client].sessions.push(Session::new(session_id, pipe, next_event));
        if has_history && resume_after.is_some() && random.percent(70) {
            self.tell_past(&mut home);
        }
        if let Some(gateway) = &mut self.gateway {
            let _ = gateway.to_hot.send(ToHot::Session(home));
        }
    }

    /// Tells what the journal has and may be told.
    fn tell_past(&mut self, home: &mut Home) {
        let disk = self.disk.lock();
        let watermark =
            if home.watermark.is_final { disk.last() } else { disk.durable().max(home.watermark.sequence) };
        drop(disk);
        let events = &self.shadow.events[usize::from(home.client)];
        let skipped = usize::from(Mutation::SkipEvent.is(self.mutation));
        let from = home.next_event_sequence as usize - 1 + skipped;
        let due = events.get(from..).unwrap_or(&[]).iter().take_while(|(sequence, _)| *sequence <= watermark);
        for (_, event) in due {
            let mut out = [0; FRAME_BYTES_MAX];
            let mac = Some(&home.macs.gateway_to_client);
            let length = frame::encode(FrameKind::Event, home.sequence_out, event, mac, &mut out);
            home.stream.0.lock().to_client.extend(&out[..length.unwrap_or_default()]);
            home.sequence_out += 1;
            home.next_event_sequence = event.event_sequence + 1;
        }
    }

    /// Sessions that the hot path gave back are told from the journal, and handed over again.
    pub(crate) fn catch_up(&mut self) {
        for mut home in std::mem::take(&mut self.behind) {
            // Without a journal nothing is told again: the session ends, and its client begins with what is new.
            if self.setup.durability == Durability::None {
                continue;
            }
            self.tell_past(&mut home);
            if let Some(gateway) = &mut self.gateway {
                let _ = gateway.to_hot.send(ToHot::Session(home));
            }
        }
    }
}
