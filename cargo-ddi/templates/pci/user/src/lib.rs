//! The interface between newdrv and its programs. It builds in a kernel, on illumos and on Linux.
//!
//! The numbers are part of the binary interface: they do not change, new ones are added.
#![no_std]
#![deny(unsafe_code, missing_docs)]

/// ioctl: copies out a [`Status`].
pub const NEWDRV_STATUS: i32 = 0x6e01;
/// ioctl: has the board raise its interrupt.
pub const NEWDRV_RING: i32 = 0x6e02;

devmap_plain::plain! {
    /// The board, and what was done since the driver was attached.
    #[derive(Default)]
    pub struct Status {
        /// The board's revision.
        pub revision: u64,
        /// Bytes of the window, which is mapped from offset 0.
        pub window: u64,
        /// Mappings made.
        pub maps: u64,
        /// Interrupts taken.
        pub interrupts: u64,
    }
}
