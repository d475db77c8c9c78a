//! Open devices: who has which device number open, and when open(9E) and close(9E) are called.
//!
//! open(9E) is called for each open, close(9E) at the last close of a device number (a character and a block device of one number count apart) and
//! not while an open(9E) of it runs. A layered open (`OTYP_LYR`, see `ddi_extra::ldi`) has its own close(9E). Mappings count as opens.
//!
//! Locking: one lock protects the tables; it is not held while driver code runs.

use std::cell::Cell;

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use ddi_sys::{EIO, ENXIO, OTYP_CHR, OTYP_LYR, cred_t};
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustc_hash::FxHashMap as HashMap;

use crate::board::log;
use crate::kern::cred::Cred;
use crate::kern::drivers::{self, Driver};
use crate::kern::nodes::{self, Node};
use crate::kern::thread;

/// An open of a device by a process.
pub(crate) struct Open {
    /// The driver.
    pub driver: Arc<Driver>,
    /// The device number.
    pub dev: u64,
    /// `OTYP_CHR` or `OTYP_BLK`.
    pub otyp: c_int,
    /// Flags of the open, as drivers see them.
    pub flags: c_int,
    /// Credential of the process that opened it.
    pub cred: Box<Cred>,
}

/// A device number and how it is open: `OTYP_CHR` or `OTYP_BLK`.
type Key = (u64, c_int);

#[derive(Default)]
struct Opens {
    by_id: HashMap<u64, Arc<Open>>,
    by_dev: HashMap<Key, DevState>,
}

/// A device number that is open or being opened.
struct DevState {
    /// Opens, those in progress included, and mappings.
    count: usize,
    node: &'static Node,
    /// An open(9E) has succeeded since the last close(9E).
    opened: bool,
    /// close(9E) runs: an open waits.
    closing: bool,
}

/// State of this file.
struct State {
    opens: LazyLock<Mutex<Opens>>,
    /// Told when a close(9E) has returned.
    closed: Condvar,
    next: AtomicU64,
}

static STATE: State =
    State { opens: LazyLock::new(Mutex::default), closed: Condvar::new(), next: AtomicU64::new(1) };
/// A number for an open file.
pub(crate) fn next_id() -> u64 {
    STATE.next.fetch_add(1, Ordering::Relaxed)
}

/// Opens by processes that there are.
pub fn count() -> usize {
    STATE.opens.lock().by_id.len()
}

/// The open file of this number.
pub(crate) fn find(id: u64) -> Option<Arc<Open>> {
    STATE.opens.lock().by_id.get(&id).cloned()
}

thread_local! {
    static IN_USE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs `f`, a call of the driver's on an open device.
pub(crate) fn using<R>(dev: u64, f: impl FnOnce() -> R) -> R {
    struct Back(Option<u64>);
    impl Drop for Back {
        fn drop(&mut self) {
            IN_USE.set(self.0);
        }
    }
    let _back = Back(IN_USE.replace(Some(dev)));
    f()
}

/// The device on which the calling thread runs an ioctl(9E).
pub(crate) fn in_use() -> Option<(Arc<Driver>, &'static Node)> {
    device_of(IN_USE.get()?)
}

/// Enters an open file.
pub(crate) fn insert(open: Open) -> u64 {
    let id = next_id();
    STATE.opens.lock().by_id.insert(id, Arc::new(open));
    id
}

/// Takes an open file away.
pub(crate) fn remove(id: u64) -> Option<Arc<Open>> {
    STATE.opens.lock().by_id.remove(&id)
}

/// The node of a device number that is open as a character device.
pub(crate) fn node(dev: u64) -> Option<&'static Node> {
    STATE.opens.lock().by_dev.get(&(dev, OTYP_CHR)).map(|state| state.node)
}

/// Returns the driver and the node of a device number.
pub fn device_of(dev: u64) -> Option<(Arc<Driver>, &'static Node)> {
    let driver = drivers::by_major((dev >> 32) as u32)?;
    if let Some(node) = node(dev) {
        return Some((driver, node));
    }
    let node = node_of(&driver, dev)?;
    Some((driver, node))
}

/// Asks the driver (getinfo(9E)) which instance a device number is; else the node that has such a minor node.
pub fn node_of(driver: &Driver, dev: u64) -> Option<&'static Node> {
    let nodes = nodes::of_driver(&driver.name);
    if let Some(getinfo) = driver.ops().and_then(|ops| ops.devo_getinfo) {
        let mut result: *mut c_void = std::ptr::null_mut();
        // SAFETY: the driver's entry point, with arguments as getinfo(9E) says.
        let asked = driver.call("getinfo", || unsafe {
            getinfo(std::ptr::null_mut(), ddi_sys::DDI_INFO_DEVT2INSTANCE, dev as *mut c_void, &mut result)
        });
        if asked == Ok(ddi_sys::DDI_SUCCESS)
            && let Some(node) = nodes.iter().find(|n| n.instance() == result as usize as i32)
        {
            return Some(node);
        }
    }
    nodes.into_iter().find(|n| n.minors().iter().any(|m| m.minor == dev as u32))
}

impl Opens {
    /// Counts an open of a device number.
    fn hold(&mut self, key: Key, node: &'static Node) {
        let state = DevState { count: 0, node, opened: false, closing: false };
        self.by_dev.entry(key).or_insert(state).count += 1;
    }

    /// Takes one away; true when close(9E) is to be called, and then the entry is to be removed.
    fn drop_one(&mut self, key: Key) -> bool {
        let Some(state) = self.by_dev.get_mut(&key) else { return false };
        state.count -= 1;
        if state.count > 0 {
            return false;
        }
        if state.opened {
            state.closing = true;
            return true;
        }
        self.by_dev.remove(&key);
        false
    }
}

/// Waits until no close(9E) of the device number runs.
fn wait_closed(key: Key) -> MutexGuard<'static, Opens> {
    let mut opens = STATE.opens.lock();
    while opens.by_dev.get(&key).is_some_and(|state| state.closing) {
        STATE.closed.wait(&mut opens);
    }
    opens
}

fn call_open(driver: &Driver, dev: &mut u64, flags: c_int, otyp: c_int, cred: *mut cred_t) -> c_int {
    let Some(open) = driver.cb_ops().and_then(|cb| cb.cb_open) else { return ENXIO };
    // SAFETY: the driver's entry point, with arguments as open(9E) says.
    driver.call("open", || unsafe { open(dev, flags, otyp, cred) }).unwrap_or(EIO)
}

fn call_close(driver: &Driver, dev: u64, flags: c_int, otyp: c_int, cred: *mut cred_t) -> c_int {
    let Some(close) = driver.cb_ops().and_then(|cb| cb.cb_close) else { return 0 };
    // SAFETY: the driver's entry point, with arguments as close(9E) says.
    driver.call("close", || unsafe { close(dev, flags, otyp, cred) }).unwrap_or(EIO)
}

/// Opens a device, as a character or a block device; the device number that the driver chose. Runs in the caller's context.
///
/// # Errors
/// The driver's errno.
pub(crate) fn enter(
    driver: &Arc<Driver>,
    node: &'static Node,
    asked: u64,
    otyp: c_int,
    flags: c_int,
    cred: *mut cred_t,
) -> Result<u64, c_int> {
    driver.opens.fetch_add(1, Ordering::SeqCst);
    wait_closed((asked, otyp)).hold((asked, otyp), node);
    let mut dev = asked;
    let mut error = call_open(driver, &mut dev, flags, otyp, cred);
    if error == 0 && dev >> 32 != asked >> 32 {
        let (old, new) = (asked >> 32, dev >> 32);
        log::line(log::To::Both, &format!("NOTICE: unsupported clone open maj = {old}, newmaj = {new}"));
        error = ENXIO;
    }
    if error == 0 {
        // A clone open: the driver chose another minor number.
        let node = if dev != asked { node_of(driver, dev).unwrap_or(node) } else { node };
        let mut opens = STATE.opens.lock();
        if dev != asked {
            opens.hold((dev, otyp), node);
        }
        if let Some(state) = opens.by_dev.get_mut(&(dev, otyp)) {
            state.opened = true;
        }
    }
    if error != 0 || dev != asked {
        release(driver, asked, otyp, flags, cred);
    }
    if error != 0 {
        driver.opens.fetch_sub(1, Ordering::SeqCst);
        return Err(error);
    }
    Ok(dev)
}

/// Ends an open.
pub(crate) fn leave(driver: &Driver, dev: u64, otyp: c_int, flags: c_int, cred: *mut cred_t) {
    release(driver, dev, otyp, flags, cred);
    driver.opens.fetch_sub(1, Ordering::SeqCst);
}

/// A layered open; the device number that the driver chose.
///
/// # Errors
/// The driver's errno.
pub fn enter_layered(driver: &Driver, asked: u64, flags: c_int, cred: *mut cred_t) -> Result<u64, c_int> {
    driver.opens.fetch_add(1, Ordering::SeqCst);
    let mut dev = asked;
    match call_open(driver, &mut dev, flags, OTYP_LYR, cred) {
        0 => Ok(dev),
        error => {
            driver.opens.fetch_sub(1, Ordering::SeqCst);
            Err(error)
        }
    }
}

/// Ends a layered open; the driver's errno.
pub fn leave_layered(driver: &Driver, dev: u64, flags: c_int, cred: *mut cred_t) -> c_int {
    let error = call_close(driver, dev, flags, OTYP_LYR, cred);
    driver.opens.fetch_sub(1, Ordering::SeqCst);
    error
}

/// A mapping keeps a device number open.
pub(crate) fn hold(driver: &Driver, dev: u64, node: &'static Node) {
    driver.opens.fetch_add(1, Ordering::SeqCst);
    STATE.opens.lock().hold((dev, OTYP_CHR), node);
}

/// Notes that a mapping was removed.
pub(crate) fn unhold(driver: &Driver, dev: u64) {
    let cred = thread::process().map_or(0, |process| process.cred);
    leave(driver, dev, OTYP_CHR, 0, cred as *mut _);
}

/// One open of a device number is over: the last one calls close(9E), with no call context if the process has died.
fn release(driver: &Driver, dev: u64, otyp: c_int, flags: c_int, cred: *mut cred_t) {
    if !STATE.opens.lock().drop_one((dev, otyp)) {
        return;
    }
    call_close(driver, dev, flags, otyp, cred);
    STATE.opens.lock().by_dev.remove(&(dev, otyp));
    STATE.closed.notify_all();
}
