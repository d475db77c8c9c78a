//! The free-list allocator that the workloads run with, as the reference's did: about 15 instructions an allocation, and counts
//! of what was asked for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;

/// Blocks up to this size come from free lists, in steps of 16 bytes.
const LARGEST: usize = 1024;
const LISTS: usize = LARGEST / 16 + 1;

/// What was asked for so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// Allocations.
    pub count: u64,
    /// Bytes that are allocated now, as they were asked for.
    pub bytes: u64,
}

struct State {
    free: [*mut u8; LISTS],
    asked: Asked,
}

/// The allocator.
pub struct FreeLists(UnsafeCell<State>);

// SAFETY: the program never starts a thread, so its one thread is the only one to reach the state.
unsafe impl Sync for FreeLists {}

#[global_allocator]
static ALLOCATOR: FreeLists =
    FreeLists(UnsafeCell::new(State { free: [ptr::null_mut(); LISTS], asked: Asked { count: 0, bytes: 0 } }));

/// What was asked for so far.
pub fn asked() -> Asked {
    // SAFETY: one thread only, and no reference to the state outlives the methods below.
    unsafe { (*ALLOCATOR.0.get()).asked }
}

// SAFETY: blocks come from the system's allocator with the size of their list and an alignment of 16, and are given
// out again only for sizes of the same list; other requests go to the system's allocator as they are.
unsafe impl GlobalAlloc for FreeLists {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread only, and the allocator does not call itself.
        let state = unsafe { &mut *self.0.get() };
        state.asked.count += 1;
        state.asked.bytes += layout.size() as u64;
        if layout.size() > LARGEST || layout.align() > 16 {
            // SAFETY: the caller's layout is passed on as it is.
            return unsafe { System.alloc(layout) };
        }
        let list = layout.size().div_ceil(16);
        let block = state.free[list];
        if block.is_null() {
            let Ok(layout) = Layout::from_size_align(list * 16, 16) else { return ptr::null_mut() };
            // SAFETY: the size is not zero, as the caller's is not.
            return unsafe { System.alloc(layout) };
        }
        // SAFETY: a free block holds the next free block's address, written by `dealloc`.
        state.free[list] = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        let state = unsafe { &mut *self.0.get() };
        state.asked.bytes -= layout.size() as u64;
        if layout.size() > LARGEST || layout.align() > 16 {
            // SAFETY: `alloc` took the block from there with the same layout.
            return unsafe { System.dealloc(block, layout) };
        }
        let list = layout.size().div_ceil(16);
        // SAFETY: the block is at least 16 bytes long, aligned to 16 and the caller's to give back.
        unsafe { block.cast::<*mut u8>().write(state.free[list]) };
        state.free[list] = block;
    }
}
