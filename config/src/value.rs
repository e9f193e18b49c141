//! Values as text: how they are shown, and forms that TOML has no type for.

use toml::Value;

/// What is wrong with a value, and what would be right.
pub(crate) struct Wrong {
    pub(crate) problem: String,
    pub(crate) advice: String,
}

impl Wrong {
    pub(crate) fn new(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { problem: problem.into(), advice: advice.into() }
    }
}

const SHOWN_CHARACTERS_MAX: usize = 80;

/// A value as an error shows it, before it is masked and shortened.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Table(_) => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// On one line, and not too long.
pub(crate) fn shortened(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

/// The name of a value's type, with its article.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a float",
        Value::Boolean(_) => "a boolean",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "an array",
        Value::Table(_) => "a table",
    }
}

/// A string as TOML that loads as itself.
pub(crate) fn quoted(text: &str) -> String {
    Value::String(text.replace('$', "$$")).to_string()
}

/// Bytes from hexadecimal digits; `None` when it is not that.
pub(crate) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    // Sized at once: a vector that grows would leave copies of a secret behind.
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    for pair in digits.chunks_exact(2) {
        bytes.push(digit(pair[0])? << 4 | digit(pair[1])?);
    }
    Some(bytes)
}

/// Hexadecimal digits of bytes.
pub(crate) fn encode_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

/// The candidate nearest to `text` by edits, when it is near enough to be what was meant.
pub(crate) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = text.chars().count().max(3) / 3 + 1;
    let near = candidates.into_iter().map(|candidate| (distance(text, candidate), candidate));
    near.filter(|(edits, _)| *edits <= limit).min_by_key(|(edits, _)| *edits).map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, of texts that are cut to 64 characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, l) in left.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_bytes() {
        assert_eq!(decode_hex("00fFa0"), Some(vec![0, 255, 160]));
        assert_eq!(decode_hex("0"), None);
        assert_eq!(decode_hex("+f"), None);
        assert_eq!(decode_hex("é"), None);
        assert_eq!(encode_hex(&[0, 255, 160]), "00ffa0");
    }

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let names = ["heartbeat_interval_ms", "heartbeat_timeout_ms", "listen"];
        assert_eq!(nearest("hartbeat_timeout_ms", names), Some("heartbeat_timeout_ms"));
        assert_eq!(nearest("lisen", names), Some("listen"));
        assert_eq!(nearest("durability", names), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn long_values_are_cut_and_stay_on_one_line() {
        assert_eq!(shortened("a\nb"), "a b");
        assert_eq!(shortened(&"é".repeat(200)).chars().count(), 81);
    }
}
