//! [`Node`]: the device node that a driver's instance is for (`dev_info_t`): properties, register sets, instance
//! number.
//!
//! User or kernel context, with any mutex held unless a call says otherwise.

use alloc::string::String;
use alloc::sync::Arc;
use core::ffi::{CStr, c_char, c_int};
use core::ptr;

use ddi_sys as sys;

use crate::errno::{Errno, Error};
use crate::text::Text;

/// A device node, in attach and for as long as the instance lives.
///
/// ```no_run
/// # use devmap::prelude::*;
/// # fn f(node: &Node<'_>) -> Result<(), devmap::Error> {
/// let pages = node.unsigned_property("pages", 16)?; // pages=32; in the .conf file
/// if node.register_sets() > 0 {
///     let bytes = node.register_set_len(0)?;
///     devmap::note!("{}{}: {pages} pages, {bytes} bytes of registers", node.name(), node.instance());
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy)]
pub struct Node<'a> {
    dip: *mut sys::dev_info_t,
    tether: &'a Tether,
}

/// Keeps a node attached while there is something that has to be freed before it is detached: whatever that is has a clone.
#[derive(Clone)]
pub(crate) struct Tether(Arc<()>);

impl Tether {
    pub(crate) fn new() -> Tether {
        Tether(Arc::new(()))
    }

    /// For [`from_ptr`](Tether::from_ptr), if this value is forgotten.
    pub(crate) fn as_ptr(&self) -> *const () {
        Arc::as_ptr(&self.0)
    }

    /// # Safety
    /// From [`as_ptr`](Tether::as_ptr) of a value that was forgotten, which this one replaces.
    pub(crate) unsafe fn from_ptr(tether: *const ()) -> Tether {
        // SAFETY: the caller's.
        Tether(unsafe { Arc::from_raw(tether) })
    }

    /// Are there others?
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// A name for the kernel; longer ones than any property has are names of nothing.
fn c_name(name: &str) -> Option<Text<256>> {
    Text::name(name)
}

impl<'a> Node<'a> {
    /// # Safety
    /// The node stays attached to this driver for `'a`.
    pub(crate) unsafe fn from_raw(dip: *mut sys::dev_info_t, tether: &'a Tether) -> Node<'a> {
        Node { dip, tether }
    }

    /// For what has to be freed before the node is detached.
    pub(crate) fn tether(&self) -> Tether {
        self.tether.clone()
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::dev_info_t {
        self.dip
    }

    /// The instance number, by which minor nodes are numbered too: `ddi_get_instance(9F)`.
    pub fn instance(&self) -> i32 {
        // SAFETY: a live node.
        unsafe { sys::ddi_get_instance(self.dip) }
    }

    /// The name of the driver that is bound to the node: `ddi_driver_name(9F)`.
    pub fn driver_name(&self) -> &'a CStr {
        // SAFETY: a live node.
        let name = unsafe { sys::ddi_driver_name(self.dip) };
        // SAFETY: the kernel's string, which lives as long as the node.
        unsafe { CStr::from_ptr(name) }
    }

    /// [`driver_name`](Node::driver_name) as text; a name is ASCII, so there always is one.
    pub fn name(&self) -> &'a str {
        self.driver_name().to_str().unwrap_or("")
    }

    /// An integer property of the node or of its `.conf` file, or `default`: `ddi_prop_get_int(9F)`.
    ///
    /// Parents are not asked (`DDI_PROP_DONTPASS`).
    pub fn property(&self, name: &str, default: i32) -> i32 {
        let Some(name) = c_name(name) else { return default };
        // SAFETY: a live node and a string that ends in NUL, which the call does not keep or change.
        unsafe {
            sys::ddi_prop_get_int(
                sys::DDI_DEV_T_ANY,
                self.dip,
                sys::DDI_PROP_DONTPASS,
                name.as_ptr().cast_mut(),
                default,
            )
        }
    }

    /// As [`property`](Node::property), for numbers that cannot be negative. `EINVAL` if one is.
    pub fn unsigned_property(&self, name: &str, default: u32) -> Result<u64, Error> {
        const NEGATIVE: Error = Error::new(Errno::EINVAL, "ddi_prop_get_int(9F)", "the property is negative");
        let default = i32::try_from(default).map_err(|_| NEGATIVE)?;
        u64::try_from(self.property(name, default)).map_err(|_| NEGATIVE)
    }

    /// Does the node have this property: `ddi_prop_exists(9F)`.
    pub fn has_property(&self, name: &str) -> bool {
        let Some(name) = c_name(name) else { return false };
        // SAFETY: as in `property`.
        let there = unsafe {
            sys::ddi_prop_exists(
                sys::DDI_DEV_T_ANY,
                self.dip,
                sys::DDI_PROP_DONTPASS,
                name.as_ptr().cast_mut(),
            )
        };
        there != 0
    }

    /// A string property, if the node has it: `ddi_prop_lookup_string(9F)`. Bytes that are not UTF-8 are replaced.
    pub fn string_property(&self, name: &str) -> Option<String> {
        let name = c_name(name)?;
        let mut text: *mut c_char = ptr::null_mut();
        // SAFETY: as in `property`; on success `text` points to memory that ddi_prop_free takes back.
        let result = unsafe {
            sys::ddi_prop_lookup_string(
                sys::DDI_DEV_T_ANY,
                self.dip,
                sys::DDI_PROP_DONTPASS,
                name.as_ptr().cast_mut(),
                &raw mut text,
            )
        };
        if result != sys::DDI_PROP_SUCCESS || text.is_null() {
            return None;
        }
        // SAFETY: the kernel's copy of the property, which ends in NUL.
        let copy = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        // SAFETY: from ddi_prop_lookup_string, freed once.
        unsafe { sys::ddi_prop_free(text.cast()) };
        Some(copy)
    }

    /// Looks at the numbers of an integer property, if the node has it: `ddi_prop_lookup_int_array(9F)`.
    fn with_ints<R>(&self, name: &CStr, look: impl FnOnce(&[i32]) -> R) -> Option<R> {
        let (mut ints, mut count): (*mut c_int, _) = (ptr::null_mut(), 0);
        // SAFETY: as in `property`; on success `ints` points to memory that ddi_prop_free takes back.
        let result = unsafe {
            sys::ddi_prop_lookup_int_array(
                sys::DDI_DEV_T_ANY,
                self.dip,
                sys::DDI_PROP_DONTPASS,
                name.as_ptr().cast_mut(),
                &raw mut ints,
                &raw mut count,
            )
        };
        if result != sys::DDI_PROP_SUCCESS || ints.is_null() {
            return None;
        }
        // SAFETY: the kernel's copy of the property: so many numbers, which stay until they are freed below.
        let answer = look(unsafe { core::slice::from_raw_parts(ints, count as usize) });
        // SAFETY: from ddi_prop_lookup_int_array, freed once.
        unsafe { sys::ddi_prop_free(ints.cast()) };
        Some(answer)
    }

    /// Is it a device on a PCI bus? Its register set 0 is configuration space then.
    pub fn is_pci(&self) -> bool {
        self.has_property("vendor-id") && self.has_property("class-code")
    }

    /// The number of the register set that a PCI device's base address register `number` (0 to 5) stands for. None: it is no PCI device, or that
    /// register is not used.
    ///
    /// Base address registers are numbered by their place in configuration space, register sets by what there is: an ivshmem has
    /// base address registers 0 and 2, which are sets 1 and 2.
    pub fn bar(&self, number: u8) -> Option<u32> {
        const ENTRY: usize = 5;
        if !self.is_pci() {
            return None;
        }
        let place = 0x10 + 4 * i32::from(number);
        let is_it = |entry: &[i32]| entry.first().is_some_and(|high| high & 0xff == place);
        let set = self.with_ints(c"reg", |reg| reg.chunks_exact(ENTRY).position(is_it))??;
        u32::try_from(set).ok()
    }

    /// How many register sets the node has: `ddi_dev_nregs(9F)`. None for a pseudo device.
    ///
    /// A node without a property `reg` cannot have any, and is not asked for: buses without registers, such as pseudo(4D), complain
    /// on the console.
    pub fn register_sets(&self) -> u32 {
        if !self.has_property("reg") {
            return 0;
        }
        let mut count: c_int = 0;
        // SAFETY: a live node; the answer goes to a local.
        let result = unsafe { sys::ddi_dev_nregs(self.dip, &raw mut count) };
        if result == sys::DDI_SUCCESS { u32::try_from(count).unwrap_or(0) } else { 0 }
    }

    /// The length of register set `set` in bytes: `ddi_dev_regsize(9F)`. `ENXIO` when there is no such set.
    pub fn register_set_len(&self, set: u32) -> Result<u64, Error> {
        const NONE: Error =
            Error::new(Errno::ENXIO, "ddi_dev_regsize(9F)", "the node has no such register set");
        if set >= self.register_sets() {
            return Err(NONE);
        }
        let mut len: sys::off_t = 0;
        // SAFETY: a live node; the answer goes to a local.
        let result = unsafe { sys::ddi_dev_regsize(self.dip, set, &raw mut len) };
        if result != sys::DDI_SUCCESS {
            return Err(NONE);
        }
        u64::try_from(len).map_err(|_| NONE)
    }
}
