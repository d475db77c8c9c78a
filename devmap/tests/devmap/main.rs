//! devmap against a small kernel ([`devmap_mock`]): what a driver's author relies on, and a test for each shield of
//! docs/shield.md.
#![allow(missing_docs, non_upper_case_globals)]
#![allow(clippy::too_many_arguments, reason = "the DDI's functions have as many as they have")]

extern crate alloc;

use devmap_mock as mock;

mod alone;
mod copying;
mod desk;
mod dma;
mod driver;
mod each_page;
mod early;
mod forgotten;
mod framework;
mod hardware;
mod interrupts;
mod lifecycle;
mod mapping;
mod opens;
mod parts;
mod pinned;
mod polling;
mod sets;
mod shield;
mod statistics;
mod volatile;
mod work;

/// Rounds of a loop, of which an interpreter takes few.
const fn rounds(count: usize) -> usize {
    if cfg!(miri) { 1 + count / 50 } else { count }
}
