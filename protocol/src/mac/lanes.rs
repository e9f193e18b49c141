//! Keyed BLAKE3 of several short messages at once.
//!
//! A frame is one or two blocks long: too short for the crate `blake3` to work on parts of it side by side, and one block
//! after the other waits for every single instruction. So each message gets a lane of the processor's vectors here, as the
//! specification describes it for the chunks of one long message (<https://github.com/BLAKE3-team/BLAKE3-specs>, section
//! 5.3). The crate stands beside it in the tests, and does what does not fit.
//!
//! `unsafe` is for calling what is compiled for processors with AVX2 once it is known that this is one. Everything below
//! that call must be inlined into it, to be compiled as it is.
#![allow(unsafe_code, clippy::inline_always, clippy::many_single_char_names)]

use super::TAG_BYTES;

/// Messages that are worked on at once: the 32-bit words of a vector.
pub(super) const LANES: usize = 8;
/// The longest message: one chunk of the hash's tree.
const MESSAGE_BYTES_MAX: usize = 1024;
const BLOCK_BYTES: usize = 64;
const ROUNDS: usize = 7;

const CHUNK_START: u32 = 1 << 0;
const CHUNK_END: u32 = 1 << 1;
const ROOT: u32 = 1 << 3;
const KEYED_HASH: u32 = 1 << 4;

const IV: [u32; 4] = [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a];

/// Which word of the message each round takes at each place: every round permutes those of the one before.
const SCHEDULE: [[usize; 16]; ROUNDS] = schedule();

const fn schedule() -> [[usize; 16]; ROUNDS] {
    const PERMUTATION: [usize; 16] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
    let mut rounds = [[0; 16]; ROUNDS];
    let mut round = 0;
    while round < ROUNDS {
        let mut at = 0;
        while at < 16 {
            rounds[round][at] = if round == 0 { at } else { rounds[round - 1][PERMUTATION[at]] };
            at += 1;
        }
        round += 1;
    }
    rounds
}

/// One word of each message.
type Words = [u32; LANES];

/// The tags of the messages, in their order; false, with nothing done, when this is not the way: for one message, more
/// than [`LANES`], one that is too long, or a processor without vectors of 256 bits.
#[inline]
pub(super) fn tags(key: &[u8; 32], messages: &[&[u8]], tags: &mut [[u8; TAG_BYTES]; LANES]) -> bool {
    let fits = (2..=LANES).contains(&messages.len())
        && messages.iter().all(|message| message.len() <= MESSAGE_BYTES_MAX);
    if !fits || !has_vectors() {
        return false;
    }
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the processor has AVX2, which is all that the function asks for.
    unsafe {
        tags_with_avx2(key, messages, tags);
    }
    true
}

#[cfg(target_arch = "x86_64")]
fn has_vectors() -> bool {
    is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_vectors() -> bool {
    false
}

/// What the compiler makes vector instructions of.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn tags_with_avx2(key: &[u8; 32], messages: &[&[u8]], tags: &mut [[u8; TAG_BYTES]; LANES]) {
    hash(key, messages, tags);
}

#[inline(always)]
fn hash(key: &[u8; 32], messages: &[&[u8]], tags: &mut [[u8; TAG_BYTES]; LANES]) {
    let mut chain: [Words; 8] = std::array::from_fn(|word| [word_at(key, word); LANES]);
    let blocks = messages.iter().map(|message| block_count(message)).max().unwrap_or(0);
    for block in 0..blocks {
        let laid_out = Block::of(messages, block);
        let state = compress(&chain, &laid_out);
        for (word, chained) in chain.iter_mut().enumerate() {
            for lane in 0..LANES {
                // A message that has ended keeps its tag.
                let new = state[word][lane] ^ state[word + 8][lane];
                chained[lane] = (new & laid_out.is_there[lane]) | (chained[lane] & !laid_out.is_there[lane]);
            }
        }
    }
    // A lane without a message still has the key.
    for (lane, tag) in tags.iter_mut().enumerate().take(messages.len()) {
        for (word, bytes) in tag.chunks_exact_mut(4).enumerate() {
            bytes.copy_from_slice(&chain[word][lane].to_le_bytes());
        }
    }
}

/// An empty message is one empty block.
#[inline(always)]
fn block_count(message: &[u8]) -> usize {
    message.len().div_ceil(BLOCK_BYTES).max(1)
}

#[inline(always)]
fn word_at(bytes: &[u8], word: usize) -> u32 {
    bytes[4 * word..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The block at the same place of each message.
struct Block {
    words: [Words; 16],
    bytes: Words,
    flags: Words,
    /// All bits where the message has such a block, none where it is shorter.
    is_there: Words,
}

impl Block {
    #[inline(always)]
    fn of(messages: &[&[u8]], number: usize) -> Self {
        let none = [0; LANES];
        let mut out = Self { words: [none; 16], bytes: none, flags: none, is_there: none };
        for (lane, message) in messages.iter().enumerate().take(LANES) {
            let count = block_count(message);
            if number >= count {
                continue;
            }
            let part = &message[number * BLOCK_BYTES..message.len().min((number + 1) * BLOCK_BYTES)];
            let mut block = [0; BLOCK_BYTES];
            block[..part.len()].copy_from_slice(part);
            for (word, words) in out.words.iter_mut().enumerate() {
                words[lane] = word_at(&block, word);
            }
            out.bytes[lane] = part.len() as u32;
            let start = if number == 0 { CHUNK_START } else { 0 };
            let end = if number + 1 == count { CHUNK_END | ROOT } else { 0 };
            out.flags[lane] = KEYED_HASH | start | end;
            out.is_there[lane] = u32::MAX;
        }
        out
    }
}

/// The compression function (section 2.2 of the specification), before its halves are put together.
#[inline(always)]
fn compress(chain: &[Words; 8], block: &Block) -> [Words; 16] {
    let mut state = [[0; LANES]; 16];
    state[..8].copy_from_slice(chain);
    state[8..12].copy_from_slice(&IV.map(|word| [word; LANES]));
    // 12 and 13 are the chunk's number, and there is but one.
    (state[14], state[15]) = (block.bytes, block.flags);
    let words = &block.words;
    for s in &SCHEDULE {
        mix(&mut state, [0, 4, 8, 12], words[s[0]], words[s[1]]);
        mix(&mut state, [1, 5, 9, 13], words[s[2]], words[s[3]]);
        mix(&mut state, [2, 6, 10, 14], words[s[4]], words[s[5]]);
        mix(&mut state, [3, 7, 11, 15], words[s[6]], words[s[7]]);
        mix(&mut state, [0, 5, 10, 15], words[s[8]], words[s[9]]);
        mix(&mut state, [1, 6, 11, 12], words[s[10]], words[s[11]]);
        mix(&mut state, [2, 7, 8, 13], words[s[12]], words[s[13]]);
        mix(&mut state, [3, 4, 9, 14], words[s[14]], words[s[15]]);
    }
    state
}

#[inline(always)]
fn mix(state: &mut [Words; 16], [a, b, c, d]: [usize; 4], x: Words, y: Words) {
    state[a] = add(add(state[a], state[b]), x);
    state[d] = xor_rotate::<16>(state[d], state[a]);
    state[c] = add(state[c], state[d]);
    state[b] = xor_rotate::<12>(state[b], state[c]);
    state[a] = add(add(state[a], state[b]), y);
    state[d] = xor_rotate::<8>(state[d], state[a]);
    state[c] = add(state[c], state[d]);
    state[b] = xor_rotate::<7>(state[b], state[c]);
}

#[inline(always)]
fn add(a: Words, b: Words) -> Words {
    std::array::from_fn(|lane| a[lane].wrapping_add(b[lane]))
}

#[inline(always)]
fn xor_rotate<const BITS: u32>(a: Words, b: Words) -> Words {
    std::array::from_fn(|lane| (a[lane] ^ b[lane]).rotate_right(BITS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assert_as_the_crate(key: &[u8; 32], messages: &[Vec<u8>]) {
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let mut found = [[9; TAG_BYTES]; LANES];
        hash(key, &messages, &mut found);
        assert!(found[messages.len()..].iter().all(|tag| *tag == [9; TAG_BYTES]), "there is no message");
        for (message, tag) in messages.iter().zip(&found) {
            assert_eq!(blake3::keyed_hash(key, message), *tag, "{} bytes", message.len());
        }
        let mut dispatched = [[0; TAG_BYTES]; LANES];
        if tags(key, &messages, &mut dispatched) {
            assert_eq!(dispatched[..messages.len()], found[..messages.len()]);
        }
    }

    #[test]
    fn tags_at_the_edges_of_blocks_are_those_of_the_crate() {
        let message = |bytes: usize| (0..bytes).map(|at| (at * 7) as u8).collect::<Vec<_>>();
        for bytes in [0, 1, 3, 4, 63, 64, 65, 127, 128, 129, 1023, 1024] {
            assert_as_the_crate(&[0x5a; 32], &vec![message(bytes); LANES]);
            assert_as_the_crate(
                &[0x5a; 32],
                &[message(bytes), message(59), message(0), message(1024 - bytes)],
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_left_alone() {
        let long: &[u8] = &[1; MESSAGE_BYTES_MAX + 1];
        let short: &[u8] = &[1];
        let untouched = [[9; TAG_BYTES]; LANES];
        for messages in [&[short][..], &[short, long], &[short; LANES + 1], &[]] {
            let mut tags_made = untouched;
            assert!(!tags(&[1; 32], messages, &mut tags_made));
            assert_eq!(tags_made, untouched);
        }
    }

    proptest! {
        #[test]
        fn tags_are_those_of_the_crate(
            key: [u8; 32],
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..=LANES),
        ) {
            assert_as_the_crate(&key, &messages);
        }
    }
}
