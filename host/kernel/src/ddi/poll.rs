//! Poll heads: chpoll(9E) and pollwakeup(9F).
//!
//! Waiters are in a table, by the address of their poll head. In the driver's structure only `ph_list` is set: it is not null while there may be waiters, as drivers check it
//! before they call pollwakeup. It is written only in calls to which the driver has passed the head. pollwakeup may be called in any context: it takes the table's lock,
//! under which nothing else is called, and sends each waiter a message.

use std::collections::HashMap;
use std::ffi::{c_int, c_short};
use std::ptr::null_mut;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ddi_process::PollWaker;
use ddi_sys::pollhead_t;
use ddi_trace::Event;
use parking_lot::Mutex;

/// A poll head with waiters.
#[derive(Default)]
struct Head {
    /// The events, and how to wake.
    waiters: Vec<(u16, PollWaker)>,
    /// Number of the last pollwakeup, for edge-triggered waiters; 0 if there was none.
    stamp: u64,
}

/// State of this file.
struct State {
    heads: LazyLock<Mutex<HashMap<usize, Head>>>,
    /// Number of calls of pollwakeup so far, plus one.
    wakeups: AtomicU64,
}

static STATE: State = State { heads: LazyLock::new(Mutex::default), wakeups: AtomicU64::new(1) };
/// Events that have the same number in both systems: POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL, POLLRDNORM, POLLRDBAND.
const SAME: u32 = 0xff;
/// Events with different numbers: illumos, Linux. POLLWRNORM (which is POLLOUT on illumos), POLLWRBAND, POLLRDHUP.
const DIFFER: [(u32, u32); 3] = [(4, 0x100), (0x100, 0x200), (0x4000, 0x2000)];
const POLLOUT: u32 = 4;
/// A driver gives its head to who asks for edges, also when something is ready.
const POLLET: u16 = ddi_sys::POLLET as u16;
const EPOLLET: u32 = libc::EPOLLET as u32;
/// Errors, which wake everybody.
const FAILURES: u16 = (ddi_sys::POLLERR | ddi_sys::POLLHUP) as u16;

/// The events of a Linux poll(2) as a driver gets them. What illumos does not know is left out.
pub(crate) fn to_illumos(linux: u32) -> c_short {
    let edge = if linux & EPOLLET != 0 { u32::from(POLLET) } else { 0 };
    let all = DIFFER.iter().filter(|(_, l)| linux & l != 0).fold(linux & SAME | edge, |e, (i, _)| e | i);
    (all as u16).cast_signed()
}

/// Returns a driver's events as Linux has them, for a process that asked for the Linux events `asked`.
pub(crate) fn to_linux(illumos: c_short, asked: u32) -> u32 {
    let illumos = u32::from(illumos.cast_unsigned());
    let mut linux = illumos & SAME;
    for (i, l) in DIFFER {
        // POLLOUT and POLLWRNORM are the same on illumos: each is returned if it was requested.
        if illumos & i != 0 && (i != POLLOUT || asked & l != 0) {
            linux |= l;
        }
    }
    if asked & POLLOUT == 0 && linux & 0x100 != 0 { linux & !POLLOUT } else { linux }
}

/// Events of a device that cannot be asked: all that were asked for, except exceptions.
pub(crate) fn always(asked: c_short) -> c_short {
    asked & (0x1 | 0x4 | 0x40 | 0x80 | 0x100)
}

/// Sets `ph_list` in the driver's structure: whether there are waiters.
fn note(head: *mut pollhead_t, waits: bool) {
    if !head.is_null() {
        let list = if waits { head.cast() } else { null_mut() };
        // SAFETY: the driver has just named its head.
        unsafe { (*head).ph_list = list };
    }
}

/// Asks a driver by `chpoll`, and has `waker` called at a pollwakeup if nothing is ready, or edges are asked for. Also gives the head's stamp, for edges.
pub(crate) fn look(
    asked: c_short,
    waker: &PollWaker,
    chpoll: impl Fn(&mut c_short, &mut *mut pollhead_t) -> c_int,
) -> Result<(c_short, u64), c_int> {
    let edges = asked.cast_unsigned() & POLLET != 0;
    loop {
        let before = STATE.wakeups.load(Ordering::SeqCst);
        let (mut ready, mut head) = (0, null_mut());
        match chpoll(&mut ready, &mut head) {
            0 if (ready == 0 || edges) && !head.is_null() => {}
            0 => return Ok((ready, 0)),
            error => return Err(error),
        }
        let mut heads = STATE.heads.lock();
        let entry = heads.entry(head as usize).or_default();
        entry.waiters.retain(|(_, w)| !w.is_over());
        // A poll may name a device twice, for different events.
        match entry.waiters.iter_mut().find(|(_, w)| w == waker) {
            Some((wanted, _)) => *wanted |= asked.cast_unsigned(),
            None => entry.waiters.push((asked.cast_unsigned(), waker.clone())),
        }
        if edges && entry.stamp == 0 {
            entry.stamp = before;
        }
        let stamp = if edges { entry.stamp } else { 0 };
        note(head, true);
        drop(heads);
        // A wakeup between chpoll(9E) and the entry in the list found no waiter: poll again.
        if STATE.wakeups.load(Ordering::SeqCst) == before {
            return Ok((ready, stamp));
        }
    }
}

ddi! {
    /// pollwakeup(9F).
    fn pollwakeup(head: *mut pollhead_t, events: c_short) {
        let stamp = STATE.wakeups.fetch_add(1, Ordering::SeqCst) + 1;
        let events = events.cast_unsigned();
        let mut woken = Vec::new();
        {
            let mut heads = STATE.heads.lock();
            if let Some(entry) = heads.get_mut(&(head as usize)) {
                if entry.stamp != 0 {
                    entry.stamp = stamp;
                }
                entry.waiters.retain(|(wanted, waker)| {
                    let hit = wanted & events != 0 || events & FAILURES != 0;
                    if hit {
                        woken.push(waker.clone());
                    }
                    !hit && !waker.is_over()
                });
                if entry.waiters.is_empty() && entry.stamp == 0 {
                    heads.remove(&(head as usize));
                    note(head, false);
                }
            }
        }
        let polls = woken.len() as u32;
        ddi_trace::instant(0, || Event::PollWake { events: events.into(), woken: polls });
        woken.iter().for_each(PollWaker::wake);
    }
    /// pollhead_clean(9F): nobody who waits for this head is found by it any more.
    fn pollhead_clean(head: *mut pollhead_t) {
        if STATE.heads.lock().remove(&(head as usize)).is_some() {
            note(head, false);
        }
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
