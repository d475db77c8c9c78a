//! Random devices, drivers and operations against an independent model of what every process must see.
//!
//! The model knows pages only: which mapping a page belongs to, what is behind it, what is allowed. After every operation the
//! simulated page tables must hold nothing that the model does not allow, what was just loaded must be there, what was taken away must be gone, and
//! the framework's own counts must be the model's. `SEGDEV_FUZZ_CASES` in the environment sets how many programs run; a failing one is
//! shrunk and printed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proptest::prelude::*;
use segdev::sim::script::{
    Behaviour, CallbackSet, EntryPoint, Fail, Region, RegionKind, Registers, ScriptDevice,
};
use segdev::sim::{Sim, SimUmem, StdLocks};
use segdev::space::AddressSpace;
use segdev::{
    DevmemSetup, Errno, FaultCode, FaultType, Framework, Handle, MapFlags, MapRequest, Prot, Rw, SetupFlags,
    UmemKind, UmemSetup,
};

const PAGE: u64 = 0x1000;
const SPACES: u64 = 4;
const SET_PAGES: u64 = 24;
const SET_PFN: u64 = 0x10_0000;
const ALL: Prot = Prot::READ.union(Prot::WRITE).union(Prot::EXEC);

/// Arguments of an operation: numbers, taken modulo what there is when it runs.
#[derive(Clone, Debug)]
enum Op {
    Mmap { space: u64, off: u64, pages: u64, prot: u8, fixed: Option<u64>, private: bool },
    Munmap { space: u64, at: u64, pages: u64 },
    Mprotect { space: u64, at: u64, pages: u64, prot: u8 },
    Touch { space: u64, at: u64, rw: u32 },
    Softlock { space: u64, at: u64, pages: u64 },
    Softunlock { nth: u64 },
    Fork { space: u64, new: u64 },
    Exit { space: u64 },
    Load { handle: u64, page: u64, pages: u64 },
    Unload { handle: u64, off: u64, len: u64 },
    RemapUmem { handle: u64, cookie: u64, page: u64, pages: u64, maxprot: u8 },
    RemapDevmem { handle: u64, page: u64, pages: u64, maxprot: u8, invalid: bool },
    Timeout { handle: u64, ticks: i64 },
    Fire,
}

#[derive(Clone, Debug)]
struct Plan {
    regions: Vec<(u64, u8, u8, bool)>,
    access: u8,
    fails: Vec<(u8, u64)>,
    ncpus: u32,
    ops: Vec<Op>,
}

fn ops() -> impl Strategy<Value = Op> {
    let (n, pages) = (0..64u64, 0..6u64);
    prop_oneof![
        6 => (n.clone(), 0..8u64, 1..8u64, 0..8u8, proptest::option::of(0..32u64), any::<bool>())
            .prop_map(|(space, off, pages, prot, fixed, private)| Op::Mmap { space, off, pages, prot, fixed, private }),
        4 => (n.clone(), n.clone(), pages.clone()).prop_map(|(space, at, pages)| Op::Munmap { space, at, pages }),
        3 => (n.clone(), n.clone(), pages.clone(), 0..8u8)
            .prop_map(|(space, at, pages, prot)| Op::Mprotect { space, at, pages, prot }),
        10 => (n.clone(), n.clone(), 0..5u32).prop_map(|(space, at, rw)| Op::Touch { space, at, rw }),
        2 => (n.clone(), n.clone(), 1..5u64).prop_map(|(space, at, pages)| Op::Softlock { space, at, pages }),
        2 => n.clone().prop_map(|nth| Op::Softunlock { nth }),
        2 => (n.clone(), n.clone()).prop_map(|(space, new)| Op::Fork { space, new }),
        1 => n.clone().prop_map(|space| Op::Exit { space }),
        3 => (n.clone(), pages.clone(), pages.clone()).prop_map(|(handle, page, pages)| Op::Load { handle, page, pages }),
        3 => (n.clone(), any::<u64>(), any::<u64>()).prop_map(|(handle, off, len)| Op::Unload { handle, off, len }),
        2 => (n.clone(), n.clone(), any::<u64>(), 0..9u64, 0..8u8).prop_map(
            |(handle, cookie, page, pages, maxprot)| Op::RemapUmem { handle, cookie, page, pages, maxprot }
        ),
        2 => (n.clone(), any::<u64>(), 0..9u64, 0..8u8, any::<bool>()).prop_map(
            |(handle, page, pages, maxprot, invalid)| Op::RemapDevmem { handle, page, pages, maxprot, invalid }
        ),
        1 => (n, -1..3i64).prop_map(|(handle, ticks)| Op::Timeout { handle, ticks }),
        1 => Just(Op::Fire),
    ]
}

fn plans() -> impl Strategy<Value = Plan> {
    let region = (1..4u64, 0..7u8, prop_oneof![Just(1u8), Just(3), Just(7)], any::<bool>());
    let fails = proptest::collection::vec((0..4u8, 1..6u64), 0..3);
    (proptest::collection::vec(region, 1..5), 0..6u8, fails, 1..3u32, proptest::collection::vec(ops(), 1..60))
        .prop_map(|(regions, access, fails, ncpus, ops)| Plan { regions, access, fails, ncpus, ops })
}

/// The memory behind a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Frame(u64),
    Invalid,
}

/// A page of a mapping.
#[derive(Clone, Debug)]
struct Page {
    /// Which mmap it came from, and which handle of it: pieces are told apart by the holes between them.
    mapping: u64,
    region: usize,
    behind: Behind,
    prot: Prot,
    maxprot: Prot,
    original: Prot,
    locks: u32,
}

impl Page {
    /// The protection that a translation must have.
    fn allowed(&self) -> Prot {
        self.prot & self.maxprot
    }
}

type Key = (u32, u64);

struct World {
    fw: Framework<Sim<StdLocks>>,
    device: Arc<ScriptDevice<StdLocks>>,
    umems: Vec<SimUmem>,
    regions: Vec<(u64, u8, u8, bool)>,
    spaces: BTreeMap<u32, AddressSpace<Sim<StdLocks>>>,
    pages: BTreeMap<Key, Page>,
    softlocks: Vec<(u32, u64, u64)>,
    mappings: u64,
    /// Whether a fault loads exactly what it was asked for.
    exact: bool,
    private: bool,
}

static OPERATIONS: AtomicU64 = AtomicU64::new(0);

impl World {
    fn new(plan: &Plan) -> Self {
        let kinds =
            [(UmemKind::Locked, 1), (UmemKind::Locked, 3), (UmemKind::Pageable, 1), (UmemKind::Trash, 1)];
        let umems: Vec<_> =
            (0..4).map(|i| SimUmem::new(i, kinds[i as usize].0, 16 * PAGE, kinds[i as usize].1)).collect();
        let mut off = 0;
        let mut regions = Vec::new();
        // Kinds: 0 to 2 device memory, 3 to 6 the cookies.
        for &(pages, kind, maxprot, remap) in &plan.regions {
            let first = off / PAGE;
            regions.push(Region {
                off,
                len: pages * PAGE,
                kind: match kind {
                    0..=2 => RegionKind::Devmem(0, first * PAGE),
                    kind => RegionKind::Umem(Some(umems[kind as usize - 3].clone()), first * PAGE),
                },
                maxprot: Prot::from_raw(maxprot.into()),
                flags: if remap { SetupFlags::ALLOW_REMAP } else { SetupFlags::empty() },
                callbacks: (plan.access != 5).then_some(0),
                twice: false,
            });
            off += pages * PAGE;
        }
        let access = match plan.access {
            0 | 1 => Some(Behaviour::Default),
            2 => Some(Behaviour::Ctx),
            3 => Some(Behaviour::CtxLast),
            4 => Some(Behaviour::LoadAll),
            _ => None,
        };
        let entries = [EntryPoint::Map, EntryPoint::Dup, EntryPoint::Devmap, EntryPoint::Access];
        let fails =
            plan.fails.iter().map(|&(entry, nth)| Fail { entry: entries[entry as usize], nth, ret: 12 });
        let device = Arc::new(ScriptDevice {
            index: 0,
            registers: vec![Registers { rnumber: 0, pfn: SET_PFN, len: SET_PAGES * PAGE }],
            regions,
            callbacks: vec![CallbackSet { access, map: true, dup: true, unmap: true }],
            fail: fails.collect(),
            report: None,
        });
        let fw = Framework::new(Sim::new(plan.ncpus, &[PAGE]));
        // One thread: what would wait for another is interrupted instead.
        fw.platform().set_interrupted(true);
        Self {
            fw,
            device,
            umems,
            regions: plan.regions.clone(),
            spaces: BTreeMap::new(),
            pages: BTreeMap::new(),
            softlocks: Vec::new(),
            mappings: 0,
            exact: matches!(plan.access, 0 | 1 | 5) && plan.fails.iter().all(|(entry, _)| *entry != 3),
            private: plan.access != 5,
        }
    }

    fn space(&mut self, n: u64) -> u32 {
        let id = (n % SPACES) as u32;
        self.spaces.entry(id).or_insert_with(|| AddressSpace::new(id));
        id
    }

    /// An address: a page of the space, or a little beside one.
    fn address(&self, id: u32, n: u64) -> u64 {
        let known: Vec<u64> = self.pages.range((id, 0)..(id + 1, 0)).map(|(key, _)| key.1).collect();
        match known.len() as u64 {
            0 => 0x1000_0000 + n * PAGE,
            len => known[(n % len) as usize] + if n.is_multiple_of(7) { PAGE } else { 0 },
        }
    }

    fn handle(&self, n: u64) -> Option<Arc<Handle<Sim<StdLocks>>>> {
        let all = self.fw.platform().handles_of(0);
        (!all.is_empty()).then(|| all[(n % all.len() as u64) as usize].1.clone())
    }

    fn behind(&self, kind: u8, page: u64) -> Behind {
        Behind::Frame(match kind {
            0..=2 => SET_PFN + page,
            3 => 0x20_0000 + page,
            4 => 0x21_0000 + 3 * page,
            5 => 0x22_0000 + page,
            _ => 7,
        })
    }

    /// The pages that a mapping of `[off, off + len)` has, or `None` where some offset is nobody's or asks for too much.
    fn mapped(&self, off: u64, len: u64, prot: Prot) -> Option<Vec<Page>> {
        (off / PAGE..(off + len) / PAGE)
            .map(|page| {
                let mut first = 0;
                for (region, &(pages, kind, maxprot, _)) in self.regions.iter().enumerate() {
                    let maxprot = Prot::from_raw(maxprot.into());
                    if page < first + pages {
                        let behind = self.behind(kind, page);
                        let fresh = Page {
                            mapping: self.mappings,
                            region,
                            behind,
                            prot,
                            maxprot,
                            // A remap may go beyond the setup call, never beyond the mapping.
                            original: ALL,
                            locks: 0,
                        };
                        return maxprot.contains(prot).then_some(fresh);
                    }
                    first += pages;
                }
                None
            })
            .collect()
    }

    /// The segments of a space: maximal runs of one mmap's pages.
    fn segments(&self, id: u32) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64, u64)> = Vec::new();
        for (&(_, va), page) in self.pages.range((id, 0)..(id + 1, 0)) {
            match runs.last_mut() {
                Some(run) if run.1 == va && run.2 == page.mapping => run.1 += PAGE,
                _ => runs.push((va, va + PAGE, page.mapping)),
            }
        }
        runs.into_iter().map(|(a, b, _)| (a, b)).collect()
    }

    fn locked(&self, id: u32, (a, b): (u64, u64)) -> bool {
        self.pages.range((id, a)..(id, b)).any(|(_, page)| page.locks > 0)
    }

    /// Unmaps in the model, segment by segment; stops where one is locked.
    fn unmap(&mut self, id: u32, at: u64, end: u64) -> Result<(), Errno> {
        for (a, b) in self.segments(id) {
            let (from, to) = (a.max(at), b.min(end));
            if from >= to {
                continue;
            }
            if self.locked(id, (a, b)) {
                return Err(Errno::EAGAIN);
            }
            let gone: Vec<Key> = self.pages.range((id, from)..(id, to)).map(|(key, _)| *key).collect();
            for key in gone {
                self.pages.remove(&key);
            }
        }
        Ok(())
    }

    fn mmap(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let Op::Mmap { space, off, pages, prot, fixed, private } = *op else { return Ok(()) };
        let id = self.space(space);
        let prot = Prot::from_raw(prot.into());
        let addr = fixed.map(|n| 0x1000_0000 + n * PAGE);
        let req = MapRequest {
            device: &self.device,
            off: off * PAGE,
            len: pages * PAGE,
            prot,
            maxprot: ALL,
            flags: if private { MapFlags::PRIVATE } else { MapFlags::SHARED },
            model: 0,
        };
        let before: BTreeSet<_> = self.spaces[&id].segments(&self.fw).iter().map(|s| s.base).collect();
        let got = self.spaces[&id].mmap(&self.fw, &req, addr);
        let wanted = self.mapped(off * PAGE, pages * PAGE, prot).filter(|_| !private || self.private);
        match got {
            Ok(base) => {
                let Some(wanted) = wanted else {
                    return Err(TestCaseError::fail("mmap of what cannot be mapped succeeded"));
                };
                prop_assert!(addr.is_none_or(|addr| addr == base), "a fixed mapping is elsewhere");
                prop_assert!(addr.is_some() || !before.contains(&base), "a mapping is on top of another");
                prop_assert!(
                    self.unmap(id, base, base + pages * PAGE).is_ok(),
                    "a mapping replaced locked pages"
                );
                self.mappings += 1;
                for (n, page) in wanted.into_iter().enumerate() {
                    self.pages.insert((id, base + n as u64 * PAGE), page);
                }
            }
            Err(_) => {
                // A fixed one that fails late has unmapped what was there. What is there now says how far it came.
                if let Some(addr) = addr {
                    let holes = |world: &Self| {
                        let space = &world.spaces[&id];
                        (0..pages).all(|n| space.offset(&world.fw, addr + n * PAGE).is_err())
                    };
                    if holes(self)
                        || self
                            .pages
                            .range((id, addr)..(id, addr + pages * PAGE))
                            .any(|(key, _)| self.spaces[&id].offset(&self.fw, key.1).is_err())
                    {
                        let _ = self.unmap(id, addr, addr + pages * PAGE);
                    }
                }
            }
        }
        Ok(())
    }

    fn mprotect(&mut self, id: u32, at: u64, end: u64, prot: Prot) -> Result<(), Errno> {
        let mut from = at;
        loop {
            let Some(seg) = self.segments(id).into_iter().find(|(a, b)| (*a..*b).contains(&from)) else {
                return Err(Errno::ENOMEM);
            };
            let to = end.min(seg.1);
            let within = |page: &Page| page.maxprot.contains(prot);
            if self.locked(id, seg) {
                return Err(Errno::EAGAIN);
            }
            if !self.pages.range((id, from)..(id, to.max(from + 1))).all(|(_, page)| within(page)) {
                return Err(Errno::EACCES);
            }
            for (_, page) in self.pages.range_mut((id, from)..(id, to)) {
                page.prot = prot;
            }
            from = to;
            if from >= end {
                return Ok(());
            }
        }
    }

    fn run(&mut self, op: &Op) -> Result<(), TestCaseError> {
        OPERATIONS.fetch_add(1, Relaxed);
        let name = |what: &str| format!("{what} in {op:?}");
        match *op {
            Op::Mmap { .. } => self.mmap(op)?,
            Op::Munmap { space, at, pages } => {
                let id = self.space(space);
                let at = self.address(id, at);
                let got = self.spaces[&id].munmap(&self.fw, at, pages * PAGE);
                prop_assert_eq!(got, self.unmap(id, at, at + pages * PAGE), "{}", name("munmap's answer"));
            }
            Op::Mprotect { space, at, pages, prot } => {
                let id = self.space(space);
                let at = self.address(id, at);
                let prot = Prot::from_raw(prot.into());
                if pages == 0 {
                    return Ok(());
                }
                let got = self.spaces[&id].mprotect(&self.fw, at, pages * PAGE, prot);
                let want = self.mprotect(id, at, at + pages * PAGE, prot);
                prop_assert_eq!(got.is_ok(), want.is_ok(), "{}: {:?} for {:?}", name("mprotect"), got, want);
            }
            Op::Touch { space, at, rw } => {
                let id = self.space(space);
                let at = self.address(id, at);
                let rw = Rw::from_raw(rw).unwrap_or(Rw::Other);
                let rc = self.spaces[&id].fault(&self.fw, at, PAGE, FaultType::Inval, rw);
                match self.pages.get(&(id, at)) {
                    None => prop_assert_eq!(rc, FaultCode::NOMAP, "{}", name("fault in a hole")),
                    Some(page) => {
                        let may = page.allowed().intersects(rw.needs())
                            || (rw.needs().is_empty() && !page.allowed().is_empty());
                        let valid = page.behind != Behind::Invalid;
                        prop_assert!(
                            !rc.is_ok() || (may && valid),
                            "{}: {:?}",
                            name("forbidden access served"),
                            page
                        );
                        if self.exact && may && valid && self.softlocks.is_empty() {
                            prop_assert!(rc.is_ok(), "{}: {:?} for {:?}", name("access refused"), rc, page);
                        }
                        let loaded = self.fw.platform().pte(id, at).is_some();
                        prop_assert!(!rc.is_ok() || loaded, "{}", name("served without a translation"));
                    }
                }
            }
            Op::Softlock { space, at, pages } if self.exact => {
                let id = self.space(space);
                let at = self.address(id, at);
                let rc = self.spaces[&id].fault(&self.fw, at, pages * PAGE, FaultType::Softlock, Rw::Read);
                if rc.is_ok() {
                    for n in 0..pages {
                        let page = self.pages.get_mut(&(id, at + n * PAGE));
                        let Some(page) = page else {
                            return Err(TestCaseError::fail(name("a hole was locked")));
                        };
                        page.locks += 1;
                    }
                    self.softlocks.push((id, at, pages));
                }
            }
            Op::Softunlock { nth } if !self.softlocks.is_empty() => {
                let nth = (nth % self.softlocks.len() as u64) as usize;
                let (id, at, pages) = self.softlocks.remove(nth);
                let rc = self.spaces[&id].fault(&self.fw, at, pages * PAGE, FaultType::Softunlock, Rw::Read);
                prop_assert!(rc.is_ok(), "{}: {:?}", name("softunlock"), rc);
                for n in 0..pages {
                    if let Some(page) = self.pages.get_mut(&(id, at + n * PAGE)) {
                        page.locks -= 1;
                    }
                }
            }
            Op::Fork { space, new } => {
                let (id, new) = (self.space(space), (new % SPACES) as u32);
                if id == new || self.pages.range((new, 0)..(new + 1, 0)).next().is_some() {
                    return Ok(());
                }
                let child = AddressSpace::new(new);
                if self.spaces[&id].fork(&self.fw, &child).is_ok() {
                    let parent: Vec<_> =
                        self.pages.range((id, 0)..(id + 1, 0)).map(|(k, p)| (k.1, p.clone())).collect();
                    let mut renamed = BTreeMap::new();
                    for (va, mut page) in parent {
                        page.locks = 0;
                        let next = self.mappings + renamed.len() as u64;
                        page.mapping = *renamed.entry(page.mapping).or_insert(next);
                        self.pages.insert((new, va), page);
                    }
                    self.mappings += renamed.len() as u64;
                }
                self.spaces.insert(new, child);
            }
            Op::Exit { space } => {
                let id = self.space(space);
                let got = self.spaces[&id].exit(&self.fw);
                prop_assert_eq!(got, self.unmap(id, 0, u64::MAX), "{}", name("exit's answer"));
                if got.is_ok() {
                    self.spaces.remove(&id);
                }
            }
            Op::Load { handle, page, pages } => {
                let Some(handle) = self.handle(handle) else { return Ok(()) };
                let (info, id) = (handle.info(), *handle.space());
                let (off, len) = (info.off + page * PAGE, pages * PAGE);
                let load = || self.fw.load(&handle, off, len, FaultType::Inval, Rw::Read);
                let rc = self.fw.platform().holding(Some(id), load);
                let whole = if len == 0 { info.len.saturating_sub(page * PAGE) } else { len };
                let inside = page * PAGE < info.len && page * PAGE + whole <= info.len;
                prop_assert!(!rc.is_ok() || inside, "{}", name("load outside its handle"));
                if rc.is_ok() {
                    let va = info.addr + page * PAGE;
                    let all = (0..whole / PAGE).all(|n| self.fw.platform().pte(id, va + n * PAGE).is_some());
                    prop_assert!(all, "{}", name("load without translations"));
                }
                prop_assert!(
                    !self.fw.load(&handle, off, len, FaultType::Inval, Rw::Read).is_ok(),
                    "load of a foreign space"
                );
            }
            Op::Unload { handle, off, len } => {
                let Some(handle) = self.handle(handle) else { return Ok(()) };
                let (info, id) = (handle.info(), *handle.space());
                // Half of them are anything at all, half are near the handle.
                let (off, len) = match off % 2 {
                    0 => (info.off + off % (2 * info.len), len % (2 * info.len)),
                    _ => (off, len),
                };
                let rc = self.fw.unload(&handle, off, len);
                let end = off.checked_add(len);
                let inside = off >= info.off
                    && off < info.off + info.len
                    && end.is_some_and(|end| {
                        end.div_ceil(PAGE) * PAGE <= info.off + info.len + (off % PAGE).min(1) * PAGE
                    });
                prop_assert!(!rc.is_ok() || inside, "{}", name("unload outside its handle"));
                if rc.is_ok() && len > 0 {
                    let va = info.addr + (off - info.off) / PAGE * PAGE;
                    prop_assert!(
                        self.fw.platform().pte(id, va).is_none(),
                        "{}",
                        name("unload left a translation")
                    );
                }
            }
            Op::RemapUmem { handle, cookie, page, pages, maxprot } => {
                let Some(handle) = self.handle(handle) else { return Ok(()) };
                let info = handle.info();
                let cookie = cookie % 5;
                let page = if page.is_multiple_of(3) { page >> 12 } else { page % 16 };
                let args = UmemSetup {
                    umem: self.umems.get(cookie as usize).cloned(),
                    off: page.wrapping_mul(PAGE),
                    len: pages * PAGE,
                    maxprot: Prot::from_raw(maxprot.into()),
                    flags: SetupFlags::empty(),
                    attr: 0,
                    callbacks: None,
                };
                let done = self.fw.umem_remap(&handle, args).is_ok();
                // The whole handle is mapped, whatever length the driver names.
                let fits = cookie < 4 && page + pages.max(info.len / PAGE) <= 16;
                prop_assert!(!done || fits, "{}", name("remap beyond its memory"));
                if done {
                    let first = |n: u64| self.behind(cookie as u8 + 3, page + n);
                    let frames: Vec<_> = (0..info.len / PAGE).map(first).collect();
                    self.remapped(&handle, &frames, maxprot)?;
                }
            }
            Op::RemapDevmem { handle, page, pages, maxprot, invalid } => {
                let Some(handle) = self.handle(handle) else { return Ok(()) };
                let info = handle.info();
                let page = if page.is_multiple_of(3) { page >> 12 } else { page % SET_PAGES };
                let args = DevmemSetup {
                    rnumber: 0,
                    off: page.wrapping_mul(PAGE),
                    len: pages * PAGE,
                    maxprot: Prot::from_raw(maxprot.into()),
                    flags: if invalid { SetupFlags::MAPPING_INVALID } else { SetupFlags::empty() },
                    attr: 0,
                    callbacks: None,
                };
                let done = self.fw.devmem_remap(&handle, &self.device, args).is_ok();
                let fits = page + pages.max(info.len / PAGE) <= SET_PAGES;
                prop_assert!(!done || invalid || fits, "{}", name("remap beyond its registers"));
                if done {
                    let frame =
                        |n: u64| if invalid { Behind::Invalid } else { Behind::Frame(SET_PFN + page + n) };
                    let frames: Vec<_> = (0..info.len / PAGE).map(frame).collect();
                    self.remapped(&handle, &frames, maxprot)?;
                }
            }
            Op::Timeout { handle, ticks } => {
                if let Some(handle) = self.handle(handle) {
                    self.fw.set_ctx_timeout(&handle, ticks);
                }
            }
            Op::Fire => {
                self.fw.platform().fire_timer(&self.fw);
            }
            Op::Softlock { .. } | Op::Softunlock { .. } => {}
        }
        Ok(())
    }

    fn remapped(
        &mut self,
        handle: &Arc<Handle<Sim<StdLocks>>>,
        frames: &[Behind],
        maxprot: u8,
    ) -> Result<(), TestCaseError> {
        let (info, id) = (handle.info(), *handle.space());
        for (n, behind) in frames.iter().enumerate() {
            let va = info.addr + n as u64 * PAGE;
            prop_assert!(self.fw.platform().pte(id, va).is_none(), "a remap left a translation at {va:#x}");
            let Some(page) = self.pages.get_mut(&(id, va)) else {
                return Err(TestCaseError::fail("a handle has pages that no mapping has"));
            };
            page.behind = *behind;
            page.maxprot = Prot::from_raw(maxprot.into()) & page.original;
        }
        Ok(())
    }

    /// Everything that must hold at any time.
    fn check(&self) -> Result<(), TestCaseError> {
        for run in self.fw.platform().pages() {
            for n in 0..run.pages {
                let va = run.va + n * PAGE;
                let Some(page) = self.pages.get(&(run.space, va)) else {
                    return Err(TestCaseError::fail(format!("a translation outside every mapping: {run:?}")));
                };
                prop_assert_eq!(
                    Behind::Frame(run.pfn + n),
                    page.behind,
                    "wrong memory at {:#x}: {:?}",
                    va,
                    page
                );
                prop_assert_eq!(run.prot, page.allowed(), "wrong protection at {:#x}: {:?}", va, page);
                prop_assert!(!run.prot.is_empty(), "a translation that allows nothing at {:#x}", va);
                prop_assert!(
                    run.locks <= page.locks || !self.exact,
                    "locked too often at {:#x}: {:?}",
                    va,
                    page
                );
            }
        }
        let live = self.fw.live();
        let mut segments = 0;
        let mut handles = 0;
        for id in 0..SPACES as u32 {
            segments += self.segments(id).len();
            let mut last = None;
            for (&(_, va), page) in self.pages.range((id, 0)..(id + 1, 0)) {
                let this = (va, page.mapping, page.region);
                handles += usize::from(last != Some((va - PAGE, page.mapping, page.region)));
                last = Some(this);
            }
        }
        prop_assert_eq!((live.segments, live.handles), (segments, handles), "live segments and handles");
        Ok(())
    }

    /// Every process ends: nothing may be left.
    fn end(mut self) -> Result<(), TestCaseError> {
        while let Some((id, at, pages)) = self.softlocks.pop() {
            let rc = self.spaces[&id].fault(&self.fw, at, pages * PAGE, FaultType::Softunlock, Rw::Read);
            prop_assert!(rc.is_ok(), "softunlock at the end: {:?}", rc);
        }
        for space in self.spaces.values() {
            prop_assert_eq!(space.exit(&self.fw), Ok(()), "exit at the end");
        }
        prop_assert_eq!(self.fw.live(), segdev::Live::default(), "something lives on after every exit");
        prop_assert!(self.fw.platform().pages().is_empty(), "translations are left after every exit");
        prop_assert_eq!(self.fw.platform().pending_timers(), 0, "a timer is pending after every exit");
        // The callbacks that are kept for the next mapping keep their device.
        self.fw.trim();
        let Self { umems, device, .. } = self;
        drop(device);
        for umem in umems {
            prop_assert_eq!(umem.page_locks(), 0, "pages of a pageable cookie are locked after every exit");
            prop_assert!(umem.check_free().is_ok(), "a cookie cannot be freed after every exit");
        }
        Ok(())
    }
}

#[test]
fn random_programs_keep_to_the_model() {
    let cases = if cfg!(debug_assertions) { 1000 } else { 20_000 };
    let cases = std::env::var("SEGDEV_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(cases);
    let config =
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Default::default() };
    proptest!(config, |(plan in plans())| {
        let mut world = World::new(&plan);
        for op in &plan.ops {
            world.run(op)?;
            world.check()?;
        }
        world.end()?;
    });
    println!("{} operations in {cases} programs", OPERATIONS.load(Relaxed));
}
