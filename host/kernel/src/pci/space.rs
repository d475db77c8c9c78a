//! Configuration space: real bytes, of which some can be written, some are cleared by writing ones, and the rest cannot be changed.
//!
//! A base address register answers with its size when all ones were written, because its low bits cannot be. Locking: one leaf
//! mutex protects the bytes; any context.

use parking_lot::Mutex;

use super::describe::Description;

/// Offsets in the header.
pub mod at {
    /// Command.
    pub const COMMAND: usize = 0x04;
    /// Status.
    pub const STATUS: usize = 0x06;
    /// The first base address register.
    pub const BAR: usize = 0x10;
    /// The first capability.
    pub const CAPABILITIES: usize = 0x34;
    /// Interrupt line.
    pub const LINE: usize = 0x3c;
    /// Interrupt pin.
    pub const PIN: usize = 0x3d;
}

/// Command register: the device may read and write memory.
pub const BUS_MASTER: u16 = 0x4;
/// Command register: the device answers to memory accesses.
pub const MEMORY: u16 = 0x2;
/// Command register: the pin is silent.
pub const PIN_OFF: u16 = 0x400;
/// Bits of the command register that can be written.
const COMMAND_BITS: u16 = 0x0547;
/// Status register: the pin is asserted.
const STATUS_PIN: u16 = 0x8;
/// Status register: there are capabilities.
const STATUS_CAPABILITIES: u16 = 0x10;

/// Capabilities' numbers.
pub mod id {
    /// Power management.
    pub const POWER: u8 = 0x01;
    /// MSI.
    pub const MSI: u8 = 0x05;
    /// PCI Express.
    pub const EXPRESS: u8 = 0x10;
    /// MSI-X.
    pub const MSIX: u8 = 0x11;
}

struct Bytes {
    now: Vec<u8>,
    /// Bits that can be written.
    write: Vec<u8>,
    /// Bits that a written one clears.
    clear: Vec<u8>,
}

/// A device's configuration space.
pub struct Space {
    bytes: Mutex<Bytes>,
    /// Offsets of the MSI and MSI-X capabilities; 0 for none.
    msi: usize,
    msix: usize,
}

impl std::fmt::Debug for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Space").field("msi", &self.msi).field("msix", &self.msix).finish_non_exhaustive()
    }
}

impl Bytes {
    fn set(&mut self, offset: usize, value: u64, len: usize) {
        self.now[offset..offset + len].copy_from_slice(&value.to_le_bytes()[..len]);
    }

    fn writable(&mut self, offset: usize, mask: u64, len: usize) {
        self.write[offset..offset + len].copy_from_slice(&mask.to_le_bytes()[..len]);
    }

    fn get(&self, offset: usize, len: usize) -> u64 {
        let mut value = [0; 8];
        value[..len].copy_from_slice(&self.now[offset..offset + len]);
        u64::from_le_bytes(value)
    }
}

/// Chain of capabilities that is being built.
struct Chain {
    next: usize,
    /// The byte that gets the next one's place.
    link: usize,
}

impl Chain {
    fn add(&mut self, bytes: &mut Bytes, id: u8, len: usize) -> usize {
        let place = self.next;
        bytes.set(self.link, place as u64, 1);
        bytes.set(place, id.into(), 1);
        self.link = place + 1;
        self.next = (place + len).next_multiple_of(4);
        place
    }
}

impl Space {
    /// The configuration space of a device whose base address registers hold `addresses`.
    pub fn new(d: &Description, addresses: &[u64]) -> Space {
        let len = if d.express { 4096 } else { 256 };
        let mut b = Bytes { now: vec![0; len], write: vec![0; len], clear: vec![0; len] };
        b.set(0x00, d.vendor.into(), 2);
        b.set(0x02, d.device.into(), 2);
        b.writable(at::COMMAND, COMMAND_BITS.into(), 2);
        b.set(at::COMMAND, MEMORY.into(), 2);
        // Errors that the device has seen.
        b.clear[at::STATUS + 1] = 0xf9;
        b.set(0x08, u64::from(d.class) << 8 | u64::from(d.revision), 4);
        b.writable(0x0c, 0xffff, 2);
        for (bar, address) in d.bar.iter().zip(addresses) {
            let place = at::BAR + usize::from(bar.number.unwrap_or(0)) * 4;
            let size = bar.size.bytes().unwrap_or(0);
            let (wide, prefetch) = (u64::from(bar.wide), u64::from(bar.prefetch));
            let len = if bar.wide { 8 } else { 4 };
            b.set(place, address | wide << 2 | prefetch << 3, len);
            b.writable(place, !(size - 1), len);
        }
        let [vendor, device] = d.subsystem.unwrap_or_default();
        b.set(0x2c, u64::from(vendor) | u64::from(device) << 16, 4);
        b.writable(at::LINE, 0xff, 1);
        if let Some(pin) = d.interrupt_pin {
            b.set(at::PIN, pin as u64, 1);
            b.set(at::LINE, 11, 1);
        }
        let mut chain = Chain { next: 0x40, link: at::CAPABILITIES };
        if d.power_management {
            let place = chain.add(&mut b, id::POWER, 8);
            // Version 3; the state can be set.
            b.set(place + 2, 3, 2);
            b.writable(place + 4, 0x3, 2);
        }
        let mut msi = 0;
        if let Some(m) = d.msi {
            let (mask, masked) = (u64::from(m.maskable), if m.maskable { 10 } else { 0 });
            msi = chain.add(&mut b, id::MSI, 14 + masked);
            let log = u64::from(m.vectors.trailing_zeros());
            b.set(msi + 2, log << 1 | 1 << 7 | mask << 8, 2);
            b.writable(msi + 2, 0x71, 2);
            b.writable(msi + 4, 0xffff_ffff_ffff_fffc, 8);
            b.writable(msi + 12, 0xffff, 2);
            if m.maskable {
                b.writable(msi + 16, (1 << m.vectors) - 1, 4);
            }
        }
        let mut msix = 0;
        if let Some(m) = d.msix {
            msix = chain.add(&mut b, id::MSIX, 12);
            b.set(msix + 2, u64::from(m.vectors - 1), 2);
            b.writable(msix + 2, 0xc000, 2);
            b.set(msix + 4, u64::from(m.table) | u64::from(m.bar), 4);
            b.set(msix + 8, u64::from(m.pending()) | u64::from(m.bar), 4);
        }
        if d.express {
            let place = chain.add(&mut b, id::EXPRESS, 60);
            // Version 2, an endpoint; payloads of 512 bytes.
            b.set(place + 2, 0x2, 2);
            b.set(place + 4, 0x2, 4);
            b.writable(place + 8, 0x7fff, 2);
            b.set(place + 8, 0x2810, 2);
            // The link: 4 lanes at 5 GT/s, and that is what it runs at.
            b.set(place + 12, 0x42, 4);
            b.writable(place + 16, 0x0fff, 2);
            b.set(place + 18, 0x42, 2);
        }
        if chain.next > 0x40 {
            let status = b.get(at::STATUS, 2) | u64::from(STATUS_CAPABILITIES);
            b.set(at::STATUS, status, 2);
        }
        Space { bytes: Mutex::new(b), msi, msix }
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.bytes.lock().now.len()
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Reads `len` bytes, little-endian; all ones outside.
    pub fn read(&self, offset: usize, len: usize) -> u64 {
        let bytes = self.bytes.lock();
        if offset.checked_add(len).is_none_or(|end| end > bytes.now.len()) {
            return u64::MAX >> (64 - 8 * len);
        }
        bytes.get(offset, len)
    }

    /// Writes what can be written.
    pub fn write(&self, offset: usize, value: u64, len: usize) {
        let mut bytes = self.bytes.lock();
        if offset.checked_add(len).is_none_or(|end| end > bytes.now.len()) {
            return;
        }
        for (i, new) in value.to_le_bytes()[..len].iter().enumerate() {
            let (at, write, clear) = (offset + i, bytes.write[offset + i], bytes.clear[offset + i]);
            bytes.now[at] = (bytes.now[at] & !write | new & write) & !(new & clear);
        }
    }

    /// The command register.
    pub fn command(&self) -> u16 {
        self.read(at::COMMAND, 2) as u16
    }

    /// Shows whether the pin is asserted.
    pub fn set_pin(&self, asserted: bool) {
        let mut bytes = self.bytes.lock();
        let status = bytes.get(at::STATUS, 2) & !u64::from(STATUS_PIN);
        bytes.set(at::STATUS, status | if asserted { STATUS_PIN.into() } else { 0 }, 2);
    }

    /// Turns MSI on with `vectors` messages, or off with none.
    pub fn enable_msi(&self, vectors: u32) {
        if self.msi != 0 {
            let control = self.read(self.msi + 2, 2) & !0x71;
            let log = u64::from(vectors.max(1).ilog2());
            self.write(self.msi + 2, control | log << 4 | u64::from(vectors > 0), 2);
        }
    }

    /// Turns MSI-X on or off.
    pub fn enable_msix(&self, on: bool) {
        if self.msix != 0 {
            let control = self.read(self.msix + 2, 2) & !0x8000;
            self.write(self.msix + 2, control | u64::from(on) << 15, 2);
        }
    }

    /// Returns whether MSI is on.
    pub fn msi_enabled(&self) -> bool {
        self.msi != 0 && self.read(self.msi + 2, 2) & 1 != 0
    }

    /// Returns whether MSI-X is on and not masked as a whole.
    pub fn msix_enabled(&self) -> bool {
        self.msix != 0 && self.read(self.msix + 2, 2) & 0xc000 == 0x8000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        let text = "vendor = 0x1af4\ndevice = 0x1110\nclass = 0x050000\nrevision = 2\nsubsystem = [1, 2]\n\
            power-management = true\ninterrupt-pin = \"B\"\n[[bar]]\nsize = \"64K\"\n[[bar]]\nnumber = 2\n\
            size = \"1M\"\nwide = true\nprefetch = true\n[msi]\nvectors = 4\n[msix]\nvectors = 8\nbar = 0\n";
        Space::new(&Description::parse(text).unwrap(), &[0xfe00_0000, 0x8_0010_0000])
    }

    #[test]
    fn the_header_is_as_described_and_keeps_its_identity() {
        let space = space();
        assert_eq!(space.read(0, 4), 0x1110_1af4);
        assert_eq!(space.read(8, 4), 0x0500_0002);
        assert_eq!((space.read(0x2c, 4), space.read(at::PIN, 1)), (0x0002_0001, 2));
        space.write(0, 0, 4);
        assert_eq!(space.read(0, 2), 0x1af4);
        space.write(at::COMMAND, 0xffff, 2);
        assert_eq!(space.command(), COMMAND_BITS);
        assert_eq!((space.read(254, 4), space.read(4096, 1)), (0xffff_ffff, 0xff));
    }

    #[test]
    fn base_address_registers_tell_their_sizes() {
        let space = space();
        let size = |place: usize| {
            let before = space.read(place, 4);
            space.write(place, 0xffff_ffff, 4);
            let answer = space.read(place, 4);
            space.write(place, before, 4);
            assert_eq!(space.read(place, 4), before);
            answer
        };
        assert_eq!(size(0x10), 0xffff_0000);
        assert_eq!(size(0x14), 0);
        assert_eq!((size(0x18), size(0x1c)), (0xfff0_000c, 0xffff_ffff));
        assert_eq!(space.read(0x18, 8), 0x8_0010_000c);
    }

    #[test]
    fn capabilities_form_a_list() {
        let space = space();
        assert_ne!(space.read(at::STATUS, 2) & 0x10, 0);
        let mut found = Vec::new();
        let mut place = space.read(at::CAPABILITIES, 1) as usize;
        while place != 0 {
            found.push(space.read(place, 1) as u8);
            place = space.read(place + 1, 1) as usize;
        }
        assert_eq!(found, [id::POWER, id::MSI, id::MSIX]);
        space.enable_msi(4);
        assert!(space.msi_enabled());
        assert_eq!(space.read(space.msi + 2, 2), 1 << 7 | 2 << 4 | 2 << 1 | 1);
        space.enable_msi(0);
        assert!(!space.msi_enabled() && !space.msix_enabled());
        space.enable_msix(true);
        assert!(space.msix_enabled());
    }
}
