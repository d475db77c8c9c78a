//! [`Le`] and [`Be`]: numbers as a device or a file format has them, whatever the processor's byte order.
//!
//! They are [`Plain`], so a `plain!` structure may have fields of them, and [`Volatile`](crate::Volatile) memory is read and written in them.
//! Registers swap by themselves: [`ByteOrder`](crate::access::ByteOrder). Values: in any context, whatever locks are held.

use core::fmt;

use crate::plain::Plain;

mod sealed {
    pub trait Sealed {}
}

/// A number with more than one byte.
pub trait Number: Plain + sealed::Sealed {
    #[doc(hidden)]
    fn swapped(self) -> Self;
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(
            impl sealed::Sealed for $type {}
            impl Number for $type {
                fn swapped(self) -> Self {
                    self.swap_bytes()
                }
            }
        )*
    };
}
numbers!(u16, i16, u32, i32, u64, i64);

macro_rules! order {
    ($(#[$meta:meta])* $name:ident: swapped on $other:tt) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        #[repr(transparent)]
        pub struct $name<T>(T);

        impl<T: Number> $name<T> {
            /// Creates a number in this byte order.
            pub fn new(value: T) -> $name<T> {
                $name(if cfg!(target_endian = $other) { value.swapped() } else { value })
            }

            /// Returns the number in the processor's byte order.
            pub fn get(self) -> T {
                $name::new(self.0).0
            }
        }

        impl<T: Number> From<T> for $name<T> {
            fn from(value: T) -> $name<T> {
                $name::new(value)
            }
        }

        impl<T: Number + fmt::Debug> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.get().fmt(f)
            }
        }

        // SAFETY: transparent: the bytes of a number, all patterns of which are values, and which is the same in every program.
        unsafe impl<T: Number> Plain for $name<T> {
            type Ilp32 = $name<T>;

            fn from_ilp32(twin: $name<T>) -> $name<T> {
                twin
            }

            fn to_ilp32(self) -> Option<$name<T>> {
                Some(self)
            }
        }
    };
}

order! {
    /// A little-endian number.
    ///
    /// ```
    /// use devmap::endian::{Be, Le};
    ///
    /// devmap::plain! {
    ///     /// What a device reads.
    ///     pub struct Descriptor { pub address: Le<u64>, pub len: Le<u32>, pub flags: Be<u32> }
    /// }
    /// let d = Descriptor { address: Le::new(0x1000), len: 64.into(), flags: Be::new(1) };
    /// assert_eq!((d.len.get(), d.flags.get()), (64, 1));
    /// ```
    Le: swapped on "big"
}
order! {
    /// A big-endian number, as networks have them.
    Be: swapped on "little"
}
