//! [`Operations`]: what a driver does with its areas. Values and a trait; no locks.

use core::cell::Cell;
use core::time::Duration;

use devmap::Errno;
use devmap::context::{Borrowed, MaySleep};
use devmap::fault::Access;

use crate::linux::area::Area;
use crate::page::{Page, number};

/// Operations of an area: `vm_operations_struct`. A static of the driver's implements it for what the areas' private data is.
pub trait Operations<P: Send + Sync + 'static>: Sync {
    /// The area is a copy, which fork(2) or a munmap(2) of a part of another has made. It has that one's private data, which this may replace.
    ///
    /// Not called for an mmap(2): what [`mmap`](super::mmap) is given counts that.
    fn open(&self, area: &mut Area<P>) {
        let _ = area;
    }

    /// The area is gone from its process: once for each that there was.
    fn close(&self, area: &Area<P>) {
        let _ = area;
    }

    /// A page that is not there is accessed. Answer it, or insert it with [`Area::vm_insert_page`] and say so.
    fn fault(&self, area: &Area<P>, vmf: &Vmf<'_>) -> Result<Answer, Failure> {
        let _ = (area, vmf);
        Err(Failure::Sigbus)
    }

    /// A page is about to be writable, of an area that [wants to be told](Area::want_writenotify). An error refuses the access.
    ///
    /// Comes at the first access to the page where that could be a write later, reads included: the framework loads a page with all that the mapping allows. In a [mixed](Area::mix) area it comes with the first write.
    fn page_mkwrite(&self, area: &Area<P>, vmf: &Vmf<'_>) -> Result<(), Failure> {
        let _ = (area, vmf);
        Ok(())
    }
}

/// Those of an area to which the driver gives none.
pub(super) struct NoOperations;

impl<P: Send + Sync + 'static> Operations<P> for NoOperations {}

/// Result of a fault.
#[derive(Debug)]
pub enum Answer {
    /// This page is it (`vmf->page`).
    Page(Page),
    /// The driver has inserted it (`VM_FAULT_NOPAGE`). If it is not there, the process tries again.
    Inserted,
    /// Nothing yet: the process tries again after this time (`VM_FAULT_RETRY`).
    Retry(Duration),
}

/// Failure of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The process gets `SIGBUS` (`VM_FAULT_SIGBUS`).
    Sigbus,
    /// There is no memory (`VM_FAULT_OOM`): `SIGBUS` with `ENOMEM`.
    Oom,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        if errno == Errno::ENOMEM { Failure::Oom } else { Failure::Sigbus }
    }
}

impl From<devmap::Error> for Failure {
    fn from(error: devmap::Error) -> Failure {
        error.errno().into()
    }
}

impl From<Failure> for Errno {
    fn from(failure: Failure) -> Errno {
        match failure {
            Failure::Sigbus => Errno::EFAULT,
            Failure::Oom => Errno::ENOMEM,
        }
    }
}

/// An access to be served: `vm_fault`.
// In this order: what is mostly 0 lies together.
#[repr(C)]
pub struct Vmf<'a> {
    pub(super) offset: u64,
    pub(super) prefault: bool,
    pub(super) major: Cell<bool>,
    pub(super) access: Access,
    pub(super) cx: Borrowed<'a>,
}

impl Vmf<'_> {
    #[inline]
    pub(super) fn new(cx: Borrowed<'_>, offset: u64, access: Access, prefault: bool) -> Vmf<'_> {
        Vmf { offset, access, prefault, major: Cell::new(false), cx }
    }
}

impl Vmf<'_> {
    /// The device offset of the page, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The same in pages (`pgoff`).
    pub fn pgoff(&self) -> u64 {
        number(self.offset)
    }

    /// Returns the context, for what waits: an operation may sleep, and holds up no other process then.
    pub fn context(&self) -> &impl MaySleep {
        &self.cx
    }

    /// Returns the kind of access.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Returns whether it is a write (`FAULT_FLAG_WRITE`).
    pub fn is_write(&self) -> bool {
        self.access == Access::Write
    }

    /// Returns whether nobody has touched the page yet: it is one of a [range to be populated](Area::populate).
    pub fn is_prefault(&self) -> bool {
        self.prefault
    }

    /// The fault took input or output (`VM_FAULT_MAJOR`); one that says nothing is minor. [`AddressSpace`](super::AddressSpace) counts both.
    pub fn major(&self) {
        self.major.set(true);
    }
}
