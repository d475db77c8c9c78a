//! [`Umem`]: zero-filled kernel memory that processes can map (`ddi_umem_alloc(9F)`).
//!
//! Clones share the memory, and so does every mapping that was set up from it: it is freed when the last of them
//! goes, in whatever order that happens. Nothing here takes a lock.

use alloc::sync::Arc;
use core::ffi::c_int;
use core::ptr;

use ddi_sys as sys;

use crate::errno::{Errno, Error};
use crate::page;

/// What kind of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Always resident.
    Locked,
    /// May be paged out while nobody maps it. The driver's own accesses may fault it in: not under a spin lock.
    Pageable,
    /// No memory: every page of every mapping is the one trash page of the system. The driver cannot look into it.
    Trash,
}

struct Inner {
    cookie: sys::ddi_umem_cookie_t,
    base: *mut u8,
    len: usize,
    kind: Kind,
}

// SAFETY: kernel memory belongs to no thread.
unsafe impl Send for Inner {}
// SAFETY: it is only accessed by volatile loads and stores; processes write it at the same time, and nothing here
// relies on what it reads.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: from ddi_umem_alloc; the last holder, mappings included, has gone.
        unsafe { sys::ddi_umem_free(self.cookie) };
    }
}

/// Kernel memory for driver and processes.
///
/// ```no_run
/// use devmap::umem::{Kind, Umem};
///
/// # fn f() -> Result<(), devmap::Error> {
/// let ring = Umem::new(Kind::Locked, 0x4000)?;
/// ring.write_from(0, &[1_u64, 2, 3])?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Umem(Arc<Inner>);

const PAGE: &str = "ddi_umem_alloc(9F)";
const RANGE: Error = Error::new(Errno::EINVAL, PAGE, "outside the memory, or not aligned");

impl Umem {
    /// At least `len` bytes, rounded up to pages, all zero. User or kernel context: sleeps for memory.
    ///
    /// `EINVAL` for no bytes or a length that cannot be rounded up, `ENOMEM` when there is none.
    pub fn new(kind: Kind, len: usize) -> Result<Umem, Error> {
        Umem::allocate(kind, len, sys::DDI_UMEM_SLEEP as c_int)
    }

    /// As [`new`](Umem::new), but does not wait for memory: `ENOMEM`. For locked and trash memory.
    pub fn try_new(kind: Kind, len: usize) -> Result<Umem, Error> {
        Umem::allocate(kind, len, sys::DDI_UMEM_NOSLEEP as c_int)
    }

    fn allocate(kind: Kind, len: usize, sleep: c_int) -> Result<Umem, Error> {
        let len = match page::round_up(len) {
            Some(len) if len > 0 && i64::try_from(len).is_ok() => len,
            _ => return Err(Error::new(Errno::EINVAL, PAGE, "no such length")),
        };
        let flags = sleep
            | match kind {
                Kind::Locked => 0,
                Kind::Pageable => sys::DDI_UMEM_PAGEABLE as c_int,
                Kind::Trash => sys::DDI_UMEM_TRASH as c_int,
            };
        let mut cookie: sys::ddi_umem_cookie_t = ptr::null_mut();
        // SAFETY: a length that is not zero; the cookie goes to a local.
        let base = unsafe { sys::ddi_umem_alloc(len, flags, &raw mut cookie) }.cast::<u8>();
        if cookie.is_null() || (base.is_null() && kind != Kind::Trash) {
            return Err(Error::new(Errno::ENOMEM, PAGE, "no memory"));
        }
        Ok(Umem(Arc::new(Inner { cookie, base, len, kind })))
    }

    pub(crate) fn cookie(&self) -> sys::ddi_umem_cookie_t {
        self.0.cookie
    }

    /// The length in bytes, a multiple of the page size.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Never: there is no memory without bytes.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// What kind of memory this is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The address of `count` values of `T` at byte `offset`, if they all lie within the memory.
    fn at<T>(&self, offset: u64, count: usize) -> Result<*mut T, Error> {
        let bytes = size_of::<T>().checked_mul(count).ok_or(RANGE)?;
        let start = usize::try_from(offset).map_err(|_| RANGE)?;
        let end = start.checked_add(bytes).ok_or(RANGE)?;
        if end > self.0.len || start % align_of::<T>() != 0 {
            return Err(RANGE);
        }
        if self.0.base.is_null() {
            return Err(Error::new(Errno::ENOTSUP, PAGE, "trash memory has no address"));
        }
        Ok(self.0.base.wrapping_add(start).cast())
    }

    /// Copies values from byte `offset` on. `EINVAL` outside the memory.
    ///
    /// Processes may write while this reads: each value is read once, whole, and may be of any age.
    pub fn read_into(&self, offset: u64, to: &mut [u64]) -> Result<(), Error> {
        let from = self.at::<u64>(offset, to.len())?;
        for (index, value) in to.iter_mut().enumerate() {
            // SAFETY: checked by `at`, aligned, and alive while self is.
            *value = unsafe { from.wrapping_add(index).read_volatile() };
        }
        Ok(())
    }

    /// Copies values to byte `offset` and on. `EINVAL` outside the memory.
    pub fn write_from(&self, offset: u64, from: &[u64]) -> Result<(), Error> {
        let to = self.at::<u64>(offset, from.len())?;
        for (index, value) in from.iter().enumerate() {
            // SAFETY: checked by `at`, aligned, and alive while self is.
            unsafe { to.wrapping_add(index).write_volatile(*value) };
        }
        Ok(())
    }

    /// The kernel address of `len` bytes at `offset`, for calls that move bytes themselves.
    pub(crate) fn address(&self, offset: u64, len: usize) -> Result<*mut u8, Error> {
        self.at::<u8>(offset, len)
    }
}
