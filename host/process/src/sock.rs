//! Messages over sequential-packet sockets.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ddi_wire::{HEAD_MAX, MESSAGE_MAX, Message, Patience, Sink};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, send, sendmsg,
};

use super::failpoint::fails;

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Conn {
    fd: OwnedFd,
    patience: Patience,
}

/// A message received. Its bytes are at the front of the buffer that was given.
#[derive(Debug)]
pub(super) struct Received {
    pub len: usize,
    pub fds: Vec<OwnedFd>,
}

/// A buffer that every message fits in.
pub(super) fn buffer() -> Vec<u8> {
    vec![0; MESSAGE_MAX]
}

/// An encoded message.
struct Encoded(Vec<u8>);

impl Sink for Encoded {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ddi_wire::Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Makes a system call that sends until no signal interrupts it.
fn again(mut call: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<()> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            r => return r.map(drop).map_err(Into::into),
        }
    }
}

impl Conn {
    pub fn new(fd: OwnedFd) -> Conn {
        Conn { fd, patience: Patience::new() }
    }

    /// Two ends of a new connection.
    pub fn pair() -> io::Result<(Conn, Conn)> {
        if fails("socketpair") {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let (a, b) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Conn::new(a), Conn::new(b)))
    }

    /// Sends a message. An error means that the other end is gone.
    pub fn send<'a>(&self, message: &impl Message<'a>, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        if fails("sendmsg") {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let mut head = Encoded(Vec::with_capacity(HEAD_MAX));
        message.encode(&mut head).map_err(io::Error::other)?;
        if fds.is_empty() && message.tail().is_empty() {
            return again(|| send(&self.fd, &head.0, SendFlags::NOSIGNAL));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::other("too many descriptors"));
        }
        let iov = [IoSlice::new(&head.0), IoSlice::new(message.tail())];
        again(|| sendmsg(&self.fd, &iov, &mut control, SendFlags::NOSIGNAL))
    }

    /// Receives a message into `buf`. `None` when the other end is gone.
    pub fn recv(&self, buf: &mut [u8], flags: RecvFlags) -> io::Result<Option<Received>> {
        if !flags.contains(RecvFlags::DONTWAIT) && fails("recvmsg") {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let r = loop {
            match recvmsg(
                &self.fd,
                &mut [IoSliceMut::new(buf)],
                &mut control,
                flags | RecvFlags::CMSG_CLOEXEC,
            ) {
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
        Ok((r.bytes > 0).then_some(Received { len: r.bytes, fds }))
    }

    /// Waits for a message, and polls for it before it sleeps.
    pub fn await_message(&self, buf: &mut [u8]) -> io::Result<Option<Received>> {
        let prompt = self.patience.poll(|| match self.recv(buf, RecvFlags::DONTWAIT) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
            got => Some(got),
        });
        prompt.unwrap_or_else(|| self.recv(buf, RecvFlags::empty()))
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
}

impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
