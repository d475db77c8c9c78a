//! Bus addresses of kernel memory that has no page frames, as an IOMMU provides them.
//!
//! Physical memory is at its own address on the bus. Other memory (kmem_alloc(9F)) gets numbers of unused
//! page frames while it is bound for DMA, by which a device accesses it. Locking: a leaf lock.

use std::collections::BTreeMap;

use ddi_process::physmem::PAGE_SIZE;
use parking_lot::RwLock;

use crate::vm::memory;

/// First frame number to kernel address and number of pages.
static MAPPED: RwLock<BTreeMap<u64, (usize, u64)>> = RwLock::new(BTreeMap::new());

/// Addresses for `len` bytes of memory: the bus address of the first byte.
pub fn map(address: usize, len: usize) -> Option<u64> {
    let page = PAGE_SIZE as usize;
    let first = address & !(page - 1);
    let pages = (address + len - first).div_ceil(page) as u64;
    let frame = memory().reserve(pages)?;
    MAPPED.write().insert(frame, (first, pages));
    Some(frame * PAGE_SIZE + (address - first) as u64)
}

/// Takes the addresses back.
pub fn unmap(bus: u64) {
    let frame = bus / PAGE_SIZE;
    if let Some((_, pages)) = MAPPED.write().remove(&frame) {
        memory().free(frame, pages);
    }
}

/// Returns the place of the byte at a bus address.
pub fn translate(bus: u64) -> Option<*mut u8> {
    let (frame, offset) = (bus / PAGE_SIZE, (bus % PAGE_SIZE) as usize);
    let mapped = MAPPED.read();
    if let Some((first, (address, pages))) = mapped.range(..=frame).next_back()
        && frame < first + pages
    {
        let page = (frame - first) as usize * PAGE_SIZE as usize;
        return Some((address + page + offset) as *mut u8);
    }
    drop(mapped);
    (frame > 0 && frame < memory().pages()).then(|| memory().ptr(frame).as_ptr().wrapping_add(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_without_frames_has_an_address_while_it_is_mapped() {
        let buffer = vec![7_u8; 10_000];
        let address = buffer.as_ptr() as usize;
        let bus = map(address, buffer.len()).unwrap();
        assert_eq!(bus % PAGE_SIZE, address as u64 % PAGE_SIZE);
        assert_eq!(translate(bus + 9_999).map(|at| at as usize), Some(address + 9_999));
        unmap(bus);
        assert_ne!(translate(bus).map(|at| at as usize), Some(address));
        let pfn = memory().alloc(1, 1).unwrap();
        assert_eq!(translate(pfn * PAGE_SIZE + 5), Some(memory().ptr(pfn).as_ptr().wrapping_add(5)));
        memory().free(pfn, 1);
    }
}
