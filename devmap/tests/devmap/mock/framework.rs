//! The devmap framework: handles, faults, contexts, fork, unmap, the way the reference does it, traps instead of
//! crashes.

use std::collections::BTreeSet;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use ddi_sys as sys;

use super::{Kernel, PAGE, cb_ops, kernel};

/// What a handle maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    None,
    Umem(usize),
    Registers(u32),
}

/// A mapping in the framework's hands.
#[derive(Clone)]
pub struct HandleState {
    pub off: i64,
    pub len: usize,
    pub object: Object,
    pub start: i64,
    pub flags: u32,
    pub max_protection: u32,
    pub protection: u32,
    pub table: sys::devmap_callback_ctl,
    pub pvt: usize,
    /// User offsets of pages with a translation.
    pub loaded: BTreeSet<i64>,
    pub ticks: i64,
    /// The length of the register set or the memory.
    pub object_len: usize,
}

impl Kernel {
    fn trip(&mut self, defect: u32) {
        self.tripped.push(defect);
    }

    fn object_len(&self, dip: *mut sys::dev_info_t, object: Object) -> usize {
        match object {
            Object::None => 0,
            Object::Umem(cookie) => self.umems.get(&cookie).map_or(0, |umem| umem.len),
            Object::Registers(set) => {
                let node = unsafe { &*dip.cast::<super::Node>() };
                node.registers.get(set as usize).copied().unwrap_or(0)
            }
        }
    }
}

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
extern "C-unwind" fn ddi_devmap_segmap(
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

fn set_up(
    handle: usize,
    object: Object,
    object_len: usize,
    table: *mut sys::devmap_callback_ctl,
    (start, len): (i64, usize),
    (max_protection, flags): (u32, u32),
) -> c_int {
    let mut kernel = kernel();
    if kernel.refuses("devmap_setup") {
        return -1;
    }
    if start < 0 {
        kernel.trip(11);
        return -1;
    }
    let state = kernel.handles.get_mut(&handle).expect("a setup of no handle");
    assert_eq!(state.object, Object::None, "set up twice");
    if start as usize + len > object_len || state.protection & !max_protection != 0 {
        return -1;
    }
    let invalid = flags & sys::DEVMAP_MAPPING_INVALID != 0;
    state.object = object;
    state.object_len = object_len;
    state.start = start;
    state.len = len;
    state.flags = flags;
    state.max_protection = max_protection;
    state.table = unsafe { *table };
    if invalid && matches!(object, Object::Umem(_)) {
        kernel.trip(4);
    }
    0
}

#[unsafe(no_mangle)]
extern "C-unwind" fn devmap_umem_setup(
    handle: *mut c_void,
    _dip: *mut sys::dev_info_t,
    table: *mut sys::devmap_callback_ctl,
    cookie: *mut c_void,
    start: i64,
    len: usize,
    max_protection: u32,
    flags: u32,
    attributes: *mut sys::ddi_device_acc_attr_t,
) -> c_int {
    assert!(attributes.is_null());
    let object = Object::Umem(cookie.addr());
    let object_len = kernel().object_len(null_mut(), object);
    set_up(handle.addr(), object, object_len, table, (start, len), (max_protection, flags))
}

#[unsafe(no_mangle)]
extern "C-unwind" fn devmap_devmem_setup(
    handle: *mut c_void,
    dip: *mut sys::dev_info_t,
    table: *mut sys::devmap_callback_ctl,
    set: u32,
    start: i64,
    len: usize,
    max_protection: u32,
    flags: u32,
    attributes: *mut sys::ddi_device_acc_attr_t,
) -> c_int {
    assert!(!attributes.is_null());
    let object = Object::Registers(set);
    let object_len = kernel().object_len(dip, object);
    set_up(handle.addr(), object, object_len, table, (start, len), (max_protection, flags))
}

fn remap(
    handle: usize,
    object: Object,
    object_len: usize,
    (start, len): (i64, usize),
    max_protection: u32,
    flags: u32,
) -> c_int {
    let mut kernel = kernel();
    if kernel.refuses("devmap_remap") {
        return -1;
    }
    let state = kernel.handles.get(&handle).expect("a remap of no handle").clone();
    if state.flags & sys::DEVMAP_ALLOW_REMAP == 0 {
        return -1;
    }
    let invalid = state.flags & sys::DEVMAP_MAPPING_INVALID != 0;
    match object {
        Object::Umem(0) => kernel.trip(9),
        Object::Umem(_) if invalid => kernel.trip(5),
        Object::Registers(_) if invalid && object_len == 0 => kernel.trip(6),
        _ => {}
    }
    if start < 0 {
        kernel.trip(11);
    }
    if len < state.len || start.max(0) as usize + state.len > object_len {
        kernel.trip(10);
    }
    if state.protection & !max_protection != 0 {
        kernel.trip(12);
    }
    if flags & sys::DEVMAP_MAPPING_INVALID != 0 {
        kernel.trip(5);
    }
    let state = kernel.handles.get_mut(&handle).unwrap();
    state.loaded.clear();
    state.object = object;
    state.object_len = object_len;
    state.start = start;
    0
}

#[unsafe(no_mangle)]
extern "C-unwind" fn devmap_umem_remap(
    handle: *mut c_void,
    _dip: *mut sys::dev_info_t,
    cookie: *mut c_void,
    start: i64,
    len: usize,
    max_protection: u32,
    flags: u32,
    _: *mut sys::ddi_device_acc_attr_t,
) -> c_int {
    let object = Object::Umem(cookie.addr());
    let object_len = kernel().object_len(null_mut(), object);
    remap(handle.addr(), object, object_len, (start, len), max_protection, flags)
}

#[unsafe(no_mangle)]
extern "C-unwind" fn devmap_devmem_remap(
    handle: *mut c_void,
    dip: *mut sys::dev_info_t,
    set: u32,
    start: i64,
    len: usize,
    max_protection: u32,
    flags: u32,
    _: *mut sys::ddi_device_acc_attr_t,
) -> c_int {
    let object = Object::Registers(set);
    let object_len = kernel().object_len(dip, object);
    remap(handle.addr(), object, object_len, (start, len), max_protection, flags)
}

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
extern "C-unwind" fn devmap_load(handle: *mut c_void, off: i64, len: usize, _kind: u32, rw: u32) -> c_int {
    let mut kernel = kernel();
    let Some(pages) = pages(&mut kernel, handle.addr(), off, len) else {
        return sys::FC_MAKE_ERR(sys::EINVAL);
    };
    if kernel.refuses("devmap_load") {
        return sys::FC_HWERR;
    }
    let state = kernel.handles.get_mut(&handle.addr()).unwrap();
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
extern "C-unwind" fn devmap_default_access(
    handle: *mut c_void,
    _pvt: *mut c_void,
    off: i64,
    len: usize,
    kind: u32,
    rw: u32,
) -> c_int {
    devmap_load(handle, off, len, kind, rw)
}

#[unsafe(no_mangle)]
extern "C-unwind" fn devmap_unload(handle: *mut c_void, off: i64, len: usize) -> c_int {
    let mut kernel = kernel();
    kernel.unloads += 1;
    let Some(pages) = pages(&mut kernel, handle.addr(), off, len) else {
        return sys::FC_MAKE_ERR(sys::EINVAL);
    };
    if kernel.refuses("devmap_unload") {
        return sys::FC_HWERR;
    }
    let state = kernel.handles.get_mut(&handle.addr()).unwrap();
    for page in pages {
        state.loaded.remove(&page);
    }
    0
}

#[unsafe(no_mangle)]
extern "C-unwind" fn devmap_set_ctx_timeout(handle: *mut c_void, ticks: i64) {
    kernel().handles.get_mut(&handle.addr()).expect("a timeout of no handle").ticks = ticks;
}

/// As the reference has it, with two processors: also its way to lose a timer (28).
#[unsafe(no_mangle)]
extern "C-unwind" fn devmap_do_ctxmgt(
    handle: *mut c_void,
    pvt: *mut c_void,
    off: i64,
    len: usize,
    kind: u32,
    rw: u32,
    routine: Option<unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, i64, usize, u32, u32) -> c_int>,
) -> c_int {
    let Some(routine) = routine else { return sys::FC_HWERR };
    let ticks = || kernel().handles.get(&handle.addr()).map_or(0, |state| state.ticks);
    if kernel().handles[&handle.addr()].table.devmap_access.is_none() {
        kernel().trip(18);
        return sys::FC_HWERR;
    }
    let timed = ticks() > 0;
    if timed {
        let mut kernel = kernel();
        if kernel.oncpu {
            // Waited out: the timer fires.
            kernel.context_waits += 1;
            kernel.timers = kernel.timers.saturating_sub(1);
        }
        kernel.oncpu = true;
    }
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
    0
}

/// What a process that touches a page gets: nothing, or the error number of its SIGBUS.
pub fn touch(handle: usize, off: i64, rw: u32) -> Result<(), i32> {
    fault(handle, off, PAGE, sys::DEVMAP_ACCESS, rw)
}

pub fn fault(handle: usize, off: i64, len: usize, kind: u32, rw: u32) -> Result<(), i32> {
    let state = kernel().handles[&handle].clone();
    if kind == sys::DEVMAP_LOCK {
        if state.flags & sys::DEVMAP_ALLOW_REMAP != 0 {
            return Err(sys::ENOTSUP);
        }
        // From here on the reference counts, and gets it wrong.
        kernel().trip(20);
    }
    let code = match state.table.devmap_access {
        Some(access) => unsafe {
            access(handle as *mut c_void, state.pvt as *mut c_void, off, len, kind, rw)
        },
        None => devmap_load(handle as *mut c_void, off, len, kind, rw),
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

/// How many pages of a handle have translations.
pub fn loaded(handle: usize) -> usize {
    kernel().handles[&handle].loaded.len()
}

/// Where the driver has the memory behind a page of a handle.
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
    Ok(unsafe { access(handle, off, sys::DEVMAP_READ)?.read() })
}

/// A process stores eight bytes.
pub fn store(handle: usize, off: i64, value: u64) -> Result<(), i32> {
    unsafe { access(handle, off, sys::DEVMAP_WRITE)?.write(value) };
    Ok(())
}
