//! Hash tables of the kernel (sys/modhash.h): numbers, pointers, strings, or what a driver's own functions compare.
//!
//! Keys are destroyed by the table's key destructor when their entry goes, values by the value destructor, but for those that mod_hash_remove
//! hands out. Locking: a mutex per table, held while the driver's compare and hash functions and find callbacks run, not for destructors.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::hash::{DefaultHasher, Hash as _, Hasher};

use ddi_sys::{mod_hash_key_t, mod_hash_t, mod_hash_val_t};
use parking_lot::Mutex;

use ddi_kernel::ddi::bytes;
use ddi_kernel::ddi::memory;
use ddi_kernel::ddi::store;

/// `MH_ERR_NOTFOUND`.
const NOT_FOUND: c_int = -3;
/// `MH_ERR_DUPLICATE`.
const DUPLICATE: c_int = -2;

type Destructor = Option<unsafe extern "C-unwind" fn(*mut c_void)>;
type Algorithm = unsafe extern "C-unwind" fn(*mut c_void, mod_hash_key_t) -> c_uint;
type Compare = unsafe extern "C-unwind" fn(mod_hash_key_t, mod_hash_key_t) -> c_int;
type Walker = unsafe extern "C-unwind" fn(mod_hash_key_t, *mut mod_hash_val_t, *mut c_void) -> c_uint;
type Found = unsafe extern "C-unwind" fn(mod_hash_key_t, mod_hash_val_t);
type FoundAnswer = unsafe extern "C-unwind" fn(mod_hash_key_t, mod_hash_val_t) -> c_int;

/// How keys are compared.
enum Kind {
    Number,
    Text,
    Own(Algorithm, *mut c_void, Compare),
}

struct Table {
    kind: Kind,
    key: Destructor,
    value: Destructor,
    /// Entries by hash value: keys and values.
    entries: Mutex<HashMap<u64, Vec<(usize, usize)>>>,
}

impl Table {
    fn make(kind: Kind, key: Destructor, value: Destructor) -> *mut mod_hash_t {
        Box::into_raw(Box::new(Table { kind, key, value, entries: Mutex::default() })).cast()
    }

    /// # Safety
    /// `hash` is a live one of this module.
    unsafe fn of<'a>(hash: *mut mod_hash_t) -> &'a Table {
        // SAFETY: the caller's promise.
        unsafe { &*hash.cast::<Table>() }
    }

    /// # Safety
    /// `key` is one of this table's kind.
    unsafe fn value_of(&self, key: usize) -> u64 {
        match &self.kind {
            Kind::Number => key as u64,
            Kind::Text => {
                let mut hasher = DefaultHasher::new();
                // SAFETY: the caller's promise: a string.
                unsafe { bytes(key as *const c_char) }.hash(&mut hasher);
                hasher.finish()
            }
            // SAFETY: the driver's function for its own keys.
            Kind::Own(algorithm, data, _) => unsafe { algorithm(*data, key as mod_hash_key_t) }.into(),
        }
    }

    /// # Safety
    /// As `value_of`, for both.
    unsafe fn same(&self, a: usize, b: usize) -> bool {
        match &self.kind {
            Kind::Number => a == b,
            Kind::Text => {
                // SAFETY: the caller's promise: a string, here and below.
                let a = unsafe { bytes(a as *const c_char) };
                // SAFETY: as above.
                a == unsafe { bytes(b as *const c_char) }
            }
            // SAFETY: the driver's function for its own keys.
            Kind::Own(_, _, compare) => unsafe { compare(a as mod_hash_key_t, b as mod_hash_key_t) == 0 },
        }
    }

    /// The entry of a key, and takes it out if `remove`.
    ///
    /// # Safety
    /// As `value_of`.
    unsafe fn entry(
        &self,
        entries: &mut HashMap<u64, Vec<(usize, usize)>>,
        key: usize,
        remove: bool,
    ) -> Option<(usize, usize)> {
        // SAFETY: the caller's promise.
        let bucket = entries.get_mut(&unsafe { self.value_of(key) })?;
        // SAFETY: the caller's promise; the table's keys were given by the driver.
        let at = bucket.iter().position(|(k, _)| unsafe { self.same(*k, key) })?;
        Some(if remove { bucket.swap_remove(at) } else { bucket[at] })
    }

    /// Destroys a key and, if `value`, its value.
    fn destroy(&self, (key, value): (usize, usize), with_value: bool) {
        if let Some(destructor) = self.key {
            // SAFETY: the driver's function with its key.
            unsafe { destructor(key as *mut c_void) };
        }
        if let Some(destructor) = self.value.filter(|_| with_value) {
            // SAFETY: the driver's function with its value.
            unsafe { destructor(value as *mut c_void) };
        }
    }

    fn clear(&self) {
        let all: Vec<(usize, usize)> = self.entries.lock().drain().flat_map(|(_, bucket)| bucket).collect();
        all.into_iter().for_each(|entry| self.destroy(entry, true));
    }

    /// # Safety
    /// As `value_of`.
    unsafe fn insert(&self, key: usize, value: usize) -> c_int {
        let mut entries = self.entries.lock();
        // SAFETY: the caller's promise.
        if unsafe { self.entry(&mut entries, key, false) }.is_some() {
            return DUPLICATE;
        }
        // SAFETY: the caller's promise.
        entries.entry(unsafe { self.value_of(key) }).or_default().push((key, value));
        0
    }
}

/// Frees a table, with what is left in it.
///
/// # Safety
/// `hash` is a live one of this module.
unsafe fn end(hash: *mut mod_hash_t) {
    // SAFETY: made by `make`, given back now.
    unsafe { Box::from_raw(hash.cast::<Table>()) }.clear();
}

ddi! {
    /// mod_hash_create_idhash: keys are numbers.
    fn mod_hash_create_idhash(_name: *mut c_char, _chains: usize, value: Destructor) -> *mut mod_hash_t {
        Table::make(Kind::Number, None, value)
    }
    /// mod_hash_create_ptrhash: keys are pointers.
    @private fn mod_hash_create_ptrhash(
        _name: *mut c_char,
        _chains: usize,
        value: Destructor,
        _element: usize,
    ) -> *mut mod_hash_t {
        Table::make(Kind::Number, None, value)
    }
    /// mod_hash_create_strhash: keys are strings from kmem, which the table frees.
    @private fn mod_hash_create_strhash(_name: *mut c_char, _chains: usize, value: Destructor) -> *mut mod_hash_t {
        Table::make(Kind::Text, Some(mod_hash_strkey_dtor), value)
    }
    /// mod_hash_create_strhash_nodtr: the same with strings that stay the driver's.
    @private fn mod_hash_create_strhash_nodtr(_name: *mut c_char, _chains: usize, value: Destructor) -> *mut mod_hash_t {
        Table::make(Kind::Text, None, value)
    }
    /// mod_hash_create_extended: with functions of the driver's own.
    @private fn mod_hash_create_extended(
        _name: *mut c_char,
        _chains: usize,
        key: Destructor,
        value: Destructor,
        algorithm: Option<Algorithm>,
        data: *mut c_void,
        compare: Option<Compare>,
        _sleep: c_int,
    ) -> *mut mod_hash_t {
        match (algorithm, compare) {
            (Some(algorithm), Some(compare)) => Table::make(Kind::Own(algorithm, data, compare), key, value),
            _ => std::ptr::null_mut(),
        }
    }
    /// mod_hash_destroy_hash: with what is left in it.
    fn mod_hash_destroy_hash(hash: *mut mod_hash_t) {
        // SAFETY: the driver's promise.
        unsafe { end(hash) };
    }
    /// mod_hash_destroy_idhash.
    @private fn mod_hash_destroy_idhash(hash: *mut mod_hash_t) {
        // SAFETY: the driver's promise.
        unsafe { end(hash) };
    }
    /// mod_hash_destroy_ptrhash.
    @private fn mod_hash_destroy_ptrhash(hash: *mut mod_hash_t) {
        // SAFETY: the driver's promise.
        unsafe { end(hash) };
    }
    /// mod_hash_destroy_strhash.
    @private fn mod_hash_destroy_strhash(hash: *mut mod_hash_t) {
        // SAFETY: the driver's promise.
        unsafe { end(hash) };
    }
    /// mod_hash_insert: 0, or MH_ERR_DUPLICATE.
    fn mod_hash_insert(hash: *mut mod_hash_t, key: mod_hash_key_t, value: mod_hash_val_t) -> c_int {
        // SAFETY: the driver's promise.
        let table = unsafe { Table::of(hash) };
        // SAFETY: the driver's promise.
        unsafe { table.insert(key as usize, value as usize) }
    }
    /// mod_hash_reserve: room is always there.
    @private fn mod_hash_reserve(_hash: *mut mod_hash_t, handle: *mut *mut c_void) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { store(handle, std::ptr::null_mut()) };
        0
    }
    /// mod_hash_reserve_nosleep.
    @private fn mod_hash_reserve_nosleep(_hash: *mut mod_hash_t, handle: *mut *mut c_void) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { store(handle, std::ptr::null_mut()) };
        0
    }
    /// mod_hash_cancel.
    @private fn mod_hash_cancel(_hash: *mut mod_hash_t, _handle: *mut *mut c_void) {}
    /// mod_hash_insert_reserve.
    @private fn mod_hash_insert_reserve(
        hash: *mut mod_hash_t,
        key: mod_hash_key_t,
        value: mod_hash_val_t,
        _handle: *mut c_void,
    ) -> c_int {
        // SAFETY: the driver's promise.
        let table = unsafe { Table::of(hash) };
        // SAFETY: the driver's promise.
        unsafe { table.insert(key as usize, value as usize) }
    }
    /// mod_hash_replace: what was there is destroyed.
    @private fn mod_hash_replace(hash: *mut mod_hash_t, key: mod_hash_key_t, value: mod_hash_val_t) -> c_int {
        // SAFETY: the driver's promise.
        let table = unsafe { Table::of(hash) };
        // SAFETY: the driver's promise.
        let old = unsafe { table.entry(&mut table.entries.lock(), key as usize, true) };
        if let Some(old) = old {
            table.destroy(old, true);
        }
        // SAFETY: the driver's promise.
        unsafe { table.insert(key as usize, value as usize) }
    }
    /// mod_hash_find: 0, or MH_ERR_NOTFOUND.
    fn mod_hash_find(hash: *mut mod_hash_t, key: mod_hash_key_t, valuep: *mut mod_hash_val_t) -> c_int {
        // SAFETY: the driver's promise.
        let table = unsafe { Table::of(hash) };
        // SAFETY: the driver's promise.
        let found = unsafe { table.entry(&mut table.entries.lock(), key as usize, false) };
        let Some((_, value)) = found else { return NOT_FOUND };
        // SAFETY: the driver's promise.
        unsafe { store(valuep, value as mod_hash_val_t) };
        0
    }
    /// mod_hash_find_cb: calls back with the table locked, to take a reference.
    @private fn mod_hash_find_cb(
        hash: *mut mod_hash_t,
        key: mod_hash_key_t,
        valuep: *mut mod_hash_val_t,
        found: Option<Found>,
    ) -> c_int {
        // SAFETY: the driver's promise.
        let table = unsafe { Table::of(hash) };
        let mut entries = table.entries.lock();
        // SAFETY: the driver's promise.
        let Some((_, value)) = (unsafe { table.entry(&mut entries, key as usize, false) }) else { return NOT_FOUND };
        // SAFETY: the driver's promise.
        unsafe { store(valuep, value as mod_hash_val_t) };
        if let Some(found) = found {
            // SAFETY: the driver's callback.
            unsafe { found(key, value as mod_hash_val_t) };
        }
        0
    }
    /// mod_hash_find_cb_rval: the same, with the callback's answer.
    @private fn mod_hash_find_cb_rval(
        hash: *mut mod_hash_t,
        key: mod_hash_key_t,
        valuep: *mut mod_hash_val_t,
        found: Option<FoundAnswer>,
        answer: *mut c_int,
    ) -> c_int {
        // SAFETY: the driver's promise.
        let table = unsafe { Table::of(hash) };
        let mut entries = table.entries.lock();
        // SAFETY: the driver's promise.
        let Some((_, value)) = (unsafe { table.entry(&mut entries, key as usize, false) }) else { return NOT_FOUND };
        // SAFETY: the driver's promise.
        unsafe { store(valuep, value as mod_hash_val_t) };
        // SAFETY: the driver's callback.
        let said = found.map_or(0, |found| unsafe { found(key, value as mod_hash_val_t) });
        // SAFETY: the driver's promise.
        unsafe { store(answer, said) };
        0
    }
    /// mod_hash_remove: hands the value out; 0, or MH_ERR_NOTFOUND.
    fn mod_hash_remove(hash: *mut mod_hash_t, key: mod_hash_key_t, valuep: *mut mod_hash_val_t) -> c_int {
        // SAFETY: the driver's promise.
        let table = unsafe { Table::of(hash) };
        // SAFETY: the driver's promise.
        let found = unsafe { table.entry(&mut table.entries.lock(), key as usize, true) };
        let Some(entry) = found else { return NOT_FOUND };
        // SAFETY: the driver's promise.
        unsafe { store(valuep, entry.1 as mod_hash_val_t) };
        table.destroy(entry, false);
        0
    }
    /// mod_hash_destroy: removes and destroys an entry.
    @private fn mod_hash_destroy(hash: *mut mod_hash_t, key: mod_hash_key_t) -> c_int {
        // SAFETY: the driver's promise.
        let table = unsafe { Table::of(hash) };
        // SAFETY: the driver's promise.
        let found = unsafe { table.entry(&mut table.entries.lock(), key as usize, true) };
        let Some(entry) = found else { return NOT_FOUND };
        table.destroy(entry, true);
        0
    }
    /// mod_hash_clear.
    @private fn mod_hash_clear(hash: *mut mod_hash_t) {
        // SAFETY: the driver's promise.
        unsafe { Table::of(hash) }.clear();
    }
    /// mod_hash_walk: until the function says MH_WALK_TERMINATE (1).
    @private fn mod_hash_walk(hash: *mut mod_hash_t, visit: Option<Walker>, arg: *mut c_void) {
        let Some(visit) = visit else { return };
        // SAFETY: the driver's promise.
        let table = unsafe { Table::of(hash) };
        let mut entries = table.entries.lock();
        for (key, value) in entries.values_mut().flatten() {
            let mut given = *value as mod_hash_val_t;
            // SAFETY: the driver's function with an entry of its own.
            if unsafe { visit(*key as mod_hash_key_t, &mut given, arg) } == 1 {
                break;
            }
            *value = given as usize;
        }
    }
    /// mod_hash_null_keydtor.
    @private fn mod_hash_null_keydtor(_key: *mut c_void) {}
    /// mod_hash_null_valdtor.
    @private fn mod_hash_null_valdtor(_value: *mut c_void) {}
    /// mod_hash_strkey_dtor: frees a string of kmem.
    @private fn mod_hash_strkey_dtor(key: *mut c_void) {
        // SAFETY: the driver's promise: a string.
        let len = unsafe { bytes(key.cast()) }.len();
        memory::free(key.cast(), len + 1, "mod_hash_strkey_dtor");
    }
    /// mod_hash_strval_dtor: frees a string of kmem.
    @private fn mod_hash_strval_dtor(value: *mut c_void) {
        // SAFETY: the driver's promise: a string.
        let len = unsafe { bytes(value.cast()) }.len();
        memory::free(value.cast(), len + 1, "mod_hash_strval_dtor");
    }
    /// mod_hash_strkey_cmp.
    @private fn mod_hash_strkey_cmp(a: mod_hash_key_t, b: mod_hash_key_t) -> c_int {
        // SAFETY: the driver's promise: a string, here and below.
        let a = unsafe { bytes(a.cast()) };
        // SAFETY: as above.
        (a != unsafe { bytes(b.cast()) }).into()
    }
    /// mod_hash_ptrkey_cmp.
    @private fn mod_hash_ptrkey_cmp(a: mod_hash_key_t, b: mod_hash_key_t) -> c_int {
        (a != b).into()
    }
    /// mod_hash_idkey_cmp.
    @private fn mod_hash_idkey_cmp(a: mod_hash_key_t, b: mod_hash_key_t) -> c_int {
        (a != b).into()
    }
    /// mod_hash_bystr.
    @private fn mod_hash_bystr(_data: *mut c_void, key: mod_hash_key_t) -> c_uint {
        let mut hasher = DefaultHasher::new();
        // SAFETY: the driver's promise: a string.
        unsafe { bytes(key.cast()) }.hash(&mut hasher);
        hasher.finish() as c_uint
    }
    /// mod_hash_byptr.
    @private fn mod_hash_byptr(_data: *mut c_void, key: mod_hash_key_t) -> c_uint {
        (key as usize >> 3) as c_uint
    }
    /// mod_hash_byid.
    @private fn mod_hash_byid(_data: *mut c_void, key: mod_hash_key_t) -> c_uint {
        key as usize as c_uint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::null_mut;

    #[test]
    fn strings_are_compared_by_content_and_freed() {
        let key = |text: &std::ffi::CStr| -> mod_hash_key_t {
            let copy = memory::alloc(text.count_bytes() + 1, ddi_sys::KM_SLEEP);
            // SAFETY: that much was allocated.
            unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), copy.cast(), text.count_bytes() + 1) };
            copy.cast()
        };
        // SAFETY: a table of the test and its own keys, here and below.
        let hash = unsafe { mod_hash_create_strhash(null_mut(), 7, None) };
        // SAFETY: as above.
        let insert = |k, v: usize| unsafe { mod_hash_insert(hash, k, v as mod_hash_val_t) };
        assert_eq!((insert(key(c"one"), 1), insert(key(c"two"), 2)), (0, 0));
        let again = key(c"one");
        assert_eq!(insert(again, 3), DUPLICATE);
        // SAFETY: as above.
        unsafe { mod_hash_strkey_dtor(again.cast()) };
        let mut value = null_mut();
        let looked_up = c"two".as_ptr().cast_mut().cast();
        // SAFETY: as above.
        assert_eq!(unsafe { mod_hash_find(hash, looked_up, &mut value) }, 0);
        assert_eq!(value as usize, 2);
        // SAFETY: as above.
        assert_eq!(unsafe { mod_hash_remove(hash, looked_up, &mut value) }, 0);
        // SAFETY: as above.
        assert_eq!(unsafe { mod_hash_find(hash, looked_up, &mut value) }, NOT_FOUND);
        // SAFETY: as above.
        unsafe { mod_hash_destroy_strhash(hash) };
    }

    #[test]
    fn a_hash_finds_what_was_put_in() {
        let key = |n: usize| n as mod_hash_key_t;
        let mut value = null_mut();
        // SAFETY: a table of the test, here and below.
        let hash = unsafe { ddi_sys::mod_hash_create_idhash(null_mut(), 7, None) };
        // SAFETY: as above.
        assert_eq!(unsafe { ddi_sys::mod_hash_insert(hash, key(5), key(50)) }, 0);
        // SAFETY: as above.
        assert_eq!(unsafe { ddi_sys::mod_hash_insert(hash, key(5), key(60)) }, DUPLICATE);
        // SAFETY: as above.
        let found = unsafe { ddi_sys::mod_hash_find(hash, key(5), &mut value) };
        assert_eq!((found, value as usize), (0, 50));
        // SAFETY: as above.
        assert_eq!(unsafe { ddi_sys::mod_hash_remove(hash, key(5), &mut value) }, 0);
        // SAFETY: as above.
        assert_eq!(unsafe { ddi_sys::mod_hash_find(hash, key(5), &mut value) }, NOT_FOUND);
        // SAFETY: as above.
        unsafe { ddi_sys::mod_hash_destroy_hash(hash) };
    }
}
