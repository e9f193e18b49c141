//! Refusals: a stable code, whose rule it was, and the numbers behind it.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::decimal::Decimal;
use crate::wire::{Malformed, Reader, Wire, Writer};
use crate::{wire_enum, wire_struct};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $text:literal;)+) => {
        /// Why something was refused. Numbers and names are stable: none is ever changed or used again.
        /// On the wire a code is its number (postcard `u16`).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u16)]
        pub enum Code { $($(#[doc = $doc])+ $name = $number,)+ }

        impl Code {
            /// Every code, in order of number.
            pub const ALL: &[Code] = &[$(Code::$name,)+];

            /// The stable number.
            #[inline]
            pub const fn number(self) -> u16 { self as u16 }

            /// The stable name, as `CATEGORY_CONDITION`.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$name => $text,)+ }
            }

            /// The code with this number.
            pub const fn from_number(number: u16) -> Option<Code> {
                match number { $($number => Some(Code::$name),)+ _ => None }
            }

            /// What the code means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    // 1xx: frames and sessions. These end the session.
    /// The frame does not begin with the magic bytes `TG`.
    FrameMagic = 100, "FRAME_MAGIC";
    /// The frame's version is not one this gateway speaks.
    FrameVersion = 101, "FRAME_VERSION";
    /// The frame is longer than the limit.
    FrameTooLarge = 102, "FRAME_TOO_LARGE";
    /// The frame's kind is unknown, or not allowed at this point of the session.
    FrameKind = 103, "FRAME_KIND";
    /// The frame's body does not decode, or bytes are left over.
    FrameBody = 104, "FRAME_BODY";
    /// The frame's sequence is not the next one: replayed, reordered or lost.
    FrameSequence = 105, "FRAME_SEQUENCE";
    /// The frame's MAC does not match.
    FrameMac = 106, "FRAME_MAC";
    /// The logon was not completed in time.
    LogonTimeout = 110, "LOGON_TIMEOUT";
    /// Unknown key, wrong proof, revoked or expired key; never said which.
    LogonFailed = 111, "LOGON_FAILED";
    /// Too many failed logons of this key from this address; see to the key. A right proof is never refused.
    LogonBlocked = 112, "LOGON_BLOCKED";
    /// Too many connections that have not logged on; the oldest make room.
    LogonBusy = 113, "LOGON_BUSY";
    /// No session is free: the gateway's or the client's limit is reached.
    SessionLimit = 120, "SESSION_LIMIT";
    /// The client reads too slowly: its outgoing buffer is full.
    SessionSlowReader = 121, "SESSION_SLOW_READER";
    /// Nothing was heard from the client for the agreed time.
    SessionHeartbeatMissed = 122, "SESSION_HEARTBEAT_MISSED";
    /// A frame was begun and not completed in time.
    SessionSlowSender = 123, "SESSION_SLOW_SENDER";
    /// The gateway is stopping.
    SessionShutdown = 124, "SESSION_SHUTDOWN";
    /// Events after the sequence asked for are no longer in the journal, or the disk holds them back.
    ResumeUnavailable = 125, "RESUME_UNAVAILABLE";
    /// The key was revoked or has expired while the session stood.
    SessionKeyEnded = 126, "SESSION_KEY_ENDED";

    // 2xx: what the key may do.
    /// The key's scopes do not include this action.
    ScopeNotAllowed = 200, "SCOPE_NOT_ALLOWED";
    /// The account is unknown, or not the key's.
    AccountNotAllowed = 201, "ACCOUNT_NOT_ALLOWED";
    /// The symbol is not among the key's, or is on the restricted list.
    SymbolNotAllowed = 202, "SYMBOL_NOT_ALLOWED";
    /// The symbol is not configured.
    SymbolUnknown = 203, "SYMBOL_UNKNOWN";
    /// The command names no account and the key has more than one.
    AccountMissing = 204, "ACCOUNT_MISSING";

    // 3xx: identity and time of the command.
    /// The command id was used before with other content.
    DuplicateCommand = 300, "DUPLICATE_COMMAND";
    /// The deadline has passed, or the command was made before the deduplication window.
    CommandExpired = 301, "COMMAND_EXPIRED";
    /// The command says that it was made in the future, beyond the allowed clock difference.
    CommandFromFuture = 302, "COMMAND_FROM_FUTURE";
    /// The same order (all but its id) came within the repeat window.
    RepeatedOrder = 303, "REPEATED_ORDER";
    /// No such order of this client.
    OrderUnknown = 310, "ORDER_UNKNOWN";
    /// The order is already final.
    OrderFinal = 311, "ORDER_FINAL";
    /// A cancel or replace of the order is under way.
    OrderPending = 312, "ORDER_PENDING";
    /// The replace changes nothing, or something that this type of order does not have.
    ReplaceInvalid = 313, "REPLACE_INVALID";
    /// There is no position to close.
    PositionNone = 314, "POSITION_NONE";
    /// The outcome of the order at its venue is not known yet; it can be cancelled, not replaced.
    OrderUnknownAtVenue = 315, "ORDER_UNKNOWN_AT_VENUE";

    // 4xx: precision and the instrument's rules.
    /// A price is missing, or given where the order type has none.
    PriceInvalid = 400, "PRICE_INVALID";
    /// The price is not a multiple of the tick.
    PriceNotOnTick = 401, "PRICE_NOT_ON_TICK";
    /// The price is below the instrument's minimum.
    PriceBelowMinimum = 402, "PRICE_BELOW_MINIMUM";
    /// The price is above the instrument's maximum.
    PriceExceedsMaximum = 403, "PRICE_EXCEEDS_MAXIMUM";
    /// A buy's price is too far above the reference price, or a sell's too far below (our collar); or it is outside
    /// the venue's percent rule.
    PriceOutsideCollar = 404, "PRICE_OUTSIDE_COLLAR";
    /// The quantity is not a multiple of the step.
    QuantityNotOnStep = 410, "QUANTITY_NOT_ON_STEP";
    /// The quantity is below the minimum, or nothing is left of it after rounding.
    QuantityBelowMinimum = 411, "QUANTITY_BELOW_MINIMUM";
    /// The quantity is above a maximum.
    QuantityExceedsMaximum = 412, "QUANTITY_EXCEEDS_MAXIMUM";
    /// Price times quantity is below the instrument's minimum.
    NotionalBelowMinimum = 420, "NOTIONAL_BELOW_MINIMUM";
    /// Price times quantity is above a maximum for one order.
    NotionalExceedsMaxPerOrder = 421, "NOTIONAL_EXCEEDS_MAX_PER_ORDER";
    /// A number is too large, or has too many digits, to be computed with exactly.
    NumberOutOfRange = 422, "NUMBER_OUT_OF_RANGE";
    /// The combination of order type, time in force and fields is not valid.
    OrderInvalid = 430, "ORDER_INVALID";
    /// The venue does not offer what the order asks for.
    NotSupportedByVenue = 431, "NOT_SUPPORTED_BY_VENUE";

    // 5xx: risk.
    /// Position and working orders would pass a limit on one symbol.
    PositionExceedsLimit = 500, "POSITION_EXCEEDS_LIMIT";
    /// Gross or net notional over all symbols would pass a limit.
    ExposureExceedsLimit = 501, "EXPOSURE_EXCEEDS_LIMIT";
    /// There would be more open orders than allowed.
    OpenOrdersExceedLimit = 502, "OPEN_ORDERS_EXCEED_LIMIT";
    /// The reduce-only order would increase or flip the position.
    ReduceOnlyWouldIncreasePosition = 503, "REDUCE_ONLY_WOULD_INCREASE_POSITION";
    /// More commands in a second than allowed.
    RateLimitExceeded = 504, "RATE_LIMIT_EXCEEDED";
    /// More orders in a minute, an hour or a day than allowed.
    OrderCountExceedsLimit = 505, "ORDER_COUNT_EXCEEDS_LIMIT";
    /// Today's loss has reached its limit: entries are rejected until the daily reset.
    DailyLossExceeded = 506, "DAILY_LOSS_EXCEEDED";
    /// The fall from the day's best result has reached its limit: entries are rejected until the daily reset.
    DrawdownExceeded = 507, "DRAWDOWN_EXCEEDED";
    /// The order would trade with one of the account's own.
    SelfTrade = 508, "SELF_TRADE";
    /// There is no reference price young enough for the checks that need one.
    PriceStale = 509, "PRICE_STALE";
    /// Outside the instrument's trading hours.
    OutsideTradingHours = 510, "OUTSIDE_TRADING_HOURS";

    // 6xx: the state of trading.
    /// Trading is halted for the gateway, the account or the symbol.
    TradingHalted = 600, "TRADING_HALTED";
    /// Only what makes a position smaller is served.
    TradingStateReducing = 601, "TRADING_STATE_REDUCING";
    /// There is no halt of that scope to resume.
    HaltNone = 602, "HALT_NONE";
    /// The halt asks for a state that is not a halt.
    HaltInvalid = 603, "HALT_INVALID";

    // 7xx: the gateway's own capacity.
    /// The way to the venue is full; cancels still pass.
    QueueFull = 700, "QUEUE_FULL";
    /// The order table is full.
    OrderTableFull = 701, "ORDER_TABLE_FULL";
    /// The journal is full; cancels and closes still pass.
    JournalFull = 702, "JOURNAL_FULL";
    /// The journal's disk failed; cancels and closes still pass.
    JournalFailed = 703, "JOURNAL_FAILED";
    /// The gateway is still recovering.
    Recovering = 704, "RECOVERING";

    // 8xx: the venue.
    /// The venue is not connected.
    VenueDown = 800, "VENUE_DOWN";
    /// The venue's state is being reconciled.
    StreamReconciling = 801, "STREAM_RECONCILING";
    /// The venue rejected the order; its own words are in the report.
    VenueRejected = 802, "VENUE_REJECTED";
    /// The order never reached the venue: it was asked and does not know it.
    VenueNeverReached = 803, "VENUE_NEVER_REACHED";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Wire for Code {
    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        self.number().write(out);
    }

    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::from_number(u16::read(from)?).ok_or(Malformed)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.name())
        } else {
            serializer.serialize_u16(self.number())
        }
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u16::deserialize(deserializer)?;
        Self::from_number(number).ok_or_else(|| de::Error::custom("unknown reject code"))
    }
}

/// Whose rule refused. The order of the variants is the wire's discriminant: append only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub enum Owner {
    /// The gateway itself: protocol, capacity.
    Gateway,
    /// The firm's limits.
    Firm,
    /// The account's limits.
    Account,
    /// The client's limits, scopes or ids.
    Client,
    /// The symbol: the instrument's rules or limits set for it.
    Symbol,
    /// The venue.
    Venue,
    /// The session.
    Session,
}

wire_enum!(Owner { 0 = Gateway, 1 = Firm, 2 = Account, 3 = Client, 4 = Symbol, 5 = Venue, 6 = Session });

impl Owner {
    /// The owner's name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Firm => "firm",
            Self::Account => "account",
            Self::Client => "client",
            Self::Symbol => "symbol",
            Self::Venue => "venue",
            Self::Session => "session",
        }
    }
}

/// A refusal. Where a code has no numbers, they are zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Reject {
    /// Why.
    pub code: Code,
    /// Whose rule.
    pub owner: Owner,
    /// What was asked for, or what it would have led to.
    pub value: Decimal,
    /// The limit; for a value off its grid, the nearest valid value below.
    pub limit: Decimal,
    /// For a value off its grid, the nearest valid value above; else zero.
    pub above: Decimal,
}

wire_struct!(Reject { code, owner, value, limit, above });

impl Reject {
    /// A refusal without numbers.
    #[inline]
    pub const fn new(code: Code, owner: Owner) -> Self {
        Self { code, owner, value: Decimal::ZERO, limit: Decimal::ZERO, above: Decimal::ZERO }
    }

    /// A refusal by a limit.
    #[inline]
    pub const fn limit(code: Code, owner: Owner, value: Decimal, limit: Decimal) -> Self {
        Self { code, owner, value, limit, above: Decimal::ZERO }
    }
}

impl fmt::Display for Reject {
    /// `CATEGORY_CONDITION owner=… value=… limit=…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} owner={}", self.code, self.owner.name())?;
        if matches!(self.code, Code::PriceNotOnTick | Code::QuantityNotOnStep) {
            return write!(f, " value={} below={} above={}", self.value, self.limit, self.above);
        }
        if self.value != Decimal::ZERO || self.limit != Decimal::ZERO {
            write!(f, " value={} limit={}", self.value, self.limit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_ordered_and_read_back() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(*code));
            assert!(code.meaning().ends_with('.') && !code.meaning().starts_with(' '), "{code}");
        }
        assert_eq!(Code::from_number(0), None);
    }

    #[test]
    fn the_message_names_the_numbers() {
        let reject = Reject {
            above: Decimal::new(102, 2),
            ..Reject::limit(Code::PriceNotOnTick, Owner::Symbol, Decimal::new(1015, 3), Decimal::new(101, 2))
        };
        assert_eq!(reject.to_string(), "PRICE_NOT_ON_TICK owner=symbol value=1.015 below=1.01 above=1.02");
    }
}
