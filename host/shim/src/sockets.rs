//! Sending and receiving, with the detour for buffers in device memory. A message that comes may also bring the descriptor of a device.

use core::ffi::{c_int, c_uint, c_void};
use core::sync::atomic::Ordering;

use ddi_wire::Buffer;

use crate::detour::{self, Outcome, Own, Source, answer, outcome};
use crate::io::{one, vectors};
use crate::real::fail;
use crate::{copy, state, sys};

/// Longest address of a socket.
const NAME: usize = size_of::<libc::sockaddr_storage>();
/// Most bytes of a message's control part.
const CONTROL: usize = 64 * 1024;

/// A message to be received: where its parts go. What has been received is said afterwards.
pub struct Message<'a> {
    buffers: &'a [Buffer],
    /// Address and length, of the sender's address and of the control part.
    name: (u64, u32),
    control: (u64, usize),
    /// `MSG_*` of what was received.
    flags: c_int,
}

impl<'a> Message<'a> {
    /// Just its bytes.
    pub fn of(buffers: &'a [Buffer]) -> Message<'a> {
        Message { buffers, name: (0, 0), control: (0, 0), flags: 0 }
    }
}

type Recvmsg = unsafe extern "C" fn(c_int, *mut libc::msghdr, c_int) -> isize;

/// Receives by way of a buffer of our own: looks at the message, delivers it, and takes it away then.
pub fn receive(fd: c_int, source: Source, flags: c_int, message: &mut Message<'_>) -> Outcome {
    let real: Recvmsg = real!(recvmsg: fn(c_int, *mut libc::msghdr, c_int) -> isize);
    let all = detour::room(message.buffers);
    let wanted = message.control.1.min(CONTROL);
    let own = Own::new(2 * all + NAME + wanted)?;
    let (name, control) = (own.at(2 * all), own.at(2 * all + NAME));
    let mut iov = libc::iovec { iov_base: own.at(0), iov_len: all };
    // SAFETY: all-zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { core::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (&raw mut iov, 1);
    (header.msg_name, header.msg_namelen) = (name, NAME as u32);
    (header.msg_control, header.msg_controllen) = (control, wanted);
    // A queue of errors cannot be looked at.
    let look = if flags & libc::MSG_ERRQUEUE == 0 { libc::MSG_PEEK } else { 0 };
    if look == 0 && detour::touch(message.buffers, all) == 0 && all > 0 {
        return Err(copy::why());
    }
    // SAFETY: the header and all that it points to are ours.
    let n = outcome(unsafe { real(fd, &mut header, flags | look) })?;
    let seen = n.min(all);
    let delivered = deliver(source, seen, &own, message, &header, (name as u64, control as u64));
    let done = delivered.inspect_err(|_| close_passed(&header))?;
    let stream = source == Source::Stream;
    if look == 0 || flags & libc::MSG_PEEK != 0 || stream && done == 0 {
        return Ok(if stream { done } else { n });
    }
    iov = libc::iovec { iov_base: own.at(all), iov_len: if stream { done } else { all } };
    // SAFETY: all-zero is a valid msghdr.
    let mut away: libc::msghdr = unsafe { core::mem::zeroed() };
    (away.msg_iov, away.msg_iovlen) = (&raw mut iov, 1);
    // SAFETY: as above. Descriptors that come along have been received already, and these are dropped.
    let taken = outcome(unsafe { real(fd, &mut away, flags) })?;
    let settled = detour::settle(message.buffers, &own, all, taken.min(all))?;
    Ok(if stream { settled } else { taken })
}

/// Delivers what has been seen: how many bytes. Of a message all or nothing.
fn deliver(
    source: Source,
    seen: usize,
    own: &Own,
    message: &mut Message<'_>,
    header: &libc::msghdr,
    (name, control): (u64, u64),
) -> Outcome {
    let done = detour::put(message.buffers, own.at(0) as u64, seen);
    if done < seen && (done == 0 || source != Source::Stream) {
        return Err(copy::why());
    }
    let parts = [
        (message.name.0, name, message.name.1.min(header.msg_namelen) as usize),
        (message.control.0, control, message.control.1.min(header.msg_controllen)),
    ];
    for (to, from, len) in parts {
        // SAFETY: ours has so many bytes; the other side is what the program named.
        if to != 0 && unsafe { copy::copy(to, from, len) } < len {
            return Err(copy::why());
        }
    }
    (message.name.1, message.control.1) = (header.msg_namelen, header.msg_controllen);
    message.flags = header.msg_flags;
    Ok(done)
}

/// Closes the descriptors that have come with a message that could not be delivered; it will bring them again.
fn close_passed(header: &libc::msghdr) {
    // SAFETY: the kernel has filled the control part.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: null, or a header inside the control part.
    while let Some(part) = unsafe { next.as_ref() } {
        if (part.cmsg_level, part.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            // SAFETY: as above.
            let data = unsafe { libc::CMSG_DATA(next) }.cast::<c_int>();
            let bytes = (part.cmsg_len).saturating_sub(data as usize - next as usize);
            for i in 0..bytes / size_of::<c_int>() {
                let at = data.wrapping_add(i);
                // SAFETY: inside the part, by its length.
                sys::close(unsafe { at.read_unaligned() });
            }
        }
        // SAFETY: as above.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
}

/// recv(2) and recvfrom(2). A sender's address goes to `name`, if that is not null.
///
/// # Safety
/// As for recvfrom(2).
unsafe fn receive_from(
    fd: c_int,
    buf: *mut c_void,
    len: usize,
    flags: c_int,
    name: *mut c_void,
    name_len: *mut c_uint,
) -> isize {
    let buffers = one(buf, len);
    let Some(source) = detour::reading(fd, &buffers) else {
        let real = real!(recvfrom: fn(c_int, *mut c_void, usize, c_int, *mut c_void, *mut c_uint) -> isize);
        // SAFETY: the caller's arguments.
        return detour::told(unsafe { real(fd, buf, len, flags, name, name_len) }, &buffers, true);
    };
    let mut message = Message::of(&buffers);
    let mut have = 0u32;
    if !name.is_null() {
        // SAFETY: a local; the other side is what the program named.
        if unsafe { copy::copy((&raw mut have) as u64, name_len as u64, 4) } < 4 {
            return fail(copy::why()) as isize;
        }
        message.name = (name as u64, have);
    }
    let r = receive(fd, source, flags, &mut message);
    if r.is_ok() && !name.is_null() {
        // SAFETY: as above. The program gave the place a moment ago.
        unsafe { copy::copy(name_len as u64, (&raw const message.name.1) as u64, 4) };
    }
    answer(r)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn recv(fd: c_int, buf: *mut c_void, len: usize, flags: c_int) -> isize {
    // SAFETY: the caller's arguments.
    unsafe { receive_from(fd, buf, len, flags, core::ptr::null_mut(), core::ptr::null_mut()) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __recv_chk(
    fd: c_int,
    buf: *mut c_void,
    len: usize,
    _room: usize,
    flags: c_int,
) -> isize {
    // SAFETY: the caller's arguments.
    unsafe { recv(fd, buf, len, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn recvfrom(
    fd: c_int,
    buf: *mut c_void,
    len: usize,
    flags: c_int,
    name: *mut c_void,
    name_len: *mut c_uint,
) -> isize {
    // SAFETY: the caller's arguments.
    unsafe { receive_from(fd, buf, len, flags, name, name_len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __recvfrom_chk(
    fd: c_int,
    buf: *mut c_void,
    len: usize,
    _room: usize,
    flags: c_int,
    name: *mut c_void,
    name_len: *mut c_uint,
) -> isize {
    // SAFETY: the caller's arguments.
    unsafe { receive_from(fd, buf, len, flags, name, name_len) }
}

/// The header of a message and its buffers, copied from the program; `None` if they are not there, or too many.
fn header(at: *const libc::msghdr) -> Option<(libc::msghdr, crate::io::Vectors)> {
    // SAFETY: all-zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { core::mem::zeroed() };
    let len = size_of::<libc::msghdr>();
    // SAFETY: a local; the other side is what the program named.
    let got = unsafe { copy::copy((&raw mut header) as u64, at as u64, len) };
    let count = c_int::try_from(header.msg_iovlen).ok()?;
    vectors(header.msg_iov, count).ok().filter(|_| got == len).map(|v| (header, v))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn recvmsg(fd: c_int, at: *mut libc::msghdr, flags: c_int) -> isize {
    let n = if state::MODE.load(Ordering::Relaxed) == 0 { None } else { received(fd, at, flags) };
    let n = n.unwrap_or_else(|| {
        let real: Recvmsg = real!(recvmsg: fn(c_int, *mut libc::msghdr, c_int) -> isize);
        // SAFETY: the caller's arguments.
        unsafe { real(fd, at, flags) }
    });
    if n >= 0 {
        // The bit only makes the shim look closer from now on.
        state::HOLDING.store(true, Ordering::Relaxed);
    }
    n
}

/// recvmsg(2) in a process with devices; `None` if the header or its buffers are not where the program says.
fn received(fd: c_int, at: *mut libc::msghdr, flags: c_int) -> Option<isize> {
    let (mut header, v) = header(at)?;
    let Some(source) = detour::reading(fd, v.get()) else {
        let real: Recvmsg = real!(recvmsg: fn(c_int, *mut libc::msghdr, c_int) -> isize);
        // SAFETY: the program's arguments.
        return Some(detour::told(unsafe { real(fd, at, flags) }, v.get(), true));
    };
    let mut message = Message::of(v.get());
    message.name = (header.msg_name as u64, header.msg_namelen);
    message.control = (header.msg_control as u64, header.msg_controllen);
    let r = receive(fd, source, flags, &mut message);
    if r.is_ok() {
        (header.msg_namelen, header.msg_controllen) = (message.name.1, message.control.1);
        header.msg_flags = message.flags;
        // SAFETY: a local; the other side is where the program had it a moment ago.
        unsafe { copy::copy(at as u64, (&raw const header) as u64, size_of::<libc::msghdr>()) };
    }
    Some(answer(r))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn recvmmsg(
    fd: c_int,
    messages: *mut libc::mmsghdr,
    count: c_uint,
    flags: c_int,
    limit: *mut libc::timespec,
) -> c_int {
    let real = real!(recvmmsg: fn(c_int, *mut libc::mmsghdr, c_uint, c_int, *mut libc::timespec) -> c_int);
    state::HOLDING.store(true, Ordering::Relaxed);
    // SAFETY: the caller's arguments.
    unsafe { real(fd, messages, count, flags, limit) }
}

type Sendto = unsafe extern "C" fn(c_int, *const c_void, usize, c_int, *const c_void, c_uint) -> isize;

/// send(2) and sendto(2).
///
/// # Safety
/// As for sendto(2).
unsafe fn send_to(
    fd: c_int,
    buf: *const c_void,
    len: usize,
    flags: c_int,
    name: *const c_void,
    name_len: c_uint,
) -> isize {
    let real: Sendto = real!(sendto: fn(c_int, *const c_void, usize, c_int, *const c_void, c_uint) -> isize);
    let buffers = one(buf, len);
    // SAFETY: a buffer of our own, and the caller's address.
    let sent = detour::write(&buffers, |b, n| unsafe { real(fd, b, n, flags, name, name_len) });
    sent.unwrap_or_else(|| {
        // SAFETY: the caller's arguments.
        detour::told(unsafe { real(fd, buf, len, flags, name, name_len) }, &buffers, false)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn send(fd: c_int, buf: *const c_void, len: usize, flags: c_int) -> isize {
    // SAFETY: the caller's arguments.
    unsafe { send_to(fd, buf, len, flags, core::ptr::null(), 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendto(
    fd: c_int,
    buf: *const c_void,
    len: usize,
    flags: c_int,
    name: *const c_void,
    name_len: c_uint,
) -> isize {
    // SAFETY: the caller's arguments.
    unsafe { send_to(fd, buf, len, flags, name, name_len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendmsg(fd: c_int, at: *const libc::msghdr, flags: c_int) -> isize {
    let real = real!(sendmsg: fn(c_int, *const libc::msghdr, c_int) -> isize);
    let copied = if state::MODE.load(Ordering::Relaxed) == 0 { None } else { header(at) };
    let Some((header, v)) = copied else {
        // SAFETY: the caller's arguments.
        return unsafe { real(fd, at, flags) };
    };
    let sent = detour::write(v.get(), |b, n| {
        let mut iov = libc::iovec { iov_base: b, iov_len: n };
        let own = libc::msghdr { msg_iov: &raw mut iov, msg_iovlen: 1, ..header };
        // SAFETY: a buffer of our own, and the caller's name and control part.
        unsafe { real(fd, &own, flags) }
    });
    sent.unwrap_or_else(|| {
        // SAFETY: the caller's arguments.
        detour::told(unsafe { real(fd, at, flags) }, v.get(), false)
    })
}
