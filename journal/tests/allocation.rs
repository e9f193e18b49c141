//! Appending allocates nothing, rolls included.
#![allow(clippy::unwrap_used)]
// An allocator cannot be written without.
#![allow(unsafe_code)]

mod common;

use common::{settings, spawn, try_append, wait_until};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use tollgate_journal::{Durability, Room};

thread_local! {
    static COUNTED: Cell<Option<u64>> = const { Cell::new(None) };
}

struct Counting;

fn count() {
    COUNTED.with(|counted| counted.set(counted.get().map(|count| count + 1)));
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations and releases of this thread while `work` runs.
fn counted(work: impl FnOnce()) -> u64 {
    COUNTED.set(Some(0));
    work();
    COUNTED.replace(None).unwrap()
}

#[test]
fn append_allocates_nothing() {
    assert_eq!(counted(|| drop(std::hint::black_box(vec![1; 10]))), 2, "the counter counts");
    for durability in [Durability::None, Durability::Process, Durability::Disk] {
        let directory = tempfile::tempdir().unwrap();
        let (mut appender, handle) = spawn(&settings(directory.path(), durability));
        let mut rolls = 0;
        while rolls < 5 {
            wait_until("the next segment is ready", || appender.status().next_ready);
            let before = appender.status().segment_index;
            let allocations = counted(|| {
                while appender.status().segment_index == before {
                    try_append(&mut appender, Room::Ordinary, &[1; 96]).unwrap();
                    appender.publish();
                    std::hint::black_box(appender.durable_sequence());
                }
            });
            assert_eq!(allocations, 0);
            rolls += 1;
        }
        handle.stop().unwrap();
    }
}
