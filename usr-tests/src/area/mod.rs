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

/// Every case, in the order in which they run.
pub fn all() -> Vec<Case> {
    AREAS.iter().flat_map(|(area, cases)| cases.iter().map(|case| Case { area, ..*case })).collect()
}
