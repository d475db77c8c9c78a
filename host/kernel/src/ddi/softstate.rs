//! ddi_soft_state(9F), by instance number and by string.
//!
//! ddi_get_soft_state may be called in any context: a readers/writer lock that is held for a look-up only.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{c_int, c_void};
use std::hash::Hash;
use std::ptr::null_mut;
use std::sync::LazyLock;

use ddi_sys::ddi_soft_state_bystr;
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap as HashMap;

use super::args::{Argument, InOut, Object, Out, Owned, Text};
use crate::board::report;
use crate::kern::heap;
use crate::kern::keepers::{Keeper, Leftover};
use crate::kern::nodes::Node;

/// Items of an anchor.
struct States<K> {
    size: usize,
    items: RwLock<HashMap<K, usize>>,
}

/// State of this file.
struct State {
    /// Anchors that are initialised and not finished.
    anchors: LazyLock<Mutex<HashSet<usize>>>,
    /// The items that each attached instance's attach(9E) made, by the node's address.
    of_nodes: LazyLock<Mutex<HashMap<usize, Vec<Item>>>>,
}

static STATE: State =
    State { anchors: LazyLock::new(Mutex::default), of_nodes: LazyLock::new(Mutex::default) };
/// Number of anchors that are initialised and not finished.
pub fn anchors() -> usize {
    STATE.anchors.lock().len()
}

/// An item, by its anchor and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    states: usize,
    /// The item's number, in most drivers the instance's.
    pub number: c_int,
}

impl Item {
    /// Returns whether it is still there.
    pub fn exists(self) -> bool {
        let anchors = STATE.anchors.lock();
        if !anchors.contains(&self.states) {
            return false;
        }
        // SAFETY: a live anchor of numbered items, which cannot be finished while the set of anchors is locked.
        let states = unsafe { &*(self.states as *const States<c_int>) };
        states.items.read().contains_key(&self.number)
    }
}

thread_local! {
    static MADE: RefCell<Option<Vec<Item>>> = const { RefCell::new(None) };
}

/// Keeps which numbered items an instance's attach(9E) made: its detach(9E) has to free them.
#[derive(Debug)]
pub struct Items;

impl Keeper for Items {
    fn attaching(&self, _node: &'static Node) {
        MADE.set(Some(Vec::new()));
    }

    fn attached(&self, node: &'static Node, success: bool) {
        let made = MADE.take().unwrap_or_default();
        if success {
            STATE.of_nodes.lock().insert(node.dip() as usize, made);
        }
    }

    fn detached(&self, node: &'static Node) -> Vec<Leftover> {
        let made = STATE.of_nodes.lock().remove(&(node.dip() as usize)).unwrap_or_default();
        // The kernel frees them without a word when the anchor goes.
        let left = made.into_iter().filter(|item| heap::checking() && item.exists());
        left.map(|item| Leftover {
            what: format!("its soft state, item {}", item.number),
            page: "ddi_soft_state(9F)",
        })
        .collect()
    }
}

impl<K: Hash + Eq> States<K> {
    fn create(size: usize) -> *mut Self {
        let states = Box::into_raw(Box::new(States { size, items: RwLock::default() }));
        STATE.anchors.lock().insert(states as usize);
        states
    }

    fn zalloc(&self, key: K) -> c_int {
        let mut items = self.items.write();
        if items.contains_key(&key) {
            return ddi_sys::DDI_FAILURE;
        }
        let item = heap::allocate(self.size, heap::alignment(self.size), true);
        if item.is_null() {
            return ddi_sys::DDI_FAILURE;
        }
        items.insert(key, item as usize);
        ddi_sys::DDI_SUCCESS
    }

    fn free(&self, key: &K, function: &str, name: &str) {
        match self.items.write().remove(key) {
            Some(item) => self.free_item(item, function),
            None => crate::board::log::line(
                crate::board::log::To::Both,
                &format!("WARNING: {function}: there is no item {name}"),
            ),
        }
    }

    fn free_item(&self, item: usize, function: &str) {
        if let Err(error) = heap::free(item as *mut u8, self.size) {
            report::mistake_after(function, &error.to_string(), "ddi_soft_state(9F)", &error.earlier());
        }
    }

    fn fini(&self, function: &str) {
        STATE.anchors.lock().remove(&(std::ptr::from_ref(self) as usize));
        for item in self.items.read().values() {
            self.free_item(*item, function);
        }
    }
}

use ddi_sys::EINVAL;

/// Content of an anchor: NULL, or its items.
type Anchor<'a, K, C = c_void> = Object<'a, States<K>, C>;

/// The items of an anchor; NULL is reported.
fn of<'a, K, C>(state: Anchor<'a, K, C>, function: &str) -> Option<&'a States<K>>
where
    States<K>: Sync,
{
    let states = state.get();
    if states.is_none() {
        report::mistake(
            function,
            "the anchor is NULL: ddi_soft_state_init was not called",
            "ddi_soft_state(9F)",
        );
    }
    states
}

ddi! {
    /// ddi_soft_state_init(9F).
    fn ddi_soft_state_init(anchor: Out<*mut c_void>, size: usize, _hint: usize) -> c_int {
        if anchor.is_null() || size == 0 {
            return EINVAL;
        }
        anchor.put(States::<c_int>::create(size).cast());
        0
    }
    /// ddi_soft_state_zalloc(9F).
    fn ddi_soft_state_zalloc(state: Anchor<c_int>, item: c_int) -> c_int {
        if item < 0 {
            return ddi_sys::DDI_FAILURE;
        }
        let states = of(state, NAME);
        let result = states.map_or(ddi_sys::DDI_FAILURE, |s| s.zalloc(item));
        if result == ddi_sys::DDI_SUCCESS {
            let made = Item { states: state.address(), number: item };
            MADE.with_borrow_mut(|items| items.iter_mut().for_each(|items| items.push(made)));
        }
        result
    }
    /// ddi_get_soft_state(9F).
    fn ddi_get_soft_state(state: Anchor<c_int>, item: c_int) -> *mut c_void {
        let states = of(state, NAME);
        states.and_then(|s| s.items.read().get(&item).copied()).map_or(null_mut(), |p| p as *mut c_void)
    }
    /// ddi_soft_state_free(9F).
    fn ddi_soft_state_free(state: Anchor<c_int>, item: c_int) {
        if let Some(states) = of(state, NAME) {
            states.free(&item, NAME, &item.to_string());
        }
    }
    /// ddi_soft_state_fini(9F).
    fn ddi_soft_state_fini(anchor: InOut<*mut c_void>) {
        // SAFETY: the driver's promise: what ddi_soft_state_init stored there, or NULL.
        let states: Owned<States<c_int>, c_void> = unsafe { Argument::of(anchor.take()) };
        if let Some(states) = states.get() {
            states.fini(NAME);
        }
    }
    /// ddi_soft_state_bystr_init(9F).
    fn ddi_soft_state_bystr_init(anchor: Out<*mut ddi_soft_state_bystr>, size: usize, _hint: c_int) -> c_int {
        if anchor.is_null() || size == 0 {
            return EINVAL;
        }
        anchor.put(States::<String>::create(size).cast());
        0
    }
    /// ddi_soft_state_bystr_zalloc(9F).
    fn ddi_soft_state_bystr_zalloc(state: Anchor<String, ddi_soft_state_bystr>, key: Text) -> c_int {
        let key = key.text();
        let states = of(state, NAME);
        states.map_or(ddi_sys::DDI_FAILURE, |s| s.zalloc(key))
    }
    /// ddi_soft_state_bystr_get(9F).
    fn ddi_soft_state_bystr_get(state: Anchor<String, ddi_soft_state_bystr>, key: Text) -> *mut c_void {
        let key = key.text();
        let states = of(state, NAME);
        states.and_then(|s| s.items.read().get(&key).copied()).map_or(null_mut(), |p| p as *mut c_void)
    }
    /// ddi_soft_state_bystr_free(9F).
    fn ddi_soft_state_bystr_free(state: Anchor<String, ddi_soft_state_bystr>, key: Text) {
        let key = key.text();
        if let Some(states) = of(state, NAME) {
            states.free(&key, NAME, &key);
        }
    }
    /// ddi_soft_state_bystr_fini(9F).
    fn ddi_soft_state_bystr_fini(anchor: InOut<*mut ddi_soft_state_bystr>) {
        // SAFETY: the driver's promise: what ddi_soft_state_bystr_init stored there, or NULL.
        let states: Owned<States<String>, ddi_soft_state_bystr> = unsafe { Argument::of(anchor.take()) };
        if let Some(states) = states.get() {
            states.fini(NAME);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_and_go() {
        let mut anchor = null_mut();
        assert_eq!(driver!(ddi_sys::ddi_soft_state_init(&mut anchor, 24, 1)), 0);
        assert_eq!(driver!(ddi_sys::ddi_soft_state_zalloc(anchor, 3)), ddi_sys::DDI_SUCCESS);
        assert_eq!(driver!(ddi_sys::ddi_soft_state_zalloc(anchor, 3)), ddi_sys::DDI_FAILURE);
        assert_eq!(driver!(ddi_sys::ddi_soft_state_zalloc(anchor, -1)), ddi_sys::DDI_FAILURE);
        let item = driver!(ddi_sys::ddi_get_soft_state(anchor, 3));
        // SAFETY: a zeroed item of 24 bytes.
        assert_eq!(unsafe { item.cast::<[u64; 3]>().read() }, [0; 3]);
        driver!(ddi_sys::ddi_soft_state_free(anchor, 3));
        assert!(driver!(ddi_sys::ddi_get_soft_state(anchor, 3)).is_null());
        driver!(ddi_sys::ddi_soft_state_fini(&mut anchor));
        assert!(anchor.is_null());
    }
}
