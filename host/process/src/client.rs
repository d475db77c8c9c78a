//! A client process, as the kernel above sees it: the "hat", which installs and takes away translations.
//!
//! Locking: `hat` is held while Linux is told of a change (a system call, or a round trip to the client's agent or waiting thread), so that the
//! map is always what Linux has; `agent` is taken inside it. No method of the kernel runs under either.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ddi_wire::{Message, Op, PAYLOAD_MAX};
use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::RecvFlags;

use super::hat::{Hat, Part};
use super::hold::Hold;
use super::interrupt::Serving;
use super::sock::{Conn, words};
use super::uffd::{Resolved, Uffd};
use super::{Call, Errno, FaultMode, Prot, fault};
use crate::physmem::{PAGE_SIZE, PhysMem};

/// Pages whose translations were loaded, by all processes since the start; and unloaded.
static LOADED: AtomicU64 = AtomicU64::new(0);
static UNLOADED: AtomicU64 = AtomicU64::new(0);

/// How many translations (pages) were loaded and how many unloaded since the start, in all processes together. A page that is loaded again counts
/// again.
pub fn translations() -> (u64, u64) {
    (LOADED.load(Ordering::Relaxed), UNLOADED.load(Ordering::Relaxed))
}

/// The protection that Linux is told for pages of this one. As on x86, memory that a process may write or execute can be read once it is loaded;
/// Linux would make memory that may only be executed unreadable where the processor can.
pub(super) fn readable(prot: Prot) -> Prot {
    if prot.is_empty() { prot } else { prot | Prot::READ }
}

/// A client process: one address space. After exec it is another one.
#[derive(Debug)]
pub struct Process {
    id: u64,
    mem: Arc<PhysMem>,
    pid: AtomicI32,
    gone: AtomicBool,
    pub(super) pidfd: OnceLock<OwnedFd>,
    pub(super) lifeline: Mutex<Option<Conn>>,
    pub(super) flight: Mutex<Flight>,
    /// Its threads in the kernel above, and the one that forks.
    pub(super) hold: Hold,
    /// Of a forked child until Linux has copied its parent, which is held that long.
    pub(super) parent: Mutex<Option<Arc<Process>>>,
    poisons: Mutex<u32>,
    no_poison: Condvar,
    /// Failed accesses that have not been confirmed yet, by thread (tid).
    pub(super) doubts: Mutex<HashMap<i32, fault::Doubt>>,
    /// What a thread's system call was refused with at a page, if that was a driver's error and the thread has not asked for it yet; and
    /// [`changes`](Process::changes) then.
    pub(super) refused: Mutex<HashMap<i32, fault::Refused>>,
    /// Faults that are being served.
    pub(super) serving: Mutex<Serving>,
    /// Counts the changes after which an access may fare otherwise: pages mapped, loaded or protected.
    changes: AtomicU64,
    reframed: Mutex<Vec<Part>>,
    link: OnceLock<Link>,
    pub(super) hat: Mutex<Hat>,
}

/// Calls and faults in progress, and whether the process is on its way out.
#[derive(Debug, Default)]
pub(super) struct Flight {
    pub calls: u32,
    pub leaving: bool,
    pub finished: bool,
    /// The job that finishing it is, while calls are in progress.
    pub job: u64,
}

/// What is needed to change the process's translations.
#[derive(Debug)]
struct Link {
    mode: FaultMode,
    uffd: Option<Uffd>,
    agent: Mutex<Option<Agent>>,
}

#[derive(Debug)]
struct Agent {
    conn: Conn,
    pid: i32,
}

impl Process {
    pub(super) fn new(id: u64, mem: Arc<PhysMem>, hat: Hat) -> Process {
        Process {
            id,
            mem,
            pid: AtomicI32::new(0),
            gone: AtomicBool::new(false),
            pidfd: OnceLock::new(),
            lifeline: Mutex::new(None),
            flight: Mutex::default(),
            hold: Hold::default(),
            parent: Mutex::new(None),
            poisons: Mutex::new(0),
            no_poison: Condvar::new(),
            doubts: Mutex::default(),
            refused: Mutex::default(),
            serving: Mutex::default(),
            changes: AtomicU64::new(0),
            reframed: Mutex::default(),
            link: OnceLock::new(),
            hat: Mutex::new(hat),
        }
    }

    /// A number of this address space that no other one ever has.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The process id; 0 for a forked child that does not run yet.
    pub fn pid(&self) -> i32 {
        self.pid.load(Ordering::Relaxed)
    }

    pub(super) fn set_pid(&self, pid: i32) {
        self.pid.store(pid, Ordering::Relaxed);
    }

    /// Is it gone (dead, or replaced by exec)? Loads then do nothing.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(super) fn set_gone(&self) {
        self.gone.store(true, Ordering::Release);
        self.hold.end();
    }

    /// How its faults are caught; `None` before its first mapping.
    pub fn fault_mode(&self) -> Option<FaultMode> {
        self.link.get().map(|l| l.mode)
    }

    pub(super) fn uffd(&self) -> Option<&Uffd> {
        self.link.get()?.uffd.as_ref()
    }

    /// For a fork: takes all translations out of Linux's tables, until [`thaw`](Self::thaw). The map goes on saying what is loaded, and neither
    /// drivers nor counts hear of it. What holds page `but` is left as it is: the stack of the thread that forks, if a driver has pinned that.
    pub(super) fn freeze(&self, but: u64) {
        let Some(link) = self.link.get() else { return };
        let mut hat = self.hat.lock();
        hat.frozen = Some(Vec::new());
        let loaded = hat.loaded(0, u64::MAX);
        self.drop_translations(
            link,
            loaded.into_iter().filter(|p| !(p.page..p.page + p.pages).contains(&but)),
        );
    }

    /// Puts back what [`freeze`](Self::freeze) has taken and nobody has unloaded since, and makes the loads that have come meanwhile.
    pub(super) fn thaw(&self) {
        let Some(link) = self.link.get() else { return };
        let mut hat = self.hat.lock();
        let Some(late) = hat.frozen.take() else { return };
        let loaded = hat.loaded(0, u64::MAX);
        // An error means that the process is gone.
        let _ = match &link.uffd {
            None => self.map(&loaded),
            Some(uffd) => loaded.iter().try_for_each(|p| self.resolve(&mut hat, uffd, p.page, p.pages)),
        };
        let _ = late.into_iter().try_for_each(|part| self.install(&mut hat, link, part));
    }

    /// A thread has touched a device, or memory that a driver has pinned. If it is the one that forks, that must not wait for the fork.
    pub(super) fn thaw_for(&self, tid: i32) {
        if self.hold.is_forker(tid) {
            self.thaw();
        }
    }

    /// Linux has copied the process, or will not: its threads go on.
    pub(super) fn end_fork(&self) {
        self.thaw();
        self.hold.release();
    }

    /// Makes the process one that can be mapped into.
    pub(super) fn attach(&self, mode: FaultMode, agent: Conn, uffd: Option<Uffd>) -> Result<(), Errno> {
        if uffd.is_none() && mode != FaultMode::Signal {
            return Err(Errno(libc::EINVAL));
        }
        let pid = ask(&agent, Op::Ping, [0; 6], &[])?.a[0];
        let agent = Agent { conn: agent, pid: i32::try_from(pid).map_err(|_| Errno(libc::EINVAL))? };
        let link = Link { mode, uffd, agent: Mutex::new(Some(agent)) };
        self.link.set(link).map_err(|_| Errno(libc::EBUSY))
    }

    /// A child that does not run yet is to have other frames there than its parent.
    pub fn reframe(&self, va: u64, npages: u64, pfn: u64) {
        let first = va / PAGE_SIZE;
        let mut hat = self.hat.lock();
        for part in hat.parts(first, npages) {
            let part = Part { frame: pfn + (part.page - first), ..part };
            hat.change(part);
            self.reframed.lock().push(part);
        }
    }

    /// A forked child has what its parent had mapped, but none of it watched.
    pub(super) fn inherit(&self) -> Result<(), Errno> {
        let hat = self.hat.lock();
        let changed = std::mem::take(&mut *self.reframed.lock());
        let parts = hat.parts(0, u64::MAX);
        let Some(uffd) = self.uffd() else { return self.agent(Op::Zap, parts) };
        for message in pack_pieces(&changed) {
            self.ask_agent(Op::Map, [0; 6], &message)?;
        }
        parts.iter().try_for_each(|p| {
            let r = uffd.register(p.page * PAGE_SIZE, p.pages * PAGE_SIZE);
            r.map_err(|e| Errno(e.raw_os_error().unwrap_or(libc::EIO)))
        })
    }

    /// Installs translations for `npages` pages from `va` on, to the frames from `pfn` on. Pages that have a translation keep
    /// it if it is the same, and get the new one if not. Pages without a mapping are skipped.
    ///
    /// # Errors
    /// `ESRCH`: the process is gone. `EFAULT`: the frames do not exist, or Linux refused.
    pub fn load(&self, va: u64, npages: u64, pfn: u64, prot: Prot) -> Result<(), Errno> {
        if pfn.checked_add(npages).is_none_or(|end| end > self.mem.pages()) {
            return Err(Errno(libc::EFAULT));
        }
        let Some(link) = self.link.get().filter(|_| !self.is_gone()) else { return Err(Errno(libc::ESRCH)) };
        let mut hat = self.hat.lock();
        self.changed();
        LOADED.fetch_add(npages, Ordering::Relaxed);
        self.install(&mut hat, link, Part { page: va / PAGE_SIZE, pages: npages, frame: pfn, prot })
    }

    /// Installs translations where something is mapped.
    fn install(&self, hat: &mut Hat, link: &Link, all: Part) -> Result<(), Errno> {
        for part in hat.parts(all.page, all.pages) {
            let want = Part { frame: all.frame + (part.page - all.page), prot: all.prot, ..part };
            if let Some(late) = &mut hat.frozen {
                late.retain(|p| !p.overlaps(want.page, want.pages));
                if part != want {
                    late.push(want);
                }
                hat.mark(part.page, part.pages, part == want);
                continue;
            }
            match &link.uffd {
                Some(uffd) => {
                    if want.frame != part.frame {
                        self.map(&[want])?;
                        hat.mark(part.page, part.pages, false);
                    } else if want.prot != part.prot {
                        self.ranges(Op::Protect, [want])?;
                    }
                    hat.change_to(part, want);
                    self.resolve(hat, uffd, part.page, part.pages)?;
                }
                None => {
                    self.map(&[want])?;
                    hat.change_to(part, want);
                    hat.mark(part.page, part.pages, true);
                }
            }
        }
        Ok(())
    }

    /// Puts frames behind pages.
    fn map(&self, parts: &[Part]) -> Result<(), Errno> {
        pack_pieces(parts).iter().try_for_each(|message| self.command(Op::Map, [0; 6], message))
    }

    /// Resolves a run of pages whose frames are those that Linux has behind them. Wakes nobody: a thread goes on when its own fault has been
    /// served to the end, not before, as on illumos, where it is the thread itself that runs the driver.
    fn resolve(&self, hat: &mut Hat, uffd: &Uffd, page: u64, pages: u64) -> Result<(), Errno> {
        let mut at = page;
        while at < page + pages {
            match uffd.resolve(at * PAGE_SIZE, (page + pages - at) * PAGE_SIZE) {
                Resolved::Done(bytes) => {
                    hat.mark(at, bytes / PAGE_SIZE, true);
                    at += bytes / PAGE_SIZE;
                }
                Resolved::Present => {
                    hat.mark(at, 1, true);
                    at += 1;
                }
                // Unmapped behind our back: there is nothing to load.
                Resolved::Unmapped => return Ok(()),
                Resolved::Gone => return Err(Errno(libc::ESRCH)),
                Resolved::Failed(_) => return Err(Errno(libc::EFAULT)),
            }
        }
        Ok(())
    }

    /// Takes the translations of `npages` pages from `va` on away. When it returns, no thread of the process can use one of
    /// them: the next access faults. Costs nothing if none is loaded.
    pub fn unload(&self, va: u64, npages: u64) {
        let Some(link) = self.link.get() else { return };
        let page = va / PAGE_SIZE;
        let mut hat = self.hat.lock();
        if let Some(late) = &mut hat.frozen {
            late.retain(|p| !p.overlaps(page, npages));
        }
        let loaded = hat.loaded(page, npages);
        if loaded.is_empty() {
            return;
        }
        hat.mark(page, npages, false);
        UNLOADED.fetch_add(loaded.iter().map(|p| p.pages).sum(), Ordering::Relaxed);
        self.drop_translations(link, loaded);
    }

    fn drop_translations(&self, link: &Link, parts: impl IntoIterator<Item = Part>) {
        // An error means that the process is gone, its translations with it.
        let _ = match link.mode {
            FaultMode::Signal => self.ranges(Op::Zap, parts),
            _ => self.agent(Op::Zap, parts),
        };
    }

    /// Poisons a page by `poison` for as long as the access of a thread (tid) that fails by it takes; false if that cannot be done.
    pub(super) fn poison_for_a_moment(&self, page: u64, tid: i32, poison: impl FnOnce() -> bool) -> bool {
        *self.poisons.lock() += 1;
        let before = fault::time_run(self.pid(), tid);
        let done = poison();
        if done {
            // If it goes too early, the system call faults again and comes here again.
            self.wait_for_run(tid, before);
            let _hat = self.hat.lock();
            let _ = self.agent(Op::Zap, [Part { page, pages: 1, frame: 0, prot: Prot::empty() }]);
        }
        *self.poisons.lock() -= 1;
        self.no_poison.notify_all();
        done
    }

    /// What is done where Linux cannot poison pages (before 6.6): takes all access away from the page for as long as the access that fails
    /// by it takes. `wake` lets it be tried again. False if the page is not mapped.
    pub(super) fn bar_for_a_moment(&self, page: u64, tid: i32, wake: impl FnOnce()) -> bool {
        *self.poisons.lock() += 1;
        let before = fault::time_run(self.pid(), tid);
        let bar = |prot: Option<Prot>| {
            let hat = self.hat.lock();
            let part = hat.parts(page, 1).first().copied()?;
            let prot = prot.unwrap_or(part.prot);
            self.agent(Op::Protect, [Part { prot, ..part }]).ok()
        };
        let done = bar(Some(Prot::empty())).is_some();
        if done {
            wake();
            self.wait_for_run(tid, before);
            // An error means that the page, or the process, has gone meanwhile.
            let _ = bar(None);
        }
        *self.poisons.lock() -= 1;
        self.no_poison.notify_all();
        done
    }

    /// Gives a thread that was woken the time to fail: until it has run, a while at most.
    fn wait_for_run(&self, tid: i32, before: Option<u64>) {
        for _ in 0..50 {
            std::thread::sleep(Duration::from_millis(2));
            if before.is_none() || self.is_gone() || fault::time_run(self.pid(), tid) != before {
                return;
            }
        }
    }

    /// Waits until no page is poisoned: what the process learns from its next request must hold for its memory.
    pub(super) fn wait_for_poison(&self) {
        let mut poisons = self.poisons.lock();
        while *poisons > 0 && !self.is_gone() {
            self.no_poison.wait_for(&mut poisons, Duration::from_millis(100));
        }
    }

    /// Changes the protection of `npages` pages from `va` on, loaded or not.
    ///
    /// # Errors
    /// What Linux said, or `ESRCH`: the process is gone.
    pub fn protect(&self, va: u64, npages: u64, prot: Prot) -> Result<(), Errno> {
        let Some(link) = self.link.get().filter(|_| !self.is_gone()) else { return Err(Errno(libc::ESRCH)) };
        let page = va / PAGE_SIZE;
        let mut hat = self.hat.lock();
        self.changed();
        let parts = hat.parts(page, npages);
        for part in &parts {
            hat.change(Part { prot, ..*part });
        }
        match link.mode {
            FaultMode::Signal => self.ranges(Op::Protect, hat.loaded(page, npages)),
            _ => self.ranges(Op::Protect, parts.iter().map(|p| Part { prot, ..*p })),
        }
    }

    /// How often pages have been mapped, loaded or protected. While that stays as it is, an access that was refused has not been made.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Pages are about to be mapped, loaded or protected.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// What accesses the protection of the page at `va` allows once it is loaded, if a page of ours is mapped there.
    pub fn protection(&self, va: u64) -> Option<Prot> {
        self.hat.lock().state(va / PAGE_SIZE).map(|(prot, _)| readable(prot))
    }

    /// The frame that the page at `va` has a translation to.
    pub fn frame(&self, va: u64) -> Option<u64> {
        let hat = self.hat.lock();
        let (_, loaded) = hat.state(va / PAGE_SIZE)?;
        let part = hat.parts(va / PAGE_SIZE, 1).first().copied().filter(|_| loaded)?;
        Some(part.frame)
    }

    /// Pages that have a translation now.
    pub fn loaded_pages(&self) -> u64 {
        self.hat.lock().loaded_pages()
    }

    /// Has a command about ranges of pages carried out, in as few messages as it takes.
    fn ranges(&self, op: Op, ranges: impl IntoIterator<Item = Part>) -> Result<(), Errno> {
        for message in pack(ranges) {
            self.command(op, [0; 6], &message)?;
        }
        Ok(())
    }

    fn agent(&self, op: Op, ranges: impl IntoIterator<Item = Part>) -> Result<(), Errno> {
        for message in pack(ranges) {
            self.ask_agent(op, [0; 6], &message)?;
        }
        Ok(())
    }

    /// Has a command carried out by the thread that waits for the current call, or else by the agent.
    fn command(&self, op: Op, a: [u64; 6], payload: &[u8]) -> Result<(), Errno> {
        Call::with_current(|call| match call {
            Some(call) if call.process().id == self.id && !call.is_by_agent() => {
                call.upcall(op, a, payload).map(drop)
            }
            _ => self.ask_agent(op, a, payload),
        })
    }

    fn ask_agent(&self, op: Op, a: [u64; 6], payload: &[u8]) -> Result<(), Errno> {
        let Some(link) = self.link.get() else { return Err(Errno(libc::ESRCH)) };
        let agent = link.agent.lock();
        let Some(agent) = &*agent else { return Err(Errno(libc::ESRCH)) };
        let r = ask(&agent.conn, op, a, payload);
        if let Err(Errno(libc::ESRCH)) = r {
            self.agent_lost();
        }
        r.map(drop)
    }

    /// The agent does not answer any more. A process without it cannot be kept out of what it has loaded, so it must go.
    fn agent_lost(&self) {
        let Some(pidfd) = self.pidfd.get() else { return };
        let dead = |limit: Duration| {
            let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
            let limit = rustix::time::Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: 0 };
            poll(&mut fds, Some(&limit)).is_ok_and(|n| n > 0)
        };
        if self.is_gone() || dead(Duration::ZERO) {
            return;
        }
        eprintln!("ddi-host: process {} has lost its agent; killing it", self.pid());
        let _ = rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL);
        dead(Duration::from_secs(10));
    }

    /// The lifeline is gone: by exec or death, or because the program closed all its descriptors by itself. Such a program could go on unwatched, so it is
    /// killed.
    pub(super) fn check_exec(&self) {
        /// `KCMP_VM` of kcmp(2).
        const VM: i32 = 1;
        let agent = self.link.get().and_then(|l| l.agent.lock().as_ref().map(|a| a.pid));
        let (Some(agent), Some(pidfd)) = (agent, self.pidfd.get()) else { return };
        // SAFETY: a system call without pointers.
        let same = unsafe { libc::syscall(libc::SYS_kcmp, self.pid(), agent, VM, 0, 0) } == 0;
        let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        if same && poll(&mut fds, Some(&now)) == Ok(0) && !exiting(self.pid()) {
            eprintln!("ddi-host: process {} has closed its connection to the host; killing it", self.pid());
            let _ = rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL);
        }
    }

    /// Lets go of the agent and the userfaultfd of a process that is gone.
    pub(super) fn detach(&self) {
        let Some(agent) = self.link.get().and_then(|l| l.agent.lock().take()) else { return };
        let pid = agent.pid;
        let _ = agent.conn.send(&Message { op: Op::Exit as u32, errno: 0, a: [0; 6] }, &[], &[]);
        drop(agent);
        reap(pid);
    }
}

/// Ends and reaps a process if it is this one's child.
fn reap(pid: i32) {
    let flags = libc::WEXITED | libc::__WALL;
    // SAFETY: all-zero is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is a valid place for the answer.
    let r =
        unsafe { libc::waitid(libc::P_PID, pid as u32, &mut info, flags | libc::WNOHANG | libc::WNOWAIT) };
    if r != 0 {
        return;
    }
    // It is our child and not yet reaped, so the number is still its own.
    // SAFETY: plain system call.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    // SAFETY: `info` is a valid place for the answer.
    unsafe { libc::waitid(libc::P_PID, pid as u32, &mut info, flags) };
}

/// Is the process on its way out? Its descriptors go before it is seen to be dead.
pub(super) fn exiting(pid: i32) -> bool {
    /// `PF_EXITING` among the flags in /proc/PID/stat.
    const EXITING: u64 = 4;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let flags = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(6)?.parse::<u64>().ok());
    flags.is_none_or(|f| f & EXITING != 0)
}

/// The words of a [`MapPiece`](ddi_wire::MapPiece).
pub(super) fn piece(p: &Part) -> [u64; 4] {
    [p.page * PAGE_SIZE, p.pages * PAGE_SIZE, p.frame * PAGE_SIZE, readable(p.prot).bits().into()]
}

fn pack_pieces(parts: &[Part]) -> Vec<Vec<u8>> {
    parts.chunks(PAYLOAD_MAX / 32).map(|some| words(some.iter().map(piece))).collect()
}

/// Ranges as payloads; neighbours with the same protection become one.
fn pack(parts: impl IntoIterator<Item = Part>) -> Vec<Vec<u8>> {
    let mut ranges: Vec<[u64; 3]> = Vec::new();
    for p in parts {
        let next = [p.page * PAGE_SIZE, p.pages * PAGE_SIZE, u64::from(readable(p.prot).bits())];
        match ranges.last_mut() {
            Some(last) if last[0] + last[1] == next[0] && last[2] == next[2] => last[1] += next[1],
            _ => ranges.push(next),
        }
    }
    ranges.chunks(PAYLOAD_MAX / 24).map(|some| words(some.iter().copied())).collect()
}

/// Asks the other end of a connection that only we ask. `ESRCH`: it is gone.
fn ask(conn: &Conn, op: Op, a: [u64; 6], payload: &[u8]) -> Result<Message, Errno> {
    let gone = Errno(libc::ESRCH);
    conn.send(&Message { op: op as u32, errno: 0, a }, payload, &[]).map_err(|_| gone)?;
    let mut none = [];
    let got = conn.recv(&mut none, RecvFlags::empty()).map_err(|_| gone)?.ok_or(gone)?.message;
    if got.errno == 0 { Ok(got) } else { Err(Errno(got.errno)) }
}

/// A descriptor that polls readable once the process is dead.
pub(super) fn open_pidfd(pid: i32) -> Result<OwnedFd, Errno> {
    let pid = rustix::process::Pid::from_raw(pid).ok_or(Errno(libc::ESRCH))?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
        .map_err(|e| Errno(e.raw_os_error()))
}
