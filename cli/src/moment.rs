//! Times as people write and read them.

use std::time::Duration;

use jiff::Timestamp;

use tollgate_client::now_ns;

/// RFC 3339 in UTC with nanoseconds.
pub(crate) fn full(time_ns: u64) -> String {
    formatted(time_ns, "%Y-%m-%dT%H:%M:%S.%9fZ")
}

/// Date and time to the microsecond, for tables.
pub(crate) fn short(time_ns: u64) -> String {
    formatted(time_ns, "%Y-%m-%d %H:%M:%S.%6f")
}

/// Date and time to the second, for tables.
pub(crate) fn seconds(time_ns: u64) -> String {
    formatted(time_ns, "%Y-%m-%d %H:%M:%S")
}

/// The time of day to the microsecond, for live lines.
pub(crate) fn clock(time_ns: u64) -> String {
    formatted(time_ns, "%H:%M:%S.%6f")
}

fn formatted(time_ns: u64, format: &str) -> String {
    match Timestamp::from_nanosecond(i128::from(time_ns)) {
        Ok(timestamp) => timestamp.strftime(format).to_string(),
        Err(_) => format!("{time_ns} ns"),
    }
}

/// A time on the command line: RFC 3339, `YYYY-MM-DD`, nanoseconds since the epoch, or so long ago (`15m`, `2h`).
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || {
        "not a time: give 2026-01-31T09:00:00Z, 2026-01-31 (UTC), nanoseconds since 1970, or an age such as 90s, \
         15m, 2h, 3d"
            .to_owned()
    };
    if text.len() >= 15 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| wrong());
    }
    if let Ok(age) = parse_duration(text) {
        let age_ns = u64::try_from(age.as_nanos()).map_err(|_| wrong())?;
        return Ok(now_ns().saturating_sub(age_ns));
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let timestamp: Timestamp = whole.parse().map_err(|_| wrong())?;
    u64::try_from(timestamp.as_nanosecond()).map_err(|_| wrong())
}

/// A time to come on the command line: as [`parse`], but `15m` is in 15 minutes.
pub(crate) fn parse_future(text: &str) -> Result<u64, String> {
    match parse_duration(text) {
        Ok(length) => u64::try_from(length.as_nanos())
            .ok()
            .and_then(|length_ns| now_ns().checked_add(length_ns))
            .ok_or_else(|| "beyond all times".to_owned()),
        Err(_) => parse(text),
    }
}

/// The same where a time that is past makes no sense.
pub(crate) fn parse_to_come(text: &str) -> Result<u64, String> {
    let at_ns = parse_future(text)?;
    if at_ns > now_ns() {
        Ok(at_ns)
    } else {
        Err("a time that is past: give one to come, or `30d`".to_owned())
    }
}

/// A length of time on the command line: a whole number with `ms`, `s`, `m`, `h` or `d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "not a length of time: give a number with ms, s, m, h or d, as in 90s".to_owned();
    let end = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..end].parse().map_err(|_| wrong())?;
    let unit_ms: u64 = match &text[end..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

/// A length of time in the unit that suits it, three digits or more.
pub(crate) fn length(nanoseconds: u64) -> String {
    let (unit_ns, name) = match nanoseconds {
        0..10_000 => return format!("{nanoseconds} ns"),
        10_000..10_000_000 => (1_000, "µs"),
        10_000_000..10_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    format!("{}.{} {name}", nanoseconds / unit_ns, nanoseconds % unit_ns * 10 / unit_ns)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_they_are_written() {
        let time_ns = 1_769_850_000_123_456_789;
        assert_eq!(full(time_ns), "2026-01-31T09:00:00.123456789Z");
        assert_eq!(short(time_ns), "2026-01-31 09:00:00.123456");
        assert_eq!(clock(time_ns), "09:00:00.123456");
        assert_eq!(parse(&full(time_ns)).unwrap(), time_ns);
        assert_eq!(parse("1769850000123456789").unwrap(), time_ns);
        assert_eq!(full(parse("2026-01-31").unwrap()), "2026-01-31T00:00:00.000000000Z");
    }

    #[test]
    fn ages_count_back_from_now() {
        let before = now_ns();
        let parsed = parse("2h").unwrap();
        assert!(parsed >= before - 7_200_000_000_000 && parsed <= now_ns() - 7_200_000_000_000);
    }

    #[test]
    fn what_is_no_time_says_what_would_be() {
        for text in ["", "yesterday", "12", "12x", "2026-13-01", "-5m", "1969-12-31"] {
            assert!(parse(text).unwrap_err().contains("2026-01-31"), "{text}");
        }
        assert!(parse_duration("99999999999999999d").is_err());
    }

    #[test]
    fn lengths_have_the_unit_that_suits() {
        let shown: Vec<String> = [0, 9_999, 10_000, 1_234_567, 12_345_678, 61_500_000_000].map(length).into();
        assert_eq!(shown, ["0 ns", "9999 ns", "10.0 µs", "1234.5 µs", "12.3 ms", "61.5 s"]);
    }
}
