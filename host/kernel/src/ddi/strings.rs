//! Strings, memory and bits: what drivers expect of the kernel's C library. Any context, no locks.

use std::ffi::{c_char, c_int, c_long, c_ulong, c_void};

use super::args::{Argument, InOut, Memory, Out, Text};
use super::memory;

/// A string, or characters whose end another argument says.
type Chars<'a> = Memory<'a, c_char, *const c_char>;

/// Compares at most `limit` bytes of two strings, each first passed through `fold`.
fn compare(a: Chars<'_>, b: Chars<'_>, limit: usize, fold: fn(u8) -> u8) -> c_int {
    for i in 0..limit {
        // All bytes before this one were equal and not NUL.
        let (x, y) = (fold(a.element(i) as u8), fold(b.element(i) as u8));
        if x != y || x == 0 {
            return c_int::from(x) - c_int::from(y);
        }
    }
    0
}

/// Calls a function of the C library that does what the kernel's of this name does.
macro_rules! c {
    ($function:ident($($arg:expr),*)) => {
        // SAFETY: the invariants of `Text` and `Memory`: what the manual page of the kernel's function asks for is what the C library's needs.
        unsafe { libc::$function($($arg),*) }
    };
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

/// Reads a number; where it ends is stored. The error, if it is none.
fn parse(text: Text<'_>, end: Out<'_, *mut c_char>, base: c_int) -> Result<(u64, bool, bool), c_int> {
    if !(base == 0 || (2..=36).contains(&base)) {
        return Err(EINVAL);
    }
    let found = number(text.bytes(), base);
    end.set(text.pointer().wrapping_add(found.map_or(0, |(_, _, used, _)| used)));
    found.map(|(magnitude, negative, _, over)| (magnitude, negative, over)).ok_or(EINVAL)
}

fn signed(text: Text<'_>, end: Out<'_, *mut c_char>, base: c_int, result: Out<'_, i64>) -> c_int {
    let (magnitude, negative, over) = match parse(text, end, base) {
        Ok(found) => found,
        Err(error) => return error,
    };
    let value = match (negative, i64::try_from(magnitude)) {
        _ if over => return ERANGE,
        (false, Ok(value)) => value,
        (true, Ok(value)) => -value,
        (true, Err(_)) if magnitude == 1 << 63 => i64::MIN,
        _ => return ERANGE,
    };
    result.set(value);
    0
}

fn unsigned(text: Text<'_>, end: Out<'_, *mut c_char>, base: c_int, result: Out<'_, u64>) -> c_int {
    match parse(text, end, base) {
        Ok((_, _, true)) => ERANGE,
        Ok((magnitude, negative, false)) => {
            result.set(if negative { magnitude.wrapping_neg() } else { magnitude });
            0
        }
        Err(error) => error,
    }
}

/// A copy from kmem, freed with strfree.
fn copy(text: Text<'_>, flag: c_int) -> *mut c_char {
    memory::copy_of(&[text.bytes(), b"\0"].concat(), flag).cast()
}

ddi! {
    /// bcopy(9F): overlapping allowed.
    @local fn bcopy(from: Memory<c_void, *const c_void>, to: Memory, n: usize) {
        to.sized(n).copy_from(from.sized(n));
    }
    /// bzero(9F).
    @local fn bzero(at: Memory, n: usize) {
        at.sized(n).fill(0);
    }
    /// bcmp(9F): 0 when equal.
    @local fn bcmp(a: Memory<c_void, *const c_void>, b: Memory<c_void, *const c_void>, n: usize) -> c_int {
        c!(memcmp(a.pointer(), b.pointer(), n))
    }
    /// memcpy(9F): as in the kernel, overlap does no harm.
    @local fn memcpy(to: Memory, from: Memory<c_void, *const c_void>, n: usize) -> *mut c_void {
        c!(memmove(to.pointer(), from.pointer(), n))
    }
    /// memmove(9F).
    @local fn memmove(to: Memory, from: Memory<c_void, *const c_void>, n: usize) -> *mut c_void {
        c!(memmove(to.pointer(), from.pointer(), n))
    }
    /// memset(9F).
    @local fn memset(at: Memory, byte: c_int, n: usize) -> *mut c_void {
        c!(memset(at.pointer(), byte, n))
    }
    /// memcmp(9F).
    @local fn memcmp(a: Memory<c_void, *const c_void>, b: Memory<c_void, *const c_void>, n: usize) -> c_int {
        c!(memcmp(a.pointer(), b.pointer(), n))
    }
    /// memchr(9F).
    @local fn memchr(at: Memory<c_void, *const c_void>, byte: c_int, n: usize) -> *mut c_void {
        c!(memchr(at.pointer(), byte, n))
    }
    /// strlen(9F).
    @local fn strlen(s: Text) -> usize {
        c!(strlen(s.pointer()))
    }
    /// strnlen(9F).
    @local fn strnlen(s: Chars, limit: usize) -> usize {
        c!(strnlen(s.pointer(), limit))
    }
    /// strcmp(9F).
    @local fn strcmp(a: Chars, b: Chars) -> c_int {
        compare(a, b, usize::MAX, same)
    }
    /// strncmp(9F).
    @local fn strncmp(a: Chars, b: Chars, n: usize) -> c_int {
        compare(a, b, n, same)
    }
    /// strcasecmp(9F).
    @local fn strcasecmp(a: Chars, b: Chars) -> c_int {
        compare(a, b, usize::MAX, lower)
    }
    /// strncasecmp(9F).
    @local fn strncasecmp(a: Chars, b: Chars, n: usize) -> c_int {
        compare(a, b, n, lower)
    }
    /// strcpy(9F).
    @local fn strcpy(to: Memory<c_char>, from: Text) -> *mut c_char {
        c!(strcpy(to.pointer(), from.pointer()))
    }
    /// strncpy(9F).
    @local fn strncpy(to: Memory<c_char>, from: Chars, n: usize) -> *mut c_char {
        c!(strncpy(to.pointer(), from.pointer(), n))
    }
    /// strncat(9F).
    @local fn strncat(to: Memory<c_char>, from: Chars, n: usize) -> *mut c_char {
        c!(strncat(to.pointer(), from.pointer(), n))
    }
    /// strlcpy(9F): the length of `from`.
    @local fn strlcpy(to: Memory<c_char>, from: Text, size: usize) -> usize {
        to.sized(size).write_text(from.bytes())
    }
    /// strlcat(9F): the length it would have had.
    @local fn strlcat(to: Memory<c_char>, from: Text, size: usize) -> usize {
        let have = c!(strnlen(to.pointer(), size));
        have + to.sized(size).after(have).write_text(from.bytes())
    }
    /// strchr(9F).
    @local fn strchr(s: Text, c: c_int) -> *mut c_char {
        c!(strchr(s.pointer(), c))
    }
    /// strrchr(9F).
    @local fn strrchr(s: Text, c: c_int) -> *mut c_char {
        c!(strrchr(s.pointer(), c))
    }
    /// strspn(9F).
    @local fn strspn(s: Text, accept: Text) -> usize {
        c!(strspn(s.pointer(), accept.pointer()))
    }
    /// strcspn.
    @local fn strcspn(s: Text, reject: Text) -> usize {
        c!(strcspn(s.pointer(), reject.pointer()))
    }
    /// strstr.
    @local fn strstr(s: Text, wanted: Text) -> *mut c_char {
        c!(strstr(s.pointer(), wanted.pointer()))
    }
    /// strdup(9F): from kmem, freed with strfree.
    @local fn strdup(s: Text) -> *mut c_char {
        copy(s, ddi_sys::KM_SLEEP)
    }
    /// ddi_strdup(9F).
    fn ddi_strdup(s: Text, flag: c_int) -> *mut c_char {
        copy(s, flag)
    }
    /// strfree(9F): a string of strdup or kmem_asprintf.
    fn strfree(s: Text<*mut c_char>) {
        memory::free(s.pointer().cast(), s.bytes().len() + 1, NAME);
    }
    /// ddi_strtol(9F).
    fn ddi_strtol(s: Text, end: Out<*mut c_char>, base: c_int, result: Out<c_long>) -> c_int {
        signed(s, end, base, result)
    }
    /// ddi_strtoll(9F).
    fn ddi_strtoll(s: Text, end: Out<*mut c_char>, base: c_int, result: Out<i64>) -> c_int {
        signed(s, end, base, result)
    }
    /// ddi_strtoul(9F).
    fn ddi_strtoul(s: Text, end: Out<*mut c_char>, base: c_int, result: Out<c_ulong>) -> c_int {
        unsigned(s, end, base, result)
    }
    /// ddi_strtoull(9F).
    fn ddi_strtoull(s: Text, end: Out<*mut c_char>, base: c_int, result: Out<u64>) -> c_int {
        unsigned(s, end, base, result)
    }
    /// stoi(9F): reads a decimal number and moves the pointer behind it.
    fn stoi(s: InOut<*mut c_char>) -> c_int {
        // SAFETY: the driver's promise: a string.
        let text: Text<'_, *mut c_char> = unsafe { Argument::of(s.value()) };
        let digits = text.bytes().iter().take_while(|byte| byte.is_ascii_digit());
        let (mut value, mut used): (c_int, usize) = (0, 0);
        for digit in digits {
            value = value.wrapping_mul(10).wrapping_add(c_int::from(digit - b'0'));
            used += 1;
        }
        s.put(text.pointer().wrapping_add(used));
        value
    }
    /// numtos(9F): writes a decimal number; the driver has room for the digits and a NUL.
    fn numtos(value: c_ulong, to: Memory<c_char>) {
        let text = value.to_string();
        to.sized(text.len() + 1).write_text(text.as_bytes());
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
    @local fn swab(from: Memory, to: Memory, n: usize) {
        let (from, to) = (from.cast::<u16>(), to.cast::<u16>());
        for i in 0..n / 2 {
            to.set_element(i, from.element(i).swap_bytes());
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
            let error = driver!(ddi_sys::ddi_strtol(text.as_ptr(), &mut end, base, &mut value));
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
        assert_eq!(driver!(strlcpy(buffer.as_mut_ptr(), c"ab".as_ptr(), 6)), 2);
        assert_eq!(driver!(strlcat(buffer.as_mut_ptr(), c"cdefg".as_ptr(), 6)), 7);
        assert_eq!(buffer.map(|c| c as u8), *b"abcde\0");
        assert_eq!(driver!(strcasecmp(c"AbC".as_ptr(), c"aBc".as_ptr())), 0);
        assert!(driver!(strncmp(c"abc".as_ptr(), c"abd".as_ptr(), 3)) < 0);
        let copy = driver!(ddi_sys::ddi_strdup(c"copy".as_ptr(), 0));
        assert_eq!(driver!(crate::ddi::bytes(copy)), b"copy");
        driver!(ddi_sys::strfree(copy));
        assert_eq!(driver!(ddi_sys::highbit(0x10)), 5);
        assert_eq!(driver!(ddi_sys::lowbit(0x18)), 4);
        assert_eq!(driver!(ddi_sys::ddi_fls(0)), 0);
    }

    #[test]
    fn numbers_are_written_and_read_in_place() {
        let mut text = [0 as c_char; 24];
        driver!(ddi_sys::numtos(1234, text.as_mut_ptr()));
        text[4] = b'x' as c_char;
        let mut at = text.as_mut_ptr();
        assert_eq!((driver!(ddi_sys::stoi(&mut at)), at as usize - text.as_ptr() as usize), (1234, 4));
        assert_eq!(driver!(ddi_sys::stoi(&mut at)), 0, "no digit");
        let (from, mut to) = (*b"abcde", [0u8; 5]);
        driver!(swab(from.as_ptr().cast_mut().cast(), to.as_mut_ptr().cast(), 5));
        assert_eq!(&to, b"badc\0");
    }
}
