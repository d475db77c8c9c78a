//! engines: two engines, each with places for a few contexts. Who needs a place takes that of the context that was used least recently.
//!
//! docs/engines.md walks through it. What is here: two minor nodes, each an engine with a context switch and a hysteresis of its own; mappings that move to other memory; memory
//! of a context while it has no place.
//!
//! Locks: an engine's `places`, over the moves of its contexts and the loads of their pages; then devmap's.
#![no_std]
#![deny(unsafe_code, missing_docs)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use devmap::kmem;
use devmap::prelude::*;

/// What a program sees: what is mapped, the ioctl and what it copies.
pub use engines_user as user;

/// The minor nodes, and the engines behind them.
const NAMES: [&str; 2] = ["compute", "copy"];

devmap::counters! {
    /// What an engine has done; `kstat -m engines` shows it.
    pub struct Counts { faults, switches, evictions }
}

/// What one mmap(2) has, its pieces and its children's copies.
struct Context {
    /// What shows it; they have translations only while it has a place.
    mappings: MappingSet,
    /// What is in it while it has none.
    image: Mutex<Box<[u64]>>,
}

/// The engine's memory for a context, and who has it.
struct Place {
    memory: Umem,
    owner: Option<Arc<Context>>,
    /// When the owner was seen using it last.
    used: u64,
}

impl Place {
    fn is_of(&self, context: &Arc<Context>) -> bool {
        self.owner.as_ref().is_some_and(|owner| Arc::ptr_eq(owner, context))
    }
}

struct Places {
    all: Vec<Place>,
    /// Counts the uses.
    now: u64,
}

impl Places {
    /// The place that a context has. Its owner is using it.
    fn find(&mut self, context: &Arc<Context>) -> Option<&Place> {
        self.now += 1;
        let place = self.all.iter_mut().find(|place| place.is_of(context))?;
        place.used = self.now;
        Some(place)
    }
}

/// An engine: everything of it is its own, also what a context waits for.
struct Engine {
    places: Mutex<Places>,
    counts: Counts,
}

impl Engine {
    fn new(attach: &Attach<'_>, name: &'static str, count: u64) -> Result<Engine, Errno> {
        let mut all = Vec::new();
        for _ in 0..count {
            // Where a real engine has memory of its own: a part of its registers.
            let memory = Umem::new(attach, Kind::Locked, user::LEN)?;
            kmem::try_push(&mut all, Place { memory, owner: None, used: 0 })?;
        }
        let counts = Counts::new(attach.node(), name)?;
        Ok(Engine { places: Mutex::new(Places { all, now: 0 }), counts })
    }

    /// Brings a context in, in the place of the one that was used least recently; an empty place was never used.
    fn bring_in(&self, places: &mut Places, context: &Arc<Context>) -> Result<(), Errno> {
        let place = places.all.iter_mut().min_by_key(|place| place.used).ok_or(Errno::ENXIO)?;
        if let Some(owner) = &place.owner {
            owner.mappings.unload()?; // from now on it faults
            place.memory.read_into(0, &mut owner.image.lock())?;
            self.counts.evictions().add(1);
        }
        place.memory.write_from(0, &context.image.lock())?;
        place.owner = Some(Arc::clone(context));
        self.counts.switches().add(1);
        // The others keep their places, but their next use is to be seen: that is how it is known who is used.
        for other in places.all.iter().filter(|place| !place.is_of(context)) {
            other.owner.as_ref().map_or(Ok(()), |owner| owner.mappings.unload())?;
        }
        Ok(())
    }

    /// A context has ended.
    fn leave(&self, context: &Arc<Context>) {
        let mut places = self.places.lock();
        if let Some(place) = places.all.iter_mut().find(|place| place.is_of(context)) {
            (place.owner, place.used) = (None, 0);
        }
    }
}

/// The private data of a mapping: its seat in a context, which ends with the last of them.
pub struct Seat {
    context: Arc<Context>,
    engine: Arc<Engine>,
    member: Option<Member>,
}

impl Seat {
    fn new(context: &Arc<Context>, engine: &Arc<Engine>, handle: &Handle) -> Seat {
        let member = Some(context.mappings.insert(handle));
        Seat { context: Arc::clone(context), engine: Arc::clone(engine), member }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.member = None;
        if self.context.mappings.is_empty() {
            self.engine.leave(&self.context);
        }
    }
}

/// An instance of the device.
pub struct Engines {
    engines: [Arc<Engine>; 2],
    places: u64,
}

impl Engines {
    fn engine(&self, minor: u32) -> Result<&Arc<Engine>, Errno> {
        self.engines.get(minor as usize).ok_or(Errno::ENXIO)
    }
}

impl Device for Engines {
    type Mapping = Seat;
    type Open = ();
    const MINORS: u32 = 2;
    const ENGINES: usize = 2;

    fn minor(&self, node: &Node<'_>, index: u32) -> Option<MinorNode> {
        let name = NAMES.get(index as usize)?;
        Some(MinorNode::new(format_args!("{name}{}", node.instance())))
    }

    fn attach(attach: &Attach<'_>) -> Result<Engines, Errno> {
        let node = attach.node();
        let places = node.unsigned_property("places", 2)?.max(1);
        // A number for each engine, or none.
        if let Ok(all) = node.properties().ints("hysteresis-ms") {
            for (engine, milliseconds) in all.iter().enumerate() {
                let time = Duration::from_millis(u64::try_from(*milliseconds).map_err(|_| Errno::EINVAL)?);
                attach.mappings().set_engine_hysteresis(engine, time);
            }
        }
        let [compute, copy] = NAMES.map(|name| Engine::new(attach, name, places).map(Arc::new));
        Ok(Engines { engines: [compute?, copy?], places })
    }

    fn ioctl(&self, _: &(), command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        if command != user::ENGINES_STATUS {
            return Err(Errno::ENOTTY);
        }
        let Engine { counts, .. } = &**self.engine(argument.minor())?;
        argument.copyout(&user::Status {
            faults: counts.faults().get(),
            switches: counts.switches().get(),
            evictions: counts.evictions().get(),
            places: self.places,
        })?;
        Ok(0)
    }

    // Each mmap(2) has a context of its own, of zeroes.
    fn devmap<'a>(&self, request: MapRequest<'a, Engines>) -> Result<Setup<'a, Engines>, Errno> {
        let minor = request.minor();
        let image = Mutex::new(kmem::try_words(user::LEN / 8)?);
        let context = Arc::new(Context { mappings: MappingSet::new(), image });
        let engine = self.engine(minor)?;
        let seat = Seat::new(&context, engine, request.handle());
        // Of any place: before the first access nothing is loaded, and then it is moved to its own.
        let memory =
            engine.places.lock().all.first().map(|place| place.memory.clone()).ok_or(Errno::ENXIO)?;
        Ok(request.map(memory, request.offset()).engine(minor as usize).with(seat)?)
    }
}

impl Mapping<Engines> for Seat {
    // All pages at once: a remap drops what was loaded before.
    fn access(&self, _: &Engines, fault: Fault<'_>) -> Result<Served, Errno> {
        let Seat { context, engine, .. } = self;
        engine.counts.faults().add(1);
        let mut places = engine.places.lock();
        if let Some(place) = places.find(context) {
            fault.handle().remap(&place.memory, fault.handle().offset())?;
            return fault.load_all();
        }
        drop(places);
        // Waits until whoever came into this engine last has had its time.
        fault.switch_context(|held| {
            let mut places = engine.places.lock();
            if places.find(context).is_none() {
                engine.bring_in(&mut places, context)?;
            }
            let place = places.find(context).ok_or(Errno::EIO)?;
            held.handle().remap(&place.memory, held.handle().offset())?;
            held.load_all()
        })
    }

    // The child shares the context.
    fn dup(&self, _: &Engines, copy: Dup<'_>) -> Result<Seat, Errno> {
        Ok(Seat::new(&self.context, &self.engine, copy.child()))
    }

    fn unmap(self, _: &Engines, cut: Cut<'_>) -> Remains<Seat> {
        match cut {
            Cut::Whole(cut) => cut.gone(),
            Cut::Head(cut) => cut.keep(self),
            Cut::Tail(cut) => cut.keep(self),
            Cut::Middle(cut) => {
                let behind = Seat::new(&self.context, &self.engine, cut.rest());
                cut.split(self, behind)
            }
        }
    }
}

devmap::module! { device: Engines, name: "engines", description: "two engines 0.1" }
