//! The platform's name, [`Host`], and the framework on it. What segdev asks of a platform is in [`super::platform`]. No locking.

use std::sync::OnceLock;

use segdev::Framework;

static FRAMEWORK: OnceLock<Framework<Host>> = OnceLock::new();

/// The platform.
pub struct Host;

/// The framework.
pub fn framework() -> &'static Framework<Host> {
    FRAMEWORK.get_or_init(|| Framework::new(Host))
}
