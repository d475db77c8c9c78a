//! What handles share: taking and giving up references to contexts and softlocks.
//!
//! Locking: the registry's lock, an inner one, for each look-up and release.

use alloc::sync::Arc;

use crate::context::Context;
use crate::framework::Framework;
use crate::handle::{Shared, Turns};
use crate::lock::Mutex as _;
use crate::platform::Platform;
use crate::softlock::Softlock;

impl<P: Platform> Framework<P> {
    /// The context and softlock for an access callback of a device; made if there are none. `None` when there is no memory for them.
    pub(crate) fn turns(&self, instance: u64, dev: u64, access: u64) -> Option<Turns<P>> {
        let mut registry = self.registry.lock();
        let ctx =
            registry.contexts.find_or_insert((instance, access), || Context::new((instance, access)))?;
        let softlock = registry.softlocks.find_or_insert((dev, access), || Softlock::new((dev, access)));
        if softlock.is_none() {
            registry.contexts.release(&ctx);
        }
        Some(Turns { ctx, softlock: softlock? })
    }

    /// Gives back all memory that is kept for the next mapping, if nothing is mapped: a platform that is going to end calls it.
    pub fn trim(&self) {
        let mut registry = self.registry.lock();
        registry.contexts.trim();
        registry.softlocks.trim();
    }

    /// Gives up a handle's references. The last reference to a context cancels its timer.
    #[inline]
    pub(crate) fn release_shared(&self, shared: Arc<Shared<P>>) {
        let Some(turns) = &shared.turns else { return };
        let last = {
            let mut registry = self.registry.lock();
            registry.softlocks.release(&turns.softlock);
            registry.contexts.release(&turns.ctx)
        };
        if last {
            turns.ctx.retire(&self.platform);
        }
    }
}
