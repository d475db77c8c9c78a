//! A kernel whose calls are recorded in the trace, if there is one. What happens within a call is recorded where it happens, and has the call's number.
//!
//! Locking: leaf locks, held for look-ups. None is held while the kernel below runs.

use std::cell::Cell;

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use ddi_process::{
    Call, Control, DeviceNode, Errno, Fault, FaultOutcome, Kernel, MmapArgs, OpenId, PollWaker, Process,
    Prot, Uio, proc,
};
use ddi_trace::{Access, Actor, Event, Outcome, UNKNOWN};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap as HashMap;

use crate::kern::nodes::{self, Node};
use crate::kern::{opens, traced};
use crate::vm::client;
use crate::vm::framework;

/// A kernel, recorded.
#[derive(Debug)]
pub struct Traced<K>(pub K);

/// Devices of opens, as the trace numbers them.
static DEVICES: LazyLock<RwLock<HashMap<u64, u64>>> = LazyLock::new(RwLock::default);

/// Code addresses of processes whose files the trace has, by the number of the address space.
static CODE: LazyLock<Mutex<HashMap<u64, Vec<Range<u64>>>>> = LazyLock::new(Mutex::default);

/// The time that is spent on looking for code addresses is this part of a thread's time at most.
const SHARE: u64 = 1000;

thread_local! {
    /// Time from which the thread looks for a code address again.
    static NEXT_LOOK: Cell<u64> = const { Cell::new(0) };
}

fn actor(process: &Process, tid: i32) -> Actor {
    let [pid, thread] = [process.pid(), tid].map(i32::cast_unsigned);
    Actor { pid, process: process.id() as u32, thread }
}

fn errno<T>(result: &Result<T, Errno>) -> i32 {
    result.as_ref().err().map_or(0, |errno| errno.0)
}

/// The device of an open. The driver is not asked.
fn device(open: OpenId) -> u64 {
    if let Some(known) = DEVICES.read().get(&open.0) {
        return *known;
    }
    let Some(found) = opens::find(open.0) else { return 0 };
    let has = |node: &&'static Node| node.minors().iter().any(|minor| minor.minor == found.dev as u32);
    let nodes = nodes::of_driver(&found.driver.name);
    let node = nodes.iter().copied().find(has).or(nodes.first().copied());
    let device = node.map_or(0, traced::device);
    DEVICES.write().insert(open.0, device);
    device
}

/// Runs a call, and records it.
fn call<T>(
    call: &Call,
    of: impl FnOnce(&T) -> u64,
    f: impl FnOnce() -> T,
    event: impl FnOnce(&T) -> Event,
) -> T {
    if !ddi_trace::on() {
        return f();
    }
    let _acting = ddi_trace::acting(actor(call.process(), call.tid()));
    let span = ddi_trace::span();
    let result = f();
    span.end(of(&result), || event(&result));
    result
}

/// Device and device offset of an address.
fn place(process: &Arc<Process>, address: u64) -> (u64, u64) {
    let found = client::known(process).and_then(|entry| {
        entry.space.with_segment(framework(), address, |segment| {
            (traced::device(segment.device().node), segment.offset(address))
        })
    });
    found.unwrap_or((0, UNKNOWN))
}

/// Looks for the address of the instruction that has faulted: in /proc, which takes longer than everything else that is recorded. So it is done for as many
/// faults as take a small part of the thread's time: for all if they are rare. `begin` is the time.
fn code(fault: &Fault, begin: u64) -> u64 {
    let (pid, tid) = (fault.process.pid(), fault.tid);
    if tid == 0 || begin < NEXT_LOOK.get() {
        return fault.code;
    }
    let code = match fault.code {
        0 => match (proc::Thread { pid, tid }).place() {
            proc::Place::User([_, code]) => code,
            proc::Place::SystemCall | proc::Place::Running => 0,
        },
        known => known,
    };
    if code != 0 {
        name_code(&fault.process, code);
    }
    let end = ddi_trace::now();
    NEXT_LOOK.set(end + SHARE * (end - begin));
    code
}

/// Writes to the trace what files a process's code is from, if `code` is in none that the trace has.
fn name_code(process: &Process, code: u64) {
    let mut all = CODE.lock();
    let known = all.entry(process.id()).or_default();
    if known.iter().any(|range| range.contains(&code)) {
        return;
    }
    for mapping in proc::mappings(process.pid()) {
        let range = mapping.start..mapping.end;
        if mapping.mode.contains('x') && mapping.name.starts_with('/') && !known.contains(&range) {
            let place = [mapping.start, mapping.end, mapping.offset];
            ddi_trace::code(process.id(), place, &mapping.name);
            known.push(range);
        }
    }
    // Code without a file is not looked for again.
    if !known.iter().any(|range| range.contains(&code)) {
        known.push(code..code + 1);
    }
}

fn access(access: Prot) -> Access {
    match access {
        _ if access.contains(Prot::WRITE) => Access::Write,
        _ if access.contains(Prot::EXEC) => Access::Exec,
        _ => Access::Read,
    }
}

fn outcome(outcome: FaultOutcome) -> Outcome {
    match outcome {
        FaultOutcome::Retry => Outcome::Served,
        FaultOutcome::Interrupted => Outcome::Interrupted,
        FaultOutcome::Signal { signo, errno, .. } => {
            Outcome::Signal { signo: signo.cast_unsigned(), errno: errno.cast_unsigned() }
        }
    }
}

impl<K: Kernel> Traced<K> {
    fn traced_fault(&self, fault: &Fault) -> FaultOutcome {
        let span = ddi_trace::span();
        let _acting = ddi_trace::acting(actor(&fault.process, fault.tid));
        let code = code(fault, span.begin());
        traced::set_fault_address(fault.addr);
        let result = self.0.fault(fault);
        // The access callback's page is the access's. Without a callback the place is looked up, if it is still there.
        let (device, offset) = match ddi_trace::noted() {
            Some((device, offset)) => (device, offset | fault.addr & 0xfff),
            None => place(&fault.process, fault.addr),
        };
        let (address, access, outcome) = (fault.addr, access(fault.access), outcome(result));
        span.end(device, || Event::Fault { address, offset, code, access, outcome });
        result
    }
}

// Every method is here, those with a default, too.
impl<K: Kernel> Kernel for Traced<K> {
    fn devices(&self) -> Vec<DeviceNode> {
        self.0.devices()
    }

    fn process_start(&self, process: &Arc<Process>) {
        if ddi_trace::on() {
            let pid = process.pid();
            ddi_trace::process(process.id(), pid.cast_unsigned(), &proc::name(pid).unwrap_or_default());
        }
        self.0.process_start(process);
    }

    fn open(&self, by: &Call, path: &[u8], flags: i32) -> Result<OpenId, Errno> {
        let of = |result: &Result<OpenId, Errno>| result.as_ref().map_or(0, |open| device(*open));
        call(
            by,
            of,
            || self.0.open(by, path, flags),
            |result| {
                let open = result.as_ref().map_or(0, |open| open.0);
                Event::Open { open, flags: flags.cast_unsigned(), errno: errno(result) }
            },
        )
    }

    fn close(&self, open: OpenId) {
        if !ddi_trace::on() {
            return self.0.close(open);
        }
        let device = device(open);
        DEVICES.write().remove(&open.0);
        let _acting = ddi_trace::acting(Actor::default());
        let span = ddi_trace::span();
        self.0.close(open);
        span.end(device, || Event::Close { open: open.0 });
    }

    fn read(&self, by: &Call, open: OpenId, uio: &Uio) -> Result<u64, Errno> {
        call(
            by,
            |_| device(open),
            || self.0.read(by, open, uio),
            |result| {
                let (length, done) = (uio.resid(), result.as_ref().map_or(0, |done| *done));
                Event::Read { open: open.0, length, done, errno: errno(result) }
            },
        )
    }

    fn write(&self, by: &Call, open: OpenId, uio: &Uio) -> Result<u64, Errno> {
        call(
            by,
            |_| device(open),
            || self.0.write(by, open, uio),
            |result| {
                let (length, done) = (uio.resid(), result.as_ref().map_or(0, |done| *done));
                Event::Write { open: open.0, length, done, errno: errno(result) }
            },
        )
    }

    fn end(&self, by: &Call, open: OpenId) -> Option<u64> {
        self.0.end(by, open)
    }

    fn minor(&self, open: OpenId) -> Option<u32> {
        self.0.minor(open)
    }

    fn ioctl(&self, by: &Call, open: OpenId, command: u64, argument: u64, flags: i32) -> Result<i32, Errno> {
        call(
            by,
            |_| device(open),
            || self.0.ioctl(by, open, command, argument, flags),
            |result| Event::Ioctl { open: open.0, command, argument, errno: errno(result) },
        )
    }

    fn poll(&self, by: &Call, open: OpenId, events: u32, waker: &PollWaker) -> Result<(u32, u64), Errno> {
        call(
            by,
            |_| device(open),
            || self.0.poll(by, open, events, waker),
            |result| {
                let ready = result.as_ref().map_or(0, |(ready, _)| *ready);
                Event::Poll { open: open.0, asked: events, ready, errno: errno(result) }
            },
        )
    }

    fn mmap(&self, by: &Call, open: OpenId, args: &MmapArgs) -> Result<u64, Errno> {
        call(
            by,
            |_| device(open),
            || self.0.mmap(by, open, args),
            |result| {
                let address = result.as_ref().map_or(args.addr, |address| *address);
                let (length, offset, protection) = (args.len, args.offset.cast_unsigned(), args.prot.bits());
                Event::Mmap { address, length, offset, protection, errno: errno(result) }
            },
        )
    }

    fn munmap(&self, by: &Call, address: u64, length: u64) -> Result<(), Errno> {
        let device = if ddi_trace::on() { place(by.process(), address).0 } else { 0 };
        call(
            by,
            |_| device,
            || self.0.munmap(by, address, length),
            |result| Event::Munmap { address, length, errno: errno(result) },
        )
    }

    fn mprotect(&self, by: &Call, address: u64, length: u64, prot: Prot) -> Result<(), Errno> {
        let device = if ddi_trace::on() { place(by.process(), address).0 } else { 0 };
        call(
            by,
            |_| device,
            || self.0.mprotect(by, address, length, prot),
            |result| Event::Mprotect { address, length, protection: prot.bits(), errno: errno(result) },
        )
    }

    fn control(&self, by: &Call, addr: u64, len: u64, control: Control, argument: u32) -> Result<(), Errno> {
        self.0.control(by, addr, len, control, argument)
    }

    fn incore(&self, by: &Call, addr: u64, len: u64) -> Vec<u8> {
        self.0.incore(by, addr, len)
    }

    fn fork(&self, by: &Call, child: &Arc<Process>) -> Result<(), Errno> {
        traced::set_forking(child.id());
        call(
            by,
            |_| 0,
            || self.0.fork(by, child),
            |result| Event::Fork { child: child.id(), errno: errno(result) },
        )
    }

    fn fork_failed(&self, child: &Arc<Process>) {
        self.0.fork_failed(child);
    }

    fn stuck(&self) -> Vec<u64> {
        self.0.stuck()
    }

    fn say_stuck(&self, calls: Vec<u64>) -> Vec<u64> {
        self.0.say_stuck(calls)
    }

    fn give_up(&self) {
        self.0.give_up();
    }

    fn exit(&self, process: &Arc<Process>) {
        if !ddi_trace::on() {
            return self.0.exit(process);
        }
        let _acting = ddi_trace::acting(actor(process, 0));
        let span = ddi_trace::span();
        self.0.exit(process);
        CODE.lock().remove(&process.id());
        span.end(0, || Event::Exit {});
    }

    fn fault(&self, fault: &Fault) -> FaultOutcome {
        if ddi_trace::on() { self.traced_fault(fault) } else { self.0.fault(fault) }
    }
}
