//! A typed walk over TOML that collects every mistake, and writes down every key it asks for.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use tollgate_protocol::logon::Secret;
use tollgate_protocol::{Decimal, Text};
use toml::Value;
use zeroize::Zeroize;

use crate::error::{ConfigError, ConfigErrors};
use crate::expand::{Environment, expand, is_secret};
use crate::files::Files;
use crate::value::{Wrong, decode_hex, nearest, quoted, shortened, shown, type_name};

/// Bytes of a settings or keys file.
pub(crate) const TEXT_BYTES_MAX: u64 = 4 << 20;

/// What all sections of one file share.
pub(crate) struct Context<'a> {
    files: &'a dyn Files,
    base: &'a Path,
    lines: BTreeMap<String, usize>,
    expanded: BTreeMap<String, String>,
    poisoned: RefCell<BTreeSet<String>>,
    errors: RefCell<Vec<ConfigError>>,
    description: RefCell<String>,
}

impl<'a> Context<'a> {
    /// Parses `text` and replaces what its values refer to.
    pub(crate) fn new(
        text: &str,
        base: &'a Path,
        environment: &Environment<'_>,
        files: &'a dyn Files,
    ) -> Result<(Self, toml::Table), ConfigErrors> {
        if text.len() as u64 > TEXT_BYTES_MAX {
            let problem = format!("{} bytes are more than the {TEXT_BYTES_MAX} that are read", text.len());
            return Err(ConfigErrors::of_file(problem, "this is hardly a settings file".to_owned()));
        }
        let (mut table, lines) = parse(text)?;
        let mut context = Self {
            files,
            base,
            lines,
            expanded: BTreeMap::new(),
            poisoned: RefCell::default(),
            errors: RefCell::default(),
            description: RefCell::default(),
        };
        context.expanded = expand(&context, environment, &mut table);
        Ok((context, table))
    }

    pub(crate) fn files(&self) -> &'a dyn Files {
        self.files
    }

    pub(crate) fn base(&self) -> &'a Path {
        self.base
    }

    /// Notes a mistake.
    pub(crate) fn wrong(&self, path: &str, value: Option<&str>, problem: &str, advice: &str) {
        self.errors.borrow_mut().push(ConfigError {
            file: None,
            key: path.to_owned(),
            line: self.line(path),
            value: value.map(|value| if is_secret(path) { "(masked)".to_owned() } else { shortened(value) }),
            problem: problem.to_owned(),
            advice: advice.to_owned(),
        });
    }

    /// Notes that the value of `path` is known to be wrong: nothing more is to be said of it.
    pub(crate) fn poison(&self, path: &str) {
        self.poisoned.borrow_mut().insert(path.to_owned());
    }

    /// What stood at `path` before variables and files were put in.
    pub(crate) fn original(&self, path: &str) -> Option<&str> {
        self.expanded.get(path).map(String::as_str)
    }

    /// The line of `path`, or of the nearest thing around it.
    fn line(&self, path: &str) -> Option<usize> {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// A text of at most `N` bytes; a mistake otherwise.
    pub(crate) fn text<const N: usize>(&self, path: &str, value: &str) -> Option<Text<N>> {
        let problem = match Text::new(value) {
            Ok(_) if value.is_empty() => "is empty".to_owned(),
            Ok(_) if value.contains(|c: char| c.is_control() || c.is_whitespace()) => {
                "has spaces or control characters".to_owned()
            }
            Ok(text) => return Some(text),
            Err(error) => error.to_string(),
        };
        self.wrong(path, Some(&quoted(value)), &problem, &format!("give 1 to {N} bytes without spaces"));
        None
    }

    pub(crate) fn describe(&self, line: &str) {
        let mut description = self.description.borrow_mut();
        description.push_str(line);
        description.push('\n');
    }

    /// The mistakes, and the effective settings as TOML.
    pub(crate) fn finish(self) -> (Vec<ConfigError>, String) {
        (self.errors.into_inner(), self.description.into_inner())
    }
}

/// A table and the line of every key; every syntax error.
fn parse(text: &str) -> Result<(toml::Table, BTreeMap<String, usize>), ConfigErrors> {
    let (document, errors) = toml::de::DeTable::parse_recoverable(text);
    let starts: Vec<usize> =
        std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let line_of = |offset: usize| starts.partition_point(|start| *start <= offset);
    let syntax = |error: &toml::de::Error| ConfigError {
        file: None,
        key: String::new(),
        line: error.span().map(|span| line_of(span.start)),
        value: None,
        // The parser's longer text would quote the line, which may hold a secret.
        problem: format!("not TOML: {}", shortened(error.message())),
        advice: String::new(),
    };
    if let Some(errors) = ConfigErrors::new(errors.iter().map(syntax).collect()) {
        return Err(errors);
    }
    let mut lines = BTreeMap::new();
    note_lines("", document.get_ref(), &line_of, &mut lines);
    match text.parse() {
        Ok(table) => Ok((table, lines)),
        Err(error) => {
            let error = syntax(&error);
            Err(ConfigErrors::of_file(error.problem, error.advice))
        }
    }
}

fn note_lines(
    path: &str,
    table: &toml::de::DeTable<'_>,
    line_of: &dyn Fn(usize) -> usize,
    lines: &mut BTreeMap<String, usize>,
) {
    for (key, value) in table {
        let path = join(path, key.get_ref());
        lines.insert(path.clone(), line_of(key.span().start));
        note_lines_of_value(&path, value, line_of, lines);
    }
}

fn note_lines_of_value(
    path: &str,
    value: &toml::Spanned<toml::de::DeValue<'_>>,
    line_of: &dyn Fn(usize) -> usize,
    lines: &mut BTreeMap<String, usize>,
) {
    match value.get_ref() {
        toml::de::DeValue::Table(table) => note_lines(path, table, line_of, lines),
        toml::de::DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                lines.insert(path.clone(), line_of(item.span().start));
                note_lines_of_value(&path, item, line_of, lines);
            }
        }
        _ => {}
    }
}

/// The path of `key` in the table at `path`.
pub(crate) fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let key = if bare { Cow::Borrowed(key) } else { Cow::Owned(shortened(&format!("{key:?}"))) };
    if path.is_empty() { key.into_owned() } else { format!("{path}.{key}") }
}

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

/// One table.
pub(crate) struct Section<'a> {
    context: &'a Context<'a>,
    path: String,
    header: String,
    table: Cow<'a, toml::Table>,
    asked: RefCell<Vec<&'static str>>,
    described: bool,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(crate) fn root(context: &'a Context<'a>, table: &'a toml::Table) -> Self {
        Self::new(context, String::new(), String::new(), Cow::Borrowed(table), true)
    }

    fn new(
        context: &'a Context<'a>,
        path: String,
        header: String,
        table: Cow<'a, toml::Table>,
        described: bool,
    ) -> Self {
        Self { context, path, header, table, asked: RefCell::default(), described }
    }

    pub(crate) fn context(&self) -> &'a Context<'a> {
        self.context
    }

    pub(crate) fn key_path(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// True when the file gives the key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes a mistake in `key`'s value.
    pub(crate) fn wrong(&self, key: &str, problem: &str, advice: &str) {
        let value = self.table.get(key).map(|value| self.shown(key, value));
        self.context.wrong(&self.key_path(key), value.as_deref(), problem, advice);
    }

    fn shown(&self, key: &str, value: &Value) -> String {
        if is_secret(&self.key_path(key)) { String::new() } else { shown(value) }
    }

    pub(crate) fn missing(&self, key: &str, advice: &str) {
        if !self.has(key) {
            self.context.wrong(&self.key_path(key), None, "is missing", advice);
        }
    }

    /// Notes what the table says that nobody asked for.
    pub(crate) fn close(self) {
        self.note_unknown();
    }

    /// [`Section::close`], where the section is only lent.
    pub(crate) fn note_unknown(&self) {
        let asked = self.asked.borrow();
        for key in self.table.keys().filter(|key| !asked.contains(&key.as_str())) {
            let advice = match nearest(key, asked.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None if asked.is_empty() => "nothing is read here".to_owned(),
                None => format!("known here: {}", asked.join(", ")),
            };
            let value = self.table.get(key).map(|value| self.shown(key, value));
            self.context.wrong(&join(&self.path, key), value.as_deref(), "is not a known key", &advice);
        }
    }

    fn describe(&self, key: &str, value: Option<&str>) {
        if !self.described {
            return;
        }
        self.context.describe(&match value {
            Some(value) if self.has(key) => format!("{key} = {value}"),
            Some(value) => format!("{key} = {value} # default"),
            None => format!("# {key} is not set"),
        });
    }

    /// The value of `key`, converted; a mistake is noted and gives `None`.
    fn value<T>(
        &self,
        key: &'static str,
        convert: impl FnOnce(&Value, bool) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.asked.borrow_mut().push(key);
        let value = self.table.get(key)?;
        let path = self.key_path(key);
        if self.context.poisoned.borrow().contains(&path) {
            return None;
        }
        match convert(value, self.context.expanded.contains_key(&path)) {
            Ok(value) => Some(value),
            Err(wrong) => {
                let given = self.shown(key, value);
                self.context.wrong(&path, Some(&given), &wrong.problem, &wrong.advice);
                None
            }
        }
    }

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
    pub(crate) fn limit<T: Whole>(&self, key: &'static str, default: T, greatest: u32) -> T
    where
        T: From<u32>,
    {
        let value = self.whole(key, &(T::from(1)..=T::from(greatest))).unwrap_or(default);
        let shown = (value != T::MAX).then(|| value.to_string());
        self.describe(key, shown.as_deref());
        value
    }

    /// A boolean.
    pub(crate) fn flag(&self, key: &'static str, default: bool) -> bool {
        let value = self.value(key, |value, expanded| match value {
            Value::Boolean(value) => Ok(*value),
            Value::String(text) if expanded && text == "true" => Ok(true),
            Value::String(text) if expanded && text == "false" => Ok(false),
            other => Err(Wrong::new(format!("is {}, not a boolean", type_name(other)), "give true or false")),
        });
        let value = value.unwrap_or(default);
        self.describe(key, Some(&value.to_string()));
        value
    }

    fn string(&self, key: &'static str) -> Option<String> {
        self.value(key, |value, _| match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(Wrong::new(format!("is {}, not a string", type_name(other)), "put it in quotes")),
        })
    }

    /// A string, as it is.
    pub(crate) fn optional_text(&self, key: &'static str) -> Option<String> {
        let value = self.string(key);
        self.describe(key, value.as_deref().map(quoted).as_deref());
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

    /// A string that must be there.
    pub(crate) fn required_text(&self, key: &'static str, advice: &str) -> Option<String> {
        self.missing(key, advice);
        self.optional_text(key)
    }

    /// Bytes in hexadecimal digits that are a secret.
    pub(crate) fn secret(&self, key: &'static str) -> Option<Secret> {
        self.value(key, |value, _| {
            let Value::String(text) = value else {
                return Err(Wrong::new("is not a string", "give hexadecimal digits in quotes"));
            };
            decode_hex(text)
                .map(Secret::new)
                .ok_or_else(|| Wrong::new("is not hexadecimal", "give an even number of hexadecimal digits"))
        })
    }

    /// A name that must be there; empty when it is wrong.
    pub(crate) fn name<const N: usize>(&self, key: &'static str) -> Text<N> {
        self.missing(key, "give it a name");
        self.name_or(key, "")
    }

    /// A name: letters, digits, `.`, `_`, `-`, so that it can be part of a file's name.
    pub(crate) fn name_or<const N: usize>(&self, key: &'static str, default: &str) -> Text<N> {
        let name = self.value(key, |value, _| {
            let advice =
                format!("give 1 to {N} letters, digits, '.', '_' or '-', the first a letter or digit");
            let Value::String(text) = value else {
                return Err(Wrong::new(format!("is {}, not a string", type_name(value)), advice));
            };
            let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
            let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
            match Text::new(text) {
                Ok(name) if starts_well && plain => Ok(name),
                Ok(_) => Err(Wrong::new("is not a name", advice)),
                Err(error) => Err(Wrong::new(error.to_string(), advice)),
            }
        });
        let name = name.unwrap_or_else(|| Text::truncated(default));
        self.describe(key, Some(&quoted(name.as_str())));
        name
    }

    /// A symbol or an asset: any visible text.
    pub(crate) fn symbol<const N: usize>(&self, key: &'static str) -> Text<N> {
        self.missing(key, "give it");
        let text = self.optional_text(key);
        text.and_then(|text| self.context.text(&self.key_path(key), &text)).unwrap_or_default()
    }

    /// One of some words.
    pub(crate) fn choice<T: Copy + PartialEq>(
        &self,
        key: &'static str,
        default: T,
        choices: &[(&str, T)],
    ) -> T {
        let value = self.value(key, |value, _| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            let Value::String(text) = value else {
                let problem = format!("is {}, not a string", type_name(value));
                return Err(Wrong::new(problem, format!("give one of: {}", words.join(", "))));
            };
            match choices.iter().find(|(word, _)| word == text) {
                Some((_, value)) => Ok(*value),
                None => Err(match nearest(text, words.iter().copied()) {
                    Some(near) => Wrong::new("is not known", format!("did you mean {near:?}?")),
                    None => Wrong::new("is not known", format!("give one of: {}", words.join(", "))),
                }),
            }
        });
        let value = value.unwrap_or(default);
        let word = choices.iter().find(|(_, choice)| *choice == value).map(|(word, _)| quoted(word));
        self.describe(key, word.as_deref());
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

    /// An array of strings, each with its key path.
    pub(crate) fn names(&self, key: &'static str) -> Option<Vec<(String, String)>> {
        let items = self.value(key, |value, _| match value {
            Value::Array(items) => Ok(items.clone()),
            other => Err(Wrong::new(format!("is {}, not an array", type_name(other)), "give [\"a\", \"b\"]")),
        });
        let path = self.key_path(key);
        let mut names = Vec::new();
        for (index, item) in items.iter().flatten().enumerate() {
            let path = format!("{path}[{index}]");
            match item {
                _ if self.context.poisoned.borrow().contains(&path) => {}
                Value::String(name) => names.push((path, name.clone())),
                other => {
                    let problem = format!("is {}, not a string", type_name(other));
                    self.context.wrong(&path, Some(&shown(other)), &problem, "put it in quotes");
                }
            }
        }
        let listed: Vec<String> = names.iter().map(|(_, name)| quoted(name)).collect();
        self.describe(key, items.is_some().then(|| format!("[{}]", listed.join(", "))).as_deref());
        items.map(|_| names)
    }

    /// The position of a name that must be there.
    pub(crate) fn reference(&self, key: &'static str, noun: &str, known: &[String]) -> u16 {
        let name = self.required_text(key, &format!("name a {noun}"));
        let Some(name) = name else { return 0 };
        self.context.positions(&self.key_path(key), &name, noun, known).first().copied().unwrap_or(0)
    }

    /// The positions of names: of a name that is known more than once, all.
    pub(crate) fn references(&self, key: &'static str, noun: &str, known: &[String]) -> Option<Vec<u16>> {
        let names = self.names(key)?;
        Some(self.context.positions_of(&names, noun, known))
    }

    /// A table inside; an empty one when it is not given.
    pub(crate) fn section(&self, key: &'static str) -> Section<'a> {
        let table = self.value(key, |value, _| match value {
            Value::Table(table) => Ok(table.clone()),
            other => {
                Err(Wrong::new(format!("is {}, not a table", type_name(other)), format!("write [{key}]")))
            }
        });
        let header = join(&self.header, key);
        if self.described {
            self.context.describe(&format!("\n[{header}]"));
        }
        let table = Cow::Owned(table.unwrap_or_default());
        Section::new(self.context, self.key_path(key), header, table, self.described)
    }

    /// The tables of an array, as they are given.
    pub(crate) fn tables(&self, key: &'static str) -> Vec<(String, toml::Table)> {
        let tables = self.value(key, |value, _| match value {
            Value::Array(items) => Ok(items.clone()),
            other => Err(Wrong::new(
                format!("is {}, not an array of tables", type_name(other)),
                format!("write [[{key}]]"),
            )),
        });
        let mut found = Vec::new();
        for (index, item) in tables.into_iter().flatten().enumerate() {
            let path = format!("{}[{index}]", self.key_path(key));
            match item {
                Value::Table(table) => found.push((path, table)),
                other => {
                    let problem = format!("is {}, not a table", type_name(&other));
                    self.context.wrong(&path, Some(&shown(&other)), &problem, &format!("write [[{key}]]"));
                }
            }
        }
        found
    }

    /// A section of an array of tables at the top of the file.
    pub(crate) fn of_array(context: &'a Context<'a>, header: &str, path: String, table: toml::Table) -> Self {
        context.describe(&format!("\n[[{header}]]"));
        Self::new(context, path, header.to_owned(), Cow::Owned(table), true)
    }

    /// The tables of an array that is described on one line.
    pub(crate) fn inline_sections(&self, key: &'static str) -> Option<Vec<Section<'a>>> {
        let tables = self.tables(key);
        self.describe(key, self.table.get(key).map(ToString::to_string).as_deref());
        let section =
            |(path, table)| Section::new(self.context, path, String::new(), Cow::Owned(table), false);
        self.has(key).then(|| tables.into_iter().map(section).collect())
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(table) = &mut self.table {
            wipe(table);
        }
    }
}

/// Overwrites the secrets in a table.
pub(crate) fn wipe(table: &mut toml::Table) {
    for (key, value) in table.iter_mut() {
        wipe_value(key, value);
    }
}

fn wipe_value(key: &str, value: &mut Value) {
    match value {
        Value::String(text) if key == "secret" => text.zeroize(),
        Value::Table(table) => wipe(table),
        Value::Array(items) => items.iter_mut().for_each(|item| wipe_value(key, item)),
        _ => {}
    }
}

impl Context<'_> {
    /// The positions of `name`; a mistake when there are none.
    pub(crate) fn positions(&self, path: &str, name: &str, noun: &str, known: &[String]) -> Vec<u16> {
        let found: Vec<u16> =
            known.iter().enumerate().filter(|(_, it)| *it == name).map(|(index, _)| index as u16).collect();
        if found.is_empty() {
            let advice = match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("there are: {}", shortened(&known.join(", "))),
            };
            self.wrong(path, Some(&quoted(name)), &format!("there is no {noun} of this name"), &advice);
        }
        found
    }

    /// The positions of names; a mistake for each that is unknown or there twice.
    pub(crate) fn positions_of(&self, names: &[(String, String)], noun: &str, known: &[String]) -> Vec<u16> {
        let mut positions = Vec::new();
        for (index, (path, name)) in names.iter().enumerate() {
            if names[..index].iter().any(|(_, earlier)| earlier == name) {
                self.wrong(path, Some(&quoted(name)), "is there twice", &format!("name each {noun} once"));
            } else {
                positions.extend(self.positions(path, name, noun, known));
            }
        }
        positions
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
