//! The way to the host: connections and requests.

use core::sync::atomic::Ordering;

use ddi_wire::{FromHost, Items, Patience, PollItem, Reply, Request, Upcall};

use crate::held::Held;
use crate::line::{self, Busy, Own, Talk};
use crate::msg::{self, Received};
use crate::sys::Plain;
use crate::{attach, reach, signals, state, sys, upcall};

/// Error of requests after the host has exited, or sent a message that cannot be decoded.
pub const NO_HOST: i32 = libc::ENXIO;

/// A new connection to the host; the program does not see its descriptor.
fn connect() -> Result<i32, i32> {
    let host = state::host().ok_or(NO_HOST)?;
    let fd = state::adopt(sys::socket()?);
    let mut addr = libc::sockaddr_un::zeroed();
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

/// Returns whether the host's socket can be connected to.
pub fn reaches_host() -> bool {
    connect().map(state::drop_own).is_ok()
}

/// A reply with what came with it.
pub struct Got<'a> {
    pub reply: Reply<'a>,
    /// A descriptor; -1: none.
    pub fd: i32,
    /// Result of the changes of a [`Reply::Finish`], which have been made in their turn.
    pub finished: Result<(), i32>,
    /// An [`Upcall::Wake`] has come before the reply.
    pub woken: bool,
}

/// Of all threads of the process.
static PATIENCE: Patience = Patience::new();

/// Waits for the next message, and reports a signal that arrives meanwhile to the host.
fn next(talk: &mut Talk<'_>, cloexec: bool, held: &mut Option<Held>) -> Result<Received, i32> {
    let prompt = PATIENCE.poll(|| match msg::recv(talk.fd, talk.buf, cloexec, false) {
        Err(libc::EINTR | libc::EAGAIN) => None,
        got => Some(got),
    });
    if let Some(got) = prompt {
        return got.ok().flatten().ok_or(NO_HOST);
    }
    loop {
        if held.as_mut().is_some_and(|held| held.wait(talk.fd)) {
            msg::send(talk.fd, &Request::Interrupt).map_err(|_| NO_HOST)?;
        }
        match msg::recv(talk.fd, talk.buf, cloexec, true) {
            Ok(Some(got)) => return Ok(got),
            Err(libc::EINTR | libc::EAGAIN) => {}
            Ok(None) | Err(_) => return Err(NO_HOST),
        }
    }
}

/// Takes the result from a reply; returns false if the reply is another request's.
type Then<'a> = &'a mut dyn FnMut(&Got<'_>) -> bool;

/// Sends a request and serves upcalls until the reply comes, which is `then`'s. The error is the reply's, or [`NO_HOST`].
fn converse(
    mut talk: Talk<'_>,
    request: &Request<'_>,
    fds: &[i32],
    cloexec: bool,
    held: &mut Option<Held>,
    then: Then<'_>,
) -> Result<(), i32> {
    msg::send_with(talk.fd, request, talk.buf, fds).map_err(|_| NO_HOST)?;
    let mut woken = false;
    loop {
        let got = next(&mut talk, cloexec, held)?;
        let bytes = talk.buf.get(..got.len).unwrap_or_default();
        let reply = match FromHost::decode(bytes).map_err(|_| NO_HOST)? {
            // Meant for this request, or for a poll(2) that is over.
            FromHost::Upcall(Upcall::Wake) => {
                woken = true;
                continue;
            }
            FromHost::Upcall(Upcall::Await { turn }) => {
                state::TURNS.wait(turn, sys::sleep_on);
                continue;
            }
            FromHost::Upcall(Upcall::Enlist) => {
                let done = attach::attach();
                upcall::answer(&talk, done).map_err(|_| NO_HOST)?;
                continue;
            }
            FromHost::Upcall(_) => {
                upcall::serve(&mut talk, got.len).map_err(|_| NO_HOST)?;
                continue;
            }
            FromHost::Reply(Reply::Failed { errno }) => return Err(errno),
            FromHost::Reply(reply) => reply,
        };
        let mut finished = Ok(());
        if let Reply::Finish { turn, pieces, .. } = reply {
            finished = state::TURNS.take(turn, sys::sleep_on, sys::wake_all, || upcall::make_changes(pieces));
        }
        return if then(&Got { reply, fd: got.fds[0], finished, woken }) { Ok(()) } else { Err(NO_HOST) };
    }
}

/// Owner of the memory that the shim's state is in.
#[derive(PartialEq, Eq)]
pub enum Who {
    /// This process's.
    Own,
    /// The parent's: this is a vfork child.
    Guest,
}

pub fn who() -> Who {
    if sys::getpid() == state::PID.load(Ordering::Relaxed) { Who::Own } else { Who::Guest }
}

/// Notes what a hello is answered with.
fn note(got: &Got<'_>) -> bool {
    let Reply::Welcome { process, policy, low } = got.reply else { return false };
    state::BELOW_4G.store(low, Ordering::Relaxed);
    state::TOKEN.store(process, Ordering::Relaxed);
    state::set_policy(policy);
    let old = state::MEMORY.swap(state::adopt(got.fd), Ordering::Relaxed);
    state::drop_own(old);
    true
}

/// Makes the process known to the host.
pub fn hello() -> Result<(), i32> {
    state::SETUP.with(|| {
        if state::CONNECTED.load(Ordering::Acquire) {
            return Ok(());
        }
        signals::install();
        let mut line = Own::new(connect()?)?;
        match converse(line.talk(), &Request::Hello, &[], true, &mut None, &mut note) {
            Ok(()) => {
                state::LIFELINE.store(line.into_fd(), Ordering::Relaxed);
                state::CONNECTED.store(true, Ordering::Release);
                Ok(())
            }
            Err(e) => {
                drop(line);
                if e == libc::EPERM {
                    reach::refused();
                }
                Err(e)
            }
        }
    })
}

/// In a forked child: makes it known to the host, on the connection that the host made for it.
pub fn introduce(leash: i32, hello: &Request<'_>, fds: &[i32]) -> Result<(), i32> {
    let mut line = Own::inherit(leash)?;
    converse(line.talk(), hello, fds, true, &mut None, &mut note)?;
    state::LIFELINE.store(line.into_fd(), Ordering::Relaxed);
    Ok(())
}

fn thread_line(process: u64) -> Result<Own, i32> {
    let mut line = Own::new(connect()?)?;
    let hello = Request::Thread { process, tid: sys::gettid() };
    msg::send(line.talk().fd, &hello).map_err(|_| NO_HOST)?;
    Ok(line)
}

/// Makes a request of the host, and blocks until the reply. `then` takes the result from the reply; `None` if it is another request's. `cloexec` is set on a descriptor
/// that comes with the reply.
pub fn request<R>(
    request: &Request<'_>,
    fds: &[i32],
    cloexec: bool,
    mut then: impl FnMut(&Got<'_>) -> Option<R>,
) -> Result<R, i32> {
    let mut result = None;
    served(request, fds, cloexec, &mut |got| {
        result = then(got);
        result.is_some()
    })?;
    result.ok_or(NO_HOST)
}

fn served(request: &Request<'_>, fds: &[i32], cloexec: bool, then: Then<'_>) -> Result<(), i32> {
    if who() == Who::Guest {
        return guest(request, cloexec, then);
    }
    loop {
        // While the host works on this address space it holds locks that faults need, and waits for this thread's answers. A signal handler
        // that ran now and touched a device would wait for the host, and the host for it: signals wait.
        let user = sys::hold_signals();
        let mut held = Some(Held::new(user));
        let r = send_request(request, fds, cloexec, &mut held, then);
        // Here the handlers run.
        sys::set_mask(user);
        let restarted = matches!(
            request,
            Request::Read { .. } | Request::Write { .. } | Request::Ioctl { .. } | Request::Open { .. }
        );
        match r {
            Err(libc::EINTR) if restarted && held.is_some_and(|held| held.restarts()) => {}
            r => return r,
        }
    }
}

/// Verdict on a fault.
pub enum Verdict {
    /// To be tried again; `idle`: nothing was wrong with it.
    Retry { idle: bool },
    /// A signal, with its code and error.
    Signal { signo: i32, code: i32, errno: i32 },
    /// No device's.
    Foreign,
}

/// Reports a fault of the instruction at `code` that the signal handler caught. The program's mask is `user`.
pub fn fault(addr: u64, access: u32, code: u64, user: u64) -> Result<Verdict, i32> {
    let mut held = Some(Held::new(user));
    let request = Request::Fault { addr, access, code };
    let mut verdict = Verdict::Foreign;
    send_request(&request, &[], true, &mut held, &mut |got| {
        verdict = match got.reply {
            Reply::Retry { idle } => Verdict::Retry { idle },
            Reply::Signal { signo, code, errno } => Verdict::Signal { signo, code, errno },
            Reply::Foreign => Verdict::Foreign,
            _ => return false,
        };
        true
    })?;
    if let Some(held) = held.filter(|_| matches!(verdict, Verdict::Signal { .. })) {
        held.end();
    }
    Ok(verdict)
}

/// Way in which a thread that has found no device ready learns of changes.
#[derive(Clone, Copy)]
pub enum News {
    /// The host has reported one while it was asked, before its reply: the thread polls again at once.
    Come,
    /// The host reports them on this connection.
    On(i32),
    /// The host cannot report any: the thread polls at intervals.
    Unheard,
}

/// Polls devices, for a thread that has its signals blocked. Fills `answers`. Returns how many have events, and how the thread learns of changes.
pub fn poll(items: &[PollItem], answers: &mut [PollItem], user: u64) -> Result<(u64, News), i32> {
    if items.len() > Items::<PollItem>::MOST || who() == Who::Guest {
        return Err(libc::EINVAL);
    }
    // A thread that polls inside its own request does not wait on the connection of that.
    let nested = state::BUSY.get();
    let mut held = Some(Held::new(user));
    let request = Request::Poll { items: Items::of(items) };
    let (mut ready, mut woken) = (0, false);
    send_request(&request, &[], true, &mut held, &mut |got| {
        let Reply::Ready { count, items } = got.reply else { return false };
        answers.iter_mut().zip(items.iter()).for_each(|(to, item)| *to = item);
        (ready, woken) = (count, got.woken);
        true
    })?;
    let line = line::of_thread().filter(|_| !nested);
    Ok((ready, if woken { News::Come } else { line.map_or(News::Unheard, News::On) }))
}

/// Takes what the host has sent to a thread that waits in poll(2).
pub fn woken() {
    let Some(mut line) = Busy::begin() else { return };
    let talk = line.talk();
    while let Ok(Some(_)) = msg::recv(talk.fd, talk.buf, true, false) {}
}

fn send_request(
    request: &Request<'_>,
    fds: &[i32],
    cloexec: bool,
    held: &mut Option<Held>,
    then: Then<'_>,
) -> Result<(), i32> {
    if !state::CONNECTED.load(Ordering::Acquire) {
        hello()?;
    }
    let token = state::TOKEN.load(Ordering::Relaxed);
    if line::of_thread().is_none() {
        thread_line(token)?.into_thread();
        signals::at_thread_exit();
    }
    match Busy::begin() {
        Some(mut line) => converse(line.talk(), request, fds, cloexec, held, then),
        // A signal handler interrupted a request (or left one by a long jump): that connection is not ours now.
        None => converse(thread_line(token)?.talk(), request, fds, cloexec, held, then),
    }
}

/// Sends a request without a reply, if this thread has a connection.
pub fn tell(message: &Request<'_>) {
    if let Some(mut line) = Busy::begin() {
        let _ = msg::send(line.talk().fd, message);
    }
}

/// Makes a request of a vfork child on a connection of its own, as it must not change its parent's state.
fn guest(request: &Request<'_>, cloexec: bool, then: Then<'_>) -> Result<(), i32> {
    if matches!(
        request,
        Request::Mmap { .. }
            | Request::Attach { .. }
            | Request::Fork { .. }
            | Request::Munmap { .. }
            | Request::Mprotect { .. }
    ) {
        return Err(libc::ENOMEM);
    }
    let mut lifeline = Own::new(connect()?)?;
    let mut token = 0;
    converse(lifeline.talk(), &Request::Hello, &[], true, &mut None, &mut |got| {
        sys::close(got.fd);
        let Reply::Welcome { process, .. } = got.reply else { return false };
        token = process;
        true
    })?;
    converse(thread_line(token)?.talk(), request, &[], cloexec, &mut None, then)
}
