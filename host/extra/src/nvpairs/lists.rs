//! Lists in memory, as drivers hold them: a head, and pairs that are linked behind it.
//!
//! Every piece comes from the list's allocator: the head with what belongs to it, and each pair with its links in front. A list within
//! a list has its head in the pair that holds it. The head and the pairs are laid out as nvpair.h says, since drivers look
//! into them by its macros; the rest is the host's own business.

use std::ffi::c_void;
use std::ptr;

use ddi_sys::*;

use super::allocators::Allocator;
use crate::nvlist::{self, Errno, List, Pair, Shape, Value};
use ddi_kernel::ddi::args::Memory;
use ddi_kernel::ddi::bytes;
use ddi_kernel::kern::fields::{Structure, pointer};

/// Body of a list, which its head leads to.
#[repr(C)]
struct Body {
    first: Option<Node>,
    last: Option<Node>,
    /// Last pair that nvlist_next_nvpair or nvlist_prev_nvpair returned.
    current: Option<Node>,
    allocator: Allocator,
    /// The head is in a pair.
    embedded: bool,
}

fields! {
    /// The body of a list.
    ///
    /// # Invariants
    /// A [`Body`] that [`Live::at`] made and [`Live::free`] has not freed yet. Its nodes are the list's, linked in both directions.
    struct Private at Body {
        first / set_first: Option<Node>,
        last / set_last: Option<Node>,
        current / set_current: Option<Node>,
        allocator: Allocator,
        embedded: bool,
    }
}

/// A pair's links; the pair is behind them.
#[repr(C)]
#[derive(Debug)]
pub struct Links {
    next: Option<Node>,
    prev: Option<Node>,
    pair: nvpair_t,
}

fields! {
    /// A pair with its links.
    ///
    /// # Invariants
    /// Links that [`Live::make`] made, with a [`LivePair`] behind them, from the list's allocator; not freed yet.
    pub struct Node at Links {
        next / set_next: Option<Node>,
        prev / set_prev: Option<Node>,
    }
}

fields! {
    /// A pair, as drivers have it.
    ///
    /// # Invariants
    /// An `nvpair_t` of a list that lives: its name with a NUL is behind it, then its value, aligned, which is what its type says.
    pub struct LivePair at nvpair_t {
        nvp_size: i32,
        nvp_name_sz: i16,
        nvp_value_elem: i32,
        nvp_type: data_type_t,
    }
}

fields! {
    /// A list's head, as drivers have it.
    ///
    /// # Invariants
    /// An `nvlist_t`. Its `nvl_priv` is 0, or the address of the body of a live list, which only the caller uses meanwhile.
    pub struct Head at nvlist_t {
        nvl_version / set_version: i32,
        nvl_nvflag / set_nvflag: u32,
        nvl_priv / set_priv: u64,
    }
}

/// Bytes of the links.
const LINKS: usize = std::mem::offset_of!(Links, pair);

/// A list that lives.
#[derive(Clone, Copy, PartialEq)]
pub struct Live {
    head: Head,
    private: Private,
}

/// Elements of a type, where a driver or a pair has them.
///
/// # Invariants
/// `at` is NULL, or there are `nelem` elements of the type at it while this is used: numbers, the string, pointers to strings, the list, pointers to lists.
#[derive(Clone, Copy, Debug)]
pub struct Elements {
    /// The type.
    pub kind: data_type_t,
    /// The number of elements.
    pub nelem: u32,
    at: *mut c_void,
}

impl Elements {
    /// Returns the elements of an argument. The manual page of the function asks for so many of this type.
    pub(super) fn given<T>(kind: data_type_t, nelem: u32, memory: Memory<T>) -> Self {
        Elements { kind, nelem, at: memory.pointer().cast() }
    }

    /// Returns a copy of as many bytes.
    pub fn bytes(self, len: usize) -> Vec<u8> {
        let mut copy = vec![0u8; len];
        // SAFETY: the invariant: so many bytes, as the type says; the copy is new.
        unsafe { ptr::copy_nonoverlapping(self.at.cast(), copy.as_mut_ptr(), len) };
        copy
    }

    /// Returns the addresses of strings or lists, which an array points to.
    fn addresses(self, array: bool) -> Vec<*mut c_void> {
        if !array {
            return vec![self.at];
        }
        let from = self.at.cast::<*mut c_void>();
        // SAFETY: the invariant: so many pointers.
        (0..self.nelem as usize).map(|i| unsafe { from.wrapping_add(i).read() }).collect()
    }

    /// Returns whether a list is one of the elements.
    pub fn has(self, list: Live) -> bool {
        let head = list.head.pointer().cast();
        match self.kind {
            DATA_TYPE_NVLIST => self.at == head,
            DATA_TYPE_NVLIST_ARRAY if !self.at.is_null() => self.addresses(true).contains(&head),
            _ => false,
        }
    }

    /// Returns them as plain data.
    pub fn read(self) -> Result<Value, Errno> {
        let (shape, array) = nvlist::shape_of(self.kind, self.nelem).ok_or(EINVAL)?;
        if self.nelem != 0 && self.at.is_null() {
            return Err(EINVAL);
        }
        let addresses = match shape {
            Shape::Strings | Shape::Lists => self.addresses(array),
            _ => Vec::new(),
        };
        if addresses.iter().any(|at| at.is_null()) && self.nelem != 0 {
            return Err(EINVAL);
        }
        Ok(match shape {
            Shape::Nothing => Value::Plain(Vec::new()),
            Shape::Numbers(_) if self.nelem == 0 => Value::Plain(Vec::new()),
            Shape::Numbers(width) => Value::Plain(self.bytes(self.nelem as usize * width)),
            Shape::Strings => {
                // SAFETY: the invariant: strings.
                let string = |at: &*mut c_void| unsafe { bytes(at.cast()) }.to_vec();
                Value::Strings(addresses.iter().map(string).collect())
            }
            Shape::Lists => {
                // SAFETY: the invariant: lists.
                let list = |at: &*mut c_void| Live::of(unsafe { Head::at(at.cast()) })?.snapshot();
                Value::Lists(addresses.iter().map(list).collect::<Result<_, _>>()?)
            }
        })
    }
}

impl LivePair {
    /// Returns the address of its name.
    pub fn name_at(self) -> *mut std::ffi::c_char {
        self.pointer().wrapping_add(1).cast()
    }

    /// Returns its name, without the NUL.
    pub fn name(self) -> Vec<u8> {
        // SAFETY: the invariant: the name with its NUL is behind the pair.
        unsafe { bytes(self.name_at()) }.to_vec()
    }

    /// Returns the address of its value.
    pub fn value(self) -> *mut c_void {
        let offset = nvlist::align(nvlist::PAIR_HEAD + self.nvp_name_sz() as usize);
        self.pointer().wrapping_byte_add(offset).cast()
    }

    /// Returns its value.
    pub fn elements(self) -> Elements {
        Elements { kind: self.nvp_type(), nelem: self.nvp_value_elem() as u32, at: self.value() }
    }
}

impl Node {
    /// Returns the pair.
    pub fn pair(self) -> LivePair {
        let pair = self.pointer().wrapping_byte_add(LINKS).cast::<nvpair_t>();
        // SAFETY: the invariant: there is one behind the links.
        unsafe { LivePair::at(pair) }.expect("it is behind something")
    }
}

/// Returns the address of a node's pair for C.
fn pair_of(node: Option<Node>) -> *mut nvpair_t {
    pointer(node.map(Node::pair))
}

impl Live {
    /// Returns the list behind a driver's pointer; EINVAL for none.
    pub fn of(head: Option<Head>) -> Result<Self, Errno> {
        let head = head.ok_or(EINVAL)?;
        let body = ptr::with_exposed_provenance_mut(head.nvl_priv() as usize);
        // SAFETY: the invariant of a head: NULL, or the body of a list that lives.
        let private = unsafe { Private::at(body) }.ok_or(EINVAL)?;
        Ok(Live { head, private })
    }

    /// Returns a new list. The allocator is there as long as the list.
    pub fn new(allocator: Allocator, nvflag: u32) -> Result<Self, Errno> {
        let head = allocator.allocate(size_of::<nvlist_t>());
        // SAFETY: just allocated: zeros, a head without a body.
        let head = unsafe { Head::at(head.cast()) }.ok_or(ENOMEM)?;
        let made = Self::at(head, allocator, nvflag & nvlist::FLAGS, false);
        if made.is_err() {
            allocator.release(head, size_of::<nvlist_t>());
        }
        made
    }

    /// Returns a new list with a head that has no body yet.
    fn at(head: Head, allocator: Allocator, nvflag: u32, embedded: bool) -> Result<Self, Errno> {
        let body: *mut Body = allocator.allocate(size_of::<Body>()).cast();
        if body.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: just allocated.
        unsafe { body.write(Body { first: None, last: None, current: None, allocator, embedded }) };
        head.set_version(NV_VERSION);
        head.set_nvflag(nvflag);
        head.set_priv(body.expose_provenance() as u64);
        Live::of(Some(head))
    }

    /// Returns the driver's pointer.
    pub fn head(self) -> *mut nvlist_t {
        self.head.pointer()
    }

    /// Returns its flags.
    pub fn nvflag(self) -> u32 {
        self.head.nvl_nvflag()
    }

    /// Returns its allocator.
    pub fn allocator(self) -> Allocator {
        self.private.allocator()
    }

    fn nodes(self) -> impl Iterator<Item = Node> {
        let mut at = self.private.first();
        std::iter::from_fn(move || {
            let node = at?;
            at = node.next();
            Some(node)
        })
    }

    /// Returns its pairs, in order. One may be removed as soon as it has come.
    pub fn pairs(self) -> impl Iterator<Item = LivePair> {
        self.nodes().map(Node::pair)
    }

    /// Returns the pairs of this name, and of this type if one is given.
    pub fn named(self, wanted: &[u8], of: Option<data_type_t>) -> impl Iterator<Item = Node> {
        self.nodes().filter(move |node| {
            let pair = node.pair();
            of.is_none_or(|of| of == pair.nvp_type()) && pair.name() == wanted
        })
    }

    /// Returns the node of a pair; None if the pair is not on the list.
    pub fn find(self, pair: LivePair) -> Option<Node> {
        let right = |node: &Node| node.pair() == pair;
        self.private.current().filter(right).or_else(|| self.nodes().find(right))
    }

    /// Returns the pair behind this one, or the first. NULL at the end, and for one that is not on the list.
    pub fn next(self, pair: Option<LivePair>) -> *mut nvpair_t {
        let next = match pair {
            None => self.private.first(),
            Some(pair) => self.find(pair).and_then(Node::next),
        };
        self.private.set_current(next);
        pair_of(next)
    }

    /// Returns the pair before this one, or the last. NULL at the start, and for one that is not on the list.
    pub fn prev(self, pair: Option<LivePair>) -> *mut nvpair_t {
        let prev = match pair {
            None => self.private.last(),
            Some(pair) => self.find(pair).and_then(Node::prev),
        };
        self.private.set_current(prev);
        pair_of(prev)
    }

    /// Returns the list as plain data. EINVAL when a list in it is none.
    pub fn snapshot(self) -> Result<List, Errno> {
        let pair = |pair: LivePair| -> Result<Pair, Errno> {
            let elements = pair.elements();
            Ok(Pair {
                name: pair.name(),
                kind: elements.kind,
                nelem: elements.nelem,
                value: elements.read()?,
            })
        };
        let pairs = self.pairs().map(pair).collect::<Result<_, _>>()?;
        Ok(List { version: self.head.nvl_version(), nvflag: self.nvflag(), pairs })
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

    fn link(self, node: Node) {
        let last = self.private.last();
        node.set_prev(last);
        match last {
            Some(last) => last.set_next(Some(node)),
            None => self.private.set_first(Some(node)),
        }
        self.private.set_last(Some(node));
    }

    /// Returns a pair in memory, on no list yet.
    fn make(self, pair: &Pair) -> Result<Node, Errno> {
        let image = pair.image();
        let node = self.allocator().allocate(LINKS + image.len());
        if node.is_null() {
            return Err(ENOMEM);
        }
        let at = node.wrapping_byte_add(LINKS);
        // SAFETY: so much was allocated behind the links.
        unsafe { ptr::copy_nonoverlapping(image.as_ptr(), at.cast(), image.len()) };
        // SAFETY: links of zeros, and a pair that is whole but for its pointers; those are set before anybody follows them.
        let node = unsafe { Node::at(node.cast()) }.ok_or(ENOMEM)?;
        let value: *mut u8 = node.pair().value().cast();
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
                    // SAFETY: the image has a head without a body here.
                    let head = unsafe { Head::at(behind.cast()) }.ok_or(ENOMEM);
                    let made = head.and_then(|head| Self::at(head, self.allocator(), list.nvflag, true));
                    let filled = made.and_then(|made| {
                        point(i, behind);
                        made.fill(list)
                    });
                    if let Err(error) = filled {
                        self.free_node(node);
                        return Err(error);
                    }
                    behind = behind.wrapping_add(nvlist::LIST_HEAD);
                }
            }
        }
        Ok(node)
    }

    /// Takes a pair of the list off it and frees it.
    pub fn remove(self, node: Node) {
        let (next, prev) = (node.next(), node.prev());
        if self.private.current() == Some(node) {
            self.private.set_current(next);
        }
        match prev {
            Some(prev) => prev.set_next(next),
            None => self.private.set_first(next),
        }
        match next {
            Some(next) => next.set_prev(prev),
            None => self.private.set_last(prev),
        }
        self.free_node(node);
    }

    /// Frees a pair that is on no list any more, with its lists.
    fn free_node(self, node: Node) {
        let pair = node.pair();
        let Elements { kind, nelem, at } = pair.elements();
        if let Some((Shape::Lists, array)) = nvlist::shape(kind) {
            let heads = at.wrapping_byte_add(if array { nelem as usize * 8 } else { 0 }).cast::<nvlist_t>();
            for i in 0..nelem as usize {
                // SAFETY: a head in the pair; one that was never made has no body.
                if let Ok(list) = Live::of(unsafe { Head::at(heads.wrapping_add(i)) }) {
                    list.free();
                }
            }
        }
        self.allocator().release(node, LINKS + pair.nvp_size() as usize);
    }

    /// Frees the list with everything on it.
    pub fn free(self) {
        for node in self.nodes() {
            self.free_node(node);
        }
        let allocator = self.allocator();
        // The head no longer refers to the body.
        self.head.set_priv(0);
        if !self.private.embedded() {
            allocator.release(self.head, size_of::<nvlist_t>());
        }
        allocator.release(self.private, size_of::<Body>());
    }
}
