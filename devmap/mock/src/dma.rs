//! DMA: handles, memory, bindings. A bus address is the kernel's; memory is in pieces of a page each, if a test says so.

use std::alloc::Layout;
use std::collections::HashMap;
use std::ffi::{c_char, c_int};
use std::sync::Mutex;

use ddi_sys as sys;

use super::{PAGE, kernel};

#[unsafe(no_mangle)]
static mut physmax: u64 = (1 << 36) / PAGE as u64 - 1;

/// A piece: address and length.
type Piece = (u64, usize);

/// A handle of ddi_dma_alloc_handle(9F).
pub struct Handle {
    /// Capabilities of the device.
    pub attributes: sys::ddi_dma_attr_t,
    /// Memory bound to it.
    pub bound: Option<Bound>,
    /// The bus has seen an error.
    pub failed: bool,
}

/// Memory that is bound to a handle.
pub struct Bound {
    /// Flags of ddi_dma_addr_bind_handle(9F).
    pub flags: u32,
    /// Bytes.
    pub len: usize,
    windows: Vec<Vec<Piece>>,
    window: usize,
    next: usize,
}

/// Everything about DMA that there is.
#[derive(Default)]
pub struct Dma {
    /// Handles by address.
    pub handles: HashMap<usize, Handle>,
    /// Memory by access handle: address and length.
    pub memory: HashMap<usize, (usize, usize)>,
    /// Calls of ddi_dma_sync(9F): offset, length, direction.
    pub syncs: Vec<(i64, usize, u32)>,
    /// Memory is in pieces of a page.
    pub scattered: bool,
}

/// The state; None until it is first used.
pub static DMA: Mutex<Option<Dma>> = Mutex::new(None);

/// Runs a function on the state, locked.
pub fn with<R>(f: impl FnOnce(&mut Dma) -> R) -> R {
    let mut dma = DMA.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    f(dma.get_or_insert_default())
}

fn of<R>(handle: sys::ddi_dma_handle_t, f: impl FnOnce(&mut Handle) -> R) -> R {
    with(|dma| f(dma.handles.get_mut(&handle.expose_provenance()).expect("a DMA handle")))
}

/// Panics if the caller may not sleep.
fn waits(wait: Option<unsafe extern "C-unwind" fn(*mut i8) -> c_int>) {
    let sleeps = wait.is_some_and(|wait| wait as usize == 1);
    assert!(!(sleeps && kernel().interrupt), "sleeping in an interrupt");
}

type Wait = Option<unsafe extern "C-unwind" fn(*mut i8) -> c_int>;

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_dma_alloc_handle(
    _: *mut sys::dev_info_t,
    attributes: *mut sys::ddi_dma_attr_t,
    wait: Wait,
    _: *mut i8,
    to: *mut sys::ddi_dma_handle_t,
) -> c_int {
    waits(wait);
    // SAFETY: as ddi_dma_alloc_handle(9F).
    let attributes = unsafe { *attributes };
    if !attributes.dma_attr_align.is_power_of_two() || attributes.dma_attr_sgllen < 1 {
        return sys::DDI_DMA_BADATTR;
    }
    if kernel().refuses("ddi_dma_alloc_handle") {
        return sys::DDI_DMA_NORESOURCES;
    }
    let handle = kernel().fresh();
    with(|dma| dma.handles.insert(handle, Handle { attributes, bound: None, failed: false }));
    // SAFETY: likewise: the caller's.
    unsafe { *to = handle as sys::ddi_dma_handle_t };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_dma_free_handle(handle: *mut sys::ddi_dma_handle_t) {
    // SAFETY: as ddi_dma_free_handle(9F).
    let handle = unsafe { *handle };
    let freed =
        with(|dma| dma.handles.remove(&handle.expose_provenance())).expect("a DMA handle freed twice");
    assert!(freed.bound.is_none(), "freed while something is bound");
    // A buffer that was allocated by it has to go before; which was, is not noted, so this is for tests with one.
    assert!(with(|dma| !dma.handles.is_empty() || dma.memory.is_empty()), "memory outlives its handle");
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_dma_mem_alloc(
    handle: sys::ddi_dma_handle_t,
    len: usize,
    _: *mut sys::ddi_device_acc_attr_t,
    flags: u32,
    wait: Wait,
    _: *mut i8,
    address: *mut *mut c_char,
    real: *mut usize,
    access: *mut sys::ddi_acc_handle_t,
) -> c_int {
    waits(wait);
    of(handle, |_| ());
    let modes = sys::DDI_DMA_CONSISTENT | sys::DDI_DMA_STREAMING;
    assert!((flags & modes).is_power_of_two(), "one of the two");
    if kernel().refuses("ddi_dma_mem_alloc") {
        return sys::DDI_FAILURE;
    }
    let len = len.next_multiple_of(64);
    // SAFETY: a size that is not 0.
    let start = unsafe { std::alloc::alloc(Layout::from_size_align(len, PAGE).unwrap()) };
    // SAFETY: so many bytes.
    unsafe { start.write_bytes(0xee, len) };
    let id = kernel().fresh();
    with(|dma| dma.memory.insert(id, (start.expose_provenance(), len)));
    // SAFETY: as ddi_dma_mem_alloc(9F): the caller's, here and below.
    unsafe { *address = start.cast() };
    // SAFETY: as above.
    unsafe { *real = len };
    // SAFETY: as above.
    unsafe { *access = id as sys::ddi_acc_handle_t };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_dma_mem_free(access: *mut sys::ddi_acc_handle_t) {
    // SAFETY: as ddi_dma_mem_free(9F).
    let access = unsafe { *access };
    let (start, len) =
        with(|dma| dma.memory.remove(&access.expose_provenance())).expect("DMA memory freed twice");
    let bound = |handle: &Handle| {
        let pieces = handle.bound.iter().flat_map(|bound| bound.windows.iter().flatten());
        pieces.into_iter().any(|(at, _)| (start..start + len).contains(&(*at as usize)))
    };
    assert!(!with(|dma| dma.handles.values().any(bound)), "freed while it is bound");
    // SAFETY: allocated with this layout, and off the list now, so freed once.
    unsafe { std::alloc::dealloc(start as *mut u8, Layout::from_size_align(len, PAGE).unwrap()) };
}

fn bind(
    handle: sys::ddi_dma_handle_t,
    (start, len): (usize, usize),
    flags: u32,
    first: *mut sys::ddi_dma_cookie_t,
    count: *mut u32,
) -> c_int {
    if kernel().refuses("ddi_dma_bind") {
        return sys::DDI_DMA_NORESOURCES;
    }
    let scattered = with(|dma| dma.scattered);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = start;
    while at < start + len {
        let end = if scattered { (at / PAGE + 1) * PAGE } else { start + len };
        let end = end.min(start + len);
        pieces.push((at as u64, end - at));
        at = end;
    }
    let (result, one, n) = of(handle, |handle| {
        let a = &handle.attributes;
        assert!(handle.bound.is_none(), "bound twice");
        if pieces.iter().any(|(at, len)| *at + *len as u64 - 1 > a.dma_attr_addr_hi) {
            return (sys::DDI_DMA_NOMAPPING, (0, 0), 0);
        }
        let most = a.dma_attr_sgllen as usize;
        if pieces.len() > most && flags & sys::DDI_DMA_PARTIAL as u32 == 0 {
            return (sys::DDI_DMA_TOOBIG, (0, 0), 0);
        }
        let windows: Vec<Vec<Piece>> = pieces.chunks(most).map(<[Piece]>::to_vec).collect();
        let (one, n) = (windows[0][0], windows[0].len());
        let result = if windows.len() > 1 { sys::DDI_DMA_PARTIAL_MAP } else { sys::DDI_DMA_MAPPED };
        handle.bound = Some(Bound { flags, len, windows, window: 0, next: 1 });
        (result, one, n)
    });
    if result >= 0 {
        // SAFETY: as ddi_dma_addr_bind_handle(9F): the caller's, here and below.
        unsafe { *first = cookie(one) };
        // SAFETY: as above.
        unsafe { *count = n as u32 };
    }
    result
}

fn cookie((at, len): Piece) -> sys::ddi_dma_cookie_t {
    let address = sys::ddi_dma_cookie__bindgen_ty_1 { _dmac_ll: at };
    sys::ddi_dma_cookie_t { _dmu: address, dmac_size: len, dmac_type: 0 }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_dma_addr_bind_handle(
    handle: sys::ddi_dma_handle_t,
    space: *mut sys::as_,
    start: *mut c_char,
    len: usize,
    flags: u32,
    wait: Wait,
    _: *mut i8,
    first: *mut sys::ddi_dma_cookie_t,
    count: *mut u32,
) -> c_int {
    waits(wait);
    assert!(space.is_null() && len > 0);
    bind(handle, (start.expose_provenance(), len), flags, first, count)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_dma_buf_bind_handle(
    handle: sys::ddi_dma_handle_t,
    buf: *mut sys::buf,
    flags: u32,
    wait: Wait,
    _: *mut i8,
    first: *mut sys::ddi_dma_cookie_t,
    count: *mut u32,
) -> c_int {
    waits(wait);
    // SAFETY: as ddi_dma_buf_bind_handle(9F).
    let buf = unsafe { &*buf };
    // SAFETY: it has an address.
    let at = unsafe { buf.b_un.b_addr };
    bind(handle, (at.expose_provenance(), buf.b_bcount), flags, first, count)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_dma_unbind_handle(handle: sys::ddi_dma_handle_t) -> c_int {
    assert!(of(handle, |handle| handle.bound.take()).is_some(), "nothing is bound");
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_dma_nextcookie(
    handle: sys::ddi_dma_handle_t,
    to: *mut sys::ddi_dma_cookie_t,
) {
    let next = of(handle, |handle| {
        let bound = handle.bound.as_mut().expect("nothing is bound");
        bound.next += 1;
        bound.windows[bound.window][bound.next - 1]
    });
    // SAFETY: as ddi_dma_nextcookie(9F): the caller's.
    unsafe { *to = cookie(next) };
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_dma_numwin(handle: sys::ddi_dma_handle_t, count: *mut u32) -> c_int {
    // SAFETY: as ddi_dma_numwin(9F): the caller's.
    unsafe { *count = of(handle, |handle| handle.bound.as_ref().unwrap().windows.len()) as u32 };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_dma_getwin(
    handle: sys::ddi_dma_handle_t,
    window: u32,
    offset: *mut i64,
    len: *mut usize,
    first: *mut sys::ddi_dma_cookie_t,
    count: *mut u32,
) -> c_int {
    let (before, own, one, n) = of(handle, |handle| {
        let bound = handle.bound.as_mut().unwrap();
        (bound.window, bound.next) = (window as usize, 1);
        let sum = |pieces: &[Piece]| pieces.iter().map(|(_, len)| len).sum::<usize>();
        let before: usize = bound.windows[..bound.window].iter().map(|w| sum(w)).sum();
        let pieces = &bound.windows[bound.window];
        (before, sum(pieces), pieces[0], pieces.len())
    });
    // SAFETY: as ddi_dma_getwin(9F): the caller's, here and below.
    unsafe { *offset = before as i64 };
    // SAFETY: as above.
    unsafe { *len = own };
    // SAFETY: as above.
    unsafe { *first = cookie(one) };
    // SAFETY: as above.
    unsafe { *count = n as u32 };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_dma_sync(
    handle: sys::ddi_dma_handle_t,
    offset: i64,
    len: usize,
    towards: u32,
) -> c_int {
    of(handle, |handle| assert!(handle.bound.is_some(), "nothing is bound"));
    with(|dma| dma.syncs.push((offset, len, towards)));
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_fm_dma_err_get(
    handle: sys::ddi_dma_handle_t,
    error: *mut sys::ddi_fm_error_t,
    _: c_int,
) {
    let failed = of(handle, |handle| {
        assert!(handle.attributes.dma_attr_flags & sys::DDI_DMA_FLAGERR as u32 != 0);
        handle.failed
    });
    // SAFETY: as ddi_fm_dma_err_get(9F): the caller's.
    unsafe { (*error).fme_status = if failed { sys::DDI_FM_NONFATAL } else { sys::DDI_FM_OK } };
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_fm_dma_err_clear(handle: sys::ddi_dma_handle_t, _: c_int) {
    of(handle, |handle| handle.failed = false);
}
