//! The board: the list of device nodes, in memory that every client maps.
//!
//! Locking: one writer at a time, by its lock; readers look at the sequence number, and wait for nobody.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};

use ddi_wire::{BOARD_ENTRIES, BOARD_LEN, BoardEntry, BoardHeader, PATH_MAX, board_entry};
use parking_lot::Mutex;

use super::DeviceNode;
use super::mapping::Mapping;

/// The list of device nodes.
///
/// # Invariants
/// `map` is a mapping of `fd`, of [`BOARD_LEN`] bytes. It begins with a header, all-zero at first, which is accessed by its atomics only. Entries are written by whoever
/// holds `writer`, of the list that `sequence` does not name.
#[derive(Debug)]
pub(super) struct Board {
    fd: OwnedFd,
    map: Mapping,
    writer: Mutex<()>,
}

impl Board {
    pub fn new() -> io::Result<Board> {
        let fd = rustix::fs::memfd_create("ddi-board", rustix::fs::MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&fd, BOARD_LEN as u64)?;
        let map = Mapping::of_file(&fd, BOARD_LEN)?;
        Ok(Board { fd, map, writer: Mutex::new(()) })
    }

    /// Replaces the list.
    pub fn write(&self, nodes: &[DeviceNode]) {
        let _writer = self.writer.lock();
        // SAFETY: mapped, aligned and a header, by the invariant.
        let header: &BoardHeader = unsafe { self.map.base().cast().as_ref() };
        let nodes: Vec<&DeviceNode> =
            nodes.iter().filter(|n| n.path.len() <= PATH_MAX).take(BOARD_ENTRIES).collect();
        let sequence = header.sequence.load(Ordering::Relaxed).wrapping_add(1);
        // A reader that still has this place's old list, and reads a new entry, finds the number changed afterwards.
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
            let place =
                self.map.base().as_ptr().wrapping_byte_add(board_entry(sequence, i)).cast::<BoardEntry>();
            // SAFETY: entry `i` lies within the mapping, aligned, as `i` is below BOARD_ENTRIES, and nobody else writes, by the invariant; readers check the sequence number
            // before they trust what they read.
            unsafe { place.write_volatile(entry) };
        }
        header.counts[sequence as usize % 2].store(nodes.len() as u32, Ordering::Relaxed);
        header.sequence.store(sequence, Ordering::Release);
    }
}

impl AsFd for Board {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
