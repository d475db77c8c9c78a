//! list_create(9F) and the rest: doubly linked lists through nodes within the driver's objects.
//!
//! The layout is public: the head is a node of a circle, an object's node is at `list_offset` in it, and a node that is on no
//! list has NULL in both links. Any context; the driver locks.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use ddi_sys::{list_node_t, list_t};

use super::args::Argument;
use crate::board::report;
use crate::kern::fields::Structure;

crate::fields! {
    /// A list's head.
    ///
    /// # Invariants
    /// A list of a driver's, there until the function returns.
    struct Head at list_t {
        list_size / set_size: usize,
        list_offset / set_offset: usize,
        list_head / set_head: list_node_t,
    }
}

crate::fields! {
    /// A node of a list.
    ///
    /// # Invariants
    /// The head of a driver's list, an object's node, or one that these link to: there until the function returns.
    struct Node at list_node_t {
        list_next / set_next: *mut list_node_t,
        list_prev / set_prev: *mut list_node_t,
    }
}

/// A list, and access to its nodes.
///
/// # Invariants
/// `list` is the driver's list, and every object on it and every one that is passed along with it is there until the function returns: the driver's promise.
#[derive(Clone, Copy)]
struct List {
    list: Head,
    offset: usize,
}

impl Argument for List {
    type C = *mut list_t;

    unsafe fn of(c: *mut list_t) -> Self {
        // SAFETY: the caller's promise: a list that list_create made.
        let list = unsafe { Head::of(c) };
        List { list, offset: list.list_offset() }
    }
}

impl List {
    fn head(self) -> *mut list_node_t {
        self.list.pointer().wrapping_byte_add(std::mem::offset_of!(list_t, list_head)).cast()
    }

    fn node(self, object: *mut c_void) -> *mut list_node_t {
        object.wrapping_byte_add(self.offset).cast()
    }

    fn object(self, node: *mut list_node_t) -> *mut c_void {
        if node == self.head() { null_mut() } else { node.cast::<c_void>().wrapping_byte_sub(self.offset) }
    }

    fn get(node: *mut list_node_t) -> list_node_t {
        // SAFETY: the invariant: the head, an object's node, or one that these link to.
        unsafe { node.read() }
    }

    fn set_next(node: *mut list_node_t, next: *mut list_node_t) {
        // SAFETY: as in `get`.
        unsafe { (*node).list_next = next };
    }

    fn set_prev(node: *mut list_node_t, prev: *mut list_node_t) {
        // SAFETY: as in `get`.
        unsafe { (*node).list_prev = prev };
    }

    fn insert_after(self, at: *mut list_node_t, object: *mut c_void) {
        let node = self.node(object);
        let next = Self::get(at).list_next;
        Self::set_next(node, next);
        Self::set_prev(node, at);
        Self::set_prev(next, node);
        Self::set_next(at, node);
    }

    fn take(self, node: *mut list_node_t) -> *mut c_void {
        let links = Self::get(node);
        if links.list_next.is_null() {
            report::mistake("list_remove", "the object is on no list", "list_remove(9F)");
            return null_mut();
        }
        Self::set_next(links.list_prev, links.list_next);
        Self::set_prev(links.list_next, links.list_prev);
        Self::set_next(node, null_mut());
        Self::set_prev(node, null_mut());
        self.object(node)
    }

    fn empty(self) -> bool {
        Self::get(self.head()).list_next == self.head()
    }

    fn reset(self) {
        Self::set_next(self.head(), self.head());
        Self::set_prev(self.head(), self.head());
    }
}

ddi! {
    /// list_create(9F).
    fn list_create(list: Head, size: usize, offset: usize) {
        list.set_size(size);
        list.set_offset(offset);
        let head = list.pointer().wrapping_byte_add(std::mem::offset_of!(list_t, list_head)).cast();
        list.set_head(list_node_t { list_next: head, list_prev: head });
    }
    /// list_destroy(9F): it must be empty.
    fn list_destroy(list: List) {
        if !list.empty() {
            report::mistake(NAME, "the list is not empty", "list_destroy(9F)");
        }
        List::set_next(list.head(), null_mut());
        List::set_prev(list.head(), null_mut());
    }
    /// list_insert_head(9F).
    fn list_insert_head(list: List, object: *mut c_void) {
        list.insert_after(list.head(), object);
    }
    /// list_insert_tail(9F).
    fn list_insert_tail(list: List, object: *mut c_void) {
        list.insert_after(List::get(list.head()).list_prev, object);
    }
    /// list_insert_after(9F).
    fn list_insert_after(list: List, at: *mut c_void, object: *mut c_void) {
        let at = if at.is_null() { list.head() } else { list.node(at) };
        list.insert_after(at, object);
    }
    /// list_insert_before(9F).
    fn list_insert_before(list: List, at: *mut c_void, object: *mut c_void) {
        let at = if at.is_null() { list.head() } else { list.node(at) };
        list.insert_after(List::get(at).list_prev, object);
    }
    /// list_remove(9F).
    fn list_remove(list: List, object: *mut c_void) {
        list.take(list.node(object));
    }
    /// list_remove_head(9F): the object, or NULL.
    fn list_remove_head(list: List) -> *mut c_void {
        if list.empty() { null_mut() } else { list.take(List::get(list.head()).list_next) }
    }
    /// list_remove_tail(9F): the object, or NULL.
    fn list_remove_tail(list: List) -> *mut c_void {
        if list.empty() { null_mut() } else { list.take(List::get(list.head()).list_prev) }
    }
    /// list_head(9F).
    fn list_head(list: List) -> *mut c_void {
        list.object(List::get(list.head()).list_next)
    }
    /// list_tail(9F).
    fn list_tail(list: List) -> *mut c_void {
        list.object(List::get(list.head()).list_prev)
    }
    /// list_next(9F).
    fn list_next(list: List, object: *mut c_void) -> *mut c_void {
        list.object(List::get(list.node(object)).list_next)
    }
    /// list_prev(9F).
    fn list_prev(list: List, object: *mut c_void) -> *mut c_void {
        list.object(List::get(list.node(object)).list_prev)
    }
    /// list_is_empty(9F).
    fn list_is_empty(list: List) -> c_int {
        list.empty().into()
    }
    /// list_move_tail(9F): everything on `from` to the end of `to`.
    fn list_move_tail(to: List, from: List) {
        if from.empty() {
            return;
        }
        let (moved, last) = (List::get(from.head()), List::get(to.head()).list_prev);
        List::set_next(last, moved.list_next);
        List::set_prev(moved.list_next, last);
        List::set_next(moved.list_prev, to.head());
        List::set_prev(to.head(), moved.list_prev);
        from.reset();
    }
    /// list_link_init(9F).
    fn list_link_init(node: *mut list_node_t) {
        List::set_next(node, null_mut());
        List::set_prev(node, null_mut());
    }
    /// list_link_active(9F).
    fn list_link_active(node: *mut list_node_t) -> c_int {
        (!List::get(node).list_next.is_null()).into()
    }
    /// list_link_replace(9F).
    fn list_link_replace(old: *mut list_node_t, new: *mut list_node_t) {
        let links = List::get(old);
        List::set_next(new, links.list_next);
        List::set_prev(new, links.list_prev);
        List::set_prev(links.list_next, new);
        List::set_next(links.list_prev, new);
        List::set_next(old, null_mut());
        List::set_prev(old, null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    struct Item {
        value: u32,
        link: list_node_t,
    }

    #[test]
    fn order_is_kept() {
        let none = || list_node_t { list_next: null_mut(), list_prev: null_mut() };
        let mut items: Vec<Item> = (0..4).map(|value| Item { value, link: none() }).collect();
        let at = |i: usize, items: &mut Vec<Item>| -> *mut c_void { (&raw mut items[i]).cast() };
        let mut list = list_t { list_size: 0, list_offset: 0, list_head: none() };
        driver!(ddi_sys::list_create(&mut list, size_of::<Item>(), std::mem::offset_of!(Item, link)));
        let (a, b, c, d) = (at(0, &mut items), at(1, &mut items), at(2, &mut items), at(3, &mut items));
        driver!(ddi_sys::list_insert_tail(&mut list, b));
        driver!(ddi_sys::list_insert_head(&mut list, a));
        driver!(ddi_sys::list_insert_after(&mut list, b, d));
        driver!(ddi_sys::list_insert_before(&mut list, d, c));
        let mut seen = Vec::new();
        let mut object = driver!(ddi_sys::list_head(&mut list));
        while !object.is_null() {
            // SAFETY: an item on the list.
            seen.push(unsafe { (*object.cast::<Item>()).value });
            object = driver!(ddi_sys::list_next(&mut list, object));
        }
        assert_eq!(seen, [0, 1, 2, 3]);
        driver!(ddi_sys::list_remove(&mut list, b));
        // SAFETY: as above.
        let link = unsafe { &raw mut (*b.cast::<Item>()).link };
        assert_eq!(driver!(ddi_sys::list_link_active(link)), 0);
        assert_eq!(driver!(ddi_sys::list_remove_tail(&mut list)), d);
        assert_eq!(driver!(ddi_sys::list_remove_head(&mut list)), a);
        assert_eq!(driver!(ddi_sys::list_prev(&mut list, c)), null_mut());
        assert_eq!(driver!(ddi_sys::list_remove_head(&mut list)), c);
        assert_eq!(driver!(ddi_sys::list_is_empty(&mut list)), 1);
        driver!(ddi_sys::list_destroy(&mut list));
    }
}
