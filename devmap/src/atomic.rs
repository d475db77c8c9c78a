//! This crate's atomics: `core`'s. With the feature `model` a model checker is told of each access, and of each mutex what it is for; no kernel and no host has that feature.

#[cfg(not(feature = "model"))]
pub(crate) use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
};

#[cfg(feature = "model")]
pub(crate) use watched::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
};
#[cfg(feature = "model")]
pub use watched::{Watch, watch};

/// A mutex that was made holds a `T`.
#[cfg(feature = "model")]
pub(crate) use watched::is_mutex_of;

/// The same, with nobody to be told.
#[cfg(not(feature = "model"))]
#[inline(always)]
pub(crate) fn is_mutex_of<T: ?Sized>(_word: *mut ddi_sys::kmutex_t) {}

#[cfg(feature = "model")]
mod watched {
    use core::ptr;
    use core::sync::atomic::{self, Ordering};

    /// Functions that a model checker has called.
    pub struct Watch {
        /// An atomic of so many bytes is about to be accessed. Other threads may run meanwhile.
        pub access: fn(at: *const u8, len: usize),
        /// A mutex was initialised, for a value of the type with this name.
        pub mutex: fn(word: *const (), of: &'static str),
    }

    static WATCH: atomic::AtomicPtr<Watch> = atomic::AtomicPtr::new(ptr::null_mut());

    /// From now on these are called.
    pub fn watch(watch: &'static Watch) {
        WATCH.store(ptr::from_ref(watch).cast_mut(), Ordering::Release);
    }

    fn watcher() -> Option<&'static Watch> {
        // SAFETY: null, or from `watch`, for good.
        unsafe { WATCH.load(Ordering::Acquire).as_ref() }
    }

    pub(crate) fn is_mutex_of<T: ?Sized>(word: *mut ddi_sys::kmutex_t) {
        if let Some(watch) = watcher() {
            (watch.mutex)(word.cast_const().cast(), core::any::type_name::<T>());
        }
    }

    fn accessed<T>(what: &T) {
        if let Some(watch) = watcher() {
            (watch.access)(ptr::from_ref(what).cast(), size_of::<T>());
        }
    }

    macro_rules! atomics {
        ($($name:ident $(<$parameter:ident>)? of $value:ty;)*) => {
            $(
                /// `core`'s, watched.
                #[repr(transparent)]
                pub(crate) struct $name $(<$parameter>)? (atomic::$name $(<$parameter>)?);

                #[allow(dead_code, reason = "each of them has all functions")]
                impl $(<$parameter>)? $name $(<$parameter>)? {
                    pub(crate) const fn new(value: $value) -> Self {
                        Self(atomic::$name::new(value))
                    }

                    fn get(&self) -> &atomic::$name $(<$parameter>)? {
                        accessed(&self.0);
                        &self.0
                    }

                    pub(crate) fn load(&self, order: Ordering) -> $value {
                        self.get().load(order)
                    }

                    pub(crate) fn store(&self, value: $value, order: Ordering) {
                        self.get().store(value, order);
                    }

                    pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                        self.get().swap(value, order)
                    }

                    pub(crate) fn compare_exchange(
                        &self,
                        old: $value,
                        new: $value,
                        order: Ordering,
                        otherwise: Ordering,
                    ) -> Result<$value, $value> {
                        self.get().compare_exchange(old, new, order, otherwise)
                    }

                    pub(crate) fn fetch_update(
                        &self,
                        order: Ordering,
                        otherwise: Ordering,
                        mut change: impl FnMut($value) -> Option<$value>,
                    ) -> Result<$value, $value> {
                        let mut old = self.load(otherwise);
                        while let Some(new) = change(old) {
                            match self.compare_exchange(old, new, order, otherwise) {
                                Err(now) => old = now,
                                done => return done,
                            }
                        }
                        Err(old)
                    }

                    pub(crate) const fn as_ptr(&self) -> *mut $value {
                        self.0.as_ptr()
                    }

                    pub(crate) fn get_mut(&mut self) -> &mut $value {
                        self.0.get_mut()
                    }
                }
            )*
        };
    }
    atomics! {
        AtomicBool of bool;
        AtomicU8 of u8;
        AtomicU16 of u16;
        AtomicU32 of u32;
        AtomicI32 of i32;
        AtomicU64 of u64;
        AtomicUsize of usize;
        AtomicPtr<T> of *mut T;
    }

    macro_rules! numbers {
        ($($name:ident of $value:ty;)*) => {
            $(
                #[allow(dead_code, reason = "each of them has all functions")]
                impl $name {
                    pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                        self.get().fetch_add(value, order)
                    }

                    pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                        self.get().fetch_sub(value, order)
                    }
                }

                impl Default for $name {
                    fn default() -> Self {
                        Self::new(0)
                    }
                }
            )*
        };
    }
    numbers! {
        AtomicU8 of u8;
        AtomicU16 of u16;
        AtomicU32 of u32;
        AtomicI32 of i32;
        AtomicU64 of u64;
        AtomicUsize of usize;
    }

    impl<T> AtomicPtr<T> {
        /// # Safety
        /// As of `core`'s.
        pub(crate) unsafe fn from_ptr<'a>(place: *mut *mut T) -> &'a AtomicPtr<T> {
            // SAFETY: a value of one field has that field's layout; the rest is the caller's.
            unsafe { &*place.cast() }
        }
    }
}
