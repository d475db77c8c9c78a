//! The contexts (one per device instance and access callback) and softlocks (one per device number and access callback), behind one inner lock.

use crate::context::Context;
use crate::keyed::Table;
use crate::platform::Platform;
use crate::softlock::Softlock;

/// Both tables.
pub struct Registry<P: Platform> {
    pub(crate) contexts: Table<Context<P>>,
    pub(crate) softlocks: Table<Softlock<P>>,
}

impl<P: Platform> Default for Registry<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Platform> Registry<P> {
    /// Empty tables.
    pub const fn new() -> Self {
        Self { contexts: Table::new(), softlocks: Table::new() }
    }
}
