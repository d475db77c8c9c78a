//! The words of the interface: protections, flags, fault codes, errno values.
//!
//! Plain values without locks, usable in any context. Addresses, offsets and lengths are bytes in a `u64`; a page is
//! [`PAGE_SIZE`] bytes.

use core::fmt;

/// Bytes in a page.
pub const PAGE_SIZE: u64 = 4096;
/// The bits of an address within its page.
pub const PAGE_MASK: u64 = PAGE_SIZE - 1;
/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;

/// A page frame number.
pub type Pfn = u64;

bitflags::bitflags! {
    /// What may be done with a page (`PROT_*` of mmap(2); `USER` is `PROT_USER`, which drivers may pass).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct Prot: u8 {
        /// May be read.
        const READ = 1;
        /// May be written.
        const WRITE = 2;
        /// May be executed.
        const EXEC = 4;
        /// May be reached from user mode.
        const USER = 8;
    }
}

impl Prot {
    /// The protection that the low four bits of a `PROT_*` number name.
    pub const fn from_raw(bits: u32) -> Self {
        Self::from_bits_truncate((bits & 0xf) as u8)
    }
}

bitflags::bitflags! {
    /// The flags of a setup or remap call (`DEVMAP_*` and the cache attributes of `devmap_umem_setup(9F)`). Bits without
    /// a name are kept and ignored.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct SetupFlags: u32 {
        /// `DEVMAP_MAPPING_INVALID`: every access fails until the handle is remapped.
        const MAPPING_INVALID = 0x01;
        /// `DEVMAP_ALLOW_REMAP`: the handle may be remapped, and never soft-locked.
        const ALLOW_REMAP = 0x02;
        /// `DEVMAP_USE_PAGESIZE`: load with the base page size only.
        const USE_PAGESIZE = 0x04;
        /// `IOMEM_DATA_CACHED`.
        const CACHED = 0x1_0000;
        /// `IOMEM_DATA_UC_WR_COMBINE`.
        const WR_COMBINE = 0x2_0000;
        /// `IOMEM_DATA_UNCACHED`.
        const UNCACHED = 0x4_0000;
        const _ = !0;
    }
}

impl SetupFlags {
    /// The bits that hold a cache attribute (`IOMEM_DATA_MASK`): none is set, or they are one of the attributes.
    pub const CACHE_ATTRS: Self = Self::from_bits_retain(0xf_0000);

    /// The cache attribute, or `None` when the bits are not one that a platform has.
    pub(crate) fn cache_attr(self) -> Option<Self> {
        let attr = self & Self::CACHE_ATTRS;
        [Self::empty(), Self::CACHED, Self::WR_COMBINE, Self::UNCACHED].contains(&attr).then_some(attr)
    }
}

bitflags::bitflags! {
    /// The flags of a mapping request (`MAP_*` of mmap(2), illumos numbers). Other bits are kept and passed to the
    /// driver's map callback.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct MapFlags: u32 {
        /// `MAP_SHARED`.
        const SHARED = 1;
        /// `MAP_PRIVATE`.
        const PRIVATE = 2;
        /// `MAP_TYPE`: the bits that hold the mapping type.
        const TYPE = 0xf;
        /// `MAP_FIXED`: at the address asked for, replacing what is there.
        const FIXED = 0x10;
        const _ = !0;
    }
}

/// Why a fault is served (`enum fault_type`; passed to drivers as its number).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum FaultType {
    /// `DEVMAP_ACCESS`, `F_INVAL`: no translation.
    Inval = 0,
    /// `F_PROT`: the translation forbids the access.
    Prot = 1,
    /// `DEVMAP_LOCK`, `F_SOFTLOCK`: load, and keep loaded until unlocked.
    Softlock = 2,
    /// `DEVMAP_UNLOCK`, `F_SOFTUNLOCK`: undo a softlock.
    Softunlock = 3,
}

impl FaultType {
    /// The type with this number.
    pub const fn from_raw(n: u32) -> Option<Self> {
        match n {
            0 => Some(Self::Inval),
            1 => Some(Self::Prot),
            2 => Some(Self::Softlock),
            3 => Some(Self::Softunlock),
            _ => None,
        }
    }
}

/// The access that faulted (`enum seg_rw`; passed to drivers as its number).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Rw {
    /// `S_OTHER`: not known or not needed.
    Other = 0,
    /// `S_READ`.
    Read = 1,
    /// `S_WRITE`.
    Write = 2,
    /// `S_EXEC`.
    Exec = 3,
    /// `S_CREATE`.
    Create = 4,
}

impl Rw {
    /// The access with this number.
    pub const fn from_raw(n: u32) -> Option<Self> {
        match n {
            0 => Some(Self::Other),
            1 => Some(Self::Read),
            2 => Some(Self::Write),
            3 => Some(Self::Exec),
            4 => Some(Self::Create),
            _ => None,
        }
    }

    /// The protection that the access needs; empty when it needs none in particular.
    #[inline]
    pub const fn needs(self) -> Prot {
        match self {
            Self::Read => Prot::READ,
            Self::Write => Prot::WRITE,
            Self::Exec => Prot::EXEC,
            Self::Other | Self::Create => Prot::empty(),
        }
    }
}

/// An errno value, in illumos numbering, or whatever non-zero value a driver returned in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// `EINTR`.
    pub const EINTR: Self = Self(4);
    /// `ENXIO`.
    pub const ENXIO: Self = Self(6);
    /// `EAGAIN`.
    pub const EAGAIN: Self = Self(11);
    /// `ENOMEM`.
    pub const ENOMEM: Self = Self(12);
    /// `EACCES`.
    pub const EACCES: Self = Self(13);
    /// `EFAULT`.
    pub const EFAULT: Self = Self(14);
    /// `EINVAL`.
    pub const EINVAL: Self = Self(22);
    /// `ENOTSUP`.
    pub const ENOTSUP: Self = Self(48);
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "errno {}", self.0)
    }
}

impl core::error::Error for Errno {}

/// What a fault ends with (`faultcode_t`); zero is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct FaultCode(pub i32);

impl FaultCode {
    /// Served.
    pub const OK: Self = Self(0);
    /// `FC_HWERR`: the hardware, or a context routine, failed.
    pub const HWERR: Self = Self(1);
    /// `FC_PROT`: the protections forbid the access.
    pub const PROT: Self = Self(4);
    /// `FC_NOMAP`: nothing is mapped there.
    pub const NOMAP: Self = Self(5);
    /// `FC_NOSUPPORT`: the mapping cannot do that.
    pub const NOSUPPORT: Self = Self(6);
    /// `FC_MAKE_ERR(EINVAL)`.
    pub const EINVAL: Self = Self::from_errno(22);
    /// `FC_MAKE_ERR(EFAULT)`.
    pub const EFAULT: Self = Self::from_errno(14);
    /// `FC_MAKE_ERR(EINTR)`.
    pub const EINTR: Self = Self::from_errno(4);
    /// `FC_MAKE_ERR(EAGAIN)`.
    pub const EAGAIN: Self = Self::from_errno(11);

    /// `FC_MAKE_ERR(e)`: an errno in a fault code.
    #[inline]
    pub const fn from_errno(e: i32) -> Self {
        Self((e << 8) | 3)
    }

    /// `FC_ERRNO(fc)`: the errno that a fault code of the kind `FC_OBJERR` carries.
    pub const fn errno(self) -> Option<i32> {
        if self.0 & 0xff == 3 { Some(self.0 >> 8) } else { None }
    }

    /// Whether the fault was served.
    #[inline]
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }
}

/// Rounds down to a page.
#[inline]
pub const fn page_floor(x: u64) -> u64 {
    x & !PAGE_MASK
}

/// Rounds up to a page; `None` when that leaves 64 bits.
#[inline]
pub const fn page_ceil(x: u64) -> Option<u64> {
    match x.checked_add(PAGE_MASK) {
        Some(x) => Some(x & !PAGE_MASK),
        None => None,
    }
}

/// The protections of which an access needs at least one.
#[inline]
pub(crate) fn wanted(rw: Rw) -> Prot {
    match rw {
        Rw::Read => Prot::READ,
        Rw::Write => Prot::WRITE,
        Rw::Exec => Prot::EXEC,
        Rw::Other | Rw::Create => Prot::READ.union(Prot::WRITE).union(Prot::EXEC),
    }
}
