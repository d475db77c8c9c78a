//! Faults that userfaultfd reports: threads that read and serve them.
//!
//! Leader and followers: several threads wait on one epoll instance of all clients' userfaultfds (edge-triggered, so that each report wakes one).
//! The thread that gets a report serves the fault itself, without handing it on; when the last idle thread leaves to serve, it starts another, so
//! that faults are served however many of them block in drivers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ddi_wire::SignalInfo;
use ddi_wire::uffd::{Event, FAULT_WRITE};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use super::access::{Fault, FaultOutcome};
use super::due;
use super::failpoint::fails;
use super::interrupt::Service;
use super::proc::{self, Place};
use super::shared::Shared;
use super::uffd::Uffd;
use super::verdicts::{Doubt, Refused};
use super::{FaultMode, Process, Prot};
use crate::physmem::PAGE_SIZE;

/// Threads that stay waiting.
const SPARE: usize = 2;
/// Faults read at once.
const BATCH: usize = 8;

/// Starts the first threads.
pub(super) fn start(shared: &Arc<Shared>) {
    for _ in 0..SPARE {
        spawn(shared);
    }
}

fn spawn(shared: &Arc<Shared>) {
    shared.faults.idle.fetch_add(1, Ordering::AcqRel);
    *shared.faults.threads.lock() += 1;
    let owned = shared.clone();
    let started = start_thread(move || {
        run(&owned);
        owned.faults.thread_ended();
    });
    if !started {
        shared.faults.idle.fetch_sub(1, Ordering::AcqRel);
        shared.faults.thread_ended();
    }
}

/// Returns whether there is a thread that executes `f`.
fn start_thread(f: impl FnOnce() + Send + 'static) -> bool {
    !fails("thread for faults") && std::thread::Builder::new().name("ddi-fault".into()).spawn(f).is_ok()
}

fn run(shared: &Arc<Shared>) {
    let pool = &shared.faults;
    let mut events = Vec::with_capacity(1);
    loop {
        events.clear();
        let got = epoll::wait(&pool.epoll, spare_capacity(&mut events), None);
        if pool.stop.load(Ordering::Acquire) {
            return;
        }
        if got.is_err() || events.is_empty() {
            continue;
        }
        if pool.idle.fetch_sub(1, Ordering::AcqRel) == 1 {
            spawn(shared);
        }
        let data = events[0].data;
        let process = shared.processes.read().get(&data.u64()).cloned();
        if let Some(process) = process {
            read(shared, &process);
        }
        if pool.idle.fetch_add(1, Ordering::AcqRel) >= 2 * SPARE {
            pool.idle.fetch_sub(1, Ordering::AcqRel);
            return;
        }
    }
}

/// Reads and serves the faults of a process that wait now.
fn read(shared: &Arc<Shared>, process: &Arc<Process>) {
    let Some(uffd) = process.uffd() else { return };
    let mut events = [Event::default(); BATCH];
    loop {
        let n = uffd.read(&mut events);
        let Some((first, rest)) = events[..n].split_first() else { return };
        // More than one at once: each may block, so each gets its own thread.
        for &e in rest {
            let (shared2, process2) = (shared.clone(), process.clone());
            if !start_thread(move || serve_event(&shared2, &process2, e)) {
                serve_event(shared, process, e);
            }
        }
        serve_event(shared, process, *first);
        if n < BATCH {
            return;
        }
    }
}

fn serve_event(shared: &Arc<Shared>, process: &Arc<Process>, event: Event) {
    if event.event != ddi_wire::uffd::EVENT_PAGEFAULT {
        return;
    }
    let Some(uffd) = process.uffd() else { return };
    let tid = event.tid.cast_signed();
    let page = event.address / PAGE_SIZE;
    let wake = || process.end_fault(uffd, page);
    let state = process.hat.lock().state(page);
    let access = match event.flags & FAULT_WRITE {
        0 if state.is_some_and(|(prot, _)| prot.contains(Prot::EXEC))
            && fetches(process, tid, event.address) =>
        {
            Prot::EXEC
        }
        0 => Prot::READ,
        _ => Prot::WRITE,
    };
    let fault =
        Fault { process: process.clone(), tid, addr: event.address, access, protection: false, code: 0 };
    process.thaw_for(tid);
    // If it waits for one that is being served, that one's end wakes it.
    let Some(service) = Service::begin(&fault) else { return };
    let doubt = process.verdicts.doubt(tid);
    let doubt = doubt.filter(|doubt| (doubt.addr, doubt.access) == (event.address, access));
    let before = doubt.map(|_| Rest::of(process, tid));
    let (changes, mappings) = (process.verdicts.changes(), process.verdicts.mappings());
    // Another thread's fault has loaded the page, or this thread has even gone on: there is nothing to ask the driver for. Or Linux has dropped the translation by
    // itself (it reclaims memory, or the program advised it), which illumos never does: the driver is not to notice.
    let loaded = process.is_loaded_for(page, access);
    // The access that the driver has refused already, and that the thread has been at ever since. It may also be a later one at the same place, if the first
    // was not there any more when it was refused; so the driver is asked again where any process can know that its answer is another by now.
    let asked = shared.asked.load(Ordering::Acquire);
    let known = doubt.filter(|doubt| {
        let waits = doubt.place != Place::Running;
        let unchanged = (doubt.changes, doubt.asked) == (changes, asked);
        waits && unchanged && before.is_some_and(|before| before.place == doubt.place)
    });
    let (outcome, asked) = match known {
        _ if loaded => (FaultOutcome::Retry, asked),
        Some(Doubt { why: [signo, code, errno], .. }) => (FaultOutcome::Signal { signo, code, errno }, asked),
        None => due::serving(process.id(), page, || serve(shared, &fault)),
    };
    if outcome != FaultOutcome::Retry {
        process.load_due(page, |at| uffd.resolve(at, PAGE_SIZE));
    }
    let again = service.end();
    match outcome {
        FaultOutcome::Interrupted if again && in_system_call(process, &fault) => {
            // Linux lets a system call not take its signal before the access is done, so the access must fail.
            if !refuse(process, uffd, tid, Refused { page, errno: libc::EINTR, changes }) {
                wake();
            }
        }
        FaultOutcome::Retry | FaultOutcome::Interrupted => {
            process.verdicts.set_doubt(tid, None);
            wake();
        }
        FaultOutcome::Signal { .. } if is_foreign(process, tid) => {
            if !bar(process, uffd, page, tid) {
                wake();
            }
        }
        FaultOutcome::Signal { signo, code, errno } => {
            // A report may be served when its thread has long gone on, and come back: the verdict is on what was mapped then.
            let current = process.verdicts.mappings() == mappings;
            // So may be an access that the thread has come back to: it began when the answer was there, perhaps, and others had been in the driver.
            let again = again && shared.asked.load(Ordering::Acquire) == asked;
            let state = Asked { before, changes, asked, current };
            fail(process, uffd, &fault, state, [signo, code, errno], again);
        }
    }
}

/// Returns whether it is the access of another process's thread, which reads or writes this one's memory (process_vm_readv(2)). It fails, and nobody gets a signal.
fn is_foreign(process: &Process, tid: i32) -> bool {
    tid == 0 || !process.thread(tid).exists() && proc::exists(tid)
}

/// Most bytes of an instruction.
const INSTRUCTION: u64 = 15;

/// Returns whether a fault that is reported as a read is that of an instruction's fetch. Then the thread waits at that address, or just before it where the
/// instruction reaches into the page.
fn fetches(process: &Process, tid: i32, address: u64) -> bool {
    match process.thread(tid).place() {
        Place::User([_, at]) => address.checked_sub(at).is_some_and(|ahead| ahead < INSTRUCTION),
        Place::SystemCall | Place::Running => false,
    }
}

/// Returns whether it is a system call's access that was interrupted and has been reported again. Linux tries such an access over and over, so that its thread never waits.
fn in_system_call(process: &Process, fault: &Fault) -> bool {
    for _ in 0..3 {
        match process.thread(fault.tid).place() {
            Place::SystemCall => return true,
            Place::User(_) => return false,
            // Linux has no event for a thread that comes to rest. It is a guess only: where it is wrong, the access is tried again and comes here again.
            Place::Running => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    true
}

/// Makes the system call that waits for a page fail; false if that cannot be done.
fn refuse(process: &Process, uffd: &Uffd, tid: i32, refused: Refused) -> bool {
    if process.fault_mode() != Some(FaultMode::Userfaultfd) {
        return false;
    }
    process.verdicts.refuse(tid, refused);
    bar(process, uffd, refused.page, tid)
}

/// Makes a system call's access to a page fail; false if that cannot be done.
fn bar(process: &Process, uffd: &Uffd, page: u64, tid: i32) -> bool {
    let at = page * PAGE_SIZE;
    process.poison_for_a_moment(page, tid, || uffd.poison(at))
        || process.bar_for_a_moment(page, tid, || uffd.wake(at, PAGE_SIZE))
}

/// Serves a fault by the kernel above. Returns the outcome, and [`Doubt::asked`].
pub(super) fn serve(shared: &Arc<Shared>, fault: &Fault) -> (FaultOutcome, u64) {
    // A process that is on its way out does not care.
    let Some(flight) = shared.begin(&fault.process) else { return (FaultOutcome::Retry, 0) };
    let failed = FaultOutcome::Signal { signo: libc::SIGBUS, code: libc::BUS_OBJERR, errno: libc::EIO };
    let outcome = catch_unwind(AssertUnwindSafe(|| shared.kernel.fault(fault))).unwrap_or(failed);
    (outcome, flight.alone())
}

/// Number of times that an access is tried again where mappings come or go, before it fails.
const PATIENCE: u32 = 100;

/// State at the time when the kernel above was asked about an access.
struct Asked {
    /// State of the thread, if an access of its there has failed before.
    before: Option<Rest>,
    /// [`Verdicts::changes`](super::verdicts::Verdicts::changes).
    changes: u64,
    /// [`Doubt::asked`].
    asked: u64,
    /// Nothing has been mapped since.
    current: bool,
}

/// Lets a fault fail: a signal for user code, `EFAULT` for a system call. `again`: the thread is known to wait for this fault.
///
/// Several threads may fault on one page; one that finds it loaded by another's goes on, and its report is then served after that:
/// the thread may sit in a system call, or wait for another fault of the same instruction. So a failure counts only when it is not the
/// first one, and the thread has not moved while the kernel above looked at it. A thread that waits faults again at once; the kernel above is not asked
/// again then, unless anybody else has asked it anything meanwhile.
fn fail(
    process: &Arc<Process>,
    uffd: &Uffd,
    fault: &Fault,
    Asked { before, changes, asked, current }: Asked,
    why: [i32; 3],
    again: bool,
) {
    let page = fault.addr & !(PAGE_SIZE - 1);
    let number = page / PAGE_SIZE;
    let now = Rest::of(process, fault.tid);
    let same = before.filter(|before| *before == now);
    let here = if again && current {
        process.verdicts.set_doubt(fault.tid, None);
        Some(now)
    } else {
        // Where nothing is mapped any more, or will not be in a moment, Linux lets the access fail by itself when it is tried again; where a
        // mapping is being made, it will be let through. A signal that comes too late is dropped, but a poisoned page meets other threads.
        let mapped = process.hat.lock().state(number).is_some();
        let harmless = |rest: Rest| rest.place != Place::SystemCall || why[0] == libc::SIGBUS;
        let earlier = process.verdicts.doubt(fault.tid);
        let earlier = earlier.filter(|doubt| doubt.addr == fault.addr && same.is_some());
        let failures = earlier.map_or(0, |doubt| doubt.failures) + 1;
        let sure = failures > PATIENCE || same.is_some_and(harmless) && mapped && current;
        let here = same.filter(|_| sure);
        let (addr, access, place) = (fault.addr, fault.access, now.place);
        let doubt = Doubt { addr, access, why, place, changes, asked, failures };
        process.verdicts.set_doubt(fault.tid, here.is_none().then_some(doubt));
        here
    };
    let Some(here) = here else { return uffd.wake(page, PAGE_SIZE) };
    match here.place {
        // A signal took it away meanwhile. If it comes back to this page, there will be another fault. But a system call's access does not make way for a signal, a stop
        // signal among them: as long as one is pending, Linux tries it over and over, and it has been reported again already.
        Place::Running if !(again && in_system_call(process, fault)) => return uffd.wake(page, PAGE_SIZE),
        // The poison must not stay: later accesses are to be asked about again. A page that cannot be poisoned is not mapped any more,
        // and a system call that is not ours to fail has nothing to do with this fault: its thread has gone on.
        Place::SystemCall | Place::Running => {
            // As on illumos: a driver's error is the system call's, everything else a bad address.
            let [signo, code, errno] = why;
            let driver = signo == libc::SIGBUS && code == libc::BUS_OBJERR && errno > 0;
            let errno = if driver { errno } else { libc::EFAULT };
            if !refuse(process, uffd, fault.tid, Refused { page: number, errno, changes }) {
                uffd.wake(page, PAGE_SIZE);
            }
            return;
        }
        Place::User(place) if signal(process, fault, why, place) => return,
        Place::User(_) => {}
    }
    let name = if why[0] == libc::SIGBUS { "SIGBUS" } else { "SIGSEGV" };
    eprintln!("ddi-host: cannot deliver {name} to process {}; killing it", process.pid());
    process.identity.kill();
}

/// State of a thread: its place, and how often it has been switched away from. Found the same twice, it has not moved in between.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Rest {
    place: Place,
    switches: u64,
}

impl Rest {
    fn of(process: &Process, tid: i32) -> Rest {
        // First the place: whoever waits there and moves on afterwards is switched away from once more before it waits again.
        let place = process.thread(tid).place();
        Rest { place, switches: process.thread(tid).switches() }
    }
}

/// Sends the thread the signal, unless it blocks it (the shim sees to it that it does not). `place` is where the thread waits: if it has gone on
/// by the time that the signal comes, because another thread's load has woken it, the shim drops the signal.
fn signal(process: &Process, fault: &Fault, [signo, code, errno]: [i32; 3], place: [u64; 2]) -> bool {
    let (pid, tid) = (process.pid(), fault.tid);
    if process.thread(tid).blocks(signo) {
        return false;
    }
    let sender = std::process::id().cast_signed();
    let info = SignalInfo::of_failed_access(sender, signo, fault.addr, code, errno, place);
    // SAFETY: `info` is laid out as siginfo_t is for a queued signal, and as long.
    let sent = unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, tid, signo, &info) == 0 };
    // A thread that has ended needs no signal.
    sent || super::Errno::last().0 == libc::ESRCH
}
