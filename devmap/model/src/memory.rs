//! The allocator of the test program: while a schedule runs, what is freed is filled with a pattern and stays until its end, when the pattern must still be there.
//!
//! An atomic in such memory has the pattern's value, by which an access to it is found.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Content of memory that was freed.
const FREED: u8 = 0xd9;

/// The part in front of each block.
struct Front {
    /// The block that was freed before it.
    next: *mut Front,
    /// The layout that was asked for.
    layout: Layout,
}

static KEEPS: AtomicBool = AtomicBool::new(false);
/// Blocks that were freed while it was set, the last one first.
static FREE: AtomicPtr<Front> = AtomicPtr::new(ptr::null_mut());

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

impl Front {
    /// Layout of a block with its front, and the offset of what was asked for.
    fn around(layout: Layout) -> (Layout, usize) {
        let front = Layout::new::<Front>();
        // A layout that was asked for is far from the greatest one.
        front.extend(layout).unwrap_or((front, front.size()))
    }

    /// The front of a block. It ends where the block begins.
    fn of(block: *mut u8) -> *mut Front {
        block.wrapping_sub(size_of::<Front>()).cast()
    }

    /// Gives the whole block back.
    ///
    /// # Safety
    /// Of a block of this allocator's, which nobody uses any more.
    unsafe fn free(front: *mut Front) {
        // SAFETY: the caller's.
        let layout = unsafe { (*front).layout };
        let (whole, offset) = Front::around(layout);
        let start = front.wrapping_add(1).cast::<u8>().wrapping_sub(offset);
        // SAFETY: allocated with this layout.
        unsafe { System.dealloc(start, whole) };
    }
}

// SAFETY: the system's memory, of which the part behind the front is given out.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (whole, offset) = Front::around(layout);
        // SAFETY: it has at least the front's size.
        let start = unsafe { System.alloc(whole) };
        if start.is_null() {
            return start;
        }
        let block = start.wrapping_add(offset);
        // SAFETY: it is in front of the block, and the offset is at least its size; a block is aligned as a front is.
        unsafe { Front::of(block).write(Front { next: ptr::null_mut(), layout }) };
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let front = Front::of(block);
        if !KEEPS.load(Ordering::Relaxed) {
            // SAFETY: the caller's block.
            return unsafe { Front::free(front) };
        }
        // SAFETY: the caller's block.
        unsafe { block.write_bytes(FREED, layout.size()) };
        let mut next = FREE.load(Ordering::Relaxed);
        loop {
            // SAFETY: the front of a block that was allocated.
            unsafe { (*front).next = next };
            match FREE.compare_exchange_weak(next, front, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => next = now,
            }
        }
    }
}

/// While this lives, what is freed is kept.
pub(crate) struct Kept(());

impl Kept {
    pub(crate) fn new() -> Kept {
        KEEPS.store(true, Ordering::Relaxed);
        Kept(())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        KEEPS.store(false, Ordering::Relaxed);
        let mut changed = 0;
        let mut next = FREE.swap(ptr::null_mut(), Ordering::Acquire);
        while !next.is_null() {
            let front = next;
            // SAFETY: on the list, which was taken whole.
            let Front { next: behind, layout } = unsafe { front.read() };
            next = behind;
            let block = front.wrapping_add(1).cast::<u8>();
            // SAFETY: so many bytes, which were written when it was freed.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            let is_filled =
                bytes.first().is_none_or(|first| *first == FREED && bytes[1..] == bytes[..bytes.len() - 1]);
            changed += usize::from(!is_filled);
            // SAFETY: on the list until now.
            unsafe { Front::free(front) };
        }
        assert!(
            changed == 0 || std::thread::panicking(),
            "{changed} blocks were written to after they were freed"
        );
    }
}

/// Fails if this is in memory that was freed, by its content.
pub(crate) fn assert_not_freed(at: *const u8, len: usize) {
    // SAFETY: of an atomic that is about to be accessed: bytes of any value, and no other thread runs.
    let is_freed = (0..len).all(|index| unsafe { at.wrapping_add(index).read_volatile() } == FREED);
    assert!(!is_freed, "memory is used after it was freed");
}
