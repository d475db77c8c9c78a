//! Memory: umem, kmem, and copying from and to a process, which has the same addresses as the kernel here.
//!
//! The first page belongs to nobody: copying from or to it fails.

use std::alloc::Layout;
use std::ffi::{c_int, c_void};

use ddi_sys as sys;

use super::{Object, PAGE, UmemState, kernel};

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_umem_alloc(
    size: usize,
    flags: c_int,
    cookie: *mut *mut c_void,
) -> *mut c_void {
    assert!(size > 0 && size.is_multiple_of(PAGE));
    let mut kernel = kernel();
    if kernel.refuses("ddi_umem_alloc") {
        // SAFETY: as ddi_umem_alloc(9F): the caller's cookie.
        unsafe { *cookie = std::ptr::null_mut() };
        return std::ptr::null_mut();
    }
    let base = if flags & sys::DDI_UMEM_TRASH != 0 {
        0
    } else {
        // SAFETY: a size that is not 0.
        unsafe { std::alloc::alloc_zeroed(Layout::from_size_align(size, PAGE).unwrap()) }.expose_provenance()
    };
    let id = kernel.fresh();
    kernel.umems.insert(id, UmemState { len: size, base });
    // SAFETY: as ddi_umem_alloc(9F): the caller's cookie.
    unsafe { *cookie = id as *mut c_void };
    base as *mut c_void
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_umem_free(cookie: *mut c_void) {
    let mut kernel = kernel();
    let id = cookie.expose_provenance();
    let mapped = kernel.handles.values().any(|handle| handle.object == Object::Umem(id));
    assert!(!mapped, "kernel memory freed while it is mapped");
    let umem = kernel.umems.remove(&id).expect("kernel memory freed twice");
    if umem.base != 0 {
        // SAFETY: allocated with this layout, and off the list now, so freed once; no mapping is left.
        unsafe {
            std::alloc::dealloc(umem.base as *mut u8, Layout::from_size_align(umem.len, PAGE).unwrap())
        };
    }
}

/// Memory that is 8 bytes off any greater alignment, so that nobody relies on more.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kmem_alloc(size: usize, flags: c_int) -> *mut c_void {
    let mut kernel = kernel();
    assert!(!(kernel.in_interrupt() && flags == sys::KM_SLEEP), "sleeping in an interrupt");
    if kernel.refuses("kmem_alloc") {
        assert_eq!(flags, sys::KM_NOSLEEP, "KM_SLEEP never fails");
        return std::ptr::null_mut();
    }
    // SAFETY: a size that is not 0.
    let memory = unsafe { std::alloc::alloc(Layout::from_size_align(size + 8, 1 << 16).unwrap()) };
    // SAFETY: 8 bytes more were allocated than asked for.
    let memory = unsafe { memory.add(8) };
    kernel.kmem.insert(memory.expose_provenance(), size);
    memory.cast()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kmem_free(memory: *mut c_void, size: usize) {
    let known = kernel().kmem.remove(&memory.expose_provenance());
    assert_eq!(known, Some(size), "kmem_free of something else than was allocated");
    // SAFETY: what was allocated starts 8 bytes before what was given.
    let start = unsafe { memory.cast::<u8>().sub(8) };
    // SAFETY: allocated with this layout, and off the list now, so freed once.
    unsafe { std::alloc::dealloc(start, Layout::from_size_align(size + 8, 1 << 16).unwrap()) };
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn servicing_interrupt() -> c_int {
    kernel().in_interrupt().into()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_copyin(from: *const c_void, to: *mut c_void, len: usize, _: c_int) -> c_int {
    if from.expose_provenance() < PAGE {
        return -1;
    }
    kernel().copied.push((from.expose_provenance(), len));
    // SAFETY: as ddi_copyin(9F); a process's addresses are a test's own, or in the first page, which was refused.
    unsafe { to.cast::<u8>().copy_from(from.cast(), len) };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_copyout(
    from: *const c_void,
    to: *mut c_void,
    len: usize,
    flags: c_int,
) -> c_int {
    if to.expose_provenance() < PAGE {
        return -1;
    }
    // SAFETY: as ddi_copyout(9F), with the two the other way round, which makes no difference here.
    unsafe { ddi_copyin(from, to, len, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn uiomove(
    memory: *mut c_void,
    len: usize,
    how: u32,
    uio: *mut sys::uio_t,
) -> c_int {
    // SAFETY: as uiomove(9F).
    let uio = unsafe { &mut *uio };
    // SAFETY: ours have one piece.
    let iov = unsafe { &mut *uio.uio_iov };
    let len = len.min(uio.uio_resid as usize);
    let process = iov.iov_base.cast::<u8>();
    if process.is_null() {
        return sys::EFAULT;
    }
    let memory = memory.cast::<u8>();
    if how == sys::UIO_READ {
        // SAFETY: as uiomove(9F); no more than the piece has left.
        unsafe { process.copy_from(memory, len) };
    } else {
        // SAFETY: likewise.
        unsafe { memory.copy_from(process, len) };
    }
    // SAFETY: at most at its end.
    iov.iov_base = unsafe { process.add(len) }.cast();
    iov.iov_len -= len;
    uio.uio_resid -= len as isize;
    // SAFETY: both halves of the union are the same number.
    unsafe { uio._uio_offset._f += len as i64 };
    0
}
