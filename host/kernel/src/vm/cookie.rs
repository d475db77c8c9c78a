//! `devmap_cookie_t`: handles as drivers see them.
//!
//! A cookie is the address of an image of the kernel's handle. Behind it are the images of its segment, its context and its softlock
//! ([`super::behind`]), which some drivers read. The host follows a cookie only after looking it up, so a stale one is detected. Locking:
//! one lock protects the table, and is held for look-ups.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use ddi_sys::devmap_callback_ctl;
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap as HashMap;
use segdev::{HandleInfo, Prot, Segment, Umem as _};

use super::behind::{SegmentImages, Shared};
use super::client::Client;
use super::host::{Host, framework};
use super::umem::{Memory, Umem};
use crate::kern::image::Image;

/// A handle of the host.
pub type Handle = segdev::Handle<Host>;

struct Images {
    handle: Image<{ size_of::<ddi_sys::behind_handle>() }>,
}

/// Object that a handle maps, as the setup call named it.
#[derive(Clone)]
pub enum Object {
    /// Device memory from this frame on, which is at this offset of its register set.
    Frames(u64, u64),
    /// Kernel memory from this offset on.
    Umem(Umem, u64),
    /// Nothing yet.
    Invalid,
}

/// Data of the host for each handle.
#[derive(Default)]
pub struct HandleData {
    images: OnceLock<Box<Images>>,
    /// The segment, once there is one; a cut may leave it in another.
    segment: Mutex<Option<Arc<SegmentImages>>>,
    /// The context and softlock, if it has an access callback and a segment.
    shared: OnceLock<Shared>,
    /// Filled in by the setup call, and by remaps.
    pub object: Mutex<Option<Object>>,
    /// The handle's user offset at that time.
    base: AtomicU64,
    /// The device's node (`dev_info_t`), once known.
    pub dip: AtomicUsize,
    /// The device number, once known.
    pub dev: OnceLock<u64>,
    /// The driver's callbacks, as its setup call gave them.
    pub table: OnceLock<devmap_callback_ctl>,
    /// The driver's ddi_umem_cookie_t, when it gave one.
    pub umem: AtomicUsize,
    /// The driver's devmap_pmem_cookie_t, when it gave one.
    pub pmem: AtomicUsize,
    /// The flags of its mmap, once known.
    pub flags: AtomicU32,
}

/// State of this file.
struct State {
    cookies: LazyLock<RwLock<HashMap<usize, Arc<Handle>>>>,
    /// Images of freed handles with those of their segments, whose addresses drivers may still hold.
    freed: Mutex<VecDeque<Kept>>,
}

static STATE: State = State { cookies: LazyLock::new(RwLock::default), freed: Mutex::new(VecDeque::new()) };
type Kept = (Box<Images>, Option<Arc<SegmentImages>>);
/// Number of images of freed handles that are kept, so that their cookies do not soon name other handles.
const KEPT: usize = 16384;

/// Offsets in the kernel's `devmap_handle_t`.
mod at {
    use std::mem::offset_of;

    use ddi_sys::behind_handle;

    pub const ROFF: usize = offset_of!(behind_handle, dh_roff);
    pub const UOFF: usize = offset_of!(behind_handle, dh_uoff);
    pub const LEN: usize = offset_of!(behind_handle, dh_len);
    pub const DEV: usize = offset_of!(behind_handle, dh_dev);
    pub const CVADDR: usize = offset_of!(behind_handle, dh_cvaddr);
    pub const UVADDR: usize = offset_of!(behind_handle, dh_uvaddr);
    pub const SEG: usize = offset_of!(behind_handle, dh_seg);
    pub const PVTP: usize = offset_of!(behind_handle, dh_pvtp);
    pub const NEXT: usize = offset_of!(behind_handle, dh_next);
    pub const SOFTLOCK: usize = offset_of!(behind_handle, dh_softlock);
    pub const CTX: usize = offset_of!(behind_handle, dh_ctx);
    pub const COOKIE: usize = offset_of!(behind_handle, dh_cookie);
    pub const PCOOKIE: usize = offset_of!(behind_handle, dh_pcookie);
    pub const PROT: usize = offset_of!(behind_handle, dh_prot);
    pub const MAXPROT: usize = offset_of!(behind_handle, dh_maxprot);
    pub const FLAGS: usize = offset_of!(behind_handle, dh_flags);
    pub const PFN: usize = offset_of!(behind_handle, dh_pfn);
    pub const TIMEOUT_LENGTH: usize = offset_of!(behind_handle, dh_timeout_length);
    pub const CALLBACKOPS: usize = offset_of!(behind_handle, dh_callbackops);
    pub const ORIG_MAXPROT: usize = offset_of!(behind_handle, dh_orig_maxprot);
}

/// A protection as the kernel keeps it: the mapping is always a user's.
pub(super) fn user(prot: Prot) -> u32 {
    u32::from((prot | Prot::USER).bits())
}

/// The cookie of a handle, its image brought up to date.
pub fn of(handle: &Arc<Handle>) -> usize {
    of_now(handle).0
}

/// The same, and what the handle is now.
pub fn of_now(handle: &Arc<Handle>) -> (usize, HandleInfo) {
    let data = handle.data();
    let mut new = false;
    let images = data.images.get_or_init(|| {
        new = true;
        Box::new(Images { handle: Image::zeroed() })
    });
    let cookie = images.handle.address();
    if new {
        STATE.cookies.write().insert(cookie, handle.clone());
    }
    let info = handle.info();
    draw(&images.handle, handle, &info);
    if let Some(segment) = &*data.segment.lock() {
        images.handle.set(at::SEG, segment.address());
    }
    if let Some(shared) = data.shared.get()
        && let Some(sharing) = framework().sharing(handle)
    {
        let (ctx, softlock) = shared.addresses();
        images.handle.set(at::CTX, ctx);
        images.handle.set(at::SOFTLOCK, softlock);
        shared.draw(&sharing);
    }
    (cookie, info)
}

/// Fills in the part of a handle's image that follows from the handle alone.
fn draw(image: &Image<{ size_of::<ddi_sys::behind_handle>() }>, handle: &Handle, info: &HandleInfo) {
    const SETUP_DONE: u32 = 0x100;
    let data = handle.data();
    // Its head may have gone since.
    let gone = info.off.saturating_sub(data.base.load(Ordering::Relaxed));
    let (roff, kernel, pfn) = match &*data.object.lock() {
        Some(Object::Umem(umem, koff)) => (koff + gone, umem.kernel_address(), 0),
        Some(Object::Frames(pfn, roff)) => (roff + gone, 0, pfn + (gone >> 12)),
        _ => (0, 0, 0),
    };
    image.set(at::ROFF, roff as usize);
    image.set(at::UOFF, info.off as usize);
    image.set(at::LEN, info.len as usize);
    image.set(at::DEV, data.dev.get().copied().unwrap_or(0) as usize);
    image.set(at::CVADDR, if kernel == 0 { 0 } else { (kernel + roff) as usize });
    image.set(at::UVADDR, info.addr as usize);
    image.set(at::PVTP, handle.pvt());
    image.set(at::COOKIE, data.umem.load(Ordering::Relaxed));
    image.set(at::PCOOKIE, data.pmem.load(Ordering::Relaxed));
    // mprotect changes the segment's, not the handle's.
    image.set32(at::PROT, user(info.asked));
    image.set32(at::MAXPROT, user(info.maxprot));
    image.set32(at::FLAGS, info.setup.map_or(0, |flags| flags.bits() | SETUP_DONE));
    image.set(at::PFN, pfn as usize);
    image.set(at::TIMEOUT_LENGTH, info.ticks as usize);
    image.set32(at::ORIG_MAXPROT, user(info.orig_maxprot));
    if let Some(table) = data.table.get() {
        image.set32(at::CALLBACKOPS, table.devmap_rev.cast_unsigned());
        let entries = [
            table.devmap_map.map_or(0, |f| f as usize),
            table.devmap_access.map_or(0, |f| f as usize),
            table.devmap_dup.map_or(0, |f| f as usize),
            table.devmap_unmap.map_or(0, |f| f as usize),
        ];
        for (i, entry) in entries.into_iter().enumerate() {
            image.set(at::CALLBACKOPS + 8 + 8 * i, entry);
        }
    }
}

/// A segment is new or has changed, its handles from index `from` on.
pub fn segment_changed(segment: &Segment<Host>, from: usize) {
    let images = segment.data().images();
    let mut before = from.checked_sub(1).and_then(|index| segment.handles().get(index));
    let mut first = 0;
    for handle in segment.handles().iter().skip(from) {
        let data = handle.data();
        *data.segment.lock() = Some(images.clone());
        if let Some(table) = data.table.get()
            && let Some(access) = table.devmap_access
        {
            let device = segment.device();
            data.shared.get_or_init(|| Shared::of(device.node.dip() as usize, device.dev, access as usize));
        }
        let cookie = of(handle);
        match before.and_then(|handle| handle.data().images.get()) {
            Some(before) => before.handle.set(at::NEXT, cookie),
            None => first = cookie,
        }
        before = Some(handle);
    }
    if let Some(last) = before.and_then(|handle| handle.data().images.get()) {
        last.handle.set(at::NEXT, 0);
    }
    images.draw(segment, (from == 0).then_some(first));
}

/// The driver's private pointer for a handle has changed.
pub fn private(handle: &Handle, pvt: usize) {
    if let Some(images) = handle.data().images.get() {
        images.handle.set(at::PVTP, pvt);
    }
}

/// Notes what a handle maps from now on.
pub fn maps_now(handle: &Handle, object: Object) {
    let data = handle.data();
    data.base.store(handle.info().off, Ordering::Relaxed);
    *data.object.lock() = Some(object);
}

/// The handle that a driver's cookie stands for.
pub fn find(cookie: usize) -> Option<Arc<Handle>> {
    STATE.cookies.read().get(&cookie).cloned()
}

/// Whether a live handle that drivers know maps this memory.
pub fn maps(memory: &Arc<Memory>) -> bool {
    let all: Vec<Arc<Handle>> = STATE.cookies.read().values().cloned().collect();
    all.iter().any(|handle| {
        let object = handle.data().object.lock().clone();
        matches!(object, Some(Object::Umem(Umem::Cookie(own), _)) if Arc::ptr_eq(&own, memory))
            && handle.info().live
    })
}

/// Place of a handle in its address space, and the address of its segment's image.
pub struct Place {
    /// The handle's first byte.
    pub start: u64,
    /// The byte behind it.
    pub end: u64,
    /// The `struct seg`.
    pub segment: usize,
}

/// The places of all live handles of a client. Takes no lock of its address space.
pub fn places(client: &Client) -> Vec<Place> {
    let all: Vec<Arc<Handle>> =
        STATE.cookies.read().values().filter(|h| h.space() == client).cloned().collect();
    let place = |handle: &Arc<Handle>| {
        let segment = handle.data().segment.lock().as_ref()?.address();
        let info = handle.info();
        info.live.then(|| Place { start: info.addr, end: info.addr + info.len, segment })
    };
    all.iter().filter_map(place).collect()
}

/// Gives a copy of a handle what the host keeps with it.
pub fn inherit(from: &Handle, to: &Handle) {
    if let Some(dev) = from.data().dev.get() {
        let _ = to.data().dev.set(*dev);
    }
    to.data().dip.store(from.data().dip.load(Ordering::Relaxed), Ordering::Relaxed);
    let object = from.data().object.lock().clone();
    *to.data().object.lock() = object;
    to.data().base.store(from.data().base.load(Ordering::Relaxed), Ordering::Relaxed);
    if let Some(table) = from.data().table.get() {
        let _ = to.data().table.set(*table);
    }
    to.data().umem.store(from.data().umem.load(Ordering::Relaxed), Ordering::Relaxed);
    to.data().pmem.store(from.data().pmem.load(Ordering::Relaxed), Ordering::Relaxed);
    to.data().flags.store(from.data().flags.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// Whether the cookie was one before.
pub fn was(cookie: usize) -> bool {
    STATE.freed.lock().iter().any(|(images, _)| images.handle.address() == cookie)
}

/// The framework has freed the handle.
pub fn retract(handle: &Handle) {
    if let Some(images) = handle.data().images.get() {
        STATE.cookies.write().remove(&images.handle.address());
    }
}

/// Frees the images of freed handles, except the last ones.
pub fn shed() {
    const LAST: usize = 256;
    let mut freed = STATE.freed.lock();
    let old = freed.len().saturating_sub(LAST);
    let old: Vec<Kept> = freed.drain(..old).collect();
    freed.shrink_to_fit();
    drop(freed);
    // A segment's image may be the last one to go: no lock is held.
    drop(old);
    STATE.cookies.write().shrink_to_fit();
}

impl Drop for HandleData {
    fn drop(&mut self) {
        let Some(images) = self.images.take() else { return };
        let mut freed = STATE.freed.lock();
        freed.push_back((images, self.segment.lock().take()));
        if freed.len() > KEPT {
            freed.pop_front();
        }
    }
}
