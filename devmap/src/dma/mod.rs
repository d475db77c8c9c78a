//! DMA: memory that the device reads and writes itself.
//!
//! | | |
//! | --- | --- |
//! | [`BusMaster`] | what a device has that does DMA; from it comes everything else |
//! | [`Attributes`] | what the device can reach, and in what pieces |
//! | [`Handle`] | what is bound to, one piece of memory at a time |
//! | [`Buffer`] | memory of the driver's that fits the device |
//! | [`Binding`] | memory that the device reaches, at the addresses of its [`Cookie`]s, until it is dropped |
//!
//! Bound can be a [`Buffer`], kernel memory that processes map ([`Umem`]), and a process's pinned memory ([`UserMemory`](crate::pinned::UserMemory)). What a binding
//! needs lives as long as it: no order of dropping is wrong. But a device that still transfers when its binding is dropped writes where others
//! are: stop it first.
//!
//! What sleeps takes its context. [`Handle::try_bind`], [`Binding::move_to`] and [`Binding::sync`] are for interrupts, too. Nothing here holds a lock.

mod attributes;
mod binding;
mod buffer;
mod handle;

use ddi_sys as sys;

pub use attributes::Attributes;
pub use binding::{Binding, Bound, Cookie, Towards};
pub use buffer::Buffer;
pub use handle::{Direction, Handle, Transfer};

use crate::context::MaySleep;
use crate::device::{Attach, Device};
use crate::errno::{Errno, Error};
use crate::life::Quiesce;
use crate::page;
use crate::tether::Tether;
use crate::umem::{Kind, Umem};

/// A device that does DMA. Clones are the same.
///
/// Memory that the device fills and processes map takes one call:
///
/// ```no_run
/// # #![no_std]
/// # extern crate std;
/// use devmap::dma::{Attributes, Binding, BusMaster};
/// use devmap::life::Quiesce;
/// use devmap::prelude::*;
///
/// struct Camera { frames: Binding<Umem> }
///
/// impl Device for Camera {
///     type Mapping = ();
///     type Open = ();
///     const QUIESCE: Quiesce<Camera> = Quiesce::By(|_camera, _cx| Ok(())); // ... stop the engine ...
///
///     fn attach(attach: &Attach<'_>) -> Result<Camera, Errno> {
///         let master = BusMaster::new::<Camera>(attach);
///         let frames = master.shared(attach, &Attributes::bits64().segments(256), 0x10_0000)?;
///         for cookie in frames.cookies() {
///             devmap::log_only!("{:#x} bytes at {:#x}", cookie.len, cookie.address); // for the device
///         }
///         Ok(Camera { frames })
///     }
///
///     fn devmap<'a>(&self, request: MapRequest<'a, Camera>) -> Result<Setup<'a, Camera>, Errno> {
///         Ok(request.map(&self.frames, request.offset()).with(())?)
///     }
/// }
///
/// devmap::module! { device: Camera, name: "camera", description: "frames for everybody" }
/// # fn main() {}
/// ```
///
/// A device that does not say how it is brought to rest does not compile:
///
/// ```compile_fail
/// # #![no_std]
/// # extern crate std;
/// use devmap::dma::BusMaster;
/// use devmap::prelude::*;
///
/// struct Camera(BusMaster);
///
/// impl Device for Camera {
///     type Mapping = ();
///     type Open = ();
///     fn attach(attach: &Attach<'_>) -> Result<Camera, Errno> {
///         Ok(Camera(BusMaster::new::<Camera>(attach)))
///     }
/// }
///
/// devmap::module! { device: Camera, name: "camera", description: "does not say" }
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct BusMaster(Tether);

impl BusMaster {
    /// The device of this node, which is a `D`.
    pub fn new<D: Device>(attach: &Attach<'_>) -> BusMaster {
        const {
            assert!(
                !matches!(D::QUIESCE, Quiesce::NotNeeded),
                "a device that does DMA says how it is brought to rest for a fast reboot: Device::QUIESCE"
            );
        }
        BusMaster(attach.node().tether())
    }

    fn tether(&self) -> Tether {
        self.0.clone()
    }

    /// Lets the device reach memory, by a handle for this binding alone. Errors as of [`Handle::new`] and [`Handle::bind`].
    pub fn bind<M: Bound>(
        &self,
        cx: &impl MaySleep,
        attributes: &Attributes,
        memory: M,
        transfer: Transfer,
    ) -> Result<Binding<M>, Error> {
        Handle::new(cx, self, attributes)?.bind(cx, memory, transfer)
    }

    /// Memory that driver and device share: `ddi_dma_mem_alloc(9F)`, bound. All zero. Errors as of [`Handle::new`], [`Buffer::new`] and [`Handle::bind`].
    pub fn coherent(
        &self,
        cx: &impl MaySleep,
        attributes: &Attributes,
        len: usize,
    ) -> Result<Binding<Buffer>, Error> {
        let handle = Handle::new(cx, self, attributes)?;
        let buffer = Buffer::new(cx, &handle, len)?;
        handle.bind(cx, buffer, Transfer::coherent(Direction::Both))
    }

    /// Memory that driver, device and processes share: `ddi_umem_alloc(9F)`, bound. At least `len` bytes, whole pages, all zero, in as many pieces as
    /// it has: allow for [segments](Attributes::segments).
    ///
    /// `ENOTSUP` for a device that does not reach all memory, or wants it more aligned than a page is: the kernel would copy, and processes would see the
    /// original. Errors as of [`Umem::new`], [`Handle::new`] and [`Handle::bind`].
    pub fn shared(
        &self,
        cx: &impl MaySleep,
        attributes: &Attributes,
        len: usize,
    ) -> Result<Binding<Umem>, Error> {
        let last = &raw const sys::physmax;
        // SAFETY: a number of the kernel's, set before any driver is loaded; grows when memory is added, never shrinks.
        let last = unsafe { last.read_volatile() };
        let end = last.saturating_add(1).saturating_mul(page::size() as u64);
        if !attributes.reach(end) || attributes.align() > page::size() as u64 {
            let why = "the device does not reach all memory, or wants it more aligned than a page is";
            return Err(Error::new(Errno::ENOTSUP, "ddi_dma_attr(9S)", why));
        }
        let memory = Umem::new(cx, Kind::Locked, len)?;
        self.bind(cx, attributes, memory, Transfer::coherent(Direction::Both))
    }
}
