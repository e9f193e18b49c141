//! Postcard, written straight into a slice: the same bytes as `postcard::to_slice`, without a copy for every field.
//!
//! Postcard's own serializer hands every number to its output as a slice of unknown length. Here a number's bytes are
//! stored where they belong, and what remains of a derived `Serialize` is a list of stores.
#![allow(clippy::inline_always)] // Or the list would be one of calls.

use std::fmt;

use serde::ser::{self, Serialize};

/// The value has no place: the slice is too short, or the value is of a kind that no message has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoPlace;

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value does not fit the space that it is written to")
    }
}

impl std::error::Error for NoPlace {}

impl ser::Error for NoPlace {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

/// Writes `value` at the beginning of `out` and returns how many bytes it took.
#[inline]
pub fn encode<T: Serialize>(value: &T, out: &mut [u8]) -> Result<usize, NoPlace> {
    let mut writer = Writer { out, at: 0 };
    value.serialize(&mut writer)?;
    Ok(writer.at)
}

/// Where the next byte goes.
struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    #[inline(always)]
    fn byte(&mut self, byte: u8) -> Result<(), NoPlace> {
        *self.out.get_mut(self.at).ok_or(NoPlace)? = byte;
        self.at += 1;
        Ok(())
    }

    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), NoPlace> {
        let end = self.at + bytes.len();
        self.out.get_mut(self.at..end).ok_or(NoPlace)?.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    /// Seven bits a byte, lowest first; the highest bit says that more follow.
    #[inline(always)]
    fn number(&mut self, mut value: u64) -> Result<(), NoPlace> {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80)?;
            value >>= 7;
        }
        self.byte(value as u8)
    }

    /// Shifting 128 bits is slow: 63 of them, nine bytes, are taken at a time.
    #[inline]
    fn long_number(&mut self, mut value: u128) -> Result<(), NoPlace> {
        while value > u128::from(u64::MAX) {
            let mut low = value as u64;
            for _ in 0..9 {
                self.byte(low as u8 | 0x80)?;
                low >>= 7;
            }
            value >>= 63;
        }
        self.number(value as u64)
    }
}

macro_rules! numbers {
    ($($method:ident $kind:ty),*) => {
        $(#[inline(always)]
        fn $method(self, value: $kind) -> Result<(), NoPlace> {
            self.number(u64::from(value))
        })*
    };
}

macro_rules! signed_numbers {
    ($($method:ident $kind:ty),*) => {
        $(#[inline(always)]
        fn $method(self, value: $kind) -> Result<(), NoPlace> {
            let value = i64::from(value);
            self.number((value << 1 ^ value >> 63) as u64)
        })*
    };
}

impl ser::Serializer for &mut Writer<'_> {
    type Ok = ();
    type Error = NoPlace;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = ser::Impossible<(), NoPlace>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    #[inline(always)]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline(always)]
    fn serialize_bool(self, value: bool) -> Result<(), NoPlace> {
        self.byte(u8::from(value))
    }

    #[inline(always)]
    fn serialize_u8(self, value: u8) -> Result<(), NoPlace> {
        self.byte(value)
    }

    #[inline(always)]
    fn serialize_i8(self, value: i8) -> Result<(), NoPlace> {
        self.byte(value as u8)
    }

    numbers!(serialize_u16 u16, serialize_u32 u32, serialize_u64 u64);
    signed_numbers!(serialize_i16 i16, serialize_i32 i32, serialize_i64 i64);

    #[inline(always)]
    fn serialize_u128(self, value: u128) -> Result<(), NoPlace> {
        self.long_number(value)
    }

    #[inline(always)]
    fn serialize_i128(self, value: i128) -> Result<(), NoPlace> {
        self.long_number((value << 1 ^ value >> 127) as u128)
    }

    /// No message has one.
    fn serialize_f32(self, _value: f32) -> Result<(), NoPlace> {
        Err(NoPlace)
    }

    /// No message has one.
    fn serialize_f64(self, _value: f64) -> Result<(), NoPlace> {
        Err(NoPlace)
    }

    fn serialize_char(self, value: char) -> Result<(), NoPlace> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline(always)]
    fn serialize_str(self, value: &str) -> Result<(), NoPlace> {
        self.serialize_bytes(value.as_bytes())
    }

    #[inline(always)]
    fn serialize_bytes(self, value: &[u8]) -> Result<(), NoPlace> {
        self.number(value.len() as u64)?;
        self.bytes(value)
    }

    #[inline(always)]
    fn serialize_none(self) -> Result<(), NoPlace> {
        self.byte(0)
    }

    #[inline(always)]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), NoPlace> {
        self.byte(1)?;
        value.serialize(self)
    }

    #[inline(always)]
    fn serialize_unit(self) -> Result<(), NoPlace> {
        Ok(())
    }

    #[inline(always)]
    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), NoPlace> {
        Ok(())
    }

    #[inline(always)]
    fn serialize_unit_variant(
        self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
    ) -> Result<(), NoPlace> {
        self.number(u64::from(index))
    }

    #[inline(always)]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), NoPlace> {
        value.serialize(self)
    }

    #[inline(always)]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        value: &T,
    ) -> Result<(), NoPlace> {
        self.number(u64::from(index))?;
        value.serialize(self)
    }

    #[inline(always)]
    fn serialize_seq(self, length: Option<usize>) -> Result<Self, NoPlace> {
        self.number(length.ok_or(NoPlace)? as u64)?;
        Ok(self)
    }

    #[inline(always)]
    fn serialize_tuple(self, _length: usize) -> Result<Self, NoPlace> {
        Ok(self)
    }

    #[inline(always)]
    fn serialize_tuple_struct(self, _name: &'static str, _length: usize) -> Result<Self, NoPlace> {
        Ok(self)
    }

    #[inline(always)]
    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Self, NoPlace> {
        self.number(u64::from(index))?;
        Ok(self)
    }

    /// No message has one.
    fn serialize_map(self, _length: Option<usize>) -> Result<Self::SerializeMap, NoPlace> {
        Err(NoPlace)
    }

    #[inline(always)]
    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Self, NoPlace> {
        Ok(self)
    }

    #[inline(always)]
    fn serialize_struct_variant(
        self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Self, NoPlace> {
        self.number(u64::from(index))?;
        Ok(self)
    }
}

/// The parts of a whole are written one behind the other.
macro_rules! parts {
    ($($shape:ident $method:ident),*) => {
        $(impl ser::$shape for &mut Writer<'_> {
            type Ok = ();
            type Error = NoPlace;

            #[inline(always)]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoPlace> {
                value.serialize(&mut **self)
            }

            #[inline(always)]
            fn end(self) -> Result<(), NoPlace> {
                Ok(())
            }
        })*
    };
}

macro_rules! fields {
    ($($shape:ident),*) => {
        $(impl ser::$shape for &mut Writer<'_> {
            type Ok = ();
            type Error = NoPlace;

            #[inline(always)]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                _name: &'static str,
                value: &T,
            ) -> Result<(), NoPlace> {
                value.serialize(&mut **self)
            }

            #[inline(always)]
            fn end(self) -> Result<(), NoPlace> {
                Ok(())
            }
        })*
    };
}

parts!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);
fields!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
    enum Shape {
        Unit,
        Newtype(u128),
        Tuple(i16, i128),
        Struct {
            short: u16,
            text: String,
            list: Vec<u32>,
            maybe: Option<(i64, i8)>,
            flag: bool,
            letter: char,
        },
    }

    fn shape() -> impl Strategy<Value = Shape> {
        let maybe = proptest::option::of((any::<i64>(), any::<i8>()));
        let list = proptest::collection::vec(any::<u32>(), 0..5);
        let whole = (any::<u16>(), ".{0,20}", list, maybe, any::<bool>(), any::<char>());
        prop_oneof![
            Just(Shape::Unit),
            (any::<u128>(), 0_u32..128).prop_map(|(value, shift)| Shape::Newtype(value >> shift)),
            (any::<i16>(), any::<i128>(), 0_u32..128)
                .prop_map(|(first, second, shift)| Shape::Tuple(first, second >> shift)),
            whole.prop_map(|(short, text, list, maybe, flag, letter)| Shape::Struct {
                short,
                text,
                list,
                maybe,
                flag,
                letter
            }),
        ]
    }

    proptest! {
        #[test]
        fn writes_what_postcard_writes(value in shape(), space in 0_usize..80) {
            let expected = postcard::to_allocvec(&value).unwrap();
            let mut out = [0xff; 256];
            let length = encode(&value, &mut out).unwrap();
            prop_assert_eq!(&out[..length], &expected[..]);
            prop_assert_eq!(out[length], 0xff);
            let fits = encode(&value, &mut out[..space]).is_ok();
            prop_assert_eq!(fits, expected.len() <= space);
        }
    }

    #[test]
    fn what_no_message_has_is_refused() {
        assert_eq!(encode(&1.5_f64, &mut [0; 9]), Err(NoPlace));
        assert_eq!(encode(&std::collections::BTreeMap::from([(1, 2)]), &mut [0; 9]), Err(NoPlace));
    }
}
