//! [`Argument`], the argument of an ioctl(2), and [`UserPtr`], an address in the caller.
//!
//! Copying may wait for the process's memory to be paged in, and may access a mapping of this very device and so call its access callback: hold
//! no lock that the access callback takes. Values are copied into memory that the driver has already, so nothing is allocated.
//! Structures with another layout in 32-bit programs are converted by their type ([`Plain::Ilp32`]).
//!
//! ioctl(9E) may come from the kernel itself (`FKIOCTL`, layered drivers): then addresses are the kernel's, and are copied as such.

use core::ffi::{c_int, c_void};
use core::marker::PhantomData;

use ddi_sys as sys;

use crate::caller::Caller;
use crate::context::{MaySleep, sealed::Sealed};
use crate::errno::Errno;
use crate::page;
use crate::plain::{Plain, Pointer, zeroed};
use crate::volatile::Volatile;

/// Data model of a program, which gives the width of addresses and sizes: `ddi_model_convert_from(9F)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// As the kernel does.
    Native,
    /// In 32 bits.
    Ilp32,
}

/// The argument of an ioctl(2): a number, or an address in the process.
///
/// ```no_run
/// # use devmap::prelude::*;
/// use devmap::plain::Pointer;
///
/// devmap::plain! {
///     /// What MYDEV_LIMITS copies out.
///     pub struct Limits { pub mappings: u64, pub contexts: u64 }
///
///     /// What MYDEV_NAMED copies in: where a name of `len` bytes lies. Has a twin for 32-bit programs.
///     pub struct Named { pub name: Pointer, pub len: usize }
/// }
///
/// // Device::ioctl
/// fn ioctl(command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
///     match command {
///         1 => argument.copyout(&Limits { mappings: 3, contexts: 2 })?,
///         2 => devmap::note!("{} milliseconds", argument.unsigned()?),
///         3 => {
///             let named: Named = argument.copyin()?;
///             let mut name = [0; 32];
///             let name = name.get_mut(..named.len).ok_or(Errno::EINVAL)?;
///             argument.at(named.name).read_into(name)?;
///         }
///         _ => return Err(Errno::ENOTTY),
///     }
///     Ok(0)
/// }
/// ```
pub struct Argument<'a> {
    arg: isize,
    mode: c_int,
    caller: Caller<'a>,
    minor: u32,
}

impl Sealed for Argument<'_> {}
impl MaySleep for Argument<'_> {}

impl<'a> Argument<'a> {
    /// # Safety
    /// The arguments of a running ioctl(9E).
    pub(crate) unsafe fn new(arg: isize, mode: c_int, caller: Caller<'a>, minor: u32) -> Self {
        Argument { arg, mode, caller, minor }
    }

    /// Returns the argument as a number.
    pub fn value(&self) -> isize {
        self.arg
    }

    /// Returns the argument as an `int`, which is all that some callers give.
    pub fn int(&self) -> i32 {
        self.arg as i32
    }

    /// Returns the argument as an `int` that cannot be negative. Fails with `EINVAL` if it is negative.
    pub fn unsigned(&self) -> Result<u64, Errno> {
        u64::try_from(self.int()).map_err(|_| Errno::EINVAL)
    }

    /// Returns whether the device is open for reading.
    pub fn reads(&self) -> bool {
        self.mode & sys::FREAD != 0
    }

    /// Returns whether the device is open for writing.
    pub fn writes(&self) -> bool {
        self.mode & sys::FWRITE != 0
    }

    /// Returns whether the caller must not block (`FNDELAY`, `FNONBLOCK`).
    pub fn nonblocking(&self) -> bool {
        self.mode & (sys::FNDELAY | sys::FNONBLOCK) != 0
    }

    /// Returns whether the caller is the kernel rather than a process (`FKIOCTL`).
    pub fn from_kernel(&self) -> bool {
        self.mode & (sys::FKIOCTL as c_int) != 0
    }

    /// Returns the index of the instance's minor node.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    /// Returns the caller.
    pub fn caller(&self) -> Caller<'a> {
        self.caller
    }

    /// Returns whether the caller is privileged: `drv_priv(9F)`.
    pub fn privileged(&self) -> bool {
        self.caller.privileged()
    }

    /// Returns the caller's data model.
    pub fn model(&self) -> Model {
        model(self.mode)
    }

    /// Returns the mode that ioctl(9E) was called with, for functions that this crate does not have.
    pub fn mode(&self) -> i32 {
        self.mode
    }

    /// Returns the argument as an address.
    pub fn pointer(&self) -> UserPtr<'_> {
        let address = match self.model() {
            Model::Native => self.arg as usize,
            Model::Ilp32 => self.arg as u32 as usize,
        };
        self.at(address)
    }

    /// Returns an address that the caller gave in a structure.
    pub fn at(&self, address: impl Into<Pointer>) -> UserPtr<'_> {
        UserPtr { address: address.into().address(), mode: self.mode, lives: PhantomData }
    }

    /// Returns the value that the argument points to: [`UserPtr::read`]. Fails with `EFAULT` for a bad address.
    pub fn copyin<T: Plain>(&self) -> Result<T, Errno> {
        self.pointer().read()
    }

    /// Stores a value where the argument points: [`UserPtr::write`]. Fails with `EFAULT` for a bad address.
    pub fn copyout<T: Plain>(&self, value: &T) -> Result<(), Errno> {
        self.pointer().write(value)
    }
}

fn model(mode: c_int) -> Model {
    // SAFETY: a calculation.
    let model = unsafe { sys::ddi_model_convert_from((mode & sys::FMODELS) as sys::model_t) };
    if model == sys::DDI_MODEL_ILP32 { Model::Ilp32 } else { Model::Native }
}

/// An address in the memory of the caller of ioctl(2), for the length of the call; see the [module](crate::argument). It is checked when it is used: a bad
/// address fails with `EFAULT`.
#[derive(Clone, Copy)]
pub struct UserPtr<'a> {
    address: usize,
    mode: c_int,
    lives: PhantomData<&'a Argument<'a>>,
}

impl<'a> UserPtr<'a> {
    /// Returns the address.
    pub fn address(self) -> usize {
        self.address
    }

    /// Returns the address `bytes` further on. Fails with `EFAULT` if that overflows.
    pub fn offset(self, bytes: usize) -> Result<UserPtr<'a>, Errno> {
        let address = self.address.checked_add(bytes).ok_or(Errno::EFAULT)?;
        Ok(UserPtr { address, ..self })
    }

    /// # Safety
    /// `len` bytes at `to` are the driver's to write.
    unsafe fn copyin(self, to: *mut c_void, len: usize) -> Result<(), Errno> {
        // SAFETY: the caller's; a bad address of the process is an error, not a fault.
        let result = unsafe { sys::ddi_copyin(self.address as *const c_void, to, len, self.mode) };
        if result == 0 { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// # Safety
    /// `len` bytes at `from` are the driver's, and nobody's secret.
    unsafe fn copyout(self, from: *const c_void, len: usize) -> Result<(), Errno> {
        // SAFETY: the caller's; a bad address of the process is an error, not a fault.
        let result = unsafe { sys::ddi_copyout(from, self.address as *mut c_void, len, self.mode) };
        if result == 0 { Ok(()) } else { Err(Errno::EFAULT) }
    }

    fn read_as_is<T: Plain>(self) -> Result<T, Errno> {
        let mut value = zeroed::<T>();
        // SAFETY: `value` has room for a T, and every pattern of bytes is one.
        unsafe { self.copyin((&raw mut value).cast(), size_of::<T>()) }?;
        Ok(value)
    }

    fn write_as_is<T: Plain>(self, value: &T) -> Result<(), Errno> {
        // SAFETY: the bytes of a T, none of them padding.
        unsafe { self.copyout((&raw const *value).cast(), size_of::<T>()) }
    }

    /// Returns whether the caller's `T` differs from the kernel's.
    fn converts<T: Plain>(self) -> bool {
        size_of::<T>() != size_of::<T::Ilp32>() && model(self.mode) == Model::Ilp32
    }

    /// Returns the size in bytes of the caller's `T`.
    fn size_of<T: Plain>(self) -> usize {
        if self.converts::<T>() { size_of::<T::Ilp32>() } else { size_of::<T>() }
    }

    /// Copies a value from there: `ddi_copyin(9F)`. Fails with `EFAULT` for a bad address.
    pub fn read<T: Plain>(self) -> Result<T, Errno> {
        if self.converts::<T>() { self.read_as_is().map(T::from_ilp32) } else { self.read_as_is() }
    }

    /// Copies a value to there: `ddi_copyout(9F)`. Fails with `EFAULT` for a bad address, with `EOVERFLOW` if it does not fit into the structure of a 32-bit program.
    pub fn write<T: Plain>(self, value: &T) -> Result<(), Errno> {
        if self.converts::<T>() {
            self.write_as_is(&value.to_ilp32().ok_or(Errno::EOVERFLOW)?)
        } else {
            self.write_as_is(value)
        }
    }

    /// Copies as many values from there as the slice has room for. On an error some of them may have been copied.
    pub fn read_into<T: Plain>(self, values: &mut [T]) -> Result<(), Errno> {
        if !self.converts::<T>() {
            // SAFETY: the slice has room for so many bytes, and every pattern of bytes is a value.
            return unsafe { self.copyin(values.as_mut_ptr().cast(), size_of_val(values)) };
        }
        let mut place = self;
        for value in values {
            *value = place.read()?;
            place = place.offset(self.size_of::<T>())?;
        }
        Ok(())
    }

    /// Copies the values to there. On an error some of them may have been copied.
    pub fn write_from<T: Plain>(self, values: &[T]) -> Result<(), Errno> {
        if !self.converts::<T>() {
            // SAFETY: the bytes of a slice, none of them padding.
            return unsafe { self.copyout(values.as_ptr().cast(), size_of_val(values)) };
        }
        let mut place = self;
        for value in values {
            place.write(value)?;
            place = place.offset(self.size_of::<T>())?;
        }
        Ok(())
    }

    /// Copies `len` bytes from there into kernel memory (a [`Umem`](crate::Umem) is such), from byte `offset` of it on. Fails with `EINVAL` outside the memory.
    pub fn read_into_memory(self, memory: &Volatile, offset: u64, len: usize) -> Result<(), Errno> {
        let to = memory.address(offset, len)?;
        // SAFETY: checked by `address`; the memory has no Rust references.
        unsafe { self.copyin(to.cast(), len) }
    }

    /// Copies `len` bytes of kernel memory to there, from byte `offset` of it on. Fails with `EINVAL` outside the memory.
    pub fn write_from_memory(self, memory: &Volatile, offset: u64, len: usize) -> Result<(), Errno> {
        let from = memory.address(offset, len)?;
        // SAFETY: checked by `address`; the memory is one that processes may see.
        unsafe { self.copyout(from.cast(), len) }
    }

    /// Copies a string from there, up to the NUL that ends it: the bytes before that. Fails with `ENAMETOOLONG` if it does not fit into `room`, which has to have a byte for the NUL.
    ///
    /// Does not read beyond the page that holds the end of the string.
    pub fn read_str(self, room: &mut [u8]) -> Result<&[u8], Errno> {
        let (mut place, mut used) = (self, 0);
        loop {
            let rest = room.get_mut(used..).filter(|rest| !rest.is_empty()).ok_or(Errno::ENAMETOOLONG)?;
            let in_page = page::size() - (place.address & (page::size() - 1));
            let len = rest.len().min(in_page);
            let piece = rest.get_mut(..len).ok_or(Errno::EFAULT)?;
            place.read_into(piece)?;
            if let Some(end) = piece.iter().position(|&byte| byte == 0) {
                return room.get(..used + end).ok_or(Errno::EFAULT);
            }
            used += len;
            place = place.offset(len)?;
        }
    }
}
