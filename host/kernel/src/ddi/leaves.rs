//! Functions that a driver may call and that have little to do here: the older ways round nodes and drivers, callbacks by list, the
//! console's bell, sorting of requests, counters of the system.
//!
//! Locking: leaf mutexes.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

use ddi_sys::{buf, caddr_t, clock_t, dev_info_t, dev_ops, dev_t, major_t};
use parking_lot::Mutex;

use super::{nodes as names, store, text};
use crate::kern::drivers;
use crate::kern::nodes::{self, Node};

const FAILURE: c_int = ddi_sys::DDI_FAILURE;
const SUCCESS: c_int = ddi_sys::DDI_SUCCESS;

/// ddi_set_parent_data, by node.
static PARENT_DATA: Mutex<Option<HashMap<usize, usize>>> = Mutex::new(None);

type Callback = unsafe extern "C-unwind" fn(caddr_t) -> c_int;
/// Functions and their arguments.
type Callbacks = Vec<(Callback, usize)>;
/// ddi_set_callback's lists, by the address of the driver's variable.
static CALLBACKS: Mutex<Option<HashMap<usize, Callbacks>>> = Mutex::new(None);

type Bell = unsafe extern "C-unwind" fn(clock_t);
static BELL: AtomicUsize = AtomicUsize::new(0);

/// Writes a string.
///
/// # Safety
/// There is room for it with its NUL.
unsafe fn put(to: *mut c_char, text: &str) -> *mut c_char {
    // SAFETY: the caller's promise.
    unsafe { to.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len()) };
    // SAFETY: the caller's promise.
    unsafe { to.wrapping_add(text.len()).write(0) };
    to
}

/// The device number behind a path below /devices.
fn device(path: &str) -> Option<dev_t> {
    let (path, minor) = path.strip_prefix("/devices").unwrap_or(path).split_once(':')?;
    drivers::all().iter().find_map(|driver| {
        let node = nodes::of_driver(&driver.name).into_iter().find(|node| node.path() == path)?;
        let minor = node.minors().into_iter().find(|m| m.name == minor)?;
        Some(names::make(drivers::major_of(&driver.name)?, minor.minor))
    })
}

/// The requests of a device, which disksort keeps: the head has its first and its last request where a buf has its links.
#[derive(Clone, Copy)]
struct Request(*mut buf);

impl Request {
    fn next(self) -> Option<Request> {
        // SAFETY: the head or a request of the driver's list.
        let next = unsafe { (*self.0).av_forw };
        (!next.is_null()).then_some(Request(next))
    }

    fn set_next(self, next: *mut buf) {
        // SAFETY: as above.
        unsafe { (*self.0).av_forw = next };
    }

    fn key(self) -> usize {
        // SAFETY: a request.
        unsafe { (*self.0).b_resid }
    }
}

/// Where a request with this key goes: behind which one. The list is up to two sweeps, each with keys that grow; what lies before the first
/// request belongs to the second.
fn behind(first: Request, key: usize) -> Request {
    let mut at = first;
    let mut second = false;
    let belongs_to_second = key < first.key();
    while let Some(next) = at.next() {
        let turn = next.key() < at.key();
        if turn && !belongs_to_second {
            return at;
        }
        second |= turn;
        if second == belongs_to_second && key < next.key() {
            return at;
        }
        at = next;
    }
    at
}

ddi! {
    /// ddi_get_parent_data: what the nexus keeps for a node; NULL here unless ddi_set_parent_data was called.
    @private fn ddi_get_parent_data(dip: *mut dev_info_t) -> *mut c_void {
        let all = PARENT_DATA.lock();
        all.as_ref().and_then(|all| all.get(&(dip as usize))).map_or(null_mut(), |data| *data as *mut c_void)
    }
    /// ddi_set_parent_data.
    @private fn ddi_set_parent_data(dip: *mut dev_info_t, data: *mut c_void) {
        PARENT_DATA.lock().get_or_insert_default().insert(dip as usize, data as usize);
    }
    /// ddi_get_next: the next node of the same driver.
    @private fn ddi_get_next(dip: *mut dev_info_t) -> *mut dev_info_t {
        let Some(node) = names::node(dip, "ddi_get_next") else { return null_mut() };
        let mut all = nodes::of_driver(node.driver_name()).into_iter().skip_while(|n| !std::ptr::eq(*n, node));
        all.nth(1).map_or(null_mut(), Node::dip)
    }
    /// ddi_deviname: the last part of the node's path, with the slash.
    @private fn ddi_deviname(dip: *mut dev_info_t, to: *mut c_char) -> *mut c_char {
        let path = names::node(dip, "ddi_deviname").map_or(String::new(), Node::path);
        let last = path.rfind('/').map_or("", |at| &path[at..]);
        // SAFETY: the driver's promise: MAXNAMELEN bytes.
        unsafe { put(to, if last == "/" { "" } else { last }) }
    }
    /// ddi_pathname_to_dev_t: NODEV when there is no such minor node.
    @private fn ddi_pathname_to_dev_t(path: *mut c_char) -> dev_t {
        // SAFETY: the driver's promise.
        device(&unsafe { text(path) }).unwrap_or(ddi_sys::NODEV)
    }
    /// ddi_hold_installed_driver: its operations, NULL when there is none.
    @private fn ddi_hold_installed_driver(major: major_t) -> *mut dev_ops {
        drivers::by_major(major).map_or(null_mut(), |driver| driver.ops_address() as *mut dev_ops)
    }
    /// ddi_rele_driver.
    @private fn ddi_rele_driver(_major: major_t) {}
    /// ddi_install_driver: drivers that are needed are loaded before.
    @private fn ddi_install_driver(name: *mut c_char) -> c_int {
        // SAFETY: the driver's promise.
        if drivers::find(&unsafe { text(name) }).is_some() { SUCCESS } else { FAILURE }
    }
    /// ddi_parse: a name and the number at its end.
    @private fn ddi_parse(from: *const c_char, name: *mut c_char, number: *mut c_uint) -> c_int {
        // SAFETY: the driver's promise.
        let from = unsafe { text(from) };
        let start = from.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &from[start.len()..];
        let leading_zero = digits.len() > 1 && digits.starts_with('0');
        match digits.parse() {
            Ok(value) if !start.is_empty() && !leading_zero => {
                // SAFETY: the driver's promise: room for as much as it gave.
                unsafe { put(name, start) };
                // SAFETY: the driver's promise.
                unsafe { store(number, value) };
                SUCCESS
            }
            _ => FAILURE,
        }
    }
    /// ddi_dev_affinity: devices here have none.
    @private fn ddi_dev_affinity(_a: *mut dev_info_t, _b: *mut dev_info_t) -> c_int {
        FAILURE
    }
    /// ddi_add_fastintr: not on this machine.
    @private fn ddi_add_fastintr(
        _dip: *mut dev_info_t,
        _number: c_uint,
        _iblock: *mut c_void,
        _idevice: *mut c_void,
        _handler: *mut c_void,
    ) -> c_int {
        FAILURE
    }
    /// ddi_prop_cache_invalidate: nothing is cached.
    @private fn ddi_prop_cache_invalidate(_dev: dev_t, _dip: *mut dev_info_t, _name: *mut c_char, _flags: c_int) {}

    /// ddi_set_callback: remembers a function for ddi_run_callback.
    @private fn ddi_set_callback(
        function: Option<unsafe extern "C-unwind" fn(caddr_t) -> c_int>,
        arg: caddr_t,
        list: *mut usize,
    ) {
        let Some(function) = function else { return };
        // SAFETY: the driver's promise: what the variable holds is not 0 while there is something on the list.
        unsafe { list.write(list as usize) };
        CALLBACKS.lock().get_or_insert_default().entry(list as usize).or_default().push((function, arg as usize));
    }
    /// ddi_run_callback: calls each; what returns 0 stays.
    @private fn ddi_run_callback(list: *mut usize) {
        let run = CALLBACKS.lock().get_or_insert_default().remove(&(list as usize)).unwrap_or_default();
        // SAFETY: the driver's promise.
        unsafe { list.write(0) };
        for (function, arg) in run {
            // SAFETY: the driver's function with the driver's argument.
            if unsafe { function(arg as caddr_t) } == 0 {
                // SAFETY: the driver's promise.
                unsafe { ddi_set_callback(Some(function), arg as caddr_t, list) };
            }
        }
    }
    /// ddi_set_console_bell.
    @private fn ddi_set_console_bell(bell: Option<unsafe extern "C-unwind" fn(clock_t)>) {
        BELL.store(bell.map_or(0, |bell| bell as usize), Ordering::Release);
    }
    /// ddi_ring_console_bell: by the function that was set; without one nothing rings.
    @private fn ddi_ring_console_bell(duration: clock_t) {
        let bell = BELL.load(Ordering::Acquire);
        if bell != 0 {
            // SAFETY: stored by ddi_set_console_bell.
            let bell: Bell = unsafe { std::mem::transmute::<usize, Bell>(bell) };
            // SAFETY: a driver's function, which stays while it is set.
            unsafe { bell(duration) };
        }
    }

    /// disksort(9F): one sweep over the disk after the other, by b_resid. `head` is a struct diskhd, which begins as a buf.
    fn disksort(head: *mut ddi_sys::diskhd, new: *mut buf) {
        let head = head.cast::<buf>();
        let key = Request(new).key();
        Request(new).set_next(null_mut());
        let last = match Request(head).next() {
            None => {
                Request(head).set_next(new);
                true
            }
            Some(first) => {
                let before = behind(first, key);
                let next = before.next().map_or(null_mut(), |next| next.0);
                Request(new).set_next(next);
                before.set_next(new);
                next.is_null()
            }
        };
        if last {
            // SAFETY: the driver's head.
            unsafe { (*head).av_back = new };
        }
    }
    /// drv_setparm: the counters of interrupts and characters are not kept. -1 for others.
    @private fn drv_setparm(parameter: c_uint, _value: c_ulong) -> c_int {
        if (ddi_sys::SYSRINT as c_uint..=ddi_sys::SYSOUTC as c_uint).contains(&parameter) { 0 } else { -1 }
    }
    /// kvtoppid: the page frame behind a kernel address.
    @private fn kvtoppid(address: caddr_t) -> c_long {
        // SAFETY: looks a number up.
        unsafe { ddi_sys::hat_getpfnum(null_mut(), address) as c_long }
    }
}
