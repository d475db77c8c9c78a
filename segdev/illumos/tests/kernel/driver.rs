//! A driver as C has them: a table of regions, callbacks of a few lines, a record of what was called.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};

use ddi_sys as sys;
use sys::devmap_cookie_t as Cookie;

use crate::mock::{MAJOR, PAGE, machine, nodev_entry, number, open, pointer};

/// What a region maps.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Registers: set and first page.
    Registers(u32, u64),
    /// Kernel memory: the cookie.
    Memory(usize),
}

#[derive(Clone, Copy)]
pub struct Region {
    pub pages: u64,
    pub kind: Kind,
    pub flags: u32,
}

/// A call of a callback: handles by the order in which the driver saw them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Map(u64, u64, u64),
    Access(u64, u64, u64),
    Switch(u64),
    Dup(u64, u64),
    /// Handle, first page, pages, what stays before and behind.
    Unmap(u64, u64, u64, Option<u64>, Option<u64>),
}

/// Where tests have the driver do something besides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Map,
    Switch,
    Dup,
    Unmap,
}

type Hook = Arc<dyn Fn() + Send + Sync>;

/// What the access callback does.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Behaviour {
    #[default]
    Default,
    /// One mapping at a time has translations, for so many ticks at least.
    Exclusive(i64),
    LoadAll,
    Fail(i32),
}

#[derive(Default)]
pub struct Driver {
    regions: Vec<Region>,
    behaviour: Behaviour,
    events: Vec<Event>,
    /// Live handles: name and address.
    handles: Vec<(u64, usize)>,
    names: u64,
    /// The n-th map or dup callback from now fails with this.
    fails: Option<(u32, i32)>,
    hooks: Vec<(Call, Hook)>,
    /// The length that devmap(9E) was asked for last.
    asked: u64,
}

static DRIVER: Mutex<Option<Driver>> = Mutex::new(None);

fn driver<R>(f: impl FnOnce(&mut Driver) -> R) -> R {
    f(DRIVER.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert_default())
}

/// The device number of the one device, which is open.
pub const DEV: u64 = MAJOR << 32 | 5;
const DIP: u64 = 0x5000;

/// A fresh driver for these regions, one behind the other.
pub fn attach(regions: Vec<Region>, behaviour: Behaviour) {
    driver(|d| *d = Driver { regions, behaviour, ..Driver::default() });
    machine(|m| m.registers.insert((DIP as usize, 0), (crate::mock::DEVICE, 0x1000 * PAGE)));
    open(DEV);
}

pub fn registers(first: u64, pages: u64) -> Region {
    Region { pages, kind: Kind::Registers(0, first), flags: 0 }
}

pub fn memory(cookie: usize, pages: u64) -> Region {
    Region { pages, kind: Kind::Memory(cookie), flags: 0 }
}

/// Kernel memory: the cookie.
pub fn alloc(pages: u64, flags: i32) -> usize {
    let mut cookie = null_mut();
    // SAFETY: a place for the cookie.
    unsafe { sys::ddi_umem_alloc((pages * PAGE) as usize, flags, &mut cookie) };
    cookie.expose_provenance()
}

pub fn free(cookie: usize) {
    // SAFETY: a live cookie that nothing maps.
    unsafe { sys::ddi_umem_free(pointer(cookie as u64)) };
}

/// The length that devmap(9E) was asked for last.
pub fn asked() -> u64 {
    driver(|d| d.asked)
}

pub fn events() -> Vec<Event> {
    driver(|d| std::mem::take(&mut d.events))
}

/// Live handles, in the order in which the driver saw them.
pub fn handles() -> Vec<Cookie> {
    driver(|d| d.handles.iter().map(|h| pointer(h.1 as u64)).collect())
}

/// The `nth` map or dup callback from now on returns `error`.
pub fn fail(nth: u32, error: i32) {
    driver(|d| d.fails = Some((nth, error)));
}

/// Has each of these calls do this besides.
pub fn on(call: Call, f: impl Fn() + Send + Sync + 'static) {
    driver(|d| {
        d.hooks.retain(|hook| hook.0 != call);
        d.hooks.push((call, Arc::new(f)));
    });
}

/// Does what tests want besides.
fn besides(call: Call) {
    let hook = driver(|d| d.hooks.iter().find(|hook| hook.0 == call).map(|hook| hook.1.clone()));
    if let Some(hook) = hook {
        hook();
    }
}

/// From now on.
pub fn behave(behaviour: Behaviour) {
    driver(|d| d.behaviour = behaviour);
}

impl Driver {
    fn name(&mut self, handle: Cookie) -> u64 {
        if let Some(known) = self.handles.iter().find(|h| h.1 == handle.addr()) {
            return known.0;
        }
        self.names += 1;
        self.handles.push((self.names, handle.expose_provenance()));
        self.names
    }

    fn failing(&mut self) -> i32 {
        match &mut self.fails {
            Some((1, error)) => {
                let error = *error;
                self.fails = None;
                error
            }
            Some((n, _)) => {
                *n -= 1;
                0
            }
            None => 0,
        }
    }
}

/// Private data: the handle's name, so that a mix-up shows.
static TABLE: sys::devmap_callback_ctl = sys::devmap_callback_ctl {
    devmap_rev: sys::DEVMAP_OPS_REV,
    devmap_map: Some(map),
    devmap_access: Some(access),
    devmap_dup: Some(dup),
    devmap_unmap: Some(unmap),
};

pub fn table() -> *mut sys::devmap_callback_ctl {
    (&raw const TABLE).cast_mut()
}

pub fn dip() -> *mut sys::dev_info_t {
    pointer(DIP)
}

unsafe extern "C-unwind" fn devmap(
    dev: sys::dev_t,
    dhp: Cookie,
    off: sys::offset_t,
    len: usize,
    maplen: *mut usize,
    model: u32,
) -> i32 {
    assert_eq!((dev, model), (DEV, sys::DDI_MODEL_LP64));
    let mut first = 0;
    let found = driver(|d| {
        d.regions.iter().copied().find_map(|r| {
            let into = (off as u64).checked_sub(first * PAGE).filter(|into| *into < r.pages * PAGE);
            first += r.pages;
            into.map(|into| (r, into))
        })
    });
    let Some((region, into)) = found else { return sys::ENXIO };
    driver(|d| d.asked = len as u64);
    let len = len.next_multiple_of(PAGE as usize).min((region.pages * PAGE - into) as usize);
    // SAFETY: as devmap(9E): the place for the length.
    unsafe { *maplen = len };
    let all = sys::PROT_ALL;
    match region.kind {
        // SAFETY: in devmap(9E), with the handle that it was given.
        Kind::Registers(set, page) => unsafe {
            let off = (page * PAGE + into) as i64;
            sys::devmap_devmem_setup(dhp, dip(), table(), set, off, len, all, region.flags, null_mut())
        },
        // SAFETY: as above.
        Kind::Memory(cookie) => unsafe {
            let cookie = pointer(cookie as u64);
            sys::devmap_umem_setup(
                dhp,
                dip(),
                table(),
                cookie,
                into as i64,
                len,
                all,
                region.flags,
                null_mut(),
            )
        },
    }
}

unsafe extern "C-unwind" fn map(
    dhp: Cookie,
    dev: sys::dev_t,
    _flags: u32,
    off: i64,
    len: usize,
    pvtp: *mut *mut c_void,
) -> i32 {
    assert_eq!(dev, DEV);
    let error = driver(|d| {
        let error = d.failing();
        if error == 0 {
            let name = d.name(dhp);
            d.events.push(Event::Map(name, off as u64 / PAGE, len as u64 / PAGE));
            // SAFETY: as devmap_map(9E).
            unsafe { *pvtp = pointer(name) };
        }
        error
    });
    besides(Call::Map);
    error
}

unsafe extern "C-unwind" fn access(
    dhp: Cookie,
    pvt: *mut c_void,
    off: i64,
    len: usize,
    ty: u32,
    rw: u32,
) -> i32 {
    let behaviour = driver(|d| {
        let name = d.name(dhp);
        assert_eq!(number(pvt), name, "the private data of another handle, or before its map callback");
        d.events.push(Event::Access(name, off as u64 / PAGE, len as u64 / PAGE));
        d.behaviour
    });
    // SAFETY: in the access callback, with what it was given.
    unsafe {
        match behaviour {
            Behaviour::Default => sys::devmap_default_access(dhp, pvt, off, len, ty, rw),
            Behaviour::Exclusive(ticks) => {
                sys::devmap_set_ctx_timeout(dhp, ticks);
                sys::devmap_do_ctxmgt(dhp, pvt, off, len, ty, rw, Some(switch))
            }
            Behaviour::LoadAll => sys::devmap_load(dhp, off & !(len as i64 - 1), 0, ty, rw),
            Behaviour::Fail(error) => error,
        }
    }
}

/// Serialises switches, as a driver's own mutex does.
static SWITCHING: Mutex<()> = Mutex::new(());

fn switching() -> MutexGuard<'static, ()> {
    SWITCHING.lock().unwrap_or_else(|e| e.into_inner())
}

/// Takes the device away from every mapping.
pub fn revoke() {
    let _own = switching();
    for handle in handles() {
        // SAFETY: unmap callbacks take the same mutex, so the handle lives.
        unsafe { sys::devmap_unload(handle, 0, 0) };
    }
}

/// The routine that switches the device to a handle.
pub unsafe extern "C-unwind" fn switch(
    dhp: Cookie,
    pvt: *mut c_void,
    off: i64,
    len: usize,
    ty: u32,
    rw: u32,
) -> i32 {
    let _own = switching();
    let others = driver(|d| {
        d.events.push(Event::Switch(number(pvt)));
        d.handles.clone()
    });
    besides(Call::Switch);
    for (name, other) in others {
        if name != number(pvt) {
            // SAFETY: unmap callbacks take the same mutex, so the handle lives.
            unsafe { sys::devmap_unload(pointer(other as u64), 0, 0) };
        }
    }
    // SAFETY: in the access callback.
    unsafe { sys::devmap_load(dhp, off, len, ty, rw) }
}

unsafe extern "C-unwind" fn dup(
    dhp: Cookie,
    pvt: *mut c_void,
    new: Cookie,
    new_pvtp: *mut *mut c_void,
) -> i32 {
    besides(Call::Dup);
    driver(|d| {
        let error = d.failing();
        if error != 0 {
            return error;
        }
        let (old, name) = (d.name(dhp), d.name(new));
        assert_eq!(number(pvt), old);
        d.events.push(Event::Dup(old, name));
        // SAFETY: as devmap_dup(9E).
        unsafe { *new_pvtp = pointer(name) };
        0
    })
}

#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn unmap(
    dhp: Cookie,
    pvt: *mut c_void,
    off: i64,
    len: usize,
    new1: Cookie,
    pvt1: *mut *mut c_void,
    new2: Cookie,
    pvt2: *mut *mut c_void,
) {
    besides(Call::Unmap);
    let _own = switching();
    driver(|d| {
        let name = d.name(dhp);
        assert_eq!(number(pvt), name, "the private data of another handle");
        let mut side = |handle: Cookie, place: *mut *mut c_void| {
            (!handle.is_null()).then(|| {
                let name = d.name(handle);
                // SAFETY: as devmap_unmap(9E).
                unsafe { *place = pointer(name) };
                name
            })
        };
        let (before, behind) = (side(new1, pvt1), side(new2, pvt2));
        d.events.push(Event::Unmap(name, off as u64 / PAGE, len as u64 / PAGE, before, behind));
        let stays = [before, behind].contains(&Some(name));
        d.handles.retain(|h| stays || h.0 != name);
    });
}

/// The driver's tables.
pub fn dev_ops() -> *mut sys::dev_ops {
    static MADE: AtomicPtr<sys::dev_ops> = AtomicPtr::new(null_mut());
    if MADE.load(SeqCst).is_null() {
        // SAFETY: numbers and absent entry points.
        let mut cb: sys::cb_ops = unsafe { std::mem::zeroed() };
        cb.cb_devmap = Some(devmap);
        cb.cb_flag = sys::D_DEVMAP;
        cb.cb_mmap = nodev_entry();
        // SAFETY: as above.
        let mut ops: sys::dev_ops = unsafe { std::mem::zeroed() };
        ops.devo_cb_ops = Box::into_raw(Box::new(cb));
        MADE.store(Box::into_raw(Box::new(ops)), SeqCst);
    }
    MADE.load(SeqCst)
}
