//! The functions that the shim stands in front of.

use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Sets errno, returns -1.
pub fn fail(e: i32) -> i32 {
    // SAFETY: no arguments.
    let at = unsafe { libc::__errno_location() };
    // SAFETY: a valid place, this thread's.
    unsafe { at.write(e) };
    -1
}

pub fn errno() -> i32 {
    // SAFETY: no arguments.
    let at = unsafe { libc::__errno_location() };
    // SAFETY: a valid place, this thread's.
    unsafe { at.read() }
}

/// `T` from a result, -1 and errno from an error.
pub fn result(r: Result<u64, i32>) -> isize {
    match r {
        Ok(v) => v as isize,
        Err(e) => fail(e) as isize,
    }
}

/// Finds the next definition of a function; aborts if there is none.
pub fn find(cache: &AtomicUsize, name: &CStr) -> usize {
    let known = cache.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    // SAFETY: the name ends with NUL.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) } as usize;
    if found == 0 {
        crate::sys::complain(b"ddi: the C library lacks a function\n");
        // SAFETY: ends the process.
        unsafe { libc::abort() }
    }
    cache.store(found, Ordering::Relaxed);
    found
}

/// The address of something of the C library's that it may not have; 0 if it has not.
pub fn known(name: &CStr) -> usize {
    // SAFETY: the name ends with NUL.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) as usize }
}

/// `real!(name: fn(args) -> result)`: the C library's own function of that name.
macro_rules! real {
    ($name:ident : fn($($arg:ty),* $(,)?) $(-> $ret:ty)?) => {{
        static CACHE: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);
        let name = concat!(stringify!($name), "\0");
        // SAFETY: the literal ends with its only NUL.
        let name = unsafe { core::ffi::CStr::from_bytes_with_nul_unchecked(name.as_bytes()) };
        let at = $crate::real::find(&CACHE, name);
        // SAFETY: the C library's function of this name has this type.
        unsafe { core::mem::transmute::<usize, unsafe extern "C" fn($($arg),*) $(-> $ret)?>(at) }
    }};
}

/// Defines functions that stand in front of the C library's of the same names and types. In a body, `original()` calls the C library's function with the caller's
/// arguments.
macro_rules! interpose {
    ($(fn [$($name:ident),+] $args:tt -> $ret:ty = |$original:ident| $body:block)*) => {
        $($(interpose!(@one $name $args -> $ret = |$original| $body);)+)*
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
