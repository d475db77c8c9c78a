//! The cases, one file for each area (two for the larger ones). No `unsafe` from here on.
//!
//! Locking: none; each case runs in a process of its own, so nothing is shared between them but the device.

#![forbid(unsafe_code)]

mod access;
mod access_refused;
mod advice;
mod context;
mod context_owner;
mod counters;
mod descriptor;
mod forbidden;
mod fork;
mod fork_moment;
mod fork_more;
pub mod helper;
mod hostile;
mod limits;
mod map;
mod mprotect;
mod munmap;
mod munmap_by;
mod ports_kiobuf;
mod ports_linux;
mod ports_linuxkpi;
mod ports_uvm;
mod syscall;

use crate::case::Case;

const AREAS: &[(&str, &[Case])] = &[
    ("map", map::CASES),
    ("access", access::CASES),
    ("access", access_refused::CASES),
    ("access", forbidden::CASES),
    ("access", syscall::CASES),
    ("fork", fork::CASES),
    ("fork", fork_more::CASES),
    ("fork", fork_moment::CASES),
    ("munmap", munmap::CASES),
    ("munmap", munmap_by::CASES),
    ("mprotect", mprotect::CASES),
    ("advice", advice::CASES),
    ("context", context::CASES),
    ("context", context_owner::CASES),
    ("descriptor", descriptor::CASES),
    ("limits", limits::CASES),
    ("counters", counters::CASES),
    ("hostile", hostile::CASES),
];

/// Cases for other drivers than ctxdev, which have another system's mapping model.
const PORTS: &[(&str, u64, &[Case])] = &[
    ("linux", ports_user::LINUX, ports_linux::CASES),
    ("linuxkpi", ports_user::LINUXKPI, ports_linuxkpi::CASES),
    ("kiobuf", ports_user::KIOBUF, ports_kiobuf::CASES),
    ("uvm", ports_user::UVM, ports_uvm::CASES),
];

/// Every case, in the order in which they run.
pub fn all() -> Vec<Case> {
    let ctxdev = AREAS.iter().map(|(area, cases)| (area, 0, cases));
    let ports = PORTS.iter().map(|(area, kind, cases)| (area, *kind, cases));
    let all = ctxdev.chain(ports);
    all.flat_map(|(area, kind, cases)| cases.iter().map(move |case| Case { area, kind, ..*case })).collect()
}
