//! Physical memory for processes only, by pmem cookie: what an AGP driver lends to user programs (`sys/pmem.h`, private).
//!
//! Here the memory of a pmem cookie is that of a umem cookie of its own: it has a kernel address as well, which nobody asks for. As in the kernel it can only
//! be mapped uncached or write-combined, and whoever sets a mapping up says so in its flags.
//! Locking: one mutex for the table of cookies, a leaf. User context; `devmap_pmem_alloc` with `PMEM_SLEEP` may block.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::ptr::null_mut;
use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use ddi_process::physmem::PAGE_SIZE;
use ddi_sys::{
    behind_pmem, ddi_device_acc_attr_t, ddi_umem_cookie_t, dev_info_t, devmap_callback_ctl, devmap_cookie_t,
    offset_t, pfn_t, pgcnt_t, uint_t,
};
use parking_lot::Mutex;

use ddi_kernel::board::report;
use ddi_kernel::ddi::args::{Memory, Out};
use ddi_kernel::kern::image::Image;
use ddi_kernel::vm::{client, cookie, frames, kva};

/// Waits for memory.
const SLEEP: uint_t = ddi_sys::PMEM_SLEEP as uint_t;
/// Fails if there is none.
const NOSLEEP: uint_t = ddi_sys::PMEM_NOSLEEP as uint_t;
/// `IOMEM_DATA_UC_WR_COMBINE` and `IOMEM_DATA_UNCACHED`: one of them must be asked for.
const UNCACHED: u32 = segdev::SetupFlags::WR_COMBINE.bits() | segdev::SetupFlags::UNCACHED.bits();

/// Memory of a pmem cookie. The cookie is the address of the image of the kernel's structure: number of pages, their page structures, a
/// vnode, the process that they were allocated for.
struct Pmem {
    umem: usize,
    address: usize,
    pages: u64,
    image: Box<Image<{ size_of::<behind_pmem>() }>>,
    /// The page structures, which the image leads to.
    _array: Vec<usize>,
}

static COOKIES: LazyLock<Mutex<HashMap<usize, Pmem>>> = LazyLock::new(Mutex::default);

/// The memory of the cookie, if this range of it may be mapped with these flags.
fn fits(cookie: *mut c_void, off: offset_t, len: usize, flags: uint_t) -> Option<ddi_umem_cookie_t> {
    let all = COOKIES.lock();
    let pmem = all.get(&(cookie as usize))?;
    let end = u64::try_from(off).ok().and_then(|off| off.checked_add(len as u64))?;
    (flags & UNCACHED != 0 && end <= pmem.pages * PAGE_SIZE).then_some(pmem.umem as ddi_umem_cookie_t)
}

impl Pmem {
    fn new(umem: usize, address: usize, size: usize) -> Self {
        let pages = (size as u64).div_ceil(PAGE_SIZE);
        let page = |index: u64| {
            kva::frame(address + (index * PAGE_SIZE) as usize).map_or(0, |pfn| frames::page(pfn) as usize)
        };
        let array: Vec<usize> = (0..pages).map(page).collect();
        let image = Image::new();
        image.set(offset_of!(behind_pmem, npages), pages as usize);
        image.set(offset_of!(behind_pmem, pages), array.as_ptr() as usize);
        image
            .set(offset_of!(behind_pmem, procp), client::current().map_or(0, |client| client.image().proc()));
        Pmem { umem, address, pages, image, _array: array }
    }
}

/// The handle is set up for memory by this pmem cookie.
fn note(dhp: devmap_cookie_t, cookie: ddi_umem_cookie_t) {
    if let Some(handle) = cookie::find(dhp as usize) {
        handle.data().umem.store(0, Ordering::Relaxed);
        handle.data().pmem.store(cookie as usize, Ordering::Relaxed);
        cookie::of(&handle);
    }
}

ddi! {
    /// devmap_pmem_alloc: pages for processes. DDI_FAILURE for no bytes, flags without PMEM_SLEEP or PMEM_NOSLEEP, no memory.
    fn devmap_pmem_alloc(size: usize, flags: uint_t, cookiep: Out<ddi_umem_cookie_t>) -> c_int {
        let mut cookie: ddi_umem_cookie_t = null_mut();
        let mut address = null_mut();
        if flags & (SLEEP | NOSLEEP) != 0 {
            let wait = if flags & NOSLEEP != 0 { ddi_sys::DDI_UMEM_NOSLEEP } else { ddi_sys::DDI_UMEM_SLEEP };
            // SAFETY: a place for the cookie.
            address = unsafe { ddi_sys::ddi_umem_alloc(size, wait, &mut cookie) };
        }
        cookiep.set(null_mut());
        if address.is_null() {
            return ddi_sys::DDI_FAILURE;
        }
        let pmem = Pmem::new(cookie as usize, address as usize, size);
        let own = pmem.image.address();
        COOKIES.lock().insert(own, pmem);
        cookiep.set(own as ddi_umem_cookie_t);
        ddi_sys::DDI_SUCCESS
    }
    /// devmap_pmem_free: gives them back.
    fn devmap_pmem_free(cookie: ddi_umem_cookie_t) {
        let removed = COOKIES.lock().remove(&(cookie as usize));
        let Some(pmem) = removed else {
            return report::mistake(NAME, &format!("{cookie:p} is not a devmap_pmem_cookie_t"), NAME);
        };
        // SAFETY: the cookie that ddi_umem_alloc gave, once.
        unsafe { ddi_sys::ddi_umem_free(pmem.umem as ddi_umem_cookie_t) }
    }
    /// devmap_pmem_getpfns: the page frames of `npages` pages from page `start` on.
    fn devmap_pmem_getpfns(cookie: ddi_umem_cookie_t, start: uint_t, npages: pgcnt_t, pfns: Memory<pfn_t>) -> c_int {
        let known = COOKIES.lock().get(&(cookie as usize)).map(|pmem| (pmem.address, pmem.pages));
        let Some((address, _)) = known.filter(|&(_, pages)| u64::from(start).saturating_add(npages) <= pages) else {
            return ddi_sys::DDI_FAILURE;
        };
        for page in 0..npages {
            let frame = kva::frame(address + ((u64::from(start) + page) * PAGE_SIZE) as usize);
            pfns.write(page as usize * size_of::<pfn_t>(), &frame.unwrap_or(pfn_t::MAX).to_ne_bytes());
        }
        ddi_sys::DDI_SUCCESS
    }
    /// devmap_pmem_setup: as devmap_umem_setup(9F), for memory by pmem cookie.
    fn devmap_pmem_setup(
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
        let Some(umem) = fits(cookie, off, len, flags) else { return ddi_sys::DDI_FAILURE };
        // SAFETY: the driver's arguments, and a live cookie.
        let answer = unsafe { ddi_sys::devmap_umem_setup(dhp, dip, ops, umem, off, len, maxprot, flags, attributes) };
        if answer == ddi_sys::DDI_SUCCESS {
            note(dhp, cookie);
        }
        answer
    }
    /// devmap_pmem_remap: as devmap_umem_remap(9F), for memory by pmem cookie.
    fn devmap_pmem_remap(
        dhp: devmap_cookie_t,
        dip: *mut dev_info_t,
        cookie: ddi_umem_cookie_t,
        off: offset_t,
        len: usize,
        maxprot: uint_t,
        flags: uint_t,
        attributes: *mut ddi_device_acc_attr_t,
    ) -> c_int {
        let Some(umem) = fits(cookie, off, len, UNCACHED) else { return ddi_sys::DDI_FAILURE };
        // SAFETY: the driver's arguments, and a live cookie.
        let answer = unsafe { ddi_sys::devmap_umem_remap(dhp, dip, umem, off, len, maxprot, flags, attributes) };
        if answer == ddi_sys::DDI_SUCCESS {
            note(dhp, cookie);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alloc(size: usize, flags: uint_t) -> Option<ddi_umem_cookie_t> {
        let mut cookie: ddi_umem_cookie_t = null_mut();
        // SAFETY: a place for the cookie.
        let answer = unsafe { devmap_pmem_alloc(size, flags, &mut cookie) };
        assert_eq!(cookie.is_null(), answer != ddi_sys::DDI_SUCCESS);
        (!cookie.is_null()).then_some(cookie)
    }

    fn frames<const N: usize>(cookie: ddi_umem_cookie_t, start: uint_t) -> Option<[pfn_t; N]> {
        let mut pfns = [0; N];
        // SAFETY: room for so many frames.
        let answer = unsafe { devmap_pmem_getpfns(cookie, start, N as pgcnt_t, pfns.as_mut_ptr()) };
        (answer == ddi_sys::DDI_SUCCESS).then_some(pfns)
    }

    #[test]
    fn pages_by_cookie() {
        assert_eq!((alloc(0, SLEEP), alloc(4096, 0)), (None, None));
        let cookie = alloc(0x2001, SLEEP).unwrap();
        let pfns = frames::<3>(cookie, 0).unwrap();
        assert!(pfns[0] != pfns[1] && pfns[1] != pfns[2] && !pfns.contains(&pfn_t::MAX));
        assert_eq!(frames(cookie, 2), Some([pfns[2]]));
        assert_eq!(frames::<1>(cookie, 3), None);
        assert!(fits(cookie, 0x1000, 0x2000, UNCACHED).is_some());
        assert!(fits(cookie, 0x1000, 0x2001, UNCACHED).is_none());
        assert!(fits(cookie, 0, 0x1000, 0).is_none(), "cached mappings are refused");
        // SAFETY: a live cookie.
        unsafe { devmap_pmem_free(cookie) };
        assert!(fits(cookie, 0, 0x1000, UNCACHED).is_none());
    }
}
