//! What the stages of the pipeline work on: the state, the journal, the ways to the venues, the counters.

use std::sync::Arc;

use tollgate_contract::lane::{Receiver, Sender};
use tollgate_contract::venue::{VenueReport, VenueRequest};
use tollgate_journal::{Append, AppendError, Condition, Room};
use tollgate_protocol::answer::OrderStatus;
use tollgate_protocol::command::Action;
use tollgate_protocol::event::{Durability, Event};
use tollgate_protocol::identity::{CommandId, OrderId};
use tollgate_protocol::reject::Code;
use tollgate_protocol::wire::{Wire, Writer};

use super::orders::Order;
use super::outbox::Outbox;
use super::sessions::Sessions;
use super::state::{State, sweeps};
use super::world::World;
use super::{judge, memory, recent::Recent};
use crate::metrics::Metrics;
use crate::mutation::{self, Mutation};
use crate::record::{
    BESIDE_COMMAND_BYTES_MAX, Child, Effect, Intent, Origin, PAYLOAD_BYTES_MAX, Price, Record,
    RejectionRecord, ReportRecord,
};

/// The last quote of an instrument, as the venue sent it: newer than what the journal has, and no decision rests on it
/// before it is journaled.
#[derive(Clone, Copy, Default)]
pub struct LiveQuote {
    /// Best bid, in ticks.
    pub bid_ticks: i64,
    /// Best ask, in ticks.
    pub ask_ticks: i64,
    /// When it came.
    pub received_ns: u64,
}

/// The most events that a session is told of at once which the door could read from the journal.
const CATCH_UP_EVENTS: u64 = 256;

/// A question about an order.
#[derive(Clone, Copy, Default)]
pub struct Asked {
    /// When it was asked last; 0 for never.
    pub at_ns: u64,
    /// It is not answered yet.
    pub waiting: bool,
}

/// A price that did not change is journaled again after this time, so that its age in the journal stays true.
const PRICE_REFRESH_NS: u64 = 100_000_000;

/// One venue, as the hot thread sees it.
pub struct VenueLink {
    /// Requests on their way.
    pub outbox: Outbox,
    /// The lane to the venue's thread.
    pub requests: Sender<VenueRequest>,
    /// The lane from it.
    pub reports: Receiver<VenueReport>,
    /// A report that the journal had no room for: it is taken before any other.
    pub held: Option<VenueReport>,
    /// Places of the request lane that new orders leave free.
    pub reserved: usize,
    /// Requests went into the lane since the venue's thread was last woken.
    pub unrung: bool,
}

/// The hot thread's own things, but for the sessions.
pub struct Core<W: World> {
    /// Everything that decisions rest on.
    pub state: State,
    /// The journal's hot half.
    pub journal: W::Journal,
    /// The class that acknowledgements state; weaker than configured once the disk has failed.
    pub durability: Durability,
    /// The venues, in the order of the settings.
    pub venues: Box<[VenueLink]>,
    /// The last quote of each instrument.
    pub quotes: Box<[LiveQuote]>,
    /// The last events, for sessions that are a little behind.
    pub recent: Recent,
    /// When an order's request went out, by its slot; 0 once answered.
    pub sent_ns: Box<[u64]>,
    /// When an order was last asked for, by its slot.
    pub asked: Box<[Asked]>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The time of this turn, nanoseconds since the Unix epoch; never goes back.
    pub now_ns: u64,
}

impl<W: World> Core<W> {
    /// Journals a record and takes it into the state.
    pub fn commit(&mut self, room: Room, record: &Record) -> Result<u64, Code> {
        let sequence = self.append(room, record.kind(), PAYLOAD_BYTES_MAX, |out| record.encode(out))?;
        self.state.apply(sequence, self.now_ns, record);
        Ok(sequence)
    }

    /// The same for a client's intent, with the bytes that its command came in.
    #[inline]
    pub fn commit_intent(&mut self, room: Room, intent: &Intent, command: &[u8]) -> Result<u64, Code> {
        let bytes_max = command.len() + BESIDE_COMMAND_BYTES_MAX;
        let encode = |out: &mut [u8]| intent.encode_received(command, out);
        let sequence = self.append(room, Intent::KIND, bytes_max, encode)?;
        self.state.advance(self.now_ns);
        self.state.apply_intent(sequence, self.now_ns, intent);
        Ok(sequence)
    }

    /// The same for a rejection.
    #[inline]
    pub fn commit_rejection(&mut self, rejection: &RejectionRecord, command: &[u8]) -> Result<u64, Code> {
        let bytes_max = command.len() + BESIDE_COMMAND_BYTES_MAX;
        let encode = |out: &mut [u8]| rejection.encode_received(command, out);
        let sequence = self.append(Room::Ordinary, RejectionRecord::KIND, bytes_max, encode)?;
        self.state.advance(self.now_ns);
        if mutation::is(Mutation::ForgetRejection) {
            self.state.event_sequences[usize::from(rejection.client)] = rejection.event_sequence;
            return Ok(sequence);
        }
        self.state.apply_rejection(sequence, self.now_ns, rejection);
        Ok(sequence)
    }

    /// The same for a report, with its bytes.
    #[inline]
    pub fn commit_report(&mut self, record: &ReportRecord, report: &[u8]) -> Result<u64, Code> {
        let bytes_max = report.len() + ReportRecord::HEAD_BYTES_MAX;
        let encode = |out: &mut [u8]| record.encode_written(report, out);
        let sequence = self.append(Room::Report, ReportRecord::KIND, bytes_max, encode)?;
        self.state.advance(self.now_ns);
        self.state.apply_report(record);
        Ok(sequence)
    }

    #[inline]
    fn append(
        &mut self,
        room: Room,
        kind: u16,
        bytes_max: usize,
        encode: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<u64, Code> {
        let written = self.journal.append(room, kind, self.now_ns, bytes_max, encode);
        written.map_err(|error| match error {
            AppendError::Failed => Code::JournalFailed,
            _ => Code::JournalFull,
        })
    }

    /// What must wait for the journal's record `sequence` waits for this: the record itself in the disk class, else
    /// nothing.
    #[inline]
    pub fn gate(&self, sequence: u64) -> u64 {
        if self.durability == Durability::Disk { sequence } else { 0 }
    }

    /// Tells the event of the journal's record `sequence` to its client's sessions.
    #[inline]
    pub fn tell(&mut self, sessions: &mut Sessions<W>, sequence: u64, client: u16, event: &Event) {
        self.tell_written(sessions, sequence, client, event, |out| event.write(out));
    }

    /// The same for an event that `write` writes.
    #[inline]
    pub fn tell_written(
        &mut self,
        sessions: &mut Sessions<W>,
        sequence: u64,
        client: u16,
        event: &Event,
        write: impl Fn(&mut Writer<'_>),
    ) {
        let gate = if mutation::is(Mutation::TellBeforeJournal) { 0 } else { self.gate(sequence) };
        sessions.publish(client, event.event_sequence, gate, write);
        self.metrics.event_sequences[usize::from(client)].set(event.event_sequence);
        self.recent.push(client, sequence, event);
    }

    /// Events that a session still lacks; false when the door must send some of them first: they are no longer remembered,
    /// or more than a few, and the journal has them. What is not on the disk yet, the door may not tell.
    pub fn catch_up(&mut self, sessions: &mut Sessions<W>, slot: u16) -> bool {
        let Some(session) = sessions.get(slot) else { return true };
        let client = session.home.client;
        let last = self.state.event_sequences[usize::from(client)];
        let next = session.home.next_event_sequence;
        let gate = self.gate(self.journal.next_sequence() - 1);
        let are_many = next <= last && last - next >= CATCH_UP_EVENTS;
        if are_many && self.durability != Durability::Disk {
            return false;
        }
        if next <= last {
            let Some(first) = self.recent.from(client, next).next() else { return false };
            let events = || self.recent.from(client, next).map(|remembered| &remembered.event);
            if are_many && first.sequence <= self.journal.durable_sequence() || !session.takes(events()) {
                return false;
            }
        }
        let skipped = usize::from(mutation::is(Mutation::SkipFirstEvent));
        for remembered in self.recent.from(client, next).skip(skipped) {
            let event = &remembered.event;
            if session.event(event.event_sequence, gate, |out| event.write(out)).is_err() {
                session.ending = Some(Code::SessionSlowReader);
                break;
            }
            self.metrics.events_replayed.add(1);
        }
        sessions.touch(slot);
        true
    }

    /// Makes the journal know the newest price of an instrument before a decision rests on it.
    #[inline]
    pub fn refresh_price(&mut self, instrument: u16) {
        let quote = self.quotes[usize::from(instrument)];
        let mark = self.state.exposure.marks[usize::from(instrument)];
        let moved = (quote.bid_ticks, quote.ask_ticks) != (mark.bid_ticks, mark.ask_ticks);
        let aged = quote.received_ns.saturating_sub(mark.observed_ns) > PRICE_REFRESH_NS;
        if quote.received_ns == 0 || !(moved || aged) {
            return;
        }
        let record = Record::Price(Price {
            instrument: tollgate_protocol::InstrumentIndex(instrument),
            bid_ticks: quote.bid_ticks,
            ask_ticks: quote.ask_ticks,
            observed_ns: quote.received_ns,
        });
        // Without room the old price stands, and grows old: checks that need a young one refuse.
        let _ = self.commit(Room::Ordinary, &record);
    }

    /// The venue of an order.
    #[inline]
    pub fn venue_of(&self, order: &Order) -> usize {
        usize::from(self.state.rules.accounts[usize::from(order.terms.account.0)].venue)
    }

    /// Puts a request on its way once the journal is durable up to `sequence`.
    #[inline]
    pub fn request(&mut self, venue: usize, sequence: u64, request: VenueRequest) {
        let gate = if mutation::is(Mutation::SendBeforeJournal) { 0 } else { self.gate(sequence) };
        self.venues[venue].outbox.push(gate, request);
    }

    /// Puts an order on its way.
    #[inline]
    pub fn request_new(&mut self, order_id: OrderId) {
        let Some(slot) = self.state.orders.find(order_id) else { return };
        self.sent_ns[slot as usize] = self.now_ns;
        self.asked[slot as usize] = Asked::default();
        let order = self.state.orders.get(slot);
        let request = VenueRequest::New(order.terms.venue_order(order_id));
        self.request(self.venue_of(order), order_id.0, request);
    }

    /// Puts a request about an open order on its way.
    #[inline]
    pub fn request_about(&mut self, sequence: u64, order_id: OrderId, request: VenueRequest) {
        let Some(slot) = self.state.orders.find(order_id) else { return };
        let venue = self.venue_of(self.state.orders.get(slot));
        self.request(venue, sequence, request);
    }

    /// Asks what became of an order.
    pub fn ask(&mut self, slot: u32) {
        let order = *self.state.orders.get(slot);
        let venue = self.venue_of(&order);
        let is_forgotten = mutation::is(Mutation::ForgetInFlight) && order.status == OrderStatus::Sent;
        if self.venues[venue].outbox.is_busy() || is_forgotten {
            return;
        }
        self.asked[slot as usize] = Asked { at_ns: self.now_ns, waiting: true };
        self.request(venue, 0, VenueRequest::Query(order.order_id));
    }

    /// Sends the cancels and makes the closes that an intent stands for.
    pub fn route_sweep(&mut self, sequence: u64, intent: &Intent) {
        for at in 0..self.state.orders.open_count() {
            let slot = self.state.orders.open_slots()[at];
            let order = *self.state.orders.get(slot);
            if order.cancel_sequence == sequence && sweeps(intent, &order) {
                let venue = self.venue_of(&order);
                self.request(venue, sequence, VenueRequest::Cancel(order.order_id));
            }
        }
        let closes = match intent.command.action {
            Action::CloseAll(_) => true,
            Action::Halt(halt) => halt.flatten,
            _ => false,
        };
        if closes {
            self.close_all(sequence, intent);
        }
    }

    fn close_all(&mut self, parent: u64, intent: &Intent) {
        let mut from = 0;
        while let Some((account, instrument, next)) = judge::next_to_close(&self.state, &intent.effect, from)
        {
            from = next;
            self.refresh_price(instrument.0);
            // A position larger than one market order may be takes several.
            while let Some(terms) = judge::closing_terms(&self.state, account, instrument) {
                if !self.state.orders.has_room(0) {
                    return;
                }
                let child =
                    Child { client: intent.client, command_id: intent.command.command_id, parent, terms };
                match self.commit(Room::Reserved, &Record::Child(child)) {
                    Ok(sequence) => self.request_new(OrderId(sequence)),
                    Err(_) => return,
                }
            }
        }
    }

    /// Sends a cancel, unless one for the order was on its way before.
    pub fn request_cancel(&mut self, sequence: u64, order_id: OrderId) {
        let slot = self.state.orders.find(order_id);
        if slot.is_some_and(|slot| self.state.orders.get(slot).cancel_sequence == sequence) {
            self.request_about(sequence, order_id, VenueRequest::Cancel(order_id));
        }
    }

    /// Journals and sends a command of the gateway's own.
    pub fn own_command(
        &mut self,
        client: u16,
        origin: Origin,
        action: Action,
        effect: Effect,
    ) -> Result<u64, Code> {
        let command = tollgate_protocol::Command {
            command_id: CommandId(0),
            created_at_ns: self.now_ns,
            deadline_ns: 0,
            account: tollgate_protocol::AccountName::EMPTY,
            action,
        };
        let authority = crate::record::Authority::default();
        let intent =
            Intent { client, origin, event_sequence: 0, content_hash: 0, authority, command, effect };
        let sequence = self.commit(Room::Reserved, &Record::Intent(intent))?;
        match effect {
            Effect::Cancel(order_id) => self.request_cancel(sequence, order_id),
            Effect::Sweep { .. } => self.route_sweep(sequence, &intent),
            Effect::Order(_) | Effect::Replace { .. } => {}
        }
        Ok(sequence)
    }

    /// Moves what may go from the outboxes into the lanes. A venue's thread that is awake sees it at once.
    #[inline]
    pub fn flush_outboxes(&mut self) {
        let durable = self.journal.durable_sequence();
        for (at, venue) in self.venues.iter_mut().enumerate() {
            let moved = venue.outbox.flush(durable, &mut venue.requests);
            if moved > 0 {
                venue.unrung = true;
                self.metrics.venues[at].requests.add(moved);
            }
        }
    }

    /// Has brought near what the next command writes to, which nobody has looked at for long: it is for the time after the
    /// answers, and the next command does not wait for memory.
    #[inline]
    pub fn prefetch_next(&mut self) {
        for venue in &mut self.venues {
            venue.requests.next_place(|place| memory::prefetch(place, 0));
        }
        self.state.dedupe.prefetch_next();
        self.state.orders.prefetch_next(OrderId(self.journal.next_sequence()));
        self.recent.prefetch_next();
        self.journal.prefetch_next();
    }

    /// Wakes the venues' threads that sleep. A wake-up is a system call, and its thread may take this one's client's
    /// processor: so it comes after the answers.
    #[inline]
    pub fn wake_venues(&mut self) {
        for venue in &mut self.venues {
            if venue.unrung {
                venue.unrung = false;
                venue.requests.ring();
            }
        }
    }

    /// 0 writable, 1 low on space, 2 failed.
    pub fn journal_state(&self) -> u64 {
        match self.journal.status().condition {
            Condition::Writable => 0,
            Condition::LowSpace => 1,
            Condition::Failed => 2,
        }
    }
}
