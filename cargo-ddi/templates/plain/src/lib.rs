//! newdrv: kernel memory that all processes see.
//!
//! Locks: none of its own.
#![no_std]
#![deny(unsafe_code, missing_docs)]

use devmap::prelude::*;

/// The interface for programs: ioctls, and the structures that they copy.
pub use newdrv_user as user;

devmap::counters! {
    /// Counters of the instance; `kstat -m newdrv` shows it.
    pub struct Counts { maps, faults }
}

/// An instance of the device. All entry points share it, in many threads at the same time.
pub struct NewdrvDev {
    memory: Umem,
    counts: Counts,
    mappings: Mappings,
}

impl Device for NewdrvDev {
    type Mapping = View;
    type Open = ();

    // attach(9E): a device node has been found. An error leaves nothing behind.
    fn attach(attach: &Attach<'_>) -> Result<NewdrvDev, Errno> {
        let pages = attach.node().unsigned_property("pages", 1)?;
        Ok(NewdrvDev {
            memory: Umem::new(attach, Kind::Locked, pages as usize * 4096)?,
            counts: Counts::new(attach.node(), "newdrv")?,
            mappings: attach.mappings(),
        })
    }

    // devmap(9E): a process calls mmap(2). What the memory does not cover is refused by `with`.
    fn devmap<'a>(&self, request: MapRequest<'a, NewdrvDev>) -> Result<Setup<'a, NewdrvDev>, Errno> {
        if request.sharing() == Sharing::Private {
            return Err(Errno::ENOTSUP); // it is one memory for all
        }
        let setup = request.map(&self.memory, request.offset()).with(View)?;
        self.counts.maps().add(1);
        Ok(setup)
    }

    fn ioctl(&self, _: &(), command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        match command {
            user::NEWDRV_STATUS => {
                let (maps, faults) = (self.counts.maps().get(), self.counts.faults().get());
                argument.copyout(&user::Status { maps, faults })?;
            }
            // The next access to each page is a fault again.
            user::NEWDRV_REVOKE => self.mappings.revoke_all()?,
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }
}

/// The private data of one mapping: none.
pub struct View;

impl Mapping<NewdrvDev> for View {
    // A process touched a page that has no translation.
    fn access(&self, device: &NewdrvDev, fault: Fault<'_>) -> Result<Served, Errno> {
        device.counts.faults().add(1);
        fault.load()
    }

    // fork(2).
    fn dup(&self, _: &NewdrvDev, _: Dup<'_>) -> Result<View, Errno> {
        Ok(View)
    }

    // munmap(2), exec(2), exit(2): what is left of the mapping needs private data, too.
    fn unmap(self, _: &NewdrvDev, cut: Cut<'_>) -> Remains<View> {
        match cut {
            Cut::Whole(cut) => cut.gone(),
            Cut::Head(cut) => cut.keep(self),
            Cut::Tail(cut) => cut.keep(self),
            Cut::Middle(cut) => cut.split(self, View),
        }
    }
}

devmap::module! { device: NewdrvDev, name: "newdrv", description: "newdrv 0.1" }
