//! Small functions of the kernel that drivers use here and there: held credentials, random numbers, thread-specific data, conversions of time,
//! strings that are freed by number.
//!
//! Locking: leaf mutexes.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::LazyLock;

use ddi_sys::{cred_t, ddi_strid, dev_info_t, timespec_t, timeval};
use parking_lot::Mutex;

use super::args::{Argument, In, InOut, Memory, Object, Out, Owned, Span, Text};
use crate::kern::cred::{Cred, KERNEL_CRED};
use crate::vm::client::{self, Client};

/// Nanoseconds of a second.
const NANOSEC: i64 = 1_000_000_000;

/// Why a credential at an address stays: a process's, or one of our own, and how often it is held.
enum Held {
    Process(#[allow(dead_code)] Client, usize),
    Own(#[allow(dead_code)] Box<Cred>, usize),
}

/// State of this file.
struct State {
    credentials: LazyLock<Mutex<HashMap<usize, Held>>>,
    /// Thread-specific data: destructors by key, and each thread's values.
    keys: Mutex<BTreeSet<c_uint>>,
}

static STATE: State = State { credentials: LazyLock::new(Mutex::default), keys: Mutex::new(BTreeSet::new()) };
fn own(cred: Cred) -> *mut cred_t {
    let cred = Box::new(cred);
    let address = std::ptr::from_ref(&*cred) as usize;
    STATE.credentials.lock().insert(address, Held::Own(cred, 1));
    address as *mut cred_t
}

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

fn nanoseconds(time: timeval) -> i64 {
    time.tv_sec * NANOSEC + time.tv_usec * 1000
}

fn microseconds(time: i64) -> timeval {
    let time = timespec(time);
    timeval { tv_sec: time.tv_sec, tv_usec: time.tv_nsec / 1000 }
}

/// Stores random bytes: 0, or EIO.
fn random(to: Span<'_>) -> c_int {
    let mut bytes = [0; 256];
    let mut done = 0;
    while done < to.len() {
        let piece = &mut bytes[..(to.len() - done).min(256)];
        let Ok(n) = rustix::rand::getrandom(&mut *piece, rustix::rand::GetRandomFlags::empty()) else {
            return 5;
        };
        to.write(done, &piece[..n]);
        done += n;
    }
    0
}

/// A table of ddi_strid_init.
type Table<'a> = Object<'a, Mutex<Strings>, ddi_strid>;

ddi! {
    /// crhold: the credential stays when its process ends.
    fn crhold(cred: *mut cred_t) {
        let mut all = STATE.credentials.lock();
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
    fn crfree(cred: *mut cred_t) {
        let mut all = STATE.credentials.lock();
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
    fn crget() -> *mut cred_t {
        own(KERNEL_CRED.clone())
    }
    /// crdup: a copy.
    fn crdup(cred: Object<Cred, cred_t>) -> *mut cred_t {
        own(cred.there().clone())
    }
    /// crgetref: how often it is held.
    fn crgetref(cred: *const cred_t) -> c_uint {
        match STATE.credentials.lock().get(&(cred as usize)) {
            Some(Held::Process(_, n) | Held::Own(_, n)) => *n as c_uint,
            None => 1,
        }
    }

    /// random_get_bytes: 0, or EAGAIN.
    fn random_get_bytes(to: Memory<u8>, len: usize) -> c_int {
        random(to.sized(len))
    }
    /// random_get_blocking_bytes.
    fn random_get_blocking_bytes(to: Memory<u8>, len: usize) -> c_int {
        random(to.sized(len))
    }
    /// random_get_pseudo_bytes.
    fn random_get_pseudo_bytes(to: Memory<u8>, len: usize) -> c_int {
        random(to.sized(len))
    }

    /// tsd_create: a key. Its destructor is not called: threads of drivers that end keep nothing.
    fn tsd_create(keyp: Out<c_uint>, _destructor: Option<unsafe extern "C-unwind" fn(*mut c_void)>) {
        let mut keys = STATE.keys.lock();
        let key = keys.last().map_or(1, |last| last + 1);
        keys.insert(key);
        keyp.put(key);
    }
    /// tsd_destroy: threads forget what they have.
    fn tsd_destroy(keyp: InOut<c_uint>) {
        let key = keyp.value();
        keyp.put(0);
        STATE.keys.lock().remove(&key);
        VALUES.with_borrow_mut(|values| values.remove(&key));
    }
    /// tsd_set: 0, or EINVAL when there is no such key.
    fn tsd_set(key: c_uint, value: *mut c_void) -> c_int {
        if !STATE.keys.lock().contains(&key) {
            return 22;
        }
        VALUES.with_borrow_mut(|values| values.insert(key, value as usize));
        0
    }
    /// tsd_get.
    fn tsd_get(key: c_uint) -> *mut c_void {
        if !STATE.keys.lock().contains(&key) {
            return null_mut();
        }
        VALUES.with_borrow(|values| values.get(&key).map_or(null_mut(), |&value| value as *mut c_void))
    }

    /// hrt2ts: nanoseconds as a timespec.
    fn hrt2ts(time: i64, to: Out<timespec_t>) {
        to.put(timespec(time));
    }
    /// ts2hrt.
    fn ts2hrt(from: In<timespec_t>) -> i64 {
        let from = from.value();
        from.tv_sec * NANOSEC + from.tv_nsec
    }
    /// hrt2tv: nanoseconds as a timeval.
    fn hrt2tv(time: i64, to: Out<timeval>) {
        to.put(microseconds(time));
    }
    /// tv2hrt.
    fn tv2hrt(from: In<timeval, *mut timeval>) -> i64 {
        nanoseconds(from.value())
    }
    /// timevaladd.
    fn timevaladd(to: InOut<timeval>, add: In<timeval, *mut timeval>) {
        to.put(microseconds(nanoseconds(to.value()) + nanoseconds(add.value())));
    }
    /// timevalsub.
    fn timevalsub(to: InOut<timeval>, less: In<timeval, *mut timeval>) {
        to.put(microseconds(nanoseconds(to.value()) - nanoseconds(less.value())));
    }

    /// highbit64: number of the highest bit set, from 1; 0 for none.
    fn highbit64(n: u64) -> c_int {
        (64 - n.leading_zeros()) as c_int
    }
    /// strcat.
    @local fn strcat(to: Text<*mut c_char>, from: Text) -> *mut c_char {
        // SAFETY: the driver's promise: strings, and room behind the first.
        unsafe { libc::strcat(to.pointer(), from.pointer()) }
    }
    /// strpbrk: the first of any of these characters, or NULL.
    @local fn strpbrk(text: Text, any: Text) -> *mut c_char {
        let (bytes, any) = (text.bytes(), any.bytes());
        let at = bytes.iter().position(|byte| any.contains(byte));
        at.map_or(null_mut(), |at| text.pointer().wrapping_add(at))
    }
    /// strsep: cuts the next part off.
    @local fn strsep(text: InOut<*mut c_char>, any: Text) -> *mut c_char {
        let start = text.value();
        if start.is_null() {
            return start;
        }
        // SAFETY: the driver's promise: a string.
        let part: Text<'_, *mut c_char> = unsafe { Argument::of(start) };
        let any = any.bytes();
        let end = part.bytes().iter().position(|byte| any.contains(byte)).map(|at| start.wrapping_add(at));
        if let Some(end) = end {
            // SAFETY: inside the driver's string.
            unsafe { end.write(0) };
        }
        text.put(end.map_or(null_mut(), |end| end.wrapping_add(1)));
        start
    }

    /// ddi_strid_init: a table of strings by number.
    fn ddi_strid_init(to: Out<*mut ddi_strid>, _hint: c_int) -> c_int {
        let table = Box::into_raw(Box::new(Mutex::new(Strings { next: 1, ..Strings::default() })));
        to.put(table.cast());
        ddi_sys::DDI_SUCCESS
    }
    /// ddi_strid_alloc: the string's number.
    fn ddi_strid_alloc(table: Table, string: Text<*mut c_char>) -> c_int {
        let mut strings = table.there().lock();
        let string = string.bytes();
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
    fn ddi_strid_id2str(table: Table, id: c_int) -> *mut c_char {
        let strings = table.there().lock();
        strings.by_id.get(&(id as u32)).map_or(null_mut(), |string| string.as_ptr().cast_mut())
    }
    /// ddi_strid_str2id: 0 when there is none.
    fn ddi_strid_str2id(table: Table, string: Text<*mut c_char>) -> c_int {
        let strings = table.there().lock();
        let string = string.bytes();
        strings.by_id.iter().find(|(_, known)| known.as_bytes() == string).map_or(0, |(id, _)| *id as c_int)
    }
    /// ddi_strid_free.
    fn ddi_strid_free(table: Table, id: c_int) {
        table.there().lock().by_id.remove(&(id as u32));
    }
    /// ddi_strid_fini.
    fn ddi_strid_fini(tablep: InOut<*mut ddi_strid>) {
        let table = tablep.take();
        // SAFETY: the driver's promise: what ddi_strid_init stored there, or NULL.
        let table: Owned<Mutex<Strings>, ddi_strid> = unsafe { Argument::of(table) };
        drop(table.get());
    }
    /// ddi_get_nodeid: a number for the node.
    fn ddi_get_nodeid(dip: *mut dev_info_t) -> c_int {
        super::nodes::node(dip, NAME).map_or(-1, |node| (node.dip() as usize >> 4) as c_int & 0x7fff_ffff)
    }
    /// ddi_streams_driver: none is one (DDI_FAILURE).
    fn ddi_streams_driver(_dip: *mut dev_info_t) -> c_int {
        ddi_sys::DDI_FAILURE
    }
    /// nulltask: does nothing.
    fn nulltask(_arg: *mut c_void) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_credentials_and_strings_by_number() {
        let cred = driver!(crget());
        driver!(crhold(cred));
        assert_eq!(driver!(crgetref(cred)), 2);
        driver!(crfree(cred));
        driver!(crfree(cred));
        assert!(!STATE.credentials.lock().contains_key(&(cred as usize)));
        let mut table = null_mut();
        driver!(ddi_strid_init(&mut table, 5));
        let id = driver!(ddi_strid_alloc(table, c"name".as_ptr().cast_mut()));
        let name = driver!(ddi_strid_id2str(table, id));
        assert_eq!(driver!(crate::ddi::bytes(name)), b"name");
        assert_eq!(driver!(ddi_strid_str2id(table, c"name".as_ptr().cast_mut())), id);
        driver!(ddi_strid_fini(&mut table));
        let mut time = timeval { tv_sec: 1, tv_usec: 999_999 };
        driver!(timevaladd(&mut time, &mut timeval { tv_sec: 0, tv_usec: 1 }));
        assert_eq!((time.tv_sec, time.tv_usec), (2, 0));
    }

    #[test]
    fn strings_are_cut() {
        let mut text = *b"a,b;\0";
        let mut at: *mut c_char = text.as_mut_ptr().cast();
        let mut parts = Vec::new();
        loop {
            let part = driver!(strsep(&mut at, c",;".as_ptr()));
            if part.is_null() {
                break;
            }
            parts.push(driver!(crate::ddi::text(part)));
        }
        assert_eq!(parts, ["a", "b", ""]);
        assert!(driver!(strpbrk(c"abc".as_ptr(), c"xy".as_ptr())).is_null());
        let mut random = [0u8; 600];
        assert_eq!(driver!(ddi_sys::random_get_bytes(random.as_mut_ptr(), 600)), 0);
        assert!(random[300..].iter().any(|&byte| byte != 0));
    }
}
