//! Faults and contexts: loads, unloads, context management, and what a process gets that touches a page.

use std::ffi::{c_int, c_void};

use ddi_sys as sys;

use super::space::{private, read_space};
use super::threads::{threads, until};
use super::{Kernel, Object, PAGE, kernel};

/// The pages of a range, or nothing when it is not within the handle; length 0 is "to the end".
fn pages(kernel: &mut Kernel, handle: usize, off: i64, len: usize) -> Option<Vec<i64>> {
    let state = kernel.handles.get(&handle).expect("a load or unload of no handle").clone();
    if len > usize::MAX / 2 {
        kernel.trip(13);
        return None;
    }
    let first = off & !(PAGE as i64 - 1);
    let end = state.off + state.len as i64;
    let last = if len == 0 { end } else { first + len.next_multiple_of(PAGE) as i64 };
    (first >= state.off && first < end && last <= end).then(|| (first..last).step_by(PAGE).collect())
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn devmap_load(
    handle: *mut c_void,
    off: i64,
    len: usize,
    _kind: u32,
    rw: u32,
) -> c_int {
    let mut kernel = kernel();
    let Some(pages) = pages(&mut kernel, handle.expose_provenance(), off, len) else {
        return sys::FC_MAKE_ERR(sys::EINVAL);
    };
    if kernel.refuses("devmap_load") {
        return sys::FC_HWERR;
    }
    let state = kernel.handles.get_mut(&handle.expose_provenance()).unwrap();
    let needed = match rw {
        sys::DEVMAP_READ => sys::PROT_READ,
        sys::DEVMAP_WRITE => sys::PROT_WRITE,
        sys::DEVMAP_EXEC => sys::PROT_EXEC,
        _ => 0,
    };
    if state.protection & needed != needed {
        return sys::FC_PROT;
    }
    state.loaded.extend(pages);
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn devmap_default_access(
    handle: *mut c_void,
    _pvt: *mut c_void,
    off: i64,
    len: usize,
    kind: u32,
    rw: u32,
) -> c_int {
    // SAFETY: as devmap_default_access(9F).
    unsafe { devmap_load(handle, off, len, kind, rw) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn devmap_unload(handle: *mut c_void, off: i64, len: usize) -> c_int {
    let mut kernel = kernel();
    kernel.unloads += 1;
    let Some(pages) = pages(&mut kernel, handle.expose_provenance(), off, len) else {
        return sys::FC_MAKE_ERR(sys::EINVAL);
    };
    if kernel.refuses("devmap_unload") {
        return sys::FC_HWERR;
    }
    let state = kernel.handles.get_mut(&handle.expose_provenance()).unwrap();
    for page in pages {
        state.loaded.remove(&page);
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn devmap_set_ctx_timeout(handle: *mut c_void, ticks: i64) {
    kernel().handles.get_mut(&handle.expose_provenance()).expect("a timeout of no handle").ticks = ticks;
}

/// As the reference has it, with two processors: also its way to lose a timer (28).
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn devmap_do_ctxmgt(
    handle: *mut c_void,
    _pvt: *mut c_void,
    off: i64,
    len: usize,
    kind: u32,
    rw: u32,
    routine: Option<unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, i64, usize, u32, u32) -> c_int>,
) -> c_int {
    let Some(routine) = routine else { return sys::FC_HWERR };
    let ticks = || kernel().handles.get(&handle.expose_provenance()).map_or(0, |state| state.ticks);
    if kernel().handles[&handle.expose_provenance()].table.devmap_access.is_none() {
        kernel().trip(18);
        return sys::FC_HWERR;
    }
    let timed = ticks() > 0;
    let turn = timed.then(Turn::new);
    let pvt = private(&kernel().handles[&handle.expose_provenance()]);
    // SAFETY: as devmap_do_ctxmgt(9F): the driver's routine, with what came with it and the private pointer that the handle has.
    let failed = unsafe { routine(handle, pvt, off, len, kind, rw) };
    if failed != 0 {
        kernel().oncpu = false;
        return sys::FC_HWERR;
    }
    if timed {
        let again = ticks() > 0;
        let mut kernel = kernel();
        if again {
            if kernel.timers > 0 {
                kernel.trip(28);
            }
            kernel.timers += 1;
        } else {
            kernel.oncpu = false;
        }
    }
    drop(turn);
    0
}

/// The context of the device, had by a handle with a timeout while its routine runs.
struct Turn;

impl Turn {
    /// The place at which others wait for it.
    const PLACE: usize = 1;

    fn new() -> Turn {
        until(Turn::PLACE, || {
            let mut kernel = kernel();
            if kernel.switching {
                return None;
            }
            if kernel.oncpu {
                // Waited out: the timer fires.
                kernel.context_waits += 1;
                kernel.timers = kernel.timers.saturating_sub(1);
            }
            (kernel.oncpu, kernel.switching) = (true, true);
            Some(Turn)
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        kernel().switching = false;
        threads().wake(Turn::PLACE);
    }
}

/// Touches a page. Returns the error number of the SIGBUS that the process would get.
pub fn touch(handle: usize, off: i64, rw: u32) -> Result<(), i32> {
    fault(handle, off, PAGE, sys::DEVMAP_ACCESS, rw)
}

/// Result of an access that finds no handle: the process gets SIGSEGV, and the driver is not asked.
pub const NOT_MAPPED: i32 = -1;

/// Touches pages of a mapping, as a fault of type `kind` (`DEVMAP_ACCESS`) and access `rw` (`DEVMAP_READ`).
///
/// # Errors
/// The error of the fault.
pub fn fault(handle: usize, off: i64, len: usize, kind: u32, rw: u32) -> Result<(), i32> {
    let process = kernel().handles[&handle].process;
    let _held = read_space(process);
    fault_held(handle, off, len, kind, rw)
}

pub(super) fn fault_held(handle: usize, off: i64, len: usize, kind: u32, rw: u32) -> Result<(), i32> {
    let state = kernel().handles[&handle].clone();
    if !state.placed {
        return Err(NOT_MAPPED);
    }
    if kind == sys::DEVMAP_LOCK {
        if state.flags & sys::DEVMAP_ALLOW_REMAP != 0 {
            return Err(sys::ENOTSUP);
        }
        // From here on the reference counts, and gets it wrong.
        kernel().trip(20);
    }
    let code = match state.table.devmap_access {
        // SAFETY: as devmap_access(9E): a live handle and its private data.
        Some(access) => unsafe { access(handle as *mut c_void, private(&state), off, len, kind, rw) },
        // SAFETY: a live handle.
        None => unsafe { devmap_load(handle as *mut c_void, off, len, kind, rw) },
    };
    if code == 0 {
        return Ok(());
    }
    if kind == sys::DEVMAP_UNLOCK {
        kernel().trip(23);
    }
    // Whatever came back is taken for an error number.
    Err(code)
}

/// Returns the number of pages of a handle that have translations.
pub fn loaded(handle: usize) -> usize {
    kernel().handles[&handle].loaded.len()
}

/// Returns the driver's address of the memory behind a page of a handle.
fn behind(kernel: &Kernel, handle: usize, off: i64) -> *mut u64 {
    let state = &kernel.handles[&handle];
    assert!(off >= state.off && off + 8 <= state.off + state.len as i64, "outside of the mapping");
    let base = match state.object {
        Object::Umem(cookie) => kernel.umems[&cookie].base,
        Object::Registers(set) => {
            kernel.register_sets.iter().find(|((_, number), _)| *number == set).expect("mapped registers").1.0
        }
        Object::None => panic!("a mapping of nothing"),
    };
    (base + state.start as usize + (off - state.off) as usize) as *mut u64
}

/// A process's access: faults if there is no translation, then does it.
fn access(handle: usize, off: i64, rw: u32) -> Result<*mut u64, i32> {
    for _ in 0..3 {
        let page = off & !(PAGE as i64 - 1);
        {
            let kernel = kernel();
            if kernel.handles[&handle].loaded.contains(&page) {
                return Ok(behind(&kernel, handle, off));
            }
        }
        touch(handle, page, rw)?;
    }
    panic!("an access that never ends");
}

/// A process loads eight bytes.
pub fn load(handle: usize, off: i64) -> Result<u64, i32> {
    let at = access(handle, off, sys::DEVMAP_READ)?;
    // SAFETY: within the memory that the handle maps, which cannot be freed while it does.
    Ok(unsafe { at.read() })
}

/// A process stores eight bytes.
pub fn store(handle: usize, off: i64, value: u64) -> Result<(), i32> {
    let at = access(handle, off, sys::DEVMAP_WRITE)?;
    // SAFETY: as in `load`.
    unsafe { at.write(value) };
    Ok(())
}
