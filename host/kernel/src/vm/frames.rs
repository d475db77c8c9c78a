//! Page frames: whether they are memory or a device's registers, and the kernel's `page_t` of each.
//!
//! Every frame has an image of a `page_t`, in one array that is filled as pages are asked for, so that a driver that goes from a frame
//! to its page and back finds the fields where the kernel has them. Locking: leaf locks protect the lists of frames; the
//! fields of a page belong to the holder of the page's lock (see [`crate::ddi::pages`]).

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use ddi_process::mapping::Mapping;
use ddi_process::physmem::LEGACY;
use parking_lot::RwLock;
use rustix::mm::ProtFlags;

use super::memory::memory;
use crate::kern::fields::Structure;

/// The kernel's `page_t`, as far as drivers reach into it.
#[repr(C)]
#[derive(Debug)]
pub struct Page {
    /// Offset in the vnode that the page belongs to.
    pub p_offset: u64,
    /// The vnode that the page belongs to; NULL for none.
    pub p_vnode: usize,
    /// The lock: 0, the number of those who share it, or below 0 when one has it alone.
    pub p_selock: i32,
    /// Not used here.
    pub p_vpmref: u32,
    /// Not used here.
    pub p_hash: usize,
    /// The next page of the vnode, in a ring.
    pub p_vpnext: *mut Page,
    /// The previous one.
    pub p_vpprev: *mut Page,
    /// Not used here.
    pub p_lists: [usize; 2],
    /// Locks on the data.
    pub p_lckcnt: u16,
    /// Locks of private copies.
    pub p_cowcnt: u16,
    /// Condition variables; not used here.
    pub p_cvs: [u16; 2],
    /// Not used here.
    pub p_iolock_state: u8,
    /// Size code: 0, a small page.
    pub p_szc: u8,
    /// For file systems.
    pub p_fsdata: u8,
    /// `P_FREE` and others.
    pub p_state: u8,
    /// Not used here.
    pub p_rest: [u8; 4],
    /// Not used here.
    pub p_mapping: usize,
    /// The frame.
    pub p_pagenum: u64,
    /// Translations; not used here.
    pub p_share: [u32; 2],
    /// Soft locks.
    pub p_slckcnt: u32,
    /// Not used here.
    pub p_mlentry: u32,
    /// Not used here.
    pub p_ilock: u64,
}

const _: () = assert!(size_of::<Page>() == 120);
const _: () =
    assert!(std::mem::offset_of!(Page, p_pagenum) == 88 && std::mem::offset_of!(Page, p_state) == 75);

/// State of this file.
struct State {
    /// Device frames: first frame to number of frames.
    devices: LazyLock<RwLock<BTreeMap<u64, u64>>>,
    /// Frames of kernel memory that is in use: first frame to number of frames.
    kernel: LazyLock<RwLock<BTreeMap<u64, u64>>>,
    pages: OnceLock<Mapping>,
}

static STATE: State = State {
    devices: LazyLock::new(RwLock::default),
    kernel: LazyLock::new(RwLock::default),
    pages: OnceLock::new(),
};
/// These frames are kernel memory from now on, or memory that a driver has locked. As on x86 its pages stay share-locked (`p_selock`), and
/// locked in memory.
pub fn lock(pfn: u64, pages: u64) {
    STATE.kernel.write().insert(pfn, pages);
}

/// They are free again.
pub fn unlock(pfn: u64, pages: u64) {
    STATE.kernel.write().remove(&pfn);
    if STATE.pages.get().is_none() {
        return;
    }
    for pfn in pfn..pfn + pages {
        let entry = entry(pfn);
        if entry.p_selock() != 0 {
            entry.set_selock(0);
            entry.set_lckcnt(0);
        }
    }
}

/// Returns whether a frame is in one of the runs.
fn within(runs: &BTreeMap<u64, u64>, pfn: u64) -> bool {
    runs.range(..=pfn).next_back().is_some_and(|(&at, &n)| pfn - at < n)
}

/// These frames are a device's, not memory.
pub fn add_device(pfn: u64, pages: u64) {
    STATE.devices.write().insert(pfn, pages);
}

/// Returns whether the frame is one of memory.
pub fn is_memory(pfn: u64) -> bool {
    pfn < memory().pages() && !LEGACY.contains(&pfn) && !within(&STATE.devices.read(), pfn)
}

/// Sets address space aside for the array of pages. Returns it.
///
/// # Errors
/// There is none.
pub(super) fn start() -> std::io::Result<&'static Mapping> {
    if let Some(pages) = STATE.pages.get() {
        return Ok(pages);
    }
    let len = memory().pages() as usize * size_of::<Page>();
    let pages = Mapping::new(len, ProtFlags::READ | ProtFlags::WRITE)?;
    Ok(STATE.pages.get_or_init(|| pages))
}

crate::fields! {
    /// A page of the array.
    ///
    /// # Invariants
    /// In the array, which is there as long as the host: zeroes, or what was stored there. Drivers read it, and change it as the kernel's functions let them.
    pub struct Entry at Page {
        p_offset / set_offset: u64,
        p_vnode / set_vnode: usize,
        p_selock / set_selock: i32,
        p_vpnext / set_vpnext: *mut Page,
        p_vpprev / set_vpprev: *mut Page,
        p_lckcnt / set_lckcnt: u16,
        p_cowcnt / set_cowcnt: u16,
        p_pagenum / set_pagenum: u64,
        p_state / set_state: u8,
    }
}

/// Returns the page of a frame of memory.
pub fn entry(pfn: u64) -> Entry {
    assert!(pfn < memory().pages());
    let at = array() + pfn as usize * size_of::<Page>();
    // SAFETY: within the array, which has an entry for each page of memory.
    unsafe { Entry::at(at as *mut Page) }.expect("an array has an address")
}

fn array() -> usize {
    start().expect("address space for page structures").addresses().start
}

/// The page of a frame of memory; NULL for other frames.
pub fn page(pfn: u64) -> *mut Page {
    if !is_memory(pfn) {
        return std::ptr::null_mut();
    }
    let entry = entry(pfn);
    let kernel = STATE.kernel.write();
    entry.set_pagenum(pfn);
    // Fields of a page that is not looked at yet are changed here only, under the lock.
    if entry.p_lckcnt() == 0 && within(&kernel, pfn) {
        entry.set_selock(1);
        entry.set_lckcnt(1);
    }
    entry.pointer()
}

/// The frame of a page that [`page`] gave; None for any other pointer.
pub fn frame(page: *const Page) -> Option<u64> {
    let base = STATE.pages.get()?.addresses().start;
    let off = (page as usize).checked_sub(base)?;
    let pfn = (off / size_of::<Page>()) as u64;
    (off.is_multiple_of(size_of::<Page>()) && is_memory(pfn)).then_some(pfn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_pages_unless_they_are_a_devices() {
        let pfn = memory().alloc(2, 1).unwrap();
        assert!(is_memory(pfn) && !is_memory(memory().pages()) && !is_memory(LEGACY.start));
        let at = page(pfn);
        assert_eq!(frame(at), Some(pfn));
        assert_eq!(frame(at.wrapping_byte_add(8)), None);
        assert_eq!(entry(pfn).p_pagenum(), pfn);
        add_device(pfn, 2);
        assert!(!is_memory(pfn + 1) && is_memory(pfn + 2) && page(pfn).is_null());
        STATE.devices.write().remove(&pfn);
        memory().free(pfn, 2);
    }

    #[test]
    fn pages_of_kernel_memory_are_locked_while_it_is_in_use() {
        let pfn = memory().alloc(3, 1).unwrap();
        let locks = |pfn| {
            page(pfn);
            entry(pfn).p_selock()
        };
        assert_eq!(locks(pfn), 0);
        lock(pfn, 2);
        assert_eq!([locks(pfn), locks(pfn + 1), locks(pfn + 2)], [1, 1, 0]);
        unlock(pfn, 2);
        assert_eq!([locks(pfn), locks(pfn + 1)], [0, 0]);
        memory().free(pfn, 3);
    }
}
