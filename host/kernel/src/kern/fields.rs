//! Structures of C's that drivers and the host share, one field at a time.
//!
//! Drivers hold the address of such a structure and may touch it through macros of their own, so the host never has a reference to one: [`fields!`](crate::fields!)
//! defines a type for its address, with a method that reads and one that writes each field. A field whose type is again such a type (`Option` of one for a pointer
//! that may be NULL) leads on without unsafe code.
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

/// Defines a type for the address of a structure; see [the module's page](crate::kern::fields). Its documentation says under `# Invariants` what lives how long.
#[macro_export]
macro_rules! fields {
    ($(#[$meta:meta])* $vis:vis struct $name:ident at $c:ty { $( $(#[$doc:meta])* $field:ident $(/ $set:ident)?: $ty:ty, )* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(transparent)]
        $vis struct $name(std::ptr::NonNull<$c>);

        impl $crate::kern::fields::Structure for $name {
            type C = $c;

            unsafe fn at(address: *mut $c) -> Option<Self> {
                std::ptr::NonNull::new(address).map(Self)
            }

            fn pointer(self) -> *mut $c {
                self.0.as_ptr()
            }
        }

        // A pointer that is stored is not followed.
        #[allow(dead_code, clippy::not_unsafe_ptr_arg_deref)]
        impl $name {
            $(
                #[doc = concat!("Returns `", stringify!($field), "`.")]
                $(#[$doc])*
                $vis fn $field(self) -> $ty {
                    // SAFETY: the structure lives, by the invariants of the type, so there is a field to read.
                    unsafe { (&raw const (*self.0.as_ptr()).$field).read() }
                }
                $(
                    #[doc = concat!("Sets `", stringify!($field), "`.")]
                    $vis fn $set(self, value: $ty) {
                        // SAFETY: the structure lives, by the invariants of the type, so there is a field to write.
                        unsafe { (&raw mut (*self.0.as_ptr()).$field).write(value) }
                    }
                )?
            )*
        }
    };
}
