//! A client process, as the kernel above sees it: the "hat", which installs and takes away translations.

use std::sync::Arc;

use super::{Errno, FaultMode, Prot};

/// A client process: one address space. After exec it is another one.
#[derive(Debug)]
pub struct Process {
    id: u64,
}

impl Process {
    /// A number of this address space that no other one ever has.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The process id; 0 for a forked child that does not run yet.
    pub fn pid(&self) -> i32 {
        0
    }

    /// Is it gone (dead, or replaced by exec)? Loads then do nothing.
    pub fn is_gone(&self) -> bool {
        true
    }

    /// How its faults are caught.
    pub fn fault_mode(&self) -> FaultMode {
        FaultMode::Signal
    }

    /// Installs translations for `npages` pages from `va` on, to the frames from `pfn` on. Pages that have a translation keep it if it is the same, and get
    /// the new one if not. Pages without a mapping are skipped.
    ///
    /// # Errors
    /// `ESRCH`: the process is gone. `EFAULT`: the frames do not exist, or Linux refused.
    pub fn load(self: &Arc<Self>, _va: u64, _npages: u64, _pfn: u64, _prot: Prot) -> Result<(), Errno> {
        Err(Errno(libc::ESRCH))
    }

    /// Takes the translations of `npages` pages from `va` on away. When it returns, no thread of the process can use one of them: the next
    /// access faults. Costs nothing if none is loaded.
    pub fn unload(&self, _va: u64, _npages: u64) {}

    /// Changes the protection of `npages` pages from `va` on, loaded or not.
    pub fn protect(&self, _va: u64, _npages: u64, _prot: Prot) {}

    /// Pages that have a translation now.
    pub fn loaded_pages(&self) -> u64 {
        0
    }
}
