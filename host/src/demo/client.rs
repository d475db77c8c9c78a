//! The programs that the demo runs as client processes: `ddi-host client ROLE …`. They talk to their conductor over standard input
//! and output, a line each way, and to the device as any program would.

use std::io::{self, BufRead, Write};
use std::time::Instant;

use ctxdev_user::{FB, REGS, RING, SCRATCH};

use super::dev::{Dev, Map, PAGE};

/// Device words that a worker writes its tag to: one in every kind of memory that is switched.
const WORDS: [u64; 3] = [REGS + 64, RING + 128, FB + 5 * PAGE + 8];

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn hear() -> io::Result<Option<String>> {
    let mut line = String::new();
    Ok((io::stdin().lock().read_line(&mut line)? > 0).then(|| line.trim().to_string()))
}

/// Writes its own values to the device and reads them back, `rounds` times, counting what it finds that is not its own. Words of a
/// shared context are told apart by `tag`, so that sharers do not write each other's.
pub fn worker(path: &str, tag: u64, shared: bool, rounds: u64) -> io::Result<()> {
    let dev = Dev::open(path)?;
    let map = dev.map(0, super::dev::ALL, shared)?;
    let slot = if shared { tag * 8 } else { 0 };
    say("ready")?;
    hear()?;
    let mut wrong = 0;
    for round in 1..=rounds {
        let value = tag << 32 | round;
        for word in WORDS {
            map.set(word + slot, value);
        }
        if round % 8 == 0 {
            std::thread::yield_now();
        }
        wrong += WORDS.iter().filter(|&&word| map.get(word + slot) != value).count() as u64;
        if round % 64 == 0 {
            say(&format!("at {round}"))?;
        }
    }
    say(&format!("done {rounds} {wrong}"))
}

/// A process that forks and takes its mapping apart, checking after every step what it and its child see. Answers `ok` or what was wrong.
pub fn family(path: &str) -> io::Result<()> {
    let dev = Dev::open(path)?;
    let map = dev.map(0, super::dev::ALL, false)?;
    for page in 0..16 {
        map.set(FB + page * PAGE, 1000 + page);
    }
    map.set(REGS, 7);
    match family_checks(&map) {
        Ok(()) => say("ok"),
        Err(what) => say(&format!("wrong: {what}")),
    }
}

/// An error that a check has found.
#[derive(Debug, thiserror::Error)]
enum Flaw {
    #[error("{what}: saw {seen}, expected {expected}")]
    Value { what: &'static str, seen: u64, expected: u64 },
    #[error("fork: {0}")]
    Fork(io::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn check(what: &'static str, seen: u64, expected: u64) -> Result<(), Flaw> {
    if seen == expected { Ok(()) } else { Err(Flaw::Value { what, seen, expected }) }
}

fn family_checks(map: &Map) -> Result<(), Flaw> {
    // SAFETY: this process has one thread, so the child may run on as any program.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(Flaw::Fork(io::Error::last_os_error()));
    }
    if child == 0 {
        let verdict = child_checks(map);
        if let Err(what) = &verdict {
            eprintln!("demo: in the child: {what}");
        }
        // SAFETY: ends the child without running the parent's exit handlers.
        unsafe { libc::_exit(verdict.is_err() as i32) };
    }
    let mut status = 0;
    // SAFETY: `status` is a live integer and `child` our own child.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    check("exit of the child", if waited == child { status as u64 } else { u64::MAX }, 0)?;
    check("parent's register after the child wrote its own", map.get(REGS), 7)?;
    check("parent's frame buffer after the child wrote its own", map.get(FB + 3 * PAGE), 1003)?;
    // The middle, then the head of what is behind it, then the tail: the driver sees all shapes, the rest stays.
    map.unmap(FB + 4 * PAGE, 2 * PAGE)?;
    map.unmap(FB + 6 * PAGE, PAGE)?;
    map.unmap(FB + 12 * PAGE, 4 * PAGE)?;
    for page in [0, 1, 2, 3, 7, 8, 9, 10, 11] {
        check("frame buffer page after partial unmaps", map.get(FB + page * PAGE), 1000 + page)?;
    }
    Ok(())
}

fn child_checks(map: &Map) -> Result<(), Flaw> {
    check("child's register at its start", map.get(REGS), 7)?;
    check("child's frame buffer at its start", map.get(FB + 15 * PAGE), 1015)?;
    map.set(REGS, 8);
    map.set(FB + 3 * PAGE, 2003);
    check("child's register after its write", map.get(REGS), 8)?;
    map.unmap(SCRATCH, PAGE)?;
    check("child's frame buffer after an unmap", map.get(FB + 3 * PAGE), 2003)
}

/// Touches the device when told to and says how long the access took, in nanoseconds: `touch`, or `revoke` to have the driver unload
/// every translation first (outside the time).
pub fn toucher(path: &str) -> io::Result<()> {
    let dev = Dev::open(path)?;
    let map = dev.map(0, super::dev::ALL, false)?;
    say("ready")?;
    while let Some(line) = hear()? {
        if line == "revoke" {
            dev.revoke()?;
        }
        let from = Instant::now();
        map.get(REGS);
        say(&from.elapsed().as_nanos().to_string())?;
    }
    Ok(())
}
