//! Functions that a driver may call and that have little to do here: the older ways round nodes and drivers, callbacks by list, the
//! console's bell, sorting of requests, counters of the system.
//!
//! Locking: leaf mutexes.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use std::ptr::null_mut;

use ddi_sys::{
    caddr_t, clock_t, ddi_iblock_cookie_t, ddi_idevice_cookie_t, dev_info_t, dev_ops, dev_t, major_t,
};
use parking_lot::Mutex;

use super::args::{InOut, Memory, Out, Text};
use super::bufs::Buf;
use super::nodes as names;
use crate::kern::drivers;
use crate::kern::nodes::{self, Node};

const FAILURE: c_int = ddi_sys::DDI_FAILURE;
const SUCCESS: c_int = ddi_sys::DDI_SUCCESS;
/// Bytes of a name with its NUL, for which drivers have room.
const MAXNAMELEN: usize = ddi_sys::MAXNAMELEN as usize;

/// State of this file.
struct State {
    /// ddi_set_parent_data, by node.
    parent_data: Mutex<Option<HashMap<usize, usize>>>,
    /// ddi_set_callback's lists, by the address of the driver's variable.
    callbacks: Mutex<Option<HashMap<usize, Callbacks>>>,
    bell: Mutex<Option<Bell>>,
}

static STATE: State =
    State { parent_data: Mutex::new(None), callbacks: Mutex::new(None), bell: Mutex::new(None) };
type Callback = unsafe extern "C-unwind" fn(caddr_t) -> c_int;
/// Functions and their arguments.
type Callbacks = Vec<(Callback, usize)>;
type Bell = unsafe extern "C-unwind" fn(clock_t);
/// Puts a function on a list. What the driver's variable holds is not 0 while there is something on the list.
fn remember(function: Callback, arg: usize, list: InOut<'_, usize>) {
    let address = list.pointer() as usize;
    list.put(address);
    STATE.callbacks.lock().get_or_insert_default().entry(address).or_default().push((function, arg));
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

crate::fields! {
    /// The requests of a device, which disksort keeps.
    ///
    /// # Invariants
    /// A diskhd that is there for `'a`, whose links are NULL or lead to bufs that are there as long.
    struct Requests<'a> at ddi_sys::diskhd {
        first / set_first = av_forw => Buf<'a>,
        last / set_last = av_back => Buf<'a>,
    }
}

/// Returns the request behind which one with this key goes. The list is up to two sweeps, each with growing keys; keys below the first
/// request belongs to the second.
fn behind(first: Buf<'_>, wanted: usize) -> Buf<'_> {
    let mut at = first;
    let mut second = false;
    let belongs_to_second = wanted < first.b_resid();
    while let Some(next) = at.av_forw() {
        let turn = next.b_resid() < at.b_resid();
        if turn && !belongs_to_second {
            return at;
        }
        second |= turn;
        if second == belongs_to_second && wanted < next.b_resid() {
            return at;
        }
        at = next;
    }
    at
}

ddi! {
    /// ddi_get_parent_data: what the nexus keeps for a node; NULL here unless ddi_set_parent_data was called.
    fn ddi_get_parent_data(dip: *mut dev_info_t) -> *mut c_void {
        let all = STATE.parent_data.lock();
        all.as_ref().and_then(|all| all.get(&(dip as usize))).map_or(null_mut(), |data| *data as *mut c_void)
    }
    /// ddi_set_parent_data.
    fn ddi_set_parent_data(dip: *mut dev_info_t, data: *mut c_void) {
        STATE.parent_data.lock().get_or_insert_default().insert(dip as usize, data as usize);
    }
    /// ddi_get_next: the next node of the same driver.
    fn ddi_get_next(dip: *mut dev_info_t) -> *mut dev_info_t {
        let Some(node) = names::node(dip, NAME) else { return null_mut() };
        let mut all = nodes::of_driver(node.driver_name()).into_iter().skip_while(|n| !std::ptr::eq(*n, node));
        all.nth(1).map_or(null_mut(), Node::dip)
    }
    /// ddi_deviname: the last part of the node's path, with the slash.
    fn ddi_deviname(dip: *mut dev_info_t, to: Memory<c_char>) -> *mut c_char {
        let path = names::node(dip, NAME).map_or(String::new(), Node::path);
        let last = path.rfind('/').map_or("", |at| &path[at..]);
        to.sized(MAXNAMELEN).write_text(if last == "/" { b"" } else { last.as_bytes() });
        to.pointer()
    }
    /// ddi_pathname_to_dev_t: NODEV when there is no such minor node.
    fn ddi_pathname_to_dev_t(path: Text<*mut c_char>) -> dev_t {
        device(&path.text()).unwrap_or(ddi_sys::NODEV)
    }
    /// ddi_hold_installed_driver: its operations, NULL when there is none.
    fn ddi_hold_installed_driver(major: major_t) -> *mut dev_ops {
        drivers::by_major(major).map_or(null_mut(), |driver| driver.ops_address() as *mut dev_ops)
    }
    /// ddi_rele_driver.
    fn ddi_rele_driver(_major: major_t) {}
    /// ddi_install_driver: drivers that are needed are loaded before.
    fn ddi_install_driver(name: Text<*mut c_char>) -> c_int {
        if drivers::find(&name.text()).is_some() { SUCCESS } else { FAILURE }
    }
    /// ddi_parse: a name and the number at its end.
    fn ddi_parse(from: Text, name: Memory<c_char>, number: Out<c_uint>) -> c_int {
        let from = from.text();
        let start = from.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &from[start.len()..];
        let leading_zero = digits.len() > 1 && digits.starts_with('0');
        match digits.parse() {
            Ok(value) if !start.is_empty() && !leading_zero => {
                // The driver has room for as much as it gave.
                name.sized(start.len() + 1).write_text(start.as_bytes());
                number.set(value);
                SUCCESS
            }
            _ => FAILURE,
        }
    }
    /// ddi_dev_affinity: devices here have none.
    fn ddi_dev_affinity(_a: *mut dev_info_t, _b: *mut dev_info_t) -> c_int {
        FAILURE
    }
    /// ddi_add_fastintr: not on this machine.
    fn ddi_add_fastintr(
        _dip: *mut dev_info_t,
        _number: c_uint,
        _iblock: *mut ddi_iblock_cookie_t,
        _idevice: *mut ddi_idevice_cookie_t,
        _handler: Option<unsafe extern "C-unwind" fn() -> c_uint>,
    ) -> c_int {
        FAILURE
    }
    /// ddi_prop_cache_invalidate: nothing is cached.
    fn ddi_prop_cache_invalidate(_dev: dev_t, _dip: *mut dev_info_t, _name: *mut c_char, _flags: c_int) {}

    /// ddi_set_callback: remembers a function for ddi_run_callback.
    fn ddi_set_callback(
        function: Option<unsafe extern "C-unwind" fn(caddr_t) -> c_int>,
        arg: caddr_t,
        list: InOut<usize>,
    ) {
        if let Some(function) = function {
            remember(function, arg as usize, list);
        }
    }
    /// ddi_run_callback: calls each; what returns 0 stays.
    fn ddi_run_callback(list: InOut<usize>) {
        let run = STATE.callbacks.lock().get_or_insert_default().remove(&(list.pointer() as usize)).unwrap_or_default();
        list.put(0);
        for (function, arg) in run {
            // SAFETY: the driver's function with the driver's argument.
            if unsafe { function(arg as caddr_t) } == 0 {
                remember(function, arg, list);
            }
        }
    }
    /// ddi_set_console_bell.
    fn ddi_set_console_bell(bell: Option<unsafe extern "C-unwind" fn(clock_t)>) {
        *STATE.bell.lock() = bell;
    }
    /// ddi_ring_console_bell: by the function that was set; without one nothing rings.
    fn ddi_ring_console_bell(duration: clock_t) {
        let bell = *STATE.bell.lock();
        if let Some(bell) = bell {
            // SAFETY: a driver's function, which stays while it is set.
            unsafe { bell(duration) };
        }
    }

    /// disksort(9F): one sweep over the disk after the other, by b_resid.
    fn disksort(head: Requests, new: Buf) {
        let next = match head.first() {
            None => {
                head.set_first(Some(new));
                None
            }
            Some(first) => {
                let before = behind(first, new.b_resid());
                let next = before.av_forw();
                before.set_av_forw(Some(new));
                next
            }
        };
        new.set_av_forw(next);
        if next.is_none() {
            head.set_last(Some(new));
        }
    }
    /// drv_setparm: the counters of interrupts and characters are not kept. -1 for others.
    fn drv_setparm(parameter: c_uint, _value: c_ulong) -> c_int {
        if (ddi_sys::SYSRINT as c_uint..=ddi_sys::SYSOUTC as c_uint).contains(&parameter) { 0 } else { -1 }
    }
    /// kvtoppid: the page frame behind a kernel address.
    fn kvtoppid(address: caddr_t) -> ddi_sys::ppid_t {
        super::hats::frame(null_mut(), address)
    }
}
