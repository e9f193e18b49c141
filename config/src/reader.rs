//! A typed walk over TOML that collects every mistake, and writes down every key it asks for.

mod context;
mod number;
mod place;
mod word;

use std::borrow::Cow;
use std::cell::RefCell;

use toml::Value;

use crate::value::{Wrong, nearest, shown, type_name};

use context::is_masked;
pub(crate) use context::{Context, Findings, Secrecy, TEXT_BYTES_MAX, join, wipe};
pub(crate) use number::Sign;
pub(crate) use place::parse_time_of_day;

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

    /// Notes what can be lived with in `key`'s value.
    pub(crate) fn warn(&self, key: &str, problem: &str, advice: &str) {
        let value = self.table.get(key).map(|value| self.shown(key, value));
        self.context.warn(&self.key_path(key), value.as_deref(), problem, advice);
    }

    fn shown(&self, key: &str, value: &Value) -> String {
        if is_masked(&self.key_path(key)) { String::new() } else { shown(value) }
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
            let value = self.table.get(key).map(|value| match self.context.secrecy {
                // It may be a misspelt secret.
                Secrecy::Keys => "(masked)".to_owned(),
                Secrecy::Settings => shown(value),
            });
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
            // A limit that an owner other than the firm leaves out is none of its: nothing to say.
            None if self.header.ends_with(".limits") => return,
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

    /// A table inside; an empty one when it is not given.
    pub(crate) fn section(&self, key: &'static str) -> Section<'a> {
        let header = join(&self.header, key);
        let table = self.value(key, |value, _| match value {
            Value::Table(table) => Ok(table.clone()),
            other => {
                Err(Wrong::new(format!("is {}, not a table", type_name(other)), format!("write [{header}]")))
            }
        });
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
