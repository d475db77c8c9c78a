//! `devmap_cookie_t`: handles as drivers see them.
//!
//! A cookie is the address of an image of the kernel's handle, with an image of its segment behind `dh_seg` that leads to the
//! address space: real drivers look. The host follows a cookie only after looking it up, so a stale one is found out. Locking:
//! one lock round the table, held for look-ups.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use parking_lot::{Mutex, RwLock};
use segdev::{Prot, Umem as _};

use super::Host;
use super::umem::{Memory, Umem};
use crate::kern::image::Image;

/// A handle of the host.
pub type Handle = segdev::Handle<Host>;

struct Images {
    handle: Image<200>,
    segment: Image<96>,
    /// What the segment driver keeps with the segment.
    data: Image<72>,
}

/// What a handle maps, as the setup call said it.
#[derive(Clone)]
pub enum Object {
    /// Device memory from this frame on.
    Frames(u64),
    /// Kernel memory from this offset on.
    Umem(Umem, u64),
    /// Nothing yet.
    Invalid,
}

/// What the host keeps with each handle.
#[derive(Default)]
pub struct HandleData {
    images: OnceLock<Box<Images>>,
    /// Filled in by the setup call, and by remaps.
    pub object: Mutex<Option<Object>>,
    /// The handle's user offset at that time.
    base: AtomicU64,
    /// The device number, once known.
    pub dev: OnceLock<u64>,
    /// The driver's ddi_umem_cookie_t, when it gave one.
    pub umem: AtomicUsize,
    /// The flags of its mmap, once known.
    pub flags: AtomicU32,
}

static COOKIES: LazyLock<RwLock<HashMap<usize, Arc<Handle>>>> = LazyLock::new(RwLock::default);
static FREED: Mutex<VecDeque<Box<Images>>> = Mutex::new(VecDeque::new());
/// How many images of freed handles are kept, so that their cookies do not soon name other handles.
const KEPT: usize = 16384;

/// The cookie of a handle, its image brought up to date.
pub fn of(handle: &Arc<Handle>) -> usize {
    let data = handle.data();
    let mut new = false;
    let images = data.images.get_or_init(|| {
        new = true;
        Box::new(Images { handle: Image::zeroed(), segment: Image::zeroed(), data: Image::zeroed() })
    });
    let cookie = images.handle.address();
    if new {
        COOKIES.write().insert(cookie, handle.clone());
    }
    let info = handle.info();
    let object = data.object.lock().clone();
    // Its head may have gone since.
    let gone = info.off.saturating_sub(data.base.load(Ordering::Relaxed));
    let (roff, kernel, pfn) = match &object {
        Some(Object::Umem(umem, koff)) => (koff + gone, umem.kernel_address(), 0),
        Some(Object::Frames(pfn)) => (0, 0, pfn + (gone >> 12)),
        _ => (0, 0, 0),
    };
    const SETUP_DONE: u32 = 0x100;
    let image = &images.handle;
    image.set(0, roff as usize);
    image.set(8, info.off as usize);
    image.set(16, info.len as usize);
    image.set(24, data.dev.get().copied().unwrap_or(0) as usize);
    image.set(32, if kernel == 0 { 0 } else { (kernel + roff) as usize });
    image.set(40, info.addr as usize);
    image.set(56, images.segment.address());
    image.set(64, handle.pvt());
    image.set(96, data.umem.load(Ordering::Relaxed));
    let [own, most, original] =
        [info.prot, info.maxprot, info.orig_maxprot].map(|prot| u32::from((prot | Prot::USER).bits()));
    image.set32(112, own);
    image.set32(116, most);
    image.set32(124, info.setup.map_or(0, |flags| flags.bits() | SETUP_DONE));
    image.set(128, pfn as usize);
    image.set(144, info.ticks as usize);
    image.set32(192, original);
    images.segment.set(0, info.addr as usize);
    images.segment.set(8, info.len as usize);
    images.segment.set(24, handle.space().image().space());
    images.segment.set(64, images.data.address());
    let kind = data.flags.load(Ordering::Relaxed) & 0xf;
    images.data.set(0, info.off as usize);
    images.data.set32(32, own << 8 | original << 16 | kind << 24);
    images.data.set(64, cookie);
    cookie
}

/// The image of a handle's segment, brought up to date.
pub fn segment(handle: &Arc<Handle>) -> usize {
    of(handle);
    handle.data().images.get().map_or(0, |images| images.segment.address())
}

/// Notes what a handle maps from now on.
pub fn maps_now(handle: &Handle, object: Object) {
    let data = handle.data();
    data.base.store(handle.info().off, Ordering::Relaxed);
    *data.object.lock() = Some(object);
}

/// The handle that a driver's cookie stands for.
pub fn find(cookie: usize) -> Option<Arc<Handle>> {
    COOKIES.read().get(&cookie).cloned()
}

/// Whether a live handle that drivers know maps this memory.
pub fn maps(memory: &Arc<Memory>) -> bool {
    let all: Vec<Arc<Handle>> = COOKIES.read().values().cloned().collect();
    all.iter().any(|handle| {
        let object = handle.data().object.lock().clone();
        matches!(object, Some(Object::Umem(Umem::Cookie(own), _)) if Arc::ptr_eq(&own, memory))
            && handle.info().live
    })
}

/// Gives a copy of a handle what the host keeps with it.
pub fn inherit(from: &Handle, to: &Handle) {
    if let Some(dev) = from.data().dev.get() {
        let _ = to.data().dev.set(*dev);
    }
    let object = from.data().object.lock().clone();
    *to.data().object.lock() = object;
    to.data().base.store(from.data().base.load(Ordering::Relaxed), Ordering::Relaxed);
    to.data().umem.store(from.data().umem.load(Ordering::Relaxed), Ordering::Relaxed);
    to.data().flags.store(from.data().flags.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// Whether the cookie was one before.
pub fn was(cookie: usize) -> bool {
    FREED.lock().iter().any(|i| i.handle.address() == cookie)
}

/// The framework has freed the handle.
pub fn retract(handle: &Handle) {
    if let Some(images) = handle.data().images.get() {
        COOKIES.write().remove(&images.handle.address());
    }
}

impl Drop for HandleData {
    fn drop(&mut self) {
        let Some(images) = self.images.take() else { return };
        let mut freed = FREED.lock();
        freed.push_back(images);
        if freed.len() > KEPT {
            freed.pop_front();
        }
    }
}
