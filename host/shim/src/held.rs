//! Signals while a thread waits for the host.
//!
//! They are blocked until the request is answered, as a system call of illumos takes them when it returns. The shim reports to the host that one the thread would take
//! is pending, which ends interruptible waits. `SA_RESTART` of the signal that is taken decides whether a call that ends with `EINTR` is restarted.
//! Stop signals stop the process at once.

use crate::state;
use crate::sys::{self, bit};

/// SIGSEGV and SIGBUS are the shim's own.
const OURS: u64 = bit(libc::SIGSEGV) | bit(libc::SIGBUS);
/// The C library's signal that makes all threads change their user: it must not wait.
const SET_XID: i32 = 33;

/// Disposition of a signal.
enum Fate {
    Ignored,
    /// Taken at once, wherever the thread is.
    AtOnce,
    /// A handler, or death: whether calls are restarted.
    Taken(bool),
}

fn fate(signo: i32) -> Fate {
    let Ok(action) = sys::action(signo) else { return Fate::AtOnce };
    if signo == SET_XID {
        return Fate::AtOnce;
    }
    match action.handler as usize {
        libc::SIG_IGN => Fate::Ignored,
        libc::SIG_DFL => match signo {
            libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH | libc::SIGCONT => Fate::Ignored,
            libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => Fate::AtOnce,
            _ => Fate::Taken(false),
        },
        _ => Fate::Taken(action.flags & libc::SA_RESTART as u64 != 0),
    }
}

/// Signals of one request.
pub struct Held {
    /// Signals that are not watched for: those that the program has blocked or ignores.
    deaf: u64,
    /// The host has been told.
    told: bool,
    restart: bool,
}

impl Held {
    /// The calling thread has them held back already; `user` is the mask it will have again.
    pub fn new(user: u64) -> Held {
        Held { deaf: user | OURS, told: false, restart: true }
    }

    /// A signal came that the host was told of, and each such signal's handler wants calls restarted.
    pub fn restarts(&self) -> bool {
        self.told && self.restart
    }

    /// Waits until there is something on the connection; true: until a signal came, once.
    pub fn wait(&mut self, conn: i32) -> bool {
        while !self.told {
            let Some(signals) = descriptor(!self.deaf) else { return false };
            let mut fds = [
                libc::pollfd { fd: conn, events: libc::POLLIN, revents: 0 },
                libc::pollfd { fd: signals, events: libc::POLLIN, revents: 0 },
            ];
            match sys::poll(&mut fds, -1) {
                Ok(_) if fds[1].revents != 0 => self.look(),
                Ok(_) => return false,
                Err(libc::EINTR) => {}
                Err(_) => return false,
            }
            if self.told {
                return true;
            }
        }
        false
    }

    /// Lets signals that end the process do so, if the host was told of one: they go before the signal of a fault that failed because of it.
    pub fn end(&self) {
        if !self.told {
            return;
        }
        let fatal = (1..=64).filter(|&signo| {
            let handler = sys::action(signo).map(|action| action.handler as usize);
            handler == Ok(libc::SIG_DFL) && matches!(fate(signo), Fate::Taken(_))
        });
        let fatal = fatal.fold(0, |set, signo| set | bit(signo));
        let mask = sys::mask();
        sys::set_mask(mask & !(fatal & !self.deaf));
        sys::set_mask(mask);
    }

    /// Looks at what is pending.
    fn look(&mut self) {
        let mut left = sys::pending() & !self.deaf;
        while left != 0 {
            let signo = left.trailing_zeros() as i32 + 1;
            left &= left - 1;
            match fate(signo) {
                Fate::Ignored => self.deaf |= bit(signo),
                Fate::AtOnce => {
                    let mask = sys::mask();
                    sys::set_mask(mask & !bit(signo));
                    sys::set_mask(mask);
                }
                Fate::Taken(restart) => {
                    self.told = true;
                    self.restart &= restart;
                }
            }
        }
    }
}

/// This thread's descriptor that polls readable when one of `signals` is pending.
fn descriptor(signals: u64) -> Option<i32> {
    let (fd, mask) = state::SIGNALS.get();
    if fd >= 0 && mask == signals {
        return Some(fd);
    }
    let flags = (libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) as u64;
    let a = [fd as i64 as u64, (&raw const signals) as u64, 8, flags, 0, 0];
    // SAFETY: a mask of 8 bytes.
    let made = unsafe { sys::call(libc::SYS_signalfd4, a) }.ok()? as i32;
    let new = if fd < 0 { state::adopt(made) } else { fd };
    state::SIGNALS.set((new, signals));
    Some(new)
}

/// The thread ends.
pub fn close() {
    let (fd, _) = state::SIGNALS.replace((-1, 0));
    state::drop_own(fd);
}
