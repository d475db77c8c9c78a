//! Nothing outlives a run: each program has a supervisor, a small process between this one and the program.
//!
//! The supervisor is the program's parent, and the one that adopts whatever loses its parent below it: daemons, sessions of their own, statically linked
//! programs, tasks of the shim. It tells when the program ends. When it is asked to, when this process is gone, killed or not, it kills all that is left, until nothing is.
//! It has a session and a name of its own, so that what ends this process by terminal, process group or name does not meet it. Should it be killed itself, this process
//! adopts its children, and kills them.
//!
//! The supervisor is made by fork and never executes anything: it makes system calls only, as a process forked from one with threads must.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::proc;

/// Time that a supervisor may take to end what is left.
const PATIENCE: Duration = Duration::from_secs(30);

/// Program to be run, and its circumstances.
pub(super) struct Order {
    pub path: CString,
    pub args: Vec<CString>,
    pub env: Vec<CString>,
    /// Limits of open files for the program.
    pub files: libc::rlimit,
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
    line: OwnedFd,
    status: Option<ExitStatus>,
}

/// The supervisors that there are: their lines.
static LIVE: Mutex<Vec<(i32, RawFd)>> = Mutex::new(Vec::new());

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
    /// `PR_SET_CHILD_SUBREAPER` is not to be had.
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
    /// The error of Linux. A supervisor that is gone is no error: the program counts as killed.
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

    /// Orders that all that the program has left is killed in a while, if it has not ended by then; returns at once.
    pub(super) fn finish(&self, grace: Duration) {
        let millis = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
        // It may be gone already: then there was nothing left.
        let _ = rustix::net::send(&self.line, &Finish::from(millis.to_ne_bytes()), SendFlags::NOSIGNAL);
    }

    /// Waits at most `limit` until nothing is left of the program. Returns whether that is so.
    pub(super) fn is_over(&self, limit: Duration) -> bool {
        over(self.line.as_fd(), limit)
    }
}

impl Drop for Started {
    /// Kills what is left.
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

/// Receives news from a supervisor; `None`: it is gone.
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
    live.iter().for_each(|(_, line)| send_finish(*line));
}

fn send_finish(line: RawFd) {
    // SAFETY: a socket that stays open as long as it is in the list; four bytes.
    unsafe { libc::send(line, Finish::default().as_ptr().cast(), 4, libc::MSG_NOSIGNAL) };
}

/// Kills all that the programs of this process have started, at its end.
pub fn end_all() {
    // Not with the lock held: `end_orphans` takes it, too.
    let live = LIVE.try_lock_for(Duration::from_secs(1)).map(|live| live.clone());
    let Some(live) = live else { return };
    live.iter().for_each(|(_, line)| send_finish(*line));
    for (supervisor, line) in live {
        // SAFETY: as above.
        if over(unsafe { std::os::fd::BorrowedFd::borrow_raw(line) }, Duration::from_secs(5)) {
            reap(supervisor);
        }
    }
    end_orphans();
}

/// Waits for the end of a supervisor that has hung up. Its children are this process's then, if it was killed.
fn reap(supervisor: i32) {
    // SAFETY: a child of this process that nobody else waits for, or none any more.
    while unsafe { libc::waitpid(supervisor, std::ptr::null_mut(), 0) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
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
            // SAFETY: no memory is touched; a child that nobody has waited for keeps its number.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            dead(pid, end);
            // SAFETY: no status is asked for.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) };
        }
    }
}

/// Waits for the end of a child, at most until `end`.
fn dead(pid: i32, end: Instant) {
    let Some(Ok(pidfd)) = rustix::process::Pid::from_raw(pid)
        .map(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()))
    else {
        return;
    };
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
        line: theirs.as_raw_fd(),
        host: this.as_raw_fd(),
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
    LIVE.lock().push((supervisor, ours.as_raw_fd()));
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
    line: RawFd,
    host: RawFd,
    path: *const libc::c_char,
    argv: *const *const libc::c_char,
    envp: *const *const libc::c_char,
    files: libc::rlimit,
    defaults: &'a [i32],
    name: Option<(usize, usize)>,
}

/// Says something to this process's parent, or that one's.
fn tell(line: RawFd, news: News) {
    // SAFETY: so many bytes.
    unsafe { libc::send(line, news.as_ptr().cast(), size_of::<News>(), libc::MSG_NOSIGNAL) };
}

/// Why a system call of this thread's has failed.
fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn exit(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

/// A set of all signals, or of one.
fn signals(one: Option<i32>) -> libc::sigset_t {
    // SAFETY: all-zero is a set.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    match one {
        // SAFETY: a set of ours.
        Some(signal) => unsafe { libc::sigaddset(&mut set, signal) },
        // SAFETY: as above.
        None => unsafe { libc::sigfillset(&mut set) },
    };
    set
}

impl Child<'_> {
    /// The program, up to its first instruction.
    fn execute(&self) -> ! {
        for &signal in self.defaults {
            // SAFETY: the default action.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        // SAFETY: a limit of ours.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &self.files) };
        // SAFETY: all-zero is a set.
        let none: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: a set of ours.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut()) };
        // SAFETY: strings and lists of strings that end with null.
        unsafe { libc::execve(self.path, self.argv, self.envp) };
        tell(self.line, [FAILED, errno()]);
        exit(127)
    }

    /// The supervisor's life.
    fn supervise(&self) -> ! {
        let all = signals(None);
        // SAFETY: a set of ours; plain system calls, here and below.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &all, std::ptr::null_mut()) };
        // SAFETY: as above.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
        let mut executed = [0; 2];
        // SAFETY: room for two descriptors.
        if unsafe { libc::pipe2(executed.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
            tell(self.line, [FAILED, errno()]);
            exit(1);
        }
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
        // SAFETY: this process's own end.
        unsafe { libc::close(executed[1]) };
        let mut none = 0u8;
        // Ends when the program has been executed, or has not.
        // SAFETY: room for a byte.
        unsafe { libc::read(executed[0], (&raw mut none).cast(), 1) };
        tell(self.line, [STARTED, 0]);
        self.keep_only_what_is_needed();
        let ended = signals(Some(libc::SIGCHLD));
        // SAFETY: a set of ours.
        let signal = unsafe { libc::signalfd(-1, &ended, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        watch(program, signal)
    }

    /// Out of the way of what ends this process's parent: signals to its group, its terminal, its name.
    fn withdraw(&self) {
        const NAME: &std::ffi::CStr = c"ddi-supervisor";
        // SAFETY: a plain system call.
        unsafe { libc::setsid() };
        // SAFETY: a string of less than 16 bytes.
        unsafe { libc::prctl(libc::PR_SET_NAME, NAME.as_ptr(), 0, 0, 0) };
        let Some((start, end)) = self.name else { return };
        let bytes = NAME.to_bytes_with_nul();
        let len = end - start;
        // SAFETY: the kernel says that this process's arguments are there; nobody here looks at them any more.
        unsafe { std::ptr::write_bytes(start as *mut u8, 0, len) };
        // SAFETY: as above, and as far as there is room.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start as *mut u8, bytes.len().min(len)) };
    }

    /// Closes all descriptors but [`LINE`] and [`HOST`].
    fn keep_only_what_is_needed(&self) {
        // Out of the way of the numbers that they are to have.
        // SAFETY: plain system calls on this process's descriptors, here and below.
        let line = unsafe { libc::fcntl(self.line, libc::F_DUPFD, 10) };
        // SAFETY: as above.
        let host = unsafe { libc::fcntl(self.host, libc::F_DUPFD, 10) };
        // SAFETY: as above.
        unsafe { libc::dup2(line, LINE) };
        // SAFETY: as above.
        unsafe { libc::dup2(host, HOST) };
        // SAFETY: as above.
        unsafe { libc::syscall(libc::SYS_close_range, HOST + 1, u32::MAX, 0) };
    }
}

/// The supervisor's descriptors.
const LINE: RawFd = 0;
const HOST: RawFd = 1;

/// Milliseconds since some time.
fn now() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// Waits for what happens, and for what is wanted.
fn watch(program: i32, signal: RawFd) -> ! {
    // When what is left is to be killed; none yet.
    let mut deadline = i64::MAX;
    loop {
        let mut status = 0;
        // SAFETY: room for the status.
        match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG | libc::__WALL) } {
            0 => {}
            pid if pid > 0 => {
                if pid == program {
                    tell(LINE, [ENDED, status]);
                }
                continue;
            }
            // No child is left, and none can come.
            _ if deadline != i64::MAX => exit(0),
            _ => {}
        }
        let left = deadline.saturating_sub(now());
        let watched = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut fds = [watched(signal), watched(LINE), watched(HOST)];
        // Linux does not tell when a process is adopted, so in the end this one looks every few milliseconds.
        let (count, wait) = if left > 0 { (3, left.min(60_000) as i32) } else { (1, 5) };
        if left <= 0
            && let Some(pid) = kill_all()
        {
            tell(LINE, [LEFT, pid]);
            exit(0);
        }
        // SAFETY: three entries.
        unsafe { libc::poll(fds.as_mut_ptr(), count, wait) };
        if fds[0].revents != 0 {
            // SAFETY: all-zero is one.
            let mut some: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
            let len = size_of_val(&some);
            // SAFETY: room for one.
            unsafe { libc::read(signal, (&raw mut some).cast(), len) };
        }
        if fds[2].revents != 0 {
            deadline = 0;
        }
        if fds[1].revents != 0 {
            let mut asked = Finish::default();
            // SAFETY: room for four bytes.
            let n = unsafe { libc::recv(LINE, asked.as_mut_ptr().cast(), 4, libc::MSG_DONTWAIT) };
            let grace = if n == 4 { i64::from(u32::from_ne_bytes(asked)) } else { 0 };
            deadline = deadline.min(now() + grace);
        }
    }
}

/// Kills this process's children, once. Theirs become its own, and their turn comes. Returns one if there are only such as this process may not kill.
fn kill_all() -> Option<i32> {
    // SAFETY: a path.
    let fd = unsafe { libc::open(c"/proc/thread-self/children".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return None;
    }
    let (mut chunk, mut pid, mut kills) = ([0u8; 1024], 0i32, Kills::default());
    loop {
        // SAFETY: room for so many bytes.
        let n = unsafe { libc::read(fd, chunk.as_mut_ptr().cast(), chunk.len()) };
        let Some(bytes) = usize::try_from(n).ok().filter(|n| *n > 0).and_then(|n| chunk.get(..n)) else {
            break;
        };
        for byte in bytes {
            match byte {
                b'0'..=b'9' => pid = pid.wrapping_mul(10).wrapping_add(i32::from(byte - b'0')),
                _ => kills.kill(std::mem::take(&mut pid)),
            }
        }
    }
    kills.kill(pid);
    // SAFETY: the descriptor opened above.
    unsafe { libc::close(fd) };
    if kills.done { None } else { kills.refused }
}

#[derive(Default)]
struct Kills {
    done: bool,
    refused: Option<i32>,
}

impl Kills {
    fn kill(&mut self, pid: i32) {
        if pid <= 0 {
            return;
        }
        // SAFETY: a child that has not been waited for keeps its number.
        match unsafe { libc::kill(pid, libc::SIGKILL) } {
            0 => self.done = true,
            _ => self.refused = Some(pid),
        }
    }
}
