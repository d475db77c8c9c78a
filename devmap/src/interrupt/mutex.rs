//! [`Mutex`]: a mutex that an interrupt handler takes, too.
//!
//! Its guard borrows the context of its thread, so that nothing can sleep while it is held but the guard's own wait: no copying, no allocation of kernel memory.
//! It comes behind the driver's other mutexes ([`sync::Mutex`](crate::sync::Mutex)): take none of those while it is held. A second one of this kind is taken with
//! [`Guard::and`]. Not recursive.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::time::Duration;

use super::level::{High, Level, Low, Priority};
use crate::atomic;
use crate::context::{Context, MayBlock, MaySleep};
use crate::errno::Errno;
use crate::sync::{Condvar, RawMutex};

/// A value behind a mutex that knows the [`Priority`] of the interrupt whose handler takes it: `mutex(9F)`.
///
/// ```no_run
/// use devmap::context::MaySleep;
/// use devmap::interrupt::{Mutex, Priority};
/// use devmap::sync::Condvar;
///
/// struct Finished { count: Mutex<u32>, changed: Condvar }
///
/// // in the handler, which has a `&mut Interrupt`
/// fn interrupted(f: &Finished, cx: &mut devmap::context::Interrupt) {
///     *f.count.lock(cx) += 1;
///     f.changed.notify_all();
/// }
///
/// // in ioctl, whose argument is the context
/// fn wait(f: &Finished, cx: &mut impl MaySleep) -> Result<(), devmap::Errno> {
///     let mut count = f.count.lock(cx);
///     while *count == 0 {
///         count.wait_sig(&f.changed)?;
///     }
///     Ok(())
/// }
/// ```
///
/// Calls that would sleep do not compile while the guard is held:
///
/// ```compile_fail
/// # use devmap::interrupt::Mutex;
/// # use devmap::umem::{Kind, Umem};
/// fn f(count: &Mutex<u32>, cx: &mut devmap::context::Kernel) -> Result<(), devmap::Error> {
///     let guard = count.lock(cx);
///     let memory = Umem::new(cx, Kind::Locked, 4096)?; // cx is borrowed
///     drop(guard);
///     Ok(())
/// }
/// ```
///
/// Nor does a handler above the scheduler compile that takes the mutex of one below:
///
/// ```compile_fail
/// fn f(count: &devmap::interrupt::Mutex<u32>, cx: &mut devmap::context::HighLevel) {
///     *count.lock(cx) += 1;
/// }
/// ```
pub struct Mutex<T: ?Sized, L: Level = Low> {
    raw: RawMutex,
    level: PhantomData<fn() -> L>,
    value: UnsafeCell<T>,
}

// SAFETY: moving the lock moves the value; the word behind the pointer stays where it is.
unsafe impl<T: ?Sized + Send, L: Level> Send for Mutex<T, L> {}
// SAFETY: the mutex lets one thread at a time to the value, which therefore has to be `Send`, and need not be `Sync`.
unsafe impl<T: ?Sized + Send, L: Level> Sync for Mutex<T, L> {}

impl<T, L: Level> Mutex<T, L> {
    /// Creates a mutex that holds `value`. User or kernel context: allocates, `mutex_init(9F)`.
    pub fn new(priority: Priority<L>, value: T) -> Mutex<T, L> {
        let raw = RawMutex::new(priority.cookie());
        atomic::is_mutex_of::<T>(raw.get());
        Mutex { raw, level: PhantomData, value: UnsafeCell::new(value) }
    }

    /// Consumes the lock and returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized, L: Level> Mutex<T, L> {
    /// Returns the value without locking: the borrow excludes other users.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    pub(crate) fn raw(&self) -> &RawMutex {
        &self.raw
    }

    /// The value, for who holds the lock by other ways.
    ///
    /// # Safety
    /// The calling thread holds the mutex, and has no other reference to the value.
    #[allow(clippy::mut_from_ref, reason = "the mutex is what makes it unique")]
    pub(crate) unsafe fn held(&self) -> &mut T {
        // SAFETY: the caller's.
        unsafe { &mut *self.value.get() }
    }

    fn enter<'g, C: Context>(&'g self, cx: &'g mut C) -> Guard<'g, T, C, L> {
        self.raw.enter();
        Guard { mutex: self, cx, not_send: PhantomData }
    }
}

impl<T: ?Sized> Mutex<T, Low> {
    /// Takes the lock, waiting for it: `mutex_enter(9F)`. Not while this thread holds it.
    pub fn lock<'g, C: MayBlock>(&'g self, cx: &'g mut C) -> Guard<'g, T, C, Low> {
        self.enter(cx)
    }
}

impl<T: ?Sized> Mutex<T, High> {
    /// Takes the lock, spinning until it is free: `mutex_enter(9F)`. Not while this thread holds it.
    pub fn lock<'g, C: Context>(&'g self, cx: &'g mut C) -> Guard<'g, T, C, High> {
        self.enter(cx)
    }
}

/// A held [`Mutex`]; releases it when dropped.
#[must_use = "the lock is given back at once"]
pub struct Guard<'g, T: ?Sized, C: Context, L: Level = Low> {
    mutex: &'g Mutex<T, L>,
    cx: &'g mut C,
    not_send: PhantomData<*mut ()>,
}

impl<T: ?Sized, C: MayBlock> Guard<'_, T, C, Low> {
    /// Takes another mutex, behind this one.
    pub fn and<'s, U: ?Sized>(&'s mut self, other: &'s Mutex<U, Low>) -> (&'s mut T, Guard<'s, U, C, Low>) {
        // SAFETY: as in `deref_mut`; the guard's context is another part of it.
        let value = unsafe { &mut *self.mutex.value.get() };
        (value, other.enter(self.cx))
    }
}

impl<T: ?Sized, C: MaySleep> Guard<'_, T, C, Low> {
    /// Releases the mutex, waits, and takes it again: `cv_wait(9F)`. Uninterruptible. Spurious wakeups occur.
    pub fn wait(&mut self, condvar: &Condvar) {
        // SAFETY: the guard's thread holds the mutex.
        unsafe { condvar.wait_raw(&self.mutex.raw) };
    }

    /// Like [`wait`](Guard::wait); a signal to the process ends the wait with `EINTR`: `cv_wait_sig(9F)`.
    pub fn wait_sig(&mut self, condvar: &Condvar) -> Result<(), Errno> {
        // SAFETY: the guard's thread holds the mutex.
        unsafe { condvar.wait_sig_raw(&self.mutex.raw) }
    }

    /// Like [`wait`](Guard::wait), for at most `time`: `cv_reltimedwait(9F)`. Fails with `ETIMEDOUT` after that.
    pub fn wait_for(&mut self, condvar: &Condvar, time: Duration) -> Result<(), Errno> {
        // SAFETY: the guard's thread holds the mutex.
        unsafe { condvar.wait_for_raw(&self.mutex.raw, time) }
    }

    /// Like [`wait_for`](Guard::wait_for), and a signal ends the wait: `cv_reltimedwait_sig(9F)`. Fails with `ETIMEDOUT` or `EINTR`.
    pub fn wait_for_sig(&mut self, condvar: &Condvar, time: Duration) -> Result<(), Errno> {
        // SAFETY: the guard's thread holds the mutex.
        unsafe { condvar.wait_for_sig_raw(&self.mutex.raw, time) }
    }
}

impl<T: ?Sized, C: Context, L: Level> Deref for Guard<'_, T, C, L> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this thread holds the mutex, so nobody else has a reference.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized, C: Context, L: Level> DerefMut for Guard<'_, T, C, L> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized, C: Context, L: Level> Drop for Guard<'_, T, C, L> {
    fn drop(&mut self) {
        // SAFETY: a guard exists only while its thread holds the mutex, and does not leave that thread.
        unsafe { self.mutex.raw.exit() };
    }
}
