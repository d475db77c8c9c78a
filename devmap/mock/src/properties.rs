//! Properties of nodes, of all types: those that the test has given, and in front of them the driver's own.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::Mutex;

use ddi_sys as sys;

use super::nodes::{node, text};

/// A property's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Property {
    /// Integers of 32 bits.
    Ints(Vec<i32>),
    /// Integers of 64 bits.
    Int64s(Vec<i64>),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Strings.
    Texts(Vec<CString>),
}

impl From<i32> for Property {
    fn from(int: i32) -> Self {
        Property::Ints(vec![int])
    }
}

/// # Safety
/// As ddi_prop_lookup(9F).
unsafe fn find(dip: *mut sys::dev_info_t, flags: u32, name: *mut c_char) -> Option<Property> {
    // SAFETY: the caller's promise.
    let node = unsafe { node(dip) };
    // SAFETY: likewise: a string.
    let name = unsafe { text(name) };
    let own = node.own_properties.get(name).or(node.properties.get(name)).cloned();
    let parents = || match name {
        "of-the-parent" if flags & sys::DDI_PROP_DONTPASS == 0 => Some(7.into()),
        _ => None,
    };
    own.or_else(parents)
}

/// The values that lookups have given: words by address.
static GIVEN: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

/// Returns the number of values of lookups that were not freed.
pub fn given() -> usize {
    GIVEN.lock().unwrap().len()
}

/// A copy that ddi_prop_free frees.
fn give(bytes: &[u8]) -> *mut u8 {
    let words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_ne_bytes(word)
    });
    let copy: Box<[u64]> = words.collect();
    let len = copy.len();
    let copy = Box::into_raw(copy).cast::<u8>();
    GIVEN.lock().unwrap().insert(copy.expose_provenance(), len);
    copy
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_free(value: *mut c_void) {
    let words =
        GIVEN.lock().unwrap().remove(&value.expose_provenance()).expect("a property's value, freed once");
    let words = std::ptr::slice_from_raw_parts_mut(value.cast::<u64>(), words);
    // SAFETY: what `give` made of a box of so many words.
    drop(unsafe { Box::from_raw(words) });
}

/// Gives a look-up's answer.
///
/// # Safety
/// The caller's pointers, as ddi_prop_lookup(9F) says.
unsafe fn answer<T>(
    found: Option<Result<(Vec<u8>, usize), ()>>,
    value: *mut *mut T,
    count: *mut u32,
) -> c_int {
    match found {
        None => sys::DDI_PROP_NOT_FOUND,
        Some(Err(())) => sys::DDI_PROP_CANNOT_DECODE,
        Some(Ok((bytes, n))) => {
            // SAFETY: the caller's promise.
            unsafe { *value = give(&bytes).cast() };
            // SAFETY: likewise.
            unsafe { *count = n as u32 };
            sys::DDI_PROP_SUCCESS
        }
    }
}

macro_rules! lookups {
    ($($name:ident: $kind:ident of $type:ty;)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C-unwind" fn $name(
                _: sys::dev_t,
                dip: *mut sys::dev_info_t,
                flags: u32,
                name: *mut c_char,
                value: *mut *mut $type,
                count: *mut u32,
            ) -> c_int {
                // SAFETY: as ddi_prop_lookup(9F).
                let found = unsafe { find(dip, flags, name) }.map(|property| match property {
                    Property::$kind(v) => {
                        Ok((v.iter().flat_map(|value| value.to_ne_bytes()).collect(), v.len()))
                    }
                    _ => Err(()),
                });
                // SAFETY: likewise.
                unsafe { answer(found, value, count) }
            }
        )*
    };
}
lookups! {
    ddi_prop_lookup_int_array: Ints of c_int;
    ddi_prop_lookup_int64_array: Int64s of i64;
    ddi_prop_lookup_byte_array: Bytes of u8;
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_lookup_string_array(
    _: sys::dev_t,
    dip: *mut sys::dev_info_t,
    flags: u32,
    name: *mut c_char,
    value: *mut *mut *mut c_char,
    count: *mut u32,
) -> c_int {
    // SAFETY: as ddi_prop_lookup(9F).
    let texts = match unsafe { find(dip, flags, name) } {
        None => return sys::DDI_PROP_NOT_FOUND,
        Some(Property::Texts(texts)) => texts,
        Some(_) => return sys::DDI_PROP_CANNOT_DECODE,
    };
    let table = 8 * texts.len();
    let strings: Vec<u8> = texts.iter().flat_map(|text| text.as_bytes_with_nul().to_vec()).collect();
    let start = give(&[vec![0; table], strings].concat());
    let mut at = start.wrapping_add(table);
    for (index, text) in texts.iter().enumerate() {
        // SAFETY: the table in front has a place for each.
        unsafe { start.cast::<*mut u8>().wrapping_add(index).write(at) };
        at = at.wrapping_add(text.as_bytes_with_nul().len());
    }
    // SAFETY: as ddi_prop_lookup(9F).
    unsafe { *value = start.cast() };
    // SAFETY: likewise.
    unsafe { *count = texts.len() as u32 };
    sys::DDI_PROP_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_lookup_string(
    _: sys::dev_t,
    dip: *mut sys::dev_info_t,
    flags: u32,
    name: *mut c_char,
    value: *mut *mut c_char,
) -> c_int {
    // SAFETY: as ddi_prop_lookup(9F).
    let found = unsafe { find(dip, flags, name) }.map(|property| match property {
        Property::Texts(texts) => Ok((texts[0].as_bytes_with_nul().to_vec(), 1)),
        _ => Err(()),
    });
    let mut count = 0;
    // SAFETY: likewise.
    unsafe { answer(found, value, &mut count) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_get_int(
    _: sys::dev_t,
    dip: *mut sys::dev_info_t,
    flags: u32,
    name: *mut c_char,
    default: c_int,
) -> c_int {
    // SAFETY: as ddi_prop_get_int(9F).
    match unsafe { find(dip, flags, name) } {
        Some(Property::Ints(ints)) => ints[0],
        _ => default,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_get_int64(
    _: sys::dev_t,
    dip: *mut sys::dev_info_t,
    flags: u32,
    name: *mut c_char,
    default: i64,
) -> i64 {
    // SAFETY: as ddi_prop_get_int(9F).
    match unsafe { find(dip, flags, name) } {
        Some(Property::Int64s(ints)) => ints[0],
        Some(Property::Ints(ints)) => ints[0].into(),
        _ => default,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_exists(
    _: sys::dev_t,
    dip: *mut sys::dev_info_t,
    flags: u32,
    name: *mut c_char,
) -> c_int {
    // SAFETY: as ddi_prop_exists(9F).
    unsafe { find(dip, flags, name) }.is_some().into()
}

/// # Safety
/// As ddi_prop_update(9F).
unsafe fn update(dev: sys::dev_t, dip: *mut sys::dev_info_t, name: *mut c_char, property: Property) -> c_int {
    assert_eq!(dev, sys::DDI_DEV_T_NONE);
    // SAFETY: the caller's promise.
    let node = unsafe { node(dip) };
    // SAFETY: likewise: a string.
    let name = unsafe { text(name) };
    if name.is_empty() {
        return sys::DDI_PROP_INVAL_ARG;
    }
    node.own_properties.insert(name.into(), property);
    sys::DDI_PROP_SUCCESS
}

macro_rules! updates {
    ($($one:ident $many:ident: $kind:ident of $type:ty;)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C-unwind" fn $one(
                dev: sys::dev_t,
                dip: *mut sys::dev_info_t,
                name: *mut c_char,
                value: $type,
            ) -> c_int {
                // SAFETY: as ddi_prop_update(9F).
                unsafe { update(dev, dip, name, Property::$kind(vec![value])) }
            }
            updates!(@many $many: $kind of $type);
        )*
    };
    (@many $many:ident: $kind:ident of $type:ty) => {
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $many(
            dev: sys::dev_t,
            dip: *mut sys::dev_info_t,
            name: *mut c_char,
            values: *mut $type,
            count: u32,
        ) -> c_int {
            if count == 0 {
                return sys::DDI_PROP_INVAL_ARG;
            }
            // SAFETY: as ddi_prop_update(9F): so many values.
            let values = unsafe { std::slice::from_raw_parts(values, count as usize) };
            // SAFETY: likewise.
            unsafe { update(dev, dip, name, Property::$kind(values.to_vec())) }
        }
    };
}
updates! {
    ddi_prop_update_int ddi_prop_update_int_array: Ints of c_int;
    ddi_prop_update_int64 ddi_prop_update_int64_array: Int64s of i64;
}
updates!(@many ddi_prop_update_byte_array: Bytes of u8);

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_update_string(
    dev: sys::dev_t,
    dip: *mut sys::dev_info_t,
    name: *mut c_char,
    value: *mut c_char,
) -> c_int {
    // SAFETY: as ddi_prop_update(9F): a string.
    let value = unsafe { CStr::from_ptr(value) }.to_owned();
    // SAFETY: likewise.
    unsafe { update(dev, dip, name, Property::Texts(vec![value])) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_update_string_array(
    dev: sys::dev_t,
    dip: *mut sys::dev_info_t,
    name: *mut c_char,
    values: *mut *mut c_char,
    count: u32,
) -> c_int {
    // SAFETY: as ddi_prop_update(9F): so many strings.
    let values = unsafe { std::slice::from_raw_parts(values, count as usize) };
    // SAFETY: likewise.
    let texts = values.iter().map(|text| unsafe { CStr::from_ptr(*text) }.to_owned()).collect();
    // SAFETY: likewise.
    unsafe { update(dev, dip, name, Property::Texts(texts)) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_remove(
    dev: sys::dev_t,
    dip: *mut sys::dev_info_t,
    name: *mut c_char,
) -> c_int {
    assert_eq!(dev, sys::DDI_DEV_T_NONE);
    // SAFETY: as ddi_prop_remove(9F).
    let node = unsafe { node(dip) };
    // SAFETY: likewise: a string.
    let name = unsafe { text(name) };
    match node.own_properties.remove(name) {
        Some(_) => sys::DDI_PROP_SUCCESS,
        None => sys::DDI_PROP_NOT_FOUND,
    }
}
