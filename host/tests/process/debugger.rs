//! Debuggers of processes that use a device. A debugger reads what the process itself would, or gets an error; its stops force orders of events that are rare otherwise.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use crate::client::{PAGE, check, errno, faults, ioctl, map, open};
use crate::kernel;

/// A pipe's ends.
fn pipe() -> [i32; 2] {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    check("pipe", unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    ends
}

fn say(fd: i32, word: u64) {
    // SAFETY: eight bytes.
    check("write", unsafe { libc::write(fd, (&raw const word).cast(), 8) }, 8);
}

fn hear(fd: i32) -> u64 {
    let mut word = 0u64;
    // SAFETY: room for eight bytes.
    check("read", unsafe { libc::read(fd, (&raw mut word).cast(), 8) }, 8);
    word
}

/// The word at an address of a process, by /proc/PID/mem.
fn by_file(pid: i32, at: u64) -> Result<u64, i32> {
    let file = OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"));
    let mut word = [0; 8];
    match file.and_then(|file| file.read_exact_at(&mut word, at)) {
        Ok(()) => Ok(u64::from_ne_bytes(word)),
        Err(e) => Err(e.raw_os_error().unwrap_or(libc::EIO)),
    }
}

/// By process_vm_readv(2).
fn by_call(pid: i32, at: u64) -> Result<u64, i32> {
    let mut word = 0u64;
    let here = libc::iovec { iov_base: (&raw mut word).cast(), iov_len: 8 };
    let there = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: 8 };
    // SAFETY: room for eight bytes; the kernel checks the other address.
    match unsafe { libc::process_vm_readv(pid, &here, 1, &there, 1, 0) } {
        8 => Ok(word),
        _ => Err(errno()),
    }
}

/// Makes a request of ptrace(2) that takes a number only, of a child of ours.
fn trace(request: libc::c_uint, pid: i32, data: usize) {
    // SAFETY: no memory is involved.
    let done = unsafe { libc::ptrace(request, pid, std::ptr::null_mut::<libc::c_void>(), data) };
    check("ptrace", (done, if done == 0 { 0 } else { errno() }), (0, 0));
}

/// Waits for a child of ours. Returns its status.
fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: room for the status.
    check("wait", unsafe { libc::waitpid(pid, &mut status, libc::__WALL) }, pid);
    status
}

/// By ptrace(2), and whether a word could be written there, too.
fn by_trace(pid: i32, at: u64, new: u64) -> (Result<u64, i32>, bool) {
    let none = std::ptr::null_mut::<libc::c_void>();
    trace(libc::PTRACE_ATTACH, pid, 0);
    wait(pid);
    let address = at as *mut libc::c_void;
    // SAFETY: no arguments.
    let error = unsafe { libc::__errno_location() };
    // SAFETY: this thread's errno.
    unsafe { error.write(0) };
    // SAFETY: the child is stopped; the kernel checks the address.
    let word = unsafe { libc::ptrace(libc::PTRACE_PEEKDATA, pid, address, none) };
    let seen = if errno() == 0 { Ok(word.cast_unsigned()) } else { Err(errno()) };
    // SAFETY: as above.
    let put = unsafe { libc::ptrace(libc::PTRACE_POKEDATA, pid, address, new as *mut libc::c_void) } == 0;
    trace(libc::PTRACE_DETACH, pid, 0);
    (seen, put)
}

pub fn play() {
    let fd = open();
    let (to_child, to_parent) = (pipe(), pipe());
    // SAFETY: the child goes on with what it has; there are no other threads.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let m = map(fd, 2, 3);
        m.set(0, 77);
        say(to_parent[1], m.word(0) as u64);
        check("as it was", hear(to_child[0]), 1);
        check("the debugger's word", m.get(0), 78);
        m.set(0, 79);
        say(to_parent[1], 0);
        check("as it was", hear(to_child[0]), 2);
        check("no word of the debugger's", m.get(0), 79);
        std::process::exit(0);
    }
    let at = hear(to_parent[0]);
    // What is loaded can be read and written.
    check("/proc/PID/mem", by_file(pid, at), Ok(77));
    check("process_vm_readv", by_call(pid, at), Ok(77));
    check("ptrace", by_trace(pid, at, 78), (Ok(77), true));
    say(to_child[1], 1);
    hear(to_parent[0]);
    check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
    // What is not is an error, or the driver is asked first.
    let untouched = at + PAGE as u64;
    let before = faults(fd);
    check("/proc/PID/mem, unloaded", by_file(pid, at), Err(libc::EIO));
    check("/proc/PID/mem, never loaded", by_file(pid, untouched), Err(libc::EIO));
    let (seen, put) = by_trace(pid, at, 99);
    check("ptrace, unloaded", (seen.is_err(), put), (true, false));
    check("faults", faults(fd), before);
    let seen = by_call(pid, at);
    let asked = faults(fd) > before;
    check("process_vm_readv, unloaded", seen, if asked { Ok(79) } else { Err(libc::EFAULT) });
    // The driver may refuse, and nobody waits for ever.
    check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
    check("fail", ioctl(fd, kernel::FAIL_FAULTS, libc::SIGBUS as u64), 0);
    check("process_vm_readv, refused", by_call(pid, at), Err(libc::EFAULT));
    check("fail no more", ioctl(fd, kernel::FAIL_FAULTS, 0), 0);
    say(to_child[1], 2);
    check("the process", wait(pid), 0);
}

/// A debugger lets a forked child introduce itself to the host before its parent tells the host of it. The host opens no second descriptor for it, and serves it on.
pub fn forks() {
    let fd = open();
    let (to_child, to_us) = (pipe(), pipe());
    // SAFETY: the child goes on with what it has; there are no other threads.
    let parent = unsafe { libc::fork() };
    if parent == 0 {
        let m = map(fd, 2, 3);
        m.set(0, 77);
        trace(libc::PTRACE_TRACEME, 0, 0);
        // SAFETY: no memory is involved.
        unsafe { libc::raise(libc::SIGSTOP) };
        // SAFETY: as above.
        let child = unsafe { libc::fork() };
        if child == 0 {
            say(to_us[1], 1);
            check("go", hear(to_child[0]), 2);
            check("the parent's word", m.get(0), 77);
            std::process::exit(0);
        }
        check("the child", wait(child), 0);
        std::process::exit(0);
    }
    check("stopped", libc::WIFSTOPPED(wait(parent)), true);
    trace(libc::PTRACE_SETOPTIONS, parent, libc::PTRACE_O_TRACEFORK as usize);
    trace(libc::PTRACE_CONT, parent, 0);
    check("forks", wait(parent) >> 8, libc::SIGTRAP | libc::PTRACE_EVENT_FORK << 8);
    let mut child: libc::c_ulong = 0;
    // SAFETY: room for the number.
    let told = unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, parent, 0usize, &raw mut child) };
    check("the event", told, 0);
    let child = child as i32;
    check("stopped", libc::WIFSTOPPED(wait(child)), true);
    trace(libc::PTRACE_DETACH, child, 0);
    check("the child runs", hear(to_us[0]), 1);
    check("arm", ioctl(fd, kernel::ARM_PIDFD, 1), 0);
    trace(libc::PTRACE_DETACH, parent, 0);
    // Its message comes before any call of it that the host answers.
    std::thread::sleep(std::time::Duration::from_millis(100));
    check("disarm", ioctl(fd, kernel::DISARM, 0), 0);
    say(to_child[1], 2);
    check("the parent", wait(parent), 0);
}
