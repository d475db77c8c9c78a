//! The way to the host: connections, requests, and the upcalls that come while a thread waits.

use core::sync::atomic::Ordering;

use ddi_wire::{
    DEFERRED, FAULTS_AUTO, FAULTS_SIGNAL, FAULTS_UFFD, FAULTS_UFFD_ANY, FAULTS_UFFD_USER, HELLO_VFORK,
    MESSAGE_LEN, MapPiece, Message, Op, PAYLOAD_MAX, PollItem, Range, UNMAPPED, VERDICT_SIGNAL, uffd,
};

use crate::held::Held;
use crate::msg::{self, Received};
use crate::state::{self, Line};
use crate::{agent, copy, reach, signals, space, sys};

/// What requests fail with when there is no host any more.
const NO_HOST: i32 = libc::ENXIO;

fn message(op: Op, a: [u64; 6]) -> Message {
    Message { op: op as u32, errno: 0, a }
}

/// A new connection to the host; the program does not see its descriptor.
fn connect() -> Result<i32, i32> {
    let host = state::host().ok_or(NO_HOST)?;
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: no memory is involved.
    let fd = unsafe { sys::call(libc::SYS_socket, [libc::AF_UNIX as u64, kind as u64, 0, 0, 0, 0]) }? as i32;
    let fd = state::adopt(fd);
    // SAFETY: all-zero is a valid sockaddr_un.
    let mut addr: libc::sockaddr_un = unsafe { core::mem::zeroed() };
    addr.sun_family = libc::AF_UNIX as u16;
    let room = addr.sun_path.len() - 1;
    for (to, from) in addr.sun_path[1..].iter_mut().zip(&host.name) {
        *to = *from as libc::c_char;
    }
    let len = 3 + host.name.len().min(room);
    let a = [fd as u64, (&raw const addr) as u64, len as u64, 0, 0, 0];
    loop {
        // SAFETY: the address is as long as said.
        match unsafe { sys::call(libc::SYS_connect, a) } {
            Ok(_) | Err(libc::EISCONN) => return Ok(fd),
            Err(libc::EINTR) => {}
            Err(error) => {
                state::drop_own(fd);
                if error == libc::ECONNREFUSED {
                    reach::not_connected();
                }
                return Err(NO_HOST);
            }
        }
    }
}

/// Can the host's socket be connected to?
pub fn reaches_host() -> bool {
    connect().map(state::drop_own).is_ok()
}

/// A connection with its buffer.
fn new_line(fd: i32) -> Result<Line, i32> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping that replaces nothing.
    let buf = unsafe { sys::mmap(0, PAYLOAD_MAX as u64, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    match buf {
        Ok(buf) => Ok(Line { fd, buf: buf as *mut u8 }),
        Err(e) => {
            state::drop_own(fd);
            Err(e)
        }
    }
}

pub fn close_line(line: Line) {
    state::drop_own(line.fd);
    // SAFETY: the buffer made in `new_line`; its owner is gone.
    let _ = unsafe { sys::munmap(line.buf as u64, PAYLOAD_MAX as u64) };
}

/// Waits for the next message; a signal meanwhile is told to the host.
fn next(line: Line, cloexec: bool, held: &mut Option<Held>) -> Result<Received, i32> {
    loop {
        if held.as_mut().is_some_and(|held| held.wait(line.fd)) {
            msg::send(line.fd, &message(Op::Interrupt, [0; 6]), &[], &[]).map_err(|_| NO_HOST)?;
        }
        // SAFETY: the buffer of a line has that room.
        match unsafe { msg::recv(line.fd, line.buf, cloexec, true) } {
            // Meant for a poll(2) that is over.
            Ok(Some(got)) if got.op() == Some(Op::Wake) => {}
            Ok(Some(got)) => return Ok(got),
            Err(libc::EINTR | libc::EAGAIN) => {}
            Ok(None) | Err(_) => return Err(NO_HOST),
        }
    }
}

/// Sends a request and serves upcalls until the reply comes. The error is the reply's, or [`NO_HOST`].
fn converse(
    line: Line,
    request: &Message,
    payload: &[u8],
    fds: &[i32],
    cloexec: bool,
    held: &mut Option<Held>,
) -> Result<Received, i32> {
    msg::send(line.fd, request, payload, fds).map_err(|_| NO_HOST)?;
    loop {
        let mut got = next(line, cloexec, held)?;
        if got.op() == Some(Op::Reply) {
            let errno = got.message.errno;
            if errno == 0 && got.message.a[5] == DEFERRED && got.payload > 0 {
                finish(line, &mut got)?;
            }
            return if errno == 0 { Ok(got) } else { Err(errno) };
        }
        let (r, bytes) = upcall(line, &got);
        let (errno, value) = match r {
            Ok(v) => (0, v),
            Err(e) => (e, 0),
        };
        let reply = Message { op: Op::Reply as u32, errno, a: [value, copy::why() as u64, 0, 0, 0, 0] };
        // SAFETY: the upcall has left so many bytes in the line's buffer.
        let bytes = unsafe { core::slice::from_raw_parts(line.buf, bytes) };
        msg::send(line.fd, &reply, bytes, &[]).map_err(|_| NO_HOST)?;
    }
}

/// Makes the changes that have come with a reply, and says so. What went wrong takes the place of the flag.
fn finish(line: Line, got: &mut Received) -> Result<(), i32> {
    // SAFETY: the buffer is page-aligned and holds the payload; the items are plain words.
    let pieces: &[MapPiece] = unsafe { msg::items(line.buf, got.payload) };
    let (memory, uffd) = (state::MEMORY.load(Ordering::Relaxed), state::UFFD.load(Ordering::Relaxed));
    let r = pieces.iter().try_for_each(|p| match p.offset {
        UNMAPPED => space::unmap(p.va, p.len),
        _ => space::map(p, memory, uffd),
    });
    got.message.a[5] = r.err().unwrap_or(0) as u64;
    msg::send(line.fd, &message(Op::Done, got.message.a), &[], &[]).map_err(|_| NO_HOST)
}

/// Does what the host asks for; gives back a value and how many bytes of the buffer are the answer.
fn upcall(line: Line, got: &Received) -> (Result<u64, i32>, usize) {
    let a = got.message.a;
    let value = |r: Result<(), i32>| (r.map(|()| 0), 0);
    match got.op() {
        Some(Op::Reserve) => (space::reserve(a[0], a[1], a[2], a[3], a[4] != 0), 0),
        Some(Op::Map) => {
            // SAFETY: the buffer is page-aligned and holds the payload; the items are plain words.
            let pieces: &[MapPiece] = unsafe { msg::items(line.buf, got.payload) };
            let (memory, uffd) = (state::MEMORY.load(Ordering::Relaxed), state::UFFD.load(Ordering::Relaxed));
            value(pieces.iter().try_for_each(|p| space::map(p, memory, uffd)))
        }
        // Never a hole for a moment: another thread's mapping could get into it, and be mapped over.
        Some(Op::Unmap) if a[2] != 0 => value(space::reserve(a[1], 0, 0, a[0], true).map(drop)),
        Some(Op::Unmap) => value(space::unmap(a[0], a[1])),
        Some(Op::Zap) => {
            let (memory, uffd) = (state::MEMORY.load(Ordering::Relaxed), state::UFFD.load(Ordering::Relaxed));
            // SAFETY: as above.
            value(space::zap(unsafe { msg::items::<Range>(line.buf, got.payload) }, memory, uffd))
        }
        Some(Op::Protect) => {
            // SAFETY: as above.
            let ranges: &[Range] = unsafe { msg::items(line.buf, got.payload) };
            value(space::protect(ranges))
        }
        Some(Op::CopyIn) => {
            let want = (a[1] as usize).min(PAYLOAD_MAX);
            // SAFETY: the buffer has the room; the other side is what the program named.
            let n = unsafe { copy::copy(line.buf as u64, a[0], want) };
            (Ok(n as u64), n)
        }
        Some(Op::CopyOut) => {
            // SAFETY: the buffer holds the payload; the other side is what the program named.
            let n = unsafe { copy::copy(a[0], line.buf as u64, got.payload) };
            (Ok(n as u64), 0)
        }
        Some(Op::CopyInStr) => {
            let want = (a[1] as usize).min(PAYLOAD_MAX);
            // SAFETY: the buffer has the room.
            let to = unsafe { core::slice::from_raw_parts_mut(line.buf, want) };
            // SAFETY: `to` has room for its length.
            let n = unsafe { copy::string(to, a[0]) };
            (Ok(n as u64), n)
        }
        Some(Op::Enlist) => value(attach()),
        Some(Op::Pin) => value(space::pin(a[0], a[1], state::MEMORY.load(Ordering::Relaxed), a[2], a[3])),
        _ => (Err(libc::ENOSYS), 0),
    }
}

/// Whose memory the shim's state is in.
#[derive(PartialEq, Eq)]
enum Who {
    /// This process's.
    Own,
    /// The parent's: this is a vfork child.
    Guest,
}

fn who() -> Who {
    if sys::getpid() == state::PID.load(Ordering::Relaxed) { Who::Own } else { Who::Guest }
}

/// What a hello is answered with.
fn note(reply: &Received) {
    let [token, policy, _, low, ..] = reply.message.a;
    state::BELOW_4G.store(low != 0, Ordering::Relaxed);
    state::TOKEN.store(token, Ordering::Relaxed);
    state::POLICY.store(policy, Ordering::Relaxed);
    let old = state::MEMORY.swap(state::adopt(reply.fds[0]), Ordering::Relaxed);
    state::drop_own(old);
}

/// Makes the process known to the host.
fn hello() -> Result<(), i32> {
    state::SETUP.with(|| {
        if state::CONNECTED.load(Ordering::Acquire) {
            return Ok(());
        }
        signals::install();
        let line = new_line(connect()?)?;
        let request = message(Op::Hello, [sys::getpid() as u64, 0, 0, 0, 0, 0]);
        match converse(line, &request, &[], &[], true, &mut None) {
            Ok(reply) => {
                note(&reply);
                state::LIFELINE.store(line.fd, Ordering::Relaxed);
                // SAFETY: the buffer is not needed any more.
                let _ = unsafe { sys::munmap(line.buf as u64, PAYLOAD_MAX as u64) };
                state::CONNECTED.store(true, Ordering::Release);
                Ok(())
            }
            Err(e) => {
                close_line(line);
                if e == libc::EPERM {
                    reach::refused();
                }
                Err(e)
            }
        }
    })
}

fn thread_line(token: u64) -> Result<Line, i32> {
    let line = new_line(connect()?)?;
    let hello = message(Op::Thread, [token, sys::gettid() as u64, 0, 0, 0, 0]);
    if msg::send(line.fd, &hello, &[], &[]).is_err() {
        close_line(line);
        return Err(NO_HOST);
    }
    Ok(line)
}

/// What came of a request: the reply's words and first descriptor, and its payload's length in the thread's buffer.
pub struct Reply {
    pub a: [u64; 6],
    pub fd: i32,
}

impl From<Received> for Reply {
    fn from(got: Received) -> Reply {
        Reply { a: got.message.a, fd: got.fds[0] }
    }
}

/// Makes a request of the host; blocks until it is served. `cloexec`: of a descriptor that comes with the reply.
pub fn request(op: Op, a: [u64; 6], payload: &[u8], fds: &[i32], cloexec: bool) -> Result<Reply, i32> {
    let request = message(op, a);
    debug_assert!(payload.len() <= PAYLOAD_MAX && size_of::<Message>() == MESSAGE_LEN);
    if who() == Who::Guest {
        return guest(&request, payload, cloexec);
    }
    loop {
        // While the host works on this address space it holds locks that faults need, and waits for this thread's answers. A signal handler
        // that ran now and touched a device would wait for the host, and the host for it: signals wait.
        let user = sys::hold_signals();
        let mut held = Some(Held::new(user));
        let r = send_request(&request, payload, fds, cloexec, &mut held);
        // Here the handlers run.
        sys::set_mask(user);
        let restarted = matches!(op, Op::Read | Op::Write | Op::Ioctl | Op::Open);
        match r {
            Err(libc::EINTR) if restarted && held.is_some_and(|held| held.restarts()) => {}
            r => return r.map(Into::into),
        }
    }
}

/// A fault, told by the signal handler that caught it. The program's mask is `user`.
pub fn fault(a: [u64; 6], user: u64) -> Result<Reply, i32> {
    let mut held = Some(Held::new(user));
    let reply = send_request(&message(Op::Fault, a), &[], &[], true, &mut held)?;
    if let Some(held) = held.filter(|_| reply.message.a[0] == VERDICT_SIGNAL) {
        held.end();
    }
    Ok(reply.into())
}

/// Which devices are ready? For a thread that has its signals held. Fills the items' answers; how many are ready, and the connection on which the host says that another look is
/// worth it (-1: none, it must be taken now and then).
pub fn poll(items: &mut [PollItem], natively: u64, user: u64) -> Result<(u64, i32), i32> {
    let request = message(Op::Poll, [natively, 0, 0, 0, 0, 0]);
    let len = size_of_val(items);
    // SAFETY: plain words, read as the bytes they are.
    let payload = unsafe { core::slice::from_raw_parts(items.as_ptr().cast::<u8>(), len) };
    if payload.len() > PAYLOAD_MAX || who() == Who::Guest {
        return Err(libc::EINVAL);
    }
    let nested = state::BUSY.get();
    let mut held = Some(Held::new(user));
    let got = send_request(&request, payload, &[], true, &mut held)?;
    match state::LINE.get().filter(|_| !nested) {
        Some(line) => {
            // SAFETY: the reply's payload is in the line's buffer, which is aligned.
            let answers = unsafe { msg::items::<PollItem>(line.buf, got.payload) };
            items.iter_mut().zip(answers).for_each(|(item, answer)| *item = *answer);
            Ok((got.message.a[0], line.fd))
        }
        // The answers have gone with the connection; a thread that polls inside its own request does not wait.
        None => Ok((0, -1)),
    }
}

/// Takes what the host has sent to a thread that waits in poll(2).
pub fn woken() {
    if let Some(line) = state::LINE.get() {
        // SAFETY: the buffer of a line has that room.
        while let Ok(Some(_)) = unsafe { msg::recv(line.fd, line.buf, true, false) } {}
    }
}

fn send_request(
    request: &Message,
    payload: &[u8],
    fds: &[i32],
    cloexec: bool,
    held: &mut Option<Held>,
) -> Result<Received, i32> {
    if !state::CONNECTED.load(Ordering::Acquire) {
        hello()?;
    }
    let token = state::TOKEN.load(Ordering::Relaxed);
    if state::BUSY.get() {
        // A signal handler interrupted a request (or left one by a long jump): that connection is not ours now.
        let line = thread_line(token)?;
        let r = converse(line, request, payload, fds, cloexec, held);
        close_line(line);
        return r;
    }
    let line = match state::LINE.get() {
        Some(line) => line,
        None => {
            let line = thread_line(token)?;
            state::LINE.set(Some(line));
            signals::at_thread_exit();
            line
        }
    };
    state::BUSY.set(true);
    let r = converse(line, request, payload, fds, cloexec, held);
    state::BUSY.set(false);
    r
}

/// Tells the host something that needs no answer, if this thread has a connection.
pub fn tell(op: Op, a: [u64; 6]) {
    if let Some(line) = state::LINE.get().filter(|_| !state::BUSY.get()) {
        let _ = msg::send(line.fd, &message(op, a), &[], &[]);
    }
}

/// A request of a vfork child, which must leave its parent's state alone: it is a process of its own for the moment.
fn guest(request: &Message, payload: &[u8], cloexec: bool) -> Result<Reply, i32> {
    if matches!(
        Op::from_number(request.op),
        Some(Op::Mmap | Op::Attach | Op::Fork | Op::Munmap | Op::Mprotect)
    ) {
        return Err(libc::ENOMEM);
    }
    let lifeline = new_line(connect()?)?;
    let hello = message(Op::Hello, [sys::getpid() as u64, HELLO_VFORK, 0, 0, 0, 0]);
    let r = converse(lifeline, &hello, &[], &[], true, &mut None).and_then(|reply| {
        sys::close(reply.fds[0]);
        let line = thread_line(reply.message.a[0])?;
        let r = converse(line, request, payload, &[], cloexec, &mut None);
        close_line(line);
        r
    });
    close_line(lifeline);
    r.map(Into::into)
}

/// A userfaultfd with the features we need, and those of the others that there are.
fn make_uffd(flags: i32) -> Result<i32, i32> {
    let needed = uffd::FEATURE_MINOR_SHMEM | uffd::FEATURE_THREAD_ID;
    let wanted = needed | uffd::FEATURE_EXACT_ADDRESS | uffd::FEATURE_POISON;
    let flags = (libc::O_CLOEXEC | libc::O_NONBLOCK | flags) as u64;
    let open = |features: u64| {
        // SAFETY: no memory is involved.
        let fd = unsafe { sys::call(libc::SYS_userfaultfd, [flags, 0, 0, 0, 0, 0]) }? as i32;
        let mut api = uffd::Api { api: uffd::API, features, ioctls: 0 };
        // SAFETY: the structure of this request.
        match unsafe { sys::ioctl(fd, uffd::IOCTL_API, &mut api) } {
            Ok(_) => Ok((fd, api.features)),
            Err(e) => {
                sys::close(fd);
                Err(e)
            }
        }
    };
    // The first only tells which features there are: they can be asked for once per descriptor.
    let (probe, have) = open(0)?;
    sys::close(probe);
    if have & needed != needed {
        return Err(libc::ENOSYS);
    }
    Ok(state::adopt(open(have & wanted)?.0))
}

/// Chooses how faults are caught: the mode, and the userfaultfd or -1.
fn choose(policy: u64) -> Result<(u64, i32), i32> {
    let full = || make_uffd(0).map(|fd| (FAULTS_UFFD, fd));
    let user = || make_uffd(uffd::USER_MODE_ONLY).map(|fd| (FAULTS_UFFD_USER, fd));
    match policy {
        FAULTS_SIGNAL => Ok((FAULTS_SIGNAL, -1)),
        FAULTS_UFFD_USER => user(),
        FAULTS_UFFD_ANY => full().or_else(|_| user()),
        FAULTS_AUTO => Ok(full().or_else(|_| user()).unwrap_or((FAULTS_SIGNAL, -1))),
        _ => Err(libc::EINVAL),
    }
}

/// Makes it possible to map devices into this process.
pub fn attach() -> Result<(), i32> {
    if state::MODE.load(Ordering::Acquire) != 0 {
        return Ok(());
    }
    if who() == Who::Guest {
        return Err(libc::ENOMEM);
    }
    if !state::CONNECTED.load(Ordering::Acquire) {
        hello()?;
    }
    state::SETUP.with(|| {
        if state::MODE.load(Ordering::Acquire) != 0 {
            return Ok(());
        }
        let (mode, uffd) = choose(state::POLICY.load(Ordering::Relaxed)).inspect_err(|_| {
            sys::complain(
                b"ddi: no userfaultfd in this process; run ddi-host with --faults signal or auto\n",
            );
        })?;
        state::UFFD.store(uffd, Ordering::Relaxed);
        let agent = agent::start()?;
        let fds = [agent, uffd];
        let count = if uffd >= 0 { 2 } else { 1 };
        let r = request(Op::Attach, [mode, 0, 0, 0, 0, 0], &[], &fds[..count], true);
        sys::close(agent);
        match r {
            Ok(_) => {
                state::MODE.store(mode, Ordering::Release);
                Ok(())
            }
            Err(e) => {
                state::drop_own(state::UFFD.swap(-1, Ordering::Relaxed));
                Err(e)
            }
        }
    })
}

/// In a forked child: `leash` is the connection that the host made for it, or -1 if the fork could not be announced.
pub fn born(leash: i32) {
    state::PID.store(sys::getpid(), Ordering::Relaxed);
    let old = state::MODE.swap(0, Ordering::Relaxed);
    state::LIFELINE.store(-1, Ordering::Relaxed);
    state::UFFD.store(-1, Ordering::Relaxed);
    state::CONNECTED.store(false, Ordering::Relaxed);
    let memory = state::MEMORY.load(Ordering::Relaxed);
    // All the rest was the parent's.
    let mut next = state::next_own(0);
    while let Some(fd) = next {
        if fd as i32 != leash && fd as i32 != memory {
            state::drop_own(fd as i32);
        }
        next = state::next_own(fd + 1);
    }
    let buffer = state::LINE.take();
    state::BUSY.set(false);
    state::SIGNALS.set((-1, 0));
    state::PINNED.reset();
    state::Change::forget();
    state::PINNING.1.store(0, Ordering::SeqCst);
    crate::epoll::born();
    crate::dirs::born();
    crate::tree::born();
    agent::forget();
    if leash >= 0 && old != 0 {
        if let Err(what) = introduce(leash, old, buffer) {
            sys::complain(what);
            sys::complain(b"; the process is killed\n");
            sys::raise(libc::SIGKILL);
        }
    } else if old != 0 {
        // The device mappings are not this process's; nobody would see its accesses.
        agent::seal();
    }
    if let Some(line) = buffer {
        // SAFETY: the parent's thread's buffer; this is our copy.
        let _ = unsafe { sys::munmap(line.buf as u64, PAYLOAD_MAX as u64) };
    }
}

fn introduce(leash: i32, mode: u64, buffer: Option<Line>) -> Result<(), &'static [u8]> {
    let uffd = match mode {
        FAULTS_UFFD => make_uffd(0),
        FAULTS_UFFD_USER => make_uffd(uffd::USER_MODE_ONLY),
        _ => Ok(-1),
    };
    let uffd = uffd.map_err(|_| &b"ddi: no userfaultfd for a forked process"[..])?;
    state::UFFD.store(uffd, Ordering::Relaxed);
    let agent = agent::start().map_err(|_| &b"ddi: no agent for a forked process"[..])?;
    let fds = [agent, uffd];
    let count = if uffd >= 0 { 2 } else { 1 };
    let hello = message(Op::Child, [sys::getpid() as u64, mode, 0, 0, 0, 0]);
    let line = match buffer {
        Some(b) => Line { fd: leash, buf: b.buf },
        None => new_line(leash).map_err(|_| &b"ddi: no memory for a forked process"[..])?,
    };
    let r = converse(line, &hello, &[], &fds[..count], true, &mut None);
    sys::close(agent);
    let reply = r.map_err(|_| &b"ddi: the host does not take a forked process"[..])?;
    note(&reply);
    state::LIFELINE.store(leash, Ordering::Relaxed);
    state::MODE.store(mode, Ordering::Relaxed);
    state::CONNECTED.store(true, Ordering::Release);
    Ok(())
}
