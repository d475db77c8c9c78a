//! Memory in the lowest 2 GiB of the process, where every address fits a sign-extended 32-bit field and everything is within a
//! 32-bit displacement of everything else, as in the upper 2 GiB of the kernel.
//!
//! Locking: none; a [`Block`] is owned by whoever reserved it.

use std::io;
use std::ptr::{self, NonNull};

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// End of the window that a module and all it refers to live in.
pub const LIMIT: usize = 1 << 31;

/// What may be done with pages of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing: guard pages.
    None,
    /// Reading.
    Read,
    /// Reading and writing.
    ReadWrite,
    /// Reading and executing.
    ReadExecute,
}

impl Access {
    fn bits(self) -> libc::c_int {
        match self {
            Access::None => libc::PROT_NONE,
            Access::Read => libc::PROT_READ,
            Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
            Access::ReadExecute => libc::PROT_READ | libc::PROT_EXEC,
        }
    }
}

/// `len` rounded up to whole pages.
pub const fn round_up(len: usize) -> usize {
    (len + PAGE - 1) & !(PAGE - 1)
}

/// Pages below 2 GiB; unmapped when dropped.
#[derive(Debug)]
pub struct Block {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a block is plain memory with no thread affinity; who may touch which bytes is up to its owner, whose accesses are
// unsafe and say why.
unsafe impl Send for Block {}
// SAFETY: as above; the methods that take &self only hand out addresses and change protections.
unsafe impl Sync for Block {}

impl Block {
    /// Zeroed pages, readable and writable. `len` is rounded up to pages and must not be 0.
    ///
    /// # Errors
    /// `ENOMEM` when there is no room below 2 GiB.
    pub fn new(len: usize) -> io::Result<Block> {
        Block::map(len, Access::ReadWrite, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
    }

    /// A view of a memory file, from its start.
    ///
    /// # Errors
    /// `ENOMEM` when there is no room below 2 GiB; what mmap(2) says of the file.
    pub fn of_file(file: &impl std::os::fd::AsRawFd, len: usize, access: Access) -> io::Result<Block> {
        Block::map(len, access, libc::MAP_SHARED, file.as_raw_fd())
    }

    fn map(len: usize, access: Access, flags: libc::c_int, fd: libc::c_int) -> io::Result<Block> {
        let len = round_up(len);
        if let Some(block) = try_map(ptr::null_mut(), len, access, flags | libc::MAP_32BIT, fd)? {
            return Ok(block);
        }
        // MAP_32BIT searches the second GiB only: look through the rest.
        let step = (len + 0xf_ffff) & !0xf_ffff;
        let mut hint = 0x1_0000;
        while hint + len <= LIMIT {
            let flags = flags | libc::MAP_FIXED_NOREPLACE;
            if let Some(block) = try_map(ptr::without_provenance_mut(hint), len, access, flags, fd)? {
                return Ok(block);
            }
            hint += step;
        }
        Err(io::Error::from_raw_os_error(libc::ENOMEM))
    }

    /// Its first byte.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }
    /// Its first byte, as a number.
    pub fn address(&self) -> usize {
        self.base.as_ptr() as usize
    }
    /// Its length in bytes, a multiple of the page size.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Never: a block has at least one page.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Changes what may be done with a range of pages (bytes from the start of the block).
    ///
    /// # Errors
    /// What mprotect(2) says.
    ///
    /// # Panics
    /// When the range is not within the block.
    pub fn protect(&self, range: std::ops::Range<usize>, access: Access) -> io::Result<()> {
        assert!(range.start <= range.end && range.end <= self.len, "range outside the block");
        if range.is_empty() {
            return Ok(());
        }
        let start = self.base.as_ptr().wrapping_add(range.start);
        // SAFETY: the pages belong to this block; nobody holds a Rust reference into it, only addresses.
        let done = unsafe { libc::mprotect(start.cast(), range.len(), access.bits()) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by this block and by nobody else; the owner promised that no code in it runs any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

fn try_map(
    hint: *mut libc::c_void,
    len: usize,
    access: Access,
    flags: libc::c_int,
    fd: libc::c_int,
) -> io::Result<Option<Block>> {
    // SAFETY: a new mapping at a place of the kernel's choice, or at a hint that it must not replace: nothing existing changes.
    let at = unsafe { libc::mmap(hint, len, access.bits(), flags, fd, 0) };
    if at == libc::MAP_FAILED {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENOMEM | libc::EEXIST | libc::EPERM) => Ok(None),
            _ => Err(error),
        };
    }
    let Some(base) = NonNull::new(at.cast()) else {
        return Ok(None);
    };
    let block = Block { base, len };
    // An old kernel takes MAP_FIXED_NOREPLACE for a hint and may choose another place.
    Ok((block.address() + len <= LIMIT).then_some(block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_lies_below_two_gib_and_is_zeroed() {
        let block = Block::new(5).unwrap();
        assert_eq!(block.len(), PAGE);
        assert!(block.address() + block.len() <= LIMIT);
        // SAFETY: the block's first byte, mapped and initialised to zero by the kernel.
        assert_eq!(unsafe { block.base().as_ptr().read() }, 0);
    }

    #[test]
    fn large_blocks_find_room_outside_the_gib_of_map_32bit() {
        let blocks: Vec<Block> = (0..3).map(|_| Block::new(500 << 20).unwrap()).collect();
        for block in &blocks {
            assert!(block.address() + block.len() <= LIMIT);
        }
    }
}
