//! u8_validate(9F), u8_strcmp(9F), u8_textprep_str(9F), uconv_u16tou32(9F), kiconv_open(9F) and their families. What they do with
//! text is [`crate::unicode`]'s.
//!
//! Not here: normalization of what is not ASCII (EBADF, as for options that cannot be supported), and code pages that illumos
//! loads modules for (kiconv_open fails, as when there is no such module). Any context, kiconv_open where one may sleep.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

use ddi_sys::*;
use parking_lot::Mutex;

use super::{bytes, store, text};
use crate::unicode::pages::Conversion;
use crate::unicode::wide::{Form, U8, U16, U32, convert};
use crate::unicode::{self, Case, Piece, front};

/// Conversions of kiconv_open, by number.
static OPEN: Mutex<Option<HashMap<usize, Conversion>>> = Mutex::new(None);
static LAST: AtomicUsize = AtomicUsize::new(0);

const FORMS: c_int = U8_STRCMP_NFC | U8_STRCMP_NFKD;
const FAILED: usize = usize::MAX;

/// Is this a form of normalization, or none?
fn is_form(form: c_int) -> bool {
    [0, U8_STRCMP_NFD, U8_STRCMP_NFC, U8_STRCMP_NFKD, U8_STRCMP_NFKC].contains(&form)
}

/// A text that is prepared, up to where it goes: what comes out, how much was read, and how much of it was wrong or why it ended.
fn prepare(from: &[u8], room: usize, case: Case, flags: c_int) -> (Vec<u8>, usize, Result<usize, c_int>) {
    let (mut out, mut at, mut wrong) = (Vec::new(), 0, 0);
    while at < from.len() && (from[at] != 0 || flags & U8_TEXTPREP_IGNORE_NULL != 0) {
        let rest = &from[at..];
        let (piece, len, error) = match front(rest) {
            Piece::Character(c, len) => (case.of(c).to_string().into_bytes(), len, 0),
            Piece::Illegal(_) => (rest[..1].to_vec(), 1, EILSEQ),
            Piece::Incomplete => (rest.to_vec(), rest.len(), EINVAL),
            Piece::Broken(len) => (rest[..len].to_vec(), len, 0),
        };
        if error != 0 && flags & U8_TEXTPREP_IGNORE_INVALID == 0 {
            return (out, at, Err(error));
        }
        if out.len() + piece.len() > room {
            return (out, at, Err(E2BIG));
        }
        wrong += usize::from(error != 0);
        out.extend(piece);
        at += len;
    }
    (out, at, Ok(wrong))
}

/// uconv_: between two forms.
///
/// # Safety
/// The pointers are NULL, or there is as much as the lengths say.
unsafe fn between<A: Form, B: Form>(
    from: *const A::Unit,
    from_len: *mut usize,
    to: *mut B::Unit,
    to_len: *mut usize,
    flags: c_int,
) -> c_int {
    if from.is_null() || from_len.is_null() {
        return EILSEQ;
    }
    if to.is_null() || to_len.is_null() {
        return E2BIG;
    }
    // SAFETY: the caller's promise, here and below.
    let (read, room) = (unsafe { from_len.read() }, unsafe { to_len.read() });
    // SAFETY: as above.
    match convert::<A, B>(unsafe { std::slice::from_raw_parts(from, read) }, room, flags) {
        Ok((out, read)) => {
            // SAFETY: no more than there is room for.
            unsafe { to.copy_from_nonoverlapping(out.as_ptr(), out.len()) };
            // SAFETY: as above.
            unsafe { from_len.write(read) };
            // SAFETY: as above.
            unsafe { to_len.write(out.len()) };
            0
        }
        Err(errno) => errno,
    }
}

/// What a conversion's functions return.
///
/// # Safety
/// `errnum` is NULL or valid.
unsafe fn told(result: Result<usize, c_int>, errnum: *mut c_int) -> usize {
    result.unwrap_or_else(|errno| {
        // SAFETY: the caller's promise.
        unsafe { store(errnum, errno) };
        FAILED
    })
}

ddi! {
    /// u8_validate(9F).
    fn u8_validate(from: *mut c_char, n: usize, list: *mut *mut c_char, flags: c_int, errnum: *mut c_int) -> c_int {
        if from.is_null() {
            return 0;
        }
        let mut forbidden = Vec::new();
        let mut next = list;
        while flags & U8_VALIDATE_CHECK_ADDITIONAL != 0 && !list.is_null() {
            // SAFETY: the driver's promise: a list that ends with NULL.
            let entry = unsafe { next.read() };
            if entry.is_null() {
                break;
            }
            // SAFETY: as above: strings.
            forbidden.push(unsafe { bytes(entry) });
            next = next.wrapping_add(1);
        }
        // SAFETY: the driver's promise.
        let from = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), n) };
        let (entire, ucs2) = (flags & U8_VALIDATE_ENTIRE != 0, flags & U8_VALIDATE_UCS2_RANGE != 0);
        let valid = unicode::validate(from, entire, ucs2, &forbidden);
        // SAFETY: the driver's promise.
        unsafe { told(valid, errnum) as c_int }
    }
    /// u8_strcmp(9F): normalization only of ASCII; of other texts EBADF, and they are compared as they are.
    fn u8_strcmp(one: *const c_char, two: *const c_char, n: usize, flags: c_int, version: usize, errnum: *mut c_int) -> c_int {
        // SAFETY: the driver's promise.
        let one = unsafe { bytes(one) };
        // SAFETY: the driver's promise.
        let two = unsafe { bytes(two) };
        let limit = if n == 0 { usize::MAX } else { n };
        let (one, two) = (&one[..one.len().min(limit)], &two[..two.len().min(limit)]);
        let form = flags & FORMS;
        let case = match flags & (U8_STRCMP_CS | U8_STRCMP_CI_UPPER | U8_STRCMP_CI_LOWER) {
            0 | U8_STRCMP_CS => Some(Case::Same),
            U8_STRCMP_CI_UPPER => Some(Case::Upper),
            U8_STRCMP_CI_LOWER => Some(Case::Lower),
            _ => None,
        };
        let known = form == 0 || unicode::is_normal(one) && unicode::is_normal(two);
        let mut error = if version > U8_UNICODE_LATEST as usize { ERANGE } else { 0 };
        let result = match case.filter(|_| is_form(form) && known) {
            Some(case) if case != Case::Same => {
                let (result, wrong) = case.compare(one, two);
                error = if wrong != 0 { wrong } else { error };
                result
            }
            Some(_) => one.cmp(two) as c_int,
            None => {
                error = EBADF;
                one.cmp(two) as c_int
            }
        };
        // SAFETY: the driver's promise.
        unsafe { store(errnum, error) };
        result
    }
    /// u8_textprep_str(9F): normalization only of ASCII; of other texts EBADF.
    fn u8_textprep_str(
        from: *mut c_char,
        from_len: *mut usize,
        to: *mut c_char,
        to_len: *mut usize,
        flags: c_int,
        version: usize,
        errnum: *mut c_int,
    ) -> usize {
        let case = match flags & (U8_TEXTPREP_TOUPPER | U8_TEXTPREP_TOLOWER) {
            0 => Some(Case::Same),
            U8_TEXTPREP_TOUPPER => Some(Case::Upper),
            U8_TEXTPREP_TOLOWER => Some(Case::Lower),
            _ => None,
        };
        let form = flags & FORMS;
        let error = match case {
            _ if version > U8_UNICODE_LATEST as usize => ERANGE,
            None => EBADF,
            _ if !is_form(form) => EBADF,
            _ => 0,
        };
        if error != 0 {
            // SAFETY: the driver's promise.
            return unsafe { told(Err(error), errnum) };
        }
        // SAFETY: the driver's promise.
        let read = unsafe { from_len.read() };
        if from.is_null() || read == 0 {
            return 0;
        }
        // SAFETY: the driver's promise.
        let from = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), read) };
        if to.is_null() || form != 0 && !unicode::is_normal(from) {
            // SAFETY: the driver's promise.
            return unsafe { told(Err(if to.is_null() { E2BIG } else { EBADF }), errnum) };
        }
        // SAFETY: the driver's promise.
        let room = unsafe { to_len.read() };
        let (out, read, result) = prepare(from, room, case.unwrap_or(Case::Same), flags);
        // SAFETY: no more than there is room for.
        unsafe { to.cast::<u8>().copy_from(out.as_ptr(), out.len()) };
        // SAFETY: the driver's promise, here and below: what is left.
        unsafe { from_len.write(from.len() - read) };
        // SAFETY: as above.
        unsafe { to_len.write(room - out.len()) };
        // SAFETY: as above.
        unsafe { told(result, errnum) }
    }
    /// uconv_u16tou32(9F).
    fn uconv_u16tou32(from: *const u16, from_len: *mut usize, to: *mut u32, to_len: *mut usize, flags: c_int) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { between::<U16, U32>(from, from_len, to, to_len, flags) }
    }
    /// uconv_u16tou8(9F).
    fn uconv_u16tou8(from: *const u16, from_len: *mut usize, to: *mut u8, to_len: *mut usize, flags: c_int) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { between::<U16, U8>(from, from_len, to, to_len, flags) }
    }
    /// uconv_u32tou16(9F).
    fn uconv_u32tou16(from: *const u32, from_len: *mut usize, to: *mut u16, to_len: *mut usize, flags: c_int) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { between::<U32, U16>(from, from_len, to, to_len, flags) }
    }
    /// uconv_u32tou8(9F).
    fn uconv_u32tou8(from: *const u32, from_len: *mut usize, to: *mut u8, to_len: *mut usize, flags: c_int) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { between::<U32, U8>(from, from_len, to, to_len, flags) }
    }
    /// uconv_u8tou16(9F).
    fn uconv_u8tou16(from: *const u8, from_len: *mut usize, to: *mut u16, to_len: *mut usize, flags: c_int) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { between::<U8, U16>(from, from_len, to, to_len, flags) }
    }
    /// uconv_u8tou32(9F).
    fn uconv_u8tou32(from: *const u8, from_len: *mut usize, to: *mut u32, to_len: *mut usize, flags: c_int) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { between::<U8, U32>(from, from_len, to, to_len, flags) }
    }

    /// kiconv_open(9F): between UTF-8 and cp1252, cp850, ISO 8859-1 and 8859-15; -1 for others.
    fn kiconv_open(to: *const c_char, from: *const c_char) -> *mut c_void {
        // SAFETY: the driver's promise.
        let to = unsafe { text(to) };
        // SAFETY: the driver's promise.
        let from = unsafe { text(from) };
        let Some(conversion) = Conversion::new(&to, &from) else {
            return std::ptr::without_provenance_mut(FAILED);
        };
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        OPEN.lock().get_or_insert_default().insert(number, conversion);
        std::ptr::without_provenance_mut(number)
    }
    /// kiconv_close(9F): EBADF for what is not open.
    fn kiconv_close(conversion: *mut c_void) -> c_int {
        let closed = OPEN.lock().as_mut().and_then(|open| open.remove(&conversion.addr()));
        if closed.is_some() { 0 } else { EBADF }
    }
    /// kiconv(9F).
    fn kiconv(
        conversion: *mut c_void,
        from: *mut *mut c_char,
        from_len: *mut usize,
        to: *mut *mut c_char,
        to_len: *mut usize,
        errnum: *mut c_int,
    ) -> usize {
        let mut open = OPEN.lock();
        let Some(conversion) = open.as_mut().and_then(|open| open.get_mut(&conversion.addr())) else {
            // SAFETY: the driver's promise.
            return unsafe { told(Err(EBADF), errnum) };
        };
        // SAFETY: the driver's promise, here and below.
        if from.is_null() || unsafe { from.read() }.is_null() {
            conversion.reset();
            return 0;
        }
        // SAFETY: as above.
        let (input, read) = (unsafe { from.read() }, unsafe { from_len.read() });
        // SAFETY: as above.
        let (output, room) = (unsafe { to.read() }, unsafe { to_len.read() });
        // SAFETY: as above.
        let bytes = unsafe { std::slice::from_raw_parts(input.cast::<u8>(), read) };
        let (out, read, result) = conversion.convert(bytes, room, KICONV_IGNORE_NULL);
        // SAFETY: no more than there is room for.
        unsafe { output.cast::<u8>().copy_from(out.as_ptr(), out.len()) };
        // SAFETY: as above: behind what was read, and how much is left.
        unsafe { from.write(input.wrapping_add(read)) };
        // SAFETY: as above.
        unsafe { from_len.write(bytes.len() - read) };
        // SAFETY: as above.
        unsafe { to.write(output.wrapping_add(out.len())) };
        // SAFETY: as above.
        unsafe { to_len.write(room - out.len()) };
        // SAFETY: as above.
        unsafe { told(result, errnum) }
    }
    /// kiconvstr(9F): EBADF for code pages that are not known.
    fn kiconvstr(
        to_name: *const c_char,
        from_name: *const c_char,
        from: *mut c_char,
        from_len: *mut usize,
        to: *mut c_char,
        to_len: *mut usize,
        flags: c_int,
        errnum: *mut c_int,
    ) -> usize {
        // SAFETY: the driver's promise, here and below.
        let to_name = unsafe { text(to_name) };
        // SAFETY: as above.
        let from_name = unsafe { text(from_name) };
        let Some(mut conversion) = Conversion::new(&to_name, &from_name) else {
            // SAFETY: as above.
            return unsafe { told(Err(EBADF), errnum) };
        };
        // SAFETY: as above.
        let (read, room) = (unsafe { from_len.read() }, unsafe { to_len.read() });
        if from.is_null() || read == 0 {
            return 0;
        }
        // SAFETY: as above.
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), read) };
        let (out, read, result) = conversion.convert(bytes, room, flags);
        // SAFETY: no more than there is room for.
        unsafe { to.cast::<u8>().copy_from(out.as_ptr(), out.len()) };
        // SAFETY: as above: what is left.
        unsafe { from_len.write(bytes.len() - read) };
        // SAFETY: as above.
        unsafe { to_len.write(room - out.len()) };
        // SAFETY: as above.
        unsafe { told(result, errnum) }
    }
}
