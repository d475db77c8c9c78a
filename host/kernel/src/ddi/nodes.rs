//! Device nodes, minor nodes and device numbers: ddi_get_instance(9F), ddi_create_minor_node(9F), getminor(9F) and so on.
//!
//! A `dev_info_t *` that is no node is reported, and the call answers as for a node that has nothing.

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;

use ddi_sys::{
    ddi_devstate_t, ddi_fault_impact_t, ddi_fault_location_t, dev_info_t, dev_ops, dev_t, major_t, minor_t,
    mode_t, off_t,
};

use super::args::{Memory, Out, Text};
use crate::board::{log, report};
use crate::kern::drivers;
use crate::kern::nodes::{self, Minor, Node};

/// Bytes of a path with its NUL, for which drivers have room.
const MAXPATHLEN: usize = ddi_sys::MAXPATHLEN as usize;
/// DDI_MAJOR_T_NONE.
const NO_MAJOR: major_t = major_t::MAX;

/// The node of a driver's pointer; a bad one is reported.
pub fn node(dip: *mut dev_info_t, function: &str) -> Option<&'static Node> {
    let node = nodes::of(dip);
    if node.is_none() {
        report::mistake(function, &format!("{dip:p} is not a dev_info_t"), &format!("{function}(9F)"));
    }
    node
}

/// A dev_t of its parts.
pub fn make(major: u32, minor: u32) -> dev_t {
    u64::from(major) << 32 | u64::from(minor)
}

/// Strings that C code may keep for ever.
fn forever(text: &str) -> *mut c_char {
    static KEPT: parking_lot::Mutex<Vec<CString>> = parking_lot::Mutex::new(Vec::new());
    let Ok(text) = CString::new(text) else { return null_mut() };
    let mut kept = KEPT.lock();
    if let Some(known) = kept.iter().find(|k| **k == text) {
        return known.as_ptr().cast_mut();
    }
    let pointer = text.as_ptr().cast_mut();
    kept.push(text);
    pointer
}

/// ddi_create_minor_node(9F), with the mode if there is one.
fn create_minor(
    dip: *mut dev_info_t,
    name: Text<'_, *mut c_char>,
    kind: c_int,
    minor: minor_t,
    node_type: Text<'_, *mut c_char>,
    mode: Option<u32>,
) -> c_int {
    let Some(node) = node(dip, "ddi_create_minor_node") else { return ddi_sys::DDI_FAILURE };
    let (name, node_type) = (name.text(), node_type.text());
    let block = kind as u32 & ddi_sys::S_IFMT == ddi_sys::S_IFBLK;
    if name.is_empty() || kind as u32 & ddi_sys::S_IFMT != ddi_sys::S_IFCHR && !block {
        return ddi_sys::DDI_FAILURE;
    }
    if !node.add_minor(Minor { name, minor, block, node_type, mode }) {
        return ddi_sys::DDI_FAILURE;
    }
    nodes::changed();
    ddi_sys::DDI_SUCCESS
}

ddi! {
    /// ddi_get_instance(9F).
    fn ddi_get_instance(dip: *mut dev_info_t) -> c_int {
        node(dip, NAME).map_or(-1, Node::instance)
    }
    /// is_pseudo_device: is the node's parent the nexus of the pseudo devices?
    fn is_pseudo_device(dip: *mut dev_info_t) -> c_int {
        let parent = node(dip, NAME).and_then(Node::parent);
        parent.is_some_and(|parent| std::ptr::eq(parent, nodes::pseudo())).into()
    }
    /// ddi_create_minor_node(9F).
    fn ddi_create_minor_node(
        dip: *mut dev_info_t,
        name: Text<*mut c_char>,
        kind: c_int,
        minor: minor_t,
        node_type: Text<*mut c_char>,
        _flag: c_int,
    ) -> c_int {
        create_minor(dip, name, kind, minor, node_type, None)
    }
    /// ddi_create_priv_minor_node(9F): the privileges are not checked, the mode is used.
    fn ddi_create_priv_minor_node(
        dip: *mut dev_info_t,
        name: Text<*mut c_char>,
        kind: c_int,
        minor: minor_t,
        node_type: Text<*mut c_char>,
        _flag: c_int,
        _read_privilege: *const c_char,
        _write_privilege: *const c_char,
        mode: mode_t,
    ) -> c_int {
        create_minor(dip, name, kind, minor, node_type, Some(mode & 0o777))
    }
    /// ddi_remove_minor_node(9F).
    fn ddi_remove_minor_node(dip: *mut dev_info_t, name: Text<*mut c_char>) {
        let Some(node) = node(dip, NAME) else { return };
        let name = (!name.is_null()).then(|| name.text());
        if node.remove_minors(name.as_deref()) > 0 {
            nodes::changed();
        }
    }
    /// ddi_report_dev(9F).
    fn ddi_report_dev(dip: *mut dev_info_t) {
        if let Some(node) = node(dip, NAME) {
            let to = if log::verbose() { log::To::Both } else { log::To::Log };
            log::line(to, &format!("{}{} is {}", node.driver_name(), node.instance(), node.path()));
        }
    }
    /// ddi_driver_name(9F).
    fn ddi_driver_name(dip: *mut dev_info_t) -> *const c_char {
        node(dip, NAME).map_or(null_mut(), |n| n.driver_c().as_ptr().cast_mut())
    }
    /// ddi_get_name(9F): the name by which the driver was bound.
    fn ddi_get_name(dip: *mut dev_info_t) -> *mut c_char {
        node(dip, NAME).map_or(null_mut(), |n| n.binding().as_ptr().cast_mut())
    }
    /// ddi_node_name(9F).
    fn ddi_node_name(dip: *mut dev_info_t) -> *mut c_char {
        node(dip, NAME).map_or(null_mut(), |n| n.name().as_ptr().cast_mut())
    }
    /// ddi_binding_name(9F).
    fn ddi_binding_name(dip: *mut dev_info_t) -> *mut c_char {
        node(dip, NAME).map_or(null_mut(), |n| n.binding().as_ptr().cast_mut())
    }
    /// ddi_get_name_addr: the unit address.
    fn ddi_get_name_addr(dip: *mut dev_info_t) -> *mut c_char {
        node(dip, NAME).map_or(null_mut(), |n| n.unit_c().as_ptr().cast_mut())
    }
    /// ddi_get_parent(9F).
    fn ddi_get_parent(dip: *mut dev_info_t) -> *mut dev_info_t {
        node(dip, NAME).and_then(Node::parent).map_or(null_mut(), Node::dip)
    }
    /// ddi_get_child: the first.
    fn ddi_get_child(dip: *mut dev_info_t) -> *mut dev_info_t {
        node(dip, NAME).and_then(|n| nodes::children(n).first().copied()).map_or(null_mut(), Node::dip)
    }
    /// ddi_get_next_sibling.
    fn ddi_get_next_sibling(dip: *mut dev_info_t) -> *mut dev_info_t {
        let next = node(dip, NAME).and_then(|node| {
            let all = nodes::children(node.parent()?);
            let at = all.iter().position(|n| std::ptr::eq(*n, node))?;
            all.get(at + 1).copied()
        });
        next.map_or(null_mut(), Node::dip)
    }
    /// ddi_root_node(9F).
    fn ddi_root_node() -> *mut dev_info_t {
        nodes::root().dip()
    }
    /// ddi_walk_devs(9F).
    fn ddi_walk_devs(
        dip: *mut dev_info_t,
        func: Option<unsafe extern "C-unwind" fn(*mut dev_info_t, *mut c_void) -> c_int>,
        arg: *mut c_void,
    ) {
        if let (Some(func), Some(node)) = (func, node(dip, NAME)) {
            // The function sees the node, its siblings behind it, and their children.
            walk(node, &|n| {
                // SAFETY: the driver's function with a node and the driver's argument.
                unsafe { func(n.dip(), arg) }
            });
        }
    }
    /// ddi_hold_devi_by_instance: nodes never go, so a hold is nothing.
    fn ddi_hold_devi_by_instance(major: major_t, instance: c_int, _flags: c_int) -> *mut dev_info_t {
        let name = drivers::major_name(major).unwrap_or_default();
        nodes::of_driver(&name).into_iter().find(|n| n.instance() == instance).map_or(null_mut(), Node::dip)
    }
    /// ddi_release_devi.
    fn ddi_release_devi(_dip: *mut dev_info_t) {}
    /// ddi_pathname(9F).
    fn ddi_pathname(dip: *mut dev_info_t, to: Memory<c_char>) -> *mut c_char {
        if let Some(node) = node(dip, NAME) {
            to.sized(MAXPATHLEN).write_text(node.path().as_bytes());
        }
        to.pointer()
    }
    /// ddi_dev_nregs(9F).
    fn ddi_dev_nregs(dip: *mut dev_info_t, result: Out<c_int>) -> c_int {
        let Some(node) = node(dip, NAME) else { return ddi_sys::DDI_FAILURE };
        if node.registers().is_empty() {
            return ddi_sys::DDI_FAILURE;
        }
        result.set(node.registers().len() as c_int);
        ddi_sys::DDI_SUCCESS
    }
    /// ddi_dev_regsize(9F).
    fn ddi_dev_regsize(dip: *mut dev_info_t, rnumber: c_uint, result: Out<off_t>) -> c_int {
        let set = node(dip, NAME).and_then(|n| n.registers().get(rnumber as usize));
        let Some(set) = set else { return ddi_sys::DDI_FAILURE };
        result.set(set.len as off_t);
        ddi_sys::DDI_SUCCESS
    }
    /// ddi_dev_is_sid(9F): devices on the PCI bus identify themselves.
    fn ddi_dev_is_sid(dip: *mut dev_info_t) -> c_int {
        let device = node(dip, NAME).and_then(Node::device);
        if device.is_some() { ddi_sys::DDI_SUCCESS } else { ddi_sys::DDI_FAILURE }
    }
    /// ddi_slaveonly(9F).
    fn ddi_slaveonly(_dip: *mut dev_info_t) -> c_int {
        ddi_sys::DDI_FAILURE
    }
    /// ddi_removing_power(9F).
    fn ddi_removing_power(_dip: *mut dev_info_t) -> c_int {
        0
    }
    /// ddi_dev_is_needed.
    fn ddi_dev_is_needed(_dip: *mut dev_info_t, _component: c_int, _level: c_int) -> c_int {
        ddi_sys::DDI_SUCCESS
    }
    /// ddi_dev_report_fault(9F).
    fn ddi_dev_report_fault(
        dip: *mut dev_info_t,
        impact: ddi_fault_impact_t,
        _location: ddi_fault_location_t,
        message: Text,
    ) {
        let Some(node) = node(dip, NAME) else { return };
        match impact {
            ddi_sys::DDI_SERVICE_LOST => node.set_state(ddi_sys::DDI_DEVSTATE_DOWN),
            ddi_sys::DDI_SERVICE_DEGRADED => node.set_state(ddi_sys::DDI_DEVSTATE_DEGRADED),
            ddi_sys::DDI_SERVICE_RESTORED => node.set_state(ddi_sys::DDI_DEVSTATE_UP),
            _ => {}
        }
        let message = message.text();
        log::line(log::To::Both, &format!("NOTICE: {}{}: {message}", node.driver_name(), node.instance()));
    }
    /// ddi_get_devstate(9F).
    fn ddi_get_devstate(dip: *mut dev_info_t) -> ddi_devstate_t {
        node(dip, NAME).map_or(ddi_sys::DDI_DEVSTATE_OFFLINE, Node::state)
    }
    /// ddi_in_panic(9F).
    fn ddi_in_panic() -> c_int {
        0
    }
    /// ddi_get_driver: the bound driver's operations.
    fn ddi_get_driver(dip: *mut dev_info_t) -> *mut dev_ops {
        let driver = node(dip, NAME).and_then(|n| drivers::find(n.driver_name()));
        driver.map_or(null_mut(), |d| d.ops_address() as *mut dev_ops)
    }
    /// ddi_get_driver_private(9F).
    fn ddi_get_driver_private(dip: *mut dev_info_t) -> *mut c_void {
        node(dip, NAME).map_or(null_mut(), |n| n.private() as *mut c_void)
    }
    /// ddi_set_driver_private(9F).
    fn ddi_set_driver_private(dip: *mut dev_info_t, data: *mut c_void) {
        if let Some(node) = node(dip, NAME) {
            node.set_private(data as usize);
        }
    }
    /// ddi_driver_major(9F).
    fn ddi_driver_major(dip: *mut dev_info_t) -> major_t {
        node(dip, NAME).and_then(|n| drivers::major_of(n.driver_name())).unwrap_or(NO_MAJOR)
    }
    /// ddi_name_to_major(9F).
    fn ddi_name_to_major(name: Text<*mut c_char>) -> major_t {
        drivers::major_of(&name.text()).unwrap_or(NO_MAJOR)
    }
    /// ddi_major_to_name(9F).
    fn ddi_major_to_name(major: major_t) -> *mut c_char {
        drivers::major_name(major).map_or(null_mut(), |name| forever(&name))
    }
    /// ddi_find_devinfo: by name and unit; obsolete.
    fn ddi_find_devinfo(name: Text<*mut c_char>, unit: c_int, _held: c_int) -> *mut dev_info_t {
        let name = name.text();
        nodes::of_driver(&name).into_iter().find(|n| unit < 0 || n.instance() == unit).map_or(null_mut(), Node::dip)
    }
    /// makedevice(9F).
    fn makedevice(major: major_t, minor: minor_t) -> dev_t {
        make(major, minor)
    }
    /// getmajor(9F).
    fn getmajor(dev: dev_t) -> major_t {
        (dev >> 32) as major_t
    }
    /// getminor(9F).
    fn getminor(dev: dev_t) -> minor_t {
        dev as minor_t
    }
    /// getemajor(9F): external and internal numbers are the same here.
    fn getemajor(dev: dev_t) -> major_t {
        (dev >> 32) as major_t
    }
    /// geteminor(9F).
    fn geteminor(dev: dev_t) -> minor_t {
        dev as minor_t
    }
    /// etoimajor(9F).
    fn etoimajor(major: major_t) -> c_int {
        major as c_int
    }
    /// itoemajor(9F).
    fn itoemajor(major: major_t, _previous: c_int) -> c_int {
        major as c_int
    }
    /// cmpdev: the old 16-bit form.
    fn cmpdev(dev: dev_t) -> i16 {
        let (major, minor) = (dev >> 32, dev & 0xffff_ffff);
        if major > 0x7f || minor > 0xff { -1 } else { (major << 8 | minor) as i16 }
    }
    /// expdev: from the old 16-bit form.
    fn expdev(dev: dev_t) -> dev_t {
        make((dev >> 8 & 0x7f) as u32, (dev & 0xff) as u32)
    }
    /// ddi_dev_pathname: the path of a device number.
    fn ddi_dev_pathname(dev: dev_t, _kind: c_int, to: Memory<c_char>) -> c_int {
        let name = drivers::major_name((dev >> 32) as u32).unwrap_or_default();
        for node in nodes::of_driver(&name) {
            if let Some(minor) = node.minors().into_iter().find(|m| m.minor == dev as u32) {
                to.sized(MAXPATHLEN).write_text(format!("{}:{}", node.path(), minor.name).as_bytes());
                return ddi_sys::DDI_SUCCESS;
            }
        }
        ddi_sys::DDI_FAILURE
    }
}

/// Walks `from`, its siblings and their children; false ends the walk.
fn walk(from: &'static Node, visit: &dyn Fn(&'static Node) -> c_int) -> bool {
    let siblings = from.parent().map_or_else(|| vec![from], nodes::children);
    let start = siblings.iter().position(|n| std::ptr::eq(*n, from)).unwrap_or(0);
    for node in &siblings[start..] {
        match visit(node) {
            ddi_sys::DDI_WALK_TERMINATE => return false,
            ddi_sys::DDI_WALK_PRUNESIB => return true,
            ddi_sys::DDI_WALK_PRUNECHILD => {}
            _ => {
                if let Some(child) = nodes::children(node).first()
                    && !walk(child, visit)
                {
                    return false;
                }
            }
        }
    }
    true
}
