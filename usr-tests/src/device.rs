//! The device as a program knows it: open, geometry, counters, controls; and mappings of it.
//!
//! Locking: none.

pub use ctxdev_user::Stats;
use ctxdev_user::{
    CTXDEV_LOSE, CTXDEV_REGION, CTXDEV_REVOKE, CTXDEV_SET_HYSTERESIS, CTXDEV_SET_MAX_CONTEXTS, CTXDEV_STATS,
    REGIONS,
};

use crate::case::{Result, check, equal, error, fail, skip, works};
use crate::os;
use crate::probe::{self, Fault, Kind};
use crate::sys::{self, Errno, Sys, page_size};

pub const READ: i32 = libc::PROT_READ;
pub const WRITE: i32 = libc::PROT_WRITE;
pub const EXEC: i32 = libc::PROT_EXEC;
pub const NONE: i32 = libc::PROT_NONE;
pub const RW: i32 = READ | WRITE;
pub const SHARED: i32 = libc::MAP_SHARED;
pub const PRIVATE: i32 = libc::MAP_PRIVATE;
pub const FIXED: i32 = libc::MAP_FIXED;

/// A command that no ctxdev knows.
pub const UNKNOWN_COMMAND: i32 = 0x63ff;

/// A piece of the device's offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    pub name: &'static str,
    pub off: usize,
    pub len: usize,
}

impl Region {
    pub fn pages(&self) -> usize {
        self.len / page_size()
    }

    pub fn end(&self) -> usize {
        self.off + self.len
    }

    pub fn page(&self, page: usize) -> usize {
        self.off + page * page_size()
    }
}

/// Offsets of the device's four regions; they adjoin.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub regs: Region,
    pub ring: Region,
    pub scratch: Region,
    pub fb: Region,
}

impl Layout {
    pub fn regions(&self) -> [Region; 4] {
        [self.regs, self.ring, self.scratch, self.fb]
    }

    /// The regions that belong to a context.
    pub fn engine(&self) -> [Region; 3] {
        [self.regs, self.ring, self.fb]
    }

    pub fn total(&self) -> usize {
        self.fb.end()
    }
}

/// An open device. Copying it copies the number, not the open file.
#[derive(Clone, Copy)]
pub struct Dev {
    pub fd: i32,
    pub layout: Layout,
    pub ctxdev: bool,
    /// See [`crate::port::kind`].
    pub kind: u64,
}

impl Dev {
    pub fn open(path: &str, flags: i32) -> Sys<Dev> {
        Dev::from_fd(sys::open(path, flags)?)
    }

    /// Takes a descriptor that came by other ways.
    pub fn from_fd(fd: i32) -> Sys<Dev> {
        // What a device looks like that cannot say so itself (a plain file, for trying out cases).
        let page = page_size();
        let plain = [(0, page), (page, 4 * page), (5 * page, 11 * page), (16 * page, 16 * page)];
        let mut regions =
            std::array::from_fn(|i| Region { name: REGIONS[i], off: plain[i].0, len: plain[i].1 });
        let mut ctxdev = true;
        for (index, region) in regions.iter_mut().enumerate() {
            match region_of(fd, index as u32) {
                Ok((off, len)) => (region.off, region.len) = (off, len),
                Err(_) => ctxdev = false,
            }
        }
        let [regs, ring, scratch, fb] = regions;
        let kind = if ctxdev { 0 } else { crate::port::kind(fd) };
        Ok(Dev { fd, layout: Layout { regs, ring, scratch, fb }, ctxdev, kind })
    }

    /// Returns whether it answers a ctxdev's ioctls.
    pub fn is_ctxdev(&self) -> bool {
        self.ctxdev
    }

    pub fn close(self) -> Sys {
        sys::close(self.fd)
    }

    pub fn stats_now(&self) -> Sys<Stats> {
        let mut stats = Stats::default();
        sys::ioctl_with(self.fd, CTXDEV_STATS, &mut stats)?;
        Ok(stats)
    }

    #[track_caller]
    pub fn stats(&self) -> Result<Stats> {
        works("ioctl CTXDEV_STATS", self.stats_now())
    }

    /// Drops every translation of the device, in every process.
    #[track_caller]
    pub fn revoke(&self) -> Result {
        works("ioctl CTXDEV_REVOKE", sys::ioctl(self.fd, CTXDEV_REVOKE, 0)).map(|_| ())
    }

    /// Makes the device refuse accesses, or serve them again.
    #[track_caller]
    pub fn lose(&self, lost: bool) -> Result {
        works("ioctl CTXDEV_LOSE", self.lose_now(lost))
    }

    pub fn lose_now(&self, lost: bool) -> Sys {
        sys::ioctl(self.fd, CTXDEV_LOSE, lost.into()).map(|_| ())
    }

    #[track_caller]
    pub fn set_hysteresis(&self, millis: usize) -> Result {
        works("ioctl CTXDEV_SET_HYSTERESIS", self.set_hysteresis_now(millis))
    }

    pub fn set_hysteresis_now(&self, millis: usize) -> Sys {
        sys::ioctl(self.fd, CTXDEV_SET_HYSTERESIS, millis).map(|_| ())
    }

    /// Limits private contexts; 0 lifts the limit.
    #[track_caller]
    pub fn set_max_contexts(&self, most: usize) -> Result {
        works("ioctl CTXDEV_SET_MAX_CONTEXTS", self.set_max_contexts_now(most))
    }

    pub fn set_max_contexts_now(&self, most: usize) -> Sys {
        sys::ioctl(self.fd, CTXDEV_SET_MAX_CONTEXTS, most).map(|_| ())
    }

    pub fn region(&self, index: u32) -> Sys<(usize, usize)> {
        region_of(self.fd, index)
    }

    // ---- mappings ----

    pub fn try_map_at(&self, addr: usize, off: usize, len: usize, prot: i32, flags: i32) -> Sys<Map> {
        let base = sys::mmap(addr, len, prot, flags, self.fd, off as i64)?;
        Ok(Map { base, len, off })
    }

    pub fn try_map(&self, off: usize, len: usize, prot: i32, flags: i32) -> Sys<Map> {
        self.try_map_at(0, off, len, prot, flags)
    }

    #[track_caller]
    pub fn map_at(&self, addr: usize, off: usize, len: usize, prot: i32, flags: i32) -> Result<Map> {
        let result = self.try_map_at(addr, off, len, prot, flags);
        if result == Err(Errno(libc::ENXIO)) && self.crosses(off, len) && self.one_region_only() {
            return skip("this node maps one region at a time (property one-region)");
        }
        works(format!("mmap of {len:#x} bytes at offset {off:#x}, {}", describe(prot, flags)), result)
    }

    /// Returns whether a range of offsets lies in several regions.
    fn crosses(&self, off: usize, len: usize) -> bool {
        let end = off.saturating_add(len);
        end <= self.layout.total() && self.layout.regions().iter().any(|r| off < r.off && r.off < end)
    }

    /// Returns whether the driver refuses every mapping over a region's end. It may be told to: where a munmap of the tail of such a
    /// mapping can panic the kernel, that is how its users are kept from it.
    pub fn one_region_only(&self) -> bool {
        self.layout.regions().windows(2).all(|pair| {
            let last = pair[0].end() - page_size();
            match self.try_map(last, 2 * page_size(), READ, SHARED) {
                Ok(map) => {
                    let _ = sys::munmap(map.base, map.len);
                    false
                }
                Err(errno) => errno == Errno(libc::ENXIO),
            }
        })
    }

    #[track_caller]
    pub fn map(&self, off: usize, len: usize, prot: i32, flags: i32) -> Result<Map> {
        self.map_at(0, off, len, prot, flags)
    }

    /// A part, readable and writable, with a large gap above it: what the C library maps meanwhile (a thread's stack, its allocator's chunks) goes
    /// into the highest gap, not into holes that the case makes in the mapping.
    #[track_caller]
    pub fn map_apart(&self, off: usize, len: usize, flags: i32) -> Result<Map> {
        const GAP: usize = 64 << 20;
        let place = reserve(len + GAP)?;
        works("munmap", sys::munmap(place, len + GAP))?;
        self.map_at(place, off, len, RW, flags | FIXED)
    }

    /// A region, readable and writable.
    #[track_caller]
    pub fn map_region(&self, region: Region, flags: i32) -> Result<Map> {
        self.map(region.off, region.len, RW, flags)
    }

    /// The whole device, readable and writable.
    #[track_caller]
    pub fn map_all(&self, flags: i32) -> Result<Map> {
        self.map(0, self.layout.total(), RW, flags)
    }

    /// The whole device executable as well; skipped when the driver does not allow that.
    #[track_caller]
    pub fn map_exec(&self, region: Region, flags: i32) -> Result<Map> {
        self.map_executable(region, RW | EXEC, flags)
    }

    /// The same with no other access.
    #[track_caller]
    pub fn map_only_exec(&self, region: Region, flags: i32) -> Result<Map> {
        self.map_executable(region, EXEC, flags)
    }

    #[track_caller]
    fn map_executable(&self, region: Region, prot: i32, flags: i32) -> Result<Map> {
        match self.try_map(region.off, region.len, prot, flags) {
            Ok(map) => Ok(map),
            Err(Errno(libc::ENXIO | libc::EACCES | libc::ENOTSUP | libc::EPERM)) => {
                skip("the driver does not allow device memory to be executed")
            }
            Err(errno) => Err(fail(format!("mmap of {} with PROT_EXEC: {errno}", region.name))),
        }
    }
}

fn region_of(fd: i32, index: u32) -> Sys<(usize, usize)> {
    let mut arg = ctxdev_user::Region { index, ..ctxdev_user::Region::default() };
    sys::ioctl_with(fd, CTXDEV_REGION, &mut arg)?;
    Ok((arg.off as usize, arg.len as usize))
}

pub fn describe(prot: i32, flags: i32) -> String {
    let mut text = String::from(match flags & 3 {
        SHARED => "shared ",
        PRIVATE => "private ",
        _ => "typeless ",
    });
    for (bit, letter) in [(READ, 'r'), (WRITE, 'w'), (EXEC, 'x')] {
        text.push(if prot & bit != 0 { letter } else { '-' });
    }
    if flags & FIXED != 0 {
        text.push_str(" fixed");
    }
    text
}

/// Address space that nobody uses and that the kernel will not hand out: a place to map at. Inaccessible.
#[track_caller]
pub fn reserve(len: usize) -> Result<usize> {
    sys::mmap(0, len, NONE, os::ANONYMOUS, -1, 0).map_err(|e| error(format!("mmap of {len:#x} bytes: {e}")))
}

/// A mapped range. Dropping it unmaps nothing: the case's process ends anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    pub base: usize,
    pub len: usize,
    /// The device offset of its first byte.
    pub off: usize,
}

impl Map {
    pub fn at(&self, at: usize) -> usize {
        self.base + at
    }

    pub fn pages(&self) -> usize {
        self.len.div_ceil(page_size())
    }

    fn place(&self, at: usize) -> String {
        format!("+{at:#x} (device offset {:#x})", self.off + at)
    }

    #[track_caller]
    pub fn get(&self, at: usize) -> Result<u64> {
        probe::load8(self.at(at)).map_err(|fault| fail(format!("load at {}: {fault}", self.place(at))))
    }

    #[track_caller]
    pub fn put(&self, at: usize, value: u64) -> Result {
        probe::store8(self.at(at), value)
            .map_err(|fault| fail(format!("store at {}: {fault}", self.place(at))))
    }

    /// The 8 bytes at `at` must be `expected`.
    #[track_caller]
    pub fn holds(&self, at: usize, expected: u64) -> Result {
        let seen = self.get(at)?;
        if seen == expected {
            Ok(())
        } else {
            Err(fail(format!("at {}: expected {expected:#x}, seen {seen:#x}", self.place(at))))
        }
    }

    #[track_caller]
    fn faults<T>(&self, what: &str, at: usize, seen: std::result::Result<T, Fault>, kind: Kind) -> Result {
        let want = format!("{what} at {}: expected {kind}", self.place(at));
        match seen {
            Ok(_) => Err(fail(format!("{want}, but it was allowed"))),
            Err(fault) if fault.kind() != kind => Err(fail(format!("{want}, seen {fault}"))),
            Err(fault) if fault.addr != self.at(at) => {
                Err(fail(format!("{want} with address {:#x}, seen {:#x}", self.at(at), fault.addr)))
            }
            Err(_) => Ok(()),
        }
    }

    /// A load at `at` must fault in this way, with this address.
    #[track_caller]
    pub fn load_faults(&self, at: usize, kind: Kind) -> Result {
        self.faults("load", at, probe::load8(self.at(at)), kind)
    }

    /// A store at `at` must fault in this way, with this address.
    #[track_caller]
    pub fn store_faults(&self, at: usize, kind: Kind) -> Result {
        self.faults("store", at, probe::store8(self.at(at), 0xbad), kind)
    }

    /// Nothing may be mapped at `at`.
    #[track_caller]
    pub fn is_hole(&self, at: usize) -> Result {
        self.load_faults(at, Kind::Hole)
    }

    /// Writes `tag + page` at the start of every page.
    #[track_caller]
    pub fn mark(&self, tag: u64) -> Result {
        for page in 0..self.pages() {
            self.put(page * page_size(), tag + page as u64)?;
        }
        Ok(())
    }

    /// Every page must hold what `mark` wrote.
    #[track_caller]
    pub fn marked(&self, tag: u64) -> Result {
        self.marked_in(tag, 0..self.pages())
    }

    /// These pages must hold what `mark` wrote.
    #[track_caller]
    pub fn marked_in(&self, tag: u64, pages: impl IntoIterator<Item = usize>) -> Result {
        for page in pages {
            self.holds(page * page_size(), tag + page as u64)?;
        }
        Ok(())
    }

    /// None of these pages may be mapped.
    #[track_caller]
    pub fn are_holes(&self, pages: impl IntoIterator<Item = usize>) -> Result {
        for page in pages {
            self.is_hole(page * page_size())?;
        }
        Ok(())
    }

    #[track_caller]
    pub fn unmap(&self) -> Result {
        works("munmap", sys::munmap(self.base, self.len))
    }

    /// Unmaps pages `from..to` of it.
    #[track_caller]
    pub fn unmap_pages(&self, from: usize, to: usize) -> Result {
        let page = page_size();
        works(
            format!("munmap of pages {from} to {to}"),
            sys::munmap(self.at(from * page), (to - from) * page),
        )
    }

    #[track_caller]
    pub fn protect(&self, prot: i32) -> Result {
        works(format!("mprotect to {prot}"), sys::mprotect(self.base, self.len, prot))
    }

    /// Protects pages `from..to` of it.
    #[track_caller]
    pub fn protect_pages(&self, from: usize, to: usize, prot: i32) -> Result {
        let page = page_size();
        works(
            format!("mprotect of pages {from} to {to} to {prot}"),
            sys::mprotect(self.at(from * page), (to - from) * page, prot),
        )
    }

    /// Checks that loads and stores at `at` get what the protection says; the value there stays. Whether memory that
    /// may only be written can be read is left open: the manual leaves it to the machine.
    #[track_caller]
    pub fn obeys(&self, at: usize, prot: i32) -> Result {
        if prot & (READ | WRITE | EXEC) == 0 {
            self.load_faults(at, Kind::Protection)?;
        } else if prot & READ != 0 {
            self.get(at)?;
        }
        if prot & WRITE == 0 {
            self.store_faults(at, Kind::Protection)
        } else if prot & READ != 0 {
            let value = self.get(at)?;
            self.put(at, value)
        } else {
            self.put(at ^ 8, 1)
        }
    }
}

/// Every counter that a case names must have grown by as much as it says.
#[track_caller]
pub fn grew(dev: &Dev, before: &Stats, expected: &[(&str, u64)]) -> Result {
    let now = dev.stats()?;
    let of = |stats: &Stats, wanted: &str| {
        let found = stats.named().into_iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| value).ok_or_else(|| error(format!("no counter {wanted}")))
    };
    for (name, by) in expected {
        let (was, is) = (of(before, name)?, of(&now, name)?);
        check(is >= was, format!("counter {name} went back: {was}, then {is}"))?;
        equal(format!("growth of counter {name}"), is - was, *by)?;
    }
    Ok(())
}
