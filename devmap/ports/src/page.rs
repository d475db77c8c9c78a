//! [`Page`]: one page of memory that can be mapped. What `struct page *` and a page frame number are elsewhere. Values: any context, no locks.

use core::fmt;

use devmap::context::MaySleep;
use devmap::page::{aligned, size};
use devmap::{Errno, Memory, Umem};

/// A page of kernel memory, of a register set or of a process. A clone refers to the same page and keeps its memory.
#[derive(Clone)]
pub struct Page {
    memory: Memory,
    offset: u64,
}

impl Page {
    /// The page at byte `offset` of this memory. `EINVAL` if the offset is not a page's, or the page does not lie within the memory.
    pub fn of(memory: impl Into<Memory>, offset: u64) -> Result<Page, Errno> {
        let memory = memory.into();
        let end = offset.checked_add(size() as u64);
        if !aligned(offset) || end.is_none_or(|end| end > memory.len()) {
            return Err(Errno::EINVAL);
        }
        Ok(Page { memory, offset })
    }

    /// The page so many behind it in its memory. `EINVAL` beyond the end.
    pub fn nth(&self, pages: usize) -> Result<Page, Errno> {
        let distance = (pages as u64).checked_mul(size() as u64);
        let offset = distance.and_then(|distance| self.offset.checked_add(distance)).ok_or(Errno::EINVAL)?;
        Page::of(&self.memory, offset)
    }

    /// The memory that it is of.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Offset in the memory, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Copies a page to this one: `copy_highpage`, LinuxKPI's `pmap_copy_page`. User and kernel context.
    ///
    /// # Errors
    /// `ENOTSUP` if one is registers; `EACCES` if this is a process's that was not held for writing; `ESTALE` if it is lost.
    pub fn copy_from(&self, cx: &impl MaySleep, from: &Page) -> Result<(), Errno> {
        let (to, at, len) = (self.offset, from.offset, size());
        match (&self.memory, &from.memory) {
            (Memory::Umem(target), Memory::Umem(source)) => target.copy_from(to, source, at, len)?,
            (Memory::Umem(target), Memory::User(source)) => {
                source.read_only(cx)?.copy_to(at, target, to, len)?;
            }
            (Memory::User(target), Memory::Umem(source)) => {
                target.view(cx)?.copy_from(to, source, at, len)?
            }
            (Memory::User(target), Memory::User(source)) => {
                let target = target.view(cx)?;
                source.read_only(cx)?.copy_to(at, &target, to, len)?;
            }
            _ => return Err(Errno::ENOTSUP),
        }
        Ok(())
    }

    /// Returns whether it is kernel memory, allocated by this driver: what `is_vmalloc_addr` asks of an address.
    pub fn is_kernel(&self) -> bool {
        matches!(self.memory, Memory::Umem(_))
    }
}

impl PartialEq for Page {
    /// Whether they are the same page.
    fn eq(&self, other: &Page) -> bool {
        self.offset == other.offset && self.memory.is(&other.memory)
    }
}
impl Eq for Page {}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the page at {:#x}", self.offset)
    }
}

/// The number of the page in which this byte lies. The page size is a variable, and a power of two.
pub(crate) fn number(offset: u64) -> u64 {
    offset >> size().trailing_zeros()
}

/// Start of the page in which this byte lies.
pub(crate) fn start(offset: u64) -> u64 {
    offset & !(size() as u64).wrapping_sub(1)
}

/// From kernel memory to its page: `vmalloc_to_page`, `virt_to_page`. The offset is any byte's of the page.
pub fn vmalloc_to_page(memory: &Umem, offset: u64) -> Result<Page, Errno> {
    Page::of(memory, start(offset))
}
