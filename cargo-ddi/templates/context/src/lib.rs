//! newdrv: a device with an engine that holds one context at a time. Each mmap(2) has a context of its own, as if the device were its own.
//!
//! Only the context that is in the engine has translations. Another one's access is a fault, which moves the engine: the old context's translations go, its state is saved,
//! the new one's is restored.
//!
//! Locks, in order: the `engine`, a context's `saved`; then devmap's.
#![no_std]
#![deny(unsafe_code, missing_docs)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;

use devmap::kmem;
use devmap::prelude::*;

/// The interface for programs: lengths, the ioctl, and the structure that it copies.
pub use newdrv_user as user;

devmap::counters! {
    /// Counters of the instance; `kstat -m newdrv` shows it.
    pub struct Counts { maps, faults, switches }
}

/// State of one mmap(2), its pieces and its children's copies.
struct Context {
    /// The mappings that show it.
    mappings: MappingSet,
    /// The engine's state while it is not in the engine.
    saved: Mutex<Box<[u64]>>,
}

/// An instance of the device.
pub struct NewdrvDev {
    /// The engine's state. A real device has registers here: `Registers::map`.
    state: Umem,
    /// The context that is in the engine. The lock keeps loads and switches apart.
    engine: Mutex<Option<Arc<Context>>>,
    counts: Counts,
}

impl NewdrvDev {
    /// Moves the engine to `context`.
    fn bring_in(
        &self,
        engine: &mut Option<Arc<Context>>,
        context: &Arc<Context>,
    ) -> Result<(), Errno> {
        if let Some(owner) = engine.take() {
            owner.mappings.unload()?; // from now on it faults
            self.state.read_into(0, &mut owner.saved.lock())?;
        }
        self.state.write_from(0, &context.saved.lock())?;
        *engine = Some(Arc::clone(context));
        self.counts.switches().add(1);
        Ok(())
    }
}

fn holds(engine: &Option<Arc<Context>>, context: &Arc<Context>) -> bool {
    engine
        .as_ref()
        .is_some_and(|owner| Arc::ptr_eq(owner, context))
}

impl Device for NewdrvDev {
    type Mapping = Seat;
    type Open = ();

    // attach(9E): a device node has been found. An error leaves nothing behind.
    fn attach(attach: &Attach<'_>) -> Result<NewdrvDev, Errno> {
        let node = attach.node();
        let time = Duration::from_millis(node.unsigned_property("hysteresis-ms", 0)?);
        attach.mappings().set_hysteresis(time);
        Ok(NewdrvDev {
            state: Umem::new(attach, Kind::Locked, user::LEN)?,
            engine: Mutex::new(None),
            counts: Counts::new(node, "newdrv")?,
        })
    }

    // devmap(9E): a process calls mmap(2). Its context begins with zeros. What can fail, fails here.
    fn devmap<'a>(&self, request: MapRequest<'a, NewdrvDev>) -> Result<Setup<'a, NewdrvDev>, Errno> {
        let saved = Mutex::new(kmem::try_words(user::LEN / 8)?);
        let context = Arc::new(Context {
            mappings: MappingSet::new(),
            saved,
        });
        let seat = Seat::new(&context, request.handle());
        let setup = request.map(&self.state, request.offset()).with(seat)?;
        self.counts.maps().add(1);
        Ok(setup)
    }

    fn ioctl(&self, _: &(), command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        if command != user::NEWDRV_STATUS {
            return Err(Errno::ENOTTY);
        }
        let NewdrvDev { counts, .. } = self;
        argument.copyout(&user::Status {
            maps: counts.maps().get(),
            faults: counts.faults().get(),
            switches: counts.switches().get(),
        })?;
        Ok(0)
    }
}

/// The private data of one mapping: its seat in a context, which ends with the last of them.
pub struct Seat {
    context: Arc<Context>,
    _member: Member,
}

impl Seat {
    fn new(context: &Arc<Context>, handle: &Handle) -> Seat {
        Seat {
            _member: context.mappings.insert(handle),
            context: Arc::clone(context),
        }
    }
}

impl Mapping<NewdrvDev> for Seat {
    // A process touched a page that has no translation.
    fn access(&self, device: &NewdrvDev, fault: Fault<'_>) -> Result<Served, Errno> {
        device.counts.faults().add(1);
        let engine = device.engine.lock();
        if holds(&engine, &self.context) {
            return fault.load();
        }
        // Not with the lock held: this waits until the context in the engine has had its time.
        drop(engine);
        fault.switch_context(|held| {
            let mut engine = device.engine.lock();
            if !holds(&engine, &self.context) {
                device.bring_in(&mut engine, &self.context)?;
            }
            held.load()
        })
    }

    // fork(2): the child shares the context.
    fn dup(&self, _: &NewdrvDev, copy: Dup<'_>) -> Result<Seat, Errno> {
        Ok(Seat::new(&self.context, copy.child()))
    }

    // munmap(2), exec(2), exit(2): what is left of the mapping needs a seat, too.
    fn unmap(self, _: &NewdrvDev, cut: Cut<'_>) -> Remains<Seat> {
        match cut {
            Cut::Whole(cut) => cut.gone(),
            Cut::Head(cut) => cut.keep(self),
            Cut::Tail(cut) => cut.keep(self),
            Cut::Middle(cut) => {
                let behind = Seat::new(&self.context, cut.rest());
                cut.split(self, behind)
            }
        }
    }
}

devmap::module! { device: NewdrvDev, name: "newdrv", description: "newdrv 0.1" }
