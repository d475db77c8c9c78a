//! The description of a simulated PCI device: a small TOML file.
//!
//! ```toml
//! vendor = 0x1af4
//! device = 0x1110
//! class = 0x050000                 # base class, subclass, programming interface
//! revision = 1
//! subsystem = [0x1af4, 0x1100]     # vendor and device; without it there is none
//!
//! [[bar]]                          # base address register 0, 32 bits wide
//! size = 256
//!
//! [[bar]]                          # registers 2 and 3 together
//! number = 2
//! size = "4M"
//! wide = true
//! prefetch = true
//! ```
//!
//! docs/devices.md lists everything that can be said.

use ddi_process::physmem::PAGE_SIZE;
use serde::Deserialize;

use crate::board::values::{Size, property};

/// A device.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Description {
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
    /// Class code: 24 bits.
    pub class: u32,
    /// Revision.
    #[serde(default)]
    pub revision: u8,
    /// Subsystem's vendor and device.
    pub subsystem: Option<[u16; 2]>,
    /// Place on the bus, 0 to 31; without it the first that is free.
    pub slot: Option<u8>,
    /// Function in the slot, 0 to 7.
    #[serde(default)]
    pub function: u8,
    /// The driver that is bound to it, whatever its aliases are.
    pub driver: Option<String>,
    /// The legacy interrupt pin: A to D.
    pub interrupt_pin: Option<Pin>,
    /// Base address registers.
    #[serde(default)]
    pub bar: Vec<Bar>,
    /// Message signalled interrupts.
    pub msi: Option<Msi>,
    /// The extended form of them.
    pub msix: Option<Msix>,
    /// The device has the power management capability.
    #[serde(default)]
    pub power_management: bool,
    /// The device is a PCI Express device, with 4096 bytes of configuration space.
    #[serde(default)]
    pub express: bool,
    /// Registers that raise an interrupt when the driver writes them.
    #[serde(default)]
    pub doorbell: Vec<Doorbell>,
    /// The interrupt status register, 32 bits: bit n is interrupt n; writing ones clears them.
    pub status: Option<Place>,
    /// A copying engine.
    pub copy: Option<Copy>,
    /// Initial values of registers.
    #[serde(default)]
    pub value: Vec<Value>,
    /// Properties of the node.
    #[serde(default)]
    pub properties: toml::Table,
}

/// A legacy interrupt pin.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum Pin {
    /// INTA
    A = 1,
    /// INTB
    B = 2,
    /// INTC
    C = 3,
    /// INTD
    D = 4,
}

/// A memory base address register.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bar {
    /// 0 to 5; without it the one behind the one before.
    pub number: Option<u8>,
    /// Bytes: a power of two, at least 16.
    pub size: Size,
    /// 64 bits: takes two registers.
    #[serde(default)]
    pub wide: bool,
    /// Prefetchable.
    #[serde(default)]
    pub prefetch: bool,
}

/// The MSI capability.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Msi {
    /// 1, 2, 4 … 32.
    pub vectors: u8,
    /// Each vector has a mask bit and a pending bit.
    #[serde(default)]
    pub maskable: bool,
}

/// The MSI-X capability.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Msix {
    /// 1 to 2048.
    pub vectors: u16,
    /// The base address register that table and pending bits lie in.
    pub bar: u8,
    /// Offset of the table in it, in bytes.
    #[serde(default)]
    pub table: u32,
    /// Offset of the pending bits, in bytes; behind the table by default.
    pub pending: Option<u32>,
}

/// A register.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Number of the base address register.
    pub bar: u8,
    /// Bytes from its beginning.
    pub offset: u32,
}

/// A register that raises an interrupt.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doorbell {
    /// Number of the base address register.
    pub bar: u8,
    /// Bytes from its beginning.
    pub offset: u32,
    /// The interrupt's number.
    #[serde(default)]
    pub vector: u16,
}

/// The engine that copies memory: source (64 bits), destination (64), length (32) and go (32), the result (32) behind them.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// Number of the base address register.
    pub bar: u8,
    /// Bytes from its beginning: a multiple of 8.
    pub offset: u32,
    /// The interrupt at the end.
    #[serde(default)]
    pub vector: u16,
}

/// Initial value of a register.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// Number of the base address register.
    pub bar: u8,
    /// Bytes from its beginning: a multiple of 4.
    pub offset: u32,
    /// 32 bits, little-endian.
    pub value: u32,
}

/// Bytes of the engine's registers.
pub const COPY_LEN: u32 = 28;

/// Error in a description.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is no TOML, or has a wrong name or value.
    #[error("line {line}: {why}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// Why.
        why: String,
    },
    /// The class has more than 24 bits.
    #[error("class has 24 bits")]
    Class,
    /// There is no such slot or function.
    #[error("slots are 0 to 31, functions 0 to 7")]
    Place,
    /// There is no such base address register, or it is out of order.
    #[error("bar {0}: there are registers 0 to 5, in order, and a wide one takes two")]
    Bar(u8),
    /// The size of a base address register is none.
    #[error("bar {bar}: a size is a power of two from 16 to {limit}")]
    Size {
        /// The register.
        bar: u8,
        /// The greatest size.
        limit: u64,
    },
    /// The number of MSI vectors is none.
    #[error("msi: vectors are 1, 2, 4, 8, 16 or 32")]
    Msi,
    /// The number of MSI-X vectors is none.
    #[error("msix: there are 1 to 2048 vectors")]
    Msix,
    /// A register lies outside its base address register.
    #[error("{what}: {len} bytes at {offset:#x} are not inside bar {bar}, or not aligned")]
    Room {
        /// Purpose of the register.
        what: &'static str,
        /// The bytes.
        len: u32,
        /// Offset, in bytes.
        offset: u32,
        /// The base address register.
        bar: u8,
    },
    /// There is no such interrupt.
    #[error("{what}: the device has no interrupt {vector}")]
    Vector {
        /// Purpose of the interrupt.
        what: &'static str,
        /// The interrupt.
        vector: u16,
    },
    /// The value of a property is none.
    #[error("property {0} is no 32-bit number, string or list of one of them")]
    Property(String),
}

impl Description {
    /// Reads a description; base address registers get their numbers.
    ///
    /// # Errors
    /// See [`Problem`].
    pub fn parse(text: &str) -> Result<Description, Problem> {
        let mut new: Description = toml::from_str(text).map_err(|e| {
            let line =
                e.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            Problem::Line { line, why: e.message().trim().to_owned() }
        })?;
        new.check()?;
        Ok(new)
    }

    fn check(&mut self) -> Result<(), Problem> {
        if self.class > 0xff_ffff {
            return Err(Problem::Class);
        }
        if self.slot.is_some_and(|slot| slot > 31) || self.function > 7 {
            return Err(Problem::Place);
        }
        let mut next = 0;
        for bar in &mut self.bar {
            let number = *bar.number.get_or_insert(next);
            let last = number + u8::from(bar.wide);
            if number < next || last > 5 {
                return Err(Problem::Bar(number));
            }
            next = last + 1;
            let size = bar.size.bytes().unwrap_or(0);
            let limit = if bar.wide { 1 << 33 } else { 1 << 31 };
            if !size.is_power_of_two() || !(16..=limit).contains(&size) {
                return Err(Problem::Size { bar: number, limit });
            }
        }
        if self.msi.is_some_and(|msi| !msi.vectors.is_power_of_two() || msi.vectors > 32) {
            return Err(Problem::Msi);
        }
        if let Some(msix) = self.msix {
            let vectors = u32::from(msix.vectors);
            if !(1..=2048).contains(&vectors) {
                return Err(Problem::Msix);
            }
            self.room("msix: table", msix.bar, msix.table, vectors * 16, 8)?;
            self.room("msix: pending", msix.bar, msix.pending(), vectors.div_ceil(64) * 8, 8)?;
        }
        for doorbell in &self.doorbell {
            self.room("doorbell", doorbell.bar, doorbell.offset, 4, 4)?;
            self.vector("doorbell", doorbell.vector)?;
        }
        if let Some(status) = self.status {
            self.room("status", status.bar, status.offset, 4, 4)?;
        }
        if let Some(copy) = self.copy {
            self.room("copy", copy.bar, copy.offset, COPY_LEN, 8)?;
            self.vector("copy", copy.vector)?;
        }
        for value in &self.value {
            self.room("value", value.bar, value.offset, 4, 4)?;
        }
        for (name, value) in &self.properties {
            if property(name, value).is_none() {
                return Err(Problem::Property(name.clone()));
            }
        }
        Ok(())
    }

    /// Checks that there is room for a register.
    fn room(&self, what: &'static str, bar: u8, offset: u32, len: u32, align: u32) -> Result<(), Problem> {
        let size = self.bar.iter().find(|b| b.number == Some(bar)).and_then(|b| b.size.bytes()).unwrap_or(0);
        if !offset.is_multiple_of(align) || u64::from(offset) + u64::from(len) > size {
            return Err(Problem::Room { what, len, offset, bar });
        }
        Ok(())
    }

    /// Checks that there is such an interrupt.
    fn vector(&self, what: &'static str, vector: u16) -> Result<(), Problem> {
        let fixed = u16::from(self.interrupt_pin.is_some());
        let msi = self.msi.map_or(0, |m| m.vectors.into());
        let msix = self.msix.map_or(0, |m| m.vectors);
        let there = fixed.max(msi).max(msix);
        if vector < there { Ok(()) } else { Err(Problem::Vector { what, vector }) }
    }

    /// Pages of physical memory that a base address register takes.
    pub fn pages(bar: &Bar) -> u64 {
        bar.size.bytes().unwrap_or(0).div_ceil(PAGE_SIZE)
    }

    /// The node's name: by the subsystem when there is one, as illumos names nodes on x86.
    pub fn name(&self) -> String {
        match self.subsystem {
            Some([vendor, device]) if vendor != 0 => format!("pci{vendor:x},{device:x}"),
            _ if self.express => format!("pciex{:x},{:x}", self.vendor, self.device),
            _ => format!("pci{:x},{:x}", self.vendor, self.device),
        }
    }

    /// The names that a driver may bind by, the most special one first.
    pub fn compatible(&self) -> Vec<String> {
        let (v, d, r) = (self.vendor, self.device, self.revision);
        let class = self.class;
        let mut names = Vec::new();
        for prefix in ["pciex", "pci"].iter().skip(usize::from(!self.express)) {
            if let Some([sv, sd]) = self.subsystem.filter(|s| s[0] != 0) {
                names.push(format!("{prefix}{v:x},{d:x}.{sv:x}.{sd:x}.{r:x}"));
                names.push(format!("{prefix}{v:x},{d:x}.{sv:x}.{sd:x}"));
                if *prefix == "pci" {
                    names.push(format!("pci{sv:x},{sd:x}"));
                }
            }
            names.push(format!("{prefix}{v:x},{d:x}.{r:x}"));
            names.push(format!("{prefix}{v:x},{d:x}"));
            names.push(format!("{prefix}class,{class:06x}"));
            names.push(format!("{prefix}class,{:04x}", class >> 8));
        }
        names
    }
}

impl Msix {
    /// Returns the offset of the pending bits, in bytes.
    pub fn pending(&self) -> u32 {
        self.pending.unwrap_or(self.table + u32::from(self.vectors) * 16)
    }
}

/// Devices that can be named without a file.
pub const KNOWN: &[(&str, &str)] = &[("ivshmem", include_str!("../../devices/ivshmem.toml"))];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_illumos() {
        let known = Description::parse(KNOWN[0].1).unwrap();
        assert_eq!(known.name(), "pci1af4,1100");
        let names = known.compatible();
        assert_eq!(names[0], "pci1af4,1110.1af4.1100.1");
        assert!(names.contains(&"pci1af4,1110".into()) && names.contains(&"pciclass,050000".into()));
        let express =
            Description::parse("vendor = 0x15b3\ndevice = 0x673c\nclass = 0x0c0600\nexpress = true").unwrap();
        assert_eq!(express.name(), "pciex15b3,673c");
        assert_eq!(express.compatible()[..2], ["pciex15b3,673c.0", "pciex15b3,673c"]);
        assert!(express.compatible().contains(&"pci15b3,673c".into()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |more: &str| {
            Description::parse(&format!("vendor = 1\ndevice = 2\nclass = 3\n{more}")).unwrap_err().to_string()
        };
        assert_eq!(error("colour = 1").split(',').next(), Some("line 4: unknown field `colour`"));
        assert!(error("[[bar]]\nsize = 100").contains("bar 0: a size is a power of two"));
        assert!(error("[[bar]]\nnumber = 5\nsize = 256\nwide = true").contains("a wide one takes two"));
        assert!(error("[msi]\nvectors = 3").contains("msi: vectors are"));
        assert!(error("[[doorbell]]\nbar = 0\noffset = 0").contains("doorbell: 4 bytes at 0x0"));
        let no_interrupt = "[[bar]]\nsize = 4096\n[[doorbell]]\nbar = 0\noffset = 0";
        assert_eq!(error(no_interrupt), "doorbell: the device has no interrupt 0");
        assert!(error("[[bar]]\nsize = 64\n[msix]\nvectors = 8\nbar = 0").contains("msix: table"));
    }
}
