//! Protections and sharing of a mapping, as mmap(2) has them. Values: any context, no locks.

use bitflags::bitflags;
use ddi_sys as sys;

bitflags! {
    /// Protections of a mapping: mmap(2)'s `PROT_` values.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Protection: u32 {
        /// `PROT_READ`.
        const READ = sys::PROT_READ;
        /// `PROT_WRITE`.
        const WRITE = sys::PROT_WRITE;
        /// `PROT_EXEC`.
        const EXECUTE = sys::PROT_EXEC;
    }
}

/// Sharing of a mapping: mmap(2)'s `MAP_SHARED`, `MAP_PRIVATE`. What they mean for a device is the
/// driver's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// `MAP_SHARED`.
    Shared,
    /// `MAP_PRIVATE`. Needs an access callback.
    Private,
}

/// The arguments of the process's mmap(2).
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub protection: u32,
    pub max_protection: u32,
    pub flags: u32,
    /// Credential of the process, valid for the length of its mmap(2).
    pub cred: *mut sys::cred_t,
}

impl Terms {
    pub(crate) fn sharing(&self) -> Sharing {
        if self.flags & sys::MAP_TYPE == sys::MAP_PRIVATE { Sharing::Private } else { Sharing::Shared }
    }
}
