//! [`Attributes`]: the addresses that a device reaches and the pieces that it takes (`ddi_dma_attr(9S)`). Values.

use core::ffi::c_int;

use ddi_sys as sys;

use crate::fm::{Capabilities, FaultManagement};

/// Capabilities of a device's DMA engine: `ddi_dma_attr(9S)`. Default: any address below a limit, one piece, no alignment.
#[derive(Clone)]
pub struct Attributes {
    raw: sys::ddi_dma_attr_t,
    /// Set if errors are flagged and the system supports it.
    pub(super) fm: Option<FaultManagement>,
}

impl Attributes {
    /// Creates the attributes of a device that reaches addresses up to and including `last`.
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

    /// Creates the attributes of a device with 32-bit addresses.
    pub fn bits32() -> Attributes {
        Attributes::new(u32::MAX.into()).boundary(u32::MAX.into())
    }

    /// Creates the attributes of a device with 64-bit addresses.
    pub fn bits64() -> Attributes {
        Attributes::new(u64::MAX)
    }

    /// Sets the lowest address that the device reaches.
    #[must_use]
    pub fn first(mut self, first: u64) -> Attributes {
        self.raw.dma_attr_addr_lo = first;
        self
    }

    /// Sets the alignment of pieces: a power of two.
    #[must_use]
    pub fn aligned(mut self, align: u64) -> Attributes {
        self.raw.dma_attr_align = align;
        self
    }

    /// Sets the maximum number of pieces of a transfer.
    #[must_use]
    pub fn segments(mut self, segments: u32) -> Attributes {
        self.raw.dma_attr_sgllen = c_int::try_from(segments).unwrap_or(c_int::MAX);
        self
    }

    /// Sets the maximum length of a piece in bytes.
    #[must_use]
    pub fn segment_len(mut self, len: u64) -> Attributes {
        self.raw.dma_attr_count_max = len.saturating_sub(1);
        self
    }

    /// Sets the boundary: no piece crosses a multiple of `mask` + 1, for example 0xffff for a device with 16-bit counters.
    #[must_use]
    pub fn boundary(mut self, mask: u64) -> Attributes {
        self.raw.dma_attr_seg = mask;
        self
    }

    /// Sets the maximum length of a transfer in bytes.
    #[must_use]
    pub fn transfer_len(mut self, len: u64) -> Attributes {
        self.raw.dma_attr_maxxfer = len;
        self
    }

    /// Sets the granularity: lengths are multiples of this.
    #[must_use]
    pub fn granularity(mut self, bytes: u32) -> Attributes {
        self.raw.dma_attr_granular = bytes;
        self
    }

    /// Sets the device's burst sizes, one bit for each power of two, and its minimum transfer in bytes.
    #[must_use]
    pub fn bursts(mut self, sizes: u32, least: u32) -> Attributes {
        self.raw.dma_attr_burstsizes = sizes;
        self.raw.dma_attr_minxfer = least;
        self
    }

    /// Allows the device's writes to be seen in another order (`DDI_DMA_RELAXED_ORDERING`).
    #[must_use]
    pub fn relaxed(mut self) -> Attributes {
        self.raw.dma_attr_flags |= sys::DDI_DMA_RELAXED_ORDERING as u32;
        self
    }

    /// Flags errors that the bus detects, for [`Binding::check`](super::Binding::check) (`DDI_DMA_FLAGERR`), if the system supports that
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
