//! A kernel for unit tests of a driver: just enough of the DDI for devmap to run against, in the test's own process, without a host and without processes.
//!
//! A test boots it with a driver's module ([`boot`]), attaches nodes, and does what processes do: [`open`], [`ioctl_with`], [`mmap`], [`load`], [`store`],
//! [`fork`], [`unmap`]. It can make functions fail ([`Kernel::refuse`]), raise interrupts, let time pass, and look at what the driver has left. When the kernel
//! goes, the driver is unloaded; a test fails if memory, locks, timeouts, handles or kstats are left, or if the driver has set off a defect of illumos's own
//! framework (`docs/shield.md` lists them): those are built in as traps ([`Kernel::tripped`]).
//!
//! ```
//! # #![no_std]
//! # extern crate std;
//! # mod board {
//! #     use devmap::prelude::*;
//! #     pub struct Board(Umem);
//! #     impl Device for Board {
//! #         type Mapping = ();
//! #         type Open = ();
//! #         fn attach(attach: &Attach<'_>) -> Result<Board, Errno> { Ok(Board(Umem::new(attach, Kind::Locked, 4096)?)) }
//! #         fn devmap<'a>(&self, request: MapRequest<'a, Board>) -> Result<Setup<'a, Board>, Errno> {
//! #             Ok(request.map(&self.0, request.offset()).with(())?)
//! #         }
//! #     }
//! #     devmap::module! { device: Board, name: "board", description: "board" }
//! # }
//! use devmap_mock::{Config, PAGE, RW, SHARED, boot, fork, kernel, load, mmap, store};
//!
//! # fn main() {
//! let mut booted = boot(&board::MODULE);
//! let dev = booted.attach(Config::default()).expect("attach(9E)");
//! let parent = mmap(dev, 0, PAGE as i64, RW, SHARED).expect("mmap(2)");
//! store(parent[0], 8, 7).expect("a store");
//! let child = fork(&parent).expect("fork(2)");
//! assert_eq!(load(child[0], 8), Ok(7), "memory is shared");
//!
//! // Out of memory, attach(9E) fails and leaves nothing behind.
//! kernel().refuse.insert("ddi_umem_alloc", 0);
//! assert!(booted.attach(Config::default()).is_none());
//! # }
//! ```
//!
//! [`boot`] serialises tests: the DDI's functions are symbols, so there is one kernel in a process. Nothing here holds the kernel's lock while it calls the
//! driver. Under real processes a driver is tested with `devmap-test`.
//!
//! # Safety
//!
//! The DDI's functions are called through ddi-sys's declarations, by devmap: what they are given is what their manual pages say
//! (pointers to live objects of the type, memory of the length told, a node or handle that is one of ours). "As
//! NAME(9F)" below means that contract. The entry points are called with what their manual pages promise to a driver.
#![allow(non_upper_case_globals)]
#![allow(clippy::too_many_arguments, reason = "the DDI's functions have as many as they have")]

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
mod running;
mod space;
pub mod threads;
pub mod work;

pub use calls::*;
pub use fault::*;
pub use handle::*;
pub use properties::Property;
pub use space::*;

/// The page size that the driver sees.
pub const PAGE: usize = 4096;
/// Protections of most mappings: `PROT_READ | PROT_WRITE`.
pub const RW: u32 = sys::PROT_READ | sys::PROT_WRITE;
/// `MAP_SHARED`.
pub const SHARED: u32 = sys::MAP_SHARED;
/// `MAP_PRIVATE`.
pub const PRIVATE: u32 = sys::MAP_PRIVATE;

/// A device node.
pub struct Node {
    /// The instance number.
    pub instance: i32,
    /// The driver's name.
    pub driver: CString,
    /// Properties of the node, as a driver.conf(5) gives them.
    pub properties: HashMap<String, Property>,
    /// Those that the driver has set.
    pub own_properties: HashMap<String, Property>,
    /// Bytes of each register set.
    pub registers: Vec<usize>,
    /// Minor nodes by name and number.
    pub minors: Vec<(String, u32)>,
    /// Of each minor node: its type, and the privileges and permissions of those that have any.
    pub kinds: Vec<String>,
    /// Capabilities that ddi_fm_init(9F) gave.
    pub fm: Option<i32>,
    /// Whether attach(9E) or detach(9E) is running, without which some calls are mistakes.
    pub in_attach_or_detach: bool,
    /// PCI configuration space.
    pub config: Box<[u8; 4096]>,
    /// Configuration space kept by pci_save_config_regs(9F).
    pub saved_config: Option<Box<[u8; 4096]>>,
    /// The registered device id.
    pub devid: Option<usize>,
    /// Interrupts that the device can raise.
    pub interrupts: Vec<interrupts::Source>,
    /// Number of times that a component was made busy.
    pub busy: u32,
}

/// Memory of ddi_umem_alloc(9F).
pub struct UmemState {
    /// Bytes.
    pub len: usize,
    /// The address.
    pub base: usize,
}

/// The kernel's state, which tests look at and change.
#[derive(Default)]
pub struct Kernel {
    /// Numbers of defects (docs/shield.md) that a call would have set off.
    pub tripped: Vec<u32>,
    /// Soft state: items by anchor, which is a number, and item; instances are the first's.
    pub soft: BTreeMap<(usize, i32), usize>,
    /// The size of each anchor's items; 0 for one that is no more.
    pub anchors: Vec<usize>,
    /// Addresses and lengths that were copied from.
    pub copied: Vec<(usize, usize)>,
    /// The process that calls the driver.
    pub caller: caller::Who,
    /// Poll heads.
    pub polls: polls::Polls,
    /// The modlinkage(9S) given to mod_install(9F); 0 without a module.
    pub linkage: usize,
    /// Memory of ddi_umem_alloc(9F) by cookie.
    pub umems: HashMap<usize, UmemState>,
    /// Address and length of each register set, by instance and number.
    pub register_sets: HashMap<(i32, u32), (usize, usize)>,
    /// Register sets that the driver has mapped.
    pub mapped_registers: BTreeSet<usize>,
    /// The attributes of each mapping.
    pub attributes: HashMap<usize, sys::ddi_device_acc_attr_t>,
    /// Access handles of which the bus has seen an error.
    pub acc_errors: BTreeSet<usize>,
    /// Addresses of registers that do not answer.
    pub dead_registers: Vec<std::ops::Range<usize>>,
    /// Fault management capabilities of the system.
    pub fm_capable: i32,
    /// Handles of pci_config_setup(9F), and the node of each.
    pub configs: BTreeMap<usize, usize>,
    /// Memory of processes that is locked down, by cookie.
    pub pins: HashMap<usize, pinned::Pin>,
    /// Whether each buf(9S) is mapped.
    pub bufs: HashMap<usize, bool>,
    /// Allocated interrupts by handle.
    pub interrupts: BTreeMap<usize, interrupts::Interrupt>,
    /// Allocations give one fewer than asked for.
    pub fewer_interrupts: bool,
    /// Device ids.
    pub devids: BTreeSet<usize>,
    /// Device mappings.
    pub handles: BTreeMap<usize, HandleState>,
    /// Addresses that handles have had, with the places of their private pointers, for the next ones.
    pub freed_handles: Vec<(usize, Private)>,
    /// Number of handles made so far.
    pub births: usize,
    /// The segments that mmap(2) has made, and fork(2) of a process, oldest first.
    pub segments: Vec<Segment>,
    /// The handles of the mmap(2) that each thread has made last.
    pub made: BTreeMap<u64, Vec<usize>>,
    /// The process of each thread; 0 if it has none.
    pub processes: BTreeMap<u64, u32>,
    /// The processes that fork(2) has made so far.
    pub children: u32,
    /// The threads that hold the address space of each process, and whether as writers.
    pub spaces: BTreeMap<u32, Vec<(u64, bool)>>,
    /// Called between two callbacks of one operation.
    pub between: Option<Between>,
    /// Source of addresses and cookies.
    pub next: usize,
    /// Messages of cmn_err(9F), each with its level.
    pub log: Vec<String>,
    /// Installed kstats by `MODULE:INSTANCE:NAME`.
    pub kstats: BTreeMap<String, usize>,
    /// Bytes of each kmem_alloc(9F).
    pub kmem: HashMap<usize, usize>,
    /// Routine, argument and ticks of each timeout that is pending.
    pub timeouts: BTreeMap<usize, (usize, usize, i64)>,
    /// Threads that run routines because of a timeout, a periodic routine, or an interrupt, by its number.
    pub running: BTreeMap<usize, Vec<u64>>,
    /// Timeouts whose routine has run and may not have returned yet, for all that the driver knows: untimeout(9F) would wait for that.
    pub returning: BTreeSet<usize>,
    /// The context of the device: owned, timers pending.
    pub oncpu: bool,
    /// A routine runs for the owner of the context.
    pub switching: bool,
    /// Context timers that are pending.
    pub timers: u32,
    /// Waits for the device context.
    pub context_waits: u32,
    /// Ticks for which the driver has slept.
    pub slept: i64,
    /// Microseconds for which the driver has spun.
    pub spun: i64,
    /// Nanoseconds since boot; each look at it takes a microsecond.
    pub clock: i64,
    /// A signal to the process is pending.
    pub signal: bool,
    /// The system is about to stop.
    pub panicking: bool,
    /// Task queues, periodic routines and threads.
    pub work: work::Work,
    /// Whether the caller is an interrupt handler.
    pub interrupt: bool,
    /// Threads that are in an interrupt's handler, each as often as it is.
    pub handlers: Vec<u64>,
    /// Calls of devmap_unload(9F).
    pub unloads: u32,
    /// Functions that refuse, by name, and how many calls they serve before: those that make or load mappings (`devmap_setup`, `devmap_map`, `devmap_load`,
    /// `devmap_unload`, `devmap_remap`, `as_map`), that allocate (`kmem_alloc`, `ddi_umem_alloc`, `ddi_soft_state_zalloc`, `kstat_create`, `thread_create`,
    /// `ddi_taskq_create`, `ddi_taskq_dispatch`, `umem_lockmemory`), and that attach(9E) calls (`ddi_create_minor_node`, `ddi_regs_map_setup`, `pci_config_setup`,
    /// `ddi_intr_alloc`, `ddi_intr_add_handler`, `ddi_intr_enable`, `ddi_dma_alloc_handle`, `ddi_dma_bind`, `ddi_dma_mem_alloc`, `ddi_devid_register`).
    pub refuse: HashMap<&'static str, u32>,
}

// Nothing in here is used without the lock; addresses are numbers.
static KERNEL: LazyLock<Mutex<Kernel>> = LazyLock::new(|| Mutex::new(Kernel::default()));
static TEST: Mutex<()> = Mutex::new(());

/// Locks the kernel's state, to look at it or to change it. Nothing of the driver may be called meanwhile.
pub fn kernel() -> MutexGuard<'static, Kernel> {
    threads::threads().point();
    KERNEL.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Kernel {
    /// Returns an address that was not used before.
    pub fn fresh(&mut self) -> usize {
        self.next += 0x1000;
        0x7000_0000_0000 + self.next
    }

    /// Returns whether it is this function's turn to refuse.
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

/// Boots a kernel and loads a driver. Waits until the kernel of another test has gone.
///
/// # Panics
/// `_init(9E)` fails.
pub fn boot(module: &'static Entry) -> Booted {
    let test = TEST.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    *kernel() = Kernel::default();
    dma::with(|dma| *dma = dma::Dma::default());
    locks::forget();
    assert_eq!((module.init)(), 0, "_init");
    Booted { module, nodes: Vec::new(), forget: || (), _test: test }
}

/// Description of a node.
#[derive(Default)]
pub struct Config {
    /// Properties of one integer.
    pub properties: Vec<(&'static str, i32)>,
    /// Properties of several integers.
    pub ints: Vec<(&'static str, Vec<i32>)>,
    /// Properties of other types.
    pub other: Vec<(&'static str, Property)>,
    /// Bytes of each register set.
    pub registers: Vec<usize>,
    /// Configuration space.
    pub space: Option<Box<[u8; 4096]>>,
    /// Interrupts that the device can raise.
    pub interrupts: Vec<interrupts::Source>,
}

/// Returns the driver's dev_ops(9S).
///
/// # Panics
/// No module is installed.
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

/// Returns the driver's cb_ops(9S).
///
/// # Panics
/// No module is installed.
pub fn cb_ops() -> sys::cb_ops {
    // SAFETY: part of the module, as its dev_ops(9S) are.
    unsafe { *dev_ops().devo_cb_ops }
}

/// Calls detach(9E) of a node that lives.
fn detach_with(node: *mut Node, command: sys::ddi_detach_cmd_t) -> bool {
    let detach = dev_ops().devo_detach.unwrap();
    // SAFETY: ours; the driver only passes it on.
    unsafe { (*node).in_attach_or_detach = true };
    // SAFETY: as in attach; it was attached, or the driver says so.
    let result = unsafe { detach(node.cast(), command) };
    // SAFETY: as above.
    unsafe { (*node).in_attach_or_detach = false };
    result == sys::DDI_SUCCESS
}

impl Booted {
    /// Calls `forget` before the driver is unloaded: it drops what the test has kept of the driver outside of its instances.
    #[must_use]
    pub fn forgetting(mut self, forget: fn()) -> Booted {
        self.forget = forget;
        self
    }

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

    /// Detaches an instance. Returns whether the driver agreed.
    pub fn detach(&mut self, dev: sys::dev_t) -> bool {
        detach_with(self.nodes[dev as usize], sys::DDI_DETACH)
    }

    /// Returns a function that detaches an instance as [`detach`](Booted::detach) does, for another thread meanwhile.
    pub fn detacher(&self, dev: sys::dev_t) -> impl FnOnce() -> bool + Send + 'static + use<> {
        let node = self.nodes[dev as usize].expose_provenance();
        move || detach_with(node as *mut Node, sys::DDI_DETACH)
    }

    /// `DDI_SUSPEND`.
    pub fn suspend(&mut self, dev: sys::dev_t) -> bool {
        detach_with(self.nodes[dev as usize], sys::DDI_SUSPEND)
    }

    /// `DDI_RESUME`.
    pub fn resume(&mut self, dev: sys::dev_t) -> bool {
        // SAFETY: as in attach.
        let result = unsafe { dev_ops().devo_attach.unwrap()(self.node(dev), sys::DDI_RESUME) };
        result == sys::DDI_SUCCESS
    }

    /// Calls quiesce(9E). Returns whether it succeeded.
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
            assert!(kernel.running.is_empty(), "unloaded while a routine runs");
            assert!(kernel.work.is_over(), "unloaded with {:?}", kernel.work);
        }
        result
    }

    /// Returns the node of an instance, as the driver knows it.
    pub fn node(&self, dev: sys::dev_t) -> *mut sys::dev_info_t {
        self.nodes[dev as usize].cast()
    }

    /// Returns name and number of each minor node.
    pub fn minors(&self, dev: sys::dev_t) -> Vec<(String, u32)> {
        // SAFETY: a node lives until the kernel is dropped, and nobody else looks at it between calls.
        unsafe { &*self.nodes[dev as usize] }.minors.clone()
    }

    /// Returns the type of each minor node, with its privileges and permissions.
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
        let mut kernel = kernel();
        if !kernel.freed_handles.iter().all(|(_, pvt)| pvt.is_as_freed()) {
            kernel.trip(30);
        }
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
        for (_, (registers, size)) in kernel.register_sets.drain() {
            let words = std::ptr::slice_from_raw_parts_mut(registers as *mut u64, size.div_ceil(8));
            // SAFETY: so many words were leaked when the set was mapped first, and it is not mapped any more.
            drop(unsafe { Box::from_raw(words) });
        }
    }
}
