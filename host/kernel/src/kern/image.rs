//! Images of the kernel's private structures, for drivers that access more than the DDI.
//!
//! Real drivers read the current thread with `threadp()` or from `%gs:0x18`, follow it to the process and the address
//! space, and compare that with the address space behind a devmap handle. So each host thread has the image of a `cpu`
//! and a `kthread_t`, each client process those of a `proc_t`, a `pid` and an `as`. The two vintages of the kernel put some
//! fields at different offsets; none of those overlap, so an image shows a field at both.
//!
//! Images are zeroed except the fields that are set here. They are pinned, and the host writes each by its owner only; a driver may write any
//! field: the host does not read them.

use ddi_sys::{behind_as_2023, behind_cpu, behind_pid, behind_proc_2023, behind_thread_2023};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// `LEN` bytes at a fixed address, aligned as the kernel's allocator aligns most structures. That is what malloc(3) gives, without the search for a place that
/// a larger alignment costs for each mapping.
///
/// # Invariants
/// The bytes are written word by word through raw pointers, by the host and by drivers; there are no references to them, and the host reads none.
#[repr(C, align(16))]
pub struct Image<const LEN: usize>(UnsafeCell<[u8; LEN]>);

// SAFETY: the invariant: volatile stores of words; a torn read is the driver's affair, exactly as with the kernel's own structures.
unsafe impl<const LEN: usize> Sync for Image<LEN> {}

impl<const LEN: usize> Image<LEN> {
    /// Zeroes.
    pub fn new() -> Box<Self> {
        Box::new(Image(UnsafeCell::new([0; LEN])))
    }

    /// Zeroes, for a static.
    pub const fn zeroed() -> Self {
        Image(UnsafeCell::new([0; LEN]))
    }

    /// The image at an address.
    ///
    /// # Safety
    /// `LEN` bytes, aligned as an image is, live for `'static` and are only accessed as an image's are.
    pub unsafe fn at(address: usize) -> &'static Self {
        // SAFETY: the caller's promise.
        unsafe { &*(address as *const Self) }
    }

    /// Returns its address.
    pub fn address(&self) -> usize {
        self.0.get() as usize
    }

    /// Stores a pointer-sized word.
    pub fn set(&self, offset: usize, value: usize) {
        assert!(offset.is_multiple_of(8) && offset + 8 <= LEN);
        let at = self.0.get().cast::<u8>().wrapping_add(offset);
        // SAFETY: within the image and aligned, by the assertion; by the invariant nobody has a reference to it.
        unsafe { at.cast::<usize>().write_volatile(value) };
    }

    /// Stores a 32-bit word.
    pub fn set32(&self, offset: usize, value: u32) {
        assert!(offset.is_multiple_of(4) && offset + 4 <= LEN);
        let at = self.0.get().cast::<u8>().wrapping_add(offset);
        // SAFETY: as in `set`.
        unsafe { at.cast::<u32>().write_volatile(value) };
    }
}

/// Images of what drivers see of the kernel's structures.
pub type ProcessMemory = Image<{ size_of::<behind_proc_2023>() }>;
/// An address space's.
pub type SpaceMemory = Image<{ size_of::<behind_as_2023>() }>;
type PidMemory = Image<{ size_of::<behind_pid>() }>;
type ThreadMemory = Image<{ size_of::<behind_thread_2023>() }>;
type CpuMemory = Image<{ size_of::<behind_cpu>() }>;

/// Offsets of the fields that are filled in; two where the vintages differ.
mod at {
    use std::mem::offset_of;

    use ddi_sys::*;

    pub const CPU_ID: usize = offset_of!(behind_cpu, cpu_id);
    pub const CPU_SEQID: usize = offset_of!(behind_cpu, cpu_seqid);
    pub const CPU_SELF: usize = offset_of!(behind_cpu, cpu_self);
    pub const CPU_THREAD: usize = offset_of!(behind_cpu, cpu_thread);
    pub const CPU_IDLE_THREAD: usize = offset_of!(behind_cpu, cpu_idle_thread);
    pub const CPU_LWP: usize = offset_of!(behind_cpu, cpu_lwp);
    pub const T_STK: usize = offset_of!(behind_thread_2023, t_stk);
    pub const T_STATE: usize = offset_of!(behind_thread_2023, t_state);
    pub const T_PRI: usize = offset_of!(behind_thread_2023, t_pri);
    pub const T_DID: [usize; 2] =
        [offset_of!(behind_thread_2015, t_did), offset_of!(behind_thread_2023, t_did)];
    pub const T_CPU: [usize; 2] =
        [offset_of!(behind_thread_2015, t_cpu), offset_of!(behind_thread_2023, t_cpu)];
    pub const T_LWP: [usize; 2] =
        [offset_of!(behind_thread_2015, t_lwp), offset_of!(behind_thread_2023, t_lwp)];
    pub const T_PROCP: [usize; 2] =
        [offset_of!(behind_thread_2015, t_procp), offset_of!(behind_thread_2023, t_procp)];
    pub const T_CRED: [usize; 2] =
        [offset_of!(behind_thread_2015, t_cred), offset_of!(behind_thread_2023, t_cred)];
    pub const P_AS: usize = offset_of!(behind_proc_2023, p_as);
    pub const P_CRED: usize = offset_of!(behind_proc_2023, p_cred);
    pub const P_STAT: usize = offset_of!(behind_proc_2023, p_stat);
    pub const P_PIDP: usize = offset_of!(behind_proc_2023, p_pidp);
    pub const P_MODEL: [usize; 2] =
        [offset_of!(behind_proc_2015, p_model), offset_of!(behind_proc_2023, p_model)];
    pub const PID_ID: usize = offset_of!(behind_pid, pid_id);
    pub const A_HAT: usize = offset_of!(behind_as_2023, a_hat);
    pub const A_USERLIMIT: usize = offset_of!(behind_as_2023, a_userlimit);
    pub const A_SIZE: usize = offset_of!(behind_as_2023, a_size);
    pub const A_PROC: [usize; 2] = [offset_of!(behind_as_2015, a_proc), offset_of!(behind_as_2023, a_proc)];
}

/// States of a thread and of a process, and the priority that threads in the kernel have at least.
const TS_ONPROC: u32 = 4;
const SRUN: u32 = 2;
const MINIMUM_SYSTEM_PRIORITY: u32 = 60;

/// The data model of the processes, as drivers see it (`DATAMODEL_ILP32` and `DATAMODEL_LP64`, `model_t`s). The programs themselves always have 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// 32 bits: what a driver's code for 32-bit programs is tried with.
    Ilp32 = 0x0010_0000,
    /// 64 bits.
    #[default]
    Lp64 = 0x0020_0000,
}

/// An unknown data model.
#[derive(Debug, thiserror::Error)]
#[error("unknown data model: {0} (use lp64 or ilp32)")]
pub struct UnknownModel(String);

impl std::str::FromStr for Model {
    type Err = UnknownModel;

    fn from_str(s: &str) -> Result<Self, UnknownModel> {
        match s {
            "lp64" => Ok(Model::Lp64),
            "ilp32" => Ok(Model::Ilp32),
            _ => Err(UnknownModel(s.to_owned())),
        }
    }
}

static ILP32: AtomicBool = AtomicBool::new(false);

/// Chooses the model of all processes to come.
pub fn set_model(model: Model) {
    ILP32.store(model == Model::Ilp32, Ordering::Relaxed);
}

/// The model of the processes.
pub fn model() -> Model {
    if ILP32.load(Ordering::Relaxed) { Model::Ilp32 } else { Model::Lp64 }
}

/// End of the addresses of 64-bit processes.
pub const USER_LIMIT: usize = 0x7fff_c000_0000;

/// Returns the end of the processes' addresses.
fn user_limit() -> usize {
    match model() {
        Model::Ilp32 => 0xfeff_f000,
        Model::Lp64 => USER_LIMIT,
    }
}

/// The `kthread_t` of the idle thread, which is never the current thread.
static IDLE: ThreadMemory = Image::zeroed();

/// A thread's `cpu` and `kthread_t`.
pub struct ThreadImage {
    cpu: Box<CpuMemory>,
    thread: Box<ThreadMemory>,
}

impl ThreadImage {
    /// The image of thread number `id`, of no process.
    pub fn new(id: u32) -> Self {
        let image = ThreadImage { cpu: Image::new(), thread: Image::new() };
        // Of the two processors that there are.
        image.cpu.set32(at::CPU_ID, id % 2);
        image.cpu.set32(at::CPU_SEQID, id % 2);
        image.cpu.set(at::CPU_SELF, image.cpu.address());
        image.cpu.set(at::CPU_IDLE_THREAD, IDLE.address());
        image.cpu.set(at::CPU_THREAD, image.thread.address());
        image.thread.set(at::T_STK, image.thread.address());
        image.thread.set32(at::T_STATE, TS_ONPROC);
        image.thread.set32(at::T_PRI, MINIMUM_SYSTEM_PRIORITY);
        for offset in at::T_DID {
            image.thread.set(offset, id as usize);
        }
        for offset in at::T_CPU {
            image.thread.set(offset, image.cpu.address());
        }
        image
    }

    /// Returns the address that `%gs` has.
    pub fn cpu(&self) -> usize {
        self.cpu.address()
    }

    /// The `kthread_t`.
    pub fn thread(&self) -> usize {
        self.thread.address()
    }

    /// Makes the thread one of `process` (None: of the kernel's process at `p0`).
    pub fn enter(&self, process: Option<&ProcessImage>, p0: usize, kcred: usize) {
        for offset in at::T_PROCP {
            self.thread.set(offset, process.map_or(p0, ProcessImage::proc));
        }
        for offset in at::T_LWP {
            // Only tested for NULL: threads of the kernel's process have no lwp.
            self.thread.set(offset, if process.is_some() { self.thread.address() } else { 0 });
        }
        self.cpu.set(at::CPU_LWP, if process.is_some() { self.thread.address() } else { 0 });
        for offset in at::T_CRED {
            self.thread.set(offset, process.map_or(kcred, |p| p.cred));
        }
    }
}

/// Fills in the images of the kernel's own process and address space.
pub fn kernel_process(process: &ProcessMemory, space: &SpaceMemory, cred: usize) {
    static PID: PidMemory = Image::zeroed();
    process.set(at::P_AS, space.address());
    process.set(at::P_CRED, cred);
    process.set(at::P_PIDP, PID.address());
    process.set32(at::P_STAT, SRUN);
    for offset in at::P_MODEL {
        process.set32(offset, Model::Lp64 as u32);
    }
    space.set(at::A_HAT, space.address());
    space.set(at::A_USERLIMIT, USER_LIMIT);
    for offset in at::A_PROC {
        space.set(offset, process.address());
    }
}

/// A process's `proc_t`, `pid` and `as`.
pub struct ProcessImage {
    proc: Box<ProcessMemory>,
    pid: Box<PidMemory>,
    space: Box<SpaceMemory>,
    cred: usize,
    number: AtomicU32,
}

impl ProcessImage {
    /// The image of process `pid` with the credential at address `cred`.
    pub fn new(pid: u32, cred: usize) -> Self {
        let image = ProcessImage {
            proc: Image::new(),
            pid: Image::new(),
            space: Image::new(),
            cred,
            number: AtomicU32::new(pid),
        };
        image.set_pid(pid);
        image.proc.set(at::P_AS, image.space.address());
        image.proc.set(at::P_CRED, cred);
        image.proc.set(at::P_PIDP, image.pid.address());
        for offset in at::P_MODEL {
            image.proc.set32(offset, model() as u32);
        }
        image.proc.set32(at::P_STAT, SRUN);
        // Drivers only pass it on, and do not follow it.
        image.space.set(at::A_HAT, image.space.address());
        image.space.set(at::A_USERLIMIT, user_limit());
        for offset in at::A_PROC {
            image.space.set(offset, image.proc.address());
        }
        image
    }

    /// Sets the process id (a forked child's is known late).
    pub fn set_pid(&self, pid: u32) {
        self.number.store(pid, Ordering::Relaxed);
        self.pid.set32(at::PID_ID, pid);
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.number.load(Ordering::Relaxed)
    }

    /// Sets the size of the address space, in bytes.
    pub fn set_size(&self, size: usize) {
        self.space.set(at::A_SIZE, size);
    }

    /// The `proc_t`.
    pub fn proc(&self) -> usize {
        self.proc.address()
    }

    /// The `as`.
    pub fn space(&self) -> usize {
        self.space.address()
    }

    /// The `cred_t`.
    pub fn cred(&self) -> usize {
        self.cred
    }
}
