//! [`counters!`](crate::counters!): a struct of 64-bit counters that is also a kstat. Counting: any context, no lock.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

use ddi_sys as sys;

use super::made::{Made, name_value};
use crate::errno::Error;
use crate::node::Node;

/// A set of `N` named 64-bit values, visible until dropped: `kstat_create(9F)`.
///
/// Made by [`counters!`](crate::counters!), which gives the values names in Rust too.
pub struct Kstat<const N: usize> {
    _kstat: Made,
    values: NonNull<sys::kstat_named_t>,
}

// SAFETY: the kernel's structure is reached through atomics only.
unsafe impl<const N: usize> Send for Kstat<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Sync for Kstat<N> {}

impl<const N: usize> Kstat<N> {
    /// Creates a set `driver:instance:name` of class "misc" with these values, all zero. User or kernel context.
    ///
    /// Fails with `EINVAL` for a name that is too long, with `ENOMEM` if the kernel refuses (also when the name is taken).
    pub fn new(node: &Node<'_>, set: &str, names: &[&str; N]) -> Result<Kstat<N>, Error> {
        let kstat = Made::new(node, set, c"misc", sys::KSTAT_TYPE_NAMED, N, 0)?;
        let values: NonNull<sys::kstat_named_t> = kstat.data()?;
        for (index, text) in names.iter().enumerate() {
            // SAFETY: the kernel allocated `N` values, and `index` is less.
            let value = unsafe { values.add(index) };
            // SAFETY: a value of ours.
            unsafe { name_value(value.as_ptr(), text, sys::KSTAT_DATA_UINT64) }?;
        }
        kstat.install();
        Ok(Kstat { _kstat: kstat, values })
    }

    /// Returns the value of this index, in the order of the names, or None beyond the last.
    #[inline]
    pub fn value(&self, index: usize) -> Option<&AtomicU64> {
        if index >= N {
            return None;
        }
        // SAFETY: less than `N`.
        let value = unsafe { self.values.add(index) };
        // SAFETY: within the structure; no reference is made, for the kernel may be reading.
        let number = unsafe { &raw mut (*value.as_ptr()).value.ui64 };
        // SAFETY: eight aligned bytes that live as long as self; the kernel only copies them out.
        Some(unsafe { AtomicU64::from_ptr(number) })
    }
}

/// One value of a set made by [`counters!`](crate::counters!).
#[derive(Clone, Copy)]
pub struct Counter<'a>(&'a AtomicU64);

impl<'a> Counter<'a> {
    #[doc(hidden)]
    pub fn of(value: Option<&'a AtomicU64>) -> Counter<'a> {
        // The macro's indices are all there; a value that is not shown is better than a panic in a callback.
        static NOWHERE: AtomicU64 = AtomicU64::new(0);
        Counter(value.unwrap_or(&NOWHERE))
    }

    /// Adds `n`.
    pub fn add(self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Subtracts `n`, for values that count what exists.
    pub fn sub(self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// Sets the value.
    pub fn set(self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Sets the value to `new` if it is `old`.
    pub fn replace(self, old: u64, new: u64) {
        let _ = self.0.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Returns the value.
    pub fn get(self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A struct of counters that is also a kstat.
///
/// ```no_run
/// devmap::counters! {
///     /// What the device has done.
///     pub struct Stats { faults, switches }
/// }
/// # fn f(node: &devmap::Node<'_>) -> Result<(), devmap::Error> {
/// let stats = Stats::new(node, "mydriver")?; // kstat -m mydriver
/// stats.faults().add(1);
/// for (name, value) in stats.iter() {
///     devmap::note!("{name}: {value}");
/// }
/// # Ok(()) }
/// ```
#[macro_export]
macro_rules! counters {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$fmeta:meta])* $field:ident),+ $(,)? }) => {
        $(#[$meta])*
        $vis struct $name($crate::kstat::Kstat<{ [$(::core::stringify!($field)),+].len() }>);

        const _: () = {
            #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
            #[derive(Clone, Copy)]
            enum Index { $($field),+ }

            const NAMES: &[&str; $name::COUNT] = &[$(::core::stringify!($field)),+];

            impl $name {
                /// Number of counters.
                pub const COUNT: usize = [$(::core::stringify!($field)),+].len();

                /// Creates the counters of one instance, all zero, shown as kstat `driver:instance:name`.
                pub fn new(
                    node: &$crate::Node<'_>,
                    name: &str,
                ) -> ::core::result::Result<Self, $crate::Error> {
                    $crate::kstat::Kstat::new(node, name, NAMES).map($name)
                }

                /// Returns the counters, in order.
                pub fn values(&self) -> [u64; Self::COUNT] {
                    let mut values = [0; Self::COUNT];
                    for (value, (_, now)) in values.iter_mut().zip(self.iter()) {
                        *value = now;
                    }
                    values
                }

                /// Returns the counters by name, in order.
                pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                    NAMES.iter().enumerate().map(|(index, name)| {
                        (*name, $crate::kstat::Counter::of(self.0.value(index)).get())
                    })
                }

                $($(#[$fmeta])*
                #[doc = ::core::concat!("The counter `", ::core::stringify!($field), "`.")]
                pub fn $field(&self) -> $crate::kstat::Counter<'_> {
                    $crate::kstat::Counter::of(self.0.value(Index::$field as usize))
                })+
            }

            impl ::core::fmt::Display for $name {
                /// `NAME VALUE`, one behind the other.
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    let mut before = "";
                    for (name, value) in self.iter() {
                        ::core::write!(f, "{before}{name} {value}")?;
                        before = " ";
                    }
                    Ok(())
                }
            }
        };
    };
}
