//! When an instrument trades.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::reader::{Section, parse_time_of_day};
use crate::value::{Wrong, quoted};

/// The first year whose sessions are known. Fixed, not taken from a clock: an old journal replays alike.
const YEAR_FIRST: i16 = 2024;
/// The last year whose sessions are known; after it a scheduled instrument is closed.
const YEAR_LAST: i16 = 2049;
/// Sessions of a week, and dates without any.
const HOURS_MAX: usize = 64;
const HOLIDAYS_MAX: usize = 1000;
const DAY_SECONDS: u32 = 86_400;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// When an instrument trades: always, or in sessions of the years 2024 to 2049 in UTC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TradingHours(Hours);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Hours {
    Always,
    /// Sorted, apart from each other.
    Sessions(Arc<[Session]>),
}

/// From the first nanosecond on, up to and without the last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Session {
    open_ns: u64,
    close_ns: u64,
}

/// A session of each week, in local time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct WeeklySession {
    /// From Monday: the days on which it opens.
    days: [bool; 7],
    open_seconds: u32,
    /// Not after the opening: it closes the day after.
    close_seconds: u32,
}

impl TradingHours {
    /// Day and night.
    pub const ALWAYS: Self = Self(Hours::Always);

    /// True when trading goes on at `now_ns`, nanoseconds since the Unix epoch.
    #[inline]
    pub fn is_open(&self, now_ns: u64) -> bool {
        match &self.0 {
            Hours::Always => true,
            Hours::Sessions(sessions) => {
                let begun = sessions.partition_point(|session| session.open_ns <= now_ns);
                begun > 0 && now_ns < sessions[begun - 1].close_ns
            }
        }
    }

    fn weekly(weekly: &[WeeklySession], zone: &TimeZone, holidays: &[Date]) -> Self {
        let mut sessions = Vec::new();
        let mut day = Date::constant(YEAR_FIRST, 1, 1);
        while day.year() <= YEAR_LAST {
            let weekday = day.weekday().to_monday_zero_offset() as usize;
            if !holidays.contains(&day) {
                let opening = weekly.iter().filter(|session| session.days[weekday]);
                sessions.extend(opening.filter_map(|session| session.on(day, zone)));
            }
            match day.tomorrow() {
                Ok(next) => day = next,
                Err(_) => break,
            }
        }
        Self(Hours::Sessions(joined(sessions).into()))
    }

    /// Reads `hours`, `time_zone` and `holidays`. Instruments of the same hours share them.
    pub(crate) fn read(section: &Section<'_>, cache: &mut BTreeMap<String, Self>) -> Self {
        let zone_name = section.optional_text("time_zone");
        let holiday_names = section.names("holidays");
        let Some(tables) = section.inline_sections("hours") else {
            for key in ["time_zone", "holidays"].into_iter().filter(|key| section.has(key)) {
                section.wrong(key, "has no effect without hours", "give hours too, or leave this out");
            }
            return Self::ALWAYS;
        };
        if tables.is_empty() {
            section.wrong(
                "hours",
                "has no sessions: it would never trade",
                "leave it out, and it always trades",
            );
        }
        let weekly: Vec<_> = tables.into_iter().filter_map(WeeklySession::read).collect();
        let zone_name = zone_name.unwrap_or_else(|| "UTC".to_owned());
        let mut holidays = Vec::new();
        for (path, text) in holiday_names.unwrap_or_default() {
            match text.parse::<Date>() {
                Ok(date) => holidays.push(date),
                Err(_) => {
                    section.context().wrong(
                        &path,
                        Some(&quoted(&text)),
                        "is not a date",
                        "give it as 2026-12-25",
                    );
                }
            }
        }
        let Ok(zone) = TimeZone::get(&zone_name) else {
            section.wrong(
                "time_zone",
                "is not a time zone",
                "give a name as in \"America/New_York\" or \"UTC\"",
            );
            return Self::ALWAYS;
        };
        for (key, count, limit) in
            [("hours", weekly.len(), HOURS_MAX), ("holidays", holidays.len(), HOLIDAYS_MAX)]
        {
            if count > limit {
                section.wrong(key, &format!("has {count} entries"), &format!("give {limit} at most"));
                return Self::ALWAYS;
            }
        }
        let key = format!("{weekly:?} {zone_name} {holidays:?}");
        cache.entry(key).or_insert_with(|| Self::weekly(&weekly, &zone, &holidays)).clone()
    }
}

impl WeeklySession {
    fn read(section: Section<'_>) -> Option<Self> {
        let days = section.required_text("days", "give days as in \"mon-fri\", \"sat,sun\" or \"daily\"");
        let open = section.required_text("open", "give the time of opening, as in \"09:00\"");
        let close = section.required_text("close", "give the time of closing, as in \"17:30\" or \"24:00\"");
        let days = days.and_then(|text| match parse_days(&text) {
            Ok(days) => Some(days),
            Err(wrong) => {
                section.wrong("days", &wrong.problem, &wrong.advice);
                None
            }
        });
        let time = |key, text: Option<String>| {
            let midnight = key == "close" && text.as_deref() == Some("24:00");
            let seconds = if midnight { Some(0) } else { parse_time_of_day(text.as_deref()?) };
            if seconds.is_none() {
                section.wrong(key, "is not a time of day", "give hours and minutes, as in \"09:00\"");
            }
            seconds
        };
        let (open_seconds, close_seconds) = (time("open", open), time("close", close));
        section.close();
        Some(Self { days: days?, open_seconds: open_seconds?, close_seconds: close_seconds? })
    }

    /// The session that opens on `day`. `None` when it is empty, as one inside the hour that a change to
    /// daylight saving leaves out.
    fn on(&self, day: Date, zone: &TimeZone) -> Option<Session> {
        let closing = if self.close_seconds <= self.open_seconds { day.tomorrow().ok()? } else { day };
        let open_ns = nanoseconds(day, self.open_seconds, zone)?;
        let close_ns = nanoseconds(closing, self.close_seconds, zone)?;
        (open_ns < close_ns).then_some(Session { open_ns, close_ns })
    }
}

/// Since the Unix epoch. A local time that a change of the clock leaves out is as far after the change as it would
/// have been; one that comes twice is the first.
fn nanoseconds(day: Date, seconds: u32, zone: &TimeZone) -> Option<u64> {
    let seconds = seconds % DAY_SECONDS;
    let part = |number: u32| i8::try_from(number).ok();
    let time = Time::new(part(seconds / 3600)?, part(seconds / 60 % 60)?, part(seconds % 60)?, 0).ok()?;
    let timestamp = zone.to_ambiguous_timestamp(day.to_datetime(time)).compatible().ok()?;
    u64::try_from(timestamp.as_nanosecond()).ok()
}

/// Sorted, with what overlaps or touches made one.
fn joined(mut sessions: Vec<Session>) -> Vec<Session> {
    sessions.sort_unstable();
    let mut result: Vec<Session> = Vec::with_capacity(sessions.len());
    for session in sessions {
        match result.last_mut() {
            Some(last) if session.open_ns <= last.close_ns => {
                last.close_ns = last.close_ns.max(session.close_ns);
            }
            _ => result.push(session),
        }
    }
    result
}

fn parse_days(text: &str) -> Result<[bool; 7], Wrong> {
    let day = |name: &str| DAYS.iter().position(|day| *day == name.trim());
    let wrong =
        || Wrong::new("is not a list of days", "give days as in \"mon-fri\", \"sat,sun\" or \"daily\"");
    let mut days = [false; 7];
    if text == "daily" {
        return Ok([true; 7]);
    }
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first).ok_or_else(wrong)?, day(last).ok_or_else(wrong)?);
        days[at] = true;
        while at != last {
            at = (at + 1) % 7;
            days[at] = true;
        }
    }
    Ok(days)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn session(days: &str, open: &str, close: &str) -> WeeklySession {
        let seconds = |text: &str| if text == "24:00" { 0 } else { parse_time_of_day(text).unwrap() };
        let days = parse_days(days).map_err(|wrong| wrong.problem).unwrap();
        WeeklySession { days, open_seconds: seconds(open), close_seconds: seconds(close) }
    }

    fn hours(weekly: &[WeeklySession], zone: &str, holidays: &[&str]) -> TradingHours {
        let holidays: Vec<Date> = holidays.iter().map(|text| text.parse().unwrap()).collect();
        TradingHours::weekly(weekly, &TimeZone::get(zone).unwrap(), &holidays)
    }

    fn nanos(text: &str) -> u64 {
        text.parse::<Timestamp>().unwrap().as_nanosecond().try_into().unwrap()
    }

    /// Open from `open` on, closed just before; open just before `close`, closed from then on.
    fn assert_session(hours: &TradingHours, open: &str, close: &str) {
        let (open_ns, close_ns) = (nanos(open), nanos(close));
        assert!(!hours.is_open(open_ns - 1), "before {open}");
        assert!(hours.is_open(open_ns), "{open}");
        assert!(hours.is_open(close_ns - 1), "before {close}");
        assert!(!hours.is_open(close_ns), "{close}");
    }

    #[test]
    fn always_is_always() {
        assert!(TradingHours::ALWAYS.is_open(0));
        assert!(TradingHours::ALWAYS.is_open(u64::MAX));
    }

    #[test]
    fn sessions_move_with_daylight_saving() {
        let york = hours(&[session("mon-fri", "09:30", "16:00")], "America/New_York", &[]);
        // 2026-03-08 and 2026-11-01 change the clock.
        assert_session(&york, "2026-03-06T14:30:00Z", "2026-03-06T21:00:00Z");
        assert_session(&york, "2026-03-09T13:30:00Z", "2026-03-09T20:00:00Z");
        assert_session(&york, "2026-10-30T13:30:00Z", "2026-10-30T20:00:00Z");
        assert_session(&york, "2026-11-02T14:30:00Z", "2026-11-02T21:00:00Z");
        assert!(!york.is_open(nanos("2026-03-07T15:00:00Z")), "Saturday");
        assert!(!york.is_open(nanos("2026-03-08T15:00:00Z")), "Sunday");
    }

    #[test]
    fn overnight_sessions_close_the_day_after_and_join() {
        let forex = hours(&[session("sun-thu", "17:00", "17:00")], "America/New_York", &[]);
        assert_session(&forex, "2026-03-01T22:00:00Z", "2026-03-06T22:00:00Z");
        // The clock changes in the middle of the night before it opens.
        assert_session(&forex, "2026-03-08T21:00:00Z", "2026-03-13T21:00:00Z");
        let night = hours(&[session("mon", "22:00", "02:00")], "UTC", &[]);
        assert_session(&night, "2026-06-01T22:00:00Z", "2026-06-02T02:00:00Z");
    }

    /// A night with a change of the clock is an hour shorter or longer.
    #[test]
    fn a_night_of_the_change_has_another_length() {
        let night = hours(&[session("daily", "22:00", "06:00")], "Europe/Berlin", &[]);
        assert_session(&night, "2026-03-28T21:00:00Z", "2026-03-29T04:00:00Z");
        assert_session(&night, "2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z");
    }

    /// 02:30 does not exist on the first of these days, and comes twice on the second.
    #[test]
    fn times_that_are_left_out_or_come_twice_have_a_meaning() {
        let morning = hours(&[session("sun", "02:30", "08:00")], "Europe/Berlin", &[]);
        assert_session(&morning, "2026-03-29T01:30:00Z", "2026-03-29T06:00:00Z");
        assert_session(&morning, "2026-10-25T00:30:00Z", "2026-10-25T07:00:00Z");
        let gone = hours(&[session("sun", "02:00", "03:00")], "Europe/Berlin", &[]);
        assert!(!gone.is_open(nanos("2026-03-29T01:00:00Z")), "the hour is left out");
    }

    #[test]
    fn holidays_and_the_end_of_the_day() {
        let day = hours(&[session("daily", "00:00", "24:00")], "UTC", &["2026-12-25"]);
        assert!(!day.is_open(nanos("2026-12-25T00:00:00Z")));
        assert!(!day.is_open(nanos("2026-12-25T23:59:59Z")));
        assert_session(&day, "2026-12-26T00:00:00Z", "2050-01-01T00:00:00Z");
        assert!(!day.is_open(nanos("2023-12-31T12:00:00Z")), "before the first year");
    }

    #[test]
    fn days_are_lists_and_ranges() {
        let days = |text: &str| parse_days(text).ok();
        assert_eq!(days("mon-fri"), Some([true, true, true, true, true, false, false]));
        assert_eq!(days("sat, sun"), Some([false, false, false, false, false, true, true]));
        assert_eq!(days("fri-mon"), Some([true, false, false, false, true, true, true]));
        assert_eq!(days("daily"), Some([true; 7]));
        for wrong in ["", "mon-", "-", "monday", "mon,,tue", "mon-tue-wed"] {
            assert_eq!(days(wrong), None, "{wrong}");
        }
    }

    proptest! {
        /// The precomputed sessions are what the calendar says minute by minute.
        #[test]
        fn agrees_with_the_calendar(
            open in 0_u32..1440, close in 0_u32..1440, days in any::<[bool; 7]>(), minute in 0_i64..9_000_000,
        ) {
            let weekly = WeeklySession { days, open_seconds: open * 60, close_seconds: close * 60 };
            let hours = TradingHours::weekly(&[weekly], &TimeZone::UTC, &[]);
            let start: Timestamp = "2024-01-02T00:00:00Z".parse().unwrap();
            let now = Timestamp::from_second(start.as_second() + minute * 60).unwrap();
            let local = now.to_zoned(TimeZone::UTC);
            let today = local.weekday().to_monday_zero_offset() as usize;
            let yesterday = (today + 6) % 7;
            let of_day = u32::from(local.hour().unsigned_abs()) * 60 + u32::from(local.minute().unsigned_abs());
            let overnight = close <= open;
            let expected = days[today] && of_day >= open && (overnight || of_day < close)
                || days[yesterday] && overnight && of_day < close;
            prop_assert_eq!(hours.is_open(now.as_nanosecond().try_into().unwrap()), expected);
        }
    }
}
