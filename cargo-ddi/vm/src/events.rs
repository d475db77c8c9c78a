//! Events of a guest: what the reader threads of its console and of QEMU's monitor report, and the strings to look for on the console.

use serde::Deserialize;

/// Patterns are shorter than this, so that a line may be cut without losing one.
pub const LONGEST_PATTERN: usize = 120;

/// Strings to look for on the console.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleRules {
    /// A login prompt.
    pub login: Vec<String>,
    /// The kernel is going down.
    pub panic: Vec<String>,
    /// The kernel has said all that it will about a panic.
    pub panic_end: Vec<String>,
    /// A file system is full.
    pub disk_full: Vec<String>,
}

/// Something seen on the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// A complete line, without control sequences.
    Line(String),
    /// A login prompt (it has no newline).
    Login,
    /// The line with which a panic begins.
    Panic(String),
    /// The kernel has finished its say about a panic.
    PanicEnd,
    /// A file system is full.
    DiskFull(String),
}

/// An event of QEMU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QmpEvent {
    /// The guest's writes fail because our disk is full; the guest is stopped.
    NoSpace,
    /// The guest's disk fails in another way.
    DiskError(String),
    /// The guest reset itself.
    Reset,
    /// The guest powered off.
    Shutdown,
    /// The guest reported a panic to QEMU.
    GuestPanicked,
}

/// A report of a reader thread.
#[derive(Debug)]
pub enum Event {
    /// The console printed something.
    ConsoleOutput,
    /// Something notable on it.
    Console(Sighting),
    /// QEMU closed it.
    ConsoleClosed,
    /// QEMU reports something.
    Qmp(QmpEvent),
}
