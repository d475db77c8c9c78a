//! Tests of an illumos driver in a virtual machine: QEMU boots a guest, in which the driver is installed, tested and removed. docs/vm.md is the guide.
//!
//! ```text
//! guest      a description (TOML): how it starts, what its console says, which commands it takes
//! subject    the driver and the programs that test it; payload: their files
//! image      a disk image, found and verified         linux_image   or a kernel and initramfs from Debian's packages
//! seed       the volume that gives the guest its ssh key
//! qemu       the process; console, qmp: what it says  monitor       the one place where all that is noticed
//! clock      limits in time that the guest has had
//! transport  commands over ssh                        session       waits with limits, and what is wrong when one passes
//! steps      the steps of a run                       run           puts a run together
//! progress   what a person sees of it                 report        its results
//! ```
//!
//! The harness knows no driver and no operating system: [`guest`] and [`subject`] are data. It builds nothing; the caller hands it files.
//!
//! Locking: one thread does everything; reader threads only turn pipes into events.

pub mod accel;
mod clock;
mod console;
mod cpio;
mod debian;
mod events;
pub mod failure;
pub mod guest;
pub mod image;
mod linux_image;
mod monitor;
mod payload;
mod process;
mod progress;
mod qemu;
mod qmp;
pub mod report;
mod run;
mod seed;
mod session;
mod steps;
pub mod subject;
#[cfg(test)]
mod tests;
mod transport;

pub use guest::Guest;
pub use monitor::Interrupt;
pub use process::Guarded;
pub use progress::Progress;
pub use run::{Job, Options, Outcome, Places, Sabotage};
pub use steps::KILL_QEMU;
pub use subject::Subject;
