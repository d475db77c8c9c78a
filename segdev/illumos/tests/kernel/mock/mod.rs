//! A kernel for tests: just enough of address spaces, the memory layer and the DDI for the framework to run in, in this process. What the real one
//! answers with a panic is one here, too: unlocking what is not locked, entering a translation over another, or anything without
//! the address space locked as it must be.
//!
//! The functions are symbols, so there is one kernel for all tests; [`boot`] serialises them.
//!
//! # Safety
//!
//! The DDI's functions are called through ddi-sys's declarations, by the framework: what they are given is what the kernel asks of its callers (pointers to
//! live objects of the type, memory of the length told). "As the kernel" below means that contract.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard};

use ddi_sys as sys;

mod data;
mod ddi;
mod hat;
mod locks;
mod space;

pub use data::*;
pub use ddi::*;
pub use hat::*;
pub use locks::*;
pub use space::*;

pub const PAGE: u64 = 4096;

/// A function of a timeout.
type Routine = unsafe extern "C-unwind" fn(*mut c_void);

/// What the tests look at and change. Addresses are numbers; pointers are only passed on.
#[derive(Default)]
pub struct Machine {
    /// Kernels of today pass a place for the segment to as_map's function, older ones the segment.
    pub old: bool,
    /// Umem cookies have their size elsewhere.
    pub other_cookies: bool,
    /// What was warned of last.
    pub warning: Option<String>,
    /// as_map refuses.
    pub no_room: bool,
    pub timeouts: BTreeMap<usize, (Routine, usize, i64)>,
    /// Timeouts whose functions run at the moment.
    pub running: BTreeSet<usize>,
    pub next: usize,
    pub vnodes: BTreeMap<u64, usize>,
    pub registers: BTreeMap<(usize, u32), (u64, u64)>,
    /// Registers that are mapped into the kernel at the moment.
    pub mapped: usize,
    pub cookies: BTreeMap<usize, u64>,
    /// Pages from one page frame of kernel memory to the next.
    pub stride: u64,
    /// Locks of pages of pageable memory.
    pub page_locks: BTreeMap<u64, u32>,
}

static MACHINE: Mutex<Option<Machine>> = Mutex::new(None);
static TEST: Mutex<()> = Mutex::new(());

/// Does something with the machine's state. Nothing of the framework may be called meanwhile.
pub fn machine<R>(f: impl FnOnce(&mut Machine) -> R) -> R {
    let mut machine = MACHINE.lock().unwrap_or_else(|e| e.into_inner());
    f(machine.get_or_insert_default())
}

/// A machine with one driver and nothing mapped.
pub struct Booted {
    _test: MutexGuard<'static, ()>,
    /// What a test that failed has left.
    left: segdev::Live,
}

pub fn boot() -> Booted {
    let test = TEST.lock().unwrap_or_else(|e| e.into_inner());
    *MACHINE.lock().unwrap_or_else(|e| e.into_inner()) = Some(Machine { stride: 1, ..Machine::default() });
    hat::start();
    ddi::start();
    set_operations(23);
    Booted { _test: test, left: segdev_illumos::framework().live() }
}

impl Drop for Booted {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        assert_eq!(segdev_illumos::framework().live(), self.left, "the framework keeps something");
        machine(|m| {
            assert!(m.timeouts.is_empty(), "timeouts are left");
            assert_eq!(m.mapped, 0, "registers are left mapped");
            assert!(m.page_locks.values().all(|n| *n == 0), "pages are left locked");
            for vnode in m.vnodes.values() {
                // SAFETY: boxed by `ddi`, freed here; nobody has it any more.
                let vnode = unsafe { Box::from_raw(*vnode as *mut Vnode) };
                assert_eq!((vnode.references, vnode.pages), (0, 0), "a vnode is left held or mapped");
            }
            m.vnodes.clear();
            assert!(m.cookies.is_empty(), "kernel memory is left: {:?}", m.cookies);
        });
    }
}

pub fn pointer<T>(n: u64) -> *mut T {
    std::ptr::with_exposed_provenance_mut(n as usize)
}

pub fn number<T>(p: *const T) -> u64 {
    p.expose_provenance() as u64
}

/// Runs the timeout that has been pending longest; false when none is.
pub fn run_timeout() -> bool {
    let first = machine(|m| {
        let first = m.timeouts.pop_first();
        m.running.extend(first.map(|t| t.0));
        first
    });
    let Some((id, (f, arg, _))) = first else { return false };
    // SAFETY: what timeout(9F) was given.
    unsafe { f(pointer(arg as u64)) };
    machine(|m| m.running.remove(&id));
    true
}

/// As sys::PROT_* of user mappings.
pub const RW: u32 = sys::PROT_READ | sys::PROT_WRITE | sys::PROT_USER;
