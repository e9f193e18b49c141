//! The lane to the hot thread.

use std::collections::VecDeque;

use tollgate_contract::lane::Sender;
use tollgate_protocol::text::KeyId;

use crate::link::{Handover, ToHot};

/// The lane, and what must reach the hot thread but did not fit yet.
pub(super) struct HotLink {
    lane: Sender<ToHot>,
    /// Bounded: a key is in it once, and everything else at most once.
    waiting: VecDeque<Errand>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Errand {
    EndKey(KeyId),
    Digest,
    Stop,
}

impl HotLink {
    pub(super) fn new(lane: Sender<ToHot>) -> Self {
        Self { lane, waiting: VecDeque::new() }
    }

    /// True when a session can be handed over: there is room, and no end of a key would be overtaken.
    pub(super) fn has_room(&mut self) -> bool {
        self.flush();
        self.waiting.is_empty() && self.lane.has_room()
    }

    /// True when there is no hot thread any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.lane.is_abandoned()
    }

    /// Hands a session over, when [`HotLink::has_room`] has just said that there is room.
    pub(super) fn hand_over(&mut self, handover: Box<Handover>) {
        let sent = self.lane.send(ToHot::Session(handover));
        assert!(sent.is_ok(), "room in a lane is only ever taken by its one sender");
        self.lane.ring();
    }

    /// Ends the sessions of a key.
    pub(super) fn end_key(&mut self, key_id: KeyId) {
        self.order(Errand::EndKey(key_id));
    }

    /// Asks for the state's digest.
    pub(super) fn digest(&mut self) {
        self.order(Errand::Digest);
    }

    /// Stops the hot thread.
    pub(super) fn stop(&mut self) {
        self.order(Errand::Stop);
    }

    fn order(&mut self, errand: Errand) {
        if !self.waiting.contains(&errand) {
            self.waiting.push_back(errand);
        }
        self.flush();
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn flush(&mut self) {
        let mut sent = false;
        while let Some(errand) = self.waiting.front() {
            let message = match errand {
                Errand::EndKey(key_id) => ToHot::EndKey(*key_id),
                Errand::Digest => ToHot::Digest,
                Errand::Stop => ToHot::Stop,
            };
            if self.lane.send_reserved(message).is_err() {
                break;
            }
            self.waiting.pop_front();
            sent = true;
        }
        if sent {
            self.lane.ring();
        }
    }
}
