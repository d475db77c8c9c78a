//! One kind of damage to a module file, chosen and placed by a generator of numbers: the same number gives the same mutant.

use fastrand::Rng;

/// Returns the generator of mutant `number` of a seed.
pub fn random(seed: u64, number: usize) -> Rng {
    Rng::with_seed(
        seed.wrapping_mul(0xd134_2543_de82_ef95) ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
    )
}

/// A number that something may choke on.
fn odd(random: &mut Rng) -> u64 {
    const ODD: [u64; 14] =
        [0, 1, 2, 3, 7, 8, 0xff, 0x1000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 63, u64::MAX];
    match random.u8(..3) {
        0 => random.u64(..),
        1 => random.u8(..).into(),
        _ => ODD[random.usize(..ODD.len())],
    }
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    u16::from_le_bytes([bytes[at], bytes[at + 1]]).into()
}

fn u64_at(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

/// Overwrites a field of `size` bytes.
fn put(bytes: &mut [u8], at: usize, size: usize, value: u64) {
    if let Some(field) = bytes.get_mut(at..at + size) {
        field.copy_from_slice(&value.to_le_bytes()[..size]);
    }
}

/// The sections of the undamaged file: type, flags, and where their contents are.
fn sections(bytes: &[u8]) -> Vec<(u32, u64, usize, usize)> {
    let (start, count) = (u64_at(bytes, 40), u16_at(bytes, 60));
    let one = |index: usize| {
        let header = start + 64 * index;
        let kind = u32::from_le_bytes(bytes[header + 4..header + 8].try_into().unwrap());
        (kind, u64_at(bytes, header + 8) as u64, u64_at(bytes, header + 24), u64_at(bytes, header + 32))
    };
    (0..count).map(one).collect()
}

/// Overwrites a field of a structure in an array of them: `fields` are offsets and sizes.
fn array(bytes: &mut [u8], random: &mut Rng, place: (usize, usize), each: usize, fields: &[(usize, usize)]) {
    let entry = random.usize(..(place.1 / each).max(1));
    let (offset, size) = fields[random.usize(..fields.len())];
    let value = odd(random);
    put(bytes, place.0 + each * entry + offset, size, value);
}

/// Damages a module file. Returns it with what was done.
pub fn mutant(original: &[u8], random: &mut Rng) -> (Vec<u8>, &'static str) {
    const HEADER: &[(usize, usize)] =
        &[(4, 1), (5, 1), (16, 2), (18, 2), (40, 8), (48, 4), (52, 2), (58, 2), (60, 2), (62, 2)];
    const SECTION: &[(usize, usize)] =
        &[(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 4), (44, 4), (48, 8), (56, 8)];
    const SYMBOL: &[(usize, usize)] = &[(0, 4), (4, 1), (5, 1), (6, 2), (8, 8), (16, 8)];
    const RELOCATION: &[(usize, usize)] =
        &[(0, 8), (8, 4), (8, 1), (12, 4), (12, 1), (16, 8), (16, 4), (16, 1)];
    let mut bytes = original.to_vec();
    let all = sections(original);
    let headers = (u64_at(original, 40), 64 * all.len());
    let of_kind = |wanted: u32, random: &mut Rng| {
        let found: Vec<_> = all.iter().filter(|s| s.0 == wanted && s.3 > 0).collect();
        (!found.is_empty()).then(|| found[random.usize(..found.len())]).map(|s| (s.2, s.3))
    };
    // Loaded contents: instructions, or data with and without write permission.
    let loaded = |code: bool, random: &mut Rng| {
        let found: Vec<_> =
            all.iter().filter(|s| s.0 == 1 && s.1 & 2 != 0 && (s.1 & 4 != 0) == code && s.3 > 0).collect();
        (!found.is_empty()).then(|| found[random.usize(..found.len())]).map(|s| (s.2, s.3))
    };
    let scatter = |bytes: &mut Vec<u8>, random: &mut Rng, (start, len): (usize, usize)| {
        for _ in 0..=random.usize(..6) {
            let at = start + random.usize(..len);
            bytes[at] = random.u8(..);
        }
    };
    let whole = (0, original.len());
    let what = match random.usize(..12) {
        0 => {
            scatter(&mut bytes, random, whole);
            "bytes anywhere"
        }
        1 => {
            array(&mut bytes, random, (0, 64), 64, HEADER);
            "the header"
        }
        2 | 3 => {
            array(&mut bytes, random, headers, 64, SECTION);
            "a section header"
        }
        4 => {
            let place = of_kind(2, random).unwrap_or(whole);
            array(&mut bytes, random, place, 24, SYMBOL);
            "a symbol"
        }
        5 | 6 => {
            let place = of_kind(4, random).unwrap_or(whole);
            array(&mut bytes, random, place, 24, RELOCATION);
            "a relocation"
        }
        7 => {
            let place = loaded(false, random).unwrap_or(whole);
            scatter(&mut bytes, random, place);
            "data"
        }
        8 | 9 => {
            let place = loaded(true, random).unwrap_or(whole);
            scatter(&mut bytes, random, place);
            "instructions"
        }
        10 => {
            bytes.truncate(random.usize(..original.len()));
            "its end"
        }
        _ => {
            let (start, len) = (random.usize(..original.len()), random.usize(..256));
            let end = (start + len).min(original.len());
            bytes[start..end].fill(if random.usize(..2) == 0 { 0 } else { 0xff });
            "a range filled"
        }
    };
    (bytes, what)
}
