//! poll(2) of devices: who asks, and how they are told that another look is worth it.
//!
//! A waker is used once: the woken thread asks again, and leaves another one. Any context; it sends one message and waits for nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ddi_wire::{Items, PollItem, Upcall};

use super::line::Line;
use super::{Call, Errno};

/// A thread that waits in poll(2).
#[derive(Clone)]
pub struct PollWaker(Arc<Inner>);

struct Inner {
    line: Arc<Line>,
    over: AtomicBool,
}

impl PollWaker {
    pub(super) fn new(line: Arc<Line>) -> PollWaker {
        PollWaker(Arc::new(Inner { line, over: AtomicBool::new(false) }))
    }

    /// Wakes the thread, which looks again.
    pub fn wake(&self) {
        if !self.0.over.swap(true, Ordering::AcqRel) {
            // An error means that the thread is gone.
            let _ = self.0.line.conn.send(&Upcall::Wake, &[]);
        }
    }

    /// The thread waits no more.
    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Acquire)
    }

    pub(super) fn end(&self) {
        self.0.over.store(true, Ordering::Release);
    }
}

impl PartialEq for PollWaker {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for PollWaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PollWaker(over: {})", self.is_over())
    }
}

/// Serves a look. Returns how many devices are ready, and the items with their `revents`.
pub(super) fn look(call: &Call, items: Items<'_, PollItem>) -> Result<(u64, Vec<PollItem>), Errno> {
    let waker = call.new_poll_waker();
    let mut answer = Vec::with_capacity(items.len());
    let (mut count, mut over) = (0, false);
    for PollItem { open, events, .. } in items.iter() {
        let found = call.shared.open(open);
        let (ready, stamp) = match &found {
            Ok(open) => call.shared.kernel.poll(call, open.id, events, &waker)?,
            Err(_) => (libc::POLLNVAL as u32, 0),
        };
        // Who wants edges may go on waiting for something that is ready.
        let edges = events & libc::EPOLLET as u32 != 0;
        if let (Ok(file), true) = (found, ready == 0 || edges) {
            file.polled_by(waker.clone());
            // Closed while the driver was asked: nobody else would say so.
            if call.shared.open(open).is_err() {
                waker.wake();
            }
        }
        count += u64::from(ready != 0);
        over |= ready != 0 && !edges;
        answer.push(PollItem { open, events, ready, stamp });
    }
    if over {
        waker.end();
    }
    Ok((count, answer))
}
