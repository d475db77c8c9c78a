//! [`Counts`]: numbers of interrupts (`KSTAT_TYPE_INTR`). Atomics: any context, any lock held.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use ddi_sys as sys;

use super::made::Made;
use crate::errno::Error;
use crate::node::Node;

/// Interrupts by kind, visible until dropped.
pub struct Counts {
    _kstat: Made,
    values: NonNull<sys::kstat_intr_t>,
}

// SAFETY: the kernel's structure is reached through atomics only.
unsafe impl Send for Counts {}
// SAFETY: as above.
unsafe impl Sync for Counts {}

macro_rules! kinds {
    ($($(#[$meta:meta])* $name:ident: $index:ident;)*) => {
        $(
            $(#[$meta])*
            pub fn $name(&self) {
                self.count(sys::$index as usize);
            }
        )*
    };
}

impl Counts {
    /// Creates a set `driver:instance:name` of class "controller", all zero. User or kernel context. Errors: those of [`Kstat::new`](super::Kstat::new).
    pub fn new(node: &Node<'_>, name: &str) -> Result<Counts, Error> {
        let kstat = Made::new(node, name, c"controller", sys::KSTAT_TYPE_INTR, 1, 0)?;
        let values = kstat.data()?;
        kstat.install();
        Ok(Counts { _kstat: kstat, values })
    }

    fn count(&self, index: usize) {
        // SAFETY: within the structure; no reference is made, for the kernel may be reading.
        let all = unsafe { &raw mut (*self.values.as_ptr()).intrs };
        let one = all.cast::<u32>().wrapping_add(index);
        // SAFETY: one of its five numbers, which live as long as self; the kernel only copies them out.
        unsafe { AtomicU32::from_ptr(one) }.fetch_add(1, Ordering::Relaxed);
    }

    kinds! {
        /// Counts an interrupt from the device.
        hard: KSTAT_INTR_HARD;
        /// Counts an interrupt that the driver triggered.
        soft: KSTAT_INTR_SOFT;
        /// Counts an interrupt from a watchdog timer.
        watchdog: KSTAT_INTR_WATCHDOG;
        /// Counts an interrupt that was not the device's.
        spurious: KSTAT_INTR_SPURIOUS;
        /// Counts an interrupt that another handler had served already.
        multiple: KSTAT_INTR_MULTSVC;
    }
}
