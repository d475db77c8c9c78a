//! Stacks that are kept for a later report: where a mutex was entered, where memory was allocated and freed.
//!
//! Taking one follows frame pointers or unwinding tables and nothing else; names are found when it is shown. Locking: none.

use super::slot::{self, FRAMES};
use super::stack;

/// Return addresses of the driver's last call into the host, innermost first; zeroes behind the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace([usize; FRAMES]);

impl Trace {
    /// The calling thread's, now; empty when no driver code runs on it.
    pub fn here() -> Trace {
        let mut trace = Trace::default();
        if !slot::inside() {
            return trace;
        }
        super::calls::follow(&slot::stack(), &mut trace.0);
        if trace.0[0] == 0 {
            stack::collect(&mut trace.0);
        }
        trace
    }

    /// The same if a module called, else empty: without the time that unwinding takes.
    pub fn of_module() -> Trace {
        let mut trace = Trace::default();
        if slot::inside() {
            super::calls::follow(&slot::stack(), &mut trace.0);
        }
        trace
    }

    /// A thread's that was stopped by a signal, for its handler: `ip`, `sp` and `fp` are what it was stopped with. May be called in a signal handler.
    pub fn stopped(ip: usize, sp: usize, fp: usize) -> Trace {
        let mut trace = Trace::default();
        if ddi_krtld::region(ip) == Some(ddi_krtld::Region::Text) {
            super::calls::walk(ip, sp, fp, &slot::stack(), &mut trace.0);
        } else {
            super::calls::follow(&slot::stack(), &mut trace.0);
        }
        if trace.0[0] == 0 {
            stack::collect(&mut trace.0);
        }
        trace
    }

    /// The trace of these addresses.
    pub fn of(addresses: [usize; FRAMES]) -> Trace {
        Trace(addresses)
    }

    /// Returns its addresses.
    pub fn addresses(&self) -> [usize; FRAMES] {
        self.0
    }

    /// The innermost return address; 0 when there is none.
    pub fn first(&self) -> usize {
        self.0[0]
    }

    /// The driver's frames by name.
    pub fn frames(&self) -> Vec<String> {
        self.named().frames
    }

    /// Returns its frames in one phrase: ", allocated at a, b"; empty when there are none.
    pub fn phrase(&self, verb: &str) -> String {
        let frames = self.frames();
        if frames.is_empty() { String::new() } else { format!(", {verb} at {}", frames.join(", ")) }
    }

    /// Returns its frames, and the DDI function that was called.
    pub fn named(&self) -> stack::Named {
        let frames: Vec<String> = self.0.iter().map_while(|&address| ddi_krtld::symbolize(address)).collect();
        if frames.is_empty() {
            return stack::name(&self.0);
        }
        stack::Named { called: super::calls::called_before(self.first()), frames }
    }
}
