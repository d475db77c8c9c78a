//! Properties of interrupts: [`Level`], [`Priority`], [`Kind`].

use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr;

use crate::context::{self, Context};

pub(crate) mod sealed {
    /// Only this crate has levels.
    pub trait Sealed {
        /// # Safety
        /// The calling thread is in this context for as long as the value lives.
        unsafe fn assume() -> Self::Cx
        where
            Self: super::Level;
    }
}

/// Whether interrupts are below the scheduler's priority, [`Low`], or above, [`High`].
pub trait Level: sealed::Sealed + 'static {
    /// The context of a handler.
    type Cx: Context;
}

/// Below the scheduler's priority, as the interrupts of most devices.
pub enum Low {}
/// Above the scheduler's priority.
pub enum High {}

impl Level for Low {
    type Cx = context::Interrupt;
}
impl Level for High {
    type Cx = context::HighLevel;
}

impl sealed::Sealed for Low {
    unsafe fn assume() -> context::Interrupt {
        // SAFETY: the caller's.
        unsafe { context::Interrupt::assume() }
    }
}
impl sealed::Sealed for High {
    unsafe fn assume() -> context::HighLevel {
        // SAFETY: the caller's.
        unsafe { context::HighLevel::assume() }
    }
}

/// The priority of an interrupt, which a mutex needs that its handler takes.
pub struct Priority<L: Level = Low> {
    number: u32,
    level: PhantomData<fn() -> L>,
}

impl<L: Level> Clone for Priority<L> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<L: Level> Copy for Priority<L> {}

impl Priority<Low> {
    /// For a mutex that no interrupt handler takes.
    pub const NONE: Priority<Low> = Priority { number: 0, level: PhantomData };
}

impl<L: Level> Priority<L> {
    pub(super) fn new(number: u32) -> Priority<L> {
        Priority { number, level: PhantomData }
    }

    /// Returns the number: 1 to 9 below the scheduler, 11 and more above; 0 for [`NONE`](Priority::NONE).
    pub fn number(self) -> u32 {
        self.number
    }

    /// For `mutex_init(9F)`: `DDI_INTR_PRI`.
    pub(crate) fn cookie(self) -> *mut c_void {
        ptr::without_provenance_mut(self.number as usize)
    }
}

/// A handler's claim of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The interrupt was this device's.
    Claimed,
    /// The interrupt was another device's: devices share pins. A message is always the device's own.
    NotOurs,
}

/// Interrupt types of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pin (`DDI_INTR_TYPE_FIXED`).
    Fixed,
    /// Messages (`DDI_INTR_TYPE_MSI`): a power of two of them.
    Msi,
    /// Extended messages (`DDI_INTR_TYPE_MSIX`).
    MsiX,
}
