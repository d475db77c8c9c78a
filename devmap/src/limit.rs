//! [`Limit`]: a limit on the number of something. No lock, any context.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use crate::atomic::AtomicU64;

struct Inner {
    taken: AtomicU64,
    most: AtomicU64,
}

/// A number of permits, which may be changed while permits are in use. Clones are the same limit.
///
/// ```
/// let limit = devmap::Limit::new(1);
/// let permit = limit.take();
/// assert!(permit.is_some() && limit.take().is_none());
/// drop(permit);
/// assert_eq!(limit.taken(), 0);
/// ```
#[derive(Clone)]
pub struct Limit(Arc<Inner>);

/// One of the permits of a [`Limit`], returned when dropped.
pub struct Permit(Limit);

impl Limit {
    /// Creates a limit of `most` permits; 0: no limit.
    pub fn new(most: u64) -> Limit {
        Limit(Arc::new(Inner { taken: AtomicU64::new(0), most: AtomicU64::new(most) }))
    }

    /// Changes the number. Permits in use stay valid.
    pub fn set(&self, most: u64) {
        self.0.most.store(most, Ordering::Relaxed);
    }

    /// Returns the number of permits in use.
    pub fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// Returns a permit, if one is left.
    pub fn take(&self) -> Option<Permit> {
        let most = self.0.most.load(Ordering::Relaxed);
        let more = |n: u64| (most == 0 || n < most).then_some(n + 1);
        self.0.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Permit(self.clone()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
