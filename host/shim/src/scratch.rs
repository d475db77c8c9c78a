//! Memory for the time of a call, in a library that must not allocate.

use core::cell::Cell;

use ddi_wire::PAGE_SIZE;

use crate::sys::{self, Plain};

/// Memory for one call, unmapped when it is dropped.
///
/// # Invariants
/// At `at` there are `len` bytes of a mapping of the scratch's own, zeroed when it was made. Of these the first `used` have been handed out, each once.
pub struct Scratch {
    at: *mut u8,
    len: usize,
    used: Cell<usize>,
}

impl Scratch {
    /// Maps at least `len` bytes.
    pub fn new(len: usize) -> Result<Scratch, i32> {
        let len = len.max(1).next_multiple_of(PAGE_SIZE as usize);
        let at = sys::map_memory(len as u64)?;
        Ok(Scratch { at: at as *mut u8, len, used: Cell::new(0) })
    }

    /// Hands out the next `count` items, which are zero. Fails with `ENOMEM` if there is no room for them.
    #[expect(clippy::mut_from_ref, reason = "no byte is handed out twice")]
    pub fn take<T: Plain>(&self, count: usize) -> Result<&mut [T], i32> {
        let from = self.used.get().next_multiple_of(align_of::<T>());
        let end = count.checked_mul(size_of::<T>()).and_then(|len| from.checked_add(len));
        let end = end.filter(|&end| end <= self.len).ok_or(libc::ENOMEM)?;
        self.used.set(end);
        let at = self.at.wrapping_add(from).cast::<T>();
        // SAFETY: mapped, and not handed out before, by the invariant; aligned, as the mapping is and `from`; any bytes are a `T`. The mapping lives as long as `self`.
        Ok(unsafe { core::slice::from_raw_parts_mut(at, count) })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; what was handed out is borrowed from `self`.
        let _ = unsafe { sys::munmap(self.at as u64, self.len as u64) };
    }
}
