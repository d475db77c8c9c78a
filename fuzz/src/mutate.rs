//! Mutants of an input: the same number gives the same one.

/// A generator of numbers (SplitMix64).
pub struct Random(u64);

impl Random {
    /// That of mutant `number`.
    pub fn new(number: u64) -> Random {
        Random(number)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number less than `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Numbers that something may choke on.
const ODD: [u64; 8] = [0, 1, 8, 0x7f, 0x1000, 0x7fff_ffff, 1 << 63, u64::MAX];

/// Changes one to four places of an input; `other` is one to take pieces from.
pub fn mutant(data: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut data = data.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() + 1);
        let len = random.below(9).min(data.len() - at);
        let new: Vec<u8> = match random.below(6) {
            0 => Vec::new(),
            1 => data[at..at + len].repeat(2),
            2 => (0..len).map(|_| random.next() as u8).collect(),
            3 => ODD[random.below(ODD.len())].to_le_bytes()[..len.min(8)].to_vec(),
            4 => vec![b"\0\t\n \"#*,-./0:;=\\"[random.below(16)]],
            _ => {
                let from = random.below(other.len() + 1);
                other[from..from + random.below(33).min(other.len() - from)].to_vec()
            }
        };
        data.splice(at..at + len, new);
    }
    data
}
