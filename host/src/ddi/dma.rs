//! DMA: ddi_dma_alloc_handle(9F) and so on. Addresses are physical ones of the simulated memory; nothing moves them.
//!
//! Memory of ddi_dma_mem_alloc, umem and register sets can be bound; memory of kmem_alloc is not physical memory here, so binding it
//! answers DDI_DMA_NOMAPPING. There are no partial mappings, and nothing has to be synchronised. Locking: leaf mutexes.

use std::collections::HashMap;
use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::LazyLock;

use ddi_sys::{
    as_, buf, caddr_t, ddi_acc_handle_t, ddi_device_acc_attr_t, ddi_dma_attr_t, ddi_dma_cookie_t,
    ddi_dma_handle_t, dev_info_t, off_t, uint_t, ulong_t,
};
use parking_lot::Mutex;

use super::{registers, store};
use crate::physmem::PAGE_SIZE;
use crate::report;
use crate::vm::{kva, memory};

const SUCCESS: c_int = ddi_sys::DDI_SUCCESS;
const FAILURE: c_int = ddi_sys::DDI_FAILURE;

/// Behind a handle: what is bound, piece by piece.
struct Dma {
    attributes: ddi_dma_attr_t,
    pieces: Vec<(u64, usize)>,
    next: usize,
}

static HANDLES: LazyLock<Mutex<HashMap<usize, Dma>>> = LazyLock::new(Mutex::default);
/// Memory of ddi_dma_mem_alloc by access handle: first frame and pages.
static MEMORY: LazyLock<Mutex<HashMap<usize, (u64, u64)>>> = LazyLock::new(Mutex::default);

/// Handles that exist.
pub fn in_use() -> usize {
    HANDLES.lock().len()
}

fn cookie((address, len): (u64, usize)) -> ddi_dma_cookie_t {
    let address = ddi_sys::ddi_dma_cookie__bindgen_ty_1 { _dmac_ll: address };
    ddi_dma_cookie_t { _dmu: address, dmac_size: len, dmac_type: 0 }
}

/// The physical pieces of a kernel range, none longer than `limit`; None when part of it has no page frame.
fn pieces(address: usize, len: usize, limit: usize) -> Option<Vec<(u64, usize)>> {
    let mut pieces: Vec<(u64, usize)> = Vec::new();
    let mut at = address;
    while at < address + len {
        let in_page = at % PAGE_SIZE as usize;
        let n = (PAGE_SIZE as usize - in_page).min(address + len - at);
        let physical = kva::frame(at)? * PAGE_SIZE + in_page as u64;
        match pieces.last_mut() {
            Some((start, have)) if *start + *have as u64 == physical && *have + n <= limit => *have += n,
            _ => pieces.push((physical, n)),
        }
        at += n;
    }
    Some(pieces)
}

/// Binds a kernel range.
///
/// # Safety
/// `first` and `count` are places to store, or NULL.
unsafe fn bind(
    handle: ddi_dma_handle_t,
    address: usize,
    len: usize,
    first: *mut ddi_dma_cookie_t,
    count: *mut uint_t,
) -> c_int {
    let mut handles = HANDLES.lock();
    let Some(dma) = handles.get_mut(&(handle as usize)) else {
        drop(handles);
        report::mistake(
            "ddi_dma_bind",
            &format!("{handle:p} is not a DMA handle"),
            "ddi_dma_addr_bind_handle(9F)",
        );
        return ddi_sys::DDI_DMA_NORESOURCES;
    };
    if !dma.pieces.is_empty() {
        return ddi_sys::DDI_DMA_INUSE;
    }
    let limit = usize::try_from(dma.attributes.dma_attr_count_max).unwrap_or(usize::MAX).saturating_add(1);
    let Some(found) = pieces(address, len, limit) else { return ddi_sys::DDI_DMA_NOMAPPING };
    if found.is_empty() || found.len() > usize::try_from(dma.attributes.dma_attr_sgllen).unwrap_or(usize::MAX)
    {
        return ddi_sys::DDI_DMA_TOOBIG;
    }
    let within = |(start, n): &(u64, usize)| {
        *start >= dma.attributes.dma_attr_addr_lo && start + *n as u64 - 1 <= dma.attributes.dma_attr_addr_hi
    };
    if !found.iter().all(within) {
        return ddi_sys::DDI_DMA_NOMAPPING;
    }
    let (one, n) = (cookie(found[0]), found.len() as uint_t);
    dma.pieces = found;
    dma.next = 1;
    drop(handles);
    // SAFETY: the caller's promise.
    unsafe { store(first, one) };
    // SAFETY: the caller's promise.
    unsafe { store(count, n) };
    ddi_sys::DDI_DMA_MAPPED
}

type Wait = Option<unsafe extern "C-unwind" fn(caddr_t) -> c_int>;

ddi! {
    /// ddi_dma_alloc_handle(9F).
    fn ddi_dma_alloc_handle(
        _dip: *mut dev_info_t,
        attributes: *mut ddi_dma_attr_t,
        _wait: Wait,
        _arg: caddr_t,
        handlep: *mut ddi_dma_handle_t,
    ) -> c_int {
        static LAST: Mutex<usize> = Mutex::new(0);
        // SAFETY: the driver's promise.
        let Some(attributes) = (unsafe { attributes.as_ref() }) else { return ddi_sys::DDI_DMA_BADATTR };
        if attributes.dma_attr_addr_hi < attributes.dma_attr_addr_lo || attributes.dma_attr_sgllen == 0 {
            return ddi_sys::DDI_DMA_BADATTR;
        }
        let mut last = LAST.lock();
        *last += 16;
        HANDLES.lock().insert(*last, Dma { attributes: *attributes, pieces: Vec::new(), next: 0 });
        // SAFETY: the driver's promise.
        unsafe { store(handlep, *last as ddi_dma_handle_t) };
        SUCCESS
    }
    /// ddi_dma_free_handle(9F).
    fn ddi_dma_free_handle(handlep: *mut ddi_dma_handle_t) {
        // SAFETY: the driver's promise.
        let handle = unsafe { handlep.replace(null_mut()) };
        let what = match HANDLES.lock().remove(&(handle as usize)) {
            Some(dma) if dma.pieces.is_empty() => return,
            Some(_) => "the handle is still bound",
            None => "not a DMA handle, or freed before",
        };
        report::mistake("ddi_dma_free_handle", what, "ddi_dma_free_handle(9F)");
    }
    /// ddi_dma_mem_alloc(9F).
    fn ddi_dma_mem_alloc(
        handle: ddi_dma_handle_t,
        len: usize,
        attributes: *mut ddi_device_acc_attr_t,
        _flags: uint_t,
        _wait: Wait,
        _arg: caddr_t,
        addrp: *mut caddr_t,
        real: *mut usize,
        accp: *mut ddi_acc_handle_t,
    ) -> c_int {
        let attributes_of = HANDLES.lock().get(&(handle as usize)).map(|dma| dma.attributes);
        let (align, low, high) =
            attributes_of.map_or((1, 0, u64::MAX), |a| (a.dma_attr_align, a.dma_attr_addr_lo, a.dma_attr_addr_hi));
        let pages = (len as u64).div_ceil(PAGE_SIZE);
        let within = low.div_ceil(PAGE_SIZE)..(high / PAGE_SIZE).saturating_add(u64::from(high % PAGE_SIZE == PAGE_SIZE - 1));
        let Some(pfn) = memory().alloc_within(pages, align.div_ceil(PAGE_SIZE).max(1), within) else { return FAILURE };
        let (start, len) = (memory().ptr(pfn).as_ptr() as usize, (pages * PAGE_SIZE) as usize);
        // SAFETY: the driver's promise.
        let access = unsafe { registers::handle(start, len, attributes) };
        MEMORY.lock().insert(access as usize, (pfn, pages));
        // SAFETY: the driver's promise.
        unsafe { store(addrp, start as caddr_t) };
        // SAFETY: the driver's promise.
        unsafe { store(real, len) };
        // SAFETY: the driver's promise.
        unsafe { store(accp, access) };
        SUCCESS
    }
    /// ddi_dma_mem_free(9F).
    fn ddi_dma_mem_free(accp: *mut ddi_acc_handle_t) {
        // SAFETY: the driver's promise.
        let access = unsafe { accp.replace(null_mut()) };
        let known = MEMORY.lock().remove(&(access as usize));
        let Some((pfn, pages)) = known else {
            return report::mistake("ddi_dma_mem_free", "not memory of ddi_dma_mem_alloc", "ddi_dma_mem_free(9F)");
        };
        registers::forget(access);
        memory().free(pfn, pages);
    }
    /// ddi_dma_addr_bind_handle(9F).
    fn ddi_dma_addr_bind_handle(
        handle: ddi_dma_handle_t,
        space: *mut as_,
        address: caddr_t,
        len: usize,
        _flags: uint_t,
        _wait: Wait,
        _arg: caddr_t,
        first: *mut ddi_dma_cookie_t,
        count: *mut uint_t,
    ) -> c_int {
        if !space.is_null() {
            return ddi_sys::DDI_DMA_NOMAPPING;
        }
        // SAFETY: the driver's promise.
        unsafe { bind(handle, address as usize, len, first, count) }
    }
    /// ddi_dma_buf_bind_handle(9F).
    fn ddi_dma_buf_bind_handle(
        handle: ddi_dma_handle_t,
        bp: *mut buf,
        _flags: uint_t,
        _wait: Wait,
        _arg: caddr_t,
        first: *mut ddi_dma_cookie_t,
        count: *mut uint_t,
    ) -> c_int {
        // SAFETY: the driver's promise.
        let b = unsafe { &*bp };
        // SAFETY: the union has one member.
        let address = unsafe { b.b_un.b_addr } as usize;
        // SAFETY: the driver's promise.
        unsafe { bind(handle, address, b.b_bcount, first, count) }
    }
    /// ddi_dma_unbind_handle(9F).
    fn ddi_dma_unbind_handle(handle: ddi_dma_handle_t) -> c_int {
        let mut handles = HANDLES.lock();
        let Some(dma) = handles.get_mut(&(handle as usize)).filter(|dma| !dma.pieces.is_empty()) else { return FAILURE };
        dma.pieces.clear();
        SUCCESS
    }
    /// ddi_dma_nextcookie(9F).
    fn ddi_dma_nextcookie(handle: ddi_dma_handle_t, to: *mut ddi_dma_cookie_t) {
        let mut handles = HANDLES.lock();
        // A loop over all cookies that asks once too often is common: nobody looks at what it gets, zeroes here.
        let next = handles.get_mut(&(handle as usize)).and_then(|dma| {
            dma.next += 1;
            let behind = dma.next - 1 == dma.pieces.len() && !dma.pieces.is_empty();
            dma.pieces.get(dma.next - 1).copied().or(behind.then_some((0, 0)))
        });
        drop(handles);
        match next {
            // SAFETY: the driver's promise.
            Some(piece) => unsafe { store(to, cookie(piece)) },
            None => report::mistake("ddi_dma_nextcookie", "there is no further cookie", "ddi_dma_nextcookie(9F)"),
        }
    }
    /// ddi_dma_sync(9F).
    fn ddi_dma_sync(_handle: ddi_dma_handle_t, _off: off_t, _len: usize, _direction: uint_t) -> c_int {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        SUCCESS
    }
    /// ddi_dma_numwin(9F): one.
    fn ddi_dma_numwin(_handle: ddi_dma_handle_t, countp: *mut uint_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { store(countp, 1) };
        SUCCESS
    }
    /// ddi_dma_getwin(9F): only window 0.
    fn ddi_dma_getwin(
        handle: ddi_dma_handle_t,
        window: uint_t,
        offp: *mut off_t,
        lenp: *mut usize,
        first: *mut ddi_dma_cookie_t,
        count: *mut uint_t,
    ) -> c_int {
        let mut handles = HANDLES.lock();
        let Some(dma) = handles.get_mut(&(handle as usize)) else { return FAILURE };
        if window != 0 || dma.pieces.is_empty() {
            return FAILURE;
        }
        dma.next = 1;
        // SAFETY: the driver's promise.
        unsafe { store(offp, 0) };
        // SAFETY: the driver's promise.
        unsafe { store(lenp, dma.pieces.iter().map(|(_, n)| n).sum()) };
        // SAFETY: the driver's promise.
        unsafe { store(first, cookie(dma.pieces[0])) };
        // SAFETY: the driver's promise.
        unsafe { store(count, dma.pieces.len() as uint_t) };
        SUCCESS
    }
    /// ddi_dma_burstsizes(9F): all.
    fn ddi_dma_burstsizes(_handle: ddi_dma_handle_t) -> c_int {
        0x7f
    }
    /// ddi_dma_set_sbus64(9F): there is no SBus.
    fn ddi_dma_set_sbus64(_handle: ddi_dma_handle_t, _sizes: ulong_t) -> c_int {
        FAILURE
    }
    /// ddi_check_dma_handle(9F): nothing ever fails here.
    fn ddi_check_dma_handle(_handle: ddi_dma_handle_t) -> c_int {
        SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bound_at_its_physical_address() {
        let mut attributes = ddi_dma_attr_t {
            dma_attr_version: 0,
            dma_attr_addr_lo: 0,
            dma_attr_addr_hi: u64::MAX,
            dma_attr_count_max: u64::MAX,
            dma_attr_align: 4096,
            dma_attr_burstsizes: 1,
            dma_attr_minxfer: 1,
            dma_attr_maxxfer: u64::MAX,
            dma_attr_seg: u64::MAX,
            dma_attr_sgllen: 4,
            dma_attr_granular: 1,
            dma_attr_flags: 0,
        };
        let (mut handle, mut access, mut address, mut real) = (null_mut(), null_mut(), null_mut(), 0);
        let null = null_mut();
        // SAFETY: places of the test, here and below.
        let made =
            unsafe { ddi_sys::ddi_dma_alloc_handle(null, &mut attributes, None, null.cast(), &mut handle) };
        assert_eq!(made, SUCCESS);
        // SAFETY: as above.
        let given = unsafe {
            ddi_sys::ddi_dma_mem_alloc(
                handle,
                6000,
                null_mut(),
                0,
                None,
                null_mut(),
                &mut address,
                &mut real,
                &mut access,
            )
        };
        assert_eq!((given, real), (SUCCESS, 8192));
        let (mut first, mut count) = (cookie((0, 0)), 0);
        // SAFETY: as above.
        let bound = unsafe {
            let (none, nobody) = (None, null_mut());
            ddi_sys::ddi_dma_addr_bind_handle(
                handle,
                null_mut(),
                address,
                8192,
                0,
                none,
                nobody,
                &mut first,
                &mut count,
            )
        };
        assert_eq!((bound, count, first.dmac_size), (ddi_sys::DDI_DMA_MAPPED, 1, 8192));
        let pfn = kva::frame(address as usize).unwrap();
        // SAFETY: the 64-bit address.
        assert_eq!(unsafe { first._dmu._dmac_ll }, pfn * PAGE_SIZE);
        // SAFETY: as above.
        assert_eq!(unsafe { ddi_sys::ddi_dma_unbind_handle(handle) }, SUCCESS);
        // SAFETY: as above.
        unsafe { ddi_sys::ddi_dma_mem_free(&mut access) };
        // SAFETY: as above.
        unsafe { ddi_sys::ddi_dma_free_handle(&mut handle) };
    }
}
