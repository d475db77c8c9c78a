//! [`Uio`]: a read(2) or write(2) of a process.
//!
//! Moving bytes may wait for the process's memory to be paged in, and may access a mapping of this very device
//! and so call its access callback: hold no lock that the access callback takes. User context only.

use ddi_sys as sys;

use crate::caller::Caller;
use crate::context::{MaySleep, sealed::Sealed};
use crate::errno::Errno;
use crate::plain::{Plain, zeroed};
use crate::volatile::Volatile;

/// A read(2) or write(2) under way: `uio(9S)`, `uiomove(9F)`.
///
/// ```no_run
/// # use devmap::prelude::*;
/// // Device::read: a text, then the end of the file.
/// fn read(uio: &mut Uio<'_>) -> Result<(), Errno> {
///     uio.give_from_offset(b"ready\n").map(|_| ())
/// }
/// ```
pub struct Uio<'a> {
    uio: &'a mut sys::uio_t,
    caller: Caller<'a>,
    minor: u32,
}

impl Sealed for Uio<'_> {}
impl MaySleep for Uio<'_> {}

impl<'a> Uio<'a> {
    pub(crate) fn new(uio: &'a mut sys::uio_t, caller: Caller<'a>, minor: u32) -> Uio<'a> {
        Uio { uio, caller, minor }
    }

    /// Returns the number of bytes that are left to move (`uio_resid`).
    pub fn remaining(&self) -> usize {
        usize::try_from(self.uio.uio_resid).unwrap_or(0)
    }

    /// Returns the file offset at which the transfer continues.
    pub fn offset(&self) -> u64 {
        // SAFETY: the union has one value under two names.
        let offset = unsafe { self.uio._uio_offset._f };
        u64::try_from(offset).unwrap_or(0)
    }

    /// Returns whether the caller must not block (`FNDELAY`, `FNONBLOCK`): `EAGAIN` instead.
    pub fn nonblocking(&self) -> bool {
        i32::from(self.uio.uio_fmode) & (sys::FNDELAY | sys::FNONBLOCK) != 0
    }

    /// Returns the index of the instance's minor node.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    /// Returns the caller.
    pub fn caller(&self) -> Caller<'a> {
        self.caller
    }

    /// Returns the kernel's structure, for functions that this crate does not have. It is valid as long as this value.
    pub fn as_raw(&mut self) -> *mut sys::uio_t {
        self.uio
    }

    /// # Safety
    /// `len` bytes at `memory` are the driver's to read (`UIO_READ`) or to write (`UIO_WRITE`).
    #[inline]
    unsafe fn move_bytes(&mut self, memory: *mut u8, len: usize, how: sys::uio_rw) -> Result<usize, Errno> {
        let moved = len.min(self.remaining());
        // SAFETY: the caller vouches for the bytes; the request is the framework's own, of which no more is moved than is left.
        let result = unsafe { sys::uiomove(memory.cast(), len, how, self.uio) };
        Errno::check(result)?;
        Ok(moved)
    }

    /// Copies bytes to the process, as many as it still wants. Returns their number. Fails with `EFAULT` for a bad address. For read(9E).
    pub fn give(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        // SAFETY: UIO_READ moves from the driver's bytes to the process and does not change them.
        unsafe { self.move_bytes(bytes.as_ptr().cast_mut(), bytes.len(), sys::UIO_READ) }
    }

    /// Copies the part of `bytes` from the file offset on to the process; nothing at its end. For read(9E).
    #[inline]
    pub fn give_from_offset(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let start = usize::try_from(self.offset()).unwrap_or(usize::MAX);
        self.give(bytes.get(start..).unwrap_or(&[]))
    }

    /// Copies a value to the process, if it still wants that many bytes. Returns whether it did. For read(9E).
    pub fn give_value<T: Plain>(&mut self, value: &T) -> Result<bool, Errno> {
        if self.remaining() < size_of::<T>() {
            return Ok(false);
        }
        let from = (&raw const *value).cast_mut().cast();
        // SAFETY: the bytes of a T, none of them padding; UIO_READ does not change them.
        unsafe { self.move_bytes(from, size_of::<T>(), sys::UIO_READ) }?;
        Ok(true)
    }

    /// Copies kernel memory (a [`Umem`](crate::Umem), for example) from byte `offset` on to the process, as much as it still wants and there is. For read(9E).
    pub fn give_from(&mut self, memory: &Volatile, offset: u64) -> Result<usize, Errno> {
        let (address, len) = memory.rest(offset)?;
        // SAFETY: checked by `rest`; the memory is one that processes may see.
        unsafe { self.move_bytes(address, len, sys::UIO_READ) }
    }

    /// Copies bytes from the process, as many as it still has. Returns their number. For write(9E).
    pub fn take(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        // SAFETY: UIO_WRITE moves into the driver's bytes, which are borrowed mutably.
        unsafe { self.move_bytes(bytes.as_mut_ptr(), bytes.len(), sys::UIO_WRITE) }
    }

    /// Copies a value from the process, if it still has that many bytes. For write(9E).
    pub fn take_value<T: Plain>(&mut self) -> Result<Option<T>, Errno> {
        if self.remaining() < size_of::<T>() {
            return Ok(None);
        }
        let mut value = zeroed::<T>();
        // SAFETY: room for a T, and every pattern of bytes is one.
        unsafe { self.move_bytes((&raw mut value).cast(), size_of::<T>(), sys::UIO_WRITE) }?;
        Ok(Some(value))
    }

    /// Copies bytes from the process into kernel memory at `offset`, as many as fit. For write(9E).
    pub fn take_into(&mut self, memory: &Volatile, offset: u64) -> Result<usize, Errno> {
        let (address, len) = memory.rest(offset)?;
        // SAFETY: checked by `rest`; the memory has no Rust references.
        unsafe { self.move_bytes(address, len, sys::UIO_WRITE) }
    }
}
