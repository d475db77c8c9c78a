//! Modules, device numbers, soft state, and the thread that calls.
//!
//! Soft state is kept by item number, zeroed, of the size that `ddi_soft_state_init(9F)` was told.

use std::alloc::Layout;
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

use ddi_sys as sys;

use super::{PAGE, kernel};

#[unsafe(no_mangle)]
static _pagesize: u64 = PAGE as u64;

#[unsafe(no_mangle)]
static mut mod_driverops: [usize; 3] = [0; 3];

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_get_kt_did() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static ID: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
    ID.with(|id| *id)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mod_install(linkage: *mut sys::modlinkage) -> c_int {
    let mut kernel = kernel();
    if kernel.refuses("mod_install") {
        return sys::EINVAL;
    }
    kernel.linkage = linkage.addr();
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mod_remove(_: *mut sys::modlinkage) -> c_int {
    let mut kernel = kernel();
    if !kernel.soft.is_empty() {
        return sys::EBUSY;
    }
    kernel.linkage = 0;
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mod_info(linkage: *mut sys::modlinkage, info: *mut sys::modinfo) -> c_int {
    // SAFETY: as mod_info(9F).
    assert_eq!(unsafe { (*linkage).ml_rev }, sys::MODREV_1);
    // SAFETY: likewise; the caller's to be filled in.
    unsafe { (*info).mi_rev = 1 };
    1
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn nodev() -> c_int {
    sys::ENXIO
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn nulldev() -> c_int {
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn nochpoll(_: sys::dev_t, _: i16, _: c_int, _: *mut i16, _: *mut c_void) -> c_int {
    sys::ENXIO
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_op(
    _: sys::dev_t,
    _: *mut sys::dev_info_t,
    _: u32,
    _: c_int,
    _: *mut c_char,
    _: *mut c_char,
    _: *mut c_int,
) -> c_int {
    sys::DDI_PROP_NOT_FOUND
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_quiesce_not_needed(_: *mut sys::dev_info_t) -> c_int {
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn getminor(dev: sys::dev_t) -> u32 {
    dev as u32
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_soft_state_init(anchor: *mut *mut c_void, size: usize, _: usize) -> c_int {
    kernel().item = size;
    // SAFETY: as ddi_soft_state_init(9F): the caller's pointer.
    unsafe { *anchor = std::ptr::dangling_mut() };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_soft_state_fini(anchor: *mut *mut c_void) {
    // SAFETY: as ddi_soft_state_fini(9F): the caller's pointer.
    unsafe { *anchor = std::ptr::null_mut() };
}

fn item_layout(size: usize) -> Layout {
    Layout::from_size_align(size, 16).unwrap()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_soft_state_zalloc(_: *mut c_void, item: c_int) -> c_int {
    let mut kernel = kernel();
    if kernel.soft.contains_key(&item) {
        return sys::DDI_FAILURE;
    }
    // SAFETY: an item has a size, the driver's instance.
    let memory = unsafe { std::alloc::alloc_zeroed(item_layout(kernel.item)) };
    kernel.soft.insert(item, memory.addr());
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_get_soft_state(_: *mut c_void, item: c_int) -> *mut c_void {
    kernel().soft.get(&item).map_or(std::ptr::null_mut(), |at| *at as *mut c_void)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_soft_state_free(_: *mut c_void, item: c_int) {
    let mut kernel = kernel();
    let size = kernel.item;
    let at = kernel.soft.remove(&item).expect("soft state freed that is not there");
    // SAFETY: allocated with this layout; it was on the list until now, so it is freed once.
    unsafe { std::alloc::dealloc(at as *mut u8, item_layout(size)) };
}
