//! [`Tether`]: what keeps a node attached while something is left that has to be undone before.
//!
//! Registers, DMA handles, interrupts, device ids and pinned memory each have a clone. Soft state has the first one, from attach to detach, so the last
//! is dropped in one of the two, where the DDI wants what [`Bonds`] undoes to be done. Any context, no locks; a task may sleep for memory.

use alloc::sync::Arc;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering;

use ddi_sys as sys;

use crate::atomic::{AtomicI32, AtomicPtr};
use crate::errno::{Errno, Error, error};
use crate::used::{self, Part as _};

/// Resources that a node has at most once, released before the node goes.
pub(crate) struct Bonds {
    dip: *mut sys::dev_info_t,
    /// Result of `ddi_fm_init(9F)`; [`NO_FM`] before.
    fm: AtomicI32,
    /// Tasks that are done when no lock is held; null until they are needed.
    tasks: AtomicPtr<sys::ddi_taskq_t>,
}

const NO_FM: i32 = -1;

// SAFETY: the node is only passed to the kernel; the rest is atomic.
unsafe impl Send for Bonds {}
// SAFETY: as above.
unsafe impl Sync for Bonds {}

impl Bonds {
    /// The capabilities that were agreed, if they were.
    pub(crate) fn fm(&self) -> Option<i32> {
        let fm = self.fm.load(Ordering::Relaxed);
        (fm != NO_FM).then_some(fm)
    }

    /// `ddi_fm_init(9F)` was called, and gave this.
    pub(crate) fn set_fm(&self, capabilities: i32) {
        used::Faults::is_needed();
        self.fm.store(capabilities.max(0), Ordering::Relaxed);
    }

    /// Makes tasks possible, if they are not. In attach of the node.
    pub(crate) fn start_tasks(&self, dip: *mut sys::dev_info_t) -> Result<(), Error> {
        used::Tasks::is_needed();
        if !self.tasks.load(Ordering::Acquire).is_null() {
            return Ok(());
        }
        // SAFETY: the node is attached; the name is copied.
        let tasks =
            unsafe { sys::ddi_taskq_create(dip, c"later".as_ptr(), 1, sys::TASKQ_DEFAULTPRI as i16, 0) };
        if tasks.is_null() {
            return Err(error!(Errno::ENOMEM, "ddi_taskq_create(9F)", "no thread to be had"));
        }
        self.tasks.store(tasks, Ordering::Release);
        Ok(())
    }

    /// Has a function called by a thread that holds no lock, or calls it if that is as good.
    ///
    /// # Safety
    /// It may be called with this argument, once, by any thread, at any time before the node is detached.
    pub(crate) unsafe fn run_later(
        &self,
        task: unsafe extern "C-unwind" fn(*mut c_void),
        argument: *mut c_void,
    ) {
        let tasks = self.tasks.load(Ordering::Acquire);
        // SAFETY: reads the state of the current CPU.
        let interrupt = unsafe { sys::servicing_interrupt() };
        if tasks.is_null() || interrupt != 0 {
            // In an interrupt the kernel has a thread of its own for what tasks are for here.
            // SAFETY: the caller's.
            return unsafe { task(argument) };
        }
        // SAFETY: a task queue that is not destroyed while self is there. May sleep, and then does not fail.
        unsafe { sys::ddi_taskq_dispatch(tasks, Some(task), argument, sys::DDI_SLEEP as u32) };
    }
}

impl Drop for Bonds {
    fn drop(&mut self) {
        if used::Faults::is_used() && *self.fm.get_mut() != NO_FM {
            // SAFETY: in attach or detach of the node, after `ddi_fm_init`; every handle that flags errors had a clone of the tether.
            unsafe { sys::ddi_fm_fini(self.dip) };
        }
        let tasks = *self.tasks.get_mut();
        if used::Tasks::is_used() && !tasks.is_null() {
            // SAFETY: made by `start_tasks`, and destroyed once; not by one of its own tasks, which have no clone of the tether.
            unsafe { sys::ddi_taskq_destroy(tasks) };
        }
    }
}

/// Keeps a node attached while there is something that has to be freed before it is detached: whatever that is has a clone.
#[derive(Clone)]
pub(crate) struct Tether(Arc<Bonds>);

impl Tether {
    /// # Safety
    /// The node is attached until the last clone has gone.
    pub(crate) unsafe fn new(dip: *mut sys::dev_info_t) -> Tether {
        let (fm, tasks) = (AtomicI32::new(NO_FM), AtomicPtr::new(ptr::null_mut()));
        Tether(Arc::new(Bonds { dip, fm, tasks }))
    }

    /// The node: attached while self is there.
    pub(crate) fn dip(&self) -> *mut sys::dev_info_t {
        self.0.dip
    }

    pub(crate) fn bonds(&self) -> &Bonds {
        &self.0
    }

    /// For [`from_ptr`](Tether::from_ptr), if this value is forgotten.
    pub(crate) fn as_ptr(&self) -> *const () {
        Arc::as_ptr(&self.0).cast()
    }

    /// # Safety
    /// From [`as_ptr`](Tether::as_ptr) of a value that was forgotten, which this one replaces.
    pub(crate) unsafe fn from_ptr(tether: *const ()) -> Tether {
        // SAFETY: the caller's.
        Tether(unsafe { Arc::from_raw(tether.cast()) })
    }

    /// Returns whether there are others.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}
