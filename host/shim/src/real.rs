//! The functions of the C library that the shim interposes.

use core::cell::Cell;
use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Returns this thread's errno.
fn place() -> &'static Cell<c_int> {
    // SAFETY: no arguments.
    let at = unsafe { libc::__errno_location() };
    // SAFETY: an initialised number that is this thread's alone, and a `Cell` stays with its thread.
    unsafe { &*at.cast::<Cell<c_int>>() }
}

/// Sets errno, returns -1.
pub fn fail(e: i32) -> i32 {
    place().set(e);
    -1
}

pub fn errno() -> i32 {
    place().get()
}

/// `T` from a result, -1 and errno from an error.
pub fn result(r: Result<u64, i32>) -> isize {
    match r {
        Ok(v) => v as isize,
        Err(e) => fail(e) as isize,
    }
}

/// An argument of an interposed function that a body may replace by another of its type.
pub trait Passed: Copy {
    /// Type in C.
    type C;

    /// Returns the argument that C passes as `c`.
    ///
    /// # Safety
    /// It is what the C library's function asks for, until the interposed function returns.
    unsafe fn of(c: Self::C) -> Self;

    /// Returns it for C.
    fn c(self) -> Self::C;
}

/// An argument that is passed on as it is.
///
/// # Invariants
/// Passed by the caller of an interposed function.
#[derive(Clone, Copy)]
pub struct As<T>(T);

impl<T: Copy> Passed for As<T> {
    type C = T;

    unsafe fn of(c: T) -> Self {
        As(c)
    }

    fn c(self) -> T {
        self.0
    }
}

/// Finds the next definition of a function; aborts if there is none.
pub fn find(cache: &AtomicUsize, name: &CStr) -> usize {
    let cached = cache.load(Ordering::Relaxed);
    if cached != 0 {
        return cached;
    }
    let found = known(name);
    if found == 0 {
        crate::sys::complain(b"ddi: the C library lacks a function\n");
        // SAFETY: ends the process.
        unsafe { libc::abort() }
    }
    cache.store(found, Ordering::Relaxed);
    found
}

/// Returns the address of an optional symbol of the C library; 0 if there is none.
pub fn known(name: &CStr) -> usize {
    // SAFETY: the name ends with NUL.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) as usize }
}

/// `real!(name: fn(args) -> result)`: the C library's own function of that name.
macro_rules! real {
    ($name:ident : fn($($arg:ty),* $(,)?) $(-> $ret:ty)?) => {{
        static CACHE: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);
        const NAME: &core::ffi::CStr = match core::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
            Ok(name) => name,
            Err(_) => panic!("a name has no NUL"),
        };
        let at = $crate::real::find(&CACHE, NAME);
        // SAFETY: the C library's function of this name has this type.
        unsafe { core::mem::transmute::<usize, unsafe extern "C" fn($($arg),*) $(-> $ret)?>(at) }
    }};
}

/// Defines functions that interpose the C library's of the same names and types. In a body, `original()` calls the C library's function with the caller's
/// arguments. With `original(..)` the arguments are of types that are [`Passed`], and the body gives them to it.
macro_rules! interpose {
    ($(fn [$($name:ident),+] $args:tt -> $ret:ty = |$original:ident| $body:block)*) => {
        $($(interpose!(@one $name $args -> $ret = |$original| $body);)+)*
    };
    ($(fn [$($name:ident),+] $args:tt -> $ret:ty = |$original:ident(..)| $body:block)*) => {
        $($(interpose!(@one $name $args -> $ret = |$original(..)| $body);)+)*
    };
    (@one $name:ident ($($arg:ident : $ty:ty),* $(,)?) -> $ret:ty = |$original:ident(..)| $body:block) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($arg: <$ty as $crate::real::Passed>::C),*) -> $ret {
            #[allow(unused_variables, reason = "not every body calls it")]
            let $original = |$($arg: $ty),*| {
                let real = real!($name: fn($(<$ty as $crate::real::Passed>::C),*) -> $ret);
                // SAFETY: each argument is the caller's, or one of a type whose invariants say what the C library's function of this name asks for.
                unsafe { real($($crate::real::Passed::c($arg)),*) }
            };
            $(
                // SAFETY: the caller's promise for its arguments.
                let $arg = unsafe { <$ty as $crate::real::Passed>::of($arg) };
            )*
            $body
        }
    };
    (@one $name:ident ($($arg:ident : $ty:ty),* $(,)?) -> $ret:ty = |$original:ident| $body:block) => {
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name($($arg: $ty),*) -> $ret {
            #[allow(unused_variables, reason = "not every body calls it")]
            let $original = || {
                let real = real!($name: fn($($ty),*) -> $ret);
                // SAFETY: the caller has promised for its arguments what the C library's function of this name asks for, and these are they.
                unsafe { real($($arg),*) }
            };
            $body
        }
    };
}
