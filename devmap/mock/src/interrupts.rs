//! Interrupts: allocated, handled, enabled, in that order and no other; and soft ones. What a test raises is handled at once, on its thread.

use std::ffi::{c_int, c_void};

use ddi_sys as sys;

use super::nodes::node;
use super::running::{Runs, when_over};
use super::threads::me;
use super::{Kernel, kernel};

/// Interrupts of a device: a kind (`DDI_INTR_TYPE_*`), how many, what they can do (`DDI_INTR_FLAG_*`), and their priority.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// `DDI_INTR_TYPE_FIXED` and the like.
    pub kind: u32,
    /// Interrupts of the type that the device has.
    pub count: usize,
    /// Those that the system can give.
    pub available: usize,
    /// Capabilities (`DDI_INTR_FLAG_MASKABLE`).
    pub flags: u32,
    /// The priority.
    pub priority: u32,
}

/// An allocated interrupt, or a soft one.
#[derive(Default)]
pub struct Interrupt {
    /// Instance of the node.
    pub instance: i32,
    /// `DDI_INTR_TYPE_FIXED` and the like.
    pub kind: u32,
    /// Number of the interrupt among those of its type.
    pub number: usize,
    /// Capabilities (`DDI_INTR_FLAG_MASKABLE`).
    pub flags: u32,
    /// The priority.
    pub priority: u32,
    /// The handler; None until one is added.
    pub handler: sys::ddi_intr_handler_t,
    /// The handler's first argument.
    pub argument: usize,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Whether it is masked.
    pub masked: bool,
    /// Whether it was raised while it was masked.
    pub pending: bool,
    /// Whether it is a soft interrupt.
    pub soft: bool,
}

/// # Safety
/// A node.
unsafe fn source(dip: *mut sys::dev_info_t, kind: c_int) -> Option<Source> {
    // SAFETY: the caller's.
    unsafe { node(dip) }.interrupts.iter().find(|source| source.kind as c_int == kind).copied()
}

fn with<R>(handle: *mut c_void, f: impl FnOnce(&mut Interrupt) -> R) -> R {
    f(kernel().interrupts.get_mut(&handle.expose_provenance()).expect("an interrupt that is not allocated"))
}

/// A call that is good in this state.
fn ok(good: bool) -> c_int {
    assert!(good, "the interrupt is not in a state for that");
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_get_hilevel_pri() -> u32 {
    11
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_get_supported_types(
    dip: *mut sys::dev_info_t,
    kinds: *mut c_int,
) -> c_int {
    // SAFETY: as ddi_intr_get_supported_types(9F).
    let all = unsafe { node(dip) }.interrupts.iter().fold(0, |kinds, source| kinds | source.kind);
    // SAFETY: likewise: the caller's number.
    unsafe { *kinds = all as c_int };
    if all == 0 { sys::DDI_INTR_NOTFOUND } else { sys::DDI_SUCCESS }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_get_nintrs(
    dip: *mut sys::dev_info_t,
    kind: c_int,
    count: *mut c_int,
) -> c_int {
    // SAFETY: as ddi_intr_get_nintrs(9F).
    let source = unsafe { source(dip, kind) }.expect("a kind that the device has");
    // SAFETY: likewise: the caller's number.
    unsafe { *count = source.count as c_int };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_get_navail(
    dip: *mut sys::dev_info_t,
    kind: c_int,
    count: *mut c_int,
) -> c_int {
    // SAFETY: as ddi_intr_get_navail(9F).
    let source = unsafe { source(dip, kind) }.expect("a kind that the device has");
    // SAFETY: likewise: the caller's number.
    unsafe { *count = source.available as c_int };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_alloc(
    dip: *mut sys::dev_info_t,
    handles: *mut sys::ddi_intr_handle_t,
    kind: c_int,
    first: c_int,
    count: c_int,
    actual: *mut c_int,
    _: c_int,
) -> c_int {
    // SAFETY: as ddi_intr_alloc(9F).
    let source = unsafe { source(dip, kind) }.expect("a kind that the device has");
    // SAFETY: likewise.
    let instance = unsafe { node(dip) }.instance;
    assert!(first == 0 && count >= 1 && count as usize <= source.available);
    assert!(kind != sys::DDI_INTR_TYPE_MSI as c_int || count.count_ones() == 1);
    let mut kernel = kernel();
    if kernel.refuses("ddi_intr_alloc") {
        return sys::DDI_INTR_NOTFOUND;
    }
    // One fewer than asked for, if the test says so.
    let count = count - c_int::from(kernel.fewer_interrupts);
    for number in 0..count as usize {
        let handle = kernel.fresh();
        let (kind, flags) = (source.kind, source.flags);
        let new =
            Interrupt { instance, kind, number, flags, priority: source.priority, ..Default::default() };
        kernel.interrupts.insert(handle, new);
        // SAFETY: likewise: room for `count` handles.
        unsafe { handles.wrapping_add(number).write(handle as sys::ddi_intr_handle_t) };
    }
    // SAFETY: likewise: the caller's number.
    unsafe { *actual = count };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_free(handle: sys::ddi_intr_handle_t) -> c_int {
    let freed = kernel().interrupts.remove(&handle.expose_provenance()).expect("an interrupt freed twice");
    ok(freed.handler.is_none() && !freed.enabled)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_get_pri(handle: sys::ddi_intr_handle_t, priority: *mut u32) -> c_int {
    // SAFETY: as ddi_intr_get_pri(9F): the caller's number.
    unsafe { *priority = with(handle.cast(), |i| i.priority) };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_set_pri(handle: sys::ddi_intr_handle_t, priority: u32) -> c_int {
    if kernel().refuses("ddi_intr_set_pri") {
        return sys::DDI_FAILURE;
    }
    with(handle.cast(), |i| {
        i.priority = priority;
        ok(i.handler.is_none())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_get_cap(handle: sys::ddi_intr_handle_t, flags: *mut c_int) -> c_int {
    // SAFETY: as ddi_intr_get_cap(9F): the caller's number.
    unsafe { *flags = with(handle.cast(), |i| i.flags) as c_int };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_add_handler(
    handle: sys::ddi_intr_handle_t,
    handler: sys::ddi_intr_handler_t,
    argument: *mut c_void,
    _: *mut c_void,
) -> c_int {
    if kernel().refuses("ddi_intr_add_handler") {
        return sys::DDI_FAILURE;
    }
    with(handle.cast(), |i| {
        let free = i.handler.is_none();
        (i.handler, i.argument) = (handler, argument.expose_provenance());
        ok(free)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_remove_handler(handle: sys::ddi_intr_handle_t) -> c_int {
    let id = handle.expose_provenance();
    when_over(id, |kernel| {
        let interrupt = kernel.interrupts.get_mut(&id).expect("an interrupt that is not allocated");
        ok(interrupt.handler.take().is_some() && !interrupt.enabled)
    })
}

fn set_enabled(handle: sys::ddi_intr_handle_t, enabled: bool, block: bool) -> c_int {
    with(handle.cast(), |i| {
        let right = block == (i.flags & sys::DDI_INTR_FLAG_BLOCK as u32 != 0);
        let good = right && i.handler.is_some() && i.enabled != enabled;
        i.enabled = enabled;
        ok(good)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_enable(handle: sys::ddi_intr_handle_t) -> c_int {
    if kernel().refuses("ddi_intr_enable") {
        return sys::DDI_FAILURE;
    }
    set_enabled(handle, true, false)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_disable(handle: sys::ddi_intr_handle_t) -> c_int {
    set_enabled(handle, false, false)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_block_enable(
    handles: *mut sys::ddi_intr_handle_t,
    count: c_int,
) -> c_int {
    if kernel().refuses("ddi_intr_enable") {
        return sys::DDI_FAILURE;
    }
    // SAFETY: as ddi_intr_block_enable(9F): so many handles.
    (0..count as usize).map(|i| set_enabled(unsafe { *handles.wrapping_add(i) }, true, true)).sum()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_block_disable(
    handles: *mut sys::ddi_intr_handle_t,
    count: c_int,
) -> c_int {
    // SAFETY: as ddi_intr_block_disable(9F): so many handles.
    (0..count as usize).map(|i| set_enabled(unsafe { *handles.wrapping_add(i) }, false, true)).sum()
}

fn maskable(handle: sys::ddi_intr_handle_t) -> bool {
    with(handle.cast(), |i| i.enabled && i.flags & sys::DDI_INTR_FLAG_MASKABLE as u32 != 0)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_set_mask(handle: sys::ddi_intr_handle_t) -> c_int {
    if !maskable(handle) {
        return sys::DDI_EINVAL;
    }
    with(handle.cast(), |i| i.masked = true);
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_clr_mask(handle: sys::ddi_intr_handle_t) -> c_int {
    if !maskable(handle) {
        return sys::DDI_EINVAL;
    }
    let (instance, number, pending) = with(handle.cast(), |i| {
        i.masked = false;
        (i.instance, i.number, std::mem::take(&mut i.pending))
    });
    if pending {
        raise(instance as u64, number);
    }
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_get_pending(
    handle: sys::ddi_intr_handle_t,
    pending: *mut c_int,
) -> c_int {
    if with(handle.cast(), |i| i.flags & sys::DDI_INTR_FLAG_PENDING as u32 == 0) {
        return sys::DDI_EINVAL;
    }
    // SAFETY: as ddi_intr_get_pending(9F): the caller's number.
    unsafe { *pending = with(handle.cast(), |i| i.pending).into() };
    sys::DDI_SUCCESS
}

impl Kernel {
    /// Returns whether the calling thread is in an interrupt.
    pub(crate) fn in_interrupt(&self) -> bool {
        self.interrupt || self.handlers.contains(&me())
    }
}

/// Calls a handler as an interrupt.
fn run(_runs: Runs, handler: sys::ddi_intr_handler_t, argument: usize) -> u32 {
    kernel().handlers.push(me());
    // SAFETY: the driver's handler with the driver's argument, which it keeps while the handler is there.
    let claimed = unsafe { handler.unwrap()(argument as sys::caddr_t, std::ptr::null_mut()) };
    let handlers = &mut kernel().handlers;
    let own = handlers.iter().rposition(|thread| *thread == me());
    handlers.remove(own.expect("the thread that is in the handler"));
    claimed
}

/// The device raises an interrupt: what its handler says; nothing when none is enabled, or it is masked.
pub fn raise(dev: sys::dev_t, number: usize) -> Option<u32> {
    let (runs, handler, argument) = {
        let mut kernel = kernel();
        let mut all = kernel.interrupts.iter_mut();
        let (id, found) = all.find(|(_, i)| !i.soft && i.instance == dev as i32 && i.number == number)?;
        if !found.enabled || found.masked {
            found.pending |= found.masked;
            return None;
        }
        let (id, handler, argument) = (*id, found.handler, found.argument);
        (kernel.runs(id), handler, argument)
    };
    Some(run(runs, handler, argument))
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_add_softint(
    dip: *mut sys::dev_info_t,
    handle: *mut sys::ddi_softint_handle_t,
    priority: c_int,
    handler: sys::ddi_intr_handler_t,
    argument: *mut c_void,
) -> c_int {
    assert!((sys::DDI_INTR_SOFTPRI_MIN..=sys::DDI_INTR_SOFTPRI_MAX).contains(&priority));
    // SAFETY: as ddi_intr_add_softint(9F).
    let instance = unsafe { node(dip) }.instance;
    let mut kernel = kernel();
    if kernel.refuses("ddi_intr_add_softint") {
        return sys::DDI_FAILURE;
    }
    let id = kernel.fresh();
    let (priority, argument) = (priority as u32, argument.expose_provenance());
    let new = Interrupt { instance, priority, handler, argument, soft: true, ..Default::default() };
    kernel.interrupts.insert(id, new);
    // SAFETY: likewise: the caller's.
    unsafe { *handle = id as sys::ddi_softint_handle_t };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_trigger_softint(
    handle: sys::ddi_softint_handle_t,
    _: *mut c_void,
) -> c_int {
    with(handle.cast(), |i| {
        assert!(i.soft);
        if std::mem::replace(&mut i.pending, true) { sys::DDI_EPENDING } else { sys::DDI_SUCCESS }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_intr_remove_softint(handle: sys::ddi_softint_handle_t) -> c_int {
    let id = handle.expose_provenance();
    let removed = when_over(id, |kernel| kernel.interrupts.remove(&id));
    ok(removed.is_some_and(|i| i.soft))
}

/// Runs the soft interrupts that were triggered; how many.
pub fn run_soft() -> usize {
    let due = |(id, i): (&usize, &mut Interrupt)| {
        (i.soft && std::mem::take(&mut i.pending)).then_some((*id, i.handler, i.argument))
    };
    let next = || {
        let mut kernel = kernel();
        let (id, handler, argument) = kernel.interrupts.iter_mut().find_map(due)?;
        Some((kernel.runs(id), handler, argument))
    };
    std::iter::from_fn(next).fold(0, |count, (runs, handler, argument)| {
        run(runs, handler, argument);
        count + 1
    })
}
