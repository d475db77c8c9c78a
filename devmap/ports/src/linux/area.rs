//! [`Area`]: what a mapping is for its driver. Locks: that of the mapping's pages, while some are inserted.

use alloc::sync::Arc;
use core::ops::Range;

use bitflags::bitflags;
use devmap::access::Order;
use devmap::once::OnceArc;
use devmap::page::{aligned, size};
use devmap::request::Protection;
use devmap::{Device, Errno, MapRequest};

use crate::linux::ops::{NoOperations, Operations};
use crate::linux::space::AddressSpace;
use crate::page::{Page, number};
use crate::pages::Pages;

bitflags! {
    /// Flags of an area: Linux's `VM_` values by name, those that mean something here.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// Shared (`MAP_SHARED`).
        const SHARED = 1;
        /// Device memory; set by `remap_pfn_range`.
        const IO = 1 << 1;
        /// Page frames without pages; set by `remap_pfn_range`.
        const PFNMAP = 1 << 2;
        /// Not for children: a child's accesses get `SIGBUS`, and its area is never opened. (Linux leaves a hole in the child instead.)
        const DONTCOPY = 1 << 3;
        /// Each page has memory of its own; see [`Area::mix`].
        const MIXEDMAP = 1 << 5;
        /// `page_mkwrite` is wanted; see [`Area::want_writenotify`].
        const NOTIFY = 1 << 4;
    }
}

/// A mapping of a process, or a piece of one, as the driver knows it: `vm_area_struct`.
///
/// Positions are device offsets in bytes, in place of Linux's addresses: devmap does not tell a driver where a process has its mapping.
pub struct Area<P: Send + Sync + 'static> {
    start: u64,
    end: u64,
    flags: Flags,
    protection: Protection,
    max: Protection,
    pub(super) order: Option<Order>,
    pub(super) ops: &'static dyn Operations<P>,
    /// Whether the driver has set operations.
    pub(super) has_ops: bool,
    private: Option<Arc<P>>,
    /// Whether the driver answers one page at a time, and need not be told of writes.
    pub(super) plain: bool,
    pub(super) populate: Range<u64>,
    /// From the first page on that is known.
    pages: OnceArc<Pages>,
    pub(super) space: AddressSpace<P>,
}

impl<P: Send + Sync + 'static> Drop for Area<P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(pages) = self.pages.take() {
            self.space.remove(pages);
        }
    }
}

impl<P: Send + Sync + 'static> Area<P> {
    pub(super) fn new<D: Device>(
        request: &MapRequest<'_, D>,
        space: &AddressSpace<P>,
        max: Protection,
    ) -> Area<P> {
        let shared = request.sharing() == devmap::Sharing::Shared;
        let (start, end) = (request.offset(), request.end());
        Area {
            start,
            end,
            flags: if shared { Flags::SHARED } else { Flags::empty() },
            protection: request.protection(),
            max,
            order: None,
            ops: &NoOperations,
            has_ops: false,
            private: None,
            plain: true,
            populate: 0..0,
            pages: OnceArc::new(),
            space: space.clone(),
        }
    }

    /// Returns its pages, if any is known.
    #[inline]
    pub(super) fn pages(&self) -> Option<&Pages> {
        self.pages.get()
    }

    /// The same, which are known from now on. `ENOMEM`.
    pub(super) fn make_pages(&self) -> Result<&Pages, Errno> {
        if let Some(pages) = self.pages() {
            return Ok(pages);
        }
        // Listed first: what is known must not be missed.
        let made = self.space.add(Pages::new(self.start, self.end - self.start)?)?;
        self.pages.set(made).or_else(|made| {
            // Another thread was faster.
            self.space.remove(made);
            self.pages().ok_or(Errno::EAGAIN)
        })
    }

    /// A copy of its pages, for a child. `ENOMEM`.
    pub(super) fn copy_pages(&self) -> Result<Option<Arc<Pages>>, Errno> {
        match self.pages() {
            None => Ok(None),
            Some(pages) => self.space.add(pages.copy()?).map(Some),
        }
    }

    /// The same pages, for a piece.
    pub(super) fn share_pages(&self) -> Option<Arc<Pages>> {
        self.pages.share()
    }

    /// A copy that has not been opened, of these pages.
    pub(super) fn copy(&self, range: Range<u64>, pages: Option<Arc<Pages>>) -> Area<P> {
        Area {
            start: range.start,
            end: range.end,
            private: self.private.clone(),
            populate: self.populate.clone(),
            pages: pages.into(),
            space: self.space.clone(),
            ..*self
        }
    }

    /// Makes it shorter.
    pub(super) fn cut(&mut self, range: Range<u64>) {
        (self.start, self.end) = (range.start, range.end);
    }

    /// The device offset at which it starts, in bytes (`vm_pgoff`, and `vm_start`).
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The device offset at which it ends (`vm_end`).
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The device offset at which it starts, in pages (`vm_pgoff`).
    pub fn pgoff(&self) -> u64 {
        number(self.start)
    }

    /// Returns the flags (`vm_flags`).
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// Sets flags (`vm_flags_set`); in mmap and open.
    pub fn set_flags(&mut self, flags: Flags) {
        self.flags |= flags;
        self.plain &= !flags.intersects(Flags::NOTIFY | Flags::MIXEDMAP);
    }

    /// The protection that the process asked for. What mprotect(2) has made of it since, a driver is not told.
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// Returns the greatest protection that the process can have (`VM_MAYREAD`, `VM_MAYWRITE`, `VM_MAYEXEC`).
    pub fn max_protection(&self) -> Protection {
        self.max
    }

    /// Takes protections from what the process can have (`vm_flags_clear(VM_MAYWRITE)`); in mmap only. If the process asks for one of them, its mmap(2) fails.
    pub fn lower(&mut self, max: Protection) {
        self.max &= max;
    }

    /// Sets the order of the process's accesses to register memory, in mmap only: [`Order::Strict`] is `pgprot_noncached`, [`Order::Merging`] is `pgprot_writecombine`.
    pub fn set_order(&mut self, order: Order) {
        self.order = Some(order);
    }

    /// The private data (`vm_private_data`).
    pub fn private(&self) -> Option<&Arc<P>> {
        self.private.as_ref()
    }

    /// Sets the private data; in mmap and open. A copy of the area has the same.
    pub fn set_private(&mut self, private: Arc<P>) {
        self.private = Some(private);
    }

    /// Sets the operations (`vm_ops`); in mmap only.
    pub fn set_ops(&mut self, ops: &'static dyn Operations<P>) {
        (self.ops, self.has_ops) = (ops, true);
    }

    /// Asks for [`page_mkwrite`](Operations::page_mkwrite), if the area is shared and can be written; in mmap only.
    pub fn want_writenotify(&mut self) {
        self.set_flags(Flags::NOTIFY);
    }

    pub(super) fn notifies(&self) -> bool {
        self.flags.contains(Flags::NOTIFY | Flags::SHARED)
    }

    /// Lets each page of the area have memory of its own, register memory beside kernel memory, and other memory each time that it was unmapped (`VM_MIXEDMAP`); in mmap only, before pages are inserted.
    ///
    /// `ENOTSUP` with the kernel's own framework, for which the pages of an area are one memory; then it is all of them that move, after all were unmapped.
    pub fn mix(&mut self) -> Result<(), Errno> {
        self.make_pages()?.each()?;
        self.set_flags(Flags::MIXEDMAP);
        Ok(())
    }

    /// Fills these device offsets together, with the first access to any of them (`MAP_POPULATE`, prefault); in mmap only. `EINVAL` if they are not pages of the area.
    pub fn populate(&mut self, range: Range<u64>) -> Result<(), Errno> {
        let len = range.end.checked_sub(range.start).ok_or(Errno::EINVAL)?;
        self.check(range.start, len)?;
        self.populate = range;
        self.plain = false;
        Ok(())
    }

    /// Fails with `EINVAL` if these are no pages of the area.
    fn check(&self, at: u64, len: u64) -> Result<u64, Errno> {
        let end = at.checked_add(len).ok_or(Errno::EINVAL)?;
        if !aligned(at) || !aligned(len) || len == 0 || at < self.start || end > self.end {
            return Err(Errno::EINVAL);
        }
        Ok(end)
    }

    fn insert(&self, at: u64, page: &Page, len: u64) -> Result<(), Errno> {
        let end = self.check(at, len)?;
        let pages = self.make_pages()?;
        pages.insert(&mut pages.state.lock(), page, &(at - pages.start..end - pages.start))
    }

    /// Maps `len` bytes from `page` on at device offset `at`, whole or in part: `remap_pfn_range`, `io_remap_pfn_range`. In mmap. What is not mapped stays without a page.
    ///
    /// `EINVAL` for what are no pages of the area, and where the page's memory does not reach from the start of the mapping to its end. `EBUSY` where there are pages.
    pub fn remap_pfn_range(&mut self, at: u64, page: &Page, len: u64) -> Result<(), Errno> {
        self.insert(at, page, len)?;
        self.flags |= Flags::IO | Flags::PFNMAP;
        Ok(())
    }

    /// Inserts one page at device offset `at`, in mmap or in a fault. Errors as of [`remap_pfn_range`](Area::remap_pfn_range).
    pub fn vm_insert_page(&self, at: u64, page: &Page) -> Result<(), Errno> {
        self.insert(at, page, size() as u64)
    }

    /// Inserts pages from device offset `at` on, until one cannot be. Returns the number of those that were, if that is any, or the error of the first.
    pub fn vm_insert_pages(&self, at: u64, pages: &[Page]) -> Result<usize, Errno> {
        for (count, page) in pages.iter().enumerate() {
            let place = at.checked_add((count * size()) as u64).ok_or(Errno::EINVAL);
            match place.and_then(|place| self.vm_insert_page(place, page)) {
                Err(error) if count == 0 => return Err(error),
                Err(_) => return Ok(count),
                Ok(()) => {}
            }
        }
        Ok(pages.len())
    }

    pub(super) fn open(&mut self) {
        self.ops.open(self);
    }

    pub(super) fn close(&self) {
        self.ops.close(self);
    }
}
