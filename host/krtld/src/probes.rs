//! Static probes that the kernel wants to be told of: their calls reach it, with all registers kept. The others are nops.
//!
//! A site may be a call that the compiler knows nothing of (the caller's registers are in use, the stack is not aligned), for that is how a trap at it would
//! behave. So what is called keeps the general registers and the flags; a module uses no others.
//!
//! Locking: one leaf mutex round the list of stubs, not taken by a probe that fires.

use std::collections::HashMap;
use std::io;

use parking_lot::Mutex;

use crate::stubs;

/// A probe's arguments: as many of them as it has are good.
pub type Arguments = [u64; 6];

/// The function called for a probe, on the thread that has come to it, whatever locks that holds. Must not unwind.
#[derive(Clone, Copy, Debug)]
pub struct Fired {
    /// The function.
    pub call: fn(token: u32, arguments: &Arguments),
    /// First argument.
    pub token: u32,
}

/// A stub's address, and what it pushes.
type Stub = (usize, &'static Fired);

/// Stubs by the function's address and the token; never freed.
static STUBS: Mutex<Option<HashMap<(usize, u32), Stub>>> = Mutex::new(None);

/// The address below 2 GiB that a probe's site calls.
///
/// # Errors
/// No memory below 2 GiB, or all stubs are used up.
pub fn stub(fired: Fired) -> io::Result<usize> {
    let mut stubs = STUBS.lock();
    let stubs = stubs.get_or_insert_default();
    let key = (fired.call as usize, fired.token);
    if let Some(&(known, _)) = stubs.get(&key) {
        return Ok(known);
    }
    // Lives as long as the stub.
    let argument: &'static Fired = Box::leak(Box::new(fired));
    let stub = stubs::pushing(argument as *const Fired as usize, entry as *const () as usize)?;
    stubs.insert(key, (stub, argument));
    Ok(stub)
}

/// Target of the stubs: entered with the `Fired` on the stack, above it the return address of the site.
#[unsafe(naked)]
unsafe extern "C" fn entry() {
    core::arch::naked_asm!(
        "push r9",
        "push r8",
        "push rcx",
        "push rdx",
        "push rsi",
        "push rdi",
        "push rax",
        "push r10",
        "push r11",
        "pushfq",
        "push rbp",
        "mov rbp, rsp",
        "lea rsi, [rsp + 40]",
        "mov rdi, [rsp + 88]",
        "and rsp, -16",
        "cld",
        "call {fired}",
        "mov rsp, rbp",
        "pop rbp",
        "popfq",
        "pop r11",
        "pop r10",
        "pop rax",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop rcx",
        "pop r8",
        "pop r9",
        "lea rsp, [rsp + 8]",
        "ret",
        fired = sym fired
    )
}

extern "C" fn fired(what: &Fired, arguments: &Arguments) {
    (what.call)(what.token, arguments);
}
