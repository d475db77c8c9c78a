//! Kernel addresses that drivers map themselves: `heap_arena`, hat_devload, hat_unload, and the page frame behind an address.
//!
//! A range of the host's address space is set aside; a page frame loaded there is a shared mapping of the physical memory. Locking: a
//! leaf mutex protects the table of loaded pages.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use ddi_process::mapping::Mapping;
use ddi_process::physmem::PAGE_SIZE;
use parking_lot::Mutex;
use rustix::mm::ProtFlags;

use super::memory::memory;

/// Bytes that can be mapped so.
pub const SIZE: usize = 4 << 30;

/// State of this file.
struct State {
    range: OnceLock<Mapping>,
    loaded: LazyLock<Mutex<BTreeMap<usize, u64>>>,
}

static STATE: State = State { range: OnceLock::new(), loaded: LazyLock::new(Mutex::default) };
/// Sets the range aside. Returns it.
///
/// # Errors
/// There is no address space.
pub(super) fn start() -> std::io::Result<&'static Mapping> {
    if let Some(range) = STATE.range.get() {
        return Ok(range);
    }
    let range = Mapping::new(SIZE, ProtFlags::empty())?;
    Ok(STATE.range.get_or_init(|| range))
}

fn range() -> &'static Mapping {
    start().expect("address space for kernel mappings")
}

/// Returns the start of the range.
///
/// # Panics
/// There is no address space; [`super::start`] finds that out in time.
pub fn base() -> usize {
    range().addresses().start
}

fn within(address: usize, len: usize) -> bool {
    address >= base() && address.checked_add(len).is_some_and(|end| end <= base() + SIZE)
}

/// Maps page frames at a kernel address; false when the range or a frame is not one.
pub fn load(address: usize, len: usize, pfn: u64) -> bool {
    let pages = (len as u64).div_ceil(PAGE_SIZE);
    let len = (pages * PAGE_SIZE) as usize;
    if !within(address, len) || !(address as u64).is_multiple_of(PAGE_SIZE) || pfn + pages > memory().pages()
    {
        return false;
    }
    if range().show(address..address + len, &**memory(), pfn * PAGE_SIZE).is_err() {
        return false;
    }
    let mut loaded = STATE.loaded.lock();
    for page in 0..pages {
        loaded.insert(address + (page * PAGE_SIZE) as usize, pfn + page);
    }
    true
}

/// Takes mappings away.
pub fn unload(address: usize, len: usize) {
    let len = len.next_multiple_of(PAGE_SIZE as usize);
    if !within(address, len) || len == 0 {
        return;
    }
    range().clear(address..address + len);
    let mut loaded = STATE.loaded.lock();
    let pages: Vec<usize> = loaded.range(address..address + len).map(|(a, _)| *a).collect();
    for page in pages {
        loaded.remove(&page);
    }
}

/// The page frame behind a kernel address.
pub fn frame(address: usize) -> Option<u64> {
    if let Some((pfn, _)) = memory().frame_of(address as *const u8) {
        return Some(pfn);
    }
    STATE.loaded.lock().get(&(address & !(PAGE_SIZE as usize - 1))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_seen_at_both_addresses() {
        let pfn = memory().alloc(2, 1).unwrap();
        let at = base() + 0x10000;
        assert!(load(at, 8192, pfn));
        assert_eq!(frame(at + 5000), Some(pfn + 1));
        // SAFETY: two pages were just mapped.
        unsafe { ((at + 4096) as *mut u32).write(77) };
        // SAFETY: the host's own view of the second frame.
        assert_eq!(unsafe { memory().ptr(pfn + 1).cast::<u32>().read() }, 77);
        unload(at, 8192);
        assert_eq!(frame(at), None);
        assert!(!load(at + 1, 4096, pfn));
        memory().free(pfn, 2);
    }
}
