//! Statistics that `kstat(8)` shows, of all types.
//!
//! | | what | kept by |
//! | --- | --- | --- |
//! | [`counters!`](crate::counters!) | named 64-bit counters | atomics: any context, any lock held |
//! | [`named!`](crate::named!), [`Named`] | named values of all types, brought up to date when somebody reads | a mutex |
//! | [`Io`] | what waits and what runs, and for how long | a mutex |
//! | [`Counts`] | interrupts by kind | atomics |
//! | [`Timers`] | how often something was done, and how long it took | a mutex |
//! | [`Raw`] | a structure of the driver's own | a mutex |
//!
//! The mutex is one that an interrupt handler may take ([`Priority`](crate::interrupt::Priority)); the kernel holds it while somebody reads. All are made in user or kernel
//! context, and visible until dropped, which must not be done with that mutex held.

mod counts;
mod io;
mod named;
mod raw;
mod timers;

use core::ffi::CStr;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

use ddi_sys as sys;

use crate::errno::{Errno, Error};
use crate::node::Node;
use crate::text::Text;

pub use counts::Counts;
pub use io::{Io, IoGuard, Running, Waiting};
pub use named::{Field, Fields, Label, Line, Named, NamedGuard};
pub use raw::{Raw, RawGuard};
pub use timers::Timers;

const NO_MEMORY: Error = Error::new(Errno::ENOMEM, "kstat_create(9F)", "no memory, or the name is taken");
const TOO_LONG: Error = Error::new(Errno::EINVAL, "kstat_create(9F)", "a name is longer than 30 bytes");

type Name = Text<{ sys::KSTAT_STRLEN as usize }>;

fn name(text: &str) -> Result<Name, Error> {
    Name::name(text).ok_or(TOO_LONG)
}

/// A kstat that was made, deleted when dropped.
struct Made(NonNull<sys::kstat_t>);

// SAFETY: the kernel's structure belongs to no thread, and is deleted once.
unsafe impl Send for Made {}
// SAFETY: what it is used for synchronises itself.
unsafe impl Sync for Made {}

impl Made {
    /// A set `driver:instance:set` that is not visible yet.
    fn new(
        node: &Node<'_>,
        set: &str,
        class: &CStr,
        kind: u8,
        count: usize,
        flags: u8,
    ) -> Result<Made, Error> {
        let set = name(set)?;
        let count = u32::try_from(count).map_err(|_| TOO_LONG)?;
        let (driver, instance) = (node.driver_name().as_ptr(), node.instance());
        // SAFETY: the strings end in NUL, and are copied.
        let kstat =
            unsafe { sys::kstat_create(driver, instance, set.as_ptr(), class.as_ptr(), kind, count, flags) };
        NonNull::new(kstat).map(Made).ok_or(NO_MEMORY)
    }

    /// The kernel's structure, to be filled in before it is installed.
    fn get(&self) -> *mut sys::kstat_t {
        self.0.as_ptr()
    }

    /// Data, allocated by the kernel.
    fn data<T>(&self) -> Result<NonNull<T>, Error> {
        // SAFETY: not installed yet, so nobody else looks at it; or this field is not changed any more.
        let data = unsafe { (*self.get()).ks_data };
        NonNull::new(data.cast()).ok_or(NO_MEMORY)
    }

    /// The kernel takes this lock while somebody reads.
    ///
    /// # Safety
    /// It is not installed, and the lock lives longer than self.
    unsafe fn set_lock(&self, lock: *mut sys::kmutex_t) {
        // SAFETY: the caller's: nobody else looks at it.
        unsafe { (*self.get()).ks_lock = lock.cast() };
    }

    /// Makes it visible.
    fn install(&self) {
        // SAFETY: from kstat_create, filled in.
        unsafe { sys::kstat_install(self.get()) };
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // SAFETY: from kstat_create, deleted once. Waits until nobody reads.
        unsafe { sys::kstat_delete(self.get()) };
    }
}

/// A set of named 64-bit values, visible until dropped: `kstat_create(9F)`.
///
/// Made by [`counters!`](crate::counters!), which gives the values names in Rust too.
pub struct Kstat {
    _kstat: Made,
    values: NonNull<sys::kstat_named_t>,
    count: usize,
}

// SAFETY: the kernel's structure is reached through atomics only.
unsafe impl Send for Kstat {}
// SAFETY: as above.
unsafe impl Sync for Kstat {}

impl Kstat {
    /// A set `driver:instance:name` of class "misc" with these values, all zero. User or kernel context.
    ///
    /// `EINVAL` for a name that is too long, `ENOMEM` when the kernel refuses (also when the name is taken).
    pub fn new(node: &Node<'_>, set: &str, names: &[&str]) -> Result<Kstat, Error> {
        let kstat = Made::new(node, set, c"misc", sys::KSTAT_TYPE_NAMED, names.len(), 0)?;
        let values: NonNull<sys::kstat_named_t> = kstat.data()?;
        for (index, text) in names.iter().enumerate() {
            let text = name(text)?;
            // SAFETY: the kernel allocated `names.len()` values, and `index` is less.
            let value = unsafe { values.add(index) };
            // SAFETY: a value of ours, and a string that ends in NUL and fits.
            unsafe { sys::kstat_named_init(value.as_ptr(), text.as_ptr(), sys::KSTAT_DATA_UINT64) };
        }
        kstat.install();
        Ok(Kstat { _kstat: kstat, values, count: names.len() })
    }

    /// The value of this index, in the order of the names; nothing beyond the last.
    pub fn value(&self, index: usize) -> Option<&AtomicU64> {
        if index >= self.count {
            return None;
        }
        // SAFETY: less than `count`.
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

    /// Counts `n` more.
    pub fn add(self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts `n` fewer, for values that say how many there are.
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

    /// The value.
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
        $vis struct $name($crate::kstat::Kstat);

        const _: () = {
            #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
            #[derive(Clone, Copy)]
            enum Index { $($field),+ }

            const NAMES: &[&str] = &[$(::core::stringify!($field)),+];

            impl $name {
                /// Number of counters.
                pub const COUNT: usize = NAMES.len();

                /// The counters of one instance, all zero, shown as kstat `driver:instance:name`.
                pub fn new(
                    node: &$crate::Node<'_>,
                    name: &str,
                ) -> ::core::result::Result<Self, $crate::Error> {
                    $crate::kstat::Kstat::new(node, name, NAMES).map($name)
                }

                /// The counters, in order.
                pub fn values(&self) -> [u64; Self::COUNT] {
                    let mut values = [0; Self::COUNT];
                    for (value, (_, now)) in values.iter_mut().zip(self.iter()) {
                        *value = now;
                    }
                    values
                }

                /// The counters by name, in order.
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
