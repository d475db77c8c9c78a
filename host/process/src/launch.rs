//! Starting programs as clients.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};

use super::Server;
use super::ending::{Ending, Signals};
use super::shared::Shared;
use super::supervise::{self, Order, Started};

/// The shim, as host/build.rs built it.
static SHIM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libddi_shim.so"));
/// Time that a program's orphans may take to end by themselves.
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
    /// Processes that it leaves behind could not be ended.
    #[error(transparent)]
    Unsupervised(#[from] supervise::Unsupervised),
    /// Anything else.
    #[error("{}: {error}", .path.display())]
    System {
        /// The program.
        path: PathBuf,
        /// The error of Linux.
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

/// Returns whether a 64-bit ELF file has a PT_INTERP program header.
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

/// Interval at which what is left is killed again.
const AGAIN: Duration = Duration::from_millis(20);

/// The program that SIGTERM and SIGHUP are passed on to; 0 before it is started, [`ENDED`] when it has ended.
static FOREGROUND: AtomicI32 = AtomicI32::new(0);
const ENDED: i32 = -1;
/// A signal that came before the program was started; 0: none.
static EARLY: AtomicI32 = AtomicI32::new(0);

/// A signal came that asks the run to end: it is passed on to the program if the terminal has not sent it there, too. When the program has ended, what it has left is
/// ended at once.
pub fn pass_on(signal: i32) {
    match FOREGROUND.load(Ordering::SeqCst) {
        ENDED => supervise::hurry(),
        0 => {
            EARLY.store(signal, Ordering::SeqCst);
            pass_on_early(FOREGROUND.load(Ordering::SeqCst));
        }
        pid if matches!(signal, libc::SIGTERM | libc::SIGHUP) => send(pid, signal),
        _ => {}
    }
}

/// Passes on the signal that came before the program was started, whatever it was: a terminal has not found it.
fn pass_on_early(pid: i32) {
    let signal = if pid > 0 { EARLY.swap(0, Ordering::SeqCst) } else { 0 };
    if signal != 0 {
        send(pid, signal);
    }
}

/// Sends a signal to the program, which may have ended.
fn send(pid: i32, signal: i32) {
    if let (Some(pid), Some(signal)) = (Pid::from_raw(pid), Signal::from_named_raw(signal)) {
        let _ = kill_process(pid, signal);
    }
}

/// Ends the run of a machine's own program.
struct EndRun(Weak<Shared>);

impl Ending for EndRun {
    fn asked(&self, signal: i32) {
        pass_on(signal);
    }

    fn stuck(&self) -> Vec<u64> {
        self.0.upgrade().map_or_else(Vec::new, |shared| shared.kernel.stuck())
    }

    fn say(&self, calls: Vec<u64>) -> Vec<u64> {
        self.0.upgrade().map_or_else(Vec::new, |shared| shared.kernel.say_stuck(calls))
    }

    fn end(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.kernel.give_up();
        }
    }
}

/// Starts a program with its supervisor. `env` is added to its environment, behind the program's own.
fn start(
    program: &Program,
    env: Vec<(OsString, OsString)>,
    files: Option<u64>,
    foreground: Option<&Signals>,
) -> Result<Started, LaunchError> {
    let path = check_program(&program.path)?;
    let text = |s: &OsStr| CString::new(s.as_bytes()).map_err(io::Error::from);
    let order = || {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = files.or(limit.current);
        let args =
            std::iter::once(program.path.as_os_str()).chain(program.args.iter().map(OsString::as_os_str));
        Ok(Order {
            path: text(path.as_os_str())?,
            args: args.map(text).collect::<io::Result<_>>()?,
            env: supervise::environment(program.env.iter().cloned().chain(env))?,
            files: limit,
            // What Rust's runtime ignores is nothing to the program.
            defaults: [libc::SIGPIPE]
                .into_iter()
                .chain(foreground.map(Signals::defaults).unwrap_or_default())
                .collect(),
        })
    };
    let started = order().and_then(|order| supervise::start(&order));
    started.map_err(|error| LaunchError::System { path: program.path.clone(), error })
}

/// An exit status as a shell has it: 128 + the signal's number if one killed the program.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Runs a program in the foreground, to its end, as a client of a server in another process, whose environment is among the program's. What it leaves
/// running is killed if it does not end by itself within two seconds. `ending` says how the run is ended, from the start of the program on. Returns the
/// program's exit status, 128 + the signal's number if one killed it.
///
/// # Errors
/// See [`LaunchError`].
pub fn run_elsewhere(program: &Program, ending: impl Ending + 'static) -> Result<i32, LaunchError> {
    let system = |error| LaunchError::System { path: program.path.clone(), error };
    supervise::prepare()?;
    let signals = Signals::take(ending).map_err(system)?;
    let (started, status) = in_the_foreground(program, Vec::new(), None, &signals)?;
    started.finish(GRACE);
    started.is_over(2 * GRACE);
    Ok(status)
}

/// Runs a program to its end. Returns it and its exit status.
fn in_the_foreground(
    program: &Program,
    env: Vec<(OsString, OsString)>,
    files: Option<u64>,
    signals: &Signals,
) -> Result<(Started, i32), LaunchError> {
    FOREGROUND.store(0, Ordering::SeqCst);
    let mut started = start(program, env, files, Some(signals))?;
    FOREGROUND.store(started.id().cast_signed(), Ordering::SeqCst);
    pass_on_early(started.id().cast_signed());
    let status = started.wait();
    FOREGROUND.store(ENDED, Ordering::SeqCst);
    let status = status.map_err(|error| LaunchError::System { path: program.path.clone(), error })?;
    Ok((started, code(status)))
}

impl Server {
    /// Runs a program as a client, in the foreground, to its end, and then sees that nothing it left behind goes on: what does not end by itself within two
    /// seconds is killed. Until the server is dropped, signals that ask the run to end are [attended to](Ending). Returns the program's exit status, 128 + the
    /// signal's number if one killed it.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub fn run(&self, program: &Program) -> Result<i32, LaunchError> {
        let mut signals = self.signals.lock();
        if signals.is_none() {
            let taken = Signals::take(EndRun(Arc::downgrade(&self.shared)));
            *signals =
                Some(taken.map_err(|error| LaunchError::System { path: program.path.clone(), error })?);
        }
        let taken = signals.as_ref().expect("taken above");
        let (started, status) = in_the_foreground(program, self.variables(), self.files, taken)?;
        self.finish(started);
        Ok(status)
    }

    /// Starts a program as a client. Call [`finish`](Server::finish) once it has been waited for; all that it has started is killed when the value is dropped.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub fn spawn(&self, program: &Program) -> Result<Started, LaunchError> {
        start(program, self.variables(), self.files, None)
    }

    fn variables(&self) -> Vec<(OsString, OsString)> {
        self.environment().into_iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// Waits for what a program that has ended left running: whatever it has started, and all processes that use the devices.
    /// After two seconds they are killed. When several programs run at once, wait for all of them first.
    pub fn finish(&self, started: Started) {
        let end = Instant::now() + GRACE;
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        // First those that use devices, then all.
        started.finish(GRACE + Duration::from_millis(100));
        if started.is_over(left(end)) && self.wait_idle(left(end)) == 0 {
            return;
        }
        // Of processes that start others meanwhile the last ones are killed later.
        while Instant::now() < end + GRACE {
            self.kill_all();
            if started.is_over(AGAIN) && self.wait_idle(AGAIN) == 0 {
                return;
            }
        }
    }
}
