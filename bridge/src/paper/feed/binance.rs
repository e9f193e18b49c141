//! Recorded Binance streams.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use tollgate_protocol::instrument::{Grid, Instrument, InstrumentIndex};

use super::record::{Record, quote_on_grid};

/// Reads the lines of one recording.
pub(super) struct Binance {
    instruments: HashMap<String, (InstrumentIndex, Grid)>,
}

/// What a line turned out to be.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Message {
    /// A quote.
    Quote(Record),
    /// A quote of a symbol that no instrument has.
    UnknownSymbol,
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
    pub(super) fn decode(&self, line: &str) -> Result<Message, String> {
        if line.is_empty() {
            return Ok(Message::Other);
        }
        let (time, json) = line.split_once(' ').ok_or("no space between time and message")?;
        let at_ns = time.parse().map_err(|_| format!("time {time:?} is not a number of nanoseconds"))?;
        let Some(ticker) = book_ticker(json).map_err(|error| error.to_string())? else {
            return Ok(Message::Other);
        };
        let Some((instrument, grid)) = self.instruments.get(ticker.s.as_ref()) else {
            return Ok(Message::UnknownSymbol);
        };
        let quote = quote_on_grid(*instrument, *grid, &ticker.b, &ticker.a)?;
        Ok(Message::Quote(Record { at_ns, quote }))
    }
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
