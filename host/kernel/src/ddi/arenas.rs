//! Things to allocate numbers from: vmem arenas, id_space(9F), resource maps (rmalloc(9F)).
//!
//! Arenas are sets of free segments; an arena with a source takes spans from it, and gives them back when it is destroyed. Sleeping
//! allocations wait for a free. Locking: each arena has a leaf lock; sources are called without it.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use ddi_sys::{id_space_t, id_t, ulong_t, vmem_alloc_t, vmem_free_t, vmem_t};
use parking_lot::{Condvar, Mutex};

use super::{sync, text};
use crate::board::report;

/// Free and allocated segments of numbers, in units of the arena's quantum at least.
#[derive(Default)]
struct Segments {
    free: BTreeMap<u64, u64>,
    used: BTreeMap<u64, u64>,
}

/// What an allocation is to be.
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
    /// # Safety
    /// `arena` is a live one of vmem_create.
    unsafe fn of<'a>(arena: *mut vmem_t) -> &'a Arena {
        // SAFETY: the caller's promise.
        unsafe { &*arena.cast::<Arena>() }
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
        if want.size == 0 {
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
    let base = crate::vm::kva::base() as *mut c_void;
    // SAFETY: an arena over address space that is set aside for it.
    unsafe {
        vmem_create(
            c"heap".as_ptr(),
            base,
            crate::vm::kva::SIZE,
            4096,
            None,
            None,
            null_mut(),
            0,
            ddi_sys::VM_SLEEP,
        )
    }
}

/// Numbers that id_alloc gives in turn.
struct IdSpace {
    segments: Mutex<(Segments, u64)>,
    freed: Condvar,
}

impl IdSpace {
    /// # Safety
    /// `space` is a live one of id_space_create.
    unsafe fn of<'a>(space: *mut id_space_t) -> &'a IdSpace {
        // SAFETY: the caller's promise.
        unsafe { &*space.cast::<IdSpace>() }
    }

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

ddi! {
    /// vmem_create.
    fn vmem_create(
        name: *const c_char,
        base: *mut c_void,
        size: usize,
        quantum: usize,
        alloc: vmem_alloc_t,
        free: vmem_free_t,
        source: *mut vmem_t,
        _cache: usize,
        _flags: c_int,
    ) -> *mut vmem_t {
        let mut segments = Segments::default();
        if size > 0 {
            segments.add(base as u64, size as u64);
        }
        // SAFETY: the driver's promise.
        let name = unsafe { text(name) };
        let arena = Arena {
            name,
            quantum: quantum.max(1) as u64,
            source: source as usize,
            alloc,
            free,
            spans: Mutex::default(),
            segments: Mutex::new(segments),
            freed: Condvar::new(),
        };
        Box::into_raw(Box::new(arena)).cast()
    }
    /// vmem_destroy: everything must have been freed.
    fn vmem_destroy(arena: *mut vmem_t) {
        // SAFETY: made by vmem_create, given back now.
        let arena = unsafe { Box::from_raw(arena.cast::<Arena>()) };
        let used = arena.segments.lock().used.len();
        if used > 0 {
            let what = format!("{used} segments of arena {} are still allocated", arena.name);
            report::leftover("vmem_destroy", &what, "vmem_destroy");
        }
        if let Some(free) = arena.free.filter(|_| arena.source != 0) {
            for (start, size) in arena.spans.lock().drain(..) {
                // SAFETY: the source's free function, with what its allocation function gave.
                unsafe { free(arena.source as *mut vmem_t, start as *mut c_void, size as usize) };
            }
        }
    }
    /// vmem_alloc.
    fn vmem_alloc(arena: *mut vmem_t, size: usize, flags: c_int) -> *mut c_void {
        // SAFETY: the driver's promise.
        let arena = unsafe { Arena::of(arena) };
        arena.allocate(&arena.want(size), flags)
    }
    /// vmem_free.
    fn vmem_free(arena: *mut vmem_t, address: *mut c_void, size: usize) {
        // SAFETY: the driver's promise.
        unsafe { Arena::of(arena) }.release(address, size, "vmem_free");
    }
    /// vmem_xalloc: with alignment and bounds.
    fn vmem_xalloc(
        arena: *mut vmem_t,
        size: usize,
        align: usize,
        phase: usize,
        nocross: usize,
        min: *mut c_void,
        max: *mut c_void,
        flags: c_int,
    ) -> *mut c_void {
        // SAFETY: the driver's promise.
        let arena = unsafe { Arena::of(arena) };
        let mut want = arena.want(size);
        want.align = want.align.max(align as u64);
        want.phase = phase as u64;
        want.nocross = nocross as u64;
        want.min = min as u64;
        want.max = if max.is_null() { u64::MAX } else { max as u64 };
        arena.allocate(&want, flags)
    }
    /// vmem_xfree.
    fn vmem_xfree(arena: *mut vmem_t, address: *mut c_void, size: usize) {
        // SAFETY: the driver's promise.
        unsafe { Arena::of(arena) }.release(address, size, "vmem_xfree");
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
    fn id_space_destroy(space: *mut id_space_t) {
        // SAFETY: made by id_space_create, given back now.
        drop(unsafe { Box::from_raw(space.cast::<IdSpace>()) });
    }
    /// id_alloc(9F): the next one; waits for one.
    fn id_alloc(space: *mut id_space_t) -> id_t {
        // SAFETY: the driver's promise.
        unsafe { IdSpace::of(space) }.allocate(false, true)
    }
    /// id_alloc_nosleep(9F): -1 when there is none.
    fn id_alloc_nosleep(space: *mut id_space_t) -> id_t {
        // SAFETY: the driver's promise.
        unsafe { IdSpace::of(space) }.allocate(false, false)
    }
    /// id_allocff(9F): the lowest one; waits for one.
    fn id_allocff(space: *mut id_space_t) -> id_t {
        // SAFETY: the driver's promise.
        unsafe { IdSpace::of(space) }.allocate(true, true)
    }
    /// id_allocff_nosleep(9F): the lowest one, -1 when there is none.
    fn id_allocff_nosleep(space: *mut id_space_t) -> id_t {
        // SAFETY: the driver's promise.
        unsafe { IdSpace::of(space) }.allocate(true, false)
    }
    /// id_alloc_specific_nosleep(9F): this one, or -1 when it is not free.
    fn id_alloc_specific_nosleep(space: *mut id_space_t, id: id_t) -> id_t {
        let at = (i64::from(id) + BIAS) as u64;
        let want = Want { size: 1, align: 1, phase: 0, nocross: 0, min: at, max: at + 1 };
        // SAFETY: the driver's promise.
        let space = unsafe { IdSpace::of(space) };
        if space.segments.lock().0.take(&want).is_some() { id } else { -1 }
    }
    /// id_space_extend(9F): numbers from `low` to below `high`, too.
    fn id_space_extend(space: *mut id_space_t, low: id_t, high: id_t) {
        // SAFETY: the driver's promise.
        let space = unsafe { IdSpace::of(space) };
        if high > low {
            let (start, size) = ((i64::from(low) + BIAS) as u64, (i64::from(high) - i64::from(low)) as u64);
            space.segments.lock().0.add(start, size);
            space.freed.notify_all();
        }
    }
    /// id_free(9F).
    fn id_free(space: *mut id_space_t, id: id_t) {
        // SAFETY: the driver's promise.
        let space = unsafe { IdSpace::of(space) };
        let mut inner = space.segments.lock();
        let at = (i64::from(id) + BIAS) as u64;
        if inner.0.used.remove(&at).is_none() {
            drop(inner);
            return report::mistake("id_free", &format!("{id} is not allocated"), "id_space(9F)");
        }
        inner.0.add(at, 1);
        space.freed.notify_all();
    }

    /// rmallocmap(9F).
    fn rmallocmap(_size: usize) -> *mut c_void {
        let map = ResourceMap { segments: Mutex::default(), freed: Condvar::new() };
        Box::into_raw(Box::new(map)).cast()
    }
    /// rmallocmap_wait(9F).
    fn rmallocmap_wait(size: usize) -> *mut c_void {
        // SAFETY: no pointers.
        unsafe { rmallocmap(size) }
    }
    /// rmfreemap(9F).
    fn rmfreemap(map: *mut c_void) {
        // SAFETY: made by rmallocmap, given back now.
        drop(unsafe { Box::from_raw(map.cast::<ResourceMap>()) });
    }
    /// rmfree(9F): adds units to the map.
    fn rmfree(map: *mut c_void, size: usize, index: ulong_t) {
        // SAFETY: the driver's promise.
        let map = unsafe { &*map.cast::<ResourceMap>() };
        let mut segments = map.segments.lock();
        segments.used.remove(&index);
        segments.add(index, size as u64);
        map.freed.notify_all();
    }
    /// rmalloc(9F): 0 when there is no room.
    fn rmalloc(map: *mut c_void, size: usize) -> ulong_t {
        // SAFETY: the driver's promise.
        let map = unsafe { &*map.cast::<ResourceMap>() };
        let want = Want { size: size as u64, align: 1, phase: 0, nocross: 0, min: 0, max: u64::MAX };
        map.segments.lock().take(&want).unwrap_or(0)
    }
    /// rmalloc_wait(9F).
    fn rmalloc_wait(map: *mut c_void, size: usize) -> ulong_t {
        // SAFETY: the driver's promise.
        let map = unsafe { &*map.cast::<ResourceMap>() };
        let want = Want { size: size as u64, align: 1, phase: 0, nocross: 0, min: 0, max: u64::MAX };
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
        // SAFETY: an arena of the test, here and below.
        let arena = unsafe {
            ddi_sys::vmem_create(name, 0x1000 as *mut c_void, 0x10000, 0x1000, None, None, none, 0, 0)
        };
        // SAFETY: as above.
        let a = unsafe { ddi_sys::vmem_alloc(arena, 100, ddi_sys::VM_NOSLEEP) };
        assert_eq!(a as usize, 0x1000);
        // SAFETY: as above.
        let b = unsafe {
            let max = 0x10000 as *mut c_void;
            ddi_sys::vmem_xalloc(arena, 0x2000, 0x4000, 0, 0, null_mut(), max, ddi_sys::VM_NOSLEEP)
        };
        assert_eq!(b as usize, 0x4000);
        // SAFETY: as above.
        assert!(unsafe { ddi_sys::vmem_alloc(arena, 0x10000, ddi_sys::VM_NOSLEEP) }.is_null());
        // SAFETY: as above.
        unsafe { ddi_sys::vmem_xfree(arena, b, 0x2000) };
        // SAFETY: as above.
        unsafe { ddi_sys::vmem_free(arena, a, 100) };
        // SAFETY: as above.
        let all = unsafe { ddi_sys::vmem_alloc(arena, 0x10000, ddi_sys::VM_NOSLEEP) };
        assert_eq!(all as usize, 0x1000);
        // SAFETY: as above.
        unsafe { ddi_sys::vmem_free(arena, all, 0x10000) };
        // SAFETY: as above.
        unsafe { ddi_sys::vmem_destroy(arena) };
    }

    #[test]
    fn ids_come_in_turn_or_lowest_first() {
        // SAFETY: an id space of the test, here and below.
        let ids = unsafe { ddi_sys::id_space_create(c"test".as_ptr(), 5, 8) };
        // SAFETY: as above.
        let next = || unsafe { ddi_sys::id_alloc_nosleep(ids) };
        assert_eq!((next(), next()), (5, 6));
        // SAFETY: as above.
        unsafe { ddi_sys::id_free(ids, 5) };
        assert_eq!(next(), 7);
        // SAFETY: as above.
        assert_eq!(unsafe { ddi_sys::id_allocff_nosleep(ids) }, 5);
        assert_eq!(next(), -1);
        // SAFETY: as above.
        unsafe { ddi_sys::id_space_destroy(ids) };
    }

    #[test]
    fn resource_maps() {
        // SAFETY: a map of the test, here and below.
        let map = unsafe { ddi_sys::rmallocmap(8) };
        // SAFETY: as above.
        unsafe { ddi_sys::rmfree(map, 10, 1) };
        // SAFETY: as above.
        assert_eq!(unsafe { ddi_sys::rmalloc(map, 4) }, 1);
        // SAFETY: as above.
        assert_eq!(unsafe { ddi_sys::rmalloc(map, 7) }, 0);
        // SAFETY: as above.
        assert_eq!(unsafe { ddi_sys::rmalloc(map, 6) }, 5);
        // SAFETY: as above.
        unsafe { ddi_sys::rmfreemap(map) };
    }
}
