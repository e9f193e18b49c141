//! Short text held inline, so that it can be copied and decoded without allocating.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::wire::{Malformed, Reader, Wire, Writer};

/// UTF-8 text of at most `N` bytes (`N` ≤ 255), held inline. On the wire it is a postcard string.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

/// An instrument's name as its venue spells it, case and suffix included; 1 to 31 bytes.
pub type Symbol = Text<31>;
/// A trading account's name in the gateway's configuration; 1 to 15 bytes, empty for "the key's only account".
pub type AccountName = Text<15>;
/// A short remark: the reason of a halt, a venue's own words; at most 63 bytes.
pub type Remark = Text<63>;
/// The public name of a client key; 1 to 31 bytes.
pub type KeyId = Text<31>;

/// The text does not fit: it has more bytes than the type holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("text of {length} bytes is longer than the {limit} allowed")]
pub struct TextTooLong {
    /// Bytes offered.
    pub length: usize,
    /// Bytes allowed.
    pub limit: usize,
}

impl<const N: usize> Text<N> {
    /// The empty text.
    pub const EMPTY: Self = Self { bytes: [0; N], length: 0 };

    /// Takes `text`, or says that it is longer than `N` bytes.
    pub fn new(text: &str) -> Result<Self, TextTooLong> {
        const { assert!(N <= 255) };
        if text.len() > N {
            return Err(TextTooLong { length: text.len(), limit: N });
        }
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes, length: text.len() as u8 })
    }

    /// Takes as much of `text` as fits, cut at a character boundary.
    pub fn truncated(text: &str) -> Self {
        let mut end = text.len().min(N);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self::new(&text[..end]).unwrap_or(Self::EMPTY)
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        // The bytes were UTF-8 when they came in.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text's bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The text's bytes and zeros behind them: equal where the texts are.
    #[inline]
    pub fn padded(&self) -> &[u8; N] {
        &self.bytes
    }

    /// True when there is no text.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> FromStr for Text<N> {
    type Err = TextTooLong;
    fn from_str(text: &str) -> Result<Self, TextTooLong> {
        Self::new(text)
    }
}

impl<const N: usize> Wire for Text<N> {
    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        u32::from(self.length).write(out);
        out.bytes_of(&self.bytes, usize::from(self.length));
    }

    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = usize::try_from(u64::read(from)?).map_err(|_| Malformed)?;
        let taken = from.bytes(length)?;
        // Nearly every text is ASCII: that is seen faster than that it is UTF-8.
        if length > N || !taken.is_ascii() && std::str::from_utf8(taken).is_err() {
            return Err(Malformed);
        }
        let mut text = Self { bytes: [0; N], length: length as u8 };
        text.bytes[..length].copy_from_slice(taken);
        Ok(text)
    }
}

impl<const N: usize> Serialize for Text<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, const N: usize> Deserialize<'de> for Text<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor<const N: usize>;
        impl<const N: usize> Visitor<'_> for TextVisitor<N> {
            type Value = Text<N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "text of at most {N} bytes")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<N>, E> {
                Text::new(text).map_err(|_| E::invalid_length(text.len(), &self))
            }
        }
        deserializer.deserialize_str(TextVisitor::<N>)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn holds_up_to_its_size_and_refuses_more() {
        assert_eq!(Text::<4>::new("BTCU").unwrap().as_str(), "BTCU");
        assert_eq!(Text::<4>::new("BTCUS"), Err(TextTooLong { length: 5, limit: 4 }));
        assert!(Text::<4>::new("").unwrap().is_empty());
    }

    #[test]
    fn truncation_keeps_whole_characters() {
        assert_eq!(Text::<4>::truncated("aé€").as_str(), "aé");
    }

    #[test]
    fn travels_as_a_string() {
        let symbol = Symbol::new("EURUSD").unwrap();
        let bytes = postcard::to_allocvec(&symbol).unwrap();
        assert_eq!(bytes, b"\x06EURUSD");
        assert_eq!(postcard::from_bytes::<Symbol>(&bytes).unwrap(), symbol);
        let long = postcard::to_allocvec("x".repeat(32).as_str()).unwrap();
        assert!(postcard::from_bytes::<Symbol>(&long).is_err());
        assert!(postcard::from_bytes::<Symbol>(b"\x02\xc3\x28").is_err(), "not UTF-8");
        let accents = Symbol::new("é€").unwrap();
        let bytes = postcard::to_allocvec("é€").unwrap();
        assert_eq!(postcard::to_allocvec(&accents).unwrap(), bytes);
        assert_eq!(postcard::from_bytes::<Symbol>(&bytes).unwrap(), accents);
    }
}
