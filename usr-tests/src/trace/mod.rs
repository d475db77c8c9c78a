//! Recorded programs: what random programs did with a ctxdev, call by call, and what each call was answered.
//!
//! A trace that was recorded on one system is replayed on another: the same calls must have the same outcomes. README.md of this
//! package describes the format. [`call`] has the calls, [`parse`] reads a trace, [`play`] runs a program in processes of its own,
//! [`replay`] and [`record`] are the commands.
//!
//! Locking: none. The processes of a program take turns: at any time one of them runs.

pub mod call;
mod execute;
mod parse;
mod play;
pub mod record;
pub mod replay;

use call::Call;

/// A program of a trace.
#[derive(Debug, Default)]
pub struct Program {
    /// The number behind `program`.
    number: u64,
    steps: Vec<Step>,
    /// The lines as they are to come, without the first one; empty while a program is recorded.
    lines: Vec<String>,
    /// Number of the first of them in the file.
    first_line: usize,
    /// Which of the lines are `peer gone` and `end`.
    last_lines: [usize; 2],
}

/// The next step of a process of a program. `line` is the place in [`Program::lines`] of the outcome.
#[derive(Debug)]
enum Step {
    Call { line: usize, peer: bool, call: Call },
    Fork { line: usize, peer: bool, child: Child },
}

/// A child's life.
#[derive(Debug, Default)]
struct Child {
    steps: Vec<Step>,
    /// It unmaps all pages before it ends; which line that is.
    unmaps_all: Option<usize>,
    /// It ends by SIGKILL, not by an exit with [`CHILD_STATUS`].
    killed: bool,
    /// The line of its parent's wait.
    waited: usize,
}

impl Step {
    /// Returns whether it is the second process's.
    fn peer(&self) -> bool {
        match self {
            Step::Call { peer, .. } | Step::Fork { peer, .. } => *peer,
        }
    }
}

/// Programs need a device that answers a ctxdev's ioctls.
pub fn check_device(device: &str) -> Result<(), String> {
    match crate::check_device(device)?.is_ctxdev() {
        true => Ok(()),
        false => Err(format!("{device} is not a ctxdev device")),
    }
}

/// Address of page 0 of the area.
const AREA: usize = 0x2_0000_0000;
/// Pages of the area.
pub const PAGES: usize = 16;
/// An address where no process has anything.
pub const NOWHERE: usize = 0x3_0000_0000;
/// Exit status of a child.
pub const CHILD_STATUS: i32 = 7;
