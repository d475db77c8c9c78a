//! poll(2), ppoll, select and pselect: devices are asked by the host, which calls chpoll(9E); the others by Linux.
//!
//! A thread that finds nothing ready waits in ppoll for the other descriptors and for its connection, on which the host says when pollwakeup(9F) was called. All
//! signals are held meanwhile but in that ppoll, so that none is lost between a look and the wait.

use core::ffi::{c_int, c_void};
use core::sync::atomic::Ordering;

use ddi_wire::PollItem;

use crate::real::fail;
use crate::{copy, link, node, state, sys};

const OURS: u64 = sys::bit(libc::SIGSEGV) | sys::bit(libc::SIGBUS);
/// Most descriptors of one call.
const MOST: usize = 1 << 16;
/// Most devices among them.
const DEVICES: usize = ddi_wire::PAYLOAD_MAX / size_of::<PollItem>();
/// How often a thread looks that cannot be woken, in nanoseconds.
const SLICE: u64 = 10_000_000;

type PollFd = libc::pollfd;

/// Memory for one call: how it is divided is its user's affair.
pub struct Scratch {
    at: u64,
    len: u64,
}

impl Scratch {
    pub fn new(len: usize) -> Result<Scratch, i32> {
        let len = (len as u64).next_multiple_of(4096);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping that replaces nothing.
        let at = unsafe { sys::mmap(0, len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) }?;
        Ok(Scratch { at, len })
    }

    /// `count` zeroed items, `from` bytes in.
    pub fn slice<T>(&self, from: usize, count: usize) -> &'static mut [T] {
        debug_assert!((from + count * size_of::<T>()) as u64 <= self.len);
        // SAFETY: within the mapping, aligned (all offsets are multiples of 8), zeroes are a valid item; each part is asked for once, and used while the
        // scratch lives.
        unsafe { core::slice::from_raw_parts_mut((self.at + from as u64) as *mut T, count) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`.
        let _ = unsafe { sys::munmap(self.at, self.len) };
    }
}

/// Now, in nanoseconds of the monotonic clock.
pub fn now() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

fn time(nanos: u64) -> libc::timespec {
    libc::timespec { tv_sec: (nanos / 1_000_000_000) as i64, tv_nsec: (nanos % 1_000_000_000) as i64 }
}

/// ppoll with the C library's mask type made of 64 bits, or none.
pub fn native(fds: &mut [PollFd], limit: Option<u64>, mask: Option<u64>) -> Result<usize, i32> {
    let limit = limit.map(time);
    // SAFETY: all-zero is a valid set.
    let mut set: libc::sigset_t = unsafe { core::mem::zeroed() };
    if let Some(mask) = mask {
        // SAFETY: the C library's set starts with the kernel's 64 bits.
        unsafe { core::ptr::from_mut(&mut set).cast::<u64>().write_unaligned(mask) };
    }
    let real =
        real!(ppoll: fn(*mut PollFd, libc::nfds_t, *const libc::timespec, *const libc::sigset_t) -> c_int);
    let limit = limit.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    let set = if mask.is_some() { core::ptr::from_ref(&set) } else { core::ptr::null() };
    // SAFETY: all of these live through the call.
    let n = unsafe { real(fds.as_mut_ptr(), fds.len() as libc::nfds_t, limit, set) };
    usize::try_from(n).map_err(|_| crate::real::errno())
}

/// Waits with nothing ready: for the descriptors, and for a word of the host's on `line` (-1: a while). `Ok(false)`: the time is up.
pub fn wait(fds: &mut [PollFd], line: i32, deadline: Option<u64>, mask: u64) -> Result<bool, i32> {
    let left = deadline.map(|end| end.saturating_sub(now()));
    let limit = if line < 0 { Some(left.map_or(SLICE, |l| l.min(SLICE))) } else { left };
    if let Some(last) = fds.last_mut() {
        *last = PollFd { fd: line, events: libc::POLLIN, revents: 0 };
    }
    let n = native(fds, limit, Some(mask & !OURS))?;
    if fds.last().is_some_and(|last| last.revents != 0) {
        link::woken();
    }
    Ok(n > 0 || line < 0 && deadline.is_none_or(|end| now() < end))
}

/// May any of the descriptors be a device?
fn concerns(fds: &[PollFd]) -> bool {
    state::HOLDING.load(Ordering::Relaxed) && fds.iter().any(|f| node::device(f.fd).is_some())
}

/// Polls `fds`, at least one of which is a device; how many have results.
fn mixed(fds: &mut [PollFd], deadline: Option<u64>, mask: Option<u64>) -> Result<usize, i32> {
    let n = fds.len();
    let native_at = 0;
    let items_at = native_at + ((n + 1) * size_of::<PollFd>()).next_multiple_of(8);
    let places_at = items_at + DEVICES.min(n) * size_of::<PollItem>();
    let scratch = Scratch::new(places_at + n * size_of::<usize>())?;
    let natives = scratch.slice::<PollFd>(native_at, n + 1);
    let all_items = scratch.slice::<PollItem>(items_at, DEVICES.min(n));
    let places = scratch.slice::<usize>(places_at, n);
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
        let items = &mut all_items[..devices];
        let (found, line) = if devices > 0 { link::poll(items, ready as u64, user)? } else { (0, -1) };
        if ready > 0 || found > 0 || deadline.is_some_and(|end| now() >= end) {
            for (f, native) in fds.iter_mut().zip(natives.iter()) {
                f.revents = native.revents;
            }
            for (item, &place) in items.iter().zip(places.iter()) {
                fds[place].revents = (item.ready as u16).cast_signed();
            }
            return Ok(ready + found as usize);
        }
        if !wait(natives, line, deadline, mask.unwrap_or(user))? {
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
    let fds = scratch.slice::<PollFd>(0, n);
    // SAFETY: the list has the room; the other side is what the program named.
    let got = unsafe { copy::copy(fds.as_mut_ptr() as u64, at as u64, len) };
    if got < len || !concerns(fds) {
        return None;
    }
    Some(match mixed(fds, deadline, mask) {
        Ok(count) => {
            // SAFETY: as above, the other way.
            let put = unsafe { copy::copy(at as u64, fds.as_ptr() as u64, len) };
            if put == len { count as c_int } else { fail(libc::EFAULT) }
        }
        Err(e) => fail(e),
    })
}

fn in_millis(timeout: c_int) -> Option<u64> {
    u64::try_from(timeout).ok().map(|ms| now() + ms * 1_000_000)
}

/// # Safety
/// `limit` is null or valid.
pub unsafe fn deadline(limit: *const libc::timespec) -> Result<Option<u64>, i32> {
    // SAFETY: by the caller.
    let Some(t) = (unsafe { limit.as_ref() }) else { return Ok(None) };
    if t.tv_sec < 0 || !(0..1_000_000_000).contains(&t.tv_nsec) {
        return Err(libc::EINVAL);
    }
    let nanos = (t.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(t.tv_nsec as u64);
    Ok(Some(now().saturating_add(nanos)))
}

/// # Safety
/// `set` is null or valid.
pub unsafe fn mask(set: *const libc::sigset_t) -> Option<u64> {
    // SAFETY: by the caller; the C library's set starts with the kernel's 64 bits.
    (!set.is_null()).then(|| unsafe { set.cast::<u64>().read_unaligned() })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn poll(fds: *mut PollFd, n: libc::nfds_t, timeout: c_int) -> c_int {
    if let Some(r) = program(fds, n as usize, in_millis(timeout), None) {
        return r;
    }
    let real = real!(poll: fn(*mut PollFd, libc::nfds_t, c_int) -> c_int);
    // SAFETY: the caller's arguments.
    unsafe { real(fds, n, timeout) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __poll_chk(fds: *mut PollFd, n: libc::nfds_t, timeout: c_int, _room: usize) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { poll(fds, n, timeout) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ppoll(
    fds: *mut PollFd,
    n: libc::nfds_t,
    limit: *const libc::timespec,
    set: *const libc::sigset_t,
) -> c_int {
    if state::HOLDING.load(Ordering::Relaxed) {
        // SAFETY: null or valid by the caller.
        let end = match unsafe { deadline(limit) } {
            Ok(end) => end,
            Err(e) => return fail(e),
        };
        // SAFETY: null or valid by the caller.
        if let Some(r) = program(fds, n as usize, end, unsafe { mask(set) }) {
            return r;
        }
    }
    let real =
        real!(ppoll: fn(*mut PollFd, libc::nfds_t, *const libc::timespec, *const libc::sigset_t) -> c_int);
    // SAFETY: the caller's arguments.
    unsafe { real(fds, n, limit, set) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __ppoll_chk(
    fds: *mut PollFd,
    n: libc::nfds_t,
    limit: *const libc::timespec,
    set: *const libc::sigset_t,
    _room: usize,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { ppoll(fds, n, limit, set) }
}

/// The three sets of a select(2), as words.
type Sets = [*mut u64; 3];

/// What a device is asked for by each set, as illumos's select asks.
const ASKED: [i16; 3] = [libc::POLLRDNORM, libc::POLLWRNORM, libc::POLLRDBAND];
/// The same for Linux's own files.
const NATIVE: [i16; 3] = [libc::POLLIN | libc::POLLRDNORM, libc::POLLOUT | libc::POLLWRNORM, libc::POLLPRI];

/// A word of a set; 0 where there is none.
fn word(set: *mut u64, i: usize) -> u64 {
    let mut w = 0u64;
    if !set.is_null() {
        let at = set.wrapping_add(i);
        // SAFETY: a word of ours; the other side is what the program named.
        let _ = unsafe { copy::copy((&raw mut w) as u64, at as u64, 8) };
    }
    w
}

/// select(2) on sets with a device among them.
fn select_devices(n: c_int, sets: Sets, end: Option<u64>, mask: Option<u64>) -> Option<Result<c_int, i32>> {
    let n = usize::try_from(n).ok().filter(|&n| n > 0 && n <= MOST)?;
    if !state::HOLDING.load(Ordering::Relaxed) {
        return None;
    }
    let scratch = Scratch::new(n * size_of::<PollFd>()).ok()?;
    let fds = scratch.slice::<PollFd>(0, n);
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
            // SAFETY: a word of ours; the other side is what the program named.
            if unsafe { copy::copy(at, (&raw const word) as u64, 8) } != 8 {
                return Err(libc::EFAULT);
            }
        }
    }
    Ok(total)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn select(
    n: c_int,
    read: *mut c_void,
    write: *mut c_void,
    except: *mut c_void,
    limit: *mut libc::timeval,
) -> c_int {
    if state::HOLDING.load(Ordering::Relaxed) {
        // SAFETY: null or valid by the caller.
        let t = unsafe { limit.as_ref() };
        let spec = t.map(|t| libc::timespec { tv_sec: t.tv_sec, tv_nsec: t.tv_usec.saturating_mul(1000) });
        // SAFETY: null or valid.
        let end = match unsafe { deadline(spec.as_ref().map_or(core::ptr::null(), core::ptr::from_ref)) } {
            Ok(end) => end,
            Err(e) => return fail(e),
        };
        if let Some(r) = select_devices(n, [read.cast(), write.cast(), except.cast()], end, None) {
            return r.unwrap_or_else(fail);
        }
    }
    let real = real!(select: fn(c_int, *mut c_void, *mut c_void, *mut c_void, *mut libc::timeval) -> c_int);
    // SAFETY: the caller's arguments.
    unsafe { real(n, read, write, except, limit) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pselect(
    n: c_int,
    read: *mut c_void,
    write: *mut c_void,
    except: *mut c_void,
    limit: *const libc::timespec,
    set: *const libc::sigset_t,
) -> c_int {
    if state::HOLDING.load(Ordering::Relaxed) {
        // SAFETY: null or valid by the caller.
        let end = match unsafe { deadline(limit) } {
            Ok(end) => end,
            Err(e) => return fail(e),
        };
        // SAFETY: null or valid by the caller.
        let set = unsafe { mask(set) };
        if let Some(r) = select_devices(n, [read.cast(), write.cast(), except.cast()], end, set) {
            return r.unwrap_or_else(fail);
        }
    }
    let real = real!(pselect: fn(c_int, *mut c_void, *mut c_void, *mut c_void, *const libc::timespec, *const libc::sigset_t) -> c_int);
    // SAFETY: the caller's arguments.
    unsafe { real(n, read, write, except, limit, set) }
}
