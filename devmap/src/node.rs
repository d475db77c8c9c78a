//! [`Node`]: the device node that a driver's instance is for (`dev_info_t`): properties, register sets, instance
//! number.
//!
//! User or kernel context, with any mutex held, unless a call's documentation says otherwise.

use alloc::string::String;
use core::ffi::{CStr, c_int};

use ddi_sys as sys;

use crate::errno::{Errno, Error, error};
use crate::tether::Tether;

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
    tether: &'a Tether,
}

impl<'a> Node<'a> {
    pub(crate) fn new(tether: &'a Tether) -> Node<'a> {
        Node { tether }
    }

    /// For what has to be freed before the node is detached.
    pub(crate) fn tether(&self) -> Tether {
        self.tether.clone()
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::dev_info_t {
        self.tether.dip()
    }

    /// Returns the kernel's node, for functions that this crate does not have: good while the node is attached. See [`raw`](crate::raw).
    pub fn as_raw(&self) -> *mut sys::dev_info_t {
        self.as_ptr()
    }

    /// Returns the instance number, by which minor nodes are numbered too: `ddi_get_instance(9F)`.
    pub fn instance(&self) -> i32 {
        // SAFETY: a live node.
        unsafe { sys::ddi_get_instance(self.as_ptr()) }
    }

    /// Returns the name of the driver that is bound to the node: `ddi_driver_name(9F)`.
    pub fn driver_name(&self) -> &'a CStr {
        // SAFETY: a live node.
        let name = unsafe { sys::ddi_driver_name(self.as_ptr()) };
        // SAFETY: the kernel's string, which lives as long as the node.
        unsafe { CStr::from_ptr(name) }
    }

    /// Returns the node's own name, by its bus: `ddi_node_name(9F)`. Drivers that are bound by an alias find which one by this or
    /// [`binding_name`](Node::binding_name).
    pub fn node_name(&self) -> &'a CStr {
        // SAFETY: a live node.
        let name = unsafe { sys::ddi_node_name(self.as_ptr()) };
        // SAFETY: the kernel's string, which lives as long as the node.
        unsafe { CStr::from_ptr(name) }
    }

    /// Returns the name by which the driver is bound to the node: `ddi_binding_name(9F)`.
    pub fn binding_name(&self) -> &'a CStr {
        // SAFETY: a live node.
        let name = unsafe { sys::ddi_binding_name(self.as_ptr()) };
        // SAFETY: the kernel's string, which lives as long as the node.
        unsafe { CStr::from_ptr(name) }
    }

    /// Returns [`driver_name`](Node::driver_name) as text; names are ASCII.
    pub fn name(&self) -> &'a str {
        self.driver_name().to_str().unwrap_or("")
    }

    /// Returns an integer property of the node or of its `.conf` file, or `default`: `ddi_prop_get_int(9F)`.
    ///
    /// Parents are not asked (`DDI_PROP_DONTPASS`).
    pub fn property(&self, name: &str, default: i32) -> i32 {
        self.properties().int(name, default)
    }

    /// Like [`property`](Node::property), for numbers that cannot be negative. Fails with `EINVAL` if one is.
    pub fn unsigned_property(&self, name: &str, default: u32) -> Result<u64, Error> {
        const NEGATIVE: Error = error!(Errno::EINVAL, "ddi_prop_get_int(9F)", "the property is negative");
        let default = i32::try_from(default).map_err(|_| NEGATIVE)?;
        u64::try_from(self.property(name, default)).map_err(|_| NEGATIVE)
    }

    /// Returns whether the node has this property: `ddi_prop_exists(9F)`.
    pub fn has_property(&self, name: &str) -> bool {
        self.properties().has(name)
    }

    /// Returns a string property, if the node has it: `ddi_prop_lookup_string(9F)`. Bytes that are not UTF-8 are replaced.
    pub fn string_property(&self, name: &str) -> Option<String> {
        Some(self.properties().text(name).ok()?.to_string_lossy().into_owned())
    }

    /// Returns whether the node is a device on a PCI bus, whose register set 0 is configuration space.
    pub fn is_pci(&self) -> bool {
        let properties = self.properties();
        properties.has_named(c"vendor-id") && properties.has_named(c"class-code")
    }

    /// Returns the number of register sets of the node: `ddi_dev_nregs(9F)`. A pseudo device has none.
    ///
    /// A node without a property `reg` cannot have any, and is not asked for: buses without registers, such as pseudo(4D), complain
    /// on the console.
    pub fn register_sets(&self) -> u32 {
        if !self.properties().has_named(c"reg") {
            return 0;
        }
        let mut count: c_int = 0;
        // SAFETY: a live node; the answer goes to a local.
        let result = unsafe { sys::ddi_dev_nregs(self.as_ptr(), &raw mut count) };
        if result == sys::DDI_SUCCESS { u32::try_from(count).unwrap_or(0) } else { 0 }
    }

    /// Returns the length of register set `set` in bytes: `ddi_dev_regsize(9F)`. Fails with `ENXIO` if there is no such set.
    pub fn register_set_len(&self, set: u32) -> Result<u64, Error> {
        const NONE: Error = error!(Errno::ENXIO, "ddi_dev_regsize(9F)", "the node has no such register set");
        if set >= self.register_sets() {
            return Err(NONE);
        }
        let mut len: sys::off_t = 0;
        // SAFETY: a live node; the answer goes to a local.
        let result = unsafe { sys::ddi_dev_regsize(self.as_ptr(), set, &raw mut len) };
        if result != sys::DDI_SUCCESS {
            return Err(NONE);
        }
        u64::try_from(len).map_err(|_| NONE)
    }
}
