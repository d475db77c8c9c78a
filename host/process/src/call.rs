//! A request in progress: what the kernel may ask of the client thread that waits for it.
//!
//! A connection is used by one host thread at a time: the one that serves it. While that thread waits interruptibly in the
//! kernel above, the watch thread reads the connection instead ([`Call::on_interrupt`]).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ddi_wire::{Answer, Behind, FromClient, HEAD_MAX, Items, MapPiece, PAYLOAD_MAX, Request, Room, Upcall};
use rustix::net::RecvFlags;

use super::client::piece;
use super::failpoint::fails;
use super::hat::Part;
use super::line::Line;
use super::polls::PollWaker;
use super::shared::Shared;
use super::sock::{Conn, Received, buffer};
use super::watch::Key;
use super::{Errno, FaultMode, Piece, Process, Prot};
use crate::physmem::{self, PAGE_SIZE};

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
    /// User memory that has come with the call: its address and bytes. No thread waits for such a call.
    bytes: Option<(u64, Vec<u8>)>,
    /// The call maps something over what it unmaps: the ranges so far.
    replaced: RefCell<Option<Vec<(u64, u64)>>>,
    /// Room that the thread has found in advance: address, length, the program's hint.
    offered: Cell<Option<Offer>>,
    /// Changes that the thread makes when it has the reply, if that is possible.
    deferred: RefCell<Option<Vec<MapPiece>>>,
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

impl Call {
    pub(super) fn new(shared: Arc<Shared>, process: Arc<Process>, tid: i32, conn: Conn) -> Call {
        let id = shared.next_id();
        let line = Line::new(conn, id);
        Call {
            shared,
            process,
            tid,
            line: Arc::new(line),
            buf: RefCell::new(buffer()),
            bytes: None,
            replaced: RefCell::new(None),
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
    pub(super) fn offer(&self, room: Room, hint: u64) {
        self.offered.set(Some(Offer { addr: room.addr, len: room.len, hint, used: false }));
    }

    /// The last changes of the address space travel with the reply, where nothing can come between.
    pub(super) fn defer(&self) {
        self.deferred.replace(Some(Vec::new()));
    }

    /// The call is served: what travels with its reply.
    pub(super) fn take_deferred(&self) -> Vec<MapPiece> {
        self.offered.set(None);
        self.deferred.take().unwrap_or_default()
    }

    /// Makes changes at once that were to travel with a reply.
    pub(super) fn carry_out(&self, deferred: &[MapPiece]) {
        for piece in deferred {
            // An error means that the thread is gone, or that the range has no mapping any more.
            let _ = match piece.behind {
                Behind::Unmapped => self.upcall(&Upcall::Unmap { addr: piece.va, len: piece.len }),
                _ => self.upcall(&Upcall::Map { pieces: Items::of(std::slice::from_ref(piece)) }),
            };
        }
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

    /// Asks the waiting thread; `then` takes what is wanted from the answer, `None` if it is another upcall's.
    fn ask<R>(&self, upcall: &Upcall<'_>, then: impl FnOnce(Answer<'_>) -> Option<R>) -> Result<R, Errno> {
        if fails("upcall") {
            return Err(Errno(libc::ENOMEM));
        }
        let gone = || {
            self.line.interrupted.store(true, Ordering::Release);
            Errno(libc::EINTR)
        };
        self.conn().send(upcall, &[]).map_err(|_| gone())?;
        let mut buf = self.buf.borrow_mut();
        loop {
            let got = self.conn().await_message(&mut buf);
            let got = got.map_err(|_| gone())?.ok_or_else(gone)?;
            match FromClient::decode(&buf[..got.len]) {
                Ok(FromClient::Answer(Answer::Failed { errno })) => return Err(Errno(errno)),
                Ok(FromClient::Answer(answer)) => return then(answer).ok_or_else(gone),
                Ok(FromClient::Request(Request::Interrupt)) => {
                    self.line.interrupted.store(true, Ordering::Release);
                }
                // It does not speak our language.
                _ => return Err(gone()),
            }
        }
    }

    /// The same for an upcall that has no result. It changes mappings, after the changes that other threads have been told to make.
    pub(super) fn upcall(&self, upcall: &Upcall<'_>) -> Result<(), Errno> {
        if let Some(turn) = self.process.turns.of_others(self.tid) {
            // An error is the next message's, too.
            let _ = self.conn().send(&Upcall::Await { turn }, &[]);
        }
        self.ask(upcall, |answer| matches!(answer, Answer::Done).then_some(()))
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
        if len == 0
            || !len.is_multiple_of(PAGE_SIZE)
            || !align.is_power_of_two()
            || align < PAGE_SIZE
            || !align_offset.is_multiple_of(PAGE_SIZE)
        {
            return Err(Errno(libc::EINVAL));
        }
        if let Some(addr) = fixed {
            return self.upcall(&Upcall::Clear { addr, len }).map(|()| addr);
        }
        if let Some(offer) = self.offered.get().filter(|o| !o.used && o.hint == hint)
            && offer.len == len
            && offer.addr & (align - 1) == align_offset & (align - 1)
        {
            self.offered.set(Some(Offer { used: true, ..offer }));
            return Ok(offer.addr);
        }
        let upcall = Upcall::Reserve { len, align, offset: align_offset & (align - 1), hint };
        self.ask(&upcall, |answer| if let Answer::Room { addr } = answer { Some(addr) } else { None })
    }

    /// Fills reserved address space with pieces; none is loaded yet. All or none.
    ///
    /// # Errors
    /// `ENOMEM`: Linux refused. `EINTR`: the thread is gone.
    pub fn map_pieces(&self, pieces: &[Piece]) -> Result<(), Errno> {
        if self.process.fault_mode().is_none() {
            // Its first mapping, made by a driver in some other call than mmap(2).
            self.upcall(&Upcall::Enlist)?;
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
        let pieces = list.iter().map(|p| match mode {
            FaultMode::Signal => MapPiece { behind: Behind::Hidden, prot: 0, ..piece(p) },
            _ => piece(p),
        });
        // With signals a load would open the reserved memory.
        if mode != FaultMode::Signal
            && let Some(deferred) = &mut *self.deferred.borrow_mut()
        {
            deferred.extend(pieces);
            let mut hat = self.process.hat.lock();
            self.process.verdicts.mapped();
            list.iter().for_each(|&p| hat.insert(p));
            return Ok(());
        }
        let pieces: Vec<MapPiece> = pieces.collect();
        let r = pieces
            .chunks(Items::<MapPiece>::MOST)
            .try_for_each(|some| self.upcall(&Upcall::Map { pieces: Items::of(some) }));
        // Only what is mapped can be loaded: before, a load would open the reserved memory to another thread.
        if r.is_ok() {
            let mut hat = self.process.hat.lock();
            self.process.verdicts.mapped();
            list.iter().for_each(|&p| hat.insert(p));
        }
        r
    }

    /// Unmaps `len` bytes at `addr`: pieces, or reserved space.
    ///
    /// # Errors
    /// The error of Linux. `EINTR`: the thread is gone.
    pub fn unmap(&self, addr: u64, len: u64) -> Result<(), Errno> {
        self.process.hat.lock().remove(addr / PAGE_SIZE, len.div_ceil(PAGE_SIZE));
        if let Some(offer) = self.offered.get().filter(|o| o.used && (o.addr, o.len) == (addr, len)) {
            // The call fails, and the thread unmaps what it has reserved.
            self.deferred.replace(Some(Vec::new()));
            self.offered.set(Some(Offer { used: false, ..offer }));
            return Ok(());
        }
        if let Some(deferred) = &mut *self.deferred.borrow_mut() {
            deferred.push(MapPiece { va: addr, len, prot: 0, behind: Behind::Unmapped });
            return Ok(());
        }
        if let Some(ranges) = &mut *self.replaced.borrow_mut() {
            ranges.push((addr, len));
            return self.upcall(&Upcall::Clear { addr, len });
        }
        self.upcall(&Upcall::Unmap { addr, len })
    }

    /// Changes the protection of mapped pieces, loaded or not.
    ///
    /// # Errors
    /// The error of Linux. `EINTR`: the thread is gone.
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
            self.upcall(&Upcall::Enlist)?;
        }
        let (page, pages) = (addr / PAGE_SIZE, len / PAGE_SIZE);
        self.upcall(&Upcall::Pin { addr, len, offset: pfn * PAGE_SIZE, prot: prot.bits() })?;
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
        self.fetch(addr, buf.len(), |at, bytes| buf[at..at + bytes.len()].copy_from_slice(bytes))
    }

    /// The same to memory that processes may be writing at the same time.
    ///
    /// # Safety
    /// `to` is valid for writes of `len` bytes, and no Rust reference to them is used meanwhile.
    ///
    /// # Errors
    /// See [`copyin`](Call::copyin).
    pub unsafe fn copyin_shared(&self, addr: u64, to: *mut u8, len: usize) -> Result<(), Errno> {
        // SAFETY: `fetch` gives pieces within `len`; the rest is the caller's promise.
        self.fetch(addr, len, |at, bytes| unsafe { physmem::store(to.wrapping_add(at), bytes) })
    }

    /// Reads user memory, and gives each piece of it to `put` with its offset.
    fn fetch(&self, addr: u64, len: usize, mut put: impl FnMut(usize, &[u8])) -> Result<(), Errno> {
        if let Some((base, bytes)) = &self.bytes {
            let from = addr.checked_sub(*base).and_then(|at| usize::try_from(at).ok());
            put(0, from.and_then(|at| bytes.get(at..)?.get(..len)).ok_or(Errno(libc::EFAULT))?);
            return Ok(());
        }
        let mut done = 0;
        while done < len {
            let want = (len - done).min(PAYLOAD_MAX);
            let upcall = Upcall::CopyIn { addr: addr.wrapping_add(done as u64), len: want as u64 };
            self.ask(&upcall, |answer| match answer {
                Answer::Bytes { bytes, .. } if bytes.len() == want => {
                    put(done, bytes);
                    Some(Ok(()))
                }
                Answer::Bytes { why, .. } => Some(Err(Errno(why))),
                _ => None,
            })??;
            done += want;
        }
        Ok(())
    }

    /// Copies to user memory.
    ///
    /// # Errors
    /// `EFAULT`, or a driver's error: not all of it could be written. `EINTR`: the thread is gone.
    pub fn copyout(&self, addr: u64, buf: &[u8]) -> Result<(), Errno> {
        let mut at = addr;
        buf.chunks(PAYLOAD_MAX).try_for_each(|bytes| {
            let to = at;
            at = at.wrapping_add(bytes.len() as u64);
            self.ask(&Upcall::CopyOut { addr: to, bytes }, |answer| match answer {
                Answer::Copied { count, .. } if count == bytes.len() as u64 => Some(Ok(())),
                Answer::Copied { why, .. } => Some(Err(Errno(why))),
                _ => None,
            })?
        })
    }

    /// The same from memory that processes may be writing at the same time.
    ///
    /// # Safety
    /// `from` is valid for reads of `len` bytes, and no Rust reference writes to them meanwhile.
    ///
    /// # Errors
    /// See [`copyout`](Call::copyout).
    pub unsafe fn copyout_shared(&self, addr: u64, from: *const u8, len: usize) -> Result<(), Errno> {
        let mut chunk = vec![0; len.min(PAYLOAD_MAX)];
        (0..len).step_by(PAYLOAD_MAX).try_for_each(|at| {
            let chunk = &mut chunk[..(len - at).min(PAYLOAD_MAX)];
            // SAFETY: within `len`; the rest is the caller's promise.
            unsafe { physmem::load(from.wrapping_add(at), chunk) };
            self.copyout(addr.wrapping_add(at as u64), chunk)
        })
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
            let n = self.ask(&Upcall::CopyInStr { addr: at, max: want as u64 }, |answer| {
                let Answer::Bytes { bytes, .. } = answer else { return None };
                out.extend_from_slice(bytes);
                Some(bytes.len())
            })?;
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

    /// Returns whether the thread has got a signal (or died) since the call began.
    pub fn interrupted(&self) -> bool {
        if !self.line.interrupted.load(Ordering::Acquire) {
            // An interrupt may wait on the connection: nothing else can, between upcalls.
            let came = self.conn().recv(&mut [0; HEAD_MAX], RecvFlags::DONTWAIT);
            if !matches!(&came, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock) {
                self.line.interrupted.store(true, Ordering::Release);
            }
        }
        self.line.interrupted.load(Ordering::Acquire)
    }

    /// Arranges that `wake` is called, from another host thread, when the thread gets a signal or dies, or at once if it has.
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

    /// Receives the next request into `buf`; `None`: the thread is gone.
    pub(super) fn next(&self, buf: &mut [u8]) -> Option<Received> {
        self.conn().await_message(buf).ok().flatten()
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
