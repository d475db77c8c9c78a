//! Simulated kernel memory: umem cookies with made-up addresses and page frames.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::sync::Mutex;

use super::locks::own;
use crate::platform::{Umem, UmemKind};
use crate::types::{PAGE_SHIFT, PAGE_SIZE, Pfn};

/// The page frame of the one trash page.
const TRASH_PFN: Pfn = 7;

/// A umem cookie.
#[derive(Clone)]
pub struct SimUmem(Arc<Inner>);

struct Inner {
    kind: UmemKind,
    size: u64,
    kaddr: u64,
    pfn: Pfn,
    stride: u64,
    locks: Mutex<Vec<u32>>,
}

/// Why a cookie cannot be freed cleanly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UmemError {
    /// A page of pageable memory is still locked.
    PageLocked(u64),
    /// A mapping still refers to it.
    Mapped,
}

impl fmt::Display for UmemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PageLocked(page) => write!(f, "page {page} is still locked"),
            Self::Mapped => f.write_str("a mapping still refers to it"),
        }
    }
}

impl SimUmem {
    /// Cookie number `index` of a scenario, with the addresses and page frames that the corpus gives it.
    pub fn new(index: u64, kind: UmemKind, size: u64, stride: u64) -> Self {
        let kaddr = if kind == UmemKind::Trash { 0 } else { 0xffff_8000_0000_0000 + index * 0x1000_0000 };
        let pages = (size >> PAGE_SHIFT) as usize;
        Self(Arc::new(Inner {
            kind,
            size,
            kaddr,
            pfn: 0x20_0000 + index * 0x1_0000,
            stride,
            locks: Mutex::new(alloc::vec![0; pages]),
        }))
    }

    /// Whether it can be freed: this is the only reference, and no page is locked.
    ///
    /// # Errors
    /// Says why not.
    pub fn check_free(&self) -> Result<(), UmemError> {
        if let Some(page) = own(&self.0.locks).iter().position(|n| *n > 0) {
            return Err(UmemError::PageLocked(page as u64));
        }
        if self.references() > 1 {
            return Err(UmemError::Mapped);
        }
        Ok(())
    }

    /// How many references there are, this one included.
    pub fn references(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// How many locks its pages carry together.
    pub fn page_locks(&self) -> u64 {
        own(&self.0.locks).iter().map(|n| u64::from(*n)).sum()
    }
}

impl PartialEq for SimUmem {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Umem for SimUmem {
    fn kind(&self) -> UmemKind {
        self.0.kind
    }
    fn size(&self) -> u64 {
        self.0.size
    }
    fn kernel_address(&self) -> u64 {
        self.0.kaddr
    }
    fn run(&self, off: u64, len: u64) -> Option<(Pfn, u64)> {
        if self.0.kind == UmemKind::Trash {
            return Some((TRASH_PFN, PAGE_SIZE));
        }
        let left = self.0.size.checked_sub(off).filter(|left| *left > 0)?;
        let pfn = self.0.pfn + (off >> PAGE_SHIFT) * self.0.stride;
        Some((pfn, if self.0.stride == 1 { len.min(left) } else { PAGE_SIZE }))
    }
    fn lock_pages(&self, off: u64, len: u64) -> bool {
        let mut locks = own(&self.0.locks);
        let range = (off >> PAGE_SHIFT) as usize..((off + len) >> PAGE_SHIFT) as usize;
        match locks.get_mut(range) {
            Some(pages) => {
                pages.iter_mut().for_each(|n| *n += 1);
                true
            }
            None => false,
        }
    }
    fn unlock_pages(&self, off: u64, len: u64) {
        let range = (off >> PAGE_SHIFT) as usize..((off + len) >> PAGE_SHIFT) as usize;
        for n in &mut own(&self.0.locks)[range] {
            *n = n.checked_sub(1).expect("a page is unlocked more often than it was locked");
        }
    }
}
