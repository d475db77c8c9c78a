//! Power management: pm_busy_component(9F), pm_raise_power(9F) and so on, for nodes with a `pm-components` property.
//!
//! The machine never saves power by itself (as illumos on a PC, unless power.conf says so): components are raised when a driver asks, which calls its
//! power(9E), and nothing is ever lowered behind its back. pm_lower_power, which detach(9E) calls, succeeds and does nothing. A node without
//! `pm-components` has no component, and these functions fail. Locking: a leaf lock protects the levels; it is not held while driver code runs.

use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::LazyLock;

use ddi_sys::dev_info_t;
use parking_lot::Mutex;

use super::nodes::node;
use crate::kern::drivers;
use crate::kern::keepers::{Keeper, Leftover};
use crate::kern::nodes::Node;

const SUCCESS: c_int = ddi_sys::DDI_SUCCESS;
const FAILURE: c_int = ddi_sys::DDI_FAILURE;

/// Levels of components by node and number.
static LEVELS: LazyLock<Mutex<HashMap<(usize, usize), c_int>>> = LazyLock::new(Mutex::default);

/// The levels of each component that the node's `pm-components` names ("NAME=x", then "level=name" for each level).
fn components(node: &Node) -> Vec<Vec<c_int>> {
    let mut all: Vec<Vec<c_int>> = Vec::new();
    let Some(property) = node.property("pm-components", None, false) else { return all };
    for text in property.as_strings().unwrap_or_default() {
        let text = String::from_utf8_lossy(text);
        match text.split_once('=') {
            Some(("NAME", _)) => all.push(Vec::new()),
            Some((level, _)) => {
                if let (Some(last), Ok(level)) = (all.last_mut(), level.trim().parse()) {
                    last.push(level);
                }
            }
            None => {}
        }
    }
    all
}

/// The node, if it has this component and, when one is given, this level.
fn valid(
    dip: *mut dev_info_t,
    component: c_int,
    level: Option<c_int>,
    function: &str,
) -> Option<&'static Node> {
    let node = node(dip, function)?;
    let all = components(node);
    let levels = all.get(usize::try_from(component).ok()?)?;
    level.is_none_or(|level| levels.contains(&level)).then_some(node)
}

fn key(node: &Node, component: c_int) -> (usize, usize) {
    (node.dip() as usize, component as usize)
}

/// Keeps the levels of an instance's components.
#[derive(Debug)]
pub struct Levels;

impl Levels {
    fn forget(&self, node: &Node) {
        LEVELS.lock().retain(|(dip, _), _| *dip != node.dip() as usize);
    }
}

impl Keeper for Levels {
    fn attached(&self, node: &'static Node, success: bool) {
        if !success {
            self.forget(node);
        }
    }

    fn detached(&self, node: &'static Node) -> Vec<Leftover> {
        self.forget(node);
        Vec::new()
    }
}

ddi! {
    /// pm_busy_component(9F).
    fn pm_busy_component(dip: *mut dev_info_t, component: c_int) -> c_int {
        valid(dip, component, None, NAME).map_or(FAILURE, |_| SUCCESS)
    }
    /// pm_idle_component(9F).
    fn pm_idle_component(dip: *mut dev_info_t, component: c_int) -> c_int {
        valid(dip, component, None, NAME).map_or(FAILURE, |_| SUCCESS)
    }
    /// pm_raise_power(9F): calls power(9E) unless the component is at the level or above.
    fn pm_raise_power(dip: *mut dev_info_t, component: c_int, level: c_int) -> c_int {
        let Some(node) = valid(dip, component, Some(level), NAME) else { return FAILURE };
        if LEVELS.lock().get(&key(node, component)).is_some_and(|&now| now >= level) {
            return SUCCESS;
        }
        let Some(driver) = drivers::find(node.driver_name()) else { return FAILURE };
        let Some(power) = driver.ops().and_then(|ops| ops.devo_power) else { return FAILURE };
        // SAFETY: the driver's entry point, with arguments as power(9E) says.
        if driver.call("power", || unsafe { power(dip, component, level) }) != Ok(SUCCESS) {
            return FAILURE;
        }
        LEVELS.lock().insert(key(node, component), level);
        SUCCESS
    }
    /// pm_lower_power(9F).
    fn pm_lower_power(dip: *mut dev_info_t, component: c_int, level: c_int) -> c_int {
        valid(dip, component, Some(level), NAME).map_or(FAILURE, |_| SUCCESS)
    }
    /// pm_power_has_changed(9F): the driver tells a component's level.
    fn pm_power_has_changed(dip: *mut dev_info_t, component: c_int, level: c_int) -> c_int {
        let Some(node) = valid(dip, component, Some(level), NAME) else { return FAILURE };
        LEVELS.lock().insert(key(node, component), level);
        SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kern::nodes::{self, NewNode};
    use ddi_system::props::Property;

    #[test]
    fn components_have_the_levels_of_their_property() {
        let texts = ["NAME=leaf", "0=off", "2=on", "NAME=other", "1=half"];
        let new = NewNode {
            name: "power-test".into(),
            driver: "power-test".into(),
            properties: vec![Property::strings("pm-components", &texts)],
            ..NewNode::default()
        };
        let node = nodes::add(Some(nodes::pseudo()), new);
        assert_eq!(components(node), [vec![0, 2], vec![1]]);
        let changed = |component, level| driver!(pm_power_has_changed(node.dip(), component, level));
        assert_eq!((changed(0, 2), changed(0, 1), changed(2, 0)), (SUCCESS, FAILURE, FAILURE));
        assert_eq!(driver!(pm_raise_power(node.dip(), 0, 2)), SUCCESS);
        Levels.detached(node);
        assert_eq!(driver!(pm_raise_power(node.dip(), 0, 2)), FAILURE);
    }
}
