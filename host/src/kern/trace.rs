//! Stacks that are kept for a later report: where a mutex was entered, where memory was freed.
//!
//! Taking one follows the module's frame pointers and nothing else; names are found when it is shown. Locking: none.

use std::cell::OnceCell;
use std::ops::Range;

use crate::loader;

/// Frames that are kept.
const DEPTH: usize = 10;

/// Return addresses of a module's last call into the host, innermost first; zeroes behind the last. Empty for drivers that are linked in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace([usize; DEPTH]);

thread_local! {
    static STACK: OnceCell<Range<usize>> = const { OnceCell::new() };
}

impl Trace {
    /// The calling thread's, now.
    pub fn here() -> Trace {
        let stack = STACK.with(|stack| stack.get_or_init(|| loader::calls::stack().unwrap_or(0..0)).clone());
        let mut trace = Trace::default();
        loader::calls::follow(stack, &mut trace.0);
        trace
    }

    /// The innermost return address; 0 when there is none.
    pub fn first(&self) -> usize {
        self.0[0]
    }

    /// Its frames by name.
    pub fn frames(&self) -> Vec<String> {
        self.0.iter().map_while(|&address| loader::symbolize(address)).collect()
    }
}
