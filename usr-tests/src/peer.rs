//! Processes that a case starts: forked or executed, in lock-step with it over a socket, reporting over a pipe.
//!
//! Locking: none; a `Peer` belongs to the thread that made it.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::case::{Result, Stop, error, fail};
use crate::sys::{self, Errno, Forked, Status};
use crate::{case, probe};

/// One end of the socket between two processes of a case.
#[derive(Clone, Copy)]
pub struct Link {
    fd: i32,
}

impl Link {
    pub fn from_fd(fd: i32) -> Link {
        Link { fd }
    }

    pub fn fd(&self) -> i32 {
        self.fd
    }

    /// Lets the other side go on.
    #[track_caller]
    pub fn say(&self, word: u8) -> Result {
        match sys::write(self.fd, &[word]) {
            Ok(1) => Ok(()),
            Ok(_) => Err(error("the other process has closed its end")),
            Err(errno) => Err(error(format!("write to the other process: {errno}"))),
        }
    }

    /// Waits until the other side says `word`.
    #[track_caller]
    pub fn hear(&self, word: u8) -> Result {
        let mut got = [0];
        loop {
            return match sys::read(self.fd, &mut got) {
                Ok(1) if got[0] == word => Ok(()),
                Ok(1) => Err(error(format!("heard {:?}, expected {:?}", got[0] as char, word as char))),
                Ok(_) => Err(error("the other process has ended")),
                Err(Errno(libc::EINTR)) => continue,
                Err(errno) => Err(error(format!("read from the other process: {errno}"))),
            };
        }
    }

    /// Sends `word` and waits for `answer`.
    #[track_caller]
    pub fn ask(&self, word: u8, answer: u8) -> Result {
        self.say(word)?;
        self.hear(answer)
    }

    /// Returns whether a message is there, without waiting.
    pub fn heard(&self) -> bool {
        sys::wait_readable(self.fd, std::time::Duration::ZERO).unwrap_or(true)
    }
}

/// Why a peer could not be started: fork's own error, which some cases expect.
pub enum NotStarted {
    Fork(Errno),
    Other(Stop),
}

/// A process that works for the case.
pub struct Peer {
    pub pid: i32,
    pub link: Link,
    report: i32,
    ended: bool,
}

impl Peer {
    /// Forks a process that runs `body`; what it returns is what [`Peer::done`] returns.
    #[track_caller]
    pub fn start(body: impl FnOnce(&Link) -> Result) -> Result<Peer> {
        match Peer::try_start(body) {
            Ok(peer) => Ok(peer),
            Err(NotStarted::Fork(errno)) => Err(fail(format!("fork: expected success, seen {errno}"))),
            Err(NotStarted::Other(stop)) => Err(stop),
        }
    }

    /// As `start`, for cases that expect fork to fail.
    pub fn try_start(body: impl FnOnce(&Link) -> Result) -> std::result::Result<Peer, NotStarted> {
        let (pipes, child) = Pipes::new().map_err(NotStarted::Other)?;
        match sys::fork() {
            Err(errno) => {
                pipes.close();
                child.close();
                Err(NotStarted::Fork(errno))
            }
            Ok(Forked::Child) => {
                pipes.close();
                let link = Link { fd: child.link };
                report_and_exit(child.report, || body(&link))
            }
            Ok(Forked::Parent(pid)) => {
                child.close();
                Ok(pipes.into_peer(pid))
            }
        }
    }

    /// Forks a process that executes the helper `name` of [`crate::area::helper`] with `args`.
    #[track_caller]
    pub fn execute(device: &str, name: &str, args: &[String]) -> Result<Peer> {
        Peer::start_program(device, name, args, |command| match sys::fork()? {
            Forked::Child => {
                sys::exec(command);
                sys::exit_now(127)
            }
            Forked::Parent(pid) => Ok(pid),
        })
    }

    /// As `execute`, by `start`: posix_spawn or vfork and exec.
    #[track_caller]
    pub fn start_program(
        device: &str,
        name: &str,
        args: &[String],
        start: impl FnOnce(&[String]) -> sys::Sys<i32>,
    ) -> Result<Peer> {
        let (pipes, child) = Pipes::new()?;
        for fd in [pipes.link, pipes.report] {
            sys::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC).map_err(error)?;
        }
        let mut command: Vec<String> = vec![
            sys::own_program(),
            "--helper".into(),
            name.into(),
            device.into(),
            child.report.to_string(),
            child.link.to_string(),
        ];
        command.extend_from_slice(args);
        let pid = start(&command).map_err(|errno| fail(format!("start of a program: {errno}")))?;
        child.close();
        Ok(pipes.into_peer(pid))
    }

    /// Waits for the process to end: what its body returned, or how it died.
    #[track_caller]
    pub fn done(mut self) -> Result {
        self.finish()
    }

    #[track_caller]
    fn finish(&mut self) -> Result {
        self.ended = true;
        let said = read_to_end(self.report);
        let status = sys::wait(self.pid).map_err(|e| fail(format!("waitpid of the other process: {e}")))?;
        let _ = sys::close(self.report);
        let _ = sys::close(self.link.fd);
        match parse_report(&said) {
            Some(Ok(())) if status == Status::Exited(0) => Ok(()),
            Some(Err(stop)) => Err(stop),
            _ => Err(fail(format!("the other process (pid {}): {status}", self.pid))),
        }
    }

    /// Waits for `word`; when the process has ended instead, says why it did.
    #[track_caller]
    pub fn hear(&mut self, word: u8) -> Result {
        match self.link.hear(word) {
            Ok(()) => Ok(()),
            Err(stop) => {
                if self.ended {
                    return Err(stop);
                }
                self.finish()?;
                Err(stop)
            }
        }
    }

    /// Sends `word` and waits for `answer`, as `hear` does.
    #[track_caller]
    pub fn ask(&mut self, word: u8, answer: u8) -> Result {
        let _ = self.link.say(word);
        self.hear(answer)
    }

    #[track_caller]
    pub fn signal(&self, signal: i32) -> Result {
        sys::kill(self.pid, signal).map_err(|errno| error(format!("kill: {errno}")))
    }

    /// Kills the process, which must not have ended by itself, and waits for its end.
    #[track_caller]
    pub fn killed(mut self) -> Result {
        let _ = sys::kill(self.pid, libc::SIGKILL);
        self.ends_with(Status::Killed(libc::SIGKILL))
    }

    /// Waits for an end that is not a report.
    #[track_caller]
    pub fn ends_with(&mut self, expected: Status) -> Result {
        self.ended = true;
        let said = read_to_end(self.report);
        let status = sys::wait(self.pid).map_err(|e| fail(format!("waitpid of the other process: {e}")))?;
        let _ = sys::close(self.report);
        let _ = sys::close(self.link.fd);
        if status == expected {
            return Ok(());
        }
        if let Some(Err(stop)) = parse_report(&said) {
            return Err(stop);
        }
        Err(fail(format!("the other process: expected {expected}, seen {status}")))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if !self.ended {
            let _ = sys::kill(self.pid, libc::SIGKILL);
            let _ = sys::wait(self.pid);
        }
    }
}

/// One side's descriptors.
struct Pipes {
    link: i32,
    report: i32,
}

impl Pipes {
    fn new() -> Result<(Pipes, Pipes)> {
        let (ours, theirs) = sys::socketpair().map_err(|e| error(format!("socketpair: {e}")))?;
        let (read, write) = sys::pipe().map_err(|e| error(format!("pipe: {e}")))?;
        Ok((Pipes { link: ours, report: read }, Pipes { link: theirs, report: write }))
    }

    fn close(&self) {
        let _ = sys::close(self.link);
        let _ = sys::close(self.report);
    }

    fn into_peer(self, pid: i32) -> Peer {
        Peer { pid, link: Link { fd: self.link }, report: self.report, ended: false }
    }
}

/// Runs `body`, reports how it ended, and ends the process without running anything of the program it was forked from.
pub fn report_and_exit(report: i32, body: impl FnOnce() -> Result) -> ! {
    probe::REPORT.store(report, std::sync::atomic::Ordering::SeqCst);
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()))
            .unwrap_or_default();
        Err(case::error(format!("panicked: {text}")))
    });
    let mut text = Vec::new();
    let _ = match &result {
        Ok(()) => write!(text, "P"),
        Err(Stop::Fail(message)) => write!(text, "F{message}"),
        Err(Stop::Skip(reason)) => write!(text, "S{reason}"),
        Err(Stop::Error(message)) => write!(text, "E{message}"),
    };
    let _ = sys::write(report, &text);
    sys::exit_now(0)
}

/// Returns the text of a report; empty if there is none.
pub fn parse_report(report: &[u8]) -> Option<Result> {
    let (kind, text) = report.split_first()?;
    let text = String::from_utf8_lossy(text).into_owned();
    Some(match kind {
        b'P' => Ok(()),
        b'F' => Err(Stop::Fail(text)),
        b'S' => Err(Stop::Skip(text)),
        _ => Err(Stop::Error(text)),
    })
}

pub fn read_to_end(fd: i32) -> Vec<u8> {
    let mut all = Vec::new();
    let mut part = [0; 1024];
    loop {
        match sys::read(fd, &mut part) {
            Ok(0) => return all,
            Ok(n) => all.extend_from_slice(&part[..n]),
            Err(Errno(libc::EINTR)) => {}
            Err(_) => return all,
        }
    }
}
