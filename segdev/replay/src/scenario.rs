//! The corpus's file format, as it is read.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One scenario: a line of a file.
#[derive(Deserialize)]
pub struct Scenario {
    /// Names it.
    pub id: String,
    /// Online processors.
    pub ncpus: u32,
    /// The MMU's page sizes.
    pub page_sizes: Vec<u64>,
    /// Kernel memory.
    pub cookies: Vec<Cookie>,
    /// Register sets.
    pub regs: Vec<Regs>,
    /// Devices.
    pub devices: Vec<Device>,
    /// The operations.
    pub ops: Vec<Op>,
    /// The observations, one for each operation.
    pub expect: Option<Vec<Expect>>,
}

/// Kernel memory from `ddi_umem_alloc`.
#[derive(Deserialize)]
pub struct Cookie {
    /// The name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// `pageable`, `trash`.
    pub flags: Vec<String>,
    /// Page frames from one page to the next.
    #[serde(default = "one")]
    pub stride: u64,
}

fn one() -> u64 {
    1
}

/// A register set.
#[derive(Deserialize)]
pub struct Regs {
    /// The number.
    pub rnumber: u32,
    /// The first page frame.
    pub pfn: u64,
    /// Bytes.
    pub len: u64,
}

/// A device and its driver's script.
#[derive(Deserialize)]
pub struct Device {
    /// The regions that it maps.
    pub regions: Vec<Region>,
    /// Sets of callbacks by name.
    #[serde(default)]
    pub callbacks: std::collections::BTreeMap<String, Callbacks>,
    /// Calls that fail.
    #[serde(default)]
    pub fail: Vec<Fail>,
}

/// A region of a device.
#[derive(Deserialize)]
pub struct Region {
    /// First offset.
    pub off: u64,
    /// Bytes.
    pub len: u64,
    /// `devmem` or `umem`.
    pub kind: Kind,
    /// Register set.
    pub rnumber: Option<u32>,
    /// Offset in it.
    #[serde(default, deserialize_with = "wrapping_option")]
    pub roff: Option<u64>,
    /// Memory.
    pub cookie: Option<String>,
    /// Offset in it.
    #[serde(default, deserialize_with = "wrapping_option")]
    pub koff: Option<u64>,
    /// Maximum protection.
    pub maxprot: u32,
    /// Setup flags.
    pub flags: u32,
    /// Which callbacks.
    pub callbacks: Option<String>,
    /// Call the setup function twice.
    #[serde(default)]
    pub twice: bool,
}

/// The memory of a region.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Device memory.
    Devmem,
    /// Kernel memory.
    Umem,
}

/// A set of callbacks.
#[derive(Deserialize)]
pub struct Callbacks {
    /// There is a map callback.
    pub map: bool,
    /// Behaviour of the access callback.
    pub access: Option<String>,
    /// There is a dup callback.
    pub dup: bool,
    /// There is an unmap callback.
    pub unmap: bool,
}

/// The `nth` call of `cb` returns `ret`.
#[derive(Deserialize)]
pub struct Fail {
    /// Which entry point.
    pub cb: FailAt,
    /// From 1.
    pub nth: u64,
    /// The value.
    pub ret: i32,
}

/// An entry point that can fail.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum FailAt {
    Devmap,
    Map,
    Access,
    Dup,
    Ctxmgt,
}

/// An operation.
#[derive(Deserialize, Debug)]
#[serde(tag = "op", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Op {
    Mmap {
        #[serde(rename = "as")]
        space: u32,
        dev: usize,
        #[serde(deserialize_with = "wrapping")]
        off: u64,
        #[serde(deserialize_with = "wrapping")]
        len: u64,
        prot: u32,
        maxprot: u32,
        flags: u32,
        #[serde(default, deserialize_with = "wrapping_option")]
        addr: Option<u64>,
    },
    Munmap {
        #[serde(rename = "as")]
        space: u32,
        #[serde(deserialize_with = "wrapping")]
        addr: u64,
        #[serde(deserialize_with = "wrapping")]
        len: u64,
    },
    Mprotect {
        #[serde(rename = "as")]
        space: u32,
        #[serde(deserialize_with = "wrapping")]
        addr: u64,
        #[serde(deserialize_with = "wrapping")]
        len: u64,
        prot: u32,
    },
    Fork {
        #[serde(rename = "as")]
        space: u32,
        new: u32,
    },
    Exit {
        #[serde(rename = "as")]
        space: u32,
    },
    Fault {
        #[serde(rename = "as")]
        space: u32,
        #[serde(deserialize_with = "wrapping")]
        addr: u64,
        #[serde(deserialize_with = "wrapping")]
        len: u64,
        r#type: u32,
        rw: u32,
    },
    Touch {
        #[serde(rename = "as")]
        space: u32,
        #[serde(deserialize_with = "wrapping")]
        addr: u64,
        rw: u32,
    },
    Load {
        h: String,
        #[serde(deserialize_with = "wrapping")]
        off: u64,
        #[serde(deserialize_with = "wrapping")]
        len: u64,
        r#type: u32,
        rw: u32,
        #[serde(rename = "as")]
        space: Option<u32>,
    },
    Unload {
        h: String,
        #[serde(deserialize_with = "wrapping")]
        off: u64,
        #[serde(deserialize_with = "wrapping")]
        len: u64,
        #[serde(rename = "as")]
        space: Option<u32>,
    },
    RemapDevmem {
        h: String,
        rnumber: u32,
        #[serde(deserialize_with = "wrapping")]
        roff: u64,
        #[serde(deserialize_with = "wrapping")]
        len: u64,
        maxprot: u32,
        flags: u32,
    },
    RemapUmem {
        h: String,
        cookie: Option<String>,
        #[serde(deserialize_with = "wrapping")]
        off: u64,
        #[serde(deserialize_with = "wrapping")]
        len: u64,
        maxprot: u32,
        flags: u32,
    },
    SetTimeout {
        h: String,
        ticks: i64,
    },
    FireTimeout {},
    Checkprot {
        #[serde(rename = "as")]
        space: u32,
        #[serde(deserialize_with = "wrapping")]
        addr: u64,
        #[serde(deserialize_with = "wrapping")]
        len: u64,
        prot: u32,
    },
    Getprot {
        #[serde(rename = "as")]
        space: u32,
        #[serde(deserialize_with = "wrapping")]
        addr: u64,
        #[serde(deserialize_with = "wrapping")]
        len: u64,
    },
    Getoffset {
        #[serde(rename = "as")]
        space: u32,
        #[serde(deserialize_with = "wrapping")]
        addr: u64,
    },
    Gettype {
        #[serde(rename = "as")]
        space: u32,
        #[serde(deserialize_with = "wrapping")]
        addr: u64,
    },
    Incore {
        #[serde(rename = "as")]
        space: u32,
        #[serde(deserialize_with = "wrapping")]
        addr: u64,
        #[serde(deserialize_with = "wrapping")]
        len: u64,
    },
    Getmemid {
        #[serde(rename = "as")]
        space: u32,
        #[serde(deserialize_with = "wrapping")]
        addr: u64,
    },
}

impl Op {
    /// The handle that it names.
    pub fn handle(&self) -> Option<&str> {
        match self {
            Self::Load { h, .. }
            | Self::Unload { h, .. }
            | Self::RemapDevmem { h, .. }
            | Self::RemapUmem { h, .. }
            | Self::SetTimeout { h, .. } => Some(h),
            _ => None,
        }
    }
}

/// An observation; a field that is absent is not compared.
#[derive(Deserialize)]
pub struct Expect {
    /// The raw return value.
    pub ret: Option<Value>,
    /// The address of an mmap.
    pub addr: Option<Value>,
    /// Answer of a query.
    pub val: Option<Value>,
    /// The callbacks.
    pub events: Option<Value>,
    /// Every translation.
    pub pages: Option<Value>,
    /// Number of objects.
    pub live: Option<Value>,
}

/// A number of 64 bits, signed or not: a negative one stands for its two's complement, as in C.
fn wrapping<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    wrapping_option(d)?.ok_or_else(|| serde::de::Error::custom("expected a number"))
}

fn wrapping_option<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    match Option::<serde_json::Number>::deserialize(d)? {
        None => Ok(None),
        Some(n) => match (n.as_u64(), n.as_i64()) {
            (Some(n), _) => Ok(Some(n)),
            (None, Some(n)) => Ok(Some(n as u64)),
            (None, None) => Err(serde::de::Error::custom(format!("{n} is not a 64-bit number"))),
        },
    }
}
