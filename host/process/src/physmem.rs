//! Physical memory: one sparse memfd, mapped whole in the host. A page frame number (pfn) is an offset in it, in pages.
//!
//! Frames are given out in contiguous runs, zero-filled, and given back to Linux when freed. The first MiB is never given out, as on a PC. Behind the frames the
//! file continues as a *void*, which never has pages: mappings whose frames are not known yet refer to it.
//!
//! Locking: one leaf lock protects the free list; any context that may block. Whether a frame has an owner can be asked without it, as every load does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::mm::MprotectFlags;

use super::failpoint::fails;
use super::mapping::Mapping;

pub use ddi_wire::PAGE_SIZE;

/// Copies to memory that processes may be reading and writing at the same time, by one instruction that the compiler cannot analyse, and never through a
/// reference.
///
/// # Safety
/// `to` is valid for writes of as many bytes, and no Rust reference to them is used meanwhile.
pub unsafe fn store(to: *mut u8, from: &[u8]) {
    // SAFETY: by the caller.
    unsafe { copy_bytes(to, from.as_ptr(), from.len()) }
}

/// Copies from memory that processes may be writing at the same time. Which of two values is found, and for how many of the bytes, is not defined.
///
/// # Safety
/// `from` is valid for reads of as many bytes, and no Rust reference writes to them meanwhile.
pub unsafe fn load(from: *const u8, to: &mut [u8]) {
    // SAFETY: by the caller.
    unsafe { copy_bytes(to.as_mut_ptr(), from, to.len()) }
}

/// # Safety
/// Both sides are valid for as many bytes, and do not overlap.
unsafe fn copy_bytes(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: loads and stores the bytes that the caller names, and nothing else.
    unsafe {
        core::arch::asm!(
            "rep movsb",
            inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
}
/// Default size of physical memory in bytes; it is sparse, so it costs nothing until used.
pub const DEFAULT_SIZE: u64 = 16 << 30;
/// Frames of a PC's legacy hole (640 KiB to 1 MiB): the display's and the firmware's, not memory.
pub const LEGACY: Range<u64> = 0xa0..0x100;
/// Bytes of the void behind the frames.
const VOID: u64 = 1 << 40;
/// The memfd's name in `/proc/PID/maps`, by which the shim's agent recognizes it.
const NAME: &std::ffi::CStr = ddi_wire::MEMORY_NAME;

/// The physical memory of a host.
///
/// # Invariants
/// `map` is a mapping of the first `pages` pages of `file`. `file` does not shrink. A
/// frame has an owner or is in one of the free runs, and is empty there unless it is among the touched ones. A bit of `owned` is set only while its frame has an owner;
/// it is changed under the lock. Processes map the frames, too: their contents may change at any
/// time, so no reference to them is made, and holders of a frame's address use it as [`store`] and [`load`] do.
#[derive(Debug)]
pub struct PhysMem {
    file: File,
    map: Mapping,
    pages: u64,
    free: Mutex<Free>,
    /// A bit for each frame.
    owned: Box<[AtomicU64]>,
    /// Free frames are inaccessible in the host's mapping.
    guard: AtomicBool,
}

/// Free runs: first frame to length in frames; neighbours are merged.
#[derive(Debug)]
struct Free {
    runs: BTreeMap<u64, u64>,
    pages: u64,
    /// Free frames that were touched: they may have contents.
    touched: BTreeSet<u64>,
}

impl Free {
    fn take(&mut self, npages: u64, align: u64, within: &Range<u64>) -> Option<u64> {
        let (start, len, pfn) = self.runs.iter().find_map(|(&start, &len)| {
            let pfn = start.max(within.start).checked_next_multiple_of(align)?;
            let end = pfn.checked_add(npages)?;
            (end <= (start + len).min(within.end)).then_some((start, len, pfn))
        })?;
        self.runs.remove(&start);
        if pfn > start {
            self.runs.insert(start, pfn - start);
        }
        if pfn + npages < start + len {
            self.runs.insert(pfn + npages, start + len - pfn - npages);
        }
        self.pages -= npages;
        Some(pfn)
    }

    fn give(&mut self, pfn: u64, npages: u64) {
        let overlap = self.runs.range(..pfn + npages).next_back().is_some_and(|(&s, &l)| s + l > pfn);
        assert!(!overlap, "page frames {pfn:#x}+{npages:#x} freed twice");
        let (mut start, mut len) = (pfn, npages);
        if let Some((&s, &l)) = self.runs.range(..pfn).next_back()
            && s + l == pfn
        {
            self.runs.remove(&s);
            start = s;
            len += l;
        }
        if let Some(l) = self.runs.remove(&(pfn + npages)) {
            len += l;
        }
        self.runs.insert(start, len);
        self.pages += npages;
    }
}

impl PhysMem {
    /// Makes physical memory of `bytes` (rounded up to a page; at least two pages), all free.
    ///
    /// # Errors
    /// When Linux has no memfd, or not that much address space.
    pub fn new(bytes: u64) -> io::Result<Arc<PhysMem>> {
        let pages = bytes.div_ceil(PAGE_SIZE).max(2);
        let file = File::from(memfd_create(NAME, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        file.set_len(pages * PAGE_SIZE + VOID)?;
        // A client cannot shrink the file under our mapping.
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let len = usize::try_from(pages * PAGE_SIZE).map_err(io::Error::other)?;
        let map = Mapping::of_file(&file, len)?;
        // A core dump of the host need not hold the devices' memory.
        map.leave_out_of_core();
        let first = if pages > 2 * LEGACY.end { LEGACY.end } else { 1 };
        let runs = BTreeMap::from([(first, pages - first)]);
        let free = Free { runs, pages: pages - first, touched: BTreeSet::new() };
        let owned = (0..pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Arc::new(PhysMem {
            file,
            map,
            pages,
            free: Mutex::new(free),
            owned,
            guard: AtomicBool::new(false),
        }))
    }

    /// Allocates `npages` contiguous zero-filled frames, the first a multiple of `align` frames. `None`: no such run is free, `npages` is 0, or `align`
    /// is 0. The pages are really there afterwards (a fault on them is a minor fault).
    pub fn alloc(&self, npages: u64, align: u64) -> Option<u64> {
        self.alloc_within(npages, align, 0..u64::MAX)
    }

    /// The same with all frames in a range.
    pub fn alloc_within(&self, npages: u64, align: u64, within: Range<u64>) -> Option<u64> {
        if npages == 0 || align == 0 || fails("page frames") {
            return None;
        }
        let pfn = {
            let mut free = self.free.lock();
            let pfn = free.take(npages, align, &within)?;
            self.set_owned(pfn, npages, true);
            let touched: Vec<u64> = free.touched.range(pfn..pfn + npages).copied().collect();
            for page in touched {
                free.touched.remove(&page);
                self.punch(page, 1);
            }
            pfn
        };
        if self.fallocate(FallocateFlags::empty(), pfn, npages).is_err() {
            self.free(pfn, npages);
            return None;
        }
        self.protect(pfn, npages, MprotectFlags::READ | MprotectFlags::WRITE);
        Some(pfn)
    }

    /// Takes the numbers of `npages` contiguous frames without their memory. [`free`](Self::free) gives them back.
    pub fn reserve(&self, npages: u64) -> Option<u64> {
        if npages == 0 {
            return None;
        }
        let mut free = self.free.lock();
        let pfn = free.take(npages, 1, &(0..u64::MAX))?;
        self.set_owned(pfn, npages, true);
        Some(pfn)
    }

    /// Frees `npages` frames from `pfn` on. No translation to them may be left: later contents are another owner's.
    ///
    /// # Panics
    /// When one of them is not allocated: that is a bug of the host or the driver.
    pub fn free(&self, pfn: u64, npages: u64) {
        if npages == 0 {
            return;
        }
        assert!(pfn >= 1 && pfn + npages <= self.pages, "page frames {pfn:#x}+{npages:#x} do not exist");
        let mut free = self.free.lock();
        free.give(pfn, npages);
        self.set_owned(pfn, npages, false);
        // Under the lock: the run must be empty before it is allocated again.
        self.punch(pfn, npages);
        self.protect(pfn, npages, MprotectFlags::empty());
    }

    /// Populates frames, whether allocated or not, so that they can be mapped: the kernel's drivers map memory by its address.
    /// Returns false if there are no such frames.
    pub fn touch(&self, pfn: u64, npages: u64) -> bool {
        if npages == 0 || pfn.checked_add(npages).is_none_or(|end| end > self.pages) {
            return false;
        }
        if self.is_owned(pfn, npages) {
            return true;
        }
        let mut free = self.free.lock();
        let end = pfn + npages;
        let from = free.runs.range(..=pfn).next_back().map_or(pfn, |(&at, _)| at);
        let runs = free.runs.range(from..end).map(|(&at, &n)| at.max(pfn)..(at + n).min(end));
        let unowned: Vec<u64> = runs.flatten().collect();
        free.touched.extend(unowned);
        // Contents that there are stay.
        self.fallocate(FallocateFlags::empty(), pfn, npages).is_ok()
    }

    /// The word of `owned` with a frame's bit, and the bit.
    fn owner(&self, pfn: u64) -> (&AtomicU64, u64) {
        (&self.owned[(pfn / 64) as usize], 1 << (pfn % 64))
    }

    /// Notes under the lock whether frames have an owner.
    fn set_owned(&self, pfn: u64, npages: u64, owned: bool) {
        for (word, bit) in (pfn..pfn + npages).map(|pfn| self.owner(pfn)) {
            if owned {
                word.fetch_or(bit, Ordering::Release)
            } else {
                word.fetch_and(!bit, Ordering::Release)
            };
        }
    }

    /// Returns whether all of these frames have an owner. Their memory is there then, but for those that are only reserved.
    fn is_owned(&self, pfn: u64, npages: u64) -> bool {
        (pfn..pfn + npages)
            .map(|pfn| self.owner(pfn))
            .all(|(word, bit)| word.load(Ordering::Acquire) & bit != 0)
    }

    /// Empties frames without an owner.
    fn punch(&self, pfn: u64, npages: u64) {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if self.fallocate(hole, pfn, npages).is_err() {
            // SAFETY: the range lies within the mapping, by the invariant, and has no owner.
            unsafe { self.ptr(pfn).as_ptr().write_bytes(0, (npages * PAGE_SIZE) as usize) };
        }
    }

    fn fallocate(&self, how: FallocateFlags, pfn: u64, npages: u64) -> rustix::io::Result<()> {
        rustix::fs::fallocate(&self.file, how, pfn * PAGE_SIZE, npages * PAGE_SIZE)
    }

    /// From now on the host's view of frames that are freed cannot be touched until they are allocated again, so that a use after free is
    /// noticed.
    pub fn set_guard(&self, guard: bool) {
        self.guard.store(guard, Ordering::Relaxed);
    }

    fn protect(&self, pfn: u64, npages: u64, prot: MprotectFlags) {
        if self.guard.load(Ordering::Relaxed) {
            let start = self.ptr(pfn).addr().get();
            // Frames that have no owner, yet or any more.
            self.map.protect(start..start + (npages * PAGE_SIZE) as usize, prot);
        }
    }

    /// The host's own view of a frame: where its first byte is, for as long as the frame is allocated. Frames that follow each other
    /// follow each other here too.
    ///
    /// # Panics
    /// When there is no such frame.
    pub fn ptr(&self, pfn: u64) -> NonNull<u8> {
        assert!(pfn < self.pages, "page frame {pfn:#x} does not exist");
        // Within the mapping, so the address does not overflow.
        self.map
            .base()
            .map_addr(|base| base.checked_add((pfn * PAGE_SIZE) as usize).expect("an address in the mapping"))
    }

    /// The frame and the offset in it that a host address lies in; `None` if it does not lie in physical memory.
    pub fn frame_of(&self, ptr: *const u8) -> Option<(u64, u64)> {
        let off = ptr.addr().checked_sub(self.map.addresses().start)? as u64;
        (off < self.pages * PAGE_SIZE).then_some((off / PAGE_SIZE, off % PAGE_SIZE))
    }

    /// Frames there are, frame 0 included.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Frames that are free.
    pub fn free_pages(&self) -> u64 {
        self.free.lock().pages
    }

    /// File offset, in pages, of the void: `npages` of it, or `None` when that is more than there is.
    pub(crate) fn void(&self, npages: u64) -> Option<u64> {
        (npages <= VOID / PAGE_SIZE).then_some(self.pages)
    }
}

impl AsFd for PhysMem {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_zero_filled_aligned_and_given_back_whole() {
        let mem = PhysMem::new(64 * PAGE_SIZE).unwrap();
        let all = mem.free_pages();
        let a = mem.alloc(3, 1).unwrap();
        let b = mem.alloc(8, 8).unwrap();
        assert_eq!(b % 8, 0);
        // SAFETY: the frame is allocated; one byte of it.
        unsafe { mem.ptr(a).write(7) };
        assert_eq!(mem.frame_of(mem.ptr(b).as_ptr()), Some((b, 0)));
        mem.free(a, 3);
        let again = mem.alloc(3, 1).unwrap();
        // SAFETY: the frame is allocated.
        assert_eq!(unsafe { mem.ptr(again).read() }, 0);
        mem.free(again, 3);
        mem.free(b, 8);
        assert_eq!(mem.free_pages(), all);
        assert_eq!(mem.free.lock().runs.len(), 1);
        assert!(mem.alloc(64, 1).is_none());
        assert!(mem.alloc(0, 1).is_none());
    }

    #[test]
    fn frames_within_a_range_and_frames_that_were_looked_at() {
        let mem = PhysMem::new(2048 * PAGE_SIZE).unwrap();
        assert_eq!(mem.alloc(1, 1), Some(LEGACY.end));
        assert_eq!(mem.alloc_within(4, 16, 1000..1020), Some(1008));
        assert_eq!(mem.alloc_within(4, 16, 1000..1020), None);
        assert!(mem.touch(1500, 2) && mem.touch(LEGACY.start, 1) && !mem.touch(2047, 2));
        // SAFETY: the frame exists, and nobody owns it.
        unsafe { mem.ptr(1501).write(7) };
        assert_eq!(mem.alloc_within(1, 1, 1501..1502), Some(1501));
        // SAFETY: the frame is allocated.
        assert_eq!(unsafe { mem.ptr(1501).read() }, 0);
    }

    #[test]
    fn a_load_of_frames_that_have_an_owner_waits_for_no_lock() {
        let mem = PhysMem::new(2048 * PAGE_SIZE).unwrap();
        let pfn = mem.alloc(100, 1).unwrap();
        let reserved = mem.reserve(3).unwrap();
        {
            let _free = mem.free.lock();
            assert!(mem.touch(pfn, 100) && mem.touch(reserved, 3));
        }
        mem.free(pfn, 70);
        assert!(!mem.is_owned(pfn + 69, 2) && mem.is_owned(pfn + 70, 30));
    }

    #[test]
    fn shared_memory_is_copied_whole_while_it_changes() {
        let mem = PhysMem::new(64 * PAGE_SIZE).unwrap();
        let pfn = mem.alloc(1, 1).unwrap();
        let (frame, stop) = (mem.ptr(pfn).as_ptr() as usize, AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // SAFETY: an allocated frame, to which there are no references.
                    unsafe { store(frame as *mut u8, &[0xff; 100]) };
                    // SAFETY: as above.
                    unsafe { store(frame as *mut u8, &[0; 100]) };
                }
            });
            for _ in 0..10_000 {
                let mut seen = [7; 100];
                // SAFETY: as above.
                unsafe { load(frame as *const u8, &mut seen) };
                assert!(seen.iter().all(|byte| [0, 0xff].contains(byte)));
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    #[should_panic(expected = "freed twice")]
    fn freeing_twice_is_a_bug() {
        let mem = PhysMem::new(64 * PAGE_SIZE).unwrap();
        let a = mem.alloc(3, 1).unwrap();
        mem.free(a, 3);
        mem.free(a + 1, 1);
    }
}
