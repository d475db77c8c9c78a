//! A module's soft state and its attached instances.
//!
//! Soft state holds two pointers for each instance. The framework calls no entry point of an instance before its
//! attach or after its detach, which is what makes them good. No lock of its own: soft state's is the kernel's.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::ptr::{self, NonNull};

use ddi_sys as sys;

use crate::calls::Calls;
use crate::device::Device;
use crate::frame::Routine;
use crate::instance::{Attached, Instance};
use crate::numbers::{Minor, have_data};
use crate::opens::{Entered, Opens, no_data};
use crate::threads::Threads;

/// The soft state of a device's module.
pub(crate) fn soft_state<D: Device>() -> &'static SoftState<D> {
    // SAFETY: that is what `Registered` promises.
    unsafe { D::soft_state().cast().as_ref() }
}

/// Number of instances for which room is made at first.
const INSTANCES: usize = 4;

/// State of a module whatever its device is: the anchor of its instances, `ddi_soft_state(9F)`, and its mmap(2) calls.
pub(crate) struct Module {
    anchor: UnsafeCell<*mut c_void>,
    /// Initialised from `_init` to `_fini`.
    calls: Calls,
    /// Routines of context switches under way; initialised as `calls`.
    switches: Threads<Routine>,
}

/// State of a module besides its tables.
pub struct SoftState<D: Device> {
    pub(crate) module: Module,
    opens: Opens<D>,
}

// SAFETY: written by `_init` and `_fini` only, when no entry point runs; the calls on what the anchor points to lock for
// themselves, and so does `Calls`.
unsafe impl Sync for Module {}
// SAFETY: as above, of `Opens`.
unsafe impl<D: Device> Sync for SoftState<D> {}

/// Soft state of an instance.
pub(crate) struct Item {
    pub dip: *mut sys::dev_info_t,
    /// Of an instance of the module's device; null when that is gone and its node could not be detached yet.
    pub instance: *const Attached,
    /// From `Arc::into_raw`: what the node's [`Tether`](crate::tether::Tether)s refer to.
    pub tether: *const (),
}

impl Module {
    #[inline(never)]
    fn init(&self) -> c_int {
        // SAFETY: in `_init`, before anything else.
        let failed = unsafe { sys::ddi_soft_state_init(self.anchor.get(), size_of::<Item>(), INSTANCES) };
        if failed == 0 {
            // SAFETY: in `_init`, before anything else; the soft state is a static.
            unsafe { self.calls.init() };
            // SAFETY: likewise.
            unsafe { self.switches.init() };
        }
        failed
    }

    #[inline(never)]
    fn fini(&self) {
        // SAFETY: in `_fini` after mod_remove(9F), or in an `_init` that fails: no entry point runs.
        unsafe { sys::ddi_soft_state_fini(self.anchor.get()) };
        // SAFETY: likewise, so nobody has a reference.
        unsafe { self.calls.end() };
        // SAFETY: likewise.
        unsafe { self.switches.end() };
    }

    fn anchor(&self) -> *mut c_void {
        // SAFETY: not written while entry points run.
        unsafe { *self.anchor.get() }
    }

    /// The mmap(2) calls, for entry points and callbacks.
    #[inline]
    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The context switches under way.
    #[inline]
    pub(crate) fn switches(&self) -> &Threads<Routine> {
        &self.switches
    }

    pub(crate) fn allocate(&self, instance: i32) -> c_int {
        // SAFETY: the anchor is initialised before the first attach.
        unsafe { sys::ddi_soft_state_zalloc(self.anchor(), instance) }
    }

    pub(crate) fn free(&self, instance: i32) {
        // SAFETY: as above; the item is not used any more.
        unsafe { sys::ddi_soft_state_free(self.anchor(), instance) };
    }

    pub(crate) fn item(&self, instance: i32) -> *mut Item {
        // SAFETY: as above; a number without an item gives null.
        unsafe { sys::ddi_get_soft_state(self.anchor(), instance) }.cast()
    }

    /// The instance of this number, if it is attached.
    ///
    /// # Safety
    /// In an entry point of the instance, so that it is not detached meanwhile, or in its detach.
    #[inline]
    pub(crate) unsafe fn instance(&self, number: i32) -> Option<NonNull<Attached>> {
        let item = NonNull::new(self.item(number))?;
        // SAFETY: an item of ours, not freed while an entry point runs.
        NonNull::new(unsafe { item.as_ref() }.instance.cast_mut())
    }
}

impl<D: Device> SoftState<D> {
    /// Creates an empty value.
    pub const fn new() -> SoftState<D> {
        SoftState {
            module: Module {
                anchor: UnsafeCell::new(ptr::null_mut()),
                // SAFETY: the soft state is a static, whose `init` comes before all else.
                calls: unsafe { Calls::new() },
                // SAFETY: likewise.
                switches: unsafe { Threads::new() },
            },
            opens: Opens::new(),
        }
    }

    pub(crate) fn init(&self) -> c_int {
        let failed = self.module.init();
        if failed != 0 {
            return failed;
        }
        let failed = self.opens.init();
        if failed != 0 {
            self.fini();
        }
        failed
    }

    pub(crate) fn fini(&self) {
        self.module.fini();
        self.opens.fini();
    }

    /// The mmap(2) calls, for entry points and callbacks.
    #[inline]
    pub(crate) fn calls(&self) -> &Calls {
        self.module.calls()
    }

    /// The context switches under way.
    #[inline]
    pub(crate) fn switches(&self) -> &Threads<Routine> {
        self.module.switches()
    }

    /// The opens that have private data.
    pub(crate) fn opens(&self) -> &Opens<D> {
        &self.opens
    }

    /// Returns the subject of a call for this device number.
    ///
    /// # Safety
    /// In an entry point that the framework calls for an open of this device number.
    pub(crate) unsafe fn entered<'a>(&self, dev: sys::dev_t) -> Option<Entered<'a, D>> {
        match Minor::of::<D>(dev) {
            // SAFETY: the caller's.
            Minor::Open(number) => unsafe { self.opens.entered(number) },
            Minor::Node { .. } if have_data::<D>() => None,
            Minor::Node { instance, index } => {
                // SAFETY: the caller's.
                let instance = unsafe { self.open_instance(instance) }?;
                Some(Entered { instance, open: no_data::<D>(), minor: index })
            }
        }
    }

    /// The instance of this number, if it is attached.
    ///
    /// # Safety
    /// As of [`Module::instance`].
    pub(crate) unsafe fn instance<'a>(&self, number: i32) -> Option<&'a Instance<D>> {
        // SAFETY: the caller's.
        let home = unsafe { self.module.instance(number) }?;
        // SAFETY: an instance of this device, soft state's until detach.
        Some(unsafe { home.cast().as_ref() })
    }

    /// The instance of this number, of which something is open.
    ///
    /// # Safety
    /// In an entry point for what is open: open(9E) has found the instance, and it is not detached before close(9E) has returned.
    #[inline(always)]
    pub(crate) unsafe fn open_instance<'a>(&self, number: i32) -> Option<&'a Instance<D>> {
        let item = NonNull::new(self.module.item(number))?;
        // SAFETY: an item of ours, not freed while an entry point runs.
        let instance = unsafe { item.as_ref() }.instance.cast::<Instance<D>>();
        // SAFETY: the caller's.
        unsafe { core::hint::assert_unchecked(!instance.is_null()) };
        // SAFETY: an instance of this device, soft state's until detach.
        Some(unsafe { &*instance })
    }
}

impl<D: Device> Default for SoftState<D> {
    fn default() -> SoftState<D> {
        SoftState::new()
    }
}
