//! What there is once for every type: adding, looking up and taking a value out of a pair.

use std::ffi::{c_char, c_int, c_uint, c_void};

use ddi_sys::*;

use super::errno;
use super::lists::{self, Live};
use crate::nvlist::{self, Errno, Pair, Shape};
use ddi_kernel::ddi::{bytes, store};

/// Adds a pair.
///
/// # Safety
/// `list` is NULL or a list, `name` NULL or a string; at `data` is what [`lists::read`] wants.
unsafe fn add(
    list: *mut nvlist_t,
    name: *const c_char,
    kind: data_type_t,
    nelem: c_uint,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let Ok(list) = (unsafe { Live::of(list) }) else { return EINVAL };
    if name.is_null() {
        return EINVAL;
    }
    let added = || -> Result<(), Errno> {
        // SAFETY: the caller's promise.
        unsafe { check_not_itself(list, kind, nelem, data) }?;
        // SAFETY: the caller's promise.
        let value = unsafe { lists::read(kind, nelem, data) }?;
        // SAFETY: the caller's promise.
        let name = unsafe { bytes(name) }.to_vec();
        list.insert(&Pair { name, kind, nelem, value })
    };
    errno(added())
}

/// EINVAL for a list that is added to itself.
///
/// # Safety
/// As [`add`].
unsafe fn check_not_itself(
    list: Live,
    kind: data_type_t,
    nelem: c_uint,
    data: *const c_void,
) -> Result<(), Errno> {
    let itself = match kind {
        DATA_TYPE_NVLIST => data == list.head().cast(),
        DATA_TYPE_NVLIST_ARRAY if !data.is_null() => {
            let lists = data.cast::<*mut nvlist_t>();
            // SAFETY: the caller's promise: so many pointers.
            (0..nelem as usize).any(|i| unsafe { lists.wrapping_add(i).read() } == list.head())
        }
        _ => false,
    };
    if itself { Err(EINVAL) } else { Ok(()) }
}

/// Takes the value of this type out of a pair: a copy of a number, a pointer to what is longer.
///
/// # Safety
/// `pair` is NULL or a pair, `to` and `nelem` are NULL or valid.
unsafe fn value(pair: *mut nvpair_t, wanted: data_type_t, to: *mut c_void, nelem: *mut c_uint) -> c_int {
    if pair.is_null() {
        return EINVAL;
    }
    // SAFETY: the caller's promise.
    let (kind, n) = unsafe { lists::kind(pair) };
    let Some((shape, array)) = nvlist::shape(kind) else { return ENOTSUP };
    if kind != wanted || (to.is_null() && shape != Shape::Nothing) || (array && nelem.is_null()) {
        return EINVAL;
    }
    // SAFETY: the caller's promise.
    unsafe { store(nelem, n) };
    // SAFETY: the caller's promise.
    let value = unsafe { lists::value(pair) };
    match (shape, array) {
        (Shape::Nothing, _) => {}
        // SAFETY: a pair's number, and the caller's place for it.
        (Shape::Numbers(width), false) => unsafe { value.copy_to_nonoverlapping(to, width) },
        (_, true) if n == 0 => {
            // SAFETY: the caller's place for a pointer.
            unsafe { to.cast::<*mut c_void>().write(std::ptr::null_mut()) };
        }
        // SAFETY: the caller's place for a pointer.
        _ => unsafe { to.cast::<*mut c_void>().write(value) },
    }
    0
}

/// Looks a value up on a list with unique names.
///
/// # Safety
/// `list` is NULL or a list, `name` NULL or a string; `to` and `nelem` as in [`value`].
pub(super) unsafe fn lookup(
    list: *mut nvlist_t,
    name: *const c_char,
    kind: data_type_t,
    to: *mut c_void,
    nelem: *mut c_uint,
) -> c_int {
    // SAFETY: the caller's promise.
    let Ok(list) = (unsafe { Live::of(list) }) else { return EINVAL };
    if name.is_null() {
        return EINVAL;
    }
    if list.nvflag() & nvlist::FLAGS == 0 {
        return ENOTSUP;
    }
    // SAFETY: the caller's promise.
    match list.named(unsafe { bytes(name) }, Some(kind)).next() {
        // SAFETY: a pair of the list, and the caller's promise.
        Some(pair) => unsafe { value(pair, kind, to, nelem) },
        None => ENOENT,
    }
}

/// Functions of types that are one number.
macro_rules! numbers {
    ($( $kind:ident: $ty:ty, $add:ident, $lookup:ident, $value:ident; )*) => {
        /// nvlist_add_boolean(9F), nvlist_lookup_boolean(9F), nvpair_value_byte(9F) for numbers.
        pub mod numbers {
            use super::{add, c_char, c_int, lookup, nvlist_t, nvpair_t, value};
            ddi! {
                $(
                    #[doc = "nvlist_add_boolean(9F)."]
                    fn $add(list: *mut nvlist_t, name: *const c_char, number: $ty) -> c_int {
                        // SAFETY: the driver's promise.
                        unsafe { add(list, name, ddi_sys::$kind, 1, (&raw const number).cast()) }
                    }
                    #[doc = "nvlist_lookup_boolean(9F)."]
                    fn $lookup(list: *mut nvlist_t, name: *const c_char, to: *mut $ty) -> c_int {
                        // SAFETY: the driver's promise.
                        unsafe { lookup(list, name, ddi_sys::$kind, to.cast(), std::ptr::null_mut()) }
                    }
                    #[doc = "nvpair_value_byte(9F)."]
                    fn $value(pair: *mut nvpair_t, to: *mut $ty) -> c_int {
                        // SAFETY: the driver's promise.
                        unsafe { value(pair, ddi_sys::$kind, to.cast(), std::ptr::null_mut()) }
                    }
                )*
            }
        }
        pub use numbers::SYMBOLS as NUMBERS;
    };
}

/// Functions of types that are arrays: the type of what is added, and of the pointer that is looked up.
macro_rules! arrays {
    ($( $kind:ident: $in:ty, $out:ty, $add:ident, $lookup:ident, $value:ident; )*) => {
        /// nvlist_add_boolean(9F), nvlist_lookup_boolean(9F), nvpair_value_byte(9F) for arrays.
        pub mod arrays {
            use super::{add, c_char, c_int, c_uint, lookup, nvlist_t, nvpair_t, value};
            ddi! {
                $(
                    #[doc = "nvlist_add_boolean(9F)."]
                    fn $add(list: *mut nvlist_t, name: *const c_char, array: $in, nelem: c_uint) -> c_int {
                        // SAFETY: the driver's promise.
                        unsafe { add(list, name, ddi_sys::$kind, nelem, array.cast()) }
                    }
                    #[doc = "nvlist_lookup_boolean(9F)."]
                    fn $lookup(list: *mut nvlist_t, name: *const c_char, to: *mut $out, nelem: *mut c_uint) -> c_int {
                        // SAFETY: the driver's promise.
                        unsafe { lookup(list, name, ddi_sys::$kind, to.cast(), nelem) }
                    }
                    #[doc = "nvpair_value_byte(9F)."]
                    fn $value(pair: *mut nvpair_t, to: *mut $out, nelem: *mut c_uint) -> c_int {
                        // SAFETY: the driver's promise.
                        unsafe { value(pair, ddi_sys::$kind, to.cast(), nelem) }
                    }
                )*
            }
        }
        pub use arrays::SYMBOLS as ARRAYS;
    };
}

numbers! {
    DATA_TYPE_BOOLEAN_VALUE: ddi_sys::boolean_t, nvlist_add_boolean_value, nvlist_lookup_boolean_value, nvpair_value_boolean_value;
    DATA_TYPE_BYTE: u8, nvlist_add_byte, nvlist_lookup_byte, nvpair_value_byte;
    DATA_TYPE_INT8: i8, nvlist_add_int8, nvlist_lookup_int8, nvpair_value_int8;
    DATA_TYPE_UINT8: u8, nvlist_add_uint8, nvlist_lookup_uint8, nvpair_value_uint8;
    DATA_TYPE_INT16: i16, nvlist_add_int16, nvlist_lookup_int16, nvpair_value_int16;
    DATA_TYPE_UINT16: u16, nvlist_add_uint16, nvlist_lookup_uint16, nvpair_value_uint16;
    DATA_TYPE_INT32: i32, nvlist_add_int32, nvlist_lookup_int32, nvpair_value_int32;
    DATA_TYPE_UINT32: u32, nvlist_add_uint32, nvlist_lookup_uint32, nvpair_value_uint32;
    DATA_TYPE_INT64: i64, nvlist_add_int64, nvlist_lookup_int64, nvpair_value_int64;
    DATA_TYPE_UINT64: u64, nvlist_add_uint64, nvlist_lookup_uint64, nvpair_value_uint64;
    DATA_TYPE_HRTIME: i64, nvlist_add_hrtime, nvlist_lookup_hrtime, nvpair_value_hrtime;
}

arrays! {
    DATA_TYPE_BOOLEAN_ARRAY: *mut ddi_sys::boolean_t, *mut ddi_sys::boolean_t, nvlist_add_boolean_array, nvlist_lookup_boolean_array, nvpair_value_boolean_array;
    DATA_TYPE_BYTE_ARRAY: *mut u8, *mut u8, nvlist_add_byte_array, nvlist_lookup_byte_array, nvpair_value_byte_array;
    DATA_TYPE_INT8_ARRAY: *mut i8, *mut i8, nvlist_add_int8_array, nvlist_lookup_int8_array, nvpair_value_int8_array;
    DATA_TYPE_UINT8_ARRAY: *mut u8, *mut u8, nvlist_add_uint8_array, nvlist_lookup_uint8_array, nvpair_value_uint8_array;
    DATA_TYPE_INT16_ARRAY: *mut i16, *mut i16, nvlist_add_int16_array, nvlist_lookup_int16_array, nvpair_value_int16_array;
    DATA_TYPE_UINT16_ARRAY: *mut u16, *mut u16, nvlist_add_uint16_array, nvlist_lookup_uint16_array, nvpair_value_uint16_array;
    DATA_TYPE_INT32_ARRAY: *mut i32, *mut i32, nvlist_add_int32_array, nvlist_lookup_int32_array, nvpair_value_int32_array;
    DATA_TYPE_UINT32_ARRAY: *mut u32, *mut u32, nvlist_add_uint32_array, nvlist_lookup_uint32_array, nvpair_value_uint32_array;
    DATA_TYPE_INT64_ARRAY: *mut i64, *mut i64, nvlist_add_int64_array, nvlist_lookup_int64_array, nvpair_value_int64_array;
    DATA_TYPE_UINT64_ARRAY: *mut u64, *mut u64, nvlist_add_uint64_array, nvlist_lookup_uint64_array, nvpair_value_uint64_array;
    DATA_TYPE_STRING_ARRAY: *const *mut c_char, *mut *mut c_char, nvlist_add_string_array, nvlist_lookup_string_array, nvpair_value_string_array;
    DATA_TYPE_NVLIST_ARRAY: *mut *mut nvlist_t, *mut *mut nvlist_t, nvlist_add_nvlist_array, nvlist_lookup_nvlist_array, nvpair_value_nvlist_array;
}

/// The types that are neither.
mod others {
    use super::{add, lists, lookup, value};
    use ddi_sys::*;
    use std::ffi::{c_char, c_int};
    use std::ptr::{null, null_mut};

    ddi! {
        /// nvlist_add_boolean(9F): a copy of a pair.
        fn nvlist_add_nvpair(list: *mut nvlist_t, pair: *mut nvpair_t) -> c_int {
            if pair.is_null() {
                return EINVAL;
            }
            // SAFETY: the driver's promise.
            let (kind, nelem) = unsafe { lists::kind(pair) };
            // SAFETY: the driver's promise.
            let data = unsafe { lists::value(pair) };
            // SAFETY: the driver's promise.
            unsafe { add(list, pair.wrapping_add(1).cast(), kind, nelem, data) }
        }
        /// nvlist_add_boolean(9F).
        fn nvlist_add_boolean(list: *mut nvlist_t, name: *const c_char) -> c_int {
            // SAFETY: the driver's promise.
            unsafe { add(list, name, DATA_TYPE_BOOLEAN, 0, null()) }
        }
        /// nvlist_lookup_boolean(9F).
        fn nvlist_lookup_boolean(list: *mut nvlist_t, name: *const c_char) -> c_int {
            // SAFETY: the driver's promise.
            unsafe { lookup(list, name, DATA_TYPE_BOOLEAN, null_mut(), null_mut()) }
        }
        /// nvlist_add_boolean(9F).
        fn nvlist_add_string(list: *mut nvlist_t, name: *const c_char, string: *const c_char) -> c_int {
            // SAFETY: the driver's promise.
            unsafe { add(list, name, DATA_TYPE_STRING, 1, string.cast()) }
        }
        /// nvlist_lookup_boolean(9F).
        fn nvlist_lookup_string(list: *mut nvlist_t, name: *const c_char, to: *mut *mut c_char) -> c_int {
            // SAFETY: the driver's promise.
            unsafe { lookup(list, name, DATA_TYPE_STRING, to.cast(), null_mut()) }
        }
        /// nvpair_value_byte(9F).
        fn nvpair_value_string(pair: *mut nvpair_t, to: *mut *mut c_char) -> c_int {
            // SAFETY: the driver's promise.
            unsafe { value(pair, DATA_TYPE_STRING, to.cast(), null_mut()) }
        }
        /// nvlist_add_boolean(9F).
        fn nvlist_add_nvlist(list: *mut nvlist_t, name: *const c_char, other: *mut nvlist_t) -> c_int {
            // SAFETY: the driver's promise.
            unsafe { add(list, name, DATA_TYPE_NVLIST, 1, other.cast()) }
        }
        /// nvlist_lookup_boolean(9F).
        fn nvlist_lookup_nvlist(list: *mut nvlist_t, name: *const c_char, to: *mut *mut nvlist_t) -> c_int {
            // SAFETY: the driver's promise.
            unsafe { lookup(list, name, DATA_TYPE_NVLIST, to.cast(), null_mut()) }
        }
        /// nvpair_value_byte(9F).
        fn nvpair_value_nvlist(pair: *mut nvpair_t, to: *mut *mut nvlist_t) -> c_int {
            // SAFETY: the driver's promise.
            unsafe { value(pair, DATA_TYPE_NVLIST, to.cast(), null_mut()) }
        }
    }
}
pub use others::SYMBOLS as OTHERS;
