//! Functions that exist for every type: adding, looking up and taking a value out of a pair.

use std::ffi::{c_char, c_int, c_uint};

use ddi_sys::*;

use super::errno;
use super::lists::{Elements, Head, Live, LivePair};
use crate::nvlist::{self, Errno, Pair, Shape, Value};
use ddi_kernel::board::report;
use ddi_kernel::ddi::args::{Memory, Out, Text};

/// Returns the pair that an argument must be; reports NULL.
pub(super) fn given(pair: Option<LivePair>, function: &str) -> Option<LivePair> {
    if pair.is_none() {
        report::mistake(function, "the pair is NULL", &format!("{function}(9F)"));
    }
    pair
}

/// Adds a pair with elements of the driver's.
fn add(list: Option<Head>, name: Text, elements: Elements) -> c_int {
    let value = |list| if elements.has(list) { Err(EINVAL) } else { elements.read() };
    add_value(list, name, elements.kind, elements.nelem, value)
}

/// Adds a pair.
fn add_value(
    list: Option<Head>,
    name: Text,
    kind: data_type_t,
    nelem: c_uint,
    value: impl FnOnce(Live) -> Result<Value, Errno>,
) -> c_int {
    let added = || -> Result<(), Errno> {
        let list = Live::of(list)?;
        if name.is_null() {
            return Err(EINVAL);
        }
        let value = value(list)?;
        list.insert(&Pair { name: name.bytes().to_vec(), kind, nelem, value })
    };
    errno(added())
}

/// Takes the value of this type out of a pair: a copy of a number, a pointer to what is longer. `to` is a place for it.
fn value(
    pair: Option<LivePair>,
    wanted: data_type_t,
    to: Option<Memory>,
    nelem: Option<Out<c_uint>>,
) -> Result<(), Errno> {
    let pair = pair.ok_or(EINVAL)?;
    let elements = pair.elements();
    let (shape, array) = nvlist::shape(elements.kind).ok_or(ENOTSUP)?;
    let (to, nelem) = (to.filter(|to| !to.is_null()), nelem.filter(|nelem| !nelem.is_null()));
    if elements.kind != wanted || (to.is_none() && shape != Shape::Nothing) || (array && nelem.is_none()) {
        return Err(EINVAL);
    }
    if let Some(nelem) = nelem {
        nelem.set(elements.nelem);
    }
    let Some(to) = to.filter(|_| shape != Shape::Nothing) else { return Ok(()) };
    match (shape, array) {
        (Shape::Numbers(width), false) => to.write(0, &elements.bytes(width)),
        (_, true) if elements.nelem == 0 => to.write(0, &[0; size_of::<usize>()]),
        _ => to.write(0, &pair.value().expose_provenance().to_ne_bytes()),
    }
    Ok(())
}

/// Looks a value up on a list with unique names.
pub(super) fn lookup(
    list: Option<Head>,
    name: Text,
    kind: data_type_t,
    to: Option<Memory>,
    nelem: Option<Out<c_uint>>,
) -> Result<(), Errno> {
    let list = Live::of(list)?;
    if name.is_null() {
        return Err(EINVAL);
    }
    if list.nvflag() & nvlist::FLAGS == 0 {
        return Err(ENOTSUP);
    }
    let found = list.named(name.bytes(), Some(kind)).next().ok_or(ENOENT)?;
    value(Some(found.pair()), kind, to, nelem)
}

/// Functions of types that are one number.
macro_rules! numbers {
    ($( $kind:ident: $ty:ty, $add:ident, $lookup:ident, $value:ident; )*) => {
        /// nvlist_add_boolean(9F), nvlist_lookup_boolean(9F), nvpair_value_byte(9F) for numbers.
        pub mod numbers {
            use super::{Head, LivePair, Memory, Text, Value, add_value, c_int, errno, lookup, value};
            ddi! {
                $(
                    #[doc = "nvlist_add_boolean(9F)."]
                    fn $add(list: Option<Head>, name: Text, number: $ty) -> c_int {
                        add_value(list, name, ddi_sys::$kind, 1, |_| Ok(Value::Plain(number.to_ne_bytes().to_vec())))
                    }
                    #[doc = "nvlist_lookup_boolean(9F)."]
                    fn $lookup(list: Option<Head>, name: Text, to: Memory<$ty>) -> c_int {
                        errno(lookup(list, name, ddi_sys::$kind, Some(to.untyped()), None))
                    }
                    #[doc = "nvpair_value_byte(9F)."]
                    fn $value(pair: Option<LivePair>, to: Memory<$ty>) -> c_int {
                        errno(value(pair, ddi_sys::$kind, Some(to.untyped()), None))
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
            use super::{Elements, Head, LivePair, Memory, Out, Text, add, c_char, c_int, c_uint, errno, lookup, nvlist_t, value};
            ddi! {
                $(
                    #[doc = "nvlist_add_boolean(9F)."]
                    fn $add(list: Option<Head>, name: Text, array: $in, nelem: c_uint) -> c_int {
                        add(list, name, Elements::given(ddi_sys::$kind, nelem, array.untyped()))
                    }
                    #[doc = "nvlist_lookup_boolean(9F)."]
                    fn $lookup(list: Option<Head>, name: Text, to: Memory<$out>, nelem: Out<c_uint>) -> c_int {
                        errno(lookup(list, name, ddi_sys::$kind, Some(to.untyped()), Some(nelem)))
                    }
                    #[doc = "nvpair_value_byte(9F)."]
                    fn $value(pair: Option<LivePair>, to: Memory<$out>, nelem: Out<c_uint>) -> c_int {
                        errno(value(pair, ddi_sys::$kind, Some(to.untyped()), Some(nelem)))
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
    DATA_TYPE_BOOLEAN_ARRAY: Memory<ddi_sys::boolean_t>, *mut ddi_sys::boolean_t, nvlist_add_boolean_array, nvlist_lookup_boolean_array, nvpair_value_boolean_array;
    DATA_TYPE_BYTE_ARRAY: Memory<u8>, *mut u8, nvlist_add_byte_array, nvlist_lookup_byte_array, nvpair_value_byte_array;
    DATA_TYPE_INT8_ARRAY: Memory<i8>, *mut i8, nvlist_add_int8_array, nvlist_lookup_int8_array, nvpair_value_int8_array;
    DATA_TYPE_UINT8_ARRAY: Memory<u8>, *mut u8, nvlist_add_uint8_array, nvlist_lookup_uint8_array, nvpair_value_uint8_array;
    DATA_TYPE_INT16_ARRAY: Memory<i16>, *mut i16, nvlist_add_int16_array, nvlist_lookup_int16_array, nvpair_value_int16_array;
    DATA_TYPE_UINT16_ARRAY: Memory<u16>, *mut u16, nvlist_add_uint16_array, nvlist_lookup_uint16_array, nvpair_value_uint16_array;
    DATA_TYPE_INT32_ARRAY: Memory<i32>, *mut i32, nvlist_add_int32_array, nvlist_lookup_int32_array, nvpair_value_int32_array;
    DATA_TYPE_UINT32_ARRAY: Memory<u32>, *mut u32, nvlist_add_uint32_array, nvlist_lookup_uint32_array, nvpair_value_uint32_array;
    DATA_TYPE_INT64_ARRAY: Memory<i64>, *mut i64, nvlist_add_int64_array, nvlist_lookup_int64_array, nvpair_value_int64_array;
    DATA_TYPE_UINT64_ARRAY: Memory<u64>, *mut u64, nvlist_add_uint64_array, nvlist_lookup_uint64_array, nvpair_value_uint64_array;
    DATA_TYPE_STRING_ARRAY: Memory<*mut c_char, *const *mut c_char>, *mut *mut c_char, nvlist_add_string_array, nvlist_lookup_string_array, nvpair_value_string_array;
    DATA_TYPE_NVLIST_ARRAY: Memory<*mut nvlist_t>, *mut *mut nvlist_t, nvlist_add_nvlist_array, nvlist_lookup_nvlist_array, nvpair_value_nvlist_array;
}

/// The types that are neither.
mod others {
    use super::{Elements, Head, LivePair, Memory, Text, add, errno, lookup, value};
    use ddi_kernel::ddi::args::Argument;
    use ddi_sys::*;
    use std::ffi::{c_char, c_int};

    ddi! {
        /// nvlist_add_boolean(9F): a copy of a pair.
        fn nvlist_add_nvpair(list: Option<Head>, pair: Option<LivePair>) -> c_int {
            let Some(pair) = pair else { return EINVAL };
            // SAFETY: the name of a pair that lives.
            let name = unsafe { Text::of(pair.name_at().cast_const()) };
            add(list, name, pair.elements())
        }
        /// nvlist_add_boolean(9F).
        fn nvlist_add_boolean(list: Option<Head>, name: Text) -> c_int {
            super::add_value(list, name, DATA_TYPE_BOOLEAN, 0, |_| Ok(super::Value::Plain(Vec::new())))
        }
        /// nvlist_lookup_boolean(9F).
        fn nvlist_lookup_boolean(list: Option<Head>, name: Text) -> c_int {
            errno(lookup(list, name, DATA_TYPE_BOOLEAN, None, None))
        }
        /// nvlist_add_boolean(9F).
        fn nvlist_add_string(list: Option<Head>, name: Text, string: Memory<c_char, *const c_char>) -> c_int {
            add(list, name, Elements::given(DATA_TYPE_STRING, 1, string.untyped()))
        }
        /// nvlist_lookup_boolean(9F).
        fn nvlist_lookup_string(list: Option<Head>, name: Text, to: Memory<*mut c_char>) -> c_int {
            errno(lookup(list, name, DATA_TYPE_STRING, Some(to.untyped()), None))
        }
        /// nvpair_value_byte(9F).
        fn nvpair_value_string(pair: Option<LivePair>, to: Memory<*mut c_char>) -> c_int {
            errno(value(pair, DATA_TYPE_STRING, Some(to.untyped()), None))
        }
        /// nvlist_add_boolean(9F).
        fn nvlist_add_nvlist(list: Option<Head>, name: Text, other: Memory<nvlist_t>) -> c_int {
            add(list, name, Elements::given(DATA_TYPE_NVLIST, 1, other))
        }
        /// nvlist_lookup_boolean(9F).
        fn nvlist_lookup_nvlist(list: Option<Head>, name: Text, to: Memory<*mut nvlist_t>) -> c_int {
            errno(lookup(list, name, DATA_TYPE_NVLIST, Some(to.untyped()), None))
        }
        /// nvpair_value_byte(9F).
        fn nvpair_value_nvlist(pair: Option<LivePair>, to: Memory<*mut nvlist_t>) -> c_int {
            errno(value(pair, DATA_TYPE_NVLIST, Some(to.untyped()), None))
        }
    }
}
pub use others::SYMBOLS as OTHERS;
