//! Pages: the kernel's `page_t` and what old drivers do with it (ramdisk, physmem): allocate pages one by one, lock them, name
//! them by vnode and offset, map them into the kernel's address space.
//!
//! A page that is allocated is a page of the simulated memory, with its frame in `p_pagenum`. There is no list of cached pages: the contents
//! of a freed page are lost. Locking: one mutex for all page locks and names, a leaf; waiters for a page's lock wait on one condition
//! variable. The functions that can wait must not be called with a spin mutex held.

use std::collections::HashMap;
use std::ffi::{c_int, c_long, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use ddi_process::physmem::PAGE_SIZE;
use ddi_sys::{caddr_t, kmutex_t, lgrp, page, pfn_t, pgcnt_t, reclaim_t, se_t, seg, vnode_t};
use parking_lot::{Condvar, Mutex};

use super::args::Argument;
use super::sync;
use super::vnodes::Vnode;
use crate::board::report;
use crate::kern::fields::Structure;
use crate::vm::frames::{self, Entry, Page};
use crate::vm::memory;

/// `se_t`: to have a page alone; sharing it is 0.
pub(crate) const SE_EXCL: se_t = ddi_sys::SE_EXCL;
/// `p_selock` of a page that is locked exclusively.
const ALONE: i32 = i32::MIN;
/// `p_state` of a free page.
const P_FREE: u8 = 0x80;

/// State of this file.
struct State {
    /// Pages by vnode and offset.
    named: LazyLock<Mutex<HashMap<(usize, u64), usize>>>,
    unlocked: Condvar,
    /// Pages that drivers hold reserved.
    reserved: AtomicI64,
    /// The mutex that page_vnode_mutex returns. The host never holds it.
    vnode_mutex: AtomicU64,
    capture: LazyLock<Mutex<HashMap<c_uint, Capture>>>,
}

static STATE: State = State {
    named: LazyLock::new(Mutex::default),
    unlocked: Condvar::new(),
    reserved: AtomicI64::new(0),
    vnode_mutex: AtomicU64::new(0),
    capture: LazyLock::new(Mutex::default),
};
/// A function that captured pages are passed to.
type Capture = unsafe extern "C-unwind" fn(*mut page, *mut c_void, c_uint) -> c_int;
/// Returns the page at an address, if there is one. Whoever changes it has `named`.
fn entry(at: *mut Page) -> Option<Entry> {
    frames::frame(at).map(frames::entry)
}

/// The page that a driver's pointer means; a bad one is reported.
pub(super) fn of(pp: *mut page, function: &str) -> Option<Entry> {
    let found = entry(pp.cast());
    if found.is_none() {
        report::mistake(function, &format!("{pp:p} is not a page_t"), function);
    }
    found
}

/// The frame of a page.
pub(super) fn frame(page: Entry) -> u64 {
    page.p_pagenum()
}

/// Takes a page's lock if it is free for that.
fn try_lock(page: Entry, exclusive: bool) -> bool {
    match (page.p_selock(), exclusive) {
        (0, true) => page.set_selock(ALONE),
        (n, false) if n >= 0 => page.set_selock(n + 1),
        _ => return false,
    }
    true
}

fn unlock(page: Entry) {
    page.set_selock((page.p_selock() - 1).max(0));
    STATE.unlocked.notify_all();
}

/// page_unlock.
pub(super) fn release(pp: *mut page) {
    let _names = STATE.named.lock();
    if let Some(page) = of(pp, "page_unlock") {
        unlock(page);
    }
}

/// Puts the page `next` behind `page` in the ring of a vnode's pages.
fn link(page: *mut Page, next: *mut Page) {
    if let (Some(before), Some(after)) = (entry(page), entry(next)) {
        before.set_vpnext(next);
        after.set_vpprev(page);
    }
}

/// Gives a page its name; false when the vnode has another page there.
fn name(names: &mut HashMap<(usize, u64), usize>, page: Entry, vnode: Vnode, off: u64) -> bool {
    let key = (vnode.address(), off);
    if names.contains_key(&key) {
        return false;
    }
    let this = page.pointer();
    names.insert(key, this as usize);
    page.set_vnode(vnode.address());
    page.set_offset(off);
    match entry(vnode.pages().load(Ordering::Relaxed) as *mut Page) {
        None => link(this, this),
        Some(first) => {
            link(first.p_vpprev(), this);
            link(this, first.pointer());
        }
    }
    vnode.pages().store(this as usize, Ordering::Relaxed);
    true
}

/// Takes a page's name away, if it has one.
fn unname(names: &mut HashMap<(usize, u64), usize>, page: Entry) {
    let (vnode, off) = (page.p_vnode(), page.p_offset());
    if vnode == 0 {
        return;
    }
    names.remove(&(vnode, off));
    // SAFETY: the driver's promise: a page that is named belongs to a live vnode.
    let vnode: Vnode = unsafe { Argument::of(vnode as *mut vnode_t) };
    let (this, next) = (page.pointer(), page.p_vpnext());
    if next == this {
        vnode.pages().store(0, Ordering::Relaxed);
    } else {
        link(page.p_vpprev(), next);
        let first = (this as usize, next as usize);
        let _ = vnode.pages().compare_exchange(first.0, first.1, Ordering::Relaxed, Ordering::Relaxed);
    }
    page.set_vnode(0);
    page.set_offset(u64::MAX);
    page.set_vpnext(null_mut());
    page.set_vpprev(null_mut());
}

/// Gives a page's frame back.
fn give_back(page: Entry) {
    page.set_selock(0);
    page.set_lckcnt(0);
    page.set_cowcnt(0);
    page.set_state(P_FREE);
    memory().free(frame(page), 1);
    STATE.unlocked.notify_all();
}

/// Makes a page of a frame that was just allocated, held alone.
pub(crate) fn made(pfn: u64) -> *mut page {
    let at = frames::page(pfn);
    if let Some(page) = entry(at) {
        page.set_vnode(0);
        page.set_offset(u64::MAX);
        page.set_selock(ALONE);
        page.set_state(P_FREE);
    }
    at.cast()
}

/// Locks the page that a driver's pointer means, waiting for its lock.
fn lock(pp: *mut page, how: se_t) -> bool {
    sync::may_block("page_lock", "it waits for the page's lock", "page_lock");
    let mut names = STATE.named.lock();
    let Some(page) = of(pp, "page_lock") else { return false };
    while !try_lock(page, how == SE_EXCL) {
        STATE.unlocked.wait(&mut names);
    }
    true
}

/// The page of a vnode at an offset.
pub(crate) fn find(vnode: usize, off: u64) -> Option<*mut Page> {
    STATE.named.lock().get(&(vnode, off)).map(|&at| at as *mut Page)
}

/// Looks a page up and locks it, waiting for the lock or not.
fn look_up(vnode: *mut vnode_t, off: u64, how: se_t, wait: bool) -> *mut page {
    let mut names = STATE.named.lock();
    loop {
        let Some(&at) = names.get(&(vnode as usize, off)) else { return null_mut() };
        let page = entry(at as *mut Page);
        if page.is_some_and(|page| try_lock(page, how == SE_EXCL)) {
            return at as *mut page;
        }
        if !wait {
            return null_mut();
        }
        STATE.unlocked.wait(&mut names);
    }
}

ddi! {
    /// pf_is_memory: is the frame one of memory, rather than of a device?
    fn pf_is_memory(pfn: pfn_t) -> c_int {
        frames::is_memory(pfn).into()
    }
    /// page_resv: takes pages out of what may be locked; 0 when there are not that many.
    fn page_resv(npages: pgcnt_t, _flags: c_uint) -> c_int {
        let wanted = npages as i64;
        let take = |have: i64| (have + wanted <= memory().pages() as i64).then_some(have + wanted);
        STATE.reserved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok().into()
    }
    /// page_unresv: gives them back.
    fn page_unresv(npages: pgcnt_t) {
        STATE.reserved.fetch_sub(npages as i64, Ordering::Relaxed);
    }
    /// page_create_wait: are there pages to allocate?
    fn page_create_wait(npages: usize, _flags: c_uint) -> c_int {
        (memory().free_pages() >= npages as u64).into()
    }
    /// page_create_putback: they were not needed.
    fn page_create_putback(_npages: isize) {}
    /// page_get_freelist: a page, held alone, or NULL.
    fn page_get_freelist(
        _vp: *mut vnode_t,
        _off: u64,
        _seg: *mut seg,
        _vaddr: caddr_t,
        size: usize,
        _flags: c_uint,
        _group: *mut lgrp,
    ) -> *mut page {
        let pages = (size as u64).div_ceil(PAGE_SIZE).max(1);
        memory().alloc(pages, pages.next_power_of_two()).map_or(null_mut(), made)
    }
    /// page_get_cachelist: pages that are freed are not kept.
    fn page_get_cachelist(
        _vp: *mut vnode_t,
        _off: u64,
        _seg: *mut seg,
        _vaddr: caddr_t,
        _flags: c_uint,
        _group: *mut lgrp,
    ) -> *mut page {
        null_mut()
    }
    /// page_free: gives a page back that the caller has alone.
    fn page_free(pp: *mut page, _dont_need: c_int) {
        let mut names = STATE.named.lock();
        let Some(page) = of(pp, NAME) else { return };
        if page.p_selock() >= 0 {
            drop(names);
            return report::mistake(NAME, "the page is not locked exclusively", NAME);
        }
        unname(&mut names, page);
        give_back(page);
    }
    /// page_destroy: takes a page from its vnode and frees it.
    fn page_destroy(pp: *mut page, dont_free: c_int) {
        let mut names = STATE.named.lock();
        let Some(page) = of(pp, NAME) else { return };
        unname(&mut names, page);
        if dont_free == 0 {
            give_back(page);
        }
    }
    /// page_hashin: names a page; 0 when the vnode has another page there.
    fn page_hashin(pp: *mut page, vp: Vnode, off: u64, _lock: *mut kmutex_t) -> c_int {
        let mut names = STATE.named.lock();
        let Some(page) = of(pp, NAME) else { return 0 };
        name(&mut names, page, vp, off).into()
    }
    /// page_hashout: takes its name away.
    fn page_hashout(pp: *mut page, _lock: *mut kmutex_t) {
        let mut names = STATE.named.lock();
        if let Some(page) = of(pp, NAME) {
            unname(&mut names, page);
        }
    }
    /// page_lookup: a vnode's page, locked; waits for the lock. NULL when there is none.
    fn page_lookup(vp: *mut vnode_t, off: u64, how: se_t) -> *mut page {
        sync::may_block(NAME, "it waits for the page's lock", NAME);
        look_up(vp, off, how, true)
    }
    /// page_lookup_nowait: NULL when the page is locked, too.
    fn page_lookup_nowait(vp: *mut vnode_t, off: u64, how: se_t) -> *mut page {
        look_up(vp, off, how, false)
    }
    /// page_exists: a vnode's page, not locked.
    fn page_exists(vp: *mut vnode_t, off: u64) -> *mut page {
        find(vp as usize, off).map_or(null_mut(), <*mut Page>::cast)
    }
    /// page_find: the same.
    fn page_find(vp: *mut vnode_t, off: u64) -> *mut page {
        find(vp as usize, off).map_or(null_mut(), <*mut Page>::cast)
    }
    /// page_lock: waits for the lock; 1.
    fn page_lock(pp: *mut page, how: se_t, _lock: *mut kmutex_t, _reclaim: reclaim_t) -> c_int {
        lock(pp, how).into()
    }
    /// page_trylock: 0 if the page is locked.
    fn page_trylock(pp: *mut page, how: se_t) -> c_int {
        let _names = STATE.named.lock();
        of(pp, NAME).is_some_and(|page| try_lock(page, how == SE_EXCL)).into()
    }
    /// page_tryupgrade: from shared to alone; 0 when others share it.
    fn page_tryupgrade(pp: *mut page) -> c_int {
        let _names = STATE.named.lock();
        let Some(page) = of(pp, NAME) else { return 0 };
        if page.p_selock() == 1 {
            page.set_selock(ALONE);
        }
        (page.p_selock() < 0).into()
    }
    /// page_downgrade: from alone to shared.
    fn page_downgrade(pp: *mut page) {
        let _names = STATE.named.lock();
        if let Some(page) = of(pp, NAME) {
            page.set_selock(1);
            STATE.unlocked.notify_all();
        }
    }
    /// page_unlock.
    fn page_unlock(pp: *mut page) {
        release(pp);
    }
    /// page_numtopp_nolock: the page of a frame; NULL when that is not memory.
    fn page_numtopp_nolock(pfn: pfn_t) -> *mut page {
        frames::page(pfn).cast()
    }
    /// page_numtopp: the same, locked.
    fn page_numtopp(pfn: pfn_t, how: se_t) -> *mut page {
        let pp: *mut page = frames::page(pfn).cast();
        if !pp.is_null() {
            lock(pp, how);
        }
        pp
    }
    /// page_pptonum: the frame of a page.
    fn page_pptonum(pp: *mut page) -> pfn_t {
        of(pp, NAME).map_or(pfn_t::MAX, frame)
    }
    /// pagezero.
    fn pagezero(pp: *mut page, off: c_uint, len: c_uint) {
        let Some(page) = of(pp, NAME) else { return };
        let (off, len) = (u64::from(off), u64::from(len));
        if off + len > PAGE_SIZE {
            return report::mistake(NAME, &format!("{off}+{len} is more than a page"), NAME);
        }
        let at = memory().ptr(frame(page)).as_ptr().wrapping_add(off as usize);
        // SAFETY: within the host's view of the frame, which the caller has locked.
        unsafe { at.write_bytes(0, len as usize) };
    }
    /// page_capture_register_callback: what page_trycapture gives captured pages to.
    fn page_capture_register_callback(index: c_uint, _ticks: c_long, function: Option<Capture>) {
        if let Some(function) = function {
            STATE.capture.lock().insert(index, function);
        }
    }
    /// page_capture_unregister_callback.
    fn page_capture_unregister_callback(index: c_uint) {
        STATE.capture.lock().remove(&index);
    }
    /// page_trycapture: gives a free page, held alone and zeroed, to the callback that the flags name. 0, EAGAIN when a driver has the page, EPERM when the
    /// kernel has it.
    fn page_trycapture(pp: *mut page, _szc: c_uint, flags: c_uint, data: *mut c_void) -> c_int {
        const EPERM: c_int = 1;
        const EAGAIN: c_int = 11;
        let Some(page) = of(pp, NAME) else { return EPERM };
        let index = (0..2).find(|index| flags & 1 << index != 0);
        let Some(function) = index.and_then(|index| STATE.capture.lock().get(&index).copied()) else { return EPERM };
        let pfn = frame(page);
        if memory().alloc_within(1, 1, pfn..pfn + 1).is_none() {
            let _names = STATE.named.lock();
            return if page.p_vnode() != 0 { EAGAIN } else { EPERM };
        }
        made(pfn);
        // SAFETY: the driver's callback, with a page that it gets alone.
        match unsafe { function(pp, data, flags) } {
            0 | 1 => 0,
            _ => EAGAIN,
        }
    }
    /// page_vnode_mutex: returns the mutex of a vnode's pages, which the host never holds while a driver runs.
    fn page_vnode_mutex(_vp: *mut vnode_t) -> *mut kmutex_t {
        (&raw const STATE.vnode_mutex).cast_mut().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_allocated_locked_named_and_freed() {
        let mut vnode = [0u64; 40];
        let vp: *mut vnode_t = vnode.as_mut_ptr().cast();
        let pp = driver!(page_get_freelist(vp, 0, null_mut(), null_mut(), 4096, 0, null_mut()));
        let page = frames::page(frames::frame(pp.cast()).unwrap());
        let named = || driver!(page_hashin(pp, vp, 4096, null_mut()));
        assert_eq!((named(), named()), (1, 0));
        assert_eq!(vnode[super::super::vnodes::V_PAGES / 8], pp as u64);
        assert!(driver!(page_lookup_nowait(vp, 4096, 0)).is_null());
        driver!(page_downgrade(pp));
        assert_eq!(driver!(page_lookup(vp, 4096, 0)), pp);
        let page = entry(page).unwrap();
        assert_eq!(page.p_selock(), 2);
        assert_eq!(driver!(page_tryupgrade(pp)), 0);
        driver!(page_unlock(pp));
        assert_eq!(driver!(page_tryupgrade(pp)), 1);
        driver!(page_destroy(pp, 0));
        assert_eq!(vnode[super::super::vnodes::V_PAGES / 8], 0);
        assert!(driver!(page_exists(vp, 4096)).is_null());
    }
}
