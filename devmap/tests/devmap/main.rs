//! devmap against a small kernel (`mock`): what a driver's author relies on, and a test for each shield of
//! docs/shield.md.
#![allow(missing_docs, non_upper_case_globals)]
#![allow(clippy::too_many_arguments, reason = "the DDI's functions have as many as they have")]

extern crate alloc;

mod driver;
mod early;
mod forgotten;
mod framework;
mod lifecycle;
mod mapping;
mod mock;
mod parts;
mod shield;
