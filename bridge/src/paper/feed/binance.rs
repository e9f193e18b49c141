//! Recorded Binance streams.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use serde::Deserialize;
use tollgate_protocol::instrument::{Grid, Instrument, InstrumentIndex};

use super::record::{Record, Unusable, quote_on_grid};
use super::statistics::Fault;

/// The years 2000 to 2099.
const TIMES_NS: Range<u64> = 946_684_800_000_000_000..4_102_444_800_000_000_000;

/// Reads the lines of one recording.
pub(super) struct Binance {
    instruments: HashMap<String, (InstrumentIndex, Grid)>,
}

/// What a line turned out to be.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Message<'a> {
    /// A quote.
    Quote(Record),
    /// A quote of a symbol that no instrument has.
    UnknownSymbol(Cow<'a, str>),
    /// Something else.
    Other,
}

/// A message, bare or in the envelope of a combined stream.
#[derive(Deserialize)]
struct Envelope<'a, T> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    data: Option<T>,
}

/// What tells one message from another.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    e: Option<Cow<'a, str>>,
}

/// The best prices.
#[derive(Deserialize)]
struct BookTicker<'a> {
    #[serde(borrow)]
    s: Cow<'a, str>,
    #[serde(borrow)]
    b: Cow<'a, str>,
    #[serde(borrow)]
    a: Cow<'a, str>,
}

impl Binance {
    /// Maps the symbols of the venue's instruments.
    pub(super) fn new(instruments: &[Instrument], venue: u16) -> Self {
        let own = instruments.iter().enumerate().filter(|(_, instrument)| instrument.venue == venue);
        let named = own.map(|(at, instrument)| {
            (instrument.symbol.as_str().to_owned(), (InstrumentIndex(at as u16), instrument.price))
        });
        Self { instruments: named.collect() }
    }

    /// One line.
    pub(super) fn decode<'a>(&self, line: &'a str) -> Result<Message<'a>, Unusable> {
        if line.is_empty() {
            return Ok(Message::Other);
        }
        let wrong_form = |reason: &str| Unusable::new(Fault::Form, reason);
        let (time, json) =
            line.split_once(' ').ok_or_else(|| wrong_form("no space between time and message"))?;
        let ticker =
            book_ticker(json).map_err(|error| wrong_form(&format!("the message is not JSON: {error}")))?;
        let at_ns = local_time_ns(time).map_err(|reason| Unusable::new(Fault::Time, reason))?;
        let Some(ticker) = ticker else {
            return Ok(Message::Other);
        };
        let Some((instrument, grid)) = self.instruments.get(ticker.s.as_ref()) else {
            return Ok(Message::UnknownSymbol(ticker.s));
        };
        let quote = quote_on_grid(*instrument, *grid, &ticker.b, &ticker.a)?;
        Ok(Message::Quote(Record { at_ns, quote }))
    }
}

/// Nanoseconds since the Unix epoch. A time in another unit would be played a thousand times too fast, or a million.
fn local_time_ns(text: &str) -> Result<u64, String> {
    let time: Option<u64> =
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let Some(time) = time else { return Err(format!("time {text:?} is not a number of nanoseconds")) };
    if TIMES_NS.contains(&time) {
        return Ok(time);
    }
    let units = [("seconds", 1_000_000_000), ("milliseconds", 1_000_000), ("microseconds", 1_000)];
    let is_in = |factor: u64| time.checked_mul(factor).is_some_and(|time_ns| TIMES_NS.contains(&time_ns));
    Err(match units.into_iter().find(|(_, factor)| is_in(*factor)) {
        Some((unit, _)) => format!("time {text} is in {unit}: nanoseconds since 1970 are needed"),
        None => format!("time {text} is none of the years 2000 to 2099 in nanoseconds since 1970"),
    })
}

/// The message's prices; `None` when it is of another kind. Read twice, for `b` and `a` of other kinds are lists.
fn book_ticker(json: &str) -> Result<Option<BookTicker<'_>>, serde_json::Error> {
    let envelope: Envelope<Kind> = serde_json::from_str(json)?;
    if let Some(data) = envelope.data {
        let is_ticker = match (&data.e, &envelope.stream) {
            (Some(kind), _) => kind == "bookTicker",
            // Spot streams name the kind outside alone.
            (None, stream) => stream.as_ref().is_some_and(|stream| stream.ends_with("@bookTicker")),
        };
        if !is_ticker {
            return Ok(None);
        }
        return serde_json::from_str::<Envelope<BookTicker>>(json).map(|envelope| envelope.data);
    }
    if serde_json::from_str::<Kind>(json)?.e.is_none_or(|kind| kind != "bookTicker") {
        return Ok(None);
    }
    serde_json::from_str(json).map(Some)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_in_another_unit_are_named() {
        assert_eq!(local_time_ns("1723161255030314667"), Ok(1_723_161_255_030_314_667));
        for (time, expected) in [
            ("1723161255", "is in seconds"),
            ("1723161255030", "is in milliseconds"),
            ("1723161255030314", "is in microseconds"),
            ("17231612550303146670", "none of the years"),
            ("0", "none of the years"),
            ("+1723161255030314667", "not a number"),
            ("1723161255.030314667", "not a number"),
            ("", "not a number"),
        ] {
            let reason = local_time_ns(time).unwrap_err();
            assert!(reason.contains(expected), "{time}: {reason}");
        }
    }
}
