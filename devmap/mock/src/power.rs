//! Power management: components by the property `pm-components`, their levels, and who keeps them busy.

use std::ffi::c_int;

use ddi_sys as sys;

use super::nodes::node;
use super::{Node, Property, dev_ops};

/// The levels of each component.
fn components(node: &Node) -> Vec<Vec<c_int>> {
    let mut all: Vec<Vec<c_int>> = Vec::new();
    let Some(Property::Texts(texts)) = node.own_properties.get("pm-components") else { return all };
    for text in texts {
        match text.to_str().unwrap().split_once('=').unwrap() {
            ("NAME", _) => all.push(Vec::new()),
            (level, _) => all.last_mut().unwrap().push(level.parse().unwrap()),
        }
    }
    all
}

/// # Safety
/// A node.
unsafe fn has(dip: *mut sys::dev_info_t, component: c_int, level: Option<c_int>) -> bool {
    // SAFETY: the caller's.
    let all = components(unsafe { node(dip) });
    let found = usize::try_from(component).ok().and_then(|component| all.get(component));
    found.is_some_and(|levels| level.is_none_or(|level| levels.contains(&level)))
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pm_busy_component(dip: *mut sys::dev_info_t, component: c_int) -> c_int {
    // SAFETY: as pm_busy_component(9F).
    if !unsafe { has(dip, component, None) } {
        return sys::DDI_FAILURE;
    }
    // SAFETY: likewise.
    unsafe { node(dip) }.busy += 1;
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pm_idle_component(dip: *mut sys::dev_info_t, _: c_int) -> c_int {
    // SAFETY: as pm_idle_component(9F).
    let busy = &mut unsafe { node(dip) }.busy;
    *busy = busy.checked_sub(1).expect("a component that is busy");
    sys::DDI_SUCCESS
}

/// # Safety
/// As power(9E).
unsafe fn set(dip: *mut sys::dev_info_t, component: c_int, level: c_int) -> c_int {
    // SAFETY: the caller's.
    let known = unsafe { has(dip, component, Some(level)) };
    let Some(power) = dev_ops().devo_power.filter(|_| known) else { return sys::DDI_FAILURE };
    // SAFETY: the caller's.
    unsafe { power(dip, component, level) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pm_raise_power(
    dip: *mut sys::dev_info_t,
    component: c_int,
    level: c_int,
) -> c_int {
    // SAFETY: as pm_raise_power(9F).
    unsafe { set(dip, component, level) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pm_lower_power(
    dip: *mut sys::dev_info_t,
    component: c_int,
    level: c_int,
) -> c_int {
    // SAFETY: as pm_lower_power(9F).
    unsafe { set(dip, component, level) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pm_power_has_changed(
    dip: *mut sys::dev_info_t,
    component: c_int,
    level: c_int,
) -> c_int {
    // SAFETY: as pm_power_has_changed(9F).
    if unsafe { has(dip, component, Some(level)) } { sys::DDI_SUCCESS } else { sys::DDI_FAILURE }
}
