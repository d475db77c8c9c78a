//! The interrupts of a device, from [`Allocated`] by way of [`Vectors`], which get their handlers, to [`Interrupts`], which are enabled.
//!
//! Kernel context, but for masks, which take no lock. What is enabled is behind a mutex, held while that changes.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::{c_int, c_void};
use core::ptr;

use ddi_sys as sys;

use super::level::{Claim, High, Kind, Level, Low, Priority};
use crate::errno::{Errno, Error, error};
use crate::kmem::try_push;
use crate::node::Node;
use crate::sync;
use crate::tether::Tether;

const NONE: &str = "no such interrupt";

impl Kind {
    fn raw(self) -> c_int {
        match self {
            Kind::Fixed => sys::DDI_INTR_TYPE_FIXED as c_int,
            Kind::Msi => sys::DDI_INTR_TYPE_MSI as c_int,
            Kind::MsiX => sys::DDI_INTR_TYPE_MSIX as c_int,
        }
    }
}

/// Handles of interrupts, freed when dropped; those of an allocation, in order.
struct Handles {
    all: Vec<sys::ddi_intr_handle_t>,
    kind: Kind,
    _tether: Tether,
}

// SAFETY: the handles belong to no thread; what changes them needs `&mut` or is safe from any.
unsafe impl Send for Handles {}
// SAFETY: as above.
unsafe impl Sync for Handles {}

impl Drop for Handles {
    fn drop(&mut self) {
        for handle in self.all.drain(..) {
            // SAFETY: from ddi_intr_alloc, without a handler any more, freed once.
            unsafe { sys::ddi_intr_free(handle) };
        }
    }
}

impl Handles {
    fn flags(&self) -> u32 {
        let mut flags: c_int = 0;
        if let Some(handle) = self.all.first() {
            // SAFETY: an allocated interrupt; the answer goes to a local.
            unsafe { sys::ddi_intr_get_cap(*handle, &raw mut flags) };
        }
        flags as u32
    }

    /// Returns whether they are enabled as a block.
    fn is_block(&self) -> bool {
        self.flags() & sys::DDI_INTR_FLAG_BLOCK as u32 != 0
    }
}

/// Allocated interrupts of a device, without handlers: `ddi_intr_alloc(9F)`.
///
/// ```no_run
/// use devmap::interrupt::{Allocated, Claim, Interrupts, Kind, Mutex};
/// # use devmap::prelude::*;
/// # extern crate alloc;
/// # use alloc::sync::Arc;
/// struct Counts([u32; 2]);
///
/// // In Device::attach; keep both in the device.
/// fn interrupts(attach: &Attach<'_>) -> Result<(Arc<Mutex<Counts>>, Interrupts), Errno> {
///     let mut vectors = Allocated::new(attach.node(), Kind::MsiX, 2)?.low()?;
///     let counts = Arc::new(Mutex::new(vectors.priority(), Counts([0; 2])));
///     for vector in 0..vectors.len() {
///         let counts = Arc::clone(&counts);
///         vectors.handle(vector, move |cx| {
///             counts.lock(cx).0[vector % 2] += 1;
///             Claim::Claimed
///         })?;
///     }
///     Ok((counts, vectors.enable()?))
/// }
/// ```
pub struct Allocated {
    handles: Handles,
    priority: u32,
}

const ALLOC: &str = "ddi_intr_alloc(9F)";

impl Allocated {
    /// Returns the kinds of interrupt that the device has, the best one first: `ddi_intr_get_supported_types(9F)`.
    pub fn kinds(node: &Node<'_>) -> impl Iterator<Item = Kind> {
        let mut kinds: c_int = 0;
        // SAFETY: a live node; the answer goes to a local.
        let result = unsafe { sys::ddi_intr_get_supported_types(node.as_ptr(), &raw mut kinds) };
        let kinds = if result == sys::DDI_SUCCESS { kinds } else { 0 };
        [Kind::MsiX, Kind::Msi, Kind::Fixed].into_iter().filter(move |kind| kinds & kind.raw() != 0)
    }

    /// Allocates up to `most` interrupts of a kind, at least one.
    ///
    /// Fails with `ENOTSUP` if the device has none of that kind, with `EAGAIN` if none are available now, and with `EINVAL` if `most` is 0.
    pub fn new(node: &Node<'_>, kind: Kind, most: usize) -> Result<Allocated, Error> {
        let wanted = c_int::try_from(most).unwrap_or(c_int::MAX);
        if wanted < 1 {
            return Err(error!(Errno::EINVAL, ALLOC, "no interrupt is asked for"));
        }
        if !Allocated::kinds(node).any(|there| there == kind) {
            return Err(error!(Errno::ENOTSUP, ALLOC, "the device has no interrupts of this kind"));
        }
        let none = error!(Errno::EAGAIN, ALLOC, "no interrupts to be had");
        let (mut there, mut left) = (0, 0);
        // SAFETY: a live node; the answers go to locals. Likewise below.
        let counted = unsafe { sys::ddi_intr_get_nintrs(node.as_ptr(), kind.raw(), &raw mut there) };
        // SAFETY: as above.
        let available = unsafe { sys::ddi_intr_get_navail(node.as_ptr(), kind.raw(), &raw mut left) };
        let mut count = wanted.min(there).min(left);
        if counted != sys::DDI_SUCCESS || available != sys::DDI_SUCCESS || count < 1 {
            return Err(none);
        }
        if kind == Kind::Msi {
            count = 1 << count.ilog2();
        }
        let mut handles = Handles { all: Vec::new(), kind, _tether: node.tether() };
        let no_memory = |_| error!(Errno::ENOMEM, ALLOC, "no memory for the handles");
        for _ in 0..count {
            try_push(&mut handles.all, ptr::null_mut()).map_err(no_memory)?;
        }
        let mut actual: c_int = 0;
        let start = handles.all.as_mut_ptr();
        let behaviour = sys::DDI_INTR_ALLOC_NORMAL as c_int;
        // SAFETY: a live node; room for `count` handles; the answer goes to a local.
        let result = unsafe {
            sys::ddi_intr_alloc(node.as_ptr(), start, kind.raw(), 0, count, &raw mut actual, behaviour)
        };
        let given = if result == sys::DDI_SUCCESS { usize::try_from(actual).unwrap_or(0) } else { 0 };
        handles.all.truncate(given);
        if given == 0 {
            return Err(none);
        }
        let mut priority = 0;
        for handle in &handles.all {
            let mut own = 0;
            // SAFETY: an allocated interrupt; the answer goes to a local.
            unsafe { sys::ddi_intr_get_pri(*handle, &raw mut own) };
            priority = priority.max(own);
        }
        Ok(Allocated { handles, priority })
    }

    /// Allocates interrupts of the best kind that is available: messages rather than the pin.
    pub fn best(node: &Node<'_>, most: usize) -> Result<Allocated, Error> {
        let mut result = Err(error!(Errno::ENOTSUP, ALLOC, "the device has no interrupts"));
        for kind in Allocated::kinds(node) {
            result = Allocated::new(node, kind, most);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// Returns the number of interrupts.
    pub fn len(&self) -> usize {
        self.handles.all.len()
    }

    /// Returns false.
    pub fn is_empty(&self) -> bool {
        self.handles.all.is_empty()
    }

    /// Returns their type.
    pub fn kind(&self) -> Kind {
        self.handles.kind
    }

    /// Sets the priority of all of them, 1 to 12: `ddi_intr_set_pri(9F)`. Fails with `EINVAL` if there is no such priority, and with `ENOTSUP` if the system refuses.
    pub fn set_priority(&mut self, priority: u32) -> Result<(), Error> {
        const PAGE: &str = "ddi_intr_set_pri(9F)";
        if !(sys::DDI_INTR_PRI_MIN as u32..=sys::DDI_INTR_PRI_MAX as u32).contains(&priority) {
            return Err(error!(Errno::EINVAL, PAGE, "no such priority"));
        }
        for handle in &self.handles.all {
            // SAFETY: an allocated interrupt without a handler.
            let result = unsafe { sys::ddi_intr_set_pri(*handle, priority) };
            if result != sys::DDI_SUCCESS {
                return Err(error!(Errno::ENOTSUP, PAGE, "the system refused"));
            }
        }
        self.priority = priority;
        Ok(())
    }

    fn is_high(&self) -> bool {
        // SAFETY: a constant of the kernel's.
        let high = unsafe { sys::ddi_intr_get_hilevel_pri() };
        self.priority >= high
    }

    fn vectors<L: Level>(self) -> Result<Vectors<L>, Error> {
        let mut handlers = Vec::new();
        for _ in 0..self.len() {
            let no_memory = |_| error!(Errno::ENOMEM, ALLOC, "no memory for the handlers");
            try_push(&mut handlers, None).map_err(no_memory)?;
        }
        Ok(Vectors { handlers, handles: self.handles, priority: Priority::new(self.priority) })
    }

    /// Requires that the handlers run below the scheduler's priority. Fails with `ENOTSUP` if not, for a driver that does not support those.
    pub fn low(self) -> Result<Vectors<Low>, Error> {
        if self.is_high() {
            return Err(error!(Errno::ENOTSUP, "ddi_intr_get_hilevel_pri(9F)", "a high-level interrupt"));
        }
        self.vectors()
    }

    /// Requires that the handlers run above the scheduler's priority. Fails with `ENOTSUP` if not.
    pub fn high(self) -> Result<Vectors<High>, Error> {
        if !self.is_high() {
            return Err(error!(Errno::ENOTSUP, "ddi_intr_get_hilevel_pri(9F)", "a low-level interrupt"));
        }
        self.vectors()
    }
}

/// A handler: its closure behind one pointer, for the kernel.
type Handler<L> = Box<dyn Fn(&mut <L as Level>::Cx) -> Claim + Send + Sync>;

unsafe extern "C-unwind" fn run<L: Level>(handler: sys::caddr_t, _: sys::caddr_t) -> u32 {
    // SAFETY: the argument of ddi_intr_add_handler, which is not freed before the handler is removed.
    let handler = unsafe { &*handler.cast::<Handler<L>>() };
    // SAFETY: the kernel calls handlers in their context.
    let mut cx = unsafe { L::assume() };
    match handler(&mut cx) {
        Claim::Claimed => sys::DDI_INTR_CLAIMED as u32,
        Claim::NotOurs => sys::DDI_INTR_UNCLAIMED as u32,
    }
}

/// Interrupts whose handlers are being set. Dropping it removes the handlers.
///
/// # Invariants
/// A handler that is there is the argument of its interrupt's, which is not enabled; its address stays, and the kernel reads it there while this
/// value moves, which a box would not allow.
pub struct Vectors<L: Level = Low> {
    handlers: Vec<Option<Arc<Handler<L>>>>,
    handles: Handles,
    priority: Priority<L>,
}

impl<L: Level> Vectors<L> {
    /// Returns the number of interrupts.
    pub fn len(&self) -> usize {
        self.handles.all.len()
    }

    /// Returns false.
    pub fn is_empty(&self) -> bool {
        self.handles.all.is_empty()
    }

    /// Returns their type.
    pub fn kind(&self) -> Kind {
        self.handles.kind
    }

    /// Returns their priority, for the [`Mutex`](super::Mutex)es that their handlers take.
    pub fn priority(&self) -> Priority<L> {
        self.priority
    }

    /// Sets the handler of interrupt `index`: `ddi_intr_add_handler(9F)`. It does not run before [`enable`](Vectors::enable).
    ///
    /// Fails with `EINVAL` if the interrupt does not exist or has a handler, and with `EIO` if the system refuses.
    pub fn handle(
        &mut self,
        index: usize,
        handler: impl Fn(&mut L::Cx) -> Claim + Send + Sync + 'static,
    ) -> Result<(), Error> {
        const PAGE: &str = "ddi_intr_add_handler(9F)";
        let (Some(place @ None), Some(handle)) = (self.handlers.get_mut(index), self.handles.all.get(index))
        else {
            return Err(error!(Errno::EINVAL, PAGE, "no such interrupt, or it has a handler"));
        };
        let handler: Arc<Handler<L>> = Arc::new(Box::new(handler));
        let argument: *const c_void = Arc::as_ptr(&handler).cast();
        // SAFETY: an allocated interrupt without a handler; the argument stays where it is until the handler is removed.
        let result = unsafe {
            sys::ddi_intr_add_handler(*handle, Some(run::<L>), argument.cast_mut(), ptr::null_mut())
        };
        if result != sys::DDI_SUCCESS {
            return Err(error!(Errno::EIO, PAGE, "the system refused"));
        }
        *place = Some(handler);
        Ok(())
    }

    /// Enables the interrupts: `ddi_intr_enable(9F)`, or `ddi_intr_block_enable(9F)` where the device has them as a block.
    ///
    /// Fails with `EINVAL` if one has no handler, and with `EIO` if the system refuses; then none is enabled.
    pub fn enable(self) -> Result<Interrupts<L>, Error> {
        if self.handlers.iter().any(Option::is_none) {
            return Err(error!(Errno::EINVAL, "ddi_intr_enable(9F)", "an interrupt has no handler"));
        }
        let interrupts = Interrupts { enabled: sync::Mutex::new(0), vectors: self };
        interrupts.resume()?;
        Ok(interrupts)
    }
}

impl<L: Level> Drop for Vectors<L> {
    fn drop(&mut self) {
        for (handle, place) in self.handles.all.iter().zip(&mut self.handlers) {
            let Some(handler) = place.take() else { continue };
            // SAFETY: an interrupt with a handler, which is not enabled.
            let result = unsafe { sys::ddi_intr_remove_handler(*handle) };
            if result != sys::DDI_SUCCESS {
                // The kernel could still call it: it stays.
                core::mem::forget(handler);
            }
        }
    }
}

/// Enabled interrupts. After the drop no handler is running or will run. Do not drop it in a handler, or while holding a lock that one takes.
///
/// Their node cannot be detached before.
pub struct Interrupts<L: Level = Low> {
    /// Number of interrupts that are enabled, the first ones.
    enabled: sync::Mutex<usize>,
    vectors: Vectors<L>,
}

impl<L: Level> Interrupts<L> {
    /// Returns the number of interrupts.
    pub fn len(&self) -> usize {
        self.vectors.len()
    }

    /// Returns false.
    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty()
    }

    /// Returns their type.
    pub fn kind(&self) -> Kind {
        self.vectors.kind()
    }

    /// Returns their priority.
    pub fn priority(&self) -> Priority<L> {
        self.vectors.priority
    }

    /// Disables them until [`resume`](Interrupts::resume): `ddi_intr_disable(9F)`. For [`Device::suspend`](crate::Device::suspend). A
    /// handler that has begun may still run.
    pub fn suspend(&self) {
        self.disable(&mut self.enabled.lock());
    }

    fn disable(&self, enabled: &mut usize) {
        let handles = &self.vectors.handles;
        if handles.is_block() {
            if *enabled > 0 {
                let count = c_int::try_from(handles.all.len()).unwrap_or(0);
                // SAFETY: interrupts of a block, all of them enabled; the handles are only read.
                unsafe { sys::ddi_intr_block_disable(handles.all.as_ptr().cast_mut(), count) };
            }
        } else {
            for handle in handles.all.iter().take(*enabled) {
                // SAFETY: an enabled interrupt.
                unsafe { sys::ddi_intr_disable(*handle) };
            }
        }
        *enabled = 0;
    }

    /// Enables them again: `ddi_intr_enable(9F)`. Fails with `EIO` if the system refuses; then none is enabled.
    pub fn resume(&self) -> Result<(), Error> {
        const REFUSED: Error = error!(Errno::EIO, "ddi_intr_enable(9F)", "the system refused");
        let mut enabled = self.enabled.lock();
        if *enabled > 0 {
            return Ok(());
        }
        let handles = &self.vectors.handles;
        if handles.is_block() {
            let count = c_int::try_from(handles.all.len()).unwrap_or(0);
            // SAFETY: interrupts of a block, with handlers, not enabled; the handles are only read.
            let result = unsafe { sys::ddi_intr_block_enable(handles.all.as_ptr().cast_mut(), count) };
            if result != sys::DDI_SUCCESS {
                return Err(REFUSED);
            }
            *enabled = handles.all.len();
            return Ok(());
        }
        for handle in &handles.all {
            // SAFETY: an interrupt with a handler, not enabled.
            let result = unsafe { sys::ddi_intr_enable(*handle) };
            if result != sys::DDI_SUCCESS {
                self.disable(&mut enabled);
                return Err(REFUSED);
            }
            *enabled += 1;
        }
        Ok(())
    }

    fn handle(&self, index: usize, none: Error) -> Result<sys::ddi_intr_handle_t, Error> {
        self.vectors.handles.all.get(index).copied().ok_or(none)
    }

    /// Masks interrupt `index`, which stays pending until it is [unmasked](Interrupts::unmask): `ddi_intr_set_mask(9F)`. Any context but a high-level interrupt.
    ///
    /// Fails with `EINVAL` if it does not exist, and with `ENOTSUP` if the device has no masks.
    pub fn mask(&self, index: usize) -> Result<(), Error> {
        const PAGE: &str = "ddi_intr_set_mask(9F)";
        let handle = self.handle(index, error!(Errno::EINVAL, PAGE, NONE))?;
        // SAFETY: an interrupt with a handler.
        let result = unsafe { sys::ddi_intr_set_mask(handle) };
        if result == sys::DDI_SUCCESS {
            return Ok(());
        }
        Err(error!(Errno::ENOTSUP, PAGE, "it has no mask, or is not enabled"))
    }

    /// Unmasks interrupt `index`: `ddi_intr_clr_mask(9F)`.
    pub fn unmask(&self, index: usize) -> Result<(), Error> {
        const PAGE: &str = "ddi_intr_clr_mask(9F)";
        let handle = self.handle(index, error!(Errno::EINVAL, PAGE, NONE))?;
        // SAFETY: an interrupt with a handler.
        let result = unsafe { sys::ddi_intr_clr_mask(handle) };
        if result == sys::DDI_SUCCESS {
            return Ok(());
        }
        Err(error!(Errno::ENOTSUP, PAGE, "it has no mask, or is not enabled"))
    }

    /// Returns whether interrupt `index` is pending: `ddi_intr_get_pending(9F)`. Fails with `ENOTSUP` if the device cannot tell.
    pub fn is_pending(&self, index: usize) -> Result<bool, Error> {
        const PAGE: &str = "ddi_intr_get_pending(9F)";
        let handle = self.handle(index, error!(Errno::EINVAL, PAGE, NONE))?;
        let mut pending: c_int = 0;
        // SAFETY: an interrupt with a handler; the answer goes to a local.
        let result = unsafe { sys::ddi_intr_get_pending(handle, &raw mut pending) };
        if result == sys::DDI_SUCCESS {
            return Ok(pending != 0);
        }
        Err(error!(Errno::ENOTSUP, PAGE, "the device does not tell"))
    }
}

impl<L: Level> Drop for Interrupts<L> {
    fn drop(&mut self) {
        self.suspend();
        // The handlers go with the vectors.
    }
}
