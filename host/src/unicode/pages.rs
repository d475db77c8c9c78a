//! Code pages of one byte: those that illumos's kernel has without further modules, to and from UTF-8.

use ddi_sys::*;

use super::{Piece, front};

/// The upper halves; U+FFFD where there is no character.
const PAGES: [(&str, &str); 3] = [
    (
        "cp1252",
        "€\u{fffd}‚ƒ„…†‡ˆ‰Š‹Œ\u{fffd}Ž\u{fffd}\u{fffd}‘’“”•–—˜™š›œ\u{fffd}žŸ\u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²\
     ³´µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ",
    ),
    (
        "iso885915",
        "\u{80}\u{81}\u{82}\u{83}\u{84}\u{85}\u{86}\u{87}\u{88}\u{89}\u{8a}\u{8b}\u{8c}\u{8d}\u{8e}\u{8f}\
     \u{90}\u{91}\u{92}\u{93}\u{94}\u{95}\u{96}\u{97}\u{98}\u{99}\u{9a}\u{9b}\u{9c}\u{9d}\u{9e}\u{9f}\
     \u{a0}¡¢£€¥Š§š©ª«¬\u{ad}®¯°±²³Žµ¶·ž¹º»ŒœŸ¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõ\
     ö÷øùúûüýþÿ",
    ),
    (
        "cp850",
        "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀\
     ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}",
    ),
];
const NONE: char = '\u{fffd}';

/// Other names of them.
const ALIASES: [(&str, &str); 10] = [
    ("1252", "cp1252"),
    ("windows1252", "cp1252"),
    ("88591", "iso88591"),
    ("latin1", "iso88591"),
    ("l1", "iso88591"),
    ("885915", "iso885915"),
    ("latin9", "iso885915"),
    ("l9", "iso885915"),
    ("850", "cp850"),
    ("ibm850", "cp850"),
];

/// A conversion between UTF-8 and a code page.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    upper: Vec<char>,
    to_page: bool,
    /// Has the text begun, so that it can have no mark any more?
    begun: bool,
}

/// What one step of a conversion does.
enum Step {
    /// So many bytes become these.
    Write(Vec<u8>, usize),
    /// So many bytes become a replacement: there is no such character.
    Replace(usize),
    /// So many bytes are wrong.
    Wrong(i32, usize),
}

/// A code page's upper half.
fn page(name: &str) -> Option<Vec<char>> {
    let name: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name.as_str(), |(_, name)| name);
    if name == "iso88591" {
        return Some(('\u{80}'..='\u{ff}').collect());
    }
    PAGES.iter().find(|(known, _)| *known == name).map(|(_, upper)| upper.chars().collect())
}

fn is_utf8(name: &str) -> bool {
    matches!(name.to_ascii_lowercase().as_str(), "utf-8" | "utf8")
}

impl Conversion {
    /// None when one of the two is not UTF-8, or the other is not known.
    pub fn new(to: &str, from: &str) -> Option<Self> {
        let (to_page, name) = match (is_utf8(to), is_utf8(from)) {
            (false, true) => (true, to),
            (true, false) => (false, from),
            _ => return None,
        };
        Some(Conversion { upper: page(name)?, to_page, begun: false })
    }

    /// As if nothing had been converted.
    pub fn reset(&mut self) {
        self.begun = false;
    }

    fn step(&self, text: &[u8]) -> Step {
        if text[0] < 0x80 {
            return Step::Write(vec![text[0]], 1);
        }
        if !self.to_page {
            return match self.upper[usize::from(text[0] - 0x80)] {
                NONE => Step::Wrong(EILSEQ, 1),
                c => Step::Write(c.to_string().into_bytes(), 1),
            };
        }
        match front(text) {
            Piece::Character(c, len) => match self.upper.iter().position(|known| *known == c && c != NONE) {
                Some(at) => Step::Write(vec![0x80 + at as u8], len),
                None => Step::Replace(len),
            },
            Piece::Illegal(_) => Step::Wrong(EILSEQ, 1),
            Piece::Incomplete => Step::Wrong(EINVAL, text.len()),
            Piece::Broken(len) => Step::Wrong(EILSEQ, len),
        }
    }

    /// Converts as much as there is room for. What comes out, how much was read, and how many characters were replaced or
    /// why it ended early. With `flags` `KICONV_IGNORE_NULL` goes on behind a NUL, `KICONV_REPLACE_INVALID` over what is wrong.
    pub fn convert(&mut self, text: &[u8], room: usize, flags: i32) -> (Vec<u8>, usize, Result<usize, i32>) {
        let (mut out, mut at, mut replaced) = (Vec::new(), 0, 0);
        if self.to_page && !self.begun && text.starts_with(b"\xef\xbb\xbf") {
            at = 3;
        }
        self.begun = true;
        let replacement: &[u8] = if self.to_page { b"?" } else { b"\xef\xbf\xbd" };
        while at < text.len() && (text[at] != 0 || flags & KICONV_IGNORE_NULL != 0) {
            let (bytes, len, lost) = match self.step(&text[at..]) {
                Step::Write(bytes, len) => (bytes, len, 0),
                Step::Replace(len) => (replacement.to_vec(), len, 1),
                Step::Wrong(_, len) if flags & KICONV_REPLACE_INVALID != 0 => (replacement.to_vec(), len, 1),
                Step::Wrong(errno, _) => return (out, at, Err(errno)),
            };
            if out.len() + bytes.len() > room {
                return (out, at, Err(E2BIG));
            }
            out.extend(bytes);
            at += len;
            replaced += lost;
        }
        (out, at, Ok(replaced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(to: &str, from: &str, text: &[u8], flags: i32) -> (Vec<u8>, usize, Result<usize, i32>) {
        Conversion::new(to, from).unwrap().convert(text, 100, flags)
    }

    #[test]
    fn both_ways() {
        for name in ["ISO-8859-1", "iso8859-15", "cp1252", "CP850", "850"] {
            let bytes: Vec<u8> = (1..=255).collect();
            let (text, _, _) =
                Conversion::new("UTF-8", name).unwrap().convert(&bytes, 1000, KICONV_REPLACE_INVALID);
            let (back, _, replaced) = Conversion::new(name, "UTF-8").unwrap().convert(&text, 1000, 0);
            let wrong = back.iter().zip(&bytes).filter(|(a, b)| a != b).count();
            assert_eq!((wrong, replaced), if name == "cp1252" { (5, Ok(5)) } else { (0, Ok(0)) }, "{name}");
        }
        assert_eq!(all("cp850", "utf-8", "\u{e9}".as_bytes(), 0).0, [0x82]);
        assert_eq!(all("utf8", "8859-15", &[0xa4], 0).0, "\u{20ac}".as_bytes());
        assert!(Conversion::new("utf-8", "big5").is_none() && Conversion::new("cp850", "cp1252").is_none());
    }

    #[test]
    fn what_does_not_fit() {
        assert_eq!(all("cp850", "utf-8", "a\u{20ac}b".as_bytes(), 0), (b"a?b".to_vec(), 5, Ok(1)));
        assert_eq!(all("cp850", "utf-8", b"\xef\xbb\xbfa\0b", 0), (b"a".to_vec(), 4, Ok(0)));
        assert_eq!(all("cp850", "utf-8", b"a\xff", 0), (b"a".to_vec(), 1, Err(EILSEQ)));
        assert_eq!(all("cp850", "utf-8", b"a\xe2\x82", 0), (b"a".to_vec(), 1, Err(EINVAL)));
        assert_eq!(all("cp850", "utf-8", b"a\xffb", KICONV_REPLACE_INVALID), (b"a?b".to_vec(), 3, Ok(1)));
        assert_eq!(
            Conversion::new("utf-8", "cp850").unwrap().convert(b"a\x82", 2, 0),
            (b"a".to_vec(), 1, Err(E2BIG))
        );
    }
}
