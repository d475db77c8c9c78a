//! The DDI's plain functions: memory, nodes, properties, registers, copying, messages, time, kstats, modules.

use std::alloc::Layout;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

use ddi_sys as sys;

use super::{Node, PAGE, UmemState, kernel};

#[unsafe(no_mangle)]
static _pagesize: u64 = PAGE as u64;

#[unsafe(no_mangle)]
static mut mod_driverops: [usize; 3] = [0; 3];

fn text<'a>(text: *const c_char) -> &'a str {
    unsafe { CStr::from_ptr(text) }.to_str().unwrap()
}

fn node<'a>(dip: *mut sys::dev_info_t) -> &'a mut Node {
    unsafe { &mut *dip.cast::<Node>() }
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_get_kt_did() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static ID: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
    ID.with(|id| *id)
}

// ---- modules, device numbers, soft state ----

#[unsafe(no_mangle)]
extern "C-unwind" fn mod_install(linkage: *mut sys::modlinkage) -> c_int {
    let mut kernel = kernel();
    if kernel.refuses("mod_install") {
        return sys::EINVAL;
    }
    kernel.linkage = linkage.addr();
    0
}

#[unsafe(no_mangle)]
extern "C-unwind" fn mod_remove(_: *mut sys::modlinkage) -> c_int {
    let mut kernel = kernel();
    if !kernel.soft.is_empty() {
        return sys::EBUSY;
    }
    kernel.linkage = 0;
    0
}

#[unsafe(no_mangle)]
extern "C-unwind" fn mod_info(linkage: *mut sys::modlinkage, info: *mut sys::modinfo) -> c_int {
    assert_eq!(unsafe { (*linkage).ml_rev }, sys::MODREV_1);
    unsafe { (*info).mi_rev = 1 };
    1
}

#[unsafe(no_mangle)]
extern "C-unwind" fn nodev() -> c_int {
    sys::ENXIO
}

#[unsafe(no_mangle)]
extern "C-unwind" fn nulldev() -> c_int {
    0
}

#[unsafe(no_mangle)]
extern "C-unwind" fn nochpoll(_: sys::dev_t, _: i16, _: c_int, _: *mut i16, _: *mut c_void) -> c_int {
    sys::ENXIO
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_prop_op(
    _: sys::dev_t,
    _: *mut sys::dev_info_t,
    _: u32,
    _: c_int,
    _: *mut c_char,
    _: *mut c_char,
    _: *mut c_int,
) -> c_int {
    sys::DDI_PROP_NOT_FOUND
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_quiesce_not_needed(_: *mut sys::dev_info_t) -> c_int {
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
extern "C-unwind" fn getminor(dev: sys::dev_t) -> u32 {
    dev as u32
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_soft_state_init(anchor: *mut *mut c_void, size: usize, _: usize) -> c_int {
    kernel().item = size;
    unsafe { *anchor = std::ptr::dangling_mut() };
    0
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_soft_state_fini(anchor: *mut *mut c_void) {
    unsafe { *anchor = std::ptr::null_mut() };
}

fn item_layout(size: usize) -> Layout {
    Layout::from_size_align(size, 16).unwrap()
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_soft_state_zalloc(_: *mut c_void, item: c_int) -> c_int {
    let mut kernel = kernel();
    if kernel.soft.contains_key(&item) {
        return sys::DDI_FAILURE;
    }
    let memory = unsafe { std::alloc::alloc_zeroed(item_layout(kernel.item)) };
    kernel.soft.insert(item, memory.addr());
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_get_soft_state(_: *mut c_void, item: c_int) -> *mut c_void {
    kernel().soft.get(&item).map_or(std::ptr::null_mut(), |at| *at as *mut c_void)
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_soft_state_free(_: *mut c_void, item: c_int) {
    let mut kernel = kernel();
    let size = kernel.item;
    let at = kernel.soft.remove(&item).expect("soft state freed that is not there");
    unsafe { std::alloc::dealloc(at as *mut u8, item_layout(size)) };
}

// ---- nodes and properties ----

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_get_instance(dip: *mut sys::dev_info_t) -> c_int {
    node(dip).instance
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_driver_name(dip: *mut sys::dev_info_t) -> *const c_char {
    node(dip).driver.as_ptr()
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_report_dev(_: *mut sys::dev_info_t) {}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_create_minor_node(
    dip: *mut sys::dev_info_t,
    name: *mut c_char,
    kind: c_int,
    minor: u32,
    _: *mut c_char,
    _: c_int,
) -> c_int {
    assert_eq!(kind, sys::S_IFCHR as c_int);
    if kernel().refuses("ddi_create_minor_node") {
        return sys::DDI_FAILURE;
    }
    node(dip).minors.push((text(name).into(), minor));
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_remove_minor_node(dip: *mut sys::dev_info_t, name: *mut c_char) {
    assert!(name.is_null());
    node(dip).minors.clear();
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_prop_get_int(
    _: sys::dev_t,
    dip: *mut sys::dev_info_t,
    flags: u32,
    name: *mut c_char,
    default: c_int,
) -> c_int {
    assert_eq!(flags, sys::DDI_PROP_DONTPASS);
    node(dip).properties.get(text(name)).copied().unwrap_or(default)
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_prop_exists(
    _: sys::dev_t,
    dip: *mut sys::dev_info_t,
    _: u32,
    name: *mut c_char,
) -> c_int {
    node(dip).properties.contains_key(text(name)).into()
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_prop_lookup_string(
    _: sys::dev_t,
    dip: *mut sys::dev_info_t,
    _: u32,
    name: *mut c_char,
    value: *mut *mut c_char,
) -> c_int {
    match node(dip).text_properties.get(text(name)) {
        Some(text) => {
            unsafe { *value = CString::new(text.as_str()).unwrap().into_raw() };
            sys::DDI_PROP_SUCCESS
        }
        None => sys::DDI_PROP_NOT_FOUND,
    }
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_prop_free(value: *mut c_void) {
    drop(unsafe { CString::from_raw(value.cast()) });
}

// ---- registers ----

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_dev_nregs(dip: *mut sys::dev_info_t, count: *mut c_int) -> c_int {
    let sets = node(dip).registers.len();
    unsafe { *count = sets as c_int };
    if sets > 0 { sys::DDI_SUCCESS } else { sys::DDI_FAILURE }
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_dev_regsize(dip: *mut sys::dev_info_t, set: u32, len: *mut sys::off_t) -> c_int {
    match node(dip).registers.get(set as usize) {
        Some(size) => {
            unsafe { *len = *size as sys::off_t };
            sys::DDI_SUCCESS
        }
        None => sys::DDI_FAILURE,
    }
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_regs_map_setup(
    dip: *mut sys::dev_info_t,
    set: u32,
    base: *mut *mut c_char,
    offset: i64,
    len: i64,
    _: *mut sys::ddi_device_acc_attr_t,
    handle: *mut sys::ddi_acc_handle_t,
) -> c_int {
    assert_eq!((offset, len), (0, 0));
    let size = node(dip).registers[set as usize];
    let mut kernel = kernel();
    if kernel.refuses("ddi_regs_map_setup") {
        return sys::DDI_FAILURE;
    }
    let (memory, _) = *kernel
        .register_sets
        .entry((node(dip).instance, set))
        .or_insert_with(|| (vec![0_u64; size.div_ceil(8)].leak().as_mut_ptr().addr(), size));
    let id = kernel.fresh();
    kernel.mapped_registers.insert(id);
    unsafe { *base = memory as *mut c_char };
    unsafe { *handle = id as sys::ddi_acc_handle_t };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_regs_map_free(handle: *mut sys::ddi_acc_handle_t) {
    let id = unsafe { *handle }.addr();
    assert!(kernel().mapped_registers.remove(&id), "registers unmapped that are not mapped");
}

macro_rules! access {
    ($type:ty, $get:ident, $put:ident, $rep_get:ident, $rep_put:ident) => {
        #[unsafe(no_mangle)]
        extern "C-unwind" fn $get(handle: sys::ddi_acc_handle_t, at: *mut $type) -> $type {
            assert!(kernel().mapped_registers.contains(&handle.addr()), "registers that are not mapped");
            unsafe { at.read_volatile() }
        }
        #[unsafe(no_mangle)]
        extern "C-unwind" fn $put(_: sys::ddi_acc_handle_t, at: *mut $type, value: $type) {
            unsafe { at.write_volatile(value) };
        }
        #[unsafe(no_mangle)]
        extern "C-unwind" fn $rep_get(
            _: sys::ddi_acc_handle_t,
            to: *mut $type,
            from: *mut $type,
            count: usize,
            flags: u32,
        ) {
            assert_eq!(flags, sys::DDI_DEV_AUTOINCR);
            unsafe { to.copy_from(from, count) };
        }
        #[unsafe(no_mangle)]
        extern "C-unwind" fn $rep_put(
            _: sys::ddi_acc_handle_t,
            from: *mut $type,
            to: *mut $type,
            count: usize,
            flags: u32,
        ) {
            assert_eq!(flags, sys::DDI_DEV_AUTOINCR);
            unsafe { to.copy_from(from, count) };
        }
    };
}
access!(u8, ddi_get8, ddi_put8, ddi_rep_get8, ddi_rep_put8);
access!(u16, ddi_get16, ddi_put16, ddi_rep_get16, ddi_rep_put16);
access!(u32, ddi_get32, ddi_put32, ddi_rep_get32, ddi_rep_put32);
access!(u64, ddi_get64, ddi_put64, ddi_rep_get64, ddi_rep_put64);

// ---- memory ----

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_umem_alloc(size: usize, flags: c_int, cookie: *mut *mut c_void) -> *mut c_void {
    assert!(size > 0 && size.is_multiple_of(PAGE));
    let mut kernel = kernel();
    if kernel.refuses("ddi_umem_alloc") {
        unsafe { *cookie = std::ptr::null_mut() };
        return std::ptr::null_mut();
    }
    let base = if flags & sys::DDI_UMEM_TRASH != 0 {
        0
    } else {
        unsafe { std::alloc::alloc_zeroed(Layout::from_size_align(size, PAGE).unwrap()) }.addr()
    };
    let id = kernel.fresh();
    kernel.umems.insert(id, UmemState { len: size, base });
    unsafe { *cookie = id as *mut c_void };
    base as *mut c_void
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_umem_free(cookie: *mut c_void) {
    let mut kernel = kernel();
    let id = cookie.addr();
    let mapped = kernel.handles.values().any(|handle| handle.object == super::Object::Umem(id));
    assert!(!mapped, "kernel memory freed while it is mapped");
    let umem = kernel.umems.remove(&id).expect("kernel memory freed twice");
    if umem.base != 0 {
        unsafe {
            std::alloc::dealloc(umem.base as *mut u8, Layout::from_size_align(umem.len, PAGE).unwrap())
        };
    }
}

/// Memory that is 8 bytes off any greater alignment, so that nobody relies on more.
#[unsafe(no_mangle)]
extern "C-unwind" fn kmem_alloc(size: usize, flags: c_int) -> *mut c_void {
    let mut kernel = kernel();
    assert!(!(kernel.interrupt && flags == sys::KM_SLEEP), "sleeping in an interrupt");
    if kernel.refuses("kmem_alloc") {
        assert_eq!(flags, sys::KM_NOSLEEP, "KM_SLEEP never fails");
        return std::ptr::null_mut();
    }
    let memory = unsafe { std::alloc::alloc(Layout::from_size_align(size + 8, 1 << 16).unwrap()) };
    let memory = unsafe { memory.add(8) };
    kernel.kmem.insert(memory.addr(), size);
    memory.cast()
}

#[unsafe(no_mangle)]
extern "C-unwind" fn kmem_free(memory: *mut c_void, size: usize) {
    let known = kernel().kmem.remove(&memory.addr());
    assert_eq!(known, Some(size), "kmem_free of something else than was allocated");
    unsafe {
        std::alloc::dealloc(memory.cast::<u8>().sub(8), Layout::from_size_align(size + 8, 1 << 16).unwrap());
    }
}

#[unsafe(no_mangle)]
extern "C-unwind" fn servicing_interrupt() -> c_int {
    kernel().interrupt.into()
}

// ---- moving data ----

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_copyin(from: *const c_void, to: *mut c_void, len: usize, _: c_int) -> c_int {
    if from.addr() < PAGE {
        return -1;
    }
    unsafe { to.cast::<u8>().copy_from(from.cast(), len) };
    0
}

#[unsafe(no_mangle)]
extern "C-unwind" fn ddi_copyout(from: *const c_void, to: *mut c_void, len: usize, flags: c_int) -> c_int {
    ddi_copyin(from, to, if to.addr() < PAGE { return -1 } else { len }, flags)
}

#[unsafe(no_mangle)]
extern "C-unwind" fn uiomove(memory: *mut c_void, len: usize, how: u32, uio: *mut sys::uio_t) -> c_int {
    let uio = unsafe { &mut *uio };
    let iov = unsafe { &mut *uio.uio_iov };
    let len = len.min(uio.uio_resid as usize);
    let process = iov.iov_base.cast::<u8>();
    if process.is_null() {
        return sys::EFAULT;
    }
    let memory = memory.cast::<u8>();
    if how == sys::UIO_READ {
        unsafe { process.copy_from(memory, len) };
    } else {
        unsafe { memory.copy_from(process, len) };
    }
    iov.iov_base = unsafe { process.add(len) }.cast();
    iov.iov_len -= len;
    uio.uio_resid -= len as isize;
    unsafe { uio._uio_offset._f += len as i64 };
    0
}

#[unsafe(no_mangle)]
extern "C-unwind" fn drv_priv(_: *mut sys::cred_t) -> c_int {
    sys::EPERM
}

// ---- messages, time, kstats ----

/// Called with one string only, which is the first variadic argument and comes in the third register.
#[unsafe(no_mangle)]
extern "C-unwind" fn cmn_err(level: c_int, format: *const c_char, argument: *const c_char) {
    assert!(matches!(text(format), "%s" | "!%s"), "messages are passed as %s");
    kernel().log.push(format!("{level} {}", text(argument)));
}

#[unsafe(no_mangle)]
extern "C-unwind" fn drv_usectohz(microseconds: i64) -> i64 {
    assert!(microseconds.checked_mul(100).is_some());
    (microseconds as u64).div_ceil(10_000) as i64
}

#[unsafe(no_mangle)]
extern "C-unwind" fn delay(ticks: i64) {
    kernel().slept += ticks;
}

#[unsafe(no_mangle)]
extern "C-unwind" fn timeout(
    function: Option<unsafe extern "C-unwind" fn(*mut c_void)>,
    arg: *mut c_void,
    ticks: i64,
) -> *mut c_void {
    let mut kernel = kernel();
    let id = kernel.fresh();
    kernel.timeouts.insert(id, (function.unwrap() as usize, arg.addr(), ticks));
    id as *mut c_void
}

#[unsafe(no_mangle)]
extern "C-unwind" fn untimeout(id: *mut c_void) -> i64 {
    kernel().timeouts.remove(&id.addr()).map_or(-1, |(_, _, ticks)| ticks)
}

#[unsafe(no_mangle)]
extern "C-unwind" fn kstat_create(
    module: *const c_char,
    instance: c_int,
    name: *const c_char,
    class: *const c_char,
    kind: u8,
    count: u32,
    flags: u8,
) -> *mut sys::kstat_t {
    assert_eq!((text(class), kind, flags), ("misc", sys::KSTAT_TYPE_NAMED, 0));
    let mut kernel = kernel();
    let id = format!("{}:{instance}:{}", text(module), text(name));
    if kernel.kstats.contains_key(&id) || kernel.refuses("kstat_create") {
        return std::ptr::null_mut();
    }
    let values: Vec<sys::kstat_named_t> = (0..count).map(|_| unsafe { std::mem::zeroed() }).collect();
    let mut kstat: Box<sys::kstat_t> = Box::new(unsafe { std::mem::zeroed() });
    kstat.ks_data = Box::leak(values.into_boxed_slice()).as_mut_ptr().cast();
    kstat.ks_ndata = count;
    let kstat = Box::into_raw(kstat);
    kernel.kstats.insert(id, kstat.addr());
    kstat
}

#[unsafe(no_mangle)]
extern "C-unwind" fn kstat_named_init(value: *mut sys::kstat_named_t, name: *const c_char, kind: u8) {
    let value = unsafe { &mut *value };
    value.data_type = kind;
    for (to, from) in value.name.iter_mut().zip(text(name).bytes()) {
        *to = from as c_char;
    }
}

#[unsafe(no_mangle)]
extern "C-unwind" fn kstat_install(_: *mut sys::kstat_t) {}

#[unsafe(no_mangle)]
extern "C-unwind" fn kstat_delete(kstat: *mut sys::kstat_t) {
    kernel().kstats.retain(|_, at| *at != kstat.addr());
    let kstat = unsafe { Box::from_raw(kstat) };
    let values = std::ptr::slice_from_raw_parts_mut(
        kstat.ks_data.cast::<sys::kstat_named_t>(),
        kstat.ks_ndata as usize,
    );
    drop(unsafe { Box::from_raw(values) });
}

/// A kstat's values by name.
pub fn kstat(id: &str) -> Vec<(String, u64)> {
    let kernel = kernel();
    let kstat = unsafe { &*(kernel.kstats[id] as *const sys::kstat_t) };
    let values = unsafe {
        std::slice::from_raw_parts(kstat.ks_data.cast::<sys::kstat_named_t>(), kstat.ks_ndata as usize)
    };
    let name = |value: &sys::kstat_named_t| text(value.name.as_ptr()).to_owned();
    values.iter().map(|value| (name(value), unsafe { value.value.ui64 })).collect()
}
