//! The kernel's structures that drivers reach behind the interface: the current thread at `%gs:0x18` and from `threadp()`, its process, and
//! the process's address space. Private on illumos, and read by real drivers all the same; so the few fields that they read are
//! there, at the offsets of 2019 (`private_reached_by_real_drivers` in illumos-amd64.json), which is what illumos had when the current
//! thread's structure last changed before the interface was recorded.
//!
//! Linux leaves the `%gs` base of a user process alone, so each host thread that runs driver code points it at a `cpu` of its own, whose
//! `cpu_thread` (offset 24) is the thread. [`enter`] says on whose behalf the thread runs now.
//!
//! Locking: none needed; a thread changes only its own `cpu` and `kthread_t`. What a [`Process`] shows does not change while it lives, but
//! for `a_size`, which is atomic.

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Offset in [`Cpu`] of the stack pointer at the last call from a module into the host.
pub const CALL_SP: u32 = offset_of!(Cpu, call_sp) as u32;
/// Offset in [`Cpu`] of the frame pointer at that call.
pub const CALL_FP: u32 = offset_of!(Cpu, call_fp) as u32;

/// `struct as`.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct As {
    _0: [u8; 16],
    /// `a_hat`: not NULL, and not to be followed.
    pub hat: AtomicUsize,
    _24: [u8; 8],
    /// `a_userlimit`: end of the user's part, exclusive.
    pub userlimit: AtomicUsize,
    _40: [u8; 16],
    /// `a_size`: bytes mapped.
    pub size: AtomicUsize,
    _64: [u8; 144],
    /// `a_proc`: the process.
    pub proc: AtomicUsize,
    _216: [u8; 8],
}

/// `struct pid`.
#[repr(C)]
#[derive(Debug)]
pub struct Pid {
    _0: [u8; 4],
    /// `pid_id`.
    pub id: AtomicI32,
    _8: [u8; 32],
}

/// `proc_t`.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct Proc {
    _0: [u8; 8],
    /// `p_as`.
    pub a_space: AtomicUsize,
    _16: [u8; 16],
    /// `p_cred`: a `cred_t *` of the host.
    pub cred: AtomicUsize,
    _40: [u8; 4],
    /// `p_stat`: `SRUN` (2) while the process lives.
    pub stat: i8,
    _45: [u8; 131],
    /// `p_pidp`.
    pub pidp: AtomicUsize,
    _184: [u8; 1096],
    /// `p_model`: data model, `DATAMODEL_LP64`.
    pub model: u32,
    _1284: [u8; 404],
    /// `p_user`: zeroes.
    pub user: [u8; 2344],
}

/// `kthread_t`.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct Kthread {
    _0: [u8; 8],
    /// `t_stk`.
    pub stk: AtomicUsize,
    _16: [u8; 28],
    /// `t_state`: `TS_ONPROC` (4).
    pub state: u32,
    /// `t_pri`.
    pub pri: i16,
    _50: [u8; 200],
    /// `t_pil`: interrupt priority level.
    pub pil: u8,
    _251: [u8; 5],
    /// `t_cpu`.
    pub cpu: AtomicUsize,
    _264: [u8; 48],
    /// `t_did`: the thread's number, never used twice.
    pub did: AtomicU64,
    _320: [u8; 112],
    /// `t_lwp`: NULL in a kernel thread.
    pub lwp: AtomicUsize,
    /// `t_procp`.
    pub procp: AtomicUsize,
    _448: [u8; 48],
    /// `t_cred`: a `cred_t *` of the host.
    pub cred: AtomicUsize,
    _504: [u8; 472],
}

/// `struct cpu`, as far as a driver sees it, with the host's own words behind.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct Cpu {
    /// `cpu_id`.
    pub id: c_int,
    /// `cpu_seqid`.
    pub seqid: c_int,
    _8: [u8; 8],
    /// `cpu_self`.
    pub this: AtomicUsize,
    /// `cpu_thread`: what `%gs:0x18` loads.
    pub thread: AtomicUsize,
    /// `cpu_idle_thread`.
    pub idle_thread: AtomicUsize,
    _40: [u8; 8],
    /// `cpu_lwp`.
    pub lwp: AtomicUsize,
    _56: [u8; 1512],
    /// Host: stack pointer at the last call from a module, pointing to the return address.
    pub call_sp: AtomicUsize,
    /// Host: frame pointer at that call.
    pub call_fp: AtomicUsize,
}

/// `struct seg`: what lies behind the `dh_seg` of a handle.
#[repr(C)]
#[derive(Debug)]
pub struct Seg {
    /// `s_base`.
    pub base: AtomicUsize,
    /// `s_size`, bytes.
    pub size: AtomicUsize,
    _16: [u8; 4],
    /// `s_flags`.
    pub flags: u32,
    /// `s_as`: equals `p_as` of the process that the mapping belongs to.
    pub a_space: AtomicUsize,
    _32: [u8; 24],
    /// `s_ops`: not NULL, and not to be followed.
    pub ops: AtomicUsize,
    /// `s_data`.
    pub data: AtomicUsize,
    _72: [u8; 24],
}

const _: () = {
    assert!(size_of::<As>() == 224 && offset_of!(As, proc) == 208 && offset_of!(As, size) == 56);
    assert!(offset_of!(As, hat) == 16 && offset_of!(As, userlimit) == 32);
    assert!(size_of::<Pid>() == 40 && offset_of!(Pid, id) == 4);
    assert!(size_of::<Proc>() == 4032 && offset_of!(Proc, a_space) == 8 && offset_of!(Proc, cred) == 32);
    assert!(offset_of!(Proc, stat) == 44 && offset_of!(Proc, pidp) == 176);
    assert!(offset_of!(Proc, model) == 1280 && offset_of!(Proc, user) == 1688);
    assert!(
        size_of::<Kthread>() == 976 && offset_of!(Kthread, pil) == 250 && offset_of!(Kthread, cpu) == 256
    );
    assert!(offset_of!(Kthread, state) == 44 && offset_of!(Kthread, pri) == 48);
    assert!(offset_of!(Kthread, did) == 312 && offset_of!(Kthread, lwp) == 432);
    assert!(offset_of!(Kthread, procp) == 440 && offset_of!(Kthread, cred) == 496);
    assert!(offset_of!(Cpu, this) == 16 && offset_of!(Cpu, thread) == 24 && offset_of!(Cpu, call_sp) == 1568);
    assert!(offset_of!(Cpu, idle_thread) == 32 && offset_of!(Cpu, lwp) == 48);
    assert!(size_of::<Seg>() == 96 && offset_of!(Seg, a_space) == 24 && offset_of!(Seg, data) == 64);
    assert!(offset_of!(Seg, flags) == 20 && offset_of!(Seg, ops) == 56);
};

const SRUN: i8 = 2;
const DATAMODEL_LP64: u32 = 0x0020_0000;
const TS_ONPROC: u32 = 4;
/// `MINCLSYSPRI`: what kernel threads run at.
const KERNEL_PRI: i16 = 60;
const USERLIMIT: usize = 0xffff_fc7f_ffe0_0000;

/// Words that only need an address and must not be followed (`a_hat`, `s_ops`, `t_lwp`).
static OPAQUE: [u64; 64] = [0; 64];

/// Address of a word that stands for a structure which drivers may compare or test and must not follow.
pub fn opaque() -> usize {
    &raw const OPAQUE as usize
}

/// What a driver sees of one client process: `proc_t`, `struct as`, `struct pid`. Make one per process (a forked child gets its own; exec
/// gets a new one, as the address space is a new one), keep it as long as a mapping or a thread may refer to it.
#[derive(Debug)]
pub struct Process {
    blocks: Box<Blocks>,
}

#[derive(Debug)]
struct Blocks {
    proc: Proc,
    space: As,
    pid: Pid,
}

impl Process {
    /// The structures of process `pid`. `cred` is what `p_cred` and `t_cred` point to: the host's `cred_t`, or NULL.
    pub fn new(pid: i32, cred: *const c_void) -> Process {
        // SAFETY: every field of the three is an integer, an atomic integer or bytes: zero is a value of each.
        let mut blocks: Box<Blocks> = unsafe { Box::new_zeroed().assume_init() };
        blocks.proc.stat = SRUN;
        blocks.proc.model = DATAMODEL_LP64;
        blocks.proc.a_space = AtomicUsize::new(&raw const blocks.space as usize);
        blocks.proc.cred = AtomicUsize::new(cred as usize);
        blocks.proc.pidp = AtomicUsize::new(&raw const blocks.pid as usize);
        blocks.pid.id = AtomicI32::new(pid);
        blocks.space.hat = AtomicUsize::new(opaque());
        blocks.space.userlimit = AtomicUsize::new(USERLIMIT);
        blocks.space.proc = AtomicUsize::new(&raw const blocks.proc as usize);
        Process { blocks }
    }

    /// `proc_t *`: what `t_procp` of its threads points to.
    pub fn proc(&self) -> *const Proc {
        &raw const self.blocks.proc
    }
    /// `struct as *`: `p_as` of the process and `s_as` of its segments. Stable.
    pub fn address_space(&self) -> *const As {
        &raw const self.blocks.space
    }
    /// The process id.
    pub fn pid(&self) -> i32 {
        self.blocks.pid.id.load(Ordering::Relaxed)
    }
    /// Sets `a_size`, the bytes mapped.
    pub fn set_size(&self, bytes: usize) {
        self.blocks.space.size.store(bytes, Ordering::Relaxed);
    }
}

/// The kernel's own process, `p0`: what threads without a client run in.
pub fn kernel_process() -> &'static Process {
    static P0: OnceLock<Process> = OnceLock::new();
    P0.get_or_init(|| Process::new(0, ptr::null()))
}

impl Seg {
    /// A segment of `process`.
    pub fn new(process: &Process, base: usize, size: usize, data: usize) -> Box<Seg> {
        // SAFETY: integers, atomics and bytes: all zeroes is a value.
        let mut seg: Box<Seg> = unsafe { Box::new_zeroed().assume_init() };
        seg.base = AtomicUsize::new(base);
        seg.size = AtomicUsize::new(size);
        seg.a_space = AtomicUsize::new(process.address_space() as usize);
        seg.ops = AtomicUsize::new(opaque());
        seg.data = AtomicUsize::new(data);
        seg
    }
}

/// A host thread's `cpu` and `kthread_t`. Never freed, as new threads start with the `%gs` base of the one that made them; reused
/// when the thread ends.
#[derive(Debug)]
struct Own {
    cpu: Cpu,
    thread: Kthread,
}

static NEXT_DID: AtomicU64 = AtomicU64::new(1);
static FREE: Mutex<Vec<&'static Own>> = Mutex::new(Vec::new());

struct Mine(&'static Own);

impl Mine {
    fn new() -> Mine {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let own = free.unwrap_or_else(|| {
            // SAFETY: integers, atomics and bytes: all zeroes is a value.
            let mut own: Box<Own> = unsafe { Box::new_zeroed().assume_init() };
            own.thread.state = TS_ONPROC;
            own.thread.pri = KERNEL_PRI;
            let own: &'static Own = Box::leak(own);
            own.cpu.this.store(&raw const own.cpu as usize, Ordering::Relaxed);
            own.cpu.thread.store(&raw const own.thread as usize, Ordering::Relaxed);
            own.thread.cpu.store(&raw const own.cpu as usize, Ordering::Relaxed);
            own
        });
        own.thread.did.store(NEXT_DID.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        set(own, kernel_process(), false);
        const ARCH_SET_GS: c_int = 0x1001;
        let base: *const Cpu = &raw const own.cpu;
        // SAFETY: sets this thread's %gs base, which neither the C library nor Rust uses on x86-64 Linux, to memory that is never freed.
        let done = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, base) };
        assert_eq!(done, 0, "arch_prctl(ARCH_SET_GS): {}", std::io::Error::last_os_error());
        Mine(own)
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        set(self.0, kernel_process(), false);
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self.0);
    }
}

thread_local! {
    static MINE: RefCell<Option<Mine>> = const { RefCell::new(None) };
}

fn mine() -> &'static Own {
    MINE.with_borrow_mut(|mine| mine.get_or_insert_with(Mine::new).0)
}

fn set(own: &Own, process: &Process, user: bool) {
    let proc = &process.blocks.proc;
    let lwp = if user { opaque() } else { 0 };
    own.thread.procp.store(process.proc() as usize, Ordering::Relaxed);
    own.thread.cred.store(proc.cred.load(Ordering::Relaxed), Ordering::Relaxed);
    own.thread.lwp.store(lwp, Ordering::Relaxed);
    own.cpu.lwp.store(lwp, Ordering::Relaxed);
}

/// The thread runs driver code on behalf of a process (or of none) until this is dropped; then it does again what it did before.
#[derive(Debug)]
#[must_use = "the context ends when this is dropped"]
pub struct Context<'p> {
    procp: usize,
    cred: usize,
    lwp: usize,
    call_sp: usize,
    call_fp: usize,
    process: PhantomData<(&'p Process, *const ())>,
}

/// Says on whose behalf the calling thread runs the driver code that it is about to call: `process`, or the kernel (timeouts, task queues,
/// interrupts, attach). Nests. Every call into a driver needs it: modules load `%gs:0x18`, and the stubs through which they call
/// the host write to the thread's `cpu`.
pub fn enter(process: Option<&Process>) -> Context<'_> {
    let own = mine();
    let context = Context {
        procp: own.thread.procp.load(Ordering::Relaxed),
        cred: own.thread.cred.load(Ordering::Relaxed),
        lwp: own.thread.lwp.load(Ordering::Relaxed),
        call_sp: own.cpu.call_sp.load(Ordering::Relaxed),
        call_fp: own.cpu.call_fp.load(Ordering::Relaxed),
        process: PhantomData,
    };
    set(own, process.unwrap_or_else(|| kernel_process()), process.is_some());
    own.cpu.call_sp.store(0, Ordering::Relaxed);
    own.cpu.call_fp.store(0, Ordering::Relaxed);
    context
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        let own = mine();
        own.thread.procp.store(self.procp, Ordering::Relaxed);
        own.thread.cred.store(self.cred, Ordering::Relaxed);
        own.thread.lwp.store(self.lwp, Ordering::Relaxed);
        own.cpu.lwp.store(self.lwp, Ordering::Relaxed);
        own.cpu.call_sp.store(self.call_sp, Ordering::Relaxed);
        own.cpu.call_fp.store(self.call_fp, Ordering::Relaxed);
    }
}

/// The calling thread's `kthread_t *`; made at the first use.
pub fn current() -> *const Kthread {
    &raw const mine().thread
}

/// Stack and frame pointer at the calling thread's last call from a module into the host, inside the present [`Context`]; the stack pointer
/// points to the return address. None when no module has called.
pub fn last_call() -> Option<(usize, usize)> {
    let own = mine();
    let sp = own.cpu.call_sp.load(Ordering::Relaxed);
    (sp != 0).then(|| (sp, own.cpu.call_fp.load(Ordering::Relaxed)))
}

/// `threadp()`: what drivers compiled without the kernel's inline assembly call for the load from `%gs:0x18`.
pub extern "C-unwind" fn threadp() -> *const Kthread {
    current()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::arch::asm;

    fn gs_thread() -> *const Kthread {
        let thread: *const Kthread;
        // SAFETY: the thread's %gs base points to its cpu (the tests enter first); this is the load that drivers do.
        unsafe { asm!("mov {}, gs:[0x18]", out(reg) thread, options(nostack, readonly)) };
        thread
    }

    /// What a driver reads: curproc->p_as and the process id, from %gs:0x18 on.
    fn seen() -> (usize, i32) {
        // SAFETY: the thread is inside enter(): its kthread and the process it points to live.
        let thread = unsafe { &*gs_thread() };
        // SAFETY: t_procp of an entered thread points to a live proc_t.
        let proc = unsafe { &*(thread.procp.load(Ordering::Relaxed) as *const Proc) };
        // SAFETY: p_pidp of a live process points to its struct pid.
        let pid = unsafe { &*(proc.pidp.load(Ordering::Relaxed) as *const Pid) };
        (proc.a_space.load(Ordering::Relaxed), pid.id.load(Ordering::Relaxed))
    }

    #[test]
    fn a_thread_sees_the_process_it_runs_for_and_then_the_one_before() {
        let (one, two) = (Process::new(101, ptr::null()), Process::new(102, ptr::null()));
        let outer = enter(Some(&one));
        assert_eq!(gs_thread(), threadp());
        assert_eq!(seen(), (one.address_space() as usize, 101));
        {
            let _inner = enter(Some(&two));
            assert_eq!(seen(), (two.address_space() as usize, 102));
        }
        assert_eq!(seen(), (one.address_space() as usize, 101));
        drop(outer);
        let _kernel = enter(None);
        assert_eq!(seen().1, 0);
    }

    #[test]
    fn every_thread_has_its_own() {
        let _here = enter(None);
        let mine = gs_thread() as usize;
        let theirs = std::thread::spawn(|| {
            let _there = enter(None);
            gs_thread() as usize
        })
        .join()
        .unwrap();
        assert_ne!(mine, theirs);
        assert_eq!(gs_thread() as usize, mine);
    }

    #[test]
    fn a_segment_belongs_to_its_process_address_space() {
        let process = Process::new(7, ptr::null());
        let seg = Seg::new(&process, 0x1000, 0x2000, 0);
        assert_eq!(seg.a_space.load(Ordering::Relaxed), process.address_space() as usize);
    }
}
