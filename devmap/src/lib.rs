//! Write an illumos driver that exports memory to processes, in safe Rust.
//!
//! A driver is a type that implements [`Device`], with one value for each instance, and a type that implements [`Mapping`], for the
//! private data of a mapping. The [`module!`] macro makes a module of them. Neither needs `unsafe`.
//!
//! docs/writing-a-driver.md builds a driver step by step and runs it; [`Device`] has the smallest one. Throughout: offsets and lengths are
//! bytes, a page is 4096 of them, times are [`Duration`](core::time::Duration)s, and errors are [`Errno`]s with illumos's numbers. A DDI call that can fail
//! returns an [`Error`], which names the manual page and the reason, and which `?` converts into an `Errno`.
//!
//! | phase | type | what the DDI allows there |
//! | --- | --- | --- |
//! | a process calls mmap(2) | [`MapRequest`] → [`Setup`] | choose the memory, once; refuse |
//! | the mapping exists | [`Handle`], [`MappingSet`], [`Mappings`] | unload, revoke, remap, from any thread |
//! | the process touches a page | [`Fault`] → [`Served`] | load, switch the context, retry later |
//! | the device's context is held | [`Context`] | load |
//! | the process forks | [`Dup`] | copy the private data, or refuse |
//! | the process unmaps | [`Cut`] → [`Remains`] | say what private data is left |
//!
//! Beside mappings: [`open`] (private data for each open, exclusive opens), [`caller`] (who calls), [`uio`] and [`argument`] (read, write, ioctl), [`poll`], [`timeout`], [`periodic`], [`task`]
//! and [`thread`]. A [`context`] is a type that says what code may do where it runs: what sleeps takes a context that may sleep. For functions that this crate does not
//! have, see [`raw`].
//!
//! # Locks
//!
//! Take locks in this order, and none of an earlier kind while holding a later:
//!
//! 1. the process's address space (the framework's; held as reader in access, as writer in dup and unmap)
//! 2. the device's context (the framework's; held inside [`Fault::switch_context`])
//! 3. the driver's own locks, in its own order
//! 4. the module's list of instances (this crate's)
//! 5. a [`MappingSet`]'s
//! 6. that of an instance's mappings, which is each of their [`Handle`]s' (held while [`MapRequest::previous`] looks, and while [`Context::load_alone`] switches)
//! 7. a [`Timeout`](timeout::Timeout)'s, a [`Thread`](thread::Thread)'s, the module's list of opens: held for a few instructions
//! 8. the framework's and the memory system's, inside a DDI call
//!
//! So a driver may hold its mutex while it unloads, loads and remaps, and must not while it calls
//! [`Fault::switch_context`] or [`Fault::retry_later`], or while it copies from or to a process. This crate holds
//! none of its locks when it calls the driver.
//!
//! # Defects of the framework
//!
//! illumos's own framework crashes, hangs or discloses memory in some situations. Where a driver can avoid
//! them, this crate does; docs/shield.md has the list, and what is left for the author to know.
#![no_std]
#![deny(missing_docs)]

extern crate alloc;

pub mod access;
pub mod argument;
#[cfg(feature = "model")]
#[doc(hidden)]
pub mod atomic;
#[cfg(not(feature = "model"))]
mod atomic;
mod attach;
mod busy;
mod call;
mod callbacks;
pub mod caller;
mod calls;
pub mod context;
pub mod device;
pub mod devid;
pub mod dma;
pub mod each_page;
pub mod endian;
mod entry;
pub mod errno;
pub mod fault;
mod fixed;
pub mod fm;
mod frame;
pub mod handle;
mod instance;
pub mod interrupt;
pub mod kmem;
pub mod kstat;
pub mod life;
mod lifecycle;
pub mod limit;
mod links;
pub mod log;
mod mapped;
pub mod mapping;
pub mod memory;
pub mod minor;
mod mmap;
pub mod module;
pub mod node;
mod numbers;
pub mod once;
pub mod open;
mod opens;
pub mod page;
pub mod pci;
pub mod periodic;
pub mod pinned;
pub mod poll;
pub mod power;
mod probe;
pub mod property;
mod protection;
pub mod raw;
pub mod registers;
pub mod request;
pub mod set;
mod slab;
mod slot;
mod state;
pub mod sync;
pub mod task;
mod tether;
pub mod text;
pub mod thread;
mod threads;
pub mod time;
pub mod timeout;
pub mod uio;
pub mod umem;
mod used;
pub mod volatile;

/// The DDI itself, as the kernel's headers have it: for the [way out](raw).
pub use ddi_sys as sys;

/// Values that may be copied from and to a process as bytes. Defined in a crate of their own (devmap-plain), which programs can use, too.
pub use devmap_plain as plain;
pub use devmap_plain::plain;

pub use access::Order;
pub use argument::{Argument, UserPtr};
pub use attach::{Attach, Mappings};
pub use caller::Caller;
pub use device::Device;
pub use errno::{Errno, Error};
pub use fault::{Access, Context, Fault, Served};
pub use handle::Handle;
pub use life::Refusal;
pub use limit::{Limit, Permit};
pub use mapping::{Cut, Dup, Head, Mapping, Middle, Remains, Tail, Whole};
pub use memory::Memory;
pub use minor::MinorNode;
pub use node::Node;
pub use open::Open;
pub use poll::{Events, Poll, PollHead, Polled};
pub use registers::Registers;
pub use request::{MapRequest, MapSetup, Protection, Setup, Sharing};
pub use set::{MappingSet, Member};
pub use uio::Uio;
pub use umem::Umem;
pub use volatile::Volatile;

/// Names that most drivers need: `use devmap::prelude::*;`.
pub mod prelude {
    pub use crate::sync::Mutex;
    pub use crate::umem::Kind;
    pub use crate::{
        Argument, Attach, Cut, Device, Dup, Errno, Events, Fault, Handle, Limit, MapRequest, Mapping,
        MappingSet, Mappings, Member, Memory, MinorNode, Node, Open, Order, Permit, Poll, PollHead, Polled,
        Registers, Remains, Served, Setup, Sharing, Uio, Umem,
    };
}
