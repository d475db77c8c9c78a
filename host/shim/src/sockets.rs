//! Sending and receiving, with the detour for buffers in device memory. A message that comes may also bring the descriptor of a device.

use core::ffi::{c_int, c_uint, c_void};
use core::ptr::{null, null_mut};
use core::sync::atomic::Ordering;

use ddi_wire::Buffer;

use crate::detour::{self, Outcome, Source, answer, outcome};
use crate::io::{one, vectors};
use crate::real::fail;
use crate::scratch::Scratch;
use crate::sys::Plain;
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

/// recvmsg(2) as the C library has it, into the shim's memory.
fn native(fd: c_int, header: &mut libc::msghdr, flags: c_int) -> Outcome {
    let real = real!(recvmsg: fn(c_int, *mut libc::msghdr, c_int) -> isize);
    // SAFETY: the header, and all that it points to, are the shim's.
    outcome(unsafe { real(fd, header, flags) })
}

/// Returns the header of a message whose data is received into `iov`.
fn header_of(iov: &mut libc::iovec) -> libc::msghdr {
    libc::msghdr { msg_iov: iov, msg_iovlen: 1, ..libc::msghdr::zeroed() }
}

/// Receives through the shim's buffer: peeks at the message, delivers it, and then consumes it.
pub fn receive(fd: c_int, source: Source, flags: c_int, message: &mut Message<'_>) -> Outcome {
    let all = detour::room(message.buffers);
    let wanted = message.control.1.min(CONTROL);
    let own = Scratch::new(2 * all + NAME + wanted + 16)?;
    // The control part has headers, which are aligned.
    let control = own.take::<u64>(wanted.div_ceil(8))?;
    let (bytes, again, name) = (own.take::<u8>(all)?, own.take::<u8>(all)?, own.take::<u8>(NAME)?);
    let mut iov = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: all };
    let mut header = header_of(&mut iov);
    (header.msg_name, header.msg_namelen) = (name.as_mut_ptr().cast(), NAME as u32);
    (header.msg_control, header.msg_controllen) = (control.as_mut_ptr().cast(), wanted);
    // A queue of errors cannot be looked at.
    let look = if flags & libc::MSG_ERRQUEUE == 0 { libc::MSG_PEEK } else { 0 };
    if look == 0 && detour::touch(message.buffers, all) == 0 && all > 0 {
        return Err(copy::why());
    }
    let n = native(fd, &mut header, flags | look)?;
    let seen = bytes.get(..n.min(all)).unwrap_or_default();
    let delivered = deliver(source, seen, message, &header, (name, control));
    let done = delivered.inspect_err(|_| close_passed(control, header.msg_controllen))?;
    let stream = source == Source::Stream;
    if look == 0 || flags & libc::MSG_PEEK != 0 || stream && done == 0 {
        return Ok(if stream { done } else { n });
    }
    let mut iov =
        libc::iovec { iov_base: again.as_mut_ptr().cast(), iov_len: if stream { done } else { all } };
    // Descriptors that come along have been received already, and these are dropped.
    let taken = native(fd, &mut header_of(&mut iov), flags)?;
    let settled = detour::settle(message.buffers, seen, again.get(..taken.min(all)).unwrap_or_default())?;
    Ok(if stream { settled } else { taken })
}

/// Delivers what has been seen: how many bytes. Of a message all or nothing.
fn deliver(
    source: Source,
    seen: &[u8],
    message: &mut Message<'_>,
    header: &libc::msghdr,
    (name, control): (&[u8], &[u64]),
) -> Outcome {
    let done = detour::put(message.buffers, seen);
    if done < seen.len() && (done == 0 || source != Source::Stream) {
        return Err(copy::why());
    }
    let name_len = message.name.1.min(header.msg_namelen) as usize;
    let control_len = message.control.1.min(header.msg_controllen);
    let room = size_of_val(control);
    let parts = [
        (message.name.0, name.as_ptr() as u64, name_len.min(name.len())),
        (message.control.0, control.as_ptr() as u64, control_len.min(room)),
    ];
    for (to, from, len) in parts {
        // SAFETY: ours has so many bytes; the program has named the other side for the result.
        if to != 0 && unsafe { copy::copy(to, from, len) } < len {
            return Err(copy::why());
        }
    }
    (message.name.1, message.control.1) = (header.msg_namelen, header.msg_controllen);
    message.flags = header.msg_flags;
    Ok(done)
}

/// Closes the descriptors that have come with a message that could not be delivered; it will bring them again. `control` is its control part.
fn close_passed(control: &[u64], len: usize) {
    let len = len.min(size_of_val(control));
    let word = |at: usize| control.get(at / 8).copied().unwrap_or(0);
    let half = |at: usize| (word(at) >> (at % 8 * 8)) as u32 as c_int;
    const HEAD: usize = size_of::<libc::cmsghdr>();
    // Parts are aligned; each begins with its length, level and type.
    let mut at = 0;
    while at + HEAD <= len {
        let part = (word(at) as usize).min(len - at);
        if part < HEAD {
            return;
        }
        if (half(at + 8), half(at + 12)) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            (at + HEAD..at + part).step_by(size_of::<c_int>()).for_each(|fd| sys::close(half(fd)));
        }
        at += part.next_multiple_of(8);
    }
}

/// recv(2) and recvfrom(2). The sender's address is stored at `name` unless that is null. `original` calls the C library's function.
fn receive_from(
    fd: c_int,
    buffers: &[Buffer],
    flags: c_int,
    (name, name_len): (*mut c_void, *mut c_uint),
    original: impl FnOnce() -> isize,
) -> isize {
    let Some(source) = detour::reading(fd, buffers) else { return detour::told(original(), buffers, true) };
    let mut message = Message::of(buffers);
    if !name.is_null() {
        let mut have = [0; size_of::<c_uint>()];
        if copy::read(&mut have, name_len as u64) < have.len() {
            return fail(copy::why()) as isize;
        }
        message.name = (name as u64, c_uint::from_ne_bytes(have));
    }
    let r = receive(fd, source, flags, &mut message);
    if r.is_ok() && !name.is_null() {
        // SAFETY: the program gave the place for the result.
        unsafe { copy::write(name_len as u64, &message.name.1.to_ne_bytes()) };
    }
    answer(r)
}

/// The header of a message and its buffers, copied from the program; `None` if they are not there, or too many.
fn header(at: *const libc::msghdr) -> Option<(libc::msghdr, crate::io::Vectors)> {
    let mut header = [libc::msghdr::zeroed()];
    if !copy::read_items(&mut header, at as u64) {
        return None;
    }
    let [header] = header;
    let count = c_int::try_from(header.msg_iovlen).ok()?;
    vectors(header.msg_iov, count).ok().map(|v| (header, v))
}

/// recvmsg(2) in a process with devices.
fn received(fd: c_int, at: *mut libc::msghdr, flags: c_int, original: impl FnOnce() -> isize) -> isize {
    // Whether the header and its buffers are where the program says is Linux's to judge.
    let Some((mut header, v)) = header(at) else { return original() };
    let Some(source) = detour::reading(fd, v.get()) else { return detour::told(original(), v.get(), true) };
    let mut message = Message::of(v.get());
    message.name = (header.msg_name as u64, header.msg_namelen);
    message.control = (header.msg_control as u64, header.msg_controllen);
    let r = receive(fd, source, flags, &mut message);
    if r.is_ok() {
        (header.msg_namelen, header.msg_controllen) = (message.name.1, message.control.1);
        header.msg_flags = message.flags;
        // SAFETY: the program gave the header for the result, too.
        unsafe { copy::write_items(at as u64, &[header]) };
    }
    answer(r)
}

/// send(2) and sendto(2): to the address `name`, if that is not null.
///
/// # Safety
/// `name` is null or an address of `name_len` bytes.
unsafe fn send_to(
    fd: c_int,
    buffers: &[Buffer],
    flags: c_int,
    (name, name_len): (*const c_void, c_uint),
    original: impl FnOnce() -> isize,
) -> isize {
    let sent = detour::write(buffers, |bytes| {
        let real = real!(sendto: fn(c_int, *const c_void, usize, c_int, *const c_void, c_uint) -> isize);
        // SAFETY: so many bytes; the address by the caller.
        unsafe { real(fd, bytes.as_ptr().cast(), bytes.len(), flags, name, name_len) }
    });
    sent.unwrap_or_else(|| detour::told(original(), buffers, false))
}

interpose! {
    fn [recv](fd: c_int, buf: *mut c_void, len: usize, flags: c_int) -> isize = |original| {
        receive_from(fd, &one(buf, len), flags, (null_mut(), null_mut()), original)
    }

    fn [__recv_chk](fd: c_int, buf: *mut c_void, len: usize, room: usize, flags: c_int) -> isize = |original| {
        receive_from(fd, &one(buf, len), flags, (null_mut(), null_mut()), original)
    }

    fn [recvfrom](
        fd: c_int, buf: *mut c_void, len: usize, flags: c_int, name: *mut c_void, name_len: *mut c_uint,
    ) -> isize = |original| {
        receive_from(fd, &one(buf, len), flags, (name, name_len), original)
    }

    fn [__recvfrom_chk](
        fd: c_int, buf: *mut c_void, len: usize, room: usize, flags: c_int,
        name: *mut c_void, name_len: *mut c_uint,
    ) -> isize = |original| {
        receive_from(fd, &one(buf, len), flags, (name, name_len), original)
    }

    fn [recvmsg](fd: c_int, at: *mut libc::msghdr, flags: c_int) -> isize = |original| {
        let n = if state::mode().is_none() { original() } else { received(fd, at, flags, original) };
        if n >= 0 {
            // The program may have received a device's descriptor: descriptors are looked up from now on.
            state::HOLDING.store(true, Ordering::Relaxed);
        }
        n
    }

    fn [recvmmsg](
        fd: c_int, messages: *mut libc::mmsghdr, count: c_uint, flags: c_int, limit: *mut libc::timespec,
    ) -> c_int = |original| {
        state::HOLDING.store(true, Ordering::Relaxed);
        original()
    }

    fn [send](fd: c_int, buf: *const c_void, len: usize, flags: c_int) -> isize = |original| {
        // SAFETY: no address.
        unsafe { send_to(fd, &one(buf, len), flags, (null(), 0), original) }
    }

    fn [sendto](
        fd: c_int, buf: *const c_void, len: usize, flags: c_int, name: *const c_void, name_len: c_uint,
    ) -> isize = |original| {
        // SAFETY: the caller's address.
        unsafe { send_to(fd, &one(buf, len), flags, (name, name_len), original) }
    }

    fn [sendmsg](fd: c_int, at: *const libc::msghdr, flags: c_int) -> isize = |original| {
        let copied = if state::mode().is_none() { None } else { header(at) };
        let Some((header, v)) = copied else { return original() };
        let sent = detour::write(v.get(), |bytes| {
            let mut iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            let own = libc::msghdr { msg_iov: &raw mut iov, msg_iovlen: 1, ..header };
            let real = real!(sendmsg: fn(c_int, *const libc::msghdr, c_int) -> isize);
            // SAFETY: a buffer of our own, and the caller's name and control part.
            unsafe { real(fd, &own, flags) }
        });
        sent.unwrap_or_else(|| detour::told(original(), v.get(), false))
    }
}
