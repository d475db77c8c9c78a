//! [`DeviceId`]: an id of a device that does not depend on where it is attached.
//!
//! Made in attach: kernel context, no locks.

use core::ffi::CStr;
use core::ptr;

use ddi_sys as sys;

use crate::errno::{Errno, Error, error};
use crate::node::Node;
use crate::tether::Tether;

/// Kinds of device ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A number that is unique in the world.
    WorldWide(&'a [u8]),
    /// Vendor, product and serial number.
    Serial(&'a [u8]),
    /// Model and serial number, as ATA disks have them.
    AtaSerial(&'a [u8]),
    /// The id of another device, which this one stands for.
    Encapsulated(&'a [u8]),
    /// None: the system makes an id, which the driver must store on the device.
    Fabricated,
}

/// A device id that is registered for the node, until it is dropped: `ddi_devid_init(9F)`, `ddi_devid_register(9F)`.
///
/// ```no_run
/// use devmap::devid::{DeviceId, Kind};
/// # use devmap::prelude::*;
/// # fn f(attach: &Attach<'_>, serial: &[u8]) -> Result<(), devmap::Error> {
/// let id = DeviceId::register(attach.node(), Kind::Serial(serial))?; // keep it in the device
/// # Ok(()) }
/// ```
pub struct DeviceId {
    id: sys::ddi_devid_t,
    tether: Tether,
}

// SAFETY: the id is the kernel's memory, freed once.
unsafe impl Send for DeviceId {}
// SAFETY: it is not changed.
unsafe impl Sync for DeviceId {}

impl DeviceId {
    /// Makes an id and registers it: layered drivers and the property `devid` then show it. Fails with `EINVAL` for an empty id or one that is too long, with `EIO` if the
    /// system refuses.
    pub fn register(node: &Node<'_>, kind: Kind<'_>) -> Result<DeviceId, Error> {
        let (kind, bytes): (_, &[u8]) = match kind {
            Kind::WorldWide(bytes) => (sys::DEVID_SCSI3_WWN, bytes),
            Kind::Serial(bytes) => (sys::DEVID_SCSI_SERIAL, bytes),
            Kind::AtaSerial(bytes) => (sys::DEVID_ATA_SERIAL, bytes),
            Kind::Encapsulated(bytes) => (sys::DEVID_ENCAP, bytes),
            Kind::Fabricated => (sys::DEVID_FAB, &[]),
        };
        let len = u16::try_from(bytes.len());
        let len = len.map_err(|_| error!(Errno::EINVAL, "ddi_devid_init(9F)", "the id is too long"))?;
        let start = if bytes.is_empty() { ptr::null_mut() } else { bytes.as_ptr().cast_mut().cast() };
        let mut id: sys::ddi_devid_t = ptr::null_mut();
        // SAFETY: a live node; so many bytes, which are copied; the answer goes to a local.
        let made = unsafe { sys::ddi_devid_init(node.as_ptr(), kind as u16, len, start, &raw mut id) };
        if made != sys::DDI_SUCCESS {
            return Err(error!(Errno::EINVAL, "ddi_devid_init(9F)", "no such id"));
        }
        // SAFETY: a live node, and an id that was just made.
        let registered = unsafe { sys::ddi_devid_register(node.as_ptr(), id) };
        if registered != sys::DDI_SUCCESS {
            // SAFETY: made above, and registered nowhere.
            unsafe { sys::ddi_devid_free(id) };
            return Err(error!(Errno::EIO, "ddi_devid_register(9F)", "the system refused"));
        }
        Ok(DeviceId { id, tether: node.tether() })
    }

    /// Calls `look` with the id as text: `ddi_devid_str_encode(9F)`. User or kernel context: allocates.
    pub fn with_text<R>(&self, look: impl FnOnce(&CStr) -> R) -> Option<R> {
        // SAFETY: an id that is not freed; without the name of a minor node.
        let text = unsafe { sys::ddi_devid_str_encode(self.id, ptr::null_mut()) };
        if text.is_null() {
            return None;
        }
        // SAFETY: a string of the kernel's, which ends in NUL and is freed below.
        let answer = look(unsafe { CStr::from_ptr(text) });
        // SAFETY: from ddi_devid_str_encode, freed once.
        unsafe { sys::ddi_devid_str_free(text) };
        Some(answer)
    }
}

impl Drop for DeviceId {
    fn drop(&mut self) {
        // SAFETY: the node is attached, and its id is this one.
        unsafe { sys::ddi_devid_unregister(self.tether.dip()) };
        // SAFETY: from ddi_devid_init, freed once.
        unsafe { sys::ddi_devid_free(self.id) };
    }
}
