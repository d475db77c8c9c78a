//! Locks and condition variables of the kernel, in place: they are not initialised, because they move until they are first used.
//!
//! # Invariants
//!
//! A word of zeroes is an adaptive mutex that nobody holds, and a condition variable without waiters: what `mutex_init(9F)` and `cv_init(9F)` make of
//! it. A lock is taken by reference, so it stays where it is while anybody holds or awaits it.

use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr;
use core::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use ddi_sys as sys;
use segdev::lock::{self, LockClass};

/// An adaptive mutex and what it protects.
// The word comes first: a lock at the beginning of a structure has its address.
#[repr(C)]
pub struct Mutex<T> {
    word: UnsafeCell<sys::kmutex_t>,
    value: UnsafeCell<T>,
}

// SAFETY: moving the lock moves the value, and the word is not in use then.
unsafe impl<T: Send> Send for Mutex<T> {}
// SAFETY: the mutex lets one thread at a time to the value.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// A mutex that holds `value`.
    #[inline(always)]
    pub const fn new(value: T) -> Self {
        let word = sys::kmutex_t { _opaque: [core::ptr::null_mut()] };
        Self { word: UnsafeCell::new(word), value: UnsafeCell::new(value) }
    }

    /// Waits for the lock and takes it.
    #[inline(always)]
    pub fn lock(&self) -> Guard<'_, T> {
        // SAFETY: a mutex by the module's invariant, and the borrow keeps it in place.
        unsafe { sys::mutex_enter(self.word.get()) };
        Guard { mutex: self, thread: PhantomData }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// A held [`Mutex`]; unlocks when dropped. Does not leave the thread that locked.
pub struct Guard<'a, T> {
    mutex: &'a Mutex<T>,
    thread: PhantomData<*mut ()>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this thread holds the mutex, so nobody else has a reference.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: a guard exists only while its thread holds the mutex.
        unsafe { sys::mutex_exit(self.mutex.word.get()) };
    }
}

impl<T: Send> lock::Mutex<T> for Mutex<T> {
    type Guard<'a>
        = Guard<'a, T>
    where
        T: 'a;

    #[inline(always)]
    fn new(value: T, _class: LockClass) -> Self {
        Mutex::new(value)
    }
    #[inline(always)]
    fn lock(&self) -> Guard<'_, T> {
        Mutex::lock(self)
    }
}

/// The kernel keeps the segments of its address spaces itself, so segdev's readers/writer lock is never made here.
impl<T: Send + Sync> lock::RwLock<T> for Mutex<T> {
    type ReadGuard<'a>
        = Guard<'a, T>
    where
        T: 'a;
    type WriteGuard<'a>
        = Guard<'a, T>
    where
        T: 'a;

    fn new(value: T, _class: LockClass) -> Self {
        Mutex::new(value)
    }
    fn read(&self) -> Guard<'_, T> {
        Mutex::lock(self)
    }
    fn write(&self) -> Guard<'_, T> {
        Mutex::lock(self)
    }
}

/// A condition variable.
pub struct Condvar(UnsafeCell<sys::kcondvar_t>);

// SAFETY: the word is only passed to the kernel, which synchronises it.
unsafe impl Send for Condvar {}
// SAFETY: as above.
unsafe impl Sync for Condvar {}

impl Default for Condvar {
    fn default() -> Self {
        Self(UnsafeCell::new(sys::kcondvar_t { _opaque: 0 }))
    }
}

impl Condvar {
    /// Releases the mutex, waits for a clock tick at most, takes it again. Returns true if a signal to the process ended the wait.
    pub fn wait_tick<T>(&self, guard: &mut Guard<'_, T>) -> bool {
        // SAFETY: a condition variable and a mutex by the module's invariant, both borrowed; this thread holds the mutex.
        let left =
            unsafe { sys::cv_reltimedwait_sig(self.0.get(), guard.mutex.word.get(), 1, sys::TR_CLOCK_TICK) };
        left == 0
    }

    /// Wakes every waiter.
    pub fn notify_all(&self) {
        // SAFETY: a condition variable by the module's invariant, borrowed.
        unsafe { sys::cv_broadcast(self.0.get()) };
    }
}

/// A place for a shared value that is set once.
///
/// # Invariants
/// The pointer is null or a reference that the place owns, of `Arc::into_raw`; it does not change once it is not null.
pub struct Once<T>(AtomicPtr<T>, PhantomData<Arc<T>>);

impl<T> Default for Once<T> {
    #[inline]
    fn default() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()), PhantomData)
    }
}

impl<T: Send + Sync> lock::Once<T> for Once<T> {
    #[inline]
    fn get(&self) -> Option<&T> {
        let value = self.0.load(Acquire);
        // SAFETY: null, or a reference that stays as long as the place is borrowed.
        unsafe { value.as_ref() }
    }

    #[inline]
    fn set(&self, value: Arc<T>) -> bool {
        let value = Arc::into_raw(value).cast_mut();
        if self.0.compare_exchange(ptr::null_mut(), value, AcqRel, Relaxed).is_ok() {
            return true;
        }
        // SAFETY: the reference of above, which the place has not taken.
        drop(unsafe { Arc::from_raw(value) });
        false
    }

    #[inline]
    fn copy(&self) -> Self {
        let value = self.0.load(Acquire);
        if !value.is_null() {
            // SAFETY: a reference of `Arc::into_raw` that the place owns.
            unsafe { Arc::increment_strong_count(value) };
        }
        Self(AtomicPtr::new(value), PhantomData)
    }
}

impl<T> Drop for Once<T> {
    #[inline]
    fn drop(&mut self) {
        let value = *self.0.get_mut();
        if !value.is_null() {
            // SAFETY: the place owns the reference, and goes.
            drop(unsafe { Arc::from_raw(value) });
        }
    }
}
