//! Reading and writing: devices are served by the host; other files natively, with a [`detour`] where a buffer is in device memory.

use core::ffi::{c_int, c_ulong, c_void};
use core::sync::atomic::Ordering;

use ddi_wire::{Buffer, IO_OFFSET, Op};

use crate::detour::told;
use crate::real::{fail, result};
use crate::{copy, detour, link, node, stat, state};

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

fn bytes<T>(items: &[T]) -> &[u8] {
    // SAFETY: plain words, read as the bytes they are.
    unsafe { core::slice::from_raw_parts(items.as_ptr().cast(), size_of_val(items)) }
}

/// Reads or writes a device.
fn transfer(op: Op, open: u64, buffers: &[Buffer], offset: Option<i64>) -> isize {
    let (flag, at) = offset.map_or((0, 0), |o| (IO_OFFSET, o as u64));
    result(link::request(op, [open, flag, at, 0, 0, 0], bytes(buffers), &[], true).map(|r| r.a[0]))
}

pub fn one(buf: *const c_void, len: usize) -> [Buffer; 1] {
    [Buffer { base: buf as u64, len: len as u64 }]
}

/// The buffers of a vector call, copied from the program.
pub struct Vectors {
    list: [Buffer; VECTORS],
    len: usize,
}

pub fn vectors(iov: *const libc::iovec, count: c_int) -> Result<Vectors, i32> {
    let len = usize::try_from(count).ok().filter(|&n| n <= VECTORS).ok_or(libc::EINVAL)?;
    let mut v = Vectors { list: [Buffer::default(); VECTORS], len };
    let want = len * size_of::<Buffer>();
    // SAFETY: the list has room; the other side is what the program named. An iovec is a base and a length.
    let got = unsafe { copy::copy(v.list.as_mut_ptr() as u64, iov as u64, want) };
    if got == want { Ok(v) } else { Err(libc::EFAULT) }
}

impl Vectors {
    pub fn get(&self) -> &[Buffer] {
        self.list.get(..self.len).unwrap_or_default()
    }
}

/// The same in a process that has device memory; `None` in others, and if they are not there or too many, which is Linux's to say.
fn watched(iov: *const libc::iovec, count: c_int) -> Option<Vectors> {
    if state::MODE.load(Ordering::Relaxed) == 0 { None } else { vectors(iov, count).ok() }
}

/// read(2) for the shim itself and for the program.
///
/// # Safety
/// As for read(2).
pub unsafe fn read(fd: c_int, buf: *mut c_void, len: usize) -> isize {
    if let Some(open) = node::device(fd) {
        return transfer(Op::Read, open, &one(buf, len), None);
    }
    let buffers = one(buf, len);
    detour::read(fd, &buffers).unwrap_or_else(|| {
        let real = real!(read: fn(c_int, *mut c_void, usize) -> isize);
        // SAFETY: the caller's arguments.
        told(unsafe { real(fd, buf, len) }, &buffers, true)
    })
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
    let buffers = one(buf, len);
    // SAFETY: a buffer of our own.
    detour::write(&buffers, |b, n| unsafe { real(fd, b, n) }).unwrap_or_else(|| {
        // SAFETY: the caller's arguments.
        told(unsafe { real(fd, buf, len) }, &buffers, false)
    })
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

macro_rules! checked {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(fd: c_int, buf: *mut c_void, len: usize, offset: i64, _room: usize) -> isize {
            // SAFETY: the caller's arguments.
            unsafe { inner::pread64(fd, buf, len, offset) }
        }
    )*};
}

checked!(__pread_chk, __pread64_chk);

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
        let buffers = one(buf, len);
        // SAFETY: a buffer of our own.
        detour::read_at(&buffers, |b, n| unsafe { real(fd, b, n, offset) }).unwrap_or_else(|| {
            // SAFETY: the caller's arguments.
            told(unsafe { real(fd, buf, len, offset) }, &buffers, true)
        })
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
        let buffers = one(buf, len);
        // SAFETY: a buffer of our own.
        detour::write(&buffers, |b, n| unsafe { real(fd, b, n, offset) }).unwrap_or_else(|| {
            // SAFETY: the caller's arguments.
            told(unsafe { real(fd, buf, len, offset) }, &buffers, false)
        })
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
        // SAFETY: the caller's arguments.
        let native = || unsafe { real(fd, iov, count) };
        match watched(iov, count) {
            Some(v) => detour::read(fd, v.get()).unwrap_or_else(|| told(native(), v.get(), true)),
            None => native(),
        }
    }

    pub unsafe fn writev(fd: c_int, iov: *const libc::iovec, count: c_int) -> isize {
        if let Some(open) = node::device(fd) {
            return vectors(iov, count)
                .map_or_else(|e| fail(e) as isize, |v| transfer(Op::Write, open, v.get(), None));
        }
        let real = real!(writev: fn(c_int, *const libc::iovec, c_int) -> isize);
        // SAFETY: the caller's arguments.
        let native = || unsafe { real(fd, iov, count) };
        let Some(v) = watched(iov, count) else { return native() };
        let whole = real!(write: fn(c_int, *const c_void, usize) -> isize);
        // SAFETY: a buffer of our own.
        let sent = detour::write(v.get(), |b, n| unsafe { whole(fd, b, n) });
        sent.unwrap_or_else(|| told(native(), v.get(), false))
    }

    pub unsafe fn preadv(fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64) -> isize {
        if let Some(open) = node::device(fd) {
            let r = vectors(iov, count);
            return r.map_or_else(|e| fail(e) as isize, |v| transfer(Op::Read, open, v.get(), Some(offset)));
        }
        let real = real!(preadv: fn(c_int, *const libc::iovec, c_int, i64) -> isize);
        // SAFETY: the caller's arguments.
        let native = || unsafe { real(fd, iov, count, offset) };
        let Some(v) = watched(iov, count) else { return native() };
        let whole = real!(pread64: fn(c_int, *mut c_void, usize, i64) -> isize);
        // SAFETY: a buffer of our own.
        let done = detour::read_at(v.get(), |b, n| unsafe { whole(fd, b, n, offset) });
        done.unwrap_or_else(|| told(native(), v.get(), true))
    }

    pub unsafe fn pwritev(fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64) -> isize {
        if let Some(open) = node::device(fd) {
            let r = vectors(iov, count);
            return r.map_or_else(|e| fail(e) as isize, |v| transfer(Op::Write, open, v.get(), Some(offset)));
        }
        let real = real!(pwritev: fn(c_int, *const libc::iovec, c_int, i64) -> isize);
        // SAFETY: the caller's arguments.
        let native = || unsafe { real(fd, iov, count, offset) };
        let Some(v) = watched(iov, count) else { return native() };
        let whole = real!(pwrite64: fn(c_int, *const c_void, usize, i64) -> isize);
        // SAFETY: a buffer of our own.
        let done = detour::write(v.get(), |b, n| unsafe { whole(fd, b, n, offset) });
        done.unwrap_or_else(|| told(native(), v.get(), false))
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
        let native = || unsafe { real(fd, iov, count, offset, flags) };
        let Some(v) = watched(iov, count) else { return native() };
        let done = match offset {
            // With the file's own offset it is a read, whose flags matter to nobody but Linux's cache; where they are to keep it from waiting, it may wait.
            -1 => detour::read(fd, v.get()),
            _ => detour::read_at(v.get(), |b, n| {
                let one = libc::iovec { iov_base: b, iov_len: n };
                // SAFETY: a buffer of our own.
                unsafe { real(fd, &one, 1, offset, flags) }
            }),
        };
        done.unwrap_or_else(|| told(native(), v.get(), true))
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
        let native = || unsafe { real(fd, iov, count, offset, flags) };
        let Some(v) = watched(iov, count) else { return native() };
        let done = detour::write(v.get(), |b, n| {
            let one = libc::iovec { iov_base: b, iov_len: n };
            // SAFETY: a buffer of our own.
            unsafe { real(fd, &one, 1, offset, flags) }
        });
        done.unwrap_or_else(|| told(native(), v.get(), false))
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
    }
}
