//! Interrupts: [`Interrupts`] of a device, [`SoftInterrupt`]s, and the [`Mutex`] that their handlers share with the rest of the driver.
//!
//! A handler is a closure. It runs in interrupt context, [`Interrupt`](crate::context::Interrupt), and may block on a mutex but not sleep; above the scheduler's priority in
//! [`HighLevel`](crate::context::HighLevel), where it may take a mutex of its own [`Priority`] only, and has a soft interrupt do the rest. Handlers of several vectors run at the same time, that of one
//! vector does not run twice. A handler uses only what its closure owns, for example an `Arc` of a part of the device. It does not run any more once the
//! [`Interrupts`] are dropped, which keep the node attached.
//!
//! Everything here but the handlers themselves, masks and triggers is for kernel context.

mod level;
mod mutex;
mod soft;
mod vectors;

pub use level::{Claim, High, Kind, Level, Low, Priority};
pub use mutex::{Guard, Mutex};
pub use soft::{SoftInterrupt, SoftPriority};
pub use vectors::{Allocated, Interrupts, Vectors};
