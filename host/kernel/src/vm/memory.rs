//! Physical memory: one memfd, made when the machine starts, and the address space that a host needs beside it. No locking.

use std::sync::{Arc, OnceLock};

use ddi_process::mapping::Mapping;
use ddi_process::physmem::{DEFAULT_SIZE, PhysMem};
use rustix::mm::ProtFlags;

static MEMORY: OnceLock<Arc<PhysMem>> = OnceLock::new();
/// The physical memory; made at first use.
///
/// # Panics
/// When Linux has no memfd. [`start`](super::start) finds that out in time.
pub fn memory() -> &'static Arc<PhysMem> {
    MEMORY.get_or_init(|| PhysMem::new(DEFAULT_SIZE).expect("a memfd for physical memory"))
}

/// Address space that is left for what a host needs while it runs, in bytes: modules, kernel memory, and the stacks of threads that serve clients.
const SPARE: usize = 2 << 30;

/// Linux has no memfd, or not so much address space.
#[derive(Debug, thiserror::Error)]
#[error("cannot make physical memory (it takes a memfd and 24 GiB of address space; see ulimit -v): {0}")]
pub struct NoMemory(#[from] std::io::Error);

/// Makes the physical memory if there is none yet. Returns whether it did.
///
/// # Errors
/// The error of Linux.
pub(super) fn make() -> Result<bool, NoMemory> {
    if MEMORY.get().is_some() {
        return Ok(false);
    }
    Ok(MEMORY.set(PhysMem::new(DEFAULT_SIZE)?).is_ok())
}

/// Looks whether there is the address space that a host needs while it runs.
pub(super) fn room_to_run() -> std::io::Result<()> {
    room(SPARE)
}

/// Looks whether there is room for what any command needs.
///
/// # Errors
/// There is none: `ENOMEM`.
pub fn room_to_begin() -> std::io::Result<()> {
    room(256 << 20)
}

fn room(len: usize) -> std::io::Result<()> {
    Mapping::new(len, ProtFlags::empty()).map(drop)
}
