//! `usr-tests record`: makes random programs, runs them, and writes what they were answered.
//!
//! A program depends on its number alone (seed and place), so one that is of interest can be had again.

use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{play, replay};
use crate::device::{EXEC, NONE, READ, RW, WRITE};
use crate::sys::page_size;
use usr_tests::recorded::call::{Call, Prot};
use usr_tests::recorded::{Child, PAGES, Program, Step};

pub const USAGE: &str = "\
usage: usr-tests record [--device PATH] [--seed N] [--programs N] [--calls N] [--no-mprotect] [--odd-lengths]
                        [--output FILE] [--timeout SECONDS]
Makes random programs, runs them, and writes the result of each call in the format that usr-tests replay reads.
  --device PATH      the device, a ctxdev (default /dev/ctxdev0); nothing else may use it
  --seed N           number of the first program (default 1); a program depends on its number and these options only
  --programs N       the number of programs (default 100)
  --calls N          the number of calls of a program, not counting its children's (default 57)
  --no-mprotect      no mprotect of device memory (illumos does not apply it to PCI memory)
  --odd-lengths      also make mappings whose length is not a multiple of the page size
  --output FILE      write to FILE instead of standard output; compressed if its name ends with .gz
  --timeout SECONDS  the time limit of a line (default 60)
exit status: 0 written, 1 a program did not end, 2 wrong usage
";

/// Parameters of random programs.
#[derive(Clone, Copy)]
pub struct Taste {
    pub calls: usize,
    pub mprotect: bool,
    pub odd_lengths: bool,
}

struct Command {
    device: String,
    seed: u64,
    programs: u64,
    taste: Taste,
    output: Option<String>,
    limit: Duration,
}

fn command(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut command = Command {
        device: "/dev/ctxdev0".into(),
        seed: 1,
        programs: 100,
        taste: Taste { calls: 57, mprotect: true, odd_lengths: false },
        output: None,
        limit: Duration::from_secs(60),
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{arg} {text}: not a number"));
        match arg.as_str() {
            "--device" => command.device = value()?,
            "--seed" => command.seed = number(value()?)?,
            "--programs" => command.programs = number(value()?)?,
            "--calls" => command.taste.calls = number(value()?)? as usize,
            "--no-mprotect" => command.taste.mprotect = false,
            "--odd-lengths" => command.taste.odd_lengths = true,
            "--output" => command.output = Some(value()?),
            "--timeout" => command.limit = crate::seconds(&value()?)?,
            _ => return Err(format!("unknown argument {arg}")),
        }
    }
    Ok(command)
}

/// The command. Whether every program came to its end; an error is one of usage, or of the output.
pub fn main(args: impl Iterator<Item = String>, out: &mut impl Write) -> Result<bool, String> {
    let command = command(args)?;
    super::check_device(&command.device)?;
    let Some(path) = &command.output else { return record(&command, out).map_err(crate::printing) };
    let failed = |error: io::Error| format!("{path}: {error}");
    let mut file = File::create(path).map_err(failed)?;
    if !path.ends_with(".gz") {
        return record(&command, &mut file).map_err(failed);
    }
    let mut packed = GzEncoder::new(file, Compression::best());
    let good = record(&command, &mut packed).map_err(failed)?;
    packed.finish().map_err(failed)?;
    Ok(good)
}

fn record(command: &Command, out: &mut impl Write) -> io::Result<bool> {
    for number in command.seed..command.seed.saturating_add(command.programs) {
        replay::progress(&format!("program {} of {}", number - command.seed + 1, command.programs));
        let steps = Random(number).program(&command.taste);
        let program = Program { number, steps, ..Program::default() };
        let mut text = format!("program {number}\n");
        let ended = play::run(&program, &command.device, command.limit, |said| {
            text.push_str(&said.text);
            text.push('\n');
            true
        });
        replay::progress("");
        // One that has no end is nothing to replay.
        if let Err(why) = ended {
            eprintln!("usr-tests: program {number} has not come to its end: {why}; so far:\n{text}");
            return Ok(false);
        }
        out.write_all(text.as_bytes())?;
        out.flush()?;
    }
    Ok(true)
}

/// A sequence of numbers that its seed determines (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.below(choice.len())]
    }

    fn program(&mut self, taste: &Taste) -> Vec<Step> {
        let calls = (taste.calls + self.below(5)).saturating_sub(2);
        (0..calls)
            .map(|_| {
                let peer = self.one_in(3);
                self.step(taste, peer, 0)
            })
            .collect()
    }

    fn step(&mut self, taste: &Taste, peer: bool, generation: usize) -> Step {
        if !self.one_in(17) {
            return Step::Call { line: 0, peer, call: self.call(taste) };
        }
        if generation == 2 {
            return Step::Call { line: 0, peer, call: Call::Nothing };
        }
        let steps = 3 + self.below(7);
        let steps = (0..steps).map(|_| self.step(taste, peer, generation + 1)).collect();
        let (unmaps, killed) = self.of(&[(true, false), (false, false), (false, true)]);
        Step::Fork {
            line: 0,
            peer,
            child: Child { steps, unmaps_all: unmaps.then_some(0), killed, waited: 0 },
        }
    }

    fn prot(&mut self) -> Prot {
        Prot(self.of(&[NONE, WRITE, READ, RW, RW, RW, RW | EXEC, READ | EXEC]))
    }

    fn at(&mut self) -> (usize, usize) {
        (self.below(PAGES), 64 * self.below(4))
    }

    fn pages(&mut self) -> (usize, usize) {
        let page = self.below(PAGES);
        (page, (1 + self.below(6)).min(PAGES - page))
    }

    /// An offset in one of the regions, or behind the last one.
    fn offset(&mut self) -> u64 {
        let page = match self.below(160) {
            0..18 => 0,
            18..60 => 1 + self.below(4),
            60..82 => 5 + self.below(11),
            82..155 => 16 + self.below(14),
            155 => 30 + self.below(2),
            _ => 32 + self.below(8),
        };
        (page * page_size()) as u64
    }

    fn map(&mut self, taste: &Taste) -> Call {
        let (page, pages) = self.pages();
        let mut len = pages * page_size();
        if taste.odd_lengths && self.one_in(12) {
            len -= 1 + self.below(page_size() - 1);
        }
        let (off, prot) = (self.offset(), self.prot());
        Call::Map { page, len, off, prot, shared: self.one_in(2), read_only: self.one_in(8) }
    }

    /// A call with random arguments.
    pub fn call(&mut self, taste: &Taste) -> Call {
        let ((page, at), (first, pages)) = (self.at(), self.pages());
        match self.below(1000) {
            0..280 => self.map(taste),
            280..300 => {
                let (len, off) = ((1 + self.below(6)) * page_size(), self.offset());
                Call::MapAnywhere { len, off, prot: Prot(RW), shared: self.one_in(2) }
            }
            300..450 => Call::Load { page, at },
            450..600 => Call::Store { page, at, value: self.below(256) as u8 },
            600..705 => Call::Unmap { page: first, pages },
            705..790 if taste.mprotect => Call::Protect { page: first, pages, prot: self.prot() },
            705..790 => Call::Load { page, at },
            790..833 => Call::WriteFrom { page, at },
            833..866 => Call::ReadInto { page, at },
            866..898 => Call::Revoke,
            898..920 => Call::Anonymous { page: first, pages },
            920..942 => Call::Lose { lost: self.one_in(3) },
            942..962 => Call::MaxContexts { most: self.below(4) },
            962..973 => Call::Sync { page: first, pages },
            973..982 => Call::Resident { page: first, pages },
            982..987 => Call::Advise { page: first, pages, advice: self.of(&[0, 1, 3, 4]) },
            987..990 => Call::Reopen,
            990..992 => Call::Lock { page: first, pages },
            992..994 => Call::Unlock { page: first, pages },
            _ => self.odd(),
        }
    }

    fn odd(&mut self) -> Call {
        const OFFSETS: [u64; 7] = [
            0x1001,
            0x1_0000,
            0x1_f000,
            0x2_0000,
            0x100_0000_0000,
            i64::MAX as u64 - 0xfff,
            -0x1000_i64 as u64,
        ];
        const LENGTHS: [usize; 6] = [0, 1, 0x1000, 0x1_1000, 0x7ff_ffff_f000, 0x4000_0000_0000];
        let (page, pages) = self.pages();
        match self.below(9) {
            0..3 => Call::MapOdd { len: self.of(&LENGTHS), off: self.of(&OFFSETS) },
            3 => Call::UnmapNothing { page },
            4 => Call::UnmapUnaligned { page, pages: 1 },
            5 => Call::ProtectUnaligned { page },
            6 => Call::DeviceWrite { value: self.below(256) as u8 },
            7 => Call::DeviceWriteFrom { page },
            _ => {
                let command = 0x6302 + self.below(10) as i32;
                Call::Ioctl { command, page: self.one_in(2).then_some(page).filter(|_| pages > 0) }
            }
        }
    }
}
