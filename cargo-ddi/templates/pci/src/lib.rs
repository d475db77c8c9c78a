//! newdrv: a PCI board with registers, a window that processes map, and an interrupt.
//!
//! Locks: none of its own.
#![no_std]
#![deny(unsafe_code, missing_docs)]

extern crate alloc;

use alloc::sync::Arc;

use devmap::access::{Attributes, ByteOrder};
use devmap::interrupt::{Allocated, Claim, Interrupts, Kind as Signal};
use devmap::pci::{Command, Config};
use devmap::prelude::*;

/// The interface for programs: ioctls, and the structures that they copy.
pub use newdrv_user as user;

// The registers, in base address register 0.
const ID: u64 = 0x0;
const DOORBELL: u64 = 0x20;
/// The upper half of the register ID; the lower one is the revision.
const BOARD: u32 = 0xb0a5;

devmap::counters! {
    /// Counters of the instance; `kstat -m newdrv` shows it.
    pub struct Counts { maps, interrupts }
}

/// An instance of the device. The interrupt's handler goes first.
pub struct NewdrvDev {
    _interrupts: Interrupts,
    registers: Registers,
    window: Registers,
    counts: Arc<Counts>,
}

impl Device for NewdrvDev {
    type Mapping = ();
    type Open = ();

    // attach(9E): the bus has found a board. An error leaves nothing behind.
    fn attach(attach: &Attach<'_>) -> Result<NewdrvDev, Errno> {
        let node = attach.node();
        let bar = |number| node.bar(number).ok_or(Errno::ENXIO);
        let strict = Attributes::new(Order::Strict).byte_order(ByteOrder::Little);
        let registers = Registers::map(node, bar(0)?, strict)?;
        let window = Registers::map(node, bar(2)?, Order::Merging)?;
        Config::new(node)?.enable(Command::MEMORY)?;
        let id: u32 = registers.read(ID)?;
        if id >> 16 != BOARD {
            devmap::warn!("newdrv: a board of another kind: {:#x}", id);
            return Err(Errno::ENXIO);
        }
        let counts = Arc::new(Counts::new(node, "newdrv")?);
        let mut vectors = Allocated::new(node, Signal::Msi, 1)?.low()?;
        let for_handler = Arc::clone(&counts);
        vectors.handle(0, move |_| {
            for_handler.interrupts().add(1);
            Claim::Claimed
        })?;
        Ok(NewdrvDev {
            _interrupts: vectors.enable()?,
            registers,
            window,
            counts,
        })
    }

    // devmap(9E): a process calls mmap(2). It gets the window; the registers are the driver's.
    fn devmap<'a>(&self, request: MapRequest<'a, NewdrvDev>) -> Result<Setup<'a, NewdrvDev>, Errno> {
        if request.sharing() == Sharing::Private {
            return Err(Errno::ENOTSUP); // what the program writes is for the board
        }
        let setup = request.map(&self.window, request.offset()).with(())?;
        self.counts.maps().add(1);
        Ok(setup)
    }

    fn ioctl(&self, _: &(), command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        match command {
            user::NEWDRV_STATUS => {
                let id: u32 = self.registers.read(ID)?;
                argument.copyout(&user::Status {
                    revision: u64::from(id & 0xffff),
                    window: self.window.len(),
                    maps: self.counts.maps().get(),
                    interrupts: self.counts.interrupts().get(),
                })?;
            }
            user::NEWDRV_RING => self.registers.write(DOORBELL, 1_u32)?,
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }
}

devmap::module! { device: NewdrvDev, name: "newdrv", description: "newdrv 0.1" }
