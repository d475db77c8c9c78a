//! nvlist_alloc(9F), nvlist_add_boolean(9F), nvlist_lookup_boolean(9F) and the rest: lists of name-value pairs.
//!
//! [`lists`] has the lists in memory, [`values`] the functions that there are of each type, [`allocators`] where the
//! memory comes from; packing is [`crate::nvlist`]'s. The driver locks. With KM_SLEEP not in interrupt context.

pub mod allocators;
pub mod lists;
pub mod values;

use std::ffi::{c_char, c_int, c_uint};
use std::ptr::null_mut;

use ddi_sys::*;

use self::allocators::{nv_alloc_nosleep, nv_alloc_sleep};
use self::lists::Live;
use crate::nvlist::{self, Encoding, Errno, Shape};
use ddi_kernel::ddi::Symbol;
use ddi_kernel::ddi::bytes;
use ddi_kernel::ddi::store;
use ddi_kernel::kern::printf::{Args, VaList};

/// All groups.
pub static ALL: &[&[Symbol]] = &[
    SYMBOLS,
    VARIADIC,
    allocators::SYMBOLS,
    allocators::DATA,
    values::NUMBERS,
    values::ARRAYS,
    values::OTHERS,
];

/// What a function returns.
fn errno(result: Result<(), Errno>) -> c_int {
    result.err().unwrap_or(0)
}

/// The allocator that stands for KM_SLEEP or KM_NOSLEEP.
fn by_flag(kmflag: c_int) -> *mut nv_alloc_t {
    if kmflag == ddi_sys::KM_SLEEP { nv_alloc_sleep.0 } else { nv_alloc_nosleep.0 }
}

/// A new list, filled.
///
/// # Safety
/// `to` is NULL or valid for a write, `allocator` NULL or an allocator.
unsafe fn make(
    to: *mut *mut nvlist_t,
    allocator: *mut nv_alloc_t,
    nvflag: u32,
    content: Option<&nvlist::List>,
) -> Result<(), Errno> {
    if to.is_null() || allocator.is_null() {
        return Err(EINVAL);
    }
    // SAFETY: an allocator.
    let list = unsafe { Live::new(allocator, nvflag) }?;
    if let Some(content) = content
        && let Err(error) = list.fill(content)
    {
        list.free();
        return Err(error);
    }
    // SAFETY: not NULL, so valid.
    unsafe { to.write(list.head()) };
    Ok(())
}

/// nvlist_xdup.
///
/// # Safety
/// As [`make`]; `from` is NULL or a list.
unsafe fn duplicate(
    from: *mut nvlist_t,
    to: *mut *mut nvlist_t,
    allocator: *mut nv_alloc_t,
) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    let from = unsafe { Live::of(from) }?;
    let content = from.snapshot()?;
    // SAFETY: the caller's promise.
    unsafe { make(to, allocator, from.nvflag(), Some(&content)) }
}

/// nvlist_xunpack.
///
/// # Safety
/// As [`make`]; `from` is NULL or has `len` bytes.
unsafe fn unpack(
    from: *mut c_char,
    len: usize,
    to: *mut *mut nvlist_t,
    allocator: *mut nv_alloc_t,
) -> Result<(), Errno> {
    if from.is_null() {
        return Err(EINVAL);
    }
    // SAFETY: the caller's promise.
    let packed = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), len) };
    // Packed for every machine, a list lies on a multiple of 4.
    if packed.first() == Some(&(NV_ENCODE_XDR as u8))
        && len >= nvlist::PREFIX
        && !(from as usize).is_multiple_of(4)
    {
        return Err(EFAULT);
    }
    let content = nvlist::unpack(packed)?;
    // SAFETY: the caller's promise.
    unsafe { make(to, allocator, content.nvflag, Some(&content)) }
}

/// nvlist_xpack: into the buffer that is there, or into a new one.
///
/// # Safety
/// `from` is NULL or a list; `to` and `len` are NULL or valid; a buffer that is there has `*len` bytes.
unsafe fn pack(
    from: *mut nvlist_t,
    to: *mut *mut c_char,
    len: *mut usize,
    encoding: c_int,
    allocator: *mut nv_alloc_t,
) -> Result<(), Errno> {
    if to.is_null() || len.is_null() || allocator.is_null() {
        return Err(EINVAL);
    }
    // SAFETY: the caller's promise.
    let from = unsafe { Live::of(from) }?;
    // SAFETY: not NULL, so valid.
    let (mut buffer, mut room) = (unsafe { to.read() }, 0);
    let new = buffer.is_null();
    if !new {
        // SAFETY: as above.
        room = unsafe { len.read() };
        if room < nvlist::PREFIX {
            return Err(EINVAL);
        }
    }
    let encoding = Encoding::new(encoding)?;
    let (packed, size) = nvlist::pack(&from.snapshot()?, encoding)?;
    if new {
        // SAFETY: an allocator.
        buffer = unsafe { lists::allocate(allocator, size) }.cast();
        if buffer.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: not NULL, so valid.
        unsafe { len.write(size) };
        // SAFETY: as above.
        unsafe { to.write(buffer) };
    } else if packed.len() > room || (encoding == Encoding::Xdr && !(buffer as usize).is_multiple_of(4)) {
        return Err(EFAULT);
    }
    // SAFETY: there is room for so much, as was seen.
    unsafe { std::ptr::copy_nonoverlapping(packed.as_ptr(), buffer.cast(), packed.len()) };
    Ok(())
}

variadic! {
    /// nv_alloc_init(9F).
    nv_alloc_init, 2, "rdx", super::allocators::vinit;
    /// nvlist_lookup_pairs(9F).
    nvlist_lookup_pairs, 2, "rdx", super::vlookup_pairs;
}

/// nvlist_lookup_pairs with a va_list: names, types and where the values go.
///
/// # Safety
/// `list` is NULL or a list; the arguments are as nvlist_lookup_pairs(9F) says.
pub(super) unsafe extern "C-unwind" fn vlookup_pairs(
    list: *mut nvlist_t,
    flags: c_int,
    args: *mut __va_list_tag,
) -> c_int {
    // SAFETY: the calling convention's structure.
    let args = unsafe { &mut *args.cast::<VaList>() };
    loop {
        let name = args.word() as *const c_char;
        if name.is_null() {
            return 0;
        }
        let kind = args.word() as data_type_t;
        let Some((shape, array)) = nvlist::shape(kind) else { return EINVAL };
        let value = if shape == Shape::Nothing { 0 } else { args.word() };
        let nelem = if array { args.word() } else { 0 };
        // SAFETY: the caller's promise.
        let found = unsafe { values::lookup(list, name, kind, value as *mut _, nelem as *mut c_uint) };
        if found != 0 && !(found == ENOENT && flags & NV_FLAG_NOENTOK != 0) {
            return found;
        }
    }
}

ddi! {
    /// nvlist_alloc(9F).
    fn nvlist_alloc(to: *mut *mut nvlist_t, nvflag: c_uint, kmflag: c_int) -> c_int {
        // SAFETY: the driver's promise.
        errno(unsafe { make(to, by_flag(kmflag), nvflag, None) })
    }
    /// nvlist_alloc(9F), from an allocator.
    fn nvlist_xalloc(to: *mut *mut nvlist_t, nvflag: c_uint, allocator: *mut nv_alloc_t) -> c_int {
        // SAFETY: the driver's promise.
        errno(unsafe { make(to, allocator, nvflag, None) })
    }
    /// nvlist_alloc(9F): a list of NULL is none.
    fn nvlist_free(list: *mut nvlist_t) {
        // SAFETY: the driver's promise.
        if let Ok(list) = unsafe { Live::of(list) } {
            list.free();
        }
    }
    /// nvlist_alloc(9F): the bytes that packing takes.
    fn nvlist_size(list: *mut nvlist_t, size: *mut usize, encoding: c_int) -> c_int {
        // SAFETY: the driver's promise.
        let packed = unsafe { Live::of(list) }.and_then(|list| {
            let list = list.snapshot()?;
            nvlist::pack(&list, Encoding::new(encoding)?)
        });
        match packed {
            _ if size.is_null() => EINVAL,
            Err(error) => error,
            Ok((_, bytes)) => {
                // SAFETY: not NULL, so valid.
                unsafe { size.write(bytes) };
                0
            }
        }
    }
    /// nvlist_alloc(9F).
    fn nvlist_pack(list: *mut nvlist_t, to: *mut *mut c_char, len: *mut usize, encoding: c_int, kmflag: c_int) -> c_int {
        // SAFETY: the driver's promise.
        errno(unsafe { pack(list, to, len, encoding, by_flag(kmflag)) })
    }
    /// nvlist_alloc(9F), new memory from an allocator.
    fn nvlist_xpack(list: *mut nvlist_t, to: *mut *mut c_char, len: *mut usize, encoding: c_int, allocator: *mut nv_alloc_t) -> c_int {
        // SAFETY: the driver's promise.
        errno(unsafe { pack(list, to, len, encoding, allocator) })
    }
    /// nvlist_alloc(9F).
    fn nvlist_unpack(from: *mut c_char, len: usize, to: *mut *mut nvlist_t, kmflag: c_int) -> c_int {
        // SAFETY: the driver's promise.
        errno(unsafe { unpack(from, len, to, by_flag(kmflag)) })
    }
    /// nvlist_alloc(9F), from an allocator.
    fn nvlist_xunpack(from: *mut c_char, len: usize, to: *mut *mut nvlist_t, allocator: *mut nv_alloc_t) -> c_int {
        // SAFETY: the driver's promise.
        errno(unsafe { unpack(from, len, to, allocator) })
    }
    /// nvlist_alloc(9F): a copy.
    fn nvlist_dup(list: *mut nvlist_t, to: *mut *mut nvlist_t, kmflag: c_int) -> c_int {
        // SAFETY: the driver's promise.
        errno(unsafe { duplicate(list, to, by_flag(kmflag)) })
    }
    /// nvlist_alloc(9F): a copy from an allocator.
    fn nvlist_xdup(list: *mut nvlist_t, to: *mut *mut nvlist_t, allocator: *mut nv_alloc_t) -> c_int {
        // SAFETY: the driver's promise.
        errno(unsafe { duplicate(list, to, allocator) })
    }
    /// nvlist_alloc(9F): adds what is on another list.
    fn nvlist_merge(to: *mut nvlist_t, from: *mut nvlist_t, _flag: c_int) -> c_int {
        // SAFETY: the driver's promise, here and below.
        let lists = unsafe { Live::of(to) }.and_then(|to| Ok((to, unsafe { Live::of(from) }?)));
        errno(lists.and_then(|(to, from)| match to == from {
            true => Ok(()),
            false => from.snapshot()?.pairs.iter().try_for_each(|pair| to.insert(pair)),
        }))
    }
    /// nvlist_alloc(9F): the allocator that it was made with.
    fn nvlist_lookup_nv_alloc(list: *mut nvlist_t) -> *mut nv_alloc_t {
        // SAFETY: the driver's promise.
        unsafe { Live::of(list) }.map_or(null_mut(), Live::allocator)
    }
    /// nvlist_nvflag.
    fn nvlist_nvflag(list: *mut nvlist_t) -> c_uint {
        // SAFETY: the driver's promise.
        unsafe { Live::of(list) }.map_or(0, Live::nvflag)
    }
    /// nvlist_empty.
    fn nvlist_empty(list: *mut nvlist_t) -> boolean_t {
        // SAFETY: the driver's promise.
        unsafe { Live::of(list) }.map_or(B_TRUE, |list| list.pairs().next().is_none().into())
    }
    /// nvlist_remove(9F).
    fn nvlist_remove(list: *mut nvlist_t, name: *const c_char, kind: data_type_t) -> c_int {
        // SAFETY: the driver's promise.
        let Ok(list) = (unsafe { Live::of(list) }) else { return EINVAL };
        if name.is_null() {
            return EINVAL;
        }
        // SAFETY: the driver's promise: a string.
        match list.named(unsafe { bytes(name) }, Some(kind)).next() {
            Some(pair) => list.remove(pair),
            None => return ENOENT,
        }
        0
    }
    /// nvlist_remove(9F).
    fn nvlist_remove_all(list: *mut nvlist_t, name: *const c_char) -> c_int {
        // SAFETY: the driver's promise.
        let Ok(list) = (unsafe { Live::of(list) }) else { return EINVAL };
        if name.is_null() {
            return EINVAL;
        }
        // SAFETY: the driver's promise: a string.
        match list.named(unsafe { bytes(name) }, None).map(|pair| list.remove(pair)).count() {
            0 => ENOENT,
            _ => 0,
        }
    }
    /// nvlist_remove(9F).
    fn nvlist_remove_nvpair(list: *mut nvlist_t, pair: *mut nvpair_t) -> c_int {
        // SAFETY: the driver's promise.
        match unsafe { Live::of(list) } {
            Ok(list) if list.pairs().any(|known| known == pair) => {
                list.remove(pair);
                0
            }
            _ => EINVAL,
        }
    }
    /// nvlist_lookup_nvpair(9F).
    fn nvlist_lookup_nvpair(list: *mut nvlist_t, name: *const c_char, to: *mut *mut nvpair_t) -> c_int {
        // SAFETY: the driver's promise.
        let Ok(list) = (unsafe { Live::of(list) }) else { return EINVAL };
        if name.is_null() {
            return EINVAL;
        }
        if list.nvflag() as i32 & NV_UNIQUE_NAME == 0 {
            return ENOTSUP;
        }
        // SAFETY: the driver's promise: a string.
        let Some(pair) = list.named(unsafe { bytes(name) }, None).next() else { return ENOENT };
        // SAFETY: the driver's promise.
        unsafe { store(to, pair) };
        0
    }
    /// nvlist_lookup_nvpair(9F).
    fn nvlist_exists(list: *mut nvlist_t, name: *const c_char) -> boolean_t {
        // SAFETY: the driver's promise.
        let Ok(list) = (unsafe { Live::of(list) }) else { return B_FALSE };
        // SAFETY: the driver's promise: a string.
        (!name.is_null() && list.named(unsafe { bytes(name) }, None).next().is_some()).into()
    }
    /// nvlist_next_nvpair(9F).
    fn nvlist_next_nvpair(list: *mut nvlist_t, pair: *mut nvpair_t) -> *mut nvpair_t {
        // SAFETY: the driver's promise.
        unsafe { Live::of(list) }.map_or(null_mut(), |list| list.next(pair))
    }
    /// nvlist_next_nvpair(9F).
    fn nvlist_prev_nvpair(list: *mut nvlist_t, pair: *mut nvpair_t) -> *mut nvpair_t {
        // SAFETY: the driver's promise.
        unsafe { Live::of(list) }.map_or(null_mut(), |list| list.prev(pair))
    }
    /// nvlist_next_nvpair(9F).
    fn nvpair_name(pair: *mut nvpair_t) -> *mut c_char {
        pair.wrapping_add(1).cast()
    }
    /// nvlist_next_nvpair(9F).
    fn nvpair_type(pair: *mut nvpair_t) -> data_type_t {
        // SAFETY: the driver's promise.
        unsafe { lists::kind(pair) }.0
    }
    /// nvlist_next_nvpair(9F).
    fn nvpair_type_is_array(pair: *mut nvpair_t) -> c_int {
        // SAFETY: the driver's promise.
        let (kind, _) = unsafe { lists::kind(pair) };
        nvlist::shape(kind).is_some_and(|(_, array)| array).into()
    }
}
