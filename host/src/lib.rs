//! See Cargo.toml.

pub mod physmem;
pub mod process;
