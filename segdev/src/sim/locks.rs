//! The lock family of a simulation, and the ordinary one.

use std::sync::{
    Condvar, Mutex as StdMutex, MutexGuard, RwLock as StdRwLock, RwLockReadGuard, RwLockWriteGuard,
};

use alloc::sync::Arc;
use std::sync::OnceLock;

use crate::lock::{LockClass, Mutex, Once, RwLock};

/// Locks one of the simulation's own mutexes; a panic elsewhere does not spoil them.
pub(super) fn own<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// A family of locks: the standard library's, or a model checker's.
pub trait Locks: Sized + Send + Sync + 'static {
    /// A mutex.
    type Mutex<T: Send + 'static>: Mutex<T>;
    /// A readers/writer lock.
    type RwLock<T: Send + Sync + 'static>: RwLock<T>;
    /// A condition variable.
    type Condvar: Default + Send + Sync;

    /// Sleeps until notified or spuriously.
    fn wait<'a, T: Send + 'static>(
        cv: &Self::Condvar,
        guard: <Self::Mutex<T> as Mutex<T>>::Guard<'a>,
    ) -> <Self::Mutex<T> as Mutex<T>>::Guard<'a>;
    /// Wakes all sleepers.
    fn notify_all(cv: &Self::Condvar);
    /// A number for the calling thread.
    fn thread() -> u64;
}

/// The standard library's locks.
pub struct StdLocks;

/// [`std::sync::Mutex`] without poisoning.
pub struct StdLock<T>(StdMutex<T>);

impl<T: Send> Mutex<T> for StdLock<T> {
    type Guard<'a>
        = MutexGuard<'a, T>
    where
        T: 'a;

    fn new(value: T, _class: LockClass) -> Self {
        Self(StdMutex::new(value))
    }
    fn lock(&self) -> MutexGuard<'_, T> {
        own(&self.0)
    }
}

/// [`std::sync::RwLock`] without poisoning.
pub struct StdRw<T>(StdRwLock<T>);

impl<T: Send + Sync> RwLock<T> for StdRw<T> {
    type ReadGuard<'a>
        = RwLockReadGuard<'a, T>
    where
        T: 'a;
    type WriteGuard<'a>
        = RwLockWriteGuard<'a, T>
    where
        T: 'a;

    fn new(value: T, _class: LockClass) -> Self {
        Self(StdRwLock::new(value))
    }
    fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(|e| e.into_inner())
    }
    fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(|e| e.into_inner())
    }
}

/// [`std::sync::OnceLock`].
pub struct StdOnce<T>(OnceLock<Arc<T>>);

impl<T> Default for StdOnce<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T: Send + Sync> Once<T> for StdOnce<T> {
    fn get(&self) -> Option<&T> {
        self.0.get().map(|value| &**value)
    }
    fn set(&self, value: Arc<T>) -> bool {
        self.0.set(value).is_ok()
    }
    fn copy(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Locks for StdLocks {
    type Mutex<T: Send + 'static> = StdLock<T>;
    type RwLock<T: Send + Sync + 'static> = StdRw<T>;
    type Condvar = Condvar;

    fn wait<'a, T: Send + 'static>(
        cv: &Condvar,
        guard: <StdLock<T> as Mutex<T>>::Guard<'a>,
    ) -> <StdLock<T> as Mutex<T>>::Guard<'a> {
        cv.wait(guard).unwrap_or_else(|e| e.into_inner())
    }
    fn notify_all(cv: &Condvar) {
        cv.notify_all();
    }
    fn thread() -> u64 {
        use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        std::thread_local!(static ME: u64 = NEXT.fetch_add(1, Relaxed));
        ME.with(|me| *me)
    }
}
