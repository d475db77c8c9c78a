//! kiomap: a hundred pages filled with 0xff, which any number of processes map; and memory that one process lends to others. With kiobufs.
//!
//! docs/porting.md puts it beside its original. Locks: `lent`, for a few instructions.
#![no_std]
#![deny(unsafe_code, missing_docs)]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec::Vec;

use devmap::kmem::try_push;
use devmap::pinned::Pins;
use devmap::prelude::*;
use devmap::request::Protection;
use ports::kiobuf::{Kiobuf, Kvmap};
use ports::page::vmalloc_to_page;
use ports_user::{self as user, Status};

devmap::counters! {
    /// Counters; `kstat -m kiomap` shows them.
    pub struct Counts { mmaps, unmapped }
}

/// An instance of the device.
pub struct Kiomap {
    memory: Umem,
    filled: Kiobuf,
    holes: Kiobuf,
    /// Only where pages can be had so.
    scattered: Option<Kiobuf>,
    lent: Mutex<Option<Kiobuf>>,
    pins: Pins,
    counts: Arc<Counts>,
}

impl Kiomap {
    fn buffer(&self, start: u64) -> Option<Kiobuf> {
        match start {
            user::KIOMAP_FILLED => Some(self.filled.clone()),
            user::KIOMAP_HOLES => Some(self.holes.clone()),
            user::KIOMAP_SCATTERED => self.scattered.clone(),
            user::KIOMAP_LENT => self.lent.lock().clone(),
            _ => None,
        }
    }

    /// Every mapping of any buffer.
    fn mappings(&self) -> u64 {
        let lent = self.lent.lock().as_ref().map_or(0, Kiobuf::mappings);
        let scattered = self.scattered.as_ref().map_or(0, Kiobuf::mappings);
        (self.filled.mappings() + self.holes.mappings() + scattered + lent) as u64
    }
}

impl Device for Kiomap {
    type Mapping = Kvmap;
    type Open = ();

    fn attach(attach: &Attach<'_>) -> Result<Kiomap, Errno> {
        let counts = Arc::new(Counts::new(attach.node(), "kiomap")?);
        let last = || {
            let counts = Arc::clone(&counts);
            move || counts.unmapped().add(1)
        };
        // A little more than the buffer, so that a mapping can go beyond it.
        let memory = Umem::new(attach, Kind::Locked, (user::KIOMAP_PAGES as usize + 4) * 4096)?;
        let mut pages = Vec::new();
        for page in 0..user::KIOMAP_PAGES {
            try_push(&mut pages, Some(vmalloc_to_page(&memory, page * 4096)?))?;
            for at in (page * 4096..(page + 1) * 4096).step_by(8) {
                memory.write(at, u64::MAX)?;
            }
        }
        let apart = Umem::new(attach, Kind::Locked, 8 * 4096)?;
        let mut some = [const { None }; 8];
        for (index, place) in
            some.iter_mut().enumerate().filter(|(index, _)| *index != user::REFUSED as usize)
        {
            *place = Some(vmalloc_to_page(&apart, index as u64 * 4096)?);
        }
        let mut mixed = [const { None }; 8];
        for (index, place) in mixed.iter_mut().enumerate() {
            let memory = if index % 2 == 0 { &memory } else { &apart };
            *place = Some(vmalloc_to_page(memory, index as u64 * 4096)?);
        }
        let scattered = match Kiobuf::of_pages(&mixed, last()) {
            Err(Errno::ENOTSUP) => None,
            scattered => Some(scattered?),
        };
        Ok(Kiomap {
            scattered,
            filled: Kiobuf::of_pages(&pages, last())?,
            holes: Kiobuf::of_pages(&some, last())?,
            lent: Mutex::new(None),
            pins: Pins::new(attach)?,
            memory,
            counts,
        })
    }

    fn devmap<'a>(&self, request: MapRequest<'a, Kiomap>) -> Result<Setup<'a, Kiomap>, Errno> {
        let from = request.offset() % user::KIOMAP_STEP;
        let buffer = self.buffer(request.offset() - from).ok_or(Errno::ENXIO)?;
        let setup = buffer.map(request, from)?;
        self.counts.mmaps().add(1);
        Ok(setup)
    }

    fn ioctl(&self, _: &(), command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        match command {
            user::PORTS_STATUS => argument.copyout(&Status {
                kind: user::KIOBUF,
                mappings: self.mappings(),
                mmaps: self.counts.mmaps().get(),
                freed: self.counts.unmapped().get(),
                each_page: devmap::each_page::available().into(),
                ..Status::default()
            })?,
            user::KIOMAP_LEND => {
                let span: user::Span = argument.copyin()?;
                let (access, counts) = (Protection::READ | Protection::WRITE, Arc::clone(&self.counts));
                let len = usize::try_from(span.len).map_err(|_| Errno::EINVAL)?;
                let last = move || counts.unmapped().add(1);
                let lent = Kiobuf::of_user(&self.pins, &argument, (span.start, len), access, last)?;
                let before = self.lent.lock().replace(lent);
                drop(before); // not under the lock
            }
            // Says whether somebody else would have had to wait.
            user::KIOMAP_FILL => {
                let byte = u8::try_from(argument.value()).map_err(|_| Errno::EINVAL)?;
                let locked = self.filled.lock(&argument);
                let exclusive = self.filled.try_lock().is_err();
                for at in (0..self.filled.len()).step_by(8) {
                    self.memory.write(at, u64::from_ne_bytes([byte; 8]))?;
                }
                drop(locked);
                return Ok(i32::from(exclusive && self.filled.try_lock().is_ok()));
            }
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }
}

devmap::module! { device: Kiomap, name: "kiomap", description: "buffers for everybody 0.1" }
