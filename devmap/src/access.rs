//! Access attributes of registers and DMA memory: [`Attributes`], with their [`Order`] and [`ByteOrder`]. Values: any context, no locks.

use ddi_sys as sys;

use crate::fm::{Capabilities, FaultManagement};

/// Ordering that the processor must keep for accesses to a mapping: `ddi_device_acc_attr(9S)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Program order, no caching. For registers.
    #[default]
    Strict,
    /// Accesses may be reordered.
    Unordered,
    /// Writes may be merged, too. For frame buffers.
    Merging,
    /// Reads may come from a cache, too.
    LoadCaching,
    /// Everything may be cached. For ordinary memory.
    StoreCaching,
}

/// The byte order of a device's registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteOrder {
    /// As the processor has it: nothing is swapped (`DDI_NEVERSWAP_ACC`).
    #[default]
    Never,
    /// Little-endian (`DDI_STRUCTURE_LE_ACC`).
    Little,
    /// Big-endian (`DDI_STRUCTURE_BE_ACC`).
    Big,
}

/// Access attributes of registers or DMA memory: `ddi_device_acc_attr(9S)`. An [`Order`] converts into them.
#[derive(Clone, Default)]
pub struct Attributes {
    pub(crate) order: Order,
    pub(crate) byte_order: ByteOrder,
    /// Set if errors are flagged and the system supports it.
    pub(crate) fm: Option<FaultManagement>,
}

impl From<Order> for Attributes {
    fn from(order: Order) -> Attributes {
        Attributes::new(order)
    }
}

impl Attributes {
    /// Creates attributes with this order, no byte swapping, and no error flagging.
    pub fn new(order: Order) -> Attributes {
        Attributes { order, ..Attributes::default() }
    }

    /// Sets the byte order that values are converted to and from. A process's mapping is not converted.
    #[must_use]
    pub fn byte_order(mut self, byte_order: ByteOrder) -> Attributes {
        self.byte_order = byte_order;
        self
    }

    /// Makes an access fail with `EIO` if the bus detects an error (`DDI_FLAGERR_ACC`), if the system supports that
    /// ([`Capabilities::ACCESS`]).
    #[must_use]
    pub fn flag_errors(mut self, fm: &FaultManagement) -> Attributes {
        self.fm = fm.capabilities().contains(Capabilities::ACCESS).then(|| fm.clone());
        self
    }

    pub(crate) fn raw(&self) -> sys::ddi_device_acc_attr_t {
        sys::ddi_device_acc_attr_t {
            // With the newer version the system expects a driver that can do it to have all its errors flagged.
            devacc_attr_version: match self.fm {
                Some(_) => sys::DDI_DEVICE_ATTR_V1,
                None => sys::DDI_DEVICE_ATTR_V0,
            },
            devacc_attr_endian_flags: match self.byte_order {
                ByteOrder::Never => sys::DDI_NEVERSWAP_ACC,
                ByteOrder::Little => sys::DDI_STRUCTURE_LE_ACC,
                ByteOrder::Big => sys::DDI_STRUCTURE_BE_ACC,
            },
            devacc_attr_dataorder: self.order.raw(),
            devacc_attr_access: if self.fm.is_some() { sys::DDI_FLAGERR_ACC } else { sys::DDI_DEFAULT_ACC },
        }
    }
}

impl Order {
    fn raw(self) -> u8 {
        match self {
            Order::Strict => sys::DDI_STRICTORDER_ACC,
            Order::Unordered => sys::DDI_UNORDERED_OK_ACC,
            Order::Merging => sys::DDI_MERGING_OK_ACC,
            Order::LoadCaching => sys::DDI_LOADCACHING_OK_ACC,
            Order::StoreCaching => sys::DDI_STORECACHING_OK_ACC,
        }
    }

    /// For a process's mapping.
    pub(crate) fn attributes(self) -> sys::ddi_device_acc_attr_t {
        sys::ddi_device_acc_attr_t {
            devacc_attr_version: sys::DDI_DEVICE_ATTR_V0,
            devacc_attr_endian_flags: sys::DDI_NEVERSWAP_ACC,
            devacc_attr_dataorder: self.raw(),
            devacc_attr_access: sys::DDI_DEFAULT_ACC,
        }
    }
}
