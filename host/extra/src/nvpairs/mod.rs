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

use self::allocators::{Allocator, by_flag};
use self::lists::{Head, Live, LivePair, Node};
use crate::nvlist::{self, Encoding, Errno, Shape};
use ddi_kernel::ddi::Group;
use ddi_kernel::ddi::args::{Arguments, In, InOut, Memory, Out, Text};
use ddi_kernel::kern::fields::{Structure, pointer};

/// All groups.
pub static ALL: &[Group] = &[
    SYMBOLS,
    VARIADIC,
    allocators::SYMBOLS,
    allocators::DATA,
    values::NUMBERS,
    values::ARRAYS,
    values::OTHERS,
];

/// Returns a result as a DDI function does: 0 or an errno.
fn errno(result: Result<(), Errno>) -> c_int {
    result.err().unwrap_or(0)
}

/// Makes a new list, filled.
fn make(
    to: Out<*mut nvlist_t>,
    allocator: Option<Allocator>,
    nvflag: u32,
    content: Option<&nvlist::List>,
) -> Result<(), Errno> {
    let Some(allocator) = allocator.filter(|_| !to.is_null()) else { return Err(EINVAL) };
    let list = Live::new(allocator, nvflag)?;
    if let Some(content) = content
        && let Err(error) = list.fill(content)
    {
        list.free();
        return Err(error);
    }
    to.set(list.head());
    Ok(())
}

/// nvlist_xdup.
fn duplicate(from: Option<Head>, to: Out<*mut nvlist_t>, allocator: Option<Allocator>) -> Result<(), Errno> {
    let from = Live::of(from)?;
    make(to, allocator, from.nvflag(), Some(&from.snapshot()?))
}

/// nvlist_xunpack.
fn unpack(
    from: Memory<c_char>,
    len: usize,
    to: Out<*mut nvlist_t>,
    allocator: Option<Allocator>,
) -> Result<(), Errno> {
    if from.is_null() {
        return Err(EINVAL);
    }
    let packed = from.read(len);
    // Packed for every machine, a list lies on a multiple of 4.
    if packed.first() == Some(&(NV_ENCODE_XDR as u8))
        && len >= nvlist::PREFIX
        && !(from.pointer() as usize).is_multiple_of(4)
    {
        return Err(EFAULT);
    }
    let content = nvlist::unpack(&packed)?;
    make(to, allocator, content.nvflag, Some(&content))
}

/// nvlist_xpack: into the buffer that is there, which has as many bytes as `len` says, or into a new one.
fn pack(
    from: Option<Head>,
    to: InOut<*mut c_char>,
    len: InOut<usize>,
    encoding: c_int,
    allocator: Option<Allocator>,
) -> Result<(), Errno> {
    let (Some(mut buffer), Some(room), Some(allocator)) = (to.get(), len.get(), allocator) else {
        return Err(EINVAL);
    };
    let from = Live::of(from)?;
    let new = buffer.is_null();
    if !new && room < nvlist::PREFIX {
        return Err(EINVAL);
    }
    let encoding = Encoding::new(encoding)?;
    let (packed, size) = nvlist::pack(&from.snapshot()?, encoding)?;
    if new {
        buffer = allocator.allocate(size).cast();
        if buffer.is_null() {
            return Err(ENOMEM);
        }
        len.set(size);
        to.set(buffer);
    } else if packed.len() > room || (encoding == Encoding::Xdr && !(buffer as usize).is_multiple_of(4)) {
        return Err(EFAULT);
    }
    // SAFETY: there is room for so much, as was seen.
    unsafe { std::ptr::copy_nonoverlapping(packed.as_ptr(), buffer.cast(), packed.len()) };
    Ok(())
}

/// Returns the first pair of a name; EINVAL if there is no list or no name.
fn first(list: Option<Head>, name: Text, kind: Option<data_type_t>) -> Result<(Live, Node), Errno> {
    let list = Live::of(list)?;
    if name.is_null() {
        return Err(EINVAL);
    }
    Ok((list, list.named(name.bytes(), kind).next().ok_or(ENOENT)?))
}

variadic! {
    /// nv_alloc_init(9F): the arguments are what the allocator's own function asks for.
    fn nv_alloc_init(nva: Out<nv_alloc_t>, ops: In<nv_alloc_ops>; args: Arguments) -> c_int {
        allocators::init(nva, ops, args)
    }
    /// nvlist_lookup_pairs(9F): names, types and where the values go.
    fn nvlist_lookup_pairs(list: Option<Head>, flags: c_int; args: Arguments) -> c_int {
        let mut args = args;
        loop {
            let name: Text = args.argument();
            if name.is_null() {
                return 0;
            }
            let kind: data_type_t = args.argument();
            let Some((shape, array)) = nvlist::shape(kind) else { return EINVAL };
            let to = (shape != Shape::Nothing).then(|| args.argument());
            let nelem = array.then(|| args.argument());
            let found = errno(values::lookup(list, name, kind, to, nelem));
            if found != 0 && !(found == ENOENT && flags & NV_FLAG_NOENTOK != 0) {
                return found;
            }
        }
    }
}

ddi! {
    /// nvlist_alloc(9F).
    fn nvlist_alloc(to: Out<*mut nvlist_t>, nvflag: c_uint, kmflag: c_int) -> c_int {
        errno(make(to, by_flag(kmflag), nvflag, None))
    }
    /// nvlist_alloc(9F), from an allocator.
    fn nvlist_xalloc(to: Out<*mut nvlist_t>, nvflag: c_uint, allocator: Option<Allocator>) -> c_int {
        errno(make(to, allocator, nvflag, None))
    }
    /// nvlist_alloc(9F): a list of NULL is none.
    fn nvlist_free(list: Option<Head>) {
        if let Ok(list) = Live::of(list) {
            list.free();
        }
    }
    /// nvlist_alloc(9F): the bytes that packing takes.
    fn nvlist_size(list: Option<Head>, size: Out<usize>, encoding: c_int) -> c_int {
        let packed = Live::of(list).and_then(|list| {
            let list = list.snapshot()?;
            nvlist::pack(&list, Encoding::new(encoding)?)
        });
        errno(match packed {
            _ if size.is_null() => Err(EINVAL),
            packed => packed.map(|(_, bytes)| size.set(bytes)),
        })
    }
    /// nvlist_alloc(9F).
    fn nvlist_pack(list: Option<Head>, to: InOut<*mut c_char>, len: InOut<usize>, encoding: c_int, kmflag: c_int) -> c_int {
        errno(pack(list, to, len, encoding, by_flag(kmflag)))
    }
    /// nvlist_alloc(9F), new memory from an allocator.
    fn nvlist_xpack(list: Option<Head>, to: InOut<*mut c_char>, len: InOut<usize>, encoding: c_int, allocator: Option<Allocator>) -> c_int {
        errno(pack(list, to, len, encoding, allocator))
    }
    /// nvlist_alloc(9F).
    fn nvlist_unpack(from: Memory<c_char>, len: usize, to: Out<*mut nvlist_t>, kmflag: c_int) -> c_int {
        errno(unpack(from, len, to, by_flag(kmflag)))
    }
    /// nvlist_alloc(9F), from an allocator.
    fn nvlist_xunpack(from: Memory<c_char>, len: usize, to: Out<*mut nvlist_t>, allocator: Option<Allocator>) -> c_int {
        errno(unpack(from, len, to, allocator))
    }
    /// nvlist_alloc(9F): a copy.
    fn nvlist_dup(list: Option<Head>, to: Out<*mut nvlist_t>, kmflag: c_int) -> c_int {
        errno(duplicate(list, to, by_flag(kmflag)))
    }
    /// nvlist_alloc(9F): a copy from an allocator.
    fn nvlist_xdup(list: Option<Head>, to: Out<*mut nvlist_t>, allocator: Option<Allocator>) -> c_int {
        errno(duplicate(list, to, allocator))
    }
    /// nvlist_alloc(9F): adds what is on another list.
    fn nvlist_merge(to: Option<Head>, from: Option<Head>, _flag: c_int) -> c_int {
        let lists = Live::of(to).and_then(|to| Ok((to, Live::of(from)?)));
        errno(lists.and_then(|(to, from)| match to == from {
            true => Ok(()),
            false => from.snapshot()?.pairs.iter().try_for_each(|pair| to.insert(pair)),
        }))
    }
    /// nvlist_alloc(9F): the allocator that it was made with.
    fn nvlist_lookup_nv_alloc(list: Option<Head>) -> *mut nv_alloc_t {
        pointer(Live::of(list).ok().map(Live::allocator))
    }
    /// nvlist_nvflag.
    fn nvlist_nvflag(list: Option<Head>) -> c_uint {
        Live::of(list).map_or(0, Live::nvflag)
    }
    /// nvlist_empty.
    fn nvlist_empty(list: Option<Head>) -> boolean_t {
        Live::of(list).map_or(B_TRUE, |list| list.pairs().next().is_none().into())
    }
    /// nvlist_remove(9F).
    fn nvlist_remove(list: Option<Head>, name: Text, kind: data_type_t) -> c_int {
        errno(first(list, name, Some(kind)).map(|(list, pair)| list.remove(pair)))
    }
    /// nvlist_remove(9F).
    fn nvlist_remove_all(list: Option<Head>, name: Text) -> c_int {
        errno(first(list, name, None).map(|(list, _)| list.named(name.bytes(), None).for_each(|pair| list.remove(pair))))
    }
    /// nvlist_remove(9F).
    fn nvlist_remove_nvpair(list: Option<Head>, pair: Option<LivePair>) -> c_int {
        let found = Live::of(list).and_then(|list| Ok((list, pair.and_then(|pair| list.find(pair)).ok_or(EINVAL)?)));
        errno(found.map(|(list, pair)| list.remove(pair)))
    }
    /// nvlist_lookup_nvpair(9F).
    fn nvlist_lookup_nvpair(list: Option<Head>, name: Text, to: Out<*mut nvpair_t>) -> c_int {
        match first(list, name, None) {
            Err(EINVAL) => EINVAL,
            _ if Live::of(list).is_ok_and(|list| list.nvflag() as i32 & NV_UNIQUE_NAME == 0) => ENOTSUP,
            found => errno(found.map(|(_, node)| to.set(node.pair().pointer()))),
        }
    }
    /// nvlist_lookup_nvpair(9F).
    fn nvlist_exists(list: Option<Head>, name: Text) -> boolean_t {
        first(list, name, None).is_ok().into()
    }
    /// nvlist_next_nvpair(9F).
    fn nvlist_next_nvpair(list: Option<Head>, pair: Option<LivePair>) -> *mut nvpair_t {
        Live::of(list).map_or(null_mut(), |list| list.next(pair))
    }
    /// nvlist_next_nvpair(9F).
    fn nvlist_prev_nvpair(list: Option<Head>, pair: Option<LivePair>) -> *mut nvpair_t {
        Live::of(list).map_or(null_mut(), |list| list.prev(pair))
    }
    /// nvlist_next_nvpair(9F).
    fn nvpair_name(pair: Option<LivePair>) -> *mut c_char {
        pointer(pair).wrapping_add(1).cast()
    }
    /// nvlist_next_nvpair(9F).
    fn nvpair_type(pair: Option<LivePair>) -> data_type_t {
        values::given(pair, NAME).map_or(DATA_TYPE_UNKNOWN, LivePair::nvp_type)
    }
    /// nvlist_next_nvpair(9F).
    fn nvpair_type_is_array(pair: Option<LivePair>) -> c_int {
        let kind = values::given(pair, NAME).map(LivePair::nvp_type);
        kind.and_then(nvlist::shape).is_some_and(|(_, array)| array).into()
    }
}
