//! A process's address space: mmap, fork, and the shapes of munmap, the way the reference does them.

use std::collections::BTreeSet;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use ddi_sys as sys;

use super::{HandleState, Object, PAGE, cb_ops, kernel};

/// mmap(2): the handles, or the error number.
pub fn mmap(dev: sys::dev_t, off: i64, len: i64, protection: u32, flags: u32) -> Result<Vec<usize>, i32> {
    mmap_max(dev, off, len, protection, sys::PROT_ALL, flags)
}

pub fn mmap_max(
    dev: sys::dev_t,
    off: i64,
    len: i64,
    protection: u32,
    max_protection: u32,
    flags: u32,
) -> Result<Vec<usize>, i32> {
    let before: Vec<usize> = kernel().handles.keys().copied().collect();
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
    Ok(kernel().handles.keys().copied().filter(|handle| !before.contains(handle)).collect())
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
    let (mut at, mut rest, mut made) = (off, len as usize, Vec::new());
    let undo = |made: &[usize]| {
        for handle in made {
            kernel().handles.remove(handle);
        }
    };
    while rest > 0 {
        // SAFETY: a revision and callbacks that may be missing, for which zero is a value.
        let table = unsafe { std::mem::zeroed() };
        let handle = {
            let mut kernel = kernel();
            let handle = kernel.fresh();
            let state = HandleState {
                off: at,
                len: 0,
                object: Object::None,
                start: 0,
                flags: 0,
                max_protection,
                protection,
                table,
                pvt: 0,
                loaded: BTreeSet::new(),
                ticks: 0,
                object_len: 0,
            };
            kernel.handles.insert(handle, state);
            handle
        };
        made.push(handle);
        let mut reported = 0;
        let devmap = cb_ops().cb_devmap.unwrap();
        // SAFETY: as devmap(9E): a fresh handle.
        let failed =
            unsafe { devmap(dev, handle as *mut c_void, at, rest, &mut reported, sys::DDI_MODEL_LP64) };
        if failed != 0 {
            undo(&made);
            return sys::ENXIO;
        }
        let set_up = kernel().handles[&handle].len;
        if reported == 0 {
            kernel().trip(16);
        }
        if reported != set_up || !reported.is_multiple_of(PAGE) {
            kernel().trip(17);
        }
        if reported == 0 || set_up == 0 {
            undo(&made);
            return sys::EINVAL;
        }
        at += reported as i64;
        rest = rest.saturating_sub(reported);
    }
    let refused = kernel().refuses("as_map");
    if refused {
        undo(&made);
        return sys::ENOMEM;
    }
    for handle in &made {
        let state = kernel().handles[handle].clone();
        if state.table.devmap_access.is_none() && flags & sys::MAP_TYPE == sys::MAP_PRIVATE {
            undo(&made);
            return sys::EINVAL;
        }
        let mut pvt = null_mut();
        if let Some(map) = state.table.devmap_map {
            // SAFETY: as devmap_map(9E): a handle that the driver has set up.
            let failed = unsafe { map(*handle as *mut c_void, dev, flags, state.off, state.len, &mut pvt) };
            if failed != 0 {
                kernel().trip(7);
                undo(&made);
                return sys::ENXIO;
            }
        }
        kernel().handles.get_mut(handle).unwrap().pvt = pvt.addr();
    }
    0
}

/// fork(2): copies of these handles, or the error number.
pub fn fork(handles: &[usize]) -> Result<Vec<usize>, i32> {
    let mut made = Vec::new();
    for handle in handles {
        let (new, old) = {
            let mut kernel = kernel();
            let new = kernel.fresh();
            let mut state = kernel.handles[handle].clone();
            let old = state.pvt;
            state.loaded.clear();
            state.pvt = 0;
            state.ticks = 0;
            kernel.handles.insert(new, state);
            (new, old)
        };
        let mut pvt = null_mut();
        let dup = kernel().handles[handle].table.devmap_dup.unwrap();
        // SAFETY: as devmap_dup(9E): a live handle, its private data, and its copy.
        let refused =
            unsafe { dup(*handle as *mut c_void, old as *mut c_void, new as *mut c_void, &mut pvt) };
        if refused != 0 {
            kernel().handles.remove(&new);
            made.into_iter().for_each(unmap);
            return Err(refused);
        }
        kernel().handles.get_mut(&new).unwrap().pvt = pvt.addr();
        made.push(new);
    }
    Ok(made)
}

/// Unmaps all of a handle.
pub fn unmap(handle: usize) {
    let len = kernel().handles[&handle].len;
    cut(handle, 0, len);
}

/// Unmaps a part of a handle; the new handle behind it, if it is in the middle.
///
/// The framework changes its handle before it tells the driver, as the reference does.
pub fn cut(handle: usize, at: usize, len: usize) -> Option<usize> {
    let state = kernel().handles[&handle].clone();
    let (off, end) = (state.off + at as i64, at + len);
    let mut second = None;
    {
        let mut kernel = kernel();
        let fresh = kernel.fresh();
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
            rest.pvt = 0;
            let from = rest.off;
            rest.loaded.retain(|page| *page >= from);
            kernel.handles.insert(fresh, rest);
            second = Some(fresh);
        }
    }
    let unmap = state.table.devmap_unmap.unwrap();
    let (mut pvt1, mut pvt2) = (null_mut(), null_mut());
    let this = handle as *mut c_void;
    let (one, two) = match (at, end == state.len) {
        (0, true) => (null_mut(), null_mut()),
        (0, false) => (null_mut(), this),
        (_, true) => (this, null_mut()),
        _ => (this, second.unwrap() as *mut c_void),
    };
    // SAFETY: as devmap_unmap(9E): the handle, its private data, and what is left of it before and behind.
    unsafe { unmap(this, state.pvt as *mut c_void, off, len, one, &mut pvt1, two, &mut pvt2) };
    let mut kernel = kernel();
    let pvt = |new: *mut c_void| if new == one { pvt1.addr() } else { pvt2.addr() };
    match kernel.handles.get_mut(&handle) {
        Some(state) if !one.is_null() || !two.is_null() => {
            state.pvt = pvt(if one.is_null() { two } else { one });
        }
        _ => drop(kernel.handles.remove(&handle)),
    }
    if let Some(second) = second {
        kernel.handles.get_mut(&second).unwrap().pvt = pvt2.addr();
    }
    second
}
