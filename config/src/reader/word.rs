//! Words: names, symbols, choices, references to other tables, secrets.

use tollgate_protocol::Text;
use tollgate_protocol::logon::Secret;
use toml::Value;

use super::Section;
use crate::value::{Wrong, decode_hex, nearest, quoted, shown, type_name};

impl Section<'_> {
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

    pub(super) fn string(&self, key: &'static str) -> Option<String> {
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
}
