//! A process's address space: mmap, fork, and the shapes of munmap, the way the reference does them.
//!
//! Also its way to call back between mmap's two halves: the segment is in the address space, and others can touch, duplicate and unmap it,
//! before the map callbacks are called, without a lock, for handles that may be gone by then.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

use ddi_sys as sys;

use super::threads::{me, threads, until};
use super::{HandleState, Object, PAGE, Private, cb_ops, kernel};

/// Handles that came into an address space together.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The process whose address space it is in.
    pub process: u32,
    /// The handles that live.
    pub handles: Vec<usize>,
}

/// A process's address space, held: by readers in faults, by a writer in fork and munmap and while a segment is put in.
pub(super) struct Held(u32);

impl Held {
    fn new(process: u32, writes: bool) -> Held {
        until(Held::place(process), || {
            let mut kernel = kernel();
            let holders = kernel.spaces.entry(process).or_default();
            let free = if writes { holders.is_empty() } else { holders.iter().all(|(_, writes)| !writes) };
            free.then(|| holders.push((me(), writes)))
        });
        Held(process)
    }

    /// The place at which others wait for it.
    fn place(process: u32) -> usize {
        usize::MAX - process as usize
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        {
            let mut kernel = kernel();
            let holders = kernel.spaces.entry(self.0).or_default();
            let own = holders.iter().rposition(|(thread, _)| *thread == me());
            own.inspect(|own| _ = holders.remove(*own));
        }
        threads().wake(Held::place(self.0));
    }
}

pub(super) fn read_space(process: u32) -> Held {
    Held::new(process, false)
}

fn write_space(process: u32) -> Held {
    Held::new(process, true)
}

/// Returns whether this thread holds an address space.
pub(super) fn holds_space() -> bool {
    kernel().spaces.values().flatten().any(|(thread, _)| *thread == me())
}

/// The process in whose address space a handle is.
fn process_of(handle: usize) -> u32 {
    kernel().handles[&handle].process
}

/// From now on the calling thread is one of this process.
pub fn in_process(process: u32) {
    kernel().processes.insert(me(), process);
}

/// Called by mmap(2) for each of its handles, just before the map callback is; the handle may be gone when it returns. Also when the mapping has
/// failed, with a handle that was freed.
pub type Between = Arc<dyn Fn(usize) + Send + Sync>;

/// Between now and the map callbacks of each mmap(2), calls this.
pub fn between(what: impl Fn(usize) + Send + Sync + 'static) {
    kernel().between = Some(Arc::new(what));
}

/// Forgets what was to happen between two callbacks.
pub fn nothing_between() {
    kernel().between = None;
}

/// mmap(2): the handles, or the error number.
pub fn mmap(dev: sys::dev_t, off: i64, len: i64, protection: u32, flags: u32) -> Result<Vec<usize>, i32> {
    mmap_max(dev, off, len, protection, sys::PROT_ALL, flags)
}

/// mmap(2) of a mapping that mprotect(2) may give `max` at most. Returns its handles.
///
/// # Errors
/// The error number.
pub fn mmap_max(
    dev: sys::dev_t,
    off: i64,
    len: i64,
    protection: u32,
    max_protection: u32,
    flags: u32,
) -> Result<Vec<usize>, i32> {
    let mut address = null_mut();
    let segmap = cb_ops().cb_segmap.unwrap();
    // SAFETY: as segmap(9E); the address space is looked at by ours only, which does not.
    let result = unsafe {
        segmap(
            dev,
            off,
            null_mut(),
            &mut address,
            len,
            protection | sys::PROT_USER,
            max_protection | sys::PROT_USER,
            flags,
            null_mut(),
        )
    };
    if result != 0 {
        return Err(result);
    }
    Ok(kernel().made.remove(&me()).unwrap_or_default())
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_devmap_segmap(
    dev: sys::dev_t,
    off: sys::off_t,
    _space: *mut sys::as_,
    _address: *mut *mut i8,
    len: sys::off_t,
    protection: u32,
    max_protection: u32,
    flags: u32,
    _cred: *mut sys::cred_t,
) -> c_int {
    if len == 0 {
        kernel().trip(14);
        return sys::EINVAL;
    }
    let process = kernel().processes.get(&me()).copied().unwrap_or(0);
    let (mut at, mut rest, mut made) = (off, len as usize, Vec::new());
    let undo = |made: &[usize]| {
        for handle in made {
            kernel().free_handle(*handle);
        }
    };
    while at - off < len {
        // SAFETY: a revision and callbacks that may be missing, for which zero is a value.
        let table = unsafe { std::mem::zeroed() };
        let handle = kernel().new_handle(HandleState {
            birth: 0,
            process,
            placed: false,
            off: at,
            len: 0,
            object: Object::None,
            start: 0,
            flags: 0,
            max_protection,
            protection,
            table,
            pvt: Private::default(),
            loaded: BTreeSet::new(),
            ticks: 0,
            object_len: 0,
        });
        made.push(handle);
        let mut reported = 0;
        let devmap = cb_ops().cb_devmap.unwrap();
        // SAFETY: as devmap(9E): a fresh handle. The length is as it came.
        let failed =
            unsafe { devmap(dev, handle as *mut c_void, at, rest, &mut reported, sys::DDI_MODEL_LP64) };
        if failed != 0 {
            undo(&made);
            return sys::ENXIO;
        }
        let state = kernel().handles[&handle].clone();
        if reported == 0 {
            kernel().trip(16);
        }
        if reported != state.len || !reported.is_multiple_of(PAGE) {
            kernel().trip(17);
        }
        if reported == 0 || state.len == 0 {
            undo(&made);
            return sys::EINVAL;
        }
        if state.table.devmap_access.is_none() && flags & sys::MAP_TYPE == sys::MAP_PRIVATE {
            undo(&made);
            return sys::EINVAL;
        }
        at += reported as i64;
        rest = rest.wrapping_sub(reported);
    }
    let refused = kernel().refuses("as_map");
    if refused {
        undo(&made);
        let between = kernel().between.clone();
        between.inspect(|between| between(made[0]));
        return sys::ENOMEM;
    }
    let kept: Vec<(usize, HandleState)> = {
        let _held = write_space(process);
        let mut kernel = kernel();
        kernel.segments.push(Segment { process, handles: made.clone() });
        made.iter().map(|handle| (*handle, kernel.handles[handle].clone())).collect()
    };
    // The segment is in the address space: from here on the handles belong to whoever has its lock.
    kernel().made.insert(me(), made);
    if kernel().refuses("devmap_map") {
        // The chain of handles leads elsewhere: the reference reads it from memory that it has freed, after an unmap of the first one.
        return 0;
    }
    for (handle, state) in kept {
        // What is read here of a handle that is gone by now is what its memory still has, or what the next one at its address has.
        if let Some(state) = kernel().handles.get_mut(&handle) {
            state.placed = true;
        }
        let between = kernel().between.clone();
        if let Some(between) = between {
            between(handle);
        }
        let now = kernel().handles.get(&handle).cloned();
        let freed = now.is_none_or(|now| now.birth != state.birth);
        if let Some(map) = state.table.devmap_map {
            // SAFETY: as devmap_map(9E), but that the handle may be gone: the place still is one.
            let failed =
                unsafe { map(handle as *mut c_void, dev, flags, state.off, state.len, state.pvt.place()) };
            if failed != 0 {
                // The reference frees all handles then, without a look whether they live.
                kernel().trip(if freed { 30 } else { 7 });
                return sys::ENXIO;
            }
        }
    }
    0
}

/// The private pointer that the framework passes: what is in the handle, or what was there before the map callback.
pub(super) fn private(state: &HandleState) -> *mut c_void {
    if EARLY.get() { null_mut() } else { state.pvt.get() }
}

thread_local! {
    static EARLY: Cell<bool> = const { Cell::new(false) };
}

/// Runs a function as if this thread had read the private pointers that it needs before the map callback stored them.
pub fn as_if_read_early<R>(what: impl FnOnce() -> R) -> R {
    EARLY.set(true);
    let result = what();
    EARLY.set(false);
    result
}

/// fork(2) of a process with these handles: copies of them in a process of their own, or the error number.
pub fn fork(handles: &[usize]) -> Result<Vec<usize>, i32> {
    let _held = write_space(handles.first().map_or(0, |handle| process_of(*handle)));
    let child = new_process();
    fork_held(handles, child)
}

fn new_process() -> u32 {
    let mut kernel = kernel();
    kernel.children += 1;
    1000 + kernel.children
}

fn fork_held(handles: &[usize], process: u32) -> Result<Vec<usize>, i32> {
    let mut made = Vec::new();
    for handle in handles {
        let (new, old, dup, place) = {
            let mut kernel = kernel();
            let parent = kernel.handles[handle].clone();
            let (old, dup) = (private(&parent), parent.table.devmap_dup.unwrap());
            let child = HandleState { loaded: BTreeSet::new(), ticks: 0, placed: true, process, ..parent };
            let child = kernel.new_handle(child);
            (child, old, dup, kernel.handles[&child].pvt.clone())
        };
        // SAFETY: as devmap_dup(9E): a live handle, its private data, and its copy.
        let refused = unsafe { dup(*handle as *mut c_void, old, new as *mut c_void, place.place()) };
        if refused != 0 {
            kernel().free_handle(new);
            for handle in made {
                let len = kernel().handles[&handle].len;
                cut_held(handle, 0, len);
            }
            return Err(refused);
        }
        made.push(new);
    }
    Ok(made)
}

/// fork(2) of a process, which has the segments that are in its address space: the child.
///
/// # Errors
/// The error number.
pub fn fork_process(process: u32) -> Result<u32, i32> {
    let _held = write_space(process);
    let child = new_process();
    let all: Vec<Segment> =
        kernel().segments.iter().filter(|segment| segment.process == process).cloned().collect();
    for segment in all {
        match fork_held(&segment.handles, child) {
            Ok(handles) => kernel().segments.push(Segment { process: child, handles }),
            Err(errno) => {
                exit(child);
                return Err(errno);
            }
        }
    }
    Ok(child)
}

/// exit(2): unmaps what is in a process's address space.
pub fn exit(process: u32) {
    while unmap_first(process) {}
}

/// Unmaps all of a handle.
pub fn unmap(handle: usize) {
    let _held = write_space(process_of(handle));
    let len = kernel().handles[&handle].len;
    cut_held(handle, 0, len);
}

/// Unmaps all of a process's segment that was mapped first, if there is any: the handles of it that live. Another thread may be in its mmap(2) still.
pub fn unmap_first(process: u32) -> bool {
    let _held = write_space(process);
    let lens: Vec<(usize, usize)> = {
        let mut kernel = kernel();
        let Some(first) = kernel.segments.iter().position(|segment| segment.process == process) else {
            return false;
        };
        let segment = kernel.segments.remove(first);
        segment.handles.iter().map(|handle| (*handle, kernel.handles[handle].len)).collect()
    };
    for (handle, len) in lens {
        cut_held(handle, 0, len);
    }
    true
}

/// Unmaps so many bytes of the first handle of a process's segment that was mapped first, at byte `at` of it, if it is longer than that. Returns whether it did.
pub fn cut_first(process: u32, at: usize, len: usize) -> bool {
    let _held = write_space(process);
    let found = {
        let kernel = kernel();
        let first = kernel.segments.iter().find(|segment| segment.process == process);
        first.map(|segment| segment.handles[0]).filter(|handle| {
            let whole = kernel.handles[handle].len;
            at + len <= whole && len < whole
        })
    };
    let Some(handle) = found else { return false };
    if let Some(rest) = cut_held(handle, at, len) {
        kernel().segments.push(Segment { process, handles: vec![rest] });
    }
    true
}

/// Touches the first page of some handle of a process that an access finds, if there is any.
pub fn touch_any(process: u32) -> Option<Result<(), i32>> {
    let _held = read_space(process);
    let (handle, off) = {
        let kernel = kernel();
        let segments = kernel.segments.iter().filter(|segment| segment.process == process);
        let mut mapped =
            segments.flat_map(|segment| &segment.handles).map(|handle| (*handle, &kernel.handles[handle]));
        mapped.find(|(_, state)| state.placed).map(|(handle, state)| (handle, state.off))?
    };
    Some(super::fault_held(handle, off, PAGE, sys::DEVMAP_ACCESS, sys::DEVMAP_READ))
}

/// Unmaps a part of a handle; the new handle behind it, if it is in the middle.
///
/// The framework changes its handle before it tells the driver, as the reference does.
pub fn cut(handle: usize, at: usize, len: usize) -> Option<usize> {
    let _held = write_space(process_of(handle));
    cut_held(handle, at, len)
}

fn cut_held(handle: usize, at: usize, len: usize) -> Option<usize> {
    let state = kernel().handles[&handle].clone();
    let (off, end) = (state.off + at as i64, at + len);
    let pvt = private(&state);
    let mut second = None;
    let mut behind = Private::default();
    {
        let mut kernel = kernel();
        let new = kernel.handles.get_mut(&handle).unwrap();
        if at == 0 && end == state.len {
            // Translations are gone: from here on the driver may free what was mapped (devmap_unmap(9E)).
            new.object = Object::None;
            new.loaded.clear();
        } else if at == 0 {
            new.off += len as i64;
            new.start += len as i64;
            new.len -= len;
        } else if at > 0 {
            new.len = at;
        }
        let from = new.off;
        let to = new.off + new.len as i64;
        new.loaded.retain(|page| (from..to).contains(page));
        if at > 0 && end < state.len {
            let mut rest = state.clone();
            rest.off += end as i64;
            rest.start += end as i64;
            rest.len = state.len - end;
            let from = rest.off;
            rest.loaded.retain(|page| *page >= from);
            let rest = kernel.new_handle(rest);
            behind = kernel.handles[&rest].pvt.clone();
            second = Some(rest);
        }
    }
    let unmap = state.table.devmap_unmap.unwrap();
    let this = handle as *mut c_void;
    let (mine, none) = (state.pvt.place(), null_mut());
    let ((one, pvt1), (two, pvt2)) = match (at, second) {
        (0, _) if end == state.len => ((null_mut(), none), (null_mut(), none)),
        (0, _) => ((null_mut(), none), (this, mine)),
        (_, None) => ((this, mine), (null_mut(), none)),
        (_, Some(second)) => ((this, mine), (second as *mut c_void, behind.place())),
    };
    // SAFETY: as devmap_unmap(9E): the handle, its private data, and what is left of it before and behind.
    unsafe { unmap(this, pvt, off, len, one, pvt1, two, pvt2) };
    if one.is_null() && two.is_null() {
        let mut kernel = kernel();
        kernel.free_handle(handle);
        kernel.segments.iter_mut().for_each(|segment| segment.handles.retain(|other| *other != handle));
        kernel.segments.retain(|segment| !segment.handles.is_empty());
    }
    second
}
