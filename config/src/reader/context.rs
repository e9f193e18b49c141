//! What all sections of one file share: the text as a table, its lines, and the mistakes found so far.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tollgate_protocol::Text;
use toml::Value;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{ConfigError, ConfigErrors};
use crate::expand::{Environment, expand, is_secret};
use crate::files::Files;
use crate::secrecy::{MASK, masked};
use crate::value::{nearest, quoted, shortened};

/// Bytes of a settings or keys file.
pub(crate) const TEXT_BYTES_MAX: u64 = 4 << 20;

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Secrecy {
    /// Settings, which may be shown.
    Settings,
    /// Keys: what is not known to be harmless is masked.
    Keys,
}

/// What all sections of one file share.
pub(crate) struct Context<'a> {
    files: &'a dyn Files,
    pub(super) base: &'a Path,
    pub(super) secrecy: Secrecy,
    lines: BTreeMap<String, usize>,
    pub(super) expanded: BTreeMap<String, String>,
    pub(super) poisoned: RefCell<BTreeSet<String>>,
    secrets: RefCell<Vec<Zeroizing<String>>>,
    errors: RefCell<Vec<ConfigError>>,
    warnings: RefCell<Vec<ConfigError>>,
    description: RefCell<String>,
}

/// What was noted of a file.
pub(crate) struct Findings {
    pub(crate) errors: Vec<ConfigError>,
    pub(crate) warnings: Vec<ConfigError>,
    /// The effective settings as TOML.
    pub(crate) description: String,
}

impl<'a> Context<'a> {
    /// Parses `text` and replaces what its values refer to.
    pub(crate) fn new(
        text: &str,
        base: &'a Path,
        environment: &Environment<'_>,
        files: &'a dyn Files,
        secrecy: Secrecy,
    ) -> Result<(Self, toml::Table), ConfigErrors> {
        if text.len() as u64 > TEXT_BYTES_MAX {
            let problem = format!("{} bytes are more than the {TEXT_BYTES_MAX} that are read", text.len());
            return Err(ConfigErrors::of_file(problem, "this is hardly a settings file".to_owned()));
        }
        let (mut table, lines) = parse(text)?;
        let mut context = Self {
            files,
            base,
            secrecy,
            lines,
            expanded: BTreeMap::new(),
            poisoned: RefCell::default(),
            secrets: RefCell::default(),
            errors: RefCell::default(),
            warnings: RefCell::default(),
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

    /// Notes a mistake. Readers then take the value for one that is not given.
    pub(crate) fn wrong(&self, path: &str, value: Option<&str>, problem: &str, advice: &str) {
        // The first mistake is the one to correct; others of the same value may only follow from it.
        if self.poisoned.borrow_mut().insert(path.to_owned()) {
            self.errors.borrow_mut().push(self.note(path, value, problem, advice));
        }
    }

    /// True when a mistake was noted in a table of one of these names.
    pub(crate) fn has_errors(&self, tables: &[&str]) -> bool {
        let of = |error: &ConfigError, table: &&str| {
            error.key.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
        };
        self.errors.borrow().iter().any(|error| tables.iter().any(|table| of(error, table)))
    }

    /// Notes what can be lived with, but is hardly meant.
    pub(crate) fn warn(&self, path: &str, value: Option<&str>, problem: &str, advice: &str) {
        self.warnings.borrow_mut().push(self.note(path, value, problem, advice));
    }

    fn note(&self, path: &str, value: Option<&str>, problem: &str, advice: &str) -> ConfigError {
        let shown = |value| if is_masked(path) { MASK.to_owned() } else { shortened(&self.masked(value)) };
        ConfigError {
            file: None,
            key: self.masked(path),
            line: self.line(path),
            value: value.map(shown),
            problem: self.masked(problem),
            advice: self.masked(advice),
        }
    }

    fn masked(&self, text: &str) -> String {
        masked(text, &self.secrets.borrow())
    }

    /// Takes note of secrets that `path`, which is shown, takes its value from.
    pub(crate) fn keep_secret(&self, path: &str, secrets: Vec<Zeroizing<String>>) {
        self.secrets.borrow_mut().extend(secrets);
        self.warn(
            path,
            Some(MASK),
            "takes the value of a secret, by the name that it comes from, and is no secret key: it is masked here, and \
             may be shown elsewhere",
            "take another variable or file; secrets belong in the keys file",
        );
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
        description.push_str(&self.masked(line));
        description.push('\n');
    }

    /// What was noted.
    pub(crate) fn finish(self) -> Findings {
        Findings {
            errors: self.errors.into_inner(),
            warnings: self.warnings.into_inner(),
            description: self.description.into_inner(),
        }
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

/// True for values that an error must not show: a private key may be taken for a public one.
pub(super) fn is_masked(path: &str) -> bool {
    is_secret(path) || path.ends_with(".public_key")
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
