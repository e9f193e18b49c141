//! Places and times.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::Value;

use super::Section;
use crate::value::{Wrong, quoted, type_name};

impl Section<'_> {
    /// A path; a relative one starts at the directory of the file.
    pub(crate) fn optional_path(&self, key: &'static str) -> Option<PathBuf> {
        let path = self.path_value(key);
        self.describe(key, path.as_deref().map(|path| quoted(&path.to_string_lossy())).as_deref());
        path
    }

    fn path_value(&self, key: &'static str) -> Option<PathBuf> {
        self.value(key, |value, _| match value {
            Value::String(text) if text.is_empty() => Err(Wrong::new("is empty", "give a path")),
            Value::String(text) if text.contains('\0') => Err(Wrong::new("has a zero byte", "give a path")),
            Value::String(text) => Ok(self.context.base.join(text)),
            other => {
                Err(Wrong::new(format!("is {}, not a string", type_name(other)), "give a path in quotes"))
            }
        })
    }

    pub(crate) fn path(&self, key: &'static str, default: &Path) -> PathBuf {
        let path = self.path_value(key).unwrap_or_else(|| self.context.base.join(default));
        self.describe(key, Some(&quoted(&path.to_string_lossy())));
        path
    }

    pub(crate) fn required_path(&self, key: &'static str, advice: &str) -> PathBuf {
        self.missing(key, advice);
        self.optional_path(key).unwrap_or_default()
    }

    /// An address and port.
    pub(crate) fn address(&self, key: &'static str, default: SocketAddr) -> SocketAddr {
        let value = self.string(key).and_then(|text| {
            let address = text.parse().ok();
            if address.is_none() {
                self.wrong(key, "is not an address and port", "give them as in \"127.0.0.1:7000\"");
            }
            address
        });
        let value = value.unwrap_or(default);
        self.describe(key, Some(&format!("\"{value}\"")));
        value
    }

    /// A time of the UTC day as `HH:MM:SS`, in seconds.
    pub(crate) fn time_of_day(&self, key: &'static str, default: u32) -> u32 {
        let value = self.string(key).and_then(|text| {
            let seconds = parse_time_of_day(&text);
            if seconds.is_none() {
                self.wrong(
                    key,
                    "is not a time of day",
                    "give hours, minutes and seconds, as in \"17:00:00\"",
                );
            }
            seconds
        });
        let value = value.unwrap_or(default);
        let (hours, minutes, seconds) = (value / 3600, value / 60 % 60, value % 60);
        self.describe(key, Some(&format!("\"{hours:02}:{minutes:02}:{seconds:02}\"")));
        value
    }

    /// A time, given as a string or as TOML's own.
    pub(crate) fn time_text(&self, key: &'static str) -> Option<String> {
        self.value(key, |value, _| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Datetime(time) => Ok(time.to_string()),
            other => Err(Wrong::new(
                format!("is {}, not a time", type_name(other)),
                "give it with its offset, as in \"2027-01-01T00:00:00Z\"",
            )),
        })
    }
}

/// Seconds of the day from `HH:MM` or `HH:MM:SS`.
pub(crate) fn parse_time_of_day(text: &str) -> Option<u32> {
    let mut parts = text.split(':');
    let mut part = |limit: u32| {
        let part = parts.next()?;
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u32>().ok().filter(|number| digits && *number < limit)
    };
    let (hours, minutes) = (part(24)?, part(60)?);
    let seconds = if text.len() > 5 { part(60)? } else { 0 };
    parts.next().is_none().then_some(hours * 3600 + minutes * 60 + seconds)
}
