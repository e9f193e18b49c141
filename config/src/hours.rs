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
        let weekly: Vec<_> = tables.into_iter().filter_map(WeeklySession::read).collect();
        let zone_name = zone_name.unwrap_or_else(|| "UTC".to_owned());
        let Ok(zone) = TimeZone::get(&zone_name) else {
            section.wrong(
                "time_zone",
                "is not a time zone",
                "give a name as in \"America/New_York\" or \"UTC\"",
            );
            return Self::ALWAYS;
        };
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
        let days = section.required_text("days", "give days as in \"mon-fri\" or \"sat,sun\"");
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
    let wrong = || Wrong::new("is not a list of days", "give days as in \"mon-fri\" or \"sat,sun\"");
    let mut days = [false; 7];
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
