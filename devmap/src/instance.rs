//! An attached instance. No lock of its own.

use alloc::sync::Arc;

use crate::device::Device;
use crate::handle::Home;
use crate::mapped::Mapped;

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
    pub device: D,
}

// SAFETY: the node lives as long as the instance and is only passed to the kernel; everything else is `Send`.
unsafe impl<D: Device> Send for Instance<D> {}
// SAFETY: as above, and `D` is `Sync`.
unsafe impl<D: Device> Sync for Instance<D> {}
