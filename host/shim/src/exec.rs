//! exec(2) and spawning: the new program is a client too, whatever environment it is given.

use core::arch::naked_asm;
use core::ffi::{c_char, c_int, c_void};

use crate::real::{self, errno};
use crate::{link, node, reach, state, sys};

type Strings = *const *const c_char;

unsafe extern "C" {
    static environ: Strings;
}

/// Most variables that an environment may have to be completed.
const MOST: usize = 8192;

/// Returns whether `entry` starts with `name` and an equals sign.
fn is(entry: *const c_char, name: &[u8]) -> bool {
    // SAFETY: entries are strings, so reading stops at the NUL, which no name holds.
    let at = |i: usize| unsafe { entry.wrapping_add(i).read() } as u8;
    name.iter().enumerate().all(|(i, &b)| at(i) == b) && at(name.len()) == b'='
}

/// An environment with what the shim needs in it. If something was missing, it lies in memory of its own.
///
/// # Invariants
/// `list` is null or a list of strings that ends with null, and lasts as long as the value or, if `len` is 0, as the program's own. `len` bytes at `list` are a mapping that is
/// the value's.
struct Environment {
    list: Strings,
    len: usize,
}

impl Environment {
    /// Completes an environment.
    ///
    /// # Errors
    /// No program is to be started: [`reach::before_exec`].
    ///
    /// # Safety
    /// `list` is null or a list of strings that ends with null.
    unsafe fn complete(list: Strings) -> Result<Environment, c_int> {
        reach::before_exec(link::reaches_host)?;
        let plain = Environment { list, len: 0 };
        let Some(host) = state::host() else { return Ok(plain) };
        let entry = |i: usize| {
            if list.is_null() {
                return core::ptr::null();
            }
            // SAFETY: by the caller; nobody goes past the null.
            unsafe { list.wrapping_add(i).read() }
        };
        let (mut count, mut socket, mut preload) = (0, false, None);
        while count < MOST && !entry(count).is_null() {
            if is(entry(count), ddi_wire::ENV.as_bytes()) {
                socket = true;
            }
            if is(entry(count), b"LD_PRELOAD") {
                preload = Some(count);
            }
            count += 1;
        }
        let ours = host.preload.as_slice();
        if socket && preload.is_some_and(|i| contains(entry(i), ours)) || count == MOST {
            return Ok(plain);
        }
        // Room for the list, two more entries, the null, and a joined LD_PRELOAD.
        let joined = preload.map_or(0, |i| length(entry(i)) + ours.len() + 2);
        let len = (count + 4) * 8 + joined;
        let Ok(at) = sys::map_memory(len as u64) else { return Ok(plain) };
        let mut n = 0;
        let mut put = |s: *const c_char| {
            // SAFETY: at most `count` + 3 entries are written.
            let slot = unsafe { (at as *mut *const c_char).add(n) };
            // SAFETY: as above.
            unsafe { slot.write(s) };
            n += 1;
        };
        for i in 0..count {
            let e = entry(i);
            if !is(e, ddi_wire::ENV.as_bytes()) && Some(i) != preload {
                put(e);
            }
        }
        put(host.socket.as_ptr().cast());
        match preload {
            None => put(ours.as_ptr().cast()),
            Some(i) if contains(entry(i), ours) => put(entry(i)),
            Some(i) => {
                let text = at + ((count + 4) * 8) as u64;
                join(text as *mut u8, ours, entry(i));
                put(text as *const c_char);
            }
        }
        put(core::ptr::null());
        Ok(Environment { list: at as Strings, len })
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: the value's own mapping, by the invariant; exec has failed, or spawn has copied it.
            let _ = unsafe { sys::munmap(self.list as u64, self.len as u64) };
        }
    }
}

fn length(s: *const c_char) -> usize {
    // SAFETY: entries are strings.
    unsafe { core::ffi::CStr::from_ptr(s) }.to_bytes().len()
}

/// Returns whether an `LD_PRELOAD=` entry names our library.
fn contains(entry: *const c_char, ours: &[u8]) -> bool {
    let Some(path) = ours.strip_prefix(b"LD_PRELOAD=").and_then(|p| p.strip_suffix(b"\0")) else {
        return true;
    };
    // SAFETY: entries are strings.
    let entry = unsafe { core::ffi::CStr::from_ptr(entry) }.to_bytes();
    entry.split(|b| matches!(b, b'=' | b':' | b' ')).any(|p| p == path)
}

/// Writes our entry, a colon, and the value of theirs.
fn join(to: *mut u8, ours: &[u8], theirs: *const c_char) {
    // SAFETY: entries are strings.
    let theirs = unsafe { core::ffi::CStr::from_ptr(theirs) }.to_bytes_with_nul();
    let value = theirs.strip_prefix(b"LD_PRELOAD=").unwrap_or_default();
    let parts = ours.iter().take(ours.len() - 1).chain(b":").chain(value);
    for (i, &b) in parts.enumerate() {
        // SAFETY: the caller has counted the room.
        let place = unsafe { to.add(i) };
        // SAFETY: as above.
        unsafe { place.write(b) };
    }
}

/// # Safety
/// As for execve(2).
unsafe fn exec(path: *const c_char, argv: Strings, env: Strings) -> c_int {
    // SAFETY: the caller passes an environment.
    let Ok(env) = (unsafe { Environment::complete(env) }) else { return real::fail(libc::EPERM) };
    let path = program(path);
    let real = real!(execve: fn(*const c_char, Strings, Strings) -> c_int);
    // SAFETY: the caller's arguments.
    unsafe { real(path, argv, env.list) }
}

/// Returns the file that is run for a path: for a command of the host's it is the host's program, which knows by its name what it is to do.
fn program(path: *const c_char) -> *const c_char {
    let named = node::named(libc::AT_FDCWD, path);
    match state::host() {
        Some(host) if named.is_some_and(|n| node::is_program(n.node.mode)) => host.program.as_ptr().cast(),
        _ => path,
    }
}

/// The host's program, if a file that was not found in PATH is a command of the host's.
fn command(file: *const c_char) -> Option<*const c_char> {
    let host = state::host()?;
    node::command(file).then_some(host.program.as_ptr().cast())
}

/// # Safety
/// As for execvpe(3).
unsafe fn exec_path(file: *const c_char, argv: Strings, env: Strings) -> c_int {
    // SAFETY: the caller passes an environment.
    let Ok(env) = (unsafe { Environment::complete(env) }) else { return real::fail(libc::EPERM) };
    let real = real!(execvpe: fn(*const c_char, Strings, Strings) -> c_int);
    // SAFETY: the caller's arguments.
    let failed = unsafe { real(file, argv, env.list) };
    match command(file) {
        // SAFETY: the caller's arguments, and a path that is a string.
        Some(path) if errno() == libc::ENOENT => unsafe { exec(path, argv, env.list) },
        _ => failed,
    }
}

fn own() -> Strings {
    // SAFETY: the C library's variable.
    unsafe { environ }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn execve(path: *const c_char, argv: Strings, env: Strings) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { exec(path, argv, env) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn execv(path: *const c_char, argv: Strings) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { exec(path, argv, own()) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn execvp(file: *const c_char, argv: Strings) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { exec_path(file, argv, own()) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn execvpe(file: *const c_char, argv: Strings, env: Strings) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { exec_path(file, argv, env) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fexecve(fd: c_int, argv: Strings, env: Strings) -> c_int {
    // SAFETY: the caller passes an environment.
    let Ok(env) = (unsafe { Environment::complete(env) }) else { return real::fail(libc::EPERM) };
    let real = real!(fexecve: fn(c_int, Strings, Strings) -> c_int);
    // SAFETY: the caller's arguments.
    unsafe { real(fd, argv, env.list) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn execveat(
    dir: c_int,
    path: *const c_char,
    argv: Strings,
    env: Strings,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller passes an environment.
    let Ok(env) = (unsafe { Environment::complete(env) }) else { return real::fail(libc::EPERM) };
    let real = real!(execveat: fn(c_int, *const c_char, Strings, Strings, c_int) -> c_int);
    // SAFETY: the caller's arguments.
    unsafe { real(dir, path, argv, env.list, flags) }
}

type Spawn = unsafe extern "C" fn(
    *mut libc::pid_t,
    *const c_char,
    *const c_void,
    *const c_void,
    Strings,
    Strings,
) -> c_int;

fn real_spawn() -> Spawn {
    real!(posix_spawn: fn(*mut libc::pid_t, *const c_char, *const c_void, *const c_void, Strings, Strings) -> c_int)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_spawn(
    pid: *mut libc::pid_t,
    path: *const c_char,
    actions: *const c_void,
    attr: *const c_void,
    argv: Strings,
    env: Strings,
) -> c_int {
    // SAFETY: the caller passes an environment.
    let Ok(env) = (unsafe { Environment::complete(env) }) else { return libc::EPERM };
    let path = program(path);
    // SAFETY: the caller's arguments.
    unsafe { real_spawn()(pid, path, actions, attr, argv, env.list) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_spawnp(
    pid: *mut libc::pid_t,
    file: *const c_char,
    actions: *const c_void,
    attr: *const c_void,
    argv: Strings,
    env: Strings,
) -> c_int {
    // SAFETY: the caller passes an environment.
    let Ok(env) = (unsafe { Environment::complete(env) }) else { return libc::EPERM };
    let real = real!(posix_spawnp: fn(*mut libc::pid_t, *const c_char, *const c_void, *const c_void, Strings, Strings) -> c_int);
    let path = program(file);
    // SAFETY: the caller's arguments.
    let error = unsafe { real(pid, path, actions, attr, argv, env.list) };
    match command(file) {
        // SAFETY: the caller's arguments, and a path that is a string.
        Some(path) if error == libc::ENOENT => unsafe {
            real_spawn()(pid, path, actions, attr, argv, env.list)
        },
        _ => error,
    }
}

/// After execl's last argument null comes, for execle, the environment.
///
/// # Safety
/// `argv` is a list of strings that ends with null; with `env`, an environment follows it.
unsafe extern "C" fn listed(path: *const c_char, argv: Strings, kind: c_int) -> c_int {
    match kind {
        // SAFETY: by the caller.
        0 => unsafe { exec(path, argv, own()) },
        // SAFETY: by the caller.
        1 => unsafe { exec_path(path, argv, own()) },
        _ => {
            let mut end = argv;
            // SAFETY: by the caller.
            while !unsafe { end.read() }.is_null() {
                end = end.wrapping_add(1);
            }
            // SAFETY: by the caller.
            let env = unsafe { end.wrapping_add(1).cast::<Strings>().read() };
            // SAFETY: by the caller.
            unsafe { exec(path, argv, env) }
        }
    }
}

// The arguments of execl are partly in registers, partly on the stack. With the return address out of the way, pushing the registers makes them one list.
macro_rules! lists {
    ($($name:ident = $kind:literal),*) => {$(
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                "pop rax",
                "push r9",
                "push r8",
                "push rcx",
                "push rdx",
                "push rsi",
                "mov rsi, rsp",
                "push rbp",
                "mov rbp, rsp",
                "push rax",
                "and rsp, -16",
                concat!("mov edx, ", $kind),
                "call {listed}",
                "mov rcx, [rbp - 8]",
                "mov rsp, rbp",
                "pop rbp",
                "add rsp, 40",
                "push rcx",
                "ret",
                listed = sym listed,
            )
        }
    )*};
}

lists!(execl = 0, execlp = 1, execle = 2);
