//! The connection of a call. Locking: `wake` is a leaf, not held while it is called.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ddi_wire::HEAD_MAX;
use parking_lot::Mutex;
use rustix::net::RecvFlags;

use super::sock::Conn;

/// The connection of a call, and whether its thread wants the call to end.
pub(super) struct Line {
    pub conn: Conn,
    pub id: u64,
    pub interrupted: AtomicBool,
    pub wake: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

impl Line {
    pub fn new(conn: Conn, id: u64) -> Line {
        Line { conn, id, interrupted: AtomicBool::new(false), wake: Mutex::new(None) }
    }

    /// Something happened on the connection while its host thread waits in the kernel above.
    pub fn fire(&self) {
        let wake = {
            let wake = self.wake.lock();
            if wake.is_some() {
                self.interrupted.store(true, Ordering::Release);
                // Whatever came is used up: an interrupt, or the end, which the next receive will see again.
                let _ = self.conn.recv(&mut [0; HEAD_MAX], RecvFlags::DONTWAIT);
            }
            wake.clone()
        };
        if let Some(wake) = wake {
            wake();
        }
    }
}
