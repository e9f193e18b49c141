//! What the venue's ledger holds: everything that changed an order, in the order in which it happened.

use tollgate_protocol::command::{OrderType, Side, TimeInForce};
use tollgate_protocol::decimal::Decimal;
use tollgate_protocol::identity::{AccountIndex, OrderId};
use tollgate_protocol::instrument::InstrumentIndex;
use tollgate_protocol::money::Money;
use tollgate_protocol::text::{Remark, Symbol, Text};

use tollgate_contract::venue::VenueOrder;

/// One entry of a venue's ledger. Times are nanoseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LedgerEntry {
    /// What an instrument index means from here on.
    Instrument {
        /// The index.
        instrument: InstrumentIndex,
        /// The instrument's name.
        symbol: Symbol,
        /// One tick.
        price_increment: Decimal,
        /// One step.
        quantity_increment: Decimal,
    },
    /// An order was taken and works.
    Received {
        /// When.
        at_ns: u64,
        /// The venue's own id of it.
        venue_order_id: u64,
        /// The order.
        order: VenueOrder,
    },
    /// An order was refused; its id is used up all the same.
    Refused {
        /// When.
        at_ns: u64,
        /// The venue's own id of it.
        venue_order_id: u64,
        /// The order.
        order: VenueOrder,
        /// The venue's words.
        reason: Remark,
    },
    /// An order came whose id was used before. It was not carried out.
    Duplicate {
        /// When.
        at_ns: u64,
        /// The id.
        order_id: OrderId,
    },
    /// The market reached an order's trigger price.
    Triggered {
        /// When.
        at_ns: u64,
        /// Which order.
        order_id: OrderId,
    },
    /// An order traded.
    Traded {
        /// When.
        at_ns: u64,
        /// Which order.
        order_id: OrderId,
        /// The trade's id, unique at this venue.
        trade_id: u64,
        /// Price, in ticks.
        price_ticks: i64,
        /// Quantity, in steps.
        quantity_steps: i64,
        /// Fee in the account's currency; negative for a rebate.
        fee: Money,
        /// True when the order rested.
        maker: bool,
    },
    /// An order was changed to these totals.
    Replaced {
        /// When.
        at_ns: u64,
        /// Which order.
        order_id: OrderId,
        /// Total quantity, in steps.
        quantity_steps: i64,
        /// Limit price, in ticks; 0 without one.
        price_ticks: i64,
        /// Trigger price, in ticks; 0 without one.
        stop_price_ticks: i64,
    },
    /// The rest of an order was cancelled.
    Cancelled {
        /// When.
        at_ns: u64,
        /// Which order.
        order_id: OrderId,
    },
    /// An order's time ran out.
    Expired {
        /// When.
        at_ns: u64,
        /// Which order.
        order_id: OrderId,
    },
}

impl LedgerEntry {
    /// The order that it is about.
    pub fn order_id(&self) -> Option<OrderId> {
        match self {
            Self::Instrument { .. } => None,
            Self::Received { order, .. } | Self::Refused { order, .. } => Some(order.order_id),
            Self::Duplicate { order_id, .. }
            | Self::Triggered { order_id, .. }
            | Self::Traded { order_id, .. }
            | Self::Replaced { order_id, .. }
            | Self::Cancelled { order_id, .. }
            | Self::Expired { order_id, .. } => Some(*order_id),
        }
    }

    /// Appends the entry's bytes: a kind, then its numbers, little-endian.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Instrument { instrument, symbol, price_increment, quantity_increment } => {
                bytes.push(0);
                bytes.extend_from_slice(&instrument.0.to_le_bytes());
                put_text(bytes, symbol);
                put_decimal(bytes, *price_increment);
                put_decimal(bytes, *quantity_increment);
            }
            Self::Received { at_ns, venue_order_id, order } => {
                put_kind(bytes, 1, *at_ns);
                bytes.extend_from_slice(&venue_order_id.to_le_bytes());
                put_order(bytes, order);
            }
            Self::Refused { at_ns, venue_order_id, order, reason } => {
                put_kind(bytes, 2, *at_ns);
                bytes.extend_from_slice(&venue_order_id.to_le_bytes());
                put_order(bytes, order);
                put_text(bytes, reason);
            }
            Self::Duplicate { at_ns, order_id } => put_about(bytes, 3, *at_ns, *order_id),
            Self::Triggered { at_ns, order_id } => put_about(bytes, 4, *at_ns, *order_id),
            Self::Traded { at_ns, order_id, trade_id, price_ticks, quantity_steps, fee, maker } => {
                put_about(bytes, 5, *at_ns, *order_id);
                bytes.extend_from_slice(&trade_id.to_le_bytes());
                bytes.extend_from_slice(&price_ticks.to_le_bytes());
                bytes.extend_from_slice(&quantity_steps.to_le_bytes());
                bytes.extend_from_slice(&fee.0.to_le_bytes());
                bytes.push(u8::from(*maker));
            }
            Self::Replaced { at_ns, order_id, quantity_steps, price_ticks, stop_price_ticks } => {
                put_about(bytes, 6, *at_ns, *order_id);
                bytes.extend_from_slice(&quantity_steps.to_le_bytes());
                bytes.extend_from_slice(&price_ticks.to_le_bytes());
                bytes.extend_from_slice(&stop_price_ticks.to_le_bytes());
            }
            Self::Cancelled { at_ns, order_id } => put_about(bytes, 7, *at_ns, *order_id),
            Self::Expired { at_ns, order_id } => put_about(bytes, 8, *at_ns, *order_id),
        }
    }

    /// Reads one entry off the front of `bytes`; `None` when they are not an entry.
    pub(super) fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let kind = u8::from_le_bytes(take(bytes)?);
        if kind == 0 {
            return Some(Self::Instrument {
                instrument: InstrumentIndex(u16::from_le_bytes(take(bytes)?)),
                symbol: take_text(bytes)?,
                price_increment: take_decimal(bytes)?,
                quantity_increment: take_decimal(bytes)?,
            });
        }
        let at_ns = u64::from_le_bytes(take(bytes)?);
        if kind <= 2 {
            let venue_order_id = u64::from_le_bytes(take(bytes)?);
            let order = take_order(bytes)?;
            if kind == 1 {
                return Some(Self::Received { at_ns, venue_order_id, order });
            }
            return Some(Self::Refused { at_ns, venue_order_id, order, reason: take_text(bytes)? });
        }
        let order_id = OrderId(u64::from_le_bytes(take(bytes)?));
        Some(match kind {
            3 => Self::Duplicate { at_ns, order_id },
            4 => Self::Triggered { at_ns, order_id },
            5 => Self::Traded {
                at_ns,
                order_id,
                trade_id: u64::from_le_bytes(take(bytes)?),
                price_ticks: i64::from_le_bytes(take(bytes)?),
                quantity_steps: i64::from_le_bytes(take(bytes)?),
                fee: Money(i128::from_le_bytes(take(bytes)?)),
                maker: take_bool(bytes)?,
            },
            6 => Self::Replaced {
                at_ns,
                order_id,
                quantity_steps: i64::from_le_bytes(take(bytes)?),
                price_ticks: i64::from_le_bytes(take(bytes)?),
                stop_price_ticks: i64::from_le_bytes(take(bytes)?),
            },
            7 => Self::Cancelled { at_ns, order_id },
            8 => Self::Expired { at_ns, order_id },
            _ => return None,
        })
    }
}

fn put_kind(bytes: &mut Vec<u8>, kind: u8, at_ns: u64) {
    bytes.push(kind);
    bytes.extend_from_slice(&at_ns.to_le_bytes());
}

fn put_about(bytes: &mut Vec<u8>, kind: u8, at_ns: u64, order_id: OrderId) {
    put_kind(bytes, kind, at_ns);
    bytes.extend_from_slice(&order_id.0.to_le_bytes());
}

fn put_text<const N: usize>(bytes: &mut Vec<u8>, text: &Text<N>) {
    bytes.push(text.as_bytes().len() as u8);
    bytes.extend_from_slice(text.as_bytes());
}

fn put_decimal(bytes: &mut Vec<u8>, decimal: Decimal) {
    bytes.extend_from_slice(&decimal.mantissa.to_le_bytes());
    bytes.push(decimal.scale);
}

fn put_order(bytes: &mut Vec<u8>, order: &VenueOrder) {
    bytes.extend_from_slice(&order.order_id.0.to_le_bytes());
    bytes.extend_from_slice(&order.account.0.to_le_bytes());
    bytes.extend_from_slice(&order.instrument.0.to_le_bytes());
    let order_type = match order.order_type {
        OrderType::Market => 0,
        OrderType::Limit => 1,
        OrderType::Stop => 2,
        OrderType::StopLimit => 3,
    };
    let time_in_force = match order.time_in_force {
        TimeInForce::GoodTillCancel => 0,
        TimeInForce::ImmediateOrCancel => 1,
        TimeInForce::FillOrKill => 2,
        TimeInForce::GoodTillDate => 3,
        TimeInForce::PostOnly => 4,
    };
    let side = u8::from(order.side == Side::Sell);
    bytes.extend_from_slice(&[side, order_type, time_in_force, u8::from(order.reduce_only)]);
    for number in [
        order.quantity_steps,
        order.price_ticks,
        order.stop_price_ticks,
        order.stop_loss_ticks,
        order.take_profit_ticks,
    ] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&order.expire_at_ns.to_le_bytes());
    bytes.extend_from_slice(&order.position_ticket.to_le_bytes());
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn take_bool(bytes: &mut &[u8]) -> Option<bool> {
    match take(bytes)? {
        [0] => Some(false),
        [1] => Some(true),
        _ => None,
    }
}

fn take_text<const N: usize>(bytes: &mut &[u8]) -> Option<Text<N>> {
    let [length] = take(bytes)?;
    let (text, rest) = bytes.split_at_checked(usize::from(length))?;
    *bytes = rest;
    Text::new(std::str::from_utf8(text).ok()?).ok()
}

fn take_decimal(bytes: &mut &[u8]) -> Option<Decimal> {
    let mantissa = i64::from_le_bytes(take(bytes)?);
    let [scale] = take(bytes)?;
    Some(Decimal::new(mantissa, scale))
}

fn take_order(bytes: &mut &[u8]) -> Option<VenueOrder> {
    let order_id = OrderId(u64::from_le_bytes(take(bytes)?));
    let account = AccountIndex(u16::from_le_bytes(take(bytes)?));
    let instrument = InstrumentIndex(u16::from_le_bytes(take(bytes)?));
    let side = if take_bool(bytes)? { Side::Sell } else { Side::Buy };
    let order_type = match take(bytes)? {
        [0] => OrderType::Market,
        [1] => OrderType::Limit,
        [2] => OrderType::Stop,
        [3] => OrderType::StopLimit,
        _ => return None,
    };
    let time_in_force = match take(bytes)? {
        [0] => TimeInForce::GoodTillCancel,
        [1] => TimeInForce::ImmediateOrCancel,
        [2] => TimeInForce::FillOrKill,
        [3] => TimeInForce::GoodTillDate,
        [4] => TimeInForce::PostOnly,
        _ => return None,
    };
    Some(VenueOrder {
        order_id,
        account,
        instrument,
        side,
        order_type,
        time_in_force,
        reduce_only: take_bool(bytes)?,
        quantity_steps: i64::from_le_bytes(take(bytes)?),
        price_ticks: i64::from_le_bytes(take(bytes)?),
        stop_price_ticks: i64::from_le_bytes(take(bytes)?),
        stop_loss_ticks: i64::from_le_bytes(take(bytes)?),
        take_profit_ticks: i64::from_le_bytes(take(bytes)?),
        expire_at_ns: u64::from_le_bytes(take(bytes)?),
        position_ticket: u64::from_le_bytes(take(bytes)?),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    pub(in crate::paper) fn order() -> VenueOrder {
        VenueOrder {
            order_id: OrderId(1),
            account: AccountIndex(2),
            instrument: InstrumentIndex(3),
            side: Side::Sell,
            order_type: OrderType::StopLimit,
            time_in_force: TimeInForce::GoodTillDate,
            quantity_steps: 4,
            price_ticks: 5,
            stop_price_ticks: 6,
            expire_at_ns: 7,
            reduce_only: true,
            position_ticket: 8,
            stop_loss_ticks: 9,
            take_profit_ticks: 10,
        }
    }

    #[test]
    fn every_entry_reads_as_it_was_written() {
        let (at_ns, order_id) = (11, OrderId(u64::MAX));
        let entries = [
            LedgerEntry::Instrument {
                instrument: InstrumentIndex(12),
                symbol: Symbol::new("BTCUSDT").unwrap(),
                price_increment: Decimal::new(1, 1),
                quantity_increment: Decimal::new(5, 3),
            },
            LedgerEntry::Received { at_ns, venue_order_id: 13, order: order() },
            LedgerEntry::Refused {
                at_ns,
                venue_order_id: 14,
                order: order(),
                reason: Remark::new("because").unwrap(),
            },
            LedgerEntry::Duplicate { at_ns, order_id },
            LedgerEntry::Triggered { at_ns, order_id },
            LedgerEntry::Traded {
                at_ns,
                order_id,
                trade_id: 15,
                price_ticks: 16,
                quantity_steps: 17,
                fee: Money(-18),
                maker: true,
            },
            LedgerEntry::Replaced {
                at_ns,
                order_id,
                quantity_steps: 19,
                price_ticks: 20,
                stop_price_ticks: 21,
            },
            LedgerEntry::Cancelled { at_ns, order_id },
            LedgerEntry::Expired { at_ns, order_id },
        ];
        let mut bytes = Vec::new();
        for entry in &entries {
            entry.encode(&mut bytes);
        }
        let mut rest = bytes.as_slice();
        for entry in entries {
            assert_eq!(LedgerEntry::decode(&mut rest), Some(entry));
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn shortened_bytes_are_no_entry() {
        let mut bytes = Vec::new();
        LedgerEntry::Refused {
            at_ns: 1,
            venue_order_id: 2,
            order: order(),
            reason: Remark::new("no").unwrap(),
        }
        .encode(&mut bytes);
        for length in 0..bytes.len() {
            assert_eq!(LedgerEntry::decode(&mut &bytes[..length]), None, "{length} bytes");
        }
        assert_eq!(LedgerEntry::decode(&mut [9_u8; 40].as_slice()), None);
    }
}
