//! Descriptors: the shim's own survive whatever the program closes, and devices that come from elsewhere are noticed.

use core::ffi::{c_int, c_uint};
use core::sync::atomic::Ordering;

use crate::real::fail;
use crate::{node, state, sys};

/// Notices devices among the descriptors that the program was started with.
pub fn look_for_devices() {
    let path = c"/proc/self/fd".as_ptr() as u64;
    let flags = (libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64;
    // SAFETY: the path ends with NUL.
    let Ok(dir) = (unsafe { sys::call(libc::SYS_open, [path, flags, 0, 0, 0, 0]) }) else { return };
    let mut buf = [0u8; 2048];
    loop {
        let a = [dir, buf.as_mut_ptr() as u64, buf.len() as u64, 0, 0, 0];
        // SAFETY: the buffer is as long as said.
        let n = match unsafe { sys::call(libc::SYS_getdents64, a) } {
            Ok(0) | Err(_) => break,
            Ok(n) => n as usize,
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
    sys::close(dir as i32);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close(fd: c_int) -> c_int {
    if state::is_own(fd) {
        return fail(libc::EBADF);
    }
    let real = real!(close: fn(c_int) -> c_int);
    // SAFETY: no memory is involved.
    unsafe { real(fd) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dup2(old: c_int, new: c_int) -> c_int {
    if state::is_own(new) {
        return fail(libc::EBADF);
    }
    let real = real!(dup2: fn(c_int, c_int) -> c_int);
    // SAFETY: no memory is involved.
    unsafe { real(old, new) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    if state::is_own(new) {
        return fail(libc::EBADF);
    }
    let real = real!(dup3: fn(c_int, c_int, c_int) -> c_int);
    // SAFETY: no memory is involved.
    unsafe { real(old, new, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    let mut from = first;
    while let Some(own) = state::next_own(from).filter(|&own| own <= last) {
        if own > from && raw_close_range(from, own - 1, flags).is_err() {
            break;
        }
        from = own + 1;
    }
    match raw_close_range(from, last, flags) {
        _ if from > last && from != first => 0,
        Ok(_) => 0,
        Err(e) => fail(e),
    }
}

fn raw_close_range(first: c_uint, last: c_uint, flags: c_int) -> Result<u64, i32> {
    // SAFETY: no memory is involved.
    unsafe { sys::call(libc::SYS_close_range, [first.into(), last.into(), flags as u64, 0, 0, 0]) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn closefrom(first: c_int) {
    // SAFETY: no memory is involved.
    if unsafe { close_range(first.max(0) as c_uint, c_uint::MAX, 0) } != 0 {
        let real = real!(closefrom: fn(c_int));
        // SAFETY: no memory is involved.
        unsafe { real(first) }
    }
}
