//! What device nodes look like: stat(2), access(2) and their relatives.

use core::ffi::{c_char, c_int, c_uint, c_void};

use ddi_wire::Op;

use crate::node::{self, Node};
use crate::real::fail;
use crate::{link, sys, tree};

/// Fills a stat structure for a device node.
fn fill(node: Node, to: *mut libc::stat) -> c_int {
    // SAFETY: all-zero is a valid stat structure.
    let mut st: libc::stat = unsafe { core::mem::zeroed() };
    st.st_mode = node.mode;
    st.st_uid = node.uid;
    st.st_gid = node.gid;
    st.st_nlink = if node::is_directory(node.mode) { 2 } else { 1 };
    st.st_dev = libc::makedev(0, 0xdd1);
    st.st_ino = node::inode(node.major, node.minor);
    if !node::is_directory(node.mode) {
        st.st_rdev = libc::makedev(node.major, node.minor);
    }
    st.st_blksize = 4096;
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
    let r = link::request(Op::Stat, [open, 0, 0, 0, 0, 0], &[], &[], true).ok()?;
    let mode = r.a[2] as u32;
    let kind = if mode & libc::S_IFMT == libc::S_IFBLK { libc::S_IFBLK } else { libc::S_IFCHR };
    Some(Node {
        major: r.a[0] as u32,
        minor: r.a[1] as u32,
        mode: kind | mode & 0o7777,
        uid: r.a[4] as u32,
        gid: r.a[5] as u32,
    })
}

/// # Safety
/// `path` is a string or null.
unsafe fn of_path(dir: c_int, path: *const c_char) -> Option<Node> {
    // SAFETY: by the caller.
    unsafe { node::named(dir, path) }.map(|n| n.node)
}

macro_rules! fcntls {
    ($($name:ident),*) => {$(
        /// A device's descriptor is a socket, always open for both; its access mode is the host's to say. Variadic in C: the argument is passed
        /// as any other on this machine.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(fd: c_int, command: c_int, arg: u64) -> c_int {
            let real = real!($name: fn(c_int, c_int, u64) -> c_int);
            // SAFETY: the caller's arguments.
            let r = unsafe { real(fd, command, arg) };
            if matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) && r >= 0 {
                tree::duplicated(fd, r);
            }
            if !matches!(command, libc::F_GETFL | libc::F_SETFL) || r < 0 {
                return r;
            }
            let Some(open) = node::device(fd) else { return r };
            if command == libc::F_SETFL {
                let told = link::request(Op::SetFlags, [open, arg, 0, 0, 0, 0], &[], &[], true);
                return told.map_or_else(fail, |_| r);
            }
            let mode = link::request(Op::Stat, [open, 0, 0, 0, 0, 0], &[], &[], true).map(|reply| reply.a[3] as c_int);
            mode.map_or(r, |mode| r & !libc::O_ACCMODE | mode & libc::O_ACCMODE)
        }
    )*};
}

fcntls!(fcntl, fcntl64);

macro_rules! path_stats {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(path: *const c_char, st: *mut libc::stat) -> c_int {
            // SAFETY: the caller passes a string.
            if let Some(node) = unsafe { of_path(libc::AT_FDCWD, path) } {
                return fill(node, st);
            }
            let real = real!($name: fn(*const c_char, *mut libc::stat) -> c_int);
            // SAFETY: the caller's arguments.
            unsafe { real(path, st) }
        }
    )*};
}

macro_rules! old_path_stats {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(version: c_int, path: *const c_char, st: *mut libc::stat) -> c_int {
            // SAFETY: the caller passes a string.
            if let Some(node) = unsafe { of_path(libc::AT_FDCWD, path) } {
                return fill(node, st);
            }
            let real = real!($name: fn(c_int, *const c_char, *mut libc::stat) -> c_int);
            // SAFETY: the caller's arguments.
            unsafe { real(version, path, st) }
        }
    )*};
}

/// After a successful fstat: a device in place of its socket.
unsafe fn amend(r: c_int, fd: c_int, st: *mut libc::stat) -> c_int {
    if r == 0 {
        // SAFETY: the C library has just filled it.
        let mode = unsafe { (*st).st_mode };
        if let Some(node) = of_socket(fd, mode) {
            return fill(node, st);
        }
    }
    r
}

macro_rules! fd_stats {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(fd: c_int, st: *mut libc::stat) -> c_int {
            let real = real!($name: fn(c_int, *mut libc::stat) -> c_int);
            // SAFETY: the caller's arguments.
            let r = unsafe { real(fd, st) };
            // SAFETY: as above.
            unsafe { amend(r, fd, st) }
        }
    )*};
}

macro_rules! old_fd_stats {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(version: c_int, fd: c_int, st: *mut libc::stat) -> c_int {
            let real = real!($name: fn(c_int, c_int, *mut libc::stat) -> c_int);
            // SAFETY: the caller's arguments.
            let r = unsafe { real(version, fd, st) };
            // SAFETY: as above.
            unsafe { amend(r, fd, st) }
        }
    )*};
}

macro_rules! at_stats {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(dir: c_int, path: *const c_char, st: *mut libc::stat, flags: c_int) -> c_int {
            // SAFETY: the caller passes a string.
            if let Some(node) = unsafe { of_path(dir, path) } {
                return fill(node, st);
            }
            let real = real!($name: fn(c_int, *const c_char, *mut libc::stat, c_int) -> c_int);
            // SAFETY: the caller's arguments.
            let r = unsafe { real(dir, path, st, flags) };
            if flags & libc::AT_EMPTY_PATH == 0 {
                return r;
            }
            // SAFETY: as above.
            unsafe { amend(r, dir, st) }
        }
    )*};
}

macro_rules! old_at_stats {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(v: c_int, dir: c_int, path: *const c_char, st: *mut libc::stat, flags: c_int) -> c_int {
            // SAFETY: the caller passes a string.
            if let Some(node) = unsafe { of_path(dir, path) } {
                return fill(node, st);
            }
            let real = real!($name: fn(c_int, c_int, *const c_char, *mut libc::stat, c_int) -> c_int);
            // SAFETY: the caller's arguments.
            unsafe { real(v, dir, path, st, flags) }
        }
    )*};
}

path_stats!(stat, stat64, lstat, lstat64);
old_path_stats!(__xstat, __xstat64, __lxstat, __lxstat64);
fd_stats!(fstat, fstat64);
old_fd_stats!(__fxstat, __fxstat64);
at_stats!(fstatat, fstatat64);
old_at_stats!(__fxstatat, __fxstatat64);

#[unsafe(no_mangle)]
unsafe extern "C" fn statx(
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    to: *mut libc::statx,
) -> c_int {
    // SAFETY: the caller passes a string.
    let named = unsafe { of_path(dir, path) };
    let node = match named {
        Some(node) => Some(node),
        None => {
            let real = real!(statx: fn(c_int, *const c_char, c_int, c_uint, *mut libc::statx) -> c_int);
            // SAFETY: the caller's arguments.
            let r = unsafe { real(dir, path, flags, mask, to) };
            if r != 0 || flags & libc::AT_EMPTY_PATH == 0 {
                return r;
            }
            // SAFETY: the C library has just filled it.
            let mode = unsafe { (*to).stx_mode };
            of_socket(dir, mode.into())
        }
    };
    let Some(node) = node else { return 0 };
    // SAFETY: all-zero is a valid statx structure.
    let mut st: libc::statx = unsafe { core::mem::zeroed() };
    st.stx_mask = libc::STATX_BASIC_STATS;
    st.stx_blksize = 4096;
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

/// access(2) for a device node: the others' permission bits, or anything but execution for root.
fn allowed(node: Node, mode: c_int) -> c_int {
    if node::is_directory(node.mode) {
        return if mode & libc::W_OK == 0 { 0 } else { fail(libc::EROFS) };
    }
    // SAFETY: no memory is involved.
    let uid = unsafe { sys::call(libc::SYS_geteuid, [0; 6]) }.unwrap_or(1);
    let have = if uid == 0 { libc::R_OK | libc::W_OK } else { (node.mode & 7) as c_int };
    if mode & !have & 7 == 0 { 0 } else { fail(libc::EACCES) }
}

macro_rules! accesses {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(path: *const c_char, mode: c_int) -> c_int {
            // SAFETY: the caller passes a string.
            if let Some(node) = unsafe { of_path(libc::AT_FDCWD, path) } {
                return allowed(node, mode);
            }
            let real = real!($name: fn(*const c_char, c_int) -> c_int);
            // SAFETY: the caller's arguments.
            unsafe { real(path, mode) }
        }
    )*};
}

/// Device nodes have no extended attributes: `ls -l` asks.
macro_rules! attributes {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(path: *const c_char, attr: *const c_char, value: *mut c_void, len: usize) -> isize {
            // SAFETY: the caller passes a string.
            if unsafe { of_path(libc::AT_FDCWD, path) }.is_some() {
                return fail(libc::ENODATA) as isize;
            }
            let real = real!($name: fn(*const c_char, *const c_char, *mut c_void, usize) -> isize);
            // SAFETY: the caller's arguments.
            unsafe { real(path, attr, value, len) }
        }
    )*};
}

attributes!(getxattr, lgetxattr);

macro_rules! attribute_lists {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(path: *const c_char, list: *mut c_char, len: usize) -> isize {
            // SAFETY: the caller passes a string.
            if unsafe { of_path(libc::AT_FDCWD, path) }.is_some() {
                return 0;
            }
            let real = real!($name: fn(*const c_char, *mut c_char, usize) -> isize);
            // SAFETY: the caller's arguments.
            unsafe { real(path, list, len) }
        }
    )*};
}

attribute_lists!(listxattr, llistxattr);

accesses!(access, eaccess, euidaccess);

#[unsafe(no_mangle)]
unsafe extern "C" fn faccessat(dir: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
    // SAFETY: the caller passes a string.
    if let Some(node) = unsafe { of_path(dir, path) } {
        return allowed(node, mode);
    }
    let real = real!(faccessat: fn(c_int, *const c_char, c_int, c_int) -> c_int);
    // SAFETY: the caller's arguments.
    unsafe { real(dir, path, mode, flags) }
}

macro_rules! syncs {
    ($($name:ident),*) => {$(
        /// A device has nothing to be written out.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(fd: c_int) -> c_int {
            if node::device(fd).is_some() {
                return 0;
            }
            let real = real!($name: fn(c_int) -> c_int);
            // SAFETY: no memory is involved.
            unsafe { real(fd) }
        }
    )*};
}

syncs!(fsync, fdatasync);
