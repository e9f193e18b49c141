//! Quotes in comma-separated values.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use tollgate_protocol::instrument::{Grid, InstrumentIndex};

use super::record::{Record, Unusable, quote_on_grid};
use super::statistics::Fault;

/// Reads the lines of one file.
pub(super) struct Csv {
    instrument: InstrumentIndex,
    grid: Grid,
    form: Form,
}

/// How the file writes times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// `YYYYMMDD HHMMSSmmm`, without a header.
    Compact,
    /// `2013-01-01 22:00:00.295000+00:00`, behind a header.
    Written,
}

impl Csv {
    /// For one instrument.
    pub(super) fn new(instrument: InstrumentIndex, grid: Grid) -> Self {
        Self { instrument, grid, form: Form::Compact }
    }

    /// Learns the form from the first line; false when it has none that is known.
    pub(super) fn learn(&mut self, first_line: &str) -> bool {
        if is_header(first_line) {
            self.form = Form::Written;
            return true;
        }
        self.form = Form::Compact;
        first_line.split(',').next().is_some_and(|time| compact_time_ns(time).is_ok())
    }

    /// One line; `None` for a header or an empty line.
    pub(super) fn decode(&self, line: &str) -> Result<Option<Record>, Unusable> {
        if line.is_empty() || is_header(line) {
            return Ok(None);
        }
        let mut fields = line.split(',').map(str::trim);
        let (Some(time), Some(bid), Some(ask)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(Unusable::new(Fault::Form, "fewer than three fields: time,bid,ask"));
        };
        let at_ns = match self.form {
            Form::Compact => compact_time_ns(time),
            Form::Written => written_time_ns(time),
        };
        let at_ns = at_ns.map_err(|reason| Unusable::new(Fault::Time, reason))?;
        let quote = quote_on_grid(self.instrument, self.grid, bid, ask)?;
        Ok(Some(Record { at_ns, quote }))
    }
}

fn is_header(line: &str) -> bool {
    let mut names = line.split(',').map(str::trim);
    ["timestamp", "bid", "ask"]
        .iter()
        .all(|name| names.next().is_some_and(|found| found.eq_ignore_ascii_case(name)))
}

/// `YYYYMMDD HHMMSSmmm`, UTC.
fn compact_time_ns(text: &str) -> Result<u64, String> {
    let wrong = || format!("time {text:?} is not YYYYMMDD HHMMSSmmm");
    let bytes = text.as_bytes();
    let is_digits = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_digit);
    if bytes.len() != 18 || bytes[8] != b' ' || !is_digits(&bytes[..8]) || !is_digits(&bytes[9..]) {
        return Err(wrong());
    }
    let number = |from: usize, to: usize| {
        bytes[from..to].iter().fold(0_i32, |number, digit| number * 10 + i32::from(digit - b'0'))
    };
    let (year, month, day) = (number(0, 4) as i16, number(4, 6) as i8, number(6, 8) as i8);
    let (hour, minute, second) = (number(9, 11) as i8, number(11, 13) as i8, number(13, 15) as i8);
    let time = DateTime::new(year, month, day, hour, minute, second, number(15, 18) * 1_000_000);
    let time = time.ok().and_then(|time| Offset::UTC.to_timestamp(time).ok());
    time.and_then(nanoseconds).ok_or_else(wrong)
}

/// Such as `2013-01-01 22:00:00.295000+00:00`; UTC when there is no offset.
fn written_time_ns(text: &str) -> Result<u64, String> {
    let time = text.parse::<Timestamp>();
    let time = time.or_else(|_| text.parse::<DateTime>().and_then(|time| Offset::UTC.to_timestamp(time)));
    time.ok().and_then(nanoseconds).ok_or_else(|| {
        let number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let what = if number { "is a bare number" } else { "is not a time" };
        format!("time {text:?} {what}: write it as 2013-01-01 22:00:00.295+00:00")
    })
}

fn nanoseconds(time: Timestamp) -> Option<u64> {
    u64::try_from(time.as_nanosecond()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tollgate_contract::venue::Quote;
    use tollgate_protocol::decimal::Decimal;

    fn csv(first_line: &str) -> Csv {
        let mut csv = Csv::new(InstrumentIndex(3), Grid::new(Decimal::new(1, 5)).unwrap());
        assert!(csv.learn(first_line), "{first_line}");
        csv
    }

    #[test]
    fn both_forms_give_the_same() {
        let quote = Quote { instrument: InstrumentIndex(3), bid_ticks: 112_120, ask_ticks: 112_172 };
        let record = Some(Record { at_ns: 1_577_898_000_065_000_000, quote });
        let compact = csv("20200101 170000065,1.121200,1.121720,0");
        assert_eq!(compact.decode("20200101 170000065,1.121200,1.121720,0"), Ok(record));
        let written = csv("timestamp,bid,ask");
        assert_eq!(written.decode("timestamp,bid,ask"), Ok(None));
        for time in
            ["2020-01-01 17:00:00.065000+00:00", "2020-01-01T18:00:00.065+01:00", "2020-01-01 17:00:00.065"]
        {
            assert_eq!(written.decode(&format!("{time},1.1212,1.12172")), Ok(record), "{time}");
        }
    }

    #[test]
    fn bad_lines_are_told_by_what_is_wrong() {
        let compact = csv("20200101 170000065,1.121200,1.121720,0");
        for (line, expected) in [
            ("20200101 170000065,1.1212", "three fields"),
            ("20200230 170000065,1.1,1.2,0", "time"),
            ("20200101 250000065,1.1,1.2,0", "time"),
            ("20200101T170000065,1.1,1.2,0", "time"),
            ("20200101 170000065,1.1e0,1.2,0", "bid"),
            ("20200101 170000065,1.1,,0", "ask"),
            ("20200101 170000065,1.3,1.2,0", "below"),
            ("20200101 170000065,0.000001,1.2,0", "one tick"),
            ("20200101 170000065,-1.1,1.2,0", "one tick"),
            ("20200101 170000065,1.1,92233720368547758,0", "too large"),
        ] {
            let reason = compact.decode(line).unwrap_err().reason;
            assert!(reason.contains(expected), "{line}: {reason}");
        }
    }

    #[test]
    fn off_grid_prices_are_rounded_away_from_the_spread() {
        let record =
            csv("timestamp,bid,ask").decode("2020-01-01 17:00:00+00:00,1.1212009,1.1217201").unwrap();
        let quote = record.unwrap().quote;
        assert_eq!((quote.bid_ticks, quote.ask_ticks), (112_120, 112_173));
    }

    #[test]
    fn other_first_lines_are_of_no_known_form() {
        let mut csv = Csv::new(InstrumentIndex(3), Grid::new(Decimal::new(1, 5)).unwrap());
        for line in ["", "time;bid;ask", "2020-01-01 17:00:00,1.1,1.2", "timestamp,open,close"] {
            assert!(!csv.learn(line), "{line}");
        }
    }
}
