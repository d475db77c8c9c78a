//! ddi_devid_init(9F) and the rest: what a device is called wherever it is plugged in. A registered id is the node's property `devid`.
//!
//! Any context, no locks but the properties'.

pub mod form;

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU16, Ordering};

use ddi_sys::{ddi_devid_t, dev_info_t, dev_t, ushort_t};
use ddi_system::props::{ANY_DEV, Property};

use self::form::Devid;
use ddi_kernel::ddi::bytes;
use ddi_kernel::ddi::memory;
use ddi_kernel::ddi::store;
use ddi_kernel::kern::drivers;
use ddi_kernel::kern::nodes::{self, Node};

const FAILURE: c_int = ddi_sys::DDI_FAILURE;
const SUCCESS: c_int = ddi_sys::DDI_SUCCESS;
/// The property of a registered id.
const PROPERTY: &str = "devid";

/// The id behind a driver's pointer; None when it is none.
///
/// # Safety
/// It points to an id, or to the head of what is none.
unsafe fn read(devid: ddi_devid_t) -> Option<Devid> {
    if devid.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let size = form::len(unsafe { &*devid.cast::<[u8; form::HEAD]>() })?;
    // SAFETY: as above: the head says so.
    Devid::from_bytes(unsafe { std::slice::from_raw_parts(devid.cast::<u8>(), size) })
}

/// Bytes in new kernel memory.
fn copy(bytes: &[u8]) -> *mut u8 {
    let to: *mut u8 = memory::alloc(bytes.len(), ddi_sys::KM_SLEEP).cast();
    // SAFETY: that much was allocated.
    unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    to
}

/// A string in new kernel memory.
fn string(text: &[u8]) -> *mut c_char {
    copy(&[text, &[0]].concat()).cast()
}

/// Frees such a string.
///
/// # Safety
/// A string of [`string`].
unsafe fn free_string(text: *mut c_char, function: &str) {
    if !text.is_null() {
        // SAFETY: the caller's promise.
        let size = unsafe { bytes(text) }.len() + 1;
        memory::free(text.cast(), size, function);
    }
}

/// The registered id of a node.
fn registered(node: &Node) -> Option<Devid> {
    let properties = node.hardware_properties.lock();
    let text = properties.find(PROPERTY, None)?.as_strings()?.first()?.to_vec();
    Devid::from_text(&text)?.0
}

/// The node and the name of the minor node of a device number.
fn minor(dev: dev_t, block: Option<bool>) -> Option<(&'static Node, String)> {
    let name = drivers::major_name((dev >> 32) as u32)?;
    nodes::of_driver(&name).into_iter().find_map(|node| {
        let right = |m: &nodes::Minor| m.minor == dev as u32 && block.is_none_or(|block| block == m.block);
        node.minors().into_iter().find(right).map(|minor| (node, minor.name))
    })
}

/// The id of the device behind a device number, in new kernel memory.
///
/// # Safety
/// `to` is NULL or valid for a write.
pub(super) unsafe fn of_device(dev: dev_t, to: *mut ddi_devid_t) -> c_int {
    let Some(devid) = minor(dev, None).and_then(|(node, _)| registered(node)) else { return FAILURE };
    // SAFETY: the caller's promise.
    unsafe { store(to, copy(&devid.to_bytes()).cast()) };
    SUCCESS
}

/// An id of the host's own making: host, time, and a number that grows.
fn fabricated() -> Vec<u8> {
    static GENERATION: AtomicU16 = AtomicU16::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut id = vec![0; 4];
    id.extend((now.as_secs() as u32).to_be_bytes());
    id.extend(now.subsec_micros().to_be_bytes());
    id.extend(GENERATION.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    id
}

ddi! {
    /// ddi_devid_init(9F): an id in new memory. DEVID_FAB makes one up.
    fn ddi_devid_init(dip: *mut dev_info_t, kind: ushort_t, len: ushort_t, id: *mut c_void, to: *mut ddi_devid_t) -> c_int {
        let Some(node) = ddi_kernel::ddi::nodes::node(dip, "ddi_devid_init") else { return FAILURE };
        let id = match i32::from(kind) {
            ddi_sys::DEVID_FAB if len == 0 && id.is_null() => fabricated(),
            ddi_sys::DEVID_SCSI3_WWN | ddi_sys::DEVID_SCSI_SERIAL | ddi_sys::DEVID_ATA_SERIAL | ddi_sys::DEVID_ENCAP
                if len > 0 && !id.is_null() =>
            {
                // SAFETY: the driver's promise.
                unsafe { std::slice::from_raw_parts(id.cast::<u8>(), usize::from(len)) }.to_vec()
            }
            _ => return FAILURE,
        };
        let devid = Devid::new(node.driver_name(), kind, id);
        // SAFETY: the driver's promise.
        unsafe { store(to, copy(&devid.to_bytes()).cast()) };
        SUCCESS
    }
    /// ddi_devid_register(9F).
    fn ddi_devid_register(dip: *mut dev_info_t, devid: ddi_devid_t) -> c_int {
        // SAFETY: the driver's promise.
        let devid = unsafe { read(devid) };
        let Some((node, devid)) = ddi_kernel::ddi::nodes::node(dip, "ddi_devid_register").zip(devid) else { return FAILURE };
        let text = String::from_utf8_lossy(&devid.to_text(None)).into_owned();
        node.hardware_properties.lock().set(Property::strings(PROPERTY, &[text]));
        SUCCESS
    }
    /// ddi_devid_unregister(9F).
    fn ddi_devid_unregister(dip: *mut dev_info_t) {
        if let Some(node) = ddi_kernel::ddi::nodes::node(dip, "ddi_devid_unregister") {
            node.hardware_properties.lock().remove(PROPERTY, ANY_DEV);
        }
    }
    /// ddi_devid_get(9F): a copy of the registered one.
    fn ddi_devid_get(dip: *mut dev_info_t, to: *mut ddi_devid_t) -> c_int {
        let node = ddi_kernel::ddi::nodes::node(dip, "ddi_devid_get");
        let Some(devid) = node.and_then(registered) else { return FAILURE };
        // SAFETY: the driver's promise.
        unsafe { store(to, copy(&devid.to_bytes()).cast()) };
        SUCCESS
    }
    /// ddi_devid_free(9F).
    fn ddi_devid_free(devid: ddi_devid_t) {
        // SAFETY: the driver's promise.
        let size = unsafe { ddi_devid_sizeof(devid) };
        if !devid.is_null() {
            memory::free(devid.cast(), size, "ddi_devid_free");
        }
    }
    /// ddi_devid_valid(9F).
    fn ddi_devid_valid(devid: ddi_devid_t) -> c_int {
        // SAFETY: the driver's promise.
        if unsafe { read(devid) }.is_some() { SUCCESS } else { FAILURE }
    }
    /// ddi_devid_sizeof(9F): for NULL the bytes that say the size.
    fn ddi_devid_sizeof(devid: ddi_devid_t) -> usize {
        // SAFETY: the driver's promise.
        form::HEAD + unsafe { read(devid) }.map_or(0, |devid| devid.id.len())
    }
    /// ddi_devid_compare(9F): -1, 0 or 1.
    fn ddi_devid_compare(one: ddi_devid_t, two: ddi_devid_t) -> c_int {
        // SAFETY: the driver's promise, here and below.
        let one = unsafe { read(one) };
        // SAFETY: as above.
        one.zip(unsafe { read(two) }).map_or(-1, |(one, two)| one.compare(&two))
    }
    /// ddi_devid_str_encode(9F): `id0` for NULL.
    fn ddi_devid_str_encode(devid: ddi_devid_t, minor: *mut c_char) -> *mut c_char {
        if devid.is_null() {
            return string(b"id0");
        }
        // SAFETY: the driver's promise.
        let minor = (!minor.is_null()).then(|| unsafe { bytes(minor) });
        // SAFETY: the driver's promise.
        unsafe { read(devid) }.map_or(null_mut(), |devid| string(&devid.to_text(minor)))
    }
    /// ddi_devid_str_decode(9F).
    fn ddi_devid_str_decode(text: *mut c_char, to: *mut ddi_devid_t, minor: *mut *mut c_char) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { store(to, null_mut()) };
        // SAFETY: the driver's promise.
        unsafe { store(minor, null_mut()) };
        // SAFETY: the driver's promise.
        let Some((devid, name)) = Devid::from_text(unsafe { bytes(text) }) else { return FAILURE };
        if let Some(devid) = devid.filter(|_| !to.is_null()) {
            // SAFETY: the driver's promise.
            unsafe { to.write(copy(&devid.to_bytes()).cast()) };
        }
        if let Some(name) = name.filter(|_| !minor.is_null()) {
            // SAFETY: the driver's promise.
            unsafe { minor.write(string(name)) };
        }
        SUCCESS
    }
    /// ddi_devid_str_free(9F).
    fn ddi_devid_str_free(text: *mut c_char) {
        // SAFETY: the driver's promise.
        unsafe { free_string(text, "ddi_devid_str_free") };
    }
    /// ddi_devid_str_compare.
    fn ddi_devid_str_compare(one: *mut c_char, two: *mut c_char) -> c_int {
        // SAFETY: the driver's promise.
        let one = Devid::from_text(unsafe { bytes(one) }).and_then(|(devid, _)| devid);
        // SAFETY: the driver's promise.
        let two = Devid::from_text(unsafe { bytes(two) }).and_then(|(devid, _)| devid);
        one.zip(two).map_or(FAILURE, |(one, two)| one.compare(&two))
    }
    /// ddi_devid_to_guid: the number that is unique in the world, or NULL.
    fn ddi_devid_to_guid(devid: ddi_devid_t) -> *mut c_char {
        // SAFETY: the driver's promise.
        let guid = unsafe { read(devid) }.and_then(|devid| devid.guid());
        guid.map_or(null_mut(), |guid| string(&guid))
    }
    /// ddi_devid_free_guid.
    fn ddi_devid_free_guid(guid: *mut c_char) {
        // SAFETY: the driver's promise.
        unsafe { free_string(guid, "ddi_devid_free_guid") };
    }
    /// ddi_lyr_get_devid: of the device behind a device number.
    @private fn ddi_lyr_get_devid(dev: dev_t, to: *mut ddi_devid_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { of_device(dev, to) }
    }
    /// ddi_lyr_get_minor_name: of a device number, with S_IFCHR or S_IFBLK; freed with kmem_free.
    @private fn ddi_lyr_get_minor_name(dev: dev_t, kind: c_int, to: *mut *mut c_char) -> c_int {
        let block = kind as u32 & ddi_sys::S_IFMT == ddi_sys::S_IFBLK;
        let Some((_, name)) = minor(dev, Some(block)) else { return FAILURE };
        // SAFETY: the driver's promise.
        unsafe { store(to, string(name.as_bytes())) };
        SUCCESS
    }
    /// ddi_lyr_devid_to_devlist: the device numbers of the minor nodes of this name (DEVID_MINOR_NAME_ALL 0, _CHR 1, _BLK 2 or
    /// a name) of devices with this id.
    @private fn ddi_lyr_devid_to_devlist(devid: ddi_devid_t, name: *mut c_char, count: *mut c_int, to: *mut *mut dev_t) -> c_int {
        // SAFETY: the driver's promise.
        let Some(devid) = (unsafe { read(devid) }) else { return FAILURE };
        // SAFETY: a name, unless it is one of the three numbers.
        let wanted = (name as usize > 2).then(|| unsafe { bytes(name) });
        let right = |m: &nodes::Minor| match (wanted, name as usize) {
            (Some(name), _) => m.name.as_bytes() == name,
            (None, 1) => !m.block,
            (None, 2) => m.block,
            _ => true,
        };
        let mut found = Vec::new();
        for driver in drivers::all() {
            let major = drivers::major_of(&driver.name).unwrap_or(0);
            for node in nodes::of_driver(&driver.name) {
                if registered(node).is_some_and(|known| known.compare(&devid) == 0) {
                    found.extend(node.minors().iter().filter(|m| right(m)).map(|m| ddi_kernel::ddi::nodes::make(major, m.minor)));
                }
            }
        }
        if found.is_empty() {
            return FAILURE;
        }
        let list: Vec<u8> = found.iter().flat_map(|dev| dev.to_ne_bytes()).collect();
        // SAFETY: the driver's promise.
        unsafe { store(count, found.len() as c_int) };
        // SAFETY: the driver's promise.
        unsafe { store(to, copy(&list).cast()) };
        SUCCESS
    }
    /// ddi_lyr_free_devlist.
    @private fn ddi_lyr_free_devlist(list: *mut dev_t, count: c_int) {
        memory::free(list.cast(), count as usize * size_of::<dev_t>(), "ddi_lyr_free_devlist");
    }
}
