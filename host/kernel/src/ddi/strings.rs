//! Strings, memory and bits: what drivers expect of the kernel's C library. Any context, no locks.

use std::ffi::{c_char, c_int, c_long, c_ulong, c_void};

use super::{bytes, memory, store};

/// Compares at most `limit` bytes of two strings, each first passed through `fold`.
///
/// # Safety
/// Both are strings.
unsafe fn compare(a: *const c_char, b: *const c_char, limit: usize, fold: fn(u8) -> u8) -> c_int {
    for i in 0..limit {
        // SAFETY: all bytes before this one were equal and not NUL.
        let x = fold(unsafe { a.wrapping_add(i).read() } as u8);
        // SAFETY: as above.
        let y = fold(unsafe { b.wrapping_add(i).read() } as u8);
        if x != y || x == 0 {
            return c_int::from(x) - c_int::from(y);
        }
    }
    0
}

fn same(byte: u8) -> u8 {
    byte
}

fn lower(byte: u8) -> u8 {
    byte.to_ascii_lowercase()
}

/// A number as ddi_strtol(9F) reads it: the magnitude, its sign, where it ends, and whether it overflowed 64 bits.
/// None: no digits.
fn number(text: &[u8], base: c_int) -> Option<(u64, bool, usize, bool)> {
    let mut i = text.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let negative = text.get(i) == Some(&b'-');
    if matches!(text.get(i), Some(b'-' | b'+')) {
        i += 1;
    }
    let rest = &text[i..];
    let hex = rest.len() > 2 && rest[0] == b'0' && rest[1] | 0x20 == b'x' && rest[2].is_ascii_hexdigit();
    let base = match base {
        0 if hex => 16,
        0 if rest.first() == Some(&b'0') => 8,
        0 => 10,
        base => base as u32,
    };
    if base == 16 && hex {
        i += 2;
    }
    let digits = text[i..].iter().map_while(|&b| char::from(b).to_digit(36).filter(|d| *d < base));
    let (mut value, mut count, mut over) = (0u64, 0, false);
    for digit in digits {
        match value.checked_mul(base.into()).and_then(|v| v.checked_add(digit.into())) {
            Some(next) => value = next,
            None => over = true,
        }
        count += 1;
    }
    (count > 0).then_some((value, negative, i + count, over))
}

use ddi_sys::{EINVAL, ERANGE};

/// # Safety
/// As ddi_strtol(9F): a string, and places to store.
unsafe fn signed(text: *const c_char, end: *mut *mut c_char, base: c_int, result: *mut i64) -> c_int {
    // SAFETY: the caller's promise.
    let all = unsafe { bytes(text) };
    if !(base == 0 || (2..=36).contains(&base)) {
        return EINVAL;
    }
    let Some((magnitude, negative, used, over)) = number(all, base) else {
        // SAFETY: the caller's promise.
        unsafe { store(end, text.cast_mut()) };
        return EINVAL;
    };
    // SAFETY: `used` is within the string.
    unsafe { store(end, text.cast_mut().wrapping_add(used)) };
    let value = match (negative, i64::try_from(magnitude)) {
        _ if over => return ERANGE,
        (false, Ok(value)) => value,
        (true, Ok(value)) => -value,
        (true, Err(_)) if magnitude == 1 << 63 => i64::MIN,
        _ => return ERANGE,
    };
    // SAFETY: the caller's promise.
    unsafe { store(result, value) };
    0
}

/// # Safety
/// As ddi_strtoul(9F).
unsafe fn unsigned(text: *const c_char, end: *mut *mut c_char, base: c_int, result: *mut u64) -> c_int {
    // SAFETY: the caller's promise.
    let all = unsafe { bytes(text) };
    if !(base == 0 || (2..=36).contains(&base)) {
        return EINVAL;
    }
    let Some((magnitude, negative, used, over)) = number(all, base) else {
        // SAFETY: the caller's promise.
        unsafe { store(end, text.cast_mut()) };
        return EINVAL;
    };
    // SAFETY: `used` is within the string.
    unsafe { store(end, text.cast_mut().wrapping_add(used)) };
    if over {
        return ERANGE;
    }
    // SAFETY: the caller's promise.
    unsafe { store(result, if negative { magnitude.wrapping_neg() } else { magnitude }) };
    0
}

ddi! {
    /// bcopy(9F): overlapping allowed.
    @local fn bcopy(from: *const c_void, to: *mut c_void, n: usize) {
        // SAFETY: the driver's promise.
        unsafe { std::ptr::copy(from.cast::<u8>(), to.cast::<u8>(), n) };
    }
    /// bzero(9F).
    @local fn bzero(at: *mut c_void, n: usize) {
        // SAFETY: the driver's promise.
        unsafe { at.cast::<u8>().write_bytes(0, n) };
    }
    /// bcmp(9F): 0 when equal.
    @local fn bcmp(a: *const c_void, b: *const c_void, n: usize) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { libc::memcmp(a, b, n) }
    }
    /// memcpy(9F).
    @local fn memcpy(to: *mut c_void, from: *const c_void, n: usize) -> *mut c_void {
        // SAFETY: the driver's promise. As in the kernel, overlap does no harm.
        unsafe { libc::memmove(to, from, n) }
    }
    /// memmove(9F).
    @local fn memmove(to: *mut c_void, from: *const c_void, n: usize) -> *mut c_void {
        // SAFETY: the driver's promise.
        unsafe { libc::memmove(to, from, n) }
    }
    /// memset(9F).
    @local fn memset(at: *mut c_void, byte: c_int, n: usize) -> *mut c_void {
        // SAFETY: the driver's promise.
        unsafe { libc::memset(at, byte, n) }
    }
    /// memcmp(9F).
    @local fn memcmp(a: *const c_void, b: *const c_void, n: usize) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { libc::memcmp(a, b, n) }
    }
    /// memchr(9F).
    @local fn memchr(at: *const c_void, byte: c_int, n: usize) -> *mut c_void {
        // SAFETY: the driver's promise.
        unsafe { libc::memchr(at, byte, n) }
    }
    /// strlen(9F).
    @local fn strlen(s: *const c_char) -> usize {
        // SAFETY: the driver's promise.
        unsafe { libc::strlen(s) }
    }
    /// strnlen(9F).
    @local fn strnlen(s: *const c_char, limit: usize) -> usize {
        // SAFETY: the driver's promise.
        unsafe { libc::strnlen(s, limit) }
    }
    /// strcmp(9F).
    @local fn strcmp(a: *const c_char, b: *const c_char) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { compare(a, b, usize::MAX, same) }
    }
    /// strncmp(9F).
    @local fn strncmp(a: *const c_char, b: *const c_char, n: usize) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { compare(a, b, n, same) }
    }
    /// strcasecmp(9F).
    @local fn strcasecmp(a: *const c_char, b: *const c_char) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { compare(a, b, usize::MAX, lower) }
    }
    /// strncasecmp(9F).
    @local fn strncasecmp(a: *const c_char, b: *const c_char, n: usize) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { compare(a, b, n, lower) }
    }
    /// strcpy(9F).
    @local fn strcpy(to: *mut c_char, from: *const c_char) -> *mut c_char {
        // SAFETY: the driver's promise.
        unsafe { libc::strcpy(to, from) }
    }
    /// strncpy(9F).
    @local fn strncpy(to: *mut c_char, from: *const c_char, n: usize) -> *mut c_char {
        // SAFETY: the driver's promise.
        unsafe { libc::strncpy(to, from, n) }
    }
    /// strncat(9F).
    @local fn strncat(to: *mut c_char, from: *const c_char, n: usize) -> *mut c_char {
        // SAFETY: the driver's promise.
        unsafe { libc::strncat(to, from, n) }
    }
    /// strlcpy(9F): the length of `from`.
    @local fn strlcpy(to: *mut c_char, from: *const c_char, size: usize) -> usize {
        // SAFETY: the driver's promise.
        let from = unsafe { bytes(from) };
        if size > 0 {
            let n = from.len().min(size - 1);
            // SAFETY: n < size; the driver promised `size` bytes.
            unsafe { std::ptr::copy(from.as_ptr(), to.cast(), n) };
            // SAFETY: as above.
            unsafe { to.wrapping_add(n).write(0) };
        }
        from.len()
    }
    /// strlcat(9F): the length it would have had.
    @local fn strlcat(to: *mut c_char, from: *const c_char, size: usize) -> usize {
        // SAFETY: the driver's promise.
        let have = unsafe { libc::strnlen(to, size) };
        // SAFETY: the driver's promise; `have` is at most `size`.
        have + unsafe { strlcpy(to.wrapping_add(have), from, size - have) }
    }
    /// strchr(9F).
    @local fn strchr(s: *const c_char, c: c_int) -> *mut c_char {
        // SAFETY: the driver's promise.
        unsafe { libc::strchr(s, c) }
    }
    /// strrchr(9F).
    @local fn strrchr(s: *const c_char, c: c_int) -> *mut c_char {
        // SAFETY: the driver's promise.
        unsafe { libc::strrchr(s, c) }
    }
    /// strspn(9F).
    @local fn strspn(s: *const c_char, accept: *const c_char) -> usize {
        // SAFETY: the driver's promise.
        unsafe { libc::strspn(s, accept) }
    }
    /// strcspn.
    @local fn strcspn(s: *const c_char, reject: *const c_char) -> usize {
        // SAFETY: the driver's promise.
        unsafe { libc::strcspn(s, reject) }
    }
    /// strstr.
    @local fn strstr(s: *const c_char, wanted: *const c_char) -> *mut c_char {
        // SAFETY: the driver's promise.
        unsafe { libc::strstr(s, wanted) }
    }
    /// strdup(9F): from kmem, freed with strfree.
    @local fn strdup(s: *const c_char) -> *mut c_char {
        // SAFETY: the driver's promise.
        unsafe { ddi_strdup(s, ddi_sys::KM_SLEEP) }
    }
    /// ddi_strdup(9F).
    fn ddi_strdup(s: *const c_char, flag: c_int) -> *mut c_char {
        // SAFETY: the driver's promise.
        let from = unsafe { bytes(s) };
        let to: *mut c_char = memory::alloc(from.len() + 1, flag).cast();
        if !to.is_null() {
            // SAFETY: that much was allocated.
            unsafe { std::ptr::copy_nonoverlapping(s, to, from.len() + 1) };
        }
        to
    }
    /// strfree(9F).
    fn strfree(s: *mut c_char) {
        // SAFETY: the driver's promise: a string of strdup or kmem_asprintf.
        let size = unsafe { bytes(s) }.len() + 1;
        memory::free(s.cast(), size, "strfree");
    }
    /// ddi_strtol(9F).
    fn ddi_strtol(s: *const c_char, end: *mut *mut c_char, base: c_int, result: *mut c_long) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { signed(s, end, base, result) }
    }
    /// ddi_strtoll(9F).
    fn ddi_strtoll(s: *const c_char, end: *mut *mut c_char, base: c_int, result: *mut i64) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { signed(s, end, base, result) }
    }
    /// ddi_strtoul(9F).
    fn ddi_strtoul(s: *const c_char, end: *mut *mut c_char, base: c_int, result: *mut c_ulong) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { unsigned(s, end, base, result) }
    }
    /// ddi_strtoull(9F).
    fn ddi_strtoull(s: *const c_char, end: *mut *mut c_char, base: c_int, result: *mut u64) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { unsigned(s, end, base, result) }
    }
    /// stoi(9F): reads a decimal number and moves the pointer behind it.
    fn stoi(s: *mut *mut c_char) -> c_int {
        // SAFETY: the driver's promise.
        let mut at = unsafe { s.read() };
        let mut value: c_int = 0;
        loop {
            // SAFETY: the bytes before were digits, so the string goes on.
            let byte = unsafe { at.read() } as u8;
            if !byte.is_ascii_digit() {
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(c_int::from(byte - b'0'));
            at = at.wrapping_add(1);
        }
        // SAFETY: the driver's promise.
        unsafe { s.write(at) };
        value
    }
    /// numtos(9F): writes a decimal number.
    fn numtos(value: c_ulong, to: *mut c_char) {
        let text = value.to_string();
        // SAFETY: the driver promised room for the digits and a NUL.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), to.cast(), text.len()) };
        // SAFETY: as above.
        unsafe { to.wrapping_add(text.len()).write(0) };
    }
    /// ddi_ffs(9F): the lowest bit set, from 1; 0 for none.
    fn ddi_ffs(mask: c_long) -> c_int {
        if mask == 0 { 0 } else { mask.trailing_zeros() as c_int + 1 }
    }
    /// ddi_fls(9F): the highest bit set, from 1; 0 for none.
    fn ddi_fls(mask: c_long) -> c_int {
        64 - mask.leading_zeros() as c_int
    }
    /// ffs: as ddi_ffs.
    @local fn ffs(mask: c_ulong) -> c_int {
        if mask == 0 { 0 } else { mask.trailing_zeros() as c_int + 1 }
    }
    /// highbit: as ddi_fls.
    fn highbit(mask: c_ulong) -> c_int {
        64 - mask.leading_zeros() as c_int
    }
    /// lowbit: as ddi_ffs.
    fn lowbit(mask: c_ulong) -> c_int {
        if mask == 0 { 0 } else { mask.trailing_zeros() as c_int + 1 }
    }
    /// Bytes swapped.
    fn ddi_swap16(value: u16) -> u16 {
        value.swap_bytes()
    }
    /// Bytes swapped.
    fn ddi_swap32(value: u32) -> u32 {
        value.swap_bytes()
    }
    /// Bytes swapped.
    fn ddi_swap64(value: u64) -> u64 {
        value.swap_bytes()
    }
    /// To network order.
    @local fn htonl(value: u32) -> u32 {
        value.to_be()
    }
    /// To network order.
    @local fn htons(value: u16) -> u16 {
        value.to_be()
    }
    /// To network order.
    fn htonll(value: u64) -> u64 {
        value.to_be()
    }
    /// From network order.
    @local fn ntohl(value: u32) -> u32 {
        u32::from_be(value)
    }
    /// From network order.
    @local fn ntohs(value: u16) -> u16 {
        u16::from_be(value)
    }
    /// From network order.
    fn ntohll(value: u64) -> u64 {
        u64::from_be(value)
    }
    /// swab(9F): copies with the bytes of each pair swapped.
    @local fn swab(from: *mut c_void, to: *mut c_void, n: usize) {
        for i in (0..n & !1).step_by(2) {
            // SAFETY: within the n bytes that the driver promised.
            let pair = unsafe { from.cast::<u8>().wrapping_add(i).cast::<u16>().read_unaligned() };
            // SAFETY: as above.
            unsafe { to.cast::<u8>().wrapping_add(i).cast::<u16>().write_unaligned(pair.swap_bytes()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::null_mut;

    #[test]
    fn numbers() {
        let read = |text: &std::ffi::CStr, base| {
            let (mut end, mut value) = (null_mut(), 0);
            // SAFETY: a string and two places to store.
            let error = unsafe { ddi_sys::ddi_strtol(text.as_ptr(), &mut end, base, &mut value) };
            (error, value, end as usize - text.as_ptr() as usize)
        };
        assert_eq!(read(c" -12x", 10), (0, -12, 4));
        assert_eq!(read(c"0x1fg", 0), (0, 0x1f, 4));
        assert_eq!(read(c"017", 0), (0, 15, 3));
        assert_eq!(read(c"x", 10), (EINVAL, 0, 0));
        assert_eq!(read(c"9223372036854775808", 10).0, ERANGE);
        assert_eq!(read(c"-9223372036854775808", 10).1, i64::MIN);
    }

    #[test]
    fn strings() {
        let mut buffer = [b'x' as c_char; 6];
        // SAFETY: six bytes, as said.
        assert_eq!(unsafe { strlcpy(buffer.as_mut_ptr(), c"ab".as_ptr(), 6) }, 2);
        // SAFETY: as above.
        assert_eq!(unsafe { strlcat(buffer.as_mut_ptr(), c"cdefg".as_ptr(), 6) }, 7);
        assert_eq!(buffer.map(|c| c as u8), *b"abcde\0");
        // SAFETY: strings.
        assert_eq!(unsafe { strcasecmp(c"AbC".as_ptr(), c"aBc".as_ptr()) }, 0);
        // SAFETY: strings.
        assert!(unsafe { strncmp(c"abc".as_ptr(), c"abd".as_ptr(), 3) } < 0);
        // SAFETY: a string; the copy is freed with strfree.
        let copy = unsafe { ddi_sys::ddi_strdup(c"copy".as_ptr(), 0) };
        // SAFETY: as above.
        assert_eq!(unsafe { bytes(copy) }, b"copy");
        // SAFETY: as above.
        unsafe { ddi_sys::strfree(copy) };
        // SAFETY: no pointers.
        assert_eq!(unsafe { ddi_sys::highbit(0x10) }, 5);
        // SAFETY: no pointers.
        assert_eq!(unsafe { ddi_sys::lowbit(0x18) }, 4);
        // SAFETY: no pointers.
        assert_eq!(unsafe { ddi_sys::ddi_fls(0) }, 0);
    }
}
