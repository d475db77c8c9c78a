//! Signals that ask a run to end: SIGINT, SIGQUIT, SIGTERM and SIGHUP.
//!
//! A handler notes the signal; a thread does the rest. What a terminal sends its programs get themselves, the other two are passed on. A driver's wait that signals
//! do not end would make the run wait without a word: within a second it is said which calls wait where and for what, and the next signal ends the run.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// After so long a call that is still inside a driver has not been ended by the signal.
const PATIENCE: Duration = Duration::from_millis(400);

/// Actions on the signals.
pub trait Ending: Send {
    /// One came. Another one before this has returned waits.
    fn asked(&self, signal: i32);
    /// Calls that are inside a driver and that signals do not end: a number for each, which no other call has.
    fn stuck(&self) -> Vec<u64>;
    /// Says of such calls where they are and for what they wait; returns those that are still there and matter.
    fn say(&self, calls: Vec<u64>) -> Vec<u64>;
    /// Ends the run at once.
    fn end(&self);
}

/// Descriptor that handlers write to.
static PIPE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn note(signal: libc::c_int) {
    let pipe = PIPE.load(Ordering::Relaxed);
    if pipe >= 0 {
        // SAFETY: the pipe of the `Signals` that lives while this handler is in force.
        let pipe = unsafe { BorrowedFd::borrow_raw(pipe) };
        // A system call and nothing else: not even errno changes. The pipe does not block: who sends thousands of signals loses some.
        let _ = rustix::io::write(pipe, &[signal as u8]);
    }
}

/// While it lives, the signals are taken.
pub struct Signals {
    before: Vec<(i32, libc::sigaction)>,
    pipe: OwnedFd,
}

impl Signals {
    /// Takes them. One value at a time.
    ///
    /// # Errors
    /// The error of making a pipe and a thread.
    pub fn take(ending: impl Ending + 'static) -> io::Result<Signals> {
        let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
        let (events, pipe) = rustix::pipe::pipe_with(flags)?;
        std::thread::Builder::new().name("signals".into()).spawn(move || attend(&events, &ending))?;
        PIPE.store(pipe.as_raw_fd(), Ordering::Relaxed);
        let signals = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP];
        // What was ignored before stays ignored, as under nohup(1).
        let mut before: Vec<_> = signals.map(|signal| (signal, set_action(signal))).into();
        before.retain(|(signal, action)| {
            let ignored = action.sa_sigaction == libc::SIG_IGN;
            if ignored {
                restore(*signal, action);
            }
            !ignored
        });
        Ok(Signals { before, pipe })
    }

    /// Those that a program is to have by default.
    pub(super) fn defaults(&self) -> Vec<i32> {
        self.before.iter().map(|(signal, _)| *signal).collect()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.before.iter().for_each(|(signal, action)| restore(*signal, action));
        let own = self.pipe.as_raw_fd();
        let _ = PIPE.compare_exchange(own, -1, Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn restore(signal: i32, action: &libc::sigaction) {
    // SAFETY: an action that was in force before.
    unsafe { libc::sigaction(signal, action, std::ptr::null_mut()) };
}

fn set_action(signal: i32) -> libc::sigaction {
    // SAFETY: all-zero is a valid sigaction.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    new.sa_sigaction = note as *const () as libc::sighandler_t;
    new.sa_flags = libc::SA_RESTART;
    // SAFETY: as above.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: both point to valid structures; the handler is async-signal-safe.
    unsafe { libc::sigaction(signal, &new, &mut old) };
    old
}

/// Attends to signals until the pipe is closed.
fn attend(events: &OwnedFd, ending: &dyn Ending) {
    let mut told = Vec::new();
    loop {
        let mut fds = [rustix::event::PollFd::new(events, rustix::event::PollFlags::IN)];
        let _ = rustix::event::poll(&mut fds, None);
        let mut signal = [0];
        match rustix::io::read(events, &mut signal) {
            Ok(1) => {}
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
            _ => return,
        }
        let end = Instant::now() + PATIENCE;
        ending.asked(signal[0].into());
        let before = ending.stuck();
        if before.iter().any(|call| told.contains(call)) {
            ending.end();
        }
        // Only what is said waits: a call that is still there after so long has not been ended by the signal.
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        let mut stuck = ending.stuck();
        stuck.retain(|call| before.contains(call));
        told = if stuck.is_empty() { stuck } else { ending.say(stuck) };
    }
}
