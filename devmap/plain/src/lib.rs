//! [`Plain`]: values that are nothing but their bytes, and so may be copied from and to a process.
//!
//! A crate of its own, without dependencies, so that a driver and the programs that use it can share the crate that defines their
//! ioctls: devmap has all of this as `devmap::plain`, and a program needs nothing else of devmap.
//!
//! No call into the kernel: in any context, whatever locks are held.
#![no_std]

/// A type for which every pattern of bytes is a value, with no padding.
///
/// Implemented by [`plain!`] for structs, and here for integers and arrays.
///
/// # Safety
/// Every pattern of `size_of::<Self>()` bytes is a valid value, and no byte of a value is padding (it would show the
/// process what lay there before).
pub unsafe trait Plain: Copy + 'static {}

macro_rules! integers {
    ($($type:ty),*) => {
        $(
            // SAFETY: an integer is its bytes.
            unsafe impl Plain for $type {}
        )*
    };
}
integers!(u8, i8, u16, i16, u32, i32, u64, i64, usize, isize);

// SAFETY: as its elements, and arrays have no padding between them.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// The value whose bytes are all zero.
pub fn zeroed<T: Plain>() -> T {
    // SAFETY: every pattern of bytes is a value.
    unsafe { core::mem::zeroed() }
}

#[doc(hidden)]
pub const fn assert_plain<T: Plain>() {}

/// Defines `repr(C)` structs that an ioctl may copy; refuses to compile when one has padding or a field that is not
/// [`Plain`].
///
/// Use integers of fixed width, each at a multiple of its size: then 32-bit and 64-bit processes agree on the layout.
///
/// ```no_run
/// devmap_plain::plain! {
///     /// Where a region is.
///     pub struct Region { pub index: u32, pub pad: u32, pub offset: u64, pub len: u64 }
/// }
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
                // SAFETY: repr(C), all fields are plain, and together they are as big as the struct: no padding.
                #[allow(unsafe_code)]
                unsafe impl $crate::Plain for $name {}
            };
        )+
    };
}
