//! Starting programs as clients.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use super::Server;
use super::server::Shared;

/// The shim, as host/build.rs built it.
static SHIM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libddi_shim.so"));
/// How long a program's orphans may take to end by themselves.
const GRACE: Duration = Duration::from_secs(2);

/// A program to run.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Name or path; a name without a slash is looked for in `PATH`.
    pub path: PathBuf,
    /// Arguments after the program's name.
    pub args: Vec<OsString>,
    /// Environment variables to add or replace.
    pub env: Vec<(OsString, OsString)>,
}

/// Why a program cannot be run as a client.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No such file.
    #[error("{}: not found", .0.display())]
    NotFound(PathBuf),
    /// Not a program.
    #[error("{}: not executable", .0.display())]
    NotExecutable(PathBuf),
    /// The shim cannot be preloaded into it.
    #[error("{}: is statically linked; only dynamically linked programs can use the devices", .0.display())]
    Static(PathBuf),
    /// Linux ignores LD_PRELOAD for it.
    #[error("{}: runs with another user's or group's rights, so it cannot use the devices", .0.display())]
    Privileged(PathBuf),
    /// For another machine.
    #[error("{}: is not a 64-bit x86 program", .0.display())]
    OtherMachine(PathBuf),
    /// Anything else.
    #[error("{}: {error}", .path.display())]
    System {
        /// The program.
        path: PathBuf,
        /// What Linux said.
        error: io::Error,
    },
}

/// Says whether a program (name or path) can be a client, and where it is. Scripts are followed to their interpreter.
///
/// # Errors
/// Why not.
pub fn check_program(path: &Path) -> Result<PathBuf, LaunchError> {
    let found = if path.as_os_str().as_bytes().contains(&b'/') {
        path.to_path_buf()
    } else {
        let dirs = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        let mut tried = std::env::split_paths(&dirs).map(|d| d.join(path)).filter(|p| p.is_file());
        tried.next().ok_or_else(|| LaunchError::NotFound(path.into()))?
    };
    check_file(&found, 0)?;
    Ok(found)
}

fn check_file(path: &Path, depth: u32) -> Result<(), LaunchError> {
    let system = |error| LaunchError::System { path: path.into(), error };
    let meta = std::fs::metadata(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => LaunchError::NotFound(path.into()),
        _ => system(e),
    })?;
    let can_run = rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    if !meta.is_file() || !can_run {
        return Err(LaunchError::NotExecutable(path.into()));
    }
    let other_user = meta.mode() & 0o4000 != 0 && meta.uid() != rustix::process::geteuid().as_raw();
    let other_group = meta.mode() & 0o2010 == 0o2010 && meta.gid() != rustix::process::getegid().as_raw();
    if other_user || other_group {
        return Err(LaunchError::Privileged(path.into()));
    }
    // A program that may be run but not read is taken on trust.
    let Ok(file) = File::open(path) else { return Ok(()) };
    let mut file = BufReader::new(file);
    let mut head = Vec::new();
    file.by_ref().take(64).read_to_end(&mut head).map_err(system)?;
    if let Some(rest) = head.strip_prefix(b"#!") {
        let mut line = rest.to_vec();
        if !line.contains(&b'\n') {
            file.take(256).read_until(b'\n', &mut line).map_err(system)?;
        }
        let line = line.split(|&b| b == b'\n').next().unwrap_or_default().trim_ascii();
        let interpreter = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        if interpreter.is_empty() || depth > 4 {
            return Err(LaunchError::NotExecutable(path.into()));
        }
        return check_file(Path::new(OsStr::from_bytes(interpreter)), depth + 1);
    }
    if head.len() < 64 || !head.starts_with(b"\x7fELF") {
        return Err(LaunchError::NotExecutable(path.into()));
    }
    let half = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    if head[4] != 2 || half(18) != 62 {
        return Err(LaunchError::OtherMachine(path.into()));
    }
    let bytes = std::fs::read(path).map_err(system)?;
    if has_interpreter(&bytes) { Ok(()) } else { Err(LaunchError::Static(path.into())) }
}

/// Has a 64-bit ELF file a PT_INTERP program header?
fn has_interpreter(elf: &[u8]) -> bool {
    let word =
        |at: usize| elf.get(at..at + 8).map(|b| u64::from_le_bytes(std::array::from_fn(|i| b[i])) as usize);
    let half = |at: usize| elf.get(at..at + 2).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    let (Some(start), Some(size), Some(count)) = (word(32), half(54), half(56)) else { return false };
    (0..count).any(|i| {
        let at = start.saturating_add(i * size);
        elf.get(at..at.saturating_add(4)).is_some_and(|t| t == [3, 0, 0, 0])
    })
}

/// The shim in a memfd, from which clients load it.
pub(super) fn shim() -> io::Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags};
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // A system may have non-executable memfds by default; older ones do not know the flag.
    let fd = rustix::fs::memfd_create("ddi-shim", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("ddi-shim", flags))?;
    let mut rest = SHIM;
    while !rest.is_empty() {
        let n = rustix::io::write(&fd, rest)?;
        rest = &rest[n..];
    }
    rustix::fs::fcntl_add_seals(
        &fd,
        SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL,
    )?;
    Ok(fd)
}

/// The child that SIGTERM and SIGHUP are passed on to.
static FOREGROUND: AtomicI32 = AtomicI32::new(0);

extern "C" fn pass_on(signo: libc::c_int) {
    let pid = FOREGROUND.load(Ordering::Relaxed);
    if pid > 0 {
        // SAFETY: a plain system call, safe in a signal handler.
        unsafe { libc::kill(pid, signo) };
    }
}

fn set_action(signo: i32, handler: libc::sighandler_t) -> libc::sigaction {
    // SAFETY: all-zero is a valid sigaction.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    new.sa_sigaction = handler;
    new.sa_flags = libc::SA_RESTART;
    // SAFETY: as above.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: both point to valid structures; the handler is async-signal-safe.
    unsafe { libc::sigaction(signo, &new, &mut old) };
    old
}

/// Leaves terminal signals to the program in the foreground while it runs.
struct Signals {
    before: Vec<(i32, libc::sigaction)>,
}

impl Signals {
    fn hand_over() -> Signals {
        let pass = pass_on as *const () as libc::sighandler_t;
        let actions = [
            (libc::SIGINT, libc::SIG_IGN),
            (libc::SIGQUIT, libc::SIG_IGN),
            (libc::SIGTERM, pass),
            (libc::SIGHUP, pass),
        ];
        Signals { before: actions.map(|(s, h)| (s, set_action(s, h))).to_vec() }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        FOREGROUND.store(0, Ordering::Relaxed);
        for (signo, action) in &self.before {
            // SAFETY: an action that was in force before.
            unsafe { libc::sigaction(*signo, action, std::ptr::null_mut()) };
        }
    }
}

/// Runs a program in the foreground, to its end, as a client of a server in another process, whose environment is among the program's. Orphans of
/// the program are reaped meanwhile; those that live on are left to whoever comes next. Returns the program's exit status, 128 + the
/// signal's number if one killed it.
///
/// # Errors
/// See [`LaunchError`].
pub fn run_elsewhere(program: &Program) -> Result<i32, LaunchError> {
    let path = check_program(&program.path)?;
    let system = |error| LaunchError::System { path: program.path.clone(), error };
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(|e| system(e.into()))?;
    let _signals = Signals::hand_over();
    let mut command = Command::new(&path);
    command.arg0(&program.path).args(&program.args).envs(program.env.iter().cloned());
    let before_exec = || {
        for s in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP] {
            set_action(s, libc::SIG_DFL);
        }
        Ok(())
    };
    // SAFETY: the closure makes only async-signal-safe system calls.
    unsafe { command.pre_exec(before_exec) };
    let child = command.spawn().map_err(system)?.id().cast_signed();
    FOREGROUND.store(child, Ordering::Relaxed);
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place.
        let ended = unsafe { libc::waitpid(-1, &mut status, libc::__WALL) };
        if ended == child {
            FOREGROUND.store(0, Ordering::Relaxed);
            return Ok(match libc::WIFSIGNALED(status) {
                true => 128 + libc::WTERMSIG(status),
                false => libc::WEXITSTATUS(status),
            });
        }
        if ended < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(system(error));
            }
        }
    }
}

impl Server {
    /// Runs a program as a client, in the foreground, to its end, and then sees that nothing it left behind goes on: what does not end by itself within two
    /// seconds is killed. Returns the program's exit status, 128 + the signal's number if one killed it.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub fn run(&self, program: &Program) -> Result<i32, LaunchError> {
        let signals = Signals::hand_over();
        let mut child = self.start_program(program, true)?;
        FOREGROUND.store(child.id().cast_signed(), Ordering::Relaxed);
        let status =
            child.wait().map_err(|error| LaunchError::System { path: program.path.clone(), error })?;
        drop(signals);
        self.finish(&child);
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    /// Starts a program as a client. Call [`finish`](Server::finish) once it has been waited for.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub fn spawn(&self, program: &Program) -> Result<Child, LaunchError> {
        self.start_program(program, false)
    }

    fn start_program(&self, program: &Program, foreground: bool) -> Result<Child, LaunchError> {
        let path = check_program(&program.path)?;
        let mut command = Command::new(&path);
        command.arg0(&program.path).args(&program.args).envs(program.env.iter().cloned());
        command.envs(self.environment());
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let files = rustix::process::Rlimit { current: self.files, ..files };
        let before_exec = move || {
            let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, files);
            if foreground {
                for s in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP] {
                    set_action(s, libc::SIG_DFL);
                }
            }
            Ok(())
        };
        // SAFETY: the closure makes only async-signal-safe system calls.
        unsafe { command.pre_exec(before_exec) };
        // Held so that the process is known as waited for before it can end.
        let mut waited = self.shared.waited.lock();
        let child = command.spawn().map_err(|error| LaunchError::System { path, error })?;
        waited.insert(child.id().cast_signed());
        Ok(child)
    }

    /// Waits for what a program that has ended left running: all processes that use the devices, and what was started with the shim and became our
    /// child. After two seconds they are killed. When several programs run at once, wait for all of them first.
    pub fn finish(&self, child: &Child) {
        let end = Instant::now() + GRACE;
        let mut seen = std::collections::BTreeSet::new();
        loop {
            self.shared.watch.drain(&self.shared, true);
            let orphans = self.orphans();
            seen.extend(&orphans);
            for &pid in &seen {
                // SAFETY: a plain system call, for a child that nobody else waits for.
                unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) };
            }
            if orphans.is_empty() && self.wait_idle(Duration::ZERO) == 0 {
                break;
            }
            if Instant::now() > end {
                self.kill_all();
                for &pid in &orphans {
                    // SAFETY: a plain system call. The process is our child and not reaped, so the number is its own.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                }
            }
            if Instant::now() > end + GRACE {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.shared.waited.lock().remove(&child.id().cast_signed());
    }

    /// Our children that were started with this server's environment, by others than us.
    fn orphans(&self) -> Vec<i32> {
        let mark = format!("{}={}:", ddi_wire::ENV, self.shared.name).into_bytes();
        let waited = self.shared.waited.lock().clone();
        let ours = |pid: &i32| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            !waited.contains(pid) && environ.windows(mark.len()).any(|w| w == mark)
        };
        children().into_iter().filter(ours).collect()
    }
}

/// Reaps those children that have ended and nobody waits for.
pub(super) fn reap_adopted(shared: &Shared) {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: all-zero is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is a valid place for the answer.
    let any = unsafe { libc::waitid(libc::P_ALL, 0, &mut info, flags) } == 0 && info.si_signo != 0;
    if !any {
        return;
    }
    // Held, so that a program that is being started is not taken for an orphan.
    let waited = shared.waited.lock();
    for pid in children().into_iter().filter(|pid| !waited.contains(pid)) {
        // SAFETY: a plain system call.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) };
    }
}

/// This process's children.
fn children() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks
        .filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok())
        .flat_map(|s| s.split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect::<Vec<i32>>())
        .collect()
}
