//! What handles share: the driver's callbacks, and what their access callbacks take turns by.
//!
//! Locking: the registry's lock, an inner one, to find an entry and when the last handle gives one up.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};

use crate::context::Context;
use crate::framework::Framework;
use crate::handle::{Handle, Sharing};
use crate::keyed::{Key, Keyed};
use crate::lock::Mutex as _;
use crate::platform::{Callbacks as _, Platform};
use crate::softlock::Softlock;

/// What all handles have in common that a device has with the same callbacks. It does not change.
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

/// What an access callback's handles take turns by.
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

impl<P: Platform> Framework<P> {
    /// What handles of this device with these callbacks share, for one more; made if it is new. `None` when there is no memory for it.
    #[inline(always)]
    pub(crate) fn share(&self, instance: u64, dev: u64, callbacks: &P::Callbacks) -> Option<Arc<Shared<P>>> {
        let mut registry = self.registry.lock();
        if let Some(last) = &registry.last
            && last.is(instance, dev, callbacks)
        {
            last.count();
            return Some(last.clone());
        }
        let (shared, removed) = registry.share(instance, dev, callbacks);
        // What goes is dropped without the lock.
        drop(registry);
        drop(removed);
        shared
    }

    /// A handle gives up what it shares.
    #[inline(always)]
    pub(crate) fn release(&self, shared: &Shared<P>) {
        if shared.handles.fetch_sub(1, AcqRel) == 1 {
            self.release_last(shared);
        }
    }

    /// The last handle has given it up. The last reference to a context cancels its timer.
    #[cold]
    #[inline(never)]
    fn release_last(&self, shared: &Shared<P>) {
        let removed = self.registry.lock().idle(shared);
        for ctx in removed.iter().flatten().filter_map(|removed| removed.context.as_ref()) {
            ctx.retire(&self.platform);
        }
    }

    /// Who else shares the handle's context and softlock; `None` when it has none. Takes the registry's lock, then the context's.
    pub fn sharing(&self, handle: &Handle<P>) -> Option<Sharing> {
        let turns = handle.turns()?;
        let (contexts, softlocks) = self.registry.lock().handles(turns);
        Some(Sharing { contexts, softlocks, owned: turns.ctx.is_owned() })
    }

    /// Gives back all memory that is kept for the next mapping: for a platform that is going to end, or to forget a driver.
    pub fn trim(&self) {
        let mut registry = self.registry.lock();
        let last = registry.forget_last();
        registry.trim();
        drop(registry);
        drop(last);
    }
}
