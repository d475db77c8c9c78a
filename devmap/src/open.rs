//! Opens: [`Open`], the arguments of an open, and the private data of each open.
//!
//! The kernel does not tell one open of a device number from another: it calls open(9E) for each, and close(9E) once, after the last. So an open that
//! has private data ([`Device::Open`](crate::Device::Open)) gets a minor number of its own, as a clone open, and with it a close of its own:
//! after the last descriptor of that open, and the last mapping made through one, is gone. Descriptors that were duplicated or inherited are the same open. What the process
//! sees of it is the device number that fstat(2) gives. Such a number cannot be opened by itself (`ENXIO`).
//!
//! A device whose opens have no data (`type Open = ()`) keeps the one number of its node, nothing is allocated, and close comes after the last open of all.
//!
//! Locks: a mutex for each module over which numbers are taken, held for a few instructions in open and close. The other entry points find their
//! open without one.

use alloc::sync::Arc;
use core::any::Any;
use core::ffi::c_int;
use core::sync::atomic::Ordering::Relaxed;

use ddi_sys as sys;

use crate::atomic::AtomicU64;
use crate::caller::Caller;
use crate::context::{MaySleep, sealed::Sealed};
use crate::errno::Errno;

/// The arguments of an `open(9E)`.
pub struct Open<'a> {
    flag: c_int,
    caller: Caller<'a>,
    minor: u32,
}

impl Sealed for Open<'_> {}
impl MaySleep for Open<'_> {}

impl<'a> Open<'a> {
    pub(crate) fn new(flag: c_int, caller: Caller<'a>, minor: u32) -> Self {
        Open { flag, caller, minor }
    }

    /// Returns whether the device is opened for reading (`FREAD`).
    pub fn reads(&self) -> bool {
        self.flag & sys::FREAD != 0
    }

    /// Returns whether the device is opened for writing (`FWRITE`).
    pub fn writes(&self) -> bool {
        self.flag & sys::FWRITE != 0
    }

    /// Returns whether the caller must not block (`FNDELAY`, `FNONBLOCK`).
    pub fn nonblocking(&self) -> bool {
        self.flag & (sys::FNDELAY | sys::FNONBLOCK) != 0
    }

    /// Returns whether the open is exclusive (`FEXCL`): see [`Exclusion`].
    pub fn exclusive(&self) -> bool {
        self.flag & sys::FEXCL != 0
    }

    /// Returns the index of the instance's minor node that is opened.
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
}

/// Tracks the users of a device: any number, or one exclusively. Any context but a high-level interrupt; no lock.
///
/// ```no_run
/// # #![no_std]
/// # extern crate std;
/// use devmap::open::{Admission, Exclusion};
/// use devmap::prelude::*;
///
/// struct Scanner { users: Exclusion }
///
/// impl Device for Scanner {
///     type Mapping = ();
///     type Open = Admission; // leaves when the open is closed
///
///     fn attach(_: &Attach<'_>) -> Result<Scanner, Errno> {
///         Ok(Scanner { users: Exclusion::new() })
///     }
///
///     fn open(&self, how: Open<'_>) -> Result<Admission, Errno> {
///         self.users.admit(&how)
///     }
/// }
/// # devmap::module! { device: Scanner, name: "scanner", description: "one at a time, if asked" }
/// # fn main() {}
/// ```
#[derive(Default)]
pub struct Exclusion(Arc<AtomicU64>);

/// The number of users when there is one alone.
const ALONE: u64 = u64::MAX;

/// A user of a device; leaves when dropped. Keep it in the open's private data.
pub struct Admission {
    users: Arc<AtomicU64>,
    alone: bool,
}

impl Exclusion {
    /// Creates the state of a device that is not open. User or kernel context: allocates.
    pub fn new() -> Exclusion {
        Exclusion::default()
    }

    /// Admits an open. Fails with `EBUSY` while the device is open exclusively, or if this open is exclusive and the device is open at all; with `EPERM` for an
    /// exclusive open that the caller may not make ([`Caller::may_exclude`]).
    pub fn admit(&self, how: &Open<'_>) -> Result<Admission, Errno> {
        if how.exclusive() {
            how.caller().may_exclude()?;
            return self.admit_alone();
        }
        let more = |users: u64| users.checked_add(1).filter(|&users| users != ALONE);
        self.0.fetch_update(Relaxed, Relaxed, more).map_err(|_| Errno::EBUSY)?;
        Ok(Admission { users: Arc::clone(&self.0), alone: false })
    }

    /// Admits an open as the only one, whatever it asked for: for a device that serves one open at a time. Fails with `EBUSY` while there is another.
    pub fn admit_alone(&self) -> Result<Admission, Errno> {
        self.0.compare_exchange(0, ALONE, Relaxed, Relaxed).map_err(|_| Errno::EBUSY)?;
        Ok(Admission { users: Arc::clone(&self.0), alone: true })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.alone {
            self.users.store(0, Relaxed);
        } else {
            self.users.fetch_sub(1, Relaxed);
        }
    }
}

/// The private data of an open of which there is none: what [`Device::open`](crate::Device::open) is by default.
pub(crate) fn nothing<O: 'static>() -> Result<O, Errno> {
    const {
        assert!(
            size_of::<O>() == 0,
            "the opens of this device have private data (`type Open`): write the `fn open` that makes it"
        );
    }
    let mut nothing = Some(());
    let nothing: &mut dyn Any = &mut nothing;
    nothing.downcast_mut::<Option<O>>().and_then(Option::take).ok_or(Errno::ENXIO)
}
