//! [`Device`]: what a driver is, one value for each instance.
//!
//! The value is made by attach, shared by all entry points, which run at the same time in many threads, and dropped
//! by detach. None of this crate's locks is held when an entry point is called.

use core::ptr::NonNull;

use crate::argument::Argument;
use crate::attach::Attach;
use crate::context::Kernel;
use crate::errno::Errno;
use crate::fault::{Fault, Served};
use crate::life::{Quiesce, Refusal};
use crate::mapping::Mapping;
use crate::minor::MinorNode;
use crate::node::Node;
use crate::open::{self, Open};
use crate::poll::{Poll, Polled};
use crate::power::Power;
use crate::request::{MapRequest, Setup};
use crate::uio::Uio;

/// A [`Device`] that has a module. Implemented by [`module!`](crate::module!) only.
///
/// # Safety
/// The soft state is a [`SoftState`](crate::module::SoftState) of this device, used for it and nothing else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no module",
    label = "a device without a module",
    note = "write `devmap::module! {{ device: {Self}, name: \"...\", description: \"...\" }}` in the module that defines it"
)]
pub unsafe trait Registered: Sized {
    #[doc(hidden)]
    fn soft_state() -> NonNull<()>;
}

/// A driver's instance. [`module!`](crate::module!) makes a loadable module of it.
///
/// ```no_run
/// # #![no_std]
/// # extern crate std;
/// use devmap::umem::{Kind, Umem};
/// use devmap::{Attach, Device, Errno, MapRequest, Setup};
///
/// struct Page(Umem);
///
/// impl Device for Page {
///     type Mapping = ();
///     type Open = ();
///
///     fn attach(attach: &Attach<'_>) -> Result<Page, Errno> {
///         Ok(Page(Umem::new(attach, Kind::Locked, 4096)?))
///     }
///
///     fn devmap<'a>(&self, request: MapRequest<'a, Page>) -> Result<Setup<'a, Page>, Errno> {
///         Ok(request.map(&self.0, request.offset()).with(())?)
///     }
/// }
///
/// devmap::module! { device: Page, name: "page", description: "one page for everybody" }
/// # fn main() {}
/// ```
pub trait Device: Registered + Send + Sync + Sized + 'static {
    /// The private data of a mapping; `()` when there is none.
    type Mapping: Mapping<Self>;

    /// The private data of an open; `()` when there is none. With it each open has a device number of its own, see [`open`].
    type Open: Send + Sync + 'static;

    /// Maximum number of minor nodes of an instance: [`minor`](Device::minor) is called for each.
    const MINORS: u32 = 1;

    /// Attaches an instance of the device: `attach(9E)`, `DDI_ATTACH`. Kernel context, may sleep.
    ///
    /// The minor node is created after this has returned, so the device cannot be opened before.
    /// The value is returned on the stack, and kernel stacks are small: keep large parts in boxes.
    fn attach(node: &Attach<'_>) -> Result<Self, Errno>;

    /// Returns the minor node of this index (less than [`MINORS`](Device::MINORS)), which gives the device its name in /dev, or None if this instance does
    /// not have it. Kernel context, called once after attach.
    ///
    /// The default name is the driver's name and the instance number, followed by a comma and the index from the second node on.
    fn minor(&self, node: &Node<'_>, index: u32) -> Option<MinorNode> {
        let _ = (node, index);
        Some(MinorNode::by_number())
    }

    /// Detaches the instance, which nobody has open or mapped: `detach(9E)`, `DDI_DETACH`. A refusal gives the reason; otherwise the
    /// value is dropped. Kernel context.
    fn detach(&self, cx: &mut Kernel) -> Result<(), Refusal> {
        let _ = cx;
        Ok(())
    }

    /// Suspends the device until [`resume`](Device::resume): `detach(9E)`, `DDI_SUSPEND`. It may be open and mapped. Kernel context.
    ///
    /// Exclude users of the device with a [`Gate`](crate::life::Gate), stop DMA and interrupts, drop the processes' translations, and save what the device
    /// loses without power.
    fn suspend(&self, cx: &mut Kernel) -> Result<(), Refusal> {
        let _ = cx;
        Err("the driver does not say how".into())
    }

    /// Resumes the device: `attach(9E)`, `DDI_RESUME`. It may have been without power. Kernel context.
    fn resume(&self, cx: &mut Kernel) -> Result<(), Refusal> {
        let _ = cx;
        Err("the driver does not say how".into())
    }

    /// Number of independent contexts of the device, for example one for each of its engines: from 1 to [`Mappings::MOST_ENGINES`](crate::Mappings::MOST_ENGINES).
    ///
    /// A mapping waits in [`Fault::switch_context`](crate::Fault::switch_context) for those of its [engine](crate::MapSetup::engine) only, and each has a
    /// [hysteresis](crate::Mappings::set_engine_hysteresis).
    const ENGINES: usize = 1;

    /// Quiesces the device for a fast reboot: `quiesce(9E)`.
    const QUIESCE: Quiesce<Self> = Quiesce::NotNeeded;

    /// Sets the level of one of the device's [components](crate::power::Components): `power(9E)`.
    const POWER: Option<Power<Self>> = None;

    /// Opens the device for a process: `open(9E)`. Returns the open's private data. User context.
    fn open(&self, how: Open<'_>) -> Result<Self::Open, Errno> {
        let _ = how;
        open::nothing()
    }

    /// Closes an open after its last descriptor and mapping have gone: `close(9E)`. Its private data is dropped afterwards. If opens have none, all opens of a
    /// minor node are closed.
    ///
    /// Called once for each open with private data, possibly after the death of the process, so there is no caller.
    fn close(&self, open: &Self::Open, cx: &mut Kernel) {
        let _ = (open, cx);
    }

    /// Serves a read(2): `read(9E)`. User context.
    fn read(&self, open: &Self::Open, uio: &mut Uio<'_>) -> Result<(), Errno> {
        let _ = (open, uio);
        Err(Errno::ENXIO)
    }

    /// Serves a write(2): `write(9E)`. User context.
    fn write(&self, open: &Self::Open, uio: &mut Uio<'_>) -> Result<(), Errno> {
        let _ = (open, uio);
        Err(Errno::ENXIO)
    }

    /// Serves an ioctl(2), which returns the result: `ioctl(9E)`. User context.
    fn ioctl(&self, open: &Self::Open, command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        let _ = (open, command, argument);
        Err(Errno::ENOTTY)
    }

    /// Reports the ready events to a process that polls: `chpoll(9E)`. [`Poll::answer`] makes the result; see the [module](crate::poll). User context; must not sleep.
    ///
    /// An error becomes the error of poll(2). The default fails with `ENXIO`.
    fn poll(&self, open: &Self::Open, poll: Poll<'_>) -> Result<Polled, Errno> {
        let _ = (open, poll);
        Err(Errno::ENXIO)
    }

    /// Maps the device for a process: `devmap(9E)`. User context, may sleep; the process's address space is not held. [`MapRequest::open`] is the open.
    ///
    /// Everything that can fail belongs here: when the mapping comes into being, later, an error would leave a broken
    /// one behind (docs/shield.md, 7 and 8). If mmap(2) fails after this, the private data is dropped. Whatever error
    /// this returns, mmap(2) fails with `ENXIO`.
    fn devmap<'a>(&self, request: MapRequest<'a, Self>) -> Result<Setup<'a, Self>, Errno> {
        let _ = request;
        Err(Errno::ENXIO)
    }

    /// Serves an access to a page without a translation, of a mapping without private data: `devmap_access(9E)`. See [`Mapping::access`], which is called instead if mappings
    /// have private data. The default loads the page.
    fn access(&self, fault: Fault<'_>) -> Result<Served, Errno> {
        fault.load()
    }
}
