//! Balanced trees: avl_create and its kin. The links are in the driver's objects, the order is the driver's comparison, which has to return
//! exactly -1, 0 or 1. The driver's own locks protect a tree.
//!
//! A node's third word is its parent's address with, in the low three bits, which child it is (4) and its balance plus one (height of
//! the right subtree less that of the left).

use std::ffi::{c_int, c_ulong, c_void};
use std::ptr::null_mut;

use ddi_sys::{avl_index_t, avl_node, avl_tree, avl_tree_t, boolean_t};

use super::args::{Argument, InOut, Out};
use crate::board::report;

type Compare = unsafe extern "C-unwind" fn(*const c_void, *const c_void) -> c_int;

/// A node, or none (NULL).
///
/// # Invariants
/// Null, or a node that is in a driver's tree or being inserted. The driver guarantees that such a node is initialised and valid, and that it holds the tree's lock. The fields of
/// a null node are not accessed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Node(*mut avl_node);

const NONE: Node = Node(null_mut());
const PAGE: &str = "avl_create(9F)";

impl Node {
    fn get(self) -> avl_node {
        // SAFETY: the invariant.
        unsafe { self.0.read() }
    }
    fn put(self, node: avl_node) {
        // SAFETY: as in `get`.
        unsafe { self.0.write(node) };
    }
    fn child(self, side: usize) -> Node {
        Node(self.get().avl_child[side])
    }
    fn parent(self) -> Node {
        Node((self.get().avl_pcb & !7) as *mut avl_node)
    }
    fn side(self) -> usize {
        (self.get().avl_pcb >> 2) & 1
    }
    fn balance(self) -> isize {
        (self.get().avl_pcb & 3) as isize - 1
    }
    fn set_balance(self, balance: isize) {
        let mut node = self.get();
        node.avl_pcb = node.avl_pcb & !3 | (balance + 1) as usize;
        self.put(node);
    }
    fn set_parent(self, parent: Node, side: usize) {
        let mut node = self.get();
        node.avl_pcb = parent.0 as usize | side << 2 | node.avl_pcb & 3;
        self.put(node);
    }
    /// Hangs `child` below this node, or nothing.
    fn hang(self, side: usize, child: Node) {
        let mut node = self.get();
        node.avl_child[side] = child.0;
        self.put(node);
        if child != NONE {
            child.set_parent(self, side);
        }
    }
    /// The outermost node of this subtree on one side.
    fn outermost(self, side: usize) -> Node {
        let mut node = self;
        while node != NONE && node.child(side) != NONE {
            node = node.child(side);
        }
        node
    }
    /// The next node in one direction.
    fn walk(self, side: usize) -> Node {
        if self.child(side) != NONE {
            return self.child(side).outermost(1 - side);
        }
        let mut node = self;
        while node.parent() != NONE {
            if node.side() != side {
                return node.parent();
            }
            node = node.parent();
        }
        NONE
    }
}

/// Change of the balance by one more level on a side.
fn weight(side: usize) -> isize {
    if side == 1 { 1 } else { -1 }
}

/// A driver's tree.
///
/// # Invariants
/// A tree of avl_create, or room for one, there and under the driver's lock until the function returns: the driver's promise.
#[derive(Clone, Copy)]
struct Tree(*mut avl_tree_t);

impl Argument for Tree {
    type C = *mut avl_tree_t;

    unsafe fn of(c: *mut avl_tree_t) -> Self {
        Tree(c)
    }
}

impl Tree {
    fn get(self) -> avl_tree {
        // SAFETY: the invariant.
        unsafe { self.0.read() }
    }
    fn put(self, tree: avl_tree) {
        // SAFETY: as in `get`.
        unsafe { self.0.write(tree) };
    }
    fn root(self) -> Node {
        Node(self.get().avl_root)
    }
    fn node(self, object: *const c_void) -> Node {
        Node(object.cast_mut().wrapping_byte_add(self.get().avl_offset).cast())
    }
    fn object(self, node: Node) -> *mut c_void {
        if node == NONE {
            null_mut()
        } else {
            node.0.cast::<c_void>().wrapping_byte_sub(self.get().avl_offset)
        }
    }
    fn count(self, by: isize) {
        let mut tree = self.get();
        tree.avl_numnodes = tree.avl_numnodes.wrapping_add_signed(by as i64);
        self.put(tree);
    }
    /// Puts `node` where another is or was: below `parent`, or at the root.
    fn place(self, parent: Node, side: usize, node: Node) {
        if parent != NONE {
            return parent.hang(side, node);
        }
        let mut tree = self.get();
        tree.avl_root = node.0;
        self.put(tree);
        if node != NONE {
            node.set_parent(NONE, 0);
        }
    }

    /// Which way `value` lies from `node`: None when they are equal.
    fn compare(self, function: &str, value: *const c_void, node: Node) -> Option<usize> {
        let compare: Option<Compare> = self.get().avl_compar;
        let Some(compare) = compare else {
            report::mistake(function, "the tree has no comparison: avl_create was not called", PAGE);
            return None;
        };
        // SAFETY: the driver's comparison with two of its objects.
        let order = unsafe { compare(value, self.object(node)) };
        if !(-1..=1).contains(&order) {
            report::mistake(function, &format!("the comparison returned {order}, not -1, 0 or 1"), PAGE);
        }
        match order.signum() {
            -1 => Some(0),
            1 => Some(1),
            _ => None,
        }
    }

    /// The equal node, or the node and the side below which it would be.
    fn find(self, function: &str, value: *const c_void) -> Result<Node, (Node, usize)> {
        let (mut place, mut node) = ((NONE, 0), self.root());
        while node != NONE {
            let Some(side) = self.compare(function, value, node) else { return Ok(node) };
            place = (node, side);
            node = node.child(side);
        }
        Err(place)
    }

    fn insert(self, node: Node, parent: Node, side: usize) {
        node.put(avl_node { avl_child: [null_mut(); 2], avl_pcb: 1 });
        self.place(parent, side, node);
        self.count(1);
        let (mut parent, mut side) = (parent, side);
        while parent != NONE {
            let balance = parent.balance() + weight(side);
            match balance {
                0 => return parent.set_balance(0),
                -1 | 1 => parent.set_balance(balance),
                _ => {
                    self.rotate(parent, side);
                    return;
                }
            }
            side = parent.side();
            parent = parent.parent();
        }
    }

    /// Restores the balance of a node whose subtree on `side` is two levels higher. Returns the new top and whether it is lower than before.
    fn rotate(self, node: Node, side: usize) -> (Node, bool) {
        let (above, at) = (node.parent(), node.side());
        let (heavy, other, sign) = (node.child(side), 1 - side, weight(side));
        if heavy.balance() != -sign {
            let level = heavy.balance() == 0;
            node.hang(side, heavy.child(other));
            self.place(above, at, heavy);
            heavy.hang(other, node);
            node.set_balance(if level { sign } else { 0 });
            heavy.set_balance(if level { -sign } else { 0 });
            return (heavy, !level);
        }
        let top = heavy.child(other);
        let balance = top.balance();
        heavy.hang(other, top.child(side));
        node.hang(side, top.child(other));
        self.place(above, at, top);
        top.hang(side, heavy);
        top.hang(other, node);
        node.set_balance(if balance == sign { -sign } else { 0 });
        heavy.set_balance(if balance == -sign { sign } else { 0 });
        top.set_balance(0);
        (top, true)
    }

    fn remove(self, node: Node) {
        let (left, right) = (node.child(0), node.child(1));
        let (mut parent, mut side);
        if left != NONE && right != NONE {
            // The next higher node takes its place.
            let heir = right.outermost(0);
            (parent, side) = if heir == right { (heir, 1) } else { (heir.parent(), 0) };
            if heir != right {
                parent.hang(0, heir.child(1));
                heir.hang(1, right);
            }
            heir.hang(0, left);
            heir.set_balance(node.balance());
            self.place(node.parent(), node.side(), heir);
        } else {
            (parent, side) = (node.parent(), node.side());
            self.place(parent, side, if left == NONE { right } else { left });
        }
        self.count(-1);
        while parent != NONE {
            let balance = parent.balance() - weight(side);
            let mut top = parent;
            match balance {
                -1 | 1 => return parent.set_balance(balance),
                0 => parent.set_balance(0),
                _ => {
                    let (new, lower) = self.rotate(parent, 1 - side);
                    if !lower {
                        return;
                    }
                    top = new;
                }
            }
            side = top.side();
            parent = top.parent();
        }
    }
}

impl Tree {
    /// Moves an object whose value has changed to its place. Returns whether it was elsewhere.
    fn update(self, object: *mut c_void) -> bool {
        let node = self.node(object);
        let wrong = |side: usize| {
            let next = node.walk(side);
            next != NONE && self.compare("avl_update", object, next) == Some(side)
        };
        if !wrong(0) && !wrong(1) {
            return false;
        }
        self.remove(node);
        if let Err((place, side)) = self.find("avl_update", object) {
            self.insert(node, place, side);
        }
        true
    }
}

fn side_of(direction: c_int) -> usize {
    usize::from(direction != 0)
}

/// Cookie of avl_destroy_nodes when all nodes are out.
const DONE: usize = 1;

ddi! {
    /// avl_create(9F).
    fn avl_create(
        tree: Tree,
        compare: Option<unsafe extern "C-unwind" fn(*const c_void, *const c_void) -> c_int>,
        size: usize,
        offset: usize,
    ) {
        tree.put(avl_tree {
            avl_root: null_mut(),
            avl_compar: compare,
            avl_offset: offset,
            avl_numnodes: 0,
            avl_size: size,
        });
    }
    /// avl_destroy(9F).
    fn avl_destroy(tree: Tree) {
        if tree.root() != NONE {
            report::mistake(NAME, "the tree is not empty", PAGE);
        }
    }
    /// avl_find(9F).
    fn avl_find(tree: Tree, value: *const c_void, place: Out<avl_index_t>) -> *mut c_void {
        let (found, index) = match tree.find(NAME, value) {
            Ok(node) => (tree.object(node), 0),
            Err((node, side)) => (null_mut(), node.0 as avl_index_t | side),
        };
        if !place.is_null() {
            place.put(index);
        }
        found
    }
    /// avl_insert(9F).
    fn avl_insert(tree: Tree, new: *mut c_void, place: avl_index_t) {
        tree.insert(tree.node(new), Node((place & !7) as *mut avl_node), place & 1);
    }
    /// avl_insert_here(9F).
    fn avl_insert_here(tree: Tree, new: *mut c_void, there: *mut c_void, direction: c_int) {
        let (mut node, mut side) = (tree.node(there), side_of(direction));
        if node.child(side) != NONE {
            node = node.child(side).outermost(1 - side);
            side = 1 - side;
        }
        tree.insert(tree.node(new), node, side);
    }
    /// avl_add(9F).
    fn avl_add(tree: Tree, new: *mut c_void) {
        match tree.find(NAME, new) {
            Ok(_) => report::mistake(NAME, "an equal node is in the tree already", PAGE),
            Err((node, side)) => tree.insert(tree.node(new), node, side),
        }
    }
    /// avl_remove(9F).
    fn avl_remove(tree: Tree, object: *mut c_void) {
        tree.remove(tree.node(object));
    }
    /// avl_first(9F).
    fn avl_first(tree: Tree) -> *mut c_void {
        tree.object(tree.root().outermost(0))
    }
    /// avl_last(9F).
    fn avl_last(tree: Tree) -> *mut c_void {
        tree.object(tree.root().outermost(1))
    }
    /// avl_walk: AVL_NEXT(9F) and AVL_PREV(9F).
    fn avl_walk(tree: Tree, object: *mut c_void, direction: c_int) -> *mut c_void {
        if object.is_null() {
            return null_mut();
        }
        tree.object(tree.node(object).walk(side_of(direction)))
    }
    /// avl_nearest(9F).
    fn avl_nearest(tree: Tree, place: avl_index_t, direction: c_int) -> *mut c_void {
        let (node, side) = (Node((place & !7) as *mut avl_node), side_of(direction));
        if node == NONE {
            return null_mut();
        }
        tree.object(if place & 1 == side { node.walk(side) } else { node })
    }
    /// avl_numnodes(9F).
    fn avl_numnodes(tree: Tree) -> c_ulong {
        tree.get().avl_numnodes
    }
    /// avl_is_empty(9F).
    fn avl_is_empty(tree: Tree) -> boolean_t {
        (tree.root() == NONE).into()
    }
    /// avl_update(9F).
    fn avl_update(tree: Tree, object: *mut c_void) -> boolean_t {
        tree.update(object).into()
    }
    /// avl_update_lt(9F): the object's value has become less. The whole place is looked at, which finds the same.
    fn avl_update_lt(tree: Tree, object: *mut c_void) -> boolean_t {
        tree.update(object).into()
    }
    /// avl_update_gt(9F): the object's value has become greater.
    fn avl_update_gt(tree: Tree, object: *mut c_void) -> boolean_t {
        tree.update(object).into()
    }
    /// avl_swap(9F).
    fn avl_swap(one: Tree, two: Tree) {
        let (a, b) = (one.get(), two.get());
        one.put(avl_tree { avl_root: b.avl_root, avl_numnodes: b.avl_numnodes, ..a });
        two.put(avl_tree { avl_root: a.avl_root, avl_numnodes: a.avl_numnodes, ..b });
    }
    /// avl_destroy_nodes(9F).
    fn avl_destroy_nodes(tree: Tree, cookie: InOut<*mut c_void>) -> *mut c_void {
        let at = cookie.value() as usize;
        let from = if at == 0 { tree.root() } else { Node((at & !7) as *mut avl_node) };
        if from == NONE || at == DONE {
            let mut empty = tree.get();
            empty.avl_root = null_mut();
            empty.avl_numnodes = 0;
            tree.put(empty);
            return null_mut();
        }
        // Children before their parents, so that what is returned may be freed.
        let mut leaf = from;
        while let Some(child) = [0, 1].map(|side| leaf.child(side)).into_iter().find(|&c| c != NONE) {
            leaf = child;
        }
        let parent = leaf.parent();
        let mut next = DONE;
        if parent != NONE {
            parent.hang(leaf.side(), NONE);
            next = parent.0 as usize;
        }
        cookie.put(next as *mut c_void);
        tree.object(leaf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kern::fields::Zeroed as _;

    #[repr(C)]
    struct Item {
        key: i64,
        node: avl_node,
    }

    unsafe extern "C-unwind" fn by_key(a: *const c_void, b: *const c_void) -> c_int {
        // SAFETY: the tests' items.
        let a = unsafe { (*a.cast::<Item>()).key };
        // SAFETY: as above.
        let b = unsafe { (*b.cast::<Item>()).key };
        a.cmp(&b) as c_int
    }

    /// Height of a subtree; checks balances, links and parents on the way.
    fn height(node: Node, parent: Node, side: usize) -> isize {
        if node == NONE {
            return 0;
        }
        assert!(node.parent() == parent && (parent == NONE || node.side() == side));
        let heights = [0, 1].map(|s| height(node.child(s), node, s));
        assert_eq!(node.balance(), heights[1] - heights[0]);
        assert!((-1..=1).contains(&node.balance()));
        1 + heights[0].max(heights[1])
    }

    fn keys(tree: &mut avl_tree) -> Vec<i64> {
        let tree: *mut avl_tree = tree;
        let mut keys = Vec::new();
        let mut object = driver!(avl_first(tree));
        while !object.is_null() {
            // SAFETY: an item in the tree.
            keys.push(unsafe { (*object.cast::<Item>()).key });
            object = driver!(avl_walk(tree, object, 1));
        }
        keys
    }

    #[test]
    fn trees_stay_ordered_and_balanced() {
        let mut tree = avl_tree::ZEROED;
        driver!(avl_create(&mut tree, Some(by_key), size_of::<Item>(), std::mem::offset_of!(Item, node)));
        let mut items: Vec<Item> = (0..200)
            .map(|i| Item { key: i * 7919 % 200, node: avl_node { avl_child: [null_mut(); 2], avl_pcb: 0 } })
            .collect();
        let base = items.as_mut_ptr();
        let item = |i: usize| base.wrapping_add(i).cast::<c_void>();
        for i in 0..200 {
            driver!(avl_add(&mut tree, item(i)));
            height(Tree(&mut tree).root(), NONE, 0);
        }
        assert_eq!(keys(&mut tree), (0..200).collect::<Vec<_>>());
        for i in (0..200).step_by(3) {
            driver!(avl_remove(&mut tree, item(i)));
            height(Tree(&mut tree).root(), NONE, 0);
        }
        let left: Vec<i64> = keys(&mut tree);
        assert_eq!(left.len() as u64, tree.avl_numnodes);
        assert!(left.is_sorted() && left.len() == 133);
        let (mut cookie, mut out) = (null_mut(), 0);
        while !driver!(avl_destroy_nodes(&mut tree, &mut cookie)).is_null() {
            out += 1;
        }
        assert_eq!((out, tree.avl_numnodes), (133, 0));
    }
}
