//! Identifiers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::wire_struct;

/// The id a client gives its command, unique per client for ever. 128 bits, so that a UUID, a hash of a foreign
/// id, or instance and counter fit. Written as a decimal number below 2^64, as a UUID above.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct CommandId(pub u128);

wire_struct!(CommandId { 0 });

/// The gateway's own id of an order: the journal sequence of the intent that created it. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct OrderId(pub u64);

wire_struct!(OrderId { 0 });

/// An account's position in the gateway's settings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct AccountIndex(pub u16);

wire_struct!(AccountIndex { 0 });

/// The text is neither a decimal number nor a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a command id: a decimal number or a UUID such as 9f2c1d34-0000-4000-8000-00000000002a")]
pub struct CommandIdError;

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ok(short) = u64::try_from(self.0) {
            return fmt::Display::fmt(&short, f);
        }
        let hex = format!("{:032x}", self.0);
        f.pad(&format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
    }
}

impl FromStr for CommandId {
    type Err = CommandIdError;

    fn from_str(text: &str) -> Result<Self, CommandIdError> {
        let bytes = text.as_bytes();
        if bytes.len() == 36 && [8, 13, 18, 23].iter().all(|at| bytes[*at] == b'-') {
            let hex: String = text.chars().filter(|character| *character != '-').collect();
            if hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return u128::from_str_radix(&hex, 16).map(Self).map_err(|_| CommandIdError);
            }
        }
        if text.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
            return Err(CommandIdError);
        }
        text.parse().map(Self).map_err(|_| CommandIdError)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn command_ids_read_as_they_write() {
        for id in [0, 42, u128::from(u64::MAX), u128::from(u64::MAX) + 1, u128::MAX] {
            assert_eq!(CommandId(id).to_string().parse::<CommandId>().unwrap(), CommandId(id));
        }
        assert_eq!(CommandId(u128::MAX).to_string(), "ffffffff-ffff-ffff-ffff-ffffffffffff");
        for text in [
            "",
            "-1",
            "+1",
            "abc",
            "9f2c1d34-0000-4000-8000-00000000002",
            "9f2c1d34+0000-4000-8000-00000000002a",
        ] {
            assert_eq!(text.parse::<CommandId>(), Err(CommandIdError), "{text}");
        }
    }
}
