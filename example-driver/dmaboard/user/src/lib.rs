//! What dmaboard and its programs agree on: what is mapped from which offset, the ioctls and what they copy.
#![no_std]
#![deny(unsafe_code)]

use devmap_plain::Pointer;

/// Offset and length of an open's own memory, which the board reads and writes.
pub const MEMORY: u64 = 0;
/// Bytes of it.
pub const MEMORY_LEN: usize = 0x1_0000;
/// Offset of the board's window, which all opens share.
pub const WINDOW: u64 = 0x10_0000;
/// Bytes of the window.
pub const WINDOW_LEN: usize = 0x4000;

/// ioctl: the board copies part of the open's memory; takes a [`Part`]. `EINVAL` for a part that is not there, `EIO` when the board fails.
pub const DMABOARD_COPY: i32 = 0x6401;
/// ioctl: the board reads the program's own pages into the open's memory; takes a [`Fetch`]. Errors as of [`DMABOARD_COPY`], and `EFAULT`.
pub const DMABOARD_FETCH: i32 = 0x6402;
/// ioctl: returns how many alarms there were since the open last asked.
pub const DMABOARD_ALARMS: i32 = 0x6403;

devmap_plain::plain! {
    /// `len` bytes from byte `from` of the open's memory on go to byte `to`.
    #[derive(Default)]
    pub struct Part {
        /// Where they are.
        pub from: u64,
        /// Where they go.
        pub to: u64,
        /// How many they are.
        pub len: u64,
    }

    /// `len` bytes at `address`, whole pages of the program's, go to byte `to` of the open's memory.
    pub struct Fetch {
        /// Where they go.
        pub to: u64,
        /// Where they are.
        pub address: Pointer,
        /// How many they are.
        pub len: usize,
    }
}
