//! The last events of all clients, for sessions that are handed over while events happen.

use tollgate_protocol::event::{Durability, Event, EventBody, Rejection};
use tollgate_protocol::identity::CommandId;
use tollgate_protocol::reject::{Code, Owner, Reject};

/// Events that are remembered. The door reads older ones from the journal.
const REMEMBERED: usize = 8192;

/// A ring of the last events.
pub struct Recent {
    ring: Box<[(u16, Event)]>,
    next: usize,
}

impl Recent {
    /// Empty.
    pub fn new() -> Self {
        let reject = Reject::new(Code::FrameMagic, Owner::Gateway);
        let nothing = EventBody::Rejected(Rejection { command_id: CommandId(0), reject });
        let event = Event { event_sequence: 0, time_ns: 0, body: nothing };
        Self { ring: vec![(0, event); REMEMBERED].into_boxed_slice(), next: 0 }
    }

    /// Remembers an event; the oldest makes room.
    #[inline]
    pub fn push(&mut self, client: u16, event: &Event) {
        self.ring[self.next] = (client, *event);
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// What was to be more durable than it became says what it is worth.
    pub fn weaken(&mut self, durable_sequence: u64, durability: Durability) {
        for (_, event) in &mut self.ring {
            if let EventBody::Acknowledged(it) = &mut event.body
                && it.order_id.0 > durable_sequence
            {
                it.durability = durability;
            }
        }
    }

    /// A client's event, if it is remembered. Looks back from the newest.
    pub fn find(&self, client: u16, event_sequence: u64) -> Option<&Event> {
        let (newer, older) = self.ring.split_at(self.next);
        newer
            .iter()
            .rev()
            .chain(older.iter().rev())
            .find(|(of, event)| *of == client && event.event_sequence == event_sequence)
            .map(|(_, event)| event)
    }
}
