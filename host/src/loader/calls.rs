//! Calls from modules into the host: on which thread, and from where in the driver.
//!
//! `%gs` of a thread that runs driver code points to the image of its `cpu` ([`crate::kern::image`]), from which modules load the current thread at
//! `%gs:0x18`. Behind what the kernel's structure has, each stub ([`super::stubs`]) stores the stack and the frame pointer before it jumps to
//! the host: from there the driver's own call stack can be walked by its frame pointers, whatever compiled it and with or without unwinding
//! tables.
//!
//! Locking: none; all of it belongs to the calling thread.

use std::arch::asm;
use std::marker::PhantomData;

use crate::kern::thread;

/// Offset from `%gs` of the stack pointer at the last call from a module; it points to the return address. Behind `struct cpu`.
pub const CALL_SP: u32 = 1568;
/// Offset from `%gs` of the frame pointer at that call.
pub const CALL_FP: u32 = 1576;

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

/// The return addresses from the calling thread's last call of a module into the host outwards, as long as they are in modules; empty
/// when no module called.
pub fn return_addresses() -> Vec<usize> {
    let (sp, mut fp) = load();
    let mut found = Vec::new();
    if sp == 0 {
        return found;
    }
    let end = stack_end();
    // SAFETY: a stub stored the stack pointer when it was called, and the call has not returned: the thread is inside it. So the word
    // there is the return address still.
    let mut address = unsafe { (sp as *const usize).read() };
    while found.len() < FRAMES && super::module_at(address).is_some() {
        found.push(address);
        // A frame lies above the call and is aligned; else the code keeps no frame pointer.
        if fp <= sp || fp + 16 > end || !fp.is_multiple_of(8) {
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

/// The calling thread stopped at the instruction `*ip` of a module, with the frame pointer `fp`: what [`return_addresses`] begins with from now
/// on. `ip` is on the thread's stack, below that frame, and stays there.
pub fn at_fault(ip: &usize, fp: usize) {
    thread::kthread();
    store(std::ptr::from_ref(ip) as usize, fp);
}

/// Where the calling thread's stack ends; 0 when that is not known.
fn stack_end() -> usize {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: no arguments, no effects.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: the calling thread's own handle, and room for the answer.
    if unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) } != 0 {
        return 0;
    }
    let (mut base, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes were just filled in.
    let known = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &mut base, &mut size) };
    // SAFETY: as above; destroyed once.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    if known == 0 { base as usize + size } else { 0 }
}

/// The driver's call stack at its last call into the host, innermost first: "winlock`winlock_ioctl+0x33".
pub fn driver_frames() -> Vec<String> {
    return_addresses().into_iter().filter_map(super::symbolize).collect()
}
