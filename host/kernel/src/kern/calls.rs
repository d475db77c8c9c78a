//! Calls from modules into the host: on which thread, and from where in the driver.
//!
//! `%gs` of a thread that runs driver code points to the image of its `cpu` ([`super::image`]), from which modules load the current thread at
//! `%gs:0x18`. Behind what the kernel's structure has, each stub ([`ddi_krtld::stubs`]) stores the stack and the frame pointer before it jumps to
//! the host: from there the driver's own call stack can be walked by its frame pointers, whatever compiled it and with or without unwinding
//! tables.
//!
//! Locking: none; all of it belongs to the calling thread.

use std::arch::asm;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Range;

use ddi_krtld::stubs::{CALL_FP, CALL_SP};

use super::thread;

/// Longest chain of frames that is followed.
const FRAMES: usize = 32;

fn load() -> (usize, usize) {
    // Makes sure that %gs points to this thread's cpu.
    thread::kthread();
    let (sp, fp);
    // SAFETY: reads two words of the thread's own cpu image, which `kthread` has set up.
    unsafe {
        asm!("mov {}, gs:[{}]", "mov {}, gs:[{}]", out(reg) sp, const CALL_SP, out(reg) fp, const CALL_FP,
            options(nostack, readonly, preserves_flags));
    }
    (sp, fp)
}

fn store(sp: usize, fp: usize) {
    // SAFETY: writes two words of the thread's own cpu image, behind what drivers know of it.
    unsafe {
        asm!("mov gs:[{}], {}", "mov gs:[{}], {}", const CALL_SP, in(reg) sp, const CALL_FP, in(reg) fp,
            options(nostack, preserves_flags));
    }
}

/// A call into driver code; what the thread did before is found again when this is dropped.
#[derive(Debug)]
#[must_use = "the call ends when this is dropped"]
pub struct Entered(usize, usize, PhantomData<*const ()>);

/// Before every call into driver code: makes sure that the thread has its `cpu` and remembers the place from which an outer driver called.
pub fn enter() -> Entered {
    let (sp, fp) = load();
    store(0, 0);
    Entered(sp, fp, PhantomData)
}

impl Drop for Entered {
    fn drop(&mut self) {
        store(self.0, self.1);
    }
}

/// Registers of driver code when it faulted: instruction, stack and frame pointer.
#[derive(Clone, Copy, Debug)]
struct Fault {
    ip: usize,
    sp: usize,
    fp: usize,
}

thread_local! {
    static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// The part of the calling thread's stack that is in use.
///
/// # Invariants
/// The calling thread's own stack from a stack pointer of a call that has not returned up to its end: mapped, and there as long as that call.
struct InUse(Range<usize>);

impl InUse {
    /// Returns what is above `sp`; None if that is not in the stack.
    fn above(sp: usize, stack: &Range<usize>) -> Option<Self> {
        stack.contains(&sp).then_some(InUse(sp..stack.end))
    }

    /// Returns the word at an address; None if it is not in this part, or not aligned.
    fn word(&self, at: usize) -> Option<usize> {
        let inside = at >= self.0.start && at.saturating_add(size_of::<usize>()) <= self.0.end;
        // SAFETY: the invariant: an aligned word of the thread's own stack, and every bit pattern is a number.
        (inside && at.is_multiple_of(size_of::<usize>())).then(|| unsafe { (at as *const usize).read() })
    }
}

/// The return addresses of a stack, from one that is known outwards: along frame pointers, each above the last.
///
/// # Invariants
/// `fp` is any number: it is followed only within `stack`.
struct Frames {
    next: Option<usize>,
    fp: usize,
    below: usize,
    stack: InUse,
}

impl Iterator for Frames {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let address = self.next.take()?;
        // A frame lies above the call and is aligned, and the next one above it; else the code keeps no frame pointer.
        if self.fp > self.below
            && let Some(outer) = self.stack.word(self.fp).filter(|&outer| outer > self.fp)
        {
            // The return address lies over the saved frame pointer.
            self.next = self.stack.word(self.fp.wrapping_add(size_of::<usize>()));
            (self.below, self.fp) = (self.fp, outer);
        }
        Some(address)
    }
}

/// Returns the frames from an instruction on, with the stack and the frame pointer there.
fn frames(address: usize, sp: usize, fp: usize, stack: &Range<usize>) -> Frames {
    let stack = InUse(sp.max(stack.start)..stack.end);
    Frames { next: Some(address), fp, below: sp, stack }
}

/// Returns the frames from the calling thread's last call of a module into the host on; None when no module called.
fn last_frames(stack: &Range<usize>) -> Option<Frames> {
    let (sp, fp) = load();
    // A stub stored the stack pointer when it was called, and the call has not returned: the word there is the return address still.
    let address = InUse::above(sp, stack)?.word(sp)?;
    Some(frames(address, sp, fp, stack))
}

/// The return addresses from the calling thread's last call of a module into the host outwards (or from the place of a fault), as long as they
/// are in modules; empty when no module called.
pub fn return_addresses() -> Vec<usize> {
    let Some(stack) = stack() else { return Vec::new() };
    let found = match FAULT.get() {
        Some(Fault { ip, sp, fp }) => Some(frames(ip, sp, fp, &stack)),
        None => last_frames(&stack),
    };
    let in_modules = |address: &usize| ddi_krtld::region(*address).is_some();
    found.into_iter().flatten().take_while(in_modules).take(FRAMES).collect()
}

/// Stores the return addresses from the last call of a module into the host outwards, without checking where they lead: their reader does.
/// `stack` is the calling thread's stack.
pub fn follow(stack: &Range<usize>, into: &mut [usize]) {
    let found = last_frames(stack).into_iter().flatten();
    into.iter_mut().zip(found).for_each(|(place, address)| *place = address);
}

/// The same from an instruction of a module on, with the stack and the frame pointer there. Allocates nothing.
pub fn walk(address: usize, sp: usize, fp: usize, stack: &Range<usize>, into: &mut [usize]) {
    into.iter_mut().zip(frames(address, sp, fp, stack)).for_each(|(place, address)| *place = address);
}

/// The calling thread was stopped by a signal at `ip`, in a module, with these stack and frame pointers: where [`return_addresses`] begins from
/// now on. When there is no code at `ip`, it begins with the caller, whose return address is on top of the stack.
pub fn at_fault(ip: usize, sp: usize, fp: usize) {
    thread::kthread();
    if ddi_krtld::region(ip) == Some(ddi_krtld::Region::Text) {
        FAULT.set(Some(Fault { ip, sp, fp }));
        return;
    }
    if let Some(ip) = stack().and_then(|stack| InUse::above(sp, &stack)?.word(sp)) {
        FAULT.set(Some(Fault { ip, sp, fp }));
    }
}

/// Returns the address behind the last call of the calling thread's module into the host, for a thread that is inside driver code and whose own data cannot be trusted any
/// more; 0 when it has not.
pub fn last_call() -> usize {
    let sp: usize;
    // SAFETY: reads a word of the thread's cpu image, to which `%gs` points while driver code runs.
    unsafe {
        asm!("mov {}, gs:[{}]", out(reg) sp, const CALL_SP, options(nostack, readonly, preserves_flags));
    }
    if sp == 0 {
        return 0;
    }
    // SAFETY: a stub stored it: a place on the thread's stack, which stays mapped.
    unsafe { (sp as *const usize).read() }
}

/// The host's function that the calling thread's module is in, when the module called it directly: "bcopy".
pub fn called() -> Option<String> {
    called_before(*return_addresses().first()?)
}

/// The host's function that was called directly by the instruction of a module before `after`.
pub fn called_before(after: usize) -> Option<String> {
    let module = ddi_krtld::module_at(after)?;
    // call rel32: five bytes, the last four of which lead from behind it to the stub.
    let site = after.checked_sub(5).filter(|&site| module.is_text(site) && module.is_text(after - 1))?;
    // SAFETY: five bytes of the module's text, which stays mapped while the thread is inside the module.
    let bytes = unsafe { (site as *const [u8; 5]).read() };
    let [0xe8, offset @ ..] = bytes else { return None };
    let stub = after.wrapping_add_signed(i32::from_le_bytes(offset) as isize);
    ddi_krtld::stubs::function_name(ddi_krtld::real_function(stub))
}

/// The calling thread's stack, from its lowest address; None when that is not known.
pub fn stack() -> Option<Range<usize>> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: no arguments, no effects.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: the calling thread's own handle, and room for the answer.
    if unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let (mut base, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes were just filled in.
    let known = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &mut base, &mut size) };
    // SAFETY: as above; destroyed once.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    (known == 0).then(|| base as usize..base as usize + size)
}

/// The driver's call stack at its last call into the host, innermost first: "winlock`winlock_ioctl+0x33".
pub fn driver_frames() -> Vec<String> {
    return_addresses().into_iter().filter_map(ddi_krtld::symbolize).collect()
}
