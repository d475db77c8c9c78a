//! A client process for the kernel above: the "hat", which loads and unloads translations.
//!
//! A [`Process`] is made of parts, each with its own locks: which process it is ([`Identity`]), calls in progress ([`Flight`]), fork ([`Gate`]), failed accesses
//! ([`Verdicts`], [`Poison`]), faults in progress ([`Gate`]), its mappings ([`Hat`]) and the way to change them ([`Link`]).
//!
//! Locking: `hat` is held while a change is made in Linux (a system call, or a round trip to the client's agent, which never stops), so that the
//! map and Linux always agree; the agent's connection and `reframed` are taken inside it. No method of the kernel runs under either. The order of all locks of a process is
//! in [the crate's documentation](crate).

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ddi_wire::{Behind, Items, MapPiece, Range, Upcall};
use parking_lot::Mutex;

use super::agent::Link;
use super::flight::Flight;
use super::gate::Gate;
use super::hat::{Hat, Part};
use super::identity::Identity;
use super::poison::Poison;
use super::ranges::Ranges;
use super::sock::Conn;
use super::turns::Turns;
use super::uffd::{Resolved, Uffd};
use super::verdicts::Verdicts;
use super::{Errno, FaultMode, Prot, proc};
use crate::physmem::{PAGE_SIZE, PhysMem};

/// Counts of pages whose translations were loaded, and unloaded, in all processes since the start.
static LOADED: AtomicU64 = AtomicU64::new(0);
static UNLOADED: AtomicU64 = AtomicU64::new(0);

/// Returns the numbers of translations (pages) loaded and unloaded since the start, in all processes together. A page that is loaded again counts
/// again.
pub fn translations() -> (u64, u64) {
    (LOADED.load(Ordering::Relaxed), UNLOADED.load(Ordering::Relaxed))
}

/// A client process: one address space. After exec it is another one.
///
/// # Invariants
/// `hat` is what Linux has: a page that it says is not loaded faults when it is accessed, and so do all pages while the hat is frozen. `link` is set once, by the
/// process that it is about. `reframed` is empty once the process runs.
#[derive(Debug)]
pub struct Process {
    mem: Arc<PhysMem>,
    pub(super) identity: Identity,
    pub(super) lifeline: Mutex<Option<Conn>>,
    pub(super) flight: Flight,
    /// The threads in the kernel above, and the one that forks.
    pub(super) gate: Gate,
    /// Of a forked child until Linux has copied its parent, which is held that long.
    pub(super) parent: Mutex<Option<Arc<Process>>>,
    pub(super) poison: Poison,
    /// Ranges of addresses that calls in progress change.
    pub(super) ranges: Ranges,
    /// The order in which its threads make Linux's halves of changes.
    pub(super) turns: Turns,
    pub(super) verdicts: Verdicts,
    reframed: Mutex<Vec<Part>>,
    link: OnceLock<Link>,
    pub(super) hat: Mutex<Hat>,
}

impl Process {
    pub(super) fn new(id: u64, mem: Arc<PhysMem>, hat: Hat) -> Process {
        Process {
            mem,
            identity: Identity::new(id),
            lifeline: Mutex::new(None),
            flight: Flight::default(),
            gate: Gate::default(),
            parent: Mutex::new(None),
            poison: Poison::default(),
            ranges: Ranges::default(),
            turns: Turns::default(),
            verdicts: Verdicts::default(),
            reframed: Mutex::default(),
            link: OnceLock::new(),
            hat: Mutex::new(hat),
        }
    }

    /// Returns a number of this address space that no other one ever has.
    pub fn id(&self) -> u64 {
        self.identity.id()
    }

    /// Returns the process id; 0 for a forked child that does not run yet.
    pub fn pid(&self) -> i32 {
        self.identity.pid()
    }

    /// Returns whether the process has exited or called exec. Loads then do nothing.
    pub fn is_gone(&self) -> bool {
        self.identity.is_gone()
    }

    pub(super) fn set_gone(&self) {
        self.identity.set_gone();
        self.gate.end();
    }

    pub(super) fn pidfd(&self) -> Option<&OwnedFd> {
        self.identity.pidfd()
    }

    /// One of its threads.
    pub(super) fn thread(&self, tid: i32) -> proc::Thread {
        self.identity.thread(tid)
    }

    /// Returns how its faults are caught; `None` before its first mapping.
    pub fn fault_mode(&self) -> Option<FaultMode> {
        self.link.get().map(Link::mode)
    }

    pub(super) fn uffd(&self) -> Option<&Uffd> {
        self.link.get()?.uffd()
    }

    /// Removes all translations from Linux's tables for a fork, until [`thaw`](Self::thaw). The map keeps them as loaded, and neither
    /// drivers nor counts change. The part with page `but` stays: the stack of the forking thread, which a driver may have pinned.
    pub(super) fn freeze(&self, but: u64) {
        if self.link.get().is_none() {
            return;
        }
        let mut hat = self.hat.lock();
        hat.frozen = Some(Vec::new());
        let loaded = hat.loaded(0, u64::MAX);
        self.drop_translations(loaded.into_iter().filter(|p| !(p.page..p.page + p.pages).contains(&but)));
    }

    /// Restores the translations that [`freeze`](Self::freeze) removed and that were not unloaded since, and executes the loads requested meanwhile.
    pub(super) fn thaw(&self) {
        let Some(link) = self.link.get() else { return };
        let mut hat = self.hat.lock();
        let Some(late) = hat.frozen.take() else { return };
        let loaded = hat.loaded(0, u64::MAX);
        // An error means that the process has exited.
        let _ = match link.uffd() {
            None => self.map(&loaded),
            Some(uffd) => loaded.iter().try_for_each(|p| self.resolve(&mut hat, uffd, p.page, p.pages)),
        };
        let _ = late.into_iter().try_for_each(|part| self.install(&mut hat, link, part));
    }

    /// A thread has touched a device, or memory that a driver has pinned. If it is the one that forks, that must not wait for the fork.
    pub(super) fn thaw_for(&self, tid: i32) {
        if self.gate.is_forker(tid) {
            self.thaw();
        }
    }

    /// Linux has copied the process, or will not: its threads go on.
    pub(super) fn end_fork(&self) {
        self.thaw();
        self.gate.release();
    }

    /// Makes the process one that can be mapped into.
    pub(super) fn attach(&self, mode: FaultMode, agent: Conn, uffd: Option<Uffd>) -> Result<(), Errno> {
        self.link.set(Link::new(mode, agent, uffd)?).map_err(|_| Errno(libc::EBUSY))
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

    /// Registers the mappings that a forked child has from its parent with the child's userfaultfd.
    pub(super) fn inherit(&self) -> Result<(), Errno> {
        let hat = self.hat.lock();
        let changed = std::mem::take(&mut *self.reframed.lock());
        let parts = hat.parts(0, u64::MAX);
        let Some(uffd) = self.uffd() else { return self.agent(RangeOp::Zap, parts) };
        for pieces in pieces(&changed).chunks(Items::<MapPiece>::MOST) {
            self.ask_agent(&Upcall::Map { pieces: Items::of(pieces) })?;
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
        self.verdicts.changed();
        LOADED.fetch_add(npages, Ordering::Relaxed);
        let want = Part { page: va / PAGE_SIZE, pages: npages, frame: pfn, prot };
        if link.uffd().is_some() && hat.load_usual(self.id(), want) {
            return Ok(());
        }
        self.install(&mut hat, link, want)
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
            match link.uffd() {
                Some(uffd) => {
                    if want.frame != part.frame {
                        self.map(&[want])?;
                        hat.mark(part.page, part.pages, false);
                    } else if want.prot != part.prot {
                        self.agent(RangeOp::Protect, [want])?;
                    }
                    hat.change_to(part, want);
                    // What is loaded is there. If Linux has dropped it by itself, the next access brings it back.
                    for (page, pages) in hat.unloaded(part.page, part.pages) {
                        self.resolve(hat, uffd, page, pages)?;
                    }
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
        pieces(parts)
            .chunks(Items::<MapPiece>::MOST)
            .try_for_each(|some| self.ask_agent(&Upcall::Map { pieces: Items::of(some) }))
    }

    /// Loads a run of pages whose frames are those of Linux's mapping. Wakes no thread: a thread resumes when its own fault has been
    /// served, not before, as on illumos, where the thread itself runs the driver.
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

    /// Ends the fault of a page: installs its translation if that is due, and wakes the threads that wait for it.
    pub(super) fn end_fault(&self, uffd: &Uffd, page: u64) {
        if !self.load_due(page, |at| uffd.resolve_and_wake(at, PAGE_SIZE)) {
            uffd.wake(page * PAGE_SIZE, PAGE_SIZE);
        }
    }

    /// Installs the translation of a page by `resolve` if that is due. Returns whether `resolve` has done it.
    pub(super) fn load_due(&self, page: u64, resolve: impl FnOnce(u64) -> Resolved) -> bool {
        let mut hat = self.hat.lock();
        // What a fork holds is put back at its end, and the thread waits for that.
        let loaded =
            hat.due.take(page) && hat.frozen.is_none() && hat.state(page).is_some_and(|(_, loaded)| loaded);
        match loaded.then(|| resolve(page * PAGE_SIZE)) {
            None | Some(Resolved::Present) => false,
            Some(Resolved::Done(_)) => true,
            Some(refused) => {
                hat.mark(page, 1, false);
                if matches!(refused, Resolved::Failed(_)) {
                    hat.due.never();
                }
                false
            }
        }
    }

    /// Returns whether a page is loaded for an access, and no driver need be asked: another fault has loaded it, or Linux has dropped its translation by itself. Then
    /// [`end_fault`](Self::end_fault) installs it again.
    pub(super) fn is_loaded_for(&self, page: u64, access: Prot) -> bool {
        let mut hat = self.hat.lock();
        let loaded = hat.state(page).is_some_and(|(prot, loaded)| loaded && prot.readable().contains(access));
        if loaded {
            hat.due.put_back(page);
        }
        loaded
    }

    /// Takes the translations of `npages` pages from `va` on away. When it returns, no thread of the process can use one of
    /// them: the next access faults. Costs nothing if none is loaded.
    pub fn unload(&self, va: u64, npages: u64) {
        if self.link.get().is_none() {
            return;
        }
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
        self.drop_translations(loaded);
    }

    fn drop_translations(&self, parts: impl IntoIterator<Item = Part>) {
        // An error means that the process has exited, and its translations with it.
        let _ = self.agent(RangeOp::Zap, parts);
    }

    /// Poisons a page by `poison` for as long as the access of a thread (tid) that fails by it takes; false if that cannot be done.
    pub(super) fn poison_for_a_moment(&self, page: u64, tid: i32, poison: impl FnOnce() -> bool) -> bool {
        let _poisoned = self.poison.begin();
        let before = self.thread(tid).time_run();
        let done = poison();
        if done {
            self.wait_for_run(tid, before);
            let _hat = self.hat.lock();
            let _ = self.agent(RangeOp::Zap, [Part { page, pages: 1, frame: 0, prot: Prot::empty() }]);
        }
        done
    }

    /// Takes all access away from a page for as long as the access that fails by it takes, where Linux cannot poison pages (before 6.6). `wake` lets it be tried
    /// again. False if the page is not mapped.
    pub(super) fn bar_for_a_moment(&self, page: u64, tid: i32, wake: impl FnOnce()) -> bool {
        let _poisoned = self.poison.begin();
        let before = self.thread(tid).time_run();
        let bar = |prot: Option<Prot>| {
            let hat = self.hat.lock();
            let part = hat.parts(page, 1).first().copied()?;
            let prot = prot.unwrap_or(part.prot);
            self.agent(RangeOp::Protect, [Part { prot, ..part }]).ok()
        };
        let done = bar(Some(Prot::empty())).is_some();
        if done {
            wake();
            self.wait_for_run(tid, before);
            // An error means that the page or the process has been removed meanwhile.
            let _ = bar(None);
        }
        done
    }

    /// Waits until a woken thread has run, and its access has failed; 100 ms at most.
    ///
    /// Linux has no event for that, so this polls every two milliseconds. Correctness does not depend on it: a thread that had too little time faults again and is refused
    /// again.
    fn wait_for_run(&self, tid: i32, before: Option<u64>) {
        for _ in 0..50 {
            std::thread::sleep(Duration::from_millis(2));
            if before.is_none() || self.is_gone() || self.thread(tid).time_run() != before {
                return;
            }
        }
    }

    /// Changes the protection of `npages` pages from `va` on, loaded or not.
    ///
    /// # Errors
    /// The error of Linux, or `ESRCH`: the process is gone.
    pub fn protect(&self, va: u64, npages: u64, prot: Prot) -> Result<(), Errno> {
        let Some(link) = self.link.get().filter(|_| !self.is_gone()) else { return Err(Errno(libc::ESRCH)) };
        let page = va / PAGE_SIZE;
        let mut hat = self.hat.lock();
        self.verdicts.changed();
        let parts = hat.parts(page, npages);
        for part in &parts {
            hat.change(Part { prot, ..*part });
        }
        match link.mode() {
            FaultMode::Signal => self.agent(RangeOp::Protect, hat.loaded(page, npages)),
            _ => self.agent(RangeOp::Protect, parts.iter().map(|p| Part { prot, ..*p })),
        }
    }

    /// Returns the accesses that the protection of the page at `va` allows once it is loaded, if a page of ours is mapped there.
    pub fn protection(&self, va: u64) -> Option<Prot> {
        self.hat.lock().state(va / PAGE_SIZE).map(|(prot, _)| prot.readable())
    }

    /// The frame that the page at `va` has a translation to.
    pub fn frame(&self, va: u64) -> Option<u64> {
        let hat = self.hat.lock();
        let (_, loaded) = hat.state(va / PAGE_SIZE)?;
        let part = hat.parts(va / PAGE_SIZE, 1).first().copied().filter(|_| loaded)?;
        Some(part.frame)
    }

    /// Carries out a command about ranges of pages, in as few messages as it takes.
    fn agent(&self, op: RangeOp, parts: impl IntoIterator<Item = Part>) -> Result<(), Errno> {
        let ranges = ranges(parts);
        ranges.chunks(Items::<Range>::MOST).try_for_each(|some| self.ask_agent(&op.on(some)))
    }

    /// Asks the agent: a thread of the process may be stopped in the middle of it, and with it everybody who waits for the hat.
    fn ask_agent(&self, upcall: &Upcall<'_>) -> Result<(), Errno> {
        let link = self.link.get().ok_or(Errno(libc::ESRCH))?;
        link.ask(upcall, || self.agent_lost())
    }

    /// The agent does not answer any more. A process without it cannot be kept out of what it has loaded, so it must go.
    fn agent_lost(&self) {
        if self.pidfd().is_none() || self.is_gone() || self.identity.is_dead_within(Duration::ZERO) {
            return;
        }
        eprintln!("ddi-host: process {} has lost its agent; killing it", self.pid());
        self.identity.kill();
        self.identity.is_dead_within(Duration::from_secs(10));
    }

    /// Called when the lifeline is closed: by exec, by exit, or because the program has closed all its descriptors. In the last case the host could not serve its faults
    /// any more, and kills it.
    pub(super) fn check_exec(&self) {
        let (Some(link), Some(_)) = (self.link.get(), self.pidfd()) else { return };
        if link.shares_memory_of(self.pid())
            && !self.identity.is_dead_within(Duration::ZERO)
            && !proc::is_exiting(self.pid())
        {
            eprintln!("ddi-host: process {} has closed its connection to the host; killing it", self.pid());
            self.identity.kill();
        }
    }

    /// Releases the agent and the userfaultfd of a process that has exited.
    pub(super) fn detach(&self) {
        if let Some(link) = self.link.get() {
            link.end();
        }
    }
}

/// A piece of a mapping that shows these frames.
pub(super) fn piece(p: &Part) -> MapPiece {
    MapPiece {
        va: p.page * PAGE_SIZE,
        len: p.pages * PAGE_SIZE,
        prot: p.prot.readable().bits(),
        behind: Behind::Frames(p.frame * PAGE_SIZE),
    }
}

fn pieces(parts: &[Part]) -> Vec<MapPiece> {
    parts.iter().map(piece).collect()
}

/// An upcall about ranges.
#[derive(Clone, Copy)]
enum RangeOp {
    Zap,
    Protect,
}

impl RangeOp {
    fn on(self, ranges: &[Range]) -> Upcall<'_> {
        let ranges = Items::of(ranges);
        match self {
            RangeOp::Zap => Upcall::Zap { ranges },
            RangeOp::Protect => Upcall::Protect { ranges },
        }
    }
}

/// Ranges of pages; neighbours with the same protection become one.
fn ranges(parts: impl IntoIterator<Item = Part>) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for p in parts {
        let next = Range { va: p.page * PAGE_SIZE, len: p.pages * PAGE_SIZE, prot: p.prot.readable().bits() };
        match ranges.last_mut() {
            Some(last) if last.va + last.len == next.va && last.prot == next.prot => last.len += next.len,
            _ => ranges.push(next),
        }
    }
    ranges
}
