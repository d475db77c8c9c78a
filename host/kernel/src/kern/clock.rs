//! The kernel's clocks: ticks, and nanoseconds since it started. Any context.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Ticks per second.
pub const HZ: u64 = 100;
/// Nanoseconds of a tick.
pub const TICK: u64 = 1_000_000_000 / HZ;

static BOOT: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Returns nanoseconds since the host started; never 0.
pub fn hrtime() -> i64 {
    BOOT.elapsed().as_nanos() as i64 + 1_000_000_000
}

/// Returns ticks since the host started.
pub fn lbolt() -> i64 {
    hrtime() / TICK as i64
}

/// Returns the length of a number of ticks; zero for a negative one. Bounded so that deadlines stay representable.
pub fn ticks(ticks: i64) -> Duration {
    Duration::from_nanos(u64::try_from(ticks).unwrap_or(0).saturating_mul(TICK))
        .min(Duration::from_secs(1 << 32))
}
