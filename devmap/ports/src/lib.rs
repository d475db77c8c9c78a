//! The mapping models that drivers come from, on devmap: for the mmap half of a port.
//!
//! | module | the model | the words that it has |
//! | --- | --- | --- |
//! | [`linux`] | Linux's `vm_operations_struct`, and FreeBSD's LinuxKPI as a [mode](linux::Mode) of it | area, fault, `page_mkwrite`, open, close, `unmap_mapping_range` |
//! | [`kiobuf`] | the buffers of Linux 2.4 | buffer, lock, map |
//! | [`uvm`] | NetBSD's, as its developers asked for it | object, pager: get, put, reference, detach |
//!
//! A driver that is written anew needs none of this: devmap itself is simpler and can do more. docs/porting.md puts their calls beside these, with what differs.
//!
//! A model is a type of [`Mapping`](devmap::Mapping) and a function that [`Device::devmap`] calls; the rest of a driver is devmap's. Uses devmap only, and
//! has no `unsafe`. Locks: each module says which it has; all come behind the driver's own and before devmap's.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod bits;
pub mod kiobuf;
pub mod linux;
pub mod page;
mod pages;
mod pieces;
pub mod uvm;

use devmap::request::Protection;
use devmap::{Device, Errno, MapRequest, Sharing};

/// The greatest protection of a request: a private mapping is never written, as no framework copies a device's pages. `ENOTSUP` for one that is to be.
fn most<D: Device>(request: &MapRequest<'_, D>) -> Result<Protection, Errno> {
    let most = request.max_protection();
    match request.sharing() {
        Sharing::Shared => Ok(most),
        Sharing::Private if request.protection().contains(Protection::WRITE) => Err(Errno::ENOTSUP),
        Sharing::Private => Ok(most - Protection::WRITE),
    }
}
