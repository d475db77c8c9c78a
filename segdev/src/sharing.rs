//! Finding and releasing the entries that handles share.
//!
//! Locking: the registry's lock, an inner one, to find an entry and when the last handle gives one up.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use crate::framework::Framework;
use crate::handle::{Handle, Sharing};
use crate::lock::Mutex as _;
use crate::platform::Platform;
use crate::shared::Shared;

impl<P: Platform> Framework<P> {
    /// Returns the entry of this device and these callbacks for one more handle, a new one if there is none. `None` when there is no memory for it.
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

    /// Releases a handle's entry.
    #[inline(always)]
    pub(crate) fn release(&self, shared: &Shared<P>) {
        if shared.handles.fetch_sub(1, AcqRel) == 1 {
            self.release_last(shared);
        }
    }

    /// Removes an entry that no handle uses. The last reference to a context cancels its timer.
    #[cold]
    #[inline(never)]
    fn release_last(&self, shared: &Shared<P>) {
        let removed = self.registry.lock().idle(shared);
        for ctx in removed.iter().flatten().filter_map(|removed| removed.context.as_ref()) {
            ctx.retire(&self.platform);
        }
    }

    /// Returns how many handles share this one's context and softlock; `None` when it has none. Takes the registry's lock where mappings of other device numbers or
    /// with other callbacks share them, too; then the context's.
    pub fn sharing(&self, handle: &Handle<P>) -> Option<Sharing> {
        let shared = handle.shared()?;
        let turns = shared.turns.as_ref()?;
        let (contexts, softlocks) = if (turns.ctx.users(), turns.softlock.users()) == (1, 1) {
            let handles = shared.handles.load(Relaxed);
            (handles, handles)
        } else {
            self.registry.lock().handles(turns)
        };
        Some(Sharing { contexts, softlocks, owned: turns.ctx.is_owned() })
    }

    /// Frees the memory that is kept for the next mapping: for a platform that is going to end, or to forget a driver.
    pub fn trim(&self) {
        let mut registry = self.registry.lock();
        let last = registry.forget_last();
        registry.trim();
        drop(registry);
        drop(last);
    }
}
