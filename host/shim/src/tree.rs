//! Directories that only the host has: /devices with its subdirectories, and those below /dev.
//!
//! A descriptor of one refers to a directory that every Linux has, and a table maps it to its path; close(2) is not interposed, so an entry is valid while
//! its descriptor is still one of that directory.

use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicBool, Ordering};

use ddi_wire::PATH_MAX;

use crate::node::{self, Node};
use crate::sys::{self, Table};

/// The directory that is opened for ours.
const ANCHOR: &CStr = c"/proc/self/fdinfo";
/// End of its path.
const ENDS: &[u8] = b"/fdinfo";
/// Most that are open at once. One more takes the place of the oldest.
const MOST: usize = 64;

/// A path, without NUL.
#[derive(Clone, Copy)]
pub struct Dir {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl core::ops::Deref for Dir {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[derive(Clone, Copy)]
struct Open {
    fd: c_int,
    dir: Dir,
}

const FREE: Open = Open { fd: -1, dir: Dir { bytes: [0; PATH_MAX], len: 0 } };
/// The open ones, and how many have been.
static TABLE: Table<([Open; MOST], usize)> = Table::new(([FREE; MOST], 0));
/// Whether one has ever been opened.
static USED: AtomicBool = AtomicBool::new(false);

/// In a forked child.
pub fn born() {
    TABLE.reset();
}

fn enter(fd: c_int, dir: Dir) {
    TABLE.with(|(table, next)| {
        let old =
            table.iter().position(|open| open.fd == fd).or_else(|| table.iter().position(|open| open.fd < 0));
        let at = old.unwrap_or(*next % MOST);
        *next = next.wrapping_add(1);
        if let Some(slot) = table.get_mut(at) {
            *slot = Open { fd, dir };
        }
    });
    USED.store(true, Ordering::Release);
}

/// Opens a directory of ours.
pub fn open(path: &[u8], flags: c_int) -> Result<c_int, i32> {
    if flags & libc::O_ACCMODE != libc::O_RDONLY {
        return Err(libc::EISDIR);
    }
    let mut dir = Dir { bytes: [0; PATH_MAX], len: path.len() };
    dir.bytes.get_mut(..path.len()).ok_or(libc::ENAMETOOLONG)?.copy_from_slice(path);
    let how = libc::O_RDONLY | libc::O_DIRECTORY | flags & (libc::O_CLOEXEC | libc::O_PATH);
    let fd = sys::open(ANCHOR, how)?;
    enter(fd, dir);
    Ok(fd)
}

/// Returns the host's directory that a descriptor stands for; `real` is its path in Linux.
pub fn path(fd: c_int, real: &[u8]) -> Option<Dir> {
    if !USED.load(Ordering::Acquire) || !real.ends_with(ENDS) {
        return None;
    }
    TABLE.with(|(table, _)| table.iter().find(|open| open.fd == fd).map(|open| open.dir))
}

/// Returns whether the descriptor is one of ours.
pub fn is_ours(fd: c_int) -> bool {
    USED.load(Ordering::Acquire) && fd >= 0 && node::of_directory(fd).is_some()
}

/// A descriptor was duplicated.
pub fn duplicated(old: c_int, new: c_int) {
    if USED.load(Ordering::Acquire)
        && let Some((_, dir)) = node::of_directory(old)
    {
        enter(new, dir);
    }
}

/// Returns the attributes of a descriptor of ours.
pub fn stat(fd: c_int) -> Option<Node> {
    if !USED.load(Ordering::Acquire) {
        return None;
    }
    node::of_directory(fd).map(|(node, _)| node)
}
