//! What the tests of the wire share: hex, fixed bytes, and one value of every variant of every enum.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod session;
pub mod types;
pub mod variants;

use std::fmt::Write as _;
use std::path::PathBuf;

/// A file of this crate.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// True when the tests are to write what they would compare.
pub fn bless() -> bool {
    std::env::var_os("TOLLGATE_BLESS").is_some_and(|value| value == "1")
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "odd number of hex digits in {text:?}");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// 32 bytes that count up from `first`: fixed, and told apart at a glance.
pub fn counting(first: u8) -> [u8; 32] {
    std::array::from_fn(|index| first.wrapping_add(index as u8))
}

/// Compares `actual` with the file, or writes it there when blessing.
pub fn compare_with_file(name: &str, actual: &str) {
    let path = path(name);
    if bless() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    let difference =
        expected.lines().zip(actual.lines()).enumerate().find(|(_, (left, right))| left != right);
    if let Some((index, (left, right))) = difference {
        panic!(
            "{name}:{} differs from what the code makes\n  file: {left}\n  code: {right}\n\
             A change of these bytes breaks every client. Where it is meant, run with TOLLGATE_BLESS=1.",
            index + 1
        );
    }
    assert_eq!(expected.len(), actual.len(), "{name} is longer or shorter than what the code makes");
}
