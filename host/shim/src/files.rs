//! Descriptors: the shim's own survive whatever the program closes, and devices that come from elsewhere are noticed.

use core::ffi::{c_int, c_uint};
use core::sync::atomic::Ordering;

use crate::real::fail;
use crate::{node, state, sys};

/// Notices devices among the descriptors that the program was started with.
pub fn look_for_devices() {
    let Ok(dir) = sys::open(c"/proc/self/fd", libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) else {
        return;
    };
    let mut buf = [0u8; 2048];
    loop {
        let n = match sys::getdents(dir, &mut buf) {
            Ok(0) | Err(_) => break,
            Ok(n) => n,
        };
        // Each entry: inode (8 bytes), offset (8), its length (2), type (1), name.
        let mut rest = buf.get(..n).unwrap_or_default();
        while let (Some(len), Some(name)) = (rest.get(16..18), rest.get(19..)) {
            let len = usize::from(len[0]) | usize::from(len[1]) << 8;
            let digits = name.iter().take_while(|b| b.is_ascii_digit());
            let fd = digits.fold(0i32, |n, &b| n.wrapping_mul(10).wrapping_add(i32::from(b - b'0')));
            if name.first().is_some_and(u8::is_ascii_digit) && node::probe(fd).is_some() {
                state::HOLDING.store(true, Ordering::Relaxed);
            }
            rest = rest.get(len.max(1)..).unwrap_or_default();
        }
    }
    sys::close(dir);
}

interpose! {
    fn [close](fd: c_int) -> c_int = |original| {
        if state::is_own(fd) { fail(libc::EBADF) } else { original() }
    }

    fn [dup2](old: c_int, new: c_int) -> c_int = |original| {
        if state::is_own(new) { fail(libc::EBADF) } else { original() }
    }

    fn [dup3](old: c_int, new: c_int, flags: c_int) -> c_int = |original| {
        if state::is_own(new) { fail(libc::EBADF) } else { original() }
    }

    fn [close_range](first: c_uint, last: c_uint, flags: c_int) -> c_int = |original| {
        close_between(first, last, flags).map_or_else(fail, |()| 0)
    }

    fn [closefrom](first: c_int) -> () = |original| {
        if close_between(first.max(0) as c_uint, c_uint::MAX, 0).is_err() {
            original();
        }
    }
}

/// close_range(2) of all but the shim's own.
fn close_between(first: c_uint, last: c_uint, flags: c_int) -> Result<(), i32> {
    let mut from = first;
    while let Some(own) = state::next_own(from).filter(|&own| own <= last) {
        if own > from && sys::close_range(from, own - 1, flags).is_err() {
            break;
        }
        from = own + 1;
    }
    match sys::close_range(from, last, flags) {
        _ if from > last && from != first => Ok(()),
        r => r.map(drop),
    }
}
