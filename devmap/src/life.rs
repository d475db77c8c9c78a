//! The life of an instance between attach and detach: why it [refuses](Refusal) to go, suspend and resume behind a [`Gate`], and
//! how it is [brought to rest](Quiesce) for a fast reboot.
//!
//! A suspended device raises no interrupts, does no DMA, and its registers are not accessed. So [`Device::suspend`](crate::Device::suspend) closes a
//! gate that all users of the device pass, access callbacks too, drops the processes' translations
//! ([`Mappings::revoke_all`](crate::Mappings::revoke_all)), and saves what the device loses. [`Device::resume`](crate::Device::resume) does the opposite.

use core::fmt;

use crate::context::{HighLevel, MaySleep};
use crate::errno::{Errno, Error};
use crate::sync::{Condvar, Mutex};

/// A reason for which an instance does not detach, suspend, resume or change its power. It is logged.
///
/// ```no_run
/// use devmap::life::Refusal;
///
/// fn detach(transfers: u32) -> Result<(), Refusal> {
///     if transfers > 0 {
///         return Err("a transfer is under way".into());
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The manual page and the problem, as far as they are known; else empty.
    pub(crate) words: [&'static str; 2],
    pub(crate) errno: Option<Errno>,
}

impl From<&'static str> for Refusal {
    fn from(why: &'static str) -> Refusal {
        Refusal { words: ["", why], errno: None }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal { words: [""; 2], errno: Some(errno) }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal { words: [error.page(), error.why()], errno: Some(error.errno()) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for word in self.words.iter().filter(|word| !word.is_empty()) {
            write!(f, "{between}{word}")?;
            between = ": ";
        }
        match self.errno {
            Some(errno) => write!(f, "{between}{errno}"),
            None => Ok(()),
        }
    }
}

/// Quiesces a device before the next kernel boots on the same machine without a reset: `quiesce(9E)`.
///
/// A device that goes on doing DMA would write into the next kernel's memory. So a driver whose device does DMA cannot declare that it need not be quiesced:
/// [`BusMaster::new`](crate::dma::BusMaster::new) then does not compile.
pub enum Quiesce<D> {
    /// The device does nothing by itself: no DMA, no interrupts. The default.
    NotNeeded,
    /// The driver cannot do it: the machine is reset instead of a fast reboot.
    NotSupported,
    /// This makes the device stop DMA and interrupts. All other processors are stopped, so it takes no lock, not even one of an interrupt's priority: a holder would
    /// never release it. It writes registers and nothing else. On an error the machine is reset.
    By(fn(&D, &mut HighLevel) -> Result<(), Errno>),
}

impl<D> Clone for Quiesce<D> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<D> Copy for Quiesce<D> {}

struct Passes {
    closed: bool,
    inside: usize,
}

/// A gate that every user of the device passes, closed while the device is suspended.
///
/// ```no_run
/// use devmap::context::MaySleep;
/// use devmap::life::Gate;
///
/// fn start_transfer(gate: &Gate, cx: &impl MaySleep) -> Result<(), devmap::Errno> {
///     let _pass = gate.enter(cx)?; // waits while the device is suspended
///     // ... the device stays awake until the pass is dropped ...
///     Ok(())
/// }
/// ```
///
/// Locking: one mutex, held over nothing. A pass is no lock: others pass at the same time.
pub struct Gate {
    passes: Mutex<Passes>,
    changed: Condvar,
}

/// A user inside a [`Gate`]; leaves when dropped.
#[must_use = "out again at once"]
pub struct Pass<'g>(&'g Gate);

impl Gate {
    /// Creates an open gate. User or kernel context: allocates.
    pub fn new() -> Gate {
        Gate { passes: Mutex::new(Passes { closed: false, inside: 0 }), changed: Condvar::new() }
    }

    /// Enters, and waits while the gate is closed. Fails with `EINTR` if a signal arrives meanwhile.
    pub fn enter(&self, cx: &impl MaySleep) -> Result<Pass<'_>, Errno> {
        let mut passes = self.passes.lock();
        while passes.closed {
            self.changed.wait_sig(cx, &mut passes)?;
        }
        passes.inside = passes.inside.saturating_add(1);
        Ok(Pass(self))
    }

    /// Enters, unless the gate is closed.
    pub fn try_enter(&self) -> Option<Pass<'_>> {
        let mut passes = self.passes.lock();
        if passes.closed {
            return None;
        }
        passes.inside = passes.inside.saturating_add(1);
        Some(Pass(self))
    }

    /// Closes the gate and waits until everybody has left. Not to be called from inside.
    pub fn close(&self, cx: &impl MaySleep) {
        let mut passes = self.passes.lock();
        passes.closed = true;
        while passes.inside > 0 {
            self.changed.wait(cx, &mut passes);
        }
    }

    /// Opens the gate again.
    pub fn open(&self) {
        self.passes.lock().closed = false;
        self.changed.notify_all();
    }
}

impl Default for Gate {
    fn default() -> Gate {
        Gate::new()
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut passes = self.0.passes.lock();
        passes.inside = passes.inside.saturating_sub(1);
        if passes.closed && passes.inside == 0 {
            self.0.changed.notify_all();
        }
    }
}
