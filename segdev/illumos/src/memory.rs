//! Kernel memory behind umem cookies, and the page that all trash mappings share.
//!
//! # Invariants
//!
//! A cookie lives as long as anything of it is mapped: so `ddi_umem_free(9F)` and `ddi_umem_unlock(9F)` want it of their callers. Its size, address and kind
//! do not change.

use core::ptr::{self, NonNull};

use ddi_sys as sys;
use segdev::{PAGE_SIZE, Pfn, UmemKind};

use crate::lock::Mutex;
use crate::space::address;

/// The invalid page frame number.
const NO_PAGE: Pfn = Pfn::MAX;

/// A reference to kernel memory: a `ddi_umem_cookie_t`.
pub struct Umem(NonNull<sys::ddi_umem_cookie>);

// SAFETY: only a name, and what is read of the cookie does not change.
unsafe impl Send for Umem {}
// SAFETY: as above.
unsafe impl Sync for Umem {}

/// The page that stands for all of every trash mapping, while there is one.
struct Trash {
    users: usize,
    cookie: sys::ddi_umem_cookie_t,
    pfn: Pfn,
}

// SAFETY: the mutex round it lets one thread at a time to it.
unsafe impl Send for Trash {}

static TRASH: Mutex<Trash> = Mutex::new(Trash { users: 0, cookie: ptr::null_mut(), pfn: NO_PAGE });

impl Trash {
    fn take(&mut self) {
        if self.users == 0 {
            // SAFETY: a place for the cookie. The context may sleep: user or kernel.
            let page =
                unsafe { sys::ddi_umem_alloc(PAGE_SIZE as usize, sys::DDI_UMEM_SLEEP, &mut self.cookie) };
            self.pfn = kernel_page(page.cast());
        }
        self.users += 1;
    }

    /// Gives up one use; returns the cookie to be freed when it was the last.
    fn release(&mut self) -> sys::ddi_umem_cookie_t {
        self.users -= 1;
        if self.users > 0 {
            return ptr::null_mut();
        }
        self.pfn = NO_PAGE;
        core::mem::replace(&mut self.cookie, ptr::null_mut())
    }
}

/// The kernel's own address space.
fn kernel() -> *mut sys::as_ {
    &raw mut sys::kas
}

/// The translations of an address space.
///
/// # Safety
/// It exists.
unsafe fn translations(space: *mut sys::as_) -> *mut sys::hat {
    // SAFETY: the caller's promise.
    unsafe { (*space).a_hat }
}

/// The page frame behind an address of the kernel.
#[inline(always)]
pub(crate) fn kernel_page(addr: sys::caddr_t) -> Pfn {
    // SAFETY: the kernel's address space always exists.
    let hat = unsafe { translations(kernel()) };
    // SAFETY: any address may be asked for.
    unsafe { sys::hat_getpfnum(hat, addr) }
}

impl Umem {
    /// The memory of a driver's cookie; `None` for NULL.
    ///
    /// # Safety
    /// A live cookie, or NULL.
    pub unsafe fn new(cookie: sys::ddi_umem_cookie_t) -> Option<Self> {
        let umem = Self(NonNull::new(cookie.cast())?);
        if segdev::Umem::kind(&umem) == UmemKind::Trash {
            TRASH.lock().take();
        }
        Some(umem)
    }

    fn cookie(&self) -> &sys::ddi_umem_cookie {
        // SAFETY: it lives as long as a reference to it (see the module's invariants).
        unsafe { self.0.as_ref() }
    }

    /// The page frame at this offset.
    fn page(&self, off: u64) -> Pfn {
        let cookie = self.cookie();
        let addr = address(cookie.cvaddr.addr() as u64 + off);
        if segdev::Umem::kind(self) != UmemKind::User {
            return kernel_page(addr);
        }
        if cookie.pparray.is_null() && cookie.asp.is_null() {
            return kernel_page(addr);
        }
        if cookie.pparray.is_null() {
            // SAFETY: memory of a process that is locked keeps its address space.
            let hat = unsafe { translations(cookie.asp) };
            // SAFETY: any address may be asked for.
            return unsafe { sys::hat_getpfnum(hat, addr) };
        }
        // SAFETY: one page for each of the size, and `run_of_pages` asks for no other.
        let page = unsafe { cookie.pparray.add((off / PAGE_SIZE) as usize) };
        // SAFETY: as above.
        let page = unsafe { *page };
        // SAFETY: locked pages stay.
        unsafe { sys::page_pptonum(page) }
    }

    /// As `run`, for all kinds and lengths.
    #[inline(never)]
    fn run_of_pages(&self, off: u64, len: u64) -> Option<(Pfn, u64)> {
        if segdev::Umem::kind(self) == UmemKind::Trash {
            let pfn = TRASH.lock().pfn;
            return (pfn != NO_PAGE).then_some((pfn, PAGE_SIZE));
        }
        let len = len.min(segdev::Umem::size(self).checked_sub(off)?);
        let first = self.page(off);
        if len == 0 || first == NO_PAGE {
            return None;
        }
        let mut pages = 1;
        while pages * PAGE_SIZE < len && self.page(off + pages * PAGE_SIZE) == first + pages {
            pages += 1;
        }
        Some((first, pages * PAGE_SIZE))
    }

    /// Locks or unlocks pages of pageable memory.
    fn fault(&self, off: u64, len: u64, ty: sys::fault_type) -> bool {
        // SAFETY: the kernel's address space always exists.
        let hat = unsafe { translations(kernel()) };
        let addr = address(self.cookie().cvaddr.addr() as u64 + off);
        // SAFETY: pageable memory of the kernel; an unlock is of pages that were locked.
        let rc = unsafe { sys::as_fault(hat, kernel(), addr, len as usize, ty, sys::S_WRITE) };
        rc == 0
    }
}

impl Clone for Umem {
    fn clone(&self) -> Self {
        if segdev::Umem::kind(self) == UmemKind::Trash {
            TRASH.lock().users += 1;
        }
        Self(self.0)
    }
}

impl Drop for Umem {
    fn drop(&mut self) {
        if segdev::Umem::kind(self) != UmemKind::Trash {
            return;
        }
        let page = TRASH.lock().release();
        // SAFETY: no mapping has it any more; NULL is ignored.
        unsafe { sys::ddi_umem_free(page) };
    }
}

impl PartialEq for Umem {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl segdev::Umem for Umem {
    fn kind(&self) -> UmemKind {
        match self.cookie().type_ as i32 {
            sys::KMEM_PAGEABLE => UmemKind::Pageable,
            sys::UMEM_TRASH => UmemKind::Trash,
            sys::UMEM_LOCKED => UmemKind::User,
            _ => UmemKind::Locked,
        }
    }

    fn size(&self) -> u64 {
        self.cookie().size as u64
    }

    fn kernel_address(&self) -> u64 {
        self.cookie().cvaddr.addr() as u64
    }

    #[inline(always)]
    fn run(&self, off: u64, len: u64) -> Option<(Pfn, u64)> {
        // Most often one page of memory that is always there: a fault.
        if len != PAGE_SIZE || self.cookie().type_ != sys::KMEM_NON_PAGEABLE as u32 || off >= self.size() {
            return self.run_of_pages(off, len);
        }
        let pfn = kernel_page(address(self.kernel_address() + off));
        (pfn != NO_PAGE).then_some((pfn, PAGE_SIZE))
    }

    fn lock_pages(&self, off: u64, len: u64) -> bool {
        self.fault(off, len, sys::F_SOFTLOCK)
    }

    fn unlock_pages(&self, off: u64, len: u64) {
        // Nothing can be done about a refusal.
        let _ = self.fault(off, len, sys::F_SOFTUNLOCK);
    }
}
