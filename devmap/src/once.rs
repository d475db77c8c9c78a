//! [`OnceArc`]: a shared value that is set when it is first needed. No lock: any context.

use alloc::sync::Arc;
use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::Ordering::{AcqRel, Acquire};

use crate::atomic::AtomicPtr;

/// An [`Arc`] that is set once, or never.
///
/// ```
/// use std::sync::Arc;
///
/// use devmap::once::OnceArc;
///
/// let table = OnceArc::new();
/// assert!(table.get().is_none());
/// assert_eq!(table.set(Arc::new(1)), Ok(&1));
/// assert_eq!(table.set(Arc::new(2)), Err(Arc::new(2))); // one is there
/// let mut other = OnceArc::from(table.share());
/// drop(table);
/// assert_eq!((other.take(), other.get()), (Some(Arc::new(1)), None));
/// ```
///
/// # Invariants
/// The pointer is null, or from `Arc::into_raw`, and does not change then as long as this is shared.
pub struct OnceArc<T> {
    value: AtomicPtr<T>,
    owns: PhantomData<Arc<T>>,
}

impl<T> OnceArc<T> {
    /// Creates one that is not set.
    pub const fn new() -> OnceArc<T> {
        OnceArc { value: AtomicPtr::new(ptr::null_mut()), owns: PhantomData }
    }

    /// Returns the value, if it is set.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: null, or by the invariant a value that this owns.
        unsafe { self.value.load(Acquire).as_ref() }
    }

    /// Sets the value and returns it; gives it back if another is set already.
    pub fn set(&self, value: Arc<T>) -> Result<&T, Arc<T>> {
        let made = Arc::into_raw(value).cast_mut();
        match self.value.compare_exchange(ptr::null_mut(), made, AcqRel, Acquire) {
            // SAFETY: by the invariant a value that this owns.
            Ok(_) => Ok(unsafe { &*made }),
            // SAFETY: from `Arc::into_raw`, and not set.
            Err(_) => Err(unsafe { Arc::from_raw(made) }),
        }
    }

    /// Takes the value out, if it is set.
    pub fn take(&mut self) -> Option<Arc<T>> {
        let value = core::mem::replace(self.value.get_mut(), ptr::null_mut());
        // SAFETY: null, or by the invariant from `Arc::into_raw`, and not here any more.
        (!value.is_null()).then(|| unsafe { Arc::from_raw(value) })
    }

    /// Returns another reference to the value, if it is set.
    pub fn share(&self) -> Option<Arc<T>> {
        let value = ptr::from_ref(self.get()?);
        // SAFETY: by the invariant from `Arc::into_raw`, with a reference of this.
        unsafe { Arc::increment_strong_count(value) };
        // SAFETY: the reference that was just counted.
        Some(unsafe { Arc::from_raw(value) })
    }
}

impl<T> From<Option<Arc<T>>> for OnceArc<T> {
    fn from(value: Option<Arc<T>>) -> OnceArc<T> {
        let value = value.map_or(ptr::null_mut(), |value| Arc::into_raw(value).cast_mut());
        OnceArc { value: AtomicPtr::new(value), owns: PhantomData }
    }
}

impl<T> Default for OnceArc<T> {
    fn default() -> OnceArc<T> {
        OnceArc::new()
    }
}

impl<T> Drop for OnceArc<T> {
    #[inline]
    fn drop(&mut self) {
        drop(self.take());
    }
}
