//! Hash tables of the kernel (sys/modhash.h): numbers, pointers, strings, or what a driver's own functions compare.
//!
//! Keys are destroyed by the table's key destructor when their entry goes, values by the value destructor, but for those that mod_hash_remove
//! hands out. Locking: a mutex per table, held while the driver's compare and hash functions and find callbacks run, not for destructors.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::hash::{DefaultHasher, Hash as _, Hasher};

use ddi_sys::{mod_hash_hndl_t, mod_hash_key_t, mod_hash_t, mod_hash_val_t};
use parking_lot::Mutex;

use ddi_kernel::board::report;
use ddi_kernel::ddi::args::{Object, Out, Owned, Text};
use ddi_kernel::ddi::memory;

const NOT_FOUND: c_int = ddi_sys::MH_ERR_NOTFOUND;
const DUPLICATE: c_int = ddi_sys::MH_ERR_DUPLICATE;

type Destructor = Option<unsafe extern "C-unwind" fn(*mut c_void)>;
type Algorithm = unsafe extern "C-unwind" fn(*mut c_void, mod_hash_key_t) -> c_uint;
type Compare = unsafe extern "C-unwind" fn(mod_hash_key_t, mod_hash_key_t) -> c_int;
type Walker = unsafe extern "C-unwind" fn(mod_hash_key_t, *mut mod_hash_val_t, *mut c_void) -> c_uint;
type Found = unsafe extern "C-unwind" fn(mod_hash_key_t, mod_hash_val_t);
type FoundAnswer = unsafe extern "C-unwind" fn(mod_hash_key_t, mod_hash_val_t) -> c_int;

/// Comparison of keys.
enum Kind {
    Number,
    /// Strings; those that are `owned` are kmem, which the table frees.
    Text {
        owned: bool,
    },
    /// The driver's functions, and the address that the first is called with.
    Own(Algorithm, usize, Compare),
}

/// Entries by hash value: keys and values.
type Entries = HashMap<u64, Vec<(usize, usize)>>;

/// A table.
///
/// # Invariants
/// Every key in the table or looked for in it is of its kind: a number, a string with a NUL, what the driver's own functions compare. The destructors, the functions of
/// the kind and the callbacks of walks and searches are functions of the driver's for this table's keys and values. All of that is the driver's promise.
struct Table {
    kind: Kind,
    key: Destructor,
    value: Destructor,
    entries: Mutex<Entries>,
}

/// A driver's `mod_hash_t *`.
type Handle<'a> = Object<'a, Table, mod_hash_t>;

/// Returns the table that a driver's call is about; reports NULL.
fn table<'a>(hash: Handle<'a>, function: &str) -> Option<&'a Table> {
    let table = hash.get();
    if table.is_none() {
        missing(function);
    }
    table
}

/// Reports NULL.
fn missing(function: &str) {
    report::mistake(function, "the mod_hash_t is NULL", function);
}

fn hashed(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Frees a string of kmem.
fn free_string(string: Text<*mut c_void>, function: &str) {
    memory::free(string.pointer().cast(), string.bytes().len() + 1, function);
}

impl Table {
    fn make(kind: Kind, key: Destructor, value: Destructor) -> *mut mod_hash_t {
        Box::into_raw(Box::new(Table { kind, key, value, entries: Mutex::default() })).cast()
    }

    /// Returns the bytes of a key of a table of strings; none for NULL.
    fn string(&self, key: usize) -> &[u8] {
        if key == 0 {
            return b"";
        }
        // SAFETY: the invariant: a string, which the driver leaves as it is while the table has it.
        unsafe { CStr::from_ptr(key as *const c_char) }.to_bytes()
    }

    fn hash_of(&self, key: usize) -> u64 {
        match &self.kind {
            Kind::Number => key as u64,
            Kind::Text { .. } => hashed(self.string(key)),
            Kind::Own(algorithm, data, _) => {
                let data = *data as *mut c_void;
                // SAFETY: the invariant: the driver's function for its own keys.
                unsafe { algorithm(data, key as mod_hash_key_t) }.into()
            }
        }
    }

    fn same(&self, a: usize, b: usize) -> bool {
        match &self.kind {
            Kind::Number => a == b,
            Kind::Text { .. } => self.string(a) == self.string(b),
            // SAFETY: the invariant: the driver's function for its own keys.
            Kind::Own(_, _, compare) => unsafe { compare(a as mod_hash_key_t, b as mod_hash_key_t) == 0 },
        }
    }

    /// Returns the entry of a key, and takes it out if `remove`.
    fn entry(&self, entries: &mut Entries, key: mod_hash_key_t, remove: bool) -> Option<(usize, usize)> {
        let key = key as usize;
        let bucket = entries.get_mut(&self.hash_of(key))?;
        let at = bucket.iter().position(|(k, _)| self.same(*k, key))?;
        Some(if remove { bucket.swap_remove(at) } else { bucket[at] })
    }

    /// Takes the entry of a key out.
    fn take(&self, key: mod_hash_key_t) -> Option<(usize, usize)> {
        self.entry(&mut self.entries.lock(), key, true)
    }

    /// Destroys a key and, if `with_value`, its value.
    fn destroy(&self, (key, value): (usize, usize), with_value: bool) {
        if matches!(self.kind, Kind::Text { owned: true }) {
            memory::free(key as *mut c_void, self.string(key).len() + 1, "mod_hash_strkey_dtor");
        }
        if let Some(destructor) = self.key {
            // SAFETY: the invariant: the driver's function for its keys.
            unsafe { destructor(key as *mut c_void) };
        }
        if let Some(destructor) = self.value.filter(|_| with_value) {
            // SAFETY: the invariant: the driver's function for its values.
            unsafe { destructor(value as *mut c_void) };
        }
    }

    fn clear(&self) {
        let all: Vec<(usize, usize)> = self.entries.lock().drain().flat_map(|(_, bucket)| bucket).collect();
        all.into_iter().for_each(|entry| self.destroy(entry, true));
    }

    fn insert(&self, key: mod_hash_key_t, value: mod_hash_val_t) -> c_int {
        let mut entries = self.entries.lock();
        if self.entry(&mut entries, key, false).is_some() {
            return DUPLICATE;
        }
        entries.entry(self.hash_of(key as usize)).or_default().push((key as usize, value as usize));
        0
    }

    /// Looks a value up, and calls `found` with it while the table is locked.
    fn find(
        &self,
        key: mod_hash_key_t,
        valuep: Out<mod_hash_val_t>,
        found: impl FnOnce(mod_hash_val_t),
    ) -> c_int {
        let mut entries = self.entries.lock();
        let Some((_, value)) = self.entry(&mut entries, key, false) else { return NOT_FOUND };
        let value = value as mod_hash_val_t;
        valuep.set(value);
        found(value);
        0
    }
}

ddi! {
    /// mod_hash_create_idhash: keys are numbers.
    fn mod_hash_create_idhash(_name: *mut c_char, _chains: usize, value: Destructor) -> *mut mod_hash_t {
        Table::make(Kind::Number, None, value)
    }
    /// mod_hash_create_ptrhash: keys are pointers.
    fn mod_hash_create_ptrhash(
        _name: *mut c_char,
        _chains: usize,
        value: Destructor,
        _element: usize,
    ) -> *mut mod_hash_t {
        Table::make(Kind::Number, None, value)
    }
    /// mod_hash_create_strhash: keys are strings from kmem, which the table frees.
    fn mod_hash_create_strhash(_name: *mut c_char, _chains: usize, value: Destructor) -> *mut mod_hash_t {
        Table::make(Kind::Text { owned: true }, None, value)
    }
    /// mod_hash_create_strhash_nodtr: the same with strings that stay the driver's.
    fn mod_hash_create_strhash_nodtr(_name: *mut c_char, _chains: usize, value: Destructor) -> *mut mod_hash_t {
        Table::make(Kind::Text { owned: false }, None, value)
    }
    /// mod_hash_create_extended: with functions of the driver's own.
    fn mod_hash_create_extended(
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
            (Some(algorithm), Some(compare)) => Table::make(Kind::Own(algorithm, data as usize, compare), key, value),
            _ => std::ptr::null_mut(),
        }
    }
    /// mod_hash_destroy_hash: with what is left in it.
    fn [mod_hash_destroy_hash, mod_hash_destroy_idhash, mod_hash_destroy_ptrhash, mod_hash_destroy_strhash](hash: Owned<Table, mod_hash_t>) {
        match hash.get() {
            Some(table) => table.clear(),
            None => missing(NAME),
        }
    }
    /// mod_hash_insert: 0, or MH_ERR_DUPLICATE.
    fn mod_hash_insert(hash: Handle, key: mod_hash_key_t, value: mod_hash_val_t) -> c_int {
        table(hash, NAME).map_or(DUPLICATE, |table| table.insert(key, value))
    }
    /// mod_hash_reserve: room is always there.
    fn [mod_hash_reserve, mod_hash_reserve_nosleep](_hash: Handle, handle: Out<mod_hash_hndl_t>) -> c_int {
        handle.set(std::ptr::null_mut());
        0
    }
    /// mod_hash_cancel.
    fn mod_hash_cancel(_hash: Handle, _handle: *mut mod_hash_hndl_t) {}
    /// mod_hash_insert_reserve.
    fn mod_hash_insert_reserve(
        hash: Handle,
        key: mod_hash_key_t,
        value: mod_hash_val_t,
        _handle: mod_hash_hndl_t,
    ) -> c_int {
        table(hash, NAME).map_or(DUPLICATE, |table| table.insert(key, value))
    }
    /// mod_hash_replace: what was there is destroyed.
    fn mod_hash_replace(hash: Handle, key: mod_hash_key_t, value: mod_hash_val_t) -> c_int {
        let Some(table) = table(hash, NAME) else { return DUPLICATE };
        if let Some(old) = table.take(key) {
            table.destroy(old, true);
        }
        table.insert(key, value)
    }
    /// mod_hash_find: 0, or MH_ERR_NOTFOUND.
    fn mod_hash_find(hash: Handle, key: mod_hash_key_t, valuep: Out<mod_hash_val_t>) -> c_int {
        table(hash, NAME).map_or(NOT_FOUND, |table| table.find(key, valuep, |_| {}))
    }
    /// mod_hash_find_cb: calls back with the table locked, to take a reference.
    fn mod_hash_find_cb(
        hash: Handle,
        key: mod_hash_key_t,
        valuep: Out<mod_hash_val_t>,
        found: Option<Found>,
    ) -> c_int {
        let Some(table) = table(hash, NAME) else { return NOT_FOUND };
        table.find(key, valuep, |value| {
            if let Some(found) = found {
                // SAFETY: the invariant: the driver's callback for this table's keys and values.
                unsafe { found(key, value) };
            }
        })
    }
    /// mod_hash_find_cb_rval: the same, with the callback's answer.
    fn mod_hash_find_cb_rval(
        hash: Handle,
        key: mod_hash_key_t,
        valuep: Out<mod_hash_val_t>,
        found: Option<FoundAnswer>,
        answer: Out<c_int>,
    ) -> c_int {
        let Some(table) = table(hash, NAME) else { return NOT_FOUND };
        table.find(key, valuep, |value| {
            // SAFETY: the invariant: the driver's callback for this table's keys and values.
            answer.set(found.map_or(0, |found| unsafe { found(key, value) }));
        })
    }
    /// mod_hash_remove: hands the value out; 0, or MH_ERR_NOTFOUND.
    fn mod_hash_remove(hash: Handle, key: mod_hash_key_t, valuep: Out<mod_hash_val_t>) -> c_int {
        let Some(table) = table(hash, NAME) else { return NOT_FOUND };
        let Some(entry) = table.take(key) else { return NOT_FOUND };
        valuep.set(entry.1 as mod_hash_val_t);
        table.destroy(entry, false);
        0
    }
    /// mod_hash_destroy: removes and destroys an entry.
    fn mod_hash_destroy(hash: Handle, key: mod_hash_key_t) -> c_int {
        let Some(table) = table(hash, NAME) else { return NOT_FOUND };
        let Some(entry) = table.take(key) else { return NOT_FOUND };
        table.destroy(entry, true);
        0
    }
    /// mod_hash_clear.
    fn mod_hash_clear(hash: Handle) {
        if let Some(table) = table(hash, NAME) {
            table.clear();
        }
    }
    /// mod_hash_walk: until the function says MH_WALK_TERMINATE.
    fn mod_hash_walk(hash: Handle, visit: Option<Walker>, arg: *mut c_void) {
        let Some((visit, table)) = visit.zip(table(hash, NAME)) else { return };
        let mut entries = table.entries.lock();
        for (key, value) in entries.values_mut().flatten() {
            let mut given = *value as mod_hash_val_t;
            // SAFETY: the invariant: the driver's callback, with an entry of its own and the argument that it gave for it.
            if unsafe { visit(*key as mod_hash_key_t, &mut given, arg) } == ddi_sys::MH_WALK_TERMINATE as c_uint {
                break;
            }
            *value = given as usize;
        }
    }
    /// Destructors that do nothing.
    fn [mod_hash_null_keydtor, mod_hash_null_valdtor](_of: *mut c_void) {}
    /// Destructors of strings of kmem.
    fn [mod_hash_strkey_dtor, mod_hash_strval_dtor](string: Text<*mut c_void>) {
        free_string(string, NAME);
    }
    /// Comparison of strings.
    fn mod_hash_strkey_cmp(a: Text<*mut c_void>, b: Text<*mut c_void>) -> c_int {
        (a.bytes() != b.bytes()).into()
    }
    /// Comparison of pointers and numbers.
    fn [mod_hash_ptrkey_cmp, mod_hash_idkey_cmp](a: mod_hash_key_t, b: mod_hash_key_t) -> c_int {
        (a != b).into()
    }
    /// mod_hash_bystr.
    fn mod_hash_bystr(_data: *mut c_void, key: Text<*mut c_void>) -> c_uint {
        hashed(key.bytes()) as c_uint
    }
    /// mod_hash_byptr.
    fn mod_hash_byptr(_data: *mut c_void, key: mod_hash_key_t) -> c_uint {
        (key as usize >> 3) as c_uint
    }
    /// mod_hash_byid.
    fn mod_hash_byid(_data: *mut c_void, key: mod_hash_key_t) -> c_uint {
        key as usize as c_uint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::null_mut;

    /// A table of the test's, called as a driver does.
    struct Tested(*mut mod_hash_t);

    impl Tested {
        fn insert(&self, key: mod_hash_key_t, value: usize) -> c_int {
            // SAFETY: a table that lives, and a key of its kind.
            unsafe { mod_hash_insert(self.0, key, value as mod_hash_val_t) }
        }

        fn find(&self, key: mod_hash_key_t) -> (c_int, usize) {
            let mut value = null_mut();
            // SAFETY: as in `insert`.
            (unsafe { mod_hash_find(self.0, key, &mut value) }, value as usize)
        }

        fn remove(&self, key: mod_hash_key_t) -> c_int {
            // SAFETY: as in `insert`.
            unsafe { mod_hash_remove(self.0, key, &mut null_mut()) }
        }
    }

    impl Drop for Tested {
        fn drop(&mut self) {
            // SAFETY: the table, once.
            unsafe { mod_hash_destroy_hash(self.0) };
        }
    }

    #[test]
    fn strings_are_compared_by_content_and_freed() {
        let key = |text: &CStr| -> mod_hash_key_t {
            memory::copy_of(text.to_bytes_with_nul(), ddi_sys::KM_SLEEP).cast()
        };
        let hash = Tested(Table::make(Kind::Text { owned: true }, None, None));
        assert_eq!((hash.insert(key(c"one"), 1), hash.insert(key(c"two"), 2)), (0, 0));
        let again = key(c"one");
        assert_eq!(hash.insert(again, 3), DUPLICATE);
        // SAFETY: a string of the test, of kmem.
        unsafe { mod_hash_strkey_dtor(again.cast()) };
        let looked_up = c"two".as_ptr().cast_mut().cast();
        assert_eq!(hash.find(looked_up), (0, 2));
        assert_eq!(hash.remove(looked_up), 0);
        assert_eq!(hash.find(looked_up).0, NOT_FOUND);
    }

    #[test]
    fn a_hash_finds_what_was_put_in() {
        let key = |n: usize| n as mod_hash_key_t;
        let hash = Tested(Table::make(Kind::Number, None, None));
        assert_eq!((hash.insert(key(5), 50), hash.insert(key(5), 60)), (0, DUPLICATE));
        assert_eq!(hash.find(key(5)), (0, 50));
        assert_eq!(hash.remove(key(5)), 0);
        assert_eq!(hash.find(key(5)).0, NOT_FOUND);
    }
}
