//! Kernel memory that drivers export: what a `ddi_umem_cookie_t` stands for.
//!
//! A cookie is the address of an image of the kernel's structure; it is looked up before it is followed. The memory itself
//! is freed when the cookie is freed and the last mapping removed. Locking: one lock protects the table of cookies, a leaf.

use std::collections::VecDeque;
use std::mem::offset_of;
use std::sync::{Arc, LazyLock};

use ddi_process::physmem::PAGE_SIZE;
use ddi_sys::behind_umem;
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap as HashMap;
use segdev::{Pfn, UmemKind};

use super::frames;
use super::memory::memory;
use crate::board::report::Earlier;
use crate::kern::image::Image;
use crate::kern::trace::Trace;

/// Memory.
pub struct Memory {
    kind: UmemKind,
    size: u64,
    pfn: Pfn,
    image: Box<Image<{ size_of::<behind_umem>() }>>,
    /// The memory that these pages are part of, if they are.
    whole: Option<Arc<Memory>>,
}

/// `type` of the kernel's structure.
const KMEM_NON_PAGEABLE: u32 = 0x200;
const KMEM_PAGEABLE: u32 = 0x100;
const LOCKED: u32 = 0x400;
const TRASH: u32 = 0x800;

/// State of this file.
struct State {
    cookies: LazyLock<RwLock<HashMap<usize, Arc<Memory>>>>,
    /// Images of freed cookies, kept so that their addresses are not soon those of others.
    freed: Mutex<VecDeque<Box<Image<{ size_of::<behind_umem>() }>>>>,
    records: LazyLock<Mutex<Records>>,
    /// The one trash page.
    trash_page: LazyLock<Option<Pfn>>,
}

static STATE: State = State {
    cookies: LazyLock::new(RwLock::default),
    freed: Mutex::new(VecDeque::new()),
    records: LazyLock::new(Mutex::default),
    trash_page: LazyLock::new(|| memory().alloc(1, 1)),
};
/// Record of a cookie, for reports.
#[derive(Clone, Copy)]
struct Record {
    cookie: usize,
    start: usize,
    size: u64,
    allocated: Trace,
    freed: Trace,
}

/// Records of cookies.
#[derive(Default)]
struct Records {
    live: HashMap<usize, Record>,
    /// Those freed last.
    freed: VecDeque<Record>,
}

const REMEMBERED: usize = 1024;

/// Returns whether the pages of such memory are locked while it exists. Those of pageable memory are while it is mapped, which is not seen here.
fn locked(kind: UmemKind) -> bool {
    !matches!(kind, UmemKind::Trash | UmemKind::Pageable)
}

/// Pages of a large page.
const LARGE: u64 = 512;

impl Memory {
    /// Allocates; `None` when there is no memory. `size` is not 0.
    pub fn new(kind: UmemKind, size: u64) -> Option<Arc<Self>> {
        let size = size.checked_next_multiple_of(PAGE_SIZE)?;
        let pages = size / PAGE_SIZE;
        let pfn = match kind {
            // A process's large pages are as aligned as they are large.
            UmemKind::User if pages.is_multiple_of(LARGE) => memory().alloc(pages, LARGE)?,
            UmemKind::Trash => (*STATE.trash_page)?,
            _ => memory().alloc(pages, 1)?,
        };
        if locked(kind) {
            frames::lock(pfn, pages);
        }
        let image = Image::new();
        let new = Memory { kind, size, pfn, image, whole: None };
        new.image.set(offset_of!(behind_umem, size), size as usize);
        new.image.set(offset_of!(behind_umem, cvaddr), new.address());
        new.image.set32(
            offset_of!(behind_umem, type_),
            match kind {
                UmemKind::Pageable => KMEM_PAGEABLE,
                UmemKind::Trash => TRASH,
                UmemKind::User => LOCKED,
                _ => KMEM_NON_PAGEABLE,
            },
        );
        Some(Arc::new(new))
    }

    /// Part of pinned memory, with a cookie of its own.
    pub fn part(whole: Arc<Memory>, off: u64, len: u64) -> Arc<Self> {
        let pfn = whole.pfn + off / PAGE_SIZE;
        let new = Memory { kind: whole.kind, size: len, pfn, image: Image::new(), whole: Some(whole) };
        new.image.set(offset_of!(behind_umem, size), len as usize);
        new.image.set(offset_of!(behind_umem, cvaddr), new.address());
        new.image.set32(offset_of!(behind_umem, type_), LOCKED);
        Arc::new(new)
    }

    /// Returns its kernel address; 0 for trash.
    pub fn address(&self) -> usize {
        if self.kind == UmemKind::Trash { 0 } else { memory().ptr(self.pfn).as_ptr() as usize }
    }

    /// Bytes, whole pages.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns its kind.
    pub fn kind(&self) -> UmemKind {
        self.kind
    }

    /// Returns its first page frame.
    pub fn pfn(&self) -> Pfn {
        self.pfn
    }

    /// The cookie.
    pub fn cookie(&self) -> usize {
        self.image.address()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.kind != UmemKind::Trash && self.whole.is_none() {
            if locked(self.kind) {
                frames::unlock(self.pfn, self.size / PAGE_SIZE);
            }
            memory().free(self.pfn, self.size / PAGE_SIZE);
        }
        let mut freed = STATE.freed.lock();
        freed.push_back(std::mem::replace(&mut self.image, Image::new()));
        if freed.len() > 4096 {
            freed.pop_front();
        }
    }
}

/// Makes a cookie for the memory.
pub fn publish(memory: Arc<Memory>) -> usize {
    let cookie = memory.cookie();
    let (start, size) = (memory.address(), memory.size);
    let record = Record { cookie, start, size, allocated: Trace::here(), freed: Trace::default() };
    STATE.records.lock().live.insert(cookie, record);
    STATE.cookies.write().insert(cookie, memory);
    cookie
}

/// Returns the memory of a driver's cookie.
pub fn find(cookie: usize) -> Option<Arc<Memory>> {
    STATE.cookies.read().get(&cookie).cloned()
}

/// Takes a cookie back.
pub fn retract(cookie: usize) -> Option<Arc<Memory>> {
    let mut records = STATE.records.lock();
    let Records { live, freed } = &mut *records;
    if let Some(record) = live.remove(&cookie) {
        freed.push_back(Record { freed: Trace::here(), ..record });
        if freed.len() > REMEMBERED {
            freed.pop_front();
        }
    }
    drop(records);
    STATE.cookies.write().remove(&cookie)
}

impl Record {
    fn earlier(&self) -> Vec<Earlier> {
        vec![Earlier::new("freed", self.freed.frames()), Earlier::new("allocated", self.allocated.frames())]
    }
}

/// Returns the earlier events of a cookie that was freed.
pub fn freed(cookie: usize) -> Vec<Earlier> {
    let records = STATE.records.lock();
    records.freed.iter().rev().find(|r| r.cookie == cookie).map_or(Vec::new(), Record::earlier)
}

/// Describes an address in physical memory that cannot be used, for a report; with what happened to the memory there.
pub fn explain(address: usize) -> Option<(String, Vec<Earlier>)> {
    memory().frame_of(address as *const u8)?;
    Some(match freed_at(address) {
        Some((offset, size, before)) => {
            (format!("byte {offset:#x} of {size} bytes that ddi_umem_free gave back is used"), before)
        }
        None => (format!("{address:#x} is memory that ddi_umem_free gave back"), Vec::new()),
    })
}

/// The freed memory that an address was in: offset, size, and what happened to it.
fn freed_at(address: usize) -> Option<(u64, u64, Vec<Earlier>)> {
    let records = STATE.records.try_lock()?;
    let inside = |r: &&Record| (address.checked_sub(r.start)).is_some_and(|off| (off as u64) < r.size);
    let record = records.freed.iter().rev().filter(|r| r.start != 0).find(inside)?;
    Some(((address - record.start) as u64, record.size, record.earlier()))
}

/// Cookies that exist, and their bytes.
pub fn in_use() -> (usize, u64) {
    let all = STATE.cookies.read();
    (all.len(), all.values().map(|m| m.size).sum())
}

/// The cookies that exist, at most `limit`, as text: who allocated them.
pub fn describe(limit: usize) -> Vec<String> {
    let mut records: Vec<Record> = STATE.records.lock().live.values().copied().collect();
    records.sort_unstable_by_key(|record| record.cookie);
    let text = |Record { cookie, size, allocated, .. }: &Record| {
        format!("{size} bytes, cookie {cookie:#x}{}", allocated.phrase("allocated"))
    };
    records.iter().take(limit).map(text).collect()
}

/// Owner of the pages of a mapping: a vnode. The methods call the driver; user context, no lock of this folder's is held.
pub trait Pager: Send + Sync {
    /// Returns the bytes that are mapped.
    fn size(&self) -> u64;
    /// Returns the frame of the page at an offset of the mapping; None if there is none at the moment.
    fn frame(&self, off: u64) -> Option<Pfn>;
    /// Asks for the page at an offset. Returns 0 or an errno.
    fn getpage(&self, off: u64, address: u64, rw: i32) -> i32;
    /// Called when a mapping is made in the address space at `space`. Returns 0 or an errno.
    fn addmap(&self, off: u64, space: usize, address: u64, len: u64, prot: u8) -> i32;
    /// Called when a mapping, or a part of one, has been removed.
    fn delmap(&self, off: u64, space: usize, address: u64, len: u64);
    /// Counts a mapping.
    fn hold(&self);
    /// Drops the count of a mapping.
    fn release(&self);
    /// Returns whether the first mapping has been made.
    fn is_live(&self) -> bool;
}

/// segdev's reference to memory.
#[derive(Clone)]
pub enum Umem {
    /// Behind a cookie.
    Cookie(Arc<Memory>),
    /// Pages that an old driver's mmap(9E) names one by one.
    Mmap(Arc<MmapPages>),
    /// Pages of a vnode, those that it has at the moment.
    Vnode(Arc<dyn Pager>),
}

/// Pages by mmap(9E).
pub struct MmapPages {
    /// Page frames, in order.
    pub frames: Vec<Pfn>,
    /// The kernel address of the first, if they have one.
    pub address: u64,
}

impl PartialEq for Umem {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Umem::Cookie(a), Umem::Cookie(b)) => Arc::ptr_eq(a, b),
            (Umem::Mmap(a), Umem::Mmap(b)) => Arc::ptr_eq(a, b),
            (Umem::Vnode(a), Umem::Vnode(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl segdev::Umem for Umem {
    fn kind(&self) -> UmemKind {
        match self {
            Umem::Cookie(memory) => memory.kind,
            Umem::Mmap(_) | Umem::Vnode(_) => UmemKind::Locked,
        }
    }

    fn size(&self) -> u64 {
        match self {
            Umem::Cookie(memory) if memory.kind == UmemKind::Trash => !(PAGE_SIZE - 1),
            Umem::Cookie(memory) => memory.size,
            Umem::Mmap(pages) => pages.frames.len() as u64 * PAGE_SIZE,
            Umem::Vnode(pages) => pages.size(),
        }
    }

    fn kernel_address(&self) -> u64 {
        match self {
            Umem::Cookie(memory) => memory.address() as u64,
            Umem::Mmap(pages) => pages.address,
            Umem::Vnode(_) => 0,
        }
    }

    fn run(&self, off: u64, len: u64) -> Option<(Pfn, u64)> {
        match self {
            Umem::Cookie(memory) if memory.kind == UmemKind::Trash => Some((memory.pfn, PAGE_SIZE)),
            Umem::Cookie(memory) => {
                let left = memory.size.checked_sub(off).filter(|left| *left > 0)?;
                Some((memory.pfn + off / PAGE_SIZE, len.min(left)))
            }
            Umem::Mmap(pages) => {
                let at = usize::try_from(off / PAGE_SIZE).ok()?;
                let frames = pages.frames.get(at..)?;
                let first = *frames.first()?;
                let run =
                    frames.iter().zip(first..).take_while(|(frame, want)| *frame == want).count() as u64;
                Some((first, len.min(run * PAGE_SIZE)))
            }
            Umem::Vnode(pages) => pages.frame(off).map(|pfn| (pfn, len.min(PAGE_SIZE))),
        }
    }

    fn lock_pages(&self, _off: u64, _len: u64) -> bool {
        // The pages of physical memory are always there.
        true
    }

    fn unlock_pages(&self, _off: u64, _len: u64) {}
}
