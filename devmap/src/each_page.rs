//! Pages of a mapping that show memory of their own: with a framework in the module that can do that (docs/framework.md).
//!
//! The kernel's own framework points a mapping at other memory as a whole only. Which of the two a driver has, [`available`] says; one that cannot do without refuses the mmap(2) then.
//! Any context, no locks. A driver that never asks for it does not have the framework's code for it in its module.

#[cfg(not(devmap_own))]
use core::{
    ffi::c_void,
    mem, ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

use ddi_sys as sys;

#[cfg(devmap_own)]
mod own {
    use core::ffi::c_int;

    use ddi_sys as sys;

    unsafe extern "C-unwind" {
        /// See [`sys::own::remap_pages_t`].
        pub fn segdev_illumos_remap_pages(
            dhp: sys::devmap_cookie_t,
            dip: *mut sys::dev_info_t,
            off: sys::offset_t,
            len: usize,
            maxprot: sys::uint_t,
            cookie: sys::ddi_umem_cookie_t,
            rnumber: sys::uint_t,
            start: sys::offset_t,
            attributes: *mut sys::ddi_device_acc_attr_t,
        ) -> c_int;
    }
}

/// The framework's function where the module has none of its own: a test's, or null.
#[cfg(not(devmap_own))]
static REMAP_PAGES: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// For a framework beside the module's, as that of a test: from now on it is one that can do that.
#[cfg(not(devmap_own))]
#[doc(hidden)]
pub fn install(function: sys::own::remap_pages_t) {
    REMAP_PAGES.store(function as *mut c_void, Ordering::Release);
}

/// Returns whether each page of a mapping can show memory of its own: [`Handle::remap_pages`](crate::Handle::remap_pages). Any context; the same from `_init(9E)` on.
pub fn available() -> bool {
    remap_pages().is_some()
}

/// The framework's function, if it has one.
#[cfg(devmap_own)]
pub(crate) fn remap_pages() -> Option<sys::own::remap_pages_t> {
    Some(own::segdev_illumos_remap_pages)
}

/// The framework's function, if it has one.
#[cfg(not(devmap_own))]
pub(crate) fn remap_pages() -> Option<sys::own::remap_pages_t> {
    let function = REMAP_PAGES.load(Ordering::Acquire);
    // SAFETY: null, or what `install` was given, which is a function of this type.
    unsafe { mem::transmute::<*mut c_void, Option<sys::own::remap_pages_t>>(function) }
}
