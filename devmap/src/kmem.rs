//! Kernel memory: the allocator behind `Box`, `Vec` and `Arc` in a module, and allocation that may fail.
//!
//! Ordinary allocation sleeps until there is memory (`KM_SLEEP`) and so never fails; it must not be made in interrupt
//! context or in a timeout's routine, nor under a mutex that such a routine takes. There use [`try_box`]; for sizes that a
//! process chooses [`try_words`] and [`try_push`]; and allocate before taking locks.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;
use core::ptr;

use ddi_sys as sys;

use crate::errno::Errno;

/// Alignment that kmem guarantees (kmem_alloc(9F): "at least double-word aligned").
const NATURAL: usize = 8;

/// The global allocator of a module, over `kmem_alloc(9F)`; the [`module!`](crate::module!) macro installs it.
///
/// Plain allocation sleeps for memory and does not fail; the compiler knows that, so a module has no code for the failure. *Zeroed* allocation is for
/// callers that can fail: in interrupt context it does not sleep, and it returns null if there is no memory. A request bigger than
/// [`KmemAllocator::LARGEST`] is refused in both: such a size is a mistake, and `KM_SLEEP` would wait for it for
/// ever.
///
/// Alignments above 8 are met by asking for more and keeping the true address in front of the memory.
pub struct KmemAllocator;

impl KmemAllocator {
    /// The biggest request that is passed on to the kernel: 1 GiB.
    pub const LARGEST: usize = 1 << 30;

    /// Returns the number of bytes to allocate for this layout; none if that overflows.
    #[inline(always)]
    fn real_size(layout: Layout) -> Option<usize> {
        let extra = if layout.align() <= NATURAL { 0 } else { layout.align() };
        layout.size().checked_add(extra).filter(|&size| size <= KmemAllocator::LARGEST)
    }

    fn flags() -> i32 {
        // SAFETY: reads the state of the current CPU.
        let interrupt = unsafe { sys::servicing_interrupt() };
        if interrupt != 0 { sys::KM_NOSLEEP } else { sys::KM_SLEEP }
    }

    /// Allocates memory for `layout` with these kmem flags. Returns null if there is none.
    ///
    /// # Safety
    /// As `GlobalAlloc::alloc`: the size is not zero. With `KM_SLEEP` the thread must be allowed to sleep.
    #[inline(always)]
    pub unsafe fn alloc_with(layout: Layout, flags: i32) -> *mut u8 {
        let Some(size) = KmemAllocator::real_size(layout) else { return ptr::null_mut() };
        // SAFETY: the size is not zero; the caller vouches for the flags.
        let base = unsafe { sys::kmem_alloc(size, flags) }.cast::<u8>();
        if flags & sys::KM_NOSLEEP == 0 {
            // SAFETY: kmem_alloc(9F) sleeps until there is memory: with KM_SLEEP it never returns NULL for a size that is not 0.
            unsafe { core::hint::assert_unchecked(!base.is_null()) };
        }
        if base.is_null() || layout.align() <= NATURAL {
            return base;
        }
        // From 8 to `align` bytes further on, so there is room for an address before it and the size after it.
        let gap = layout.align() - (base.addr() & (layout.align() - 1));
        // SAFETY: 8 <= gap <= align, because base is a multiple of 8 and align is at least 16; size + align were
        // asked for.
        let aligned = unsafe { base.add(gap) };
        // SAFETY: the 8 bytes before lie in the block, see above.
        let keep = unsafe { aligned.sub(NATURAL) };
        // SAFETY: in bounds, and a multiple of 8.
        unsafe { keep.cast::<*mut u8>().write(base) };
        aligned
    }
}

// SAFETY: `alloc_with` gives memory of the size and alignment, or null; `dealloc` gives kmem back exactly what it gave.
unsafe impl GlobalAlloc for KmemAllocator {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's size is not zero; that the context may sleep is what this module asks of its users.
        unsafe { KmemAllocator::alloc_with(layout, sys::KM_SLEEP) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's size is not zero, and the flags fit the context.
        let memory = unsafe { KmemAllocator::alloc_with(layout, KmemAllocator::flags()) };
        if !memory.is_null() {
            // SAFETY: so many bytes were just allocated.
            unsafe { memory.write_bytes(0, layout.size()) };
        }
        memory
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        let Some(size) = KmemAllocator::real_size(layout) else { return };
        let base = if layout.align() <= NATURAL {
            ptr
        } else {
            // SAFETY: `alloc_with` left room for an address there.
            let keep = unsafe { ptr.sub(NATURAL) };
            // SAFETY: and wrote it.
            unsafe { keep.cast::<*mut u8>().read() }
        };
        // SAFETY: the block and the very size that kmem_alloc gave.
        unsafe { sys::kmem_free(base.cast::<c_void>(), size) };
    }
}

/// Allocates a box without sleeping. Fails with `ENOMEM`. For contexts that must not sleep, and for large values.
///
/// ```no_run
/// # fn f() -> Result<(), devmap::Errno> {
/// let page = devmap::kmem::try_box([0_u8; 4096])?;
/// # Ok(()) }
/// ```
pub fn try_box<T>(value: T) -> Result<Box<T>, Errno> {
    let layout = Layout::new::<T>();
    if layout.size() == 0 {
        return Ok(Box::new(value));
    }
    // SAFETY: the size is not zero.
    let memory = unsafe { alloc::alloc::alloc_zeroed(layout) }.cast::<T>();
    if memory.is_null() {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: fresh memory of T's layout.
    unsafe { memory.write(value) };
    // SAFETY: from the global allocator with T's layout, initialised.
    Ok(unsafe { Box::from_raw(memory) })
}

/// Allocates `count` words of 0. Fails with `ENOMEM`. For sizes that a process or a property chooses.
pub fn try_words(count: usize) -> Result<Box<[u64]>, Errno> {
    let layout = Layout::array::<u64>(count).map_err(|_| Errno::ENOMEM)?;
    if layout.size() == 0 {
        return Ok(Box::new([]));
    }
    // SAFETY: the size is not zero.
    let memory = unsafe { alloc::alloc::alloc_zeroed(layout) }.cast::<u64>();
    if memory.is_null() {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: from the global allocator with the layout of `count` words, all of them 0.
    Ok(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(memory, count)) })
}

/// Allocates an empty vector with room for `count` values, at least one. May sleep for memory: user or kernel context. Fails with `ENOMEM` if no allocation can be so
/// large. Uses less stack than a vector that grows.
pub(crate) fn try_room<T>(count: usize) -> Result<Vec<T>, Errno> {
    let layout = Layout::array::<T>(count).map_err(|_| Errno::ENOMEM)?;
    if layout.size() == 0 {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: the size is not zero.
    let memory = unsafe { alloc::alloc::alloc(layout) }.cast::<T>();
    if memory.is_null() {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: from the global allocator with the layout of `count` values, none of which is there.
    Ok(unsafe { Vec::from_raw_parts(memory, 0, count) })
}

/// Appends a value. Fails with `ENOMEM` and drops the value. May sleep for memory: user or kernel context.
pub fn try_push<T>(to: &mut Vec<T>, value: T) -> Result<(), Errno> {
    if to.len() == to.capacity() && to.try_reserve(1).is_err() || to.len() == to.capacity() {
        return Err(Errno::ENOMEM);
    }
    // There is room: this does not grow.
    to.push(value);
    Ok(())
}
