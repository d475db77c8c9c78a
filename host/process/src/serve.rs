//! Serving the requests of one client thread.
//!
//! One host thread per client thread: a request that blocks in a driver holds up nobody else.

use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ddi_wire::{Buffer, Items, MapPiece, Message, PollItem, Range, Reply, Request, Room, Upcall};
use rustix::net::{Shutdown, SocketAddrUnix};

use super::access::{Fault, FaultOutcome};
use super::fault;
use super::hat::Hat;
use super::interrupt::{self, Service};
use super::shared::{Open, Shared};
use super::sock::{Conn, buffer};
use super::watch::{Interest, Job, Key};
use super::{Call, Errno, IoVec, MmapArgs, OpenId, Process, Prot, Uio, polls};
use crate::physmem::PAGE_SIZE;

/// End of user addresses.
const USER_END: u64 = 1 << 47;

/// Flags of mmap(2) that every kind of file bears (or ignores).
const KNOWN_FLAGS: i32 = libc::MAP_TYPE
    | libc::MAP_FIXED
    | libc::MAP_FIXED_NOREPLACE
    | libc::MAP_32BIT
    | libc::MAP_DENYWRITE
    | libc::MAP_EXECUTABLE
    | libc::MAP_GROWSDOWN
    | libc::MAP_LOCKED
    | libc::MAP_NONBLOCK
    | libc::MAP_NORESERVE
    | libc::MAP_POPULATE
    | libc::MAP_STACK;

/// A fork that waits for a call that has been inside for longer says so; what no busy machine makes of one.
const FORK_PATIENCE: Duration = Duration::from_secs(5);

/// Result of a request.
enum Given {
    /// A reply.
    Plain(Reply<'static>),
    /// A reply, and a connection to hand over.
    Connection(Reply<'static>, Conn),
    /// Devices with their events: how many are ready, and all.
    Ready(u64, Vec<PollItem>),
}

impl Given {
    fn send(&self, to: &Conn) -> std::io::Result<()> {
        match self {
            Given::Plain(reply) => to.send(reply, &[]),
            Given::Connection(reply, conn) => to.send(reply, &[conn.as_fd()]),
            Given::Ready(count, items) => {
                to.send(&Reply::Ready { count: *count, items: Items::of(items) }, &[])
            }
        }
    }
}

type Answer = Result<Given, Errno>;

fn plain(reply: Reply<'static>) -> Answer {
    Ok(Given::Plain(reply))
}

/// Serves a client thread until it hangs up.
pub(super) fn run(shared: &Arc<Shared>, process: Arc<Process>, tid: i32, conn: Conn) {
    let call = Rc::new(Call::new(shared.clone(), process, tid, conn));
    serve(shared, &call);
    // A process that ended during its fork.
    if let Some(child) = call.child.take() {
        shared.copied(&child);
    }
}

/// While it lives, a request of a thread is being served.
struct Inside<'a>(&'a Call);

impl<'a> Inside<'a> {
    /// Waits until no other thread of the process forks.
    fn enter(call: &'a Call, fork: bool) -> Inside<'a> {
        let waited = call.process().gate.enter(call.tid(), fork);
        call.held.set(waited);
        Inside(call)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.process().gate.leave(self.0.tid());
    }
}

fn serve(shared: &Arc<Shared>, call: &Rc<Call>) {
    let mut buf = buffer();
    while let Some(got) = call.next(&mut buf) {
        // Whoever does not speak our language is hung up on.
        let Ok(request) = Request::decode(&buf[..got.len]) else { return };
        match request {
            // It came too late: the request it was meant for has been answered.
            Request::Interrupt => continue,
            Request::Forked { child, pid } => {
                shared.forked(child, pid);
                continue;
            }
            _ => {}
        }
        call.end_poll();
        let inside = Inside::enter(call, matches!(request, Request::Fork { .. }));
        let process = call.process().clone();
        process.poison.wait();
        if !matches!(request, Request::Fault { .. }) {
            shared.watch.drain(shared, true);
        }
        let changing = changes(&request);
        let _range = changing.map(|(addr, len)| process.ranges.hold(addr, len, || process.is_gone()));
        let Some(flight) = shared.begin(&process) else { return };
        let answer = catch_unwind(AssertUnwindSafe(|| call.serve(|| dispatch(call, request, got.fds))))
            .unwrap_or(Err(Errno(libc::EIO)));
        // Before the reply: once it has come, the client may exit, and that is not to wait for this thread.
        drop(flight);
        let deferred = call.take_deferred();
        let sent = if deferred.is_empty() {
            drop(inside);
            send(call, answer)
        } else {
            // Other threads' forks and changes see that the turn is given.
            finish(call, answer, &deferred)
        };
        if sent.is_err() {
            return;
        }
    }
}

fn send(call: &Call, answer: Answer) -> std::io::Result<()> {
    match answer {
        Ok(given) => given.send(call.conn()),
        Err(e) => call.conn().send(&Reply::Failed { errno: e.0 }, &[]),
    }
}

/// The addresses whose mappings a request changes, where the program chooses them: nobody else can have what the host chooses.
fn changes(request: &Request<'_>) -> Option<(u64, u64)> {
    const FIXED: i32 = libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE;
    match *request {
        Request::Mmap { addr, len, flags, .. } if flags & FIXED != 0 => Some((addr, len)),
        Request::Munmap { addr, len, .. } | Request::Mprotect { addr, len, .. } => Some((addr, len)),
        _ => None,
    }
}

/// Replies to a call whose last changes of the address space are the thread's to make.
fn finish(call: &Call, answer: Answer, deferred: &[MapPiece]) -> std::io::Result<()> {
    let reply = match answer {
        Ok(Given::Plain(reply)) if deferred.len() <= Items::<MapPiece>::MOST => reply,
        answer => {
            call.carry_out(deferred);
            return send(call, answer);
        }
    };
    let addr = if let Reply::Mapped { addr } = reply { addr } else { 0 };
    let pieces = Items::of(deferred);
    call.process().turns.give(call.tid(), |turn| call.conn().send(&Reply::Finish { addr, turn, pieces }, &[]))
}

fn dispatch(call: &Call, request: Request<'_>, fds: Vec<OwnedFd>) -> Answer {
    let shared = &call.shared;
    match request {
        Request::Attach { mode } => {
            shared.attach(call.process(), mode, fds).map_err(Errno)?;
            plain(Reply::Done)
        }
        Request::Open { flags, path } => open(call, path, flags),
        Request::Read { open, offset, buffers } => {
            let kernel = &shared.kernel;
            transfer(call, open, offset, buffers, libc::O_WRONLY, |open, uio| kernel.read(call, open, uio))
        }
        Request::Write { open, offset, buffers } => {
            let kernel = &shared.kernel;
            transfer(call, open, offset, buffers, libc::O_RDONLY, |open, uio| kernel.write(call, open, uio))
        }
        Request::Ioctl { open, command, argument } => {
            let open = shared.open(open)?;
            let value = shared.kernel.ioctl(call, open.id, command, argument, open.flags())?;
            plain(Reply::Returned { value })
        }
        Request::Seek { open, offset, whence } => seek(call, &*shared.open(open)?, offset, whence),
        Request::Stat { open } => {
            let open = shared.open(open)?;
            let node = &open.node;
            // An open that the driver gave a minor number of its own is no file of a file system: nobody's, with no permissions.
            let (minor, mode) = match shared.kernel.minor(open.id).filter(|minor| *minor != node.minor) {
                Some(minor) => (minor, node.mode & libc::S_IFMT),
                None => (node.minor, node.mode),
            };
            plain(Reply::Node {
                major: node.major,
                minor,
                mode,
                uid: node.uid,
                gid: node.gid,
                flags: open.flags(),
            })
        }
        Request::SetFlags { open, flags } => {
            shared.open(open)?.set_flags(flags);
            plain(Reply::Done)
        }
        Request::Poll { items } => {
            let (count, items) = polls::look(call, items)?;
            Ok(Given::Ready(count, items))
        }
        Request::Mmap { open, addr, len, prot, flags, offset, room } => {
            mmap(call, open, Asked { addr, len, prot, flags, offset }, room)
        }
        Request::Munmap { addr, len, replace: false } => {
            call.defer();
            each(call, addr, len, |device, addr, len| match device {
                true => shared.kernel.munmap(call, addr, len),
                false => call.upcall(&Upcall::Unmap { addr, len }),
            })
        }
        Request::Munmap { addr, len, replace: true } => {
            each(call, addr, len, |device, addr, len| match device {
                true => call.replacing(|| shared.kernel.munmap(call, addr, len)).0,
                false => Ok(()),
            })
        }
        Request::Mprotect { addr, len, prot: bits } => {
            let prot = protection(bits)?;
            each(call, addr, len, |device, addr, len| match device {
                true => shared.kernel.mprotect(call, addr, len, prot),
                false => call
                    .upcall(&Upcall::Protect { ranges: Items::of(&[Range { va: addr, len, prot: bits }]) }),
            })
        }
        Request::Control { control, addr, len, argument } => {
            each(call, addr, len, |device, addr, len| match device {
                true => shared.kernel.control(call, addr, len, control, argument),
                // It has been unmapped meanwhile.
                false => Err(Errno(libc::ENOMEM)),
            })
        }
        Request::Incore { addr, len, vec } => each(call, addr, len, |device, at, len| match device {
            true => {
                let pages = (at - addr) / PAGE_SIZE;
                call.copyout(vec + pages, &shared.kernel.incore(call, at, len))
            }
            false => Err(Errno(libc::ENOMEM)),
        }),
        Request::Query { addr, len } => {
            let end = addr.saturating_add(len).div_ceil(PAGE_SIZE);
            let first = addr / PAGE_SIZE;
            let found = call.process().hat.lock().stretch(first, end - first);
            let (start, end) = found.unwrap_or((0, 0));
            plain(Reply::Stretch { start: start * PAGE_SIZE, end: end * PAGE_SIZE })
        }
        Request::Fork { alone, stack } => fork(call, alone, stack),
        Request::Fault { addr, access, code } => caught(call, addr, access, code),
        Request::Refused { addr, len } => {
            plain(Reply::Refusal { errno: refusal(call, addr, len).unwrap_or(0) })
        }
        // First messages of a connection, and those that have no reply where they are expected.
        Request::Hello
        | Request::Thread { .. }
        | Request::Child { .. }
        | Request::Forked { .. }
        | Request::Interrupt => Err(Errno(libc::ENOSYS)),
    }
}

fn open(call: &Call, path: &[u8], flags: i32) -> Answer {
    let shared = &call.shared;
    let node = shared.kernel.devices().into_iter().find(|n| n.path == path).ok_or(Errno(libc::ENXIO))?;
    let (ours, theirs) = Conn::pair().map_err(|_| Errno(libc::ENFILE))?;
    let number = shared.next_id();
    // The client's end is told by the name of ours, whatever descriptor and process has it.
    let name = SocketAddrUnix::new_abstract_name(format!("{}/{number}", shared.name).as_bytes());
    let bound = name.and_then(|name| rustix::net::bind(&ours, &name));
    bound.map_err(|e| Errno(e.raw_os_error()))?;
    let _ = rustix::net::sockopt::set_socket_passcred(&ours, true);
    // A read that goes past the shim sees the end of the file instead of blocking for ever.
    let _ = rustix::net::shutdown(&ours, Shutdown::Write);
    let id = shared.kernel.open(call, path, flags)?;
    let open = Arc::new(Open::new(shared.kernel.clone(), id, node, flags, ours));
    shared.opens.write().insert(number, open.clone());
    if shared.watch.add(&open.peer, Key::Open(number), Interest::Input).is_err() {
        shared.opens.write().remove(&number);
        return Err(Errno(libc::ENOMEM));
    }
    Ok(Given::Connection(Reply::Done, theirs))
}

/// read(2) or write(2): `forbids` is the access mode that does not allow it.
fn transfer(
    call: &Call,
    open: u64,
    offset: Option<i64>,
    buffers: Items<'_, Buffer>,
    forbids: i32,
    by: impl FnOnce(OpenId, &Uio) -> Result<u64, Errno>,
) -> Answer {
    let open = call.shared.open(open)?;
    if open.flags() & libc::O_ACCMODE == forbids {
        return Err(Errno(libc::EBADF));
    }
    let at = offset.unwrap_or_else(|| *open.offset.lock());
    if at < 0 {
        return Err(Errno(libc::EINVAL));
    }
    let iov = buffers.iter().map(|b| IoVec { base: b.base, len: b.len }).collect();
    let uio = Uio { iov, offset: at, flags: open.flags() };
    let count = by(open.id, &uio)?;
    if offset.is_none() {
        *open.offset.lock() = at.saturating_add_unsigned(count);
    }
    plain(Reply::Transferred { count })
}

fn seek(call: &Call, open: &Open, offset: i64, whence: i32) -> Answer {
    let end = if whence == libc::SEEK_END { call.shared.kernel.end(call, open.id) } else { None };
    let mut at = open.offset.lock();
    let base = match (whence, end.and_then(|end| i64::try_from(end).ok())) {
        (libc::SEEK_SET, _) => 0,
        (libc::SEEK_CUR, _) => *at,
        (libc::SEEK_END, Some(end)) => end,
        _ => return Err(Errno(libc::EINVAL)),
    };
    let new = base.checked_add(offset).filter(|&n| n >= 0).ok_or(Errno(libc::EINVAL))?;
    *at = new;
    plain(Reply::Offset { offset: new })
}

fn protection(prot: u32) -> Result<Prot, Errno> {
    Prot::from_bits(prot).ok_or(Errno(libc::EINVAL))
}

/// The arguments of mmap(2) as the process gave them.
struct Asked {
    addr: u64,
    len: u64,
    prot: u32,
    flags: i32,
    offset: u64,
}

fn mmap(call: &Call, open: u64, asked: Asked, room: Option<Room>) -> Answer {
    let open = call.shared.open(open)?;
    let Asked { addr, len, prot, flags, offset } = asked;
    let prot = protection(prot)?;
    let invalid = Err(Errno(libc::EINVAL));
    let fixed = flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) != 0;
    let shared = match flags & libc::MAP_TYPE {
        libc::MAP_SHARED_VALIDATE if flags & !KNOWN_FLAGS != 0 => return Err(Errno(libc::EOPNOTSUPP)),
        libc::MAP_SHARED | libc::MAP_SHARED_VALIDATE => true,
        libc::MAP_PRIVATE => false,
        _ => return invalid,
    };
    if len == 0 || !offset.is_multiple_of(PAGE_SIZE) {
        return invalid;
    }
    let mode = open.flags() & libc::O_ACCMODE;
    if mode == libc::O_WRONLY || shared && prot.contains(Prot::WRITE) && mode != libc::O_RDWR {
        return Err(Errno(libc::EACCES));
    }
    if fixed && !addr.is_multiple_of(PAGE_SIZE) {
        return invalid;
    }
    if fixed && addr.checked_add(len).is_none_or(|end| end > USER_END) {
        return Err(Errno(libc::ENOMEM));
    }
    let maxprot = if shared && mode != libc::O_RDWR { Prot::READ | Prot::EXEC } else { Prot::all() };
    let flags = flags & !libc::MAP_FIXED_NOREPLACE | if fixed { libc::MAP_FIXED } else { 0 };
    let args = MmapArgs { addr, len, prot, maxprot, flags, offset: offset.cast_signed() };
    if !fixed {
        if let Some(room) = room {
            call.offer(room, addr);
        }
        call.defer();
        return plain(Reply::Mapped { addr: call.shared.kernel.mmap(call, open.id, &args)? });
    }
    let (made, cleared) = call.replacing(|| call.shared.kernel.mmap(call, open.id, &args));
    if made.is_err() {
        // What was cleared for it was not kept free for nothing.
        for (addr, len) in cleared {
            let _ = call.unmap(addr, len);
        }
    }
    plain(Reply::Mapped { addr: made? })
}

/// Splits a range into what belongs to devices and what does not, in address order; the first error ends it.
fn each(call: &Call, addr: u64, len: u64, f: impl Fn(bool, u64, u64) -> Result<(), Errno>) -> Answer {
    let invalid = Err(Errno(libc::EINVAL));
    if !addr.is_multiple_of(PAGE_SIZE) {
        return invalid;
    }
    let Some(len) = len.checked_next_multiple_of(PAGE_SIZE) else { return invalid };
    if len == 0 || len > USER_END || addr > USER_END - len {
        return invalid;
    }
    stretches(call, addr, addr + len, f)?;
    plain(Reply::Done)
}

fn stretches(
    call: &Call,
    mut at: u64,
    end: u64,
    f: impl Fn(bool, u64, u64) -> Result<(), Errno>,
) -> Result<(), Errno> {
    while at < end {
        let found = call.process().hat.lock().stretch(at / PAGE_SIZE, (end - at) / PAGE_SIZE);
        let (from, to) = found.map_or((end, end), |(s, e)| (s * PAGE_SIZE, e * PAGE_SIZE));
        if from > at {
            f(false, at, from - at)?;
        }
        if to > from {
            f(true, from, to - from)?;
        }
        at = to;
    }
    Ok(())
}

fn fork(call: &Call, alone: bool, stack: u64) -> Answer {
    let (shared, parent) = (&call.shared, call.process());
    let slow = |threads: &[i32]| {
        let list = threads.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
        eprintln!(
            "ddi-host: a fork of process {} waits until its threads {list} leave a driver",
            parent.pid()
        );
    };
    // Faults that begin to be served from now on see by themselves that they are held.
    interrupt::interrupt_all(parent);
    parent.gate.quiesce(call.tid(), (FORK_PATIENCE, slow));
    if !alone {
        parent.freeze(stack / PAGE_SIZE);
    }
    let child =
        Arc::new(Process::new(shared.next_id(), shared.mem.clone(), parent.hat.lock().copy_unloaded()));
    *child.parent.lock() = Some(parent.clone());
    call.child.replace(Some(child.clone()));
    let r = Conn::pair().map_err(|_| Errno(libc::ENFILE)).and_then(|(ours, theirs)| {
        shared.kernel.fork(call, &child)?;
        shared.processes.write().insert(child.id(), child.clone());
        let mut line = child.lifeline.lock();
        let line = line.insert(ours);
        let watched = shared.watch.add(&*line, Key::Lifeline(child.id()), Interest::Input);
        watched.map_err(|_| Errno(libc::ENOMEM))?;
        let turn = parent.turns.last();
        Ok(Given::Connection(Reply::Child { child: child.id(), turn }, theirs))
    });
    if r.is_err() {
        let known = shared.processes.read().contains_key(&child.id());
        match known {
            true => _ = shared.leave(&child),
            false => shared.copied(&child),
        }
    }
    r
}

/// The error with which the thread's last system call on this memory was refused, if that was at a fault; it is forgotten then.
fn refusal(call: &Call, addr: u64, len: u64) -> Option<i32> {
    let process = call.process();
    let pages = addr / PAGE_SIZE..addr.saturating_add(len).div_ceil(PAGE_SIZE);
    process.verdicts.take_refusal(call.tid(), pages)
}

/// A fault that the client's signal handler caught.
fn caught(call: &Call, addr: u64, access: u32, code: u64) -> Answer {
    let process = call.process();
    let access = protection(access)?;
    process.thaw_for(call.tid());
    let Some((prot, loaded)) = process.hat.lock().state(addr / PAGE_SIZE) else {
        return plain(Reply::Foreign);
    };
    // As on x86: what is loaded can be read, whatever else it allows. Of what is not loaded, userfaultfd tells by itself where Linux's protection lets it.
    if (loaded || process.uffd().is_some()) && prot.readable().contains(access) {
        // Another thread loaded it, or was changing the mapping, when this one tried. If it keeps trying, the cause is another.
        return plain(Reply::Retry { idle: !call.held.get() });
    }
    let fault = Fault { process: process.clone(), tid: call.tid(), addr, access, protection: loaded, code };
    let _service = Service::begin(&fault);
    plain(match fault::serve(&call.shared, &fault).0 {
        FaultOutcome::Retry | FaultOutcome::Interrupted => Reply::Retry { idle: false },
        FaultOutcome::Signal { signo, code, errno } => Reply::Signal { signo, code, errno },
    })
}

/// Input on the host's end of an open device: a write that went past the shim (C's stdio does that). It cannot report an error any more.
pub(super) fn stray_write(shared: &Arc<Shared>, open: &Arc<Open>) -> Option<Job> {
    let (data, pid) = open.peer.recv_raw()?;
    let open = open.clone();
    let known = shared.processes.read().values().find(|p| p.pid() == pid).cloned();
    Some(Box::new(move |shared| {
        let process = known
            .unwrap_or_else(|| Arc::new(Process::new(shared.next_id(), shared.mem.clone(), Hat::default())));
        let Ok((conn, _)) = Conn::pair() else { return };
        let Some(flight) = shared.begin(&process) else { return };
        let iov = vec![IoVec { base: STRAY_BASE, len: data.len() as u64 }];
        let offset = *open.offset.lock();
        let uio = Uio { iov, offset, flags: open.flags() };
        let call =
            Rc::new(Call::new(shared.clone(), process.clone(), pid, conn).with_bytes(STRAY_BASE, data));
        let written = match open.flags() & libc::O_ACCMODE {
            libc::O_RDONLY => Err(Errno(libc::EBADF)),
            _ => catch_unwind(AssertUnwindSafe(|| call.serve(|| shared.kernel.write(&call, open.id, &uio))))
                .unwrap_or(Err(Errno(libc::EIO))),
        };
        if let Ok(n) = written {
            *open.offset.lock() = offset.saturating_add_unsigned(n);
        }
        drop(flight);
    }))
}

/// Address that the bytes of a stray write seem to have in the writer's memory.
const STRAY_BASE: u64 = 0x10000;
