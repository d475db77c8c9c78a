//! The start of a forked child: it releases its parent's connections, and registers with the host.

use core::sync::atomic::Ordering;

use crate::{agent, attach, dirs, epoll, line, state, sys, tree};

/// In a forked child: `leash` is the connection that the host made for it, or -1 if the fork could not be announced.
pub fn born(leash: i32) {
    state::PID.store(sys::getpid(), Ordering::Relaxed);
    let old = state::mode();
    state::set_mode(None);
    state::LIFELINE.store(-1, Ordering::Relaxed);
    state::UFFD.store(-1, Ordering::Relaxed);
    state::CONNECTED.store(false, Ordering::Relaxed);
    let memory = state::MEMORY.load(Ordering::Relaxed);
    // All the rest was the parent's.
    let mut next = state::next_own(0);
    while let Some(fd) = next {
        if fd as i32 != leash && fd as i32 != memory {
            state::drop_own(fd as i32);
        }
        next = state::next_own(fd + 1);
    }
    state::BUSY.set(false);
    state::SIGNALS.set((-1, 0));
    state::PINNED.reset();
    state::Change::forget();
    state::TURNS.reset();
    state::PINNING.1.store(0, Ordering::SeqCst);
    epoll::born();
    dirs::born();
    tree::born();
    agent::forget();
    match old {
        Some(mode) if leash >= 0 => {
            if let Err(what) = attach::introduce(leash, mode) {
                sys::complain(what);
                sys::complain(b"; the process is killed\n");
                sys::raise(libc::SIGKILL);
            }
        }
        // The host does not know this process, and could not serve its faults on the device mappings.
        Some(_) => agent::seal(),
        None => {}
    }
    line::forget();
}
