//! Deeds of a storm's programs: lists of deeds, which depend on the program's number alone.

use std::fmt;

use ctxdev_user::{CTXDEV_LOSE, CTXDEV_SET_HYSTERESIS, CTXDEV_SET_MAX_CONTEXTS};

use crate::trace::record::{Random, Taste};
use usr_tests::recorded::call::Call;

/// A step of a program.
#[derive(Debug)]
pub enum Deed {
    /// A call of a recorded program's kind. A byte that it stores stands for a word.
    Call(Call),
    /// A child with deeds of its own.
    Fork { deeds: Vec<Deed>, way: Way, end: End },
    /// A child that executes this program anew, for a program with few deeds.
    Execute { program: u64, way: Start },
    /// A tree of children, each of which compares all words and forks two more.
    Bomb { depth: usize },
    /// Deeds without a free descriptor.
    NoDescriptors(Vec<Deed>),
    /// Deeds without address space left.
    NoMemory(Vec<Deed>),
    /// A thread with pages of its own, which does its deeds again and again until the program ends.
    Thread(Vec<Deed>),
}

#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// The parent waits at once.
    Waited,
    /// The parent goes on, and waits at the end of its own deeds.
    Beside,
}

#[derive(Clone, Copy, Debug)]
pub enum End {
    Exit,
    UnmapAll,
    Killed,
}

#[derive(Clone, Copy, Debug)]
pub enum Start {
    Fork,
    Vfork,
    Spawn,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Deed::Call(call) => write!(f, "{call}"),
            Deed::Fork { deeds, way, end } => write!(f, "fork {way:?} {} deeds {end:?}", deeds.len()),
            Deed::Execute { program, way } => write!(f, "execute {program} by {way:?}"),
            Deed::Bomb { depth } => write!(f, "bomb {depth}"),
            Deed::NoDescriptors(deeds) => write!(f, "without descriptors {} deeds", deeds.len()),
            Deed::NoMemory(deeds) => write!(f, "without memory {} deeds", deeds.len()),
            Deed::Thread(deeds) => write!(f, "thread {} deeds", deeds.len()),
        }
    }
}

/// Which program is made: of a worker, or of one that was executed by it and is short.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Whole,
    Short,
}

const TASTE: Taste = Taste { calls: 57, mprotect: true, odd_lengths: true };

/// The deeds of a program.
pub fn program(number: u64, kind: Kind) -> Vec<Deed> {
    let mut random = Random(number);
    match kind {
        Kind::Whole => {
            let count = 40 + random.below(40);
            deeds(&mut random, count, 0)
        }
        Kind::Short => deeds(&mut random, 12, 2),
    }
}

fn deeds(random: &mut Random, count: usize, generation: usize) -> Vec<Deed> {
    (0..count).map(|_| deed(random, generation)).collect()
}

fn deed(random: &mut Random, generation: usize) -> Deed {
    if generation >= 2 {
        return Deed::Call(call(random));
    }
    match random.below(240) {
        0..14 => {
            let count = 3 + random.below(7);
            let way = random.of(&[Way::Waited, Way::Beside]);
            let end = random.of(&[End::Exit, End::UnmapAll, End::Killed]);
            Deed::Fork { deeds: deeds(random, count, generation + 1), way, end }
        }
        14..19 => {
            let way = random.of(&[Start::Fork, Start::Vfork, Start::Spawn]);
            Deed::Execute { program: random.next(), way }
        }
        19..21 if generation == 0 => Deed::Bomb { depth: 1 + random.below(3) },
        21..24 => Deed::NoDescriptors(calls(random, 6)),
        24..27 => Deed::NoMemory(calls(random, 6)),
        27..31 if generation == 0 => Deed::Thread(calls(random, 20)),
        _ => Deed::Call(call(random)),
    }
}

fn calls(random: &mut Random, count: usize) -> Vec<Deed> {
    deeds(random, count, 2)
}

/// A call. The device's controls are not a program's: whoever sets them has to write that down first.
fn call(random: &mut Random) -> Call {
    match random.call(&TASTE) {
        Call::Lose { .. } | Call::MaxContexts { .. } => Call::Nothing,
        Call::Ioctl { command: CTXDEV_LOSE | CTXDEV_SET_HYSTERESIS | CTXDEV_SET_MAX_CONTEXTS, .. } => {
            Call::Nothing
        }
        call => call,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_depends_on_its_number_alone() {
        let text = |number| format!("{:?}", program(number, Kind::Whole));
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
        // One that was executed starts no other, so that there is an end.
        assert!(
            (0..50)
                .all(|number| program(number, Kind::Short).iter().all(|deed| matches!(deed, Deed::Call(_))))
        );
    }
}
