//! Turns of a process's threads at changing its mappings: the host's half of [`ddi_wire::Turns`], which says what they are for.
//!
//! Locking: one mutex, a leaf, held while a reply is sent to a thread that waits for it, so that turns are given in the order of their numbers and each one to somebody.

use std::io;

use parking_lot::Mutex;

/// Turns given.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Given>);

#[derive(Debug, Default)]
struct Given {
    /// The last one, modulo 2^32.
    turn: u32,
    /// The thread (tid) that got it.
    tid: i32,
}

impl Turns {
    /// Gives a thread the next turn, which `send` tells it. A turn that it cannot be told is not given.
    pub fn give(&self, tid: i32, send: impl FnOnce(u32) -> io::Result<()>) -> io::Result<()> {
        let mut given = self.0.lock();
        let turn = given.turn.wrapping_add(1);
        send(turn)?;
        *given = Given { turn, tid };
        Ok(())
    }

    /// Returns the last turn that was given.
    pub fn last(&self) -> u32 {
        self.0.lock().turn
    }

    /// Returns the last turn that was given, unless this thread got it: it is over then, as the thread has made a request since.
    pub fn of_others(&self, tid: i32) -> Option<u32> {
        let given = self.0.lock();
        (given.turn != 0 && given.tid != tid).then_some(given.turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_nobody_was_told_of_is_not_given() {
        let turns = Turns::default();
        assert_eq!(turns.of_others(1), None);
        turns.give(1, |turn| if turn == 1 { Ok(()) } else { panic!("{turn}") }).unwrap();
        assert!(turns.give(2, |_| Err(io::ErrorKind::BrokenPipe.into())).is_err());
        assert_eq!((turns.of_others(1), turns.of_others(2), turns.last()), (None, Some(1), 1));
        turns.give(2, |turn| if turn == 2 { Ok(()) } else { panic!("{turn}") }).unwrap();
        assert_eq!((turns.of_others(1), turns.of_others(2), turns.last()), (Some(2), None, 2));
    }
}
