//! exec(2) and spawning: the new program is a client too, whatever environment it is given.

use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::marker::PhantomData;

use crate::real::{self, As, Passed, errno};
use crate::scratch::Scratch;
use crate::{link, node, reach, state};

type List = *const *const c_char;

unsafe extern "C" {
    static environ: List;
}

/// Most variables that an environment may have to be completed.
const MOST: usize = 8192;

/// A string of the program's, or of the host's.
///
/// # Invariants
/// A string by the promise of an interposed function's caller, or one that lasts for `'a`.
#[derive(Clone, Copy)]
struct Text<'a>(*const c_char, PhantomData<&'a CStr>);

impl Passed for Text<'_> {
    type C = *const c_char;

    unsafe fn of(c: *const c_char) -> Self {
        Text(c, PhantomData)
    }

    fn c(self) -> *const c_char {
        self.0
    }
}

/// A list of strings: arguments, or an environment.
///
/// # Invariants
/// Null, or a list of strings that ends with null; list and strings last for `'a`.
#[derive(Clone, Copy)]
struct Strings<'a>(List, PhantomData<&'a CStr>);

impl Passed for Strings<'_> {
    type C = List;

    unsafe fn of(c: List) -> Self {
        Strings(c, PhantomData)
    }

    fn c(self) -> List {
        self.0
    }
}

impl<'a> Strings<'a> {
    /// Returns the strings.
    fn iter(self) -> impl Iterator<Item = &'a CStr> {
        (0..).take_while(move |_| !self.0.is_null()).map_while(move |i| {
            // SAFETY: by the invariant; the iterator ends at the null.
            let entry = unsafe { self.0.wrapping_add(i).read() };
            // SAFETY: by the invariant, unless it is the null.
            (!entry.is_null()).then(|| unsafe { CStr::from_ptr(entry) })
        })
    }

    /// Returns this process's environment.
    fn own() -> Self {
        // SAFETY: the C library's variable.
        let list = unsafe { environ };
        // SAFETY: the C library keeps it a list of strings, which the program leaves alone while it executes another.
        unsafe { Strings::of(list) }
    }
}

/// Returns the value of an environment's entry if its name is this one.
fn value<'a>(entry: &'a CStr, name: &[u8]) -> Option<&'a [u8]> {
    entry.to_bytes().strip_prefix(name)?.strip_prefix(b"=")
}

/// An environment that has the shim's variables. It is a copy, in mapped memory, if some were missing.
struct Environment<'a> {
    list: Strings<'a>,
    /// Memory of the list and of its new strings.
    _own: Option<Scratch>,
}

impl<'a> Environment<'a> {
    /// Completes an environment.
    ///
    /// # Errors
    /// No program is to be started: [`reach::before_exec`].
    fn complete(list: Strings<'a>) -> Result<Environment<'a>, c_int> {
        reach::before_exec(link::reaches_host)?;
        Ok(Self::completed(list).unwrap_or(Environment { list, _own: None }))
    }

    /// Returns a copy with the missing variables; `None` if none is missing, or no memory can be mapped.
    fn completed(list: Strings<'a>) -> Option<Environment<'a>> {
        let host = state::host()?;
        let ours = CStr::from_bytes_until_nul(host.preload.as_slice()).ok()?;
        let path = value(ours, b"LD_PRELOAD")?;
        let has = |value: &[u8]| value.split(|b| matches!(b, b'=' | b':' | b' ')).any(|p| p == path);
        let socket = list.iter().any(|entry| value(entry, ddi_wire::ENV.as_bytes()).is_some());
        let preload = list.iter().filter_map(|entry| value(entry, b"LD_PRELOAD")).last();
        let count = list.iter().take(MOST).count();
        if socket && preload.is_some_and(has) || count == MOST {
            return None;
        }
        // What is added to ours behind a colon.
        let more = preload.filter(|value| !has(value));
        // Room for the list, two more entries, the null, and a joined LD_PRELOAD.
        let joined = ours.count_bytes() + more.map_or(0, |more| 1 + more.len()) + 1;
        let own = Scratch::new((count + 3) * size_of::<usize>() + joined).ok()?;
        let entries = own.take::<usize>(count + 3).ok()?;
        let text = own.take::<u8>(joined).ok()?;
        let parts = ours.to_bytes().iter().chain(more.map(|_| &b':')).chain(more.unwrap_or_default());
        text.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        let kept = |entry: &&CStr| {
            let preload = value(entry, b"LD_PRELOAD");
            value(entry, ddi_wire::ENV.as_bytes()).is_none() && preload.is_none_or(has)
        };
        let missing = preload.is_none_or(|value| !has(value)).then_some(text.as_ptr().expose_provenance());
        let rest = [host.socket.as_ptr().expose_provenance()].into_iter().chain(missing);
        let all = list.iter().filter(kept).map(|entry| entry.as_ptr().expose_provenance()).chain(rest);
        entries.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        let at: List = entries.as_ptr().cast();
        // SAFETY: strings of the list, of the host's and the one in `own`; what is behind them is zero.
        Some(Environment { list: unsafe { Strings::of(at) }, _own: Some(own) })
    }
}

/// Returns the file that is run for a path. A command of the host's is the host's own program, which selects the command by the name it is run as.
fn program(path: Text<'_>) -> Text<'_> {
    let named = node::named(libc::AT_FDCWD, path.c());
    if named.is_some_and(|n| node::is_program(n.node.mode)) { hosts_program().unwrap_or(path) } else { path }
}

/// Returns the host's program, if a file that was not found in PATH is a command of the host's.
fn command(file: Text<'_>) -> Option<Text<'static>> {
    if node::command(file.c()) { hosts_program() } else { None }
}

fn hosts_program() -> Option<Text<'static>> {
    let path = CStr::from_bytes_with_nul(&state::host()?.program).ok()?;
    Some(Text(path.as_ptr(), PhantomData))
}

fn exec(path: Text<'_>, argv: Strings<'_>, env: Strings<'_>) -> c_int {
    let Ok(env) = Environment::complete(env) else { return real::fail(libc::EPERM) };
    let real = real!(execve: fn(*const c_char, List, List) -> c_int);
    // SAFETY: strings and lists of strings, by the invariants of their types.
    unsafe { real(program(path).c(), argv.c(), env.list.c()) }
}

fn exec_path(file: Text<'_>, argv: Strings<'_>, env: Strings<'_>) -> c_int {
    let Ok(completed) = Environment::complete(env) else { return real::fail(libc::EPERM) };
    let real = real!(execvpe: fn(*const c_char, List, List) -> c_int);
    // SAFETY: as in `exec`.
    let failed = unsafe { real(file.c(), argv.c(), completed.list.c()) };
    match command(file) {
        Some(path) if errno() == libc::ENOENT => exec(path, argv, env),
        _ => failed,
    }
}

/// Place for the number of a spawned process, and its actions and attributes.
type Order = (As<*mut libc::pid_t>, As<*const c_void>, As<*const c_void>);

fn spawn(path: Text<'_>, (pid, actions, attr): Order, argv: Strings<'_>, env: &Environment<'_>) -> c_int {
    let real = real!(posix_spawn: fn(*mut libc::pid_t, *const c_char, *const c_void, *const c_void, List, List) -> c_int);
    // SAFETY: strings and lists of strings, by the invariants of their types, and what the program has passed.
    unsafe { real(pid.c(), path.c(), actions.c(), attr.c(), argv.c(), env.list.c()) }
}

interpose! {
    fn [execve](path: Text<'_>, argv: Strings<'_>, env: Strings<'_>) -> c_int = |_original(..)| {
        exec(path, argv, env)
    }

    fn [execv](path: Text<'_>, argv: Strings<'_>) -> c_int = |_original(..)| {
        exec(path, argv, Strings::own())
    }

    fn [execvp](file: Text<'_>, argv: Strings<'_>) -> c_int = |_original(..)| {
        exec_path(file, argv, Strings::own())
    }

    fn [execvpe](file: Text<'_>, argv: Strings<'_>, env: Strings<'_>) -> c_int = |_original(..)| {
        exec_path(file, argv, env)
    }

    fn [fexecve](fd: As<c_int>, argv: Strings<'_>, env: Strings<'_>) -> c_int = |original(..)| {
        match Environment::complete(env) {
            Ok(env) => original(fd, argv, env.list),
            Err(_) => real::fail(libc::EPERM),
        }
    }

    fn [execveat](
        dir: As<c_int>, path: Text<'_>, argv: Strings<'_>, env: Strings<'_>, flags: As<c_int>,
    ) -> c_int = |original(..)| {
        match Environment::complete(env) {
            Ok(env) => original(dir, path, argv, env.list, flags),
            Err(_) => real::fail(libc::EPERM),
        }
    }

    fn [posix_spawn](
        pid: As<*mut libc::pid_t>, path: Text<'_>, actions: As<*const c_void>, attr: As<*const c_void>,
        argv: Strings<'_>, env: Strings<'_>,
    ) -> c_int = |_original(..)| {
        match Environment::complete(env) {
            Ok(env) => spawn(program(path), (pid, actions, attr), argv, &env),
            Err(_) => libc::EPERM,
        }
    }

    fn [posix_spawnp](
        pid: As<*mut libc::pid_t>, file: Text<'_>, actions: As<*const c_void>, attr: As<*const c_void>,
        argv: Strings<'_>, env: Strings<'_>,
    ) -> c_int = |original(..)| {
        let Ok(env) = Environment::complete(env) else { return libc::EPERM };
        let error = original(pid, program(file), actions, attr, argv, env.list);
        match command(file) {
            Some(path) if error == libc::ENOENT => spawn(path, (pid, actions, attr), argv, &env),
            _ => error,
        }
    }
}

/// After execl's last argument null comes, for execle, the environment.
///
/// # Safety
/// `path` is a string, `argv` a list of strings that ends with null; with `kind` 2, an environment follows it.
unsafe extern "C" fn listed(path: *const c_char, argv: List, kind: c_int) -> c_int {
    // SAFETY: by the caller.
    let path = unsafe { Text::of(path) };
    // SAFETY: by the caller.
    let argv = unsafe { Strings::of(argv) };
    match kind {
        0 => exec(path, argv, Strings::own()),
        1 => exec_path(path, argv, Strings::own()),
        _ => {
            let behind = argv.c().wrapping_add(argv.iter().count() + 1).cast::<List>();
            // SAFETY: by the caller.
            let env = unsafe { behind.read() };
            // SAFETY: by the caller.
            exec(path, argv, unsafe { Strings::of(env) })
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
