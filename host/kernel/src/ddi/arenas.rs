//! Things to allocate numbers from: vmem arenas, id_space(9F), resource maps (rmalloc(9F)).
//!
//! Arenas are sets of free segments; an arena with a source takes spans from it, and gives them back when it is destroyed. Sleeping
//! allocations wait for a free. Locking: each arena has a leaf lock; sources are called without it.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use ddi_process::failpoint::fails;
use ddi_sys::{id_space_t, id_t, ulong_t, vmem_alloc_t, vmem_free_t, vmem_t};
use parking_lot::{Condvar, Mutex};

use super::args::{Object, Owned, Text};
use super::sync;
use crate::board::report;

/// Free and allocated segments of numbers, in units of the arena's quantum at least.
#[derive(Default)]
struct Segments {
    free: BTreeMap<u64, u64>,
    used: BTreeMap<u64, u64>,
}

/// Constraints of an allocation.
struct Want {
    size: u64,
    align: u64,
    phase: u64,
    nocross: u64,
    min: u64,
    max: u64,
}

impl Segments {
    fn add(&mut self, start: u64, size: u64) {
        let (mut start, mut size) = (start, size);
        if let Some((&before, &len)) = self.free.range(..start).next_back()
            && before + len == start
        {
            self.free.remove(&before);
            (start, size) = (before, len + size);
        }
        if let Some(len) = self.free.remove(&(start + size)) {
            size += len;
        }
        self.free.insert(start, size);
    }

    fn fit(want: &Want, start: u64, len: u64) -> Option<u64> {
        let from = start.max(want.min);
        let end = (start + len).min(want.max);
        let mut at = from.checked_sub(want.phase).map_or(want.phase, |rest| {
            rest.checked_next_multiple_of(want.align).map_or(u64::MAX, |r| r.saturating_add(want.phase))
        });
        if want.nocross > 0 && at / want.nocross != at.saturating_add(want.size - 1) / want.nocross {
            at = (at / want.nocross + 1) * want.nocross;
            at = at.checked_sub(want.phase)?.checked_next_multiple_of(want.align)?.checked_add(want.phase)?;
        }
        (at.checked_add(want.size)? <= end).then_some(at)
    }

    fn take(&mut self, want: &Want) -> Option<u64> {
        let (start, len, at) = self
            .free
            .iter()
            .find_map(|(&start, &len)| Self::fit(want, start, len).map(|at| (start, len, at)))?;
        self.free.remove(&start);
        if at > start {
            self.free.insert(start, at - start);
        }
        if at + want.size < start + len {
            self.free.insert(at + want.size, start + len - at - want.size);
        }
        self.used.insert(at, want.size);
        Some(at)
    }
}

/// Behind vmem_t.
struct Arena {
    name: String,
    quantum: u64,
    source: usize,
    alloc: vmem_alloc_t,
    free: vmem_free_t,
    spans: Mutex<Vec<(u64, u64)>>,
    segments: Mutex<Segments>,
    freed: Condvar,
}

impl Arena {
    /// An arena of `size` numbers from `base` on.
    fn create(
        name: String,
        base: u64,
        size: u64,
        quantum: u64,
        source: (usize, vmem_alloc_t, vmem_free_t),
    ) -> *mut vmem_t {
        let mut segments = Segments::default();
        if size > 0 {
            segments.add(base, size);
        }
        let (source, alloc, free) = source;
        let (spans, segments, freed) = (Mutex::default(), Mutex::new(segments), Condvar::new());
        let quantum = quantum.max(1);
        Box::into_raw(Box::new(Arena { name, quantum, source, alloc, free, spans, segments, freed })).cast()
    }

    fn want(&self, size: usize) -> Want {
        let size = (size as u64).next_multiple_of(self.quantum);
        Want { size, align: self.quantum, phase: 0, nocross: 0, min: 0, max: u64::MAX }
    }

    fn import(&self, size: u64, flags: c_int) -> bool {
        let Some(alloc) = self.alloc.filter(|_| self.source != 0) else { return false };
        // SAFETY: the source's allocation function, as vmem_create was given it.
        let span = unsafe { alloc(self.source as *mut vmem_t, size as usize, flags) } as u64;
        if span != 0 {
            self.spans.lock().push((span, size));
            self.segments.lock().add(span, size);
        }
        span != 0
    }

    fn allocate(&self, want: &Want, flags: c_int) -> *mut c_void {
        if want.size == 0 || flags & ddi_sys::VM_NOSLEEP != 0 && fails("vmem_alloc(9F), VM_NOSLEEP") {
            return null_mut();
        }
        let mut segments = self.segments.lock();
        loop {
            if let Some(at) = segments.take(want) {
                return at as *mut c_void;
            }
            drop(segments);
            if !self.import(want.size, flags) {
                if flags & ddi_sys::VM_NOSLEEP != 0 {
                    return null_mut();
                }
                sync::may_block("vmem_alloc", "VM_SLEEP", "vmem_alloc");
                segments = self.segments.lock();
                if let Some(at) = segments.take(want) {
                    return at as *mut c_void;
                }
                self.freed.wait(&mut segments);
                continue;
            }
            segments = self.segments.lock();
        }
    }

    fn release(&self, address: *mut c_void, size: usize, function: &str) {
        let mut segments = self.segments.lock();
        let size = (size as u64).next_multiple_of(self.quantum);
        match segments.used.get(&(address as u64)) {
            Some(&used) if used == size => {
                segments.used.remove(&(address as u64));
                segments.add(address as u64, size);
                self.freed.notify_all();
            }
            found => {
                let what = match found {
                    Some(used) => format!(
                        "{size} bytes at {address:p} are freed to {}, {used} were allocated",
                        self.name
                    ),
                    None => format!("{address:p} was not allocated from {}", self.name),
                };
                drop(segments);
                report::mistake(function, &what, function);
            }
        }
    }
}

/// The arena behind `heap_arena`; made once, for ever.
pub(super) fn heap() -> *mut vmem_t {
    Arena::create(
        "heap".into(),
        crate::vm::kva::base() as u64,
        crate::vm::kva::SIZE as u64,
        4096,
        (0, None, None),
    )
}

/// Numbers that id_alloc gives in turn.
struct IdSpace {
    segments: Mutex<(Segments, u64)>,
    freed: Condvar,
}

impl IdSpace {
    /// The next number behind the last one given, or the first free one; -1 when there is none and the caller will not wait.
    fn allocate(&self, first: bool, wait: bool) -> id_t {
        let want = |min| Want { size: 1, align: 1, phase: 0, nocross: 0, min, max: u64::MAX };
        let mut inner = self.segments.lock();
        loop {
            let next = if first { 0 } else { inner.1 };
            let got = inner.0.take(&want(next)).or_else(|| inner.0.take(&want(0)));
            if let Some(id) = got {
                if !first {
                    inner.1 = id + 1;
                }
                // Ids are shifted by BIAS, so that -1 and below could be allowed.
                return (id as i64 - BIAS) as id_t;
            }
            if !wait {
                return -1;
            }
            self.freed.wait(&mut inner);
        }
    }
}

const BIAS: i64 = 1 << 32;

/// Behind rmallocmap: free units from 1 on.
struct ResourceMap {
    segments: Mutex<Segments>,
    freed: Condvar,
}

impl ResourceMap {
    fn create() -> *mut c_void {
        Box::into_raw(Box::new(ResourceMap { segments: Mutex::default(), freed: Condvar::new() })).cast()
    }

    fn want(size: usize) -> Want {
        Want { size: size as u64, align: 1, phase: 0, nocross: 0, min: 0, max: u64::MAX }
    }
}

ddi! {
    /// vmem_create.
    fn vmem_create(
        name: Text,
        base: *mut c_void,
        size: usize,
        quantum: usize,
        alloc: vmem_alloc_t,
        free: vmem_free_t,
        source: *mut vmem_t,
        _cache: usize,
        _flags: c_int,
    ) -> *mut vmem_t {
        Arena::create(name.text(), base as u64, size as u64, quantum as u64, (source as usize, alloc, free))
    }
    /// vmem_destroy: everything must have been freed.
    fn vmem_destroy(arena: Owned<Arena, vmem_t>) {
        let arena = arena.there();
        let used = arena.segments.lock().used.len();
        if used > 0 {
            let what = format!("{used} segments of arena {} are still allocated", arena.name);
            report::leftover(NAME, &what, NAME);
        }
        if let Some(free) = arena.free.filter(|_| arena.source != 0) {
            for (start, size) in arena.spans.lock().drain(..) {
                // SAFETY: the source's free function, with what its allocation function gave.
                unsafe { free(arena.source as *mut vmem_t, start as *mut c_void, size as usize) };
            }
        }
    }
    /// vmem_alloc.
    fn vmem_alloc(arena: Object<Arena, vmem_t>, size: usize, flags: c_int) -> *mut c_void {
        let arena = arena.there();
        arena.allocate(&arena.want(size), flags)
    }
    /// vmem_free.
    fn vmem_free(arena: Object<Arena, vmem_t>, address: *mut c_void, size: usize) {
        arena.there().release(address, size, NAME);
    }
    /// vmem_xalloc: with alignment and bounds.
    fn vmem_xalloc(
        arena: Object<Arena, vmem_t>,
        size: usize,
        align: usize,
        phase: usize,
        nocross: usize,
        min: *mut c_void,
        max: *mut c_void,
        flags: c_int,
    ) -> *mut c_void {
        let arena = arena.there();
        let mut want = arena.want(size);
        want.align = want.align.max(align as u64);
        want.phase = phase as u64;
        want.nocross = nocross as u64;
        want.min = min as u64;
        want.max = if max.is_null() { u64::MAX } else { max as u64 };
        arena.allocate(&want, flags)
    }
    /// vmem_xfree.
    fn vmem_xfree(arena: Object<Arena, vmem_t>, address: *mut c_void, size: usize) {
        arena.there().release(address, size, NAME);
    }

    /// id_space_create(9F): numbers from `low` to below `high`.
    fn id_space_create(_name: *const c_char, low: id_t, high: id_t) -> *mut id_space_t {
        let mut segments = Segments::default();
        if high > low {
            segments.add((i64::from(low) + BIAS) as u64, (i64::from(high) - i64::from(low)) as u64);
        }
        Box::into_raw(Box::new(IdSpace { segments: Mutex::new((segments, 0)), freed: Condvar::new() })).cast()
    }
    /// id_space_destroy(9F).
    fn id_space_destroy(space: Owned<IdSpace, id_space_t>) {
        drop(space.there());
    }
    /// id_alloc(9F): the next one; waits for one.
    fn id_alloc(space: Object<IdSpace, id_space_t>) -> id_t {
        space.there().allocate(false, true)
    }
    /// id_alloc_nosleep(9F): -1 when there is none.
    fn id_alloc_nosleep(space: Object<IdSpace, id_space_t>) -> id_t {
        space.there().allocate(false, false)
    }
    /// id_allocff(9F): the lowest one; waits for one.
    fn id_allocff(space: Object<IdSpace, id_space_t>) -> id_t {
        space.there().allocate(true, true)
    }
    /// id_allocff_nosleep(9F): the lowest one, -1 when there is none.
    fn id_allocff_nosleep(space: Object<IdSpace, id_space_t>) -> id_t {
        space.there().allocate(true, false)
    }
    /// id_alloc_specific_nosleep(9F): this one, or -1 when it is not free.
    fn id_alloc_specific_nosleep(space: Object<IdSpace, id_space_t>, id: id_t) -> id_t {
        let at = (i64::from(id) + BIAS) as u64;
        let want = Want { size: 1, align: 1, phase: 0, nocross: 0, min: at, max: at + 1 };
        let space = space.there();
        if space.segments.lock().0.take(&want).is_some() { id } else { -1 }
    }
    /// id_space_extend(9F): numbers from `low` to below `high`, too.
    fn id_space_extend(space: Object<IdSpace, id_space_t>, low: id_t, high: id_t) {
        let space = space.there();
        if high > low {
            let (start, size) = ((i64::from(low) + BIAS) as u64, (i64::from(high) - i64::from(low)) as u64);
            space.segments.lock().0.add(start, size);
            space.freed.notify_all();
        }
    }
    /// id_free(9F).
    fn id_free(space: Object<IdSpace, id_space_t>, id: id_t) {
        let space = space.there();
        let mut inner = space.segments.lock();
        let at = (i64::from(id) + BIAS) as u64;
        if inner.0.used.remove(&at).is_none() {
            drop(inner);
            return report::mistake(NAME, &format!("{id} is not allocated"), "id_space(9F)");
        }
        inner.0.add(at, 1);
        space.freed.notify_all();
    }

    /// rmallocmap(9F).
    fn rmallocmap(_size: usize) -> *mut c_void {
        ResourceMap::create()
    }
    /// rmallocmap_wait(9F).
    fn rmallocmap_wait(_size: usize) -> *mut c_void {
        ResourceMap::create()
    }
    /// rmfreemap(9F).
    fn rmfreemap(map: Owned<ResourceMap, c_void>) {
        drop(map.there());
    }
    /// rmfree(9F): adds units to the map.
    fn rmfree(map: Object<ResourceMap, c_void>, size: usize, index: ulong_t) {
        let map = map.there();
        let mut segments = map.segments.lock();
        segments.used.remove(&index);
        segments.add(index, size as u64);
        map.freed.notify_all();
    }
    /// rmalloc(9F): 0 when there is no room.
    fn rmalloc(map: Object<ResourceMap, c_void>, size: usize) -> ulong_t {
        let map = map.there();
        let want = ResourceMap::want(size);
        map.segments.lock().take(&want).unwrap_or(0)
    }
    /// rmalloc_wait(9F).
    fn rmalloc_wait(map: Object<ResourceMap, c_void>, size: usize) -> ulong_t {
        let map = map.there();
        let want = ResourceMap::want(size);
        let mut segments = map.segments.lock();
        loop {
            if let Some(at) = segments.take(&want) {
                return at;
            }
            map.freed.wait(&mut segments);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arenas_respect_their_constraints() {
        let (name, none) = (c"test".as_ptr(), null_mut());
        let arena = driver!(ddi_sys::vmem_create(
            name,
            0x1000 as *mut c_void,
            0x10000,
            0x1000,
            None,
            None,
            none,
            0,
            0
        ));
        let a = driver!(ddi_sys::vmem_alloc(arena, 100, ddi_sys::VM_NOSLEEP));
        assert_eq!(a as usize, 0x1000);
        // SAFETY: as above.
        let b = unsafe {
            let max = 0x10000 as *mut c_void;
            ddi_sys::vmem_xalloc(arena, 0x2000, 0x4000, 0, 0, null_mut(), max, ddi_sys::VM_NOSLEEP)
        };
        assert_eq!(b as usize, 0x4000);
        assert!(driver!(ddi_sys::vmem_alloc(arena, 0x10000, ddi_sys::VM_NOSLEEP)).is_null());
        driver!(ddi_sys::vmem_xfree(arena, b, 0x2000));
        driver!(ddi_sys::vmem_free(arena, a, 100));
        let all = driver!(ddi_sys::vmem_alloc(arena, 0x10000, ddi_sys::VM_NOSLEEP));
        assert_eq!(all as usize, 0x1000);
        driver!(ddi_sys::vmem_free(arena, all, 0x10000));
        driver!(ddi_sys::vmem_destroy(arena));
    }

    #[test]
    fn ids_come_in_turn_or_lowest_first() {
        let ids = driver!(ddi_sys::id_space_create(c"test".as_ptr(), 5, 8));
        let next = || driver!(ddi_sys::id_alloc_nosleep(ids));
        assert_eq!((next(), next()), (5, 6));
        driver!(ddi_sys::id_free(ids, 5));
        assert_eq!(next(), 7);
        assert_eq!(driver!(ddi_sys::id_allocff_nosleep(ids)), 5);
        assert_eq!(next(), -1);
        driver!(ddi_sys::id_space_destroy(ids));
    }

    #[test]
    fn resource_maps() {
        let map = driver!(ddi_sys::rmallocmap(8));
        driver!(ddi_sys::rmfree(map, 10, 1));
        assert_eq!(driver!(ddi_sys::rmalloc(map, 4)), 1);
        assert_eq!(driver!(ddi_sys::rmalloc(map, 7)), 0);
        assert_eq!(driver!(ddi_sys::rmalloc(map, 6)), 5);
        driver!(ddi_sys::rmfreemap(map));
    }
}
