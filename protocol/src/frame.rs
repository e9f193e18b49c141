//! Frames: a fixed little-endian header, a postcard body, and after the logon a MAC.
//!
//! ```text
//! offset size
//!      0    2  magic "TG"
//!      2    1  version (1)
//!      3    1  kind
//!      4    4  body length in bytes
//!      8    8  sequence, per direction, from 1 in each connection
//!     16    n  body (postcard)
//!   16+n   32  MAC over bytes 0 … 16+n (all kinds from welcome on)
//! ```

use crate::mac::{FrameMac, TAG_BYTES, TOGETHER_MAX};
use crate::reject::Code;
use crate::wire::{Reader, Wire, Writer};

/// The first bytes of every frame.
pub const MAGIC: [u8; 2] = *b"TG";
/// The version of the frames described here.
pub const VERSION: u8 = 1;
/// Bytes of a header.
pub const HEADER_BYTES: usize = 16;
/// The longest body of any frame this version defines. Checked before anything else is read.
pub const BODY_BYTES_MAX: usize = 1024;
/// The longest frame.
pub const FRAME_BYTES_MAX: usize = HEADER_BYTES + BODY_BYTES_MAX + TAG_BYTES;

/// What a frame's body is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum FrameKind {
    /// Client: who I am. No MAC.
    Hello = 1,
    /// Gateway: prove it. No MAC.
    Challenge = 2,
    /// Client: the proof. No MAC.
    Proof = 3,
    /// Gateway: logged on; the first frame with a MAC.
    Welcome = 4,
    /// Gateway: no session, and why. No MAC, so it proves nothing.
    Refusal = 5,
    /// Client: a command.
    Command = 16,
    /// Gateway: a numbered event.
    Event = 32,
    /// Gateway: a direct answer.
    Answer = 33,
    /// Either: the session ends, and why.
    Goodbye = 48,
}

impl FrameKind {
    /// The kind with this number.
    #[inline]
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Hello,
            2 => Self::Challenge,
            3 => Self::Proof,
            4 => Self::Welcome,
            5 => Self::Refusal,
            16 => Self::Command,
            32 => Self::Event,
            33 => Self::Answer,
            48 => Self::Goodbye,
            _ => return None,
        })
    }

    /// True when frames of this kind end with a MAC.
    #[inline]
    pub fn has_mac(self) -> bool {
        !matches!(self, Self::Hello | Self::Challenge | Self::Proof | Self::Refusal)
    }
}

/// A frame's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// What the body is.
    pub kind: FrameKind,
    /// Bytes of the body, at most [`BODY_BYTES_MAX`].
    pub body_bytes: usize,
    /// The frame's number in its direction of this connection, from 1.
    pub sequence: u64,
}

impl Header {
    /// Reads a header: magic, version, kind and length are checked, in this order.
    #[inline]
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Code> {
        if bytes[..2] != MAGIC {
            return Err(Code::FrameMagic);
        }
        if bytes[2] != VERSION {
            return Err(Code::FrameVersion);
        }
        let kind = FrameKind::from_number(bytes[3]).ok_or(Code::FrameKind)?;
        let body_bytes = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
        if body_bytes > BODY_BYTES_MAX {
            return Err(Code::FrameTooLarge);
        }
        let sequence = bytes.last_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Ok(Self { kind, body_bytes, sequence })
    }

    /// Bytes of the whole frame.
    #[inline]
    pub fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.body_bytes + if self.kind.has_mac() { TAG_BYTES } else { 0 }
    }

    fn write(&self, out: &mut [u8]) {
        out[..2].copy_from_slice(&MAGIC);
        out[2] = VERSION;
        out[3] = self.kind as u8;
        out[4..8].copy_from_slice(&(self.body_bytes as u32).to_le_bytes());
        out[8..16].copy_from_slice(&self.sequence.to_le_bytes());
    }
}

/// A whole frame, split into its parts.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The header.
    pub header: Header,
    /// Header and body: what the MAC covers.
    pub covered: &'a [u8],
    /// The MAC; absent in the frames of a logon.
    pub tag: Option<&'a [u8; TAG_BYTES]>,
}

impl<'a> Frame<'a> {
    /// The first frame in `bytes`; `Ok(None)` when more bytes are needed.
    #[inline]
    pub fn split(bytes: &'a [u8]) -> Result<Option<Self>, Code> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return refuse_early(bytes);
        };
        let header = Header::parse(header)?;
        if bytes.len() < header.frame_bytes() {
            return Ok(None);
        }
        let (covered, rest) = bytes.split_at(HEADER_BYTES + header.body_bytes);
        let tag = if header.kind.has_mac() { rest.first_chunk::<TAG_BYTES>() } else { None };
        Ok(Some(Self { header, covered, tag }))
    }

    /// The body, decoded; bytes left over are an error.
    #[inline]
    pub fn body<T: Wire>(&self) -> Result<T, Code> {
        let mut reader = Reader::new(&self.covered[HEADER_BYTES..]);
        let body = T::read(&mut reader).map_err(|_| Code::FrameBody)?;
        if reader.rest().is_empty() { Ok(body) } else { Err(Code::FrameBody) }
    }

    /// Checks MAC and sequence of a frame that must have both.
    #[inline]
    pub fn authenticate(&self, mac: &FrameMac, expected_sequence: u64) -> Result<(), Code> {
        let tag = self.tag.ok_or(Code::FrameKind)?;
        if !mac.verify(self.covered, tag) {
            return Err(Code::FrameMac);
        }
        if self.header.sequence != expected_sequence {
            return Err(Code::FrameSequence);
        }
        Ok(())
    }
}

/// Garbage is refused at its first wrong byte, not when a whole header of it has come.
fn refuse_early<'a>(bytes: &[u8]) -> Result<Option<Frame<'a>>, Code> {
    if !MAGIC.starts_with(&bytes[..bytes.len().min(2)]) {
        return Err(Code::FrameMagic);
    }
    if bytes.get(2).is_some_and(|version| *version != VERSION) {
        return Err(Code::FrameVersion);
    }
    Ok(None)
}

/// Writes a frame into `out` and returns its length; `None` when `out` is too short, which it never is at
/// [`FRAME_BYTES_MAX`], or when `mac` is there for a kind without a MAC, or missing for one with.
#[inline]
pub fn encode<T: Wire>(
    kind: FrameKind,
    sequence: u64,
    body: &T,
    mac: Option<&FrameMac>,
    out: &mut [u8],
) -> Option<usize> {
    encode_with(kind, sequence, |out| body.write(out), mac, out)
}

/// The same with a body that `write` writes.
#[inline]
pub fn encode_with(
    kind: FrameKind,
    sequence: u64,
    write: impl FnOnce(&mut Writer<'_>),
    mac: Option<&FrameMac>,
    out: &mut [u8],
) -> Option<usize> {
    if kind.has_mac() != mac.is_some() {
        return None;
    }
    let frame_bytes = lay_out(kind, sequence, write, out)?;
    if let Some(mac) = mac {
        let (covered, tag) = out[..frame_bytes].split_last_chunk_mut::<TAG_BYTES>()?;
        mac.sign(covered, tag);
    }
    Some(frame_bytes)
}

/// Writes a frame into `out` without its tag, for which there is room: [`sign_all`] makes it. Returns the length with the
/// tag; `None` when `out` is too short.
#[inline]
pub fn lay_out(
    kind: FrameKind,
    sequence: u64,
    write: impl FnOnce(&mut Writer<'_>),
    out: &mut [u8],
) -> Option<usize> {
    let mut writer = Writer::new(out.get_mut(HEADER_BYTES..)?);
    write(&mut writer);
    let body_bytes = writer.finish().ok()?;
    if body_bytes > BODY_BYTES_MAX {
        return None;
    }
    let header = Header { kind, body_bytes, sequence };
    header.write(out);
    (header.frame_bytes() <= out.len()).then_some(header.frame_bytes())
}

/// Makes the tags of frames that were [laid out](lay_out) one behind the other, and fill `frames`.
#[inline]
pub fn sign_all(frames: &mut [u8], mac: &FrameMac) {
    if is_alone(frames)
        && let Some((covered, tag)) = frames.split_last_chunk_mut()
    {
        return mac.sign(covered, tag);
    }
    let mut start = 0;
    while start < frames.len() {
        let mut batch = Batch::default();
        batch.take(&frames[start..], |_| {});
        assert!(batch.count > 0, "frames are laid out whole, and of kinds that have a tag");
        let mut tags = [[0; TAG_BYTES]; TOGETHER_MAX];
        mac.sign_together(&batch.covered[..batch.count], &mut tags);
        let (ends, count, bytes) = (batch.ends, batch.count, batch.bytes());
        for (end, tag) in ends[..count].iter().zip(&tags) {
            frames[start + end - TAG_BYTES..start + end].copy_from_slice(tag);
        }
        start += bytes;
    }
}

/// How many bytes at the head of `received` are whole frames with the right tag. It looks at a few frames at once, and may
/// stop before the last; 0 says that there is none, or that the first has none or a wrong one. Each frame is shown to
/// `meet` before.
#[inline]
pub fn authenticated_bytes(received: &[u8], mac: &FrameMac, mut meet: impl FnMut(&Frame<'_>)) -> usize {
    if is_alone(received)
        && let Ok(Some(frame)) = Frame::split(received)
        && let Some(tag) = frame.tag
    {
        meet(&frame);
        return if mac.verify(frame.covered, tag) { received.len() } else { 0 };
    }
    let mut batch = Batch::default();
    batch.take(received, meet);
    let right = mac.verify_together(&batch.covered[..batch.count], &batch.tags[..batch.count]);
    right.checked_sub(1).map_or(0, |last| batch.ends[last])
}

/// Whether the bytes are one frame: the usual case of a client that waits for its answer, which is spared the batch.
#[inline]
fn is_alone(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|header| {
        Header::parse(header).is_ok_and(|header| header.kind.has_mac() && header.frame_bytes() == bytes.len())
    })
}

/// Frames whose tags are worked out together.
struct Batch<'a> {
    covered: [&'a [u8]; TOGETHER_MAX],
    tags: [&'a [u8; TAG_BYTES]; TOGETHER_MAX],
    /// Where each ends.
    ends: [usize; TOGETHER_MAX],
    count: usize,
}

impl Default for Batch<'_> {
    #[inline]
    fn default() -> Self {
        Self {
            covered: [&[]; TOGETHER_MAX],
            tags: [&[0; TAG_BYTES]; TOGETHER_MAX],
            ends: [0; TOGETHER_MAX],
            count: 0,
        }
    }
}

impl<'a> Batch<'a> {
    /// The whole frames at the head of `bytes` that have a tag.
    #[inline]
    fn take(&mut self, bytes: &'a [u8], mut meet: impl FnMut(&Frame<'a>)) {
        while self.count < TOGETHER_MAX {
            let Ok(Some(frame)) = Frame::split(&bytes[self.bytes()..]) else { return };
            let Some(tag) = frame.tag else { return };
            meet(&frame);
            let end = self.bytes() + frame.header.frame_bytes();
            (self.covered[self.count], self.tags[self.count]) = (frame.covered, tag);
            self.ends[self.count] = end;
            self.count += 1;
        }
    }

    #[inline]
    fn bytes(&self) -> usize {
        self.count.checked_sub(1).map_or(0, |last| self.ends[last])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::mac::MacAlgorithm;
    use crate::text::Text;
    use proptest::prelude::*;

    fn sealed(out: &mut [u8; FRAME_BYTES_MAX]) -> usize {
        let mac = FrameMac::new(MacAlgorithm::HmacSha256, &[1; 32]);
        encode(FrameKind::Command, 9, &Text::<4>::truncated("body"), Some(&mac), out).unwrap()
    }

    #[test]
    fn a_frame_reads_as_it_was_written() {
        let mut out = [0; FRAME_BYTES_MAX];
        let length = sealed(&mut out);
        let frame = Frame::split(&out[..length]).unwrap().unwrap();
        assert_eq!(frame.header, Header { kind: FrameKind::Command, body_bytes: 5, sequence: 9 });
        let mac = FrameMac::new(MacAlgorithm::HmacSha256, &[1; 32]);
        assert_eq!(frame.authenticate(&mac, 9), Ok(()));
        assert_eq!(frame.authenticate(&mac, 8), Err(Code::FrameSequence));
        let other = FrameMac::new(MacAlgorithm::HmacSha256, &[2; 32]);
        assert_eq!(frame.authenticate(&other, 9), Err(Code::FrameMac));
    }

    /// Commands with bodies of different lengths, laid out one behind the other, and where each ends.
    fn laid_out(count: u64) -> (Vec<u8>, Vec<usize>) {
        let (mut frames, mut ends) = (Vec::new(), Vec::new());
        for sequence in 1..=count {
            let mut out = [0; FRAME_BYTES_MAX];
            let body = [7; BODY_BYTES_MAX];
            let write = |out: &mut Writer<'_>| out.bytes(&body[..sequence as usize * 37 % BODY_BYTES_MAX]);
            let length = lay_out(FrameKind::Command, sequence, write, &mut out).unwrap();
            frames.extend_from_slice(&out[..length]);
            ends.push(frames.len());
        }
        (frames, ends)
    }

    #[test]
    fn frames_signed_together_are_what_each_is_alone() {
        for algorithm in [MacAlgorithm::HmacSha256, MacAlgorithm::Blake3] {
            let mac = FrameMac::new(algorithm, &[1; 32]);
            for count in [0, 1, 2, 7, 8, 9, 16, 30] {
                let (mut frames, ends) = laid_out(count);
                sign_all(&mut frames, &mac);
                let mut start = 0;
                for (sequence, end) in (1..).zip(&ends) {
                    let frame = Frame::split(&frames[start..*end]).unwrap().unwrap();
                    assert_eq!(frame.authenticate(&mac, sequence), Ok(()));
                    start = *end;
                }
            }
        }
    }

    #[test]
    fn only_frames_before_the_first_wrong_one_are_authenticated() {
        for algorithm in [MacAlgorithm::HmacSha256, MacAlgorithm::Blake3] {
            let mac = FrameMac::new(algorithm, &[1; 32]);
            let (mut frames, ends) = laid_out(TOGETHER_MAX as u64 + 2);
            sign_all(&mut frames, &mac);
            let mut met = 0;
            let all = authenticated_bytes(&frames, &mac, |_| met += 1);
            assert_eq!((all, met), (ends[TOGETHER_MAX - 1], TOGETHER_MAX), "a few at once");
            assert_eq!(authenticated_bytes(&frames[ends[8]..ends[9] - 1], &mac, |_| {}), 0, "not whole");
            for wrong in 0..TOGETHER_MAX {
                let before = wrong.checked_sub(1).map_or(0, |last| ends[last]);
                let mut tampered = frames.clone();
                tampered[ends[wrong] - 1] ^= 1;
                assert_eq!(authenticated_bytes(&tampered, &mac, |_| {}), before);
                let mut of_no_kind = frames.clone();
                of_no_kind[before + 3] = 250;
                assert_eq!(authenticated_bytes(&of_no_kind, &mac, |_| {}), before);
                let mut without_tag = frames.clone();
                without_tag[before + 3] = FrameKind::Hello as u8;
                assert_eq!(authenticated_bytes(&without_tag, &mac, |_| {}), before);
            }
        }
    }

    #[test]
    fn every_prefix_waits_for_more() {
        let mut out = [0; FRAME_BYTES_MAX];
        let length = sealed(&mut out);
        for cut in 0..length {
            assert!(Frame::split(&out[..cut]).unwrap().is_none(), "{cut}");
        }
    }

    #[test]
    fn headers_are_checked_in_order() {
        let mut out = [0; FRAME_BYTES_MAX];
        sealed(&mut out);
        let with = |at: usize, value: u8| {
            let mut bytes = out;
            bytes[at] = value;
            Frame::split(&bytes).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(0, b'X'), Code::FrameMagic);
        assert_eq!(with(2, 2), Code::FrameVersion);
        assert_eq!(with(3, 77), Code::FrameKind);
        assert_eq!(with(6, 1), Code::FrameTooLarge);
        assert_eq!(Frame::split(b"GET / HTTP/1.1").map(|_| ()), Err(Code::FrameMagic));
        assert_eq!(Frame::split(b"G").map(|_| ()), Err(Code::FrameMagic));
        assert_eq!(Frame::split(b"TG\x07").map(|_| ()), Err(Code::FrameVersion));
    }

    #[test]
    fn bytes_left_over_in_a_body_are_refused() {
        let mut out = [0; FRAME_BYTES_MAX];
        let length = encode(FrameKind::Hello, 1, &[1_u8, 2], None, &mut out).unwrap();
        let frame = Frame::split(&out[..length]).unwrap().unwrap();
        assert_eq!(frame.body::<u8>(), Err(Code::FrameBody));
        assert_eq!(frame.body::<[u8; 2]>(), Ok([1, 2]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_a_code_or_a_wait(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some(frame)) = Frame::split(&bytes) {
                let _ = frame.body::<crate::command::Command>();
            }
        }
    }
}
