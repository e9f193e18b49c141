//! The last events of all clients, for sessions that are handed over while events happen.

use tollgate_protocol::event::{Durability, Event, EventBody, Rejection};
use tollgate_protocol::identity::CommandId;
use tollgate_protocol::reject::{Code, Owner, Reject};

use super::memory;

/// Events that are remembered. The door reads older ones from the journal.
const REMEMBERED: usize = 8192;
/// Events of a command that are thought of ahead: its acknowledgement, and two reports.
const EVENTS_AHEAD: usize = 3;

/// An event of the past.
#[derive(Clone, Copy)]
pub struct Remembered {
    client: u16,
    /// Its record in the journal.
    pub sequence: u64,
    pub event: Event,
}

/// A ring of the last events.
pub struct Recent {
    ring: Box<[Remembered]>,
    next: usize,
}

impl Recent {
    /// Empty.
    pub fn new() -> Self {
        let reject = Reject::new(Code::FrameMagic, Owner::Gateway);
        let nothing = EventBody::Rejected(Rejection { command_id: CommandId(0), reject });
        let event = Event { event_sequence: 0, time_ns: 0, body: nothing };
        let nothing = Remembered { client: 0, sequence: 0, event };
        Self { ring: vec![nothing; REMEMBERED].into_boxed_slice(), next: 0 }
    }

    /// Remembers the event of the journal's record `sequence`; the oldest makes room.
    #[inline]
    pub fn push(&mut self, client: u16, sequence: u64, event: &Event) {
        self.ring[self.next] = Remembered { client, sequence, event: *event };
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// Has the places brought near that the next command's events take.
    #[inline]
    pub fn prefetch_next(&self) {
        for ahead in 0..EVENTS_AHEAD {
            memory::prefetch(&self.ring, (self.next + ahead) % REMEMBERED);
        }
    }

    /// What was to be more durable than it became says what it is worth.
    pub fn weaken(&mut self, durable_sequence: u64, durability: Durability) {
        for remembered in &mut self.ring {
            if let EventBody::Acknowledged(it) = &mut remembered.event.body
                && remembered.sequence > durable_sequence
            {
                it.durability = durability;
            }
        }
    }

    /// A client's events from this one on, in order; none when it is no longer remembered. Looks back from the newest.
    pub fn from(&self, client: u16, event_sequence: u64) -> impl Iterator<Item = &Remembered> {
        let (newer, older) = self.ring.split_at(self.next);
        let in_order = older.iter().chain(newer);
        let is_first = |it: &&Remembered| it.client == client && it.event.event_sequence == event_sequence;
        let back = in_order.clone().rev().position(|it| is_first(&it));
        in_order
            .skip(back.map_or(REMEMBERED, |back| REMEMBERED - 1 - back))
            .filter(move |it| it.client == client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(recent: &mut Recent, client: u16, event_sequence: u64) {
        let event = Event { event_sequence, ..recent.ring[0].event };
        recent.push(client, 10 * event_sequence, &event);
    }

    fn told(recent: &Recent, client: u16, from: u64) -> Vec<u64> {
        recent.from(client, from).map(|it| it.event.event_sequence).collect()
    }

    #[test]
    fn a_clients_events_come_in_order_from_the_first_wanted() {
        let mut recent = Recent::new();
        assert!(told(&recent, 0, 1).is_empty());
        for number in 1..=REMEMBERED as u64 {
            push(&mut recent, 0, number);
            push(&mut recent, 1, number);
            if number == 5 {
                assert_eq!(told(&recent, 0, 3), [3, 4, 5]);
                assert_eq!(told(&recent, 1, 5), [5]);
                assert!(told(&recent, 1, 6).is_empty());
            }
        }
        let last = REMEMBERED as u64;
        let oldest = last / 2 + 1;
        for client in [0, 1] {
            assert_eq!(told(&recent, client, oldest), (oldest..=last).collect::<Vec<_>>());
            assert!(told(&recent, client, oldest - 1).is_empty(), "it made room");
        }
        push(&mut recent, 0, last + 1);
        assert_eq!(told(&recent, 0, last), [last, last + 1]);
        assert!(told(&recent, 0, oldest).is_empty());
        assert!(told(&recent, 2, last).is_empty(), "another client's");
    }
}
