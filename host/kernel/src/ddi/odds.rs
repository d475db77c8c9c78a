//! Small functions of the kernel that drivers use here and there: held credentials, random numbers, thread-specific data, conversions of time,
//! strings that are freed by number.
//!
//! Locking: leaf mutexes.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::LazyLock;

use ddi_sys::{cred_t, dev_info_t, timespec_t, timeval};
use parking_lot::Mutex;

use super::bytes;
use crate::kern::cred::{Cred, KERNEL_CRED};
use crate::vm::client::{self, Client};

/// Nanoseconds of a second.
const NANOSEC: i64 = 1_000_000_000;

/// Why a credential at an address stays: a process's, or one of our own, and how often it is held.
enum Held {
    Process(#[allow(dead_code)] Client, usize),
    Own(#[allow(dead_code)] Box<Cred>, usize),
}

static CREDENTIALS: LazyLock<Mutex<HashMap<usize, Held>>> = LazyLock::new(Mutex::default);

fn own(cred: Cred) -> *mut cred_t {
    let cred = Box::new(cred);
    let address = std::ptr::from_ref(&*cred) as usize;
    CREDENTIALS.lock().insert(address, Held::Own(cred, 1));
    address as *mut cred_t
}

/// Thread-specific data: destructors by key, and each thread's values.
static KEYS: Mutex<BTreeSet<c_uint>> = Mutex::new(BTreeSet::new());

thread_local! {
    static VALUES: RefCell<HashMap<c_uint, usize>> = RefCell::new(HashMap::new());
}

/// A string table of ddi_strid_init.
#[derive(Default)]
struct Strings {
    next: u32,
    by_id: HashMap<u32, std::ffi::CString>,
}

fn timespec(nanoseconds: i64) -> timespec_t {
    timespec_t { tv_sec: nanoseconds.div_euclid(NANOSEC), tv_nsec: nanoseconds.rem_euclid(NANOSEC) }
}

/// Random bytes.
///
/// # Safety
/// `to` has `len` bytes.
unsafe fn random(to: *mut u8, len: usize) -> c_int {
    let mut done = 0;
    while done < len {
        // SAFETY: the caller's promise.
        let n = unsafe { libc::getrandom(to.wrapping_add(done).cast(), len - done, 0) };
        if n <= 0 {
            return 5;
        }
        done += n as usize;
    }
    0
}

ddi! {
    /// crhold: the credential stays when its process ends.
    @private fn crhold(cred: *mut cred_t) {
        let mut all = CREDENTIALS.lock();
        match all.get_mut(&(cred as usize)) {
            Some(Held::Process(_, n) | Held::Own(_, n)) => *n += 1,
            None => {
                if let Some(client) = client::current().filter(|c| c.image().cred() == cred as usize) {
                    all.insert(cred as usize, Held::Process(client, 1));
                }
            }
        }
    }
    /// crfree.
    @private fn crfree(cred: *mut cred_t) {
        let mut all = CREDENTIALS.lock();
        let gone = match all.get_mut(&(cred as usize)) {
            Some(Held::Process(_, n) | Held::Own(_, n)) => {
                *n -= 1;
                *n == 0
            }
            None => false,
        };
        let last = if gone { all.remove(&(cred as usize)) } else { None };
        drop(all);
        drop(last);
    }
    /// crget: a new credential.
    @private fn crget() -> *mut cred_t {
        own(KERNEL_CRED.clone())
    }
    /// crdup: a copy.
    @private fn crdup(cred: *mut cred_t) -> *mut cred_t {
        // SAFETY: the driver's promise.
        own(unsafe { (*cred.cast::<Cred>()).clone() })
    }
    /// crgetref: how often it is held.
    @private fn crgetref(cred: *const cred_t) -> c_uint {
        match CREDENTIALS.lock().get(&(cred as usize)) {
            Some(Held::Process(_, n) | Held::Own(_, n)) => *n as c_uint,
            None => 1,
        }
    }

    /// random_get_bytes: 0, or EAGAIN.
    @private fn random_get_bytes(to: *mut u8, len: usize) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { random(to, len) }
    }
    /// random_get_blocking_bytes.
    @private fn random_get_blocking_bytes(to: *mut u8, len: usize) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { random(to, len) }
    }
    /// random_get_pseudo_bytes.
    @private fn random_get_pseudo_bytes(to: *mut u8, len: usize) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { random(to, len) }
    }

    /// tsd_create: a key. Its destructor is not called: threads of drivers that end keep nothing.
    @private fn tsd_create(keyp: *mut c_uint, _destructor: Option<unsafe extern "C-unwind" fn(*mut c_void)>) {
        let mut keys = KEYS.lock();
        let key = keys.last().map_or(1, |last| last + 1);
        keys.insert(key);
        // SAFETY: the driver's promise.
        unsafe { keyp.write(key) };
    }
    /// tsd_destroy: threads forget what they have.
    @private fn tsd_destroy(keyp: *mut c_uint) {
        // SAFETY: the driver's promise.
        let key = unsafe { keyp.replace(0) };
        KEYS.lock().remove(&key);
        VALUES.with_borrow_mut(|values| values.remove(&key));
    }
    /// tsd_set: 0, or EINVAL when there is no such key.
    @private fn tsd_set(key: c_uint, value: *mut c_void) -> c_int {
        if !KEYS.lock().contains(&key) {
            return 22;
        }
        VALUES.with_borrow_mut(|values| values.insert(key, value as usize));
        0
    }
    /// tsd_get.
    @private fn tsd_get(key: c_uint) -> *mut c_void {
        if !KEYS.lock().contains(&key) {
            return null_mut();
        }
        VALUES.with_borrow(|values| values.get(&key).map_or(null_mut(), |&value| value as *mut c_void))
    }

    /// hrt2ts: nanoseconds as a timespec.
    @private fn hrt2ts(time: i64, to: *mut timespec_t) {
        // SAFETY: the driver's promise.
        unsafe { to.write(timespec(time)) };
    }
    /// ts2hrt.
    @private fn ts2hrt(from: *const timespec_t) -> i64 {
        // SAFETY: the driver's promise.
        let from = unsafe { from.read() };
        from.tv_sec * NANOSEC + from.tv_nsec
    }
    /// hrt2tv: nanoseconds as a timeval.
    @private fn hrt2tv(time: i64, to: *mut timeval) {
        let time = timespec(time);
        // SAFETY: the driver's promise.
        unsafe { to.write(timeval { tv_sec: time.tv_sec, tv_usec: time.tv_nsec / 1000 }) };
    }
    /// tv2hrt.
    @private fn tv2hrt(from: *const timeval) -> i64 {
        // SAFETY: the driver's promise.
        let from = unsafe { from.read() };
        from.tv_sec * NANOSEC + from.tv_usec * 1000
    }
    /// timevaladd.
    @private fn timevaladd(to: *mut timeval, add: *mut timeval) {
        // SAFETY: the driver's promise, here and below.
        let more = unsafe { tv2hrt(add) };
        // SAFETY: as above.
        let have = unsafe { tv2hrt(to) };
        // SAFETY: as above.
        unsafe { hrt2tv(have + more, to) };
    }
    /// timevalsub.
    @private fn timevalsub(to: *mut timeval, less: *mut timeval) {
        // SAFETY: the driver's promise, here and below.
        let less = unsafe { tv2hrt(less) };
        // SAFETY: as above.
        let have = unsafe { tv2hrt(to) };
        // SAFETY: as above.
        unsafe { hrt2tv(have - less, to) };
    }

    /// highbit64: number of the highest bit set, from 1; 0 for none.
    @private fn highbit64(n: u64) -> c_int {
        (64 - n.leading_zeros()) as c_int
    }
    /// strcat.
    @local_private fn strcat(to: *mut c_char, from: *const c_char) -> *mut c_char {
        // SAFETY: the driver's promise: a string with room behind it.
        unsafe { libc::strcat(to, from) }
    }
    /// strpbrk: the first of any of these characters, or NULL.
    @local_private fn strpbrk(text: *const c_char, any: *const c_char) -> *mut c_char {
        // SAFETY: the driver's promise: strings.
        unsafe { libc::strpbrk(text, any) }
    }
    /// strsep: cuts the next part off.
    @local_private fn strsep(text: *mut *mut c_char, any: *const c_char) -> *mut c_char {
        // SAFETY: the driver's promise.
        let start = unsafe { text.read() };
        if start.is_null() {
            return start;
        }
        // SAFETY: the driver's promise: strings.
        let end = unsafe { libc::strpbrk(start, any) };
        if !end.is_null() {
            // SAFETY: inside the driver's string.
            unsafe { end.write(0) };
        }
        // SAFETY: the driver's promise.
        unsafe { text.write(if end.is_null() { end } else { end.wrapping_add(1) }) };
        start
    }

    /// ddi_strid_init: a table of strings by number.
    @private fn ddi_strid_init(to: *mut *mut c_void, _hint: c_int) -> c_int {
        let table = Box::into_raw(Box::new(Mutex::new(Strings { next: 1, ..Strings::default() })));
        // SAFETY: the driver's promise.
        unsafe { to.write(table.cast()) };
        ddi_sys::DDI_SUCCESS
    }
    /// ddi_strid_alloc: the string's number.
    @private fn ddi_strid_alloc(table: *mut c_void, string: *mut c_char) -> c_int {
        // SAFETY: the driver's promise: a table of ddi_strid_init.
        let mut strings = unsafe { &*table.cast::<Mutex<Strings>>() }.lock();
        // SAFETY: the driver's promise.
        let string = unsafe { bytes(string) };
        if let Some((id, _)) = strings.by_id.iter().find(|(_, known)| known.as_bytes() == string) {
            return *id as c_int;
        }
        let id = strings.next;
        strings.next += 1;
        let Ok(string) = std::ffi::CString::new(string) else { return 0 };
        strings.by_id.insert(id, string);
        id as c_int
    }
    /// ddi_strid_id2str: NULL when there is none.
    @private fn ddi_strid_id2str(table: *mut c_void, id: c_int) -> *mut c_char {
        // SAFETY: the driver's promise: a table of ddi_strid_init.
        let strings = unsafe { &*table.cast::<Mutex<Strings>>() }.lock();
        strings.by_id.get(&(id as u32)).map_or(null_mut(), |string| string.as_ptr().cast_mut())
    }
    /// ddi_strid_str2id: 0 when there is none.
    @private fn ddi_strid_str2id(table: *mut c_void, string: *mut c_char) -> c_int {
        // SAFETY: the driver's promise: a table of ddi_strid_init.
        let strings = unsafe { &*table.cast::<Mutex<Strings>>() }.lock();
        // SAFETY: the driver's promise.
        let string = unsafe { bytes(string) };
        strings.by_id.iter().find(|(_, known)| known.as_bytes() == string).map_or(0, |(id, _)| *id as c_int)
    }
    /// ddi_strid_free.
    @private fn ddi_strid_free(table: *mut c_void, id: c_int) {
        // SAFETY: the driver's promise: a table of ddi_strid_init.
        unsafe { &*table.cast::<Mutex<Strings>>() }.lock().by_id.remove(&(id as u32));
    }
    /// ddi_strid_fini.
    @private fn ddi_strid_fini(tablep: *mut *mut c_void) {
        // SAFETY: the driver's promise.
        let table = unsafe { tablep.replace(null_mut()) };
        if !table.is_null() {
            // SAFETY: made by ddi_strid_init, given back now.
            drop(unsafe { Box::from_raw(table.cast::<Mutex<Strings>>()) });
        }
    }
    /// ddi_get_nodeid: a number for the node.
    @private fn ddi_get_nodeid(dip: *mut dev_info_t) -> c_int {
        super::nodes::node(dip, "ddi_get_nodeid").map_or(-1, |node| (node.dip() as usize >> 4) as c_int & 0x7fff_ffff)
    }
    /// ddi_streams_driver: none is one (DDI_FAILURE).
    @private fn ddi_streams_driver(_dip: *mut dev_info_t) -> c_int {
        ddi_sys::DDI_FAILURE
    }
    /// nulltask: does nothing.
    @private fn nulltask(_arg: *mut c_void) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_credentials_and_strings_by_number() {
        // SAFETY: places of the test, here and below.
        let cred = unsafe { crget() };
        // SAFETY: as above.
        unsafe { crhold(cred) };
        // SAFETY: as above.
        assert_eq!(unsafe { crgetref(cred) }, 2);
        // SAFETY: as above.
        unsafe { crfree(cred) };
        // SAFETY: as above.
        unsafe { crfree(cred) };
        assert!(!CREDENTIALS.lock().contains_key(&(cred as usize)));
        let mut table = null_mut();
        // SAFETY: as above.
        unsafe { ddi_strid_init(&mut table, 5) };
        // SAFETY: as above.
        let id = unsafe { ddi_strid_alloc(table, c"name".as_ptr().cast_mut()) };
        // SAFETY: as above.
        let name = unsafe { ddi_strid_id2str(table, id) };
        // SAFETY: as above.
        assert_eq!(unsafe { bytes(name) }, b"name");
        // SAFETY: as above.
        assert_eq!(unsafe { ddi_strid_str2id(table, c"name".as_ptr().cast_mut()) }, id);
        // SAFETY: as above.
        unsafe { ddi_strid_fini(&mut table) };
        let mut time = timeval { tv_sec: 1, tv_usec: 999_999 };
        // SAFETY: as above.
        unsafe { timevaladd(&mut time, &mut timeval { tv_sec: 0, tv_usec: 1 }) };
        assert_eq!((time.tv_sec, time.tv_usec), (2, 0));
    }
}
