//! A driver that does what a test tells it, and tells what it was asked.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use devmap::context::Kernel;
use devmap::life::Quiesce;
use devmap::power::Power;
use devmap::prelude::*;
use devmap::{Access, Protection, Refusal};

use crate::mock::{self, Booted, Config, PAGE};

/// How the access callback behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Behaviour {
    #[default]
    Load,
    LoadAll,
    /// Switches the context: unloads everything else of the device, loads.
    Switch,
    /// As `Switch`, but the routine fails.
    SwitchFails,
    /// Switches the context, and loads when the device is the mapping's alone.
    Alone,
    RetryLater,
    /// Lowers what the process may do at most, and loads.
    Lower(Protection),
    Fail(Errno),
    Panic,
    /// Loads if the mapping shows the instance's memory as it is, and nothing has changed ([`CHANGED`]); else fails with `ENOENT`.
    LoadOf,
}

#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub access: Behaviour,
    pub attach: Option<Errno>,
    pub detach: Option<Errno>,
    pub suspend: Option<&'static str>,
    pub quiesce: Option<Errno>,
    pub devmap: Option<Errno>,
    pub dup: Option<Errno>,
    /// Answer with memory that is this many pages shorter than asked.
    pub short: usize,
    /// Set the request up in parts of this many pages.
    pub parts: Option<usize>,
    pub without_access: bool,
    pub max: Option<Protection>,
    pub panic_in_unmap: bool,
    /// Nobody but the framework has a reference to a mapping.
    pub keep_no_handles: bool,
    /// The engine of mappings.
    pub engine: usize,
    /// Error with which `Behaviour::Alone` fails to switch the device.
    pub switch: Option<Errno>,
    /// Children may do at most this.
    pub lower_child: Option<Protection>,
    /// Forget the setup, and refuse.
    pub forget_setup: bool,
}

static PLAN: Mutex<Option<Plan>> = Mutex::new(None);
static EVENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static HANDLES: Mutex<Vec<Handle>> = Mutex::new(Vec::new());
static MAPPINGS: Mutex<Option<Mappings>> = Mutex::new(None);
static IN_ATTACH: Mutex<Option<InAttach>> = Mutex::new(None);
static IN_IOCTL: Mutex<Option<InIoctl>> = Mutex::new(None);
/// What is mapped instead of the instance's memory.
static OTHER: Mutex<Option<Memory>> = Mutex::new(None);
/// See [`Behaviour::LoadOf`].
pub static CHANGED: AtomicBool = AtomicBool::new(false);
pub static LIVE: AtomicI64 = AtomicI64::new(0);

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn plan() -> Plan {
    lock(&PLAN).clone().unwrap_or_default()
}

pub fn set(plan: Plan) {
    *lock(&PLAN) = Some(plan);
}

/// Drops what the test keeps of the instance.
pub fn forget_mappings() {
    *lock(&MAPPINGS) = None;
}

pub fn behave(access: Behaviour) {
    set(Plan { access, ..plan() });
}

/// What the driver was asked since this was last asked.
pub fn events() -> Vec<String> {
    std::mem::take(&mut lock(&EVENTS))
}

fn event(text: String) {
    lock(&EVENTS).push(text);
}

/// The context of a test: a thread that may sleep.
pub fn cx() -> Kernel {
    // SAFETY: the mock kernel's threads may sleep wherever a test does.
    unsafe { Kernel::assume() }
}

/// The handles that the driver has seen, oldest first.
pub fn handles() -> Vec<Handle> {
    lock(&HANDLES).clone()
}

pub fn mappings() -> Mappings {
    lock(&MAPPINGS).clone().unwrap()
}

type InAttach = Box<dyn FnOnce(&Attach<'_>) + Send>;

/// The next attach does this with its node.
pub fn in_attach(what: impl FnOnce(&Node<'_>) + Send + 'static) {
    attaching(|attach| what(attach.node()));
}

/// The next attach does this first.
pub fn attaching(what: impl FnOnce(&Attach<'_>) + Send + 'static) {
    *lock(&IN_ATTACH) = Some(Box::new(what));
}

type InIoctl = Box<dyn FnOnce(&Argument<'_>) + Send>;

/// Does something in an ioctl(2) of a device, and gives its result.
pub fn in_ioctl<T: Send + 'static>(dev: u64, what: impl FnOnce(&Argument<'_>) -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    *lock(&IN_IOCTL) = Some(Box::new(move |argument| sender.send(what(argument)).unwrap()));
    assert_eq!(mock::ioctl(dev, 4, 0).0, 0);
    receiver.recv().unwrap()
}

/// From now on mmap(2) maps this.
pub fn map_instead(memory: impl Into<Memory>) {
    *lock(&OTHER) = Some(memory.into());
}

/// Boots a kernel and does this with a node, in attach: one with a register set of 4 pages.
pub fn with_node(what: impl FnOnce(&Node<'_>) + Send + 'static) -> Booted {
    let mut booted = boot();
    in_attach(what);
    booted.attach(one_register_set()).expect("attach");
    booted
}

pub fn one_register_set() -> Config {
    Config { registers: vec![4 * PAGE], properties: vec![("answer", 42)], ..Config::default() }
}

/// A booted kernel with one instance attached, which has 8 pages of kernel memory and a register set of 4 behind it.
pub fn probe() -> (Booted, u64) {
    let mut booted = boot();
    let dev = booted.attach(one_register_set()).expect("attach");
    (booted, dev)
}

pub fn boot() -> Booted {
    let booted = mock::boot(&MODULE).forgetting(forget);
    set(Plan::default());
    events();
    LIVE.store(0, SeqCst);
    booted
}

fn forget() {
    lock(&HANDLES).clear();
    *lock(&MAPPINGS) = None;
    *lock(&OTHER) = None;
}

pub struct Probe {
    pub memory: Umem,
    registers: Option<Registers>,
    mappings: Mappings,
    lock: devmap::sync::Mutex<()>,
}

/// Private data: a number that follows the mapping through its life.
pub struct Data {
    tag: String,
    /// None with [`Plan::keep_no_handles`].
    handle: Option<Handle>,
}

impl Data {
    /// `handle` is asked for, if it is kept.
    fn new<'a>(tag: String, handle: impl FnOnce() -> &'a Handle) -> Data {
        LIVE.fetch_add(1, SeqCst);
        let handle = (!plan().keep_no_handles).then(|| handle().clone());
        lock(&HANDLES).extend(handle.clone());
        Data { tag, handle }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, SeqCst);
    }
}

impl Device for Probe {
    type Mapping = Data;
    type Open = ();
    const ENGINES: usize = 3;

    fn attach(attach: &Attach<'_>) -> Result<Probe, Errno> {
        let node = attach.node();
        let in_attach = lock(&IN_ATTACH).take();
        if let Some(what) = in_attach {
            what(attach);
        }
        let memory = Umem::new(attach, Kind::Locked, 8 * PAGE)?;
        let registers = match node.register_sets() {
            0 => None,
            _ => Some(Registers::map(node, 0, Order::Strict)?),
        };
        if let Some(errno) = plan().attach {
            return Err(errno);
        }
        *lock(&MAPPINGS) = Some(attach.mappings());
        event(format!("attach {} answer {}", node.instance(), node.property("answer", -1)));
        Ok(Probe { memory, registers, mappings: attach.mappings(), lock: devmap::sync::Mutex::new(()) })
    }

    fn detach(&self, _: &mut Kernel) -> Result<(), Refusal> {
        plan().detach.map_or(Ok(()), |errno| Err(errno.into()))
    }

    fn suspend(&self, _: &mut Kernel) -> Result<(), Refusal> {
        event("suspend".into());
        plan().suspend.map_or(Ok(()), |why| Err(why.into()))
    }

    fn resume(&self, _: &mut Kernel) -> Result<(), Refusal> {
        event("resume".into());
        Ok(())
    }

    const QUIESCE: Quiesce<Probe> = Quiesce::By(|_, _| {
        event("quiesce".into());
        plan().quiesce.map_or(Ok(()), Err)
    });

    const POWER: Option<Power<Probe>> = Some(|_, _, change| {
        event(format!("power {} {}", change.component, change.level));
        if change.level == 2 { Err("no such level".into()) } else { Ok(()) }
    });

    fn open(&self, how: Open<'_>) -> Result<(), Errno> {
        event(format!("open {} {} {}", how.reads(), how.writes(), how.privileged()));
        Ok(())
    }

    fn close(&self, _: &(), _: &mut Kernel) {
        event("close".into());
    }

    fn read(&self, _: &(), uio: &mut Uio<'_>) -> Result<(), Errno> {
        uio.give_from_offset(b"hello, world").map(|_| ())
    }

    fn write(&self, _: &(), uio: &mut Uio<'_>) -> Result<(), Errno> {
        uio.take_into(&self.memory, 8).map(|_| ())
    }

    fn ioctl(&self, _: &(), command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        match command {
            1 => {
                let value: [u32; 2] = argument.copyin()?;
                argument.copyout(&[value[1], value[0]])?;
                Ok(7)
            }
            2 => argument.unsigned().map(|value| value as i32),
            3 => {
                let mut first = [0_u64; 2];
                self.memory.read_into(0, &mut first)?;
                argument.copyout(&first)?;
                Ok(0)
            }
            4 => {
                let what = lock(&IN_IOCTL).take().ok_or(Errno::ENOTTY)?;
                what(&argument);
                Ok(0)
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    fn devmap<'a>(&self, request: MapRequest<'a, Probe>) -> Result<Setup<'a, Probe>, Errno> {
        let plan = plan();
        let (offset, len) = (request.offset(), request.len());
        event(format!("devmap {offset:#x} {len:#x} {:?} {:?}", request.sharing(), request.protection()));
        let before = request.previous(|data| Some(data.tag.clone()));
        let data = Data::new(format!("m{offset:#x}"), || request.handle());
        if let Some(before) = before {
            event(format!("after {before}"));
        }
        if let Some(errno) = plan.devmap {
            return Err(errno);
        }
        let other = lock(&OTHER).clone();
        let (memory, start): (Memory, u64) = match &self.registers {
            _ if other.is_some() => (other.unwrap(), offset),
            Some(registers) if offset >= 8 * PAGE as u64 => (registers.into(), offset - 8 * PAGE as u64),
            _ => ((&self.memory).into(), offset),
        };
        let mut setup = match plan.parts {
            Some(pages) => request.map_part(memory, start, len.min(pages * PAGE)),
            None if plan.short > 0 => request.map_part(memory, start, len - plan.short * PAGE),
            None => request.map(memory, start),
        };
        if plan.without_access {
            setup = setup.without_access();
        }
        if let Some(max) = plan.max {
            setup = setup.max_protection(max);
        }
        let setup = setup.engine(plan.engine).with(data).inspect_err(|error| event(format!("{error}")))?;
        if plan.forget_setup {
            #[allow(clippy::forget_non_drop, reason = "whatever a setup is made of")]
            std::mem::forget(setup);
            return Err(Errno::ENOMEM);
        }
        Ok(setup)
    }
}

impl Mapping<Probe> for Data {
    fn access(&self, device: &Probe, fault: Fault<'_>) -> Result<Served, Errno> {
        let rw = match fault.access() {
            Access::Write => "w",
            Access::Read => "r",
            _ => "-",
        };
        event(format!("access {} {:#x} {rw}", self.tag, fault.offset()));
        let plan = plan();
        match plan.access {
            Behaviour::Load => fault.load(),
            Behaviour::LoadAll => fault.load_all(),
            Behaviour::RetryLater => fault.retry_later(Duration::from_millis(30)),
            Behaviour::Lower(max) => {
                fault.handle().lower(max)?;
                fault.load()
            }
            Behaviour::Fail(errno) => Err(errno),
            Behaviour::Panic => panic!("the driver's own mistake"),
            Behaviour::Switch => fault.switch_context(|context| {
                let _held = device.lock.lock();
                event(format!("switch to {}", self.tag));
                device.mappings.revoke_all()?;
                context.load()
            }),
            Behaviour::LoadOf => {
                let offset = fault.offset();
                let still = || !CHANGED.load(SeqCst);
                fault.load_of(&(&device.memory).into(), offset, still)?.map_err(|_| Errno::ENOENT)
            }
            Behaviour::SwitchFails => fault.switch_context(|_| Err(Errno::EBUSY)),
            Behaviour::Alone => fault.switch_context(|context| {
                let _held = device.lock.lock();
                context.load_alone(|| {
                    event(format!("switch to {}", self.tag));
                    plan.switch.map_or(Ok(()), Err)
                })
            }),
        }
    }

    fn dup(&self, _: &Probe, copy: Dup<'_>) -> Result<Data, Errno> {
        event(format!("dup {}", self.tag));
        assert!(self.handle.as_ref().is_none_or(|handle| copy.parent() == handle) && !copy.child().is_live());
        match plan().dup {
            Some(errno) => Err(errno),
            None => {
                let _ = plan().lower_child.inspect(|lower| copy.lower(*lower));
                Ok(Data::new(format!("{}'", self.tag), || copy.child()))
            }
        }
    }

    fn unmap(self, _: &Probe, cut: Cut<'_>) -> Remains<Data> {
        let range = format!("{:#x}+{:#x}", cut.offset(), cut.len());
        if plan().panic_in_unmap {
            panic!("the driver's own mistake");
        }
        match cut {
            Cut::Whole(cut) => {
                event(format!("unmap {} whole {range}", self.tag));
                cut.gone()
            }
            Cut::Head(cut) => {
                event(format!("unmap {} head {range}", self.tag));
                cut.keep(self)
            }
            Cut::Tail(cut) => {
                event(format!("unmap {} tail {range}", self.tag));
                cut.keep(self)
            }
            Cut::Middle(cut) => {
                event(format!("unmap {} middle {range}", self.tag));
                let rest = Data::new(format!("{}/", self.tag), || cut.rest());
                cut.split(self, rest)
            }
        }
    }
}

devmap::module! { device: Probe, name: "probe", description: "for tests" }
