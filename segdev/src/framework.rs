//! The framework itself: the platform, the table of contexts and softlocks, and counts of what is live.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::handle::{Handle, Stage};
use crate::lock::{LockClass, Mutex as _};
use crate::platform::Platform;
use crate::registry::Registry;

/// The devmap framework over a platform. One for a whole system; shared by reference.
pub struct Framework<P: Platform> {
    pub(crate) platform: P,
    pub(crate) registry: P::Mutex<Registry<P>>,
    next_mapping: AtomicU64,
    pub(crate) handles: AtomicUsize,
    pub(crate) segments: AtomicUsize,
}

/// How many of the framework's objects exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Live {
    /// Handles.
    pub handles: usize,
    /// Segments.
    pub segments: usize,
    /// Contexts.
    pub contexts: usize,
    /// Softlocks.
    pub softlocks: usize,
}

impl<P: Platform> Framework<P> {
    /// A framework with nothing mapped.
    pub fn new(platform: P) -> Self {
        Self::with(platform, P::Mutex::new(Registry::new(), LockClass::Registry))
    }

    /// The same with a registry that is new, locked by [`LockClass::Registry`].
    pub const fn with(platform: P, registry: P::Mutex<Registry<P>>) -> Self {
        Self {
            platform,
            registry,
            next_mapping: AtomicU64::new(1),
            handles: AtomicUsize::new(0),
            segments: AtomicUsize::new(0),
        }
    }

    /// The world round it.
    #[inline]
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// How many objects exist now. All zero when nothing is mapped.
    pub fn live(&self) -> Live {
        let registry = self.registry.lock();
        Live {
            handles: self.handles.load(Relaxed),
            segments: self.segments.load(Relaxed),
            contexts: registry.contexts.len(),
            softlocks: registry.softlocks.len(),
        }
    }

    /// How many segments exist now.
    pub fn segments(&self) -> usize {
        self.segments.load(Relaxed)
    }

    /// A name for a new mapping.
    pub(crate) fn new_mapping(&self) -> u64 {
        self.next_mapping.fetch_add(1, Relaxed)
    }

    /// Frees a handle: gives up its context and softlock, and refuses every later call with it.
    pub(crate) fn free_handle(&self, handle: &Arc<Handle<P>>) {
        // Dropped after the lock is let go: the last reference to kernel memory may go with it.
        let (shared, object) = {
            let mut st = handle.lock();
            st.stage = Stage::Dead;
            (st.shared.take(), st.take_object())
        };
        drop(object);
        if let Some(shared) = shared {
            self.release_shared(shared);
        }
        self.freed(handle);
    }

    /// A handle is dead.
    #[inline]
    pub(crate) fn freed(&self, handle: &Arc<Handle<P>>) {
        self.handles.fetch_sub(1, Relaxed);
        self.platform.handle_freed(handle);
    }
}
