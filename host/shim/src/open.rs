//! Opening devices: open(2) and its relatives.

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::Ordering;

use ddi_wire::{Reply, Request};

use crate::node::{self, Named};
use crate::real::fail;
use crate::{copy, io, link, state, tree};

type ModeT = libc::mode_t;

/// Opens a device node.
fn open_node(named: &Named, flags: c_int) -> Result<c_int, i32> {
    if node::is_directory(named.node.mode) {
        return tree::open(named.path(), flags);
    }
    if flags & libc::O_DIRECTORY != 0 {
        return Err(libc::ENOTDIR);
    }
    if flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL {
        return Err(libc::EEXIST);
    }
    let cloexec = flags & libc::O_CLOEXEC != 0;
    let request = Request::Open { flags, path: named.path() };
    let fd = link::request(&request, &[], cloexec, |got| matches!(got.reply, Reply::Done).then_some(got.fd))?;
    state::HOLDING.store(true, Ordering::Relaxed);
    if fd < 0 {
        return Err(libc::EMFILE);
    }
    let status = flags & (libc::O_NONBLOCK | libc::O_APPEND);
    if status != 0 {
        // So that F_GETFL says so, through every descriptor of this open.
        let _ = crate::sys::fcntl(fd, libc::F_SETFL, status as u64);
    }
    Ok(fd)
}

/// Opens the path if it is a device node's; errno is set on failure.
fn try_open(dir: c_int, path: *const c_char, flags: c_int) -> Option<c_int> {
    if let Some(named) = node::named(dir, path) {
        return Some(open_node(&named, flags).unwrap_or_else(fail));
    }
    // By way of its descriptor: another one for the same open, as /dev/fd does on illumos.
    let fd = node::by_descriptor(path)?;
    let op = if flags & libc::O_CLOEXEC != 0 { libc::F_DUPFD_CLOEXEC } else { libc::F_DUPFD };
    Some(crate::sys::fcntl(fd, op, 0).map_or_else(fail, |n| n as c_int))
}

interpose! {
    // `open` is variadic in C; its optional argument is passed as any other on this machine, and ignored where there is none.
    fn [open, open64, __open, __open64, __open_2, __open64_2](
        path: *const c_char, flags: c_int, mode: ModeT,
    ) -> c_int = |original| {
        try_open(libc::AT_FDCWD, path, flags).unwrap_or_else(original)
    }

    fn [openat, openat64, __openat_2, __openat64_2](
        dir: c_int, path: *const c_char, flags: c_int, mode: ModeT,
    ) -> c_int = |original| {
        try_open(dir, path, flags).unwrap_or_else(original)
    }

    fn [creat, creat64](path: *const c_char, mode: ModeT) -> c_int = |original| {
        try_open(libc::AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC).unwrap_or_else(original)
    }

    fn [fopen, fopen64](path: *const c_char, mode: *const c_char) -> *mut libc::FILE = |original| {
        try_stream(path, mode).unwrap_or_else(original)
    }

    fn [fdopen](fd: c_int, mode: *const c_char) -> *mut libc::FILE = |original| {
        match node::device(fd) {
            // SAFETY: the caller passes a string.
            Some(_) => unsafe { stream_on(fd, mode) }.unwrap_or(core::ptr::null_mut()),
            None => original(),
        }
    }
}

/// Returns the open flags of fopen's mode.
fn stream_flags(mode: &[u8]) -> Option<c_int> {
    let plus = mode.contains(&b'+');
    let base = match (mode.first()?, plus) {
        (b'r', false) => libc::O_RDONLY,
        (b'w' | b'a', false) => libc::O_WRONLY,
        (b'r' | b'w' | b'a', true) => libc::O_RDWR,
        _ => return None,
    };
    let cloexec = if mode.contains(&b'e') { libc::O_CLOEXEC } else { 0 };
    Some(base | cloexec)
}

/// `cookie_io_functions_t`.
#[repr(C)]
struct Functions {
    read: extern "C" fn(*mut c_void, *mut c_char, usize) -> isize,
    write: extern "C" fn(*mut c_void, *const c_char, usize) -> isize,
    seek: extern "C" fn(*mut c_void, *mut i64, c_int) -> c_int,
    close: extern "C" fn(*mut c_void) -> c_int,
}

unsafe extern "C" {
    fn fopencookie(cookie: *mut c_void, mode: *const c_char, functions: Functions) -> *mut libc::FILE;
}

extern "C" fn stream_read(cookie: *mut c_void, buf: *mut c_char, len: usize) -> isize {
    io::stream_read(cookie as usize as c_int, buf.cast(), len)
}

extern "C" fn stream_write(cookie: *mut c_void, buf: *const c_char, len: usize) -> isize {
    // To stdio an error is 0 bytes.
    io::stream_write(cookie as usize as c_int, buf.cast(), len).max(0)
}

extern "C" fn stream_seek(cookie: *mut c_void, at: *mut i64, whence: c_int) -> c_int {
    // SAFETY: stdio passes a valid place.
    let offset = unsafe { at.read() };
    let new = io::stream_seek(cookie as usize as c_int, offset, whence);
    if new < 0 {
        return -1;
    }
    // SAFETY: as above.
    unsafe { at.write(new) };
    0
}

extern "C" fn stream_close(cookie: *mut c_void) -> c_int {
    crate::sys::close(cookie as usize as c_int);
    0
}

/// Offset of `_fileno` in glibc's `struct _IO_FILE`, so that `fileno` works for a stream that stdio thinks has no descriptor.
const FILENO: usize = 112;

/// Opens a stream on a device. stdio does not read and write by way of the functions that the shim interposes, so it is given others.
fn try_stream(path: *const c_char, mode: *const c_char) -> Option<*mut libc::FILE> {
    let named = node::named(libc::AT_FDCWD, path)?;
    let mut text = [0; 64];
    let n = copy::string(&mut text, mode as u64);
    let opened = stream_flags(text.get(..n).unwrap_or_default())
        .ok_or(libc::EINVAL)
        .and_then(|flags| open_node(&named, flags));
    let fd = match opened {
        Ok(fd) => fd,
        Err(e) => {
            fail(e);
            return Some(core::ptr::null_mut());
        }
    };
    // SAFETY: the caller of the interposed function passes a string.
    Some(unsafe { stream_on(fd, mode) }.unwrap_or_else(|| {
        crate::sys::close(fd);
        core::ptr::null_mut()
    }))
}

/// A stream on a device's descriptor, which it closes.
unsafe fn stream_on(fd: c_int, mode: *const c_char) -> Option<*mut libc::FILE> {
    let functions =
        Functions { read: stream_read, write: stream_write, seek: stream_seek, close: stream_close };
    // SAFETY: `mode` is a string by the caller, the functions take this cookie.
    let stream = unsafe { fopencookie(fd as usize as *mut c_void, mode, functions) };
    if stream.is_null() {
        return None;
    }
    // SAFETY: the descriptor's place in glibc's public structure.
    unsafe { stream.wrapping_byte_add(FILENO).cast::<c_int>().write(fd) };
    Some(stream)
}
