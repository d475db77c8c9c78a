//! [`BusMaster`]: a device that does DMA. No locks.

use crate::attach::Attach;
use crate::device::Device;
use crate::life::Quiesce;
use crate::tether::Tether;

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
    /// Creates the bus master for this node, whose device is a `D`.
    pub fn new<D: Device>(attach: &Attach<'_>) -> BusMaster {
        const {
            assert!(
                !matches!(D::QUIESCE, Quiesce::NotNeeded),
                "a device that does DMA says how it is brought to rest for a fast reboot: Device::QUIESCE"
            );
        }
        BusMaster(attach.node().tether())
    }

    pub(super) fn tether(&self) -> Tether {
        self.0.clone()
    }
}
