//! An attached instance. No lock of its own.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ops::Deref;

use crate::attach::Attach;
use crate::device::Device;
use crate::errno::Errno;
use crate::handle::Home;
use crate::mapped::Mapped;
use crate::node::Node;

/// The part of an instance that does not depend on the type of its device.
#[repr(C)]
pub(crate) struct Attached {
    pub home: Home,
    pub mappings: Arc<Mapped>,
}

/// An attached instance. Begins with what its mappings know of it.
#[repr(C)]
pub(crate) struct Instance<D: Device> {
    pub attached: Attached,
    pub device: Made<D>,
}

/// The device of an instance, as its attach has returned it.
///
/// # Invariants
/// `Ok` once [`Instance::new`] has returned.
#[repr(transparent)]
pub(crate) struct Made<D>(Result<D, Errno>);

impl<D> Deref for Made<D> {
    type Target = D;

    #[inline(always)]
    fn deref(&self) -> &D {
        // SAFETY: the invariant.
        unsafe { self.0.as_ref().unwrap_unchecked() }
    }
}

impl<D: Device> Instance<D> {
    /// Attaches a device. Kernel context, in attach of its node.
    ///
    /// `D::attach` is not inlined here, and its result is moved once, before it is looked at: devices are large, and kernel stacks small.
    #[inline(always)]
    pub(crate) fn new(home: Home, node: Node<'_>) -> Result<Box<Instance<D>>, Errno> {
        #[inline(never)]
        fn attach<D: Device>(attach: &Attach<'_>) -> Result<D, Errno> {
            D::attach(attach)
        }
        let mappings = Mapped::new();
        let device = Made(attach(&Attach { node, mappings: &mappings }));
        let instance = Box::new(Instance { attached: Attached { home, mappings }, device });
        match instance.device.0 {
            Ok(_) => Ok(instance),
            Err(errno) => Err(errno),
        }
    }
}

// SAFETY: the node lives as long as the instance and is only passed to the kernel; everything else is `Send`.
unsafe impl<D: Device> Send for Instance<D> {}
// SAFETY: as above, and `D` is `Sync`.
unsafe impl<D: Device> Sync for Instance<D> {}
