//! What a process hands to the driver and gets back: [`Uio`] (read, write), [`Argument`] (ioctl), [`Open`].
//!
//! All calls here may wait for the process's memory to be paged in, and may run into a mapping of this very device
//! and so call its access callback: hold no lock that the access callback takes. User context only.

use core::ffi::c_int;
use core::marker::PhantomData;

use ddi_sys as sys;

use crate::context::{MaySleep, sealed::Sealed};
use crate::errno::Errno;
use crate::plain::{Plain, zeroed};
use crate::umem::Umem;

/// How a device is opened.
pub struct Open<'a> {
    flag: c_int,
    cred: *mut sys::cred_t,
    lives: PhantomData<&'a sys::cred_t>,
}

impl Sealed for Open<'_> {}
impl MaySleep for Open<'_> {}

impl Open<'_> {
    /// # Safety
    /// `cred` is the caller's, and lives as long as the call.
    pub(crate) unsafe fn new(flag: c_int, cred: *mut sys::cred_t) -> Self {
        Open { flag, cred, lives: PhantomData }
    }

    /// For reading (`FREAD`).
    pub fn reads(&self) -> bool {
        self.flag & sys::FREAD != 0
    }

    /// For writing (`FWRITE`).
    pub fn writes(&self) -> bool {
        self.flag & sys::FWRITE != 0
    }

    /// Without waiting (`FNDELAY`).
    pub fn nonblocking(&self) -> bool {
        self.flag & sys::FNDELAY != 0
    }

    /// For itself alone (`FEXCL`).
    pub fn exclusive(&self) -> bool {
        self.flag & sys::FEXCL != 0
    }

    /// May the caller do what needs privilege: `drv_priv(9F)`.
    pub fn privileged(&self) -> bool {
        // SAFETY: the caller's credential.
        let refused = unsafe { sys::drv_priv(self.cred) };
        refused == 0
    }
}

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
}

impl Sealed for Uio<'_> {}
impl MaySleep for Uio<'_> {}

impl<'a> Uio<'a> {
    pub(crate) fn new(uio: &'a mut sys::uio_t) -> Uio<'a> {
        Uio { uio }
    }

    /// How many bytes the process still wants to move.
    pub fn remaining(&self) -> usize {
        usize::try_from(self.uio.uio_resid).unwrap_or(0)
    }

    /// The file offset at which it goes on.
    pub fn offset(&self) -> u64 {
        // SAFETY: the union has one value under two names.
        let offset = unsafe { self.uio._uio_offset._f };
        u64::try_from(offset).unwrap_or(0)
    }

    /// # Safety
    /// `len` bytes at `memory` are the driver's to read (`UIO_READ`) or to write (`UIO_WRITE`).
    unsafe fn move_bytes(&mut self, memory: *mut u8, len: usize, how: sys::uio_rw) -> Result<usize, Errno> {
        let len = len.min(self.remaining());
        if len == 0 {
            return Ok(0);
        }
        // SAFETY: the caller vouches for the bytes; the request is the framework's own.
        let result = unsafe { sys::uiomove(memory.cast(), len, how, self.uio) };
        Errno::check(result)?;
        Ok(len)
    }

    /// Gives the process bytes, as many as it still wants; says how many. `EFAULT` for a bad address. For read(9E).
    pub fn give(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        // SAFETY: UIO_READ moves from the driver's bytes to the process and does not change them.
        unsafe { self.move_bytes(bytes.as_ptr().cast_mut(), bytes.len(), sys::UIO_READ) }
    }

    /// Answers a read with the part of `bytes` from the file offset on: nothing at its end. For read(9E).
    pub fn give_from_offset(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let start = usize::try_from(self.offset()).unwrap_or(usize::MAX);
        self.give(bytes.get(start..).unwrap_or(&[]))
    }

    /// Takes bytes from the process, as many as it still has; says how many. For write(9E).
    pub fn take(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        // SAFETY: UIO_WRITE moves into the driver's bytes, which are borrowed mutably.
        unsafe { self.move_bytes(bytes.as_mut_ptr(), bytes.len(), sys::UIO_WRITE) }
    }

    /// Takes bytes from the process into kernel memory at `offset`, as many as fit. For write(9E).
    pub fn take_into(&mut self, memory: &Umem, offset: u64) -> Result<usize, Errno> {
        let room = (memory.len() as u64).saturating_sub(offset);
        let len = self.remaining().min(usize::try_from(room).unwrap_or(usize::MAX));
        let address = memory.address(offset, len)?;
        // SAFETY: checked by `address`; the memory has no Rust references.
        unsafe { self.move_bytes(address, len, sys::UIO_WRITE) }
    }
}

/// The argument of an ioctl(2): a number, or an address in the process.
///
/// ```no_run
/// # use devmap::prelude::*;
/// devmap::plain! {
///     /// What MYDEV_LIMITS copies out.
///     pub struct Limits { pub mappings: u64, pub contexts: u64 }
/// }
///
/// // Device::ioctl
/// fn ioctl(command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
///     match command {
///         1 => argument.copyout(&Limits { mappings: 3, contexts: 2 })?,
///         2 => devmap::note!("{} milliseconds", argument.unsigned()?),
///         _ => return Err(Errno::ENOTTY),
///     }
///     Ok(0)
/// }
/// ```
pub struct Argument<'a> {
    arg: isize,
    mode: c_int,
    cred: *mut sys::cred_t,
    lives: PhantomData<&'a sys::cred_t>,
}

impl Sealed for Argument<'_> {}
impl MaySleep for Argument<'_> {}

impl Argument<'_> {
    /// # Safety
    /// What ioctl(9E) was called with, while it runs.
    pub(crate) unsafe fn new(arg: isize, mode: c_int, cred: *mut sys::cred_t) -> Self {
        Argument { arg, mode, cred, lives: PhantomData }
    }

    /// The argument as a number.
    pub fn value(&self) -> isize {
        self.arg
    }

    /// The argument as an `int`, which is all that some callers give.
    pub fn int(&self) -> i32 {
        self.arg as i32
    }

    /// The argument as an `int` that cannot be negative. `EINVAL` if it is.
    pub fn unsigned(&self) -> Result<u64, Errno> {
        u64::try_from(self.int()).map_err(|_| Errno::EINVAL)
    }

    /// Was the device opened for writing.
    pub fn writes(&self) -> bool {
        self.mode & sys::FWRITE != 0
    }

    /// May the caller do what needs privilege: `drv_priv(9F)`.
    pub fn privileged(&self) -> bool {
        // SAFETY: the caller's credential.
        let refused = unsafe { sys::drv_priv(self.cred) };
        refused == 0
    }

    /// The value that the argument points to: `ddi_copyin(9F)`. `EFAULT` for a bad address.
    pub fn copyin<T: Plain>(&self) -> Result<T, Errno> {
        let mut value = zeroed::<T>();
        let to = (&raw mut value).cast();
        // SAFETY: `value` has room for a T; a bad address is an error, not a fault.
        let result = unsafe { sys::ddi_copyin(self.arg as *const _, to, size_of::<T>(), self.mode) };
        if result == 0 { Ok(value) } else { Err(Errno::EFAULT) }
    }

    /// Stores a value where the argument points: `ddi_copyout(9F)`. `EFAULT` for a bad address.
    pub fn copyout<T: Plain>(&self, value: &T) -> Result<(), Errno> {
        let from = (&raw const *value).cast();
        // SAFETY: `value` has the bytes of a T, none of them padding; a bad address is an error.
        let result = unsafe { sys::ddi_copyout(from, self.arg as *mut _, size_of::<T>(), self.mode) };
        if result == 0 { Ok(()) } else { Err(Errno::EFAULT) }
    }
}
