//! The functions and data of the DDI, as C sees them.
//!
//! Each group of functions is one `ddi!` block. The macro makes an `extern "C-unwind"` function of each, exports it under
//! its name (so that drivers linked in find it), checks at compile time that its type is the one that `ddi-sys` declares, and
//! lists it for the [symbol table](symbols) from which modules are linked. Functions marked `@local` are not exported,
//! because the C library has one of the same name. A function that `ddi-sys` does not declare does not compile.
//!
//! One body serves several names: `fn [putb, putw](...)`. With `fn [get8 for u8, get16 for u16](...)` the type is `T` in the signature and
//! the body. `NAME` is the function's name in a body.
//!
//! The body of a function is safe code: the types of its arguments ([`args`]) say what it may do with them. C sees the pointers only, so a group may keep
//! such a type to itself.
//!
//! Safety, once for all of them: the caller is a driver, and a driver promises what the manual page of the function asks
//! for: pointers to live memory of the right size, strings with a NUL, locks that it initialised. Where the host can check
//! a promise cheaply it does, and [reports](crate::board::report) what is broken.

#[doc(hidden)]
pub use ddi_sys as sys;

pub use crate::kern::symbols::{Address, Group, Symbol};

/// Defines DDI functions; see the module's page.
#[macro_export]
macro_rules! ddi {
    ($( $(#[$meta:meta])* $(@$kind:ident)? fn $names:tt $args:tt $(-> $ret:ty)? $body:block )*) => {
        $( $crate::ddi!(@names [$($kind)?] [$(#[$meta])*] $names $args [$($ret)?] $body); )*
        /// This group's part of the symbol table.
        pub static SYMBOLS: $crate::ddi::Group = &[ $( $crate::ddi!(@symbols $names), )* ];
    };
    (@symbols [$($name:ident $(for $type:ty)?),+ $(,)?]) => {
        &[ $( $crate::ddi::Symbol::function(stringify!($name), $name as *const ()), )+ ]
    };
    (@symbols $name:ident) => { $crate::ddi!(@symbols [$name]) };
    (@names $kind:tt $meta:tt [$($name:ident $(for $type:ty)?),+ $(,)?] $args:tt $ret:tt $body:block) => {
        $( $crate::ddi!(@type [$($type)?] $kind $meta $name $args $ret $body); )+
    };
    (@names $kind:tt $meta:tt $name:ident $args:tt $ret:tt $body:block) => {
        $crate::ddi!(@kind $kind $meta $name $args $ret $body);
    };
    (@type [] $kind:tt $meta:tt $name:ident $args:tt $ret:tt $body:block) => {
        $crate::ddi!(@kind $kind $meta $name $args $ret $body);
    };
    (@type [$type:ty] $kind:tt $meta:tt $name:ident $args:tt $ret:tt $body:block) => {
        mod $name {
            use super::*;
            type T = $type;
            $crate::ddi!(@kind $kind $meta $name $args $ret $body);
        }
        pub use self::$name::$name;
    };
    (@kind [] $($rest:tt)*) => { $crate::ddi!(@define [#[unsafe(no_mangle)]] $($rest)*); };
    (@kind [local] $($rest:tt)*) => { $crate::ddi!(@define [] $($rest)*); };
    (@define [$($export:tt)*] [$($meta:tt)*] $name:ident ($($arg:ident: $ty:ty),* $(,)?) [$($ret:ty)?] $body:block) => {
        $($meta)*
        /// # Safety
        /// See [`ddi_kernel::ddi`](mod@ddi_kernel::ddi).
        #[allow(private_interfaces)]
        $($export)*
        pub unsafe extern "C-unwind" fn $name($($arg: <$ty as $crate::ddi::args::Argument>::C),*) $(-> $ret)? {
            $crate::ddi!(@body $name ($($arg: $ty),*) [$($ret)?] $body)
        }
        const _: unsafe extern "C-unwind" fn($(<$ty as $crate::ddi::args::Argument>::C),*) $(-> $ret)? = $crate::ddi::sys::$name;
    };
    // The body is a safe function: what it may do with its arguments is what their types allow.
    (@body $name:ident ($($arg:ident: $ty:ty),*) [$($ret:ty)?] $body:block) => {{
        #[allow(dead_code)]
        const NAME: &str = stringify!($name);
        #[inline(always)]
        #[allow(clippy::too_many_arguments)]
        fn body($($arg: $ty),*) $(-> $ret)? $body
        $(
            // SAFETY: the driver's promise: the argument is what the manual page asks for until the function returns.
            let $arg = unsafe { <$ty as $crate::ddi::args::Argument>::of($arg) };
        )*
        body($($arg),*)
    }};
}

/// Defines functions that drivers reach by a pointer only, with bodies as [`ddi!`]'s. Their types are checked where the pointers are stored.
#[macro_export]
macro_rules! callbacks {
    ($( $(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block )*) => { $(
        $(#[$meta])*
        unsafe extern "C-unwind" fn $name($($arg: <$ty as $crate::ddi::args::Argument>::C),*) $(-> $ret)? {
            $crate::ddi!(@body $name ($($arg: $ty),*) [$($ret)?] $body)
        }
    )* };
}

/// Calls a function as a driver does. What a test passes is what the manual page of the function asks for, unless the test is about that being reported.
#[cfg(test)]
macro_rules! driver {
    ($($function:ident)::+ ($($arg:expr),* $(,)?)) => {
        // SAFETY: the driver's promise, which the test makes.
        unsafe { $($function)::+($($arg),*) }
    };
}

pub mod arenas;
pub mod args;
pub mod atomic;
pub mod avl;
pub mod bufs;
pub mod compiler;
pub mod data;
pub mod devmap;
pub mod dma;
pub mod hats;
pub mod interrupts;
pub mod kstats;
pub mod leaves;
pub mod lists;
pub mod memory;
pub mod messages;
pub mod misc;
pub mod modules;
pub mod ndi;
pub mod nodes;
pub mod odds;
pub mod pages;
pub mod pci;
pub mod pinned;
pub mod poll;
pub mod ports;
pub mod power;
pub mod props;
pub mod registers;
pub mod segments;
pub mod softints;
pub mod softstate;
pub mod spaces;
pub mod strings;
pub mod symbols;
pub mod sync;
pub mod time;
pub mod user;
pub mod vnodes;

use std::ffi::{CStr, c_char};

/// A driver's string as bytes; empty for NULL.
///
/// # Safety
/// `text` is NULL or a NUL-terminated string that lives for `'a`.
pub unsafe fn bytes<'a>(text: *const c_char) -> &'a [u8] {
    if text.is_null() {
        return b"";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

/// A driver's string; empty for NULL, with replacement characters for what is not UTF-8.
///
/// # Safety
/// As [`bytes`].
pub unsafe fn text(text: *const c_char) -> String {
    // SAFETY: the caller's promise.
    String::from_utf8_lossy(unsafe { bytes(text) }).into_owned()
}

/// Stores through a pointer that may be NULL.
///
/// # Safety
/// `to` is NULL or valid for a write.
pub unsafe fn store<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: the caller's promise.
        unsafe { to.write(value) };
    }
}
