//! Test cases, their outcomes, and the checks that cases are written with.
//!
//! Locking: none; a case runs in a process of its own.

use std::fmt::{Debug, Display, LowerHex};
use std::panic::Location;
use std::time::{Duration, Instant};

use crate::device::{Dev, Layout};

/// Why a case, or a process that works for it, stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The outcome is not the expected one.
    Fail(String),
    /// The case cannot be had here, and why.
    Skip(String),
    /// The case could not be carried out: something other than the device is in the way.
    Error(String),
}

pub type Result<T = ()> = std::result::Result<T, Stop>;

/// One case: `area:name`, what it asserts, and the code.
#[derive(Clone, Copy)]
pub struct Case {
    pub area: &'static str,
    pub name: &'static str,
    /// One sentence that holds when the case passes.
    pub what: &'static str,
    /// The assertions of other test suites that it stands for, for `--list --sources`.
    pub of: &'static str,
    /// Time limit, in ordinary ones.
    pub patience: u32,
    /// It cuts the tail off a mapping of several pieces, which can panic an illumos kernel.
    pub cuts_tail: bool,
    /// It stops an illumos kernel, unless the driver's module has its own framework.
    pub hostile: bool,
    /// Which driver's device it is for: 0, or one of [`crate::port::kind`]'s.
    pub kind: u64,
    pub run: fn(&Ctx) -> Result,
}

/// A case of the area that lists it (the area fills that in).
pub const fn case(name: &'static str, what: &'static str, run: fn(&Ctx) -> Result) -> Case {
    Case { area: "", name, what, of: "", patience: 1, cuts_tail: false, hostile: false, kind: 0, run }
}

impl Case {
    /// Names the assertions of others that the case covers.
    pub const fn of(mut self, of: &'static str) -> Case {
        self.of = of;
        self
    }

    /// Gives the case `times` the ordinary time limit.
    pub const fn slow(mut self, times: u32) -> Case {
        self.patience = times;
        self
    }

    /// Marks that the case cuts the tail off a mapping of several pieces.
    pub const fn cuts_tail(mut self) -> Case {
        self.cuts_tail = true;
        self
    }

    /// Marks that the case stops an illumos kernel whose own framework serves the driver.
    pub const fn hostile(mut self) -> Case {
        self.hostile = true;
        self
    }

    pub fn full_name(&self) -> String {
        format!("{}:{}", self.area, self.name)
    }
}

/// Time that an ordinary case may take, if the user does not say.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Arguments of every case.
pub struct Ctx {
    pub device: String,
    /// Time that the case may take.
    pub limit: Duration,
}

impl Ctx {
    /// Rounds of a case whose fault shows by chance only: `most`, or as many as fit into a third of its time on a busy machine, but at least a tenth.
    pub fn rounds(&self, most: usize) -> impl Iterator<Item = usize> + use<> {
        let end = Instant::now() + self.limit / 3;
        (0..most).take_while(move |round| *round < most.div_ceil(10) || Instant::now() < end)
    }

    /// The device, open for reading and writing.
    #[track_caller]
    pub fn open(&self) -> Result<Dev> {
        self.open_with(libc::O_RDWR)
    }

    #[track_caller]
    pub fn open_with(&self, flags: i32) -> Result<Dev> {
        Dev::open(&self.device, flags)
            .map_err(|errno| fail(format!("open {} (flags {flags:#x}): {errno}", self.device)))
    }

    /// The device, when it is a ctxdev (has contexts and counters); otherwise the case is skipped.
    #[track_caller]
    pub fn ctxdev(&self) -> Result<Dev> {
        let dev = self.open()?;
        if !dev.is_ctxdev() {
            return skip(format!("{} is no ctxdev: it has no contexts and no counters", self.device));
        }
        Ok(dev)
    }

    #[track_caller]
    pub fn layout(&self) -> Result<Layout> {
        Ok(self.open()?.layout)
    }
}

/// `file:line` of the check in the case's own source.
fn at(place: &Location) -> String {
    let file = place.file().rsplit('/').next().unwrap_or(place.file());
    format!("({file}:{})", place.line())
}

#[track_caller]
pub fn fail(message: impl Display) -> Stop {
    Stop::Fail(format!("{message} {}", at(Location::caller())))
}

#[track_caller]
pub fn error(message: impl Display) -> Stop {
    Stop::Error(format!("{message} {}", at(Location::caller())))
}

pub fn skip<T>(reason: impl Display) -> Result<T> {
    Err(Stop::Skip(reason.to_string()))
}

/// Fails unless `holds`.
#[track_caller]
pub fn check(holds: bool, message: impl Display) -> Result {
    if holds { Ok(()) } else { Err(fail(message)) }
}

/// Fails unless both are the same number, and shows both in hexadecimal.
#[track_caller]
pub fn same<T: PartialEq + LowerHex>(what: impl Display, seen: T, expected: T) -> Result {
    if seen == expected {
        Ok(())
    } else {
        Err(fail(format!("{what}: expected {expected:#x}, seen {seen:#x}")))
    }
}

/// Fails unless both are equal.
#[track_caller]
pub fn equal<T: PartialEq + Debug>(what: impl Display, seen: T, expected: T) -> Result {
    if seen == expected { Ok(()) } else { Err(fail(format!("{what}: expected {expected:?}, seen {seen:?}"))) }
}

/// Fails unless a call failed with one of `expected`.
#[track_caller]
pub fn refused<T>(
    what: impl Display,
    result: std::result::Result<T, crate::sys::Errno>,
    expected: &[i32],
) -> Result {
    let names = || expected.iter().map(|e| crate::sys::Errno(*e).name()).collect::<Vec<_>>().join(" or ");
    match result {
        Ok(_) => Err(fail(format!("{what}: expected {}, but it succeeded", names()))),
        Err(errno) if expected.contains(&errno.0) => Ok(()),
        Err(errno) => Err(fail(format!("{what}: expected {}, seen {}", names(), errno.name()))),
    }
}

/// The value of a call that has to succeed.
#[track_caller]
pub fn works<T>(what: impl Display, result: std::result::Result<T, crate::sys::Errno>) -> Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(errno) => Err(fail(format!("{what}: expected success, seen {}", errno.name()))),
    }
}
