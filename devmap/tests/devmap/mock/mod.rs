//! A kernel for tests: just enough of the DDI for devmap to run against, in this process, with the defects of the
//! reference framework built in as traps. Whatever would set off one of them is noted (`Kernel::tripped`), and a test
//! that ends with one noted fails.
//!
//! A test boots it with [`boot`], which serialises tests: the DDI's functions are symbols, so there is one kernel for
//! all. The driver's own tests (example-driver/tests) use it too, which is why some of it is unused in either place.
//! Nothing here holds the kernel's lock while it calls the driver.
//!
//! # Safety
//!
//! The DDI's functions are called through ddi-sys's declarations, by devmap: what they are given is what their manual pages say
//! (pointers to live objects of the type, memory of the length told, a node or handle that is one of ours). "As
//! NAME(9F)" below means that contract. The entry points are called with what their manual pages promise to a driver.

#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::CString;
use std::sync::{LazyLock, Mutex, MutexGuard};

use ddi_sys as sys;
use devmap::module::Entry;

pub mod caller;
mod calls;
pub mod dma;
mod fault;
pub mod faults;
mod handle;
pub mod interrupts;
pub mod kstats;
pub mod locks;
mod memory;
pub mod messages;
mod modules;
mod nodes;
mod pci;
pub mod pinned;
pub mod polls;
mod power;
pub mod properties;
mod space;
pub mod work;

pub use calls::*;
pub use fault::*;
pub use handle::*;
pub use properties::Property;
pub use space::*;

/// The page size that the driver sees.
pub const PAGE: usize = 4096;

/// A device node.
pub struct Node {
    pub instance: i32,
    pub driver: CString,
    pub properties: HashMap<String, Property>,
    /// Those that the driver has set.
    pub own_properties: HashMap<String, Property>,
    pub registers: Vec<usize>,
    pub minors: Vec<(String, u32)>,
    /// Of each minor node: its type, and the privileges and permissions of those that have any.
    pub kinds: Vec<String>,
    /// What ddi_fm_init(9F) gave.
    pub fm: Option<i32>,
    pub in_attach_or_detach: bool,
    pub config: Box<[u8; 4096]>,
    pub saved_config: Option<Box<[u8; 4096]>>,
    /// The registered device id.
    pub devid: Option<usize>,
    pub interrupts: Vec<interrupts::Source>,
    /// How many times a component was made busy.
    pub busy: u32,
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
    /// Soft state: items by anchor, which is a number, and item; instances are the first's.
    pub soft: BTreeMap<(usize, i32), usize>,
    /// The size of each anchor's items; 0 for one that is no more.
    pub anchors: Vec<usize>,
    /// Addresses and lengths that were copied from.
    pub copied: Vec<(usize, usize)>,
    pub caller: caller::Who,
    pub polls: polls::Polls,
    pub linkage: usize,
    pub umems: HashMap<usize, UmemState>,
    pub register_sets: HashMap<(i32, u32), (usize, usize)>,
    pub mapped_registers: BTreeSet<usize>,
    /// The attributes of each mapping.
    pub attributes: HashMap<usize, sys::ddi_device_acc_attr_t>,
    /// Access handles of which the bus has seen an error.
    pub acc_errors: BTreeSet<usize>,
    /// Addresses of registers that do not answer.
    pub dead_registers: Vec<std::ops::Range<usize>>,
    /// What the system can do about faults.
    pub fm_capable: i32,
    pub configs: BTreeSet<usize>,
    pub pins: HashMap<usize, pinned::Pin>,
    /// Whether each buf(9S) is mapped.
    pub bufs: HashMap<usize, bool>,
    pub interrupts: BTreeMap<usize, interrupts::Interrupt>,
    /// Allocations give one fewer than asked for.
    pub fewer_interrupts: bool,
    pub devids: BTreeSet<usize>,
    pub handles: BTreeMap<usize, HandleState>,
    /// Addresses that handles have had, for the next ones.
    pub freed_handles: Vec<usize>,
    pub births: usize,
    /// The handles of each segment that mmap(2) has made, oldest first.
    pub segments: Vec<Vec<usize>>,
    pub between: Option<Between>,
    pub next: usize,
    pub log: Vec<String>,
    pub kstats: BTreeMap<String, usize>,
    pub kmem: HashMap<usize, usize>,
    pub timeouts: BTreeMap<usize, (usize, usize, i64)>,
    /// Timeouts whose routine has run and may not have returned yet, for all that the driver knows: untimeout(9F) would wait for that.
    pub returning: BTreeSet<usize>,
    /// The context of the device: owned, timers pending.
    pub oncpu: bool,
    pub timers: u32,
    pub context_waits: u32,
    pub slept: i64,
    pub spun: i64,
    /// Nanoseconds since boot; each look at it takes a microsecond.
    pub clock: i64,
    /// A signal to the process is pending.
    pub signal: bool,
    /// The system is about to stop.
    pub panicking: bool,
    pub work: work::Work,
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
    dma::with(|dma| *dma = dma::Dma::default());
    locks::forget();
    assert_eq!((module.init)(), 0, "_init");
    Booted { module, nodes: Vec::new(), forget, _test: test }
}

/// What a node is made of.
#[derive(Default)]
pub struct Config {
    pub properties: Vec<(&'static str, i32)>,
    pub ints: Vec<(&'static str, Vec<i32>)>,
    pub other: Vec<(&'static str, Property)>,
    pub registers: Vec<usize>,
    /// Configuration space.
    pub space: Option<Box<[u8; 4096]>>,
    pub interrupts: Vec<interrupts::Source>,
}

pub fn dev_ops() -> sys::dev_ops {
    let linkage = kernel().linkage as *const sys::modlinkage;
    assert!(!linkage.is_null(), "the module is not installed");
    // SAFETY: what the module gave to mod_install(9F): it lives as long as the module.
    let drv = unsafe { (*linkage).ml_linkage[0] }.cast::<sys::modldrv>();
    // SAFETY: the linkage of a driver names one of these.
    let ops = unsafe { (*drv).drv_dev_ops };
    // SAFETY: it names its entry points, which live as long.
    unsafe { *ops }
}

pub fn cb_ops() -> sys::cb_ops {
    // SAFETY: part of the module, as its dev_ops(9S) are.
    unsafe { *dev_ops().devo_cb_ops }
}

impl Booted {
    /// Adds a node and attaches the driver to it: the device number, or nothing when attach fails.
    pub fn attach(&mut self, config: Config) -> Option<sys::dev_t> {
        let instance = self.nodes.len() as i32;
        let single = config.properties.into_iter().map(|(name, value)| (name.into(), value.into()));
        let ints = config.ints.into_iter().map(|(name, ints)| (name.into(), Property::Ints(ints)));
        let other = config.other.into_iter().map(|(name, value)| (name.into(), value));
        let mut properties: HashMap<String, Property> = single.chain(ints).chain(other).collect();
        if !config.registers.is_empty() {
            let reg = Property::Ints(vec![0; 3 * config.registers.len()]);
            properties.entry("reg".into()).or_insert(reg);
        }
        let node = Box::into_raw(Box::new(Node {
            instance,
            driver: CString::new(self.module.name).unwrap(),
            properties,
            own_properties: HashMap::new(),
            registers: config.registers,
            minors: Vec::new(),
            kinds: Vec::new(),
            fm: None,
            in_attach_or_detach: true,
            config: Box::new(config.space.map_or([0; 4096], |space| *space)),
            saved_config: None,
            devid: None,
            interrupts: config.interrupts,
            busy: 0,
        }));
        self.nodes.push(node);
        let attach = dev_ops().devo_attach.unwrap();
        // SAFETY: a node of ours, which lives until the kernel is dropped.
        let result = unsafe { attach(node.cast(), sys::DDI_ATTACH) };
        // SAFETY: ours; the driver only passes it on.
        unsafe { (*node).in_attach_or_detach = false };
        (result == sys::DDI_SUCCESS).then_some(instance as sys::dev_t)
    }

    pub fn detach(&mut self, dev: sys::dev_t) -> bool {
        self.detach_with(dev, sys::DDI_DETACH)
    }

    /// `DDI_SUSPEND`.
    pub fn suspend(&mut self, dev: sys::dev_t) -> bool {
        self.detach_with(dev, sys::DDI_SUSPEND)
    }

    fn detach_with(&mut self, dev: sys::dev_t, command: sys::ddi_detach_cmd_t) -> bool {
        let detach = dev_ops().devo_detach.unwrap();
        let node = self.nodes[dev as usize];
        // SAFETY: ours; the driver only passes it on.
        unsafe { (*node).in_attach_or_detach = true };
        // SAFETY: as in attach; it was attached, or the driver says so.
        let result = unsafe { detach(node.cast(), command) };
        // SAFETY: as above.
        unsafe { (*node).in_attach_or_detach = false };
        result == sys::DDI_SUCCESS
    }

    /// `DDI_RESUME`.
    pub fn resume(&mut self, dev: sys::dev_t) -> bool {
        // SAFETY: as in attach.
        let result = unsafe { dev_ops().devo_attach.unwrap()(self.node(dev), sys::DDI_RESUME) };
        result == sys::DDI_SUCCESS
    }

    pub fn quiesce(&self, dev: sys::dev_t) -> bool {
        // SAFETY: as quiesce(9E).
        let result = unsafe { dev_ops().devo_quiesce.unwrap()(self.node(dev)) };
        result == sys::DDI_SUCCESS
    }

    /// `_fini(9E)`; 0 is good-bye: no routine may return to the module after it.
    pub fn unload(&self) -> i32 {
        let result = (self.module.fini)();
        if result == 0 {
            let kernel = kernel();
            assert!(kernel.timeouts.is_empty(), "unloaded with a timeout pending");
            assert!(kernel.returning.is_empty(), "unloaded before a timeout's routine has returned");
            assert!(kernel.work.is_over(), "unloaded with {:?}", kernel.work);
        }
        result
    }

    pub fn node(&self, dev: sys::dev_t) -> *mut sys::dev_info_t {
        self.nodes[dev as usize].cast()
    }

    pub fn minors(&self, dev: sys::dev_t) -> Vec<(String, u32)> {
        // SAFETY: a node lives until the kernel is dropped, and nobody else looks at it between calls.
        unsafe { &*self.nodes[dev as usize] }.minors.clone()
    }

    pub fn kinds(&self, dev: sys::dev_t) -> Vec<String> {
        // SAFETY: as above.
        unsafe { &*self.nodes[dev as usize] }.kinds.clone()
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        (self.forget)();
        if std::thread::panicking() {
            // The statics of devmap are for the next test, too.
            while messages::fire_timeout() {}
            work::forget();
            return;
        }
        let handles: Vec<usize> = kernel().handles.keys().copied().collect();
        for handle in handles {
            unmap(handle);
        }
        for dev in 0..self.nodes.len() {
            let attached = kernel().soft.contains_key(&(0, dev as i32));
            if attached {
                assert!(self.detach(dev as sys::dev_t), "detach refused");
            }
            // SAFETY: made by Box::into_raw, and detached, so nobody has it any more.
            drop(unsafe { Box::from_raw(self.nodes[dev]) });
        }
        nothing_between();
        assert_eq!(self.unload(), 0, "_fini");
        let kernel = kernel();
        assert!(kernel.tripped.is_empty(), "defects set off: {:?}", kernel.tripped);
        assert!(kernel.umems.is_empty(), "kernel memory left");
        assert!(kernel.mapped_registers.is_empty(), "registers left mapped");
        assert!(kernel.configs.is_empty(), "configuration space left");
        assert!(kernel.devids.is_empty(), "device ids left");
        assert!(kernel.interrupts.is_empty(), "interrupts left");
        assert!(kernel.bufs.is_empty() && kernel.pins.is_empty(), "pinned memory left");
        dma::with(|dma| assert!(dma.handles.is_empty() && dma.memory.is_empty(), "DMA left"));
        assert!(kernel.kstats.is_empty(), "kstats left");
        assert!(kernel.soft.is_empty(), "soft state left");
        assert!(kernel.kmem.is_empty(), "kmem left");
        assert_eq!(properties::given(), 0, "values of properties left");
        let complaints: Vec<_> = kernel.log.iter().filter(|line| line.contains("invalid op")).collect();
        assert!(complaints.is_empty(), "{complaints:?}");
        assert!(kernel.work.is_over(), "left: {:?}", kernel.work);
        assert_eq!(locks::unexpected(), 0, "locks left");
    }
}
