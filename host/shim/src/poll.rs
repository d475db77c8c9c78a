//! poll(2), ppoll, select and pselect: devices are asked by the host, which calls chpoll(9E); the others by Linux.
//!
//! A thread that finds nothing ready waits in ppoll for the other descriptors and for its connection, on which the host reports calls of pollwakeup(9F). All
//! signals are blocked except in that ppoll, so that none is lost between the check and the wait.

use core::ffi::{c_int, c_void};
use core::sync::atomic::Ordering;

use ddi_wire::{Items, PollItem};

use crate::link::News;
use crate::real::fail;
use crate::scratch::Scratch;
use crate::signals::{low_mask, with_low_mask};
use crate::sys::Plain;
use crate::{copy, link, node, state, sys};

const OURS: u64 = sys::bit(libc::SIGSEGV) | sys::bit(libc::SIGBUS);
/// Most descriptors of one call.
const MOST: usize = 1 << 16;
/// Most devices among them.
const DEVICES: usize = Items::<PollItem>::MOST;
/// Interval, in nanoseconds, at which a thread that cannot be woken polls again: one in a signal handler that has interrupted the thread's own request, whose
/// connection is in use. It bounds only the delay of the poll.
const SLICE: u64 = 10_000_000;

type PollFd = libc::pollfd;

fn time(nanos: u64) -> libc::timespec {
    libc::timespec { tv_sec: (nanos / 1_000_000_000) as i64, tv_nsec: (nanos % 1_000_000_000) as i64 }
}

/// ppoll with the C library's mask type made of 64 bits, or none.
pub fn native(fds: &mut [PollFd], limit: Option<u64>, mask: Option<u64>) -> Result<usize, i32> {
    let limit = limit.map(time);
    let set = with_low_mask(&libc::sigset_t::zeroed(), mask.unwrap_or(0));
    let real =
        real!(ppoll: fn(*mut PollFd, libc::nfds_t, *const libc::timespec, *const libc::sigset_t) -> c_int);
    let limit = limit.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    let set = if mask.is_some() { core::ptr::from_ref(&set) } else { core::ptr::null() };
    // SAFETY: all of these live through the call.
    let n = unsafe { real(fds.as_mut_ptr(), fds.len() as libc::nfds_t, limit, set) };
    usize::try_from(n).map_err(|_| crate::real::errno())
}

/// Waits with nothing ready: for the descriptors, and for news of the devices. With [`News::Come`] it only takes signals. `Ok(false)`: the time is up.
pub fn wait(fds: &mut [PollFd], news: News, deadline: Option<u64>, mask: u64) -> Result<bool, i32> {
    let left = deadline.map(|end| end.saturating_sub(sys::now()));
    let (line, limit) = match news {
        News::Come => (-1, Some(0)),
        News::On(line) => (line, left),
        News::Unheard => (-1, Some(left.map_or(SLICE, |l| l.min(SLICE)))),
    };
    if let Some(last) = fds.last_mut() {
        *last = PollFd { fd: line, events: libc::POLLIN, revents: 0 };
    }
    let n = native(fds, limit, Some(mask & !OURS))?;
    if fds.last().is_some_and(|last| last.revents != 0) {
        link::woken();
    }
    Ok(match news {
        News::Come => true,
        News::On(_) => n > 0,
        News::Unheard => n > 0 || deadline.is_none_or(|end| sys::now() < end),
    })
}

/// Returns whether any of the descriptors may be a device.
fn concerns(fds: &[PollFd]) -> bool {
    state::HOLDING.load(Ordering::Relaxed) && fds.iter().any(|f| node::device(f.fd).is_some())
}

/// Polls `fds`, at least one of which is a device. Returns the number with results.
fn mixed(fds: &mut [PollFd], deadline: Option<u64>, mask: Option<u64>) -> Result<usize, i32> {
    let n = fds.len();
    let most = DEVICES.min(n);
    let scratch = Scratch::new(
        2 * most * size_of::<PollItem>() + n * size_of::<usize>() + (n + 1) * size_of::<PollFd>(),
    )?;
    let all_items = scratch.take::<PollItem>(most)?;
    let all_answers = scratch.take::<PollItem>(most)?;
    let places = scratch.take::<usize>(n)?;
    let natives = scratch.take::<PollFd>(n + 1)?;
    let user = sys::hold_signals();
    let r = (|| loop {
        let mut devices = 0;
        for (i, f) in fds.iter().enumerate() {
            let open = node::device(f.fd);
            natives[i] = PollFd { fd: if open.is_some() { -1 } else { f.fd }, events: f.events, revents: 0 };
            if let Some(open) = open {
                let item = all_items.get_mut(devices).ok_or(libc::EINVAL)?;
                *item = PollItem { open, events: u32::from(f.events.cast_unsigned()), ready: 0, stamp: 0 };
                places[devices] = i;
                devices += 1;
            }
        }
        natives[n] = PollFd { fd: -1, events: 0, revents: 0 };
        let ready = if devices < n { native(natives, Some(0), None)? } else { 0 };
        let answers = &mut all_answers[..devices];
        let (found, news) =
            if devices > 0 { link::poll(&all_items[..devices], answers, user)? } else { (0, News::Unheard) };
        if ready > 0 || found > 0 || deadline.is_some_and(|end| sys::now() >= end) {
            for (f, native) in fds.iter_mut().zip(natives.iter()) {
                f.revents = native.revents;
            }
            for (item, &place) in answers.iter().zip(places.iter()) {
                fds[place].revents = (item.ready as u16).cast_signed();
            }
            return Ok(ready + found as usize);
        }
        if !wait(natives, news, deadline, mask.unwrap_or(user))? {
            fds.iter_mut().for_each(|f| f.revents = 0);
            return Ok(0);
        }
    })();
    sys::set_mask(user);
    r
}

/// The program's list, if it concerns devices: polled, and its results written back.
fn program(at: *mut PollFd, n: usize, deadline: Option<u64>, mask: Option<u64>) -> Option<c_int> {
    if !state::HOLDING.load(Ordering::Relaxed) || n == 0 || n > MOST {
        return None;
    }
    let len = n * size_of::<PollFd>();
    let scratch = Scratch::new(len).ok()?;
    let fds = scratch.take::<PollFd>(n).ok()?;
    if !copy::read_items(fds, at as u64) || !concerns(fds) {
        return None;
    }
    Some(match mixed(fds, deadline, mask) {
        Ok(count) => {
            // SAFETY: the program has named the list for the result.
            if unsafe { copy::write_items(at as u64, fds) } { count as c_int } else { fail(libc::EFAULT) }
        }
        Err(e) => fail(e),
    })
}

fn in_millis(timeout: c_int) -> Option<u64> {
    u64::try_from(timeout).ok().map(|ms| sys::now() + ms * 1_000_000)
}

/// The time limit and the signal mask of a call: when it is over, and the mask. Null is none.
///
/// # Errors
/// `EFAULT` or `EINVAL`.
pub fn limits(
    limit: *const libc::timespec,
    set: *const libc::sigset_t,
) -> Result<(Option<u64>, Option<u64>), i32> {
    Ok((until(copy::optional(limit)?)?, copy::optional(set)?.as_ref().map(low_mask)))
}

/// When so much time from now is over; `None`: never.
fn until(limit: Option<libc::timespec>) -> Result<Option<u64>, i32> {
    let Some(t) = limit else { return Ok(None) };
    if t.tv_sec < 0 || !(0..1_000_000_000).contains(&t.tv_nsec) {
        return Err(libc::EINVAL);
    }
    let nanos = (t.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(t.tv_nsec as u64);
    Ok(Some(sys::now().saturating_add(nanos)))
}

/// ppoll(2), if it concerns devices. The limits are those of [`limits`].
fn with_limits(
    fds: *mut PollFd,
    n: libc::nfds_t,
    limits: impl FnOnce() -> Result<(Option<u64>, Option<u64>), i32>,
) -> Option<c_int> {
    if !state::HOLDING.load(Ordering::Relaxed) {
        return None;
    }
    match limits() {
        Ok((end, mask)) => program(fds, n as usize, end, mask),
        Err(e) => Some(fail(e)),
    }
}

interpose! {
    fn [poll](fds: *mut PollFd, n: libc::nfds_t, timeout: c_int) -> c_int = |original| {
        program(fds, n as usize, in_millis(timeout), None).unwrap_or_else(original)
    }

    fn [__poll_chk](fds: *mut PollFd, n: libc::nfds_t, timeout: c_int, room: usize) -> c_int = |original| {
        program(fds, n as usize, in_millis(timeout), None).unwrap_or_else(original)
    }

    fn [ppoll](
        fds: *mut PollFd, n: libc::nfds_t, limit: *const libc::timespec, set: *const libc::sigset_t,
    ) -> c_int = |original| {
        with_limits(fds, n, || limits(limit, set)).unwrap_or_else(original)
    }

    fn [__ppoll_chk](
        fds: *mut PollFd, n: libc::nfds_t, limit: *const libc::timespec, set: *const libc::sigset_t, room: usize,
    ) -> c_int = |original| {
        with_limits(fds, n, || limits(limit, set)).unwrap_or_else(original)
    }

    fn [select](
        n: c_int, read: *mut c_void, write: *mut c_void, except: *mut c_void, limit: *mut libc::timeval,
    ) -> c_int = |original| {
        if !state::HOLDING.load(Ordering::Relaxed) {
            return original();
        }
        let spec = copy::optional(limit.cast_const()).map(|limit| {
            limit.map(|t| libc::timespec { tv_sec: t.tv_sec, tv_nsec: t.tv_usec.saturating_mul(1000) })
        });
        match spec.and_then(until) {
            Ok(end) => select_devices(n, [read.cast(), write.cast(), except.cast()], end, None)
                .map_or_else(original, |r| r.unwrap_or_else(fail)),
            Err(e) => fail(e),
        }
    }

    fn [pselect](
        n: c_int, read: *mut c_void, write: *mut c_void, except: *mut c_void,
        limit: *const libc::timespec, set: *const libc::sigset_t,
    ) -> c_int = |original| {
        if !state::HOLDING.load(Ordering::Relaxed) {
            return original();
        }
        match limits(limit, set) {
            Ok((end, mask)) => select_devices(n, [read.cast(), write.cast(), except.cast()], end, mask)
                .map_or_else(original, |r| r.unwrap_or_else(fail)),
            Err(e) => fail(e),
        }
    }
}

/// The three sets of a select(2), as words.
type Sets = [*mut u64; 3];

/// Events that a device is asked for by each set, as illumos's select asks.
const ASKED: [i16; 3] = [libc::POLLRDNORM, libc::POLLWRNORM, libc::POLLRDBAND];
/// The same for Linux's own files.
const NATIVE: [i16; 3] = [libc::POLLIN | libc::POLLRDNORM, libc::POLLOUT | libc::POLLWRNORM, libc::POLLPRI];

/// A word of a set; 0 where there is none.
fn word(set: *mut u64, i: usize) -> u64 {
    let mut w = [0u64];
    if !set.is_null() {
        copy::read_items(&mut w, set.wrapping_add(i) as u64);
    }
    w[0]
}

/// select(2) on sets with a device among them.
fn select_devices(n: c_int, sets: Sets, end: Option<u64>, mask: Option<u64>) -> Option<Result<c_int, i32>> {
    let n = usize::try_from(n).ok().filter(|&n| n > 0 && n <= MOST)?;
    if !state::HOLDING.load(Ordering::Relaxed) {
        return None;
    }
    let scratch = Scratch::new(n * size_of::<PollFd>()).ok()?;
    let fds = scratch.take::<PollFd>(n).ok()?;
    let (mut count, mut device) = (0, false);
    for fd in 0..n {
        let mut asked = [false; 3];
        for (asked, &set) in asked.iter_mut().zip(&sets) {
            *asked = word(set, fd / 64) >> (fd % 64) & 1 != 0;
        }
        if asked == [false; 3] {
            continue;
        }
        let is_device = node::device(fd as c_int).is_some();
        device |= is_device;
        let table = if is_device { &ASKED } else { &NATIVE };
        let events = table.iter().zip(asked).filter(|(_, asked)| *asked).fold(0, |e, (bit, _)| e | bit);
        fds[count] = PollFd { fd: fd as c_int, events, revents: 0 };
        count += 1;
    }
    device.then(|| mixed(&mut fds[..count], end, mask).and_then(|_| fill(&fds[..count], n, sets)))
}

/// Turns results into sets.
fn fill(fds: &[PollFd], n: usize, sets: Sets) -> Result<c_int, i32> {
    if fds.iter().any(|f| f.revents & libc::POLLNVAL != 0) {
        return Err(libc::EBADF);
    }
    let mut total = 0;
    let mut next = fds.iter().peekable();
    for i in 0..n.div_ceil(64) {
        let mut words = [0u64; 3];
        while let Some(f) = next.next_if(|f| f.fd as usize / 64 == i) {
            for (which, word) in words.iter_mut().enumerate() {
                let asked = f.events & (ASKED[which] | NATIVE[which]);
                let broken = if which < 2 { libc::POLLERR | libc::POLLHUP } else { 0 };
                if asked != 0 && f.revents & (asked | broken) != 0 {
                    *word |= 1 << (f.fd % 64);
                    total += 1;
                }
            }
        }
        for (&set, word) in sets.iter().zip(words).filter(|(set, _)| !set.is_null()) {
            let at = set.wrapping_add(i) as u64;
            // SAFETY: the program has named the set for the result.
            if unsafe { !copy::write_items(at, &[word]) } {
                return Err(libc::EFAULT);
            }
        }
    }
    Ok(total)
}
