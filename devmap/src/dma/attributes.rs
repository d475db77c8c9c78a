//! [`Attributes`]: what a device can reach, and in what pieces (`ddi_dma_attr(9S)`). Values.

use core::ffi::c_int;

use ddi_sys as sys;

use crate::fm::{Capabilities, FaultManagement};

/// Capabilities of a device's DMA engine: `ddi_dma_attr(9S)`. To begin with, memory at any address below a limit, in one piece, aligned to nothing.
#[derive(Clone)]
pub struct Attributes {
    raw: sys::ddi_dma_attr_t,
    /// There when errors are flagged, and the system can do that.
    pub(super) fm: Option<FaultManagement>,
}

impl Attributes {
    /// A device that reaches addresses up to and with `last`.
    pub fn new(last: u64) -> Attributes {
        let raw = sys::ddi_dma_attr_t {
            dma_attr_version: sys::DMA_ATTR_V0 as u32,
            dma_attr_addr_lo: 0,
            dma_attr_addr_hi: last,
            dma_attr_count_max: u32::MAX.into(),
            dma_attr_align: 1,
            dma_attr_burstsizes: 1,
            dma_attr_minxfer: 1,
            dma_attr_maxxfer: u32::MAX.into(),
            dma_attr_seg: u64::MAX,
            dma_attr_sgllen: 1,
            dma_attr_granular: 1,
            dma_attr_flags: 0,
        };
        Attributes { raw, fm: None }
    }

    /// A device with addresses of 32 bits.
    pub fn bits32() -> Attributes {
        Attributes::new(u32::MAX.into()).boundary(u32::MAX.into())
    }

    /// A device with addresses of 64 bits.
    pub fn bits64() -> Attributes {
        Attributes::new(u64::MAX)
    }

    /// The lowest address that the device reaches.
    #[must_use]
    pub fn first(mut self, first: u64) -> Attributes {
        self.raw.dma_attr_addr_lo = first;
        self
    }

    /// Pieces begin at multiples of this: a power of two.
    #[must_use]
    pub fn aligned(mut self, align: u64) -> Attributes {
        self.raw.dma_attr_align = align;
        self
    }

    /// At most so many pieces at once.
    #[must_use]
    pub fn segments(mut self, segments: u32) -> Attributes {
        self.raw.dma_attr_sgllen = c_int::try_from(segments).unwrap_or(c_int::MAX);
        self
    }

    /// Pieces of at most `len` bytes.
    #[must_use]
    pub fn segment_len(mut self, len: u64) -> Attributes {
        self.raw.dma_attr_count_max = len.saturating_sub(1);
        self
    }

    /// No piece crosses a multiple of `mask` + 1: for example 0xffff for a device with counters of 16 bits.
    #[must_use]
    pub fn boundary(mut self, mask: u64) -> Attributes {
        self.raw.dma_attr_seg = mask;
        self
    }

    /// At most so many bytes at once.
    #[must_use]
    pub fn transfer_len(mut self, len: u64) -> Attributes {
        self.raw.dma_attr_maxxfer = len;
        self
    }

    /// Lengths are multiples of this.
    #[must_use]
    pub fn granularity(mut self, bytes: u32) -> Attributes {
        self.raw.dma_attr_granular = bytes;
        self
    }

    /// The device's burst sizes, one bit for each power of two, and the least that it moves at once, in bytes.
    #[must_use]
    pub fn bursts(mut self, sizes: u32, least: u32) -> Attributes {
        self.raw.dma_attr_burstsizes = sizes;
        self.raw.dma_attr_minxfer = least;
        self
    }

    /// The device's writes may be seen in another order (`DDI_DMA_RELAXED_ORDERING`).
    #[must_use]
    pub fn relaxed(mut self) -> Attributes {
        self.raw.dma_attr_flags |= sys::DDI_DMA_RELAXED_ORDERING as u32;
        self
    }

    /// Errors that the bus sees are noted, for [`Binding::check`](super::Binding::check) (`DDI_DMA_FLAGERR`), if the system can tell
    /// ([`Capabilities::DMA`]).
    #[must_use]
    pub fn flag_errors(mut self, fm: &FaultManagement) -> Attributes {
        if fm.capabilities().contains(Capabilities::DMA) {
            self.raw.dma_attr_flags |= sys::DDI_DMA_FLAGERR as u32;
            self.fm = Some(fm.clone());
        }
        self
    }

    pub(super) fn raw(&self) -> sys::ddi_dma_attr_t {
        self.raw
    }

    pub(super) fn align(&self) -> u64 {
        self.raw.dma_attr_align
    }

    /// Returns whether the device reaches all addresses below `end`.
    pub(super) fn reach(&self, end: u64) -> bool {
        self.raw.dma_attr_addr_lo == 0 && self.raw.dma_attr_addr_hi >= end.saturating_sub(1)
    }
}
