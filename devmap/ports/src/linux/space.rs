//! [`AddressSpace`]: all mappings of a device, to take pages away from them.
//!
//! Locks: the list of pages, over those of each. In LinuxKPI's mode the list of objects, over an mmap(2) and a close; then that of the process, over each operation.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Deref;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use devmap::kmem::try_push;
use devmap::page::size;
use devmap::sync::Mutex;
use devmap::{Attach, Errno, Mappings};

use crate::linux::area::Area;
use crate::page;
use crate::pages::Pages;
use crate::pieces::Trash;

/// Rules for areas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Linux's: each mapping has an area, and each copy of it another.
    Linux,
    /// FreeBSD's LinuxKPI's: areas with operations are objects, whose identity is the private data's pointer. An mmap(2) with a pointer that is there already uses that area, or a part of it, and drops the
    /// new one, for which no `close` comes; fork(2) and munmap(2) call nothing, until the last mapping of the pointer goes: then `close` is called, once. Operations of one
    /// process's areas run one at a time. Private mappings are refused.
    LinuxKpi,
}

/// Serialises the operations of a process in LinuxKPI's mode (`mmap_sem`).
pub(super) type Mm = Mutex<()>;

/// An area of LinuxKPI's mode, which all mappings of its private data share.
pub(super) struct Object<P: Send + Sync + 'static> {
    pub area: Area<P>,
    /// That of the process which has mapped it first.
    pub mm: Arc<Mm>,
    /// Number of shares; changed under the lock of the objects.
    shares: AtomicUsize,
}

/// A mapping's share of an object, which is closed with the last.
pub(super) struct Share<P: Send + Sync + 'static> {
    object: Arc<Object<P>>,
    space: AddressSpace<P>,
}

impl<P: Send + Sync + 'static> Deref for Share<P> {
    type Target = Object<P>;
    fn deref(&self) -> &Object<P> {
        &self.object
    }
}

impl<P: Send + Sync + 'static> Clone for Share<P> {
    fn clone(&self) -> Share<P> {
        let _objects = self.space.0.objects.lock();
        self.object.shares.fetch_add(1, Relaxed);
        Share { object: Arc::clone(&self.object), space: self.space.clone() }
    }
}

impl<P: Send + Sync + 'static> Drop for Share<P> {
    fn drop(&mut self) {
        let mut objects = self.space.0.objects.lock();
        if self.object.shares.fetch_sub(1, Relaxed) != 1 {
            return;
        }
        objects.retain(|object| !Arc::ptr_eq(object, &self.object));
        // Under the lock: no mmap(2) finds the driver's data before it is closed.
        let _mm = self.object.mm.lock();
        self.object.area.close();
    }
}

/// A mapping's hold on its area.
pub(super) enum Kind<P: Send + Sync + 'static> {
    /// An own one, which is closed with it.
    Own(Area<P>),
    /// A share of one.
    Shared(Share<P>),
}

impl<P: Send + Sync + 'static> Kind<P> {
    pub fn area(&self) -> &Area<P> {
        match self {
            Kind::Own(area) => area,
            Kind::Shared(share) => &share.area,
        }
    }
}

struct Inner<P: Send + Sync + 'static> {
    mode: Mode,
    mappings: Mappings,
    /// The pages of the areas of which any was known; each is at its place.
    pages: Mutex<Vec<Arc<Pages>>>,
    trash: Trash,
    objects: Mutex<Vec<Arc<Object<P>>>>,
    /// By their numbers, those that have objects.
    processes: Mutex<Vec<(i32, Arc<Mm>)>>,
    minor: AtomicU64,
    major: AtomicU64,
}

/// All mappings of an instance, of all its minor nodes: `address_space`, with the `i_mmap` of it. Keep it in the device. Clones are the same.
pub struct AddressSpace<P: Send + Sync + 'static>(Arc<Inner<P>>);

impl<P: Send + Sync + 'static> Clone for AddressSpace<P> {
    fn clone(&self) -> AddressSpace<P> {
        AddressSpace(Arc::clone(&self.0))
    }
}

impl<P: Send + Sync + 'static> AddressSpace<P> {
    /// That of an instance, which has one. In attach.
    pub fn new(attach: &Attach<'_>, mode: Mode) -> AddressSpace<P> {
        AddressSpace(Arc::new(Inner {
            mode,
            mappings: attach.mappings(),
            pages: Mutex::new(Vec::new()),
            trash: Trash::new(),
            objects: Mutex::new(Vec::new()),
            processes: Mutex::new(Vec::new()),
            minor: AtomicU64::new(0),
            major: AtomicU64::new(0),
        }))
    }

    /// Returns its rules.
    pub fn mode(&self) -> Mode {
        self.0.mode
    }

    /// Returns the number of mappings, pieces and copies included.
    pub fn len(&self) -> usize {
        self.0.mappings.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of faults that were answered: minor and major.
    pub fn faults(&self) -> (u64, u64) {
        (self.0.minor.load(Relaxed), self.0.major.load(Relaxed))
    }

    pub(super) fn trash(&self) -> &Trash {
        &self.0.trash
    }

    /// Lists pages until they are [removed](AddressSpace::remove). `ENOMEM`.
    pub(super) fn add(&self, pages: Arc<Pages>) -> Result<Arc<Pages>, Errno> {
        let mut list = self.0.pages.lock();
        pages.place.store(list.len(), Relaxed);
        try_push(&mut list, Arc::clone(&pages))?;
        Ok(pages)
    }

    /// An area has these no more. With the last, they are not listed any more.
    pub(super) fn remove(&self, pages: Arc<Pages>) {
        let mut list = self.0.pages.lock();
        let place = pages.place.load(Relaxed);
        // Under the lock, so that one who gives them up is the last. The list has them still.
        drop(pages);
        if place >= list.len() || list.get(place).is_none_or(|pages| Arc::strong_count(pages) > 1) {
            return;
        }
        let gone = list.swap_remove(place);
        if let Some(moved) = list.get(place) {
            moved.place.store(place, Relaxed);
        }
        drop(list);
        // Outside of the lock: they may have the last reference to memory.
        drop(gone);
    }

    pub(super) fn count(&self, major: bool) {
        let counter = if major { &self.0.major } else { &self.0.minor };
        counter.fetch_add(1, Relaxed);
    }

    /// Takes the pages of `len` bytes from device offset `start` on away from every mapping of every process, whole pages; to the end, if `len` is 0: `unmap_mapping_range`. The next access to each
    /// is a fault, or `SIGBUS` if the area has none.
    ///
    /// Any thread, any mutex of the driver's held, but none that is held while a page is inserted. What a fault under way has answered before is not loaded: it is asked again. Goes on after an error
    /// and returns the first.
    pub fn unmap_mapping_range(&self, start: u64, len: u64) -> Result<(), Errno> {
        let end = match len {
            0 => u64::MAX,
            _ => page::start(start.saturating_add(len).saturating_add(size() as u64 - 1)),
        };
        let start = page::start(start);
        for pages in self.0.pages.lock().iter() {
            if let Some(bytes) = pages.part(start, end) {
                pages.zap(&mut pages.state.lock(), &bytes);
            }
        }
        // Afterwards: what a fault under way loads it loads before this, or sees that it was taken away.
        let len = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        Ok(self.0.mappings.set().unload_range(start, len)?)
    }

    /// The lock of a process's operations. `ENOMEM`.
    pub(super) fn mm(&self, process: i32) -> Result<Arc<Mm>, Errno> {
        let mut processes = self.0.processes.lock();
        processes.retain(|(_, mm)| Arc::strong_count(mm) > 1);
        if let Some((_, mm)) = processes.iter().find(|(known, _)| *known == process) {
            return Ok(Arc::clone(mm));
        }
        let mm = Arc::new(Mutex::new(()));
        try_push(&mut processes, (process, Arc::clone(&mm)))?;
        Ok(mm)
    }

    /// An mmap(2) in LinuxKPI's mode: the object of the private data that `make` gives the area, the one that is there or a new one; the area itself, if it has no operations.
    pub(super) fn share(
        &self,
        mut area: Area<P>,
        process: i32,
        make: impl FnOnce(&mut Area<P>) -> Result<(), Errno>,
    ) -> Result<Kind<P>, Errno> {
        let mm = self.mm(process)?;
        let mut objects = self.0.objects.lock();
        // Room first: what is made is not taken back.
        objects.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        {
            let _mm = mm.lock();
            make(&mut area)?;
        }
        if !area.has_ops {
            return Ok(Kind::Own(area));
        }
        let private = area.private().ok_or(Errno::EINVAL)?;
        let same =
            |object: &&Arc<Object<P>>| object.area.private().is_some_and(|known| Arc::ptr_eq(known, private));
        let object = match objects.iter().find(same) {
            Some(object) => Arc::clone(object),
            None => {
                let object = Arc::new(Object { area, mm, shares: AtomicUsize::new(0) });
                try_push(&mut objects, Arc::clone(&object))?;
                object
            }
        };
        object.shares.fetch_add(1, Relaxed);
        Ok(Kind::Shared(Share { object, space: self.clone() }))
    }
}
