//! Layered drivers (ldi_open_by_name(9F) and so on): a driver opens the device of another driver of this host and uses it.
//!
//! Devices are those of the drivers that are loaded; a name that none of them has is ENODEV. An open is an open(9E) with OTYP_LYR, and each has
//! its close(9E). There are no STREAMS devices. Locking: a leaf lock round the identities and handles, not held while driver code runs.

use std::collections::{HashMap, HashSet};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::{Arc, LazyLock};

use ddi_sys::{
    EINVAL, EIO, ENODEV, ENOTSUP, aio_req, caddr_t, cred_t, daddr_t, ddi_devid_t, dev_info_t, dev_t,
    devmap_cookie_t, ldi_callback_id_t, ldi_ev_callback_t, ldi_ev_cookie_t, ldi_handle_t, ldi_ident_t,
    mblk_t, minor_t, offset_t, queue_t, timestruc_t,
};
use parking_lot::Mutex;

use ddi_kernel::board::report;
use ddi_kernel::calls::{block, kernel};
use ddi_kernel::ddi::args::{InOut, Out, Text};
use ddi_kernel::ddi::bufs::Buf;
use ddi_kernel::ddi::user::Uio;
use ddi_kernel::ddi::{memory, props};
use ddi_kernel::kern::drivers::Driver;
use ddi_kernel::kern::fields::{Structure, pointer};
use ddi_kernel::kern::nodes::Node;
use ddi_kernel::kern::opens;

const SUCCESS: c_int = ddi_sys::DDI_SUCCESS;
const FAILURE: c_int = ddi_sys::DDI_FAILURE;
const EV_SUCCESS: c_int = ddi_sys::LDI_EV_SUCCESS;
const EV_FAILURE: c_int = ddi_sys::LDI_EV_FAILURE;
/// Events that every device has; nothing here ever raises one.
const EVENTS: [&std::ffi::CStr; 3] =
    [ddi_sys::LDI_EV_OFFLINE, ddi_sys::LDI_EV_DEGRADE, ddi_sys::LDI_EV_DEVICE_REMOVE];

/// Behind an `ldi_handle_t`.
struct Handle {
    driver: Arc<Driver>,
    node: &'static Node,
    dev: u64,
    block: bool,
}

/// Open devices and identities, by the numbers that drivers have for them.
#[derive(Default)]
struct Layers {
    /// Bytes of the range of numbers that are used.
    used: usize,
    identities: HashSet<usize>,
    handles: HashMap<usize, Arc<Handle>>,
}

static LAYERS: LazyLock<Mutex<Layers>> = LazyLock::new(Mutex::default);

impl Layers {
    /// Returns a new number for an identity or a handle, which is no address of anything.
    fn number(&mut self) -> usize {
        self.used += 16;
        0x1d10_0000 + self.used
    }

    fn identity(&mut self) -> usize {
        let new = self.number();
        self.identities.insert(new);
        new
    }

    fn handle(&mut self, handle: Handle) -> usize {
        let new = self.number();
        self.handles.insert(new, Arc::new(handle));
        new
    }
}

/// The handle of a driver's; a bad one is reported.
fn of(handle: ldi_handle_t, function: &str) -> Option<Arc<Handle>> {
    let found = LAYERS.lock().handles.get(&(handle as usize)).cloned();
    if found.is_none() {
        let what = format!("{handle:p} is not an ldi_handle_t, or it has been closed");
        report::mistake(function, &what, &format!("{function}(9F)"));
    }
    found
}

/// Stores a new identity.
fn identity(to: Out<ldi_ident_t>) -> c_int {
    if to.is_null() {
        return EINVAL;
    }
    let new = LAYERS.lock().identity();
    to.set(new as ldi_ident_t);
    0
}

/// Opens a device, stores its handle and returns its device number.
fn open(
    found: (Arc<Driver>, &'static Node, u64, bool),
    flags: c_int,
    cred: *mut cred_t,
    to: Out<ldi_handle_t>,
    identity: ldi_ident_t,
    function: &str,
) -> Result<u64, c_int> {
    if !LAYERS.lock().identities.contains(&(identity as usize)) {
        let what = format!("{identity:p} is not an ldi_ident_t, or it has been released");
        report::mistake(function, &what, &format!("{function}(9F)"));
        return Err(EINVAL);
    }
    let (driver, node, asked, block) = found;
    let dev = opens::enter_layered(&driver, asked, flags, cred)?;
    let node = if dev == asked { node } else { opens::node_of(&driver, dev).unwrap_or(node) };
    let new = LAYERS.lock().handle(Handle { driver, node, dev, block });
    to.set(new as ldi_handle_t);
    Ok(dev)
}

/// Calls read(9E) or write(9E) of a handle's device.
fn transfer(handle: ldi_handle_t, uio: Option<Uio>, cred: *mut cred_t, write: bool, function: &str) -> c_int {
    let Some(h) = of(handle, function) else { return EINVAL };
    if h.block {
        return uio.map_or(EINVAL, |uio| block::read_write(&h.driver, h.node, h.dev, uio, write));
    }
    let cb = h.driver.cb_ops();
    let Some(f) = cb.and_then(|cb| if write { cb.cb_write } else { cb.cb_read }) else { return ENOTSUP };
    let name = if write { "write" } else { "read" };
    // SAFETY: the driver's entry point, with the uio of the caller.
    h.driver.call(name, || unsafe { f(h.dev, pointer(uio), cred) }).unwrap_or(EIO)
}

/// The device number and node of a handle, for property functions.
fn place(handle: ldi_handle_t, function: &str) -> Option<(dev_t, *mut dev_info_t)> {
    of(handle, function).map(|h| (h.dev, h.node.dip()))
}

/// Defines the property functions of handles: those of the node, with the device number and the node of the handle, and what is returned for a bad handle.
macro_rules! properties {
    ($( $name:ident = $of:ident($($arg:ident: $ty:ty),*) -> $ret:ty, $bad:expr; )*) => {
        mod properties {
            use super::{c_char, c_int, c_uint, ldi_handle_t, place, props};
            ddi! {
                $(
                    #[doc = concat!(stringify!($name), "(9F).")]
                    fn $name(handle: ldi_handle_t, flags: c_uint, name: *mut c_char, $($arg: $ty),*) -> $ret {
                        let Some((dev, dip)) = place(handle, NAME) else { return $bad };
                        // SAFETY: the node's function has the same manual page for the arguments that the driver passes on, and the node is the handle's.
                        unsafe { props::$of(dev, dip, flags, name, $($arg),*) }
                    }
                )*
            }
        }
        pub use properties::SYMBOLS as PROPERTIES;
    };
}

properties! {
    ldi_prop_exists = ddi_prop_exists() -> c_int, 0;
    ldi_prop_get_int = ddi_prop_get_int(default: c_int) -> c_int, default;
    ldi_prop_get_int64 = ddi_prop_get_int64(default: i64) -> i64, default;
    ldi_prop_lookup_int_array = ddi_prop_lookup_int_array(to: *mut *mut c_int, n: *mut c_uint) -> c_int, ddi_sys::DDI_PROP_INVAL_ARG;
    ldi_prop_lookup_int64_array = ddi_prop_lookup_int64_array(to: *mut *mut i64, n: *mut c_uint) -> c_int, ddi_sys::DDI_PROP_INVAL_ARG;
    ldi_prop_lookup_string = ddi_prop_lookup_string(to: *mut *mut c_char) -> c_int, ddi_sys::DDI_PROP_INVAL_ARG;
    ldi_prop_lookup_string_array = ddi_prop_lookup_string_array(to: *mut *mut *mut c_char, n: *mut c_uint) -> c_int, ddi_sys::DDI_PROP_INVAL_ARG;
    ldi_prop_lookup_byte_array = ddi_prop_lookup_byte_array(to: *mut *mut u8, n: *mut c_uint) -> c_int, ddi_sys::DDI_PROP_INVAL_ARG;
}

ddi! {
    /// ldi_ident_from_dip(9F).
    fn ldi_ident_from_dip(dip: *mut dev_info_t, to: Out<ldi_ident_t>) -> c_int {
        if ddi_kernel::ddi::nodes::node(dip, NAME).is_none() {
            return EINVAL;
        }
        identity(to)
    }
    /// ldi_ident_from_dev(9F).
    fn ldi_ident_from_dev(_dev: dev_t, to: Out<ldi_ident_t>) -> c_int {
        identity(to)
    }
    /// ldi_ident_from_stream(9F).
    fn ldi_ident_from_stream(_queue: *mut queue_t, to: Out<ldi_ident_t>) -> c_int {
        identity(to)
    }
    /// ldi_ident_from_major.
    fn ldi_ident_from_major(_major: c_uint, to: Out<ldi_ident_t>) -> c_int {
        identity(to)
    }
    /// ldi_ident_release(9F).
    fn ldi_ident_release(identity: ldi_ident_t) {
        if !LAYERS.lock().identities.remove(&(identity as usize)) {
            let what = format!("{identity:p} is not an ldi_ident_t, or it has been released");
            report::mistake(NAME, &what, "ldi_ident_release(9F)");
        }
    }
    /// ldi_open_by_name(9F).
    fn ldi_open_by_name(
        path: Text<*mut c_char>,
        flags: c_int,
        cred: *mut cred_t,
        to: Out<ldi_handle_t>,
        identity: ldi_ident_t,
    ) -> c_int {
        if path.is_null() || cred.is_null() || to.is_null() {
            return EINVAL;
        }
        let Some(found) = kernel::device_named(&path.text()) else { return ENODEV };
        open(found, flags, cred, to, identity, NAME).err().unwrap_or(0)
    }
    /// ldi_open_by_dev(9F).
    fn ldi_open_by_dev(
        devp: InOut<dev_t>,
        otyp: c_int,
        flags: c_int,
        cred: *mut cred_t,
        to: Out<ldi_handle_t>,
        identity: ldi_ident_t,
    ) -> c_int {
        let Some(dev) = devp.get() else { return EINVAL };
        if cred.is_null() || to.is_null() || otyp != ddi_sys::OTYP_CHR && otyp != ddi_sys::OTYP_BLK {
            return EINVAL;
        }
        let Some((driver, node)) = opens::device_of(dev) else { return ENODEV };
        let found = (driver, node, dev, otyp == ddi_sys::OTYP_BLK);
        match open(found, flags, cred, to, identity, NAME) {
            Ok(dev) => {
                devp.set(dev);
                0
            }
            Err(error) => error,
        }
    }
    /// ldi_open_by_devid(9F): no device here has an id.
    fn ldi_open_by_devid(
        _id: ddi_devid_t,
        _minor: *mut c_char,
        _flags: c_int,
        _cred: *mut cred_t,
        _to: *mut ldi_handle_t,
        _identity: ldi_ident_t,
    ) -> c_int {
        ENODEV
    }
    /// ldi_close(9F).
    fn ldi_close(handle: ldi_handle_t, flags: c_int, cred: *mut cred_t) -> c_int {
        let Some(h) = of(handle, NAME) else { return EINVAL };
        LAYERS.lock().handles.remove(&(handle as usize));
        opens::leave_layered(&h.driver, h.dev, flags, cred)
    }
    /// ldi_read(9F).
    fn ldi_read(handle: ldi_handle_t, uio: Option<Uio>, cred: *mut cred_t) -> c_int {
        transfer(handle, uio, cred, false, NAME)
    }
    /// ldi_write(9F).
    fn ldi_write(handle: ldi_handle_t, uio: Option<Uio>, cred: *mut cred_t) -> c_int {
        transfer(handle, uio, cred, true, NAME)
    }
    /// ldi_ioctl(9F).
    fn ldi_ioctl(
        handle: ldi_handle_t,
        cmd: c_int,
        arg: isize,
        mode: c_int,
        cred: *mut cred_t,
        rvalp: *mut c_int,
    ) -> c_int {
        let Some(h) = of(handle, NAME) else { return EINVAL };
        let Some(ioctl) = h.driver.cb_ops().and_then(|cb| cb.cb_ioctl) else { return ENOTSUP };
        let mut own = 0;
        let rvalp = if rvalp.is_null() { &raw mut own } else { rvalp };
        // SAFETY: the driver's entry point, with arguments as ioctl(9E) says.
        h.driver.call("ioctl", || unsafe { ioctl(h.dev, cmd, arg, mode, cred, rvalp) }).unwrap_or(EIO)
    }
    /// ldi_poll(9F).
    fn ldi_poll(
        handle: ldi_handle_t,
        events: i16,
        anyyet: c_int,
        ready: *mut i16,
        head: *mut *mut ddi_sys::pollhead,
    ) -> c_int {
        let Some(h) = of(handle, NAME) else { return EINVAL };
        let Some(chpoll) = h.driver.cb_ops().and_then(|cb| cb.cb_chpoll) else { return ENOTSUP };
        // SAFETY: the driver's entry point, with arguments as chpoll(9E) says.
        h.driver.call("chpoll", || unsafe { chpoll(h.dev, events, anyyet, ready, head) }).unwrap_or(EIO)
    }
    /// ldi_devmap(9F).
    fn ldi_devmap(
        handle: ldi_handle_t,
        dhp: devmap_cookie_t,
        off: offset_t,
        len: usize,
        maplen: *mut usize,
        model: c_uint,
    ) -> c_int {
        let Some(h) = of(handle, NAME) else { return EINVAL };
        let Some(devmap) = h.driver.cb_ops().and_then(|cb| cb.cb_devmap) else { return ENOTSUP };
        // SAFETY: the driver's entry point, with arguments as devmap(9E) says.
        h.driver.call("devmap", || unsafe { devmap(h.dev, dhp, off, len, maplen, model) }).unwrap_or(EIO)
    }
    /// ldi_strategy(9F).
    fn ldi_strategy(handle: ldi_handle_t, bp: Option<Buf>) -> c_int {
        let Some(h) = of(handle, NAME) else { return EINVAL };
        let Some(strategy) = h.driver.cb_ops().and_then(|cb| cb.cb_strategy) else { return ENOTSUP };
        let Some(bp) = bp else { return EINVAL };
        bp.set_edev(h.dev);
        // SAFETY: the driver's entry point, with the caller's buf.
        h.driver.call("strategy", || unsafe { strategy(bp.pointer()) }).unwrap_or(EIO)
    }
    /// ldi_dump(9F): there are no crash dumps.
    fn ldi_dump(_handle: ldi_handle_t, _addr: caddr_t, _block: daddr_t, _blocks: c_int) -> c_int {
        ENOTSUP
    }
    /// ldi_aread(9F): no asynchronous transfers.
    fn [ldi_aread, ldi_awrite](_handle: ldi_handle_t, _request: *mut aio_req, _cred: *mut cred_t) -> c_int {
        ENOTSUP
    }
    /// ldi_putmsg(9F): no STREAMS device.
    fn ldi_putmsg(_handle: ldi_handle_t, _message: *mut mblk_t) -> c_int {
        ENOTSUP
    }
    /// ldi_getmsg(9F): no STREAMS device.
    fn ldi_getmsg(_handle: ldi_handle_t, _to: *mut *mut mblk_t, _timeout: *mut timestruc_t) -> c_int {
        ENOTSUP
    }
    /// ldi_get_dev(9F).
    fn ldi_get_dev(handle: ldi_handle_t, to: Out<dev_t>) -> c_int {
        let Some(h) = of(handle, NAME) else { return FAILURE };
        to.set(h.dev);
        SUCCESS
    }
    /// ldi_get_otyp(9F).
    fn ldi_get_otyp(handle: ldi_handle_t, to: Out<c_int>) -> c_int {
        let Some(h) = of(handle, NAME) else { return FAILURE };
        to.set(if h.block { ddi_sys::OTYP_BLK } else { ddi_sys::OTYP_CHR });
        SUCCESS
    }
    /// ldi_get_size(9F).
    fn ldi_get_size(handle: ldi_handle_t, to: Out<u64>) -> c_int {
        let Some(h) = of(handle, NAME) else { return FAILURE };
        let Some(size) = block::size(&h.driver, h.node, h.dev) else { return FAILURE };
        to.set(size);
        SUCCESS
    }
    /// ldi_get_minor_name(9F): kmem that the caller frees.
    fn ldi_get_minor_name(handle: ldi_handle_t, to: Out<*mut c_char>) -> c_int {
        let Some(h) = of(handle, NAME) else { return FAILURE };
        let minors = h.node.minors();
        let Some(minor) = minors.iter().find(|m| m.minor == h.dev as u32 && m.block == h.block) else { return FAILURE };
        to.set(memory::copy_of(&[minor.name.as_bytes(), &[0]].concat(), ddi_sys::KM_SLEEP).cast());
        SUCCESS
    }
    /// ldi_get_devid(9F): the one that the device's driver has registered.
    fn ldi_get_devid(handle: ldi_handle_t, to: Out<ddi_devid_t>) -> c_int {
        place(handle, NAME).map_or(FAILURE, |(dev, _)| crate::devids::of_device(dev, to))
    }
    /// ldi_ev_get_cookie(9F): for the events that every device has.
    fn ldi_ev_get_cookie(handle: ldi_handle_t, name: Text<*mut c_char>, to: Out<ldi_ev_cookie_t>) -> c_int {
        if of(handle, NAME).is_none() {
            return EV_FAILURE;
        }
        let Some(event) = EVENTS.iter().find(|event| event.to_bytes() == name.bytes()) else { return EV_FAILURE };
        to.set(event.as_ptr().cast_mut().cast());
        EV_SUCCESS
    }
    /// ldi_ev_get_type(9F): the event's name.
    fn ldi_ev_get_type(cookie: ldi_ev_cookie_t) -> *mut c_char {
        let known = EVENTS.iter().any(|event| event.as_ptr() == cookie.cast());
        if known { cookie.cast() } else { null_mut() }
    }
    /// ldi_ev_register_callbacks(9F): they are never called.
    fn ldi_ev_register_callbacks(
        handle: ldi_handle_t,
        cookie: ldi_ev_cookie_t,
        _callbacks: *mut ldi_ev_callback_t,
        _arg: *mut c_void,
        to: Out<ldi_callback_id_t>,
    ) -> c_int {
        if of(handle, NAME).is_none() || cookie.is_null() {
            return EV_FAILURE;
        }
        let id = LAYERS.lock().number();
        to.set(id as ldi_callback_id_t);
        EV_SUCCESS
    }
    /// ldi_ev_remove_callbacks(9F).
    fn ldi_ev_remove_callbacks(_id: ldi_callback_id_t) -> c_int {
        EV_SUCCESS
    }
    /// ldi_ev_notify(9F): nobody listens.
    fn ldi_ev_notify(
        _dip: *mut dev_info_t,
        _minor: minor_t,
        _kind: c_int,
        _cookie: ldi_ev_cookie_t,
        _data: *mut c_void,
    ) -> c_int {
        EV_SUCCESS
    }
    /// ldi_ev_finalize(9F).
    fn ldi_ev_finalize(
        _dip: *mut dev_info_t,
        _minor: minor_t,
        _kind: c_int,
        _result: c_int,
        _cookie: ldi_ev_cookie_t,
        _data: *mut c_void,
    ) {
    }
}
