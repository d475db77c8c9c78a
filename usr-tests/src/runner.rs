//! Runs cases one after the other, each in a process (group) of its own, with a time limit.
//!
//! Locking: none; this process has one thread and never maps the device itself.

use std::time::{Duration, Instant};

use crate::case::{Case, Ctx, Result, Stop};
use crate::device::{Dev, Stats};
use crate::sys::{self, Errno, Forked, Status};
use crate::{os, peer, port, probe};

/// Outcome of a case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Pass,
    Fail,
    Skip,
    Error,
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Skip => "skip",
            Outcome::Error => "error",
        }
    }
}

pub struct Report {
    pub case: Case,
    pub outcome: Outcome,
    /// Why, unless it passed.
    pub message: String,
    pub took: Duration,
}

/// Options of a run.
pub struct Options {
    pub device: String,
    pub limit: Duration,
    /// Also what is known to panic the kernel it runs on.
    pub all: bool,
    /// Also what stops a kernel whose own framework serves the driver.
    pub hostile: bool,
}

pub fn run(case: &Case, options: &Options) -> Report {
    let from = Instant::now();
    let (outcome, message) = match judge(case, options) {
        Ok(()) => (Outcome::Pass, String::new()),
        Err(Stop::Fail(message)) => (Outcome::Fail, message),
        Err(Stop::Skip(reason)) => (Outcome::Skip, reason),
        Err(Stop::Error(message)) => (Outcome::Error, message),
    };
    Report { case: *case, outcome, message, took: from.elapsed() }
}

fn judge(case: &Case, options: &Options) -> Result {
    if os::TAIL_OF_SEVERAL_PIECES_PANICS && case.cuts_tail && !options.all && !options.hostile {
        return Err(Stop::Skip(
            "illumos can panic on this (its defects 1 to 3); run with --all or --hostile".into(),
        ));
    }
    if os::FRAMEWORK_CAN_STOP && case.hostile && !options.hostile {
        let why = "it stops an illumos kernel, unless the module has its own framework; run with --hostile";
        return Err(Stop::Skip(why.into()));
    }
    let before = settle(&options.device)?;
    let result = in_a_process(case, options);
    let after = settle(&options.device).map_err(|_| {
        let why = result.as_ref().err().map(|stop| format!("{stop:?}; ")).unwrap_or_default();
        Stop::Fail(format!("{why}after the case the device cannot be opened any more"))
    })?;
    result?;
    match (before, after) {
        (Left::Ctxdev(before), Left::Ctxdev(after)) => leaks(&before, &after),
        (Left::Port(before), Left::Port(after)) => {
            let left = |status: &port::Status| (status.mappings, status.objects, status.users);
            if left(&before) == left(&after) {
                return Ok(());
            }
            Err(Stop::Fail(format!(
                "left behind when all its processes had ended: {after:?}, before: {before:?}"
            )))
        }
        _ => Ok(()),
    }
}

/// Counters of a device, by which it is seen what a case has left.
enum Left {
    Ctxdev(Stats),
    Port(port::Status),
    Nothing,
}

/// Puts the device's controls where every case starts from, and reads its counters, if it has any.
fn settle(device: &str) -> Result<Left> {
    let dev = Dev::open(device, libc::O_RDWR).map_err(|e| Stop::Error(format!("open {device}: {e}")))?;
    let stats = if dev.is_ctxdev() {
        let all = dev
            .lose_now(false)
            .and_then(|()| dev.set_hysteresis_now(0))
            .and_then(|()| dev.set_max_contexts_now(0))
            .and_then(|()| dev.stats_now());
        Left::Ctxdev(all.map_err(|e| Stop::Error(format!("ioctl on {device}: {e}")))?)
    } else if dev.kind != 0 {
        Left::Port(port::status(dev.fd).map_err(|e| Stop::Error(format!("ioctl on {device}: {e}")))?)
    } else {
        Left::Nothing
    };
    dev.close().map_err(|e| Stop::Error(format!("close {device}: {e}")))?;
    Ok(stats)
}

fn leaks(before: &Stats, after: &Stats) -> Result {
    if (after.mappings, after.contexts) == (before.mappings, before.contexts) {
        return Ok(());
    }
    Err(Stop::Fail(format!(
        "left behind when all its processes had ended: mappings {} (before: {}), contexts {} (before: {})",
        after.mappings, before.mappings, after.contexts, before.contexts
    )))
}

fn in_a_process(case: &Case, options: &Options) -> Result {
    let call = |what: &'static str| move |errno: Errno| Stop::Error(format!("{what}: {errno}"));
    let limit = options.limit * case.patience;
    let (report, theirs) = sys::pipe().map_err(call("pipe"))?;
    let pid = match sys::fork().map_err(call("fork"))? {
        Forked::Child => {
            let _ = sys::close(report);
            let _ = sys::own_process_group();
            std::panic::set_hook(Box::new(|_| {}));
            probe::install();
            let ctx = Ctx { device: options.device.clone(), limit };
            peer::report_and_exit(theirs, || (case.run)(&ctx))
        }
        Forked::Parent(pid) => pid,
    };
    let _ = sys::close(theirs);
    let (said, status) = follow(pid, report, limit);
    let _ = sys::close(report);
    let strays = end_group(pid);

    let Some(status) = status else {
        let so_far = match peer::parse_report(&said) {
            Some(Err(stop)) => format!("; it had said: {stop:?}"),
            _ => String::new(),
        };
        return Err(Stop::Fail(format!("no end after {} s{so_far}", limit.as_secs())));
    };
    match peer::parse_report(&said) {
        Some(Err(stop)) => Err(stop),
        Some(Ok(())) if status == Status::Exited(0) => {
            if strays {
                Err(Stop::Error("the case left processes running".into()))
            } else {
                Ok(())
            }
        }
        _ => Err(Stop::Fail(format!("the process of the case: {status}"))),
    }
}

/// Reads a case's report until its process ends; no status when the time is over.
fn follow(pid: i32, report: i32, limit: Duration) -> (Vec<u8>, Option<Status>) {
    let end = Instant::now() + limit;
    let mut said = Vec::new();
    let mut open = true;
    loop {
        if open {
            // Wakes up at once at the end of the usual case, and looks for an end that leaves the pipe open.
            if sys::wait_readable(report, Duration::from_millis(20)).unwrap_or(false) {
                let mut part = [0; 4096];
                match sys::read(report, &mut part) {
                    Ok(0) | Err(_) => open = false,
                    Ok(n) => said.extend_from_slice(&part[..n]),
                }
                continue;
            }
        } else {
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Ok(Some(status)) = sys::wait_now(pid) {
            while open && sys::wait_readable(report, Duration::ZERO).unwrap_or(false) {
                let mut part = [0; 4096];
                match sys::read(report, &mut part) {
                    Ok(0) | Err(_) => open = false,
                    Ok(n) => said.extend_from_slice(&part[..n]),
                }
            }
            return (said, Some(status));
        }
        if Instant::now() >= end {
            let _ = sys::kill(-pid, libc::SIGKILL);
            let _ = sys::kill(pid, libc::SIGKILL);
            let _ = sys::wait(pid);
            return (said, None);
        }
    }
}

/// Ends what is left of a process group; was there anything that had not ended by itself?
pub fn end_group(group: i32) -> bool {
    let patience = Instant::now() + Duration::from_secs(1);
    let mut strays = false;
    loop {
        if sys::kill(-group, 0) == Err(Errno(libc::ESRCH)) {
            return strays;
        }
        if Instant::now() > patience {
            if strays {
                return true;
            }
            strays = true;
            let _ = sys::kill(-group, libc::SIGKILL);
            let end = Instant::now() + Duration::from_secs(3);
            while sys::kill(-group, 0).is_ok() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{case, check, fail};

    /// Outcome of a case on a plain file, which has no counters.
    fn outcome_of(body: fn(&Ctx) -> Result) -> (Outcome, String) {
        let path = format!("/tmp/usr-tests-runner.{}.{body:p}", sys::getpid());
        std::fs::write(&path, vec![0; 1 << 17]).unwrap();
        let options =
            Options { device: path.clone(), limit: Duration::from_secs(2), all: false, hostile: false };
        let report = run(&case("x", "x", body), &options);
        std::fs::remove_file(path).unwrap();
        (report.outcome, report.message)
    }

    #[test]
    fn what_a_case_returns_is_its_outcome() {
        assert_eq!(outcome_of(|_| Ok(())), (Outcome::Pass, String::new()));
        let (outcome, message) = outcome_of(|_| check(false, "one is two"));
        assert!(outcome == Outcome::Fail && message.starts_with("one is two (runner.rs:"), "{message}");
        let (outcome, message) = outcome_of(|_| crate::case::skip("no such thing"));
        assert_eq!((outcome, message.as_str()), (Outcome::Skip, "no such thing"));
    }

    #[test]
    fn a_crash_is_a_failure_that_says_where() {
        let (outcome, message) = outcome_of(|_| {
            probe::bare_store8(16, 1);
            Ok(())
        });
        assert_eq!(outcome, Outcome::Fail);
        assert!(message.contains("SIGSEGV (SEGV_MAPERR) at 0x10"), "{message}");
        let (outcome, message) = outcome_of(|_| sys::exit_now(3));
        assert_eq!((outcome, message.as_str()), (Outcome::Fail, "the process of the case: exit status 3"));
    }

    #[test]
    fn a_panic_is_an_error() {
        let (outcome, message) = outcome_of(|_| panic!("on purpose"));
        assert!(outcome == Outcome::Error && message.contains("on purpose"), "{message}");
    }

    #[test]
    fn a_hang_ends_at_the_limit() {
        let (outcome, message) = outcome_of(|_| {
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        assert_eq!((outcome, message.as_str()), (Outcome::Fail, "no end after 2 s"));
    }

    #[test]
    fn a_process_left_behind_is_an_error_and_is_ended() {
        let (outcome, message) = outcome_of(|_| match sys::fork() {
            Ok(Forked::Child) => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
            Ok(Forked::Parent(_)) => Ok(()),
            Err(errno) => Err(fail(errno)),
        });
        assert!(outcome == Outcome::Error && message.contains("left processes"), "{message}");
    }

    #[test]
    fn what_a_peer_returns_and_how_it_dies_reach_the_case() {
        let (outcome, message) =
            outcome_of(|_| peer::Peer::start(|_| check(false, "seen by the peer"))?.done());
        assert!(outcome == Outcome::Fail && message.starts_with("seen by the peer"), "{message}");
        let (outcome, message) = outcome_of(|_| {
            let mut peer = peer::Peer::start(|_| sys::exit_now(5))?;
            peer.hear(b'x')
        });
        assert!(outcome == Outcome::Fail && message.contains("exit status 5"), "{message}");
    }
}
