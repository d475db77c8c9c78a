//! A simulated device: its configuration space, the memory behind its base address registers, and what its registers do.
//!
//! Registers are plain memory, except for those that the description gives an effect: doorbells, the interrupt status
//! register and the copying engine. The effect comes when the driver writes through its access handle (ddi_put32(9F)
//! and the like); a store through a pointer, or by a process that maps the registers, is a store to memory. Locking: a leaf
//! mutex protects the interrupt status; no lock is held when an interrupt is raised.

use ddi_process::physmem::PAGE_SIZE;
use parking_lot::{Mutex, RwLock};

use super::describe::{COPY_LEN, Description, Place};
use super::interrupts;
use super::space::{self, Space};
use crate::board::log;
use crate::kern::nodes::Node;
use crate::vm::{frames, memory};

/// Memory behind a base address register.
#[derive(Clone, Copy, Debug)]
pub struct BarMemory {
    /// The register's number.
    pub number: u8,
    /// First page frame.
    pub pfn: u64,
    /// Bytes.
    pub len: u64,
    /// Takes two registers.
    pub wide: bool,
    /// Prefetchable.
    pub prefetch: bool,
}

/// A device. It lives as long as the host.
pub struct Device {
    /// Description of the device.
    pub description: Description,
    /// The configuration space.
    pub space: Space,
    /// Configuration space when the system started, for pci_restore_config_regs(9F).
    pub saved: Mutex<Option<Vec<u8>>>,
    bars: Vec<BarMemory>,
    status: Mutex<u32>,
    node: RwLock<Option<&'static Node>>,
}

/// Status of the copying engine: done, or failed.
const COPIED: u32 = 1;
const COPY_FAILED: u32 = 2;

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Device").field(&self.description).finish()
    }
}

impl Device {
    /// Makes a device; the memory of its registers is zero but for what the description says.
    ///
    /// # Errors
    /// Memory of this size is not available, or not below 4 GiB.
    pub fn new(description: Description) -> Result<Device, u64> {
        let mut bars = Vec::new();
        for bar in &description.bar {
            let (len, pages) = (bar.size.bytes().unwrap_or(0), Description::pages(bar));
            // A base address register's address is a multiple of its size.
            let pfn = memory().alloc(pages, pages).ok_or(len)?;
            if !bar.wide && (pfn + pages) * PAGE_SIZE > 1 << 32 {
                return Err(len);
            }
            frames::add_device(pfn, pages);
            let number = bar.number.unwrap_or(0);
            bars.push(BarMemory { number, pfn, len, wide: bar.wide, prefetch: bar.prefetch });
        }
        let addresses: Vec<u64> = bars.iter().map(|b| b.pfn * PAGE_SIZE).collect();
        let space = Space::new(&description, &addresses);
        let (saved, status, node) = (Mutex::default(), Mutex::default(), RwLock::new(None));
        let new = Device { description, space, saved, bars, status, node };
        for value in &new.description.value {
            new.store(Place { bar: value.bar, offset: value.offset }, value.value);
        }
        Ok(new)
    }

    /// The memory behind its base address registers, in their order.
    pub fn bars(&self) -> &[BarMemory] {
        &self.bars
    }

    /// Returns its node, once it has one.
    pub fn node(&self) -> Option<&'static Node> {
        *self.node.read()
    }

    /// Gives it its node.
    pub(super) fn set_node(&self, node: &'static Node) {
        *self.node.write() = Some(node);
    }

    fn address<T>(&self, place: Place) -> Option<*mut T> {
        let bar = self.bars.iter().find(|b| b.number == place.bar)?;
        (u64::from(place.offset) + size_of::<T>() as u64 <= bar.len)
            .then(|| memory().ptr(bar.pfn).as_ptr().wrapping_add(place.offset as usize).cast())
    }

    fn store(&self, place: Place, value: u32) {
        if let Some(address) = self.address::<u32>(place) {
            // SAFETY: within the memory of a register that is never freed; aligned, as the description was checked.
            unsafe { address.write_volatile(value) };
        }
    }

    fn load(&self, bar: u8, offset: u32) -> u32 {
        // SAFETY: as in `store`.
        self.address::<u32>(Place { bar, offset }).map_or(0, |address| unsafe { address.read_volatile() })
    }

    /// Returns whether the status register shows an interrupt; false if there is no such register.
    pub fn asserted(&self) -> bool {
        self.description.status.is_some() && *self.status.lock() != 0
    }

    /// Raises an interrupt, as the device would. False: it has none of this number.
    pub fn raise(&'static self, vector: u16) -> bool {
        if let Some(place) = self.description.status {
            let mut status = self.status.lock();
            *status |= 1 << (vector % 32);
            self.store(place, *status);
        }
        let Some(node) = self.node() else { return false };
        interrupts::raise(node, self, vector)
    }

    /// The driver has written `len` bytes to a register. Returns the transfer that the device begins.
    #[must_use]
    pub fn written(&'static self, bar: u8, offset: u64, len: u64) -> Option<Transfer> {
        let hit = |at: u32, n: u32| offset < u64::from(at + n) && u64::from(at) < offset + len;
        let d = &self.description;
        if let Some(place) = d.status.filter(|s| s.bar == bar && hit(s.offset, 4)) {
            let ones = self.load(bar, place.offset);
            let mut status = self.status.lock();
            *status &= !ones;
            self.store(place, *status);
            if *status == 0 {
                self.space.set_pin(false);
            }
        }
        for doorbell in d.doorbell.iter().filter(|b| b.bar == bar && hit(b.offset, 4)) {
            self.raise(doorbell.vector);
        }
        // The engine starts with the write of its go register.
        if let Some(copy) = d.copy.filter(|c| c.bar == bar && hit(c.offset + 20, 4))
            && self.load(bar, copy.offset + 20) != 0
        {
            return Some(Transfer::new(self, bar, copy.offset, copy.vector));
        }
        None
    }
}

/// A transfer that a device's copying engine was told to make, as its registers said when it was.
#[derive(Debug)]
pub struct Transfer {
    device: &'static Device,
    bar: u8,
    at: u32,
    vector: u16,
    /// Bus address to read from.
    pub source: u64,
    /// Bus address to write to.
    pub target: u64,
    /// Bytes.
    pub len: usize,
}

impl Transfer {
    fn new(device: &'static Device, bar: u8, at: u32, vector: u16) -> Transfer {
        let word = |offset| u64::from(device.load(bar, at + offset));
        let (source, target) = (word(0) | word(4) << 32, word(8) | word(12) << 32);
        Transfer { device, bar, at, vector, source, target, len: word(16) as usize }
    }

    /// Returns whether the device's command register lets it move memory; logs if not.
    pub fn allowed(&self) -> bool {
        let allowed = self.device.space.command() & space::BUS_MASTER != 0;
        if !allowed {
            let name = self.device.node().map(Node::path).unwrap_or_default();
            let text = "the device was told to copy, and its command register does not let it (bus master)";
            log::line(log::To::Both, &format!("WARNING: {name}: {text}"));
        }
        allowed
    }

    /// Says in the engine's registers how it ended, and raises the interrupt.
    pub fn finish(self, done: bool) {
        debug_assert_eq!(COPY_LEN, 28);
        let Transfer { device, bar, at, vector, .. } = self;
        device.store(Place { bar, offset: at + 24 }, if done { COPIED } else { COPY_FAILED });
        device.store(Place { bar, offset: at + 20 }, 0);
        device.raise(vector);
    }
}
