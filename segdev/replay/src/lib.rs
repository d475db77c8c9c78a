//! Replays the conformance corpus (`segdev/conformance/README.md`) against segdev on its simulated platform.
//!
//! [`scenario`] reads a scenario, [`run`] drives it and compares every observation, [`files`] does so for whole files.

#![forbid(unsafe_code)]

pub mod files;
pub mod run;
pub mod scenario;
