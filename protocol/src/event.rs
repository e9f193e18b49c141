//! What a client hears: acknowledgements, refusals and the venue's reports, numbered per client.

use serde::{Deserialize, Serialize};

use crate::command::Side;
use crate::decimal::Decimal;
use crate::identity::{CommandId, OrderId};
use crate::reject::Reject;
use crate::text::{AccountName, Remark, Symbol};
use crate::wire::{Wire, Writer};
use crate::{wire_enum, wire_struct};

/// The body of an event frame. Every event is journaled, and numbered per client from 1 without gaps; a client
/// that reconnects with the last number it has seen gets what it missed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The number in this client's stream of events.
    pub event_sequence: u64,
    /// When the gateway journaled it, nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// What happened.
    pub body: EventBody,
}

wire_struct!(Event { event_sequence, time_ns, body });

/// What happened. The order of the variants is the wire's discriminant: append only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EventBody {
    /// The command passed every check and is journaled; it goes to the venue now.
    Acknowledged(Acknowledgement),
    /// The command was refused by the gateway and never reached the venue.
    Rejected(Rejection),
    /// The venue reported on an order.
    Report(Report),
}

wire_enum!(EventBody { 0 = Acknowledged(part), 1 = Rejected(part), 2 = Report(part) });

/// How durable the journal's record is when it is acknowledged. Ordered from weak to strong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Durability {
    /// In the process's memory: lost with the process.
    None,
    /// In the page cache: survives the process, not a power loss.
    Process,
    /// On the disk.
    Disk,
}

wire_enum!(Durability { 0 = None, 1 = Process, 2 = Disk });

/// The gateway's yes. One for each command that is not refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// The command.
    pub command_id: CommandId,
    /// The journal sequence of the intent; for a command that creates an order, the order's id.
    pub order_id: OrderId,
    /// How durable the record is as this is sent.
    pub durability: Durability,
}

wire_struct!(Acknowledgement { command_id, order_id, durability });

/// The gateway's no. One for each command that is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rejection {
    /// The command.
    pub command_id: CommandId,
    /// Why.
    pub reject: Reject,
}

wire_struct!(Rejection { command_id, reject });

/// What the venue says of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The command that made the order.
    pub command_id: CommandId,
    /// The order.
    pub order_id: OrderId,
    /// Its account.
    pub account: AccountName,
    /// Its instrument.
    pub symbol: Symbol,
    /// Its side.
    pub side: Side,
    /// What is filled so far, this report included.
    pub filled_quantity: Decimal,
    /// What still works: 0 when the order is final.
    pub open_quantity: Decimal,
    /// What happened.
    pub kind: ReportKind,
}

wire_struct!(Report { command_id, order_id, account, symbol, side, filled_quantity, open_quantity, kind });

/// What happened to an order at its venue. The order of the variants is the wire's discriminant: append only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ReportKind {
    /// The venue has the order.
    Accepted {
        /// The venue's own id of it.
        venue_order_id: u64,
    },
    /// A fill, partial while `open_quantity` is above 0.
    Filled(Fill),
    /// The venue refused the order; final.
    Rejected {
        /// The venue's words.
        reason: Remark,
    },
    /// The order is cancelled; final.
    Cancelled,
    /// The venue refused to cancel; the order stands as it was.
    CancelRejected {
        /// The venue's words.
        reason: Remark,
    },
    /// Price or quantity changed.
    Replaced {
        /// The total quantity now.
        quantity: Decimal,
        /// The limit price now, if the order has one.
        price: Option<Decimal>,
        /// The trigger price now, if the order has one.
        stop_price: Option<Decimal>,
    },
    /// The venue refused to change; the order stands as it was.
    ReplaceRejected {
        /// The venue's words.
        reason: Remark,
    },
    /// Its time ran out; final.
    Expired,
    /// The order may or may not be at the venue. It is being asked; a later report says what became of it.
    /// It is never sent again, and it counts as open until then.
    Unknown {
        /// What left it unknown.
        reason: Remark,
    },
}

wire_enum!(ReportKind {
    0 = Accepted { venue_order_id },
    1 = Filled(part),
    2 = Rejected { reason },
    3 = Cancelled,
    4 = CancelRejected { reason },
    5 = Replaced { quantity, price, stop_price },
    6 = ReplaceRejected { reason },
    7 = Expired,
    8 = Unknown { reason },
});

/// One trade of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fill {
    /// The venue's id of the trade; unique within its order.
    pub trade_id: u64,
    /// At what price.
    pub price: Decimal,
    /// How much.
    pub quantity: Decimal,
    /// What the venue took for it, in the account's currency; negative for a rebate.
    pub fee: Decimal,
    /// True when the order rested and another came to it.
    pub maker: bool,
}

wire_struct!(Fill { trade_id, price, quantity, fee, maker });

/// The most bytes of a [`Report`] on the wire.
pub const REPORT_BYTES_MAX: usize = 224;

impl Event {
    /// Writes the event of a report as [`Wire::write`] does, the report by its bytes: they stand in the journal too, and
    /// are worked out once.
    #[inline]
    pub fn write_report(event_sequence: u64, time_ns: u64, report: &[u8], out: &mut Writer<'_>) {
        const REPORT: u8 = 2;
        event_sequence.write(out);
        time_ns.write(out);
        out.byte(REPORT);
        out.bytes(report);
    }
}

impl ReportKind {
    /// The kind's name in tables, metrics and the journal.
    pub fn name(&self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// The names of all kinds, by wire discriminant.
    pub const NAMES: [&str; 9] = [
        "accepted",
        "filled",
        "rejected",
        "cancelled",
        "cancel_rejected",
        "replaced",
        "replace_rejected",
        "expired",
        "unknown",
    ];

    /// The wire discriminant, an index into [`ReportKind::NAMES`].
    #[inline]
    pub fn index(&self) -> usize {
        match self {
            Self::Accepted { .. } => 0,
            Self::Filled(_) => 1,
            Self::Rejected { .. } => 2,
            Self::Cancelled => 3,
            Self::CancelRejected { .. } => 4,
            Self::Replaced { .. } => 5,
            Self::ReplaceRejected { .. } => 6,
            Self::Expired => 7,
            Self::Unknown { .. } => 8,
        }
    }
}

impl EventBody {
    /// The command that the event belongs to.
    pub fn command_id(&self) -> CommandId {
        match self {
            Self::Acknowledged(acknowledgement) => acknowledgement.command_id,
            Self::Rejected(rejection) => rejection.command_id,
            Self::Report(report) => report.command_id,
        }
    }
}
