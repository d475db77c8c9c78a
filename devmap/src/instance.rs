//! An attached instance. No lock of its own.

use ddi_sys as sys;

use crate::attach::Mappings;
use crate::device::Device;

/// An attached instance.
pub(crate) struct Instance<D: Device> {
    pub device: D,
    pub dip: *mut sys::dev_info_t,
    pub mappings: Mappings,
}

// SAFETY: the node lives as long as the instance and is only passed to the kernel; everything else is `Send`.
unsafe impl<D: Device> Send for Instance<D> {}
// SAFETY: as above, and `D` is `Sync`.
unsafe impl<D: Device> Sync for Instance<D> {}
