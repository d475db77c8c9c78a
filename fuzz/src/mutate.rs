//! Mutants of an input: the same number gives the same one.

use fastrand::Rng;

/// Numbers that something may choke on.
const ODD: [u64; 8] = [0, 1, 8, 0x7f, 0x1000, 0x7fff_ffff, 1 << 63, u64::MAX];

/// Changes one to four places of an input; `other` is one to take pieces from.
pub fn mutant(data: &[u8], other: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut data = data.to_vec();
    for _ in 0..=random.usize(..4) {
        let at = random.usize(..=data.len());
        let len = random.usize(..9).min(data.len() - at);
        let new: Vec<u8> = match random.u8(..6) {
            0 => Vec::new(),
            1 => data[at..at + len].repeat(2),
            2 => (0..len).map(|_| random.u8(..)).collect(),
            3 => ODD[random.usize(..ODD.len())].to_le_bytes()[..len.min(8)].to_vec(),
            4 => vec![b"\0\t\n \"#*,-./0:;=\\"[random.usize(..16)]],
            _ => {
                let from = random.usize(..=other.len());
                other[from..from + random.usize(..33).min(other.len() - from)].to_vec()
            }
        };
        data.splice(at..at + len, new);
    }
    data
}
