//! The interface between newdrv and its programs. It builds in a kernel, on illumos and on Linux.
//!
//! The numbers are part of the binary interface: they do not change, new ones are added.
#![no_std]
#![deny(unsafe_code, missing_docs)]

/// Bytes of the engine's state, which is mapped from offset 0.
pub const LEN: usize = 8192;

/// ioctl: copies out a [`Status`].
pub const NEWDRV_STATUS: i32 = 0x6e01;

devmap_plain::plain! {
    /// Counters since the driver was attached.
    #[derive(Default)]
    pub struct Status {
        /// Mappings made.
        pub maps: u64,
        /// Pages loaded on access.
        pub faults: u64,
        /// Times that the engine was given to another context.
        pub switches: u64,
    }
}
