//! Nothing outlives a run: each program has a supervisor, a small process between this one and the program.
//!
//! The supervisor is the program's parent, and adopts every descendant whose parent exits: daemons, processes with their own sessions, statically linked
//! programs, tasks of the shim. It reports when the program ends. On request, or when this process has exited for any reason, it kills all remaining descendants.
//! It has its own session and name, so that a signal sent to this process by terminal, process group or name does not reach it. If it is killed itself, this process
//! adopts its children, and kills them.
//!
//! The supervisor is made by fork and never executes anything: it makes system calls only, as a process forked from one with threads must. rustix makes them itself; it
//! neither allocates nor takes locks.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, kill_process, waitpid};

use super::proc;

/// Time limit of a supervisor for killing the remaining processes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Program to be run, and its circumstances.
pub(super) struct Order {
    pub path: CString,
    pub args: Vec<CString>,
    pub env: Vec<CString>,
    /// Limits of open files for the program.
    pub files: Rlimit,
    /// Signals that are ignored here and not there.
    pub defaults: Vec<i32>,
}

/// The environment of this process with other variables.
pub(super) fn environment(more: impl IntoIterator<Item = (OsString, OsString)>) -> io::Result<Vec<CString>> {
    let mut all: std::collections::BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    all.extend(more);
    let entry = |(name, value): (OsString, OsString)| {
        CString::new([name.into_vec(), value.into_vec()].join(&b'=')).map_err(io::Error::from)
    };
    all.into_iter().map(entry).collect()
}

/// A program that has been started.
#[derive(Debug)]
pub struct Started {
    program: i32,
    supervisor: i32,
    /// To the supervisor.
    line: Arc<OwnedFd>,
    status: Option<ExitStatus>,
}

/// The supervisors that there are: their lines.
static LIVE: Mutex<Vec<(i32, Arc<OwnedFd>)>> = Mutex::new(Vec::new());

/// Waits for children of any kind (`__WALL`).
const ANY: WaitOptions = WaitOptions::from_bits_retain(libc::__WALL.cast_unsigned());

/// Order to a supervisor: kill all that is left after so many milliseconds.
type Finish = [u8; 4];
/// News from a supervisor: kind, and the program's id or its wait status.
type News = [i32; 2];

const STARTED: i32 = 1;
const FAILED: i32 = 2;
const ENDED: i32 = 3;
/// Before the supervisor ends: this process it may not kill.
const LEFT: i32 = 4;

/// Why what programs leave behind could not be ended.
#[derive(Debug, thiserror::Error)]
pub enum Unsupervised {
    /// There is no /proc, or one of another pid name space.
    #[error("/proc is not that of this pid name space: mount it (unshare --mount-proc)")]
    NoProc,
    /// Linux was built without it.
    #[error(
        "this Linux does not show a process's children (/proc/PID/task/TID/children): what programs leave behind could not be ended"
    )]
    NoChildren,
    /// `PR_SET_CHILD_SUBREAPER` failed.
    #[error("cannot adopt what programs leave behind, by prctl(PR_SET_CHILD_SUBREAPER): {0}")]
    NoAdoption(io::Error),
}

/// Makes this process one that can have supervisors.
///
/// # Errors
/// See [`Unsupervised`].
pub(super) fn prepare() -> Result<(), Unsupervised> {
    if proc::own_number() != Some(std::process::id()) {
        return Err(Unsupervised::NoProc);
    }
    if !proc::lists_children() {
        return Err(Unsupervised::NoChildren);
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|e| Unsupervised::NoAdoption(e.into()))
}

impl Started {
    /// The program's process id.
    pub fn id(&self) -> u32 {
        self.program.cast_unsigned()
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    /// The error of Linux. A supervisor that has exited is no error: the program counts as killed.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let status = match hear(&self.line)? {
            Some([ENDED, status]) => ExitStatus::from_raw(status),
            _ => {
                reap(self.supervisor);
                end_orphans();
                ExitStatus::from_raw(libc::SIGKILL)
            }
        };
        self.status = Some(status);
        Ok(status)
    }

    /// Asks the supervisor to kill all remaining processes of the program after `grace`; returns at once.
    pub(super) fn finish(&self, grace: Duration) {
        send_finish(&self.line, grace);
    }

    /// Waits at most `limit` until nothing is left of the program. Returns whether that is so.
    pub(super) fn is_over(&self, limit: Duration) -> bool {
        over(&*self.line, limit)
    }
}

impl Drop for Started {
    /// Kills the remaining processes.
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
        if self.is_over(PATIENCE) {
            while let Ok(Some([kind, pid])) = hear(&self.line) {
                if kind == LEFT {
                    let name = proc::name(pid).unwrap_or_default();
                    eprintln!("ddi-host: process {pid} ({name}) belongs to another user and goes on");
                }
            }
            reap(self.supervisor);
        }
        LIVE.lock().retain(|(pid, _)| *pid != self.supervisor);
    }
}

/// Receives a supervisor's next report. Returns `None` if it has exited.
fn hear(line: &OwnedFd) -> io::Result<Option<News>> {
    let mut bytes = [0u8; size_of::<News>()];
    loop {
        match rustix::net::recv(line, &mut bytes, RecvFlags::empty()) {
            Ok((n, _)) if n == bytes.len() => {
                let word = |at: usize| i32::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
                return Ok(Some([word(0), word(4)]));
            }
            Ok(_) | Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Waits until a supervisor hangs up.
fn over(line: impl AsFd, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    loop {
        let mut fds = [PollFd::new(&line, PollFlags::RDHUP)];
        let left = end.saturating_duration_since(Instant::now()).try_into().ok();
        match poll(&mut fds, left.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) => return false,
            _ => return true,
        }
    }
}

/// Orders that all that the programs have left is killed now; returns at once.
pub(super) fn hurry() {
    let live = LIVE.lock();
    live.iter().for_each(|(_, line)| send_finish(line, Duration::ZERO));
}

fn send_finish(line: &OwnedFd, grace: Duration) {
    let millis = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
    // An error means that it has exited, which it does when no process is left.
    let _ = rustix::net::send(line, &Finish::from(millis.to_ne_bytes()), SendFlags::NOSIGNAL);
}

/// Kills all that the programs of this process have started, at its end.
pub fn end_all() {
    // Not with the lock held: `end_orphans` takes it, too.
    let live = LIVE.try_lock_for(Duration::from_secs(1)).map(|live| live.clone());
    let Some(live) = live else { return };
    live.iter().for_each(|(_, line)| send_finish(line, Duration::ZERO));
    for (supervisor, line) in live {
        if over(&*line, Duration::from_secs(5)) {
            reap(supervisor);
        }
    }
    end_orphans();
}

/// Waits for the end of a supervisor that has hung up. Its children are this process's then, if it was killed.
fn reap(supervisor: i32) {
    let supervisor = Pid::from_raw(supervisor);
    while supervisor.is_some_and(|pid| waitpid(Some(pid), WaitOptions::empty()).err() == Some(Errno::INTR)) {}
}

/// Kills what this process has adopted from a supervisor that was killed, until nothing of it is left.
fn end_orphans() {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let supervisors: Vec<i32> = LIVE.lock().iter().map(|(pid, _)| *pid).collect();
        let orphans: Vec<i32> =
            proc::children().into_iter().filter(|pid| !supervisors.contains(pid)).collect();
        if orphans.is_empty() {
            return;
        }
        for pid in orphans {
            let Some(pid) = Pid::from_raw(pid) else { continue };
            // A child keeps its process ID until it is waited for.
            let _ = kill_process(pid, Signal::KILL);
            dead(pid, end);
            let _ = waitpid(Some(pid), WaitOptions::NOHANG | ANY);
        }
    }
}

/// Waits for the end of a child, at most until `end`.
fn dead(pid: Pid, end: Instant) {
    let Ok(pidfd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else { return };
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    let left = end.saturating_duration_since(Instant::now()).try_into().ok();
    let _ = poll(&mut fds, left.as_ref());
}

/// Was a process started by a program of this process's, or is it one?
pub fn is_descendant(pid: i32) -> bool {
    let supervisors: Vec<i32> = LIVE.lock().iter().map(|(pid, _)| *pid).collect();
    // No family is that old; one that changes meanwhile ends the search.
    std::iter::successors(Some(pid), |pid| proc::parent(*pid))
        .take(1000)
        .any(|pid| supervisors.contains(&pid))
}

/// Starts a program with its supervisor.
///
/// # Errors
/// The error of Linux, also of executing the program.
pub(super) fn start(order: &Order) -> io::Result<Started> {
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let this = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())?;
    let list = |all: &[CString]| -> Vec<*const libc::c_char> {
        all.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (list(&order.args), list(&order.env));
    let child = Child {
        line: theirs.as_fd(),
        host: this.as_fd(),
        path: order.path.as_ptr(),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        files: order.files,
        defaults: &order.defaults,
        name: proc::arguments(),
    };
    // SAFETY: the child makes system calls only, on what has been prepared here.
    let supervisor = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => child.supervise(),
        pid => pid,
    };
    drop(theirs);
    let ours = Arc::new(ours);
    LIVE.lock().push((supervisor, Arc::clone(&ours)));
    let mut started = Started { program: 0, supervisor, line: ours, status: None };
    // Whether the program was executed is said last.
    loop {
        match hear(&started.line)? {
            Some([STARTED, 0]) => return Ok(started),
            Some([STARTED, pid]) => started.program = pid,
            Some([FAILED, errno]) => return Err(io::Error::from_raw_os_error(errno)),
            _ => return Err(io::Error::other("its supervisor was killed")),
        }
    }
}

/// Knowledge of the forked processes: prepared before the fork, as they must not allocate.
struct Child<'a> {
    line: BorrowedFd<'a>,
    host: BorrowedFd<'a>,
    path: *const libc::c_char,
    argv: *const *const libc::c_char,
    envp: *const *const libc::c_char,
    files: Rlimit,
    defaults: &'a [i32],
    name: Option<(usize, usize)>,
}

/// Says something to this process's parent, or that one's.
fn tell(line: BorrowedFd<'_>, [kind, value]: News) {
    let (kind, value) = (kind.to_ne_bytes(), value.to_ne_bytes());
    let mut bytes = [0; size_of::<News>()];
    bytes.iter_mut().zip(kind.iter().chain(&value)).for_each(|(to, from)| *to = *from);
    // Whoever does not listen any more does not care.
    let _ = rustix::net::send(line, &bytes, SendFlags::NOSIGNAL);
}

/// Why a system call of this thread's has failed.
fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn exit(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

/// Returns a set of signals.
fn signals(all: impl IntoIterator<Item = i32>) -> libc::sigset_t {
    // SAFETY: all-zero is a set.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    for signal in all {
        // SAFETY: a set of ours. Numbers that are no signal are refused.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    set
}

/// Sets the signal mask.
fn mask(set: &libc::sigset_t) {
    // SAFETY: a set of ours; the old one is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, set, std::ptr::null_mut()) };
}

impl Child<'_> {
    /// The program, up to its first instruction.
    fn execute(&self) -> ! {
        for &signal in self.defaults {
            // SAFETY: the default action.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        let _ = rustix::process::setrlimit(Resource::Nofile, self.files);
        mask(&signals([]));
        // SAFETY: strings and lists of strings that end with null.
        unsafe { libc::execve(self.path, self.argv, self.envp) };
        tell(self.line, [FAILED, errno()]);
        exit(127)
    }

    /// The supervisor's life.
    fn supervise(&self) -> ! {
        mask(&signals(1..=64));
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        let (executed, ours) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap_or_else(|error| {
            tell(self.line, [FAILED, error.raw_os_error()]);
            exit(1)
        });
        // SAFETY: this process has one thread.
        let program = match unsafe { libc::fork() } {
            -1 => {
                tell(self.line, [FAILED, errno()]);
                exit(1)
            }
            0 => self.execute(),
            pid => pid,
        };
        self.withdraw();
        tell(self.line, [STARTED, program]);
        drop(ours);
        // Returns when exec has closed the other end, or has failed.
        let _ = rustix::io::read(&executed, &mut [0; 1]);
        drop(executed);
        tell(self.line, [STARTED, 0]);
        self.keep_only_what_is_needed();
        let ended = signals([libc::SIGCHLD]);
        // SAFETY: a set of ours.
        let signal = unsafe { libc::signalfd(-1, &ended, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if signal < 0 {
            exit(1);
        }
        // SAFETY: open, and nobody closes it.
        watch(program, unsafe { BorrowedFd::borrow_raw(signal) })
    }

    /// Out of the way of what ends this process's parent: signals to its group, its terminal, its name.
    fn withdraw(&self) {
        const NAME: &std::ffi::CStr = c"ddi-supervisor";
        let _ = rustix::process::setsid();
        let _ = rustix::thread::set_name(NAME);
        let Some((start, end)) = self.name else { return };
        let bytes = NAME.to_bytes_with_nul();
        let len = end - start;
        // SAFETY: the kernel says that this process's arguments are there; nobody here looks at them any more.
        unsafe { std::ptr::write_bytes(start as *mut u8, 0, len) };
        // SAFETY: as above, and as far as there is room.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start as *mut u8, bytes.len().min(len)) };
    }

    /// Closes all descriptors but [`line()`] and [`host()`], which get their numbers.
    fn keep_only_what_is_needed(&self) {
        // Out of the way of the numbers that they are to have.
        let copy = |fd| rustix::io::fcntl_dupfd_cloexec(fd, 10);
        if let (Ok(line), Ok(host)) = (copy(self.line), copy(self.host)) {
            let _ = rustix::stdio::dup2_stdin(line);
            let _ = rustix::stdio::dup2_stdout(host);
        }
        // SAFETY: no memory is involved, and this process does not use the others any more.
        unsafe { libc::syscall(libc::SYS_close_range, host().as_raw_fd() + 1, u32::MAX, 0) };
    }
}

/// The supervisor's line to this process.
fn line() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

/// The pidfd of this process in the supervisor.
fn host() -> BorrowedFd<'static> {
    rustix::stdio::stdout()
}

/// Milliseconds since some time.
fn now() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// The supervisor's loop: waits for ends of processes and for requests.
fn watch(program: i32, signal: BorrowedFd<'_>) -> ! {
    // The time at which the remaining processes are killed; none yet.
    let mut deadline = i64::MAX;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG | ANY) {
            Ok(None) => {}
            Ok(Some((pid, status))) => {
                if pid.as_raw_pid() == program {
                    tell(line(), [ENDED, status.as_raw()]);
                }
                continue;
            }
            // There is no child, and there will be none.
            Err(_) if deadline != i64::MAX => exit(0),
            Err(_) => {}
        }
        let left = deadline.saturating_sub(now());
        // Linux does not report adoptions, so after the deadline children are polled every few milliseconds.
        let (count, wait) = if left > 0 { (3, left.min(60_000)) } else { (1, 5) };
        if left <= 0
            && let Some(pid) = kill_all()
        {
            tell(line(), [LEFT, pid]);
            exit(0);
        }
        let [signal_fd, line_fd, host_fd] = [signal, line(), host()];
        let mut fds = [&signal_fd, &line_fd, &host_fd].map(|fd| PollFd::new(fd, PollFlags::IN));
        let wait = rustix::time::Timespec { tv_sec: wait / 1000, tv_nsec: wait % 1000 * 1_000_000 };
        let _ = poll(&mut fds[..count], Some(&wait));
        let [signaled, asked, gone] = fds.map(|fd| !fd.revents().is_empty());
        if signaled {
            let _ = rustix::io::read(signal, &mut [0; size_of::<libc::signalfd_siginfo>()]);
        }
        if gone {
            deadline = 0;
        }
        if asked {
            let mut order = Finish::default();
            let got = rustix::net::recv(line(), &mut order, RecvFlags::DONTWAIT);
            let whole = got.is_ok_and(|(n, _)| n == order.len());
            let grace = if whole { i64::from(u32::from_ne_bytes(order)) } else { 0 };
            deadline = deadline.min(now() + grace);
        }
    }
}

/// Kills this process's children, once. Theirs become its own, and their turn comes. Returns one if there are only such as this process may not kill.
fn kill_all() -> Option<i32> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let children = rustix::fs::open(c"/proc/thread-self/children", flags, Mode::empty()).ok()?;
    let (mut chunk, mut pid, mut kills) = ([0u8; 1024], 0i32, Kills::default());
    loop {
        let n = rustix::io::read(&children, &mut chunk).unwrap_or(0);
        let Some(bytes) = chunk.get(..n).filter(|bytes| !bytes.is_empty()) else { break };
        for byte in bytes {
            match byte {
                b'0'..=b'9' => pid = pid.wrapping_mul(10).wrapping_add(i32::from(byte - b'0')),
                _ => kills.kill(std::mem::take(&mut pid)),
            }
        }
    }
    kills.kill(pid);
    if kills.done { None } else { kills.refused }
}

#[derive(Default)]
struct Kills {
    done: bool,
    refused: Option<i32>,
}

impl Kills {
    fn kill(&mut self, pid: i32) {
        // A child keeps its process ID until it is waited for.
        match Pid::from_raw(pid).filter(|_| pid > 0).map(|pid| kill_process(pid, Signal::KILL)) {
            None => {}
            Some(Ok(())) => self.done = true,
            Some(Err(_)) => self.refused = Some(pid),
        }
    }
}
