//! A device of one of the drivers with another system's mapping model (example-driver/ports), as a program knows it.
//!
//! Locking: none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub use ports_user::Status;
use ports_user::{PORTS_STATUS, Region, Span, VMOPS_LOSE, VMOPS_UNMAP};

use crate::case::{Ctx, Result, error, fail, works};
use crate::device::{Map, RW, SHARED};
use crate::sys::{self, Sys, page_size};

/// An open device of such a driver.
#[derive(Clone, Copy)]
pub struct Port {
    pub fd: i32,
}

/// Which of the drivers' models a descriptor's device has ([`Status::kind`]); 0 if it is none of them.
pub fn kind(fd: i32) -> u64 {
    status(fd).map_or(0, |status| status.kind)
}

/// Counters of the driver.
pub fn status(fd: i32) -> Sys<Status> {
    let mut status = Status::default();
    sys::ioctl_with(fd, PORTS_STATUS, &mut status)?;
    Ok(status)
}

impl Port {
    /// The device that the suite is run for.
    #[track_caller]
    pub fn open(t: &Ctx) -> Result<Port> {
        Port::open_path(&t.device)
    }

    #[track_caller]
    pub fn open_path(path: &str) -> Result<Port> {
        let fd = sys::open(path, libc::O_RDWR).map_err(|errno| fail(format!("open {path}: {errno}")))?;
        Ok(Port { fd })
    }

    /// The other minor node of the same instance.
    #[track_caller]
    pub fn open_other(t: &Ctx) -> Result<Port> {
        let digits = t.device.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (name, instance) = t.device.split_at(digits);
        Port::open_path(&format!("{name}b{instance}"))
    }

    #[track_caller]
    pub fn status(&self) -> Result<Status> {
        works("ioctl PORTS_STATUS", status(self.fd))
    }

    pub fn try_map(&self, off: u64, pages: usize, prot: i32, flags: i32) -> Sys<Map> {
        let (len, off) = (pages * page_size(), off as i64);
        let base = sys::mmap(0, len, prot, flags, self.fd, off)?;
        Ok(Map { base, len, off: off as usize })
    }

    /// Pages of the device, shared, readable and writable. With a hole behind them, so that what is unmapped stays unmapped.
    #[track_caller]
    pub fn map(&self, off: u64, pages: usize) -> Result<Map> {
        const GAP: usize = 16 << 20;
        let len = pages * page_size();
        let place = crate::device::reserve(len + GAP)?;
        works("munmap", sys::munmap(place, len + GAP))?;
        let base = sys::mmap(place, len, RW, SHARED | libc::MAP_FIXED, self.fd, off as i64);
        let base = works(format!("mmap of {pages} pages at {off:#x}"), base)?;
        Ok(Map { base, len, off: off as usize })
    }

    /// Pages of a region of vmops.
    #[track_caller]
    pub fn region(&self, region: Region, pages: usize) -> Result<Map> {
        self.map(region.start(), pages)
    }

    /// Everybody loses these device offsets.
    #[track_caller]
    pub fn unmap(&self, start: u64, len: u64) -> Result {
        let mut span = Span { start, len };
        works("ioctl VMOPS_UNMAP", sys::ioctl_with(self.fd, VMOPS_UNMAP, &mut span)).map(|_| ())
    }

    /// The device is lost, or there again.
    #[track_caller]
    pub fn lose(&self, lost: bool) -> Result {
        works("ioctl VMOPS_LOSE", sys::ioctl(self.fd, VMOPS_LOSE, lost.into())).map(|_| ())
    }

    /// The counters named must have grown so much since `before`, or (`mappings`, `objects`, `users`) be so many.
    #[track_caller]
    pub fn grew(&self, before: &Status, expected: &[(&str, u64)]) -> Result {
        let now = self.status()?;
        for (name, want) in expected {
            let seen = match *name {
                "mappings" => now.mappings,
                "objects" => now.objects,
                "users" => now.users,
                "mmaps" => now.mmaps - before.mmaps,
                "opens" => now.opens - before.opens,
                "closes" => now.closes - before.closes,
                "faults" => now.faults - before.faults,
                "notified" => now.notified - before.notified,
                "met" => now.met - before.met,
                "minor" => now.minor - before.minor,
                "major" => now.major - before.major,
                "freed" => now.freed - before.freed,
                _ => return Err(error(format!("no counter {name}"))),
            };
            if seen != *want {
                return Err(fail(format!(
                    "{name}: expected {want}, seen {seen}; {now:?}, before {before:?}"
                )));
            }
        }
        Ok(())
    }
}

/// Calls `change` 100 times while a thread for each of `maps` reads it, which must always hold what [`Map::mark`] wrote with `tag`.
/// Returns the first error.
#[track_caller]
pub fn while_read(maps: &[Map], tag: u64, change: impl Fn() -> Result) -> Result {
    while_used(maps.len(), |thread, _| maps[thread].marked(tag), 100, |_| change())
}

/// Calls `change` so many times while each of some threads calls `each` again and again. Both are told the turn, from 0 on, `each` also the thread. Returns the first error.
#[track_caller]
pub fn while_used(
    threads: usize,
    each: impl Fn(usize, u64) -> Result + Sync,
    times: u64,
    change: impl Fn(u64) -> Result,
) -> Result {
    let done = AtomicBool::new(false);
    let (each, done) = (&each, &done);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let turns = (0..).take_while(|_| !done.load(Ordering::Relaxed));
                    turns.into_iter().try_for_each(|turn| each(thread, turn))
                })
            })
            .collect();
        let changed = (0..times).try_for_each(change);
        done.store(true, Ordering::Relaxed);
        threads.into_iter().fold(changed, |result, thread| {
            result.and(thread.join().unwrap_or_else(|_| Err(fail("a thread has panicked"))))
        })
    })
}
