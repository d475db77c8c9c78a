//! A process of a storm: it does the deeds of its programs and compares every word that it reads with its model.
//!
//! Locking: none; its threads share nothing but the ledger and [`HUNGRY`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;

use ctxdev_user::CTXDEV_REVOKE;

use super::Storm;
use super::deed::{self, Deed, End, Kind, Start, Way};
use super::ledger::{Gauge, Head, Lane, SLOTS};
use super::model::{self, Excuse, Model, Outcome};
use crate::device::{EXEC, FIXED, PRIVATE, READ, RW, SHARED, WRITE};
use crate::sys::{self, Errno, Forked, Status, Sys, page_size};
use crate::trace::NOWHERE;
use crate::{os, probe};
use usr_tests::recorded::call::Call;
use usr_tests::recorded::{CHILD_STATUS, PAGES};

/// Address of a worker's pages; its threads' are behind them, with a gap.
const AREA: usize = 0x2_0000_0000;
const GAP: usize = 0x10_0000;

/// This process is short of something: its own limits are low.
static HUNGRY: AtomicU64 = AtomicU64::new(0);

/// A word that was read, and which of its circumstances began before.
#[derive(Clone, Copy)]
struct Before([u64; 3]);

pub struct Worker<'a> {
    storm: &'a Storm,
    lane: Lane,
    /// In a bomb's child, which looks at its parent's lane: the lane's turn then.
    guest: Option<u64>,
    base: usize,
    model: Model,
    /// Open for writing, and for reading only; -1 when there is none.
    device: i32,
    reading: i32,
    /// For words to go through; none when it could not be made.
    pipe: Option<(i32, i32)>,
    program: u64,
    step: usize,
    /// The last deeds, for people.
    told: Vec<String>,
    children: Vec<i32>,
    threads: Vec<(JoinHandle<()>, Arc<AtomicBool>)>,
}

impl<'a> Worker<'a> {
    pub fn new(storm: &'a Storm, lane: Lane, base: usize) -> Worker<'a> {
        let open = |flags| sys::open(&storm.device, flags).unwrap_or(-1);
        Worker {
            storm,
            lane,
            guest: None,
            base,
            model: Model::new(),
            device: open(libc::O_RDWR),
            reading: open(libc::O_RDONLY),
            pipe: sys::pipe().ok(),
            program: 0,
            step: 0,
            told: Vec::new(),
            children: Vec::new(),
            threads: Vec::new(),
        }
    }

    /// The pages of the first thread.
    pub fn first(storm: &'a Storm, lane: Lane) -> Worker<'a> {
        Worker::new(storm, lane, AREA)
    }

    /// Runs a program from its beginning to its end.
    pub fn run(&mut self, number: u64, kind: Kind) {
        (self.program, self.step) = (number, 0);
        self.told.clear();
        self.live(&deed::program(number, kind));
        for (thread, stop) in self.threads.drain(..) {
            stop.store(true, Ordering::SeqCst);
            let _ = thread.join();
        }
        self.compare_all();
        self.storm.ledger.count(Head::Programs);
    }

    /// Begins anew with nothing mapped.
    pub fn unmap_all(&mut self) {
        self.must("munmap of all", sys::munmap(self.base, PAGES * page_size()));
        self.model = Model::new();
    }

    /// Closes what is the device's: an exec would hand it on.
    pub fn close(&mut self) {
        let pipe = self.pipe.take().map_or([-1, -1], |(from, to)| [from, to]);
        for file in [self.device, self.reading].into_iter().chain(pipe) {
            let _ = sys::close(file);
        }
    }

    fn live(&mut self, deeds: &[Deed]) {
        let before = self.children.len();
        for deed in deeds {
            if self.storm.ledger.stopping() {
                break;
            }
            self.step += 1;
            self.lane.at(self.program, self.step);
            self.storm.ledger.count(Head::Steps);
            self.told.push(deed.to_string());
            self.act(deed);
        }
        for pid in self.children.split_off(before) {
            self.reap(pid, "a child beside");
        }
    }

    fn act(&mut self, deed: &Deed) {
        match deed {
            Deed::Call(call) => self.call(call),
            Deed::Fork { deeds, way: Way::Waited, end } => self.fork(deeds, *end),
            Deed::Fork { deeds, way: Way::Beside, end } => self.fork_beside(deeds, *end),
            Deed::Execute { program, way } => self.execute(*program, *way),
            Deed::Bomb { depth } => self.bomb(*depth),
            Deed::NoDescriptors(deeds) => self.without_descriptors(deeds),
            Deed::NoMemory(deeds) => self.without_memory(deeds),
            Deed::Thread(deeds) => self.thread(deeds),
        }
    }

    // ---- what goes wrong ----

    fn fail(&self, what: &str) -> ! {
        let from = self.told.len().saturating_sub(24);
        let steps = self.told[from..].join("\n    ");
        self.storm.ledger.fail(&format!(
            "program {} step {} in lane {} (process {}): {what}\nthe steps before it, and it:\n    {steps}",
            self.program,
            self.step,
            self.lane.number,
            sys::getpid()
        ));
        sys::exit_now(1)
    }

    fn must<T>(&self, what: &str, result: Sys<T>) -> T {
        result.unwrap_or_else(|errno| self.fail(&format!("{what}: {errno}")))
    }

    fn before(&self) -> Before {
        let ledger = &self.storm.ledger;
        Before([ledger.lost(), ledger.limited(), Gauge(&HUNGRY)].map(Gauge::now))
    }

    fn excuse(&self, Before([lost, limited, hungry]): Before) -> Excuse {
        let ledger = &self.storm.ledger;
        Excuse {
            lost: ledger.lost().was_on_since(lost),
            limited: ledger.limited().was_on_since(limited),
            hungry: Gauge(&HUNGRY).was_on_since(hungry),
        }
    }

    /// A call that makes something: it succeeds, or fails for a reason. Returns whether it succeeded.
    fn made<T>(&self, what: &str, before: Before, result: Sys<T>) -> Option<T> {
        match result {
            Ok(made) => Some(made),
            Err(errno) if self.excuse(before).covers(errno) => {
                self.storm.ledger.count(Head::Refused);
                None
            }
            Err(errno) => self.fail(&format!("{what}: {errno} ({:?})", self.excuse(before))),
        }
    }

    // ---- accesses ----

    fn address(&self, page: usize) -> usize {
        self.base + page * page_size()
    }

    fn word(&self, page: usize, slot: usize) -> usize {
        self.address(page) + self.lane.offset(slot)
    }

    /// Compares an outcome with what may be. Returns whether the access was made.
    fn judge(&self, what: &str, page: usize, write: bool, outcome: Outcome, before: Before) -> bool {
        match self.model.judge(page, write, outcome, self.excuse(before)) {
            Ok(done) => {
                self.storm.ledger.count(if done { Head::Words } else { Head::Refused });
                done
            }
            Err(why) => self.fail(&format!("{what} p{page}: {why}; the page: {:?}", self.model.pages[page])),
        }
    }

    fn compare(&self, what: &str, page: usize, slot: usize, seen: u64) {
        if let Err(why) = self.model.check(self.lane, page, slot, seen, self.guest.is_some()) {
            // Its parent, or one before that, was killed, and the lane's owner has gone on meanwhile.
            if self.guest.is_some_and(|turn| turn != self.lane.turns()) {
                sys::exit_now(CHILD_STATUS);
            }
            self.fail(&format!("{what} p{page} slot {slot}: {why}"));
        }
    }

    fn load(&self, page: usize, slot: usize) {
        let before = self.before();
        let loaded = probe::load8(self.word(page, slot));
        let outcome = loaded.map_or_else(Outcome::Signal, |_| Outcome::Done);
        if self.judge("load", page, false, outcome, before)
            && let Ok(seen) = loaded
        {
            self.compare("load", page, slot, seen);
        }
    }

    fn store(&mut self, page: usize, slot: usize, store: impl FnOnce(&Self, u64) -> Outcome) {
        let value = self.new_word();
        // Memory that all share may be at a page of which nothing is known: a word stored there would be missed from the ledger.
        if self.model.is_unknown(page, 1) || !self.model.storing(self.lane, page, slot, value) {
            return self.load(page, slot);
        }
        let before = self.before();
        let outcome = store(self, value);
        let done = matches!(outcome, Outcome::Done);
        self.model.stored(self.lane, page, slot, value, done);
        self.judge("store", page, true, outcome, before);
    }

    /// A word that nobody else stores.
    fn new_word(&self) -> u64 {
        let (_, _, beat) = self.lane.progress();
        (self.lane.number as u64) << 56 | (beat & 0xff_ffff) << 32 | self.program & 0xffff_ffff
    }

    /// Compares one word of each page.
    fn compare_all(&self) {
        (0..PAGES).for_each(|page| self.load(page, page % SLOTS));
    }

    /// write(2) of a word to a pipe.
    fn write_from(&self, page: usize, slot: usize) {
        let Some((from, to)) = self.pipe else { return };
        let before = self.before();
        let written = sys::write_at(to, self.word(page, slot), 8);
        let outcome = written.map_or_else(Outcome::Failed, |_| Outcome::Done);
        if self.judge("write(2) from", page, false, outcome, before) {
            let mut word = [0; 8];
            let through = self.must("read of a pipe", sys::read(from, &mut word));
            if (written, through) != (Ok(8), 8) {
                self.fail(&format!("write(2) from p{page}: {written:?} bytes, {through} came through"));
            }
            self.compare("write(2) from", page, slot, u64::from_ne_bytes(word));
        }
    }

    /// read(2) of a word from a pipe: what fails must leave it there, unless the device was lost while the host had no descriptor for a pipe of its own.
    fn read_into(&mut self, page: usize, slot: usize) {
        let Some((from, to)) = self.pipe else { return };
        self.store(page, slot, |worker, value| {
            worker.must("write to a pipe", sys::write(to, &value.to_ne_bytes()));
            let before = worker.before();
            let read = sys::read_at(from, worker.word(page, slot), 8);
            if read.is_err() {
                let mut left = [0; 8];
                let there = sys::wait_readable(from, std::time::Duration::ZERO) == Ok(true);
                let taken = if there { sys::read(from, &mut left) } else { Ok(0) };
                let kept = (taken, u64::from_ne_bytes(left)) == (Ok(8), value);
                let excuse = worker.excuse(before);
                let gone = read == Err(Errno(libc::EIO)) && taken == Ok(0) && excuse.lost && excuse.hungry;
                if !kept && !gone {
                    worker.fail(&format!("read(2) into p{page}: {read:?}, and {taken:?} bytes are left"));
                }
            }
            read.map_or_else(Outcome::Failed, |_| Outcome::Done)
        });
    }

    // ---- calls ----

    fn call(&mut self, call: &Call) {
        let before = self.before();
        let range = |page: usize, pages: usize| (self.address(page), pages * page_size());
        match *call {
            Call::Map { page, len, off, prot, shared, read_only } => {
                self.map(page, len, off, prot.0, shared, read_only);
            }
            Call::MapAnywhere { len, off, prot, shared } => {
                let at = sys::mmap(0, len, prot.0, sharing(shared), self.device, off as i64);
                if let Some(at) = self.mapped(before, len, off, false, at) {
                    let _ = self.made("munmap", before, sys::munmap(at, len));
                }
            }
            Call::MapOdd { len, off } => {
                if let Ok(at) = sys::mmap(0, len, RW, SHARED, self.device, off as i64) {
                    let _ = self.made("munmap", before, sys::munmap(at, len));
                }
            }
            Call::Unmap { page, pages } => self.clear(page, pages),
            Call::UnmapNothing { page } => {
                self.refused("munmap", before, sys::munmap(self.address(page), 0));
            }
            Call::UnmapUnaligned { page, pages } => {
                let (at, len) = range(page, pages);
                self.refused("munmap", before, sys::munmap(at + 1, len));
            }
            Call::Protect { page, pages, prot } => self.protect(page, pages, prot.0),
            Call::ProtectUnaligned { page } => {
                let result = sys::mprotect(self.address(page) + 1, page_size(), READ);
                self.refused("mprotect", before, result);
            }
            Call::Anonymous { page, pages } => {
                let (at, len) = range(page, pages);
                let made = sys::mmap(at, len, RW, os::ANONYMOUS | FIXED, -1, 0);
                match self.made("mmap of memory", before, made) {
                    Some(_) => self.model.memory(page, pages, RW),
                    None => self.clear(page, pages),
                }
            }
            Call::Lock { page, pages } => {
                let (at, len) = range(page, pages);
                let _ = sys::mlock(at, len);
            }
            Call::Unlock { page, pages } => {
                let (at, len) = range(page, pages);
                let _ = sys::munlock(at, len);
            }
            Call::Resident { page, pages } => {
                let (at, len) = range(page, pages);
                let _ = sys::mincore(at, len);
            }
            Call::Advise { page, pages, advice } => {
                let (at, len) = range(page, pages);
                let _ = sys::madvise(at, len, os::harmless_advice(advice));
            }
            Call::Sync { page, pages } => {
                let (at, len) = range(page, pages);
                let _ = sys::msync(at, len, libc::MS_SYNC);
            }
            Call::Load { page, at } => self.load(page, at / 64),
            Call::Store { page, at, .. } => self.store(page, at / 64, |worker, value| {
                let stored = probe::store8(worker.word(page, at / 64), value);
                stored.map_or_else(Outcome::Signal, |()| Outcome::Done)
            }),
            Call::WriteFrom { page, at } => self.write_from(page, at / 64),
            Call::ReadInto { page, at } => self.read_into(page, at / 64),
            Call::DeviceWrite { .. } | Call::Revoke if self.device < 0 => {}
            Call::DeviceWrite { value } => {
                let written = sys::write(self.device, &[value; 16]);
                let _ = self.made("write to the device", before, written);
            }
            Call::DeviceWriteFrom { page } => {
                let written = sys::write_at(self.device, self.address(page), 16);
                if self.device >= 0 {
                    let outcome = written.map_or_else(Outcome::Failed, |_| Outcome::Done);
                    self.judge("write to the device from", page, false, outcome, before);
                }
            }
            Call::Revoke => {
                let _ = self.made("revoke", before, sys::ioctl(self.device, CTXDEV_REVOKE, 0));
            }
            Call::Ioctl { command, page } => {
                let _ = sys::ioctl(self.device, command, page.map_or(NOWHERE, |page| self.address(page)));
            }
            Call::Reopen => {
                let _ = sys::close(self.device);
                let opened = sys::open(&self.storm.device, libc::O_RDWR);
                self.device = self.made("open", before, opened).unwrap_or(-1);
            }
            Call::Lose { .. } | Call::MaxContexts { .. } | Call::Fork | Call::Nothing => {}
        }
        if self.device < 0 && !self.excuse(before).hungry {
            let opened = sys::open(&self.storm.device, libc::O_RDWR);
            self.device = self.made("open", before, opened).unwrap_or(-1);
        }
    }

    fn refused<T>(&self, what: &str, before: Before, result: Sys<T>) {
        match result.err() {
            Some(Errno(libc::EINVAL)) => {}
            Some(errno) if self.excuse(before).covers(errno) => {}
            seen => self.fail(&format!("{what}: expected EINVAL, seen {seen:?}")),
        }
    }

    /// munmap; also after a fixed mapping that failed, when what is there is not known.
    fn clear(&mut self, page: usize, pages: usize) {
        let before = self.before();
        match self.made("munmap", before, sys::munmap(self.address(page), pages * page_size())) {
            Some(()) => self.model.unmap(page, pages),
            None => self.model.doubt(page, pages),
        }
    }

    /// An mmap of the device that has been made or refused. `denied`: the descriptor does not allow it.
    fn mapped<T>(&self, before: Before, len: usize, off: u64, denied: bool, result: Sys<T>) -> Option<T> {
        let there = model::device_pages(off, len);
        let beyond = there.is_none();
        let several =
            there.is_some_and(|(first, pages)| model::crosses(first, pages)) && self.storm.one_region;
        match result {
            Ok(at) if !denied && !beyond && !several => Some(at),
            Ok(_) => self.fail("mmap succeeded"),
            Err(Errno(libc::EACCES)) if denied => None,
            Err(Errno(libc::ENXIO)) if beyond || several => None,
            Err(Errno(libc::EBADF)) if self.device < 0 || self.reading < 0 => None,
            failed => self.made("mmap", before, failed),
        }
    }

    fn map(&mut self, page: usize, len: usize, off: u64, prot: i32, shared: bool, read_only: bool) {
        let before = self.before();
        let file = if read_only { self.reading } else { self.device };
        let denied = read_only && shared && prot & WRITE != 0;
        let made = sys::mmap(self.address(page), len, prot, sharing(shared) | FIXED, file, off as i64);
        let pages = len.div_ceil(page_size());
        match (self.mapped(before, len, off, denied, made), model::device_pages(off, len)) {
            (Some(_), Some((first, pages))) => {
                let most = if read_only && shared { READ | EXEC } else { RW | EXEC };
                self.model.map(page, pages, first, shared, prot, most);
            }
            _ => self.clear(page, pages),
        }
    }

    fn protect(&mut self, page: usize, pages: usize, prot: i32) {
        let before = self.before();
        let result = sys::mprotect(self.address(page), pages * page_size(), prot);
        match (self.model.may_protect(page, pages, prot), result) {
            _ if self.model.is_unknown(page, pages) => self.model.doubt(page, pages),
            (Ok(()), Ok(())) => self.model.protect(page, pages, prot),
            (Err(errors), Err(errno)) if errors.contains(&errno.0) => self.clear(page, pages),
            (_, Err(errno)) if self.excuse(before).hungry && errno.0 == libc::ENOMEM => {
                self.clear(page, pages)
            }
            (may, seen) => self.fail(&format!("mprotect: {seen:?}, expected {may:?}")),
        }
    }

    // ---- processes and threads ----

    fn forked(&mut self) -> Option<Forked> {
        let before = self.before();
        let forked = self.made("fork", before, sys::fork())?;
        if let Forked::Child = forked {
            // What its parent waits for, and the pipe, are its parent's; of the threads it has none.
            self.children.clear();
            self.threads.drain(..).for_each(std::mem::forget);
            self.pipe = sys::pipe().ok();
        }
        self.storm.ledger.count(Head::Forks);
        Some(forked)
    }

    /// Waits for a child. It has ended by itself, or was killed.
    fn reap(&self, pid: i32, what: &str) {
        match sys::wait(pid) {
            Ok(Status::Exited(CHILD_STATUS) | Status::Killed(libc::SIGKILL)) => {}
            Ok(Status::Exited(1)) => sys::exit_now(1), // it has said why
            Ok(status) => self.fail(&format!("{what}: {status}")),
            Err(errno) => self.fail(&format!("wait for {what}: {errno}")),
        }
    }

    /// A child in its parent's lane, whose parent waits.
    fn fork(&mut self, deeds: &[Deed], end: End) {
        let parent = sys::getpid();
        match self.forked() {
            None => {}
            Some(Forked::Child) => match self.lane.take(parent) {
                true => self.end(deeds, end),
                false => sys::exit_now(CHILD_STATUS),
            },
            Some(Forked::Parent(pid)) => {
                self.reap(pid, "a child");
                // If it has not come so far as to take it, the lane is still ours.
                if self.lane.owner() != parent && !self.lane.take(pid) {
                    self.other_lane();
                }
            }
        }
    }

    /// Somebody has taken the lane when its owner had ended.
    fn other_lane(&mut self) {
        match self.storm.ledger.take_lane(1) {
            Some(lane) => self.lane = lane,
            None => sys::exit_now(0),
        }
    }

    /// A child in a lane of its own, whose parent goes on.
    fn fork_beside(&mut self, deeds: &[Deed], end: End) {
        match self.forked() {
            None => {}
            Some(Forked::Child) => match self.storm.ledger.take_lane(1) {
                Some(lane) => {
                    self.lane = lane;
                    self.end(deeds, end)
                }
                None => sys::exit_now(CHILD_STATUS),
            },
            Some(Forked::Parent(pid)) => self.children.push(pid),
        }
    }

    /// A child's life.
    fn end(&mut self, deeds: &[Deed], end: End) -> ! {
        self.live(deeds);
        match end {
            End::Exit => {}
            End::UnmapAll => self.unmap_all(),
            End::Killed => _ = sys::kill(sys::getpid(), libc::SIGKILL),
        }
        sys::exit_now(CHILD_STATUS)
    }

    fn execute(&mut self, program: u64, way: Start) {
        let args = self.storm.arguments(&["--short", &program.to_string()]);
        let before = self.before();
        let started = match way {
            Start::Spawn => sys::spawn(&args),
            Start::Vfork => sys::vfork_exec(&args),
            Start::Fork => match self.forked() {
                None => return,
                Some(Forked::Parent(pid)) => Ok(pid),
                Some(Forked::Child) => {
                    let errno = sys::exec(&args);
                    self.fail(&format!("exec: {errno}"))
                }
            },
        };
        if let Some(pid) = self.made("starting a program", before, started) {
            self.storm.ledger.count(Head::Execs);
            self.reap(pid, "a program");
        }
    }

    fn bomb(&mut self, depth: usize) {
        let mut children = [None; 2];
        let turn = self.guest.unwrap_or_else(|| self.lane.turns());
        for child in &mut children {
            match self.forked() {
                None => {}
                Some(Forked::Parent(pid)) => *child = Some(pid),
                Some(Forked::Child) => {
                    self.guest = Some(turn);
                    self.compare_all();
                    for page in (0..PAGES).filter(|page| self.model.is_own(*page)).collect::<Vec<_>>() {
                        self.call(&Call::Store { page, at: 0, value: 0 });
                        self.load(page, 0);
                    }
                    if depth > 1 {
                        self.bomb(depth - 1);
                    }
                    sys::exit_now(CHILD_STATUS)
                }
            }
        }
        children.into_iter().flatten().for_each(|pid| self.reap(pid, "a bomb's child"));
        if self.guest.is_none() {
            self.lane.turn();
        }
        self.compare_all();
    }

    fn thread(&mut self, deeds: &[Deed]) {
        // A thread's deeds are calls.
        let calls: Vec<Call> =
            deeds.iter().filter_map(|deed| if let Deed::Call(c) = deed { Some(*c) } else { None }).collect();
        let Some(lane) = self.storm.ledger.take_lane(1) else { return };
        let base = AREA + (self.threads.len() + 1) * GAP;
        let (storm, program, stop) = (self.storm.clone(), self.program, Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let ready = Arc::new(Barrier::new(2));
        let begun = Arc::clone(&ready);
        let thread = std::thread::spawn(move || {
            let mut worker = Worker::new(&storm, lane, base);
            worker.program = program;
            worker.told = calls.iter().map(|call| format!("thread: {call}")).collect();
            begun.wait();
            while !stopped.load(Ordering::SeqCst) {
                for (step, call) in calls.iter().enumerate() {
                    worker.step = step;
                    lane.at(program, step);
                    worker.call(call);
                }
            }
            worker.unmap_all();
            worker.close();
            lane.give_back();
        });
        // Another deed may take the memory away that a thread needs to begin.
        ready.wait();
        self.threads.push((thread, stop));
    }

    // ---- hunger ----

    fn hungry(&mut self, what: i32, limit: u64, deeds: &[Deed]) {
        let was = sys::soft_limit(what);
        Gauge(&HUNGRY).turn(true);
        let _ = sys::set_soft_limit(what, limit);
        for deed in deeds {
            if let Deed::Call(call) = deed {
                self.storm.ledger.count(Head::Hungry);
                self.call(call);
            }
        }
        let _ = sys::set_soft_limit(what, was);
        Gauge(&HUNGRY).turn(false);
        (0..PAGES)
            .filter(|page| self.model.is_unknown(*page, 1))
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|page| self.clear(page, 1));
    }

    fn without_descriptors(&mut self, deeds: &[Deed]) {
        // Standard input, output and error are taken. With less poll(2) would not take an entry.
        self.hungry(libc::RLIMIT_NOFILE as i32, 3, deeds);
    }

    fn without_memory(&mut self, deeds: &[Deed]) {
        if let Some(used) = os::address_space_used() {
            // The allocator keeps this, so that the model has what it needs.
            drop(std::hint::black_box(vec![0_u8; 16 << 10]));
            self.hungry(libc::RLIMIT_AS as i32, used, deeds);
        }
    }
}

fn sharing(shared: bool) -> i32 {
    if shared { SHARED } else { PRIVATE }
}
