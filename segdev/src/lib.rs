//! The devmap framework, reimplemented: segments, handles, faults, contexts, dup, unmap.
//!
//! A library, not a kernel: generic over [`Platform`], without threads, file descriptors or C structures, without
//! `unsafe`. What it must do is recorded in a conformance corpus (`segdev/conformance`, run by `replay`).
//!
//! # The parts
//!
//! | who calls | what | where |
//! | --- | --- | --- |
//! | address space | [`space::AddressSpace`]: mmap, munmap, mprotect, fault, fork, exit, queries over many segments | [`space`] |
//! | address space | [`Segment`]: the same for one mapping; made by [`Framework::setup`] | [`segment`] |
//! | driver, in `devmap(9E)` | [`Framework::devmem_setup`], [`Framework::umem_setup`] | [`setup`] |
//! | driver, anywhere | [`Framework::devmem_remap`], [`Framework::umem_remap`] | [`setup`] |
//! | driver, anywhere | [`Framework::load`], [`Framework::unload`], [`Framework::default_access`] | [`load`] |
//! | driver, anywhere | [`Framework::do_ctxmgt`], [`Framework::set_ctx_timeout`] | [`context`] |
//! | platform's timer | [`Framework::ctx_timeout`] | [`context`] |
//! | framework | the driver's callbacks ([`Device`], [`Callbacks`]) and the rest of [`Platform`] | [`platform`] |
//!
//! A mapping request goes down as `AddressSpace::mmap` → `Framework::setup` → `Device::devmap` → `umem_setup` → `Callbacks::map`; a
//! fault as `AddressSpace::fault` → `Segment::fault` → `Callbacks::access` → `Framework::default_access` → `Platform::load`.
//!
//! # Handles
//!
//! A [`Handle`] is shared by `Arc`: the segment holds it, the platform may (to find it from a driver's cookie), and any
//! thread may call any function with it at any time. Once it is unmapped (or its mapping failed) it is dead: every
//! call is refused with an error. A handle knows its address space ([`Handle::space`]) and everything else it needs, so
//! such calls take the handle's own lock only. The locks and their order: [`lock`].
//!
//! A mapping of one handle *is* that handle: it has no memory, and no bounds, of its own ([`Segment::One`]). What a driver gives with each
//! handle, its callbacks, is kept once for a device, together with the context and softlock that they mean ([`registry`]).
//!
//! # The usual ways
//!
//! The entries that are called often look at the handle's shape first: a set of bits for what is unusual about it. With none of them set, a fault,
//! a load and an unload are a few steps under one lock; anything else goes to a function that does everything, out of line.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "sim")]
extern crate std;

pub mod context;
mod ctxmgt;
mod fault;
mod frames;
mod framework;
mod handle;
mod keyed;
mod large;
mod list;
pub mod load;
pub mod lock;
mod locked;
mod object;
mod page_locks;
pub mod pages;
pub mod platform;
pub mod registry;
pub mod segment;
pub mod setup;
mod shared;
mod sharing;
#[cfg(feature = "sim")]
pub mod sim;
mod softlock;
pub mod space;
mod state;
mod types;
pub mod unmap;

pub use context::Context;
pub use framework::{Framework, Live};
pub use handle::{Handle, HandleInfo, Sharing};
pub use platform::{
    Access, Callbacks, Device, Entries, FreeRanges, MutexGuard, Node, Platform, Run, Umem, UmemKind, Unmap,
    Want,
};
pub use registry::Registry;
pub use segment::{Congruence, Many, MapRequest, Segment};
pub use setup::{DevmemSetup, Given, PageMemory, PagesOf, SetupError, UmemSetup};
pub use types::{
    Errno, FaultCode, FaultType, MapFlags, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Pfn, Prot, Rw, SetupFlags,
    page_ceil, page_floor,
};
