//! atomic_ops(9F) and membar_ops(9F): any context, no locks. All are sequentially consistent, which is more than the
//! manual pages promise.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, fence};

use super::args::Argument;

/// A number that is changed in one step: the type and its atomic.
pub trait Number: Sized {
    /// The atomic.
    type Atomic;

    /// The number at an address.
    ///
    /// # Safety
    /// It is aligned, there for `'a`, and accessed atomically only.
    unsafe fn at<'a>(at: *mut Self) -> &'a Self::Atomic;
}

macro_rules! numbers {
    ($($type:ty: $atomic:ident),*) => { $(
        impl Number for $type {
            type Atomic = $atomic;

            unsafe fn at<'a>(at: *mut $type) -> &'a $atomic {
                // SAFETY: the caller's promise.
                unsafe { $atomic::from_ptr(at) }
            }
        }
    )* };
}

numbers!(u8: AtomicU8, u16: AtomicU16, u32: AtomicU32, u64: AtomicU64, usize: AtomicUsize);

/// The number that one of these functions changes. `P` is its type in C.
///
/// # Invariants
/// An aligned number that is there until the function returns and is accessed atomically only.
#[derive(Debug)]
pub struct Target<T, P = *mut T>(*mut T, PhantomData<P>);

impl<T> Argument for Target<T, *mut T> {
    type C = *mut T;

    unsafe fn of(c: *mut T) -> Self {
        Target(c, PhantomData)
    }
}

impl Argument for Target<usize, *mut c_void> {
    type C = *mut c_void;

    unsafe fn of(c: *mut c_void) -> Self {
        Target(c.cast(), PhantomData)
    }
}

impl<T: Number, P> Target<T, P> {
    fn atomic(&self) -> &T::Atomic {
        // SAFETY: the invariant.
        unsafe { T::at(self.0) }
    }
}

/// One width: module, the unsigned and the signed type, the atomic, and the functions' names.
macro_rules! family {
    ($module:ident, $type:ty, $signed:ty: $add:ident $add_nv:ident $inc:ident $inc_nv:ident $dec:ident
     $dec_nv:ident $and:ident $and_nv:ident $or:ident $or_nv:ident $swap:ident $cas:ident) => {
        /// One width of atomic_ops(9F).
        pub mod $module {
            use super::*;

            ddi! {
                /// Adds.
                fn $add(target: Target<$type>, delta: $signed) {
                    target.atomic().fetch_add(delta as $type, SeqCst);
                }
                /// Adds; the new value.
                fn $add_nv(target: Target<$type>, delta: $signed) -> $type {
                    target.atomic().fetch_add(delta as $type, SeqCst).wrapping_add(delta as $type)
                }
                /// Adds one.
                fn $inc(target: Target<$type>) {
                    target.atomic().fetch_add(1, SeqCst);
                }
                /// Adds one; the new value.
                fn $inc_nv(target: Target<$type>) -> $type {
                    target.atomic().fetch_add(1, SeqCst).wrapping_add(1)
                }
                /// Takes one.
                fn $dec(target: Target<$type>) {
                    target.atomic().fetch_sub(1, SeqCst);
                }
                /// Takes one; the new value.
                fn $dec_nv(target: Target<$type>) -> $type {
                    target.atomic().fetch_sub(1, SeqCst).wrapping_sub(1)
                }
                /// Bitwise and.
                fn $and(target: Target<$type>, bits: $type) {
                    target.atomic().fetch_and(bits, SeqCst);
                }
                /// Bitwise and; the new value.
                fn $and_nv(target: Target<$type>, bits: $type) -> $type {
                    target.atomic().fetch_and(bits, SeqCst) & bits
                }
                /// Bitwise or.
                fn $or(target: Target<$type>, bits: $type) {
                    target.atomic().fetch_or(bits, SeqCst);
                }
                /// Bitwise or; the new value.
                fn $or_nv(target: Target<$type>, bits: $type) -> $type {
                    target.atomic().fetch_or(bits, SeqCst) | bits
                }
                /// Stores; the old value.
                fn $swap(target: Target<$type>, new: $type) -> $type {
                    target.atomic().swap(new, SeqCst)
                }
                /// Stores `new` if the value is `expected`; the old value.
                fn $cas(target: Target<$type>, expected: $type, new: $type) -> $type {
                    let word = target.atomic();
                    let (Ok(old) | Err(old)) = word.compare_exchange(expected, new, SeqCst, SeqCst);
                    old
                }
            }
        }
    };
}

family!(bits8, u8, i8: atomic_add_8 atomic_add_8_nv atomic_inc_8 atomic_inc_8_nv atomic_dec_8 atomic_dec_8_nv
    atomic_and_8 atomic_and_8_nv atomic_or_8 atomic_or_8_nv atomic_swap_8 atomic_cas_8);
family!(uchar, u8, i8: atomic_add_char atomic_add_char_nv atomic_inc_uchar atomic_inc_uchar_nv atomic_dec_uchar
    atomic_dec_uchar_nv atomic_and_uchar atomic_and_uchar_nv atomic_or_uchar atomic_or_uchar_nv atomic_swap_uchar
    atomic_cas_uchar);
family!(bits16, u16, i16: atomic_add_16 atomic_add_16_nv atomic_inc_16 atomic_inc_16_nv atomic_dec_16
    atomic_dec_16_nv atomic_and_16 atomic_and_16_nv atomic_or_16 atomic_or_16_nv atomic_swap_16 atomic_cas_16);
family!(ushort, u16, i16: atomic_add_short atomic_add_short_nv atomic_inc_ushort atomic_inc_ushort_nv
    atomic_dec_ushort atomic_dec_ushort_nv atomic_and_ushort atomic_and_ushort_nv atomic_or_ushort atomic_or_ushort_nv
    atomic_swap_ushort atomic_cas_ushort);
family!(bits32, u32, i32: atomic_add_32 atomic_add_32_nv atomic_inc_32 atomic_inc_32_nv atomic_dec_32
    atomic_dec_32_nv atomic_and_32 atomic_and_32_nv atomic_or_32 atomic_or_32_nv atomic_swap_32 atomic_cas_32);
family!(uint, u32, i32: atomic_add_int atomic_add_int_nv atomic_inc_uint atomic_inc_uint_nv atomic_dec_uint
    atomic_dec_uint_nv atomic_and_uint atomic_and_uint_nv atomic_or_uint atomic_or_uint_nv atomic_swap_uint
    atomic_cas_uint);
family!(bits64, u64, i64: atomic_add_64 atomic_add_64_nv atomic_inc_64 atomic_inc_64_nv atomic_dec_64
    atomic_dec_64_nv atomic_and_64 atomic_and_64_nv atomic_or_64 atomic_or_64_nv atomic_swap_64 atomic_cas_64);
family!(ulong, u64, i64: atomic_add_long atomic_add_long_nv atomic_inc_ulong atomic_inc_ulong_nv
    atomic_dec_ulong atomic_dec_ulong_nv atomic_and_ulong atomic_and_ulong_nv atomic_or_ulong atomic_or_ulong_nv
    atomic_swap_ulong atomic_cas_ulong);

ddi! {
    /// Adds bytes to a pointer.
    fn atomic_add_ptr(target: Target<usize, *mut c_void>, delta: isize) {
        target.atomic().fetch_add(delta as usize, SeqCst);
    }
    /// Adds bytes to a pointer; the new value.
    fn atomic_add_ptr_nv(target: Target<usize, *mut c_void>, delta: isize) -> *mut c_void {
        let old = target.atomic().fetch_add(delta as usize, SeqCst);
        old.wrapping_add(delta as usize) as *mut c_void
    }
    /// Stores a pointer; the old one.
    fn atomic_swap_ptr(target: Target<usize, *mut c_void>, new: *mut c_void) -> *mut c_void {
        target.atomic().swap(new as usize, SeqCst) as *mut c_void
    }
    /// Stores a pointer if the present one is `expected`; the old one.
    fn atomic_cas_ptr(target: Target<usize, *mut c_void>, expected: *mut c_void, new: *mut c_void) -> *mut c_void {
        let word = target.atomic();
        let (Ok(old) | Err(old)) = word.compare_exchange(expected as usize, new as usize, SeqCst, SeqCst);
        old as *mut c_void
    }
    /// Sets a bit; 0, or -1 when it was set.
    fn atomic_set_long_excl(target: Target<u64>, bit: u32) -> c_int {
        let old = target.atomic().fetch_or(1 << (bit & 63), SeqCst);
        if old >> (bit & 63) & 1 == 0 { 0 } else { -1 }
    }
    /// Clears a bit; 0, or -1 when it was clear.
    fn atomic_clear_long_excl(target: Target<u64>, bit: u32) -> c_int {
        let old = target.atomic().fetch_and(!(1 << (bit & 63)), SeqCst);
        if old >> (bit & 63) & 1 == 1 { 0 } else { -1 }
    }
    /// Barrier after taking a lock.
    fn membar_enter() {
        fence(SeqCst);
    }
    /// Barrier before giving a lock up.
    fn membar_exit() {
        fence(SeqCst);
    }
    /// Stores before it are seen before stores after it.
    fn membar_producer() {
        fence(SeqCst);
    }
    /// Loads before it are done before loads after it.
    fn membar_consumer() {
        fence(SeqCst);
    }
}

/// The tables of all widths.
pub static ALL: &[super::Group] = &[
    SYMBOLS,
    bits8::SYMBOLS,
    uchar::SYMBOLS,
    bits16::SYMBOLS,
    ushort::SYMBOLS,
    bits32::SYMBOLS,
    uint::SYMBOLS,
    bits64::SYMBOLS,
    ulong::SYMBOLS,
];

#[cfg(test)]
mod tests {
    #[test]
    fn new_values_and_old_values() {
        let mut word = 5u32;
        assert_eq!(driver!(ddi_sys::atomic_add_32_nv(&mut word, -2)), 3);
        assert_eq!(driver!(ddi_sys::atomic_cas_32(&mut word, 3, 9)), 3);
        assert_eq!(driver!(ddi_sys::atomic_or_32_nv(&mut word, 6)), 15);
        assert_eq!(driver!(ddi_sys::atomic_dec_uint_nv(&mut word)), 14);
    }
}
