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

/// Where driver code was when it faulted: an instruction, the stack and the frame pointer.
#[derive(Clone, Copy, Debug)]
struct Fault {
    ip: usize,
    sp: usize,
    fp: usize,
}

thread_local! {
    static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// The return addresses from the calling thread's last call of a module into the host outwards (or from the place of a fault), as long as they
/// are in modules; empty when no module called.
pub fn return_addresses() -> Vec<usize> {
    let mut found = Vec::new();
    let Some(stack) = stack() else { return found };
    let (mut address, sp, mut fp) = match FAULT.get() {
        Some(Fault { ip, sp, fp }) => (ip, sp, fp),
        None => {
            let (sp, fp) = load();
            if !stack.contains(&sp) {
                return found;
            }
            // SAFETY: a stub stored the stack pointer when it was called, and the call has not returned: the thread is inside it. So the
            // word there is the return address still.
            (unsafe { (sp as *const usize).read() }, sp, fp)
        }
    };
    while found.len() < FRAMES && ddi_krtld::region(address).is_some() {
        found.push(address);
        // A frame lies above the call and is aligned; else the code keeps no frame pointer.
        if fp <= sp || fp < stack.start || fp + 16 > stack.end || !fp.is_multiple_of(8) {
            break;
        }
        let frame = fp as *const usize;
        // SAFETY: within the part of the thread's stack that is in use, by the check above.
        let next = unsafe { frame.read() };
        let above = frame.wrapping_add(1);
        // SAFETY: as above: the return address lies over the saved frame pointer.
        address = unsafe { above.read() };
        if next <= fp {
            break;
        }
        fp = next;
    }
    found
}

/// Stores the return addresses from the last call of a module into the host outwards, without asking where they lead: whoever reads them does.
/// `stack` is the calling thread's stack.
pub fn follow(stack: Range<usize>, into: &mut [usize]) {
    let (sp, fp) = load();
    if stack.contains(&sp) {
        // SAFETY: as in `return_addresses`: the call has not returned, and its return address is there.
        let address = unsafe { (sp as *const usize).read() };
        walk(address, sp, fp, &stack, into);
    }
}

/// The same from an instruction of a module on, with the stack and the frame pointer there. Allocates nothing.
pub fn walk(mut address: usize, sp: usize, mut fp: usize, stack: &Range<usize>, into: &mut [usize]) {
    for place in into {
        *place = address;
        if fp <= sp || fp < stack.start || fp.saturating_add(16) > stack.end || !fp.is_multiple_of(8) {
            return;
        }
        let frame = fp as *const usize;
        // SAFETY: within the part of the thread's stack that is in use, by the check above.
        let next = unsafe { frame.read() };
        // SAFETY: as above.
        address = unsafe { frame.wrapping_add(1).read() };
        if next <= fp {
            return;
        }
        fp = next;
    }
}

/// The calling thread was stopped by a signal at `ip`, in a module, with these stack and frame pointers: where [`return_addresses`] begins from
/// now on. When there is no code at `ip`, it begins with the caller, whose return address is on top of the stack.
pub fn at_fault(ip: usize, sp: usize, fp: usize) {
    thread::kthread();
    if ddi_krtld::region(ip) == Some(ddi_krtld::Region::Text) {
        FAULT.set(Some(Fault { ip, sp, fp }));
        return;
    }
    let room = stack().is_some_and(|stack| stack.contains(&sp) && sp + 8 <= stack.end);
    if room && sp.is_multiple_of(8) {
        // SAFETY: a word of the calling thread's own stack, inside the part in use.
        let ip = unsafe { (sp as *const usize).read() };
        FAULT.set(Some(Fault { ip, sp, fp }));
    }
}

/// Where the calling thread's module called the host last, for a thread that is inside driver code and whose own data cannot be trusted any
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
