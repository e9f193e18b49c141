//! CRC-32C over whole words. Records are short, and for those a plain loop over the processor's instruction
//! takes half the time of the general function, which is made for long inputs.
#![allow(unsafe_code)]

/// From here on the general function is faster: it works on three parts at once.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const LONG_BYTES: usize = 1024;

/// CRC-32C of `bytes` continued from `seed`. The length is a multiple of 8.
#[inline]
pub(crate) fn crc32c_words(seed: u32, bytes: &[u8]) -> u32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if bytes.len() < LONG_BYTES && std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor has the instruction, as was just checked.
        return unsafe { crc32c_short(seed, bytes) };
    }
    crc32c::crc32c_append(seed, bytes)
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "sse4.2")]
fn crc32c_short(seed: u32, bytes: &[u8]) -> u32 {
    use std::arch::x86_64::_mm_crc32_u64;
    let (words, rest) = bytes.as_chunks::<8>();
    debug_assert!(rest.is_empty(), "records are padded to whole words");
    let mut checksum = u64::from(!seed);
    for word in words {
        checksum = _mm_crc32_u64(checksum, u64::from_le_bytes(*word));
    }
    !(checksum as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_general_function_at_every_length() {
        let bytes: Vec<u8> = (0..2_048_u32).map(|number| (number * 7 + number / 256) as u8).collect();
        for length in (0..=bytes.len()).step_by(8) {
            for seed in [0, 1, 0xdead_beef, u32::MAX] {
                let expected = crc32c::crc32c_append(seed, &bytes[..length]);
                assert_eq!(crc32c_words(seed, &bytes[..length]), expected, "{length} bytes, seed {seed}");
            }
        }
    }
}
