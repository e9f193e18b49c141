//! Numbers of no fixed length: seven bits a byte, lowest first; the highest bit of a byte says that more follow.

/// The most bytes of a number of 64 bits.
pub(super) const NUMBER_BYTES_MAX: usize = 10;
/// What eight bytes hold.
const WORD_BITS: u32 = 56;
/// The highest bit of every byte.
const MORE: u64 = 0x8080_8080_8080_8080;

/// The lowest 56 bits of `value`, seven to a byte.
#[inline(always)]
fn spread(value: u64) -> u64 {
    let value = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4;
    let value = value & 0x0000_3fff_0000_3fff | (value & 0x0fff_c000_0fff_c000) << 2;
    value & 0x007f_007f_007f_007f | (value & 0x3f80_3f80_3f80_3f80) << 1
}

/// The other way round; the highest bits of the bytes do not count.
#[inline(always)]
fn gather(bytes: u64) -> u64 {
    let value = bytes & 0x007f_007f_007f_007f | (bytes & 0x7f00_7f00_7f00_7f00) >> 1;
    let value = value & 0x0000_3fff_0000_3fff | (value & 0x3fff_0000_3fff_0000) >> 2;
    value & 0x0fff_ffff | (value & 0x0fff_ffff_0000_0000) >> 4
}

/// Writes a number and returns how many bytes it took. Bytes behind it are zeroed, or left as they are.
#[inline]
pub(super) fn write(value: u64, out: &mut [u8; NUMBER_BYTES_MAX]) -> usize {
    let bytes = spread(value);
    let (word, rest) = out.split_at_mut(8);
    if value >> WORD_BITS == 0 {
        // Bits of the value, in sevenths.
        let length = (value.max(1).ilog2() * 9 + 73) / 64;
        let more = MORE & !(u64::MAX << (8 * (length - 1)));
        word.copy_from_slice(&(bytes | more).to_le_bytes());
        return length as usize;
    }
    let high = (value >> WORD_BITS) as u8;
    word.copy_from_slice(&(bytes | MORE).to_le_bytes());
    rest.copy_from_slice(&[high, high >> 7]);
    9 + usize::from(high >> 7)
}

/// Writes eight bytes of a number that goes on behind them: its lowest 56 bits.
#[inline(always)]
pub(super) fn write_piece(value: u64, out: &mut [u8; 8]) {
    *out = (spread(value) | MORE).to_le_bytes();
}

/// A number of at most 64 bits at the beginning of `bytes`, and its length.
#[inline(always)]
pub(super) fn read(bytes: &[u8]) -> Option<(u64, usize)> {
    match *bytes.first()? {
        short if short < 0x80 => Some((u64::from(short), 1)),
        _ => read_long(bytes),
    }
}

#[inline]
fn read_long(bytes: &[u8]) -> Option<(u64, usize)> {
    let Some((word, rest)) = bytes.split_first_chunk() else { return read_slowly(bytes) };
    let low = match read_word(*word) {
        Ok(whole) => return Some(whole),
        Err(low) => low,
    };
    match *rest {
        [ninth @ ..0x80, ..] => Some((low | u64::from(ninth) << WORD_BITS, 9)),
        [ninth, tenth @ 0..2, ..] => {
            Some((low | u64::from(ninth & 0x7f) << WORD_BITS | u64::from(tenth) << 63, 10))
        }
        _ => None,
    }
}

/// The number that ends within eight bytes, and its length; else the lowest 56 bits of the one that goes on.
#[inline(always)]
fn read_word(bytes: [u8; 8]) -> Result<(u64, usize), u64> {
    let word = u64::from_le_bytes(bytes);
    let ends = !word & MORE;
    if ends == 0 {
        return Err(gather(word));
    }
    let last_bit = ends.trailing_zeros();
    Ok((gather(word & u64::MAX >> (63 - last_bit)), last_bit as usize / 8 + 1))
}

/// At the end of the bytes, where eight cannot be loaded at once.
#[cold]
fn read_slowly(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(8) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            return Some((value, at + 1));
        }
    }
    None
}

/// A number of at most 128 bits at the beginning of `bytes`, and its length.
#[inline]
pub(super) fn read_128(bytes: &[u8]) -> Option<(u128, usize)> {
    let (mut value, mut rest) = (0, bytes);
    for shift in [0, WORD_BITS] {
        let Some((word, behind)) = rest.split_first_chunk() else {
            let (high, length) = read_slowly(rest)?;
            return Some((value | u128::from(high) << shift, bytes.len() - rest.len() + length));
        };
        match read_word(*word) {
            Ok((high, length)) => {
                return Some((value | u128::from(high) << shift, bytes.len() - rest.len() + length));
            }
            Err(low) => value |= u128::from(low) << shift,
        }
        rest = behind;
    }
    // Sixteen bits are left, in three bytes at most.
    let (high, length) = read(rest)?;
    (length <= 3 && high >> 16 == 0).then(|| (value | u128::from(high) << (2 * WORD_BITS), 16 + length))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_as_it_writes(value: u64, shift in 0_u32..64, behind in 0_usize..12) {
            let value = value >> shift;
            let mut out = [0xff; NUMBER_BYTES_MAX];
            let length = write(value, &mut out);
            prop_assert_eq!(length, (64 - value.leading_zeros()).div_ceil(7).max(1) as usize);
            prop_assert!(out[length..].iter().all(|byte| [0, 0xff].contains(byte)));
            let mut bytes = out[..length].to_vec();
            bytes.resize(length + behind, 0xaa);
            prop_assert_eq!(read(&bytes), Some((value, length)));
            prop_assert_eq!(read_128(&bytes), Some((u128::from(value), length)));
            prop_assert_eq!(read(&bytes[..length - 1]), None);
        }
    }

    #[test]
    fn a_number_ends_within_its_bits() {
        let with = |last: u8, length: usize| {
            let mut bytes = vec![0x80; length];
            bytes.push(last);
            bytes
        };
        assert_eq!(read(&with(1, 9)), Some((1 << 63, 10)));
        assert_eq!(read(&with(2, 9)), None);
        assert_eq!(read(&with(1, 10)), None);
        assert_eq!(read_128(&with(2, 9)), Some((1 << 64, 10)));
        assert_eq!(read_128(&with(3, 18)), Some((3 << 126, 19)));
        assert_eq!(read_128(&with(4, 18)), None);
        assert_eq!(read_128(&with(0, 19)), None);
    }
}
