//! Writing.

use super::{NoPlace, number};

/// Where the next byte goes. What has no place is left out, and [`Writer::finish`] says so.
pub struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    is_full: bool,
}

impl<'a> Writer<'a> {
    /// At the beginning of `out`.
    #[inline(always)]
    pub fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0, is_full: false }
    }

    /// How many bytes were written, if all had a place.
    #[inline(always)]
    pub fn finish(self) -> Result<usize, NoPlace> {
        if self.is_full { Err(NoPlace) } else { Ok(self.at) }
    }

    /// Writes one byte.
    #[inline(always)]
    pub fn byte(&mut self, byte: u8) {
        match self.out.get_mut(self.at) {
            Some(place) => {
                *place = byte;
                self.at += 1;
            }
            None => self.is_full = true,
        }
    }

    /// Writes bytes as they are.
    #[inline(always)]
    pub fn bytes(&mut self, bytes: &[u8]) {
        match self.out.get_mut(self.at..).and_then(|out| out.get_mut(..bytes.len())) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.at += bytes.len();
            }
            None => self.is_full = true,
        }
    }

    /// Writes the first `length` of these bytes. Where there is room all of them are stored, for a copy of a length that is
    /// known needs no call; those behind the first are written over or count for nothing.
    #[inline(always)]
    pub(crate) fn bytes_of<const N: usize>(&mut self, bytes: &[u8; N], length: usize) {
        match self.out.get_mut(self.at..).and_then(|out| out.first_chunk_mut::<N>()) {
            Some(place) => {
                *place = *bytes;
                self.at += length;
            }
            None => self.bytes(&bytes[..length]),
        }
    }

    /// Writes a number.
    #[inline(always)]
    pub(super) fn number(&mut self, value: u64) {
        if value < 0x80 {
            self.byte(value as u8);
        } else {
            self.number_of_more_bytes(value);
        }
    }

    #[inline]
    fn number_of_more_bytes(&mut self, value: u64) {
        match self.out.get_mut(self.at..).and_then(|out| out.first_chunk_mut()) {
            Some(place) => self.at += number::write(value, place),
            None => self.number_at_the_end(value),
        }
    }

    /// At the end of the space, where there may be as many bytes as the number needs and no more.
    #[cold]
    fn number_at_the_end(&mut self, value: u64) {
        let mut bytes = [0; number::NUMBER_BYTES_MAX];
        let length = number::write(value, &mut bytes);
        self.bytes(&bytes[..length]);
    }

    /// Writes a number of 128 bits, 56 of them at a time.
    #[inline]
    pub(super) fn long_number(&mut self, mut value: u128) {
        while value > u128::from(u64::MAX) {
            match self.out.get_mut(self.at..).and_then(|out| out.first_chunk_mut()) {
                Some(place) => number::write_piece(value as u64, place),
                None => self.is_full = true,
            }
            self.at += 8;
            value >>= 56;
        }
        self.number(value as u64);
    }
}
