//! Attributes of device nodes: stat(2), access(2) and their variants.

use core::ffi::{c_char, c_int, c_uint, c_void};
use core::mem::offset_of;

use ddi_wire::{PAGE_SIZE, Reply, Request};

use crate::node::{self, Node};
use crate::real::fail;
use crate::sys::Plain;
use crate::{copy, link, sys, tree};

/// Fills a stat structure for a device node.
fn fill(node: Node, to: *mut libc::stat) -> c_int {
    let mut st = libc::stat::zeroed();
    st.st_mode = node.mode;
    st.st_uid = node.uid;
    st.st_gid = node.gid;
    st.st_nlink = if node::is_directory(node.mode) { 2 } else { 1 };
    st.st_dev = libc::makedev(0, 0xdd1);
    st.st_ino = node::inode(node.major, node.minor);
    if !node::is_directory(node.mode) {
        st.st_rdev = libc::makedev(node.major, node.minor);
    }
    st.st_blksize = PAGE_SIZE as _;
    // SAFETY: the caller of the interposed function passes a place for it.
    unsafe { to.write(st) };
    0
}

/// The device node of a descriptor that stat says is a socket, or the directory of ours of one that is a directory.
fn of_socket(fd: c_int, mode: u32) -> Option<Node> {
    if node::is_directory(mode) {
        return tree::stat(fd);
    }
    if mode & libc::S_IFMT != libc::S_IFSOCK {
        return None;
    }
    let open = node::probe(fd)?;
    let node = link::request(&Request::Stat { open }, &[], true, |got| match got.reply {
        Reply::Node { major, minor, mode, uid, gid, .. } => Some(Node { major, minor, mode, uid, gid }),
        _ => None,
    });
    let node = node.ok()?;
    let kind = if node.mode & libc::S_IFMT == libc::S_IFBLK { libc::S_IFBLK } else { libc::S_IFCHR };
    Some(Node { mode: kind | node.mode & 0o7777, ..node })
}

fn of_path(dir: c_int, path: *const c_char) -> Option<Node> {
    node::named(dir, path).map(|n| n.node)
}

/// stat(2) of a path, if it is a device's.
fn of_node(dir: c_int, path: *const c_char, st: *mut libc::stat, original: impl FnOnce() -> c_int) -> c_int {
    of_path(dir, path).map_or_else(original, |node| fill(node, st))
}

/// After an fstat with the result `r`: a device in place of its socket.
fn amend(r: c_int, fd: c_int, st: *mut libc::stat) -> c_int {
    if r != 0 {
        return r;
    }
    let mut mode = [0u32];
    copy::read_items(&mut mode, st as u64 + offset_of!(libc::stat, st_mode) as u64);
    of_socket(fd, mode[0]).map_or(r, |node| fill(node, st))
}

interpose! {
    // A device's descriptor is a socket, always open for both; its access mode is the host's to say. Variadic in C: the argument is passed as any other on this
    // machine.
    fn [fcntl, fcntl64](fd: c_int, command: c_int, arg: u64) -> c_int = |original| {
        let r = original();
        if matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) && r >= 0 {
            tree::duplicated(fd, r);
        }
        if !matches!(command, libc::F_GETFL | libc::F_SETFL) || r < 0 {
            return r;
        }
        let Some(open) = node::device(fd) else { return r };
        if command == libc::F_SETFL {
            let request = Request::SetFlags { open, flags: arg as i32 };
            let told = link::request(&request, &[], true, |got| matches!(got.reply, Reply::Done).then_some(r));
            return told.unwrap_or_else(fail);
        }
        let mode = link::request(&Request::Stat { open }, &[], true, |got| match got.reply {
            Reply::Node { flags, .. } => Some(flags),
            _ => None,
        });
        mode.map_or(r, |mode| r & !libc::O_ACCMODE | mode & libc::O_ACCMODE)
    }

    fn [stat, stat64, lstat, lstat64](path: *const c_char, st: *mut libc::stat) -> c_int = |original| {
        of_node(libc::AT_FDCWD, path, st, original)
    }

    fn [__xstat, __xstat64, __lxstat, __lxstat64](
        version: c_int, path: *const c_char, st: *mut libc::stat,
    ) -> c_int = |original| {
        of_node(libc::AT_FDCWD, path, st, original)
    }

    fn [fstat, fstat64](fd: c_int, st: *mut libc::stat) -> c_int = |original| { amend(original(), fd, st) }

    fn [__fxstat, __fxstat64](version: c_int, fd: c_int, st: *mut libc::stat) -> c_int = |original| {
        amend(original(), fd, st)
    }

    fn [fstatat, fstatat64](
        dir: c_int, path: *const c_char, st: *mut libc::stat, flags: c_int,
    ) -> c_int = |original| {
        of_node(dir, path, st, || match flags & libc::AT_EMPTY_PATH {
            0 => original(),
            _ => amend(original(), dir, st),
        })
    }

    fn [__fxstatat, __fxstatat64](
        version: c_int, dir: c_int, path: *const c_char, st: *mut libc::stat, flags: c_int,
    ) -> c_int = |original| {
        of_node(dir, path, st, original)
    }

    fn [statx](
        dir: c_int, path: *const c_char, flags: c_int, mask: c_uint, to: *mut libc::statx,
    ) -> c_int = |original| {
        let node = match of_path(dir, path) {
            Some(node) => Some(node),
            None => {
                let r = original();
                if r != 0 || flags & libc::AT_EMPTY_PATH == 0 {
                    return r;
                }
                let mut mode = [0u16];
                copy::read_items(&mut mode, to as u64 + offset_of!(libc::statx, stx_mode) as u64);
                of_socket(dir, mode[0].into())
            }
        };
        let Some(node) = node else { return 0 };
        let mut st = libc::statx::zeroed();
        st.stx_mask = libc::STATX_BASIC_STATS;
        st.stx_blksize = PAGE_SIZE as _;
        st.stx_nlink = if node::is_directory(node.mode) { 2 } else { 1 };
        st.stx_mode = node.mode as u16;
        st.stx_uid = node.uid;
        st.stx_gid = node.gid;
        st.stx_ino = node::inode(node.major, node.minor);
        if !node::is_directory(node.mode) {
            st.stx_rdev_major = node.major;
            st.stx_rdev_minor = node.minor;
        }
        st.stx_dev_minor = 0xdd1;
        // SAFETY: the caller passes a place for it.
        unsafe { to.write(st) };
        0
    }
}

/// access(2) for a device node: the others' permission bits, or anything but execution for root.
fn allowed(node: Node, mode: c_int) -> c_int {
    if node::is_directory(node.mode) {
        return if mode & libc::W_OK == 0 { 0 } else { fail(libc::EROFS) };
    }
    let have = if sys::geteuid() == 0 { libc::R_OK | libc::W_OK } else { (node.mode & 7) as c_int };
    if mode & !have & 7 == 0 { 0 } else { fail(libc::EACCES) }
}

interpose! {
    fn [access, eaccess, euidaccess](path: *const c_char, mode: c_int) -> c_int = |original| {
        of_path(libc::AT_FDCWD, path).map_or_else(original, |node| allowed(node, mode))
    }

    fn [faccessat](dir: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int = |original| {
        of_path(dir, path).map_or_else(original, |node| allowed(node, mode))
    }

    // Device nodes have no extended attributes: `ls -l` asks.
    fn [getxattr, lgetxattr](
        path: *const c_char, attr: *const c_char, value: *mut c_void, len: usize,
    ) -> isize = |original| {
        of_path(libc::AT_FDCWD, path).map_or_else(original, |_| fail(libc::ENODATA) as isize)
    }

    fn [listxattr, llistxattr](path: *const c_char, list: *mut c_char, len: usize) -> isize = |original| {
        of_path(libc::AT_FDCWD, path).map_or_else(original, |_| 0)
    }

    // A device has nothing to be written out.
    fn [fsync, fdatasync](fd: c_int) -> c_int = |original| { node::device(fd).map_or_else(original, |_| 0) }
}
