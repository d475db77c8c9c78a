//! Messages of every room: the log, reports, values as files spell them. Uses nothing of the kernel; leaf locks.

pub mod log;
pub mod report;
pub mod values;
