//! Mapped memory.
//!
//! A segment is written by one appender, synced by the flusher, and read by readers in any process. What makes
//! that sound is the discipline of the journal, which the types here carry as far as they can:
//! - bytes below the commit point never change, and shared slices are only made of those;
//! - bytes above it are written through the one [`Tail`] of the segment, which can be taken once;
//! - the commit point moves by a release store of a record's length word and is read by an acquire load;
//! - header words that change while others look are written by a release store of their first or last word.
//!
//! Nobody else may shrink or rewrite the files while they are mapped; that is out of the crate's reach.
#![allow(unsafe_code)]

use crate::format::PAGE_BYTES;
use memmap2::{Advice, MmapMut, MmapOptions, MmapRaw, UncheckedAdvice};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Bytes that the processor fetches at once.
const LINE_BYTES: usize = 64;
/// Lines that are fetched ahead: one or two records.
const LINES_AHEAD: usize = 6;

/// A mapped segment, shared by whoever reads or syncs it.
#[derive(Debug)]
pub struct Mapping {
    raw: MmapRaw,
    writable: bool,
    has_file: bool,
    tail_taken: AtomicBool,
}

impl Mapping {
    /// Maps the first `bytes` of a file for reading and writing, one page at a time (no read-ahead, which
    /// would bring in large folios that are then written whole for every small append).
    pub(crate) fn of_file(file: &File, bytes: usize) -> io::Result<Self> {
        let raw = MmapOptions::new().len(bytes).map_raw(file)?;
        raw.advise(Advice::Random)?;
        Ok(Self::new(raw, true, true))
    }

    /// Maps the first `bytes` of a file for reading.
    pub(crate) fn read_only(file: &File, bytes: usize, advice: Advice) -> io::Result<Self> {
        let raw = MmapOptions::new().len(bytes).map_raw_read_only(file)?;
        raw.advise(advice)?;
        Ok(Self::new(raw, false, true))
    }

    /// Memory that no file stands behind.
    pub(crate) fn anonymous(bytes: usize) -> io::Result<Self> {
        let raw = MmapRaw::from(MmapMut::map_anon(bytes)?);
        // Fewer translations to look up; a kernel without huge pages refuses, and nothing is lost.
        let _ = raw.advise(Advice::HugePage);
        Ok(Self::new(raw, true, false))
    }

    fn new(raw: MmapRaw, writable: bool, has_file: bool) -> Self {
        Self { raw, writable, has_file, tail_taken: AtomicBool::new(false) }
    }

    pub(crate) fn len(&self) -> usize {
        self.raw.len()
    }

    /// Makes the pages present and writable, so that the next store to them does not fault. Best effort: a
    /// kernel before 5.14 does not know how, and the appender then takes the faults itself.
    pub(crate) fn populate(&self, range: Range<usize>) -> io::Result<()> {
        let range = range.start.min(self.len())..range.end.min(self.len());
        if range.is_empty() {
            return Ok(());
        }
        match self.raw.advise_range(Advice::PopulateWrite, range.start, range.len()) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }

    /// Writes the pages that hold the range to the disk and waits for them.
    ///
    /// Whole pages, which the appender writes no more, leave the page tables before: all at once. Otherwise the kernel takes
    /// the write permission of each page by itself and interrupts every core that runs this process for each.
    pub(crate) fn sync(&self, range: Range<usize>) -> io::Result<()> {
        self.leave_page_tables(range.start / PAGE_BYTES * PAGE_BYTES..range.end / PAGE_BYTES * PAGE_BYTES);
        self.raw.flush_range(range.start, range.len())
    }

    /// The pages stay in the page cache, and come back with a fault when they are looked at. Best effort.
    fn leave_page_tables(&self, range: Range<usize>) {
        if self.has_file && !range.is_empty() {
            // SAFETY: a file stands behind this shared mapping: what was stored is in its page cache, from where the
            // next load takes it. Only memory without a file would lose it.
            let _ = unsafe {
                self.raw.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len())
            };
        }
    }

    /// Bytes that no one changes any more: the immutable part of the header, or committed records.
    #[inline]
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        assert!(range.start <= range.end && range.end <= self.len(), "range outside the mapping");
        // SAFETY: the range is inside the mapping, which lives as long as `self`; by the discipline above
        // these bytes are not written while the slice exists.
        unsafe { std::slice::from_raw_parts(self.raw.as_ptr().add(range.start), range.len()) }
    }

    #[inline]
    pub(crate) fn load_u32(&self, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.len(), "word outside the mapping");
        // SAFETY: inside the mapping and aligned; the pointer is only used to load, so a read-only mapping
        // will do.
        let word = unsafe { AtomicU32::from_ptr(self.raw.as_mut_ptr().add(offset).cast()) };
        u32::from_le(word.load(Ordering::Acquire))
    }

    #[inline]
    pub(crate) fn load_u64(&self, offset: usize) -> u64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.len(), "word outside the mapping");
        // SAFETY: as in `load_u32`.
        let word = unsafe { AtomicU64::from_ptr(self.raw.as_mut_ptr().add(offset).cast()) };
        u64::from_le(word.load(Ordering::Acquire))
    }

    /// Stores a header word that others may be looking at.
    pub(crate) fn store_u64(&self, offset: usize, value: u64) {
        assert!(self.writable, "stores need a writable mapping");
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.len(), "word outside the mapping");
        // SAFETY: inside a writable mapping and aligned.
        let word = unsafe { AtomicU64::from_ptr(self.raw.as_mut_ptr().add(offset).cast()) };
        word.store(value.to_le(), Ordering::Release);
    }

    /// Zeroes everything from `position` on. Only recovery does this, before the tail is taken.
    pub(crate) fn zero_from(&self, position: usize) {
        assert!(self.writable && position <= self.len(), "zeroing outside the mapping");
        assert!(!self.tail_taken.load(Ordering::Acquire), "the tail belongs to its appender");
        // SAFETY: inside a writable mapping; no slice of these bytes exists, since they are not committed
        // and nobody has the tail.
        unsafe { self.raw.as_mut_ptr().add(position).write_bytes(0, self.len() - position) };
    }
}

/// The right to write the uncommitted part of a segment. There is one for each mapping.
#[derive(Debug)]
pub(crate) struct Tail {
    start: *mut u8,
    bytes: usize,
    committed: usize,
}

// SAFETY: the pointer leads into a mapping that the owner keeps alive (see `Tail::take`); nothing about it
// belongs to a thread.
unsafe impl Send for Tail {}

impl Tail {
    /// Takes the tail of a mapping, from the commit point on. The caller keeps the mapping alive for as long
    /// as it uses the tail; [`Segment`](crate::segment::Segment) owners hold both side by side.
    pub(crate) fn take(mapping: &Mapping, committed: usize) -> Self {
        assert!(mapping.writable, "only a writable mapping has a tail");
        assert!(committed <= mapping.len(), "commit point outside the mapping");
        assert!(!mapping.tail_taken.swap(true, Ordering::AcqRel), "the tail of a segment is taken once");
        Self { start: mapping.raw.as_mut_ptr(), bytes: mapping.len(), committed }
    }

    /// Offset of the commit point.
    #[inline]
    pub(crate) fn committed(&self) -> usize {
        self.committed
    }

    /// Has the next lines after the commit point brought near.
    #[inline]
    pub(crate) fn prefetch(&self) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        for line in 0..LINES_AHEAD {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let place = self.start.wrapping_add(self.committed + line * LINE_BYTES);
            // SAFETY: a prefetch reads nothing that the program sees; where no memory is, it does nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast_const().cast()) }
        }
    }

    /// The next `bytes` after the commit point.
    #[inline]
    pub(crate) fn slot(&mut self, bytes: usize) -> &mut [u8] {
        assert!(bytes <= self.bytes - self.committed, "slot outside the segment");
        // SAFETY: inside the mapping; these bytes are above the commit point, so no shared slice covers
        // them, and `&mut self` makes this the only mutable one.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(self.committed), bytes) }
    }

    /// Commits the record at the commit point by its length word and moves past its `padded` bytes.
    #[inline]
    pub(crate) fn commit(&mut self, length: usize, padded: usize) {
        assert!(length <= padded && padded <= self.bytes - self.committed, "record outside the segment");
        assert!(self.committed.is_multiple_of(crate::format::RECORD_ALIGNMENT), "record not aligned");
        // SAFETY: inside the mapping and aligned to 16.
        let word = unsafe { AtomicU32::from_ptr(self.start.add(self.committed).cast()) };
        word.store((length as u32).to_le(), Ordering::Release);
        self.committed += padded;
    }
}

#[cfg(test)]
#[cfg(not(miri))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    /// Whether the page that holds `offset` is in the page tables (bit 63 of its entry, proc_pid_pagemap(5)).
    fn is_present(mapping: &Mapping, offset: usize) -> bool {
        let page = (mapping.raw.as_ptr() as usize + offset) / PAGE_BYTES;
        let mut entry = [0; 8];
        File::open("/proc/self/pagemap").unwrap().read_exact_at(&mut entry, page as u64 * 8).unwrap();
        u64::from_ne_bytes(entry) >> 63 == 1
    }

    fn filled(mapping: &Mapping) {
        let mut tail = Tail::take(mapping, 0);
        let bytes = mapping.len();
        tail.slot(bytes).iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
    }

    #[test]
    fn whole_pages_leave_the_page_tables_before_they_are_written_and_keep_their_bytes() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 * PAGE_BYTES as u64).unwrap();
        let mapping = Mapping::of_file(&file, 4 * PAGE_BYTES).unwrap();
        filled(&mapping);
        mapping.sync(PAGE_BYTES + 100..3 * PAGE_BYTES + 100).unwrap();
        let present = [0, 1, 2, 3].map(|page| is_present(&mapping, page * PAGE_BYTES));
        assert_eq!(present, [true, false, false, true], "the last page is still written to");
        let expected: Vec<u8> = (0..mapping.len()).map(|at| at as u8).collect();
        assert_eq!(mapping.bytes(0..mapping.len()), expected);
        let mut on_disk = vec![0; mapping.len()];
        file.read_exact_at(&mut on_disk, 0).unwrap();
        assert_eq!(on_disk, expected);
    }

    #[test]
    fn memory_without_a_file_keeps_its_bytes() {
        let mapping = Mapping::anonymous(2 * PAGE_BYTES).unwrap();
        filled(&mapping);
        mapping.sync(0..2 * PAGE_BYTES).unwrap();
        assert!(mapping.bytes(0..mapping.len()).iter().enumerate().all(|(at, byte)| *byte == at as u8));
    }
}
