//! Power management: [`Components`] of a device, each with its levels, and `power(9E)`.
//!
//! The system lowers a component that has been idle for some time, and raises one at the driver's request, in both cases by the function in
//! [`Device::POWER`](crate::Device::POWER). Everything here is for user and kernel context; hold no lock that the function takes.

use alloc::vec::Vec;
use core::ffi::{CStr, c_int};
use core::fmt::Write;

use ddi_sys as sys;

use crate::attach::Attach;
use crate::context::{Kernel, MaySleep};
use crate::errno::{Errno, Error, error};
use crate::kmem::try_push;
use crate::life::Refusal;
use crate::tether::Tether;
use crate::text::Text;

/// A requested change of a component's power level: `power(9E)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The component's number, from 0.
    pub component: u32,
    /// The level that it is to have.
    pub level: i32,
}

/// Sets a component's level. A refusal leaves it as it is.
pub type Power<D> = fn(&D, &mut Kernel, Change) -> Result<(), Refusal>;

/// A component: its name, and its levels from the lowest on, by number and name.
#[derive(Clone, Copy, Debug)]
pub struct Component<'a> {
    /// Name of the component.
    pub name: &'a str,
    /// Levels of the component; 0 is off.
    pub levels: &'a [(i32, &'a str)],
}

/// The components of a device, as the property `pm-components` tells the system.
///
/// ```no_run
/// use devmap::power::{Component, Components};
/// # use devmap::prelude::*;
/// # fn f(attach: &Attach<'_>) -> Result<(), devmap::Error> {
/// let engine = Component { name: "engine", levels: &[(0, "off"), (3, "on")] };
/// let components = Components::new(attach, &[engine])?;
/// components.has_changed(0, 3)?; // it is on when the machine starts
/// # fn g(components: &Components, argument: &Argument<'_>) -> Result<(), devmap::Error> {
/// let busy = components.busy(0)?; // in an entry point: nobody turns it off now
/// components.raise(argument, 0, 3)?; // and it is on
/// # Ok(()) }
/// # Ok(()) }
/// ```
pub struct Components(Tether);

impl Components {
    /// Declares the components to the system. Kernel context. Fails with `EINVAL` if there are none, or a name is longer than 40 bytes.
    pub fn new(attach: &Attach<'_>, components: &[Component<'_>]) -> Result<Components, Error> {
        const PAGE: &str = "pm-components(9P)";
        let no_memory = |_| error!(Errno::ENOMEM, PAGE, "no memory");
        let mut lines: Vec<Text<64>> = Vec::new();
        for component in components {
            let mut line = Text::new();
            let _ = write!(line, "NAME={}", component.name);
            try_push(&mut lines, line).map_err(no_memory)?;
            for (level, name) in component.levels {
                let mut line = Text::new();
                let _ = write!(line, "{level}={name}");
                try_push(&mut lines, line).map_err(no_memory)?;
            }
        }
        if lines.iter().any(Text::is_cut) || lines.is_empty() {
            return Err(error!(Errno::EINVAL, PAGE, "no components, or a name is too long"));
        }
        let mut texts: Vec<&CStr> = Vec::new();
        for line in &lines {
            try_push(&mut texts, line.as_c_str()).map_err(no_memory)?;
        }
        let node = attach.node();
        node.properties().set_texts("pm-components", &texts)?;
        Ok(Components(node.tether()))
    }

    fn component(component: u32) -> c_int {
        c_int::try_from(component).unwrap_or(-1)
    }

    /// Keeps the system from lowering a component until dropped: `pm_busy_component(9F)`. Fails with `EINVAL` if there is none.
    pub fn busy(&self, component: u32) -> Result<Busy, Error> {
        let component = Components::component(component);
        // SAFETY: a live node.
        let result = unsafe { sys::pm_busy_component(self.0.dip(), component) };
        if result != sys::DDI_SUCCESS {
            return Err(error!(Errno::EINVAL, "pm_busy_component(9F)", "no such component"));
        }
        Ok(Busy { component, tether: self.0.clone() })
    }

    /// Raises a component to this level or above: `pm_raise_power(9F)`. Fails with `EIO` if the function in [`Device::POWER`](crate::Device::POWER) refuses, or there is none;
    /// it is not called in attach.
    pub fn raise(&self, cx: &impl MaySleep, component: u32, level: i32) -> Result<(), Error> {
        let _ = cx;
        // SAFETY: a live node.
        let result = unsafe { sys::pm_raise_power(self.0.dip(), Components::component(component), level) };
        if result == sys::DDI_SUCCESS {
            return Ok(());
        }
        Err(error!(Errno::EIO, "pm_raise_power(9F)", "the driver refused, or there is no such level"))
    }

    /// Lowers a component to this level: `pm_lower_power(9F)`. In detach only.
    pub fn lower(&self, cx: &impl MaySleep, component: u32, level: i32) -> Result<(), Error> {
        let _ = cx;
        // SAFETY: a live node.
        let result = unsafe { sys::pm_lower_power(self.0.dip(), Components::component(component), level) };
        if result == sys::DDI_SUCCESS {
            return Ok(());
        }
        Err(error!(Errno::EIO, "pm_lower_power(9F)", "the driver refused, or there is no such level"))
    }

    /// Notifies the system of a level that the device has taken by itself: `pm_power_has_changed(9F)`. Fails with `EINVAL` if there is no such component or level.
    pub fn has_changed(&self, component: u32, level: i32) -> Result<(), Error> {
        let number = Components::component(component);
        // SAFETY: a live node.
        let result = unsafe { sys::pm_power_has_changed(self.0.dip(), number, level) };
        if result == sys::DDI_SUCCESS {
            return Ok(());
        }
        Err(error!(Errno::EINVAL, "pm_power_has_changed(9F)", "no such component, or no such level"))
    }
}

/// A component that is in use; idle again when dropped: `pm_idle_component(9F)`.
#[must_use = "idle again at once"]
pub struct Busy {
    component: c_int,
    tether: Tether,
}

impl Drop for Busy {
    fn drop(&mut self) {
        // SAFETY: a live node, and a component that was made busy.
        unsafe { sys::pm_idle_component(self.tether.dip(), self.component) };
    }
}
