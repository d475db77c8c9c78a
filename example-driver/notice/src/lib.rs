//! notice: a board of kernel memory that all processes see.
#![no_std]
#![deny(unsafe_code, missing_docs)]

use devmap::prelude::*;
use devmap::text::Text;

/// ioctl: takes all translations away, so that the next access to each page is a fault again.
pub const NOTICE_REVOKE: i32 = 0x6e01;

devmap::counters! {
    /// Counters of the instance; `kstat -m notice` shows it.
    pub struct Counts { maps, faults, forks }
}

/// An instance of the device.
pub struct Notice {
    board: Umem,
    counts: Counts,
    mappings: Mappings,
}

impl Device for Notice {
    type Mapping = View;
    type Open = ();

    fn attach(attach: &Attach<'_>) -> Result<Notice, Errno> {
        let pages = attach.node().unsigned_property("pages", 1)?;
        Ok(Notice {
            board: Umem::new(attach, Kind::Locked, pages as usize * 4096)?,
            counts: Counts::new(attach.node(), "notice")?,
            mappings: attach.mappings(),
        })
    }

    fn devmap<'a>(&self, request: MapRequest<'a, Notice>) -> Result<Setup<'a, Notice>, Errno> {
        if request.sharing() == Sharing::Private {
            return Err(Errno::ENOTSUP); // nobody has a notice board to himself
        }
        let setup = request.map(&self.board, request.offset()).with(View)?;
        self.counts.maps().add(1);
        Ok(setup)
    }

    fn read(&self, _: &(), uio: &mut Uio<'_>) -> Result<(), Errno> {
        let mut text = Text::<128>::new();
        for (name, value) in self.counts.iter() {
            text.push(name).push(" ").push_number(value).push("\n");
        }
        uio.give_from_offset(text.as_bytes()).map(|_| ())
    }

    fn write(&self, _: &(), uio: &mut Uio<'_>) -> Result<(), Errno> {
        uio.take_into(&self.board, 0).map(|_| ())
    }

    fn ioctl(&self, _: &(), command: i32, _: Argument<'_>) -> Result<i32, Errno> {
        match command {
            NOTICE_REVOKE => self.mappings.revoke_all()?,
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }
}

/// The private data of one mapping: none.
pub struct View;

impl Mapping<Notice> for View {
    fn access(&self, device: &Notice, fault: Fault<'_>) -> Result<Served, Errno> {
        device.counts.faults().add(1);
        fault.load()
    }

    fn dup(&self, device: &Notice, _: Dup<'_>) -> Result<View, Errno> {
        device.counts.forks().add(1);
        Ok(View)
    }

    fn unmap(self, _: &Notice, cut: Cut<'_>) -> Remains<View> {
        match cut {
            Cut::Whole(cut) => cut.gone(),
            Cut::Head(cut) => cut.keep(self),
            Cut::Tail(cut) => cut.keep(self),
            Cut::Middle(cut) => cut.split(self, View),
        }
    }
}

devmap::module! { device: Notice, name: "notice", description: "notice board 0.1" }
