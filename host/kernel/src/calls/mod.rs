//! System calls of processes: devices by path, open files, and the way to drivers' entry points.
//!
//! | file | what |
//! | --- | --- |
//! | [`kernel`] | implements `ddi_process::Kernel`: each system call to its entry point |
//! | [`traced`] | records the same calls in the trace, if there is one |
//! | [`block`] | read(2) and write(2) of block devices |
//! | [`names`] | the paths of minor nodes |
//! | [`system`] | what the kernel and devfsadm(8) know of the system whose directory the machine has |
//! | [`autoload`] | devices whose driver is loaded when they are opened |
//!
//! Locking: each file has leaf locks of its own; none is held while driver code runs.

pub mod autoload;
pub mod block;
pub mod kernel;
pub mod names;
pub mod system;
pub mod traced;
