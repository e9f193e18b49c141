//! One quote of a recording, on the instrument's grid.

use tollgate_protocol::decimal::Decimal;
use tollgate_protocol::instrument::{Grid, InstrumentIndex, OffGrid};

use super::statistics::Fault;
use tollgate_contract::venue::Quote;

/// One quote of a recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// When it was recorded, in nanoseconds.
    pub(super) at_ns: u64,
    pub(super) quote: Quote,
}

/// Why a line is no quote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Unusable {
    pub(super) fault: Fault,
    /// What is wrong, with the value.
    pub(super) reason: String,
}

impl Unusable {
    pub(super) fn new(fault: Fault, reason: impl Into<String>) -> Self {
        Self { fault, reason: reason.into() }
    }
}

/// A quote on the grid: what lies between two ticks is rounded away from the spread, bids down and asks up.
pub(super) fn quote_on_grid(
    instrument: InstrumentIndex,
    grid: Grid,
    bid: &str,
    ask: &str,
) -> Result<Quote, Unusable> {
    let wrong = |reason| Unusable::new(Fault::Price, reason);
    let ticks = |name: &str, text: &str, is_ask: bool| {
        let price: Decimal = text.parse().map_err(|error| wrong(format!("{name} {text:?}: {error}")))?;
        match grid.units(price) {
            Ok(ticks) => Ok(ticks),
            Err(OffGrid::Between { below, above }) => Ok(if is_ask { above } else { below }),
            Err(OffGrid::OutOfRange) => {
                Err(wrong(format!("{name} {text:?} is too large or has too many digits")))
            }
        }
    };
    let (bid_ticks, ask_ticks) = (ticks("bid", bid, false)?, ticks("ask", ask, true)?);
    if bid_ticks <= 0 {
        return Err(wrong(format!("bid {bid:?} is not at least one tick of {}", grid.increment())));
    }
    if ask_ticks < bid_ticks {
        return Err(wrong(format!("ask {ask:?} is below bid {bid:?}")));
    }
    Ok(Quote { instrument, bid_ticks, ask_ticks })
}
