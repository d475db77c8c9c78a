//! Reading and writing: devices are served by the host; other files natively, with a [`detour`] where a buffer is in device memory.

use core::ffi::{c_int, c_ulong, c_void};

use ddi_wire::{Buffer, Items, Reply, Request};

use crate::detour::told;
use crate::real::{fail, result};
use crate::{copy, detour, link, node, stat, state};

/// `FIONBIO` as illumos has it.
const FIONBIO: u64 = 0x8004_667e;

/// Sets or clears `O_NONBLOCK`, as the kernel does when a driver has accepted `FIONBIO`. False: the argument is no address.
fn set_blocking(fd: c_int, arg: u64) -> bool {
    let mut on = [0; size_of::<c_int>()];
    if copy::read(&mut on, arg) < on.len() {
        return false;
    }
    // SAFETY: no memory is involved.
    let flags = unsafe { stat::fcntl(fd, libc::F_GETFL, 0) };
    let nonblock = if c_int::from_ne_bytes(on) != 0 { libc::O_NONBLOCK } else { 0 };
    let flags = flags & !libc::O_NONBLOCK | nonblock;
    // SAFETY: as above.
    unsafe { stat::fcntl(fd, libc::F_SETFL, flags as u64) };
    true
}

/// Most buffers of a vector call.
const VECTORS: usize = 1024;

fn transfer(request: &Request<'_>) -> isize {
    result(link::request(request, &[], true, |got| match got.reply {
        Reply::Transferred { count } => Some(count),
        _ => None,
    }))
}

/// Reads a device; `offset`: not at the file's own.
fn read_device(open: u64, buffers: &[Buffer], offset: Option<i64>) -> isize {
    transfer(&Request::Read { open, offset, buffers: Items::of(buffers) })
}

/// Writes a device; `offset`: not at the file's own.
fn write_device(open: u64, buffers: &[Buffer], offset: Option<i64>) -> isize {
    transfer(&Request::Write { open, offset, buffers: Items::of(buffers) })
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
    // An iovec is a base and a length.
    let list = v.list.get_mut(..len).unwrap_or_default();
    if copy::read_items(list, iov as u64) { Ok(v) } else { Err(libc::EFAULT) }
}

impl Vectors {
    pub fn get(&self) -> &[Buffer] {
        self.list.get(..self.len).unwrap_or_default()
    }
}

/// The same in a process that has device memory; `None` in others, and if they are not there or too many, which is Linux's to say.
fn watched(iov: *const libc::iovec, count: c_int) -> Option<Vectors> {
    if state::mode().is_none() { None } else { vectors(iov, count).ok() }
}

/// write(2) as the C library has it, of the shim's bytes.
fn native_write(fd: c_int, bytes: &[u8]) -> isize {
    let real = real!(write: fn(c_int, *const c_void, usize) -> isize);
    // SAFETY: so many bytes.
    unsafe { real(fd, bytes.as_ptr().cast(), bytes.len()) }
}

/// pread(2) as the C library has it, into a buffer of the shim's.
fn native_pread(fd: c_int, to: &mut [u8], offset: i64) -> isize {
    let real = real!(pread64: fn(c_int, *mut c_void, usize, i64) -> isize);
    // SAFETY: room for so many bytes.
    unsafe { real(fd, to.as_mut_ptr().cast(), to.len(), offset) }
}

/// pwrite(2) as the C library has it, of the shim's bytes.
fn native_pwrite(fd: c_int, bytes: &[u8], offset: i64) -> isize {
    let real = real!(pwrite64: fn(c_int, *const c_void, usize, i64) -> isize);
    // SAFETY: so many bytes.
    unsafe { real(fd, bytes.as_ptr().cast(), bytes.len(), offset) }
}

/// read(2) and pread(2) of the program: `original` is Linux's.
fn read_one(
    fd: c_int,
    buf: *mut c_void,
    len: usize,
    offset: Option<i64>,
    original: impl FnOnce() -> isize,
) -> isize {
    let buffers = one(buf, len);
    if let Some(open) = node::device(fd) {
        return read_device(open, &buffers, offset);
    }
    let detour = match offset {
        Some(at) => detour::read_at(&buffers, |to| native_pread(fd, to, at)),
        None => detour::read(fd, &buffers),
    };
    detour.unwrap_or_else(|| told(original(), &buffers, true))
}

/// write(2) and pwrite(2) of the program.
fn write_one(
    fd: c_int,
    buf: *const c_void,
    len: usize,
    offset: Option<i64>,
    original: impl FnOnce() -> isize,
) -> isize {
    let buffers = one(buf, len);
    if let Some(open) = node::device(fd) {
        return write_device(open, &buffers, offset);
    }
    let detour = detour::write(&buffers, |bytes| match offset {
        Some(at) => native_pwrite(fd, bytes, at),
        None => native_write(fd, bytes),
    });
    detour.unwrap_or_else(|| told(original(), &buffers, false))
}

/// readv(2), preadv(2) and, but for their flags, preadv2(2) of the program.
fn read_many(
    fd: c_int,
    (iov, count): (*const libc::iovec, c_int),
    offset: Option<i64>,
    original: impl FnOnce() -> isize,
) -> isize {
    if let Some(open) = node::device(fd) {
        return vectors(iov, count).map_or_else(|e| fail(e) as isize, |v| read_device(open, v.get(), offset));
    }
    let Some(v) = watched(iov, count) else { return original() };
    let detour = match offset {
        Some(at) => detour::read_at(v.get(), |to| native_pread(fd, to, at)),
        None => detour::read(fd, v.get()),
    };
    detour.unwrap_or_else(|| told(original(), v.get(), true))
}

/// writev(2), pwritev(2) and, but for their flags, pwritev2(2) of the program.
fn write_many(
    fd: c_int,
    (iov, count): (*const libc::iovec, c_int),
    offset: Option<i64>,
    original: impl FnOnce() -> isize,
) -> isize {
    if let Some(open) = node::device(fd) {
        return vectors(iov, count)
            .map_or_else(|e| fail(e) as isize, |v| write_device(open, v.get(), offset));
    }
    let Some(v) = watched(iov, count) else { return original() };
    let detour = detour::write(v.get(), |bytes| match offset {
        Some(at) => native_pwrite(fd, bytes, at),
        None => native_write(fd, bytes),
    });
    detour.unwrap_or_else(|| told(original(), v.get(), false))
}

/// lseek(2): `original` is Linux's.
fn seek(fd: c_int, offset: i64, whence: c_int, original: impl FnOnce() -> i64) -> i64 {
    let Some(open) = node::device(fd) else { return original() };
    let r = link::request(&Request::Seek { open, offset, whence }, &[], true, |got| match got.reply {
        Reply::Offset { offset } => Some(offset.cast_unsigned()),
        _ => None,
    });
    result(r) as i64
}

/// Reads a device for a stream of stdio's, which passes its buffer.
pub fn stream_read(fd: c_int, buf: *mut c_void, len: usize) -> isize {
    read_one(fd, buf, len, None, || fail(libc::EIO) as isize)
}

/// Writes a device for a stream of stdio's.
pub fn stream_write(fd: c_int, buf: *const c_void, len: usize) -> isize {
    write_one(fd, buf, len, None, || fail(libc::EIO) as isize)
}

/// Moves the offset of a device for a stream of stdio's.
pub fn stream_seek(fd: c_int, offset: i64, whence: c_int) -> i64 {
    seek(fd, offset, whence, || fail(libc::EIO).into())
}

interpose! {
    fn [read](fd: c_int, buf: *mut c_void, len: usize) -> isize = |original| { read_one(fd, buf, len, None, original) }

    fn [__read_chk](fd: c_int, buf: *mut c_void, len: usize, room: usize) -> isize = |original| {
        read_one(fd, buf, len, None, original)
    }

    fn [write](fd: c_int, buf: *const c_void, len: usize) -> isize = |original| {
        write_one(fd, buf, len, None, original)
    }

    fn [lseek, lseek64](fd: c_int, offset: i64, whence: c_int) -> i64 = |original| {
        seek(fd, offset, whence, original)
    }

    fn [pread, pread64](fd: c_int, buf: *mut c_void, len: usize, offset: i64) -> isize = |original| {
        read_one(fd, buf, len, Some(offset), original)
    }

    fn [__pread_chk, __pread64_chk](
        fd: c_int, buf: *mut c_void, len: usize, offset: i64, room: usize,
    ) -> isize = |original| {
        read_one(fd, buf, len, Some(offset), original)
    }

    fn [pwrite, pwrite64](fd: c_int, buf: *const c_void, len: usize, offset: i64) -> isize = |original| {
        write_one(fd, buf, len, Some(offset), original)
    }

    fn [readv](fd: c_int, iov: *const libc::iovec, count: c_int) -> isize = |original| {
        read_many(fd, (iov, count), None, original)
    }

    fn [writev](fd: c_int, iov: *const libc::iovec, count: c_int) -> isize = |original| {
        write_many(fd, (iov, count), None, original)
    }

    fn [preadv, preadv64](fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64) -> isize = |original| {
        read_many(fd, (iov, count), Some(offset), original)
    }

    fn [pwritev, pwritev64](fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64) -> isize = |original| {
        write_many(fd, (iov, count), Some(offset), original)
    }

    // -1 stands for the file's own offset. A device has no flags: Linux refuses them on its descriptor, a socket.
    fn [preadv2](
        fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64, flags: c_int,
    ) -> isize = |original| {
        if node::device(fd).is_some() {
            return match flags {
                0 => read_many(fd, (iov, count), (offset != -1).then_some(offset), original),
                _ => original(),
            };
        }
        let Some(v) = watched(iov, count) else { return original() };
        let done = match offset {
            // At the file's own offset it is a read: the flags are hints to Linux's cache, except RWF_NOWAIT, in spite of which it may wait.
            -1 => detour::read(fd, v.get()),
            _ => detour::read_at(v.get(), |to| {
                let one = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
                let real = real!(preadv2: fn(c_int, *const libc::iovec, c_int, i64, c_int) -> isize);
                // SAFETY: room for so many bytes.
                unsafe { real(fd, &one, 1, offset, flags) }
            }),
        };
        done.unwrap_or_else(|| told(original(), v.get(), true))
    }

    fn [pwritev2](
        fd: c_int, iov: *const libc::iovec, count: c_int, offset: i64, flags: c_int,
    ) -> isize = |original| {
        if node::device(fd).is_some() {
            return match flags {
                0 => write_many(fd, (iov, count), (offset != -1).then_some(offset), original),
                _ => original(),
            };
        }
        let Some(v) = watched(iov, count) else { return original() };
        let done = detour::write(v.get(), |bytes| {
            let one = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            let real = real!(pwritev2: fn(c_int, *const libc::iovec, c_int, i64, c_int) -> isize);
            // SAFETY: so many bytes.
            unsafe { real(fd, &one, 1, offset, flags) }
        });
        done.unwrap_or_else(|| told(original(), v.get(), false))
    }

    // Variadic in C; its argument is passed as any other on this machine.
    fn [ioctl](fd: c_int, request: c_ulong, arg: u64) -> c_int = |original| {
        let Some(open) = node::device(fd) else { return original() };
        let request = request & 0xffff_ffff;
        let asked = Request::Ioctl { open, command: request, argument: arg };
        let r = link::request(&asked, &[], true, |got| match got.reply {
            Reply::Returned { value } => Some(value),
            _ => None,
        });
        if r.is_ok() && (request == libc::FIONBIO || request == FIONBIO) && !set_blocking(fd, arg) {
            return fail(libc::EFAULT);
        }
        r.unwrap_or_else(fail)
    }
}
