//! The message authentication code of a session's frames.

use ring::hmac;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::wire_enum;

mod lanes;

/// Bytes of a tag, with either algorithm.
pub const TAG_BYTES: usize = 32;
/// How many messages have their tags worked out together, where that is faster.
pub const TOGETHER_MAX: usize = lanes::LANES;

/// Which MAC a session uses. The order of the variants is the wire's discriminant: append only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum MacAlgorithm {
    /// HMAC-SHA256 (RFC 2104, FIPS 180-4): in every language's library.
    HmacSha256,
    /// Keyed BLAKE3: several times faster where there are no SHA instructions.
    Blake3,
}

wire_enum!(MacAlgorithm { 0 = HmacSha256, 1 = Blake3 });

impl MacAlgorithm {
    /// The name in configuration, metrics and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Blake3 => "blake3",
        }
    }
}

/// One direction's MAC with its key prepared.
pub enum FrameMac {
    /// HMAC-SHA256 with the padded key blocks already hashed.
    HmacSha256(hmac::Key),
    /// Keyed BLAKE3.
    Blake3(Zeroizing<[u8; 32]>),
}

impl FrameMac {
    /// Prepares `key` for `algorithm`.
    pub fn new(algorithm: MacAlgorithm, key: &[u8; 32]) -> Self {
        match algorithm {
            MacAlgorithm::HmacSha256 => Self::HmacSha256(hmac::Key::new(hmac::HMAC_SHA256, key)),
            MacAlgorithm::Blake3 => Self::Blake3(Zeroizing::new(*key)),
        }
    }

    /// The tag of `message`, written to `tag`.
    #[inline]
    pub fn sign(&self, message: &[u8], tag: &mut [u8; TAG_BYTES]) {
        match self {
            Self::HmacSha256(key) => tag.copy_from_slice(hmac::sign(key, message).as_ref()),
            Self::Blake3(key) => *tag = *blake3::keyed_hash(key, message).as_bytes(),
        }
    }

    /// True when `tag` is the tag of `message`. The comparison takes the same time wherever they differ.
    #[inline]
    pub fn verify(&self, message: &[u8], tag: &[u8; TAG_BYTES]) -> bool {
        match self {
            Self::HmacSha256(key) => hmac::verify(key, message, tag).is_ok(),
            Self::Blake3(key) => blake3::keyed_hash(key, message) == *tag,
        }
    }

    /// The tags of up to [`TOGETHER_MAX`] messages, in their order: what [`sign`](Self::sign) says of each, sooner.
    #[inline]
    pub fn sign_together(&self, messages: &[&[u8]], tags: &mut [[u8; TAG_BYTES]; TOGETHER_MAX]) {
        debug_assert!(messages.len() <= TOGETHER_MAX);
        if let Self::Blake3(key) = self
            && lanes::tags(key, messages, tags)
        {
            return;
        }
        messages.iter().zip(tags).for_each(|(message, tag)| self.sign(message, tag));
    }

    /// How many messages have their tag before the first that has not, of up to [`TOGETHER_MAX`]: what
    /// [`verify`](Self::verify) says of each, sooner.
    #[inline]
    pub fn verify_together(&self, messages: &[&[u8]], tags: &[&[u8; TAG_BYTES]]) -> usize {
        debug_assert!(messages.len() == tags.len() && messages.len() <= TOGETHER_MAX);
        let mut made = [[0; TAG_BYTES]; TOGETHER_MAX];
        if let Self::Blake3(key) = self
            && lanes::tags(key, messages, &mut made)
        {
            // The crate's hashes compare in constant time.
            let is_right = |(made, tag): &(&[u8; TAG_BYTES], &&[u8; TAG_BYTES])| {
                blake3::Hash::from_bytes(**made) == ***tag
            };
            return made.iter().zip(tags).take_while(is_right).count();
        }
        messages.iter().zip(tags).take_while(|(message, tag)| self.verify(message, tag)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn together_is_what_each_is_alone() {
        for algorithm in [MacAlgorithm::HmacSha256, MacAlgorithm::Blake3] {
            let mac = FrameMac::new(algorithm, &[7; 32]);
            let texts: Vec<Vec<u8>> = (0..TOGETHER_MAX).map(|at| vec![at as u8; 50 * at]).collect();
            for count in 0..=TOGETHER_MAX {
                let messages: Vec<&[u8]> = texts[..count].iter().map(Vec::as_slice).collect();
                let mut together = [[0; TAG_BYTES]; TOGETHER_MAX];
                mac.sign_together(&messages, &mut together);
                let mut alone = [[0; TAG_BYTES]; TOGETHER_MAX];
                messages.iter().zip(&mut alone).for_each(|(message, tag)| mac.sign(message, tag));
                assert_eq!(together[..count], alone[..count]);
                assert_eq!(mac.verify_together(&messages, &alone[..count].iter().collect::<Vec<_>>()), count);
                for wrong in 0..count {
                    let mut tags = alone;
                    tags[wrong][TAG_BYTES - 1] ^= 1;
                    let tags: Vec<_> = tags[..count].iter().collect();
                    assert_eq!(mac.verify_together(&messages, &tags), wrong);
                }
            }
        }
    }

    #[test]
    fn hmac_matches_rfc_4231_case_2() {
        // The RFC's key "Jefe" is hashed as a key block padded with zeros: 32 bytes of it pad alike.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let mut tag = [0; TAG_BYTES];
        FrameMac::new(MacAlgorithm::HmacSha256, &key).sign(b"what do ya want for nothing?", &mut tag);
        assert_eq!(tag[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        for algorithm in [MacAlgorithm::HmacSha256, MacAlgorithm::Blake3] {
            let mac = FrameMac::new(algorithm, &[7; 32]);
            let mut message = *b"new order";
            let mut tag = [0; TAG_BYTES];
            mac.sign(&message, &mut tag);
            assert!(mac.verify(&message, &tag));
            for bit in 0..message.len() * 8 {
                message[bit / 8] ^= 1 << (bit % 8);
                assert!(!mac.verify(&message, &tag));
                message[bit / 8] ^= 1 << (bit % 8);
            }
            for bit in 0..TAG_BYTES * 8 {
                tag[bit / 8] ^= 1 << (bit % 8);
                assert!(!mac.verify(&message, &tag));
                tag[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}
