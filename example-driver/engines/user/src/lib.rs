//! What engines and its programs agree on: what a mapping is, the ioctl and what it copies.
#![no_std]
#![deny(unsafe_code)]

/// Bytes of a context: what is mapped from offset 0. Each mmap(2) has one of its own, which children share.
pub const LEN: usize = 0x3000;

/// ioctl: copies out a [`Status`] of the engine that is open.
pub const ENGINES_STATUS: i32 = 0x6501;

devmap_plain::plain! {
    /// What an engine has done.
    #[derive(Default)]
    pub struct Status {
        /// Accesses that were served.
        pub faults: u64,
        /// How many of them brought a context in.
        pub switches: u64,
        /// How many contexts had to leave for that.
        pub evictions: u64,
        /// Contexts that it has places for.
        pub places: u64,
    }
}
