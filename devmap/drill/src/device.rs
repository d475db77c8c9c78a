//! [`Drill`]: the device, and which ioctl is which drill. No lock of its own.

use devmap::context::Kernel;
use devmap::life::Quiesce;
use devmap::open::{Admission, Exclusion};
use devmap::power::Power;
use devmap::prelude::*;
use devmap::{Protection, Refusal};

use crate::hardware::Hardware;
use crate::mappings::Shown;
use crate::people::Named;
use crate::reports::Reports;
use crate::work::Work;
use crate::{Failed, mappings, people, reports, work};

/// An instance.
pub struct Drill {
    pub(crate) hardware: Hardware,
    pub(crate) work: Work,
    pub(crate) reports: Reports,
    pub(crate) people: Named,
    pub(crate) shown: Shown,
    users: Exclusion,
}

/// An open: kept while it is there.
pub struct Client {
    _admission: Admission,
    pub(crate) waits_for_signals: Mutex<Option<devmap::caller::Process>>,
}

impl Device for Drill {
    type Mapping = ();
    type Open = Client;
    const QUIESCE: Quiesce<Drill> = Quiesce::By(|drill, _| drill.hardware.stop());
    const POWER: Option<Power<Drill>> = Some(|drill, _, change| drill.reports.power(change));

    fn attach(attach: &Attach<'_>) -> Result<Drill, Errno> {
        let run = || -> Result<Drill, Failed> {
            reports::properties(attach)?;
            let work = Work::new(attach)?;
            let hardware = Hardware::new(attach, &work)?;
            let shown = Shown::new(attach)?;
            let (reports, people) = (Reports::new(attach)?, Named::new()?);
            Ok(Drill { hardware, work, reports, people, shown, users: Exclusion::new() })
        };
        run().map_err(|failed| match failed {
            Failed::Errno(errno) => errno,
            Failed::Line(line) => {
                devmap::warn!("drill: attach: line {line}");
                Errno::EIO
            }
        })
    }

    fn minor(&self, node: &Node<'_>, _: u32) -> Option<MinorNode> {
        Some(
            MinorNode::new(format_args!("drill{}", node.instance()))
                .of_type(devmap::minor::NodeType::named(c"ddi_drill")),
        )
    }

    fn suspend(&self, _: &mut Kernel) -> Result<(), Refusal> {
        Err("a drill does not sleep".into())
    }

    fn open(&self, how: Open<'_>) -> Result<Client, Errno> {
        Ok(Client { _admission: self.users.admit(&how)?, waits_for_signals: Mutex::new(None) })
    }

    fn read(&self, _: &Client, uio: &mut Uio<'_>) -> Result<(), Errno> {
        people::read(self, uio)
    }

    fn write(&self, _: &Client, uio: &mut Uio<'_>) -> Result<(), Errno> {
        people::write(self, uio)
    }

    fn ioctl(&self, open: &Client, command: i32, mut argument: Argument<'_>) -> Result<i32, Errno> {
        let cx = &mut argument;
        let done = match command {
            1 => work::time(cx),
            2 => self.work.timeouts(cx),
            3 => self.work.tasks(cx),
            4 => work::threads(cx),
            5 => self.work.soft(cx),
            6 => work::locks(cx),
            10 => self.hardware.registers(),
            11 => self.hardware.pci(),
            12 => self.hardware.interrupts(cx),
            13 => self.hardware.dma(cx),
            20 => self.reports.kstats(cx),
            21 => self.reports.faults(cx),
            22 => self.reports.components(cx),
            30 => self.people.caller(cx),
            31 => people::copying(cx),
            32 => people::ask_for_signal(open, cx),
            33 => people::signal(open),
            40 => self.shown.lend(cx),
            41 => return Ok(self.shown.lost()),
            42 => self.shown.give_back(),
            43 => self.shown.together(cx.value()),
            _ => return Err(Errno::ENOTTY),
        };
        match done {
            Ok(()) => Ok(0),
            Err(Failed::Line(line)) => Ok(line as i32),
            Err(Failed::Errno(errno)) => Err(errno),
        }
    }

    fn devmap<'a>(&self, request: MapRequest<'a, Drill>) -> Result<Setup<'a, Drill>, Errno> {
        let setup = match request.offset() {
            mappings::LENT.. => request.map(self.shown.lent()?, request.offset() - mappings::LENT),
            mappings::READ_ONLY.. => request
                .map(&self.shown.memory, request.offset() - mappings::READ_ONLY)
                .max_protection(Protection::READ),
            offset => request.map(&self.shown.memory, offset),
        };
        Ok(setup.with(())?)
    }
}
