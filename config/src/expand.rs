//! Environment variables and files in string values.

use std::collections::BTreeMap;

use toml::Value;
use zeroize::Zeroizing;

use crate::files::Privacy;
use crate::reader::{Context, join};
use crate::secrecy::is_secret_name;
use crate::value::Wrong;

/// The variables that values may name.
pub(crate) type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Bytes of a file that is the value of one key.
const REFERENCE_BYTES_MAX: u64 = 64 << 10;

/// Keys whose values are never shown, and whose files must be private.
pub(crate) fn is_secret(path: &str) -> bool {
    path.ends_with(".secret")
}

/// Replaces what string values refer to, in place. Gives the path and the text of each value that referred
/// to something.
pub(crate) fn expand(
    context: &Context<'_>,
    environment: &Environment<'_>,
    table: &mut toml::Table,
) -> BTreeMap<String, String> {
    let mut expanded = BTreeMap::new();
    for (key, value) in table.iter_mut() {
        expand_value(context, environment, &join("", key), value, &mut expanded);
    }
    expanded
}

fn expand_value(
    context: &Context<'_>,
    environment: &Environment<'_>,
    path: &str,
    value: &mut Value,
    expanded: &mut BTreeMap<String, String>,
) {
    match value {
        Value::String(text) => match expand_text(context, environment, path, text) {
            Ok(None) => {}
            Ok(Some(replaced)) => {
                expanded.insert(path.to_owned(), std::mem::replace(text, replaced));
            }
            Err(wrong) => {
                let given = Value::String(text.clone()).to_string();
                context.wrong(path, Some(&given), &wrong.problem, &wrong.advice);
            }
        },
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand_value(context, environment, &format!("{path}[{index}]"), item, expanded);
            }
        }
        Value::Table(table) => {
            for (key, item) in table.iter_mut() {
                expand_value(context, environment, &join(path, key), item, expanded);
            }
        }
        _ => {}
    }
}

fn expand_text(
    context: &Context<'_>,
    environment: &Environment<'_>,
    path: &str,
    text: &str,
) -> Result<Option<String>, Wrong> {
    let mut secrets = Vec::new();
    let replaced =
        text.contains('$').then(|| expand_variables(environment, text, &mut secrets, 0)).transpose()?;
    if !is_secret(path) && !secrets.is_empty() {
        context.keep_secret(path, secrets);
    }
    let Some(file) = replaced.as_deref().unwrap_or(text).strip_prefix("file:") else {
        return Ok(replaced);
    };
    let privacy = if is_secret(path) { Privacy::Private } else { Privacy::Public };
    let file = context.base().join(file);
    let content = context.files().read(&file, privacy, REFERENCE_BYTES_MAX).map(Zeroizing::new);
    match content {
        Ok(content) => {
            let value = content.trim();
            if !is_secret(path)
                && file.file_stem().is_some_and(|name| is_secret_name(&name.to_string_lossy()))
            {
                context.keep_secret(path, vec![Zeroizing::new(value.to_owned())]);
            }
            Ok(Some(value.to_owned()))
        }
        Err(error) => Err(Wrong::new(
            format!("{}: {error}", file.display()),
            "the value must be the path of a file whose content is the value",
        )),
    }
}

/// How deep defaults may stand in defaults.
const DEPTH_MAX: usize = 16;

/// Replaces `${NAME}`, `${NAME:-default}` and `$$`; a default may hold variables of its own. Values of variables that
/// are secrets by their names are put into `secrets`.
fn expand_variables(
    environment: &Environment<'_>,
    text: &str,
    secrets: &mut Vec<Zeroizing<String>>,
    depth: usize,
) -> Result<String, Wrong> {
    if depth > DEPTH_MAX {
        let problem = format!("defaults stand in each other more than {DEPTH_MAX} deep");
        return Err(Wrong::new(problem, "set the outer variables, or give a plain default"));
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
            continue;
        }
        let Some(inside) = after.strip_prefix('{') else {
            return Err(Wrong::new("a $ stands alone", "write ${NAME} for a variable, $$ for a dollar"));
        };
        let Some(end) = closing_brace(inside) else {
            return Err(Wrong::new("a ${ has no }", "write ${NAME} or ${NAME:-default}"));
        };
        let value = Zeroizing::new(variable(environment, &inside[..end], secrets, depth)?);
        result.push_str(&value);
        rest = &inside[end + 1..];
    }
    result.push_str(rest);
    Ok(result)
}

/// Where the `}` stands that closes a reference, those of references inside it passed over.
fn closing_brace(inside: &str) -> Option<usize> {
    let bytes = inside.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match bytes[at..] {
            [b'$', b'$', ..] => at += 1,
            [b'$', b'{', ..] => depth += 1,
            [b'}', ..] if depth == 0 => return Some(at),
            [b'}', ..] => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

fn variable(
    environment: &Environment<'_>,
    reference: &str,
    secrets: &mut Vec<Zeroizing<String>>,
    depth: usize,
) -> Result<String, Wrong> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        let problem = format!("{name:?} is not the name of a variable");
        return Err(Wrong::new(problem, "names have letters, digits and _; write $$ for a dollar"));
    }
    match (environment(name), default) {
        // As in a shell: the default holds for an empty variable too.
        (Some(value), _) if !value.is_empty() || default.is_none() => {
            if is_secret_name(name) {
                secrets.push(Zeroizing::new(value.clone()));
            }
            Ok(value)
        }
        (_, Some(default)) => expand_variables(environment, default, secrets, depth + 1),
        _ => Err(Wrong::new(
            format!("the environment variable {name} is not set"),
            format!("set it, or give a default: ${{{name}:-default}}"),
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        let environment = |name: &str| match name {
            "HOME" => Some("/home/a".to_owned()),
            "EMPTY" => Some(String::new()),
            "DOLLAR" => Some("${HOME}".to_owned()),
            _ => None,
        };
        expand_variables(&environment, text, &mut Vec::new(), 0).map_err(|wrong| wrong.problem)
    }

    #[test]
    fn variables_defaults_and_dollars() {
        assert_eq!(expanded("a${HOME}b").unwrap(), "a/home/ab");
        assert_eq!(expanded("${HOME}${HOME}").unwrap(), "/home/a/home/a");
        assert_eq!(expanded("${NONE:-x:-y}").unwrap(), "x:-y");
        assert_eq!(expanded("${NONE:-}").unwrap(), "");
        assert_eq!(expanded("${EMPTY:-full}").unwrap(), "full");
        assert_eq!(expanded("${EMPTY}").unwrap(), "");
        assert_eq!(expanded("${HOME:-x}").unwrap(), "/home/a");
        assert_eq!(expanded("$$5 $${HOME}").unwrap(), "$5 ${HOME}");
        assert_eq!(expanded("${DOLLAR}").unwrap(), "${HOME}", "what a variable holds is not looked into");
    }

    #[test]
    fn defaults_hold_variables_of_their_own() {
        assert_eq!(expanded("${NONE:-${HOME}}").unwrap(), "/home/a");
        assert_eq!(expanded("${NONE:-a${NOR:-b${EMPTY:-c}d}e}f").unwrap(), "abcdef");
        assert_eq!(expanded("${HOME:-${NONE}}").unwrap(), "/home/a", "what is not needed is not asked for");
        assert_eq!(expanded("${NONE:-$$}").unwrap(), "$");
        assert_eq!(expanded("${NONE:-${NOR}}").unwrap_err(), "the environment variable NOR is not set");
        assert_eq!(expanded("${NONE:-${HOME}").unwrap_err(), "a ${ has no }");
        let deep = format!("{}x{}", "${NONE:-".repeat(40), "}".repeat(40));
        assert!(expanded(&deep).unwrap_err().contains("more than 16 deep"));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(expanded("${NONE}").unwrap_err(), "the environment variable NONE is not set");
        assert_eq!(expanded("5 $").unwrap_err(), "a $ stands alone");
        assert_eq!(expanded("$HOME").unwrap_err(), "a $ stands alone");
        assert_eq!(expanded("${HOME").unwrap_err(), "a ${ has no }");
        assert_eq!(expanded("${}").unwrap_err(), "\"\" is not the name of a variable");
        assert_eq!(expanded("${A B}").unwrap_err(), "\"A B\" is not the name of a variable");
    }
}
