//! Bad memory accesses of drivers: on illumos a "BAD TRAP" panic, here a report that names the driver's function and what the address
//! was, and the end of the run.
//!
//! The handler runs on the stack of the thread that made the access. Driver code holds no lock of the host's, and a DDI function that touches the
//! driver's memory holds none that the report needs, so the report may take locks; where it is not sure it only tries. A second fault while
//! reporting ends the process.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{entry, heap};
use crate::{loader, report};

/// What was there before, for faults that are not a driver's.
static BEFORE: OnceLock<[libc::sigaction; 2]> = OnceLock::new();
static REPORTING: AtomicBool = AtomicBool::new(false);

const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Installs the handler. Once is enough.
pub fn install() {
    BEFORE.get_or_init(|| {
        SIGNALS.map(|signal| {
            // SAFETY: all-zero is a sigaction.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
            // SAFETY: as above.
            let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
            // SAFETY: both are valid; the handler has the signature that SA_SIGINFO asks for.
            unsafe { libc::sigaction(signal, &action, &mut before) };
            before
        })
    });
}

extern "C" fn handler(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a ucontext.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let word = |index: c_int| registers[index as usize] as usize;
    let (ip, fp) = (word(libc::REG_RIP), word(libc::REG_RBP));
    let in_module = loader::module_at(ip).is_some();
    if (!in_module && !entry::inside()) || REPORTING.swap(true, Ordering::SeqCst) {
        return give_back(signal);
    }
    // SAFETY: the kernel passes a siginfo that lives as long as the handler runs.
    let info = unsafe { &*info };
    // SAFETY: for these signals it has the address.
    let address = unsafe { info.si_addr() } as usize;
    // SI_KERNEL without an address: not a canonical one.
    let known = info.si_code != 0x80;
    let here = ip;
    if in_module {
        loader::calls::at_fault(&here, fp);
    }
    let function = if in_module { loader::symbolize(ip) } else { None };
    let (what, page) = describe(address, known);
    report::leftover(&function.unwrap_or_else(|| "a memory access".into()), &what, page);
    report::stop();
}

/// Lets the access fault again, for whoever was there before.
fn give_back(signal: c_int) {
    let at = SIGNALS.iter().position(|&s| s == signal).unwrap_or(0);
    if let Some(before) = BEFORE.get() {
        // SAFETY: what the system gave for this signal.
        unsafe { libc::sigaction(signal, &before[at], std::ptr::null_mut()) };
    }
}

/// What an address is, and the manual page about it.
fn describe(address: usize, known: bool) -> (String, &'static str) {
    if !known {
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
        let mut what = format!("byte {offset} of a buffer of {} bytes that was freed is used", freed.size);
        for (verb, stack) in [("freed", &freed.freed), ("allocated", &freed.allocated)] {
            if let Some(first) = stack.first() {
                what.push_str(&format!(", {verb} at {first}"));
            }
        }
        return (what, "kmem_free(9F)");
    }
    if let Some((size, offset)) = heap::overrun_at(address) {
        return (
            format!("byte {offset} of a buffer of {size} bytes is used: beyond its end"),
            "kmem_alloc(9F)",
        );
    }
    if crate::vm::memory().frame_of(address as *const u8).is_some() {
        return (format!("{address:#x} is memory that ddi_umem_free gave back"), "ddi_umem_free(9F)");
    }
    if loader::module_at(address).is_some() {
        return (format!("{address:#x} is read-only memory of the module"), "Intro(9F)");
    }
    (
        format!("{address:#x} is not kernel memory (a process's memory is reached by ddi_copyin)"),
        "ddi_copyin(9F)",
    )
}
