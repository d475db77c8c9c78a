//! Drills on mappings: memory that moves, is protected and invalidated as a set; and pages that a process lends.
//!
//! Locks: what is `held`, over nothing.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

use devmap::pinned::{Held, Pins, UserMemory};
use devmap::plain::Pointer;
use devmap::prelude::*;
use devmap::{Access, Protection};

use crate::{Drilled, Failed, check};

/// From here on the same memory can be mapped for reading only.
pub const READ_ONLY: u64 = 0x10_0000;
/// From here on there is what a process has lent.
pub const LENT: u64 = 0x20_0000;

devmap::plain! {
    /// Pages that a process lends.
    pub struct Lend { pub address: Pointer, pub len: usize }
}

/// The memory and the pages, made in attach(9E).
pub struct Shown {
    pub(crate) memory: Umem,
    other: Umem,
    mappings: Mappings,
    pins: Pins,
    held: Mutex<Option<Held>>,
    lost: Arc<AtomicU32>,
}

impl Shown {
    /// With a node.
    pub fn new(attach: &Attach<'_>) -> Result<Shown, Failed> {
        let memory = Umem::new(attach, Kind::Locked, 0x4000)?;
        let other = Umem::new(attach, Kind::Locked, 0x4000)?;
        memory.write(0, 1_u32)?;
        other.write(0, 2_u32)?;
        check!(Access::Read != Access::Write);
        let (mappings, pins) = (attach.mappings(), Pins::new(attach)?);
        Ok(Shown { memory, other, mappings, pins, held: Mutex::new(None), lost: Arc::new(AtomicU32::new(0)) })
    }

    /// The pages that are lent now.
    pub fn lent(&self) -> Result<UserMemory, Errno> {
        self.held.lock().as_ref().and_then(Held::get).ok_or(Errno::ENXIO)
    }

    /// A process lends pages: they are written by the driver, and held.
    pub fn lend(&self, argument: &mut Argument<'_>) -> Drilled {
        let Lend { address, len } = argument.copyin()?;
        let lost = Arc::clone(&self.lost);
        let told = move |_: &mut _| {
            lost.fetch_add(1, SeqCst);
        };
        let all = Protection::READ | Protection::WRITE;
        let memory = self.pins.lock(argument, address.address() as u64, len, all, told)?;
        let view = memory.view(argument)?;
        check!(view.len() == len && view.read::<u32>(0)? == 0x1111_1111);
        view.write(8, 0x2222_2222_u32)?;
        check!(memory.read_only(argument)?.read::<u32>(8)? == 0x2222_2222 && !memory.is_lost());
        let before = self.held.lock().replace(memory.hold()?);
        drop(before);
        Ok(())
    }

    /// Returns the number of times that lent memory was lost.
    pub fn lost(&self) -> i32 {
        self.lost.load(SeqCst) as i32
    }

    /// The driver has done with it.
    pub fn give_back(&self) -> Drilled {
        let held = self.held.lock().take();
        check!(held.is_some());
        Ok(())
    }

    /// All mappings together.
    pub fn together(&self, how: isize) -> Drilled {
        let set = self.mappings.set();
        match how {
            0 => {
                check!(set.iter().count() == set.len());
                for handle in set {
                    check!(handle.is_live() && handle.offset() < LENT && !handle.is_empty());
                    handle.unload_range(handle.offset(), 4096)?;
                }
                check!(!self.mappings.is_empty() || set.is_empty());
            }
            1 => set.remap(&self.other, |handle| handle.offset() % READ_ONLY)?,
            2 => set.remap(&self.memory, |handle| handle.offset() % READ_ONLY)?,
            3 => set.invalidate()?,
            4 => set.validate(),
            5 => {
                set.lower(Protection::READ)?;
                check!(set.iter().all(|handle| !handle.max_protection().contains(Protection::WRITE)));
            }
            _ => return Err(Failed::Errno(Errno::EINVAL)),
        }
        Ok(())
    }
}
