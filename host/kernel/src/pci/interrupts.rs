//! Interrupts of simulated devices: which are allocated, and the threads that run their handlers.
//!
//! An interrupt whose handler is enabled has a thread, which runs the handler in interrupt context, one call at a time: what is
//! raised meanwhile is one more call afterwards, however often it was raised. A message (MSI, MSI-X) that comes while
//! its interrupt is not enabled is lost; while it is masked it is pending. A pin is a level: it is asserted as long as
//! the device's status register is not 0, if it has one.
//!
//! Locking: one lock protects the table of interrupts, and below it one for each interrupt's state; neither is held while a handler
//! runs.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ddi_sys::{caddr_t, uint_t};
use ddi_trace::{Actor, Event};
use parking_lot::{Condvar, Mutex};

use super::{Device, space};
use crate::board::{log, report};
use crate::kern::blocked::{Blocked, For, Others};
use crate::kern::keepers::{Keeper, Leftover};
use crate::kern::nodes::Node;
use crate::kern::thread::{self, Context};
use crate::kern::{callout, entry, traced};

/// The interrupt priority from which handlers run above the scheduler: LOCK_LEVEL + 1.
pub const HIGH_LEVEL: u32 = 11;

/// Type of an interrupt: the values of DDI_INTR_TYPE_*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Kind {
    /// The pin.
    Fixed = 1,
    /// A message.
    Msi = 2,
    /// A message, the extended way.
    Msix = 4,
}

/// A driver's handler.
///
/// # Invariants
/// The function may be called with these arguments until the handler is removed: the driver has given them together.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Of ddi_add_intr(9F).
    Old(unsafe extern "C-unwind" fn(caddr_t) -> uint_t, usize),
    /// Of ddi_intr_add_handler(9F).
    New(unsafe extern "C-unwind" fn(caddr_t, caddr_t) -> uint_t, usize, usize),
}

/// State of an interrupt.
#[derive(Default)]
pub struct State {
    /// The handler, once it is added.
    pub handler: Option<Handler>,
    /// The priority.
    pub priority: u32,
    /// The interrupt is delivered.
    pub enabled: bool,
    /// Masked by the driver.
    pub masked: bool,
    /// Raised, not delivered yet.
    pub pending: bool,
    /// The handles that share the handler (ddi_intr_dup_handler(9F)).
    pub copies: usize,
    /// The number of the thread whose call of the handler is under way.
    running: u32,
    /// The interrupt has a thread.
    served: bool,
    freed: bool,
}

/// An allocated interrupt.
pub struct Interrupt {
    /// The device's node.
    pub node: &'static Node,
    /// The device.
    pub device: &'static Device,
    /// Type of the interrupt.
    pub kind: Kind,
    /// The number among those of the device.
    pub number: u16,
    /// The interrupt whose handler this is a copy for.
    pub original: Option<Arc<Interrupt>>,
    id: usize,
    state: Mutex<State>,
    told: Condvar,
}

static TABLE: Mutex<Vec<Arc<Interrupt>>> = Mutex::new(Vec::new());

/// Calls in a row after which a pin that stays asserted is a mistake of the handler.
const ENDLESS: u32 = 10_000;

/// Allocates an interrupt; None when it is allocated already.
pub fn allocate(
    device: &'static Device,
    kind: Kind,
    number: u16,
    priority: u32,
    original: Option<Arc<Interrupt>>,
) -> Option<Arc<Interrupt>> {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let mut table = TABLE.lock();
    let node = device.node()?;
    if table.iter().any(|i| std::ptr::eq(i.device, device) && i.kind == kind && i.number == number) {
        return None;
    }
    // As pointers go: never NULL, and not soon used again.
    let id = 0x1000 + LAST.fetch_add(16, Ordering::Relaxed);
    let state = Mutex::new(State { priority, ..State::default() });
    let new = Arc::new(Interrupt { node, device, kind, number, original, id, state, told: Condvar::new() });
    table.push(new.clone());
    Some(new)
}

/// The interrupt that a driver's handle means.
pub fn find(id: usize) -> Option<Arc<Interrupt>> {
    TABLE.lock().iter().find(|i| i.id == id).cloned()
}

/// The interrupts that a device has allocated, by number.
pub fn of(device: &Device) -> Vec<Arc<Interrupt>> {
    let mut found: Vec<_> = TABLE.lock().iter().filter(|i| std::ptr::eq(i.device, device)).cloned().collect();
    found.sort_by_key(|i| i.number);
    found
}

/// Interrupts that are allocated.
pub fn in_use() -> usize {
    TABLE.lock().len()
}

/// Knows the interrupts that an instance has allocated.
#[derive(Debug)]
pub struct Allocated;

impl Keeper for Allocated {
    fn detached(&self, node: &'static Node) -> Vec<Leftover> {
        match super::of(node).map_or(0, |device| of(device).len()) {
            0 => Vec::new(),
            left => {
                vec![Leftover { what: format!("{left} interrupts allocated"), page: "ddi_intr_free(9F)" }]
            }
        }
    }
}

/// Runs a device's own work on another thread.
pub fn device_work(work: impl FnOnce() + Send + 'static) {
    callout::after(Duration::ZERO, Box::new(work));
}

/// Raises interrupt `vector` of a device in the way that its configuration space selects. Returns false if it has no such interrupt, or the interrupt is not
/// enabled.
pub fn raise(node: &'static Node, device: &'static Device, vector: u16) -> bool {
    let all = of(device);
    let messages = all.iter().filter(|i| i.kind == Kind::Msi).count() as u16;
    let found = if device.space.msix_enabled() {
        all.into_iter().find(|i| i.kind == Kind::Msix && i.number == vector)
    } else if device.space.msi_enabled() && messages > 0 {
        // A device that got fewer messages than it has makes do with them.
        all.into_iter().find(|i| i.kind == Kind::Msi && i.number == vector % messages)
    } else if device.description.interrupt_pin.is_some() {
        device.space.set_pin(true);
        all.into_iter().find(|i| i.kind == Kind::Fixed)
    } else {
        None
    };
    let raised = found.is_some_and(|interrupt| interrupt.raise());
    if !raised {
        log::line(log::To::Log, &format!("{}: interrupt {vector} was not delivered", node.path()));
    }
    raised
}

impl Interrupt {
    /// Returns the value of the driver's handle.
    pub fn id(&self) -> usize {
        self.id
    }

    /// Returns its state.
    pub fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }

    fn raise(&self) -> bool {
        let mut state = self.state.lock();
        if !state.enabled && self.kind != Kind::Fixed {
            return false;
        }
        state.pending = true;
        self.told.notify_all();
        state.enabled
    }

    /// Lets it be delivered.
    pub fn enable(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.enabled = true;
        if !state.served {
            state.served = true;
            let this = self.clone();
            let name = format!("interrupt {}{}", self.node.driver_name(), self.node.instance());
            let thread = std::thread::Builder::new().name(name);
            thread.spawn(move || this.serve()).expect("a thread for an interrupt");
        }
        self.told.notify_all();
        drop(state);
        self.show_enabled();
    }

    /// It is not delivered any more: its handler does not run when this returns, unless that is the caller.
    pub fn disable(self: &Arc<Self>) {
        let me = thread::id();
        let runs = |state: &State| Some(state.running).filter(|&running| running != 0 && running != me);
        let running = {
            let mut state = self.state.lock();
            state.enabled = false;
            runs(&state).is_some()
        };
        if running {
            let this = self.clone();
            let what = format!("the handler of interrupt {}", self.number);
            let who =
                move || Some(this.state.lock().running).filter(|&running| running != 0).into_iter().collect();
            let blocked = Blocked::on(For::Others(Others::new(&what, "ddi_intr_disable(9F)", who)), false);
            let mut state = self.state.lock();
            while runs(&state).is_some() {
                self.told.wait(&mut state);
            }
            blocked.over();
        }
        self.show_enabled();
    }

    /// Sets or clears its mask.
    pub fn mask(&self, masked: bool) {
        self.state.lock().masked = masked;
        self.told.notify_all();
    }

    /// Frees it.
    pub fn free(&self) {
        self.state.lock().freed = true;
        self.told.notify_all();
        TABLE.lock().retain(|i| i.id != self.id);
    }

    /// Turns messages on in configuration space with the first that is enabled, off with the last.
    fn show_enabled(&self) {
        let all = of(self.device);
        let enabled = all.iter().filter(|i| i.kind == self.kind && i.state.lock().enabled).count();
        let allocated = all.iter().filter(|i| i.kind == self.kind).count() as u32;
        match self.kind {
            Kind::Fixed => {}
            Kind::Msi => self.device.space.enable_msi(if enabled > 0 { allocated } else { 0 }),
            Kind::Msix => self.device.space.enable_msix(enabled > 0),
        }
    }

    /// Returns whether the pin is asserted.
    fn level(&self) -> bool {
        self.kind == Kind::Fixed
            && self.device.asserted()
            && self.device.space.command() & space::PIN_OFF == 0
    }

    /// The interrupt's thread.
    fn serve(&self) {
        let mut in_a_row = 0;
        let mut state = self.state.lock();
        loop {
            if state.freed {
                return;
            }
            let due = state.enabled && !state.masked && (state.pending || self.level());
            let (true, Some(handler)) = (due, state.handler) else {
                in_a_row = 0;
                self.told.wait(&mut state);
                continue;
            };
            state.pending = false;
            state.running = thread::id();
            let priority = state.priority;
            drop(state);
            let claimed = self.call(handler, priority);
            in_a_row += 1;
            self.judge(claimed, in_a_row);
            state = self.state.lock();
            state.running = 0;
            self.told.notify_all();
        }
    }

    fn call(&self, handler: Handler, priority: u32) -> bool {
        let context = if priority >= HIGH_LEVEL { Context::HighInterrupt } else { Context::Interrupt };
        let call = || match handler {
            // SAFETY: the invariant.
            Handler::Old(function, arg) => unsafe { function(arg as caddr_t) },
            // SAFETY: as above.
            Handler::New(function, arg1, arg2) => unsafe { function(arg1 as caddr_t, arg2 as caddr_t) },
        };
        let what = || format!("{}: the handler of interrupt {}", self.node.driver_name(), self.number);
        let _acting = ddi_trace::on().then(|| ddi_trace::acting(Actor::default()));
        let span = ddi_trace::span();
        let claimed = thread::in_context(context, || entry::call(what, call))
            == Ok(ddi_sys::DDI_INTR_CLAIMED as uint_t);
        span.end(traced::device(self.node), || Event::Interrupt { number: self.number.into(), claimed });
        claimed
    }

    /// A pin's handler says whether the interrupt was its own, and takes its cause away.
    fn judge(&self, claimed: bool, in_a_row: u32) {
        if self.kind != Kind::Fixed {
            return;
        }
        let level = self.level();
        if !level {
            self.device.space.set_pin(false);
        }
        if !claimed && level {
            let what = "the handler did not claim the interrupt, and its device's status register shows it";
            report::mistake("interrupt handler", what, "ddi_intr_add_handler(9F)");
        } else if !claimed {
            let path = self.node.path();
            log::line(log::To::Both, &format!("NOTICE: {path}: interrupt level not serviced"));
        } else if level && in_a_row == ENDLESS {
            let what =
                "the handler claims the interrupt again and again, and leaves the device's status as it is";
            report::mistake("interrupt handler", what, "ddi_intr_add_handler(9F)");
        }
    }
}

/// The DDI_INTR_TYPE_* bits of what a device has.
pub fn kinds(device: &Device) -> c_int {
    let d = &device.description;
    let bit = |there: bool, kind: Kind| if there { kind as c_int } else { 0 };
    bit(d.interrupt_pin.is_some(), Kind::Fixed)
        | bit(d.msi.is_some(), Kind::Msi)
        | bit(d.msix.is_some(), Kind::Msix)
}

/// The priority that a device's class gets.
pub fn priority(device: &Device) -> u32 {
    let class = device.description.class;
    match (class >> 16, class >> 8 & 0xff) {
        (0x01, _) => 5,
        (0x02, _) => 6,
        (0x04, _) => 8,
        (0x03 | 0x05 | 0x06, _) | (0x0c, 0x00 | 0x03) => 9,
        (0x0c, 0x01 | 0x02) => 4,
        (0x0c, 0x04) => 5,
        (0x0c, 0x06) => 6,
        _ => 1,
    }
}
