//! ddi_soft_state(9F), by instance number and by string.
//!
//! ddi_get_soft_state may be called in any context: a readers/writer lock that is held for a look-up only.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::{c_char, c_int, c_void};
use std::hash::Hash;
use std::ptr::null_mut;
use std::sync::LazyLock;

use ddi_sys::ddi_soft_state_bystr;
use parking_lot::{Mutex, RwLock};

use super::text;
use crate::board::report;
use crate::kern::heap;
use crate::kern::keepers::{Keeper, Leftover};
use crate::kern::nodes::Node;

/// What an anchor points to.
struct States<K> {
    size: usize,
    items: RwLock<HashMap<K, usize>>,
}

/// Anchors that are initialised and not finished.
static ANCHORS: LazyLock<Mutex<HashSet<usize>>> = LazyLock::new(Mutex::default);

/// How many anchors are initialised and not finished.
pub fn anchors() -> usize {
    ANCHORS.lock().len()
}

/// An item, by its anchor and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    states: usize,
    /// Its number, in most drivers the instance's.
    pub number: c_int,
}

impl Item {
    /// Is it still there?
    pub fn exists(self) -> bool {
        let anchors = ANCHORS.lock();
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

/// The items that each attached instance's attach(9E) made, by the node's address.
static OF_NODES: LazyLock<Mutex<HashMap<usize, Vec<Item>>>> = LazyLock::new(Mutex::default);

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
            OF_NODES.lock().insert(node.dip() as usize, made);
        }
    }

    fn detached(&self, node: &'static Node) -> Vec<Leftover> {
        let made = OF_NODES.lock().remove(&(node.dip() as usize)).unwrap_or_default();
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
        ANCHORS.lock().insert(states as usize);
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
        ANCHORS.lock().remove(&(std::ptr::from_ref(self) as usize));
        for item in self.items.read().values() {
            self.free_item(*item, function);
        }
    }
}

use ddi_sys::EINVAL;

/// # Safety
/// `state` is what an anchor holds: NULL or a live `States<K>`.
unsafe fn of<'a, K, T>(state: *mut T, function: &str) -> Option<&'a States<K>> {
    if state.is_null() {
        report::mistake(
            function,
            "the anchor is NULL: ddi_soft_state_init was not called",
            "ddi_soft_state(9F)",
        );
        return None;
    }
    // SAFETY: the caller's promise.
    Some(unsafe { &*state.cast::<States<K>>() })
}

ddi! {
    /// ddi_soft_state_init(9F).
    fn ddi_soft_state_init(anchor: *mut *mut c_void, size: usize, _hint: usize) -> c_int {
        if anchor.is_null() || size == 0 {
            return EINVAL;
        }
        // SAFETY: the driver's promise.
        unsafe { anchor.write(States::<c_int>::create(size).cast()) };
        0
    }
    /// ddi_soft_state_zalloc(9F).
    fn ddi_soft_state_zalloc(state: *mut c_void, item: c_int) -> c_int {
        if item < 0 {
            return ddi_sys::DDI_FAILURE;
        }
        // SAFETY: the driver's promise.
        let states = unsafe { of::<c_int, _>(state, "ddi_soft_state_zalloc") };
        let result = states.map_or(ddi_sys::DDI_FAILURE, |s| s.zalloc(item));
        if result == ddi_sys::DDI_SUCCESS {
            let made = Item { states: state as usize, number: item };
            MADE.with_borrow_mut(|items| items.iter_mut().for_each(|items| items.push(made)));
        }
        result
    }
    /// ddi_get_soft_state(9F).
    fn ddi_get_soft_state(state: *mut c_void, item: c_int) -> *mut c_void {
        // SAFETY: the driver's promise.
        let states = unsafe { of::<c_int, _>(state, "ddi_get_soft_state") };
        states.and_then(|s| s.items.read().get(&item).copied()).map_or(null_mut(), |p| p as *mut c_void)
    }
    /// ddi_soft_state_free(9F).
    fn ddi_soft_state_free(state: *mut c_void, item: c_int) {
        // SAFETY: the driver's promise.
        if let Some(states) = unsafe { of::<c_int, _>(state, "ddi_soft_state_free") } {
            states.free(&item, "ddi_soft_state_free", &item.to_string());
        }
    }
    /// ddi_soft_state_fini(9F).
    fn ddi_soft_state_fini(anchor: *mut *mut c_void) {
        // SAFETY: the driver's promise.
        let state = unsafe { anchor.replace(null_mut()) };
        if !state.is_null() {
            // SAFETY: made by ddi_soft_state_init, given back now.
            unsafe { Box::from_raw(state.cast::<States<c_int>>()) }.fini("ddi_soft_state_fini");
        }
    }
    /// ddi_soft_state_bystr_init(9F).
    fn ddi_soft_state_bystr_init(anchor: *mut *mut ddi_soft_state_bystr, size: usize, _hint: c_int) -> c_int {
        if anchor.is_null() || size == 0 {
            return EINVAL;
        }
        // SAFETY: the driver's promise.
        unsafe { anchor.write(States::<String>::create(size).cast()) };
        0
    }
    /// ddi_soft_state_bystr_zalloc(9F).
    fn ddi_soft_state_bystr_zalloc(state: *mut ddi_soft_state_bystr, key: *const c_char) -> c_int {
        // SAFETY: the driver's promise.
        let key = unsafe { text(key) };
        // SAFETY: the driver's promise.
        let states = unsafe { of::<String, _>(state, "ddi_soft_state_bystr_zalloc") };
        states.map_or(ddi_sys::DDI_FAILURE, |s| s.zalloc(key))
    }
    /// ddi_soft_state_bystr_get(9F).
    fn ddi_soft_state_bystr_get(state: *mut ddi_soft_state_bystr, key: *const c_char) -> *mut c_void {
        // SAFETY: the driver's promise.
        let key = unsafe { text(key) };
        // SAFETY: the driver's promise.
        let states = unsafe { of::<String, _>(state, "ddi_soft_state_bystr_get") };
        states.and_then(|s| s.items.read().get(&key).copied()).map_or(null_mut(), |p| p as *mut c_void)
    }
    /// ddi_soft_state_bystr_free(9F).
    fn ddi_soft_state_bystr_free(state: *mut ddi_soft_state_bystr, key: *const c_char) {
        // SAFETY: the driver's promise.
        let key = unsafe { text(key) };
        // SAFETY: the driver's promise.
        if let Some(states) = unsafe { of::<String, _>(state, "ddi_soft_state_bystr_free") } {
            states.free(&key, "ddi_soft_state_bystr_free", &key);
        }
    }
    /// ddi_soft_state_bystr_fini(9F).
    fn ddi_soft_state_bystr_fini(anchor: *mut *mut ddi_soft_state_bystr) {
        // SAFETY: the driver's promise.
        let state = unsafe { anchor.replace(null_mut()) };
        if !state.is_null() {
            // SAFETY: made by ddi_soft_state_bystr_init, given back now.
            unsafe { Box::from_raw(state.cast::<States<String>>()) }.fini("ddi_soft_state_bystr_fini");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_and_go() {
        let mut anchor = null_mut();
        // SAFETY: an anchor of the test, here and below.
        assert_eq!(unsafe { ddi_sys::ddi_soft_state_init(&mut anchor, 24, 1) }, 0);
        // SAFETY: as above.
        assert_eq!(unsafe { ddi_sys::ddi_soft_state_zalloc(anchor, 3) }, ddi_sys::DDI_SUCCESS);
        // SAFETY: as above.
        assert_eq!(unsafe { ddi_sys::ddi_soft_state_zalloc(anchor, 3) }, ddi_sys::DDI_FAILURE);
        // SAFETY: as above.
        assert_eq!(unsafe { ddi_sys::ddi_soft_state_zalloc(anchor, -1) }, ddi_sys::DDI_FAILURE);
        // SAFETY: as above.
        let item = unsafe { ddi_sys::ddi_get_soft_state(anchor, 3) };
        // SAFETY: a zeroed item of 24 bytes.
        assert_eq!(unsafe { item.cast::<[u64; 3]>().read() }, [0; 3]);
        // SAFETY: as above.
        unsafe { ddi_sys::ddi_soft_state_free(anchor, 3) };
        // SAFETY: as above.
        assert!(unsafe { ddi_sys::ddi_get_soft_state(anchor, 3) }.is_null());
        // SAFETY: as above.
        unsafe { ddi_sys::ddi_soft_state_fini(&mut anchor) };
        assert!(anchor.is_null());
    }
}
