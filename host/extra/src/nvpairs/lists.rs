//! Lists in memory, as drivers hold them: a head, and pairs that are linked behind it.
//!
//! Every piece comes from the list's allocator: the head with what belongs to it, and each pair with its links in front. A list within
//! a list has its head in the pair that holds it. The head and the pairs are laid out as nvpair.h says, since drivers look
//! into them by its macros; the rest is the host's own business.

use std::ffi::c_void;
use std::ptr::null_mut;

use ddi_sys::*;

use super::allocators::ops;
use crate::nvlist::{self, Errno, List, Pair, Shape, Value};
use ddi_kernel::ddi::bytes;

/// What belongs to a list's head.
#[repr(C)]
struct Private {
    first: *mut Node,
    last: *mut Node,
    /// Where nvlist_next_nvpair is.
    current: *mut Node,
    allocator: *mut nv_alloc_t,
    /// Is the head in a pair?
    embedded: bool,
}

/// A pair's links; the pair is behind them.
#[repr(C)]
struct Node {
    next: *mut Node,
    prev: *mut Node,
    pair: nvpair_t,
}

/// Bytes of the links.
const LINKS: usize = std::mem::offset_of!(Node, pair);

/// A list that lives.
#[derive(Clone, Copy, PartialEq)]
pub struct Live {
    head: *mut nvlist_t,
    private: *mut Private,
}

/// Memory from an allocator, zeroed; NULL for none.
///
/// # Safety
/// `allocator` is one.
pub unsafe fn allocate(allocator: *mut nv_alloc_t, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    let Some(alloc) = (unsafe { ops(allocator) }).nv_ao_alloc else { return null_mut() };
    // SAFETY: the allocator's own function.
    let memory = unsafe { alloc(allocator, size) };
    if !memory.is_null() {
        // SAFETY: that much was allocated.
        unsafe { memory.write_bytes(0, size) };
    }
    memory
}

/// Gives memory back.
///
/// # Safety
/// `allocator` is one and gave this memory.
pub unsafe fn release(allocator: *mut nv_alloc_t, memory: *mut c_void, size: usize) {
    // SAFETY: the caller's promise.
    if let Some(free) = unsafe { ops(allocator) }.nv_ao_free {
        // SAFETY: the allocator's own function, with what it gave.
        unsafe { free(allocator, memory, size) };
    }
}

/// The pair's name, without the NUL.
///
/// # Safety
/// A pair that lives for `'a`.
pub unsafe fn name<'a>(pair: *mut nvpair_t) -> &'a [u8] {
    // SAFETY: the caller's promise: the name with its NUL is behind the pair.
    unsafe { bytes(pair.wrapping_add(1).cast()) }
}

/// The pair's type and number of elements.
///
/// # Safety
/// A pair that lives.
pub unsafe fn kind(pair: *mut nvpair_t) -> (data_type_t, u32) {
    // SAFETY: the caller's promise.
    let pair = unsafe { pair.read() };
    (pair.nvp_type, pair.nvp_value_elem as u32)
}

/// The pair's value.
///
/// # Safety
/// A pair that lives.
pub unsafe fn value(pair: *mut nvpair_t) -> *mut c_void {
    // SAFETY: the caller's promise.
    let size = unsafe { (*pair).nvp_name_sz } as usize;
    pair.cast::<c_void>().wrapping_byte_add(nvlist::align(nvlist::PAIR_HEAD + size))
}

/// A value as plain data, from where a driver or a pair has it.
///
/// # Safety
/// There are so many elements of this type at `data`: numbers, the string, pointers to strings, the list, pointers to
/// lists.
pub unsafe fn read(kind: data_type_t, nelem: u32, data: *const c_void) -> Result<Value, Errno> {
    let (shape, array) = nvlist::shape_of(kind, nelem).ok_or(EINVAL)?;
    if nelem != 0 && data.is_null() {
        return Err(EINVAL);
    }
    let n = nelem as usize;
    let mut pointers = vec![data.cast_mut()];
    if array && matches!(shape, Shape::Strings | Shape::Lists) {
        let from = data.cast::<*mut c_void>();
        // SAFETY: the caller's promise: so many pointers.
        pointers = (0..n).map(|i| unsafe { from.wrapping_add(i).read() }).collect();
    }
    if pointers.iter().any(|p| p.is_null()) && nelem != 0 {
        return Err(EINVAL);
    }
    Ok(match shape {
        Shape::Nothing => Value::Plain(Vec::new()),
        Shape::Numbers(_) if n == 0 => Value::Plain(Vec::new()),
        Shape::Numbers(width) => {
            // SAFETY: the caller's promise: so many numbers.
            Value::Plain(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), n * width) }.to_vec())
        }
        Shape::Strings => {
            // SAFETY: the caller's promise: strings.
            let string = |p: &*mut c_void| unsafe { bytes(p.cast()) }.to_vec();
            Value::Strings(pointers.iter().map(string).collect())
        }
        Shape::Lists => {
            // SAFETY: the caller's promise: lists.
            let list = |p: &*mut c_void| unsafe { Live::of(p.cast()) }.map(|list| list.snapshot());
            Value::Lists(pointers.iter().map(list).collect::<Result<Result<_, _>, _>>()??)
        }
    })
}

impl Live {
    /// The list behind a driver's pointer; EINVAL for none.
    ///
    /// # Safety
    /// `head` is NULL or a list that lives while this value does, which nobody else uses meanwhile.
    pub unsafe fn of(head: *mut nvlist_t) -> Result<Self, Errno> {
        if head.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: the caller's promise.
        let private = unsafe { (*head).nvl_priv } as usize;
        if private == 0 {
            return Err(EINVAL);
        }
        Ok(Live { head, private: std::ptr::with_exposed_provenance_mut(private) })
    }

    /// A new list.
    ///
    /// # Safety
    /// `allocator` is one, which stays while the list does.
    pub unsafe fn new(allocator: *mut nv_alloc_t, nvflag: u32) -> Result<Self, Errno> {
        // SAFETY: the caller's promise.
        let head: *mut nvlist_t = unsafe { allocate(allocator, size_of::<nvlist_t>()) }.cast();
        if head.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: just allocated.
        let made = unsafe { Self::at(head, allocator, nvflag & nvlist::FLAGS, false) };
        if made.is_err() {
            // SAFETY: as above.
            unsafe { release(allocator, head.cast(), size_of::<nvlist_t>()) };
        }
        made
    }

    /// A new list whose head is here.
    unsafe fn at(
        head: *mut nvlist_t,
        allocator: *mut nv_alloc_t,
        nvflag: u32,
        embedded: bool,
    ) -> Result<Self, Errno> {
        // SAFETY: the caller's promise.
        let private: *mut Private = unsafe { allocate(allocator, size_of::<Private>()) }.cast();
        if private.is_null() {
            return Err(ENOMEM);
        }
        let none = null_mut();
        // SAFETY: just allocated.
        unsafe { private.write(Private { first: none, last: none, current: none, allocator, embedded }) };
        let nvl_priv = private.expose_provenance() as u64;
        let content =
            nvlist_t { nvl_version: NV_VERSION, nvl_nvflag: nvflag, nvl_priv, nvl_flag: 0, nvl_pad: 0 };
        // SAFETY: room for a head, by the caller's promise.
        unsafe { head.write(content) };
        Ok(Live { head, private })
    }

    /// The driver's pointer.
    pub fn head(self) -> *mut nvlist_t {
        self.head
    }

    /// Its flags.
    pub fn nvflag(self) -> u32 {
        // SAFETY: a list that lives, by the constructors' promise.
        unsafe { (*self.head).nvl_nvflag }
    }

    /// Its allocator.
    pub fn allocator(self) -> *mut nv_alloc_t {
        // SAFETY: as above.
        unsafe { (*self.private).allocator }
    }

    fn first(self) -> *mut Node {
        // SAFETY: as above.
        unsafe { (*self.private).first }
    }

    fn after(node: *mut Node) -> *mut Node {
        // SAFETY: a node of the list.
        unsafe { (*node).next }
    }

    fn pair_of(node: *mut Node) -> *mut nvpair_t {
        if node.is_null() { null_mut() } else { node.wrapping_byte_add(LINKS).cast() }
    }

    fn nodes(self) -> impl Iterator<Item = *mut Node> {
        let mut at = self.first();
        std::iter::from_fn(move || {
            let node = at;
            if !node.is_null() {
                at = Self::after(node);
            }
            (!node.is_null()).then_some(node)
        })
    }

    /// Its pairs, in order. One may be removed as soon as it has come.
    pub fn pairs(self) -> impl Iterator<Item = *mut nvpair_t> {
        self.nodes().map(Self::pair_of)
    }

    /// The pairs of this name, and of this type if one is given.
    pub fn named(self, wanted: &[u8], of: Option<data_type_t>) -> impl Iterator<Item = *mut nvpair_t> {
        self.pairs().filter(move |&pair| {
            // SAFETY: pairs of the list.
            let (kind, _) = unsafe { kind(pair) };
            // SAFETY: as above.
            of.is_none_or(|of| of == kind) && unsafe { name(pair) } == wanted
        })
    }

    /// The pair behind this one, or the first. NULL at the end, and for one that is not on the list.
    pub fn next(self, pair: *mut nvpair_t) -> *mut nvpair_t {
        // SAFETY: a list that lives.
        let private = unsafe { &mut *self.private };
        let node: *mut Node = pair.cast::<Node>().wrapping_byte_sub(LINKS);
        private.current = if pair.is_null() {
            private.first
        } else if private.current == node || self.nodes().any(|known| known == node) {
            Self::after(node)
        } else {
            null_mut()
        };
        Self::pair_of(private.current)
    }

    /// The pair before this one, or the last. NULL at the start, and for one that is not on the list.
    pub fn prev(self, pair: *mut nvpair_t) -> *mut nvpair_t {
        // SAFETY: a list that lives.
        let private = unsafe { &mut *self.private };
        let node: *mut Node = pair.cast::<Node>().wrapping_byte_sub(LINKS);
        private.current = if pair.is_null() {
            private.last
        } else if private.current == node || self.nodes().any(|known| known == node) {
            // SAFETY: a node of the list.
            unsafe { (*node).prev }
        } else {
            null_mut()
        };
        Self::pair_of(private.current)
    }

    /// The list as plain data. EINVAL when a list in it is none.
    pub fn snapshot(self) -> Result<List, Errno> {
        let pair = |pair| -> Result<Pair, Errno> {
            // SAFETY: pairs of the list, here and below.
            let (kind, nelem) = unsafe { kind(pair) };
            // SAFETY: as above.
            let value = unsafe { value(pair) };
            // SAFETY: a pair's value is what its type says.
            let value = unsafe { read(kind, nelem, value) }?;
            // SAFETY: as above.
            let name = unsafe { name(pair) }.to_vec();
            Ok(Pair { name, kind, nelem, value })
        };
        // SAFETY: a list that lives.
        let version = unsafe { (*self.head).nvl_version };
        Ok(List { version, nvflag: self.nvflag(), pairs: self.pairs().map(pair).collect::<Result<_, _>>()? })
    }

    /// Adds a pair as it is; those of the same name go if names are unique.
    pub fn insert(self, pair: &Pair) -> Result<(), Errno> {
        pair.check()?;
        let node = self.make(pair)?;
        let flags = self.nvflag() as i32;
        if flags & NV_UNIQUE_NAME != 0 {
            self.named(&pair.name, None).for_each(|old| self.remove(old));
        } else if flags & NV_UNIQUE_NAME_TYPE != 0 {
            let old = self.named(&pair.name, Some(pair.kind)).next();
            old.into_iter().for_each(|old| self.remove(old));
        }
        self.link(node);
        Ok(())
    }

    /// Adds all pairs of a list as they are, also several of one name.
    pub fn fill(self, list: &List) -> Result<(), Errno> {
        for pair in &list.pairs {
            self.link(self.make(pair)?);
        }
        Ok(())
    }

    fn link(self, node: *mut Node) {
        // SAFETY: a list that lives.
        let private = unsafe { &mut *self.private };
        // SAFETY: a new node.
        unsafe { (*node).prev = private.last };
        if private.last.is_null() {
            private.first = node;
        } else {
            // SAFETY: a node of the list.
            unsafe { (*private.last).next = node };
        }
        private.last = node;
    }

    /// A pair in memory, on no list yet.
    fn make(self, pair: &Pair) -> Result<*mut Node, Errno> {
        let image = pair.image();
        // SAFETY: the list's allocator.
        let node: *mut Node = unsafe { allocate(self.allocator(), LINKS + image.len()) }.cast();
        if node.is_null() {
            return Err(ENOMEM);
        }
        let at = Self::pair_of(node);
        // SAFETY: so much was allocated behind the links.
        unsafe { std::ptr::copy_nonoverlapping(image.as_ptr(), at.cast(), image.len()) };
        // SAFETY: a pair now, but for its pointers.
        let value: *mut u8 = unsafe { value(at) }.cast();
        let array = nvlist::shape(pair.kind).is_some_and(|(_, array)| array);
        let pointers = value.cast::<*mut u8>();
        let mut behind = value.wrapping_add(if array { pair.nelem as usize * 8 } else { 0 });
        let point = |i: usize, to: *mut u8| {
            if array {
                // SAFETY: one of the value's pointers.
                unsafe { pointers.wrapping_add(i).write(to) };
            }
        };
        match &pair.value {
            Value::Plain(_) => {}
            Value::Strings(strings) => {
                for (i, string) in strings.iter().enumerate() {
                    point(i, behind);
                    behind = behind.wrapping_add(string.len() + 1);
                }
            }
            Value::Lists(lists) => {
                for (i, list) in lists.iter().enumerate() {
                    // SAFETY: room for a head, in the pair's value.
                    let made = unsafe { Self::at(behind.cast(), self.allocator(), list.nvflag, true) };
                    let filled = made.and_then(|made| {
                        point(i, behind);
                        made.fill(list)
                    });
                    if let Err(error) = filled {
                        self.free_pair(at);
                        return Err(error);
                    }
                    behind = behind.wrapping_add(nvlist::LIST_HEAD);
                }
            }
        }
        Ok(node)
    }

    /// Takes a pair of the list off it and frees it.
    pub fn remove(self, pair: *mut nvpair_t) {
        let node: *mut Node = pair.cast::<Node>().wrapping_byte_sub(LINKS);
        // SAFETY: a list that lives.
        let private = unsafe { &mut *self.private };
        // SAFETY: a node of the list.
        let Node { next, prev, .. } = unsafe { node.read() };
        if private.current == node {
            private.current = next;
        }
        match prev.is_null() {
            true => private.first = next,
            // SAFETY: a node of the list.
            false => unsafe { (*prev).next = next },
        }
        match next.is_null() {
            true => private.last = prev,
            // SAFETY: a node of the list.
            false => unsafe { (*next).prev = prev },
        }
        self.free_pair(pair);
    }

    /// Frees a pair that is on no list any more, with its lists.
    fn free_pair(self, pair: *mut nvpair_t) {
        // SAFETY: a pair of the list, here and below.
        let (kind, nelem) = unsafe { kind(pair) };
        // SAFETY: as above.
        let value = unsafe { value(pair) };
        if let Some((Shape::Lists, array)) = nvlist::shape(kind) {
            let behind = value.wrapping_byte_add(if array { nelem as usize * 8 } else { 0 });
            for i in 0..nelem as usize {
                let head = behind.cast::<nvlist_t>().wrapping_add(i);
                // SAFETY: a head in the pair; one that was never made has no private part.
                if let Ok(list) = unsafe { Live::of(head) } {
                    list.free();
                }
            }
        }
        let node = pair.wrapping_byte_sub(LINKS);
        // SAFETY: as above.
        let size = LINKS + unsafe { (*pair).nvp_size } as usize;
        // SAFETY: it was allocated so, and nobody has it any more.
        unsafe { release(self.allocator(), node.cast(), size) };
    }

    /// Frees the list with everything on it.
    pub fn free(self) {
        for pair in self.pairs() {
            self.free_pair(pair);
        }
        // SAFETY: a list that lives.
        let Private { allocator, embedded, .. } = unsafe { self.private.read() };
        // SAFETY: as above: the head is the driver's memory to look at no more.
        unsafe { (*self.head).nvl_priv = 0 };
        if !embedded {
            // SAFETY: allocated by `new`.
            unsafe { release(allocator, self.head.cast(), size_of::<nvlist_t>()) };
        }
        // SAFETY: allocated by `at`.
        unsafe { release(allocator, self.private.cast(), size_of::<Private>()) };
    }
}
