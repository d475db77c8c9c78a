//! A request in progress: what the kernel may ask of the client thread that waits for it.
//!
//! A connection is used by one host thread at a time: the one that serves it. While that thread waits interruptibly in the
//! kernel above, the watch thread reads the connection instead ([`Call::on_interrupt`]).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ddi_wire::{HIDDEN, Message, Op, PAYLOAD_MAX};
use parking_lot::Mutex;
use rustix::net::RecvFlags;

use super::client::piece;
use super::hat::Part;
use super::polls::PollWaker;
use super::server::Shared;
use super::sock::{Conn, buffer, from_words, words};
use super::watch::Key;
use super::{Errno, FaultMode, Piece, Process, Prot};
use crate::physmem::PAGE_SIZE;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Call>>> = const { RefCell::new(None) };
}

/// A system call of a client thread that is being served. The methods that ask the thread for something block for a round
/// trip; they fail with `EINTR` when the thread has died.
pub struct Call {
    pub(super) shared: Arc<Shared>,
    process: Arc<Process>,
    tid: i32,
    line: Arc<Line>,
    buf: RefCell<Vec<u8>>,
    /// User memory that has come with the call: where, and its bytes. Nobody waits for such a call.
    bytes: Option<(u64, Vec<u8>)>,
    /// The call maps something over what it unmaps: the ranges so far.
    replaced: RefCell<Option<Vec<(u64, u64)>>>,
    /// Changes of translations are the agent's, not the waiting thread's.
    agent: Cell<bool>,
    /// Room that the thread has found in advance: address, length, the program's hint.
    offered: Cell<Option<Offer>>,
    /// What the thread is to do when it has the reply, if that is possible: [`MapPiece`](ddi_wire::MapPiece)s as words.
    deferred: RefCell<Option<Vec<[u64; 4]>>>,
    /// The thread waits in poll(2), since its last request.
    poller: RefCell<Option<PollWaker>>,
    /// The request has waited for another thread's fork.
    pub(super) held: Cell<bool>,
    /// The child of the thread's last fork.
    pub(super) child: RefCell<Option<Arc<Process>>>,
}

/// Room found in advance.
#[derive(Clone, Copy)]
struct Offer {
    addr: u64,
    len: u64,
    hint: u64,
    used: bool,
}

/// The connection of a call, and whether its thread wants the call to end.
pub(super) struct Line {
    pub conn: Conn,
    id: u64,
    interrupted: AtomicBool,
    wake: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

impl Line {
    /// Something happened on the connection while its host thread waits in the kernel above.
    pub fn fire(&self) {
        let wake = {
            let wake = self.wake.lock();
            if wake.is_some() {
                self.interrupted.store(true, Ordering::Release);
                // Whatever came is used up: an interrupt, or the end, which the next receive will see again.
                let _ = self.conn.recv(&mut [], RecvFlags::DONTWAIT);
            }
            wake.clone()
        };
        if let Some(wake) = wake {
            wake();
        }
    }
}

impl Call {
    pub(super) fn new(shared: Arc<Shared>, process: Arc<Process>, tid: i32, conn: Conn) -> Call {
        let id = shared.next_id();
        let line = Line { conn, id, interrupted: AtomicBool::new(false), wake: Mutex::new(None) };
        Call {
            shared,
            process,
            tid,
            line: Arc::new(line),
            buf: RefCell::new(buffer()),
            bytes: None,
            replaced: RefCell::new(None),
            agent: Cell::new(false),
            offered: Cell::new(None),
            deferred: RefCell::new(None),
            poller: RefCell::new(None),
            held: Cell::new(false),
            child: RefCell::new(None),
        }
    }

    /// A call whose user memory has come with it.
    pub(super) fn with_bytes(mut self, base: u64, bytes: Vec<u8>) -> Call {
        self.bytes = Some((base, bytes));
        self
    }

    /// Runs `f` with the call that the calling host thread serves; `None` outside of any (and in a fault caught by
    /// userfaultfd).
    pub fn with_current<R>(f: impl FnOnce(Option<&Call>) -> R) -> R {
        let current = CURRENT.with(|c| c.borrow().clone());
        f(current.as_deref())
    }

    /// Makes this the calling thread's current call while `f` runs.
    pub(super) fn serve<R>(self: &Rc<Self>, f: impl FnOnce() -> R) -> R {
        self.line.interrupted.store(false, Ordering::Release);
        let before = CURRENT.with(|c| c.replace(Some(self.clone())));
        let r = f();
        CURRENT.with(|c| c.replace(before));
        r
    }

    /// The thread asks which devices are ready.
    pub(super) fn new_poll_waker(&self) -> PollWaker {
        let waker = PollWaker::new(self.line.clone());
        self.poller.replace(Some(waker.clone()));
        waker
    }

    /// The thread has made another request, or is gone: it waits in poll(2) no more.
    pub(super) fn end_poll(&self) {
        if let Some(waker) = self.poller.take() {
            waker.end();
        }
    }

    /// Runs `f`, which maps something over what it unmaps: such ranges are never free for a moment. Also gives those ranges.
    pub(super) fn replacing<R>(&self, f: impl FnOnce() -> R) -> (R, Vec<(u64, u64)>) {
        self.replaced.replace(Some(Vec::new()));
        let r = f();
        (r, self.replaced.take().unwrap_or_default())
    }

    /// The thread has reserved room for this call; it gives it back itself if the call does not use it or fails.
    pub(super) fn offer(&self, addr: u64, len: u64, hint: u64) {
        self.offered.set(Some(Offer { addr, len, hint, used: false }));
    }

    /// The last changes of the address space travel with the reply, where nothing can come between.
    pub(super) fn defer(&self) {
        self.deferred.replace(Some(Vec::new()));
    }

    /// The call is served: what travels with its reply.
    pub(super) fn take_deferred(&self) -> Vec<[u64; 4]> {
        self.offered.set(None);
        self.deferred.take().unwrap_or_default()
    }

    /// What was to travel with a reply is done at once.
    pub(super) fn carry_out(&self, deferred: &[[u64; 4]]) {
        for &piece in deferred {
            // An error means that the thread is gone, or that the range has no mapping any more.
            let _ = match piece {
                [addr, len, ddi_wire::UNMAPPED, _] => self.upcall(Op::Unmap, [addr, len, 0, 0, 0, 0], &[]),
                piece => self.upcall(Op::Map, [0; 6], &words([piece].into_iter())),
            };
        }
    }

    /// While the guard lives, the agent makes the changes of translations.
    pub(super) fn by_agent(&self) -> AgentGuard<'_> {
        self.agent.set(true);
        AgentGuard(self)
    }

    /// Must changes of translations be left to the agent?
    pub(super) fn is_by_agent(&self) -> bool {
        self.agent.get()
    }

    pub(super) fn conn(&self) -> &Conn {
        &self.line.conn
    }

    /// The process that made the call.
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// The thread that made it (Linux tid).
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// Asks the waiting thread; the answer's payload is in `self.buf`.
    fn ask(&self, op: Op, a: [u64; 6], payload: &[u8]) -> Result<(Message, usize), Errno> {
        let gone = Errno(libc::EINTR);
        let hung_up = || {
            self.line.interrupted.store(true, Ordering::Release);
            gone
        };
        let message = Message { op: op as u32, errno: 0, a };
        self.conn().send(&message, payload, &[]).map_err(|_| hung_up())?;
        loop {
            let mut buf = self.buf.borrow_mut();
            let got = self.conn().recv(&mut buf, RecvFlags::empty());
            let got = got.map_err(|_| hung_up())?.ok_or_else(hung_up)?;
            match Op::from_number(got.message.op) {
                Some(Op::Reply) if got.message.errno == 0 => return Ok((got.message, got.payload)),
                Some(Op::Reply) => return Err(Errno(got.message.errno)),
                Some(Op::Interrupt) => self.line.interrupted.store(true, Ordering::Release),
                _ => return Err(gone),
            }
        }
    }

    pub(super) fn upcall(&self, op: Op, a: [u64; 6], payload: &[u8]) -> Result<Message, Errno> {
        self.ask(op, a, payload).map(|(message, _)| message)
    }

    /// Reserves `len` bytes of the client's address space: at `fixed` exactly (what was there is replaced), else near `hint`
    /// if that is free (0: anywhere), so that the address modulo `align` (a power of two, at least a page) is
    /// `align_offset`.
    ///
    /// # Errors
    /// `ENOMEM`: no room. `EINTR`: the thread is gone.
    pub fn reserve(
        &self,
        len: u64,
        align: u64,
        align_offset: u64,
        hint: u64,
        fixed: Option<u64>,
    ) -> Result<u64, Errno> {
        let (hint, is_fixed) = fixed.map_or((hint, 0), |at| (at, 1));
        if len == 0
            || !len.is_multiple_of(PAGE_SIZE)
            || !align.is_power_of_two()
            || align < PAGE_SIZE
            || !align_offset.is_multiple_of(PAGE_SIZE)
        {
            return Err(Errno(libc::EINVAL));
        }
        if let Some(offer) = self.offered.get().filter(|o| fixed.is_none() && !o.used && o.hint == hint)
            && offer.len == len
            && offer.addr & (align - 1) == align_offset & (align - 1)
        {
            self.offered.set(Some(Offer { used: true, ..offer }));
            return Ok(offer.addr);
        }
        let a = [len, align, align_offset & (align - 1), hint, is_fixed, 0];
        Ok(self.upcall(Op::Reserve, a, &[])?.a[0])
    }

    /// Fills reserved address space with pieces; none is loaded yet. All or none.
    ///
    /// # Errors
    /// `ENOMEM`: Linux refused. `EINTR`: the thread is gone.
    pub fn map_pieces(&self, pieces: &[Piece]) -> Result<(), Errno> {
        if self.process.fault_mode().is_none() {
            // Its first mapping, made by a driver in some other call than mmap(2).
            self.upcall(Op::Enlist, [0; 6], &[])?;
        }
        let mode = self.process.fault_mode().ok_or(Errno(libc::ENOMEM))?;
        let mem = &self.shared.mem;
        let mut list = Vec::with_capacity(pieces.len());
        for p in pieces {
            let pages = p.len / PAGE_SIZE;
            let end = |pfn: u64| pfn.checked_add(pages).is_some_and(|end| end <= mem.pages());
            let frame = match p.pfn {
                Some(pfn) if end(pfn) => pfn,
                Some(_) => return Err(Errno(libc::ENOMEM)),
                None => mem.void(pages).ok_or(Errno(libc::ENOMEM))?,
            };
            list.push(Part { page: p.va / PAGE_SIZE, pages, frame, prot: p.prot });
        }
        let as_words = |p: &Part| match mode {
            FaultMode::Signal => [p.page * PAGE_SIZE, p.pages * PAGE_SIZE, HIDDEN, 0],
            _ => piece(p),
        };
        // With signals a load would open the reserved memory.
        if mode != FaultMode::Signal
            && let Some(deferred) = &mut *self.deferred.borrow_mut()
        {
            deferred.extend(list.iter().map(as_words));
            let mut hat = self.process.hat.lock();
            self.process.changed();
            list.iter().for_each(|&p| hat.insert(p));
            return Ok(());
        }
        let payload = words(list.iter().map(as_words));
        let r =
            payload.chunks(PAYLOAD_MAX / 32 * 32).try_for_each(|m| self.upcall(Op::Map, [0; 6], m).map(drop));
        // Only what is mapped can be loaded: before, a load would open the reserved memory to another thread.
        if r.is_ok() {
            let mut hat = self.process.hat.lock();
            self.process.changed();
            list.iter().for_each(|&p| hat.insert(p));
        }
        r
    }

    /// Unmaps `len` bytes at `addr`: pieces, or reserved space.
    ///
    /// # Errors
    /// What Linux said. `EINTR`: the thread is gone.
    pub fn unmap(&self, addr: u64, len: u64) -> Result<(), Errno> {
        self.process.hat.lock().remove(addr / PAGE_SIZE, len.div_ceil(PAGE_SIZE));
        if let Some(offer) = self.offered.get().filter(|o| o.used && (o.addr, o.len) == (addr, len)) {
            // The call fails, and the thread gives back what it has reserved.
            self.deferred.replace(Some(Vec::new()));
            self.offered.set(Some(Offer { used: false, ..offer }));
            return Ok(());
        }
        if let Some(deferred) = &mut *self.deferred.borrow_mut() {
            deferred.push([addr, len, ddi_wire::UNMAPPED, 0]);
            return Ok(());
        }
        let keep = self.replaced.borrow_mut().as_mut().map_or(0, |ranges| {
            ranges.push((addr, len));
            1
        });
        self.upcall(Op::Unmap, [addr, len, keep, 0, 0, 0], &[]).map(drop)
    }

    /// Changes the protection of mapped pieces, loaded or not.
    ///
    /// # Errors
    /// What Linux said. `EINTR`: the thread is gone.
    pub fn protect(&self, addr: u64, len: u64, prot: Prot) -> Result<(), Errno> {
        self.process.protect(addr, len.div_ceil(PAGE_SIZE), prot)
    }

    /// Puts page frames in place of the client's own memory, with what is in it; all of it can be read. They are loaded, and nobody is asked about accesses. Works in a client
    /// that has mapped nothing yet.
    ///
    /// # Errors
    /// `EFAULT`: part of it cannot be read. What Linux said. `EINTR`: the thread is gone.
    pub fn pin(&self, addr: u64, len: u64, pfn: u64, prot: Prot) -> Result<(), Errno> {
        if self.process.fault_mode().is_none() {
            self.upcall(Op::Enlist, [0; 6], &[])?;
        }
        let (page, pages) = (addr / PAGE_SIZE, len / PAGE_SIZE);
        self.upcall(Op::Pin, [addr, len, pfn * PAGE_SIZE, prot.bits().into(), 0, 0], &[])?;
        let mut hat = self.process.hat.lock();
        hat.insert(Part { page, pages, frame: pfn, prot });
        hat.mark(page, pages, true);
        Ok(())
    }

    /// Copies user memory in. Device memory may be among it: its faults are served meanwhile.
    ///
    /// # Errors
    /// `EFAULT`, or a driver's error: not all of it could be read; what `buf` holds is then undefined. `EINTR`: the thread is gone.
    pub fn copyin(&self, addr: u64, buf: &mut [u8]) -> Result<(), Errno> {
        if let Some((base, bytes)) = &self.bytes {
            let from = addr.checked_sub(*base).and_then(|at| usize::try_from(at).ok());
            let from = from.and_then(|at| bytes.get(at..)?.get(..buf.len())).ok_or(Errno(libc::EFAULT))?;
            buf.copy_from_slice(from);
            return Ok(());
        }
        let mut at = addr;
        for chunk in buf.chunks_mut(PAYLOAD_MAX) {
            let (got, n) = self.ask(Op::CopyIn, [at, chunk.len() as u64, 0, 0, 0, 0], &[])?;
            if n != chunk.len() {
                return Err(Errno(got.a[1] as i32));
            }
            chunk.copy_from_slice(&self.buf.borrow()[..n]);
            at = at.wrapping_add(n as u64);
        }
        Ok(())
    }

    /// Copies to user memory.
    ///
    /// # Errors
    /// `EFAULT`, or a driver's error: not all of it could be written. `EINTR`: the thread is gone.
    pub fn copyout(&self, addr: u64, buf: &[u8]) -> Result<(), Errno> {
        let mut at = addr;
        for chunk in buf.chunks(PAYLOAD_MAX) {
            let got = self.upcall(Op::CopyOut, [at, 0, 0, 0, 0, 0], chunk)?;
            if got.a[0] != chunk.len() as u64 {
                return Err(Errno(got.a[1] as i32));
            }
            at = at.wrapping_add(chunk.len() as u64);
        }
        Ok(())
    }

    /// Copies a string in: at most `max` bytes, NUL included; the result is without it.
    ///
    /// # Errors
    /// `EFAULT`; `ENAMETOOLONG`: no NUL among the first `max` bytes. `EINTR`: the thread is gone.
    pub fn copyinstr(&self, addr: u64, max: usize) -> Result<Vec<u8>, Errno> {
        let mut out = Vec::new();
        while out.len() < max {
            let want = (max - out.len()).min(PAYLOAD_MAX);
            let at = addr.wrapping_add(out.len() as u64);
            let (_, n) = self.ask(Op::CopyInStr, [at, want as u64, 0, 0, 0, 0], &[])?;
            out.extend_from_slice(&self.buf.borrow()[..n]);
            if out.last() == Some(&0) {
                out.pop();
                return Ok(out);
            }
            if n < want {
                return Err(Errno(libc::EFAULT));
            }
        }
        Err(Errno(libc::ENAMETOOLONG))
    }

    /// Has the thread got a signal (or died) since the call began?
    pub fn interrupted(&self) -> bool {
        if !self.line.interrupted.load(Ordering::Acquire) {
            // An interrupt may wait on the connection: nothing else can, between upcalls.
            let came = self.conn().recv(&mut [], RecvFlags::DONTWAIT);
            if !matches!(&came, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock) {
                self.line.interrupted.store(true, Ordering::Release);
            }
        }
        self.line.interrupted.load(Ordering::Acquire)
    }

    /// Has `wake` called, from another host thread, when the thread gets a signal or dies, or at once if it has.
    /// It may still be called once when the guard is gone already. This is how an interruptible wait (`cv_wait_sig`) is built: set it up, then
    /// wait until woken or [`interrupted`](Call::interrupted). No upcall may be made while the guard lives.
    pub fn on_interrupt(&self, wake: Arc<dyn Fn() + Send + Sync>) -> InterruptGuard<'_> {
        if self.line.interrupted.load(Ordering::Acquire) {
            wake();
            return InterruptGuard { call: self, watched: false };
        }
        *self.line.wake.lock() = Some(wake);
        self.shared.lines.lock().insert(self.line.id, self.line.clone());
        let watched =
            self.shared.watch.add(self.conn(), Key::Line(self.line.id), super::watch::Interest::Once).is_ok();
        InterruptGuard { call: self, watched }
    }

    /// The words of the message that was received last.
    pub(super) fn words<const N: usize>(&self, payload: usize) -> Vec<[u64; N]> {
        from_words(&self.buf.borrow()[..payload])
    }

    /// Receives the next request.
    pub(super) fn next(&self) -> Option<super::sock::Received> {
        self.conn().recv(&mut self.buf.borrow_mut(), RecvFlags::empty()).ok().flatten()
    }

    /// The bytes of the message that was received last.
    pub(super) fn bytes(&self, payload: usize) -> Vec<u8> {
        self.buf.borrow()[..payload].to_vec()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end_poll();
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Call of process {} thread {}", self.process.pid(), self.tid)
    }
}

/// See [`Call::by_agent`].
pub(super) struct AgentGuard<'a>(&'a Call);

impl Drop for AgentGuard<'_> {
    fn drop(&mut self) {
        self.0.agent.set(false);
    }
}

/// See [`Call::on_interrupt`].
#[derive(Debug)]
pub struct InterruptGuard<'a> {
    call: &'a Call,
    watched: bool,
}

impl Drop for InterruptGuard<'_> {
    fn drop(&mut self) {
        if self.watched {
            self.call.shared.watch.remove(self.call.conn());
        }
        self.call.shared.lines.lock().remove(&self.call.line.id);
        *self.call.line.wake.lock() = None;
    }
}
