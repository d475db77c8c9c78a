//! A kernel for tests: just enough of the DDI for devmap to run against, in this process, with the defects of the
//! reference framework built in as traps. Whatever would set off one of them is noted (`Kernel::tripped`), and a test
//! that ends with one noted fails.
//!
//! A test boots it with [`boot`], which serialises tests: the DDI's functions are symbols, so there is one kernel for
//! all. The driver's own tests (example-driver/tests) use it too, which is why some of it is unused in either place.
//! Nothing here holds the kernel's lock while it calls the driver.

#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{CString, c_void};
use std::sync::{LazyLock, Mutex, MutexGuard};

use ddi_sys as sys;
use devmap::module::Entry;

pub mod ddi;
mod framework;
mod locks;

pub use framework::*;

/// The page size that the driver sees.
pub const PAGE: usize = 4096;

/// A device node.
pub struct Node {
    pub instance: i32,
    pub driver: CString,
    pub properties: HashMap<String, i32>,
    pub text_properties: HashMap<String, String>,
    pub registers: Vec<usize>,
    pub minors: Vec<(String, u32)>,
}

pub struct UmemState {
    pub len: usize,
    pub base: usize,
}

/// What the tests look at and change.
#[derive(Default)]
pub struct Kernel {
    /// Numbers of defects (../shared/conformance/defects.md) that a call would have set off.
    pub tripped: Vec<u32>,
    pub soft: BTreeMap<i32, usize>,
    pub item: usize,
    pub linkage: usize,
    pub umems: HashMap<usize, UmemState>,
    pub register_sets: HashMap<(i32, u32), (usize, usize)>,
    pub mapped_registers: BTreeSet<usize>,
    pub handles: BTreeMap<usize, HandleState>,
    pub next: usize,
    pub log: Vec<String>,
    pub kstats: BTreeMap<String, usize>,
    pub kmem: HashMap<usize, usize>,
    pub timeouts: BTreeMap<usize, (usize, usize, i64)>,
    /// The context of the device: owned, timers pending.
    pub oncpu: bool,
    pub timers: u32,
    pub context_waits: u32,
    pub slept: i64,
    pub interrupt: bool,
    pub unloads: u32,
    /// Names of functions that refuse, and how many calls they serve before.
    pub refuse: HashMap<&'static str, u32>,
}

// Nothing in here is used without the lock; addresses are numbers.
static KERNEL: LazyLock<Mutex<Kernel>> = LazyLock::new(|| Mutex::new(Kernel::default()));
static TEST: Mutex<()> = Mutex::new(());

pub fn kernel() -> MutexGuard<'static, Kernel> {
    KERNEL.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Kernel {
    pub fn fresh(&mut self) -> usize {
        self.next += 0x1000;
        0x7000_0000_0000 + self.next
    }

    /// Is it this function's turn to refuse?
    pub fn refuses(&mut self, name: &'static str) -> bool {
        match self.refuse.get_mut(name) {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

/// A booted kernel with the driver loaded. When it goes, the driver is unloaded, and nothing may be left.
pub struct Booted {
    module: &'static Entry,
    nodes: Vec<*mut Node>,
    /// Forgets what the test's driver has kept outside of its instances.
    forget: fn(),
    _test: MutexGuard<'static, ()>,
}

pub fn boot(module: &'static Entry, forget: fn()) -> Booted {
    let test = TEST.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    *kernel() = Kernel::default();
    locks::forget();
    assert_eq!((module.init)(), 0, "_init");
    Booted { module, nodes: Vec::new(), forget, _test: test }
}

/// What a node is made of.
#[derive(Default)]
pub struct Config {
    pub properties: Vec<(&'static str, i32)>,
    pub text: Vec<(&'static str, &'static str)>,
    pub registers: Vec<usize>,
}

fn dev_ops() -> sys::dev_ops {
    let linkage = kernel().linkage as *const sys::modlinkage;
    assert!(!linkage.is_null(), "the module is not installed");
    unsafe {
        let drv = (*linkage).ml_linkage[0].cast::<sys::modldrv>();
        *(*drv).drv_dev_ops
    }
}

pub fn cb_ops() -> sys::cb_ops {
    unsafe { *dev_ops().devo_cb_ops }
}

impl Booted {
    /// Adds a node and attaches the driver to it: the device number, or nothing when attach fails.
    pub fn attach(&mut self, config: Config) -> Option<sys::dev_t> {
        let instance = self.nodes.len() as i32;
        let node = Box::into_raw(Box::new(Node {
            instance,
            driver: CString::new(self.module.name).unwrap(),
            properties: config.properties.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            text_properties: config
                .text
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            registers: config.registers,
            minors: Vec::new(),
        }));
        self.nodes.push(node);
        let attach = dev_ops().devo_attach.unwrap();
        let result = unsafe { attach(node.cast(), sys::DDI_ATTACH) };
        (result == sys::DDI_SUCCESS).then_some(instance as sys::dev_t)
    }

    pub fn detach(&mut self, dev: sys::dev_t) -> bool {
        let detach = dev_ops().devo_detach.unwrap();
        let result = unsafe { detach(self.nodes[dev as usize].cast(), sys::DDI_DETACH) };
        result == sys::DDI_SUCCESS
    }

    pub fn minors(&self, dev: sys::dev_t) -> Vec<(String, u32)> {
        unsafe { (*self.nodes[dev as usize]).minors.clone() }
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        (self.forget)();
        if std::thread::panicking() {
            return;
        }
        let handles: Vec<usize> = kernel().handles.keys().copied().collect();
        for handle in handles {
            unmap(handle);
        }
        for dev in 0..self.nodes.len() {
            let attached = kernel().soft.contains_key(&(dev as i32));
            if attached {
                assert!(self.detach(dev as sys::dev_t), "detach refused");
            }
            drop(unsafe { Box::from_raw(self.nodes[dev]) });
        }
        assert_eq!((self.module.fini)(), 0, "_fini");
        let kernel = kernel();
        assert!(kernel.tripped.is_empty(), "defects set off: {:?}", kernel.tripped);
        assert!(kernel.umems.is_empty(), "kernel memory left");
        assert!(kernel.mapped_registers.is_empty(), "registers left mapped");
        assert!(kernel.kstats.is_empty(), "kstats left");
        assert!(kernel.soft.is_empty(), "soft state left");
        assert!(kernel.timeouts.is_empty(), "timeouts left");
        assert!(kernel.kmem.is_empty(), "kmem left");
        assert_eq!(locks::live(), 0, "locks left");
    }
}

pub fn open(dev: sys::dev_t, flag: i32) -> i32 {
    let mut dev = dev;
    unsafe { cb_ops().cb_open.unwrap()(&mut dev, flag, sys::OTYP_CHR, std::ptr::null_mut()) }
}

pub fn close(dev: sys::dev_t) -> i32 {
    unsafe { cb_ops().cb_close.unwrap()(dev, 0, sys::OTYP_CHR, std::ptr::null_mut()) }
}

/// ioctl(2) with an address or a number: the error number, and the result.
pub fn ioctl(dev: sys::dev_t, command: i32, arg: isize) -> (i32, i32) {
    let mut value = -1;
    let error = unsafe {
        cb_ops().cb_ioctl.unwrap()(dev, command, arg, sys::FREAD, std::ptr::null_mut(), &mut value)
    };
    (error, value)
}

pub fn ioctl_with<T>(dev: sys::dev_t, command: i32, arg: &mut T) -> i32 {
    ioctl(dev, command, std::ptr::from_mut(arg) as isize).0
}

fn uio(base: *mut c_void, len: usize, offset: i64) -> (Box<sys::iovec_t>, sys::uio_t) {
    let mut iov = Box::new(sys::iovec_t { iov_base: base.cast(), iov_len: len });
    let uio = sys::uio_t {
        uio_iov: &raw mut *iov,
        uio_iovcnt: 1,
        _uio_offset: sys::lloff_t { _f: offset },
        uio_segflg: 0,
        uio_fmode: 0,
        uio_extflg: 0,
        _uio_limit: sys::lloff_t { _f: i64::MAX },
        uio_resid: len as isize,
    };
    (iov, uio)
}

pub fn read(dev: sys::dev_t, len: usize, offset: i64) -> Result<Vec<u8>, i32> {
    let mut bytes = vec![0_u8; len];
    let (_iov, mut uio) = uio(bytes.as_mut_ptr().cast(), len, offset);
    let error = unsafe { cb_ops().cb_read.unwrap()(dev, &mut uio, std::ptr::null_mut()) };
    bytes.truncate(len - uio.uio_resid as usize);
    if error == 0 { Ok(bytes) } else { Err(error) }
}

pub fn write(dev: sys::dev_t, bytes: &[u8]) -> Result<usize, i32> {
    let (_iov, mut uio) = uio(bytes.as_ptr().cast_mut().cast(), bytes.len(), 0);
    let error = unsafe { cb_ops().cb_write.unwrap()(dev, &mut uio, std::ptr::null_mut()) };
    if error == 0 { Ok(bytes.len() - uio.uio_resid as usize) } else { Err(error) }
}

/// Runs the timeout that was set first: were there any?
pub fn fire_timeout() -> bool {
    let first = kernel().timeouts.pop_first();
    let Some((_, (function, arg, _))) = first else { return false };
    let function: unsafe extern "C-unwind" fn(*mut c_void) = unsafe { std::mem::transmute(function) };
    unsafe { function(arg as *mut c_void) };
    true
}
