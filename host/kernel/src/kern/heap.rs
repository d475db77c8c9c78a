//! Kernel memory: kmem_alloc(9F) and kmem_free(9F) with a book of what is allocated.
//!
//! The book catches frees of the wrong size, double frees and leaks. In check mode a buffer has a red zone behind it, new memory is
//! filled with `baddcafe`, and freed memory is unmapped (kept aside), so that a use after free faults and is named.
//!
//! Locking: sharded leaf mutexes around the book.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use ddi_process::mapping::Mapping;
use ddi_process::physmem::{PAGE_SIZE, load};
use parking_lot::Mutex;
use rustc_hash::FxHashMap as HashMap;
use rustix::mm::{MprotectFlags, ProtFlags};

use super::trace::Trace;
use crate::board::report::Earlier;

/// One live buffer.
///
/// # Invariants
/// The address, the key in the book, was allocated with `layout`, or lies in `guarded`. Whoever takes the buffer out of the book frees it.
#[derive(Debug)]
struct Buffer {
    size: usize,
    layout: Layout,
    /// The mapping, in check mode.
    guarded: Option<Guarded>,
    /// Stack of the allocation, in check mode.
    allocated: Trace,
}

/// Pages of a buffer in check mode, followed by an inaccessible page. The driver owns the buffer's bytes until it frees them; the other bytes are not used.
#[derive(Debug)]
struct Guarded(Mapping);

impl Guarded {
    /// Returns a new one with room for `bytes` bytes before the guard page, or None.
    fn new(bytes: usize) -> Option<Self> {
        let len = bytes.next_multiple_of(PAGE) + PAGE;
        let new = Guarded(Mapping::new(len, ProtFlags::READ | ProtFlags::WRITE).ok()?);
        new.forbid(new.end()..new.0.addresses().end);
        Some(new)
    }

    /// Returns the start of its bytes.
    fn start(&self) -> usize {
        self.0.addresses().start
    }

    /// Returns the end of the bytes that can be touched.
    fn end(&self) -> usize {
        self.0.addresses().end - PAGE
    }

    fn contains(&self, address: usize) -> bool {
        self.0.addresses().contains(&address)
    }

    /// Makes accesses to whole pages of it fault.
    fn forbid(&self, pages: Range<usize>) {
        self.0.protect(pages, MprotectFlags::empty());
    }

    /// Stores a byte everywhere in a range of it that can be touched.
    fn fill(&self, bytes: Range<usize>, with: u8) {
        assert!(self.start() <= bytes.start && bytes.end <= self.end());
        // SAFETY: bytes of this mapping that can be touched, by the check.
        unsafe { (bytes.start as *mut u8).write_bytes(with, bytes.len()) };
    }

    /// Returns a copy of a range of it that can be touched.
    fn copy(&self, bytes: Range<usize>) -> Vec<u8> {
        assert!(self.start() <= bytes.start && bytes.end <= self.end());
        let mut copy = vec![0; bytes.len()];
        // SAFETY: bytes of this mapping that can be touched, by the check; the copy is new. The driver may still be writing to them.
        unsafe { load(bytes.start as *const u8, &mut copy) };
        copy
    }

    /// Makes every access fault, and gives the memory back.
    fn retire(&self) {
        self.0.clear(self.0.addresses());
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        STATE.guarded.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A buffer that was freed, in check mode.
#[derive(Clone, Debug)]
pub struct Freed {
    /// Address and size that the driver knew.
    pub start: usize,
    /// The size in bytes.
    pub size: usize,
    /// Stack of the allocation.
    pub allocated: Trace,
    /// Stack of the free.
    pub freed: Trace,
}

const SHARDS: usize = 16;
const PAGE: usize = PAGE_SIZE as usize;
/// Freed buffers kept unmapped in check mode.
const KEPT: usize = 4096;
/// Guarded buffers at once; beyond, buffers have no pages of their own (the number of mappings is limited).
const MAX_GUARDED: usize = 8192;

/// State of this file.
struct State {
    book: LazyLock<[Mutex<HashMap<usize, Buffer>>; SHARDS]>,
    /// The last buffers that were freed, and their mappings, which are kept so that a use faults.
    freed: Mutex<VecDeque<(Guarded, Freed)>>,
    check: AtomicBool,
    guarded: std::sync::atomic::AtomicUsize,
}

static STATE: State = State {
    book: LazyLock::new(Default::default),
    freed: Mutex::new(VecDeque::new()),
    check: AtomicBool::new(false),
    guarded: std::sync::atomic::AtomicUsize::new(0),
};
/// Turns guards and poison on or off, for buffers allocated from now on.
pub fn set_check(on: bool) {
    STATE.check.store(on, Ordering::Relaxed);
}

fn shard(address: usize) -> &'static Mutex<HashMap<usize, Buffer>> {
    &STATE.book[(address >> 6) % SHARDS]
}

/// Error of a free.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FreeError {
    /// Not the address of a live buffer.
    #[error("{0:#x} is not a buffer of kmem_alloc{how}", how = if .1.is_empty() { "" } else { ": it was freed before" })]
    Unknown(usize, Vec<Earlier>),
    /// The size differs from the one allocated.
    #[error("a buffer of {allocated} bytes is freed as one of {freed}")]
    WrongSize {
        /// Bytes allocated.
        allocated: usize,
        /// Bytes given to the free.
        freed: usize,
        /// Stack of the allocation.
        allocator: Box<Trace>,
    },
    /// Written behind its end.
    #[error("a buffer of {size} bytes was written {where_}, at byte {at}", where_ = if *.at < 0 { "before its start" } else { "behind its end" })]
    Overrun {
        /// The size.
        size: usize,
        /// The byte next to it that is not as it was.
        at: isize,
        /// Stack of the allocation.
        allocator: Box<Trace>,
    },
}

impl FreeError {
    /// Returns the earlier events of the buffer.
    pub fn earlier(&self) -> Vec<Earlier> {
        match self {
            FreeError::Unknown(_, earlier) => earlier.clone(),
            FreeError::WrongSize { allocator, .. } | FreeError::Overrun { allocator, .. } => {
                vec![Earlier::new("allocated", allocator.frames())]
            }
        }
    }
}

impl Freed {
    /// Returns the stacks of the free and of the allocation.
    pub fn earlier(&self) -> Vec<Earlier> {
        vec![Earlier::new("freed", self.freed.frames()), Earlier::new("allocated", self.allocated.frames())]
    }
}

/// Allocates `size` bytes (not 0) aligned to `align` (a power of two). NULL when there is no memory.
pub fn allocate(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    if STATE.check.load(Ordering::Relaxed)
        && STATE.guarded.load(Ordering::Relaxed) < MAX_GUARDED
        && align <= PAGE
    {
        return allocate_guarded(size, align, zeroed);
    }
    let Ok(layout) = Layout::from_size_align(size, align) else { return std::ptr::null_mut() };
    let allocator = if zeroed { alloc_zeroed } else { alloc };
    // SAFETY: the layout's size is not 0 (the callers see to it).
    let address = unsafe { allocator(layout) };
    if !address.is_null() {
        let buffer = Buffer { size, layout, guarded: None, allocated: here() };
        shard(address as usize).lock().insert(address as usize, buffer);
    }
    address
}

/// Returns the stack of the caller, in check mode.
fn here() -> Trace {
    if checking() { Trace::here() } else { Trace::default() }
}

/// Returns whether the check mode is on.
pub fn checking() -> bool {
    STATE.check.load(Ordering::Relaxed)
}

/// The alignment that kmem_alloc gives buffers of this size.
pub fn alignment(size: usize) -> usize {
    match size {
        PAGE.. => PAGE,
        64.. => 64,
        _ => 16,
    }
}

fn allocate_guarded(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    let Some(mapping) = Guarded::new(size) else { return std::ptr::null_mut() };
    STATE.guarded.fetch_add(1, Ordering::Relaxed);
    // The buffer ends as near to the guard page as its alignment allows.
    let start = (mapping.end() - size) & !(align - 1);
    if !zeroed {
        mapping.fill(start..start + size, 0xca);
    }
    mapping.fill(start + size..mapping.end(), RED);
    mapping.fill(mapping.start()..start, RED);
    let layout = Layout::from_size_align(size, align).expect("a mapping of this size exists");
    let buffer = Buffer { size, layout, guarded: Some(mapping), allocated: here() };
    shard(start).lock().insert(start, buffer);
    start as *mut u8
}

/// Byte that fills the red zone.
const RED: u8 = 0xbb;

/// Frees a buffer.
///
/// # Errors
/// The buffer stays as it is when the call is wrong.
pub fn free(address: *mut u8, size: usize) -> Result<(), FreeError> {
    free_at(address as usize, size)
}

fn free_at(start: usize, size: usize) -> Result<(), FreeError> {
    let address = start as *mut u8;
    let mut book = shard(start).lock();
    let Some(buffer) = book.get(&start) else {
        drop(book);
        let before = freed_at(start);
        return Err(FreeError::Unknown(start, before.map_or(Vec::new(), |f| f.earlier())));
    };
    if buffer.size != size {
        return Err(FreeError::WrongSize {
            allocated: buffer.size,
            freed: size,
            allocator: Box::new(buffer.allocated),
        });
    }
    let buffer = book.remove(&start).expect("it is there");
    drop(book);
    let Some(mapping) = buffer.guarded else {
        // SAFETY: the invariant: allocated with this layout, and out of the book now, so freed once.
        unsafe { dealloc(address, buffer.layout) };
        return Ok(());
    };
    let behind = mapping.copy(start + size..mapping.end()).iter().position(|&b| b != RED);
    let before = mapping.copy(mapping.start()..start).iter().rev().position(|&b| b != RED);
    let overrun = before.map(|at| -1 - at as isize).or(behind.map(|at| (size + at) as isize));
    mapping.retire();
    let freed = Freed { start, size, allocated: buffer.allocated, freed: Trace::here() };
    let mut kept = STATE.freed.lock();
    kept.push_back((mapping, freed));
    if kept.len() > KEPT {
        kept.pop_front();
    }
    drop(kept);
    overrun.map_or(Ok(()), |at| Err(FreeError::Overrun { size, at, allocator: Box::new(buffer.allocated) }))
}

/// The freed buffer in whose pages `address` lies, in check mode.
pub fn freed_at(address: usize) -> Option<Freed> {
    let kept = STATE.freed.try_lock()?;
    kept.iter().rev().find(|(mapping, _)| mapping.contains(address)).map(|(_, freed)| freed.clone())
}

/// The live buffer in whose guard page `address` lies, in check mode: its size, the offset in it, and who allocated it.
pub fn overrun_at(address: usize) -> Option<(usize, usize, Trace)> {
    STATE.book.iter().find_map(|shard| {
        let book = shard.try_lock()?;
        book.iter().find_map(|(&start, buffer)| {
            let inside = buffer.guarded.as_ref()?.contains(address);
            inside.then(|| (buffer.size, address - start, buffer.allocated))
        })
    })
}

/// Returns the bytes of the live buffer at an address; None if there is none.
pub fn size_of(address: usize) -> Option<usize> {
    shard(address).lock().get(&address).map(|b| b.size)
}

/// Returns the number of allocated buffers, and their bytes.
pub fn in_use() -> (usize, usize) {
    STATE.book.iter().fold((0, 0), |(count, bytes), shard| {
        let book = shard.lock();
        (count + book.len(), bytes + book.values().map(|b| b.size).sum::<usize>())
    })
}

/// The live buffers, at most `limit`, as text.
pub fn describe(limit: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for shard in STATE.book.iter() {
        for (address, buffer) in shard.lock().iter() {
            if lines.len() < limit {
                lines.push(format!(
                    "{} bytes at {address:#x}{}",
                    buffer.size,
                    buffer.allocated.phrase("allocated")
                ));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked_and_double_frees_found() {
        let a = allocate(100, 16, true);
        assert_eq!(size_of(a as usize), Some(100));
        assert!(matches!(free(a, 99), Err(FreeError::WrongSize { allocated: 100, freed: 99, .. })));
        free(a, 100).unwrap();
        assert!(matches!(free(a, 100), Err(FreeError::Unknown(..))));
        let page = allocate(5000, alignment(5000), false);
        assert_eq!(page as usize % PAGE, 0);
        free(page, 5000).unwrap();
    }

    #[test]
    fn a_guarded_buffer_notices_what_is_written_behind_it() {
        let a = allocate_guarded(100, 16, true);
        // SAFETY: byte 100 lies in the red zone of the buffer's own page.
        unsafe { a.wrapping_add(100).write(1) };
        assert!(matches!(free(a, 100), Err(FreeError::Overrun { size: 100, at: 100, .. })));
        assert_eq!(freed_at(a as usize).unwrap().size, 100);
        let a = allocate_guarded(100, 16, true);
        // SAFETY: the byte before the buffer is its own page's.
        unsafe { a.wrapping_sub(1).write(1) };
        let error = free(a, 100).unwrap_err();
        assert!(error.to_string().contains("before its start, at byte -1"), "{error}");
    }
}
