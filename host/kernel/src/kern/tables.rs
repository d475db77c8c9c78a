//! The tables by which a driver says what it is: modlinkage(9S), modldrv(9S), dev_ops(9S), cb_ops(9S), devmap_callback_ctl(9S).
//!
//! illumos follows their pointers without a look. Here each is looked at before it is followed, and one that leads nowhere is reported with the
//! structure's and the member's name. Locking: none.

use std::mem::offset_of;

use ddi_krtld::{Element, Linkage};
use ddi_sys::{cb_ops, dev_ops, devmap_callback_ctl, modldrv, modlinkage, modlmisc};

use super::peek::{self, Plain};
use crate::board::report;

/// Longest description that is looked at, in bytes.
const LONGEST: usize = 4096;

/// A pointer of a driver's that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} of {driver} is {value:#x}, {what}")]
pub struct Wrong {
    /// The driver.
    driver: String,
    /// The member, with its structure ("dev_ops.devo_attach").
    path: String,
    value: usize,
    what: &'static str,
    /// The manual page of the structure.
    page: &'static str,
}

const NO_MEMORY: &str = "where there is no memory that can be read";
const NO_FUNCTION: &str = "which is no function of a module or of the kernel";

impl Wrong {
    /// Reports it, found in `function`.
    pub fn report(&self, function: &str) {
        report::mistake(function, &self.to_string(), self.page);
    }
}

/// Reads the structure to which a member of another one points.
///
/// # Errors
/// There is no memory.
pub fn follow<T: Plain>(driver: &str, path: &str, value: usize, page: &'static str) -> Result<T, Wrong> {
    let wrong = || Wrong { driver: driver.to_owned(), path: path.to_owned(), value, what: NO_MEMORY, page };
    peek::read(value).ok_or_else(wrong)
}

const _: () = assert!(offset_of!(modldrv, drv_linkinfo) == offset_of!(modlmisc, misc_linkinfo));

/// Reads a module's linkage.
///
/// # Errors
/// A pointer in it leads nowhere.
pub fn linkage(module: &str, address: usize) -> Result<Linkage, Wrong> {
    let linkage: modlinkage = follow(module, "the modlinkage", address, "modlinkage(9S)")?;
    let mut elements = Vec::new();
    for (index, &element) in linkage.ml_linkage.iter().take_while(|e| !e.is_null()).enumerate() {
        let path = format!("modlinkage.ml_linkage[{index}]");
        let address = element as usize;
        let head: modlmisc = follow(module, &path, address, "modlinkage(9S)")?;
        let text = head.misc_linkinfo as usize;
        let description = match text {
            0 => Some(Vec::new()),
            _ => peek::string(text, LONGEST),
        };
        let description = description.ok_or_else(|| Wrong {
            driver: module.to_owned(),
            path: format!("{path}->drv_linkinfo"),
            value: text,
            what: NO_MEMORY,
            page: "modldrv(9S)",
        })?;
        elements.push(Element { address, ops: head.misc_modops as usize, description });
    }
    Ok(Linkage { rev: linkage.ml_rev, elements })
}

/// Looks at a driver's `dev_ops`, and at the `cb_ops` behind it, before anything of them is called.
///
/// # Errors
/// A pointer in them leads nowhere, or what should be a function is none.
pub fn driver(driver: &str, address: usize) -> Result<(), Wrong> {
    let ops: dev_ops = follow(driver, "modldrv.drv_dev_ops", address, "modldrv(9S)")?;
    let functions = [
        ("devo_getinfo", offset_of!(dev_ops, devo_getinfo)),
        ("devo_identify", offset_of!(dev_ops, devo_identify)),
        ("devo_probe", offset_of!(dev_ops, devo_probe)),
        ("devo_attach", offset_of!(dev_ops, devo_attach)),
        ("devo_detach", offset_of!(dev_ops, devo_detach)),
        ("devo_reset", offset_of!(dev_ops, devo_reset)),
        ("devo_power", offset_of!(dev_ops, devo_power)),
        ("devo_quiesce", offset_of!(dev_ops, devo_quiesce)),
    ];
    // Revisions before 4 have no devo_quiesce.
    let functions = &functions[..if ops.devo_rev < 4 { functions.len() - 1 } else { functions.len() }];
    check(driver, "dev_ops", address, functions, "dev_ops(9S)")?;
    let bus = ops.devo_bus_ops as usize;
    if bus != 0 {
        follow::<usize>(driver, "dev_ops.devo_bus_ops", bus, "dev_ops(9S)")?;
    }
    let address = ops.devo_cb_ops as usize;
    if address == 0 {
        return Ok(());
    }
    let ops: cb_ops = follow(driver, "dev_ops.devo_cb_ops", address, "dev_ops(9S)")?;
    let functions = [
        ("cb_open", offset_of!(cb_ops, cb_open)),
        ("cb_close", offset_of!(cb_ops, cb_close)),
        ("cb_strategy", offset_of!(cb_ops, cb_strategy)),
        ("cb_print", offset_of!(cb_ops, cb_print)),
        ("cb_dump", offset_of!(cb_ops, cb_dump)),
        ("cb_read", offset_of!(cb_ops, cb_read)),
        ("cb_write", offset_of!(cb_ops, cb_write)),
        ("cb_ioctl", offset_of!(cb_ops, cb_ioctl)),
        ("cb_devmap", offset_of!(cb_ops, cb_devmap)),
        ("cb_mmap", offset_of!(cb_ops, cb_mmap)),
        ("cb_segmap", offset_of!(cb_ops, cb_segmap)),
        ("cb_chpoll", offset_of!(cb_ops, cb_chpoll)),
        ("cb_prop_op", offset_of!(cb_ops, cb_prop_op)),
        ("cb_aread", offset_of!(cb_ops, cb_aread)),
        ("cb_awrite", offset_of!(cb_ops, cb_awrite)),
    ];
    // Without a revision the table ends before the asynchronous entry points.
    let functions = &functions[..if ops.cb_rev == 0 { functions.len() - 2 } else { functions.len() }];
    check(driver, "cb_ops", address, functions, "cb_ops(9S)")?;
    let streams = ops.cb_str as usize;
    if streams != 0 {
        follow::<usize>(driver, "cb_ops.cb_str", streams, "cb_ops(9S)")?;
    }
    Ok(())
}

/// Reads a driver's callbacks for a mapping and checks each.
///
/// # Errors
/// The pointer leads nowhere, or one of the callbacks is no function.
pub fn callbacks(driver: &str, address: usize) -> Result<devmap_callback_ctl, Wrong> {
    const PAGE: &str = "devmap_callback_ctl(9S)";
    let table = follow(driver, "the devmap_callback_ctl", address, PAGE)?;
    let functions = [
        ("devmap_map", offset_of!(devmap_callback_ctl, devmap_map)),
        ("devmap_access", offset_of!(devmap_callback_ctl, devmap_access)),
        ("devmap_dup", offset_of!(devmap_callback_ctl, devmap_dup)),
        ("devmap_unmap", offset_of!(devmap_callback_ctl, devmap_unmap)),
    ];
    check(driver, "devmap_callback_ctl", address, &functions, PAGE)?;
    Ok(table)
}

/// Looks at the members of a structure that hold functions.
fn check(
    driver: &str,
    structure: &str,
    address: usize,
    functions: &[(&str, usize)],
    page: &'static str,
) -> Result<(), Wrong> {
    // Functions of a driver that is linked in are the host's own, and the compiler has checked them.
    if ddi_krtld::region(address).is_none() {
        return Ok(());
    }
    for (member, offset) in functions {
        let path = || format!("{structure}.{member}");
        let value: usize = follow(driver, &path(), address + offset, page)?;
        if !peek::is_function(value) {
            return Err(Wrong { driver: driver.to_owned(), path: path(), value, what: NO_FUNCTION, page });
        }
    }
    Ok(())
}
