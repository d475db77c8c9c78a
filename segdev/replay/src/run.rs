//! Runs one scenario and compares what happens with what was recorded.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use segdev::sim::script::{
    Behaviour, CallbackSet, EntryPoint, Event, Fail, Region, RegionKind, Registers, ScriptDevice,
    fault_numbers, fault_words,
};
use segdev::sim::{Sim, SimUmem, StdLocks};
use segdev::space::AddressSpace;
use segdev::{
    DevmemSetup, Errno, Framework, Handle, MapFlags, MapRequest, Prot, Rw, SetupFlags, UmemKind, UmemSetup,
    page_floor,
};
use serde_json::{Value, json};

use crate::scenario::{Expect, FailAt, Kind, Op, Scenario};

/// The first thing that was not as recorded.
#[derive(Debug)]
pub struct Mismatch {
    /// The operation, from 0; `None` for what must hold at the end.
    pub op: Option<usize>,
    /// The operation itself.
    pub what: String,
    /// Name of the field that differs.
    pub field: &'static str,
    /// The recorded value.
    pub expected: String,
    /// The value of this run.
    pub got: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.op {
            Some(op) => writeln!(f, "op {op}: {}", self.what)?,
            None => writeln!(f, "at the end")?,
        }
        writeln!(f, "    {} expected: {}", self.field, self.expected)?;
        write!(f, "    {} got:      {}", self.field, self.got)
    }
}

type Fw = Framework<Sim>;

/// Answer of an operation.
#[derive(Default)]
struct Answer {
    ret: i64,
    addr: Option<u64>,
    val: Option<Value>,
}

impl From<i32> for Answer {
    fn from(ret: i32) -> Self {
        Self { ret: ret.into(), ..Self::default() }
    }
}

impl From<Result<(), Errno>> for Answer {
    fn from(result: Result<(), Errno>) -> Self {
        result.map_or_else(|e| e.0, |()| 0).into()
    }
}

fn query<T>(result: Result<T, Errno>, val: impl FnOnce(T) -> Value) -> Answer {
    match result {
        Ok(value) => Answer { val: Some(val(value)), ..Answer::default() },
        Err(e) => e.0.into(),
    }
}

struct Runner<'a> {
    fw: Fw,
    scenario: &'a Scenario,
    cookies: BTreeMap<&'a str, SimUmem>,
    devices: Vec<Arc<ScriptDevice<StdLocks>>>,
    spaces: BTreeMap<u32, AddressSpace<Sim>>,
}

/// Result of a scenario that was run to its end.
#[derive(Default)]
pub struct Ran {
    /// Operations that were run.
    pub ops: usize,
    /// Operations of a scenario without observations that name a handle that does not live: the driver has nothing to call with.
    pub skipped: usize,
}

/// Runs a scenario. `at` is the operation that is being run, for whoever watches.
///
/// One thread runs it, so nothing could end a wait: an operation that waits is a mismatch.
///
/// # Errors
/// A scenario that makes no sense (an unknown name), told in words.
pub fn run(scenario: &Scenario, at: &AtomicUsize) -> Result<Result<Ran, Mismatch>, String> {
    if let Some(expect) = &scenario.expect
        && expect.len() != scenario.ops.len()
    {
        return Err(format!("{} operations but {} entries of expect", scenario.ops.len(), expect.len()));
    }
    let mut runner = Runner::new(scenario)?;
    runner.fw.platform().set_interrupted(true);
    let mut ran = Ran::default();
    for (i, op) in scenario.ops.iter().enumerate() {
        at.store(i, Relaxed);
        if scenario.expect.is_none() && op.handle().is_some_and(|h| runner.handle(h).is_err()) {
            ran.skipped += 1;
            continue;
        }
        let answer = runner.step(op).map_err(|e| format!("op {i}: {e}"))?;
        ran.ops += 1;
        let events = runner.fw.platform().take_events();
        let mismatch = |field, expected: String, got: String| Mismatch {
            op: Some(i),
            what: format!("{op:?}"),
            field,
            expected,
            got,
        };
        if runner.fw.platform().waits() > 0 {
            let got = "it waits for another, and there is no other".into();
            return Ok(Err(mismatch("wait", "no operation waits".into(), got)));
        }
        if let Some(expect) = scenario.expect.as_ref().map(|e| &e[i])
            && let Some((field, expected, got)) = runner.compare(expect, &answer, &events)
        {
            return Ok(Err(mismatch(field, expected, got)));
        }
        if let Some(broken) = runner.broken_invariant() {
            return Ok(Err(mismatch("invariant", "every translation in a segment".into(), broken)));
        }
    }
    Ok(runner.end().map(|()| ran))
}

impl<'a> Runner<'a> {
    fn new(scenario: &'a Scenario) -> Result<Self, String> {
        let cookies: BTreeMap<&str, SimUmem> = (0..)
            .zip(&scenario.cookies)
            .map(|(index, c)| {
                let kind = match &c.flags[..] {
                    [] => UmemKind::Locked,
                    [flag] if flag == "pageable" => UmemKind::Pageable,
                    [flag] if flag == "trash" => UmemKind::Trash,
                    flags => return Err(format!("cookie {}: unknown flags {flags:?}", c.name)),
                };
                Ok((c.name.as_str(), SimUmem::new(index, kind, c.size, c.stride)))
            })
            .collect::<Result<_, _>>()?;
        let devices = (0..)
            .zip(&scenario.devices)
            .map(|(index, d)| device(scenario, &cookies, index, d).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let fw = Framework::new(Sim::new(scenario.ncpus, &scenario.page_sizes));
        Ok(Self { fw, scenario, cookies, devices, spaces: BTreeMap::new() })
    }

    fn space(&mut self, space: u32) -> (&Fw, &AddressSpace<Sim>) {
        (&self.fw, self.spaces.entry(space).or_insert_with(|| AddressSpace::new(space)))
    }

    fn handle(&self, name: &str) -> Result<(u64, Arc<Handle<Sim>>), String> {
        let number = name.strip_prefix('H').and_then(|n| n.parse().ok());
        number.and_then(|n| self.fw.platform().handle(n)).ok_or_else(|| format!("no live handle {name}"))
    }

    fn step(&mut self, op: &Op) -> Result<Answer, String> {
        Ok(match op {
            Op::Mmap { space, dev, off, len, prot, maxprot, flags, addr } => {
                let device = self.devices.get(*dev).cloned().ok_or_else(|| format!("no device {dev}"))?;
                let (fw, space) = self.space(*space);
                let req = MapRequest {
                    device: &device,
                    off: *off,
                    len: *len,
                    prot: Prot::from_raw(*prot),
                    maxprot: Prot::from_raw(*maxprot),
                    flags: MapFlags::from_bits_retain(*flags),
                    model: 0,
                };
                match space.mmap(fw, &req, *addr) {
                    Ok(addr) => Answer { addr: Some(addr), ..Answer::default() },
                    Err(e) => e.0.into(),
                }
            }
            Op::Munmap { space, addr, len } => {
                let (fw, space) = self.space(*space);
                space.munmap(fw, *addr, *len).into()
            }
            Op::Mprotect { space, addr, len, prot } => {
                let (fw, space) = self.space(*space);
                space.mprotect(fw, *addr, *len, Prot::from_raw(*prot)).into()
            }
            Op::Fork { space, new } => {
                let child = AddressSpace::new(*new);
                let (fw, parent) = self.space(*space);
                let result = parent.fork(fw, &child);
                self.spaces.insert(*new, child);
                result.into()
            }
            Op::Exit { space } => {
                let number = *space;
                let (fw, space) = self.space(number);
                let result = space.exit(fw);
                if result.is_ok() {
                    self.spaces.remove(&number);
                }
                result.into()
            }
            Op::Fault { space, addr, len, r#type, rw } => {
                let (ty, rw) = fault_words(*r#type, *rw)?;
                let (fw, space) = self.space(*space);
                space.fault(fw, *addr, *len, ty, rw).0.into()
            }
            Op::Touch { space, addr, rw } => {
                let (_, rw) = fault_words(0, *rw)?;
                self.touch(*space, page_floor(*addr), rw)
            }
            Op::Load { h, off, len, r#type, rw, space } => {
                let (ty, rw) = fault_words(*r#type, *rw)?;
                let (_, handle) = self.handle(h)?;
                let fw = &self.fw;
                fw.platform().holding(*space, || fw.load(&handle, *off, *len, ty, rw)).0.into()
            }
            Op::Unload { h, off, len, space } => {
                let (_, handle) = self.handle(h)?;
                let fw = &self.fw;
                fw.platform().holding(*space, || fw.unload(&handle, *off, *len)).0.into()
            }
            Op::RemapDevmem { h, rnumber, roff, len, maxprot, flags } => {
                let (device, handle) = self.handle(h)?;
                let args = DevmemSetup {
                    rnumber: *rnumber,
                    off: *roff,
                    len: *len,
                    maxprot: Prot::from_raw(*maxprot),
                    flags: SetupFlags::from_bits_retain(*flags),
                    attr: 0,
                    callbacks: None,
                };
                let device = &self.devices[device as usize];
                self.fw.devmem_remap(&handle, device, args).map_or(-1, |()| 0).into()
            }
            Op::RemapUmem { h, cookie, off, len, maxprot, flags } => {
                let (_, handle) = self.handle(h)?;
                let args = UmemSetup {
                    umem: self.cookie(cookie.as_deref())?,
                    off: *off,
                    len: *len,
                    maxprot: Prot::from_raw(*maxprot),
                    flags: SetupFlags::from_bits_retain(*flags),
                    attr: 0,
                    callbacks: None,
                };
                self.fw.umem_remap(&handle, args).map_or(-1, |()| 0).into()
            }
            Op::SetTimeout { h, ticks } => {
                let (_, handle) = self.handle(h)?;
                self.fw.set_ctx_timeout(&handle, *ticks);
                Answer::default()
            }
            Op::FireTimeout {} => i32::from(self.fw.platform().fire_timer(&self.fw)).into(),
            Op::Checkprot { space, addr, len, prot } => {
                let (fw, space) = self.space(*space);
                space.check_prot(fw, *addr, *len, Prot::from_raw(*prot)).into()
            }
            Op::Getprot { space, addr, len } => {
                let (fw, space) = self.space(*space);
                query(space.prots(fw, *addr, *len), |prots| {
                    prots.iter().map(|p| Value::from(p.bits())).collect()
                })
            }
            Op::Getoffset { space, addr } => {
                let (fw, space) = self.space(*space);
                query(space.offset(fw, *addr), Value::from)
            }
            Op::Gettype { space, addr } => {
                let (fw, space) = self.space(*space);
                query(space.map_type(fw, *addr), |flags| flags.bits().into())
            }
            Op::Incore { space, addr, len } => {
                let (fw, space) = self.space(*space);
                query(space.incore(fw, *addr, *len), Value::from)
            }
            Op::Getmemid { space, addr } => {
                let (fw, space) = self.space(*space);
                query(space.memid(fw, *addr), |(dev, off)| json!([dev, off]))
            }
        })
    }

    fn cookie(&self, name: Option<&str>) -> Result<Option<SimUmem>, String> {
        name.map(|name| self.cookies.get(name).cloned().ok_or_else(|| format!("no cookie {name}")))
            .transpose()
    }

    fn touch(&mut self, number: u32, page: u64, rw: Rw) -> Answer {
        let (fw, space) = self.space(number);
        let ty = match fw.platform().pte(number, page) {
            None => segdev::FaultType::Inval,
            Some(pte) if pte.prot.contains(rw.needs()) => return Answer::default(),
            Some(_) => segdev::FaultType::Prot,
        };
        space.fault(fw, page, segdev::PAGE_SIZE, ty, rw).0.into()
    }

    fn compare(
        &self,
        expect: &Expect,
        answer: &Answer,
        events: &[Event],
    ) -> Option<(&'static str, String, String)> {
        let fields = [
            ("ret", &expect.ret, Some(json!(answer.ret))),
            ("addr", &expect.addr, answer.addr.map(Value::from)),
            ("val", &expect.val, answer.val.clone()),
            ("events", &expect.events, Some(events.iter().map(event_json).collect())),
            ("pages", &expect.pages, expect.pages.is_some().then(|| self.pages())),
            ("live", &expect.live, Some(self.live())),
        ];
        for (field, expected, got) in fields {
            let Some(expected) = expected else { continue };
            if got.as_ref() != Some(expected) {
                let (mut expected, mut got) =
                    (expected.to_string(), got.map_or_else(|| "nothing".into(), |g| g.to_string()));
                shorten(&mut expected, &mut got);
                return Some((field, expected, got));
            }
        }
        None
    }

    fn pages(&self) -> Value {
        self.fw
            .platform()
            .pages()
            .iter()
            .map(|r| json!([r.space, r.va, r.pages, r.pfn, r.prot.bits(), r.locks]))
            .collect()
    }

    fn live(&self) -> Value {
        let live = self.fw.live();
        json!({"handles": live.handles, "segs": live.segments, "ctx": live.contexts, "softlock": live.softlocks})
    }

    /// Checks what holds after every operation: no translation lies outside a segment, and none allows more than its page's protection.
    fn broken_invariant(&self) -> Option<String> {
        for run in self.fw.platform().pages() {
            let Some(space) = self.spaces.get(&run.space) else {
                return Some(format!("space {} has gone but has translations", run.space));
            };
            for page in 0..run.pages {
                let va = run.va + page * segdev::PAGE_SIZE;
                match space.with_segment(&self.fw, va, |seg| (seg.end(), seg.prot(va))) {
                    None => return Some(format!("page {va} of space {} is in no segment", run.space)),
                    Some((_, prot)) if !prot.is_some_and(|p| p.contains(run.prot)) => {
                        return Some(format!("page {va} of space {} allows too much", run.space));
                    }
                    Some((_, _)) if page == 0 && run.pages > 4096 => break,
                    Some(_) => {}
                }
            }
        }
        None
    }

    /// Checks what holds at the end: nothing is live, pending, locked or mapped.
    fn end(mut self) -> Result<(), Mismatch> {
        let wrong = |field, expected: &str, got: String| Mismatch {
            op: None,
            what: String::new(),
            field,
            expected: expected.into(),
            got,
        };
        let open = self.spaces.keys().copied().collect::<Vec<_>>();
        for number in open {
            let (fw, space) = self.space(number);
            if let Err(e) = space.exit(fw) {
                return Err(wrong("exit", "0", format!("{} from space {number}", e.0)));
            }
        }
        let live = self.fw.live();
        if live != segdev::Live::default() {
            return Err(wrong("live", "nothing", format!("{live:?}")));
        }
        let timers = self.fw.platform().pending_timers();
        if timers > 0 {
            return Err(wrong("timeouts", "none pending", format!("{timers} pending")));
        }
        if !self.fw.platform().pages().is_empty() {
            return Err(wrong("pages", "none", self.pages().to_string()));
        }
        self.devices.clear();
        let cookies = std::mem::take(&mut self.cookies);
        drop(self.fw);
        for c in &self.scenario.cookies {
            if let Some(Err(e)) = cookies.get(c.name.as_str()).map(SimUmem::check_free) {
                return Err(wrong("cookie", "can be freed", format!("{}: {e}", c.name)));
            }
        }
        Ok(())
    }
}

/// Leaves out what two long texts have in common at the start.
fn shorten(a: &mut String, b: &mut String) {
    const KEEP: usize = 60;
    if a.len().max(b.len()) < 400 {
        return;
    }
    let same = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    if same > KEEP {
        for text in [a, b] {
            *text = format!("…{}", text.get(same - KEEP..).unwrap_or_default());
        }
    }
}

fn device(
    scenario: &Scenario,
    cookies: &BTreeMap<&str, SimUmem>,
    index: u64,
    d: &crate::scenario::Device,
) -> Result<ScriptDevice<StdLocks>, String> {
    let names: Vec<&String> = d.callbacks.keys().collect();
    let callbacks = d
        .callbacks
        .values()
        .map(|c| {
            let access = match &c.access {
                None => None,
                Some(name) => {
                    Some(Behaviour::parse(name).ok_or_else(|| format!("unknown access behaviour {name}"))?)
                }
            };
            Ok(CallbackSet { access, map: c.map, dup: c.dup, unmap: c.unmap })
        })
        .collect::<Result<_, String>>()?;
    let regions = d
        .regions
        .iter()
        .map(|r| {
            let kind = match r.kind {
                Kind::Devmem => RegionKind::Devmem(
                    r.rnumber.ok_or("a devmem region needs rnumber")?,
                    r.roff.ok_or("a devmem region needs roff")?,
                ),
                Kind::Umem => {
                    let umem = match &r.cookie {
                        None => None,
                        Some(name) => Some(
                            cookies.get(name.as_str()).cloned().ok_or_else(|| format!("no cookie {name}"))?,
                        ),
                    };
                    RegionKind::Umem(umem, r.koff.ok_or("a umem region needs koff")?)
                }
            };
            let callbacks = match &r.callbacks {
                None => None,
                Some(name) => Some(
                    names.iter().position(|n| *n == name).ok_or_else(|| format!("no callbacks {name}"))?,
                ),
            };
            Ok(Region {
                off: r.off,
                len: r.len,
                kind,
                maxprot: Prot::from_raw(r.maxprot),
                flags: SetupFlags::from_bits_retain(r.flags),
                callbacks,
                twice: r.twice,
            })
        })
        .collect::<Result<_, String>>()?;
    let registers =
        scenario.regs.iter().map(|r| Registers { rnumber: r.rnumber, pfn: r.pfn, len: r.len }).collect();
    let fail = d
        .fail
        .iter()
        .map(|f| Fail {
            entry: match f.cb {
                FailAt::Devmap => EntryPoint::Devmap,
                FailAt::Map => EntryPoint::Map,
                FailAt::Access => EntryPoint::Access,
                FailAt::Dup => EntryPoint::Dup,
                FailAt::Ctxmgt => EntryPoint::Ctxmgt,
            },
            nth: f.nth,
            ret: f.ret,
        })
        .collect();
    Ok(ScriptDevice { index, registers, regions, callbacks, fail, report: None })
}

fn handle_json(h: u64) -> Value {
    if h == 0 { Value::Null } else { format!("H{h}").into() }
}

fn pvt_json(pvt: usize) -> Value {
    if pvt == 0 { Value::Null } else { format!("P{pvt}").into() }
}

fn event_json(event: &Event) -> Value {
    let mut json = match event {
        Event::Devmap { h, off, len, setup, maplen, ret } => {
            json!({"h": handle_json(*h), "off": off, "len": len, "setup": setup, "maplen": maplen, "ret": ret})
        }
        Event::Map { h, pvt, flags, off, len, ret } => {
            json!({"h": handle_json(*h), "pvt": pvt_json(*pvt), "flags": flags, "off": off, "len": len, "ret": ret})
        }
        Event::Access { h, pvt, range, ret } | Event::Ctxmgt { h, pvt, range, ret } => {
            let (ty, rw) = fault_numbers(range);
            json!({"h": handle_json(*h), "pvt": pvt_json(*pvt), "off": range.off, "len": range.len,
                   "type": ty, "rw": rw, "ret": ret})
        }
        Event::Dup { h, pvt, new, newpvt, ret } => {
            json!({"h": handle_json(*h), "pvt": pvt_json(*pvt), "new": handle_json(*new),
                   "newpvt": pvt_json(*newpvt), "ret": ret})
        }
        Event::Unmap { h, pvt, off, len, new1, new2 } => {
            let (n1, p1) = new1.unwrap_or_default();
            let (n2, p2) = new2.unwrap_or_default();
            json!({"h": handle_json(*h), "pvt": pvt_json(*pvt), "off": off, "len": len,
                   "new1": handle_json(n1), "newpvt1": pvt_json(p1),
                   "new2": handle_json(n2), "newpvt2": pvt_json(p2)})
        }
        Event::Timeout { ticks } => json!({"ticks": ticks}),
        Event::Untimeout => json!({}),
    };
    json["cb"] = event.name().into();
    json
}
