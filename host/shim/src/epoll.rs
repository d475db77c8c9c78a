//! epoll: the host polls the devices of an epoll set whenever the program waits for the set.
//!
//! The set contains the device's descriptor, too, without events, so that Linux maintains its contents. The events that the program asked for are in a table here, by
//! the set's descriptor.

use core::ffi::c_int;
use core::sync::atomic::{AtomicUsize, Ordering};

use ddi_wire::PollItem;

use crate::link::News;
use crate::poll::{limits, wait};
use crate::real::fail;
use crate::scratch::Scratch;
use crate::signals::low_mask;
use crate::sys::{self, Table};
use crate::{copy, link, node, state};

/// Most devices in all of the process's sets together.
const MOST: usize = 512;
/// Most events that one wait returns: the others are returned by the next.
const EVENTS: usize = 1024;
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

/// Resets the lock in a forked child, whose sets are its parent's.
pub fn born() {
    TABLE.reset();
}

interpose! {
    fn [epoll_ctl](set: c_int, op: c_int, fd: c_int, event: *mut libc::epoll_event) -> c_int = |original| {
        let Some(open) = node::device(fd) else { return original() };
        let wanted = match copy::optional(event.cast_const()) {
            Ok(event) => event.map(|e| (e.events, e.u64)),
            Err(error) => return fail(error),
        };
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
        common(set, events, most, || Ok((in_millis(timeout), None))).unwrap_or_else(original)
    }

    fn [epoll_pwait](
        set: c_int, events: *mut libc::epoll_event, most: c_int, timeout: c_int, signals: *const libc::sigset_t,
    ) -> c_int = |original| {
        let limits = || Ok((in_millis(timeout), copy::optional(signals)?.as_ref().map(low_mask)));
        common(set, events, most, limits).unwrap_or_else(original)
    }

    fn [epoll_pwait2](
        set: c_int, events: *mut libc::epoll_event, most: c_int,
        limit: *const libc::timespec, signals: *const libc::sigset_t,
    ) -> c_int = |original| {
        common(set, events, most, || limits(limit, signals)).unwrap_or_else(original)
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

/// Stores the events to report and notes them. Returns their number.
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
            // A pollwakeup(9F) is an edge, even if the events are the same as before.
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

/// Waits for a set with devices in it, and stores at most `most` events.
fn wait_for(
    set: c_int,
    events: *mut libc::epoll_event,
    most: usize,
    (end, mask): Limits,
) -> Result<usize, i32> {
    let most = most.min(EVENTS);
    let scratch =
        Scratch::new(MOST * (2 * size_of::<PollItem>() + 2) + most * size_of::<libc::epoll_event>())?;
    let to = scratch.take::<libc::epoll_event>(most)?;
    let all_items = scratch.take::<PollItem>(MOST)?;
    let all_answers = scratch.take::<PollItem>(MOST)?;
    let places = scratch.take::<u16>(MOST)?;
    let real = real!(epoll_wait: fn(c_int, *mut libc::epoll_event, c_int, c_int) -> c_int);
    let user = sys::hold_signals();
    let r: Result<usize, i32> = (|| loop {
        let n = asked(set, all_items, places);
        let answers = &mut all_answers[..n];
        let (_, news) = if n > 0 { link::poll(&all_items[..n], answers, user)? } else { (0, News::Unheard) };
        let found = report(set, answers, places, to);
        let rest = &mut to[found..];
        let mut natively = 0;
        if !rest.is_empty() {
            // SAFETY: a place for as many events.
            let got = unsafe { real(set, rest.as_mut_ptr(), rest.len() as c_int, 0) };
            natively = usize::try_from(got).map_err(|_| crate::real::errno())?;
        }
        if found + natively > 0 || end.is_some_and(|end| sys::now() >= end) {
            return Ok(found + natively);
        }
        let mut fds = [libc::pollfd { fd: set, events: libc::POLLIN, revents: 0 }; 2];
        if !wait(&mut fds, news, end, mask.unwrap_or(user))? {
            return Ok(0);
        }
    })();
    sys::set_mask(user);
    let count = r?;
    // SAFETY: the program has named the array for the result.
    let stored = unsafe { copy::write_items(events as u64, &to[..count]) };
    if stored { Ok(count) } else { Err(libc::EFAULT) }
}

/// When a wait is over, and the signal mask meanwhile.
type Limits = (Option<u64>, Option<u64>);

/// epoll_wait(2) and its relatives, for a set with devices in it; None: it has none.
fn common(
    set: c_int,
    events: *mut libc::epoll_event,
    most: c_int,
    limits: impl FnOnce() -> Result<Limits, i32>,
) -> Option<c_int> {
    let most = usize::try_from(most).ok().filter(|&most| most > 0 && !events.is_null())?;
    let holds = state::HOLDING.load(Ordering::Relaxed) && USED.load(Ordering::Relaxed) > 0;
    if !holds || !with(|table| table.iter().any(|i| i.set == set)) {
        return None;
    }
    let waited = limits().and_then(|limits| wait_for(set, events, most, limits));
    Some(waited.map_or_else(fail, |n| n as c_int))
}

fn in_millis(timeout: c_int) -> Option<u64> {
    u64::try_from(timeout).ok().map(|ms| sys::now() + ms * 1_000_000)
}
