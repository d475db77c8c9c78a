//! [`Volatile`]: memory that processes or a device change while the driver accesses it.
//!
//! Kernel memory ([`Umem`](crate::Umem)), DMA memory and a process's pinned memory are such memory: each [derefs](core::ops::Deref) to it. Every access is
//! checked, and made by one load or store for each value; there are no Rust references to the bytes, but for [atomics](Volatile::atomic).
//! No lock, and nothing waits: any context, whatever locks are held (pageable memory may have to be read in: user and kernel context then).

use core::fmt;
use core::ops::Deref;
use core::sync::atomic::{AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use crate::endian::{Be, Le, Number};
use crate::errno::{Errno, Error, error};
use crate::plain::Plain;

mod sealed {
    pub trait Sealed {}
}

/// A value that one instruction loads or stores: an integer, or one of a [byte order](crate::endian).
pub trait Scalar: Plain + sealed::Sealed {}

macro_rules! scalars {
    ($($type:ty),*) => {
        $(
            impl sealed::Sealed for $type {}
            impl Scalar for $type {}
        )*
    };
}
scalars!(u8, i8, u16, i16, u32, i32, u64, i64);

impl<T: Number> sealed::Sealed for Le<T> {}
impl<T: Number> Scalar for Le<T> {}
impl<T: Number> sealed::Sealed for Be<T> {}
impl<T: Number> Scalar for Be<T> {}

/// An atomic of `core::sync::atomic`, of a fixed width.
pub trait Atomic: sealed::Sealed + Sized + 'static {
    /// # Safety
    /// Memory of this size and alignment that lives for `'a` and holds no Rust value.
    #[doc(hidden)]
    unsafe fn at<'a>(address: *mut u8) -> &'a Self;
}

macro_rules! atomics {
    ($($type:ty),*) => {
        $(
            impl sealed::Sealed for $type {}
            impl Atomic for $type {
                unsafe fn at<'a>(address: *mut u8) -> &'a Self {
                    // SAFETY: the caller's.
                    unsafe { <$type>::from_ptr(address.cast()) }
                }
            }
        )*
    };
}
atomics!(AtomicU8, AtomicU16, AtomicU32, AtomicI32, AtomicU64, AtomicI64);

/// Memory that others change at the same time; see the [module](crate::volatile).
///
/// A ring that a process fills and the driver empties:
///
/// ```no_run
/// use core::sync::atomic::{AtomicU32, Ordering};
/// use devmap::{Error, Volatile};
///
/// fn next(ring: &Volatile, tail: &mut u32) -> Result<Option<u64>, Error> {
///     let head: &AtomicU32 = ring.atomic(0)?;
///     if head.load(Ordering::Acquire) == *tail {
///         return Ok(None);
///     }
///     let entry = ring.read(64 + u64::from(*tail % 128) * 8)?; // written before head was
///     *tail = tail.wrapping_add(1);
///     ring.atomic::<AtomicU32>(4)?.store(*tail, Ordering::Release);
///     Ok(Some(entry))
/// }
/// ```
///
/// # Invariants
/// `base` is null, or `len` bytes of memory there live as long as the value, and no Rust reference but atomics' is to any of them. It is as
/// aligned as a page.
pub struct Volatile {
    base: *mut u8,
    len: usize,
    origin: Origin,
}

/// The function that memory is from.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    Umem,
    Dma,
    Pinned,
}

impl Origin {
    /// The error of an access outside the memory.
    fn outside(self) -> Error {
        const WHY: &str = "outside the memory, or not aligned";
        match self {
            Origin::Umem => error!(Errno::EINVAL, "ddi_umem_alloc(9F)", WHY),
            Origin::Dma => error!(Errno::EINVAL, "ddi_dma_mem_alloc(9F)", WHY),
            Origin::Pinned => error!(Errno::EINVAL, "ddi_umem_lock(9F)", WHY),
        }
    }
}

// SAFETY: the memory belongs to no thread.
unsafe impl Send for Volatile {}
// SAFETY: it is only accessed by volatile and atomic loads and stores; others write it at the same time, and nothing here relies on what it
// reads.
unsafe impl Sync for Volatile {}

impl fmt::Debug for Volatile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} bytes of memory", self.len)
    }
}

impl Volatile {
    /// # Safety
    /// The invariants, for as long as the value lives.
    pub(crate) const unsafe fn new(base: *mut u8, len: usize, origin: Origin) -> Volatile {
        Volatile { base, len, origin }
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether its length is 0.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The address of `count` values of `T` at byte `offset`, if they all lie within the memory.
    #[inline]
    fn at<T>(&self, offset: u64, count: usize) -> Result<*mut T, Error> {
        let range = self.origin.outside();
        let bytes = size_of::<T>().checked_mul(count).ok_or(range)?;
        let start = usize::try_from(offset).map_err(|_| range)?;
        let end = start.checked_add(bytes).ok_or(range)?;
        if end > self.len || start % align_of::<T>() != 0 {
            return Err(range);
        }
        if self.base.is_null() {
            return Err(error!(Errno::ENOTSUP, "ddi_umem_alloc(9F)", "trash memory has no address"));
        }
        Ok(self.base.wrapping_add(start).cast())
    }

    /// The kernel address of `len` bytes at `offset`, for calls that move bytes themselves.
    pub(crate) fn address(&self, offset: u64, len: usize) -> Result<*mut u8, Error> {
        self.at::<u8>(offset, len)
    }

    /// The kernel address of the bytes from `offset` on, and how many they are. Fails beyond the end.
    #[inline]
    pub(crate) fn rest(&self, offset: u64) -> Result<(*mut u8, usize), Error> {
        let address = self.at::<u8>(offset, 0)?;
        Ok((address, self.len.saturating_sub(offset as usize)))
    }

    /// Reads one value at byte `offset`. Fails with `EINVAL` outside the memory, or where such a value cannot lie.
    #[inline]
    pub fn read<T: Scalar>(&self, offset: u64) -> Result<T, Error> {
        let from = self.at::<T>(offset, 1)?;
        // SAFETY: checked by `at`, aligned, and alive while self is; every pattern of bytes is a value.
        Ok(unsafe { from.read_volatile() })
    }

    /// Writes one value at byte `offset`.
    #[inline]
    pub fn write<T: Scalar>(&self, offset: u64, value: T) -> Result<(), Error> {
        let to = self.at::<T>(offset, 1)?;
        // SAFETY: checked by `at`, aligned, and alive while self is.
        unsafe { to.write_volatile(value) };
        Ok(())
    }

    /// Copies values from byte `offset` on.
    ///
    /// Others may write while this reads: each value is read once, whole, and may be of any age.
    pub fn read_into<T: Scalar>(&self, offset: u64, to: &mut [T]) -> Result<(), Error> {
        let from = self.at::<T>(offset, to.len())?;
        for (index, value) in to.iter_mut().enumerate() {
            // SAFETY: as in `read`.
            *value = unsafe { from.wrapping_add(index).read_volatile() };
        }
        Ok(())
    }

    /// Copies values to byte `offset` and on.
    pub fn write_from<T: Scalar>(&self, offset: u64, from: &[T]) -> Result<(), Error> {
        let to = self.at::<T>(offset, from.len())?;
        for (index, value) in from.iter().enumerate() {
            // SAFETY: as in `write`.
            unsafe { to.wrapping_add(index).write_volatile(*value) };
        }
        Ok(())
    }

    /// Copies a structure from byte `offset` on. Its fields may be of different ages: a process can write between two of them, so check the copy, not
    /// the memory.
    pub fn read_plain<T: Plain>(&self, offset: u64) -> Result<T, Error> {
        let from = self.at::<T>(offset, 1)?;
        // SAFETY: checked by `at`, aligned, and alive while self is; every pattern of bytes is a value.
        Ok(unsafe { from.read_volatile() })
    }

    /// Copies a structure to byte `offset` and on, its fields in any order.
    pub fn write_plain<T: Plain>(&self, offset: u64, value: &T) -> Result<(), Error> {
        let to = self.at::<T>(offset, 1)?;
        // SAFETY: as in `read_plain`.
        unsafe { to.write_volatile(*value) };
        Ok(())
    }

    /// Sets `len` bytes from `offset` on to zero.
    pub fn zero(&self, offset: u64, len: usize) -> Result<(), Error> {
        let to = self.at::<u8>(offset, len)?;
        if to.addr().is_multiple_of(8) && len.is_multiple_of(8) {
            each(to.cast::<u64>(), len / 8, |_| 0);
        } else {
            each(to, len, |_| 0);
        }
        Ok(())
    }

    /// Copies `len` bytes from byte `from` of `source` to byte `offset` of this, the first one first.
    pub fn copy_from(&self, offset: u64, source: &Volatile, from: u64, len: usize) -> Result<(), Error> {
        let to = self.at::<u8>(offset, len)?;
        let from = source.at::<u8>(from, len)?;
        if to.addr().is_multiple_of(8) && from.addr().is_multiple_of(8) && len.is_multiple_of(8) {
            // SAFETY: `index` is less than `len / 8`; checked by `at`, aligned, and alive while `source` is.
            each(to.cast::<u64>(), len / 8, |index| unsafe {
                from.cast::<u64>().wrapping_add(index).read_volatile()
            });
        } else {
            // SAFETY: `index` is less than `len`; as above.
            each(to, len, |index| unsafe { from.wrapping_add(index).read_volatile() });
        }
        Ok(())
    }

    /// Returns an atomic at byte `offset`, for what a process or the driver's other threads change at the same time, with its memory orders.
    ///
    /// What was written before a store with `Release` is visible after a load with `Acquire` that reads it, in a process, too. A *device* sees stores to coherent memory
    /// in their order.
    #[inline]
    pub fn atomic<T: Atomic>(&self, offset: u64) -> Result<&T, Error> {
        let address = self.at::<T>(offset, 1)?;
        // SAFETY: checked by `at`, aligned, and alive while self is, which is borrowed; no Rust value lies there.
        Ok(unsafe { T::at(address.cast()) })
    }
}

/// Memory that others change, and that the driver only reads.
pub struct ReadOnly<M>(M);

impl<M: Deref<Target = Volatile>> ReadOnly<M> {
    pub(crate) fn new(memory: M) -> ReadOnly<M> {
        ReadOnly(memory)
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether its length is 0.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// See [`Volatile::read`].
    pub fn read<T: Scalar>(&self, offset: u64) -> Result<T, Error> {
        self.0.read(offset)
    }

    /// See [`Volatile::read_into`].
    pub fn read_into<T: Scalar>(&self, offset: u64, to: &mut [T]) -> Result<(), Error> {
        self.0.read_into(offset, to)
    }

    /// See [`Volatile::read_plain`].
    pub fn read_plain<T: Plain>(&self, offset: u64) -> Result<T, Error> {
        self.0.read_plain(offset)
    }

    /// Copies `len` bytes from byte `from` of this to byte `offset` of `to`, the first one first.
    pub fn copy_to(&self, from: u64, to: &Volatile, offset: u64, len: usize) -> Result<(), Error> {
        to.copy_from(offset, &self.0, from, len)
    }
}

/// Stores `count` values, by their indices.
fn each<T: Scalar>(to: *mut T, count: usize, value: impl Fn(usize) -> T) {
    for index in 0..count {
        // SAFETY: the callers have checked `count` values with `at`.
        unsafe { to.wrapping_add(index).write_volatile(value(index)) };
    }
}
