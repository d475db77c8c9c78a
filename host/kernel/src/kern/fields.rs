//! Structures of C's that drivers and the host share, one field at a time.
//!
//! Drivers hold the address of such a structure and may touch it through macros of their own, so the host never has a reference to one: [`fields!`](crate::fields!)
//! defines a type for its address, with a method that reads and one that writes each field. A field that is a pointer to another such structure leads on to it
//! without unsafe code.
//!
//! Locking: none. Who may touch a structure when is said by the manual page of what it is for.

/// The address of a structure that lives. Types of [`fields!`](crate::fields!) are.
pub trait Structure: Copy {
    /// The structure.
    type C;

    /// Returns the address as this type; None for NULL.
    ///
    /// # Safety
    /// NULL, or what the invariants of the type ask for.
    unsafe fn at(address: *mut Self::C) -> Option<Self>;

    /// Returns the address.
    fn pointer(self) -> *mut Self::C;
}

/// Returns the address for C, NULL for None.
pub fn pointer<S: Structure>(of: Option<S>) -> *mut S::C {
    of.map_or(std::ptr::null_mut(), S::pointer)
}

/// A structure for which zero bytes are a value.
///
/// # Safety
/// It consists of integers, raw pointers, `Option`s of functions, and arrays, unions and structures of these.
pub unsafe trait Zeroed: Sized {
    /// The value whose bytes are zero.
    // SAFETY: the trait's promise.
    const ZEROED: Self = unsafe { std::mem::zeroed() };
}

macro_rules! zeroed {
    ($($ty:ident),*) => { $(
        // SAFETY: C's structure, of numbers and pointers.
        unsafe impl Zeroed for ddi_sys::$ty {}
    )* };
}

zeroed!(avl_tree, buf, datab, ddi_fm_error_t, kstat_io_t, kstat_t, msgb, seg);

/// Returns a value that can be copied: what a field may be.
pub const fn plain<T: Copy>(value: T) -> T {
    value
}

/// Defines a type for the address of a structure; see [the module's page](crate::kern::fields). Its documentation says under `# Invariants` what lives how long; with
/// `'a` it cannot be kept.
///
/// A field is `name / setter: type`, or `name / setter => Structure` for a pointer to a structure that lives, or NULL; `name = a.b: type` for one within another.
#[macro_export]
macro_rules! fields {
    ($(#[$meta:meta])* $vis:vis struct $name:ident $(<$life:lifetime>)? at $c:ty {
        $( $(#[$doc:meta])* $field:ident $(/ $set:ident)? $(= $($path:ident).+)? $(: $ty:ty)? $(=> $link:ty)?, )*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(transparent)]
        $vis struct $name $(<$life>)?(std::ptr::NonNull<$c>, std::marker::PhantomData<$(&$life)? ()>);

        impl $(<$life>)? $crate::kern::fields::Structure for $name $(<$life>)? {
            type C = $c;

            unsafe fn at(address: *mut $c) -> Option<Self> {
                std::ptr::NonNull::new(address).map(|at| Self(at, std::marker::PhantomData))
            }

            fn pointer(self) -> *mut $c {
                self.0.as_ptr()
            }
        }

        // A pointer that is stored is not followed.
        #[allow(dead_code, clippy::not_unsafe_ptr_arg_deref)]
        impl $(<$life>)? $name $(<$life>)? {
            $( $crate::fields!(@field [$vis] [$(#[$doc])*] $field [$($set)?] [$($($path).+)?] [$($ty)?] [$($link)?]); )*
        }
    };
    (@field [$vis:vis] [$($doc:tt)*] $field:ident [$($set:ident)?] $path:tt [$ty:ty] []) => {
        #[doc = concat!("Returns `", stringify!($field), "`.")]
        $($doc)*
        $vis fn $field(self) -> $ty {
            let at = self.0.as_ptr();
            // SAFETY: the structure lives, by the invariants of the type, so there is a field to read.
            $crate::kern::fields::plain(unsafe { (&raw const $crate::fields!(@place at $field $path)).read() })
        }
        $(
            #[doc = concat!("Sets `", stringify!($field), "`.")]
            $vis fn $set(self, value: $ty) {
                let at = self.0.as_ptr();
                // SAFETY: the structure lives, by the invariants of the type, so there is a field to write.
                unsafe { (&raw mut $crate::fields!(@place at $field $path)).write(value) }
            }
        )?
    };
    (@field [$vis:vis] [$($doc:tt)*] $field:ident [$($set:ident)?] $path:tt [] [$link:ty]) => {
        #[doc = concat!("Returns what `", stringify!($field), "` leads to.")]
        $($doc)*
        $vis fn $field(self) -> Option<$link> {
            let at = self.0.as_ptr();
            // SAFETY: the structure lives, by the invariants of the type, so there is a field to read.
            let link = unsafe { (&raw const $crate::fields!(@place at $field $path)).read() };
            // SAFETY: by the invariants of the type, it is NULL or leads to what those of the other ask for.
            unsafe { $crate::kern::fields::Structure::at(link) }
        }
        $(
            #[doc = concat!("Lets `", stringify!($field), "` lead to another.")]
            $vis fn $set(self, value: Option<$link>) {
                let (at, value) = (self.0.as_ptr(), $crate::kern::fields::pointer(value));
                // SAFETY: the structure lives, by the invariants of the type, so there is a field to write.
                unsafe { (&raw mut $crate::fields!(@place at $field $path)).write(value) }
            }
        )?
    };
    (@place $at:ident $field:ident []) => { (*$at).$field };
    (@place $at:ident $field:ident [$($path:ident).+]) => { (*$at).$($path).+ };
}
