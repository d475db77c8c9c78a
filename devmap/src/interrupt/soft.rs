//! [`SoftInterrupt`]: a handler that the driver triggers itself, mainly from a high-level interrupt.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ffi::{c_int, c_void};
use core::ptr;

use ddi_sys as sys;

use super::level::Priority;
use crate::context::Interrupt;
use crate::errno::{Errno, Error, error};
use crate::node::Node;
use crate::tether::Tether;

/// The priority of a soft interrupt: 1 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftPriority(u8);

impl SoftPriority {
    /// The lowest priority, below all device interrupts.
    pub const LOWEST: SoftPriority = SoftPriority(sys::DDI_INTR_SOFTPRI_MIN as u8);
    /// The highest priority of a soft interrupt.
    pub const HIGHEST: SoftPriority = SoftPriority(sys::DDI_INTR_SOFTPRI_MAX as u8);

    /// Creates a priority. Returns None unless it is 1 to 9.
    pub const fn new(priority: u8) -> Option<SoftPriority> {
        if priority < SoftPriority::LOWEST.0 || priority > SoftPriority::HIGHEST.0 {
            return None;
        }
        Some(SoftPriority(priority))
    }
}

type Handler = Box<dyn Fn(&mut Interrupt) + Send + Sync>;

/// A soft interrupt: `ddi_intr_add_softint(9F)`. After the drop its handler is not running and will not run. Do not drop it in the handler, or while holding a lock that
/// it takes.
///
/// ```no_run
/// use devmap::interrupt::{SoftInterrupt, SoftPriority};
/// # use devmap::prelude::*;
/// # fn f(attach: &Attach<'_>) -> Result<(), devmap::Error> {
/// let rest = SoftInterrupt::new(attach.node(), SoftPriority::LOWEST, |_cx| devmap::log_only!("the rest"))?;
/// rest.trigger(); // in the handler of a high-level interrupt
/// # Ok(()) }
/// ```
pub struct SoftInterrupt {
    handle: sys::ddi_softint_handle_t,
    /// The kernel has its address, and reads it there while this value moves, which a box would not allow.
    handler: Option<Arc<Handler>>,
    priority: Priority,
    _tether: Tether,
}

// SAFETY: the handle belongs to no thread, and triggers may come from any.
unsafe impl Send for SoftInterrupt {}
// SAFETY: as above.
unsafe impl Sync for SoftInterrupt {}

unsafe extern "C-unwind" fn run(handler: sys::caddr_t, _: sys::caddr_t) -> u32 {
    // SAFETY: the argument of ddi_intr_add_softint, which is not freed before the handler is removed.
    let handler = unsafe { &*handler.cast::<Handler>() };
    // SAFETY: the kernel runs soft interrupts below the scheduler's priority.
    let mut cx = unsafe { Interrupt::assume() };
    handler(&mut cx);
    sys::DDI_INTR_CLAIMED as u32
}

impl SoftInterrupt {
    /// Adds a soft interrupt with this handler. Kernel context: allocates. Fails with `EIO` if the system refuses.
    pub fn new(
        node: &Node<'_>,
        priority: SoftPriority,
        handler: impl Fn(&mut Interrupt) + Send + Sync + 'static,
    ) -> Result<SoftInterrupt, Error> {
        let handler: Arc<Handler> = Arc::new(Box::new(handler));
        let argument: *const c_void = Arc::as_ptr(&handler).cast();
        let mut handle: sys::ddi_softint_handle_t = ptr::null_mut();
        // SAFETY: a live node; the argument stays where it is until the handler is removed; the answer goes to a local.
        let result = unsafe {
            sys::ddi_intr_add_softint(
                node.as_ptr(),
                &raw mut handle,
                c_int::from(priority.0),
                Some(run),
                argument.cast_mut(),
            )
        };
        if result != sys::DDI_SUCCESS {
            return Err(error!(Errno::EIO, "ddi_intr_add_softint(9F)", "the system refused"));
        }
        let priority = Priority::new(priority.0.into());
        Ok(SoftInterrupt { handle, handler: Some(handler), priority, _tether: node.tether() })
    }

    /// Returns its priority, for the [`Mutex`](super::Mutex)es that its handler takes.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Triggers the handler: `ddi_intr_trigger_softint(9F)`. Any context, also a high-level interrupt. A trigger before the handler has begun is merged with the pending one.
    pub fn trigger(&self) {
        // SAFETY: a soft interrupt that was added. That it is pending already is as good.
        unsafe { sys::ddi_intr_trigger_softint(self.handle, ptr::null_mut()) };
    }
}

impl Drop for SoftInterrupt {
    fn drop(&mut self) {
        // SAFETY: added in `new`, removed once; waits until the handler does not run.
        let result = unsafe { sys::ddi_intr_remove_softint(self.handle) };
        if result != sys::DDI_SUCCESS {
            // The kernel could still call it: it stays.
            core::mem::forget(self.handler.take());
        }
    }
}
