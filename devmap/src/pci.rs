//! PCI: [`Config`]uration space, its [`Capability`] lists, and the base address registers by kind ([`Bars`]).
//!
//! Configuration space is read and written in any context, whatever locks are held; what is made in attach is made in kernel context. Nothing here locks: the driver must
//! serialize read-modify-write of a register.

use alloc::sync::Arc;
use core::ptr;

use bitflags::bitflags;
use ddi_sys as sys;

use crate::errno::{Errno, Error, error};
use crate::node::Node;
use crate::property::Values;
use crate::registers::Word;
use crate::tether::Tether;

bitflags! {
    /// The command register.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Command: u16 {
        /// The device responds to I/O ports.
        const IO = sys::PCI_COMM_IO as u16;
        /// The device responds to its memory.
        const MEMORY = sys::PCI_COMM_MAE as u16;
        /// The device may do DMA.
        const BUS_MASTER = sys::PCI_COMM_ME as u16;
        /// Parity errors are reported.
        const PARITY = sys::PCI_COMM_PARITY_DETECT as u16;
        /// System errors are reported.
        const SYSTEM_ERRORS = sys::PCI_COMM_SERR_ENABLE as u16;
        /// The interrupt pin is disabled.
        const PIN_OFF = sys::PCI_COMM_INTX_DISABLE as u16;
        // Whatever else the device has there stays.
        const _ = !0;
    }
}

/// Numbers of capabilities.
pub mod capability {
    use ddi_sys as sys;

    /// Power management.
    pub const POWER: u8 = sys::PCI_CAP_ID_PM as u8;
    /// Message signalled interrupts.
    pub const MSI: u8 = sys::PCI_CAP_ID_MSI as u8;
    /// The vendor's own.
    pub const VENDOR: u8 = 9;
    /// PCI Express.
    pub const EXPRESS: u8 = sys::PCI_CAP_ID_PCI_E as u8;
    /// Message signalled interrupts, extended.
    pub const MSIX: u8 = sys::PCI_CAP_ID_MSI_X as u8;
}

struct Inner {
    handle: sys::ddi_acc_handle_t,
    tether: Tether,
}

// SAFETY: the handle belongs to no thread, and is torn down once.
unsafe impl Send for Inner {}
// SAFETY: accesses are made by the kernel, one at a time for each register.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: from pci_config_setup; no clone is left.
        unsafe { sys::pci_config_teardown(&raw mut self.handle) };
    }
}

/// The configuration space of a PCI device: `pci_config_setup(9F)`. Clones are the same; until the last has gone the node stays attached.
///
/// ```no_run
/// use devmap::pci::{Command, Config, capability};
/// # use devmap::prelude::*;
/// # fn f(attach: &Attach<'_>) -> Result<(), devmap::Error> {
/// let config = Config::new(attach.node())?;
/// config.enable(Command::MEMORY | Command::BUS_MASTER)?;
/// if let Some(express) = config.capability(capability::EXPRESS) {
///     devmap::note!("link {:#x}", express.read::<u16>(0x12)?);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Config(Arc<Inner>);

/// Bytes of configuration space, and of what every device has.
const LEN: u64 = 0x1000;
const EXTENDED: u64 = 0x100;

const RANGE: Error =
    error!(Errno::EINVAL, "pci_config_get32(9F)", "outside configuration space, or not aligned");

impl Config {
    /// Maps the configuration space of the node's device. User or kernel context. Fails with `ENXIO` if it is not a PCI device.
    pub fn new(node: &Node<'_>) -> Result<Config, Error> {
        const NONE: Error =
            error!(Errno::ENXIO, "pci_config_setup(9F)", "the node has no configuration space");
        if !node.is_pci() {
            return Err(NONE);
        }
        let mut handle: sys::ddi_acc_handle_t = ptr::null_mut();
        // SAFETY: a live node; the answer goes to a local.
        let result = unsafe { sys::pci_config_setup(node.as_ptr(), &raw mut handle) };
        if result != sys::DDI_SUCCESS {
            return Err(NONE);
        }
        Ok(Config(Arc::new(Inner { handle, tether: node.tether() })))
    }

    fn at<T>(offset: u64) -> Result<i64, Error> {
        let end = offset.checked_add(size_of::<T>() as u64).ok_or(RANGE)?;
        if end > LEN || !offset.is_multiple_of(size_of::<T>() as u64) {
            return Err(RANGE);
        }
        i64::try_from(offset).map_err(|_| RANGE)
    }

    /// Reads a register at byte `offset`: `pci_config_get32(9F)` and its like. All ones where the device has nothing. Fails with `EINVAL` beyond 4096 bytes.
    pub fn read<T: Word>(&self, offset: u64) -> Result<T, Error> {
        let offset = Config::at::<T>(offset)?;
        // SAFETY: a handle of configuration space.
        Ok(unsafe { T::config_get(self.0.handle, offset) })
    }

    /// Writes a register at byte `offset`: `pci_config_put32(9F)` and its like.
    pub fn write<T: Word>(&self, offset: u64, value: T) -> Result<(), Error> {
        let offset = Config::at::<T>(offset)?;
        // SAFETY: a handle of configuration space.
        unsafe { T::config_put(self.0.handle, offset, value) };
        Ok(())
    }

    /// Returns the command register.
    pub fn command(&self) -> Result<Command, Error> {
        self.read(sys::PCI_CONF_COMM as u64).map(Command::from_bits_retain)
    }

    /// Sets these bits of the command register.
    pub fn enable(&self, bits: Command) -> Result<(), Error> {
        self.write(sys::PCI_CONF_COMM as u64, (self.command()? | bits).bits())
    }

    /// Clears these bits of the command register.
    pub fn disable(&self, bits: Command) -> Result<(), Error> {
        self.write(sys::PCI_CONF_COMM as u64, (self.command()? - bits).bits())
    }

    /// Returns the vendor and device numbers.
    pub fn identity(&self) -> Result<(u16, u16), Error> {
        Ok((self.read(sys::PCI_CONF_VENID as u64)?, self.read(sys::PCI_CONF_DEVID as u64)?))
    }

    /// Returns the first capability of this [number](capability).
    pub fn capability(&self, number: u8) -> Option<Capability<'_>> {
        self.capabilities().find(|found| found.number == u16::from(number))
    }

    /// Returns the capabilities, in the order of the list.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability<'_>> {
        /// More than fit into the space that there is: a list that goes round.
        const MOST: usize = 48;
        let listed = |status: u16| status & sys::PCI_STAT_CAP as u16 != 0;
        let first = if self.read(sys::PCI_CONF_STAT as u64).is_ok_and(listed) {
            self.read::<u8>(sys::PCI_CONF_CAP_PTR as u64).unwrap_or(0)
        } else {
            0
        };
        let mut next = u64::from(first & !3);
        let all = core::iter::from_fn(move || {
            let at = next;
            if at < 0x40 {
                return None;
            }
            let number = self.read::<u8>(at).ok()?;
            next = u64::from(self.read::<u8>(at + 1).ok()? & !3);
            Some(Capability { config: self, number: u16::from(number), at })
        });
        all.take(MOST)
    }

    /// Returns the first capability of this number in extended configuration space.
    pub fn extended_capability(&self, number: u16) -> Option<Capability<'_>> {
        self.extended_capabilities().find(|found| found.number == number)
    }

    /// Returns the capabilities in extended configuration space; none on a device that has no such space.
    pub fn extended_capabilities(&self) -> impl Iterator<Item = Capability<'_>> {
        const MOST: usize = ((LEN - EXTENDED) / 4) as usize;
        let mut next = EXTENDED;
        let all = core::iter::from_fn(move || {
            let at = next;
            if at < EXTENDED {
                return None;
            }
            let head = self.read::<u32>(at).ok().filter(|head| *head != 0 && *head != u32::MAX)?;
            next = u64::from(head >> 20 & 0xffc);
            Some(Capability { config: self, number: head as u16, at })
        });
        all.take(MOST)
    }

    /// Saves the registers for [`restore`](Config::restore): `pci_save_config_regs(9F)`. In [`Device::suspend`](crate::Device::suspend).
    pub fn save(&self) -> Result<(), Error> {
        // SAFETY: a live node.
        let result = unsafe { sys::pci_save_config_regs(self.0.tether.dip()) };
        if result == sys::DDI_SUCCESS {
            return Ok(());
        }
        Err(error!(Errno::EIO, "pci_save_config_regs(9F)", "the registers cannot be saved"))
    }

    /// Restores the saved registers: `pci_restore_config_regs(9F)`. In [`Device::resume`](crate::Device::resume). Fails with `EIO` if none were saved.
    pub fn restore(&self) -> Result<(), Error> {
        // SAFETY: a live node.
        let result = unsafe { sys::pci_restore_config_regs(self.0.tether.dip()) };
        if result == sys::DDI_SUCCESS {
            return Ok(());
        }
        Err(error!(Errno::EIO, "pci_restore_config_regs(9F)", "nothing was saved, or it cannot be restored",))
    }
}

/// A capability, and its registers.
#[derive(Clone, Copy)]
pub struct Capability<'a> {
    config: &'a Config,
    number: u16,
    at: u64,
}

impl Capability<'_> {
    /// Returns the capability's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Returns its offset in configuration space.
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// Reads a register, `offset` bytes from the capability's beginning.
    pub fn read<T: Word>(&self, offset: u64) -> Result<T, Error> {
        self.config.read(self.at.saturating_add(offset))
    }

    /// Writes a register, `offset` bytes from the capability's beginning.
    pub fn write<T: Word>(&self, offset: u64, value: T) -> Result<(), Error> {
        self.config.write(self.at.saturating_add(offset), value)
    }
}

/// Kinds of base address registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// I/O ports.
    Io,
    /// Memory below 4 GiB.
    Memory,
    /// Memory anywhere: takes two registers.
    WideMemory,
}

/// A base address register that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Number of the register, 0 to 5, by its place in configuration space.
    pub number: u8,
    /// The register set that stands for it, for [`Registers::map`](crate::Registers::map).
    pub set: u32,
    /// Kind of the register.
    pub kind: BarKind,
    /// Whether reading has no effect, so that the processor may read ahead.
    pub prefetch: bool,
    /// Bytes.
    pub len: u64,
}

impl Node<'_> {
    /// Returns the number of the register set that a PCI device's base address register `number` (0 to 5) stands for: [`Bars`]. None: it is no PCI device, or that
    /// register is not used.
    #[inline(never)]
    pub fn bar(&self, number: u8) -> Option<u32> {
        Bars::of(self).ok()?.iter().find(|bar| bar.number == number).map(|bar| bar.set)
    }
}

/// The base address registers of a PCI device, as its property `reg` has them.
///
/// ```no_run
/// use devmap::pci::{BarKind, Bars};
/// # use devmap::prelude::*;
/// # fn f(attach: &Attach<'_>) -> Result<(), Errno> {
/// let bars = Bars::of(attach.node())?;
/// let window = bars.iter().find(|bar| bar.kind == BarKind::WideMemory && bar.prefetch).ok_or(Errno::ENXIO)?;
/// let window = Registers::map(attach.node(), window.set, Order::Merging)?;
/// # Ok(()) }
/// ```
pub struct Bars(Values<i32>);

impl Bars {
    /// Reads the base address registers of the node's device. User or kernel context. Fails with `ENXIO` if it is not a PCI device.
    pub fn of(node: &Node<'_>) -> Result<Bars, Error> {
        if !node.is_pci() {
            return Err(error!(Errno::ENXIO, "pci(5)", "the node is no PCI device"));
        }
        node.properties().ints_named(c"reg").map(Bars)
    }

    /// Returns the registers in use, in order. Base address registers are numbered by their place in configuration space, register sets by what
    /// there is: an ivshmem has base address registers 0 and 2, which are sets 1 and 2.
    pub fn iter(&self) -> impl Iterator<Item = Bar> {
        self.0.as_chunks().0.iter().enumerate().filter_map(|(set, &[high, _, _, size_high, size_low])| {
            let high = high as u32;
            let kind = match high & sys::PCI_REG_ADDR_M as u32 {
                space if space == sys::PCI_ADDR_IO as u32 => BarKind::Io,
                space if space == sys::PCI_ADDR_MEM32 as u32 => BarKind::Memory,
                space if space == sys::PCI_ADDR_MEM64 as u32 => BarKind::WideMemory,
                _ => return None,
            };
            // What is at 0x30 is the ROM.
            let place = (high & sys::PCI_REG_REG_M as u32).checked_sub(sys::PCI_CONF_BASE0 as u32)?;
            let number = u8::try_from(place / 4).ok().filter(|number| *number < 6)?;
            let len = u64::from(size_high as u32) << 32 | u64::from(size_low as u32);
            Some(Bar { number, set: u32::try_from(set).ok()?, kind, prefetch: high & 0x4000_0000 != 0, len })
        })
    }
}
