//! The locks that a platform supplies, and the order in which segdev takes them.
//!
//! # The lock order
//!
//! 1. [`LockClass::Space`]: readers/writer, one per address space, taken by [`crate::space`] only. **Held while the
//!    driver's `access` callback runs** (as reader), and its `unmap` and `dup` callbacks (as writer); not held
//!    during `devmap` and `map`, nor while a thread waits for a context or a softlock. fork takes the parent's, then the child's.
//! 2. One of the inner locks, each a leaf: [`LockClass::Handle`], [`LockClass::Registry`], [`LockClass::Context`],
//!    [`LockClass::Softlock`], [`LockClass::Mmaps`]. No thread ever holds two inner locks, and **no inner lock is held across a driver
//!    callback**. So a driver may call any function that takes a handle from any callback, on any handle of any process, with its
//!    own mutexes held: such a call takes one inner lock for a bounded time and no space lock.
//! 3. The platform's own locks: translations are loaded, unloaded and re-protected with the handle's lock held, timers are
//!    armed with the context's lock held. The platform must not call back into segdev from there.
//!
//! A fault reads a handle without its lock until it calls the driver: bounds do not change while the space is locked,
//! and what the handle shares with others is set once ([`Once`]). A call of the access callback so takes the softlock's lock twice, the load in it
//! the handle's once, and a context without a timeout takes none.
//!
//! Every lock is created with its class, so that a platform can assert the order (the model checker's does).

use alloc::sync::Arc;
use core::ops::{Deref, DerefMut};

/// What a lock protects, and so its place in the order (see the module's text).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockClass {
    /// The segments of one address space.
    Space,
    /// The state of one handle and, against each other, all changes of its translations.
    Handle,
    /// The tables of callbacks, contexts and softlocks.
    Registry,
    /// Who owns one device context.
    Context,
    /// Who has soft-locked what through one access callback.
    Softlock,
    /// How many mmaps of an address space have come to their end.
    Mmaps,
}

impl LockClass {
    /// 0 for the outer lock, 1 for the inner ones, of which no thread holds two.
    pub const fn rank(self) -> u32 {
        match self {
            Self::Space => 0,
            Self::Handle | Self::Registry | Self::Context | Self::Softlock | Self::Mmaps => 1,
        }
    }
}

/// A mutual exclusion lock. Never taken recursively.
pub trait Mutex<T>: Send + Sync {
    /// Unlocks when dropped.
    type Guard<'a>: DerefMut<Target = T>
    where
        Self: 'a,
        T: 'a;

    /// A lock of this class around `value`.
    fn new(value: T, class: LockClass) -> Self;
    /// Waits for the lock and takes it. Not interruptible.
    fn lock(&self) -> Self::Guard<'_>;
}

/// A readers/writer lock. Never taken recursively by segdev itself.
pub trait RwLock<T>: Send + Sync {
    /// Lets the value be read, unlocks when dropped.
    type ReadGuard<'a>: Deref<Target = T>
    where
        Self: 'a,
        T: 'a;
    /// Lets the value be changed, unlocks when dropped.
    type WriteGuard<'a>: DerefMut<Target = T>
    where
        Self: 'a,
        T: 'a;

    /// A lock of this class around `value`.
    fn new(value: T, class: LockClass) -> Self;
    /// Takes it as one reader among others.
    fn read(&self) -> Self::ReadGuard<'_>;
    /// Takes it as the only one.
    fn write(&self) -> Self::WriteGuard<'_>;
}

/// A place for a shared value that is set once and then read without a lock.
pub trait Once<T>: Default + Send + Sync {
    /// The value, once it was set.
    fn get(&self) -> Option<&T>;
    /// Sets the value. Returns false, and drops it, if there is one.
    fn set(&self, value: Arc<T>) -> bool;
    /// Another place with the same value.
    fn copy(&self) -> Self;
}
