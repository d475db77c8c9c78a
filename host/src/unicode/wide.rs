//! UTF-16 and UTF-32 in either byte order, and conversions between all three forms, as uconv_u16tou32(9F) and the rest say.

use ddi_sys::*;

use super::{Piece, front};

/// A form of Unicode.
pub trait Form: Copy + 'static {
    /// One unit of it.
    type Unit: Copy;
    /// Can it have a byte order mark, of what value?
    fn mark() -> Option<Self::Unit>;
    /// A unit as a number, and the number as a unit.
    fn number(unit: Self::Unit) -> u32;
    /// A unit in the other byte order.
    fn swapped(unit: Self::Unit) -> Self::Unit;
    /// The character at the front and how many units it has; the errno of what is none.
    fn decode(units: &[Self::Unit]) -> Result<(u32, usize), i32>;
    /// Adds a character.
    fn encode(c: u32, out: &mut Vec<Self::Unit>);
}

/// UTF-8.
#[derive(Clone, Copy, Debug)]
pub struct U8;
/// UTF-16.
#[derive(Clone, Copy, Debug)]
pub struct U16;
/// UTF-32.
#[derive(Clone, Copy, Debug)]
pub struct U32;

impl Form for U8 {
    type Unit = u8;
    fn mark() -> Option<u8> {
        None
    }
    fn number(unit: u8) -> u32 {
        unit.into()
    }
    fn swapped(unit: u8) -> u8 {
        unit
    }
    fn decode(units: &[u8]) -> Result<(u32, usize), i32> {
        match front(units) {
            Piece::Character(c, len) => Ok((c.into(), len)),
            Piece::Incomplete => Err(EINVAL),
            Piece::Illegal(_) | Piece::Broken(_) => Err(EILSEQ),
        }
    }
    fn encode(c: u32, out: &mut Vec<u8>) {
        // Halves of pairs are no characters, but have a place in UTF-32 and so three bytes.
        match char::from_u32(c) {
            Some(c) => out.extend(c.to_string().bytes()),
            None => out.extend([0xe0 | (c >> 12) as u8, 0x80 | (c >> 6) as u8 & 0x3f, 0x80 | c as u8 & 0x3f]),
        }
    }
}

impl Form for U16 {
    type Unit = u16;
    fn mark() -> Option<u16> {
        Some(0xfeff)
    }
    fn number(unit: u16) -> u32 {
        unit.into()
    }
    fn swapped(unit: u16) -> u16 {
        unit.swap_bytes()
    }
    fn decode(units: &[u16]) -> Result<(u32, usize), i32> {
        let first = u32::from(units[0]);
        match (first, units.get(1).map(|unit| u32::from(*unit))) {
            (0xd800..0xdc00, Some(second @ 0xdc00..0xe000)) => {
                Ok((0x10000 + (first - 0xd800) * 0x400 + (second - 0xdc00), 2))
            }
            (0xd800..0xdc00, None | Some(0)) => Err(EINVAL),
            (0xd800..0xe000, _) => Err(EILSEQ),
            _ => Ok((first, 1)),
        }
    }
    fn encode(c: u32, out: &mut Vec<u16>) {
        match c.checked_sub(0x10000) {
            None => out.push(c as u16),
            Some(c) => out.extend([0xd800 + (c >> 10) as u16, 0xdc00 + (c & 0x3ff) as u16]),
        }
    }
}

impl Form for U32 {
    type Unit = u32;
    fn mark() -> Option<u32> {
        Some(0xfeff)
    }
    fn number(unit: u32) -> u32 {
        unit
    }
    fn swapped(unit: u32) -> u32 {
        unit.swap_bytes()
    }
    fn decode(units: &[u32]) -> Result<(u32, usize), i32> {
        if units[0] > 0x10ffff { Err(EILSEQ) } else { Ok((units[0], 1)) }
    }
    fn encode(c: u32, out: &mut Vec<u32>) {
        out.push(c);
    }
}

/// Converts: what comes out, at most `room` units, and how many units were read. `flags` are `UCONV_...`.
pub fn convert<A: Form, B: Form>(
    from: &[A::Unit],
    room: usize,
    flags: i32,
) -> Result<(Vec<B::Unit>, usize), i32> {
    let both = |mask| flags & mask == mask;
    if both(UCONV_IN_BIG_ENDIAN | UCONV_IN_LITTLE_ENDIAN)
        || both(UCONV_OUT_BIG_ENDIAN | UCONV_OUT_LITTLE_ENDIAN)
    {
        return Err(EBADF);
    }
    let mut swap = flags & UCONV_IN_BIG_ENDIAN != 0;
    let mut at = 0;
    if let (Some(mark), Some(first)) = (A::mark(), from.first())
        && flags & UCONV_IN_ACCEPT_BOM != 0
    {
        if A::number(*first) == A::number(mark) {
            (swap, at) = (false, 1);
        } else if A::number(*first) == A::number(A::swapped(mark)) {
            (swap, at) = (true, 1);
        }
    }
    let units: Vec<A::Unit> = from.iter().map(|unit| if swap { A::swapped(*unit) } else { *unit }).collect();
    let mut out = Vec::new();
    if let Some(mark) = B::mark().filter(|_| flags & UCONV_OUT_EMIT_BOM != 0 && !from.is_empty() && room > 0)
    {
        out.push(mark);
    }
    while at < units.len() && (A::number(units[at]) != 0 || flags & UCONV_IGNORE_NULL != 0) {
        let (c, len) = A::decode(&units[at..])?;
        B::encode(c, &mut out);
        if out.len() > room {
            return Err(E2BIG);
        }
        at += len;
    }
    if flags & UCONV_OUT_BIG_ENDIAN != 0 {
        out.iter_mut().for_each(|unit| *unit = B::swapped(*unit));
    }
    Ok((out, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_in_both_orders() {
        let text = "a\u{e9}\u{20ac}\u{1f600}";
        let (sixteen, read) = convert::<U8, U16>(text.as_bytes(), 9, 0).unwrap();
        assert_eq!((&sixteen, read), (&text.encode_utf16().collect(), text.len()));
        let (back, _) = convert::<U16, U8>(&sixteen, 10, 0).unwrap();
        assert_eq!(back, text.as_bytes());
        let flags = UCONV_OUT_BIG_ENDIAN | UCONV_OUT_EMIT_BOM;
        let (big, _) = convert::<U8, U32>(text.as_bytes(), 9, flags).unwrap();
        assert_eq!(big[..2], [0xfffe_0000, 0x6100_0000]);
        let (again, read) = convert::<U32, U16>(&big, 9, UCONV_IN_ACCEPT_BOM).unwrap();
        assert_eq!((again, read), (sixteen, 5));
    }

    #[test]
    fn errors() {
        assert_eq!(convert::<U16, U32>(&[0xd800], 1, 0), Err(EINVAL));
        assert_eq!(convert::<U16, U32>(&[0xdc00], 1, 0), Err(EILSEQ));
        assert_eq!(convert::<U16, U32>(&[0xd800, 0x61], 2, 0), Err(EILSEQ));
        assert_eq!(convert::<U32, U8>(&[0x110000], 9, 0), Err(EILSEQ));
        assert_eq!(convert::<U8, U16>(b"\xe2\x82", 9, 0), Err(EINVAL));
        assert_eq!(convert::<U8, U16>(b"abc", 2, 0), Err(E2BIG));
        assert_eq!(convert::<U8, U16>(b"a\0b", 2, 0), Ok((vec![0x61], 1)));
        assert_eq!(convert::<U8, U16>(b"a\0b", 3, UCONV_IGNORE_NULL), Ok((vec![0x61, 0, 0x62], 3)));
        let both = UCONV_IN_BIG_ENDIAN | UCONV_IN_LITTLE_ENDIAN;
        assert_eq!(convert::<U16, U8>(&[0x61], 9, both), Err(EBADF));
    }
}
