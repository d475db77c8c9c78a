//! [`Plain`]: values without padding or invalid bit patterns, which may be copied from and to a process.
//!
//! A crate of its own, without dependencies, so that a driver and the programs that use it can share the crate that defines their
//! ioctls: devmap has all of this as `devmap::plain`, and a program needs nothing else of devmap.
//!
//! A program of 32 bits has other layouts: addresses and sizes of four bytes, and 64-bit integers at multiples of four. Each plain type
//! has a *twin* of that layout ([`Plain::Ilp32`]), which copies for such a program use.
//!
//! No call into the kernel: in any context, whatever locks are held.
#![no_std]

/// A type for which every pattern of bytes is a value, with no padding.
///
/// Implemented by [`plain!`] for structs, and here for integers, addresses and arrays.
///
/// # Safety
/// Every pattern of `size_of::<Self>()` bytes is a valid value, and no byte of a value is padding (it would show the
/// process what lay there before). If the twin is as long as the type, it is the same bytes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` may have padding, or bytes that are no value: it cannot be copied from and to a process",
    label = "not plain",
    note = "define it with `devmap::plain! {{ pub struct ... }}` (or `devmap_plain::plain!`), of integers of fixed width, `Pointer`s and arrays of them"
)]
pub unsafe trait Plain: Copy + 'static {
    /// The same in a program of 32 bits.
    type Ilp32: Plain;

    /// Converts from the twin of a 32-bit program.
    fn from_ilp32(twin: Self::Ilp32) -> Self;

    /// Converts to the twin of a 32-bit program. Returns None if a value does not fit.
    fn to_ilp32(self) -> Option<Self::Ilp32>;
}

macro_rules! integers {
    ($($type:ty => $twin:ty),*) => {
        $(
            // SAFETY: an integer is its bytes, and the twin is the same one or a shorter one.
            unsafe impl Plain for $type {
                type Ilp32 = $twin;

                fn from_ilp32(twin: $twin) -> $type {
                    twin as $type
                }

                fn to_ilp32(self) -> Option<$twin> {
                    <$twin>::try_from(self).ok()
                }
            }
        )*
    };
}
integers!(u8 => u8, i8 => i8, u16 => u16, i16 => i16, u32 => u32, i32 => i32, u64 => u64, i64 => i64);
integers!(usize => u32, isize => i32);

// SAFETY: as its elements, and arrays have no padding between them.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {
    type Ilp32 = [T::Ilp32; N];

    fn from_ilp32(twin: [T::Ilp32; N]) -> [T; N] {
        twin.map(T::from_ilp32)
    }

    fn to_ilp32(self) -> Option<[T::Ilp32; N]> {
        let mut twin = zeroed::<[T::Ilp32; N]>();
        for (to, from) in twin.iter_mut().zip(self) {
            *to = from.to_ilp32()?;
        }
        Some(twin)
    }
}

/// An address in the program, as a field of a structure: four bytes in one of 32 bits.
///
/// Only a number: a driver accesses the memory by `devmap::Argument::at`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Pointer(usize);

impl Pointer {
    /// The null pointer.
    pub const NULL: Pointer = Pointer(0);

    /// Returns the address.
    pub const fn address(self) -> usize {
        self.0
    }

    /// Returns whether it is the null pointer.
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }
}

impl From<usize> for Pointer {
    fn from(address: usize) -> Pointer {
        Pointer(address)
    }
}

impl<T> From<*const T> for Pointer {
    fn from(place: *const T) -> Pointer {
        Pointer(place.expose_provenance())
    }
}

impl<T> From<*mut T> for Pointer {
    fn from(place: *mut T) -> Pointer {
        Pointer(place.expose_provenance())
    }
}

// SAFETY: an address is its bytes, and the twin is shorter.
unsafe impl Plain for Pointer {
    type Ilp32 = u32;

    fn from_ilp32(twin: u32) -> Pointer {
        Pointer(twin as usize)
    }

    fn to_ilp32(self) -> Option<u32> {
        u32::try_from(self.0).ok()
    }
}

/// Returns the value whose bytes are all zero.
pub fn zeroed<T: Plain>() -> T {
    // SAFETY: every pattern of bytes is a value.
    unsafe { core::mem::zeroed() }
}

#[doc(hidden)]
pub const fn assert_plain<T: Plain>() {}

/// Defines `repr(C)` structs that an ioctl may copy; refuses to compile when one has padding or a field that is not
/// [`Plain`].
///
/// Use integers of fixed width, each at a multiple of its size: then 32-bit and 64-bit processes agree on the layout. Where they cannot, because a
/// field is an address or a size, say so: a [`Pointer`], a `usize`. The structure has a twin for 32-bit processes then.
///
/// ```no_run
/// use devmap_plain::{Plain, Pointer};
///
/// devmap_plain::plain! {
///     /// Where a region is.
///     pub struct Region { pub index: u32, pub pad: u32, pub offset: u64, pub len: u64 }
///
///     /// What is to be written, and where it lies.
///     pub struct Write { pub from: Pointer, pub len: usize, pub to: u64 }
/// }
///
/// const _: () = assert!(size_of::<Region>() == 24 && size_of::<<Region as Plain>::Ilp32>() == 24);
/// const _: () = assert!(size_of::<Write>() == 24 && size_of::<<Write as Plain>::Ilp32>() == 16);
/// ```
///
/// ```compile_fail
/// devmap_plain::plain! {
///     pub struct Region { pub index: u32, pub offset: u64 } // four bytes of padding
/// }
/// ```
#[macro_export]
macro_rules! plain {
    ($($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$fmeta:meta])* $fvis:vis $field:ident: $type:ty),+ $(,)? })+) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            #[repr(C)]
            $vis struct $name { $($(#[$fmeta])* $fvis $field: $type),+ }

            const _: () = {
                $($crate::assert_plain::<$type>();)+
                assert!(
                    ::core::mem::size_of::<$name>() == 0 $(+ ::core::mem::size_of::<$type>())+,
                    "a struct that is copied to a process must not have padding"
                );

                /// The same in a program of 32 bits.
                #[derive(Clone, Copy)]
                #[repr(C, packed(4))]
                pub struct Ilp32 { $($field: <$type as $crate::Plain>::Ilp32),+ }

                assert!(
                    ::core::mem::size_of::<Ilp32>() == 0 $(+ ::core::mem::size_of::<<$type as $crate::Plain>::Ilp32>())+,
                    "the struct has padding in a program of 32 bits"
                );

                // SAFETY: repr(C), all fields are plain, and together they are as big as the struct: no padding.
                #[allow(unsafe_code)]
                unsafe impl $crate::Plain for Ilp32 {
                    type Ilp32 = Ilp32;

                    fn from_ilp32(twin: Ilp32) -> Ilp32 {
                        twin
                    }

                    fn to_ilp32(self) -> ::core::option::Option<Ilp32> {
                        ::core::option::Option::Some(self)
                    }
                }

                // SAFETY: as above. Where no field is shorter in the twin, each is the same there, and at the same place.
                #[allow(unsafe_code)]
                unsafe impl $crate::Plain for $name {
                    type Ilp32 = Ilp32;

                    fn from_ilp32(twin: Ilp32) -> $name {
                        $name { $($field: <$type as $crate::Plain>::from_ilp32(twin.$field)),+ }
                    }

                    fn to_ilp32(self) -> ::core::option::Option<Ilp32> {
                        ::core::option::Option::Some(Ilp32 {
                            $($field: <$type as $crate::Plain>::to_ilp32(self.$field)?),+
                        })
                    }
                }
            };
        )+
    };
}
