//! Messages on a socket, with raw system calls: shared by threads and the agent.

use ddi_wire::{Cursor, HEAD_MAX, Message};

use crate::sys::{self, Plain};

/// Room for the descriptors of one message.
#[repr(C, align(8))]
struct Control {
    len: u64,
    level: i32,
    kind: i32,
    fds: [i32; 4],
}

/// A message received: its bytes are at the front of the buffer that was given.
#[derive(Clone, Copy)]
pub struct Received {
    pub len: usize,
    /// Descriptors; -1 where there is none.
    pub fds: [i32; 2],
}

/// Sends a message that has no list. See [`send_with`].
pub fn send<'a>(fd: i32, message: &impl Message<'a>) -> Result<(), i32> {
    send_with(fd, message, &mut [0; HEAD_MAX], &[])
}

/// Sends a message, which is encoded in `room`, with at most four descriptors. Fails with `EMSGSIZE` if `room` is too small, and with `EPIPE` or the like if the other
/// end is closed.
pub fn send_with<'a>(fd: i32, message: &impl Message<'a>, room: &mut [u8], fds: &[i32]) -> Result<(), i32> {
    let mut out = Cursor::new(room);
    message.encode(&mut out).map_err(|_| libc::EMSGSIZE)?;
    let flags = libc::MSG_NOSIGNAL as u64;
    if fds.is_empty() && message.tail().is_empty() {
        let bytes = out.bytes();
        // SAFETY: the bytes are valid for reads.
        return again(|| unsafe {
            sys::call(libc::SYS_sendto, [fd as u64, bytes.as_ptr() as u64, bytes.len() as u64, flags, 0, 0])
        });
    }
    let part =
        |bytes: &[u8]| libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut iov = [part(out.bytes()), part(message.tail())];
    let mut control = Control { len: 0, level: libc::SOL_SOCKET, kind: libc::SCM_RIGHTS, fds: [0; 4] };
    let n = fds.len().min(4);
    control.fds[..n].copy_from_slice(&fds[..n]);
    control.len = 16 + 4 * n as u64;
    let mut header = libc::msghdr::zeroed();
    header.msg_iov = iov.as_mut_ptr();
    header.msg_iovlen = 2;
    if n > 0 {
        header.msg_control = (&raw mut control).cast();
        header.msg_controllen = 16 + (4 * n).next_multiple_of(8);
    }
    // SAFETY: the header and all that it points to are valid for reads.
    again(|| unsafe { sys::call(libc::SYS_sendmsg, [fd as u64, (&raw const header) as u64, flags, 0, 0, 0]) })
}

/// Makes a system call until no signal interrupts it.
fn again(mut call: impl FnMut() -> Result<u64, i32>) -> Result<(), i32> {
    loop {
        match call() {
            Err(libc::EINTR) => {}
            r => return r.map(drop),
        }
    }
}

/// Receives a message into `buf`. Returns `None` if the other end is closed. Without `wait`, fails with `EAGAIN` if there is none.
pub fn recv(fd: i32, buf: &mut [u8], cloexec: bool, wait: bool) -> Result<Option<Received>, i32> {
    let mut iov = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    let mut control = Control { len: 0, level: 0, kind: 0, fds: [-1; 4] };
    let mut header = libc::msghdr::zeroed();
    header.msg_iov = &raw mut iov;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = size_of::<Control>();
    let flags = if cloexec { libc::MSG_CMSG_CLOEXEC } else { 0 } | if wait { 0 } else { libc::MSG_DONTWAIT };
    let a = [fd as u64, (&raw mut header) as u64, flags as u64, 0, 0, 0];
    // SAFETY: the header and all that it points to are valid for writes.
    let len = match unsafe { sys::call(libc::SYS_recvmsg, a) } {
        Err(libc::ECONNRESET) | Ok(0) => return Ok(None),
        r => r? as usize,
    };
    let mut fds = [-1; 2];
    if header.msg_controllen >= 16 && control.kind == libc::SCM_RIGHTS {
        let count = ((control.len as usize).saturating_sub(16) / 4).min(2);
        fds[..count].copy_from_slice(&control.fds[..count]);
    }
    Ok(Some(Received { len, fds }))
}
