//! [`Raw`]: a structure of the driver's own (`KSTAT_TYPE_RAW`), for programs that know its layout.

use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use ddi_sys as sys;

use super::made::Made;
use crate::context::MayBlock;
use crate::errno::Error;
use crate::interrupt::{Guard, Mutex, Priority};
use crate::node::Node;
use crate::plain::Plain;

/// A structure that programs read whole, visible until dropped.
///
/// # Invariants
/// `data` is the kstat's, a `T`; it is looked at with the mutex held only, which is the kstat's lock.
pub struct Raw<T: Plain> {
    data: NonNull<T>,
    /// Goes before its lock.
    _kstat: Made,
    mutex: Mutex<()>,
}

// SAFETY: the data are behind the mutex.
unsafe impl<T: Plain + Send> Send for Raw<T> {}
// SAFETY: as above.
unsafe impl<T: Plain + Send> Sync for Raw<T> {}

impl<T: Plain> Raw<T> {
    /// Creates a set `driver:instance:name` of class "misc". User or kernel context. Errors: those of [`Kstat::new`](super::Kstat::new).
    pub fn new(node: &Node<'_>, name: &str, priority: Priority, value: T) -> Result<Raw<T>, Error> {
        let kstat = Made::new(node, name, c"misc", sys::KSTAT_TYPE_RAW, size_of::<T>(), 0)?;
        let data: NonNull<T> = kstat.data()?;
        // SAFETY: so many bytes, and more aligned than an integer is; nobody looks at them yet.
        unsafe { data.write(value) };
        let mutex = Mutex::new(priority, ());
        // SAFETY: not installed, and dropped before the mutex, whose word stays where it is.
        unsafe { kstat.set_lock(mutex.raw().get()) };
        kstat.install();
        Ok(Raw { data, _kstat: kstat, mutex })
    }

    /// Locks the structure for reading and changing; readers of the kstat wait meanwhile.
    pub fn lock<'g, C: MayBlock>(&'g self, cx: &'g mut C) -> RawGuard<'g, T, C> {
        RawGuard { data: self.data, _held: self.mutex.lock(cx) }
    }
}

/// The structure of a [`Raw`] kstat, with its lock held.
#[must_use = "the lock is given back at once"]
pub struct RawGuard<'g, T: Plain, C: MayBlock> {
    data: NonNull<T>,
    _held: Guard<'g, (), C>,
}

impl<T: Plain, C: MayBlock> Deref for RawGuard<'_, T, C> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the kstat's, which lives while it is locked, and nobody else looks at it.
        unsafe { self.data.as_ref() }
    }
}

impl<T: Plain, C: MayBlock> DerefMut for RawGuard<'_, T, C> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed mutably.
        unsafe { self.data.as_mut() }
    }
}
