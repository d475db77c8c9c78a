//! Reading and writing: devices are served by the host; other files natively, with a detour for buffers in device memory where
//! system calls cannot fault on it.

use core::ffi::{c_int, c_ulong, c_void};
use core::sync::atomic::Ordering;

use ddi_wire::{Buffer, FAULTS_UFFD, IO_OFFSET, Op};

use crate::real::{errno, fail, result};
use crate::{copy, link, node, stat, state, sys};

/// `FIONBIO` as illumos has it.
const FIONBIO: u64 = 0x8004_667e;

/// What the kernel does when a driver has accepted `FIONBIO`. False: the argument is no address.
fn set_blocking(fd: c_int, arg: u64) -> bool {
    let mut on = 0 as c_int;
    // SAFETY: a local; the other side is what the program named.
    if unsafe { copy::copy(&raw mut on as u64, arg, size_of::<c_int>()) } < size_of::<c_int>() {
        return false;
    }
    // SAFETY: no memory is involved.
    let flags = unsafe { stat::fcntl(fd, libc::F_GETFL, 0) };
    let nonblock = if on != 0 { libc::O_NONBLOCK } else { 0 };
    let flags = flags & !libc::O_NONBLOCK | nonblock;
    // SAFETY: as above.
    unsafe { stat::fcntl(fd, libc::F_SETFL, flags as u64) };
    true
}

/// Most buffers of a vector call.
const VECTORS: usize = 1024;
/// Most bytes that take the detour at once.
const DETOUR: usize = 1 << 20;

fn bytes<T>(items: &[T]) -> &[u8] {
    // SAFETY: plain words, read as the bytes they are.
    unsafe { core::slice::from_raw_parts(items.as_ptr().cast(), size_of_val(items)) }
}

/// Reads or writes a device.
fn transfer(op: Op, open: u64, buffers: &[Buffer], offset: Option<i64>) -> isize {
    let (flag, at) = offset.map_or((0, 0), |o| (IO_OFFSET, o as u64));
    result(link::request(op, [open, flag, at, 0, 0, 0], bytes(buffers), &[], true).map(|r| r.a[0]))
}

fn one(buf: *const c_void, len: usize) -> [Buffer; 1] {
    [Buffer { base: buf as u64, len: len as u64 }]
}

/// The buffers of a vector call, copied from the program.
struct Vectors {
    list: [Buffer; VECTORS],
    len: usize,
}

fn vectors(iov: *const libc::iovec, count: c_int) -> Result<Vectors, i32> {
    let len = usize::try_from(count).ok().filter(|&n| n <= VECTORS).ok_or(libc::EINVAL)?;
    let mut v = Vectors { list: [Buffer::default(); VECTORS], len };
    let want = len * size_of::<Buffer>();
    // SAFETY: the list has room; the other side is what the program named. An iovec is a base and a length.
    let got = unsafe { copy::copy(v.list.as_mut_ptr() as u64, iov as u64, want) };
    if got == want { Ok(v) } else { Err(libc::EFAULT) }
}

impl Vectors {
    fn get(&self) -> &[Buffer] {
        self.list.get(..self.len).unwrap_or_default()
    }
}

/// Must a system call on this buffer take the detour?
fn detour(buf: *const c_void, len: usize) -> bool {
    let mode = state::MODE.load(Ordering::Relaxed);
    mode != 0 && mode != FAULTS_UFFD && state::near(buf as u64, len as u64)
}

/// Runs a system call on a buffer outside of device memory instead: `filled` says whether it reads the buffer (else it fills it).
fn around(buf: *mut c_void, len: usize, reads: bool, f: impl FnOnce(*mut c_void, usize) -> isize) -> isize {
    let room = len.min(DETOUR);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping that replaces nothing.
    let at = match unsafe { sys::mmap(0, room as u64, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) } {
        Ok(at) => at,
        Err(e) => return fail(e) as isize,
    };
    let have = match reads {
        // SAFETY: our buffer has the room; the other side is what the program named.
        true => unsafe { copy::copy(at, buf as u64, room) },
        // What there is no room for is not asked for.
        false => copy::touch(buf as u64, room, true),
    };
    let mut r = if have == 0 { fail(copy::why()) as isize } else { f(at as *mut c_void, have) };
    if !reads && r > 0 {
        let n = (r as usize).min(room);
        // SAFETY: as above.
        let put = unsafe { copy::copy(buf as u64, at, n) };
        if put < n {
            r = if put == 0 { fail(copy::why()) as isize } else { put as isize };
        }
    }
    // SAFETY: the mapping made above.
    let _ = unsafe { sys::munmap(at, room as u64) };
    r
}

/// The result of a system call that Linux has made on these buffers, in which it stores or (`write` is false) from which it loads. Where it has said `EFAULT`, and
/// a driver has refused it, the error is the driver's, as on illumos.
fn told(r: isize, buffers: &[Buffer], write: bool) -> isize {
    if r >= 0 || errno() != libc::EFAULT || state::MODE.load(Ordering::Relaxed) != FAULTS_UFFD {
        return r;
    }
    for b in buffers.iter().filter(|b| b.len > 0 && state::near(b.base, b.len)) {
        let refused = link::request(Op::Refused, [b.base, b.len, 0, 0, 0, 0], &[], &[], true).map(|r| r.a[0]);
        match refused {
            Ok(0) => {}
            Ok(errno) => return fail(errno as i32) as isize,
            Err(_) => break,
        }
        // Linux has not asked: the protection forbids it, or nothing is mapped there. The driver is asked about a page that is not loaded.
        if copy::touch(b.base, b.len as usize, write) < b.len as usize {
            return fail(copy::why()) as isize;
        }
    }
    fail(libc::EFAULT) as isize
}

/// The same for a vector call.
fn told_all(r: isize, iov: *const libc::iovec, count: c_int, write: bool) -> isize {
    if r >= 0 || errno() != libc::EFAULT {
        return r;
    }
    match vectors(iov, count) {
        Ok(v) => told(r, v.get(), write),
        Err(_) => fail(libc::EFAULT) as isize,
    }
}

/// read(2) for the shim itself and for the program.
///
/// # Safety
/// As for read(2).
pub unsafe fn read(fd: c_int, buf: *mut c_void, len: usize) -> isize {
    if let Some(open) = node::device(fd) {
        return transfer(Op::Read, open, &one(buf, len), None);
    }
    let real = real!(read: fn(c_int, *mut c_void, usize) -> isize);
    if detour(buf, len) {
        // SAFETY: a buffer of our own.
        return around(buf, len, false, |b, n| unsafe { real(fd, b, n) });
    }
    // SAFETY: the caller's arguments.
    told(unsafe { real(fd, buf, len) }, &one(buf, len), true)
}

/// write(2) for the shim itself and for the program.
///
/// # Safety
/// As for write(2).
pub unsafe fn write(fd: c_int, buf: *const c_void, len: usize) -> isize {
    if let Some(open) = node::device(fd) {
        return transfer(Op::Write, open, &one(buf, len), None);
    }
    let real = real!(write: fn(c_int, *const c_void, usize) -> isize);
    if detour(buf, len) {
        // SAFETY: a buffer of our own.
        return around(buf.cast_mut(), len, true, |b, n| unsafe { real(fd, b, n) });
    }
    // SAFETY: the caller's arguments.
    told(unsafe { real(fd, buf, len) }, &one(buf, len), false)
}

pub fn lseek(fd: c_int, offset: i64, whence: c_int) -> i64 {
    if let Some(open) = node::device(fd) {
        let r = link::request(Op::Seek, [open, offset as u64, whence as u64, 0, 0, 0], &[], &[], true);
        return result(r.map(|r| r.a[0])) as i64;
    }
    let real = real!(lseek64: fn(c_int, i64, c_int) -> i64);
    // SAFETY: no memory is involved.
    unsafe { real(fd, offset, whence) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __read_chk(fd: c_int, buf: *mut c_void, len: usize, _room: usize) -> isize {
    // SAFETY: the caller's arguments.
    unsafe { read(fd, buf, len) }
}

macro_rules! exported {
    ($($export:ident = $inner:ident($($arg:ident : $ty:ty),*) -> $ret:ty;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $export($($arg: $ty),*) -> $ret {
            // SAFETY: the caller's arguments.
            unsafe { $inner::$export($($arg),*) }
        }
    )*};
}

/// The exported functions' bodies, under their C names.
mod inner {
    use super::*;

    pub unsafe fn read(fd: c_int, buf: *mut c_void, len: usize) -> isize {
        // SAFETY: the caller's arguments.
        unsafe { super::read(fd, buf, len) }
    }

    pub unsafe fn write(fd: c_int, buf: *const c_void, len: usize) -> isize {
        // SAFETY: the caller's arguments.
        unsafe { super::write(fd, buf, len) }
    }

    pub unsafe fn lseek(fd: c_int, offset: i64, whence: c_int) -> i64 {
        super::lseek(fd, offset, whence)
    }

    pub unsafe fn lseek64(fd: c_int, offset: i64, whence: c_int) -> i64 {
        super::lseek(fd, offset, whence)
    }

    pub unsafe fn pread64(fd: c_int, buf: *mut c_void, len: usize, offset: i64) -> isize {
        if let Some(open) = node::device(fd) {
            return transfer(Op::Read, open, &one(buf, len), Some(offset));
        }
        let real = real!(pread64: fn(c_int, *mut c_void, usize, i64) -> isize);
        if detour(buf, len) {
            // SAFETY: a buffer of our own.
            return around(buf, len, false, |b, n| unsafe { real(fd, b, n, offset) });
        }
        // SAFETY: the caller's arguments.
        told(unsafe { real(fd, buf, len, offset) }, &one(buf, len), true)
    }

    pub unsafe fn pread(fd: c_int, buf: *mut c_void, len: usize, offset: i64) -> isize {
        // SAFETY: the caller's arguments.
        unsafe { pread64(fd, buf, len, offset) }
    }

    pub unsafe fn pwrite64(fd: c_int, buf: *const c_void, len: usize, offset: i64) -> isize {
        if let Some(open) = node::device(fd) {
            return transfer(Op::Write, open, &one(buf, len), Some(offset));
        }
        let real = real!(pwrite64: fn(c_int, *const c_void, usize, i64) -> isize);
        if detour(buf, len) {
            // SAFETY: a buffer of our own.
            return around(buf.cast_mut(), len, true, |b, n| unsafe { real(fd, b, n, offset) });
        }
        // SAFETY: the caller's arguments.
        told(unsafe { real(fd, buf, len, offset) }, &one(buf, len), false)
    }

    pub unsafe fn pwrite(fd: c_int, buf: *const c_void, len: usize, offset: i64) -> isize {
        // SAFETY: the caller's arguments.
        unsafe { pwrite64(fd, buf, len, offset) }
    }

    pub unsafe fn readv(fd: c_int, iov: *const libc::iovec, count: c_int) -> isize {
        if let Some(open) = node::device(fd) {
            return vectors(iov, count)
                .map_or_else(|e| fail(e) as isize, |v| transfer(Op::Read, open, v.get(), None));
        }
        let real = real!(readv: fn(c_int, *const libc::iovec, c_int) -> isize);
        match any_detour(iov, count) {
            // One buffer at a time is a short read, which is allowed.
            // SAFETY: the caller's buffer.
            Some(b) => unsafe { read(fd, b.base as *mut c_void, b.len as usize) },
            // SAFETY: the caller's arguments.
            None => told_all(unsafe { real(fd, iov, count) }, iov, count, true),
        }
    }

    pub unsafe fn writev(fd: c_int, iov: *const libc::iovec, count: c_int) -> isize {
        if let Some(open) = node::device(fd) {
            return vectors(iov, count)
                .map_or_else(|e| fail(e) as isize, |v| transfer(Op::Write, open, v.get(), None));
        }
        let real = real!(writev: fn(c_int, *const libc::iovec, c_int) -> isize);
        match any_detour(iov, count) {
            // One buffer at a time is a short write, which is allowed.
            // SAFETY: the caller's buffer.
            Some(b) => unsafe { write(fd, b.base as *const c_void, b.len as usize) },
            // SAFETY: the caller's arguments.
            None => told_all(unsafe { real(fd, iov, count) }, iov, count, false),
        }
    }

    pub unsafe fn preadv(fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64) -> isize {
        if let Some(open) = node::device(fd) {
            let r = vectors(iov, count);
            return r.map_or_else(|e| fail(e) as isize, |v| transfer(Op::Read, open, v.get(), Some(offset)));
        }
        let real = real!(preadv: fn(c_int, *const libc::iovec, c_int, i64) -> isize);
        // SAFETY: the caller's arguments.
        told_all(unsafe { real(fd, iov, count, offset) }, iov, count, true)
    }

    pub unsafe fn pwritev(fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64) -> isize {
        if let Some(open) = node::device(fd) {
            let r = vectors(iov, count);
            return r.map_or_else(|e| fail(e) as isize, |v| transfer(Op::Write, open, v.get(), Some(offset)));
        }
        let real = real!(pwritev: fn(c_int, *const libc::iovec, c_int, i64) -> isize);
        // SAFETY: the caller's arguments.
        told_all(unsafe { real(fd, iov, count, offset) }, iov, count, false)
    }

    pub unsafe fn preadv2(
        fd: c_int,
        iov: *const libc::iovec,
        count: c_int,
        offset: i64,
        flags: c_int,
    ) -> isize {
        if node::device(fd).is_some() && flags == 0 {
            return match offset {
                // SAFETY: the caller's arguments; -1 stands for the file's own offset.
                -1 => unsafe { readv(fd, iov, count) },
                // SAFETY: the caller's arguments.
                _ => unsafe { preadv(fd, iov, count, offset) },
            };
        }
        let real = real!(preadv2: fn(c_int, *const libc::iovec, c_int, i64, c_int) -> isize);
        // SAFETY: the caller's arguments.
        told_all(unsafe { real(fd, iov, count, offset, flags) }, iov, count, true)
    }

    pub unsafe fn pwritev2(
        fd: c_int,
        iov: *const libc::iovec,
        count: c_int,
        offset: i64,
        flags: c_int,
    ) -> isize {
        if node::device(fd).is_some() && flags == 0 {
            return match offset {
                // SAFETY: the caller's arguments; -1 stands for the file's own offset.
                -1 => unsafe { writev(fd, iov, count) },
                // SAFETY: the caller's arguments.
                _ => unsafe { pwritev(fd, iov, count, offset) },
            };
        }
        let real = real!(pwritev2: fn(c_int, *const libc::iovec, c_int, i64, c_int) -> isize);
        // SAFETY: the caller's arguments.
        told_all(unsafe { real(fd, iov, count, offset, flags) }, iov, count, false)
    }

    pub unsafe fn preadv64(fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64) -> isize {
        // SAFETY: the caller's arguments.
        unsafe { preadv(fd, iov, count, offset) }
    }

    pub unsafe fn pwritev64(fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64) -> isize {
        // SAFETY: the caller's arguments.
        unsafe { pwritev(fd, iov, count, offset) }
    }

    // Variadic in C; its argument is passed as any other on this machine.
    pub unsafe fn ioctl(fd: c_int, request: c_ulong, arg: u64) -> c_int {
        if let Some(open) = node::device(fd) {
            let request = request & 0xffff_ffff;
            let r = link::request(Op::Ioctl, [open, request, arg, 0, 0, 0], &[], &[], true);
            if r.is_ok() && (request == libc::FIONBIO || request == FIONBIO) && !set_blocking(fd, arg) {
                return fail(libc::EFAULT);
            }
            return r.map_or_else(fail, |r| r.a[0] as c_int);
        }
        let real = real!(ioctl: fn(c_int, c_ulong, u64) -> c_int);
        // SAFETY: the caller's arguments.
        unsafe { real(fd, request, arg) }
    }

    pub unsafe fn send(fd: c_int, buf: *const c_void, len: usize, flags: c_int) -> isize {
        let real = real!(send: fn(c_int, *const c_void, usize, c_int) -> isize);
        if detour(buf, len) {
            // SAFETY: a buffer of our own.
            return around(buf.cast_mut(), len, true, |b, n| unsafe { real(fd, b, n, flags) });
        }
        // SAFETY: the caller's arguments.
        told(unsafe { real(fd, buf, len, flags) }, &one(buf, len), false)
    }

    pub unsafe fn recv(fd: c_int, buf: *mut c_void, len: usize, flags: c_int) -> isize {
        let real = real!(recv: fn(c_int, *mut c_void, usize, c_int) -> isize);
        if detour(buf, len) {
            // SAFETY: a buffer of our own.
            return around(buf, len, false, |b, n| unsafe { real(fd, b, n, flags) });
        }
        // SAFETY: the caller's arguments.
        told(unsafe { real(fd, buf, len, flags) }, &one(buf, len), true)
    }
}

/// If any buffer of a vector call must take the detour: the first that is not empty.
fn any_detour(iov: *const libc::iovec, count: c_int) -> Option<Buffer> {
    let mode = state::MODE.load(Ordering::Relaxed);
    if mode == 0 || mode == FAULTS_UFFD {
        return None;
    }
    let v = vectors(iov, count).ok()?;
    let near = v.get().iter().any(|b| detour(b.base as *const c_void, b.len as usize));
    near.then(|| v.get().iter().find(|b| b.len > 0).copied()).flatten()
}

/// The exported functions themselves.
mod exported {
    use super::*;

    exported! {
        read = inner(fd: c_int, buf: *mut c_void, len: usize) -> isize;
        write = inner(fd: c_int, buf: *const c_void, len: usize) -> isize;
        lseek = inner(fd: c_int, offset: i64, whence: c_int) -> i64;
        lseek64 = inner(fd: c_int, offset: i64, whence: c_int) -> i64;
        pread = inner(fd: c_int, buf: *mut c_void, len: usize, offset: i64) -> isize;
        pread64 = inner(fd: c_int, buf: *mut c_void, len: usize, offset: i64) -> isize;
        pwrite = inner(fd: c_int, buf: *const c_void, len: usize, offset: i64) -> isize;
        pwrite64 = inner(fd: c_int, buf: *const c_void, len: usize, offset: i64) -> isize;
        readv = inner(fd: c_int, iov: *const libc::iovec, count: c_int) -> isize;
        writev = inner(fd: c_int, iov: *const libc::iovec, count: c_int) -> isize;
        preadv = inner(fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64) -> isize;
        pwritev = inner(fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64) -> isize;
        preadv2 = inner(fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64, flags: c_int) -> isize;
        pwritev2 = inner(fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64, flags: c_int) -> isize;
        preadv64 = inner(fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64) -> isize;
        pwritev64 = inner(fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64) -> isize;
        ioctl = inner(fd: c_int, request: c_ulong, arg: u64) -> c_int;
        send = inner(fd: c_int, buf: *const c_void, len: usize, flags: c_int) -> isize;
        recv = inner(fd: c_int, buf: *mut c_void, len: usize, flags: c_int) -> isize;
    }
}
