//! Serving the requests of one client thread.
//!
//! One host thread per client thread: a request that blocks in a driver holds up nobody else.

use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ddi_wire::{DEFERRED, IO_OFFSET, Op, PAYLOAD_MAX, VERDICT_FOREIGN, VERDICT_RETRY, VERDICT_SIGNAL};
use rustix::net::{Shutdown, SocketAddrUnix};

use super::client::readable;
use super::fault::{self, Fault, FaultOutcome};
use super::hat::Hat;
use super::interrupt::{self, Service};
use super::server::{Open, Shared};
use super::sock::{Conn, Received, words};
use super::watch::{Interest, Job, Key};
use super::{Call, Errno, IoVec, MmapArgs, Process, Prot, Uio, polls};
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

/// What a request gives back.
#[derive(Default)]
struct Given {
    a: [u64; 6],
    /// A connection to hand over.
    conn: Option<Conn>,
    payload: Vec<u8>,
}

type Answer = Result<Given, Errno>;

fn one(value: u64) -> Answer {
    given([value, 0, 0, 0, 0, 0])
}

fn given(a: [u64; 6]) -> Answer {
    Ok(Given { a, ..Given::default() })
}

/// Serves a client thread until it hangs up.
pub(super) fn run(shared: &Arc<Shared>, process: Arc<Process>, tid: i32, conn: Conn) {
    let call = Rc::new(Call::new(shared.clone(), process, tid, conn));
    serve(shared, &call);
    // One that has gone in the middle of its fork.
    if let Some(child) = call.child.take() {
        shared.copied(&child);
    }
}

/// While it lives, a request of a thread is being served.
struct Inside<'a>(&'a Call);

impl<'a> Inside<'a> {
    /// Waits until no other thread of the process forks.
    fn enter(call: &'a Call, op: Op) -> Inside<'a> {
        let waited = call.process().hold.enter(call.tid(), op == Op::Fork);
        call.held.set(waited);
        Inside(call)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.process().hold.leave(self.0.tid());
    }
}

fn serve(shared: &Arc<Shared>, call: &Rc<Call>) {
    while let Some(request) = call.next() {
        let Some(op) = Op::from_number(request.message.op) else { return };
        if op == Op::Interrupt {
            // It came too late: the request it was meant for has been answered.
            continue;
        }
        if op == Op::Forked {
            let [child, pid, ..] = request.message.a;
            shared.forked(child, pid as i32);
            continue;
        }
        call.end_poll();
        let inside = Inside::enter(call, op);
        let process = call.process().clone();
        process.wait_for_poison();
        if !matches!(op, Op::Fault) {
            shared.watch.drain(shared, true);
        }
        let Some(flight) = shared.begin(&process) else { return };
        let answer = catch_unwind(AssertUnwindSafe(|| call.serve(|| dispatch(call, op, request))))
            .unwrap_or(Err(Errno(libc::EIO)));
        // Before the reply: once it has come, the client may exit, and that is not to wait for this thread.
        drop(flight);
        let deferred = call.take_deferred();
        if !deferred.is_empty() {
            if !finish_with(call, answer, &deferred) {
                return;
            }
            continue;
        }
        drop(inside);
        let sent = match answer {
            Ok(Given { a, conn, payload }) => {
                let fds: Vec<_> = conn.iter().map(AsFd::as_fd).collect();
                call.conn().reply(Ok(a), &payload, &fds)
            }
            Err(e) => call.conn().reply(Err(e.0), &[], &[]),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Answers a call whose last changes of the address space are the thread's to make; false: the thread is gone.
fn finish_with(call: &Call, answer: Answer, deferred: &[[u64; 4]]) -> bool {
    let payload = words(deferred.iter().copied());
    let (mut reply, payload) = match answer {
        Ok(given) if payload.len() <= PAYLOAD_MAX => (Ok(given.a), payload),
        Ok(given) => (Ok(given.a), Vec::new()),
        Err(e) => (Err(e.0), Vec::new()),
    };
    let travels = !payload.is_empty();
    match &mut reply {
        Ok(a) if travels => a[5] = DEFERRED,
        _ => call.carry_out(deferred),
    }
    let mut there = call.conn().reply(reply, &payload, &[]).is_ok();
    while there && travels {
        match call.next().and_then(|got| Op::from_number(got.message.op)) {
            Some(Op::Done) => break,
            Some(Op::Interrupt) => {}
            _ => there = false,
        }
    }
    there
}

fn dispatch(call: &Call, op: Op, request: Received) -> Answer {
    let a = request.message.a;
    let shared = &call.shared;
    match op {
        Op::Attach => {
            shared.attach(call.process(), a[0], request.fds).map_err(Errno)?;
            one(0)
        }
        Op::Open => open(call, &call.bytes(request.payload), a[0] as i32),
        Op::Read | Op::Write => transfer(call, op, a, call.words(request.payload)),
        Op::Ioctl => {
            let open = find(shared, a[0])?;
            let value = shared.kernel.ioctl(call, open.id, a[1], a[2], open.flags())?;
            one(i64::from(value).cast_unsigned())
        }
        Op::Seek => seek(call, &*find(shared, a[0])?, a[1].cast_signed(), a[2] as i32),
        Op::Stat => {
            let open = find(shared, a[0])?;
            let node = &open.node;
            // An open that the driver gave a minor number of its own is no file of a file system: nobody's, with no permissions.
            let (minor, mode) = match shared.kernel.minor(open.id).filter(|minor| *minor != node.minor) {
                Some(minor) => (minor, node.mode & libc::S_IFMT),
                None => (node.minor, node.mode),
            };
            given([
                node.major.into(),
                minor.into(),
                mode.into(),
                open.flags() as u64,
                node.uid.into(),
                node.gid.into(),
            ])
        }
        Op::SetFlags => {
            find(shared, a[0])?.set_flags(a[1] as i32);
            one(0)
        }
        Op::Poll => {
            let (count, payload) = polls::look(call, &call.bytes(request.payload))?;
            Ok(Given { a: [count, 0, 0, 0, 0, 0], payload, ..Given::default() })
        }
        Op::Mmap => mmap(call, a, call.words::<2>(request.payload).first()),
        Op::Munmap if a[2] == 0 => {
            call.defer();
            each(call, a[0], a[1], |device, addr, len| match device {
                true => shared.kernel.munmap(call, addr, len),
                false => call.upcall(Op::Unmap, [addr, len, 0, 0, 0, 0], &[]).map(drop),
            })
        }
        Op::Munmap => each(call, a[0], a[1], |device, addr, len| match device {
            true => call.replacing(|| shared.kernel.munmap(call, addr, len)).0,
            false => Ok(()),
        }),
        Op::Mprotect => {
            let prot = protection(a[2])?;
            each(call, a[0], a[1], |device, addr, len| match device {
                true => shared.kernel.mprotect(call, addr, len, prot),
                false => call.upcall(Op::Protect, [0; 6], &words([[addr, len, a[2]]].into_iter())).map(drop),
            })
        }
        Op::Query => {
            let end = a[0].saturating_add(a[1]).div_ceil(PAGE_SIZE);
            let first = a[0] / PAGE_SIZE;
            let found = call.process().hat.lock().stretch(first, end - first);
            let (start, end) = found.unwrap_or((0, 0));
            given([start * PAGE_SIZE, end * PAGE_SIZE, 0, 0, 0, 0])
        }
        Op::Fork => fork(call, a),
        Op::Fault => caught(call, a),
        Op::Refused => one(refusal(call, a[0], a[1]).map_or(0, i32::cast_unsigned).into()),
        _ => Err(Errno(libc::ENOSYS)),
    }
}

pub(super) fn find(shared: &Shared, number: u64) -> Result<Arc<Open>, Errno> {
    shared.opens.read().get(&number).cloned().ok_or(Errno(libc::EBADF))
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
    Ok(Given { a: [number, 0, 0, 0, 0, 0], conn: Some(theirs), ..Given::default() })
}

fn transfer(call: &Call, op: Op, a: [u64; 6], buffers: Vec<[u64; 2]>) -> Answer {
    let shared = &call.shared;
    let open = find(shared, a[0])?;
    let wrong_way = if op == Op::Read { libc::O_WRONLY } else { libc::O_RDONLY };
    if open.flags() & libc::O_ACCMODE == wrong_way {
        return Err(Errno(libc::EBADF));
    }
    let explicit = a[1] & IO_OFFSET != 0;
    let offset = if explicit { a[2].cast_signed() } else { *open.offset.lock() };
    if offset < 0 {
        return Err(Errno(libc::EINVAL));
    }
    let iov = buffers.into_iter().map(|[base, len]| IoVec { base, len }).collect();
    let uio = Uio { iov, offset, flags: open.flags() };
    let n = match op {
        Op::Read => shared.kernel.read(call, open.id, &uio)?,
        _ => shared.kernel.write(call, open.id, &uio)?,
    };
    if !explicit {
        *open.offset.lock() = offset.saturating_add_unsigned(n);
    }
    one(n)
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
    one(new.cast_unsigned())
}

fn protection(prot: u64) -> Result<Prot, Errno> {
    Prot::from_bits(u32::try_from(prot).unwrap_or(u32::MAX)).ok_or(Errno(libc::EINVAL))
}

fn mmap(call: &Call, a: [u64; 6], offer: Option<&[u64; 2]>) -> Answer {
    let open = find(&call.shared, a[0])?;
    let [_, addr, len, prot, flags, offset] = a;
    let flags = flags as i32;
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
        if let Some(&[at, len]) = offer {
            call.offer(at, len, addr);
        }
        call.defer();
        return one(call.shared.kernel.mmap(call, open.id, &args)?);
    }
    let (made, cleared) = call.replacing(|| call.shared.kernel.mmap(call, open.id, &args));
    if made.is_err() {
        // What was cleared for it was not kept free for nothing.
        for (addr, len) in cleared {
            let _ = call.unmap(addr, len);
        }
    }
    one(made?)
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
    one(0)
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

fn fork(call: &Call, [alone, stack, ..]: [u64; 6]) -> Answer {
    let (shared, parent) = (&call.shared, call.process());
    let slow = |threads: &[i32]| {
        let list = threads.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
        eprintln!(
            "ddi-host: a fork of process {} waits until its threads {list} leave a driver",
            parent.pid()
        );
    };
    parent.hold.quiesce(call.tid(), || interrupt::interrupt_all(parent), (FORK_PATIENCE, slow));
    if alone == 0 {
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
        Ok(Given { a: [child.id(), 0, 0, 0, 0, 0], conn: Some(theirs), ..Given::default() })
    });
    if r.is_err() {
        let known = shared.processes.read().contains_key(&child.id());
        match known {
            true => shared.leave(&child),
            false => shared.copied(&child),
        }
    }
    r
}

/// The error with which the thread's last system call on this memory was refused, if that was at a fault; it is forgotten then.
fn refusal(call: &Call, addr: u64, len: u64) -> Option<i32> {
    let process = call.process();
    let pages = addr / PAGE_SIZE..addr.saturating_add(len).div_ceil(PAGE_SIZE);
    let mut refused = process.refused.lock();
    let last = refused.get(&call.tid()).copied().filter(|last| pages.contains(&last.page))?;
    refused.remove(&call.tid());
    (last.changes == process.changes()).then_some(last.errno)
}

/// A fault that the client's signal handler caught.
fn caught(call: &Call, a: [u64; 6]) -> Answer {
    let [addr, access, ..] = a;
    let process = call.process();
    let verdict = |v: u64, signo: i32, code: i32| given([v, signo as u64, code as u64, 0, 0, 0]);
    let access = protection(access)?;
    process.thaw_for(call.tid());
    let Some((prot, loaded)) = process.hat.lock().state(addr / PAGE_SIZE) else {
        return verdict(VERDICT_FOREIGN, 0, 0);
    };
    // As on x86: what is loaded can be read, whatever else it allows. Of what is not loaded, userfaultfd tells by itself where Linux's protection lets it.
    if (loaded || process.uffd().is_some()) && readable(prot).contains(access) {
        // Somebody else loaded it, or was about to change the mapping, when this thread tried. If it keeps trying, it is something else.
        return verdict(VERDICT_RETRY, i32::from(!call.held.get()), 0);
    }
    let fault = Fault { process: process.clone(), tid: call.tid(), addr, access, protection: loaded };
    // The thread may be stopped at any moment, and others must not wait for it: the agent does what is to be done.
    let _by_agent = call.by_agent();
    let _service = Service::begin(&fault);
    match fault::serve(&call.shared, &fault) {
        FaultOutcome::Retry | FaultOutcome::Interrupted => verdict(VERDICT_RETRY, 0, 0),
        FaultOutcome::Signal { signo, code, errno } => {
            given([VERDICT_SIGNAL, signo as u64, code as u64, errno as u64, 0, 0])
        }
    }
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

/// Where the bytes of a stray write seem to be in the writer's memory.
const STRAY_BASE: u64 = 0x10000;
