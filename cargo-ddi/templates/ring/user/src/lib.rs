//! The interface between newdrv and its programs: layout of a ring, ioctls, and the structures that they copy.
//!
//! A ring is memory that driver and program share: two counters, and places for events. The driver writes an event into the place of [`HEAD`] and
//! counts that up; the program reads the one of [`TAIL`] and counts that up. Each is stored with `Release` by its owner, and loaded with `Acquire` by the other.
//! They count on through 2^32; the place is the counter modulo [`EVENTS`].
#![no_std]
#![deny(unsafe_code)]

/// Bytes of a ring, which is mapped from offset 0.
pub const LEN: usize = 4096;
/// Offset of the driver's counter, 32 bits: events that it has written.
pub const HEAD: u64 = 0;
/// Offset of the program's counter, 32 bits: events that it has read. On a cache line of its own.
pub const TAIL: u64 = 64;
/// Places for events, a power of two.
pub const EVENTS: u32 = 128;

/// Offset of the event that a counter stands for.
pub const fn place(counter: u32) -> u64 {
    128 + (counter % EVENTS) as u64 * size_of::<Event>() as u64
}

const _: () = assert!(place(EVENTS - 1) + size_of::<Event>() as u64 <= LEN as u64);

/// ioctl: copies out a [`Status`].
pub const NEWDRV_STATUS: i32 = 0x6e01;
/// ioctl: only every n-th event, 1 at least, goes into this open's ring. `EINVAL` for anything else.
pub const NEWDRV_EVERY: i32 = 0x6e02;

devmap_plain::plain! {
    /// An event.
    #[derive(Default)]
    pub struct Event {
        /// The number, from 0 on since the open; where one is missing, the ring was full.
        pub number: u64,
        /// When it came, in nanoseconds since an arbitrary moment.
        pub time: u64,
    }

    /// Counters of an open's ring.
    #[derive(Default)]
    pub struct Status {
        /// Events that came.
        pub events: u64,
        /// Those that were lost because the ring was full.
        pub lost: u64,
    }
}
