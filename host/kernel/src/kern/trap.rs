//! Processor exceptions in driver code: on illumos a "BAD TRAP" panic, here a report of the driver's function, the fault and the client of the call,
//! after which the run ends.
//!
//! Handlers run on an alternate stack ([`super::altstack`]). They take no lock and allocate nothing until the fault is known to be driver code's, nor when they resume behind
//! an instruction or pass the signal on. Driver code holds no lock of the host's, and a DDI function that touches the
//! driver's memory holds none that the report needs, so the report, from which there is no return, may take locks. A second fault while reporting ends the
//! process.

use std::arch::asm;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ddi_krtld::Region;
use ddi_process::physmem::PAGE_SIZE;
use iced_x86::{Decoder, DecoderOptions};

use super::watch;
use super::{heap, slot, stack};
use crate::board::report;
use crate::board::report::Earlier;

/// State of this file.
struct State {
    /// Earlier signal actions, for faults that are not a driver's.
    before: OnceLock<[libc::sigaction; 6]>,
    reporting: AtomicBool,
    /// Instruction of the module at the first fault, for [`again`].
    first: AtomicUsize,
    physical: OnceLock<Explain>,
}

static STATE: State = State {
    before: OnceLock::new(),
    reporting: AtomicBool::new(false),
    first: AtomicUsize::new(0),
    physical: OnceLock::new(),
};
const SIGNALS: [c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT];

fn nothing() -> libc::sigaction {
    // SAFETY: all-zero is a sigaction.
    unsafe { std::mem::zeroed() }
}

fn action(handler: usize) -> libc::sigaction {
    let mut action = nothing();
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_ONSTACK | libc::SA_RESTART;
    action
}

/// Installs the handlers, and the watch over calls that do not come back. Once is enough.
pub fn install() {
    STATE.before.get_or_init(|| {
        let asked = action(where_are_you as *const () as usize);
        // SAFETY: valid; the handler has the signature that SA_SIGINFO asks for.
        unsafe { libc::sigaction(watch::signal(), &asked, std::ptr::null_mut()) };
        watch::start();
        SIGNALS.map(|signal| {
            let action = action(handler as *const () as usize);
            let mut before = nothing();
            // SAFETY: both are valid; the handler has the signature that SA_SIGINFO asks for.
            unsafe { libc::sigaction(signal, &action, &mut before) };
            before
        })
    });
}

/// The interrupted thread's registers.
#[derive(Clone, Copy, Debug)]
struct Registers {
    ip: usize,
    sp: usize,
    fp: usize,
    /// The error code of a page fault.
    error: usize,
}

/// Registers of the interrupted thread, as Linux passes them to a handler and takes them back when the handler returns.
///
/// # Invariants
/// A ucontext that lives as long as the handler runs, and that only the handler uses.
struct Interrupted<'a>(&'a mut libc::ucontext_t);

impl Interrupted<'_> {
    /// # Safety
    /// `context` is what the kernel passed to the handler that calls this, once.
    unsafe fn of(context: *mut c_void) -> Self {
        // SAFETY: the caller's promise: a ucontext, which nobody else has.
        Interrupted(unsafe { &mut *context.cast() })
    }

    fn register(&mut self, index: c_int) -> &mut i64 {
        &mut self.0.uc_mcontext.gregs[index as usize]
    }

    fn registers(&mut self) -> Registers {
        let mut word = |index: c_int| *self.register(index) as usize;
        Registers {
            ip: word(libc::REG_RIP),
            sp: word(libc::REG_RSP),
            fp: word(libc::REG_RBP),
            error: word(libc::REG_ERR),
        }
    }
}

impl Registers {
    /// The module's function that the thread is in; the stack of reports begins there.
    fn place(&self) -> Option<String> {
        let inside = ddi_krtld::region(self.ip) == Some(Region::Text);
        if inside {
            super::calls::at_fault(self.ip, self.sp, self.fp);
        }
        inside.then(|| ddi_krtld::symbolize(self.ip)).flatten()
    }
}

/// Gives the processor's flags the values that compiled code expects: a driver may have set others (alignment checks), and they are the handler's, too.
fn plain_flags() {
    // SAFETY: interrupts enabled and nothing else set is what every function may expect.
    unsafe { asm!("push 0x202", "popfq") };
}

extern "C" fn handler(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    plain_flags();
    // SAFETY: what the kernel passed.
    let mut interrupted = unsafe { Interrupted::of(context) };
    let registers = interrupted.registers();
    // SAFETY: the kernel passes a siginfo that lives as long as the handler runs.
    let info = unsafe { &*info };
    // A signal that was sent is no fault.
    let sent = info.si_code <= 0;
    if signal == libc::SIGABRT {
        // What the C library says when its memory is not as it left it.
        // SAFETY: a signal that was sent has it.
        let own = unsafe { info.si_pid() }.cast_unsigned() == std::process::id();
        return if own { host_died(signal) } else { give_back(signal) };
    }
    let in_module = ddi_krtld::region(registers.ip).is_some();
    if sent {
        return give_back(signal);
    }
    if !in_module && !slot::inside() {
        return host_died(signal);
    }
    if in_module
        && signal == libc::SIGSEGV
        && info.si_code == SI_KERNEL
        && !STATE.reporting.load(Ordering::SeqCst)
        && let Some(go_on) = port(&mut interrupted)
    {
        return go_on;
    }
    if STATE.reporting.swap(true, Ordering::SeqCst) {
        return again();
    }
    report::ending();
    STATE.first.store(if in_module { registers.ip } else { super::calls::last_call() }, Ordering::SeqCst);
    // SAFETY: for these signals it has the address.
    let address = unsafe { info.si_addr() } as usize;
    let memory = signal == libc::SIGSEGV || signal == libc::SIGBUS;
    // No code there, or memory that is no code: the caller is to be named.
    let fetched =
        memory && info.si_code != SI_KERNEL && (registers.error & FETCH != 0 || address == registers.ip);
    if fetched {
        super::calls::at_fault(registers.ip, registers.sp, registers.fp);
    }
    let place = registers.place().filter(|_| !fetched).or_else(|| {
        let stack::Named { called, frames } = stack::here();
        called.filter(|_| !fetched).or_else(|| frames.into_iter().next())
    });
    let mut earlier = Vec::new();
    let (what, page) = match signal {
        libc::SIGFPE => ("a division by zero, or of a number too large for its result".into(), "Intro(9F)"),
        libc::SIGTRAP => ("a breakpoint".into(), "Intro(9F)"),
        libc::SIGILL => (
            "an illegal instruction (ud2, which compilers emit for unreachable code, or no code at all)"
                .into(),
            "Intro(9F)",
        ),
        _ if fetched => (fetch(address), "Intro(9F)"),
        _ if used_up(address, registers.sp) => (
            "the stack is used up; a thread of illumos's kernel has 20 KiB, interrupts less".into(),
            "Intro(9F)",
        ),
        _ => describe(address, info.si_code != SI_KERNEL, registers.ip, &mut earlier),
    };
    report::leftover_after(&place.unwrap_or_else(|| "a memory access".into()), &what, page, &earlier);
    report::stop();
}

/// Executes an instruction for an I/O port as where no device answers. Returns None if it is another one.
fn port(interrupted: &mut Interrupted<'_>) -> Option<()> {
    let dx = *interrupted.register(libc::REG_RDX) as u16;
    let (bytes, len) = code(interrupted.registers().ip);
    let (len, ones) = super::ports::instruction(&bytes[..len], dx)?;
    *interrupted.register(libc::REG_RIP) += len as i64;
    let rax = interrupted.register(libc::REG_RAX);
    // Setting %eax clears what is above it.
    *rax = if ones > 0xffff { ones as i64 } else { *rax | ones as i64 };
    Some(())
}

/// A second fault, most likely while the first is reported, because the driver has overwritten what the report needs: its stack, with the host's
/// frames on it. What is said needs none of that.
fn again() {
    // Nor does a third one.
    let first = STATE.first.swap(0, Ordering::SeqCst);
    let place = Some(first).filter(|&first| first != 0).and_then(ddi_krtld::symbolize);
    let place = place.as_deref().unwrap_or("the driver");
    report::last_words(&[
        "driver mistake: ",
        place,
        ": memory of the host is overwritten, perhaps this call's stack (see Intro(9F))\nthe run ends here\n",
    ]);
}

/// The host itself has died. With a module in its memory, that is a likely reason. Nothing is allocated: the allocator may be what died.
fn host_died(signal: c_int) {
    report::ending();
    let name = match signal {
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        _ => "SIGSEGV",
    };
    let Some(module) = ddi_krtld::last_loaded() else { return give_back(signal) };
    report::last_words(&[
        "driver mistake: ",
        module,
        ": the host's own code has died of ",
        name,
        ": a driver has overwritten its memory (see Intro(9F))\nthe run ends here\n",
    ])
}

/// A general protection fault: the kernel does not know the address.
const SI_KERNEL: c_int = 0x80;
/// Of a page fault's error code: an instruction was to be read.
const FETCH: usize = 0x10;

/// Stores the thread's place for [`watch`].
extern "C" fn where_are_you(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    plain_flags();
    if slot::inside() {
        // SAFETY: what the kernel passed.
        let Registers { ip, sp, fp, .. } = unsafe { Interrupted::of(context) }.registers();
        watch::answer(ip, sp, fp);
    }
}

/// Returns a description of an address that an instruction was fetched from.
fn fetch(address: usize) -> String {
    if address < 0x1_0000 {
        return format!("a NULL function pointer is called (address {address:#x})");
    }
    match ddi_krtld::module_at(address) {
        Some(module) => format!("a jump to {address:#x}, which is data of {}", module.name()),
        None => format!("a call or jump to {address:#x}, where there is no code"),
    }
}

/// Returns whether an address is just below the calling thread's stack.
fn used_up(address: usize, sp: usize) -> bool {
    const NEAR: usize = 1 << 20;
    let Some(stack) = super::calls::stack() else { return false };
    let end = stack.start + PAGE_SIZE as usize;
    (end.saturating_sub(NEAR)..end).contains(&address) && sp < stack.start + NEAR.min(stack.len())
}

/// Restores the action before the host's and returns, so that the access faults again.
fn give_back(signal: c_int) {
    let at = SIGNALS.iter().position(|&s| s == signal).unwrap_or(0);
    if let Some(before) = STATE.before.get() {
        // SAFETY: what the system gave for this signal.
        unsafe { libc::sigaction(signal, &before[at], std::ptr::null_mut()) };
    }
}

/// Describes an address in physical memory and its earlier events; `None` for any other address.
pub type Explain = fn(address: usize) -> Option<(String, Vec<Earlier>)>;

/// Sets the function that explains faults in physical memory. Only the first call has an effect.
pub fn explain_physical(by: Explain) {
    let _ = STATE.physical.set(by);
}

/// Returns a description of an address, and the manual page about it.
fn describe(address: usize, known: bool, ip: usize, earlier: &mut Vec<Earlier>) -> (String, &'static str) {
    if !known {
        if let Some(instruction) = privileged(ip) {
            return (
                format!("the instruction {instruction} is the kernel's, and the host is a process"),
                "Intro(9F)",
            );
        }
        return (
            "the address is not a canonical one: an uninitialised or overwritten pointer".into(),
            "Intro(9F)",
        );
    }
    if address < 0x1_0000 {
        return (format!("a NULL pointer is used (address {address:#x})"), "Intro(9F)");
    }
    if let Some(freed) = heap::freed_at(address) {
        let offset = address as i64 - freed.start as i64;
        earlier.extend(freed.earlier());
        let what = format!("byte {offset} of a buffer of {} bytes that was freed is used", freed.size);
        return (what, "kmem_free(9F)");
    }
    if let Some((size, offset, allocator)) = heap::overrun_at(address) {
        earlier.push(Earlier::new("allocated", allocator.frames()));
        return (
            format!("byte {offset} of a buffer of {size} bytes is used: beyond its end"),
            "kmem_alloc(9F)",
        );
    }
    if let Some((what, before)) = STATE.physical.get().and_then(|explain| explain(address)) {
        earlier.extend(before);
        return (what, "ddi_umem_free(9F)");
    }
    if ddi_krtld::region(address).is_some() {
        return (format!("{address:#x} is read-only memory of the module"), "Intro(9F)");
    }
    (
        format!("{address:#x} is not kernel memory (a process's memory is reached by ddi_copyin)"),
        "ddi_copyin(9F)",
    )
}

/// Most bytes of an instruction.
const LONGEST: usize = 15;

/// Returns the bytes at `ip` of a module that an instruction can have, none if that is no code: a copy, and their number.
fn code(ip: usize) -> ([u8; LONGEST], usize) {
    let is_text = |at: usize| ddi_krtld::region(at) == Some(Region::Text);
    let len = (0..LONGEST).take_while(|n| is_text(ip + n)).count();
    let mut bytes = [0; LONGEST];
    for (n, byte) in bytes[..len].iter_mut().enumerate() {
        // SAFETY: a byte of the module's text, which stays mapped while a thread is inside it.
        *byte = unsafe { (ip as *const u8).wrapping_add(n).read() };
    }
    (bytes, len)
}

/// Returns the instruction at `ip` of a module if it is one for the kernel only.
fn privileged(ip: usize) -> Option<String> {
    let (bytes, len) = code(ip);
    let instruction = Decoder::with_ip(64, &bytes[..len], 0, DecoderOptions::NONE).decode();
    let io = matches!(
        instruction.mnemonic(),
        iced_x86::Mnemonic::In | iced_x86::Mnemonic::Out | iced_x86::Mnemonic::Cli | iced_x86::Mnemonic::Sti
    );
    (io || instruction.is_privileged()).then(|| format!("{:?}", instruction.mnemonic()).to_lowercase())
}
