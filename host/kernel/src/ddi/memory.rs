//! kmem_alloc(9F), kmem caches (kmem_cache_create(9F)). Sleeping allocations must not be made in interrupt context or with a
//! spin mutex held. The book of buffers is in [`crate::kern::heap`].

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use ddi_process::failpoint::fails;
use ddi_sys::{kmem_cache_t, vmem_t};
use parking_lot::Mutex;

use super::args::{Object, Out, Owned, Text};
use super::sync;
use crate::board::report;
use crate::kern::heap;

/// kmem_alloc with `flags`; NULL for size 0.
pub fn alloc(size: usize, flags: c_int) -> *mut c_void {
    allocate(size, heap::alignment(size), flags, false)
}

fn allocate(size: usize, align: usize, flags: c_int, zeroed: bool) -> *mut c_void {
    if size == 0 {
        return null_mut();
    }
    let sleep = flags & ddi_sys::KM_NOSLEEP == 0;
    if sleep {
        sync::may_block("kmem_alloc", "KM_SLEEP", "kmem_alloc(9F)");
    }
    if !sleep && fails("kmem_alloc(9F), KM_NOSLEEP") {
        return null_mut();
    }
    let address = heap::allocate(size, align, zeroed);
    if address.is_null() && sleep {
        report::panic(&format!("kmem_alloc: no memory for {size} bytes with KM_SLEEP"));
    }
    address.cast()
}

/// kmem_alloc of a copy of some bytes; NULL if there is no memory, or there are none.
pub fn copy_of(bytes: &[u8], flags: c_int) -> *mut c_void {
    let at = alloc(bytes.len(), flags);
    if !at.is_null() {
        // SAFETY: that much was just allocated.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at.cast(), bytes.len()) };
    }
    at
}

/// kmem_free, called as `function`.
pub fn free(address: *mut c_void, size: usize, function: &str) {
    if address.is_null() && size == 0 {
        return;
    }
    if let Err(error) = heap::free(address.cast(), size) {
        report::mistake_after(function, &error.to_string(), "kmem_free(9F)", &error.earlier());
    }
}

type Constructor = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, c_int) -> c_int;
type Destructor = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void);

/// Behind kmem_cache_t. Objects that are free stay constructed.
struct Cache {
    name: String,
    size: usize,
    align: usize,
    constructor: Option<Constructor>,
    destructor: Option<Destructor>,
    /// The driver's argument of both.
    private: usize,
    state: Mutex<CacheState>,
}

#[derive(Default)]
struct CacheState {
    free: Vec<usize>,
    live: std::collections::HashSet<usize>,
}

/// Free constructed objects that a cache keeps.
const KEEP: usize = 32;

impl Cache {
    fn destroy_object(&self, object: usize) {
        if let Some(destructor) = self.destructor {
            // SAFETY: a constructed object of this cache, as the driver's destructor expects.
            unsafe { destructor(object as *mut c_void, self.private as *mut c_void) };
        }
        free(object as *mut c_void, self.size, "kmem_cache_free");
    }
}

ddi! {
    /// kmem_alloc(9F).
    fn kmem_alloc(size: usize, flags: c_int) -> *mut c_void {
        alloc(size, flags)
    }
    /// kmem_zalloc(9F).
    fn kmem_zalloc(size: usize, flags: c_int) -> *mut c_void {
        allocate(size, heap::alignment(size), flags, true)
    }
    /// kmem_free(9F).
    fn kmem_free(address: *mut c_void, size: usize) {
        free(address, size, NAME);
    }
    /// kmem_cache_create(9F).
    fn kmem_cache_create(
        name: Text<*mut c_char>,
        size: usize,
        align: usize,
        constructor: Option<unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, c_int) -> c_int>,
        destructor: Option<unsafe extern "C-unwind" fn(*mut c_void, *mut c_void)>,
        _reclaim: Option<unsafe extern "C-unwind" fn(*mut c_void)>,
        private: *mut c_void,
        _source: *mut vmem_t,
        _flags: c_int,
    ) -> *mut kmem_cache_t {
        let (name, private) = (name.text(), private as usize);
        let align = if align == 0 { 16 } else { align.next_power_of_two() };
        let size = size.max(1);
        let state = Mutex::default();
        Box::into_raw(Box::new(Cache { name, size, align, constructor, destructor, private, state })).cast()
    }
    /// kmem_cache_alloc(9F).
    fn kmem_cache_alloc(cache: Object<Cache, kmem_cache_t>, flags: c_int) -> *mut c_void {
        let cache = cache.there();
        if flags & ddi_sys::KM_NOSLEEP != 0 && fails("kmem_cache_alloc(9F), KM_NOSLEEP") {
            return null_mut();
        }
        let mut state = cache.state.lock();
        if let Some(object) = state.free.pop() {
            state.live.insert(object);
            return object as *mut c_void;
        }
        drop(state);
        let object = allocate(cache.size, cache.align, flags, false);
        if object.is_null() {
            return object;
        }
        if let Some(constructor) = cache.constructor {
            // SAFETY: new memory of the object's size, as the driver's constructor expects.
            if unsafe { constructor(object, cache.private as *mut c_void, flags) } != 0 {
                free(object, cache.size, NAME);
                return null_mut();
            }
        }
        cache.state.lock().live.insert(object as usize);
        object
    }
    /// kmem_cache_free(9F).
    fn kmem_cache_free(cache: Object<Cache, kmem_cache_t>, object: *mut c_void) {
        let cache = cache.there();
        let mut state = cache.state.lock();
        if !state.live.remove(&(object as usize)) {
            drop(state);
            let what = format!("{object:p} is not a live object of cache {}", cache.name);
            return report::mistake(NAME, &what, "kmem_cache_create(9F)");
        }
        if state.free.len() < KEEP {
            state.free.push(object as usize);
            return;
        }
        drop(state);
        cache.destroy_object(object as usize);
    }
    /// kmem_cache_destroy(9F): every object must be free.
    fn kmem_cache_destroy(cache: Owned<Cache, kmem_cache_t>) {
        let cache = cache.there();
        let state = std::mem::take(&mut *cache.state.lock());
        for object in state.free {
            cache.destroy_object(object);
        }
        if !state.live.is_empty() {
            let what = format!("cache {} still has {} objects allocated", cache.name, state.live.len());
            report::leftover(NAME, &what, "kmem_cache_create(9F)");
        }
    }
    /// kmem_cache_set_move(9F): objects are never moved here.
    fn kmem_cache_set_move(
        _cache: *mut kmem_cache_t,
        _move: Option<unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, usize, *mut c_void) -> ddi_sys::kmem_cbrc_t>,
    ) {
    }
    /// kmem_avail: bytes that could be allocated.
    fn kmem_avail() -> usize {
        super::data::freemem as usize * 4096
    }
    /// kmem_maxavail: the same.
    fn kmem_maxavail() -> usize {
        super::data::freemem as usize * 4096
    }
    /// kmem_debugging: is memory guarded (`--check`)?
    fn kmem_debugging() -> c_int {
        heap::checking().into()
    }
    /// kmem_alloc_tryhard: never sleeps; says what size to free.
    fn kmem_alloc_tryhard(size: usize, actual: Out<usize>, flags: c_int) -> *mut c_void {
        actual.set(size);
        alloc(size, flags & !ddi_sys::KM_PANIC | ddi_sys::KM_NOSLEEP)
    }
    /// kmem_reap: there is no shortage.
    fn kmem_reap() {}
    /// kmem_reap_idspace: nor of numbers.
    fn kmem_reap_idspace() {}
    /// kmem_cache_stat: `buf_size`, `buf_inuse`, `buf_avail`, `buf_total`; 0 for others.
    fn kmem_cache_stat(cache: Object<Cache, kmem_cache_t>, name: Text<*mut c_char>) -> u64 {
        let cache = cache.there();
        let state = cache.state.lock();
        match name.bytes() {
            b"buf_size" => cache.size as u64,
            b"buf_inuse" => state.live.len() as u64,
            b"buf_avail" => state.free.len() as u64,
            b"buf_total" => (state.live.len() + state.free.len()) as u64,
            _ => 0,
        }
    }
    /// kmem_cache_move_notify: objects are never moved here.
    fn kmem_cache_move_notify(_cache: *mut kmem_cache_t, _object: *mut c_void) {}
    /// kmem_cache_reap_now: gives free objects back.
    fn kmem_cache_reap_now(cache: Object<Cache, kmem_cache_t>) {
        let cache = cache.there();
        let free = std::mem::take(&mut cache.state.lock().free);
        for object in free {
            cache.destroy_object(object);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let none = driver!(ddi_sys::kmem_alloc(0, 0));
        let some = driver!(ddi_sys::kmem_zalloc(100, 0));
        assert!(none.is_null());
        // SAFETY: 100 zeroed bytes.
        assert!(unsafe { std::slice::from_raw_parts(some.cast::<u8>(), 100) }.iter().all(|&b| b == 0));
        report::set_policy(report::Policy::Unwind);
        let wrong = std::panic::catch_unwind(|| driver!(ddi_sys::kmem_free(some, 50))).unwrap_err();
        let what = &wrong.downcast_ref::<report::Reported>().unwrap().0;
        assert!(what.contains("a buffer of 100 bytes is freed as one of 50"), "{what}");
        driver!(ddi_sys::kmem_free(some, 100));
        driver!(ddi_sys::kmem_free(null_mut(), 0));
    }

    #[test]
    fn a_cache_constructs_once_and_keeps_objects() {
        unsafe extern "C-unwind" fn construct(object: *mut c_void, private: *mut c_void, _: c_int) -> c_int {
            // SAFETY: the test's counter, and an object of 64 bytes.
            unsafe { *private.cast::<u32>() += 1 };
            // SAFETY: as above.
            unsafe { object.cast::<u64>().write(42) };
            0
        }
        let mut made = 0u32;
        let private = (&raw mut made).cast();
        let cache = driver!(ddi_sys::kmem_cache_create(
            c"test".as_ptr().cast_mut(),
            64,
            0,
            Some(construct),
            None,
            None,
            private,
            null_mut(),
            0,
        ));
        let object = driver!(ddi_sys::kmem_cache_alloc(cache, 0));
        // SAFETY: constructed.
        assert_eq!(unsafe { object.cast::<u64>().read() }, 42);
        driver!(ddi_sys::kmem_cache_free(cache, object));
        let again = driver!(ddi_sys::kmem_cache_alloc(cache, 0));
        driver!(ddi_sys::kmem_cache_free(cache, again));
        driver!(ddi_sys::kmem_cache_destroy(cache));
        assert_eq!(made, 1);
    }
}
