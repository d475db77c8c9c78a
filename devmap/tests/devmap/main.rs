//! devmap against a small kernel (`mock`): what a driver's author relies on, and a test for each shield of
//! docs/shield.md.
// The mock and the tests speak the DDI's C language; whatever they do with pointers is theirs to get right, and fails
// a test if wrong.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::too_many_arguments
)]
#![allow(missing_docs, non_upper_case_globals)]

extern crate alloc;

mod driver;
mod lifecycle;
mod mapping;
mod mock;
mod parts;
mod shield;
