//! Pages: the kernel's `page_t` and what old drivers do with it (ramdisk, physmem): allocate pages one by one, lock them, name
//! them by vnode and offset, map them into the kernel's address space.
//!
//! A page that is allocated is a page of the simulated memory, with its frame in `p_pagenum`. There is no list of cached pages: a page that
//! is freed is gone. Locking: one mutex for all page locks and names, a leaf; waiters for a page's lock wait on one condition
//! variable. The functions that can wait must not be called with a spin mutex held.

use std::collections::HashMap;
use std::ffi::{c_int, c_long, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use ddi_process::physmem::PAGE_SIZE;
use ddi_sys::{caddr_t, kmutex_t, page, pfn_t, pgcnt_t};
use parking_lot::{Condvar, Mutex};

use super::sync;
use crate::board::report;
use crate::vm::frames::{self, Page};
use crate::vm::memory;

/// `se_t`: to have a page alone; sharing it is 0.
pub(crate) const SE_EXCL: c_int = 1;
/// `p_selock` of a page that somebody has alone.
const ALONE: i32 = i32::MIN;
/// `p_state` of a page that nobody uses.
const P_FREE: u8 = 0x80;

/// Pages by vnode and offset.
static NAMED: LazyLock<Mutex<HashMap<(usize, u64), usize>>> = LazyLock::new(Mutex::default);
static UNLOCKED: Condvar = Condvar::new();
/// Pages that drivers hold reserved.
static RESERVED: AtomicI64 = AtomicI64::new(0);
/// The mutex that page_vnode_mutex answers with: nobody ever has it.
static VNODE_MUTEX: AtomicU64 = AtomicU64::new(0);

/// What gets captured pages.
type Capture = unsafe extern "C-unwind" fn(*mut page, *mut c_void, c_uint) -> c_int;
static CAPTURE: LazyLock<Mutex<HashMap<c_uint, Capture>>> = LazyLock::new(Mutex::default);

/// The page that a driver's pointer means; a bad one is reported.
pub(super) fn of(pp: *mut page, function: &str) -> Option<&'static mut Page> {
    let found = frames::frame(pp.cast());
    if found.is_none() {
        report::mistake(function, &format!("{pp:p} is not a page_t"), function);
    }
    found?;
    // SAFETY: within the array of pages, which lives as long as the host; `NAMED` is held by whoever changes it.
    Some(unsafe { &mut *pp.cast::<Page>() })
}

/// Takes a page's lock if it is free for that.
fn try_lock(page: &mut Page, exclusive: bool) -> bool {
    match (page.p_selock, exclusive) {
        (0, true) => page.p_selock = ALONE,
        (n, false) if n >= 0 => page.p_selock = n + 1,
        _ => return false,
    }
    true
}

fn unlock(page: &mut Page) {
    page.p_selock = if page.p_selock > 0 { page.p_selock - 1 } else { 0 };
    UNLOCKED.notify_all();
}

/// The list of a vnode's pages: `v_pages`.
fn list_of(vnode: usize) -> *mut *mut Page {
    (vnode + super::vnodes::V_PAGES) as *mut *mut Page
}

/// # Safety
/// `vnode` is one of [`super::vnodes`], or 0.
unsafe fn name(names: &mut HashMap<(usize, u64), usize>, page: &mut Page, vnode: usize, off: u64) -> bool {
    if names.contains_key(&(vnode, off)) {
        return false;
    }
    names.insert((vnode, off), std::ptr::from_mut(page) as usize);
    (page.p_vnode, page.p_offset) = (vnode, off);
    let this: *mut Page = page;
    // SAFETY: the caller's promise.
    let first = unsafe { list_of(vnode).read() };
    if first.is_null() {
        (page.p_vpnext, page.p_vpprev) = (this, this);
    } else {
        // SAFETY: the pages of a vnode's ring are pages of the array.
        let last = unsafe { (*first).p_vpprev };
        (page.p_vpnext, page.p_vpprev) = (first, last);
        // SAFETY: as above.
        unsafe { (*last).p_vpnext = this };
        // SAFETY: as above.
        unsafe { (*first).p_vpprev = this };
    }
    // SAFETY: as above.
    unsafe { list_of(vnode).write(this) };
    true
}

/// # Safety
/// The page's vnode, if it has one, lives.
unsafe fn unname(names: &mut HashMap<(usize, u64), usize>, page: &mut Page) {
    if page.p_vnode == 0 {
        return;
    }
    names.remove(&(page.p_vnode, page.p_offset));
    let this: *mut Page = page;
    let (next, prev) = (page.p_vpnext, page.p_vpprev);
    let list = list_of(page.p_vnode);
    if next == this {
        // SAFETY: the caller's promise.
        unsafe { list.write(null_mut()) };
    } else {
        // SAFETY: the ring's pages are pages of the array.
        unsafe { (*prev).p_vpnext = next };
        // SAFETY: as above.
        unsafe { (*next).p_vpprev = prev };
        // SAFETY: the caller's promise.
        if unsafe { list.read() } == this {
            // SAFETY: as above.
            unsafe { list.write(next) };
        }
    }
    (page.p_vnode, page.p_offset) = (0, u64::MAX);
    (page.p_vpnext, page.p_vpprev) = (null_mut(), null_mut());
}

/// Gives a page's frame back.
fn give_back(page: &mut Page) {
    (page.p_selock, page.p_lckcnt, page.p_cowcnt, page.p_state) = (0, 0, 0, P_FREE);
    memory().free(page.p_pagenum, 1);
    UNLOCKED.notify_all();
}

/// Makes a page of a frame that was just allocated, held alone.
pub(crate) fn made(pfn: u64) -> *mut page {
    let at = frames::page(pfn);
    // SAFETY: a page of the array whose frame nobody else owns.
    if let Some(page) = unsafe { at.as_mut() } {
        (page.p_vnode, page.p_offset, page.p_selock, page.p_state) = (0, u64::MAX, ALONE, P_FREE);
    }
    at.cast()
}

/// The page of a vnode at an offset.
pub(crate) fn find(vnode: usize, off: u64) -> Option<*mut Page> {
    NAMED.lock().get(&(vnode, off)).map(|&at| at as *mut Page)
}

/// Looks a page up and locks it, waiting for the lock or not.
fn look_up(vnode: *mut c_void, off: u64, how: c_int, wait: bool) -> *mut page {
    let mut names = NAMED.lock();
    loop {
        let Some(&at) = names.get(&(vnode as usize, off)) else { return null_mut() };
        // SAFETY: a page of the array, changed under the lock of the names.
        let page = unsafe { &mut *(at as *mut Page) };
        if try_lock(page, how == SE_EXCL) {
            return at as *mut page;
        }
        if !wait {
            return null_mut();
        }
        UNLOCKED.wait(&mut names);
    }
}

ddi! {
    /// pf_is_memory: is the frame one of memory, rather than of a device?
    @private fn pf_is_memory(pfn: pfn_t) -> c_int {
        frames::is_memory(pfn).into()
    }
    /// page_resv: takes pages out of what may be locked; 0 when there are not that many.
    @private fn page_resv(npages: pgcnt_t, _flags: c_uint) -> c_int {
        let wanted = npages as i64;
        let take = |have: i64| (have + wanted <= memory().pages() as i64).then_some(have + wanted);
        RESERVED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok().into()
    }
    /// page_unresv: gives them back.
    @private fn page_unresv(npages: pgcnt_t) {
        RESERVED.fetch_sub(npages as i64, Ordering::Relaxed);
    }
    /// page_create_wait: are there pages to allocate?
    @private fn page_create_wait(npages: usize, _flags: c_uint) -> c_int {
        (memory().free_pages() >= npages as u64).into()
    }
    /// page_create_putback: they were not needed.
    @private fn page_create_putback(_npages: isize) {}
    /// page_get_freelist: a page, held alone, or NULL.
    @private fn page_get_freelist(
        _vp: *mut c_void,
        _off: u64,
        _seg: *mut c_void,
        _vaddr: caddr_t,
        size: usize,
        _flags: c_uint,
        _group: *mut c_void,
    ) -> *mut page {
        let pages = (size as u64).div_ceil(PAGE_SIZE).max(1);
        memory().alloc(pages, pages.next_power_of_two()).map_or(null_mut(), made)
    }
    /// page_get_cachelist: pages that are freed are not kept.
    @private fn page_get_cachelist(
        _vp: *mut c_void,
        _off: u64,
        _seg: *mut c_void,
        _vaddr: caddr_t,
        _flags: c_uint,
        _group: *mut c_void,
    ) -> *mut page {
        null_mut()
    }
    /// page_free: gives a page back that the caller has alone.
    @private fn page_free(pp: *mut page, _dont_need: c_int) {
        let mut names = NAMED.lock();
        let Some(page) = of(pp, "page_free") else { return };
        if page.p_selock >= 0 {
            drop(names);
            return report::mistake("page_free", "the page is not locked exclusively", "page_free");
        }
        // SAFETY: a page that is named belongs to a live vnode.
        unsafe { unname(&mut names, page) };
        give_back(page);
    }
    /// page_destroy: takes a page from its vnode and frees it.
    @private fn page_destroy(pp: *mut page, dont_free: c_int) {
        let mut names = NAMED.lock();
        let Some(page) = of(pp, "page_destroy") else { return };
        // SAFETY: a page that is named belongs to a live vnode.
        unsafe { unname(&mut names, page) };
        if dont_free == 0 {
            give_back(page);
        }
    }
    /// page_hashin: names a page; 0 when the vnode has another page there.
    @private fn page_hashin(pp: *mut page, vp: *mut c_void, off: u64, _lock: *mut kmutex_t) -> c_int {
        let mut names = NAMED.lock();
        let Some(page) = of(pp, "page_hashin") else { return 0 };
        // SAFETY: the driver's promise: its vnode.
        unsafe { name(&mut names, page, vp as usize, off) }.into()
    }
    /// page_hashout: takes its name away.
    @private fn page_hashout(pp: *mut page, _lock: *mut kmutex_t) {
        let mut names = NAMED.lock();
        if let Some(page) = of(pp, "page_hashout") {
            // SAFETY: a page that is named belongs to a live vnode.
            unsafe { unname(&mut names, page) };
        }
    }
    /// page_lookup: a vnode's page, locked; waits for the lock. NULL when there is none.
    @private fn page_lookup(vp: *mut c_void, off: u64, how: c_int) -> *mut page {
        sync::may_block("page_lookup", "it waits for the page's lock", "page_lookup");
        look_up(vp, off, how, true)
    }
    /// page_lookup_nowait: NULL when the page is locked, too.
    @private fn page_lookup_nowait(vp: *mut c_void, off: u64, how: c_int) -> *mut page {
        look_up(vp, off, how, false)
    }
    /// page_exists: a vnode's page, not locked.
    @private fn page_exists(vp: *mut c_void, off: u64) -> *mut page {
        find(vp as usize, off).map_or(null_mut(), <*mut Page>::cast)
    }
    /// page_find: the same.
    @private fn page_find(vp: *mut c_void, off: u64) -> *mut page {
        find(vp as usize, off).map_or(null_mut(), <*mut Page>::cast)
    }
    /// page_lock: waits for the lock; 1.
    @private fn page_lock(pp: *mut page, how: c_int, _lock: *mut kmutex_t, _reclaim: c_int) -> c_int {
        sync::may_block("page_lock", "it waits for the page's lock", "page_lock");
        let mut names = NAMED.lock();
        let Some(page) = of(pp, "page_lock") else { return 0 };
        while !try_lock(page, how == SE_EXCL) {
            UNLOCKED.wait(&mut names);
        }
        1
    }
    /// page_trylock: 0 when somebody else has it.
    @private fn page_trylock(pp: *mut page, how: c_int) -> c_int {
        let _names = NAMED.lock();
        of(pp, "page_trylock").is_some_and(|page| try_lock(page, how == SE_EXCL)).into()
    }
    /// page_tryupgrade: from shared to alone; 0 when others share it.
    @private fn page_tryupgrade(pp: *mut page) -> c_int {
        let _names = NAMED.lock();
        let Some(page) = of(pp, "page_tryupgrade") else { return 0 };
        if page.p_selock == 1 {
            page.p_selock = ALONE;
        }
        (page.p_selock < 0).into()
    }
    /// page_downgrade: from alone to shared.
    @private fn page_downgrade(pp: *mut page) {
        let _names = NAMED.lock();
        if let Some(page) = of(pp, "page_downgrade") {
            page.p_selock = 1;
            UNLOCKED.notify_all();
        }
    }
    /// page_unlock.
    @private fn page_unlock(pp: *mut page) {
        let _names = NAMED.lock();
        if let Some(page) = of(pp, "page_unlock") {
            unlock(page);
        }
    }
    /// page_numtopp_nolock: the page of a frame; NULL when that is not memory.
    @private fn page_numtopp_nolock(pfn: pfn_t) -> *mut page {
        frames::page(pfn).cast()
    }
    /// page_numtopp: the same, locked.
    @private fn page_numtopp(pfn: pfn_t, how: c_int) -> *mut page {
        let pp: *mut page = frames::page(pfn).cast();
        if !pp.is_null() {
            // SAFETY: a page of the array.
            unsafe { page_lock(pp, how, null_mut(), 0) };
        }
        pp
    }
    /// page_pptonum: the frame of a page.
    fn page_pptonum(pp: *mut page) -> pfn_t {
        of(pp, "page_pptonum").map_or(pfn_t::MAX, |page| page.p_pagenum)
    }
    /// pagezero.
    @private fn pagezero(pp: *mut page, off: c_uint, len: c_uint) {
        let Some(page) = of(pp, "pagezero") else { return };
        let (off, len) = (u64::from(off), u64::from(len));
        if off + len > PAGE_SIZE {
            return report::mistake("pagezero", &format!("{off}+{len} is more than a page"), "pagezero");
        }
        let at = memory().ptr(page.p_pagenum).as_ptr().wrapping_add(off as usize);
        // SAFETY: within the host's view of the frame, which the caller has locked.
        unsafe { at.write_bytes(0, len as usize) };
    }
    /// page_capture_register_callback: what page_trycapture gives captured pages to.
    @private fn page_capture_register_callback(index: c_uint, _ticks: c_long, function: Option<Capture>) {
        if let Some(function) = function {
            CAPTURE.lock().insert(index, function);
        }
    }
    /// page_capture_unregister_callback.
    @private fn page_capture_unregister_callback(index: c_uint) {
        CAPTURE.lock().remove(&index);
    }
    /// page_trycapture: gives a free page, held alone and zeroed, to the callback that the flags name. 0, EAGAIN when a driver has the page, EPERM when the
    /// kernel has it.
    @private fn page_trycapture(pp: *mut page, _szc: c_uint, flags: c_uint, data: *mut c_void) -> c_int {
        const EPERM: c_int = 1;
        const EAGAIN: c_int = 11;
        let Some(page) = of(pp, "page_trycapture") else { return EPERM };
        let index = (0..2).find(|index| flags & 1 << index != 0);
        let Some(function) = index.and_then(|index| CAPTURE.lock().get(&index).copied()) else { return EPERM };
        let pfn = page.p_pagenum;
        if memory().alloc_within(1, 1, pfn..pfn + 1).is_none() {
            let _names = NAMED.lock();
            return if page.p_vnode != 0 { EAGAIN } else { EPERM };
        }
        made(pfn);
        // SAFETY: the driver's callback, with a page that it gets alone.
        match unsafe { function(pp, data, flags) } {
            0 | 1 => 0,
            _ => EAGAIN,
        }
    }
    /// page_vnode_mutex: what protects a vnode's pages; nobody ever has it when a driver runs.
    @private fn page_vnode_mutex(_vp: *mut c_void) -> *mut kmutex_t {
        (&raw const VNODE_MUTEX).cast_mut().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_allocated_locked_named_and_freed() {
        let mut vnode = [0u64; 40];
        let vp: *mut c_void = vnode.as_mut_ptr().cast();
        let none = null_mut();
        // SAFETY: plain arguments, here and below; the vnode lives as long as the test.
        let pp = unsafe { page_get_freelist(vp, 0, none, null_mut(), 4096, 0, none) };
        let page = frames::page(frames::frame(pp.cast()).unwrap());
        // SAFETY: as above.
        let named = || unsafe { page_hashin(pp, vp, 4096, null_mut()) };
        assert_eq!((named(), named()), (1, 0));
        assert_eq!(vnode[super::super::vnodes::V_PAGES / 8], pp as u64);
        // SAFETY: as above.
        assert!(unsafe { page_lookup_nowait(vp, 4096, 0) }.is_null());
        // SAFETY: as above.
        unsafe { page_downgrade(pp) };
        // SAFETY: as above.
        assert_eq!(unsafe { page_lookup(vp, 4096, 0) }, pp);
        // SAFETY: as above.
        assert_eq!(unsafe { (*page).p_selock }, 2);
        // SAFETY: as above.
        assert_eq!(unsafe { page_tryupgrade(pp) }, 0);
        // SAFETY: as above.
        unsafe { page_unlock(pp) };
        // SAFETY: as above.
        assert_eq!(unsafe { page_tryupgrade(pp) }, 1);
        // SAFETY: as above.
        unsafe { page_destroy(pp, 0) };
        assert_eq!(vnode[super::super::vnodes::V_PAGES / 8], 0);
        // SAFETY: as above.
        assert!(unsafe { page_exists(vp, 4096) }.is_null());
    }
}
