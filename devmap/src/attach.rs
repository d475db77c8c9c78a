//! [`Attach`]: a device being attached, and [`Mappings`], all mappings of its instance.
//!
//! Kernel context, in attach(9E).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use core::time::Duration;

use crate::context::{MaySleep, sealed::Sealed};
use crate::errno::Error;
use crate::fm::{Capabilities, FaultManagement};
use crate::handle::ENGINES;
use crate::mapped::Mapped;
use crate::node::Node;
use crate::pinned::Pins;
use crate::set::MappingSet;
use crate::time::ticks;

/// A device being attached.
pub struct Attach<'a> {
    pub(crate) node: Node<'a>,
    pub(crate) mappings: &'a Arc<Mapped>,
}

impl Sealed for Attach<'_> {}
impl MaySleep for Attach<'_> {}

impl<'a> Attach<'a> {
    /// Returns the node, with its properties and register sets.
    pub fn node(&self) -> &Node<'a> {
        &self.node
    }

    /// Returns all mappings that processes will have of this instance. Keep the value in the device.
    pub fn mappings(&self) -> Mappings {
        Mappings { set: MappingSet::of(Arc::clone(self.mappings)) }
    }
}

/// All mappings of an instance, and their hysteresis. Clones are the same.
#[derive(Clone)]
pub struct Mappings {
    /// [`MappingSet::all`] returns the instance's mappings.
    set: MappingSet,
}

impl Mappings {
    /// The greatest number of [engines](crate::Device::ENGINES).
    pub const MOST_ENGINES: usize = ENGINES;

    /// Returns the set of all mappings.
    pub fn set(&self) -> &MappingSet {
        &self.set
    }

    /// Drops every translation of every mapping of the instance. The next access to each page calls the access callback.
    ///
    /// Any thread, any mutex held. Continues after an error and returns the first.
    pub fn revoke_all(&self) -> Result<(), Error> {
        self.set.all().map_or(Ok(()), Mapped::unload)
    }

    /// Returns the number of mappings.
    pub fn len(&self) -> usize {
        self.set.all().map_or(0, Mapped::len)
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets the minimum time that a context stays in the device, for all mappings: `devmap_set_ctx_timeout(9F)`.
    ///
    /// Rounded up to ticks (10 ms unless the kernel is tuned); zero: no waiting; at most 65,535 ticks. Takes effect with the next switch.
    /// One value for all mappings of an engine, because mixed ones leave a timer behind (docs/shield.md, 28). Any context.
    pub fn set_hysteresis(&self, time: Duration) {
        for engine in 0..ENGINES {
            self.set_engine_hysteresis(engine, time);
        }
    }

    /// Like [`set_hysteresis`](Mappings::set_hysteresis), for the mappings of one engine. Has no effect if there is no engine of that number.
    pub fn set_engine_hysteresis(&self, engine: usize, time: Duration) {
        if let Some(engine) = self.set.all().and_then(|all| all.engines.get(engine)) {
            engine.hysteresis.store(u16::try_from(ticks(time)).unwrap_or(u16::MAX), Ordering::Relaxed);
        }
    }
}

impl FaultManagement {
    /// Declares the driver's capabilities, and determines the system's, once for a node. The property `fm-capable` takes capabilities
    /// away, as an administrator sets it. Kernel context.
    pub fn new(attach: &Attach<'_>, wanted: Capabilities) -> FaultManagement {
        FaultManagement::of(attach.node(), wanted)
    }
}

impl Pins {
    /// Creates the means of pinning memory. Kernel context. Fails with `ENOMEM` if no thread can be created that unlocks pages.
    pub fn new(attach: &Attach<'_>) -> Result<Pins, Error> {
        Pins::of(attach.node().tether())
    }
}
