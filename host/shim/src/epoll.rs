//! epoll: a device in an epoll set is asked by the host whenever the set is waited for.
//!
//! The set holds the device's descriptor too, without any events, so that Linux keeps track of what is in it. What the program wants to know is in a table here, by
//! the set's descriptor.

use core::ffi::c_int;
use core::sync::atomic::{AtomicUsize, Ordering};

use ddi_wire::PollItem;

use crate::poll::{limits, now, wait};
use crate::real::fail;
use crate::scratch::Scratch;
use crate::signals::low_mask;
use crate::sys::{self, Table};
use crate::{link, node, state};

/// Most devices in all of the process's sets together.
const MOST: usize = 512;
const ONESHOT: u32 = libc::EPOLLONESHOT as u32;
const EDGE: u32 = libc::EPOLLET as u32;
/// Bits of an interest that are no events and that the host is not told.
const HOW: u32 = ONESHOT | libc::EPOLLWAKEUP as u32 | libc::EPOLLEXCLUSIVE as u32;

/// A device in a set.
#[derive(Clone, Copy)]
struct Interest {
    set: i32,
    fd: i32,
    open: u64,
    events: u32,
    /// A one-shot interest that has been reported.
    spent: bool,
    /// Events that were reported last, and the host's stamp of them, for edges.
    last: u32,
    stamp: u64,
    data: u64,
}

const FREE: Interest =
    Interest { set: -1, fd: -1, open: 0, events: 0, spent: false, last: 0, stamp: 0, data: 0 };
static TABLE: Table<[Interest; MOST]> = Table::new([FREE; MOST]);
static USED: AtomicUsize = AtomicUsize::new(0);

fn with<R>(f: impl FnOnce(&mut [Interest; MOST]) -> R) -> R {
    TABLE.with(|table| {
        let r = f(table);
        USED.store(table.iter().filter(|i| i.set >= 0).count(), Ordering::Relaxed);
        r
    })
}

/// In a forked child, whose sets are its parent's.
pub fn born() {
    TABLE.reset();
}

interpose! {
    fn [epoll_ctl](set: c_int, op: c_int, fd: c_int, event: *mut libc::epoll_event) -> c_int = |original| {
        let Some(open) = node::device(fd) else { return original() };
        // SAFETY: null or valid by the caller.
        let wanted = unsafe { event.as_ref() }.map(|e| (e.events, e.u64));
        let r = control(set, op, fd, wanted.is_some());
        if r != 0 {
            return r;
        }
        let room = with(|table| {
            table.iter_mut().filter(|i| i.set == set && i.fd == fd).for_each(|i| *i = FREE);
            let Some((events, data)) = wanted.filter(|_| op != libc::EPOLL_CTL_DEL) else { return true };
            let slot = table.iter_mut().find(|i| i.set < 0);
            slot.map(|i| *i = Interest { set, fd, open, events, spent: false, last: 0, stamp: 0, data }).is_some()
        });
        if room {
            return 0;
        }
        control(set, libc::EPOLL_CTL_DEL, fd, true);
        fail(libc::ENOSPC)
    }

    fn [epoll_wait](
        set: c_int, events: *mut libc::epoll_event, most: c_int, timeout: c_int,
    ) -> c_int = |original| {
        // SAFETY: the caller's arguments.
        unsafe { common(set, events, most, in_millis(timeout), None) }.unwrap_or_else(original)
    }

    fn [epoll_pwait](
        set: c_int, events: *mut libc::epoll_event, most: c_int, timeout: c_int, signals: *const libc::sigset_t,
    ) -> c_int = |original| {
        // SAFETY: null or valid by the caller.
        let only = unsafe { signals.as_ref() }.map(low_mask);
        // SAFETY: the caller's arguments.
        unsafe { common(set, events, most, in_millis(timeout), only) }.unwrap_or_else(original)
    }

    fn [epoll_pwait2](
        set: c_int, events: *mut libc::epoll_event, most: c_int,
        limit: *const libc::timespec, signals: *const libc::sigset_t,
    ) -> c_int = |original| {
        // SAFETY: null or valid by the caller.
        match unsafe { limits(limit, signals) } {
            // SAFETY: the caller's arguments.
            Ok((end, only)) => unsafe { common(set, events, most, end, only) }.unwrap_or_else(original),
            Err(e) => fail(e),
        }
    }
}

/// epoll_ctl(2) of the descriptor without events; `event`: with a structure.
fn control(set: c_int, op: c_int, fd: c_int, event: bool) -> c_int {
    let real = real!(epoll_ctl: fn(c_int, c_int, c_int, *mut libc::epoll_event) -> c_int);
    let mut none = libc::epoll_event { events: 0, u64: 0 };
    let at = if event { &raw mut none } else { core::ptr::null_mut() };
    // SAFETY: null or a structure.
    unsafe { real(set, op, fd, at) }
}

/// The devices of a set that are to be asked, as places in the table; forgets those that are not open any more.
fn asked(set: i32, items: &mut [PollItem], places: &mut [u16]) -> usize {
    with(|table| {
        let mut n = 0;
        for (place, i) in table.iter_mut().enumerate().filter(|(_, i)| i.set == set) {
            if node::device(i.fd) != Some(i.open) {
                *i = FREE;
            } else if !i.spent {
                items[n] = PollItem { open: i.open, events: i.events & !HOW, ready: 0, stamp: 0 };
                places[n] = place as u16;
                n += 1;
            }
        }
        n
    })
}

/// Notes what is reported; how many events.
fn report(set: i32, items: &[PollItem], places: &[u16], to: &mut [libc::epoll_event]) -> usize {
    with(|table| {
        let mut n = 0;
        for (item, &place) in items.iter().zip(places) {
            let i = &mut table[usize::from(place)];
            if i.set != set || i.open != item.open {
                continue;
            }
            let always = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
            let ready = item.ready & (i.events & !HOW & !EDGE | always);
            // pollwakeup(9F) says that there is news, even if it is the same as before.
            let told = item.stamp != 0 && item.stamp != i.stamp;
            let news = if i.events & EDGE != 0 && !told { ready & !i.last } else { ready };
            if news == 0 || n < to.len() {
                (i.last, i.stamp) = (ready, item.stamp);
            }
            if news != 0 && n < to.len() {
                to[n] = libc::epoll_event { events: ready, u64: i.data };
                n += 1;
                i.spent = i.events & ONESHOT != 0;
            }
        }
        n
    })
}

/// Waits for a set with devices in it; None: it has none.
fn wait_for(
    set: c_int,
    to: &mut [libc::epoll_event],
    end: Option<u64>,
    mask: Option<u64>,
) -> Option<Result<usize, i32>> {
    if USED.load(Ordering::Relaxed) == 0 || !with(|table| table.iter().any(|i| i.set == set)) {
        return None;
    }
    let scratch = Scratch::new(MOST * (2 * size_of::<PollItem>() + 2)).ok()?;
    let all_items = scratch.take::<PollItem>(MOST).ok()?;
    let all_answers = scratch.take::<PollItem>(MOST).ok()?;
    let places = scratch.take::<u16>(MOST).ok()?;
    let real = real!(epoll_wait: fn(c_int, *mut libc::epoll_event, c_int, c_int) -> c_int);
    let user = sys::hold_signals();
    let r = (|| loop {
        let n = asked(set, all_items, places);
        let answers = &mut all_answers[..n];
        let (_, line) = if n > 0 { link::poll(&all_items[..n], answers, user)? } else { (0, -1) };
        let found = report(set, answers, places, to);
        let rest = &mut to[found..];
        let mut natively = 0;
        if !rest.is_empty() {
            // SAFETY: a place for as many events.
            let got = unsafe { real(set, rest.as_mut_ptr(), rest.len() as c_int, 0) };
            natively = usize::try_from(got).map_err(|_| crate::real::errno())?;
        }
        if found + natively > 0 || end.is_some_and(|end| now() >= end) {
            return Ok(found + natively);
        }
        let mut fds = [libc::pollfd { fd: set, events: libc::POLLIN, revents: 0 }; 2];
        if !wait(&mut fds, line, end, mask.unwrap_or(user))? {
            return Ok(0);
        }
    })();
    sys::set_mask(user);
    Some(r)
}

/// # Safety
/// As for epoll_wait(2).
unsafe fn common(
    set: c_int,
    events: *mut libc::epoll_event,
    most: c_int,
    end: Option<u64>,
    mask: Option<u64>,
) -> Option<c_int> {
    if !state::HOLDING.load(Ordering::Relaxed) || events.is_null() || most <= 0 {
        return None;
    }
    // SAFETY: the caller's array; any bytes are a valid event.
    let to = unsafe { core::slice::from_raw_parts_mut(events, most as usize) };
    Some(wait_for(set, to, end, mask)?.map_or_else(fail, |n| n as c_int))
}

fn in_millis(timeout: c_int) -> Option<u64> {
    u64::try_from(timeout).ok().map(|ms| now() + ms * 1_000_000)
}
