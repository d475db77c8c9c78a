//! Free memory after a storm: what a thousand mappings and more took is given back to Linux once most of them have gone. The C library keeps what is freed until it is
//! asked. Locking: none; any context that may block.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{cookie, framework};

/// So many mappings are a storm.
const MANY: usize = 1024;

/// The most mappings that there were since memory was given back.
static MOST: AtomicUsize = AtomicUsize::new(0);

/// Counts the mappings, before some go.
pub fn count() -> usize {
    let live = framework().live().handles;
    MOST.fetch_max(live, Ordering::Relaxed);
    live
}

/// Mappings have gone: gives memory back if it is half of a storm's.
pub fn over() {
    let live = count();
    let most = MOST.load(Ordering::Relaxed);
    // The next half is another time, so a storm costs this a few times at most.
    let gone = most >= MANY && live <= most / 2;
    if gone && MOST.compare_exchange(most, live, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        cookie::shed();
        // SAFETY: the C library's own lists, which it locks itself.
        unsafe { libc::malloc_trim(0) };
    }
}
