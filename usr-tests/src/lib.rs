//! The parts of the suite that other programs use: see [`recorded`].

pub mod recorded;
