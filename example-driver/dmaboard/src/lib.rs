//! dmaboard: a PCI board that copies memory by DMA, and says by an interrupt that it is done.
//!
//! docs/dmaboard.md walks through it. What is here: DMA memory that processes map, a process's own pages as the source of a transfer, two message-signalled interrupts
//! and what they share with the rest of the driver, suspend and resume behind a gate, quiesce.
//!
//! Locks, in order: the `gate`'s, while somebody goes in or out; the `engine`, which the interrupts' handlers take, too; devmap's.
#![no_std]
#![deny(unsafe_code, missing_docs)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;

use devmap::access::{Attributes as Access, ByteOrder};
use devmap::context::Kernel;
use devmap::dma::{Attributes, Binding, BusMaster, Direction, Towards, Transfer};
use devmap::interrupt::{Allocated, Claim, Interrupts, Kind as Signal, Mutex as InterruptMutex};
use devmap::life::{Gate, Quiesce};
use devmap::pci::{Command, Config};
use devmap::pinned::Pins;
use devmap::prelude::*;
use devmap::sync::Condvar;
use devmap::{Protection, Refusal, kmem};

/// What a program sees: what is mapped, the ioctls and what they copy.
pub use dmaboard_user as user;
use user::{Fetch, Part};

// The registers of the copying engine, in base address register 0: addresses and length, go, and what came of it.
const FROM: u64 = 0x40;
const GO: u64 = 0x54;
const RESULT: u64 = 0x58;
const COPIED: u32 = 1;

devmap::counters! {
    /// What the board has done; `kstat -m dmaboard` shows it.
    pub struct Counts { copies, bytes, alarms }
}

/// What the board is doing.
#[derive(Clone, Copy, PartialEq)]
enum Engine {
    Idle,
    Busy,
    Done(u32),
    /// It does not come to an end: it may not do DMA any more.
    Lost,
}

/// What the handlers of the interrupts use, too.
struct Shared {
    registers: Registers,
    engine: InterruptMutex<Engine>,
    changed: Condvar,
    counts: Counts,
}

/// An instance of the device. The handlers of the interrupts go first.
pub struct Board {
    interrupts: Interrupts,
    shared: Arc<Shared>,
    gate: Gate,
    mappings: Mappings,
    window: Registers,
    /// What is in the window while the board is without power.
    saved: Mutex<Box<[u64]>>,
    pins: Pins,
    master: BusMaster,
    config: Config,
}

/// An open's own memory, bound for the board.
type Own = Binding<Umem>;

/// The board reaches all memory, in any number of pieces.
fn attributes() -> Attributes {
    Attributes::bits64().segments(u16::MAX.into())
}

impl Board {
    /// Has the board copy, piece by piece. `EINVAL` for what is not bound, `EIO` when the board fails, `EINTR`.
    fn copy<A>(&self, cx: &mut Argument<'_>, from: &Binding<A>, to: &Own, mut it: Part) -> Result<(), Errno> {
        if !from.has(it.from, it.len) || !to.has(it.to, it.len) {
            return Err(Errno::EINVAL);
        }
        let _pass = self.gate.enter(cx)?; // waits while the board is suspended
        from.sync(Towards::Device)?;
        while it.len > 0 {
            let (source, target) = (from.piece(it.from)?, to.piece(it.to)?);
            let count = it.len.min(source.len).min(target.len).min(1 << 20);
            self.copy_piece(cx, source.address, target.address, count as u32)?; // at most 1 MiB
            it = Part { from: it.from + count, to: it.to + count, len: it.len - count };
        }
        self.shared.counts.copies().add(1);
        Ok(to.sync(Towards::Cpu)?)
    }

    fn copy_piece(&self, cx: &mut Argument<'_>, from: u64, to: u64, len: u32) -> Result<(), Errno> {
        let Shared { registers, changed, .. } = &*self.shared;
        let mut engine = self.shared.engine.lock(cx);
        while *engine != Engine::Idle {
            if *engine == Engine::Lost {
                return Err(Errno::EIO);
            }
            engine.wait_sig(changed)?;
        }
        let halves = |address: u64| (address as u32, (address >> 32) as u32);
        let ((from, from_high), (to, to_high)) = (halves(from), halves(to));
        registers.write_from(FROM, &[from, from_high, to, to_high, len])?;
        *engine = Engine::Busy;
        registers.write(GO, 1_u32)?;
        // No signal ends this: the memory is the board's until it is done.
        while *engine == Engine::Busy {
            if engine.wait_for(changed, Duration::from_secs(2)).is_err() && *engine == Engine::Busy {
                *engine = Engine::Lost;
                self.config.disable(Command::BUS_MASTER)?;
            }
        }
        let done = *engine == Engine::Done(COPIED);
        if *engine != Engine::Lost {
            *engine = Engine::Idle;
        }
        changed.notify_all();
        self.shared.counts.bytes().add(len.into());
        if done { Ok(()) } else { Err(Errno::EIO) }
    }

    /// Pins the program's pages for as long as the board reads them.
    fn fetch(&self, cx: &mut Argument<'_>, to: &Own, what: &Fetch) -> Result<(), Errno> {
        let address = what.address.address() as u64;
        // If the program unmaps them meanwhile, its munmap(2) waits for the copy, which is not long.
        let pages = self.pins.lock(cx, address, what.len, Protection::READ, |_| ())?;
        let bound = self.master.bind(cx, &attributes(), pages, Transfer::streaming(Direction::ToDevice))?;
        self.copy(cx, &bound, to, Part { from: 0, to: what.to, len: what.len as u64 })
    }

    /// Stops the board, which nobody uses: all that it is in the middle of has come to its end.
    fn stop(&self) -> Result<(), Refusal> {
        self.mappings.revoke_all()?; // whoever touches the window comes to `access`
        self.window.read_into(0, &mut self.saved.lock())?;
        self.interrupts.suspend();
        self.config.save()?;
        Ok(self.config.disable(Command::BUS_MASTER)?)
    }
}

impl Device for Board {
    type Mapping = ();
    type Open = Own;
    // Before another kernel has the memory: no lock, nothing but the register.
    const QUIESCE: Quiesce<Board> = Quiesce::By(|board, _| Ok(board.config.disable(Command::BUS_MASTER)?));

    fn attach(attach: &Attach<'_>) -> Result<Board, Errno> {
        let node = attach.node();
        let config = Config::new(node)?;
        let bar = |number| node.bar(number).ok_or(Errno::ENXIO);
        let registers = Access::new(Order::Strict).byte_order(ByteOrder::Little);
        let registers = Registers::map(node, bar(0)?, registers)?;
        let window = Registers::map(node, bar(2)?, Order::Merging)?;
        let saved = Mutex::new(kmem::try_words(window.len() as usize / 8)?);
        let mut vectors = Allocated::new(node, Signal::MsiX, 2)?.low()?;
        let shared = Arc::new(Shared {
            registers,
            engine: InterruptMutex::new(vectors.priority(), Engine::Idle),
            changed: Condvar::new(),
            counts: Counts::new(node, "dmaboard")?,
        });
        let for_alarm = Arc::clone(&shared);
        vectors.handle(0, move |_| {
            for_alarm.counts.alarms().add(1);
            Claim::Claimed
        })?;
        let for_end = Arc::clone(&shared);
        vectors.handle(1, move |cx| {
            let mut engine = for_end.engine.lock(cx);
            if *engine == Engine::Busy {
                *engine = Engine::Done(for_end.registers.read(RESULT).unwrap_or(0));
                for_end.changed.notify_all();
            }
            Claim::Claimed
        })?;
        let (master, pins) = (BusMaster::new::<Board>(attach), Pins::new(attach)?);
        let (interrupts, mappings, gate) = (vectors.enable()?, attach.mappings(), Gate::new());
        let board = Board { interrupts, shared, gate, mappings, window, saved, pins, master, config };
        board.config.enable(Command::MEMORY | Command::BUS_MASTER)?;
        Ok(board)
    }

    fn suspend(&self, cx: &mut Kernel) -> Result<(), Refusal> {
        self.gate.close(cx); // and waits for the copies that are under way
        self.stop().inspect_err(|_| self.gate.open())
    }

    fn resume(&self, cx: &mut Kernel) -> Result<(), Refusal> {
        if *self.shared.engine.lock(cx) == Engine::Lost {
            return Err("the board may be writing still".into());
        }
        self.config.restore()?;
        self.window.write_from(0, &self.saved.lock())?;
        self.interrupts.resume()?;
        self.gate.open();
        Ok(())
    }

    // Each open has memory of its own, which the board reaches as long as the open is there.
    fn open(&self, how: Open<'_>) -> Result<Own, Errno> {
        Ok(self.master.shared(&how, &attributes(), user::MEMORY_LEN)?)
    }

    fn ioctl(&self, memory: &Own, command: i32, mut argument: Argument<'_>) -> Result<i32, Errno> {
        match command {
            user::DMABOARD_COPY => {
                let part: Part = argument.copyin()?;
                self.copy(&mut argument, memory, memory, part)?;
            }
            user::DMABOARD_FETCH => {
                let fetch: Fetch = argument.copyin()?;
                self.fetch(&mut argument, memory, &fetch)?;
            }
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }

    // Without power nobody is there who would answer.
    fn access(&self, fault: Fault<'_>) -> Result<Served, Errno> {
        match self.gate.try_enter() {
            Some(_pass) => fault.load(),
            None => fault.retry_later(Duration::from_millis(20)),
        }
    }

    fn devmap<'a>(&self, request: MapRequest<'a, Board>) -> Result<Setup<'a, Board>, Errno> {
        if request.sharing() == Sharing::Private {
            return Err(Errno::ENOTSUP); // what the program writes is for the board
        }
        Ok(match request.offset().checked_sub(user::WINDOW) {
            Some(offset) => request.map(&self.window, offset).with(())?,
            None => request.map(request.open(), request.offset()).with(())?,
        })
    }
}

devmap::module! { device: Board, name: "dmaboard", description: "copies by DMA 0.1" }
