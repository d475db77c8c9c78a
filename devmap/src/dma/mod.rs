//! DMA: memory that the device reads and writes itself.
//!
//! | | |
//! | --- | --- |
//! | [`BusMaster`] | a device that does DMA; needed for everything else |
//! | [`Attributes`] | the addresses that the device can reach, and the pieces that it takes |
//! | [`Handle`] | a DMA handle, with one binding at a time |
//! | [`Buffer`] | memory of the driver that fits the device |
//! | [`Binding`] | memory that the device reaches, at the addresses of its [`Cookie`]s, until it is dropped |
//!
//! Memory that can be bound: a [`Buffer`], kernel memory that processes map ([`Umem`](crate::Umem)), and a process's pinned memory ([`UserMemory`](crate::pinned::UserMemory)). A binding
//! keeps alive what it needs, so the order of dropping does not matter. But a device that still transfers when its binding is dropped writes into others'
//! memory: stop it first.
//!
//! Functions that sleep take a context. [`Handle::try_bind`], [`Binding::move_to`] and [`Binding::sync`] are for interrupts, too. Nothing here holds a lock.

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
