//! segdev's locks on the host: `parking_lot`'s.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

use segdev::lock::{self, LockClass};

/// A mutex.
pub struct Mutex<T>(parking_lot::Mutex<T>);

/// Guard of a lock.
pub struct Guard<'a, T>(pub(super) parking_lot::MutexGuard<'a, T>);

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Send> lock::Mutex<T> for Mutex<T> {
    type Guard<'a>
        = Guard<'a, T>
    where
        T: 'a;

    fn new(value: T, _class: LockClass) -> Self {
        Mutex(parking_lot::Mutex::new(value))
    }

    fn lock(&self) -> Guard<'_, T> {
        Guard(self.0.lock())
    }
}

/// A readers/writer lock.
pub struct RwLock<T>(parking_lot::RwLock<T>);

impl<T: Send + Sync> lock::RwLock<T> for RwLock<T> {
    type ReadGuard<'a>
        = parking_lot::RwLockReadGuard<'a, T>
    where
        T: 'a;
    type WriteGuard<'a>
        = parking_lot::RwLockWriteGuard<'a, T>
    where
        T: 'a;

    fn new(value: T, _class: LockClass) -> Self {
        RwLock(parking_lot::RwLock::new(value))
    }

    fn read(&self) -> Self::ReadGuard<'_> {
        self.0.read()
    }

    fn write(&self) -> Self::WriteGuard<'_> {
        self.0.write()
    }
}

/// A place for a shared value that is set once.
pub struct Once<T>(OnceLock<Arc<T>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Once(OnceLock::new())
    }
}

impl<T: Send + Sync> lock::Once<T> for Once<T> {
    fn get(&self) -> Option<&T> {
        self.0.get().map(|value| &**value)
    }

    fn set(&self, value: Arc<T>) -> bool {
        self.0.set(value).is_ok()
    }

    fn copy(&self) -> Self {
        Once(self.0.clone())
    }
}
