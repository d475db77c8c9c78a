//! Mapping: mmap(2) and its relatives. Ranges that cannot hold device mappings cost one comparison.

use core::ffi::{c_int, c_uchar, c_void};

use ddi_wire::{Control, PAGE_SIZE, Reply, Request, Room};

use crate::attach::attach;
use crate::real::fail;
use crate::{link, node, space, state, sys};

const FAILED: *mut c_void = libc::MAP_FAILED;
/// From here on the alignment of a mapping matters (large pages).
const LARGE: u64 = 2 << 20;

/// The part of a range that belongs to devices: start and end of its first stretch.
///
/// # Errors
/// `ENOMEM`: the host cannot be asked, for example because the process has no descriptor left for it. Whatever the call is, it must not be
/// made then: the host would not know what has become of its mappings.
fn devices(addr: u64, len: u64) -> Result<Option<(u64, u64)>, i32> {
    if !state::near(addr, len) {
        return Ok(None);
    }
    let found = link::request(&Request::Query { addr, len }, &[], true, |got| match got.reply {
        Reply::Stretch { start, end } => Some((start, end)),
        _ => None,
    });
    found.map(|found| Some(found).filter(|(start, end)| end > start)).map_err(|_| libc::ENOMEM)
}

/// The same, for calls that fail with an error of their own on device memory, or whose arguments are wrong for it.
fn refused(addr: u64, len: u64, errno: i32) -> Result<(), i32> {
    devices(addr, len)?.map_or(Ok(()), |_| Err(errno))
}

/// munmap(2) by the host. `replace`: only device memory is unmapped, and its addresses stay reserved.
fn unmap_device(addr: u64, len: u64, replace: bool) -> Result<(), i32> {
    link::request(&Request::Munmap { addr, len, replace }, &[], true, |got| match got.reply {
        Reply::Done | Reply::Finish { .. } => Some(got.finished),
        _ => None,
    })?
}

/// Unmaps the device mappings in a range that other memory is about to replace. The result is dropped when it has.
fn replace(addr: u64, len: u64) -> Result<Option<state::Change>, i32> {
    if devices(addr, len)?.is_none() {
        return Ok(None);
    }
    let change = state::Change::begin();
    unmap_device(addr, len, true)?;
    Ok(Some(change))
}

fn protect_device(addr: u64, len: u64, prot: c_int) -> Result<(), i32> {
    let request = Request::Mprotect { addr, len, prot: prot.cast_unsigned() };
    link::request(&request, &[], true, |got| matches!(got.reply, Reply::Done).then_some(()))
}

fn map_device(open: u64, addr: u64, len: u64, prot: c_int, flags: c_int, offset: u64) -> Result<u64, i32> {
    attach()?;
    let _change = state::Change::begin();
    let probed = flags & libc::MAP_FIXED_NOREPLACE != 0;
    if probed {
        // The device's replaces it.
        sys::map_new(addr, len, libc::PROT_NONE, libc::MAP_FIXED_NOREPLACE)?;
    }
    // Reserved addresses, which save a round trip. The host chooses the alignment of large mappings.
    let whole = len.checked_next_multiple_of(PAGE_SIZE).unwrap_or(0);
    let room = match flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) {
        0 if (1..LARGE).contains(&whole) => space::reserve(whole, PAGE_SIZE, 0, addr).ok(),
        _ => None,
    };
    let room = room.map(|addr| Room { addr, len: whole });
    let request = Request::Mmap { open, addr, len, prot: prot.cast_unsigned(), flags, offset, room };
    let r = link::request(&request, &[], true, |got| match got.reply {
        Reply::Mapped { addr } | Reply::Finish { addr, .. } => Some((addr, got.finished)),
        _ => None,
    });
    let r = r.and_then(|(at, finished)| {
        finished.map(|()| at).inspect_err(|_| {
            // The host has the mapping, and Linux does not.
            let _ = unmap_device(at, whole, false);
        })
    });
    if let Some(room) = room.filter(|room| r != Ok(room.addr)) {
        // SAFETY: the room reserved above, which was not used.
        let _ = unsafe { sys::munmap(room.addr, whole) };
    }
    if probed && r.is_err() {
        // SAFETY: the mapping made above.
        let _ = unsafe { sys::munmap(addr, len) };
    }
    r
}

/// mmap(2): `original` is Linux's.
fn map(
    [addr, len, offset]: [u64; 3],
    (prot, flags): (c_int, c_int),
    fd: c_int,
    original: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    let failed = |e| {
        fail(e);
        FAILED
    };
    if flags & libc::MAP_ANONYMOUS == 0
        && let Some(open) = node::device(fd)
    {
        return map_device(open, addr, len, prot, flags, offset).map_or_else(failed, |at| at as *mut c_void);
    }
    let mut _change = None;
    if flags & libc::MAP_FIXED != 0 {
        match replace(addr, len) {
            Ok(change) => _change = change,
            Err(e) => return failed(e),
        }
    }
    original()
}

interpose! {
    fn [mmap, mmap64](
        addr: *mut c_void, len: usize, prot: c_int, flags: c_int, fd: c_int, offset: i64,
    ) -> *mut c_void = |original| {
        map([addr as u64, len as u64, offset as u64], (prot, flags), fd, original)
    }

    fn [munmap](addr: *mut c_void, len: usize) -> c_int = |original| {
        if !state::near(addr as u64, len as u64) {
            return original();
        }
        let _change = state::Change::begin();
        unmap_device(addr as u64, len as u64, false).map_or_else(fail, |()| 0)
    }

    fn [mprotect](addr: *mut c_void, len: usize, prot: c_int) -> c_int = |original| {
        match devices(addr as u64, len as u64) {
            Ok(None) => original(),
            Ok(Some(_)) => {
                let _change = state::Change::begin();
                status(protect_device(addr as u64, len as u64, prot))
            }
            Err(e) => fail(e),
        }
    }

    // Device memory has no protection keys.
    fn [pkey_mprotect](addr: *mut c_void, len: usize, prot: c_int, key: c_int) -> c_int = |original| {
        refused(addr as u64, len as u64, libc::EINVAL).map_or_else(fail, |()| original())
    }

    // A device mapping can shrink. It cannot grow or move: `EFAULT`, as for Linux's own device mappings. The last argument is ignored without its flag.
    fn [mremap](
        old: *mut c_void, len: usize, new_len: usize, flags: c_int, new: *mut c_void,
    ) -> *mut c_void = |original| {
        let refuse = |e| {
            fail(e);
            FAILED
        };
        let ours = match devices(old as u64, len as u64) {
            Ok(found) => found.is_some(),
            Err(e) => return refuse(e),
        };
        if ours {
            let fixed = flags & libc::MREMAP_FIXED != 0;
            let page = PAGE_SIZE as usize;
            let (keep, size) = (new_len.next_multiple_of(page), len.next_multiple_of(page));
            return match () {
                () if fixed || flags & libc::MREMAP_DONTUNMAP != 0 || keep > size || len == 0 => {
                    refuse(libc::EFAULT)
                }
                () if new_len == 0 || !(old as usize).is_multiple_of(page) => refuse(libc::EINVAL),
                () if keep == size => old,
                // SAFETY: the program gives the tail up.
                () => match unsafe { munmap(old.wrapping_byte_add(keep), size - keep) } {
                    0 => old,
                    _ => FAILED,
                },
            };
        }
        let mut _change = None;
        if flags & libc::MREMAP_FIXED != 0 {
            match replace(new as u64, new_len as u64) {
                Ok(change) => _change = change,
                Err(e) => return refuse(e),
            }
        }
        original()
    }
}

/// madvise(2) and the like on a range with device memory in it: the segments of device memory get the request (`None`: they succeed without it), and Linux the
/// rest, part by part, so that a hole is an error as elsewhere. Returns `None` if no device memory is there. An error is an errno.
fn beside_devices(
    addr: *const c_void,
    len: usize,
    control: Option<(Control, c_int)>,
    native: impl Fn(*mut c_void, usize) -> Result<(), i32>,
) -> Option<Result<(), i32>> {
    let (mut at, end) = (addr as u64, (addr as u64).checked_add(len as u64)?);
    let mut found = match devices(at, end - at) {
        Ok(found) => found?,
        Err(e) => return Some(Err(e)),
    };
    loop {
        let (from, to) = (found.0.max(at), found.1.min(end));
        let mut done = if from > at { native(at as *mut c_void, (from - at) as usize) } else { Ok(()) };
        if let (Ok(()), Some((control, argument))) = (done, control) {
            done = control_device(control, from, to - from, argument);
        }
        at = to;
        if at == end || done.is_err() {
            return Some(done);
        }
        match devices(at, end - at) {
            Ok(Some(next)) => found = next,
            Ok(None) => return Some(native(at as *mut c_void, (end - at) as usize)),
            Err(e) => return Some(Err(e)),
        }
    }
}

fn control_device(control: Control, addr: u64, len: u64, argument: c_int) -> Result<(), i32> {
    let argument = argument.cast_unsigned();
    let request = Request::Control { control, addr, len, argument };
    link::request(&request, &[], true, |got| matches!(got.reply, Reply::Done).then_some(()))
}

const LOCK: Option<(Control, c_int)> = Some((Control::Lock, 0));

/// Returns the request for an advice that illumos has, too; `None` for Linux's own.
fn advice(how: c_int) -> Option<(Control, c_int)> {
    (0..=4).contains(&how).then_some((Control::Advise, how))
}

/// 0, or -1 with errno.
fn status(result: Result<(), i32>) -> c_int {
    result.map_or_else(fail, |()| 0)
}

/// Calls a function of the C library that sets errno with a part of the caller's range.
macro_rules! part {
    ($name:ident: fn($($ty:ty),*) -> c_int, $($arg:expr),*) => {{
        let real = real!($name: fn($($ty),*) -> c_int);
        // SAFETY: a part of the range for which the caller has promised what the function asks for.
        match unsafe { real($($arg),*) } {
            0 => Ok(()),
            _ => Err(crate::real::errno()),
        }
    }};
}

interpose! {
    fn [madvise](addr: *mut c_void, len: usize, how: c_int) -> c_int = |original| {
        let known = matches!(how, 0..=4 | 8..=25) && how != libc::MADV_REMOVE;
        let sound = known && (addr as u64).is_multiple_of(PAGE_SIZE);
        if !sound && let Err(e) = refused(addr as u64, len as u64, libc::EINVAL) {
            return fail(e);
        }
        let by_part = |at, n| part!(madvise: fn(*mut c_void, usize, c_int) -> c_int, at, n, how);
        beside_devices(addr, len, advice(how), by_part).map_or_else(original, status)
    }

    fn [posix_madvise](addr: *mut c_void, len: usize, how: c_int) -> c_int = |original| {
        let sound = (addr as u64).is_multiple_of(PAGE_SIZE) && (0..=4).contains(&how);
        if !sound && let Err(e) = refused(addr as u64, len as u64, libc::EINVAL) {
            return e;
        }
        // Its errors are its results, and its advice is madvise's.
        let by_part = |at, n| part!(madvise: fn(*mut c_void, usize, c_int) -> c_int, at, n, how);
        let done = beside_devices(addr, len, advice(how), by_part);
        done.map_or_else(original, |done| done.err().unwrap_or(0))
    }

    fn [msync](addr: *mut c_void, len: usize, flags: c_int) -> c_int = |original| {
        let both = libc::MS_SYNC | libc::MS_ASYNC;
        let known = flags & !(both | libc::MS_INVALIDATE) == 0 && flags & both != both;
        let sound = known && (addr as u64).is_multiple_of(PAGE_SIZE);
        if !sound && let Err(e) = refused(addr as u64, len as u64, libc::EINVAL) {
            return fail(e);
        }
        let by_part = |at, n| part!(msync: fn(*mut c_void, usize, c_int) -> c_int, at, n, flags);
        beside_devices(addr, len, Some((Control::Sync, flags)), by_part).map_or_else(original, status)
    }

    fn [mlock](addr: *const c_void, len: usize) -> c_int = |original| {
        let by_part = |at: *mut c_void, n| part!(mlock: fn(*const c_void, usize) -> c_int, at, n);
        beside_devices(addr, len, LOCK, by_part).map_or_else(original, status)
    }

    fn [munlock](addr: *const c_void, len: usize) -> c_int = |original| {
        let by_part = |at: *mut c_void, n| part!(munlock: fn(*const c_void, usize) -> c_int, at, n);
        beside_devices(addr, len, Some((Control::Unlock, 0)), by_part).map_or_else(original, status)
    }

    fn [mlock2](addr: *const c_void, len: usize, flags: c_int) -> c_int = |original| {
        let by_part = |at: *mut c_void, n| part!(mlock2: fn(*const c_void, usize, c_int) -> c_int, at, n, flags);
        beside_devices(addr, len, LOCK, by_part).map_or_else(original, status)
    }

    // Whoever has mapped device memory says whether it is resident.
    fn [mincore](addr: *mut c_void, len: usize, vec: *mut c_uchar) -> c_int = |original| {
        let r = original();
        let (mut at, end) = (addr as u64, (addr as u64).saturating_add(len as u64));
        while r == 0 && at < end {
            let (start, stop) = match devices(at, end - at) {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(e) => return fail(e),
            };
            let (from, to) = (start.max(at), stop.min(end));
            let vec = vec as u64 + (from - addr as u64) / PAGE_SIZE;
            let request = Request::Incore { addr: from, len: to - from, vec };
            if let Err(errno) = link::request(&request, &[], true, |got| matches!(got.reply, Reply::Done).then_some(())) {
                return fail(errno);
            }
            at = to;
        }
        r
    }
}
