//! Properties: ddi_prop_get_int(9F), ddi_prop_lookup(9F), ddi_prop_update(9F), the older ddi_getprop(9F), ddi_prop_op(9F).
//!
//! The look-up order is the driver's properties, those of the node (driver.conf and the host's), then the parent's. Values that
//! ddi_prop_lookup gives are freed with ddi_prop_free, those of ddi_getlongprop with kmem_free.

use std::ffi::{c_char, c_int, c_uint, c_void};

use ddi_sys::{ddi_prop_op_t, dev_info_t, dev_t, uchar_t};
use ddi_system::props::{ANY_DEV, Kind, Property};

use super::args::{Argument, InOut, Memory, Out, Text};
use super::memory;
use super::nodes::node;
use crate::board::report;
use crate::kern::heap;

/// DDI_DEV_T_ANY: matches whatever device number a property has.
const DEV_ANY: dev_t = dev_t::MAX - 1;

/// The name of a property.
type Name<'a> = Text<'a, *mut c_char>;

/// Looks a property up as the flags say.
fn find(dev: dev_t, dip: *mut dev_info_t, flags: c_uint, name: Name<'_>) -> Option<Property> {
    let dev = (dev != DEV_ANY).then_some(dev);
    node(dip, "ddi_prop_lookup")?.property(&name.text(), dev, flags & ddi_sys::DDI_PROP_DONTPASS == 0)
}

/// Results of a typed look-up: no such property, and one of another type.
const NOT_FOUND: c_int = ddi_sys::DDI_PROP_NOT_FOUND;
const CANNOT_DECODE: c_int = ddi_sys::DDI_PROP_CANNOT_DECODE;

/// An element of a property that is an array of numbers.
trait Element {
    /// The type of such a property.
    const KIND: Kind;

    /// Returns the elements as bytes; None if the property is not of that type.
    fn read(property: Property) -> Option<Vec<u8>>;
}

impl Element for c_int {
    const KIND: Kind = Kind::Int;

    fn read(property: Property) -> Option<Vec<u8>> {
        Some(property.as_ints()?.iter().flat_map(|i| i.to_ne_bytes()).collect())
    }
}

impl Element for i64 {
    const KIND: Kind = Kind::Int64;

    fn read(property: Property) -> Option<Vec<u8>> {
        Some(property.as_int64s()?.iter().flat_map(|i| i.to_ne_bytes()).collect())
    }
}

impl Element for uchar_t {
    const KIND: Kind = Kind::Byte;

    fn read(property: Property) -> Option<Vec<u8>> {
        Some(property.bytes)
    }
}

/// Bytes of the header before a value that ddi_prop_free frees: the size of both.
const HEADER: usize = 16;

/// Memory for `data`, to be freed with ddi_prop_free.
fn give(data: &[u8]) -> *mut u8 {
    let size = HEADER + data.len().max(1);
    let mut all = size.to_ne_bytes().to_vec();
    all.resize(HEADER, 0);
    all.extend_from_slice(data);
    all.resize(size, 0);
    let base: *mut u8 = memory::copy_of(&all, ddi_sys::KM_NOSLEEP).cast();
    if base.is_null() { base } else { base.wrapping_add(HEADER) }
}

/// Stores the result of a typed array look-up: `values` as bytes, and the number of elements.
fn answer<T>(
    values: Option<Vec<u8>>,
    count: usize,
    data: Out<'_, *mut T>,
    n: Option<Out<'_, c_uint>>,
) -> c_int {
    let Some(values) = values else { return CANNOT_DECODE };
    let given = give(&values);
    if given.is_null() {
        return ddi_sys::DDI_PROP_NO_MEMORY;
    }
    data.set(given.cast());
    if let Some(n) = n {
        n.set(count as c_uint);
    }
    ddi_sys::DDI_PROP_SUCCESS
}

/// Sets a driver property.
fn update(dev: dev_t, dip: *mut dev_info_t, name: Name<'_>, kind: Kind, value: Vec<u8>) -> c_int {
    if dev == DEV_ANY {
        return ddi_sys::DDI_PROP_INVAL_ARG;
    }
    let name = name.text();
    let Some(node) = node(dip, "ddi_prop_update") else { return ddi_sys::DDI_PROP_INVAL_ARG };
    if name.is_empty() {
        return ddi_sys::DDI_PROP_INVAL_ARG;
    }
    let property = Property { name, dev, kind, bytes: value, undefined: false };
    node.driver_properties.lock().set(property);
    ddi_sys::DDI_PROP_SUCCESS
}

/// The bytes of `n` elements.
fn elements<T>(data: Memory<'_, T>, n: usize) -> Vec<u8> {
    data.read(n * size_of::<T>())
}

/// The first integer of a property; None when it is not one. A boolean property counts as 1.
fn first_int(property: &Property) -> Option<i64> {
    match property.as_int64s()?.first() {
        Some(value) => Some(*value),
        None => Some(1),
    }
}

/// Place for a value of ddi_prop_op(9F): the buffer, or the place for its address, and its length.
type Place<'a> = (Memory<'a, c_char>, InOut<'a, c_int>);

/// ddi_prop_op(9F) on a property that was found: length and value as `op` says.
fn give_raw(value: &[u8], op: ddi_prop_op_t, flags: c_uint, (to, length): Place<'_>) -> c_int {
    let len = value.len() as c_int;
    match op {
        ddi_sys::PROP_EXISTS => return ddi_sys::DDI_PROP_SUCCESS,
        ddi_sys::PROP_LEN => {}
        ddi_sys::PROP_LEN_AND_VAL_BUF => {
            let room = length.value();
            if room < len {
                length.put(len);
                return ddi_sys::DDI_PROP_BUF_TOO_SMALL;
            }
            to.sized(room as usize).write(0, value);
        }
        ddi_sys::PROP_LEN_AND_VAL_ALLOC => {
            let sleep = flags & ddi_sys::DDI_PROP_CANSLEEP != 0;
            let at = memory::copy_of(value, if sleep { ddi_sys::KM_SLEEP } else { ddi_sys::KM_NOSLEEP });
            if at.is_null() && !value.is_empty() {
                return ddi_sys::DDI_PROP_NO_MEMORY;
            }
            to.cast::<*mut c_void>().set_element(0, at);
        }
        _ => return ddi_sys::DDI_PROP_INVAL_ARG,
    }
    length.set(len);
    ddi_sys::DDI_PROP_SUCCESS
}

/// ddi_prop_op(9F).
fn give_found(
    dev: dev_t,
    dip: *mut dev_info_t,
    op: ddi_prop_op_t,
    flags: c_int,
    name: Name<'_>,
    place: Place<'_>,
) -> c_int {
    match find(dev, dip, flags as c_uint, name) {
        Some(property) => give_raw(&property.bytes, op, flags as c_uint, place),
        None => NOT_FOUND,
    }
}

/// The by-size variants of ddi_prop_op: Size and Nblocks (and their 32-bit forms) are made up.
fn sized(
    dev: dev_t,
    dip: *mut dev_info_t,
    op: ddi_prop_op_t,
    flags: c_int,
    name: Name<'_>,
    place: Place<'_>,
    size: u64,
) -> c_int {
    let value = match name.bytes() {
        b"Size" => size.to_ne_bytes().to_vec(),
        b"Nblocks" => (size / 512).to_ne_bytes().to_vec(),
        b"size" => ((size as u32) as i32).to_ne_bytes().to_vec(),
        b"nblocks" => (((size / 512) as u32) as i32).to_ne_bytes().to_vec(),
        _ => return give_found(dev, dip, op, flags, name, place),
    };
    give_raw(&value, op, flags as c_uint, place)
}

ddi! {
    /// ddi_prop_op(9F).
    fn ddi_prop_op(
        dev: dev_t,
        dip: *mut dev_info_t,
        op: ddi_prop_op_t,
        flags: c_int,
        name: Name,
        to: Memory<c_char>,
        length: InOut<c_int>,
    ) -> c_int {
        give_found(dev, dip, op, flags, name, (to, length))
    }
    /// ddi_prop_op_size(9F): bytes.
    fn ddi_prop_op_size(
        dev: dev_t,
        dip: *mut dev_info_t,
        op: ddi_prop_op_t,
        flags: c_int,
        name: Name,
        to: Memory<c_char>,
        length: InOut<c_int>,
        size: u64,
    ) -> c_int {
        sized(dev, dip, op, flags, name, (to, length), size)
    }
    /// ddi_prop_op_nblocks(9F): blocks of 512 bytes.
    fn ddi_prop_op_nblocks(
        dev: dev_t,
        dip: *mut dev_info_t,
        op: ddi_prop_op_t,
        flags: c_int,
        name: Name,
        to: Memory<c_char>,
        length: InOut<c_int>,
        blocks: u64,
    ) -> c_int {
        sized(dev, dip, op, flags, name, (to, length), blocks.saturating_mul(512))
    }
    /// ddi_prop_op_size_blksize(9F): with a block size other than 512, which changes neither Size nor Nblocks of 512 bytes.
    fn ddi_prop_op_size_blksize(
        dev: dev_t,
        dip: *mut dev_info_t,
        op: ddi_prop_op_t,
        flags: c_int,
        name: Name,
        to: Memory<c_char>,
        length: InOut<c_int>,
        size: u64,
        _block_size: c_uint,
    ) -> c_int {
        sized(dev, dip, op, flags, name, (to, length), size)
    }
    /// ddi_prop_op_nblocks_blksize(9F): blocks of that size.
    fn ddi_prop_op_nblocks_blksize(
        dev: dev_t,
        dip: *mut dev_info_t,
        op: ddi_prop_op_t,
        flags: c_int,
        name: Name,
        to: Memory<c_char>,
        length: InOut<c_int>,
        blocks: u64,
        block_size: c_uint,
    ) -> c_int {
        let size = blocks.saturating_mul(if block_size == 0 { 512 } else { u64::from(block_size) });
        sized(dev, dip, op, flags, name, (to, length), size)
    }
    /// ddi_prop_exists(9F).
    fn ddi_prop_exists(dev: dev_t, dip: *mut dev_info_t, flags: c_uint, name: Name) -> c_int {
        find(dev, dip, flags, name).is_some().into()
    }
    /// ddi_prop_get_int(9F).
    fn [ddi_prop_get_int for c_int, ddi_prop_get_int64 for i64](dev: dev_t, dip: *mut dev_info_t, flags: c_uint, name: Name, default: T) -> T {
        find(dev, dip, flags, name).and_then(|p| first_int(&p)).map_or(default, |value| value as T)
    }
    /// ddi_getprop(9F).
    fn ddi_getprop(dev: dev_t, dip: *mut dev_info_t, flags: c_int, name: Name, default: c_int) -> c_int {
        find(dev, dip, flags as c_uint, name).and_then(|p| first_int(&p)).map_or(default, |value| value as c_int)
    }
    /// ddi_getproplen(9F).
    fn ddi_getproplen(dev: dev_t, dip: *mut dev_info_t, flags: c_int, name: Name, length: InOut<c_int>) -> c_int {
        match find(dev, dip, flags as c_uint, name) {
            Some(property) => {
                length.set(property.bytes.len() as c_int);
                ddi_sys::DDI_PROP_SUCCESS
            }
            None => NOT_FOUND,
        }
    }
    /// ddi_getlongprop(9F).
    fn ddi_getlongprop(
        dev: dev_t,
        dip: *mut dev_info_t,
        flags: c_int,
        name: Name,
        to: Memory<c_char>,
        length: InOut<c_int>,
    ) -> c_int {
        give_found(dev, dip, ddi_sys::PROP_LEN_AND_VAL_ALLOC, flags, name, (to, length))
    }
    /// ddi_getlongprop_buf(9F).
    fn ddi_getlongprop_buf(
        dev: dev_t,
        dip: *mut dev_info_t,
        flags: c_int,
        name: Name,
        to: Memory<c_char>,
        length: InOut<c_int>,
    ) -> c_int {
        give_found(dev, dip, ddi_sys::PROP_LEN_AND_VAL_BUF, flags, name, (to, length))
    }
    /// ddi_prop_lookup_int_array(9F) and its like.
    fn [
        ddi_prop_lookup_int_array for c_int,
        ddi_prop_lookup_int64_array for i64,
        ddi_prop_lookup_byte_array for uchar_t,
    ](dev: dev_t, dip: *mut dev_info_t, flags: c_uint, name: Name, data: Out<*mut T>, n: Out<c_uint>) -> c_int {
        let Some(property) = find(dev, dip, flags, name) else { return NOT_FOUND };
        let values = T::read(property);
        let count = values.as_ref().map_or(0, |bytes| bytes.len() / size_of::<T>());
        answer(values, count, data, Some(n))
    }
    /// ddi_prop_lookup_string(9F).
    fn ddi_prop_lookup_string(
        dev: dev_t,
        dip: *mut dev_info_t,
        flags: c_uint,
        name: Name,
        data: Out<*mut c_char>,
    ) -> c_int {
        let Some(property) = find(dev, dip, flags, name) else { return NOT_FOUND };
        let first = property.as_strings().map(|strings| [strings[0], b"\0"].concat());
        answer(first, 1, data, None)
    }
    /// ddi_prop_lookup_string_array(9F): pointers and strings are one piece of memory.
    fn ddi_prop_lookup_string_array(
        dev: dev_t,
        dip: *mut dev_info_t,
        flags: c_uint,
        name: Name,
        data: Out<*mut *mut c_char>,
        n: Out<c_uint>,
    ) -> c_int {
        let Some(property) = find(dev, dip, flags, name) else { return NOT_FOUND };
        let Some(strings) = property.as_strings() else { return CANNOT_DECODE };
        let len = (strings.len() + 1) * 8;
        let given = give(&[vec![0; len], property.bytes.clone()].concat());
        if given.is_null() {
            return ddi_sys::DDI_PROP_NO_MEMORY;
        }
        // SAFETY: the table in front has a place for every string and a NULL.
        let table: Memory<'_, *mut u8> = unsafe { Argument::of(given.cast()) };
        let mut at = given.wrapping_add(len);
        for (i, string) in strings.iter().enumerate() {
            table.set_element(i, at);
            at = at.wrapping_add(string.len() + 1);
        }
        data.set(given.cast());
        n.set(strings.len() as c_uint);
        ddi_sys::DDI_PROP_SUCCESS
    }
    /// ddi_prop_free(9F).
    fn ddi_prop_free(data: *mut c_void) {
        if data.is_null() {
            return;
        }
        let base = data.cast::<u8>().wrapping_sub(HEADER);
        let known = heap::size_of(base as usize);
        // SAFETY: a live buffer of `give`: its header holds its size.
        let size = known.map(|_| unsafe { base.cast::<usize>().read() });
        if size.is_none() || size != known {
            return report::mistake(NAME, "not what a ddi_prop_lookup function gave", "ddi_prop_lookup(9F)");
        }
        memory::free(base.cast(), size.unwrap_or(0), NAME);
    }
    /// ddi_prop_create(9F): untyped.
    fn ddi_prop_create(
        dev: dev_t,
        dip: *mut dev_info_t,
        _flags: c_int,
        name: Name,
        value: Memory<c_char>,
        length: c_int,
    ) -> c_int {
        update(dev, dip, name, Kind::Untyped, elements(value, length.max(0) as usize))
    }
    /// ddi_prop_modify(9F).
    fn ddi_prop_modify(
        dev: dev_t,
        dip: *mut dev_info_t,
        flags: c_int,
        name: Name,
        value: Memory<c_char>,
        length: c_int,
    ) -> c_int {
        if find(dev, dip, flags as c_uint | ddi_sys::DDI_PROP_DONTPASS, name).is_none() {
            return NOT_FOUND;
        }
        update(dev, dip, name, Kind::Untyped, elements(value, length.max(0) as usize))
    }
    /// ddi_prop_update_int(9F).
    fn [ddi_prop_update_int for c_int, ddi_prop_update_int64 for i64](dev: dev_t, dip: *mut dev_info_t, name: Name, value: T) -> c_int {
        update(dev, dip, name, T::KIND, value.to_ne_bytes().to_vec())
    }
    /// ddi_prop_update_int_array(9F) and its like.
    fn [
        ddi_prop_update_int_array for c_int,
        ddi_prop_update_int64_array for i64,
        ddi_prop_update_byte_array for uchar_t,
    ](dev: dev_t, dip: *mut dev_info_t, name: Name, values: Memory<T>, n: c_uint) -> c_int {
        update(dev, dip, name, T::KIND, elements(values, n as usize))
    }
    /// ddi_prop_update_string(9F).
    fn ddi_prop_update_string(dev: dev_t, dip: *mut dev_info_t, name: Name, value: Text<*mut c_char>) -> c_int {
        update(dev, dip, name, Kind::String, [value.bytes(), b"\0"].concat())
    }
    /// ddi_prop_update_string_array(9F).
    fn ddi_prop_update_string_array(
        dev: dev_t,
        dip: *mut dev_info_t,
        name: Name,
        values: Memory<*mut c_char>,
        n: c_uint,
    ) -> c_int {
        let mut all = Vec::new();
        for i in 0..n as usize {
            // SAFETY: the driver's promise: `n` strings.
            let string: Name<'_> = unsafe { Argument::of(values.element(i)) };
            all.extend_from_slice(string.bytes());
            all.push(0);
        }
        update(dev, dip, name, Kind::String, all)
    }
    /// ddi_prop_remove(9F).
    fn ddi_prop_remove(dev: dev_t, dip: *mut dev_info_t, name: Name) -> c_int {
        let name = name.text();
        let removed = node(dip, NAME).is_some_and(|n| n.driver_properties.lock().remove(&name, dev));
        if removed { ddi_sys::DDI_PROP_SUCCESS } else { NOT_FOUND }
    }
    /// ddi_prop_remove_all(9F).
    fn ddi_prop_remove_all(dip: *mut dev_info_t) {
        if let Some(node) = node(dip, NAME) {
            node.driver_properties.lock().clear();
        }
    }
    /// ddi_prop_undefine(9F).
    fn ddi_prop_undefine(dev: dev_t, dip: *mut dev_info_t, _flags: c_int, name: Name) -> c_int {
        let name = name.text();
        let Some(node) = node(dip, NAME) else { return ddi_sys::DDI_PROP_INVAL_ARG };
        let dev = if dev == DEV_ANY { ANY_DEV } else { dev };
        let property = Property { name, dev, kind: Kind::Untyped, bytes: Vec::new(), undefined: true };
        node.driver_properties.lock().set(property);
        ddi_sys::DDI_PROP_SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kern::nodes::{self, NewNode};
    use std::ptr::null_mut;

    #[test]
    fn lookups_and_updates() {
        let properties = vec![
            Property::ints("ints", &[3, 4]),
            Property::strings("names", &["one", "two"]),
            Property::ints("flag", &[]),
        ];
        let node = nodes::add(
            Some(nodes::pseudo()),
            NewNode { name: "props-test".into(), properties, ..NewNode::default() },
        );
        let dip = node.dip();
        let name = |s: &'static std::ffi::CStr| s.as_ptr().cast_mut();
        assert_eq!(driver!(ddi_sys::ddi_prop_get_int(DEV_ANY, dip, 0, name(c"ints"), -1)), 3);
        assert_eq!(driver!(ddi_sys::ddi_prop_get_int(DEV_ANY, dip, 0, name(c"absent"), -1)), -1);
        assert_eq!(driver!(ddi_sys::ddi_prop_exists(DEV_ANY, dip, 0, name(c"flag"))), 1);
        let (mut strings, mut n) = (null_mut(), 0);
        let found = driver!(ddi_sys::ddi_prop_lookup_string_array(
            DEV_ANY,
            dip,
            0,
            name(c"names"),
            &mut strings,
            &mut n
        ));
        assert_eq!((found, n), (ddi_sys::DDI_PROP_SUCCESS, 2));
        // SAFETY: two strings were given.
        let second = unsafe { strings.wrapping_add(1).read() };
        assert_eq!(driver!(crate::ddi::text(second)), "two");
        driver!(ddi_sys::ddi_prop_free(strings.cast()));
        let mismatch =
            driver!(ddi_sys::ddi_prop_lookup_string(DEV_ANY, dip, 0, name(c"ints"), &mut null_mut()));
        assert_eq!(mismatch, CANNOT_DECODE);
        driver!(ddi_sys::ddi_prop_update_int(ANY_DEV, dip, name(c"ints"), 9));
        assert_eq!(driver!(ddi_sys::ddi_getprop(DEV_ANY, dip, 0, name(c"ints"), -1)), 9);
        let mut length = 0;
        driver!(ddi_sys::ddi_getproplen(DEV_ANY, dip, 0, name(c"names"), &mut length));
        assert_eq!(length, 8);
        let mut buffer = [0u8; 8];
        driver!(ddi_sys::ddi_getlongprop_buf(
            DEV_ANY,
            dip,
            0,
            name(c"names"),
            buffer.as_mut_ptr().cast(),
            &mut length,
        ));
        assert_eq!(&buffer, b"one\0two\0");
        driver!(ddi_sys::ddi_prop_undefine(ANY_DEV, dip, 0, name(c"names")));
        assert_eq!(driver!(ddi_sys::ddi_prop_exists(DEV_ANY, dip, 0, name(c"names"))), 0);
    }
}
