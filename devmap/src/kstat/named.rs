//! [`Named`]: named values of all types (`KSTAT_TYPE_NAMED`), which the driver may update when they are read.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::c_int;
use core::fmt;
use core::ops::{Deref, DerefMut};

use ddi_sys as sys;

use super::made::{Made, NO_MEMORY, name_value};
use crate::context::MayBlock;
use crate::errno::{Errno, Error};
use crate::interrupt::{Guard, Mutex, Priority};
use crate::kmem::try_push;
use crate::node::Node;
use crate::text::Text;

mod sealed {
    pub trait Sealed {}
}

/// A value that a kstat can have: `i32`, `u32`, `i64`, `u64`, a [`Label`], a [`Line`].
pub trait Field: sealed::Sealed + Send + 'static {
    #[doc(hidden)]
    const TYPE: u8;
    /// Bytes behind the values that its text takes at most.
    #[doc(hidden)]
    const ROOM: usize = 0;
    #[doc(hidden)]
    fn store(&self, value: &mut sys::kstat_named_t);
}

macro_rules! numbers {
    ($($type:ty: $kind:ident in $member:ident;)*) => {
        $(
            impl sealed::Sealed for $type {}
            impl Field for $type {
                const TYPE: u8 = sys::$kind;
                fn store(&self, value: &mut sys::kstat_named_t) {
                    value.value.$member = *self;
                }
            }
        )*
    };
}
numbers! {
    i32: KSTAT_DATA_INT32 in i32_;
    u32: KSTAT_DATA_UINT32 in ui32;
    i64: KSTAT_DATA_INT64 in i64_;
    u64: KSTAT_DATA_UINT64 in ui64;
}

/// A text of at most 16 bytes (`KSTAT_DATA_CHAR`); longer text is truncated.
#[derive(Default)]
pub struct Label(Text<17>);

/// A text of less than `N` bytes (`KSTAT_DATA_STRING`); longer text is truncated.
#[derive(Default)]
pub struct Line<const N: usize>(Text<N>);

macro_rules! texts {
    ($($name:ident $(<$param:ident>)?;)*) => {
        $(
            impl$(<const $param: usize>)? $name$(<$param>)? {
                /// Creates a text.
                pub fn new(text: &str) -> Self {
                    let mut new = $name(Text::new());
                    new.0.push(text);
                    new
                }

                /// Changes the text.
                pub fn set(&mut self, text: &str) {
                    *self = $name::new(text);
                }
            }

            impl$(<const $param: usize>)? fmt::Write for $name$(<$param>)? {
                fn write_str(&mut self, text: &str) -> fmt::Result {
                    self.0.push(text);
                    Ok(())
                }
            }

            impl$(<const $param: usize>)? sealed::Sealed for $name$(<$param>)? {}
        )*
    };
}
texts! {
    Label;
    Line<N>;
}

impl Field for Label {
    const TYPE: u8 = sys::KSTAT_DATA_CHAR;
    fn store(&self, value: &mut sys::kstat_named_t) {
        let mut text = [0; 16];
        for (to, from) in text.iter_mut().zip(self.0.as_bytes()) {
            *to = *from as core::ffi::c_char;
        }
        value.value.c = text;
    }
}

impl<const N: usize> Field for Line<N> {
    const TYPE: u8 = sys::KSTAT_DATA_STRING;
    const ROOM: usize = N;
    fn store(&self, value: &mut sys::kstat_named_t) {
        // SAFETY: a value of this type. The kernel follows the pointer before the lock is given back that keeps the text from being changed.
        unsafe { sys::kstat_named_setstr(value, self.0.as_ptr()) };
    }
}

/// A struct of [`Field`]s. Implemented by [`named!`](crate::named!).
pub trait Fields: Send + 'static {
    #[doc(hidden)]
    const ALL: &'static [(&'static str, u8, usize)];
    #[doc(hidden)]
    fn store(&self, values: &mut [sys::kstat_named_t]);
}

/// Update function, called before the values are read.
type Update<T> = Box<dyn FnMut(&mut T) -> Result<(), Errno> + Send>;

struct Inner<T: Fields> {
    fields: T,
    /// The kstat's data.
    values: Vec<sys::kstat_named_t>,
    update: Option<Update<T>>,
}

// SAFETY: what the values point to are the fields, which are sent with them.
unsafe impl<T: Fields> Send for Inner<T> {}

/// Named values, visible until dropped; see [`named!`](crate::named!).
pub struct Named<T: Fields> {
    /// Goes before its data and its lock.
    _kstat: Made,
    /// The kernel has its address, and reads it there while this value moves, which a box would not allow.
    inner: Arc<Mutex<Inner<T>>>,
}

unsafe extern "C-unwind" fn update<T: Fields>(kstat: *mut sys::kstat_t, how: c_int) -> c_int {
    if how != sys::KSTAT_READ as c_int {
        return Errno::EACCES.raw();
    }
    // SAFETY: the kernel's argument: a kstat of ours, which is not deleted meanwhile.
    let inner = unsafe { (*kstat).ks_private }.cast::<Mutex<Inner<T>>>();
    // SAFETY: the private pointer of ours, which lives longer than the kstat; the kernel holds its lock.
    let inner = unsafe { &*inner };
    // SAFETY: the kernel holds the lock while it calls this.
    let inner = unsafe { inner.held() };
    if let Some(update) = &mut inner.update
        && let Err(errno) = update(&mut inner.fields)
    {
        return errno.raw();
    }
    inner.fields.store(&mut inner.values);
    0
}

impl<T: Fields> Named<T> {
    /// Creates a set `driver:instance:set` of class "misc" with these values. User or kernel context. Errors: those of [`Kstat::new`](super::Kstat::new).
    pub fn new(node: &Node<'_>, set: &str, priority: Priority, fields: T) -> Result<Named<T>, Error> {
        Named::make(node, set, priority, fields, None)
    }

    /// Like [`new`](Named::new); `update` is called before each read, whose reader receives its error. It runs with the lock held, in the reader's context, and must
    /// not sleep.
    pub fn updated(
        node: &Node<'_>,
        set: &str,
        priority: Priority,
        fields: T,
        update: impl FnMut(&mut T) -> Result<(), Errno> + Send + 'static,
    ) -> Result<Named<T>, Error> {
        Named::make(node, set, priority, fields, Some(Box::new(update)))
    }

    fn make(
        node: &Node<'_>,
        set: &str,
        priority: Priority,
        fields: T,
        update: Option<Update<T>>,
    ) -> Result<Named<T>, Error> {
        let mut values = Vec::new();
        let mut room = 0_usize;
        for (text, kind, text_room) in T::ALL {
            // SAFETY: numbers, bytes and pointers, for all of which zero is a value.
            let mut value: sys::kstat_named_t = unsafe { core::mem::zeroed() };
            // SAFETY: a value of ours.
            unsafe { name_value(&raw mut value, text, *kind) }?;
            try_push(&mut values, value).map_err(|_| NO_MEMORY)?;
            room = room.saturating_add(*text_room);
        }
        let flags = sys::KSTAT_FLAG_VIRTUAL;
        let kstat = Made::new(node, set, c"misc", sys::KSTAT_TYPE_NAMED, T::ALL.len(), flags)?;
        let data = values.as_mut_ptr();
        let inner = Arc::new(Mutex::new(priority, Inner { fields, values, update }));
        let made = kstat.get();
        // SAFETY: not installed, so nobody else looks at it. The values and their lock live longer: they are dropped later, and stay where they are. Likewise below.
        unsafe { (*made).ks_data = data.cast() };
        // SAFETY: as above. With the texts, which the kernel copies behind the values.
        unsafe { (*made).ks_data_size += room };
        // SAFETY: as above.
        unsafe { (*made).ks_update = Some(self::update::<T>) };
        // SAFETY: as above.
        unsafe { (*made).ks_private = Arc::as_ptr(&inner).cast_mut().cast() };
        // SAFETY: as above.
        unsafe { kstat.set_lock(inner.raw().get()) };
        kstat.install();
        Ok(Named { _kstat: kstat, inner })
    }

    /// Locks the values for reading and changing; readers of the kstat wait meanwhile.
    pub fn lock<'g, C: MayBlock>(&'g self, cx: &'g mut C) -> NamedGuard<'g, T, C> {
        NamedGuard(self.inner.lock(cx))
    }
}

/// The values of a [`Named`] kstat, with its lock held.
#[must_use = "the lock is given back at once"]
pub struct NamedGuard<'g, T: Fields, C: MayBlock>(Guard<'g, Inner<T>, C>);

impl<T: Fields, C: MayBlock> Deref for NamedGuard<'_, T, C> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.fields
    }
}

impl<T: Fields, C: MayBlock> DerefMut for NamedGuard<'_, T, C> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0.fields
    }
}

/// A struct of values that is also a kstat: numbers of 32 and 64 bits, [`Label`]s and [`Line`]s.
///
/// ```no_run
/// use devmap::interrupt::Priority;
/// use devmap::kstat::{Label, Named};
///
/// devmap::named! {
///     /// What the board says of itself.
///     pub struct Health { pub temperature: i32, pub copied: u64, pub state: Label }
/// }
/// # use devmap::prelude::*;
/// # fn f(attach: &Attach<'_>, regs: Registers) -> Result<(), devmap::Error> {
/// let first = Health { temperature: 0, copied: 0, state: Label::new("idle") };
/// let health = Named::updated(attach.node(), "health", Priority::NONE, first, move |health| {
///     health.temperature = regs.read::<u32>(0x30)? as i32; // when somebody reads
///     Ok(())
/// })?;
/// # fn g(health: &Named<Health>, cx: &mut impl devmap::context::MayBlock) {
/// let mut now = health.lock(cx); // in an entry point, whose argument is the context
/// now.copied += 4096;
/// now.state.set("busy");
/// # }
/// # Ok(()) }
/// ```
#[macro_export]
macro_rules! named {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$fmeta:meta])* $fvis:vis $field:ident: $type:ty),+ $(,)?
    }) => {
        $(#[$meta])*
        $vis struct $name { $($(#[$fmeta])* $fvis $field: $type),+ }

        impl $crate::kstat::Fields for $name {
            const ALL: &'static [(&'static str, u8, usize)] = &[$((
                ::core::stringify!($field),
                <$type as $crate::kstat::Field>::TYPE,
                <$type as $crate::kstat::Field>::ROOM,
            )),+];

            fn store(&self, values: &mut [$crate::sys::kstat_named_t]) {
                let mut values = values.iter_mut();
                $(if let Some(value) = values.next() {
                    $crate::kstat::Field::store(&self.$field, value);
                })+
            }
        }
    };
}
