//! newdrv: a ring of events for every open, which its process maps, waits for by poll(2), and empties without a system call.
//!
//! Beside mappings it has private data for each open, memory shared with a process by acquire and release, a periodic routine, wakeups.
//!
//! Locks: the list of `rings`. It is held while the producer wakes pollers, which is allowed because `poll` does not take it.
#![no_std]
#![deny(unsafe_code, missing_docs)]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicU64};
use core::time::Duration;

use devmap::context::MayBlock;
use devmap::periodic::Periodic;
use devmap::prelude::*;
use devmap::{kmem, time};

/// The interface for programs: layout of a ring, ioctls, and the structures that they copy.
pub use newdrv_user as user;

devmap::counters! {
    /// Counters of all opens; `kstat -m newdrv` shows it.
    pub struct Counts { opens, events, lost }
}

/// The ring of one open.
struct Ring {
    memory: Umem,
    pollers: PollHead,
    /// The counter. The process sees a copy of it at `HEAD`, and can overwrite the copy.
    head: AtomicU32,
    /// Ticks that the producer has had for it, events, and events that were lost.
    ticks: AtomicU64,
    events: AtomicU64,
    lost: AtomicU64,
    every: AtomicU64,
}

impl Ring {
    fn new(how: &Open<'_>) -> Result<Ring, Errno> {
        Ok(Ring {
            memory: Umem::new(how, Kind::Locked, user::LEN)?,
            pollers: PollHead::new(),
            head: AtomicU32::new(0),
            ticks: AtomicU64::new(0),
            events: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            every: AtomicU64::new(1),
        })
    }

    /// Returns the number of events that wait for the process. It may have written anything at `TAIL`: then the number is too large, and the ring is full until it writes sense.
    fn waiting(&self) -> Result<u32, Errno> {
        let tail = self.memory.atomic::<AtomicU32>(user::TAIL)?.load(Acquire);
        Ok(self.head.load(Relaxed).wrapping_sub(tail))
    }

    /// Puts an event in, if it is this ring's turn; says whether it was, and whether there was room. By the producer only.
    fn put(&self, cx: &impl MayBlock) -> Result<Option<bool>, Errno> {
        let tick = self.ticks.fetch_add(1, Relaxed);
        if tick.checked_rem(self.every.load(Relaxed)) != Some(0) {
            return Ok(None);
        }
        let number = self.events.fetch_add(1, Relaxed);
        if self.waiting()? >= user::EVENTS {
            self.lost.fetch_add(1, Relaxed);
            return Ok(Some(false));
        }
        let head = self.head.load(Relaxed);
        let event = user::Event {
            number,
            time: time::now().as_nanos() as u64,
        };
        self.memory.write_plain(user::place(head), &event)?;
        // Whoever sees the new head sees the event, too.
        self.head.store(head.wrapping_add(1), Relaxed);
        self.memory
            .atomic::<AtomicU32>(user::HEAD)?
            .store(head.wrapping_add(1), Release);
        self.pollers.wake(cx, Events::READABLE);
        Ok(Some(true))
    }
}

/// State shared by the opens and the producer.
struct Shared {
    rings: Mutex<Vec<Arc<Ring>>>,
    counts: Counts,
}

impl Shared {
    /// The producer, each time that it runs: an event for everybody.
    fn produce(&self, cx: &impl MayBlock) {
        for ring in self.rings.lock().iter() {
            match ring.put(cx) {
                Ok(Some(true)) => self.counts.events().add(1),
                Ok(Some(false)) => self.counts.lost().add(1),
                Ok(None) | Err(_) => {} // not its turn; a place outside of the ring there is none
            }
        }
    }
}

/// The private data of an open: its ring, which the producer forgets when the open is closed.
pub struct Client {
    ring: Arc<Ring>,
    shared: Arc<Shared>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared
            .rings
            .lock()
            .retain(|ring| !Arc::ptr_eq(ring, &self.ring));
    }
}

/// An instance of the device.
pub struct NewdrvDev {
    /// Dropped, and so ended, before what it works on.
    _producer: Periodic,
    shared: Arc<Shared>,
}

impl Device for NewdrvDev {
    type Mapping = ();
    type Open = Client;

    fn attach(attach: &Attach<'_>) -> Result<NewdrvDev, Errno> {
        let interval = attach.node().unsigned_property("interval-ms", 10)?;
        let counts = Counts::new(attach.node(), "newdrv")?;
        let shared = Arc::new(Shared {
            rings: Mutex::new(Vec::new()),
            counts,
        });
        let for_producer = Arc::clone(&shared);
        let producer = Periodic::new(Duration::from_millis(interval), move |cx| {
            for_producer.produce(cx)
        })?;
        Ok(NewdrvDev {
            _producer: producer,
            shared,
        })
    }

    // Each open gets a ring, and a minor number by which the kernel tells it from the others.
    fn open(&self, how: Open<'_>) -> Result<Client, Errno> {
        let ring = Arc::new(Ring::new(&how)?);
        kmem::try_push(&mut self.shared.rings.lock(), Arc::clone(&ring))?;
        self.shared.counts.opens().add(1);
        Ok(Client {
            ring,
            shared: Arc::clone(&self.shared),
        })
    }

    fn poll(&self, open: &Client, poll: Poll<'_>) -> Result<Polled, Errno> {
        let ready = if open.ring.waiting()? == 0 {
            Events::empty()
        } else {
            Events::READABLE
        };
        Ok(poll.answer(&open.ring.pollers, ready))
    }

    fn ioctl(&self, open: &Client, command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        let ring = &open.ring;
        match command {
            user::NEWDRV_STATUS => {
                let (events, lost) = (ring.events.load(Relaxed), ring.lost.load(Relaxed));
                argument.copyout(&user::Status { events, lost })?;
            }
            user::NEWDRV_EVERY => match argument.unsigned()? {
                0 => return Err(Errno::EINVAL),
                every => ring.every.store(every, Relaxed),
            },
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }

    // The ring of the open by which the process maps it: nobody sees another's.
    fn devmap<'a>(&self, request: MapRequest<'a, NewdrvDev>) -> Result<Setup<'a, NewdrvDev>, Errno> {
        if request.sharing() == Sharing::Private {
            return Err(Errno::ENOTSUP); // what the process counts, the driver has to see
        }
        Ok(request
            .map(&request.open().ring.memory, request.offset())
            .with(())?)
    }
}

devmap::module! { device: NewdrvDev, name: "newdrv", description: "newdrv 0.1" }
