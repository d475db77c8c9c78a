//! ddi_devid_init(9F) and the rest: what a device is called wherever it is plugged in. A registered id is the node's property `devid`.
//!
//! Any context, no locks but the properties'.

pub mod form;

use std::ffi::{c_char, c_int};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU16, Ordering};

use ddi_sys::{ddi_devid_t, dev_info_t, dev_t, ushort_t};
use ddi_system::props::{ANY_DEV, Property};

use self::form::Devid;
use ddi_kernel::ddi::args::{Memory, Out, Text};
use ddi_kernel::ddi::memory;
use ddi_kernel::kern::drivers;
use ddi_kernel::kern::nodes::{self, Node};

const FAILURE: c_int = ddi_sys::DDI_FAILURE;
const SUCCESS: c_int = ddi_sys::DDI_SUCCESS;
/// The property of a registered id.
const PROPERTY: &str = "devid";

/// A driver's id.
type Given<'a> = Memory<'a, ddi_sys::__ddi_devid>;

/// Returns the id behind a driver's pointer; None for NULL and for what is none.
fn read(devid: Given) -> Option<Devid> {
    if devid.is_null() {
        return None;
    }
    let head = devid.read(form::HEAD);
    // The head says how long it is.
    Devid::from_bytes(&devid.read(form::len(head.first_chunk()?)?))
}

/// Returns a string in new kernel memory.
fn string(text: &[u8]) -> *mut c_char {
    memory::copy_of(&[text, &[0]].concat(), ddi_sys::KM_SLEEP).cast()
}

/// Returns an id in new kernel memory.
fn copy(devid: &Devid) -> ddi_devid_t {
    memory::copy_of(&devid.to_bytes(), ddi_sys::KM_SLEEP).cast()
}

/// Frees a string of [`string`].
fn free_string(text: Text<*mut c_char>, function: &str) {
    if !text.is_null() {
        memory::free(text.pointer().cast(), text.bytes().len() + 1, function);
    }
}

/// Returns the bytes of an id; for what is none those of a head.
fn size(devid: Given) -> usize {
    form::HEAD + read(devid).map_or(0, |devid| devid.id.len())
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

/// Stores the id of the device behind a device number, in new kernel memory.
pub(super) fn of_device(dev: dev_t, to: Out<ddi_devid_t>) -> c_int {
    let Some(devid) = minor(dev, None).and_then(|(node, _)| registered(node)) else { return FAILURE };
    to.set(copy(&devid));
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
    fn ddi_devid_init(dip: *mut dev_info_t, kind: ushort_t, len: ushort_t, id: Memory, to: Out<ddi_devid_t>) -> c_int {
        let Some(node) = ddi_kernel::ddi::nodes::node(dip, NAME) else { return FAILURE };
        let id = match i32::from(kind) {
            ddi_sys::DEVID_FAB if len == 0 && id.is_null() => fabricated(),
            ddi_sys::DEVID_SCSI3_WWN | ddi_sys::DEVID_SCSI_SERIAL | ddi_sys::DEVID_ATA_SERIAL | ddi_sys::DEVID_ENCAP
                if len > 0 && !id.is_null() =>
            {
                id.read(usize::from(len))
            }
            _ => return FAILURE,
        };
        to.set(copy(&Devid::new(node.driver_name(), kind, id)));
        SUCCESS
    }
    /// ddi_devid_register(9F).
    fn ddi_devid_register(dip: *mut dev_info_t, devid: Given) -> c_int {
        let Some((node, devid)) = ddi_kernel::ddi::nodes::node(dip, NAME).zip(read(devid)) else { return FAILURE };
        let text = String::from_utf8_lossy(&devid.to_text(None)).into_owned();
        node.hardware_properties.lock().set(Property::strings(PROPERTY, &[text]));
        SUCCESS
    }
    /// ddi_devid_unregister(9F).
    fn ddi_devid_unregister(dip: *mut dev_info_t) {
        if let Some(node) = ddi_kernel::ddi::nodes::node(dip, NAME) {
            node.hardware_properties.lock().remove(PROPERTY, ANY_DEV);
        }
    }
    /// ddi_devid_get(9F): a copy of the registered one.
    fn ddi_devid_get(dip: *mut dev_info_t, to: Out<ddi_devid_t>) -> c_int {
        let node = ddi_kernel::ddi::nodes::node(dip, NAME);
        let Some(devid) = node.and_then(registered) else { return FAILURE };
        to.set(copy(&devid));
        SUCCESS
    }
    /// ddi_devid_free(9F).
    fn ddi_devid_free(devid: Given) {
        if !devid.is_null() {
            memory::free(devid.pointer().cast(), size(devid), NAME);
        }
    }
    /// ddi_devid_valid(9F).
    fn ddi_devid_valid(devid: Given) -> c_int {
        if read(devid).is_some() { SUCCESS } else { FAILURE }
    }
    /// ddi_devid_sizeof(9F): for NULL the bytes that say the size.
    fn ddi_devid_sizeof(devid: Given) -> usize {
        size(devid)
    }
    /// ddi_devid_compare(9F): -1, 0 or 1.
    fn ddi_devid_compare(one: Given, two: Given) -> c_int {
        read(one).zip(read(two)).map_or(-1, |(one, two)| one.compare(&two))
    }
    /// ddi_devid_str_encode(9F): `id0` for NULL.
    fn ddi_devid_str_encode(devid: Given, minor: Text<*mut c_char>) -> *mut c_char {
        if devid.is_null() {
            return string(b"id0");
        }
        let minor = (!minor.is_null()).then(|| minor.bytes());
        read(devid).map_or(null_mut(), |devid| string(&devid.to_text(minor)))
    }
    /// ddi_devid_str_decode(9F).
    fn ddi_devid_str_decode(text: Text<*mut c_char>, to: Out<ddi_devid_t>, minor: Out<*mut c_char>) -> c_int {
        to.set(null_mut());
        minor.set(null_mut());
        let Some((devid, name)) = Devid::from_text(text.bytes()) else { return FAILURE };
        if let Some(devid) = devid.filter(|_| !to.is_null()) {
            to.set(copy(&devid));
        }
        if let Some(name) = name.filter(|_| !minor.is_null()) {
            minor.set(string(name));
        }
        SUCCESS
    }
    /// ddi_devid_str_free(9F).
    fn ddi_devid_str_free(text: Text<*mut c_char>) {
        free_string(text, NAME);
    }
    /// ddi_devid_str_compare.
    fn ddi_devid_str_compare(one: Text<*mut c_char>, two: Text<*mut c_char>) -> c_int {
        let devid = |text: Text<_>| Devid::from_text(text.bytes()).and_then(|(devid, _)| devid);
        devid(one).zip(devid(two)).map_or(FAILURE, |(one, two)| one.compare(&two))
    }
    /// ddi_devid_to_guid: the number that is unique in the world, or NULL.
    fn ddi_devid_to_guid(devid: Given) -> *mut c_char {
        read(devid).and_then(|devid| devid.guid()).map_or(null_mut(), |guid| string(&guid))
    }
    /// ddi_devid_free_guid.
    fn ddi_devid_free_guid(guid: Text<*mut c_char>) {
        free_string(guid, NAME);
    }
    /// ddi_lyr_get_devid: of the device behind a device number.
    fn ddi_lyr_get_devid(dev: dev_t, to: Out<ddi_devid_t>) -> c_int {
        of_device(dev, to)
    }
    /// ddi_lyr_get_minor_name: of a device number, with S_IFCHR or S_IFBLK; freed with kmem_free.
    fn ddi_lyr_get_minor_name(dev: dev_t, kind: c_int, to: Out<*mut c_char>) -> c_int {
        let block = kind as u32 & ddi_sys::S_IFMT == ddi_sys::S_IFBLK;
        let Some((_, name)) = minor(dev, Some(block)) else { return FAILURE };
        to.set(string(name.as_bytes()));
        SUCCESS
    }
    /// ddi_lyr_devid_to_devlist: the device numbers of the minor nodes of this name (DEVID_MINOR_NAME_ALL 0, _CHR 1, _BLK 2 or
    /// a name) of devices with this id.
    fn ddi_lyr_devid_to_devlist(devid: Given, name: Text<*mut c_char>, count: Out<c_int>, to: Out<*mut dev_t>) -> c_int {
        let Some(devid) = read(devid) else { return FAILURE };
        // A name, unless it is one of the three numbers.
        let number = name.pointer() as usize;
        let wanted = (number > 2).then(|| name.bytes());
        let right = |m: &nodes::Minor| match (wanted, number) {
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
        count.set(found.len() as c_int);
        to.set(memory::copy_of(&list, ddi_sys::KM_SLEEP).cast());
        SUCCESS
    }
    /// ddi_lyr_free_devlist.
    fn ddi_lyr_free_devlist(list: *mut dev_t, count: c_int) {
        memory::free(list.cast(), count as usize * size_of::<dev_t>(), NAME);
    }
}
