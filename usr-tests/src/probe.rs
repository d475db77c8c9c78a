//! Single accesses to memory that may fault: a fault is a result, not the end of the process.
//!
//! An access is made by one instruction, in a function that a signal handler can leave: [`guarded_call`] remembers the
//! stack, the handler of SIGSEGV and SIGBUS notes what it was told and leaves by [`guarded_return`], which is
//! what siglongjmp does in a C program.
//!
//! Locking: none; every thread has its own guard. The handler does only what a handler may.

use std::arch::{asm, naked_asm};
use std::cell::Cell;
use std::fmt;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use libc::{c_int, c_void, siginfo_t};

use crate::{os, sys};

/// Answer to an access that was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    pub signal: i32,
    pub code: i32,
    pub addr: usize,
    pub errno: i32,
}

impl Fault {
    /// The kind of fault, for comparing; the address apart.
    pub fn kind(&self) -> Kind {
        match (self.signal, self.code) {
            (libc::SIGSEGV, os::SEGV_MAPERR) => Kind::Hole,
            (libc::SIGSEGV, os::SEGV_ACCERR) => Kind::Protection,
            (libc::SIGBUS, os::BUS_OBJERR) if self.errno == libc::EACCES => Kind::Protection,
            (libc::SIGBUS, os::BUS_OBJERR) => Kind::Device,
            (signal, code) => Kind::Other(signal, code),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let code = match (self.signal, self.code) {
            (libc::SIGSEGV, os::SEGV_MAPERR) => "SEGV_MAPERR",
            (libc::SIGSEGV, os::SEGV_ACCERR) => "SEGV_ACCERR",
            (libc::SIGBUS, os::BUS_OBJERR) => "BUS_OBJERR",
            _ => "code ",
        };
        write!(f, "{} ({code}", sys::signal_name(self.signal))?;
        if code.ends_with(' ') {
            write!(f, "{}", self.code)?;
        }
        if self.errno != 0 {
            write!(f, ", {:?}", sys::Errno(self.errno))?;
        }
        write!(f, ") at {:#x}", self.addr)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing is mapped there: SIGSEGV, SEGV_MAPERR.
    Hole,
    /// The mapping does not allow the access: SIGSEGV, SEGV_ACCERR where the page is loaded; where it is not, the driver is asked, and says so by
    /// SIGBUS, BUS_OBJERR, EACCES.
    Protection,
    /// The driver refused it: SIGBUS, BUS_OBJERR.
    Device,
    Other(i32, i32),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Kind::Hole => f.write_str("SIGSEGV (SEGV_MAPERR)"),
            Kind::Protection => f.write_str("SIGSEGV (SEGV_ACCERR), or SIGBUS with EACCES"),
            Kind::Device => f.write_str("SIGBUS (BUS_OBJERR)"),
            Kind::Other(signal, code) => write!(f, "{} (code {code})", sys::signal_name(*signal)),
        }
    }
}

#[repr(u32)]
#[derive(Clone, Copy)]
enum Op {
    Load1,
    Load2,
    Load4,
    Load8,
    Load16,
    Store1,
    Store2,
    Store4,
    Store8,
    Add8,
    Swap8,
    Call,
}

#[repr(C)]
struct Access {
    addr: usize,
    /// The value to store or add, or what a compare-and-swap expects; afterwards the value loaded.
    value: u64,
    /// The second half of a 16-byte load; what a compare-and-swap stores.
    other: u64,
    op: Op,
}

#[repr(C)]
struct Env {
    stack: usize,
    fault: Fault,
    mask: MaybeUninit<libc::sigset_t>,
}

thread_local! {
    static GUARD: Cell<*mut Env> = const { Cell::new(std::ptr::null_mut()) };
}

/// Where to report an unguarded fault before the process dies of it: a descriptor, or -1.
pub static REPORT: AtomicI32 = AtomicI32::new(-1);
/// Repairs an unguarded fault, if set: a `fn(usize) -> bool`.
static REPAIR: AtomicUsize = AtomicUsize::new(0);

/// Calls `f(access)`; 0 when it returned, 1 when [`guarded_return`] ended it.
///
/// # Safety
/// `env` and `access` point to live objects; `f` is a function with no destructors to run.
#[unsafe(naked)]
unsafe extern "C" fn guarded_call(
    env: *mut Env,
    f: unsafe extern "C" fn(*mut Access),
    access: *mut Access,
) -> u32 {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [rdi], rsp",
        "mov rdi, rdx",
        "call rsi",
        "xor eax, eax",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}

/// Makes the [`guarded_call`] that filled in `env` return 1.
///
/// # Safety
/// That call is still running, in this thread.
#[unsafe(naked)]
unsafe extern "C" fn guarded_return(env: *mut Env) -> ! {
    naked_asm!(
        "cld",
        "mov rsp, [rdi]",
        "mov eax, 1",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}

macro_rules! instruction {
    ($($code:tt)*) => {
        // SAFETY: one instruction that touches device memory, which nothing in this program borrows, and registers;
        // when it faults, the handler leaves this frame, which has nothing to drop.
        unsafe { asm!($($code)*) }
    };
}

/// Makes one access.
///
/// # Safety
/// `access` points to a live object, and the access itself touches only memory that no reference covers.
unsafe extern "C" fn perform(access: *mut Access) {
    // SAFETY: the caller's promise; nobody else uses it meanwhile.
    let a = unsafe { &mut *access };
    match a.op {
        Op::Load1 => instruction!("movzx {v:e}, byte ptr [{a}]", a = in(reg) a.addr, v = out(reg) a.value),
        Op::Load2 => instruction!("movzx {v:e}, word ptr [{a}]", a = in(reg) a.addr, v = out(reg) a.value),
        Op::Load4 => instruction!("mov {v:e}, dword ptr [{a}]", a = in(reg) a.addr, v = out(reg) a.value),
        Op::Load8 => instruction!("mov {v}, qword ptr [{a}]", a = in(reg) a.addr, v = out(reg) a.value),
        Op::Load16 => instruction!(
            "movdqu {x}, [{a}]", "movq {v}, {x}", "psrldq {x}, 8", "movq {o}, {x}",
            a = in(reg) a.addr, x = out(xmm_reg) _, v = out(reg) a.value, o = out(reg) a.other
        ),
        Op::Store1 => {
            instruction!("mov byte ptr [{a}], {v}", a = in(reg) a.addr, v = in(reg_byte) a.value as u8)
        }
        Op::Store2 => instruction!("mov word ptr [{a}], {v:x}", a = in(reg) a.addr, v = in(reg) a.value),
        Op::Store4 => instruction!("mov dword ptr [{a}], {v:e}", a = in(reg) a.addr, v = in(reg) a.value),
        Op::Store8 => instruction!("mov qword ptr [{a}], {v}", a = in(reg) a.addr, v = in(reg) a.value),
        Op::Add8 => {
            instruction!("lock xadd qword ptr [{a}], {v}", a = in(reg) a.addr, v = inout(reg) a.value)
        }
        Op::Swap8 => instruction!(
            "lock cmpxchg qword ptr [{a}], {n}", a = in(reg) a.addr, n = in(reg) a.other, inout("rax") a.value
        ),
        Op::Call => instruction!("call {a}", a = in(reg) a.addr, out("rax") a.value, clobber_abi("C")),
    }
}

fn run(op: Op, addr: usize, value: u64, other: u64) -> Result<Access, Fault> {
    let mut access = Access { addr, value, other, op };
    let mut env =
        Env { stack: 0, fault: Fault { signal: 0, code: 0, addr: 0, errno: 0 }, mask: MaybeUninit::uninit() };
    let env_at = &raw mut env;
    let before = GUARD.replace(env_at);
    // SAFETY: both objects live until after the call; `perform` has no destructors.
    let outcome = unsafe { guarded_call(env_at, perform, &raw mut access) };
    GUARD.set(before);
    if outcome == 0 {
        return Ok(access);
    }
    // SAFETY: the handler filled it in before it made the call return 1.
    sys::set_mask(unsafe { env.mask.assume_init_ref() });
    Err(env.fault)
}

pub fn load1(addr: usize) -> Result<u8, Fault> {
    run(Op::Load1, addr, 0, 0).map(|a| a.value as u8)
}

pub fn load2(addr: usize) -> Result<u16, Fault> {
    run(Op::Load2, addr, 0, 0).map(|a| a.value as u16)
}

pub fn load4(addr: usize) -> Result<u32, Fault> {
    run(Op::Load4, addr, 0, 0).map(|a| a.value as u32)
}

pub fn load8(addr: usize) -> Result<u64, Fault> {
    run(Op::Load8, addr, 0, 0).map(|a| a.value)
}

pub fn load16(addr: usize) -> Result<(u64, u64), Fault> {
    run(Op::Load16, addr, 0, 0).map(|a| (a.value, a.other))
}

pub fn store1(addr: usize, value: u8) -> Result<(), Fault> {
    run(Op::Store1, addr, value.into(), 0).map(|_| ())
}

pub fn store2(addr: usize, value: u16) -> Result<(), Fault> {
    run(Op::Store2, addr, value.into(), 0).map(|_| ())
}

pub fn store4(addr: usize, value: u32) -> Result<(), Fault> {
    run(Op::Store4, addr, value.into(), 0).map(|_| ())
}

pub fn store8(addr: usize, value: u64) -> Result<(), Fault> {
    run(Op::Store8, addr, value, 0).map(|_| ())
}

/// Atomically adds to 8 bytes; the value before.
pub fn add8(addr: usize, value: u64) -> Result<u64, Fault> {
    run(Op::Add8, addr, value, 0).map(|a| a.value)
}

/// Atomically stores `new` where `old` is; the value before.
pub fn swap8(addr: usize, old: u64, new: u64) -> Result<u64, Fault> {
    run(Op::Swap8, addr, old, new).map(|a| a.value)
}

/// Calls the function at `addr`; what it returned.
pub fn call(addr: usize) -> Result<u64, Fault> {
    run(Op::Call, addr, 0, 0).map(|a| a.value)
}

/// Makes one store without a guard: a fault goes to the program's own handler or kills it.
pub fn bare_store8(addr: usize, value: u64) {
    let mut access = Access { addr, value, other: 0, op: Op::Store8 };
    // SAFETY: a live access to device memory.
    unsafe { perform(&raw mut access) };
}

/// Makes one load without a guard.
pub fn bare_load8(addr: usize) -> u64 {
    let mut access = Access { addr, value: 0, other: 0, op: Op::Load8 };
    // SAFETY: a live access to device memory.
    unsafe { perform(&raw mut access) };
    access.value
}

/// Repairs a fault of an unguarded access. Returns true if the access is to be made again. Runs in the handler.
pub fn set_repair(repair: Option<fn(usize) -> bool>) {
    REPAIR.store(repair.map_or(0, |f| f as usize), Ordering::SeqCst);
}

/// Installs the handlers of SIGSEGV and SIGBUS in this process.
pub fn install() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        sys::handle(signal, on_fault, libc::SA_NODEFER | libc::SA_ONSTACK).expect("sigaction");
    }
}

/// Installs the handler of SIGSEGV and SIGBUS with these flags instead.
pub fn reinstall(flags: i32) -> sys::Sys {
    [libc::SIGSEGV, libc::SIGBUS].into_iter().try_for_each(|signal| sys::handle(signal, on_fault, flags))
}

/// The handler's address, as sigaction(2) would return it.
pub fn handler_address() -> usize {
    on_fault as *const () as usize
}

/// The address in the details that a handler of SIGSEGV or SIGBUS gets.
pub fn address_in(info: *mut siginfo_t) -> usize {
    // SAFETY: called from handlers of those signals only, with what the kernel passed.
    unsafe { fault_of(info) }.addr
}

/// Returns the fault that the details of a handler describe.
///
/// # Safety
/// `info` is what the kernel passed to a handler of SIGSEGV or SIGBUS.
pub unsafe fn fault_of(info: *mut siginfo_t) -> Fault {
    // SAFETY: the caller's promise.
    let info = unsafe { &*info };
    // SAFETY: these two signals carry an address.
    let addr = unsafe { info.si_addr() } as usize;
    Fault { signal: info.si_signo, code: info.si_code, addr, errno: info.si_errno }
}

extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: installed for SIGSEGV and SIGBUS only.
    let fault = unsafe { fault_of(info) };
    let guard = GUARD.get();
    if !guard.is_null() {
        GUARD.set(std::ptr::null_mut());
        // SAFETY: the guard's call is running in this thread, so its environment lives.
        let env = unsafe { &mut *guard };
        env.fault = fault;
        // SAFETY: the kernel passes a context.
        let context = unsafe { &*context.cast::<libc::ucontext_t>() };
        env.mask = MaybeUninit::new(context.uc_sigmask);
        // SAFETY: as above; nothing on the way has a destructor.
        unsafe { guarded_return(guard) };
    }
    let repair = REPAIR.load(Ordering::SeqCst);
    if repair != 0 {
        // SAFETY: only `set_repair` stores there, a function of this type.
        let repair = unsafe { std::mem::transmute::<usize, fn(usize) -> bool>(repair) };
        if repair(fault.addr) {
            return;
        }
    }
    tell(&fault);
    sys::plain_disposition(signal, libc::SIG_DFL);
}

/// Reports where the process is about to die, in the form that [`crate::runner`] reads.
fn tell(fault: &Fault) {
    let report = REPORT.load(Ordering::SeqCst);
    if report < 0 {
        return;
    }
    let mut text = [0u8; 160];
    let mut rest = &mut text[..];
    let _ = std::io::Write::write_fmt(
        &mut rest,
        format_args!("Funexpected {fault} (no guard, process {})", sys::getpid()),
    );
    let used = 160 - rest.len();
    let _ = sys::write(report, &text[..used]);
}
