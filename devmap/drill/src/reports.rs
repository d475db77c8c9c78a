//! Drills on what the driver reports: properties, statistics, faults, the device id, power.

use core::sync::atomic::{AtomicI32, Ordering::SeqCst};
use core::time::Duration;

use devmap::context::MaySleep;
use devmap::devid::{DeviceId, Kind};
use devmap::fm::{Capabilities, FaultManagement, Impact};
use devmap::interrupt::Priority;
use devmap::kstat::{Io, Label, Line, Named, Raw, Timers};
use devmap::power::{Change, Component, Components};
use devmap::prelude::*;
use devmap::{Refusal, time};

use crate::{Drilled, Failed, check};

devmap::named! {
    /// Values of each type.
    pub struct Health { pub reads: u32, pub below: i32, pub copied: u64, pub under: i64, pub state: Label, pub told: Line<32> }
}

devmap::plain! {
    /// Contents of the raw kstat.
    #[derive(Default)]
    pub struct Whole { pub first: u64, pub second: u64 }
}

/// The kstats and the fault management, made in attach(9E).
pub struct Reports {
    io: Io,
    timers: Timers,
    raw: Raw<Whole>,
    health: Named<Health>,
    fm: FaultManagement,
    _id: DeviceId,
    components: Components,
    level: AtomicI32,
}

/// Properties of every type are set, looked up and removed.
pub fn properties(attach: &Attach<'_>) -> Drilled {
    let own = attach.node().properties();
    own.set_int("drill-int", 7)?;
    own.set_int64("drill-int64", i64::MIN)?;
    own.set_ints("drill-ints", &[1, -2, 3])?;
    own.set_int64s("drill-int64s", &[4, -5])?;
    own.set_bytes("drill-bytes", &[6, 7, 8, 9])?;
    own.set_text("drill-text", c"hello")?;
    own.set_texts("drill-texts", &[c"a", c"", c"bc"])?;
    check!(own.int("drill-int", 0) == 7 && own.int64("drill-int64", 0) == i64::MIN);
    check!(*own.ints("drill-ints")? == [1, -2, 3] && *own.int64s("drill-int64s")? == [4, -5]);
    check!(*own.bytes("drill-bytes")? == [6, 7, 8, 9] && &*own.text("drill-text")? == c"hello");
    check!(own.texts("drill-texts")?.iter().eq([c"a", c"", c"bc"]));
    check!(own.has("drill-text") && own.int("drill-none", -1) == -1);
    own.remove("drill-int")?;
    check!(!own.has("drill-int") && own.remove("drill-int").is_err());
    check!(own.ints("drill-text").is_err());
    check!(own.with_parents().has("drill-ints"));
    Ok(())
}

impl Reports {
    /// With a node.
    pub fn new(attach: &Attach<'_>) -> Result<Reports, Failed> {
        let node = attach.node();
        let id = DeviceId::register(node, Kind::Serial(b"drill-1"))?;
        check!(id.with_text(|text| text.to_bytes().len() > 7) == Some(true));
        let first = Health {
            reads: 0,
            below: -1,
            copied: 0,
            under: i64::MIN,
            state: Label::new("idle"),
            told: Line::new("nothing"),
        };
        let health = Named::updated(node, "health", Priority::NONE, first, |health| {
            health.reads += 1;
            Ok(())
        })?;
        let engine = Component { name: "engine", levels: &[(0, "off"), (2, "on")] };
        let components = Components::new(attach, &[engine])?;
        components.has_changed(0, 0)?;
        Ok(Reports {
            io: Io::new(node, "io", Priority::NONE)?,
            timers: Timers::new(node, "timers", Priority::NONE, &["short", "long"])?,
            raw: Raw::new(node, "raw", Priority::NONE, Whole { first: 1, second: 2 })?,
            health,
            fm: FaultManagement::new(attach, Capabilities::REPORTS),
            _id: id,
            components,
            level: AtomicI32::new(0),
        })
    }

    /// Every kind of statistics is kept; the test looks at them.
    pub fn kstats(&self, cx: &mut impl MaySleep) -> Drilled {
        let waiting = self.io.lock(cx).wait();
        time::sleep(cx, Duration::from_millis(10));
        let mut io = self.io.lock(cx);
        let running = io.run_waiting(waiting);
        io.read(512);
        io.done(running);
        let given_up = io.wait();
        io.give_up(given_up);
        let running = io.run();
        let waiting = io.wait_again(running);
        let running = io.run_waiting(waiting);
        io.write(1024);
        io.done(running);
        drop(io);
        self.timers.start(cx, 1)?;
        time::sleep(cx, Duration::from_millis(10));
        self.timers.stop(cx, 1)?;
        check!(self.timers.start(cx, 2).is_err());
        self.raw.lock(cx).second += 40;
        check!(self.raw.lock(cx).first == 1);
        let mut health = self.health.lock(cx);
        health.copied += 99;
        health.state.set("busy");
        health.told.set("all is well");
        Ok(())
    }

    /// An error report, and what it means.
    pub fn faults(&self, cx: &mut impl MaySleep) -> Drilled {
        self.fm.report(cx, "device.drill", &[(c"register", 16_u64.into()), (c"said", c"nothing".into())])?;
        check!(self.fm.report(cx, "", &[]).is_err());
        check!(self.fm.report(cx, "device.drill", &[(c"n", 1_u64.into()); 7]).is_err());
        self.fm.impact(cx, Impact::Degraded);
        self.fm.impact(cx, Impact::Restored);
        Ok(())
    }

    /// power(9E).
    pub fn power(&self, change: Change) -> Result<(), Refusal> {
        if change.component != 0 {
            return Err("no such component".into());
        }
        self.level.store(change.level, SeqCst);
        Ok(())
    }

    /// The component is raised by power(9E), and not lowered while it is busy.
    pub fn components(&self, cx: &mut impl MaySleep) -> Drilled {
        let busy = self.components.busy(0)?;
        self.components.raise(cx, 0, 2)?;
        check!(self.level.load(SeqCst) == 2);
        drop(busy);
        check!(self.components.busy(5).is_err());
        Ok(())
    }
}
