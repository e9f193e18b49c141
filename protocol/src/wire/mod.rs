//! How every message and every journal record becomes bytes: [postcard's format](https://postcard.jamesmunns.com/wire-format).
//!
//! Each type states its own parts in the order of the wire ([`wire_struct!`](crate::wire_struct),
//! [`wire_enum!`](crate::wire_enum)), and a property test holds that the `postcard` crate writes the same bytes and reads
//! the same values. That crate goes through a visitor for every field and through every number byte by byte; here a
//! number's bytes are stored and loaded eight at a time, and what remains of a message is a list of stores or loads.
#![allow(clippy::inline_always)] // Or the list would be one of calls.

mod macros;
mod number;
mod parts;
mod read;
mod write;

use std::fmt;

pub use read::Reader;
pub use write::Writer;

/// A value that can be written and read.
pub trait Wire: Sized {
    /// Writes it behind what was written before.
    fn write(&self, out: &mut Writer<'_>);

    /// Reads it behind what was read before.
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed>;
}

/// The bytes do not fit the space that they are written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoPlace;

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value does not fit the space that it is written to")
    }
}

impl std::error::Error for NoPlace {}

/// The bytes are not those of such a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes are not those of such a value")
    }
}

impl std::error::Error for Malformed {}

/// Writes `value` at the beginning of `out` and returns how many bytes it took. Bytes behind them may be zeroed.
#[inline]
pub fn encode<T: Wire>(value: &T, out: &mut [u8]) -> Result<usize, NoPlace> {
    let mut writer = Writer::new(out);
    value.write(&mut writer);
    writer.finish()
}

/// Reads a value at the beginning of `bytes`, and returns the bytes behind it too.
#[inline]
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<(T, &[u8]), Malformed> {
    let mut reader = Reader::new(bytes);
    let value = T::read(&mut reader)?;
    Ok((value, reader.rest()))
}
