//! The board: the list of device nodes, in memory that every client maps.
//!
//! Locking: one writer at a time, by its lock; readers look at the sequence number.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

use ddi_wire::{BOARD_ENTRIES, BOARD_LEN, BoardEntry, BoardHeader, PATH_MAX};
use parking_lot::Mutex;

use super::DeviceNode;

/// The list of device nodes.
///
/// # Invariants
/// `base` is the address of a mapping of `fd`, of [`BOARD_LEN`] bytes, which is the value's own and lasts as long as it. It begins with a header, all-zero at first, which
/// is accessed by its atomics only. Entries are written by whoever holds `writer`, while `sequence` is odd.
#[derive(Debug)]
pub(super) struct Board {
    fd: OwnedFd,
    base: NonNull<BoardHeader>,
    writer: Mutex<()>,
}

// SAFETY: the mapping belongs to the value and to no thread; it is written under the lock and otherwise only through atomics, by the invariant.
unsafe impl Send for Board {}
// SAFETY: as above.
unsafe impl Sync for Board {}

impl Board {
    pub fn new() -> io::Result<Board> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let fd = rustix::fs::memfd_create("ddi-board", rustix::fs::MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&fd, BOARD_LEN as u64)?;
        // SAFETY: a new mapping at an address that Linux chooses.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                BOARD_LEN,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                &fd,
                0,
            )
        }?;
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapping at address 0"))?;
        Ok(Board { fd, base, writer: Mutex::new(()) })
    }

    /// Replaces the list.
    pub fn write(&self, nodes: &[DeviceNode]) {
        let _writer = self.writer.lock();
        // SAFETY: mapped, aligned and a header, by the invariant.
        let header = unsafe { self.base.as_ref() };
        let nodes: Vec<&DeviceNode> =
            nodes.iter().filter(|n| n.path.len() <= PATH_MAX).take(BOARD_ENTRIES).collect();
        header.sequence.fetch_add(1, Ordering::AcqRel);
        fence(Ordering::Release);
        for (i, node) in nodes.iter().enumerate() {
            let mut path = [0; PATH_MAX];
            path[..node.path.len()].copy_from_slice(&node.path);
            let kind = match node.mode & libc::S_IFMT {
                0 => libc::S_IFCHR,
                kind => kind,
            };
            let entry = BoardEntry {
                mode: (kind | node.mode & 0o7777) as u16,
                path_len: node.path.len() as u16,
                uid: node.uid,
                gid: node.gid,
                major: node.major,
                minor: node.minor,
                path,
            };
            let at = size_of::<BoardHeader>() + i * size_of::<BoardEntry>();
            // SAFETY: entry `i` lies within the mapping, by the invariant, as `i` is below BOARD_ENTRIES.
            let place = unsafe { self.base.byte_add(at) }.cast::<BoardEntry>();
            // SAFETY: mapped and aligned, and nobody else writes, by the invariant; readers check the sequence number before they trust what they read.
            unsafe { place.write_volatile(entry) };
        }
        header.count.store(nodes.len() as u32, Ordering::Release);
        header.sequence.fetch_add(1, Ordering::Release);
    }
}

impl AsFd for Board {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: the value's own mapping, by the invariant; `base` is not used afterwards.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), BOARD_LEN) };
    }
}
