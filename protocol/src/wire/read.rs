//! Reading.

use super::{Malformed, number};

/// The bytes that were not read yet.
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// At the beginning of `bytes`.
    #[inline(always)]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What was not read.
    #[inline(always)]
    pub fn rest(self) -> &'a [u8] {
        self.bytes
    }

    /// Reads one byte.
    #[inline(always)]
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let (byte, rest) = self.bytes.split_first().ok_or(Malformed)?;
        self.bytes = rest;
        Ok(*byte)
    }

    /// Reads bytes as they are.
    #[inline(always)]
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Malformed)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// Reads the number of an enum's variant.
    #[inline(always)]
    pub fn variant(&mut self) -> Result<u64, Malformed> {
        self.short_number(u32::BITS)
    }

    /// Reads a number.
    #[inline(always)]
    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let (value, length) = number::read(self.bytes).ok_or(Malformed)?;
        self.bytes = self.bytes.get(length..).ok_or(Malformed)?;
        Ok(value)
    }

    /// Reads a number that has `bits` bits, and as many bytes at most as those need.
    #[inline(always)]
    pub(super) fn short_number(&mut self, bits: u32) -> Result<u64, Malformed> {
        let (value, length) = number::read(self.bytes).ok_or(Malformed)?;
        if value >> bits != 0 || length > bits.div_ceil(7) as usize {
            return Err(Malformed);
        }
        self.bytes = self.bytes.get(length..).ok_or(Malformed)?;
        Ok(value)
    }

    /// Reads a number of 128 bits.
    #[inline]
    pub(super) fn long_number(&mut self) -> Result<u128, Malformed> {
        let (value, length) = number::read_128(self.bytes).ok_or(Malformed)?;
        self.bytes = self.bytes.get(length..).ok_or(Malformed)?;
        Ok(value)
    }
}
