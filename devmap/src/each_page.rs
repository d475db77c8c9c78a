//! Pages of a mapping that show memory of their own: with a framework in the module that can do that (docs/framework.md).
//!
//! The kernel's own framework points a mapping at other memory as a whole only. Which of the two a driver has, [`available`] says; one that cannot do without refuses the mmap(2) then.
//! Any context, no locks: one pointer, written by `_init(9E)`.

use core::ffi::c_void;
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use ddi_sys as sys;

/// The framework's function; null where it has none.
static REMAP_PAGES: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// In `_init(9E)`: the framework in this module can do that.
#[doc(hidden)]
pub fn install(function: sys::own::remap_pages_t) {
    REMAP_PAGES.store(function as *mut c_void, Ordering::Release);
}

/// Returns whether each page of a mapping can show memory of its own: [`Handle::remap_pages`](crate::Handle::remap_pages). Any context; the same from `_init(9E)` on.
pub fn available() -> bool {
    remap_pages().is_some()
}

/// The function, if there is one.
pub(crate) fn remap_pages() -> Option<sys::own::remap_pages_t> {
    let function = REMAP_PAGES.load(Ordering::Acquire);
    // SAFETY: null, or what `install` was given, which is a function of this type.
    unsafe { mem::transmute::<*mut c_void, Option<sys::own::remap_pages_t>>(function) }
}
