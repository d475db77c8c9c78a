//! The cases, one file for each area. No `unsafe` from here on.
//!
//! Locking: none; each case runs in a process of its own, so nothing is shared between them but the device.

#![forbid(unsafe_code)]

mod access;
mod advice;
mod context;
mod counters;
mod descriptor;
mod fork;
pub mod helper;
mod limits;
mod map;
mod mprotect;
mod munmap;
mod syscall;

use crate::case::Case;

const AREAS: &[(&str, &[Case])] = &[
    ("map", map::CASES),
    ("access", access::CASES),
    ("access", syscall::CASES),
    ("fork", fork::CASES),
    ("munmap", munmap::CASES),
    ("mprotect", mprotect::CASES),
    ("advice", advice::CASES),
    ("context", context::CASES),
    ("descriptor", descriptor::CASES),
    ("limits", limits::CASES),
    ("counters", counters::CASES),
];

/// Every case, in the order in which they run.
pub fn all() -> Vec<Case> {
    AREAS.iter().flat_map(|(area, cases)| cases.iter().map(|case| Case { area, ..*case })).collect()
}
