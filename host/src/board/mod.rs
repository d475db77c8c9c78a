//! What all rooms of the kernel stand on.

pub mod values;
