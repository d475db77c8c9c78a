//! Address space of this process's own: memory that drivers or clients use, or that is to fault.
//!
//! No locking. What is in a mapping is used by its addresses only, under promises that whoever uses them makes.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use rustix::mm::{
    Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munmap,
};

/// A mapping.
///
/// # Invariants
/// The `len` bytes from `base` on are address space that this value has made, whole pages, and that is unmapped when it is dropped. No Rust reference is made to what is in it,
/// so that it may be protected, replaced and emptied at any time: whoever has an address of it copies, by an access that may fault.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the address space belongs to the value and to no thread, by the invariant.
unsafe impl Send for Mapping {}
// SAFETY: as above; the methods are system calls.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Sets `len` bytes aside, of memory that is there when it is touched.
    ///
    /// # Errors
    /// The error of Linux: no address space.
    pub fn new(len: usize, prot: ProtFlags) -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address that Linux chooses.
        Self::of(unsafe { mmap_anonymous(std::ptr::null_mut(), len, prot, flags) }, len)
    }

    /// Maps the first `len` bytes of a file, to be read and written.
    ///
    /// # Errors
    /// The error of Linux.
    pub fn of_file(file: impl AsFd, len: usize) -> io::Result<Self> {
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::NORESERVE);
        // SAFETY: a new mapping at an address that Linux chooses.
        Self::of(unsafe { mmap(std::ptr::null_mut(), len, prot, flags, file, 0) }, len)
    }

    fn of(made: rustix::io::Result<*mut std::ffi::c_void>, len: usize) -> io::Result<Self> {
        let base = NonNull::new(made?.cast()).ok_or_else(|| io::Error::other("mapping at address 0"))?;
        Ok(Mapping { base, len })
    }

    /// Returns the address of its first byte.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Returns its addresses.
    pub fn addresses(&self) -> Range<usize> {
        self.base.addr().get()..self.base.addr().get() + self.len
    }

    /// Returns a range of it for a system call.
    ///
    /// # Panics
    /// If it is not of this mapping.
    fn part(&self, range: &Range<usize>) -> (*mut std::ffi::c_void, usize) {
        let all = self.addresses();
        assert!(
            all.start <= range.start && range.start <= range.end && range.end <= all.end,
            "within the mapping"
        );
        (self.base.as_ptr().with_addr(range.start).cast(), range.len())
    }

    /// Changes the protection of whole pages.
    ///
    /// # Panics
    /// If they are not of this mapping.
    pub fn protect(&self, pages: Range<usize>, prot: MprotectFlags) {
        let (at, len) = self.part(&pages);
        // SAFETY: pages of this mapping, to which there are no references, by the invariant.
        let _ = unsafe { mprotect(at, len, prot) };
    }

    /// Lets whole pages show a part of a file, to be read and written.
    ///
    /// # Errors
    /// The error of Linux.
    ///
    /// # Panics
    /// If they are not of this mapping.
    pub fn show(&self, pages: Range<usize>, file: impl AsFd, offset: u64) -> io::Result<()> {
        let (at, len) = self.part(&pages);
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::FIXED);
        // SAFETY: replaces pages of this mapping, to which there are no references, by the invariant.
        unsafe { mmap(at, len, prot, flags, file, offset) }?;
        Ok(())
    }

    /// Takes away what is in whole pages; accesses fault.
    ///
    /// # Panics
    /// If they are not of this mapping.
    pub fn clear(&self, pages: Range<usize>) {
        let (at, len) = self.part(&pages);
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: replaces pages of this mapping, to which there are no references, by the invariant.
        let _ = unsafe { mmap_anonymous(at, len, ProtFlags::empty(), flags) };
    }

    /// Leaves it out of a core file of this process.
    pub fn leave_out_of_core(&self) {
        // SAFETY: this mapping, whose contents stay.
        let _ = unsafe { madvise(self.base.as_ptr().cast(), self.len, Advice::LinuxDontDump) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the value's own address space, by the invariant; addresses of it are not used any more.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}
