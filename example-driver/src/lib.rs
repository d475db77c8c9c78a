//! ctxdev: a device with an engine that can hold one context at a time, shared by any number of processes.
//!
//! This is the driver to copy from; README.md walks through it. It has no `unsafe`: devmap sees to the rules.
//!
//! A process maps the device and finds four regions, one behind the other:
//!
//! | offset | length | region | memory |
//! | --- | --- | --- | --- |
//! | 0x0 | 0x1000 | REGS: the engine's registers | the device's |
//! | 0x1000 | 0x4000 | RING: its command ring | locked kernel memory |
//! | 0x5000 | 0xb000 | SCRATCH: one memory for everybody | pageable kernel memory |
//! | 0x10000 | as the device has | FB: the engine's frame buffer | the device's |
//!
//! The device's memory is register sets 0 and 1, or base address register 2 of a PCI device (its first page, and the rest; what is in the others is less than a page, which
//! cannot be mapped without what lies beside it). A pseudo node has none: kernel memory does. REGS, RING and FB are the engine's state: each MAP_PRIVATE mapping has a context of
//! its own, all MAP_SHARED mappings share one. The trick: only the context that is in the engine has translations. Who else touches the device faults, which moves the engine.
//!
//! Locks, in order: the `forks`, the `engine`, a context's `saved`; then devmap's.
#![no_std]
#![deny(unsafe_code, missing_docs)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use devmap::log::{self, Level};
use devmap::prelude::*;
use devmap::text::Text;
use devmap::{kmem, memory};

/// What a program sees: the regions, the ioctls and what they copy.
pub use ctxdev_user as user;

use user::{FB, FB_LEN, REGS, RING, SCRATCH};

// Also a kstat: `kstat -m ctxdev`. mappings and contexts: how many live; owner: the context in the engine, or 0.
devmap::counters! {
    /// What an instance has done.
    pub struct Stats { opens, maps, faults, switches, dups, unmaps, mappings, contexts, owner, revokes }
}

type Saved = (Box<[u64]>, Option<Permit>);

/// A context: the engine's state as one owner sees it, and the mappings that show it.
struct Context {
    id: u64,
    /// The mappings whose translations go when another context comes into the engine.
    mappings: MappingSet,
    /// REGS, RING and FB while it is not in the engine, and a private context's permit. Made with the context, so that saving cannot fail; there until its last mapping goes.
    saved: Mutex<Option<Saved>>,
    seats: AtomicU64,
    /// One MAP_PRIVATE mapping's and its pieces'; it ends with the last of them.
    private: bool,
    stats: Arc<Stats>,
}

impl Context {
    /// A context of zeros, with an image of `words` 64-bit words.
    fn new(id: u64, words: usize, permit: Option<Permit>, stats: &Arc<Stats>) -> Result<Arc<Context>, Errno> {
        let (private, image) = (permit.is_some(), kmem::try_words(words)?);
        let saved = Mutex::new(Some((image, permit)));
        let (mappings, seats, stats) = (MappingSet::new(), AtomicU64::new(0), Arc::clone(stats));
        Ok(Arc::new(Context { id, mappings, saved, seats, private, stats }))
    }
}

/// A mapping's place in its context. A private context ends with the last one.
struct Seat {
    context: Arc<Context>,
    _member: Member,
}

impl Seat {
    fn new(context: Arc<Context>, handle: &Handle) -> Seat {
        if context.seats.fetch_add(1, Ordering::Relaxed) == 0 {
            context.stats.contexts().add(1);
        }
        Seat { _member: context.mappings.insert(handle), context }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let context = &self.context;
        if context.seats.fetch_sub(1, Ordering::Relaxed) == 1 {
            context.stats.contexts().sub(1);
            if context.private {
                context.stats.owner().replace(context.id, 0);
                let saved = context.saved.lock().take();
                drop(saved); // not under the lock
            }
        }
    }
}

/// Our private data for one mapping. A mapping of SCRATCH has no seat in any context.
pub struct View {
    seat: Option<Seat>,
    /// The id of the child's context that the last fork copied this mapping into, or 0.
    copied_to: AtomicU64,
    stats: Arc<Stats>,
}

impl View {
    fn new(seat: Option<Seat>, stats: &Arc<Stats>) -> View {
        stats.mappings().add(1);
        View { seat, copied_to: AtomicU64::new(0), stats: Arc::clone(stats) }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.stats.mappings().sub(1);
    }
}

/// Who is in the engine. Its lock keeps loads and switches apart.
struct Engine {
    /// It may have ended: then nobody wants its state.
    owner: Option<Arc<Context>>,
    lost: bool,
}

impl Engine {
    fn holds(&self, context: &Context) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.id == context.id)
    }
}

/// The contexts of an instance.
struct Contexts {
    /// The context of all MAP_SHARED mappings.
    shared: Arc<Context>,
    next_id: AtomicU64,
    privates: Limit,
    /// The last fork of each context: its parent's id, and the child's context.
    forks: Mutex<Vec<(u64, Arc<Context>)>>,
}

impl Contexts {
    #[inline(never)]
    fn new(words: usize, most: u64, stats: &Arc<Stats>) -> Result<Box<Contexts>, Errno> {
        let shared = Context::new(1, words, None, stats)?;
        let (next_id, privates, forks) = (AtomicU64::new(2), Limit::new(most), Mutex::new(Vec::new()));
        Ok(Box::new(Contexts { shared, next_id, privates, forks }))
    }
}

/// An instance of the device.
// What attach(9E) returns lies on the stack first, and a kernel's stacks are small: so the larger parts are in boxes, made by functions of their own.
pub struct CtxDev {
    stats: Arc<Stats>,
    mappings: Mappings,
    regions: Box<Regions>,
    scratch: Umem,
    engine: Mutex<Engine>,
    contexts: Box<Contexts>,
    one_region: bool,
    /// The number in its minor node's name.
    unit: i32,
}

/// The parts of the device that can be mapped, by offset. All but SCRATCH belong to the engine's state, and so to one context at a time.
type Regions = [(u64, Memory); 4];

/// REGS, RING and FB: what a switch saves and restores.
fn state(regions: &Regions) -> impl Iterator<Item = &Memory> {
    regions.iter().filter(|(at, _)| *at != SCRATCH).map(|(_, memory)| memory)
}

/// All regions. REGS and FB are the device's own memory if the node has it, else kernel memory: then FB is of this length.
#[inline(never)]
fn regions(attach: &Attach<'_>, fb_len: u64, scratch: &Umem) -> Result<Box<Regions>, Errno> {
    let node = attach.node();
    const REGS_LEN: u64 = RING - REGS;
    let (regs, fb): (Memory, Memory) = if node.is_pci() {
        // Base address register 2 has the memory of QEMU's ivshmem. Register set 0 is configuration space, which no process may have.
        let memory = Registers::map(node, node.bar(2).ok_or(Errno::ENXIO)?, Order::Merging)?;
        let fb_len = memory.len().saturating_sub(REGS_LEN);
        (memory.part(0, REGS_LEN)?.into(), memory.part(REGS_LEN, fb_len)?.into())
    } else if node.register_sets() > 0 {
        (Registers::map(node, 0, Order::Strict)?.into(), Registers::map(node, 1, Order::Merging)?.into())
    } else {
        let new = |len| Umem::new(attach, Kind::Locked, len as usize);
        (new(REGS_LEN)?.into(), new(fb_len)?.into())
    };
    if regs.len() != REGS_LEN || fb.is_empty() || !fb.len().is_multiple_of(0x1000) {
        let what = c"ctxdev: the registers are not one page, or the frame buffer is not whole pages";
        log::line(Level::Warn, false, what);
        return Err(Errno::ENXIO);
    }
    let ring = Umem::new(attach, Kind::Locked, (SCRATCH - RING) as usize)?;
    Ok(Box::new([(REGS, regs), (RING, ring.into()), (SCRATCH, scratch.into()), (FB, fb)]))
}

impl Device for CtxDev {
    type Mapping = View;
    type Open = ();

    // Buses number their devices from 0, and driver.conf numbers pseudo nodes: no number may be used twice, but both want a device 0.
    fn minor(&self, node: &Node<'_>, _: u32) -> Option<MinorNode> {
        let (kind, unit) = (if node.is_pci() { "pci" } else { "" }, self.unit);
        let mut name = Text::new(); // by pieces: a module without `core::fmt` is smaller
        name.push("ctxdev").push(kind).push(if unit < 0 { "-" } else { "" });
        name.push_number(unit.unsigned_abs().into());
        Some(MinorNode::named(name))
    }

    // A device node has been found. An error leaves nothing behind: everything made so far is dropped.
    fn attach(attach: &Attach<'_>) -> Result<CtxDev, Errno> {
        let node = attach.node();
        let number = |name, default| node.unsigned_property(name, default);
        let stats = Arc::new(Stats::new(node, "ctxdev")?);
        let scratch = Umem::new(attach, Kind::Pageable, (FB - SCRATCH) as usize)?;
        let regions = regions(attach, number("fb-size", FB_LEN as u32)?, &scratch)?;
        let words = state(&regions).map(Memory::words).sum();
        let contexts = Contexts::new(words, number("max-contexts", 0)?, &stats)?;
        let mappings = attach.mappings();
        mappings.set_hysteresis(Duration::from_millis(number("hysteresis-ms", 0)?));
        Ok(CtxDev {
            stats,
            mappings,
            regions,
            scratch,
            engine: Mutex::new(Engine { owner: None, lost: false }),
            contexts,
            one_region: node.property("one-region", 0) != 0,
            unit: node.property("unit", node.instance()),
        })
    }

    fn open(&self, _: Open<'_>) -> Result<(), Errno> {
        self.stats.opens().add(1);
        Ok(())
    }

    // mmap(2). Everything that can fail is done here, before the mapping exists.
    fn devmap<'a>(&self, request: MapRequest<'a, CtxDev>) -> Result<Setup<'a, CtxDev>, Errno> {
        let (start, end) = (request.offset(), request.end());
        let (at, memory) = self.regions.iter().rfind(|(at, _)| *at <= start).ok_or(Errno::ENXIO)?;
        let region_end = at + memory.len();
        let device_end = FB + self.regions[3].1.len();
        if start >= region_end || end > if self.one_region { region_end } else { device_end } {
            return Err(Errno::ENXIO);
        }
        let seat = if *at == SCRATCH {
            None
        } else {
            let context = match request.sharing() {
                Sharing::Shared => Arc::clone(&self.contexts.shared),
                Sharing::Private => self.private_context(&request)?,
            };
            Some(Seat::new(context, request.handle()))
        };
        self.stats.maps().add(1);
        // Several handles in one mapping: README.md says what that may cost, and how `one-region` forbids it.
        let len = end.min(region_end) - start;
        let setup = request.map_part(memory, start - at, len as usize);
        Ok(setup.with(View::new(seat, &self.stats))?)
    }

    fn read(&self, _: &(), uio: &mut Uio<'_>) -> Result<(), Errno> {
        let mut line = Text::<384>::new();
        for (name, value) in self.stats.iter() {
            line.push(name).push(" ").push_number(value).push(" "); // what does not fit is cut
        }
        line.push("\n");
        uio.give_from_offset(line.as_bytes()).map(|_| ())
    }

    fn write(&self, _: &(), uio: &mut Uio<'_>) -> Result<(), Errno> {
        uio.take_into(&self.scratch, 0).map(|_| ())
    }

    fn ioctl(&self, _: &(), command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        match command {
            user::CTXDEV_STATS => argument.copyout(&user::Stats::new(self.stats.values()))?,
            user::CTXDEV_REVOKE => {
                self.stats.revokes().add(1);
                self.mappings.revoke_all()?;
            }
            user::CTXDEV_LOSE => {
                // Under the engine's lock, so that no fault slips through between the two.
                let mut engine = self.engine.lock();
                engine.lost = argument.int() != 0;
                self.mappings.revoke_all()?;
            }
            user::CTXDEV_SET_HYSTERESIS => {
                self.mappings.set_hysteresis(Duration::from_millis(argument.unsigned()?));
            }
            user::CTXDEV_SET_MAX_CONTEXTS => self.contexts.privates.set(argument.unsigned()?),
            user::CTXDEV_REGION => {
                let mut info: user::Region = argument.copyin()?;
                let (offset, memory) = self.regions.get(info.index as usize).ok_or(Errno::EINVAL)?;
                (info.pad, info.off, info.len) = (0, *offset, memory.len());
                argument.copyout(&info)?;
            }
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }
}

impl Mapping<CtxDev> for View {
    // A process touched a page that has no translation.
    fn access(&self, device: &CtxDev, fault: Fault<'_>) -> Result<Served, Errno> {
        device.stats.faults().add(1);
        let engine = device.engine.lock();
        if engine.lost {
            return Err(Errno::EIO); // the process gets SIGBUS
        }
        let context = match &self.seat {
            Some(seat) if !engine.holds(&seat.context) => &seat.context,
            // SCRATCH, or in the engine already: load while the lock keeps it there. Nothing to wait for.
            _ => return fault.load(),
        };
        // Not with the lock held: this may wait until the context in the engine has had its time.
        drop(engine);
        fault.switch_context(|held| {
            let mut engine = device.engine.lock();
            if engine.lost {
                return Err(Errno::EIO);
            }
            device.bring_in(&mut engine, context)?;
            held.load()
        })
    }

    // fork(2). An error makes fork fail in the process.
    fn dup(&self, device: &CtxDev, copy: Dup<'_>) -> Result<View, Errno> {
        let context = match &self.seat {
            Some(seat) if seat.context.private => Some(device.copy_context(&seat.context, self)?),
            shared_or_none => shared_or_none.as_ref().map(|seat| Arc::clone(&seat.context)),
        };
        let seat = context.map(|context| Seat::new(context, copy.child()));
        device.stats.dups().add(1);
        Ok(View::new(seat, &device.stats))
    }

    // munmap(2), exit(2). The compiler asks for the private data of exactly what is left.
    fn unmap(self, device: &CtxDev, cut: Cut<'_>) -> Remains<View> {
        device.stats.unmaps().add(1);
        match cut {
            Cut::Whole(cut) => cut.gone(), // `self` is dropped, and its seat with it
            Cut::Head(cut) => cut.keep(self),
            Cut::Tail(cut) => cut.keep(self),
            Cut::Middle(cut) => {
                let seat = self.seat.as_ref().map(|seat| Seat::new(Arc::clone(&seat.context), cut.rest()));
                let behind = View::new(seat, &device.stats);
                behind.copied_to.store(self.copied_to.load(Ordering::Relaxed), Ordering::Relaxed);
                cut.split(self, behind)
            }
        }
    }
}

impl CtxDev {
    /// The context of a MAP_PRIVATE mapping. An mmap over several regions asks once for each; they share the context of the first.
    #[inline(never)]
    fn private_context(&self, request: &MapRequest<'_, CtxDev>) -> Result<Arc<Context>, Errno> {
        let earlier = request.previous(|view| view.seat.as_ref().map(|seat| Arc::clone(&seat.context)));
        earlier.map_or_else(|| self.new_context(), Ok)
    }

    fn new_context(&self) -> Result<Arc<Context>, Errno> {
        let permit = self.contexts.privates.take().ok_or(Errno::EAGAIN)?;
        let id = self.contexts.next_id.fetch_add(1, Ordering::Relaxed);
        Context::new(id, state(&self.regions).map(Memory::words).sum(), Some(permit), &self.stats)
    }

    /// Moves the engine to `context`: the owner's translations go, its state is saved, the new one restored.
    fn bring_in(&self, engine: &mut Engine, context: &Arc<Context>) -> Result<(), Errno> {
        if engine.holds(context) {
            return Ok(()); // another thread was faster
        }
        if let Some(owner) = &engine.owner {
            owner.mappings.unload()?;
            if let Some((image, _)) = owner.saved.lock().as_mut() {
                memory::save(state(&self.regions), image)?;
            }
        }
        engine.owner = None; // until it is whole, the state is nobody's
        let saved = context.saved.lock();
        memory::restore(state(&self.regions), &saved.as_ref().ok_or(Errno::EIO)?.0)?;
        engine.owner = Some(Arc::clone(context));
        self.stats.owner().set(context.id);
        self.stats.switches().add(1);
        Ok(())
    }

    /// The child's context in a fork under way, which copies one mapping after the other: the first one of a context makes a copy of it; the others, which were not copied into
    /// that yet, join it.
    fn copy_context(&self, parent: &Context, view: &View) -> Result<Arc<Context>, Errno> {
        let mut forks = self.contexts.forks.lock();
        forks.retain(|(_, child)| child.saved.lock().is_some()); // it lives
        let copied_to = view.copied_to.load(Ordering::Relaxed);
        let child = match forks.iter().find(|(id, child)| *id == parent.id && child.id != copied_to) {
            Some((_, child)) => Arc::clone(child),
            None => {
                let child = self.copy_of(parent)?;
                forks.retain(|(id, _)| *id != parent.id);
                kmem::try_push(&mut forks, (parent.id, Arc::clone(&child)))?;
                child
            }
        };
        view.copied_to.store(child.id, Ordering::Relaxed);
        Ok(child)
    }

    fn copy_of(&self, parent: &Context) -> Result<Arc<Context>, Errno> {
        let child = self.new_context()?;
        let engine = self.engine.lock();
        let mut saved = parent.saved.lock();
        let (image, _) = saved.as_mut().ok_or(Errno::EIO)?;
        if engine.holds(parent) {
            parent.mappings.unload()?; // or other threads of the process write on, and the copy is torn
            memory::save(state(&self.regions), image)?;
        }
        if let Some((copy, _)) = child.saved.lock().as_mut() {
            copy.iter_mut().zip(image).for_each(|(to, from)| *to = *from);
        }
        drop(engine);
        Ok(child)
    }
}

devmap::module! { device: CtxDev, name: "ctxdev", description: "context-switching device 0.1" }
