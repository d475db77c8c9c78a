//! [`UserPages`]: pages of a process that a driver holds: `get_user_pages`, LinuxKPI's `vm_fault_quick_hold_pages` with `vm_page_wire`.

use devmap::argument::Argument;
use devmap::page::size;
use devmap::pinned::{Pins, UserMemory};
use devmap::request::Protection;
use devmap::{Errno, Memory};

use crate::page::{Page, number};

/// Pages of the calling process, held (they stay the process's) and wired (they stay where they are) while this, a [`Page`] of it or a mapping of one is there.
///
/// The words of the originals:
///
/// | there | here |
/// | --- | --- |
/// | `get_user_pages`, `vm_fault_quick_hold_pages`, `vm_page_wire` | [`hold`](UserPages::hold) |
/// | `get_page`, `vm_page_reference` | a clone of the [`page`](UserPages::page) |
/// | `put_page`, `vm_page_unhold`, `vm_page_unwire` | dropping it |
/// | `mark_page_accessed`, `set_page_dirty` | the kernel marks all of them when they are let go; dirty those that are held for writing |
/// | `copy_highpage`, `pmap_copy_page` | [`Page::copy_from`] |
/// | `is_vmalloc_addr` | [`Page::is_kernel`] |
///
/// A process that unmaps held pages, or ends, waits until they are let go: a driver that keeps them longer than a call uses [`Pins::lock`] and is told.
#[derive(Clone, Debug)]
pub struct UserPages(UserMemory);

impl UserPages {
    /// Holds the pages at this address of the process that calls, for reading or (`write`) for both. User context.
    ///
    /// # Errors
    /// `EINVAL` for an address that is no page's, or no pages; `EFAULT`, `EACCES`, `ENOMEM` and `ENOTSUP` as [`Pins::lock`].
    pub fn hold(
        pins: &Pins,
        argument: &Argument<'_>,
        address: u64,
        pages: usize,
        write: bool,
    ) -> Result<UserPages, Errno> {
        let len = pages.checked_mul(size()).ok_or(Errno::EINVAL)?;
        let access = if write { Protection::READ | Protection::WRITE } else { Protection::READ };
        Ok(UserPages(pins.lock(argument, address, len, access, |_| ())?))
    }

    /// Number of pages.
    pub fn len(&self) -> usize {
        usize::try_from(number(self.0.len() as u64)).unwrap_or(usize::MAX)
    }

    /// Returns false.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The page of this number. `EINVAL` beyond the last.
    pub fn page(&self, number: usize) -> Result<Page, Errno> {
        let offset = (number as u64).checked_mul(size() as u64).ok_or(Errno::EINVAL)?;
        Page::of(Memory::User(self.0.clone()), offset)
    }
}
