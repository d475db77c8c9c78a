//! What a driver calls to say what a handle maps: `devmap_devmem_setup`, `devmap_umem_setup` and their remaps.
//!
//! Context: user or kernel, not interrupt. Setup functions are called from `devmap(9E)`, remaps from anywhere; either takes the
//! handle's lock only. A remap unloads and switches with that lock held, so it is atomic with respect to faults.

use alloc::sync::Arc;
use core::fmt;

use crate::frames::{self, Frame};
use crate::framework::Framework;
use crate::handle::{Handle, Hold};
use crate::object::{NOWHERE, Object, View};
use crate::platform::{Device as _, Node, Platform, Umem, UmemKind};
use crate::shared::Shared;
use crate::state::{Shape, State};
use crate::types::{PAGE_MASK, PAGE_SHIFT, Prot, SetupFlags, page_ceil, page_floor};

/// The call was refused and has changed nothing (`DDI_FAILURE`, -1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetupError;

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the setup or remap call was refused: check flags, protections, cookie and range")
    }
}

impl core::error::Error for SetupError {}

/// The callbacks that a driver gives with a handle. They are copied.
pub struct Given<'a, P: Platform> {
    /// Names the device instance (the devinfo node). Contexts are one per instance and access callback.
    pub instance: u64,
    /// The callbacks.
    pub callbacks: &'a P::Callbacks,
}

/// The arguments of [`Framework::devmem_setup`].
pub struct DevmemSetup<'a, P: Platform> {
    /// The register set.
    pub rnumber: u32,
    /// Offset in it, bytes; rounded down to a page.
    pub off: u64,
    /// Bytes; rounded up to pages.
    pub len: u64,
    /// The largest protection that the mapping may ever have.
    pub maxprot: Prot,
    /// `DEVMAP_*`.
    pub flags: SetupFlags,
    /// Memory attributes, passed on to [`Platform::load`] together with those of the register set.
    pub attr: u32,
    /// The driver's callbacks, if any.
    pub callbacks: Option<Given<'a, P>>,
}

/// The arguments of [`Framework::umem_setup`].
pub struct UmemSetup<'a, P: Platform> {
    /// The memory; `None` for a NULL cookie.
    pub umem: Option<P::Umem>,
    /// Offset in it, bytes; rounded down to a page.
    pub off: u64,
    /// Bytes; rounded up to pages.
    pub len: u64,
    /// The largest protection that the mapping may ever have.
    pub maxprot: Prot,
    /// `DEVMAP_*` and at most one cache attribute.
    pub flags: SetupFlags,
    /// Memory attributes, passed on to [`Platform::load`] together with the cache attribute.
    pub attr: u32,
    /// The driver's callbacks, if any.
    pub callbacks: Option<Given<'a, P>>,
}

const DRIVER_FLAGS: SetupFlags =
    SetupFlags::MAPPING_INVALID.union(SetupFlags::ALLOW_REMAP).union(SetupFlags::USE_PAGESIZE);

/// Pages of a handle, and the memory that they are to map.
pub struct PagesOf<P: Platform> {
    /// User offset of the first, in bytes.
    pub off: u64,
    /// Bytes.
    pub len: u64,
    /// Greatest protection to load them with.
    pub maxprot: Prot,
    /// The memory.
    pub memory: PageMemory<P>,
}

/// Memory of pages.
pub enum PageMemory<P: Platform> {
    /// Kernel memory, from this offset on.
    Umem(P::Umem, u64),
    /// A register set, from this offset on, with these attributes.
    Devmem(u32, u64, u32),
}

/// Whether a handle may be given this maximum protection.
fn prot_fits<P: Platform>(st: &State<P>, maxprot: Prot) -> bool {
    (st.terms.prots.orig_max & maxprot).contains(st.terms.prots.asked)
}

/// Whether `[off, off + len)` lies in the memory; sums that overflow do not.
fn in_umem<U: Umem>(umem: &U, off: u64, len: u64) -> bool {
    off.checked_add(len).is_some_and(|end| end <= umem.size())
}

impl<P: Platform> Framework<P> {
    /// `devmap_devmem_setup(9F)`: the handle maps device registers or memory.
    ///
    /// # Errors
    /// When it was set up already; the protection asked for at mmap is not within `maxprot` and the mapping's own maximum;
    /// `MAPPING_INVALID` comes without `ALLOW_REMAP`; or the register range does not resolve.
    #[inline(always)]
    pub fn devmem_setup(
        &self,
        handle: &Handle<P>,
        node: &impl Node,
        args: DevmemSetup<'_, P>,
    ) -> Result<(), SetupError> {
        let invalid = args.flags.contains(SetupFlags::MAPPING_INVALID);
        let len = page_ceil(args.len).ok_or(SetupError)?;
        if invalid && !args.flags.contains(SetupFlags::ALLOW_REMAP) {
            return Err(SetupError);
        }
        let shared = self.share_given(handle, args.callbacks)?;
        let (object, address, attr) = if invalid {
            (Object::NONE, NOWHERE, args.attr)
        } else {
            let Some((pfn, attr)) = node.registers(args.rnumber, args.off, args.len) else {
                return Err(self.unshare(shared));
            };
            (Object::devmem(pfn), pfn << PAGE_SHIFT, args.attr | attr)
        };
        self.set_up(handle, (object, address), len, args.maxprot, args.flags, attr, shared)
    }

    /// `devmap_umem_setup(9F)`: the handle maps kernel memory.
    ///
    /// # Errors
    /// For a NULL cookie, a range beyond the memory, cache attribute bits that are not one attribute; and as for [`Framework::devmem_setup`].
    #[inline(always)]
    pub fn umem_setup(&self, handle: &Handle<P>, args: UmemSetup<'_, P>) -> Result<(), SetupError> {
        let umem = args.umem.ok_or(SetupError)?;
        let len = page_ceil(args.len).ok_or(SetupError)?;
        let cache = args.flags.cache_attr().ok_or(SetupError)?;
        if !in_umem(&umem, args.off, args.len) {
            return Err(SetupError);
        }
        let object = if args.flags.contains(SetupFlags::MAPPING_INVALID) {
            if !args.flags.contains(SetupFlags::ALLOW_REMAP) {
                return Err(SetupError);
            }
            Object::NONE
        } else {
            Object::umem(umem, page_floor(args.off))
        };
        let attr = args.attr | cache.bits();
        let address = object.address().unwrap_or(NOWHERE);
        let shared = self.share_given(handle, args.callbacks)?;
        self.set_up(handle, (object, address), len, args.maxprot, args.flags, attr, shared)
    }

    #[allow(clippy::too_many_arguments)]
    #[inline(always)]
    fn set_up(
        &self,
        handle: &Handle<P>,
        (object, address): (Object<P>, u64),
        len: u64,
        maxprot: Prot,
        flags: SetupFlags,
        attr: u32,
        shared: Option<Arc<Shared<P>>>,
    ) -> Result<(), SetupError> {
        let mut shape = Shape::UNPLACED;
        if let Some(shared) = &shared {
            shape.set(Shape::ACCESS, shared.turns.is_some());
        }
        let mut st = handle.lock();
        if !st.shape().contains(Shape::NEW) || !prot_fits(&st, maxprot) {
            drop(st);
            return Err(self.unshare(shared));
        }
        st.measure(len, address);
        st.object = object;
        st.terms.prots.max = st.terms.prots.orig_max & maxprot;
        st.terms.flags = flags & DRIVER_FLAGS;
        st.terms.attr = attr;
        if let Some(shared) = shared {
            handle.share(shared);
        }
        st.reshape(shape);
        // The page size is chosen as the reference does it, before there is an address: by the physical one alone.
        let sizes = self.platform.page_sizes();
        if sizes.len() > 1 {
            st.choose_level(sizes);
        }
        Ok(())
    }

    /// Entry that a handle shares with others that have the same callbacks.
    #[inline(always)]
    fn share_given(
        &self,
        handle: &Handle<P>,
        given: Option<Given<'_, P>>,
    ) -> Result<Option<Arc<Shared<P>>>, SetupError> {
        let Some(Given { instance, callbacks }) = given else { return Ok(None) };
        self.share(instance, handle.device().dev(), callbacks).map(Some).ok_or(SetupError)
    }

    /// Releases the entry that a handle would have shared.
    #[cold]
    #[inline(never)]
    fn unshare(&self, shared: Option<Arc<Shared<P>>>) -> SetupError {
        if let Some(shared) = shared {
            self.release(&shared);
        }
        SetupError
    }

    /// The checks that all remaps share: `None` when the handle cannot be remapped so.
    fn remappable(handle: &Handle<P>, maxprot: Prot) -> Result<Hold<'_, P>, SetupError> {
        let st = handle.lock();
        if st.shape().intersects(Shape::NOT_SET_UP)
            || !st.terms.flags.contains(SetupFlags::ALLOW_REMAP)
            || !prot_fits(&st, maxprot)
            || st.softlocked()
        {
            return Err(SetupError);
        }
        Ok(st)
    }

    fn unload_whole(&self, handle: &Handle<P>, st: &Hold<'_, P>) {
        if !st.shape().contains(Shape::UNPLACED) {
            self.platform.unload(handle.space(), st.addr(), st.len(), false);
        }
    }

    /// `devmap_devmem_remap(9F)`: unloads every translation of the handle and lets it map other device memory, or (flag
    /// `MAPPING_INVALID`) nothing.
    ///
    /// # Errors
    /// When the handle is not set up, dead, soft-locked or not remappable; for other flags; when the protection asked for at mmap is
    /// not within `maxprot`; or the register range, taken at least as long as the handle, does not resolve. The handle
    /// then maps what it did before (in the last case its translations were dropped, and come back by faults).
    pub fn devmem_remap(
        &self,
        handle: &Handle<P>,
        node: &impl Node,
        args: DevmemSetup<'_, P>,
    ) -> Result<(), SetupError> {
        let invalid = args.flags == SetupFlags::MAPPING_INVALID;
        if !(invalid || args.flags.is_empty()) {
            return Err(SetupError);
        }
        let have = {
            let st = Self::remappable(handle, args.maxprot)?;
            st.len()
        };
        // The device tree is asked with no lock held.
        let found = if invalid {
            Some((Object::NONE, args.attr))
        } else {
            node.registers(args.rnumber, args.off, args.len)
                .filter(|_| {
                    args.len >= have || node.registers(args.rnumber, page_floor(args.off), have).is_some()
                })
                .map(|(pfn, attr)| (Object::devmem(pfn), args.attr | attr))
        };
        let old;
        {
            let mut st = Self::remappable(handle, args.maxprot)?;
            self.unload_whole(handle, &st);
            let (object, attr) = found.ok_or(SetupError)?;
            old = (st.take_object(), st.take_frames());
            st.object = object;
            st.terms.attr = attr;
            st.terms.prots.max = st.terms.prots.orig_max & args.maxprot;
            st.terms.flags.set(SetupFlags::MAPPING_INVALID, invalid);
            st.choose_level(self.platform.page_sizes());
        }
        drop(old);
        Ok(())
    }

    /// `devmap_umem_remap(9F)`: unloads every translation of the handle and lets it map other kernel memory.
    ///
    /// # Errors
    /// As for [`Framework::devmem_remap`]; also for a NULL cookie, any flag, and a range that, taken at least as long as the handle,
    /// is not within the memory.
    pub fn umem_remap(&self, handle: &Handle<P>, args: UmemSetup<'_, P>) -> Result<(), SetupError> {
        let umem = args.umem.ok_or(SetupError)?;
        if !args.flags.is_empty() || !in_umem(&umem, args.off, args.len) {
            return Err(SetupError);
        }
        let old;
        {
            let mut st = Self::remappable(handle, args.maxprot)?;
            if !in_umem(&umem, page_floor(args.off), st.len()) {
                return Err(SetupError);
            }
            self.unload_whole(handle, &st);
            old = (st.take_object(), st.take_frames());
            st.object = Object::umem(umem, page_floor(args.off));
            st.terms.attr = args.attr;
            st.terms.prots.max = st.terms.prots.orig_max & args.maxprot;
            st.terms.flags.remove(SetupFlags::MAPPING_INVALID);
            st.choose_level(&[]);
        }
        drop(old);
        Ok(())
    }

    /// Lets some pages of a handle map other memory than the rest, with a protection of their own. Their translations are dropped; a whole remap ends it.
    ///
    /// An access that only this protection forbids asks the access callback, also if the page is loaded.
    ///
    /// # Errors
    /// For a range that is not whole pages of a handle which is set up, lives and is remappable; memory that does not cover it, or is pageable; no memory to note it by.
    pub fn remap_pages(
        &self,
        handle: &Handle<P>,
        node: &impl Node,
        pages: PagesOf<P>,
    ) -> Result<(), SetupError> {
        let PagesOf { off, len, maxprot, memory } = pages;
        if (off | len) & PAGE_MASK != 0 || len == 0 {
            return Err(SetupError);
        }
        // The device tree is asked with no lock held.
        let (object, attr) = match memory {
            PageMemory::Umem(umem, koff) => {
                let covers = koff.checked_add(len).is_some_and(|end| end <= umem.size());
                if koff & PAGE_MASK != 0 || !covers || umem.kind() == UmemKind::Pageable {
                    return Err(SetupError);
                }
                (Object::umem(umem, koff), 0)
            }
            PageMemory::Devmem(rnumber, off, attr) => {
                let (pfn, more) = node.registers(rnumber, off, len).ok_or(SetupError)?;
                (Object::devmem(pfn), attr | more)
            }
        };
        // Dropped after the lock is let go.
        let _old = {
            let mut st = handle.lock();
            let start = off.checked_sub(st.off()).ok_or(SetupError)?;
            let end = start.checked_add(len).filter(|end| *end <= st.len()).ok_or(SetupError)?;
            let pageable =
                matches!(st.object.view(), View::Umem(umem, _) if umem.kind() == UmemKind::Pageable);
            if st.shape().intersects(Shape::NOT_SET_UP)
                || !st.terms.flags.contains(SetupFlags::ALLOW_REMAP)
                || pageable
            {
                return Err(SetupError);
            }
            if !st.shape().contains(Shape::UNPLACED) {
                // Of a large page all goes.
                let (from, len) = if st.terms.level == 0 { (start, len) } else { (0, st.len()) };
                self.platform.unload(handle.space(), st.addr() + from, len, st.softlocked());
            }
            st.choose_level(&[]);
            let new = Frame { start, end, object, attr, maxprot };
            let frames = frames::with(st.frames(), new).ok_or(SetupError)?;
            core::mem::replace(&mut st.apart().frames, frames)
        };
        Ok(())
    }
}

impl<P: Platform> Object<P> {
    /// Where it begins physically (device memory) or in the kernel (umem), for the choice of a user address.
    pub(crate) fn address(&self) -> Option<u64> {
        match self.view() {
            View::None => None,
            View::Devmem(pfn) => Some(pfn << PAGE_SHIFT),
            View::Umem(umem, off) => Some(umem.kernel_address().wrapping_add(off)),
        }
    }
}
