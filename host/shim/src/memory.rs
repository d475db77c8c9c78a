//! Mapping: mmap(2) and its relatives. Ranges that cannot hold device mappings cost one comparison.

use core::ffi::{c_int, c_uchar, c_void};

use ddi_wire::Op;

use crate::real::fail;
use crate::{link, node, space, state, sys};

const FAILED: *mut c_void = libc::MAP_FAILED;
/// From here on the alignment of a mapping matters (large pages).
const LARGE: u64 = 2 << 20;

/// The part of a range that belongs to devices: start and end of its first stretch.
fn devices(addr: u64, len: u64) -> Option<(u64, u64)> {
    if !state::near(addr, len) {
        return None;
    }
    match link::request(Op::Query, [addr, len, 0, 0, 0, 0], &[], &[], true) {
        Ok(r) => (r.a[1] > r.a[0]).then_some((r.a[0], r.a[1])),
        Err(_) => None,
    }
}

fn map_device(open: u64, a: [u64; 5]) -> Result<u64, i32> {
    let [addr, len, prot, flags, offset] = a;
    link::attach()?;
    let _change = state::Change::begin();
    let probed = flags as c_int & libc::MAP_FIXED_NOREPLACE != 0;
    if probed {
        let none = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: a new mapping that replaces nothing; the device's replaces it.
        unsafe { sys::mmap(addr, len, libc::PROT_NONE, none, -1, 0) }?;
    }
    // Room for it, so that the host need not ask. Large mappings have an alignment that is the host's to know.
    let whole = len.checked_next_multiple_of(4096).unwrap_or(0);
    let offer = match flags as c_int & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) {
        0 if (1..LARGE).contains(&whole) => space::reserve(whole, 4096, 0, addr, false).ok(),
        _ => None,
    };
    let mut room = [0u8; 16];
    if let Some(at) = offer {
        room[..8].copy_from_slice(&at.to_ne_bytes());
        room[8..].copy_from_slice(&whole.to_ne_bytes());
    }
    let payload = if offer.is_some() { &room[..] } else { &[] };
    let r = link::request(Op::Mmap, [open, addr, len, prot, flags, offset], payload, &[], true);
    let r = r.and_then(|r| match (r.a[5] as i32, r.a[0]) {
        (0, at) => Ok(at),
        (e, at) => {
            // The host has made it, and Linux has not.
            let _ = link::request(Op::Munmap, [at, whole, 0, 0, 0, 0], &[], &[], true);
            Err(e)
        }
    });
    if let Some(at) = offer.filter(|&at| r != Ok(at)) {
        // SAFETY: the room reserved above, which was not used.
        let _ = unsafe { sys::munmap(at, whole) };
    }
    if probed && r.is_err() {
        // SAFETY: the mapping made above.
        let _ = unsafe { sys::munmap(addr, len) };
    }
    r
}

unsafe fn map(
    addr: *mut c_void,
    len: usize,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    if flags & libc::MAP_ANONYMOUS == 0
        && let Some(open) = node::device(fd)
    {
        let r = map_device(open, [addr as u64, len as u64, prot as u64, flags as u64, offset as u64]);
        return r.map_or_else(
            |e| {
                fail(e);
                FAILED
            },
            |at| at as *mut c_void,
        );
    }
    let mut _change = None;
    if flags & libc::MAP_FIXED != 0 && devices(addr as u64, len as u64).is_some() {
        _change = Some(state::Change::begin());
        // Whatever replaces device mappings ends them first.
        if let Err(e) = link::request(Op::Munmap, [addr as u64, len as u64, 1, 0, 0, 0], &[], &[], true) {
            fail(e);
            return FAILED;
        }
    }
    let real = real!(mmap64: fn(*mut c_void, usize, c_int, c_int, c_int, i64) -> *mut c_void);
    // SAFETY: the caller's arguments.
    unsafe { real(addr, len, prot, flags, fd, offset) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    a: *mut c_void,
    len: usize,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    off: i64,
) -> *mut c_void {
    // SAFETY: the caller's arguments.
    unsafe { map(a, len, prot, flags, fd, off) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap64(
    a: *mut c_void,
    len: usize,
    prot: c_int,
    flags: c_int,
    fd: c_int,
    off: i64,
) -> *mut c_void {
    // SAFETY: the caller's arguments.
    unsafe { map(a, len, prot, flags, fd, off) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn munmap(addr: *mut c_void, len: usize) -> c_int {
    if state::near(addr as u64, len as u64) {
        let _change = state::Change::begin();
        let r = link::request(Op::Munmap, [addr as u64, len as u64, 0, 0, 0, 0], &[], &[], true);
        return r.map_or_else(fail, |r| if r.a[5] == 0 { 0 } else { fail(r.a[5] as c_int) });
    }
    let real = real!(munmap: fn(*mut c_void, usize) -> c_int);
    // SAFETY: the caller's arguments.
    unsafe { real(addr, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mprotect(addr: *mut c_void, len: usize, prot: c_int) -> c_int {
    if devices(addr as u64, len as u64).is_some() {
        let _change = state::Change::begin();
        let r = link::request(Op::Mprotect, [addr as u64, len as u64, prot as u64, 0, 0, 0], &[], &[], true);
        return r.map_or_else(fail, |_| 0);
    }
    let real = real!(mprotect: fn(*mut c_void, usize, c_int) -> c_int);
    // SAFETY: the caller's arguments.
    unsafe { real(addr, len, prot) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pkey_mprotect(addr: *mut c_void, len: usize, prot: c_int, key: c_int) -> c_int {
    if devices(addr as u64, len as u64).is_some() {
        // Device memory has no protection keys.
        return fail(libc::EINVAL);
    }
    let real = real!(pkey_mprotect: fn(*mut c_void, usize, c_int, c_int) -> c_int);
    // SAFETY: the caller's arguments.
    unsafe { real(addr, len, prot, key) }
}

/// A device mapping can shrink. It cannot grow or move: `EFAULT`, as for Linux's own device mappings.
#[unsafe(no_mangle)]
unsafe extern "C" fn mremap(
    old: *mut c_void,
    len: usize,
    new_len: usize,
    flags: c_int,
    new: *mut c_void,
) -> *mut c_void {
    let refuse = |e| {
        fail(e);
        FAILED
    };
    if devices(old as u64, len as u64).is_some() {
        let fixed = flags & libc::MREMAP_FIXED != 0;
        let (keep, size) = (new_len.next_multiple_of(4096), len.next_multiple_of(4096));
        return match () {
            () if fixed || flags & libc::MREMAP_DONTUNMAP != 0 || keep > size || len == 0 => {
                refuse(libc::EFAULT)
            }
            () if new_len == 0 || !(old as usize).is_multiple_of(4096) => refuse(libc::EINVAL),
            () if keep == size => old,
            // SAFETY: the program gives the tail up.
            () => match unsafe { munmap(old.wrapping_byte_add(keep), size - keep) } {
                0 => old,
                _ => FAILED,
            },
        };
    }
    let mut _change = None;
    if flags & libc::MREMAP_FIXED != 0 && devices(new as u64, new_len as u64).is_some() {
        _change = Some(state::Change::begin());
        if let Err(e) = link::request(Op::Munmap, [new as u64, new_len as u64, 1, 0, 0, 0], &[], &[], true) {
            return refuse(e);
        }
    }
    let real = real!(mremap: fn(*mut c_void, usize, usize, c_int, *mut c_void) -> *mut c_void);
    // SAFETY: the caller's arguments; the last is ignored without its flag.
    unsafe { real(old, len, new_len, flags, new) }
}

/// Device memory has no use for advice and the like: it takes any that is well formed. What else is in the range is Linux's, part by part, so that a
/// hole is an error as anywhere. `None`: nothing of a device's is there.
fn beside_devices(
    addr: *const c_void,
    len: usize,
    native: impl Fn(*mut c_void, usize) -> c_int,
) -> Option<c_int> {
    let (mut at, end) = (addr as u64, (addr as u64).checked_add(len as u64)?);
    let mut found = devices(at, end - at)?;
    loop {
        let (from, to) = found;
        let part = from.max(at) - at;
        if part > 0 {
            match native(at as *mut c_void, part as usize) {
                0 => {}
                failed => return Some(failed),
            }
        }
        at = to.min(end);
        if at == end {
            return Some(0);
        }
        match devices(at, end - at) {
            Some(next) => found = next,
            None => return Some(native(at as *mut c_void, (end - at) as usize)),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn madvise(addr: *mut c_void, len: usize, advice: c_int) -> c_int {
    let real = real!(madvise: fn(*mut c_void, usize, c_int) -> c_int);
    let known = matches!(advice, 0..=4 | 8..=25) && advice != libc::MADV_REMOVE;
    let sound = known && (addr as usize).is_multiple_of(4096);
    if !sound && devices(addr as u64, len as u64).is_some() {
        return fail(libc::EINVAL);
    }
    // SAFETY: parts of the caller's range.
    let r = beside_devices(addr, len, |at, n| unsafe { real(at, n, advice) });
    // SAFETY: the caller's arguments.
    r.unwrap_or_else(|| unsafe { real(addr, len, advice) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_madvise(addr: *mut c_void, len: usize, advice: c_int) -> c_int {
    let real = real!(posix_madvise: fn(*mut c_void, usize, c_int) -> c_int);
    let sound = (addr as usize).is_multiple_of(4096) && (0..=4).contains(&advice);
    if !sound && devices(addr as u64, len as u64).is_some() {
        return libc::EINVAL;
    }
    // SAFETY: parts of the caller's range.
    let r = beside_devices(addr, len, |at, n| unsafe { real(at, n, advice) });
    // SAFETY: the caller's arguments.
    r.unwrap_or_else(|| unsafe { real(addr, len, advice) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn msync(addr: *mut c_void, len: usize, flags: c_int) -> c_int {
    let real = real!(msync: fn(*mut c_void, usize, c_int) -> c_int);
    let both = libc::MS_SYNC | libc::MS_ASYNC;
    let known = flags & !(both | libc::MS_INVALIDATE) == 0 && flags & both != both;
    let sound = known && (addr as usize).is_multiple_of(4096);
    if !sound && devices(addr as u64, len as u64).is_some() {
        return fail(libc::EINVAL);
    }
    // SAFETY: parts of the caller's range.
    let r = beside_devices(addr, len, |at, n| unsafe { real(at, n, flags) });
    // SAFETY: the caller's arguments.
    r.unwrap_or_else(|| unsafe { real(addr, len, flags) })
}

macro_rules! locks {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(addr: *const c_void, len: usize) -> c_int {
            let real = real!($name: fn(*const c_void, usize) -> c_int);
            // SAFETY: parts of the caller's range.
            let r = beside_devices(addr, len, |at, n| unsafe { real(at, n) });
            // SAFETY: the caller's arguments.
            r.unwrap_or_else(|| unsafe { real(addr, len) })
        }
    )*};
}

locks!(mlock, munlock);

#[unsafe(no_mangle)]
unsafe extern "C" fn mlock2(addr: *const c_void, len: usize, flags: c_int) -> c_int {
    let real = real!(mlock2: fn(*const c_void, usize, c_int) -> c_int);
    // SAFETY: parts of the caller's range.
    let r = beside_devices(addr, len, |at, n| unsafe { real(at, n, flags) });
    // SAFETY: the caller's arguments.
    r.unwrap_or_else(|| unsafe { real(addr, len, flags) })
}

/// Device memory is always resident.
#[unsafe(no_mangle)]
unsafe extern "C" fn mincore(addr: *mut c_void, len: usize, vec: *mut c_uchar) -> c_int {
    let real = real!(mincore: fn(*mut c_void, usize, *mut c_uchar) -> c_int);
    // SAFETY: the caller's arguments.
    let r = unsafe { real(addr, len, vec) };
    let (mut at, end) = (addr as u64, (addr as u64).saturating_add(len as u64));
    while r == 0
        && at < end
        && let Some((start, stop)) = devices(at, end - at)
    {
        let (from, to) = (start.max(at), stop.min(end));
        let first = ((from - addr as u64) / 4096) as usize;
        let count = (to - from).div_ceil(4096) as usize;
        // SAFETY: `vec` has a byte for each page of the range, which these are among.
        let bytes = unsafe { core::slice::from_raw_parts_mut(vec.wrapping_add(first), count) };
        bytes.fill(1);
        at = to;
    }
    r
}
