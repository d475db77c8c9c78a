//! [`Registers`]: a register set of the device, mapped for the driver, mappable for processes.
//!
//! Reads and writes go through the DDI's access functions and so have the byte order and width that the device wants;
//! they may be made in any context, with any lock held, and do not wait. The set stays mapped while the value, a
//! clone of it, or a process's mapping of it lives.

use alloc::sync::Arc;
use core::ffi::c_char;
use core::ptr;

use ddi_sys as sys;

use crate::errno::{Errno, Error};
use crate::node::{Node, Tether};

/// What the processor may do with accesses to a mapping: `ddi_device_acc_attr(9S)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Everything in the order written, nothing cached. For registers.
    #[default]
    Strict,
    /// Accesses may change places.
    Unordered,
    /// Writes may be merged, too. For frame buffers.
    Merging,
    /// Reads may come from a cache, too.
    LoadCaching,
    /// Everything may be cached. For ordinary memory.
    StoreCaching,
}

impl Order {
    pub(crate) fn attributes(self) -> sys::ddi_device_acc_attr_t {
        let dataorder = match self {
            Order::Strict => sys::DDI_STRICTORDER_ACC,
            Order::Unordered => sys::DDI_UNORDERED_OK_ACC,
            Order::Merging => sys::DDI_MERGING_OK_ACC,
            Order::LoadCaching => sys::DDI_LOADCACHING_OK_ACC,
            Order::StoreCaching => sys::DDI_STORECACHING_OK_ACC,
        };
        sys::ddi_device_acc_attr_t {
            devacc_attr_version: sys::DDI_DEVICE_ATTR_V0,
            devacc_attr_endian_flags: sys::DDI_NEVERSWAP_ACC,
            devacc_attr_dataorder: dataorder,
            devacc_attr_access: sys::DDI_DEFAULT_ACC,
        }
    }
}

struct Inner {
    handle: sys::ddi_acc_handle_t,
    base: *mut c_char,
    set: u32,
    order: Order,
    /// ddi_regs_map_free(9F) needs the node.
    _tether: Tether,
}

// SAFETY: the mapping belongs to the kernel, not to a thread, and is undone once.
unsafe impl Send for Inner {}
// SAFETY: accesses are single loads and stores of device memory, which has no Rust references.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: from ddi_regs_map_setup; no clone and no process's mapping is left.
        unsafe { sys::ddi_regs_map_free(&raw mut self.handle) };
    }
}

/// A mapped register set: `ddi_regs_map_setup(9F)`. Clones share it; the last one unmaps it. Until then the node cannot be
/// detached.
///
/// ```no_run
/// # use devmap::prelude::*;
/// # fn f(attach: &Attach<'_>) -> Result<(), devmap::Error> {
/// let regs = Registers::map(attach.node(), 0, Order::Strict)?;
/// let status: u32 = regs.read(0x10)?; // four bytes at byte 16
/// regs.write(0x14, status | 1)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Registers {
    mapped: Arc<Inner>,
    start: u64,
    len: u64,
}

const RANGE: Error = Error::new(Errno::EINVAL, "ddi_get32(9F)", "outside the register set, or not aligned");

impl Registers {
    /// Maps the whole register set `set` of the node. User or kernel context.
    ///
    /// `ENXIO` when the node has no such set, `EIO` when it cannot be mapped.
    pub fn map(node: &Node<'_>, set: u32, order: Order) -> Result<Registers, Error> {
        let len = node.register_set_len(set)?;
        let mut base: *mut c_char = ptr::null_mut();
        let mut handle: sys::ddi_acc_handle_t = ptr::null_mut();
        let mut attributes = order.attributes();
        // SAFETY: a live node; length 0 is the whole set; the answers go to locals.
        let result = unsafe {
            sys::ddi_regs_map_setup(
                node.as_ptr(),
                set,
                &raw mut base,
                0,
                0,
                &raw mut attributes,
                &raw mut handle,
            )
        };
        if result != sys::DDI_SUCCESS {
            return Err(Error::new(
                Errno::EIO,
                "ddi_regs_map_setup(9F)",
                "the register set cannot be mapped",
            ));
        }
        Ok(Registers {
            mapped: Arc::new(Inner { handle, base, set, order, _tether: node.tether() }),
            start: 0,
            len,
        })
    }

    /// `len` bytes from byte `offset` on, as if they were a set of their own. `EINVAL` when the set has not as many.
    pub fn part(&self, offset: u64, len: u64) -> Result<Registers, Error> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(RANGE);
        }
        Ok(Registers { mapped: Arc::clone(&self.mapped), start: self.start + offset, len })
    }

    /// Where in its set it begins, in bytes.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Has it no bytes at all?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of the set.
    pub fn set(&self) -> u32 {
        self.mapped.set
    }

    /// How the set may be accessed.
    pub fn order(&self) -> Order {
        self.mapped.order
    }

    /// The address of `count` values of `T` at `offset`, if they all lie within the set.
    fn at<T>(&self, offset: u64, count: usize) -> Result<*mut T, Error> {
        let bytes = size_of::<T>().checked_mul(count).ok_or(RANGE)?;
        let end = offset.checked_add(bytes as u64).ok_or(RANGE)?;
        if end > self.len {
            return Err(RANGE);
        }
        let start = usize::try_from(self.start + offset).map_err(|_| RANGE)?;
        if start % align_of::<T>() != 0 {
            return Err(RANGE);
        }
        Ok(self.mapped.base.wrapping_add(start).cast())
    }

    /// Reads one register at byte `offset`: `ddi_get32(9F)` and its like. `EINVAL` outside the set.
    pub fn read<T: Word>(&self, offset: u64) -> Result<T, Error> {
        let address = self.at::<T>(offset, 1)?;
        // SAFETY: within the mapped set.
        Ok(unsafe { T::get(self.mapped.handle, address) })
    }

    /// Writes one register at byte `offset`: `ddi_put32(9F)` and its like. `EINVAL` outside the set.
    pub fn write<T: Word>(&self, offset: u64, value: T) -> Result<(), Error> {
        let address = self.at::<T>(offset, 1)?;
        // SAFETY: within the mapped set.
        unsafe { T::put(self.mapped.handle, address, value) };
        Ok(())
    }

    /// Reads consecutive registers from byte `offset` on: `ddi_rep_get32(9F)` and its like.
    pub fn read_into<T: Word>(&self, offset: u64, to: &mut [T]) -> Result<(), Error> {
        let address = self.at::<T>(offset, to.len())?;
        // SAFETY: both ranges have the slice's length and are ours.
        unsafe { T::rep_get(self.mapped.handle, to.as_mut_ptr(), address, to.len()) };
        Ok(())
    }

    /// Writes consecutive registers from byte `offset` on: `ddi_rep_put32(9F)` and its like.
    pub fn write_from<T: Word>(&self, offset: u64, from: &[T]) -> Result<(), Error> {
        let address = self.at::<T>(offset, from.len())?;
        // SAFETY: both ranges have the slice's length and are ours; the source is only read.
        unsafe { T::rep_put(self.mapped.handle, from.as_ptr().cast_mut(), address, from.len()) };
        Ok(())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// What a register can hold: `u8`, `u16`, `u32`, `u64`.
pub trait Word: sealed::Sealed + Copy + Default {
    #[doc(hidden)]
    /// # Safety
    /// The address lies in the handle's mapping, aligned.
    unsafe fn get(handle: sys::ddi_acc_handle_t, from: *mut Self) -> Self;
    #[doc(hidden)]
    /// # Safety
    /// The address lies in the handle's mapping, aligned.
    unsafe fn put(handle: sys::ddi_acc_handle_t, to: *mut Self, value: Self);
    #[doc(hidden)]
    /// # Safety
    /// `count` values from `from` on lie in the handle's mapping, and `to` has room for them.
    unsafe fn rep_get(handle: sys::ddi_acc_handle_t, to: *mut Self, from: *mut Self, count: usize);
    #[doc(hidden)]
    /// # Safety
    /// `count` values from `to` on lie in the handle's mapping, and `from` has as many.
    unsafe fn rep_put(handle: sys::ddi_acc_handle_t, from: *mut Self, to: *mut Self, count: usize);
}

macro_rules! word {
    ($type:ty, $get:ident, $put:ident, $rep_get:ident, $rep_put:ident) => {
        impl sealed::Sealed for $type {}
        impl Word for $type {
            unsafe fn get(handle: sys::ddi_acc_handle_t, from: *mut Self) -> Self {
                // SAFETY: the caller's.
                unsafe { sys::$get(handle, from) }
            }
            unsafe fn put(handle: sys::ddi_acc_handle_t, to: *mut Self, value: Self) {
                // SAFETY: the caller's.
                unsafe { sys::$put(handle, to, value) }
            }
            unsafe fn rep_get(handle: sys::ddi_acc_handle_t, to: *mut Self, from: *mut Self, count: usize) {
                // SAFETY: the caller's.
                unsafe { sys::$rep_get(handle, to, from, count, sys::DDI_DEV_AUTOINCR) }
            }
            unsafe fn rep_put(handle: sys::ddi_acc_handle_t, from: *mut Self, to: *mut Self, count: usize) {
                // SAFETY: the caller's.
                unsafe { sys::$rep_put(handle, from, to, count, sys::DDI_DEV_AUTOINCR) }
            }
        }
    };
}

word!(u8, ddi_get8, ddi_put8, ddi_rep_get8, ddi_rep_put8);
word!(u16, ddi_get16, ddi_put16, ddi_rep_get16, ddi_rep_put16);
word!(u32, ddi_get32, ddi_put32, ddi_rep_get32, ddi_rep_put32);
word!(u64, ddi_get64, ddi_put64, ddi_rep_get64, ddi_rep_put64);
