//! Physical memory for processes only, by pmem cookie: what an AGP driver lends to user programs (`sys/pmem.h`, private).
//!
//! Here the memory of a pmem cookie is that of a umem cookie: it has a kernel address as well, which nobody asks for. As in the kernel it can only
//! be mapped uncached or write-combined, and whoever sets a mapping up says so in its flags.
//! Locking: one mutex for the table of cookies, a leaf. User context; `devmap_pmem_alloc` with `PMEM_SLEEP` may block.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::LazyLock;

use ddi_sys::{
    ddi_device_acc_attr_t, ddi_umem_cookie_t, dev_info_t, devmap_callback_ctl, devmap_cookie_t, offset_t,
    pfn_t, pgcnt_t, uint_t,
};
use parking_lot::Mutex;

use crate::physmem::PAGE_SIZE;
use crate::report;
use crate::vm::kva;

/// `PMEM_SLEEP`: wait for memory.
const SLEEP: uint_t = 1;
/// `PMEM_NOSLEEP`: do not.
const NOSLEEP: uint_t = 2;
/// `IOMEM_DATA_UC_WR_COMBINE` and `IOMEM_DATA_UNCACHED`: one of them must be asked for.
const UNCACHED: u32 = segdev::SetupFlags::WR_COMBINE.bits() | segdev::SetupFlags::UNCACHED.bits();

/// The kernel address and the pages of each cookie.
static COOKIES: LazyLock<Mutex<HashMap<usize, (usize, u64)>>> = LazyLock::new(Mutex::default);

/// May this range of the cookie's memory be mapped with these flags?
fn fits(cookie: *mut c_void, off: offset_t, len: usize, flags: uint_t) -> bool {
    let Some(&(_, pages)) = COOKIES.lock().get(&(cookie as usize)) else { return false };
    let end = u64::try_from(off).ok().and_then(|off| off.checked_add(len as u64));
    flags & UNCACHED != 0 && end.is_some_and(|end| end <= pages * PAGE_SIZE)
}

ddi! {
    /// devmap_pmem_alloc: pages for processes. DDI_FAILURE for no bytes, flags without PMEM_SLEEP or PMEM_NOSLEEP, no memory.
    @private fn devmap_pmem_alloc(size: usize, flags: uint_t, cookiep: *mut ddi_umem_cookie_t) -> c_int {
        let mut cookie: ddi_umem_cookie_t = null_mut();
        let mut address = null_mut();
        if flags & (SLEEP | NOSLEEP) != 0 {
            let wait = if flags & NOSLEEP != 0 { ddi_sys::DDI_UMEM_NOSLEEP } else { ddi_sys::DDI_UMEM_SLEEP };
            // SAFETY: a place for the cookie.
            address = unsafe { ddi_sys::ddi_umem_alloc(size, wait, &mut cookie) };
        }
        // SAFETY: the driver's promise: a place for a cookie.
        unsafe { cookiep.write(cookie) };
        if address.is_null() {
            return ddi_sys::DDI_FAILURE;
        }
        COOKIES.lock().insert(cookie as usize, (address as usize, (size as u64).div_ceil(PAGE_SIZE)));
        ddi_sys::DDI_SUCCESS
    }
    /// devmap_pmem_free: gives them back.
    @private fn devmap_pmem_free(cookie: ddi_umem_cookie_t) {
        if COOKIES.lock().remove(&(cookie as usize)).is_none() {
            return report::mistake("devmap_pmem_free", &format!("{cookie:p} is not a devmap_pmem_cookie_t"), "devmap_pmem_free");
        }
        // SAFETY: the cookie that ddi_umem_alloc gave, once.
        unsafe { ddi_sys::ddi_umem_free(cookie) }
    }
    /// devmap_pmem_getpfns: the page frames of `npages` pages from page `start` on.
    @private fn devmap_pmem_getpfns(cookie: ddi_umem_cookie_t, start: uint_t, npages: pgcnt_t, pfns: *mut pfn_t) -> c_int {
        let known = COOKIES.lock().get(&(cookie as usize)).copied();
        let Some((address, _)) = known.filter(|&(_, pages)| u64::from(start).saturating_add(npages) <= pages) else {
            return ddi_sys::DDI_FAILURE;
        };
        for page in 0..npages {
            let frame = kva::frame(address + ((u64::from(start) + page) * PAGE_SIZE) as usize);
            // SAFETY: the driver's promise: room for `npages` frames.
            let place = unsafe { pfns.add(page as usize) };
            // SAFETY: as above.
            unsafe { place.write(frame.unwrap_or(pfn_t::MAX)) };
        }
        ddi_sys::DDI_SUCCESS
    }
    /// devmap_pmem_setup: as devmap_umem_setup(9F), for memory by pmem cookie.
    @private fn devmap_pmem_setup(
        dhp: devmap_cookie_t,
        dip: *mut dev_info_t,
        ops: *mut devmap_callback_ctl,
        cookie: ddi_umem_cookie_t,
        off: offset_t,
        len: usize,
        maxprot: uint_t,
        flags: uint_t,
        attributes: *mut ddi_device_acc_attr_t,
    ) -> c_int {
        if !fits(cookie, off, len, flags) {
            return ddi_sys::DDI_FAILURE;
        }
        // SAFETY: the driver's arguments, and a live cookie.
        unsafe { ddi_sys::devmap_umem_setup(dhp, dip, ops, cookie, off, len, maxprot, flags, attributes) }
    }
    /// devmap_pmem_remap: as devmap_umem_remap(9F), for memory by pmem cookie.
    @private fn devmap_pmem_remap(
        dhp: devmap_cookie_t,
        dip: *mut dev_info_t,
        cookie: ddi_umem_cookie_t,
        off: offset_t,
        len: usize,
        maxprot: uint_t,
        flags: uint_t,
        attributes: *mut ddi_device_acc_attr_t,
    ) -> c_int {
        if !fits(cookie, off, len, UNCACHED) {
            return ddi_sys::DDI_FAILURE;
        }
        // SAFETY: the driver's arguments, and a live cookie.
        unsafe { ddi_sys::devmap_umem_remap(dhp, dip, cookie, off, len, maxprot, flags, attributes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_by_cookie() {
        let mut cookie: ddi_umem_cookie_t = null_mut();
        // SAFETY: a place for the cookie, here and in the next calls.
        assert_eq!(unsafe { devmap_pmem_alloc(0, SLEEP, &mut cookie) }, ddi_sys::DDI_FAILURE);
        // SAFETY: as above.
        assert_eq!(unsafe { devmap_pmem_alloc(4096, 0, &mut cookie) }, ddi_sys::DDI_FAILURE);
        assert!(cookie.is_null());
        // SAFETY: as above.
        assert_eq!(unsafe { devmap_pmem_alloc(0x2001, SLEEP, &mut cookie) }, ddi_sys::DDI_SUCCESS);
        let mut pfns: [pfn_t; 3] = [0; 3];
        // SAFETY: room for three frames.
        assert_eq!(unsafe { devmap_pmem_getpfns(cookie, 0, 3, pfns.as_mut_ptr()) }, ddi_sys::DDI_SUCCESS);
        assert!(pfns[0] != pfns[1] && pfns[1] != pfns[2] && !pfns.contains(&pfn_t::MAX));
        let mut last: pfn_t = 0;
        // SAFETY: room for one frame.
        assert_eq!(unsafe { devmap_pmem_getpfns(cookie, 2, 1, &mut last) }, ddi_sys::DDI_SUCCESS);
        assert_eq!(last, pfns[2]);
        // SAFETY: nothing is written.
        assert_eq!(unsafe { devmap_pmem_getpfns(cookie, 3, 1, &mut last) }, ddi_sys::DDI_FAILURE);
        assert!(fits(cookie, 0x1000, 0x2000, UNCACHED));
        assert!(!fits(cookie, 0x1000, 0x2001, UNCACHED));
        assert!(!fits(cookie, 0, 0x1000, 0), "cached mappings are refused");
        // SAFETY: a live cookie.
        unsafe { devmap_pmem_free(cookie) };
        assert!(!fits(cookie, 0, 0x1000, UNCACHED));
    }
}
