//! The kernel's printf: `cmn_err(9F)`, `sprintf(9F)` and the rest format with this.
//!
//! Conversions: `d i u o x X D U O p c s b %`, flags `- + space 0 #`, width and precision (also `*`), sizes
//! `hh h l ll j z t`. `%b` prints the bits of an integer by names, as cmn_err(9F) says. There is no floating point.
//! No locks, any context.

/// Source of the arguments of a format.
pub trait Args {
    /// The next argument as a 64-bit word (integers are truncated by the conversion).
    fn word(&mut self) -> u64;
    /// The string at `address`, at most `limit` bytes of it.
    fn string(&self, address: u64, limit: usize) -> Vec<u8>;
}

/// `va_list` of the System V AMD64 calling convention.
///
/// # Invariants
/// As its caller has filled it in: `registers` is a save area of `REGISTERS` bytes of general registers, `overflow` leads to the arguments on the caller's stack, and no more
/// words are taken than were passed.
#[repr(C)]
#[derive(Debug)]
pub struct VaList {
    gp_offset: u32,
    fp_offset: u32,
    overflow: *const u64,
    registers: *const u8,
}

/// Bytes of general registers in the register save area.
const REGISTERS: u32 = 48;

impl Args for VaList {
    fn word(&mut self) -> u64 {
        if self.gp_offset < REGISTERS {
            let at = self.registers.wrapping_add(self.gp_offset as usize);
            self.gp_offset += 8;
            // SAFETY: the invariant, as the offset is inside the save area; that is aligned by the calling convention, and read unaligned regardless.
            unsafe { at.cast::<u64>().read_unaligned() }
        } else {
            // SAFETY: the invariant: one more argument than came in registers, so the caller pushed it.
            let word = unsafe { self.overflow.read() };
            self.overflow = self.overflow.wrapping_add(1);
            word
        }
    }

    fn string(&self, address: u64, limit: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut at = address as *const u8;
        while bytes.len() < limit {
            // SAFETY: %s and %b are given NUL-terminated strings; reading stops at the NUL or at the precision.
            let byte = unsafe { at.read() };
            if byte == 0 {
                break;
            }
            bytes.push(byte);
            at = at.wrapping_add(1);
        }
        bytes
    }
}

#[derive(Default)]
struct Spec {
    left: bool,
    plus: bool,
    space: bool,
    zero: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
    size: Size,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Size {
    Char,
    Short,
    #[default]
    Int,
    Long,
}

/// Formats `format` with `args`. Unknown conversions are copied as they stand.
pub fn format(format: &[u8], args: &mut dyn Args) -> Vec<u8> {
    let mut out = Vec::with_capacity(format.len() + 32);
    let mut i = 0;
    while i < format.len() {
        if format[i] != b'%' {
            out.push(format[i]);
            i += 1;
            continue;
        }
        let start = i;
        i += 1;
        let spec = parse_spec(format, &mut i, args);
        let Some(&conversion) = format.get(i) else {
            out.extend_from_slice(&format[start..]);
            break;
        };
        i += 1;
        match conversion {
            b'%' => out.push(b'%'),
            b'd' | b'i' | b'D' => {
                let value = signed(args.word(), if conversion == b'D' { Size::Long } else { spec.size });
                let sign: &[u8] = match (value < 0, spec.plus, spec.space) {
                    (true, ..) => b"-",
                    (false, true, _) => b"+",
                    (false, false, true) => b" ",
                    _ => b"",
                };
                number(&mut out, &spec, sign, value.unsigned_abs().to_string().as_bytes());
            }
            b'u' | b'U' | b'o' | b'O' | b'x' | b'X' => {
                let long = matches!(conversion, b'U' | b'O');
                let value = unsigned(args.word(), if long { Size::Long } else { spec.size });
                let digits = match conversion {
                    b'u' | b'U' => value.to_string(),
                    b'o' | b'O' => format!("{value:o}"),
                    b'x' => format!("{value:x}"),
                    _ => format!("{value:X}"),
                };
                let prefix: &[u8] = match conversion {
                    b'o' | b'O' if spec.alternate && value != 0 => b"0",
                    b'x' if spec.alternate && value != 0 => b"0x",
                    b'X' if spec.alternate && value != 0 => b"0X",
                    _ => b"",
                };
                number(&mut out, &spec, prefix, digits.as_bytes());
            }
            b'p' => {
                let value = args.word();
                let prefix: &[u8] = if spec.alternate { b"0x" } else { b"" };
                number(&mut out, &spec, prefix, format!("{value:x}").as_bytes());
            }
            b'c' => {
                let byte = args.word() as u8;
                pad(&mut out, &spec, &[byte]);
            }
            b's' => {
                let address = args.word();
                let limit = spec.precision.unwrap_or(usize::MAX);
                let text = if address == 0 { b"<null string>".to_vec() } else { args.string(address, limit) };
                pad(&mut out, &spec, &text);
            }
            b'b' => {
                let value = unsigned(args.word(), spec.size);
                let names = args.word();
                let names = if names == 0 { Vec::new() } else { args.string(names, usize::MAX) };
                bits(&mut out, value, &names);
            }
            _ => out.extend_from_slice(&format[start..i]),
        }
    }
    out
}

fn parse_spec(format: &[u8], i: &mut usize, args: &mut dyn Args) -> Spec {
    let mut spec = Spec::default();
    while let Some(&flag) = format.get(*i) {
        match flag {
            b'-' => spec.left = true,
            b'+' => spec.plus = true,
            b' ' => spec.space = true,
            b'0' => spec.zero = true,
            b'#' => spec.alternate = true,
            _ => break,
        }
        *i += 1;
    }
    let mut count = |i: &mut usize| -> i64 {
        if format.get(*i) == Some(&b'*') {
            *i += 1;
            return i64::from(args.word() as i32);
        }
        let mut value = 0i64;
        while let Some(digit) = format.get(*i).filter(|b| b.is_ascii_digit()) {
            value = (value * 10 + i64::from(digit - b'0')).min(65536);
            *i += 1;
        }
        value
    };
    let width = count(i);
    spec.left |= width < 0;
    spec.width = width.unsigned_abs().min(65536) as usize;
    if format.get(*i) == Some(&b'.') {
        *i += 1;
        spec.precision = usize::try_from(count(i)).ok().map(|p| p.min(65536));
    }
    while let Some(&size) = format.get(*i) {
        spec.size = match size {
            b'h' if spec.size == Size::Short => Size::Char,
            b'h' => Size::Short,
            b'l' | b'j' | b'z' | b't' => Size::Long,
            _ => break,
        };
        *i += 1;
    }
    spec
}

fn signed(word: u64, size: Size) -> i64 {
    match size {
        Size::Char => i64::from(word as i8),
        Size::Short => i64::from(word as i16),
        Size::Int => i64::from(word as i32),
        Size::Long => word as i64,
    }
}

fn unsigned(word: u64, size: Size) -> u64 {
    match size {
        Size::Char => u64::from(word as u8),
        Size::Short => u64::from(word as u16),
        Size::Int => u64::from(word as u32),
        Size::Long => word,
    }
}

fn number(out: &mut Vec<u8>, spec: &Spec, prefix: &[u8], digits: &[u8]) {
    let digits = if spec.precision == Some(0) && digits == b"0" { b"" } else { digits };
    let zeros = match spec.precision {
        Some(precision) => precision.saturating_sub(digits.len()),
        None if spec.zero && !spec.left => spec.width.saturating_sub(prefix.len() + digits.len()),
        None => 0,
    };
    let mut text = prefix.to_vec();
    text.resize(text.len() + zeros, b'0');
    text.extend_from_slice(digits);
    pad(out, spec, &text);
}

fn pad(out: &mut Vec<u8>, spec: &Spec, text: &[u8]) {
    let fill = spec.width.saturating_sub(text.len());
    if spec.left {
        out.extend_from_slice(text);
    }
    out.resize(out.len() + fill, b' ');
    if !spec.left {
        out.extend_from_slice(text);
    }
}

/// `%b`: the first byte of `names` is the base, then groups of a bit number (1 is the lowest) and a name.
fn bits(out: &mut Vec<u8>, value: u64, names: &[u8]) {
    let Some((&base, mut names)) = names.split_first() else { return };
    out.extend_from_slice(if base == 8 { format!("{value:o}") } else { format!("{value:x}") }.as_bytes());
    let mut open = false;
    while let Some((&bit, rest)) = names.split_first() {
        let end = rest.iter().position(|&b| b <= 32).unwrap_or(rest.len());
        if (1..=32).contains(&bit) && value >> (bit - 1) & 1 == 1 {
            out.push(if open { b',' } else { b'<' });
            out.extend_from_slice(&rest[..end]);
            open = true;
        }
        names = &rest[end..];
    }
    if open {
        out.push(b'>');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arguments by value; strings are given by index + 1 as their address.
    struct List(Vec<u64>, Vec<&'static [u8]>);
    impl Args for List {
        fn word(&mut self) -> u64 {
            self.0.remove(0)
        }
        fn string(&self, address: u64, limit: usize) -> Vec<u8> {
            let text = self.1[address as usize - 1];
            text[..text.len().min(limit)].to_vec()
        }
    }

    fn check(expected: &str, text: &str, words: &[u64]) {
        let strings: Vec<&'static [u8]> = vec![b"abc", b"\x10\x02BITTWO\x01BITONE"];
        let got = format(text.as_bytes(), &mut List(words.to_vec(), strings));
        assert_eq!(String::from_utf8(got).unwrap(), expected, "{text}");
    }

    #[test]
    fn conversions() {
        check("a 1 b", "a %d b", &[1]);
        check("-1 4294967295 18446744073709551615", "%d %u %lu", &[u64::MAX, u64::MAX, u64::MAX]);
        check("ff 0xff 0XFF 0377 377", "%x %#x %#X %#o %o", &[255, 255, 255, 255, 255]);
        check("[    5][5    ][00005][+5][ 5]", "[%5d][%-5d][%05d][%+d][% d]", &[5, 5, 5, 5, 5]);
        check("[  005]", "[%5.3d]", &[5]);
        check("[   7][7   ]", "[%*d][%*d]", &[4, 7, (-4i64) as u64, 7]);
        check("-1 -1 255", "%hd %hhd %hhu", &[0xffff, 0xff, 0xff]);
        check("x% abc ab [  abc] <null string>", "%c%% %s %.2s [%5s] %s", &[b'x'.into(), 1, 1, 1, 0]);
        check("reg=3<BITTWO,BITONE> 0", "reg=%b %b", &[3, 2, 0, 2]);
        check("deadbeef %y %", "%p %y %", &[0xdead_beef]);
        check("9223372036854775807", "%lld", &[i64::MAX as u64]);
    }
}
