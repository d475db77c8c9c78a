//! A kstat that was made: deleted when dropped.

use core::ffi::CStr;
use core::ptr::NonNull;

use ddi_sys as sys;

use crate::errno::{Errno, Error, error};
use crate::node::Node;
use crate::text::Text;

pub(super) const NO_MEMORY: Error =
    error!(Errno::ENOMEM, "kstat_create(9F)", "no memory, or the name is taken");
const TOO_LONG: Error = error!(Errno::EINVAL, "kstat_create(9F)", "a name is longer than 30 bytes");

pub(super) type Name = Text<{ sys::KSTAT_STRLEN as usize }>;

pub(super) fn name(text: &str) -> Result<Name, Error> {
    Name::name(text).ok_or(TOO_LONG)
}

/// Names a value of a set.
///
/// # Safety
/// A value that is ours, of a set that is not visible yet.
#[cold]
#[inline(never)]
pub(super) unsafe fn name_value(value: *mut sys::kstat_named_t, text: &str, kind: u8) -> Result<(), Error> {
    let mut name = Name::new();
    let name = name.end().name(text).ok_or(TOO_LONG)?;
    // SAFETY: the caller's, and a string that ends in NUL and fits.
    unsafe { sys::kstat_named_init(value, name.as_ptr(), kind) };
    Ok(())
}

/// A kstat that was made, deleted when dropped.
pub(super) struct Made(NonNull<sys::kstat_t>);

// SAFETY: the kernel's structure belongs to no thread, and is deleted once.
unsafe impl Send for Made {}
// SAFETY: what it is used for synchronises itself.
unsafe impl Sync for Made {}

impl Made {
    /// A set `driver:instance:set` that is not visible yet.
    pub(super) fn new(
        node: &Node<'_>,
        set: &str,
        class: &CStr,
        kind: u8,
        count: usize,
        flags: u8,
    ) -> Result<Made, Error> {
        // In place: a `Text` that is returned lies on the stack twice.
        let mut name = Name::new();
        let set = name.end().name(set).ok_or(TOO_LONG)?;
        let count = u32::try_from(count).map_err(|_| TOO_LONG)?;
        let (driver, instance) = (node.driver_name().as_ptr(), node.instance());
        // SAFETY: the strings end in NUL, and are copied.
        let kstat =
            unsafe { sys::kstat_create(driver, instance, set.as_ptr(), class.as_ptr(), kind, count, flags) };
        NonNull::new(kstat).map(Made).ok_or(NO_MEMORY)
    }

    /// The kernel's structure, to be filled in before it is installed.
    pub(super) fn get(&self) -> *mut sys::kstat_t {
        self.0.as_ptr()
    }

    /// Data, allocated by the kernel.
    pub(super) fn data<T>(&self) -> Result<NonNull<T>, Error> {
        // SAFETY: not installed yet, so nobody else looks at it; or this field is not changed any more.
        let data = unsafe { (*self.get()).ks_data };
        NonNull::new(data.cast()).ok_or(NO_MEMORY)
    }

    /// The kernel takes this lock while somebody reads.
    ///
    /// # Safety
    /// It is not installed, and the lock lives longer than self.
    pub(super) unsafe fn set_lock(&self, lock: *mut sys::kmutex_t) {
        // SAFETY: the caller's: nobody else looks at it.
        unsafe { (*self.get()).ks_lock = lock.cast() };
    }

    /// Makes it visible.
    pub(super) fn install(&self) {
        // SAFETY: from kstat_create, filled in.
        unsafe { sys::kstat_install(self.get()) };
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // SAFETY: from kstat_create, deleted once. Waits until nobody reads.
        unsafe { sys::kstat_delete(self.get()) };
    }
}
