//! An address space as the owner of translations.
//!
//! Translations are entered by pieces too short for the kernel to use large pages: it panics when part of a large page is
//! unloaded, and changes the protections of all of it. What is soft-locked is noted page by page, because the memory layer counts locks by page
//! table: a lock that is taken twice, or lost with an unload, would be given back once too often, which panics, too. The notes are in tables behind
//! leaf mutexes, and nobody looks there for pages that are not locked.
//!
//! # Invariants
//!
//! The address space exists as long as one of its segments does, so as long as a handle in it is not dead; segdev calls with the handle's
//! lock held, and the handle not dead.

use ddi_sys as sys;
use segdev::pages::Pages;
use segdev::{PAGE_SIZE, Pfn, Prot, Run};

use crate::lock::Mutex;

/// The longest piece that is loaded at once: no large page lies within.
const PIECE: u64 = (2 << 20) - PAGE_SIZE;

/// An address space; equal when it is the same.
#[derive(Clone, Copy, PartialEq)]
pub struct Space(*mut sys::as_);

// SAFETY: only a name here; what it points to is changed by the kernel's functions.
unsafe impl Send for Space {}
// SAFETY: as above.
unsafe impl Sync for Space {}

/// Number of locks on each locked page, by address space (as a number) and address.
type Locks = Pages<usize, (usize, u64)>;

/// The locks of address spaces whose names have the same remainder.
static LOCKS: [Mutex<Locks>; 4] = [const { Mutex::new(Locks::new()) }; 4];

/// An address, as the kernel's functions take it.
pub(crate) fn address(va: u64) -> sys::caddr_t {
    core::ptr::with_exposed_provenance_mut(va as usize)
}

fn pages(va: u64, len: u64) -> impl Iterator<Item = u64> {
    (va..va + len).step_by(PAGE_SIZE as usize)
}

/// Memory attributes that the cache attributes of kernel memory mean.
fn cache_attr(attr: u32) -> u32 {
    match attr as i32 & sys::IOMEM_DATA_MASK {
        sys::IOMEM_DATA_UNCACHED => sys::HAT_STRICTORDER | sys::HAT_PLAT_NOCACHE,
        sys::IOMEM_DATA_UC_WR_COMBINE => sys::HAT_MERGING_OK | sys::HAT_PLAT_NOCACHE,
        _ => sys::HAT_UNORDERED_OK,
    }
}

fn user(prot: Prot) -> u32 {
    u32::from((prot | Prot::USER).bits())
}

impl Space {
    /// The address space that the kernel knows by this pointer.
    pub fn new(space: *mut sys::as_) -> Self {
        Self(space)
    }

    /// The kernel's name for it.
    pub fn as_ptr(&self) -> *mut sys::as_ {
        self.0
    }

    fn hat(&self) -> *mut sys::hat {
        // SAFETY: the address space exists (see the module's invariants).
        unsafe { (*self.0).a_hat }
    }

    /// Enters translations.
    #[inline(always)]
    pub(crate) fn load(&self, va: u64, run: Run) {
        let attr = user(run.prot) | if run.device { run.attr } else { cache_attr(run.attr) };
        if run.lock {
            return self.load_locked(va, run.len, run.pfn, attr);
        }
        let hat = self.hat();
        let (mut va, mut left, mut pfn) = (va, run.len, run.pfn);
        while left > PIECE {
            Self::load_piece(hat, va, PIECE, pfn, attr);
            (va, left, pfn) = (va + PIECE, left - PIECE, pfn + PIECE / PAGE_SIZE);
        }
        Self::load_piece(hat, va, left, pfn, attr);
    }

    #[inline(always)]
    fn load_piece(hat: *mut sys::hat, va: u64, len: u64, pfn: Pfn, attr: u32) {
        // SAFETY: pages of this mapping, in an address space that the caller of segdev has locked; page frames that the device or the
        // cookie has.
        unsafe { sys::hat_devload(hat, address(va), len as usize, pfn, attr, sys::HAT_LOAD as i32) };
    }

    #[inline(never)]
    fn load_locked(&self, va: u64, len: u64, pfn: Pfn, attr: u32) {
        for (va, pfn) in pages(va, len).zip(pfn..) {
            let flags = if self.lock_page(va) { sys::HAT_LOAD_LOCK } else { sys::HAT_LOAD };
            // SAFETY: as in `load_piece`.
            unsafe { sys::hat_devload(self.hat(), address(va), PAGE_SIZE as usize, pfn, attr, flags as i32) };
        }
    }

    /// A page of it, as the tables of locks name it.
    fn page(&self, va: u64) -> (usize, u64) {
        (self.0.addr(), va)
    }

    /// The table that has the locks of its pages.
    fn locks(&self) -> &'static Mutex<Locks> {
        const { assert!(LOCKS.len().is_power_of_two()) };
        // Address spaces are some hundred bytes long.
        &LOCKS[(self.0.addr() >> 9) % LOCKS.len()]
    }

    /// Notes one more lock of a page; returns whether it is the first.
    fn lock_page(&self, va: u64) -> bool {
        let mut first = false;
        self.locks().lock().change(self.page(va), |count| {
            *count += 1;
            first = *count == 1;
            true
        });
        first
    }

    /// Drops translations, and their locks; without `locked` there are none.
    #[inline(always)]
    pub(crate) fn unload(&self, va: u64, len: u64, locked: bool) {
        if locked {
            self.unload_locked(va, len);
        }
        self.drop_range(va, len, sys::HAT_UNLOAD);
    }

    #[inline(never)]
    fn unload_locked(&self, va: u64, len: u64) {
        let mut locks = self.locks().lock();
        while let Some((_, page)) = locks.take_first(self.page(va), self.page(va + (len - 1))) {
            self.drop_range(page, PAGE_SIZE, sys::HAT_UNLOAD_UNLOCK);
        }
    }

    #[inline]
    fn drop_range(&self, va: u64, len: u64, flags: u32) {
        // SAFETY: pages of this mapping; translations of other processes may be dropped, which the flag says.
        unsafe { sys::hat_unload(self.hat(), address(va), len as usize, flags | sys::HAT_UNLOAD_OTHER) };
    }

    /// Takes a lock from every locked page.
    pub(crate) fn unlock(&self, va: u64, len: u64) {
        let mut locks = self.locks().lock();
        for page in pages(va, len) {
            let Some(count) = locks.get_mut(self.page(page)) else { continue };
            *count -= 1;
            if *count > 0 {
                continue;
            }
            locks.remove(self.page(page));
            // SAFETY: a page of this mapping with a translation that `load` has locked once; the caller of segdev has locked the address space.
            unsafe { sys::hat_unlock(self.hat(), address(page), PAGE_SIZE as usize) };
        }
    }

    /// Changes protections. Translations of device memory with these attributes are entered anew: the kernel leaves them as they are.
    pub(crate) fn protect(&self, va: u64, len: u64, prot: Prot, device: Option<u32>) {
        let Some(attr) = device else {
            // SAFETY: pages of this mapping, in an address space that is locked.
            unsafe { sys::hat_chgprot(self.hat(), address(va), len as usize, user(prot)) };
            return;
        };
        let mut at = va;
        while at < va + len {
            let Some(pfn) = self.frame(at) else {
                at += PAGE_SIZE;
                continue;
            };
            let more =
                pages(at, va + len - at).zip(pfn..).take_while(|(page, pfn)| self.frame(*page) == Some(*pfn));
            let found = more.count() as u64 * PAGE_SIZE;
            self.unload(at, found, true);
            let run = Run { len: found, pfn, prot, attr, lock: false, device: true, page_size: PAGE_SIZE };
            self.load(at, run);
            at += found;
        }
    }

    /// The page frame that a page has a translation to.
    fn frame(&self, va: u64) -> Option<Pfn> {
        // SAFETY: a page of this mapping, in an address space that is locked.
        let pfn = unsafe { sys::hat_getpfnum(self.hat(), address(va)) };
        (pfn != Pfn::MAX).then_some(pfn)
    }

    /// Wakes those who wait until pages of this address space are unlocked: the kernel waits so when an unmap or a change of protections was
    /// answered with `EAGAIN`.
    pub(crate) fn wake(&self) {
        let space = self.0;
        // SAFETY: the address space exists.
        let contents = unsafe { &raw mut (*space).a_contents };
        // SAFETY: its mutex.
        unsafe { sys::mutex_enter(contents) };
        // SAFETY: its flags, which the mutex protects.
        let flags = unsafe { &mut (*space).a_flags };
        let waiting = u32::from(*flags) & sys::AS_UNMAPWAIT as u32 != 0;
        *flags &= !(sys::AS_UNMAPWAIT as u8);
        if waiting {
            // SAFETY: its condition variable.
            let cv = unsafe { &raw mut (*space).a_cv };
            // SAFETY: as above.
            unsafe { sys::cv_broadcast(cv) };
        }
        // SAFETY: taken above.
        unsafe { sys::mutex_exit(contents) };
    }
}
