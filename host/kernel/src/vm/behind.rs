//! Structures that drivers find behind a handle: images of the kernel's segment with the data of its segment driver, of the device's vnode, and of the
//! context and the softlock that handles share.
//!
//! Images are written when what they show has changed, before the driver is called, and never read. Locking: one lock round each table of
//! what stays for ever (contexts, softlocks, vnodes), a leaf.

use std::mem::offset_of;
use std::sync::{Arc, LazyLock, OnceLock};

use parking_lot::Mutex;
use rustc_hash::FxHashMap as HashMap;
use segdev::{MapFlags, Segment, Sharing};

use super::cookie::user;
use super::device::ByHand;
use ddi_sys::{behind_context, behind_softlock, behind_vnode};

use super::host::Host;
use crate::kern::image::Image;
use crate::kern::symbols;

/// A segment's images.
pub struct SegmentImages {
    segment: Image<96>,
    data: Image<{ size_of::<ddi_sys::behind_segdev>() }>,
}

/// Data of the host for each segment.
#[derive(Default)]
pub struct SegmentData(OnceLock<Arc<SegmentImages>>);

impl SegmentData {
    /// The images of this segment.
    pub fn images(&self) -> &Arc<SegmentImages> {
        self.0.get_or_init(|| Arc::new(SegmentImages { segment: Image::zeroed(), data: Image::zeroed() }))
    }

    /// The address of its `struct seg`.
    pub fn address(&self) -> usize {
        self.images().address()
    }
}

/// Offsets in `struct seg`.
mod seg {
    use std::mem::offset_of;

    use ddi_sys::seg;

    pub const BASE: usize = offset_of!(seg, s_base);
    pub const SIZE: usize = offset_of!(seg, s_size);
    pub const AS: usize = offset_of!(seg, s_as);
    pub const OPS: usize = offset_of!(seg, s_ops);
    pub const DATA: usize = offset_of!(seg, s_data);
}

/// Offsets in `struct segdev_data`.
mod sdp {
    use std::mem::offset_of;

    use ddi_sys::behind_segdev;

    pub const OFFSET: usize = offset_of!(behind_segdev, offset);
    pub const MAPFUNC: usize = offset_of!(behind_segdev, mapfunc);
    pub const VP: usize = offset_of!(behind_segdev, vp);
    /// pageprot, prot, maxprot, type: a byte each.
    pub const PAGEPROT: usize = offset_of!(behind_segdev, pageprot);
    pub const DEVMAP_DATA: usize = offset_of!(behind_segdev, devmap_data);
}

/// Returns the address of `segdev_ops` where drivers see it; 0 before the symbols have been added.
fn segdev_ops() -> usize {
    static AT: OnceLock<usize> = OnceLock::new();
    let find = || Some(symbols::find("segdev_ops")?.address.0 as usize);
    let at = AT.get().copied().or_else(|| find().map(|at| *AT.get_or_init(|| at)));
    at.map_or(0, ddi_krtld::seen_data)
}

impl SegmentImages {
    /// The address of the `struct seg`.
    pub fn address(&self) -> usize {
        self.segment.address()
    }

    /// Brings them up to date. `first` is the cookie of the first handle, if that may have changed.
    pub fn draw(&self, segment: &Segment<Host>, first: Option<usize>) {
        self.segment.set(seg::BASE, segment.base() as usize);
        self.segment.set(seg::SIZE, segment.len() as usize);
        self.segment.set(seg::AS, segment.space().image().space());
        self.segment.set(seg::OPS, segdev_ops());
        self.segment.set(seg::DATA, self.data.address());
        let device = segment.device();
        let mapfunc = match &device.by_hand {
            Some(ByHand::Frames(f)) => Some(*f),
            Some(ByHand::Vnode(_)) => None,
            None if device.old => device.driver.cb_ops().and_then(|cb| cb.cb_mmap),
            None => None,
        };
        self.data.set(sdp::OFFSET, segment.off() as usize);
        self.data.set(sdp::MAPFUNC, mapfunc.map_or(0, |f| f as usize));
        self.data.set(sdp::VP, vnode(device.dev));
        if let Some(info) = segment.handles().first().map(|handle| handle.info()) {
            let kind = (segment.flags() & MapFlags::TYPE).bits();
            let [prot, most] = [info.prot, info.orig_maxprot].map(user);
            self.data.set32(sdp::PAGEPROT, u32::from(info.paged) | prot << 8 | most << 16 | kind << 24);
        }
        // Mappings by mmap(9E) and by hand have handles in the host only.
        if let Some(first) = first {
            let own = device.old || device.by_hand.is_some();
            self.data.set(sdp::DEVMAP_DATA, if own { 0 } else { first });
        }
    }
}

/// State of this file.
struct State {
    vnodes: LazyLock<Mutex<HashMap<u64, Box<Image<{ size_of::<behind_vnode>() }>>>>>,
    contexts: Table<{ size_of::<behind_context>() }>,
    softlocks: Table<{ size_of::<behind_softlock>() }>,
}

static STATE: State = State {
    vnodes: LazyLock::new(Mutex::default),
    contexts: LazyLock::new(Mutex::default),
    softlocks: LazyLock::new(Mutex::default),
};
/// The device number of a device's vnode.
pub fn device(vnode: usize) -> Option<u64> {
    STATE.vnodes.lock().iter().find(|(_, image)| image.address() == vnode).map(|(dev, _)| *dev)
}

/// The address of the vnode of a character device.
pub fn vnode(dev: u64) -> usize {
    const VCHR: u32 = 4;
    const COUNT: usize = offset_of!(behind_vnode, v_count);
    const TYPE: usize = offset_of!(behind_vnode, v_type);
    const RDEV: usize = offset_of!(behind_vnode, v_rdev);
    let mut all = STATE.vnodes.lock();
    let image = all.entry(dev).or_insert_with(|| {
        let image = Image::new();
        image.set32(COUNT, 1);
        image.set32(TYPE, VCHR);
        image.set(RDEV, dev as usize);
        image
    });
    image.address()
}

/// The images of a context (`struct devmap_ctx`) and of a softlock (`struct devmap_softlock`).
pub struct Shared {
    ctx: &'static Image<{ size_of::<behind_context>() }>,
    softlock: &'static Image<{ size_of::<behind_softlock>() }>,
}

type Table<const LEN: usize> = LazyLock<Mutex<HashMap<(usize, usize), &'static Image<LEN>>>>;

/// Offset of a reference count, the same in both.
const REFCNT: usize = offset_of!(behind_context, refcnt);
const ONCPU: usize = offset_of!(behind_context, oncpu);
const _: () = assert!(REFCNT == offset_of!(behind_softlock, refcnt));

/// The image for a name: first the access callback, then the device.
fn named<const LEN: usize>(table: &Table<LEN>, device: usize, access: usize) -> &'static Image<LEN> {
    let make = || {
        let image: &'static Image<LEN> = Box::leak(Image::new());
        image.set(offset_of!(behind_context, callback), access);
        image.set(offset_of!(behind_context, dip), device);
        image
    };
    table.lock().entry((device, access)).or_insert_with(make)
}

impl Shared {
    /// Those of a device instance, its number and an access callback. They stay: there are as many as drivers have callbacks.
    pub fn of(dip: usize, dev: u64, access: usize) -> Self {
        Shared {
            ctx: named(&STATE.contexts, dip, access),
            softlock: named(&STATE.softlocks, dev as usize, access),
        }
    }

    /// Brings them up to date.
    pub fn draw(&self, sharing: &Sharing) {
        self.ctx.set32(REFCNT, sharing.contexts as u32);
        self.ctx.set32(ONCPU, u32::from(sharing.owned));
        self.softlock.set32(REFCNT, sharing.softlocks as u32);
    }

    /// The addresses of the context and of the softlock.
    pub fn addresses(&self) -> (usize, usize) {
        (self.ctx.address(), self.softlock.address())
    }
}
