//! Virtual memory: segdev on the host.
//!
//! [`Host`] is segdev's platform ([`platform`]); a process is a [`client`] with its address space.
//!
//! Locking: segdev's order; below it `process`'s own locks, which are leaves here. A driver may hold its mutexes in any call that ends
//! up here: nothing in this folder calls a driver from within a load, an unload or a remap.

pub mod behind;
pub mod client;
pub mod cookie;
pub mod device;
pub mod frames;
pub mod host;
pub mod kva;
pub mod locks;
pub mod memory;
pub mod platform;
pub mod reserve;
pub mod segments;
pub mod storm;
pub mod umem;
pub mod unserved;

pub use client::in_fault;
pub use host::{Host, framework};
pub use memory::{NoMemory, memory, room_to_begin};
pub use platform::start;
pub use reserve::give_back;
