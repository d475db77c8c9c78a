//! DMA: ddi_dma_alloc_handle(9F) and so on.
//!
//! Memory is bound at its physical address; memory of kmem_alloc(9F), which has none here, at an address of the [bus's own](iospace).
//! Nothing moves, and nothing has to be synchronised, but what a device may touch is what is bound at that moment.
//! A binding is cut into cookies as the attributes say, and with DDI_DMA_PARTIAL into windows of as many cookies as the device can take.
//! Locking: leaf locks.

use std::collections::HashMap;
use std::ffi::c_int;
use std::ptr::null;
use std::sync::LazyLock;

use ddi_process::physmem::PAGE_SIZE;
use ddi_sys::{
    as_, caddr_t, ddi_acc_handle_t, ddi_dma_attr_t, ddi_dma_cookie_t, ddi_dma_handle_t, dev_info_t, off_t,
    uint_t, ulong_t,
};
use parking_lot::Mutex;

use super::args::{In, InOut, Out};
use super::bufs::Buf;
use super::{pinned, registers, sync};
use crate::board::{log, report};
use crate::kern::pieces::{self, Pieces, Window};
use crate::pci::iospace;
use crate::vm::{client, frames, kva, memory};

const SUCCESS: c_int = ddi_sys::DDI_SUCCESS;
const FAILURE: c_int = ddi_sys::DDI_FAILURE;

/// Behind a handle.
struct Dma {
    attributes: ddi_dma_attr_t,
    /// Memory that is bound. The drivers see these cookies by pointer.
    cookies: Box<[ddi_dma_cookie_t]>,
    windows: Vec<Window>,
    window: usize,
    /// Number of cookies of the window that were returned.
    next: usize,
    /// The bus address that was made for the binding.
    made: Option<u64>,
}

impl Dma {
    fn bound(&self) -> bool {
        !self.cookies.is_empty()
    }

    fn in_window(&self) -> &[ddi_dma_cookie_t] {
        self.windows.get(self.window).map_or(&[], |w| &self.cookies[w.first..w.first + w.count])
    }

    fn unbind(&mut self) {
        self.cookies = Box::default();
        self.windows.clear();
        (self.window, self.next) = (0, 0);
        if let Some(bus) = self.made.take() {
            iospace::unmap(bus);
        }
    }
}

/// State of this file.
struct State {
    handles: LazyLock<Mutex<HashMap<usize, Dma>>>,
    /// Memory of ddi_dma_mem_alloc by access handle: first frame and pages.
    memory: LazyLock<Mutex<HashMap<usize, (u64, u64)>>>,
}

static STATE: State = State { handles: LazyLock::new(Mutex::default), memory: LazyLock::new(Mutex::default) };
/// Handles that exist.
pub fn in_use() -> usize {
    STATE.handles.lock().len()
}

/// Memory of ddi_dma_mem_alloc(9F) that is left.
pub fn memory_in_use() -> usize {
    STATE.memory.lock().len()
}

/// A device moves memory from one bus address to another; false when it may not touch part of that.
pub(crate) fn copy(source: u64, target: u64, len: usize) -> bool {
    for (what, address) in [("reads", source), ("writes", target)] {
        if !bound(address, len as u64) {
            let text = format!("a device {what} {len} bytes at {address:#x}, which no DMA handle has bound");
            log::line(log::To::Both, &format!("WARNING: {text}"));
            return false;
        }
    }
    let mut done = 0;
    while done < len {
        let (from, to) = (source + done as u64, target + done as u64);
        let n = (PAGE_SIZE - (from % PAGE_SIZE).max(to % PAGE_SIZE)) as usize;
        let n = n.min(len - done);
        let (Some(from), Some(to)) = (iospace::translate(from), iospace::translate(to)) else { return false };
        // SAFETY: bound memory of the driver's, which it promised to keep until it unbinds; within a page on both sides.
        unsafe { std::ptr::copy(from, to, n) };
        done += n;
    }
    true
}

/// Returns whether all of a bus range is bound.
fn bound(address: u64, len: u64) -> bool {
    let handles = STATE.handles.lock();
    let mut at = address;
    let end = address.saturating_add(len);
    while at < end {
        let covering = handles.values().flat_map(|dma| dma.cookies.iter()).find_map(|cookie| {
            let start = address_of(cookie);
            let behind = start + cookie.dmac_size as u64;
            (start <= at && at < behind).then_some(behind)
        });
        let Some(behind) = covering else { return false };
        at = behind;
    }
    true
}

fn address_of(cookie: &ddi_dma_cookie_t) -> u64 {
    // SAFETY: all of the union is the address.
    unsafe { cookie._dmu._dmac_ll }
}

fn cookie(address: u64, len: u64) -> ddi_dma_cookie_t {
    let address = ddi_sys::ddi_dma_cookie__bindgen_ty_1 { _dmac_ll: address };
    ddi_dma_cookie_t { _dmu: address, dmac_size: len as usize, dmac_type: 0 }
}

/// The pieces of a kernel range, and the bus address that was made for it, if any.
fn kernel_pieces(address: usize, len: usize) -> Option<(Pieces, Option<u64>)> {
    let mut found = Pieces::new();
    let mut at = address;
    while at < address + len {
        let in_page = at % PAGE_SIZE as usize;
        let n = (PAGE_SIZE as usize - in_page).min(address + len - at);
        let Some(frame) = kva::frame(at) else {
            let bus = iospace::map(address, len)?;
            return Some((vec![(bus, len as u64)], Some(bus)));
        };
        pieces::push(&mut found, frame * PAGE_SIZE + in_page as u64, n as u64);
        at += n;
    }
    Some((found, None))
}

/// The pieces of a process's memory that is pinned; None when part of it is not.
fn user_pieces(space: usize, address: u64, len: u64) -> Option<Pieces> {
    let entry = client::of_as(space)?;
    let mut found = Pieces::new();
    let mut at = address;
    while at < address + len {
        let in_page = at % PAGE_SIZE;
        let n = (PAGE_SIZE - in_page).min(address + len - at);
        let (memory, offset) = entry.pinned(at - in_page, PAGE_SIZE)?;
        pieces::push(&mut found, memory.pfn() * PAGE_SIZE + offset + in_page, n);
        at += n;
    }
    Some(found)
}

/// Pins memory of the calling process that is not locked, as illumos binds it, too.
fn pin(space: usize, address: u64, len: u64, flags: uint_t) {
    let own = client::current().is_some_and(|c| c.image().space() == space);
    if !own || len == 0 || user_pieces(space, address, len).is_some() {
        return;
    }
    let way = match flags & ddi_sys::DDI_DMA_RDWR as uint_t {
        way if way == ddi_sys::DDI_DMA_WRITE as uint_t => ddi_sys::DDI_UMEMLOCK_READ,
        _ => ddi_sys::DDI_UMEMLOCK_READ | ddi_sys::DDI_UMEMLOCK_WRITE,
    };
    let in_page = address % PAGE_SIZE;
    // When that fails, the memory has no place that a device can reach, which the binding will find out.
    let _ = pinned::pin(address - in_page, len + in_page, way);
}

/// Memory to be bound.
enum Range {
    Kernel(usize, usize),
    User(usize, u64, u64),
}

/// Binds memory.
fn bind(
    handle: ddi_dma_handle_t,
    range: Range,
    flags: uint_t,
    first: Out<'_, ddi_dma_cookie_t>,
    count: Out<'_, uint_t>,
) -> c_int {
    let mut handles = STATE.handles.lock();
    let Some(dma) = handles.get_mut(&(handle as usize)) else {
        drop(handles);
        let what = format!("{handle:p} is not a DMA handle");
        report::mistake("ddi_dma_bind", &what, "ddi_dma_addr_bind_handle(9F)");
        return ddi_sys::DDI_DMA_NORESOURCES;
    };
    if dma.bound() {
        return ddi_sys::DDI_DMA_INUSE;
    }
    let found = match range {
        Range::Kernel(_, 0) | Range::User(_, _, 0) => None,
        Range::Kernel(address, len) => kernel_pieces(address, len),
        Range::User(space, address, len) => user_pieces(space, address, len).map(|p| (p, None)),
    };
    let Some((found, made)) = found else { return ddi_sys::DDI_DMA_NOMAPPING };
    dma.made = made;
    let attributes = dma.attributes;
    let reach = |(start, n): &(u64, u64)| {
        *start >= attributes.dma_attr_addr_lo && start + n - 1 <= attributes.dma_attr_addr_hi
    };
    let mut cookies = pieces::cut(&found, &attributes);
    let windows = if found.iter().all(reach) {
        pieces::windows(&mut cookies, &attributes).ok_or(ddi_sys::DDI_DMA_TOOBIG)
    } else {
        Err(ddi_sys::DDI_DMA_NOMAPPING)
    };
    let partial = flags & ddi_sys::DDI_DMA_PARTIAL as uint_t != 0;
    match windows {
        Ok(windows) if windows.len() == 1 || partial => dma.windows = windows,
        Ok(_) => {
            dma.unbind();
            return ddi_sys::DDI_DMA_TOOBIG;
        }
        Err(error) => {
            dma.unbind();
            return error;
        }
    }
    dma.cookies = cookies.into_iter().map(|(at, n)| cookie(at, n)).collect();
    (dma.window, dma.next) = (0, 1);
    let (one, n) = (dma.cookies[0], dma.windows[0].count as uint_t);
    let result = if dma.windows.len() > 1 { ddi_sys::DDI_DMA_PARTIAL_MAP } else { ddi_sys::DDI_DMA_MAPPED };
    drop(handles);
    first.set(one);
    count.set(n);
    result
}

/// A handle's binding, for a function that needs one; a bad handle is reported.
fn with<R>(handle: ddi_dma_handle_t, function: &str, f: impl FnOnce(&mut Dma) -> R) -> Option<R> {
    let mut handles = STATE.handles.lock();
    let what = match handles.get_mut(&(handle as usize)) {
        Some(dma) if dma.bound() => return Some(f(dma)),
        Some(_) => "nothing is bound to the DMA handle",
        None => "not a DMA handle, or it has been freed",
    };
    drop(handles);
    report::mistake(function, what, &format!("{function}(9F)"));
    None
}

type Wait = Option<unsafe extern "C-unwind" fn(caddr_t) -> c_int>;

/// Reports DDI_DMA_SLEEP where nothing may block.
fn may_wait(function: &str, wait: Wait) {
    if wait.is_some_and(|f| f as usize == 1) {
        sync::may_block(function, "DDI_DMA_SLEEP", &format!("{function}(9F)"));
    }
}

ddi! {
    /// ddi_dma_alloc_handle(9F).
    fn ddi_dma_alloc_handle(
        _dip: *mut dev_info_t,
        attributes: In<ddi_dma_attr_t, *mut ddi_dma_attr_t>,
        wait: Wait,
        _arg: caddr_t,
        handlep: Out<ddi_dma_handle_t>,
    ) -> c_int {
        static LAST: Mutex<usize> = Mutex::new(0);
        may_wait(NAME, wait);
        let Some(attributes) = attributes.get() else { return ddi_sys::DDI_DMA_BADATTR };
        if pieces::bad(&attributes) {
            return ddi_sys::DDI_DMA_BADATTR;
        }
        let mut last = LAST.lock();
        *last += 16;
        let dma = Dma {
            attributes,
            cookies: Box::default(),
            windows: Vec::new(),
            window: 0,
            next: 0,
            made: None,
        };
        STATE.handles.lock().insert(*last, dma);
        handlep.set(*last as ddi_dma_handle_t);
        SUCCESS
    }
    /// ddi_dma_free_handle(9F).
    fn ddi_dma_free_handle(handlep: InOut<ddi_dma_handle_t>) {
        let handle = handlep.take();
        let what = match STATE.handles.lock().remove(&(handle as usize)) {
            Some(dma) if !dma.bound() => return,
            Some(_) => "the handle is still bound",
            None => "not a DMA handle, or freed before",
        };
        report::mistake(NAME, what, "ddi_dma_free_handle(9F)");
    }
    /// ddi_dma_mem_alloc(9F).
    fn ddi_dma_mem_alloc(
        handle: ddi_dma_handle_t,
        len: usize,
        attributes: registers::Attributes,
        _flags: uint_t,
        wait: Wait,
        _arg: caddr_t,
        addrp: Out<caddr_t>,
        real: Out<usize>,
        accp: Out<ddi_acc_handle_t>,
    ) -> c_int {
        may_wait(NAME, wait);
        let Some(dma) = STATE.handles.lock().get(&(handle as usize)).map(|dma| dma.attributes) else {
            let what = format!("{handle:p} is not a DMA handle");
            report::mistake(NAME, &what, "ddi_dma_mem_alloc(9F)");
            return FAILURE;
        };
        let pages = (len as u64).div_ceil(PAGE_SIZE);
        let align = dma.dma_attr_align.div_ceil(PAGE_SIZE).max(1);
        let (low, high) = (dma.dma_attr_addr_lo, dma.dma_attr_addr_hi);
        let end = (high / PAGE_SIZE).saturating_add(u64::from(high % PAGE_SIZE == PAGE_SIZE - 1));
        let Some(pfn) = memory().alloc_within(pages, align, low.div_ceil(PAGE_SIZE)..end) else { return FAILURE };
        let (start, len) = (memory().ptr(pfn).as_ptr() as usize, (pages * PAGE_SIZE) as usize);
        let access = registers::handle(start, len, attributes);
        STATE.memory.lock().insert(access as usize, (pfn, pages));
        frames::lock(pfn, pages);
        addrp.set(start as caddr_t);
        real.set(len);
        accp.set(access);
        SUCCESS
    }
    /// ddi_dma_mem_free(9F).
    fn ddi_dma_mem_free(accp: InOut<ddi_acc_handle_t>) {
        let access = accp.take();
        let known = STATE.memory.lock().remove(&(access as usize));
        let Some((pfn, pages)) = known else {
            return report::mistake(NAME, "not memory of ddi_dma_mem_alloc", "ddi_dma_mem_free(9F)");
        };
        if any_bound(pfn * PAGE_SIZE, pages * PAGE_SIZE) {
            let what = "the memory is still bound to a DMA handle";
            report::mistake(NAME, what, "ddi_dma_mem_free(9F)");
        }
        registers::forget(access);
        frames::unlock(pfn, pages);
        memory().free(pfn, pages);
    }
    /// ddi_dma_addr_bind_handle(9F).
    fn ddi_dma_addr_bind_handle(
        handle: ddi_dma_handle_t,
        space: *mut as_,
        address: caddr_t,
        len: usize,
        flags: uint_t,
        wait: Wait,
        _arg: caddr_t,
        first: Out<ddi_dma_cookie_t>,
        count: Out<uint_t>,
    ) -> c_int {
        may_wait(NAME, wait);
        let user = client::of_as(space as usize).is_some();
        let range = if user {
            pin(space as usize, address as u64, len as u64, flags);
            Range::User(space as usize, address as u64, len as u64)
        } else {
            Range::Kernel(address as usize, len)
        };
        bind(handle, range, flags, first, count)
    }
    /// ddi_dma_buf_bind_handle(9F).
    fn ddi_dma_buf_bind_handle(
        handle: ddi_dma_handle_t,
        bp: Buf,
        flags: uint_t,
        wait: Wait,
        _arg: caddr_t,
        first: Out<ddi_dma_cookie_t>,
        count: Out<uint_t>,
    ) -> c_int {
        may_wait(NAME, wait);
        let (address, len) = (bp.b_addr() as usize, bp.b_bcount());
        bind(handle, Range::Kernel(address, len), flags, first, count)
    }
    /// ddi_dma_unbind_handle(9F).
    fn ddi_dma_unbind_handle(handle: ddi_dma_handle_t) -> c_int {
        let mut handles = STATE.handles.lock();
        let Some(dma) = handles.get_mut(&(handle as usize)).filter(|dma| dma.bound()) else { return FAILURE };
        dma.unbind();
        SUCCESS
    }
    /// ddi_dma_nextcookie(9F).
    fn ddi_dma_nextcookie(handle: ddi_dma_handle_t, to: Out<ddi_dma_cookie_t>) {
        // Loops over all cookies often make one call too many, and ignore its result: it gets zeroes.
        let next = with(handle, NAME, |dma| {
            dma.next += 1;
            let all = dma.in_window();
            all.get(dma.next - 1).copied().or((dma.next - 1 == all.len()).then(|| cookie(0, 0)))
        });
        match next {
            Some(Some(cookie)) => to.set(cookie),
            Some(None) => report::mistake(NAME, "there is no further cookie", "ddi_dma_nextcookie(9F)"),
            None => {}
        }
    }
    /// ddi_dma_ncookies(9F): of the window.
    fn ddi_dma_ncookies(handle: ddi_dma_handle_t) -> uint_t {
        with(handle, NAME, |dma| dma.in_window().len()).unwrap_or(0) as uint_t
    }
    /// ddi_dma_cookie_iter(9F): the cookie behind `cookie`, the first for NULL, NULL behind the last.
    fn ddi_dma_cookie_iter(handle: ddi_dma_handle_t, cookie: *const ddi_dma_cookie_t) -> *const ddi_dma_cookie_t {
        let next = with(handle, NAME, |dma| {
            let all = dma.in_window();
            let at = if cookie.is_null() {
                Some(0)
            } else {
                all.iter().position(|c| std::ptr::eq(c, cookie)).map(|at| at + 1)
            };
            at.map(|at| all.get(at).map_or(null(), std::ptr::from_ref) as usize)
        });
        match next {
            Some(Some(cookie)) => cookie as *const ddi_dma_cookie_t,
            Some(None) => {
                let what = "the cookie is not one of the handle's";
                report::mistake(NAME, what, "ddi_dma_cookie_iter(9F)");
                null()
            }
            None => null(),
        }
    }
    /// ddi_dma_cookie_get(9F): by its number.
    fn ddi_dma_cookie_get(handle: ddi_dma_handle_t, index: uint_t) -> *const ddi_dma_cookie_t {
        let found = with(handle, NAME, |dma| {
            dma.in_window().get(index as usize).map_or(0, |c| std::ptr::from_ref(c) as usize)
        });
        found.unwrap_or(0) as *const ddi_dma_cookie_t
    }
    /// ddi_dma_cookie_one(9F): the only one there is.
    fn ddi_dma_cookie_one(handle: ddi_dma_handle_t) -> *const ddi_dma_cookie_t {
        let found = with(handle, NAME, |dma| match dma.in_window() {
            [one] => Ok(std::ptr::from_ref(one) as usize),
            more => Err(more.len()),
        });
        match found {
            Some(Ok(cookie)) => cookie as *const ddi_dma_cookie_t,
            Some(Err(n)) => {
                let what = format!("the binding has {n} cookies");
                report::mistake(NAME, &what, "ddi_dma_cookie_one(9F)");
                null()
            }
            None => null(),
        }
    }
    /// ddi_dma_sync(9F): DDI_FAILURE when nothing is bound, or not that much.
    fn ddi_dma_sync(handle: ddi_dma_handle_t, off: off_t, len: usize, _direction: uint_t) -> c_int {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        let handles = STATE.handles.lock();
        let Some(dma) = handles.get(&(handle as usize)).filter(|dma| dma.bound()) else { return FAILURE };
        let size: u64 = dma.windows.iter().map(|w| w.len).sum();
        let fits = u64::try_from(off).is_ok_and(|off| off.saturating_add(len as u64) <= size);
        if fits { SUCCESS } else { FAILURE }
    }
    /// ddi_dma_numwin(9F).
    fn ddi_dma_numwin(handle: ddi_dma_handle_t, countp: Out<uint_t>) -> c_int {
        let Some(n) = with(handle, NAME, |dma| dma.windows.len()) else { return FAILURE };
        countp.set(n as uint_t);
        SUCCESS
    }
    /// ddi_dma_getwin(9F).
    fn ddi_dma_getwin(
        handle: ddi_dma_handle_t,
        window: uint_t,
        offp: Out<off_t>,
        lenp: Out<usize>,
        first: Out<ddi_dma_cookie_t>,
        count: Out<uint_t>,
    ) -> c_int {
        let found = with(handle, NAME, |dma| {
            let found = *dma.windows.get(window as usize)?;
            (dma.window, dma.next) = (window as usize, 1);
            Some((found, dma.cookies[found.first]))
        });
        let Some(Some((found, cookie))) = found else { return FAILURE };
        offp.set(found.offset as off_t);
        lenp.set(found.len as usize);
        first.set(cookie);
        count.set(found.count as uint_t);
        SUCCESS
    }
    /// ddi_dma_burstsizes(9F): what the attributes say.
    fn ddi_dma_burstsizes(handle: ddi_dma_handle_t) -> c_int {
        STATE.handles.lock().get(&(handle as usize)).map_or(0, |dma| dma.attributes.dma_attr_burstsizes as c_int)
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

/// Returns whether some byte of a bus range is bound.
fn any_bound(address: u64, len: u64) -> bool {
    STATE.handles.lock().values().flat_map(|dma| dma.cookies.iter()).any(|cookie| {
        let start = address_of(cookie);
        start < address + len && address < start + cookie.dmac_size as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::null_mut;

    #[test]
    fn memory_is_bound_at_its_physical_address() {
        let mut attributes = pieces::tests::attributes();
        let (mut handle, mut access, mut address, mut real) = (null_mut(), null_mut(), null_mut(), 0);
        let null = null_mut();
        let made =
            driver!(ddi_sys::ddi_dma_alloc_handle(null, &mut attributes, None, null.cast(), &mut handle));
        assert_eq!(made, SUCCESS);
        let given = driver!(ddi_sys::ddi_dma_mem_alloc(
            handle,
            6000,
            null_mut(),
            0,
            None,
            null_mut(),
            &mut address,
            &mut real,
            &mut access,
        ));
        assert_eq!((given, real), (SUCCESS, 8192));
        let (mut first, mut count) = (cookie(0, 0), 0);
        let mut bind = |address: caddr_t, len, first: &mut ddi_dma_cookie_t| {
            let (none, nobody) = (None, null_mut());
            driver!(ddi_sys::ddi_dma_addr_bind_handle(
                handle,
                null_mut(),
                address,
                len,
                0,
                none,
                nobody,
                first,
                &mut count,
            ))
        };
        assert_eq!(bind(address, 8192, &mut first), ddi_sys::DDI_DMA_MAPPED);
        assert_eq!(first.dmac_size, 8192);
        let bus = address_of(&first);
        assert_eq!(bus, kva::frame(address as usize).unwrap() * PAGE_SIZE);
        assert_eq!(bind(address, 8192, &mut first), ddi_sys::DDI_DMA_INUSE);
        let one = driver!(ddi_sys::ddi_dma_cookie_one(handle));
        // SAFETY: one of the handle's cookies, which is bound.
        let one = unsafe { &*one };
        assert_eq!(address_of(one), bus);
        assert!(driver!(ddi_sys::ddi_dma_cookie_iter(handle, one)).is_null());
        // SAFETY: 8192 bytes were allocated.
        unsafe { address.cast::<u32>().write(77) };
        assert!(copy(bus, bus + 4096, 4) && !copy(bus, bus + 8190, 4));
        // SAFETY: as above.
        assert_eq!(unsafe { address.wrapping_add(4096).cast::<u32>().read() }, 77);
        assert_eq!(driver!(ddi_sys::ddi_dma_unbind_handle(handle)), SUCCESS);
        assert!(!copy(bus, bus + 4096, 4));
        // Memory without page frames.
        let mut buffer = vec![5_u8; 5000];
        assert_eq!(bind(buffer.as_mut_ptr().cast(), 5000, &mut first), ddi_sys::DDI_DMA_MAPPED);
        assert!(copy(address_of(&first), address_of(&first) + 100, 100));
        assert_eq!(driver!(ddi_sys::ddi_dma_unbind_handle(handle)), SUCCESS);
        driver!(ddi_sys::ddi_dma_mem_free(&mut access));
        driver!(ddi_sys::ddi_dma_free_handle(&mut handle));
    }
}
