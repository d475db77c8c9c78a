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
