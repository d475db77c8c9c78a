//! The framework itself: the platform, the table of contexts and softlocks, and counts of what is live.

use alloc::sync::Arc;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::handle::Handle;
use crate::lock::{LockClass, Mutex as _};
use crate::platform::Platform;
use crate::registry::Registry;
use crate::state::Shape;

/// The devmap framework over a platform. One for a whole system; shared by reference.
pub struct Framework<P: Platform> {
    pub(crate) platform: P,
    pub(crate) registry: P::Mutex<Registry<P>>,
    next_mapping: AtomicU64,
    /// Number of segments of one handle.
    pub(crate) ones: AtomicUsize,
    /// Number of other segments, and of their handles.
    pub(crate) manys: AtomicUsize,
    pub(crate) handles: AtomicUsize,
}

/// How many of the framework's objects exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Live {
    /// Handles of segments.
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
            ones: AtomicUsize::new(0),
            manys: AtomicUsize::new(0),
            handles: AtomicUsize::new(0),
        }
    }

    /// Returns the platform.
    #[inline]
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// How many objects exist now. All zero when nothing is mapped.
    pub fn live(&self) -> Live {
        let (contexts, softlocks) = self.registry.lock().live();
        Live {
            handles: self.ones.load(Relaxed) + self.handles.load(Relaxed),
            segments: self.segments(),
            contexts,
            softlocks,
        }
    }

    /// How many segments exist now.
    pub fn segments(&self) -> usize {
        self.ones.load(Relaxed) + self.manys.load(Relaxed)
    }

    /// A name for a new mapping.
    #[inline(always)]
    pub(crate) fn new_mapping(&self) -> NonZeroU64 {
        // Odd numbers, which do not run out.
        NonZeroU64::MIN | self.next_mapping.fetch_add(2, Relaxed)
    }

    /// Frees a handle that has no translations: gives up its context and softlock, and refuses every later call with it.
    #[cold]
    #[inline(never)]
    pub(crate) fn free_handle(&self, handle: &Arc<Handle<P>>) {
        // Dropped after the lock is let go: the last reference to kernel memory may go with it.
        let object = {
            let mut st = handle.lock();
            st.mark(Shape::DYING, true);
            st.take_object()
        };
        drop(object);
        if let Some(shared) = handle.shared() {
            self.release(shared);
        }
        self.freed(handle);
    }

    /// A handle is dead.
    #[inline(always)]
    pub(crate) fn freed(&self, handle: &Arc<Handle<P>>) {
        handle.bury();
        self.platform.handle_freed(handle);
    }
}
