//! Numbers.

use std::fmt::Display;
use std::ops::RangeInclusive;

use tollgate_protocol::Decimal;
use toml::Value;

use super::Section;
use crate::value::{Wrong, type_name};

/// Which numbers a decimal may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sign {
    /// Above 0.
    Positive,
    /// 0 or above.
    NotNegative,
}

/// A whole number that settings hold.
pub(crate) trait Whole: Copy + PartialOrd + Display + TryFrom<i64> {
    const MAX: Self;
}
impl Whole for u8 {
    const MAX: Self = Self::MAX;
}
impl Whole for u32 {
    const MAX: Self = Self::MAX;
}
impl Whole for u64 {
    const MAX: Self = Self::MAX;
}
impl Whole for usize {
    const MAX: Self = Self::MAX;
}

impl Section<'_> {
    fn whole<T: Whole>(&self, key: &'static str, range: &RangeInclusive<T>) -> Option<T> {
        let expected = || format!("give {} to {}{}", range.start(), range.end(), unit(key));
        self.value(key, |value, expanded| {
            let number = match value {
                Value::Integer(number) => *number,
                Value::String(text) if expanded => text
                    .parse()
                    .map_err(|_| Wrong::new("the value referred to is not an integer", expected()))?,
                other => {
                    return Err(Wrong::new(format!("is {}, not an integer", type_name(other)), expected()));
                }
            };
            let inside = T::try_from(number).ok().filter(|number| range.contains(number));
            inside.ok_or_else(|| Wrong::new("is out of range", expected()))
        })
    }

    /// An integer in `range`.
    pub(crate) fn integer<T: Whole>(&self, key: &'static str, default: T, range: RangeInclusive<T>) -> T {
        let value = self.whole(key, &range).unwrap_or(default);
        self.describe(key, Some(&value.to_string()));
        value
    }

    /// An integer in `range`, or none.
    pub(crate) fn optional_integer<T: Whole>(
        &self,
        key: &'static str,
        range: RangeInclusive<T>,
    ) -> Option<T> {
        let value = self.whole(key, &range);
        self.describe(key, value.map(|value| value.to_string()).as_deref());
        value
    }

    /// An integer from 1 to `greatest`; the greatest of the type is "no limit".
    pub(crate) fn limit<T: Whole + From<u32>>(&self, key: &'static str, default: T, greatest: u32) -> T {
        let value = self.whole(key, &(T::from(1)..=T::from(greatest))).unwrap_or(default);
        let shown = (value != T::MAX).then(|| value.to_string());
        self.describe(key, shown.as_deref());
        value
    }

    fn decimal_value(&self, key: &'static str) -> Option<Decimal> {
        self.value(key, |value, _| match value {
            Value::Integer(number) => Ok(Decimal::new(*number, 0)),
            Value::String(text) => text
                .parse::<Decimal>()
                .map(Decimal::normalized)
                .map_err(|error| Wrong::new(error.to_string(), "give digits in quotes, as in \"0.01\"")),
            Value::Float(number) => {
                Err(Wrong::new("a float is not exact", format!("write it in quotes: \"{number}\"")))
            }
            other => {
                let problem = format!("is {}, not a decimal number", type_name(other));
                Err(Wrong::new(problem, "give digits in quotes, as in \"0.01\""))
            }
        })
    }

    /// A decimal, given in quotes or as an integer.
    pub(crate) fn decimal_or(
        &self,
        key: &'static str,
        default: Option<Decimal>,
        sign: Sign,
    ) -> Option<Decimal> {
        let value = self.decimal_value(key).filter(|value| {
            let (right, advice) = match sign {
                Sign::Positive => (value.mantissa > 0, "give a number above 0"),
                Sign::NotNegative => (value.mantissa >= 0, "give 0 or a number above"),
            };
            if !right {
                self.wrong(key, "is out of range", advice);
            }
            right
        });
        let value = value.or(default);
        self.describe(key, value.map(|value| format!("\"{value}\"")).as_deref());
        value
    }

    /// A decimal that must be there.
    pub(crate) fn required_decimal(&self, key: &'static str, sign: Sign, advice: &str) -> Option<Decimal> {
        self.missing(key, advice);
        self.decimal_or(key, None, sign)
    }

    /// A decimal from `lowest` to `highest`.
    pub(crate) fn decimal_between(
        &self,
        key: &'static str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Decimal {
        let value = self.decimal_value(key).filter(|value| {
            let attos = |whole: i64| Decimal::new(whole, 0).to_attos();
            let inside = value.to_attos() >= attos(*range.start()) && value.to_attos() <= attos(*range.end());
            if !inside {
                self.wrong(key, "is out of range", &format!("give {} to {}", range.start(), range.end()));
            }
            inside
        });
        let value = value.unwrap_or(Decimal::new(default, 0));
        self.describe(key, Some(&format!("\"{value}\"")));
        value
    }

    /// Hundredths of a percent, as whole millionths in `range`.
    pub(crate) fn ppm_from_bps(
        &self,
        key: &'static str,
        default: Option<Decimal>,
        range: RangeInclusive<i64>,
    ) -> Option<u64> {
        let ppm = |value: Decimal| value.rescaled(2).filter(|ppm| range.contains(ppm));
        let value = self.decimal_value(key).filter(|value| {
            if ppm(*value).is_none() {
                let bound = |ppm: i64| Decimal::new(ppm, 2).normalized();
                let (lowest, highest) = (bound(*range.start()), bound(*range.end()));
                let advice = format!("give {lowest} to {highest} (hundredths of a percent), two digits behind the point at most");
                self.wrong(key, "is out of range", &advice);
            }
            ppm(*value).is_some()
        });
        let value = value.or(default);
        self.describe(key, value.map(|value| format!("\"{value}\"")).as_deref());
        value.and_then(ppm).map(i64::unsigned_abs)
    }
}

/// ` (milliseconds)` and the like, from the end of a key.
fn unit(key: &str) -> &'static str {
    let units = [
        ("_ms", " (milliseconds)"),
        ("_ms_max", " (milliseconds)"),
        ("_ms_min", " (milliseconds)"),
        ("_seconds", " (seconds)"),
        ("_bytes", " (bytes)"),
        ("_percent", " (percent)"),
        ("_ticks", " (ticks)"),
    ];
    units.iter().find(|(suffix, _)| key.ends_with(suffix)).map_or("", |(_, unit)| unit)
}
