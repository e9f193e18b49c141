//! Memory of the tables, which are larger than the processor's caches.
//!
//! It is touched when it is made, so that no command waits for the kernel to find and clear a page of a table. It asks for
//! huge pages, for a table is visited at places that nobody can foretell, and every place of it in a page of its own is one
//! more translation that the processor does not have at hand. And what will be visited soon can be brought near before.
//!
//! Unsafe, because the standard library has no other way to give the kernel or the processor advice. Advice changes
//! nothing that memory holds.
#![allow(unsafe_code)]

use std::mem::{MaybeUninit, size_of_val};

use rustix::mm::{Advice, madvise};

/// What the processor moves at a time.
const LINE_BYTES: usize = 64;

/// The smallest page. Where it is larger the advice is refused, which changes nothing but how fast a table is.
const PAGE_BYTES: usize = 4096;
/// A huge page: less memory never gets one.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// `count` times `value`.
pub fn filled<T: Copy>(value: T, count: usize) -> Box<[T]> {
    let mut values = room(count);
    values.resize(count, value);
    values.into_boxed_slice()
}

/// Room for `capacity` values.
pub fn room<T>(capacity: usize) -> Vec<T> {
    let mut values = Vec::with_capacity(capacity);
    let places = values.spare_capacity_mut();
    prefer_huge_pages(places);
    places.fill_with(MaybeUninit::zeroed);
    values
}

/// Best effort: a kernel without huge pages refuses, and small pages do as well.
fn prefer_huge_pages<T>(memory: &mut [MaybeUninit<T>]) {
    let bytes = size_of_val(memory);
    if bytes < HUGE_PAGE_BYTES {
        return;
    }
    let start = memory.as_mut_ptr().cast::<u8>();
    let before = start.addr() % PAGE_BYTES;
    let pages_bytes = (before + bytes).next_multiple_of(PAGE_BYTES);
    // SAFETY: these are the pages that `memory` lies in, and the advice is one of how the kernel keeps pages: what they
    // hold stays, that of whoever has the rest of the first and the last one too.
    let _ = unsafe { madvise(start.wrapping_sub(before).cast(), pages_bytes, Advice::LinuxHugepage) };
}

/// Has the place of `values[index]` brought near, all of it, whether there is a value yet or not.
#[inline]
pub fn prefetch<T>(values: &[T], index: usize) {
    let place = values.as_ptr().wrapping_add(index).cast::<u8>();
    for line in 0..size_of::<T>().div_ceil(LINE_BYTES) {
        prefetch_line(place.wrapping_add(line * LINE_BYTES));
    }
    // What is larger than its alignment may begin anywhere in a line, and reach into one more.
    if size_of::<T>() > align_of::<T>() {
        prefetch_line(place.wrapping_add(size_of::<T>() - 1));
    }
}

#[inline(always)]
#[allow(clippy::inline_always)]
fn prefetch_line(place: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program sees; where no memory is, it does nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_holds_what_it_was_filled_with_and_room_is_empty() {
        for count in [0, 1, 511, 512, 1 << 20] {
            assert!(filled(7_u64, count).iter().all(|value| *value == 7));
            let mut empty = room::<[u8; 24]>(count);
            assert!(empty.is_empty() && empty.capacity() >= count);
            let place = empty.as_ptr();
            empty.resize(count, [2; 24]);
            assert_eq!(empty.as_ptr(), place, "it has its room from the beginning");
        }
    }

    #[test]
    fn any_place_may_be_brought_near() {
        let values = room::<[u8; 208]>(16);
        for index in [0, 15, 16, usize::MAX] {
            prefetch(&values, index);
            prefetch::<u64>(&[], index);
        }
    }

    const BYTES: usize = 256 << 20;

    /// What was made is in memory: the process has as many pages more, whatever other tests give back meanwhile.
    #[test]
    fn memory_is_there_before_it_is_used() {
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
            let pages = statm.split(' ').nth(1).and_then(|text| text.parse::<usize>().ok());
            pages.unwrap_or_default() * rustix::param::page_size()
        };
        let is_there = |before: usize| {
            let grown = resident().saturating_sub(before);
            assert!(grown > BYTES / 2, "of {BYTES} bytes {grown} are there");
        };
        let before = resident();
        let values = filled(0_u64, BYTES / 8);
        is_there(before);
        drop(values);
        let before = resident();
        let values = room::<u64>(BYTES / 8);
        is_there(before);
        drop(values);
    }
}
