//! The framework on a small kernel (`mock`): segments as the kernel drives them, and whatever drivers and processes do at the same time.
// The C interface is called as drivers and the kernel call it: several calls under one promise.
#![allow(missing_docs, non_upper_case_globals, clippy::multiple_unsafe_ops_per_block)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

mod driver;
mod known;
mod locking;
mod mapping;
mod mock;
mod races;

/// Counts the bytes that each thread has allocated and not freed.
struct Counting;

thread_local! {
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

/// What the calling thread has allocated and not freed.
pub fn bytes() -> isize {
    BYTES.get()
}

// SAFETY: passes everything on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get() + layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;
