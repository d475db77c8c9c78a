//! [`Fixed`]: a mutex whose word lies beside its value, for what does not move. It needs no allocation of its own, as [`sync::Mutex`](crate::sync::Mutex) does.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr;

use ddi_sys as sys;

use crate::atomic;

/// A value behind an adaptive mutex. Its guards stay in this crate, which forgets none: nobody holds the mutex when it goes.
///
/// # Invariants
/// It was initialised where it is, and does not move any more.
#[repr(C)]
pub(crate) struct Fixed<T> {
    word: UnsafeCell<sys::kmutex_t>,
    value: UnsafeCell<T>,
}

// SAFETY: as for `sync::Mutex`; it is sent by reference only.
unsafe impl<T: Send> Send for Fixed<T> {}
// SAFETY: the mutex lets one thread at a time to the value.
unsafe impl<T: Send> Sync for Fixed<T> {}

impl<T> Fixed<T> {
    /// A mutex that holds `value`.
    ///
    /// # Safety
    /// It is put where it stays, and [initialised](Fixed::init) there, before anything else is done with it.
    #[inline]
    pub(crate) const unsafe fn new(value: T) -> Fixed<T> {
        let word = sys::kmutex_t { _opaque: [ptr::null_mut()] };
        Fixed { word: UnsafeCell::new(word), value: UnsafeCell::new(value) }
    }

    /// mutex_init(9F).
    ///
    /// # Safety
    /// Once, and it does not move from now on.
    #[inline]
    pub(crate) unsafe fn init(&self) {
        // SAFETY: the word is ours, and stays at this address (the caller's promise).
        unsafe { sys::mutex_init(self.word.get(), ptr::null_mut(), sys::MUTEX_DRIVER, ptr::null_mut()) };
        atomic::is_mutex_of::<T>(self.word.get());
    }

    /// The value, for who has the mutex to himself.
    #[inline]
    pub(crate) fn get(&self) -> *mut T {
        self.value.get()
    }

    /// Takes the lock, waiting for it. Not while this thread holds it: `mutex_enter(9F)`.
    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        self.enter();
        Guard { mutex: self, thread: PhantomData }
    }

    /// Takes the lock, for who gives it [back](Fixed::exit).
    #[inline(always)]
    pub(crate) fn enter(&self) {
        // SAFETY: initialised, by the type's invariant, and not destroyed while borrowed.
        unsafe { sys::mutex_enter(self.word.get()) };
    }

    /// Gives the lock back.
    ///
    /// # Safety
    /// This thread has [taken](Fixed::enter) it, and uses the value no more.
    #[inline(always)]
    pub(crate) unsafe fn exit(&self) {
        // SAFETY: the caller's.
        unsafe { sys::mutex_exit(self.word.get()) };
    }
}

impl<T> Fixed<T> {
    /// mutex_destroy(9F): what dropping it does, but that the value stays.
    ///
    /// # Safety
    /// It is not used any more, nor dropped.
    #[inline]
    pub(crate) unsafe fn destroy(&self) {
        // SAFETY: initialised, by the type's invariant; nobody holds it, because a guard would borrow it.
        unsafe { sys::mutex_destroy(self.word.get()) };
    }
}

impl<T> Drop for Fixed<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the value is dropped next, and not used.
        unsafe { self.destroy() };
    }
}

/// A held [`Fixed`]; gives it back when dropped, on the thread that took it.
#[must_use = "the lock is given back at once"]
pub(crate) struct Guard<'a, T> {
    mutex: &'a Fixed<T>,
    thread: PhantomData<*mut ()>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this thread holds the mutex, so nobody else has a reference.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: a guard exists only while its thread holds the mutex, and does not leave that thread.
        unsafe { self.mutex.exit() };
    }
}
