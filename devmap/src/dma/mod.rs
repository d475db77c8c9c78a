//! DMA: memory that the device reads and writes itself.
//!
//! | | |
//! | --- | --- |
//! | [`BusMaster`] | what a device has that does DMA; from it comes everything else |
//! | [`Attributes`] | what the device can reach, and in what pieces |
//! | [`Handle`] | what is bound to, one piece of memory at a time |
//! | [`Buffer`] | memory of the driver's that fits the device |
//! | [`Binding`] | memory that the device reaches, at the addresses of its [`Cookie`]s, until it is dropped |
//!
//! Bound can be a [`Buffer`], kernel memory that processes map ([`Umem`](crate::Umem)), and a process's pinned memory ([`UserMemory`](crate::pinned::UserMemory)). What a binding
//! needs lives as long as it: no order of dropping is wrong. But a device that still transfers when its binding is dropped writes where others
//! are: stop it first.
//!
//! What sleeps takes its context. [`Handle::try_bind`], [`Binding::move_to`] and [`Binding::sync`] are for interrupts, too. Nothing here holds a lock.

mod attributes;
mod binding;
mod buffer;
mod handle;
mod master;

pub use attributes::Attributes;
pub use binding::{Binding, Bound, Cookie, Towards};
pub use buffer::Buffer;
pub use handle::{Direction, Handle, Transfer};
pub use master::BusMaster;
