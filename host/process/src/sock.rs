//! Messages over sequential-packet sockets.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ddi_wire::{MESSAGE_LEN, Message, Op, PAYLOAD_MAX};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg,
};

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Conn {
    fd: OwnedFd,
}

/// A message received. The payload is in the buffer that was given.
#[derive(Debug)]
pub(super) struct Received {
    pub message: Message,
    pub payload: usize,
    pub fds: Vec<OwnedFd>,
}

/// A buffer that every message fits in.
pub(super) fn buffer() -> Vec<u8> {
    vec![0; PAYLOAD_MAX]
}

impl Conn {
    pub fn new(fd: OwnedFd) -> Conn {
        Conn { fd }
    }

    /// Two ends of a new connection.
    pub fn pair() -> io::Result<(Conn, Conn)> {
        let (a, b) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Conn::new(a), Conn::new(b)))
    }

    /// Sends a message; an error means that the other end is gone.
    pub fn send(&self, message: &Message, payload: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let head = encode(message);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::other("too many descriptors"));
        }
        let iov = [IoSlice::new(&head), IoSlice::new(payload)];
        loop {
            match sendmsg(&self.fd, &iov, &mut control, SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                r => return r.map(drop).map_err(Into::into),
            }
        }
    }

    /// Receives a message; `None` when the other end is gone or does not speak our language.
    pub fn recv(&self, payload: &mut [u8], flags: RecvFlags) -> io::Result<Option<Received>> {
        let mut head = [0u8; MESSAGE_LEN];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let r = loop {
            let mut iov = [IoSliceMut::new(&mut head), IoSliceMut::new(payload)];
            match recvmsg(&self.fd, &mut iov, &mut control, flags | RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                r => break r?,
            }
        };
        let mut fds = Vec::new();
        for m in control.drain() {
            if let RecvAncillaryMessage::ScmRights(list) = m {
                fds.extend(list);
            }
        }
        if r.bytes < MESSAGE_LEN {
            return Ok(None);
        }
        Ok(Some(Received { message: decode(&head), payload: r.bytes - MESSAGE_LEN, fds }))
    }

    /// Receives bytes that are no message, without blocking, and the process that sent them. `None`: nothing there, or hung up.
    pub fn recv_raw(&self) -> Option<(Vec<u8>, i32)> {
        let mut data = vec![0; 1 << 18];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let r = recvmsg(&self.fd, &mut [IoSliceMut::new(&mut data)], &mut control, flags).ok()?;
        let pid = control.drain().find_map(|m| match m {
            RecvAncillaryMessage::ScmCredentials(c) => Some(c.pid.as_raw_nonzero().get()),
            _ => None,
        });
        data.truncate(r.bytes);
        (r.bytes > 0).then(|| (data, pid.unwrap_or(0)))
    }

    /// Answers a request.
    pub fn reply(
        &self,
        result: Result<[u64; 6], i32>,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let (errno, a) = match result {
            Ok(a) => (0, a),
            Err(e) => (e, [0; 6]),
        };
        self.send(&Message { op: Op::Reply as u32, errno, a }, payload, fds)
    }
}

impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn encode(m: &Message) -> [u8; MESSAGE_LEN] {
    let mut out = [0; MESSAGE_LEN];
    out[0..4].copy_from_slice(&m.op.to_ne_bytes());
    out[4..8].copy_from_slice(&m.errno.to_ne_bytes());
    for (chunk, a) in out[8..].chunks_exact_mut(8).zip(m.a) {
        chunk.copy_from_slice(&a.to_ne_bytes());
    }
    out
}

fn decode(b: &[u8; MESSAGE_LEN]) -> Message {
    let word = |i: usize| u64::from_ne_bytes(std::array::from_fn(|k| b[8 + i * 8 + k]));
    let half = |i: usize| u32::from_ne_bytes(std::array::from_fn(|k| b[i + k]));
    Message { op: half(0), errno: half(4).cast_signed(), a: std::array::from_fn(word) }
}

/// A list of words as a payload.
pub(super) fn words<const N: usize>(items: impl Iterator<Item = [u64; N]>) -> Vec<u8> {
    items.flatten().flat_map(u64::to_ne_bytes).collect()
}

/// A payload as a list of words.
pub(super) fn from_words<const N: usize>(payload: &[u8]) -> Vec<[u64; N]> {
    let word = |c: &[u8]| u64::from_ne_bytes(std::array::from_fn(|k| c[k]));
    payload.chunks_exact(8 * N).map(|c| std::array::from_fn(|i| word(&c[i * 8..i * 8 + 8]))).collect()
}
