//! What the gateway writes in its journal: every input that a decision rests on, and every decision.
//!
//! Recovery, replay, export and the replay of missed events all read these records and nothing else. Records name
//! clients, accounts and instruments by number; the [`Name`] records before them say what the numbers mean, so
//! that settings may be reordered between two starts.

// The words of an error are made by whoever reads a journal.
#![allow(clippy::disallowed_macros)]

use serde::{Deserialize, Serialize};
use tollgate_contract::venue::VenueOrder;
use tollgate_protocol::command::{Command, OrderType, Side, TimeInForce};
use tollgate_protocol::event::{Acknowledgement, Durability, Event, EventBody, Rejection, Report};
use tollgate_protocol::identity::{AccountIndex, CommandId, OrderId};
use tollgate_protocol::instrument::InstrumentIndex;
use tollgate_protocol::reject::Reject;
use tollgate_protocol::text::{Remark, Text};
use tollgate_protocol::wire::{self, Wire, Writer};
use tollgate_protocol::{wire_enum, wire_struct};

/// The longest payload of any record, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 512;
/// The longest encoding of a command, with numbers and lengths in as many bytes as they may take.
pub const COMMAND_BYTES_MAX: usize = 256;
/// The longest payload of a record that has a command, without the command.
pub const BESIDE_COMMAND_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - COMMAND_BYTES_MAX;

/// A journal record's meaning. `kind` numbers are stable.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Record {
    /// What a number means from here on.
    Name(Name),
    /// The process started here.
    Start(Start),
    /// The reference price of an instrument, as decisions use it from here on.
    Price(Price),
    /// A command that passed every check, with what it leads to.
    Intent(Intent),
    /// A command that was refused.
    Rejection(RejectionRecord),
    /// An order that a close-all, a flatten or a risk halt made.
    Child(Child),
    /// What a venue said of an order.
    Report(ReportRecord),
    /// A venue came or went.
    Venue(VenueRecord),
    /// The hash of the state at this point, for whoever replays.
    Digest(Digest),
    /// Records before this one are gone, and somebody has accepted it.
    Loss(Loss),
}

/// Which table a [`Name`] is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum NameTable {
    /// Clients.
    Client,
    /// Accounts.
    Account,
    /// Instruments; with tick and step.
    Instrument,
    /// Venues.
    Venue,
}

wire_enum!(NameTable { 0 = Client, 1 = Account, 2 = Instrument, 3 = Venue });

/// What a number means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Name {
    /// Of which table.
    pub table: NameTable,
    /// The number.
    pub index: u16,
    /// The name in the settings.
    pub name: Text<31>,
    /// For an instrument, its tick; else zero.
    pub tick: tollgate_protocol::Decimal,
    /// For an instrument, its step; else zero.
    pub step: tollgate_protocol::Decimal,
}

wire_struct!(Name { table, index, name, tick, step });

/// A start of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Start {
    /// The program's version.
    pub version: Text<15>,
    /// The instance.
    pub instance: Text<31>,
    /// The journal's durability class.
    pub durability: Durability,
}

wire_struct!(Start { version, instance, durability });

/// A reference price.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Price {
    /// Of which instrument.
    pub instrument: InstrumentIndex,
    /// Best bid, in ticks.
    pub bid_ticks: i64,
    /// Best ask, in ticks.
    pub ask_ticks: i64,
    /// When the gateway received it, nanoseconds since the Unix epoch.
    pub observed_ns: u64,
}

wire_struct!(Price { instrument, bid_ticks, ask_ticks, observed_ns });

/// Who a command came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Origin {
    /// The client itself.
    Client,
    /// The client's connection was lost.
    Disconnect,
    /// The client's dead man's switch.
    DeadMan,
    /// A risk control.
    Risk,
}

wire_enum!(Origin { 0 = Client, 1 = Disconnect, 2 = DeadMan, 3 = Risk });

/// What a command leads to, resolved: these numbers are replayed, never computed again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Effect {
    /// An order. Its id is the record's sequence.
    Order(OrderTerms),
    /// A cancel.
    Cancel(OrderId),
    /// A change to these totals.
    Replace {
        /// Which order.
        order_id: OrderId,
        /// Total quantity, in steps.
        quantity_steps: i64,
        /// Limit price, in ticks; 0 without one.
        price_ticks: i64,
        /// Trigger price, in ticks; 0 without one.
        stop_price_ticks: i64,
    },
    /// Cancels and closes over a set, by the command's own scope; closes follow as [`Child`] records.
    Sweep {
        /// The account it is for; absent for all.
        account: Option<AccountIndex>,
        /// The instrument it is for; absent for all.
        instrument: Option<InstrumentIndex>,
        /// The client whose orders are cancelled; absent for everybody's.
        client: Option<u16>,
        /// Leave orders that are good till cancelled.
        keep_good_till_cancel: bool,
    },
}

wire_enum!(Effect {
    0 = Order(part),
    1 = Cancel(part),
    2 = Replace { order_id, quantity_steps, price_ticks, stop_price_ticks },
    3 = Sweep { account, instrument, client, keep_good_till_cancel },
});

/// An order's terms on the instrument's grid.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderTerms {
    /// The account.
    pub account: AccountIndex,
    /// The instrument.
    pub instrument: InstrumentIndex,
    /// The side.
    pub side: Side,
    /// The type.
    pub order_type: OrderType,
    /// How long it works.
    pub time_in_force: TimeInForce,
    /// May only make the position smaller.
    pub reduce_only: bool,
    /// Total quantity, in steps.
    pub quantity_steps: i64,
    /// Limit price, in ticks; 0 without one.
    pub price_ticks: i64,
    /// Trigger price, in ticks; 0 without one.
    pub stop_price_ticks: i64,
    /// Stop loss, in ticks; 0 without one.
    pub stop_loss_ticks: i64,
    /// Take profit, in ticks; 0 without one.
    pub take_profit_ticks: i64,
    /// End of a good-till-date order, nanoseconds since the Unix epoch; 0 without one.
    pub expire_at_ns: u64,
    /// On a hedging account, the position to act on; 0 for none.
    pub position_ticket: u64,
    /// The price at which exposure counts it, in ticks: its own, or the reference price of a market order.
    pub value_ticks: i64,
}

wire_struct!(OrderTerms {
    account,
    instrument,
    side,
    order_type,
    time_in_force,
    reduce_only,
    quantity_steps,
    price_ticks,
    stop_price_ticks,
    stop_loss_ticks,
    take_profit_ticks,
    expire_at_ns,
    position_ticket,
    value_ticks,
});

impl OrderTerms {
    /// The order as its venue gets it.
    pub fn venue_order(&self, order_id: OrderId) -> VenueOrder {
        VenueOrder {
            order_id,
            account: self.account,
            instrument: self.instrument,
            side: self.side,
            order_type: self.order_type,
            time_in_force: self.time_in_force,
            quantity_steps: self.quantity_steps,
            price_ticks: self.price_ticks,
            stop_price_ticks: self.stop_price_ticks,
            expire_at_ns: self.expire_at_ns,
            reduce_only: self.reduce_only,
            position_ticket: self.position_ticket,
            stop_loss_ticks: self.stop_loss_ticks,
            take_profit_ticks: self.take_profit_ticks,
        }
    }
}

/// What a command's key may do, as far as decisions depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Authority {
    /// Bit 0 trade, 1 cancel, 2 read, 3 operate.
    pub scopes: u8,
    /// Accounts, a bit for each number.
    pub accounts: u64,
}

wire_struct!(Authority { scopes, accounts });

/// A command that passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Intent {
    /// Whose.
    pub client: u16,
    /// Who it came from.
    pub origin: Origin,
    /// The number of its acknowledgement in the client's stream of events; 0 when nobody is told.
    pub event_sequence: u64,
    /// The hash of the command's bytes, for deduplication.
    pub content_hash: u64,
    /// What its key may do.
    pub authority: Authority,
    /// The command.
    pub command: Command,
    /// What it leads to.
    pub effect: Effect,
}

wire_struct!(Intent { client, origin, event_sequence, content_hash, authority, command, effect });

/// A command that was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RejectionRecord {
    /// Whose.
    pub client: u16,
    /// The number in the client's stream of events.
    pub event_sequence: u64,
    /// The hash of the command's bytes, for deduplication.
    pub content_hash: u64,
    /// What its key may do.
    pub authority: Authority,
    /// The command.
    pub command: Command,
    /// Why.
    pub reject: Reject,
}

wire_struct!(RejectionRecord { client, event_sequence, content_hash, authority, command, reject });

/// An order that another command made. Its id is the record's sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Child {
    /// Whose.
    pub client: u16,
    /// The command that made it.
    pub command_id: CommandId,
    /// The record of that command.
    pub parent: u64,
    /// Its terms.
    pub terms: OrderTerms,
}

wire_struct!(Child { client, command_id, parent, terms });

/// What a venue said of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReportRecord {
    /// Whose order.
    pub client: u16,
    /// The number in the client's stream of events.
    pub event_sequence: u64,
    /// The report.
    pub report: Report,
}

wire_struct!(ReportRecord { client, event_sequence, report });

/// What a venue's connection does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum VenueState {
    /// Not connected.
    Down,
    /// Connected; what became of open orders is being asked.
    Reconciling,
    /// Connected and known.
    Up,
}

wire_enum!(VenueState { 0 = Down, 1 = Reconciling, 2 = Up });

/// A venue came or went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VenueRecord {
    /// Which venue.
    pub venue: u16,
    /// How it stands from here on.
    pub state: VenueState,
    /// Why.
    pub reason: Remark,
}

wire_struct!(VenueRecord { venue, state, reason });

/// The hash of the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Digest {
    /// What the hash depends on beside the records: the settings' tables and sizes. Only where this is the same can
    /// the hash be.
    pub shape: u64,
    /// SHA-256 over orders, positions, counters, halts and the deduplication window.
    pub hash: [u8; 32],
}

wire_struct!(Digest { shape, hash });

/// A loss of records that somebody has accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Loss {
    /// Identity of the journal that was expected.
    pub expected_identity: [u8; 16],
    /// Last record that was known to have been on disk; the true last one may be later. 0 when it was not known.
    pub lost_sequence: u64,
    /// Last record that is still there; 0 for none.
    pub kept_sequence: u64,
    /// When it was accepted, nanoseconds since the Unix epoch.
    pub accepted_ns: u64,
}

wire_struct!(Loss { expected_identity, lost_sequence, kept_sequence, accepted_ns });

impl Loss {
    /// The stable number of its kind.
    pub const KIND: u16 = 16;
}

/// A record that does not decode: written by a newer version, or damaged in a way that its checksum missed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "journal record {sequence} of kind {kind} cannot be decoded: written by a newer version of the gateway?"
)]
pub struct RecordError {
    /// The record.
    pub sequence: u64,
    /// Its kind.
    pub kind: u16,
}

impl Record {
    /// The stable number of the record's kind.
    pub fn kind(&self) -> u16 {
        match self {
            Self::Name(_) => 1,
            Self::Start(_) => 2,
            Self::Price(_) => 3,
            Self::Intent(_) => Intent::KIND,
            Self::Rejection(_) => RejectionRecord::KIND,
            Self::Child(_) => 6,
            Self::Report(_) => ReportRecord::KIND,
            Self::Venue(_) => 8,
            Self::Digest(_) => 9,
            Self::Loss(_) => Loss::KIND,
        }
    }

    /// The name of a kind.
    pub fn kind_name(kind: u16) -> &'static str {
        if kind == Loss::KIND {
            return "loss";
        }
        ["?", "name", "start", "price", "intent", "refusal", "child", "report", "venue", "digest"]
            .get(usize::from(kind))
            .copied()
            .unwrap_or("?")
    }

    /// Writes the payload into `out`, which must have [`PAYLOAD_BYTES_MAX`] bytes, and returns its length.
    #[inline]
    pub fn encode(&self, out: &mut [u8]) -> usize {
        match self {
            Self::Name(record) => encode(record, out),
            Self::Start(record) => encode(record, out),
            Self::Price(record) => encode(record, out),
            Self::Intent(record) => encode(record, out),
            Self::Rejection(record) => encode(record, out),
            Self::Child(record) => encode(record, out),
            Self::Report(record) => encode(record, out),
            Self::Venue(record) => encode(record, out),
            Self::Digest(record) => encode(record, out),
            Self::Loss(record) => encode(record, out),
        }
    }

    /// Reads a payload.
    #[inline]
    pub fn decode(sequence: u64, kind: u16, payload: &[u8]) -> Result<Self, RecordError> {
        let record = match kind {
            1 => of(payload, Self::Name),
            2 => of(payload, Self::Start),
            3 => of(payload, Self::Price),
            4 => of(payload, Self::Intent),
            5 => of(payload, Self::Rejection),
            6 => of(payload, Self::Child),
            7 => of(payload, Self::Report),
            8 => of(payload, Self::Venue),
            9 => of(payload, Self::Digest),
            Loss::KIND => of(payload, Self::Loss),
            _ => return Err(RecordError { sequence, kind }),
        };
        record.ok_or(RecordError { sequence, kind })
    }

    /// The event that the record tells a client, if any: `(client, event)`. `sequence` and `time_ns` are the
    /// record's own; `durability` is the class that an acknowledgement states.
    #[inline]
    pub fn event(&self, sequence: u64, time_ns: u64, durability: Durability) -> Option<(u16, Event)> {
        let (client, event) = match self {
            Self::Intent(intent) => (intent.client, intent.acknowledgement(sequence, time_ns, durability)),
            Self::Rejection(rejection) => (rejection.client, rejection.rejection(time_ns)),
            Self::Report(report) => (report.client, report.event(time_ns)),
            _ => return None,
        };
        (event.event_sequence != 0).then_some((client, event))
    }
}

/// Writes a record's payload, or a part of it, into `out`, which must have as many bytes as the longest takes, and returns
/// its length.
#[inline]
pub fn encode<T: Wire>(record: &T, out: &mut [u8]) -> usize {
    let mut writer = Writer::new(out);
    record.write(&mut writer);
    finish(writer)
}

#[inline]
fn finish(writer: Writer<'_>) -> usize {
    let written = writer.finish();
    // Every field has a largest size, and the sum is below the maximum: a test holds this.
    assert!(written.is_ok(), "a record fits its place");
    written.unwrap_or_default()
}

/// A payload's record, as a [`Record`].
#[inline]
fn of<T: Wire>(payload: &[u8], whole: impl Fn(T) -> Record) -> Option<Record> {
    Some(whole(wire::decode(payload).ok()?.0))
}

impl Intent {
    /// The stable number of its kind.
    pub const KIND: u16 = 4;

    /// Writes the payload as [`encode`] does, the command by the bytes that it came in: working them out again would cost
    /// as much as the rest.
    #[inline]
    pub fn encode_received(&self, command: &[u8], out: &mut [u8]) -> usize {
        let mut writer = Writer::new(out);
        self.client.write(&mut writer);
        self.origin.write(&mut writer);
        self.event_sequence.write(&mut writer);
        self.content_hash.write(&mut writer);
        self.authority.write(&mut writer);
        writer.bytes(command);
        self.effect.write(&mut writer);
        finish(writer)
    }

    /// The event of the journal's record `sequence`, made at `time_ns`; `durability` is the class that it states.
    #[inline]
    pub fn acknowledgement(&self, sequence: u64, time_ns: u64, durability: Durability) -> Event {
        let command_id = self.command.command_id;
        let body = Acknowledgement { command_id, order_id: OrderId(sequence), durability };
        Event { event_sequence: self.event_sequence, time_ns, body: EventBody::Acknowledged(body) }
    }
}

impl RejectionRecord {
    /// The stable number of its kind.
    pub const KIND: u16 = 5;

    /// Writes the payload as [`encode`] does, the command by the bytes that it came in.
    #[inline]
    pub fn encode_received(&self, command: &[u8], out: &mut [u8]) -> usize {
        let mut writer = Writer::new(out);
        self.client.write(&mut writer);
        self.event_sequence.write(&mut writer);
        self.content_hash.write(&mut writer);
        self.authority.write(&mut writer);
        writer.bytes(command);
        self.reject.write(&mut writer);
        finish(writer)
    }

    /// The event of the record, made at `time_ns`.
    #[inline]
    pub fn rejection(&self, time_ns: u64) -> Event {
        let body = Rejection { command_id: self.command.command_id, reject: self.reject };
        Event { event_sequence: self.event_sequence, time_ns, body: EventBody::Rejected(body) }
    }
}

impl ReportRecord {
    /// The stable number of its kind.
    pub const KIND: u16 = 7;

    /// The most bytes of a payload beside the report's own: two numbers.
    pub const HEAD_BYTES_MAX: usize = 13;

    /// Writes the payload as [`encode`] does, the report by its bytes.
    #[inline]
    pub fn encode_written(&self, report: &[u8], out: &mut [u8]) -> usize {
        let mut writer = Writer::new(out);
        self.client.write(&mut writer);
        self.event_sequence.write(&mut writer);
        writer.bytes(report);
        finish(writer)
    }

    /// The event of the record, made at `time_ns`.
    #[inline]
    pub fn event(&self, time_ns: u64) -> Event {
        Event { event_sequence: self.event_sequence, time_ns, body: EventBody::Report(self.report) }
    }
}
