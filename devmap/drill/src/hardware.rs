//! Drills on the device: registers, configuration space, interrupts of every kind, DMA.

use alloc::sync::Arc;
use core::time::Duration;

use devmap::access::{Attributes as Access, ByteOrder};
use devmap::context::MaySleep;
use devmap::dma::{Attributes, Binding, Buffer, BusMaster, Direction, Handle, Towards, Transfer};
use devmap::fm::{Capabilities, FaultManagement};
use devmap::interrupt::{
    Allocated, Claim, High, Interrupts, Kind as Signal, Low, SoftInterrupt, SoftPriority,
};
use devmap::kstat;
use devmap::pci::{BarKind, Bars, Command, Config, capability};
use devmap::prelude::*;
use devmap::time;

use crate::work::{Counted, Work};
use crate::{Drilled, Failed, check};

const STATUS: u64 = 0x10;
const DOORBELLS: [u64; 2] = [0x20, 0x24];
const COPY: u64 = 0x40;

/// Handlers below the scheduler's priority, or above.
enum Enabled {
    Low(Interrupts<Low>),
    High(Interrupts<High>),
}

impl Enabled {
    fn kind(&self) -> Signal {
        match self {
            Enabled::Low(interrupts) => interrupts.kind(),
            Enabled::High(interrupts) => interrupts.kind(),
        }
    }

    fn suspend(&self) {
        match self {
            Enabled::Low(interrupts) => interrupts.suspend(),
            Enabled::High(interrupts) => interrupts.suspend(),
        }
    }

    fn resume(&self) -> Result<(), devmap::Error> {
        match self {
            Enabled::Low(interrupts) => interrupts.resume(),
            Enabled::High(interrupts) => interrupts.resume(),
        }
    }

    fn mask(&self, index: usize) -> Result<(), devmap::Error> {
        match self {
            Enabled::Low(interrupts) => interrupts.mask(index),
            Enabled::High(interrupts) => interrupts.mask(index),
        }
    }

    fn unmask(&self, index: usize) -> Result<(), devmap::Error> {
        match self {
            Enabled::Low(interrupts) => interrupts.unmask(index),
            Enabled::High(interrupts) => interrupts.unmask(index),
        }
    }
}

/// Interrupts, registers and DMA, made in attach(9E).
pub struct Hardware {
    /// Go first.
    interrupts: Enabled,
    counted: Arc<[Counted; 2]>,
    kinds: usize,
    little: Registers,
    big: Registers,
    master: BusMaster,
    config: Config,
    bars: [(u8, BarKind, bool, u64); 3],
}

impl Hardware {
    /// With a node: interrupts by the kind that the property `interrupts-by` names, at the priority `priority`.
    pub fn new(attach: &Attach<'_>, _: &Work) -> Result<Hardware, Failed> {
        let node = attach.node();
        let fm =
            FaultManagement::new(attach, Capabilities::REPORTS | Capabilities::ACCESS | Capabilities::DMA);
        let set = node.bar(0).ok_or(Errno::ENXIO)?;
        let order = |order| Access::new(Order::Strict).byte_order(order).flag_errors(&fm);
        let (little, big) = (
            Registers::map(node, set, order(ByteOrder::Little))?,
            Registers::map(node, set, order(ByteOrder::Big))?,
        );
        let config = Config::new(node)?;
        config.enable(Command::MEMORY | Command::BUS_MASTER)?;
        let mut bars = [(0, BarKind::Io, false, 0); 3];
        for (place, bar) in bars.iter_mut().zip(Bars::of(node)?.iter()) {
            *place = (bar.number, bar.kind, bar.prefetch, bar.len);
        }
        let kind = match node.property("interrupts-by", 4) {
            1 => Signal::Fixed,
            2 => Signal::Msi,
            _ => Signal::MsiX,
        };
        let mut allocated = Allocated::new(node, kind, 2)?;
        let kinds = Allocated::kinds(node).count();
        check!(Allocated::best(node, 1).is_ok() || !allocated.is_empty());
        let (counts, registers) = (Arc::new(kstat::Counts::new(node, "interrupts")?), little.clone());
        let wanted = node.property("priority", 0);
        if wanted > 0 {
            allocated.set_priority(wanted as u32)?;
        }
        let (interrupts, counted) = match allocated.low() {
            Ok(mut vectors) => {
                let counted = Arc::new([Counted::new(vectors.priority()), Counted::new(vectors.priority())]);
                for index in 0..vectors.len() {
                    let (counted, counts, registers) =
                        (Arc::clone(&counted), Arc::clone(&counts), registers.clone());
                    vectors.handle(index, move |cx| {
                        let raised: u32 = registers.read(STATUS).unwrap_or(0);
                        let mine = if kind == Signal::Fixed { raised } else { raised & 1 << index };
                        if mine == 0 && kind == Signal::Fixed {
                            return Claim::NotOurs;
                        }
                        counts.hard();
                        let _ = registers.write(STATUS, mine);
                        for (number, counted) in counted.iter().enumerate() {
                            // Messages are always theirs, whatever the register says meanwhile.
                            if mine & 1 << number != 0 || kind != Signal::Fixed && number == index {
                                counted.count(cx);
                            }
                        }
                        Claim::Claimed
                    })?;
                }
                (Enabled::Low(vectors.enable()?), counted)
            }
            Err(_) => {
                let mut vectors = Allocated::new(node, kind, 2).and_then(|mut again| {
                    again.set_priority(wanted as u32)?;
                    again.high()
                })?;
                let soft = SoftPriority::new(5).ok_or(Errno::EINVAL)?;
                // Above the scheduler nothing is done but this.
                let raised = Arc::new(devmap::interrupt::Mutex::<_, High>::new(vectors.priority(), 0_u32));
                let counted = Arc::new([
                    Counted::new(devmap::interrupt::Priority::NONE),
                    Counted::new(devmap::interrupt::Priority::NONE),
                ]);
                let rest = Arc::clone(&counted);
                let taken = Arc::clone(&raised);
                let soft = Arc::new(SoftInterrupt::new(node, soft, move |cx| {
                    let bits = core::mem::take(&mut *taken.lock(cx));
                    for (number, counted) in rest.iter().enumerate() {
                        if bits & 1 << number != 0 {
                            counted.count(cx);
                        }
                    }
                })?);
                for index in 0..vectors.len() {
                    let (raised, soft, registers) =
                        (Arc::clone(&raised), Arc::clone(&soft), registers.clone());
                    vectors.handle(index, move |cx| {
                        let bits = match kind {
                            Signal::Fixed => registers.read(STATUS).unwrap_or(0),
                            _ => 1 << index,
                        };
                        if bits == 0 {
                            return Claim::NotOurs;
                        }
                        *raised.lock(cx) |= bits;
                        let _ = registers.write(STATUS, bits);
                        soft.trigger();
                        Claim::Claimed
                    })?;
                }
                (Enabled::High(vectors.enable()?), counted)
            }
        };
        let master = BusMaster::new::<crate::Drill>(attach);
        Ok(Hardware { interrupts, counted, kinds, little, big, master, config, bars })
    }

    /// quiesce(9E).
    pub fn stop(&self) -> Result<(), Errno> {
        Ok(self.config.disable(Command::BUS_MASTER)?)
    }

    /// Widths, byte orders, queues, careful accesses, and where a set ends.
    pub fn registers(&self) -> Drilled {
        let Hardware { little, big, .. } = self;
        check!(little.read::<u32>(0)? == 0x0102_0304 && big.read::<u32>(0)? == 0x0403_0201);
        check!(little.read::<u16>(0)? == 0x0304 && big.read::<u16>(0)? == 0x0403);
        check!(little.read::<u8>(3)? == 1 && big.read::<u8>(3)? == 1);
        little.write(0x100, 0x1122_3344_5566_7788_u64)?;
        check!(big.read::<u64>(0x100)? == 0x8877_6655_4433_2211);
        little.write_from(0x110, &[1_u16, 2, 3])?;
        let mut all = [0_u16; 3];
        little.read_into(0x110, &mut all)?;
        check!(all == [1, 2, 3]);
        little.write_queue(0x120, &[7_u32, 8, 9])?;
        let mut again = [0_u32; 2];
        little.read_queue(0x120, &mut again)?;
        check!(again == [9, 9]);
        little.poke(0x130, 0x0506_u16)?;
        check!(little.peek::<u16>(0x130)? == 0x0506 && big.peek::<u16>(0x130)? == 0x0605);
        let end = little.len();
        check!(end == 0x1000 && little.read::<u32>(end).is_err() && little.read::<u32>(end - 2).is_err());
        check!(little.read::<u32>(2).is_err() && little.read::<u64>(u64::MAX).is_err());
        let part = little.part(0x100, 8)?;
        check!(part.read::<u32>(4)? == 0x1122_3344 && part.read::<u32>(8).is_err() && !part.is_empty());
        check!(little.part(end, 1).is_err());
        Ok(())
    }

    /// Checks configuration space: ids, capabilities, base address registers.
    pub fn pci(&self) -> Drilled {
        let config = &self.config;
        check!(config.identity()? == (0x1de1, 0xd411));
        check!(config.command()?.contains(Command::BUS_MASTER | Command::MEMORY));
        let listed = |number| config.capabilities().any(|found| found.number() == number);
        check!(
            [capability::POWER, capability::MSI, capability::MSIX, capability::EXPRESS]
                .into_iter()
                .all(|c| listed(c.into()))
        );
        let Some(msix) = config.capability(capability::MSIX) else { return Err(Failed::Line(line!())) };
        check!(msix.read::<u16>(2)? & 0x7ff == 1 && msix.offset() >= 0x40);
        check!(config.capability(capability::VENDOR).is_none());
        check!(
            config.read::<u8>(0x08)? == 3
                && config.read::<u32>(0x1000).is_err()
                && config.read::<u16>(1).is_err()
        );
        check!(
            self.bars
                == [
                    (0, BarKind::Memory, false, 0x1000),
                    (2, BarKind::WideMemory, true, 0x4000),
                    (4, BarKind::Memory, false, 0x1000)
                ]
        );
        config.save()?;
        config.disable(Command::BUS_MASTER)?;
        config.restore()?;
        check!(config.command()?.contains(Command::BUS_MASTER));
        Ok(())
    }

    fn ring(&self, cx: &mut impl MaySleep, number: usize) -> Drilled {
        let (Some(counted), Some(doorbell)) = (self.counted.get(number), DOORBELLS.get(number)) else {
            return Err(Failed::Line(line!()));
        };
        let before = counted.now(cx);
        self.little.write(*doorbell, 1_u32)?;
        check!(counted.wait(cx, before, 1));
        Ok(())
    }

    /// Each doorbell comes to its handler, once; none while they are off.
    pub fn interrupts(&self, cx: &mut impl MaySleep) -> Drilled {
        check!(self.kinds == 3);
        for _ in 0..3 {
            self.ring(cx, 0)?;
            self.ring(cx, 1)?;
        }
        let before = self.counted[0].now(cx);
        self.interrupts.suspend();
        self.interrupts.resume()?;
        self.ring(cx, 0)?;
        check!(self.counted[0].now(cx) == before + 1);
        match (self.interrupts.kind(), self.interrupts.mask(0)) {
            (Signal::MsiX, masked) => {
                masked?;
                self.little.write(DOORBELLS[0], 1_u32)?;
                time::sleep(cx, Duration::from_millis(30));
                check!(self.counted[0].now(cx) == before + 1);
                self.interrupts.unmask(0)?;
                check!(self.counted[0].wait(cx, before, 2));
            }
            (_, Ok(())) => self.interrupts.unmask(0)?,
            (_, Err(error)) => check!(error.errno() == Errno::ENOTSUP),
        }
        check!(self.interrupts.mask(9).is_err());
        Ok(())
    }

    fn transfer(&self, cx: &mut impl MaySleep, from: u64, to: u64, len: u32) -> Drilled {
        let before = self.counted[1].now(cx);
        let words = [from as u32, (from >> 32) as u32, to as u32, (to >> 32) as u32, len, 1];
        for (offset, word) in (COPY..).step_by(4).zip(words) {
            self.little.write(offset, word)?;
        }
        check!(self.counted[1].wait(cx, before, 1));
        check!(self.little.read::<u32>(COPY + 24)? == 1);
        Ok(())
    }

    /// Memory of every kind, bound in every way, and moved by the device.
    pub fn dma(&self, cx: &mut impl MaySleep) -> Drilled {
        let attributes = Attributes::bits64().aligned(64).segments(64);
        let from: Binding<Buffer> = self.master.coherent(cx, &attributes, 8192)?;
        from.write_from(0, &[1_u64, 2, 3])?;
        let handle = Handle::try_new(cx, &self.master, &attributes)?;
        let buffer = Buffer::streaming(cx, &handle, 8192, Order::StoreCaching)?;
        let to = handle.try_bind(cx, buffer, Transfer::streaming(Direction::FromDevice).part(4096, 4096))?;
        check!(
            handle.bind(cx, Umem::new(cx, Kind::Locked, 4096)?, Transfer::coherent(Direction::Both)).is_err()
        );
        check!(to.bound_len() == 4096 && to.has(0, 4096) && !to.has(1, 4096) && to.piece(4096).is_err());
        from.sync(Towards::Device)?;
        self.transfer(cx, from.piece(0)?.address, to.piece(0)?.address, 24)?;
        to.sync_part(Towards::Cpu, 0, 24)?;
        to.check()?;
        let buffer = to.unbind();
        check!(buffer.read::<u64>(4096 + 16)? == 3);
        // More than the device takes at once.
        let narrow = Attributes::bits64().segments(1).segment_len(4096).transfer_len(4096);
        let windows = Handle::new(cx, &self.master, &narrow)?;
        let memory = Umem::new(cx, Kind::Locked, 3 * 4096)?;
        check!(windows.bind(cx, memory.clone(), Transfer::coherent(Direction::Both)).is_err());
        let mut bound = windows.bind(cx, memory, Transfer::coherent(Direction::Both).windows())?;
        check!(bound.windows() == 3);
        for window in 0..3 {
            bound.move_to(cx, window)?;
            let offset = u64::from(window) * 4096;
            check!(bound.window() == (offset, 4096) && bound.has(offset, 4096) && !bound.has(offset, 4097));
            let place = bound.piece(offset + 8)?.address;
            self.transfer(cx, from.piece(0)?.address, place, 24)?;
            check!(bound.read::<u64>(offset + 8 + 8)? == 2);
        }
        check!(bound.move_to(cx, 3).is_err());
        check!(self.master.shared(cx, &Attributes::bits32().first(0x1000), 4096).is_err());
        Ok(())
    }
}
