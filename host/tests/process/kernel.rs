//! A tiny kernel with one device, `/dev/test0`: page n of the file is frame n of a run, loaded page by page on fault.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ddi_process::failpoint;
use ddi_process::physmem::{PAGE_SIZE, PhysMem};
use ddi_process::{
    Call, Control, DeviceNode, Errno, Fault, FaultOutcome, Kernel, MmapArgs, OpenId, Piece, PollWaker,
    Process, Prot, Uio,
};
use parking_lot::{Condvar, Mutex};

/// Pages of the device.
pub const PAGES: u64 = 256;
/// What the driver says when it panics.
pub const EXPECTED_PANIC: &str = "the driver panics, as it was asked to";

pub const UNLOAD: u64 = 1;
pub const STATS: u64 = 2;
pub const REFUSE_FORK: u64 = 3;
pub const FAIL_FAULTS: u64 = 4;
pub const SLEEP: u64 = 5;
pub const LOAD_OTHER: u64 = 6;
pub const SHOUT: u64 = 7;
pub const PANIC: u64 = 8;
/// From here on the n-th place where the host may fail does.
pub const ARM: u64 = 9;
pub const DISARM: u64 = 10;
/// The same, of the places where the host opens a descriptor for a process.
pub const ARM_PIDFD: u64 = 14;
/// Blocks until the witness has another turn; returns 1 when there will be none.
pub const TURN: u64 = 11;
/// The next fault fails so many milliseconds after it was asked about.
pub const FAIL_LATE: u64 = 12;
/// The next fault is served for so many milliseconds after it has loaded its page.
pub const STAY: u64 = 13;

/// What the device counts.
#[derive(Debug, Default)]
pub struct Counts {
    pub opens: AtomicU64,
    pub closes: AtomicU64,
    pub starts: AtomicU64,
    pub forks: AtomicU64,
    pub unborn: AtomicU64,
    pub exits: AtomicU64,
    pub faults: AtomicU64,
    pub unmaps: AtomicU64,
}

impl Counts {
    pub fn all(&self) -> [u64; 8] {
        let c = [
            &self.opens,
            &self.closes,
            &self.starts,
            &self.forks,
            &self.unborn,
            &self.exits,
            &self.faults,
            &self.unmaps,
        ];
        c.map(|c| c.load(Ordering::SeqCst))
    }
}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    len: u64,
    offset: u64,
    prot: Prot,
    maxprot: Prot,
}

type Space = BTreeMap<u64, Mapping>;

pub struct TestKernel {
    pub mem: Arc<PhysMem>,
    pub counts: Counts,
    first: u64,
    spaces: Mutex<HashMap<u64, (Arc<Process>, Space)>>,
    fork_errno: AtomicU64,
    fault_signal: AtomicU64,
    fail_late: AtomicU64,
    stay: AtomicU64,
    next: AtomicU64,
    sleepers: Arc<(Mutex<()>, Condvar)>,
    pub turns: Turns,
}

/// Turns of a witness, which waits between them.
#[derive(Default)]
pub struct Turns {
    /// Turns that it may take and has begun, and whether it is to end.
    state: Mutex<(u64, u64, bool)>,
    changed: Condvar,
}

impl Turns {
    /// Waits for a turn; the one before is over. False: there are no more.
    fn take(&self) -> bool {
        let mut state = self.state.lock();
        state.1 += 1;
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |(given, begun, end)| given < begun && !*end);
        !state.2
    }

    /// Lets the witness take a turn, and waits until it is over. False: it does not come back.
    pub fn give(&self) -> bool {
        let mut state = self.state.lock();
        state.0 += 1;
        self.changed.notify_all();
        let limit = std::time::Duration::from_secs(20);
        !self.changed.wait_while_for(&mut state, |(given, begun, _)| begun <= given, limit).timed_out()
    }

    pub fn end(&self) {
        self.state.lock().2 = true;
        self.changed.notify_all();
    }
}

impl TestKernel {
    pub fn new(mem: Arc<PhysMem>) -> TestKernel {
        let first = mem.alloc(PAGES, 1).expect("frames");
        TestKernel {
            mem,
            counts: Counts::default(),
            first,
            spaces: Mutex::default(),
            fork_errno: AtomicU64::new(0),
            fault_signal: AtomicU64::new(0),
            fail_late: AtomicU64::new(0),
            stay: AtomicU64::new(0),
            next: AtomicU64::new(1),
            sleepers: Arc::default(),
            turns: Turns::default(),
        }
    }

    pub fn mappings(&self) -> usize {
        self.spaces.lock().values().map(|(_, s)| s.len()).sum()
    }

    fn unload_all(&self) {
        let all: Vec<_> = {
            let spaces = self.spaces.lock();
            spaces
                .values()
                .flat_map(|(p, s)| s.iter().map(|(&va, m)| (p.clone(), va, m.len)).collect::<Vec<_>>())
                .collect()
        };
        all.iter().for_each(|(p, va, len)| p.unload(*va, len / PAGE_SIZE));
    }

    fn space<R>(&self, p: &Arc<Process>, f: impl FnOnce(&mut Space) -> R) -> R {
        f(&mut self.spaces.lock().entry(p.id()).or_insert_with(|| (p.clone(), Space::new())).1)
    }
}

/// Cuts `[addr, addr+len)` out of a space; returns what was there.
fn cut(space: &mut Space, addr: u64, len: u64) -> Vec<(u64, Mapping)> {
    let end = addr + len;
    let hit: Vec<_> =
        space.range(..end).filter(|(va, m)| **va + m.len > addr).map(|(&va, &m)| (va, m)).collect();
    let mut out = Vec::new();
    for (va, m) in hit {
        space.remove(&va);
        let (from, to) = (va.max(addr), (va + m.len).min(end));
        if from > va {
            space.insert(va, Mapping { len: from - va, ..m });
        }
        if to < va + m.len {
            space.insert(to, Mapping { len: va + m.len - to, offset: m.offset + (to - va), ..m });
        }
        out.push((from, Mapping { len: to - from, offset: m.offset + (from - va), ..m }));
    }
    out
}

impl Kernel for TestKernel {
    fn devices(&self) -> Vec<DeviceNode> {
        vec![DeviceNode { path: b"/dev/test0".to_vec(), major: 250, minor: 7, mode: 0o666, uid: 0, gid: 0 }]
    }

    fn process_start(&self, _: &Arc<Process>) {
        self.counts.starts.fetch_add(1, Ordering::SeqCst);
    }

    fn open(&self, _: &Call, path: &[u8], _: i32) -> Result<OpenId, Errno> {
        assert_eq!(path, b"/dev/test0");
        self.counts.opens.fetch_add(1, Ordering::SeqCst);
        Ok(OpenId(self.next.fetch_add(1, Ordering::SeqCst)))
    }

    fn close(&self, _: OpenId) {
        self.counts.closes.fetch_add(1, Ordering::SeqCst);
    }

    fn read(&self, call: &Call, _: OpenId, uio: &Uio) -> Result<u64, Errno> {
        let text = b"the device says hello\n";
        let rest = text.get(uio.offset as usize..).unwrap_or_default();
        let mut done = 0;
        for v in &uio.iov {
            let n = (rest.len() - done).min(v.len as usize);
            call.copyout(v.base, &rest[done..done + n])?;
            done += n;
        }
        Ok(done as u64)
    }

    /// Bytes go to the start of the device, at the offset.
    fn write(&self, call: &Call, _: OpenId, uio: &Uio) -> Result<u64, Errno> {
        let mut at = uio.offset as u64;
        for v in &uio.iov {
            let mut buf = vec![0; v.len as usize];
            call.copyin(v.base, &mut buf)?;
            let to = self.mem.ptr(self.first).as_ptr();
            // SAFETY: the tests write little; the frames are allocated.
            unsafe { std::ptr::copy_nonoverlapping(buf.as_ptr(), to.wrapping_add(at as usize), buf.len()) };
            at += v.len;
        }
        Ok(uio.resid())
    }

    fn poll(&self, _: &Call, _: OpenId, events: u32, _: &PollWaker) -> Result<(u32, u64), Errno> {
        Ok((events & libc::POLLOUT as u32, 0))
    }

    fn ioctl(&self, call: &Call, _: OpenId, cmd: u64, arg: u64, _: i32) -> Result<i32, Errno> {
        match cmd {
            UNLOAD => self.unload_all(),
            STATS => {
                let bytes: Vec<u8> = self.counts.all().iter().flat_map(|n| n.to_ne_bytes()).collect();
                call.copyout(arg, &bytes)?;
            }
            REFUSE_FORK => self.fork_errno.store(arg, Ordering::SeqCst),
            FAIL_LATE => self.fail_late.store(arg, Ordering::SeqCst),
            STAY => self.stay.store(arg, Ordering::SeqCst),
            FAIL_FAULTS => {
                self.fault_signal.store(arg, Ordering::SeqCst);
                self.unload_all();
            }
            SLEEP => {
                let sleepers = self.sleepers.clone();
                let guard = call.on_interrupt(Arc::new(move || {
                    let _lock = sleepers.0.lock();
                    sleepers.1.notify_all();
                }));
                let mut lock = self.sleepers.0.lock();
                while !call.interrupted() {
                    self.sleepers.1.wait_for(&mut lock, std::time::Duration::from_millis(50));
                }
                drop(lock);
                drop(guard);
                return Err(Errno(libc::EINTR));
            }
            LOAD_OTHER => {
                // Page 0 of every mapping shows frame `arg` from now on (until unmapped).
                let all: Vec<_> = {
                    let spaces = self.spaces.lock();
                    spaces
                        .values()
                        .flat_map(|(p, s)| s.keys().map(|&va| (p.clone(), va)).collect::<Vec<_>>())
                        .collect()
                };
                for (p, va) in all {
                    p.unload(va, 1);
                    p.load(va, 1, self.first + arg, Prot::READ | Prot::WRITE)?;
                }
            }
            SHOUT => {
                let text = call.copyinstr(arg, 64)?;
                return Ok(text.len() as i32);
            }
            ARM => failpoint::arm(arg, ""),
            ARM_PIDFD => failpoint::arm(arg, "pidfd_open"),
            DISARM => _ = failpoint::disarm(),
            TURN => return Ok(i32::from(!self.turns.take())),
            PANIC => panic!("{EXPECTED_PANIC}"),
            _ => return Err(Errno(libc::ENOTTY)),
        }
        Ok(0)
    }

    fn mmap(&self, call: &Call, _: OpenId, args: &MmapArgs) -> Result<u64, Errno> {
        let first = args.offset as u64 / PAGE_SIZE;
        let pages = args.len / PAGE_SIZE;
        if first + pages > PAGES {
            return Err(Errno(libc::ENXIO));
        }
        if args.fixed() {
            let gone = self.space(call.process(), |s| cut(s, args.addr, args.len));
            gone.iter().for_each(|(va, m)| call.process().unload(*va, m.len / PAGE_SIZE));
        }
        let at = call.reserve(args.len, PAGE_SIZE, 0, args.addr, args.fixed().then_some(args.addr))?;
        // As a driver does that needs memory for each mapping.
        let own = self.mem.alloc(1, 1).ok_or(Errno(libc::ENOMEM));
        match own {
            Ok(own) => self.mem.free(own, 1),
            Err(e) => {
                let _ = call.unmap(at, args.len);
                return Err(e);
            }
        }
        let pfn = Some(self.first + first);
        call.map_pieces(&[Piece { va: at, len: args.len, pfn, prot: args.prot }])?;
        let m = Mapping { len: args.len, offset: args.offset as u64, prot: args.prot, maxprot: args.maxprot };
        self.space(call.process(), |s| s.insert(at, m));
        Ok(at)
    }

    fn munmap(&self, call: &Call, addr: u64, len: u64) -> Result<(), Errno> {
        let gone = self.space(call.process(), |s| cut(s, addr, len));
        for (va, m) in gone {
            call.process().unload(va, m.len / PAGE_SIZE);
            self.counts.unmaps.fetch_add(1, Ordering::SeqCst);
        }
        call.unmap(addr, len)
    }

    fn mprotect(&self, call: &Call, addr: u64, len: u64, prot: Prot) -> Result<(), Errno> {
        self.space(call.process(), |s| {
            let hit = cut(s, addr, len);
            let allowed = hit.iter().all(|(_, m)| m.maxprot.contains(prot));
            for (va, m) in hit {
                s.insert(va, Mapping { prot: if allowed { prot } else { m.prot }, ..m });
            }
            allowed.then_some(()).ok_or(Errno(libc::EACCES))
        })?;
        call.protect(addr, len, prot)
    }

    fn control(&self, _: &Call, _: u64, _: u64, _: Control, _: u32) -> Result<(), Errno> {
        Ok(())
    }

    fn incore(&self, _: &Call, _: u64, len: u64) -> Vec<u8> {
        vec![1; (len / PAGE_SIZE) as usize]
    }

    fn fork(&self, call: &Call, child: &Arc<Process>) -> Result<(), Errno> {
        let refuse = self.fork_errno.load(Ordering::SeqCst);
        if refuse != 0 {
            return Err(Errno(refuse as i32));
        }
        self.counts.forks.fetch_add(1, Ordering::SeqCst);
        let copy = self.space(call.process(), |s| s.clone());
        self.spaces.lock().insert(child.id(), (child.clone(), copy));
        Ok(())
    }

    fn fork_failed(&self, child: &Arc<Process>) {
        self.counts.unborn.fetch_add(1, Ordering::SeqCst);
        self.spaces.lock().remove(&child.id());
    }

    fn exit(&self, process: &Arc<Process>) {
        self.counts.exits.fetch_add(1, Ordering::SeqCst);
        self.spaces.lock().remove(&process.id());
    }

    fn fault(&self, fault: &Fault) -> FaultOutcome {
        self.counts.faults.fetch_add(1, Ordering::SeqCst);
        if fault.protection {
            return FaultOutcome::Signal { signo: libc::SIGSEGV, code: 2, errno: 0 };
        }
        let late = self.fail_late.swap(0, Ordering::SeqCst);
        if late != 0 {
            std::thread::sleep(std::time::Duration::from_millis(late));
            return FaultOutcome::Signal { signo: libc::SIGBUS, code: 3, errno: libc::EIO };
        }
        let signo = self.fault_signal.load(Ordering::SeqCst) as i32;
        if signo != 0 {
            // SEGV_MAPERR is 1, BUS_OBJERR is 3.
            return FaultOutcome::Signal { signo, code: if signo == libc::SIGBUS { 3 } else { 1 }, errno: 0 };
        }
        let page = fault.addr & !(PAGE_SIZE - 1);
        let found = self.space(&fault.process, |s| {
            s.range(..=page).next_back().filter(|(va, m)| page < **va + m.len).map(|(&va, &m)| (va, m))
        });
        let Some((va, m)) = found else {
            return FaultOutcome::Signal { signo: libc::SIGSEGV, code: 1, errno: 0 };
        };
        let pfn = self.first + (m.offset + (page - va)) / PAGE_SIZE;
        let loaded = fault.process.load(page, 1, pfn, m.prot);
        std::thread::sleep(std::time::Duration::from_millis(self.stay.swap(0, Ordering::SeqCst)));
        match loaded {
            Ok(()) => FaultOutcome::Retry,
            Err(_) => FaultOutcome::Signal { signo: libc::SIGBUS, code: 2, errno: 0 },
        }
    }
}
