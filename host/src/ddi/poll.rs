//! Poll heads: chpoll(9E) and pollwakeup(9F).
//!
//! Who waits for a poll head is kept here, by the head's address; the driver's structure is not touched. pollwakeup may be called in any context: it takes the table's lock,
//! under which nothing else is called, and sends each waiter a message.

use std::collections::HashMap;
use std::ffi::{c_int, c_short};
use std::ptr::null_mut;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ddi_sys::pollhead_t;
use parking_lot::Mutex;

use crate::process::PollWaker;

/// Who waits for a head: the events, and how to wake.
type Waiters = HashMap<usize, Vec<(u16, PollWaker)>>;

static WAITERS: LazyLock<Mutex<Waiters>> = LazyLock::new(Mutex::default);
/// Calls of pollwakeup so far.
static WAKEUPS: AtomicU64 = AtomicU64::new(0);

/// Events that have the same number in both systems: POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL, POLLRDNORM, POLLRDBAND.
const SAME: u32 = 0xff;
/// Those that differ: illumos, Linux. POLLWRNORM (which illumos has no number of its own for), POLLWRBAND, POLLRDHUP.
const DIFFER: [(u32, u32); 3] = [(4, 0x100), (0x100, 0x200), (0x4000, 0x2000)];
const POLLOUT: u32 = 4;
/// Errors, which wake everybody.
const FAILURES: u16 = (ddi_sys::POLLERR | ddi_sys::POLLHUP) as u16;

/// The events of a Linux poll(2) as a driver gets them. What illumos does not know is left out.
pub(crate) fn to_illumos(linux: u32) -> c_short {
    let all = DIFFER.iter().filter(|(_, l)| linux & l != 0).fold(linux & SAME, |e, (i, _)| e | i);
    (all as u16).cast_signed()
}

/// What a driver says is so, for a process that asked for the Linux events `asked`.
pub(crate) fn to_linux(illumos: c_short, asked: u32) -> u32 {
    let illumos = u32::from(illumos.cast_unsigned());
    let mut linux = illumos & SAME;
    for (i, l) in DIFFER {
        // POLLOUT and POLLWRNORM are one: each is told to who asked for it.
        if illumos & i != 0 && (i != POLLOUT || asked & l != 0) {
            linux |= l;
        }
    }
    if asked & POLLOUT == 0 && linux & 0x100 != 0 { linux & !POLLOUT } else { linux }
}

/// What is so of a device that cannot be asked: all that was asked for, except exceptions.
pub(crate) fn always(asked: c_short) -> c_short {
    asked & (0x1 | 0x4 | 0x40 | 0x80 | 0x100)
}

/// Asks a driver by `chpoll`, and has `waker` called at a pollwakeup if nothing is ready.
pub(crate) fn look(
    asked: c_short,
    waker: &PollWaker,
    chpoll: impl Fn(&mut c_short, &mut *mut pollhead_t) -> c_int,
) -> Result<c_short, c_int> {
    loop {
        let before = WAKEUPS.load(Ordering::SeqCst);
        let (mut ready, mut head) = (0, null_mut());
        match chpoll(&mut ready, &mut head) {
            0 if ready == 0 && !head.is_null() => {}
            0 => return Ok(ready),
            error => return Err(error),
        }
        let mut waiters = WAITERS.lock();
        let list = waiters.entry(head as usize).or_default();
        list.retain(|(_, w)| !w.is_over() && w != waker);
        list.push((asked.cast_unsigned(), waker.clone()));
        drop(waiters);
        // A wakeup between the look and the entry in the list found nobody: look again.
        if WAKEUPS.load(Ordering::SeqCst) == before {
            return Ok(0);
        }
    }
}

ddi! {
    /// pollwakeup(9F).
    fn pollwakeup(head: *mut pollhead_t, events: c_short) {
        WAKEUPS.fetch_add(1, Ordering::SeqCst);
        let events = events.cast_unsigned();
        let mut woken = Vec::new();
        {
            let mut waiters = WAITERS.lock();
            if let Some(list) = waiters.get_mut(&(head as usize)) {
                list.retain(|(wanted, waker)| {
                    let hit = wanted & events != 0 || events & FAILURES != 0;
                    if hit {
                        woken.push(waker.clone());
                    }
                    !hit && !waker.is_over()
                });
                if list.is_empty() {
                    waiters.remove(&(head as usize));
                }
            }
        }
        woken.iter().for_each(PollWaker::wake);
    }
    /// pollhead_clean(9F): nobody who waits for this head is found by it any more.
    fn pollhead_clean(head: *mut pollhead_t) {
        WAITERS.lock().remove(&(head as usize));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_translated_both_ways() {
        let linux = |e: c_short| e.cast_unsigned().into();
        let (rd, wr) = (linux(libc::POLLIN | libc::POLLRDNORM), linux(libc::POLLOUT));
        assert_eq!(to_illumos(rd | wr), 0x45);
        assert_eq!(to_linux(0x45, rd | wr), rd | wr);
        let (normal, band) = (linux(libc::POLLWRNORM), linux(libc::POLLWRBAND));
        assert_eq!(to_illumos(normal | band), 0x104);
        assert_eq!(to_linux(0x104, normal | band), normal | band);
        assert_eq!(to_linux(4, wr | normal), wr | normal);
        assert_eq!(to_linux(8 | 0x10, rd), linux(libc::POLLERR | libc::POLLHUP));
        assert_eq!(to_illumos(libc::EPOLLRDHUP as u32), 0x4000);
        assert_eq!(always(to_illumos(rd | wr | linux(libc::POLLPRI))), 0x45);
    }
}
