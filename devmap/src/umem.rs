//! [`Umem`]: zero-filled kernel memory that processes can map (`ddi_umem_alloc(9F)`).
//!
//! Clones share the memory, and so does every mapping that was set up from it: it is freed when the last of them
//! goes, in whatever order that happens. Nothing here takes a lock.

use alloc::sync::Arc;
use core::ffi::c_int;
use core::ops::Deref;
use core::ptr;

use ddi_sys as sys;

use crate::context::MaySleep;
use crate::errno::{Errno, Error, error};
use crate::page;
use crate::volatile::{Origin, Volatile};

/// Kinds of kernel memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Always resident.
    Locked,
    /// May be paged out while nobody maps it. The driver's own accesses may fault it in: not under a spin lock.
    Pageable,
    /// No memory: every page of every mapping is the one trash page of the system. The driver cannot access it.
    Trash,
}

struct Inner {
    cookie: sys::ddi_umem_cookie_t,
    /// From `cookie`, and freed with it.
    bytes: Volatile,
    kind: Kind,
}

// SAFETY: kernel memory belongs to no thread.
unsafe impl Send for Inner {}
// SAFETY: the cookie is only passed to the kernel; `Volatile` is `Sync`.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: from ddi_umem_alloc; the last holder, mappings included, has gone.
        unsafe { sys::ddi_umem_free(self.cookie) };
    }
}

/// Kernel memory for driver and processes. Its bytes are [`Volatile`], to which it derefs.
///
/// ```no_run
/// use devmap::context::MaySleep;
/// use devmap::umem::{Kind, Umem};
///
/// # fn f(cx: &impl MaySleep) -> Result<(), devmap::Error> {
/// let ring = Umem::new(cx, Kind::Locked, 0x4000)?;
/// ring.write_from(0, &[1_u64, 2, 3])?;
/// ring.write(24, 4_u8)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Umem(Arc<Inner>);

const PAGE: &str = "ddi_umem_alloc(9F)";

impl Umem {
    /// Allocates at least `len` bytes, rounded up to pages, all zero. User or kernel context: sleeps for memory.
    ///
    /// Fails with `EINVAL` for length 0 or a length that cannot be rounded up, and with `ENOMEM`.
    pub fn new(cx: &impl MaySleep, kind: Kind, len: usize) -> Result<Umem, Error> {
        let _ = cx;
        Umem::allocate(kind, len, sys::DDI_UMEM_SLEEP as c_int)
    }

    /// Like [`new`](Umem::new), but does not wait for memory: fails with `ENOMEM`. For locked and trash memory.
    pub fn try_new(kind: Kind, len: usize) -> Result<Umem, Error> {
        Umem::allocate(kind, len, sys::DDI_UMEM_NOSLEEP as c_int)
    }

    fn allocate(kind: Kind, len: usize, sleep: c_int) -> Result<Umem, Error> {
        let len = match page::round_up(len) {
            Some(len) if len > 0 && i64::try_from(len).is_ok() => len,
            _ => return Err(error!(Errno::EINVAL, PAGE, "no such length")),
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
            return Err(error!(Errno::ENOMEM, PAGE, "no memory"));
        }
        // SAFETY: `len` bytes that live until the cookie is freed, in `Inner::drop`; nobody but the kernel has their address. Null for trash.
        let bytes = unsafe { Volatile::new(base, len, Origin::Umem) };
        Ok(Umem(Arc::new(Inner { cookie, bytes, kind })))
    }

    /// Returns whether both are the same memory.
    #[inline]
    pub(crate) fn is(&self, other: &Umem) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// For [`from_raw`](Umem::from_raw): a pointer that is a multiple of 8.
    #[inline(always)]
    pub(crate) fn into_raw(self) -> *const () {
        Arc::into_raw(self.0).cast()
    }

    /// As [`into_raw`](Umem::into_raw), without the reference.
    #[inline(always)]
    pub(crate) fn as_ptr(&self) -> *const () {
        Arc::as_ptr(&self.0).cast()
    }

    /// # Safety
    /// From [`into_raw`](Umem::into_raw), whose reference this takes.
    #[inline(always)]
    pub(crate) unsafe fn from_raw(raw: *const ()) -> Umem {
        // SAFETY: the caller's.
        Umem(unsafe { Arc::from_raw(raw.cast()) })
    }

    /// One reference more.
    ///
    /// # Safety
    /// From [`into_raw`](Umem::into_raw), whose reference was not taken.
    #[inline(always)]
    pub(crate) unsafe fn retain(raw: *const ()) {
        // SAFETY: the caller's.
        unsafe { Arc::increment_strong_count(raw.cast::<Inner>()) };
    }

    pub(crate) fn cookie(&self) -> sys::ddi_umem_cookie_t {
        self.0.cookie
    }

    /// Returns the kernel's cookie, for functions that this crate does not have: good while a clone or a mapping of this memory lives. See [`raw`](crate::raw).
    pub fn as_raw(&self) -> sys::ddi_umem_cookie_t {
        self.0.cookie
    }

    /// Returns the kind of memory.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }
}

impl Deref for Umem {
    type Target = Volatile;

    /// The bytes: whole pages. Trash memory has none to look at (`ENOTSUP`).
    fn deref(&self) -> &Volatile {
        &self.0.bytes
    }
}
