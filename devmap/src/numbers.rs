//! Minor numbers: which device number is what.
//!
//! | minor number | what |
//! | --- | --- |
//! | instance × [`MINORS`](crate::Device::MINORS) + index | a node in /devices |
//! | 2^17 + n | one open, where opens have private data |
//!
//! All are below 2^18, beyond which a program of 32 bits cannot stat(2) them. No locks, any context.

use ddi_sys as sys;

use crate::device::Device;

/// The first minor number of opens that have one of their own.
pub(crate) const OPENS: u32 = 1 << 17;
/// The first that is beyond them.
pub(crate) const END: u32 = 1 << 18;

/// Returns whether opens of the device have private data, and so a number each.
pub(crate) const fn have_data<D: Device>() -> bool {
    size_of::<D::Open>() != 0 || core::mem::needs_drop::<D::Open>()
}

/// Meaning of a minor number.
pub(crate) enum Minor {
    /// A node of an instance.
    Node { instance: i32, index: u32 },
    /// The open of this number.
    Open(i32),
}

impl Minor {
    /// Returns the meaning of a device number of the driver.
    pub(crate) fn of<D: Device>(dev: sys::dev_t) -> Minor {
        // SAFETY: a calculation.
        let minor = unsafe { sys::getminor(dev) };
        // If opens have no number of their own, there is no instance of such a number. Less than 2^31 after the division or subtraction, or negative: no number of anything.
        let number = u32::cast_signed;
        if have_data::<D>() && minor >= OPENS {
            return Minor::Open(number(minor - OPENS));
        }
        match D::MINORS {
            0 | 1 => Minor::Node { instance: number(minor), index: 0 },
            nodes => Minor::Node { instance: number(minor / nodes), index: minor % nodes },
        }
    }

    /// The minor number of a node of an instance, if there is one.
    pub(crate) fn number<D: Device>(instance: i32, index: u32) -> Option<u32> {
        let first = u32::try_from(instance).ok()?.checked_mul(D::MINORS.max(1))?;
        first.checked_add(index).filter(|&minor| minor < OPENS)
    }
}
