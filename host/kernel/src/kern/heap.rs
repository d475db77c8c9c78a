//! Kernel memory: kmem_alloc(9F) and kmem_free(9F) with a book of what is allocated.
//!
//! The book catches frees of the wrong size, double frees and leaks. In check mode a buffer has a red zone behind it, new memory is
//! filled with `baddcafe`, and freed memory is unmapped (kept aside), so that a use after free faults and is named.
//!
//! Locking: sharded leaf mutexes around the book.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::collections::{HashMap, VecDeque};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use ddi_process::physmem::PAGE_SIZE;
use parking_lot::Mutex;

use super::trace::Trace;
use crate::board::report::Earlier;

/// One live buffer.
#[derive(Clone, Debug)]
struct Buffer {
    size: usize,
    layout: Layout,
    /// Start of the mapping, in check mode.
    guarded: Option<Guarded>,
    /// Who allocated it, in check mode.
    allocated: Trace,
}

#[derive(Clone, Copy, Debug)]
struct Guarded {
    base: usize,
    len: usize,
}

/// A buffer that was freed, in check mode.
#[derive(Clone, Debug)]
pub struct Freed {
    base: usize,
    len: usize,
    /// Address and size that the driver knew.
    pub start: usize,
    /// Its size in bytes.
    pub size: usize,
    /// Who allocated it.
    pub allocated: Trace,
    /// Who freed it.
    pub freed: Trace,
}

const SHARDS: usize = 16;
const PAGE: usize = PAGE_SIZE as usize;
/// Freed buffers kept unmapped in check mode.
const KEPT: usize = 4096;
/// Guarded buffers at once; beyond, buffers have no pages of their own (the number of mappings is limited).
const MAX_GUARDED: usize = 8192;

static BOOK: LazyLock<[Mutex<HashMap<usize, Buffer>>; SHARDS]> = LazyLock::new(Default::default);
static FREED: Mutex<VecDeque<Freed>> = Mutex::new(VecDeque::new());
static CHECK: AtomicBool = AtomicBool::new(false);
static GUARDED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Turns guards and poison on or off, for buffers allocated from now on.
pub fn set_check(on: bool) {
    CHECK.store(on, Ordering::Relaxed);
}

fn shard(address: usize) -> &'static Mutex<HashMap<usize, Buffer>> {
    &BOOK[(address >> 6) % SHARDS]
}

/// What is wrong with a free.
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
        /// Who allocated it.
        allocator: Box<Trace>,
    },
    /// Written behind its end.
    #[error("a buffer of {size} bytes was written {where_}, at byte {at}", where_ = if *.at < 0 { "before its start" } else { "behind its end" })]
    Overrun {
        /// Its size.
        size: usize,
        /// The byte next to it that is not as it was.
        at: isize,
        /// Who allocated it.
        allocator: Box<Trace>,
    },
}

impl FreeError {
    /// What happened to the buffer before.
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
    /// Who freed it, and who had allocated it.
    pub fn earlier(&self) -> Vec<Earlier> {
        vec![Earlier::new("freed", self.freed.frames()), Earlier::new("allocated", self.allocated.frames())]
    }
}

/// Allocates `size` bytes (not 0) aligned to `align` (a power of two). NULL when there is no memory.
pub fn allocate(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    if CHECK.load(Ordering::Relaxed) && GUARDED.load(Ordering::Relaxed) < MAX_GUARDED && align <= PAGE {
        return allocate_guarded(size, align, zeroed);
    }
    let Ok(layout) = Layout::from_size_align(size, align) else { return std::ptr::null_mut() };
    // SAFETY: the layout's size is not 0 (the callers see to it).
    let address = if zeroed { unsafe { alloc_zeroed(layout) } } else { unsafe { alloc(layout) } };
    if !address.is_null() {
        let buffer = Buffer { size, layout, guarded: None, allocated: here() };
        shard(address as usize).lock().insert(address as usize, buffer);
    }
    address
}

/// Who allocates, in check mode.
fn here() -> Trace {
    if checking() { Trace::here() } else { Trace::default() }
}

/// Is the check mode on?
pub fn checking() -> bool {
    CHECK.load(Ordering::Relaxed)
}

/// The alignment that kmem_alloc gives buffers of this size.
pub fn alignment(size: usize) -> usize {
    match size {
        PAGE.. => PAGE,
        64.. => 64,
        _ => 16,
    }
}

fn map(len: usize) -> Option<usize> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping wherever there is room.
    let base =
        unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    (base != libc::MAP_FAILED).then_some(base as usize)
}

fn allocate_guarded(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    // Whole pages, then one that cannot be touched; the buffer ends as near to that as its alignment allows.
    let pages = size.next_multiple_of(PAGE);
    let len = pages + PAGE;
    let Some(base) = map(len) else { return std::ptr::null_mut() };
    // SAFETY: the last page of the mapping just made.
    unsafe { libc::mprotect((base + pages) as *mut _, PAGE, libc::PROT_NONE) };
    let start = (base + pages - size) & !(align - 1);
    let address = start as *mut u8;
    if !zeroed {
        // SAFETY: within the mapping.
        unsafe { address.write_bytes(0xca, size) };
    }
    let gap = base + pages - start - size;
    // SAFETY: the bytes between the buffer and the guard page.
    unsafe { address.wrapping_add(size).write_bytes(RED, gap) };
    // SAFETY: the bytes between the mapping's start and the buffer.
    unsafe { (base as *mut u8).write_bytes(RED, start - base) };
    GUARDED.fetch_add(1, Ordering::Relaxed);
    let layout = Layout::from_size_align(size, align).expect("a mapping of this size exists");
    let buffer = Buffer { size, layout, guarded: Some(Guarded { base, len }), allocated: here() };
    shard(start).lock().insert(start, buffer);
    address
}

/// What fills the red zone.
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
    let Some(guard) = buffer.guarded else {
        // SAFETY: allocated with this layout, and out of the book now, so freed once.
        unsafe { dealloc(address, buffer.layout) };
        return Ok(());
    };
    let gap = guard.base + guard.len - PAGE - start - size;
    // SAFETY: the bytes between the buffer and its guard page.
    let red = unsafe { std::slice::from_raw_parts(address.wrapping_add(size), gap) };
    let behind = red.iter().position(|&b| b != RED).map(|at| (size + at) as isize);
    // SAFETY: the bytes between the mapping's start and the buffer.
    let red = unsafe { std::slice::from_raw_parts(guard.base as *const u8, start - guard.base) };
    let before = red.iter().rev().position(|&b| b != RED).map(|at| -1 - at as isize);
    let overrun = before.or(behind);
    // SAFETY: the buffer's own pages; nobody may use them any more.
    unsafe { libc::mprotect(guard.base as *mut _, guard.len, libc::PROT_NONE) };
    // SAFETY: as above; gives the memory itself back.
    unsafe { libc::madvise(guard.base as *mut _, guard.len, libc::MADV_DONTNEED) };
    let mut kept = FREED.lock();
    kept.push_back(Freed {
        base: guard.base,
        len: guard.len,
        start,
        size,
        allocated: buffer.allocated,
        freed: Trace::here(),
    });
    if kept.len() > KEPT
        && let Some(old) = kept.pop_front()
    {
        // SAFETY: a mapping of this module's own that nothing refers to any more.
        unsafe { libc::munmap(old.base as *mut _, old.len) };
        GUARDED.fetch_sub(1, Ordering::Relaxed);
    }
    drop(kept);
    overrun.map_or(Ok(()), |at| Err(FreeError::Overrun { size, at, allocator: Box::new(buffer.allocated) }))
}

/// The freed buffer in whose pages `address` lies, in check mode.
pub fn freed_at(address: usize) -> Option<Freed> {
    FREED.try_lock()?.iter().rev().find(|f| (f.base..f.base + f.len).contains(&address)).cloned()
}

/// The live buffer in whose guard page `address` lies, in check mode: its size, the offset in it, and who allocated it.
pub fn overrun_at(address: usize) -> Option<(usize, usize, Trace)> {
    BOOK.iter().find_map(|shard| {
        let book = shard.try_lock()?;
        book.iter().find_map(|(&start, buffer)| {
            let guard = buffer.guarded?;
            let inside = (guard.base..guard.base + guard.len).contains(&address);
            inside.then(|| (buffer.size, address - start, buffer.allocated))
        })
    })
}

/// Is it the address of a live buffer, and of how many bytes?
pub fn size_of(address: usize) -> Option<usize> {
    shard(address).lock().get(&address).map(|b| b.size)
}

/// What is allocated now: buffers and bytes.
pub fn in_use() -> (usize, usize) {
    BOOK.iter().fold((0, 0), |(count, bytes), shard| {
        let book = shard.lock();
        (count + book.len(), bytes + book.values().map(|b| b.size).sum::<usize>())
    })
}

/// The live buffers, at most `limit`, as text.
pub fn describe(limit: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for shard in BOOK.iter() {
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
