//! Modules, device numbers, soft state, and the thread that calls.
//!
//! Soft state is kept by item number, zeroed, of the size that `ddi_soft_state_init(9F)` was told.

use std::alloc::Layout;
use std::ffi::{c_char, c_int, c_void};

use ddi_sys as sys;

use super::threads::me;
use super::{PAGE, kernel};

#[unsafe(no_mangle)]
static _pagesize: u64 = PAGE as u64;

#[unsafe(no_mangle)]
static mut mod_driverops: [usize; 3] = [0; 3];

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_get_kt_did() -> u64 {
    me()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mod_install(linkage: *mut sys::modlinkage) -> c_int {
    let mut kernel = kernel();
    if kernel.refuses("mod_install") {
        return sys::EINVAL;
    }
    kernel.linkage = linkage.expose_provenance();
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mod_remove(_: *mut sys::modlinkage) -> c_int {
    let mut kernel = kernel();
    if kernel.soft.keys().any(|(anchor, _)| *anchor == 0) {
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
unsafe extern "C-unwind" fn ddi_quiesce_not_supported(_: *mut sys::dev_info_t) -> c_int {
    sys::DDI_FAILURE
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn getminor(dev: sys::dev_t) -> u32 {
    dev as u32
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn getmajor(dev: sys::dev_t) -> u32 {
    (dev >> 32) as u32
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn makedevice(major: u32, minor: u32) -> sys::dev_t {
    u64::from(major) << 32 | u64::from(minor)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_soft_state_init(anchor: *mut *mut c_void, size: usize, _: usize) -> c_int {
    let mut kernel = kernel();
    if kernel.refuses("ddi_soft_state_init") {
        return sys::EINVAL;
    }
    kernel.anchors.push(size);
    // SAFETY: as ddi_soft_state_init(9F): the caller's pointer. A number, which is not 0.
    unsafe { *anchor = std::ptr::without_provenance_mut(kernel.anchors.len()) };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_soft_state_fini(anchor: *mut *mut c_void) {
    // SAFETY: as ddi_soft_state_fini(9F): the caller's pointer.
    let state = unsafe { *anchor };
    let number = state.expose_provenance() - 1;
    let items: Vec<i32> =
        kernel().soft.range((number, 0)..(number + 1, 0)).map(|((_, item), _)| *item).collect();
    assert!(number != 0 || items.is_empty(), "instances' soft state left");
    for item in items {
        // SAFETY: an anchor of ours.
        unsafe { ddi_soft_state_free(state, item) };
    }
    let mut kernel = kernel();
    kernel.anchors[number] = 0;
    if kernel.anchors.iter().all(|size| *size == 0) {
        kernel.anchors.clear();
    }
    // SAFETY: as above.
    unsafe { *anchor = std::ptr::null_mut() };
}

fn item_layout(size: usize) -> Layout {
    Layout::from_size_align(size, 16).unwrap()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_soft_state_zalloc(anchor: *mut c_void, item: c_int) -> c_int {
    let mut kernel = kernel();
    let number = anchor.expose_provenance() - 1;
    if item < 0 || kernel.soft.contains_key(&(number, item)) || kernel.refuses("ddi_soft_state_zalloc") {
        return sys::DDI_FAILURE;
    }
    // SAFETY: an item has a size, the driver's instance or open.
    let memory = unsafe { std::alloc::alloc_zeroed(item_layout(kernel.anchors[number])) };
    kernel.soft.insert((number, item), memory.expose_provenance());
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_get_soft_state(anchor: *mut c_void, item: c_int) -> *mut c_void {
    kernel()
        .soft
        .get(&(anchor.expose_provenance() - 1, item))
        .map_or(std::ptr::null_mut(), |at| *at as *mut c_void)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_soft_state_free(anchor: *mut c_void, item: c_int) {
    let mut kernel = kernel();
    let number = anchor.expose_provenance() - 1;
    let size = kernel.anchors[number];
    let at = kernel.soft.remove(&(number, item)).expect("soft state freed that is not there");
    // SAFETY: allocated with this layout; it was on the list until now, so it is freed once.
    unsafe { std::alloc::dealloc(at as *mut u8, item_layout(size)) };
}
