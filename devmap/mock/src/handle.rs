//! Handles as the framework keeps them, and the calls that set one up and give it other memory, with traps instead of crashes.

use std::collections::BTreeSet;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

use ddi_sys as sys;

use super::{Kernel, kernel};

/// The object that a handle maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// Not set up yet.
    None,
    /// Kernel memory, by its cookie.
    Umem(usize),
    /// A register set, by its number.
    Registers(u32),
}

/// The place of a private pointer in the framework: the callbacks write to the very place, and others read it at any time. It is that of the handle's
/// address: like memory of the kernel's, it can still be written when the handle is freed, and is the next one's then.
#[derive(Clone, Default)]
pub struct Private(Arc<AtomicPtr<c_void>>);

/// Content of the place of a handle that is freed.
const FREED: *mut c_void = std::ptr::without_provenance_mut(0xdead_beef);

impl Private {
    /// Returns whether nobody has written to the place of a handle since it was freed.
    pub(super) fn is_as_freed(&self) -> bool {
        self.get() == FREED
    }

    /// Returns the pointer.
    pub fn get(&self) -> *mut c_void {
        self.0.load(SeqCst)
    }

    pub(super) fn place(&self) -> *mut *mut c_void {
        self.0.as_ptr()
    }
}

/// A mapping in the framework's hands.
#[derive(Clone)]
pub struct HandleState {
    /// Which of the handles that have had this address.
    pub birth: usize,
    /// The process whose address space it is in.
    pub process: u32,
    /// Whether the framework knows the address: an access finds the handle from then on.
    pub placed: bool,
    /// Offset in the device, in bytes.
    pub off: i64,
    /// Bytes.
    pub len: usize,
    /// The object.
    pub object: Object,
    /// Offset in the object, in bytes.
    pub start: i64,
    /// Flags of the set-up function.
    pub flags: u32,
    /// Protections that mprotect(2) may give.
    pub max_protection: u32,
    /// Protections that mmap(2) asked for.
    pub protection: u32,
    /// The driver's callbacks.
    pub table: sys::devmap_callback_ctl,
    /// The driver's private data.
    pub pvt: Private,
    /// User offsets of pages with a translation.
    pub loaded: BTreeSet<i64>,
    /// Ticks for which a context stays, by devmap_set_ctx_timeout(9F).
    pub ticks: i64,
    /// The length of the register set or the memory.
    pub object_len: usize,
}

impl Kernel {
    pub(super) fn trip(&mut self, defect: u32) {
        self.tripped.push(defect);
    }

    pub(super) fn object_len(&self, dip: *mut sys::dev_info_t, object: Object) -> usize {
        match object {
            Object::None => 0,
            Object::Umem(cookie) => self.umems.get(&cookie).map_or(0, |umem| umem.len),
            Object::Registers(set) => {
                // SAFETY: as devmap_devmem_setup(9F): the driver's node, one of ours.
                let node = unsafe { &*dip.cast::<super::Node>() };
                node.registers.get(set as usize).copied().unwrap_or(0)
            }
        }
    }
}

impl Kernel {
    /// A handle, at an address where one was before if there is any: the newest, as kmem_alloc(9F) gives it.
    pub(super) fn new_handle(&mut self, state: HandleState) -> usize {
        let (at, pvt) =
            self.freed_handles.pop().unwrap_or_else(|| (self.fresh(), Private(Arc::new(FREED.into()))));
        if !pvt.is_as_freed() {
            self.trip(30);
        }
        pvt.0.store(std::ptr::null_mut(), SeqCst);
        self.births += 1;
        let state = HandleState { birth: self.births, pvt, ..state };
        assert!(self.handles.insert(at, state).is_none());
        at
    }

    pub(super) fn free_handle(&mut self, handle: usize) -> HandleState {
        let state = self.handles.remove(&handle).expect("a handle freed twice");
        state.pvt.0.store(FREED, SeqCst);
        self.freed_handles.push((handle, state.pvt.clone()));
        state
    }
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
    // SAFETY: as devmap_umem_setup(9F): the driver's callbacks, which are copied.
    state.table = unsafe { *table };
    if invalid && matches!(object, Object::Umem(_)) {
        kernel.trip(4);
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn devmap_umem_setup(
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
    let object = Object::Umem(cookie.expose_provenance());
    let object_len = kernel().object_len(null_mut(), object);
    set_up(handle.expose_provenance(), object, object_len, table, (start, len), (max_protection, flags))
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn devmap_devmem_setup(
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
    set_up(handle.expose_provenance(), object, object_len, table, (start, len), (max_protection, flags))
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
        return -1;
    }
    if flags & sys::DEVMAP_MAPPING_INVALID != 0 {
        kernel.trip(5);
    }
    let state = kernel.handles.get_mut(&handle).unwrap();
    state.loaded.clear();
    state.object = object;
    state.object_len = object_len;
    state.start = start;
    state.max_protection = max_protection;
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn devmap_umem_remap(
    handle: *mut c_void,
    _dip: *mut sys::dev_info_t,
    cookie: *mut c_void,
    start: i64,
    len: usize,
    max_protection: u32,
    flags: u32,
    _: *mut sys::ddi_device_acc_attr_t,
) -> c_int {
    let object = Object::Umem(cookie.expose_provenance());
    let object_len = kernel().object_len(null_mut(), object);
    remap(handle.expose_provenance(), object, object_len, (start, len), max_protection, flags)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn devmap_devmem_remap(
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
    remap(handle.expose_provenance(), object, object_len, (start, len), max_protection, flags)
}
