//! [`Registers`]: a register set of the device, mapped for the driver, mappable for processes.
//!
//! Reads and writes go through the DDI's access functions and so have the byte order and width that the device wants;
//! they may be made in any context, with any lock held, and do not wait. The set stays mapped while the value, a
//! clone of it, or a process's mapping of it lives.

use alloc::sync::Arc;
use core::ffi::{c_char, c_int};
use core::ptr;

use ddi_sys as sys;

use crate::access::{Attributes, ByteOrder, Order};
use crate::errno::{Errno, Error, error};
use crate::fm;
use crate::node::Node;
use crate::tether::Tether;
use crate::used::{self, Of};

struct Inner {
    handle: sys::ddi_acc_handle_t,
    base: *mut c_char,
    set: u32,
    attributes: Attributes,
    /// ddi_regs_map_free(9F) needs the node.
    tether: Tether,
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
pub struct Registers(Of<used::Registers, Arc<Part>>);

/// A part of a mapped register set.
struct Part {
    mapped: Arc<Inner>,
    start: u64,
    len: u64,
}

const RANGE: Error = error!(Errno::EINVAL, "ddi_get32(9F)", "outside the register set, or not aligned");
const FLAGGED: Error = error!(Errno::EIO, "ddi_fm_acc_err_get(9F)", "the bus saw an error of the access");
const NO_ANSWER: Error = error!(Errno::EIO, "ddi_peek32(9F)", "the device does not answer");

impl Registers {
    /// Returns whether both are the same part of the same register set.
    pub(crate) fn is(&self, other: &Registers) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || Arc::ptr_eq(&self.0.mapped, &other.0.mapped)
                && (self.0.start, self.0.len) == (other.0.start, other.0.len)
    }

    /// For [`from_raw`](Registers::from_raw): a pointer that is a multiple of 8.
    pub(crate) fn into_raw(self) -> *const () {
        Arc::into_raw(self.0.into_inner()).cast()
    }

    /// # Safety
    /// From [`into_raw`](Registers::into_raw), whose reference this takes.
    pub(crate) unsafe fn from_raw(raw: *const ()) -> Registers {
        // SAFETY: the caller's.
        Registers(Of::again(unsafe { Arc::from_raw(raw.cast::<Part>()) }))
    }

    /// Maps the whole register set `set` of the node, in an [`Order`] or with other [attributes](Attributes). User or kernel context.
    ///
    /// Fails with `ENXIO` if the node has no such set, with `EIO` if it cannot be mapped.
    pub fn map(node: &Node<'_>, set: u32, attributes: impl Into<Attributes>) -> Result<Registers, Error> {
        let attributes = attributes.into();
        let len = node.register_set_len(set)?;
        let mut base: *mut c_char = ptr::null_mut();
        let mut handle: sys::ddi_acc_handle_t = ptr::null_mut();
        let mut raw = attributes.raw();
        // SAFETY: a live node; length 0 is the whole set; the answers go to locals.
        let result = unsafe {
            sys::ddi_regs_map_setup(node.as_ptr(), set, &raw mut base, 0, 0, &raw mut raw, &raw mut handle)
        };
        if result != sys::DDI_SUCCESS {
            return Err(error!(Errno::EIO, "ddi_regs_map_setup(9F)", "the register set cannot be mapped",));
        }
        let mapped = Arc::new(Inner { handle, base, set, attributes, tether: node.tether() });
        Ok(Registers(Of::new(Arc::new(Part { mapped, start: 0, len }))))
    }

    /// Returns `len` bytes from byte `offset` on, as a set of their own. User or kernel context: allocates. Fails with `EINVAL` if the set is too short.
    pub fn part(&self, offset: u64, len: u64) -> Result<Registers, Error> {
        if offset.checked_add(len).is_none_or(|end| end > self.0.len) {
            return Err(RANGE);
        }
        let mapped = Arc::clone(&self.0.mapped);
        Ok(Registers(Of::new(Arc::new(Part { mapped, start: self.0.start + offset, len }))))
    }

    /// Offset in its register set, in bytes.
    pub(crate) fn start(&self) -> u64 {
        self.0.start
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> u64 {
        self.0.len
    }

    /// Returns whether its length is 0.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Returns the access handle of the whole set and the address of its first byte, for functions that this crate does not have: good while a clone of this value lives. See
    /// [`raw`](crate::raw).
    pub fn as_raw(&self) -> (sys::ddi_acc_handle_t, *mut c_char) {
        (self.0.mapped.handle, self.0.mapped.base)
    }

    /// Returns the number of the set.
    pub fn set(&self) -> u32 {
        self.0.mapped.set
    }

    /// Returns the access attributes of the set.
    pub fn order(&self) -> Order {
        self.0.mapped.attributes.order
    }

    /// The address of `count` values of `T` at `offset`, if they all lie within the set.
    #[inline]
    fn at<T>(&self, offset: u64, count: usize) -> Result<*mut T, Error> {
        let bytes = size_of::<T>().checked_mul(count).ok_or(RANGE)?;
        let end = offset.checked_add(bytes as u64).ok_or(RANGE)?;
        if end > self.0.len {
            return Err(RANGE);
        }
        let start = usize::try_from(self.0.start + offset).map_err(|_| RANGE)?;
        if start % align_of::<T>() != 0 {
            return Err(RANGE);
        }
        Ok(self.0.mapped.base.wrapping_add(start).cast())
    }

    /// Whether the accesses just made went well, as far as the bus tells.
    #[inline]
    fn check(&self) -> Result<(), Error> {
        if self.0.mapped.attributes.fm.is_none() { Ok(()) } else { self.check_flagged() }
    }

    #[cold]
    fn check_flagged(&self) -> Result<(), Error> {
        let handle = self.0.mapped.handle;
        // SAFETY: a mapped handle that flags errors; the answer goes where `status` says.
        let status = fm::status(|error| unsafe {
            sys::ddi_fm_acc_err_get(handle, error, sys::DDI_FME_VERSION);
        });
        if status == sys::DDI_FM_OK {
            return Ok(());
        }
        // SAFETY: as above.
        unsafe { sys::ddi_fm_acc_err_clear(handle, sys::DDI_FME_VERSION) };
        Err(FLAGGED)
    }

    /// Reads one register at byte `offset`: `ddi_get32(9F)` and its like.
    ///
    /// Fails with `EINVAL` outside the set, and with `EIO` if [errors are flagged](Attributes::flag_errors) and the bus detected one, as the other accesses do.
    #[inline]
    pub fn read<T: Word>(&self, offset: u64) -> Result<T, Error> {
        let address = self.at::<T>(offset, 1)?;
        // SAFETY: within the mapped set.
        let value = unsafe { T::get(self.0.mapped.handle, address) };
        self.check()?;
        Ok(value)
    }

    /// Writes one register at byte `offset`: `ddi_put32(9F)` and its like.
    #[inline]
    pub fn write<T: Word>(&self, offset: u64, value: T) -> Result<(), Error> {
        let address = self.at::<T>(offset, 1)?;
        // SAFETY: within the mapped set.
        unsafe { T::put(self.0.mapped.handle, address, value) };
        self.check()
    }

    /// Reads consecutive registers from byte `offset` on: `ddi_rep_get32(9F)` and its like.
    pub fn read_into<T: Word>(&self, offset: u64, to: &mut [T]) -> Result<(), Error> {
        let address = self.at::<T>(offset, to.len())?;
        // SAFETY: both ranges have the slice's length and are ours.
        unsafe {
            T::rep_get(self.0.mapped.handle, to.as_mut_ptr(), address, to.len(), sys::DDI_DEV_AUTOINCR)
        };
        self.check()
    }

    /// Writes consecutive registers from byte `offset` on: `ddi_rep_put32(9F)` and its like.
    pub fn write_from<T: Word>(&self, offset: u64, from: &[T]) -> Result<(), Error> {
        let address = self.at::<T>(offset, from.len())?;
        let source = from.as_ptr().cast_mut();
        // SAFETY: both ranges have the slice's length and are ours; the source is only read.
        unsafe { T::rep_put(self.0.mapped.handle, source, address, from.len(), sys::DDI_DEV_AUTOINCR) };
        self.check()
    }

    /// Reads one register at byte `offset` repeatedly, such as the end of a queue: `ddi_rep_get32(9F)` with `DDI_DEV_NO_AUTOINCR`.
    pub fn read_queue<T: Word>(&self, offset: u64, to: &mut [T]) -> Result<(), Error> {
        let address = self.at::<T>(offset, 1)?;
        // SAFETY: the slice is ours, and the address stays.
        unsafe {
            T::rep_get(self.0.mapped.handle, to.as_mut_ptr(), address, to.len(), sys::DDI_DEV_NO_AUTOINCR);
        };
        self.check()
    }

    /// Writes one register at byte `offset` repeatedly: `ddi_rep_put32(9F)` with `DDI_DEV_NO_AUTOINCR`.
    pub fn write_queue<T: Word>(&self, offset: u64, from: &[T]) -> Result<(), Error> {
        let address = self.at::<T>(offset, 1)?;
        let source = from.as_ptr().cast_mut();
        // SAFETY: the slice is ours and only read, and the address stays.
        unsafe { T::rep_put(self.0.mapped.handle, source, address, from.len(), sys::DDI_DEV_NO_AUTOINCR) };
        self.check()
    }

    /// Reads a register that may not respond: `ddi_peek32(9F)` and its like. Fails with `EIO` if it does not, where another read could stop the machine.
    pub fn peek<T: Word>(&self, offset: u64) -> Result<T, Error> {
        let address = self.at::<T>(offset, 1)?;
        let mut value = T::default();
        // SAFETY: a live node; within the mapped set; the answer goes to a local.
        let result = unsafe { T::peek(self.0.mapped.tether.dip(), address, &raw mut value) };
        if result == sys::DDI_SUCCESS { Ok(self.swapped(value)) } else { Err(NO_ANSWER) }
    }

    /// Writes a register that may not respond: `ddi_poke32(9F)` and its like. Fails with `EIO` if it does not.
    pub fn poke<T: Word>(&self, offset: u64, value: T) -> Result<(), Error> {
        let address = self.at::<T>(offset, 1)?;
        // SAFETY: a live node; within the mapped set.
        let result = unsafe { T::poke(self.0.mapped.tether.dip(), address, self.swapped(value)) };
        if result == sys::DDI_SUCCESS { Ok(()) } else { Err(NO_ANSWER) }
    }

    /// Peeks and pokes know nothing of byte orders.
    fn swapped<T: Word>(&self, value: T) -> T {
        let swaps = match self.0.mapped.attributes.byte_order {
            ByteOrder::Never => false,
            ByteOrder::Little => cfg!(target_endian = "big"),
            ByteOrder::Big => cfg!(target_endian = "little"),
        };
        if swaps { value.reversed() } else { value }
    }
}

mod sealed {
    pub trait Sealed {}
}

/// Widths of registers: `u8`, `u16`, `u32`, `u64`.
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
    /// `count` values from `from` on (one, without `DDI_DEV_AUTOINCR`) lie in the handle's mapping, and `to` has room for them.
    unsafe fn rep_get(
        handle: sys::ddi_acc_handle_t,
        to: *mut Self,
        from: *mut Self,
        count: usize,
        flags: u32,
    );
    #[doc(hidden)]
    /// # Safety
    /// `count` values from `to` on (one, without `DDI_DEV_AUTOINCR`) lie in the handle's mapping, and `from` has as many.
    unsafe fn rep_put(
        handle: sys::ddi_acc_handle_t,
        from: *mut Self,
        to: *mut Self,
        count: usize,
        flags: u32,
    );
    #[doc(hidden)]
    /// # Safety
    /// The address lies in a mapping of the node's registers, aligned; `to` has room for a value.
    unsafe fn peek(dip: *mut sys::dev_info_t, from: *mut Self, to: *mut Self) -> c_int;
    #[doc(hidden)]
    /// # Safety
    /// The address lies in a mapping of the node's registers, aligned.
    unsafe fn poke(dip: *mut sys::dev_info_t, to: *mut Self, value: Self) -> c_int;
    #[doc(hidden)]
    /// # Safety
    /// A handle of configuration space.
    unsafe fn config_get(handle: sys::ddi_acc_handle_t, offset: i64) -> Self;
    #[doc(hidden)]
    /// # Safety
    /// A handle of configuration space.
    unsafe fn config_put(handle: sys::ddi_acc_handle_t, offset: i64, value: Self);
    #[doc(hidden)]
    fn reversed(self) -> Self;
}

macro_rules! word {
    ($type:ty, $signed:ty: $get:ident $put:ident $rep_get:ident $rep_put:ident $peek:ident $poke:ident
        $config_get:ident $config_put:ident) => {
        impl sealed::Sealed for $type {}
        impl Word for $type {
            #[inline]
            unsafe fn get(handle: sys::ddi_acc_handle_t, from: *mut Self) -> Self {
                // SAFETY: the caller's.
                unsafe { sys::$get(handle, from) }
            }
            #[inline]
            unsafe fn put(handle: sys::ddi_acc_handle_t, to: *mut Self, value: Self) {
                // SAFETY: the caller's.
                unsafe { sys::$put(handle, to, value) }
            }
            unsafe fn rep_get(
                handle: sys::ddi_acc_handle_t,
                to: *mut Self,
                from: *mut Self,
                count: usize,
                flags: u32,
            ) {
                // SAFETY: the caller's.
                unsafe { sys::$rep_get(handle, to, from, count, flags) }
            }
            unsafe fn rep_put(
                handle: sys::ddi_acc_handle_t,
                from: *mut Self,
                to: *mut Self,
                count: usize,
                flags: u32,
            ) {
                // SAFETY: the caller's.
                unsafe { sys::$rep_put(handle, from, to, count, flags) }
            }
            unsafe fn peek(dip: *mut sys::dev_info_t, from: *mut Self, to: *mut Self) -> c_int {
                // SAFETY: the caller's; a signed number is as large.
                unsafe { sys::$peek(dip, from.cast::<$signed>(), to.cast::<$signed>()) }
            }
            unsafe fn poke(dip: *mut sys::dev_info_t, to: *mut Self, value: Self) -> c_int {
                // SAFETY: the caller's.
                unsafe { sys::$poke(dip, to.cast::<$signed>(), value as $signed) }
            }
            unsafe fn config_get(handle: sys::ddi_acc_handle_t, offset: i64) -> Self {
                // SAFETY: the caller's.
                unsafe { sys::$config_get(handle, offset) }
            }
            unsafe fn config_put(handle: sys::ddi_acc_handle_t, offset: i64, value: Self) {
                // SAFETY: the caller's.
                unsafe { sys::$config_put(handle, offset, value) }
            }
            fn reversed(self) -> Self {
                self.swap_bytes()
            }
        }
    };
}

word!(u8, i8: ddi_get8 ddi_put8 ddi_rep_get8 ddi_rep_put8 ddi_peek8 ddi_poke8
    pci_config_get8 pci_config_put8);
word!(u16, i16: ddi_get16 ddi_put16 ddi_rep_get16 ddi_rep_put16 ddi_peek16 ddi_poke16
    pci_config_get16 pci_config_put16);
word!(u32, i32: ddi_get32 ddi_put32 ddi_rep_get32 ddi_rep_put32 ddi_peek32 ddi_poke32
    pci_config_get32 pci_config_put32);
word!(u64, i64: ddi_get64 ddi_put64 ddi_rep_get64 ddi_rep_put64 ddi_peek64 ddi_poke64
    pci_config_get64 pci_config_put64);
