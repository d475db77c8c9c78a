//! Random softlocks through drivers that load too much, nothing, something else, or fail at any moment: whatever they do, a softlock
//! that succeeds is undone by the softunlock of its range, one that fails has locked nothing, and nobody waits for himself.
//!
//! `SEGDEV_FUZZ_CASES` in the environment sets how many programs run; a failing one is shrunk and printed.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use segdev::sim::script::{
    Behaviour, CallbackSet, EntryPoint, Fail, Region, RegionKind, Registers, ScriptDevice,
};
use segdev::sim::{Sim, SimUmem, StdLocks};
use segdev::space::AddressSpace;
use segdev::{FaultCode, FaultType, Framework, MapFlags, MapRequest, Prot, Rw, SetupFlags, UmemKind};

const PAGE: u64 = 0x1000;
const BASE: u64 = 0x1000_0000;
const ALL: Prot = Prot::READ.union(Prot::WRITE).union(Prot::EXEC);
const SPACES: u32 = 3;
/// The lowest pages of a space, where everything is mapped.
const AREA: u64 = 24;

/// Arguments of an operation: numbers, taken modulo what there is when it runs.
#[derive(Clone, Debug)]
enum Op {
    Mmap {
        space: u32,
        device: usize,
        off: u64,
        pages: u64,
        at: u64,
        prot: u8,
    },
    Munmap {
        space: u32,
        at: u64,
        pages: u64,
    },
    Mprotect {
        space: u32,
        at: u64,
        pages: u64,
        prot: u8,
    },
    Touch {
        space: u32,
        at: u64,
        write: bool,
    },
    Softlock {
        space: u32,
        at: u64,
        pages: u64,
    },
    Softunlock {
        nth: usize,
    },
    /// A softunlock that nobody asked for.
    Stray {
        space: u32,
        at: u64,
        pages: u64,
    },
    /// The driver locks a handle and unlocks it again.
    Load {
        handle: usize,
        pages: u64,
    },
    Fork {
        space: u32,
        new: u32,
    },
    Exit {
        space: u32,
    },
}

#[derive(Clone, Debug)]
struct Set {
    access: u8,
    fails: bool,
}

#[derive(Clone, Debug)]
struct Plan {
    sets: Vec<Set>,
    /// Pages, kind, callback set (beyond the sets: none), remappable.
    devices: Vec<Vec<(u64, u8, usize, bool)>>,
    /// Entry point, number of the call, value.
    fails: Vec<(bool, u64, i32)>,
    ops: Vec<Op>,
}

fn ops() -> impl Strategy<Value = Op> {
    let (space, at, pages) = (0..SPACES, 0..AREA, 1..10u64);
    prop_oneof![
        5 => (space.clone(), 0..2usize, 0..8u64, 1..9u64, at.clone(), prop_oneof![4 => Just(3u8), 1 => Just(1)])
            .prop_map(|(space, device, off, pages, at, prot)| Op::Mmap { space, device, off, pages, at, prot }),
        2 => (space.clone(), at.clone(), pages.clone()).prop_map(|(space, at, pages)| Op::Munmap { space, at, pages }),
        1 => (space.clone(), at.clone(), pages.clone(), 0..4u8)
            .prop_map(|(space, at, pages, prot)| Op::Mprotect { space, at, pages, prot }),
        3 => (space.clone(), at.clone(), any::<bool>()).prop_map(|(space, at, write)| Op::Touch { space, at, write }),
        8 => (space.clone(), at.clone(), pages.clone()).prop_map(|(space, at, pages)| Op::Softlock { space, at, pages }),
        6 => any::<usize>().prop_map(|nth| Op::Softunlock { nth }),
        1 => (space.clone(), at, pages.clone()).prop_map(|(space, at, pages)| Op::Stray { space, at, pages }),
        1 => (any::<usize>(), pages).prop_map(|(handle, pages)| Op::Load { handle, pages }),
        1 => (space.clone(), space.clone()).prop_map(|(space, new)| Op::Fork { space, new }),
        1 => space.prop_map(|space| Op::Exit { space }),
    ]
}

fn plans() -> impl Strategy<Value = Plan> {
    let set = (0..7u8, any::<bool>()).prop_map(|(access, fails)| Set { access, fails });
    let region = (1..4u64, 0..5u8, 0..4usize, prop_oneof![9 => Just(false), 1 => Just(true)]);
    let device = proptest::collection::vec(region, 1..5);
    let fail = (any::<bool>(), 1..12u64, prop_oneof![Just(0), Just(14), Just(-1)]);
    (
        proptest::collection::vec(set, 1..4),
        proptest::collection::vec(device, 1..3),
        proptest::collection::vec(fail, 0..4),
        proptest::collection::vec(ops(), 1..40),
    )
        .prop_map(|(sets, devices, fails, ops)| Plan { sets, devices, fails, ops })
}

type Fw = Framework<Sim<StdLocks>>;

struct World {
    fw: Fw,
    umems: Vec<SimUmem>,
    devices: Vec<Arc<ScriptDevice<StdLocks>>>,
    spaces: BTreeMap<u32, AddressSpace<Sim<StdLocks>>>,
    /// Softlocks that have succeeded: space, address, bytes.
    held: Vec<(u32, u64, u64)>,
}

fn behaviour(access: u8) -> Behaviour<StdLocks> {
    match access {
        0 | 1 => Behaviour::Default,
        2 => Behaviour::Ctx,
        3 => Behaviour::CtxLast,
        4 => Behaviour::LoadAll,
        5 => Behaviour::NoLoad,
        _ => Behaviour::Fail(5),
    }
}

impl World {
    fn new(plan: &Plan) -> Self {
        let kinds = [(UmemKind::Locked, 1), (UmemKind::Locked, 3), (UmemKind::Pageable, 1)];
        let umems: Vec<_> =
            (0..3).map(|i| SimUmem::new(i, kinds[i as usize].0, 16 * PAGE, kinds[i as usize].1)).collect();
        let device = |(index, regions): (usize, &Vec<(u64, u8, usize, bool)>)| {
            let mut off = 0;
            let regions = regions.iter().map(|&(pages, kind, set, remappable)| {
                let at = off;
                off += pages * PAGE;
                Region {
                    off: at,
                    len: pages * PAGE,
                    kind: match kind {
                        0 | 1 => RegionKind::Devmem(0, at),
                        kind => RegionKind::Umem(Some(umems[kind as usize - 2].clone()), at),
                    },
                    maxprot: ALL,
                    flags: if remappable { SetupFlags::ALLOW_REMAP } else { SetupFlags::empty() },
                    callbacks: (set < plan.sets.len()).then_some(set),
                    twice: false,
                }
            });
            let regions = regions.collect();
            let fails = plan.fails.iter().map(|&(access, nth, ret)| Fail {
                entry: if access { EntryPoint::Access } else { EntryPoint::Ctxmgt },
                nth,
                ret,
            });
            Arc::new(ScriptDevice {
                index: index as u64,
                registers: vec![Registers { rnumber: 0, pfn: 0x10_0000, len: 64 * PAGE }],
                regions,
                callbacks: plan
                    .sets
                    .iter()
                    .map(|set| CallbackSet {
                        access: Some(behaviour(set.access)),
                        map: true,
                        dup: true,
                        unmap: true,
                    })
                    .collect(),
                fail: if plan.sets[0].fails { fails.collect() } else { Vec::new() },
                report: None,
            })
        };
        let devices = plan.devices.iter().enumerate().map(device).collect();
        let fw = Framework::new(Sim::new(1, &[PAGE, 2 * PAGE]));
        // One thread: what would wait for another is interrupted instead.
        fw.platform().set_interrupted(true);
        Self { fw, umems, devices, spaces: BTreeMap::new(), held: Vec::new() }
    }

    fn space(&mut self, id: u32) -> &AddressSpace<Sim<StdLocks>> {
        self.spaces.entry(id).or_insert_with(|| AddressSpace::new(id))
    }

    fn fault(&mut self, id: u32, addr: u64, len: u64, ty: FaultType, rw: Rw) -> FaultCode {
        self.space(id);
        self.spaces[&id].fault(&self.fw, addr, len, ty, rw)
    }

    /// The locks of every handle.
    fn locks(&self) -> Vec<(u64, u64)> {
        let all = (0..self.devices.len() as u64).flat_map(|d| self.fw.platform().handles_of(d));
        all.map(|(name, handle)| (name, handle.info().softlocks)).collect()
    }

    fn page_locks(&self) -> u64 {
        self.umems.iter().map(SimUmem::page_locks).sum()
    }

    fn run(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let waits = self.fw.platform().waits();
        let mut locker = None;
        match *op {
            Op::Mmap { space, device, off, pages, at, prot } => {
                let device = self.devices[device % self.devices.len()].clone();
                self.space(space);
                let req = MapRequest {
                    device: &device,
                    off: off * PAGE,
                    len: pages * PAGE,
                    prot: Prot::from_raw(prot.into()),
                    maxprot: ALL,
                    flags: MapFlags::SHARED,
                    model: 0,
                };
                let _ = self.spaces[&space].mmap(&self.fw, &req, Some(BASE + at * PAGE));
            }
            Op::Munmap { space, at, pages } => {
                self.space(space);
                let _ = self.spaces[&space].munmap(&self.fw, BASE + at * PAGE, pages * PAGE);
            }
            Op::Mprotect { space, at, pages, prot } => {
                self.space(space);
                let prot = Prot::from_raw(prot.into());
                let _ = self.spaces[&space].mprotect(&self.fw, BASE + at * PAGE, pages * PAGE, prot);
            }
            Op::Touch { space, at, write } => {
                locker = Some(space);
                let rw = if write { Rw::Write } else { Rw::Read };
                let _ = self.fault(space, BASE + at * PAGE, PAGE, FaultType::Inval, rw);
            }
            Op::Softlock { space, at, pages } => {
                locker = Some(space);
                let (addr, len) = (BASE + at * PAGE, pages * PAGE);
                let before = (self.locks(), self.page_locks());
                if self.fault(space, addr, len, FaultType::Softlock, Rw::Read).is_ok() {
                    self.held.push((space, addr, len));
                } else {
                    prop_assert_eq!(
                        (self.locks(), self.page_locks()),
                        before,
                        "a softlock failed and left locks"
                    );
                }
            }
            Op::Softunlock { nth } if !self.held.is_empty() => {
                let nth = nth % self.held.len();
                let (space, addr, len) = self.held.remove(nth);
                locker = Some(space);
                let _ = self.fault(space, addr, len, FaultType::Softunlock, Rw::Read);
            }
            Op::Stray { space, at, pages } if self.held.is_empty() => {
                let before = self.locks();
                let rc = self.fault(space, BASE + at * PAGE, pages * PAGE, FaultType::Softunlock, Rw::Read);
                prop_assert!(!rc.is_ok(), "an unlock without a lock succeeded");
                prop_assert_eq!(self.locks(), before);
            }
            Op::Load { handle, pages } => {
                let all: Vec<_> =
                    (0..self.devices.len() as u64).flat_map(|d| self.fw.platform().handles_of(d)).collect();
                if let Some((_, handle)) = (!all.is_empty()).then(|| &all[handle % all.len()]) {
                    let (off, len) = (handle.info().off, pages.min(handle.info().len / PAGE) * PAGE);
                    let before = self.locks();
                    let load = |ty| {
                        let load = || self.fw.load(handle, off, len, ty, Rw::Read);
                        self.fw.platform().holding(Some(*handle.space()), load)
                    };
                    if load(FaultType::Softlock).is_ok() {
                        prop_assert!(load(FaultType::Softunlock).is_ok());
                    }
                    prop_assert_eq!(self.locks(), before);
                }
            }
            Op::Fork { space, new } if space != new && !self.spaces.contains_key(&new) => {
                self.space(space);
                let child = AddressSpace::new(new);
                let _ = self.spaces[&space].fork(&self.fw, &child);
                self.spaces.insert(new, child);
            }
            Op::Exit { space } => {
                self.space(space);
                if self.spaces[&space].exit(&self.fw).is_ok() {
                    self.spaces.remove(&space);
                    self.held.retain(|held| held.0 != space);
                }
            }
            Op::Softunlock { .. } | Op::Stray { .. } | Op::Fork { .. } => {}
        }
        // Only another space's locks can be waited for.
        let foreign = self.held.iter().any(|held| Some(held.0) != locker);
        prop_assert!(
            foreign || self.fw.platform().waits() == waits,
            "someone waits, and nobody could end it"
        );
        if self.held.is_empty() {
            let locks = self.locks();
            prop_assert!(locks.iter().all(|(_, n)| *n == 0), "locks are left that nobody holds: {:?}", locks);
            prop_assert_eq!(self.page_locks(), 0, "pages of pageable memory stay locked");
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), TestCaseError> {
        while let Some((space, addr, len)) = self.held.pop() {
            let _ = self.fault(space, addr, len, FaultType::Softunlock, Rw::Read);
        }
        for space in self.spaces.values() {
            prop_assert_eq!(space.exit(&self.fw), Ok(()), "exit at the end");
        }
        prop_assert_eq!(self.fw.live(), segdev::Live::default(), "something lives on after every exit");
        prop_assert!(self.fw.platform().pages().is_empty(), "translations are left after every exit");
        prop_assert_eq!(self.page_locks(), 0, "pages of pageable memory are locked after every exit");
        Ok(())
    }
}

#[test]
fn random_softlocks_are_undone() {
    let cases = if cfg!(debug_assertions) { 2000 } else { 40_000 };
    let cases = std::env::var("SEGDEV_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(cases);
    let config =
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Default::default() };
    proptest!(config, |(plan in plans())| {
        let mut world = World::new(&plan);
        for op in &plan.ops {
            world.run(op)?;
        }
        world.end()?;
    });
}
