//! Recorded programs as text: what random programs did with a ctxdev, call by call, and what each call was answered. README.md of this package describes
//! the format.
//!
//! [`call`] has the calls, [`parse`] reads a trace. Locking: none, a [`Program`] is a value.

pub mod call;
pub mod parse;

use call::Call;

/// A program of a trace.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The number behind `program`.
    pub number: u64,
    /// Steps of the first process and of the second one.
    pub steps: Vec<Step>,
    /// The lines as they are to come, without the first one; empty while a program is recorded.
    pub lines: Vec<String>,
    /// Number of the first of them in the file.
    pub first_line: usize,
    /// Which of the lines are `peer gone` and `end`.
    pub last_lines: [usize; 2],
}

/// The next step of a process of a program. `line` is the place in [`Program::lines`] of the outcome.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A call.
    Call {
        /// Place of the outcome.
        line: usize,
        /// The second process makes it.
        peer: bool,
        /// The call.
        call: Call,
    },
    /// A fork that succeeds.
    Fork {
        /// Place of the child's first line.
        line: usize,
        /// The second process forks.
        peer: bool,
        /// The child.
        child: Child,
    },
}

/// A child's life.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Child {
    /// Its steps.
    pub steps: Vec<Step>,
    /// It unmaps all pages before it ends; which line that is.
    pub unmaps_all: Option<usize>,
    /// It ends by SIGKILL, not by an exit with [`CHILD_STATUS`].
    pub killed: bool,
    /// The line of its parent's wait.
    pub waited: usize,
}

impl Step {
    /// Returns whether it is the second process's.
    pub fn peer(&self) -> bool {
        match self {
            Step::Call { peer, .. } | Step::Fork { peer, .. } => *peer,
        }
    }
}

impl Program {
    /// Returns the lines as far as the steps tell them: calls and children without their outcomes and counters. Empty are the others.
    pub fn calls(&self) -> Vec<String> {
        let mut lines = vec![String::new(); self.lines.len()];
        write(&self.steps, 0, &mut lines);
        lines
    }
}

fn write(steps: &[Step], generation: usize, lines: &mut [String]) {
    for step in steps {
        let front = if step.peer() { "P " } else { "" };
        match step {
            Step::Call { line, call, .. } => {
                let width = parse::indentation(generation, false);
                lines[*line] = format!("{front}{:width$}{call}", "");
            }
            Step::Fork { line, child, .. } => {
                let width = parse::indentation(generation + 1, true);
                lines[*line] = format!("{front}{:width$}child", "");
                write(&child.steps, generation + 1, lines);
            }
        }
    }
}

/// Pages of the area.
pub const PAGES: usize = 16;
/// Exit status of a child.
pub const CHILD_STATUS: i32 = 7;
