//! Memory of a process that is pinned, and tasks that give it back. The process has the kernel's addresses.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Mutex;

use ddi_sys as sys;

use super::space::holds_space;
use super::{Object, PAGE, UmemState, kernel};

/// A pin: the process's address, and who is to be told that it goes.
pub struct Pin {
    /// The address.
    pub start: usize,
    /// Bytes.
    pub len: usize,
    /// Flags of ddi_umem_lock(9F).
    pub flags: c_int,
    /// The callback for a process that ends.
    pub ops: sys::umem_callback_ops,
}

// SAFETY: numbers, and a function of the driver's.
unsafe impl Send for Pin {}

type Hook = Box<dyn FnOnce(usize) + Send>;

/// Another thread of the process does this while umem_lockmemory is under way: with the cookie.
pub static MEANWHILE: Mutex<Option<Hook>> = Mutex::new(None);

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn umem_lockmemory(
    start: *mut c_char,
    len: usize,
    flags: c_int,
    cookie: *mut *mut c_void,
    ops: *mut sys::umem_callback_ops,
    process: *mut sys::proc_t,
) -> c_int {
    let start = start.expose_provenance();
    assert!(start.is_multiple_of(PAGE) && len.is_multiple_of(PAGE) && process.is_null());
    assert!(flags & sys::DDI_UMEMLOCK_LONGTERM as c_int != 0);
    if start < PAGE {
        return sys::EFAULT;
    }
    assert!(!holds_space(), "a lock that the thread holds already");
    if kernel().refuses("umem_lockmemory") {
        return sys::ENOMEM;
    }
    let id = {
        let mut kernel = kernel();
        let id = kernel.fresh();
        // SAFETY: as umem_lockmemory: the driver's table, which is copied.
        let ops = unsafe { *ops };
        assert_eq!(ops.cbo_umem_callback_version, sys::UMEM_CALLBACK_VERSION);
        kernel.pins.insert(id, Pin { start, len, flags, ops });
        kernel.umems.insert(id, UmemState { len, base: start });
        id
    };
    let meanwhile = MEANWHILE.lock().unwrap().take();
    if let Some(meanwhile) = meanwhile {
        meanwhile(id);
    }
    // SAFETY: likewise: the caller's.
    unsafe { *cookie = id as *mut c_void };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_umem_unlock(cookie: *mut c_void) {
    assert!(!holds_space(), "a lock that the thread holds already");
    let mut kernel = kernel();
    let id = cookie.expose_provenance();
    let mapped = kernel.handles.values().any(|handle| handle.object == Object::Umem(id));
    assert!(!mapped, "pinned memory given back while it is mapped");
    kernel.pins.remove(&id).expect("pinned memory given back twice");
    kernel.umems.remove(&id);
}

/// The process unmaps the memory of a cookie, or ends: whether the driver was called.
pub fn lose(cookie: usize) -> bool {
    let Some(ops) = kernel().pins.get(&cookie).map(|pin| pin.ops) else { return false };
    // SAFETY: the driver's function, with the cookie in its argument's place, as the kernel has it.
    unsafe { ops.cbo_umem_lock_cleanup.unwrap()(cookie as *mut *mut c_void) };
    true
}

/// The cookies of what is pinned.
pub fn pins() -> Vec<usize> {
    kernel().pins.keys().copied().collect()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_umem_iosetup(
    cookie: *mut c_void,
    offset: i64,
    len: usize,
    direction: c_int,
    _: u64,
    _: i64,
    done: Option<unsafe extern "C-unwind" fn(*mut sys::buf) -> c_int>,
    _: c_int,
) -> *mut sys::buf {
    let mut kernel = kernel();
    if kernel.refuses("ddi_umem_iosetup") {
        return std::ptr::null_mut();
    }
    let pin = kernel.pins.get(&cookie.expose_provenance()).expect("pinned memory");
    assert!(done.is_none() && offset as usize + len <= pin.len);
    let writes = pin.flags & sys::DDI_UMEMLOCK_WRITE as c_int != 0;
    assert!(direction == sys::B_WRITE || writes, "a transfer into memory that is not pinned for it");
    // SAFETY: numbers and pointers, for all of which zero is a value.
    let mut buf: Box<sys::buf> = Box::new(unsafe { std::mem::zeroed() });
    buf.b_un.b_addr = (pin.start + offset as usize) as *mut c_char;
    buf.b_bcount = len;
    let buf = Box::into_raw(buf);
    kernel.bufs.insert(buf.expose_provenance(), false);
    buf
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn bp_mapin(buf: *mut sys::buf) {
    let mapped = kernel().bufs.insert(buf.expose_provenance(), true);
    assert_eq!(mapped, Some(false), "a buf that is there, and not mapped");
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn bp_mapout(buf: *mut sys::buf) {
    let mapped = kernel().bufs.insert(buf.expose_provenance(), false);
    assert_eq!(mapped, Some(true), "a buf that is mapped");
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn freerbuf(buf: *mut sys::buf) {
    assert_eq!(
        kernel().bufs.remove(&buf.expose_provenance()),
        Some(false),
        "a buf that is there, and not mapped"
    );
    // SAFETY: from ddi_umem_iosetup, and off the list now, so freed once.
    drop(unsafe { Box::from_raw(buf) });
}
