//! attach(9E) and detach(9E) of an instance, and the logging of the reason when the device refuses one of them, or a suspend or resume.
//!
//! The functions here are the same for all devices; a [`Kind`] has what differs. No lock of its own, and none of this crate's is held while the driver is called.

use core::ffi::c_int;
use core::mem;
use core::ptr::{self, NonNull};

use ddi_sys as sys;

use alloc::boxed::Box;

use crate::callbacks;
use crate::context::Kernel;
use crate::device::Device;
use crate::errno::Errno;
use crate::handle::Home;
use crate::instance::{Attached, Instance};
use crate::life::Refusal;
use crate::log::warn_of;
use crate::mapped::Free;
use crate::minor::{NodeType, Restricted};
use crate::node::Node;
use crate::numbers::Minor;
use crate::slot;
use crate::state::{Item, Module};
use crate::tether::Tether;
use crate::text::Text;

/// A question to an instance, which may refuse.
pub(crate) type Ask<'a> = &'a dyn Fn(NonNull<Attached>, &mut Kernel) -> Result<(), Refusal>;

/// A type of device, for attach(9E) and detach(9E). Each function takes only instances of this device.
pub(crate) struct Kind {
    /// Makes the minor node of an index, if the device wants it.
    minor: unsafe fn(NonNull<Attached>, &Node<'_>, u32) -> bool,
    /// Number of minor nodes.
    minors: u32,
    /// Ends the instance.
    drop: unsafe fn(NonNull<Attached>),
    /// Frees the slot of a mapping.
    free: Free,
}

/// [`Kind`], of a device.
pub(crate) const fn kind<D: Device>() -> Kind {
    Kind {
        minor: minor::<D>,
        minors: if D::MINORS > 1 { D::MINORS } else { 1 },
        // SAFETY: from `attached`, and not used any more.
        drop: |instance| drop(unsafe { Box::from_raw(instance.cast::<Instance<D>>().as_ptr()) }),
        free: slot::free::<D>,
    }
}

/// Why an instance is not attached.
enum Failure {
    NoSoftState,
    Refused(Errno),
    NoMinorNode,
}

/// attach(9E), `DDI_ATTACH`. What fails leaves nothing behind.
///
/// # Safety
/// The node's attach(9E); the module's device.
#[inline(never)]
pub(crate) unsafe fn attach<D: Device>(module: &'static Module, dip: *mut sys::dev_info_t) -> c_int {
    // SAFETY: attached from here to detach, which goes on only when this is the last.
    let tether = unsafe { Tether::new(dip) };
    // SAFETY: the caller's.
    if let Err(failure) = unsafe { attached::<D>(module, &tether) } {
        return failed(Node::new(&tether), failure);
    }
    // Soft state's until detach.
    mem::forget(tether);
    // SAFETY: a live node.
    unsafe { sys::ddi_report_dev(dip) };
    sys::DDI_SUCCESS
}

/// Logs why an instance is not attached.
#[cold]
#[inline(never)]
fn failed(node: Node<'_>, failure: Failure) -> c_int {
    let (what, errno) = match failure {
        Failure::NoSoftState => ("no soft state", None),
        Failure::Refused(errno) => ("attach", Some(errno)),
        Failure::NoMinorNode => ("no minor node", None),
    };
    // SAFETY: a live node.
    unsafe { warn_of(node.as_ptr(), what, &Refusal { words: [""; 2], errno }) };
    sys::DDI_FAILURE
}

/// # Safety
/// As of [`attach`], of this node.
#[inline(always)]
unsafe fn attached<D: Device>(module: &'static Module, tether: &Tether) -> Result<(), Failure> {
    let kind = const { &kind::<D>() };
    let node = Node::new(tether);
    let (dip, number) = (node.as_ptr(), node.instance());
    if module.allocate(number) != sys::DDI_SUCCESS {
        return Err(Failure::NoSoftState);
    }
    let undo = Undo(module, number);
    let (callbacks, switch, switches) = (callbacks::first::<D>(), callbacks::switch::<D>, module.switches());
    let home = Home { dip, callbacks, switch, switches };
    let instance = Instance::<D>::new(home, node).map_err(Failure::Refused)?;
    let instance = NonNull::from(Box::leak(instance)).cast::<Attached>();
    // SAFETY: made just now.
    let mappings = &unsafe { instance.as_ref() }.mappings;
    // SAFETY: the instance's beginning; it stays until detach, which is refused while there are mappings; they are slots of this device.
    unsafe { mappings.attached(instance.as_ptr().cast(), kind.free) };
    // SAFETY: the instance's, which is taken out of the chain before it is dropped.
    unsafe { module.calls().attached(mappings) };
    let item = Item { dip, instance: instance.as_ptr(), tether: tether.as_ptr() };
    // SAFETY: the item just allocated; nobody else knows it.
    unsafe { module.item(number).write(item) };
    for index in 0..kind.minors {
        // SAFETY: made just now, and of the kind; it stays until it is taken below.
        if unsafe { (kind.minor)(instance, &node, index) } {
            continue;
        }
        // SAFETY: a live node; null is all of its minor nodes.
        unsafe { sys::ddi_remove_minor_node(dip, ptr::null_mut()) };
        // SAFETY: no entry point runs without a minor node.
        unsafe { end(module, kind, number) };
        return Err(Failure::NoMinorNode);
    }
    mem::forget(undo);
    Ok(())
}

/// Frees an instance's soft state item when its attach fails or panics.
struct Undo(&'static Module, i32);

impl Drop for Undo {
    fn drop(&mut self) {
        self.0.free(self.1);
    }
}

/// Makes the minor node of an index, if the device wants it.
///
/// # Safety
/// An instance of this device.
#[inline(never)]
unsafe fn minor<D: Device>(instance: NonNull<Attached>, node: &Node<'_>, index: u32) -> bool {
    // SAFETY: the caller's.
    let device = &unsafe { instance.cast::<Instance<D>>().as_ref() }.device;
    let Some(minor) = device.minor(node, index) else { return true };
    let number = Minor::number::<D>(node.instance(), index);
    let (kind, restricted) = (minor.kind, minor.restricted);
    minor_node(node, &minor.name(node, index), number, (kind, restricted))
}

/// Makes one of the nodes by which processes open the instance.
#[inline(never)]
fn minor_node(
    node: &Node<'_>,
    name: &Text<64>,
    number: Option<u32>,
    (kind, restricted): (NodeType, Option<Restricted>),
) -> bool {
    let Some(number) = number else { return false };
    if name.is_cut() || name.as_bytes().is_empty() {
        return false;
    }
    let (name, kind) = (name.as_ptr().cast_mut(), kind.as_c_str().as_ptr().cast_mut());
    let (dip, type_) = (node.as_ptr(), sys::S_IFCHR as c_int);
    let result = match restricted {
        // SAFETY: a live node; strings that end in NUL, which the call copies.
        None => unsafe { sys::ddi_create_minor_node(dip, name, type_, number, kind, 0) },
        Some(Restricted { read, write, mode }) => {
            let (read, write) = (read.as_ptr(), write.as_ptr());
            // SAFETY: as above.
            unsafe { sys::ddi_create_priv_minor_node(dip, name, type_, number, kind, 0, read, write, mode) }
        }
    };
    result == sys::DDI_SUCCESS
}

/// Takes an instance out of soft state, and drops it.
///
/// # Safety
/// Of this kind. No entry point of the instance runs, but its attach or detach.
#[inline(never)]
unsafe fn end(module: &Module, kind: &Kind, number: i32) {
    // SAFETY: the caller's.
    let Some(item) = (unsafe { module.item(number).as_mut() }) else { return };
    let Some(instance) = NonNull::new(mem::replace(&mut item.instance, ptr::null()).cast_mut()) else {
        return;
    };
    // SAFETY: it lives until it is dropped below.
    module.calls().detached(&unsafe { instance.as_ref() }.mappings);
    // SAFETY: of this kind, and not in the item any more.
    unsafe { (kind.drop)(instance) };
}

/// Asks the instance's device for something that it may refuse, and logs why it does.
///
/// # Safety
/// In an entry point of the instance, in kernel context.
#[inline(never)]
pub(crate) unsafe fn asked(module: &Module, dip: *mut sys::dev_info_t, what: &str, ask: Ask<'_>) -> c_int {
    // SAFETY: a live node.
    let number = unsafe { sys::ddi_get_instance(dip) };
    // SAFETY: the caller's.
    let Some(instance) = (unsafe { module.instance(number) }) else { return sys::DDI_FAILURE };
    // SAFETY: the caller's.
    let mut cx = unsafe { Kernel::assume() };
    let Err(refusal) = ask(instance, &mut cx) else { return sys::DDI_SUCCESS };
    // SAFETY: a live node.
    unsafe { warn_of(dip, what, &refusal) };
    sys::DDI_FAILURE
}

/// detach(9E), `DDI_DETACH`.
///
/// # Safety
/// The node's detach(9E); the kind is that of the module's device.
#[inline(never)]
pub(crate) unsafe fn detach(module: &Module, kind: &Kind, dip: *mut sys::dev_info_t, ask: Ask<'_>) -> c_int {
    // SAFETY: a live node.
    let number = unsafe { sys::ddi_get_instance(dip) };
    let item = module.item(number);
    if item.is_null() {
        return sys::DDI_FAILURE;
    }
    // SAFETY: in the instance's detach.
    if let Some(instance) = unsafe { module.instance(number) } {
        // A mapping borrows its instance.
        // SAFETY: attached, and taken below at the earliest.
        if unsafe { instance.as_ref() }.mappings.len() != 0 {
            return sys::DDI_FAILURE;
        }
        // SAFETY: in the instance's detach.
        let answer = unsafe { asked(module, dip, "detach", ask) };
        if answer != sys::DDI_SUCCESS {
            return answer;
        }
        // SAFETY: a live node; null is all of its minor nodes.
        unsafe { sys::ddi_remove_minor_node(dip, ptr::null_mut()) };
        // SAFETY: the device is not open, so no other entry point runs.
        unsafe { end(module, kind, number) };
    }
    // SAFETY: an item of ours, from attach.
    let tether = unsafe { (*item).tether };
    // SAFETY: soft state's reference, forgotten in attach.
    let tether = unsafe { Tether::from_ptr(tether) };
    if tether.is_shared() {
        // What the driver has kept would be freed after its node: the node stays until it is.
        const SILENT: &Refusal = &Refusal { words: [""; 2], errno: None };
        // SAFETY: a live node.
        unsafe { warn_of(dip, "registers that are still mapped keep it attached", SILENT) };
        mem::forget(tether);
        return sys::DDI_FAILURE;
    }
    module.free(number);
    sys::DDI_SUCCESS
}
