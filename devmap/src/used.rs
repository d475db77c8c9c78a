//! [`Part`]s of this crate that a driver may do without, and a flag for each that is set when it is used. A part that nothing uses is not linked into the module.
//!
//! Some of what a callback has to do depends on what the driver may have done before: remapped the mapping, pinned memory. The functions by which it does that set a flag, and the callbacks
//! look at the flag before they go that way. Where nothing sets a flag the compiler knows its value, and what is behind it is not linked.
//! Code that only callbacks reach sets no flag: behind one flag it would set another, and both would stay.
//!
//! Nothing but that relies on a flag. It is set before the first value for which it matters, and stays set. In a program into which several drivers are linked it is everybody's. No locks, any context.

use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

/// A part of this crate that a driver may do without.
pub(crate) trait Part {
    #[doc(hidden)]
    fn flag() -> &'static AtomicBool;

    /// It is used, from now on.
    #[inline(always)]
    fn is_needed() {
        Self::flag().store(true, Relaxed);
    }

    /// Returns whether it was ever used.
    #[inline(always)]
    fn is_used() -> bool {
        Self::flag().load(Relaxed)
    }
}

macro_rules! parts {
    ($($(#[$attribute:meta])* $name:ident)*) => {$(
        $(#[$attribute])*
        pub(crate) struct $name;

        impl Part for $name {
            #[inline(always)]
            fn flag() -> &'static AtomicBool {
                static USED: AtomicBool = AtomicBool::new(false);
                &USED
            }
        }
    )*};
}

parts! {
    /// Context switches of several threads at once.
    Crowds
    /// Objects that are ended after their own routine has returned.
    Ends
    /// Fault management.
    Faults
    /// Mappings that an engine serves alone.
    Owners
    /// Pages of a mapping with memory of their own.
    Pages
    /// Pinned memory of processes.
    Pins
    /// Parts of a mapping's state that few have.
    Rarities
    /// Register sets.
    Registers
    /// Mappings that are pointed at other memory.
    Remaps
    /// Sets that a driver puts mappings into.
    Sets
    /// Tasks that are done when no lock is held.
    Tasks
    /// Unloading translations.
    Unloads
}

/// Mappings are pointed at other memory, which unloads them.
#[inline(always)]
pub(crate) fn remaps() {
    Remaps::is_needed();
    Unloads::is_needed();
}

/// A value that only those have who use a part. What drops it is not linked if nothing makes one.
pub(crate) struct Of<P: Part, T>(ManuallyDrop<T>, PhantomData<fn() -> P>);

impl<P: Part, T> Of<P, T> {
    #[inline]
    pub(crate) fn new(value: T) -> Of<P, T> {
        P::is_needed();
        Of(ManuallyDrop::new(value), PhantomData)
    }

    /// The value, for [`again`](Of::again).
    #[inline]
    pub(crate) fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: this once; it is not used any more, nor dropped.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }

    /// A value that was one of these.
    #[inline]
    pub(crate) fn again(value: T) -> Of<P, T> {
        Of(ManuallyDrop::new(value), PhantomData)
    }
}

impl<P: Part, T: Clone> Clone for Of<P, T> {
    #[inline]
    fn clone(&self) -> Of<P, T> {
        Of(self.0.clone(), PhantomData)
    }
}

impl<P: Part, T> Deref for Of<P, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<P: Part, T> DerefMut for Of<P, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<P: Part, T> Drop for Of<P, T> {
    #[inline]
    fn drop(&mut self) {
        if P::is_used() {
            // SAFETY: this once; the value is not used any more.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}
