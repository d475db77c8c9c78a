//! Entries that handles share: the driver's callbacks, and the context and softlock of their access callback.
//!
//! Locking: none of its own; the number of handles says under which lock it changes.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering::Acquire, Ordering::Relaxed};

use crate::context::Context;
use crate::keyed::{Key, Keyed};
use crate::platform::{Callbacks as _, Platform};
use crate::softlock::Softlock;

/// Entry for all handles of a device that have the same callbacks. It does not change.
pub(crate) struct Shared<P: Platform> {
    instance: u64,
    dev: u64,
    pub callbacks: P::Callbacks,
    /// With an access callback.
    pub turns: Option<Turns<P>>,
    /// Number of handles that use it: up with the registry's lock held or by a handle that uses it already, so zero is final
    /// with the lock held.
    pub handles: AtomicUsize,
}

/// Context and softlock by which the handles of an access callback take turns.
pub(crate) struct Turns<P: Platform> {
    pub ctx: Arc<Context<P>>,
    pub softlock: Arc<Softlock<P>>,
}

impl<P: Platform> Clone for Turns<P> {
    fn clone(&self) -> Self {
        Self { ctx: self.ctx.clone(), softlock: self.softlock.clone() }
    }
}

impl<P: Platform> Keyed for Shared<P> {
    fn key(&self) -> Key {
        Self::name(self.dev, &self.callbacks)
    }
}

impl<P: Platform> Shared<P> {
    pub(crate) fn new(instance: u64, dev: u64, callbacks: P::Callbacks, turns: Option<Turns<P>>) -> Self {
        Self { instance, dev, callbacks, turns, handles: AtomicUsize::new(0) }
    }

    /// The name to find it by.
    pub(crate) fn name(dev: u64, callbacks: &P::Callbacks) -> Key {
        (dev, callbacks.hash())
    }

    /// Whether it is what such handles share.
    #[inline(always)]
    pub(crate) fn is(&self, instance: u64, dev: u64, callbacks: &P::Callbacks) -> bool {
        self.instance == instance && self.dev == dev && self.callbacks == *callbacks
    }

    /// Whether it is of this device and has this access callback.
    pub(crate) fn is_access(&self, dev: u64, callbacks: &P::Callbacks) -> bool {
        self.dev == dev && self.callbacks.access_id() == callbacks.access_id()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.handles.load(Acquire) == 0
    }

    /// One more handle, made from another that uses it.
    #[inline(always)]
    pub(crate) fn count(&self) {
        self.handles.fetch_add(1, Relaxed);
    }

    /// Takes a handle back that was counted and is not made.
    pub(crate) fn uncount(&self) {
        self.handles.fetch_sub(1, Relaxed);
    }
}
