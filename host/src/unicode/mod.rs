//! Text as the kernel's functions see it: UTF-8 that may be wrong, UTF-16 and UTF-32 in both byte orders, code pages of one byte. Only data in
//! and out; no memory of a driver's.

pub mod pages;
pub mod wide;

use ddi_sys::{EILSEQ, EINVAL, ERANGE};

/// What a piece of UTF-8 is, and its bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Piece {
    /// A character.
    Character(char, usize),
    /// A first byte that none has: an errno.
    Illegal(i32),
    /// The text ends within it.
    Incomplete,
    /// Bytes behind the first that none has; so many bytes the first byte promises.
    Broken(usize),
}

/// Bytes that a character with this first byte has; the errno of a byte that is not a first one.
pub fn promised(first: u8) -> Result<usize, i32> {
    match first {
        0..0x80 => Ok(1),
        0xc2..0xe0 => Ok(2),
        0xe0..0xf0 => Ok(3),
        0xf0..0xf5 => Ok(4),
        0xf5.. => Err(ERANGE),
        _ => Err(EILSEQ),
    }
}

/// The piece at the front of a text that is not empty.
pub fn front(text: &[u8]) -> Piece {
    let len = match promised(text[0]) {
        Ok(len) => len,
        Err(errno) => return Piece::Illegal(errno),
    };
    let Some(bytes) = text.get(..len) else { return Piece::Incomplete };
    match std::str::from_utf8(bytes).ok().and_then(|text| text.chars().next()) {
        Some(c) => Piece::Character(c, len),
        None => Piece::Broken(len),
    }
}

/// u8_validate: the bytes of the characters, of the first one alone if not `entire`.
pub fn validate(text: &[u8], entire: bool, ucs2: bool, forbidden: &[&[u8]]) -> Result<usize, i32> {
    let mut at = 0;
    while at < text.len() {
        let len = match front(&text[at..]) {
            Piece::Illegal(errno) => return Err(errno),
            _ if ucs2 && text[at] >= 0xf0 => return Err(ERANGE),
            Piece::Incomplete => return Err(EINVAL),
            Piece::Broken(_) => return Err(EILSEQ),
            Piece::Character(_, len) => len,
        };
        if forbidden.contains(&&text[at..at + len]) {
            return Err(ddi_sys::EBADF);
        }
        at += len;
        if !entire {
            break;
        }
    }
    Ok(at)
}

/// Which letters to turn into which.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Case {
    /// None.
    Same,
    /// Small ones into capitals.
    Upper,
    /// Capitals into small ones.
    Lower,
}

impl Case {
    /// The one character that this one becomes; itself where Unicode's simple mapping has none.
    pub fn of(self, c: char) -> char {
        // Capitals of Georgian and small letters of Cherokee are younger than the kernel's tables.
        let younger = matches!(c, '\u{10d0}'..='\u{10ff}' | '\u{13a0}'..='\u{13ff}' | '\u{1c90}'..='\u{1cbf}' | '\u{ab70}'..='\u{abbf}');
        let one = |mut all: Box<dyn Iterator<Item = char>>| all.next().filter(|_| all.next().is_none());
        match (self, c) {
            (Case::Same, _) => c,
            _ if younger => c,
            (Case::Upper, '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}') => {
                char::from_u32(c as u32 + 8).unwrap_or(c)
            }
            (Case::Upper, '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}') => char::from_u32(c as u32 + 9).unwrap_or(c),
            (Case::Upper, _) => one(Box::new(c.to_uppercase())).unwrap_or(c),
            (Case::Lower, '\u{130}') => 'i',
            (Case::Lower, _) => one(Box::new(c.to_lowercase())).unwrap_or(c),
        }
    }

    /// The next unit of a text that is compared: its bytes after the mapping, and how many it had. What is wrong is told, and compared as it is.
    fn unit(self, text: &[u8], wrong: &mut i32) -> (Vec<u8>, usize) {
        match front(text) {
            Piece::Character(c, len) => (self.of(c).to_string().into_bytes(), len),
            Piece::Illegal(_) => {
                *wrong = EILSEQ;
                (vec![text[0]], 1)
            }
            Piece::Incomplete => {
                *wrong = EINVAL;
                (text.to_vec(), text.len())
            }
            Piece::Broken(len) => (text[..len].to_vec(), len),
        }
    }

    /// Compares two texts character by character after the mapping: below, at or above 0, and what was wrong with a text.
    pub fn compare(self, mut one: &[u8], mut two: &[u8]) -> (i32, i32) {
        let mut wrong = 0;
        while !one.is_empty() && !two.is_empty() {
            let (a, a_len) = self.unit(one, &mut wrong);
            let (b, b_len) = self.unit(two, &mut wrong);
            if a != b {
                return (a.cmp(&b) as i32, wrong);
            }
            (one, two) = (&one[a_len..], &two[b_len..]);
        }
        (one.len().min(1) as i32 - two.len().min(1) as i32, wrong)
    }
}

/// Would any normalization leave the text as it is? Only of ASCII is that known here.
pub fn is_normal(text: &[u8]) -> bool {
    text.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validation() {
        let entire = |text: &[u8]| validate(text, true, false, &[]);
        assert_eq!(entire("a\u{e9}\u{20ac}\u{1f600}".as_bytes()), Ok(10));
        assert_eq!(validate("\u{e9}a".as_bytes(), false, false, &[]), Ok(2));
        assert_eq!(entire(b"a\x80"), Err(EILSEQ));
        assert_eq!(entire(b"\xc0\x80"), Err(EILSEQ));
        assert_eq!(entire(b"\xe0\x80\x80"), Err(EILSEQ), "too long for what it says");
        assert_eq!(entire(b"\xed\xa0\x80"), Err(EILSEQ), "half of a pair");
        assert_eq!(entire(b"\xe2\x82"), Err(EINVAL));
        assert_eq!(entire(b"\xf5\x80\x80\x80"), Err(ERANGE));
        assert_eq!(validate("\u{1f600}".as_bytes(), true, true, &[]), Err(ERANGE));
        assert_eq!(validate(b"a/b", true, false, &[b":", b"/"]), Err(ddi_sys::EBADF));
    }

    #[test]
    fn comparison() {
        let upper = |a: &str, b: &str| Case::Upper.compare(a.as_bytes(), b.as_bytes());
        assert_eq!(upper("Stra\u{df}e", "STRA\u{df}E"), (0, 0));
        assert_eq!(upper("\u{e4}\u{3b1}", "\u{c4}\u{391}"), (0, 0));
        assert_eq!(upper("ab", "abc"), (-1, 0));
        assert_eq!(upper("b", "A"), (1, 0));
        assert_eq!(Case::Lower.compare(b"a\xff", b"A\xff"), (0, EILSEQ));
        assert_eq!(Case::Lower.compare("a\u{e9}".as_bytes(), b"a\xc3").1, EINVAL);
        assert_eq!(Case::Lower.of('\u{130}'), 'i');
        assert_eq!(Case::Upper.of('\u{1f80}'), '\u{1f88}');
    }
}
