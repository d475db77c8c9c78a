//! Device ids as data: the binary form that drivers hold, and the text form of the `devid` property.
//!
//! Binary: "id", revision 0 1, type and length with the high byte first, four bytes of the driver's name, the id. Text:
//! `id1,DRIVER@TYPE` and the id, as it is (capital type) or in hexadecimal (small type), and perhaps `/MINOR`.

use ddi_sys::*;

/// Bytes before the id.
pub const HEAD: usize = 12;
const MAGIC: [u8; 4] = [b'i', b'd', 0, 1];

/// Types and their letters.
const LETTERS: [(u16, u8); 8] = [
    (DEVID_SCSI3_WWN as u16, b'w'),
    (DEVID_SCSI_SERIAL as u16, b's'),
    (DEVID_FAB as u16, b'f'),
    (DEVID_ENCAP as u16, b'e'),
    (DEVID_ATA_SERIAL as u16, b'a'),
    (DEVID_SCSI3_VPD_T10 as u16, b't'),
    (DEVID_SCSI3_VPD_EUI as u16, b'x'),
    (DEVID_SCSI3_VPD_NAA as u16, b'n'),
];
/// Types that are hexadecimal even if every byte is a letter.
const HEXADECIMAL: &[u8] = b"wfxn";
/// Types of numbers that are unique in the world.
const GLOBAL: &[u8] = b"wxn";

/// A device id.
#[derive(Clone, Debug, PartialEq)]
pub struct Devid {
    /// The driver's name, or its beginning.
    pub driver: [u8; 4],
    /// `DEVID_...`.
    pub kind: u16,
    /// The id.
    pub id: Vec<u8>,
}

/// Returns the bytes of an id with this head; None if the head is invalid.
pub fn len(head: &[u8; HEAD]) -> Option<usize> {
    let kind = u16::from_be_bytes([head[4], head[5]]);
    (head[..4] == MAGIC && LETTERS.iter().any(|(known, _)| *known == kind))
        .then(|| HEAD + usize::from(u16::from_be_bytes([head[6], head[7]])))
}

impl Devid {
    /// An id of a driver's device.
    pub fn new(driver: &str, kind: u16, id: Vec<u8>) -> Self {
        let mut hint = [0; 4];
        hint.iter_mut().zip(driver.bytes()).for_each(|(to, from)| *to = from);
        Devid { driver: hint, kind, id }
    }

    /// From the binary form.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let size = len(bytes.first_chunk()?)?;
        let driver = bytes[8..HEAD].try_into().ok()?;
        Some(Devid {
            driver,
            kind: u16::from_be_bytes([bytes[4], bytes[5]]),
            id: bytes.get(HEAD..size)?.to_vec(),
        })
    }

    /// The binary form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.kind.to_be_bytes());
        bytes.extend((self.id.len() as u16).to_be_bytes());
        bytes.extend(self.driver);
        bytes.extend(&self.id);
        bytes
    }

    fn letter(&self) -> u8 {
        LETTERS.iter().find(|(kind, _)| *kind == self.kind).map_or(b'u', |(_, letter)| *letter)
    }

    /// The text form, with a minor node's name if one is given.
    pub fn to_text(&self, minor: Option<&[u8]>) -> Vec<u8> {
        let letter = self.letter();
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"+-.= \0".contains(b);
        let plain = self.id.iter().all(plain) && !HEXADECIMAL.contains(&letter);
        let mut text = b"id1,".to_vec();
        text.extend(self.driver.iter().take_while(|b| **b != 0));
        text.push(b'@');
        if plain {
            text.push(letter.to_ascii_uppercase());
            text.extend(self.id.iter().map(|b| match b {
                b' ' => b'_',
                0 => b'~',
                b => *b,
            }));
        } else {
            text.push(letter);
            text.extend(hexadecimal(&self.id));
        }
        if let Some(minor) = minor {
            text.push(b'/');
            text.extend(minor);
        }
        text
    }

    /// From the text form, with the minor node's name. None when it is none; `id0` is a text without id.
    pub fn from_text(text: &[u8]) -> Option<(Option<Self>, Option<&[u8]>)> {
        if text == b"id0" {
            return Some((None, None));
        }
        let rest = text.strip_prefix(b"id1,")?;
        let (id, minor) = match rest.iter().position(|b| *b == b'/') {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        let at = id.iter().position(|b| *b == b'@').filter(|at| *at <= 4)?;
        let mut driver = [0; 4];
        driver[..at].copy_from_slice(&id[..at]);
        let (letter, id) = id[at + 1..].split_first()?;
        let kind = LETTERS.iter().find(|(_, known)| *known == letter.to_ascii_lowercase())?.0;
        let id = if letter.is_ascii_uppercase() {
            let byte = |b: &u8| match b {
                b'_' => b' ',
                b'~' => 0,
                b => *b,
            };
            id.iter().map(byte).collect()
        } else {
            binary(id)?
        };
        if id.is_empty() || id.len() > usize::from(u16::MAX) {
            return None;
        }
        Some((Some(Devid { driver, kind, id }), minor))
    }

    /// The number that is unique in the world, in hexadecimal; None for an id that has none.
    pub fn guid(&self) -> Option<Vec<u8>> {
        GLOBAL.contains(&self.letter()).then(|| hexadecimal(&self.id))
    }

    /// Which one comes first: -1, 0, 1. The driver's name does not count; types of SCSI page 83 equal the older one type for them.
    pub fn compare(&self, other: &Self) -> i32 {
        let old = |devid: &Devid| devid.kind == DEVID_SCSI3_WWN as u16;
        let page83 = |kind: u16| (DEVID_SCSI3_VPD_T10 as u16..=DEVID_SCSI3_VPD_NAA as u16).contains(&kind);
        let kind = |devid: &Devid| match (old(self) || old(other)) && page83(devid.kind) {
            true => DEVID_SCSI3_WWN as u16,
            false => devid.kind,
        };
        let key = |devid: &Devid| (kind(devid), devid.id.len());
        key(self).cmp(&key(other)).then_with(|| self.id.cmp(&other.id)) as i32
    }
}

fn hexadecimal(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|b| format!("{b:02x}").into_bytes()).collect()
}

fn binary(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_chunks::<2>();
    let byte = |pair: &[u8; 2]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let text = |driver, kind: i32, id: &[u8]| Devid::new(driver, kind as u16, id.to_vec()).to_text(None);
        assert_eq!(text("sd", DEVID_SCSI_SERIAL, b"IBM 1\0"), b"id1,sd@SIBM_1~");
        assert_eq!(text("cmdk", DEVID_ATA_SERIAL, b"a/b"), b"id1,cmdk@a612f62");
        assert_eq!(text("longname", DEVID_SCSI3_VPD_NAA, b"A\xff"), b"id1,long@n41ff");
        for kind in 1..=8 {
            for id in [&b"plain 1"[..], b"\0\xfe/"] {
                let devid = Devid::new("sd", kind, id.to_vec());
                let text = devid.to_text(Some(b"a,raw"));
                assert_eq!(Devid::from_text(&text), Some((Some(devid.clone()), Some(&b"a,raw"[..]))));
                assert_eq!(Devid::from_bytes(&devid.to_bytes()), Some(devid));
            }
        }
        assert_eq!(Devid::from_text(b"id0"), Some((None, None)));
        for wrong in
            ["", "id", "id1", "id1,sd", "id1,sd@", "id1,sd@q1", "id1,sd@n1", "id1,sd@n1G", "id1,toolong@S1"]
        {
            assert_eq!(Devid::from_text(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn order() {
        let devid = |kind: i32, id: &[u8]| Devid::new("sd", kind as u16, id.to_vec());
        let naa = devid(DEVID_SCSI3_VPD_NAA, b"12");
        assert_eq!(naa.compare(&Devid::new("ssd", DEVID_SCSI3_WWN as u16, b"12".to_vec())), 0);
        assert_eq!(naa.compare(&devid(DEVID_SCSI3_VPD_EUI, b"12")), 1);
        assert_eq!(naa.compare(&devid(DEVID_SCSI3_VPD_NAA, b"013")), -1);
        assert_eq!(naa.compare(&devid(DEVID_SCSI3_VPD_NAA, b"13")), -1);
        assert_eq!(naa.guid().unwrap(), b"3132");
        assert_eq!(devid(DEVID_FAB, b"12").guid(), None);
    }
}
