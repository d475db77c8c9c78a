//! Statistics that `kstat(8)` shows, of all types.
//!
//! | | what | kept by |
//! | --- | --- | --- |
//! | [`counters!`](crate::counters!) | named 64-bit counters | atomics: any context, any lock held |
//! | [`named!`](crate::named!), [`Named`] | named values of all types, updated when they are read | a mutex |
//! | [`Io`] | waiting and running requests, and their times | a mutex |
//! | [`Counts`] | interrupts by kind | atomics |
//! | [`Timers`] | the number of events, and their times | a mutex |
//! | [`Raw`] | a structure of the driver's own | a mutex |
//!
//! The mutex is one that an interrupt handler may take ([`Priority`](crate::interrupt::Priority)); the kernel holds it while the kstat is read. All are made in user or kernel
//! context, and visible until dropped, which must not be done with that mutex held.

mod counters;
mod counts;
mod io;
mod made;
mod named;
mod raw;
mod timers;

pub use counters::{Counter, Kstat};
pub use counts::Counts;
pub use io::{Io, IoGuard, Running, Waiting};
pub use named::{Field, Fields, Label, Line, Named, NamedGuard};
pub use raw::{Raw, RawGuard};
pub use timers::Timers;
