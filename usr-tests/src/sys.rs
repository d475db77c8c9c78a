//! The POSIX calls that the cases make, with addresses as plain numbers.
//!
//! Memory of the device is never borrowed: no reference into a mapping exists anywhere in this program, the accesses
//! of [`crate::probe`] go through assembly, and the calls here hand addresses to the kernel as numbers. What is
//! asked of callers is only that a range they map over, unmap or protect came from a mapping they made themselves.
//!
//! Locking: none; everything may be called from any thread, the fork family only as each function says.

use std::ffi::CString;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use libc::{c_int, c_void, pid_t};

use crate::os;

/// An errno value; prints as its name and the system's text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    pub fn last() -> Errno {
        // SAFETY: the pointer is this thread's errno.
        Errno(unsafe { *os::errno_location() })
    }

    pub fn name(self) -> String {
        let known = [
            (libc::EPERM, "EPERM"),
            (libc::ENOENT, "ENOENT"),
            (libc::EINTR, "EINTR"),
            (libc::EIO, "EIO"),
            (libc::ENXIO, "ENXIO"),
            (libc::EBADF, "EBADF"),
            (libc::ECHILD, "ECHILD"),
            (libc::EAGAIN, "EAGAIN"),
            (libc::ENOMEM, "ENOMEM"),
            (libc::EACCES, "EACCES"),
            (libc::EFAULT, "EFAULT"),
            (libc::EBUSY, "EBUSY"),
            (libc::EEXIST, "EEXIST"),
            (libc::ENODEV, "ENODEV"),
            (libc::EISDIR, "EISDIR"),
            (libc::ENOTDIR, "ENOTDIR"),
            (libc::EINVAL, "EINVAL"),
            (libc::EMFILE, "EMFILE"),
            (libc::ENFILE, "ENFILE"),
            (libc::ENOTTY, "ENOTTY"),
            (libc::ENOSPC, "ENOSPC"),
            (libc::ESPIPE, "ESPIPE"),
            (libc::ENOSYS, "ENOSYS"),
            (libc::ENOTSUP, "ENOTSUP"),
            (libc::EOVERFLOW, "EOVERFLOW"),
            (libc::ESRCH, "ESRCH"),
        ];
        match known.iter().find(|(value, _)| *value == self.0) {
            Some((_, name)) => (*name).to_string(),
            None => format!("errno {}", self.0),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let text = std::io::Error::from_raw_os_error(self.0).to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        write!(f, "{} ({text})", self.name())
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name())
    }
}

pub type Sys<T = ()> = Result<T, Errno>;

fn zero(result: c_int) -> Sys {
    if result == 0 { Ok(()) } else { Err(Errno::last()) }
}

fn fd(result: c_int) -> Sys<i32> {
    if result >= 0 { Ok(result) } else { Err(Errno::last()) }
}

fn count(result: isize) -> Sys<usize> {
    usize::try_from(result).map_err(|_| Errno::last())
}

fn c_string(text: &str) -> CString {
    CString::new(text).expect("no NUL in paths and arguments")
}

pub fn page_size() -> usize {
    // SAFETY: no precondition.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).expect("a page size")
}

pub fn cpus_online() -> usize {
    // SAFETY: no precondition.
    let cpus = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(cpus).unwrap_or(1)
}

// ---- memory ----

pub fn mmap(addr: usize, len: usize, prot: i32, flags: i32, fd: i32, off: i64) -> Sys<usize> {
    // SAFETY: only ranges of our own mappings are replaced (module documentation).
    let at = unsafe { libc::mmap(addr as *mut c_void, len, prot, flags, fd, off) };
    if at == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(at as usize) }
}

pub fn munmap(addr: usize, len: usize) -> Sys {
    // SAFETY: only our own mappings are removed (module documentation).
    zero(unsafe { libc::munmap(addr as *mut c_void, len) })
}

pub fn mprotect(addr: usize, len: usize, prot: i32) -> Sys {
    // SAFETY: only our own mappings are changed (module documentation).
    zero(unsafe { libc::mprotect(addr as *mut c_void, len, prot) })
}

pub fn madvise(addr: usize, len: usize, advice: i32) -> Sys {
    // SAFETY: only our own mappings are advised on (module documentation).
    zero(unsafe { libc::madvise(addr as *mut c_void, len, advice) })
}

pub fn posix_madvise(addr: usize, len: usize, advice: i32) -> Sys {
    // SAFETY: only our own mappings are advised on (module documentation).
    match unsafe { libc::posix_madvise(addr as *mut c_void, len, advice) } {
        0 => Ok(()),
        errno => Err(Errno(errno)),
    }
}

pub fn msync(addr: usize, len: usize, flags: i32) -> Sys {
    // SAFETY: nothing is changed.
    zero(unsafe { libc::msync(addr as *mut c_void, len, flags) })
}

pub fn mincore(addr: usize, len: usize) -> Sys<Vec<u8>> {
    let mut vec = vec![0; len.div_ceil(page_size())];
    zero(os::mincore(addr, len, &mut vec)).map(|()| vec)
}

pub fn mlock(addr: usize, len: usize) -> Sys {
    // SAFETY: nothing is changed but residence.
    zero(unsafe { libc::mlock(addr as *const c_void, len) })
}

pub fn munlock(addr: usize, len: usize) -> Sys {
    // SAFETY: nothing is changed but residence.
    zero(unsafe { libc::munlock(addr as *const c_void, len) })
}

pub fn mlockall(flags: i32) -> Sys {
    // SAFETY: nothing is changed but residence.
    zero(unsafe { libc::mlockall(flags) })
}

pub fn munlockall() -> Sys {
    // SAFETY: nothing is changed but residence.
    zero(unsafe { libc::munlockall() })
}

/// Maps the first `count` words of a file, for as long as the program runs: memory that processes share.
pub fn shared_words(file: i32, count: usize) -> Sys<&'static [AtomicU64]> {
    let at = mmap(0, count * 8, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, file, 0)?;
    // SAFETY: a new mapping of that many bytes, page aligned, which nobody unmaps; any word is an AtomicU64.
    Ok(unsafe { std::slice::from_raw_parts(at as *const AtomicU64, count) })
}

// ---- descriptors ----

pub fn open(path: &str, flags: i32) -> Sys<i32> {
    let path = c_string(path);
    // SAFETY: a NUL-terminated path.
    fd(unsafe { libc::open(path.as_ptr(), flags, 0o600) })
}

pub fn openat(dir: i32, path: &str, flags: i32) -> Sys<i32> {
    let path = c_string(path);
    // SAFETY: a NUL-terminated path.
    fd(unsafe { libc::openat(dir, path.as_ptr(), flags) })
}

/// open(2) with a path that lies at `path` in memory that is not ours to borrow.
pub fn open_path_at(path: usize, flags: i32) -> Sys<i32> {
    // SAFETY: the kernel checks the address.
    fd(unsafe { libc::open(path as *const libc::c_char, flags) })
}

pub fn close(fd: i32) -> Sys {
    // SAFETY: descriptors are plain numbers in this program; no owner type exists.
    zero(unsafe { libc::close(fd) })
}

pub fn dup(old: i32) -> Sys<i32> {
    // SAFETY: no precondition.
    fd(unsafe { libc::dup(old) })
}

pub fn dup2(old: i32, new: i32) -> Sys<i32> {
    // SAFETY: descriptors are plain numbers in this program.
    fd(unsafe { libc::dup2(old, new) })
}

pub fn fcntl(file: i32, command: i32, arg: i32) -> Sys<i32> {
    // SAFETY: only commands with an integer argument are used.
    fd(unsafe { libc::fcntl(file, command, arg) })
}

/// The file's mode and, for a device, its number.
pub fn fstat(file: i32) -> Sys<(u32, u64)> {
    // SAFETY: all zeros is a valid `stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is ours to fill.
    zero(unsafe { libc::fstat(file, &mut stat) })?;
    Ok((stat.st_mode, stat.st_rdev))
}

pub fn stat(path: &str) -> Sys<(u32, u64)> {
    let path = c_string(path);
    // SAFETY: all zeros is a valid `stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: a NUL-terminated path; `stat` is ours to fill.
    zero(unsafe { libc::stat(path.as_ptr(), &mut stat) })?;
    Ok((stat.st_mode, stat.st_rdev))
}

/// fstat(2) into memory that is not ours to borrow.
pub fn fstat_at(file: i32, addr: usize) -> Sys {
    // SAFETY: the kernel checks the address; the callers leave room for a `stat`.
    zero(unsafe { libc::fstat(file, addr as *mut libc::stat) })
}

pub fn access(path: &str, mode: i32) -> Sys {
    let path = c_string(path);
    // SAFETY: a NUL-terminated path.
    zero(unsafe { libc::access(path.as_ptr(), mode) })
}

pub fn isatty(file: i32) -> bool {
    // SAFETY: no precondition.
    unsafe { libc::isatty(file) == 1 }
}

pub fn lseek(file: i32, off: i64, whence: i32) -> Sys<i64> {
    // SAFETY: no precondition.
    let at = unsafe { libc::lseek(file, off, whence) };
    if at < 0 { Err(Errno::last()) } else { Ok(at) }
}

pub fn ftruncate(file: i32, len: i64) -> Sys {
    // SAFETY: no precondition.
    zero(unsafe { libc::ftruncate(file, len) })
}

/// A temporary file without a name.
pub fn temporary_file() -> Sys<i32> {
    let mut template = *b"/tmp/usr-tests.XXXXXX\0";
    // SAFETY: a NUL-terminated template that mkstemp may change.
    let file = fd(unsafe { libc::mkstemp(template.as_mut_ptr().cast()) })?;
    // SAFETY: mkstemp left a NUL-terminated path.
    zero(unsafe { libc::unlink(template.as_ptr().cast()) })?;
    Ok(file)
}

pub fn pipe() -> Sys<(i32, i32)> {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    zero(unsafe { libc::pipe(ends.as_mut_ptr()) })?;
    Ok((ends[0], ends[1]))
}

pub fn socketpair() -> Sys<(i32, i32)> {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    zero(unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, ends.as_mut_ptr()) })?;
    Ok((ends[0], ends[1]))
}

pub fn read(file: i32, buf: &mut [u8]) -> Sys<usize> {
    read_at(file, buf.as_mut_ptr() as usize, buf.len())
}

pub fn write(file: i32, buf: &[u8]) -> Sys<usize> {
    write_at(file, buf.as_ptr() as usize, buf.len())
}

/// read(2) into memory that is not ours to borrow.
pub fn read_at(file: i32, addr: usize, len: usize) -> Sys<usize> {
    // SAFETY: device memory, or a buffer that the caller has borrowed mutably for the call.
    count(unsafe { libc::read(file, addr as *mut c_void, len) })
}

/// write(2) from memory that is not ours to borrow.
pub fn write_at(file: i32, addr: usize, len: usize) -> Sys<usize> {
    // SAFETY: the kernel checks the address.
    count(unsafe { libc::write(file, addr as *const c_void, len) })
}

pub fn pread_at(file: i32, addr: usize, len: usize, off: i64) -> Sys<usize> {
    // SAFETY: device memory: the kernel checks the address.
    count(unsafe { libc::pread(file, addr as *mut c_void, len, off) })
}

pub fn pwrite_at(file: i32, addr: usize, len: usize, off: i64) -> Sys<usize> {
    // SAFETY: the kernel checks the address.
    count(unsafe { libc::pwrite(file, addr as *const c_void, len, off) })
}

fn vectors(parts: &[(usize, usize)]) -> Vec<libc::iovec> {
    parts.iter().map(|&(addr, len)| libc::iovec { iov_base: addr as *mut c_void, iov_len: len }).collect()
}

pub fn readv_at(file: i32, parts: &[(usize, usize)]) -> Sys<usize> {
    let parts = vectors(parts);
    // SAFETY: as many vectors as said; device memory: the kernel checks the addresses.
    count(unsafe { libc::readv(file, parts.as_ptr(), parts.len() as c_int) })
}

pub fn writev_at(file: i32, parts: &[(usize, usize)]) -> Sys<usize> {
    let parts = vectors(parts);
    // SAFETY: as many vectors as said; the kernel checks the addresses.
    count(unsafe { libc::writev(file, parts.as_ptr(), parts.len() as c_int) })
}

pub fn send_at(socket: i32, addr: usize, len: usize) -> Sys<usize> {
    // SAFETY: the kernel checks the address.
    count(unsafe { libc::send(socket, addr as *const c_void, len, 0) })
}

pub fn recv_at(socket: i32, addr: usize, len: usize) -> Sys<usize> {
    // SAFETY: device memory: the kernel checks the address.
    count(unsafe { libc::recv(socket, addr as *mut c_void, len, 0) })
}

/// poll(2) on one descriptor: what is ready now.
pub fn poll_now(file: i32, events: i16) -> Sys<i16> {
    let mut entry = libc::pollfd { fd: file, events, revents: 0 };
    // SAFETY: one entry.
    fd(unsafe { libc::poll(&mut entry, 1, 0) })?;
    Ok(entry.revents)
}

/// Waits until `file` can be read, or a hang-up, or the time is over.
pub fn wait_readable(file: i32, limit: Duration) -> Sys<bool> {
    let mut entry = libc::pollfd { fd: file, events: libc::POLLIN, revents: 0 };
    let millis = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: one entry.
    match fd(unsafe { libc::poll(&mut entry, 1, millis) }) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno(libc::EINTR)) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// nanosleep(2), which fails with `EINTR` when a signal comes.
pub fn nap(time: Duration) -> Sys {
    let time = libc::timespec { tv_sec: time.as_secs() as _, tv_nsec: time.subsec_nanos() as _ };
    // SAFETY: a time; what is left of it is not asked for.
    zero(unsafe { libc::nanosleep(&time, std::ptr::null_mut()) })
}

/// poll(2) for input on one descriptor, which fails with `EINTR` when a signal comes. Is there any?
pub fn poll_for(file: i32, limit: Duration) -> Sys<bool> {
    let mut entry = libc::pollfd { fd: file, events: libc::POLLIN, revents: 0 };
    let millis = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: one entry.
    fd(unsafe { libc::poll(&mut entry, 1, millis) }).map(|ready| ready > 0)
}

/// ioctl(2) with an integer or an address as its argument; the call's own value.
pub fn ioctl(file: i32, command: i32, arg: usize) -> Sys<i32> {
    // SAFETY: the argument is an integer, a buffer that the caller has borrowed mutably, or device memory.
    fd(unsafe { libc::ioctl(file, command as _, arg) })
}

/// ioctl(2) with one integer, or a structure of them, to fill or read.
pub fn ioctl_with<T: Copy>(file: i32, command: i32, arg: &mut T) -> Sys<i32> {
    ioctl(file, command, std::ptr::from_mut(arg) as usize)
}

const CONTROL: usize = 64;

#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Sends `message` and, with it, the open file behind `passed`.
pub fn send_fd(socket: i32, message: u8, passed: i32) -> Sys {
    let mut byte = message;
    let mut part = libc::iovec { iov_base: std::ptr::from_mut(&mut byte).cast(), iov_len: 1 };
    let mut control = Control([0; CONTROL]);
    // SAFETY: all zeros is a valid empty header.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: arithmetic only.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<c_int>() as u32) } as _;
    // SAFETY: a valid header.
    let first = unsafe { libc::CMSG_FIRSTHDR(&header) };
    // SAFETY: the header has room for one control message, so the first exists.
    let first = unsafe { &mut *first };
    first.cmsg_level = libc::SOL_SOCKET;
    first.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: arithmetic only.
    first.cmsg_len = unsafe { libc::CMSG_LEN(size_of::<c_int>() as u32) } as _;
    // SAFETY: `first` is a header in `control`; its data follows it.
    let data = unsafe { libc::CMSG_DATA(first) };
    // SAFETY: CMSG_SPACE made room for one descriptor there.
    unsafe { data.cast::<c_int>().write_unaligned(passed) };
    // SAFETY: everything that the header points to is alive.
    count(unsafe { libc::sendmsg(socket, &header, 0) }).map(|_| ())
}

/// Receives one byte and the descriptor that came with it.
pub fn recv_fd(socket: i32) -> Sys<(u8, Option<i32>)> {
    let mut byte = 0u8;
    let mut part = libc::iovec { iov_base: std::ptr::from_mut(&mut byte).cast(), iov_len: 1 };
    let mut control = Control([0; CONTROL]);
    // SAFETY: all zeros is a valid empty header.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL as _;
    // SAFETY: everything that the header points to is alive and ours to fill.
    count(unsafe { libc::recvmsg(socket, &mut header, 0) })?;
    // SAFETY: recvmsg left a valid header.
    let first = unsafe { libc::CMSG_FIRSTHDR(&header) };
    if first.is_null() {
        return Ok((byte, None));
    }
    // SAFETY: not null, so it lies in `control`.
    let data = unsafe { libc::CMSG_DATA(first) };
    // SAFETY: the only control message that our peers send carries one descriptor.
    Ok((byte, Some(unsafe { data.cast::<c_int>().read_unaligned() })))
}

// ---- processes ----

pub enum Forked {
    Child,
    Parent(pid_t),
}

/// fork(2). The child of a process with several threads may do only what POSIX allows it.
pub fn fork() -> Sys<Forked> {
    // SAFETY: the child goes on with its copy of this thread; see above for several threads.
    match unsafe { libc::fork() } {
        0 => Ok(Forked::Child),
        -1 => Err(Errno::last()),
        pid => Ok(Forked::Parent(pid)),
    }
}

pub fn exit_now(status: i32) -> ! {
    // SAFETY: ends the process at once.
    unsafe { libc::_exit(status) }
}

pub fn getpid() -> pid_t {
    // SAFETY: no precondition.
    unsafe { libc::getpid() }
}

pub fn is_root() -> bool {
    // SAFETY: no precondition.
    unsafe { libc::geteuid() == 0 }
}

pub fn parent() -> pid_t {
    // SAFETY: no precondition.
    unsafe { libc::getppid() }
}

/// Returns the process group of a process.
pub fn process_group(pid: pid_t) -> Sys<pid_t> {
    // SAFETY: no precondition.
    fd(unsafe { libc::getpgid(pid) })
}

pub fn own_process_group() -> Sys {
    make_process_group(0)
}

/// Makes a child, or this process (0), the first of a process group.
pub fn make_process_group(pid: pid_t) -> Sys {
    // SAFETY: no precondition.
    zero(unsafe { libc::setpgid(pid, 0) })
}

pub fn kill(pid: pid_t, signal: i32) -> Sys {
    // SAFETY: callers name only processes (groups) that they started.
    zero(unsafe { libc::kill(pid, signal) })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Exited(i32),
    Killed(i32),
    Stopped(i32),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Status::Exited(code) => write!(f, "exit status {code}"),
            Status::Killed(signal) => write!(f, "died of {}", signal_name(*signal)),
            Status::Stopped(signal) => write!(f, "stopped by {}", signal_name(*signal)),
        }
    }
}

fn wait_with(pid: pid_t, flags: c_int) -> Sys<Option<Status>> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is ours to fill.
        let got = unsafe { libc::waitpid(pid, &mut status, flags) };
        match got {
            0 => return Ok(None),
            -1 if Errno::last().0 == libc::EINTR => {}
            -1 => return Err(Errno::last()),
            _ => break,
        }
    }
    Ok(Some(if libc::WIFEXITED(status) {
        Status::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSTOPPED(status) {
        Status::Stopped(libc::WSTOPSIG(status))
    } else {
        Status::Killed(libc::WTERMSIG(status))
    }))
}

/// Waits for the end of a child.
pub fn wait(pid: pid_t) -> Sys<Status> {
    wait_with(pid, 0).map(|status| status.unwrap_or(Status::Exited(0)))
}

/// Waits for the end of a child, or until it is stopped.
pub fn wait_stopped(pid: pid_t) -> Sys<Status> {
    wait_with(pid, libc::WUNTRACED).map(|status| status.unwrap_or(Status::Exited(0)))
}

/// The end of a child, if it has ended.
pub fn wait_now(pid: pid_t) -> Sys<Option<Status>> {
    wait_with(pid, libc::WNOHANG)
}

fn argument_vector(args: &[String]) -> (Vec<CString>, Vec<*mut libc::c_char>) {
    let strings: Vec<CString> = args.iter().map(|arg| c_string(arg)).collect();
    let mut pointers: Vec<*mut libc::c_char> = strings.iter().map(|s| s.as_ptr().cast_mut()).collect();
    pointers.push(std::ptr::null_mut());
    (strings, pointers)
}

unsafe extern "C" {
    static environ: *const *mut libc::c_char;
    fn vfork() -> pid_t;
}

/// Replaces this program; returns only when that fails.
pub fn exec(args: &[String]) -> Errno {
    let (strings, pointers) = argument_vector(args);
    // SAFETY: a NUL-terminated path and a null-terminated vector of NUL-terminated strings.
    unsafe { libc::execv(strings[0].as_ptr(), pointers.as_ptr().cast()) };
    Errno::last()
}

/// posix_spawn(3C) of a program with this one's environment.
pub fn spawn(args: &[String]) -> Sys<pid_t> {
    let (strings, pointers) = argument_vector(args);
    let mut pid = 0;
    // SAFETY: reading a pointer that the C library keeps; nobody changes the environment.
    let environment = unsafe { environ };
    // SAFETY: NUL-terminated strings in null-terminated vectors; no file actions, no attributes.
    let result = unsafe {
        libc::posix_spawn(
            &mut pid,
            strings[0].as_ptr(),
            std::ptr::null(),
            std::ptr::null(),
            pointers.as_ptr(),
            environment,
        )
    };
    if result == 0 { Ok(pid) } else { Err(Errno(result)) }
}

/// vfork(2) and exec of a program with this one's environment.
#[inline(never)]
pub fn vfork_exec(args: &[String]) -> Sys<pid_t> {
    let (strings, pointers) = argument_vector(args);
    let (path, vector): (*const libc::c_char, *const *const libc::c_char) =
        (strings[0].as_ptr(), pointers.as_ptr().cast());
    // SAFETY: the child does nothing but exec or _exit and changes no variable of the frame it shares.
    let pid = unsafe { vfork() };
    if pid == 0 {
        // SAFETY: as in `exec`.
        unsafe { libc::execv(path, vector) };
        exit_now(127);
    }
    if pid < 0 { Err(Errno::last()) } else { Ok(pid) }
}

/// Registers what pthread_atfork(3C) runs before fork, and in the parent and in the child before fork returns.
pub fn at_fork(prepare: Option<extern "C" fn()>, parent: extern "C" fn(), child: extern "C" fn()) -> Sys {
    // SAFETY: the functions exist as long as the program.
    match unsafe { at_fork_call(prepare, Some(parent), Some(child)) } {
        0 => Ok(()),
        errno => Err(Errno(errno)),
    }
}

unsafe extern "C" {
    #[link_name = "pthread_atfork"]
    fn at_fork_call(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
}

/// Limits a resource of this process (soft limit only).
pub fn set_soft_limit(what: i32, value: u64) -> Sys {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours to fill.
    zero(unsafe { libc::getrlimit(what as _, &mut limit) })?;
    limit.rlim_cur = value.min(limit.rlim_max);
    // SAFETY: a filled-in limit.
    zero(unsafe { libc::setrlimit(what as _, &limit) })
}

/// Returns the soft limit of a resource of this process.
pub fn soft_limit(what: i32) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours to fill.
    unsafe { libc::getrlimit(what as _, &mut limit) };
    limit.rlim_cur
}

/// Returns the number of descriptors that this process may have.
pub fn descriptor_limit() -> u64 {
    soft_limit(libc::RLIMIT_NOFILE as i32)
}

// ---- signals ----

pub fn signal_name(signal: i32) -> String {
    let known = [
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGSTOP, "SIGSTOP"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGTRAP, "SIGTRAP"),
    ];
    match known.iter().find(|(value, _)| *value == signal) {
        Some((_, name)) => (*name).to_string(),
        None => format!("signal {signal}"),
    }
}

pub type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// sigaction(2) with a handler that gets the details. `flags` besides SA_SIGINFO.
pub fn handle(signal: i32, handler: Handler, flags: i32) -> Sys {
    // SAFETY: all zeros is a valid action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = (libc::SA_SIGINFO | flags) as _;
    // SAFETY: a filled-in action; our handlers do only what a handler may.
    zero(unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) })
}

/// The handler address and flags that sigaction(2) says are installed.
pub fn handler_of(signal: i32) -> Sys<(usize, i32)> {
    // SAFETY: all zeros is a valid action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: `action` is ours to fill.
    zero(unsafe { libc::sigaction(signal, std::ptr::null(), &mut action) })?;
    Ok((action.sa_sigaction, action.sa_flags as i32))
}

/// signal(3C) with SIG_DFL or SIG_IGN.
pub fn plain_disposition(signal: i32, disposition: usize) {
    // SAFETY: only SIG_DFL and SIG_IGN are passed.
    unsafe { libc::signal(signal, disposition) };
}

pub fn block(signal: i32) -> Sys {
    change_mask(libc::SIG_BLOCK, signal)
}

fn change_mask(how: i32, signal: i32) -> Sys {
    // SAFETY: all zeros is storage for a set.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is ours to fill.
    unsafe { libc::sigemptyset(&mut set) };
    // SAFETY: an initialised set.
    unsafe { libc::sigaddset(&mut set, signal) };
    // SAFETY: an initialised set.
    match unsafe { libc::pthread_sigmask(how, &set, std::ptr::null_mut()) } {
        0 => Ok(()),
        errno => Err(Errno(errno)),
    }
}

/// Returns whether the signal is blocked in this thread. May be called in a handler.
pub fn is_blocked(signal: i32) -> bool {
    // SAFETY: all zeros is storage for a set.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is ours to fill.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut set) };
    // SAFETY: pthread_sigmask filled it in.
    unsafe { libc::sigismember(&set, signal) == 1 }
}

/// Sets this thread's signal mask to one that a handler's context carried.
pub fn set_mask(mask: &libc::sigset_t) {
    // SAFETY: an initialised set.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) };
}

/// Gives this thread a signal stack of `len` bytes that lives as long as the program; its range.
pub fn signal_stack(len: usize) -> Sys<(usize, usize)> {
    let base = mmap(0, len, libc::PROT_READ | libc::PROT_WRITE, os::ANONYMOUS, -1, 0)?;
    let stack = libc::stack_t { ss_sp: base as *mut c_void, ss_flags: 0, ss_size: len };
    // SAFETY: fresh memory that is never unmapped.
    zero(unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) })?;
    Ok((base, base + len))
}

// ---- the program itself ----

/// The path of this program.
pub fn own_program() -> String {
    std::env::current_exe().map_or_else(|_| "usr-tests".into(), |path| path.to_string_lossy().into_owned())
}
