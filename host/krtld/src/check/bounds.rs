//! Files that say more than they hold, and files of one thing without end: what is read and said of them has bounds, and so has the time that it takes.

use object::elf::{SHT_PROGBITS, SHT_RELA, SHT_STRTAB, SHT_SYMTAB};

use super::{Options, check};
use crate::elf::Object;
use crate::finding::{Finding, Severity};

/// A section of a file that is made by hand.
struct Part {
    name: &'static str,
    kind: u32,
    flags: u64,
    link: u32,
    info: u32,
    entry: u64,
    bytes: Vec<u8>,
}

fn part(name: &'static str, kind: u32, bytes: Vec<u8>) -> Part {
    Part { name, kind, flags: 0, link: 0, info: 0, entry: 0, bytes }
}

fn text(bytes: Vec<u8>) -> Part {
    Part { flags: 6, ..part(".text", SHT_PROGBITS.0, bytes) }
}

/// Returns a symbol: a global function in section 1.
fn symbol(name: u32, value: u64, size: u64) -> Vec<u8> {
    [&name.to_le_bytes()[..], &[0x12, 0], &1_u16.to_le_bytes(), &value.to_le_bytes(), &size.to_le_bytes()]
        .concat()
}

/// Returns a symbol table that links to section `link`.
fn symbols(link: u32, all: &[Vec<u8>]) -> Part {
    let bytes = [vec![0; 24], all.concat()].concat();
    Part { link, entry: 24, ..part(".symtab", SHT_SYMTAB.0, bytes) }
}

/// Returns a file of these sections, which are numbered from 1, and the offset of its section headers.
fn file(parts: &[Part]) -> (Vec<u8>, usize) {
    let mut names = vec![0];
    let mut body = vec![0; 64];
    let mut headers = vec![0; 64];
    let mut put = |name: &str, part: &Part, bytes: &[u8], body: &mut Vec<u8>, names: &mut Vec<u8>| {
        let words = [part.flags, 0, body.len() as u64, bytes.len() as u64];
        headers.extend((names.len() as u32).to_le_bytes());
        headers.extend(part.kind.to_le_bytes());
        words.iter().for_each(|word| headers.extend(word.to_le_bytes()));
        headers.extend([part.link.to_le_bytes(), part.info.to_le_bytes()].concat());
        headers.extend([8_u64.to_le_bytes(), part.entry.to_le_bytes()].concat());
        names.extend(name.bytes().chain([0]));
        body.extend(bytes);
        body.resize(body.len().next_multiple_of(8), 0);
    };
    for part in parts {
        put(part.name, part, &part.bytes, &mut body, &mut names);
    }
    let last = part(".shstrtab", SHT_STRTAB.0, Vec::new());
    let mut all = names.clone();
    all.extend(last.name.bytes().chain([0]));
    put(last.name, &last, &all, &mut body, &mut names);
    let at = body.len();
    let count = parts.len() as u16 + 2;
    body[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\x3e\0");
    body[20] = 1;
    body[40..48].copy_from_slice(&(at as u64).to_le_bytes());
    body[52..54].copy_from_slice(&64_u16.to_le_bytes());
    body[58..60].copy_from_slice(&64_u16.to_le_bytes());
    body[60..62].copy_from_slice(&count.to_le_bytes());
    body[62..64].copy_from_slice(&(count - 1).to_le_bytes());
    body.extend(headers);
    (body, at)
}

fn room(findings: &[Finding]) -> usize {
    findings.iter().map(|finding| finding.message.len()).sum()
}

fn refused(data: &[u8], words: &str) {
    let error = Object::parse("bounds", data.to_vec()).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
    let findings = check(data, &Options::default());
    assert!(findings.iter().any(|f| f.severity == Severity::Refused && f.message.contains(words)));
}

#[test]
fn sections_that_share_bytes_are_refused() {
    let strings = part(".strtab", SHT_STRTAB.0, b"\0_init\0".to_vec());
    let relocations =
        |_| Part { link: 2, info: 1, entry: 24, ..part(".rela", SHT_RELA.0, vec![0; 24 * 100]) };
    let parts = [text(vec![0xc3; 16]), symbols(3, &[symbol(1, 0, 16)]), strings];
    let parts: Vec<Part> = parts.into_iter().chain((0..8).map(relocations)).collect();
    let (mut data, headers) = file(&parts);
    assert!(Object::parse("bounds", data.clone()).is_ok());
    // All of them are the first one.
    for number in 5..12 {
        let offset = data[headers + 64 * 4 + 24..][..8].to_vec();
        data[headers + 64 * number + 24..][..8].copy_from_slice(&offset);
    }
    refused(&data, ".rela and .rela have the same bytes of the file");
}

#[test]
fn names_that_overlap_are_refused() {
    let strings = part(".strtab", SHT_STRTAB.0, [&b"\0"[..], &[b'x'; 4000], b"\0"].concat());
    let all: Vec<Vec<u8>> = (0..1000).map(|number| symbol(1 + number, 0, 16)).collect();
    let (data, _) = file(&[text(vec![0xc3; 16]), symbols(3, &all), strings]);
    refused(&data, "bytes of names, in a file of");
}

#[test]
fn mistakes_without_end_are_counted_not_listed() {
    let name = [b'x'; 20_000];
    let strings = part(".strtab", SHT_STRTAB.0, [&b"\0"[..], &name, b"\0"].concat());
    // Each is outside of its section.
    let one = [&4000_u64.to_le_bytes()[..], &1_u32.to_le_bytes(), &1_u32.to_le_bytes(), &[0; 8]].concat();
    let wrong = Part { link: 2, info: 1, entry: 24, ..part(".rela", SHT_RELA.0, one.repeat(2000)) };
    let (data, _) = file(&[text(vec![0xc3; 16]), symbols(3, &[symbol(1, 0, 16)]), strings, wrong]);
    let findings = check(&data, &Options::default());
    assert!(room(&findings) < 4 << 20, "{}", room(&findings));
    assert!(findings.iter().any(|finding| finding.message == "and more of the kind"));
    refused(&data, "the field is outside the section");
}

/// Returns a module whose functions lead from each to the next, by these bytes and a distance, and end by others.
fn chain(functions: u64, leads: &[u8], ends: &[u8]) -> Vec<u8> {
    let strings = part(".strtab", SHT_STRTAB.0, b"\0_init\0f\0".to_vec());
    let len = (leads.len() + ends.len()) as u64;
    let mut code: Vec<u8> = [leads, ends].concat().repeat(functions as usize);
    code.extend(ends.iter().copied().cycle().take(len as usize));
    let names = (0..=functions).map(|number| symbol(if number == 0 { 1 } else { 7 }, number * len, len));
    file(&[text(code), symbols(3, &names.collect::<Vec<_>>()), strings]).0
}

#[test]
fn a_chain_of_calls_may_be_as_long_as_the_file() {
    // call, ret
    let findings = check(&chain(30_000, &[0xe8, 1, 0, 0, 0], &[0xc3]), &Options::default());
    assert!(findings.iter().any(|finding| finding.message.starts_with("240008 bytes, more than 8192")));
    assert!(room(&findings) < 1 << 20);
    // jmp, ud2: the last one does not return, so none does.
    let begin = std::time::Instant::now();
    let findings = check(&chain(30_000, &[0xe9, 2, 0, 0, 0], &[0x0f, 0x0b]), &Options::default());
    assert!(room(&findings) < 1 << 20);
    assert!(begin.elapsed() < std::time::Duration::from_secs(60), "{:?}", begin.elapsed());
}
