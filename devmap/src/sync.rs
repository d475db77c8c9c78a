//! Locks: [`Mutex`], [`Condvar`] and [`RwLock`] over the DDI's.
//!
//! All may be taken in user and kernel context; the mutex also in a timeout's routine and in an interrupt below the scheduler's priority, whose
//! threads may block on it. What waits for a condition takes its [context](crate::context), which has to be one that may sleep.
//! None is recursive: a thread that takes what it holds stops the kernel (`mutex_enter(9F)`). Guards are not `Send`:
//! the thread that took a lock releases it. A guard that is forgotten (`core::mem::forget`) holds its lock for ever; the lock's
//! memory then stays for good, because a lock that is held must not be destroyed.
//!
//! The lock word lives in its own allocation, because the kernel knows a lock by its address and Rust values move.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr;
use core::time::Duration;

use ddi_sys as sys;

use crate::atomic;
use crate::context::MaySleep;
use crate::errno::Errno;
use crate::time::ticks;

type NotSend = PhantomData<*mut ()>;

/// A mutex without its value; what takes it calls `enter` and `exit` in turn.
pub(crate) struct RawMutex {
    word: ManuallyDrop<Box<UnsafeCell<sys::kmutex_t>>>,
}

impl RawMutex {
    /// An adaptive mutex for a null argument, else one of that interrupt priority (mutex_init(9F)).
    pub(crate) fn new(priority: *mut c_void) -> RawMutex {
        let word = Box::new(UnsafeCell::new(sys::kmutex_t { _opaque: [ptr::null_mut()] }));
        let raw = RawMutex { word: ManuallyDrop::new(word) };
        // SAFETY: the word is ours and stays at this address until `drop`; the argument is a priority or null.
        unsafe { sys::mutex_init(raw.get(), ptr::null_mut(), sys::MUTEX_DRIVER, priority) };
        raw
    }

    pub(crate) fn get(&self) -> *mut sys::kmutex_t {
        self.word.get()
    }

    pub(crate) fn enter(&self) {
        // SAFETY: initialised in `new`, not destroyed while borrowed.
        unsafe { sys::mutex_enter(self.get()) };
    }

    fn try_enter(&self) -> bool {
        // SAFETY: as in `enter`.
        let taken = unsafe { sys::mutex_tryenter(self.get()) };
        taken != 0
    }

    /// # Safety
    /// The calling thread holds the mutex.
    pub(crate) unsafe fn exit(&self) {
        // SAFETY: the caller's.
        unsafe { sys::mutex_exit(self.get()) };
    }
}

impl Drop for RawMutex {
    fn drop(&mut self) {
        if !self.try_enter() {
            return; // by a guard that was forgotten
        }
        // SAFETY: taken just now.
        unsafe { self.exit() };
        // SAFETY: initialised in `new`; nobody holds it: a guard would borrow the lock.
        unsafe { sys::mutex_destroy(self.get()) };
        // SAFETY: not used again.
        unsafe { ManuallyDrop::drop(&mut self.word) };
    }
}

/// A value behind a DDI mutex, `mutex(9F)`.
///
/// ```no_run
/// use devmap::sync::Mutex;
///
/// let engine = Mutex::new(0_u64);
/// *engine.lock() += 1;
/// ```
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: moving the lock moves the value; the word behind the pointer stays where it is.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: the mutex lets one thread at a time to the value, which therefore has to be `Send`, and need not be `Sync`.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// Creates a mutex that holds `value`. User or kernel context: allocates, `mutex_init(9F)`.
    pub fn new(value: T) -> Mutex<T> {
        let raw = RawMutex::new(ptr::null_mut());
        atomic::is_mutex_of::<T>(raw.get());
        Mutex { raw, value: UnsafeCell::new(value) }
    }

    /// Consumes the lock and returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock, waiting for it. Not while this thread holds it: `mutex_enter(9F)`.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.raw.enter();
        MutexGuard { mutex: self, not_send: PhantomData }
    }

    /// Takes the lock if it is free: `mutex_tryenter(9F)`. Any context.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.raw.try_enter().then(|| MutexGuard { mutex: self, not_send: PhantomData })
    }

    /// Returns the kernel's mutex, for functions that this crate does not have. It stays where it is. See [`raw`](crate::raw).
    pub fn as_raw(&self) -> *mut sys::kmutex_t {
        self.raw.get()
    }

    /// Returns the value without locking: the borrow excludes other users.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// A held [`Mutex`]; releases it when dropped.
///
/// ```compile_fail
/// fn send<T: Send>(_: T) {}
/// send(devmap::sync::Mutex::new(0).lock()); // the thread that took a lock gives it back
/// ```
#[must_use = "the lock is given back at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    not_send: NotSend,
}

// SAFETY: a shared guard gives `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this thread holds the mutex, so nobody else has a reference.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: a guard exists only while its thread holds the mutex, and does not leave that thread.
        unsafe { self.mutex.raw.exit() };
    }
}

/// A condition variable, `condvar(9F)`. Spurious wakeups occur: test the condition in a loop.
///
/// ```no_run
/// # use devmap::Uio;
/// # use devmap::sync::{Condvar, Mutex};
/// // In an entry point, here read(9E): its argument is the context.
/// # fn f(ready: &Mutex<bool>, changed: &Condvar, uio: &mut Uio<'_>) -> Result<(), devmap::Errno> {
/// let mut is_ready = ready.lock();
/// while !*is_ready {
///     changed.wait_sig(uio, &mut is_ready)?; // EINTR when the process is to die
/// }
/// # Ok(()) }
/// ```
///
/// ```compile_fail
/// # use devmap::context::Interrupt;
/// # use devmap::sync::{Condvar, Mutex};
/// fn in_a_handler(ready: &Mutex<bool>, changed: &Condvar, cx: &mut Interrupt) {
///     changed.wait(cx, &mut ready.lock()); // an interrupt does not sleep
/// }
/// ```
pub struct Condvar(Box<UnsafeCell<sys::kcondvar_t>>);

// SAFETY: the word is only passed to the kernel, which synchronises it.
unsafe impl Send for Condvar {}
// SAFETY: as above.
unsafe impl Sync for Condvar {}

impl Condvar {
    /// Creates a condition variable that nobody waits for. User or kernel context.
    pub fn new() -> Condvar {
        let condvar = Condvar(Box::new(UnsafeCell::new(sys::kcondvar_t { _opaque: 0 })));
        // SAFETY: the word is ours and stays at this address until `drop`.
        unsafe { sys::cv_init(condvar.0.get(), ptr::null_mut(), sys::CV_DRIVER, ptr::null_mut()) };
        condvar
    }

    /// Releases the mutex, waits, and takes it again: `cv_wait(9F)`. Uninterruptible; hold no other lock.
    pub fn wait<T: ?Sized>(&self, cx: &impl MaySleep, guard: &mut MutexGuard<'_, T>) {
        let _ = cx;
        // SAFETY: a guard's thread holds the mutex.
        unsafe { self.wait_raw(&guard.mutex.raw) };
    }

    /// Like [`wait`](Condvar::wait); a signal to the process ends the wait with `EINTR`: `cv_wait_sig(9F)`. In kernel context no signal
    /// comes.
    pub fn wait_sig<T: ?Sized>(
        &self,
        cx: &impl MaySleep,
        guard: &mut MutexGuard<'_, T>,
    ) -> Result<(), Errno> {
        let _ = cx;
        // SAFETY: as in `wait`.
        unsafe { self.wait_sig_raw(&guard.mutex.raw) }
    }

    /// Like [`wait`](Condvar::wait), for at most `time`: `cv_reltimedwait(9F)`. Fails with `ETIMEDOUT` after that.
    pub fn wait_for<T: ?Sized>(
        &self,
        cx: &impl MaySleep,
        guard: &mut MutexGuard<'_, T>,
        time: Duration,
    ) -> Result<(), Errno> {
        let _ = cx;
        // SAFETY: as in `wait`.
        unsafe { self.wait_for_raw(&guard.mutex.raw, time) }
    }

    /// Like [`wait_for`](Condvar::wait_for), and a signal ends the wait: `cv_reltimedwait_sig(9F)`. Fails with `ETIMEDOUT` or `EINTR`.
    pub fn wait_for_sig<T: ?Sized>(
        &self,
        cx: &impl MaySleep,
        guard: &mut MutexGuard<'_, T>,
        time: Duration,
    ) -> Result<(), Errno> {
        let _ = cx;
        // SAFETY: as in `wait`.
        unsafe { self.wait_for_sig_raw(&guard.mutex.raw, time) }
    }

    /// # Safety
    /// The calling thread holds the mutex.
    pub(crate) unsafe fn wait_raw(&self, mutex: &RawMutex) {
        // SAFETY: both are initialised, and the caller's.
        unsafe { sys::cv_wait(self.0.get(), mutex.get()) };
    }

    /// # Safety
    /// The calling thread holds the mutex.
    pub(crate) unsafe fn wait_sig_raw(&self, mutex: &RawMutex) -> Result<(), Errno> {
        // SAFETY: as in `wait_raw`.
        let woken = unsafe { sys::cv_wait_sig(self.0.get(), mutex.get()) };
        if woken == 0 { Err(Errno::EINTR) } else { Ok(()) }
    }

    /// # Safety
    /// The calling thread holds the mutex.
    pub(crate) unsafe fn wait_for_raw(&self, mutex: &RawMutex, time: Duration) -> Result<(), Errno> {
        let ticks = ticks(time);
        // SAFETY: as in `wait_raw`.
        let left = unsafe { sys::cv_reltimedwait(self.0.get(), mutex.get(), ticks, sys::TR_CLOCK_TICK) };
        if left == -1 { Err(Errno::ETIMEDOUT) } else { Ok(()) }
    }

    /// # Safety
    /// The calling thread holds the mutex.
    pub(crate) unsafe fn wait_for_sig_raw(&self, mutex: &RawMutex, time: Duration) -> Result<(), Errno> {
        let ticks = ticks(time);
        // SAFETY: as in `wait_raw`.
        let left = unsafe { sys::cv_reltimedwait_sig(self.0.get(), mutex.get(), ticks, sys::TR_CLOCK_TICK) };
        match left {
            -1 => Err(Errno::ETIMEDOUT),
            0 => Err(Errno::EINTR),
            _ => Ok(()),
        }
    }

    /// Returns the kernel's condition variable, for functions that this crate does not have. It stays where it is. See [`raw`](crate::raw).
    pub fn as_raw(&self) -> *mut sys::kcondvar_t {
        self.0.get()
    }

    /// Wakes one waiter: `cv_signal(9F)`. Any context but a high-level interrupt.
    pub fn notify_one(&self) {
        // SAFETY: initialised in `new`.
        unsafe { sys::cv_signal(self.0.get()) };
    }

    /// Wakes every waiter: `cv_broadcast(9F)`. Any context but a high-level interrupt.
    pub fn notify_all(&self) {
        // SAFETY: initialised in `new`.
        unsafe { sys::cv_broadcast(self.0.get()) };
    }
}

impl Default for Condvar {
    fn default() -> Condvar {
        Condvar::new()
    }
}

impl Drop for Condvar {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`; waiters would borrow it.
        unsafe { sys::cv_destroy(self.0.get()) };
    }
}

struct RawRwLock(ManuallyDrop<Box<UnsafeCell<sys::krwlock_t>>>);

impl Drop for RawRwLock {
    fn drop(&mut self) {
        // SAFETY: initialised when made.
        let free = unsafe { sys::rw_tryenter(self.0.get(), sys::RW_WRITER) };
        if free == 0 {
            return; // by a guard that was forgotten
        }
        // SAFETY: taken just now.
        unsafe { sys::rw_exit(self.0.get()) };
        // SAFETY: initialised when made; nobody holds it, for guards would borrow the lock.
        unsafe { sys::rw_destroy(self.0.get()) };
        // SAFETY: not used again.
        unsafe { ManuallyDrop::drop(&mut self.0) };
    }
}

/// A value behind a DDI readers/writer lock, `rwlock(9F)`. User or kernel context; readers do not nest.
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    value: UnsafeCell<T>,
}

// SAFETY: moving the lock moves the value; the word behind the pointer stays where it is.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: readers share `&T` between threads (`Sync`), a writer has `&mut T` on its thread (`Send`).
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    /// Creates a lock that holds `value`: `rw_init(9F)`. User or kernel context: allocates.
    pub fn new(value: T) -> RwLock<T> {
        let word = Box::new(UnsafeCell::new(sys::krwlock_t { _opaque: [ptr::null_mut()] }));
        let raw = RawRwLock(ManuallyDrop::new(word));
        // SAFETY: the word is ours and stays at this address until it is destroyed.
        unsafe { sys::rw_init(raw.0.get(), ptr::null_mut(), sys::RW_DRIVER, ptr::null_mut()) };
        RwLock { raw, value: UnsafeCell::new(value) }
    }

    /// Consumes the lock and returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Shares the value with other readers: `rw_enter(9F)`. Waits for writers, also for waiting ones.
    pub fn read(&self) -> ReadGuard<'_, T> {
        // SAFETY: initialised in `new`.
        unsafe { sys::rw_enter(self.raw.0.get(), sys::RW_READER) };
        ReadGuard { lock: self, not_send: PhantomData }
    }

    /// Acquires the lock as writer: `rw_enter(9F)`.
    pub fn write(&self) -> WriteGuard<'_, T> {
        // SAFETY: initialised in `new`.
        unsafe { sys::rw_enter(self.raw.0.get(), sys::RW_WRITER) };
        WriteGuard { lock: self, not_send: PhantomData }
    }

    /// Returns the kernel's lock, for functions that this crate does not have. It stays where it is. See [`raw`](crate::raw).
    pub fn as_raw(&self) -> *mut sys::krwlock_t {
        self.raw.0.get()
    }

    fn try_enter(&self, how: sys::krw_t) -> c_int {
        // SAFETY: initialised in `new`.
        unsafe { sys::rw_tryenter(self.raw.0.get(), how) }
    }

    /// [`read`](RwLock::read), if that needs no waiting: `rw_tryenter(9F)`.
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        let taken = self.try_enter(sys::RW_READER) != 0;
        taken.then(|| ReadGuard { lock: self, not_send: PhantomData })
    }

    /// [`write`](RwLock::write), if that needs no waiting: `rw_tryenter(9F)`.
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        let taken = self.try_enter(sys::RW_WRITER) != 0;
        taken.then(|| WriteGuard { lock: self, not_send: PhantomData })
    }
}

/// A [`RwLock`] held for reading.
#[must_use = "the lock is given back at once"]
pub struct ReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    not_send: NotSend,
}

impl<'a, T: ?Sized> ReadGuard<'a, T> {
    /// Upgrades to a writer, if there is no other reader and no writer waits: `rw_tryupgrade(9F)`. Otherwise returns the read guard.
    pub fn try_upgrade(self) -> Result<WriteGuard<'a, T>, ReadGuard<'a, T>> {
        let lock = self.lock;
        // SAFETY: this thread holds the lock as reader.
        let upgraded = unsafe { sys::rw_tryupgrade(lock.raw.0.get()) };
        if upgraded == 0 {
            return Err(self);
        }
        core::mem::forget(self);
        Ok(WriteGuard { lock, not_send: PhantomData })
    }
}

impl<T: ?Sized> Deref for ReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: held for reading: no writer has a reference.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this thread holds the lock.
        unsafe { sys::rw_exit(self.lock.raw.0.get()) };
    }
}

/// A [`RwLock`] held for writing.
#[must_use = "the lock is given back at once"]
pub struct WriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    not_send: NotSend,
}

impl<'a, T: ?Sized> WriteGuard<'a, T> {
    /// Downgrades to a reader: `rw_downgrade(9F)`.
    pub fn downgrade(self) -> ReadGuard<'a, T> {
        let lock = self.lock;
        core::mem::forget(self);
        // SAFETY: this thread holds the lock as writer; the guard that would leave it is forgotten.
        unsafe { sys::rw_downgrade(lock.raw.0.get()) };
        ReadGuard { lock, not_send: PhantomData }
    }
}

impl<T: ?Sized> Deref for WriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: held for writing: nobody else has a reference.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this thread holds the lock.
        unsafe { sys::rw_exit(self.lock.raw.0.get()) };
    }
}
