//! Messages on a socket, with raw system calls: shared by threads and the agent.

use ddi_wire::{MESSAGE_LEN, Message, Op, PAYLOAD_MAX};

use crate::sys;

/// Room for the descriptors of one message.
#[repr(C, align(8))]
struct Control {
    len: u64,
    level: i32,
    kind: i32,
    fds: [i32; 4],
}

/// A message received.
pub struct Received {
    pub message: Message,
    /// Bytes of payload in the buffer.
    pub payload: usize,
    /// Descriptors; -1 where there is none.
    pub fds: [i32; 2],
}

impl Received {
    pub fn op(&self) -> Option<Op> {
        Op::from_number(self.message.op)
    }
}

/// Sends a message. `EPIPE` or the like: the other end is gone; `EFAULT` cannot be, the payload is ours.
pub fn send(fd: i32, message: &Message, payload: &[u8], fds: &[i32]) -> Result<(), i32> {
    let mut iov = [
        libc::iovec { iov_base: core::ptr::from_ref(message).cast_mut().cast(), iov_len: MESSAGE_LEN },
        libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() },
    ];
    let mut control = Control { len: 0, level: libc::SOL_SOCKET, kind: libc::SCM_RIGHTS, fds: [0; 4] };
    let n = fds.len().min(4);
    control.fds[..n].copy_from_slice(&fds[..n]);
    control.len = 16 + 4 * n as u64;
    // SAFETY: all-zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { core::mem::zeroed() };
    header.msg_iov = iov.as_mut_ptr();
    header.msg_iovlen = 2;
    if n > 0 {
        header.msg_control = (&raw mut control).cast();
        header.msg_controllen = 16 + (4 * n).next_multiple_of(8);
    }
    let a = [fd as u64, (&raw const header) as u64, libc::MSG_NOSIGNAL as u64, 0, 0, 0];
    loop {
        // SAFETY: the header and all that it points to are valid for reads.
        match unsafe { sys::call(libc::SYS_sendmsg, a) } {
            Err(libc::EINTR) => {}
            r => return r.map(drop),
        }
    }
}

/// Receives a message, its payload (at most [`PAYLOAD_MAX`] bytes) into `buf`. `Ok(None)`: the other end is gone. Without `wait`,
/// `EAGAIN`: there is none.
///
/// # Safety
/// `buf` has room for [`PAYLOAD_MAX`] bytes.
pub unsafe fn recv(fd: i32, buf: *mut u8, cloexec: bool, wait: bool) -> Result<Option<Received>, i32> {
    let mut message = Message::default();
    let mut iov = [
        libc::iovec { iov_base: (&raw mut message).cast(), iov_len: MESSAGE_LEN },
        libc::iovec { iov_base: buf.cast(), iov_len: PAYLOAD_MAX },
    ];
    let mut control = Control { len: 0, level: 0, kind: 0, fds: [-1; 4] };
    // SAFETY: all-zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { core::mem::zeroed() };
    header.msg_iov = iov.as_mut_ptr();
    header.msg_iovlen = 2;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = size_of::<Control>();
    let flags = if cloexec { libc::MSG_CMSG_CLOEXEC } else { 0 } | if wait { 0 } else { libc::MSG_DONTWAIT };
    let a = [fd as u64, (&raw mut header) as u64, flags as u64, 0, 0, 0];
    // SAFETY: the header and all that it points to are valid for writes; `buf` by the caller.
    let n = match unsafe { sys::call(libc::SYS_recvmsg, a) } {
        Err(libc::ECONNRESET) => return Ok(None),
        r => r? as usize,
    };
    if n < MESSAGE_LEN {
        return Ok(None);
    }
    let mut fds = [-1; 2];
    if header.msg_controllen >= 16 && control.kind == libc::SCM_RIGHTS {
        let count = ((control.len as usize).saturating_sub(16) / 4).min(2);
        fds[..count].copy_from_slice(&control.fds[..count]);
    }
    Ok(Some(Received { message, payload: n - MESSAGE_LEN, fds }))
}

/// The items that a payload holds.
///
/// # Safety
/// `buf` is aligned for `T`, holds `payload` bytes, and any bytes are a valid `T`. It is not written while the result lives.
pub unsafe fn items<'a, T>(buf: *const u8, payload: usize) -> &'a [T] {
    // SAFETY: by the caller.
    unsafe { core::slice::from_raw_parts(buf.cast(), payload / size_of::<T>()) }
}
