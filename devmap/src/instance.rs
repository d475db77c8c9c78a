//! An attached instance. No lock of its own.

use crate::attach::Mappings;
use crate::device::Device;
use crate::handle::Home;

/// An attached instance. Begins with what its mappings know of it.
#[repr(C)]
pub(crate) struct Instance<D: Device> {
    pub home: Home,
    pub device: D,
    pub mappings: Mappings,
}

// SAFETY: the node lives as long as the instance and is only passed to the kernel; everything else is `Send`.
unsafe impl<D: Device> Send for Instance<D> {}
// SAFETY: as above, and `D` is `Sync`.
unsafe impl<D: Device> Sync for Instance<D> {}
